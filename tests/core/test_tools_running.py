"""Calls that hang, flood, outlive their time, or are interrupted: what ends when, and what the model is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from scripted import answer
from toolboxes import Box, Loop, call, calling, looped, looping, say

from provider_core.errors import ToolError
from provider_core.events import ToolLimits, ToolResult, ToolStarted

if TYPE_CHECKING:
    from scripted import Scripted

TESTS = Path(__file__).parents[1]


# --- time --------------------------------------------------------------------------------------------------


def test_a_call_that_does_not_end_in_its_time_is_stopped_and_answered(server: Scripted) -> None:
    stopped = threading.Event()

    def hang(arguments: Any, stop: threading.Event) -> str:
        if stop.wait(30):
            stopped.set()
        return "too late"

    server.will(calling(call("box__hang", id="a"), call("other__quick", id="b", index=1)), answer("Sorry."))
    slow = Box(hang=hang, limits=ToolLimits(seconds=0.2))
    loop = looped(server, slow, Box("other", quick=say("fine")))
    assert loop.results() == ["Error: box/hang did not end within 0.2 s and was stopped", "fine"]
    late = next(ended for ended in loop.ended if ended.call.id == "a")
    assert isinstance(late.error, ToolError)
    assert late.error.code == "timeout"
    assert (late.error.seconds, late.error.server, late.error.tool) == (0.2, "box", "hang")
    assert stopped.wait(10)


def test_a_call_that_heeds_nothing_is_left_behind(server: Scripted) -> None:
    let_go = threading.Event()

    def deaf(arguments: Any, stop: threading.Event) -> str:
        let_go.wait(60)
        return "too late"

    server.will(calling(call("box__deaf", id="a")), calling(call("box__quick", id="b")), answer("Sorry."))
    began = time.monotonic()
    try:
        loop = looped(server, Box(deaf=deaf, quick=say("fine"), limits=ToolLimits(seconds=0.2)))
    finally:
        let_go.set()
    assert time.monotonic() - began < 20
    assert loop.results()[1] == "fine"
    assert [ended.call.id for ended in loop.ended] == ["a", "b"], "a late result is no second end of the call"


def test_the_time_of_a_call_begins_when_it_runs(server: Scripted) -> None:
    def work(arguments: Any, stop: threading.Event) -> str:
        return "stopped" if stop.wait(0.6) else "done"

    calls = [
        call("box__work", {"n": n}, id=f"c{n}", index=n) for n in range(17)
    ]  # 8 at once, so three rounds
    server.will(calling(*calls), answer("Done."))
    loop = looped(server, Box(work=work, limits=ToolLimits(seconds=1.2)))
    assert loop.results() == ["done"] * 17


def test_only_the_call_that_is_late_is_told_to_stop(server: Scripted) -> None:
    hung = threading.Event()

    def hang(arguments: Any, stop: threading.Event) -> str:
        stop.wait(30)
        hung.set()
        return ""

    def work(arguments: Any, stop: threading.Event) -> str:
        assert hung.wait(30)
        return f"stopped: {stop.is_set()}"

    server.will(calling(call("a__hang", id="a"), call("b__work", id="b", index=1)), answer("Done."))
    loop = looped(server, Box("a", hang=hang, limits=ToolLimits(seconds=0.2)), Box("b", work=work))
    assert loop.results()[1] == "stopped: False"


# --- size --------------------------------------------------------------------------------------------------


def told(server: Scripted, result: ToolResult | str, size: int) -> str:
    server.will(calling(call("box__flood")), answer("Done."))
    return looped(server, Box(flood=lambda arguments, stop: result, limits=ToolLimits(size=size))).results()[
        0
    ]


def test_a_long_result_loses_its_middle_and_says_how_much(server: Scripted) -> None:
    text = "".join(f"line {number}\n" for number in range(10_000))
    short = told(server, text, 4_000)
    head, note, tail = (
        short.partition("\n[")[0],
        short.partition("\n[")[2].partition("]\n")[0],
        short.rpartition("]\n")[2],
    )
    assert text.startswith(head)
    assert text.endswith(tail)
    assert len(head) + len(tail) == 4_000
    assert note == f"{len(text) - 4_000:,} of {len(text):,} bytes omitted: the result is too long"


def test_a_result_of_just_the_size_is_whole(server: Scripted) -> None:
    assert told(server, "x" * 4_000, 4_000) == "x" * 4_000


def test_bytes_are_counted_and_no_character_is_cut_in_half(server: Scripted) -> None:
    short = told(server, "é" * 3_001, 3_001)
    assert "�" not in short
    assert short.startswith("é" * 1_000)
    assert short.endswith("é" * 300)
    assert told(server, "é" * 1_500, 3_000) == "é" * 1_500


def test_a_flood_of_a_hundred_megabytes_is_no_matter(server: Scripted) -> None:
    began = time.monotonic()
    assert len(told(server, "x" * 100_000_000, 100_000)) < 100_200
    assert time.monotonic() - began < 20


def test_errors_are_bounded_too(server: Scripted) -> None:
    def fail(arguments: Any, stop: threading.Event) -> str:
        raise ValueError("x" * 1_000_000)

    server.will(calling(call("box__fail")), answer("Done."))
    (result,) = looped(server, Box(fail=fail, limits=ToolLimits(size=2_000))).results()
    assert len(result) < 2_200


# --- interrupts --------------------------------------------------------------------------------------------


def test_closing_the_iterator_stops_every_call_that_runs(server: Scripted) -> None:
    stopped: list[str] = []

    def hang(arguments: Any, stop: threading.Event) -> str:
        if stop.wait(30):
            stopped.append(arguments["n"])
        return ""

    calls = [call("box__hang", {"n": n}, id=n, index=i) for i, n in enumerate("abc")]
    server.will(calling(*calls))
    loop = Loop(server)
    events = looping(loop, Box(hang=hang))
    for event in events:
        if isinstance(event, ToolStarted) and event.planned.call.id == "c":
            break
    began = time.monotonic()
    events.close()
    assert time.monotonic() - began < 1
    assert sorted(stopped) == ["a", "b"], "the third was announced, and had not begun"


def test_closing_the_iterator_within_an_answer_closes_the_connection(server: Scripted) -> None:
    from scripted import Pause, delta, sse

    server.will([*sse(delta("Once")), Pause(30), *sse(delta(finish="stop"))])
    events = looping(Loop(server), Box(clock=say("12:00")))
    for event in events:
        if getattr(event, "text", "") == "Once":
            break
    events.close()
    assert server.asked[0].closed.wait(10)


INTERRUPTED = """
import sys, threading, time
sys.path.insert(0, {tests!r})
from provider_core import Approve, Provider, ToolStarted, connect
from provider_core.types import Network

def heeding(stop: threading.Event) -> str:
    if stop.wait(60):
        print("stopped", flush=True)
    return ""

def deaf() -> str:
    time.sleep(60)
    return ""

provider = Provider(name="lab", base_url={url!r}, network=Network(proxy="none"), auth="none")
with connect(provider, "m") as model:
    try:
        for event in model.stream("Hi", tools=[heeding, deaf]):
            if isinstance(event, ToolStarted):
                print("started", flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_interrupt_stops_the_calls_and_ends_within_a_second(server: Scripted) -> None:
    server.will(calling(call("heeding", id="a"), call("deaf", id="b", index=1)))
    code = INTERRUPTED.format(tests=str(TESTS), url=server.url)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert [child.stdout.readline() for _ in range(2)] == ["started\n"] * 2
        time.sleep(0.1)  # both run, and the loop waits for them
        began = time.monotonic()
        child.send_signal(signal.SIGINT)
        rest = child.stdout.read()
        child.wait(30)
        took = time.monotonic() - began
    assert rest == "stopped\ninterrupted\n"
    assert child.returncode == 0, "a call that heeds nothing must not keep the process alive"
    assert took < 3  # 0.8 s for the call, and the interpreter's own end on a busy machine


def test_an_end_that_has_come_counts_although_its_time_is_over(server: Scripted) -> None:
    server.will(calling(call("box__work", id="a"), call("box__work", id="b", index=1)), answer("Done."))
    loop = Loop(server)
    for event in looping(loop, Box(work=say("done"), limits=ToolLimits(seconds=0.2))):
        if isinstance(event, ToolStarted) and event.planned.call.id == "b":
            time.sleep(0.4)  # whoever listens is slow, and the first call has long ended
    assert loop.results() == ["done", "done"]
