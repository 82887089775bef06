"""Stored secrets: where each may be sent, and the keyring of the operating system that they are stored in.

A stored secret belongs to two things, and a settings file alone can change neither:

- **Its home.** The name of its entry in the keyring has a digest of the settings folder's real path and of a random
  number in that folder: ``lab@6f1c…``. A copy of a home, and another home, have entries of their own; a symlink to a
  home is the same home. A home that was moved has to ask for its keys again.
- **Its destinations.** The entry contains the origin (scheme, host, port) that the secret was entered for, and the
  proxy and CA bundle of that time, because whoever controls one of these can read the secret. It is not sent to
  another one until the user confirms that (``telex providers edit NAME --trust``), or enters the secret again.

Secrets from variables and key commands go where the settings say, because the settings name them. Only variables that
a preset names are for that preset's own hosts (``Provider.key_env_for``). No secret is sent over plain http, except to
this machine, to a private network without a proxy, or where ``allow_http`` is set.

This is the only module that imports the keyring package. A keyring can be missing, locked, waiting for a dialog that
is not on the screen, or a plain file. Each of these raises ``KeyStoreError``: telex stores a key nowhere else.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from typing import TYPE_CHECKING, TypeVar

from provider_core import files
from provider_core.errors import FileError, KeyDestinationError, KeyStoreError
from provider_core.settings import validators
from provider_core.structs import Struct, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path

    from keyring.backend import KeyringBackend

    from provider_core.types import Network, Provider


class Destination(Struct):
    """Where a secret is sent, with the settings that decide who can read it on its way."""

    origin: str
    proxy: str = ""
    ca_bundle: str = ""

    @classmethod
    def of(cls, url: str, network: Network) -> Destination:
        """The destination of requests to ``url``."""
        proxy = (network.proxy or "").strip()
        return cls(
            origin=validators.origin(url),
            proxy="" if proxy.lower() == "none" else validators.without_credentials(proxy),
            ca_bundle=str(network.ca_bundle or ""),
        )

    def adds_to(self, confirmed: Destination) -> bool:
        """Whether somebody could read the secret here who could not at ``confirmed``."""
        return (
            self.origin != confirmed.origin
            or self.proxy not in ("", confirmed.proxy)
            or self.ca_bundle not in ("", confirmed.ca_bundle)
        )

    def __str__(self) -> str:
        through = f" through the proxy {self.proxy}" if self.proxy else ""
        trusting = f" trusting the certificates in {self.ca_bundle}" if self.ca_bundle else ""
        return f"{self.origin}{through}{trusting}"


def check_destination(
    what: str,
    url: str,
    network: Network,
    *,
    environ: Mapping[str, str],
    confirmed: Collection[Destination] | None = None,
) -> None:
    """Raise ``KeyDestinationError`` if ``what`` ("the key of lab") may not be sent to ``url``.

    ``confirmed`` are the destinations of a stored secret, or None. Raises ``SettingsError`` for an invalid proxy.
    """
    wanted = Destination.of(url, network)
    if confirmed is not None and all(wanted.adds_to(each) for each in confirmed):
        stored = " and ".join(map(str, confirmed)) or "no address"
        raise KeyDestinationError(
            f"{what} was stored for {stored}, and may not be sent to {wanted}", destination=str(wanted)
        )
    if not url.startswith("http:") or network.allow_http:
        return
    if not validators.is_private_host(url):
        raise KeyDestinationError(
            f"{what} would be sent unencrypted to {wanted.origin}", destination=str(wanted), unencrypted=True
        )
    from provider_core.http import find_proxy

    proxy, _ = find_proxy(url, environ, network.proxy)
    if proxy is not None:  # even on this machine: it may send the secret anywhere
        raise KeyDestinationError(
            f"{what} would be sent unencrypted to {wanted.origin} through the proxy {proxy}",
            destination=str(wanted),
            unencrypted=True,
        )


def find_redirection(provider: Provider, before: Provider | None, known: Collection[Provider]) -> str:
    """Why ``provider`` would send a key to another place than now, as a sentence, or "".

    ``before`` is the provider of this name with a stored key, which ``provider`` replaces. ``known`` are all providers
    of the settings: the key in a variable belongs to those that name it, and to the presets that do.
    """
    from provider_core import presets

    name, here = provider.name, Destination.of(provider.base_url, provider.network)
    if before is not None:
        there = Destination.of(before.base_url, before.network)
        changes = {
            "address": here.origin != there.origin,
            "proxy": here.proxy != there.proxy,
            "CA bundle": here.ca_bundle != there.ca_bundle,
            "client certificate": before.network.client_cert != provider.network.client_cert,
            "headers": dict(before.headers) != dict(provider.headers),
            "preset": before.preset != provider.preset,
            "key": provider.auth == "none",
        }
        if changed := [what for what, differs in changes.items() if differs]:
            to = f": {here}" if here != there else ""
            return (
                f"the stored key of {name} is for {there}, and its {' and '.join(changed)} would change{to}"
            )
    for variable in _sent_variables(provider):
        users = [each for each in known if variable in _sent_variables(each)]
        owners = [preset for preset in presets.all_presets() if variable in preset.key_env]
        places = [Destination.of(each.base_url, each.network) for each in users]
        places += [replace(here, ca_bundle="") for preset in owners if preset.serves(provider.base_url)]
        if (users or owners) and all(map(here.adds_to, places)):
            owner = users[0].name if users else owners[0].name
            return f"{name} would send the key in {variable}, which is for {owner}, to {here}"
    return ""


def _sent_variables(provider: Provider) -> tuple[str, ...]:
    """The environment variables whose values are sent to the provider: as its key, and in its headers."""
    headers = filter(None, map(validators.parse_reference, provider.headers.values()))
    return (*provider.key_env[:1], *(found.name for found in headers if found.kind == "env"))


def seal(secret: str, destinations: Iterable[Destination]) -> str:
    """The text of a store's entry: the secret, and where it may be sent."""
    places = [
        {name: value for name in Destination._fields if (value := getattr(each, name))}
        for each in destinations
    ]
    return json.dumps({"secret": secret, "for": places})


def unseal(text: str) -> tuple[str, tuple[Destination, ...] | None]:
    """The secret in an entry and where it may be sent; None if a program stored the bare secret."""
    try:
        entry = json.loads(text)
        secret = str(entry["secret"])
        return secret, tuple(Destination(**each) for each in entry["for"])
    except (ValueError, TypeError, LookupError, RecursionError):
        return text, None


# --- the keyring -------------------------------------------------------------------------------------------


SERVICE = "telex"
HOME_ID = "home-id"
"""The file with the random number of a home, in its settings folder."""

DEADLINE = 3.0
"""Seconds for one call: a locked keyring may wait for a dialog that no one sees."""

_NO_PLACE_FOR_KEYS = {
    "keyring.backends.null.Keyring": "is switched off (the null backend)",
    "keyrings.alt.file.PlaintextKeyring": "is a plain file (keyrings.alt), which is not safe for a key",
}
"""Backends that would lose the key, or write it to a file."""

_SYSTEMS_OWN = frozenset(
    (
        "keyring.backends.SecretService.Keyring",
        "keyring.backends.Windows.WinVaultKeyring",
        "keyring.backends.kwallet.DBusKeyring",
        "keyring.backends.libsecret.Keyring",
        "keyring.backends.macOS.Keyring",
    )
)
"""Backends that may be loaded by a saved name: a cache must not choose any other module."""

_T = TypeVar("_T")


class KeyringStore:
    """Keys under the service name "telex", one call at a time, each with a ``deadline`` in seconds.

    ``home`` is the settings folder that the keys belong to, see above; without it, entries belong to no home.
    ``memory`` is a file for the name of the backend that had the last key. It is asked first, because the keyring
    package takes long to choose among all backends.
    """

    def __init__(
        self, *, deadline: float = DEADLINE, memory: Path | None = None, home: Path | None = None
    ) -> None:
        self._deadline = deadline
        self._memory = memory
        self._home = home
        # A call that missed its deadline may still be running; the next one, which may undo it, waits.
        self._turn = threading.Lock()

    def get(self, name: str) -> str | None:
        def read() -> str | None:
            entry = self._entry(name)
            if entry is None:
                _backend().get_password(SERVICE, name)  # raises if the keyring does not work
                return None
            known = self._remembered()
            key = known.get_password(SERVICE, entry) if known is not None else None
            if key is None:
                backend = _backend()
                key = backend.get_password(SERVICE, entry)
                if key is not None:
                    self._remember(backend)
            return key

        return self._call("read", read)

    def backend(self) -> str:
        """The name of the backend in use; raises ``KeyStoreError`` if no backend is suitable."""
        return self._call("open", lambda: _name(_backend()))

    def set(self, name: str, key: str) -> None:
        def write() -> None:
            backend = _backend()
            entry = self._entry(name, create=True) or name
            backend.set_password(SERVICE, entry, key)
            if backend.get_password(SERVICE, entry) != key:
                raise KeyStoreError("the keyring accepted the key, but does not return it")
            self._remember(backend)

        self._call("write to", write, secret=unseal(key)[0])

    def delete(self, name: str) -> None:
        def remove() -> None:
            backend = _backend()
            entry = self._entry(name)
            # Backends raise different errors if there is nothing to delete.
            if entry is not None and backend.get_password(SERVICE, entry) is not None:
                backend.delete_password(SERVICE, entry)
            self._remember(backend)

        self._call("delete from", remove)

    def _entry(self, name: str, *, create: bool = False) -> str | None:
        """The name of the entry in the keyring; None if this home has never stored a key."""
        if self._home is None:
            return name
        path = self._home / HOME_ID
        try:
            if create and not path.exists():
                files.private_folder(self._home)
                with files.locked(path):
                    if not path.exists():
                        files.replace(path, os.urandom(16).hex().encode())
            number = files.read_bytes(path)
        except FileNotFoundError:
            return None
        except (OSError, FileError) as error:
            raise KeyStoreError(
                f"{path}, which links stored keys to this TELEX_HOME, cannot be read: {error}"
            ) from None
        import hashlib

        place = os.fsencode(os.path.realpath(self._home))
        return f"{name}@{hashlib.sha256(number.strip() + place).hexdigest()[:16]}"

    def _remembered(self) -> KeyringBackend | None:
        """The backend that had the last key, unless the user chose one; None if it cannot be loaded."""
        if self._memory is None:
            return None
        try:
            name = files.read_bytes(self._memory).decode()
        except (OSError, ValueError):
            return None
        from keyring import core

        if name not in _SYSTEMS_OWN or "PYTHON_KEYRING_BACKEND" in os.environ or core.load_config():
            return None
        try:
            return core.load_keyring(name)
        except Exception:  # noqa: BLE001 - backends raise any error
            return None

    def _remember(self, backend: KeyringBackend) -> None:
        if self._memory is None:
            return
        name = _name(backend)
        with contextlib.suppress(FileError, OSError):
            if name in _SYSTEMS_OWN:
                files.private_folder(self._memory.parent)
                files.replace(self._memory, name.encode())
            else:
                self._memory.unlink(missing_ok=True)

    def _call(self, verb: str, work: Callable[[], _T], secret: str = "") -> _T:
        outcome: list[_T] = []
        failure: list[BaseException] = []

        def run() -> None:
            try:
                with self._turn:
                    outcome.append(work())
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                failure.append(error)

        thread = threading.Thread(target=run, name="telex-keyring", daemon=True)
        thread.start()
        thread.join(self._deadline)
        if outcome:
            return outcome[0]
        if not failure:
            raise KeyStoreError(
                f"the keyring did not answer within {self._deadline:g} s; it may be waiting to be unlocked",
                state="locked",
            )
        error = failure[0]
        if isinstance(error, Exception):
            raise _as_store_error(verb, error, secret) from None  # its own arguments may hold the key
        raise error


def _backend() -> KeyringBackend:
    """The backend that the keyring package chose, or the first suitable one of a chain."""
    import keyring
    from keyring.backends.chainer import ChainerBackend

    chosen = keyring.get_keyring()
    candidates = list(chosen.backends) if isinstance(chosen, ChainerBackend) else [chosen]
    refused = ""
    for backend in candidates:
        if (name := _name(backend)) not in _NO_PLACE_FOR_KEYS:
            return backend
        refused = _NO_PLACE_FOR_KEYS[name]
    raise KeyStoreError(
        f"the keyring {refused}" if refused else "no usable keyring on this machine", state="missing"
    )


def _name(backend: KeyringBackend) -> str:
    return f"{type(backend).__module__}.{type(backend).__qualname__}"


def _as_store_error(verb: str, error: Exception, secret: str) -> KeyStoreError:
    from keyring.errors import KeyringLocked, NoKeyringError

    from provider_core.redaction import printable, redact

    if isinstance(error, KeyStoreError):
        return error
    if isinstance(error, NoKeyringError):
        return KeyStoreError("no usable keyring on this machine", state="missing")
    # A backend may raise errors of D-Bus or the platform.
    words = (
        printable(redact(" ".join(str(error).split()), (secret,)), 500).rstrip(".") or type(error).__name__
    )
    if isinstance(error, KeyringLocked):
        return KeyStoreError(f"the keyring is locked: {words}", state="locked")
    return KeyStoreError(f"telex could not {verb} the keyring: {words}")
