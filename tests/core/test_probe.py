"""Probing: checks of providers that work, refuse or are unreachable; capabilities of models; local servers."""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from scripted import DONE, Answer, Asked, Cut, Scripted, answer, delta, sse
from servers import CHAT, MODELS, by_path, in_json, refusal

from provider_core import errors
from provider_core.http.transport import HttpTransport
from provider_core.probe import STEPS, CheckReport, CheckStep, LocalServer, check, discover
from provider_core.probe.explore import CapabilityCard, explore
from provider_core.request import UnsupportedFieldCache
from provider_core.types import Model, Provider

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-canary-0123456789abcdef"


@pytest.fixture
def provider(server: Scripted) -> Provider:
    server.will(by_path(in_json(MODELS), CHAT))
    return Provider(name="lab", base_url=server.url)


def ids(report: CheckReport) -> tuple[str, ...]:
    return tuple(model.id for model in report.models)


def statuses(report: CheckReport) -> dict[str, str]:
    return {step.name: step.status for step in report.steps}


def test_working_server_passes_every_step(provider: Provider, server: Scripted) -> None:
    steps: list[CheckStep] = []
    report = check(provider, key=KEY, on_step=steps.append)
    assert report.passed
    assert statuses(report) == dict.fromkeys(STEPS, "ok")
    assert sorted(step.name for step in steps) == sorted(STEPS)
    assert (ids(report), report.model, report["usage"].detail) == (("m", "n"), "m", "9 in, 1 out")
    assert report["auth"].detail == "the key is accepted for m"
    assert all(0 <= (report[name].seconds or -1) < 10 for name in STEPS)
    listing, chat = server.asked
    assert (listing.method, listing.path, chat.path) == ("GET", "/v1/models", "/v1/chat/completions")
    assert listing.headers["authorization"] == chat.headers["authorization"] == f"Bearer {KEY}"
    assert chat.body["max_tokens"] == 1
    assert server.connections == 1


def test_echoed_secrets_are_redacted_in_every_step(provider: Provider, server: Scripted) -> None:
    secrets = ("sid=0123456789abcdef", "hunter22hunter22")
    named = replace(provider, headers={"Cookie": secrets[0], "X-Password": secrets[1]})
    refused = refusal(401, f"bad {' '.join(secrets)} and {KEY}")
    server.will(by_path(in_json({"data": [{"id": f"model of {KEY}"}]}), refused))
    steps: list[CheckStep] = []
    report = check(named, key=KEY, on_step=steps.append)
    assert any("[redacted]" in step.detail for step in steps)
    assert not any(secret in step.detail for step in steps for secret in (*secrets, KEY))
    assert KEY not in repr(report) + str(report.error)


def test_refused_chat_fails_although_the_list_is_public(provider: Provider, server: Scripted) -> None:
    server.will(by_path(in_json(MODELS), refusal(401, "bad key")))
    report = check(provider, key=KEY)
    assert statuses(report) == {
        "reach": "ok", "models": "ok", "auth": "failed", "stream": "skipped", "usage": "skipped"
    }  # fmt: skip
    assert not report.passed
    assert isinstance(report.error, errors.AuthenticationError)


@pytest.mark.parametrize(
    ("listing", "status", "detail"),
    [
        (refusal(404), "absent", "lists none"),
        (refusal(405), "absent", "lists none"),
        (refusal(500), "failed", "internal error"),
        (refusal(401), "failed", "401"),  # a restricted key may chat and not list
        (Answer([b"<html>hello</html>"], headers={"content-type": "text/html"}), "absent", "web page"),
        (in_json({"error": "Unexpected endpoint or method. (GET /v1/models)"}), "absent", "lists none"),
    ],
)
def test_chat_passes_without_a_list(server: Scripted, listing: Answer, status: str, detail: str) -> None:
    server.will(by_path(listing, CHAT))
    known = (Model(id="embed-1", kind="embedding"), Model(id="m"))
    for models, before in (((Model(id="m"),), ()), ((), known)):
        report = check(Provider(name="lab", base_url=server.url, models=models), key=KEY, known=before)
        assert report.passed
        assert report.error is None
        assert (statuses(report)["models"], report.model) == (status, "m")
        assert detail in report["models"].detail
        assert report.models == ()


def test_without_a_model_no_chat_is_tried(server: Scripted) -> None:
    lab = Provider(name="lab", base_url=server.url)
    server.will(by_path(in_json({"object": "list", "data": None}), CHAT))
    report = check(replace(lab, auth="none"))
    assert [step.status for step in report.steps] == ["ok", "ok", "skipped", "skipped", "skipped"]
    assert (report.error, report.passed) == (None, False)
    server.will(by_path(refusal(401), CHAT))
    assert isinstance(check(lab, key=KEY).error, errors.AuthenticationError)
    server.will(by_path(refusal(404), refusal(404)))
    report = check(lab)
    assert isinstance(report.unlisted, errors.NotFoundError)
    assert (report.passed, report.error, report.model) == (False, None, None)
    assert all(asked.method == "GET" for asked in server.asked)


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
def test_refused_chat_fails_the_step_that_it_concerns(
    provider: Provider, server: Scripted, answer_: Answer, error: type[errors.CoreError], auth: str
) -> None:
    server.will(by_path(in_json(MODELS), answer_))
    report = check(provider, key=KEY)
    assert type(report.error) is error
    assert statuses(report)["auth"] == auth
    assert not report.passed
    assert len(server.asked) == 2  # nothing is retried


def test_cut_stream_fails_and_an_answer_in_one_piece_passes(provider: Provider, server: Scripted) -> None:
    server.will(by_path(in_json(MODELS), [*sse(delta("Hel")), Cut()]))
    report = check(provider, key=KEY)
    assert (report["auth"].status, report["stream"].status) == ("ok", "failed")
    assert isinstance(report.error, errors.NetworkError)
    whole = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "Hello"}}]}
    server.will(by_path(in_json(MODELS), in_json(whole)))
    report = check(provider, key=KEY)
    assert report.passed
    assert (report["stream"].status, report["usage"].status) == ("absent", "absent")
    server.will(by_path(in_json(MODELS), answer(finish="length")))  # one token of reasoning shows nothing
    report = check(provider)
    assert (report.passed, report["auth"].detail) == (True, "no key is needed")


def test_model_that_refuses_one_token_is_asked_for_more(provider: Provider, server: Scripted) -> None:
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
def test_asked_model_is_the_default_that_the_server_lists(
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


def test_unreachable_server_fails_the_first_step_and_skips_the_others() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        report = check(Provider(name="lab", base_url=url), key=KEY)
    assert isinstance(report.error, errors.NetworkError)
    assert report.steps[0].status == "failed"
    assert {step.status for step in report.steps[1:]} == {"skipped"}
    report = check(Provider(name="lab", base_url="http://no-such-host.invalid/v1"), key=KEY)
    assert report["reach"].status == "failed"
    assert "no-such-host.invalid" in report["reach"].detail
    error = errors.LocalModelError("gone")
    report = CheckReport.unreached("lab", error)
    assert [step.name for step in report.steps] == list(STEPS)
    assert (report.passed, report.error, report["reach"].status) == (False, error, "failed")


def test_without_a_key_only_the_connection_is_checked(provider: Provider, server: Scripted) -> None:
    missing = errors.MissingKeyError("there is no API key for lab", provider="lab")
    report = check(provider, missing=missing)
    assert report.error is missing
    assert statuses(report)["reach"] == "ok"
    assert all("authorization" not in asked.headers for asked in server.asked)


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


def test_capable_model_has_every_trait(provider: Provider, server: Scripted) -> None:
    server.will(able)
    card = explore(provider, "m", key=KEY)
    accepted = {trait.name for trait in card.traits if trait.answer == "accepted"}
    assert accepted == {"system message", *(trait.name for trait in card.traits if trait.group == "fields")}
    assert set(traits(card).values()) == {"yes", "accepted"}
    assert [trait.name for trait in card.traits if trait.group == "answers"] == [
        "streaming", "usage", "system message", "JSON object", "JSON schema", "tools", "reasoning"
    ]  # fmt: skip
    assert next(t.detail for t in card.traits if t.name == "reasoning") == "in reasoning_content"
    assert len(server.asked) == 6  # optional fields cost one request where all are taken


def test_field_without_effect_is_a_no(provider: Provider, server: Scripted) -> None:
    server.will(answer("Hello"))
    assert traits(explore(provider, "m", key=KEY))["usage"] == "no"
    server.will(CHAT)
    found = traits(explore(provider, "m", key=KEY))
    assert (found["JSON object"], found["JSON schema"], found["tools"]) == ("no", "no", "no")
    assert (found["streaming"], found["system message"], found["reasoning"]) == ("yes", "accepted", "no")


def test_refused_fields_are_reported_and_remembered(
    provider: Provider, server: Scripted, tmp_path: Path
) -> None:
    def strict(asked: Asked) -> Answer:
        for name in ("response_format", "seed", "logprobs"):
            if name in asked.body:
                return refusal(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
        return able(asked)

    server.will(strict)
    cache = UnsupportedFieldCache(tmp_path / "repairs.json")
    found = traits(explore(provider, "m", key=KEY, cache=cache))
    refused = {"JSON object", "JSON schema", "seed", "logprobs"}
    assert {name for name, answer_ in found.items() if answer_ == "no"} == refused
    assert {repair.field for repair in cache.known(provider, "m")} == {"response_format", "seed", "logprobs"}


def test_fields_are_tried_one_by_one_if_all_are_refused(provider: Provider, server: Scripted) -> None:
    server.will(lambda asked: refusal(400, "I do not like this") if "seed" in asked.body else able(asked))
    found = traits(explore(provider, "m", key=KEY))
    assert {name for name, answer_ in found.items() if answer_ == "no"} == {"seed"}


def test_failed_request_leaves_a_trait_unknown(provider: Provider, server: Scripted) -> None:
    server.will(lambda asked: refusal(500, "oops") if "response_format" in asked.body else able(asked))
    network = replace(provider.network, retries=0)
    found = traits(explore(replace(provider, network=network), "m", key=KEY))
    assert (found["JSON object"], found["tools"]) == ("unknown", "yes")


def test_card_needs_one_answer_and_never_contains_the_key(provider: Provider, server: Scripted) -> None:
    server.will(refusal(401, "no"))
    with pytest.raises(errors.AuthenticationError):
        explore(provider, "m", key=KEY)
    thinking = answer("<think>hm</think>", "Hello")
    server.will(lambda asked: refusal(400, f"bad {KEY}") if "tools" in asked.body else Answer(thinking))
    card = explore(provider, "m", key=KEY)
    assert KEY not in repr(card)
    assert next(t.detail for t in card.traits if t.name == "reasoning") == "between <think> tags in the text"


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
def test_local_server_is_recognized_by_its_list(server: Scripted, owner: str, preset: str | None) -> None:
    server.will(in_json({"object": "list", "data": [{"id": "m", "owned_by": owner}]}))
    assert discover([server.port]) == (
        LocalServer(base_url=port_of(server), preset=preset, models=(Model(id="m"),)),
    )
    assert all("authorization" not in asked.headers for asked in server.asked)


def test_local_server_may_want_a_key_or_have_another_path(server: Scripted) -> None:
    server.will(refusal(401, "Invalid API Key"))
    assert discover([server.port]) == (LocalServer(base_url=port_of(server), needs_key=True),)
    server.will(lambda asked: in_json(MODELS) if asked.path == "/api/v1/models" else refusal(404))
    assert discover([server.port])[0].base_url == f"http://127.0.0.1:{server.port}/api/v1"


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
def test_other_services_are_ignored(server: Scripted, other: Answer) -> None:
    server.will(other)
    assert discover([server.port]) == ()


def test_all_ports_are_asked_at_once(server: Scripted) -> None:
    server.will(in_json(MODELS))
    with contextlib.ExitStack() as opened:
        silent = [opened.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(20)]
        transport = opened.enter_context(contextlib.closing(HttpTransport()))
        ports = [server.port, *(each.getsockname()[1] for each in silent)]
        started = time.monotonic()
        found = discover(ports, timeout=3, transport=transport)
        assert time.monotonic() - started < 30
        assert [each.base_url for each in found] == [port_of(server)]
        assert len(discover([server.port], transport=transport)) == 1  # it was not closed


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
def test_other_base_url_is_found_without_sending_the_key(
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


def test_no_other_base_url_is_suggested_if_none_answers_or_the_chat_works(server: Scripted) -> None:
    server.will(refusal(404))
    assert check(Provider(name="lab", base_url=server.url), key=KEY).suggested_base is None
    server.will(by_path(refusal(404), CHAT))
    lab = Provider(name="lab", base_url=server.url, models=(Model(id="m"),))
    assert check(lab, key=KEY).suggested_base is None
    assert len(server.asked) == 2
