"""Real shells in a pseudo-terminal: tests type keys and read the screen."""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from terminal import Pty

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")

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
set -g fish_autosuggestion_enabled 0  # a command of an earlier test would be shown
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


class Shell(Pty):
    """An interactive shell in which ``telex`` prints its arguments; ``around`` is a command that runs the shell."""

    _shown: dict[int, str]

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
        self._shown = {}
        env = {**env, "TERM": "xterm", "HOME": str(home), **more}
        super().__init__([*around, *argv], env=env, columns=140, lines=100, cwd=cwd)
        try:
            self.wait_until(lambda text: text == "$", "prompt")
        except BaseException:
            self.__exit__()
            raise

    @property
    def text(self) -> str:
        """The lines of the screen that are not empty."""
        for at in self.screen.dirty:  # the others are as they were
            row = self.screen.buffer[at]
            self._shown[at] = "".join(row[column].data for column in range(self.screen.columns)).rstrip()
        self.screen.dirty.clear()
        return "\n".join(line for _, line in sorted(self._shown.items()) if line)

    def read(self, seconds: float) -> bool:
        before = len(self.raw)
        found = super().read(max(seconds, 0))
        if re.search(rb"\x1b\[0?c", self.raw[before:]):
            self.type("\x1b[?1;2c")  # newer fish asks what the terminal is, and waits for the answer
        return found

    def wait_until(self, seen: Callable[[str], bool], what: str, seconds: float = 100) -> str:
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

    def fresh(self) -> None:
        """An empty line on an empty screen."""
        # Keys, and not Ctrl-C: a signal may come in the middle of a completion, and take keys with it.
        self.type("\x05\x15\x0c")
        self.wait_until(lambda text: text == "$", "empty screen")

    def offers(self, line: str, *wanted: str) -> str:
        """Type the line, press Tab, wait for the candidates ``wanted``, and return the screen."""
        self.fresh()
        self.type(line)
        self.wait_until(lambda text: line.rstrip() in text, "echo of the line")
        # Bash lists at the second Tab in a row that adds nothing.
        self.type("\t\t\t" if self.kind.family == "bash" else "\t")
        return self.wait_until(lambda text: all(word in text for word in wanted), f"{wanted} after {line!r}")

    def offers_nothing(self, line: str) -> None:
        """Type the line, press Tab, and check that the screen does not change."""
        self.fresh()
        self.type(line)
        before = self.wait_until(lambda text: line.rstrip() in text, "echo of the line")
        self.type("\t")
        assert self.settle(0.15) == before
        self.type("\t")
        assert self.settle(0.15) == before

    def words(self, keys: str) -> list[str]:
        """Type the keys, which may contain Tabs, and Return; the arguments of telex."""
        self.fresh()
        for part in re.split("(\t)", keys):
            self.type(part)
        self.type("\r")
        text = self.wait_until(
            lambda text: re.search(r"^<.*>\|$", text, re.MULTILINE | re.DOTALL) is not None, "words"
        )
        found = re.search(r"^<(.*)>\|$", text, re.MULTILINE | re.DOTALL)
        assert found is not None
        return found[1].split("><")

    def run(self, command: str) -> None:
        """Run a command that prints nothing."""
        self.fresh()
        self.type(f"{command}\r")
        self.wait_until(lambda text: text.endswith("\n$"), "prompt")
