"""Ends the servers' processes when telex itself is killed, which it cannot do then; an orderly end is not its business.

A server should end when its stdin is closed, which the kernel does for us. Some do not, and what they have
started seldom does. So a shell waits for the end of a pipe that this process alone holds open: however it
ends, the shell hears of it, and ends the groups that it was told of.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading

__all__ = ["Watchdog"]

_SCRIPT = """
groups=
while read -r sign group; do
  rest=
  for each in $groups; do [ "$each" = "$group" ] || rest="$rest $each"; done
  groups=$rest
  [ "$sign" = + ] && groups="$groups $group"
done
[ -n "$groups" ] || exit 0
for each in $groups; do kill -s TERM -- "-$each"; done
sleep 1
for each in $groups; do kill -s KILL -- "-$each"; done
"""


class Watchdog:
    """Told of process groups as they come and go. Before ``start``, and without a POSIX shell, it does nothing."""

    def __init__(self) -> None:
        self._shell: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Have the shell ready: a group that is told of the later might never be told of."""
        if os.name != "posix":
            return
        with contextlib.suppress(OSError):
            self._shell = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd="/",
                env={"PATH": os.defpath},
                start_new_session=True,  # a Ctrl-C in the terminal is not meant for it
            )

    def watch(self, group: int) -> None:
        """End the group when this process has ended."""
        self._tell(f"+ {group}\n")

    def forget(self, group: int) -> None:
        """The group has ended: its number may be another's soon."""
        self._tell(f"- {group}\n")

    def close(self) -> None:
        """There is nothing to watch any more."""
        with self._lock:
            shell, self._shell = self._shell, None
        if shell is not None and shell.stdin is not None:
            with contextlib.suppress(OSError):
                shell.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                shell.wait(3)

    def _tell(self, line: str) -> None:
        with self._lock, contextlib.suppress(OSError):
            if self._shell is not None and self._shell.stdin is not None:
                self._shell.stdin.write(line.encode())
