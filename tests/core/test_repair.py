"""A refused field is left out once, told, and remembered: the memory alone, one negotiation, and whole requests."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from scripted import Answer, Asked, Scripted, answer, delta, sse

from provider_core.client import Client
from provider_core.errors import BadRequestError, NotFoundError, ProviderError, RateLimitError, ServerError
from provider_core.request import RequestAdapter, UnsupportedFieldCache, Workaround
from provider_core.types import (
    Effort,
    FieldDropped,
    Finished,
    Idle,
    ImagePart,
    Message,
    Notice,
    Provider,
    Quirks,
    Request,
    Sent,
    Text,
    TextPart,
    Tool,
    ToolCall,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAY = 24 * 3600
HELLO = (Message(role="user", content="Hello"),)
MINE = Provider(name="mine", base_url="https://one.test/v1")


def without_steps(told: list[Notice]) -> Callable[[Notice], None]:
    """Collect what is said of the request, not that it was sent."""

    def note(notice: Notice) -> None:
        if not isinstance(notice, Sent | Idle):
            told.append(notice)

    return note


def ask(**fields: Any) -> Request:
    return Request(model="m", messages=HELLO, **fields)


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "refused-fields.json"


# --- memory ------------------------------------------------------------------------------------------------

NO_OPTIONS = Workaround(field="stream_options")
OTHER_LIMIT = Workaround(field="max_tokens", swapped_for="max_completion_tokens")


def test_what_was_learnt_is_known_to_the_next_process_for_that_model_at_that_address(path: Path) -> None:
    cache = UnsupportedFieldCache(path)
    moved = replace(MINE, base_url="https://two.test/v1")
    other = replace(MINE, name="other")
    cache.learn(MINE, "m", [NO_OPTIONS])
    cache.learn(MINE, "m", [OTHER_LIMIT])
    cache.learn(MINE, "a/b", [OTHER_LIMIT])
    cache.learn(moved, "m", [OTHER_LIMIT])
    known = UnsupportedFieldCache(path).known
    assert known(MINE, "m") == (NO_OPTIONS, OTHER_LIMIT)
    assert (known(MINE, "a/b"), known(moved, "m")) == ((OTHER_LIMIT,), (OTHER_LIMIT,))
    assert (known(MINE, "n"), known(other, "m")) == ((), ())


def test_a_refusal_is_forgotten_after_thirty_days(path: Path) -> None:
    clock = Clock()
    memory = UnsupportedFieldCache(path, now=clock)
    memory.learn(MINE, "m", [NO_OPTIONS])
    clock.now += 20 * DAY
    memory.learn(MINE, "m", [OTHER_LIMIT])
    clock.now += 9 * DAY
    assert memory.known(MINE, "m") == (NO_OPTIONS, OTHER_LIMIT)
    clock.now += 2 * DAY
    assert memory.known(MINE, "m") == (OTHER_LIMIT,)


def test_what_is_forgotten_leaves_the_file(path: Path) -> None:
    clock = Clock()
    memory = UnsupportedFieldCache(path, now=clock)
    memory.learn(MINE, "old", [NO_OPTIONS])
    clock.now += 31 * DAY
    memory.learn(MINE, "new", [NO_OPTIONS])
    assert "mine/new" in path.read_text()
    assert "mine/old" not in path.read_text()


def test_a_clock_that_was_wrong_once_keeps_nothing_for_ever(path: Path) -> None:
    clock = Clock()
    memory = UnsupportedFieldCache(path, now=clock)
    memory.learn(MINE, "m", [NO_OPTIONS])
    clock.now -= 31 * DAY
    assert memory.known(MINE, "m") == ()


def test_refusals_in_combinations_and_of_the_embedded_model_are_not_stored(path: Path) -> None:
    cache = UnsupportedFieldCache(path)
    assert not cache.learn(MINE, "m", [Workaround(field="top_p", lasting=False)])
    assert not cache.learn(replace(MINE, embedded=True), "m", [NO_OPTIONS])
    assert not path.exists()


def test_the_newest_of_two_swaps_comes_last(path: Path) -> None:
    memory = UnsupportedFieldCache(path)
    back = Workaround(field="max_completion_tokens", swapped_for="max_tokens")
    memory.learn(MINE, "m", [OTHER_LIMIT])
    memory.learn(MINE, "m", [back])
    assert memory.known(MINE, "m") == (OTHER_LIMIT, back)
    memory.learn(MINE, "m", [OTHER_LIMIT])
    assert memory.known(MINE, "m") == (back, OTHER_LIMIT)


CORRUPT = [
    b"",
    b"{",
    b"\xff\xfe",
    b"[]",
    b"null",
    b"[" * 100_000,
    b'{"version": 2, "models": {"mine/m": {}}}',
    b'{"version": 3}',
    b'{"version": 3, "rows": {}}',
    b'{"version": 3, "rows": [null, 3, [], ["a"], ["a", "b", null, null, "", "soon"]]}',
]


@pytest.mark.parametrize("content", CORRUPT, ids=lambda content: repr(content[:40]))
def test_an_invalid_file_is_an_empty_cache_and_is_replaced(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    cache = UnsupportedFieldCache(path)
    assert cache.known(MINE, "m") == ()
    cache.learn(MINE, "m", [NO_OPTIONS])
    assert cache.known(MINE, "m") == (NO_OPTIONS,)


@pytest.mark.parametrize("place", [1, 2, 4, 5])
def test_an_invalid_row_is_ignored(path: Path, place: int) -> None:
    cache = UnsupportedFieldCache(path)
    cache.learn(MINE, "m", [NO_OPTIONS, OTHER_LIMIT])
    content = json.loads(path.read_text())
    content["rows"][1][place] = []
    path.write_text(json.dumps(content))
    assert cache.known(MINE, "m") == (NO_OPTIONS,)


@pytest.mark.parametrize("obstacle", ["a file in the folder's place", "a folder in the file's place"])
def test_where_nothing_can_be_written_there_is_no_memory_and_no_error(path: Path, obstacle: str) -> None:
    if obstacle.startswith("a file"):
        path.parent.write_text("in the way")
    else:
        path.mkdir(parents=True)
    memory = UnsupportedFieldCache(path)
    memory.learn(MINE, "m", [NO_OPTIONS])
    assert memory.known(MINE, "m") == ()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_the_file_is_its_owners_alone(path: Path) -> None:
    UnsupportedFieldCache(path).learn(MINE, "m", [NO_OPTIONS])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_file_does_not_hold_the_address(path: Path) -> None:
    UnsupportedFieldCache(path).learn(
        Provider(name="p", base_url="https://host.test/v1?sig=secret"), "m", [NO_OPTIONS]
    )
    assert "host.test" not in path.read_text()
    assert "secret" not in path.read_text()


# --- one negotiation ---------------------------------------------------------------------------------------


def bad(words: str) -> BadRequestError:
    return BadRequestError("refused", status=400, words=words)


def unknown(field: str) -> BadRequestError:
    return bad(f"Unknown parameter: '{field}'.")


def test_a_field_is_dropped_once_and_told() -> None:
    told: list[Notice] = []
    negotiation = RequestAdapter(MINE, ask(), notify=told.append)
    assert "stream_options" in negotiation.body
    assert negotiation.refused(unknown("stream_options"))
    assert "stream_options" not in negotiation.body
    assert not negotiation.refused(unknown("stream_options"))
    assert told == [FieldDropped(field="stream_options", words="Unknown parameter: 'stream_options'.")]
    negotiation.given_up()
    assert len(told) == 1


def test_a_limit_is_swapped_and_then_left_out() -> None:
    told: list[Notice] = []
    negotiation = RequestAdapter(MINE, ask(max_tokens=9), notify=told.append)
    assert negotiation.refused(unknown("max_tokens"))
    assert negotiation.body["max_completion_tokens"] == 9
    assert negotiation.refused(unknown("max_completion_tokens"))
    assert not {"max_tokens", "max_completion_tokens"} & negotiation.body.keys()
    negotiation.accepted()
    assert [(n.field, n.swapped_for, n.asked) for n in told if isinstance(n, FieldDropped)] == [
        ("max_tokens", "max_completion_tokens", "max_tokens"),
        ("max_completion_tokens", None, "max_tokens"),
    ]


@pytest.mark.parametrize(
    ("fields", "field", "asked"),
    [
        ({"temperature": 0.0}, "temperature", "temperature"),
        ({"reasoning_effort": "none"}, "thinking", "reasoning_effort"),
        ({"reasoning_effort": "none"}, "stream_options", ""),
        ({"params": {"top_k": 3}}, "top_k", "params"),
        ({"params": {"thinking": 3}, "reasoning_effort": "none"}, "thinking", "params"),
        ({}, "max_tokens", ""),
    ],
)
def test_the_notice_says_how_the_user_asked_for_the_field(fields: Any, field: str, asked: str) -> None:
    row = Quirks(
        effort=(Effort(levels={"none": {"thinking": {"type": "disabled"}}}),),
        default_max_tokens=8192,
    )
    told: list[Notice] = []
    server = Provider(name="p", quirks=row)
    negotiation = RequestAdapter(server, ask(**fields), notify=told.append)
    assert negotiation.refused(unknown(field))
    negotiation.accepted()
    assert [n.asked for n in told if isinstance(n, FieldDropped)] == [asked]


NAMES = ["seed", "top_p", "top_k", "logprobs", "logit_bias", "min_p", "stream_options"]


def test_as_many_fields_are_given_up_as_there_are_each_once(path: Path) -> None:
    memory = UnsupportedFieldCache(path)
    negotiation = RequestAdapter(MINE, ask(params=dict.fromkeys(NAMES[:-1], 1)), memory=memory)
    assert [negotiation.refused(unknown(name)) for name in NAMES] == [True] * 7
    assert [negotiation.refused(unknown(name)) for name in NAMES] == [False] * 7
    assert negotiation.body.keys() == {"model", "messages", "stream"}


def test_what_is_no_longer_complained_of_is_learnt_though_the_request_fails(path: Path) -> None:
    memory = UnsupportedFieldCache(path)
    told: list[Notice] = []
    request = ask(params=dict.fromkeys(NAMES, 1))
    negotiation = RequestAdapter(MINE, request, memory=memory, notify=told.append)
    assert negotiation.refused(unknown("seed"))
    assert negotiation.refused(unknown("top_p"))
    assert negotiation.refused(bad("Unknown parameters: 'top_k', 'seed'."))
    assert not negotiation.refused(bad("The model is out of order."))
    assert [repair.field for repair in memory.known(MINE, "m")] == ["seed", "top_p", "top_k"]
    assert [(n.field, n.lasting) for n in told if isinstance(n, FieldDropped)] == [
        ("seed", True),
        ("top_p", True),
        ("top_k", True),
    ]
    assert not set(NAMES[:3]) & RequestAdapter(MINE, request, memory=memory).body.keys()


@pytest.mark.parametrize(
    "then",
    [
        unknown("seed"),
        bad("The parameter 'seed' is unknown."),
        bad("Unsupported parameter: seed. See the manual."),
        ServerError("failed", status=500, words="boom"),
        RateLimitError("slow down", status=429, words="slow down"),
        None,
    ],
    ids=repr,
)
def test_what_may_not_have_been_the_trouble_is_neither_kept_nor_said_to_last(
    path: Path, then: ProviderError | None
) -> None:
    told: list[Notice] = []
    negotiation = RequestAdapter(
        MINE, ask(params={"seed": 1}), memory=UnsupportedFieldCache(path), notify=told.append
    )
    assert negotiation.refused(unknown("seed"))
    if then is not None:
        assert not negotiation.refused(then)
    negotiation.given_up()
    assert [(n.field, n.lasting) for n in told if isinstance(n, FieldDropped)] == [("seed", False)]
    assert not path.exists()


def test_a_server_that_was_busy_in_between_is_still_found_to_take_the_rest(path: Path) -> None:
    memory = UnsupportedFieldCache(path)
    negotiation = RequestAdapter(MINE, ask(), memory=memory)
    assert negotiation.refused(unknown("stream_options"))
    assert not negotiation.refused(ServerError("failed", status=503, words="busy"))
    negotiation.accepted()
    assert memory.known(MINE, "m") == (NO_OPTIONS,)


def test_what_cannot_be_written_down_is_not_said_to_last(path: Path) -> None:
    path.parent.write_text("in the way")
    told: list[Notice] = []
    negotiation = RequestAdapter(MINE, ask(), memory=UnsupportedFieldCache(path), notify=told.append)
    assert negotiation.refused(unknown("stream_options"))
    negotiation.accepted()
    assert [n.lasting for n in told if isinstance(n, FieldDropped)] == [False]


def test_a_system_prompt_moves_into_the_first_user_message() -> None:
    told: list[Notice] = []
    turns = (Message(role="system", content="Be brief."), *HELLO)
    negotiation = RequestAdapter(MINE, Request(model="m", messages=turns), notify=told.append)
    assert negotiation.refused(bad("System role not supported"))
    assert negotiation.body["messages"] == [{"role": "user", "content": "Be brief.\n\nHello"}]
    assert not negotiation.refused(bad("System role not supported"))
    assert told == [FieldDropped(field="system", swapped_for="user", words="System role not supported")]


def test_messages_in_a_row_become_one() -> None:
    negotiation = RequestAdapter(MINE, Request(model="m", messages=HELLO * 2))
    assert negotiation.refused(bad("Conversation roles must alternate user/assistant"))
    assert negotiation.body["messages"] == [{"role": "user", "content": "Hello\n\nHello"}]


def test_raw_messages_are_not_rewritten() -> None:
    raw = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    negotiation = RequestAdapter(MINE, ask(params={"messages": raw}))
    assert not negotiation.refused(bad("System role not supported"))


def test_only_what_helped_is_learnt(path: Path) -> None:
    memory = UnsupportedFieldCache(path)
    negotiation = RequestAdapter(MINE, ask(), memory=memory)
    negotiation.accepted()
    assert not path.exists()
    assert negotiation.refused(unknown("stream_options"))
    assert memory.known(MINE, "m") == ()
    negotiation.accepted()
    assert memory.known(MINE, "m") == (NO_OPTIONS,)


def test_what_is_remembered_is_left_out_without_a_word(path: Path) -> None:
    memory = UnsupportedFieldCache(path)
    memory.learn(MINE, "m", [NO_OPTIONS, OTHER_LIMIT])
    told: list[Notice] = []
    body = RequestAdapter(MINE, ask(max_tokens=5), memory=memory, notify=told.append).body
    assert body.keys() == {"model", "messages", "stream", "max_completion_tokens"}
    assert told == []


def test_what_the_user_sets_again_is_left_out_with_a_word(path: Path) -> None:
    memory = UnsupportedFieldCache(path)
    memory.learn(MINE, "m", [Workaround(field="temperature"), Workaround(field="seed")])
    told: list[Notice] = []
    negotiation = RequestAdapter(MINE, ask(temperature=1.0), memory=memory, notify=told.append)
    assert "temperature" not in negotiation.body
    assert told == [FieldDropped(field="temperature", asked="temperature", remembered=True, lasting=True)]


def test_a_remembered_swap_is_undone_by_a_server_that_changed(path: Path) -> None:
    memory = UnsupportedFieldCache(path)
    memory.learn(MINE, "m", [OTHER_LIMIT])
    negotiation = RequestAdapter(MINE, ask(max_tokens=5), memory=memory)
    assert negotiation.refused(unknown("max_completion_tokens"))
    assert negotiation.body["max_tokens"] == 5
    negotiation.accepted()
    assert RequestAdapter(MINE, ask(max_tokens=5), memory=memory).body["max_tokens"] == 5


def test_roles_are_remembered_too(path: Path) -> None:
    memory = UnsupportedFieldCache(path)
    request = Request(model="m", messages=(Message(role="system", content="Be brief."), *HELLO))
    first = RequestAdapter(MINE, request, memory=memory)
    assert first.refused(bad("System role not supported"))
    first.accepted()
    assert RequestAdapter(MINE, request, memory=memory).body == first.body


def test_earlier_calls_are_told_in_words_from_then_on(path: Path) -> None:
    memory = UnsupportedFieldCache(path)
    call = ToolCall(id="a", name="clock", arguments="{}")
    turns = (
        *HELLO,
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", tool_call_id="a", content="12:00"),
        Message(role="assistant", content="Noon."),
        *HELLO,
    )
    told: list[Notice] = []
    words = "Requests which include tool_use or tool_result blocks must define tools."
    request = Request(model="m", messages=turns)
    first = RequestAdapter(MINE, request, memory=memory, notify=told.append)
    assert "tool" in {message["role"] for message in first.body["messages"]}
    assert first.refused(bad(words))
    assert "tool" not in {message["role"] for message in first.body["messages"]}
    assert "12:00" in json.dumps(first.body)
    first.accepted()
    assert told == [FieldDropped(field="calls", swapped_for="text", words=words, lasting=True)]
    assert RequestAdapter(MINE, request, memory=memory).body == first.body
    with_tools = replace(request, tools=(Tool(name="clock"),))
    roles = [message["role"] for message in RequestAdapter(MINE, with_tools, memory=memory).body["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


CLOCK = (Tool(name="clock"), Tool(name="calendar"))
CALLED = (
    *HELLO,
    Message(role="assistant", tool_calls=(ToolCall(id="a", name="clock", arguments="{}"),), reasoning="Hm."),
    Message(role="tool", tool_call_id="a", content="12:00"),
)
NAMED = {"type": "function", "function": {"name": "clock"}}


@pytest.mark.parametrize(
    ("fields", "words", "changed"),
    [
        (
            {"messages": CALLED, "tools": CLOCK},
            "The `reasoning_content` in the thinking mode must be passed back to the API.",
            lambda body: [m.get("reasoning_content") for m in body["messages"]] == [None, "Hm.", None],
        ),
        (
            {"tools": CLOCK},
            "Set reasoning_effort to 'none' to use function tools.",
            lambda body: body.get("reasoning_effort") == "none",
        ),
        (
            {"tools": CLOCK, "reasoning_effort": "medium"},
            "Function tools with reasoning_effort are not supported.",
            lambda body: body.get("reasoning_effort") == "none",
        ),
        (
            {},
            "Your organization must be verified to stream this model.",
            lambda body: body["stream"] is False,
        ),
        ({"stream": False}, "This model only supports streaming.", lambda body: body["stream"] is True),
        (
            {"tools": CLOCK, "tool_choice": "clock"},
            "Invalid tool_choice type: 'object'. Supported string values: none, auto, required",
            lambda body: (body["tool_choice"], len(body["tools"])) == ("required", 1),
        ),
        (
            {"tools": CLOCK, "tool_choice": "clock"},
            "tool_choice is not supported in thinking mode",
            lambda body: ("tool_choice" in body, len(body["tools"])) == (False, 2),
        ),
    ],
)
def test_what_is_changed_is_changed_once_and_then_from_the_beginning(
    path: Path, fields: Any, words: str, changed: Callable[[Any], bool]
) -> None:
    memory, told = UnsupportedFieldCache(path), list[Notice]()
    request = Request(**{"model": "m", "messages": HELLO, **fields})
    first = RequestAdapter(MINE, request, memory=memory, notify=told.append)
    assert not changed(first.body)
    assert first.refused(bad(words))
    assert changed(first.body)
    first.accepted()
    assert len(told) == 1
    if 'thinking mode"' not in words and not words.endswith("in thinking mode"):
        assert RequestAdapter(MINE, request, memory=memory).body == first.body


DRAWN = Request(
    model="m",
    messages=(
        *CALLED[:-1],
        replace(CALLED[-1], content=(TextPart(text="drawn"), ImagePart(url="data:image/png;base64,AA=="))),
    ),
    tools=CLOCK,
    reads_images=True,
)


@pytest.mark.parametrize(
    "words",
    [
        "Invalid 'messages[2]'. Image URLs are only allowed for messages with role 'user'",
        "for 'role:tool' the following must be satisfied[('messages.2.content' : value must be a string)]",
        "Tool message content must be a string.",
        "3 validation errors for ToolMessage content.list[TextChunk].1.type Input should be <ChunkTypes.text: 'text'>",
        "Input should be a valid string",
        "Failed to deserialize the JSON body: messages[2]: invalid type: sequence, expected a string at line 1",
        "json: cannot unmarshal array into Go struct field .content of type string",
        'can only concatenate str (not "list") to str',
        "Invalid 'messages' in payload. Please check the structure of your 'messages' and try again.",
        "invalid JSON request",
        "unknown variant `image_url`, expected `text`",
        "Only text parts are supported in tool results",
    ],
)
def test_images_of_tool_results_move_to_a_user_message_where_they_are_refused(path: Path, words: str) -> None:
    memory, told = UnsupportedFieldCache(path), list[Notice]()
    first = RequestAdapter(MINE, DRAWN, memory=memory, notify=told.append)
    assert [part["type"] for part in first.body["messages"][-1]["content"]] == ["text", "image_url"]
    assert first.refused(bad(words))
    assert [message["role"] for message in first.body["messages"][2:]] == ["tool", "user"]
    assert first.body["messages"][-1]["content"][1]["image_url"] == {"url": "data:image/png;base64,AA=="}
    first.accepted()
    assert not first.refused(bad(words)), "once"
    assert told == [FieldDropped(field="tool_images", swapped_for="user", words=words, lasting=True)]
    assert RequestAdapter(MINE, DRAWN, memory=memory).body == first.body


@pytest.mark.parametrize(
    "error",
    [
        lambda: bad("temperature must be at most 2"),
        lambda: NotFoundError(
            "mine: no endpoints found that support image input", words="support image input"
        ),
    ],
)
def test_images_of_tool_results_stay_where_something_else_is_refused(error: Callable[[], Any]) -> None:
    assert not RequestAdapter(MINE, DRAWN).refused(error())


def test_an_effort_that_is_refused_with_tools_is_sent_as_given_without(path: Path) -> None:
    memory, told = UnsupportedFieldCache(path), list[Notice]()
    with_tools = ask(tools=CLOCK, reasoning_effort="medium")
    first = RequestAdapter(MINE, with_tools, memory=memory)
    assert first.refused(bad("Set reasoning_effort to 'none' to use function tools."))
    first.accepted()
    assert (
        RequestAdapter(MINE, ask(reasoning_effort="medium"), memory=memory).body["reasoning_effort"]
        == "medium"
    )
    assert (
        RequestAdapter(MINE, with_tools, memory=memory, notify=told.append).body["reasoning_effort"] == "none"
    )
    assert [(n.value, n.asked, n.remembered) for n in told if isinstance(n, FieldDropped)] == [
        ("none", "reasoning_effort", True)
    ]


def test_a_repair_that_no_telex_has_made_is_passed_over(path: Path) -> None:
    memory = UnsupportedFieldCache(path)
    odd = [
        Workaround(field="tool_choice", swapped_for="x"),
        Workaround(field="system", swapped_for=None),
        Workaround(field="messages", value="x"),
        Workaround(field="stream"),
    ]
    memory.learn(MINE, "m", [*odd, NO_OPTIONS])
    assert memory.known(MINE, "m") == (NO_OPTIONS,)


@pytest.mark.parametrize(("effort", "sent"), [(None, False), ("high", False), ("none", True)])
def test_a_demand_is_sent_where_only_thinking_stands_in_its_way(effort: str | None, sent: bool) -> None:
    levels = {level: {"thinking": level != "none"} for level in ("none", "high")}
    mine = Provider(
        name="p", quirks=Quirks(tool_choice_while_thinking=False, effort=(Effort(levels=levels),))
    )
    told: list[Notice] = []
    request = ask(tools=CLOCK, tool_choice="required", reasoning_effort=effort)
    assert ("tool_choice" in RequestAdapter(mine, request, notify=told.append).body) is sent
    assert told == ([] if sent else [FieldDropped(field="tool_choice", asked="tool_choice")])
    raw = ask(tools=CLOCK, tool_choice="required", params={"thinking": False})
    assert "tool_choice" in RequestAdapter(mine, raw).body


def test_a_body_holds_one_limit() -> None:
    body = RequestAdapter(MINE, ask(max_tokens=9, params={"max_completion_tokens": 5})).body
    assert (body.get("max_tokens"), body["max_completion_tokens"]) == (None, 5)
    body = RequestAdapter(MINE, ask(max_tokens=9, params={"max_completion_tokens": None})).body
    assert (body["max_tokens"], body.get("max_completion_tokens")) == (9, None)


# --- whole requests ----------------------------------------------------------------------------------------


def refuses(field: str, words: str, status: int = 400) -> Any:
    """Answers with the error while the field is sent, else with text."""

    def step(asked: Asked) -> Answer:
        if field not in asked.body:
            return Answer(answer("Hi", " there"))
        error = {"error": {"message": words, "type": "invalid_request_error", "param": None, "code": None}}
        return Answer([json.dumps(error).encode()], status, {"content-type": "application/json"})

    return step


def text(events: Any) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


@pytest.mark.parametrize("status", [400, 422, 403, 500, 200])
def test_a_refused_field_costs_one_more_request_and_only_once(
    server: Scripted, path: Path, status: int
) -> None:
    server.will(refuses("stream_options", "stream_options: Extra inputs are not permitted", status))
    told: list[Notice] = []
    mine = Provider(name="mine", base_url=server.url)
    with Client(memory=UnsupportedFieldCache(path)) as client:
        events = list(client.chat(mine, ask(), notify=without_steps(told)))
    assert text(events) == "Hi there"
    assert isinstance(events[-1], Finished)
    assert events[-1].verdict is Verdict.COMPLETE
    assert ["stream_options" in asked.body for asked in server.asked] == [True, False]
    assert told == [
        FieldDropped(
            field="stream_options", words="stream_options: Extra inputs are not permitted", lasting=True
        )
    ]
    with Client(memory=UnsupportedFieldCache(path)) as client:
        assert text(client.chat(mine, ask(), notify=without_steps(told))) == "Hi there"
    assert ["stream_options" in asked.body for asked in server.asked] == [True, False, False]
    assert len(told) == 1


def test_a_limit_is_sent_under_its_other_name(server: Scripted) -> None:
    words = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    server.will(refuses("max_tokens", words))
    with Client() as client:
        assert text(client.chat(Provider(name="p", base_url=server.url), ask(max_tokens=50))) == "Hi there"
    assert server.asked[-1].body["max_completion_tokens"] == 50


def test_without_a_memory_each_request_finds_out_anew(server: Scripted) -> None:
    server.will(refuses("stream_options", "Unknown parameter: 'stream_options'."))
    mine = Provider(name="mine", base_url=server.url)
    with Client() as client:
        for _ in range(2):
            list(client.chat(mine, ask()))
    assert len(server.asked) == 4


def test_a_field_that_is_not_the_trouble_ends_in_the_servers_error(server: Scripted) -> None:
    server.will(refuses("model", "Unknown parameter: 'stream_options'."))
    told: list[Notice] = []
    with Client() as client, pytest.raises(ProviderError) as caught:
        list(client.chat(Provider(name="p", base_url=server.url), ask(), notify=without_steps(told)))
    assert caught.value.status == 400
    assert len(server.asked) == 2
    assert len(told) == 1


def test_a_second_run_begins_where_the_first_one_was_given_up(server: Scripted, path: Path) -> None:
    fields = {"seed": 1, "top_p": 1, "top_k": 1, "min_p": 1, "logprobs": True}

    def step(asked: Asked) -> Answer:
        first = next((name for name in fields if name in asked.body), None)
        words = f"Unknown parameter: '{first}'." if first else "Nothing fits today."
        return Answer([json.dumps({"error": {"message": words}}).encode()], 400, {})

    server.will(step)
    mine = Provider(name="mine", base_url=server.url)
    told: list[Notice] = []
    asked = []
    for _ in range(2):
        with (
            Client(memory=UnsupportedFieldCache(path)) as client,
            pytest.raises(BadRequestError, match="fits"),
        ):
            list(client.chat(mine, ask(params=fields), notify=without_steps(told)))
        asked.append(len(server.asked))
    assert asked == [6, 7]
    assert [n.lasting for n in told if isinstance(n, FieldDropped) and not n.remembered] == [True] * 5


def test_a_value_that_is_too_large_is_the_users_to_change(server: Scripted) -> None:
    server.will(
        refuses("max_tokens", "max_tokens is too large: 99999. This model supports at most 4096 tokens.")
    )
    with Client() as client, pytest.raises(ProviderError, match="too large"):
        list(client.chat(Provider(name="p", base_url=server.url), ask(max_tokens=99999)))
    assert len(server.asked) == 1


def test_an_answer_that_has_begun_is_never_asked_for_again(server: Scripted) -> None:
    failed = {"error": {"message": "Unknown parameter: 'stream_options'.", "code": 400}}
    server.will(sse(delta("Hi"), failed))
    told: list[Notice] = []
    with Client() as client:
        events = list(client.chat(Provider(name="p", base_url=server.url), ask(), notify=without_steps(told)))
    assert text(events) == "Hi"
    assert len(server.asked) == 1
    assert told == []


def test_a_row_that_always_streams_says_what_it_accepts(server: Scripted) -> None:
    server.will(answer("Hi"))
    mine = Provider(name="p", base_url=server.url, quirks=Quirks(always_stream=True))
    with Client() as client:
        assert text(client.chat(mine, ask(stream=False))) == "Hi"
    assert server.asked[0].headers["accept"] == "text/event-stream"
    assert server.asked[0].body["stream"] is True
