"""From bytes to frames: section 1 of the list of what servers really send."""

from __future__ import annotations

import json
import time

import pytest
from wire import DONE, body, chunks, delta, dumps, message, read

from provider_core.errors import ProtocolError
from provider_core.stream import Decoder, Framer, TooLongError
from provider_core.types import Text, Verdict

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
        start = time.perf_counter()
        assert len(read(data, size=1024).text) == megabytes << 20
        return time.perf_counter() - start

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
