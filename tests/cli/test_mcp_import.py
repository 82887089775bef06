"""``telex mcp import``: other clients' files as they are, what is taken of them, what is left and why, and secrets."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from inprocess import Inside

from provider_core.errors import InvalidInputError, KeyStoreError
from provider_core.keys import MemoryStore
from provider_core.settings.mcp_import import ImportedServer, read
from telex.exit_codes import ExitCode

SECRET = "hunter22-hunter22"


@pytest.fixture
def telex(tmp_path: Path) -> Inside:
    telex = Inside(tmp_path / "home")
    telex.env |= {"PATH": "/usr/bin:/bin"}
    return telex


def tables(telex: Inside) -> dict[str, Any]:
    text = telex.settings.read_text() if telex.settings.exists() else ""
    found: dict[str, Any] = tomllib.loads(text).get("mcp", {})
    return found


def file(**servers: Any) -> bytes:
    return json.dumps({"mcpServers": servers}).encode()


def one(entry: Any) -> ImportedServer:
    (found,) = read(json.dumps({"mcpServers": {"lab": entry}}))
    return found


CLAUDE = """{
  "mcpServers": {
    "filesystem": {"command": "npx", "args": ["-y", "@scope/server-filesystem", "/srv", "~/x"]},
    "remote": {"type": "http", "url": "https://tools.example/mcp", "headers": {"X-Team": "a"}}
  },
  "globalShortcut": "Ctrl+Space"
}"""

CURSOR = """{"mcpServers": {
  "db": {"command": "uvx", "args": ["db-server"], "env": {"DB_URL": "${env:DB_URL}", "DEBUG": true, "N": 5}},
  "web": {"url": "https://tools.example/mcp", "headers": {"Authorization": "Bearer ${env:WEB_TOKEN}"}}
}}"""

VSCODE = """{
  // asked for once
  "inputs": [{"type": "promptString", "id": "github-key", "password": true}],
  "servers": {
    "github": {
      "type": "http", "url": "https://api.example/mcp/", /* the slash matters */
      "headers": {"Authorization": "Bearer ${input:github-key}",},
    },
    "local": {"type": "stdio", "command": "node", "args": ["https://not.a/comment"], "envFile": ".env"},
  },
}"""


def test_the_file_of_claude_is_taken_as_it_is(telex: Inside, tmp_path: Path) -> None:
    path = tmp_path / "claude_desktop_config.json"
    path.write_text(CLAUDE)
    ran = telex("mcp", "import", str(path))
    assert ran.code == 0, ran.err
    assert tables(telex) == {
        "filesystem": {"command": ["npx", "-y", "@scope/server-filesystem", "/srv", "~/x"]},
        "remote": {"url": "https://tools.example/mcp", "headers": {"X-Team": "a"}},
    }
    assert "imported  filesystem: npx -y @scope/server-filesystem" in ran.err
    assert "Try: telex mcp test filesystem remote" in ran.err
    assert path.read_text() == CLAUDE


def test_the_file_of_cursor_has_its_variables_as_references(telex: Inside) -> None:
    ran = telex("mcp", "import", "-", stdin=CURSOR.encode(), env={"DB_URL": "x"})
    assert ran.code == 0, ran.err
    assert tables(telex) == {
        "db": {"command": ["uvx", "db-server"], "env": {"DB_URL": "env:DB_URL", "DEBUG": "true", "N": "5"}},
        "web": {"url": "https://tools.example/mcp", "headers": {"Authorization": "Bearer env:WEB_TOKEN"}},
    }
    assert (
        "web: Authorization comes from the environment variable WEB_TOKEN, which is not set now." in ran.err
    )
    assert "db: DB_URL" not in ran.err


def test_the_file_of_vs_code_has_its_inputs_as_secrets_of_the_keyring(telex: Inside) -> None:
    ran = telex("mcp", "import", "-", stdin=b"\xef\xbb\xbf" + VSCODE.encode())
    assert ran.code == 0, ran.err
    assert tables(telex) == {
        "github": {
            "url": "https://api.example/mcp/",
            "headers": {"Authorization": "Bearer keyring:github.github-key"},
        },
        "local": {"command": ["node", "https://not.a/comment"]},
    }
    assert "telex mcp set-secret github.github-key" in ran.err
    assert "envFile: omitted, telex does not read it" in ran.err


def test_settings_with_everything_else_in_them_are_read_too() -> None:
    text = json.dumps({"mcp": {"servers": {"a": {"command": "x"}}}, "editor.tabSize": 4})
    assert [(found.name, found.table) for found in read(text)] == [("a", {"command": ["x"]})]


@pytest.mark.parametrize(
    ("entry", "table"),
    [
        ({"command": "x", "args": ["a", 1]}, {"command": ["x", "a", "1"]}),
        ({"command": ["x", "a"]}, {"command": ["x", "a"]}),
        ({"command": "npx -y 'a b'"}, {"command": ["npx", "-y", "a b"]}),
        ({"command": "x", "cwd": "/srv", "env": {}}, {"command": ["x"], "cwd": "/srv"}),
        ({"command": "x", "disabled": True}, {"command": ["x"], "enabled": False}),
        ({"command": "x", "env": {"A": None, "B": "", "C": "c"}}, {"command": ["x"], "env": {"B": "", "C": "c"}}),
        ({"command": "x", "env": {"A": "${A:-b}"}}, {"command": ["x"], "env": {"A": "env:A"}}),
        ({"command": "x", "args": ["${M}"], "env": {"M": "a"}}, {"command": ["x", "${M}"], "env": {"M": "a"}}),
        ({"command": "x", "args": ["${userHome}/a"]}, {"command": ["x", f"{Path.home()}/a"]}),
        ({"serverUrl": "https://a.example/mcp"}, {"url": "https://a.example/mcp"}),
        ({"httpUrl": "https://a.example/mcp"}, {"url": "https://a.example/mcp"}),
        ({"type": "streamable-http", "url": "https://a.example/mcp"}, {"url": "https://a.example/mcp"}),
    ],
)  # fmt: skip
def test_an_entry_becomes_a_table(entry: Any, table: dict[str, Any]) -> None:
    found = one(entry)
    assert (found.skip_reason, found.secrets) == ("", {})
    assert found.table == table


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({}, "neither a command nor a url"),
        ([], "object"),
        ({"type": "sse", "url": "https://a.example/x"}, "older HTTP transport (sse)"),
        ({"url": "https://a.example/v1/sse"}, "older HTTP transport (sse)"),
        ({"type": "ws", "url": "wss://a.example"}, "type is ws"),
        ({"command": "x", "args": "a b"}, "not strings"),
        ({"command": "x", "env": ["A"]}, "object"),
        ({"command": "x", "env": {"A": {}}}, "its A is not text"),
        ({"command": "x", "args": ["${workspaceFolder}"]}, "fill in ${workspaceFolder} in its arguments"),
        ({"command": "x", "args": ["--token", "${input:t}"]}, "${input:t} in its arguments"),
        ({"url": "https://${env:HOST}/mcp"}, "${env:HOST} in its address"),
        ({"command": "x", "env": {"PASSWORD_URL": "a ${env:A} ${env:B}"}}, "more than one placeholder"),
        ({"command": "x", "args": ["--api-key", SECRET]}, "looks like a secret after --api-key"),
        ({"command": "x", "args": [f"--api-key={SECRET}"]}, "looks like a secret after --api-key"),
        ({"command": "x", "args": ["sk-proj-0123456789abcdef"]}, "looks like a secret, and"),
        ({"command": "x", "env": {"K": "keyring:openai"}}, "its K is 'keyring:openai'"),
        ({"url": "https://a/", "headers": {"K": "Bearer env:OPENAI_API_KEY"}}, "add it by hand"),
    ],
)
def test_what_cannot_be_taken_is_left_with_its_reason(entry: Any, why: str) -> None:
    found = one(entry)
    assert why in found.skip_reason
    assert found.table == {}
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("My Git_Server", "My-Git-Server"),
        ("@scope/server", "scope-server"),
        ("a" * 80, "a" * 64),
        ("_x_", "x"),
    ],
)
def test_names_are_made_to_fit(called: str, name: str) -> None:
    (found,) = read(json.dumps({"mcpServers": {called: {"command": "x"}}}))
    assert found.name == name
    assert f"its name here is {name}" in found.notes


def test_names_that_cannot_be_are_left() -> None:
    names = {
        "all": {"command": "x"},
        "日本": {"command": "x"},
        "a b": {"command": "x"},
        "a-b": {"command": "x"},
    }
    reserved, empty, first, second = read(json.dumps({"mcpServers": names}))
    assert "taken by telex itself" in reserved.skip_reason
    assert "not a valid name for an MCP server" in empty.skip_reason
    assert (first.skip_reason, second.skip_reason) == (
        "",
        "its name would be a-b, which another server of the file has",
    )


def test_permissions_of_another_client_are_not_taken_over() -> None:
    found = one({"command": "x", "alwaysAllow": ["rm"], "trust": True, "icon": "y", "timeout": 5})
    assert found.table == {"command": ["x"], "call_timeout": 5.0}
    assert found.notes == (
        "timeout: 5 s becomes call_timeout = 5",
        "alwaysAllow, trust: omitted, choose yourself which tools run without asking (allow)",
        "icon: omitted, telex has no such setting",
    )


@pytest.mark.parametrize(
    ("fields", "limits", "note"),
    [
        ({"timeout": 60000}, {"call_timeout": 60}, "timeout: 60000 ms becomes call_timeout = 60"),
        ({"timeout": "1500"}, {"call_timeout": 1.5}, "timeout: 1500 ms becomes call_timeout = 1.5"),
        ({"timeout": 300}, {"call_timeout": 300}, "timeout: 300 s becomes call_timeout = 300"),
        ({"tool_timeout_sec": 1800}, {"call_timeout": 1800}, "1800 s becomes call_timeout = 1800"),
        ({"initTimeout": 10000}, {"start_timeout": 10}, "initTimeout: 10000 ms becomes start_timeout = 10"),
        ({"timeout": 0}, {}, "timeout: omitted, it is not a number of seconds"),
        ({"timeout": True}, {}, "timeout: omitted"),
        ({"timeout": [5]}, {}, "timeout: omitted"),
        ({"timeout": "soon"}, {}, "timeout: omitted"),
        ({"timeout": 10**400}, {}, "timeout: omitted"),
        ({"includeTools": ["a"]}, {}, "includeTools: omitted, telex offers all tools of a server"),
        ({"oauth": {"clientSecret": SECRET}}, {}, "oauth: omitted, telex cannot sign in"),
        ({"dev": {"watch": "x"}}, {}, "dev: omitted, telex has no such setting"),
    ],
)
def test_fields_of_other_clients_are_converted_or_reported(
    fields: Any, limits: dict[str, float], note: str
) -> None:
    found = one({"command": "x", **fields})
    assert found.table == {"command": ["x"], **limits}
    assert note in " / ".join(found.notes)
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ({"context_servers": {"a": {"command": {"path": "x", "args": ["y"], "env": {"B": "c"}}}}},
         {"command": ["x", "y"], "env": {"B": "c"}}),
        ({"context_servers": {"a": {"source": "custom", "command": "x", "args": []}}}, {"command": ["x"]}),
        ({"mcp": {"a": {"type": "local", "command": ["x", "y"], "environment": {"B": "c"}, "enabled": False}}},
         {"command": ["x", "y"], "env": {"B": "c"}, "enabled": False}),
        ({"mcp": {"a": {"type": "remote", "url": "https://a.example/mcp"}}}, {"url": "https://a.example/mcp"}),
        ({"extensions": {"a": {"type": "stdio", "cmd": "x", "args": ["y"], "envs": {"B": "c"}, "timeout": 300}}},
         {"command": ["x", "y"], "env": {"B": "c"}, "call_timeout": 300.0}),
        ({"extensions": {"a": {"type": "streamable_http", "uri": "https://a.example/mcp"}}},
         {"url": "https://a.example/mcp"}),
        ({"mcpServers": [{"name": "a", "command": "x"}]}, {"command": ["x"]}),
        ({"mcpServers": {"a": {"command": "x", "isActive": False}}}, {"command": ["x"], "enabled": False}),
        ({"mcpServers": {"a": {"url": "https://a.example/mcp", "bearer_token_env_var": "T"}}},
         {"url": "https://a.example/mcp", "headers": {"Authorization": "Bearer env:T"}}),
        ({"mcpServers": {"a": {"command": "x", "disabled": None, "cwd": None, "timeout": None}}}, {"command": ["x"]}),
    ],
)  # fmt: skip
def test_files_of_other_clients_are_read(text: Any, table: dict[str, Any]) -> None:
    (found,) = read(json.dumps(text))
    assert (found.name, found.skip_reason, found.table) == ("a", "", table)


def test_a_secret_in_a_default_is_not_shown() -> None:
    found = one({"command": "x", "args": [f"${{TOKEN:-{SECRET}}}"]})
    assert "${TOKEN} in its arguments" in found.skip_reason
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1 is not valid JSON"),
        ('{"mcpServers": {\n"a": }}', "line 2 is not valid JSON"),
        ("[]", "has no MCP servers"),
        ('{"mcpServers": {}}', "has no MCP servers"),
        ('{"mcpServers": [1]}', "has no MCP servers"),
        ("[" * 100_000, "nested too deeply"),
        ('{"mcpServers": {"a": {"command": "\\ud800"}}}', "half a character"),
    ],
)
def test_what_is_no_such_file_says_so(text: str, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        read(text)


# --- secrets in plain --------------------------------------------------------------------------------------

PLAIN = file(
    files={"command": "x"},
    github={"command": "x", "env": {"GITHUB_TOKEN": SECRET, "MODE": "fast"}},
    web={"url": "https://a.example/mcp", "headers": {"Authorization": f"Bearer {SECRET}", "X-Team": "a"}},
)


def test_a_server_with_a_secret_in_plain_is_not_taken_in_silence(telex: Inside) -> None:
    ran = telex("mcp", "import", "-", stdin=PLAIN)
    assert ran.code == 0
    assert list(tables(telex)) == ["files"]
    assert "skipped   github: the file contains GITHUB_TOKEN in plain text: use --secrets keyring" in ran.err
    assert SECRET not in ran.err
    assert SECRET not in telex.settings.read_text()


def test_secrets_in_plain_go_into_the_keyring(telex: Inside) -> None:
    ran = telex("mcp", "import", "-", "--secrets", "keyring", stdin=PLAIN)
    assert ran.code == 0, ran.err
    assert tables(telex)["github"]["env"] == {"MODE": "fast", "GITHUB_TOKEN": "keyring:github.GITHUB_TOKEN"}
    assert tables(telex)["web"]["headers"] == {
        "X-Team": "a",
        "Authorization": "Bearer keyring:web.Authorization",
    }
    assert telex.stored("secret:github.GITHUB_TOKEN") == SECRET
    assert telex.stored("secret:web.Authorization") == SECRET
    assert "2 secrets are in the keyring; the file still has them." in ran.err
    assert "telex mcp set-secret" not in ran.err, "they are there"
    assert SECRET not in ran.err + telex.settings.read_text()


def test_secrets_in_plain_may_be_looked_for_in_the_environment(telex: Inside) -> None:
    ran = telex("mcp", "import", "-", "--secrets", "env", stdin=PLAIN, env={"GITHUB_TOKEN": "x"})
    assert ran.code == 0, ran.err
    assert tables(telex)["github"]["env"]["GITHUB_TOKEN"] == "env:GITHUB_TOKEN"
    assert tables(telex)["web"]["headers"]["Authorization"] == "Bearer env:WEB_AUTHORIZATION"
    assert "web: Authorization comes from the environment variable WEB_AUTHORIZATION" in ran.err
    assert "github: GITHUB_TOKEN" not in ran.err
    assert SECRET not in ran.err + telex.settings.read_text()


def test_a_keyring_that_does_not_work_leaves_everything_as_it_was(tmp_path: Path) -> None:
    class Broken(MemoryStore):
        def set(self, name: str, key: str) -> None:
            raise KeyStoreError("the keyring is locked")

    telex = Inside(tmp_path / "home", Broken())
    ran = telex("mcp", "import", "-", "--secrets", "keyring", stdin=PLAIN)
    assert ran.code == ExitCode.KEY
    assert "the keyring is locked" in ran.err
    assert tables(telex) == {}


# --- which are taken ---------------------------------------------------------------------------------------


def test_some_may_be_chosen_by_either_name(telex: Inside) -> None:
    text = file(**{"a b": {"command": "x"}, "c": {"command": "x"}, "d": {"command": "x"}})
    assert telex("mcp", "import", "-", "--only", "a b", "--only", "c", stdin=text).code == 0
    assert set(tables(telex)) == {"a-b", "c"}
    ran = telex("mcp", "import", "-", "--only", "e", stdin=text)
    assert (ran.code, "no server called e" in ran.err) == (ExitCode.USAGE, True)


def test_a_server_that_is_set_up_stays_unless_it_is_to_be_replaced(telex: Inside) -> None:
    telex("mcp", "add", "lab", "--", "old")
    text = file(lab={"command": "new"})
    ran = telex("mcp", "import", "-", stdin=text)
    assert ran.code == ExitCode.SETTINGS
    assert "skipped   lab: lab is already set up, and --replace is not given" in ran.err
    assert "nothing was imported" in ran.err
    assert tables(telex)["lab"]["command"] == ["old"]
    assert telex("mcp", "import", "-", "--replace", stdin=text).code == 0
    assert tables(telex)["lab"]["command"] == ["new"]


def test_a_secret_over_plain_http_needs_a_word(telex: Inside) -> None:
    text = file(web={"url": "http://a.example/mcp", "headers": {"X-Key": "${env:K}"}})
    assert "unencrypted" in telex("mcp", "import", "-", stdin=text).err
    assert tables(telex) == {}
    assert telex("mcp", "import", "-", "--allow-http", stdin=text).code == 0


def test_what_the_settings_do_not_accept_is_left_alone(telex: Inside) -> None:
    text = file(bad={"url": "ftp://a/"}, good={"command": "x"}, worse={"command": "x", "env": {"A-B": "c"}})
    ran = telex("mcp", "import", "-", stdin=text)
    assert ran.code == 0
    assert list(tables(telex)) == ["good"]
    assert "skipped   bad: " in ran.err
    assert "skipped   worse: " in ran.err


def test_a_file_that_cannot_be_read_is_an_error(telex: Inside, tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b'{"a": "\xe9"}')
    for path, words in [("absent", "No such file"), ("latin", "it is not UTF-8")]:
        ran = telex("mcp", "import", str(tmp_path / path))
        assert ran.code == ExitCode.USAGE
        assert words in ran.err


# --- files of strangers ------------------------------------------------------------------------------------


def test_a_providers_key_is_not_handed_to_a_strangers_server(telex: Inside) -> None:
    telex.configure('[providers.openai]\npreset = "openai"\n')
    web = {"url": "https://a.example/mcp", "headers": {"X-Any": "${env:OPENAI_API_KEY}"}}
    ran = telex(
        "mcp", "import", "-", stdin=file(web=web, lab={"command": "x", "env": {"OPENAI_API_KEY": SECRET}})
    )
    assert ran.code == ExitCode.SETTINGS
    assert "skipped   web: it wants OPENAI_API_KEY, a provider's key, which servers get only" in ran.err
    assert tables(telex) == {}
    lab = file(lab={"command": "x", "env": {"OPENAI_API_KEY": SECRET}})
    assert "it wants OPENAI_API_KEY" in telex("mcp", "import", "-", "--secrets", "env", stdin=lab).err


def test_what_is_taken_of_the_environment_is_said(telex: Inside) -> None:
    telex.env["DB_URL"] = SECRET
    ran = telex("mcp", "import", "-", stdin=file(db={"command": "x", "env": {"URL": "${env:DB_URL}"}}))
    assert "URL: from the environment variable DB_URL" in ran.err
    assert SECRET not in ran.err


def test_nothing_in_a_file_begins_a_line_or_commands_a_terminal(telex: Inside) -> None:
    called = "lab\u202e\n\x1b[31mskipped   x"
    text = file(
        **{
            called: {
                "command": "x\nimported  y: z",
                "args": ["a\x1b[2K\r"],
                "odd\n\x1b[2J": 1,
                "type": "stdio",
            }
        }
    )
    ran = telex("mcp", "import", "-", stdin=text)
    assert "\x1b" not in ran.err
    assert "\r" not in ran.err
    assert "\u202e" not in ran.err
    assert not [line for line in ran.err.splitlines() if line.startswith(("skipped   x", "imported  y"))]


def test_a_header_of_any_name_has_its_secret_in_the_keyring(telex: Inside) -> None:
    text = file(web={"url": "https://a.example/mcp", "headers": {"X-Api!Key": SECRET}})
    telex("mcp", "import", "-", "--secrets", "keyring", stdin=text)
    assert tables(telex)["web"]["headers"] == {"X-Api!Key": "keyring:web.X-Api-Key"}
    assert telex.stored("secret:web.X-Api-Key") == SECRET
