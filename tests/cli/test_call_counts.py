"""How many of telex's own functions run before a request is sent, and for one chunk of an answer."""

from __future__ import annotations

import contextlib
import gc
import io
import sys
import time
from typing import TYPE_CHECKING, Any

from inprocess import Inside
from scripted import DONE, answer, delta, sse

from provider_core.settings import Paths
from provider_core.testing import FakeTransport, Scripted
from telex.app import App
from telex.console import Console
from telex.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scripted import Scripted as Server

PIECES = [
    "It ",
    "starts with **bold** and `code`.\n\nSome ",  # compiles the patterns
    "words and **bold** ",
    "text with `code`",
    " and so ",
    "on until",
    " the end. ",
]
TERMINAL = {"LAB_KEY": "sk-1", "TERM": "xterm-256color", "COLORTERM": "truecolor", "COLORFGBG": "15;0"}


class Screen(io.TextIOWrapper):
    """A stdout that says it is a terminal; counting ends when something is written to it."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        sys.setprofile(None)
        return super().write(text)


class Counter:
    """The calls of functions of ``telex`` and ``provider_core`` while it is entered, and the files they are in."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def note(self, frame: Any, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and ("/telex/" in code.co_filename or "/provider_core/" in code.co_filename):
            self.calls.append((code.co_filename, code.co_qualname))

    def __enter__(self) -> None:
        sys.setprofile(self.note)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    @property
    def files(self) -> set[str]:
        return {file for file, _ in self.calls}


def body(counters: list[Counter]) -> Iterator[bytes]:
    """The frames of an answer; what happens from each of them to the screen is counted."""
    for piece in PIECES:
        time.sleep(0.04)  # a repaint is due
        (frame,) = sse(delta(piece))
        counters.append(Counter())
        with counters[-1]:
            yield frame
    yield from sse(delta(finish="stop"), DONE)


def test_a_chunk_of_markdown_takes_at_most_75_calls_in_13_files(tmp_path: Path) -> None:
    environ = {"TELEX_HOME": str(tmp_path), **TERMINAL}
    settings = Paths.find(environ).settings_file
    settings.parent.mkdir(parents=True, mode=0o700)
    settings.write_text('[providers.lab]\nbase_url = "http://127.0.0.1:9/v1"\nkey_env = "LAB_KEY"\n')
    counters: list[Counter] = []
    network = FakeTransport(Scripted(body=body(counters)))
    screen = Screen(io.BytesIO(), encoding="utf-8", write_through=True)
    with contextlib.redirect_stdout(screen):
        app = App(environ=environ, console=Console(environ=environ), transport=network)
        assert main(["chat", "--no-stdin", "-m", "lab/m", "hi"], app) == 0
    painted = screen.buffer.getvalue().decode()  # type: ignore[attr-defined]
    assert "\x1b[1mbold\x1b[m" in painted
    for piece, counter in zip(PIECES[2:], counters[2:], strict=True):
        names = "\n".join(f"{file} {name}" for file, name in counter.calls)
        assert 20 < len(counter.calls) <= 75, f"{piece!r} took {len(counter.calls)} calls:\n{names}"
        assert len(counter.files) <= 13, "\n".join(sorted(counter.files))


def before_the_request(telex: Inside, *arguments: str) -> Counter:
    """What a command calls until it sends something."""
    counter = Counter()

    def note(frame: Any, event: str, argument: object) -> None:
        if event == "c_call" and getattr(argument, "__name__", "") in ("send", "sendall"):
            sys.setprofile(None)
        elif not frame.f_code.co_name.startswith("<"):  # comprehensions are no functions in newer Pythons
            counter.note(frame, event, argument)

    gc.collect()  # connections of earlier commands would be closed while the calls of this one are counted
    sys.setprofile(note)
    try:
        assert telex(*arguments).code == 0
    finally:
        sys.setprofile(None)
    return counter


def test_a_request_is_sent_after_at_most_230_calls_in_34_files(tmp_path: Path, server: Server) -> None:
    """Of a chat in a pipe, when everything is imported and the settings were checked before."""
    server.will(answer("Hello"))
    telex = Inside(tmp_path)
    telex.configure(f'[providers.p]\nbase_url = "{server.url}"\nkey = "none"\nmodels = ["m"]\n')
    arguments = ("chat", "-m", "p/m", "hi")
    for _ in range(2):
        assert telex(*arguments).code == 0
    counter = before_the_request(telex, *arguments)
    names = "\n".join(f"{file} {name}" for file, name in counter.calls)
    assert 100 < len(counter.calls) <= 230, f"{len(counter.calls)} calls:\n{names}"
    assert len(counter.files) <= 34, sorted(counter.files)
