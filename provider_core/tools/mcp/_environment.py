"""What a server is given: the variables of its process, and the secrets in its settings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from provider_core.errors import KeyDestinationError, KeyStoreError, ToolSecretError
from provider_core.keys import check_destination, unseal
from provider_core.settings.validators import is_harmless, parse_reference

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from provider_core.keys import Destination, KeyStore
    from provider_core.settings.mcp import McpServer
    from provider_core.settings.validators import SecretReference

# --- variables ---------------------------------------------------------------------------------------------

# LC_* by their full names: ssh passes LC_* on, so people carry secrets in LC_ names of their own.
_POSIX = frozenset(
    (
        "HOME", "LANG", "LANGUAGE", "LC_ADDRESS", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_IDENTIFICATION",
        "LC_MEASUREMENT", "LC_MESSAGES", "LC_MONETARY", "LC_NAME", "LC_NUMERIC", "LC_PAPER", "LC_TELEPHONE", "LC_TIME",
        "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER",
        "__CF_USER_TEXT_ENCODING",  # macOS: without it, Core Foundation opens a file of the user's for it
    )
)  # fmt: skip
_WINDOWS = frozenset(
    (
        "APPDATA", "COMSPEC", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATH", "PATHEXT", "PROGRAMDATA", "PROGRAMFILES",
        "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP", "USERNAME", "USERPROFILE", "WINDIR",
    )
)  # fmt: skip

# In upper case, since programs read both spellings of most.
_NETWORK = frozenset(
    (
        "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
        "NODE_USE_SYSTEM_CA", "NIX_SSL_CERT_FILE", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "PIP_CERT", "AWS_CA_BUNDLE",
        "CARGO_HTTP_CAINFO", "DENO_CERT", "DENO_TLS_CA_STORE", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "HTTPLIB2_CA_CERTS",
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "NPM_CONFIG_CAFILE", "PERL_LWP_SSL_CA_FILE", "WEBSOCKET_CLIENT_CA_BUNDLE",
        "NO_PROXY", "NPM_CONFIG_NOPROXY", "NPM_CONFIG_NO_PROXY", "GLOBAL_AGENT_NO_PROXY", "NODE_USE_ENV_PROXY",
    )
)  # fmt: skip
_PROXIES = frozenset(
    (
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY", "WS_PROXY", "WSS_PROXY", "SOCKS_PROXY", "PIP_PROXY",
        "NPM_CONFIG_PROXY", "NPM_CONFIG_HTTPS_PROXY", "NPM_CONFIG_HTTP_PROXY", "CARGO_HTTP_PROXY",
        "GLOBAL_AGENT_HTTP_PROXY", "GLOBAL_AGENT_HTTPS_PROXY",
    )
)  # fmt: skip

_MIN_SECRET = 8
"""Characters below which the value of an excluded variable is not searched for in others."""


def server_environment(
    environ: Mapping[str, str], own: Mapping[str, str], *, excluded_env: Collection[str] = ()
) -> dict[str, str]:
    """The variables that every program needs, those of certificates and proxies, and the server's ``own``.

    Variables of ``excluded_env`` are omitted, and so are variables that contain the value of one, and proxies with a
    password; see ``proxies_with_password``.
    """
    usual = _WINDOWS if os.name == "nt" else _POSIX
    secrets = [value for name in excluded_env if len(value := environ.get(name, "")) >= _MIN_SECRET]
    overridden = {name.upper() for name in own}  # a program may read the other spelling first

    def is_passed_on(name: str, value: str) -> bool:
        upper = name.upper()
        exported_function = value.startswith("()")  # of bash
        if name in excluded_env or exported_function or any(secret in value for secret in secrets):
            return False
        if upper in usual and (os.name == "nt" or name in usual):
            return True
        known = upper in _NETWORK or (upper in _PROXIES and "@" not in value)
        return known and upper not in overridden and is_harmless(name, value)

    inherited = {name: value for name, value in environ.items() if is_passed_on(name, value)}
    return {"PATH": os.defpath, **inherited, **own}


def proxies_with_password(environ: Mapping[str, str], own: Mapping[str, str]) -> tuple[str, ...]:
    """The proxy variables that a server does not get because their addresses contain a user or password."""
    overridden = {name.upper() for name in own}
    return tuple(
        name for name, value in environ.items() if name.upper() in _PROXIES - overridden and "@" in value
    )


# --- secrets -----------------------------------------------------------------------------------------------


class ServerCredentials:
    """The variables or headers of a server with their secrets; ``secrets`` are redacted in everything it says."""

    __slots__ = ("secrets", "values")

    def __init__(self, values: Mapping[str, str], secrets: tuple[str, ...]) -> None:
        self.values = values
        self.secrets = secrets


class SecretResolver:
    """Looks up references to the environment and the keyring. A keyring that failed once is not used again."""

    def __init__(self, environ: Mapping[str, str], store: KeyStore | None) -> None:
        self._environ = environ
        self._store = store
        self._store_error = None if store else KeyStoreError("no keyring is available", state="missing")

    def resolve(self, server: McpServer) -> ServerCredentials:
        """Raises ``ToolSecretError`` for a secret that is missing or may not be sent to the server."""
        values: dict[str, str] = {}
        secrets: list[str] = []
        for name, written in {**server.env, **server.headers}.items():
            reference = parse_reference(written)
            if reference is None:
                values[name] = written
                continue
            secret, confirmed = self._find(reference, server.name, name)
            if name in server.headers:
                secret = secret.strip()
                if not secret or not all(" " <= character <= "~" for character in secret):
                    text = f"the MCP server {server.name} cannot be given {reference} for {name}: "
                    text += "it contains characters that a header cannot carry"
                    raise ToolSecretError(text, server=server.name, wanted_for=name)
                self._check_destination(server, name, reference, confirmed)
            secrets.append(secret)
            values[name] = reference.before + secret
        return ServerCredentials(values, tuple(secrets))

    def _check_destination(
        self,
        server: McpServer,
        name: str,
        reference: SecretReference,
        confirmed: tuple[Destination, ...] | None,
    ) -> None:
        """A header's secret is sent only to the address that it was stored for, and only encrypted."""
        what = f"{reference} for the header {name} of the MCP server {server.name}"
        try:
            check_destination(what, server.url, server.network, environ=self._environ, confirmed=confirmed)
        except KeyDestinationError as error:
            source = "http" if error.unencrypted else str(reference)
            raise ToolSecretError(error.message, server=server.name, wanted_for=name, source=source) from None

    def _find(
        self, reference: SecretReference, server: str, name: str
    ) -> tuple[str, tuple[Destination, ...] | None]:
        secret, confirmed, place = self._environ.get(reference.name), None, "is not set"
        if reference.kind == "keyring":
            secret, confirmed = unseal(self._stored(reference, server, name) or "")
            place = "is not in the keyring"
        if not secret:
            text = f"the MCP server {server} needs {reference} for {name}, and it {place}"
            raise ToolSecretError(text, server=server, wanted_for=name, source=str(reference))
        return secret, confirmed

    def _stored(self, reference: SecretReference, server: str, name: str) -> str | None:
        if self._store is not None and self._store_error is None:
            try:
                return self._store.get(reference.entry)
            except KeyStoreError as error:
                self._store_error = error
        text = f"the MCP server {server} needs {reference} for {name}: {self._store_error}"
        raise ToolSecretError(text, server=server, wanted_for=name)
