"""``telex providers edit``: set or remove fields of a provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import click

from telex.app import pass_app
from telex.command import Command
from telex.commands.providers.given import preview, wait_options
from telex.commands.providers.keys import key_options
from telex.exit_codes import ExitCode
from telex.options import ExistingPath, Name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from telex.app import App

__all__ = ["command"]

FIELDS = (
    "preset", "base-url", "set", "key-env", "key-command", "display-name", "model", "header", "default-model",
    "gguf", "ca-bundle", "client-cert", "proxy", "allow-http", "connect-timeout", "first-byte-timeout",
    "idle-timeout", "retries", "retry-budget",
)  # fmt: skip
"""Values of ``--unset``: the names of the options."""

_KEYS = {"set": "variables", "model": "models", "header": "headers"}
"""Option -> key of the settings, if they differ by more than hyphens."""

_PATH = ExistingPath()


class Unset(click.ParamType[str]):
    """The name of a field, or of one part of a field."""

    name = "FIELD"
    _PARTS: ClassVar = {"header": "header", "headers": "header", "set": "set", "variables": "set"}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        field, dot, part = str(value).partition(".")
        if dot and part and field in self._PARTS:
            return f"{self._PARTS[field]}.{part}"
        named = {key: option for option, key in _KEYS.items()}
        field = named.get(field, field.replace("_", "-"))  # as the settings spell it
        if dot or field not in FIELDS:
            self.fail(f"{value!r} is not one of {', '.join(FIELDS)}, header.NAME or set.PART", param, ctx)
        return field

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(field) for field in FIELDS if field.startswith(incomplete)]


@click.command(
    cls=Command,
    name="edit",
    examples=(
        "telex providers edit lab --display-name 'The lab' --unset proxy",
        "pass show lab | telex providers edit lab --key-stdin",
    ),
    exits=(
        ExitCode.SETTINGS,
        ExitCode.KEY,
    ),
)
@click.argument("name", type=Name("provider"))
@click.option("--enable/--disable", "enabled", default=None, help="Enable or disable the provider.")
@click.option("--display-name", metavar="TEXT", help="Name to show in lists.")
@click.option("--base-url", metavar="URL", help="The base address of the API, without /chat/completions.")
@click.option(
    "--preset",
    type=Name("preset"),
    metavar="ID",
    help="Use this preset for everything that is not set.",
)
@click.option(
    "--set", "variables", multiple=True, metavar="PART=VALUE", help="Set a part of the preset's address."
)
@click.option("--gguf", type=_PATH, metavar="FILE", help="Run this model file on this machine.")
@click.option(
    "--model", "models", multiple=True, metavar="ID", help="Replace the models that are set. Repeatable."
)
@click.option(
    "--default-model",
    type=Name("model", of="name"),
    metavar="ID",
    help="Model to use when only the provider is named.",
)
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="Add a header. Repeatable.")
@key_options
@click.option("--proxy", metavar="URL", help="Use this proxy; none means no proxy.")
@click.option(
    "--ca-bundle", type=_PATH, metavar="PATH", help="Trust these certificates instead of the system's."
)
@click.option(
    "--client-cert", type=_PATH, metavar="FILE", help="Present a client certificate: a PEM file with its key."
)
@wait_options
@click.option(
    "--unset",
    "unset",
    multiple=True,
    type=Unset(),
    metavar="FIELD",
    help="Remove a field by the name of its option, or a part of it, such as header.X-Team. Repeatable.",
)
@click.option("--no-verify", is_flag=True, help="Save a new key without checking it.")
@click.option(
    "--allow-http", is_flag=True, help="Allow sending the key over plain http to a host that is not local."
)
@click.option("--trust", is_flag=True, help="Allow sending the present key to the new address.")
@pass_app
def command(
    app: App,
    /,
    *,
    name: str,
    unset: tuple[str, ...],
    allow_http: bool,
    no_verify: bool,
    trust: bool,
    **options: Any,
) -> None:
    """Change the settings of a provider.

    Only the given options change. A new key is checked with the server; telex providers test checks the rest. A key
    belongs to the address that it was stored for: for another address, enter the key again or use --trust. On a
    terminal, telex asks.
    """
    from provider_core import provider_store
    from provider_core.keys import seal_for
    from provider_core.settings import edit
    from telex import lists
    from telex.commands.providers import keys, verify

    insecure = {"allow_http": True} if allow_http else {}
    entry = edit.entries(app.runtime.paths.settings_file).get(name, {})
    changes = {**_changes(app, entry, options), **_removed(entry, unset), **insecure}
    if entry and f"providers.{name}" in app.runtime.settings.problems:
        before = preview(app, name, {**entry, **changes}, changes)  # whether it is usable now
    else:
        before = lists.configured(app, name)
    new_key = any(options[option] for option in ("key_stdin", "key_env", "key_command", "no_key"))
    if not entry and (changes or new_key or not trust):
        raise click.UsageError(f"{name} is set up by TELEX_PROVIDERS: change it there")
    twice = [option for option in unset if _given(options, option)]
    if twice:
        raise click.UsageError(f"--{twice[0]} and --unset {twice[0]} contradict each other")
    choice = None
    if new_key:
        if before.embedded:
            raise click.UsageError(f"{name} is a model file that runs here, and needs no key")
        choice = keys.choose(app, before, options)
    if not changes and choice is None and not trust:
        raise click.UsageError(f"there is nothing to change: see telex providers edit --help, or show {name}")
    entry = edit.entries(app.runtime.paths.settings_file).get(
        name, {}
    )  # a prompt or stdin may have taken its time
    changes = {**_changes(app, entry, options), **_removed(entry, unset), **insecure}
    if choice is not None:
        changes |= choice.fields
        after = preview(app, name, {**entry, **provider_store.key_fields(entry, changes)}, changes)
    else:
        after = preview(app, name, {**entry, **changes}, changes)
    verify.allowed(app, after, choice.store if choice else None)
    if choice is not None and choice.store is not None and not no_verify:
        _, choice = keys.checked(app, after, choice)
    path = app.runtime.paths.settings_file
    if choice is not None:
        key = seal_for(after, choice.store) if choice.store is not None else None
        provider_store.set_key(path, app.runtime.key_store, name, changes, key=key)
    else:
        trusted = keys.confirm_destination(app, before, after, trust=trust)
        changes |= trusted.fields
        if not entry:
            if trusted.fields:
                raise click.UsageError(f"{name} is set up by TELEX_PROVIDERS: name key_env there")
            if trusted.store is not None:
                app.runtime.key_store.set(name, trusted.store)
        elif trusted.store is not None:
            provider_store.trust(path, app.runtime.key_store, name, changes, trusted.store)
        else:
            edit.update_provider(path, name, changes)
    app.console.note(f"{name} is changed.")
    if (before.base_url, before.gguf) != (after.base_url, after.gguf):
        app.console.note(f"To check it: telex providers test {name}")
    if before.enabled and not after.enabled:
        lists.warn_references(app, name, then="which is disabled now")


def _changes(app: App, entry: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that change, with their new values."""
    from provider_core.settings.validators import parse_header
    from telex.commands.providers.given import address, assignment, file_models

    same = (
        "enabled", "display_name", "preset", "default_model", "proxy", "connect_timeout", "first_byte_timeout",
        "idle_timeout", "retries", "retry_budget",
    )  # fmt: skip
    changes: dict[str, Any] = {key: options[key] for key in same if options[key] is not None}
    for key in ("gguf", "ca_bundle", "client_cert"):
        if options[key] is not None:
            changes[key] = str(options[key].absolute())
    if options["gguf"] is not None:
        changes["models"] = file_models(app, options["gguf"].absolute(), options["models"])
    elif options["models"]:
        changes["models"] = list(options["models"])
    if options["base_url"] is not None:
        changes["base_url"] = address(app, options["base_url"])
    if options["headers"]:
        changes["headers"] = {
            **entry.get("headers", {}),
            **dict(parse_header(text) for text in options["headers"]),
        }
    if options["variables"]:
        parts = dict(assignment(text) for text in options["variables"])
        changes["variables"] = {**entry.get("variables", {}), **parts}
    return changes


def _removed(entry: Mapping[str, Any], unset: tuple[str, ...]) -> dict[str, Any]:
    """The settings that are removed, or lose a part; raises ``UsageError`` for a missing part."""
    removed: dict[str, Any] = {}
    for option in unset:
        name, dot, part = option.partition(".")
        field = _field(name)
        if not dot:
            removed[field] = None
            continue
        parts = removed.get(field) or entry.get(field, {})
        gone = {
            known for known in parts if known == part or (name == "header" and known.lower() == part.lower())
        }
        if not gone:
            there = f": there is {', '.join(parts)}" if parts else ""
            raise click.UsageError(f"--unset {option}: nothing of that name is set{there}")
        removed[field] = {known: value for known, value in parts.items() if known not in gone} or None
    return removed


def _field(option: str) -> str:
    return _KEYS.get(option, option.replace("-", "_"))


def _given(options: Mapping[str, Any], option: str) -> bool:
    return bool(options.get(_field(option)))
