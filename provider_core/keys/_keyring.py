"""The keyring of the operating system: the one module that knows the keyring package; no other source is known here.

A keyring can be missing, locked, waiting for a dialog that nobody sees, or a plain file with a keyring's
name. Each of these is a ``KeyStoreError``, and none is worked around.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from provider_core.errors import KeyStoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from keyring.backend import KeyringBackend

__all__ = ["KeyringStore"]

SERVICE = "telex"
DEADLINE = 3.0
"""Seconds one call may take: a locked or headless keyring can wait for a dialog for ever."""

_NO_PLACE_FOR_KEYS = {
    "keyring.backends.null.Keyring": "is switched off (the null backend)",
    "keyrings.alt.file.PlaintextKeyring": "is a plain file (keyrings.alt), which is no place for a key",
}
"""Backends that would lose the key or write it where everyone looks for one."""

_T = TypeVar("_T")


class KeyringStore:
    """Keys under the service name "telex", one call at a time; every call has a deadline in seconds."""

    def __init__(self, *, deadline: float = DEADLINE) -> None:
        self._deadline = deadline
        # A call that was given up may still be at work: the next one, which may undo it, comes after it.
        self._turn = threading.Lock()

    def get(self, name: str) -> str | None:
        return self._call("read", lambda backend: backend.get_password(SERVICE, name))

    def set(self, name: str, key: str) -> None:
        def write(backend: KeyringBackend) -> None:
            backend.set_password(SERVICE, name, key)
            if backend.get_password(SERVICE, name) != key:
                raise KeyStoreError("the keyring took the key and does not give it back")

        self._call("write to", write, secret=key)

    def delete(self, name: str) -> None:
        def remove(backend: KeyringBackend) -> None:
            # Backends disagree on how they say that there was nothing to delete.
            if backend.get_password(SERVICE, name) is not None:
                backend.delete_password(SERVICE, name)

        self._call("delete from", remove)

    def _call(self, verb: str, work: Callable[[KeyringBackend], _T], secret: str = "") -> _T:
        outcome: list[_T] = []
        failure: list[BaseException] = []

        def run() -> None:
            try:
                with self._turn:
                    outcome.append(work(_backend()))
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                failure.append(error)

        thread = threading.Thread(target=run, name="telex-keyring", daemon=True)
        thread.start()
        thread.join(self._deadline)
        if outcome:
            return outcome[0]
        if not failure:
            raise KeyStoreError(
                f"the keyring did not answer within {self._deadline:g} s; it may be waiting to be unlocked"
            )
        error = failure[0]
        if isinstance(error, Exception):
            raise _translated(verb, error, secret) from None  # its own arguments may hold the key
        raise error


def _backend() -> KeyringBackend:
    """The backend that the keyring package chose, or of a chain of them the first that is fit for keys."""
    import keyring
    from keyring.backends.chainer import ChainerBackend

    chosen = keyring.get_keyring()
    candidates = list(chosen.backends) if isinstance(chosen, ChainerBackend) else [chosen]
    refused = ""
    for backend in candidates:
        name = f"{type(backend).__module__}.{type(backend).__qualname__}"
        if name not in _NO_PLACE_FOR_KEYS:
            return backend
        refused = _NO_PLACE_FOR_KEYS[name]
    raise KeyStoreError(f"the keyring {refused}" if refused else "the keyring package found no backend")


def _translated(verb: str, error: Exception, secret: str) -> KeyStoreError:
    from keyring.errors import KeyringLocked, NoKeyringError

    from provider_core.stream import printable, redact

    if isinstance(error, KeyStoreError):
        return error
    if isinstance(error, NoKeyringError):
        return KeyStoreError("there is no keyring on this machine that telex can use")
    # Beside its own errors, a backend lets those of D-Bus and of the platform through as they are.
    words = (
        printable(redact(" ".join(str(error).split()), (secret,)), 500).rstrip(".") or type(error).__name__
    )
    if isinstance(error, KeyringLocked):
        return KeyStoreError(f"the keyring is locked: {words}")
    return KeyStoreError(f"telex could not {verb} the keyring: {words}")
