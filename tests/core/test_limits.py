"""Bodies that never end, or that exceed what an answer may hold, are broken off with an error that says why."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from scripted import Scripted, answer
from wire import body, chunks, delta

from provider_core import connect, limits
from provider_core.errors import ProtocolError
from provider_core.stream import Decoder
from provider_core.types import Finished, Image, Provider, Sources, Text, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
