"""Reads from an error which field of the body the server refuses; nothing is sent and nothing kept here.

A field is refused when the server will not have it, whatever its value. A value that is too large, or that is
no level of the model's, is no refusal: dropping it would hide the mistake, so that the error is shown.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from provider_core.errors import BadRequestError, ContentPolicyError, ContextOverflowError, ServerError
from provider_core.repair._phrases import (
    ALTERNATE,
    BOTH,
    CODES,
    COMPANY,
    FORMAT,
    FORMAT_ONCE,
    NO_SYSTEM,
    STRONG,
    TOOLS_FIRST,
    VALUE,
    WEAK,
    one_of,
)
from provider_core.repair._repairs import CALLS, ROLES, SWAPS, SYSTEM, Repair, weaker_formats

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from provider_core.errors import ProviderError
    from provider_core.types import Json

__all__ = ["refused_field", "refused_format"]

_NEEDED: Final = frozenset({"model", "messages", "stream", "tools"})
"""Without these it would be another request."""

_THINKING: Final = (
    "reasoning_effort", "reasoning", "thinking", "enable_thinking", "chat_template_kwargs", "chat_template_args",
)  # fmt: skip
"""What a server means that has a model without thoughts, the likeliest first."""


def refused_field(
    error: ProviderError, body: Mapping[str, Json], *, before: Collection[str] = ()
) -> Repair | None:
    """What to change about ``body`` so that this error does not come again; None where that is not said.

    Only a 400 or 422 that names a field of ``body`` counts, besides what chat templates say of roles, which
    some servers wrap in a 500. ``before`` are the fields that were repaired already: none is twice.
    """
    if isinstance(error, ContextOverflowError | ContentPolicyError):
        return None
    words = _flat(error.words)
    if isinstance(error, BadRequestError | ServerError) and error.status in (400, 422, 500):
        for repair in _roles(words, body):
            if repair.field not in before:
                return repair
    if not isinstance(error, BadRequestError) or error.status not in (400, 422):
        return None
    found = _named(error, words, [name for name in body if name not in _NEEDED and name not in before])
    if found is None:
        return None
    field, lasting = found
    other = SWAPS.get(field)
    swap = other if other is not None and other not in body and other not in before else None
    return Repair(field=field, swapped_for=swap, lasting=lasting)


def refused_format(error: ProviderError, body: Mapping[str, Json]) -> list[Repair]:
    """What may be tried where the error is about ``response_format`` in ``body``, the strongest first.

    The schema that a tool is described by is another matter.
    """
    if not isinstance(error, BadRequestError) or isinstance(error, ContextOverflowError | ContentPolicyError):
        return []
    blamed = re.split(r"[.\[]", error.param or "", maxsplit=1)[0]
    if error.status not in (400, 422) or "response_format" not in body or blamed in _NEEDED - {"stream"}:
        return []
    words = _flat(error.words)
    named = FORMAT.search(words)
    if named is None and blamed != "response_format":
        return []
    if (
        named is not None
        and "response" not in named[0].lower()
        and re.search(r"\btools?\b", words, re.IGNORECASE)
    ):
        return []
    streaming = re.search(r"\bstream", words, re.IGNORECASE) is not None
    return weaker_formats(body, streaming=streaming, lasting=FORMAT_ONCE.search(words) is None)


def _roles(words: str, body: Mapping[str, Json]) -> list[Repair]:
    messages = body.get("messages")
    roles = [m.get("role") for m in messages if isinstance(m, dict)] if isinstance(messages, list) else []
    system = not {"system", "developer"}.isdisjoint(roles)
    if ALTERNATE.search(words):
        # A template without a system role says the same of a system message as of two users in a row.
        neighbours = any(one == two != "tool" for one, two in pairwise(roles))
        return [ROLES] * neighbours + [SYSTEM] * system
    if "tool" in roles and "tools" not in body and TOOLS_FIRST.search(words):
        return [CALLS]
    return [SYSTEM] if system and NO_SYSTEM.search(words) else []


def _named(error: ProviderError, words: str, sent: Sequence[str]) -> tuple[str, bool] | None:
    """The field that is refused, and whether it is on its own account."""
    blamed = re.split(r"[.\[]", error.param or "", maxsplit=1)[0]
    if blamed in _NEEDED or not sent:
        return None
    if blamed in sent and not _mentions(words, [blamed]):
        words = f"{blamed}: {words}"
    if error.code in CODES:
        hits = [blamed] if blamed in sent else _mentions(words, sent)
        if len(hits) == 1:
            return hits[0], _lasts(words, 0)
    if found := _find(STRONG, words, sent):
        return found
    if VALUE.search(words):
        return None
    if BOTH.search(words) and (hits := _mentions(words, sent)):
        return hits[-1], False
    return _find(WEAK, words, sent) or _meant(words, sent)


def _meant(words: str, sent: Sequence[str]) -> tuple[str, bool] | None:
    """A field that is called by another name: by what it asks for, or by what it is handed to."""
    if re.search(r"\bdoes(?:\s+not|n't)\s+support\s+(?:thinking|reasoning)\b", words, re.IGNORECASE):
        return next(((name, True) for name in _THINKING if name in sent), None)
    if "chat_template_kwargs" in sent and _find(WEAK, words, ["chat_template"]):
        return "chat_template_kwargs", True
    return None


def _find(patterns: Sequence[str], words: str, names: Sequence[str]) -> tuple[str, bool] | None:
    name = one_of(names)
    for pattern in patterns:
        if hit := re.search(pattern.replace("NAME", name, 1), words, re.IGNORECASE):
            return _sent(hit, names), _lasts(words, hit.start("name"))
    return None


def _mentions(words: str, names: Sequence[str]) -> list[str]:
    hits = re.finditer(one_of(names), words, re.IGNORECASE)
    return list(dict.fromkeys(_sent(hit, names) for hit in hits))


def _sent(hit: re.Match[str], names: Sequence[str]) -> str:
    """The name as it was sent, of one as the server spells it."""
    written = hit["name"].replace("_", "").lower()
    return next(name for name in names if name.replace("_", "").lower() == written)


def _lasts(words: str, at: int) -> bool:
    """Whether the sentence at this place speaks of nothing that the field was sent with."""
    start = max((end.end() for end in re.finditer(r"[.;\n]\s", words[:at])), default=0)
    end = re.compile(r"[.;\n](?:\s|$)").search(words, at)
    return COMPANY.search(words[start : end.start() if end else len(words)]) is None


def _flat(words: str) -> str:
    """The words with each place as one path: ``('body', 'stop')`` and ``body -> stop`` are ``body.stop``."""
    words = re.sub(
        r"[(\[]\s*['\"]body['\"]\s*,([^()\[\]]*)[)\]]",
        lambda place: ".".join(
            ["body", *(part.strip(" '\"") for part in place[1].split(",") if part.strip())]
        ),
        words,
    )
    return re.sub(r"\n\s+", ": ", re.sub(r"(?<=\w)\s*->\s*(?=\w)", ".", words))
