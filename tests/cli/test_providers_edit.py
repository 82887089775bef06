"""``telex providers edit``, ``set-key``, ``rename`` and ``remove``: one provider changes, and nothing else does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from inprocess import Inside
from scripted import Scripted
from servers import by_path, keyed

from provider_core.keys import MemoryStore
from provider_core.settings.edit import entries
from provider_core.settings.provider_fields import PROVIDER_FIELDS
from provider_core.testing import FakeKeyStore
from telex.commands.providers.edit import UNSETTABLE

if TYPE_CHECKING:
    from pathlib import Path

    from running import Ran

KEY = "sk-canary-0123456789abcdef"
NEW = "the-new-key-0123456789"
USERS = "the default model, the alias fast and the template mine use lab"


@pytest.fixture
def telex(tmp_path: Path) -> Inside:
    telex = Inside(tmp_path / "home", MemoryStore(lab=KEY))
    telex.configure(
        "# by hand\n"
        'model = "lab/m"\n'
        '[aliases]\nfast = "lab/m" # quick\n'
        "[providers.lab] # cellar\n"
        'base_url = "http://127.0.0.1:1/v1" # port one\n'
        'key = "keyring"\n'
        'headers = {X-A = "1"}\n'
    )
    telex.paths.templates.mkdir(parents=True)
    (telex.paths.templates / "mine.toml").write_text('model = "lab/m"\nprompt = "hi"\n')
    (telex.paths.templates / "broken.toml").write_text("not TOML")
    return telex


def lab(telex: Inside) -> dict[str, Any]:
    return entries(telex.settings)["lab"]


def edit(telex: Inside, *arguments: str, **how: Any) -> Ran:
    return telex("providers", "edit", "lab", *arguments, **how)


# --- edit --------------------------------------------------------------------------------------------------

VALUES = {
    "preset": "llamacpp", "base_url": "http://127.0.0.1:1/v2", "key_env": "LAB_KEY", "key_command": "pass lab",
    "display_name": "The lab", "models": ["a"], "default_model": "a", "headers": {"X-A": "1", "X-B": "2"},
    "proxy": "none", "ca_bundle": __file__, "client_cert": __file__, "connect_timeout": 2, "first_byte_timeout": 900,
    "idle_timeout": 30.5, "retries": 0, "retry_budget": 60, "enabled": False, "key": "none", "allow_http": True,
    "rpm": 60, "tpm": 9000, "base_urls": ["http://127.0.0.1:2/v1"],
    "temperature": 0.5, "max_tokens": 9,
    "reasoning_effort": "low", "stream": False, "web": True, "params": {"top_k": 20},
}  # fmt: skip


@pytest.mark.parametrize("row", PROVIDER_FIELDS, ids=lambda row: row.name)
def test_every_setting_has_an_option_that_changes_it_alone(telex: Inside, row: Any) -> None:
    if row.name in ("gguf", "variables"):
        pytest.skip("tested with add")
    value = VALUES[row.name]
    before = lab(telex)
    match row.name:
        case "key":
            option = ["--no-key"]
        case "enabled":
            option = ["--disable"]
        case "allow_http":
            option = ["--allow-http"]
        case "models":
            option = ["--model", "a"]
        case "base_urls":
            option = ["--replica", "http://127.0.0.1:2/v1"]
        case "stream":
            option = ["--no-stream"]
        case "web":
            option = ["--web"]
        case "params":
            option = ["-p", "top_k=20"]
        case "headers":
            option = ["--header", "X-B=2"]
        case _:
            option = [f"--{row.flag}", str(value)]
    ran = edit(telex, *option)
    assert ran.code == 0, ran.err
    after = lab(telex)
    assert after.pop(row.name) == value
    before.pop(row.name, None)
    assert after == before
    for comment in ("# by hand", "# quick", "# cellar"):
        assert comment in telex.settings.read_text()
    if (flag := row.flag.partition("/")[0]) in UNSETTABLE.rows and row.name != "base_url":
        assert edit(telex, "--unset", flag).code == 0
        assert row.name not in lab(telex)


def test_unset_removes_a_setting_or_one_field_of_a_table(telex: Inside) -> None:
    edit(telex, "--display-name", "x", "--header", "X-Org: a", "--header", "X-Team=b", "--proxy", "none")
    assert edit(telex, "--unset", "display_name", "--unset", "header.x-org").code == 0
    assert (lab(telex).get("display_name"), lab(telex)["headers"]) == (None, {"X-A": "1", "X-Team": "b"})
    assert edit(telex, "--unset", "headers.X-A", "--unset", "header.X-Team").code == 0
    assert set(lab(telex)) == {"base_url", "key", "proxy"}
    for wrong in (["proxy", "--proxy", "none"], ["nothing"], ["nothing.X"], ["proxy.X"], ["header."]):
        assert edit(telex, "--unset", *wrong).code == 2
    assert "--unset headers.X-None: this setting is not set" in edit(telex, "--unset", "header.X-None").err
    assert edit(telex, "--unset", "ca-bundle").code == 0  # scripts need not know whether it is set
    assert edit(telex, "--unset", "base-url").code == 3
    assert "base_url" in lab(telex)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--display-name", ""), ("--display-name", "x" * 129), ("--display-name", "bell\a"), ("--proxy", " "),
        ("--proxy", "http//me:pass#1@proxy:3128"), ("--retries", "101"), ("--idle-timeout", "nan"),
        ("--retry-budget", "1e9"), ("--header", "Host=x"), ("--base-url", "nonsense"), ("--set", "a=../b"),
    ],
)  # fmt: skip
def test_invalid_value_is_an_error_of_its_option(telex: Inside, option: str, value: str) -> None:
    before = telex.settings.read_bytes()
    new = ("providers", "add", "new", "--base-url", "http://h", "--no-key")
    for ran in (edit(telex, option, value), telex(*new, option, value)):
        assert ran.code == 2, ran.err
        assert str(telex.settings) not in ran.err
    if option in ("--display-name", "--proxy"):
        assert f"telex: {option}: " in edit(telex, option, value).err
    assert telex.settings.read_bytes() == before


def test_change_that_is_not_possible(telex: Inside) -> None:
    before = telex.settings.read_bytes()
    assert edit(telex).code == 2
    assert edit(telex, "--preset", "nonsense").code == 3
    assert telex("providers", "edit", "nobody", "--disable").code == 3
    given = {"TELEX_PROVIDERS": '{"env": {"base_url": "http://127.0.0.1:1", "key": "none"}}'}
    for words in (("remove", "env", "--yes"), ("rename", "env", "other"), ("edit", "env", "--retries", "3")):
        ran = telex("providers", *words, env=given)
        assert (ran.code, "env is set up by TELEX_PROVIDERS: change it there" in ran.err) == (2, True)
    assert telex.settings.read_bytes() == before


def test_disabling_names_what_uses_the_provider(telex: Inside) -> None:
    assert f"Warning: {USERS}, which is disabled now." in edit(telex, "--disable").err
    assert "Warning" not in edit(telex, "--disable").err
    assert edit(telex, "--enable").code == 0
    assert lab(telex)["enabled"] is True


def test_removing_a_model_names_what_uses_it(telex: Inside) -> None:
    telex("models", "add", "lab", "z")
    telex("models", "alias", "zed", "lab/z")
    ran = telex("models", "remove", "lab", "z")
    assert "Warning: the alias zed uses lab/z, which is no longer in the settings." in ran.err


# --- keys --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["edit", "set-key"])
def test_source_of_the_key_can_change(telex: Inside, verb: str) -> None:
    change = ("providers", verb, "lab", "--no-verify")
    for option, value in (("--key-env", "LAB_KEY"), ("--key-command", "pass lab")):
        assert telex(*change, option, value).code == 0
        assert (lab(telex)["key"], telex.stored("lab")) == ("keyring", KEY)
    assert telex(*change, "--key-stdin", stdin=NEW.encode()).code == 0
    assert (lab(telex)["key"], telex.stored("lab"), "key_command" in lab(telex)) == ("keyring", NEW, False)
    assert telex(*change, "--no-key").code == 0
    assert (lab(telex)["key"], telex.stored("lab")) == ("none", None)
    ran = telex("providers", "set-key", "lab")
    assert (ran.code, "--key-stdin" in ran.err) == (2, True)


def test_new_key_is_checked_before_it_is_stored(telex: Inside, server: Scripted) -> None:
    ran = edit(telex, "--key-stdin", "--display-name", "Lab", stdin=NEW.encode())
    assert (ran.code, telex.store.get("lab"), "display_name" in lab(telex)) == (7, KEY, False)
    server.will(keyed(NEW))
    edit(telex, "--base-url", server.url, "--trust")
    for change in (("edit", "lab", "--display-name", "Lab"), ("set-key", "lab")):
        ran = telex("providers", *change, "--key-stdin", stdin=b"a-wrong-key")
        assert (ran.code, "Nothing was saved" in ran.err, telex.stored("lab")) == (4, True, KEY)
    ran = telex("providers", "set-key", "lab", "--key-stdin", stdin=NEW.encode())
    assert (ran.code, telex.stored("lab")) == (0, NEW), ran.err
    ran = edit(telex, "--key-stdin", "--display-name", "Lab", stdin=NEW.encode())
    assert (ran.code, lab(telex)["display_name"]) == (0, "Lab")
    assert NEW not in ran.err + telex.settings.read_text()


def test_stored_key_goes_to_a_new_address_only_with_trust(telex: Inside) -> None:
    before = telex.settings.read_bytes()
    moved = ("--base-url", "http://127.0.0.1:2/v1")
    ran = edit(telex, *moved)
    assert ran.code == 2
    for words in ("is for http://127.0.0.1:1, and would go to http://127.0.0.1:2", "--trust", "--key-stdin"):
        assert words in ran.err
    assert telex.settings.read_bytes() == before
    ran = edit(telex, *moved, "--trust")
    assert (ran.code, "telex providers test lab" in ran.err) == (0, True)
    assert edit(telex, "--base-url", "http://127.0.0.1:2/v2").code == 0
    plain = ("--trust", "--base-url", "http://host.invalid")
    assert edit(telex, *plain).code == 2
    assert edit(telex, *plain, "--allow-http").code == 0
    assert lab(telex)["allow_http"] is True


# --- rename and remove -------------------------------------------------------------------------------------


def test_rename_updates_key_default_and_aliases(telex: Inside) -> None:
    ran = telex("providers", "rename", "lab", "work")
    assert ran.code == 0, ran.err
    assert "Changed along with it: the default model and the alias fast." in ran.err
    for words in ('model = "work/m"', 'fast = "work/m" # quick', "[providers.work] # cellar"):
        assert words in telex.settings.read_text()
    assert (telex.stored("lab"), telex.stored("work")) == (None, KEY)
    assert telex("providers", "rename", "work", "local").code == 2
    assert telex("providers", "rename", "nobody", "x").code == 3


def test_alias_of_a_model_is_not_a_valid_new_name(telex: Inside, tmp_path: Path) -> None:
    before = telex.settings.read_bytes()
    (tmp_path / "more.toml").write_text('[providers.fast]\npreset = "groq"\n')
    for arguments in (
        ("rename", "lab", "Fast"),
        ("add", "fast", "--base-url", "http://127.0.0.1:1", "--no-key", "--no-verify"),
        ("import", str(tmp_path / "more.toml")),
    ):
        ran = telex("providers", *arguments)
        assert ran.code == 3
        assert "fast is already an alias for lab/m" in ran.err
        assert "telex models alias fast --remove" in ran.err
    assert telex.settings.read_bytes() == before


def test_remove_deletes_the_key_and_names_what_uses_the_provider(telex: Inside) -> None:
    ran = telex("providers", "remove", "lab")
    assert (ran.code, "--yes" in ran.err, "lab" in entries(telex.settings)) == (2, True, True)
    ran = telex("providers", "remove", "lab", "--yes")
    assert ran.code == 0, ran.err
    assert f"Warning: {USERS}, which will no longer exist" in ran.err
    assert "lab and its key are removed" in ran.err
    assert (telex.stored("lab"), entries(telex.settings)) == (None, {})
    assert "# by hand" in telex.settings.read_text()
    assert telex("providers", "remove", "lab", "--yes").code == 3


def test_saved_model_list_is_renamed_and_removed(telex: Inside) -> None:
    telex.paths.lists.mkdir(parents=True)
    (telex.paths.lists / "lab.json").write_text("{}")
    beside = telex.paths.cache / "beside.json"
    beside.write_text("{}")
    assert telex("providers", "rename", "lab", "work").code == 0
    assert [each.name for each in telex.paths.lists.iterdir()] == ["work.json"]
    assert telex("providers", "remove", "work", "--yes").code == 0
    assert list(telex.paths.lists.iterdir()) == []
    telex.configure('[providers."../beside"]\nbase_url = "https://h"\n')
    assert telex("providers", "remove", "../beside", "--yes").code == 0
    assert beside.exists(), "such a name leads to no deletion elsewhere"


def test_a_broken_keyring_exits_4_and_removes_nothing(telex: Inside) -> None:
    telex.store = FakeKeyStore(lab=KEY, broken="the keyring is locked: no prompter")
    ran = telex("providers", "remove", "lab", "--yes")
    assert ran.code == 4
    assert "its key is unchanged: the keyring is locked: no prompter" in ran.err
    assert "To remove it without its key: telex providers remove lab --keep-key" in ran.err
    new = ("providers", "add", "new", "--base-url", "http://127.0.0.1:1", "--key-stdin", "--no-verify")
    ran = telex(*new, stdin=b"k" * 20)
    assert (ran.code, "telex providers add new --key-env VAR" in ran.err) == (4, True)
    assert "lab" in entries(telex.settings)
    ran = telex("providers", "remove", "lab", "--yes", "--keep-key")
    assert (ran.code, "its key is left in the keyring" in ran.err) == (0, True)


def test_reserved_name_written_by_hand_can_only_be_removed(telex: Inside) -> None:
    telex.configure(
        '[providers.local]\nbase_url = "https://h"\nkey = "none"\n[providers.b]\npreset = "groq"\n'
    )
    for refused in (("rename", "local", "c"), ("edit", "local", "--disable")):
        ran = telex("providers", *refused)
        assert (ran.code, "providers.local: the name 'local' is reserved" in ran.err) == (3, True)
    assert "local\t\t\tinvalid\t\n" in telex("providers", "list").text
    assert telex("providers", "remove", "local", "--yes").code == 0
    assert telex("providers", "list").text.startswith("b\t")


# --- names are case-insensitive ----------------------------------------------------------------------------


@pytest.fixture
def open_lab(tmp_path: Path, server: Scripted) -> Inside:
    server.will(by_path())
    telex = Inside(tmp_path / "open")
    telex.configure(f'[providers.lab]\nbase_url = "{server.url}"\nkey = "none"\nmodels = ["m"]\n')
    return telex


@pytest.mark.parametrize(
    "arguments",
    [
        "chat --no-stdin -m LAB/m hi", "chat --no-stdin -m Lab hi", "chat --no-stdin -m Lab/m -m LAB/n hi",
        "models list --provider LAB", "models default LAB/m", "models alias fast LAB/m", "models add LAB x",
        "models show LAB/m", "providers show LAB", "providers test LAB", "providers edit LAB --display-name x",
        "providers set-key LAB --no-key --no-verify", "providers export --only LAB", "providers rename LAB work",
        "providers rename LAB Lab", "providers remove LAB --yes",
    ],
)  # fmt: skip
def test_command_finds_a_provider_in_any_case(open_lab: Inside, arguments: str) -> None:
    ran = open_lab(*arguments.split())
    assert ran.code == 0, ran.err
    assert {name.casefold() for name in entries(open_lab.settings)} <= {"lab", "work"}


def test_two_spellings_are_one_provider(open_lab: Inside, server: Scripted) -> None:
    new = ("--base-url", "http://127.0.0.1:1", "--no-key", "--no-verify", "--replace")
    for name in ("Lab", "LAB"):
        ran = open_lab("providers", "add", name, *new)
        assert (ran.code, "lab is already set up" in ran.err) == (2, True)
    changed = json.dumps({"LAB": {"display_name": "The lab"}})
    (found,) = json.loads(open_lab("providers", "list", "--json", env={"TELEX_PROVIDERS": changed}).text)
    assert (found["name"], found["display_name"], found["base_url"]) == ("lab", "The lab", server.url)
    table = b'[providers.LAB]\nbase_url = "http://127.0.0.1:1/v1"\nkey = "none"\n'
    assert open_lab("providers", "import", "-", stdin=table).code == 3
    assert open_lab("providers", "import", "-", "--replace", stdin=table).code == 0
    assert list(entries(open_lab.settings)) == ["lab"]
    open_lab.configure(open_lab.settings.read_text() + '\n[providers.Lab]\nbase_url = "http://127.0.0.1:1"\n')
    ran = open_lab("chat", "--no-stdin", "-m", "lab/m", "hi")
    assert (ran.code, "providers.Lab is the same provider as providers.lab" in ran.err) == (3, True)
