"""Past conversations on a terminal, or a line each in a pipe; as data they are the transcript's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from provider_core.types import ImagePart, Verdict
from telex.console import visible
from telex.render import sheet
from telex.render.messages import image_lines, source_lines
from telex.render.transcript import ending, image_words, utc

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from provider_core.history import SavedConversation, SavedTurn, SearchHit
    from provider_core.types import Message
    from telex.app import App
    from telex.console import Console
    from telex.render.styles import Look

__all__ = ["Screen", "hits", "listing"]

_GAP = "  "
_FROM = {"UPDATED": 32, "TURNS": 60, "MODEL": 60, "STATUS": 60}
"""Columns of the terminal from which on these are listed."""
_BOLD = "1"


def listing(console: Console, conversations: Sequence[SavedConversation]) -> None:
    """A table on a terminal; elsewhere a line each, with tabs between."""
    if not conversations:
        return
    if not console.out_is_terminal:
        lines = [
            (each.id, utc(each.updated), str(each.turns), each.model, each.title) for each in conversations
        ]
        sheet.rows(console, (), lines)
        return
    _table(console, conversations)


def _table(console: Console, conversations: Sequence[SavedConversation]) -> None:
    from rich.cells import cell_len

    now = time.time()
    cells = {
        "ID": [each.id for each in conversations],
        "UPDATED": [when(each.updated, now) for each in conversations],
        "TURNS": [f"{each.turns:>5}" for each in conversations],
        "MODEL": [visible(each.model) for each in conversations],
        "STATUS": [_status(each) for each in conversations],
        "TITLE": [visible(each.title) for each in conversations],
    }
    if not any(cells["STATUS"]):
        del cells["STATUS"]
    columns = console.width()
    names = [name for name in cells if columns >= _FROM.get(name, 0)]
    widths = {name: max(map(cell_len, (name, *cells[name]))) for name in names}
    if "MODEL" in widths:
        widths["MODEL"] = min(widths["MODEL"], columns // 4)
    others = sum(width + len(_GAP) for name, width in widths.items() if name != "TITLE")
    widths["TITLE"] = min(widths["TITLE"], max(columns - others, 1))
    heads = {name: [name] for name in names}
    for rows, style in ((heads, _BOLD), (cells, "")):
        for line in zip(*(rows[name] for name in names), strict=True):
            fitted = [_fitted(cell, width) for cell, width in zip(line, widths.values(), strict=True)]
            console.raw_out(_styled(console, _GAP.join(fitted).rstrip(), style) + "\n")


def _status(conversation: SavedConversation) -> str:
    """What is wrong with the last answer; "" where nothing is."""
    verdict = conversation.verdict
    if verdict is None:
        return "unanswered"
    return "" if verdict is Verdict.COMPLETE else verdict.value


def _fitted(text: str, width: int) -> str:
    """``text`` in exactly so many cells, with an ellipsis where it was cut."""
    from rich.cells import cell_len, set_cell_size

    return set_cell_size(text, width) if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def when(moment: float, now: float) -> str:
    """The time of day, the day or the month, by how long ago it is; in the machine's own zone."""
    then, today = time.localtime(moment), time.localtime(now)
    if then[:3] == today[:3]:
        return time.strftime("%H:%M", then)
    if then.tm_year == today.tm_year:
        return f"{time.strftime('%b', then)} {then.tm_mday}"
    return time.strftime("%b %Y", then)


def hits(console: Console, found: Iterable[SearchHit]) -> None:
    """Each with the words around the first that was found, which are marked where there are colours."""
    if not console.out_is_terminal:
        sheet.rows(console, (), [(hit.conversation, utc(hit.at), hit.role, hit.snippet) for hit in found])
        return
    now = time.time()
    for hit in found:
        head = f"{hit.conversation}  {when(hit.at, now)}  {hit.role}"
        if hit.role != "title":
            head += f"  {visible(hit.title)}"
        head = _fitted(head, console.width()).rstrip()
        console.raw_out(f"{_styled(console, head, console.colour('grey'))}\n  {_marked(console, hit)}\n")


def _marked(console: Console, hit: SearchHit) -> str:
    pieces: list[str] = []
    at = 0
    for begin, end in hit.marks:
        pieces += visible(hit.snippet[at:begin]), _styled(console, visible(hit.snippet[begin:end]), _BOLD)
        at = end
    return "".join((*pieces, visible(hit.snippet[at:])))


class Screen:
    """A conversation for people: who said what, answers laid out as they were when they came."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._console = app.console
        self._look: Look | None = None

    def conversation(self, conversation: SavedConversation, turns: Iterable[SavedTurn]) -> None:
        console = self._console
        console.raw_out(_styled(console, visible(conversation.title), _BOLD) + "\n")
        now = time.time()
        for turn in turns:
            for message in turn.messages:
                self._head(message.role.capitalize(), when(turn.at, now))
                self._plain(message)
            self._head(f"{turn.provider}/{turn.model}", when(turn.at, now))
            if turn.answer is not None:
                if isinstance(turn.answer.content, str) and turn.answer.content:
                    self.answer(turn.answer.content)
                self._calls(turn.answer)
                for line in (*image_lines(turn.answer.images), *source_lines(turn.answer.sources)):
                    console.raw_out(_styled(console, line, console.colour("grey")) + "\n")
            words = ending(turn)
            if words:
                console.raw_out(_styled(console, visible(words), console.colour("grey")) + "\n")

    def answer(self, text: str) -> None:
        """An answer as ``telex chat`` shows it: laid out on a terminal, as it is elsewhere."""
        drawn = self._laid_out(text) if self._console.out_is_terminal else None
        if drawn is not None:
            self._console.raw_out(drawn)
        else:
            self._console.out(text if self._console.out_is_terminal and text.endswith("\n") else f"{text}\n")

    def _laid_out(self, text: str) -> str | None:
        """None where answers are not to be laid out."""
        if not self._app.runtime.settings.markdown:
            return None
        from telex.render.live import render
        from telex.render.styles import look_for

        if self._look is None:
            self._look = look_for(self._console, self._app.runtime.settings.code_theme, ask=True)
        return render(text, self._console.width(), look=self._look) if self._look is not None else None

    def _head(self, who: str, moment: str) -> None:
        name = _styled(self._console, visible(who), _BOLD)
        self._console.raw_out(f"\n{name} {_styled(self._console, moment, self._console.colour('grey'))}\n")

    def _plain(self, message: Message) -> None:
        parts = (message.content,) if isinstance(message.content, str) else message.content
        for part in parts:
            text = (
                part
                if isinstance(part, str)
                else image_words(part)
                if isinstance(part, ImagePart)
                else part.text
            )
            if text:
                self._console.out(text if text.endswith("\n") else f"{text}\n")
        self._calls(message)

    def _calls(self, message: Message) -> None:
        for call in message.tool_calls:
            self._console.out(f"{call.name}({call.arguments})\n")


def _styled(console: Console, text: str, sgr: str) -> str:
    return f"\x1b[{sgr}m{text}\x1b[m" if console.out_has_colour and text and sgr else text
