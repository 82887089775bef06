"""One request's way to a body that its server takes: what is remembered, what is refused, what is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from provider_core.errors import ServerError
from provider_core.request._body import build_body
from provider_core.request._workarounds import CHOICE, FORMAT, NOT_TOLD, STREAM, SWAPS, repaired
from provider_core.types import FieldDropped

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from provider_core.errors import ProviderError
    from provider_core.request._cache import UnsupportedFieldCache
    from provider_core.request._workarounds import Workaround
    from provider_core.types import Json, Notice, Provider, Request

__all__ = ["RequestAdapter"]


class RequestAdapter:
    """``body`` is what to send now.

    After a refusal ask ``refused`` whether to send again; once the server has begun to answer, call
    ``accepted``, and when nothing is sent any more, ``given_up``. What the user set is dropped as well, and
    ``notify`` is told, each time anew. What nobody asked for is told of only when it is refused, and a swap
    that is remembered is not worth a word.

    Each field is repaired once, as many as there are. A repair is told and learnt when its outcome is known:
    it has helped where the server answers, or next complains of something else about the body.
    """

    def __init__(
        self,
        provider: Provider,
        request: Request,
        *,
        memory: UnsupportedFieldCache | None = None,
        notify: Callable[[Notice], None] | None = None,
    ) -> None:
        self._provider = provider
        self._request = request
        self._memory = memory
        self._notify = notify
        self._repairs = memory.known(provider, request.model) if memory else ()
        self._made: tuple[Workaround, ...] = ()
        self._open: tuple[Workaround, str, dict[str, Json]] | None = None
        """The repair whose outcome is not known yet, what the server said, and the body that it said it of."""
        self.body: dict[str, Json]
        self.body, effective = repaired(provider, request, self._repairs)
        for repair in effective:
            if repair.swapped_for is None and self._asked(repair.field):
                self._tell(repair, remembered=True)
        left_out = (
            request.tools and request.tool_choice not in (None, "auto", "none") and CHOICE not in self.body
        )
        if left_out and notify and not any(repair.field == CHOICE for repair in effective):
            notify(FieldDropped(field=CHOICE, asked=CHOICE))

    def refused(self, error: ProviderError) -> bool:
        """Whether the error names what it refuses, and ``body`` is now without it."""
        from provider_core.request._refusals import may_refuse

        if may_refuse(error) and not isinstance(error, ServerError):
            self._conclude(helped=self._speaks_of_something_else(error))
        for repair in self._ways(error, self.body, self._made):
            repairs = (*(known for known in self._repairs if known.field != repair.field), repair)
            body, _ = repaired(self._provider, self._request, repairs)
            if body != self.body:  # else a raw field holds what is refused, and raw fields win
                break
        else:
            return False
        self._conclude(helped=True)
        self._open = (repair, error.words, self.body)
        self.body, self._repairs, self._made = body, repairs, (*self._made, repair)
        return True

    def accepted(self) -> None:
        """Keep what was refused last: it was the trouble."""
        self._conclude(helped=True)

    def given_up(self) -> None:
        """Tell of what was refused last, and do not keep it: nobody knows whether it was the trouble."""
        self._conclude(helped=False)

    def _ways(
        self, error: ProviderError, body: dict[str, Json], made: Collection[Workaround]
    ) -> Sequence[Workaround]:
        """What may be changed about ``body`` so that this error does not come again, the best first."""
        # Many patterns, for the rare case.
        from provider_core.request._refusals import refused_choice, refused_field, refused_format

        tried = {(repair.field, repair.swapped_for) for repair in made}
        tried.add((FORMAT, self._provider.quirks.json_schema))
        weaker: list[Workaround] = []
        if self._request.schema is not None and FORMAT not in self._request.params:
            weaker = refused_format(error, body)
        if not weaker and CHOICE not in self._request.params:
            weaker = refused_choice(error, body)
        if weaker:
            return [repair for repair in weaker if (repair.field, repair.swapped_for) not in tried]
        repair = refused_field(error, body, before={each.field for each in made})
        return [repair] if repair is not None else []

    def _speaks_of_something_else(self, error: ProviderError) -> bool:
        """Whether the server looked at the body again, and no longer minds what was repaired last."""
        if self._open is None:
            return False
        repair, words, body = self._open
        if error.words == words:
            return False
        again = self._ways(error, body, [made for made in self._made if made != repair])
        return not again or again[0].field != repair.field

    def _conclude(self, *, helped: bool) -> None:
        if self._open is None:
            return
        repair, words, _ = self._open
        self._open = None
        lasting = False
        if helped and self._memory is not None:
            lasting = self._memory.learn(self._provider, self._request.model, (repair,))
        self._tell(repair, words=words, lasting=lasting)

    def _tell(
        self, repair: Workaround, *, words: str = "", remembered: bool = False, lasting: bool = True
    ) -> None:
        if self._notify:
            self._notify(
                FieldDropped(
                    field=repair.field,
                    swapped_for=repair.swapped_for,
                    value=repair.value,
                    beside=repair.beside,
                    words=words,
                    asked=self._asked(repair.field),
                    remembered=remembered,
                    lasting=lasting,
                )
            )

    def _asked(self, field: str) -> str:
        """The field of the request by which the user asked for this field of the body."""
        request = self._request
        if field in NOT_TOLD:
            return ""
        names = {field, SWAPS.get(field, field)}
        if not names.isdisjoint(request.params):
            return "params"
        if request.max_tokens is not None and "max_tokens" in names:
            return "max_tokens"
        if request.schema is not None and field == FORMAT:
            return "schema"
        if (
            field in ("temperature", "tool_choice", "reasoning_effort")
            and getattr(request, field) is not None
        ):
            return field
        if field == STREAM:
            return ""
        if request.reasoning_effort is not None:
            without = build_body(self._provider, replace(request, reasoning_effort=None))
            return "" if field in without else "reasoning_effort"
        return ""
