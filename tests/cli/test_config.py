"""``telex config``: settings by their dotted names, and the whole file in an editor."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from inprocess import Inside

from provider_core.settings import schema, tree

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-1234567890abcdef12345678"

TEXT = """\
# The settings of a careful user.
model = "lab/m"  # the default

[providers.Lab]
base_url = "http://127.0.0.1:9/v1"  # in the cellar
key = "none"
# the last line of lab
"""


@pytest.fixture
def telex(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    telex = Inside(tmp_path / "telex")
    telex.env["HOME"] = str(tmp_path)
    telex.configure(TEXT)
    return telex


def written(telex: Inside) -> dict[str, Any]:
    return tomllib.loads(telex.settings.read_text())


@pytest.mark.parametrize(
    ("arguments", "keys", "value"),
    [
        ("reasoning summary", "reasoning", "summary"),
        ("markdown off", "markdown", False),
        ("local_threads 4", "local_threads", 4),
        ("models_lifetime 0.5", "models_lifetime", 0.5),
        ("model lab/other", "model", "lab/other"),
        ("aliases.gpt-4.1 lab/x", 'aliases."gpt-4.1"', "lab/x"),
        ('aliases."a.b" lab/x', 'aliases."a.b"', "lab/x"),
        ("budget.day 2", "budget.day", 2),
        ("temperature 0.5", "temperature", 0.5),
        ("temperature .5", "temperature", 0.5),
        ("max_tokens 1_000", "max_tokens", 1000),
        ("params.top_k 20", "params.top_k", 20),
        ("providers.lab.retries 5", "providers.Lab.retries", 5),
        ("providers.LAB.headers.X-Team red", "providers.Lab.headers.X-Team", "red"),
        ('providers.lab.headers {"X-A":"1"}', "providers.Lab.headers", {"X-A": "1"}),
        ("providers.lab.display_name 5", "providers.Lab.display_name", "5"),
        ("providers.lab.models a b:8b", "providers.Lab.models", ["a", "b:8b"]),
        ("providers.new.base_url http://127.0.0.1:1", "providers.new.base_url", "http://127.0.0.1:1"),
        ("profiles.work.providers lab groq", "profiles.work.providers", ["lab", "groq"]),
        ('profiles.work.providers ["lab"]', "profiles.work.providers", ["lab"]),
        ("profiles.work.budget.day 1.5", "profiles.work.budget.day", 1.5),
        ("mcp.files.command -- npx -y server", "mcp.files.command", ["npx", "-y", "server"]),
    ],
)
def test_set_writes_one_value_of_its_type_and_unset_removes_it(
    telex: Inside, arguments: str, keys: str, value: object
) -> None:
    before = written(telex)
    ran = telex("config", "set", *arguments.split(" "))
    assert (ran.code, ran.text) == (0, ""), ran.err
    found: Any = written(telex)
    for key in tree.split(keys):
        found = found[key]
    assert found == value
    assert type(found) is type(value)
    text = telex.settings.read_text()
    assert all(comment in text for comment in ("# The settings of", "# in the cellar", "# the last line"))
    if keys == "mcp.files.command":
        return  # without it, the server would be invalid
    shown = telex("config", "get", arguments.split(" ", maxsplit=1)[0])
    assert shown.text.strip() == (value if isinstance(value, str) else json.dumps(value))
    assert telex("config", "unset", arguments.split(" ", maxsplit=1)[0]).code == 0
    if keys != "model":
        assert written(telex) == before
    else:
        assert "model" not in written(telex)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("resoning show", 3, "resoning is not a setting; did you mean reasoning?"),
        (
            "providers.lab.retires 3",
            3,
            "providers.lab.retires is not a setting; did you mean providers.Lab.retries?",
        ),
        ("budget.daily 5", 3, "budget.daily is not a setting; did you mean budget.day?"),
        ("alias.fast lab/m", 3, "alias.fast is not a setting; did you mean aliases.fast?"),
        ("model.x y", 3, "model.x is not a setting (see telex help settings)\n"),
        ("reasoning loud", 3, "reasoning: must be 'show', 'hide' or 'summary'"),
        ("markdown perhaps", 3, "markdown: must be true or false"),
        ("local_threads many", 3, "local_threads: must be a whole number"),
        ("local_threads 1.5", 3, "local_threads: must be a whole number"),
        ("temperature warm", 3, "temperature: must be a number\n"),
        ("budget.day -- -1", 3, "budget.day: must be greater than 0"),
        ("reasoning show hide", 2, "reasoning takes one value"),
        ("providers.lab.headers {x", 2, "is not valid JSON"),
        ("providers.lab x", 2, "is a table: set one of its fields, such as providers.Lab.retries"),
        ("profiles x", 2, "such as profiles.NAME.model"),
        ("providers.lba.retries 3", 3, "unknown provider: lba"),
        ("providers.groq.retries 3", 3, "telex providers add groq"),
        # Keys, and what has a command of its own.
        (f"providers.lab.key {KEY}", 2, "telex providers set-key Lab"),
        ("providers.lab.key keyring", 2, "telex providers set-key Lab"),
        (f"providers.lab.api_key {KEY}", 3, "telex providers set-key Lab"),
        (f"api_key {KEY}", 3, "keys are not stored in the settings"),
        (f"providers.lab.key_env {KEY}", 2, "looks like a key"),
        (f"providers.lab.headers.X-Api-Key {KEY}", 2, "telex providers set-key Lab"),
        (f'providers.lab.headers {{"X":"{KEY}"}}', 2, "looks like a key"),
        (f"model {KEY}", 2, "looks like a key"),
        (f"providers.lab.key_command echo,{KEY}", 2, "looks like a key"),
        (f"mcp.files.command -- npx --token {KEY}", 2, "telex mcp set-secret files"),
        (f"mcp.files.env.TOKEN {KEY}", 2, "telex mcp set-secret files"),
    ],
)
def test_set_refuses_what_is_wrong_and_changes_nothing(
    telex: Inside, arguments: str, code: int, words: str
) -> None:
    words_given = [each.replace(",", " ") for each in arguments.split(" ")]
    ran = telex("config", "set", *words_given)
    assert (ran.code, ran.text) == (code, "")
    assert words in ran.err
    assert KEY not in ran.err
    assert telex.settings.read_text() == TEXT


def test_set_refuses_a_provider_that_only_a_variable_sets_up(telex: Inside) -> None:
    env = {"TELEX_PROVIDERS": '{"box": {"base_url": "http://127.0.0.1:9/v1"}}'}
    before = telex.settings.read_text()
    ran = telex("config", "set", "providers.box.retries", "3", env=env)
    assert (ran.code, "box is set up by TELEX_PROVIDERS" in ran.err) == (2, True)
    assert telex.settings.read_text() == before


def test_an_invalid_entry_cannot_be_made_more_wrong_and_can_be_repaired(telex: Inside) -> None:
    telex.configure('usage = "loud"\nnonsense = 1\n')
    assert telex("config", "set", "usage", "silent").code == 3
    assert telex("config", "set", "reasoning", "hide").code == 0, "one bad entry stops no other"
    assert telex("config", "set", "usage", "full").code == 0
    assert telex("config", "unset", "nonsense").code == 0
    assert written(telex) == {"usage": "full", "reasoning": "hide"}


def test_fields_of_an_alias_turn_it_into_a_table(telex: Inside) -> None:
    for arguments in ("aliases.poet lab/x", "aliases.poet.temperature 1", "aliases.poet.targets lab/y lab/z"):
        assert telex("config", "set", *arguments.split()).code == 0
    assert written(telex)["aliases"] == {"poet": {"targets": ["lab/y", "lab/z"], "temperature": 1}}
    assert telex("config", "set", "aliases.both", "lab/x", "lab/y").code == 0
    assert written(telex)["aliases"]["both"] == ["lab/x", "lab/y"]
    ran = telex("config", "list", env={"TELEX_ALIASES__POET__MAX_TOKENS": "7"})
    assert "aliases.poet.max_tokens\t7\tvariable" in ran.text
    assert "aliases.poet.temperature\t1\tfile" in ran.text


def test_unset_of_whole_tables_and_of_what_is_not_there(telex: Inside) -> None:
    for name in ("providers.lab", "providers"):
        assert "telex providers remove" in telex("config", "unset", name).err
    assert telex("config", "unset", "nonsense").code == 3
    assert "reasoning is not in the settings file" in telex("config", "unset", "reasoning").err
    assert telex.settings.read_text() == TEXT


def test_list_and_get_show_each_value_with_its_source_and_no_secret(telex: Inside, tmp_path: Path) -> None:
    more = f"""\
proxy = "http://me:{KEY}@127.0.0.1:3128"
[profiles.work]
model = "lab/work"
budget = {{ day = 1.0 }}
[aliases]
slow = "lab/s"
[mcp.files]
command = ["x", "--token", "{KEY}"]
env = {{ TOKEN = "{KEY}", MODE = "fast" }}
"""
    telex.configure(f"history = false\n{TEXT}{more}")
    (tmp_path / "work" / ".telex.toml").write_text('system = "Be kind."\n[aliases]\nfast = "lab/m"\n')
    assert telex("trust").code == 0
    env = {"TELEX_USAGE": "full", "TELEX_PROVIDERS__LAB__RETRIES": "9", "TELEX_PROFILE": "work"}
    ran = telex("config", "list", env=env)
    rows = dict(line.split("\t", 1) for line in ran.text.splitlines())
    expected = {
        "history": "false\tfile",
        "model": "lab/work\tprofile",
        "budget.day": "1\tprofile",
        "usage": "full\tvariable",
        "reasoning": "show\tdefault",
        "code_theme": "\tdefault",
        "system": "Be kind.\tproject",
        "aliases.fast": "lab/m\tproject",
        "aliases.slow": "lab/s\tfile",
        "providers.Lab.base_url": "http://127.0.0.1:9/v1\tfile",
        "providers.Lab.retries": "9\tvariable",
        "providers.Lab.proxy": "http://127.0.0.1:3128\tfile",
        "mcp.files.command": "(hidden)\tfile",
        "mcp.files.env.TOKEN": "(hidden)\tfile",
        "mcp.files.env.MODE": "fast\tfile",
    }
    assert {name: rows.get(name) for name in expected} == expected
    whole = telex("config", "list", env={"TELEX_PROVIDERS__LAB": '{"retries": 9}'}).text
    assert "providers.Lab.retries\t9\tvariable" in whole
    assert "providers.Lab.base_url\thttp://127.0.0.1:9/v1\tfile" in whole
    as_json = json.loads(telex("config", "list", "--json", env=env).text)
    assert {"key": "providers.Lab.retries", "value": 9, "source": "variable"} in as_json
    assert {"key": "code_theme", "value": None, "source": "default"} in as_json
    every = [telex("config", "get", name, env=env) for name in ("providers.lab", "mcp", "model", "usage")]
    assert [each.text.strip() for each in every[2:]] == ["lab/work", "full"]
    assert KEY not in ran.text + ran.err + json.dumps(as_json) + "".join(each.text for each in every)
    ran = telex("config", "set", "providers.lab.proxy", f"http://me:{KEY}@127.0.0.1:9")
    assert (ran.code, ran.err) == (0, "providers.Lab.proxy is now http://127.0.0.1:9.\n")
    assert telex("config", "get", "code_theme").code == 1
    assert "no effect now, because a variable" in telex("config", "set", "usage", "none", env=env).err


def test_every_setting_of_the_schema_can_be_named() -> None:
    names = [str(place) for place in tree.names(schema.File)]
    names += [
        str(place) for group, entry in schema.ENTRIES.items() for place in tree.names(entry, (group, "x"))
    ]
    assert len(names) > 30
    for name in names:
        assert str(tree.locate(schema.File, tree.split(name))) == name


def test_file_that_is_not_toml_is_reported_and_not_touched(telex: Inside) -> None:
    telex.configure("model = [\n")
    for arguments in (["set", "reasoning", "hide"], ["unset", "reasoning"], ["get", "model"], ["list"]):
        ran = telex("config", *arguments)
        assert ran.code == 3
        assert "line 1" in ran.err
    assert telex("config", "path").text == f"{telex.settings}\n"
    assert telex.settings.read_text() == "model = [\n"


def test_keys_and_values_are_completed(telex: Inside) -> None:
    assert telex("config", "list").code == 0
    lists = telex.paths.cache / "completion"
    keys = (lists / "settings").read_text().split()
    assert {"reasoning", "providers.Lab.retries", "budget.day"} <= set(keys)
    values = (lists / "values").read_text().split()
    assert {"reasoning/summary", "markdown/true", "model/Lab", "providers.Lab.enabled/false"} <= set(values)


# --- the editor ------------------------------------------------------------------------------------------------------


def edit(telex: Inside, code: str) -> Any:
    """Run ``telex config edit`` with a shell script as the editor; $1 is the file."""
    script = telex.home / "editor.sh"
    script.parent.mkdir(exist_ok=True)
    script.write_text(f"#!/bin/sh\n{code}\n")
    script.chmod(0o755)
    return telex("config", "edit", env={"EDITOR": str(script)})


def copies(telex: Inside) -> list[Path]:
    return list(telex.settings.parent.glob("settings-edit-*"))


def test_edit_saves_a_valid_file(telex: Inside) -> None:
    ran = edit(telex, 'sed -i "s/lab.m/lab\\/n/" "$1"')
    assert (ran.code, ran.err) == (0, f"Saved {telex.settings}.\n")
    assert telex.settings.read_text() == TEXT.replace("lab/m", "lab/n")
    assert telex.settings.stat().st_mode & 0o777 == 0o600
    ran = edit(telex, ":")
    assert (ran.code, ran.err) == (0, "Nothing was changed.\n")
    for code in ('rm "$1"', ': > "$1"'):
        ran = edit(telex, code)
        assert (ran.code, ran.err) == (0, "Nothing was changed.\n"), "an editor that fails may leave that"
    ran = edit(telex, "exit 3")
    assert ran.code == 1
    assert "settings-edit" not in ran.err, "the copy is the same as the file, and is removed"
    assert copies(telex) == []


@pytest.mark.parametrize(
    ("code", "exit_code", "words"),
    [
        ('echo \'reasoning = "loud"\' > "$1"', 3, "reasoning: must be"),
        ("echo 'model = [' > \"$1\"", 3, "line 1"),
        ('printf \'x = "\\377"\' > "$1"', 3, "it is not UTF-8"),
        (f'echo \'api_key = "{KEY}"\' > "$1"', 3, "keys are not stored in the settings"),
        ('echo \'model = "a"\' > "$1"; exit 3', 1, "exited with code 3"),
        ('echo \'model = "a"\' > "$1"; echo >> SETTINGS', 3, "was changed while you edited it"),
    ],
)
def test_edit_that_cannot_be_used_is_not_lost(telex: Inside, code: str, exit_code: int, words: str) -> None:
    ran = edit(telex, code.replace("SETTINGS", str(telex.settings)))
    assert ran.code == exit_code
    assert words in ran.err
    assert KEY not in ran.err
    (copy,) = copies(telex)
    assert f"The settings are unchanged. Your edit is in {copy}" in ran.err
    assert copy.stat().st_mode & 0o777 == 0o600
    assert telex.settings.read_text().rstrip() == TEXT.rstrip()


def test_edit_may_leave_what_was_wrong_before_and_repairs_a_broken_file(telex: Inside) -> None:
    telex.configure('usage = "loud"\n')
    assert edit(telex, "echo 'history = false' >> \"$1\"").code == 0
    telex.configure("model = [\n")
    assert edit(telex, 'echo \'model = "lab"\' > "$1"').code == 0
    assert written(telex) == {"model": "lab"}


def test_edit_begins_a_new_file_with_comments(telex: Inside) -> None:
    telex.settings.unlink()
    assert edit(telex, ":").err == "Nothing was changed.\n"
    assert not telex.settings.exists()
    assert edit(telex, 'echo \'model = "lab"\' >> "$1"').code == 0
    assert telex.settings.read_text().startswith("# The settings of telex")
