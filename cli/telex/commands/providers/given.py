"""What several commands are given alike: a new provider's name, an address, and the parts of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from telex.exits import ExitCode, Stop

if TYPE_CHECKING:
    from telex.context import App

__all__ = ["address", "assignment", "new_name"]


def new_name(app: App, name: str) -> None:
    """Raise ``InvalidInputError`` for what can be no provider's name, and stop at one that is a model's alias."""
    from provider_core.settings.rules import check_name

    check_name(name)
    alias = next((known for known in app.settings.aliases if known.casefold() == name.casefold()), None)
    if alias is not None and name not in app.settings.providers:
        app.console.error(
            f"{alias} is a short name for {app.settings.aliases[alias]} already",
            f"Choose another name, or remove that one: telex models alias {alias} --remove",
        )
        raise Stop(ExitCode.SETTINGS)


def address(app: App, text: str) -> str:
    """The base URL in ``text``; says what of it was dropped."""
    from provider_core.settings import rules

    found = rules.address(text)
    if found.dropped:
        app.console.note(f"{' and '.join(found.dropped)} at the end is dropped: the base URL is {found.url}")
    return found.url


def assignment(text: str) -> tuple[str, str]:
    """Name and value of ``PART=VALUE``."""
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"{text!r} is not PART=VALUE, for example account_id=0123abcd")
    return name.strip(), value.strip()
