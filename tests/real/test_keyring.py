"""Keys in a real Secret Service: gnome-keyring on a session bus of its own, unlocked and locked."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import subprocess
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keyring
import pytest
from conformance import KeyStoreConformance
from keyring.backends import SecretService
from running import Telex
from scripted import Scripted
from servers import keyed

from provider_core.errors import KeyStoreError
from provider_core.keys import KeyringStore, unseal
from provider_core.settings.edit import entries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "sk-canary-0123456789abcdef"
PROGRAMS = ("dbus-run-session", "gnome-keyring-daemon")

pytestmark = [
    pytest.mark.skipif(
        any(shutil.which(program) is None for program in PROGRAMS),
        reason="needs dbus-run-session and gnome-keyring-daemon (Debian: dbus, gnome-keyring)",
    ),
    # The keyring package forgets its connection where the service says no, and the collector finds it at any time.
    pytest.mark.filterwarnings("ignore:.*dbus-:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:.*dbus-:ResourceWarning"),
]

# The daemon stays in front, so that it ends with the session; cat ends when the test closes its stdin.
SESSION = """
echo "$DBUS_SESSION_BUS_ADDRESS"
{daemon} >/dev/null 2>&1 &
read -r _
kill $!
"""
UNLOCKED = "printf secret | gnome-keyring-daemon --foreground --unlock --components=secrets"
LOCKED = "gnome-keyring-daemon --foreground --components=secrets"


@dataclass(frozen=True)
class Session:
    """A session bus with a keyring daemon; ``env`` is what a program needs to find it."""

    home: Path
    env: dict[str, str]


def session(home: Path, daemon: str) -> Iterator[Session]:
    runtime = home / "run"
    runtime.mkdir(parents=True, exist_ok=True, mode=0o700)
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_RUNTIME_DIR": str(runtime)}
    with subprocess.Popen(
        ["dbus-run-session", "--", "sh", "-c", SESSION.format(daemon=daemon)],
        env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address
        yield Session(home=home, env={**env, "DBUS_SESSION_BUS_ADDRESS": address})


def wait_until_answers(store: KeyringStore) -> None:
    deadline = time.monotonic() + 30
    while not answers(store):
        assert time.monotonic() < deadline
        time.sleep(0.05)
        forget_connections()


def forget_connections() -> None:
    """Let the collector find here what the keyring package has forgotten, and not in somebody else's test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def answers(store: KeyringStore) -> bool:
    try:
        store.get("is it there")
    except KeyStoreError:
        return False
    return True


@pytest.fixture(scope="module")
def unlocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    for attempt in (1, 2, 3):  # the daemon was seen to start and never answer on a busy machine
        for each in session(tmp_path_factory.mktemp("unlocked"), UNLOCKED):
            with in_use(each):
                try:
                    wait_until_answers(KeyringStore())
                except AssertionError:
                    if attempt == 3:
                        raise
                    continue
                yield each
                forget_connections()
                return


@pytest.fixture(scope="module")
def locked(unlocked: Session, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """The same keyring after a restart that gave nobody's password."""
    home = tmp_path_factory.mktemp("locked")
    wait_until_answers(KeyringStore())
    KeyringStore().set("lab", KEY)
    shutil.copytree(unlocked.home / ".local", home / ".local")
    yield from session(home, LOCKED)


@contextlib.contextmanager
def in_use(where: Session) -> Iterator[None]:
    """Make this process speak to the session's keyring while the block runs."""
    before = keyring.get_keyring()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBUS_SESSION_BUS_ADDRESS", where.env["DBUS_SESSION_BUS_ADDRESS"])
        keyring.set_keyring(SecretService.Keyring())
        try:
            yield
        finally:
            keyring.set_keyring(before)


def program(where: Session, home: Path) -> Telex:
    """The installed program, which has to find its keyring by itself."""
    telex = Telex(home)
    del telex.env["PYTHON_KEYRING_BACKEND"]
    telex.env["DBUS_SESSION_BUS_ADDRESS"] = where.env["DBUS_SESSION_BUS_ADDRESS"]
    return telex


class TestSecretService(KeyStoreConformance):
    @pytest.fixture
    def store(self, unlocked: Session) -> KeyringStore:
        return KeyringStore()


def test_key_is_stored_used_and_removed_with_its_provider(
    unlocked: Session, tmp_path: Path, server: Scripted
) -> None:
    server.will(keyed(KEY))
    telex = program(unlocked, tmp_path / "home")
    ran = telex("providers", "add", "lab", "--base-url", server.url, "--key-stdin", stdin=KEY.encode())
    assert ran.code == 0, ran.err
    store = KeyringStore(home=telex.home / "config")
    assert unseal(store.get("lab") or "")[0] == KEY
    assert telex("providers", "list").text.split("\t")[2] == "keyring"
    assert telex("providers", "list", "--check-keys").text.split("\t")[2] == "keyring …cdef"
    assert telex("chat", "-m", "lab", "hi").out == b"Hello\n"
    places = [path for root in (tmp_path, unlocked.home) for path in root.rglob("*") if path.is_file()]
    assert any(path.suffix == ".keyring" for path in places)
    assert [path for path in places if KEY.encode() in path.read_bytes()] == []
    ran = telex("providers", "remove", "lab", "--yes")
    assert ran.code == 0, ran.err
    assert store.get("lab") is None


def test_backend_that_has_the_key_is_remembered(unlocked: Session, tmp_path: Path, server: Scripted) -> None:
    server.will(keyed(KEY))
    telex = program(unlocked, tmp_path / "home")
    ran = telex("providers", "add", "known", "--base-url", server.url, "--key-stdin", stdin=KEY.encode())
    assert ran.code == 0, ran.err
    memory = telex.home / "cache" / "keyring"
    assert memory.read_text() == "keyring.backends.SecretService.Keyring"
    importing = {"PYTHONPROFILEIMPORTTIME": "1"}
    assert "keyring.backends.chainer" not in telex("chat", "-m", "known", "hi", env=importing).err
    for kept in ("keyring.backends.libsecret.Keyring", "keyring.backends.fail.Keyring", ""):
        memory.write_text(kept)
        ran = telex("chat", "-m", "known", "hi", env=importing)
        assert ran.out == b"Hello\n"
        assert "keyring.backends.chainer" in ran.err  # it looked at all there are
        assert memory.read_text() == "keyring.backends.SecretService.Keyring"
    assert telex("providers", "remove", "known", "--yes").code == 0


def test_locked_keyring_stores_nothing_and_suggests_other_sources(
    locked: Session, tmp_path: Path, server: Scripted
) -> None:
    server.will(keyed(KEY))
    telex = program(locked, tmp_path / "home")
    add = ("providers", "add", "lab", "--base-url", server.url)
    started = time.monotonic()
    ran = telex(*add, "--key-stdin", stdin=KEY.encode())
    assert time.monotonic() - started < 30
    assert ran.code == 4
    assert "locked" in ran.err
    for way in ("--key-env", "--key-command", "Unlock"):
        assert way in ran.err
    assert entries(telex.settings) == {}
    ran = telex(*add, "--key-env", "LAB_KEY", env={"LAB_KEY": KEY})
    assert ran.code == 0, ran.err
    assert telex("chat", "-m", "lab", "hi", env={"LAB_KEY": KEY}).out == b"Hello\n"


def test_locked_keyring_reads_and_removes_nothing(locked: Session, tmp_path: Path, server: Scripted) -> None:
    telex = program(locked, tmp_path / "home")
    telex.provider("lab", server.url, key="keyring")
    assert telex("providers", "list").text.split("\t")[2] == "keyring"
    ran = telex("chat", "-m", "lab", "hi")
    assert ran.code == 4
    assert "locked" in ran.err
    assert server.asked == []
    ran = telex("providers", "remove", "lab", "--yes")
    assert ran.code == 4
    assert "its key is unchanged" in ran.err
    assert "lab" in entries(telex.settings)
    assert telex("providers", "remove", "lab", "--yes", "--keep-key").code == 0
