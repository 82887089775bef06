"""Options of several commands: a new provider's name, its address and the parts of the address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from telex.exit_codes import ExitCode, Stop
from telex.options import Number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from provider_core.types import Provider
    from telex.app import App

__all__ = ["address", "assignment", "file_models", "new_name", "preview", "wait_options"]

_Command = TypeVar("_Command", bound="Callable[..., object]")

_SECONDS = Number(min=0, min_open=True, max=86400)

WAITS = ("connect_timeout", "first_byte_timeout", "idle_timeout", "retries", "retry_budget")
"""The fields of the options below."""


def wait_options(command: _Command) -> _Command:
    """The options for timeouts and retries, named as in the settings."""
    for option in (
        click.option(
            "--retry-budget", type=_SECONDS, metavar="SECONDS", help="Start no retry after this many seconds."
        ),
        click.option(
            "--retries",
            type=click.IntRange(0, 100),
            metavar="N",
            help="Times to retry a request that fails before any text arrives.",
        ),
        click.option(
            "--idle-timeout",
            type=_SECONDS,
            metavar="SECONDS",
            help="Give up when an answer pauses for this many seconds.",
        ),
        click.option(
            "--first-byte-timeout",
            type=_SECONDS,
            metavar="SECONDS",
            help="Give up when no answer begins within this many seconds.",
        ),
        click.option(
            "--connect-timeout",
            type=_SECONDS,
            metavar="SECONDS",
            help="Give up when no connection is made within this many seconds.",
        ),
    ):
        command = option(command)
    return command


def preview(app: App, name: str, fields: Mapping[str, Any], given: Mapping[str, Any]) -> Provider:
    """The provider with these fields; raises ``UsageError`` if a ``given`` option is invalid."""
    from provider_core import settings
    from provider_core.errors import SettingsError

    try:
        return settings.preview(name, fields, app.runtime.paths, app.runtime.environ)
    except SettingsError as error:
        place, _, words = error.message.removeprefix(f"providers.{name}.").partition(": ")
        field = place.partition(".")[0]
        if not words or given.get(field) in (None, (), [], {}):
            raise
        option = _OPTIONS.get(field, field.replace("_", "-"))
        raise click.UsageError(f"--{option}: {words}") from None


_OPTIONS = {"variables": "set", "models": "model", "headers": "header"}


def new_name(app: App, name: str) -> None:
    """Raise ``InvalidInputError`` for an invalid name, and stop if it is the alias of a model."""
    from provider_core.settings.validators import validate_name

    validate_name(name)
    alias = next(
        (known for known in app.runtime.settings.aliases if known.casefold() == name.casefold()), None
    )
    if alias is not None and name not in app.runtime.settings.providers:
        app.console.error(
            f"{alias} is a short name for {app.runtime.settings.aliases[alias]} already",
            f"Choose another name, or remove that one: telex models alias {alias} --remove",
        )
        raise Stop(ExitCode.SETTINGS)


def address(app: App, text: str) -> str:
    """The base URL in ``text``; reports what was removed from it."""
    from provider_core.settings import validators

    found = validators.parse_base_url(text)
    if found.dropped:
        app.console.note(f"{' and '.join(found.dropped)} at the end is dropped: the base URL is {found.url}")
    return found.url


def assignment(text: str) -> tuple[str, str]:
    """The name and value in ``PART=VALUE``."""
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"{text!r} is not PART=VALUE, for example account_id=0123abcd")
    return name.strip(), value.strip()


def file_models(app: App, path: Path, declared: Sequence[Any] | None) -> list[Any]:
    """The models of a model file, with the context window from the file's header."""
    from provider_core import local

    header = local.read_header(path)
    context = app.runtime.settings.local_context or (local.window(header) if header.context else None)
    entries = [{"id": each} if isinstance(each, str) else each for each in declared or [path.stem]]
    return [{**entry, "context": context} if context else entry for entry in entries]
