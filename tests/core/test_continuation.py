"""Answers that are cut and continued: what is requested, how the parts are joined, and how they are recorded."""

from __future__ import annotations

import random
import re
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from provider_core import presets
from provider_core.chat import ChatPlan, ChatRun
from provider_core.chat.continuation import Rest
from provider_core.client import Client, OpenProvider
from provider_core.errors import BudgetError, NetworkError, ProtocolError, TokenLimitError
from provider_core.events import AnswerEnded, Approve, Continuing
from provider_core.prices import Cost
from provider_core.structs import replace
from provider_core.testing import FakeTransport, cut, refuses, says
from provider_core.tools.functions import FunctionTools
from provider_core.types import (
    Finished,
    Message,
    Prefill,
    Provider,
    Quirks,
    Request,
    Target,
    Text,
    Usage,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

LAB = Provider(name="lab", base_url="http://lab.test/v1", auth="none")
PREFIXING = replace(
    LAB, quirks=Quirks(prefill=Prefill(message={"prefix": True}, fields={"go": 1}, base_path="/beta"))
)
PROMPT = (Message(role="user", content="Tell me a story."),)
STORY = "Once upon a time, in a small house by the sea, there lived an old woman with two cats and a parrot."
END = " One day the parrot flew away, and did not come back until spring."


def run_of(*steps: Any, provider: Provider = LAB, **options: Any) -> tuple[ChatRun, FakeTransport]:
    network = FakeTransport(*steps)
    opened = OpenProvider(client=Client(network, sleep=lambda _: None), provider=provider)
    target = Target(provider=provider, model="m")
    names = ("continuations", "max_cost", "schema_retries", "continues")
    plan = ChatPlan(
        target=target,
        request=Request(
            model="m",
            messages=options.pop("messages", PROMPT),
            schema=options.pop("schema", None),
            max_tokens=options.pop("max_tokens", None),
        ),
        new_messages=() if options.get("continues") else PROMPT,
        **{"continuations": 5} | {name: options.pop(name) for name in names if name in options},
    )

    @contextmanager
    def open_provider(_: Target) -> Iterator[OpenProvider]:
        yield opened

    return ChatRun(plan, open_provider, **options), network


def test_rest_is_requested_and_what_it_repeats_is_removed() -> None:
    run, network = run_of(
        says(STORY, finish="length", usage={"prompt_tokens": 5, "completion_tokens": 20}),
        says(STORY[-60:] + END, usage={"prompt_tokens": 40, "completion_tokens": 15}),
        price=lambda _, usage: Cost(amount=Decimal(usage.output or 0), source="test"),
    )
    events = list(run)
    texts = [event.text for event in events if isinstance(event, Text)]
    assert "".join(texts) == run.answer.text == STORY + END
    assert run.answer.verdict is Verdict.COMPLETE
    assert run.answer.usage == Usage(input=45, output=35)
    assert run.answer.cost is not None
    assert run.answer.cost.amount == 35
    first, second = run.answer.parts
    assert (first.characters, first.finish, first.continuation) == (len(STORY), "length", None)
    assert second.continuation is not None
    assert (second.characters, second.continuation.how) == (len(END), "request")
    assert (second.continuation.seam, second.continuation.removed) == ("overlap", 60)
    assert run.messages == (*PROMPT, replace(run.messages[-1], content=STORY + END))
    assert [message["role"] for message in network.bodies[1]["messages"]] == ["user", "assistant", "user"]
    assert STORY[-40:] in network.bodies[1]["messages"][2]["content"]
    ended = [event for event in events if isinstance(event, AnswerEnded)]
    assert [(each.cause, each.goes_on) for each in ended] == [("", True), ("continuation", False)]
    assert [event.number for event in events if isinstance(event, Continuing)] == [1]


def test_broken_stream_is_continued() -> None:
    run, _ = run_of(says(STORY[:50], cut), says(STORY[20:50], STORY[50:]))
    list(run)
    assert (run.answer.text, run.answer.verdict) == (STORY, Verdict.COMPLETE)


def test_rest_that_breaks_while_it_repeats_is_not_doubled() -> None:
    run, _ = run_of(says(STORY, cut), says(STORY[-60:-20], cut))
    list(run)
    assert (run.answer.text, run.answer.verdict) == (STORY, Verdict.PARTIAL)
    assert isinstance(run.answer.error, NetworkError)


def test_prefix_is_sent_where_the_provider_takes_one() -> None:
    run, network = run_of(says(STORY, finish="length"), says(END), provider=PREFIXING)
    list(run)
    assert run.answer.text == STORY + END
    body, call = network.bodies[1], network.calls[1]
    assert body["messages"][-1] == {"role": "assistant", "content": STORY, "prefix": True}
    assert body["go"] == 1
    assert call.url == "http://lab.test/beta/chat/completions"
    assert network.calls[0].url == "http://lab.test/v1/chat/completions"


def test_rest_is_requested_if_the_prefix_is_refused() -> None:
    run, network = run_of(
        says(STORY, finish="length"),
        refuses(400, "Assistant response prefill is incompatible with enable_thinking."),
        says(STORY[-50:], END[:20], finish="length"),
        says(END[:20][-20:] + END[20:]),
        provider=PREFIXING,
    )
    list(run)
    assert run.answer.text == STORY + END
    assert [body["messages"][-1]["role"] for body in network.bodies] == ["user", "assistant", "user", "user"]


def test_prefix_that_was_complete_already_is_complete() -> None:
    run, _ = run_of(says(STORY, cut), says(""), says(""), says(""), provider=PREFIXING)
    list(run)
    assert (run.answer.text, run.answer.verdict, run.answer.error) == (STORY, Verdict.COMPLETE, None)


def test_answer_that_begins_again_is_not_doubled() -> None:
    again = STORY[:50] + "there was a fisherman who had nothing but a boat and a net." * 9
    run, _ = run_of(says(STORY, finish="length"), says(again))
    list(run)
    assert run.answer.text == STORY
    assert run.answer.verdict is Verdict.PARTIAL
    assert isinstance(run.answer.error, ProtocolError)
    assert run.answer.error.code == "restarted"
    assert run.messages[-1].content == STORY


def test_own_token_limit_is_an_error_after_the_last_continuation() -> None:
    run, network = run_of(*[says(f"part {n}. ", finish="length") for n in range(3)], continuations=2)
    list(run)
    assert len(network.calls) == 3
    assert run.answer.text == "part 0. part 1. part 2. "
    assert run.answer.verdict is Verdict.LENGTH
    assert isinstance(run.answer.error, TokenLimitError)


def test_nothing_new_ends_the_continuations() -> None:
    run, network = run_of(says(STORY, finish="length"), says(STORY[-40:], finish="length"), max_tokens=5)
    list(run)
    assert len(network.calls) == 2
    assert run.answer.text == STORY
    assert isinstance(run.answer.error, TokenLimitError)


def test_cost_limit_ends_the_continuations() -> None:
    run, network = run_of(
        says(STORY, finish="length", usage={"prompt_tokens": 5, "completion_tokens": 20}),
        max_cost=Decimal("0.5"),
        price=lambda _, usage: Cost(amount=Decimal(usage.output or 0), source="test"),
    )
    with pytest.raises(BudgetError):
        list(run)
    run.end(BudgetError("too much"))
    assert len(network.calls) == 1
    assert run.answer.text == STORY
    assert run.messages[-1].content == STORY


def test_failed_continuation_keeps_the_text() -> None:
    run, _ = run_of(says(STORY, finish="length"), refuses(401, "no"))
    with pytest.raises(Exception, match="no"):
        list(run)
    events = run.end(NetworkError("lost"))
    assert run.answer.text == STORY
    assert run.answer.error is not None
    assert len(events) == 2


@pytest.mark.parametrize(
    ("held", "new"), [("Then ", "Then "), *((part, "") for part in (STORY[-41:-36], STORY[:20], STORY[-60:]))]
)
def test_interrupted_seam_loses_and_doubles_nothing(held: str, new: str) -> None:
    run, _ = run_of(says(STORY, finish="length"), says(END))
    for event in run:
        if isinstance(event, Continuing):
            break
    next(iter(run))  # RequestStarted
    rest = run._rest
    assert rest is not None
    rest._seam.feed(held)
    assert [event.text for event in run.end() if isinstance(event, Text)] == ([new] if new else [])
    assert run.answer.text == STORY + new
    assert run.answer.verdict is Verdict.INTERRUPTED


def test_json_is_checked_when_it_is_whole() -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    run, network = run_of(says('{"age": 4', finish="length"), says("2}"), schema=schema, schema_retries=0)
    texts = [event.text for event in run if isinstance(event, Text)]
    assert (texts, run.answer.text) == (['{"age": 42}'], '{"age": 42}')
    assert run.answer.error is None
    assert "response_format" in network.bodies[0]
    assert "response_format" not in network.bodies[1]


def test_cut_tool_call_is_not_continued() -> None:
    tools = FunctionTools([lambda city: city])
    run, network = run_of(
        says("I look.", calls=[("weather", {"city": "Oslo"})], finish="length"), toolboxes=[tools]
    )
    list(run)
    assert len(network.calls) == 1
    assert run.answer.verdict is Verdict.LENGTH


def test_continued_json_that_does_not_match_is_retried() -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    run, network = run_of(
        says('{"age": "fort', finish="length"),
        says('y"}'),
        says('{"age": 40}'),
        schema=schema,
        schema_retries=1,
    )
    texts = [event.text for event in run if isinstance(event, Text)]
    assert (texts, run.answer.text, run.answer.error) == (['{"age": 40}'], '{"age": 40}', None)
    retry = network.bodies[2]
    assert [message["content"] for message in retry["messages"][:2]] == [
        PROMPT[0].content,
        '{"age": "forty"}',
    ]
    assert [message["role"] for message in retry["messages"]] == ["user", "assistant", "user"]
    assert "response_format" in retry


def test_rest_may_call_tools() -> None:
    tools = FunctionTools([weather])
    run, network = run_of(
        says("I will look at the", finish="length"),
        says("look at the weather.", calls=[("weather", {"city": "Oslo"})]),
        says("It rains."),
        toolboxes=[tools],
        approve=lambda _: Approve(),
    )
    list(run)
    assert run.answer.text == "I will look at the weather.\nIt rains."
    _, said, result = network.bodies[2]["messages"]
    assert said["content"] == "I will look at the weather."
    assert said["tool_calls"][0]["function"]["name"] == "weather"
    assert result["role"] == "tool"


def weather(city: str) -> str:
    return f"rain in {city}"


def test_answer_of_an_earlier_turn_is_continued() -> None:
    messages = (*PROMPT, Message(role="assistant", content=STORY))
    run, network = run_of(says(STORY[-30:] + END), messages=messages, continues=True)
    texts = [event.text for event in run if isinstance(event, Text)]
    assert "".join(texts) == run.answer.text == END
    assert run.messages == (*PROMPT, replace(run.messages[-1], content=STORY + END))
    assert network.bodies[0]["messages"][-1]["role"] == "user"


def joined(before: str, *pieces: str, prefix: bool = False) -> tuple[str, str]:
    """What is shown of the rest, and how it fits."""
    target = Target(provider=LAB, model="m")
    request = Request(model="m", messages=PROMPT)
    rest = Rest(request, target, Message(role="assistant", content=before), prefix=prefix)
    events = rest.events([*(Text(text=piece) for piece in pieces), Finished(verdict=Verdict.COMPLETE)])
    shown = "".join(event.text for event in events if isinstance(event, Text))
    return shown, rest._seam.kind


FENCED = "Here it is:\n\n```python\ndef double(number):\n    return number"


@pytest.mark.parametrize(
    ("before", "rest", "shown", "seam"),
    [
        (STORY, STORY + END, END, "overlap"),
        (STORY, STORY[-20:] + END, END, "overlap"),
        (STORY, f"\n\n{STORY[-30:]}{END}", END, "overlap"),
        (STORY, f"...{STORY[-30:]}{END}", END, "overlap"),
        (STORY, f"Here is the rest:\n\n{STORY[-80:].partition(' ')[2]}{END}", END, "overlap"),
        (STORY, END, END, "unverified"),
        (STORY, "", "", "unverified"),
        (f"{STORY}\n", STORY[-30:], "", "overlap"),
        ("I live by the sea. I love ", "the sea.", "the sea.", "unverified"),
        ("Hello, wor", "ld!", "ld!", "unverified"),
        ("Hello, wor", "world!", "ld!", "overlap"),
        ("one two three four five", "five six", " six", "overlap"),
        ("It was very ", "very good.", "very good.", "unverified"),
        ("It was very", " very good.", " very good.", "unverified"),
        ("Hello, wor", "Hello, world!", "ld!", "overlap"),
        ("no, no, no, no, ", "no, no, no, no, yes", "yes", "overlap"),
        (FENCED, "```python\n    return number * 2\n```", " * 2\n```", "overlap"),
        (FENCED, "```python\n * 2\n```", " * 2\n```", "unverified"),
        (STORY, STORY[:60] + "and so on" * 40, "", "restart"),
        (STORY, STORY[:60], "", "restart"),
    ],
)
def test_text_is_joined_at_its_seam_in_pieces_of_any_size(
    before: str, rest: str, shown: str, seam: str
) -> None:
    for size in (1, 7, 10_000):
        pieces = [rest[at : at + size] for at in range(0, len(rest), size)]
        assert joined(before, *pieces) == (shown, seam)


@pytest.mark.parametrize(
    ("before", "rest", "shown", "seam"),
    [
        (STORY, END, END, "exact"),
        (STORY, STORY + END, END, "overlap"),
        ("a,b\n1,2\n1,2\n", "1,2\n1,2\n", "1,2\n1,2\n", "exact"),
        (STORY, STORY[-40:], STORY[-40:], "exact"),
        (STORY, STORY[:60] + " and a dog", "", "restart"),
    ],
)
def test_seams_after_a_prefix(before: str, rest: str, shown: str, seam: str) -> None:
    for size in (1, 7, 10_000):
        pieces = [rest[at : at + size] for at in range(0, len(rest), size)]
        assert joined(before, *pieces, prefix=True) == (shown, seam)


def test_nothing_but_the_beginning_of_the_rest_is_removed() -> None:
    """Of texts that repeat themselves in all ways, and however they arrive."""
    chance = random.Random(5)
    words = ("a ", "b", "na ", "\n", "```", "```py\n", " ", "…", "é", "the sea ")
    target = Target(provider=LAB, model="m")
    request = Request(model="m", messages=PROMPT)
    for _ in range(300):
        before, new = ("".join(chance.choices(words, k=chance.randint(1, 150))) for _ in range(2))
        at = chance.randint(0, len(before))
        after = chance.choice((before[at:], before[:at], "", before)) + new
        for prefix in (False, True):
            found = set()
            for size in (1, 5, len(after)):
                rest = Rest(request, target, Message(role="assistant", content=before), prefix=prefix)
                pieces = [Text(text=after[at : at + size]) for at in range(0, len(after), size)]
                events = rest.events([*pieces, Finished(verdict=Verdict.COMPLETE)])
                shown = "".join(event.text for event in events if isinstance(event, Text))
                assert shown == after[rest._seam.removed :]
                found.add((shown, rest._seam.kind))
            assert len(found) == 1


def test_long_periodic_texts_take_no_long_time() -> None:
    shown, _ = joined("na " * 300_000, *["na " * 10] * 30_000, "batman")
    assert shown.endswith("batman")


def test_the_documents_name_the_presets_with_a_prefix() -> None:
    text = (Path(__file__).parents[2] / "docs" / "providers.md").read_text("utf-8")
    section = text.partition("## Answers that are cut")[2].partition("the embedded model")[0]
    able = {preset.id for preset in presets.all_presets() if preset.quirks.prefill is not None}
    assert able == {*re.findall(r"`(\w[\w-]*)`", section)}
