"""A conversation on the wire: system messages, roles in turn, tool turns, thoughts, images, ids."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from provider_core import presets
from provider_core.request import build_body
from provider_core.types import (
    AudioPart,
    ImagePart,
    Message,
    Provider,
    Quirks,
    Request,
    TextPart,
    Tool,
    ToolCall,
)


def wire(*turns: Message, row: Quirks | str | None = None, **fields: Any) -> list[dict[str, Any]]:
    if isinstance(row, str):
        preset = presets.get(row)
        assert preset is not None
        row = preset.quirks
    server = Provider(name="here", quirks=row or Quirks(**fields))
    messages = build_body(server, Request(model="m", messages=turns))["messages"]
    assert isinstance(messages, list)
    return messages


def system(text: str) -> Message:
    return Message(role="system", content=text)


def user(text: str) -> Message:
    return Message(role="user", content=text)


def assistant(text: str = "", **more: Any) -> Message:
    return Message(role="assistant", content=text, **more)


def result(id: str, text: str = "1") -> Message:
    return Message(role="tool", content=text, tool_call_id=id)


def calls(*ids: str) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(id=id, name="f", arguments="{}") for id in ids)


def said(messages: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [(message["role"], message["content"]) for message in messages]


# --- which messages ----------------------------------------------------------------------------------------

AS_USER = {"system_role": "user"}
PERPLEXITY = {"row": "perplexity"}
TEXTS = (TextPart(text="One."), TextPart(text="Two."))
PICTURE = ImagePart(url="https://x.test/a.png")
PICTURED = {"type": "image_url", "image_url": {"url": PICTURE.url}}


@pytest.mark.parametrize(
    ("turns", "quirks", "sent"),
    [
        ((system("Be brief."), user("Hi"), assistant("Yes?"), system("Speak French."), user("Why?")), {},
         [("system", "Be brief.\n\nSpeak French."), ("user", "Hi"), ("assistant", "Yes?"), ("user", "Why?")]),
        ((system(""), user("Hi")), {}, [("user", "Hi")]),
        ((system("Be brief."), user("Hi")), {"system_role": "developer"}, [("developer", "Be brief."), ("user", "Hi")]),
        ((assistant("Welcome"), user("Hi"), assistant("Yes?"), user("Why?"), system("Be brief.")), AS_USER,
         [("assistant", "Welcome"), ("user", "Be brief.\n\nHi"), ("assistant", "Yes?"), ("user", "Why?")]),
        ((system("Be brief."),), AS_USER, [("user", "Be brief.")]),
        ((user("Hi"), assistant(""), user("There?")), {}, [("user", "Hi"), ("user", "There?")]),
        ((user("Hi"), assistant(" \n"), user("There?")), {}, [("user", "Hi"), ("user", "There?")]),
        ((user("Hi"), assistant(""), user("There?"), assistant("Yes"), assistant("I am"), user("Ok")), PERPLEXITY,
         [("user", "Hi\n\nThere?"), ("assistant", "Yes\n\nI am"), ("user", "Ok")]),
        ((user("Look:"), Message(role="user", content=(PICTURE,))), {"alternate_roles": True},
         [("user", [{"type": "text", "text": "Look:"}, PICTURED])]),
        ((Message(role="user", content=TEXTS),), {}, [("user", "One.\n\nTwo.")]),
        ((Message(role="user", content=(TextPart(text="What is this?"), PICTURE)),), {},
         [("user", [{"type": "text", "text": "What is this?"}, PICTURED])]),
        ((Message(role="user", content=(AudioPart(data="AA==", format="wav"),)),), {},
         [("user", [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}])]),
    ],
    ids=[
        "system messages are joined and come first", "an empty one is omitted", "developer", "before the first user",
        "a user message of its own", "empty answer", "blank answer", "neighbours are merged",
        "text and image are merged", "texts are plain text", "an image makes a list", "a recording",
    ],
)  # fmt: skip
def test_messages_are_those_that_the_provider_accepts(turns: Any, quirks: Any, sent: Any) -> None:
    assert said(wire(*turns, **quirks)) == sent


def test_tool_turns_are_never_merged() -> None:
    turns = (
        user("Hi"),
        assistant("Let me see.", tool_calls=calls("a")),
        assistant(tool_calls=calls("b")),
        result("a"),
        result("b"),
    )
    roles = [message["role"] for message in wire(*turns, alternate_roles=True)]
    assert roles == ["user", "assistant", "assistant", "tool", "tool"]


# --- tool turns --------------------------------------------------------------------------------------------

CALL = ToolCall(id="call_1", name="clock", arguments='{"zone":"CET"}')


def test_a_tool_turn_carries_calls_and_results() -> None:
    function = {"name": "clock", "arguments": '{"zone":"CET"}'}
    assert wire(user("Time?"), assistant(tool_calls=(CALL,)), result("call_1", "12:00"))[1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        },
        {"role": "tool", "content": "12:00", "tool_call_id": "call_1"},
    ]


DETAILS = (
    {"type": "reasoning.text", "text": "Hm", "signature": "s", "index": 0},
    {"type": "reasoning.encrypted", "data": "AAAA", "index": 1},
)


@pytest.mark.parametrize(
    ("field", "text", "details", "sent"),
    [
        ("reasoning_content", "Hm", DETAILS, {"content": None, "reasoning_content": "Hm"}),
        ("reasoning_content", "", (), {"content": None, "reasoning_content": ""}),
        ("reasoning_details", "Hm", DETAILS, {"content": None, "reasoning_details": list(DETAILS)}),
        ("reasoning_details", "Hm", (), {"content": None, "reasoning": "Hm"}),
        ("reasoning", "Hm", DETAILS, {"content": None, "reasoning": "Hm"}),
        ("think_tags", "Hm", DETAILS, {"content": "<think>\nHm\n</think>"}),
        ("never", "Hm", DETAILS, {"content": None}),
    ],
)
def test_reasoning_goes_back_on_tool_turns_in_the_field_of_the_provider(
    field: str, text: str, details: Any, sent: dict[str, Any]
) -> None:
    turn = assistant(tool_calls=(CALL,), reasoning=text, reasoning_details=details)
    message = wire(turn, reasoning_send_back=field)[0]
    assert {name: message[name] for name in message.keys() - {"role", "tool_calls"}} == sent
    turn = assistant("Noon.", reasoning=text, reasoning_details=details)
    assert wire(turn, reasoning_send_back=field) == [{"role": "assistant", "content": "Noon."}]


def test_reasoning_between_tags_stands_before_the_text() -> None:
    turn = assistant("Let me see.", tool_calls=(CALL,), reasoning="Hm")
    sent = wire(turn, reasoning_send_back="think_tags")[0]["content"]
    assert sent == "<think>\nHm\n</think>\n\nLet me see."


SIGNED = {"extra_content": {"google": {"thought_signature": "c2lnbmVk"}}}


def test_extra_fields_of_a_turn_go_back_with_its_calls_and_never_replace_its_own() -> None:
    message = wire(assistant("Let me see.", tool_calls=(CALL,), extra=SIGNED), row="gemini")[0]
    assert message["extra_content"] == SIGNED["extra_content"]
    forged = {"role": "user", "content": "forged", "tool_calls": []}
    message = wire(assistant("True.", tool_calls=(CALL,), extra=forged))[0]
    assert (message["role"], message["content"], len(message["tool_calls"])) == ("assistant", "True.", 1)
    assert wire(assistant("Noon.", extra=SIGNED), row="gemini") == [{"role": "assistant", "content": "Noon."}]


@pytest.mark.parametrize(("writer", "kept"), [("here", True), ("", True), ("elsewhere", False)])
@pytest.mark.parametrize("row", ["openrouter", "deepseek", "minimax"])
def test_reasoning_and_signatures_go_back_only_to_the_provider_that_wrote_them(
    writer: str, kept: bool, row: str
) -> None:
    call = ToolCall(id="call_1", name="clock", arguments="{}", extra=SIGNED)
    turn = assistant(
        "Let me see.",
        tool_calls=(call,),
        reasoning="Hm",
        reasoning_details=DETAILS,
        extra=SIGNED,
        provider=writer,
    )
    first, result = wire(turn, Message(role="tool", content="12:00", tool_call_id="call_1"), row=row)
    bare = {"role": "assistant", "content": "Let me see.", "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    ]}  # fmt: skip
    if row == "deepseek":
        bare["reasoning_content"] = ""  # demanded of every turn that called tools
    assert (first == bare) is not kept
    assert result == {"role": "tool", "content": "12:00", "tool_call_id": "call_1"}
    if kept:
        assert first["extra_content"] == first["tool_calls"][0]["extra_content"] == SIGNED["extra_content"]


# --- calls and their results -------------------------------------------------------------------------------


def test_a_call_without_a_result_gets_one_that_says_so() -> None:
    turns = (user("Hi"), assistant(tool_calls=calls("a", "b")), result("a"), user("Go on"))
    sent = wire(*turns)
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "tool", "assistant", "user"]
    none = "There is no result: the call was not run, or not to its end."
    assert sent[3] == {"role": "tool", "tool_call_id": "b", "content": none}


def test_an_answer_separates_a_result_from_the_next_user_message() -> None:
    asked = (user("Hi"), assistant(tool_calls=calls("a")), result("a"))
    for answer in ((), (assistant("Fine."),)):
        words = "Fine." if answer else "(No answer: it was broken off.)"
        sent = said(wire(*asked, *answer, user("Go on")))[2:]
        assert sent == [("tool", "1"), ("assistant", words), ("user", "Go on")]


def test_a_cut_call_is_not_sent() -> None:
    half = ToolCall(id="b", name="sum", arguments='{"x"', cut=True)
    assert said(wire(user("a"), assistant(tool_calls=(half,)), user("b"))) == [("user", "a"), ("user", "b")]
    sent = wire(user("a"), assistant("Hm.", tool_calls=(half,)), user("b"))
    assert sent[1] == {"role": "assistant", "content": "Hm."}


def test_calls_without_tools_become_text_of_the_user_if_the_server_requires_it() -> None:
    call = ToolCall(id="a", name="clock", arguments='{"zone": "UTC"}')
    turns = (
        user("When?"), assistant("Let me see.", tool_calls=(call,), reasoning="Hm", extra=SIGNED), result("a", "12:00"),
        assistant("Noon."), assistant(tool_calls=(call,)), result("a", "12:01"), assistant("Later."), user("And now?"),
    )  # fmt: skip
    called = '[The tool clock was called with {"zone": "UTC"} and brought:]'
    sent = wire(*turns, earlier_calls="text", reasoning_send_back="reasoning_content")
    assert all(message.keys() == {"role", "content"} for message in sent)
    assert said(sent) == [
        ("user", "When?"), ("assistant", "Let me see."), ("user", f"{called}\n12:00"), ("assistant", "Noon."),
        ("user", f"{called}\n12:01"), ("assistant", "Later."), ("user", "And now?"),
    ]  # fmt: skip
    server = Provider(name="here", quirks=Quirks(earlier_calls="text"))
    offering = build_body(server, Request(model="m", messages=turns, tools=(Tool(name="clock"),)))
    assert [message["role"] for message in offering["messages"]].count("tool") == 2


def test_a_result_without_its_call_is_not_sent() -> None:
    assert said(wire(result("a"), user("Hi"), result("b"))) == [("user", "Hi")]


def test_calls_of_one_id_get_a_result_each() -> None:
    sent = wire(assistant(tool_calls=calls("x", "x")), result("x", "1"), result("x", "2"), result("x", "3"))
    assert [message["content"] for message in sent[1:]] == ["1", "2"]


@pytest.mark.parametrize("broken", ["{oops", "[1]", '"text"', "", "7", '{"a":' * 5000])
def test_invalid_arguments_go_back_as_an_empty_object(broken: str) -> None:
    call = ToolCall(id="a", name="f", arguments=broken)
    assert wire(assistant(tool_calls=(call,)))[0]["tool_calls"][0]["function"]["arguments"] == "{}"


def test_a_line_end_within_an_argument_goes_back_escaped() -> None:
    call = ToolCall(id="a", name="f", arguments='{"code": "one\ntwo"}')
    sent = wire(assistant(tool_calls=(call,)))[0]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(sent) == {"code": "one\ntwo"}


# --- ids ---------------------------------------------------------------------------------------------------


def test_mistral_gets_ids_of_nine_letters_and_digits() -> None:
    ids = ["call_1", "call_2", "functions.clock:0", "chatcmpl-tool-6f0c7e", "abcdefghi", "ab-defghi", "é" * 9]
    calls = tuple(ToolCall(id=id, name="f", arguments="{}") for id in ids)
    results = [Message(role="tool", content="1", tool_call_id=id) for id in ids]
    first, *rest = wire(assistant(tool_calls=calls), *results, row="mistral")
    sent = [call["id"] for call in first["tool_calls"]]
    assert all(re.fullmatch(r"[a-zA-Z0-9]{9}", id) for id in sent)
    assert sent == [message["tool_call_id"] for message in rest]
    assert len(set(sent)) == len(ids)
    assert sent[4] == "abcdefghi"
    assert wire(assistant(tool_calls=calls), row="mistral")[0] == first


def test_other_providers_get_ids_unchanged() -> None:
    call = ToolCall(id="functions.clock:0", name="f", arguments="{}")
    assert wire(assistant(tool_calls=(call,)), row="kimi")[0]["tool_calls"][0]["id"] == call.id
