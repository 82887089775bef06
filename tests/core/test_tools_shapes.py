"""Every shape in which servers send tool calls, through the loop over real sockets: what runs, and what goes back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from scripted import DONE, Answer, answer, delta, sse
from toolboxes import Box, Loop, call, calling, looped

from provider_core import presets
from provider_core.types import Message, Quirks, Verdict

if TYPE_CHECKING:
    from scripted import Scripted


def box() -> Box:
    return Box(
        "", clock=lambda arguments, stop: f"12:00 {arguments.get('zone', 'UTC')}", add=lambda a, stop: "3"
    )


def part(**fields: Any) -> dict[str, Any]:
    """A piece of a tool call, with its function's fields beside its own."""
    function = {key: fields.pop(key) for key in ("name", "arguments") if key in fields}
    return {**fields, "function": function}


def parts(
    *deltas: dict[str, Any] | list[dict[str, Any]], finish: str | None = "tool_calls", done: bool = True
) -> Answer:
    frames = [delta(tool_calls=each if isinstance(each, list) else [each]) for each in deltas]
    if finish is not None:
        frames.append(delta(finish=finish))
    return Answer([*sse(*frames), *([DONE] if done else [])])


def ran(server: Scripted, first: Answer | list[bytes], **options: Any) -> tuple[Loop, list[tuple[str, Any]]]:
    """What one answer of this shape makes run; the conversation has to come to its end."""
    server.will(first, answer("Done."))
    tools = box()
    loop = looped(server, tools, **options)
    assert loop.text.endswith("Done.")
    assert loop.finished.verdict is Verdict.COMPLETE
    turn = loop.turn()
    ids = [each["id"] for each in turn["tool_calls"]]
    assert ids == [m["tool_call_id"] for m in loop.bodies[1]["messages"] if m["role"] == "tool"]
    assert all(ids), "a call without an id cannot be answered"
    assert len(set(ids)) == len(ids)
    for each in turn["tool_calls"]:
        assert each["type"] == "function"
        json.loads(each["function"]["arguments"])
    return loop, tools.ran


CET = [("clock", {"zone": "CET"})]
BOTH = [("clock", {"zone": "CET"}), ("clock", {"zone": "JST"})]
ZONES = ('{"zone":"CET"}', '{"zone":"JST"}')


def test_calls_without_an_index(server: Scripted) -> None:  # quirk 103: Gemini, Mistral, Cohere
    two = [part(id=id, name="clock", arguments=zone) for id, zone in zip("ab", ZONES, strict=True)]
    assert ran(server, parts(two))[1] == BOTH


def test_calls_without_an_index_in_chunks_of_their_own(server: Scripted) -> None:  # quirk 103
    two = [part(id=id, name="clock", arguments=zone) for id, zone in zip("ab", ZONES, strict=True)]
    assert ran(server, parts(*two))[1] == BOTH


def test_parallel_calls_that_are_all_index_zero(server: Scripted) -> None:  # quirk 104: Cerebras
    two = [part(index=0, id=id, name="clock", arguments=zone) for id, zone in zip("ab", ZONES, strict=True)]
    assert ran(server, parts(*two))[1] == BOTH


def test_a_first_call_of_index_one(server: Scripted) -> None:  # quirk 105: Anthropic
    opening = part(index=1, id="a", name="clock", arguments="")
    assert ran(server, parts(opening, part(index=1, arguments='{"zone":"CET"}')))[1] == CET


@pytest.mark.parametrize("id", ["", None])
def test_continuations_with_an_empty_id(server: Scripted, id: str | None) -> None:  # quirk 106: DashScope
    opening = part(index=0, id="a", name="clock", arguments='{"zo')
    loop, calls = ran(server, parts(opening, part(index=0, id=id, arguments='ne":"CET"}')))
    assert calls == CET
    assert loop.turn()["tool_calls"][0]["id"] == "a"


def test_id_and_name_repeated_in_every_piece(server: Scripted) -> None:  # quirk 107
    pieces = [part(index=0, id="a", name="clock", arguments=text) for text in ('{"zo', 'ne":', '"CET"}')]
    assert ran(server, parts(*pieces))[1] == CET


def test_a_name_that_is_empty_in_continuations_or_late(server: Scripted) -> None:  # quirk 108: Mistral
    opening = part(index=0, id="a", name="clock", arguments='{"zo')
    assert ran(server, parts(opening, part(index=0, name="", arguments='ne":"CET"}')))[1] == CET
    late = part(index=0, id="a", arguments="")
    assert ran(server, parts(late, part(index=0, name="clock", arguments='{"zone":"CET"}')))[1] == CET


def test_arguments_as_an_object(server: Scripted) -> None:  # quirk 109: Ollama
    assert ran(server, parts(part(index=0, id="a", name="clock", arguments={"zone": "CET"})))[1] == CET


@pytest.mark.parametrize("arguments", [None, "", "null"])
def test_arguments_that_are_nothing(server: Scripted, arguments: Any) -> None:  # quirk 110
    loop, calls = ran(server, parts(part(index=0, id="a", name="clock", arguments=arguments)))
    assert calls == [("clock", {})]
    assert loop.turn()["tool_calls"][0]["function"]["arguments"] == "{}"


def test_a_call_without_any_arguments_field(server: Scripted) -> None:  # quirk 110
    assert ran(server, parts(part(index=0, id="a", name="clock")))[1] == [("clock", {})]


def test_a_whole_call_in_one_chunk_that_is_also_the_last(server: Scripted) -> None:  # quirk 111: Groq, xAI
    chunk = delta(tool_calls=[call("clock", {"zone": "CET"})], finish="tool_calls")
    assert ran(server, [*sse(chunk), DONE])[1] == CET


def test_arguments_that_are_json_before_they_are_whole(server: Scripted) -> None:  # quirk 112
    pieces = [part(index=0, id="a", name="add", arguments=text) for text in ('{"n":1', "2", "}")]
    assert ran(server, parts(*pieces))[1] == [("add", {"n": 12})]


def test_a_placeholder_before_the_arguments(server: Scripted) -> None:  # quirk 113
    opening = part(index=0, id="a", name="clock", arguments="{}")
    assert ran(server, parts(opening, part(index=0, arguments='{"zone":"CET"}')))[1] == CET


def test_calls_under_the_finish_reason_stop(server: Scripted) -> None:  # quirk 114: Gemini, SGLang
    assert ran(server, calling(call("clock", {"zone": "CET"}), finish="stop"))[1] == CET


def test_calls_beside_text_under_the_finish_reason_stop(server: Scripted) -> None:  # quirk 114
    assert ran(server, calling(call("clock", {"zone": "CET"}), text="Let me see.", finish="stop"))[1] == CET


def test_the_finish_reason_tool_calls_without_a_call(server: Scripted) -> None:  # quirk 115: LM Studio
    server.will(answer("Noon.", finish="tool_calls"))
    loop = looped(server, box())
    assert (len(server.asked), loop.text, loop.finished.reason) == (1, "Noon.", "stop")


def test_calls_run_without_a_finish_reason_if_the_stream_is_done(server: Scripted) -> None:
    assert ran(server, parts(call("clock", {"zone": "CET"}), finish=None, done=True))[1] == CET


@pytest.mark.parametrize(
    "leaked",
    [
        '<tool_call>\n{"name": "clock", "arguments": {"zone": "CET"}}\n</tool_call>',
        '<|python_tag|>{"name": "clock", "parameters": {}}',
        '[TOOL_CALLS] [{"name": "clock", "arguments": {}}]',
        "<function=clock>{}</function>",
    ],
)
def test_calls_that_leak_as_text_are_text(server: Scripted, leaked: str) -> None:  # quirk 117
    server.will(answer(leaked))
    tools = box()
    loop = looped(server, tools)
    assert (loop.text, tools.ran, len(server.asked)) == (leaked, [], 1)


@pytest.mark.parametrize("nothing", [None, []])
def test_no_calls_on_plain_chunks(server: Scripted, nothing: Any) -> None:  # quirk 118: Snowflake
    server.will(
        [*sse(delta("No", tool_calls=nothing), delta("on.", tool_calls=nothing), delta(finish="stop")), DONE]
    )
    loop = looped(server, box())
    assert (loop.text, loop.calls) == ("Noon.", [])


@pytest.mark.parametrize("type", [{}, {"type": None}, {"type": ""}])
def test_calls_of_no_type(server: Scripted, type: dict[str, Any]) -> None:  # quirk 119: Mistral
    assert (
        ran(server, parts(part(index=0, id="a", name="clock", arguments='{"zone":"CET"}', **type)))[1] == CET
    )


def test_mistral_gets_ids_of_its_own_form_back(server: Scripted) -> None:  # quirk 120
    row = presets.get("mistral")
    assert row is not None
    loop, calls = ran(
        server, calling(call("clock", {"zone": "CET"}, id="chatcmpl-tool-77")), quirks=row.quirks
    )
    assert calls == CET
    (sent,) = loop.turn()["tool_calls"]
    assert len(sent["id"]) == 9
    assert sent["id"].isalnum()


def test_calls_repeated_beside_the_answer_do_not_run_again(server: Scripted) -> None:  # quirk 121: Cerebras
    again = delta("It is noon.", tool_calls=[call("clock", '{"zone":"CET"}', id="other")])
    server.will(
        calling(call("clock", {"zone": "CET"})), [*sse(again, delta(finish="stop")), DONE], answer("Never.")
    )
    tools = box()
    loop = looped(server, tools)
    assert (tools.ran, len(server.asked), loop.text) == (CET, 2, "It is noon.")
    assert loop.finished.reason == "stop"
    assert len(loop.calls) == 1, "the repeated one is no call of the answer's"


@pytest.mark.parametrize(
    "second",
    [
        calling(call("clock", {"zone": "JST"}, id="b"), text="And there?", finish="stop"),
        calling(call("clock", {"zone": "CET"}, id="b"), text="Once more:"),
        calling(call("clock", {"zone": "CET"}, id="b"), finish="stop"),
    ],
)
def test_a_call_that_is_meant_again_runs_again(server: Scripted, second: list[bytes]) -> None:  # quirk 121
    server.will(calling(call("clock", {"zone": "CET"})), second, answer("Done."))
    tools = box()
    assert looped(server, tools).text.endswith("Done.")
    assert len(tools.ran) == 2


def test_a_row_that_takes_no_demand_is_sent_none(server: Scripted) -> None:  # quirk 122: GLM, Kimi
    loop, _ = ran(
        server,
        calling(call("clock", {"zone": "CET"})),
        choice="clock",
        quirks=Quirks(tool_choice_required="auto"),
    )
    assert "tool_choice" not in loop.bodies[0]


def test_a_legacy_function_call(server: Scripted) -> None:  # quirk 63
    legacy = delta(function_call={"name": "clock", "arguments": '{"zone":"CET"}'})
    assert ran(server, [*sse(legacy, delta(finish="function_call")), DONE])[1] == CET


def test_a_reply_that_is_no_stream(server: Scripted) -> None:  # quirk 23
    message = {"role": "assistant", "content": None, "tool_calls": [call("clock", {"zone": "CET"})]}
    whole = {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
    }
    body = Answer([json.dumps(whole).encode()], headers={"content-type": "application/json"})
    assert ran(server, body)[1] == CET


def test_geminis_call_without_an_id_or_content(server: Scripted) -> None:  # quirk 97
    signed = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
    message = {"role": "assistant", "tool_calls": [call("clock", {"zone": "CET"}, id="", **signed)]}
    whole = {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    server.will(
        Answer([json.dumps(whole).encode()], headers={"content-type": "application/json"}),
        answer("Done."),
    )
    loop = looped(server, box(), messages=(Message(role="user", content="Time?"),))
    (sent,) = loop.turn()["tool_calls"]
    assert sent["extra_content"] == signed["extra_content"]
    assert loop.turn()["content"] is None
