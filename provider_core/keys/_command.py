"""A command that prints a key: how it is run, and when it is given up; what it printed is not judged here."""

from __future__ import annotations

import os
import re
import threading
import time
from typing import TYPE_CHECKING

from provider_core import limits
from provider_core.errors import KeyStoreError

if TYPE_CHECKING:
    import subprocess

__all__ = ["needs_shell", "run_command"]

_REST = 0.5
"""Seconds for what stands in the pipe once the command has ended."""

_SHELL = re.compile(r"[|&;<>()$`*?\[\]~\n]|^\s*\w+=")
"""Signs that only a shell gives a meaning to: pipes, variables, redirections, patterns, assignments."""


def run_command(command: str, deadline: float = limits.KEY_COMMAND) -> str:
    """What the command prints on stdout; its stderr goes to the terminal, never into the key.

    It runs without a shell unless it uses a shell's signs. Raises ``KeyStoreError``, which never holds
    what the command printed.
    """
    import shlex
    import subprocess

    shell = needs_shell(command)
    try:
        # Windows hands programs one string, and shlex would eat its backslashes.
        arguments = command if shell or os.name == "nt" else shlex.split(command)
        process = subprocess.Popen(arguments, shell=shell, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    except (OSError, ValueError) as error:
        words = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise KeyStoreError(f"the key command could not be run: {words}", code="key_command") from None
    try:
        printed = _printed(process, deadline)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode != 0:
        code = process.returncode
        ending = f"signal {-code}" if code < 0 else f"exit status {code}"
        raise KeyStoreError(f"the key command failed with {ending}", code="key_command")
    return printed.decode("utf-8", "replace")


def _printed(process: subprocess.Popen[bytes], deadline: float) -> bytes:
    """What the process has printed when it ends; raises where it takes too long or prints too much."""
    parts: list[bytes] = []

    def read() -> None:
        if process.stdout is None:
            return
        size = 0
        with process.stdout as stdout:
            while size <= limits.KEY and (part := os.read(stdout.fileno(), limits.KEY)):
                parts.append(part)
                size += len(part)

    # A program that the command left behind may hold the pipe open: the thread is left to it.
    reader = threading.Thread(target=read, name="telex-key-command", daemon=True)
    reader.start()
    until = time.monotonic() + deadline
    while reader.is_alive() and time.monotonic() < until:
        reader.join(0.05)
        if process.poll() is not None:
            until = min(until, time.monotonic() + _REST)
    if sum(map(len, parts)) > limits.KEY:
        raise KeyStoreError("the key command printed far more than a key", code="key_command")
    while process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    if process.poll() is None:
        raise KeyStoreError(f"the key command did not end within {deadline:g} s", code="key_command")
    return b"".join(parts)


def needs_shell(command: str) -> bool:
    """Whether only a shell can make sense of it."""
    return _SHELL.search(command) is not None
