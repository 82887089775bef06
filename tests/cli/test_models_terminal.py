"""``telex models`` as a process: on a terminal, in a pager, with many models, and without connections."""

from __future__ import annotations

import re
import shutil
import time
from typing import TYPE_CHECKING

import pytest
from listings import paths
from running import COMMAND
from terminal import Pty

from provider_core.catalog import CachedModelList, write_cached
from provider_core.types import Model, Provider

if TYPE_CHECKING:
    from pathlib import Path

    from running import Telex

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def cache_list(telex: Telex, name: str, models: list[Model], url: str) -> None:
    telex.home.mkdir(exist_ok=True)
    provider = Provider(name=name, base_url=url)
    assert write_cached(paths(telex.home).lists, provider, CachedModelList.of(models, time.time()))


def many(telex: Telex, providers: int, models: int) -> None:
    """Configure providers, half of them with a key in the keyring, and cache their models."""
    text = ""
    for number in range(providers):
        name, url = f"lab{number}", f"http://198.51.100.{number}/v1"
        text += f'[providers.{name}]\nbase_url = "{url}"\nkey = "{"keyring" if number % 2 else "none"}"\n'
        cache_list(telex, name, [Model(id=f"m{n}") for n in range(number, models, providers)], url)
    telex.configure(text)


def on_terminal(telex: Telex, *arguments: str, columns: int = 100, **env: str) -> str:
    """The output on a terminal, stdout and stderr together."""
    with Pty([str(COMMAND), *arguments], env={**telex.env, **env}, columns=columns, lines=40) as terminal:
        assert terminal.wait() == 0, terminal.text
        return terminal.raw.decode().replace("\r\n", "\n")


URL = "http://127.0.0.1:9/v1"


@pytest.fixture
def lab(telex: Telex) -> Telex:
    telex.env["TELEX_TEST_WITHOUT"] = "xllamacpp"
    telex.provider("lab", URL, models=["mine"], display_name="The Lab")
    cache_list(
        telex,
        "lab",
        [
            Model(id="known", context=131072, max_output=8192, tools=True, reasoning=True),
            Model(id="step-1-32k"),
            Model(id="[bold]markup[/bold]", vision=True),
            Model(id="模型/😀", name="x"),
            Model(id="safe\u202egnp.exe"),
            Model(id="gpt\u200b-4\U000e0041o"),
        ],
        URL,
    )
    return telex


def test_terminal_shows_a_table_for_each_provider(lab: Telex) -> None:
    seen = on_terminal(lab, "models", "list")
    lines = [line.rstrip() for line in ANSI.sub("", seen).splitlines()]
    assert lines[0].split() == ["The", "Lab", "context", "output"]
    assert "lab/mine" in lines[1]
    assert any(re.fullmatch(r"lab/known +131k +8.19k +reasoning, tools", line) for line in lines)
    assert any(re.fullmatch(r"lab/step-1-32k +~32.8k +~32.8k", line) for line in lines)
    assert any(line.startswith("lab/[bold]markup[/bold] ") and line.endswith("vision") for line in lines)
    assert any(line.startswith("lab/模型/😀") for line in lines)
    assert "\u202e" not in seen
    assert "gpt\ufffd-4\ufffdo" in seen
    assert "\x1b[1m" in seen


def test_prices_have_a_column_and_the_narrowest_terminals_no_longest_answers(lab: Telex) -> None:
    for name, price in (("mine", "0"), ("step-1-32k", "1.10")):
        assert lab("models", "edit", f"lab/{name}", "--price-in", price, "--price-out", price).code == 0
    for columns, heads in ((100, "context output $/M in/out"), (80, "context $/M in/out")):
        lines = ANSI.sub("", on_terminal(lab, "models", "list", columns=columns)).splitlines()
        assert lines[0].split()[2:] == heads.split()
        ends = {line.split()[0]: line.split()[-1] for line in lines if "lab/" in line}
        assert (ends["lab/step-1-32k"], ends["lab/known"]) == ("1.1/1.1", "tools")
        assert any("free" in line and line.startswith("lab/mine") for line in lines)
    lines = ANSI.sub("", on_terminal(lab, "models", "list", "--sort", "price")).splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["Model", "lab/mine", "lab/step-1-32k"]


def test_plain_and_narrow_terminals_show_every_name(lab: Telex) -> None:
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        seen = on_terminal(lab, "models", "list", **env)
        assert "\x1b" not in seen
        assert "The Lab" in seen
        assert "lab/known" in seen
    seen = ANSI.sub("", on_terminal(lab, "models", "list", columns=40))
    assert all(name in seen for name in ("lab/mine", "lab/known", "lab/step-1-32k"))
    ran = lab("models", "list")  # in a pipe
    assert ran.text.splitlines()[:2] == ["lab/mine", "lab/[bold]markup[/bold]"]
    assert b"\x1b" not in ran.out
    assert ran.err == ""


def test_only_a_long_list_on_a_terminal_is_paged(lab: Telex, tmp_path: Path) -> None:
    cache_list(lab, "lab", [Model(id=f"m{n}") for n in range(300)], URL)
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\necho PAGED\ncat\n")
    pager.chmod(0o755)
    assert "PAGED" in on_terminal(lab, "models", "list", PAGER=str(pager))
    assert "PAGED" not in on_terminal(lab, "models", "list", "m29", PAGER=str(pager))
    assert "PAGED" not in lab("models", "list", env={"PAGER": str(pager)}).text


def test_list_without_providers_says_how_to_add_one(telex: Telex) -> None:
    ran = telex("models", "list")
    assert (ran.text, ran.err) == ("local/smollm2-135m-instruct\n", "")
    telex.env["TELEX_TEST_WITHOUT"] = "xllamacpp"
    ran = telex("models", "list")
    assert (ran.code, ran.out) == (0, b"")
    assert "No provider is set up." in ran.err
    assert "telex providers add openai" in ran.err
    ran = telex("models", "list", "--json")
    assert (ran.code, ran.out) == (0, b"[]\n")


WATCH = """
import os, sys
def watch(event, arguments):
    if event.startswith("socket.") or event in ("subprocess.Popen", "os.exec", "os.posix_spawn"):
        os.write(2, f"watched: {event} {arguments}\\n".encode())
    if event == "import" and arguments[0].partition(".")[0] in ("keyring", "httpx", "httpcore", "rich"):
        os.write(2, f"watched: import {arguments[0]}\\n".encode())
sys.addaudithook(watch)
"""


def test_a_price_above_the_limit_is_not_an_unknown_price(telex: Telex) -> None:
    telex.env["TELEX_TEST_WITHOUT"] = "genai_prices xllamacpp"
    telex.provider("lab", URL, models=["mine"])
    words = "No price is known. To know more of them: "
    assert words in on_terminal(telex, "models", "list", "--max-price", "1")
    assert telex("models", "edit", "lab/mine", "--price-in", "3", "--price-out", "15").code == 0
    shown = on_terminal(telex, "models", "list", "--max-price", "1")
    assert "lab/mine" not in shown
    assert words not in shown


@pytest.fixture
def watched(telex: Telex, tmp_path: Path) -> Telex:
    """Reports connections, processes and heavy imports on stderr."""
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(WATCH)
    telex.env["PYTHONPATH"] = str(tmp_path / "watch")
    return telex


def test_listing_and_help_open_no_connection_and_no_keyring(watched: Telex) -> None:
    for arguments in (["models", "--help"], ["models", "list", "--help"]):
        ran = watched(*arguments)
        assert (ran.code, ran.err) == (0, "")
    assert not watched.home.exists()
    many(watched, 60, 5000)
    for arguments in ([], ["--json"], ["--tools"]):
        ran = watched("models", "list", *arguments)
        assert ran.code == 0
        assert ran.err.replace("No model matches.\n", "") == ""
        if not arguments:
            assert len([line for line in ran.text.splitlines() if line.startswith("lab")]) == 5000
    assert "watched: socket.connect" in watched("models", "list", "-P", "lab0", "--refresh").err


def test_ctrl_c_ends_a_refresh_at_once(telex: Telex) -> None:
    import signal
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        telex.provider("lab", f"http://127.0.0.1:{silent.getsockname()[1]}/v1")
        process = telex.start("models", "list", "--refresh")
        connection, _ = silent.accept()
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        _, err = process.communicate(timeout=60)
        assert time.monotonic() - start < 30
        connection.close()
    assert process.returncode in (130, -signal.SIGINT)
    assert b"Traceback" not in err


@pytest.mark.parametrize("name", ["lab/m2", "second"])
def test_default_is_marked_under_any_name(telex: Telex, name: str) -> None:
    telex.configure(
        f'model = "{name}"\n[aliases]\nsecond = "lab/m2"\n'
        '[providers.lab]\nbase_url = "http://198.51.100.1/v1"\nkey = "none"\ndefault_model = "m1"\n'
    )
    cache_list(telex, "lab", [Model(id="m1"), Model(id="m2")], "http://198.51.100.1/v1")
    lines = ANSI.sub("", on_terminal(telex, "models", "list")).splitlines()
    assert any(line.startswith("lab/m2") and line.endswith("default") for line in lines)
    assert any(line.startswith("lab/m1") and line.endswith("-m lab") for line in lines)
    assert "m1, m2 (default)" in on_terminal(telex, "providers", "list")


@pytest.mark.skipif(not shutil.which("less"), reason="less is not installed")
@pytest.mark.parametrize(
    "env",
    [{}, {"LESS": "-R"}, {"PAGER": "less -R -S"}, {"PAGER": "no-such-pager"}, {"PAGER": ""}],
)
def test_pager_shows_the_list_after_the_notes(lab: Telex, env: dict[str, str]) -> None:
    cache_list(lab, "lab", [Model(id=f"m{n}") for n in range(60)] + [Model(id="e", kind="embedding")], URL)
    with Pty([str(COMMAND), "models", "list"], env={**lab.env, **env}) as terminal:
        terminal.wait_for(r"m1[0-9]|END|More")
        end = time.monotonic() + 60
        while terminal.process.poll() is None and time.monotonic() < end:
            terminal.type(" q" if b"Hidden" in terminal.raw else " ")
            terminal.read(0.1)
        terminal.wait()
    assert b"The Lab" in terminal.raw
    assert (b"\x1b[1mThe Lab" in terminal.raw) == (env.get("PAGER") != "no-such-pager")
    assert b"ESC[" not in terminal.raw
    if "PAGER" not in env or "less" in env["PAGER"]:
        assert terminal.raw.index(b"Hidden") < terminal.raw.index(b"The Lab")
