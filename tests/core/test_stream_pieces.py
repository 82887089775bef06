"""What arrives in pieces: tool calls, section 5 of the list of what servers really send, and fields to send back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from wire import DONE, body, chunks, delta, dumps, message, read

from provider_core.types import Finished, ToolCall, Usage, Verdict

CALLED = delta(finish="tool_calls")


def part(
    id_: Any = None, name: Any = None, arguments: Any = None, *, index: Any = None, **more: Any
) -> dict[str, Any]:
    """A part of a call with only the keys that are given."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    keys = {key: value for key, value in (("id", id_), ("index", index)) if value is not None}
    return {**keys, "function": function, **more}


def called(*deltas: Any) -> list[tuple[str, str, str]]:
    """Id, name and arguments of the calls that result from these parts, or lists of parts."""
    frames = [delta(tool_calls=parts if isinstance(parts, list) else [parts]) for parts in deltas]
    return [(call.id, call.name, call.arguments) for call in chunks(*frames, CALLED).calls]


SUM = [("a", "sum", '{"x":1}')]
BOTH = [*SUM, ("b", "mul", '{"y":2}')]


# Each row: the parts, in deltas of their own or together in a list, and the calls.
@pytest.mark.parametrize(
    ("parts", "calls"),
    [
        # by index
        ([part("a", "sum", "", index=0), part(arguments='{"x"', index=0), part("b", "mul", '{"y"', index=1),
          part(arguments=":1}", index=0), part(arguments=":2}", index=1)], BOTH),
        ([part("a", "sum", '{"x"', index=1), part(arguments=":1}", index=1)], SUM),
        # by id or place
        ([part("a", "sum", '{"x":1}'), part("b", "mul", '{"y":2}')], BOTH),
        ([[part("a", "sum", '{"x":1}'), part("b", "mul", '{"y":2}')]], BOTH),
        ([part("a", "sum", '{"x"'), part(arguments=":1}"), part("b", "mul", '{"y"'), part(arguments=":2}")], BOTH),
        ([[part("a", "sum"), part("b", "mul")], [part(arguments='{"x":1}'), part(arguments='{"y":2}')]], BOTH),
        ([part("a", "sum", '{"x"'), part("b", "mul", '{"y"'), part("a", arguments=":1}"),
          part("b", arguments=":2}")], BOTH),
        # complete calls without index and id
        ([part("", "sum", '{"x":1}'), part("", "sum", '{"x":2}')], [("", "sum", '{"x":1}'), ("", "sum", '{"x":2}')]),
        ([part("", "sum", '{"x":"\n"}')] * 2, [("", "sum", '{"x":"\n"}')] * 2),
        # one index for several calls
        ([part("a", "sum", '{"x":1}', index=0), part("b", "mul", '{"y":2}', index=0)], BOTH),
        ([part("a", "sum", '{"x"', index=0), part(arguments=":1}", index=0), part("b", "mul", "", index=0),
          part(arguments='{"y":2}', index=0)], BOTH),
        # one id for several calls
        ([part("a", name, text, index=0) for name, text in
          (("sum", '{"x"'), ("mul", '{"y"'), ("sum", ":1}"), ("mul", ":2}"))],
         [("a", "sum", '{"x":1}'), ("a", "mul", '{"y":2}')]),
        ([part("a", "sum", '{"x":1}'), part("a", "sum", '{"x":2}')], [*SUM, ("a", "sum", '{"x":2}')]),
        ([part("a", "sum", "", index=0), part("a", "sum", "", index=1), part("a", None, '{"x":1}', index=0),
          part("a", None, '{"x":2}', index=1)], [*SUM, ("a", "sum", '{"x":2}')]),
        ([part("a", "sum"), part("a", "mul"), [part("a", None, '{"x":1}'), part("a", None, '{"y":2}')]],
         [("a", "sum", '{"x":1}'), ("a", "mul", '{"y":2}')]),
        # a call that is repeated
        ([part("a", "sum", "{}"), part("a", "sum", '{"x":1}')], SUM),
        ([part("a", "sum", '{"x":1}'), part("a", "sum", '{"x":1}')], SUM),
        # a new id in every part; no id in later ones
        ([part("a", "sum", "", index=0), part("r1", None, '{"x"', index=0), part("r2", None, ":1}", index=0)], SUM),
        ([part("a", "sum", '{"x"', index=0), part("", arguments=":1}", index=0)], SUM),
        ([part("a", "sum", '{"x"', index=0), {"index": 0, "id": None, "function": {"arguments": ":1}"}}], SUM),
        # id and name in every part
        ([part("a", "sum", text, index=0) for text in ("", '{"x"', ":1}")], SUM),
        ([part("a", "sum", '{"x"'), part("a", "sum", ":1}")], SUM),
        ([part(None, "sum", '{"x"', index=0), part(None, "sum", ":1}", index=0)], [("", "sum", '{"x":1}')]),
        ([part("a", "sum", '{"x":1}', index=0), part(None, "sum", "", index=0)], SUM),
        ([part("a", "sum", '{"x":1}'), part(None, "sum", "")], [*SUM, ("", "sum", "{}")]),
        # an empty or late name
        ([part("a", "sum", '{"x"', index=0), part("a", "", ":1}", index=0)], SUM),
        ([part("a", None, '{"x"', index=0), part(None, "sum", ":1}", index=0)], SUM),
        ([part("a", "sum", '{"x":1}'), part("b"), part(None, "mul", '{"y":2}')], BOTH),
        ([part("a", "sum", '{"x":1}', index=0), part("b", index=0), part(None, "mul", '{"y":2}', index=0)], BOTH),
        # arguments: none, a placeholder before them, more of them, malformed, an empty end
        *[([part("a", "sum", nothing, index=0)], [("a", "sum", "{}")]) for nothing in (None, "", " ", "null")],
        ([{"id": "a", "function": {"name": "sum", "arguments": None}}], [("a", "sum", "{}")]),
        ([part("a", "sum", "{}", index=0), part(arguments='{"x"', index=0), part(arguments=":1}", index=0)], SUM),
        ([part("a", "sum", '{"x":1}', index=0), part(arguments='{"x":1}', index=0)], SUM),
        ([part("a", "n", "1", index=0), part(arguments="2", index=0)], [("a", "n", "12")]),
        ([part("a", "n", "{}", index=0), part(arguments="", index=0)], [("a", "n", "{}")]),
        ([part("a", "sum", '{"x":')], [("a", "sum", '{"x":')]),
        *[([part("a", "sum", '{"x":1}', index=0), part(arguments=end, index=0)], SUM) for end in ("", "\n")],
        *[([part("a", "sum", '{"x":1}', type=kind)], SUM) for kind in (None, "", "function")],
    ],
)  # fmt: skip
def test_parts_find_their_call(parts: list[Any], calls: list[Any]) -> None:
    assert called(*parts) == calls


@pytest.mark.parametrize(
    "parts",
    [
        [part("a", "sum", "{}", index=0), part("a", "mul", "{}", index=0)],
        [part(None, "sum", "{}", index=0), part(None, "mul", "{}", index=0)],
        [part("a", "sum", "{}"), part("a", "mul", "{}")], [[part("a", "sum", "{}"), part("a", "mul", "{}")]],
        [part("a", "sum", "{}", index=0), part("a", "mul", "{}", index=1)],
        [part("a", "sum"), part("a", "mul")],
        [part(None, "sum", index=0), part(None, "mul", index=0)],
        [part("", "sum", index=0), part("", "mul", "{}", index=0)],
        [part(None, "sum"), part(None, "mul")],
        [part(None, "sum", "{"), part(None, "mul", "{"), part(None, "sum", "}"), part(None, "mul", "}")],
        [part(0, "sum", "{", index=0), part(0, "mul", "{", index=0), part(0, "sum", "}"), part(0, "mul", "}")],
        [part("a", "sum"), part("a", "mul"), [part("a", None, "{}"), part("a", None, "{}")]],
        [part("a", "sum", index=0), part("a", "mul", index=1), part("a", None, "{}", index=0)],
        [[part(None, "sum", "{"), part(None, "mul", "{")], [part(None, "sum", "}"), part(None, "mul", "}")]],
        [{"name": "sum", "arguments": {}}, {"name": "mul", "arguments": {}}],
    ],
)  # fmt: skip
def test_two_names_are_two_calls_whatever_their_ids_and_indexes(parts: list[Any]) -> None:
    assert [(name, arguments) for _, name, arguments in called(*parts)] == [("sum", "{}"), ("mul", "{}")]


@pytest.mark.parametrize("key", ["index", "id_"])
def test_the_parts_of_a_hundred_calls_may_come_in_turns(key: str) -> None:
    keys = [{key: number if key == "index" else f"c{number}"} for number in range(100)]
    names = [part(name="f", arguments="", **each) for each in keys]
    arguments = [part(arguments=f'{{"x":{number}}}', **each) for number, each in enumerate(keys)]
    assert [call[2] for call in called(*names, *arguments)] == [f'{{"x":{number}}}' for number in range(100)]


def test_many_parts_cost_no_more_than_their_number() -> None:
    frames = [delta(tool_calls=[part("a", f"f{number}", "{}", index=0)]) for number in range(5_000)]
    assert len(chunks(*frames, CALLED).calls) == 5_000
    frames = [delta(tool_calls=[part(None, "write", text)]) for text in ('{"x":"', *["}a{"] * 20_000, '"}')]
    (call,) = chunks(*frames, CALLED).calls
    assert len(call.arguments) == 60_008


@pytest.mark.parametrize("nothing", [None, [], {}, "x", [None], [7], [part("a", None, "{}", index=0)]])
def test_tool_calls_without_a_name_are_ignored(nothing: Any) -> None:
    result = chunks(delta("Hi", tool_calls=nothing), CALLED)
    assert (result.calls, result.verdict, result.finished.reason) == ([], Verdict.COMPLETE, "stop")
    assert chunks(CALLED).verdict is Verdict.EMPTY


def test_calls_come_just_before_the_end() -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 1}}
    events = chunks(delta(tool_calls=[part("a", "sum", '{"x":1}')]), delta("Hi"), CALLED, usage).events
    assert [type(event) for event in events[-3:]] == [ToolCall, Usage, Finished]


@pytest.mark.parametrize("finish", ["stop", "tool_calls", "function_call", "TOOL_USE", "eos"])
def test_calls_decide_about_the_finish_reason(finish: str) -> None:
    calls = [part("a", "sum", "{}")]
    for frames in ([delta(tool_calls=calls), delta(finish=finish)], [delta(tool_calls=calls, finish=finish)]):
        finished = chunks(*frames).finished
        found = (finished.verdict, finished.reason, finished.raw_reason)
        assert found == (Verdict.COMPLETE, "tool_calls", finish)


def test_complete_calls_without_a_finish_reason_need_the_end_mark() -> None:
    frames = body(delta(tool_calls=[part("a", "sum", '{"x":1}', index=0)]), done=False)
    assert (read(frames).verdict, len(read(frames).calls)) == (Verdict.PARTIAL, 1)
    complete = read(frames + DONE)
    assert (complete.verdict, complete.finished.reason) == (Verdict.COMPLETE, "tool_calls")


@pytest.mark.parametrize(
    ("rest", "verdict", "words"),
    [
        ([], Verdict.PARTIAL, "a call of mul was not run"),
        ([delta(finish="timeout")], Verdict.FAILED, "a call of mul was not run"),
        ([{"error": {"message": "out of memory"}}], Verdict.FAILED, "a call of mul was not run"),
        ([delta(finish="content_filter")], Verdict.FILTERED, "a call of mul was not run"),
        ([delta(finish="length"), DONE], Verdict.LENGTH, "in a call of mul"),
    ],
)
def test_calls_of_an_incomplete_answer_are_marked_if_they_are_cut(
    rest: list[Any], verdict: Verdict, words: str
) -> None:
    first, second = part("a", "sum", '{"x":1}', index=0), part("b", "mul", '{"y"', index=1)
    result = chunks(delta(tool_calls=[first, second]), *rest, done=False)
    assert (result.verdict, [(call.id, call.cut) for call in result.calls]) == (
        verdict,
        [("a", False), ("b", True)],
    )
    assert result.calls[1].arguments == '{"y"'
    assert words in result.error.message


def test_the_legacy_function_call_is_one_call() -> None:
    pieces = ({"name": "sum", "arguments": ""}, {"arguments": '{"x"'}, {"arguments": ":1}"})
    result = chunks(*(delta(function_call=call) for call in pieces), delta(finish="function_call"))
    assert [(call.name, call.arguments) for call in result.calls] == [("sum", '{"x":1}')]
    assert read(dumps(message(function_call={"name": "sum", "arguments": "{}"}))).calls[0].name == "sum"
    assert chunks(delta("Hi", function_call=None), delta(finish="stop")).calls == []


def test_calls_of_a_message_are_read_once() -> None:
    calls = [part("a", "sum", '{"x":1}', index=0), part("b", "mul", '{"y":2}', index=0)]
    whole = message(None, tool_calls=calls, finish="tool_calls")
    assert [call.id for call in read(dumps(whole)).calls] == ["a", "b"]
    assert [call.id for call in chunks(delta(tool_calls=calls), whole).calls] == ["a", "b"]


def test_other_keys_of_a_call_are_returned() -> None:
    signature = {"google": {"thought_signature": "c2ln"}}
    (call,) = chunks(delta(tool_calls=[part("", "sum", "{}", extra_content=signature)]), CALLED).calls
    assert call.extra == {"extra_content": signature}


OLLAMA_CALL = {"content": "", "tool_calls": [{"function": {"name": "sum", "arguments": {"x": 1, "ü": None}}}]}
GEMINI_CALL = {"functionCall": {"name": "sum", "args": {"x": 1, "ü": None}}, "thoughtSignature": "c2ln"}


@pytest.mark.parametrize(
    "data",
    [
        body(delta(tool_calls=[part("a", "sum", {"x": 1, "ü": None})]), CALLED),
        dumps({"message": OLLAMA_CALL, "done": False}) + b"\n" + dumps({"message": {"content": ""}, "done": True}),
        body({"candidates": [{"content": {"parts": [GEMINI_CALL]}, "finishReason": "STOP"}]}),
    ],
)  # fmt: skip
def test_arguments_may_be_an_object(data: bytes) -> None:
    result = read(data)
    assert [(call.name, json.loads(call.arguments)) for call in result.calls] == [
        ("sum", {"x": 1, "ü": None})
    ]
    assert result.verdict is Verdict.COMPLETE


# --- fields to send back -------------------------------------------------------------------------------------


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "reasoning.text", "text": words, "format": "anthropic-claude-v1", "index": 0, **more}


def encrypted(data: str, **more: Any) -> dict[str, Any]:
    return {"type": "reasoning.encrypted", "data": data, "index": 0, **more}


def details(*deltas: list[dict[str, Any]]) -> list[Any]:
    """The ``reasoning_details`` that result from these arrays, each in a delta of its own, before a tool call."""
    frames = [delta(reasoning_details=each) for each in deltas]
    data = body(*frames, delta(tool_calls=[part("c", "f", "{}", index=0)]), CALLED)
    found = read(data).finished.reasoning_details
    for size in (1, 7):
        assert read(data, size=size).finished.reasoning_details == found
    return list(found)


SIGNATURE = {"type": "reasoning.text", "signature": "c2ln", "index": 0}
SUMMARY = {"type": "reasoning.summary", "summary": "It thinks.", "index": 0, "id": "rs_1"}
MINIMAX = {"type": "reasoning.text", "id": "reasoning-text-1", "format": "MiniMax-response-v1", "index": 0}
STORY = "The user wants the time. I will call the clock and then say what it shows, in one line."


@pytest.mark.parametrize(
    ("deltas", "found"),
    [
        ([[text("Let me")], [text(" see.")], [text("", signature="c2ln")]], [text("Let me see.", signature="c2ln")]),
        ([[text("Hm.", signature=None)], [SIGNATURE]], [text("Hm.", signature="c2ln")]),
        ([[SIGNATURE]], [SIGNATURE]),
        ([[SUMMARY], [encrypted("AAAA", id="rs_1"), encrypted("BBBB", id="tool_2")], [text("x", index=1)],
          [text("y", index=2)]],
         [SUMMARY, encrypted("AAAA", id="rs_1"), encrypted("BBBB", id="tool_2"), text("x", index=1),
          text("y", index=2)]),
        ([[text("a"), text("x", index=1)], [text("b"), text("y", index=1)]], [text("ab"), text("xy", index=1)]),
        # text after a signature is the next item
        ([[text("One.")], [text("", signature="c2ln")], [text("Two")], [text(".", signature="c2lh")]],
         [text("One.", signature="c2ln"), text("Two.", signature="c2lh")]),
        ([[encrypted("AAAA")], [encrypted("AAAA")], [encrypted("BBBB")]], [encrypted("AAAA"), encrypted("BBBB")]),
        ([[{"type": "reasoning.text", "text": word}] for word in ("Let", " me", " see.")],
         [{"type": "reasoning.text", "text": "Let me see."}]),
        # pieces that only look like snapshots
        *[([[text(piece)] for piece in pieces], [text("".join(pieces))]) for pieces in (
            [" ", " the", " cat"], ["ha", "ha", "ha"], ["a", "ab", "abc", "x"], ["\n", "\n\n", "So"],
            [f"{number} " for number in range(30)])],
        # snapshots, each of which repeats the earlier ones
        *[([[{**MINIMAX, "text": STORY[: len(STORY) * step // steps]}] for step in (*range(1, steps + 1), *again)],
           [{**MINIMAX, "text": STORY}]) for steps in (2, 3, 5, 40) for again in ((), (steps,))],
    ],
)  # fmt: skip
def test_pieces_of_reasoning_details_are_joined(deltas: list[Any], found: list[Any]) -> None:
    assert details(*deltas) == found


def test_a_message_repeats_the_array_of_the_deltas_or_is_all() -> None:
    whole = {"choices": [{"index": 0, "message": {"content": "Hi", "reasoning_details": [text("Hm.")]}}]}
    frames = [delta(reasoning_details=[text("Hm")]), delta("Hi", reasoning_details=[text(".")]), whole]
    assert chunks(*frames, delta(finish="stop")).finished.reasoning_details == (text("Hm."),)
    parts = [text("Hm.", signature="c2ln"), encrypted("AAAA", index=1)]
    reply = message("Hi", reasoning_details=parts)
    assert chunks(reply, done=False).finished.reasoning_details == tuple(parts)


@pytest.mark.parametrize(
    "fields",
    [{}, {"obfuscation": "x", "annotations": [1], "refusal": None}, {"extra_content": None},
     *({"reasoning_details": odd} for odd in (None, "text", 7, [None, "x"], [[text("no")]], {}))],
)  # fmt: skip
def test_other_fields_and_other_shapes_are_not_sent_back(fields: Any) -> None:
    finished = chunks(delta("Hi", **fields), delta(finish="stop")).finished
    assert (finished.reasoning_details, finished.extra) == ((), {})


def test_googles_extra_content_is_merged() -> None:
    signed = {"google": {"thought_signature": "c2lnbmVk"}}
    assert chunks(message("Noon.", extra_content=signed), done=False).finished.extra == {
        "extra_content": signed
    }
    frames = [delta("No", extra_content={"google": {"thought": True}}), delta("on.", extra_content=signed)]
    finished = chunks(*frames, delta(finish="stop")).finished
    assert finished.extra == {"extra_content": {"google": {"thought": True, "thought_signature": "c2lnbmVk"}}}


def test_claudes_thinking_blocks_are_joined() -> None:
    def block(words: str, signature: str = "") -> dict[str, Any]:
        return {"type": "thinking", "thinking": words, "signature": signature}

    redacted = {"type": "redacted_thinking", "data": "AAAA"}
    frames = [
        delta(reasoning_content="Let", thinking_blocks=[block("Let")]),
        delta(reasoning_content=" me", thinking_blocks=[block(" me")]),
        delta(thinking_blocks=[block("", "c2ln")]),
        delta(thinking_blocks=[redacted]),
        delta("Noon."),
    ]
    result = chunks(*frames, delta(finish="stop"))
    assert result.reasoning == "Let me"
    assert result.finished.extra == {"thinking_blocks": [block("Let me", "c2ln"), redacted]}
