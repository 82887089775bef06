"""The operating system's keyring: which one, whether it answers in time, and whether what is kept is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.errors import KeyDestinationError, KeyStoreError, SettingsError
from telex.doctor.finding import note, ok, problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.settings.validators import SecretReference
    from provider_core.types import Provider
    from telex.doctor.case import Case
    from telex.doctor.finding import Finding

_NOBODY = "telex-doctor"
"""A name that no key is under: reading it shows that the keyring answers."""


def check(case: Case) -> Iterator[Finding]:
    from provider_core.keys import KeyringStore, check_destination, source, unseal
    from telex.error_hints import confirm_key

    store = case.key_store
    used = [each for each in case.sound.values() if each.enabled and each.key_stored]
    secrets = _secrets(case)
    try:
        backend = store.backend() if isinstance(store, KeyringStore) else type(store).__name__
        store.get(_NOBODY)
    except KeyStoreError as error:
        # Where the environment has all the keys there are, nobody needs a keyring.
        wanting = [each for each in used if source(each, case.environ).kind == "keyring"]
        yield _silent(error, wanting, secrets, known=case.is_readable)
        return
    yield ok("backend", f"{backend} answers")
    for provider in used:
        text = store.get(provider.name)
        there = text is not None
        if text is not None and source(provider, case.environ).kind == "keyring":
            try:
                check_destination(
                    "its key",
                    provider.base_url,
                    provider.network,
                    environ=case.environ,
                    confirmed=unseal(text)[1],
                )
            except (KeyDestinationError, SettingsError) as error:
                remedy = confirm_key(error, provider) if isinstance(error, KeyDestinationError) else None
                yield problem(provider.name, error.message, remedy or "See: telex doctor, proxies")
                continue
        yield _stored(provider.name, "key", f"telex providers set-key {provider.name}", there=there)
    for secret in secrets:
        there = store.get(secret.entry) is not None
        yield _stored(str(secret), "secret", f"telex mcp set-secret {secret.name}", there=there)


def _secrets(case: Case) -> list[SecretReference]:
    """What the MCP servers want from the keyring, each once."""
    from provider_core.settings.mcp import McpServer, secret_references

    try:
        servers = case.servers.values()
    except SettingsError:
        return []
    sound = [each for each in servers if isinstance(each, McpServer) and each.enabled]
    found = [
        each for server in sound for each in secret_references(server).values() if each.kind == "keyring"
    ]
    return list({each.entry: each for each in found}.values())


def _silent(
    error: KeyStoreError, wanting: list[Provider], secrets: list[SecretReference], *, known: bool
) -> Finding:
    from telex.error_hints import other_source

    names = [f"no key for {each.name}" for each in wanting] + [f"no {secret}" for secret in secrets]
    if not names:
        remedy = "Keys from variables and commands need none: telex help keys"
        return note("backend", f"{error.message}{'; nothing needs it' if known else ''}", remedy)
    remedy = (
        other_source(error, wanting[0]) if wanting else "Unlock the keyring, or start one, and run again."
    )
    return problem("backend", f"{error.message}: {', '.join(names)}", remedy)


def _stored(subject: str, what: str, remedy: str, *, there: bool) -> Finding:
    if there:
        return ok(subject, f"its {what} is there")
    return problem(subject, f"its {what} is not there, though the settings say so", remedy)
