"""``telex models add``, ``edit`` and ``remove``: facts about a model that override the server's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from telex.app import pass_app
from telex.command import Command
from telex.exit_codes import ExitCode
from telex.options import Name

if TYPE_CHECKING:
    from collections.abc import Callable

    from telex.app import App

__all__ = ["add", "edit", "remove"]

_Command = TypeVar("_Command", bound="Callable[..., object]")
_TOKENS = click.IntRange(1, 100_000_000)
_LONGEST = 512
_FIELDS = ("name", "context", "max_output", "reasoning", "tools", "vision")


def _fields(command: _Command) -> _Command:
    for option in (
        click.option("--vision/--no-vision", default=None, help="Whether the model reads images."),
        click.option("--tools/--no-tools", default=None, help="Whether the model calls tools."),
        click.option("--reasoning/--no-reasoning", default=None, help="Whether the model reasons."),
        click.option("--max-output", type=_TOKENS, metavar="N", help="Longest answer, in tokens."),
        click.option("--context", type=_TOKENS, metavar="N", help="Context window, in tokens."),
        click.option("--name", metavar="TEXT", help="Name to show in lists."),
    ):
        command = option(command)
    return command


@click.command(
    cls=Command,
    examples=(
        "telex models add lab qwen3-8b --context 32768 --tools",
        "ssh lab ls models | xargs -n 1 telex models add lab",
    ),
    exits=(ExitCode.SETTINGS,),
)
@click.argument("provider", type=Name("provider"))
@click.argument("id", metavar="ID", type=Name("model", of="provider"))
@_fields
@pass_app
def add(app: App, /, *, provider: str, id: str, **fields: Any) -> None:  # noqa: A002 - the option's name
    """Add a model of PROVIDER; the given facts override the server's."""
    from provider_core.settings.edit import declare_model
    from telex import provider_commands

    provider_commands.configured_provider(app, provider)
    declare_model(app.runtime.paths.settings_file, provider, _checked(id), _named(fields), new=True)
    app.console.note(f'{provider}/{id} is declared. Try: telex chat -m {provider}/{id} "Hello"')


@click.command(
    cls=Command,
    examples=(
        "telex models edit lab qwen3-8b --context 40960 --unset tools",
        "telex models edit lab qwen3-8b --vision && telex models list --vision | grep qwen3",
    ),
    exits=(ExitCode.SETTINGS,),
)
@click.argument("provider", type=Name("provider"))
@click.argument("id", metavar="ID", type=Name("model", of="provider"))
@_fields
@click.option(
    "--unset",
    type=click.Choice(_FIELDS),
    multiple=True,
    metavar="FIELD",
    help="Remove a declared fact. Repeatable.",
)
@pass_app
def edit(app: App, /, *, provider: str, id: str, unset: tuple[str, ...], **fields: Any) -> None:  # noqa: A002
    """Change the declared facts about a model.

    A model that only its server lists becomes a declared one.
    """
    from provider_core.settings.edit import declare_model
    from telex import provider_commands

    given = {name: value for name, value in _named(fields).items() if value is not None}
    both = sorted(set(given) & set(unset))
    if both:
        raise click.UsageError(f"{both[0]} is both given and unset")
    if not given and not unset:
        raise click.UsageError(
            f"nothing to change: give one of --{', --'.join(f.replace('_', '-') for f in _FIELDS)}"
        )
    provider_commands.configured_provider(app, provider)
    if not any(model.id == id for model in app.runtime.catalog.listing(provider).models):
        raise click.UsageError(
            f"{provider}/{id} is not known. To declare it: telex models add {provider} {id}"
        )
    declare_model(app.runtime.paths.settings_file, provider, id, {**given, **dict.fromkeys(unset)}, new=False)
    app.console.note(f"{provider}/{id} is changed.")


@click.command(
    cls=Command,
    examples=(
        "telex models remove lab qwen3-8b",
        "telex models list -P lab | grep old | cut -d / -f 2- | xargs -n 1 telex models remove lab",
    ),
    exits=(ExitCode.SETTINGS,),
)
@click.argument("provider", type=Name("provider"))
@click.argument("id", metavar="ID", type=Name("model", of="provider"))
@pass_app
def remove(app: App, *, provider: str, id: str) -> None:  # noqa: A002 - the option's name
    """Remove the declaration of a model; its server may still list it."""
    from provider_core.settings.edit import forget_model
    from telex import provider_commands

    provider_commands.configured_provider(app, provider)
    forget_model(app.runtime.paths.settings_file, provider, id)
    app.runtime.reload()
    if not app.runtime.catalog.listing(provider).find(id):
        provider_commands.warn_references(app, provider, id, then="which will no longer be declared")
    app.console.note(f"{provider}/{id} is no longer declared.")


def _checked(model: str) -> str:
    if not model.strip() or not model.isprintable() or model != model.strip() or len(model) > _LONGEST:
        raise click.UsageError(f"{model[:80]!r} is not a valid model id: one line without blanks around it")
    return model


def _named(fields: dict[str, Any]) -> dict[str, Any]:
    name = fields["name"]
    if name is not None and not (0 < len(name) <= _LONGEST and name.isprintable()):
        raise click.UsageError(f"--name takes one line of at most {_LONGEST} characters")
    return fields
