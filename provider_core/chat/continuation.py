"""Continues an answer that was cut: the request for its rest, and the check of the seam between two parts.

Where the provider's API can, the model goes on writing after the text so far, its prefix. Elsewhere the rest is
requested in a user message, which asks for the last words again: they show whether the model continues at the right
place.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

from provider_core.client import max_retries_for
from provider_core.errors import NetworkError, ProtocolError, TokenLimitError
from provider_core.structs import replace
from provider_core.types import Continuation, Finished, Message, Text, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from provider_core.errors import CoreError, ProviderError
    from provider_core.events import Answer
    from provider_core.types import AnswerEvent, Request, Target

_REPEATED: Final = 80
"""Most characters of the end that the model is asked to repeat."""
_HELD: Final = 240
"""Characters of a part that are held back until it is known how they fit; all of it if it is shorter."""
_OVERLAP: Final = 8
"""The fewest characters at both sides of a seam that count as a repetition, unless the text so far is shorter."""
_COMPARED: Final = 64
"""Characters by which the possible places of a repetition are found."""
_WORD: Final = 3
"""The fewest letters of a last word whose repetition counts: "skysky" is not a word."""
_SEARCHED: Final = 8000
"""Characters at the end of the text so far in which a repetition may begin, besides its very beginning."""
_PLACES: Final = 50
"""Most places where a repetition may begin."""
_RESTART: Final = 40
"""The fewest characters from the beginning of the text so far that show that the model has begun again."""

_REQUEST: Final = (
    "Your last answer was cut off. Write the rest of it, from exactly where it stops. Begin with these last words of "
    "it, exactly as they are, and go straight on:\n\n{words}\n\nDo not begin the answer again, add no comment, and "
    "open no code fence that is open already."
)


def may_continue(answer: Answer) -> bool:
    """Whether the rest of an answer can be requested: it was cut by a token limit or a broken stream, after some text.

    An answer that lacks something in its middle, or that ends in a tool call, cannot be continued.
    """
    if not answer.text.strip() or answer.tool_calls or answer.left_out or answer.images or answer.choices:
        return False
    match answer.verdict:
        case Verdict.LENGTH:
            return True
        case Verdict.PARTIAL:
            return isinstance(answer.error, NetworkError)
        case Verdict.FAILED:
            return answer.error is not None and max_retries_for(answer.error, 1) > 0
    return False


def is_refusal(error: ProviderError) -> bool:
    """Whether an error may mean that the server accepts no prefix; the rest can still be requested."""
    return error.status in (400, 404, 405, 415, 422, 500, 501)


class Rest:
    """The rest of a cut answer while it arrives: ``request`` asks for it, ``events`` checks the seam.

    ``before`` is the text so far, and ``request`` the one that it answers.
    """

    def __init__(self, request: Request, target: Target, before: Message, *, prefix: bool) -> None:
        text = before.content if isinstance(before.content, str) else ""
        self.how: Literal["prefix", "request"] = "prefix" if prefix else "request"
        words = "" if prefix else _last_words(text)
        self._seam = _Seam(text, words)
        most = request.max_characters
        messages = (*request.messages, replace(before, content=text, tool_calls=(), continues=False))
        if not prefix:
            messages = (*messages, Message(role="user", content=_REQUEST.format(words=words)))
        self.request: Request = replace(
            request,
            model=target.model,
            messages=messages,
            prefill=prefix,
            # A server that enforces a format would begin a new value.
            schema=None,
            max_characters=None if most is None else max(1, most - len(text)),
        )

    def events(self, stream: Iterable[AnswerEvent]) -> Iterator[AnswerEvent]:
        """The events of the rest, without the text that repeats what is there; text at the seam is held back."""
        for event in stream:
            if isinstance(event, Text):
                if text := self._seam.feed(event.text):
                    yield Text(text=text)
                continue
            if isinstance(event, Finished):
                early = event.verdict is not Verdict.COMPLETE
                if text := self._seam.close(early=early):
                    yield Text(text=text)
            yield event

    def close(self) -> str:
        """The text that is held back, if the rest ends early; not what is there already."""
        return self._seam.close(early=True)

    def finished(self, answer: Answer) -> Answer:
        """The part with how it fits, and why the answer is not complete if it does not."""
        seam = self._seam
        part = replace(answer, continuation=Continuation(how=self.how, removed=seam.removed, seam=seam.kind))
        name = str(answer.target)
        if seam.kind == "restart" and answer.verdict is not Verdict.INTERRUPTED:
            text = (
                f"{name} began its answer again instead of continuing it; only the part before that is there"
            )
            error: CoreError = ProtocolError(text, provider=answer.target.provider.name, code="restarted")
            return replace(part, verdict=Verdict.PARTIAL, error=error)
        if answer.verdict is Verdict.EMPTY and answer.finish == "stop" and self.how == "prefix":
            return replace(part, verdict=Verdict.COMPLETE, error=None)  # it was complete already
        if answer.verdict is Verdict.LENGTH and not answer.text:
            text = f"{name} reached the token limit again without any new text"
            error = TokenLimitError(text, provider=answer.target.provider.name, code=answer.finish)
            return replace(part, error=error)
        return part


def still_cut(answer: Answer, most: int) -> CoreError:
    """Why an answer is not complete after ``most`` continuations, if the token limit is the caller's own."""
    times = "1 continuation" if most == 1 else f"{most} continuations"
    text = f"{answer.target} cut the answer off at the token limit, also after {times}"
    return TokenLimitError(text, provider=answer.target.provider.name, code=answer.raw_finish)


def _last_words(text: str) -> str:
    """The end of the text, from the beginning of a word if there is one."""
    tail = text[-_REPEATED:]
    if len(tail) < len(text):
        at = next((at for at, letter in enumerate(tail) if letter.isspace()), -1) + 1
        tail = tail[at:] if len(tail) - at >= _REPEATED // 2 else tail
    return tail


class _Seam:
    """Removes from the beginning of the rest what repeats the end of ``before``.

    ``words`` is what the model was asked to repeat; "" if it writes after a prefix: then only a repetition of all of
    ``before`` is removed, because any other text may be meant.
    """

    def __init__(self, before: str, words: str) -> None:
        self.removed: int = 0
        self.kind: Literal["exact", "overlap", "unverified", "restart"] = "unverified" if words else "exact"
        self._before = before
        self._words = words
        self._held = ""
        self._decided = False
        self._restarted = False
        self._places: list[tuple[int, int, int]] | None = None
        """Where the rest may repeat ``before``: from which of its characters, after how many of the rest, and how many
        were compared."""
        self._repeated: list[tuple[int, int]] = []
        """The places whose repetition goes to the end: from which character of ``before``, and where it ends."""

    def feed(self, text: str) -> str:
        if self._decided and self.kind == "restart":
            self.removed += len(text)
            return ""
        if self._decided:
            return text
        self._held += text
        if self._words and len(self._held) < _HELD:
            return ""
        return self._decide(ended=False)

    def close(self, *, early: bool = False) -> str:
        if self._decided:
            return ""
        if early and self._words and self._held.strip() in self._before[-_SEARCHED:]:
            # It was repeating: the next continuation brings what would have followed.
            self._decided, self.kind, self.removed = True, "overlap", len(self._held)
            return ""
        return self._decide(ended=True)

    def _decide(self, *, ended: bool) -> str:
        before, held = self._before, self._held
        if not self._words and not ended and len(held) < _OVERLAP:
            return ""
        if self._places is None:
            self._places = self._possible_places()
        pending = []
        for start, skipped, compared in self._places:
            end = min(len(before) - start, len(held) - skipped)
            if before[start + compared : start + end] != held[skipped + compared : skipped + end]:
                self._restarted = self._restarted or (start == 0 and self._is_restart(held[skipped:]))
            elif start + end == len(before) or (ended and self._words and not before[start + end :].strip()):
                self._repeated.append((start, skipped + end))
            elif not ended:
                pending.append((start, skipped, end))
            elif start == len(before) - len(self._words) and end >= 2 * _OVERLAP:
                self._repeated.append((start, skipped + end))  # some of the words that were to be repeated
            else:
                self._restarted = self._restarted or (start == 0 and self._is_restart(held[skipped:]))
        self._places = pending
        asked = next((each for each in self._repeated if each[0] == len(before) - len(self._words)), None)
        if pending and asked is None:
            return ""
        self._decided = True
        self._held = ""
        if self._repeated:
            _, self.removed = asked or min(self._repeated)
            self.kind = "overlap"
        elif self._restarted:
            self.removed, self.kind = len(held), "restart"
        elif self._words:
            self.removed = _opened_again(before, held)
        return held[self.removed :]

    def _possible_places(self) -> list[tuple[int, int, int]]:
        before, held, words = self._before, self._held, self._words
        if not words:
            return [(0, 0, 0)] if len(before) >= _OVERLAP else []
        places = []
        if len(words) >= _REPEATED // 2 and (at := held.find(words)) > 0:  # after a comment
            places.append((len(before) - len(words), at))
        blank = len(held) - len(held.lstrip())
        dots = len(held) - len(held.lstrip(" .…\n"))
        for skipped in sorted({0, blank, dots, _opened_again(before, held)}):
            piece = held[skipped : skipped + _COMPARED]
            if not piece:
                continue
            places += [(0, skipped), (len(before) - len(words), skipped)]
            at = len(before) - min(len(before), _SEARCHED)
            for _ in range(_PLACES if len(piece) == _COMPARED else 0):
                at = before.find(piece, at)
                if at < 0:
                    break
                places.append((at, skipped))
                at += 1
            for size in range(min(len(before), _COMPARED), _WORD - 1, -1):
                tail = before[-size:]
                is_repeated = len(piece) >= min(size, _OVERLAP) and tail[: len(piece)] == piece[:size]
                if is_repeated and (size >= _OVERLAP or (skipped == 0 and _is_words(before, size))):
                    places.append((len(before) - size, skipped))
        return [(start, skipped, 0) for start, skipped in dict.fromkeys(places)]

    def _is_restart(self, rest: str) -> bool:
        """Whether the rest, which differs from ``before`` at some point, begins like it."""
        common = next(
            (at for at, (one, other) in enumerate(zip(self._before, rest, strict=False)) if one != other),
            min(len(self._before), len(rest)),
        )
        return common >= _RESTART or bool(
            self._words and common >= _OVERLAP and common >= len(self._before) // 2
        )


def _is_words(text: str, size: int) -> bool:
    """Whether the last ``size`` characters are whole words, and no blank follows them."""
    first = len(text) - size
    return text[first].isalpha() and text[-1].isalpha() and (first == 0 or text[first - 1].isspace())


def _opened_again(before: str, rest: str) -> int:
    """The length of a line at the beginning of ``rest`` that opens the code block in which ``before`` ends."""
    found = re.match(r"\s*(`{3,}|~{3,})[^`\n]*\n", rest)
    if found is None:
        return 0
    fences = re.findall(rf"^ {{0,3}}{re.escape(found[1])}", before, re.MULTILINE)
    return found.end() if len(fences) % 2 else 0
