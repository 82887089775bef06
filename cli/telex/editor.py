"""Edit a file or a text in the user's editor."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from telex.app import App
    from telex.console import Console


def edit_file(app: App, path: Path, *, is_copy: bool = False) -> None:
    """Edit the file in $VISUAL, $EDITOR or a common editor, and wait until it ends; raises ``ClickException``.

    The error names the file unless it ``is_copy``, which may be removed after that.
    """
    failed = _run(app, path)
    if failed:
        raise click.ClickException(failed if is_copy else f"{failed}; {path} may be unfinished")


def edit_text(app: App, text: str, *, suffix: str = ".md", terminal: int | None = None) -> str:
    """The edited text, without its last newline; raises ``ClickException``.

    ``terminal`` is a descriptor of the terminal to use if stdin or stdout is something else.
    """
    import tempfile

    path = None
    try:
        handle, name = tempfile.mkstemp(prefix="telex-", suffix=suffix)
        path = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(f"{text}\n".encode() if text else b"")
        failed = _run(app, path, terminal)
        if failed:
            raise click.ClickException(f"{failed}: the edited text is not used")
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").removesuffix("\n")
    except UnicodeDecodeError:
        raise click.ClickException("the edited text is not UTF-8") from None
    except OSError as error:
        raise click.ClickException(f"the text cannot be edited: {error.strerror}") from None
    finally:
        if path is not None:
            path.unlink(missing_ok=True)


def run_in_foreground(console: Console, command: str | list[str], terminal: int | None) -> int:
    """Run a program to which the terminal belongs meanwhile; returns its exit code, raises ``OSError``.

    ``terminal`` is its stdin or stdout where those of telex are something else.
    """
    import subprocess

    console.flush()
    stdin = None if console.stdin_is_terminal() else terminal
    stdout = None if console.out_is_terminal else terminal
    # While it runs, Ctrl-C is for the program. A child inherits an ignored signal, but not a handler.
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, lambda *_: None) if main else None
    try:
        return subprocess.run(command, stdin=stdin, stdout=stdout, check=False).returncode
    finally:
        if main:
            signal.signal(signal.SIGINT, before)


def _run(app: App, path: Path, terminal: int | None = None) -> str | None:
    """Run the editor; returns an error message if it exits with an error."""
    import shlex
    import subprocess

    named = _editor(app, has_terminal=terminal is not None or app.console.stdin_is_terminal())
    command: str | list[str]
    name = named
    try:
        if sys.platform == "win32":  # it splits the line itself, by its own rules for quotes and backslashes
            command = f"{named} {subprocess.list2cmdline([str(path)])}"
        else:
            command = [*shlex.split(named), str(path)]
            name = command[0]
        code = run_in_foreground(app.console, command, terminal)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "a quote is not closed"
        raise click.ClickException(f"the editor {name} cannot be started: {why}") from None
    return f"the editor {name} exited with code {code}" if code else None


def _editor(app: App, *, has_terminal: bool) -> str:
    """The command of $VISUAL or $EDITOR; else, on a terminal, a common editor."""
    import shutil

    for variable in ("VISUAL", "EDITOR"):
        if wanted := app.runtime.environ.get(variable, "").strip():
            return wanted
    usual = ("editor", "nano", "vi", "notepad.exe")
    found = next((name for name in usual if shutil.which(name)), None)
    if found is None or not has_terminal:
        raise click.UsageError("no editor configured\nSet VISUAL or EDITOR.")
    return found
