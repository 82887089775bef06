"""Providers are set up by the installed program: on a terminal, many at once, and interrupted."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
from running import COMMAND, Telex, idle, secrets_in, within
from scripted import Pause, Scripted
from servers import by_path, in_json, keyed
from terminal import Pty

from provider_core.settings import Paths, load
from provider_core.settings.edit import entries

KEY = "sk-canary-0123456789abcdef"


class Kept(Telex):
    """The installed program with a keyring in a file, outside its home."""

    def __init__(self, home: Path, keyring: Path) -> None:
        super().__init__(home)
        self.keyring = keyring
        self.env |= {
            "PYTHON_KEYRING_BACKEND": "keyring_in_a_file.Keyring",
            "TEST_KEYRING": str(keyring),
        }

    @property
    def keys(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.keyring.read_text() or "{}") if self.keyring.exists() else {}
        return found

    @property
    def secrets(self) -> dict[str, str]:
        return secrets_in(self.keyring)

    @property
    def paths(self) -> Paths:
        return Paths.find(self.env)

    def at(self, *arguments: str) -> Pty:
        return Pty([str(COMMAND), *arguments], env=self.env, columns=120)


@pytest.fixture
def telex(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "home", tmp_path / "keyring.json")


# --- at a terminal -----------------------------------------------------------------------------------------


def test_key_is_prompted_for_without_echo(telex: Kept, server: Scripted) -> None:
    server.will(keyed(KEY))
    with telex.at("providers", "add", "lab", "--base-url", server.url) as terminal:
        terminal.wait_for("API key for lab")
        terminal.type(f"{KEY}\r")
        terminal.wait_for("telex chat -m lab")
        assert terminal.wait() == 0
        assert KEY.encode() not in terminal.raw
        assert terminal.modes == terminal.modes_before
    assert telex.secrets == {"lab": KEY}
    assert entries(telex.settings) == {"lab": {"base_url": server.url, "key": "keyring"}}


@pytest.mark.parametrize(("said", "code"), [("y", 0), ("n", 1)])
def test_new_address_of_a_stored_key_is_confirmed(telex: Kept, said: str, code: int) -> None:
    add = ("providers", "add", "lab", "--base-url", "http://127.0.0.1:1/v1", "--key-stdin", "--no-verify")
    assert telex(*add, stdin=KEY.encode()).code == 0
    before = telex.keyring.read_text()
    with telex.at("providers", "edit", "lab", "--base-url", "http://127.0.0.1:2/v1") as terminal:
        terminal.wait_for(r"to http://127.0.0.1:2 as well\? \[y/N\]")
        terminal.type(f"{said}\n")
        assert terminal.wait() == code
        assert "Interrupted" not in terminal.text
    url = "http://127.0.0.1:2/v1" if code == 0 else "http://127.0.0.1:1/v1"
    assert entries(telex.settings)["lab"]["base_url"] == url
    assert (telex.keyring.read_text() == before) is (code != 0)
    assert telex.secrets == {"lab": KEY}


def test_refused_key_can_be_typed_again(telex: Kept, server: Scripted) -> None:
    server.will(keyed(KEY))
    with telex.at("providers", "add", "lab", "--base-url", server.url) as terminal:
        for number, key in enumerate(("sk-wrong", "gr\u00fc\u00dfe", KEY), 1):
            terminal.wait_for(rf"(?s)(API key for lab.*){{{number}}}")
            terminal.type(f"{key}\r")
        terminal.wait_for("telex chat -m lab")
        assert terminal.wait() == 0
        assert "Nothing was saved" not in terminal.text
        assert b"wrong" not in terminal.raw
    assert telex.secrets == {"lab": KEY}
    with telex.at("providers", "set-key", "lab") as terminal:
        for number in range(1, 4):
            terminal.wait_for(rf"(?s)(API key for lab.*){{{number}}}")
            terminal.type("sk-wrong\r")
        assert terminal.wait() == 4
        assert terminal.text.count("refused the key") == 3
        assert terminal.text.count("Nothing was saved") == 1
    assert telex.secrets == {"lab": KEY}


@pytest.mark.parametrize("keys", ["\x03", "\x04", "sk-ha\x03"], ids=["Ctrl-C", "Ctrl-D", "Ctrl-C in a key"])
def test_interrupted_prompt_for_a_key_saves_nothing(telex: Kept, server: Scripted, keys: str) -> None:
    server.will(keyed(KEY))
    with telex.at("providers", "add", "lab", "--base-url", server.url) as terminal:
        terminal.wait_for("API key for lab")
        terminal.type(keys)
        assert terminal.wait() == 130
        assert terminal.rows[-1] == "Interrupted."
        assert terminal.modes == terminal.modes_before
    assert telex.keys == {}
    assert not telex.settings.exists()


def test_without_a_keyring_the_hint_repeats_the_command(telex: Kept, server: Scripted) -> None:
    server.will(keyed(KEY))
    telex.env["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
    add = f"providers add lab --base-url {server.url}"
    with telex.at(*add.split()) as terminal:
        assert terminal.wait() == 4
        assert terminal.rows == [
            "telex: no usable keyring on this machine",
            f"  If the server needs no key: telex {add} --no-key",
            f"  Take the key from an environment variable: telex {add} --key-env VAR",
        ]
    unset = telex(*add.split(), "--key-env", "LAB_KEY")
    assert (unset.code, unset.text) == (4, "")
    assert (
        "telex: there is no API key for lab: LAB_KEY is not set\n  Set LAB_KEY, or use --key-stdin"
        in unset.err
    )
    assert telex(*add.split(), "--key-env", "LAB_KEY", env={"LAB_KEY": KEY}).code == 0


def test_enter_means_no_key(telex: Kept, server: Scripted) -> None:
    server.will(by_path())
    with telex.at("providers", "add", "lab", "--base-url", server.url) as terminal:
        terminal.wait_for("Enter for none")
        terminal.type("\r")
        terminal.wait_for("telex chat -m lab")
    assert entries(telex.settings)["lab"]["key"] == "none"


def test_parts_of_an_address_are_prompted_for(telex: Kept) -> None:
    with telex.at("providers", "add", "cloudflare", "--no-verify") as terminal:
        terminal.wait_for("Cloudflare account id")
        terminal.type("0123abc\r")
        terminal.wait_for("API key for cloudflare")
        terminal.type(f"{KEY}\r")
        terminal.wait_for("is set up")
        assert b"dash.cloudflare.com" in terminal.raw
    assert entries(telex.settings)["cloudflare"]["variables"] == {"account_id": "0123abc"}


def test_remove_asks_for_confirmation(telex: Kept) -> None:
    telex.provider("lab", "http://127.0.0.1:1/v1")
    words = ("providers", "remove", "lab")
    for keys, code in (("n\r", 1), ("\x03", 130), ("y\r", 0)):
        with telex.at(*words) as terminal:
            terminal.wait_for(r"Remove .*\? \[y/N\]")
            # Python's input() misses a signal between its prompt and its read.
            assert within(60, lambda: idle(terminal.process.pid))
            terminal.type(keys)
            if code == 1:
                terminal.wait_for("Nothing was removed")
            assert terminal.wait() == code
    assert telex(*words, "--yes").code == 3, "it was removed, and only now"


def test_discover_offers_new_servers(telex: Kept, server: Scripted) -> None:
    server.will(by_path(models=in_json({"data": [{"id": "m", "owned_by": "llamacpp"}]})))
    with telex.at("providers", "discover", "--port", str(server.port)) as terminal:
        terminal.wait_for("Set up llama.cpp server at")
        terminal.type("\r")
        terminal.wait_for("is set up")
        assert terminal.wait() == 0
    assert set(entries(telex.settings)) == {"llamacpp"}


def test_terminal_shows_tables(telex: Kept, server: Scripted) -> None:
    server.will(by_path())
    telex.provider("lab", server.url)
    with telex.at("providers", "test", "lab") as terminal:
        assert terminal.wait() == 0
        header, row = terminal.rows[-2:]
    assert header.split() == ["PROVIDER", "REACH", "MODELS", "AUTH", "STREAM", "USAGE", "TIME"]
    assert row.startswith("lab ")
    assert row.count("✓") == 5
    with telex.at("providers", "test", "lab", "--deep") as terminal:
        assert terminal.wait() == 0
        assert re.search(r"╭─ lab/m ─+╮", terminal.text)
        assert re.search(r"│ ✓ +streaming", terminal.text)
        assert re.search(r"│ ✗ +tools +accepted, but not called", terminal.text)
    with telex.at("providers", "list") as terminal:
        assert terminal.wait() == 0
        assert terminal.rows[0].split()[:3] == ["NAME", "ADDRESS", "KEY"]


def test_ctrl_c_ends_a_test_and_restores_the_screen(telex: Kept, server: Scripted) -> None:
    server.will(by_path(chat=[Pause(60)]))
    telex.provider("lab", server.url)
    with telex.at("providers", "test", "lab") as terminal:
        terminal.wait_for("✓ .* ms")
        started = time.monotonic()
        terminal.type("\x03")
        assert terminal.wait() == 130
        assert time.monotonic() - started < 30
        assert not terminal.screen.cursor.hidden
        assert "PROVIDER" not in terminal.text  # what was painted meanwhile is gone
        assert terminal.modes == terminal.modes_before


# --- many at once ------------------------------------------------------------------------------------------


def test_twenty_processes_add_at_once(telex: Kept, tmp_path: Path) -> None:
    telex.configure("# by hand\n[providers.old] # stays\nbase_url = 'http://127.0.0.1:1/v1'\nkey = 'none'\n")
    keys = {f"p{n}": f"key-of-{n}" for n in range(20)}
    running = []
    for name, key in keys.items():
        path = tmp_path / name
        path.write_text(key)
        arguments = [
            "providers",
            "add",
            name,
            "--base-url",
            "http://127.0.0.1:1/v1",
            "--key-stdin",
            "--no-verify",
        ]
        with path.open("rb") as stdin:
            running.append(telex.start(*arguments, stdin=stdin))
    for process in running:
        _, err = process.communicate(timeout=90)
        assert process.returncode == 0, err
    assert set(load(telex.paths, {}).providers) == {"old", *keys}
    assert telex.secrets == keys
    text = telex.settings.read_text()
    assert text.startswith("# by hand\n[providers.old] # stays\n")


# --- interrupted -------------------------------------------------------------------------------------------


def test_ctrl_c_between_key_and_settings_saves_neither(telex: Kept) -> None:
    """The keyring tells when it has the key, and keeps add waiting."""
    slow = telex.home.parent / "slow"
    slow.mkdir()
    (slow / "keyring_that_waits.py").write_text("""
import os, time
from pathlib import Path
from keyring_in_a_file import Keyring as Base
class Keyring(Base):
    priority = 1
    def set_password(self, service, username, password):
        super().set_password(service, username, password)
        Path(os.environ["TEST_MARK"]).touch()
        time.sleep(3)
""")
    mark = telex.home.parent / "mark"
    env = {
        "PYTHONPATH": f"{telex.env['PYTHONPATH']}:{slow}",
        "PYTHON_KEYRING_BACKEND": "keyring_that_waits.Keyring",
        "TEST_MARK": str(mark),
    }
    reading, writing = os.pipe()
    os.write(writing, KEY.encode())
    os.close(writing)
    process = telex.start(
        "providers", "add", "lab", "--base-url", "http://127.0.0.1:1/v1", "--key-stdin", "--no-verify",
        stdin=reading, env=env,
    )  # fmt: skip
    os.close(reading)
    assert within(60, mark.exists)
    assert telex.secrets == {"lab": KEY}
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert telex.keys == {}
    assert not telex.settings.exists()
    assert KEY.encode() not in err
