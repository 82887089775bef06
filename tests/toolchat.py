"""What tests of ``telex chat --tools`` share: tool servers in the settings, what a model was told, what still runs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inprocess import Inside
from running import toml

if TYPE_CHECKING:
    from running import Telex
    from scripted import Asked

HERE = Path(__file__).parent
SERVER = HERE / "mcp_server.py"


class Desk(Inside):
    """Runs telex in this process, or with ``start`` the installed command, with the home of ``telex``."""

    def __init__(self, telex: Telex) -> None:
        super().__init__(telex.home)
        self.env = dict(telex.env)
        self.home = telex.home
        self.start = telex.start


def tool_server(telex: Telex | Desk, name: str, *command: str, **fields: Any) -> None:
    """Set a server up; each is started with a word of its own home, so that it can be found again."""
    before = telex.settings.read_text() if telex.settings.exists() else ""
    rows = {"command": [sys.executable, "-I", "-S", *command], **fields}
    lines = [f"{key} = {toml(value)}" for key, value in rows.items()]
    telex.configure(f"{before}\n[mcp.{name}]\n" + "\n".join(lines) + "\n")


def lab(telex: Telex | Desk, name: str = "lab", *flaws: str, **fields: Any) -> None:
    """The tests' own server; the folder of the home is a flaw that it does not know, and the mark it is found by."""
    tool_server(telex, name, str(SERVER), str(telex.home), *flaws, **fields)


def odd(telex: Telex | Desk, *names: str, flaws: tuple[str, ...] = (), **fields: Any) -> None:
    tool_server(telex, "odd", str(SERVER), str(telex.home), json.dumps(names), *flaws, **fields)


def results(asked: Asked) -> list[str]:
    """What the model is told of its calls."""
    return [message["content"] for message in asked.body["messages"] if message["role"] == "tool"]


def roles(asked: Asked) -> list[str]:
    return [message["role"] for message in asked.body["messages"]]


def running(home: Path) -> list[int]:
    """The tool servers of this home that still run, by their number."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if str(SERVER).encode() in command and str(home).encode() in command and state != "Z":
            found.append(int(entry.name))
    return found


def editor(path: Path, *texts: str) -> str:
    """An editor that leaves these texts, one a time; its command."""
    for number, text in enumerate(texts):
        path.with_suffix(f".{number}").write_text(text)
    path.write_text(
        f"""#!{sys.executable}
import pathlib, sys
here = pathlib.Path({str(path)!r})
turn = here.with_suffix(".turn")
number = int(turn.read_text()) if turn.exists() else 0
turn.write_text(str(number + 1))
here.with_suffix(f".read{{number}}").write_text(pathlib.Path(sys.argv[1]).read_text())
pathlib.Path(sys.argv[1]).write_text(here.with_suffix(f".{{number}}").read_text())
""".lstrip()
    )
    path.chmod(0o755)
    return os.fspath(path)
