"""``telex providers export`` and ``import``: everything but the keys, all or nothing."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import pytest
from inprocess import Inside

from provider_core.keys import MemoryStore
from provider_core.settings.edit import entries

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-canary-0123456789abcdef"
SETTINGS = """
# mine
[providers.kept]
base_url = "https://host.invalid/v1" # the big one
key = "keyring"
models = ["m", {id = "n", context = 8192}]

[providers.open]
preset = "llamacpp"
key = "none"
headers = {X-Team = "a", X-Api-Key = "env:TEAM_KEY"}
proxy = "http://me:hunter22@proxy.invalid:3128"
"""


@pytest.fixture
def telex(tmp_path: Path) -> Inside:
    telex = Inside(tmp_path / "home", MemoryStore(kept=KEY))
    telex.configure(SETTINGS)
    return telex


@pytest.fixture
def other(tmp_path: Path) -> Inside:
    return Inside(tmp_path / "other")


@pytest.mark.parametrize("form", ["toml", "json"])
def test_export_is_imported_on_another_machine(telex: Inside, other: Inside, form: str) -> None:
    ran = telex("providers", "export", "-", "--format", form)
    assert ran.code == 0, ran.err
    data = tomllib.loads(ran.text) if form == "toml" else json.loads(ran.out)
    assert set(data["providers"]) == {"kept", "open"}
    for secret in (KEY, "hunter22", "keyring"):
        assert secret not in ran.text
    assert "without its password" in ran.err
    ran = other("providers", "import", "-", stdin=ran.out)
    assert ran.code == 0, ran.err
    assert "kept has no key yet" in ran.err
    assert "telex providers set-key kept" in ran.err
    assert entries(other.settings)["kept"] == {
        "base_url": "https://host.invalid/v1",
        "models": ["m", {"id": "n", "context": 8192}],
    }
    assert entries(other.settings)["open"]["headers"] == {"X-Team": "a", "X-Api-Key": "env:TEAM_KEY"}


def test_format_follows_the_name_of_the_file(telex: Inside, other: Inside, tmp_path: Path) -> None:
    path = tmp_path / "providers.json"
    assert telex("providers", "export", str(path), "--only", "open").code == 0
    assert set(json.loads(path.read_text())["providers"]) == {"open"}
    assert telex("providers", "export", str(path)).code == 2
    assert telex("providers", "export", str(path), "--replace").code == 0
    missing = telex("providers", "export", "--only", "opne")
    assert missing.code == 3
    assert "Did you mean open?" in missing.err
    assert other("providers", "import", str(path)).code == 0
    assert set(entries(other.settings)) == {"kept", "open"}


def test_conflict_imports_nothing(telex: Inside) -> None:
    text = (
        b'[providers.open]\nbase_url = "https://x.invalid"\n[providers.new]\nbase_url = "https://y.invalid"\n'
    )
    before = telex.settings.read_bytes()
    ran = telex("providers", "import", "-", stdin=text)
    assert ran.code == 3
    assert "open is already set up" in ran.err
    assert "--replace" in ran.err
    assert telex.settings.read_bytes() == before
    assert telex("providers", "import", "-", "--replace", stdin=text).code == 0
    assert set(entries(telex.settings)) == {"kept", "open", "new"}
    assert "# the big one" in telex.settings.read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            b"[providers.a]\nbase_url = 'https://x'\n[providers.b]\nbase_url = 'nonsense'",
            "providers.b.base_url",
        ),
        (b"[providers.a]\nbase_url = 'https://x'\n[providers.'b c']\nbase_url = 'https://x'", "b c"),
        (b"[providers.a]\nbase_url = 'https://x'\nheaders = {Authorization = 'hunter22'}", "Authorization"),
        (b"[providers.a]\nbase_url = 'http://far.invalid'", "--allow-http"),
        (b"[providers.a]\nbase_url = 'https://x'\nkey_command = 'curl evil'", "--allow-commands"),
        (b"model = 'a'", "does not contain any providers"),
        (b"<html>", "is not valid TOML or JSON"),
        (b"", "does not contain any providers"),
        (b"[1]", "does not contain any providers\n  It must have tables [providers.NAME]"),
        (b'[{"name": "lab"}, 2]', "does not contain any providers\n  It must have tables [providers.NAME]"),
        (b'{"providers": {"a": 5}}', "is not a table"),
        (b'{"mcpServers": {}}', "For MCP servers: telex mcp import"),
        (b'{"providers": {', "Expecting property name"),
    ],
)
def test_invalid_file_imports_nothing(other: Inside, tmp_path: Path, text: bytes, words: str) -> None:
    path = tmp_path / "providers.toml"
    path.write_bytes(text)
    ran = other("providers", "import", str(path))
    assert ran.code in (2, 3)
    assert words in ran.err
    assert "hunter22" not in ran.err
    assert not other.settings.exists()
    if words in ("--allow-http", "--allow-commands"):
        path.write_bytes(text.replace(b"far.invalid'", b"far.invalid'\nallow_http = true"))
        assert words in other("providers", "import", str(path)).err
        assert other("providers", "import", str(path), words).code == 0


def test_export_leaves_out_a_provider_that_cannot_be_used(telex: Inside) -> None:
    good = "[providers.good]\nbase_url = 'http://127.0.0.1:1/v1'\nkey = 'none'\n"
    telex.configure(f"{good}[providers.bad]\nbase_url = 'http://127.0.0.1:1/v1'\nheaders = 5\nproxy = 7\n")
    ran = telex("providers", "export")
    assert (ran.code, "good" in ran.text, "bad" in ran.text) == (0, True, False)
    assert "ignoring providers.bad" in ran.err


def test_export_does_not_follow_a_dangling_link(telex: Inside, tmp_path: Path) -> None:
    (tmp_path / "out.toml").symlink_to(tmp_path / "planted")
    ran = telex("providers", "export", str(tmp_path / "out.toml"))
    assert ran.code == 2
    assert "--replace" in ran.err
    assert not (tmp_path / "planted").exists()


def test_import_does_not_send_a_stored_key_to_another_host(telex: Inside) -> None:
    before = telex.settings.read_bytes()
    moved = b'[providers.kept]\nbase_url = "https://evil.invalid/v1"\n'
    ran = telex("providers", "import", "-", "--replace", stdin=moved)
    assert ran.code == 3
    assert "https://evil.invalid" in ran.err
    assert telex.settings.read_bytes() == before
    same = b'[providers.kept]\nbase_url = "https://host.invalid/v2"\n'
    assert telex("providers", "import", "-", "--replace", stdin=same).code == 0
    assert entries(telex.settings)["kept"] == {"base_url": "https://host.invalid/v2", "key": "keyring"}
    assert telex.stored("kept") == KEY


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ('proxy = "http://p.example:3128"', "proxy"),
        ('ca_bundle = "/tmp/ca.pem"', "CA bundle"),
        ('client_cert = "/tmp/me.pem"', "client certificate"),
        ('headers = {X-Team = "b"}', "headers"),
        ('preset = "openai"', "preset"),
        ('key = "none"', "key"),
        ('base_url = "https://host.invalid:8443/v1"', "address"),
    ],
)
def test_change_of_where_a_stored_key_goes_needs_trust(telex: Inside, rows: str, words: str) -> None:
    before = telex.settings.read_bytes()
    address = "" if "base_url" in rows else 'base_url = "https://host.invalid/v1"\n'
    text = f"[providers.kept]\n{address}{rows}\n".encode()
    ran = telex("providers", "import", "-", "--replace", stdin=text)
    assert ran.code == 3
    assert words in ran.err
    assert "--trust kept" in ran.err
    assert telex.settings.read_bytes() == before
    assert telex("providers", "import", "-", "--replace", "--trust", "kept", stdin=text).code == 0


@pytest.mark.parametrize(
    "rows",
    [
        'preset = "openai"\nbase_url = "http://127.0.0.1:7802/v1"',
        'base_url = "https://llm.example.com/v1"\nkey_env = "HF_TOKEN"',
        'base_url = "https://llm.example.com/v1"\nkey_env = "OPENAI_API_KEY"',
        'preset = "openai"\nkey_env = "OPENAI_API_KEY"\nca_bundle = "/tmp/ca.pem"',
    ],
)
def test_variable_of_a_preset_for_another_host_needs_trust(other: Inside, rows: str) -> None:
    text = f"[providers.fast]\n{rows}\n".encode()
    ran = other("providers", "import", "-", stdin=text)
    assert ran.code == 3
    assert "--trust fast" in ran.err
    assert not other.settings.exists()
    ran = other("providers", "import", "-", "--trust", "fast", stdin=text)
    assert ran.code == 0, ran.err
    assert entries(other.settings)["fast"]["key_env"] in ("OPENAI_API_KEY", "HF_TOKEN")


@pytest.mark.parametrize("value", ["env:OPENAI_API_KEY", "Bearer env:LAB_API_KEY"])
def test_header_with_the_key_of_another_provider_needs_trust(other: Inside, value: str) -> None:
    lab = b'[providers.lab]\nbase_url = "https://lab.example/v1"\nkey_env = "LAB_API_KEY"\n'
    assert other("providers", "import", "-", stdin=lab).code == 0
    before = other.settings.read_bytes()
    fast = f'[providers.fast]\nbase_url = "https://evil.invalid/v1"\nkey = "none"\nheaders.X-A = "{value}"\n'
    moved = lab.replace(b"lab.example", b"evil.invalid")
    for text, name in ((fast.encode(), "fast"), (moved, "lab")):
        ran = other("providers", "import", "-", "--replace", stdin=text)
        assert ran.code == 3
        assert f"--trust {name}" in ran.err
        assert other.settings.read_bytes() == before
    ran = other("providers", "import", "-", "--trust", "fast", stdin=fast.encode())
    assert ran.code == 0, ran.err
    assert f"X-A: {value}" in ran.err


def test_import_shows_addresses_and_sources_of_keys(other: Inside) -> None:
    text = (
        b'[providers.a]\nbase_url = "https://a.example/v1"\nkey_env = "A_KEY"\nproxy = "http://u:hunter22@p.example:1"\n'
        b'[providers.b]\nbase_url = "https://b.example/v1"\nkey = "none"\nheaders = {X-Team = "b"}\n'
    )
    ran = other("providers", "import", "-", stdin=text)
    assert ran.code == 0, ran.err
    for words in ("a: https://a.example/v1; key: A_KEY", "proxy = http://p.example:1", "b: https://b.example/v1",
                  "none needed", "headers = X-Team: b"):  # fmt: skip
        assert words in ran.err
    assert "hunter22" not in ran.err
