"""``--max-cost`` and the budget of the settings, from the command line to the exit code."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from conversing import Dialogue
from inprocess import Inside
from scripted import Scripted, answer

from provider_core.history import History

if TYPE_CHECKING:
    from pathlib import Path

    from running import Telex

USAGE = {"prompt_tokens": 10, "completion_tokens": 5}
HALF = answer("Yes.", usage=USAGE | {"cost": 0.5})
WRONG = answer('{"age": "old"}', usage=USAGE | {"cost": 0.5})


@pytest.fixture
def lab(tmp_path: Path, server: Scripted) -> Inside:
    server.will(HALF)
    telex = Inside(tmp_path)
    telex.provider("lab", server.url, models=["a", "b"], default_model="a")
    return telex


def requests(telex: Inside) -> list[tuple[str, int, Decimal, int]]:
    with History(telex.paths.history) as history:
        return [
            (each.key, each.requests, each.cost, each.unpriced) for each in history.ledger.totals("command")
        ]


def budget(text: str) -> dict[str, str]:
    return {"TELEX_BUDGET": text}


def test_a_spent_budget_refuses_with_exit_5_and_says_how_to_raise_it(lab: Inside, server: Scripted) -> None:
    day = budget('{"day": 1.0}')
    for _ in range(2):
        assert lab("chat", "hi", env=day).code == 0
    ran = lab("chat", "hi", env=day)
    assert (ran.code, ran.text, len(server.asked)) == (5, "", 2)
    first, second, third = ran.err.splitlines()
    assert first == "telex: the budget for today is spent: $1.00 of $1.00"
    assert second.strip() == "To raise it for one command: TELEX_BUDGET__DAY=2 telex chat …"
    assert "telex config set budget.day" in third
    assert lab("chat", "hi", env=day | {"TELEX_BUDGET__DAY": "2"}).code == 0
    assert lab("chat", "hi").code == 0
    refused = lab("chat", "--json", "hi", env=budget('{"month": 2}'))
    assert (refused.code, "this month" in json.loads(refused.text)["error"]["message"]) == (5, True)
    assert requests(lab) == [("chat", 4, Decimal(2), 0)]


def test_a_nearly_spent_budget_is_a_warning(lab: Inside) -> None:
    lab.configure(f"[budget]\nday = 1.25\nmonth = 1.2\n{lab.settings.read_text()}")
    assert lab("chat", "hi").err == ""
    lab("chat", "hi")
    ran = lab("chat", "hi")
    assert (ran.code, ran.text) == (0, "Yes.\n")
    assert ran.err.splitlines() == [
        "$1.00 of the budget of $1.25 for today is spent (80 %).",
        "$1.00 of the budget of $1.20 for this month is spent (83 %).",
    ]
    assert lab("chat", "-q", "hi").code == 5


@pytest.mark.parametrize(("text", "error"), [('{"day": -1}', "TELEX_BUDGET.day: must be greater than 0")])
def test_an_invalid_budget_prevents_only_chats(lab: Inside, server: Scripted, text: str, error: str) -> None:
    ran = lab("chat", "hi", env=budget(text))
    assert (ran.code, server.asked) == (3, [])
    assert f"telex: {error}" in ran.err
    assert lab("models", "list", env=budget(text)).code == 0


def test_a_budget_needs_the_ledger(lab: Inside) -> None:
    ran = lab("chat", "hi", env=budget('{"day": 1}') | {"TELEX_LEDGER": "false"})
    assert ran.code == 3
    assert ran.err.startswith("telex: a budget needs the ledger, which ledger = false turns off")


def test_a_ledger_that_cannot_be_read_prevents_a_chat_with_a_budget(lab: Inside, server: Scripted) -> None:
    lab.paths.data.mkdir(parents=True)
    lab.paths.history.write_bytes(b"no database at all" * 500)
    ran = lab("chat", "--json", "hi", env=budget('{"day": 1}'))
    assert (ran.code, server.asked) == (1, [])
    assert "is damaged" in json.loads(ran.text)["error"]["message"]
    assert lab("chat", "hi").code == 0


def test_several_models_and_unsaved_chats_are_limited_too(lab: Inside, server: Scripted) -> None:
    day = budget('{"day": 1}')
    ran = lab("chat", "--no-save", "-m", "lab/a", "-m", "lab/b", "hi", env=day)
    assert ran.code == 0, ran.err
    ran = lab("chat", "--no-save", "-m", "lab/a", "-m", "lab/b", "hi", env=day)
    assert (ran.code, len(server.asked)) == (5, 2)
    assert ran.err.count("the budget for today is spent") == 2


@pytest.mark.parametrize("command", ["batch", "test"])
def test_batches_and_tests_end_too(lab: Inside, server: Scripted, tmp_path: Path, command: str) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f'{{"prompt": "{number}"}}\n' for number in range(3)))
    near = "$0.5 of the budget of $0.6 for today is spent (83 %)."
    assert lab("chat", "hi").code == 0
    ran = lab(command, str(rows), "-j", "1", env=budget('{"day": 0.6}'))
    assert near in ran.err
    ran = lab(
        command, str(rows), "-j", "1", *(["--fresh"] if command == "test" else []), env=budget('{"day": 0.6}')
    )
    assert (ran.code, "the budget for today is spent: $" in ran.err) == (5, True)


@pytest.mark.parametrize("command", ["batch", "test"])
def test_a_ledger_that_cannot_be_written_costs_a_warning_and_no_answer(
    lab: Inside, tmp_path: Path, command: str
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f'{{"prompt": "{number}"}}\n' for number in range(3)))
    lab.paths.history.parent.mkdir(parents=True, exist_ok=True)
    lab.paths.history.write_bytes(b"damaged " * 1000)
    ran = lab(command, str(rows), "-j", "1")
    assert ran.code == 0, ran.err
    assert ran.err.count(f"Warning: the tokens of this {command} are not counted: ") == 1
    assert len(ran.text.splitlines()) == 3


# --- --max-cost ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "code", "sent"), [("0.4", 5, 1), ("$0.6", 5, 2), ("9", 6, 3)])
def test_max_cost_includes_retries(lab: Inside, server: Scripted, limit: str, code: int, sent: int) -> None:
    server.will(WRONG, WRONG, WRONG)
    ran = lab("chat", "--schema", "age int", "--schema-retries", "2", "--max-cost", limit, "hi")
    assert (ran.code, len(server.asked)) == (code, sent)
    if code == 5:
        spent = "$0.5" if sent == 1 else "$1.00"
        assert f"the cost limit of ${limit.strip('$')} is reached: {spent} spent" in ran.err
        assert "Raise --max-cost to allow more." in ran.err
    counts = {name: count for name, count, *_ in requests(lab)}
    assert (counts["chat"], counts.get("schema retry", 0)) == (1, sent - 1)


def test_max_cost_says_that_a_price_is_unknown(lab: Inside) -> None:
    ran = lab("chat", "--max-cost", "1", "hi")
    assert (ran.code, ran.err) == (
        0,
        "The price of lab/a is unknown: --max-cost counts only what the server reports.\n",
    )
    assert lab("chat", "-q", "--max-cost", "1", "hi").err == ""


@pytest.mark.parametrize("value", ["0", "nan", "", "1e-999999999"])
def test_max_cost_is_a_positive_amount(lab: Inside, value: str) -> None:
    ran = lab("chat", f"--max-cost={value}", "hi")
    assert ran.code == 2
    assert "is not a positive amount of US dollars, such as 0.50" in ran.err


def test_max_cost_of_a_conversation_includes_all_of_its_prompts(telex: Telex, server: Scripted) -> None:
    server.will(HALF)
    telex.provider("lab", server.url, models=["a"])
    rows = Dialogue(telex)("--max-cost", "0.9", lines=["one?", "two?", "three?"])
    assert len(server.asked) == 2
    assert "telex: the cost limit of $0.9 is reached: $1.00 spent" in rows
    assert sum(row.startswith("The price of lab/a is unknown") for row in rows) == 1
