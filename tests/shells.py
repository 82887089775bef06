"""Real shells in a pseudo-terminal: tests type keys and read the screen."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

try:
    import fcntl
    import pty
    import termios
except ImportError:
    pytest.skip("Windows has no pseudo-terminals", allow_module_level=True)

import pyte

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROWS, COLUMNS = 100, 140
BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")


class Terminal:
    """A process on a screen of 100 lines of 140 characters."""

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> None:
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self._shown = [""] * ROWS
        self.raw = b""
        """Output that is not yet on ``lines``."""
        self.pid, self._leader = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(cwd)
                os.execvpe(argv[0], list(argv), {**env, "TERM": "xterm"})
            finally:
                os._exit(127)
        fcntl.ioctl(self._leader, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._leader)

    @property
    def lines(self) -> list[str]:
        """The lines of the screen that are not empty."""
        self._stream.feed(self.raw)
        self.raw = b""
        for at in self._screen.dirty:
            row = self._screen.buffer[at]
            self._shown[at] = "".join(row[column].data for column in range(COLUMNS)).rstrip()
        self._screen.dirty.clear()
        return [line for line in self._shown if line]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def send(self, keys: str) -> None:
        os.write(self._leader, keys.encode())

    def read(self, seconds: float) -> bool:
        """Read output that comes within ``seconds``; returns whether any came."""
        ready, _, _ = select.select([self._leader], [], [], max(seconds, 0))
        if not ready:
            return False
        try:
            data = os.read(self._leader, 65536)
        except OSError:
            data = b""
        if not data:
            raise AssertionError(f"the shell has ended; its screen:\n{self.text}")
        if b"\x1b[c" in data or b"\x1b[0c" in data:
            self.send("\x1b[?1;2c")  # newer fish asks what the terminal is, and waits for the answer
        self.raw += data
        return True

    def wait(self, seen: Callable[[str], bool], what: str, seconds: float = 10) -> str:
        """Read until ``seen`` is true for the screen, and return the screen."""
        deadline = time.monotonic() + seconds
        while not seen(self.text):
            left = deadline - time.monotonic()
            assert left > 0, f"no {what} on the screen:\n{self.text}"
            self.read(left)
        return self.text

    def settle(self, quiet: float) -> str:
        """Read until no output has come for ``quiet`` seconds, and return the screen."""
        while self.read(quiet):
            pass
        return self.text


_SAY_WORDS = r"""telex() { printf '<%s>' "$@"; printf '|\n'; }"""

_BASH = rf"""
PS1='$ '
bind 'set completion-query-items 0'
bind 'set page-completions off'
bind 'set bell-style none'
{_SAY_WORDS}
"""

_ZSH = rf"""
PROMPT='$ '
LISTMAX=10000
autoload -Uz compinit && compinit -u -D
{_SAY_WORDS}
"""

_FISH = r"""
function fish_prompt; echo '$ '; end
function fish_greeting; end
function telex; printf '<%s>' $argv; printf '|\n'; end
"""


@dataclass(frozen=True)
class Kind:
    """A shell, and how it loads the completion script; ``rc`` is its startup file."""

    name: str
    program: str
    rc: str

    @property
    def missing(self) -> str:
        """Why it cannot be started here, or ""."""
        if shutil.which(self.program) is None:
            return f"{self.program} is not installed"
        if "bash_completion" in self.rc and not BASH_COMPLETION.exists():
            return "the package bash-completion is not installed"
        return ""

    @property
    def family(self) -> str:
        """ "bash", "zsh" or "fish"."""
        return self.name.partition(" ")[0]


# Each reads what ``telex completion --install`` has put in its place; TELEX_COMMAND is the installed command.
BASH = Kind("bash", "bash", f"{_BASH}. ~/.local/share/bash-completion/completions/telex\n")
BASH_WITH_PACKAGE = Kind("bash with bash-completion", "bash", f"{_BASH}. {BASH_COMPLETION}\n")
ZSH = Kind("zsh", "zsh", _ZSH)
ZSH_EVAL = Kind("zsh with eval", "zsh", f'{_ZSH}eval "$($TELEX_COMMAND completion zsh)"\n')
ZSH_EARLY = Kind("zsh with eval before compinit", "zsh", f'eval "$($TELEX_COMMAND completion zsh)"\n{_ZSH}')
FISH = Kind("fish", "fish", _FISH)


class Shell(Terminal):
    """An interactive shell in which ``telex`` prints its arguments; ``around`` is a command that runs the shell."""

    def __init__(
        self, kind: Kind, *, home: Path, env: Mapping[str, str], cwd: Path, around: Sequence[str] = ()
    ) -> None:
        self.kind = kind
        rc = home / ".rc"
        rc.mkdir(exist_ok=True)
        more: dict[str, str] = {}
        match kind.family:
            case "bash":
                argv = [kind.program, "--noprofile", "--rcfile", str(rc / "bashrc"), "-i"]
                (rc / "bashrc").write_text(kind.rc)
            case "zsh":
                argv = [kind.program, "-i"]
                (rc / ".zshrc").write_text(kind.rc)
                # Only zsh's own functions and this home's: no other test's, and nothing of the machine's.
                (rc / ".zshenv").write_text(
                    "skip_global_compinit=1\nfpath=(~/site-functions ${(M)fpath:#*/functions(|/*)})\n"
                )
                more = {"ZDOTDIR": str(rc)}
            case _:
                argv = [kind.program, "--private", "-C", f"source {rc}/config.fish"]
                (rc / "config.fish").write_text(kind.rc)
                # Else the first fish of a home makes completions of all manual pages, in the background.
                (home / ".local/share/fish/generated_completions").mkdir(parents=True, exist_ok=True)
        super().__init__([*around, *argv], env={**env, "HOME": str(home), **more}, cwd=cwd)
        self.wait(lambda text: text == "$", "prompt", seconds=30)

    def fresh(self) -> None:
        """An empty line on an empty screen."""
        # Keys, and not Ctrl-C: a signal may come in the middle of a completion, and take keys with it.
        self.send("\x05\x15\x0c")
        self.wait(lambda text: text == "$", "empty screen")

    def offers(self, line: str, *wanted: str) -> str:
        """Type the line, press Tab, wait for the candidates ``wanted``, and return the screen."""
        self.fresh()
        self.send(line)
        self.wait(lambda text: line.rstrip() in text, "echo of the line")
        # Bash lists at the second Tab in a row that adds nothing.
        self.send("\t\t\t" if self.kind.family == "bash" else "\t")
        return self.wait(lambda text: all(word in text for word in wanted), f"{wanted} after {line!r}")

    def offers_nothing(self, line: str) -> None:
        """Type the line, press Tab, and check that the screen does not change."""
        self.fresh()
        self.send(line)
        before = self.wait(lambda text: line.rstrip() in text, "echo of the line")
        self.send("\t")
        assert self.settle(0.15) == before
        self.send("\t")
        assert self.settle(0.15) == before

    def words(self, keys: str) -> list[str]:
        """Type the keys, which may contain Tabs, and Return; the arguments of telex."""
        self.fresh()
        for part in re.split("(\t)", keys):
            self.send(part)
        self.send("\r")
        text = self.wait(
            lambda text: re.search(r"^<.*>\|$", text, re.MULTILINE | re.DOTALL) is not None, "words"
        )
        found = re.search(r"^<(.*)>\|$", text, re.MULTILINE | re.DOTALL)
        assert found is not None
        return found[1].split("><")

    def run(self, command: str) -> None:
        """Run a command that prints nothing."""
        self.fresh()
        self.send(f"{command}\r")
        self.wait(lambda text: text.endswith("\n$"), "prompt")
