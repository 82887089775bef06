"""Whether the history's file is sound, asked without changing it."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

import pytest

from provider_core.errors import HistoryError
from provider_core.history import History, health
from provider_core.types import Message, Provider, Target

if TYPE_CHECKING:
    from pathlib import Path

LAB = Target(provider=Provider(name="lab", display_name="Lab", base_url="http://127.0.0.1:1/v1"), model="m")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A history of 40 conversations, closed."""
    path = tmp_path / "data" / "history.db"
    with History(path) as history:
        for number in range(40):
            history.begin([Message(role="user", content=f"question {number} " * 200)], LAB)
    return path


def test_a_sound_file_has_a_size_and_a_number_of_conversations(path: Path) -> None:
    found = health(path)
    assert found is not None
    assert (found.conversations, found.checked) == (40, True)
    assert found.size == path.stat().st_size


def test_looking_changes_neither_the_file_nor_its_folder(path: Path) -> None:
    before = path.read_bytes(), path.stat().st_mtime_ns
    health(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert [each.name for each in path.parent.iterdir()] == ["history.db"]


def test_a_history_that_is_in_use_can_be_looked_at(path: Path) -> None:
    with History(path) as history:
        begun = history.begin([Message(role="user", content="one more")], LAB)
        assert begun.turn
        found = health(path)
    assert found is not None
    assert found.conversations == 41


@pytest.mark.parametrize("name", [b"no \xff UTF-8", b"a?b#c%20d", "日本".encode()])
def test_the_folder_may_be_called_as_it_likes(path: Path, name: bytes) -> None:
    folder = path.parent.parent / os.fsdecode(name)
    path.parent.rename(folder)
    found = health(folder / "history.db")
    assert found is not None
    assert found.conversations == 40


@pytest.mark.parametrize("content", [None, b""], ids=["no file", "an empty file"])
def test_where_nothing_was_written_there_is_nothing_to_say(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "history.db").write_bytes(content)
    assert health(tmp_path / "history.db") is None


def test_a_damaged_file_is_named(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 5] = b"\xa5" * 8192
    path.write_bytes(content)
    with pytest.raises(HistoryError, match=r"history\.db is damaged"):
        health(path)


def test_a_file_that_is_no_database_is_named(path: Path) -> None:
    path.write_text("hello " * 1000)
    with pytest.raises(HistoryError, match="is damaged: file is not a database"):
        health(path)


def test_another_programs_database_is_not_taken_for_the_history(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "history.db")
    other.execute("CREATE TABLE conversations (id)")
    other.close()
    with pytest.raises(HistoryError, match="not telex's history"):
        health(tmp_path / "history.db")


def test_a_newer_releases_file_is_not_judged(path: Path) -> None:
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(HistoryError, match="newer telex"):
        health(path)


def test_what_cannot_be_opened_is_said_in_the_systems_words(tmp_path: Path) -> None:
    (tmp_path / "history.db").mkdir()
    with pytest.raises(HistoryError, match="cannot be read"):
        health(tmp_path / "history.db")


def test_the_pages_of_a_large_file_are_not_read(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-4096:] = b"\xa5" * 4096
    path.write_bytes(content)
    with pytest.raises(HistoryError):
        health(path)
    found = health(path, largest=len(content) - 1)
    assert found is not None
    assert (found.conversations, found.checked) == (40, False)
