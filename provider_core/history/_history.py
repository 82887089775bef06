"""The history as its users see it: turns are begun, ended and found again; files and locks are the database's."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from provider_core import limits
from provider_core.errors import CoreError, HistoryError, InvalidInputError
from provider_core.history import _names, _rows
from provider_core.history._database import Database
from provider_core.history._records import Begun, Removed

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from provider_core.answer import Answer
    from provider_core.history._records import Hit, SavedConversation, SavedTurn
    from provider_core.types import Json, Message, Target

__all__ = ["History"]


class History:
    """Conversations in the file at ``path``, which is opened by the first use and made by the first turn.

    Any number of processes may use one file, and threads one ``History``. ``patience`` is how many seconds a
    writer is waited for. Everything may raise ``HistoryError``; an answer is worth more than its record, so
    whoever shows one catches it. A damaged file is never changed.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time, patience: float = 5.0) -> None:
        self._database = Database(path, patience=patience)
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        self._database.close()

    # --- what is being said --------------------------------------------------------------------------------

    def begin(
        self,
        messages: Sequence[Message],
        target: Target,
        *,
        conversation: str | None = None,
        title: str | None = None,
        params: Mapping[str, Json] | None = None,
    ) -> Begun:
        """Store that a request was sent, with those of its messages that are new in the conversation.

        Without ``conversation`` it begins a new one; one that was removed meanwhile begins anew under its id.
        The title is the first line of ``title``, else the first that the user wrote.
        """
        now = self._clock()
        with self._database.writing() as connection:
            if conversation is None or not _exists(connection, conversation):
                conversation = conversation or _free_id(connection)
                named = _names.first_line(title or "") or _names.title_of(messages)
                connection.execute("INSERT INTO conversations VALUES (?, ?, ?)", (conversation, named, now))
            connection.execute(
                "INSERT INTO turns (conversation, at, provider, model, params) VALUES (?, ?, ?, ?, ?)",
                (conversation, now, target.provider.name, _rows.as_text(target.model), _rows.as_json(params)),
            )
            (turn,) = connection.execute("SELECT last_insert_rowid()").fetchone()
            for message in messages:
                _add(connection, turn, message, is_answer=False)
        return Begun(turn=turn, conversation=conversation)

    def end(self, turn: int, answer: Answer) -> str:
        """Store what the request brought, whole or not. A turn that was removed meanwhile stays removed.

        Of the text and of the reasoning, the first ``limits.ANSWER`` characters are stored. Returns the reason why
        it is not all, which is also the turn's error if it has no other; "" if it is all.
        """
        cut, most = "", limits.ANSWER
        if answer.left_out or max(len(answer.text), len(answer.reasoning)) > most:
            cut = f"the answer is longer than {most:,} characters; the rest was not saved"
            error = answer.error or CoreError(cut)
            answer = replace(answer, text=answer.text[:most], reasoning=answer.reasoning[:most], error=error)
        with self._database.writing() as connection:
            found = connection.execute(
                "UPDATE turns SET verdict = ?, error = ?, finish = ?, raw_finish = ?, served = ?, usage = ?, "
                "timing = ?, resend = ? WHERE id = ?",
                (
                    answer.verdict.value,
                    _rows.as_text(answer.error.message) if answer.error else None,
                    answer.finish,
                    _rows.as_text(answer.raw_finish) if answer.raw_finish else None,
                    _rows.as_text(answer.model),
                    _rows.numbers_as_json(answer.usage),
                    _rows.numbers_as_json(answer.timing),
                    answer.resend,
                    turn,
                ),
            ).rowcount
            connection.execute("DELETE FROM messages WHERE turn = ? AND is_answer", (turn,))
            if found and (answer.text or answer.reasoning or answer.tool_calls or answer.images):
                _add(connection, turn, answer.message(), is_answer=True)
        return cut

    def drop_turn(self, turn: int) -> None:
        """Take back one turn, and the conversation where it was the only one; ``remove`` is what erases."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM turns WHERE id = ?", (turn,))
            _drop_empty(connection)

    # --- what was said -------------------------------------------------------------------------------------

    def conversations(self, limit: int | None = None) -> tuple[SavedConversation, ...]:
        """The conversations, the one that was gone on with last first."""
        from provider_core.history import _reading

        with self._database.reading() as connection:
            return () if connection is None else _reading.conversations(connection, limit)

    def latest(self) -> SavedConversation | None:
        """The conversation in which the user asked last; None where there is none."""
        from provider_core.history import _reading

        with self._database.reading() as connection:
            return None if connection is None else _reading.latest(connection)

    def find(self, name: str) -> SavedConversation:
        """The conversation that ``name`` means.

        That is the one with this id or title, else the only one whose id begins so (from four letters on),
        whose title is this in another case, or has this as a part. Raises ``UnknownConversationError``.
        """
        return _names.chosen(name, self.conversations())

    def turns(self, conversation: str) -> tuple[SavedTurn, ...]:
        """All turns of the conversation with this id, in order; empty where there is none."""
        from provider_core.history import _reading

        with self._database.reading() as connection:
            return () if connection is None else _reading.turns(connection, conversation)

    def messages(self, conversation: str) -> tuple[Message, ...]:
        """The conversation as the next request holds it.

        The latest system message comes first. An answer that was cut short stays as far as it goes, and a
        question without an answer goes along, unless its server refused what it says or how long it is.
        """
        from provider_core.history._context import context

        return context(self.turns(conversation))

    def search(self, words: Iterable[str], limit: int | None = 20) -> tuple[Hit, ...]:
        """The messages that hold all the words, the newest first; then titles, of conversations not among them.

        A word may be a phrase or a part of a word; case and accents do not count. System messages are not
        looked through. Raises ``InvalidInputError`` where there is no word.
        """
        from provider_core.history import _reading

        wanted = [word for word in words if word.strip()]
        if not wanted:
            raise InvalidInputError("there is nothing to search for")
        with self._database.reading() as connection:
            return () if connection is None else _reading.hits(connection, wanted, limit)

    # --- names, and going away -----------------------------------------------------------------------------

    def rename(self, conversation: str, title: str) -> str:
        """Give the conversation with this id another title: a line, which is returned.

        Raises ``InvalidInputError`` for one without a word.
        """
        named = _names.one_line(_rows.as_text(title))
        if not named:
            raise InvalidInputError("the title is empty")
        with self._database.writing() as connection:
            connection.execute("UPDATE conversations SET title = ? WHERE id = ?", (named, conversation))
        return named

    def remove(self, conversations: Iterable[str]) -> Removed:
        """Delete the conversations with these ids, and overwrite what they were, in every file."""
        return self._removed("DELETE FROM conversations WHERE id = ?", [(each,) for each in conversations])

    def prune(self, before: float) -> Removed:
        """Delete, as ``remove`` does, the conversations that nobody has gone on with since ``before``."""
        return self._removed(
            "DELETE FROM conversations WHERE NOT EXISTS "
            "(SELECT 1 FROM turns AS t WHERE t.conversation = conversations.id AND t.at >= ?)",
            [(before,)],
        )

    def finish(self) -> HistoryError | None:
        """Do what a removal that was killed or kept from it has left to do; why that is not possible, or None."""
        with self._database.reading() as connection:
            chores = [] if connection is None else connection.execute("SELECT name FROM chores").fetchall()
        if not chores:
            return None
        try:
            self._database.erase()
            with self._database.writing() as connection:
                # Only those that were there before: what another has deleted meanwhile is not erased by this.
                connection.executemany("DELETE FROM chores WHERE name = ?", chores)
        except HistoryError as error:
            return error
        return None

    def _removed(self, delete: str, values: Iterable[tuple[object, ...]]) -> Removed:
        if not self._database.is_there():
            return Removed(conversations=0)
        with self._database.writing() as connection:
            count = sum(connection.execute(delete, value).rowcount for value in values)
            if count:
                connection.execute("INSERT INTO chores VALUES ('erase ' || hex(randomblob(8)))")
        return Removed(conversations=count, traces=self.finish())


def _exists(connection: sqlite3.Connection, conversation: str) -> bool:
    found = connection.execute("SELECT 1 FROM conversations WHERE id = ?", (conversation,)).fetchone()
    return found is not None


def _free_id(connection: sqlite3.Connection) -> str:
    while _exists(connection, found := _names.new_id()):
        pass
    return found


def _add(connection: sqlite3.Connection, turn: int, message: Message, *, is_answer: bool) -> None:
    connection.execute(
        "INSERT INTO messages (turn, is_answer, role, text, more) VALUES (?, ?, ?, ?, ?)",
        (turn, is_answer, *_rows.columns(message)),
    )


def _drop_empty(connection: sqlite3.Connection) -> None:
    connection.execute(
        "DELETE FROM conversations WHERE NOT EXISTS "
        "(SELECT 1 FROM turns AS t WHERE t.conversation = conversations.id)"
    )
