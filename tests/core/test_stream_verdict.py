"""What became of an answer: finish reasons, cuts, errors, and bodies that are not an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from wire import DONE, body, chunks, delta, dumps, message, read

from provider_core import errors
from provider_core.stream import Decoder
from provider_core.types import Finished, Verdict

STOP = delta(finish="stop")
LOST = errors.ConnectionLostError("connection reset", provider="acme", received=1)
COMPLETE, PARTIAL, FAILED, EMPTY = Verdict.COMPLETE, Verdict.PARTIAL, Verdict.FAILED, Verdict.EMPTY
KEY = "sk-test-0123456789abcdef"

REASONS = {
    "stop": [
        "stop", "eos", "eos_token", "end_turn", "stop_sequence", "end", "STOP", "complete", "COMPLETE", "unheard_of",
        "eosFound", "stopStringFound", "end_of_sequence", "FINISH_REASON_STOP", "REASON_STOP", "stop_criteria_met",
        "completed", "normal", "done", "128009",
    ],
    "length": [
        "length", "max_tokens", "MAX_TOKENS", "max_output_tokens", "max_new_tokens", "token_limit", "limit",
        "maxPredictedTokensReached", "REASON_MAX_LEN", "max-tokens",
    ],
    "other length": [
        "model_length", "model_context_window_exceeded", "contextLengthReached", "context_window_exceeded",
        "thinking_budget_exhausted", "budget", "ERROR_LIMIT",
    ],
    "content_filter": [
        "content_filter", "content_filtered", "sensitive", "SAFETY", "RECITATION", "PROHIBITED_CONTENT", "BLOCKLIST",
        "SPII", "refusal", "guardrail_intervened", "ERROR_TOXIC", "content-filter", "IMAGE_SAFETY", "moderation",
        "blocked", "policy_violation",
    ],
    "error": [
        "error", "network_error", "insufficient_system_resource", "abort", "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE", "pause_turn", "timeout", "TIMEOUT", "timed_out", "time_limit", "max_time", "cancelled",
        "canceled", "USER_CANCEL", "userStopped", "modelUnloaded", "aborted", "UNEXPECTED_TOOL_CALL", "preempt",
        "deadline_exceeded", "repetition", "incomplete", "rate_limit", "failed", "malformed_tool_use",
        "partial", "throttled", "stream_closed", "connection_lost", "rejected", "halted", "cutoff", "no_capacity",
    ],
}  # fmt: skip
VERDICTS = {
    "stop": (COMPLETE, None), "length": (Verdict.LENGTH, None),
    "other length": (Verdict.LENGTH, errors.TokenLimitError),
    "content_filter": (Verdict.FILTERED, errors.ContentPolicyError),
    "error": (FAILED, errors.ServerError),
}  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "sent"), [(key, word) for key, words in REASONS.items() for word in words]
)
def test_finish_reasons_are_recognized_in_any_case(reason: str, sent: str) -> None:
    for word in (sent, sent.upper(), sent.lower()):
        if word != sent and not sent.replace("_", "").isupper() and not sent.islower():
            continue  # camel case has to be seen
        result = chunks(delta("Hi"), delta(finish=word))
        verdict, error = VERDICTS[reason]
        found = (result.text, result.verdict, result.finished.reason, result.finished.raw_reason)
        assert found == ("Hi", verdict, reason.removeprefix("other "), word)
        assert type(result.finished.error) is (error or type(None))
        assert error is None or word in result.error.message


@pytest.mark.parametrize(
    ("sent", "raw"), [(128009, "128009"), ({"type": "stop"}, "stop"), (1.5, "1.5"), ("STOP", "STOP")]
)
def test_finish_reasons_of_any_type_mean_stop(sent: Any, raw: str) -> None:
    finished = chunks(delta("Hi"), delta(finish=sent), done=False).finished
    assert (finished.verdict, finished.reason, finished.raw_reason) == (COMPLETE, "stop", raw)


@pytest.mark.parametrize(
    "sent",
    ["not_finished", "NULL", "", "none", "FINISH_REASON_UNSPECIFIED", True, [], {}, {"type": None}, "null"],
)
def test_empty_finish_reasons_are_none(sent: Any) -> None:
    assert chunks(delta("Hi", finish=sent), delta(" you"), done=False).verdict is PARTIAL


@pytest.mark.parametrize(
    ("finish", "native", "verdict"),
    [
        ("stop", "MAX_TOKENS", Verdict.LENGTH), ("stop", "abort", FAILED), (None, "end_turn", COMPLETE),
        ("stop", "completed", COMPLETE), ("stop", "xyzzy", COMPLETE), ("length", "stop", Verdict.LENGTH),
    ],
)  # fmt: skip
def test_the_upstream_servers_finish_reason_is_used_if_it_says_more(
    finish: Any, native: str, verdict: Verdict
) -> None:
    chunk = delta(finish=finish)
    chunk["choices"][0]["native_finish_reason"] = native
    assert chunks(delta("Hi"), chunk, done=False).verdict is verdict


HI, HM, LENGTH = delta("Hi"), delta(reasoning_content="Hm."), delta(finish="length")
USAGE = {"choices": [], "usage": {"prompt_tokens": 1}}
WITH_ERROR = {**delta("lo", finish="stop"), "error": {"message": "worker died"}}
# fmt: off
ENDS: list[tuple[list[Any], Any, Verdict, type[Exception] | None, str]] = [
    # chunks, transport error or keyword arguments, verdict, error, part of its message
    ([HI, DONE], None, COMPLETE, None, ""),
    ([HI, STOP, DONE], LOST, COMPLETE, None, ""),
    ([HI], None, PARTIAL, errors.ConnectionLostError, "acme closed the connection; the answer is incomplete"),
    *[(sent, LOST, PARTIAL, errors.ConnectionLostError, "connection reset") for sent in
      ([HI], [HI, STOP], [delta("<think>Hm")], [], [delta(finish="content_filter")])],
    ([HI, delta(finish="xyzzy"), DONE], None, COMPLETE, None, ""),
    ([HI, delta(finish="xyzzy")], None, PARTIAL, errors.ConnectionLostError, "unknown finish reason xyzzy"),
    ([HI, delta(finish="error")], LOST, FAILED, errors.ServerError, "broke the answer off"),
    ([delta("Hel"), WITH_ERROR], LOST, FAILED, errors.ServerError, "worker died"),
    ([delta("Hel"), WITH_ERROR, DONE], LOST, FAILED, errors.ServerError, "worker died"),
    ([HI, delta(" you", finish=""), LENGTH, {**LENGTH, **USAGE}], None, Verdict.LENGTH, None, ""),
    ([HI, delta(finish="content_filter"), STOP], None, Verdict.FILTERED, errors.ContentPolicyError, "stopped"),
    *[([*said, STOP, DONE], None, EMPTY, errors.ProtocolError, "acme sent an empty answer") for said in
      ([], [delta("")], [delta(" \n")], [delta(None)])],
    ([HM, STOP], None, EMPTY, errors.ProtocolError, "acme sent only reasoning, no answer"),
    ([HM, LENGTH], None, Verdict.LENGTH, errors.TokenLimitError, "the reasoning used up the token limit"),
    ([delta(""), LENGTH], None, EMPTY, errors.ProtocolError, "token limit"),
    ([HI, LENGTH], {"own_limit": True}, Verdict.LENGTH, None, ""),
    ([HI, LENGTH], {"own_limit": False}, Verdict.LENGTH, errors.TokenLimitError, "at its token limit"),
    ([*[delta(" " * 5_000), delta("word")] * 10, STOP], None, COMPLETE, None, ""),
]
# fmt: on


@pytest.mark.parametrize(("sent", "how", "verdict", "error", "words"), ENDS)
def test_the_end_of_a_stream_decides_the_verdict(
    sent: list[Any], how: Any, verdict: Verdict, error: type[Exception] | None, words: str
) -> None:
    about = how if isinstance(how, dict) else {"error": how}
    result = chunks(*sent, done=False, **about)
    assert (result.verdict, type(result.finished.error)) == (verdict, error or type(None))
    assert error is None or words in result.error.message


def test_a_cut_stream_reports_how_much_arrived() -> None:
    error = chunks(delta("Hel"), done=False).error
    assert isinstance(error, errors.ConnectionLostError)
    assert error.received == len(body(delta("Hel"), done=False))


def test_a_broken_transport_drops_an_incomplete_frame_only() -> None:
    hel = body(delta("Hel"), done=False)
    assert read(hel + b'data: {"choices":[{"delta":{"cont', error=LOST).text == "Hel"
    assert read(hel + b"data: " + dumps(delta("lo")), error=LOST).text == "Hello"


WORDS = "Internal Server Error: upstream timed out"


@pytest.mark.parametrize(
    "frame",
    [f"data: {WORDS}\n\n", f'data: "{WORDS}"\n\n', f"data: {WORDS}\ndata: x\n\n", f"{WORDS}\n",
     f"data: <html><title>{WORDS}</title></html>\n\n"],
)  # fmt: skip
def test_a_frame_of_plain_words_is_a_failure_unless_a_finish_reason_follows(frame: str) -> None:
    words = frame.encode()
    for sent in (
        [delta("Hel"), words],
        [words, delta("Hel")],
        [delta("Hel", finish="stop"), words, delta("lo")],
    ):
        result = chunks(*sent)
        assert (result.verdict, type(result.error)) == (FAILED, errors.ServerError)
        assert result.error.message.startswith(f"acme reported an internal error: {WORDS}")
    assert chunks(delta("Hel"), words, delta("lo"), STOP).verdict is COMPLETE
    assert chunks(delta("Hel"), STOP, words).verdict is COMPLETE


def test_a_web_page_within_a_stream_is_read_for_2000_characters() -> None:
    rest = ">\n" + "<br>\n" * 390 + "<title>504</title"
    begin = "<html" + " " * (2000 - len(rest) - 5)
    for page, shown in ((begin + rest, True), (f"{begin} {rest}", False)):
        error = chunks(delta("Hel"), f"{page}\n".encode(), done=False).error
        assert (error.message == "acme reported an internal error: 504") is shown


def test_the_title_of_a_web_page_within_a_stream_is_shown() -> None:
    page = b"<html>\r\n<head><title>504 Gateway Time-out</title></head>\r\n</html>\r\n"
    result = chunks(delta("Hel"), page, done=False)
    assert (result.text, result.error.message) == (
        "Hel",
        "acme reported an internal error: 504 Gateway Time-out",
    )


@pytest.mark.parametrize(
    "frame",
    ["data: ping", "data: keep-alive", "data: [HEARTBEAT]", "data: : OPENROUTER PROCESSING", "event: ping\ndata: 17:03",
     "data: ", "data: [DONE]", "data: null", "data: 7", "data: ..."],
)  # fmt: skip
def test_a_frame_that_only_keeps_the_connection_open_is_not_a_failure(frame: str) -> None:
    result = chunks(delta("Hi"), f"{frame}\n\n".encode())
    assert (result.text, result.verdict) == ("Hi", COMPLETE)


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        *[(nothing, COMPLETE) for nothing in
          (None, "", {}, [], False, 0, "ok", "Success", {"message": "", "type": "", "param": "", "code": None},
           {"code": 0, "message": "success"}, {"code": 200}, {"code": "200", "message": "OK"}, {"code": "success"},
           {"message": None})],
        *[(real, FAILED) for real in
          ("died", {"message": "died"}, {"code": 500}, {"code": "overloaded", "message": ""},
           {"code": 0, "message": "died"}, {"type": "server_error"}, True, [{"message": "died"}],
           {"error": {"message": "died"}})],
    ],
    ids=str,
)  # fmt: skip
def test_an_error_has_words_or_a_failing_code(value: Any, verdict: Verdict) -> None:
    inside = delta("two.")
    inside["choices"][0]["error"] = value
    for result in (
        chunks(delta("One "), {**delta("two."), "error": value}, STOP),
        chunks(delta("One "), inside, STOP),
        read(dumps({**message("One two."), "error": value})),
    ):
        assert result.verdict is verdict
        assert verdict is FAILED or result.text == "One two."


FLAT = {"message": "upstream died"}


@pytest.mark.parametrize("after", [[], [STOP], [delta("")], [USAGE]], ids=str)
def test_words_alone_within_an_answer_are_a_failure(after: list[Any]) -> None:
    for flat in (FLAT, {**FLAT, "type": "server_error"}, {"msg": "upstream died"}):
        for done in (True, False):
            result = chunks(delta("Hel"), flat, *after, done=done)
            assert (result.text, result.verdict) == ("Hel", FAILED)
            assert "upstream died" in result.error.message


@pytest.mark.parametrize(
    "sent",
    [
        *[[HI, harmless, STOP] for harmless in
          ({"type": "ping"}, {"type": "ping", "message": "alive"}, {"object": "status", "message": "queued"},
           {"message": {"role": "assistant"}}, {"message": {"note": "x"}}, {"message": ""}, {"id": "1"})],
        *[[delta("Hel"), delta(reasoning="H"), FLAT, more, STOP] for more in
          (delta("lo"), delta(reasoning="Hm."), {"choices": [{"index": 0, "delta": {"content": "lo"}}]})],
        [*[HI] * 4, FLAT, HI, STOP], [HI, STOP, FLAT],
    ],
    ids=str,
)  # fmt: skip
def test_words_of_a_keepalive_or_before_more_text_are_not_a_failure(sent: list[Any]) -> None:
    assert chunks(*sent).verdict is COMPLETE


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        *[(dumps(value) + end, EMPTY) for end in (b"", b"\n") for value in
          ({"choices": []}, {"choices": [{}]}, {"choices": ["Hello"]}, message(""),
           {"object": "chat.completion", "choices": []})],
        (dumps(delta("Hel")), PARTIAL), (dumps(delta("Hel")) + b"\n", PARTIAL),
        (dumps(message("Hi", finish=None)), COMPLETE),
        (dumps({**message("Hi"), "base_resp": {"status_code": 0, "status_msg": ""}}), COMPLETE),
        (dumps(message("Hi"))[:-20], FAILED),
    ],
)  # fmt: skip
def test_a_json_reply_is_complete_by_its_last_brace(data: bytes, verdict: Verdict) -> None:
    assert read(data).verdict is verdict
    assert read(dumps(message("Hi", finish=None)), error=LOST).verdict is PARTIAL


def test_done_is_known_before_the_end() -> None:
    decoder, failing = Decoder(), Decoder()
    decoder.feed(body(HI, STOP, done=False))
    assert not decoder.done
    decoder.feed(DONE)
    failing.feed(body({"error": "no"}, done=False))
    assert decoder.done
    assert failing.done


def test_received_text_tells_whether_anything_was_returned() -> None:
    decoder, refusing = Decoder(), Decoder()
    decoder.feed(body(delta(role="assistant", content=""), delta("\n"), delta("<thi"), done=False))
    assert not decoder.received_text
    decoder.feed(body(delta("nk>Hm."), done=False))
    refusing.feed(body(delta(refusal="No."), done=False))
    assert decoder.received_text
    assert refusing.received_text


# --- bodies that are not an answer ---------------------------------------------------------------------------


def test_of_a_web_page_only_the_title_is_shown() -> None:
    page = b"<!DOCTYPE html><html><head><title>Open &amp; WebUI</title><script>evil()</script></head>"
    for size in (0, 1000):
        error = read(page + b"x" * 100_000, content_type="text/html; charset=utf-8", size=size).error
        assert isinstance(error, errors.ProtocolError)
        assert (
            error.message
            == "acme sent a web page instead of a chat completion (200, text/html): Open & WebUI"
        )
        assert error.words == "Open & WebUI"


@pytest.mark.parametrize(
    ("data", "sent"),
    [
        (b": hello\n\n" + DONE, "an empty stream instead of"),
        *[(data, "an empty body instead of") for data in (b"", b"\n \n", b"\xef\xbb\xbf", b"\xef")],
        *[(data, "something other than") for data in
          (b"{}", b"[]", b"null", b"7", b'{"object":"list","data":[]}', b'{"choices":', b"\x00\xff\x1b[31m")],
    ],
)  # fmt: skip
def test_an_error_says_what_came_instead_of_an_answer(data: bytes, sent: str) -> None:
    result = read(data, content_type="text/event-stream")
    assert (result.verdict, type(result.error)) == (FAILED, errors.ProtocolError)
    assert f"acme sent {sent} a chat completion (200, text/event-stream)" in result.error.message
    assert "\x1b" not in result.error.message


@pytest.mark.parametrize(
    "value",
    [{"error": {"message": "worker died"}}, {"code": "x", "error": "worker died"}, {"message": "worker died"},
     {"msg": "worker died"}, {"code": 20012, "message": "worker died", "data": None},
     [{"error": {"message": "worker died"}}], "worker died"],
)  # fmt: skip
def test_a_json_error_with_status_200_is_reported_in_its_words(value: Any) -> None:
    for indent in (None, 1):
        result = read(json.dumps(value, indent=indent).encode())
        assert result.verdict is FAILED
        assert isinstance(result.error, errors.ProviderError)
        assert result.error.words == "worker died"


@pytest.mark.parametrize(
    ("code", "kind"),
    [(1002, errors.RateLimitError), (1004, errors.AuthenticationError), (1008, errors.QuotaError),
     (1027, errors.ContentPolicyError), (2013, errors.BadRequestError), (9999, errors.ServerError)],
)  # fmt: skip
def test_minimaxs_status_200_is_classified_by_its_code(code: int, kind: type[Exception]) -> None:
    value = {"base_resp": {"status_code": code, "status_msg": "worker died"}, "choices": None}
    for result in (read(dumps(value)), chunks(value)):
        assert type(result.error) is kind
        assert "worker died" in result.error.message


def test_lm_studios_status_200_for_a_wrong_path_is_not_found() -> None:
    result = read(b'{"error":"Unexpected endpoint or method. (POST /chat/completions)"}')
    assert (result.verdict, type(result.error)) == (FAILED, errors.NotFoundError)


@pytest.mark.parametrize(
    "refused",
    [{"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, {"promptFeedback": {"blockReason": "OTHER"}},
     {"choices": [], "promptFeedback": {"blockReason": "SAFETY"}}, {"prompt_feedback": {"block_reason": "SAFETY"}}],
    ids=str,
)  # fmt: skip
def test_a_prompt_that_gemini_refuses_is_a_filtered_answer(refused: Any) -> None:
    for result in (read(body(refused, done=False)), read(dumps(refused))):
        assert (result.verdict, type(result.error)) == (Verdict.FILTERED, errors.ContentPolicyError)


def test_secrets_are_redacted() -> None:
    echo = f"bad key {KEY}"
    page = f"<title>{echo}</title>".encode()
    for data in (body({"error": echo}), dumps({"error": echo}), echo.encode(), page):
        error = read(data, secrets=(KEY,)).error
        assert KEY not in error.message
        assert KEY not in getattr(error, "words", "")


@pytest.mark.parametrize("field", ["content", "reasoning_content"])
@pytest.mark.parametrize("before", ["", "One."])
def test_blanks_without_end_are_a_failure(field: str, before: str) -> None:
    decoder = Decoder()
    decoder.feed(body(delta(**{field: before or " "}), done=False))
    frame = body(delta(**{field: " \n\t" * 100}), done=False)
    for _ in range(60):
        decoder.feed(frame)
    assert decoder.done
    *_, finished = decoder.close()
    assert isinstance(finished, Finished)
    assert finished.error is not None
    assert "blank characters in a row" in finished.error.message
