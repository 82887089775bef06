"""The prompt of ``telex chat``: stdin, a blank line, the words of the command line, as far as each is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from telex.options import readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telex.console import Console

__all__ = ["read_prompt"]


def read_prompt(console: Console, words: Sequence[str], *, no_stdin: bool) -> str:
    """The whole prompt; raises ``click.UsageError`` where there is none."""
    # Within a sentence a dash is a dash: only at its ends it stands for stdin.
    forced = "-" in (*words[:1], *words[-1:])
    if forced and no_stdin:
        raise click.UsageError('"-" reads stdin and --no-stdin does not: take one of them')
    if forced:
        words = words[1:] if words[0] == "-" else words[:-1]
    typed = readable(" ".join(words), "the prompt")
    piped = None
    if not no_stdin:
        piped = console.read_stdin(wait=forced or not (typed.strip() or console.stdin_is_terminal()))
    if piped and not piped.strip() and typed.strip():
        piped = None  # an empty line from a script's stdin is no text to talk about
    parts = [part for part in (piped, typed) if part]
    text = "\n\n".join(parts)
    if not text.strip():
        raise click.UsageError(
            'there is no prompt: give one, as in telex chat "Why is the sky blue?", or pipe one in'
        )
    return text
