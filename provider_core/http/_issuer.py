"""Who issued a certificate, out of its DER bytes; whether it is to be trusted is not decided here."""

from __future__ import annotations

__all__ = ["issuer"]

_ORGANISATION, _COMMON_NAME = b"\x55\x04\x0a", b"\x55\x04\x03"
_VERSION, _UTF16 = 0xA0, 0x1E


def issuer(certificate: bytes) -> str:
    """Common name and organisation of a certificate's issuer, fit to be shown; "" where they cannot be read.

    Python decodes the certificates that it trusts, and the interesting ones here are those it does not.
    The shape is that of RFC 5280, section 4.1.
    """
    try:
        names = _names(certificate)
    except IndexError:
        return ""
    common, organisation = names.get(_COMMON_NAME, ""), names.get(_ORGANISATION, "")
    both = f"{common}, {organisation}" if common and organisation else common or organisation
    return "".join(letter for letter in both if letter.isprintable())[:120]


def _names(certificate: bytes) -> dict[bytes, str]:
    _, at, _ = _element(certificate, 0)
    _, at, _ = _element(certificate, at)
    tag, _, end = _element(certificate, at)
    if tag == _VERSION:
        at = end
    for _ in ("serial number", "signature algorithm"):
        _, _, at = _element(certificate, at)
    _, at, end = _element(certificate, at)
    found: dict[bytes, str] = {}
    while at < end:
        _, inner, at = _element(certificate, at)  # a set of one pair
        _, inner, _ = _element(certificate, inner)
        _, start, stop = _element(certificate, inner)
        kind = certificate[start:stop]
        tag, start, stop = _element(certificate, stop)
        encoding = "utf-16-be" if tag == _UTF16 else "utf-8"
        found[kind] = certificate[start:stop].decode(encoding, "replace")
    return found


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Tag, start and end of the content of the element at ``at``."""
    tag, length, start = der[at], der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(der[start : start + size], "big")
        start += size
    return tag, start, start + length
