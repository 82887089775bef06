"""What became of an answer: finish reasons, cuts, errors and bodies that are no answer."""

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
    "stop": (Verdict.COMPLETE, None),
    "length": (Verdict.LENGTH, None),
    "other length": (Verdict.LENGTH, errors.TokenLimitError),
    "content_filter": (Verdict.FILTERED, errors.ContentPolicyError),
    "error": (Verdict.FAILED, errors.ServerError),
}


@pytest.mark.parametrize(
    ("reason", "sent"), [(key, word) for key, words in REASONS.items() for word in words]
)
def test_finish_reasons_are_mapped_whatever_their_case(reason: str, sent: str) -> None:  # quirks 136 and 137
    for word in (sent, sent.upper(), sent.lower()):
        if word != sent and not sent.replace("_", "").isupper() and not sent.islower():
            continue  # camel case has to be seen
        result = chunks(delta("Hi"), delta(finish=word))
        verdict, error = VERDICTS[reason]
        found = (result.verdict, result.finished.reason, result.finished.raw_reason)
        assert found == (verdict, reason.removeprefix("other "), word)
        assert result.text == "Hi"
        if error is None:
            assert result.finished.error is None
        else:
            assert type(result.error) is error
            assert word in result.error.message


def test_a_limit_that_left_no_room_for_a_word_is_an_empty_answer() -> None:
    silent = chunks(delta(""), delta(finish="length"))
    assert (silent.verdict, silent.finished.reason) == (Verdict.EMPTY, "length")
    assert isinstance(silent.error, errors.ProtocolError)
    assert "token limit" in silent.error.message
    thinking = chunks(delta(reasoning_content="Hm"), delta(finish="length"))
    assert (thinking.verdict, type(thinking.error)) == (Verdict.LENGTH, errors.TokenLimitError)


def test_a_cut_at_a_limit_is_whole_only_if_the_caller_asked_for_the_limit() -> None:
    sent = [delta("Hi"), delta(finish="length")]
    assert chunks(*sent, own_limit=True).finished.error is None
    cut = chunks(*sent, own_limit=False)
    assert (cut.verdict, type(cut.error)) == (Verdict.LENGTH, errors.TokenLimitError)


@pytest.mark.parametrize(("done", "verdict"), [(True, Verdict.COMPLETE), (False, Verdict.PARTIAL)])
def test_an_unknown_finish_reason_is_no_end_without_its_mark(done: bool, verdict: Verdict) -> None:
    result = chunks(delta("Hi"), delta(finish="xyzzy"), done=done)
    assert (result.verdict, result.finished.reason, result.finished.raw_reason) == (verdict, "stop", "xyzzy")


@pytest.mark.parametrize("sent", ["not_finished", "NULL", "", "none", "FINISH_REASON_UNSPECIFIED"])
def test_a_finish_reason_that_says_nothing_is_none(sent: str) -> None:
    assert chunks(delta("Hi", finish=sent), delta(" you"), done=False).verdict is Verdict.PARTIAL


def test_the_upstream_server_s_own_finish_reason_counts_where_it_says_more() -> None:
    for finish, native, verdict in (
        ("stop", "MAX_TOKENS", Verdict.LENGTH),
        ("stop", "abort", Verdict.FAILED),
        (None, "end_turn", Verdict.COMPLETE),
        ("stop", "completed", Verdict.COMPLETE),
        ("stop", "xyzzy", Verdict.COMPLETE),
        ("length", "stop", Verdict.LENGTH),
    ):
        chunk = delta(finish=finish)
        chunk["choices"][0]["native_finish_reason"] = native
        assert chunks(delta("Hi"), chunk, done=False).verdict is verdict, (finish, native)


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
        assert (result.verdict, type(result.error)) == (Verdict.FAILED, errors.ServerError)
        assert result.error.message.startswith(f"acme failed: {WORDS}")
    assert chunks(delta("Hel"), words, delta("lo"), STOP).verdict is Verdict.COMPLETE
    assert chunks(delta("Hel"), STOP, words).verdict is Verdict.COMPLETE


def test_of_a_web_page_in_the_middle_of_a_stream_the_title_is_shown() -> None:
    page = b"<html>\r\n<head><title>504 Gateway Time-out</title></head>\r\n</html>\r\n"
    result = chunks(delta("Hel"), page, done=False)
    assert (result.text, result.error.message) == ("Hel", "acme failed: 504 Gateway Time-out")


@pytest.mark.parametrize(
    "frame",
    ["data: ping", "data: keep-alive", "data: [HEARTBEAT]", "data: : OPENROUTER PROCESSING", "event: ping\ndata: 17:03",
     "data: ", "data: [DONE]", "data: null", "data: 7", "data: ..."],
)  # fmt: skip
def test_a_frame_that_only_keeps_the_connection_open_is_no_failure(frame: str) -> None:
    result = chunks(delta("Hi"), f"{frame}\n\n".encode())
    assert (result.text, result.verdict) == ("Hi", Verdict.COMPLETE)


@pytest.mark.parametrize(
    "nothing",
    [None, "", {}, [], False, 0, "ok", "Success", {"message": "", "type": "", "param": "", "code": None},
     {"code": 0, "message": "success"}, {"code": 200}, {"code": "200", "message": "OK"}, {"code": "success"},
     {"message": None}],
    ids=str,
)  # fmt: skip
def test_an_error_that_says_nothing_is_none(nothing: Any) -> None:
    sent = [{**delta("One "), "error": nothing}, {**delta("two."), "error": nothing}, STOP]
    sent[1]["choices"][0]["error"] = nothing
    result = chunks(*sent)
    assert (result.text, result.verdict) == ("One two.", Verdict.COMPLETE)
    assert read(dumps({**message("One"), "error": nothing})).verdict is Verdict.COMPLETE


@pytest.mark.parametrize(
    "real",
    ["died", {"message": "died"}, {"code": 500}, {"code": "overloaded", "message": ""}, {"code": 0, "message": "died"},
     {"type": "server_error"}, True, [{"message": "died"}], {"error": {"message": "died"}}],
    ids=str,
)  # fmt: skip
def test_an_error_with_words_or_a_failing_code_is_one(real: Any) -> None:
    assert chunks(delta("One "), {**delta("two."), "error": real}, STOP).verdict is Verdict.FAILED
    assert read(dumps({**message("One"), "error": real})).verdict is Verdict.FAILED


def test_the_end_without_a_word_is_a_cut() -> None:  # quirks 30 and 225
    result = chunks(delta("Hel"), done=False)
    assert (result.text, result.verdict, result.finished.reason) == ("Hel", Verdict.PARTIAL, None)
    assert isinstance(result.error, errors.ConnectionLostError)
    assert result.error.received == len(body(delta("Hel"), done=False))
    assert result.error.message == "acme closed the connection before the answer was finished"


@pytest.mark.parametrize(
    "sent", [[delta("Hel")], [delta("Hel"), STOP], [delta("<think>Hm")], [], [delta(finish="content_filter")]]
)
def test_a_broken_transport_makes_any_answer_partial(sent: list[Any]) -> None:  # quirk 30
    result = chunks(*sent, done=False, error=LOST)
    assert (result.verdict, result.error) == (Verdict.PARTIAL, LOST)


def test_a_transport_that_breaks_after_done_does_not_matter() -> None:
    assert chunks(delta("Hi"), STOP, error=LOST).verdict is Verdict.COMPLETE


def test_a_broken_transport_drops_the_unfinished_frame_and_keeps_a_whole_one() -> None:
    half = body(delta("Hel"), done=False) + b'data: {"choices":[{"delta":{"cont'
    assert read(half, error=LOST).text == "Hel"
    assert read(body(delta("Hel"), done=False) + b"data: " + dumps(delta("lo")), error=LOST).text == "Hello"


def test_an_error_frame_goes_before_everything_else() -> None:  # quirk 225
    failed = {**delta("lo", finish="stop"), "error": {"message": "worker died"}}
    for tail in (b"", DONE):
        result = read(body(delta("Hel"), failed, done=False) + tail, error=LOST)
        assert (result.text, result.verdict) == ("Hello", Verdict.FAILED)
        assert isinstance(result.error, errors.ServerError)
        assert result.error.status is None


FLAT = {"message": "upstream died"}


@pytest.mark.parametrize(
    "behind", [[], [STOP], [delta("")], [{"choices": [], "usage": {"prompt_tokens": 1}}]], ids=str
)
def test_words_alone_in_the_middle_of_an_answer_are_a_failure(behind: list[Any]) -> None:
    for flat in (FLAT, {**FLAT, "type": "server_error"}, {"msg": "upstream died"}):
        for done in (True, False):
            result = chunks(delta("Hel"), flat, *behind, done=done)
            assert (result.text, result.verdict) == ("Hel", Verdict.FAILED)
            assert "upstream died" in result.error.message


@pytest.mark.parametrize(
    "harmless",
    [
        {"type": "ping"},
        {"type": "ping", "message": "alive"},
        {"object": "status", "message": "queued"},
        {"message": {"role": "assistant"}},
        {"message": {"note": "x"}},
        {"message": ""},
        {"id": "1"},
    ],
)
def test_a_sign_of_life_with_words_is_no_failure(harmless: Any) -> None:
    assert chunks(delta("Hi"), harmless, STOP).verdict is Verdict.COMPLETE


def test_words_that_text_or_the_end_has_followed_or_preceded_are_no_failure() -> None:
    for more in (
        delta("lo"),
        delta(reasoning="Hm."),
        {"choices": [{"index": 0, "delta": {"content": "lo"}}]},
    ):
        assert chunks(delta("Hel"), delta(reasoning="H"), FLAT, more, STOP).verdict is Verdict.COMPLETE
    assert chunks(*[delta("Hi")] * 4, FLAT, delta("Hi"), STOP).verdict is Verdict.COMPLETE
    assert chunks(delta("Hi"), STOP, FLAT).verdict is Verdict.COMPLETE


@pytest.mark.parametrize("line_end", [b"", b"\n"])
@pytest.mark.parametrize("value", [{"choices": []}, {"choices": [{}]}, {"choices": ["Hello"]}])
def test_a_whole_reply_without_an_answer_is_empty_and_not_cut(value: Any, line_end: bytes) -> None:
    result = read(dumps(value) + line_end)
    assert result.verdict is Verdict.EMPTY
    assert isinstance(result.error, errors.ProtocolError)
    assert read(dumps(delta("Hel")) + line_end).verdict is Verdict.PARTIAL


def test_an_error_like_finish_goes_before_a_broken_transport() -> None:  # quirk 225
    assert chunks(delta("Hi"), delta(finish="error"), done=False, error=LOST).verdict is Verdict.FAILED


def test_a_json_reply_without_a_finish_reason_is_complete_by_its_last_brace() -> None:
    assert read(dumps(message("Hi", finish=None))).verdict is Verdict.COMPLETE
    assert read(dumps(message("Hi", finish=None)), error=LOST).verdict is Verdict.PARTIAL


def test_a_json_reply_cut_in_the_middle_is_no_answer() -> None:
    result = read(dumps(message("Hi"))[:-20])
    assert result.verdict is Verdict.FAILED
    assert isinstance(result.error, errors.ProtocolError)


def test_done_may_be_read_before_the_end() -> None:
    decoder = Decoder()
    decoder.feed(body(delta("Hi"), STOP, done=False))
    assert not decoder.done
    decoder.feed(DONE)
    assert decoder.done
    failing = Decoder()
    failing.feed(body({"error": "no"}, done=False))
    assert failing.done


def test_received_text_counts_what_was_handed_out() -> None:
    decoder = Decoder()
    decoder.feed(body(delta(role="assistant", content=""), delta("\n"), delta("<thi"), done=False))
    assert not decoder.received_text
    decoder.feed(body(delta("nk>Hm."), done=False))
    assert decoder.received_text
    refusing = Decoder()
    refusing.feed(body(delta(refusal="No."), done=False))
    assert refusing.received_text


def test_a_web_page_under_200_shows_its_title_only() -> None:  # quirk 27
    page = (
        b"<!DOCTYPE html><html><head><title>Open &amp; WebUI</title><script>evil()</script></head>"
        + b"x" * 100_000
    )
    for size in (0, 1000):
        result = read(page, content_type="text/html; charset=utf-8", size=size)
        assert result.verdict is Verdict.FAILED
        assert isinstance(result.error, errors.ProtocolError)
        assert (
            result.error.message
            == "acme sent a web page instead of a chat completion (200, text/html): Open & WebUI"
        )
        assert result.error.words == "Open & WebUI"


def test_a_stream_without_any_chunk_names_type_and_beginning() -> None:  # quirk 226
    result = read(b": hello\n\n" + DONE, content_type="text/event-stream")
    assert result.verdict is Verdict.FAILED
    assert isinstance(result.error, errors.ProtocolError)
    assert result.error.message == (
        "acme sent an empty stream instead of a chat completion (200, text/event-stream)"
    )


@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xef\xbb\xbf", b"\xef"])
def test_an_empty_body_is_no_answer(data: bytes) -> None:  # quirk 226
    assert isinstance(read(data).error, errors.ProtocolError)


@pytest.mark.parametrize(
    "data", [b"{}", b"[]", b"null", b"7", b'{"object":"list","data":[]}', b'{"choices":', b"\x00\xff\x1b[31m"]
)
def test_a_body_of_another_kind_is_no_answer(data: bytes) -> None:  # quirk 226
    error = read(data).error
    assert isinstance(error, errors.ProtocolError)
    assert "\x1b" not in error.message


def test_lm_studio_s_200_for_a_wrong_path_is_not_found() -> None:  # quirks 25 and 26
    result = read(b'{"error":"Unexpected endpoint or method. (POST /chat/completions)"}')
    assert result.verdict is Verdict.FAILED
    assert type(result.error) is errors.NotFoundError


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1002, errors.RateLimitError),
        (1004, errors.AuthenticationError),
        (1008, errors.QuotaError),
        (1027, errors.ContentPolicyError),
        (2013, errors.BadRequestError),
        (9999, errors.ServerError),
    ],
)
def test_minimax_s_200_is_classed_by_its_code(code: int, kind: type[Exception]) -> None:  # quirk 145
    value = {"base_resp": {"status_code": code, "status_msg": "worker died"}, "choices": None}
    for result in (read(dumps(value)), chunks(value)):
        assert type(result.error) is kind
        assert "worker died" in result.error.message


def test_minimax_s_success_is_none() -> None:  # quirk 145
    assert (
        read(dumps({**message("Hi"), "base_resp": {"status_code": 0, "status_msg": ""}})).verdict
        is Verdict.COMPLETE
    )


@pytest.mark.parametrize(
    "value",
    [
        {"error": {"message": "worker died"}},
        {"code": "x", "error": "worker died"},
        {"message": "worker died"},
        {"msg": "worker died"},
        {"code": 20012, "message": "worker died", "data": None},
        [{"error": {"message": "worker died"}}],
        "worker died",
    ],
)
def test_a_json_error_under_200_is_told_in_its_words(value: Any) -> None:  # quirk 25
    for indent in (None, 1):
        result = read(json.dumps(value, indent=indent).encode())
        assert result.verdict is Verdict.FAILED
        assert isinstance(result.error, errors.ProviderError)
        assert result.error.words == "worker died"


def test_an_error_status_makes_the_body_an_error() -> None:
    result = read(b'{"error":{"message":"slow down","code":"rate_limit_exceeded"}}', status=429)
    assert result.events == (Finished(verdict=Verdict.FAILED, reason="error", error=result.error),)
    assert isinstance(result.error, errors.RateLimitError)
    assert result.error.status == 429
    assert "no words" in read(b'"' + b"no words " * 500_000, status=500, size=3_000_000).error.message


def test_secrets_are_masked_in_errors_of_streams_and_bodies() -> None:  # quirk 154
    key = "sk-test-0123456789abcdef"
    echo = f"bad key {key}"
    for data in (
        body({"error": echo}),
        dumps({"error": echo}),
        echo.encode(),
        f"<title>{echo}</title>".encode(),
    ):
        error = read(data, secrets=(key,)).error
        assert key not in error.message
        assert key not in getattr(error, "words", "")


def test_the_model_s_name_is_the_last_one_named() -> None:  # quirk 60
    named = [{**delta("x"), "model": name} for name in ("", "router", "gpt\x1b[31m-5", "")]
    assert chunks(*named, {**STOP, "model": ""}).finished.model == "gpt-5"


@pytest.mark.parametrize("field", ["content", "reasoning_content"])
@pytest.mark.parametrize("before", ["", "One."])
def test_blanks_without_end_are_a_failure(field: str, before: str) -> None:
    decoder = Decoder()
    decoder.feed(b"data: " + dumps(delta(**{field: before or " "})) + b"\n\n")
    frame = b"data: " + dumps(delta(**{field: " \n\t" * 100})) + b"\n\n"
    fed = 0
    while not decoder.done:
        decoder.feed(frame)
        fed += 300
        assert fed < 20_000
    *_, finished = decoder.close()
    assert finished.verdict in (Verdict.FAILED, Verdict.PARTIAL)
    assert "blank characters in a row" in finished.error.message


def test_blanks_between_words_are_no_failure() -> None:
    result = chunks(*[delta(" " * 5_000), delta("word")] * 10, STOP)
    assert result.finished.verdict is Verdict.COMPLETE


@pytest.mark.parametrize(
    "refused",
    [{"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, {"promptFeedback": {"blockReason": "OTHER"}},
     {"choices": [], "promptFeedback": {"blockReason": "SAFETY"}}, {"prompt_feedback": {"block_reason": "SAFETY"}}],
    ids=str,
)  # fmt: skip
def test_a_prompt_that_gemini_refuses_is_a_filtered_answer(refused: Any) -> None:
    for result in (read(body(refused, done=False)), read(dumps(refused))):
        assert (result.verdict, type(result.error)) == (Verdict.FILTERED, errors.ContentPolicyError)
