"""Turns with tools: what is requested, approved, run and answered, and when they end."""

from __future__ import annotations

import json
import re
import threading
import time
from typing import Any

import pytest
from scripted import DONE, Answer, answer, delta, sse
from toolboxes import Box, call, calling, calls_of, looped, say

from provider_core import errors
from provider_core.errors import ToolArgumentsError, ToolError, ToolRefusedError, UnknownToolError
from provider_core.events import (
    Approve,
    ApproveWith,
    PlannedCall,
    Refuse,
    RequestStarted,
    ToolEnded,
    ToolLimits,
    ToolResult,
    ToolStarted,
)
from provider_core.testing import cut
from provider_core.types import CallAsText, FieldDropped, FieldIgnored, ImagePart, Quirks, Retrying, Verdict

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
DONE_ = answer("Done.")


def clock() -> Box:
    return Box(clock=say("12:00"))


# --- requests ----------------------------------------------------------------------------------------------


def test_a_call_runs_and_its_result_goes_back_until_the_model_is_done() -> None:
    box = clock()
    loop = looped(
        [
            calling(call("box__clock", {"zone": "CET"}), text="Let me see."),
            calling(call("box__clock", id="b")),
            answer("Noon."),
        ],
        box,
    )
    assert box.ran == [("clock", {"zone": "CET"}), ("clock", {})]
    assert [tool["function"]["name"] for tool in loop.bodies[0]["tools"]] == ["box__clock"]
    function = {"name": "box__clock", "arguments": '{"zone": "CET"}'}
    assert loop.bodies[1]["messages"] == [
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [{"id": "call_a", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "call_a", "content": "12:00"},
    ]
    assert loop.text == "Let me see.Noon."
    assert loop.run.answer.verdict is Verdict.COMPLETE
    assert [type(event).__name__ for event in loop.events] == [
        "Connecting",
        "RequestStarted", "Text", "ToolCall", "Finished", "AnswerEnded", "ToolStarted", "ToolEnded",
        "RequestStarted", "ToolCall", "Finished", "AnswerEnded", "ToolStarted", "ToolEnded",
        "RequestStarted", "Text", "Finished", "AnswerEnded", "ChatEnded",
    ]  # fmt: skip
    asked = loop.of(RequestStarted)
    assert [started.number for started in asked] == [1, 2, 3]
    assert [len(started.request.messages) for started in asked] == [1, 3, 5]


def test_without_tools_nothing_is_offered_or_demanded() -> None:
    assert {"tools", "tool_choice"}.isdisjoint(looped([answer("Hi.")], choice="required").bodies[0])


def test_a_field_that_is_left_out_of_every_request_is_reported_once() -> None:
    words = b'{"error": {"message": "Unsupported parameter: stream_options", "param": "stream_options"}}'
    refusal = Answer([words], status=400)
    loop = looped([refusal, calling(call("box__clock")), refusal, answer("Noon.")], clock())
    assert [notice.field for notice in loop.of(FieldDropped)] == ["stream_options"]
    assert len(loop.bodies) == 4


# --- several calls -----------------------------------------------------------------------------------------


def test_calls_of_one_answer_run_at_the_same_time_and_are_answered_in_order() -> None:
    both = threading.Barrier(2, timeout=60)
    first_done = threading.Event()

    def slow(arguments: Any, stop: threading.Event) -> str:
        both.wait()
        assert first_done.wait(60)
        return "slow"

    def fast(arguments: Any, stop: threading.Event) -> str:
        both.wait()
        return "fast"

    def watch(event: Any) -> None:
        if isinstance(event, ToolEnded) and event.call.id == "b":
            first_done.set()

    calls = calling(call("box__slow", id="a"), call("box__fast", id="b", index=1))
    loop = looped([calls, DONE_], Box(slow=slow, fast=fast), watch=watch)
    assert list(loop.ended) == ["b", "a"]
    assert loop.results() == ["slow", "fast"]
    assert [m.get("tool_call_id") for m in loop.bodies[1]["messages"]][-2:] == ["a", "b"]


def test_at_most_8_calls_run_at_once_and_their_time_begins_when_they_run() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def work(arguments: Any, stop: threading.Event) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        if stop.wait(0.6):
            return "stopped"
        with lock:
            running -= 1
        return "done"

    steps = [calls_of("box__work", "abcdefghijklmnopqrst"), DONE_]
    loop = looped(steps, Box(work=work, limits=ToolLimits(seconds=1.7)))  # three rounds of 0.6 s
    assert most == 8
    assert loop.results() == ["done"] * 20


def test_calls_with_the_same_id_or_none_get_ids_of_their_own() -> None:
    calls = calling(
        *(call("box__clock", {"n": n}, id=id, index=n) for n, id in enumerate(["", "x", "", "y"]))
    )
    again = calling(*(call("box__clock", {"n": n}, id="x", index=n) for n in (4, 5)))
    loop = looped([calls, again, DONE_], Box(clock=lambda arguments, stop: str(arguments["n"])))
    sent = [call["id"] for m in loop.bodies[2]["messages"] for call in m.get("tool_calls", ())]
    assert sent == [m["tool_call_id"] for m in loop.bodies[2]["messages"] if m["role"] == "tool"]
    assert [each.id for each in loop.calls] == sent
    assert len(set(filter(None, sent))) == 6
    assert {"x", "y"} <= set(sent)
    assert loop.results() == ["0", "1", "2", "3", "4", "5"]


CET_CALL = call("box__clock", {"zone": "CET"})


def test_calls_repeated_beside_the_answer_do_not_run_again() -> None:  # Cerebras
    again = delta("It is noon.", tool_calls=[call("box__clock", '{"of":"a\nb","zone":"CET"}', id="other")])
    box = clock()
    loop = looped(
        [
            calling(call("box__clock", {"zone": "CET", "of": "a\nb"})),
            [*sse(again, delta(finish="stop")), DONE],
            answer("Never."),
        ],
        box,
    )
    assert (box.ran, len(loop.bodies), loop.text) == (
        [("clock", {"zone": "CET", "of": "a\nb"})],
        2,
        "It is noon.",
    )
    assert (loop.run.answer.finish, len(loop.calls)) == ("stop", 1)


@pytest.mark.parametrize(
    "second",
    [
        calling(call("box__clock", {"zone": "JST"}, id="b"), text="And there?", finish="stop"),
        calling(call("box__clock", {"zone": "CET"}, id="b"), text="Once more:"),
        calling(call("box__clock", {"zone": "CET"}, id="b"), finish="stop"),
    ],
)
def test_a_call_that_is_meant_again_runs_again(second: list[bytes]) -> None:
    box = clock()
    looped([calling(CET_CALL), second, DONE_], box)
    assert len(box.ran) == 2


# --- approval ----------------------------------------------------------------------------------------------


def test_all_calls_are_approved_in_order_in_the_callers_thread_before_any_runs() -> None:
    box = Box("fs", read=say("root"))
    seen: list[tuple[str, int, int]] = []

    def approve(planned: PlannedCall) -> Approve:
        seen.append((planned.call.id, len(box.ran), threading.get_ident()))
        return Approve()

    loop = looped([calls_of("fs__read", "abc"), DONE_], box, approve=approve)
    assert seen == [(id, 0, threading.get_ident()) for id in "abc"]
    planned = loop.put[0]
    assert (planned.name, planned.toolbox, planned.call.name) == ("fs/read", box, "fs__read")
    assert (planned.spec.tool.description, planned.arguments) == ("read of fs", {"n": "a"})


@pytest.mark.parametrize("reason", ["not that file", ""])
def test_a_refused_call_does_not_run_and_the_model_is_told(reason: str) -> None:
    box = Box("fs", read=say("secret"), list=say("a.txt"))
    steps = [calling(call("fs__read", id="a"), call("fs__list", id="b", index=1)), DONE_]
    loop = looped(steps, box, approve=lambda p: Refuse(reason=reason) if p.name == "fs/read" else Approve())
    told = f"the user refused: {reason}" if reason else "the user refused this call"
    assert (box.ran, loop.results(), loop.started) == ([("list", {})], [told, "a.txt"], ["b"])
    error = loop.ended["a"].error
    assert isinstance(error, ToolRefusedError)
    assert (error.reason, error.server, error.tool) == (reason, "fs", "read")


def test_a_call_may_run_with_other_arguments_and_the_model_is_told() -> None:
    box = Box("fs", read=say("hello"))
    steps = [calling(call("fs__read", {"path": "/etc/passwd"})), DONE_]
    loop = looped(steps, box, approve=lambda planned: ApproveWith(arguments={"path": "notes.txt"}))
    assert box.ran == [("read", {"path": "notes.txt"})]
    assert loop.of(ToolStarted)[0].planned.arguments == {"path": "notes.txt"}
    assert loop.results() == ['[The user changed the arguments of this call to {"path": "notes.txt"}]\nhello']
    assert loop.turn()["tool_calls"][0]["function"]["arguments"] == '{"path": "/etc/passwd"}'


def test_other_arguments_have_to_match_the_schema_too() -> None:
    box = Box(weather=say("rain"), schemas={"weather": CITY})
    steps = [calling(call("box__weather", {"city": "Oslo"})), DONE_]
    loop = looped(steps, box, approve=lambda planned: ApproveWith(arguments={"city": 7}))
    assert box.ran == []
    assert isinstance(loop.ended["call_a"].error, ToolArgumentsError)


def test_an_exception_of_the_approval_ends_the_turn_before_anything_runs() -> None:
    def approve(planned: PlannedCall) -> Approve:
        if planned.call.id == "b":
            raise ZeroDivisionError
        return Approve()

    box = clock()
    loop = looped([calls_of("box__clock", "ab")], box, approve=approve)
    assert isinstance(loop.error, ZeroDivisionError)
    assert box.ran == []


# --- calls that cannot run ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ('{"city": "Os', "not valid JSON"),
        ("city: Oslo", "not valid JSON"),
        ('{"city": NaN}', "not valid JSON"),
        ('{"city": 1e999}', "1e999 is too large for a number"),
        (r'{"city": "\ud800"}', "text that is not valid Unicode"),
        ('["Oslo"]', "have to be a JSON object"),
        ('"Oslo"', "have to be a JSON object"),
        ('{"city": 7}', "city: 7 is not of type 'string'"),
        ('{"city": "Oslo", "days": "two"}', "days: 'two' is not of type 'integer'"),
        ("{}", "'city' is a required property"),
    ],
)
def test_arguments_that_cannot_be_used_go_back_without_approval(arguments: str, why: str) -> None:
    box = Box(weather=say("rain"), schemas={"weather": CITY})
    loop = looped([calling(call("box__weather", arguments)), answer("Sorry.")], box)
    assert (box.ran, loop.put, loop.started) == ([], [], [])
    (told,) = loop.results()
    assert why in told
    assert told.startswith("Error: ")
    assert "did not run" in told
    ended = loop.ended["call_a"]
    assert isinstance(ended.error, ToolArgumentsError)
    assert (ended.planned, ended.result.is_error, ended.result.text) == (None, True, told)
    sent_back = loop.turn()["tool_calls"][0]["function"]["arguments"]
    assert isinstance(json.loads(sent_back), dict), "servers refuse anything else in a later request"


@pytest.mark.parametrize(
    ("name", "told"),
    [("fs__raed_file", ["'fs__raed_file'", "fs__read_file"]), ("zzz", ["fs__read_file", "fs__list"])],
)
def test_an_unknown_tool_is_an_error_with_similar_names_or_all(name: str, told: list[str]) -> None:
    steps = [calling(call(name, id="a"), call("fs__list", id="b", index=1)), answer("Sorry.")]
    loop = looped(steps, Box("fs", read_file=say("x"), list=say("a.txt")))
    first, second = loop.results()
    assert all(part in first for part in told)
    assert second == "a.txt"
    assert isinstance(loop.ended["a"].error, UnknownToolError)
    assert [planned.call.id for planned in loop.put] == ["b"]


def test_a_call_by_a_decorated_name_has_the_tools_name_everywhere() -> None:
    loop = looped([calling(call("functions.fs.read:0")), DONE_], Box("fs", read=say("a.txt")))
    assert ([planned.name for planned in loop.put], loop.results()) == (["fs/read"], ["a.txt"])
    assert [each.name for each in loop.calls] == ["fs__read"]
    assert loop.turn()["tool_calls"][0]["function"]["name"] == "fs__read", "servers refuse a dot in it"


# --- calls that are sent as text ---------------------------------------------------------------------------

CALL = '{"name": "fs__read", "arguments": {"path": "a"}}'


@pytest.mark.parametrize(
    "text",
    [
        f"<tool_call>\n{CALL}\n</tool_call>",
        f"I will look.\n<tool_call>{CALL}",
        '{"name": "fs__read", "arguments": {"path": "a\nb"}}',
        "<tool_call>\n<function=fs__read>\n<parameter=path>\na\n</parameter>\n</function>\n</tool_call>",
        "<tool_call>fs__read\n<arg_key>path</arg_key>\n<arg_value>a</arg_value>\n</tool_call>",
        f"[TOOL_CALLS][{CALL}]",
        '[TOOL_CALLS]fs__read{"path": "a"}',
        '[TOOL_CALLS]fs__read[ARGS]{"path": "a"}',
        '<|python_tag|>fs__read.call(path="a")',
        f"<|python_tag|>{CALL}",
        '<function=fs__read>{"path": "a"}</function>',
        f"```json\n{CALL}\n```",
        f"Sure:\n\n```\n{CALL}\n```\nDone.",
        CALL,
        f"[{CALL}]",
        f"I call it:\n{CALL}",
        '{"type": "function", "function": {"name": "fs__read", "parameters": {}}}',
        '{"tool_calls": [{"function": {"name": "functions.fs__read", "arguments": "{}"}}]}',
        '[fs__read(path="a")]',
        '```tool_code\nprint(fs__read(path="a"))\n```',
        "<\uff5ctool\u2581calls\u2581begin\uff5c><\uff5ctool\u2581call\u2581begin\uff5c>function<\uff5ctool\u2581sep\uff5c>fs__read\n",
        '<\uff5cDSML\uff5cfunction_calls><\uff5cDSML\uff5cinvoke name="fs__read">',
        '<|channel|>commentary to=functions.fs__read <|constrain|>json<|message|>{"path": "a"}',
        'commentary to=functions.fs__read json{"path": "a"}',
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.fs__read:0<|tool_call_argument_begin|>{}",
        '<minimax:tool_call>\n<invoke name="fs__read">\n<parameter name="path">a</parameter>\n</invoke>',
        f"[TOOL_REQUEST]{CALL}[END_TOOL_REQUEST]",
        f"functools[{CALL}]",
        '<|tool_call_start|>[fs__read(path="a")]<|tool_call_end|>',
        "<start_function_call>call:fs__read{path:a}<end_function_call>",
        f'{{"function_call": {CALL}}}',
        '{"action": "fs__read", "action_input": {"path": "a"}}',
    ],
)
def test_a_call_that_is_written_as_text_is_reported_and_does_not_run(text: str) -> None:
    box = Box("fs", read=say("a.txt"))
    loop = looped([answer(text)], box)
    assert loop.of(CallAsText) == [CallAsText(tool="fs/read")]
    shown = re.sub(r"<\|channel\|>\w+ |<\|constrain\|>json<\|message\|>", "", text)
    assert (box.ran, loop.text, len(loop.bodies)) == ([], shown, 1)


@pytest.mark.parametrize(
    ("text", "choice", "told"),
    [
        ('<tool_call>{"name": "other", "arguments": {}}</tool_call>', None, [CallAsText()]),
        ("The list is:\n- a\n- b", None, []),
        ('{"name": "Rex", "age": 3}', None, []),
        ('{"name": "other", "arguments": {}}', None, []),
        ('{"name": "fs__read"}', None, []),
        ("You may use fs__read(path) for that.", None, []),
        ("```python\nopen('a').read()\n```", None, []),
        (" x", None, []),
        (f"<tool_call>{CALL}</tool_call>", "none", []),
    ],
)
def test_only_what_looks_like_a_call_is_reported(
    text: str, choice: str | None, told: list[CallAsText]
) -> None:
    assert looped([answer(text)], Box("fs", read=say("a.txt")), choice=choice).of(CallAsText) == told


# --- results -----------------------------------------------------------------------------------------------


def failing(arguments: Any, stop: threading.Event) -> str:
    raise ToolError("the server of box has died", server="box", tool="clock")


def broken(arguments: Any, stop: threading.Event) -> str:
    raise ZeroDivisionError("by zero")


@pytest.mark.parametrize(
    ("function", "told"),
    [(failing, "the server of box has died"), (broken, "box/clock failed: ZeroDivisionError: by zero")],
)
def test_an_error_of_a_tool_is_its_result_and_other_calls_continue(function: Any, told: str) -> None:
    steps = [calling(call("box__clock", id="a"), call("box__other", id="b", index=1)), answer("Sorry.")]
    loop = looped(steps, Box(clock=function, other=say("fine")))
    assert loop.results() == [f"Error: {told}", "fine"]
    assert isinstance(loop.ended["a"].error, ToolError)
    assert loop.ended["b"].error is None


ONE_IMAGE = "[The result has images as well, which cannot be shown to you.]"


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (ToolResult(text="no such file", is_error=True), "Error: no such file"),
        (ToolResult(text="Error: no such file", is_error=True), "Error: no such file"),
        (ToolResult(), "[The tool returned nothing.]"),
        (ToolResult(text=" \n"), "[The tool returned nothing.]"),
        (ToolResult(structured={"ö": 1}), '{"ö": 1}'),
        (ToolResult(text="one", structured={"n": 1}), "one"),
        (ToolResult(text="a chart", images=(ImagePart(url="data:,"),)), f"a chart\n{ONE_IMAGE}"),
        (ToolResult(images=(ImagePart(url="data:,"),), is_error=True), f"Error\n{ONE_IMAGE}"),
        (ToolResult(text="half a pair: \ud83d"), "half a pair: ?"),
    ],
)
def test_what_the_model_reads_of_a_result(result: ToolResult, told: str) -> None:
    loop = looped([calling(call("box__clock")), DONE_], Box(clock=lambda arguments, stop: result))
    assert loop.results() == [told]
    assert loop.ended["call_a"].result.images == result.images


def told(result: ToolResult | str, size: int) -> str:
    box = Box(flood=lambda arguments, stop: result, limits=ToolLimits(size=size))
    return str(looped([calling(call("box__flood")), DONE_], box).results()[0])


def test_a_long_result_loses_its_middle() -> None:
    text = "".join(f"line {number}\n" for number in range(10_000))
    head, _, rest = told(text, 4_000).partition("\n[")
    note, _, tail = rest.rpartition("]\n")
    assert (text.startswith(head), text.endswith(tail), len(head) + len(tail)) == (True, True, 4_000)
    assert note == f"{len(text) - 4_000:,} of {len(text):,} bytes omitted: the result is too long"
    assert told("x" * 4_000, 4_000) == "x" * 4_000


def test_the_size_is_bytes_and_no_character_is_cut_in_half() -> None:
    short = told("é" * 3_001, 3_001)
    assert "�" not in short
    assert (short.startswith("é" * 1_000), short.endswith("é" * 300)) == (True, True)
    assert told("é" * 1_500, 3_000) == "é" * 1_500


def image(number: int) -> ImagePart:
    return ImagePart(url=f"data:image/png;base64,{number}")


def sent(*numbers: int) -> list[dict[str, Any]]:
    return [{"type": "image_url", "image_url": {"url": image(number).url}} for number in numbers]


@pytest.mark.parametrize(
    ("place", "model", "roles"),
    [
        ("tool", "m", "tool tool tool"),
        ("user", "m", "tool tool tool user"),
        ("user", "mistral-medium-latest", "tool tool tool assistant user"),
    ],
)
def test_images_are_in_the_tool_messages_or_in_a_user_message_after_them(
    place: Any, model: str, roles: str
) -> None:
    pictures = ToolResult(text="drawn", images=(image(1), image(2))), ToolResult(images=(image(3),))
    box = Box(clock=say("12:00"), draw=lambda arguments, stop: pictures[arguments["n"]])
    rows = (("draw", {"n": 0}, "a"), ("clock", {}, "b"), ("draw", {"n": 1}, "c"))
    calls = [call(f"box__{name}", given, id=id, index=at) for at, (name, given, id) in enumerate(rows)]
    steps = [calling(*calls), calling(call("box__clock", id="d")), answer("I see.")]
    loop = looped(steps, box, model=model, reads_images=True, quirks=Quirks(tool_images=place))
    results: list[Any] = [
        [{"type": "text", "text": "drawn"}, *sent(1, 2)],
        "12:00",
        [{"type": "text", "text": "[The result has only images.]"}, *sent(3)],
    ]
    if place == "user":
        results[0] = "drawn\n[Its images are in the message after the results.]"
        results[2] = "[Its images are in the message after the results.]"
    assert (loop.results(1), loop.results(2)) == (results, [*results, "12:00"])
    expected = ["user", "assistant", *roles.split()]
    assert [m["role"] for m in loop.bodies[1]["messages"]] == expected
    assert [m["role"] for m in loop.bodies[2]["messages"]] == [*expected, "assistant", "tool"]
    if place == "user":
        assert loop.bodies[2]["messages"][len(expected) - 1]["content"] == [
            {"type": "text", "text": "Images in the result of box__draw:"}, *sent(1, 2),
            {"type": "text", "text": "Images in the result of box__draw:"}, *sent(3),
        ]  # fmt: skip


# --- the end of the turn -----------------------------------------------------------------------------------


def test_at_the_limit_the_answer_is_handed_out_and_its_calls_do_not_run() -> None:
    box = clock()
    loop = looped([calling(call("box__clock"), text="Once more.")], box, max_turns=3)
    assert isinstance(loop.error, errors.LoopLimitError)
    assert loop.error.message == "lab/m still calls tools after 3 turns"
    assert (loop.error.turns, loop.error.provider) == (3, "lab")
    assert (len(loop.bodies), len(box.ran), loop.text) == (3, 2, "Once more." * 3)
    assert (loop.run.answer.verdict, loop.run.answer.error) == (Verdict.COMPLETE, loop.error)


def test_at_the_limit_more_requests_may_be_allowed() -> None:
    more, asked = iter([2, 1, 0]), []

    def on_limit(turns: int) -> int:
        asked.append(turns)
        return next(more)

    loop = looped([calling(call("box__clock"))], clock(), max_turns=1, on_limit=on_limit)
    assert isinstance(loop.error, errors.LoopLimitError)
    assert (asked, len(loop.bodies)) == ([1, 3, 4], 4)


def test_the_last_request_may_bring_the_answer() -> None:
    assert looped([calling(call("box__clock")), answer("Noon.")], clock(), max_turns=2).text == "Noon."


def test_a_turn_of_no_requests_is_refused() -> None:
    with pytest.raises(errors.InvalidInputError):
        looped([DONE_], clock(), max_turns=0)


HALF = {"index": 1, "id": "b", "function": {"name": "box__clock", "arguments": '{"zone": "C'}}
OUT_OF_MEMORY = {"error": {"message": "out of memory"}}


@pytest.mark.parametrize(
    ("rest", "verdict", "cut_calls"),
    [
        ([], Verdict.PARTIAL, None),
        ([cut], Verdict.PARTIAL, None),
        (sse(OUT_OF_MEMORY), Verdict.FAILED, None),
        (sse(delta(finish="content_filter")), Verdict.FILTERED, None),
        ([*sse(delta(finish="length")), DONE], Verdict.LENGTH, [False, True]),
    ],
)
def test_no_call_of_an_incomplete_answer_runs(
    rest: list[Any], verdict: Verdict, cut_calls: list[bool] | None
) -> None:
    box = clock()
    frames = sse(delta(tool_calls=[call("box__clock", id="a")]), delta(tool_calls=[HALF]))
    loop = looped([[*frames, *rest]], box)
    assert loop.run.answers[0].verdict is verdict
    assert (box.ran, loop.put, len(loop.bodies)) == ([], [], 1)
    assert cut_calls is None or [event.cut for event in loop.calls] == cut_calls


def test_an_answer_of_half_a_call_is_retried() -> None:
    loop = looped([sse(delta(tool_calls=[HALF])), answer("Noon.")], clock(), retries=1)
    assert (loop.text, len(loop.bodies)) == ("Noon.", 2)
    (retried,) = loop.of(Retrying)
    assert "a call of box/clock was not run" in retried.error.message


@pytest.mark.parametrize(
    ("called", "shown"),
    [("box__clock", "box/clock"), ("functions.box.clock:0", "box/clock"), ("sundial", "sundial")],
)
def test_a_cut_call_is_named_as_the_user_knows_the_tool(called: str, shown: str) -> None:
    error = looped([calling(call(called, '{"n'), finish="length")], clock()).run.answers[0].error
    assert error is not None
    assert f"in a call of {shown}, which was not run" in error.message


# --- calls that take long ----------------------------------------------------------------------------------


def test_a_late_call_is_stopped_and_answered_and_no_other_call_is() -> None:
    hung = threading.Event()

    def hang(arguments: Any, stop: threading.Event) -> str:
        if stop.wait(60):
            hung.set()
        return "too late"

    def work(arguments: Any, stop: threading.Event) -> str:
        assert hung.wait(60)
        return f"stopped: {stop.is_set()}"

    steps = [calling(call("box__hang", id="a"), call("other__work", id="b", index=1)), answer("Sorry.")]
    loop = looped(steps, Box(hang=hang, limits=ToolLimits(seconds=0.2)), Box("other", work=work))
    assert loop.results() == ["Error: box/hang did not end within 0.2 s and was stopped", "stopped: False"]
    late = loop.ended["a"].error
    assert isinstance(late, ToolError)
    assert (late.code, late.seconds, late.server, late.tool) == ("timeout", 0.2, "box", "hang")


def test_a_call_that_does_not_stop_is_left_behind() -> None:
    let_go = threading.Event()

    def deaf(arguments: Any, stop: threading.Event) -> str:
        let_go.wait(60)
        return "too late"

    steps = [calling(call("box__deaf", id="a")), calling(call("box__quick", id="b")), answer("Sorry.")]
    try:
        loop = looped(steps, Box(deaf=deaf, quick=say("fine"), limits=ToolLimits(seconds=1)))
    finally:
        let_go.set()
    assert loop.results()[1] == "fine"
    assert [event.call.id for event in loop.of(ToolEnded)] == ["a", "b"], "it ends once"


def test_a_call_that_ended_in_time_is_not_late_if_the_caller_is_slow() -> None:
    def watch(event: Any) -> None:
        if isinstance(event, ToolStarted) and event.planned.call.id == "b":
            time.sleep(1.2)

    box = Box(work=say("done"), limits=ToolLimits(seconds=1))
    assert looped([calls_of("box__work", "ab"), DONE_], box, watch=watch).results() == ["done", "done"]


def test_closing_the_iterator_stops_every_call_that_runs() -> None:
    stopped: list[str] = []

    def hang(arguments: Any, stop: threading.Event) -> str:
        if stop.wait(60):
            stopped.append(arguments["n"])
        return ""

    began = time.monotonic()
    looped(
        [calls_of("box__hang", "abc")],
        Box(hang=hang),
        watch=lambda event: isinstance(event, ToolStarted) and event.planned.call.id == "c",
    )
    assert time.monotonic() - began < 30
    assert sorted(stopped) == ["a", "b"], "the third was announced, and had not begun"


# --- tool choice -------------------------------------------------------------------------------------------

NAMED = {"type": "function", "function": {"name": "box__clock"}}


@pytest.mark.parametrize(
    ("choice", "quirks", "sent"),
    [
        (None, Quirks(), [None, None]),
        ("auto", Quirks(), ["auto", "auto"]),
        ("required", Quirks(), ["required", "auto"]),
        ("box__clock", Quirks(), [NAMED, "auto"]),
        ("box/clock", Quirks(), [NAMED, "auto"]),
        ("clock", Quirks(), [NAMED, "auto"]),
        ("required", Quirks(tool_choice_required="any"), ["any", "auto"]),
        ("clock", Quirks(tool_choice_required="auto"), [None, None]),  # GLM, Kimi
    ],
)
def test_a_tool_is_demanded_once_in_the_providers_words(
    choice: str | None, quirks: Quirks, sent: list[Any]
) -> None:
    loop = looped([calling(call("box__clock")), answer("Noon.")], clock(), choice=choice, quirks=quirks)
    assert [body.get("tool_choice") for body in loop.bodies][: len(sent)] == sent
    assert all("tools" in body for body in loop.bodies)


@pytest.mark.parametrize(
    ("choice", "steps", "ignored"),
    [
        ("required", [answer("Noon.")], True),
        ("clock", [answer("Noon.")], True),
        ("clock", [calling(call("box__date")), answer("Noon.")], True),
        ("clock", [calling(call("box__clock")), answer("Noon.")], False),
        ("required", [calling(call("box__clock")), answer("Noon.")], False),
        ("auto", [answer("Noon.")], False),
        ("required", [answer("No", finish="length")], False),
    ],
)
def test_an_ignored_demand_is_reported(choice: str, steps: Any, ignored: bool) -> None:
    loop = looped(steps, Box(clock=say("12:00"), date=say("1st")), choice=choice)
    assert loop.of(FieldIgnored) == ([FieldIgnored(field="tool_choice", value=choice)] if ignored else [])


def test_no_call_runs_if_the_choice_is_none() -> None:
    box = clock()
    loop = looped([calling(call("box__clock")), answer("Fine.")], box, choice="none")
    assert [body["tool_choice"] for body in loop.bodies] == ["none", "none"]
    assert (box.ran, loop.put, loop.results()) == ([], [], ["this chat allows no tool calls"])


@pytest.mark.parametrize("choice", ["clokc", "fs/clock", "twice"])
def test_a_demand_for_an_unknown_tool_is_an_error_before_any_request(choice: str) -> None:
    boxes = Box(clock=say("1"), twice=say("2")), Box("other", twice=say("3"))
    loop = looped([answer("Hi.")], *boxes, choice=choice)
    assert isinstance(loop.error, UnknownToolError)
    assert repr(choice) in loop.error.message
    assert loop.bodies == []
