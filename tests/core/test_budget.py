"""Limits on costs: of a turn, before each of its requests; and of a day and a month, by the ledger."""

from __future__ import annotations

import time
from contextlib import nullcontext
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from provider_core.budget import Budget, beginning, dollars
from provider_core.chat import ChatPlan, ChatRun
from provider_core.client import Client, OpenProvider
from provider_core.errors import BudgetError
from provider_core.events import ChatEnded
from provider_core.history import History, LedgerEntry
from provider_core.prices import Cost
from provider_core.testing import FakeTransport, says
from provider_core.tools.functions import FunctionTools
from provider_core.types import Message, Provider, Request, Target, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TARGET = Target(provider=Provider(name="lab", base_url="http://lab.test/v1", auth="none"), model="m")
AGE = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
USAGE = {"prompt_tokens": 10, "completion_tokens": 10}
ran: list[str] = []


def weather(city: str) -> str:
    ran.append(city)
    return "rain"


CALL = says(calls=[("weather", {"city": "Oslo"})], usage=USAGE)
DONE = says("Rain.", usage=USAGE)


def price(_: Target, usage: Usage) -> Cost:
    """One cent a token of output, and a hundredth of that for one of input."""
    cents = Decimal(usage.output or 0) + Decimal(usage.input or 0) / 100
    return Cost(amount=cents / 100, source="settings")


def run_of(*steps: Any, max_cost: str | None = None, prompt: str = "?", **options: Any) -> ChatRun:
    ran.clear()
    network = FakeTransport(*steps)
    opened = OpenProvider(client=Client(network, sleep=lambda _: None), provider=TARGET.provider)
    new = (Message(role="user", content=prompt),)
    schema = options.pop("schema", None)
    plan = ChatPlan(
        target=TARGET,
        request=Request(model="m", messages=new, schema=schema),
        new_messages=new,
        schema_retries=3 if schema else None,
        max_cost=Decimal(max_cost) if max_cost else None,
        spent=options.pop("spent", None),
    )
    options.setdefault("price", price)
    return ChatRun(plan, lambda _: nullcontext(opened), **options)


def ended_by(run: ChatRun) -> BudgetError | None:
    """The error that ended the turn; its answers so far count all the same."""
    try:
        list(run)
    except BudgetError as error:
        found = error
    else:
        return None
    (*_, last) = run.end(found)
    assert isinstance(last, ChatEnded)
    assert last.answer.error is found
    return found


# --- one turn ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "requests", "calls"),
    [("0.05", 1, 0), ("0.101", 1, 0), ("0.1015", 1, 1), ("0.15", 2, 1), ("1", 2, 1)],
    ids=["over", "reached", "next input is over", "last one may exceed", "enough"],
)
def test_tool_loop_stops_at_the_limit(limit: str, requests: int, calls: int) -> None:
    """The first answer costs 0.101. A call whose result could not be sent does not run."""
    run = run_of(CALL, DONE, max_cost=limit, toolboxes=[FunctionTools([weather])])
    error = ended_by(run)
    assert (len([each for each in run.answers if each.usage]), len(ran)) == (requests, calls)
    assert (error is None) == (requests == 2)
    if error is not None:
        assert (error.code, error.limit, error.spent) == ("max_cost", Decimal(limit), Decimal("0.101"))


def test_first_request_is_not_sent_if_its_input_alone_is_too_expensive() -> None:
    run = run_of(DONE, max_cost="0.05", prompt="word " * 1000)
    error = ended_by(run)
    assert error is not None
    assert run.answers[0].usage is None
    assert error.message == "the input of the request alone would cost about $0.13, and the limit is $0.05"
    assert ended_by(run_of(DONE, max_cost="0.2", prompt="word " * 1000)) is None


def test_earlier_turns_and_descriptions_of_tools_count(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ended_by(run_of(DONE, max_cost="0.5", spent=Decimal("0.5"))) is not None
    monkeypatch.setattr(weather, "__doc__", "Tell the weather. " * 500)
    run = run_of(DONE, max_cost="0.1", toolboxes=[FunctionTools([weather])])
    assert ended_by(run) is not None


def test_unknown_costs_are_not_limited() -> None:
    run = run_of(CALL, DONE, max_cost="0.000001", toolboxes=[FunctionTools([weather])], price=lambda *_: None)
    assert ended_by(run) is None
    assert run.answer.cost is None


def test_budget_is_checked_before_each_request() -> None:
    checks: list[int] = []

    def check() -> None:
        checks.append(1)
        if len(checks) == 3:
            raise BudgetError("spent", code="day", limit=Decimal(1), spent=Decimal(1))

    run = run_of(CALL, DONE, toolboxes=[FunctionTools([weather])], check_budget=check)
    assert ended_by(run) is not None
    assert ran == ["Oslo"]
    assert run.messages[-1].role == "tool"  # the next turn has to know what the call did


# --- a day and a month ---------------------------------------------------------------------------------------


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History(tmp_path / "history.db") as opened:
        yield opened


def spend(history: History, at: float, cost: str | None) -> None:
    amount = Decimal(cost) if cost else None
    entry = LedgerEntry(at=at, provider="lab", model="m", command="chat", verdict="complete", cost=amount)
    history.ledger.add([entry])


NOON = time.mktime((2026, 5, 31, 12, 0, 0, 0, 0, -1))
HOUR = 3600


def test_periods_begin_at_local_midnight() -> None:
    assert time.localtime(beginning("day", NOON))[:6] == (2026, 5, 31, 0, 0, 0)
    assert time.localtime(beginning("month", NOON))[:6] == (2026, 5, 1, 0, 0, 0)


@pytest.mark.parametrize(
    ("spent", "near", "exhausted"), [("1.59", 0, 0), ("1.6", 1, 0), ("1.99", 1, 0), ("2", 1, 1)]
)
def test_spending_of_a_day_and_a_month(history: History, spent: str, near: bool, exhausted: bool) -> None:
    spend(history, NOON - 13 * HOUR, "5")  # yesterday
    spend(history, NOON - 12 * HOUR, spent)
    spend(history, NOON - 24 * 31 * HOUR, "100")  # last month
    spend(history, NOON - HOUR, None)
    budget = Budget({"day": 2.0, "month": 20.0}, lambda: history.ledger, clock=lambda: NOON)
    day, month = budget.spending()
    assert (day.spent, day.unpriced, month.spent) == (Decimal(spent), 1, Decimal(spent) + 5)
    assert (day.is_near, day.is_exhausted, month.is_near) == (near, exhausted, False)
    if exhausted:
        with pytest.raises(BudgetError, match=r"the budget for today is spent: \$2.00 of \$2.00") as caught:
            budget.check()
        assert (caught.value.code, caught.value.limit) == ("day", 2)
    else:
        budget.check()


def test_each_warning_is_returned_once(history: History) -> None:
    budget = Budget({"day": 2.0}, lambda: history.ledger, clock=lambda: NOON)
    spend(history, NOON, "1")
    assert budget.warnings() == []
    spend(history, NOON, "0.7")
    spend(history, NOON, None)
    assert budget.warnings() == [
        "$1.70 of the budget of $2.00 for today is spent (85 %).",
        "The budget for today does not include 1 request whose cost is unknown.",
    ]
    assert budget.warnings() == []
    spend(history, NOON, None)
    again = Budget({"day": 2.0}, lambda: history.ledger, clock=lambda: NOON)
    assert again.warnings()[1] == "The budget for today does not include 2 requests whose cost is unknown."


def test_ledger_is_read_at_most_once_in_the_interval(history: History) -> None:
    now = NOON
    budget = Budget({"day": 1.0}, lambda: history.ledger, interval=5.0, clock=lambda: now)
    budget.check()
    spend(history, NOON, "2")
    for now in (NOON, NOON + 4.9):  # noqa: B007
        budget.check()
    for now in (NOON + 5.1, NOON - 10 * HOUR):  # noqa: B007 - also if the clock was set back
        with pytest.raises(BudgetError):
            budget.check()


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("2.00", "$2.00"),
        ("0.0021", "$0.0021"),
        ("0", "$0"),
        ("1234567", "$1234570.00"),
        ("0.00000001", "$0.00000001"),
    ],
)
def test_amounts_have_significant_digits(amount: str, text: str) -> None:
    assert dollars(Decimal(amount)) == text
