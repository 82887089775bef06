"""Tool calls and the parts they come in: what section 5 of the wire's quirks lists."""

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


def called(*deltas: Any, finish: Any = "tool_calls", done: bool = True) -> list[tuple[str, str, str]]:
    """Id, name and arguments of the calls that come of these lists of parts."""
    frames = [delta(tool_calls=parts if isinstance(parts, list) else [parts]) for parts in deltas]
    result = chunks(*frames, delta(finish=finish), done=done)
    return [(call.id, call.name, call.arguments) for call in result.calls]


SUM = [("a", "sum", '{"x":1}')]
BOTH = [*SUM, ("b", "mul", '{"y":2}')]


def test_parts_find_their_call_by_index() -> None:
    parts = [
        part("a", "sum", "", index=0),
        part(arguments='{"x"', index=0),
        part("b", "mul", '{"y"', index=1),
    ]
    assert called(*parts, part(arguments=":1}", index=0), part(arguments=":2}", index=1)) == BOTH


def test_parts_without_an_index_find_their_call_by_id_or_place() -> None:  # quirk 103
    assert called(part("a", "sum", '{"x":1}'), part("b", "mul", '{"y":2}')) == BOTH
    assert called([part("a", "sum", '{"x":1}'), part("b", "mul", '{"y":2}')]) == BOTH
    assert (
        called(
            part("a", "sum", '{"x"'), part(arguments=":1}"), part("b", "mul", '{"y"'), part(arguments=":2}")
        )
        == BOTH
    )
    assert (
        called([part("a", "sum"), part("b", "mul")], [part(arguments='{"x":1}'), part(arguments='{"y":2}')])
        == BOTH
    )
    assert (
        called(
            part("a", "sum", '{"x"'),
            part("b", "mul", '{"y"'),
            part("a", arguments=":1}"),
            part("b", arguments=":2}"),
        )
        == BOTH
    )


def test_whole_calls_without_index_and_id_are_calls_of_their_own() -> None:  # quirks 97 and 103
    assert called(part("", "sum", '{"x":1}'), part("", "sum", '{"x":2}')) == [
        ("", "sum", '{"x":1}'),
        ("", "sum", '{"x":2}'),
    ]


def test_one_index_may_stand_for_several_calls() -> None:  # quirk 104
    assert called(part("a", "sum", '{"x":1}', index=0), part("b", "mul", '{"y":2}', index=0)) == BOTH
    parts = [part("a", "sum", '{"x"', index=0), part(arguments=":1}", index=0), part("b", "mul", "", index=0)]
    assert called(*parts, part(arguments='{"y":2}', index=0)) == BOTH
    assert [
        name for _, name, _ in called(part(None, "sum", "{}", index=0), part(None, "mul", "{}", index=0))
    ] == ["sum", "mul"]


@pytest.mark.parametrize(
    "parts",
    [
        [part("a", "sum", "{}", index=0), part("a", "mul", "{}", index=0)],
        [part("a", "sum", "{}"), part("a", "mul", "{}")],
        [[part("a", "sum", "{}"), part("a", "mul", "{}")]],
        [part("a", "sum", "{}", index=0), part("a", "mul", "{}", index=1)],
        [part("a", "sum"), part("a", "mul")],
        [part(None, "sum", index=0), part(None, "mul", index=0)],
        [part("", "sum", index=0), part("", "mul", "{}", index=0)],
        [part(None, "sum"), part(None, "mul")],
        [part(None, "sum", "{"), part(None, "mul", "{"), part(None, "sum", "}"), part(None, "mul", "}")],
        [
            part(0, "sum", "{", index=0),
            part(0, "mul", "{", index=0),
            part(0, "sum", "}"),
            part(0, "mul", "}"),
        ],
        [part("a", "sum"), part("a", "mul"), [part("a", None, "{}"), part("a", None, "{}")]],
        [part("a", "sum", index=0), part("a", "mul", index=1), part("a", None, "{}", index=0)],
        [[part(None, "sum", "{"), part(None, "mul", "{")], [part(None, "sum", "}"), part(None, "mul", "}")]],
        [{"name": "sum", "arguments": {}}, {"name": "mul", "arguments": {}}],
    ],
)
def test_two_names_are_two_calls_whatever_their_id_and_index(parts: list[Any]) -> None:
    assert [(name, arguments) for _, name, arguments in called(*parts)] == [("sum", "{}"), ("mul", "{}")]


def test_calls_under_one_id_get_their_own_arguments() -> None:
    parts = [part("a", name, text, index=0) for name, text in (("sum", '{"x"'), ("mul", '{"y"'))]
    parts += [part("a", name, text, index=0) for name, text in (("sum", ":1}"), ("mul", ":2}"))]
    assert called(*parts) == [("a", "sum", '{"x":1}'), ("a", "mul", '{"y":2}')]
    twice = [part("a", "sum", '{"x":1}'), part("a", "sum", '{"x":2}')]
    assert [arguments for _, _, arguments in called(*twice)] == ['{"x":1}', '{"x":2}']
    by_index = [part("a", "sum", "", index=0), part("a", "sum", "", index=1)]
    by_index += [part("a", None, '{"x":1}', index=0), part("a", None, '{"x":2}', index=1)]
    assert [arguments for _, _, arguments in called(*by_index)] == ['{"x":1}', '{"x":2}']


def test_a_call_repeated_whole_under_its_id_is_one_call() -> None:
    assert called(part("a", "sum", "{}"), part("a", "sum", '{"x":1}')) == SUM
    assert called(part("a", "sum", '{"x":1}'), part("a", "sum", '{"x":1}')) == SUM


def test_many_calls_under_one_id_cost_no_more_than_their_number() -> None:
    frames = [delta(tool_calls=[part("a", f"f{number}", "{}", index=0)]) for number in range(5_000)]
    assert len(chunks(*frames, CALLED).calls) == 5_000


def test_a_new_id_in_every_part_does_not_make_new_calls() -> None:
    parts = [
        part("a", "sum", "", index=0),
        part("r1", None, '{"x"', index=0),
        part("r2", None, ":1}", index=0),
    ]
    assert called(*parts) == SUM


def test_indexes_need_not_begin_at_zero() -> None:  # quirk 105
    assert called(part("a", "sum", '{"x"', index=1), part(arguments=":1}", index=1)) == SUM


@pytest.mark.parametrize("id_", ["", None])
def test_ids_may_be_empty_in_later_parts(id_: Any) -> None:  # quirk 106
    late = {"index": 0, "id": id_, "function": {"arguments": ":1}"}}
    assert called(part("a", "sum", '{"x"', index=0), late) == SUM


def test_id_and_name_may_be_repeated_in_every_part() -> None:  # quirk 107
    assert (
        called(
            part("a", "sum", "", index=0), part("a", "sum", '{"x"', index=0), part("a", "sum", ":1}", index=0)
        )
        == SUM
    )
    assert called(part("a", "sum", '{"x"'), part("a", "sum", ":1}")) == SUM
    assert called(part(None, "sum", '{"x"', index=0), part(None, "sum", ":1}", index=0)) == [
        ("", "sum", '{"x":1}')
    ]


def test_names_may_be_empty_later_or_late() -> None:  # quirk 108
    assert called(part("a", "sum", '{"x"', index=0), part("a", "", ":1}", index=0)) == SUM
    assert called(part("a", None, '{"x"', index=0), part(None, "sum", ":1}", index=0)) == SUM


def test_an_id_alone_begins_a_call_whose_name_comes_later() -> None:  # quirk 108
    assert called(part("a", "sum", '{"x":1}'), part("b"), part(None, "mul", '{"y":2}')) == BOTH
    parts = [part("a", "sum", '{"x":1}', index=0), part("b", index=0), part(None, "mul", '{"y":2}', index=0)]
    assert called(*parts) == BOTH


def test_a_call_without_a_name_is_none() -> None:  # quirk 108
    result = chunks(delta("Hi", tool_calls=[part("a", None, "{}", index=0)]), CALLED)
    assert (result.calls, result.verdict, result.finished.reason) == ([], Verdict.COMPLETE, "stop")


def test_arguments_may_be_an_object() -> None:  # quirk 109
    ((_, _, arguments),) = called(part("a", "sum", {"x": 1, "ü": [True, None]}))
    assert json.loads(arguments) == {"x": 1, "ü": [True, None]}


@pytest.mark.parametrize("nothing", [None, "", " "])
def test_arguments_that_are_missing_are_an_empty_object(nothing: Any) -> None:  # quirk 110
    call = {"index": 0, "id": "a", "function": {"name": "sum", "arguments": nothing}}
    assert called(call) == [("a", "sum", "{}")]
    del call["function"]["arguments"]
    assert called(call) == [("a", "sum", "{}")]


def test_calls_come_whole_and_just_before_the_end() -> None:  # quirk 111
    usage = {"choices": [], "usage": {"prompt_tokens": 1}}
    events = chunks(delta(tool_calls=[part("a", "sum", '{"x":1}')]), delta("Hi"), CALLED, usage).events
    assert [type(event) for event in events[-3:]] == [ToolCall, Usage, Finished]


def test_arguments_are_not_final_because_they_parse() -> None:  # quirk 112
    assert called(part("a", "n", "1", index=0), part(arguments="2", index=0)) == [("a", "n", "12")]
    assert called(part("a", "n", "{}", index=0), part(arguments="", index=0)) == [("a", "n", "{}")]


def test_a_placeholder_before_the_arguments_is_dropped() -> None:  # quirk 113
    assert (
        called(
            part("a", "sum", "{}", index=0), part(arguments='{"x"', index=0), part(arguments=":1}", index=0)
        )
        == SUM
    )
    assert called(part("a", "sum", '{"x":1}', index=0), part(arguments='{"x":1}', index=0)) == SUM


def test_malformed_arguments_are_handed_on_as_they_are() -> None:
    assert called(part("a", "sum", '{"x":')) == [("a", "sum", '{"x":')]


@pytest.mark.parametrize("finish", ["stop", "tool_calls", "function_call", "TOOL_USE", "eos"])
def test_calls_decide_not_the_finish_reason(finish: str) -> None:  # quirk 114
    finished = chunks(delta(tool_calls=[part("a", "sum", "{}")]), delta(finish=finish)).finished
    assert (finished.verdict, finished.reason, finished.raw_reason) == (
        Verdict.COMPLETE,
        "tool_calls",
        finish,
    )


def test_a_finish_of_tool_calls_without_calls_is_a_stop() -> None:  # quirk 115
    finished = chunks(delta("Hi"), CALLED).finished
    assert (finished.verdict, finished.reason) == (Verdict.COMPLETE, "stop")
    assert chunks(CALLED).verdict is Verdict.EMPTY


def test_whole_calls_without_a_finish_reason_need_the_mark_of_the_end() -> None:  # quirk 116
    frames = body(delta(tool_calls=[part("a", "sum", '{"x":1}', index=0)]), done=False)
    assert (read(frames).verdict, len(read(frames).calls)) == (Verdict.PARTIAL, 1)
    assert read(frames + DONE).verdict is Verdict.COMPLETE
    assert read(frames + DONE).finished.reason == "tool_calls"


def test_a_call_that_is_cut_makes_the_answer_partial_and_is_marked() -> None:  # quirk 116
    first, second = part("a", "sum", '{"x":1}', index=0), part("b", "mul", '{"y"', index=1)
    for rest, verdict in (
        ([], Verdict.PARTIAL),
        ([delta(finish="timeout")], Verdict.FAILED),
        ([{"error": {"message": "out of memory"}}], Verdict.FAILED),
        ([delta(finish="content_filter")], Verdict.FILTERED),
    ):
        result = chunks(delta(tool_calls=[first, second]), *rest, done=False)
        found = (result.verdict, [(call.id, call.cut) for call in result.calls])
        assert found == (verdict, [("a", False), ("b", True)])
        assert "a call of mul was not run" in result.error.message
    limited = chunks(delta(tool_calls=[first, second]), delta(finish="length"))
    assert (limited.verdict, [(call.id, call.cut) for call in limited.calls]) == (
        Verdict.LENGTH,
        [("a", False), ("b", True)],
    )
    assert limited.calls[1].arguments == '{"y"'
    assert "in a call of mul" in limited.error.message


def test_calls_leaked_as_text_are_text() -> None:  # quirk 117
    text = '<tool_call>{"name":"sum"}</tool_call>'
    assert chunks(delta(text), delta(finish="stop")).text == text


@pytest.mark.parametrize("nothing", [None, [], {}, "x", [None], [7]])
def test_tool_calls_that_hold_nothing_are_none(nothing: Any) -> None:  # quirk 118
    result = chunks(delta("Hi", tool_calls=nothing), delta(finish="stop"))
    assert (result.calls, result.verdict) == ([], Verdict.COMPLETE)


@pytest.mark.parametrize("kind", [None, "", "function"])
def test_the_type_is_not_looked_at(kind: Any) -> None:  # quirk 119
    assert called(part("a", "sum", '{"x":1}', type=kind)) == SUM


def test_the_legacy_function_call_is_one_call() -> None:  # quirk 63
    frames = [
        delta(function_call=call)
        for call in ({"name": "sum", "arguments": ""}, {"arguments": '{"x"'}, {"arguments": ":1}"})
    ]
    result = chunks(*frames, delta(finish="function_call"))
    assert [(call.name, call.arguments) for call in result.calls] == [("sum", '{"x":1}')]
    assert read(dumps(message(function_call={"name": "sum", "arguments": "{}"}))).calls[0].name == "sum"
    assert chunks(delta("Hi", function_call=None), delta(finish="stop")).calls == []


def test_calls_of_a_whole_message_are_read_and_not_repeated() -> None:  # quirk 44
    calls = [part("a", "sum", '{"x":1}', index=0), part("b", "mul", '{"y":2}', index=0)]
    whole = message(None, tool_calls=calls, finish="tool_calls")
    assert [call.id for call in read(dumps(whole)).calls] == ["a", "b"]
    assert [call.id for call in chunks(delta(tool_calls=calls), whole).calls] == ["a", "b"]


def test_what_a_provider_adds_to_a_call_is_kept() -> None:  # quirk 97
    signature = {"google": {"thought_signature": "c2ln"}}
    (call,) = chunks(delta(tool_calls=[part("", "sum", "{}", extra_content=signature)]), CALLED).calls
    assert call.extra == {"extra_content": signature}


def test_ollama_s_native_calls_are_read() -> None:  # quirk 109
    line = {
        "message": {"content": "", "tool_calls": [{"function": {"name": "sum", "arguments": {"x": 1}}}]},
        "done": False,
    }
    result = read(dumps(line) + b"\n" + dumps({"message": {"content": ""}, "done": True}) + b"\n")
    assert [json.loads(call.arguments) for call in result.calls] == [{"x": 1}]
    assert result.verdict is Verdict.COMPLETE


def test_gemini_s_native_calls_are_read() -> None:
    parts = [{"functionCall": {"name": "sum", "args": {"x": 1}}, "thoughtSignature": "c2ln"}]
    result = read(
        b"data: "
        + dumps({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]})
        + b"\n\n"
        + DONE
    )
    assert [(call.name, json.loads(call.arguments)) for call in result.calls] == [("sum", {"x": 1})]


def test_names_without_ids_in_every_part_cost_no_more_than_their_number() -> None:
    frames = [delta(tool_calls=[part(None, "write", text)]) for text in ('{"x":"', *["}a{"] * 20_000, '"}')]
    (call,) = chunks(*frames, CALLED).calls
    assert len(call.arguments) == 60_008


@pytest.mark.parametrize("nothing", ["", "\n"])
def test_arguments_may_end_in_a_part_of_nothing(nothing: str) -> None:
    frames = [part("a", "sum", '{"x":1}', index=0), part(arguments=nothing, index=0)]
    result = chunks(*[delta(tool_calls=[frame]) for frame in frames])
    assert (result.verdict, [call.arguments for call in result.calls]) == (Verdict.COMPLETE, ['{"x":1}'])
