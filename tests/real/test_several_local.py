"""Two models that run on this machine, asked side by side, beside a server: llama.cpp itself answers."""

from __future__ import annotations

import re
import signal
import time
from typing import TYPE_CHECKING

import pytest
from scripted import Scripted, answer

if TYPE_CHECKING:
    from pathlib import Path

    from running import Telex


@pytest.fixture
def two(telex: Telex, model_path: Path, server: Scripted) -> Telex:
    """Two providers that are files, which begin one after the other, and one that is a server."""
    for name in ("one", "two"):
        telex.provider(name, "", base_url=None, key=None, models=None, gguf=str(model_path))
    telex.provider("lab", server.url)
    server.will(answer("from the server"))
    return telex


def test_the_embedded_servers_own_key_is_sent_to_no_one_else(two: Telex) -> None:
    for models in (("-m", "one"), ("-m", "one", "-m", "lab")):
        ran = two("chat", "-vv", *models, "-t", "0", "--max-tokens", "2", "hi")
        assert ran.code == 0, ran.err
        assert re.search(r"^> (one/\S+: )?authorization: \[redacted\]$", ran.err, re.MULTILINE)
        assert "Bearer" not in ran.err
        assert re.search(r"\"choices\"", ran.err)


def test_ctrl_c_ends_the_embedded_server_too(two: Telex) -> None:
    process = two.start("chat", "-m", "one", "-m", "two", "--max-tokens", "4000", "Count to a million.")
    assert process.stdout is not None
    while process.stdout.read(1) != b"\n":
        pass
    process.stdout.read(20)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)  # the pipes are closed when no child holds them any more
    assert process.returncode == 130
    assert time.monotonic() - begun < 30
