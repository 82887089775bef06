"""From bytes to frames, section 1 of the list of what servers really send; and bodies that never end."""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from scripted import Scripted, answer
from wire import DONE, body, chunks, delta, dumps, message, read

from provider_core import connect, limits
from provider_core.errors import ProtocolError
from provider_core.stream import Decoder, Framer, TooLongError
from provider_core.types import Finished, Image, Provider, Sources, Text, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STOP = delta(finish="stop")
HELLO = body(delta(role="assistant", content=""), delta("Hel"), delta("lo"), STOP)
HALF = body(delta("Hel"), done=False)
NOISE = b": OPENROUTER PROCESSING\n\n:\n\n: ping - 2026-01-01\n\n"
LINES = b"".join(dumps(value) + b"\n" for value in (delta("Hel"), delta("lo"), STOP))
REPLY = dumps(message("Hello"))
BARE = {"choices": [{"message": {"content": "Hello"}}]}
PRETTY = b'data: {\ndata:   "choices": [\ndata:   {"delta": {"content": "Hello"}}]\ndata: }\n\n'
LONG_NUMBER = b'{"created":%s,"choices":[{"delta":{"content":"Hello"}}]}' % (b"7" * 5000)
# fmt: off
HELLOS = {
    "an ordinary stream": HELLO,
    "CR LF": HELLO.replace(b"\n", b"\r\n"),
    "CR": HELLO.replace(b"\n", b"\r"),
    "no space after the colon": HELLO.replace(b"data: ", b"data:"),
    "blanks before the field name": HELLO.replace(b"data:", b" data:"),
    "comments": NOISE * 20 + HELLO.replace(b"\n\n", b"\n\n" + NOISE),
    "blank lines before JSON": b"\n\n \n\r\n" + REPLY,
    "no [DONE] after a finish reason": HELLO.removesuffix(DONE),
    "text after [DONE]": HELLO + body(delta(" again"), {"error": {"message": "no"}}),
    "a byte order mark": b"\xef\xbb\xbf" + HELLO,
    "a byte order mark before JSON": b"\xef\xbb\xbf" + REPLY,
    "an event of several lines": PRETTY + body(STOP),
    "no blank lines between events": HELLO.replace(b"\n\n", b"\n"),
    "event names that mean nothing": HELLO.replace(b"data:", b"event: message\ndata:"),
    "ids, retries and unknown fields": HELLO.replace(b"data:", b"id: 7\nretry: 10\nfoo: bar\nnonsense\ndata:"),
    "empty data": b"data:\n\ndata: \n\ndata\n\n" + HELLO,
    "a frame of other words": body(delta("Hel"), b"data: oops\n\n", delta("lo"), STOP),
    "a broken frame after the finish reason": body(delta("Hello"), STOP, b'data: {"usage": oops\n\n'),
    "a number of 5000 digits": body(b"data: " + LONG_NUMBER + b"\n\n", STOP),
    "a number of 5000 digits in a reply": LONG_NUMBER.replace(b"delta", b"message"),
    "JSON lines": LINES,
    "a JSON reply": REPLY,
    "a JSON reply with a line end": REPLY + b"\n",
    "an indented JSON reply": json.dumps(message("Hello"), indent=2).encode(),
    "a reply in data": dumps({"data": message("Hello")}),
    "a reply in result": dumps({"result": message("Hello"), "success": True}),
    "a reply in a list": dumps([message("Hello")]),
    "frames framed twice": HELLO.replace(b"data: ", b"data: data: "),
    "no line end after the last event": body(delta("Hello"), done=False) + b"data: " + dumps(STOP),
    "several values in one event": b"data: " + b"".join(map(dumps, (delta("Hel"), delta("lo"), STOP))) + b"[DONE]\n\n",
    **{f"[DONE] as {mark!r}": body(delta("Hello"), done=False) + mark for mark in
       (b"data: [DONE]", b"data:[DONE]", b"data: [DONE] \n\n", b"data: [DONE]\n", b"[DONE]")},
    **{f"reply {number}, {glue!r}, then {name}": dumps(reply) + glue + rest
       for number, reply in enumerate((message("Hello"), BARE, {**BARE, "usage": {"prompt_tokens": 1}}, [BARE]))
       for glue in (b"", b"\n", b"\n\n")
       for name, rest in (("a stream", HELLO), ("a chunk", dumps(delta("Hello"))))},
}
# fmt: on


@pytest.mark.parametrize("form", HELLOS)
def test_every_form_of_a_stream_or_a_reply_is_read_however_it_is_cut(form: str) -> None:
    for size in (0, 1, 2, 3):
        result = read(HELLOS[form], size=size)
        assert (result.text, result.verdict) == ("Hello", Verdict.COMPLETE), size


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "", "text/html", "text/event-stream"])
def test_the_content_type_is_ignored(kind: str) -> None:
    assert read(HELLO, content_type=kind).text == read(REPLY, content_type=kind).text == "Hello"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("Grüße, 世界 🙂".encode(), "Grüße, 世界 🙂"), (b"H\xffllo", "H\ufffdllo"),
        (rb"a\ud83d\ude42b", "a\U0001f642b"),
        *[(each.encode(), each) for each in ("a\u2028b\u2029c\u0085d", "a\x0be\x0cf\x1cg\x1dh\x1ei")],
    ],
)  # fmt: skip
def test_any_characters_may_be_cut_anywhere(raw: bytes, text: str) -> None:
    data = b'data: {"choices":[{"delta":{"content":"%s"},"finish_reason":"stop"}]}\n\n' % raw
    for size in (0, 1, 2, 3, 5):
        assert read(data, size=size).text == text


def test_half_a_surrogate_pair_joins_the_other_half_of_the_next_chunk_or_is_replaced() -> None:
    first, second = (
        b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n' % half for half in (rb"a\ud83d", rb"\ude42b")
    )
    for size in (0, 1):
        assert read(first + second + body(STOP), size=size).text == "a\U0001f642b"
    assert read(first + body(delta("b"), STOP)).text == "a\ufffdb"
    assert read(first + body(STOP)).text == "a\ufffd"


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        (b'{"error":{"message":"worker died"}}', "worker died"),
        (b'event: error\ndata: {"message":"worker died","code":"x"}\n\n', "worker died"),
        (b"event: error\n\n", "acme reported an internal error"),
        (b'event: error\ndata: "slot lost"\n\n', "slot lost"),
        (b'error: {"code":500,"message":"slot lost","type":"server_error"}\n\n', "slot lost"),
        (b'data: {"error": "could not load "gpt" at all"}\n\n',
         'acme reported an internal error: could not load "gpt" at all'),
    ],
)  # fmt: skip
def test_an_error_after_some_frames_is_a_failure(rest: bytes, words: str) -> None:
    result = read(HALF + rest)
    assert (result.text, result.verdict) == ("Hel", Verdict.FAILED)
    assert words in result.error.message


def test_nothing_is_read_after_the_end_mark_or_a_json_reply() -> None:
    decoder = Decoder()
    assert decoder.feed(HELLO) == [Text(text="Hello")]
    assert decoder.done
    assert decoder.feed(body(delta(" more"))) == []
    reply = Decoder()
    reply.feed(REPLY + b"\n")
    assert reply.done
    lines = Decoder()
    lines.feed(dumps({"message": {"content": "Hel"}, "done": False}) + b"\n")
    assert not lines.done


def test_json_lines_are_returned_as_they_arrive() -> None:
    assert Decoder().feed(dumps(delta("Hel")) + b"\n{") == [Text(text="Hel")]
    assert read(b'{"oops\n' + LINES).verdict is Verdict.PARTIAL


@pytest.mark.parametrize("finish", ["stop", "length"])
def test_an_answer_with_an_unreadable_chunk_is_partial(finish: str) -> None:
    key = "sk-test-0123456789abcdef"
    broken = f'data: {{"choices":\x1b {key}\n\n'.encode()
    result = chunks(delta("Hel"), broken, delta("o"), delta(finish=finish), secrets=(key,))
    assert (result.text, result.verdict) == ("Helo", Verdict.PARTIAL)
    assert isinstance(result.error, ProtocolError)
    assert result.error.message == (
        'acme sent data that is not valid ({"choices": [redacted]); the answer is incomplete'
    )


def test_a_line_of_many_megabytes_is_read_in_linear_time() -> None:
    def seconds(megabytes: int) -> float:
        data = body(delta("x" * (megabytes << 20)), STOP)
        start = time.thread_time()
        assert len(read(data, size=1024).text) == megabytes << 20
        return time.thread_time() - start

    seconds(1)
    assert seconds(32) < 32 * max(seconds(4), 0.02)


@pytest.mark.parametrize("size", [10, 1000])
def test_the_limit_holds_for_lines_events_and_documents(size: int) -> None:
    long = b"x" * 300
    event = b"data: {\n" + (b"data: " + long[:50] + b"\n") * 6
    for data in (b"data: " + long + b"\n\n", event, b'{\n"a":"' + long):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        with pytest.raises(TooLongError):
            list(map(Framer(limit=200).feed, pieces))


# --- limits ----------------------------------------------------------------------------------------------

LONG = "x" * 60_000
PADDED = b": keep-alive %s\n\n" % (b"x" * 99)


def endless(*values: Any, begin: bytes = b"") -> Callable[[], Iterator[bytes]]:
    """A body that repeats the values, which may be functions of a number."""

    def made() -> Iterator[bytes]:
        yield begin
        for number in itertools.count():
            yield body(*(each(number) if callable(each) else each for each in values), done=False)

    return made


def raw(piece: bytes, begin: bytes = b"") -> Callable[[], Iterator[bytes]]:
    return lambda: itertools.chain([begin], itertools.repeat(piece))


def call(number: int) -> dict[str, Any]:
    return delta(
        tool_calls=[{"index": number, "id": f"c{number}", "function": {"name": "f", "arguments": "{}"}}]
    )


def arguments(text: str) -> dict[str, Any]:
    return delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": text}}])


def other(index: int) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": {"content": LONG}}]}


FLOODS: dict[str, tuple[Callable[[], Iterator[bytes]], str]] = {
    "blanks in thinking tags": (
        endless(delta(" \n" * 99), begin=body(delta("<think>"), done=False)),
        "blank",
    ),
    "zero-width text": (endless(delta("\u200b\ufeff\n" * 99)), "16,384 blank characters in a row"),
    "blank arguments": (endless(arguments("\n" * 99), begin=body(arguments('{"a": '), done=False)), "blank"),
    "arguments": (endless(arguments(LONG)), "32 MiB of tool calls"),
    "calls": (endless(call), "more than 1,000 tool calls"),
    "another choice": (endless(delta("hi"), other(1)), "32 MiB"),
    "many choices": (endless(delta("hi"), lambda number: other(number % 90 + 1)), "32 MiB"),
    "log probabilities": (
        endless(
            {"choices": [{"index": 0, "delta": {"content": "x"}, "logprobs": {"content": [{"token": LONG}]}}]}
        ),
        "32 MiB",
    ),
    "sealed reasoning": (
        endless(lambda number: delta(reasoning_details=[{"index": number, "data": f"{number}{LONG}"}])),
        "32 MiB",
    ),
    "further data": (endless(lambda number: delta(extra_content={str(number): LONG})), "32 MiB"),
    "comments": (raw(PADDED * 500), "16 MiB that contain nothing"),
    "pings": (raw(b'event: ping\ndata: {"pad": "%s"}\n\n' % (b"x" * 9_999) * 9), "nothing of an answer"),
    "empty deltas": (endless(delta(pad=LONG)), "nothing of an answer"),
    "blanks before an answer": (raw(b" \r\n" * 20_000), "nothing of an answer"),
    "a web page": (raw(LONG.encode(), b"<html>"), "nothing of an answer"),
    "one line": (raw(LONG.encode(), b"data: "), "a line of more than 64 MiB"),
    "a reply": (raw(LONG.encode(), b'{"choices": [{"message": {"content": "'), "a line of more than 64 MiB"),
    "an event of short lines": (raw(b"data: x\n" * 8000), "a line of more than 64 MiB"),
    "an event of empty lines": (raw(b"data:\n" * 8000, b"data: {\n"), "a line of more than 64 MiB"),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_an_answer_without_end_is_broken_off(flood: str) -> None:
    pieces, words = FLOODS[flood]
    decoder = Decoder(provider="lab")
    size = 0
    for piece in pieces():
        decoder.feed(piece)
        size += len(piece)
        if decoder.done:
            break
        assert size < 70 << 20
    finished = decoder.close()[-1]
    assert isinstance(finished, Finished)
    assert finished.verdict is Verdict.FAILED
    assert isinstance(finished.error, ProtocolError)
    assert finished.error.message.startswith("lab sent ")
    assert words in finished.error.message


def test_keepalives_between_pieces_do_not_add_up() -> None:
    decoder = Decoder()
    comments = PADDED * 60_000
    for piece in [comments, body(delta("x"), done=False), comments] * 4:
        decoder.feed(piece)
    assert not decoder.done


def test_reasoning_that_repeats_all_earlier_one_is_counted_once() -> None:
    text = "".join(f"Thought {number}. " for number in range(1500))
    pieces = [
        delta(reasoning_details=[{"type": "reasoning.text", "index": 0, "text": text[:end]}])
        for end in range(15, len(text), 15)
    ]
    assert sum(len(str(piece)) for piece in pieces) < limits.BESIDES_TEXT
    decoder = Decoder()
    for piece in pieces * 3:
        decoder.feed(body(piece, done=False))
    assert not decoder.done


@pytest.mark.parametrize("together", [True, False])
def test_text_beyond_the_limit_of_characters_is_an_error(together: bool) -> None:
    pieces = [delta("12345"), delta("678"), delta("9abc")]
    decoder = Decoder(provider="lab", max_characters=10)
    reads = [body(*pieces)] if together else [body(piece, done=False) for piece in pieces]
    events = [event for read in reads for event in decoder.feed(read)] + decoder.close()
    assert "".join(event.text for event in events if isinstance(event, Text)) == "123456789a"
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.verdict is Verdict.FAILED
    assert finished.error is not None
    assert finished.error.message == "lab sent more than 10 characters of text"


def test_words_after_the_limit_of_characters_are_not_the_reason_of_the_failure() -> None:
    decoder = Decoder(provider="lab", max_characters=3)
    decoder.feed(body(delta("1234"), b"data: words\n\n", {"message": "only words"}, done=False))
    finished = decoder.close()[-1]
    assert isinstance(finished, Finished)
    assert str(finished.error) == "lab sent more than 3 characters of text"


def test_an_answer_of_as_many_characters_as_allowed_is_complete() -> None:
    decoder = Decoder(max_characters=10)
    events = decoder.feed(body(delta("1234567890"), delta(finish="stop"))) + decoder.close()
    assert events[-1].verdict is Verdict.COMPLETE  # type: ignore[union-attr]
    assert chunks(delta("1234567890"), delta(finish="stop")).text == "1234567890"


def test_a_library_call_can_limit_the_answer(server: Scripted) -> None:
    server.will(answer("12345", "67890"))
    with connect(Provider(name="lab", base_url=server.url, key_required=False), "m") as model:
        with pytest.raises(ProtocolError, match="more than 7 characters of text"):
            model.conversation().ask("hi", max_characters=7)
        assert model.conversation().ask("hi").text == "1234567890"


def test_images_and_sources_beyond_the_limit_are_omitted() -> None:
    urls = [f"https://host.test/{number}" for number in range(limits.SOURCES + 5)]
    events = chunks({**delta("x", images=urls), "citations": urls}, delta(finish="stop")).events
    (sources,) = [event.sources for event in events if isinstance(event, Sources)]
    assert (len(sources), sources[-1].url) == (limits.SOURCES, urls[limits.SOURCES - 1])
    assert sum(isinstance(event, Image) for event in events) == limits.IMAGES


def test_images_beyond_the_limit_are_reported_as_too_large() -> None:
    sent = [delta(images=[f"data:image/png;base64,{letter * (40 << 20)}"]) for letter in "AB"]
    images = [event for event in chunks(*sent, delta(finish="stop")).events if isinstance(event, Image)]
    assert [(image.size, image.broken) for image in images] == [(30 << 20, ""), (30 << 20, "too large")]
    assert images[1].url == ""
