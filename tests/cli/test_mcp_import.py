"""``telex mcp import``: what is imported from other clients' files, what is skipped and why, and secrets."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from inprocess import Inside

from provider_core.errors import InvalidInputError
from provider_core.settings.mcp_import import ImportedServer, read
from provider_core.testing import FakeKeyStore
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


def test_servers_in_the_file_of_claude_are_imported(telex: Inside, tmp_path: Path) -> None:
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


def test_variables_in_the_file_of_cursor_become_references(telex: Inside) -> None:
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


def test_inputs_in_the_file_of_vs_code_become_secrets_in_the_keyring(telex: Inside) -> None:
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


@pytest.mark.parametrize(
    ("entry", "table"),
    [
        ({"command": "x", "args": ["a", 1]}, {"command": ["x", "a", "1"]}),
        ({"command": ["x", "a"]}, {"command": ["x", "a"]}),
        ({"command": "x", "cwd": "/srv", "env": {}}, {"command": ["x"], "cwd": "/srv"}),
        ({"command": "x", "disabled": True}, {"command": ["x"], "enabled": False}),
        ({"command": "x", "disabled": None, "cwd": None, "timeout": None}, {"command": ["x"]}),
        ({"command": "x", "env": {"A": None, "B": "", "C": "c"}}, {"command": ["x"], "env": {"B": "", "C": "c"}}),
        ({"command": "x", "env": {"A": "${A:-b}"}}, {"command": ["x"], "env": {"A": "env:A"}}),
        ({"command": "x", "args": ["${M}"], "env": {"M": "a"}}, {"command": ["x", "${M}"], "env": {"M": "a"}}),
        ({"command": "x", "args": ["${userHome}/a"]}, {"command": ["x", f"{Path.home()}/a"]}),
        *(({key: "https://a/mcp"}, {"url": "https://a/mcp"}) for key in ("serverUrl", "httpUrl")),
        ({"type": "streamable-http", "url": "https://a/mcp"}, {"url": "https://a/mcp"}),
    ],
)  # fmt: skip
def test_entry_becomes_a_table(entry: Any, table: dict[str, Any]) -> None:
    found = one(entry)
    assert (found.skip_reason, found.secrets, found.table) == ("", {}, table)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({}, "neither a command nor a url"),
        ([], "object"),
        ({"type": "sse", "url": "https://a.example/x"}, "older HTTP transport (sse)"),
        ({"url": "https://a.example/v1/sse"}, "older HTTP transport (sse)"),
        ({"type": "ws", "url": "wss://a.example"}, "type is ws"),
        ({"command": "x", "args": "a b"}, "not strings"),
        ({"command": "x", "env": ["A"]}, "object"),
        ({"command": "x", "env": {"A": {}}}, "its A is not text"),
        ({"command": "x", "args": ["${workspaceFolder}"]}, "${workspaceFolder} in its arguments"),
        ({"command": "x", "args": ["--token", "${input:t}"]}, "${input:t} in its arguments"),
        ({"command": "x", "args": [f"${{TOKEN:-{SECRET}}}"]}, "${TOKEN} in its arguments"),
        ({"url": "https://${env:HOST}/mcp"}, "${env:HOST} in its address"),
        ({"command": "x", "env": {"PASSWORD_URL": "a ${env:A} ${env:B}"}}, "more than one placeholder"),
        ({"command": "x", "args": ["--api-key", SECRET]}, "looks like a secret after --api-key"),
        ({"command": "x", "args": [f"--api-key={SECRET}"]}, "looks like a secret after --api-key"),
        ({"command": "x", "args": ["sk-proj-0123456789abcdef"]}, "looks like a secret, and"),
        ({"command": "x", "env": {"K": "keyring:openai"}}, "its K is 'keyring:openai'"),
        ({"url": "https://a/", "headers": {"K": "Bearer env:OPENAI_API_KEY"}}, "add it by hand"),
    ],
)
def test_entry_that_cannot_be_imported_is_skipped_with_its_reason(entry: Any, reason: str) -> None:
    found = one(entry)
    assert reason in found.skip_reason
    assert (found.table, SECRET in repr(found)) == ({}, False)


def test_names_are_made_valid_or_skipped() -> None:
    names = {
        "My Git_Server": "My-Git-Server", "@scope/server": "scope-server", "a" * 80: "a" * 64, "_x_": "x", "all": "all",
        "日本": "日本", "a b": "a-b", "a-b": "a-b",
    }  # fmt: skip
    found = read(json.dumps({"mcpServers": {name: {"command": "x"} for name in names}}))
    assert {each.original_name: each.name for each in found} == names
    assert all(f"its name here is {each.name}" in each.notes for each in found[:4])
    assert [each.skip_reason for each in found[:4]] == [""] * 4
    for each, reason in zip(found[4:], ("is reserved", "not a valid name for an MCP server", "",
                                        "its name would be a-b, which another server of the file has"),
                            strict=True):  # fmt: skip
        assert reason in each.skip_reason


@pytest.mark.parametrize(
    ("fields", "notes"),
    [
        ({"timeout": 60000}, "timeout: omitted, clients disagree on its unit"),
        ({"includeTools": ["a"]}, "includeTools: omitted, telex offers all tools of a server"),
        ({"oauth": {"clientSecret": SECRET}}, "oauth: omitted, telex cannot sign in"),
        ({"dev": {"watch": "x"}}, "dev: omitted, telex has no such setting"),
        ({"alwaysAllow": ["rm"], "trust": True, "icon": "y"},
         "alwaysAllow, trust: omitted, choose yourself which tools run without asking (allow) / icon: omitted"),
    ],
)  # fmt: skip
def test_omitted_fields_of_other_clients_are_reported(fields: Any, notes: str) -> None:
    found = one({"command": "x", **fields})
    assert found.table == {"command": ["x"]}
    assert notes in " / ".join(found.notes)
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ({"mcp": {"servers": {"a": {"command": "x"}}}, "editor.tabSize": 4}, {"command": ["x"]}),
        ({"context_servers": {"a": {"command": {"path": "x", "args": ["y"], "env": {"B": "c"}}}}},
         {"command": ["x", "y"], "env": {"B": "c"}}),
        ({"context_servers": {"a": {"source": "custom", "command": "x", "args": []}}}, {"command": ["x"]}),
        ({"mcp": {"a": {"type": "local", "command": ["x", "y"], "environment": {"B": "c"}, "enabled": False}}},
         {"command": ["x", "y"], "env": {"B": "c"}, "enabled": False}),
        ({"mcp": {"a": {"type": "remote", "url": "https://a.example/mcp"}}}, {"url": "https://a.example/mcp"}),
    ],
)  # fmt: skip
def test_files_of_other_clients_are_read(text: Any, table: dict[str, Any]) -> None:
    (found,) = read(json.dumps(text))
    assert (found.name, found.skip_reason, found.table) == ("a", "", table)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1 is not valid JSON"),
        ('{"mcpServers": {\n"a": }}', "line 2 is not valid JSON"),
        ("[]", "has no MCP servers"),
        ('{"mcpServers": {}}', "has no MCP servers"),
        ('{"mcpServers": [1]}', "has no MCP servers"),
        ("[" * 100_000, "nested too deeply"),
        ('{"mcpServers": {"a": {"command": "\\ud800"}}}', "not valid Unicode"),
    ],
)
def test_file_without_servers_is_an_error(text: str, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        read(text)


# --- secrets in plain --------------------------------------------------------------------------------------

PLAIN = file(
    files={"command": "x"},
    github={"command": "x", "env": {"GITHUB_TOKEN": SECRET, "MODE": "fast"}},
    web={
        "url": "https://a.example/mcp",
        "headers": {"Authorization": f"Bearer {SECRET}", "X-Team": "a", "X-Api!Key": SECRET},
    },
)


def test_server_with_a_plain_secret_is_skipped(telex: Inside) -> None:
    ran = telex("mcp", "import", "-", stdin=PLAIN)
    assert ran.code == 0
    assert list(tables(telex)) == ["files"]
    assert "skipped   github: the file contains GITHUB_TOKEN in plain text: use --secrets keyring" in ran.err
    assert SECRET not in ran.err
    assert SECRET not in telex.settings.read_text()


def test_plain_secrets_can_be_stored_in_the_keyring(telex: Inside) -> None:
    ran = telex("mcp", "import", "-", "--secrets", "keyring", stdin=PLAIN)
    assert ran.code == 0, ran.err
    assert tables(telex)["github"]["env"] == {"MODE": "fast", "GITHUB_TOKEN": "keyring:github.GITHUB_TOKEN"}
    assert tables(telex)["web"]["headers"] == {
        "X-Team": "a",
        "Authorization": "Bearer keyring:web.Authorization",
        "X-Api!Key": "keyring:web.X-Api-Key",
    }
    assert telex.stored("secret:web.X-Api-Key") == SECRET
    assert telex.stored("secret:github.GITHUB_TOKEN") == SECRET
    assert telex.stored("secret:web.Authorization") == SECRET
    assert "3 secrets are in the keyring; the file still has them." in ran.err
    assert "telex mcp set-secret" not in ran.err, "they are there"
    assert SECRET not in ran.err + telex.settings.read_text()


def test_plain_secrets_can_be_read_from_variables(telex: Inside) -> None:
    ran = telex("mcp", "import", "-", "--secrets", "env", stdin=PLAIN, env={"GITHUB_TOKEN": "x"})
    assert ran.code == 0, ran.err
    assert tables(telex)["github"]["env"]["GITHUB_TOKEN"] == "env:GITHUB_TOKEN"
    assert tables(telex)["web"]["headers"]["Authorization"] == "Bearer env:WEB_AUTHORIZATION"
    assert "web: Authorization comes from the environment variable WEB_AUTHORIZATION" in ran.err
    assert "github: GITHUB_TOKEN" not in ran.err
    assert SECRET not in ran.err + telex.settings.read_text()


def test_broken_keyring_imports_nothing(tmp_path: Path) -> None:
    telex = Inside(tmp_path / "home", FakeKeyStore(broken="the keyring is locked"))
    ran = telex("mcp", "import", "-", "--secrets", "keyring", stdin=PLAIN)
    assert ran.code == ExitCode.KEY
    assert "the keyring is locked" in ran.err
    assert tables(telex) == {}


# --- choice -----------------------------------------------------------------------------------------------


def test_only_takes_either_name(telex: Inside) -> None:
    text = file(**{"a b": {"command": "x"}, "c": {"command": "x"}, "d": {"command": "x"}})
    assert telex("mcp", "import", "-", "--only", "a b", "--only", "c", stdin=text).code == 0
    assert set(tables(telex)) == {"a-b", "c"}
    ran = telex("mcp", "import", "-", "--only", "e", stdin=text)
    assert (ran.code, "no server called e" in ran.err) == (ExitCode.USAGE, True)


def test_known_server_is_replaced_only_with_replace(telex: Inside) -> None:
    telex("mcp", "add", "lab", "--", "old")
    text = file(lab={"command": "new"})
    ran = telex("mcp", "import", "-", stdin=text)
    assert ran.code == ExitCode.SETTINGS
    assert "skipped   lab: lab is already set up, and --replace was not used" in ran.err
    assert "nothing was imported" in ran.err
    assert tables(telex)["lab"]["command"] == ["old"]
    assert telex("mcp", "import", "-", "--replace", stdin=text).code == 0
    assert tables(telex)["lab"]["command"] == ["new"]


def test_secret_over_plain_http_needs_permission(telex: Inside) -> None:
    text = file(web={"url": "http://a.example/mcp", "headers": {"X-Key": "${env:K}"}})
    assert "unencrypted" in telex("mcp", "import", "-", stdin=text).err
    assert tables(telex) == {}
    assert telex("mcp", "import", "-", "--allow-http", stdin=text).code == 0


def test_invalid_server_is_skipped(telex: Inside) -> None:
    text = file(bad={"url": "ftp://a/"}, good={"command": "x"}, worse={"command": "x", "env": {"A-B": "c"}})
    ran = telex("mcp", "import", "-", stdin=text)
    assert ran.code == 0
    assert list(tables(telex)) == ["good"]
    assert "skipped   bad: " in ran.err
    assert "skipped   worse: " in ran.err


def test_unreadable_file_is_an_error(telex: Inside, tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b'{"a": "\xe9"}')
    for path, words in [("absent", "No such file"), ("latin", "it is not UTF-8")]:
        ran = telex("mcp", "import", str(tmp_path / path))
        assert ran.code == ExitCode.USAGE
        assert words in ran.err


# --- files of strangers ------------------------------------------------------------------------------------


def test_key_of_a_provider_is_not_given_to_an_imported_server(telex: Inside) -> None:
    telex.configure('[providers.openai]\npreset = "openai"\n')
    web = {"url": "https://a.example/mcp", "headers": {"X-Any": "${env:OPENAI_API_KEY}"}}
    ran = telex(
        "mcp", "import", "-", stdin=file(web=web, lab={"command": "x", "env": {"OPENAI_API_KEY": SECRET}})
    )
    assert ran.code == ExitCode.SETTINGS
    assert "skipped   web: it needs OPENAI_API_KEY, a provider's key, which is never imported" in ran.err
    assert tables(telex) == {}
    lab = file(lab={"command": "x", "env": {"OPENAI_API_KEY": SECRET}})
    assert "it needs OPENAI_API_KEY" in telex("mcp", "import", "-", "--secrets", "env", stdin=lab).err


def test_variables_that_a_server_gets_are_reported(telex: Inside) -> None:
    telex.env["DB_URL"] = SECRET
    ran = telex("mcp", "import", "-", stdin=file(db={"command": "x", "env": {"URL": "${env:DB_URL}"}}))
    assert "URL: from the environment variable DB_URL" in ran.err
    assert SECRET not in ran.err


def test_text_of_the_file_cannot_fake_lines_or_control_the_terminal(telex: Inside) -> None:
    called = "lab\u202e\n\x1b[31mskipped   x"
    entry = {"command": "x\nimported  y: z", "args": ["a\x1b[2K\r"], "odd\n\x1b[2J": 1, "type": "stdio"}
    text = file(**{called: entry})
    ran = telex("mcp", "import", "-", stdin=text)
    assert not {"\x1b", "\r", "\u202e"} & set(ran.err)
    assert not [line for line in ran.err.splitlines() if line.startswith(("skipped   x", "imported  y"))]
