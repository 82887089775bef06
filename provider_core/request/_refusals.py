"""Reads from an error which field of the body the server refuses; nothing is sent and nothing kept here.

A field is refused when the server will not have it, whatever its value. A value that is too large, or that is
no level of the model's, is no refusal: dropping it would hide the mistake, so that the error is shown.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from provider_core.errors import (
    BadRequestError,
    ContentPolicyError,
    ContextOverflowError,
    ModelNotFoundError,
    NotFoundError,
    PermissionDeniedError,
    ServerError,
)
from provider_core.request._phrases import (
    ALTERNATE,
    BOTH,
    CODES,
    COMPANY,
    FORMAT,
    FORMAT_ONCE,
    MESSAGES,
    NO_STREAM,
    NO_SYSTEM,
    ONLY_STREAM,
    REASONING_MISSING,
    REASONING_REFUSED,
    SET,
    STRONG,
    TOOLS_FIRST,
    VALUE,
    WEAK,
    one_of,
)
from provider_core.request._workarounds import (
    CALLS,
    CHOICE,
    IMAGES,
    NEEDED,
    REASONING,
    ROLES,
    STREAM,
    SWAPS,
    SYSTEM,
    Workaround,
    weaker_choices,
    weaker_formats,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from provider_core.errors import ProviderError
    from provider_core.types import Json

__all__ = ["may_refuse", "refused_choice", "refused_field", "refused_format"]

_THINKING: Final = (
    "reasoning_effort", "reasoning", "thinking", "enable_thinking", "chat_template_kwargs", "chat_template_args",
)  # fmt: skip
"""What a server means that has a model without thoughts, the likeliest first."""

_SETTABLE: Final = ("reasoning_effort", "enable_thinking")
"""Fields that a server may name a value for though they were not sent."""

_UNSETTABLE: Final = NEEDED | {"max_tokens", "max_completion_tokens", "response_format"}
"""Fields whose value the user chose, or that are repaired in their own way."""


def may_refuse(error: ProviderError) -> bool:
    """Whether errors of this class may be about a field: a 4xx about the request itself, a 500 or a 501."""
    match error:
        case ContextOverflowError() | ContentPolicyError() | ModelNotFoundError():
            return False
        case BadRequestError() | NotFoundError() | PermissionDeniedError():
            return True
        case ServerError(status=500 | 501):
            return True
        case _:
            return False


def refused_field(
    error: ProviderError, body: Mapping[str, Json], *, before: Collection[str] = ()
) -> Workaround | None:
    """What to change about ``body`` so that this error does not come again; None where that is not said.

    Only an error that names a field of ``body`` counts, or a field and the value that it has to have, besides
    what chat templates say of roles. ``before`` are the fields that were repaired already: none is twice.
    """
    if not may_refuse(error):
        return None
    words = _flat(error.words)
    for repair in (*_roles(words, body), *_reasoning(error, words, body), *_stream(error, words, body)):
        if repair.field not in before:
            return repair
    if (cure := _cure(words, body, before)) is not None:
        return cure
    found = _named(error, words, [name for name in body if name not in NEEDED and name not in before])
    if found is None:
        images = (
            IMAGES.field not in before and _has_tool_images(body) and not isinstance(error, NotFoundError)
        )
        return IMAGES if images and MESSAGES.search(f"{words} {error.param or ''}") else None
    field, lasting = found
    other = SWAPS.get(field)
    swap = other if other is not None and other not in body and other not in before else None
    return Workaround(field=field, swapped_for=swap, lasting=lasting)


def refused_format(error: ProviderError, body: Mapping[str, Json]) -> list[Workaround]:
    """What may be tried where the error is about ``response_format`` in ``body``, the strongest first.

    The schema that a tool is described by is another matter.
    """
    blamed = _blamed(error)
    if not may_refuse(error) or "response_format" not in body or blamed in NEEDED - {"stream"}:
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
    return weaker_formats(body, words, lasting=FORMAT_ONCE.search(words) is None)


def refused_choice(error: ProviderError, body: Mapping[str, Json]) -> list[Workaround]:
    """What may be tried where the error is about ``tool_choice`` in ``body``, the strongest first."""
    if CHOICE not in body or not (may_refuse(error) or isinstance(error, ModelNotFoundError)):
        return []
    words = re.split(r"\bexpected\s+one\s+of\b(?=.*`)", _flat(error.words), maxsplit=1)[0]
    spoken = re.search(one_of([CHOICE]), words, re.IGNORECASE)
    option = re.search(r"\brequires\s+--", words)  # of vLLM's command line
    if option or (spoken is None and _blamed(error) != CHOICE):
        return []
    return weaker_choices(body, words, lasting=_lasts(words, spoken.start() if spoken else 0))


def _blamed(error: ProviderError) -> str:
    """The field of the body that the error names outside its words."""
    return re.split(r"[.\[]", error.param or "", maxsplit=1)[0]


def _cure(words: str, body: Mapping[str, Json], before: Collection[str]) -> Workaround | None:
    """The field that has to have another value, where the words say which one."""
    beside = "tools" if "tools" in body and re.search(r"\btools?\b", words, re.IGNORECASE) else ""
    names = [name for name in dict.fromkeys((*body, *_SETTABLE)) if name not in (*before, *_UNSETTABLE)]
    for pattern in SET:
        if hit := re.search(pattern.replace("NAME", one_of(names), 1), words, re.IGNORECASE):
            said = hit["value"].strip("\"'`")
            value = json.loads(said.lower()) if re.fullmatch(r"(?i:true|false)|\d+(?:\.\d+)?", said) else said
            field = _sent(hit, names)
            lasting = bool(beside) or (_lasts(words, hit.start("name")) and "stream" not in words)
            return Workaround(field=field, value=value, beside=beside, lasting=lasting)
    field = "reasoning_effort"
    if beside and field not in before and re.search(rf"\btools\s+with\s+{field}\b.{{0,40}}\bnot\b", words):
        return Workaround(
            field=field, value="none", beside=beside
        )  # what is left out is a level, at some models
    return None


def _stream(error: ProviderError, words: str, body: Mapping[str, Json]) -> list[Workaround]:
    beside = "tools" if "tools" in body and re.search(r"\btools?\b", words, re.IGNORECASE) else ""
    if not body.get("stream"):
        word = "streamed" if ONLY_STREAM.search(words) else None
    elif FORMAT.search(words):
        word = None  # the format is what is not streamed
    elif NO_STREAM.search(words) or (
        _blamed(error) == STREAM and error.code in (*CODES, "unsupported_value")
    ):
        word = "unstreamed"
    else:
        word = None
    lasting = not beside and (word == "streamed" or _lasts(words.replace("mode", ""), 0))
    return [Workaround(field=STREAM, swapped_for=word, lasting=lasting)] if word else []


def _reasoning(error: ProviderError, words: str, body: Mapping[str, Json]) -> list[Workaround]:
    messages = body.get("messages")
    past = [m for m in messages if isinstance(m, dict)] if isinstance(messages, list) else []
    past = [message for message in past if message.get("role") == "assistant"]
    if any("reasoning_content" not in message for message in past) and REASONING_MISSING.search(words):
        return [Workaround(field=REASONING, swapped_for="reasoning_content")]
    for key in ("reasoning_content", "reasoning_details", "reasoning"):
        told = re.search(rf"[.\"'`]{key}\b", f"{words} {error.param or ''}")
        if told and any(key in message for message in past) and REASONING_REFUSED.search(words):
            return [Workaround(field=REASONING, swapped_for="never")]
    return []


def _roles(words: str, body: Mapping[str, Json]) -> list[Workaround]:
    messages = body.get("messages")
    roles = [m.get("role") for m in messages if isinstance(m, dict)] if isinstance(messages, list) else []
    system = not {"system", "developer"}.isdisjoint(roles)
    if ALTERNATE.search(words):
        # A template without a system role says the same of a system message as of two users in a row.
        neighbours = any(one == two != "tool" for one, two in pairwise(roles))
        return [ROLES] * neighbours + [SYSTEM] * system
    if "tool" in roles and "tools" not in body and TOOLS_FIRST.search(words):
        return [CALLS]
    if system and NO_SYSTEM.search(words):
        return [Workaround(field="system", swapped_for="system") if "developer" in roles else SYSTEM]
    return []


def _has_tool_images(body: Mapping[str, Json]) -> bool:
    messages = body.get("messages")
    return isinstance(messages, list) and any(
        isinstance(message, dict)
        and message.get("role") == "tool"
        and isinstance(message.get("content"), list)
        for message in messages
    )


def _named(error: ProviderError, words: str, sent: Sequence[str]) -> tuple[str, bool] | None:
    """The field that is refused, and whether it is on its own account."""
    blamed = _blamed(error)
    if blamed in NEEDED or not sent:
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
    written = re.sub("[_ ]", "", hit["name"]).lower()
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
