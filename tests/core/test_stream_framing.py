"""Bytes to frames: what section 1 of the wire's quirks lists."""

from __future__ import annotations

import time

import pytest
from wire import DONE, body, chunks, delta, dumps, message, read

from provider_core.errors import ProtocolError
from provider_core.stream import Decoder
from provider_core.stream.framing import Framer, TooLongError
from provider_core.types import Text, Verdict

HELLO = body(delta(role="assistant", content=""), delta("Hel"), delta("lo"), delta(finish="stop"))


def ends(text: str = "Hello", **about: object) -> tuple[str, Verdict]:
    return text, Verdict.COMPLETE


def outcome(data: bytes, **about: object) -> tuple[str, Verdict]:
    result = read(data, **about)
    return result.text, result.verdict


@pytest.mark.parametrize("end", [b"\r\n", b"\r", b"\n"])
@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_lines_end_in_cr_lf_or_both_also_across_reads(end: bytes, size: int) -> None:  # quirk 1
    assert outcome(HELLO.replace(b"\n", end), size=size) == ends()


def test_no_space_is_needed_after_the_colon() -> None:  # quirk 2
    assert outcome(HELLO.replace(b"data: ", b"data:")) == ends()


def test_blanks_before_the_field_name_are_tolerated() -> None:  # quirk 3
    assert outcome(HELLO.replace(b"data:", b" data:")) == ends()


def test_comments_are_skipped() -> None:  # quirk 4
    noise = b": OPENROUTER PROCESSING\n\n:\n\n: ping - 2026-01-01\n\n"
    assert outcome(noise * 20 + HELLO.replace(b"\n\n", b"\n\n" + noise)) == ends()


def test_blank_lines_before_json_are_skipped() -> None:  # quirk 5
    for size in (0, 1):
        assert outcome(b"\n\n \n\r\n" + dumps(message("Hello")), size=size) == ends()


def test_done_may_be_missing_after_a_finish_reason() -> None:  # quirk 6
    assert outcome(HELLO.removesuffix(DONE)) == ends()


@pytest.mark.parametrize(
    "mark", [b"data: [DONE]", b"data:[DONE]", b"data: [DONE] \n\n", b"data: [DONE]\n", b"[DONE]"]
)
def test_done_ends_a_stream_in_any_decoration(mark: bytes) -> None:  # quirks 7 and 8
    decoder = Decoder()
    decoder.feed(body(delta("Hello"), done=False) + mark)
    finished = decoder.close()[-1]
    assert finished.verdict is Verdict.COMPLETE


def test_what_follows_done_is_ignored() -> None:  # quirk 9
    decoder = Decoder()
    events = decoder.feed(HELLO + body(delta(" again"), {"error": {"message": "no"}}))
    assert decoder.done
    assert decoder.feed(body(delta(" more"))) == []
    assert events == [Text(text="Hello")]
    assert decoder.close()[-1].verdict is Verdict.COMPLETE


def test_a_json_reply_followed_by_frames_counts_once() -> None:  # quirk 10
    bare = {"choices": [{"message": {"content": "Hello"}}]}
    for reply in (message("Hello"), bare, {**bare, "usage": {"prompt_tokens": 1}}, [bare]):
        for glue in (b"", b"\n", b"\n\n"):
            for size in (0, 1):
                assert outcome(dumps(reply) + glue + HELLO, size=size) == ends()
                assert outcome(dumps(reply) + glue + dumps(delta("Hello")), size=size) == ends()


def test_nothing_is_waited_for_behind_a_json_reply() -> None:  # quirk 10
    decoder = Decoder()
    decoder.feed(dumps(message("Hello")) + b"\n")
    assert decoder.done
    lines = Decoder()
    lines.feed(dumps({"message": {"content": "Hel"}, "done": False}) + b"\n")
    assert not lines.done


def test_frames_followed_by_a_json_error_fail() -> None:  # quirk 10
    result = read(body(delta("Hel"), done=False) + b'{"error":{"message":"worker died"}}')
    assert (result.text, result.verdict) == ("Hel", Verdict.FAILED)
    assert "worker died" in result.error.message


def test_a_byte_order_mark_is_dropped_once() -> None:  # quirk 11
    for size in (0, 1):
        assert outcome(b"\xef\xbb\xbf" + HELLO, size=size) == ends()
        assert outcome(b"\xef\xbb\xbf" + dumps(message("Hello")), size=size) == ends()


def test_data_over_several_lines_is_one_event() -> None:  # quirk 12
    pretty = b'data: {\ndata:   "choices": [\ndata:   {"delta": {"content": "Hello"}}]\ndata: }\n\n'
    assert outcome(pretty + body(delta(finish="stop"))) == ends()


def test_events_without_blank_lines_between_them_are_parted() -> None:
    assert outcome(HELLO.replace(b"\n\n", b"\n")) == ends()


def test_reads_cut_events_anywhere() -> None:  # quirk 13
    for size in range(1, 40):
        assert outcome(HELLO, size=size) == ends()


def test_characters_may_be_cut_in_their_bytes() -> None:  # quirk 14
    text = "Grüße, 世界 🙂"
    for size in (1, 2, 3, 5):
        assert outcome(body(delta(text), delta(finish="stop")), size=size) == ends(text)


def test_bytes_that_are_no_utf8_become_replacement_characters() -> None:  # quirk 14
    assert outcome(HELLO.replace(b"Hel", b"H\xffl")) == ends("H\ufffdllo")


def test_only_cr_and_lf_end_a_line() -> None:  # quirk 15
    text = "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\x1dh\x1ei"
    raw = text.encode()
    frame = b'data: {"choices":[{"delta":{"content":"%s"},"finish_reason":"stop"}]}\n\n' % raw
    for size in (0, 1):
        assert outcome(frame, size=size) == ends(text)


def test_half_characters_in_two_escapes_are_joined() -> None:
    frames = [
        b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n' % half for half in (rb"a\ud83d", rb"\ude42b")
    ]
    for size in (0, 1):
        assert outcome(b"".join(frames) + body(delta(finish="stop")), size=size) == ends("a\U0001f642b")


def test_half_a_character_alone_is_replaced() -> None:
    frame = rb'data: {"choices":[{"delta":{"content":"a\ud83d"}}]}' + b"\n\n"
    assert outcome(frame + body(delta("b"), delta(finish="stop"))) == ends("a\ufffdb")
    assert outcome(frame + body(delta(finish="stop"))) == ends("a\ufffd")


def test_a_line_of_many_megabytes_is_read_in_linear_time() -> None:  # quirk 16
    def seconds(megabytes: int) -> float:
        data = body(delta("x" * (megabytes << 20)), delta(finish="stop"))
        start = time.perf_counter()
        result = read(data, size=1024)
        assert len(result.text) == megabytes << 20
        return time.perf_counter() - start

    seconds(1)
    assert seconds(32) < 32 * max(seconds(4), 0.02)


def test_a_line_beyond_the_limit_is_refused_in_one_sentence() -> None:  # quirk 16
    decoder = Decoder(provider="acme")
    piece = b"x" * (1 << 24)
    decoder.feed(body(delta("Hel"), done=False) + b'data: {"a":"')
    for _ in range(4):
        decoder.feed(piece)
    assert decoder.done
    finished = decoder.close()[-1]
    assert finished.verdict is Verdict.FAILED
    assert isinstance(finished.error, ProtocolError)
    assert "64 MiB" in finished.error.message


@pytest.mark.parametrize("size", [10, 1000])
def test_the_limit_holds_for_lines_events_and_documents(size: int) -> None:
    long = b"x" * 300
    for data in (
        b"data: " + long + b"\n\n",
        b"data: {\n" + (b"data: " + long[:50] + b"\n") * 6,
        b'{\n"a":"' + long,
    ):
        framer = Framer(limit=200)
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        with pytest.raises(TooLongError):
            list(map(framer.feed, pieces))


def test_an_event_called_error_is_a_failure_without_an_error_key() -> None:  # quirk 17
    result = read(
        body(delta("Hel"), done=False) + b'event: error\ndata: {"message":"worker died","code":"x"}\n\n'
    )
    assert result.verdict is Verdict.FAILED
    assert "worker died" in result.error.message


def test_an_event_called_error_without_data_is_a_failure() -> None:  # quirk 17
    assert read(body(delta("Hel"), done=False) + b"event: error\n\n").verdict is Verdict.FAILED


def test_event_names_that_mean_nothing_are_skipped() -> None:  # quirk 17
    assert outcome(HELLO.replace(b"data:", b"event: message\ndata:")) == ends()


def test_ids_retries_and_unknown_fields_are_skipped() -> None:  # quirk 18
    assert outcome(HELLO.replace(b"data:", b"id: 7\nretry: 10\nfoo: bar\nnonsense\ndata:")) == ends()


def test_empty_data_is_a_sign_of_life() -> None:  # quirk 19
    assert outcome(b"data:\n\ndata: \n\ndata\n\n" + HELLO) == ends()


def test_a_frame_that_is_no_json_is_skipped() -> None:  # quirk 20
    assert outcome(body(delta("Hel"), b"data: oops\n\n", delta("lo"), delta(finish="stop"))) == ends()


@pytest.mark.parametrize("finish", ["stop", "length"])
def test_a_chunk_that_cannot_be_read_leaves_an_answer_that_may_lack_some_of_it(
    finish: str,
) -> None:  # quirk 20
    key = "sk-test-0123456789abcdef"
    broken = f'data: {{"choices":\x1b {key}\n\n'.encode()
    result = read(body(delta("Hel"), broken, delta("o"), delta(finish=finish)), secrets=(key,))
    assert (result.text, result.verdict) == ("Helo", Verdict.PARTIAL)
    assert isinstance(result.error, ProtocolError)
    assert result.error.message == (
        'acme sent a piece that cannot be read ({"choices": [redacted]); the answer may lack some of it'
    )


def test_what_cannot_be_read_behind_the_finish_reason_was_no_text() -> None:  # quirk 20
    assert outcome(body(delta("Hello"), delta(finish="stop"), b'data: {"usage": oops\n\n')) == ends()


def test_a_number_of_any_length_is_read() -> None:
    digits = "7" * 5000
    chunk = f'{{"created":{digits},"choices":[{{"delta":{{"content":"Hello"}}}}]}}'.encode()
    assert outcome(body(b"data: " + chunk + b"\n\n", delta(finish="stop"))) == ends()
    assert outcome(chunk.replace(b"delta", b"message")) == ends()


def test_an_error_with_broken_quotes_is_told_in_its_own_words() -> None:  # quirk 20
    result = chunks(delta("Hel"), b'data: {"error": "could not load "gpt" at all"}\n\n', done=False)
    assert result.verdict is Verdict.FAILED
    assert result.error.message == 'acme failed: could not load "gpt" at all'


def test_json_lines_are_read_as_a_stream() -> None:  # quirk 21
    lines = b"".join(dumps(value) + b"\n" for value in (delta("Hel"), delta("lo"), delta(finish="stop")))
    for size in (0, 1):
        assert outcome(lines, size=size) == ends()
    decoder = Decoder()
    assert decoder.feed(dumps(delta("Hel")) + b"\n") == [Text(text="Hel")]


def test_json_lines_may_begin_with_a_bad_one() -> None:  # quirk 21
    lines = b'{"oops\n' + b"".join(dumps(value) + b"\n" for value in (delta("Hello"), delta(finish="stop")))
    assert outcome(lines) == ("Hello", Verdict.PARTIAL)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/json", "application/octet-stream", "", "text/html"]
)
def test_the_content_type_is_not_believed(kind: str) -> None:  # quirk 22
    assert outcome(HELLO, content_type=kind) == ends()
    assert outcome(dumps(message("Hello")), content_type="text/event-stream") == ends()


@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_reply_to_a_stream_request_is_read(indent: int | None) -> None:  # quirks 23 and 24
    import json

    data = json.dumps(message("Hello"), indent=indent).encode()
    for size in (0, 1):
        for tail in (b"", b"\n"):
            assert outcome(data + tail, size=size) == ends()


@pytest.mark.parametrize(
    "wrap", [lambda v: {"data": v}, lambda v: {"result": v, "success": True}, lambda v: [v]]
)
def test_a_reply_wrapped_once_more_is_read(wrap: object) -> None:
    assert outcome(dumps(wrap(message("Hello")))) == ends()


def test_frames_framed_twice_are_read() -> None:
    assert outcome(HELLO.replace(b"data: ", b"data: data: ")) == ends()


def test_the_error_field_of_old_llama_cpp_servers_is_an_error() -> None:
    result = read(
        body(delta("Hel"), done=False)
        + b'error: {"code":500,"message":"slot lost","type":"server_error"}\n\n'
    )
    assert result.verdict is Verdict.FAILED
    assert "slot lost" in result.error.message


def test_the_last_event_needs_no_line_end() -> None:  # quirk 7
    assert outcome(body(delta("Hello"), done=False) + b"data: " + dumps(delta(finish="stop"))) == ends()


def test_several_values_in_one_event_are_all_read() -> None:
    data = b"data: " + dumps(delta("Hel")) + dumps(delta("lo")) + dumps(delta(finish="stop")) + b"[DONE]\n\n"
    assert outcome(data) == ends()
