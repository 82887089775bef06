"""The ledger: what an entry has, how entries add up, and how missing costs are filled in."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from provider_core.errors import BadRequestError, ConnectError, HistoryError, MissingKeyError
from provider_core.events import Answer, AnswerEnded
from provider_core.history import History, LedgerEntry, UsageTotal, entry_of
from provider_core.prices import Cost
from provider_core.types import Message, Provider, Request, Target, Usage, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAB = Target(provider=Provider(name="lab", preset="deepseek"), model="m")
DAY = 86_400.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "history.db"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    with History(path) as opened:
        yield opened


def entry(at: float = 100.0, **fields: object) -> LedgerEntry:
    usual = {"provider": "lab", "model": "m", "command": "chat", "verdict": "complete"}
    return LedgerEntry(at=at, **(usual | fields))  # type: ignore[arg-type]


def ended(cause: str = "", **fields: object) -> AnswerEnded:
    values: dict[str, object] = {"target": LAB, "verdict": Verdict.COMPLETE}
    answer = Answer(**(values | fields))  # type: ignore[arg-type]
    return AnswerEnded(request=Request(model="m", messages=()), answer=answer, cause=cause)  # type: ignore[arg-type]


def keys(totals: tuple[UsageTotal, ...]) -> list[tuple[str, int]]:
    return [(each.key, each.requests) for each in totals]


# --- entries -------------------------------------------------------------------------------------------------


def test_entry_has_the_numbers_of_an_answer_and_none_of_its_text() -> None:
    usage = Usage(input=10, cached=4, cache_write=2, output=5, reasoning=3)
    cost = Cost(amount=Decimal("0.0021"), source="preset")
    event = ended(text="secret", reasoning="secret", usage=usage, cost=cost)
    found = entry_of(event, 7.0, "chat", template="classify", conversation="k3f9a2bq")
    assert found == LedgerEntry(
        at=7.0, provider="lab", preset="deepseek", model="m", command="chat", template="classify",
        conversation="k3f9a2bq", verdict="complete", input=10, cached=4, cache_write=2, output=5, reasoning=3,
        cost=Decimal("0.0021"), cost_source="preset",
    )  # fmt: skip
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("event", "command", "cost"),
    [
        (ended(text="a"), "batch", None),
        (ended("tool loop", text="a"), "tool loop", None),
        (ended("schema retry", text="a"), "schema retry", None),
        (ended(verdict=Verdict.INTERRUPTED, text="a"), "batch", None),
        (ended(verdict=Verdict.FAILED, usage=Usage(input=3)), "batch", None),
        (ended(verdict=Verdict.FAILED, error=BadRequestError("no")), "batch", Decimal(0)),
        (ended(verdict=Verdict.FAILED, error=ConnectError("no")), "batch", Decimal(0)),
    ],
    ids=["first", "tools", "schema", "interrupted", "failed", "refused", "unreachable"],
)
def test_each_request_that_was_sent_has_an_entry(
    event: AnswerEnded, command: str, cost: Decimal | None
) -> None:
    found = entry_of(event, 7.0, "batch")
    assert found is not None
    assert (found.command, found.cost) == (command, cost)
    assert found.verdict == event.answer.verdict.value


def test_request_that_was_not_sent_has_none() -> None:
    assert entry_of(ended(verdict=Verdict.FAILED, error=MissingKeyError("no key")), 7.0, "chat") is None


# --- sums ----------------------------------------------------------------------------------------------------


def test_sums_are_exact_and_unknown_costs_are_counted(history: History) -> None:
    tiny = Decimal("0.000000000007")
    history.ledger.add(entry(cost=tiny, input=2, output=1, cost_source="list") for _ in range(1000))
    history.ledger.add([entry(cost=Decimal("0.3"), cached=1), entry(reasoning=1), entry(cache_write=4)])
    assert history.ledger.total() == UsageTotal(
        key="", requests=1003, input=2000, cached=1, cache_write=4, output=1000, reasoning=1,
        cost=Decimal("0.300000007"), unpriced=2,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("cost", "total", "unpriced"),
    [("NaN", 0, 20), ("Infinity", 0, 20), ("-1", 0, 20), ("1e300", 20_000_000, 0)],
)
def test_absurd_numbers_of_a_server_break_no_sum(
    history: History, cost: str, total: int, unpriced: int
) -> None:
    for _ in range(20):
        history.ledger.add([entry(cost=Decimal(cost), input=10**40, output=-5)])
    found = history.ledger.total()
    assert (found.cost, found.unpriced, found.output) == (total, unpriced, 0)


def test_totals_are_grouped_filtered_and_sorted_by_cost(history: History) -> None:
    history.ledger.add(
        [
            entry(model="a", cost=Decimal(1)),
            entry(model="b", cost=Decimal(3), template="t"),
            entry(model="a", cost=Decimal(1), command="batch"),
            entry(provider="x", model="a", at=200.0),
        ]
    )
    totals = history.ledger.totals
    assert keys(totals("model")) == [("lab/b", 1), ("lab/a", 2), ("x/a", 1)]
    assert keys(totals("provider")) == [("lab", 3), ("x", 1)]
    assert keys(totals("template")) == [("t", 1), ("", 3)]
    assert keys(totals("command")) == [("chat", 3), ("batch", 1)]
    assert keys(totals("provider", model="A")) == [("lab", 2), ("x", 1)]
    total = history.ledger.total
    assert [total(model="LAB/a").requests, total(provider="X", since=200.0).requests] == [2, 1]
    assert (total(since=201.0).requests, total(since=201.0).cost) == (0, 0)
    assert totals("model", since=201.0) == ()


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/St_Johns"])
def test_days_begin_at_midnight_local_time(path: Path, zone: str) -> None:
    code = """
import sys, time
from pathlib import Path
from provider_core.history import History, LedgerEntry
midnight = time.mktime((2026, 3, 29, 0, 0, 0, 0, 0, -1))
with History(Path(sys.argv[1])) as history:
    history.ledger.add(
        LedgerEntry(at=midnight + after, provider="p", model="m", command="chat", verdict="complete")
        for after in (-1, 0, 1)
    )
    print(*((each.key, each.requests) for each in history.ledger.totals("day")))
"""
    ran = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"TZ": zone},
    )
    assert ran.stdout.strip() == "('2026-03-28', 1) ('2026-03-29', 2)"


# --- costs that are found later ------------------------------------------------------------------------------


def test_missing_costs_are_found_by_model_and_time(history: History) -> None:
    history.ledger.add(
        [
            entry(100.0, input=10, output=1),
            entry(200.0, input=10, output=1),
            entry(50.0, input=10, output=1),
            entry(150.0, input=99),  # the price does not cover these tokens
            entry(300.0),  # without tokens, no price helps
            entry(300.0, model="unknown", input=1),
            entry(250.0, model="unknown", input=1),
            entry(300.0, cost=Decimal(7), input=1),
        ]
    )
    asked: list[tuple[str, float]] = []

    def price(each: LedgerEntry) -> tuple[Decimal, str] | None:
        if each.input == 99:
            return None
        return Decimal(each.input or 0) * (1 if each.at < 150 else 2), "preset"

    def has_price(each: LedgerEntry) -> bool:
        asked.append((each.model, each.at))
        return each.model != "unknown"

    assert history.ledger.fill_in_costs(has_price, price, since=60.0) == 2
    assert sorted(asked) == [("m", 200.0), ("unknown", 300.0)]
    total = history.ledger.total()
    assert (total.cost, total.unpriced) == (37, 5)
    asked.clear()
    assert history.ledger.fill_in_costs(has_price, price, since=60.0) == 0
    assert asked == [("unknown", 300.0)]


# --- the file ------------------------------------------------------------------------------------------------


def test_an_entry_and_its_turn_are_stored_together_or_not_at_all(history: History) -> None:
    begun = history.begin([Message(role="user", content="Hi")], LAB)

    def fail() -> None:
        with history.transaction():
            history.ledger.add([entry()])
            raise HistoryError("the disk is full")

    with pytest.raises(HistoryError):
        fail()
    assert history.ledger.total().requests == 0
    with history.transaction():
        history.ledger.add([entry()])
        assert history.ledger.total().requests == 1
        history.end(begun.turn, Answer(target=LAB, verdict=Verdict.COMPLETE, text="Yes."))
    assert history.ledger.total().requests == 1
    assert history.turns(begun.conversation)[0].answered


def test_reading_creates_no_file(path: Path, history: History) -> None:
    assert history.ledger.totals("model") == ()
    assert history.ledger.fill_in_costs(lambda _: True, lambda _: None) == 0
    assert not path.parent.exists()


@pytest.mark.parametrize("with_usage", [False, True])
def test_removal_of_a_conversation_keeps_its_entries_unless_asked(history: History, with_usage: bool) -> None:
    begun = history.begin([Message(role="user", content="Hi")], LAB)
    now = time.time()
    history.ledger.add([entry(now, conversation=begun.conversation), entry(now), entry(1.0)])
    removed = history.remove([begun.conversation], with_usage=with_usage)
    assert (removed.conversations, removed.requests) == (1, 1)
    assert history.ledger.total().requests == (2 if with_usage else 3)
    assert history.remove([begun.conversation]).requests == 0
    removed = history.prune(now - DAY, with_usage=with_usage)
    assert (removed.conversations, removed.requests) == (0, int(with_usage))
    assert history.ledger.total().requests == (1 if with_usage else 3)


def test_processes_that_write_at_once_lose_nothing(path: Path) -> None:
    code = """
import sys
from pathlib import Path
from provider_core.history import History, LedgerEntry
with History(Path(sys.argv[1])) as history:
    for number in range(100):
        entry = LedgerEntry(at=number, provider="p", model="m", command="chat", verdict="complete", input=1)
        history.ledger.add([entry])
"""
    processes = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    with History(path) as history:
        total = history.ledger.total()
        assert (total.requests, total.input) == (400, 400)
