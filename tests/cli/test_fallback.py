"""Aliases with several targets: when the next model is asked, what is reported, and how long a failed one rests."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from conversing import Dialogue
from inprocess import Inside
from scripted import DONE, Answer, Cut, Pause, Scripted, answer, delta, sse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def other() -> Iterator[Scripted]:
    with Scripted() as scripted:
        yield scripted


@pytest.fixture
def telex(tmp_path: Path, server: Scripted, other: Scripted) -> Inside:
    """The alias "fast" leads to a/m, then to b/m."""
    telex = Inside(tmp_path)
    telex.configure('[aliases]\nfast = ["a/m", "b/m"]\n')
    telex.provider("a", server.url, key="none", retries=0, models=["m", "small"])
    telex.provider("b", other.url, key="none", retries=0, models=["m", "large"])
    other.will(answer("from b"))
    return telex


def refused(status: int, message: str = "no", **headers: str) -> Answer:
    body = json.dumps({"error": {"message": message}}).encode()
    return Answer([body], status=status, headers={"content-type": "application/json", **headers})


def attempts(ran: Any) -> list[tuple[str, str | None]]:
    found = json.loads(ran.out)
    return [(each["model"], each["error"] and each["error"]["type"]) for each in found["attempts"]]


TOO_LONG = "This model's maximum context length is 8 tokens. However, your messages resulted in 99 tokens."
ERROR_IN_STREAM = sse({"error": {"message": "overloaded", "code": 503}})
FALLS_BACK = {
    "rate limit": (refused(429, "slow down"), "RateLimitError"),
    "quota": (refused(402, "insufficient credits"), "QuotaError"),
    "overload": (refused(503, "busy"), "OverloadedError"),
    "error in the stream": (Answer(ERROR_IN_STREAM), "OverloadedError"),
    "lost connection": (Answer([Cut()]), "ConnectionLostError"),
    "cut before any text": (Answer([*sse(delta(role="assistant")), Cut()]), "ConnectionLostError"),
    "web page": (Answer([b"<html>"], headers={"content-type": "text/html"}), "ProtocolError"),
    "refused key": (refused(401, "bad key"), "AuthenticationError"),
    "unknown model": (refused(404, "The model `m` does not exist"), "ModelNotFoundError"),
    "too long": (refused(400, TOO_LONG), "ContextOverflowError"),
    "too large": (
        refused(413, "Request too large on tokens per minute (TPM): Limit 6000"),
        "BadRequestError",
    ),
}


@pytest.mark.parametrize("case", FALLS_BACK)
def test_the_next_model_answers(telex: Inside, server: Scripted, other: Scripted, case: str) -> None:
    reply, error = FALLS_BACK[case]
    server.will(reply)
    ran = telex("chat", "-m", "fast", "--json", "hi")
    assert (ran.code, json.loads(ran.out)["text"]) == (0, "from b")
    assert attempts(ran) == [("a/m", error), ("b/m", None)]
    assert "Asking b/m instead." in ran.err
    assert len(other.asked) == 1
    assert other.asked[0].body["messages"] == server.asked[0].body["messages"]
    turn = json.loads(telex("history", "show", "--json").out)["transcript"][-1]
    assert (turn["provider"], turn["model"]) == ("b", "m")


STAYS = {
    "bad request": (refused(400, "messages: too many"), 6),
    "content policy": (
        refused(400, "Your request was rejected as a result of our safety system (content_policy_violation)"),
        6,
    ),
    "filtered": (Answer([*sse(delta(finish="content_filter")), DONE]), 6),
    "cut after text": (Answer([*sse(delta("Hel")), Cut()]), 6),
    "cut after reasoning": (Answer([*sse(delta(reasoning_content="Hm")), Cut()]), 6),
}


@pytest.mark.parametrize("case", STAYS)
def test_no_other_model_is_asked(telex: Inside, server: Scripted, other: Scripted, case: str) -> None:
    reply, code = STAYS[case]
    server.will(reply)
    ran = telex("chat", "-m", "fast", "--json", "hi")
    assert (ran.code, [model for model, _ in attempts(ran)]) == (code, ["a/m"])
    assert other.asked == []


def test_a_silent_server_is_asked_once(telex: Inside, server: Scripted, other: Scripted) -> None:
    server.will(Answer([Pause(60)]))
    before = time.monotonic()
    ran = telex("chat", "-m", "fast", "--timeout", "1.5", "--retries", "5", "hi")
    assert (ran.code, ran.text) == (0, "from b\n")
    assert time.monotonic() - before < 30
    assert len(server.asked) == 1


def test_models_that_cannot_be_asked_are_skipped(telex: Inside, server: Scripted, other: Scripted) -> None:
    server.will(answer("no"))
    telex.provider("locked", server.url, key=None, key_env="NO_SUCH_KEY")
    for targets in (["locked/m", "b/m"], ["nowhere/m", "b/m"], ["nowhere/m", "locked/m", "nothing", "b/m"]):
        _, _, rest = telex.settings.read_text().partition("[providers")
        telex.configure(f"[aliases]\nfast = {json.dumps(targets)}\n[providers{rest}")
        ran = telex("chat", "-m", "fast", "--jsonl", "hi")
        lines = [json.loads(line) for line in ran.text.splitlines()]
        assert ran.code == 0, ran.err
        assert [line["failed"] for line in lines if line["type"] == "fallback"] == targets[:-1]
        assert [each["model"] for each in lines[-1]["attempts"]] == targets
        assert lines[0]["type"] == "start"
    assert server.asked == []


def test_the_last_error_decides_the_exit_code(telex: Inside, server: Scripted, other: Scripted) -> None:
    server.will(refused(503, "busy"))
    other.will(refused(429, "slow down"))
    ran = telex("chat", "-m", "fast", "--json", "hi")
    assert ran.code == 5
    assert attempts(ran) == [("a/m", "OverloadedError"), ("b/m", "RateLimitError")]
    assert json.loads(ran.out)["error"]["type"] == "RateLimitError"


@pytest.mark.parametrize(
    ("targets", "expected"),
    [(["a/small", "a/m", "b/large"], ["b/large"]), (["a/small", "b/m"], []), (["b/m", "a/small"], [])],
)
def test_overflow_asks_a_larger_model(
    telex: Inside, server: Scripted, other: Scripted, targets: list[str], expected: list[str]
) -> None:
    telex.configure(f"[aliases]\nfast = {json.dumps(targets)}\n")
    for name, url in (("a", server.url), ("b", other.url)):
        sizes = {"m": 4096, "small": 4096, "large": 100_000}
        telex.provider(name, url, key="none", models=[{"id": id_, "context": n} for id_, n in sizes.items()])
    server.will(refused(400, TOO_LONG))
    if targets[0] == "b/m":
        other.will(refused(400, TOO_LONG))
    ran = telex("chat", "-m", "fast", "--json", "hi")
    assert [model for model, _ in attempts(ran)] == [targets[0], *expected]
    assert ran.code == (0 if expected else 6)


def test_a_failed_model_rests(telex: Inside, server: Scripted, other: Scripted) -> None:
    server.will(refused(429, "slow down", **{"retry-after": "600"}))
    assert telex("chat", "-m", "fast", "hi").code == 0
    ran = telex("chat", "-m", "fast", "hi")  # another process would read the same file
    assert (ran.code, len(server.asked), len(other.asked)) == (0, 1, 2)
    assert "a/m failed recently and rests for 10 minutes; asking b/m." in ran.err
    other.will(refused(503, "busy"))
    server.will(answer("from a"))
    assert telex("chat", "-m", "fast", "hi").text == "from a\n"  # b fails, and then rests for a shorter time
    other.will(answer("from b"))
    ran = telex("chat", "-m", "fast", "hi")
    assert (ran.text, "rests" in ran.err) == ("from a\n", False)  # it has answered, and no longer rests
    assert telex.paths.rests.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "content", [b"[]", b'{"x": "y", "z": 1e999}', b"[" * 10_000, b'{"x": 1' + b"0" * 400 + b"}"]
)
def test_damaged_rests_are_ignored(telex: Inside, server: Scripted, other: Scripted, content: bytes) -> None:
    telex.paths.rests.parent.mkdir(parents=True, exist_ok=True)
    telex.paths.rests.write_bytes(content)
    server.will(refused(503, "busy"))
    assert telex("chat", "-m", "fast", "hi").text == "from b\n"
    (until,) = json.loads(telex.paths.rests.read_text()).values()
    assert 0 < until - time.time() <= 60


def test_each_model_gets_its_own_options(telex: Inside, server: Scripted, other: Scripted) -> None:
    text = telex.settings.read_text().replace('["a/m", "b/m"]', '["hot", "b/m"]')
    telex.configure(text.replace("[aliases]\n", '[aliases]\nhot = { target = "a/m", temperature = 1.5 }\n'))
    telex("models", "edit", "b/m", "-t", "0.2", "--param", "top_k=20", "--header", "X-B:1", "--no-stream")
    server.will(refused(503, "busy"))
    other.will(Answer([json.dumps({"choices": [{"message": {"content": "b"}, "finish_reason": "stop"}]}).encode()],
                      headers={"content-type": "application/json"}))  # fmt: skip
    assert telex("chat", "-m", "fast", "--max-tokens", "9", "hi").text == "b\n"
    first, second = server.asked[0].body, other.asked[0].body
    assert (first["temperature"], first["max_tokens"], first["stream"]) == (1.5, 9, True)
    assert (second["temperature"], second["max_tokens"], second["stream"]) == (0.2, 9, False)
    assert (second["top_k"], "top_k" in first) == (20, False)
    assert (other.asked[0].headers["x-b"], "x-b" in server.asked[0].headers) == ("1", False)


def test_the_ledger_counts_the_failed_request(telex: Inside, server: Scripted) -> None:
    server.will(refused(503, "busy"))
    telex("chat", "-m", "fast", "hi")
    rows = json.loads(telex("usage", "--by", "model", "--json").out)["rows"]
    assert {row["model"]: row["requests"] for row in rows} == {"a/m": 1, "b/m": 1}


def test_an_alias_limits_the_cost_of_its_chats(telex: Inside, server: Scripted) -> None:
    text = telex.settings.read_text().replace(
        '"b/m"]', '"b/m"]\ncheap = { target = "a/m", max_cost = 0.000001 }'
    )
    telex.configure(text)
    telex("models", "edit", "a/m", "--price-in", "1000", "--price-out", "1000")
    server.will(answer("no"))
    for models in (["cheap"], ["cheap", "b/m"]):
        ran = telex("chat", *(each for name in models for each in ("-m", name)), "hi")
        assert (ran.code, server.asked) == (5, []), ran.err


def test_unusable_model_is_reported_once(telex: Inside, server: Scripted, other: Scripted) -> None:
    text = telex.settings.read_text().replace('["a/m", "b/m"]', '["a/m", "nowhere/m", "b/m", "a/small"]')
    telex.configure(text)
    server.will(refused(429, "slow down"))
    first = telex("chat", "-m", "fast", "--jsonl", "hi").text.splitlines()
    rests = {line["failed"]: bool(line["rest"]) for line in map(json.loads, first) if "failed" in line}
    assert rests == {"a/m": True, "nowhere/m": False}
    other.will(refused(503, "busy"))
    ran = telex("chat", "-m", "fast", "--json", "hi")  # a/m rests, and is asked last
    assert [model for model, _ in attempts(ran)] == ["nowhere/m", "b/m", "a/small", "a/m"]
    assert ran.err.count("unknown provider: nowhere") == 1
    assert ran.code == 5


def test_headings_and_lines_name_the_model_that_answers(telex: Inside, server: Scripted) -> None:
    server.will(refused(503, "busy"))
    ran = telex("chat", "-m", "fast", "-m", "b/large", "--jsonl", "hi")
    lines = [json.loads(line) for line in ran.text.splitlines()]
    ends = {line["index"]: (line["provider"], line["model"]) for line in lines if line["type"] == "end"}
    assert ends == {0: ("b", "m"), 1: ("b", "large")}
    text = telex("chat", "-m", "fast", "-m", "b/large", "hi").text
    assert text == "## a/m\n\n## b/m\n\nfrom b\n\n## b/large\n\nfrom b\n"


def test_fallback_in_a_conversation(telex: Inside, server: Scripted, other: Scripted, tmp_path: Path) -> None:
    text = telex.settings.read_text()
    poet = 'poet = { target = "fast", system = "In verse.", temperature = 1 }'
    telex.configure(text.replace("[aliases]\n", f"[aliases]\n{poet}\n"))
    server.will(refused(503, "busy"))
    talk = Dialogue(SimpleNamespace(env={**telex.env, "HOME": str(tmp_path)}))  # type: ignore[arg-type]
    rows = talk("-m", "b/large", "-t", "0.5", lines=["one", "/model poet", "two", "/model b/m", "three"])
    assert "Model: a/m, or else b/m" in rows
    assert [row for row in rows if "Asking" in row] == [
        "a is overloaded or still loading (503): busy. Asking b/m instead."
    ]
    one, two, three = (asked.body for asked in other.asked)
    assert [body["model"] for body in (one, two, three)] == ["large", "m", "m"]
    assert [body["temperature"] for body in (one, two, three)] == [0.5, 0.5, 0.5]
    assert two["messages"][0] == {"role": "system", "content": "In verse."}
    turns = json.loads(telex("history", "show", "--json").out)["transcript"]
    assert [(turn["provider"], turn["model"]) for turn in turns] == [("b", "large"), ("b", "m"), ("b", "m")]


def test_a_turn_that_was_begun_with_a_failed_model_gets_the_next_one(telex: Inside, server: Scripted) -> None:
    server.will(Answer([Cut()]))  # it is retried once, and that saves the prompt
    assert telex("chat", "-m", "fast", "--retries", "2", "hi").code == 0
    assert len(server.asked) == 2
    turns = json.loads(telex("history", "show", "--json").out)["transcript"]
    assert [(turn["provider"], turn["model"]) for turn in turns] == [("b", "m")]


@pytest.mark.parametrize("case", ["too long", "too large"])
def test_an_overflow_gives_no_rest(telex: Inside, server: Scripted, case: str) -> None:
    server.will(FALLS_BACK[case][0], answer("from a"))
    telex("chat", "-m", "fast", "a long prompt")
    assert telex("chat", "-m", "fast", "hi").text == "from a\n"


def test_a_dry_run_shows_the_request_to_each_model(telex: Inside) -> None:
    text = telex.settings.read_text().replace('["a/m", "b/m"]', '["a/m", "nowhere/x", "b/m"]')
    telex.configure(f'model = "fast"\n{text}')
    telex("models", "edit", "b/m", "-t", "0.2")
    found = json.loads(telex("chat", "--dry-run", "hi").out)
    unknown, other = found["fallbacks"]
    assert (found["body"]["model"], found["sources"]) == ("m", {})
    assert unknown == {"model": "nowhere/x", "error": "unknown provider: nowhere"}
    assert (other["body"]["temperature"], other["sources"]) == (0.2, {"temperature": "model b/m"})
    assert other["body"]["messages"] == found["body"]["messages"]


def test_refused_field_is_reported_for_both(telex: Inside, server: Scripted, other: Scripted) -> None:
    no_field = refused(400, "Unrecognized request argument supplied: top_k")
    server.will(no_field, refused(503, "busy"))
    other.will(no_field, answer("from b"))
    ran = telex("chat", "-m", "fast", "-p", "top_k=5", "hi")
    assert (ran.code, ran.text) == (0, "from b\n")
    assert [line.partition(" ")[0] for line in ran.err.splitlines() if "top_k" in line] == ["a/m", "b/m"]


def test_only_the_first_server_lists_models(telex: Inside, server: Scripted, other: Scripted) -> None:
    telex.configure('[aliases]\nfast = ["a", "b"]\n')
    for name, each in (("a", server), ("b", other)):
        telex.provider(name, each.url, key="none", models=None)
        listed = Answer([b'{"data": [{"id": "m"}]}'], headers={"content-type": "application/json"})
        each.will(lambda asked: listed if asked.method == "GET" else Answer(answer("Hello")))  # noqa: B023
    ran = telex("chat", "-m", "fast", "hi")
    assert (ran.code, ran.text) == (0, "Hello\n"), ran.err
    assert ([asked.method for asked in server.asked], other.asked) == (["GET", "POST"], [])


def test_model_without_vision_is_skipped(
    telex: Inside, server: Scripted, other: Scripted, tmp_path: Path
) -> None:
    telex("models", "edit", "a/m", "--no-vision")
    image = tmp_path / "dot.png"
    image.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    ran = telex("chat", "-m", "fast", "-i", str(image), "--json", "hi")
    assert (ran.code, attempts(ran)) == (0, [("a/m", "InvalidInputError"), ("b/m", None)]), ran.err
    assert telex("chat", "-m", "a/m", "-i", str(image), "hi").code == 2
    assert server.asked == []
