"""What stands in the tables, as records; transactions are the caller's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provider_core.history import _rows
from provider_core.history._records import Hit, SavedConversation, SavedTurn
from provider_core.types import Timing, Usage, Verdict

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from provider_core.types import Message

__all__ = ["conversations", "hits", "latest", "turns"]

# The columns beside max() are those of the row with the largest (sqlite.org/lang_select.html, "bare columns").
_CONVERSATIONS = """
    SELECT c.id, c.title, c.begun, t.at, count(t.id), t.provider || '/' || t.model, t.verdict, max(t.id)
    FROM conversations AS c JOIN turns AS t ON t.conversation = c.id
    {where} GROUP BY c.id ORDER BY max(t.id) DESC LIMIT ?
"""
_MESSAGES = """
    SELECT m.turn, m.is_answer, m.role, m.text, m.more
    FROM messages AS m JOIN turns AS t ON t.id = m.turn WHERE t.conversation = ? ORDER BY m.id
"""
_TURNS = """
    SELECT id, conversation, at, provider, model, params, verdict, error, finish, raw_finish, served, usage, timing,
        resend
    FROM turns WHERE conversation = ? ORDER BY id
"""
_VERDICTS = frozenset(verdict.value for verdict in Verdict)
_HITS = """
    SELECT t.conversation, c.title, t.id, m.role, t.at, m.text
    FROM messages AS m JOIN turns AS t ON t.id = m.turn JOIN conversations AS c ON c.id = t.conversation
    WHERE m.role <> 'system' AND holds(m.text) ORDER BY m.id DESC LIMIT ?
"""


def conversations(
    connection: sqlite3.Connection, limit: int | None, where: str = ""
) -> tuple[SavedConversation, ...]:
    """The conversations, the one that was gone on with last first."""
    rows = connection.execute(_CONVERSATIONS.format(where=where), (_most(limit),))
    return tuple(
        SavedConversation(
            id=id_,
            title=title,
            begun=_rows.moment(begun),
            updated=_rows.moment(updated),
            turns=count,
            model=model,
            verdict=Verdict(verdict) if verdict in _VERDICTS else None,
        )
        for id_, title, begun, updated, count, model, verdict, _ in rows
    )


def latest(connection: sqlite3.Connection) -> SavedConversation | None:
    """The conversation in which the user asked last: further requests of a loop with tools do not count."""
    last = (
        "WHERE c.id = (SELECT conversation FROM turns AS t WHERE EXISTS (SELECT 1 FROM messages AS m "
        "WHERE m.turn = t.id AND m.role = 'user' AND NOT m.is_answer) ORDER BY t.id DESC LIMIT 1)"
    )
    return next(iter(conversations(connection, 1, last)), None)


def turns(connection: sqlite3.Connection, conversation: str) -> tuple[SavedTurn, ...]:
    """The conversation's turns in order."""
    messages: dict[int, list[Message]] = {}
    answers: dict[int, Message] = {}
    for turn, is_answer, role, text, more in connection.execute(_MESSAGES, (conversation,)):
        message = _rows.message(role, text, more)
        if is_answer:
            answers[turn] = message
        else:
            messages.setdefault(turn, []).append(message)
    rows = connection.execute(_TURNS, (conversation,))
    return tuple(_turn(row, messages.get(row[0], ()), answers.get(row[0])) for row in rows)


def hits(connection: sqlite3.Connection, words: Sequence[str], limit: int | None) -> tuple[Hit, ...]:
    """The messages that hold all the words, and then the titles, of conversations that are not among them."""
    from provider_core.history import _search

    connection.create_function("holds", 1, _search.matcher(words))
    found: list[tuple[Any, ...]] = connection.execute(_HITS, (_most(limit),)).fetchall()
    seen = {row[0] for row in found}
    found += [
        (each.id, each.title, None, "title", each.updated, each.title)
        for each in conversations(connection, limit, "WHERE holds(c.title)")
        if each.id not in seen
    ]
    made: list[Hit] = []
    for conversation, title, turn, role, at, text in found[:limit]:
        line, marks = _search.snippet(text, words)
        made.append(
            Hit(
                conversation=conversation,
                title=title,
                turn=turn,
                role=role,
                at=_rows.moment(at),
                snippet=line,
                marks=marks,
            )
        )
    return tuple(made)


def _turn(row: tuple[Any, ...], messages: Iterable[Message], answer: Message | None) -> SavedTurn:
    (
        id_,
        conversation,
        at,
        provider,
        model,
        params,
        verdict,
        error,
        finish,
        raw,
        served,
        usage,
        timing,
        resend,
    ) = row
    return SavedTurn(
        id=id_,
        conversation=conversation,
        at=_rows.moment(at),
        provider=provider,
        model=model,
        params=_rows.of_json(params),
        messages=tuple(messages),
        answer=answer,
        verdict=Verdict(verdict) if verdict in _VERDICTS else None,
        error=error,
        finish=finish,
        raw_finish=raw,
        served=served or "",
        usage=_rows.numbers(Usage, usage) if usage else None,
        timing=_rows.numbers(Timing, timing),
        resend=bool(resend),
    )


def _most(limit: int | None) -> int:
    return -1 if limit is None else limit
