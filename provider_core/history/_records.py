"""Conversations, turns and messages: how the tables store them, and searches. Times are in seconds since 1970."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from provider_core.structs import Struct, checked, field
from provider_core.types import (
    AudioPart,
    FilePart,
    Image,
    ImagePart,
    Message,
    Source,
    TextPart,
    Timing,
    ToolCall,
    Usage,
    Verdict,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from provider_core.prices import Cost
    from provider_core.types import Json, Part


class StartedTurn(Struct):
    """A turn that has no answer yet."""

    turn: int
    conversation: str


class SavedConversation(Struct):
    """A conversation without its turns. ``model`` is the ``provider/model`` of its last turn."""

    id: str
    title: str
    begun: float
    updated: float
    """When its last turn began."""
    turns: int
    model: str
    verdict: Verdict | None = None
    """The verdict of its last turn; None while that has no answer."""


class SavedTurn(Struct):
    """The messages that were new in one request, and its answer.

    ``answer`` is None if nothing of one was received. ``verdict`` is None while the answer is received, and if the
    process was killed. ``error`` is the message that was shown for an incomplete answer; ``served`` is the model's name
    in the server's words.
    """

    id: int
    conversation: str
    at: float
    provider: str
    model: str
    params: Mapping[str, Json] = field(default_factory=dict)
    messages: tuple[Message, ...] = ()
    answer: Message | None = None
    verdict: Verdict | None = None
    error: str | None = None
    finish: str | None = None
    raw_finish: str | None = None
    served: str = ""
    usage: Usage | None = None
    cost: Cost | None = None
    timing: Timing = field(default_factory=Timing)
    resend: bool = True
    """Whether a prompt without an answer is part of the next request; not if the server refused its content."""

    @property
    def answered(self) -> bool:
        """Whether there is text or a complete tool call; reasoning alone is not an answer."""
        answer = self.answer
        return answer is not None and bool(answer.content or any(not call.cut for call in answer.tool_calls))


class SearchHit(Struct):
    """A message that contains all words of a search, or a conversation whose title does.

    ``role`` is the message's; for a title it is "title", and ``turn`` is None. ``marks`` are the start and end of each
    word in ``snippet``, in order.
    """

    conversation: str
    title: str
    turn: int | None
    role: str
    at: float
    snippet: str
    marks: tuple[tuple[int, int], ...]


# --- reading the tables --------------------------------------------------------------------------------------

# With max(), the other columns are from the row with the largest value (sqlite.org/lang_select.html, "bare columns").
_CONVERSATIONS = """
    SELECT c.id, title, begun, t.at AS updated, count(t.id) AS turns, t.provider || '/' || t.model AS model, t.verdict
    FROM conversations AS c JOIN turns AS t ON t.conversation = c.id
    {where} GROUP BY c.id ORDER BY max(t.id) DESC LIMIT ?
"""
_LATEST = """
    WHERE c.id = (SELECT conversation FROM turns AS t WHERE EXISTS (SELECT 1 FROM messages AS m
    WHERE m.turn = t.id AND m.role = 'user' AND NOT m.is_answer) ORDER BY t.id DESC LIMIT 1)
"""
_TEXT = """
    CASE WHEN m.is_answer THEN coalesce(
        (SELECT group_concat(text, '') FROM (SELECT text FROM pieces WHERE turn = m.turn ORDER BY at)), ''
    ) || m.text ELSE m.text END
"""
_MESSAGES = f"""
    SELECT m.turn, m.is_answer, m.role, {_TEXT}, m.more
    FROM messages AS m JOIN turns AS t ON t.id = m.turn WHERE t.conversation = ? ORDER BY m.id
"""
_HITS = f"""
    SELECT t.conversation, c.title, t.id, m.role, t.at, {_TEXT} AS whole
    FROM messages AS m JOIN turns AS t ON t.id = m.turn JOIN conversations AS c ON c.id = t.conversation
    WHERE m.role <> 'system' AND holds(whole) ORDER BY m.id DESC LIMIT ?
"""


def read_conversations(
    connection: sqlite3.Connection, limit: int | None, where: str = ""
) -> tuple[SavedConversation, ...]:
    """The conversations, most recently used first."""
    rows = _rows(connection, _CONVERSATIONS.format(where=where), _sql_limit(limit))
    return tuple(checked(SavedConversation(**row | {"verdict": _verdict(row["verdict"])})) for row in rows)


def read_latest(connection: sqlite3.Connection) -> SavedConversation | None:
    """The conversation of the user's last prompt; a request of a tool-calling loop is not one."""
    return next(iter(read_conversations(connection, 1, _LATEST)), None)


def read_turns(connection: sqlite3.Connection, conversation: str) -> tuple[SavedTurn, ...]:
    """The conversation's turns, in order."""
    messages: dict[int, list[Message]] = {}
    answers: dict[int, Message] = {}
    for turn, is_answer, role, text, more in connection.execute(_MESSAGES, (conversation,)):
        message = read_message(role, text, more)
        if is_answer:
            answers[turn] = message
        else:
            messages.setdefault(turn, []).append(message)
    turns: list[SavedTurn] = []
    for row in _rows(connection, "SELECT * FROM turns WHERE conversation = ? ORDER BY id", conversation):
        row["params"] = from_json(row["params"])
        row["verdict"] = _verdict(row["verdict"])
        row["served"] = row["served"] or ""
        row["usage"], row["cost"] = _read_usage(row["usage"])
        row["timing"] = _numbers(Timing, from_json(row["timing"]))
        row["resend"] = bool(row["resend"])
        asked, answer = tuple(messages.get(row["id"], ())), answers.get(row["id"])
        turns.append(checked(SavedTurn(**row, messages=asked, answer=answer)))
    return tuple(turns)


def _rows(connection: sqlite3.Connection, query: str, *values: object) -> list[dict[str, Any]]:
    cursor = connection.execute(query, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _sql_limit(limit: int | None) -> int:
    return -1 if limit is None else min(limit, 2**63 - 1)


def _verdict(stored: str | None) -> Verdict | None:
    """None also for a verdict of another release."""
    return next((verdict for verdict in Verdict if verdict.value == stored), None)


_Numbers = TypeVar("_Numbers", Usage, Timing)


# --- messages and values as columns --------------------------------------------------------------------------


def message_columns(message: Message) -> tuple[str, str, str | None]:
    """The message's role, its text for searches, and the rest of it as JSON."""
    more: dict[str, Json] = {}
    if not isinstance(message.content, str):
        more["parts"] = [
            {"text": part.text}
            if isinstance(part, TextPart)
            else {"image": part.url}
            if isinstance(part, ImagePart)
            else asdict(part)
            for part in message.content
        ]
    for name in ("tool_call_id", "reasoning", "reasoning_details", "extra", "provider", "continues"):
        if value := getattr(message, name):
            more[name] = value
    for name in ("tool_calls", "sources", "images"):
        if values := getattr(message, name):
            more[name] = [asdict(value) for value in values]
    return message.role, storable(text_of(message)), to_json(more)


def text_of(message: Message) -> str:
    """The text of all parts of a message."""
    if isinstance(message.content, str):
        return message.content
    return "\n\n".join(part.text for part in message.content if isinstance(part, TextPart))


def read_message(role: Any, text: str, more: str | None) -> Message:
    """The message that ``message_columns`` stored."""
    rest = from_json(more)
    content: str | tuple[Part, ...] = text
    if "parts" in rest:
        content = tuple(map(_read_part, rest.pop("parts")))
    message = Message(
        role=role,
        content=content,
        tool_calls=tuple(checked(ToolCall(**call)) for call in rest.pop("tool_calls", ())),
        reasoning_details=tuple(rest.pop("reasoning_details", ())),
        sources=tuple(checked(Source(**source)) for source in rest.pop("sources", ())),
        images=tuple(checked(Image(**image)) for image in rest.pop("images", ())),
        **rest,
    )
    return checked(message)


def _read_part(stored: Mapping[str, Json]) -> Part:
    match stored:
        case {"text": text}:
            return checked(TextPart(text=text))
        case {"image": url}:
            return checked(ImagePart(url=url))
        case {"format": _}:
            return checked(AudioPart(**stored))
        case _:
            return checked(FilePart(**stored))


def storable(text: str) -> str:
    """``text`` with question marks for surrogates, which UTF-8 cannot encode."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def to_json(value: Mapping[str, Json] | None) -> str | None:
    """``value`` as JSON in one line; None if it is empty."""
    if not value:
        return None

    def plain(value: object) -> object:
        return dict(value) if isinstance(value, Mapping) else str(value)  # also paths, among parameters

    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=plain)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), default=plain)
    return text


def from_json(text: str | None) -> dict[str, Json]:
    """The object that ``to_json`` stored."""
    return json.loads(text) if text else {}


def numbers_to_json(numbers: Usage | Timing | None, cost: Cost | None = None) -> str | None:
    """The numbers that are known, and the cost of the answer, as JSON; amounts are text."""
    stored = {name: value for name, value in asdict(numbers).items() if value is not None} if numbers else {}
    if cost is not None:
        stored |= {"cost": f"{cost.amount:f}", "source": cost.source, "partial": cost.partial}
    return to_json(stored)


def _read_usage(text: str | None) -> tuple[Usage | None, Cost | None]:
    stored, cost = from_json(text), None
    if "cost" in stored:
        from decimal import Decimal

        from provider_core.prices import Cost

        amount, source = Decimal(stored.pop("cost")), stored.pop("source")
        cost = checked(Cost(amount=amount, source=source, partial=stored.pop("partial")))
        if source == "server" and not cost.partial:
            stored["cost"] = amount
    return (_numbers(Usage, stored) if stored else None), cost


def _numbers(kind: type[_Numbers], stored: dict[str, Json]) -> _Numbers:
    # Another release may have stored more.
    return checked(kind(**{name: stored[name] for name in kind.__annotations__ if name in stored}))


# --- searches ------------------------------------------------------------------------------------------------

# There is no index: reading 100 MB of text takes a fifth of a second. An index would take half as much space again,
# would keep words of removed conversations, and would not find words in Chinese, Japanese or Thai.

_BEFORE, _AFTER = 50, 110
"""Characters of a snippet before the first word, and from it on."""


def read_hits(
    connection: sqlite3.Connection, words: Sequence[str], limit: int | None
) -> tuple[SearchHit, ...]:
    """The messages that contain all words, which may be phrases; then the titles that do, of other conversations."""
    wanted = [fold(word) for word in words]

    def holds(text: object) -> bool:
        folded = fold(str(text))  # a damaged file may have anything there
        return all(word in folded for word in wanted)

    connection.create_function("holds", 1, holds)
    rows: list[tuple[Any, ...]] = connection.execute(_HITS, (_sql_limit(limit),)).fetchall()
    seen = {row[0] for row in rows}
    rows += [
        (each.id, each.title, None, "title", each.updated, each.title)
        for each in read_conversations(connection, limit, "WHERE holds(c.title)")
        if each.id not in seen
    ]
    hits = []
    for conversation, title, turn, role, at, text in rows[:limit]:
        shown, marks = snippet(text, words)
        hit = SearchHit(
            conversation=conversation,
            title=title,
            turn=turn,
            role=role,
            at=at,
            snippet=shown,
            marks=marks,
        )
        hits.append(checked(hit))
    return tuple(hits)


def fold(text: str) -> str:
    """``text`` without differences of case, accents and Unicode form."""
    if text.isascii():
        return text.lower()
    import unicodedata

    return re.sub("[\u0300-\u036f]+", "", unicodedata.normalize("NFKD", text)).casefold()


def snippet(text: str, words: Iterable[str]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """One line of ``text`` around the first of the words, and where words start and end in it."""
    text = " ".join(text.split())
    folded, positions = _with_positions(text)
    wanted = filter(None, {fold(" ".join(word.split())) for word in words})
    # The longest word comes first, because the first that matches is taken.
    pattern = "|".join(map(re.escape, sorted(wanted, key=len, reverse=True)))
    matches = re.finditer(pattern, folded) if pattern else ()
    found = [(positions[match.start()], positions[match.end()]) for match in matches]
    first = found[0][0] if found else 0
    start, stop = first - _BEFORE, first + _AFTER
    if start <= 0:
        start = 0
    elif (blank := text.find(" ", start, first)) >= 0:
        start = blank + 1
    stop = len(text) if stop >= len(text) else max(text.rfind(" ", first + _AFTER // 2, stop), 0) or stop
    before, after = "…" if start > 0 else "", "…" if stop < len(text) else ""
    shift = len(before) - start
    marks = ((begin + shift, min(end, stop) + shift) for begin, end in found if begin < min(end, stop))
    return f"{before}{text[start:stop]}{after}", tuple(marks)


def _with_positions(text: str) -> tuple[str, Sequence[int]]:
    """The folded text, and for each position in it, and its end, the position in ``text``."""
    folded = fold(text)
    if len(folded) == len(text):
        return folded, range(len(text) + 1)
    pieces: list[str] = []
    positions: list[int] = []
    for at, character in enumerate(text):
        piece = fold(character)
        pieces.append(piece)
        positions += [at] * len(piece)
    return "".join(pieces), [*positions, len(text)]
