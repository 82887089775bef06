"""Running the installed ``telex`` as its users do: a process with its own home, pipes or a pseudo-terminal."""

from __future__ import annotations

import array
import json
import os
import shlex
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripted import Scripted

COMMAND = Path(sysconfig.get_path("scripts")) / "telex"
QUOTED = shlex.quote(str(COMMAND))  # for shells

# A child has no pytest around it: this makes it refuse what the guard in conftest refuses.
GUARD = Path(__file__).parent / "guard"


_started: list[subprocess.Popen[Any]] = []
Text = TypeVar("Text", str, bytes)


@dataclass(frozen=True)
class Ran:
    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()


def provider_table(name: str, url: str, **fields: object) -> str:
    """The settings of a provider without a key, unless ``fields`` say otherwise."""
    rows = {"base_url": url, "key": "none", "models": ["m"], **fields}
    lines = [f"{key} = {toml(value)}" for key, value in rows.items() if value is not None]
    return f"\n[providers.{name}]\n" + "\n".join(lines) + "\n"


class Telex:
    """``telex("chat", "hi")`` runs it and waits; ``start`` gives the process."""

    def __init__(self, home: Path, command: Path = COMMAND) -> None:
        self.home = home
        self.command = command
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "TELEX_HOME": str(home),
            "PYTHONPATH": str(GUARD),
            "PYTHONWARNINGS": "error",
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
            # The embedded model is never fetched.
            "PIP_INDEX_URL": "http://127.0.0.1:9/",
            "PIP_RETRIES": "0",
            "UV_DEFAULT_INDEX": "http://127.0.0.1:9/",
        }

    @property
    def settings(self) -> Path:
        return self.home / "config" / "settings.toml"

    def configure(self, text: str) -> None:
        self.settings.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.settings.write_text(text)
        self.settings.chmod(0o600)

    def provider(self, name: str, url: str, **fields: object) -> None:
        """Add a provider without a key, by hand, as people do."""
        before = self.settings.read_text() if self.settings.exists() else ""
        self.configure(before + provider_table(name, url, **fields))

    def start(self, *arguments: str, **options: object) -> subprocess.Popen[bytes]:
        env = self.env | options.pop("env", {})  # type: ignore[operator]
        defaults: dict[str, object] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        return ending(
            subprocess.Popen([str(self.command), *arguments], env=env, **{**defaults, **options})  # type: ignore[call-overload]
        )

    def __call__(
        self, *arguments: str, stdin: bytes | None = None, timeout: float = 200, **options: object
    ) -> Ran:
        if stdin is not None:
            options["stdin"] = subprocess.PIPE
        process = self.start(*arguments, **options)
        try:
            out, err = process.communicate(stdin, timeout=timeout)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        return Ran(process.returncode, out or b"", (err or b"").decode())


def ending(process: subprocess.Popen[Text]) -> subprocess.Popen[Text]:
    """The process, which ends with the test even if that fails: a later test would get the warning of a lost one."""
    _started.append(process)
    return process


def end_processes() -> None:
    while _started:
        with _started.pop() as process:
            if process.poll() is None:
                process.kill()


def secrets_in(keyring: Path) -> dict[str, str]:
    """The secrets in the keyring file of ``keyring_in_a_file``, by name, whatever home they belong to."""
    from provider_core.keys import unseal

    kept = json.loads(keyring.read_text() or "{}") if keyring.exists() else {}
    entries = {name.removeprefix("telex/"): text for name, text in kept.items() if "@" in name}
    return {name.partition("@")[0]: unseal(text)[0] for name, text in entries.items()}


def toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case dict():
            return "{" + ", ".join(f"{toml(k)} = {toml(v)}" for k, v in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(toml, value)) + "]"
        case _:
            return str(value)


def python(code: str, env: dict[str, str] | None = None) -> str:
    """What a fresh interpreter prints for ``code``."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def idle(pid: int) -> bool:
    """Whether all threads of the process wait, each time one looks: it has taken all that was sent to it."""
    for _ in range(5):
        time.sleep(0.02)
        try:
            states = [
                each.read_text().rpartition(")")[2].split()[0]
                for each in Path(f"/proc/{pid}/task").glob("*/stat")
            ]
        except OSError:  # a thread has ended meanwhile
            return False
        if set(states) != {"S"}:
            return False
    return True


def took(process: subprocess.Popen[bytes], server: Scripted, requests: int = 1) -> bool:
    """Whether the process has taken so many answers, up to their first pauses, and waits for the rest."""
    return sum(asked.sent.is_set() for asked in server.asked) >= requests and idle(process.pid)


def unread(pipe: int) -> int:
    """The bytes in a pipe."""
    import fcntl
    import termios

    size = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, size)
    return size[0]


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Whether it came to hold in that time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
