"""The sources of a provider's API key: environment variable, key command, or the keyring of the operating system.

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
import re
import sys
import threading
from typing import IO, TYPE_CHECKING, Literal, Protocol, TypeVar, cast

from provider_core import files, limits
from provider_core.errors import (
    ApiKeyError,
    FileError,
    InvalidKeyError,
    KeyDestinationError,
    KeyStoreError,
    MissingKeyError,
)
from provider_core.settings import validators
from provider_core.structs import Struct, field, pattern, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path

    from keyring.backend import KeyringBackend

    from provider_core.settings.validators import SecretReference
    from provider_core.types import Network, Provider


_BEFORE = pattern(r"(?:authorization:\s*)?bearer(?:\s+|$)", re.IGNORECASE)
_QUOTED = pattern(r"([\"'`])(.*)\1|[\u201c\u2018](.*)[\u201d\u2019]", re.DOTALL)
_PLACEHOLDER = pattern(r"\$\{[^}]*\}|\$\w+|\$\(.*\)|%\w+%|<.*>|\{\{.*\}\}|(?:env|keyring):[\w.-]+")
"""Placeholders that a shell, a CI system or a person should have replaced with a key."""


class Key(Struct):
    """A key and where it came from: "environment variable NAME", "key command" or "keyring"."""

    value: str = field(repr=False)
    source: str


class Credentials(Struct):
    """The key of a provider, or None, and ``provider`` with the secrets of its headers filled in."""

    provider: Provider
    key: Key | None = None

    @property
    def value(self) -> str | None:
        return self.key.value if self.key else None


class KeySource(Struct):
    """The source of a key. A "variable" that is not ``ready`` is needed, and not set."""

    kind: Literal["variable", "command", "keyring", "none"]
    variable: str = ""
    ready: bool = True


class KeyStore(Protocol):
    """Stores one text for each name: a key and where it may be sent (``seal``).

    Every method raises ``KeyStoreError`` if the store does not work.
    """

    def get(self, name: str) -> str | None: ...

    def set(self, name: str, key: str) -> None:
        """Store or replace the key; when this returns, ``get`` returns it."""

    def delete(self, name: str) -> None:
        """Remove the key, if there is one."""


class MemoryStore:
    """A key store in memory, for tests and for programs that have keys of their own."""

    def __init__(self, **known: str) -> None:
        self._known = known

    def get(self, name: str) -> str | None:
        return self._known.get(name)

    def set(self, name: str, key: str) -> None:
        self._known[name] = key

    def delete(self, name: str) -> None:
        self._known.pop(name, None)


def source(provider: Provider, environ: Mapping[str, str]) -> KeySource:
    """The source that ``find`` uses. Opens no keyring and runs no command."""
    if provider.auth == "none":
        return KeySource(kind="none")
    variable = _set_variable(provider, environ)
    if variable and not provider.key_env_for:
        return KeySource(kind="variable", variable=variable)
    if provider.key_command:
        return KeySource(kind="command")
    if provider.key_stored:
        return KeySource(kind="keyring")
    if provider.key_required:
        return KeySource(kind="variable", variable=next(iter(provider.key_env), ""), ready=False)
    return KeySource(kind="none")


def find(provider: Provider, *, environ: Mapping[str, str], store: KeyStore) -> Key | None:
    """The key from the first source that has one (variables, command, keyring), or None if the provider needs none.

    Raises ``MissingKeyError``, ``InvalidKeyError``, ``KeyDestinationError`` if the key may not be sent to the
    provider's address, and ``KeyStoreError`` if the source failed.
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
            raise _missing(provider, environ)
        secret, confirmed = unseal(stored)
        key = Key(value=clean(secret, "the keyring"), source="keyring")
    _check(f"the key of {provider.name}", provider, environ, confirmed)
    return key


def _missing(provider: Provider, environ: Mapping[str, str]) -> ApiKeyError:
    """The error for a provider without a key, or with one that belongs elsewhere."""
    name, variables = provider.name, provider.key_env
    if provider.key_env_for and (variable := _set_variable(provider, environ)):
        return KeyDestinationError(
            f"the key in {variable} belongs to {provider.key_env_for} and is not sent to "
            f"{Destination.of(provider.base_url, provider.network)}",
            destination=provider.base_url,
        )
    unset = f": {' and '.join(variables[:2])} {'is' if len(variables) == 1 else 'are'} not set"
    return MissingKeyError(
        f"there is no API key for {name}{unset if variables else ''}", provider=name, key_env=variables
    )


def _set_variable(provider: Provider, environ: Mapping[str, str]) -> str:
    """The first of the provider's variables that is set, or ""."""
    return next((name for name in provider.key_env if environ.get(name, "").strip()), "")


def resolve(
    provider: Provider, *, environ: Mapping[str, str], store: KeyStore, key: str | None = None
) -> Credentials:
    """All secrets of the provider that may be sent to its address; raises as ``find`` does.

    A ``key`` from the caller is used instead of the provider's sources.
    """
    if provider.embedded:
        return Credentials(provider=provider)
    headers, secrets = dict(provider.headers), []
    try:
        if key is None:
            found = find(provider, environ=environ, store=store)
        else:
            found = Key(value=clean(key, "the caller"), source="the caller")
            _check(f"the key of {provider.name}", provider, environ)
        for name, value in provider.headers.items():
            wanted = validators.parse_reference(value)
            if wanted is None:
                continue
            what = f"the header {name} of {provider.name}"
            secret, confirmed = secret_value(wanted, what, environ=environ, store=store)
            try:
                _check(what, provider, environ, confirmed)
            except KeyDestinationError as error:
                error.secret = str(wanted)
                raise
            headers[name] = f"{wanted.before}{secret}"
            secrets.append(secret)
    except ApiKeyError as error:
        error.provider = error.provider or provider.name
        raise
    if found is not None or secrets:
        key_source = found.source if found else ""
        provider = replace(provider, key_source=key_source, headers=headers, header_secrets=tuple(secrets))
    return Credentials(provider=provider, key=found)


def _check(
    what: str,
    provider: Provider,
    environ: Mapping[str, str],
    confirmed: Collection[Destination] | None = None,
) -> None:
    check_destination(what, provider.base_url, provider.network, environ=environ, confirmed=confirmed)


def resolve_each(
    providers: Iterable[Provider], *, environ: Mapping[str, str], store: KeyStore
) -> dict[str, Credentials | ApiKeyError]:
    """The result of ``resolve`` for each provider, or its error, by name.

    A store that failed once is not used again, because each call may wait for its deadline.
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
            broken = error if stored and isinstance(error, KeyStoreError) else broken
            found[provider.name] = error
    return found


def secret_value(
    wanted: SecretReference, what: str, *, environ: Mapping[str, str], store: KeyStore
) -> tuple[str, tuple[Destination, ...] | None]:
    """The secret that a header refers to, and where a stored one may be sent.

    ``what`` names its use in messages. Raises ``MissingKeyError``, and as ``find`` does.
    """
    confirmed = None
    if wanted.kind == "env":
        text, absent = environ.get(wanted.name, ""), f"{wanted.name} is not set"
    else:
        text, confirmed = unseal(store.get(wanted.entry) or "")
        absent = f"{wanted} is not in the keyring"
    if not text.strip():
        message = f"{what} needs {wanted}, and {absent}"
        raise MissingKeyError(message, key_env=(wanted.name,), secret=str(wanted))
    return clean(text, str(wanted)), confirmed


def seal_for(provider: Provider, secret: str) -> str:
    """The text of a store's entry for a secret that may be sent to the provider's present address."""
    return seal(secret, (Destination.of(provider.base_url, provider.network),))


def clean(text: str, source: str) -> str:
    """The key without the white space, quotes and "Bearer" that are often copied with it.

    Raises ``InvalidKeyError``, which does not repeat it and names its ``source``.
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
        problem = "contains a placeholder, not a key"
    elif not key:
        problem = "is empty"
    elif "\n" in key or "\r" in key:
        problem = "has more than one line"
    elif not all(" " <= character <= "~" for character in key):
        problem = (
            "contains a character that cannot be in an API key, such as a line break or an accented letter"
        )
    else:
        return key
    raise InvalidKeyError(f"the key from {source} {problem}")


def ending(key: str) -> str:
    """The last 4 characters of a long key, to recognise it by."""
    return f"…{key[-4:]}" if len(key) >= 16 else "…"


# --- key commands ------------------------------------------------------------------------------------------


_REST = 0.5
"""Seconds to read the rest of the pipe after the command has ended."""

_SHELL = pattern(r"[|&;<>()$`*?\[\]~\n]|^\s*\w+=")
"""Syntax of a shell: pipes, variables, redirections, patterns, assignments."""


def run_command(command: str, deadline: float = limits.KEY_COMMAND) -> str:
    """The output of the command; its stderr goes to the terminal. Raises ``KeyStoreError`` without the output.

    It runs without a shell unless it uses a shell's syntax.
    """
    import shlex
    import subprocess

    shell = needs_shell(command)
    try:
        # Windows splits the line itself, by its own rules for quotes and backslashes.
        arguments = command if shell or sys.platform == "win32" else shlex.split(command)
        process = subprocess.Popen(arguments, shell=shell, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    except (OSError, ValueError) as error:
        words = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise KeyStoreError(f"the key command cannot be run: {words}", code="key_command") from None
    output = bytearray()

    def read() -> None:
        with cast("IO[bytes]", process.stdout) as pipe:
            while len(output) <= limits.KEY and (part := os.read(pipe.fileno(), limits.KEY)):
                output.extend(part)

    # In a thread, because on Windows select() takes only sockets.
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    ended = True
    try:
        process.wait(deadline)
    except subprocess.TimeoutExpired:
        ended = False
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    reader.join(_REST)  # a program that the command started may hold the pipe open
    problem = ""
    if len(output) > limits.KEY:
        problem = "printed too much for a key"
    elif not ended:
        problem = f"did not end within {deadline:g} s"
    elif process.returncode != 0:
        code = process.returncode
        problem = f"failed with {f'signal {-code}' if code < 0 else f'exit status {code}'}"
    if problem:
        raise KeyStoreError(f"the key command {problem}", code="key_command")
    return output.decode("utf-8", "replace")


def needs_shell(command: str) -> bool:
    """Whether the command uses a shell's syntax."""
    return _SHELL.search(command) is not None


# --- where secrets may be sent -----------------------------------------------------------------------------------


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
    through = ""
    if validators.is_private_host(url):
        from provider_core.http import find_proxy

        proxy, _ = find_proxy(url, environ, network.proxy)
        if proxy is None:
            return
        through = f" through the proxy {proxy}"  # even on this machine: it may send the secret anywhere
    message = f"{what} would be sent unencrypted to {wanted.origin}{through}"
    raise KeyDestinationError(message, destination=str(wanted), unencrypted=True)


def seal(secret: str, destinations: Iterable[Destination]) -> str:
    """The text of a store's entry: the secret, and where it may be sent."""
    fields = Destination._fields
    places = [{name: value for name in fields if (value := getattr(each, name))} for each in destinations]
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
    f"keyring.backends.{name}"
    for name in (
        "SecretService.Keyring", "Windows.WinVaultKeyring", "kwallet.DBusKeyring", "libsecret.Keyring", "macOS.Keyring",
    )
)  # fmt: skip
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
