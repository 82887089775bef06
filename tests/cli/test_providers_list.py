"""``telex providers list``, ``show`` and ``presets``: what is shown, in which form, and what it costs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from inprocess import Inside
from listings import listing
from scripted import Scripted, answer

from provider_core.keys import MemoryStore
from provider_core.presets import models

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-canary-0123456789abcdef"

SETTINGS = """
model = "open/m"

[aliases]
fast = "kept/x"

[providers.open]
base_url = "http://127.0.0.1:1/v1"
key = "none"
models = ["m", "n"]

[providers.kept]
base_url = "https://host.invalid/v1"
key = "keyring"
display_name = "Kept one"

[providers.varied]
preset = "deepseek"
enabled = false

[providers.commanded]
base_url = "https://host.invalid/v1"
key_command = "pass lab"
headers = {X-Team = "a", X-Api-Key = "env:TEAM_KEY"}
proxy = "http://me:hunter22@proxy.invalid:3128"
connect_timeout = 2.5

[providers.wanting]
base_url = "https://host.invalid/v1"
"""


class Untouchable(MemoryStore):
    """A keyring that must not be opened."""

    def get(self, name: str) -> str | None:
        raise AssertionError("the keyring was opened")


@pytest.fixture
def telex(tmp_path: Path) -> Inside:
    telex = Inside(tmp_path / "home", Untouchable())
    telex.configure(SETTINGS)
    return telex


def test_list_in_a_pipe(telex: Inside) -> None:
    ran = telex("providers", "list")
    assert ran.text.splitlines() == [
        "open\thttp://127.0.0.1:1/v1\tnone needed\ton\tm",
        "kept\thttps://host.invalid/v1\tkeyring\ton\t\tKept one",
        f"varied\thttps://api.deepseek.com\tDEEPSEEK_API_KEY (not set)\toff\t{models('deepseek')[0].id}",
        "commanded\thttps://host.invalid/v1\tkey command\ton\t",
        "wanting\thttps://host.invalid/v1\tmissing\ton\t",
    ]
    assert ran.err == ""


def test_list_as_json(telex: Inside) -> None:
    ran = telex("providers", "list", "--json", env={"DEEPSEEK_API_KEY": KEY})
    found = {each["name"]: each for each in json.loads(ran.out)}
    assert found["varied"]["key"] == {"source": "variable", "variable": "DEEPSEEK_API_KEY", "ready": True}
    assert found["kept"]["key"] == {"source": "keyring", "variable": None, "ready": True}
    assert found["wanting"]["key"] == {"source": "variable", "variable": None, "ready": False}
    assert found["kept"]["display_name"] == "Kept one"
    assert found["open"]["models_declared"] == ["m", "n"]
    assert found["varied"]["enabled"] is False
    for secret in (KEY, "sk-hidden", "hunter22"):
        assert secret.encode() not in ran.out


def test_check_keys_shows_no_more_than_the_end_of_a_key(tmp_path: Path) -> None:
    telex = Inside(tmp_path / "home", MemoryStore(kept=KEY))
    telex.configure(SETTINGS)
    ran = telex("providers", "list", "--check-keys", env={"DEEPSEEK_API_KEY": "short"})
    keys = {line.split("\t")[0]: line.split("\t")[2] for line in ran.text.splitlines()}
    assert (keys["kept"], keys["varied"]) == ("keyring …cdef", "DEEPSEEK_API_KEY …")
    assert KEY[:-4] not in ran.text
    found = {
        each["name"]: each["key"]
        for each in json.loads(telex("providers", "list", "--check-keys", "--json").out)
    }
    assert (found["kept"]["found"], found["kept"]["ending"]) == (True, "cdef")
    telex.store.delete("kept")
    assert "keyring (not there)" in telex("providers", "list", "--check-keys").text


def test_empty_list_says_how_to_begin(tmp_path: Path) -> None:
    telex = Inside(tmp_path / "home")
    ran = telex("providers", "list")
    assert (ran.code, ran.out, "telex providers add" in ran.err) == (0, b"", True)
    assert telex("providers", "list", "--json").out == b"[]\n"


def test_show_prints_the_settings_and_what_uses_the_provider(telex: Inside) -> None:
    ran = telex("providers", "show", "commanded")
    fields = dict(line.split("\t", 1) for line in ran.text.splitlines())
    assert fields == fields | {
        "key command": "pass lab", "headers": "X-Api-Key: env:TEAM_KEY, X-Team: a", "connect timeout": "2.5",
        "proxy": "http://proxy.invalid:3128",
    }  # fmt: skip
    assert "used by\tdefault model\n" in telex("providers", "show", "open").text
    assert json.loads(telex("providers", "show", "kept", "--json").out)["pointed_at_by"] == ["aliases.fast"]
    ran = telex("providers", "show", "keept")
    assert (ran.code, "kept" in ran.err) == (3, True)
    assert "telex providers add openai" in telex("providers", "show", "openai").err


def test_show_names_the_default_model_that_a_chat_uses(telex: Inside, server: Scripted) -> None:
    telex.configure(f'[providers.mine]\npreset = "deepseek"\nbase_url = "{server.url}"\nkey = "none"\n')
    server.will(listing("other-model"), answer("Hello"))
    telex("models", "list", "--refresh")
    assert json.loads(telex("providers", "show", "mine", "--json").text)["default_model"] == "other-model"
    assert "default model\tother-model" in telex("providers", "show", "mine").text
    assert telex("chat", "--no-save", "-m", "mine", "hi").code == 0
    assert server.asked[-1].body["model"] == "other-model"


def test_presets_are_found_by_name_address_and_keyword(telex: Inside) -> None:
    assert telex("providers", "presets", "moonshot").text.split("\t")[0] == "kimi"
    assert telex("providers", "presets", "claude").text.startswith("anthropic\t")
    assert len(telex("providers", "presets").text.splitlines()) == 68
    assert json.loads(telex("providers", "presets", "cloudflare", "--json").out)[0]["variables"] == [
        "account_id"
    ]
    ran = telex("providers", "presets", "no such thing")
    assert (ran.code, ran.out, "--base-url" in ran.err) == (0, b"", True)


# --- help and start-up -------------------------------------------------------------------------------------


# --- invalid entries ---------------------------------------------------------------------------------------

INVALID = """
future = 1
[aliases]
wrong = 5
[providers.bad]
base_url = 5
[mcp.broken]
command = 7
[providers.good]
base_url = "{url}"
key = "none"
models = ["m"]
"""


def test_invalid_entry_is_one_warning_and_everything_else_works(telex: Inside, server: Scripted) -> None:
    telex.configure(INVALID.format(url=server.url))
    assert "Warning" not in telex("templates", "list").err
    server.will(answer("Hello"))
    for arguments in (("-m", "good/m"), ("-m", "m"), ("-m", "good"), ()):
        ran = telex("chat", "--no-save", *arguments, "hi")
        assert (ran.code, ran.text) == (0, "Hello\n")
        for entry in ("future", "aliases.wrong", "providers.bad", "mcp.broken"):
            assert ran.err.count(f"(ignoring {entry} in ") == 1
    assert telex("chat", "-q", "--no-save", "hi").err == ""
    assert telex("models", "alias", "fast", "good/m").code == 0
    assert "Warning" not in telex("history", "list").err


@pytest.mark.parametrize(
    "arguments",
    [
        "chat -m bad hi", "chat -m BAD/m hi", "chat -m wrong hi", "chat --tools broken hi", "providers show bad",
        "providers test bad", "providers edit bad --disable", "models list -P bad", "models show bad/m",
        "models default bad", "mcp test broken",
    ],
)  # fmt: skip
def test_command_that_needs_an_invalid_entry_exits_3(telex: Inside, arguments: str) -> None:
    telex.configure(INVALID.format(url="http://127.0.0.1:1/v1"))
    ran = telex(*arguments.split())
    assert ran.code == 3
    assert any(f"telex: {place}" in ran.err for place in ("providers.bad.", "aliases.wrong", "mcp.broken."))


def test_invalid_default_model_is_not_replaced_by_another(telex: Inside) -> None:
    telex.configure(f"model = 5\n{INVALID.format(url='http://127.0.0.1:1/v1')}")
    for arguments in (("chat", "hi"), ("models", "default")):
        ran = telex(*arguments)
        assert (ran.code, "telex: model: " in ran.err) == (3, True)
    telex.configure("")
    ran = telex("chat", "hi", env={"TELEX_PROVIDERS": '{"x": {"key": "none"}}'})
    assert (ran.code, "telex: TELEX_PROVIDERS.x: " in ran.err) == (3, True)


def test_invalid_entry_is_listed_fixed_and_removed(telex: Inside) -> None:
    telex.configure(INVALID.format(url="http://127.0.0.1:1/v1"))
    assert "bad\t\t\tinvalid\t\n" in telex("providers", "list").text
    listed = {each["name"]: each for each in json.loads(telex("providers", "list", "--json").text)}
    assert listed["bad"]["error"].startswith("providers.bad.base_url: ")
    assert telex("mcp", "list").text == "broken\t\t\t\tinvalid\n"
    assert "bad\n" in (telex.paths.cache / "completion" / "providers").read_text()
    for arguments in (
        "providers edit bad --base-url http://127.0.0.1:2 --no-key", "providers show bad", "mcp remove broken --yes",
        "models alias wrong --remove",
    ):  # fmt: skip
        assert telex(*arguments.split()).code == 0
    assert telex("mcp", "list").text == ""
    telex.configure("providers = 5\n")
    new = ("providers", "add", "x", "--base-url", "http://127.0.0.1:2", "--no-key", "--no-verify")
    assert telex(*new).code == 3
