"""Where a key comes from, what is no key, and that a store which does not work is never worked around."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from provider_core import keys
from provider_core.errors import InvalidKeyError, KeyStoreError, MissingKeyError
from provider_core.keys import Key, clean, find, run_command
from provider_core.types import Provider


class MemoryStore:
    """A key store that keeps its keys for as long as the test runs."""

    def __init__(self, **known: str) -> None:
        self.known = known
        self.reads = 0

    def get(self, name: str) -> str | None:
        self.reads += 1
        return self.known.get(name)

    def set(self, name: str, key: str) -> None:
        self.known[name] = key

    def delete(self, name: str) -> None:
        self.known.pop(name, None)


CLOUD = Provider(
    name="cloud", base_url="https://host.invalid", key_env=("CLOUD_KEY", "OTHER_KEY"), key_stored=True
)


def test_the_environment_wins_over_the_keyring() -> None:
    store = MemoryStore(cloud="stored")
    assert find(CLOUD, environ={"OTHER_KEY": " env\n"}, store=store) == Key(
        value="env", source="environment variable OTHER_KEY"
    )
    assert store.reads == 0


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
    store = MemoryStore()
    assert find(replace(CLOUD, key_required=False, key_stored=False), environ={}, store=store) is None
    assert find(replace(CLOUD, auth="none"), environ={"CLOUD_KEY": "x"}, store=store) is None
    assert store.reads == 0


def test_a_key_is_in_no_representation() -> None:
    assert "hidden" not in repr(Key(value="hidden", source="keyring"))


@pytest.mark.parametrize("text", ["sk-abc", " sk-abc \n", "\ufeffsk-abc\r\n", "any text at all"])
def test_pasted_white_space_is_stripped(text: str) -> None:
    assert clean(text, "test") in ("sk-abc", "any text at all")


@pytest.mark.parametrize(
    "text", ["", " \n ", "one\ntwo", "one\rtwo", "schlüssel", "a\x00b", "a\x7fb", "tab\there"]
)
def test_what_no_header_can_carry_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidKeyError) as caught:
        clean(text, "the prompt")
    assert not text.strip() or text.strip() not in str(caught.value)


def test_a_command_runs_without_a_shell_unless_it_needs_one() -> None:
    assert run_command("printf '%s' 'a key'") == "a key"
    assert run_command("printf x | tr x y") == "y"


def test_what_a_command_says_on_stderr_is_no_part_of_the_key(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command("sh -c 'echo warning >&2; echo key'") == "key"
    assert capfd.readouterr().err == "warning\n"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("false", "exit status 1"),
        ("no-such-program-here", "could not be run"),
        ("'unclosed", "could not be run"),
    ],
)
def test_a_command_that_fails_says_how(command: str, words: str) -> None:
    with pytest.raises(KeyStoreError, match=words):
        run_command(command)


def test_a_command_that_prints_nothing_gave_no_key() -> None:
    with pytest.raises(InvalidKeyError, match="empty"):
        run_command("true")


def test_a_keyring_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import keyring
    from keyring.backend import KeyringBackend

    class Stuck(KeyringBackend):
        priority = 1  # type: ignore[assignment]

        def get_password(self, service: str, username: str) -> str | None:
            time.sleep(5)
            return None

        def set_password(self, service: str, username: str, password: str) -> None: ...

    before = keyring.get_keyring()
    keyring.set_keyring(Stuck())
    monkeypatch.setattr(keys, "DEADLINE", 0.2)
    try:
        started = time.monotonic()
        with pytest.raises(KeyStoreError, match="did not answer"):
            keys.KeyringStore().get("cloud")
        assert time.monotonic() - started < 2
    finally:
        keyring.set_keyring(before)


def test_no_keyring_at_all_is_said_and_nothing_is_written_instead() -> None:
    import keyring
    from keyring.backends.fail import Keyring

    before = keyring.get_keyring()
    keyring.set_keyring(Keyring())
    try:
        with pytest.raises(KeyStoreError, match="no keyring"):
            keys.KeyringStore().set("cloud", "key")
    finally:
        keyring.set_keyring(before)
