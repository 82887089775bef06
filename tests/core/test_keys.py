"""Sources of keys, invalid keys, key commands, and keyrings that do not work."""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import keyring
import pytest
from conformance import KeyStoreConformance
from keyring.backends import fail, null
from memory_keyring import Backend

from provider_core.errors import ApiKeyError, InvalidKeyError, KeyStoreError, MissingKeyError
from provider_core.keys import (
    Credentials,
    Key,
    KeyringStore,
    KeySource,
    MemoryStore,
    clean,
    ending,
    find,
    resolve_each,
    run_command,
    source,
)
from provider_core.testing import FakeKeyStore
from provider_core.types import Provider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from keyring.backend import KeyringBackend

CLOUD = Provider(
    name="cloud", base_url="https://host.invalid", key_env=("CLOUD_KEY", "OTHER_KEY"), key_stored=True
)


class Untouchable:
    """A store that must not be asked."""

    def get(self, name: str) -> str | None:
        raise AssertionError("the store was opened")

    set = delete = get  # type: ignore[assignment]


# --- which source counts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "environ", "value", "origin"),
    [
        ({}, {"OTHER_KEY": " env\n"}, "env", "environment variable OTHER_KEY"),
        ({}, {"CLOUD_KEY": "first", "OTHER_KEY": "second"}, "first", "environment variable CLOUD_KEY"),
        ({}, {"CLOUD_KEY": "  "}, "stored", "keyring"),
        ({"key_command": "echo made"}, {}, "made", "key command"),
    ],
)
def test_first_source_is_used(
    changes: dict[str, Any], environ: dict[str, str], value: str, origin: str
) -> None:
    found = find(replace(CLOUD, **changes), environ=environ, store=MemoryStore(cloud="stored"))
    assert found == Key(value=value, source=origin)


def test_keyring_is_not_opened_without_a_stored_key() -> None:
    free = replace(CLOUD, key_required=False, key_stored=False)
    assert find(free, environ={}, store=Untouchable()) is None
    assert find(replace(CLOUD, auth="none"), environ={"CLOUD_KEY": "x"}, store=Untouchable()) is None
    with pytest.raises(MissingKeyError):
        find(replace(CLOUD, key_stored=False), environ={}, store=Untouchable())


@pytest.mark.parametrize(
    ("changes", "environ", "expected"),
    [
        ({}, {"OTHER_KEY": "x"}, KeySource(kind="variable", variable="OTHER_KEY")),
        ({"key_command": "pass key"}, {}, KeySource(kind="command")),
        ({}, {}, KeySource(kind="keyring")),
        ({"key_stored": False}, {}, KeySource(kind="variable", variable="CLOUD_KEY", ready=False)),
        ({"key_stored": False, "key_env": ()}, {}, KeySource(kind="variable", ready=False)),
        ({"key_stored": False, "key_required": False}, {}, KeySource(kind="none")),
        ({"auth": "none"}, {"CLOUD_KEY": "x"}, KeySource(kind="none")),
    ],
)
def test_source_is_known_without_reading_the_key(
    changes: dict[str, Any], environ: dict[str, str], expected: KeySource
) -> None:
    assert source(replace(CLOUD, **changes), environ) == expected


def test_repr_does_not_contain_the_key() -> None:
    assert "hidden" not in repr(Key(value="hidden", source="keyring"))


def test_only_the_end_of_a_long_key_is_shown() -> None:
    assert ending("sk-0123456789abcdef") == "…cdef"
    assert ending("sk-012345678") == "…"


# --- what is no key ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "sk-abc", " sk-abc \n", "\ufeffsk-abc\r\n",
        '"sk-abc"', "'sk-abc'\n", "`sk-abc`", "\u201csk-abc\u201d", "\ufeff\"sk-abc\"", '" sk-abc "', "Bearer sk-abc",
        '"Bearer sk-abc"', "Authorization: Bearer sk-abc", "bearer \t'sk-abc'",
    ],
)  # fmt: skip
def test_quotes_and_bearer_are_removed(text: str) -> None:
    assert clean(text, "test") == "sk-abc"


@pytest.mark.parametrize(
    "text", ["${LAB_KEY}", "$LAB_KEY", "'$LAB_KEY'", "$(cat key)", "%LAB_KEY%", "<your-api-key>", "{{ key }}",
             "env:LAB_KEY", "Bearer ${LAB_KEY}"]
)  # fmt: skip
def test_placeholder_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidKeyError, match="contains a placeholder") as caught:
        clean(text, "the environment variable LAB")
    assert text not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", " \n ", '""', "Bearer ", "''", "one\ntwo", "one\rtwo", "schlüssel", "a\x00b", "a\x7fb", "tab\there"],
)
def test_invalid_characters_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidKeyError) as caught:
        clean(text, "the prompt")
    assert len(text.strip()) < 3 or "Bearer" in text or text.strip() not in str(caught.value)


# --- key commands ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "key"),
    [
        ("printf '%s' 'a key'", "a key"),
        ("printf x | tr x y", "y"),
        ("KEY=z sh -c 'printf $KEY'", "z"),
        ("printf %s a;printf b", "ab"),
    ],
)
def test_command_runs_without_a_shell_unless_it_needs_one(command: str, key: str) -> None:
    assert run_command(command) == key


def program(folder: Path, text: str) -> str:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


def test_simple_command_is_a_direct_child(tmp_path: Path) -> None:
    path = program(tmp_path, "echo $PPID")
    assert run_command(path).strip() == str(os.getpid())
    assert run_command(f"{path}; true").strip() != str(os.getpid())


def test_stderr_of_a_command_is_not_part_of_the_key(capfd: pytest.CaptureFixture[str]) -> None:
    provider = replace(CLOUD, key_command="sh -c 'echo warning >&2; echo key'")
    key = find(provider, environ={}, store=MemoryStore())
    assert key is not None
    assert key.value == "key"
    assert capfd.readouterr().err == "warning\n"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("false", "exit status 1"),
        ("sh -c 'echo secret; exit 3'", "exit status 3"),
        ("no-such-program-here", "cannot be run"),
        ("'unclosed", "cannot be run"),
    ],
)
def test_failed_command_does_not_show_its_output(command: str, words: str) -> None:
    with pytest.raises(KeyStoreError, match=words) as caught:
        run_command(command)
    assert "secret" not in str(caught.value)


def test_killed_command_names_the_signal(tmp_path: Path) -> None:
    with pytest.raises(KeyStoreError, match="signal 9"):
        run_command(program(tmp_path, "kill -9 $$"))


@pytest.mark.parametrize("command", ["sleep 30", "sleep 30 | cat"])
def test_command_that_does_not_end_times_out(command: str) -> None:
    started = time.monotonic()
    with pytest.raises(KeyStoreError, match=r"within 0\.3 s"):
        run_command(command, deadline=0.3)
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("command", ["yes", "cat /dev/zero", "yes | cat"])
def test_endless_output_of_a_command_is_cut(command: str) -> None:
    started = time.monotonic()
    with pytest.raises(KeyStoreError, match="too much for a key"):
        run_command(command, deadline=20)
    assert time.monotonic() - started < 30


def test_background_program_of_a_command_is_not_waited_for() -> None:
    started = time.monotonic()
    assert run_command("echo key; sleep 20 & true", deadline=15) == "key\n"
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(("command", "words"), [("true", "empty"), ("printf 'a\\nb'", "more than one line")])
def test_output_of_a_command_must_be_a_key(command: str, words: str) -> None:
    with pytest.raises(InvalidKeyError, match=words):
        find(replace(CLOUD, key_command=command), environ={}, store=MemoryStore())


# --- stores ------------------------------------------------------------------------------------------------


class TestMemory(KeyStoreConformance):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


class TestKeyring(KeyStoreConformance):
    @pytest.fixture
    def store(self, keyring_in_use: Any) -> KeyringStore:
        keyring_in_use(Backend())
        return KeyringStore()


@pytest.mark.skipif(
    sys.platform not in {"darwin", "win32"} or "CI" not in os.environ,
    reason="writes to the user's own keyring, so only in CI on macOS and Windows; Linux: tests/real/test_keyring.py",
)
class TestTheSystemsKeyring(KeyStoreConformance):
    @pytest.fixture
    def store(self) -> Iterator[KeyringStore]:
        store = KeyringStore()
        yield store
        for name in ("one", "two"):
            store.delete(name)


class TestKeyringWithAMemory(KeyStoreConformance):
    @pytest.fixture
    def store(self, keyring_in_use: Any, tmp_path: Path) -> KeyringStore:
        keyring_in_use(Backend())
        return KeyringStore(memory=tmp_path / "cache" / "keyring")


@pytest.mark.parametrize(
    "kept",
    [
        b"keyring.backends.Windows.WinVaultKeyring",
        b"keyring.backends.null.Keyring",
        b"this.Keyring",
        b"\xff",
        b"",
    ],
)
def test_remembered_backend_that_cannot_be_loaded_is_replaced(
    keyring_in_use: Any, tmp_path: Path, kept: bytes
) -> None:
    backend = Backend()
    backend.kept["telex", "cloud"] = "key"
    keyring_in_use(backend)
    memory = tmp_path / "keyring"
    memory.write_bytes(kept)
    assert KeyringStore(memory=memory).get("cloud") == "key"
    assert not memory.exists()  # a backend that is not the system's own is asked for each time
    assert "this" not in sys.modules


def test_reading_leaves_no_trace_in_a_home_without_keys(keyring_in_use: Any, tmp_path: Path) -> None:
    keyring_in_use(Backend())
    store = KeyringStore(home=tmp_path / "config")
    assert store.get("cloud") is None
    store.delete("cloud")
    assert list(tmp_path.iterdir()) == []


def test_silent_keyring_times_out(keyring_in_use: Any) -> None:
    keyring_in_use(Backend(waits=3))
    started = time.monotonic()
    with pytest.raises(KeyStoreError, match="did not answer"):
        KeyringStore(deadline=0.2).get("cloud")
    assert time.monotonic() - started < 30


def test_undo_waits_for_a_call_that_timed_out(keyring_in_use: Any) -> None:
    backend = Backend(waits=0.3)
    keyring_in_use(backend)
    store = KeyringStore(deadline=0.1)
    before = set(threading.enumerate())
    with pytest.raises(KeyStoreError):
        store.set("cloud", "key")
    with pytest.raises(KeyStoreError):
        store.delete("cloud")
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
    assert backend.kept == {}


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        (fail.Keyring(), "no usable keyring"),
        (null.Keyring(), "switched off"),
        (
            Backend(error=keyring.errors.KeyringLocked("Failed to unlock the collection!")),
            "locked: Failed to",
        ),
        (Backend(error=keyring.errors.KeyringError("the service is gone")), "the service is gone"),
        (Backend(error=RuntimeError("org.freedesktop.DBus.Error.Timeout")), "DBus.Error.Timeout"),
        (Backend(error=OSError(111, "Connection refused")), "Connection refused"),
        (Backend(forgets=True), "does not return it"),
        (Backend(error=RuntimeError("failed: tool --add sk-canary-0123456789")), "failed: tool --add"),
    ],
)
def test_broken_keyring_is_reported_in_its_own_words(
    keyring_in_use: Any, backend: KeyringBackend, words: str
) -> None:
    keyring_in_use(backend)
    with pytest.raises(KeyStoreError, match=words) as caught:
        KeyringStore().set("cloud", "sk-canary-0123456789")
    assert "canary" not in str(caught.value)


def test_plain_file_as_keyring_is_refused(keyring_in_use: Any) -> None:
    plain = type("PlaintextKeyring", (Backend,), {"__module__": "keyrings.alt.file"})()
    keyring_in_use(plain)
    with pytest.raises(KeyStoreError, match="plain file"):
        KeyringStore().set("cloud", "key")
    assert plain.kept == {}


# --- the keys of several -----------------------------------------------------------------------------------


def test_keys_of_several_providers_ask_a_broken_store_once() -> None:
    store = FakeKeyStore(broken="locked")
    providers = (
        replace(CLOUD, name="one", key_env=()),
        replace(CLOUD, name="two", key_env=()),
        CLOUD,
        replace(CLOUD, name="cut", key_env=(), key_command="exit 3"),
        Provider(name="open", auth="none"),
        Provider(name="here", embedded=True),
    )
    found = resolve_each(providers, environ={"CLOUD_KEY": "first"}, store=store)
    assert list(found) == ["one", "two", "cloud", "cut", "open", "here"]
    assert store.asked == [("get", "one")]
    assert [type(found[name]) for name in ("one", "two", "cut")] == [
        KeyStoreError, KeyStoreError, KeyStoreError
    ]  # fmt: skip
    assert key_of(found["cloud"]) == Key(value="first", source="environment variable CLOUD_KEY")
    assert (key_of(found["open"]), key_of(found["here"])) == (None, None)


def key_of(found: Credentials | ApiKeyError) -> Key | None:
    assert isinstance(found, Credentials)
    return found.key
