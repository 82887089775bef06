"""Where a key comes from, what is no key, and that a store which does not work is never worked around."""

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
from keyring.backend import KeyringBackend
from keyring.backends import fail, null

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

CLOUD = Provider(
    name="cloud", base_url="https://host.invalid", key_env=("CLOUD_KEY", "OTHER_KEY"), key_stored=True
)


class Untouchable:
    """A store that must not be asked."""

    def get(self, name: str) -> str | None:
        raise AssertionError("the store was opened")

    set = delete = get  # type: ignore[assignment]


# --- which source counts -----------------------------------------------------------------------------------


def test_the_environment_wins_over_the_keyring() -> None:
    assert find(CLOUD, environ={"OTHER_KEY": " env\n"}, store=Untouchable()) == Key(
        value="env", source="environment variable OTHER_KEY"
    )


def test_the_first_variable_that_is_set_counts() -> None:
    key = find(CLOUD, environ={"CLOUD_KEY": "first", "OTHER_KEY": "second"}, store=MemoryStore())
    assert key is not None
    assert key.value == "first"


def test_an_empty_variable_is_no_key() -> None:
    key = find(CLOUD, environ={"CLOUD_KEY": "  "}, store=MemoryStore(cloud="stored"))
    assert key == Key(value="stored", source="keyring")


def test_a_command_wins_over_the_keyring() -> None:
    key = find(replace(CLOUD, key_command="echo made"), environ={}, store=MemoryStore(cloud="stored"))
    assert key == Key(value="made", source="key command")


def test_a_missing_key_names_the_variables() -> None:
    with pytest.raises(MissingKeyError) as caught:
        find(CLOUD, environ={}, store=MemoryStore())
    assert caught.value.key_env == ("CLOUD_KEY", "OTHER_KEY")


def test_the_keyring_is_not_asked_for_a_provider_that_never_stored_a_key() -> None:
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
def test_the_source_is_known_without_fetching_a_key(
    changes: dict[str, Any], environ: dict[str, str], expected: KeySource
) -> None:
    assert source(replace(CLOUD, **changes), environ) == expected


def test_a_key_is_in_no_representation() -> None:
    assert "hidden" not in repr(Key(value="hidden", source="keyring"))


def test_only_the_end_of_a_long_key_is_ever_shown() -> None:
    assert ending("sk-0123456789abcdef") == "…cdef"
    assert ending("sk-012345678") == "…"


# --- what is no key ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["sk-abc", " sk-abc \n", "\ufeffsk-abc\r\n", "any text at all"])
def test_pasted_white_space_is_stripped(text: str) -> None:
    assert clean(text, "test") in ("sk-abc", "any text at all")


@pytest.mark.parametrize(
    "text",
    [
        '"sk-abc"', "'sk-abc'\n", "`sk-abc`", "\u201csk-abc\u201d", "\ufeff\"sk-abc\"", '" sk-abc "', "Bearer sk-abc",
        '"Bearer sk-abc"', "Authorization: Bearer sk-abc", "bearer \t'sk-abc'",
    ],
)  # fmt: skip
def test_what_comes_along_with_a_key_is_removed(text: str) -> None:
    assert clean(text, "test") == "sk-abc"


@pytest.mark.parametrize(
    "text", ["${LAB_KEY}", "$LAB_KEY", "'$LAB_KEY'", "$(cat key)", "%LAB_KEY%", "<your-api-key>", "{{ key }}",
             "env:LAB_KEY", "Bearer ${LAB_KEY}"]
)  # fmt: skip
def test_what_stands_in_the_place_of_a_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidKeyError, match="was not replaced") as caught:
        clean(text, "the environment variable LAB")
    assert text not in str(caught.value)


@pytest.mark.parametrize("text", ['""', "Bearer ", '"', "''"])
def test_nothing_in_quotes_is_no_key(text: str) -> None:
    if text == '"':
        assert clean(text, "test") == '"'
        return
    with pytest.raises(InvalidKeyError, match="empty"):
        clean(text, "test")


@pytest.mark.parametrize(
    "text", ["", " \n ", "one\ntwo", "one\rtwo", "schlüssel", "a\x00b", "a\x7fb", "tab\there"]
)
def test_what_no_header_can_carry_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidKeyError) as caught:
        clean(text, "the prompt")
    assert not text.strip() or text.strip() not in str(caught.value)


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
def test_a_command_runs_without_a_shell_unless_it_needs_one(command: str, key: str) -> None:
    assert run_command(command) == key


def program(folder: Path, text: str) -> str:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


def test_without_a_sign_of_the_shell_the_program_is_this_process_own_child(tmp_path: Path) -> None:
    path = program(tmp_path, "echo $PPID")
    assert run_command(path).strip() == str(os.getpid())
    assert run_command(f"{path}; true").strip() != str(os.getpid())


def test_what_a_command_says_on_stderr_is_no_part_of_the_key(capfd: pytest.CaptureFixture[str]) -> None:
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
        ("no-such-program-here", "could not be run"),
        ("'unclosed", "could not be run"),
    ],
)
def test_a_command_that_fails_says_how_and_not_what_it_printed(command: str, words: str) -> None:
    with pytest.raises(KeyStoreError, match=words) as caught:
        run_command(command)
    assert "secret" not in str(caught.value)


def test_a_command_that_was_killed_says_by_what(tmp_path: Path) -> None:
    with pytest.raises(KeyStoreError, match="signal 9"):
        run_command(program(tmp_path, "kill -9 $$"))


@pytest.mark.parametrize("command", ["sleep 30", "sleep 30 | cat"])
def test_a_command_that_does_not_end_is_given_up(command: str) -> None:
    started = time.monotonic()
    with pytest.raises(KeyStoreError, match=r"within 0\.3 s"):
        run_command(command, deadline=0.3)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("command", ["yes", "cat /dev/zero", "yes | cat"])
def test_a_command_that_prints_without_end_is_given_up(command: str) -> None:
    started = time.monotonic()
    with pytest.raises(KeyStoreError, match="much more than a key"):
        run_command(command, deadline=20)
    assert time.monotonic() - started < 10


def test_a_program_that_the_command_leaves_behind_is_not_waited_for() -> None:
    started = time.monotonic()
    assert run_command("echo key; sleep 20 & true", deadline=15) == "key\n"
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(("command", "words"), [("true", "empty"), ("printf 'a\\nb'", "more than one line")])
def test_what_a_command_printed_has_to_be_a_key(command: str, words: str) -> None:
    with pytest.raises(InvalidKeyError, match=words):
        find(replace(CLOUD, key_command=command), environ={}, store=MemoryStore())


# --- stores ------------------------------------------------------------------------------------------------


class Backend(KeyringBackend):
    """A keyring in memory whose every call can be made to wait, fail or forget."""

    priority = 1  # type: ignore[assignment]

    def __init__(self, *, waits: float = 0, error: Exception | None = None, forgets: bool = False) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.waits, self.error, self.forgets = waits, error, forgets

    def get_password(self, service: str, username: str) -> str | None:
        self._pass()
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._pass()
        if not self.forgets:
            self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._pass()
        del self.kept[service, username]

    def _pass(self) -> None:
        time.sleep(self.waits)
        if self.error:
            raise self.error


@pytest.fixture
def keyring_in_use() -> Iterator[Any]:
    """Puts a backend in the place of the one the keyring package has chosen."""
    before = keyring.get_keyring()
    yield keyring.set_keyring
    keyring.set_keyring(before)


class TestMemory(KeyStoreConformance):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


class TestKeyring(KeyStoreConformance):
    @pytest.fixture
    def store(self, keyring_in_use: Any) -> KeyringStore:
        keyring_in_use(Backend())
        return KeyringStore()


def test_keys_stand_under_the_service_telex(keyring_in_use: Any) -> None:
    backend = Backend()
    keyring_in_use(backend)
    KeyringStore().set("cloud", "key")
    assert backend.kept == {("telex", "cloud"): "key"}


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
def test_a_remembered_keyring_that_cannot_be_had_is_not_missed(
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


def test_a_keyring_that_does_not_answer_is_given_up(keyring_in_use: Any) -> None:
    keyring_in_use(Backend(waits=3))
    started = time.monotonic()
    with pytest.raises(KeyStoreError, match="did not answer"):
        KeyringStore(deadline=0.2).get("cloud")
    assert time.monotonic() - started < 2


def test_undoing_a_call_that_was_given_up_comes_after_it(keyring_in_use: Any) -> None:
    backend = Backend(waits=0.3)
    keyring_in_use(backend)
    store = KeyringStore(deadline=0.1)
    before = set(threading.enumerate())
    with pytest.raises(KeyStoreError):
        store.set("cloud", "key")
    with pytest.raises(KeyStoreError):
        store.delete("cloud")
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert backend.kept == {}


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        (fail.Keyring(), "no keyring"),
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
def test_a_keyring_that_does_not_work_says_so_in_its_own_words(
    keyring_in_use: Any, backend: KeyringBackend, words: str
) -> None:
    keyring_in_use(backend)
    with pytest.raises(KeyStoreError, match=words) as caught:
        KeyringStore().set("cloud", "sk-canary-0123456789")
    assert "canary" not in str(caught.value)


def test_a_plain_file_with_a_keyrings_name_is_refused(keyring_in_use: Any) -> None:
    plain = type("PlaintextKeyring", (Backend,), {"__module__": "keyrings.alt.file"})()
    keyring_in_use(plain)
    with pytest.raises(KeyStoreError, match="plain file"):
        KeyringStore().set("cloud", "key")
    assert plain.kept == {}


# --- the keys of several -----------------------------------------------------------------------------------


def test_of_several_providers_each_has_its_key_or_its_reason_and_a_broken_store_is_asked_once() -> None:
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


def test_a_command_that_fails_says_nothing_of_the_keyring() -> None:
    cut = replace(CLOUD, name="cut", key_env=(), key_command="exit 3")
    found = resolve_each((cut, CLOUD), environ={}, store=MemoryStore(cloud="stored"))
    assert key_of(found["cloud"]) == Key(value="stored", source="keyring")


def key_of(found: Credentials | ApiKeyError) -> Key | None:
    assert isinstance(found, Credentials)
    return found.key
