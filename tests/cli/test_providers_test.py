"""``telex providers test``: its report in a pipe and as JSON, and its exit codes."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

import pytest
from inprocess import Inside
from scripted import Answer, Pause, Scripted, answer
from servers import MODELS, by_path, in_json, refusal

from provider_core.testing import FakeKeyStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "sk-canary-0123456789abcdef"
STEPS = ["reach", "models", "auth", "stream", "usage"]


@pytest.fixture
def telex(tmp_path: Path) -> Inside:
    return Inside(tmp_path / "home")


@pytest.fixture
def second() -> Iterator[Scripted]:
    with Scripted() as scripted:
        yield scripted


def configure(telex: Inside, **urls: str) -> None:
    telex.configure(
        "".join(f'[providers.{name}]\nbase_url = "{url}"\nkey = "none"\n' for name, url in urls.items())
    )


def test_report_in_a_pipe(telex: Inside, server: Scripted, second: Scripted) -> None:
    server.will(by_path())
    second.will(by_path(models=refusal(404), chat=refusal(500, "broken")))
    configure(telex, good=server.url, bad=second.url)
    ran = telex("providers", "test", "--all")
    good, bad = (line.split("\t") for line in ran.text.splitlines())
    assert good[:2] == ["good", "passed"]
    assert good[-1] == "m"
    assert [cell.split()[0] for cell in good[2:7]] == ["ok"] * 5
    assert all(cell.endswith(" ms") for cell in good[2:6])
    assert bad[:2] == ["bad", "failed"]
    assert ran.code == 3  # bad has no model to ask: it lists none
    assert "telex providers test bad --model ID" in ran.err


def test_report_as_json(telex: Inside, server: Scripted) -> None:
    server.will(by_path())
    configure(telex, lab=server.url)
    ran = telex("providers", "test", "--json")
    assert ran.code == 0, ran.err
    (found,) = json.loads(ran.out)
    assert (found["provider"], found["passed"], found["model"], found["models"]) == ("lab", True, "m", 2)
    assert list(found["steps"]) == STEPS
    assert found["steps"]["auth"]["status"] == "ok"
    assert 0 < found["steps"]["auth"]["seconds"] < 10
    assert found["steps"]["auth"]["error"] is None


@pytest.mark.parametrize(
    ("chat", "models", "code"),
    [
        (refusal(401), None, 4), (refusal(402), None, 5), (refusal(500), None, 6),
        (refusal(404, "no such model m"), None, 3), (None, refusal(401), 4), (None, refusal(500), 6),
        (None, refusal(404), 3),
        (None, in_json({"error": {"message": "No db.", "type": "no_db_connection", "code": "400"}}, 400), 4),
    ],
)  # fmt: skip
def test_exit_code_is_that_of_what_failed(
    telex: Inside, server: Scripted, chat: Answer | None, models: Answer | None, code: int
) -> None:
    server.will(by_path(**({"chat": chat} if chat else {"models": models})))
    configure(telex, lab=server.url)
    ran = telex("providers", "test", "lab", "--json")
    assert (ran.code, json.loads(ran.out)[0]["passed"], "lab" in ran.err) == (code, False, True)


def test_different_failures_exit_1(telex: Inside, server: Scripted, second: Scripted) -> None:
    server.will(by_path(chat=refusal(401)))
    second.will(by_path(chat=refusal(500)))
    configure(telex, one=server.url, two=second.url)
    ran = telex("providers", "test", "--all")
    assert ran.code == 1
    assert ran.err.count("telex: ") == 2
    second.will(by_path(chat=refusal(401)))
    server.will(by_path(chat=refusal(401)))
    assert telex("providers", "test", "--all").code == 4
    server.will(by_path())
    assert telex("providers", "test", "--all").code == 4


def test_providers_are_tested_at_the_same_time(telex: Inside, server: Scripted, second: Scripted) -> None:
    both = threading.Barrier(2, timeout=60)

    def meet(_: object) -> object:
        both.wait()
        return in_json(MODELS)

    for each in (server, second):
        each.will(by_path(models=meet))
    configure(telex, one=server.url, two=second.url)
    ran = telex("providers", "test", "--all")
    assert ran.code == 0, ran.err


def test_silent_server_is_given_up_after_the_timeout(telex: Inside, server: Scripted) -> None:
    server.will(by_path(chat=[Pause(60)]))
    configure(telex, lab=server.url)
    started = time.monotonic()
    ran = telex("providers", "test", "--timeout", "0.4")
    assert ran.code == 7
    assert time.monotonic() - started < 30


def test_disabled_provider_is_tested_only_by_name(telex: Inside, server: Scripted, second: Scripted) -> None:
    server.will(by_path())
    second.will(by_path())
    configure(telex, one=server.url, two=second.url)
    telex("providers", "edit", "two", "--disable")
    assert [line.split("\t")[0] for line in telex("providers", "test", "--all").text.splitlines()] == ["one"]
    assert telex("providers", "test", "two", "--model", "other").text.startswith("two\tpassed")
    assert second.asked[-1].body["model"] == "other"


def test_which_providers_to_test_must_be_clear(telex: Inside) -> None:
    assert telex("providers", "test").code == 4
    configure(telex, one="http://127.0.0.1:1", two="http://127.0.0.1:1")
    ran = telex("providers", "test")
    assert ran.code == 2
    assert "--all" in ran.err
    assert telex("providers", "test", "one", "--all").code == 2
    assert telex("providers", "test", "nobody").code == 3
    assert telex("providers", "test", "one", "two", "--model", "m").code == 2


def test_broken_keyring_fails_auth_and_is_asked_once(telex: Inside, server: Scripted) -> None:
    telex.store = store = FakeKeyStore(broken="the keyring did not answer within 3 s")
    server.will(by_path())
    telex.configure(
        "".join(
            f'[providers.{name}]\nbase_url = "{server.url}"\nkey = "keyring"\n'
            for name in ("one", "two", "three")
        )
    )
    ran = telex("providers", "test", "--all", "--json")
    assert ran.code == 4
    assert store.asked == [("get", "one")]
    for found in json.loads(ran.out):
        assert found["steps"]["reach"]["status"] == "ok"
        assert found["steps"]["auth"]["error"] == "KeyStoreError"
    assert all("authorization" not in asked.headers for asked in server.asked)


def test_missing_model_file_fails_only_its_provider(telex: Inside, server: Scripted, tmp_path: Path) -> None:
    server.will(by_path())
    configure(telex, good=server.url)
    telex.configure(
        telex.settings.read_text()
        + "".join(f'[providers.{name}]\ngguf = "{tmp_path / name}.gguf"\nkey = "none"\n' for name in "ab")
    )
    ran = telex("providers", "test", "--all", "--json")
    good, *gone = json.loads(ran.out)
    assert good["passed"]
    assert [found["provider"] for found in gone] == ["a", "b"]
    for found in gone:
        assert list(found["steps"]) == STEPS
        assert found["steps"]["reach"]["status"] == "failed"
        assert found["steps"]["reach"]["error"]
    assert ran.code == 3


def test_deep_test_prints_a_card_and_chats_use_what_it_found(telex: Inside, server: Scripted) -> None:
    def strict(asked: object) -> object:
        body = asked.body  # type: ignore[attr-defined]
        if "seed" in body:
            return refusal(400, "Unknown parameter: 'seed'.", param="seed", code="unknown_parameter")
        return answer("Hello", usage={"prompt_tokens": 1, "completion_tokens": 1})

    server.will(by_path(chat=strict))
    configure(telex, lab=server.url)
    ran = telex("providers", "test", "lab", "--deep")
    assert ran.code == 0, ran.err
    lines = [line.split("\t") for line in ran.text.splitlines()[1:]]
    traits = {name: answer_ for _, name, answer_, _ in lines}
    assert {title for title, *_ in lines} == {"lab/m"}
    assert (traits["streaming"], traits["seed"], traits["temperature"]) == ("yes", "no", "accepted")
    server.asked.clear()
    assert telex("chat", "--no-stdin", "-m", "lab/m", "-p", "seed=1", "hi").code == 0
    assert [("seed" in asked.body) for asked in server.asked] == [False]  # known, and not sent at all
    ran = telex("providers", "test", "lab", "--deep", "--json")
    assert json.loads(ran.out)[0]["card"]["traits"]["tools"]["answer"] == "no"


@pytest.mark.parametrize("status", [401, 500, 404])
def test_known_list_is_used_if_the_server_gives_none(telex: Inside, server: Scripted, status: int) -> None:
    configure(telex, lab=server.url)
    server.will(by_path())
    telex("models", "list", "--refresh")
    server.will(by_path(models=refusal(status)))
    ran = telex("providers", "test", "lab")
    assert ran.code == 0, ran.err
    assert ran.text.split("\t")[3].split()[0] == ("absent" if status == 404 else "failed")
    assert ran.text.rstrip().endswith("m")
