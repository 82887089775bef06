"""Install a completion script where the shell looks for it, without changing the user's own startup files."""

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


class Place(Struct):
    """Where the script belongs, and what the user must do so that the shell reads it ("" for nothing)."""

    path: Path
    todo: str = ""


PREFIXES = ("/usr", "/usr/local", "/opt/homebrew", "/opt/local")
"""Where packages are installed."""
_MARKER = "telex-output"
_TIMEOUT = 5.0
"""Seconds that a shell's startup files may take."""


def find(shell: str, environ: Mapping[str, str], *, prefixes: Sequence[str] = PREFIXES) -> Place:
    """The place of this shell's script in the user's home folder; bash and zsh are run to find out.

    Raises ``SettingsError`` if there is no home folder.
    """
    try:
        home = Path(environ.get("HOME") or Path.home())
    except RuntimeError:
        raise SettingsError("there is no home folder for a shell's settings: set HOME") from None
    match shell:
        case "bash":
            return _bash(home, environ, prefixes)
        case "zsh":
            return _zsh(home, environ)
        case _:
            config = _folder(environ, "XDG_CONFIG_HOME", home / ".config")
            return Place(path=config / "fish" / "completions" / FILES["fish"])


def put(path: Path, text: str) -> str:
    """Write the script atomically, and return what was done; raises ``FileError``."""
    target = path.resolve()  # replace the file that a symbolic link points to, not the link
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
    return f"Wrote {path}." if before is None else f"Replaced {path}, which had other contents."


def _bash(home: Path, environ: Mapping[str, str], prefixes: Sequence[str]) -> Place:
    own = environ.get("BASH_COMPLETION_USER_DIR", "").partition(":")[0]
    data = _folder(environ, "XDG_DATA_HOME", home / ".local" / "share")
    path = (Path(own) if own else data / "bash-completion") / "completions" / "telex"
    if _output("bash", environ, "declare -F _comp_load _completion_loader __load_completion"):
        return Place(path=path)
    loaders = [Path(prefix) / "share/bash-completion/bash_completion" for prefix in prefixes]
    loader = next((each for each in loaders if each.exists()), None)
    if loader is not None:
        todo = f"Bash reads it with the package bash-completion, which is not loaded. Add to ~/.bashrc: . {loader}"
    else:
        todo = (
            f"The package bash-completion was not found. Without it, add to ~/.bashrc: . {_short(path, home)}"
        )
    return Place(path=path, todo=todo)


def _zsh(home: Path, environ: Mapping[str, str]) -> Place:
    output = _output("zsh", environ, "print -r -- ${+functions[compdef]}; print -rl -- $fpath")
    completes, folders = output[:1] == ["1"], [Path(line) for line in output[1:] if line]
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
    if folder not in folders and (output or folder.name not in settings):
        todo.append(f"fpath=({_short(folder, home)} $fpath)")
    if not completes and (output or "compinit" not in settings):
        todo.append("autoload -Uz compinit && compinit")
    where = "before the line with compinit" if completes else "at the end"
    return Place(
        path=folder / FILES["zsh"], todo=f"Add to ~/.zshrc, {where}:\n  " + "\n  ".join(todo) if todo else ""
    )


def _output(shell: str, environ: Mapping[str, str], command: str) -> list[str]:
    """The lines that ``command`` prints in a new interactive shell; none if the shell cannot be run in time."""
    try:
        ran = subprocess.run(
            [shell, "-i", "-c", f"echo; echo {_MARKER}; {command}"],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT,
            start_new_session=True,  # or the interactive shell would take over the terminal
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return ran.stdout.decode(errors="surrogateescape").partition(f"{_MARKER}\n")[2].splitlines()


def _folder(environ: Mapping[str, str], variable: str, otherwise: Path) -> Path:
    given = environ.get(variable, "")
    return Path(given) if given.startswith("/") else otherwise


def _short(path: Path, home: Path) -> str:
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
