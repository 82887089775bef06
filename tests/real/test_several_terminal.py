"""Several models in a real pseudo-terminal: columns where there is room, and every row of all left on the screen."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from running import COMMAND, Telex
from scripted import DONE, Answer, Asked, Cut, Pause, Scripted, answer, delta, sse
from terminal import Pty

if TYPE_CHECKING:
    from collections.abc import Callable

BAR = "│"
WORDS = [f"word{number}" for number in range(400)]


@pytest.fixture
def chat(telex: Telex, server: Scripted) -> Callable[..., Pty]:
    """Asks models of three providers, which are one server that answers by the model."""
    for name in ("lab", "moon", "venus"):
        telex.provider(name, server.url)

    def start(*arguments: str, columns: int = 100, lines: int = 24, **env: str) -> Pty:
        return Pty([str(COMMAND), "chat", *arguments], env={**telex.env, **env}, columns=columns, lines=lines)

    return start


def serve(server: Scripted, **answers: Any) -> None:
    def by_model(asked: Asked) -> Answer:
        found = answers[asked.body["model"]]
        return found if isinstance(found, Answer) else Answer(found)

    server.will(by_model)


def columns(terminal: Pty, count: int) -> list[list[str]]:
    """The rows of each column, without those that are no part of one."""
    parts = [row.split(BAR) for row in terminal.rows if row.count(BAR) == count - 1]
    return [[part[at].strip() for part in parts] for at in range(count)]


def trickle(words: list[str], pause: float = 0.01) -> list[Any]:
    """A stream of words, ten of them at a time."""
    found: list[Any] = []
    for at in range(0, len(words), 10):
        found += [*sse(delta(" ".join(words[at : at + 10]) + " ")), Pause(pause)]
    return [*found, *answer(usage={"prompt_tokens": 1, "completion_tokens": len(words)})]


@pytest.mark.parametrize(("width", "count"), [(200, 3), (80, 2)])
def test_columns_hold_each_answer_whole_under_its_name(
    chat: Callable[..., Pty], server: Scripted, width: int, count: int
) -> None:
    lengths = {"a": 400, "b": 37, "c": 150}
    serve(server, **{name: trickle(WORDS[:length]) for name, length in lengths.items()})
    names = [f"{provider}/{model}" for provider, model in zip(("lab", "moon", "venus"), "abc", strict=True)][
        :count
    ]
    with chat(*(word for name in names for word in ("-m", name)), "hi", columns=width) as terminal:
        assert terminal.wait() == 0
    for name, rows in zip(names, columns(terminal, count), strict=True):
        length = lengths[name[-1]]
        assert rows[0] == name
        assert " ".join(rows[2:-1]).split() == WORDS[:length]
        assert re.fullmatch(rf"{name} · {length} out · \d\.\d s", rows[-1])
    assert max(map(len, terminal.rows)) <= width


@pytest.mark.parametrize(("width", "count"), [(119, 3), (78, 2)])
def test_on_a_narrower_terminal_they_are_below_each_other(
    chat: Callable[..., Pty], server: Scripted, width: int, count: int
) -> None:
    serve(server, a=trickle(WORDS[:100]), b=trickle(WORDS[:50]), c=trickle(WORDS[:20]))
    names = ["lab/a", "moon/b", "venus/c"][:count]
    with chat(*(word for name in names for word in ("-m", name)), "hi", columns=width) as terminal:
        assert terminal.wait() == 0
    assert BAR not in terminal.text
    places = [terminal.rows.index(name) for name in names]
    assert places == sorted(places)
    assert terminal.text.split().count("word0") == count


def test_answers_higher_than_the_screen_are_in_the_scrollback_once(
    chat: Callable[..., Pty], server: Scripted
) -> None:
    """One is there at once, the other as slowly as it likes: until it has ended nothing of it can be printed."""
    lines = [f"Line {number} stands here." for number in range(60)]
    serve(server, a=answer("\n\n".join(lines)), b=[Pause(1), *answer("\n\n".join(lines[:30]))])
    with chat("-m", "lab/a", "-m", "moon/b", "hi", lines=12) as terminal:
        terminal.wait_for("Line 59")
        assert "Line 10 " not in "\n".join(terminal.screen.display)
        assert len(terminal.screen.history.top) == 0
        assert terminal.wait() == 0
    left, right = columns(terminal, 2)
    assert [row for row in left[2:-1] if row] == lines
    assert [row for row in right[2:-1] if row] == lines[:30]


def test_code_and_wide_letters_stay_in_their_column(chat: Callable[..., Pty], server: Scripted) -> None:
    code = "x = " + "1 + " * 30 + "1"
    serve(
        server,
        a=answer(f"```python\n{code}\n```\n\n今天天气很好我们去公园散步吧。" * 2),
        b=answer("**bold** `code`\n\n- item"),
    )
    with chat("-m", "lab/a", "-m", "moon/b", "hi", columns=90) as terminal:
        assert terminal.wait() == 0
    left, right = columns(terminal, 2)
    assert code in "".join(left[2:]).replace(" ", "").replace("+1", " + 1").replace("x=", "x = ")
    assert [row for row in right[2:-1] if row] == ["bold code", "• item"]
    # The screen model gives a wide letter two cells: the bar stands where it stands everywhere.
    cells = [terminal.screen.buffer[y] for y in range(terminal.screen.lines)]
    places = {x for row in cells for x in range(90) if row[x].data == BAR}
    assert len(places) == 1


@pytest.mark.parametrize(
    ("mode", "seen"),
    [("show", r"Is it blue\?"), ("summary", r"Thought for \d\.\d s, about \d+ tokens\."), ("hide", None)],
)
def test_reasoning_is_grey_or_one_line_or_hidden(
    chat: Callable[..., Pty], server: Scripted, mode: str, seen: str | None
) -> None:
    thinks = [
        *sse(delta(reasoning_content="Is it "), delta(reasoning_content="blue?")),
        Pause(0.3),
        *answer("Blue."),
    ]
    serve(server, a=thinks, b=answer("Green."))
    with chat("-q", "--reasoning", mode, "-m", "lab/a", "-m", "moon/b", "hi") as terminal:
        terminal.wait_for("thinking, about 3 tokens")
        assert terminal.wait() == 0
    left, right = columns(terminal, 2)
    rows = [row for row in left[2:] if row]
    if seen is None:
        assert rows == ["Blue."]
    else:
        assert re.fullmatch(seen, rows[0])
        assert rows[1] == "Blue."
    assert [row for row in right[2:] if row] == ["Green."]
    assert (b"\x1b[38;5;248mIs it blue?" in terminal.raw) == (mode == "show")


def test_a_failure_is_named_below_its_column_and_reported_below_all(
    chat: Callable[..., Pty], server: Scripted
) -> None:
    serve(
        server,
        a=Answer([b'{"error":{"message":"it broke"}}'], status=500),
        b=[*sse(delta("half")), Pause(0.3), Cut()],
        c=answer("fine"),
    )
    with chat(
        "--retries", "0", "-m", "lab/a", "-m", "moon/b", "-m", "venus/c", "hi", columns=130
    ) as terminal:
        assert terminal.wait() == 6
    first, second, third = columns(terminal, 3)
    assert (first[-1], second[-1]) == ("lab/a · failed", "moon/b · partial")
    assert second[2] == "half"
    assert third[2] == "fine"
    told = [row for row in terminal.rows if row.startswith("telex: ")]
    assert [row.split(": ")[1] for row in told] == ["lab/a", "moon/b"]
    assert "it broke" in told[0]


def test_a_retry_is_noted_above_the_live_rows(chat: Callable[..., Pty], server: Scripted) -> None:
    busy = Answer([b'{"error":{"message":"busy"}}'], status=503, headers={"retry-after": "1"})
    seen: list[Asked] = []

    def once(asked: Asked) -> Answer:
        seen.append(asked)
        return busy if len(seen) == 1 else Answer(answer("at last"))

    server.will(lambda asked: once(asked) if asked.body["model"] == "a" else Answer(trickle(WORDS[:30], 0.3)))
    with chat("-m", "lab/a", "-m", "moon/b", "hi") as terminal:
        terminal.wait_for("retry in [01] s")
        assert terminal.wait() == 0
    assert sum("attempt 2" in row for row in terminal.rows) == 1
    left, right = columns(terminal, 2)
    assert "at last" in left
    assert " ".join(right[2:-1]).split() == WORDS[:30]


def test_ctrl_c_leaves_what_has_come_of_each_and_restores_the_terminal(
    chat: Callable[..., Pty], server: Scripted
) -> None:
    serve(server, a=[*sse(delta("half of **a")), Pause(30), DONE], b=answer("all of b"), c=[Pause(30), DONE])
    with chat("-m", "lab/a", "-m", "moon/b", "-m", "venus/c", "hi", columns=130) as terminal:
        terminal.wait_for("half of a")
        begun = time.monotonic()
        terminal.type("\x03")
        assert terminal.wait() == 130
        assert time.monotonic() - begun < 5  # the pauses would last far longer
        assert terminal.modes == terminal.modes_before
    first, second, third = columns(terminal, 3)
    assert first[-1] == "lab/a · interrupted"
    assert "half of" in first[2]
    assert second[2] == "all of b"
    assert third[-1] == "venus/c · interrupted"
    assert terminal.rows[-1] == "Interrupted."
    assert not terminal.screen.cursor.attrs.bold


@pytest.mark.parametrize("width", [150, 70])
def test_a_new_width_in_the_middle_loses_nothing(
    chat: Callable[..., Pty], server: Scripted, width: int
) -> None:
    quick = [*trickle(WORDS[:200])[:-2], Pause(1.5), *sse(delta("the end")), *answer()]
    serve(server, a=quick, b=trickle([f"slow{number}" for number in range(300)], 0.05))
    with chat("-q", "-m", "lab/a", "-m", "moon/b", "hi", columns=100) as terminal:
        terminal.wait_for("word199")
        terminal.resize(width, 30)
        assert terminal.wait() == 0
    # Rows that were live may be on the screen twice, and broken where they were too wide; none is missing.
    said = set(re.findall(r"(?:word|slow)\d+", terminal.text))
    assert {*WORDS[:200], *(f"slow{number}" for number in range(300))} <= said


def test_suspended_and_resumed_it_loses_nothing(telex: Telex, server: Scripted) -> None:
    for name in ("lab", "moon"):
        telex.provider(name, server.url)
    serve(server, a=[*sse(delta("An open ")), Pause(2.5), *answer("line.")], b=answer("all of b"))
    with Pty(["bash", "--norc", "-i"], env={**telex.env, "PS1": "$ "}, columns=100) as terminal:
        terminal.wait_for(r"\$")
        terminal.type(f"{COMMAND} chat -q -m lab/a -m moon/b hi\n")
        terminal.wait_for("An open")
        terminal.type("\x1a")
        terminal.wait_for("Stopped")
        terminal.type("echo in between\n")
        terminal.wait_for("^in between")
        terminal.type("fg\n")
        terminal.wait_for(r"An open line\..*all of b\s*\n(.*\n)*\$")
    after = terminal.rows[terminal.rows.index("in between") :]
    assert after[1] == "$ fg"
    assert after[2].startswith(str(COMMAND))
    assert sum("An open line." in row for row in after) == 1


def test_untrusted_text_cannot_command_the_terminal(chat: Callable[..., Pty], server: Scripted) -> None:
    evil = "a\x1b[2Jb\x1b]0;title\x07c\x9b31md\u202e\u200b\U000e0041e [/foo] <b>x</b>"
    serve(server, a=[*sse(delta(reasoning_content=evil)), *answer(evil)], b=answer(evil))
    for arguments in ((), ("--plain",)):
        with chat("--reasoning", "show", *arguments, "-m", "lab/a", "-m", "moon/b", "hi") as terminal:
            assert terminal.wait() == 0
        assert b"\x1b[2J" not in terminal.raw
        assert b"\x1b]0;" not in terminal.raw
        for hidden in "\u202e\u200b\U000e0041":
            assert hidden.encode() not in terminal.raw
        assert "[/foo] <b>x</b>" in terminal.text


def test_plain_columns_have_the_text_unchanged(chat: Callable[..., Pty], server: Scripted) -> None:
    serve(server, a=answer("**not** bold\n  - dash\n\n\tx\n" + "y" * 60), b=answer("b"))
    with chat("-q", "--plain", "-m", "lab/a", "-m", "moon/b", "hi", columns=90) as terminal:
        assert terminal.wait() == 0
    rows = [row.split(BAR)[0].rstrip() for row in terminal.rows]
    assert rows[2:8] == ["**not** bold", "  - dash", "", "        x", "y" * 43, "y" * 17]


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"COLUMNS": "60"}])
def test_a_terminal_that_cannot_hold_columns_gets_none(
    chat: Callable[..., Pty], server: Scripted, env: dict[str, str]
) -> None:
    serve(server, a=answer("from a"), b=answer("from b"))
    with chat("-q", "-m", "lab/a", "-m", "moon/b", "hi", columns=200, **env) as terminal:
        assert terminal.wait() == 0
    assert [row for row in terminal.rows if row] == ["lab/a", "from a", "moon/b", "from b"]
