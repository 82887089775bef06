"""The clipboard, by the system's program for it or, for writing only, by the terminal's own sequence (OSC 52).

On this machine, a program comes first: it reports whether it worked, and many terminals ignore OSC 52. Over SSH, a
program would reach the clipboard of the remote machine, so the terminal comes first, as in Neovim and Helix.
The terminal is never asked for the clipboard: most refuse, and others wait for the user's permission.
"""

from __future__ import annotations

import base64
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from provider_core.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from telex.console import Console

_SECONDS = 10.0
"""How long a program may take. Some wait until the clipboard's owner answers, which may hang itself."""
_MOST = 50_000_000
"""Bytes of the clipboard that are read."""
_MOST_OSC_52 = 1_000_000
"""Characters of base64 that most terminals accept; tmux drops more than 1 MiB (INPUT_BUF_LIMIT in its input.c)."""
_SCREEN_PIECE = 240
"""Characters that GNU screen passes through at once: its buffer has 256 in old versions, and 768 in others."""
_SYSTEM: str = sys.platform


class ClipboardError(click.ClickException):
    """The clipboard cannot be read or written; a second line of the message says how to fix that."""


class _Program(Struct):
    """A clipboard program; ``encoding`` is that of the text that it is given."""

    command: tuple[str, ...]
    encoding: str = "utf-8"


def copy(console: Console, text: str) -> str:
    """Put ``text`` into the clipboard; returns a sentence that says by which way.

    Nothing confirms that a terminal has accepted it. Raises ``ClipboardError``.
    """
    environ = console.environ
    remote = any(environ.get(name) for name in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT"))
    programs = list(_programs(environ, 0))
    tmux = [_Program(command=("tmux", "load-buffer", "-w", "-"))] if environ.get("TMUX") else []
    failures: list[str] = []
    if not remote and (way := _copy_by(programs, environ, text, failures)):
        return way
    # tmux 3.2 and newer pass a buffer on to the outer terminal, which their defaults forbid to the programs in them.
    if tmux and (way := _copy_by(tmux, environ, text, failures)):
        return way
    if _has_osc_52(console):
        encoded = base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")
        if len(encoded) <= _MOST_OSC_52:
            write = console.raw_err if console.err_is_terminal else console.raw_out
            write(_passed_through(f"\x1b]52;c;{encoded}\a", environ))
            return "Sent to the clipboard of the terminal, if it supports OSC 52."
        failures.append("the text is too long for the clipboard of a terminal")
    if remote and (way := _copy_by(programs, environ, text, failures)):
        return way
    raise ClipboardError(f"the clipboard cannot be written: {_reason(failures, environ)}")


def paste(console: Console) -> bytes:
    """The text of the clipboard in UTF-8, or an image if there is no text; raises ``ClipboardError``."""
    environ, failures = console.environ, []
    for program in _programs(environ, 1):
        data, failure = _run(program, environ)
        if failure is None:
            if len(data) > _MOST:
                raise ClipboardError(
                    f"the clipboard has more than {_MOST // 1_000_000} MB, the most that telex reads"
                )
            return data
        failures.append(failure)
    reason = _reason(failures, environ)
    if not failures and environ.get("SSH_CONNECTION"):
        reason = "telex runs on a remote machine\nPaste the text into an interactive conversation instead: telex chat"
    raise ClipboardError(f"the clipboard cannot be read: {reason}")


def _programs(environ: Mapping[str, str], column: int) -> Iterator[_Program]:
    """The installed programs for this system and session; ``column`` is 0 to write, 1 to read."""
    import shutil

    rows: list[tuple[str, str]] = []
    encoding = "utf-8"
    if _SYSTEM == "darwin":
        rows = [("pbcopy", "pbpaste")]
    elif _SYSTEM == "win32" or environ.get("WSL_DISTRO_NAME"):
        # clip.exe recognizes UTF-16 by its byte order mark.
        encoding = "utf-16"
        script = "[Console]::OutputEncoding=[Text.Encoding]::UTF8;Get-Clipboard -Raw"
        rows = [("clip.exe", f"powershell.exe -NoProfile -Command {script}")]
    else:
        if environ.get("WAYLAND_DISPLAY"):
            rows = [("wl-copy", "wl-paste --no-newline")]
        if environ.get("DISPLAY"):
            rows += [
                ("xclip -selection clipboard -in", "xclip -selection clipboard -out"),
                ("", "xclip -selection clipboard -out -target image/png"),
                ("xsel --clipboard --input", "xsel --clipboard --output"),
            ]
    for row in rows:
        words = row[column].split()
        if words and (found := shutil.which(words[0], path=environ.get("PATH"))):
            yield _Program(command=(found, *words[1:]), encoding=encoding)


def _copy_by(
    programs: list[_Program], environ: Mapping[str, str], text: str, failures: list[str]
) -> str | None:
    """The note about the first program that took the text; what went wrong is appended to ``failures``."""
    for program in programs:
        _, failure = _run(program, environ, text.encode(program.encoding, "replace"))
        if failure is None:
            return f"Copied to the clipboard ({os.path.basename(program.command[0])})."  # noqa: PTH119
        failures.append(failure)
    return None


def _run(
    program: _Program, environ: Mapping[str, str], data: bytes | None = None
) -> tuple[bytes, str | None]:
    """Run a program with ``data`` as its input, or read its output; returns that, and what went wrong."""
    import subprocess
    import tempfile

    name = os.path.basename(program.command[0])  # noqa: PTH119
    # pbcopy reads text in the encoding of the locale.
    env = {**environ, "LC_CTYPE": "UTF-8"} if _SYSTEM == "darwin" else dict(environ)
    # xclip and wl-copy leave a process behind, which keeps the clipboard and whatever pipe it has: so files, no pipes,
    # and a session of its own, in which a later Ctrl-C does not reach it.
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        options: dict[str, Any] = {"input": data} if data is not None else {"stdin": subprocess.DEVNULL}
        try:
            ran = subprocess.run(
                program.command,
                stdout=output,
                stderr=errors,
                env=env,
                timeout=_SECONDS,
                start_new_session=True,
                check=False,
                **options,
            )
        except subprocess.TimeoutExpired:
            return b"", f"{name} did not end within {_SECONDS:.0f} seconds"
        except OSError as error:
            return b"", f"{name} cannot be started: {error.strerror}"
        output.seek(0)
        errors.seek(0)
        if ran.returncode == 0:
            return output.read(_MOST + 1), None
        words = errors.read(2000).decode("utf-8", "replace").strip().splitlines()
    return b"", f"{name}: {words[0]}" if words else f"{name} exited with code {ran.returncode}"


def _has_osc_52(console: Console) -> bool:
    known = console.environ.get("TERM") not in (None, "", "dumb", "linux")
    return known and (console.err_is_terminal or console.out_is_terminal)


def _passed_through(sequence: str, environ: Mapping[str, str]) -> str:
    """The sequence so that tmux and GNU screen send it on to the terminal they run in."""
    if environ.get("TMUX"):
        escaped = sequence.replace("\x1b", "\x1b\x1b")
        return f"\x1bPtmux;{escaped}\x1b\\"
    if environ.get("STY"):
        pieces = (sequence[at : at + _SCREEN_PIECE] for at in range(0, len(sequence), _SCREEN_PIECE))
        return "".join(f"\x1bP{piece}\x1b\\" for piece in pieces)
    return sequence


def _reason(failures: list[str], environ: Mapping[str, str]) -> str:
    if failures:
        return "; ".join(failures)
    wanted = {"darwin": "pbcopy", "win32": "clip.exe"}.get(_SYSTEM)
    if wanted is None:
        if not (environ.get("WAYLAND_DISPLAY") or environ.get("DISPLAY")):
            return "there is no graphical session"
        wanted = "wl-clipboard" if environ.get("WAYLAND_DISPLAY") else "xclip"
        return f"no program for it is installed\nInstall {wanted}."
    return f"{wanted} was not found"
