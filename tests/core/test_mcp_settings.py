"""MCP servers in the settings: what may stand in their tables, how references read, and changes that keep comments."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from provider_core.errors import InvalidInputError, SettingsError, UnknownToolServerError
from provider_core.settings import Paths, Settings, edit, load
from provider_core.settings.mcp import McpServer, find_server, secret_references
from provider_core.settings.validators import is_harmless, parse_reference, parse_url
from provider_core.tools.mcp._process import server_environment


def paths(home: Path, text: str) -> Paths:
    found = Paths.find({"TELEX_HOME": str(home)})
    found.config.mkdir(parents=True, exist_ok=True)
    found.settings_file.write_text(text)
    return found


def servers(home: Path, text: str) -> dict[str, McpServer]:
    settings = load(paths(home, text), {})
    for error in settings.problems.values():
        raise error
    return dict(settings.mcp)


def test_tables_are_servers(tmp_path: Path) -> None:
    found = servers(
        tmp_path,
        """
        [mcp.files]
        command = ["npx", "-y", "a-server", "/srv"]
        env = {TOKEN = "keyring:files", MODE = "fast"}
        cwd = "~/work"
        enabled = false
        start_timeout = 5
        call_timeout = 2.5
        max_result = 2000
        allow = ["read_*", "list"]

        [mcp.web]
        url = "HTTPS://Tools.Example/mcp/?v=1"
        headers = {Authorization = "Bearer env:WEB_TOKEN", X-Team = "a"}
        """,
    )
    assert found["files"] == McpServer(
        name="files",
        command=("npx", "-y", "a-server", "/srv"),
        env={"TOKEN": "keyring:files", "MODE": "fast"},
        cwd=Path("~/work").expanduser(),
        enabled=False,
        start_timeout=5.0,
        call_timeout=2.5,
        max_result=2000,
        allow=("read_*", "list"),
    )
    web = found["web"]
    assert (web.url, web.place) == ("https://tools.example/mcp/?v=1",) * 2, "a path is kept to the letter"
    assert found["files"].place == "npx -y a-server /srv"
    assert (web.enabled, web.start_timeout, web.call_timeout, web.max_result, web.allow) == (
        True, 30.0, 60.0, 100_000, (),
    )  # fmt: skip
    assert {name: str(each) for name, each in secret_references(web).items()} == {
        "Authorization": "env:WEB_TOKEN"
    }
    assert {name: each.entry for name, each in secret_references(found["files"]).items()} == {
        "TOKEN": "secret:files"
    }


def test_without_tables_there_are_none(tmp_path: Path) -> None:
    assert servers(tmp_path, "") == {}
    assert servers(tmp_path, 'model = "lab/m"') == {}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("", "it needs a command or a url"),
        ('command = ["a"]\nurl = "http://a/"', "not both"),
        ("command = []", "at least 1 item"),
        ('command = [" "]', "its command is empty"),
        ('command = "npx a-server"', "must be a list"),
        ('url = "ftp://a/"', "the URL must begin with http"),
        ('url = "http://me:pass@a/"', "the URL contains a user name or a password"),
        ('url = "http://a/?api_key=k"', "the URL contains a key in its query"),
        ('url = "http://a/"\nenv = {A = "b"}', "are for a command"),
        ('url = "http://a/"\ncwd = "/"', "are for a command"),
        ('command = ["a"]\nheaders = {A = "b"}', "headers are for a url"),
        ('url = "http://a/"\nheaders = {Authorization = "Bearer abc"}', "must be a reference"),
        ('url = "http://a/"\nheaders = {Host = "b"}', "set by telex itself"),
        ('url = "http://a/"\nheaders = {"A B" = "b"}', "not a valid header name"),
        ('command = ["a"]\nenv = {"A-B" = "b"}', "not a valid name of an environment variable"),
        ('command = ["a"]\nenv = {A = 1}', "must be a string"),
        ('command = ["a"]\nstart_timeout = 0', "greater than 0"),
        ('command = ["a"]\ncall_timeout = "soon"', "valid number"),
        ('command = ["a"]\nmax_result = 10', "greater than or equal to 1000"),
        ('command = ["a"]\nallow = ["two words"]', "not a valid pattern"),
        ('command = ["a"]\nargs = ["b"]', "mcp.lab.args is not a setting"),
    ],
)
def test_what_a_table_may_not_hold_is_said(tmp_path: Path, table: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        servers(tmp_path, f"[mcp.lab]\n{table}\n")
    assert words in caught.value.message
    assert "mcp.lab" in caught.value.message
    assert "pass@" not in caught.value.message


@pytest.mark.parametrize("name", ["a b", "a_b", "-a", "a.b", "all", "none", "x" * 65])
def test_names_are_those_of_providers(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=r"an MCP server|taken by telex"):
        servers(tmp_path, f'[mcp."{name}"]\ncommand = ["a"]\n')


@pytest.mark.parametrize(
    ("written", "kind", "name", "before"),
    [
        ("keyring:github", "keyring", "github", ""),
        ("env:GITHUB_TOKEN", "env", "GITHUB_TOKEN", ""),
        ("Bearer keyring:git-hub.2", "keyring", "git-hub.2", "Bearer "),
        ("token env:T", "env", "T", "token "),
    ],
)
def test_a_reference_names_a_secret(written: str, kind: str, name: str, before: str) -> None:
    found = parse_reference(written)
    assert found is not None
    assert (found.kind, found.name, found.before) == (kind, name, before)


@pytest.mark.parametrize(
    "written",
    ["", "keyring:", "env: A", "key:a", "http://env:8080", "a b env:C", "env:A/B", "Keyring:a", "env:A\n"],
)
def test_other_values_mean_themselves(written: str) -> None:
    assert parse_reference(written) is None


@pytest.mark.parametrize(
    ("name", "value", "fit"),
    [
        ("MODE", "fast", True),
        ("API_KEY", "keyring:a", True),
        ("API_KEY", "0123456789abcdef", False),
        ("GITHUB_TOKEN", "x", False),
        ("KEY_FILE", "/home/me/key.pem", True),
        ("KEY_FILE", "~/key.pem", True),
        ("USE_AUTH", "true", True),
        ("AUTH", "oauth", True),
        ("TOKEN_LIMIT", "4096", True),
        ("AUTH_URL", "https://login.example/x", True),
        ("AUTH_URL", "https://me:pw@login.example/x", False),
        ("AUTH_URL", "https://login.example/x?key=1", False),
        ("PASSWORD", "", True),
        ("ANY", "ghp_0123456789abcdefABCDEF", False),
        ("ANY", "prefix sk-proj-0123456789abcdef", False),
        ("DATABASE", "skating", True),
    ],
)
def test_secrets_are_known_by_their_names_and_their_looks(name: str, value: str, fit: bool) -> None:
    assert is_harmless(name, value) is fit


def test_a_url_repeats_nothing_of_itself_in_its_error() -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_url("https://me:hunter22@a/")
    assert "hunter22" not in caught.value.message


def test_an_unknown_name_has_near_ones() -> None:
    known = Settings(mcp={"github": McpServer(name="github", command=("a",))})
    assert find_server(known, "github") is known.mcp["github"]
    with pytest.raises(UnknownToolServerError) as caught:
        find_server(known, "githib")
    assert (caught.value.candidates, caught.value.server) == (("github",), "githib")


# --- changes -----------------------------------------------------------------------------------------------

WRITTEN = """# mine
model = "lab/m" # the usual

[mcp.files] # the local ones
command = ["a", "b"] # do not touch
env = {X = "1"}

# about lab
[providers.lab]
base_url = "http://127.0.0.1:1/v1"
"""


def put(home: Path, fields: dict[str, Any], name: str = "new", text: str = WRITTEN, **options: bool) -> str:
    found = paths(home, text)
    edit.put(found.settings_file, {name: fields}, "mcp", **options)
    load(found, {})
    return found.settings_file.read_text()


def test_a_server_is_added_and_all_else_stays(tmp_path: Path) -> None:
    text = put(tmp_path, {"command": ["c"], "env": {"A": "keyring:a"}, "url": None})
    for line in WRITTEN.splitlines():
        assert line in text
    found = servers(tmp_path / "again", text)
    assert found["new"] == McpServer(name="new", command=("c",), env={"A": "keyring:a"})
    assert found["files"].command == ("a", "b")


def test_a_server_that_is_there_is_replaced_only_when_asked(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="files is already set up"):
        put(tmp_path, {"command": ["c"]}, "files")
    text = put(tmp_path, {"command": ["c"]}, "files", replace=True)
    assert servers(tmp_path / "again", text)["files"] == McpServer(name="files", command=("c",))
    assert "# mine" in text
    assert "# about lab" in text


def test_what_would_not_be_accepted_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="it needs a command or a url"):
        put(tmp_path, {"env": {"A": "b"}})
    assert paths(tmp_path / "other", "").settings_file.read_text() == ""
    assert (tmp_path / "config" / "settings.toml").read_text() == WRITTEN


def test_a_server_is_removed_and_its_neighbours_comments_stay(tmp_path: Path) -> None:
    found = paths(tmp_path, WRITTEN)
    edit.remove(found.settings_file, "files", "mcp")
    text = found.settings_file.read_text()
    assert "files" not in text
    assert "# about lab\n[providers.lab]" in text
    with pytest.raises(SettingsError, match="no MCP server called files is set up"):
        edit.remove(found.settings_file, "files", "mcp")


def test_a_provider_of_the_same_name_is_another_thing(tmp_path: Path) -> None:
    text = put(tmp_path, {"command": ["c"]}, "lab")
    assert servers(tmp_path / "again", text)["lab"].command == ("c",)
    found = paths(tmp_path, text)
    edit.remove(found.settings_file, "lab", "mcp")
    assert "lab" in load(found, {}).providers


# --- the environment ---------------------------------------------------------------------------------------


def test_an_environment_without_a_path_gets_the_systems() -> None:
    assert server_environment({}, {}) == {"PATH": os.defpath}


def test_no_name_saves_a_variable_that_is_withheld() -> None:
    environ = {"PATH": "/bin", "USER": "key", "HOME": "() { evil; }", "LANG": "C"}
    assert server_environment(environ, {}, excluded_env={"USER"}) == {"PATH": "/bin", "LANG": "C"}
