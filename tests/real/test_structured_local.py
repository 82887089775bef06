"""Structured answers and attachments with llama.cpp's own server and a real model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from running import Telex

from provider_core.client import Client
from provider_core.local.server import serve
from provider_core.structured import matching_json, schema_from
from provider_core.types import Message, Provider, Request, Text


def held(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with a name and an age that so small a model finds an end to."""
    schema["properties"]["name"]["maxLength"] = 20
    schema["properties"]["age"] |= {"minimum": 0, "maximum": 150}
    return schema


def test_a_real_server_makes_the_model_match_the_schema(model_path: Path) -> None:
    wanted = held(schema_from("name, age int?, mood happy|sad, grown bool"))
    with serve(model_path, alias="m", threads=1) as endpoint, Client() as client:
        provider = Provider(name="here", base_url=endpoint.base_url)
        request = Request(
            model="m",
            messages=(Message(role="user", content="Invent a person."),),
            schema=wanted,
            temperature=0,
            max_tokens=200,
        )
        events = client.chat(provider, request, key=endpoint.key)
        text = "".join(event.text for event in events if isinstance(event, Text))
    found = json.loads(matching_json(text, wanted))
    assert found.keys() == {"name", "age", "mood", "grown"}
    assert found["mood"] in ("happy", "sad")


def test_a_template_with_a_schema_and_a_file_is_one_command(telex: Telex, model_path: Path) -> None:
    telex.configure(f'[providers.small]\ngguf = "{model_path}"\n')
    folder = telex.home / "config" / "templates"
    folder.mkdir()
    (folder / "person.json").write_text(json.dumps(held(schema_from("name, age int"))))
    (folder / "person.md").write_text(
        "+++\nmodel = 'small'\nschema = 'person.json'\ntemperature = 0\nmax_tokens = 100\n+++\n"
        "Who is this, and how old? {{ stdin }}"
    )
    (telex.home / "notes.txt").write_text("She is called Ada.")
    ran = telex(
        "chat", "--template", "person", "--file", str(telex.home / "notes.txt"), stdin=b"She is thirty-six."
    )
    assert ran.code == 0, ran.err
    assert json.loads(ran.text).keys() == {"name", "age"}
    assert f"Attached: {telex.home}/notes.txt" in ran.err
