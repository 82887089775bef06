"""The body and headers of a request: as the provider requires, and without the fields that its server refuses.

A change for a server is a ``FieldDropped``, here called a workaround: a field of the body that is omitted, or
sent under the name ``swapped_for``, or sent with ``value``; with ``beside``, only in a body that has the field of this
name too. ``lasting`` is whether the server refuses the field in any request; only those are remembered.
"""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any, Final

from provider_core import files
from provider_core.errors import FileError, ServerError
from provider_core.request._body import (
    CHOICE,
    FORMAT,
    FORMATS,
    REASONING,
    REQUIRED,
    STREAM,
    SWAPS,
    UNSTREAMED,
    build_body,
    build_headers,
    can_prefill,
    find_web_search,
    is_secret_name,
    known_secrets,
    sets_token_limit,
    wire_part,
)
from provider_core.structs import replace
from provider_core.types import FieldDropped

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from provider_core.errors import ProviderError
    from provider_core.types import Json, Notice, Provider, Quirks, Request

__all__ = [
    "RequestAdapter",
    "UnsupportedFieldCache",
    "build_body",
    "build_headers",
    "can_prefill",
    "find_web_search",
    "is_secret_name",
    "known_secrets",
    "sets_token_limit",
    "wire_part",
]

_CHOICES: Final[Mapping[str, Mapping[str, Any]]] = {
    "text": {"tool_choice_named": "word"},
    "required": {"tool_choice_named": "word", "tool_choice_required": "required"},
    "any": {"tool_choice_named": "word", "tool_choice_required": "any"},
}
"""The words that ``tool_choice`` is swapped for before it is omitted, and the quirks that they stand for."""

_MESSAGE_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "system": ("user", "system"),
    "roles": ("one",),
    "calls": ("text",),
    "tool_images": ("user",),
    REASONING: ("reasoning_content", "never"),
}
"""Workarounds of messages, with what they are swapped for. The body has no such fields, so users cannot set them."""

_SWAPPED_FOR: Final[Mapping[str, tuple[str | None, ...]]] = {
    **_MESSAGE_FIELDS,
    STREAM: ("unstreamed", "streamed"),
    CHOICE: (*_CHOICES, None),
    FORMAT: (*FORMATS, UNSTREAMED, None),
    **{one: (other, None) for one, other in SWAPS.items()},
}
"""The valid ``swapped_for`` of these fields; others have no other name."""


class RequestAdapter:
    """``body`` is what to send next.

    After a refusal, call ``refused`` to find out whether to send again; ``accepted`` once the server has begun to
    answer; and ``given_up`` if nothing more is sent.

    ``notify`` is called for each field that the server refuses, and in later requests again if the user set the field
    and it is omitted. Each field is changed once. A workaround is reported and remembered when its outcome is known: it
    has helped if the server answers, or next refuses something else about the body.
    """

    def __init__(
        self,
        provider: Provider,
        request: Request,
        *,
        cache: UnsupportedFieldCache | None = None,
        notify: Callable[[Notice], None] | None = None,
    ) -> None:
        self._provider = provider
        self._request = request
        self._cache = cache
        self._notify = notify if notify is not None else lambda _: None
        # Without the fields of a web search, the answer would be made up instead of refused.
        self._fixed = {*find_web_search(provider, request.model).fields} if request.web else set()
        if request.prefill and provider.quirks.prefill is not None:  # or the beginning would be answered
            self._fixed |= {*provider.quirks.prefill.fields}
        known = cache.known(provider, request.model) if cache else ()
        self._workarounds = tuple(each for each in known if each.field not in self._fixed)
        self._tried: tuple[FieldDropped, ...] = ()
        self._open: tuple[FieldDropped, dict[str, Json]] | None = None
        """The workaround whose outcome is unknown, with the server's words, and the body that they were about."""
        self.body: dict[str, Json]
        self.body, effective = _adapted_body(provider, request, self._workarounds)
        for each in effective:
            if each.swapped_for is None and (asked := self._user_field(each.field)):
                self._notify(replace(each, asked=asked, remembered=True))
        demanded = request.tools and request.tool_choice not in (None, "auto", "none")
        if demanded and CHOICE not in self.body and not any(each.field == CHOICE for each in effective):
            self._notify(FieldDropped(field=CHOICE, asked=CHOICE))

    def refused(self, error: ProviderError) -> bool:
        """Whether the error names what it refuses, and ``body`` is now without it."""
        from provider_core.request._refusals import may_refuse

        if may_refuse(error) and not isinstance(error, ServerError):
            self._conclude(helped=self._is_about_something_else(error))
        for workaround in self._candidates(error, self.body, self._tried):
            if workaround.field in self._fixed:
                continue
            others = (each for each in self._workarounds if each.field != workaround.field)
            workarounds = (*others, workaround)
            body, _ = _adapted_body(self._provider, self._request, workarounds)
            if body != self.body:  # raw parameters override workarounds
                break
        else:
            return False
        self._conclude(helped=True)
        self._open = (replace(workaround, words=error.words), self.body)
        self.body, self._workarounds, self._tried = body, workarounds, (*self._tried, workaround)
        return True

    def accepted(self) -> None:
        """Remember the last workaround."""
        self._conclude(helped=True)

    def given_up(self) -> None:
        """Report the last workaround, but do not remember it: it may not have been the cause."""
        self._conclude(helped=False)

    def _candidates(
        self, error: ProviderError, body: dict[str, Json], tried: Collection[FieldDropped]
    ) -> Sequence[FieldDropped]:
        """Workarounds for this error about ``body``, the best first."""
        # A rare case, and its many patterns take time to compile.
        from provider_core.request._refusals import refused_choice, refused_field, refused_format

        before = {(each.field, each.swapped_for) for each in tried}
        before.add((FORMAT, self._provider.quirks.json_schema))
        weaker: list[FieldDropped] = []
        if self._request.schema is not None and FORMAT not in self._request.params:
            weaker = refused_format(error, body)
        if not weaker and CHOICE not in self._request.params:
            weaker = refused_choice(error, body)
        if weaker:
            return [each for each in weaker if (each.field, each.swapped_for) not in before]
        workaround = refused_field(error, body, before={each.field for each in tried})
        return [workaround] if workaround is not None else []

    def _is_about_something_else(self, error: ProviderError) -> bool:
        """Whether the server looked at the body again and no longer refuses the field changed last."""
        if self._open is None or error.words == self._open[0].words:
            return False
        workaround, body = self._open
        again = self._candidates(error, body, self._tried[:-1])
        return not again or again[0].field != workaround.field

    def _conclude(self, *, helped: bool) -> None:
        if self._open is None:
            return
        workaround, _ = self._open
        self._open = None
        lasting = False
        if helped and self._cache is not None:
            lasting = self._cache.learn(self._provider, self._request.model, workaround)
        self._notify(replace(workaround, asked=self._user_field(workaround.field), lasting=lasting))

    def _user_field(self, field: str) -> str:
        """The field of the request by which the user set this field of the body; "" if telex set it."""
        request = self._request
        names = {field, SWAPS.get(field, field)}
        if field in _MESSAGE_FIELDS:
            return ""
        if not names.isdisjoint(request.params):
            return "params"
        if request.max_tokens is not None and "max_tokens" in names:
            return "max_tokens"
        if request.schema is not None and field == FORMAT:
            return "schema"
        if field in ("temperature", CHOICE, "reasoning_effort") and getattr(request, field) is not None:
            return field
        if field == STREAM or request.reasoning_effort is None:
            return ""
        without = build_body(self._provider, replace(request, reasoning_effort=None))
        return "" if field in without else "reasoning_effort"


def _adapted_body(
    provider: Provider, request: Request, workarounds: Sequence[FieldDropped]
) -> tuple[dict[str, Json], list[FieldDropped]]:
    """The request's body with these workarounds, in their order, and those that changed a field of it."""
    quirks = provider.quirks
    for each in workarounds:
        quirks, request = _adapted(quirks, request, each)
    body = build_body(provider if quirks is provider.quirks else replace(provider, quirks=quirks), request)
    effective = []
    for each in workarounds:
        field, other = each.field, each.swapped_for
        if field in _MESSAGE_FIELDS or field == STREAM or (field in (FORMAT, CHOICE) and other is not None):
            continue
        if each.value is not None:
            if (each.beside and each.beside not in body) or body.get(field) == each.value:
                continue
            body[field] = each.value
        elif field in body:
            value = body.pop(field)
            if other is not None:
                body.setdefault(other, value)
        else:
            continue
        effective.append(each)
    return body, effective


def _adapted(quirks: Quirks, request: Request, workaround: FieldDropped) -> tuple[Quirks, Request]:
    """The quirks and the request changed by a workaround of more than a field."""
    word: Any = workaround.swapped_for
    match workaround.field:
        case "system":
            return replace(quirks, system_role=word), request
        case "roles":
            return replace(quirks, alternate_roles=True), request
        case "calls":
            return replace(quirks, earlier_calls="text"), request
        case "tool_images":
            return replace(quirks, tool_images="user"), request
        case "reasoning_send_back":
            return replace(quirks, reasoning_send_back=word), request
        case "stream":
            return replace(quirks, always_stream=False), replace(request, stream=word == "streamed")
        case "tool_choice" if word is not None:
            return replace(quirks, **_CHOICES[word]), request
        case "response_format" if request.schema is not None and word == UNSTREAMED:
            return quirks, replace(request, stream=False)
        case "response_format" if request.schema is not None:
            now: Any = quirks.json_schema
            weaker = max(now, word or "none", key=FORMATS.index) if word != FORMATS[0] else word
            return replace(quirks, json_schema=weaker), request
    return quirks, request


_VERSION: Final = 3
_MAX_AGE: Final = 30 * 24 * 3600
"""Seconds after which a refusal is forgotten, so that telex notices when a server supports a field."""


class UnsupportedFieldCache:
    """The workarounds for each model of each provider at its address, in one file.

    It only saves requests: a file that cannot be read or written is an empty cache, and if two processes write at once,
    the last one wins.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now

    def known(self, provider: Provider, model: str) -> tuple[FieldDropped, ...]:
        """The workarounds that this model needs, in the order in which they apply."""
        if provider.embedded:
            return ()
        key = _key(provider, model)
        found = (
            FieldDropped(field=field, swapped_for=swap, value=value, beside=beside, lasting=True)
            for name, field, swap, value, beside, _ in self._read()
            if name == key
        )
        return tuple(each for each in found if _is_valid(each))

    def learn(self, provider: Provider, model: str, workaround: FieldDropped) -> bool:
        """Store it if it is lasting; return whether it was stored. The embedded model's address is new each time."""
        if provider.embedded or not workaround.lasting:
            return False
        key, w = _key(provider, model), workaround
        # The newest comes last: a later swap may undo an earlier one.
        rows = [row for row in self._read() if row[:2] != (key, w.field)]
        rows.append((key, w.field, w.swapped_for, w.value, w.beside, int(self._now())))
        content = json.dumps({"version": _VERSION, "rows": rows}, indent=1).encode()
        with contextlib.suppress(FileError, OSError):
            files.private_folder(self._path.parent)
            files.replace(self._path, content)
            return True
        return False

    def _read(self) -> list[tuple[str, str, str | None, Json, str, int]]:
        """The valid rows: key, field, ``swapped_for``, ``value``, ``beside``, and seconds since the epoch."""
        try:
            content = json.loads(files.read_bytes(self._path))
        except (OSError, ValueError, RecursionError):
            return []
        if not isinstance(content, dict) or content.get("version") != _VERSION:
            return []
        now = int(self._now())
        rows: list[tuple[str, str, str | None, Json, str, int]] = []
        for row in content["rows"] if isinstance(content.get("rows"), list) else ():
            match row:
                case [
                    str() as key,
                    str() as field,
                    str() | None as swap,
                    str() | int() | float() | None as value,
                    str() as beside,
                    int() as then,
                ] if abs(then - now) < _MAX_AGE:
                    rows.append((key, field, swap, value, beside, then))
        return rows


def _is_valid(workaround: FieldDropped) -> bool:
    """Whether there is such a workaround: a cache file may contain anything."""
    if workaround.field in REQUIRED and workaround.field != STREAM:
        return False
    return workaround.swapped_for in _SWAPPED_FOR.get(workaround.field, (None,))


def _key(provider: Provider, model: str) -> str:
    # A checksum of the address: it may contain things that do not belong into a cache.
    import zlib

    return f"{zlib.crc32(provider.base_url.encode()):08x} {provider.name}/{model}"
