"""The main job with nothing replaced: the installed command, llama.cpp's real server, a real model."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from running import COMMAND, Telex
from terminal import Pty

from provider_core.local import DEFAULT_MODEL
from provider_core.local.server import serve

QUESTION = "Name three primary colours."


@pytest.fixture
def local(telex: Telex, model_path: Path) -> Telex:
    """A telex that has fetched the default model before; nothing else is set up."""
    models = telex.home / "data" / "models"
    models.mkdir(parents=True, mode=0o700)
    os.link(model_path, models / DEFAULT_MODEL.file)
    telex.env |= {"TELEX_LOCAL_THREADS": "1", "TELEX_MODEL": "local"}
    return telex


def test_a_first_answer_needs_no_key_and_no_provider(local: Telex) -> None:
    ran = local("chat", QUESTION, "--max-tokens", "30", "-t", "0")
    assert ran.code == 0, ran.err
    assert len(ran.text.split()) > 3
    assert ran.text.count("local/smollm2") == 0
    # Nothing of llama.cpp's own log: each line is telex's.
    assert all("token limit" in line for line in ran.err.splitlines())


def test_tokens_arrive_before_the_answer_is_complete(local: Telex) -> None:
    process = local.start("chat", "Write a long story about a lighthouse.", "--max-tokens", "200", "-t", "0")
    assert process.stdout is not None
    arrivals: list[float] = []
    whole = b""
    while piece := os.read(process.stdout.fileno(), 65536):
        arrivals.append(time.monotonic())
        whole += piece
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(arrivals) > 20
    assert arrivals[-1] - arrivals[0] > 0.2
    assert whole.endswith(b"\n")
    assert b"\x1b" not in whole


def test_a_real_server_refuses_wrong_keys_and_long_prompts(telex: Telex, model_path: Path) -> None:
    with serve(model_path, alias="smollm2", threads=1) as server:
        telex.provider("llama", server.base_url, key=None, key_env="LLAMA_KEY")
        wrong = telex("chat", "-m", "llama", "hi", env={"LLAMA_KEY": "sk-wrong-canary"})
        assert wrong.code == 4
        assert "llama" in wrong.err
        assert "sk-wrong-canary" not in wrong.err
        telex.env["LLAMA_KEY"] = server.key
        right = telex("chat", "-m", "llama/any-name", "--max-tokens", "5", "hi")
        assert right.code == 0, right.err
        long = telex("chat", "-m", "llama", stdin=b"word " * 20_000)
        assert long.code == 6
        assert "Shorten" in long.err


def test_any_gguf_file_is_a_provider(telex: Telex, model_path: Path) -> None:
    added = telex("providers", "add", "small", "--gguf", str(model_path))
    assert added.code == 0, added.err
    ran = telex("chat", "-m", "small", "--max-tokens", "5", QUESTION, env={"TELEX_LOCAL_THREADS": "1"})
    assert ran.code == 0, ran.err
    assert ran.text.strip()


def test_a_truncated_default_model_is_a_clear_error(local: Telex) -> None:
    file = local.home / "data" / "models" / DEFAULT_MODEL.file
    copy = file.with_suffix(".copy")
    shutil.copy(file, copy)
    copy.replace(file)
    with file.open("r+b") as opened:
        opened.truncate(50_000_000)
    ran = local("chat", "hi")
    assert ran.code == 3
    assert DEFAULT_MODEL.file in ran.err
    assert "Traceback" not in ran.err
    assert file.exists()


def test_a_terminal_shows_the_answer_and_is_left_unchanged(local: Telex) -> None:
    with Pty(
        [str(COMMAND), "chat", "-m", "local", QUESTION, "--max-tokens", "20"], env=local.env
    ) as terminal:
        assert terminal.wait(60) == 0
        assert terminal.modes == terminal.modes_before
        assert len(terminal.raw) > 20
