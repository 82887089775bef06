"""Where a provider's API key comes from: environment, key command or the OS keyring; nothing is asked here.

It fails closed: when no keyring answers there is no key, and nothing is ever written to a file instead.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Protocol

from provider_core.errors import (
    ApiKeyError,
    InvalidKeyError,
    KeyDestinationError,
    KeyStoreError,
    MissingKeyError,
)
from provider_core.keys._binding import Destination, check_destination, seal, unseal
from provider_core.keys._command import needs_shell, run_command
from provider_core.keys._keyring import KeyringStore
from provider_core.structs import Struct, field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from provider_core.settings.validators import SecretReference
    from provider_core.types import Provider

__all__ = [
    "Credentials",
    "Destination",
    "Key",
    "KeySource",
    "KeyStore",
    "KeyringStore",
    "MemoryStore",
    "check_destination",
    "clean",
    "ending",
    "find",
    "needs_shell",
    "resolve",
    "resolve_each",
    "seal",
    "seal_for",
    "secret_value",
    "source",
    "unseal",
]


_BEFORE = re.compile(r"(?:authorization:\s*)?bearer(?:\s+|$)", re.IGNORECASE)
_QUOTED = re.compile(r"([\"'`])(.*)\1|[\u201c\u2018](.*)[\u201d\u2019]", re.DOTALL)
_PLACEHOLDER = re.compile(r"\$\{[^}]*\}|\$\w+|\$\(.*\)|%\w+%|<.*>|\{\{.*\}\}|(?:env|keyring):[\w.-]+")
"""What is left in the place of a key where a shell, a CI system or a person was to put one."""


class Key(Struct):
    """A key and where it came from: "environment variable NAME", "key command" or "keyring"."""

    value: str = field(repr=False)
    source: str


class Credentials(Struct):
    """A provider that may be asked: its key, or None, and ``provider`` with the secrets of its headers filled in."""

    provider: Provider
    key: Key | None = None

    @property
    def value(self) -> str | None:
        """The key itself."""
        return self.key.value if self.key else None


class KeySource(Struct):
    """Where a key would come from, found out without fetching one.

    "variable" with ``ready`` false means that ``variable`` would count and is not set.
    """

    kind: Literal["variable", "command", "keyring", "none"]
    variable: str = ""
    ready: bool = True


class KeyStore(Protocol):
    """Keeps one text for each name: a key and where it may be sent (``seal``).

    Every method raises ``KeyStoreError`` when the store does not work.
    """

    def get(self, name: str) -> str | None: ...

    def set(self, name: str, key: str) -> None:
        """Keep the key, in the place of one that is there; when this returns it can be had again."""

    def delete(self, name: str) -> None:
        """Remove the key; no error when there is none."""

    def elsewhere(self, name: str) -> tuple[str, ...]:
        """The origins of keys of this name that belong to other homes, for an error that explains."""
        ...


class MemoryStore:
    """A key store that lives as long as the object: for tests, and for programs with keys of their own."""

    def __init__(self, **known: str) -> None:
        self._known = known

    def get(self, name: str) -> str | None:
        return self._known.get(name)

    def set(self, name: str, key: str) -> None:
        self._known[name] = key

    def delete(self, name: str) -> None:
        self._known.pop(name, None)

    def elsewhere(self, name: str) -> tuple[str, ...]:
        return ()


def source(provider: Provider, environ: Mapping[str, str]) -> KeySource:
    """Which source ``find`` would take the key from. Opens no keyring and runs no command."""
    if provider.auth == "none":
        return KeySource(kind="none")
    variable = _variable(provider, environ)
    if variable:
        return KeySource(kind="variable", variable=variable)
    if provider.key_command:
        return KeySource(kind="command")
    if provider.key_stored:
        return KeySource(kind="keyring")
    if provider.key_required:
        return KeySource(kind="variable", variable=next(iter(provider.key_env), ""), ready=False)
    return KeySource(kind="none")


def find(provider: Provider, *, environ: Mapping[str, str], store: KeyStore) -> Key | None:
    """The key to use, or None where the provider needs none.

    The first source that has one is used: the environment variables that the provider names, its key command,
    the keyring. Raises ``MissingKeyError`` when a key is needed and no source has one, ``InvalidKeyError`` for
    one that no header can carry, ``KeyDestinationError`` for one that may not be sent to the provider's address,
    and ``KeyStoreError`` when the source itself failed.
    """
    where = source(provider, environ)
    if where.kind == "none":
        return None
    confirmed = None
    if where.kind == "variable" and where.ready:
        found = f"environment variable {where.variable}"
        key = Key(value=clean(environ[where.variable], f"the {found}"), source=found)
    elif where.kind == "command" and provider.key_command:
        key = Key(value=clean(run_command(provider.key_command), "the key command"), source="key command")
    else:
        stored = store.get(provider.name) if where.kind == "keyring" else None
        if stored is None:
            raise _missing(provider, environ, store if where.kind == "keyring" else None)
        secret, confirmed = unseal(stored)
        key = Key(value=clean(secret, "the keyring"), source="keyring")
    check_destination(
        f"the key of {provider.name}",
        provider.base_url,
        provider.network,
        environ=environ,
        confirmed=confirmed,
    )
    return key


def _missing(provider: Provider, environ: Mapping[str, str], store: KeyStore | None) -> ApiKeyError:
    """Why there is no key: there is one that belongs elsewhere, or there is none."""
    name = provider.name
    if others := store.elsewhere(name) if store is not None else ():
        return KeyDestinationError(
            f"no key for {name} is stored in this settings folder; another one's is for {' and '.join(others)}, "
            f"and is not sent to {Destination.of(provider.base_url, provider.network)}",
            destination=provider.base_url,
            unknown=True,
        )
    if provider.key_env_for:
        variable = next((each for each in provider.key_env if environ.get(each, "").strip()), None)
        if variable is not None:
            return KeyDestinationError(
                f"the key in {variable} is for {provider.key_env_for}, and is not sent to "
                f"{Destination.of(provider.base_url, provider.network)}",
                destination=provider.base_url,
            )
    unset = f": {' and '.join(provider.key_env[:2])} {'is' if len(provider.key_env) == 1 else 'are'} not set"
    return MissingKeyError(
        f"there is no API key for {name}{unset if provider.key_env else ''}",
        provider=name,
        key_env=provider.key_env,
    )


def resolve(
    provider: Provider, *, environ: Mapping[str, str], store: KeyStore, key: str | None = None
) -> Credentials:
    """All secrets of the provider, each allowed to go to its address; raises as ``find`` does.

    A ``key`` from the caller is used instead of the provider's own sources.
    """
    from provider_core.settings.validators import parse_reference

    if provider.embedded:
        return Credentials(provider=provider)
    try:
        if key is None:
            found = find(provider, environ=environ, store=store)
        else:
            found = Key(value=clean(key, "the caller"), source="the caller")
            check_destination(
                f"the key of {provider.name}", provider.base_url, provider.network, environ=environ
            )
        headers, secrets = dict(provider.headers), []
        for name, value in provider.headers.items():
            wanted = parse_reference(value)
            if wanted is None:
                continue
            what = f"the header {name} of {provider.name}"
            secret, confirmed = secret_value(wanted, what, environ=environ, store=store)
            try:
                check_destination(
                    what, provider.base_url, provider.network, environ=environ, confirmed=confirmed
                )
            except KeyDestinationError as error:
                error.secret = str(wanted)
                raise
            headers[name] = f"{wanted.before}{secret}"
            secrets.append(secret)
    except ApiKeyError as error:
        error.provider = error.provider or provider.name
        raise
    if found is not None or secrets:
        provider = replace(
            provider,
            key_source=found.source if found else "",
            headers=headers,
            header_secrets=tuple(secrets),
        )
    return Credentials(provider=provider, key=found)


def resolve_each(
    providers: Iterable[Provider], *, environ: Mapping[str, str], store: KeyStore
) -> dict[str, Credentials | ApiKeyError]:
    """By the providers' names what ``resolve`` gives for each, or why it gives nothing; one after the other.

    A store that has failed once is not asked again: it fails after seconds, and would for each. A model
    that runs beside the command needs no key.
    """
    found: dict[str, Credentials | ApiKeyError] = {}
    broken: KeyStoreError | None = None
    for provider in providers:
        stored = source(provider, environ).kind == "keyring"
        if stored and broken is not None:
            found[provider.name] = broken
            continue
        try:
            found[provider.name] = resolve(provider, environ=environ, store=store)
        except ApiKeyError as error:
            if stored and isinstance(error, KeyStoreError):
                broken = error
            found[provider.name] = error
    return found


def secret_value(
    wanted: SecretReference, what: str, *, environ: Mapping[str, str], store: KeyStore
) -> tuple[str, tuple[Destination, ...] | None]:
    """The secret that a header refers to, and where a stored one may be sent.

    ``what`` is whose it is, for errors. Raises ``MissingKeyError`` where it is not there, and as ``find`` does.
    """
    confirmed = None
    if wanted.kind == "env":
        text, absent = environ.get(wanted.name, ""), f"{wanted.name} is not set"
    else:
        text, confirmed = unseal(store.get(wanted.entry) or "")
        absent = f"{wanted} is not in the keyring"
    if not text.strip():
        raise MissingKeyError(
            f"{what} needs {wanted}, and {absent}", key_env=(wanted.name,), secret=str(wanted)
        )
    return clean(text, str(wanted)), confirmed


def seal_for(provider: Provider, secret: str) -> str:
    """The text that a store keeps for a secret that the user entered for the provider as it is set up."""
    return seal(secret, (Destination.of(provider.base_url, provider.network),))


def clean(text: str, source: str) -> str:
    """The key without white space, quotes and "Bearer", as they come along with it from files and web pages.

    Raises ``InvalidKeyError`` for what cannot be a key, without repeating it. ``source`` is the place it came from.
    """
    key, before = text, None
    while key != before:
        before = key
        key = key.strip().strip("\ufeff\u200b").strip()
        if prefix := _BEFORE.match(key):
            key = key[prefix.end() :]
        if quoted := _QUOTED.fullmatch(key):
            key = quoted[2] or quoted[3] or ""
    if _PLACEHOLDER.fullmatch(key):
        raise InvalidKeyError(
            f"the key from {source} is the name of a variable or a placeholder that nothing has replaced"
        )
    if not key:
        raise InvalidKeyError(f"the key from {source} is empty")
    if "\n" in key or "\r" in key:
        raise InvalidKeyError(f"the key from {source} has more than one line")
    if not all(" " <= character <= "~" for character in key):
        raise InvalidKeyError(f"the key from {source} holds characters that no HTTP header can carry")
    return key


def ending(key: str) -> str:
    """The end of a key, to tell one from another: at most its last 4 characters, none of a short one."""
    return f"…{key[-4:]}" if len(key) >= 16 else "…"


def _variable(provider: Provider, environ: Mapping[str, str]) -> str:
    """The first of the provider's variables that holds something; "" where none does, or they are for another."""
    if provider.key_env_for:
        return ""
    return next((name for name in provider.key_env if environ.get(name, "").strip()), "")
