"""HTTP over real sockets: the only package that imports httpcore and httpx, when its transport is used.

Here is what decides the way of a request: the proxy for an address, from the provider's settings, the environment or
macOS.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import sys
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from provider_core.errors import SettingsError
from provider_core.structs import Struct, field

if TYPE_CHECKING:
    from collections.abc import Mapping

_SYSTEM: str = sys.platform
_PORTS = {"http": 80, "https": 443, "socks5": 1080}


class Proxy(Struct):
    """A proxy; ``scheme`` is "http", "https" or "socks5". ``str`` gives its address without user and password."""

    scheme: str
    host: str
    port: int
    auth: tuple[str, str] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def find_proxy(
    url: str, environ: Mapping[str, str], configured: str | None = None
) -> tuple[Proxy | None, str]:
    """The proxy for ``url``, and what decided it: "loopback", "the provider's proxy", a variable, or "".

    Loopback never goes through a proxy. ``configured`` is the provider's own, or "none" for a direct connection; it
    overrides the environment. There, ``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy`` are read in lower
    case first, as curl does. ``socks://`` means SOCKS5, and a bare ``host:port`` an HTTP proxy. Raises
    ``SettingsError``, which names the setting and never its value.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower().rstrip(".")
    if is_loopback(host):
        return None, "loopback"
    if configured is not None and configured.strip():
        own = "the provider's proxy"
        return (None if configured.strip().lower() == "none" else _parse(configured, own)), own
    variable, entries = _variable("no_proxy", environ)
    port = parts.port or _PORTS.get(parts.scheme)
    if any(_matches(entry, host, port) for entry in re.split(r"[,\s]+", entries or "") if entry):
        return None, variable
    for name in (f"{parts.scheme}_proxy", "all_proxy"):
        variable, value = _variable(name, environ)
        if value is not None:
            return (_parse(value, variable) if value.strip() else None), variable
    if _SYSTEM == "darwin" and environ is os.environ:
        # macOS has proxies in its network settings.
        from urllib.request import getproxies, proxy_bypass

        value = getproxies().get(parts.scheme)
        if value is not None and not proxy_bypass(host):
            return _parse(value, "the system's proxy"), "the system's proxy"
    return None, ""


def _variable(name: str, environ: Mapping[str, str]) -> tuple[str, str | None]:
    # A CGI server puts a client's "Proxy:" header into HTTP_PROXY (httpoxy.org): there, only lower case is safe.
    cgi = name == "http_proxy" and "REQUEST_METHOD" in environ
    name = name if name in environ or cgi else name.upper()
    return name, environ.get(name)


class Route(Struct):
    """The server and the way to it, for error messages: without path, query and password."""

    provider: str | None
    url: str
    host: str
    proxy: Proxy | None
    proxy_source: str
    """The setting or variable that names the proxy."""

    @property
    def name(self) -> str:
        return self.provider or self.url.partition("://")[2]

    @property
    def first_hop(self) -> str:
        return f"the proxy {self.proxy} (for {self.url})" if self.proxy else self.url


def is_loopback(host: str) -> bool:
    """Whether ``host`` (a name or an address) is this machine itself."""
    host = host.lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    else:
        inner = getattr(address, "ipv4_mapped", None) or address
        return inner.is_loopback or inner.is_unspecified
    try:
        return socket.inet_aton(host)[0] == 127  # 127.1 and 0x7f000001, which resolvers accept too
    except OSError:
        return False


def check_host(host: str) -> None:
    """Raise ``ValueError`` for an ASCII name that is too long for DNS and SOCKS (RFC 1035, 2.3.4)."""
    if len(host) > 253 or any(len(label) > 63 for label in host.split(".")):
        raise ValueError("its host name is too long")


def _matches(entry: str, host: str, port: int | None) -> bool:
    """Whether an entry of NO_PROXY (a name, suffix, address or network, possibly with a port) matches ``host``."""
    pattern = entry.lower()
    if pattern == "*":
        return True
    if "/" in pattern:
        try:
            return ipaddress.ip_address(host) in ipaddress.ip_network(pattern, strict=False)
        except ValueError:
            return False
    number = None
    if bracketed := re.fullmatch(r"\[(.+)\](?::(\d+))?", pattern):
        pattern, number = bracketed[1], bracketed[2]
    elif pattern.count(":") == 1:
        pattern, _, number = pattern.partition(":")
    if number and number != str(port):
        return False
    pattern = pattern.removeprefix("*").strip(".")
    return bool(pattern) and (host == pattern or host.endswith("." + pattern))


def _parse(value: str, source: str) -> Proxy:
    scheme, separator, rest = value.strip().partition("://")
    if not separator:
        scheme, rest = "http", scheme
    scheme = {"socks": "socks5", "socks5h": "socks5"}.get(scheme.lower(), scheme.lower())
    if scheme not in _PORTS:
        shown = f" ({scheme}://)" if re.fullmatch(r"[a-z][a-z0-9+.-]{0,15}", scheme) else ""
        raise SettingsError(f"{source} has an unsupported type of proxy{shown}; use http, https or socks5")
    login, at, _ = rest.rpartition("@")
    if at and re.search(r"[/?#\\\[\]\s]", login):
        raise SettingsError(
            f"{source} contains a user name or password with a special character: "
            "percent-encode it, such as @ as %40, # as %23 and / as %2F"
        )
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        host, port = parts.hostname or "", parts.port
        host = host if host.isascii() else host.encode("idna").decode("ascii")
        check_host(host)
    except ValueError:  # of which UnicodeError is one
        host, port = "", None
    if not host or port == 0:
        raise SettingsError(f"{source} is not a valid address of a proxy, such as http://host:port")
    auth = None
    if parts.username is not None:
        auth = (unquote(parts.username), unquote(parts.password or ""))
        if scheme == "socks5" and any(len(part.encode()) > 255 for part in auth):
            raise SettingsError(f"{source} contains a user name or password that is too long for SOCKS5")
    return Proxy(scheme=scheme, host=host, port=port or _PORTS[scheme], auth=auth)
