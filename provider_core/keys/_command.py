"""A command that prints a key: how it is run, and when it is given up; what it printed is not judged here."""

from __future__ import annotations

import os
import re

from provider_core.errors import KeyCommandError

__all__ = ["needs_shell", "run_command"]

DEADLINE = 30.0
"""Seconds a key command may take; it may ask a person for a fingerprint or a passphrase."""

_SHELL = re.compile(r"[|&;<>()$`*?\[\]~\n]|^\s*\w+=")
"""Signs that only a shell gives a meaning to: pipes, variables, redirections, patterns, assignments."""


def run_command(command: str, deadline: float = DEADLINE) -> str:
    """What the command prints on stdout; its stderr goes to the terminal, never into the key.

    It runs without a shell unless it uses a shell's signs. Raises ``KeyCommandError``, which never holds
    what the command printed.
    """
    import shlex
    import subprocess

    shell = needs_shell(command)
    try:
        # Windows hands programs one string, and shlex would eat its backslashes.
        arguments = command if shell or os.name == "nt" else shlex.split(command)
        done = subprocess.run(
            arguments,
            shell=shell,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=deadline,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise KeyCommandError(f"the key command did not end within {deadline:g} s") from None
    except (OSError, ValueError) as error:
        words = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise KeyCommandError(f"the key command could not be run: {words}") from None
    if done.returncode != 0:
        ending = f"signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
        raise KeyCommandError(f"the key command failed with {ending}")
    return done.stdout.decode("utf-8", "replace")


def needs_shell(command: str) -> bool:
    """Whether only a shell can make sense of it."""
    return _SHELL.search(command) is not None
