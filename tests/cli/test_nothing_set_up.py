"""What answers when no provider is set up: a preset whose key is in the environment, or the embedded model."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from inprocess import Inside
from running import COMMAND
from terminal import Pty

from provider_core.errors import (
    AuthenticationError,
    CoreError,
    DeadlineError,
    ModelNotFoundError,
    RateLimitError,
    TLSError,
)
from telex.app import App

if TYPE_CHECKING:
    from pathlib import Path

    from running import Telex

KEY = "sk-test-0123456789abcdef"


@pytest.fixture
def fresh(tmp_path: Path) -> Inside:
    return Inside(tmp_path / "home")


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--jsonl",), ("--dry-run",), ("-o", "out.txt")])
def test_chat_without_a_terminal_exits_4(
    fresh: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = fresh("chat", "2+2?", *arguments)
    assert ran.code == 4
    assert ran.err.startswith("telex: no provider is set up\n")
    assert "telex providers add openai" in ran.err
    assert "-m local" in ran.err
    if arguments[:1] in (("--json",), ("--jsonl",)):
        last = ran.text if arguments == ("--json",) else ran.text.splitlines()[-1]
        assert "no provider is set up" in json.loads(last)["error"]["message"]
    assert not (tmp_path / "out.txt").exists()


@pytest.mark.parametrize("env", [{}, {"TELEX_MODEL": "local"}])
def test_embedded_model_answers_if_it_is_named(fresh: Inside, env: dict[str, str]) -> None:
    named = () if env else ("-m", "local")
    ran = fresh("chat", *named, "--dry-run", "2+2?", env=env)
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.text)["body"]["model"] == "smollm2-135m-instruct"


def test_embedded_model_is_shown_as_the_default_of_terminals(fresh: Inside) -> None:
    row = r"default +used without -m"
    assert re.search(f"{row} on a terminal$", fresh("models", "show", "local").text, re.MULTILINE)
    fresh.configure('model = "local"')
    assert re.search(f"{row}$", fresh("models", "show", "local").text, re.MULTILINE)


def test_terminal_shows_a_note_about_the_embedded_model(telex: Telex) -> None:
    with Pty([str(COMMAND), "chat", "--dry-run", "2+2?"], env=telex.env) as terminal:
        assert terminal.wait() == 0
        shown = " ".join(terminal.text.split())
    assert "No provider is set up; using local/smollm2-135m-instruct, a small embedded model" in shown
    assert "often wrong. To set up a provider: telex providers add openai" in shown


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (RateLimitError("x", provider="groq"), "telex providers add groq --retries 5"),
        (
            DeadlineError("x", provider="groq", phase="idle", seconds=5),
            "telex providers add groq --idle-timeout 10",
        ),
        (TLSError("x", provider="groq"), "telex providers add groq --ca-bundle FILE"),
        (AuthenticationError("x", provider="groq"), "Store one: telex providers add groq"),
        (ModelNotFoundError("x", provider="groq"), "telex models list --provider groq"),
    ],
)
def test_advice_about_a_preset_that_is_not_set_up_is_to_add_it(
    tmp_path: Path, error: CoreError, advice: str
) -> None:
    if isinstance(error, TLSError):
        error.cause = "issuer"
    app = App(environ={"TELEX_HOME": str(tmp_path), "GROQ_API_KEY": KEY})
    assert app.target("groq/m").provider.name == "groq"
    hint = app.advice(error)[1]
    assert hint is not None
    assert advice in hint
    assert "providers edit" not in hint


@pytest.mark.parametrize("model", ["groq/some-model", "GROQ/some-model"])
def test_preset_with_its_key_in_the_environment_can_be_named(fresh: Inside, model: str) -> None:
    ran = fresh("chat", "-m", model, "--dry-run", "hi", env={"GROQ_API_KEY": KEY, "OPENAI_API_KEY": KEY})
    assert (ran.code, ran.err) == (0, "")
    request = json.loads(ran.text)
    assert request["url"] == "https://api.groq.com/openai/v1/chat/completions"
    assert request["body"]["model"] == "some-model"
    assert KEY not in ran.text
    assert fresh("chat", "-m", model, "--dry-run", "hi", env={"GROQ_API_KEY": " "}).code == 3


def test_only_key_in_the_environment_selects_the_default(fresh: Inside) -> None:
    ran = fresh("chat", "--dry-run", "hi", env={"DEEPSEEK_API_KEY": KEY})
    assert ran.code == 0
    assert json.loads(ran.text)["url"].startswith("https://api.deepseek.com")
    assert "No provider is set up; using deepseek/" in ran.err
    assert "because DEEPSEEK_API_KEY is set." in ran.err
    assert "deepseek/" in fresh("models", "list", env={"DEEPSEEK_API_KEY": KEY}).text
    assert "ok\tmodels\tdefault\tdeepseek/" in fresh("doctor", env={"DEEPSEEK_API_KEY": KEY}).text


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        (["GROQ_API_KEY", "OPENAI_API_KEY"], ["-m groq", "-m openai"]),
        (["DASHSCOPE_API_KEY"], ["-m qwen", "-m qwen-cn"]),  # one key for several regions
    ],
)
def test_several_keys_in_the_environment_are_listed(
    fresh: Inside, variables: list[str], named: list[str]
) -> None:
    ran = fresh("chat", "--dry-run", "hi", env=dict.fromkeys(variables, KEY))
    assert (ran.code, ran.out) == (4, b"")
    assert all(each in ran.err for each in named)


def test_variables_of_an_address_come_from_the_environment(fresh: Inside) -> None:
    env = {"CLOUDFLARE_API_TOKEN": KEY}
    assert fresh("chat", "--dry-run", "hi", env=env).code == 4
    ran = fresh("chat", "--dry-run", "hi", env={**env, "CLOUDFLARE_ACCOUNT_ID": "abc123"})
    assert "/abc123/" in json.loads(ran.text)["url"]


def test_settings_take_precedence_over_the_environment(fresh: Inside) -> None:
    fresh.configure(
        '[providers.lab]\nbase_url = "http://127.0.0.1:9/v1"\nkey = "none"\nmodels = ["gpt-oss"]\n'
        '[providers.groq]\nbase_url = "http://127.0.0.1:9/v1"\nkey = "none"\nmodels = ["m"]\nenabled = false\n'
    )
    env = {"GROQ_API_KEY": KEY, "DEEPSEEK_API_KEY": KEY}
    ran = fresh("chat", "--dry-run", "hi", env=env)
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.text)["url"].startswith("http://127.0.0.1:9/")
    assert fresh("chat", "-m", "groq", "--dry-run", "hi", env=env).code == 3
    assert fresh("providers", "edit", "deepseek", "--retries", "3", env=env).code == 3


def test_preset_with_its_key_in_the_environment_is_listed_and_shown(fresh: Inside) -> None:
    env = {"GROQ_API_KEY": KEY}
    row = fresh("providers", "list", env=env).text.rstrip("\n").split("\t")
    assert row[0:1] + row[2:4] == ["groq", "GROQ_API_KEY", "environment"]
    (found,) = json.loads(fresh("providers", "list", "--json", env=env).text)
    assert (found["name"], found["enabled"], found["set_up"]) == ("groq", True, False)
    card = fresh("providers", "show", "GROQ", env=env)
    assert (card.code, "state\tenvironment\n" in card.text) == (0, True)
    assert "key: GROQ_API_KEY; can be used" in fresh("doctor", "providers", env=env).text
    assert fresh("providers", "list").text == ""
    assert fresh("providers", "show", "groq").code == 3
