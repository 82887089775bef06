"""Every shape in which servers send tool calls: what runs, and what goes back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from scripted import DONE, Answer, answer, delta, sse
from toolboxes import Box, Loop, call, calling, looped

from provider_core import presets
from provider_core.types import Verdict

ARGUMENTS = '{"zone":"CET"}'
CET = [("clock", {"zone": "CET"})]
BOTH = [*CET, ("clock", {"zone": "JST"})]


def box() -> Box:
    return Box("", clock=lambda arguments, stop: "12:00", add=lambda arguments, stop: "3")


def part(name: Any = None, arguments: Any = None, **fields: Any) -> dict[str, Any]:
    """A piece of a tool call."""
    function = {"name": name, "arguments": arguments}
    return {**fields, "function": {key: value for key, value in function.items() if value is not None}}


def parts(*pieces: Any, finish: str | None = "tool_calls", done: bool = True) -> list[bytes]:
    """A stream of pieces, each in a chunk of its own; those of a list are in one."""
    frames = [delta(tool_calls=each if isinstance(each, list) else [each]) for each in pieces]
    frames += [delta(finish=finish)] if finish else []
    return [*sse(*frames), *([DONE] if done else [])]


def whole(finish: str, **message: Any) -> Answer:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    body = json.dumps({"object": "chat.completion", "choices": [choice]}).encode()
    return Answer([body], headers={"content-type": "application/json"})


def two(**fields: Any) -> list[dict[str, Any]]:
    return [
        part("clock", ARGUMENTS, id="a", **fields),
        part("clock", ARGUMENTS.replace("CET", "JST"), id="b", **fields),
    ]


def opening(arguments: str = '{"zo', **fields: Any) -> dict[str, Any]:
    return part("clock", arguments, **{"index": 0, "id": "a", **fields})


def rest(name: Any = None, **fields: Any) -> dict[str, Any]:
    return part(name, 'ne":"CET"}', index=0, **fields)


CET_CALL = call("clock", {"zone": "CET"})


@pytest.mark.parametrize(
    ("stream", "ran"),
    [
        pytest.param(parts(two()), BOTH, id="no index: Gemini, Mistral, Cohere (quirk 103)"),
        pytest.param(parts(*two()), BOTH, id="no index, in chunks of their own (103)"),
        pytest.param(parts(*two(index=0)), BOTH, id="all index 0: Cerebras (104)"),
        pytest.param(
            parts(opening("", index=1), part(None, ARGUMENTS, index=1)), CET, id="index 1: Anthropic (105)"
        ),
        pytest.param(parts(opening(), rest(id="")), CET, id="an empty id: DashScope (106)"),
        pytest.param(parts(opening(), rest(id=None)), CET, id="an id of null (106)"),
        pytest.param(
            parts(opening(), opening('ne":'), opening('"CET"}')), CET, id="repeated id and name (107)"
        ),
        pytest.param(parts(opening(), rest("")), CET, id="an empty name: Mistral (108)"),
        pytest.param(
            parts(part(None, "", index=0, id="a"), part("clock", ARGUMENTS, index=0)),
            CET,
            id="a late name (108)",
        ),
        pytest.param(
            parts(part("clock", {"zone": "CET"}, index=0, id="a")), CET, id="an object: Ollama (109)"
        ),
        pytest.param(parts(part("clock", "", index=0, id="a")), [("clock", {})], id="empty arguments (110)"),
        pytest.param(
            parts(part("clock", "null", index=0, id="a")), [("clock", {})], id="arguments null (110)"
        ),
        pytest.param(parts(part("clock", index=0, id="a")), [("clock", {})], id="no arguments (110)"),
        pytest.param(
            [*sse(delta(tool_calls=[CET_CALL], finish="tool_calls")), DONE],
            CET,
            id="in the last chunk: xAI (111)",
        ),
        pytest.param(
            parts(*(part("add", text, index=0, id="a") for text in ('{"n":1', "2", "}"))),
            [("add", {"n": 12})],
            id="JSON before it is complete (112)",
        ),
        pytest.param(
            parts(opening("{}"), part(None, ARGUMENTS, index=0)), CET, id="a placeholder before it (113)"
        ),
        pytest.param(calling(CET_CALL, finish="stop"), CET, id="finish stop: Gemini, SGLang (114)"),
        pytest.param(calling(CET_CALL, text="See:", finish="stop"), CET, id="finish stop beside text (114)"),
        pytest.param(parts(CET_CALL, finish=None), CET, id="no finish reason, but done"),
        *(
            pytest.param(parts({**opening(ARGUMENTS), **kind}), CET, id=f"type {kind}: Mistral (119)")
            for kind in ({"type": None}, {"type": ""})
        ),
        pytest.param(
            [
                *sse(
                    delta(function_call={"name": "clock", "arguments": ARGUMENTS}),
                    delta(finish="function_call"),
                ),
                DONE,
            ],
            CET,
            id="a legacy function call (63)",
        ),
        pytest.param(whole("tool_calls", content=None, tool_calls=[CET_CALL]), CET, id="not a stream (23)"),
    ],
)
def test_a_call_of_this_shape_runs_and_goes_back(stream: Any, ran: list[Any]) -> None:
    tools = box()
    loop = looped([stream, answer("Done.")], tools)
    assert tools.ran == ran
    assert loop.text.endswith("Done.")
    assert loop.run.answer.verdict is Verdict.COMPLETE
    sent = loop.turn()["tool_calls"]
    ids = [each["id"] for each in sent]
    assert ids == [m["tool_call_id"] for m in loop.bodies[1]["messages"] if m["role"] == "tool"]
    assert len(set(filter(None, ids))) == len(ran)
    assert [json.loads(each["function"]["arguments"]) for each in sent] == [given for _, given in ran]
    assert all(each["type"] == "function" for each in sent)


def test_the_id_of_the_first_piece_is_sent_back() -> None:
    assert looped([parts(opening(), rest(id=""))], box(), max_turns=1).calls[0].id == "a"


def plain(stream: Any) -> Loop:
    tools = box()
    loop = looped([stream], tools)
    assert (tools.ran, len(loop.bodies), loop.calls) == ([], 1, [])
    return loop


def test_the_finish_reason_tool_calls_without_a_call_means_stop() -> None:  # quirk 115: LM Studio
    loop = plain(answer("Noon.", finish="tool_calls"))
    assert (loop.text, loop.run.answer.finish) == ("Noon.", "stop")


@pytest.mark.parametrize("nothing", [None, []])
def test_empty_calls_on_plain_chunks_are_ignored(nothing: Any) -> None:  # quirk 118: Snowflake
    frames = sse(delta("No", tool_calls=nothing), delta("on.", tool_calls=nothing), delta(finish="stop"))
    assert plain([*frames, DONE]).text == "Noon."


def test_mistral_gets_ids_in_its_own_form() -> None:  # quirk 120
    row = presets.get("mistral")
    assert row is not None
    stream = calling(call("clock", {"zone": "CET"}, id="chatcmpl-tool-77"))
    (sent,) = looped([stream, answer("Done.")], box(), quirks=row.quirks).turn()["tool_calls"]
    assert (len(sent["id"]), sent["id"].isalnum()) == (9, True)


def test_calls_repeated_beside_the_answer_do_not_run_again() -> None:  # quirk 121: Cerebras
    again = delta("It is noon.", tool_calls=[call("clock", ARGUMENTS, id="other")])
    tools = box()
    loop = looped([calling(CET_CALL), [*sse(again, delta(finish="stop")), DONE], answer("Never.")], tools)
    assert (tools.ran, len(loop.bodies), loop.text) == (CET, 2, "It is noon.")
    assert (loop.run.answer.finish, len(loop.calls)) == ("stop", 1)


@pytest.mark.parametrize(
    "second",
    [
        calling(call("clock", {"zone": "JST"}, id="b"), text="And there?", finish="stop"),
        calling(call("clock", {"zone": "CET"}, id="b"), text="Once more:"),
        calling(call("clock", {"zone": "CET"}, id="b"), finish="stop"),
    ],
)
def test_a_call_that_is_meant_again_runs_again(second: list[bytes]) -> None:  # quirk 121
    tools = box()
    looped([calling(CET_CALL), second, answer("Done.")], tools)
    assert len(tools.ran) == 2


def test_geminis_call_without_an_id_or_content_keeps_its_signature() -> None:  # quirk 97
    signed = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
    stream = whole("stop", tool_calls=[call("clock", {"zone": "CET"}, id="", **signed)])
    turn = looped([stream, answer("Done.")], box()).turn()
    assert (turn["content"], turn["tool_calls"][0]["extra_content"]) == (None, signed["extra_content"])
