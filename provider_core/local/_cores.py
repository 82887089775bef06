"""How many threads a model should compute with on this machine at this moment; nothing is measured here."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["free_cores"]

_MOST = 8
"""Beyond this the memory is the bottleneck, and other people want the cores."""


def free_cores() -> int | None:
    """The cores this process may use and nobody else does, at least 1; None: llama.cpp knows better.

    One thread too many makes it several times slower: its threads wait for one another, spinning. On
    other systems than Linux llama.cpp counts the performance cores, which Python cannot.
    """
    if sys.platform != "linux":
        return None
    mine = os.sched_getaffinity(0)
    idle = (os.cpu_count() or 1) - _busy()
    return max(1, min(len({_core(cpu) for cpu in mine}), idle, _quota(), _MOST))


def _core(cpu: int) -> str:
    """The core that a processor is a hyperthread of, by the list of its siblings."""
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text("ascii")
    except OSError:
        return str(cpu)


def _busy() -> int:
    """How many processors are at work on something else: over the last minute, or right now."""
    try:
        minute, _, _, tasks, _ = Path("/proc/loadavg").read_text("ascii").split()
        running = int(tasks.partition("/")[0]) - 1
    except (OSError, ValueError):
        return 0
    return max(round(float(minute)), running)


def _quota() -> int:
    """The processors' worth of time that the control group grants, as a container sees its own."""
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
        return max(1, int(limit) // int(period))
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or "max"
        return _MOST
