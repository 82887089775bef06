"""``telex chat --tools`` with a real model that calls, and real servers that are made with the protocol's SDK."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from running import COMMAND, Telex
from terminal import Pty
from toolcalling import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

WEATHER = Path(__file__).parents[1] / "mcp_weather_server.py"
SMALL = ("-t", "0", "--max-tokens", "60")


@pytest.fixture(scope="module")
def model(model_path: Path) -> Iterator[str]:
    with serving(model_path) as address:
        yield address


@pytest.fixture
def desk(telex: Telex, model: str) -> Telex:
    """A real model that calls tools, and a server that knows the weather, set up as users do both."""
    telex.provider("llama", f"{model}/v1", preset="llamacpp", key=None, models=["any"])
    added = telex("mcp", "add", "met", "--", sys.executable, str(WEATHER))
    assert added.code == 0, added.err
    return telex


def test_a_real_model_calls_a_real_server_and_answers_from_what_it_said(desk: Telex) -> None:
    ran = desk(
        "chat", "--jsonl", "--tools", "met", "--allow", "met/weather", *SMALL, "Weather in Oslo?", timeout=100
    )
    found = [json.loads(line) for line in ran.text.splitlines()]
    assert ran.code == 0, ran.err
    kinds = [each["type"] for each in found]
    assert kinds[:4] == ["start", "tool_call", "tool_start", "tool_result"]
    called, started, brought = found[1:4]
    assert called["name"] == "met__weather"
    city = started["arguments"]["city"]
    assert (started["tool"], brought["ok"], brought["text"]) == (
        "met/weather",
        True,
        f"It is raining in {city}.",
    )
    assert kinds[4] == "request"
    assert "".join(each["text"] for each in found[5:-1]).strip()
    assert found[-1]["verdict"] in ("complete", "length")
    shown = desk("history", "show")
    assert f"It is raining in {city}." in shown.text
    later = desk("chat", "-c", "--max-tokens", "5", "And tomorrow?", timeout=100)
    assert later.code == 0, "llama.cpp takes calls without tools"


def test_at_a_terminal_the_real_call_is_asked_about(desk: Telex) -> None:
    command = [str(COMMAND), "chat", "--tools", "met", "--max-turns", "2", *SMALL, "Weather in Oslo?"]
    with Pty(command, env=desk.env) as pty:
        pty.wait_for(r"Run it\? .*:", seconds=60)
        assert "The model wants to run met/weather" in pty.rows
        assert any(row.startswith('  city: "') for row in pty.rows)
        pty.type("y\n")
        pty.wait_for(r"met/weather \(.*\): \d+ bytes in")
        assert pty.wait(60) == 0
