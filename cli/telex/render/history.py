"""Saved conversations on a terminal, as Markdown and as JSON; the keys are a contract."""

from __future__ import annotations

import re
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from provider_core.types import AudioPart, FilePart, TextPart, Verdict
from telex.console import visible
from telex.render import tables
from telex.render.json import call_object, image_object, source_objects, timing_object, usage_object
from telex.render.messages import image_lines, source_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from provider_core.history import SavedConversation, SavedTurn, SearchHit
    from provider_core.settings import Settings
    from provider_core.types import ImagePart, Message, Part, ToolCall
    from telex.console import Console

_FROM = {"UPDATED": 32, "TURNS": 60, "MODEL": 60, "STATUS": 60}
"""The width of the terminal from which on a column is shown."""
_BOLD = "1"


def listing(console: Console, conversations: Sequence[SavedConversation]) -> None:
    """Print a table on a terminal; elsewhere a line for each, separated by tabs."""
    if not console.out_is_terminal:
        lines = [
            (each.id, utc(each.updated), str(each.turns), each.model, each.title) for each in conversations
        ]
        tables.rows(console, (), lines)
        return
    from rich.cells import cell_len

    now = time.time()
    cells = {
        "ID": [each.id for each in conversations],
        "UPDATED": [when(each.updated, now) for each in conversations],
        "TURNS": [str(each.turns) for each in conversations],
        "MODEL": [each.model for each in conversations],
        "STATUS": [_status(each.verdict) for each in conversations],
        "TITLE": [each.title for each in conversations],
    }
    if not any(cells["STATUS"]):
        del cells["STATUS"]
    columns = console.width()
    names = [name for name in cells if columns >= _FROM.get(name, 0)]
    widths = {name: max(map(cell_len, (name, *cells[name]))) for name in names}
    if "MODEL" in widths:
        widths["MODEL"] = min(widths["MODEL"], columns // 4)
    others = sum(width + 2 for name, width in widths.items() if name != "TITLE")
    widths["TITLE"] = min(widths["TITLE"], max(columns - others, 1))
    options: list[dict[str, Any]] = [
        {
            "no_wrap": True,
            "overflow": "ellipsis",
            "width": widths[name],
            "justify": "right" if name == "TURNS" else "left",
        }
        for name in names
    ]
    table = tables.table(names, zip(*(cells[name] for name in names), strict=True), options)
    if conversations:
        console.raw_out(tables.render(console, table))


def _status(verdict: Verdict | None) -> str:
    """Why the last answer is not complete; "" if it is."""
    if verdict is None:
        return "unanswered"
    return "" if verdict is Verdict.COMPLETE else verdict.value


def when(moment: float, now: float) -> str:
    """The local time of day, the day or the month, by how long ago it is."""
    then, today = time.localtime(moment), time.localtime(now)
    if then[:3] == today[:3]:
        return time.strftime("%H:%M", then)
    if then.tm_year == today.tm_year:
        return f"{time.strftime('%b', then)} {then.tm_mday}"
    return time.strftime("%b %Y", then)


def hits(console: Console, found: Iterable[SearchHit]) -> None:
    """Print each hit with the words around it; matches are bold where there are colours."""
    if not console.out_is_terminal:
        tables.rows(console, (), [(hit.conversation, utc(hit.at), hit.role, hit.snippet) for hit in found])
        return
    from rich.cells import cell_len, set_cell_size

    now, width = time.time(), console.width()
    for hit in found:
        head = f"{hit.conversation}  {when(hit.at, now)}  {hit.role}"
        if hit.role != "title":
            head += f"  {visible(hit.title)}"
        if cell_len(head) > width:
            head = f"{set_cell_size(head, width - 1)}…"
        pieces: list[str] = []
        at = 0
        for begin, end in hit.marks:
            pieces += visible(hit.snippet[at:begin]), _styled(console, visible(hit.snippet[begin:end]), _BOLD)
            at = end
        words = "".join((*pieces, visible(hit.snippet[at:])))
        console.raw_out(f"{_grey(console, head)}\n  {words}\n")


def transcript(
    console: Console, settings: Settings, conversation: SavedConversation, turns: Iterable[SavedTurn]
) -> None:
    """Print a conversation on a terminal: who said what, and answers as ``telex chat`` renders them."""
    console.raw_out(_styled(console, visible(conversation.title), _BOLD) + "\n")
    now = time.time()
    for turn in turns:
        moment = _grey(console, when(turn.at, now))
        for message in turn.messages:
            console.raw_out(f"\n{_styled(console, message.role.capitalize(), _BOLD)} {moment}\n")
            parts = (message.content,) if isinstance(message.content, str) else message.content
            for part in parts:
                if text := part if isinstance(part, str) else _part_text(part):
                    console.out(text if text.endswith("\n") else f"{text}\n")
            _print_calls(console, message)
        console.raw_out(f"\n{_styled(console, visible(_who(turn)), _BOLD)} {moment}\n")
        lines: list[str] = []
        if turn.answer is not None:
            if isinstance(turn.answer.content, str) and turn.answer.content:
                print_answer(console, settings, turn.answer.content)
            _print_calls(console, turn.answer)
            lines += (*image_lines(turn.answer.images), *source_lines(turn.answer.sources))
        if words := ending(turn):
            lines.append(visible(words))
        for line in lines:
            console.raw_out(_grey(console, line) + "\n")


def print_answer(console: Console, settings: Settings, text: str) -> None:
    """Print an answer as ``telex chat`` does: Markdown is rendered on a terminal."""
    if console.out_is_terminal and settings.markdown:
        from telex.render.live import render
        from telex.render.styles import look_for

        look = look_for(console, settings.code_theme, ask=True)
        if look is not None:
            console.raw_out(render(text, console.width(), look=look))
            return
    console.out(text if console.out_is_terminal and text.endswith("\n") else f"{text}\n")


def _print_calls(console: Console, message: Message) -> None:
    for call in message.tool_calls:
        console.out(f"{call.name}({call.arguments})\n")


def _grey(console: Console, text: str) -> str:
    return _styled(console, text, console.colour("grey"))


def _styled(console: Console, text: str, sgr: str) -> str:
    return f"\x1b[{sgr}m{text}\x1b[m" if console.out_has_colour and text and sgr else text


def utc(moment: float) -> str:
    """ISO 8601 in UTC, whole seconds: it sorts as text, and means the same everywhere."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


# --- objects -------------------------------------------------------------------------------------------------


def conversation_object(conversation: SavedConversation) -> dict[str, Any]:
    """``turns`` is their number; ``model`` is ``provider/model`` of the last one, ``verdict`` the end of its answer."""
    return asdict(conversation) | {
        "begun": utc(conversation.begun),
        "updated": utc(conversation.updated),
        "verdict": conversation.verdict and conversation.verdict.value,
    }


def whole_object(conversation: SavedConversation, turns: Sequence[SavedTurn]) -> dict[str, Any]:
    """A conversation's object with its turns as ``transcript``."""
    said = [turn_object(turn, title=conversation.title) for turn in turns]
    return {**conversation_object(conversation), "transcript": said}


def turn_object(turn: SavedTurn, *, title: str) -> dict[str, Any]:
    """One turn. ``messages`` are the new ones of the request, in OpenAI's form; the rest is as in ``chat --json``.

    ``continues`` is whether the text continues that of the turn before, which was cut. ``verdict`` is null while there
    is neither an answer nor an error: the answer is still arriving, or its process was killed.
    """
    answer = turn.answer
    return {
        "conversation": turn.conversation,
        "title": title,
        "turn": turn.id,
        "at": utc(turn.at),
        "provider": turn.provider,
        "model": turn.model,
        "params": dict(turn.params),
        "messages": [_message_object(message) for message in turn.messages],
        "continues": answer is not None and answer.continues,
        "text": _text(answer) if answer else "",
        "reasoning": answer.reasoning if answer else "",
        "tool_calls": [call_object(call) for call in answer.tool_calls] if answer else [],
        "sources": source_objects(answer.sources) if answer else [],
        "images": [image_object(image) for image in answer.images] if answer else [],
        "finish": turn.finish,
        "raw_finish": turn.raw_finish,
        "verdict": turn.verdict and turn.verdict.value,
        "usage": usage_object(turn.usage, turn.cost),
        "timing": timing_object(turn.timing),
        "error": turn.error and {"message": turn.error},
    }


def hit_object(hit: SearchHit) -> dict[str, Any]:
    """``marks`` are the begin and end of each word in ``snippet``; ``turn`` is null for a title."""
    return asdict(hit) | {"at": utc(hit.at)}


def _message_object(message: Message) -> dict[str, Any]:
    content: Any = message.content
    if not isinstance(content, str):
        from provider_core.request import wire_part

        content = [wire_part(part) for part in content]
    fields = {"role": message.role, "content": content}
    if message.tool_calls:
        fields["tool_calls"] = [call_object(call) for call in message.tool_calls]
    return {**fields, "tool_call_id": message.tool_call_id} if message.tool_call_id else fields


# --- Markdown ------------------------------------------------------------------------------------------------


def markdown(conversation: SavedConversation, turns: Sequence[SavedTurn]) -> str:
    """The conversation as Markdown: a heading for each message, and its text unchanged."""
    started = time.strftime("%Y-%m-%d %H:%M", time.gmtime(conversation.begun))
    parts = [f"# {conversation.title}", f"Conversation `{conversation.id}`, started {started} UTC."]
    for turn in turns:
        parts += (part for message in turn.messages for part in _asked(message))
        parts += _answered(turn)
    return "\n\n".join(parts) + "\n"


def _asked(message: Message) -> Iterator[str]:
    yield f"## {message.role.capitalize()}"
    text = _text(message)
    yield _fenced(text) if message.role == "tool" else _closed(text.strip("\n"))
    yield from map(_call, message.tool_calls)


def _answered(turn: SavedTurn) -> Iterator[str]:
    yield f"## {_who(turn)}"
    if turn.answer is not None:
        text = _text(turn.answer).strip("\n")
        if text:
            yield _closed(text)
        yield from map(_call, turn.answer.tool_calls)
        if more := [*image_lines(turn.answer.images), *source_lines(turn.answer.sources)]:
            yield "  \n".join(more)
    words = ending(turn)
    if words:
        yield f"*{words}*"


def _who(turn: SavedTurn) -> str:
    """The model, and whether it continues the answer before."""
    continues = turn.answer is not None and turn.answer.continues
    return f"{turn.provider}/{turn.model}{' (continued)' if continues else ''}"


def ending(turn: SavedTurn) -> str:
    """A sentence about an incomplete or missing answer; "" for a complete one."""
    if turn.verdict is None:
        return "No answer was saved."
    if turn.verdict.value == "complete":
        return ""
    if turn.verdict.value == "length":
        return "The answer ends at the token limit."
    what = f"The answer is {turn.verdict.value}" if turn.answered else f"No answer ({turn.verdict.value})"
    return f"{what}: {turn.error}." if turn.error else f"{what}."


def part_words(part: ImagePart | FilePart | AudioPart) -> str:
    """An image, file or recording in words: its kind and size, or the address of an image."""
    if isinstance(part, AudioPart):
        kind, data = f"audio/{part.format}", part.data
    elif part.url.startswith("data:"):
        kind, _, data = part.url.removeprefix("data:").partition(";base64,")
    else:
        return f"![image]({part.url})"
    name = f"{part.name}, " if isinstance(part, FilePart) else ""
    return f"[{name}{kind or 'image'}, {max(1, len(data) * 3 // 4 // 1000)} kB]"


def _text(message: Message) -> str:
    if isinstance(message.content, str):
        return message.content
    return "\n\n".join(map(_part_text, message.content))


def _part_text(part: Part) -> str:
    return part.text if isinstance(part, TextPart) else part_words(part)


def _call(call: ToolCall) -> str:
    return f"Calls `{call.name}`:\n\n{_fenced(call.arguments, 'json')}"


def _fenced(text: str, info: str = "") -> str:
    longest = max((len(run) for run in re.findall("`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{info}\n{text.rstrip(chr(10))}\n{fence}"


def _closed(text: str) -> str:
    """``text`` with an open fence closed, so that the text after it is not code."""
    fence = ""
    for line in text.splitlines():
        found = re.match(r" {0,3}(`{3,}|~{3,})(.*)", line)
        if found is None:
            continue
        if not fence and not (found[1][0] == "`" and "`" in found[2]):
            fence = found[1]
        elif fence and found[1].startswith(fence) and not found[2].strip():
            fence = ""
    return f"{text}\n{fence}" if fence else text
