"""Building distributions, and installing them into clean environments of several Python versions."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from running import Telex
from scripted import Answer, answer
from servers import keyed
from terminal import Pty

if TYPE_CHECKING:
    from scripted import Asked, Scripted

ROOT = Path(__file__).parent.parent
KEY = "sk-canary-0123456789abcdef"
VERSIONS = ("3.11", "3.12", "3.13", "3.14")


def done(*command: str | Path, cwd: Path | None = None, **env: str) -> str:
    """Run a program without the variables of this Python, and return its output; fails if the program fails."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    ran = subprocess.run(
        list(map(str, command)), cwd=cwd, env=clean | env, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, f"{' '.join(map(str, command))}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


def uv(*arguments: str | Path, **env: str) -> str:
    return done(sys.executable, "-m", "uv", "--quiet", *arguments, **env)


@functools.cache
def found(version: str) -> Path | None:
    """A Python of this version, on PATH or among pyenv's."""
    named = shutil.which(f"python{version}")
    candidates = [Path(named)] if named else []
    candidates += sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for candidate in candidates:
        # What stands on PATH may be a shim of pyenv's for a version that is not chosen.
        ran = subprocess.run(
            [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        words = ran.stdout.split(maxsplit=1)
        if ran.returncode == 0 and words[:1] == [version]:
            return Path(words[1].strip())
    return None


def interpreter(version: str) -> Path:
    """As ``found``, but skips the test if there is none."""
    path = found(version)
    if path is None:
        pytest.skip(
            f"Python {version} is not on this machine: put python{version} on PATH, or install it with pyenv"
        )
    return path


def newest() -> str:
    """The newest version on this machine, or the oldest supported one if there is none."""
    return next((version for version in reversed(VERSIONS) if found(version) is not None), VERSIONS[0])


@dataclass(frozen=True)
class Distributions:
    """The source distribution, and the wheel that was built from it."""

    source: Path
    wheel: Path

    @classmethod
    def build(cls, tree: Path, into: Path) -> Distributions:
        done(sys.executable, "-m", "build", "--no-isolation", "--outdir", into, tree)
        (source,), (wheel,) = into.glob("*.tar.gz"), into.glob("*.whl")
        return cls(source=source, wheel=wheel)


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    prefix: Path

    @classmethod
    def make(cls, prefix: Path, version: str) -> Environment:
        uv("venv", "--python", interpreter(version), prefix)
        return cls(prefix)

    @property
    def python(self) -> Path:
        return self.prefix / "bin" / "python"

    @property
    def telex(self) -> Path:
        return self.prefix / "bin" / "telex"

    def install(self, *arguments: str | Path) -> None:
        uv("pip", "install", "--python", self.python, *arguments)

    def files(self) -> set[str]:
        """The files whose paths contain a name of telex."""
        names = {str(path.relative_to(self.prefix)) for path in self.prefix.rglob("*")}
        return {name for name in names if "telex" in name or "provider_core" in name}


IMPORTS = """
import importlib, pkgutil, sys
import provider_core, telex
extras = set(sys.argv[1:])
programs = ("__main__", "_child")
for package in (provider_core, telex):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if module.name.endswith(programs):
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in extras:
                raise
for name in provider_core.__all__:
    getattr(provider_core, name)
print("clean")
"""


EXTRAS = {"local": ("xllamacpp",), "mcp": ("httpx2", "mcp", "mcp_types")}
"""The packages that only this extra needs."""


def imports_cleanly(python: Path, *extras: str) -> bool:
    """Whether every module can be imported without warnings, and without the packages of other extras."""
    missing = [name for extra, names in EXTRAS.items() if extra not in extras for name in names]
    return done(python, "-W", "error", "-c", IMPORTS, *missing).strip() == "clean"


LIBRARY = """
import sys
from provider_core import connect, provider
lab = provider("lab", base_url=sys.argv[1], key_env="LAB_API_KEY")
with connect(lab, "m") as model:
    talk = model.conversation(system="Be brief.")
    print(talk.ask("Hello?").text, [type(event).__name__ for event in talk.stream("Hello?")][-1])
"""


class Visitor:
    """A new user with a home folder, a key, and a server that accepts the key."""

    def __init__(self, command: Path, home: Path, server: Scripted) -> None:
        server.will(_lab)
        self._server = server
        self.telex = Telex(home, command)
        self.telex.env["LAB_API_KEY"] = KEY

    def runs(self, *arguments: str, code: int = 0, stdin: bytes | None = None) -> str:
        found = self.telex(*arguments, stdin=stdin)
        assert found.code == code, f"{arguments}: {found.err}"
        assert KEY not in found.text + found.err
        return found.text

    def starts(self) -> None:
        """Set up a provider and send a prompt."""
        self.runs("providers", "add", "lab", "--base-url", self._server.url, "--key-env", "LAB_API_KEY")
        assert self.runs("chat", "-m", "lab", "Hello?") == "Hello\n"

    def looks_around(self, python: Path) -> None:
        """Use every dependency: in a pipe, on a terminal and from Python."""
        runs, settings = self.runs, self.telex.settings
        settings.write_text(f"# mine\n{settings.read_text()}")
        runs("providers", "edit", "lab", "--idle-timeout", "30")
        assert "# mine\n" in settings.read_text()
        assert "idle_timeout = 30" in settings.read_text()
        (listed,) = json.loads(runs("providers", "list", "--json"))
        assert listed["name"] == "lab"
        (tested,) = json.loads(runs("providers", "test", "lab", "--json"))
        assert tested["passed"]
        assert runs("models", "list", "--refresh").split() == ["lab/m", "lab/n"]
        answered = json.loads(runs("chat", "-m", "lab", "--json", "Hello?", stdin=b"as JSON"))
        assert (answered["text"], answered["provider"], answered["usage"]["output"]) == ("Hello", "lab", 1)
        assert json.loads(runs("chat", "-m", "lab", "--schema", "age int", "How old?")) == {"age": 4}
        assert len(json.loads(runs("history", "list", "--json"))) == 3
        assert "Hello" in runs("history", "search", "Hello")
        runs("chat", "-m", "lab", "refuse me", code=4)
        runs("chat", "-m", "nope", "Hello?", code=3)
        runs("chat", "--nonsense", code=2)
        for shell in ("bash", "zsh", "fish"):
            assert "providers" in runs("completion", shell)
        for arguments, words in ((("models", "list"), "lab"), (("chat", "-m", "lab", "Hello?"), "Hello")):
            with Pty([str(self.telex.command), *arguments], env=self.telex.env) as terminal:
                terminal.wait_for(words)
                assert terminal.wait() == 0
        with Pty([str(self.telex.command), "chat", "-m", "lab"], env=self.telex.env) as terminal:
            terminal.wait_for("^> ?$")
            terminal.type("Hello?\r")
            terminal.wait_for("^Hello$")
            terminal.wait_for("^> ?$")
            terminal.type("\x04")
            assert terminal.wait() == 0
        env = {"LAB_API_KEY": KEY, "TELEX_HOME": str(self.telex.home)}
        assert done(python, "-W", "error", "-c", LIBRARY, self._server.url, **env) == "Hello ChatEnded\n"


def _lab(asked: Asked) -> Answer:
    if asked.method == "POST" and "refuse me" in asked.raw.decode():
        return Answer([b'{"error": {"message": "no"}}'], status=401, headers={})
    if asked.method == "POST" and "response_format" in asked.body:
        return Answer(answer('{"age": 4}'))
    return keyed(KEY)(asked)
