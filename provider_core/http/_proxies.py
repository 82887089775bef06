"""Which proxy an address goes through; connecting to it is not done here."""

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
    """A proxy: ``scheme`` is "http", "https" or "socks5", whose host looks names up for us.

    ``str`` gives its address without user and password, fit to be shown.
    """

    scheme: str
    host: str
    port: int
    auth: tuple[str, str] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class Proxies:
    """Which proxy an address goes through, by the environment's variables and a provider's own setting."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def choose(self, url: str, configured: str | None = None) -> Proxy | None:
        """The proxy for ``url``, or None. Loopback never goes through one.

        ``configured`` is the provider's own, or "none" for going straight; it wins over the environment and
        NO_PROXY. There ``http_proxy``, ``https_proxy`` and ``all_proxy`` count in either case, lower case
        first, as curl reads them. ``socks://`` is taken as SOCKS5, a bare ``host:port`` as an HTTP proxy.
        Raises ``SettingsError``, which names the setting and never its value.
        """
        return self.explain(url, configured)[0]

    def explain(self, url: str, configured: str | None = None) -> tuple[Proxy | None, str]:
        """As ``choose``, and what decided it: "loopback", "the provider's proxy", "the system's proxy", a variable.

        "" where nothing says anything and the way is straight.
        """
        parts = urlsplit(url)
        host = (parts.hostname or "").lower().rstrip(".")
        if is_loopback(host):
            return None, "loopback"
        if configured is not None and configured.strip():
            own = "the provider's proxy"
            return (None if configured.strip().lower() == "none" else _read(configured, own)), own
        if bypass := self._bypassed(host, parts.port or _PORTS.get(parts.scheme)):
            return None, bypass
        for name in (f"{parts.scheme}_proxy", "all_proxy"):
            variable, value = self._get(name)
            if value is not None:
                return (_read(value, variable) if value.strip() else None), variable
        system = self._of_the_system(parts.scheme, host)
        return system, "the system's proxy" if system else ""

    def _get(self, name: str) -> tuple[str, str | None]:
        # A CGI server puts a client's "Proxy:" header into HTTP_PROXY (httpoxy.org): lower case only there.
        cgi = name == "http_proxy" and "REQUEST_METHOD" in self._environ
        if name in self._environ or cgi:
            return name, self._environ.get(name)
        return name.upper(), self._environ.get(name.upper())

    def _of_the_system(self, scheme: str, host: str) -> Proxy | None:
        """The proxy of macOS, which keeps them in its network settings; it counts when no variable does."""
        if _SYSTEM != "darwin" or self._environ is not os.environ:
            return None
        from urllib.request import getproxies, proxy_bypass

        value = getproxies().get(scheme)
        return None if value is None or proxy_bypass(host) else _read(value, "the system's proxy")

    def _bypassed(self, host: str, port: int | None) -> str:
        """The variable that says that ``host`` is reached without a proxy, or ""."""
        variable, entries = self._get("no_proxy")
        listed = re.split(r"[,\s]+", entries or "")
        return variable if any(_covers(entry, host, port) for entry in listed if entry) else ""


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
        return socket.inet_aton(host)[0] == 127  # 127.1 and 0x7f000001, which resolvers take too
    except OSError:
        return False


def check_host(host: str) -> None:
    """Raise ``ValueError`` for an ASCII name that no host can have: DNS and SOCKS have limits (RFC 1035, 2.3.4)."""
    if len(host) > 253 or any(len(label) > 63 for label in host.split(".")):
        raise ValueError("its host name is too long")


def _covers(entry: str, host: str, port: int | None) -> bool:
    """Whether an entry of NO_PROXY is meant for ``host``: name, suffix, address, network, each with a port or not."""
    pattern = entry.lower()
    if pattern == "*":
        return True
    if "/" in pattern:
        try:
            return ipaddress.ip_address(host) in ipaddress.ip_network(pattern, strict=False)
        except ValueError:
            return False
    bracketed = re.fullmatch(r"\[(.+)\](?::(\d+))?", pattern)
    if bracketed:
        pattern, number = bracketed[1], bracketed[2]
    elif pattern.count(":") == 1:
        pattern, _, number = pattern.partition(":")
    else:
        number = None
    if number and number != str(port):
        return False
    pattern = pattern.removeprefix("*").strip(".")
    return bool(pattern) and (host == pattern or host.endswith("." + pattern))


def _read(value: str, source: str) -> Proxy:
    url = value.strip()
    if "://" not in url:
        url = f"http://{url}"
    scheme, _, rest = url.partition("://")
    scheme = {"socks": "socks5", "socks5h": "socks5"}.get(scheme.lower(), scheme.lower())
    if scheme not in _PORTS:
        known = re.fullmatch(r"[a-z][a-z0-9+.-]{0,15}", scheme)
        shown = f" ({scheme}://)" if known else ""
        raise SettingsError(
            f"{source} names a kind of proxy{shown} that is not supported: http, https and socks5 are"
        )
    login, at, _ = rest.rpartition("@")
    if at and re.search(r"[/?#\\\[\]\s]", login):
        raise SettingsError(
            f"{source} holds a user name or password with a special character in it: "
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
        raise SettingsError(f"{source} is not the address of a proxy, as http://host:port is")
    auth = None
    if parts.username is not None:
        auth = (unquote(parts.username), unquote(parts.password or ""))
        if scheme == "socks5" and any(len(part.encode()) > 255 for part in auth):
            raise SettingsError(f"{source} holds a user name or password that is too long for SOCKS5")
    return Proxy(scheme=scheme, host=host, port=port or _PORTS[scheme], auth=auth)
