"""The user's own editor, on a file or a text; what is done with what it leaves is the caller's."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from telex.app import App

__all__ = ["edit_file", "edit_text"]


def edit_file(app: App, path: Path) -> None:
    """Run $VISUAL, else $EDITOR, else a usual one, on the file until it ends; raises ``click.ClickException``."""
    failed = _run(app, path)
    if failed:
        raise click.ClickException(f"{failed}; {path} is as it left it")


def edit_text(app: App, text: str, *, suffix: str = ".md", terminal: int | None = None) -> str:
    """``text`` as the editor leaves it, without the last line's end; raises as ``edit_file`` does.

    ``terminal`` is a descriptor of the editor's terminal, where stdin or stdout may be something else.
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
            raise click.ClickException(f"{failed}: what it left is not taken")
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").removesuffix("\n")
    except UnicodeDecodeError:
        raise click.ClickException("what the editor left is not UTF-8 text") from None
    except OSError as error:
        raise click.ClickException(f"the text cannot be edited: {error.strerror}") from None
    finally:
        if path is not None:
            path.unlink(missing_ok=True)


def _run(app: App, path: Path, terminal: int | None = None) -> str | None:
    """How the editor ended, where that was not well."""
    import shlex
    import subprocess

    console = app.console
    named = _editor(app, asked=terminal is not None or console.stdin_is_terminal())
    try:
        words = shlex.split(named, posix=os.name == "posix")
    except ValueError:
        raise click.ClickException(f"the editor {named!r} cannot be started: a quote is not closed") from None
    console.flush()
    stdin = None if console.stdin_is_terminal() else terminal
    stdout = None if console.out_is_terminal else terminal
    # Ctrl-C is the editor's for as long as it runs. Ignoring it would be inherited; a handler is not.
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, lambda *_: None) if main else None
    try:
        code = subprocess.run([*words, str(path)], stdin=stdin, stdout=stdout, check=False).returncode
    except OSError as error:
        raise click.ClickException(f"the editor {words[0]} cannot be started: {error.strerror}") from None
    finally:
        if main:
            signal.signal(signal.SIGINT, before)
    return f"the editor {words[0]} ended with code {code}" if code else None


def _editor(app: App, *, asked: bool) -> str:
    """The editor that is named, else a usual one, for which somebody has to be there who ``asked`` for it."""
    import shutil

    for variable in ("VISUAL", "EDITOR"):
        if wanted := app.runtime.environ.get(variable, "").strip():
            return wanted
    usual = ("editor", "nano", "vi", "notepad.exe")
    found = next((name for name in usual if shutil.which(name)), None)
    if found is None or not asked:
        raise click.UsageError("no editor is named: set EDITOR")
    return found
