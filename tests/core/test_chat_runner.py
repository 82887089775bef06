"""One chat turn: the order of its events, schema retries, early ends; and several turns at once."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from provider_core.chat import ChatPlan, ChatRun
from provider_core.chat.fallback import Fallback
from provider_core.chat.parallel import ParallelRuns
from provider_core.client import Client, OpenProvider
from provider_core.errors import (
    ConnectError,
    CoreError,
    MissingKeyError,
    SchemaMismatchError,
    ServerError,
    ToolRefusedError,
)
from provider_core.events import (
    Answer,
    AnswerEnded,
    ChatEnded,
    PlannedCall,
    Refuse,
    RequestStarted,
    SchemaRetry,
)
from provider_core.testing import FakeTransport, Scripted, cut, refuses, says
from provider_core.tools.functions import FunctionTools
from provider_core.types import Image, Message, Provider, Request, Target, Text, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.events import Event

LAB = Provider(name="lab", base_url="http://lab.test/v1", auth="none")
TARGET = Target(provider=LAB, model="m")
EARLIER = (Message(role="user", content="1?"), Message(role="assistant", content="one"))
NEW = (Message(role="user", content="2?"),)
AGE = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


def weather(city: str) -> str:
    return f"rain in {city}"


CALL = says("\n\n", calls=[("weather", {"city": "Oslo"})])


def run_of(*steps: Any, target: Target = TARGET, **options: Any) -> ChatRun:
    """A run over a scripted network; ``schema`` is checked, all else is ChatRun's."""
    opened = OpenProvider(
        client=Client(FakeTransport(*steps), sleep=lambda _: None), provider=target.provider
    )
    schema = options.pop("schema", None)
    plan = ChatPlan(
        target=target,
        request=Request(model=target.model, messages=(*EARLIER, *NEW), schema=schema),
        new_messages=NEW,
        schema_retries=options.pop("retries", 1) if schema else None,
        max_turns=options.pop("max_turns", 10),
    )
    return ChatRun(plan, options.pop("open_provider", lambda _: nullcontext(opened)), **options)


def texts(events: Any) -> list[str]:
    return [event.text for event in events if isinstance(event, Text)]


def names(events: Any) -> list[str]:
    return [type(event).__name__ for event in events]


def last_answer(events: Any) -> Answer:
    last = list(events)[-1]
    assert isinstance(last, ChatEnded)
    return last.answer


def until(run: ChatRun, kind: type[Event], times: int = 1) -> list[Event]:
    """The events up to the one of this kind."""
    seen: list[Event] = []
    for event in run:
        seen.append(event)
        times -= isinstance(event, kind)
        if not times:
            break
    return seen


# --- one answer --------------------------------------------------------------------------------------------


def test_a_turn_has_all_events_in_order_and_continues_the_conversation() -> None:
    notices: list[Event] = []
    run = run_of(says("Hel", "lo"), notify=notices.append)
    events = list(run)
    assert names(events) == [
        "Connecting", "RequestStarted", "Text", "Text", "Finished", "AnswerEnded", "ChatEnded"
    ]  # fmt: skip
    assert names(notices) == ["Sent"]
    assert last_answer(events) == run.answer == run.answers[0]
    assert (run.answer.text, run.answer.verdict) == ("Hello", Verdict.COMPLETE)
    assert run.messages == (*EARLIER, *NEW, run.answer.message())
    started, ended = events[1], events[-2]
    assert isinstance(started, RequestStarted)
    assert isinstance(ended, AnswerEnded)
    assert started.new_messages == ended.new_messages == NEW
    assert run.end() == ()


def test_blank_text_is_passed_on_without_tools() -> None:
    assert texts(run_of(says("\n\n", "x"))) == ["\n\nx"]


def test_a_cut_answer_ends_the_turn_with_its_verdict() -> None:
    run = run_of(says("Hel", cut))
    answer = last_answer(run)
    assert (answer.text, answer.verdict) == ("Hel", Verdict.PARTIAL)
    assert run.messages[-1].content == "Hel"


def test_a_received_image_is_saved_before_it_is_passed_on() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    whole = {"choices": [{"message": {"content": "x", "images": [image]}, "finish_reason": "stop"}]}
    step = Scripted(body=[json.dumps(whole).encode()], headers={"content-type": "application/json"})
    saved = Image(url="data:,", file="/tmp/a.png")
    run = run_of(step, save_image=lambda image: saved)
    assert [event for event in run if isinstance(event, Image)] == [saved]
    assert run.answer.images == (saved,)


def test_hold_is_entered_while_an_event_of_the_answer_is_handled() -> None:
    held: list[bool] = []

    class Hold:
        def __enter__(self) -> None:
            held.append(True)

        def __exit__(self, *_: object) -> None:
            held.pop()

    seen = [(type(event).__name__, bool(held)) for event in run_of("Hello", hold=Hold())]
    assert [name for name, inside in seen if inside] == ["Text", "Finished", "AnswerEnded", "ChatEnded"]


# --- an early end ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [None, ConnectError("no way")], ids=["stopped", "failed"])
def test_an_early_end_has_what_came_so_far(error: CoreError | None) -> None:
    run = run_of(says("Hel", "lo"))
    until(run, Text)
    assert (run.answer.text, run.answer.verdict) == ("Hel", Verdict.INTERRUPTED)
    ended, last = run.end(error)
    assert isinstance(ended, AnswerEnded)
    verdict = Verdict.INTERRUPTED if error is None else Verdict.FAILED
    for answer in (ended.answer, last_answer([last]), run.answer):
        assert (answer.text, answer.verdict, answer.error) == ("Hel", verdict, error)
    assert run.messages == (*EARLIER, *NEW, run.answer.message())
    assert run.end() == ()


def test_unwritten_characters_do_not_count() -> None:
    run = run_of(says("Hel", "lo"))
    until(run, Text, times=2)
    assert last_answer(run.end(unwritten=3)).text == "He"
    assert run.messages[-1].content == "He"


def test_a_turn_without_an_answer_is_not_part_of_the_conversation() -> None:
    run = run_of(refuses(500, "broken"))
    with pytest.raises(ServerError) as caught:
        list(run)
    ended, last = run.end(caught.value)
    assert isinstance(ended, AnswerEnded)
    assert ended.new_messages == NEW
    assert (last_answer([last]).error, last_answer([last]).verdict) == (caught.value, Verdict.FAILED)
    assert run.messages == EARLIER


def test_a_provider_that_cannot_be_opened_ends_the_turn_before_its_first_request() -> None:
    @contextmanager
    def failing(target: Target) -> Iterator[OpenProvider]:
        raise MissingKeyError("no key", provider=target.provider.name)
        yield

    run = run_of("x", open_provider=failing)
    with pytest.raises(MissingKeyError) as caught:
        list(run)
    assert names(run.end(caught.value)) == ["AnswerEnded", "ChatEnded"]


def test_a_stop_between_the_end_of_the_answer_and_the_end_of_the_turn_changes_nothing() -> None:
    run = run_of("Hello")
    until(run, AnswerEnded)
    assert last_answer(run.end()).verdict is Verdict.COMPLETE


# --- JSON --------------------------------------------------------------------------------------------------


def test_text_that_must_match_a_schema_is_yielded_once_and_checked() -> None:
    run = run_of(says("```json\n", '{"age"', ": 4}\n```"), schema=AGE)
    events = list(run)
    assert texts(events) == ['{"age": 4}'] == [run.answer.text]
    assert names(events)[-4:] == ["Text", "Finished", "AnswerEnded", "ChatEnded"]
    assert run.messages[-1].content == '```json\n{"age": 4}\n```'


def test_an_answer_that_does_not_match_is_asked_for_again() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    run = run_of(says('{"age": "x"}', usage=usage), says('{"age": 4}', usage=usage), schema=AGE)
    events = list(run)
    assert texts(events) == ['{"age": 4}'] == [run.answer.text]
    (retry,) = [event for event in events if isinstance(event, SchemaRetry)]
    assert "'x' is not of type 'integer'" in retry.error.message
    _, again = [event for event in events if isinstance(event, RequestStarted)]
    assert [message.role for message in again.request.messages[-3:]] == ["user", "assistant", "user"]
    assert again.new_messages == again.request.messages[-1:]
    assert [message.role for message in run.messages[-4:]] == ["user", "assistant", "user", "assistant"]
    assert run.answer.usage is not None
    assert run.answer.usage.input == 6, "all requests are paid for"


@pytest.mark.parametrize(
    ("steps", "texts_", "requests"),
    [((says("no"), says("never")), ["never"], 2), ((says('{"age":', finish="length"),), ['{"age":'], 1)],
    ids=["no retry left", "cut by the token limit"],
)
def test_last_mismatch_is_shown_and_fails(steps: Any, texts_: list[str], requests: int) -> None:
    run = run_of(*steps, schema=AGE)
    events = list(run)
    assert (texts(events), names(events).count("RequestStarted")) == (texts_, requests)
    assert run.answer.verdict is Verdict.FAILED
    assert isinstance(run.answer.error, SchemaMismatchError)
    assert run.answer.error.provider == "lab"


def test_json_with_tools_is_the_last_text() -> None:
    run = run_of(CALL, '{"age": 4}', schema=AGE, toolboxes=[FunctionTools([weather])])
    assert texts(run) == ['{"age": 4}'] == [run.answer.text]
    assert len(run.answer.tool_calls) == 1


# --- tools -------------------------------------------------------------------------------------------------


def test_blank_text_before_a_tool_call_is_held_back() -> None:
    run = run_of(CALL, says("\n", "It", " rains."), toolboxes=[FunctionTools([weather])])
    assert texts(run) == ["\nIt", " rains."]
    assert run.answer.text == "\nIt rains."
    assert [message.role for message in run.messages] == [
        "user", "assistant", "user", "assistant", "tool", "assistant"
    ]  # fmt: skip


def test_results_of_a_turn_that_was_stopped_are_not_lost() -> None:
    other = says(calls=[("weather", {"city": "Oslo"}), ("weather", {})])
    run = run_of(other, toolboxes=[FunctionTools([weather])])
    until(run, next(kind for kind in map(type, run) if kind.__name__ == "ToolEnded"))
    ended, last = run.end()
    assert isinstance(ended, AnswerEnded)
    assert [message.role for message in ended.new_messages] == ["tool"] * len(ended.new_messages)
    assert run.messages[-1].role == "tool"
    assert last_answer([last]).verdict is Verdict.INTERRUPTED


@pytest.mark.parametrize("code", ["", "not_allowed"])
def test_refused_calls_are_the_error_of_a_complete_turn(code: str) -> None:
    def approve(call: PlannedCall) -> Refuse:
        if code:
            raise ToolRefusedError("no one to ask", names=(call.name,), code=code)
        return Refuse()

    run = run_of(
        says(calls=[("met__weather", {"city": "Oslo"})]),
        "Then not.",
        toolboxes=[FunctionTools([weather], name="met")],
        approve=approve,
    )
    answer = last_answer(run)
    assert answer.verdict is Verdict.COMPLETE
    assert isinstance(answer.error, ToolRefusedError)
    assert (answer.error.code or "", "met/weather" in str(answer.error)) == (code, True)


@pytest.mark.parametrize("error", [None, ConnectError("no way")], ids=["stopped", "failed"])
def test_a_turn_that_ends_at_any_event_has_a_consistent_conversation(error: CoreError | None) -> None:
    def new_run() -> ChatRun:
        steps = CALL, '{"age": "four"}', CALL, '{"age": 4}'
        return run_of(*steps, schema=AGE, toolboxes=[FunctionTools([weather])])

    total = len(list(new_run()))
    assert total > 20
    for stop in range(total + 1):
        run = new_run()
        events = [event for _, event in zip(range(stop), run, strict=False)]
        events += run.end(error)
        assert names(events).count("ChatEnded") == 1
        assert last_answer(events) == run.answer
        assert len(texts(events)) <= 1
        assert run.end() == ()
        conversation = list(EARLIER)
        for ended in [event for event in events if isinstance(event, AnswerEnded)]:
            answer = ended.answer
            conversation += ended.new_messages
            if answer.text or answer.verdict is Verdict.COMPLETE:
                conversation.append(answer.message())
        started = names(events).count("RequestStarted")
        assert 0 <= names(events).count("AnswerEnded") - started <= 1
        if run.answers[0].verdict is Verdict.COMPLETE:
            saved = list(run.messages)
            assert conversation[: len(saved)] == saved
            assert [message.role for message in conversation[len(saved) :]] in ([], ["user"])
        else:
            assert run.messages == EARLIER


# --- several at once ---------------------------------------------------------------------------------------


def as_error(error: BaseException) -> CoreError:
    return CoreError(f"internal: {error}")


def test_parallel_runs_yield_all_events_in_the_caller_s_thread() -> None:
    logged: list[tuple[str, int]] = []
    me = threading.get_ident()
    runs = [
        run_of(says("a", "b"), log=lambda mark, words: logged.append((mark, threading.get_ident()))),
        run_of(refuses(500, "broken")),
        run_of("x", open_provider=lambda target: 1 / 0),  # type: ignore[arg-type,return-value]
    ]
    seen: dict[int, list[Event]] = {0: [], 1: [], 2: []}
    for item in ParallelRuns(runs, as_error=as_error):
        if item is not None:
            seen[item[0]].append(item[1])
    assert texts(seen[0]) == ["a", "b"]
    assert "Sent" in names(seen[0])
    assert isinstance(last_answer(seen[1]).error, ServerError)
    assert str(last_answer(seen[2]).error) == "internal: division by zero"
    assert {thread for _, thread in logged} == {me}
    assert logged[0][0] == ">"


def test_stopped_runs_end_with_what_was_shown() -> None:
    go = threading.Event()

    def wait(call: Any) -> Any:
        go.wait(60)
        return says("late")(call)

    runs = [run_of(says("Hel", "lo")), run_of(wait)]
    parallel = ParallelRuns(runs, as_error=as_error)
    for item in parallel:
        if item is not None and item[0] == 0 and isinstance(item[1], Text):
            break
    ended = list(parallel.stop(unwritten=1))
    go.set()
    answers = {index: event.answer for index, event in ended if isinstance(event, ChatEnded)}
    assert (answers[0].text, answers[0].verdict) == ("He", Verdict.INTERRUPTED)
    assert (answers[1].text, answers[1].verdict) == ("", Verdict.INTERRUPTED)


def test_embedded_models_run_one_at_a_time() -> None:
    inside, most = 0, 0
    local = Target(
        provider=Provider(name="local", base_url="http://x/v1", auth="none", embedded=True), model="m"
    )

    @contextmanager
    def opening(target: Target) -> Iterator[OpenProvider]:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        yield OpenProvider(client=Client(FakeTransport("Hello")), provider=target.provider)
        inside -= 1

    runs = [run_of("Hello", target=local, open_provider=opening) for _ in range(4)]
    for _ in ParallelRuns(runs, as_error=as_error):
        pass
    assert most == 1
    assert [run.answer.text for run in runs] == ["Hello"] * 4


def test_parallel_runs_that_are_stopped_at_any_event_end_once_with_the_text_that_was_yielded() -> None:
    for stop in range(30):
        long = says(*"abcdefghijklmnopqrstuvwxyz")
        runs = [
            run_of(says("Hel", "lo")),
            run_of(long),
            run_of(says("a", "b", cut)),
            run_of(refuses(500, "broken")),
        ]
        parallel = ParallelRuns(runs, as_error=as_error)
        seen: list[tuple[int, Event]] = []
        for item in parallel:
            if item is not None:
                seen.append(item)
            if len(seen) >= stop:
                break
        seen += parallel.stop()
        for index in range(len(runs)):
            events = [event for at, event in seen if at == index]
            assert names(events).count("ChatEnded") == 1
            answer = last_answer(events)
            assert answer.text.startswith("".join(texts(events))) or answer.error is not None
            if answer.verdict is not Verdict.INTERRUPTED:
                assert answer.text == "".join(texts(events))


# --- fallback ----------------------------------------------------------------------------------------------


def fallback_of(name: str, **options: Any) -> Fallback:
    target = Target(provider=Provider(name=name, base_url=f"http://{name}.test/v1", auth="none"), model="m")
    return Fallback(name=str(target), target=target, request=Request(model="m", messages=(), **options))


def chain_of(network: FakeTransport, *names: str, **options: Any) -> ChatRun:
    """A run that falls back from lab/m to the named providers."""
    client = Client(network, sleep=lambda _: None)
    plan = ChatPlan(
        target=TARGET,
        request=Request(model="m", messages=(*EARLIER, *NEW)),
        new_messages=NEW,
        fallbacks=tuple(fallback_of(name, temperature=0.5) for name in names),
    )
    return ChatRun(
        plan, lambda target: nullcontext(OpenProvider(client=client, provider=target.provider)), **options
    )


def hosts(network: FakeTransport) -> list[str]:
    return [call.url.removeprefix("http://").partition(".")[0] for call in network.calls]


def test_the_next_model_continues_between_tool_calls_with_their_results() -> None:
    thinking = says(reasoning="Hm.", calls=[("weather", {"city": "Oslo"})])
    network = FakeTransport(thinking, refuses(503, "busy"), says("It rains."))
    run = chain_of(network, "two", toolboxes=[FunctionTools([weather])])
    events = list(run)
    assert [name for name in names(events) if name in ("FellBack", "ToolEnded", "AnswerEnded")] == [
        "AnswerEnded", "ToolEnded", "FellBack", "AnswerEnded"
    ]  # fmt: skip
    assert hosts(network) == ["lab", "lab", "two"]
    last = network.bodies[-1]
    assert [message["role"] for message in last["messages"]][2:] == ["user", "assistant", "tool"]
    assert last["messages"][-1]["content"] == "rain in Oslo"
    assert "Hm." not in json.dumps(last), "another provider gets no reasoning"
    assert (last["temperature"], bool(last["tools"])) == (0.5, True)
    answer = last_answer(events)
    assert (answer.text, answer.target.provider.name) == ("It rains.", "two")
    assert [attempt.name for attempt in answer.attempts] == ["lab/m"]
    assert run.messages[-1].provider == "two"


@pytest.mark.parametrize(
    ("steps", "asked"),
    [
        ([cut, "x"], ["lab", "lab"]),  # an idle connection that the server has closed
        ([cut, cut, "x"], ["lab", "lab", "two"]),
        ([refuses(429, "slow", retry_after=1), "x"], ["lab", "two"]),
        ([refuses(503, "busy"), refuses(503, "busy"), "x"], ["lab", "two", "two"]),  # the last one is retried
    ],
)
def test_only_a_lost_connection_is_retried_while_another_model_is_left(steps: Any, asked: list[str]) -> None:
    network = FakeTransport(*(says(step) if step is cut else step for step in steps))
    assert last_answer(chain_of(network, "two")).text == "x"
    assert hosts(network) == asked
