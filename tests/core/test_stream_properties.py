"""Properties of every stream: any split, any cut, any JSON."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire import DONE, Read, body, chunks, delta, dumps, joined, message, read

from provider_core.errors import ConnectionLostError, CoreError
from provider_core.redaction import printable, redact
from provider_core.stream import Decoder
from provider_core.stream.failures import ErrorReader
from provider_core.types import Verdict

SETTINGS = settings(max_examples=150)

PIECES = st.sampled_from(
    ["Hello", " ", "\n\n", "<", "<think>", "</think>", "<thi", "nk>", "`", "Grüße", "🙂", '"', "\\", "[THINK]",
     "[/THINK]", "<|channel|>", "analysis", "<|message|>", "<|end|>", "final", "\u2028", "{", "###", "Thinking"]
)  # fmt: skip
PLAIN = ["content", "reasoning_content", "reasoning"]
FIELDS = st.sampled_from([*PLAIN, "refusal"])
CALLS = st.fixed_dictionaries(
    {
        "function": st.fixed_dictionaries(
            {"arguments": st.sampled_from(["", "{}", '{"x"', ":1}"])}, optional={"name": st.just("f")}
        )
    },
    optional={"index": st.integers(0, 2), "id": st.sampled_from(["", "a", "b"])},
)
DELTAS = st.builds(
    lambda fields, calls: delta(**fields, **({"tool_calls": calls} if calls else {})),
    st.dictionaries(FIELDS, PIECES, min_size=1, max_size=2),
    st.lists(CALLS, max_size=2),
)
ENDS = st.sampled_from(["stop", "length", "tool_calls", "content_filter", "error", None])
NOISE = st.sampled_from(
    [b": ping\n\n", b"event: x\nid: 1\n\n", b"data:\n\n", b"data: oops\n\n", b"retry: 3\n", b"\n"]
)
USAGE = st.just({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}})
STREAMS = st.builds(
    lambda parts, end, done: body(*parts, delta(finish=end), done=done),
    st.lists(DELTAS | NOISE | USAGE, max_size=12),
    ENDS,
    st.booleans(),
)
HALF_TAG = re.compile(r"(?:<[^>\n]*>?|\[/?[A-Z]*\]?|#{1,3}[A-Za-z]*)[ \t]*\Z")
"""What a cut leaves of text that might have gone on as a tag."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    ["choices", "delta", "message", "content", "error", "usage", "tool_calls", "function", "arguments", "index", "code",
     "finish_reason", "text", "detail", "errors", "base_resp", "metadata", "raw", "details", "type", "object", "status",
     "reasoning", "reasoning_details", "candidates", "output", "response", "x_groq", "model", "loc", "title", "data"]
)  # fmt: skip
SHAPED = st.recursive(
    JSON | PIECES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


def same(one: Read, other: Read) -> None:
    """Compare all events; errors by type and words."""
    assert one.events[:-1] == other.events[:-1]
    for name in ("verdict", "reason", "raw_reason", "model"):
        assert getattr(one.finished, name) == getattr(other.finished, name)
    assert repr(one.finished.error) == repr(other.finished.error)


@SETTINGS
@given(STREAMS, st.data())
def test_any_split_gives_the_same_events(data: bytes, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=12)))
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    decoder = Decoder(provider="acme")
    reads = [*map(decoder.feed, pieces), decoder.close()]
    for events in reads:  # those of one read are joined already: each event costs time in all that follows
        assert joined(events) == tuple(events)
    same(Read(joined([event for events in reads for event in events])), read(data))


@SETTINGS
@given(STREAMS, st.integers(1, 9), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_small_reads_and_other_line_ends_give_the_same_events(data: bytes, size: int, end: bytes) -> None:
    same(read(data.replace(b"\n", end), size=size), read(data))


@SETTINGS
@given(st.lists(DELTAS, min_size=1, max_size=8), st.data())
def test_a_cut_before_the_end_is_never_complete_and_shows_a_beginning(
    parts: list[Any], draw: st.DataObject
) -> None:
    for part in parts:
        part["choices"][0]["delta"].pop("tool_calls", None)
    open_ended = body(*parts, done=False)
    whole = read(open_ended + body(delta(finish="stop")))
    cut = open_ended[: draw.draw(st.integers(0, len(open_ended)))]
    for error in (None, ConnectionLostError("reset")):
        result = read(cut, error=error)
        assert result.verdict in (Verdict.PARTIAL, Verdict.FAILED)
        assert result.finished.error is not None
        assert whole.text.startswith(HALF_TAG.sub("", result.text))
        assert whole.reasoning.startswith(HALF_TAG.sub("", result.reasoning).rstrip("\n "))


@SETTINGS
@given(SHAPED)
def test_any_json_gives_events_or_one_clean_error(value: Any) -> None:
    raw = json.dumps(value).encode()
    for data in (
        raw,
        raw[:-1],
        raw + b"\n" + raw,
        b"data: " + raw + b"\n\n",
        b"event: error\ndata: " + raw + b"\n\n",
    ):
        result = read(data)
        assert result.finished.error is None or isinstance(result.finished.error, CoreError)
    chunks(
        value, {"choices": [value]}, {"choices": [{"delta": value, "message": value, "finish_reason": value}]}
    )
    chunks({"choices": [{"delta": {"tool_calls": value, "content": value}}], "usage": value, "error": value})
    error = ErrorReader(None).from_response(400, raw, {"retry-after": "x"})
    assert "\n" not in error.message
    assert len(error.message) < 2200


@SETTINGS
@given(st.binary(max_size=200))
def test_any_bytes_give_events_or_one_clean_error(data: bytes) -> None:
    for prefix in (b"", b"data: ", b"{", b"<", b'{"choices":[{"delta":{"content":"'):
        same(read(prefix + data, size=3), read(prefix + data))
        shown = ErrorReader("acme").from_response(500, prefix + data).message
        assert shown == printable(shown, 3000)
        assert "\n" not in shown


@SETTINGS
@given(st.lists(st.tuples(st.sampled_from(PLAIN), st.text(max_size=6)), min_size=1, max_size=30))
def test_chunks_of_a_known_shape_are_read_as_if_they_were_parsed(parts: list[tuple[str, str]]) -> None:
    frames = [delta(**{field: text}) for field, text in parts]
    unknown = [delta(**{field: text}, unknown=1) for field, text in parts]  # every frame is parsed
    spaced = [
        b"data: %s\n\n" % json.dumps(frame).encode() for frame in frames
    ]  # other separators and escapes
    differing = [{**frame, "n": number} for number, frame in enumerate(frames)]
    padded = [{**frame, "obfuscation": "x" * number} for number, frame in enumerate(frames)]
    end = delta(finish="stop")
    for variant in (frames, spaced, differing, padded):
        assert chunks(*variant, end).said == chunks(*unknown, end).said


@SETTINGS
@given(st.text(max_size=300), st.text(min_size=8, max_size=60), st.integers(0, 300))
def test_no_secret_survives_redaction(text: str, secret: str, at: int) -> None:
    secret = secret.strip()
    if len(secret) < 8 or secret in "[redacted]":
        return
    for echo in (secret, json.dumps(secret)[1:-1]):
        assert secret not in redact(text[:at] + echo + text[at:], (secret,))
    assert printable(text, 50) == printable(printable(text, 50), 50)


@pytest.mark.parametrize(
    "opener", ["[", *(f'{{"{key}":' for key in ("a", "error", "innererror", "response", "message")),
               *(f'{{"{key}":[' for key in ("choices", "content"))]
)  # fmt: skip
def test_json_nested_without_end_is_not_an_internal_error(opener: str) -> None:
    closer = opener[::-1].translate(str.maketrans("[{", "]}", '":abcdefghijklmnopqrstuvwxyz'))
    stop = body(delta("Hi"), delta(finish="stop"))
    for depth in (100, 900, 100_000):
        for inner in ('"x"', ""):
            raw = (opener * depth + inner + closer * depth).encode()
            read(raw)
            read(b"data: " + raw + b"\n\n" + stop)
            read(
                body(delta("Hi"), done=False)
                + b'data: {"choices":[{"delta":{"content":'
                + raw
                + b"}}]}\n\n"
                + DONE
            )
            ErrorReader("acme").from_response(500, raw)


@pytest.mark.parametrize("number", ["1" * 5000, "1e999", "-1e999", "NaN", "Infinity"])
def test_numbers_beyond_all_bounds_are_not_an_internal_error(number: str) -> None:
    raw = f'{{"choices":[{{"index":{number},"delta":{{"content":{number},"tool_calls":[{{"index":{number}}}]}}}}],'
    raw += f'"usage":{{"prompt_tokens":{number}}},"created":{number}}}'
    read(raw.encode())
    read(b"data: " + raw.encode() + b"\n\n" + DONE)
    error = f'{{"error":{{"code":{number},"message":{number},"status":{number}}}}}'
    ErrorReader("acme").from_response(400, error.encode())


def test_a_cut_json_reply_is_never_complete() -> None:
    data = dumps({**message("Hello"), "usage": {"prompt_tokens": 1}})
    for at in range(len(data)):
        assert read(data[:at]).verdict is Verdict.FAILED
        assert read(data[:at], error=ConnectionLostError("reset")).verdict is Verdict.PARTIAL
