"""The ledger: one row for each request, with its tokens and its cost, and never with any text.

Costs are in US dollars, as ``Decimal``; times are in seconds since 1970. A cost of None is unknown, which is not 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from provider_core.errors import NetworkError, ProviderError
from provider_core.history import _records
from provider_core.structs import Struct, checked, field
from provider_core.types import Usage

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable
    from decimal import Decimal

    from provider_core.events import AnswerEnded
    from provider_core.history._database import Database

Grouping: TypeAlias = Literal["model", "provider", "day", "template", "command"]

_UNIT = 10**12
"""Parts of a US dollar in the column of costs."""
_MOST_TOKENS, _MOST_COST = 10**15, 10**6 * _UNIT
"""No number of a server may exceed the integers of SQLite."""

_KEYS: dict[Grouping, str] = {
    "model": "provider || '/' || model",
    "provider": "provider",
    "day": "date(at, 'unixepoch', 'localtime')",
    "template": "ifnull(template, '')",
    "command": "command",
}
_COLUMNS = (
    "at", "provider", "preset", "model", "command", "template", "conversation", "verdict",
    "input", "cached", "cache_write", "output", "reasoning", "cost", "cost_source",
)  # fmt: skip
_TOKENS = ("input", "cached", "cache_write", "output", "reasoning")


class LedgerEntry(Struct):
    """A request. ``command`` is what sent it: "chat", "tool loop", "schema retry", "batch", "batch api", "test".

    The numbers of tokens are those of ``Usage``, and ``verdict`` is the value of a ``Verdict``. ``id`` is the row's, 0
    before it was added.
    """

    at: float
    provider: str
    model: str
    command: str
    verdict: str
    preset: str | None = None
    """The preset of the provider, which knows its prices."""
    template: str | None = None
    conversation: str | None = None
    """The id of its conversation, if that is saved."""
    input: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    output: int | None = None
    reasoning: int | None = None
    cost: Decimal | None = None
    cost_source: str | None = None
    """A ``CostSource``; "failed" for a request that failed before anything of an answer arrived, which costs 0; None if
    no price was known yet, and "unknown" if the price did not cover the tokens."""
    id: int = field(default=0, compare=False)

    @property
    def usage(self) -> Usage:
        """The numbers of tokens."""
        return Usage(**{name: getattr(self, name) for name in _TOKENS})


def entry_of(
    event: AnswerEnded,
    at: float,
    command: str,
    *,
    template: str | None = None,
    conversation: str | None = None,
) -> LedgerEntry | None:
    """The entry of a request whose answer has ended; None if the request was not sent.

    ``command`` is that of the turn's first request; later ones have their own, "tool loop" or "schema retry".
    """
    answer = event.answer
    provider, usage, cost = answer.target.provider, answer.usage or Usage(), answer.cost
    if answer.is_free and not isinstance(answer.error, ProviderError | NetworkError):
        return None
    amount, source = None, None
    if answer.is_free:
        from decimal import Decimal

        amount, source = Decimal(0), "failed"
    if cost is not None:
        amount, source = cost.amount, cost.source
    return LedgerEntry(
        at=at,
        provider=provider.name,
        preset=provider.preset,
        model=answer.target.model,
        command=event.cause or command,
        template=template,
        conversation=conversation,
        verdict=answer.verdict.value,
        **{name: getattr(usage, name) for name in _TOKENS},
        cost=amount,
        cost_source=source,
    )


class UsageTotal(Struct):
    """The sums of some entries. ``key`` is what they have in common: a model, a day such as "2026-05-31", and so on.

    Numbers that no server sent count as 0. ``cost`` is the sum of the known costs, and ``unpriced`` counts the requests
    whose cost is unknown.
    """

    key: str
    requests: int
    input: int
    cached: int
    cache_write: int
    output: int
    reasoning: int
    cost: Decimal
    unpriced: int


class Ledger:
    """The requests in the history's file: ``History.ledger``. Every method may raise ``HistoryError``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, entries: Iterable[LedgerEntry]) -> None:
        """Add the entries in one transaction; none is added if that fails."""
        names, marks = ", ".join(_COLUMNS), ", ".join("?" * len(_COLUMNS))
        with self._database.writing() as connection:
            connection.executemany(f"INSERT INTO requests ({names}) VALUES ({marks})", map(_values, entries))

    def totals(
        self,
        by: Grouping,
        *,
        since: float = 0.0,
        provider: str | None = None,
        model: str | None = None,
    ) -> tuple[UsageTotal, ...]:
        """The sums for each ``by``, the most expensive first; days in order, which begin at midnight, local time.

        ``model`` is a model's id or ``provider/model``. Names are compared without regard to case.
        """
        order = "1" if by == "day" else "8 DESC, 9 DESC, 3 + 6 DESC, 1"
        return self._sums(_KEYS[by], f"GROUP BY 1 ORDER BY {order}", since, provider, model)

    def total(
        self, *, since: float = 0.0, provider: str | None = None, model: str | None = None
    ) -> UsageTotal:
        """The sums of all requests; the key is ""."""
        found = self._sums("''", "", since, provider, model)
        return found[0] if found else _total("", *[0] * (len(_TOKENS) + 3))

    def _sums(
        self, key: str, end: str, since: float, provider: str | None, model: str | None
    ) -> tuple[UsageTotal, ...]:
        where = "at >= ?"
        values: list[object] = [since]
        if provider is not None:
            where += " AND provider = ? COLLATE NOCASE"
            values.append(provider)
        if model is not None:
            where += " AND (model = ? COLLATE NOCASE OR provider || '/' || model = ? COLLATE NOCASE)"
            values += [model, model]
        # total() of integers is exact up to 2**53, and never overflows as sum() does.
        sums = ", ".join(f"total({name})" for name in (*_TOKENS, "cost"))
        query = f"SELECT {key}, count(*), {sums}, count(*) - count(cost) FROM requests WHERE {where} {end}"
        with self._database.reading() as connection:
            return (
                () if connection is None else tuple(_total(*row) for row in connection.execute(query, values))
            )

    def fill_in_costs(
        self,
        has_price: Callable[[LedgerEntry], bool],
        price: Callable[[LedgerEntry], tuple[Decimal, str] | None],
        *,
        since: float = 0.0,
    ) -> int:
        """Store the cost and its source that ``price`` returns for entries without a cost; returns the number found.

        ``price`` is called for the models that ``has_price``, which is called with the latest entry of each. No lock
        is held meanwhile.
        """
        found: list[tuple[int | None, str, int]] = []
        from decimal import Decimal

        unknown = Decimal("NaN"), "unknown"  # tokens that the price does not cover are not looked up again
        for latest in self._without_cost("", (since,)):
            if not has_price(latest):
                continue
            of_model = (since, latest.provider, latest.model)
            for entry in self._without_cost("AND provider = ? AND model = ?", of_model):
                cost, source = price(entry) or unknown
                found.append((_stored_cost(cost), source, entry.id))
        if found:
            with self._database.writing() as connection:
                connection.executemany(
                    "UPDATE requests SET cost = ?, cost_source = ? WHERE id = ? AND cost IS NULL", found
                )
        return sum(cost is not None for cost, *_ in found)

    def _without_cost(self, condition: str, values: tuple[object, ...]) -> list[LedgerEntry]:
        """Entries that have tokens and no cost; without a condition, the latest of each provider's model."""
        latest, group = ("max(at)", "GROUP BY provider, model") if not condition else ("at", "")
        names = ("id", *_COLUMNS[1:-2])
        # With max(), the other columns are from the row with the largest value.
        query = (
            f"SELECT {latest}, {', '.join(names)} FROM requests WHERE cost IS NULL AND cost_source IS NULL AND at >= ? "
            f"AND ifnull(input, output) IS NOT NULL {condition} {group}"
        )
        with self._database.reading() as connection:
            rows = () if connection is None else connection.execute(query, values).fetchall()
            entries = [LedgerEntry(**dict(zip(("at", *names), row, strict=True))) for row in rows]
            return [checked(entry) for entry in entries]


def forget_conversations(
    connection: sqlite3.Connection, conversations: Iterable[str], *, delete: bool
) -> int:
    """Delete the entries of the conversations, or only the ids in them; returns how many entries that concerns."""
    change = "DELETE FROM requests" if delete else "UPDATE requests SET conversation = NULL"
    return connection.executemany(
        f"{change} WHERE conversation = ?", [(each,) for each in conversations]
    ).rowcount


def delete_before(connection: sqlite3.Connection, before: float) -> int:
    """Delete the entries that are older than ``before``; returns how many there were."""
    return connection.execute("DELETE FROM requests WHERE at < ?", (before,)).rowcount


def _values(entry: LedgerEntry) -> tuple[object, ...]:
    """The entry's columns."""
    values = [getattr(entry, name) for name in _COLUMNS[:-2]]
    cost = None if entry.cost is None else _stored_cost(entry.cost)
    return (
        *(_records.storable(value) if isinstance(value, str) else value for value in values[: -len(_TOKENS)]),
        *(None if count is None else max(0, min(count, _MOST_TOKENS)) for count in values[-len(_TOKENS) :]),
        cost,
        None if cost is None else entry.cost_source,
    )


def _stored_cost(cost: Decimal) -> int | None:
    """The cost in the unit of the column; None if it is not a number that can be added up."""
    if not cost.is_finite() or cost < 0:
        return None
    return min(round(cost * _UNIT), _MOST_COST)


def _total(key: str, requests: int, *sums: float) -> UsageTotal:
    from decimal import Decimal

    *tokens, cost, unpriced = (int(value) for value in sums)
    total = UsageTotal(
        key=key,
        requests=requests,
        **dict(zip(_TOKENS, tokens, strict=True)),
        cost=Decimal(cost) / _UNIT,
        unpriced=unpriced,
    )
    return checked(total)
