"""Where a provider's API key comes from: environment, key command or the OS keyring; nothing is asked here.

The one room that knows the keyring package. It fails closed: when no keyring answers there is no key, and
nothing is ever written to a file instead.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from provider_core.errors import InvalidKeyError, KeyStoreError, MissingKeyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from provider_core.types import Provider

__all__ = ["Key", "KeyStore", "KeyringStore", "clean", "find", "run_command"]

SERVICE = "telex"
DEADLINE = 3.0
"""Seconds one call to the keyring may take: a locked or headless one can wait for a dialog for ever."""

COMMAND_DEADLINE = 30.0
"""Seconds a key command may take; it may ask a person for a fingerprint or a passphrase."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key and where it came from: "environment variable NAME", "key command" or "keyring"."""

    value: str = field(repr=False)
    source: str


class KeyStore(Protocol):
    """Keeps one key per provider. Every method raises ``KeyStoreError`` when the store does not work."""

    def get(self, name: str) -> str | None: ...

    def set(self, name: str, key: str) -> None: ...

    def delete(self, name: str) -> None:
        """Remove the key; no error when there is none."""


class KeyringStore:
    """The keyring of the operating system, under the service name "telex"; every call has a deadline."""

    def get(self, name: str) -> str | None:
        import keyring

        return self._call("read", lambda: keyring.get_password(SERVICE, name))

    def set(self, name: str, key: str) -> None:
        import keyring

        self._call("write to", lambda: keyring.set_password(SERVICE, name, key))

    def delete(self, name: str) -> None:
        import keyring

        def remove() -> None:
            # Backends disagree on how they say that there was nothing to delete.
            if keyring.get_password(SERVICE, name) is not None:
                keyring.delete_password(SERVICE, name)

        self._call("delete from", remove)

    def _call(self, verb: str, work: Callable[[], _T]) -> _T:
        from keyring.errors import KeyringError, KeyringLocked, NoKeyringError

        outcome: list[_T] = []
        failure: list[BaseException] = []

        def run() -> None:
            try:
                outcome.append(work())
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                failure.append(error)

        thread = threading.Thread(target=run, name="telex-keyring", daemon=True)
        thread.start()
        thread.join(DEADLINE)
        if outcome:
            return outcome[0]
        if not failure:
            raise KeyStoreError(f"the keyring did not answer within {DEADLINE:g} s")
        error = failure[0]
        if isinstance(error, NoKeyringError):
            raise KeyStoreError("there is no keyring on this machine that telex can use") from error
        if isinstance(error, KeyringLocked):
            raise KeyStoreError(f"the keyring is locked: {_words(error)}") from error
        if isinstance(error, KeyringError | OSError | RuntimeError):
            raise KeyStoreError(f"telex could not {verb} the keyring: {_words(error)}") from error
        if isinstance(error, Exception):
            # Backends let exceptions of D-Bus and of the platform's API through as they are.
            raise KeyStoreError(f"telex could not {verb} the keyring: {_words(error)}") from error
        raise error


def find(provider: Provider, *, environ: Mapping[str, str], store: KeyStore) -> Key | None:
    """The key to use, or None where the provider needs none.

    The first source that has one wins: the environment variables the provider names, its key command, the
    keyring. Raises ``MissingKeyError`` when a key is needed and no source has one, ``InvalidKeyError`` for
    one that no header can carry, ``KeyStoreError`` when the source itself failed.
    """
    if provider.auth == "none":
        return None
    for name in provider.key_env:
        value = environ.get(name, "")
        if value.strip():
            return Key(
                value=clean(value, f"the environment variable {name}"), source=f"environment variable {name}"
            )
    if provider.key_command:
        return Key(value=run_command(provider.key_command), source="key command")
    if provider.key_stored:
        stored = store.get(provider.name)
        if stored is not None:
            return Key(value=clean(stored, "the keyring"), source="keyring")
    if provider.key_required or provider.key_stored:
        raise MissingKeyError(
            f"there is no API key for {provider.name}", provider=provider.name, key_env=provider.key_env
        )
    return None


def clean(text: str, source: str) -> str:
    """The key without the white space that pasting adds; raises ``InvalidKeyError`` for what cannot be one."""
    key = text.strip().removeprefix("\ufeff").strip()
    if not key:
        raise InvalidKeyError(f"the key from {source} is empty")
    if "\n" in key or "\r" in key:
        raise InvalidKeyError(f"the key from {source} has more than one line")
    if not all(" " <= character <= "~" for character in key):
        raise InvalidKeyError(f"the key from {source} holds characters that no HTTP header can carry")
    return key


def run_command(command: str) -> str:
    """What the command prints on stdout, as a key; its stderr goes to the terminal, never into the key.

    The command runs without a shell unless it uses a shell's signs (pipes, variables, redirections).
    """
    import shlex
    import subprocess

    shell = any(sign in command for sign in "|&;<>()$`*?[]~\n")
    try:
        arguments = command if shell else shlex.split(command)
        done = subprocess.run(
            arguments,
            shell=shell,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=COMMAND_DEADLINE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise KeyStoreError(f"the key command did not end within {COMMAND_DEADLINE:g} s") from None
    except (OSError, ValueError) as error:
        words = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise KeyStoreError(f"the key command could not be run: {words}") from None
    if done.returncode != 0:
        raise KeyStoreError(f"the key command failed with exit status {done.returncode}")
    return clean(done.stdout.decode("utf-8", "replace"), "the key command")


def _words(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
