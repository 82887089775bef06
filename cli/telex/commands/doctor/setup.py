"""Checks of what the user has set up: settings, providers, keys, proxies, models, the history, and MCP servers."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from typing import TYPE_CHECKING

from provider_core.errors import (
    CoreError,
    HistoryError,
    KeyDestinationError,
    KeyStoreError,
    ModelFileError,
    NoModelError,
    SettingsError,
)
from telex.commands.doctor import note, ok, problem
from telex.error_hints import code_and_hint, install_command
from telex.humanize import age, plural, size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from provider_core.settings.mcp import McpServer
    from provider_core.types import Provider
    from telex.commands.doctor import DoctorContext, Finding


def _unreadable(context: DoctorContext) -> Iterator[Finding]:
    """A note for what depends on the settings file, if that cannot be read; ``settings`` reports the problem."""
    if context.file[1] is not None:
        yield note("everything", "unknown, because the settings file cannot be read (see settings)")


# --- settings -------------------------------------------------------------------------------------------------------


def settings(context: DoctorContext) -> Iterator[Finding]:
    """Whether the settings are valid; ``telex config list`` shows the values in force."""
    from provider_core.redaction import close_matches
    from provider_core.settings import Settings

    (text, error), path, found = context.file, context.paths.settings_file, context.settings
    if error is not None:
        yield problem("file", error.message, f"Edit {path}")
    elif not text:
        yield ok("file", f"{path} (not created yet: defaults are used)")
    else:
        yield ok("file", f"{path}, {plural(len(found.providers), 'provider')}")
    yield from _profile_and_project(context)
    for entry in found.problems:
        if entry.partition(".")[0] not in ("mcp", "providers"):
            yield context.invalid_entry(entry, subject=entry)
    known = {
        f"TELEX_{name.upper()}" for name in (*Settings.__annotations__, "home", "profile", "trust_project")
    }
    given = {name.upper() for name, value in context.environ.items() if value}
    for name in sorted(given - known):
        # Other commands ignore a mistyped variable without a word; an unknown nested one is among the problems.
        if name.startswith("TELEX_") and "__" not in name:
            meant = close_matches(name, known, most=1, cutoff=0.8)
            hint = f"Did you mean {meant[0]}?" if meant else "See: telex help environment"
            yield note(name, "is set but has no effect, because it is not a setting", hint)


def _profile_and_project(context: DoctorContext) -> Iterator[Finding]:
    if (error := context.profile_error) is not None:
        yield problem("profile", error.message, code_and_hint(error)[1] or "")
    elif name := context.settings.profile:
        allowed = context.settings.profile_providers
        only = f", only with the providers {', '.join(allowed)}" if allowed is not None else ""
        yield ok("profile", f"{name}{only}")
    if (found := context.runtime.project) is None:
        return
    match found.state:
        case "trusted" if (project := context.settings.project) is not None:
            yield ok("project", f"{found.path}: {'; '.join(project.settings) or 'nothing'}")
        case "ci":
            yield note("project", f"{found.path} is not used in CI", "To use it: TELEX_TRUST_PROJECT=1")
        case "unusable":
            yield note("project", found.reason)
        case "untrusted" | "changed":
            words = "is not trusted" if found.state == "untrusted" else "has changed since you trusted it"
            yield note("project", f"{found.path} {words}", "To use it: telex trust")


# --- providers ------------------------------------------------------------------------------------------------------


def providers(context: DoctorContext) -> Iterator[Finding]:
    """Whether each provider can be used, and which source its key comes from."""
    yield from (found := [*_unreadable(context), *context.invalid("providers")])
    if context.file[1] is not None:
        return
    catalog = context.catalog
    usable = [
        each for name, each in catalog.providers.items() if name in catalog.not_set_up and not each.embedded
    ]
    for provider in (*context.settings.providers.values(), *usable):
        yield _provider(context, provider)
    if not (found or usable or context.settings.providers):
        yield note("none", "no provider is set up", "Add one: telex providers add NAME (telex help keys)")


def _provider(context: DoctorContext, provider: Provider) -> Finding:
    from provider_core.keys import source
    from provider_core.settings.validators import is_private_host
    from telex.render.providers import key_words

    name, address = provider.name, provider.base_url.partition("?")[0]  # the query may hold secrets
    if not provider.enabled:
        return ok(name, f"{address}, disabled")
    if provider.gguf is not None:
        return _model_file(name, provider.gguf)
    found = source(provider, context.environ)
    detail = f"{address}, key: {key_words(found)}"
    if not found.ready:
        remedy = f"Set {found.variable}, or store one" if found.variable else "Store one"
        return note(name, detail, f"{remedy}: telex providers set-key {name}")
    if found.kind == "command" and (missing := _missing_program(provider.key_command or "")):
        remedy = f"Install it, or use another command: telex providers set-key {name} --key-command CMD"
        return problem(name, f"{detail}, and program {missing} is not found", remedy)
    if found.kind == "variable" and provider.key_stored:
        detail += ", which takes precedence over the one in the keyring"
    if found.kind != "none" and address.startswith("http://") and not is_private_host(address):
        remedy = f"If it has https: telex providers edit {name} --base-url https{address[4:]}"
        return note(name, f"{detail}, sent unencrypted", remedy)
    is_set_up = name in context.settings.providers
    return ok(name, detail if is_set_up else f"{detail}; can be used without being set up")


def _model_file(name: str, path: Path) -> Finding:
    from provider_core import local

    try:
        local.read_gguf(path)
    except ModelFileError as error:
        return problem(name, error.message, f"telex providers edit {name} --gguf FILE")
    if not local.installed():
        return problem(name, f"{path} needs the extra local", install_command("telex[local]"))
    return ok(name, f"{path}, runs on this machine")


def _missing_program(command: str) -> str:
    """The program of a command that needs no shell, if it is not found; else ""."""
    from provider_core.keys import needs_shell

    try:
        words = [] if needs_shell(command) else shlex.split(command, posix=sys.platform != "win32")
    except ValueError:
        return ""
    return words[0] if words and not shutil.which(words[0].strip('"')) else ""


# --- keyring --------------------------------------------------------------------------------------------------------

_NO_ENTRY = "telex-doctor"
"""A name without a key: reading it shows whether the keyring answers."""


def keyring(context: DoctorContext) -> Iterator[Finding]:
    """Whether the keyring of the operating system answers, and has what the settings expect to be in it."""
    from provider_core.keys import KeyringStore, source
    from provider_core.settings.mcp import secret_references

    store = context.key_store
    stored = [each for each in context.settings.providers.values() if each.enabled and each.key_stored]
    servers = [server for server in context.settings.mcp.values() if server.enabled]
    references = [each for server in servers for each in secret_references(server).values()]
    secrets = {each.entry: each for each in references if each.kind == "keyring"}
    try:
        backend = store.backend() if isinstance(store, KeyringStore) else type(store).__name__
        store.get(_NO_ENTRY)
    except KeyStoreError as error:
        needed = [each for each in stored if source(each, context.environ).kind == "keyring"]
        names = [f"no key for {each.name}" for each in needed] + [f"no {each}" for each in secrets.values()]
        if names:
            hint = code_and_hint(error, needed[0])[1] if needed else None
            hint = hint or "Unlock the keyring, or start one, and run again."
            yield problem("backend", f"{error.message}: {', '.join(names)}", hint)
        else:
            unneeded = "" if context.file[1] else "; no key or secret needs it"
            remedy = "Keys from variables and commands work without one: telex help keys"
            yield note("backend", f"{error.message}{unneeded}", remedy)
        return
    yield ok("backend", f"{backend} works")
    for provider in stored:
        text = store.get(provider.name)
        yield _misdirected_key(context, provider, text or "") or _stored(
            provider.name, "key", f"telex providers set-key {provider.name}", text
        )
    for secret in secrets.values():
        yield _stored(str(secret), "secret", f"telex mcp set-secret {secret.name}", store.get(secret.entry))


def _misdirected_key(context: DoctorContext, provider: Provider, text: str) -> Finding | None:
    """The problem if the key in the keyring was stored for another address."""
    from provider_core.keys import check_destination, source, unseal

    if not text or source(provider, context.environ).kind != "keyring":
        return None
    confirmed = unseal(text)[1]
    try:
        check_destination(
            "its key", provider.base_url, provider.network, environ=context.environ, confirmed=confirmed
        )
    except KeyDestinationError as error:
        return problem(provider.name, error.message, code_and_hint(error, provider)[1] or "")
    except SettingsError as error:
        return problem(provider.name, error.message, "See: telex doctor proxies")
    return None


def _stored(subject: str, what: str, remedy: str, text: str | None) -> Finding:
    if text is not None:
        return ok(subject, f"its {what} is stored")
    return problem(subject, f"its {what} is not in the keyring, though the settings say so", remedy)


# --- proxies --------------------------------------------------------------------------------------------------------


def proxies(context: DoctorContext) -> Iterator[Finding]:
    """The proxies of the environment, and the proxy for each provider."""
    from provider_core.http import find_proxy
    from provider_core.settings.validators import without_credentials

    spellings = [(name, name.upper()) for name in ("https_proxy", "http_proxy", "all_proxy", "no_proxy")]
    names = [name for pair in spellings for name in pair]
    named = {name: value for name in names if (value := context.environ.get(name))}
    if not named:
        yield ok("variables", "none is set")
    for name, value in named.items():
        yield ok(name, value if name.lower() == "no_proxy" else without_credentials(value))
    for provider in context.settings.providers.values():
        if not provider.enabled or provider.embedded:
            continue
        try:
            proxy, reason = find_proxy(provider.base_url, context.environ, provider.network.proxy)
        except SettingsError as error:
            yield problem(provider.name, error.message, "See: telex help proxies")
            continue
        how = f"through {proxy}" if proxy else "direct"
        reason = "this machine" if reason == "loopback" else reason
        yield ok(provider.name, f"{how} ({reason})" if reason else how)


# --- models ---------------------------------------------------------------------------------------------------------

_CHOOSE = "Choose one: telex models default ID"


def models(context: DoctorContext) -> Iterator[Finding]:
    """The default model, aliases, the age of model lists, and the embedded model."""
    from provider_core import local
    from provider_core.catalog import can_list_models
    from provider_core.resolve import resolve

    if context.file[1] is not None:
        yield from _unreadable(context)
        return
    catalog = context.catalog
    yield _default_model(context)
    for name, alias in context.settings.aliases.items():
        try:
            for target in alias.targets:
                resolve(target, catalog)
        except NoModelError:
            continue  # the server will be asked
        except CoreError as error:
            yield note(f"alias {name}", error.message, f"telex models alias {name} --remove")
    missing = []
    for provider in filter(can_list_models, catalog.usable):
        listing = catalog.listing(provider.name)
        if listing.fetched_at is None:
            missing.append(provider.name)
            continue
        detail = f"{plural(len(listing.models), 'model')}, listed {age(time.time() - listing.fetched_at)} ago"
        refresh = f"telex models list --refresh --provider {provider.name}"
        yield note(provider.name, detail, refresh) if listing.stale else ok(provider.name, detail)
    if missing:
        yield note("lists", f"never fetched for {', '.join(missing)}", "telex models list --refresh")
    if local.installed():
        model = local.DEFAULT_MODEL
        path = context.paths.models / model.file
        amount = f"{model.download_size / 1e6:.0f} MB to download on first use"
        yield ok("embedded model", f"{model.id} ({model.licence}), {path if path.exists() else amount}")


def _default_model(context: DoctorContext) -> Finding:
    from provider_core.resolve import resolve

    wanted = context.settings.model
    try:
        target = resolve(wanted, context.catalog)
    except NoModelError as error:
        if error.provider is not None:
            return ok("default", f"the first model that the server of {error.provider} lists")
        return note("default", error.message, code_and_hint(error)[1] or _CHOOSE)
    except CoreError as error:
        hint = code_and_hint(error)[1] or _CHOOSE
        return problem("default", error.message, hint) if wanted else note("default", error.message, hint)
    provider = target.provider.name
    if provider in context.catalog.without_key:
        set_key = f"telex providers set-key {provider}"
        return problem("default", f"{target}, and {provider} has no key", set_key)
    return ok("default", str(target))


# --- history --------------------------------------------------------------------------------------------------------


def history(context: DoctorContext) -> Iterator[Finding]:
    """The size and the condition of the history; ``folders`` checks its mode."""
    import sqlite3

    from provider_core.history import health

    path = context.paths.history
    if not context.settings.history:
        yield ok("saving", "turned off (history = false)")
    try:
        found = health(path)
    except HistoryError as error:
        remedy = code_and_hint(error)[1] or f"Move {path} away: telex creates a new one"
        yield problem("file", error.message, remedy)
        return
    if found is None:
        yield ok("file", f"{path} (not created yet)")
    else:
        count, conversations = found
        yield ok("file", f"{plural(conversations, 'conversation')}, {size(count)}, intact")
    yield ok("SQLite", sqlite3.sqlite_version)


# --- tools ----------------------------------------------------------------------------------------------------------


def tools(context: DoctorContext) -> Iterator[Finding]:
    """Whether each MCP server could be started; none is started."""
    from telex.commands.doctor.machine import is_importable

    yield from (found := [*_unreadable(context), *context.invalid("mcp")])
    servers = context.settings.mcp.values()
    if not servers and not found:
        yield ok("none", "no MCP server is set up")
    if servers and not is_importable("mcp"):
        what = "is not installed, but MCP servers are set up"
        yield problem("extra mcp", what, install_command("telex[mcp]"))
    for server in servers:
        yield _server(context, server)


def _server(context: DoctorContext, server: McpServer) -> Finding:
    from provider_core.settings.mcp import secret_references

    name = server.name
    if not server.enabled:
        return ok(name, "disabled")
    for field, found in secret_references(server).items():
        if found.kind == "env" and not context.environ.get(found.name):
            missing = f"{field} needs the variable {found.name}, which is not set"
            return problem(name, missing, f"Set {found.name}")
    if server.url:
        return ok(name, server.url.partition("?")[0])
    if server.cwd is not None and not server.cwd.is_dir():
        remedy = f"Edit {context.place('mcp', name, 'cwd')}"
        return problem(name, f"its working folder {server.cwd} does not exist", remedy)
    program = server.command[0]
    if not shutil.which(program, path=server.env.get("PATH")):
        return problem(name, f"program {program} not found", "Install it, or set its full path")
    return ok(name, f"runs {program}")  # arguments may contain secrets
