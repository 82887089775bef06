"""``telex models alias`` and ``default``: short names for models, and the default model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from telex.app import pass_app
from telex.command import Command
from telex.exit_codes import ExitCode
from telex.options import Name

if TYPE_CHECKING:
    from telex.app import App

__all__ = ["alias", "default"]


@click.command(
    cls=Command,
    examples=(
        "telex models alias fast groq/openai/gpt-oss-120b",
        "telex models alias | sort",
    ),
    exits=(
        ExitCode.SETTINGS,
        ExitCode.KEY,
    ),
)
@click.argument("name", required=False, metavar="[NAME]", type=Name("alias"))
@click.argument("target", required=False, metavar="[TARGET]", type=Name("model"))
@click.option("--remove", is_flag=True, help="Remove the alias.")
@pass_app
def alias(app: App, *, name: str | None, target: str | None, remove: bool) -> None:
    """Make NAME a short name for TARGET.

    Without TARGET, show what NAME means; without arguments, list all aliases.
    """
    if remove and (name is None or target is not None):
        raise click.UsageError("--remove takes the name of one alias, and nothing else")
    if name is None:
        for known, meaning in app.runtime.settings.aliases.items():
            app.console.out(f"{known}\t{meaning}\n")
        if not app.runtime.settings.aliases:
            app.console.note("There are no aliases. To make one: telex models alias NAME PROVIDER/MODEL")
    elif remove:
        _remove(app, name)
    elif target is None:
        if name not in app.runtime.settings.aliases:
            raise click.UsageError(
                f"there is no alias {name}. To make one: telex models alias {name} PROVIDER/MODEL"
            )
        app.console.out(f"{app.runtime.settings.aliases[name]}\n")
    else:
        _set(app, name, target)


def _set(app: App, name: str, target: str) -> None:
    from provider_core.settings import RESERVED
    from provider_core.settings.edit import set_alias
    from provider_core.settings.validators import validate_alias

    validate_alias(name)
    if name in RESERVED or name.casefold() in (known.casefold() for known in app.runtime.providers):
        raise click.UsageError(f"{name} is the name of a provider: choose another")
    before = app.runtime.settings.aliases.get(name)
    if target == name:
        raise click.UsageError(f"{name} would mean itself")
    meaning = _pinned(app, target)
    set_alias(app.runtime.paths.settings_file, name, meaning)
    was = f" (it was {before})" if before not in (None, meaning) else ""
    app.console.note(f"{name} means {meaning}{was}.")


def _remove(app: App, name: str) -> None:
    from provider_core.settings.edit import set_alias

    set_alias(app.runtime.paths.settings_file, name, None)
    app.console.note(f"{name} is no longer an alias.")


@click.command(
    cls=Command,
    examples=(
        "telex models default lmstudio",
        'telex models default "$(telex models list | fzf)"',
    ),
    exits=(
        ExitCode.SETTINGS,
        ExitCode.KEY,
    ),
)
@click.argument("id", metavar="[ID]", required=False, type=Name("model"))
@click.option("--unset", is_flag=True, help="Remove the default.")
@pass_app
def default(app: App, *, id: str | None, unset: bool) -> None:  # noqa: A002 - the option's name
    """Set the default model, or show it."""
    from provider_core.settings.edit import set_default

    if unset and id is not None:
        raise click.UsageError("--unset does not go with an ID")
    if not unset and id is None:
        from provider_core.resolve import resolve

        app.runtime.settings.require("model")
        app.console.out(f"{resolve(app.runtime.settings.model, app.runtime.catalog)}\n")
        return
    meaning = None if id is None else _pinned(app, id)
    set_default(app.runtime.paths.settings_file, meaning)
    app.console.note(
        "There is no default model now." if meaning is None else f"The default model is {meaning}."
    )
    if app.runtime.environ.get("TELEX_MODEL"):
        app.console.note(f"TELEX_MODEL is set to {app.runtime.environ['TELEX_MODEL']}, which overrides it.")


def _pinned(app: App, typed: str) -> str:
    """The name to save: a model's name alone becomes PROVIDER/MODEL, because another provider may have it later.

    A provider, an alias and a full id are saved as typed. Raises ``ModelError`` for an unknown name.
    """
    from provider_core.errors import NoModelError
    from provider_core.resolve import resolve

    wanted = typed.strip()
    if wanted in app.runtime.catalog.providers:
        return wanted
    try:
        target = resolve(wanted, app.runtime.catalog)
    except NoModelError:
        return wanted  # its server will be asked when it is used
    return wanted if wanted in app.runtime.catalog.aliases else str(target)
