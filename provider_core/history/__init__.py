"""Past conversations in one SQLite file: saved turn by turn, read, searched, erased; and the ledger of all requests.

Of a request only its messages and parameters are stored, and of a server only its name; keys never get here.

::

    with History(path) as history:
        started = history.begin([Message(role="user", content="Hi")], target)  # when the request is sent
        history.end(started.turn, answer)                                      # complete or not
        history.messages(started.conversation)                                 # for the next request
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Self

from provider_core import limits
from provider_core.errors import CoreError, HistoryError, InvalidInputError, UnknownConversationError
from provider_core.history import _ledger, _records
from provider_core.history._database import Database, health
from provider_core.history._ledger import Grouping, Ledger, LedgerEntry, UsageTotal, entry_of
from provider_core.history._records import SavedConversation, SavedTurn, SearchHit, StartedTurn
from provider_core.structs import Struct, replace

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from provider_core.events import Answer
    from provider_core.types import Json, Message, Target


__all__ = [
    "Grouping",
    "History",
    "Ledger",
    "LedgerEntry",
    "Removed",
    "SavedConversation",
    "SavedTurn",
    "SearchHit",
    "StartedTurn",
    "UsageTotal",
    "entry_of",
    "health",
]


_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: without letters that look like digits."""
_ID_LENGTH = 8
_SHORTEST_PREFIX = 4
_LONGEST_TITLE = 60


class Removed(Struct):
    """The result of a removal. ``requests`` are those of the conversations: deleted or, by default, still counted."""

    conversations: int
    requests: int


class History:
    """The conversations in the file at ``path``, which the first turn creates.

    Any number of processes may use one file, and threads one ``History``. ``lock_timeout`` is how many seconds to wait
    for another writer. Every method may raise ``HistoryError``; a damaged file is never changed.
    """

    def __init__(
        self, path: Path, *, clock: Callable[[], float] = time.time, lock_timeout: float = 5.0
    ) -> None:
        self._database = Database(path, lock_timeout=lock_timeout)
        self._clock = clock
        self.ledger: _ledger.Ledger = _ledger.Ledger(self._database)
        """The requests that were sent, also those of chats that are not saved."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._database.close()

    def transaction(self) -> AbstractContextManager[object]:
        """A context whose changes, also those of the ledger, are stored together or not at all."""
        return self._database.writing()

    # --- saving --------------------------------------------------------------------------------------------

    def begin(
        self,
        messages: Sequence[Message],
        target: Target,
        *,
        conversation: str | None = None,
        title: str | None = None,
        params: Mapping[str, Json] | None = None,
    ) -> StartedTurn:
        """Save that a request was sent, with those of its messages that are new in the conversation.

        Without ``conversation``, a new one begins; a conversation that was removed meanwhile begins again with its id.
        The title is the first line of ``title``, or of the prompt.
        """
        now = self._clock()
        with self._database.writing() as connection:
            if conversation is None or not _exists(connection, conversation):
                conversation = conversation or _unused_id(connection)
                title = first_line(title or "") or _title_of(messages)
                connection.execute("INSERT INTO conversations VALUES (?, ?, ?)", (conversation, title, now))
            model, as_json = _records.storable(target.model), _records.to_json(params)
            turn = (
                connection.execute(
                    "INSERT INTO turns (conversation, at, provider, model, params) VALUES (?, ?, ?, ?, ?)",
                    (conversation, now, target.provider.name, model, as_json),
                ).lastrowid
                or 0
            )
            for message in messages:
                _add(connection, turn, message, is_answer=False)
        return StartedTurn(turn=turn, conversation=conversation)

    def add_text(self, turn: int, at: int, text: str) -> None:
        """Save a piece of a long answer before its end; ``at`` is its place in the text, in characters.

        The answer that ``end`` saves has the rest of the text.
        """
        with self._database.writing() as connection:
            # In KiB: the pages of earlier pieces are not read again.
            connection.execute("PRAGMA cache_size = -1024")
            connection.execute(
                "INSERT OR REPLACE INTO pieces (turn, at, text) SELECT id, ?, ? FROM turns WHERE id = ?",
                (at, _records.storable(text), turn),
            )

    def end(self, turn: int, answer: Answer) -> str:
        """Save a complete or partial answer, unless the turn was removed meanwhile.

        At most ``limits.ANSWER`` characters of the text and of the reasoning are saved. Returns a sentence that says so
        if there was more, else "". If the answer has no error of its own, that sentence is also saved as its error.
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
                    _records.storable(answer.error.message) if answer.error else None,
                    answer.finish,
                    _records.storable(answer.raw_finish) if answer.raw_finish else None,
                    _records.storable(answer.model),
                    _records.numbers_to_json(answer.usage, answer.cost),
                    _records.numbers_to_json(answer.timing),
                    answer.resend,
                    turn,
                ),
            ).rowcount
            connection.execute("DELETE FROM messages WHERE turn = ? AND is_answer", (turn,))
            connection.execute("DELETE FROM pieces WHERE turn = ? AND at >= ?", (turn, answer.spilled))
            has_text = answer.text or answer.spilled
            if found and (has_text or answer.reasoning or answer.tool_calls or answer.images):
                _add(connection, turn, answer.message(), is_answer=True)
        return cut

    def fork(self, conversation: str) -> tuple[str, tuple[tuple[int, int], ...]]:
        """Copy a conversation; returns the id of the copy, and the ids of each turn and its copy.

        The ledger counts only the requests that were sent, so that it has no copies. Raises
        ``UnknownConversationError`` if there is no such conversation.
        """
        with self._database.writing() as connection:
            if not _exists(connection, conversation):
                raise UnknownConversationError(f"unknown conversation: {conversation!r}", name=conversation)
            copy = _unused_id(connection)
            connection.execute(
                "INSERT INTO conversations SELECT ?, title, begun FROM conversations WHERE id = ?",
                (copy, conversation),
            )
            columns = "at, provider, model, params, verdict, error, finish, raw_finish, served, usage, timing, resend"
            pairs = []
            for (turn,) in connection.execute(
                "SELECT id FROM turns WHERE conversation = ? ORDER BY id", (conversation,)
            ).fetchall():
                made = (
                    connection.execute(
                        f"INSERT INTO turns (conversation, {columns}) SELECT ?, {columns} FROM turns WHERE id = ?",
                        (copy, turn),
                    ).lastrowid
                    or 0
                )
                for table, names in (("messages", "is_answer, role, text, more"), ("pieces", "at, text")):
                    copied = f"SELECT ?, {names} FROM {table} WHERE turn = ? ORDER BY rowid"
                    connection.execute(f"INSERT INTO {table} (turn, {names}) {copied}", (made, turn))
                pairs.append((turn, made))
        return copy, tuple(pairs)

    def change_target(self, turn: int, target: Target) -> None:
        """Save that another model answers a turn."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE turns SET provider = ?, model = ? WHERE id = ?",
                (target.provider.name, target.model, turn),
            )

    def drop_turn(self, turn: int) -> None:
        """Delete one turn, and its conversation if that has no other; copies may stay in the file until a removal."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM turns WHERE id = ?", (turn,))
            connection.execute(
                "DELETE FROM conversations WHERE NOT EXISTS "
                "(SELECT 1 FROM turns AS t WHERE t.conversation = conversations.id)"
            )

    # --- reading -------------------------------------------------------------------------------------------

    def conversations(self, limit: int | None = None) -> tuple[SavedConversation, ...]:
        """The conversations, most recently used first."""
        with self._database.reading() as connection:
            return () if connection is None else _records.read_conversations(connection, limit)

    def latest(self) -> SavedConversation | None:
        """The conversation of the user's last prompt, if there is one."""
        with self._database.reading() as connection:
            return None if connection is None else _records.read_latest(connection)

    def find(self, name: str) -> SavedConversation:
        """The conversation with this id or title; else the only one that the name fits.

        A name fits ids that begin with it (from four letters on), then titles that differ only in case, then titles
        that contain it. Raises ``UnknownConversationError``.
        """
        from provider_core.redaction import close_matches

        every = self.conversations()
        wanted = name.strip()
        folded = wanted.casefold()
        tests: tuple[Callable[[SavedConversation], bool], ...] = (
            lambda each: each.id == folded,
            lambda each: each.title == wanted,
            lambda each: len(folded) >= _SHORTEST_PREFIX and each.id.startswith(folded),
            lambda each: each.title.casefold() == folded,
            lambda each: folded in each.title.casefold(),
        )
        for test in tests if wanted else ():
            found = [each for each in every if test(each)]
            if len(found) == 1:
                return found[0]
            if found:
                raise UnknownConversationError(
                    f"{wanted!r} matches {len(found)} conversations",
                    name=wanted,
                    candidates=tuple((each.id, each.title) for each in found),
                    code="ambiguous",
                )
        names = {each.id: each for each in every} | {each.title: each for each in every}
        close = [names[each] for each in close_matches(wanted, names)]
        raise UnknownConversationError(
            f"unknown conversation: {wanted!r}",
            name=wanted,
            candidates=tuple((each.id, each.title) for each in close),
        )

    def turns(self, conversation: str) -> tuple[SavedTurn, ...]:
        """The turns of the conversation with this id, in order; empty if there is none."""
        with self._database.reading() as connection:
            return () if connection is None else _records.read_turns(connection, conversation)

    def messages(self, conversation: str) -> tuple[Message, ...]:
        """The conversation as the next request contains it, with only the last system message, at the start.

        Partial answers are included, and so are prompts without an answer, unless the server refused their content or
        length. Results of tools are always included, because their calls are.
        """
        from provider_core.events import append_messages

        messages: list[Message] = []
        for turn in self.turns(conversation):
            include = turn.answered or turn.resend
            messages += (each for each in turn.messages if include or each.role in ("system", "tool"))
            if turn.answer is not None and turn.answered:
                messages.append(turn.answer)
        return append_messages((), messages)

    def search(self, words: Iterable[str], limit: int | None = 20) -> tuple[SearchHit, ...]:
        """The messages that contain all words, newest first; then titles, of other conversations.

        A word may be a phrase or a part of a word; case and accents are ignored, and system messages are not searched.
        Raises ``InvalidInputError`` if there is no word.
        """
        wanted = [word for word in words if word.strip()]
        if not wanted:
            raise InvalidInputError("there is nothing to search for")
        with self._database.reading() as connection:
            return () if connection is None else _records.read_hits(connection, wanted, limit)

    # --- changing and removing -----------------------------------------------------------------------------

    def rename(self, conversation: str, title: str) -> str:
        """Change the title of the conversation with this id, and return it as one line.

        Raises ``InvalidInputError`` if the title is empty.
        """
        line = _one_line(_records.storable(title))
        if not line:
            raise InvalidInputError("the title is empty")
        with self._database.writing() as connection:
            connection.execute("UPDATE conversations SET title = ? WHERE id = ?", (line, conversation))
        return line

    def remove(self, conversations: Iterable[str], *, with_usage: bool = False) -> Removed:
        """Delete the conversations with these ids, and overwrite their text in the file.

        Their requests stay in the ledger without the conversation's id, or with ``with_usage`` are deleted too. The
        error of an overwriting that failed says so: the next removal overwrites the text.
        """
        return self._delete("id = ?", [(each,) for each in conversations], with_usage=with_usage)

    def prune(self, before: float, *, with_usage: bool = False) -> Removed:
        """Delete the conversations that were not used since ``before``, as ``remove`` does.

        With ``with_usage``, all entries of the ledger that are older than ``before`` are deleted too.
        """
        unused = "NOT EXISTS (SELECT 1 FROM turns AS t WHERE t.conversation = conversations.id AND t.at >= ?)"
        return self._delete(unused, [(before,)], with_usage=with_usage, before=before)

    def _delete(
        self,
        condition: str,
        values: Iterable[tuple[object, ...]],
        *,
        with_usage: bool,
        before: float | None = None,
    ) -> Removed:
        if not self._database.exists():
            return Removed(conversations=0, requests=0)
        query = f"SELECT id FROM conversations WHERE {condition}"
        with self._database.writing() as connection:
            ids = {id_: None for each in values for (id_,) in connection.execute(query, each)}
            connection.executemany("DELETE FROM conversations WHERE id = ?", [(each,) for each in ids])
            requests = _ledger.forget_conversations(connection, ids, delete=with_usage)
            if with_usage and before is not None:
                requests += _ledger.delete_before(connection, before)
        count = len(ids)
        try:
            self._database.erase_deleted()
        except HistoryError as error:
            words = f"{count} of the conversations were removed, and their text is not overwritten yet"
            raise HistoryError(
                f"{words}: {error.message}. The next removal overwrites it", path=error.path, code=error.code
            ) from error
        return Removed(conversations=count, requests=requests)


def _exists(connection: sqlite3.Connection, conversation: str) -> bool:
    found = connection.execute("SELECT 1 FROM conversations WHERE id = ?", (conversation,)).fetchone()
    return found is not None


def _unused_id(connection: sqlite3.Connection) -> str:
    """An id of random letters. If it began with the time, all prefixes of a day would be alike."""
    while True:
        number = int.from_bytes(os.urandom(5), "big")
        found = "".join(_LETTERS[number >> 5 * place & 31] for place in range(_ID_LENGTH))
        if not _exists(connection, found):
            return found


def _add(connection: sqlite3.Connection, turn: int, message: Message, *, is_answer: bool) -> None:
    connection.execute(
        "INSERT INTO messages (turn, is_answer, role, text, more) VALUES (?, ?, ?, ?, ?)",
        (turn, is_answer, *_records.message_columns(message)),
    )


# --- titles --------------------------------------------------------------------------------------------------


def _title_of(messages: Iterable[Message]) -> str:
    prompts = (_records.text_of(message) for message in messages if message.role == "user")
    return next(filter(None, map(first_line, prompts)), "(no text)")


def first_line(text: str) -> str:
    """The first line of ``text`` that is not blank, cut to 60 characters at a word; "" if there is none."""
    line = next((words for line in text.splitlines() if (words := _one_line(line[:1000]))), "")
    if len(line) <= _LONGEST_TITLE:
        return line
    cut = line[:_LONGEST_TITLE]
    if line[_LONGEST_TITLE - 1] != " ":
        words, _, _ = cut.rpartition(" ")
        # Long words, and text without blanks between words, are cut in the middle.
        cut = words if len(words) > _LONGEST_TITLE // 2 else cut[:-1]
    return f"{cut.rstrip()}…"


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
