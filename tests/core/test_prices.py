"""What answers cost: worked examples of many vendors, and where the price of a model is taken from."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from provider_core import presets
from provider_core.catalog import fill
from provider_core.catalog._parse import parse_models
from provider_core.events import Answer, merge_answers
from provider_core.prices import Cost, Price, Prices, _preset_rows, add_costs
from provider_core.stream.extras import read_usage, with_cost
from provider_core.types import Model, Provider, Target, Usage, Verdict

if TYPE_CHECKING:
    from pathlib import Path

# --- worked examples -----------------------------------------------------------------------------------------


def openai(prompt: int, output: int, **more: Any) -> dict[str, Any]:
    """A usage object in OpenAI's form. Details: cached, written, reasoning."""
    inside = {"cached_tokens": more.pop("cached", 0), **more.pop("inside", {})}
    outside = {"reasoning_tokens": more.pop("reasoning", 0)}
    return {
        "prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output,
        "prompt_tokens_details": inside, "completion_tokens_details": outside, **more,
    }  # fmt: skip


GPT_5_4 = {"input": "2.5", "cached": "0.25", "output": "15", "batch_input": "1.25", "batch_output": "7.5",
           "above": [{"tokens": 272_000, "input": "5", "cached": "0.5", "output": "22.5"}]}  # fmt: skip
GPT_5_6 = {"input": "4", "cached": "0.4", "cache_write": "5", "output": "20"}
MINI = {"input": "0.15", "cached": "0.075", "output": "0.6", "batch_input": "0.075", "batch_output": "0.3"}
GEMINI_PRO = {"input": "1.25", "cached": "0.125", "output": "10", "batch_input": "0.625", "batch_output": "5",
              "above": [{"tokens": 200_000, "input": "2.5", "cached": "0.25", "output": "15"}]}  # fmt: skip
LONG = {"tokens": 200_000, "input": "6", "cached": "0.6", "cache_write": "7.5", "output": "22.5"}
SONNET = {"input": "3", "cached": "0.3", "cache_write": "3.75", "output": "15", "above": [LONG]}
DEEPSEEK = {"input": "0.27", "cached": "0.07", "output": "1.1"}
GROK = {"input": "3", "cached": "0.75", "output": "15"}
QWEN = {"input": "0.4", "cached": "0.04", "cache_write": "0.5", "output": "1.2", "reasoning": "4"}
SONAR = {"input": "3", "output": "15", "request": "0.014"}
FREE = {"input": "0", "output": "0"}

OPENAI, ANTHROPIC = "platform.openai.com/docs/pricing", "platform.claude.com/docs/en/about-claude/pricing"
GOOGLE, XAI, ALIBABA = (
    "ai.google.dev/gemini-api/docs/pricing",
    "docs.x.ai/docs/models",
    "alibabacloud.com/help/model-studio",
)
OPENROUTER = "openrouter.ai/docs/use-cases/usage-accounting"

EXAMPLES: list[tuple[str, dict[str, Any] | None, dict[str, Any], str | None]] = [
    # Plain tokens.
    (OPENAI, MINI, openai(1000, 500), "0.00045"),
    (OPENAI, MINI, openai(1, 1), "0.00000075"),
    (OPENAI, GPT_5_4, openai(0, 0), "0"),
    ("docs.mistral.ai", {"input": "2", "output": "6"},
     {"prompt_tokens": 31, "total_tokens": 98, "completion_tokens": 67}, "0.000464"),
    ("cohere.com/pricing", {"input": "2.5", "output": "10"}, openai(123_457, 7_891), "0.3875525"),
    ("inference-docs.cerebras.ai", {"input": "0.35", "output": "0.75"}, openai(777, 333), "0.0005217"),
    ("fireworks.ai/pricing", {"input": "0.15", "cached": "0.015", "output": "0.6"}, openai(4096, 1, cached=4095),
     "0.000062175"),
    # Cached input, which is a part of the prompt.
    (OPENAI, GPT_5_4, openai(2006, 300, cached=1920), "0.005195"),
    ("api-docs.deepseek.com/quick_start/pricing", DEEPSEEK,
     {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050, "prompt_cache_hit_tokens": 640,
      "prompt_cache_miss_tokens": 360}, "0.000197"),
    ("platform.moonshot.ai/docs/pricing", {"input": "0.95", "cached": "0.16", "output": "4"},
     {"prompt_tokens": 900, "completion_tokens": 100, "total_tokens": 1000, "cached_tokens": 512}, "0.00085052"),
    ("console.groq.com/docs/models", {"input": "0.15", "cached": "0.075", "output": "0.6"},
     openai(2048, 128, cached=1024, queue_time=0.01, total_time=0.2), "0.0003072"),
    ("docs.together.ai", {"input": "0.15", "output": "0.6"}, openai(1000, 0, cached=500), "0.00015"),
    ("docs.mistral.ai (num_cached_tokens)", {"input": "2", "cached": "0.2", "output": "6"},
     {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110, "num_cached_tokens": 64}, "0.0001448"),
    # Cached input outside of the prompt: Anthropic's own names; with OpenAI's names beside them, it is inside.
    (ANTHROPIC, SONNET, {"input_tokens": 21, "cache_read_input_tokens": 188_086, "cache_creation_input_tokens": 0,
                         "output_tokens": 393}, "0.0623838"),
    (ANTHROPIC, SONNET, {"input_tokens": 50, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 1800,
                         "output_tokens": 500}, "0.0144"),
    (ANTHROPIC, SONNET, {"input_tokens": 50, "cache_creation_input_tokens": 1800, "output_tokens": 500}, "0.0144"),
    ("docs.litellm.ai (Anthropic behind it)", SONNET,
     {"prompt_tokens": 2100, "completion_tokens": 500, "total_tokens": 2600, "cache_read_input_tokens": 1800,
      "cache_creation_input_tokens": 200}, "0.00909"),
    # Cache writes.
    (OPENAI, GPT_5_6, openai(10_000, 100, cached=2000, inside={"cache_write_tokens": 7000}), "0.0418"),
    (ALIBABA, QWEN, openai(3019, 104, cached=2048, inside={"cache_creation_input_tokens": 900}), "0.00068512"),
    # Reasoning inside of the output, with and without a price of its own.
    (OPENAI, {"input": "2", "cached": "0.5", "output": "8"}, openai(75, 1186, reasoning=1024), "0.009638"),
    (ALIBABA, QWEN, openai(100, 900, reasoning=700), "0.00308"),
    # Reasoning outside of the output: only the total contains it.
    (XAI, GROK, {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135,
                 "prompt_tokens_details": {"cached_tokens": 6},
                 "completion_tokens_details": {"reasoning_tokens": 94}}, "0.0016275"),
    (GOOGLE, GEMINI_PRO, {"promptTokenCount": 10, "candidatesTokenCount": 20, "thoughtsTokenCount": 300,
                          "totalTokenCount": 330}, "0.0032125"),
    (GOOGLE, GEMINI_PRO, {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 330}, "0.0032125"),
    # Prices that depend on the length of the prompt: the boundary belongs to the lower one.
    (GOOGLE, GEMINI_PRO, openai(200_000, 1000), "0.26"),
    (GOOGLE, GEMINI_PRO, openai(200_001, 1000, cached=100_000), "0.2900025"),
    (ANTHROPIC, SONNET, {"input_tokens": 100_000, "cache_read_input_tokens": 100_001, "output_tokens": 10,
                         "cache_creation_input_tokens": 0}, "0.6602256"),
    (OPENAI, GPT_5_4, openai(300_000, 1), "1.5000225"),
    # Fees for each request.
    ("docs.perplexity.ai/getting-started/pricing", SONAR, openai(14, 210), "0.017192"),
    # Free is a price; unknown is not 0.
    ("openrouter.ai (a model with :free)", FREE, openai(5000, 5000), "0"),
    ("openrouter.ai/api/v1/models (openrouter/auto)", None, openai(5000, 5000), None),
    ("a server without token counts", MINI, {}, None),
    ("a server that counts the output only", MINI, {"completion_tokens": 5}, None),
    ("docs.siliconflow.cn", {"input": "0.5"}, openai(10, 10), None),
    ("an embedding, which has no output", {"input": "0.02"}, openai(10, 0), "0.0000002"),
    # What the server says that it cost.
    (OPENROUTER, MINI, openai(194, 2, cost=0.95, cost_details={"upstream_inference_cost": None}), "0.95"),
    (OPENROUTER, MINI, openai(194, 2, cost=0.95, is_byok=True, cost_details={"upstream_inference_cost": 19}), "19.95"),
    (OPENROUTER, MINI, openai(194, 2, cost=0.0000001, is_byok=False, cost_details={"upstream_inference_cost": 1e-7}),
     "0.0000001"),
    (OPENROUTER, MINI, openai(194, 2, cost=0), "0"),
    ("deepinfra.com/docs", MINI, openai(15, 16, estimated_cost=6.99e-06), "0.00000699"),
    ("docs.perplexity.ai/api-reference", SONAR,
     openai(14, 210, cost={"input_tokens_cost": 0.00004, "request_cost": 0.006, "total_cost": 0.0091}), "0.0091"),
    ("docs.x.ai/developers/cost-tracking", GROK, openai(199, 1, cost_in_usd_ticks=37_756_000), "0.0037756"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("vendor", "price", "usage", "dollars"), EXAMPLES, ids=[f"{n}-{e[0]}" for n, e in enumerate(EXAMPLES)]
)
def test_costs_equal_the_examples_of_the_vendors(
    vendor: str, price: dict[str, Any] | None, usage: dict[str, Any], dollars: str | None
) -> None:
    counts = read_usage({"usage": usage}) or Usage()
    found = Prices(lambda *_: price)(Target(provider=Provider(name="lab"), model="m"), counts)
    assert (found and found.amount) == (None if dollars is None else Decimal(dollars)), vendor


@pytest.mark.parametrize(
    ("price", "usage", "dollars"),
    [
        (MINI, openai(1000, 500), "0.000225"),
        (GPT_5_4, openai(1000, 500, cached=400), "0.005"),  # no discount beyond that of the batch is known
        (GEMINI_PRO, openai(200_001, 1), None),  # only the price of short prompts is known
        (SONNET, openai(1000, 500), None),
    ],
)
def test_a_batch_has_the_price_of_batches_if_it_is_known(
    price: dict[str, Any], usage: dict[str, Any], dollars: str | None
) -> None:
    counts = read_usage({"usage": usage})
    assert counts is not None
    assert Price.read(price).cost(counts, batch=True) == (None if dollars is None else Decimal(dollars))


@pytest.mark.parametrize(
    ("chunk", "choice"),
    [
        ({}, {"delta": {"provider_metadata": {"gateway": {"cost": "0.0045405"}}}}),
        ({}, {"message": {"provider_metadata": {"gateway": {"cost": "0.0045405"}}}}),
        ({"provider_metadata": {"gateway": {"cost": "0.0045405"}}}, None),
        ({"x_nanogpt_pricing": {"amount": 0.0045405, "currency": "USD"}}, None),
    ],
)
def test_costs_next_to_the_usage_are_read(chunk: dict[str, Any], choice: Any) -> None:
    found = read_usage({**chunk, "usage": openai(3, 4)}, choice)
    assert found is not None
    assert (found.input, found.cost) == (3, Decimal("0.0045405"))
    assert read_usage({"x_nanogpt_pricing": {"amount": 3, "currency": "XNO"}}) is None


@pytest.mark.parametrize("bad", ["", "0.0", "-1", "nan", "inf", "free", "1e99", "$5", "\u0663x"])
def test_header_without_a_cost_is_ignored(bad: str) -> None:
    assert with_cost(Usage(input=1), bad) == Usage(input=1)
    assert with_cost(None, "0.25") == Usage(cost=Decimal("0.25"))
    assert with_cost(Usage(cost=Decimal(1)), "0.25") == Usage(cost=Decimal(1))


@pytest.mark.parametrize("text", ["1e-99999999", "0." + "0" * 50 + "1", "0." + "3" * 100_000, 10**400])
def test_digits_of_a_hostile_cost_are_limited(text: Any) -> None:
    found = read_usage({"usage": openai(3, 4, cost=text)})
    assert found is not None
    assert found.cost is None or len(f"{found.cost:f}") < 60


# --- sums ----------------------------------------------------------------------------------------------------


def cost(amount: str, source: Any = "server", **more: bool) -> Cost:
    return Cost(amount=Decimal(amount), source=source, **more)


def test_sums_are_exact_and_say_what_is_missing() -> None:
    assert add_costs([]) is None
    assert add_costs([None, None]) is None
    assert add_costs([cost("0.1"), cost("0.2")]) == cost("0.3")
    assert add_costs([cost("0.1"), None]) == cost("0.1", partial=True)
    assert add_costs([cost("0.1", partial=True), cost("0", "list", estimate=True)]) == cost(
        "0.1", "mixed", partial=True, estimate=True
    )


def test_a_request_that_failed_before_any_answer_costs_nothing() -> None:
    def answer(**more: Any) -> Answer:
        target = Target(provider=Provider(name="lab"), model="m")
        return Answer(**{"target": target, "verdict": Verdict.COMPLETE, "text": "x", **more})

    failed = answer(verdict=Verdict.FAILED, text="")
    assert merge_answers([answer(cost=cost("0.1")), failed]).cost == cost("0.1")
    interrupted = answer(verdict=Verdict.INTERRUPTED)
    assert merge_answers([answer(cost=cost("0.1")), interrupted]).cost == cost("0.1", partial=True)
    assert merge_answers([failed, failed]).cost is None


# --- where a price is from -----------------------------------------------------------------------------------

USAGE = Usage(input=1_000_000, output=1_000_000)


def preset_target(preset: str, model: str, url: str = "") -> Target:
    base_url = url or presets.get(preset).base_url  # type: ignore[union-attr]
    return Target(provider=Provider(name="own", preset=preset, base_url=base_url), model=model)


def test_the_order_of_sources() -> None:
    table: dict[str, Any] = {}
    prices = lambda: Prices(lambda _, model: table.get(model))  # noqa: E731 - a price is looked up once
    gpt = preset_target("openai", "gpt-4o-mini")
    assert prices().cost(gpt, USAGE) == cost("0.75", "genai-prices")
    table["gpt-4o-mini"] = {"input": "1", "output": "2"}
    assert prices().cost(gpt, USAGE) == cost("3", "list")
    table["gpt-4o-mini"] |= {"output": "4", "source": "settings"}
    assert prices().cost(gpt, USAGE) == cost("5", "settings")
    assert prices()(gpt, Usage(input=1, output=1, cost=Decimal("0.5"))) == cost("0.5", "server")
    table["gpt-4o-mini"] = {"cached": "0", "source": "settings"}
    cached = Usage(input=1_000_000, output=1_000_000, cached=1_000_000)
    assert prices().cost(gpt, cached) == cost("0.6", "settings"), "the rest is from the next source"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (preset_target("qwen", "Qwen-Plus"), cost("1.6", "preset")),
        (preset_target("openai", "gpt-4o-mini", "http://127.0.0.1:4000/v1"), cost("0.75", "genai-prices")),
        (preset_target("openrouter", "openai/gpt-oss-20b:free"), cost("0", "genai-prices")),
        (preset_target("kimi-cn", "kimi-k2.6"), None),  # billed in yuan
        (preset_target("openai", "no-such-model"), None),
        (
            Target(provider=Provider(name="lab", base_url="http://127.0.0.1:8000/v1"), model="gpt-4o-mini"),
            None,
        ),
        (Target(provider=Provider(name="local", embedded=True), model="m"), cost("0", "local")),
    ],
)
def test_price_of_a_model_that_no_list_has(target: Target, expected: Cost | None) -> None:
    assert Prices(lambda *_: None).cost(target, USAGE) == expected


def test_own_table_has_complete_prices_of_presets() -> None:
    rows = _preset_rows()
    assert {"qwen", "zhipu"} <= rows.keys()
    for preset, models in rows.items():
        assert presets.get(preset) is not None, preset
        for model, row in models.items():
            price = Price.read(row)
            assert price.is_complete, model
            assert price.input or price.output, f"{model}: 0 in the source of the table means unknown"


def test_the_time_of_the_request_decides_its_price() -> None:
    deepseek = preset_target("deepseek", "deepseek-reasoner")
    prices = Prices(lambda *_: None)
    peak, night = 1_740_000_000.0, 1_740_000_000.0 + 7 * 3600  # 21:20 and 04:20 UTC
    assert prices.cost(deepseek, USAGE, at=peak) != prices.cost(deepseek, USAGE, at=night)


def test_prices_are_saved_for_the_day(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "prices.json"
    gpt = preset_target("openai", "gpt-5.4")
    first = Prices(lambda *_: None, saved=file)
    price = first.price(gpt)
    first.close()
    saved = json.loads(file.read_text())
    (key,) = saved["prices"]
    saved["prices"][key]["input"] = "7"
    file.write_text(json.dumps(saved))
    again = Prices(lambda *_: None, saved=file)
    changed = again.price(gpt)
    assert price is not None
    assert changed is not None
    assert (changed.price.input, changed.price.batch) == (
        7,
        price.price.batch,
    )  # read, and not asked for again
    for damaged in (
        json.dumps({**saved, "prices": {key: {"input": [], "output": {}, "above": [5, {"tokens": "x"}]}}}),
        "",
        "{}",
        "[]",
        json.dumps({**saved, "from": ["another release"]}),
        json.dumps({**saved, "prices": 1}),
    ):
        file.write_text(damaged)
        assert Prices(lambda *_: None, saved=file).price(gpt) == price


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    prices = Prices(lambda *_: None)
    assert prices.lacks_library
    prices.prepare(preset_target("openai", "gpt-4o-mini"))
    assert prices.cost(preset_target("openai", "gpt-4o-mini"), USAGE) is None
    assert prices.cost(preset_target("qwen", "qwen-plus"), USAGE) == cost("1.6", "preset")


@pytest.mark.parametrize(
    ("preset", "entry", "price"),
    [
        ("openrouter", {"pricing": {"prompt": "0.0000025", "completion": "0.00001", "request": "0.01", "image": "0.003",
                                    "input_cache_read": "0.00000025", "internal_reasoning": "0"}},
         {"input": "2.5", "output": "10", "cached": "0.25", "request": "0.01"}),
        ("openrouter", {"pricing": {"prompt": "0", "completion": "0"}}, {"input": "0", "output": "0"}),
        ("openrouter", {"pricing": {"prompt": "-1", "completion": "-1"}}, None),
        ("", {"pricing": {"prompt": "$0.00000055", "completion": "$0.00000219"}}, {"input": "0.55", "output": "2.19"}),
        ("", {"pricing": {"prompt": 0.55, "completion": 2.19}}, None),  # the unit is unknown
        ("", {"pricing": {"prompt": "2.5", "completion": "10"}}, None),  # more than a million dollars
        ("", {"pricing": {"prompt": "0.000001"}}, None),
        ("chutes", {"pricing": {"prompt": 0.2, "completion": 0.8, "input_cache_read": 0.1}},
         {"input": "0.2", "output": "0.8", "cached": "0.1"}),
        ("together", {"pricing": {"hourly": 0, "input": 0.18, "output": 0.59, "base": 0}},
         {"input": "0.18", "output": "0.59"}),
        ("deepinfra", {"metadata": {"pricing": {"input_tokens": 0.27, "output_tokens": 1.1, "cache_read_tokens": 0.2}}},
         {"input": "0.27", "output": "1.1", "cached": "0.2"}),
        ("novita", {"input_token_price_per_m": 2690, "output_token_price_per_m": 4000,
                    "pricing": {"input_cache_read": {"price_per_m": 1345}}},
         {"input": "0.269", "output": "0.4", "cached": "0.1345"}),
        ("venice", {"model_spec": {"pricing": {"input": {"usd": 0.15, "diem": 0.15}, "output": {"usd": 0.6}}}},
         {"input": "0.15", "output": "0.6"}),
        ("vercel", {"pricing": {"input": "0.0000003", "output": "0.0000025", "input_cache_write": "0.000000375"}},
         {"input": "0.3", "output": "2.5", "cache_write": "0.375"}),
        ("vercel", {"pricing": {"input": "0.0000003", "output": "0.0000025", "input_tiers": [{"max": 1}, {"min": 1}]}},
         None),
        ("huggingface", {"providers": [{"pricing": {"input": 0.2, "output": 0.6}}, {"provider": "x"}]},
         {"input": "0.2", "output": "0.6"}),
        ("huggingface", {"providers": [{"pricing": {"input": 0.2, "output": 0.6}},
                                       {"pricing": {"input": 0.3, "output": 0.6}}]}, None),
        ("aihubmix", {"pricing": {"input": 1.25, "output": 10, "cache_read": 0.125}},
         {"input": "1.25", "output": "10", "cached": "0.125"}),
        ("openrouter", {"pricing": "free"}, None),
        ("openrouter", {"pricing": {"prompt": ["1"], "completion": {}}}, None),
    ],
)  # fmt: skip
def test_prices_in_lists_of_models(preset: str, entry: dict[str, Any], price: dict[str, str] | None) -> None:
    (model,) = parse_models([{"id": "m", **entry}], presets.get(preset))
    assert model.price == price


@pytest.mark.parametrize(
    "bad", [None, "", "free", "-1", "nan", "inf", "1e9", True, [], {}, "1,5", "1e-99999999", "0." + "1" * 50]
)
def test_amounts_that_are_not_valid_are_unknown(bad: Any) -> None:
    assert Price.read({"input": bad, "output": "1"}).input is None
    assert Price.read({"input": f"1.{'0' * 38}"}).input == 1, "40 characters are read"


@pytest.mark.parametrize("damaged", ["x", 5, [1], {"input": []}])
def test_damaged_price_in_a_saved_list_is_unknown(damaged: Any) -> None:
    found = fill(Model(id="m", price={"input": "1", "source": "settings"}), Model(id="m", price=damaged))
    assert Price.read(found.price).input == 1
    assert Prices(lambda *_: damaged).price(preset_target("openai", "no-such-model")) is None
