"""Makes text from outside safe to show: without control characters and without secrets. And finds similar names."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from provider_core.structs import pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MASK = "[redacted]"

_SHORTEST = 4
"""Shorter secrets are placeholders ("x", "no"): redacting them would garble every sentence."""

_SEQUENCE = pattern(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x80-\x9f]*(?:\x07|\x1b\\|\x9c)"  # OSC and its kin: titles, links
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_UNSEEN = (
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
"""Unicode's default ignorable code points without joiners and variation selectors, and the line separators."""
_INVISIBLE = pattern(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_UNSEEN}]")  # and C0 and C1 but tab and newline
_HIDDEN = (  # compiled when it is first used
    # The flags of England, Scotland and Wales stay: they consist of a flag and tags.
    "(\U0001f3f4[\U000e0030-\U000e007a]{2,8}\U000e007f)"
    f"|[{_UNSEEN}]"
    # A joiner belongs after an emoji or a joining letter, a selector after an emoji, a digit or an ideograph.
    f"|(?<=[\x00-\u05ff\u200c\u200d\ufffd{_UNSEEN}])[\u200c\u200d]"
    f"|(?<=[\x00-\x22\x24-\x29\x2b-\x2f\x3a-\x7f\u200c\u200d\ufffd\ufe00-\ufe0f\U000e0100-\U000e01ef{_UNSEEN}])"
    "[\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
_SURROGATE = pattern("[\ud800-\udfff]")


def printable(text: str, limit: int = 2000) -> str:
    """Return ``text`` without escape sequences and control characters, at most ``limit`` characters of it."""
    text = _strip(text)
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + "…"


def unhidden(text: str) -> str:
    """Return ``text`` with U+FFFD for each invisible or reordering character, in which text can be hidden.

    These are zero-width and tag characters, line separators, bidi marks and stray joiners.
    """
    if text.isascii():
        return text
    return re.sub(_HIDDEN, lambda match: match[1] or "\ufffd", text)


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return ``text`` without the secrets: plain, JSON-escaped, URL-encoded, in base64 or hex, and long pieces of them.

    A server's own mask (``sk-...abcd``) shows too little to matter and stays.
    """
    worth_hiding = {bare for secret in secrets if len(bare := secret.strip()) >= _SHORTEST}
    for secret in sorted(worth_hiding, key=len, reverse=True):
        forms = sorted(_forms(secret), key=len, reverse=True)
        text = re.sub("|".join(map(re.escape, forms)), MASK, text, flags=re.IGNORECASE)
        text = _redact_pieces(text, secret.lower())
    return text


def clean(text: str, secrets: Iterable[str], limit: int = 2000) -> str:
    """Return a server's words for an error message: redacted, without control characters and surrounding blanks.

    Control characters are removed first: a key with an escape character inside is a key again without it.
    """
    return printable(redact(_strip(text[: limit * 32]), secrets).strip(), limit)


def one_line(text: str) -> str:
    """Return ``text`` with every run of blanks and line ends as one space."""
    return " ".join(text.split())


def close_matches(word: str, names: Iterable[str], *, most: int = 3, cutoff: float = 0.6) -> tuple[str, ...]:
    """Return the names that are similar to ``word``, the most similar first, ignoring case.

    ``cutoff`` is from 0, where all names match, to 1, where only equal names do.
    """
    from difflib import get_close_matches

    by_form: dict[str, str] = {}
    for name in names:
        by_form.setdefault(name.casefold(), name)
    return tuple(by_form[form] for form in get_close_matches(word.casefold(), by_form, n=most, cutoff=cutoff))


def _strip(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    text = _INVISIBLE.sub("", _SEQUENCE.sub("", text.replace("\r\n", "\n").replace("\u2028", "\n")))
    return _SURROGATE.sub("\ufffd", text)


def _forms(secret: str) -> set[str]:
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    encoded = {quote(secret, safe, errors="replace") for safe in ("", "/")} | {
        quote_plus(secret, errors="replace")
    }
    slashed = (form.replace("/", "\\/") for form in escaped)
    return {
        secret,
        html.escape(secret),
        *escaped,
        *encoded,
        *slashed,
        *_coded(secret.encode("utf-8", "replace")),
    }


def _coded(secret: bytes) -> Iterator[str]:
    """Yield the secret in hex and base64, also after one or two other bytes, such as a scheme or a user's name."""
    from binascii import b2a_base64

    yield secret.hex()
    for before in range(3):
        coded = b2a_base64(bytes(before) + secret, newline=False).decode()
        # The letters at the ends depend on the adjacent bytes as well.
        own = coded[-(-before * 4 // 3) : (before + len(secret)) * 4 // 3]
        yield own
        yield own.replace("+", "-").replace("/", "_")


def _redact_pieces(text: str, secret: str) -> str:
    """Redact every part of ``text`` that repeats enough of the lower-case ``secret`` to be useful to a thief."""
    size = min(12, max(8, len(secret) // 2))
    lower = text.lower()
    if len(secret) <= size or len(lower) != len(text):
        return text
    pieces = {secret[at : at + size] for at in range(len(secret) - size + 1)}
    kept: list[str] = []
    at = start = 0
    while at + size <= len(lower):
        if lower[at : at + size] not in pieces:
            at += 1
            continue
        kept += (text[start:at], MASK)
        while lower[at : at + size] in pieces:
            at += 1
        at = start = at + size - 1
    return "".join((*kept, text[start:]))
