"""Where each shell looks for a script, and putting it there; no file that a person writes is touched."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provider_core import files
from provider_core.errors import FileError, SettingsError
from telex.completion import FILES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Place", "find", "put"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The script's file, and what a person must do for the shell to read it: "" where it does so by itself."""

    path: Path
    todo: str = ""


PREFIXES = ("/usr", "/usr/local", "/opt/homebrew", "/opt/local")
"""Where packages are installed."""


def find(shell: str, environ: Mapping[str, str], *, prefixes: Sequence[str] = PREFIXES) -> Place:
    """The place of this shell's script for this user; starts zsh to ask it where it looks."""
    home = _home(environ)
    match shell:
        case "bash":
            return _bash(home, environ, prefixes)
        case "zsh":
            return _zsh(home, environ)
        case _:
            config = _folder(environ, "XDG_CONFIG_HOME", home / ".config")
            return Place(path=config / "fish" / "completions" / FILES["fish"])


def _home(environ: Mapping[str, str]) -> Path:
    try:
        return Path(environ.get("HOME") or Path.home())
    except RuntimeError:
        raise SettingsError("there is no home folder for a shell's settings: set HOME") from None


def put(path: Path, text: str) -> str:
    """Write the script in one step, and say what was done; raises ``FileError``."""
    target = path.resolve()  # a link that the user made stays one
    try:
        before = target.read_text("utf-8", "replace")
    except OSError:
        before = None
    if before == text:
        return f"{path} is up to date."
    try:
        files.make_folder(target.parent)
    except OSError as error:
        raise FileError(f"{path} cannot be written", path=path, reason=error.strerror or "") from error
    files.replace(target, text.encode(), mode=0o644)
    return f"{path} is written." if before is None else f"{path} is replaced: it was another one."


def _bash(home: Path, environ: Mapping[str, str], prefixes: Sequence[str]) -> Place:
    own = environ.get("BASH_COMPLETION_USER_DIR", "").partition(":")[0]
    data = _folder(environ, "XDG_DATA_HOME", home / ".local" / "share")
    path = (Path(own) if own else data / "bash-completion") / "completions" / "telex"
    if any((Path(prefix) / "share/bash-completion/bash_completion").exists() for prefix in prefixes):
        return Place(path=path)
    todo = f"bash-completion, which reads it, was not found. Without it, add to ~/.bashrc: . {_short(path, home)}"
    return Place(path=path, todo=todo)


def _zsh(home: Path, environ: Mapping[str, str]) -> Place:
    name = FILES["zsh"]
    for folder in _zsh_folders(environ):
        if folder.name == "site-functions" and os.access(folder, os.W_OK):
            return Place(path=folder / name)
    folder = home / ".zfunc"
    try:
        settings = Path(environ.get("ZDOTDIR") or home, ".zshrc").read_text("utf-8", "replace")
    except OSError:
        settings = ""
    todo = []
    if ".zfunc" not in settings:
        todo.append("fpath=(~/.zfunc $fpath)")
    if "compinit" not in settings:
        todo.append("autoload -Uz compinit && compinit")
    where = "before the line with compinit" if "compinit" in settings else "at the end"
    return Place(
        path=folder / name, todo=f"Add to ~/.zshrc, {where}:\n  " + "\n  ".join(todo) if todo else ""
    )


def _zsh_folders(environ: Mapping[str, str]) -> list[Path]:
    """Where a zsh looks before the user's ~/.zshrc is read; nowhere if there is no zsh."""
    try:
        ran = subprocess.run(
            ["zsh", "-c", "print -rl -- $fpath"],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [Path(line) for line in ran.stdout.decode(errors="surrogateescape").splitlines() if line]


def _folder(environ: Mapping[str, str], variable: str, otherwise: Path) -> Path:
    given = environ.get(variable, "")
    return Path(given) if given.startswith("/") else otherwise


def _short(path: Path, home: Path) -> str:
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
