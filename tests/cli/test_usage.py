"""``telex usage``: what a chat leaves in the ledger, and how it is shown on a terminal and to programs."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from inprocess import Inside
from running import Telex
from scripted import Answer, Cut, Scripted, answer, delta, sse
from terminal import Terminal, on_terminal

from provider_core.history import History, LedgerEntry
from telex.app import App
from telex.main import main

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400
USAGE = {"prompt_tokens": 10, "completion_tokens": 5}
FIELDS = ("name", "requests", "input", "cached", "cache_write", "output", "reasoning", "cost", "unpriced")


@pytest.fixture
def lab(tmp_path: Path, server: Scripted) -> Inside:
    server.will(answer("Yes.", usage=USAGE | {"cost": 0.25}))
    telex = Inside(tmp_path)
    telex.provider("lab", server.url, models=["a"])
    return telex


def fill(telex: Inside | Telex, *entries: dict[str, Any]) -> None:
    """Add entries to the ledger, by default of an hour ago."""
    path = telex.home / "data" / "history.db"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    usual: dict[str, Any] = {"provider": "lab", "model": "a", "command": "chat", "verdict": "complete"}
    with History(path) as history:
        history.ledger.add(LedgerEntry(**usual | {"at": time.time() - 3600} | each) for each in entries)


def rows(telex: Inside, *arguments: str) -> list[dict[str, str]]:
    ran = telex("usage", *arguments)
    assert ran.code == 0, ran.err
    return [dict(zip(FIELDS, line.split("\t"), strict=True)) for line in ran.text.splitlines()]


# --- what a chat leaves --------------------------------------------------------------------------------------


def test_each_chat_is_counted(lab: Inside) -> None:
    for _ in range(2):
        assert lab("chat", "hi").code == 0
    values = ("lab/a", "2", "20", "0", "0", "10", "0", "0.5", "0")
    assert rows(lab) == [dict(zip(FIELDS, values, strict=True))]


def test_incomplete_answers_count_and_their_cost_is_unknown(lab: Inside, server: Scripted) -> None:
    server.will([*sse(delta("Half")), Cut()])
    assert lab("chat", "--retries", "0", "hi").code == 6
    (row,) = rows(lab)
    assert (row["requests"], row["cost"], row["unpriced"]) == ("1", "", "1")
    assert "The cost of 1 request is unknown and not included." in lab("usage").err
    server.will(Answer(status=500))
    assert lab("chat", "--retries", "0", "hi").code == 6  # costs nothing
    assert json.loads(lab("usage", "--json").text)["total"]["cost"] is None, "unknown, and not 0"


def test_a_template_is_counted_by_its_name(lab: Inside) -> None:
    folder = lab.paths.templates
    folder.mkdir(parents=True)
    (folder / "classify.toml").write_text('prompt = "Classify: {{ stdin }}"\n')
    assert lab("chat", "--template", "classify", stdin=b"x").code == 0
    assert lab("chat", "hi").code == 0
    counted = {row["name"]: row["requests"] for row in rows(lab, "--by", "template")}
    assert counted == {"classify": "1", "": "1"}


# --- for programs --------------------------------------------------------------------------------------------


def test_rows_have_machine_readable_numbers(lab: Inside) -> None:
    fill(
        lab,
        {"input": 1_234_567, "output": 1, "cost": Decimal("1234.5")},
        {"model": "b", "cost": Decimal("0.000000012")},
        {"provider": "x", "model": "c", "reasoning": 3},
    )
    found = rows(lab)
    assert [(row["name"], row["input"], row["cost"], row["unpriced"]) for row in found] == [
        ("lab/a", "1234567", "1234.5", "0"),
        ("lab/b", "0", "0.000000012", "0"),
        ("x/c", "0", "", "1"),
    ]
    table = list(csv.reader(io.StringIO(lab("usage", "--csv").text)))
    assert table[0] == ["model", *FIELDS[1:]]
    assert [dict(zip(FIELDS, line, strict=True)) for line in table[1:]] == found
    whole = json.loads(lab("usage", "--json", "--by", "provider").text)
    assert (whole["by"], whole["total"]["requests"], whole["total"]["unpriced"]) == ("provider", 3, 1)
    assert [(row["provider"], row["cost"]) for row in whole["rows"]] == [("lab", 1234.500000012), ("x", None)]
    fill(lab, {"model": "two\tcolumns\nand lines"})
    assert "lab/two columns and lines" in [row["name"] for row in rows(lab)]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((), ["lab/new"]),
        (("--since", "60d"), ["lab/new", "x/old"]),
        (("--since", "all"), ["lab/new", "x/old", "x/ancient"]),
        (("--since", "1971-01-01"), ["lab/new", "x/old"]),
        (("--since", "30m"), None),
        (("--since", "all", "--provider", "X"), ["x/old", "x/ancient"]),
        (("--since", "all", "--model", "x/OLD"), ["x/old"]),
        (("--since", "all", "--model", "ancient", "--by", "command"), ["batch"]),
        (("--json", "--csv"), None),
        (("--by", "week"), None),
    ],
)
def test_period_and_filters(lab: Inside, arguments: tuple[str, ...], names: list[str] | None) -> None:
    fill(
        lab,
        {"model": "new", "cost": Decimal(3)},
        {"provider": "x", "model": "old", "at": time.time() - 45 * DAY, "cost": Decimal(2)},
        {"provider": "x", "model": "ancient", "at": 1.0, "cost": Decimal(1), "command": "batch"},
    )
    if names is None:
        assert lab("usage", *arguments).code == 2
    else:
        assert [row["name"] for row in rows(lab, *arguments)] == names


def test_today_begins_at_midnight(lab: Inside) -> None:
    year, month, day, *_ = time.localtime()
    midnight = time.mktime((year, month, day, 0, 0, 0, 0, 0, -1))
    fill(lab, {"at": midnight}, {"at": midnight - 1})
    assert [row["requests"] for row in rows(lab, "--since", "today")] == ["1"]
    assert [row["name"] for row in rows(lab, "--by", "day")] == [
        time.strftime("%Y-%m-%d", time.localtime(moment)) for moment in (midnight - 1, midnight)
    ]


def test_an_empty_ledger_is_reported_and_no_file_is_made(lab: Inside) -> None:
    ran = lab("usage")
    assert (ran.code, ran.text, ran.err) == (0, "", "The ledger has no requests in this period.\n")
    assert lab("usage", "--model", "m").err == "The ledger has no matching requests in this period.\n"
    total = json.loads(lab("usage", "--json").text)["total"]
    assert (total["requests"], total["cost"]) == (0, 0)
    assert not lab.paths.data.exists()


def test_requests_are_priced_later_and_the_price_is_stored(lab: Inside, server: Scripted) -> None:
    server.will(answer("Yes.", usage={"prompt_tokens": 1_000_000, "completion_tokens": 500_000}))
    assert lab("chat", "hi").code == 0
    (row,) = rows(lab)
    assert (row["cost"], row["unpriced"]) == ("", "1")
    lab.configure(lab.settings.read_text().replace('"a"', '{id = "a", price_in = 0.2, price_out = 0.5}'))
    assert rows(lab)[0]["cost"] == "0.45"
    lab.configure(lab.settings.read_text().replace("price_in = 0.2", "price_in = 9.0"))
    assert rows(lab)[0]["cost"] == "0.45"
    with History(lab.paths.history) as history:
        assert history.ledger.total().unpriced == 0


def test_usage_is_shown_although_the_settings_are_invalid(lab: Inside) -> None:
    fill(lab, {"input": 5}, {"cost": Decimal(1)})
    lab.configure("[")
    assert rows(lab)[0]["cost"] == "1"


def test_a_pipe_imports_no_rich_and_prices_nothing_that_is_priced(telex: Telex) -> None:
    fill(telex, {"cost": Decimal(1)})
    code = "import sys; from telex.main import main; main(['usage']); print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], env=telex.env, capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in ran.stdout.split()}
    assert "sqlite3" in loaded
    assert not loaded & {"rich", "genai_prices", "httpx", "httpcore"}


# --- on a terminal -------------------------------------------------------------------------------------------


def screen(telex: Inside, *arguments: str, columns: int = 80, **env: str) -> tuple[list[str], str]:
    """The rows that are painted, and what was written."""
    with on_terminal(columns, **env) as (stream, console):
        app = App(environ={**telex.env, **console.environ, **env}, console=console)
        assert main(["usage", *arguments], app) == 0
    terminal = Terminal(columns)
    terminal.feed(stream.getvalue())
    return terminal.text(), stream.getvalue()


def fill_a_month(telex: Inside) -> None:
    now = time.time()
    for day in range(29):
        fill(telex, {"at": now - day * DAY, "cost": Decimal(day + 1) / 10, "input": 1500, "output": 500})
    fill(telex, {"provider": "x", "model": "c" * 90, "cost": Decimal("0.0123")}, {"model": "unknown"})


@pytest.mark.parametrize("columns", [44, 80, 200])
@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}], ids=["colour", "plain"])
def test_table_and_chart_fit_a_terminal(lab: Inside, columns: int, env: dict[str, str]) -> None:
    fill_a_month(lab)
    seen, written = screen(lab, columns=columns, **env)
    assert all(len(row) <= columns for row in seen)
    assert ("38;5;" in written) == (not env)
    head, first, second, third, total = seen[:5]
    assert head.split()[0] == "MODEL"
    assert first.split()[0] == "lab/a"
    assert "$43.50" in first
    assert "███" in first
    assert "$0.0123" in second
    assert "unknown" in third
    assert total.split()[0] == "total"
    assert "$43.51+" in total
    chart = seen[seen.index("Cost for each day") + 1 :]
    assert chart[0].split()[0] == "$2.90"
    bottom = chart[6]
    assert len(re.findall("[▁▂▃▄▅▆▇█]+", bottom)) == (29 if columns > 44 else 1)
    assert len([row for row in chart[:7] if "█" in row]) >= 6
    begin = time.strftime("%b %d", time.localtime(time.time() - 30 * DAY))
    assert chart[7].strip().startswith(begin)
    assert " ".join(seen).endswith("The cost of 1 request is unknown and not included.")


def test_chart_of_a_long_time_has_weeks_or_months(lab: Inside) -> None:
    fill(lab, {"at": time.time() - 3 * DAY, "cost": Decimal(1)}, {"cost": Decimal(2)})
    assert "Cost for each day" in screen(lab, "--since", "1y")[0]
    fill(lab, {"at": time.time() - 300 * DAY, "cost": Decimal(1)})
    assert "Cost for each week" in screen(lab, "--since", "0001-01-01")[0]
    fill(lab, {"at": time.time() - 2000 * DAY, "cost": Decimal(1)})
    seen, _ = screen(lab, "--since", "all", columns=60)
    assert "Cost for each four weeks" in seen
    assert all(len(row) <= 60 for row in seen)


def test_tokens_are_shown_if_no_cost_is_known(lab: Inside) -> None:
    fill(lab, {"input": 3_000}, {"model": "b", "input": 1_000, "output": 500})
    seen, _ = screen(lab, "--since", "2d")
    first, second = seen[1:3]
    assert (first.count("█"), second.count("█")) == (30, 15)
    assert "Tokens for each day" in seen
    assert any(row.split()[:1] == ["4.5k"] for row in seen)


def test_chart_marks_days_whose_cost_is_unknown(lab: Inside) -> None:
    noon = time.mktime((*time.localtime()[:3], 12, 0, 0, 0, 0, -1))
    fill(
        lab,
        {"at": noon - 4 * DAY, "cost": Decimal(1)},
        {"at": noon - 3 * DAY},
        {"at": noon - 2 * DAY, "cost": Decimal(0)},
        {"at": noon - DAY, "cost": Decimal(1)},
        {"at": noon - DAY},
    )
    seen, _ = screen(lab, "--since", time.strftime("%Y-%m-%d", time.localtime(noon - 4 * DAY)))
    top, bottom = (seen[seen.index("Cost for each day") + row][9:] for row in (1, 7))
    assert top == "██       ██"
    assert bottom == "██ ??    ██", "unknown is not 0"


def test_budget_and_unnamed_rows_are_shown(lab: Inside) -> None:
    fill(lab, {"at": time.time(), "cost": Decimal("0.5")})
    seen, _ = screen(lab, "--by", "template", TELEX_BUDGET='{"day": 2, "month": 20}')
    assert seen[1].startswith("(no template)")
    assert "Budget: $0.5 of $2.00 today, $0.5 of $20.00 this month" in seen


def test_many_rows_are_added_up_and_names_command_no_terminal(lab: Inside) -> None:
    fill(lab, *({"model": f"\x1b[31mm{number}", "cost": Decimal(1)} for number in range(30)))
    seen, written = screen(lab)
    assert any(row.startswith("(10 others)") and "$10.00" in row for row in seen)
    assert "\x1b[31m" not in written
    assert len(rows(lab)) == 30
