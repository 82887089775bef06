"""The environment of a server's process: what every program needs, its own values, and none of our secrets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from provider_core.settings.validators import is_harmless

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["environment", "with_password"]

# By their full names: ssh passes LC_* through, and so people carry secrets in LC_ names of their own.
_LOCALE = (
    "LC_ADDRESS", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_IDENTIFICATION", "LC_MEASUREMENT", "LC_MESSAGES",
    "LC_MONETARY", "LC_NAME", "LC_NUMERIC", "LC_PAPER", "LC_TELEPHONE", "LC_TIME",
)  # fmt: skip
_POSIX = frozenset(
    (
        "HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER", *_LOCALE,
        "__CF_USER_TEXT_ENCODING",  # macOS: without it, Core Foundation opens the user's record for it
    )
)  # fmt: skip
_WINDOWS = frozenset(
    (
        "APPDATA", "COMSPEC", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATH", "PATHEXT", "PROGRAMDATA", "PROGRAMFILES",
        "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP", "USERNAME", "USERPROFILE", "WINDIR",
    )
)  # fmt: skip


# Matched in upper case, since programs read both spellings of most.
_TRUST = frozenset(
    (
        "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
        "NODE_USE_SYSTEM_CA", "NIX_SSL_CERT_FILE", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "PIP_CERT", "AWS_CA_BUNDLE",
        "CARGO_HTTP_CAINFO", "DENO_CERT", "DENO_TLS_CA_STORE", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "HTTPLIB2_CA_CERTS",
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "NPM_CONFIG_CAFILE", "PERL_LWP_SSL_CA_FILE", "WEBSOCKET_CLIENT_CA_BUNDLE",
    )
)  # fmt: skip
_PROXIES = frozenset(
    (
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY", "WS_PROXY", "WSS_PROXY", "SOCKS_PROXY", "PIP_PROXY",
        "NPM_CONFIG_PROXY", "NPM_CONFIG_HTTPS_PROXY", "NPM_CONFIG_HTTP_PROXY", "CARGO_HTTP_PROXY",
        "GLOBAL_AGENT_HTTP_PROXY", "GLOBAL_AGENT_HTTPS_PROXY",
    )
)  # fmt: skip
_EXCEPTIONS = frozenset(
    ("NO_PROXY", "NPM_CONFIG_NOPROXY", "NPM_CONFIG_NO_PROXY", "GLOBAL_AGENT_NO_PROXY", "NODE_USE_ENV_PROXY")
)

_SHORTEST_SECRET = 8


def environment(
    environ: Mapping[str, str], own: Mapping[str, str] | None = None, *, withheld: Collection[str] = ()
) -> dict[str, str]:
    """What of ``environ`` every program needs, with the server's ``own`` variables, which take precedence.

    Variables of ``withheld`` are left out, whatever they are called, and so is what holds the value of one. A proxy
    is left out if its address holds a user or password; see ``with_password``.
    """
    own = own or {}
    known = _WINDOWS if os.name == "nt" else _POSIX
    secrets = [value for name in withheld if len(value := environ.get(name, "")) >= _SHORTEST_SECRET]
    # A program may read the other spelling first.
    set_by_user = {name.upper() for name in own}
    kept = {
        name: value
        for name, value in environ.items()
        if ((name.upper() in known and (os.name == "nt" or name in known)) or _is_network(name, value))
        and name not in withheld
        and not (name.upper() in set_by_user and name.upper() not in known)
        and not any(secret in value for secret in secrets)
        and not value.startswith("()")  # a function that bash has exported
    }
    kept.setdefault("PATH", os.defpath)
    return kept | dict(own)


def with_password(environ: Mapping[str, str], own: Mapping[str, str]) -> tuple[str, ...]:
    """The proxy variables that a server is not given because their addresses hold a user or password."""
    set_by_user = {name.upper() for name in own}
    return tuple(
        name
        for name, value in environ.items()
        if name.upper() in _PROXIES and name.upper() not in set_by_user and "@" in value
    )


def _is_network(name: str, value: str) -> bool:
    """Whether this tells a program whom to trust, or the way to the network, and holds no secret."""
    known = name.upper() in _TRUST | _EXCEPTIONS or (name.upper() in _PROXIES and "@" not in value)
    return known and is_harmless(name, value)
