"""``telex models add``, ``edit`` and ``remove``: facts about a model in the settings, and options of its requests."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from provider_core.settings.provider_fields import MODEL_FIELDS
from telex.app import pass_app
from telex.exit_codes import ExitCode, Stop
from telex.main import Command
from telex.options import Name
from telex.setting_options import (
    Unset,
    add_options,
    given_fields,
    removed_fields,
    require_apart,
    require_valid,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from telex.app import App

_Command = TypeVar("_Command", bound="Callable[..., object]")
_MAX_LENGTH = 512
_UNSETTABLE = Unset(MODEL_FIELDS)


def _model_argument(command: _Command) -> _Command:
    """Add ``PROVIDER/ID``, which may also be two arguments; ``_split`` reads them."""
    command = click.argument("id", metavar="[ID]", required=False, type=Name("model", of="model"))(command)
    return click.argument("model", metavar="PROVIDER/ID", type=Name("model"))(command)


def _split(app: App, model: str, id_: str | None) -> tuple[str, str]:
    """The provider's name as it is set up, and the id of its model; raises ``click.UsageError``."""
    from telex import provider_commands

    provider, slash, rest = (model, "/", id_) if id_ is not None else model.partition("/")
    if not slash:
        alias = app.runtime.settings.aliases.get(model)
        if alias is not None:
            raise click.UsageError(
                f"{model} is an alias for {alias}; to change it: telex models alias {model}"
            )
        raise click.UsageError(f"{model!r} is not a model: name it as PROVIDER/ID")
    if not rest.strip() or not rest.isprintable() or rest != rest.strip() or len(rest) > _MAX_LENGTH:
        words = f"{rest[:80]!r} is not a valid model id: use one line without blanks around it"
        raise click.UsageError(words if rest.strip() else "the model id is empty")
    return provider_commands.find_provider_name(app, provider) or provider, rest


def _entry(app: App, provider: str, model: str) -> dict[str, Any]:
    """The model's table in the settings file; empty if it has none."""
    from provider_core.settings.edit import entries

    models = entries(app.runtime.paths.settings_file).get(provider, {}).get("models", [])
    listed = models if isinstance(models, list) else []
    return next((each for each in listed if isinstance(each, dict) and each.get("id") == model), {})


@click.command(
    cls=Command,
    examples=(
        "telex models add lab/qwen3-8b --context 32768 --tools",
        "ssh lab ls models | xargs -I {} telex models add lab/{}",
    ),
    exits=(ExitCode.SETTINGS,),
)
@_model_argument
@partial(add_options, MODEL_FIELDS)
@pass_app
def add(app: App, /, *, model: str, id: str | None, **options: Any) -> None:  # noqa: A002 - the option's name
    """Add a model to the settings, or override what the server or the preset reports about it.

    The other options are those of telex chat, for each chat with this model: options of telex chat and of aliases
    override them. To change a model that is already in the settings, use telex models edit.
    """
    from provider_core.settings.edit import declare_model
    from telex import provider_commands

    provider, name = _split(app, model, id)
    fields = given_fields(MODEL_FIELDS, options, {})
    require_valid(MODEL_FIELDS, fields)
    provider_commands.configured_provider(app, provider)
    declare_model(app.runtime.paths.settings_file, provider, name, fields, new=True)
    app.console.note(f'{provider}/{name} is added. Try: telex chat -m {provider}/{name} "Hello"')


@click.command(
    cls=Command,
    examples=(
        "telex models edit lab/qwen3-8b -t 0.6 --param top_k=20 --unset tools",
        "telex models edit lab/qwen3-8b --price-in 0.27 --price-out 1.10 --price-cached 0.07",
        "telex models edit lab/qwen3-8b --vision && telex models list --vision | grep qwen3",
    ),
    exits=(ExitCode.SETTINGS,),
)
@_model_argument
@partial(add_options, MODEL_FIELDS)
@click.option(
    "--unset",
    type=_UNSETTABLE,
    multiple=True,
    metavar="FIELD",
    help="Remove a setting, named like its option: context, temperature; param.NAME and header.NAME remove one. "
    "Repeatable.",
)
@pass_app
def edit(app: App, /, *, model: str, id: str | None, unset: tuple[str, ...], **options: Any) -> None:  # noqa: A002
    """Change what the settings say about a model, and the options of its requests.

    Only the options you give are changed; --param and --header add to those of the model. Options of telex chat and of
    aliases override those of a model, which override those of its provider.

    A model that only the server lists is added to the settings.
    """
    from provider_core.settings.edit import declare_model
    from telex import provider_commands

    require_apart(MODEL_FIELDS, options, unset)
    provider, name = _split(app, model, id)
    entry = _entry(app, provider, name)
    given = given_fields(MODEL_FIELDS, options, entry)
    require_valid(MODEL_FIELDS, given)
    fields = {**given, **removed_fields({**entry, **given}, unset)}
    if not fields:
        raise click.UsageError(f"nothing to change; use one of --{', --'.join(_UNSETTABLE.rows)} or --unset")
    provider_commands.configured_provider(app, provider)
    if not any(each.id == name for each in app.runtime.catalog.listing(provider).models):
        app.console.error(f"unknown model: {provider}/{name}", f"Add it: telex models add {provider}/{name}")
        raise Stop(ExitCode.SETTINGS)
    declare_model(app.runtime.paths.settings_file, provider, name, fields, new=False)
    app.console.note(f"{provider}/{name} is changed.")


@click.command(
    cls=Command,
    examples=(
        "telex models remove lab/qwen3-8b",
        "telex models list -P lab | grep old | xargs -n 1 telex models remove",
    ),
    exits=(ExitCode.SETTINGS,),
)
@_model_argument
@pass_app
def remove(app: App, *, model: str, id: str | None) -> None:  # noqa: A002 - the option's name
    """Remove a model from the settings; the server may still list it."""
    from provider_core.settings.edit import forget_model
    from telex import provider_commands

    provider, name = _split(app, model, id)
    provider_commands.configured_provider(app, provider)
    forget_model(app.runtime.paths.settings_file, provider, name)
    app.runtime.reload()
    if not app.runtime.catalog.listing(provider).find(name):
        provider_commands.warn_references(app, provider, name, then="which is no longer in the settings")
    app.console.note(f"{provider}/{name} is removed from the settings.")
