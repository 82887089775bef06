"""Makes events of text and thoughts: joined where they touch, parted at inline tags, free of noise; no JSON is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from provider_core.stream.thinking import Thinking
from provider_core.types import Reasoning, Text

if TYPE_CHECKING:
    from provider_core.types import AnswerEvent

__all__ = ["Speech"]

_BLANKS: Final = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180e"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b\u200c\u200d\u200e\u200f"
    "\u2028\u2029\u202f\u205f\u2060\u2061\u2062\u2063\u2064\u2800\u3000\u3164\ufeff\uffa0"
)
"""Characters that show nothing: white space, and others of no width or no ink."""


class Speech:
    """What an answer says, in order. ``take`` hands out the events since the last time."""

    def __init__(self) -> None:
        self.received: bool = False
        """Anything at all was handed out."""
        self.spoken: bool = False
        """Text other than blanks has come by ``say`` or ``say_whole``."""
        self.reasoned: bool = False
        self.blanks: int = 0
        """Characters of the pieces that came last and were blank: there may be no end of them."""
        self._thinking = Thinking()
        self._raw: list[str] = []  # what came by one carrier and was not looked into yet
        self._raw_thought = False
        self._events: list[AnswerEvent] = []
        self._run: list[str] = []  # what the next event will hold
        self._run_thought: bool | None = None  # None before anything was said
        self._blanks: list[str] = []
        self._half = ""

    def say(self, text: str) -> None:
        """Add text of the answer, which may hold thoughts between tags."""
        if self._raw_thought:
            self._look()
            self._raw_thought = False
        self._raw.append(text)

    def think(self, text: str) -> None:
        """Add thoughts that came by a field of their own."""
        if not self._raw_thought:
            self._look()
            self._raw_thought = True
        self._raw.append(text)

    def say_whole(self, text: str) -> None:
        """Add the text of a reply that is complete in itself."""
        self._look()
        for thought, piece in self._thinking.feed(text, whole=True):
            self._put(thought, piece)

    def say_plainly(self, text: str) -> None:
        """Add text that is shown as it stands."""
        self._look()
        for thought, piece in self._thinking.interrupt():
            self._put(thought, piece)
        spoken = self.spoken
        self._put(False, text)
        self.spoken = spoken

    def take(self) -> list[AnswerEvent]:
        """Return the events made of everything said so far."""
        self._look()
        self._end_run(last=False)
        events, self._events = self._events, []
        return events

    def close(self, *, cut: bool) -> list[AnswerEvent]:
        """Return the last events; a ``cut`` answer might have gone on behind its last character."""
        self._look()
        for thought, piece in self._thinking.close(cut=cut):
            self._put(thought, piece)
        self._end_run(last=True)
        return self._events

    def _look(self) -> None:
        if not self._raw:
            return
        text = self._raw[0] if len(self._raw) == 1 else "".join(self._raw)
        self._raw.clear()
        self.blanks = 0 if text.strip(_BLANKS) else self.blanks + len(text)
        if self._raw_thought:
            self._put(True, text)
            return
        for thought, piece in self._thinking.feed(text):
            self._put(thought, piece)

    def _put(self, thought: bool, text: str) -> None:
        if thought:
            if self._run_thought is not True and text.isspace():
                self._blanks.append(text)  # noise, unless thoughts follow
                return
            self.reasoned = self._thinking.reasoned = True
            text = "".join((*self._blanks, text))
        elif not self.spoken and not text.isspace():
            self.spoken = True
        self._blanks.clear()
        if thought is not self._run_thought:
            self._end_run(last=True)
            self._run_thought = thought
        self._run.append(text)

    def _end_run(self, *, last: bool) -> None:
        """Make the event of a run; unless it is the ``last`` of its kind, half a character waits for the rest."""
        if not self._run and not (self._half and last):
            return
        text = self._half + "".join(self._run)
        self._run.clear()
        self._half = ""
        if not text.isascii():
            if not last and "\ud800" <= text[-1] <= "\udbff":
                text, self._half = text[:-1], text[-1]
            text = _mend(text)
        if text:
            self.received = True
            self._events.append(Reasoning(text=text) if self._run_thought else Text(text=text))


def _mend(text: str) -> str:
    """Join surrogate pairs that came in two escapes; a half without its other half becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
