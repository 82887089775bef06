"""``telex providers list``, ``show``, ``presets`` and the help: what is told, in which form, and what it costs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
import pytest
from inprocess import Inside
from listings import listing
from running import python
from scripted import Scripted, answer

from provider_core.keys import MemoryStore
from provider_core.presets import models
from provider_core.testing import FakeKeyStore
from telex.commands.providers import COMMANDS, command

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


def test_a_pipe_gets_a_line_for_each_with_tabs_between(telex: Inside) -> None:
    ran = telex("providers", "list")
    assert ran.text.splitlines() == [
        "open\thttp://127.0.0.1:1/v1\tnone needed\ton\tm",
        "kept\thttps://host.invalid/v1\tkeyring\ton\t\tKept one",
        f"varied\thttps://api.deepseek.com\tDEEPSEEK_API_KEY (not set)\toff\t{models('deepseek')[0].id}",
        "commanded\thttps://host.invalid/v1\tkey command\ton\t",
        "wanting\thttps://host.invalid/v1\tmissing\ton\t",
    ]
    assert ran.err == ""


def test_json_says_where_each_key_comes_from_and_never_the_key(telex: Inside) -> None:
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


def test_only_on_request_keys_are_looked_for_and_no_more_than_their_end_is_shown(tmp_path: Path) -> None:
    telex = Inside(tmp_path / "home", MemoryStore(kept=KEY))
    telex.configure(SETTINGS)
    ran = telex("providers", "list", "--check-keys", env={"DEEPSEEK_API_KEY": "short"})
    keys = {line.split("\t")[0]: line.split("\t")[2] for line in ran.text.splitlines()}
    assert keys["kept"] == "keyring …cdef"
    assert keys["varied"] == "DEEPSEEK_API_KEY …"
    assert KEY[:-4] not in ran.text
    ran = telex("providers", "list", "--check-keys", "--json")
    found = {each["name"]: each["key"] for each in json.loads(ran.out)}
    assert (found["kept"]["found"], found["kept"]["ending"]) == (True, "cdef")
    telex.store.delete("kept")
    assert "keyring (not there)" in telex("providers", "list", "--check-keys").text


def test_a_broken_keyring_is_asked_once_and_the_other_keys_are_shown(tmp_path: Path) -> None:
    telex = Inside(tmp_path / "home", store := FakeKeyStore(broken="the keyring did not answer within 3 s"))
    telex.configure(
        "".join(f'[providers.{name}]\npreset = "groq"\nkey = "keyring"\n' for name in ("one", "two"))
        + '[providers.deepseek]\npreset = "deepseek"\n'
    )
    ran = telex("providers", "list", "--check-keys", env={"DEEPSEEK_API_KEY": KEY})
    assert ran.code == 4
    assert store.asked == [("get", "one")]
    assert [line.split("\t")[2] for line in ran.text.splitlines()] == [
        "keyring", "keyring", "DEEPSEEK_API_KEY …cdef"
    ]  # fmt: skip
    assert "the keyring did not answer" in ran.err


def test_nothing_set_up_is_no_error_and_says_what_to_do(tmp_path: Path) -> None:
    telex = Inside(tmp_path / "home")
    ran = telex("providers", "list")
    assert (ran.code, ran.out) == (0, b"")
    assert "telex providers add" in ran.err
    assert telex("providers", "list", "--json").out == b"[]\n"


def test_show_tells_all_but_secrets(telex: Inside) -> None:
    ran = telex("providers", "show", "commanded")
    fields = dict(line.split("\t", 1) for line in ran.text.splitlines())
    assert fields["key command"] == "pass lab"
    assert fields["headers"] == "X-Api-Key: env:TEAM_KEY, X-Team: a"
    assert fields["proxy"] == "http://proxy.invalid:3128"
    assert fields["connect timeout"] == "2.5"
    assert (
        dict(line.split("\t", 1) for line in telex("providers", "show", "open").text.splitlines())[
            "pointed at by"
        ]
        == "model"
    )
    found = json.loads(telex("providers", "show", "kept", "--json").out)
    assert found["pointed_at_by"] == ["aliases.fast"]


def test_an_unknown_name_is_an_error_with_near_misses(telex: Inside) -> None:
    ran = telex("providers", "show", "keept")
    assert ran.code == 3
    assert "kept" in ran.err
    assert "telex providers add openai" in telex("providers", "show", "openai").err


def test_presets_are_found_by_name_address_and_what_people_call_them(telex: Inside) -> None:
    assert telex("providers", "presets", "moonshot").text.split("\t")[0] == "kimi"
    assert telex("providers", "presets", "claude").text.startswith("anthropic\t")
    assert len(telex("providers", "presets").text.splitlines()) == 68
    found = json.loads(telex("providers", "presets", "cloudflare", "--json").out)
    assert found[0]["variables"] == ["account_id"]
    ran = telex("providers", "presets", "no such thing")
    assert (ran.code, ran.out) == (0, b"")
    assert "--base-url" in ran.err


# --- help and start-up -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_commands_help_has_its_line_and_an_example(name: str, telex: Inside) -> None:
    ran = telex("providers", name, "--help")
    assert ran.code == 0
    assert f"telex providers {name}" in ran.text.partition("Examples:")[2]
    found = command.get_command(click.Context(command), name)
    assert found is not None
    assert (found.help or "").splitlines()[0] == COMMANDS[name][1]


def test_a_mistyped_command_names_the_near_one(telex: Inside) -> None:
    ran = telex("providers", "lst")
    assert ran.code == 2
    assert "telex providers list" in ran.err


@pytest.mark.parametrize("settings", ["", SETTINGS])
def test_listing_opens_no_keyring_and_no_socket(tmp_path: Path, settings: str) -> None:
    telex = Inside(tmp_path / "home")
    telex.configure(settings)
    loaded = python(
        "import json, sys, io, contextlib\n"
        "from telex.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):\n"
        "    assert main(['providers', 'list']) == 0\n"
        "print(json.dumps(sorted(sys.modules)))",
        env={**telex.env, "PATH": "/usr/bin"},
    )
    assert not {"httpx", "httpcore", "keyring", "rich.table", "tomlkit"} & set(json.loads(loaded))


def test_the_groups_help_imports_no_command(tmp_path: Path) -> None:
    loaded = python(
        "import json, sys, io, contextlib\n"
        "from telex.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    assert main(['providers', '--help']) == 0\n"
        "print(json.dumps(sorted(sys.modules)))",
        env={"TELEX_HOME": str(tmp_path), "PATH": "/usr/bin"},
    )
    modules = set(json.loads(loaded))
    assert not {name for name in modules if name.startswith("telex.commands.providers.")}
    assert not {"httpx", "keyring", "pydantic", "rich", "tomlkit"} & modules


WRONG = """
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


def test_a_wrong_entry_is_one_warning_and_everything_else_works(telex: Inside, server: Scripted) -> None:
    telex.configure(WRONG.format(url=server.url))
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
        ("chat", "-m", "bad", "hi"),
        ("chat", "-m", "BAD/m", "hi"),
        ("chat", "-m", "wrong", "hi"),
        ("chat", "--tools", "broken", "hi"),
        ("providers", "show", "bad"),
        ("providers", "test", "bad"),
        ("providers", "edit", "bad", "--disable"),
        ("models", "list", "-P", "bad"),
        ("models", "show", "bad/m"),
        ("models", "default", "bad"),
        ("mcp", "test", "broken"),
    ],
)
def test_a_wrong_entry_that_is_asked_for_is_exit_3(telex: Inside, arguments: tuple[str, ...]) -> None:
    telex.configure(WRONG.format(url="http://127.0.0.1:1/v1"))
    ran = telex(*arguments)
    assert ran.code == 3
    assert any(f"telex: {place}" in ran.err for place in ("providers.bad.", "aliases.wrong", "mcp.broken."))


def test_a_wrong_default_model_is_not_replaced_by_another(telex: Inside) -> None:
    telex.configure(f"model = 5\n{WRONG.format(url='http://127.0.0.1:1/v1')}")
    for arguments in (("chat", "hi"), ("models", "default")):
        ran = telex(*arguments)
        assert (ran.code, "telex: model: " in ran.err) == (3, True)


def test_where_every_provider_is_wrong_the_first_is_named(telex: Inside) -> None:
    telex.configure("")
    ran = telex("chat", "hi", env={"TELEX_PROVIDERS": '{"x": {"key": "none"}}'})
    assert ran.code == 3
    assert "telex: TELEX_PROVIDERS.x: " in ran.err


def test_a_wrong_entry_is_listed_mended_and_removed(telex: Inside) -> None:
    telex.configure(WRONG.format(url="http://127.0.0.1:1/v1"))
    assert "bad\t\t\tinvalid\t\n" in telex("providers", "list").text
    listed = json.loads(telex("providers", "list", "--json").text)
    assert next(each["error"] for each in listed if each["name"] == "bad").startswith(
        "providers.bad.base_url: "
    )
    assert telex("mcp", "list").text == "broken\t\t\t\tinvalid\n"
    names = (telex.paths.cache / "completion" / "providers").read_text()
    assert "bad\n" in names
    assert telex("providers", "edit", "bad", "--base-url", "http://127.0.0.1:2", "--no-key").code == 0
    assert telex("providers", "show", "bad").code == 0
    assert telex("mcp", "remove", "broken", "--yes").code == 0
    assert telex("mcp", "list").text == ""
    assert telex("models", "alias", "wrong", "--remove").code == 0
    telex.configure("providers = 5\n")
    assert (
        telex("providers", "add", "x", "--base-url", "http://127.0.0.1:2", "--no-key", "--no-verify").code
        == 3
    )


def test_show_has_the_default_model_that_a_chat_takes(telex: Inside, server: Scripted) -> None:
    telex.configure(f'[providers.mine]\npreset = "deepseek"\nbase_url = "{server.url}"\nkey = "none"\n')
    server.will(listing("other-model"), answer("Hello"))
    telex("models", "list", "--refresh")
    shown = json.loads(telex("providers", "show", "mine", "--json").text)["default_model"]
    assert shown == "other-model"
    assert "default model\tother-model" in telex("providers", "show", "mine").text
    assert telex("chat", "--no-save", "-m", "mine", "hi").code == 0
    assert server.asked[-1].body["model"] == "other-model"
