"""Prices in lists of models, and what answers cost: from settings, lists and ``genai-prices`` to the screen."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from inprocess import Inside
from listings import as_json
from scripted import Answer, Scripted, answer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
LISTED = [
    {"id": "cheap", "pricing": {"prompt": "0.0000001", "completion": "0.0000004"}},
    {
        "id": "dear",
        "pricing": {"prompt": "0.000003", "completion": "0.000015", "input_cache_read": "0.0000003"},
    },
    {"id": "free", "pricing": {"prompt": "0", "completion": "0"}},
    {"id": "auto", "pricing": {"prompt": "-1", "completion": "-1"}},
    {"id": "plain"},
]
USAGE = {"prompt_tokens": 1200, "completion_tokens": 340, "prompt_tokens_details": {"cached_tokens": 200}}


@pytest.fixture
def telex(tmp_path: Path) -> Inside:
    return Inside(tmp_path / "home")


@pytest.fixture
def lab(telex: Inside, server: Scripted) -> Inside:
    """A provider whose list has prices, and one with a preset, at the same server."""
    telex.configure(
        f'[providers.lab]\nbase_url = "{server.url}"\nkey = "none"\n'
        f'[providers.openai]\npreset = "openai"\nbase_url = "{server.url}"\nkey = "none"\nmodels = ["gpt-4o-mini"]\n'
    )
    server.will(as_json({"data": LISTED}))
    assert telex("models", "list", "--refresh", "-P", "lab").code == 0
    return telex


def cost_of(
    telex: Inside, server: Scripted, *arguments: str, usage: Mapping[str, Any] = USAGE
) -> tuple[Any, Any]:
    """The cost of an answer with this usage in ``--json``, and its source."""
    server.will(Answer(answer("Hi.", usage=dict(usage))))
    ran = telex("chat", "--json", *arguments, "hi")
    found = json.loads(ran.out)["usage"]
    return found["cost"], found["cost_source"]


# --- answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "cost"),
    [
        ("lab/dear", (0.00816, "list")),
        ("lab/free", (0.0, "list")),
        ("lab/plain", (None, None)),
        ("openai/gpt-4o-mini", (0.000369, "genai-prices")),
    ],
)
def test_an_answer_has_the_cost_of_its_model(
    lab: Inside, server: Scripted, model: str, cost: tuple[Any, Any]
) -> None:
    assert cost_of(lab, server, "-m", model) == cost


def test_own_prices_override_lists_and_the_server_overrides_all(lab: Inside, server: Scripted) -> None:
    own = ("--price-in", "0.27", "--price-out", "1.10", "--price-cached", "0.07")
    assert lab("models", "edit", "lab", "dear", *own).code == 0
    assert (
        'id = "dear", price_in = 0.27, price_out = 1.1, price_cached = 0.07'
        in lab.paths.settings_file.read_text()
    )
    assert cost_of(lab, server, "-m", "lab/dear") == (0.000658, "settings")
    assert cost_of(lab, server, "-m", "lab/dear", usage={**USAGE, "cost": 0.5}) == (0.5, "server")
    assert lab("models", "edit", "lab", "dear", "--unset", "price-in", "--unset", "price-out").code == 0
    assert cost_of(lab, server, "-m", "lab/dear") == (0.008114, "settings"), (
        "the other prices are from the list"
    )
    for bad in ("-1", "nan", "1e9", "free"):
        ran = lab("models", "edit", "lab", "dear", f"--price-in={bad}")
        assert (ran.code, "--price-in" in ran.err) == (2, True)


def test_the_cost_in_litellms_header_is_used(lab: Inside, server: Scripted) -> None:
    header = {"x-litellm-response-cost": "0.0042", "content-type": "text/event-stream"}
    server.will(Answer(answer("Hi.", usage=USAGE), headers=header))
    usage = json.loads(lab("chat", "--json", "-m", "lab/plain", "hi").out)["usage"]
    assert (usage["input"], usage["cost"], usage["cost_source"]) == (1200, 0.0042, "server")


def test_usage_line_and_lines_of_json(lab: Inside, server: Scripted) -> None:
    server.will(Answer(answer("Hi.", usage=USAGE)))
    ran = lab("chat", "-u", "-m", "lab/dear", "hi")
    assert "lab/dear · 1,200 in (200 cached) · 340 out · $0.0082 · " in ran.err
    server.will(Answer(answer("Hi.", usage=USAGE)))
    last = json.loads(lab("chat", "--jsonl", "-m", "lab/dear", "hi").text.splitlines()[-1])
    assert (last["usage"]["cost"], last["usage"]["cost_source"]) == (0.00816, "list")
    server.will(Answer(answer("Hi.", usage=USAGE)))
    assert "· cost unknown ·" in lab("chat", "-u", "-m", "lab/plain", "hi").err


def test_saved_turns_have_the_cost_also_if_it_was_not_shown(lab: Inside, server: Scripted) -> None:
    assert cost_of(lab, server, "-m", "lab/dear") == (0.00816, "list")
    server.will(Answer(answer("Hi.", usage=USAGE)))
    assert lab("chat", "-c", "-m", "lab/cheap", "hi").code == 0  # a pipe shows no cost
    (whole,) = [json.loads(lab("history", "show", "--json").out)]
    costs = [(turn["usage"]["cost"], turn["usage"]["cost_source"]) for turn in whole["transcript"]]
    assert costs == [(0.00816, "list"), (0.000256, "list")]
    exported = [json.loads(line) for line in lab("history", "export", "--format", "jsonl").text.splitlines()]
    assert [turn["usage"]["cost"] for turn in exported] == [0.00816, 0.000256]


def test_dry_run_estimates_the_cost(lab: Inside) -> None:
    def estimate(*arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(lab("chat", "--dry-run", *arguments, "x" * 4000).out)["estimate"]
        return found

    found = estimate("-m", "lab/dear")
    tokens = found["input_tokens"]
    assert 1000 <= tokens < 1020
    assert found == {
        "input_tokens": tokens, "output_tokens_at_most": None, "cost": tokens * 3 / 1e6, "cost_source": "list",
    }  # fmt: skip
    assert estimate("-m", "lab/dear", "--max-tokens", "100")["cost"] == pytest.approx(
        tokens * 3 / 1e6 + 0.0015
    )
    assert estimate("-m", "lab/plain")["cost"] is None


# --- lists ---------------------------------------------------------------------------------------------------


def names(telex: Inside, *arguments: str) -> list[str]:
    ran = telex("models", "list", "-P", "lab", *arguments)
    assert ran.code == 0, ran.err
    return [line.removeprefix("lab/") for line in ran.text.splitlines()]


def test_models_are_sorted_and_limited_by_price(lab: Inside) -> None:
    assert names(lab, "--sort", "price") == ["free", "cheap", "dear", "auto", "plain"]
    assert names(lab, "--max-price", "0.4") == ["cheap", "free"]
    assert names(lab, "--max-price", "0.39") == ["free"]
    assert names(lab, "--max-price", "0") == ["free"]
    assert lab("models", "list", "--max-price", "-1").code == 2
    everywhere = lab("models", "list", "--sort", "price").text.splitlines()
    places = [everywhere.index(each) for each in ("lab/cheap", "openai/gpt-4o-mini", "lab/dear", "lab/plain")]
    assert places == sorted(places), "models of all providers are sorted together"


def test_prices_in_json_and_on_the_card(lab: Inside) -> None:
    found = {row["model"]: row for row in json.loads(lab("models", "list", "--json").out)}
    assert found["dear"]["price"] == {
        "input": 3.0, "output": 15.0, "cached": 0.3, "cache_write": None, "reasoning": None, "request": None,
        "above": [], "batch": None,
    }  # fmt: skip
    assert (found["free"]["price"]["input"], found["free"]["price_source"]) == (0.0, "list")
    assert (found["auto"]["price"], found["auto"]["price_source"]) == (None, None)
    assert found["gpt-4o-mini"]["price"]["batch"]["input"] == 0.075
    assert json.loads(lab("models", "show", "lab/dear", "--json").out)["price"] == found["dear"]["price"]
    card = lab("models", "show", "lab/dear").text
    assert "  price          $3 in, $15 out, $0.3 cached per million tokens\n" in card
    assert "  price from     its server's list\n" in card
    assert "  price          free\n" in lab("models", "show", "lab/free").text
    assert "  price          unknown\n" in lab("models", "show", "lab/plain").text


def test_card_without_the_library_names_it(lab: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    assert "telex[prices]" in lab("models", "show", "lab/plain").text
    assert "unknown" in lab("models", "show", "openai/gpt-4o-mini").text
