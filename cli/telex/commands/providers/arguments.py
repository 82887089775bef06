"""Options and prompts of several commands: the settings of a provider, and the source of its key."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, TypeVar

import click

from provider_core.settings.provider_fields import PROVIDER_FIELDS
from provider_core.structs import Struct, field, replace
from telex.exit_codes import ExitCode, Stop
from telex.setting_options import add_options, given_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from provider_core.settings.provider_fields import ProviderField
    from provider_core.types import Provider
    from telex.app import App

_Command = TypeVar("_Command", bound="Callable[..., object]")

KEY_OPTIONS = ("key_stdin", "key_env", "key_command", "no_key")
_KEY_FLAGS = "--key-stdin, --key-env VAR, --key-command CMD or --no-key"
ATTEMPTS = 3
"""Attempts to type a key."""


KEY_ROWS = [row for row in PROVIDER_FIELDS if row.name.startswith("key")]
NEW_ROWS = [row for row in PROVIDER_FIELDS if not row.edit_only]
"""The settings of a provider that is not set up yet."""


def setting_options(rows: Sequence[ProviderField], command: _Command) -> _Command:
    """An option for each row, named as in the settings, and for the source of the key; ``choose_key`` reads those."""
    at = next(at for at, row in enumerate(rows) if row.name == "key")
    command = add_options(rows[at + 1 :], command)
    about = "Read the key from stdin and store it in the keyring."
    command = click.option("--key-stdin", is_flag=True, help=about)(command)
    about = "Send no key, because the server needs none."
    command = click.option("--no-key", is_flag=True, help=about)(command)
    return add_options(rows[:at], command)


def changed_fields(app: App, options: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the options set, except the source of the key; ``entry`` is the present table.

    Headers, fields of the body and parts of the address are added to those of ``entry``; a model file brings its
    models.
    """
    from provider_core.settings.validators import parse_base_url

    changes = given_fields([row for row in PROVIDER_FIELDS if row not in KEY_ROWS], options, entry)
    if "base_url" in changes:
        found = parse_base_url(changes["base_url"])
        changes["base_url"] = found.url
        if found.dropped:
            app.console.note(
                f"{' and '.join(found.dropped)} at the end is dropped: the base URL is {found.url}"
            )
    if options["gguf"]:
        from provider_core import local

        path: Path = options["gguf"].absolute()
        trained = local.read_gguf(path)
        context = app.runtime.settings.local_context or (trained and local.default_context(trained))
        models = changes.get("models") or [path.stem]
        changes["models"] = [{"id": each, **({"context": context} if context else {})} for each in models]
    return changes


def preview(app: App, name: str, fields: Mapping[str, Any], changes: Mapping[str, Any]) -> Provider:
    """The provider with these fields; raises ``UsageError`` if one of the ``changes`` by an option is invalid."""
    from provider_core import settings
    from provider_core.errors import SettingsError

    try:
        return settings.preview(name, fields, app.runtime.paths, app.runtime.environ)
    except SettingsError as error:
        place, _, words = error.message.removeprefix(f"providers.{name}.").partition(": ")
        row = next((row for row in PROVIDER_FIELDS if row.name == place.partition(".")[0]), None)
        if row is None or not words or changes.get(row.name) is None:
            raise
        raise click.UsageError(f"--{row.flag}: {words}") from None


def require_free_name(app: App, name: str, *, old: str = "", remedy: str) -> None:
    """Raise ``InvalidInputError`` for an invalid name, and stop if a provider other than ``old``, or an alias has it.

    ``remedy`` is how to use the name of a provider all the same; with "", a provider may have exactly this name.
    """
    from provider_core.settings.validators import validate_name
    from telex.provider_commands import find_provider_name

    validate_name(name)
    taken = find_provider_name(app, name)
    if taken not in (None, name, old):
        raise click.UsageError(f"{taken} is already set up, and names are unique regardless of case")
    if taken == name != old and remedy:
        app.console.error(f"{name} is already set up", remedy)
        raise Stop(ExitCode.SETTINGS)
    aliases = app.runtime.settings.aliases
    alias = next((known for known in aliases if known.casefold() == name.casefold()), None)
    if alias is not None and name not in app.runtime.settings.providers:
        app.console.error(
            f"{alias} is already an alias for {aliases[alias]}",
            f"Choose another name, or remove the alias: telex models alias {alias} --remove",
        )
        raise Stop(ExitCode.SETTINGS)


# --- the source of the key ---------------------------------------------------------------------------------


class KeyChoice(Struct):
    """The new source of a key."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    """Fields to save in the settings."""
    key: str | None = field(default=None, repr=False)
    """The key to store in the keyring."""
    message: str = ""
    typed: bool = False
    """Whether the key was typed at the prompt, and can be typed again."""


def choose_key(app: App, provider: Provider, options: Mapping[str, Any], *, ask: bool = False) -> KeyChoice:
    """The source of the key: from the options, or else the environment, or else a prompt.

    ``ask`` prompts even if a variable is set. Raises ``UsageError`` if there is no terminal to prompt on, and
    ``KeyStoreError`` before the prompt if a key could not be stored.
    """
    given = [name for name in KEY_OPTIONS if options.get(name)]
    if len(given) > 1:
        flags = [f"--{name.replace('_', '-')}" for name in given]
        raise click.UsageError(f"{' and '.join(flags)} cannot be used together")
    match given:
        case ["no_key"]:
            return _NO_KEY
        case ["key_env"]:
            return _from_variable(app, options["key_env"])
        case ["key_command"]:
            fields = {"key_command": options["key_command"]}
            return KeyChoice(fields=fields, message="The key command gives the key.")
        case ["key_stdin"] if app.console.stdin_is_terminal():
            return _stored(prompt_key(provider, optional=False))
        case ["key_stdin"]:
            from provider_core.keys import clean

            return _stored(clean(app.console.read_stdin() or "", "stdin"))
    if not ask:
        environ = app.runtime.environ
        variable = next((name for name in provider.key_env if environ.get(name, "").strip()), None)
        if variable:
            # A preset's variable is for the preset's hosts: for another address it has to be named.
            named = {"key_env": variable} if provider.key_env_for else {}
            return KeyChoice(
                fields=named, message=f"The key is taken from the environment variable {variable}."
            )
        if not provider.key_required:
            return KeyChoice()
    return _prompted(app, provider)


_NO_KEY = KeyChoice(fields={"key": "none"}, message="No key is sent.")


def _stored(key: str) -> KeyChoice:
    return KeyChoice(fields={"key": "keyring"}, key=key, message="The key is in the keyring.")


def _from_variable(app: App, name: str) -> KeyChoice:
    from provider_core.errors import InvalidInputError
    from provider_core.settings.validators import validate_key_env

    is_set = bool(app.runtime.environ.get(name, "").strip())
    try:
        # A key that was given instead of a name must not be saved or repeated.
        validate_key_env(name if is_set or name == name.upper() else "")
    except InvalidInputError as error:
        raise click.UsageError(error.message.replace("key_env", "--key-env")) from None
    message = (
        f"The key is taken from the environment variable {name}.{'' if is_set else ' It is not set now.'}"
    )
    return KeyChoice(fields={"key_env": name}, message=message)


def _prompted(app: App, provider: Provider) -> KeyChoice:
    app.console.require_terminal(
        f"no key for {provider.name}, and no terminal to prompt on\nUse {_KEY_FLAGS}"
        + (f", or set {provider.key_env[0]}." if provider.key_env else "."),
    )
    from provider_core import presets
    from provider_core.errors import KeyStoreError

    preset = presets.of(provider)
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
        app.console.note(f"Create a key at {preset.keys_url}")
    key = prompt_key(provider, optional=preset is None)
    return replace(_stored(key), typed=True) if key else _NO_KEY


def prompt_key(provider: Provider, *, optional: bool) -> str:
    from provider_core.errors import InvalidKeyError
    from provider_core.keys import clean

    question = f"API key for {provider.name}{' (Enter for none)' if optional else ''}"
    default = "" if optional else None
    for left in reversed(range(ATTEMPTS)):
        text = str(click.prompt(question, hide_input=True, err=True, default=default, show_default=False))
        try:
            return "" if optional and not text.strip() else clean(text, "the prompt")
        except InvalidKeyError as error:
            if not left:
                raise
            click.echo(f"{error.message}. Try again.", err=True)
    raise AssertionError("the last attempt returns or raises")


def unused_key(app: App, provider: Provider) -> str:
    """A warning about a stored key that a variable overrides, or ""."""
    from provider_core.keys import source

    found = source(provider, app.runtime.environ)
    if provider.key_stored and found.kind == "variable" and found.ready:
        return f"{found.variable} is set, and takes precedence over the keyring."
    return ""
