"""``telex providers set-key``, and the options for keys that it shares with ``add`` and ``edit``."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from provider_core.structs import Struct, field
from telex.app import pass_app
from telex.command import Command
from telex.exit_codes import ASKING, ExitCode, Stop
from telex.options import Name
from telex.prompts import confirm, require_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from provider_core.presets import Preset
    from provider_core.probe import Report
    from provider_core.types import Provider
    from telex.app import App

__all__ = ["KeyChoice", "checked", "choose", "command", "confirm_destination", "key_options", "shadow"]

_FLAGS = "--key-stdin, --key-env VAR, --key-command CMD or --no-key"

_Command = TypeVar("_Command", bound="Callable[..., object]")


class KeyChoice(Struct):
    """The new source of a key.

    ``fields`` are saved in the settings, and ``store`` in the keyring; ``said`` is the message for the user.
    ``typed`` means that the key was typed at the prompt and can be typed again.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    store: str | None = field(default=None, repr=False)
    said: str = ""
    typed: bool = False


_ATTEMPTS = 3
"""Attempts to type a key."""


def key_options(command: _Command) -> _Command:
    """``--key-stdin``, ``--key-env``, ``--key-command`` and ``--no-key``; ``choose`` reads them."""
    for option in (
        click.option("--no-key", is_flag=True, help="Use no key."),
        click.option(
            "--key-command",
            metavar="CMD",
            help="Read the key from the output of a command, run for each chat.",
        ),
        click.option("--key-env", metavar="VAR", help="Read the key from an environment variable."),
        click.option(
            "--key-stdin", is_flag=True, help="Read the key from stdin and store it in the keyring."
        ),
    ):
        command = option(command)
    return command


def choose(app: App, provider: Provider, options: Mapping[str, Any], *, ask: bool = False) -> KeyChoice:
    """The source of the key: from the options, or else the environment, or else a prompt.

    ``ask`` prompts even if a variable is set. Raises ``UsageError`` if there is no terminal to prompt on, and
    ``KeyStoreError`` before the prompt if a key could not be stored.
    """
    given = [name for name in ("key_stdin", "key_env", "key_command", "no_key") if options.get(name)]
    if len(given) > 1:
        flags = [f"--{name.replace('_', '-')}" for name in given]
        raise click.UsageError(f"{' and '.join(flags)} do not go together")
    match given:
        case ["no_key"]:
            return KeyChoice(fields={"key": "none"}, said="No key is sent.")
        case ["key_env"]:
            return _from_variable(app, str(options["key_env"]))
        case ["key_command"]:
            return KeyChoice(
                fields={"key_command": options["key_command"]}, said="The key command gives the key."
            )
        case ["key_stdin"]:
            return _stored(_read(app, provider))
    if not ask:
        variable = next(
            (name for name in provider.key_env if app.runtime.environ.get(name, "").strip()), None
        )
        if variable:
            # A preset's variable is for the preset's hosts: at another address it has to be named.
            named = {"key_env": variable} if provider.key_env_for else {}
            return KeyChoice(fields=named, said=f"The key is taken from the environment variable {variable}.")
        if not provider.key_required:
            return KeyChoice()
    return _prompted(app, provider)


def _from_variable(app: App, name: str) -> KeyChoice:
    from provider_core.errors import InvalidInputError
    from provider_core.settings import validators

    is_set = bool(app.runtime.environ.get(name, "").strip())
    try:
        # A key that was given in the place of a name must be neither kept nor repeated.
        validators.validate_key_env(name if is_set or name == name.upper() else "")
    except InvalidInputError as error:
        raise click.UsageError(error.message.replace("key_env", "--key-env")) from None
    said = f"The key is taken from the environment variable {name}."
    return KeyChoice(fields={"key_env": name}, said=said if is_set else f"{said} It is not set now.")


def _read(app: App, provider: Provider) -> str:
    from provider_core.keys import clean

    if app.console.stdin_is_terminal():
        return _ask(provider, optional=False)
    return clean(app.console.read_stdin() or "", "stdin")


def _prompted(app: App, provider: Provider) -> KeyChoice:
    require_terminal(
        app.console,
        f"there is no terminal to ask for the key of {provider.name}: give {_FLAGS}"
        + (f", or set {provider.key_env[0]}" if provider.key_env else ""),
    )
    from provider_core.errors import KeyStoreError

    preset = _preset(provider)
    try:
        app.runtime.key_store.get(provider.name)  # before anyone types a key that could not be stored
    except KeyStoreError as error:
        typed = shlex.join(["telex", *app.arguments])
        lines = ["Unlock the keyring, and run the command again."] if error.state == "locked" else []
        if preset is None and provider.name not in app.runtime.settings.providers:
            lines.append(f"If the server needs no key: {typed} --no-key")
        lines.append(f"Take the key from an environment variable: {typed} --key-env VAR")
        app.console.error(error.message, "\n".join(lines))
        raise Stop(ExitCode.KEY) from None
    if preset is not None and preset.keys_url:
        app.console.note(f"A key is made at {preset.keys_url}")
    key = _ask(provider, optional=preset is None)
    return (
        replace(_stored(key), typed=True)
        if key
        else KeyChoice(fields={"key": "none"}, said="No key is sent.")
    )


def checked(app: App, provider: Provider, choice: KeyChoice) -> tuple[Report | None, KeyChoice]:
    """Check the provider with the key of ``choice``, as ``verify.passed`` does.

    A typed key that is refused can be typed again. Returns the choice with the key that was accepted.
    """
    from telex.commands.providers import verify

    for left in reversed(range(_ATTEMPTS)):
        again = choice.typed and left > 0
        try:
            return verify.passed(app, provider, choice.store, again=again), choice
        except Stop as stop:
            if stop.code is not ExitCode.KEY or not again:
                raise
        choice = replace(choice, store=_ask(provider, optional=False))
    raise AssertionError("the last attempt returns or raises")


def _ask(provider: Provider, *, optional: bool) -> str:
    from provider_core.errors import InvalidKeyError
    from provider_core.keys import clean

    for left in reversed(range(_ATTEMPTS)):
        text = str(
            click.prompt(
                f"API key for {provider.name}{' (Enter for none)' if optional else ''}",
                hide_input=True,
                err=True,
                default="" if optional else None,
                show_default=False,
            )
        )
        try:
            return "" if optional and not text.strip() else clean(text, "the prompt")
        except InvalidKeyError as error:
            if not left:
                raise
            click.echo(f"{error.message}. Try again.", err=True)
    raise AssertionError("the last attempt returns or raises")


def _stored(key: str) -> KeyChoice:
    return KeyChoice(fields={"key": "keyring"}, store=key, said="The key is in the keyring.")


def confirm_destination(app: App, before: Provider, after: Provider, *, trust: bool) -> KeyChoice:
    """Ask whether the provider's present key may be sent to its new address.

    A new proxy or CA bundle for the same address needs no confirmation. Raises ``UsageError`` without a terminal
    to prompt on, and ``Stop`` if the answer is no. ``trust`` means yes.
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
    entries += [
        wanted.entry
        for wanted in map(parse_reference, after.headers.values())
        if wanted is not None and wanted.kind == "keyring"
    ]
    found = {entry: text for entry in entries if (text := store.get(entry)) is not None}
    if not found and not (after.key_env_for and variable):
        return KeyChoice()
    sealed = [unseal(text)[1] for text in found.values()] or [None]
    places = [(old,) if known is None else known for known in sealed]
    moved = any(new.origin not in {place.origin for place in known} for known in places)
    if not trust and moved:
        own = " and ".join(dict.fromkeys(place.origin for known in places for place in known)) or "no address"
        what = "stored key" if name in found else "stored secrets" if found else f"key in {variable}"
        confirm(
            app.console,
            f"Send the {what} of {name} to {new.origin} as well?",
            otherwise=f"the {what} of {name} is for {own}, and would go to {new.origin}: "
            "give the key again with --key-stdin, or confirm that with --trust",
            declined="Nothing was changed.",
        )
    for entry in entries:
        if entry != name and entry in found:
            secret, known = unseal(found[entry])
            store.set(entry, seal(secret, (*(known or ()), new)))
    if trust or moved:
        app.console.note(f"The key of {name} goes to {new} from now on.")
    return KeyChoice(
        fields={"key_env": variable} if after.key_env_for and variable and name not in found else {},
        store=seal_for(after, unseal(found[name])[0]) if name in found else None,
    )


def shadow(app: App, provider: Provider) -> str:
    """A warning about a stored key that is not used, or ""."""
    from provider_core.keys import source

    found = source(provider, app.runtime.environ)
    if provider.key_stored and found.kind == "variable" and found.ready:
        return f"{found.variable} is set, and takes precedence over the keyring."
    return ""


def _preset(provider: Provider) -> Preset | None:
    from provider_core import presets

    return presets.get(provider.preset) if provider.preset else None


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
@key_options
@click.option("--no-verify", is_flag=True, help="Save the key without checking it.")
@click.option(
    "--allow-http", is_flag=True, help="Allow sending the key over plain http to a host that is not local."
)
@pass_app
def command(app: App, /, *, name: str, no_verify: bool, allow_http: bool, **options: Any) -> None:
    """Change the source of a provider's key.

    Without options, telex prompts for a key without showing it, and stores it in the keyring of the operating
    system.
    """
    from provider_core import provider_store, settings
    from provider_core.keys import seal_for
    from provider_core.settings import edit
    from telex import lists
    from telex.commands.providers import verify

    entries = edit.entries(app.runtime.paths.settings_file)
    provider = lists.configured(app, name)
    name = provider.name
    before = entries.get(name, {})
    if provider.embedded:
        raise click.UsageError(f"{name} is a model file that runs here, and needs no key")
    bare = replace(provider, auth="bearer" if provider.auth == "none" else provider.auth, key_required=True)
    choice = choose(app, bare, options, ask=True)
    fields = {**choice.fields, **({"allow_http": True} if allow_http else {})}
    changed = settings.preview(
        name, {**before, **provider_store.key_fields(before, fields)}, app.runtime.paths, app.runtime.environ
    )
    verify.allowed(app, changed, choice.store)
    if not no_verify:
        _, choice = checked(app, changed, choice)
    key = seal_for(changed, choice.store) if choice.store is not None else None
    if before:
        provider_store.set_key(app.runtime.paths.settings_file, app.runtime.key_store, name, fields, key=key)
    elif key is not None and provider.key_stored:
        app.runtime.key_store.set(name, key)
    else:
        raise click.UsageError(
            f'{name} is set up by TELEX_PROVIDERS: change it there, to "key": "keyring" for a stored key'
        )
    app.console.note(" ".join(filter(None, (choice.said, shadow(app, changed)))))
