"""Parts the thoughts that stand inside a text, between tags, from the answer; other carriers are not read here.

A tag opens thoughts only as the first thing of an answer that is no blank: what comes later may be an answer about
tags. Nothing is held back but blanks at the start and what may yet become a tag.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

__all__ = ["Piece", "Thinking"]

Piece: TypeAlias = tuple[bool, str]
"""Whether it is a thought, and its text."""

_PAIRS: Final = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "[THINK]": "[/THINK]",
    "<seed:think>": "</seed:think>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "◁think▷": "◁/think▷",
    "###Thinking": "###Response",
    "<|channel>thought": "<channel|>",
}
_HARMONY: Final = ("<|channel|>", "<|start|>assistant")
_LONE: Final = ("</think>", "[/THINK]", "</seed:think>", "◁/think▷")
"""Closing tags whose opening one a chat template may have written already, into the prompt."""
_STARTS: Final = (*_PAIRS, *_HARMONY, *_LONE)
_LONE_TAG = re.compile("|".join(map(re.escape, _LONE)))
_LINE_ENDS = re.compile(r"[ \t\r]{0,64}(\n|\Z)?")
_RECIPIENT = re.compile(r"\bto=\S+")
_TOKEN = re.compile(r"<\|(start|channel|message|end|return|call|constrain)\|>")


class Thinking:
    """Reads the content of one answer. Set ``reasoned`` when thoughts came by another way.

    A closing tag without an opening one says that all before it was thought, if it begins or ends a line: within a
    line, an answer speaks of the tag. The first one outside code decides. In text that was shown already the past
    cannot be undone: the tag alone is dropped. A reply that comes whole is parted rightly.
    """

    def __init__(self) -> None:
        self.reasoned: bool = False
        self._state = "start"
        self._closer = ""
        self._held = ""
        self._blanks: list[str] = []
        self._spoken = False
        self._last = "\n"  # the last character of the text so far
        self._lone = True  # a lone closing tag may still come
        self._fresh = False  # nothing but blanks in these thoughts so far
        self._ticks = 0  # backticks so far: an odd number means inside code
        self._header: str | None = None
        self._channel = ""

    def feed(self, text: str, *, whole: bool = False) -> list[Piece]:
        """Return what can be told apart by now; ``whole`` when the text is a complete answer."""
        if (
            self._state == "text"
            and not self._held
            and (self.reasoned or not self._lone or not _may_close(text))
        ):
            self._ticks += text.count("`")
            self._last = text[-1:] or self._last
            return [(False, text)]
        if text.isspace() and (self._state == "start" or self._fresh) and not self._held:
            self._blanks.append(text)
            return []
        self._held = "".join((*self._blanks, self._held, text))
        self._blanks.clear()
        pieces: list[Piece] = []
        while self._held and self._step(pieces, whole):
            pass
        return pieces

    def close(self, *, cut: bool) -> list[Piece]:
        """Return what is still held: what might have become a tag, and did not.

        At the end of an answer that was not ``cut`` off, a lone closing tag ends a line.
        """
        if not self._held.strip():
            return []
        if self._state == "text" and not cut and self._lone and _LONE_TAG.match(self._held):
            return []
        if self._state == "start":
            self._trim()
        thought = self._state == "thoughts" or (self._state == "harmony" and self._channel == "analysis")
        return [(thought, self._held)]

    def interrupt(self) -> list[Piece]:
        """Return what is held, now that something else comes between it and the rest of what might be a tag."""
        pieces = self.close(cut=True)
        if pieces:
            self._held = ""
            self._state = "text" if self._state == "start" else self._state
        return pieces

    def _step(self, pieces: list[Piece], whole: bool) -> bool:
        """Read on in what is held; return whether there may be more to read."""
        match self._state:
            case "start":
                return self._in_start(whole)
            case "thoughts":
                return self._in_thoughts(pieces)
            case "harmony":
                return self._in_harmony(pieces, whole)
            case _:
                return self._in_text(pieces, whole)

    def _in_start(self, whole: bool) -> bool:
        text = self._held.lstrip()
        if not text:
            self._blanks.append(self._held)
            self._held = ""
            return False
        for opener in _STARTS:
            if text.startswith(opener):
                return self._open(opener, text)
        if not whole and any(opener.startswith(text) for opener in _STARTS):
            return False
        self._trim()
        self._state = "text"
        return True

    def _trim(self) -> None:
        """Drop the empty lines that part an answer from the thoughts before it; an indent stays."""
        if self.reasoned and not self._spoken:
            blanks = self._held[: len(self._held) - len(self._held.lstrip())]
            self._held = self._held[blanks.rfind("\n") + 1 :]

    def _open(self, opener: str, text: str) -> bool:
        if opener in _HARMONY:
            self._state = "harmony"
            self._held = text
        elif opener in _LONE:
            self._held = text[len(opener) :]
            self.reasoned = True
        else:
            self._state, self._closer, self._fresh = "thoughts", _PAIRS[opener], True
            self._held = text[len(opener) :]
        return True

    def _in_thoughts(self, pieces: list[Piece]) -> bool:
        at = self._held.find(self._closer)
        keep = len(self._held) - _tag_begins(self._held, (self._closer,)) if at < 0 else at
        self._think(self._held[:keep], pieces)
        if at < 0:
            self._held = self._held[keep:]
            return False
        self._held = self._held[at + len(self._closer) :]
        self._blanks.clear()
        self._state, self._fresh, self.reasoned = "start", False, True
        return True

    def _think(self, text: str, pieces: list[Piece]) -> None:
        if self._fresh:
            if not text.strip():
                self._blanks.append(text)
                return
            text = text.lstrip("\r\n")
            self._fresh = False
        if text:
            self.reasoned = True
            pieces.append((True, text))

    def _in_text(self, pieces: list[Piece], whole: bool) -> bool:
        text = self._held
        if self._lone and not self.reasoned:
            for hit in _LONE_TAG.finditer(text):
                if (self._ticks + text.count("`", 0, hit.start())) % 2:
                    continue
                match self._closes(text, hit, whole):
                    case True:
                        return self._close_lone(text, hit, pieces, whole)
                    case False:
                        self._lone = False
                    case None:
                        text = text[: hit.start()]
                break
            else:
                keep = 0 if whole else _tag_begins(text, _LONE)
                text = text[: len(text) - keep]
        self._say(text, pieces)
        self._held = self._held[len(text) :]
        return False

    def _closes(self, text: str, hit: re.Match[str], whole: bool) -> bool | None:
        """Tell whether a lone closing tag begins or ends a line; None where that is still to come."""
        if (text[hit.start() - 1] if hit.start() else self._last) == "\n":
            return True
        behind = _LINE_ENDS.match(text, hit.end())
        if behind is None or behind[1] is None:
            return False
        if behind[1] == "\n" or whole:
            return True
        return None

    def _close_lone(self, text: str, hit: re.Match[str], pieces: list[Piece], whole: bool) -> bool:
        before, self._held = text[: hit.start()], text[hit.end() :]
        self.reasoned = True
        if whole and not self._spoken:
            pieces.append((True, before.lstrip("\r\n")))
            self._state = "start"
        else:
            self._say(before, pieces)
        return True

    def _say(self, text: str, pieces: list[Piece]) -> None:
        if text:
            self._ticks += text.count("`")
            self._last = text[-1]
            self._spoken = True
            pieces.append((False, text))

    def _in_harmony(self, pieces: list[Piece], whole: bool) -> bool:
        """Read the tokens of OpenAI's harmony format, which some servers leave in the text."""
        hit = _TOKEN.search(self._held)
        if hit is None:
            keep = 0 if whole else _token_begins(self._held)
            self._channel_says(self._held[: len(self._held) - keep], pieces)
            self._held = self._held[len(self._held) - keep :]
            return False
        self._channel_says(self._held[: hit.start()], pieces)
        self._held = self._held[hit.end() :]
        self._blanks.clear()
        self._fresh = False
        match hit[1]:
            case "start" | "channel":
                self._header = ""
            case "message":
                header = self._header or ""
                self._channel = header.split(" ", 1)[0].strip()
                self._header = None
                if self._channel != "analysis" and (recipient := _RECIPIENT.search(header)):
                    self._say(
                        f"{recipient[0]} ", pieces
                    )  # a call that the server did not recognize: it names the tool
                self._fresh = self._channel == "analysis"
            case "constrain":
                pass
            case _:
                self._channel, self._header = "", None
        return True

    def _channel_says(self, text: str, pieces: list[Piece]) -> None:
        if self._header is not None:
            self._header = (self._header + text)[:200]
        elif self._channel == "analysis":
            self._think(text, pieces)
        else:
            self._say(text if self._spoken else text.lstrip("\r\n"), pieces)


def _may_close(text: str) -> bool:
    return "<" in text or "[" in text or "◁" in text


def _tag_begins(text: str, tags: tuple[str, ...]) -> int:
    """Return how many characters at the end of ``text`` may be the beginning of one of ``tags``."""
    longest = max(map(len, tags)) - 1
    for size in range(min(longest, len(text)), 0, -1):
        end = text[-size:]
        if any(tag.startswith(end) for tag in tags):
            return size
    return 0


def _token_begins(text: str) -> int:
    at = text.rfind("<")
    end = text[at:]
    return len(end) if at >= 0 and len(end) < 13 and "<|".startswith(end[:2]) and "|>" not in end else 0
