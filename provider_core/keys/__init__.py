"""Where a provider's API key comes from: environment, key command or the OS keyring; nothing is asked here.

It fails closed: when no keyring answers there is no key, and nothing is ever written to a file instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from provider_core.errors import ApiKeyError, InvalidKeyError, KeyStoreError, MissingKeyError
from provider_core.keys._command import needs_shell, run_command
from provider_core.keys._keyring import KeyringStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from provider_core.types import Provider

__all__ = [
    "Key",
    "KeyStore",
    "KeyringStore",
    "MemoryStore",
    "Source",
    "clean",
    "ending",
    "find",
    "find_each",
    "needs_shell",
    "source",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key and where it came from: "environment variable NAME", "key command" or "keyring"."""

    value: str = field(repr=False)
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a key would come from, found out without fetching one.

    "variable" with ``ready`` false means that ``variable`` would count and is not set.
    """

    kind: Literal["variable", "command", "keyring", "none"]
    variable: str = ""
    ready: bool = True


class KeyStore(Protocol):
    """Keeps one key per provider. Every method raises ``KeyStoreError`` when the store does not work."""

    def get(self, name: str) -> str | None: ...

    def set(self, name: str, key: str) -> None:
        """Keep the key, in the place of one that is there; when this returns it can be had again."""

    def delete(self, name: str) -> None:
        """Remove the key; no error when there is none."""


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


def source(provider: Provider, environ: Mapping[str, str]) -> Source:
    """Which source ``find`` would take the key from. Opens no keyring and runs no command."""
    if provider.auth == "none":
        return Source(kind="none")
    variable = _variable(provider, environ)
    if variable:
        return Source(kind="variable", variable=variable)
    if provider.key_command:
        return Source(kind="command")
    if provider.key_stored:
        return Source(kind="keyring")
    if provider.key_required:
        return Source(kind="variable", variable=next(iter(provider.key_env), ""), ready=False)
    return Source(kind="none")


def find(provider: Provider, *, environ: Mapping[str, str], store: KeyStore) -> Key | None:
    """The key to use, or None where the provider needs none.

    The first source that has one wins: the environment variables the provider names, its key command, the
    keyring. Raises ``MissingKeyError`` when a key is needed and no source has one, ``InvalidKeyError`` for
    one that no header can carry, ``KeyStoreError`` when the source itself failed.
    """
    where = source(provider, environ)
    if where.kind == "none":
        return None
    if where.kind == "variable" and where.ready:
        origin = f"environment variable {where.variable}"
        return Key(value=clean(environ[where.variable], f"the {origin}"), source=origin)
    if where.kind == "command" and provider.key_command:
        return Key(value=clean(run_command(provider.key_command), "the key command"), source="key command")
    stored = store.get(provider.name) if where.kind == "keyring" else None
    if stored is None:
        raise MissingKeyError(
            f"there is no API key for {provider.name}", provider=provider.name, key_env=provider.key_env
        )
    return Key(value=clean(stored, "the keyring"), source="keyring")


def find_each(
    providers: Iterable[Provider], *, environ: Mapping[str, str], store: KeyStore
) -> dict[str, Key | ApiKeyError | None]:
    """By the providers' names what ``find`` gives for each, or why it gives none; one after the other.

    A store that has failed once is not asked again: it fails after seconds, and would for each. A model
    that runs beside the command needs no key.
    """
    found: dict[str, Key | ApiKeyError | None] = {}
    broken: KeyStoreError | None = None
    for provider in providers:
        stored = source(provider, environ).kind == "keyring"
        if provider.embedded:
            found[provider.name] = None
        elif stored and broken is not None:
            found[provider.name] = broken
        else:
            try:
                found[provider.name] = find(provider, environ=environ, store=store)
            except ApiKeyError as error:
                if stored and isinstance(error, KeyStoreError):
                    broken = error
                error.provider = error.provider or provider.name
                found[provider.name] = error
    return found


def clean(text: str, source: str) -> str:
    """The key without the white space that pasting adds; raises ``InvalidKeyError`` for what cannot be one.

    ``source`` is how the sentence calls the place it came from.
    """
    key = text.strip().removeprefix("\ufeff").strip()
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
    """The first of the provider's variables that holds something; "" where none does."""
    return next((name for name in provider.key_env if environ.get(name, "").strip()), "")
