"""The tool loop from end to end over real sockets: what is asked, approved, run and answered, and when it ends."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest
from scripted import DONE, Answer, Cut, answer, delta, sse
from toolboxes import Box, Loop, call, calling, looped, looping, say

from provider_core.errors import (
    BadRequestError,
    InvalidInputError,
    LoopLimitError,
    ToolArgumentsError,
    ToolError,
    ToolRefusedError,
    UnknownToolError,
)
from provider_core.events import (
    AnswerEnded,
    Approve,
    ApproveWith,
    ChatEnded,
    Connecting,
    PlannedCall,
    Refuse,
    RequestStarted,
    ToolEnded,
    ToolResult,
    ToolStarted,
)
from provider_core.types import (
    CallAsText,
    FieldDropped,
    FieldIgnored,
    Finished,
    ImagePart,
    Message,
    Notice,
    Quirks,
    Retrying,
    Text,
    ToolCall,
    Usage,
    Verdict,
)

if TYPE_CHECKING:
    from scripted import Scripted

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}


# --- one call ----------------------------------------------------------------------------------------------


def test_a_call_is_run_and_its_result_goes_back_until_the_model_is_done(server: Scripted) -> None:
    server.will(calling(call("box__clock", {"zone": "CET"}), text="Let me see."), answer("It is ", "noon."))
    box = Box(clock=say("12:00"))
    loop = looped(server, box, prompt="What time is it?")
    assert box.ran == [("clock", {"zone": "CET"})]
    first, second = loop.bodies
    assert [tool["function"]["name"] for tool in first["tools"]] == ["box__clock"]
    assert second["messages"] == [
        {"role": "user", "content": "What time is it?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                {
                    "id": "call_a",
                    "type": "function",
                    "function": {"name": "box__clock", "arguments": '{"zone": "CET"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_a", "content": "12:00"},
    ]
    assert loop.text == "Let me see.It is noon."
    assert loop.finished.verdict is Verdict.COMPLETE


def test_events_come_in_the_order_in_which_things_happen(server: Scripted) -> None:
    server.will(calling(call("box__clock"), text="One moment."), answer("Noon.", usage={"prompt_tokens": 7}))
    loop = looped(server, Box(clock=say("12:00")))
    kinds = [type(event) for event in loop.events]
    assert kinds == [
        Connecting,
        RequestStarted,
        Text,
        ToolCall,
        Finished,
        AnswerEnded,
        ToolStarted,
        ToolEnded,
        RequestStarted,
        Text,
        Usage,
        Finished,
        AnswerEnded,
        ChatEnded,
    ]
    assert [asking.number for asking in loop.asked] == [1, 2]
    (started,), (ended,) = loop.started, loop.ended
    assert started.planned.name == "box/clock"
    assert (ended.result.text, ended.error, ended.planned) == ("12:00", None, started.planned)
    assert 0 <= ended.seconds < 30


def test_the_request_that_goes_out_holds_the_conversation_so_far(server: Scripted) -> None:
    server.will(calling(call("box__clock")), calling(call("box__clock", id="b")), answer("Noon."))
    loop = looped(server, Box(clock=say("12:00")))
    roles = [[turn.role for turn in asking.request.messages] for asking in loop.asked]
    assert roles == [
        ["user"],
        ["user", "assistant", "tool"],
        ["user", "assistant", "tool", "assistant", "tool"],
    ]
    assert loop.asked[2].request.messages[:3] == loop.asked[1].request.messages


def test_without_a_call_there_is_one_request(server: Scripted) -> None:
    server.will(answer("Hi."))
    loop = looped(server, Box(clock=say("12:00")))
    assert (len(server.asked), loop.text, loop.put) == (1, "Hi.", [])


def test_without_tools_it_is_a_plain_chat(server: Scripted) -> None:
    server.will(answer("Hi."))
    loop = looped(server, choice="required")
    assert {"tools", "tool_choice"}.isdisjoint(loop.bodies[0])


def test_what_a_server_says_at_the_second_request_is_raised(server: Scripted) -> None:
    refusal = Answer([b'{"error": {"message": "no tools here"}}'], status=400)
    server.will(calling(call("box__clock")), refusal)
    with pytest.raises(BadRequestError, match="no tools here"):
        looped(server, Box(clock=say("12:00")))


def test_a_field_that_is_left_out_of_every_request_is_told_of_once(server: Scripted) -> None:
    refusal = Answer(
        [b'{"error": {"message": "Unsupported parameter: stream_options", "param": "stream_options"}}'],
        status=400,
    )
    server.will(refusal, calling(call("box__clock")), refusal, answer("Noon."))
    notices: list[Notice] = []
    looped(server, Box(clock=say("12:00")), notify=notices.append)
    assert [notice.field for notice in notices if isinstance(notice, FieldDropped)] == ["stream_options"]
    assert len(server.asked) == 4


# --- several calls -----------------------------------------------------------------------------------------


def test_calls_of_one_turn_run_at_the_same_time_and_are_answered_in_order(server: Scripted) -> None:
    both = threading.Barrier(2, timeout=20)
    first_done = threading.Event()

    def slow(arguments: Any, stop: threading.Event) -> str:
        both.wait()
        assert first_done.wait(20)
        return "slow"

    def fast(arguments: Any, stop: threading.Event) -> str:
        both.wait()
        return "fast"

    server.will(calling(call("box__slow", id="a"), call("box__fast", id="b", index=1)), answer("Done."))
    loop = Loop(server)
    for event in looping(loop, Box(slow=slow, fast=fast)):
        if isinstance(event, ToolEnded) and event.call.id == "b":
            first_done.set()
    assert [ended.call.id for ended in loop.ended] == ["b", "a"]
    messages = [m for m in loop.bodies[1]["messages"] if m["role"] == "tool"]
    assert [(m["tool_call_id"], m["content"]) for m in messages] == [("a", "slow"), ("b", "fast")]


def test_at_most_8_calls_run_at_once(server: Scripted) -> None:
    running, most, lock = 0, 0, threading.Lock()

    def work(arguments: Any, stop: threading.Event) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.02)
        with lock:
            running -= 1
        return "done"

    calls = [call("box__work", {"n": n}, id=f"c{n}", index=n) for n in range(20)]
    server.will(calling(*calls), answer("Done."))
    loop = looped(server, Box(work=work))
    assert most == 8
    assert loop.results() == ["done"] * 20


def test_calls_with_one_id_or_none_are_told_apart(server: Scripted) -> None:
    calls = [call("box__clock", {"n": n}, id=id, index=n) for n, id in enumerate(["", "x", "", "y"])]
    again = [call("box__clock", {"n": n}, id="x", index=n) for n in range(2)]
    message = {"role": "assistant", "content": None, "tool_calls": again}
    whole = json.dumps(
        {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    ).encode()
    server.will(
        calling(*calls), Answer([whole], headers={"content-type": "application/json"}), answer("Done.")
    )
    loop = looped(server, Box(clock=lambda arguments, stop: str(arguments["n"])))
    last = loop.bodies[2]["messages"]
    sent = [c["id"] for m in last if m["role"] == "assistant" for c in m["tool_calls"]]
    answered = [m["tool_call_id"] for m in last if m["role"] == "tool"]
    assert sent == answered
    assert len(set(sent)) == 6
    assert all(sent)
    assert [each.id for each in loop.calls] == sent
    assert {"x", "y"} <= set(sent)
    assert loop.results() == ["0", "1", "2", "3", "0", "1"]


# --- approval ----------------------------------------------------------------------------------------------


def test_all_calls_are_approved_in_order_and_in_this_thread_before_any_runs(server: Scripted) -> None:
    box = Box(clock=say("12:00"))
    seen: list[tuple[str, int, bool]] = []

    def approve(planned: PlannedCall) -> Approve:
        seen.append((planned.call.id, len(box.ran), threading.current_thread() is threading.main_thread()))
        return Approve()

    server.will(calling(*(call("box__clock", id=i, index=n) for n, i in enumerate("abc"))), answer("Done."))
    looped(server, box, approve=approve)
    assert seen == [("a", 0, True), ("b", 0, True), ("c", 0, True)]
    assert len(box.ran) == 3


def test_a_planned_call_says_which_tool_it_is_and_with_what(server: Scripted) -> None:
    server.will(calling(call("fs__read", {"path": "/etc/passwd"})), answer("Done."))
    box = Box("fs", read=say("root"))
    (planned,) = looped(server, box).put
    assert planned.name == "fs/read"
    assert planned.toolbox is box
    assert planned.spec.tool.description == "read of fs"
    assert planned.arguments == {"path": "/etc/passwd"}
    assert planned.call.name == "fs__read"


@pytest.mark.parametrize(
    ("reason", "told"),
    [("not that file", "the user refused: not that file"), ("", "the user refused this call")],
)
def test_a_refused_call_does_not_run_and_the_model_is_told(server: Scripted, reason: str, told: str) -> None:
    server.will(calling(call("fs__read", id="a"), call("fs__list", id="b", index=1)), answer("I see."))
    box = Box("fs", read=say("secret"), list=say("a.txt"))
    loop = looped(server, box, approve=lambda p: Refuse(reason=reason) if p.name == "fs/read" else Approve())
    assert box.ran == [("list", {})]
    assert loop.results() == [told, "a.txt"]
    refused = next(ended for ended in loop.ended if ended.call.id == "a")
    assert isinstance(refused.error, ToolRefusedError)
    assert (refused.error.reason, refused.error.server, refused.error.tool) == (reason, "fs", "read")
    assert [started.planned.call.id for started in loop.started] == ["b"]


def test_a_call_may_run_with_other_arguments_and_the_model_is_told(server: Scripted) -> None:
    server.will(calling(call("fs__read", {"path": "/etc/passwd"})), answer("I see."))
    box = Box("fs", read=say("hello"))
    loop = looped(server, box, approve=lambda planned: ApproveWith(arguments={"path": "notes.txt"}))
    assert box.ran == [("read", {"path": "notes.txt"})]
    assert loop.started[0].planned.arguments == {"path": "notes.txt"}
    assert loop.results() == ['[The user changed the arguments of this call to {"path": "notes.txt"}]\nhello']
    assert loop.turn()["tool_calls"][0]["function"]["arguments"] == '{"path": "/etc/passwd"}'


def test_other_arguments_have_to_fit_too(server: Scripted) -> None:
    server.will(calling(call("box__weather", {"city": "Oslo"})), answer("I see."))
    box = Box(weather=say("rain"), schemas={"weather": CITY})
    loop = looped(server, box, approve=lambda planned: ApproveWith(arguments={"city": 7}))
    assert box.ran == []
    assert isinstance(loop.ended[0].error, ToolArgumentsError)


def test_what_an_approval_raises_ends_the_loop_before_anything_runs(server: Scripted) -> None:
    class EnoughError(Exception):
        pass

    def approve(planned: PlannedCall) -> Approve:
        if planned.call.id == "b":
            raise EnoughError
        return Approve()

    server.will(calling(call("box__clock", id="a"), call("box__clock", id="b", index=1)))
    box = Box(clock=say("12:00"))
    with pytest.raises(EnoughError):
        looped(server, box, approve=approve)
    assert box.ran == []


# --- calls that cannot run ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ('{"city": "Os', "not valid JSON"),
        ("city: Oslo", "not valid JSON"),
        ('{"city": NaN}', "not valid JSON"),
        ('{"city": 1e999}', "1e999 is too large for a number"),
        (r'{"city": "\ud800"}', "half of a surrogate pair"),
        ('["Oslo"]', "have to be a JSON object"),
        ('"Oslo"', "have to be a JSON object"),
        ('{"city": 7}', "city: 7 is not of type 'string'"),
        ('{"city": "Oslo", "days": "two"}', "days: 'two' is not of type 'integer'"),
        ("{}", "'city' is a required property"),
    ],
)
def test_arguments_that_cannot_be_used_go_back_unasked_and_not_run(
    server: Scripted, arguments: str, why: str
) -> None:
    server.will(calling(call("box__weather", arguments)), answer("Sorry."))
    box = Box(weather=say("rain"), schemas={"weather": CITY})
    loop = looped(server, box)
    assert (box.ran, loop.put, loop.started) == ([], [], [])
    (told,) = loop.results()
    assert why in told
    assert told.startswith("Error: ")
    assert "did not run" in told
    (ended,) = loop.ended
    assert isinstance(ended.error, ToolArgumentsError)
    assert (ended.planned, ended.result.is_error, ended.result.text) == (None, True, told)
    sent_back = loop.turn()["tool_calls"][0]["function"]["arguments"]
    assert isinstance(json.loads(sent_back), dict), "what is not an object is refused when it comes back"


@pytest.mark.parametrize("name", ["multi_tool_use.parallel", "functions.multi_tool_use.parallel"])
def test_a_made_up_call_of_several_tools_is_their_calls(server: Scripted, name: str) -> None:
    uses = [
        {"recipient_name": "functions.box__clock", "parameters": {"zone": "UTC"}},
        {"recipient_name": "box.other"},
        {"recipient_name": "functions.none", "parameters": {}},
    ]
    server.will(calling(call(name, {"tool_uses": uses})), answer("Done."))
    box = Box(clock=say("12:00"), other=say("fine"))
    loop = looped(server, box)
    assert loop.results()[:2] == ["12:00", "fine"]
    assert "there is no tool" in loop.results()[2]
    assert sorted(each.name for each in loop.put) == ["box/clock", "box/other"]
    sent = loop.turn()["tool_calls"]
    assert [each["function"]["name"] for each in sent] == ["box__clock", "box__other", "functions_none"]
    assert json.loads(sent[0]["function"]["arguments"]) == {"zone": "UTC"}
    assert len({each["id"] for each in sent}) == 3


@pytest.mark.parametrize(
    "arguments", ["{}", "[]", "nonsense", '{"tool_uses": 3}', '{"tool_uses": [{"a": 1}]}']
)
def test_a_made_up_call_of_nothing_is_an_error_for_the_model(server: Scripted, arguments: str) -> None:
    server.will(calling(call("multi_tool_use.parallel", arguments)), answer("Sorry."))
    loop = looped(server, Box(clock=say("12:00")))
    assert "there is no tool 'multi_tool_use.parallel'" in loop.results()[0]
    assert loop.turn()["tool_calls"][0]["function"]["name"] == "multi_tool_use_parallel"


def test_a_call_by_a_decorated_name_is_its_tools_call_everywhere(server: Scripted) -> None:
    server.will(calling(call("functions.fs.read:0")), answer("Done."))
    loop = looped(server, Box("fs", read=say("a.txt")))
    assert [planned.name for planned in loop.put] == ["fs/read"], "it is approved by its real name"
    assert loop.results() == ["a.txt"]
    assert [each.name for each in loop.calls] == ["fs__read"]
    assert loop.turn()["tool_calls"][0]["function"]["name"] == "fs__read", "servers refuse a dot in it"


CALL = '{"name": "fs__read", "arguments": {"path": "a"}}'


@pytest.mark.parametrize(
    "text",
    [
        f"<tool_call>\n{CALL}\n</tool_call>",
        f"I will look.\n<tool_call>{CALL}",
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
def test_a_call_that_is_written_as_text_is_reported_and_not_run(server: Scripted, text: str) -> None:
    server.will(answer(text))
    notices: list[Notice] = []
    box = Box("fs", read=say("a.txt"))
    loop = looped(server, box, notify=notices.append)
    assert [notice for notice in notices if isinstance(notice, CallAsText)] == [CallAsText(tool="fs/read")]
    shown = re.sub(r"<\|channel\|>\w+ |<\|constrain\|>json<\|message\|>", "", text)
    assert (box.ran, loop.text, len(server.asked)) == ([], shown, 1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('<tool_call>{"name": "other", "arguments": {}}</tool_call>', [CallAsText()]),
        ("The list is:\n- a\n- b", []),
        ('{"name": "Rex", "age": 3}', []),
        ('{"name": "other", "arguments": {}}', []),
        ('{"name": "fs__read"}', []),
        ("You may use fs__read(path) for that.", []),
        ("```python\nopen('a').read()\n```", []),
        ("", []),
    ],
)
def test_only_what_looks_like_a_call_is_reported(server: Scripted, text: str, told: list[CallAsText]) -> None:
    notices: list[Notice] = []
    server.will(answer(text or " x"))
    looped(server, Box("fs", read=say("a.txt")), notify=notices.append)
    assert [notice for notice in notices if isinstance(notice, CallAsText)] == told
    server.will(answer(f"<tool_call>{CALL}</tool_call>"))
    notices.clear()
    looped(server, Box("fs", read=say("a.txt")), notify=notices.append, choice="none")
    assert not any(isinstance(notice, CallAsText) for notice in notices)


def test_a_tool_that_does_not_exist_is_an_error_with_near_names(server: Scripted) -> None:
    server.will(calling(call("fs__raed_file", id="a"), call("fs__list", id="b", index=1)), answer("Sorry."))
    box = Box("fs", read_file=say("x"), list=say("a.txt"))
    loop = looped(server, box)
    told, listed = loop.results()
    assert "'fs__raed_file'" in told
    assert "fs__read_file" in told
    assert listed == "a.txt"
    assert isinstance(loop.ended[0].error, UnknownToolError)
    assert loop.ended[0].planned is None
    assert [planned.call.id for planned in loop.put] == ["b"]


def test_a_tool_that_is_like_no_other_is_answered_with_all_there_are(server: Scripted) -> None:
    server.will(calling(call("zzz")), answer("Sorry."))
    (told,) = looped(server, Box("fs", read=say("x"), list=say("y"))).results()
    assert "fs__read" in told
    assert "fs__list" in told


# --- results -----------------------------------------------------------------------------------------------


def failing(arguments: Any, stop: threading.Event) -> str:
    raise ToolError("the server of box has died", server="box", tool="clock")


def broken(arguments: Any, stop: threading.Event) -> str:
    raise ZeroDivisionError("by zero")


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (failing, "Error: the server of box has died"),
        (broken, "Error: box/clock failed: ZeroDivisionError: by zero"),
    ],
)
def test_what_a_tool_raises_is_its_result_and_the_others_go_on(
    server: Scripted, function: Any, told: str
) -> None:
    server.will(calling(call("box__clock", id="a"), call("box__other", id="b", index=1)), answer("Sorry."))
    loop = looped(server, Box(clock=function, other=say("fine")))
    assert loop.results() == [told, "fine"]
    by_id = {ended.call.id: ended for ended in loop.ended}
    assert isinstance(by_id["a"].error, ToolError)
    assert by_id["b"].error is None


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (ToolResult(text="no such file", is_error=True), "Error: no such file"),
        (ToolResult(text="Error: no such file", is_error=True), "Error: no such file"),
        (ToolResult(), "[The tool returned nothing.]"),
        (ToolResult(text=" \n"), "[The tool returned nothing.]"),
        (ToolResult(structured={"ö": 1}), '{"ö": 1}'),
        (ToolResult(text="one", structured={"n": 1}), "one"),
        (
            ToolResult(text="a chart", images=(ImagePart(url="data:image/png;base64,AA=="),)),
            "a chart\n[The result has 1 image as well, which cannot be shown to you.]",
        ),
        (
            ToolResult(images=(ImagePart(url="data:,"), ImagePart(url="data:,"))),
            "[The result has 2 images as well, which cannot be shown to you.]",
        ),
        (
            ToolResult(images=(ImagePart(url="data:,"),), is_error=True),
            "Error\n[The result has 1 image as well, which cannot be shown to you.]",
        ),
        (ToolResult(text="half a pair: \ud83d"), "half a pair: ?"),
    ],
)
def test_what_the_model_reads_of_a_result(server: Scripted, result: ToolResult, told: str) -> None:
    server.will(calling(call("box__clock")), answer("I see."))
    loop = looped(server, Box(clock=lambda arguments, stop: result))
    assert loop.results() == [told]
    if not result.images:
        assert loop.ended[0].result.text == told
    assert loop.ended[0].result.images == result.images


def image(number: int) -> ImagePart:
    return ImagePart(url=f"data:image/png;base64,{number}")


def drawing() -> Box:
    pictures = ToolResult(text="drawn", images=(image(1), image(2))), ToolResult(images=(image(3),))
    return Box(clock=say("12:00"), draw=lambda arguments, stop: pictures[arguments["n"]])


def test_images_are_parts_of_the_tool_messages(server: Scripted) -> None:
    calls = [
        call("box__draw", {"n": 0}, id="a"),
        call("box__clock", id="b", index=1),
        call("box__draw", {"n": 1}, id="c", index=2),
    ]
    server.will(calling(*calls), calling(call("box__clock", id="d")), answer("I see."))
    loop = looped(server, drawing(), reads_images=True)
    parts = [{"type": "image_url", "image_url": {"url": image(number).url}} for number in (1, 2, 3)]
    results = [
        [{"type": "text", "text": "drawn"}, *parts[:2]],
        "12:00",
        [{"type": "text", "text": "[The result is 1 image.]"}, parts[2]],
    ]
    assert loop.results(1) == results
    assert loop.results(2) == [*results, "12:00"]
    roles = ["user", "assistant", "tool", "tool", "tool", "assistant", "tool"]
    assert [m["role"] for m in loop.bodies[2]["messages"]] == roles


@pytest.mark.parametrize("model", ["m", "mistral-medium-latest"])
def test_a_row_moves_images_into_a_user_message_after_all_results(server: Scripted, model: str) -> None:
    calls = [
        call("box__draw", {"n": 0}, id="a"),
        call("box__clock", id="b", index=1),
        call("box__draw", {"n": 1}, id="c", index=2),
    ]
    server.will(calling(*calls), calling(call("box__clock", id="d")), answer("I see."))
    row = Quirks(tool_images="user")
    loop = looped(server, drawing(), model=model, reads_images=True, quirks=row)
    results = ["drawn\n[The result has 2 images, in the message after the results.]", "12:00",
               "[The result has 1 image, in the message after the results.]"]  # fmt: skip
    assert loop.results(1) == results
    assert loop.results(2) == [*results, "12:00"]
    roles = [
        "user",
        "assistant",
        "tool",
        "tool",
        "tool",
        *(["assistant"] if "mistral" in model else []),
        "user",
    ]
    assert [m["role"] for m in loop.bodies[1]["messages"]] == roles
    assert [m["role"] for m in loop.bodies[2]["messages"]] == [*roles, "assistant", "tool"]
    for body in loop.bodies[1:]:
        assert body["messages"][len(roles) - 1]["content"] == [
            {"type": "text", "text": "The 2 images in the result of box__draw:"},
            *({"type": "image_url", "image_url": {"url": image(n).url}} for n in (1, 2)),
            {"type": "text", "text": "The image in the result of box__draw:"},
            {"type": "image_url", "image_url": {"url": image(3).url}},
        ]


# --- the end of the loop -----------------------------------------------------------------------------------


def test_at_the_limit_the_answer_is_handed_out_and_its_calls_do_not_run(server: Scripted) -> None:
    server.will(calling(call("box__clock"), text="Once more."))
    box, loop = Box(clock=say("12:00")), Loop(server)
    with pytest.raises(LoopLimitError, match="lab/m still calls tools after 3 turns") as raised:
        for _ in looping(loop, box, max_turns=3):
            pass
    assert raised.value.turns == 3
    assert raised.value.provider == "lab"
    assert (len(server.asked), len(box.ran)) == (3, 2)
    assert loop.text == "Once more." * 3
    assert loop.finished.verdict is Verdict.COMPLETE


def test_at_the_limit_more_turns_may_be_allowed(server: Scripted) -> None:
    more = iter([2, 1, 0])
    told: list[int] = []

    def on_limit(turns: int) -> int:
        told.append(turns)
        return next(more)

    server.will(calling(call("box__clock")))
    with pytest.raises(LoopLimitError):
        looped(server, Box(clock=say("12:00")), max_turns=1, on_limit=on_limit)
    assert told == [1, 3, 4]
    assert len(server.asked) == 4


def test_the_last_turn_may_be_the_answer(server: Scripted) -> None:
    server.will(calling(call("box__clock")), answer("Noon."))
    assert looped(server, Box(clock=say("12:00")), max_turns=2).text == "Noon."


def test_a_turn_of_no_requests_is_refused(server: Scripted) -> None:
    with pytest.raises(InvalidInputError):
        looped(server, Box(clock=say("12:00")), max_turns=0)
    assert server.asked == []


HALF = {"index": 1, "id": "b", "function": {"name": "box__clock", "arguments": '{"zone": "C'}}


@pytest.mark.parametrize(
    ("rest", "verdict"),
    [
        (sse(delta(tool_calls=[HALF])), Verdict.PARTIAL),
        ([*sse(delta(tool_calls=[HALF])), Cut(reset=True)], Verdict.PARTIAL),
        (sse(delta(tool_calls=[HALF]), {"error": {"message": "out of memory"}}), Verdict.FAILED),
        (sse(delta(tool_calls=[HALF]), delta(finish="content_filter")), Verdict.FILTERED),
    ],
)
def test_of_an_answer_that_is_not_whole_no_call_runs(
    server: Scripted, rest: list[Any], verdict: Verdict
) -> None:
    server.will([*sse(delta(tool_calls=[call("box__clock", id="a")])), *rest])
    box = Box(clock=say("12:00"))
    loop = looped(server, box)
    assert loop.finished.verdict is verdict
    assert (box.ran, loop.put, len(server.asked)) == ([], [], 1)


def test_an_answer_of_half_a_call_is_retried(server: Scripted) -> None:
    server.will(sse(delta(tool_calls=[HALF])), answer("Noon."))
    notices: list[Notice] = []
    loop = looped(server, Box(clock=say("12:00")), retries=1, notify=notices.append)
    assert (loop.text, len(server.asked)) == ("Noon.", 2)
    (retried,) = (notice for notice in notices if isinstance(notice, Retrying))
    assert "a call of box/clock was not run" in retried.error.message


def test_no_call_of_an_answer_that_the_token_limit_cut_is_run(server: Scripted) -> None:
    cut = sse(
        delta(tool_calls=[call("box__clock", {"n": 1})]), delta(tool_calls=[HALF]), delta(finish="length")
    )
    server.will([*cut, DONE], answer("Noon."))
    box = Box(clock=say("12:00"))
    loop = looped(server, box)
    assert (box.ran, len(server.asked)) == ([], 1)
    assert [event.cut for event in loop.events if isinstance(event, ToolCall)] == [False, True]


@pytest.mark.parametrize(
    ("called", "shown"),
    [("box__clock", "box/clock"), ("functions.box.clock:0", "box/clock"), ("sundial", "sundial")],
)
def test_a_cut_call_is_named_as_the_user_knows_the_tool(server: Scripted, called: str, shown: str) -> None:
    server.will(calling(call(called, '{"n'), finish="length"))
    error = looped(server, Box(clock=say("12:00"))).finished.error
    assert error is not None
    assert f"in a call of {shown}, which was not run" in error.message


# --- tool choice -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "first", "then"),
    [
        (None, None, None),
        ("auto", "auto", "auto"),
        ("required", "required", "auto"),
        ("box__clock", {"type": "function", "function": {"name": "box__clock"}}, "auto"),
        ("box/clock", {"type": "function", "function": {"name": "box__clock"}}, "auto"),
        ("clock", {"type": "function", "function": {"name": "box__clock"}}, "auto"),
    ],
)
def test_a_demand_for_a_tool_is_made_once(
    server: Scripted, choice: str | None, first: Any, then: Any
) -> None:
    server.will(calling(call("box__clock")), answer("Noon."))
    bodies = looped(server, Box(clock=say("12:00")), choice=choice).bodies
    assert [body.get("tool_choice") for body in bodies] == [first, then]
    assert all("tools" in body for body in bodies)


def test_the_demand_is_made_in_the_providers_words(server: Scripted) -> None:  # quirk 122
    server.will(calling(call("box__clock")), answer("Noon."))
    row = Quirks(tool_choice_required="any")
    bodies = looped(server, Box(clock=say("12:00")), choice="required", quirks=row).bodies
    assert [body.get("tool_choice") for body in bodies] == ["any", "auto"]


@pytest.mark.parametrize(
    ("choice", "script", "ignored"),
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
def test_a_demand_that_is_ignored_is_reported(
    server: Scripted, choice: str, script: Any, ignored: bool
) -> None:
    server.will(*script)
    notices: list[Notice] = []
    looped(server, Box(clock=say("12:00"), date=say("1st")), choice=choice, notify=notices.append)
    found = [notice for notice in notices if isinstance(notice, FieldIgnored)]
    assert found == ([FieldIgnored(field="tool_choice", value=choice)] if ignored else [])


def test_where_no_tool_is_to_be_called_none_runs(server: Scripted) -> None:
    server.will(calling(call("box__clock")), answer("Fine."))  # a server that ignores the choice
    box = Box(clock=say("12:00"))
    loop = looped(server, box, choice="none")
    assert [body["tool_choice"] for body in loop.bodies] == ["none", "none"]
    assert (box.ran, loop.put) == ([], [])
    assert loop.results() == ["this chat allows no tool calls"]


@pytest.mark.parametrize("choice", ["clokc", "fs/clock", "twice"])
def test_a_demand_for_what_is_not_there_is_an_error_before_anything_is_asked(
    server: Scripted, choice: str
) -> None:
    server.will(answer("Hi."))
    with pytest.raises(UnknownToolError, match=re.escape(repr(choice))):
        looped(server, Box(clock=say("1"), twice=say("2")), Box("other", twice=say("3")), choice=choice)
    assert server.asked == []


# --- what goes back ----------------------------------------------------------------------------------------

DETAILS = [
    {"type": "reasoning.text", "text": "I need the ", "index": 0},
    {"type": "reasoning.text", "text": "clock.", "signature": "c2ln", "index": 0},
    {"type": "reasoning.encrypted", "data": "AAAA", "index": 1},
]


@pytest.mark.parametrize(
    ("row", "sent"),
    [
        ("reasoning_content", {"reasoning_content": "I need the clock."}),
        ("reasoning", {"reasoning": "I need the clock."}),
        (
            "reasoning_details",
            {
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "I need the clock.", "signature": "c2ln", "index": 0},
                    {"type": "reasoning.encrypted", "data": "AAAA", "index": 1},
                ]
            },
        ),
        ("never", {}),
    ],
)
def test_thoughts_go_back_with_the_calls_as_the_row_says(
    server: Scripted, row: Any, sent: Any
) -> None:  # quirks 91-102
    frames = [delta(reasoning_details=[part]) for part in DETAILS]
    server.will([*sse(*frames), *calling(call("box__clock"))], answer("Noon."))
    turn = looped(server, Box(clock=say("12:00")), quirks=Quirks(reasoning_send_back=row)).turn()
    carriers = {"reasoning", "reasoning_content", "reasoning_details"}
    assert {key: value for key, value in turn.items() if key in carriers} == sent


def test_reasoning_of_answers_without_calls_goes_along_where_tools_are_offered(
    server: Scripted,
) -> None:  # quirk 91
    server.will(calling(call("box__clock"), reasoning_content="Hm."), answer("Noon."))
    earlier = (
        Message(role="user", content="Hi"),
        Message(role="assistant", content="Hello", reasoning="A greeting.", provider="lab"),
        Message(role="user", content="Time?"),
    )
    loop = looped(
        server, Box(clock=say("1")), messages=earlier, quirks=Quirks(reasoning_send_back="reasoning_content")
    )
    turns = [m for m in loop.bodies[1]["messages"] if m["role"] == "assistant"]
    assert [turn.get("reasoning_content") for turn in turns] == ["A greeting.", "Hm."]


def test_signatures_go_back_unchanged_on_message_and_call(server: Scripted) -> None:  # quirk 97
    signed = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
    other = {"extra_content": {"google": {"thought_signature": "bWVzc2FnZQ=="}}}
    server.will(calling(call("box__clock", id="", **signed), **other), answer("Noon."))
    turn = looped(server, Box(clock=say("12:00"))).turn()
    assert turn["extra_content"] == other["extra_content"]
    assert turn["tool_calls"][0]["extra_content"] == signed["extra_content"]
    assert turn["tool_calls"][0]["id"]
