"""What each command imports, opens and calls, because that takes most of the time of a short command.

Counts, because times vary with the machine; the times are printed by ``tests/bench/startup.py``.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from running import Telex, python
from scripted import Scripted, answer, delta, sse

from provider_core.stream import Decoder

HTTP = {"h11", "httpcore", "socksio"}
LOOSE = {"anyio", "certifi", "sniffio", "typing_extensions"}
"""Packages that some releases of httpcore and httpx import."""

WATCHED = """
import json, sys
before, opened, connected, early = set(sys.modules), [], [], []

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        opened.append(arguments[0])
    elif event == "socket.connect":
        connected.append(arguments[1])
        sys.modules["socket"].socket.sendall = sys.modules["socket"].socket.send = send

def send(self, data):
    early.extend(() if early else sys.modules)
    return super(type(self), self).send(data)

sys.addaudithook(watch)
from telex.__main__ import run
sys.argv[1:] = {arguments!r}
try:
    run()
except SystemExit as end:
    code = end.code
new = [(name, getattr(sys.modules[name], "__file__", None) or "") for name in set(sys.modules) - before]
print()
print(json.dumps({{
    "code": code,
    "modules": [name for name, _ in new],
    "packages": sorted({{name.partition(".")[0] for name, file in new if "-packages" in file}}),
    "opened": opened,
    "connected": connected,
    "early": early,
}}))
"""


class Watched:
    """One run of a command in a child process, with the modules it imports and the files and sockets it opens."""

    def __init__(self, telex: Telex, *arguments: str) -> None:
        env = telex.env | {"LAB_KEY": "sk-lab"}
        # One that was run before, as nearly every run was: settings are checked, and bytecode is written.
        for _ in range(2):
            seen = json.loads(python(WATCHED.format(arguments=arguments), env).splitlines()[-1])
        assert seen["code"] == 0
        self.modules = set(seen["modules"])
        self.packages = set(seen["packages"]) - {"telex", "provider_core"}
        self.connected: list[object] = seen["connected"]
        self.early = set(seen["early"])
        """The modules imported before the request was sent."""
        opened = [Path(path) for path in seen["opened"]]
        self.at_home = sorted(str(p.relative_to(telex.home)) for p in opened if p.is_relative_to(telex.home))
        self.own = {p for p in opened if {"telex", "provider_core"} & set(p.parts) and p.suffix == ".pyc"}


@pytest.fixture
def lab(telex: Telex, server: Scripted) -> Telex:
    """One provider over http, with its key in a variable."""
    server.will(answer("Hello", " there"))
    telex.provider("lab", server.url, key=None, key_env="LAB_KEY")
    return telex


@pytest.mark.parametrize(
    "arguments",
    [["--version"], ["--help"], ["chat", "--help"], ["providers", "list"], ["models", "list"]],
    ids=" ".join,
)
def test_commands_without_a_request_import_only_click(lab: Telex, arguments: list[str]) -> None:
    seen = Watched(lab, *arguments)
    assert seen.packages == {"click"}
    assert not seen.modules & {"ssl", "socket", "http.client", "asyncio", "inspect", "platform", "uuid"}
    assert seen.connected == []
    if arguments[-1] in ("--version", "--help"):
        assert not seen.modules & {"pathlib", "shutil", "urllib.parse", "zlib"}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere platformdirs knows the folders")
def test_almost_nothing_is_imported_before_ctrl_c_is_handled() -> None:
    """What the entry point's own imports take is the time in which Ctrl-C is a traceback."""
    code = "import sys; before = set(sys.modules); import telex.__main__; print(*set(sys.modules) - before)"
    assert set(python(code).split()) <= {"__future__", "gc", "telex", "telex.__main__"}


def test_the_usual_folders_are_found_without_another_package(lab: Telex) -> None:
    del lab.env["TELEX_HOME"]
    lab.settings.parent.rename(lab.home / "telex")
    (lab.home / ".config").mkdir()
    (lab.home / "telex").rename(lab.home / ".config" / "telex")
    seen = Watched(lab, "models", "list")
    assert ".config/telex/settings.toml" in seen.at_home
    assert seen.packages == {"click"}


def test_the_stub_of_a_module_of_click_is_replaced_when_more_of_it_is_used() -> None:
    code = """
import sys
from telex.__main__ import _cleandoc, _import_click
_import_click()
import click.core, inspect, uuid
assert click.core.inspect is not inspect and click.types.uuid is not uuid
assert click.core.inspect.isfunction(print) is False and click.types.uuid.uuid4().version == 4
for text in ("", "one", "  one\\n\\n    two\\n      three\\n", "one\\n\\n", "\\n  one\\n\\ttwo"):
    assert _cleandoc(text) == inspect.cleandoc(text), text
"""
    python(code)


def test_a_short_option_is_not_compared_with_all_others(lab: Telex) -> None:
    assert "difflib" not in Watched(lab, "chat", "-m", "lab/m", "hi").modules


def test_a_piped_answer_imports_only_click_and_http(lab: Telex) -> None:
    seen = Watched(lab, "chat", "hi")
    assert seen.packages - LOOSE == {"click", *HTTP}
    assert not seen.modules & {
        "httpx._main",
        "asyncio",
        "telex.render.markdown",
        "telex.repl",
        "telex.completion_cache",
    }


def test_prices_are_imported_only_if_a_cost_is_shown_and_after_the_request_is_sent(
    telex: Telex, server: Scripted
) -> None:
    server.will(answer("Hello", usage={"prompt_tokens": 3, "completion_tokens": 2}))
    telex.provider("openai", server.url, key=None, key_env="LAB_KEY", preset="openai", models=["gpt-4o-mini"])
    prices = {"decimal", "genai_prices", "provider_core.prices", "pydantic"}
    assert not Watched(telex, "chat", "hi").modules & prices
    seen = Watched(telex, "chat", "--json", "hi")
    assert not seen.early & prices
    assert "provider_core.prices" in seen.modules
    assert "genai_prices" not in seen.modules, "the price was saved by an earlier run"


def test_the_history_and_the_decoder_are_imported_after_the_request_is_sent(lab: Telex) -> None:
    seen = Watched(lab, "chat", "hi")
    late = {"sqlite3", "provider_core.history", "provider_core.stream"}
    assert late <= seen.modules
    assert "provider_core.http" in seen.early
    assert not late & seen.early
    assert len([name for name in seen.early if name.partition(".")[0] in ("telex", "provider_core")]) <= 42
    lab.env["TELEX_LEDGER"] = "false"
    assert "sqlite3" not in Watched(lab, "chat", "--no-save", "hi").modules


def test_the_doctor_does_not_check_settings_again_that_another_command_has_checked(lab: Telex) -> None:
    assert lab("models", "list").code == 0
    assert "pydantic" not in Watched(lab, "doctor").packages


def test_a_piped_answer_is_one_connection_and_six_small_files(lab: Telex, server: Scripted) -> None:
    seen = Watched(lab, "chat", "hi")
    assert seen.connected == [["127.0.0.1", server.port]]
    at_home = [re.sub(r"^cache/settings/[0-9a-f]{8}", "cache/settings/*", name) for name in seen.at_home]
    assert at_home == [
        "cache/completion/stamp",
        "cache/models/lab.json",
        "cache/refused-fields.json",
        "cache/settings/*.json",
        "config/settings.toml",
        "data/history.db",
    ]


@pytest.mark.parametrize(
    ("arguments", "most"),
    [(["--version"], 13), (["providers", "list"], 34), (["models", "list"], 34), (["chat", "hi"], 53)],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_no_more_modules_of_telex_are_opened(lab: Telex, arguments: list[str], most: int) -> None:
    """The most that each may take is about a twentieth above what it takes; every module is a file to open."""
    taken = len(Watched(lab, *arguments).own)
    assert most / 2 < taken <= most


def calls(work: Callable[[], object]) -> int:
    """How many functions ``work`` calls, Python's own included."""
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def decoded(reads: list[bytes]) -> Callable[[], object]:
    decoder = Decoder()
    return lambda: [decoder.feed(data) for data in reads]


@pytest.mark.parametrize(
    ("frames_a_read", "most"), [(1000, 11), (1, 45)], ids=["many frames a read", "a frame a read"]
)
def test_a_chunk_takes_the_decoder_no_more_calls(frames_a_read: int, most: float) -> None:
    """The most is about a twentieth above what it takes; releases of Python differ by less."""
    frames = sse(*(delta(f"word {number} ") for number in range(2000)))

    def taken(count: int) -> int:
        reads = [b"".join(frames[at : at + frames_a_read]) for at in range(0, count, frames_a_read)]
        return calls(decoded(reads))

    taken(1000)  # compiles the patterns
    each = (taken(2000) - taken(1000)) / 1000
    assert most / 2 < each <= most
