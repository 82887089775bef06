"""The tables, and how a file of an older telex becomes one of this; what is put into them is not known here.

A release that changes the tables adds a step below and never alters one that was published. The number of
steps a file has taken is its ``user_version``; ``application_id`` tells our files from other people's.
Only what SQLite 3.26 knows is used: some of the Pythons we run on have no newer one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

__all__ = ["APPLICATION", "STEPS", "upgrade"]

APPLICATION = 0x746C7831
"""Ours: "tlx1" in ASCII."""

STEPS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE conversations (
            id TEXT NOT NULL PRIMARY KEY,
            title TEXT NOT NULL,
            begun REAL NOT NULL
        ) WITHOUT ROWID
        """,
        # AUTOINCREMENT, so that no number is given twice: an answer that comes after its turn was removed
        # must not land in another.
        """
        CREATE TABLE turns (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
            at REAL NOT NULL,
            provider TEXT NOT NULL,
            model TEXT NOT NULL,
            params TEXT,
            verdict TEXT,
            error TEXT,
            finish TEXT,
            raw_finish TEXT,
            served TEXT,
            usage TEXT,
            timing TEXT,
            resend INTEGER NOT NULL DEFAULT 1
        )
        """,
        "CREATE INDEX turns_of_conversation ON turns (conversation, id)",
        # ``text`` stands before ``more``, which may hold megabytes of images: a search never reads over them.
        """
        CREATE TABLE messages (
            id INTEGER PRIMARY KEY,
            turn INTEGER NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
            is_answer INTEGER NOT NULL,
            role TEXT NOT NULL,
            text TEXT NOT NULL,
            more TEXT
        )
        """,
        "CREATE INDEX messages_of_turn ON messages (turn, id)",
        # What is still to be done: a row "erase …" for each removal that was not yet overwritten.
        "CREATE TABLE chores (name TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID",
    ),
)


def upgrade(connection: sqlite3.Connection, steps: Sequence[Sequence[str]] = STEPS) -> None:
    """Take the steps that the file has not taken; inside a transaction that the caller has begun."""
    (taken,) = connection.execute("PRAGMA user_version").fetchone()
    for step in steps[taken:]:
        for statement in step:
            connection.execute(statement)
    if taken < len(steps):
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {len(steps)}")
