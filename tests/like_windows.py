"""telex in a process with the facts of Windows: ``python like_windows.py ARGUMENTS``.

What POSIX has and Windows does not is gone before telex is imported, and the calls that differ behave as there, as far
as another system can show it. The libraries are imported before that: their own branches are not the subject.
"""

from __future__ import annotations

import asyncio
import asyncio.subprocess
import errno
import fcntl
import os
import select
import selectors
import shlex
import signal
import stat
import subprocess
import sys
import types
from typing import Any

GONE = {
    os: """chown fchmod fchown geteuid getegid getgid getpgid getpgrp getsid getuid killpg lchown mkfifo
        register_at_fork sched_getaffinity setegid seteuid setpgid setsid tcgetpgrp tcsetpgrp O_ASYNC""",
    signal: """SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGTSTP SIGTTIN SIGTTOU SIGUSR1 SIGUSR2
        SIGVTALRM SIGWINCH ITIMER_REAL ITIMER_VIRTUAL alarm getitimer pthread_sigmask setitimer siginterrupt""",
}
NO_MODULES = ("fcntl", "grp", "pty", "pwd", "readline", "resource", "termios", "tty")


def locking(descriptor: int, mode: int, _: int) -> None:
    """Lock as ``msvcrt.locking`` does: what another process has locked is an OSError."""
    assert mode == 2
    LOCK(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


LOCK = fcntl.flock


class Popen(subprocess.Popen[Any]):
    """Takes the flags of Windows, and refuses what Windows refuses."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        if options.get("preexec_fn") or options.get("start_new_session"):
            raise ValueError("preexec_fn and start_new_session are not for Windows")
        options["creationflags"] = 0
        if isinstance(arguments[0], str) and not options.get("shell"):
            words = shlex.split(arguments[0], posix=False)
            arguments = ([word.strip('"') for word in words], *arguments[1:])
        super().__init__(*arguments, **options)


class Selector(selectors.SelectSelector):
    """Takes only sockets, as select() does on Windows; asyncio waits for pipes by other means there."""

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        caller = sys._getframe(1).f_globals["__name__"]
        descriptor = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        if not caller.startswith("asyncio") and not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENOTSOCK, "not a socket")
        return super().register(fileobj, events, data)


def select_sockets(*lists: Any) -> Any:
    """As ``select.select`` on Windows."""
    for each in (each for given in lists[:3] for each in given):
        descriptor = each if isinstance(each, int) else each.fileno()
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENOTSOCK, "not a socket")
    return SELECT(*lists)


SELECT = select.select


def pretend() -> None:
    """Import the libraries, then make this process look like one on Windows."""
    import click
    import httpx
    import keyring
    import platformdirs
    import prompt_toolkit
    import pydantic_settings
    import rich.console
    import rich.markdown
    import tomlkit
    import truststore

    _ = (click, httpx, keyring, platformdirs, prompt_toolkit, pydantic_settings, rich, tomlkit, truststore)
    asyncio.new_event_loop().close()  # Python 3.14 chooses the kind of its loops when the first one is made
    for module, names in GONE.items():
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)
    for name in NO_MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    msvcrt: Any = types.ModuleType("msvcrt")
    msvcrt.locking, msvcrt.LK_NBLCK = locking, 2
    sys.modules["msvcrt"] = msvcrt
    for name in ("devpoll", "epoll", "kqueue", "poll"):
        if hasattr(select, name):
            delattr(select, name)
    select.select = select_sockets
    selectors.DefaultSelector = Selector  # type: ignore[misc]
    subprocess.Popen = Popen  # type: ignore[misc]
    sys.platform = "win32"


if __name__ == "__main__":
    pretend()
    from telex.__main__ import run

    run()
