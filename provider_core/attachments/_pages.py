"""Fetching the address of a web page, text file, PDF or recording.

An address may lead elsewhere than it seems to: to a service of this machine, of the private network, or of the cloud
that hands out credentials. So every host is checked, also those of redirects, and the connection goes to the addresses
that were checked, not to those of a second lookup. Only a host that the user has typed as such may be private.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import socket
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urldefrag, urljoin

from provider_core import __version__, limits
from provider_core.attachments._content import (
    TextFile,
    byte_order_mark,
    check_size,
    kind_of,
    label,
    load_bytes,
    markdown_of,
    refusal,
)
from provider_core.errors import AttachmentError, InvalidInputError, NetworkError
from provider_core.http import find_proxy, is_loopback
from provider_core.http.connections import system_lookup
from provider_core.http.transport import HttpTransport, parse_url
from provider_core.types import Call, Network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from provider_core.http.connections import Lookup
    from provider_core.types import AudioPart, FilePart, Reply

_NETWORK: Final = Network(connect_timeout=10.0, first_byte_timeout=30.0, idle_timeout=15.0)
_HEADERS: Final = {
    # Many sites of documentation have their pages as Markdown, too.
    "Accept": "text/markdown, text/html;q=0.9, text/plain;q=0.8, application/pdf;q=0.8, */*;q=0.5",
    "User-Agent": f"telex/{__version__}",
}
_PUBLIC_METADATA: Final = frozenset(("168.63.129.16", "192.0.0.192"))
"""Services of Azure and Oracle for their virtual machines, at addresses that are not private by their number."""
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_ENCODING: Final = re.compile(
    r"(?i)utf-?8|utf-?16(?:[lb]e)?|us-ascii|ascii|(?:iso-?|iso_)8859-?\d{1,2}(?:-[ie])?|latin-?\d|(?:windows-|cp)\d{3,4}"
    r"|koi8-[ru]|euc-?(?:jp|kr)|shift[-_]?jis|sjis|iso-2022-jp|gb2312|gbk|gb18030|big5(?:-hkscs)?|tis-620|macintosh"
)
"""Encodings of web pages. Some others that Python knows do not encode text, or take very long."""
_LATIN: Final = re.compile(r"(?i)us-ascii|ascii|iso-?_?8859-?1|latin-?1")
"""Names that browsers read as Windows-1252: encoding.spec.whatwg.org."""
_META: Final = re.compile(
    rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE
)
_HTML: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|head|body)\b", re.IGNORECASE)


def fetch_page(
    url: str,
    *,
    pdf_as_file: bool = False,
    environ: Mapping[str, str] | None = None,
    lookup: Lookup | None = None,
) -> TextFile | FilePart | AudioPart:
    """The text of the page, as Markdown if it is HTML, or the PDF or recording at the address.

    Raises ``NetworkError``, and ``AttachmentError`` with code "private" for a host that is not public, "status" for an
    answer that is an error, or "timeout" for a page that does not end in time.
    """
    name = label(re.sub("//[^/@?#]*@", "//", url))  # without a password
    guard = _Guard(url, name, os.environ if environ is None else environ, lookup)
    deadline = time.monotonic() + limits.PAGE_TIME
    with HttpTransport(guard.environ, lookup=guard.lookup) as transport:
        for _ in range(limits.REDIRECTS + 1):
            guard.check(url)
            found = _fetch(transport, guard, url, name, deadline)
            if not isinstance(found, str):
                break
            url = found
        else:
            raise refusal(name, f"cannot be fetched: it has more than {limits.REDIRECTS} redirects")
    return _content(*found, name=name, url=url, pdf_as_file=pdf_as_file)


def _fetch(
    transport: HttpTransport, guard: _Guard, url: str, name: str, deadline: float
) -> tuple[bytes, str] | str:
    """The body and its type, or the address of a redirect."""
    left = deadline - time.monotonic()
    call = Call(method="GET", url=url, headers=_HEADERS, network=_NETWORK.limited(max(left, 0.1)))
    try:
        with transport.send(call) as reply:
            location = reply.headers.get("location", "")
            if reply.status in (301, 302, 303, 307, 308) and location:
                with contextlib.suppress(ValueError):
                    return urldefrag(urljoin(url, location)).url
                raise refusal(name, "cannot be fetched: an address that it redirects to is not valid")
            if not 200 <= reply.status < 300:
                raise refusal(
                    name, f"cannot be fetched: the server answered with status {reply.status}", code="status"
                )
            reply.limit_total(
                deadline - time.monotonic()
            )  # a server that sends something all the time, and no end
            return _body(reply, name), reply.headers.get("content-type", "")
    except NetworkError:
        if guard.refused:
            raise guard.error(guard.refused) from None
        if time.monotonic() < deadline:
            raise
        why = f"cannot be fetched: it takes more than {limits.PAGE_TIME:.0f} seconds"
        raise refusal(name, why, code="timeout") from None


def _body(reply: Reply, name: str) -> bytes:
    pieces: list[bytes] = []
    size, limit = 0, limits.PAGE
    for chunk in reply.chunks():
        if not pieces and kind_of(chunk).is_pdf:
            limit = limits.PDF_FILE
        size += len(chunk)
        pieces.append(chunk)
        check_size(size, name, limit, "a page")
    return b"".join(pieces)


def _content(
    data: bytes, content_type: str, *, name: str, url: str, pdf_as_file: bool
) -> TextFile | FilePart | AudioPart:
    media, _, parameters = content_type.partition(";")
    media = media.strip().lower()
    is_html = media in ("text/html", "application/xhtml+xml") or (
        not media and bool(_HTML.match(data[:1024]))
    )
    if not is_html and (kind_of(data).name or b"\0" in data[:1024]):
        return load_bytes(data, name, pdf_as_file=pdf_as_file)
    text = _decoded(data, parameters, is_html=is_html)
    if not is_html:
        return TextFile(name=name, text=text, size=len(data))
    markdown = markdown_of(text, name, url)
    if not markdown.strip():
        raise refusal(name, "has no text; its content may need a browser")
    return TextFile(name=name, text=markdown, size=len(data), language="markdown")


def _decoded(data: bytes, parameters: str, *, is_html: bool) -> str:
    """The text of a page, by its byte order mark, the header, its own ``meta`` element, or as browsers guess."""
    if mark := byte_order_mark(data):
        return data[len(mark[0]) :].decode(mark[1], "replace")
    declared = re.search(r"charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,40})", parameters, re.IGNORECASE)
    named = declared[1] if declared else ""
    if not named and is_html and (meta := _META.search(data[:2048])):
        named = meta[1].decode("ascii")
    if _ENCODING.fullmatch(named):
        with contextlib.suppress(LookupError):
            return data.decode("cp1252" if _LATIN.fullmatch(named) else named, "replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


# --- which hosts ---------------------------------------------------------------------------------------------


class _Guard:
    """Decides which hosts may be connected to. ``typed`` is the address that the user has typed."""

    def __init__(self, typed: str, name: str, environ: Mapping[str, str], lookup: Lookup | None) -> None:
        self.environ: Mapping[str, str] = environ
        self.refused: str = ""
        """The host that was refused during a connection."""
        self._name = name
        self._lookup = lookup or system_lookup
        self._proxy_host = ""
        self._typed_host = _host(typed, name)
        self._typed_is_private = _names_private(self._typed_host)

    def check(self, url: str) -> None:
        """Raise ``AttachmentError`` unless ``url`` may be requested; a name is checked when it is looked up."""
        host = _host(url, self._name, "an address that it redirects to")
        proxy, _ = find_proxy(url, self.environ)
        self._proxy_host = proxy.host if proxy is not None else ""
        # A proxy looks the name up itself, so names that are private by themselves are all that can be refused.
        if _names_private(host) and not self._is_allowed(host):
            raise self.error(host)

    def lookup(self, host: str, port: int) -> Sequence[Any]:
        """The addresses of a host that is connected to; raises ``OSError`` if one of them is private."""
        found = self._lookup(host, port)
        if host == self._proxy_host or self._is_allowed(host):
            return found
        if not all(_is_public(address[4][0]) for address in found):
            self.refused = host
            raise socket.gaierror(socket.EAI_NONAME, "refused")
        return found

    def error(self, host: str) -> AttachmentError:
        """The error for a host that may not be connected to."""
        how = "" if host == self._typed_host else f" it redirects to {label(host)}, which is"
        why = f":{how} on this machine or in a private network" if how else ": its host has a private address"
        return AttachmentError(f"{self._name} cannot be fetched{why}", name=self._name, code="private")

    def _is_allowed(self, host: str) -> bool:
        if not self._typed_is_private:
            return False
        return host == self._typed_host or (is_loopback(host) and is_loopback(self._typed_host))


def _host(url: str, name: str, what: str = "its address") -> str:
    """The host that the transport would connect to; raises ``AttachmentError`` for an address that it may not."""
    scheme = url.partition("://")[0].lower()
    if scheme not in ("http", "https"):
        raise refusal(name, f"cannot be fetched: it redirects to {label(scheme[:20])}")
    if re.match(r"[^:]+://[^/?#\\]*@", url):
        raise refusal(name, f"cannot be fetched: {what} contains a user name or password")
    try:
        return parse_url(Call(method="GET", url=url, headers={})).raw_host.lower().rstrip(".")
    except InvalidInputError:
        raise refusal(name, f"cannot be fetched: {what} is not valid") from None


def _names_private(host: str) -> bool:
    """Whether the host is private by its name or number, without a lookup."""
    if is_loopback(host) or host.endswith((".internal", ".local", ".lan", ".home.arpa")):
        return True
    if not {".", ":"} & set(host):
        return True
    try:
        return not _is_public(host)
    except ValueError:
        pass
    try:
        return not _is_public(
            socket.inet_ntoa(socket.inet_aton(host))
        )  # 0xa9fea9fe, which resolvers accept too
    except OSError:
        return False


def _is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet; raises ``ValueError`` for anything else than an address."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return _is_public(str(inner))
    return found.is_global and not found.is_multicast and str(found) not in _PUBLIC_METADATA
