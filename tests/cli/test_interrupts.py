"""Signals, closed pipes and full disks: the saved text of an answer is the text that was printed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from running import COMMAND, QUOTED, ending, idle, took, unread, within
from scripted import DONE, Pause, Scripted, answer, delta, sse

from telex.exit_codes import Interrupts, Terminated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from running import Telex

if sys.platform == "win32":
    pytest.skip("Windows sends no such signals", allow_module_level=True)

needs_timers = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no timers")


@pytest.fixture
def lab(telex: Telex, server: Scripted) -> Telex:
    telex.provider("lab", server.url)
    return telex


def kept(telex: Telex) -> tuple[str | None, str | None]:
    """Text and verdict of the last answer in the history, read without telex."""
    with contextlib.closing(sqlite3.connect(telex.home / "data" / "history.db")) as connection:
        verdict, text = connection.execute(
            "SELECT t.verdict, m.text FROM turns AS t LEFT JOIN messages AS m ON m.turn = t.id AND m.is_answer "
            "ORDER BY t.id DESC LIMIT 1"
        ).fetchone()
        pieces = connection.execute(
            "SELECT text FROM pieces WHERE turn = (SELECT max(id) FROM turns) ORDER BY at"
        )
        before = "".join(piece for (piece,) in pieces)
    return text and before + text, verdict


def is_full(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process waits until somebody reads what it has printed."""
    assert process.stdout is not None
    return unread(process.stdout.fileno()) > 32_000 and idle(process.pid)


def printed(out: bytes) -> str:
    """What was printed, without the newline at its end; a write may have been broken off within a letter."""
    assert out == b"" or out.endswith(b"\n")
    return out[:-1].decode("utf-8", "ignore")


# --- through the program ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_saved_text_is_the_printed_text_whenever_a_signal_comes(
    lab: Telex, server: Scripted, seed: int, number: signal.Signals
) -> None:
    dice = random.Random(seed)
    words = [f"word{n} größe✓ " for n in range(4000)]
    frames: list[Any] = []
    for at in range(0, len(words), 10):
        frames += [*sse(*map(delta, words[at : at + 10])), Pause(0.001)]
    server.will([*frames, Pause(60), DONE])
    with lab.start("chat", "hi") as process:
        assert process.stdout is not None
        out = [os.read(process.stdout.fileno(), 1)]
        reader = threading.Thread(target=lambda: out.append(process.stdout.read()), daemon=True)  # type: ignore[union-attr]
        reader.start()
        time.sleep(dice.uniform(0, 0.3))
        process.send_signal(number)
        process.wait(60)
        reader.join(60)
        text = printed(b"".join(out))
        assert kept(lab) == (text, "interrupted")
        assert 0 < len(text) < len("".join(words))
        assert "".join(words).startswith(text)


@needs_timers
@pytest.mark.parametrize("seed", range(6))
def test_a_slow_reader_gets_the_text_that_is_saved(lab: Telex, server: Scripted, seed: int) -> None:
    """Pieces larger than a pipe holds are written in parts: the signal comes between two of them, or within one."""
    dice = random.Random(seed)
    whole = "größe✓ " * 100_000
    server.will(
        [*sse(*[delta(whole[at : at + 150_000]) for at in range(0, len(whole), 150_000)]), Pause(60), DONE]
    )
    with lab.start("chat", "hi") as process:
        assert process.stdout is not None
        out: list[bytes] = []

        def read() -> None:
            while data := os.read(process.stdout.fileno(), dice.choice([1000, 4096, 30_000])):  # type: ignore[union-attr]
                out.append(data)
                time.sleep(0.02)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        while not out:
            time.sleep(0.01)
        time.sleep(dice.uniform(0, 0.4))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        reader.join(60)
        raw = b"".join(out)
        text = raw.removesuffix(b"\n").decode("utf-8", "ignore")
        assert kept(lab) == (text, "interrupted")
        assert 0 < len(text) < len(whole)


@needs_timers
@pytest.mark.parametrize("form", [(), ("--jsonl",), ("--markdown",)])
def test_ctrl_c_ends_a_write_to_a_full_pipe(lab: Telex, server: Scripted, form: tuple[str, ...]) -> None:
    whole = "größe✓ \n\n" * 10_000
    server.will([*sse(delta(whole)), Pause(60), DONE])
    process = lab.start("chat", *form, "hi")
    assert within(60, lambda: is_full(process))
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130, "it did not wait for the reader"
    out, err = process.communicate()
    assert b"Traceback" not in err
    text, verdict = kept(lab)
    assert verdict == "interrupted"
    if not form:
        assert out.decode("utf-8", "ignore") == text
        assert 0 < len(out) <= 1 << 20


@pytest.mark.parametrize("count", [1, 100, 70_000])
def test_a_reader_that_goes_away_got_the_beginning_of_what_is_saved(
    lab: Telex, server: Scripted, count: int
) -> None:
    server.will([*sse(*[delta("größe✓ " * 100)] * 100), Pause(0.3), *sse(*[delta("y" * 1000)] * 100), DONE])
    done = subprocess.run(
        ["bash", "-c", f"{QUOTED} chat hi | head -c {count}; echo ${{PIPESTATUS[0]}}"],
        env=lab.env, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout[count:] == b"141\n"
    assert done.stderr == b""
    text, verdict = kept(lab)
    assert verdict == "interrupted"
    assert text is not None
    assert text.encode().startswith(done.stdout[:count].decode("utf-8", "ignore").encode())


def test_an_answer_that_a_full_disk_swallowed_is_saved_without_text(lab: Telex, server: Scripted) -> None:
    server.will(answer("x", "y"))
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        assert lab("chat", "hi", stdout=full).code == 1
    assert kept(lab) == (None, "interrupted")


def test_a_last_newline_that_cannot_be_written_leaves_the_answer_complete(
    lab: Telex, server: Scripted
) -> None:
    """The reader takes the whole answer and goes; only the last newline finds nobody."""
    goes_on = threading.Event()
    server.will([*sse(delta("all of it")), Pause(goes_on), *answer()])
    reading, writing = os.pipe()
    process = lab.start("chat", "hi", stdout=writing)
    os.close(writing)
    assert os.read(reading, 9) == b"all of it"
    os.close(reading)
    goes_on.set()
    assert process.wait(60) == 141
    assert kept(lab) == ("all of it", "complete")


def test_a_second_ctrl_c_ends_what_still_runs(lab: Telex, server: Scripted) -> None:
    server.will([*sse(delta("x" * 300_000)), Pause(60), DONE])
    process = lab.start("chat", "hi")
    assert within(60, lambda: is_full(process))
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    process.wait(60)
    _, err = process.communicate()
    assert process.returncode in (130, -signal.SIGINT)
    assert b"Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("form", [(), ("--jsonl",)])
def test_the_same_signal_twice_loses_nothing(
    lab: Telex, server: Scripted, number: signal.Signals, form: tuple[str, ...]
) -> None:
    for gap in (0.0, 0.001, 0.003, 0.01):
        server.will([*sse(*[delta("größe✓ " * 2000)] * 20), Pause(60), DONE])
        process = lab.start("chat", *form, "hi")
        out: list[bytes] = []
        reader = threading.Thread(target=lambda p=process, o=out: o.append(p.stdout.read()), daemon=True)
        reader.start()
        assert within(60, lambda: took(process, server))  # noqa: B023
        process.send_signal(number)
        time.sleep(gap)
        process.send_signal(number)
        process.wait(60)
        reader.join(60)
        process.communicate()
        if form:
            found = [json.loads(line) for line in out[0].splitlines()]
            assert found[-1]["type"] == "end"
            text = "".join(each["text"] for each in found if each["type"] == "text")
        else:
            text = printed(out[0])
        assert kept(lab) == (text, "interrupted")


@pytest.mark.parametrize("name", ["INT", "HUP"])
def test_a_signal_that_the_parent_ignores_stays_ignored(lab: Telex, server: Scripted, name: str) -> None:
    goes_on = threading.Event()
    server.will([*sse(delta("one")), Pause(goes_on), *answer(" two")])
    process = ending(subprocess.Popen(
        ["bash", "-c", f"trap '' {name}; exec {QUOTED} chat hi"],
        env=lab.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
    ))  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.read(3) == b"one"
    process.send_signal(getattr(signal, f"SIG{name}"))
    time.sleep(0.2)
    goes_on.set()
    assert process.communicate(timeout=60)[0] == b" two\n"
    assert process.returncode == 0


@needs_timers
def test_an_alarm_of_the_parent_ends_the_command_and_the_answer_is_saved(
    lab: Telex, server: Scripted
) -> None:
    server.will([*sse(delta("half")), Pause(60), DONE])
    for seconds in (2, 8, 32):  # the answer has begun by then, unless the machine is slow
        code = (
            f"import os, signal; signal.alarm({seconds}); os.execv({str(COMMAND)!r}, ['telex', 'chat', 'hi'])"
        )
        done = subprocess.run([sys.executable, "-c", code], env=lab.env, stdin=subprocess.DEVNULL,
                              capture_output=True, check=False, timeout=60)  # fmt: skip
        assert done.returncode == -signal.SIGALRM
        if done.stdout:
            break
    assert done.stdout == b"half\n"
    assert kept(lab) == ("half", "interrupted")


# --- the context itself --------------------------------------------------------------------------------------------


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with Interrupts() as entered:
            yield entered
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def press(number: int, *, wait: float = 0.0) -> Callable[[], None]:
    """A step that waits and then raises a signal."""

    def step() -> None:
        time.sleep(wait)
        signal.raise_signal(number)

    return step


def hold(interrupts: Interrupts, *steps: Callable[[], None]) -> list[int]:
    """Run the steps as held work; returns how far they came, and then the signal that was raised."""
    done: list[int] = []
    try:
        with interrupts.held:
            for number, step in enumerate(steps):
                step()
                done.append(number)
    except KeyboardInterrupt:
        done.append(signal.SIGINT)
    except Terminated as terminated:
        done.append(terminated.number)
    return done


INT, TERM, HUP = press(signal.SIGINT), press(signal.SIGTERM), press(signal.SIGHUP)
TOO_LONG = partial(time.sleep, 20)


def test_a_signal_raises_at_once_outside_of_held_work(interrupts: Interrupts) -> None:
    with pytest.raises(KeyboardInterrupt):
        INT()
    time.sleep(0.3)
    with pytest.raises(Terminated) as caught:
        TERM()
    assert caught.value.number == signal.SIGTERM


@needs_timers
@pytest.mark.parametrize(
    ("steps", "done"),
    [
        ([INT, INT], [0, 1, signal.SIGINT]),
        ([TERM, HUP, TERM], [0, 1, 2, signal.SIGTERM]),  # within a moment, they are one
        ([INT, TOO_LONG], [0, signal.SIGINT]),
        ([INT, press(signal.SIGTERM, wait=0.3)], [0, signal.SIGTERM]),
    ],
    ids=["one signal", "several at once", "work that takes too long", "a second signal"],
)
def test_a_signal_waits_for_held_work(
    interrupts: Interrupts, steps: list[Callable[[], None]], done: list[int]
) -> None:
    begun = time.monotonic()
    assert hold(interrupts, *steps) == done
    assert time.monotonic() - begun < 30
    assert hold(interrupts, lambda: None) == [0], "what is held later ends regularly"
    time.sleep(0.6)  # no alarm is left over
    assert hold(interrupts, TOO_LONG) == [done[-1]], "but does not take long"


@needs_timers
def test_a_signal_in_a_callback_of_python_is_raised_after_it() -> None:
    """Imports have such callbacks."""

    class Referred:
        pass

    for raises, step in ((KeyboardInterrupt, INT), (Terminated, TERM)):
        referred = Referred()
        reference = weakref.ref(referred, lambda _, step=step: step())  # type: ignore[misc]
        with Interrupts(), pytest.raises(raises):  # noqa: PT012
            del referred
            time.sleep(20)
        assert reference() is None


@needs_timers
def test_work_is_held_to_the_end_of_the_outermost_block_and_context(interrupts: Interrupts) -> None:
    done = []

    def nested() -> None:
        with Interrupts() as inner, inner.held:
            INT()
        done.append("after the inner block")

    assert hold(interrupts, nested) == [0, signal.SIGINT]
    assert done == ["after the inner block"]


def test_the_handlers_are_restored_and_other_threads_change_none() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers]
    seen = []

    def enter() -> None:
        with Interrupts() as entered, entered.held:
            seen.append([signal.getsignal(number) for number in numbers])

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    enter()
    assert seen[0] == before
    assert seen[1][1] != before[1]
    assert [signal.getsignal(number) for number in numbers] == before
