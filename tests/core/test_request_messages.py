"""A conversation on the wire: system messages, roles in turn, tool turns, thoughts, images, ids."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from provider_core import presets
from provider_core.request import build_body
from provider_core.types import ImagePart, Message, Provider, Quirks, Request, TextPart, Tool, ToolCall


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


def said(messages: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [(message["role"], message["content"]) for message in messages]


# --- which messages ----------------------------------------------------------------------------------------


def test_system_messages_become_one_and_come_first() -> None:  # quirk 196
    turns = (system("Be brief."), user("Hi"), assistant("Hello"), system("Speak French."), user("Why?"))
    assert said(wire(*turns)) == [
        ("system", "Be brief.\n\nSpeak French."),
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "Why?"),
    ]


def test_an_empty_system_message_is_none() -> None:
    assert said(wire(system(""), user("Hi"))) == [("user", "Hi")]


def test_a_system_prompt_may_be_the_developers() -> None:
    assert said(wire(system("Be brief."), user("Hi"), system_role="developer")) == [
        ("developer", "Be brief."),
        ("user", "Hi"),
    ]


def test_a_system_prompt_may_stand_before_the_first_user_message() -> None:
    turns = (assistant("Welcome"), user("Hi"), assistant("Yes?"), user("Why?"), system("Be brief."))
    assert said(wire(*turns, system_role="user")) == [
        ("assistant", "Welcome"),
        ("user", "Be brief.\n\nHi"),
        ("assistant", "Yes?"),
        ("user", "Why?"),
    ]


def test_a_system_prompt_alone_is_a_user_message_there() -> None:
    assert said(wire(system("Be brief."), system_role="user")) == [("user", "Be brief.")]


@pytest.mark.parametrize("nothing", ["", " \n"])
def test_an_empty_assistant_message_is_left_out(nothing: str) -> None:  # quirk 197
    assert said(wire(user("Hi"), assistant(nothing), user("Still there?"))) == [
        ("user", "Hi"),
        ("user", "Still there?"),
    ]


def test_neighbours_of_one_role_are_merged_where_the_row_says_so() -> None:
    turns = (user("Hi"), assistant(""), user("Still there?"), assistant("Yes"), assistant("I am"), user("Ok"))
    assert said(wire(*turns, row="perplexity")) == [
        ("user", "Hi\n\nStill there?"),
        ("assistant", "Yes\n\nI am"),
        ("user", "Ok"),
    ]


def test_tool_turns_are_never_merged() -> None:
    calls = (ToolCall(id="a", name="f", arguments="{}"), ToolCall(id="b", name="f", arguments="{}"))
    turns = (
        user("Hi"),
        assistant("Let me see.", tool_calls=calls[:1]),
        assistant(tool_calls=calls[1:]),
        Message(role="tool", content="1", tool_call_id="a"),
        Message(role="tool", content="2", tool_call_id="b"),
    )
    assert [message["role"] for message in wire(*turns, alternate_roles=True)] == [
        "user",
        "assistant",
        "assistant",
        "tool",
        "tool",
    ]


def test_text_and_image_in_a_row_are_merged_as_parts() -> None:
    picture = Message(role="user", content=(ImagePart(url="https://x.test/a.png"),))
    assert wire(user("Look:"), picture, alternate_roles=True) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look:"},
                {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
            ],
        }
    ]


# --- content -----------------------------------------------------------------------------------------------


def test_parts_that_are_all_text_are_sent_as_plain_text() -> None:  # quirk 203
    parts = (TextPart(text="One."), TextPart(text="Two."))
    assert said(wire(Message(role="user", content=parts))) == [("user", "One.\n\nTwo.")]


def test_an_image_makes_the_content_a_list() -> None:
    parts = (TextPart(text="What is this?"), ImagePart(url="data:image/png;base64,AAAA"))
    assert wire(Message(role="user", content=parts))[0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]


# --- tool turns --------------------------------------------------------------------------------------------

CALL = ToolCall(id="call_1", name="clock", arguments='{"zone":"CET"}')


def test_a_tool_turn_carries_calls_and_results() -> None:
    result = Message(role="tool", content="12:00", tool_call_id="call_1")
    assert wire(user("Time?"), assistant(tool_calls=(CALL,)), result)[1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "clock", "arguments": '{"zone":"CET"}'},
                }
            ],
        },
        {"role": "tool", "content": "12:00", "tool_call_id": "call_1"},
    ]


def test_what_the_model_said_beside_its_calls_is_kept() -> None:
    assert wire(assistant("Let me see.", tool_calls=(CALL,)))[0]["content"] == "Let me see."


def test_the_providers_own_keys_of_a_call_go_back_unchanged() -> None:  # quirk 97
    signed = {"extra_content": {"google": {"thought_signature": "c2lnbmVk"}}}
    call = ToolCall(id="", name="clock", arguments="{}", extra=signed)
    sent = wire(assistant(tool_calls=(call,)), row="gemini")[0]["tool_calls"][0]
    assert sent == signed | {"id": "", "type": "function", "function": {"name": "clock", "arguments": "{}"}}


DETAILS = (
    {"type": "reasoning.text", "text": "Hm", "signature": "s", "index": 0},
    {"type": "reasoning.encrypted", "data": "AAAA", "index": 1},
)


@pytest.mark.parametrize(
    ("row", "sent"),
    [  # quirks 91 to 102
        ("deepseek", {"content": None, "reasoning_content": "Hm"}),
        ("kimi", {"content": None, "reasoning_content": "Hm"}),
        ("zai", {"content": None, "reasoning_content": "Hm"}),
        ("openrouter", {"content": None, "reasoning_details": list(DETAILS)}),
        ("vercel", {"content": None, "reasoning_details": list(DETAILS)}),
        ("minimax", {"content": "<think>\nHm\n</think>"}),
        ("openai", {"content": None}),
        ("mistral", {"content": None}),
        ("groq", {"content": None}),
        ("vllm", {"content": None, "reasoning": "Hm"}),
        ("llamacpp", {"content": None, "reasoning_content": "Hm"}),
        ("cerebras", {"content": None}),
    ],
)
def test_thoughts_go_back_on_tool_turns_as_the_row_wants_them(row: str, sent: dict[str, Any]) -> None:
    turn = assistant(tool_calls=(CALL,), reasoning="Hm", reasoning_details=DETAILS)
    message = wire(turn, row=row)[0]
    assert {name: message[name] for name in message.keys() - {"role", "tool_calls"}} == sent


@pytest.mark.parametrize("row", [preset.id for preset in presets.all_presets()])
def test_turns_without_calls_never_carry_thoughts(row: str) -> None:
    turn = assistant("Noon.", reasoning="Hm", reasoning_details=DETAILS)
    assert wire(turn, row=row) == [{"role": "assistant", "content": "Noon."}]


def test_a_turn_without_thoughts_still_has_the_field_that_is_demanded() -> None:
    assert wire(assistant(tool_calls=(CALL,)), row="kimi")[0]["reasoning_content"] == ""


def test_thoughts_that_are_only_text_go_back_as_text_where_details_are_taken() -> None:
    message = wire(assistant(tool_calls=(CALL,), reasoning="Hm"), row="openrouter")[0]
    assert message["reasoning"] == "Hm"
    assert "reasoning_details" not in message


def test_tags_come_before_what_was_said() -> None:
    message = wire(assistant("Let me see.", tool_calls=(CALL,), reasoning="Hm"), row="minimax")[0]
    assert message["content"] == "<think>\nHm\n</think>\n\nLet me see."


SIGNED = {"extra_content": {"google": {"thought_signature": "c2lnbmVk"}}}


def test_a_turns_own_keys_go_back_unchanged_beside_its_calls() -> None:  # quirk 97
    message = wire(assistant("Let me see.", tool_calls=(CALL,), extra=SIGNED), row="gemini")[0]
    assert message["extra_content"] == SIGNED["extra_content"]
    assert (message["role"], message["content"]) == ("assistant", "Let me see.")


def test_a_turns_own_keys_never_replace_what_it_says() -> None:
    extra = {"role": "user", "content": "forged", "tool_calls": []}
    message = wire(assistant("True.", tool_calls=(CALL,), extra=extra))[0]
    assert (message["role"], message["content"], len(message["tool_calls"])) == ("assistant", "True.", 1)


def test_a_turn_without_calls_goes_back_without_its_keys() -> None:
    assert wire(assistant("Noon.", extra=SIGNED), row="gemini") == [{"role": "assistant", "content": "Noon."}]


@pytest.mark.parametrize(("writer", "kept"), [("here", True), ("", True), ("elsewhere", False)])
@pytest.mark.parametrize("row", ["openrouter", "gemini", "deepseek", "minimax", "vllm"])
def test_only_a_providers_own_thoughts_and_signatures_go_back_to_it(
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


def result(id: str, text: str = "1") -> Message:
    return Message(role="tool", content=text, tool_call_id=id)


def calls(*ids: str) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(id=id, name="f", arguments="{}") for id in ids)


def test_a_call_that_never_got_a_result_gets_one_that_says_so() -> None:
    turns = (user("Hi"), assistant(tool_calls=calls("a", "b")), result("a"), user("Go on"))
    sent = wire(*turns)
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "tool", "assistant", "user"]
    none = "There is no result: the call was not run, or not to its end."
    assert sent[3] == {"role": "tool", "tool_call_id": "b", "content": none}


def test_between_a_result_and_the_user_stands_an_answer() -> None:
    asked = (user("Hi"), assistant(tool_calls=calls("a")), result("a"))
    sent = wire(*asked, user("Go on"))
    assert said(sent)[2:] == [
        ("tool", "1"),
        ("assistant", "(No answer: it was broken off.)"),
        ("user", "Go on"),
    ]
    assert said(wire(*asked, assistant("Fine."), user("Go on")))[2:] == [
        ("tool", "1"),
        ("assistant", "Fine."),
        ("user", "Go on"),
    ]


def test_half_a_call_of_an_answer_that_broke_off_is_not_sent() -> None:
    half = ToolCall(id="b", name="sum", arguments='{"x"', cut=True)
    assert said(wire(user("a"), assistant(tool_calls=(half,)), user("b"))) == [("user", "a"), ("user", "b")]
    sent = wire(user("a"), assistant("Hm.", tool_calls=(half,)), user("b"))
    assert sent[1] == {"role": "assistant", "content": "Hm."}


def test_where_a_server_wants_it_calls_without_tools_are_the_users_words() -> None:
    call = ToolCall(id="a", name="clock", arguments='{"zone": "UTC"}')
    turns = (
        user("When?"),
        assistant("Let me see.", tool_calls=(call,), reasoning="Hm", extra=SIGNED),
        result("a", "12:00"),
        assistant("Noon."),
        assistant(tool_calls=(call,)),
        result("a", "12:01"),
        assistant("Later."),
        user("And now?"),
    )
    told = wire(*turns, earlier_calls="text", reasoning_send_back="reasoning_content")
    assert told == [
        {"role": "user", "content": "When?"},
        {"role": "assistant", "content": "Let me see."},
        {
            "role": "user",
            "content": '[The tool clock was called with {"zone": "UTC"} and brought:]\n12:00',
        },
        {"role": "assistant", "content": "Noon."},
        {
            "role": "user",
            "content": '[The tool clock was called with {"zone": "UTC"} and brought:]\n12:01',
        },
        {"role": "assistant", "content": "Later."},
        {"role": "user", "content": "And now?"},
    ]
    server = Provider(name="here", quirks=Quirks(earlier_calls="text"))
    offering = build_body(server, Request(model="m", messages=turns, tools=(Tool(name="clock"),)))
    assert [message["role"] for message in offering["messages"]].count("tool") == 2


def test_so_it_does_at_the_end_of_a_conversation() -> None:
    assert [message["role"] for message in wire(user("Hi"), assistant(tool_calls=calls("a")))] == [
        "user",
        "assistant",
        "tool",
    ]


def test_a_result_without_its_call_is_left_out() -> None:
    assert said(wire(result("a"), user("Hi"), result("b"))) == [("user", "Hi")]


def test_calls_of_one_id_get_a_result_each() -> None:
    sent = wire(assistant(tool_calls=calls("x", "x")), result("x", "1"), result("x", "2"), result("x", "3"))
    assert [message["content"] for message in sent[1:]] == ["1", "2"]


@pytest.mark.parametrize("broken", ["{oops", "[1]", '"text"', "", "7", '{"a":' * 5000])
def test_arguments_that_are_no_object_go_back_as_an_empty_one(broken: str) -> None:
    call = ToolCall(id="a", name="f", arguments=broken)
    assert wire(assistant(tool_calls=(call,)))[0]["tool_calls"][0]["function"]["arguments"] == "{}"


def test_a_bare_line_end_within_an_argument_goes_back_escaped() -> None:
    call = ToolCall(id="a", name="f", arguments='{"code": "one\ntwo"}')
    sent = wire(assistant(tool_calls=(call,)))[0]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(sent) == {"code": "one\ntwo"}


# --- ids ---------------------------------------------------------------------------------------------------


def test_mistral_gets_ids_of_nine_letters_and_digits() -> None:  # quirk 120
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


def test_other_rows_keep_ids_as_they_are() -> None:
    call = ToolCall(id="functions.clock:0", name="f", arguments="{}")
    assert wire(assistant(tool_calls=(call,)), row="kimi")[0]["tool_calls"][0]["id"] == call.id
