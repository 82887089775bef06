"""Where each shell looks for a script, and putting it there; no file that a person writes is touched."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from provider_core import files
from provider_core.errors import FileError, SettingsError
from provider_core.structs import Struct
from telex.completion import FILES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Place", "find", "put"]


class Place(Struct):
    """The script's file, and what a person must do for the shell to read it: "" where it does so by itself."""

    path: Path
    todo: str = ""


PREFIXES = ("/usr", "/usr/local", "/opt/homebrew", "/opt/local")
"""Where packages are installed."""


_MARK = "telex-asks"
_LONGEST = 5.0
"""Seconds that a shell's startup files may take."""


def find(shell: str, environ: Mapping[str, str], *, prefixes: Sequence[str] = PREFIXES) -> Place:
    """The place of this shell's script for this user, in the home folder; starts the shell to ask it."""
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
    if _asked("bash", environ, "declare -F _comp_load _completion_loader __load_completion"):
        return Place(path=path)
    loaders = [Path(prefix) / "share/bash-completion/bash_completion" for prefix in prefixes]
    loader = next((each for each in loaders if each.exists()), None)
    if loader is not None:
        todo = f"bash-completion, which reads it, is not loaded. Add to ~/.bashrc: . {loader}"
    else:
        todo = f"bash-completion, which reads it, was not found. Without it, add to ~/.bashrc: . {_short(path, home)}"
    return Place(path=path, todo=todo)


def _zsh(home: Path, environ: Mapping[str, str]) -> Place:
    told = _asked("zsh", environ, "print -r -- ${+functions[compdef]}; print -rl -- $fpath")
    completes, folders = told[:1] == ["1"], [Path(line) for line in told[1:] if line]
    folder = next(
        (
            each
            for each in folders
            if each.name == "site-functions" and each.is_relative_to(home) and os.access(each, os.W_OK)
        ),
        home / ".zfunc",
    )
    try:
        settings = Path(environ.get("ZDOTDIR") or home, ".zshrc").read_text("utf-8", "replace")
    except OSError:
        settings = ""
    todo = []
    if folder not in folders and (told or folder.name not in settings):
        todo.append(f"fpath=({_short(folder, home)} $fpath)")
    if not completes and (told or "compinit" not in settings):
        todo.append("autoload -Uz compinit && compinit")
    where = "before the line with compinit" if completes else "at the end"
    return Place(
        path=folder / FILES["zsh"], todo=f"Add to ~/.zshrc, {where}:\n  " + "\n  ".join(todo) if todo else ""
    )


def _asked(shell: str, environ: Mapping[str, str], command: str) -> list[str]:
    """What the command prints in a new interactive shell, after its startup files; nothing without that shell."""
    try:
        ran = subprocess.run(
            [shell, "-i", "-c", f"echo; echo {_MARK}; {command}"],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LONGEST,
            start_new_session=True,  # an interactive shell would take the terminal for itself
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return ran.stdout.decode(errors="surrogateescape").partition(f"{_MARK}\n")[2].splitlines()


def _folder(environ: Mapping[str, str], variable: str, otherwise: Path) -> Path:
    given = environ.get(variable, "")
    return Path(given) if given.startswith("/") else otherwise


def _short(path: Path, home: Path) -> str:
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
