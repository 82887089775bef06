"""The body and headers of a request: as the provider requires, and without the fields that its server refuses."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Final

from provider_core import files
from provider_core.errors import FileError, ServerError
from provider_core.request._body import (
    CHOICE,
    FORMAT,
    MESSAGE_FIELDS,
    STREAM,
    SWAPS,
    Workaround,
    build_adapted_body,
    build_body,
    build_headers,
    can_prefill,
    find_web_search,
    is_secret_name,
    is_valid,
    known_secrets,
    sets_token_limit,
)
from provider_core.request._messages import wire_part
from provider_core.structs import replace
from provider_core.types import FieldDropped

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from pathlib import Path

    from provider_core.errors import ProviderError
    from provider_core.types import Json, Notice, Provider, Request

__all__ = [
    "RequestAdapter",
    "UnsupportedFieldCache",
    "Workaround",
    "build_body",
    "build_headers",
    "can_prefill",
    "find_web_search",
    "is_secret_name",
    "known_secrets",
    "sets_token_limit",
    "wire_part",
]


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
        self._notify = notify
        # Without the fields of a web search, the answer would be made up instead of refused.
        self._fixed = {*find_web_search(provider, request.model).fields} if request.web else set()
        if request.prefill and provider.quirks.prefill is not None:  # or the beginning would be answered
            self._fixed |= {*provider.quirks.prefill.fields}
        known = cache.known(provider, request.model) if cache else ()
        self._workarounds = tuple(each for each in known if each.field not in self._fixed)
        self._tried: tuple[Workaround, ...] = ()
        self._open: tuple[Workaround, str, dict[str, Json]] | None = None
        """The workaround whose outcome is unknown, the server's words, and the body that they were about."""
        self.body: dict[str, Json]
        self.body, effective = build_adapted_body(provider, request, self._workarounds)
        for each in effective:
            if each.swapped_for is None and self._user_field(each.field):
                self._report(each, remembered=True)
        demanded = request.tools and request.tool_choice not in (None, "auto", "none")
        omitted = CHOICE not in self.body and not any(each.field == CHOICE for each in effective)
        if demanded and omitted and notify is not None:
            notify(FieldDropped(field=CHOICE, asked=CHOICE))

    def refused(self, error: ProviderError) -> bool:
        """Whether the error names what it refuses, and ``body`` is now without it."""
        from provider_core.request._refusals import may_refuse

        if may_refuse(error) and not isinstance(error, ServerError):
            self._conclude(helped=self._is_about_something_else(error))
        for workaround in self._candidates(error, self.body, self._tried):
            if workaround.field in self._fixed:
                continue
            workarounds = (
                *(each for each in self._workarounds if each.field != workaround.field),
                workaround,
            )
            body, _ = build_adapted_body(self._provider, self._request, workarounds)
            if body != self.body:  # raw parameters override workarounds
                break
        else:
            return False
        self._conclude(helped=True)
        self._open = (workaround, error.words, self.body)
        self.body, self._workarounds, self._tried = body, workarounds, (*self._tried, workaround)
        return True

    def accepted(self) -> None:
        """Remember the last workaround."""
        self._conclude(helped=True)

    def given_up(self) -> None:
        """Report the last workaround, but do not remember it: it may not have been the cause."""
        self._conclude(helped=False)

    def _candidates(
        self, error: ProviderError, body: dict[str, Json], tried: Collection[Workaround]
    ) -> Sequence[Workaround]:
        """Workarounds for this error about ``body``, the best first."""
        # A rare case, and its many patterns take time to compile.
        from provider_core.request._refusals import refused_choice, refused_field, refused_format

        before = {(each.field, each.swapped_for) for each in tried}
        before.add((FORMAT, self._provider.quirks.json_schema))
        weaker: list[Workaround] = []
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
        if self._open is None:
            return False
        workaround, words, body = self._open
        if error.words == words:
            return False
        again = self._candidates(error, body, [each for each in self._tried if each != workaround])
        return not again or again[0].field != workaround.field

    def _conclude(self, *, helped: bool) -> None:
        if self._open is None:
            return
        workaround, words, _ = self._open
        self._open = None
        lasting = False
        if helped and self._cache is not None:
            lasting = self._cache.learn(self._provider, self._request.model, (workaround,))
        self._report(workaround, words=words, lasting=lasting)

    def _report(
        self, workaround: Workaround, *, words: str = "", remembered: bool = False, lasting: bool = True
    ) -> None:
        if self._notify is not None:
            self._notify(
                FieldDropped(
                    field=workaround.field,
                    swapped_for=workaround.swapped_for,
                    value=workaround.value,
                    beside=workaround.beside,
                    words=words,
                    asked=self._user_field(workaround.field),
                    remembered=remembered,
                    lasting=lasting,
                )
            )

    def _user_field(self, field: str) -> str:
        """The field of the request by which the user set this field of the body; "" if telex set it."""
        request = self._request
        names = {field, SWAPS.get(field, field)}
        if field in MESSAGE_FIELDS:
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

    def known(self, provider: Provider, model: str) -> tuple[Workaround, ...]:
        """The workarounds that this model needs, in the order in which they apply."""
        if provider.embedded:
            return ()
        key = _key(provider, model)
        found = (
            Workaround(field=field, swapped_for=swap, value=value, beside=beside)
            for name, field, swap, value, beside, _ in self._read()
            if name == key
        )
        return tuple(each for each in found if is_valid(each))

    def learn(self, provider: Provider, model: str, workarounds: Iterable[Workaround]) -> bool:
        """Store the lasting ones; return whether any was stored. The embedded model's address is new each time."""
        lasting = {each.field: each for each in workarounds if each.lasting}
        if provider.embedded or not lasting:
            return False
        key, now = _key(provider, model), int(self._now())
        # The newest comes last: a later swap may undo an earlier one.
        rows = [row for row in self._read() if row[0] != key or row[1] not in lasting]
        rows += [(key, w.field, w.swapped_for, w.value, w.beside, now) for w in lasting.values()]
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
                case _:
                    pass
        return rows


def _key(provider: Provider, model: str) -> str:
    # A checksum of the address: it may contain things that do not belong into a cache.
    import zlib

    return f"{zlib.crc32(provider.base_url.encode()):08x} {provider.name}/{model}"
