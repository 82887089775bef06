"""``telex models add``, ``edit``, ``remove``, ``alias`` and ``default``: what the settings say about models."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from provider_core.errors import MissingKeyError, ModelError
from provider_core.settings.provider_fields import ALIAS_FIELDS, MODEL_FIELDS
from telex import provider_commands
from telex.app import pass_app
from telex.exit_codes import ExitCode, Stop
from telex.humanize import shown
from telex.main import Command
from telex.options import Name
from telex.setting_options import (
    Unset,
    add_options,
    changed_fields,
    unset_option,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from provider_core.types import Alias
    from telex.app import App

_Command = TypeVar("_Command", bound="Callable[..., object]")
_MAX_LENGTH = 512
_UNSETTABLE = Unset(MODEL_FIELDS)
_UNSET_HELP = (
    "Remove a setting, named like its option: context, temperature; param.NAME and header.NAME remove one."
)
_UNSET_OF_ALIAS = "Remove an option from the alias, such as temperature; param.NAME removes one field."


def _model_argument(command: _Command) -> _Command:
    """Add ``PROVIDER/ID``, which may also be two arguments; ``_split`` reads them."""
    command = click.argument("id", metavar="[ID]", required=False, type=Name("model", of="model"))(command)
    return click.argument("model", metavar="PROVIDER/ID", type=Name("model"))(command)


def _split(app: App, model: str, id_: str | None) -> tuple[str, str]:
    """The provider's name as it is set up, and the id of its model; raises ``click.UsageError``."""
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
    name = provider_commands.find_provider_name(app, provider) or provider
    provider_commands.require_in_file(app, name)
    return name, rest


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

    If the provider has a default model, it stays the same.

    Options such as --temperature apply to each chat with this model, unless telex chat or an alias overrides them. To
    change a model that is already in the settings, use telex models edit.
    """
    from provider_core.settings.edit import declare_model

    provider, name = _split(app, model, id)
    fields = changed_fields(MODEL_FIELDS, options, {})
    provider_commands.configured_provider(app, provider)
    default = app.runtime.catalog.listing(provider).default
    declare_model(app.runtime.paths.settings_file, provider, name, fields, new=True, default=default)
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
@partial(unset_option, _UNSETTABLE, _UNSET_HELP)
@pass_app
def edit(app: App, /, *, model: str, id: str | None, unset: tuple[str, ...], **options: Any) -> None:  # noqa: A002
    """Change what the settings say about a model, and the options of its requests.

    Only the options you give are changed; --param and --header add to those of the model. Options of telex chat and of
    aliases override those of a model, which override those of its provider.

    A model that only the server lists is added to the settings; the provider's default model stays the same.
    """
    from provider_core.settings.edit import declare_model

    provider, name = _split(app, model, id)
    fields = changed_fields(MODEL_FIELDS, options, _entry(app, provider, name), unset)
    if not fields:
        raise click.UsageError(f"nothing to change; use one of --{', --'.join(_UNSETTABLE.rows)} or --unset")
    provider_commands.configured_provider(app, provider)
    listing = app.runtime.catalog.listing(provider)
    if not any(each.id == name for each in listing.models):
        app.console.error(f"unknown model: {provider}/{name}", f"Add it: telex models add {provider}/{name}")
        raise Stop(ExitCode.SETTINGS)
    path = app.runtime.paths.settings_file
    declare_model(path, provider, name, fields, new=False, default=listing.default)
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

    provider, name = _split(app, model, id)
    provider_commands.configured_provider(app, provider)
    forget_model(app.runtime.paths.settings_file, provider, name)
    app.runtime.reload()
    if not app.runtime.catalog.listing(provider).find(name):
        provider_commands.warn_references(app, provider, name, then="which is no longer in the settings")
    app.console.note(f"{provider}/{name} is removed from the settings.")


# --- aliases and the default ---------------------------------------------------------------------------------


@click.command(
    cls=Command,
    examples=(
        "telex models alias fast groq/openai/gpt-oss-120b cerebras/gpt-oss-120b",
        'telex models alias poet openai/gpt-5.6 -t 1 -s "In verse." --max-tokens 400',
        "telex models alias | sort",
    ),
    exits=(ExitCode.SETTINGS, ExitCode.KEY),
)
@click.argument("name", required=False, metavar="[NAME]", type=Name("alias"))
@click.argument("targets", nargs=-1, metavar="[TARGET]...", type=Name("model"))
@partial(add_options, ALIAS_FIELDS)
@partial(unset_option, Unset(ALIAS_FIELDS), _UNSET_OF_ALIAS)
@click.option("--remove", is_flag=True, help="Remove the alias.")
@pass_app
def alias(
    app: App,
    /,
    *,
    name: str | None,
    targets: tuple[str, ...],
    unset: tuple[str, ...],
    remove: bool,
    **options: Any,
) -> None:
    """Make NAME a short name for TARGET, with options for each chat.

    With several TARGETs, telex asks the next one if a model fails before any of its answer arrives: it is rate limited,
    out of quota, down or unknown, its key is missing or refused, or the prompt is too long for it. A TARGET may be an
    alias.

    Options given to telex chat override those of the alias, which override those of the model and the provider. Only
    what you give is changed: --param adds fields, and TARGETs replace the previous ones.

    Without TARGET and options, show what NAME means; without arguments, list all aliases.
    """
    known = app.runtime.settings.aliases.get(name or "")
    fields = changed_fields(ALIAS_FIELDS, options, known.options if known is not None else {}, unset)
    changes = bool(targets or fields or unset)
    if remove and (name is None or changes):
        raise click.UsageError("--remove takes one NAME and nothing else")
    if name is None:
        if changes:
            raise click.UsageError("name the alias that the options are for")
        for each, meaning in app.runtime.settings.aliases.items():
            app.console.out(f"{each}\t{_described(meaning)}\n")
        if not app.runtime.settings.aliases:
            app.console.note("There are no aliases. To make one: telex models alias NAME PROVIDER/MODEL")
    elif remove:
        from provider_core.settings import edit as settings_edit

        settings_edit.remove(app.runtime.paths.settings_file, name, "aliases")
        app.console.note(f"{name} is no longer an alias.")
    elif changes:
        _set_alias(app, name, targets, fields)
    elif known is not None:
        app.console.out(f"{_described(known)}\n")
    else:
        app.runtime.settings.require("aliases", name)
        raise ModelError(f"unknown alias: {name}", name=name, code="unknown_alias")


def _described(alias: Alias) -> str:
    """The targets, and each option that the alias holds, on one line."""
    values = [(row.name, alias.options[row.name]) for row in ALIAS_FIELDS if row.name in alias.options]
    options = ", ".join(f"{name}={shown(value)}" for name, value in values)
    return f"{alias} ({options})" if options else str(alias)


def _set_alias(app: App, name: str, targets: Sequence[str], fields: Mapping[str, Any]) -> None:
    from provider_core.resolve import expand
    from provider_core.settings.edit import set_alias
    from provider_core.settings.validators import RESERVED, validate_alias
    from provider_core.types import Alias

    validate_alias(name)
    if name in RESERVED or name.casefold() in (known.casefold() for known in app.runtime.providers):
        raise click.UsageError(f"{name} is reserved, or the name of a provider; choose another name")
    aliases = app.runtime.settings.aliases
    before = _described(aliases[name]) if name in aliases else None
    if not targets and before is None:
        app.runtime.settings.require("aliases", name)
        raise click.UsageError(
            f"{name} is a new alias: name a model for it, telex models alias {name} TARGET"
        )
    if commas := [target for target in targets if "," in target]:
        words = " ".join(part.strip() for target in commas for part in target.split(",") if part.strip())
        raise click.UsageError(f"separate TARGETs with spaces: telex models alias {name} {words}")
    if targets:
        expand(name, {**aliases, name: Alias(targets=tuple(targets))})
    _require_usable(app, fields)
    meanings = _pinned_all(app, targets)
    set_alias(app.runtime.paths.settings_file, name, meanings, fields)
    app.runtime.reload()
    meaning = _described(app.runtime.settings.aliases[name])
    was = f" (it was {before})" if before not in (None, meaning) else ""
    app.console.note(f"{name} means {meaning}{was}.")


def _pinned_all(app: App, targets: Sequence[str]) -> tuple[str, ...]:
    """The names to save; of several, one that cannot be asked yet is saved as typed, with a note."""
    found = []
    for target in targets:
        try:
            found.append(_pinned(app, target))
        except (ModelError, MissingKeyError) as error:
            if len(targets) == 1:
                raise
            found.append(target.strip())
            app.console.note(f"{target} cannot be asked yet: {error.message}.")
    return tuple(dict.fromkeys(found))


def _require_usable(app: App, fields: Mapping[str, Any]) -> None:
    """Raise an error for a template or an MCP server that does not exist."""
    if template := fields.get("template"):
        from provider_core.templates import load

        load(app.runtime.paths.templates, template)
    for server in fields.get("tools") or ():
        if server != "all":
            app.runtime.settings.mcp_server(server)


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
    from provider_core.settings.edit import set_value, unset_value

    if unset and id is not None:
        raise click.UsageError("--unset and ID cannot be used together")
    if not unset and id is None:
        from provider_core.resolve import resolve

        app.runtime.settings.require("model")
        app.console.out(f"{resolve(app.runtime.settings.model, app.runtime.catalog)}\n")
        return
    meaning = None if id is None else _pinned(app, id)
    if meaning is None:
        unset_value(app.runtime.paths.settings_file, ["model"])
    else:
        set_value(app.runtime.paths.settings_file, ["model"], meaning)
    app.console.note(
        "There is no default model now." if meaning is None else f"The default model is {meaning}."
    )
    if app.runtime.environ.get("TELEX_MODEL"):
        app.console.note(f"TELEX_MODEL is set to {app.runtime.environ['TELEX_MODEL']}, which overrides it.")
        return
    app.runtime.reload()
    if app.runtime.settings.sources.get("model") in ("profile", "project"):
        now = app.runtime.settings.model
        app.console.note(
            f"Here, the default model is {now}, from {app.runtime.origin_of_model()}, which overrides it."
        )


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
