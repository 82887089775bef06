"""``telex mcp``: set up, list, test and remove servers, and store their secrets."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from inprocess import Inside

from provider_core.testing import FakeKeyStore
from telex.exit_codes import ExitCode

if TYPE_CHECKING:
    from running import Ran

SERVER = Path(__file__).parents[1] / "mcp_server.py"
COMMAND = [sys.executable, "-I", "-S", str(SERVER)]
SECRET = "hunter22-hunter22"


@pytest.fixture
def telex(tmp_path: Path) -> Inside:
    telex = Inside(tmp_path / "home")
    telex.env |= {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    return telex


def tables(telex: Inside) -> dict[str, Any]:
    text = telex.settings.read_text() if telex.settings.exists() else ""
    found: dict[str, Any] = tomllib.loads(text).get("mcp", {})
    return found


def refused(ran: Ran, code: ExitCode, *words: str) -> None:
    assert ran.code == code, ran.err
    for word in words:
        assert word in ran.err
    assert SECRET not in ran.err


# --- add ---------------------------------------------------------------------------------------------------


def test_command_is_set_up(telex: Inside, tmp_path: Path) -> None:
    ran = telex(
        "mcp", "add", "lab", "--env", "MODE=fast", "--env", "TOKEN=keyring:lab", "--cwd", str(tmp_path),
        "--timeout", "5", "--start-timeout", "7", "--max-result", "2000", "--allow", "read_*", "--allow", "list",
        "--", "sh", "-c", "a b", "--env", "X",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert ran.out == b""
    assert tables(telex)["lab"] == {
        "command": ["sh", "-c", "a b", "--env", "X"], "env": {"MODE": "fast", "TOKEN": "keyring:lab"},
        "cwd": str(tmp_path), "call_timeout": 5.0, "start_timeout": 7.0, "max_result": 2000,
        "allow": ["read_*", "list"],
    }  # fmt: skip
    assert "TOKEN comes from the keyring. To put it there: telex mcp set-secret lab" in ran.err
    assert "Try: telex mcp test lab" in ran.err
    assert "no command" not in ran.err


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (["--token", SECRET], "a secret after --token."),
        ([f"--api-key={SECRET}"], "a secret after --api-key."),
        (["ghp_0123456789abcdefghij"], "a secret."),
    ],
)
def test_secret_in_a_command_is_a_warning(telex: Inside, words: list[str], where: str) -> None:
    ran = telex("mcp", "add", "lab", "--", "x", *words)
    assert ran.code == 0
    assert f"contains what looks like {where}" in ran.err
    assert "--env NAME=keyring:NAME" in ran.err
    assert SECRET not in ran.err
    assert "looks like" not in telex("mcp", "add", "two", "--", "npx", "-y", "--token-file", "/a").err


def test_address_is_set_up(telex: Inside) -> None:
    ran = telex(
        "mcp", "add", "web", "--url", "https://Tools.example/mcp/",
        "--header", "Authorization: Bearer env:WEB", "--header", "X-Team:a",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert tables(telex)["web"] == {
        "url": "https://tools.example/mcp/",
        "headers": {"Authorization": "Bearer env:WEB", "X-Team": "a"},
    }
    assert "the environment variable WEB, which is not set now" in ran.err


def test_missing_command_is_reported(telex: Inside) -> None:
    added = telex("mcp", "add", "lab", "--", "nosuch-command").err
    assert "Its command was not found: nosuch-command\nInstall it, or add lab again" in added


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lab"], "Put the command that starts the server after --"),
        (["lab", "--url", "http://a/", "--", "x"], "a command and --url cannot be used together"),
        (["lab", f"https://me:{SECRET}@a/mcp"], "Give the address of a server with --url."),
        (["lab", "npx", "-y", "x"], "telex mcp add NAME -- npx -y"),
        (["lab", "--env", "MODE", "--", "x"], "--env takes KEY=VALUE"),
        (["lab", "--env", f"API_KEY={SECRET}", "--", "x"], "give --env API_KEY=keyring:NAME"),
        (["lab", "--env", "ANY=ghp_0123456789abcdefghij", "--", "x"], "looks like a secret"),
        (["lab", "--url", "http://a/", "--header", f"Authorization: Bearer {SECRET}"], "Authorization: keyring:NAME"),
        (["lab", "--url", "http://a/", "--header", f"X-Key={SECRET}"], "looks like a secret"),
        (["lab", "--url", "http://a/", "--header", "X-Team"], "--header takes NAME: VALUE"),
        (["lab", "--url", "http://a.example/", "--header", "X-Key: env:K"], "would be sent unencrypted to"),
        (["lab", "--timeout", "0", "--", "x"], "--timeout"),
        (["lab", "--url", f"https://me:{SECRET}@a/"], "a user name or a password"),
        (["lab", "--", "x\udcff"], "is not UTF-8 text"),
        (["lab", "--env", "A=\udcff", "--", "x"], "is not UTF-8 text"),
    ],
)  # fmt: skip
def test_invalid_server_is_refused(telex: Inside, arguments: list[str], words: str) -> None:
    ran = telex("mcp", "add", *arguments)
    refused(ran, ExitCode.USAGE, words)
    assert ("mcp." in ran.err, tables(telex)) == (False, {})


def test_secret_over_plain_http_needs_permission(telex: Inside) -> None:
    arguments = ["web", "--url", "http://a.example/", "--header", "X-Key: env:K", "--allow-http"]
    assert telex("mcp", "add", *arguments).code == 0
    assert telex("mcp", "add", "near", "--url", "http://10.0.0.1/", "--header", "X-Key: env:K").code == 0


def test_server_is_replaced_only_with_replace(telex: Inside) -> None:
    telex("mcp", "add", "lab", "--env", "A=b", "--", "one")
    refused(telex("mcp", "add", "lab", "--", "two"), ExitCode.SETTINGS, "lab is already set up", "--replace")
    assert telex("mcp", "add", "lab", "--replace", "--", "two").code == 0
    assert tables(telex) == {"lab": {"command": ["two"]}}


# --- list --------------------------------------------------------------------------------------------------


def test_list_shows_no_values(telex: Inside) -> None:
    options = ("--env", "MODE=quiet", "--env", "TOKEN=env:T", "--allow", "read_*")
    telex("mcp", "add", "lab", *options, "--", "a", "b c")
    telex("mcp", "add", "web", "--url", "https://a.example/mcp")
    telex.configure(telex.settings.read_text() + "enabled = false\n")
    ran = telex("mcp", "list")
    assert ran.text == "lab\ta 'b c'\tTOKEN = env:T\tread_*\ton\nweb\thttps://a.example/mcp\t\t\toff\n"
    lab, web = json.loads(telex("mcp", "list", "--json").text)
    assert lab == {
        "name": "lab", "command": ["a", "b c"], "url": None, "cwd": None, "env": ["MODE", "TOKEN"], "headers": [],
        "secrets": {"TOKEN": "env:T"}, "enabled": True, "allow": ["read_*"], "start_timeout": 30.0,
        "call_timeout": 60.0, "max_result": 100000,
    }  # fmt: skip
    assert (web["url"], web["enabled"]) == ("https://a.example/mcp", False)


def test_an_empty_list_says_how_to_begin(telex: Inside) -> None:
    ran = telex("mcp", "list")
    assert (ran.code, ran.out) == (0, b"")
    assert "telex mcp add NAME -- COMMAND" in ran.err
    assert json.loads(telex("mcp", "list", "--json").text) == []


# --- test and tools ----------------------------------------------------------------------------------------


def test_servers_are_tested_and_failures_reported(telex: Inside) -> None:
    telex("mcp", "add", "good", "--", *COMMAND)
    telex("mcp", "add", "bad", "--", *COMMAND, "dies")
    ran = telex("mcp", "test")
    assert ran.code == ExitCode.PROVIDER
    good, bad = (line.split("\t") for line in ran.text.splitlines())
    assert good[:2] == ["good", "passed"]
    assert all(cell.isdigit() for cell in good[2:6])
    assert good[5:] == ["20", "tests 1"]
    assert bad[:2] == ["bad", "failed"]
    assert bad[2].isdigit(), "it was started"
    assert bad[3:] == ["", "", "", ""]
    assert "the MCP server bad stopped while starting (exit 1)" in ran.err
    assert "| ModuleNotFoundError: No module named 'tools'" in ran.err


def test_report_as_json(telex: Inside) -> None:
    telex("mcp", "add", "good", "--", *COMMAND)
    telex("mcp", "add", "bad", "--", "nosuch-command")
    ran = telex("mcp", "test", "--json")
    good, bad = json.loads(ran.text)
    assert (good["name"], good["passed"], good["tools"], good["error"]) == ("good", True, 20, None)
    assert set(good["steps"]) == {"start", "handshake", "tools"}
    assert (bad["passed"], bad["tools"], bad["steps"]) == (False, None, {})
    assert bad["error"]["type"] == "ToolServerError"


@pytest.mark.parametrize(
    ("add", "code", "words"),
    [
        (["--env", "TOKEN=env:ABSENT", "--", *COMMAND], ExitCode.KEY, "Set ABSENT"),
        (["--env", "TOKEN=keyring:none", "--", *COMMAND], ExitCode.KEY, "telex mcp set-secret none"),
        (["--start-timeout", "0.5", "--", *COMMAND, "silent"], ExitCode.NETWORK, "did not start within 0.5 s"),
        (["--url", "http://127.0.0.1:9/mcp"], ExitCode.NETWORK, "cannot be reached"),
        (["--", *COMMAND, "refuses"], ExitCode.PROVIDER, "no licence"),
    ],
    ids=["variable", "keyring", "silent", "unreachable", "refuses"],
)  # fmt: skip
def test_exit_code_is_that_of_what_failed(telex: Inside, add: list[str], code: ExitCode, words: str) -> None:
    telex("mcp", "add", "lab", *add)
    refused(telex("mcp", "test", "lab"), code, words)
    refused(telex("mcp", "tools", "lab"), code, words)


def test_different_failures_exit_1(telex: Inside) -> None:
    telex("mcp", "add", "one", "--", "nosuch-command")
    telex("mcp", "add", "two", "--url", "http://127.0.0.1:9/mcp")
    assert telex("mcp", "test").code == ExitCode.OTHER


def test_timeout_overrides_the_settings(telex: Inside) -> None:
    telex("mcp", "add", "lab", "--", *COMMAND, "silent")
    refused(telex("mcp", "test", "--timeout", "0.3"), ExitCode.NETWORK, "did not start within 0.3 s")


def test_disabled_server_is_tested_only_by_name(telex: Inside) -> None:
    telex("mcp", "add", "on", "--", *COMMAND)
    telex("mcp", "add", "off", "--", *COMMAND)
    telex.configure(telex.settings.read_text() + "enabled = false\n")
    assert [line.split("\t")[0] for line in telex("mcp", "test").text.splitlines()] == ["on"]
    assert telex("mcp", "test", "off").text.startswith("off\tpassed\t")


def test_unknown_server_is_an_error_with_candidates(telex: Inside) -> None:
    telex("mcp", "add", "github", "--", "x")
    for command in ("test", "tools"):
        refused(
            telex("mcp", command, "githib"), ExitCode.SETTINGS, "unknown MCP server: githib", "mean github?"
        )
    refused(telex("mcp", "remove", "githib", "--yes"), ExitCode.SETTINGS, "mean github?")
    telex("mcp", "remove", "github", "--yes")
    refused(telex("mcp", "test"), ExitCode.SETTINGS, "no MCP server is set up")


def test_tools_are_listed_with_hints_and_approval(telex: Inside) -> None:
    telex("mcp", "add", "lab", "--allow", "e*", "--", *COMMAND)
    ran = telex("mcp", "tools", "lab")
    assert ran.code == 0, ran.err
    lines = {line.split("\t")[0]: line.split("\t")[1:] for line in ran.text.splitlines()}
    assert lines["echo"] == ["reads", "no", "What it was given."]
    assert lines["die"] == ["writes", "yes", "Ends with status 3 and a word on stderr."]
    tools = {tool["name"]: tool for tool in json.loads(telex("mcp", "tools", "lab", "--json").text)}
    assert tools["echo"] == {
        "name": "echo",
        "title": "Echo",
        "description": "What it was given.",
        "hints": {"read_only": True, "destructive": None, "idempotent": None, "open_world": None},
        "asks": False,
        "schema": {"type": "object", "properties": {"n": {"type": "number"}}},
    }


def test_a_server_without_tools_says_so(telex: Inside) -> None:
    telex("mcp", "add", "lab", "--", *COMMAND, "toolless")
    ran = telex("mcp", "tools", "lab")
    assert (ran.code, ran.out) == (0, b"")
    assert "lab has no tools" in ran.err


def test_no_provider_has_its_key_in_a_servers_environment(telex: Inside) -> None:
    """Not even one whose variable is called as those that every program needs."""
    telex.configure('[providers.lab]\nbase_url = "http://127.0.0.1:9/v1"\nkey_env = "LOGNAME"\n')
    telex("mcp", "add", "spy", "--", "sh", "-c", "env >&2; echo LOGNAME=$LOGNAME >&2; exit 1")
    ran = telex("mcp", "test", "spy", env={"LOGNAME": SECRET, "LAB_KEY": SECRET, "TERM": "dumb"})
    assert "TERM=dumb" in ran.err
    assert "TELEX_HOME" not in ran.err
    refused(ran, ExitCode.PROVIDER, "LOGNAME=")


# --- secrets -----------------------------------------------------------------------------------------------


def test_secret_is_stored_and_given_to_its_server(telex: Inside) -> None:
    telex("mcp", "add", "lab", "--env", "TOKEN=keyring:lab.token", "--", *COMMAND, "refuses")
    ran = telex("mcp", "set-secret", "lab.token", "--stdin", stdin=f"{SECRET}\n".encode())
    assert ran.code == 0, ran.err
    assert SECRET not in ran.err
    assert telex.stored("secret:lab.token") == SECRET
    assert SECRET not in telex.settings.read_text()
    assert "no licence" in telex("mcp", "test", "lab").err, "it was started with it"


def test_unused_secret_is_reported(telex: Inside) -> None:
    ran = telex("mcp", "set-secret", "lab", "--stdin", stdin=b"x")
    assert "Nothing uses it yet. A server whose --env refers to keyring:lab gets it" in ran.err
    assert telex("mcp", "set-secret", "lab", "--remove").code == 0
    assert telex.stored("secret:lab") is None


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        (["lab"], b"", "no terminal to prompt on; use --stdin"),
        (["lab", "--stdin"], b"\n", "stdin is empty"),
        (["a b", "--stdin"], b"x", "not a valid name for a secret"),
        (["lab", "--stdin", "--remove"], b"x", "cannot be used together"),
    ],
)
def test_invalid_secret_is_refused(telex: Inside, arguments: list[str], stdin: bytes, words: str) -> None:
    refused(telex("mcp", "set-secret", *arguments, stdin=stdin), ExitCode.USAGE, words)


def test_removing_a_secret_that_is_not_stored_is_an_error(telex: Inside) -> None:
    refused(telex("mcp", "set-secret", "lab", "--remove"), ExitCode.SETTINGS, "unknown secret: lab")


def test_broken_keyring_suggests_a_variable(tmp_path: Path) -> None:
    telex = Inside(tmp_path / "home", FakeKeyStore(broken="the keyring is locked"))
    telex("mcp", "add", "lab", "--env", "TOKEN=keyring:lab", "--", *COMMAND)
    for arguments in (["set-secret", "lab", "--stdin"], ["test"]):
        refused(telex("mcp", *arguments, stdin=b"x"), ExitCode.KEY, "the keyring is locked", "env:VARIABLE")
    refused(telex("mcp", "remove", "lab", "--yes"), ExitCode.KEY, "cannot remove lab", "--keep-secrets")
    assert "lab" in tables(telex)
    assert telex("mcp", "remove", "lab", "--yes", "--keep-secrets").code == 0
    assert tables(telex) == {}


# --- remove ------------------------------------------------------------------------------------------------


def test_remove_deletes_secrets_that_nothing_else_uses(telex: Inside) -> None:
    telex.configure('[providers.lab]\nbase_url = "http://h"\nheaders = {X-Key = "keyring:gw"}\n')
    wanted = ("A=keyring:own", "D=keyring:own", "B=keyring:shared", "C=keyring:gw")
    variables = [word for each in wanted for word in ("--env", each)]
    telex("mcp", "add", "one", *variables, "--", "x")
    telex("mcp", "add", "two", "--env", "B=keyring:shared", "--", "x")
    for name in ("own", "shared", "gw"):
        telex.store.set(f"secret:{name}", SECRET)
    telex.store.set("own", "a provider's key")
    refused(telex("mcp", "remove", "one"), ExitCode.USAGE, "use --yes")
    ran = telex("mcp", "remove", "one", "--yes")
    assert "one is removed, and from the keyring: own." in ran.err
    assert list(tables(telex)) == ["two"]
    assert [telex.stored(name) for name in ("secret:own", "secret:shared", "secret:gw", "own")] == [
        None, SECRET, SECRET, "a provider's key",
    ]  # fmt: skip
    ran = telex("mcp", "remove", "two", "--yes", "--keep-secrets")
    assert "still in the keyring: secret:shared (service telex)" in ran.err
    assert telex.stored("secret:shared") == SECRET
