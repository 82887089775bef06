"""Refused fields are omitted, reported and remembered: the cache, the adapter, and whole requests."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from scripted import Answer, Asked, Scripted, answer, delta, sse

from provider_core.client import Client
from provider_core.errors import BadRequestError, NotFoundError, ProviderError, RateLimitError, ServerError
from provider_core.request import RequestAdapter, UnsupportedFieldCache
from provider_core.types import (
    Effort,
    FieldDropped,
    Finished,
    ImagePart,
    Message,
    Notice,
    Provider,
    Quirks,
    Request,
    Text,
    TextPart,
    Tool,
    ToolCall,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

dropped = partial(FieldDropped, lasting=True)

DAY = 24 * 3600
HELLO = (Message(role="user", content="Hello"),)
MINE = Provider(name="mine", base_url="https://one.test/v1")


class Notices(list[FieldDropped]):
    """Collects the notices about fields; an instance is a ``notify``."""

    def __call__(self, notice: Notice) -> None:
        if isinstance(notice, FieldDropped):
            self.append(notice)


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


# --- the cache ---------------------------------------------------------------------------------------------

NO_OPTIONS = dropped(field="stream_options")
OTHER_LIMIT = dropped(field="max_tokens", swapped_for="max_completion_tokens")


def test_the_next_process_knows_the_refusals_of_that_model_at_that_address(path: Path) -> None:
    cache = UnsupportedFieldCache(path)
    moved, other = replace(MINE, base_url="https://two.test/v1?sig=secret"), replace(MINE, name="other")
    assert cache.learn(MINE, "m", NO_OPTIONS)
    assert cache.learn(MINE, "m", OTHER_LIMIT)
    assert cache.learn(MINE, "a/b", OTHER_LIMIT)
    assert cache.learn(moved, "m", OTHER_LIMIT)
    known = UnsupportedFieldCache(path).known
    assert known(MINE, "m") == (NO_OPTIONS, OTHER_LIMIT)
    assert (known(MINE, "a/b"), known(moved, "m")) == ((OTHER_LIMIT,), (OTHER_LIMIT,))
    assert (known(MINE, "n"), known(other, "m")) == ((), ())
    assert not any(part in path.read_text() for part in ("one.test", "two.test", "secret"))
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_refusal_is_forgotten_after_thirty_days_and_if_the_clock_was_wrong(path: Path) -> None:
    clock = Clock()
    cache = UnsupportedFieldCache(path, now=clock)
    cache.learn(MINE, "m", NO_OPTIONS)
    clock.now += 20 * DAY
    cache.learn(MINE, "m", OTHER_LIMIT)
    for days, known in ((9, (NO_OPTIONS, OTHER_LIMIT)), (2, (OTHER_LIMIT,)), (-80, ())):
        clock.now += days * DAY
        assert cache.known(MINE, "m") == known
    cache.learn(MINE, "new", NO_OPTIONS)
    assert "mine/new" in path.read_text()
    assert "mine/m" not in path.read_text()


def test_refusals_in_combinations_and_of_the_embedded_model_are_not_stored(path: Path) -> None:
    cache = UnsupportedFieldCache(path)
    assert not cache.learn(MINE, "m", dropped(field="top_p", lasting=False))
    assert not cache.learn(replace(MINE, embedded=True), "m", NO_OPTIONS)
    assert not path.exists()


def test_the_newest_of_two_swaps_comes_last(path: Path) -> None:
    cache = UnsupportedFieldCache(path)
    back = dropped(field="max_completion_tokens", swapped_for="max_tokens")
    for newest in (OTHER_LIMIT, back, OTHER_LIMIT):
        cache.learn(MINE, "m", newest)
    assert cache.known(MINE, "m") == (back, OTHER_LIMIT)


CORRUPT = [
    b"", b"{", b"\xff\xfe", b"[]", b"null", b"[" * 100_000, b'{"version": 2, "models": {"mine/m": {}}}',
    b'{"version": 3}', b'{"version": 3, "rows": {}}',
    b'{"version": 3, "rows": [null, 3, [], ["a"], ["a", "b", null, null, "", "soon"]]}',
    b'{"version": 3, "rows": [["a", "b", null, null, "", 1%s]]}' % (b"0" * 400),
]  # fmt: skip


@pytest.mark.parametrize("content", CORRUPT, ids=lambda content: repr(content[:40]))
def test_an_invalid_file_is_an_empty_cache_and_is_replaced(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    cache = UnsupportedFieldCache(path)
    assert cache.known(MINE, "m") == ()
    cache.learn(MINE, "m", NO_OPTIONS)
    assert cache.known(MINE, "m") == (NO_OPTIONS,)


def test_invalid_rows_and_workarounds_are_ignored(path: Path) -> None:
    odd = [
        dropped(field="tool_choice", swapped_for="x"),
        dropped(field="system", swapped_for=None),
        dropped(field="messages", value="x"),
        dropped(field="stream"),
        NO_OPTIONS,
    ]
    cache = UnsupportedFieldCache(path)
    for each in (*odd, OTHER_LIMIT):
        cache.learn(MINE, "m", each)
    content = json.loads(path.read_text())
    for place in (1, 2, 4, 5):
        rows = [*content["rows"][:-1], [[] if at == place else v for at, v in enumerate(content["rows"][-1])]]
        path.write_text(json.dumps({**content, "rows": rows}))
        assert cache.known(MINE, "m") == (NO_OPTIONS,)


@pytest.mark.parametrize("obstacle", ["a file in the folder's place", "a folder in the file's place"])
def test_a_cache_that_cannot_be_written_is_empty_and_no_error(path: Path, obstacle: str) -> None:
    if obstacle.startswith("a file"):
        path.parent.write_text("in the way")
    else:
        path.mkdir(parents=True)
    cache, notices = UnsupportedFieldCache(path), Notices()
    adapter = RequestAdapter(MINE, ask(), cache=cache, notify=notices)
    assert adapter.refused(unknown("stream_options"))
    adapter.accepted()
    assert cache.known(MINE, "m") == ()
    assert [notice.lasting for notice in notices] == [False]


# --- the adapter -------------------------------------------------------------------------------------------


def bad(words: str) -> BadRequestError:
    return BadRequestError("refused", status=400, words=words)


def unknown(field: str) -> BadRequestError:
    return bad(f"Unknown parameter: '{field}'.")


def test_a_refused_field_is_omitted_once_and_reported() -> None:
    notices = Notices()
    adapter = RequestAdapter(MINE, ask(), notify=notices)
    assert "stream_options" in adapter.body
    assert adapter.refused(unknown("stream_options"))
    assert "stream_options" not in adapter.body
    assert not adapter.refused(unknown("stream_options"))
    adapter.given_up()
    assert notices == [FieldDropped(field="stream_options", words="Unknown parameter: 'stream_options'.")]


def test_a_token_limit_is_swapped_and_then_omitted() -> None:
    notices = Notices()
    adapter = RequestAdapter(MINE, ask(max_tokens=9), notify=notices)
    assert adapter.refused(unknown("max_tokens"))
    assert adapter.body["max_completion_tokens"] == 9
    assert adapter.refused(unknown("max_completion_tokens"))
    assert not {"max_tokens", "max_completion_tokens"} & adapter.body.keys()
    adapter.accepted()
    assert [(notice.field, notice.swapped_for, notice.asked) for notice in notices] == [
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
def test_the_notice_says_how_the_user_set_the_field(fields: Any, field: str, asked: str) -> None:
    effort = Effort(levels={"none": {"thinking": {"type": "disabled"}}})
    provider = Provider(name="p", quirks=Quirks(effort=(effort,), default_max_tokens=8192))
    notices = Notices()
    adapter = RequestAdapter(provider, ask(**fields), notify=notices)
    assert adapter.refused(unknown(field))
    adapter.accepted()
    assert [notice.asked for notice in notices] == [asked]


NAMES = ["seed", "top_p", "top_k", "logprobs", "logit_bias", "min_p", "stream_options"]


def test_a_field_that_the_next_error_does_not_mention_is_remembered(path: Path) -> None:
    cache, notices = UnsupportedFieldCache(path), Notices()
    request = ask(params=dict.fromkeys(NAMES, 1))
    adapter = RequestAdapter(MINE, request, cache=cache, notify=notices)
    assert adapter.refused(unknown("seed"))
    assert adapter.refused(unknown("top_p"))
    assert adapter.refused(bad("Unknown parameters: 'top_k', 'seed'."))
    assert not adapter.refused(bad("The model is out of order."))
    assert [workaround.field for workaround in cache.known(MINE, "m")] == NAMES[:3]
    assert [(notice.field, notice.lasting) for notice in notices] == [(name, True) for name in NAMES[:3]]
    assert not set(NAMES[:3]) & RequestAdapter(MINE, request, cache=cache).body.keys()


@pytest.mark.parametrize(
    "then",
    [
        unknown("seed"), bad("The parameter 'seed' is unknown."), bad("Unsupported parameter: seed. See the manual."),
        ServerError("failed", status=500, words="boom"),
        RateLimitError("slow down", status=429, words="slow down"),
        None,
    ],
    ids=repr,
)  # fmt: skip
def test_a_field_that_may_not_have_been_the_cause_is_not_remembered(
    path: Path, then: ProviderError | None
) -> None:
    notices = Notices()
    adapter = RequestAdapter(MINE, ask(params={"seed": 1}), cache=UnsupportedFieldCache(path), notify=notices)
    assert adapter.refused(unknown("seed"))
    if then is not None:
        assert not adapter.refused(then)
    adapter.given_up()
    assert [(notice.field, notice.lasting) for notice in notices] == [("seed", False)]
    assert not path.exists()


def test_a_workaround_is_remembered_only_once_the_server_answers(path: Path) -> None:
    cache = UnsupportedFieldCache(path)
    adapter = RequestAdapter(MINE, ask(), cache=cache)
    adapter.accepted()
    assert not path.exists()
    assert adapter.refused(unknown("stream_options"))
    assert not adapter.refused(ServerError("failed", status=503, words="busy"))
    assert cache.known(MINE, "m") == ()
    adapter.accepted()
    assert cache.known(MINE, "m") == (NO_OPTIONS,)


def test_raw_messages_are_not_rewritten() -> None:
    raw = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    assert not RequestAdapter(MINE, ask(params={"messages": raw})).refused(bad("System role not supported"))


def test_a_remembered_field_is_reported_only_if_the_user_set_it(path: Path) -> None:
    cache, notices = UnsupportedFieldCache(path), Notices()
    for each in (NO_OPTIONS, OTHER_LIMIT, dropped(field="temperature"), dropped(field="seed")):
        cache.learn(MINE, "m", each)
    request = ask(max_tokens=5, temperature=1.0)
    body = RequestAdapter(MINE, request, cache=cache, notify=notices).body
    assert body.keys() == {"model", "messages", "stream", "max_completion_tokens"}
    assert notices == [FieldDropped(field="temperature", asked="temperature", remembered=True, lasting=True)]


def test_a_remembered_swap_is_undone_by_a_server_that_changed(path: Path) -> None:
    cache = UnsupportedFieldCache(path)
    cache.learn(MINE, "m", OTHER_LIMIT)
    adapter = RequestAdapter(MINE, ask(max_tokens=5), cache=cache)
    assert adapter.refused(unknown("max_completion_tokens"))
    assert adapter.body["max_tokens"] == 5
    adapter.accepted()
    assert RequestAdapter(MINE, ask(max_tokens=5), cache=cache).body["max_tokens"] == 5


CLOCK = (Tool(name="clock"), Tool(name="calendar"))
CALLED = (
    *HELLO,
    Message(role="assistant", tool_calls=(ToolCall(id="a", name="clock", arguments="{}"),), reasoning="Hm."),
    Message(role="tool", tool_call_id="a", content="12:00"),
)
BRIEF = (Message(role="system", content="Be brief."), *HELLO)


def roles(body: Any) -> list[str]:
    return [message["role"] for message in body["messages"]]


@pytest.mark.parametrize(
    ("fields", "words", "seen", "before", "after"),
    [
        ({"messages": BRIEF}, "System role not supported", lambda body: [m["content"] for m in body["messages"]],
         ["Be brief.", "Hello"], ["Be brief.\n\nHello"]),
        ({"messages": HELLO * 2}, "Conversation roles must alternate user/assistant",
         lambda body: [m["content"] for m in body["messages"]], ["Hello", "Hello"], ["Hello\n\nHello"]),
        ({"messages": (*CALLED, Message(role="assistant", content="Noon."), *HELLO)},
         "Requests which include tool_use or tool_result blocks must define tools.", roles,
         ["user", "assistant", "tool", "assistant", "user"], ["user", "user", "assistant", "user"]),
        ({"messages": CALLED, "tools": CLOCK},
         "The `reasoning_content` in the thinking mode must be passed back to the API.",
         lambda body: [m.get("reasoning_content") for m in body["messages"]], [None] * 3, [None, "Hm.", None]),
        ({"tools": CLOCK}, "Set reasoning_effort to 'none' to use function tools.",
         lambda body: body.get("reasoning_effort"), None, "none"),
        ({"tools": CLOCK, "reasoning_effort": "medium"}, "Function tools with reasoning_effort are not supported.",
         lambda body: body.get("reasoning_effort"), "medium", "none"),
        ({}, "Your organization must be verified to stream this model.", lambda body: body["stream"], True, False),
        ({"stream": False}, "This model only supports streaming.", lambda body: body["stream"], False, True),
        ({"tools": CLOCK, "tool_choice": "clock"},
         "Invalid tool_choice type: 'object'. Supported string values: none, auto, required",
         lambda body: (str(body["tool_choice"])[:8], len(body["tools"])), ("{'type':", 2), ("required", 1)),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)  # fmt: skip
def test_a_change_is_made_once_and_in_later_requests_from_the_beginning(
    path: Path, fields: Any, words: str, seen: Callable[[Any], Any], before: Any, after: Any
) -> None:
    cache, notices = UnsupportedFieldCache(path), Notices()
    request = Request(**{"model": "m", "messages": HELLO, **fields})
    adapter = RequestAdapter(MINE, request, cache=cache, notify=notices)
    assert seen(adapter.body) == before
    assert adapter.refused(bad(words))
    assert seen(adapter.body) == after
    adapter.accepted()
    assert [(notice.words, notice.lasting) for notice in notices] == [(words, True)]
    assert RequestAdapter(MINE, request, cache=cache).body == adapter.body


def test_a_choice_refused_with_reasoning_is_omitted_in_this_request_only(path: Path) -> None:
    request = ask(tools=CLOCK, tool_choice="clock")
    adapter = RequestAdapter(MINE, request, cache=UnsupportedFieldCache(path))
    assert adapter.refused(bad("tool_choice is not supported in thinking mode"))
    assert ("tool_choice" in adapter.body, len(adapter.body["tools"])) == (False, 2)
    adapter.accepted()
    assert not path.exists()


def test_a_change_for_requests_without_tools_leaves_those_with_tools_alone(path: Path) -> None:
    cache = UnsupportedFieldCache(path)
    cache.learn(MINE, "m", dropped(field="calls", swapped_for="text"))
    request = Request(model="m", messages=CALLED)
    assert roles(RequestAdapter(MINE, request, cache=cache).body) == ["user", "user"]
    with_tools = RequestAdapter(MINE, replace(request, tools=CLOCK), cache=cache).body
    assert roles(with_tools) == ["user", "assistant", "tool"]


def test_an_effort_that_is_refused_with_tools_is_sent_without_them(path: Path) -> None:
    cache, notices = UnsupportedFieldCache(path), Notices()
    cache.learn(MINE, "m", dropped(field="reasoning_effort", value="none", beside="tools"))
    without = RequestAdapter(MINE, ask(reasoning_effort="medium"), cache=cache).body
    assert without["reasoning_effort"] == "medium"
    with_tools = ask(tools=CLOCK, reasoning_effort="medium")
    assert RequestAdapter(MINE, with_tools, cache=cache, notify=notices).body["reasoning_effort"] == "none"
    assert [(n.value, n.asked, n.remembered) for n in notices] == [("none", "reasoning_effort", True)]


PICTURE = ImagePart(url="data:image/png;base64,AA==")
DRAWN = Request(
    model="m",
    messages=(*CALLED[:-1], replace(CALLED[-1], content=(TextPart(text="drawn"), PICTURE))),
    tools=CLOCK,
    reads_images=True,
)


TEXT_ONLY = r"""Invalid 'messages[2]'. Image URLs are only allowed for messages with role 'user'
for 'role:tool' the following must be satisfied[('messages.2.content' : value must be a string)]
Tool message content must be a string.
3 validation errors for ToolMessage content.list[TextChunk].1.type Input should be <ChunkTypes.text: 'text'>
Input should be a valid string
Failed to deserialize the JSON body: messages[2]: invalid type: sequence, expected a string at line 1
json: cannot unmarshal array into Go struct field .content of type string
can only concatenate str (not "list") to str
Invalid 'messages' in payload. Please check the structure of your 'messages' and try again.
invalid JSON request
unknown variant `image_url`, expected `text`
Only text parts are supported in tool results"""


@pytest.mark.parametrize("words", TEXT_ONLY.split("\n"))
def test_refused_images_of_tool_results_move_to_a_user_message(path: Path, words: str) -> None:
    cache, notices = UnsupportedFieldCache(path), Notices()
    adapter = RequestAdapter(MINE, DRAWN, cache=cache, notify=notices)
    assert [part["type"] for part in adapter.body["messages"][-1]["content"]] == ["text", "image_url"]
    assert adapter.refused(bad(words))
    assert roles(adapter.body)[2:] == ["tool", "user"]
    assert adapter.body["messages"][-1]["content"][1]["image_url"] == {"url": PICTURE.url}
    adapter.accepted()
    assert not adapter.refused(bad(words))
    assert notices == [FieldDropped(field="tool_images", swapped_for="user", words=words, lasting=True)]
    assert RequestAdapter(MINE, DRAWN, cache=cache).body == adapter.body


def test_images_of_tool_results_stay_if_something_else_is_refused() -> None:
    assert not RequestAdapter(MINE, DRAWN).refused(bad("temperature must be at most 2"))
    no_endpoint = NotFoundError(
        "mine: no endpoints found", words="No endpoints found that support image input"
    )
    assert not RequestAdapter(MINE, DRAWN).refused(no_endpoint)


@pytest.mark.parametrize(("effort", "sent"), [(None, False), ("high", False), ("none", True)])
def test_a_demand_for_a_call_is_sent_if_reasoning_is_off(effort: str | None, sent: bool) -> None:
    levels = {level: {"thinking": level != "none"} for level in ("none", "high")}
    quirks = Quirks(tool_choice_while_thinking=False, effort=(Effort(levels=levels),))
    provider, notices = Provider(name="p", quirks=quirks), Notices()
    request = ask(tools=CLOCK, tool_choice="required", reasoning_effort=effort)
    assert ("tool_choice" in RequestAdapter(provider, request, notify=notices).body) is sent
    assert notices == ([] if sent else [FieldDropped(field="tool_choice", asked="tool_choice")])
    raw = ask(tools=CLOCK, tool_choice="required", params={"thinking": False})
    assert "tool_choice" in RequestAdapter(provider, raw).body


def test_a_body_has_one_token_limit() -> None:
    for raw, limits in ((5, (None, 5)), (None, (9, None))):
        body = RequestAdapter(MINE, ask(max_tokens=9, params={"max_completion_tokens": raw})).body
        assert (body.get("max_tokens"), body.get("max_completion_tokens")) == limits


# --- whole requests ----------------------------------------------------------------------------------------


def refuses(field: str, words: str, status: int = 400) -> Any:
    """Answers with the error while the field is sent, else with text."""

    def step(asked: Asked) -> Answer:
        if field not in asked.body:
            return Answer(answer("Hi", " there"))
        error = {"error": {"message": words, "type": "invalid_request_error", "param": None, "code": None}}
        return Answer([json.dumps(error).encode()], status, {"content-type": "application/json"})

    return step


def chat(server: Scripted, request: Request, path: Path | None = None, **options: Any) -> list[Any]:
    provider = Provider(name="mine", base_url=server.url, **options.pop("provider", {}))
    with Client(cache=UnsupportedFieldCache(path) if path else None) as client:
        return list(client.chat(provider, request, **options))


def text(events: Any) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


@pytest.mark.parametrize("status", [400, 500, 200])
def test_a_refused_field_costs_one_more_request_and_only_once(
    server: Scripted, path: Path, status: int
) -> None:
    words = "stream_options: Extra inputs are not permitted"
    server.will(refuses("stream_options", words, status))
    notices = Notices()
    events = chat(server, ask(), path, notify=notices)
    assert text(events) == "Hi there"
    assert isinstance(events[-1], Finished)
    assert events[-1].verdict is Verdict.COMPLETE
    assert ["stream_options" in asked.body for asked in server.asked] == [True, False]
    assert text(chat(server, ask(), path, notify=notices)) == "Hi there"
    assert ["stream_options" in asked.body for asked in server.asked] == [True, False, False]
    assert notices == [FieldDropped(field="stream_options", words=words, lasting=True)]


def test_an_answer_that_has_begun_is_not_requested_again(server: Scripted) -> None:
    failed = {"error": {"message": "Unknown parameter: 'stream_options'.", "code": 400}}
    server.will(sse(delta("Hi"), failed))
    notices = Notices()
    assert text(chat(server, ask(), notify=notices)) == "Hi"
    assert (len(server.asked), notices) == (1, [])


def test_a_provider_that_always_streams_gets_the_accept_header_of_a_stream(server: Scripted) -> None:
    server.will(answer("Hi"))
    chat(server, ask(stream=False), provider={"quirks": Quirks(always_stream=True)})
    assert server.asked[0].headers["accept"] == "text/event-stream"
    assert server.asked[0].body["stream"] is True
