"""``telex models add``, ``edit``, ``remove``, ``alias`` and ``default``: what the settings say about models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from provider_core.errors import ModelError
from telex.app import pass_app
from telex.command import Command
from telex.exit_codes import ExitCode, Stop
from telex.options import Name, Number

if TYPE_CHECKING:
    from collections.abc import Callable

    from telex.app import App

_Command = TypeVar("_Command", bound="Callable[..., object]")
_TOKENS = click.IntRange(1, 100_000_000)
_DOLLARS = Number(0, 1_000_000)
_MAX_LENGTH = 512
_FIELDS = (
    "name", "context", "max_output", "reasoning", "tools", "vision",
    "price_in", "price_out", "price_cached", "price_cache_write",
)  # fmt: skip
_OPTIONS = tuple(name.replace("_", "-") for name in _FIELDS)


class _Field(click.Choice[str]):
    """The name of a setting, as an option or in the settings file; converts to the name in the file."""

    def __init__(self) -> None:
        super().__init__(_OPTIONS)

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert(value.replace("_", "-"), param, ctx).replace("-", "_")


def _fields(command: _Command) -> _Command:
    for option in (
        click.option(
            "--price-cache-write", type=_DOLLARS, metavar="USD", help="Price of input written to the cache."
        ),
        click.option(
            "--price-cached", type=_DOLLARS, metavar="USD", help="Price of input read from the cache."
        ),
        click.option(
            "--price-out", type=_DOLLARS, metavar="USD", help="Price of output, per million tokens."
        ),
        click.option(
            "--price-in", type=_DOLLARS, metavar="USD", help="Price of input, in dollars per million tokens."
        ),
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
    """Add a model to the settings, or override what the server or the preset reports about it.

    To change a model that is already in the settings, use telex models edit.
    """
    from provider_core.settings.edit import declare_model
    from telex import provider_commands

    provider_commands.configured_provider(app, provider)
    declare_model(app.runtime.paths.settings_file, provider, id, _validated(id, fields), new=True)
    app.console.note(f'{provider}/{id} is added. Try: telex chat -m {provider}/{id} "Hello"')


@click.command(
    cls=Command,
    examples=(
        "telex models edit lab qwen3-8b --context 40960 --unset tools",
        "telex models edit lab qwen3-8b --price-in 0.27 --price-out 1.10 --price-cached 0.07",
        "telex models edit lab qwen3-8b --vision && telex models list --vision | grep qwen3",
    ),
    exits=(ExitCode.SETTINGS,),
)
@click.argument("provider", type=Name("provider"))
@click.argument("id", metavar="ID", type=Name("model", of="provider"))
@_fields
@click.option(
    "--unset",
    type=_Field(),
    multiple=True,
    metavar="FIELD",
    help="Remove a setting, named like its option: context, price-in, vision and so on. Repeatable.",
)
@pass_app
def edit(app: App, /, *, provider: str, id: str, unset: tuple[str, ...], **fields: Any) -> None:  # noqa: A002
    """Change a model's settings.

    A model that only the server lists is added to the settings.
    """
    from provider_core.settings.edit import declare_model
    from telex import provider_commands

    given = {name: value for name, value in _validated(id, fields).items() if value is not None}
    both = sorted(set(given) & set(unset))
    if both:
        flag = f"--{both[0].replace('_', '-')}"
        raise click.UsageError(f"{flag} and --unset cannot be used together for the same field")
    if not given and not unset:
        raise click.UsageError(f"nothing to change; use one of --{', --'.join(_OPTIONS)} or --unset")
    provider_commands.configured_provider(app, provider)
    if not any(model.id == id for model in app.runtime.catalog.listing(provider).models):
        app.console.error(f"unknown model: {provider}/{id}", f"Add it: telex models add {provider} {id}")
        raise Stop(ExitCode.SETTINGS)
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
    """Remove a model from the settings; the server may still list it."""
    from provider_core.settings.edit import forget_model
    from telex import provider_commands

    provider_commands.configured_provider(app, provider)
    forget_model(app.runtime.paths.settings_file, provider, id)
    app.runtime.reload()
    if not app.runtime.catalog.listing(provider).find(id):
        provider_commands.warn_references(app, provider, id, then="which is no longer in the settings")
    app.console.note(f"{provider}/{id} is removed from the settings.")


def _validated(model: str, fields: dict[str, Any]) -> dict[str, Any]:
    if not model.strip() or not model.isprintable() or model != model.strip() or len(model) > _MAX_LENGTH:
        words = f"{model[:80]!r} is not a valid model id: use one line without blanks around it"
        raise click.UsageError(words if model.strip() else "the model id is empty")
    name = fields["name"]
    if name is not None and not (0 < len(name) <= _MAX_LENGTH and name.isprintable()):
        raise click.UsageError(f"--name must be one line of 1 to {_MAX_LENGTH} characters")
    return fields


@click.command(
    cls=Command,
    examples=("telex models alias fast groq/openai/gpt-oss-120b", "telex models alias | sort"),
    exits=(ExitCode.SETTINGS, ExitCode.KEY),
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
        raise click.UsageError("--remove takes one NAME and no TARGET")
    if name is None:
        for known, meaning in app.runtime.settings.aliases.items():
            app.console.out(f"{known}\t{meaning}\n")
        if not app.runtime.settings.aliases:
            app.console.note("There are no aliases. To make one: telex models alias NAME PROVIDER/MODEL")
    elif remove:
        from provider_core.settings.edit import set_alias

        set_alias(app.runtime.paths.settings_file, name, None)
        app.console.note(f"{name} is no longer an alias.")
    elif target is None:
        if name not in app.runtime.settings.aliases:
            raise ModelError(f"unknown alias: {name}", name=name, code="unknown_alias")
        app.console.out(f"{app.runtime.settings.aliases[name]}\n")
    else:
        _set_alias(app, name, target)


def _set_alias(app: App, name: str, target: str) -> None:
    from provider_core.resolve import alias_chain
    from provider_core.settings.edit import set_alias
    from provider_core.settings.validators import RESERVED, validate_alias

    validate_alias(name)
    if name in RESERVED or name.casefold() in (known.casefold() for known in app.runtime.providers):
        raise click.UsageError(f"{name} is the name of a provider; choose another name")
    aliases = app.runtime.settings.aliases
    before = aliases.get(name)
    alias_chain(name, {**aliases, name: target})
    meaning = _pinned(app, target)
    set_alias(app.runtime.paths.settings_file, name, meaning)
    was = f" (it was {before})" if before not in (None, meaning) else ""
    app.console.note(f"{name} means {meaning}{was}.")


@click.command(
    cls=Command,
    examples=("telex models default lmstudio", 'telex models default "$(telex models list | fzf)"'),
    exits=(ExitCode.SETTINGS, ExitCode.KEY),
)
@click.argument("id", metavar="[ID]", required=False, type=Name("model"))
@click.option("--unset", is_flag=True, help="Remove the default.")
@pass_app
def default(app: App, *, id: str | None, unset: bool) -> None:  # noqa: A002 - the option's name
    """Set the default model, or show it.

    Without ID, show the model that telex chat uses without -m on a terminal.
    """
    from provider_core.settings.edit import set_default

    if unset and id is not None:
        raise click.UsageError("--unset and ID cannot be used together")
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
    """The name to save: that of a model becomes PROVIDER/MODEL, because another provider may get the same model.

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
