"""Questions on the terminal: whether one can be asked, and confirmation before something is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from telex.exit_codes import ExitCode, Stop

if TYPE_CHECKING:
    from telex.console import Console


def can_prompt(console: Console) -> bool:
    """Whether stdin and stderr are terminals: a question can be shown there, and an answer typed."""
    return console.stdin_is_terminal() and console.err_is_terminal


def require_terminal(console: Console, otherwise: str) -> None:
    """Raise ``UsageError`` with the message ``otherwise`` if there is no terminal to prompt on."""
    if not can_prompt(console):
        raise click.UsageError(otherwise)


def confirm(console: Console, question: str, *, otherwise: str, declined: str) -> None:
    """Ask for confirmation; raises ``Stop``, after the note ``declined``, if the answer is no.

    Without a terminal, raises ``UsageError`` with the message ``otherwise``.
    """
    require_terminal(console, otherwise)
    if not click.confirm(question, err=True):
        console.note(declined)
        raise Stop(ExitCode.OTHER)


def confirm_removal(console: Console, what: str) -> None:
    """As ``confirm``, before ``what`` is removed."""
    confirm(
        console,
        f"Remove {what}?",
        otherwise=f"refusing to remove {what} without confirmation; use --yes",
        declined="Nothing was removed.",
    )
