"""What people see of a chat turn on a terminal: reasoning, answer and notes, in order and in their colours."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from terminal import Terminal, on_terminal

from provider_core.errors import BadRequestError
from provider_core.events import Answer, ChatEnded, Connecting
from provider_core.prices import Cost
from provider_core.structs import replace
from provider_core.types import (
    FieldDropped,
    Provider,
    Reasoning,
    Retrying,
    Sent,
    Target,
    Text,
    Timing,
    Usage,
    Verdict,
)
from telex.render import Paused, RenderOptions, StatusLine
from telex.render.text import TextRenderer

TARGET = Target(provider=Provider(name="lab"), model="m")
LONG = (
    "Considering the extraordinarily responsible establishmentarianism of incomprehensibilities, one would "
    "have to distinguish circumstances.\n  - an indented item that is longer than a row of the terminal\n"
    "漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字 and https://example.org/a/b/c"
)
EVIL = "a\x1b[2Jb\x1b]0;title\x07c\x9b31md\u202e\u200b\U000e0041\u2028e [/foo] list[int] <b>x</b>"


class Shown:
    """The screen after some events; ``raw`` is all that was written to it."""

    def __init__(
        self,
        *events: Any,
        columns: int = 80,
        env: dict[str, str] | None = None,
        answer: Answer | None = None,
        **options: Any,
    ) -> None:
        with on_terminal(columns, **(env or {})) as (screen, console):
            renderer = TextRenderer(console, RenderOptions(**options))
            for event in (Connecting(target=TARGET), Sent(), *events):
                renderer.handle(event)
            renderer.handle(ChatEnded(answer=answer or Answer(target=TARGET, verdict=Verdict.COMPLETE)))
        self.raw = screen.getvalue()
        terminal = Terminal(columns)
        terminal.feed(self.raw)
        self.rows = terminal.text()
        self.text = "\n".join(self.rows)


def text(*pieces: str) -> list[Text]:
    return [Text(text=piece) for piece in pieces]


HM = Reasoning(text="Hm. " * 30)


@pytest.mark.parametrize(
    ("events", "options", "rows"),
    [
        ([Reasoning(text="Is it "), Reasoning(text="blue?"), *text("**Bl", "ue.**")], {},
         ["Thinking:", "Is it blue?", "", "Blue."]),
        ([*text("One.\n\n"), Reasoning(text="Hm."), *text("Two.")], {},
         ["One.", "Thinking:", "Hm.", "", "", "Two."]),
        ([HM, *text("Blue.")], {"reasoning": "summary"}, ["Thought for 0.0 s, about 30 tokens.", "Blue."]),
        ([HM, *text("Blue.")], {"reasoning": "hide"}, ["Blue."]),
        (text("**not** bold\n- dash"), {"markdown": False}, ["**not** bold", "- dash"]),
        ([*text("One "), StatusLine(text="note"), *text("two.")], {}, ["note", "One two."]),
        ([*text("One "), StatusLine(text="note"), *text("two.")], {"markdown": False}, ["One ", "note", "two."]),
        ([*text("One."), Paused(), *text("Two.")], {}, ["One.", "Two."]),
        ([*text("Text\n```\nx = 1\n"), *text("```\nmore")], {"format": "extract"}, ["x = 1"]),
    ],
    ids=["reasoning", "between", "summary", "hide", "plain", "note", "plain note", "paused", "extract"],
)  # fmt: skip
def test_reasoning_answer_and_notes_come_in_order(
    events: list[Any], options: dict[str, Any], rows: list[str]
) -> None:
    shown = [re.sub(r"\d+\.\d s", "0.0 s", row) for row in Shown(*events, **options).rows]
    assert shown == [row.rstrip() for row in rows]


def test_reasoning_is_grey_and_markdown_bold() -> None:
    shown = Shown(Reasoning(text="Is it"), *text("**Blue.**"))
    assert "\x1b[38;5;248mIs " in shown.raw
    assert "\x1b[1mBlue." in shown.raw


@pytest.mark.parametrize("columns", [40, 80])
def test_reasoning_and_notes_break_between_words(columns: int) -> None:
    pieces = [Reasoning(text=LONG[at : at + 5]) for at in range(0, len(LONG), 5)]
    shown = Shown(*pieces, StatusLine(text=LONG.replace("\n", " ")), *text("ok"), columns=columns)
    assert all(len(row) <= columns for row in shown.rows)
    words = " ".join(shown.rows)
    assert [word for word in LONG.split() if word.isascii() and word not in words] == []
    assert "\n  - an indented item" in shown.text


@pytest.mark.parametrize(("columns", "count"), [(20, 60), (200, 60)])
def test_answers_wrap_at_words(columns: int, count: int) -> None:
    shown = Shown(*text("word " * count), columns=columns)
    assert max(map(len, shown.rows)) <= columns
    assert " ".join(shown.rows).split() == ["word"] * count


def test_untrusted_text_cannot_command_the_terminal() -> None:
    shown = Shown(Reasoning(text=EVIL), *text(EVIL))
    assert not re.search("\x1b\\[2J|\x1b]0;|[\x07\x9b\u202e\u200b\U000e0041\u2028]", shown.raw)
    assert shown.text.count("d\ufffd\ufffd\ufffd\ufffde [/foo] list[int] <b>x</b>") == 2


@pytest.mark.parametrize(
    ("env", "expected", "absent"),
    [
        ({"TERM": "dumb"}, re.escape("**bold** `code`"), "\x1b"),
        ({"NO_COLOR": "1"}, "\x1b\\[1mbold", r"\x1b\[[0-9;]*3[0-8][;m]"),
        ({}, r"\x1b\[38;5;\d+mcode", r"\*\*"),
    ],
)
def test_the_terminal_gets_the_sequences_that_it_can_take(
    env: dict[str, str], expected: str, absent: str
) -> None:
    shown = Shown(Reasoning(text="hm"), *text("**bold** `code`"), env=env)
    assert re.search(expected, shown.raw)
    assert not re.search(absent, shown.raw)


def cost(amount: str, **more: bool) -> Cost:
    return Cost(amount=Decimal(amount), source="list", **more)


ANSWER = Answer(
    target=TARGET,
    verdict=Verdict.COMPLETE,
    text="Blue.",
    usage=Usage(input=50, output=1234, cached=40, reasoning=7),
    cost=Cost(amount=Decimal("0.0125"), source="server"),
    timing=Timing(first_byte=0.1, first_text=0.25, total=1.25),
)


@pytest.mark.parametrize(
    ("answer", "usage", "line"),
    [
        (ANSWER, "short", "lab/m · 50 in, 1.23k out, $0.0125 · 1.2 s"),
        (replace(ANSWER, cost=cost("0")), "short", "lab/m · 50 in, 1.23k out, $0 · 1.2 s"),
        (replace(ANSWER, cost=cost("0.0000012", partial=True)), "short",
         "lab/m · 50 in, 1.23k out, at least $0.0000012 · 1.2 s"),
        (replace(ANSWER, cost=None), "short", "lab/m · 50 in, 1.23k out · 1.2 s"),
        (replace(ANSWER, cost=None), "full",
         "lab/m · 50 in (40 cached) · 1,234 out (7 thinking) · cost unknown · first 0.25 s · 1234 tok/s"),
        (ANSWER, "full",
         "lab/m · 50 in (40 cached) · 1,234 out (7 thinking) · $0.0125 · first 0.25 s · 1234 tok/s"),
        (ANSWER, "none", "Blue."),
        (Answer(target=TARGET, verdict=Verdict.COMPLETE, timing=Timing(total=2.0)), "full",
         "lab/m · tokens unknown · 2.0 s"),
        (Answer(target=TARGET, verdict=Verdict.INTERRUPTED, timing=Timing(total=2.0)), "full", "Blue."),
    ],
    ids=["short", "free", "partial", "unpriced", "unpriced full", "full", "none", "unknown", "interrupted"],
)  # fmt: skip
def test_the_line_after_an_answer(answer: Answer, usage: str, line: str) -> None:
    assert Shown(*text("Blue."), answer=answer, usage=usage, columns=100).rows[-1] == line


def test_retries_and_refused_fields_are_notes() -> None:
    busy = BadRequestError("lab is busy", provider="lab", status=503)
    shown = Shown(
        Retrying(error=busy, seconds=0.5, attempt=2),
        FieldDropped(field="stream_options", lasting=True),
        *text("Blue."),
    )
    assert shown.rows == [
        "lab is busy. Retrying in 0.5 s (attempt 2).",
        "lab/m does not support stream_options; leaving it out from now on.",
        "Blue.",
    ]


def test_an_unknown_code_theme_is_reported_and_the_default_used() -> None:
    shown = Shown(*text("```python\nimport os\n```"), code_theme="nosuch")
    assert shown.text.count("nosuch") == 1
    assert "\x1b[38;5;75mimport" in shown.raw
