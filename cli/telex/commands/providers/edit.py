"""``telex providers edit``, ``set-key``, ``rename`` and ``remove``: change a provider that is set up."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from provider_core.settings.provider_fields import PROVIDER_FIELDS
from provider_core.structs import replace
from telex import provider_commands
from telex.app import pass_app
from telex.commands.providers import arguments
from telex.commands.providers.arguments import KeyChoice
from telex.exit_codes import ASKING, ExitCode, Stop
from telex.main import Command
from telex.options import Name
from telex.setting_options import Unset, removed_fields, require_apart, unset_option

if TYPE_CHECKING:
    from provider_core.types import Provider
    from telex.app import App

UNSETTABLE = Unset(row for row in PROVIDER_FIELDS if row.name not in ("key", "enabled"))
"""The values of ``--unset``."""
_UNSET_HELP = (
    "Remove a setting, named like its option: proxy, idle-timeout; header.NAME and param.NAME remove one."
)


@click.command(
    cls=Command,
    examples=(
        "telex providers edit lab --display-name 'The lab' --unset proxy",
        "pass show lab | telex providers edit lab --key-stdin",
    ),
    exits=ASKING,
)
@click.argument("name", type=Name("provider"))
@partial(arguments.setting_options, PROVIDER_FIELDS)
@partial(unset_option, UNSETTABLE, _UNSET_HELP)
@click.option("--no-verify", is_flag=True, help="Save a new key without checking it.")
@click.option(
    "--trust", is_flag=True, help="Allow sending the stored key with the changed address, proxy or CA bundle."
)
@pass_app
def edit(
    app: App, /, *, name: str, unset: tuple[str, ...], no_verify: bool, trust: bool, **options: Any
) -> None:
    """Change the settings of a provider.

    Only the options you give are changed. --header adds a header; --model replaces the list of models. A new key
    from --key-stdin is checked with the server before it is saved.

    A stored key is bound to the address, proxy and CA bundle. If you change one of them, telex asks on a terminal
    whether to trust the new one or to store the key again; elsewhere, use --trust or --key-stdin.
    """
    from provider_core import provider_store
    from provider_core.settings import edit as settings_file
    from telex.commands.providers import check

    path, store = app.runtime.paths.settings_file, app.runtime.key_store

    def read() -> tuple[dict[str, Any], dict[str, Any]]:
        entry = settings_file.entries(path).get(name, {})
        return entry, {**arguments.changed_fields(app, options, entry), **removed_fields(entry, unset)}

    entry, changes = read()
    if entry and f"providers.{name}" in app.runtime.settings.problems:
        before = arguments.preview(app, name, {**entry, **changes}, changes)  # whether it is usable now
    else:
        before = provider_commands.configured_provider(app, name)
    new_key = any(options[option] for option in arguments.KEY_OPTIONS)
    if not entry and (changes or new_key or not trust):
        raise click.UsageError(f"{name} is set up by TELEX_PROVIDERS: change it there")
    require_apart(UNSETTABLE.rows.values(), options, unset)
    choice = None
    if new_key:
        if before.embedded:
            raise click.UsageError(f"{name} is a model file that runs here, and needs no key")
        choice = arguments.choose_key(app, before, options)
        entry, changes = read()  # the prompt or stdin may have taken a while
        changes |= choice.fields
    elif not changes and not trust:
        raise click.UsageError("nothing to change")
    fields = {**entry, **(provider_store.key_fields(entry, changes) if choice else changes)}
    after = arguments.preview(app, name, fields, changes)
    if choice is not None:
        _, choice, key = check.checked_key(app, after, choice, no_verify=no_verify or choice.key is None)
        provider_store.set_key(path, store, name, changes, key=key)
    else:
        check.require_encryption(app, after, None)
        trusted = confirm_destination(app, before, after, trust=trust)
        changes |= trusted.fields
        if not entry:
            if trusted.fields:
                raise click.UsageError(f"{name} is set up by TELEX_PROVIDERS: name key_env there")
            if trusted.key is not None:
                store.set(name, trusted.key)
        else:
            provider_store.update(path, store, name, changes, trusted.key)
    app.console.note(f"{name} is changed.")
    if (before.base_url, before.gguf) != (after.base_url, after.gguf):
        app.console.note(f"To check it: telex providers test {name}")
    if before.enabled and not after.enabled:
        provider_commands.warn_references(app, name, then="which is disabled now")


def confirm_destination(app: App, before: Provider, after: Provider, *, trust: bool) -> KeyChoice:
    """Ask whether the provider's present secrets may be sent to its new address; ``trust`` means yes.

    A destination where no one else can read them needs no confirmation. Raises ``UsageError`` without a terminal
    to prompt on, and ``Stop`` if the answer is no. Returns what to save and the sealed key to store.
    """
    from provider_core.keys import Destination, seal, seal_for, unseal
    from provider_core.settings.validators import parse_reference

    if after.embedded or not (before.base_url and after.base_url):
        return KeyChoice()
    old, new = (Destination.of(each.base_url, each.network) for each in (before, after))
    if not trust and not new.adds_to(old):
        return KeyChoice()
    name, store = after.name, app.runtime.key_store
    variable = next((each for each in after.key_env if app.runtime.environ.get(each, "").strip()), None)
    entries = [name] if after.key_stored else []
    wanted = [parse_reference(value) for value in after.headers.values()]
    entries += [each.entry for each in wanted if each is not None and each.kind == "keyring"]
    found = {entry: unseal(text) for entry in entries if (text := store.get(entry)) is not None}
    by_variable = after.key_env_for and variable
    if not found and not by_variable:
        if trust and before == after:
            raise click.UsageError(f"--trust: {name} has no stored key")
        return KeyChoice()
    places = [(old,) if known is None else known for _, known in found.values()] or [(old,)]
    moved = any(new.origin not in {place.origin for place in known} for known in places)
    if not trust and moved:
        own = " and ".join(dict.fromkeys(place.origin for known in places for place in known)) or "no address"
        what = "stored key" if name in found else "stored secrets" if found else f"key in {variable}"
        app.console.confirm(
            f"Send the {what} of {name} to {new.origin} as well?",
            otherwise=f"the {what} of {name} is for {own}, and would go to {new.origin}: "
            "enter the key again with --key-stdin, or confirm with --trust",
            declined="Nothing was changed.",
        )
    for entry, (secret, known) in found.items():
        if entry != name:
            store.set(entry, seal(secret, (*(known or ()), new)))
    if trust or moved:
        app.console.note(f"The key of {name} goes to {new} from now on.")
    return KeyChoice(
        fields={"key_env": variable} if by_variable and name not in found else {},
        key=seal_for(after, found[name][0]) if name in found else None,
    )


@click.command(
    cls=Command,
    name="set-key",
    examples=(
        "telex providers set-key openai",
        "pass show openai | telex providers set-key openai --key-stdin",
    ),
    exits=ASKING,
)
@click.argument("name", type=Name("provider"))
@partial(arguments.setting_options, arguments.KEY_ROWS)
@click.option("--no-verify", is_flag=True, help="Save the key without checking it.")
@click.option(
    "--allow-http", is_flag=True, help="Allow sending the key over plain http to a host that is not local."
)
@pass_app
def set_key(app: App, /, *, name: str, no_verify: bool, allow_http: bool, **options: Any) -> None:
    """Change the source of a provider's key.

    Without options, telex prompts for a key without showing it, and stores it in the keyring of the operating
    system. A key that you type, or give with --key-stdin, is checked with the server before it is saved.
    """
    from provider_core import provider_store, settings
    from telex.commands.providers import check

    path, store = app.runtime.paths.settings_file, app.runtime.key_store
    provider = provider_commands.configured_provider(app, name)
    name = provider.name
    before = settings.edit.entries(path).get(name, {})
    if provider.embedded:
        raise click.UsageError(f"{name} is a model file that runs here, and needs no key")
    choice = arguments.choose_key(app, replace(provider, key_required=True), options, ask=True)
    fields = {**choice.fields, **({"allow_http": True} if allow_http else {})}
    changed = settings.preview(
        name, {**before, **provider_store.key_fields(before, fields)}, app.runtime.paths, app.runtime.environ
    )
    _, choice, key = check.checked_key(app, changed, choice, no_verify=no_verify)
    if before:
        provider_store.set_key(path, store, name, fields, key=key)
    elif key is not None and provider.key_stored:
        store.set(name, key)
    else:
        raise click.UsageError(
            f'{name} is set up by TELEX_PROVIDERS: change it there, to "key": "keyring" for a stored key'
        )
    app.console.note(" ".join(filter(None, (choice.message, arguments.unused_key(app, changed)))))


@click.command(
    cls=Command,
    examples=(
        "telex providers rename lab work",
        "telex providers rename lab work && telex providers list | grep work",
    ),
    exits=(ExitCode.SETTINGS, ExitCode.KEY),
)
@click.argument("old", type=Name("provider"))
@click.argument("new")
@pass_app
def rename(app: App, *, old: str, new: str) -> None:
    """Rename a provider.

    Also updates its stored key, the default model and the aliases.
    """
    from provider_core import catalog, provider_store

    provider_commands.configured_provider(app, old)
    provider_commands.require_in_file(app, old)
    other = f"Choose another name, or remove it first: telex providers remove {new}"
    arguments.require_free_name(app, new, old=old, remedy=other)
    moved = provider_store.rename(app.runtime.paths.settings_file, app.runtime.key_store, old, new)
    catalog.rename_cached(app.runtime.paths.lists, old, new)
    also = f" Changed along with it: {provider_commands.describe_references(moved)}." if moved else ""
    app.console.note(f"{old} is now {new}.{also}")


@click.command(
    cls=Command,
    examples=(
        "telex providers remove lab --yes",
        "telex providers list | grep -w off | cut -f 1 | xargs -n 1 telex providers remove --yes",
    ),
    exits=(ExitCode.SETTINGS, ExitCode.KEY),
)
@click.argument("name", type=Name("provider"))
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--keep-key", is_flag=True, help="Keep the key in the keyring.")
@pass_app
def remove(app: App, *, name: str, yes: bool, keep_key: bool) -> None:
    """Remove a provider and its key.

    Asks for confirmation on a terminal; otherwise --yes is required.
    """
    from provider_core import catalog, provider_store
    from provider_core.errors import KeyStoreError
    from provider_core.settings import edit, file

    path = app.runtime.paths.settings_file
    if name not in file.read(path).get("providers", {}):
        provider_commands.configured_provider(app, name)  # its error suggests similar names
        provider_commands.require_in_file(app, name)
    provider_commands.warn_references(app, name, then="which will no longer exist")
    if not yes:
        app.console.confirm_removal(name)
    stored = edit.entries(path).get(name, {}).get("key") == "keyring"
    try:
        provider_store.remove(path, app.runtime.key_store, name, keep_key=keep_key)
    except KeyStoreError as error:
        unlock = "Unlock the keyring, and run the command again.\n" if error.state == "locked" else ""
        app.console.error(
            error.message, f"{unlock}To remove it without its key: telex providers remove {name} --keep-key"
        )
        raise Stop(ExitCode.KEY) from None
    catalog.delete_cached(app.runtime.paths.lists, name)
    if stored and keep_key:
        app.console.note(f"{name} is removed; its key is left in the keyring (service telex, user {name}).")
    else:
        app.console.note(f"{name} and its key are removed." if stored else f"{name} is removed.")
