"""One request's way to a body that its server takes: what is remembered, what is refused, what is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from provider_core import quirks
from provider_core.repair._repairs import ROLES, SWAPS, SYSTEM, repaired
from provider_core.types import FieldDropped

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider_core.errors import ProviderError
    from provider_core.repair._memory import Memory
    from provider_core.repair._repairs import Repair
    from provider_core.types import Notice, Provider, Request

__all__ = ["Negotiation"]

_MOST: Final = 4
"""Repairs of one request; a server that refuses more speaks of something else."""


class Negotiation:
    """``body`` is what to send now.

    After a refusal ask ``refused`` whether to send again; once the server has begun to answer, call
    ``accepted``. What the user set is dropped as well, and ``notify`` is told, each time anew. What nobody
    asked for is told of only when it is refused, and a swap that is remembered is not worth a word.
    """

    def __init__(
        self,
        provider: Provider,
        request: Request,
        *,
        memory: Memory | None = None,
        notify: Callable[[Notice], None] | None = None,
    ) -> None:
        self._provider = provider
        self._request = request
        self._memory = memory
        self._notify = notify
        self._repairs = memory.known(provider, request.model) if memory else ()
        self._made: tuple[Repair, ...] = ()
        self.body, effective = repaired(provider, request, self._repairs)
        for repair in effective:
            if repair.swapped_for is None and self._asked(repair.field):
                self._tell(repair, remembered=True)

    def refused(self, error: ProviderError) -> bool:
        """Whether the error names what it refuses, and ``body`` is now without it."""
        if len(self._made) == _MOST:
            return False
        from provider_core.repair._refusals import refused_field  # many patterns, for the rare case

        repair = refused_field(error, self.body, before={made.field for made in self._made})
        if repair is None:
            return False
        repairs = (*(known for known in self._repairs if known.field != repair.field), repair)
        body, _ = repaired(self._provider, self._request, repairs)
        if body == self.body:  # a raw field holds what is refused, and raw fields win
            return False
        self.body, self._repairs, self._made = body, repairs, (*self._made, repair)
        self._tell(repair, words=error.words)
        return True

    def accepted(self) -> None:
        """Keep what was refused on the way."""
        if self._memory and self._made:
            self._memory.learn(self._provider, self._request.model, self._made)

    def _tell(self, repair: Repair, *, words: str = "", remembered: bool = False) -> None:
        if self._notify:
            self._notify(
                FieldDropped(
                    field=repair.field,
                    swapped_for=repair.swapped_for,
                    words=words,
                    asked="" if repair in (SYSTEM, ROLES) else self._asked(repair.field),
                    remembered=remembered,
                    lasting=repair.lasting and self._memory is not None and not self._provider.embedded,
                )
            )

    def _asked(self, field: str) -> str:
        """The field of the request by which the user asked for this field of the body."""
        request = self._request
        names = {field, SWAPS.get(field, field)}
        if not names.isdisjoint(request.params):
            return "params"
        if request.max_tokens is not None and "max_tokens" in names:
            return "max_tokens"
        if field in ("temperature", "tool_choice") and getattr(request, field) is not None:
            return field
        if request.reasoning_effort is not None:
            without = quirks.body(self._provider, replace(request, reasoning_effort=None))
            return "" if field in without else "reasoning_effort"
        return ""
