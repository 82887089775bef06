"""A provider's settings and its key change together or not at all, whatever fails and whenever Ctrl-C comes."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from provider_core import provider_store
from provider_core.errors import KeyStoreError, SettingsError
from provider_core.keys import MemoryStore
from provider_core.settings import Paths
from provider_core.settings.edit import entries

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

URL = {"base_url": "http://127.0.0.1:1"}


class Faulty(MemoryStore):
    """A store in memory that does something else at one of its calls."""

    def __init__(self, call: str, fault: Callable[[], None], *, after: bool = False, **known: str) -> None:
        super().__init__(**known)
        self._call, self._fault, self._after = call, fault, after
        self._tripped = False

    def get(self, name: str) -> str | None:
        self._trip("get")
        return super().get(name)

    def set(self, name: str, key: str) -> None:
        if not self._after:
            self._trip("set")
        super().set(name, key)
        self._trip("set")

    def delete(self, name: str) -> None:
        self._trip("delete")
        super().delete(name)

    def _trip(self, call: str) -> None:
        if call == self._call and not self._tripped:
            self._tripped = True
            self._fault()


def locked() -> None:
    raise KeyStoreError("the keyring is locked")


def ctrl_c() -> None:
    raise KeyboardInterrupt


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Paths.find({"TELEX_HOME": str(tmp_path)}).settings_file


def test_settings_and_key_are_added_together(path: Path) -> None:
    store = MemoryStore()
    provider_store.add(path, store, "lab", URL, key="secret")
    assert entries(path) == {"lab": {**URL, "key": "keyring"}}
    assert store.get("lab") == "secret"
    assert "secret" not in path.read_text()


def test_without_a_key_the_store_is_not_touched(path: Path) -> None:
    provider_store.add(path, Faulty("get", locked), "lab", {**URL, "key_env": "LAB"})
    assert entries(path)["lab"] == {**URL, "key_env": "LAB"}


@pytest.mark.parametrize("fault", [locked, ctrl_c])
@pytest.mark.parametrize("after", [False, True])
def test_a_key_that_cannot_be_kept_adds_nothing(path: Path, fault: Any, after: bool) -> None:
    store = Faulty("set", fault, after=after)
    with pytest.raises((KeyStoreError, KeyboardInterrupt)):
        provider_store.add(path, store, "lab", URL, key="secret")
    assert entries(path) == {}
    assert store.get("lab") is None


def test_settings_that_cannot_be_written_take_the_key_back(path: Path) -> None:
    store = Faulty("set", lambda: shutil.rmtree(path.parent), after=True)
    with pytest.raises(SettingsError):
        provider_store.add(path, store, "lab", URL, key="secret")
    assert store.get("lab") is None
    assert not path.exists()


def test_settings_that_would_not_be_accepted_never_reach_the_store(path: Path) -> None:
    with pytest.raises(SettingsError):
        provider_store.add(path, Faulty("set", locked), "lab", {"base_url": "nonsense"}, key="secret")
    assert not path.exists()


def test_a_taken_name_never_reaches_the_store(path: Path) -> None:
    store = MemoryStore()
    provider_store.add(path, store, "lab", URL, key="first")
    with pytest.raises(SettingsError, match="already set up"):
        provider_store.add(path, store, "lab", URL, key="second")
    assert store.get("lab") == "first"


def test_a_failed_replacement_leaves_the_former_provider_whole(path: Path) -> None:
    provider_store.add(path, MemoryStore(), "lab", URL, key="first")
    before = path.read_bytes()
    store = Faulty("set", ctrl_c, after=True, lab="first")
    with pytest.raises(KeyboardInterrupt):
        provider_store.add(path, store, "lab", {"base_url": "http://127.0.0.1:2"}, key="second", replace=True)
    assert path.read_bytes() == before
    assert store.get("lab") == "first"


def test_a_replacement_without_a_key_forgets_the_former_one(path: Path) -> None:
    store = MemoryStore()
    provider_store.add(path, store, "lab", URL, key="first")
    provider_store.add(path, store, "lab", {**URL, "key_env": "LAB"}, replace=True)
    assert entries(path)["lab"] == {**URL, "key_env": "LAB"}
    assert store.get("lab") is None


def test_ctrl_c_after_the_file_was_replaced_leaves_both(path: Path) -> None:
    """The change has happened by then, and half of it is what must not stay."""

    class Late(MemoryStore):
        def set(self, name: str, key: str) -> None:
            super().set(name, key)
            # What the replacement of the file will have done, at the moment at which Ctrl-C comes.
            path.write_text('[providers.lab]\nbase_url = "http://127.0.0.1:1"\nkey = "keyring"\n')
            raise KeyboardInterrupt

    store = Late()
    with pytest.raises(KeyboardInterrupt):
        provider_store.add(path, store, "lab", URL, key="secret")
    assert entries(path)["lab"]["key"] == "keyring"
    assert store.get("lab") == "secret"


# --- keys that change --------------------------------------------------------------------------------------


def test_a_new_key_takes_the_place_of_any_other_source(path: Path) -> None:
    store = MemoryStore()
    provider_store.add(path, store, "lab", {**URL, "key_env": "LAB", "headers": {"X-A": "1"}})
    provider_store.set_key(path, store, "lab", {}, key="secret")
    assert entries(path)["lab"] == {**URL, "headers": {"X-A": "1"}, "key": "keyring"}
    assert store.get("lab") == "secret"


def test_a_source_that_takes_precedence_leaves_the_stored_key(path: Path) -> None:
    store = MemoryStore()
    provider_store.add(path, store, "lab", URL, key="secret")
    provider_store.set_key(path, store, "lab", {"key_command": "pass lab"}, key=None)
    assert entries(path)["lab"] == {**URL, "key": "keyring", "key_command": "pass lab"}
    assert store.get("lab") == "secret"
    provider_store.set_key(path, store, "lab", {"key": "none"}, key=None)
    assert entries(path)["lab"] == {**URL, "key": "none"}
    assert store.get("lab") is None


def test_a_key_that_cannot_be_changed_stays(path: Path) -> None:
    provider_store.add(path, MemoryStore(), "lab", URL, key="first")
    store = Faulty("set", locked, after=True, lab="first")
    with pytest.raises(KeyStoreError):
        provider_store.set_key(path, store, "lab", {}, key="second")
    assert store.get("lab") == "first"


# --- removing and renaming ---------------------------------------------------------------------------------


def test_a_provider_goes_with_its_key(path: Path) -> None:
    store = MemoryStore()
    provider_store.add(path, store, "lab", URL, key="secret")
    provider_store.remove(path, store, "lab")
    assert entries(path) == {}
    assert store.get("lab") is None


def test_a_removal_that_the_keyring_hinders_leaves_all_and_says_so(path: Path) -> None:
    provider_store.add(path, MemoryStore(), "lab", URL, key="secret")
    store = Faulty("delete", locked, lab="secret")
    with pytest.raises(KeyStoreError, match=r"lab was not removed, and its key is unchanged: .*locked"):
        provider_store.remove(path, store, "lab")
    assert "lab" in entries(path)
    assert store.get("lab") == "secret"


def test_a_key_can_be_left_where_it_is(path: Path) -> None:
    provider_store.add(path, MemoryStore(), "lab", URL, key="secret")
    provider_store.remove(path, Faulty("get", locked), "lab", keep_key=True)
    assert entries(path) == {}


def test_a_removal_whose_settings_cannot_be_written_brings_the_key_back(path: Path) -> None:
    provider_store.add(path, MemoryStore(), "lab", URL, key="secret")
    saved = path.read_bytes()

    class Gone(MemoryStore):
        def delete(self, name: str) -> None:
            super().delete(name)
            shutil.rmtree(path.parent)
            path.parent.parent.joinpath("config").write_bytes(saved)  # no folder any more

    store = Gone(lab="secret")
    with pytest.raises(SettingsError):
        provider_store.remove(path, store, "lab")
    assert store.get("lab") == "secret"


def test_a_name_changes_with_its_key_and_all_that_points_at_it(path: Path) -> None:
    store = MemoryStore()
    path.parent.mkdir(parents=True)
    path.write_text('model = "lab/m" # mine\n[aliases]\nfast = "lab"\nother = "laboratory/m"\n')
    provider_store.add(path, store, "lab", URL, key="secret")
    assert provider_store.rename(path, store, "lab", "work") == ("model", "aliases.fast")
    assert set(entries(path)) == {"work"}
    assert (store.get("lab"), store.get("work")) == (None, "secret")
    text = path.read_text()
    assert 'model = "work/m" # mine' in text
    assert 'fast = "work"' in text
    assert 'other = "laboratory/m"' in text


def test_a_failed_renaming_leaves_the_old_name_whole(path: Path) -> None:
    provider_store.add(path, MemoryStore(), "lab", URL, key="secret")
    provider_store.add(path, MemoryStore(), "work", URL)
    store = MemoryStore(lab="secret")
    with pytest.raises(SettingsError, match="already set up"):
        provider_store.rename(path, store, "lab", "work")
    assert (store.get("lab"), store.get("work")) == ("secret", None)


def test_a_renaming_that_leaves_the_old_key_behind_says_so(path: Path) -> None:
    provider_store.add(path, MemoryStore(), "lab", URL, key="secret")
    store = Faulty("delete", locked, lab="secret")
    with pytest.raises(KeyStoreError, match="lab is now work, but its key is also left under the old name"):
        provider_store.rename(path, store, "lab", "work")
    assert store.get("work") == "secret"
