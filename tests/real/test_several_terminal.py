"""Several models on a terminal: columns where there is room, and every row of all left on the screen."""

from __future__ import annotations

import re
import threading
import time
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import pytest
from running import COMMAND, Telex
from scripted import DONE, Answer, Asked, Pause, Scripted, answer, delta, sse
from terminal import Pty, Terminal, on_terminal

from provider_core.errors import BadRequestError
from provider_core.events import Answer as WholeAnswer
from provider_core.events import ChatEnded, Connecting
from provider_core.types import Provider, Reasoning, Retrying, Sent, Target, Text, Timing, Usage, Verdict
from telex.render import ChatFailed, RenderOptions
from telex.render.columns import ColumnsRenderer
from telex.render.sections import multi_renderer_for

if TYPE_CHECKING:
    from collections.abc import Callable

BAR = "│"
WORDS = [f"word{number}" for number in range(400)]
TARGETS = [Target(provider=Provider(name=name), model=name[0]) for name in ("lab", "moon", "venus")]
EVIL = "a\x1b[2Jb\x1b]0;title\x07c\x9b31md\u202e\u200b\U000e0041e [/foo] <b>x</b>"


class Several:
    """The screen after the events of several answers, which come by turns; text stands for its events."""

    def __init__(
        self, *answers: Any, columns: int = 100, lines: int = 24, env: dict[str, str] | None = None, **options: Any
    ) -> None:  # fmt: skip
        self.terminal = Terminal(columns, lines)
        with on_terminal(columns, lines, **(env or {})) as (screen, console):
            targets = TARGETS[: len(answers)]
            renderer = multi_renderer_for(console, RenderOptions(**options), targets)
            turns = [
                [
                    Connecting(target=target),
                    Sent(),
                    *([Text(text=given)] if isinstance(given, str) else given),
                ]
                for target, given in zip(targets, answers, strict=True)
            ]
            for events in zip_longest(*turns):
                for index, event in enumerate(events):
                    if event is not None:
                        renderer.handle(index, event)
                renderer.tick()
                if isinstance(renderer, ColumnsRenderer):
                    renderer._next = 0.001  # without a pause between two repaints
            self.live = screen.getvalue()
            for index, (target, events) in enumerate(zip(targets, turns, strict=True)):
                if not isinstance(events[-1], ChatEnded | ChatFailed):
                    whole = WholeAnswer(
                        target=target,
                        verdict=Verdict.COMPLETE,
                        usage=Usage(output=7),
                        timing=Timing(total=1.5),
                    )
                    renderer.handle(index, ChatEnded(answer=whole))
        self.raw = screen.getvalue()
        self.terminal.feed(self.raw)
        self.rows = self.terminal.text()
        self.columns = columns_of(self.rows, len(answers))


def columns_of(rows: list[str], count: int) -> list[list[str]]:
    """The rows of each column, without those that are no part of one."""
    parts = [row.split(BAR) for row in rows if row.count(BAR) == count - 1]
    return [[part[at].strip() for part in parts] for at in range(count)]


@pytest.mark.parametrize(("width", "count"), [(200, 3), (80, 2)])
def test_columns_hold_each_answer_whole_under_its_name(width: int, count: int) -> None:
    lengths = (400, 37, 150)[:count]
    texts = [[Text(text=f"{word} ") for word in WORDS[:length]] for length in lengths]
    shown = Several(*texts, columns=width, usage="short")
    for target, length, rows in zip(TARGETS, lengths, shown.columns, strict=False):
        assert rows[0] == str(target)
        assert " ".join(rows[2:-1]).split() == WORDS[:length]
        assert rows[-1] == "7 out · 1.5 s"
    assert max(map(len, shown.rows)) <= width


@pytest.mark.parametrize(
    ("width", "count", "env"), [(119, 3, {}), (78, 2, {}), (200, 2, {"TERM": "dumb"})], ids=str
)
def test_narrow_terminals_have_no_columns(width: int, count: int, env: dict[str, str]) -> None:
    shown = Several(*["from one"] * count, columns=width, env=env)
    assert [row for row in shown.rows if row] == [
        row for target in TARGETS[:count] for row in (str(target), "from one")
    ]


def test_answers_higher_than_the_screen_are_in_the_scrollback_once() -> None:
    lines = [f"Line {number} is here." for number in range(60)]
    shown = Several("\n\n".join(lines), [], lines=12)
    live = Terminal(100, 12)
    live.feed(shown.live)
    assert "Line 59 " in "\n".join(live.display)
    assert len(live.history.top) == 0, "the other column may get more rows"
    assert [row for row in shown.columns[0][2:] if row] == lines


def test_code_and_wide_letters_stay_in_their_column() -> None:
    code = "x = " + "1 + " * 30 + "1"
    left = f"```python\n{code}\n```\n\n今天天气很好我们去公园散步吧。" * 2
    shown = Several(left, "**bold** `code`\n\n- item", columns=90)
    first, second = shown.columns
    assert code.replace(" ", "") in "".join(first[2:]).replace(" ", "")
    assert [row for row in second[2:] if row] == ["bold code", "• item"]
    places = {x for row in shown.terminal.rows() for x in range(90) if row[x].data == BAR}
    assert len(places) == 1


@pytest.mark.parametrize(
    ("mode", "seen"),
    [("show", r"Is it blue\?"), ("summary", r"Thought for \d\.\d s, about 3 tokens\."), ("hide", None)],
)
def test_reasoning_is_grey_or_one_line_or_hidden(mode: str, seen: str | None) -> None:
    shown = Several([Reasoning(text="Is it "), Reasoning(text="blue?"), Text(text="Blue.")], "Green.",
                    reasoning=mode)  # fmt: skip
    left, right = ([row for row in rows[2:] if row] for rows in shown.columns)
    assert left[-1] == "Blue."
    assert (len(left) == 1) if seen is None else re.fullmatch(seen, left[0])
    assert right == ["Green."]
    assert ("\x1b[38;5;248mIs it blue?" in shown.raw) == (mode == "show")
    assert "thinking, about" in shown.live


def test_a_failure_is_named_below_its_column() -> None:
    half = WholeAnswer(target=TARGETS[1], text="half", verdict=Verdict.PARTIAL)
    shown = Several(
        [ChatFailed(error=BadRequestError("it broke"))],
        [Text(text="half"), ChatEnded(answer=half)],
        "fine",
        columns=130,
    )
    first, second, third = shown.columns
    assert (first[-1], second[-1]) == ("lab/l · failed", "moon/m · partial")
    assert (second[2], third[2]) == ("half", "fine")


def test_a_retry_is_noted_above_the_live_rows() -> None:
    busy = BadRequestError("lab is busy", provider="lab", status=503)
    shown = Several([Retrying(error=busy, seconds=1.0, attempt=2), Text(text="at last")], "x " * 50)
    assert "retry in 1 s" in shown.live
    assert shown.rows.count("lab/l: lab is busy. Retrying in 1.0 s (attempt 2).") == 1
    assert "at last" in shown.columns[0]


@pytest.mark.parametrize("options", [{}, {"markdown": False}], ids=["markdown", "plain"])
def test_untrusted_text_cannot_command_the_terminal(options: dict[str, Any]) -> None:
    shown = Several([Reasoning(text=EVIL), Text(text=EVIL)], EVIL, **options)
    assert not re.search("\x1b\\[2J|\x1b]0;|[\x07\x9b\u202e\u200b\U000e0041]", shown.raw)
    assert "[/foo] <b>x</b>" in "\n".join(shown.rows)


# --- a real pseudo-terminal ------------------------------------------------------------------------------------


@pytest.fixture
def chat(telex: Telex, server: Scripted) -> Callable[..., Pty]:
    """Asks models of three providers, which are one server that answers by the model."""
    for name in ("lab", "moon", "venus"):
        telex.provider(name, server.url)

    def start(*models: str, columns: int = 100, lines: int = 24) -> Pty:
        chosen = [word for model in models for word in ("-m", model)]
        return Pty([str(COMMAND), "chat", "-q", *chosen, "hi"], env=telex.env, columns=columns, lines=lines)

    return start


def serve(server: Scripted, **answers: Any) -> None:
    def by_model(asked: Asked) -> Answer:
        return Answer(answers[asked.body["model"]])

    server.will(by_model)


def trickle(words: list[str], pause: float = 0.01) -> list[Any]:
    """A stream of words, ten of them at a time."""
    found: list[Any] = []
    for at in range(0, len(words), 10):
        found += [*sse(delta(" ".join(words[at : at + 10]) + " ")), Pause(pause)]
    return [*found, *answer()]


def test_ctrl_c_leaves_what_has_come(chat: Callable[..., Pty], server: Scripted) -> None:
    serve(server, a=[*sse(delta("half of **a")), Pause(60), DONE], b=answer("all of b"), c=[Pause(60), DONE])
    with chat("lab/a", "moon/b", "venus/c", columns=130) as terminal:
        terminal.wait_for("half of a")
        begun = time.monotonic()
        terminal.type("\x03")
        assert terminal.wait() == 130
        assert time.monotonic() - begun < 30  # the pauses would last far longer
        assert terminal.modes == terminal.modes_before
    first, second, third = columns_of(terminal.rows, 3)
    assert (first[-1], third[-1]) == ("lab/a · interrupted", "venus/c · interrupted")
    assert ("half of" in first[2], second[2]) == (True, "all of b")
    assert terminal.rows[-1] == "Interrupted."
    assert not terminal.screen.cursor.attrs.bold


def test_a_new_width_in_the_middle_loses_nothing(chat: Callable[..., Pty], server: Scripted) -> None:
    goes_on = threading.Event()
    quick = [*trickle(WORDS[:200])[:-2], Pause(goes_on), *sse(delta("the end")), *answer()]
    serve(server, a=quick, b=trickle([f"slow{number}" for number in range(300)], 0.05))
    with chat("lab/a", "moon/b") as terminal:
        terminal.wait_for("word199")
        terminal.resize(70, 30)
        goes_on.set()
        assert terminal.wait() == 0
    # Rows that were live may be on the screen twice, and broken where they were too wide; none is missing.
    said = set(re.findall(r"(?:word|slow)\d+", terminal.text))
    assert {*WORDS[:200], *(f"slow{number}" for number in range(300))} <= said
