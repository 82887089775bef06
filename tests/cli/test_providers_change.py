"""``telex providers edit``, ``set-key``, ``rename`` and ``remove``: one provider changes, and nothing else does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from inprocess import Inside
from scripted import Scripted
from servers import keyed

from provider_core.keys import MemoryStore
from provider_core.settings.edit import entries
from provider_core.testing import FakeKeyStore

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-canary-0123456789abcdef"


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
    return telex


def lab(telex: Inside) -> dict[str, Any]:
    return entries(telex.settings)["lab"]


# --- edit --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        (["--disable"], "enabled", False),
        (["--enable"], "enabled", True),
        (["--display-name", "The lab"], "display_name", "The lab"),
        (["--base-url", "http://127.0.0.1:1/v2/"], "base_url", "http://127.0.0.1:1/v2"),
        (["--preset", "llamacpp"], "preset", "llamacpp"),
        (["--model", "a", "--model", "b"], "models", ["a", "b"]),
        (["--default-model", "a"], "default_model", "a"),
        (["--header", "X-B=2"], "headers", {"X-A": "1", "X-B": "2"}),
        (["--key-env", "LAB_KEY"], "key_env", "LAB_KEY"),
        (["--key-command", "pass lab"], "key_command", "pass lab"),
        (["--no-key"], "key", "none"),
        (["--proxy", "none"], "proxy", "none"),
        (["--ca-bundle", __file__], "ca_bundle", __file__),
        (["--client-cert", __file__], "client_cert", __file__),
        (["--connect-timeout", "2"], "connect_timeout", 2),
        (["--first-byte-timeout", "900"], "first_byte_timeout", 900),
        (["--idle-timeout", "30.5"], "idle_timeout", 30.5),
        (["--retries", "0"], "retries", 0),
        (["--retry-budget", "60"], "retry_budget", 60),
    ],
)
def test_every_field_can_be_set_and_nothing_else_changes(
    telex: Inside, arguments: list[str], field: str, value: object
) -> None:
    before = lab(telex)
    ran = telex("providers", "edit", "lab", *arguments)
    assert ran.code == 0, ran.err
    after = lab(telex)
    assert after.pop(field) == value
    before.pop(field, None)
    assert after == before
    text = telex.settings.read_text()
    for comment in ("# by hand", "# quick", "# cellar"):
        assert comment in text


def test_another_model_file_is_read_and_its_model_replaces_the_old_one(telex: Inside, tmp_path: Path) -> None:
    telex.configure('[providers.x]\ngguf = "/old.gguf"\nmodels = ["old"]\nkey = "none"\n')
    path = tmp_path / "new.gguf"
    path.write_bytes(b"text")
    ran = telex("providers", "edit", "x", "--gguf", str(path))
    assert (ran.code, "is not a GGUF file" in ran.err) == (3, True)
    key, value = b"general.architecture", b"llama"
    text = b"".join(len(each).to_bytes(8, "little") + each for each in (key,)) + (8).to_bytes(4, "little")
    text += len(value).to_bytes(8, "little") + value
    path.write_bytes(
        b"GGUF" + (3).to_bytes(4, "little") + (0).to_bytes(8, "little") + (1).to_bytes(8, "little") + text
    )
    ran = telex("providers", "edit", "x", "--gguf", str(path))
    assert ran.code == 0, ran.err
    assert "To check it: telex providers test x" in ran.err
    entry = entries(telex.settings)["x"]
    assert (entry["gguf"], [model["id"] for model in entry["models"]]) == (str(path), ["new"])


@pytest.mark.parametrize(
    "words", [("remove", "env", "--yes"), ("rename", "env", "other"), ("edit", "env", "--retries", "3")]
)
def test_a_provider_of_the_environment_is_changed_there(telex: Inside, words: tuple[str, ...]) -> None:
    given = {"TELEX_PROVIDERS": '{"env": {"base_url": "http://127.0.0.1:1", "key": "none"}}'}
    ran = telex("providers", *words, env=given)
    assert (ran.code, "env is set up by TELEX_PROVIDERS: change it there" in ran.err) == (2, True)


def test_unset_takes_the_names_of_the_settings_too(telex: Inside) -> None:
    telex("providers", "edit", "lab", "--display-name", "x", "--header", "X-Team=blue")
    ran = telex(
        "providers", "edit", "lab", "--unset", "display_name", "--unset", "headers", "--unset", "models"
    )
    assert ran.code == 0, ran.err
    assert {"display_name", "headers", "models"}.isdisjoint(lab(telex))


def test_a_field_is_taken_away_by_its_options_name(telex: Inside) -> None:
    telex("providers", "edit", "lab", "--display-name", "x", "--proxy", "none")
    ran = telex("providers", "edit", "lab", "--unset", "display-name", "--unset", "header")
    assert ran.code == 0, ran.err
    assert set(lab(telex)) == {"base_url", "key", "proxy"}
    assert telex("providers", "edit", "lab", "--unset", "proxy", "--proxy", "none").code == 2
    assert telex("providers", "edit", "lab", "--unset", "base-url").code == 3
    assert "base_url" in lab(telex)


def test_another_source_of_the_key_leaves_the_stored_one(telex: Inside) -> None:
    for option, value in (("--key-env", "LAB_KEY"), ("--key-command", "pass lab")):
        assert telex("providers", "edit", "lab", option, value).code == 0
        assert (lab(telex)["key"], telex.stored("lab")) == ("keyring", KEY)
    assert telex("providers", "edit", "lab", "--no-key").code == 0
    assert (lab(telex)["key"], telex.stored("lab")) == ("none", None)


def test_a_key_from_stdin_takes_the_stored_ones_place_with_other_changes(telex: Inside) -> None:
    ran = telex(
        "providers", "edit", "lab", "--key-stdin", "--display-name", "Lab", stdin=b"the-new-key-0123456789\n"
    )
    assert (ran.code, telex.store.get("lab")) == (7, KEY)  # the server is asked, and nothing listens
    ran = telex(
        "providers", "edit", "lab", "--key-stdin", "--no-verify", "--display-name", "Lab",
        stdin=b"the-new-key-0123456789\n",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert telex.stored("lab") == "the-new-key-0123456789"
    assert (lab(telex)["key"], lab(telex)["display_name"]) == ("keyring", "Lab")
    assert "the-new-key" not in ran.err + telex.settings.read_text()


def test_the_kept_list_goes_with_its_provider(telex: Inside) -> None:
    path = telex.paths.lists / "lab.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert telex("providers", "rename", "lab", "work").code == 0
    assert [each.name for each in path.parent.iterdir()] == ["work.json"]
    assert telex("providers", "remove", "work", "--yes").code == 0
    assert list(path.parent.iterdir()) == []


def test_what_was_never_a_name_leads_no_deletion_elsewhere(telex: Inside) -> None:
    beside = telex.paths.cache / "beside.json"
    telex.paths.lists.mkdir(parents=True)
    beside.write_text("{}")
    telex.configure('[providers."../beside"]\nbase_url = "https://h"\n')
    assert telex("providers", "remove", "../beside", "--yes").code == 0
    assert beside.exists()


def test_a_models_alias_is_no_new_name_of_a_provider(telex: Inside, tmp_path: Path) -> None:
    telex.configure(
        '[aliases]\nquick = "lab/m"\n[providers.lab]\nbase_url = "http://127.0.0.1:1"\nkey = "none"\n'
    )
    before = telex.settings.read_bytes()
    table = tmp_path / "more.toml"
    table.write_text('[providers.quick]\npreset = "groq"\n')
    for arguments in (
        ("rename", "lab", "Quick"),
        ("add", "quick", "--base-url", "http://127.0.0.1:1", "--no-key", "--no-verify"),
        ("import", str(table)),
    ):
        ran = telex("providers", *arguments)
        assert ran.code == 3
        assert "quick is already an alias for lab/m" in ran.err
        assert "telex models alias quick --remove" in ran.err
    assert telex.settings.read_bytes() == before


def test_a_stored_key_goes_to_a_new_address_only_when_that_is_confirmed(telex: Inside) -> None:
    before = telex.settings.read_bytes()
    ran = telex("providers", "edit", "lab", "--base-url", "http://127.0.0.1:2/v1")
    assert ran.code == 2
    assert "is for http://127.0.0.1:1, and would go to http://127.0.0.1:2" in ran.err
    assert "--trust" in ran.err
    assert "--key-stdin" in ran.err
    assert telex.settings.read_bytes() == before
    ran = telex("providers", "edit", "lab", "--base-url", "http://127.0.0.1:2/v1", "--trust")
    assert ran.code == 0, ran.err
    assert "http://127.0.0.1:2" in ran.err
    assert "telex providers test lab" in ran.err
    assert telex("providers", "edit", "lab", "--base-url", "http://127.0.0.1:2/v2").code == 0
    plain = ("providers", "edit", "lab", "--trust", "--base-url", "http://host.invalid")
    assert telex(*plain).code == 2
    assert telex(*plain, "--allow-http").code == 0
    assert lab(telex)["allow_http"] is True


def test_what_would_not_be_accepted_changes_nothing(telex: Inside) -> None:
    before = telex.settings.read_bytes()
    for arguments in (["--preset", "nonsense"], ["--header", "Host=x"], [], ["--base-url", "nonsense"]):
        assert telex("providers", "edit", "lab", *arguments).code in (2, 3)
    assert telex("providers", "edit", "nobody", "--disable").code == 3
    assert telex.settings.read_bytes() == before


# --- set-key -----------------------------------------------------------------------------------------------


def test_a_new_key_is_checked_before_it_takes_the_old_ones_place(telex: Inside, server: Scripted) -> None:
    server.will(keyed("the-new-key-0123456789"))
    telex("providers", "edit", "lab", "--base-url", server.url, "--trust")
    ran = telex("providers", "set-key", "lab", "--key-stdin", stdin=b"a-wrong-key")
    assert ran.code == 4
    assert "Nothing was saved" in ran.err
    assert telex.stored("lab") == KEY
    ran = telex("providers", "set-key", "lab", "--key-stdin", stdin=b"the-new-key-0123456789")
    assert ran.code == 0, ran.err
    assert telex.stored("lab") == "the-new-key-0123456789"


def test_the_source_of_a_key_can_change_without_asking_the_server(telex: Inside) -> None:
    assert telex("providers", "set-key", "lab", "--key-command", "pass lab", "--no-verify").code == 0
    assert lab(telex)["key_command"] == "pass lab"
    assert telex("providers", "set-key", "lab", "--key-stdin", "--no-verify", stdin=b"k").code == 0
    assert lab(telex)["key"] == "keyring"
    assert "key_command" not in lab(telex)
    assert telex("providers", "set-key", "lab", "--no-key", "--no-verify").code == 0
    assert (lab(telex)["key"], telex.stored("lab")) == ("none", None)


def test_without_a_terminal_set_key_names_its_flags(telex: Inside) -> None:
    ran = telex("providers", "set-key", "lab")
    assert ran.code == 2
    assert "--key-stdin" in ran.err


# --- rename and remove -------------------------------------------------------------------------------------


def test_a_new_name_takes_key_default_and_aliases_along(telex: Inside) -> None:
    ran = telex("providers", "rename", "lab", "work")
    assert ran.code == 0, ran.err
    assert "Changed along with it: the default model and the alias fast." in ran.err
    text = telex.settings.read_text()
    assert 'model = "work/m"' in text
    assert 'fast = "work/m" # quick' in text
    assert "[providers.work] # cellar" in text
    assert (telex.stored("lab"), telex.stored("work")) == (None, KEY)
    assert telex("providers", "rename", "work", "local").code == 2
    assert telex("providers", "rename", "nobody", "x").code == 3


def test_remove_needs_a_yes_where_nobody_can_be_asked(telex: Inside) -> None:
    ran = telex("providers", "remove", "lab")
    assert ran.code == 2
    assert "--yes" in ran.err
    assert "lab" in entries(telex.settings)


@pytest.mark.parametrize(
    ("unset", "left"),
    [
        (("headers.X-Org", "header.X-A"), {"X-Team": "b"}),
        (("header.x-org",), {"X-A": "1", "X-Team": "b"}),
        (("header.X-Org", "header.X-Team", "header.x-a"), None),
        (("header",), None),
    ],
)
def test_one_header_of_several_is_removed(
    telex: Inside, unset: tuple[str, ...], left: dict[str, str] | None
) -> None:
    assert telex("providers", "edit", "lab", "--header", "X-Org: a", "--header", "X-Team=b").code == 0
    assert (
        telex("providers", "edit", "lab", *(word for each in unset for word in ("--unset", each))).code == 0
    )
    assert lab(telex).get("headers") == left
    ran = telex("providers", "edit", "lab", "--unset", "header.X-None")
    assert (ran.code, "nothing of that name is set" in ran.err) == (2, True)
    assert telex("providers", "edit", "lab", "--unset", "nothing.X").code == 2


@pytest.mark.parametrize("name", ["", "x" * 129, "two\nlines", "bell\a"])
@pytest.mark.parametrize("verb", [("edit", "lab"), ("add", "new", "--base-url", "http://h", "--no-key")])
def test_a_wrong_value_of_an_option_is_a_mistake_on_the_command_line(
    telex: Inside, verb: tuple[str, ...], name: str
) -> None:
    before = telex.settings.read_bytes()
    ran = telex("providers", *verb, "--display-name", name)
    assert (ran.code, "telex: --display-name: " in ran.err) == (2, True)
    assert str(telex.settings) not in ran.err
    for option in (
        ("--proxy", ""),
        ("--proxy", " "),
        ("--proxy", "ftp://proxy:21"),
        ("--proxy", "http//me:pass#1@proxy:3128"),
        ("--retries", "101"),
        ("--idle-timeout", "nan"),
        ("--retry-budget", "1e9"),
    ):
        assert telex("providers", *verb, *option).code == 2
    assert telex.settings.read_bytes() == before


def test_add_takes_the_timeouts_that_edit_takes(telex: Inside) -> None:
    waits = ("--connect-timeout", "3", "--idle-timeout", "4", "--retries", "50")
    add = ("providers", "add", "new", "--base-url", "http://127.0.0.1:1", "--no-key", "--no-verify")
    assert telex(*add, *waits).code == 0
    assert telex("chat", "--retries", "50", "--dry-run", "-m", "new/m", "hi").code == 0
    entry = entries(telex.settings)["new"]
    assert (entry["connect_timeout"], entry["idle_timeout"], entry["retries"]) == (3, 4, 50)


def test_disabling_names_what_points_at_the_provider(telex: Inside) -> None:
    write_template(telex)
    ran = telex("providers", "edit", "lab", "--disable")
    assert (
        "Warning: the default model, the alias fast and the template mine use lab, which is disabled now."
        in ran.err
    )
    assert "Warning" not in telex("providers", "edit", "lab", "--disable").err


def test_removing_a_model_names_what_points_at_it(telex: Inside) -> None:
    telex("models", "add", "lab", "z")
    telex("models", "alias", "zed", "lab/z")
    ran = telex("models", "remove", "lab", "z")
    assert "Warning: the alias zed uses lab/z, which will no longer be declared." in ran.err


def write_template(telex: Inside) -> None:
    telex.paths.templates.mkdir(parents=True)
    (telex.paths.templates / "mine.toml").write_text('model = "lab/m"\nprompt = "hi"\n')
    (telex.paths.templates / "broken.toml").write_text("not TOML")


def test_remove_says_what_points_at_it_and_deletes_the_key(telex: Inside) -> None:
    write_template(telex)
    ran = telex("providers", "remove", "lab", "--yes")
    assert ran.code == 0, ran.err
    assert (
        "Warning: the default model, the alias fast and the template mine use lab, which will no longer exist"
        in ran.err
    )
    assert "lab and its key are removed" in ran.err
    assert telex.stored("lab") is None
    assert entries(telex.settings) == {}
    assert "# by hand" in telex.settings.read_text()
    assert telex("providers", "remove", "lab", "--yes").code == 3


def test_a_removal_that_fails_says_what_is_left(tmp_path: Path, telex: Inside) -> None:
    telex.store = FakeKeyStore(lab=KEY, broken="the keyring is locked: no prompter")
    ran = telex("providers", "remove", "lab", "--yes")
    assert ran.code == 4
    assert "its key is unchanged: the keyring is locked: no prompter" in ran.err
    assert "To remove it without its key: telex providers remove lab --keep-key" in ran.err
    ran = telex(
        "providers",
        "add",
        "new",
        "--base-url",
        "http://127.0.0.1:1",
        "--key-stdin",
        "--no-verify",
        stdin=b"k" * 20,
    )
    assert (ran.code, "telex providers add new --key-env VAR" in ran.err) == (4, True)
    assert "lab" in entries(telex.settings)
    ran = telex("providers", "remove", "lab", "--yes", "--keep-key")
    assert ran.code == 0
    assert "its key is left in the keyring" in ran.err


def test_a_reserved_name_that_was_written_by_hand_can_be_removed_and_nothing_else(telex: Inside) -> None:
    telex.configure(
        '[providers.local]\nbase_url = "https://h"\nkey = "none"\n[providers.b]\npreset = "groq"\n'
    )
    for refused in (("rename", "local", "c"), ("edit", "local", "--disable")):
        ran = telex("providers", *refused)
        assert ran.code == 3
        assert "providers.local: the name local is taken" in ran.err
    assert "local\t\t\tinvalid\t\n" in telex("providers", "list").text
    assert telex("providers", "remove", "local", "--yes").code == 0
    assert telex("providers", "list").text.startswith("b\t")
