"""The library before a real model: llama.cpp's own server, for as long as a connection is open."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provider_core import ChatEnded, Runtime, Text, Verdict, connect, provider
from provider_core.errors import ModelFileError
from provider_core.testing import FakeKeyStore


@pytest.fixture
def here(tmp_path: Path) -> Runtime:
    return Runtime(environ={"TELEX_HOME": str(tmp_path)}, key_store=FakeKeyStore())


def children() -> set[str]:
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())


def test_a_model_file_answers_until_its_connection_is_closed(model_path: Path, here: Runtime) -> None:
    before = children()
    with connect(provider("here", gguf=model_path), runtime=here) as model:
        assert str(model.target) == "here/here"
        talk = model.conversation(system="You answer in one short sentence.")
        first = talk.ask("Name three colours.", max_tokens=24, temperature=0)
        assert any(colour in first.text.lower() for colour in ("red", "blue", "green"))
        assert first.usage is not None
        assert first.usage.output
        *events, last = talk.stream("Name another one.", max_tokens=8, temperature=0)
        assert any(isinstance(event, Text) for event in events)
        assert isinstance(last, ChatEnded)
        assert last.answer.verdict in (Verdict.COMPLETE, Verdict.LENGTH)
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        found = model.ask_json("How many legs has a cat?", schema, max_tokens=60, temperature=0)
        assert isinstance(found["n"], int)
        assert children() - before
    here.close()
    assert children() == before


def test_a_file_that_is_not_a_model_is_an_error_before_any_request(tmp_path: Path, here: Runtime) -> None:
    (tmp_path / "no.gguf").write_text("no")
    with pytest.raises(ModelFileError) as caught:
        connect(provider("here", gguf=tmp_path / "no.gguf"), "m", runtime=here)
    assert caught.value.provider == "here"
