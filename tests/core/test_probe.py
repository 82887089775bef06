"""Checking a provider: what each step says of servers that work, half work, refuse, lie, or are not there."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from scripted import DONE, Answer, Asked, Cut, Pause, Scripted, answer, delta, sse
from servers import CHAT, MODELS, by_path, in_json, refusal

from provider_core import errors
from provider_core.probe import (
    STEPS,
    CapabilityCard,
    CheckReport,
    CheckStep,
    LocalServer,
    check,
    discover,
    explore,
)
from provider_core.probe._discover import _addresses
from provider_core.request import UnsupportedFieldCache
from provider_core.types import Model, Network, Provider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from provider_core.types import Call, Reply

KEY = "sk-canary-0123456789abcdef"


@pytest.fixture
def provider(server: Scripted) -> Provider:
    server.will(by_path(in_json(MODELS), CHAT))
    return Provider(name="lab", base_url=server.url)


def ids(report: CheckReport) -> tuple[str, ...]:
    return tuple(model.id for model in report.models)


def statuses(report: CheckReport) -> dict[str, str]:
    return {step.name: step.status for step in report.steps}


def test_a_server_that_works_passes_every_step_with_its_time(provider: Provider, server: Scripted) -> None:
    told: list[CheckStep] = []
    report = check(provider, key=KEY, on_step=told.append)
    assert report.passed
    assert statuses(report) == dict.fromkeys(("reach", "models", "auth", "stream", "usage"), "ok")
    assert sorted(step.name for step in told) == sorted(statuses(report))
    assert ids(report) == ("m", "n")
    assert report.model == "m"
    assert report["usage"].detail == "9 in, 1 out"
    for name in ("reach", "models", "auth", "stream", "usage"):
        assert 0 <= (report[name].seconds or -1) < 10  # type: ignore[index]
    assert report["reach"].detail.startswith("name ")
    assert ", connect " in report["reach"].detail


def test_one_token_is_asked_for_and_the_key_goes_along(provider: Provider, server: Scripted) -> None:
    check(provider, key=KEY)
    listing, chat = server.asked
    assert (listing.method, listing.path, chat.path) == ("GET", "/v1/models", "/v1/chat/completions")
    assert listing.headers["authorization"] == chat.headers["authorization"] == f"Bearer {KEY}"
    assert chat.body["max_tokens"] == 1
    assert server.connections == 1


def test_a_secret_header_that_a_server_echoes_is_masked_in_every_step(
    provider: Provider, server: Scripted
) -> None:
    secrets = ("sid=0123456789abcdef", "hunter22hunter22")
    named = replace(provider, headers={"Cookie": secrets[0], "X-Password": secrets[1]})
    server.will(by_path(in_json(MODELS), refusal(401, f"bad {' '.join(secrets)} and {KEY}")))
    told: list[CheckStep] = []
    check(named, key=KEY, on_step=told.append)
    assert any("[redacted]" in step.detail for step in told)
    assert not any(secret in step.detail for step in told for secret in (*secrets, KEY))


def test_a_list_that_answers_without_a_key_proves_nothing(provider: Provider, server: Scripted) -> None:
    server.will(by_path(in_json(MODELS), refusal(401, "bad key")))
    report = check(provider, key=KEY)
    assert statuses(report) == {
        "reach": "ok", "models": "ok", "auth": "failed", "stream": "skipped", "usage": "skipped"
    }  # fmt: skip
    assert not report.passed
    assert isinstance(report.error, errors.AuthenticationError)


@pytest.mark.parametrize(
    ("listing", "status"),
    [
        (refusal(404), "absent"),
        (refusal(405), "absent"),
        (refusal(500), "failed"),
        (refusal(401), "failed"),  # a restricted key may chat and not list
        (Answer([b"<html>hello</html>"], headers={"content-type": "text/html"}), "absent"),
        (in_json({"error": "Unexpected endpoint or method. (GET /v1/models)"}), "absent"),
    ],
)
def test_a_provider_without_a_list_is_fine(server: Scripted, listing: Answer, status: str) -> None:
    server.will(by_path(listing, CHAT))
    known = (Model(id="embed-1", kind="embedding"), Model(id="m"))
    for models, before in (((Model(id="m"),), ()), ((), known)):
        report = check(Provider(name="lab", base_url=server.url, models=models), key=KEY, known=before)
        assert report.passed
        assert report.error is None
        assert (statuses(report)["models"], report.model) == (status, "m")
        assert report.models == ()


def test_an_empty_list_is_a_list_and_no_chat_can_be_tried(server: Scripted) -> None:
    server.will(by_path(in_json({"object": "list", "data": None}), CHAT))
    report = check(Provider(name="lab", base_url=server.url, auth="none"))
    assert statuses(report) == {
        "reach": "ok", "models": "ok", "auth": "skipped", "stream": "skipped", "usage": "skipped"
    }  # fmt: skip
    assert report.error is None
    assert not report.passed


def test_with_no_model_to_ask_the_lists_refusal_counts(server: Scripted) -> None:
    server.will(by_path(refusal(401), CHAT))
    report = check(Provider(name="lab", base_url=server.url), key=KEY)
    assert isinstance(report.error, errors.AuthenticationError)
    assert [asked.path for asked in server.asked] == ["/v1/models"]


@pytest.mark.parametrize(
    ("answer_", "error", "auth"),
    [
        (refusal(403), errors.PermissionDeniedError, "failed"),
        (refusal(402), errors.QuotaError, "ok"),
        (refusal(429), errors.RateLimitError, "ok"),
        (refusal(404, "The model m does not exist"), errors.ModelNotFoundError, "ok"),
        (refusal(500), errors.ServerError, "skipped"),
        (Answer([b"<html>x</html>"], headers={"content-type": "text/html"}), errors.ProtocolError, "skipped"),
    ],
)
def test_a_refused_chat_fails_the_step_that_it_concerns(
    provider: Provider, server: Scripted, answer_: Answer, error: type[errors.CoreError], auth: str
) -> None:
    server.will(by_path(in_json(MODELS), answer_))
    report = check(provider, key=KEY)
    assert type(report.error) is error
    assert statuses(report)["auth"] == auth
    assert not report.passed
    assert len(server.asked) == 2  # nothing is retried


def test_a_cut_stream_fails(provider: Provider, server: Scripted) -> None:
    server.will(by_path(in_json(MODELS), [*sse(delta("Hel")), Cut()]))
    report = check(provider, key=KEY)
    assert statuses(report)["auth"] == "ok"
    assert statuses(report)["stream"] == "failed"
    assert isinstance(report.error, errors.NetworkError)


def test_an_answer_in_one_piece_is_no_stream_and_no_failure(provider: Provider, server: Scripted) -> None:
    whole = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "Hello"}}]}
    server.will(by_path(in_json(MODELS), in_json(whole)))
    report = check(provider, key=KEY)
    assert report.passed
    assert report["stream"].status == "absent"
    assert report["usage"].status == "absent"


def test_a_thinker_whose_one_token_shows_nothing_passes(provider: Provider, server: Scripted) -> None:
    server.will(by_path(in_json(MODELS), answer(finish="length")))
    assert check(provider, key=KEY).passed


def test_a_model_that_refuses_so_short_an_answer_is_asked_for_more(
    provider: Provider, server: Scripted
) -> None:
    def chat(asked: Asked) -> Answer:
        if asked.body["max_tokens"] < 16:
            return refusal(400, "Could not finish: raise max_tokens, it must be at least 16")
        return Answer(CHAT)

    server.will(by_path(in_json(MODELS), chat))
    assert check(provider, key=KEY).passed


@pytest.mark.parametrize(
    ("models", "default", "listed", "asked"),
    [
        ((), None, ["m", "n"], "m"),
        ((), None, ["text-embedding-3", "bge-m3", "chat"], "chat"),
        ((), None, ["only-embed"], "only-embed"),
        (("a", "b"), None, ["b"], "b"),
        (("a", "b"), None, ["x"], "a"),
        (("a",), "mine", ["a", "mine"], "mine"),
        (("a",), "mine", ["a"], "a"),
        ((), "gemini", ["models/gemini"], "gemini"),
    ],
)
def test_the_default_model_is_asked_as_far_as_the_server_lists_it(
    server: Scripted, models: tuple[str, ...], default: str | None, listed: list[str], asked: str
) -> None:
    server.will(by_path(in_json({"data": [{"id": id_} for id_ in listed]}), CHAT))
    report = check(
        Provider(
            name="lab", base_url=server.url, models=tuple(Model(id=m) for m in models), default_model=default
        ),
        key=KEY,
    )
    assert report.model == asked
    assert server.asked[1].body["model"] == asked


@pytest.mark.parametrize(
    ("listing", "found"),
    [
        ({"data": [{"id": "a"}, {"id": "a"}, {}, {"id": 3}]}, ("a",)),
        ([{"id": "a"}, "b"], ("a", "b")),
        ({"models": [{"name": "a"}, {"model": "b"}]}, ("a", "b")),
        ({"data": "nothing"}, ()),
        (None, ()),
    ],
)
def test_lists_of_every_known_shape_are_read(server: Scripted, listing: Any, found: tuple[str, ...]) -> None:
    server.will(by_path(in_json(listing), CHAT))
    assert ids(check(Provider(name="lab", base_url=server.url), key=KEY)) == found


def test_a_presets_own_way_to_its_list_is_taken(server: Scripted) -> None:
    server.will(
        lambda asked: (
            in_json({"result": [{"id": "uuid", "name": "@cf/a"}]}) if asked.method == "GET" else Answer(CHAT)
        )
    )
    cloudflare = Provider(
        name="cf", preset="cloudflare", base_url=f"http://127.0.0.1:{server.port}/accounts/x/ai/v1"
    )
    assert ids(check(cloudflare, key=KEY)) == ("@cf/a",)
    assert server.asked[0].path == "/accounts/x/ai/models/search?task=Text+Generation&per_page=100"
    server.will(by_path(in_json(MODELS), CHAT))
    check(Provider(name="a", preset="anthropic", base_url=server.url), key=KEY)
    listing = server.asked[0]
    assert listing.headers["x-api-key"] == KEY
    assert "authorization" not in listing.headers
    server.will(Answer(CHAT))
    perplexity = Provider(name="p", preset="perplexity", base_url=server.url, models=(Model(id="sonar"),))
    assert check(perplexity, key=KEY).passed
    assert [asked.method for asked in server.asked] == ["POST"]


def test_a_query_of_the_base_url_is_kept(server: Scripted) -> None:
    server.will(by_path(in_json(MODELS), CHAT))
    check(Provider(name="lab", base_url=f"{server.url}?api-version=7"), key=KEY)
    assert [asked.path for asked in server.asked] == [
        "/v1/models?api-version=7", "/v1/chat/completions?api-version=7"
    ]  # fmt: skip


def test_nothing_that_listens_fails_the_reach_and_tries_no_more() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        report = check(
            Provider(name="lab", base_url=f"http://127.0.0.1:{unused.getsockname()[1]}/v1"), key=KEY
        )
    assert isinstance(report.error, errors.ConnectError)
    assert report.steps[0].status == "failed"
    assert {step.status for step in report.steps[1:]} == {"skipped"}


def test_a_name_that_does_not_resolve_fails_the_reach() -> None:
    report = check(Provider(name="lab", base_url="http://no-such-host.invalid/v1"), key=KEY)
    assert report["reach"].status == "failed"
    assert "no-such-host.invalid" in report["reach"].detail


def test_a_server_that_never_answers_is_given_up(provider: Provider, server: Scripted) -> None:
    server.will(by_path(Answer([Pause(30)]), CHAT))
    slow = replace(provider, network=Network(first_byte_timeout=1800))
    report = check(slow, key=KEY, timeout=0.3)
    assert isinstance(report.error, errors.DeadlineError)


def test_without_its_key_only_the_reach_is_tried(provider: Provider, server: Scripted) -> None:
    missing = errors.MissingKeyError("there is no API key for lab", provider="lab")
    report = check(provider, missing=missing)
    assert report.error is missing
    assert statuses(report)["reach"] == "ok"
    assert all("authorization" not in asked.headers for asked in server.asked)


def test_no_step_repeats_the_key_that_a_server_echoes(provider: Provider, server: Scripted) -> None:
    server.will(
        by_path(in_json({"data": [{"id": f"model of {KEY}"}]}), refusal(500, f"your key {KEY} broke me"))
    )
    report = check(provider, key=KEY)
    assert KEY not in repr(report)
    assert KEY not in str(report.error)


# --- what a model can do -----------------------------------------------------------------------------------


def traits(card: CapabilityCard) -> dict[str, str]:
    return {trait.name: trait.answer for trait in card.traits}


def able(asked: Asked) -> Answer:
    """A server that can everything."""
    body = asked.body
    if body.get("tools"):
        call = {"index": 0, "id": "c1", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}
        return Answer([*sse(delta(tool_calls=[call]), delta(finish="tool_calls")), DONE])
    if body.get("response_format"):
        return Answer(answer('{"colour": "blue"}'))
    return Answer([*sse(delta(reasoning_content="hm")), *CHAT])


def test_the_card_of_a_model_that_can_everything(provider: Provider, server: Scripted) -> None:
    server.will(able)
    card = explore(provider, "m", key=KEY)
    accepted = {trait.name for trait in card.traits if trait.answer == "accepted"}
    assert accepted == {"system prompt", *(trait.name for trait in card.traits if trait.group == "fields")}
    assert set(traits(card).values()) == {"yes", "accepted"}
    assert [trait.name for trait in card.traits if trait.group == "answers"] == [
        "streaming", "usage", "system prompt", "JSON object", "JSON schema", "tools", "reasoning"
    ]  # fmt: skip
    assert next(t.detail for t in card.traits if t.name == "reasoning") == "in reasoning_content"
    assert len(server.asked) == 6  # optional fields cost one request where all are taken


def test_what_is_taken_and_not_done_is_no_yes(provider: Provider, server: Scripted) -> None:
    server.will(CHAT)
    found = traits(explore(provider, "m", key=KEY))
    assert (found["JSON object"], found["JSON schema"], found["tools"]) == ("no", "no", "no")
    assert (found["streaming"], found["system prompt"], found["reasoning"]) == ("yes", "accepted", "no")


def test_refused_fields_are_named_and_the_memory_learns_them(
    provider: Provider, server: Scripted, tmp_path: Path
) -> None:
    def strict(asked: Asked) -> Answer:
        for name in ("response_format", "seed", "logprobs"):
            if name in asked.body:
                return refusal(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
        return able(asked)

    server.will(strict)
    memory = UnsupportedFieldCache(tmp_path / "repairs.json")
    found = traits(explore(provider, "m", key=KEY, memory=memory))
    refused = {"JSON object", "JSON schema", "seed", "logprobs"}
    assert {name for name, answer_ in found.items() if answer_ == "no"} == refused
    assert {repair.field for repair in memory.known(provider, "m")} == {"response_format", "seed", "logprobs"}


def test_a_server_that_refuses_whole_requests_is_asked_field_by_field(
    provider: Provider, server: Scripted
) -> None:
    server.will(lambda asked: refusal(400, "I do not like this") if "seed" in asked.body else able(asked))
    found = traits(explore(provider, "m", key=KEY))
    assert {name for name, answer_ in found.items() if answer_ == "no"} == {"seed"}


def test_a_failure_in_between_is_unknown_and_no_no(provider: Provider, server: Scripted) -> None:
    server.will(lambda asked: refusal(500, "oops") if "response_format" in asked.body else able(asked))
    network = replace(provider.network, retries=0)
    found = traits(explore(replace(provider, network=network), "m", key=KEY))
    assert (found["JSON object"], found["tools"]) == ("unknown", "yes")


def test_without_a_plain_answer_there_is_no_card(provider: Provider, server: Scripted) -> None:
    server.will(refusal(401, "no"))
    with pytest.raises(errors.AuthenticationError):
        explore(provider, "m", key=KEY)


def test_thoughts_between_tags_are_told_as_such(provider: Provider, server: Scripted) -> None:
    server.will(answer("<think>hm</think>", "Hello"))
    card = explore(provider, "m", key=KEY)
    assert next(t.detail for t in card.traits if t.name == "reasoning") == "between <think> tags in the text"


def test_a_card_repeats_no_key(provider: Provider, server: Scripted) -> None:
    server.will(lambda asked: refusal(400, f"bad {KEY}") if "tools" in asked.body else Answer(CHAT))
    assert KEY not in repr(explore(provider, "m", key=KEY))


# --- what is running on this machine -----------------------------------------------------------------------


def port_of(server: Scripted) -> str:
    return f"http://127.0.0.1:{server.port}/v1"


@pytest.mark.parametrize(
    ("owner", "preset"),
    [
        ("llamacpp", "llamacpp"),
        ("library", "ollama"),
        ("vllm", "vllm"),
        ("organization_owner", "lmstudio"),
        ("somebody", None),
    ],
)
def test_a_server_is_known_by_what_it_answers(server: Scripted, owner: str, preset: str | None) -> None:
    server.will(in_json({"object": "list", "data": [{"id": "m", "owned_by": owner}]}))
    assert discover([server.port]) == (
        LocalServer(base_url=port_of(server), preset=preset, models=(Model(id="m"),)),
    )
    assert all("authorization" not in asked.headers for asked in server.asked)


def test_a_server_that_wants_a_key_is_found_too(server: Scripted) -> None:
    server.will(refusal(401, "Invalid API Key"))
    assert discover([server.port]) == (LocalServer(base_url=port_of(server), needs_key=True),)


@pytest.mark.parametrize(
    "other",
    [
        Answer([b"<html>a website</html>"], headers={"content-type": "text/html"}),
        in_json({"hello": "world"}),
        in_json([1, 2]),
        refusal(404),
        refusal(500),
        Answer([Cut()]),
    ],
)
def test_what_is_no_such_server_is_passed_over(server: Scripted, other: Answer) -> None:
    server.will(other)
    assert discover([server.port]) == ()


def test_a_server_under_another_path_is_found_there(server: Scripted) -> None:
    server.will(lambda asked: in_json(MODELS) if asked.path == "/api/v1/models" else refusal(404))
    assert discover([server.port])[0].base_url == f"http://127.0.0.1:{server.port}/api/v1"


def test_all_are_asked_at_once_and_the_silent_cost_no_more_than_one() -> None:
    silent = [socket.create_server(("127.0.0.1", 0)) for _ in range(8)]
    with Scripted() as server:
        server.will(in_json(MODELS))
        started = time.monotonic()
        found = discover([server.port, *(each.getsockname()[1] for each in silent)], timeout=0.5)
        assert time.monotonic() - started < 4
    for each in silent:
        each.close()
    assert [each.base_url for each in found] == [port_of(server)]


def test_without_ports_those_of_the_presets_are_tried() -> None:
    tried = set(_addresses(()))
    assert {
        "http://127.0.0.1:11434/v1",
        "http://127.0.0.1:1234/v1",
        "http://127.0.0.1:8080/v1",
        "http://127.0.0.1:13305/api/v1",
    } <= tried
    assert all(address.startswith("http://127.0.0.1:") for address in tried)


class Stuck:
    """A transport whose servers take connections and say nothing until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.closed = False

    @contextlib.contextmanager
    def send(self, call: Call) -> Iterator[Reply]:
        self.let_go.wait(10)
        raise errors.DeadlineError("silent", phase="first byte", seconds=10)
        yield

    def close(self) -> None:
        self.closed = True


def test_all_that_hang_together_cost_one_deadline_and_a_borrowed_transport_stays_open() -> None:
    transport = Stuck()
    began = time.monotonic()
    try:
        assert discover(range(1, 21), timeout=0.1, transport=transport) == ()
    finally:
        transport.let_go.set()
    assert time.monotonic() - began < 2
    assert not transport.closed


def test_a_server_that_lists_nothing_says_why(provider: Provider, server: Scripted) -> None:
    server.will(by_path(refusal(404), refusal(404)))
    report = check(provider)
    assert isinstance(report.unlisted, errors.NotFoundError)
    assert (report.passed, report.error, report.model) == (False, None, None)


def test_a_provider_that_could_not_even_be_asked_has_a_whole_report() -> None:
    error = errors.LocalModelError("gone")
    report = CheckReport.unreached("lab", error)
    assert [step.name for step in report.steps] == list(STEPS)
    assert (report.passed, report.error, report["reach"].status) == (False, error, "failed")


@pytest.mark.parametrize(
    ("base", "api"),
    [
        ("/api", "/api/v1"),
        ("/api", "/v1"),
        ("", "/v1"),
        ("/", "/api/v1"),
        ("", "/openai/v1"),
        ("/v1", "/v1beta/openai"),
        ("/compatible-mode", "/compatible-mode/v1"),
        ("/v1/v1", "/v1"),
    ],
)
@pytest.mark.parametrize("wrong", [refusal(404), Answer([b"<html>"], headers={"content-type": "text/html"})])
@pytest.mark.parametrize("answer", [in_json({"data": [{"id": "m"}]}), refusal(401)])
def test_the_usual_places_of_an_api_are_looked_at_without_the_key(
    server: Scripted, base: str, api: str, wrong: Answer, answer: Answer
) -> None:
    root = server.url.removesuffix("/v1")
    server.will(lambda asked: answer if asked.path == f"{api}/models" else wrong)
    report = check(Provider(name="lab", base_url=f"{root}{base}", headers={"X-Team": "secret"}), key=KEY)
    assert report.suggested_base == f"{root}{api}"
    assert not report.passed
    others = [asked for asked in server.asked if asked.path != f"{base.rstrip('/')}/models"]
    assert others
    assert all("authorization" not in asked.headers and "x-team" not in asked.headers for asked in others)


def test_nothing_is_suggested_where_nothing_answers_or_a_chat_works(server: Scripted) -> None:
    server.will(refusal(404))
    assert check(Provider(name="lab", base_url=server.url), key=KEY).suggested_base is None
    server.will(by_path(refusal(404), CHAT))
    lab = Provider(name="lab", base_url=server.url, models=(Model(id="m"),))
    assert check(lab, key=KEY).suggested_base is None
    assert len(server.asked) == 2
