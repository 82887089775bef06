"""The sources of a provider's API key: environment variable, key command, or the keyring of the operating system.

If the keyring does not work, there is no key: none is written to a file instead.
"""

from __future__ import annotations

import os
import re
import sys
import time
from typing import IO, TYPE_CHECKING, Literal, Protocol, cast

from provider_core import limits
from provider_core.errors import (
    ApiKeyError,
    InvalidKeyError,
    KeyDestinationError,
    KeyStoreError,
    MissingKeyError,
)
from provider_core.keys._keyring import (
    Destination,
    KeyringStore,
    check_destination,
    find_redirection,
    seal,
    unseal,
)
from provider_core.structs import Struct, field, pattern, replace

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable, Mapping

    from provider_core.settings.validators import SecretReference
    from provider_core.types import Provider

__all__ = ["Destination", "KeyringStore", "check_destination", "find_redirection", "seal", "unseal"]


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
    what = f"the key of {provider.name}"
    check_destination(what, provider.base_url, provider.network, environ=environ, confirmed=confirmed)
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
    from provider_core.settings.validators import parse_reference

    if provider.embedded:
        return Credentials(provider=provider)
    try:
        if key is None:
            found = find(provider, environ=environ, store=store)
        else:
            found = Key(value=clean(key, "the caller"), source="the caller")
            what = f"the key of {provider.name}"
            check_destination(what, provider.base_url, provider.network, environ=environ)
        headers, secrets = dict(provider.headers), []
        for name, value in provider.headers.items():
            wanted = parse_reference(value)
            if wanted is None:
                continue
            what = f"the header {name} of {provider.name}"
            secret, confirmed = secret_value(wanted, what, environ=environ, store=store)
            try:
                url, network = provider.base_url, provider.network
                check_destination(what, url, network, environ=environ, confirmed=confirmed)
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


def resolve_each(
    providers: Iterable[Provider], *, environ: Mapping[str, str], store: KeyStore
) -> dict[str, Credentials | ApiKeyError]:
    """The result of ``resolve`` for each provider, or its error, by the providers' names; one after the other.

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
            if stored and isinstance(error, KeyStoreError):
                broken = error
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
    """The last 4 characters of a long key, to recognize it by."""
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
    try:
        printed = _printed(process, deadline)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode != 0:
        code = process.returncode
        ending = f"signal {-code}" if code < 0 else f"exit status {code}"
        raise KeyStoreError(f"the key command failed with {ending}", code="key_command")
    return printed.decode("utf-8", "replace")


def _printed(process: subprocess.Popen[bytes], deadline: float) -> bytes:
    """The output of the process when it ends; raises if it takes too long or prints too much."""
    import queue
    import subprocess
    import threading

    parts: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    # In a thread, because on Windows select() takes only sockets.
    threading.Thread(target=_read, args=(cast("IO[bytes]", process.stdout), parts.put), daemon=True).start()
    printed = b""
    until = time.monotonic() + deadline
    while (left := until - time.monotonic()) > 0:
        try:
            part = parts.get(timeout=min(left, 0.05))
        except queue.Empty:
            if process.poll() is not None:  # a program that it started holds the pipe open
                until = min(until, time.monotonic() + _REST)
            continue
        if not part:
            break
        printed += part
        if len(printed) > limits.KEY:
            raise KeyStoreError("the key command printed too much for a key", code="key_command")
    try:
        process.wait(max(until - time.monotonic(), 0))
    except subprocess.TimeoutExpired:
        message = f"the key command did not end within {deadline:g} s"
        raise KeyStoreError(message, code="key_command") from None
    return printed


def _read(pipe: IO[bytes], put: Callable[[bytes], None]) -> None:
    """Put what can be read, and b"" at its end; more than the longest key is not read."""
    left = limits.KEY
    with pipe:
        while left >= 0:
            part = os.read(pipe.fileno(), limits.KEY)
            put(part)
            if not part:
                return
            left -= len(part)


def needs_shell(command: str) -> bool:
    """Whether the command uses a shell's syntax."""
    return _SHELL.search(command) is not None
