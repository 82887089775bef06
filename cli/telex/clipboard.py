"""The clipboard, by the system's program for it or, for writing only, by the terminal's own sequence (OSC 52).

On this machine, a program comes first: it reports whether it worked, and many terminals ignore OSC 52. Over SSH, a
program would reach the clipboard of the remote machine, so the terminal comes first, as in Neovim and Helix.
The terminal is never asked for the clipboard: most refuse, and others wait for the user's permission.
"""

from __future__ import annotations

import base64
import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from telex.console import Console

_SECONDS = 10.0
"""How long a program may take. Some wait until the clipboard's owner answers, which may hang itself."""
_MOST = 50_000_000
"""Bytes of the clipboard that are read."""
_MOST_OSC_52 = 1_000_000
"""Characters of base64 that most terminals accept; tmux drops more than 1 MiB (INPUT_BUF_LIMIT in its input.c)."""
_SYSTEM: str = sys.platform


class ClipboardError(click.ClickException):
    """The clipboard cannot be read or written; a second line of the message says how to fix that."""


def copy(console: Console, text: str) -> str:
    """Put ``text`` into the clipboard; returns a sentence that says by which way.

    Nothing confirms that a terminal has accepted it. Raises ``ClipboardError``.
    """
    environ = console.environ
    remote = any(environ.get(name) for name in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT"))
    programs = list(_programs(environ, 0))
    # tmux 3.2 and newer pass a buffer on to the outer terminal, which their defaults forbid to the programs in them.
    tmux = [["tmux", "load-buffer", "-w", "-"]] if environ.get("TMUX") else []
    failures: list[str] = []
    if way := _copy_by([*(programs if not remote else ()), *tmux], environ, text, failures):
        return way
    if environ.get("TERM") not in (None, "", "dumb", "linux") and (
        console.err_is_terminal or console.out_is_terminal
    ):
        encoded = base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")
        if len(encoded) <= _MOST_OSC_52:
            sequence = f"\x1b]52;c;{encoded}\a"
            if environ.get("TMUX"):  # which sends it on to the terminal that it runs in
                escaped = sequence.replace("\x1b", "\x1b\x1b")
                sequence = f"\x1bPtmux;{escaped}\x1b\\"
            write = console.raw_err if console.err_is_terminal else console.raw_out
            write(sequence)
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


def _programs(environ: Mapping[str, str], column: int) -> Iterator[list[str]]:
    """The commands of the installed programs for this system and session; ``column`` is 0 to write, 1 to read."""
    import shutil

    rows: list[tuple[str, str]] = []
    if _SYSTEM == "darwin":
        rows = [("pbcopy", "pbpaste")]
    elif _SYSTEM == "win32" or environ.get("WSL_DISTRO_NAME"):
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
            yield [found, *words[1:]]


def _copy_by(
    programs: list[list[str]], environ: Mapping[str, str], text: str, failures: list[str]
) -> str | None:
    """The note about the first program that took the text; what went wrong is appended to ``failures``."""
    for program in programs:
        name = os.path.basename(program[0])  # noqa: PTH119
        # clip.exe recognises UTF-16 by its byte order mark.
        encoding = "utf-16" if name == "clip.exe" else "utf-8"
        _, failure = _run(program, environ, text.encode(encoding, "replace"))
        if failure is None:
            return f"Copied to the clipboard ({name})."
        failures.append(failure)
    return None


def _run(program: list[str], environ: Mapping[str, str], data: bytes = b"") -> tuple[bytes, str | None]:
    """Run a program with ``data`` as its input, or read its output; returns that, and what went wrong."""
    import subprocess
    import tempfile

    name = os.path.basename(program[0])  # noqa: PTH119
    # pbcopy reads text in the encoding of the locale.
    env = {**environ, "LC_CTYPE": "UTF-8"} if _SYSTEM == "darwin" else dict(environ)
    # xclip and wl-copy leave a process behind, which keeps the clipboard and whatever pipe it has: so files, no pipes,
    # and a session of its own, in which a later Ctrl-C does not reach it.
    try:
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            ran = subprocess.run(
                program, input=data, stdout=output, stderr=errors, env=env, timeout=_SECONDS,
                start_new_session=True, check=False,
            )  # fmt: skip
            output.seek(0)
            errors.seek(0)
            if ran.returncode == 0:
                return output.read(_MOST + 1), None
            words = errors.read(2000).decode("utf-8", "replace").strip().splitlines()
    except subprocess.TimeoutExpired:
        return b"", f"{name} did not end within {_SECONDS:.0f} seconds"
    except OSError as error:
        return b"", f"{name} cannot be started: {error.strerror}"
    return b"", f"{name}: {words[0]}" if words else f"{name} exited with code {ran.returncode}"


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
