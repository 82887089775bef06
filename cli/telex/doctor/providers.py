"""Each provider: whether what is set up for it is in order, and which source its key would come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.errors import ModelFileError, SettingsError
from telex.doctor.finding import note, ok, problem, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from provider_core.types import Provider
    from telex.doctor.case import Case
    from telex.doctor.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    if not case.is_readable:
        yield unknown()
        return
    usable = [
        provider
        for name, provider in case.catalog.providers.items()
        if name in case.catalog.not_set_up and not provider.embedded
    ]
    if not case.providers and not usable:
        yield note("none", "no provider is set up", "Add one: telex providers add NAME (telex help keys)")
    for name, provider in case.providers.items():
        if isinstance(provider, SettingsError):
            where = f"{case.paths.settings_file}{case.line('providers', name)}"
            yield problem(name, _own_words(name, provider), f"Fix it: {where}")
        else:
            yield _provider(case, provider)
    for provider in usable:
        from provider_core.keys import source

        variable = source(provider, case.environ).variable
        yield ok(provider.name, f"{address(provider)}, key from {variable}; can be used without being set up")


def address(provider: Provider) -> str:
    """Where it is, without what a query may hold."""
    return str(provider.gguf) if provider.gguf else provider.base_url.partition("?")[0]


def _provider(case: Case, provider: Provider) -> Finding:
    place = address(provider)
    if not provider.enabled:
        return ok(provider.name, f"{place}, disabled")
    if provider.gguf is not None:
        return _file(provider, provider.gguf)
    from provider_core.keys import source
    from provider_core.settings.validators import is_private_host

    found = source(provider, case.environ)
    match found.kind:
        case "none":
            return ok(provider.name, f"{place}, no key")
        case "variable" if not found.ready:
            wanted = f"Set {found.variable}, or store one" if found.variable else "Store one"
            return note(
                provider.name,
                f"{place}, no key: it cannot be asked",
                f"{wanted}: telex providers set-key {provider.name}",
            )
        case "variable":
            key = f"key from {found.variable}"
            if provider.key_stored:
                key += ", which takes precedence over the one in the keyring"
        case "command":
            key = "key from a command"
            if missing := _missing_program(provider.key_command or ""):
                return problem(
                    provider.name,
                    f"{place}, {key}: there is no program {missing}",
                    f"Install it, or name another command: telex providers set-key {provider.name} --key-command CMD",
                )
        case _:
            key = "key from the keyring"
    if provider.base_url.startswith("http://") and not is_private_host(provider.base_url):
        return note(
            provider.name,
            f"{place}, {key}, which everyone on the way can read",
            f"If it has https: telex providers edit {provider.name} --base-url {place.replace('http', 'https', 1)}",
        )
    return ok(provider.name, f"{place}, {key}")


def _own_words(name: str, error: SettingsError) -> str:
    """What is wrong, without the table's name, which the finding has."""
    table = f"providers.{name}"
    return error.message.removeprefix(f"{table}: ").removeprefix(f"{table}.")


def _file(provider: Provider, path: Path) -> Finding:
    from provider_core import local

    try:
        local.check_gguf(path)
    except ModelFileError as error:
        return problem(provider.name, error.message, f"telex providers edit {provider.name} --gguf FILE")
    if not local.installed():
        from telex import installing

        return problem(provider.name, f"{path} needs the extra local", installing.command("telex[local]"))
    return ok(provider.name, f"{path}, runs inside telex")


def _missing_program(command: str) -> str:
    """The program of a command that needs no shell, if it cannot be found."""
    import shlex
    import shutil

    from provider_core.keys import needs_shell

    if needs_shell(command):
        return ""
    try:
        words = shlex.split(command)
    except ValueError:
        return ""
    return "" if not words or shutil.which(words[0]) else words[0]
