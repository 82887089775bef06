"""Runs llama.cpp's server for one model file, on loopback with a random key.

The server runs in a child process: loading and closing a model hold the interpreter's lock, so that Ctrl-C and progress
would not work for up to 30 s, and some files make native code abort.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from provider_core.errors import LocalModelError, ModelFileError, NetworkError
from provider_core.local import default_context, installed, read_gguf
from provider_core.structs import Struct, field

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

_FITS = 1 << 30
"""Bytes of a model that fits into any graphics memory; for a larger one, llama.cpp tries out what fits."""

_DYING = 0.2
"""Seconds that a process may take to end after its connections were closed."""

_MOST_THREADS = 8
"""More threads are not faster, because memory is the bottleneck."""

_NEW_GROUP_NO_WINDOW = 0x08000200  # of CreateProcess
_LONGEST_LOG = 1 << 16
_LONGEST_QUOTE = 300


class Endpoint(Struct):
    """The address and the key of a running model, and its name there."""

    base_url: str
    key: str = field(repr=False)
    model: str


def _cores() -> int | None:
    """The cores that this process may use; None on other systems, where llama.cpp counts the performance cores.

    With one thread too many it is several times slower, because the threads wait for each other.
    """
    if sys.platform != "linux":
        return None
    cores = set()
    for cpu in os.sched_getaffinity(0):
        topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        try:
            cores.add(topology.read_text("ascii"))  # the same for all hyperthreads of a core
        except OSError:
            cores.add(str(cpu))
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
        allowed = max(1, int(limit) // int(period))
    except (OSError, ValueError, ZeroDivisionError):  # there is no such file, or the limit is "max"
        allowed = _MOST_THREADS
    return min(len(cores), allowed, _MOST_THREADS)


@contextmanager
def serve(
    path: Path, *, alias: str, context: int | None = None, threads: int | None = None
) -> Iterator[Endpoint]:
    """Load the GGUF file at ``path`` and serve it while the block runs.

    ``context`` is the window in tokens, by default the model's own and at most 8192. ``threads`` is by default the
    number of cores that this process may use. Loading can be interrupted with Ctrl-C. The server ends with this
    process, even if that is killed.

    Raises ``LocalModelError`` if llama.cpp is not installed or does not start, or if it died and the block ended in a
    ``NetworkError`` because of that; ``ModelFileError`` for a file that is not a model or that llama.cpp refuses.
    """
    import secrets

    if not installed():
        raise LocalModelError("the embedded model is not installed (package xllamacpp)", code="not_installed")
    trained = read_gguf(path)
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ModelFileError("llama.cpp cannot open a file whose path is not UTF-8", path=path) from None
    key = secrets.token_urlsafe(32)
    wanted = {
        "path": str(path),
        "alias": alias,
        "key": key,
        "context": context or default_context(trained),
        "threads": threads or _cores(),
        "fit": path.stat().st_size > _FITS,
    }
    child, log = _start(path)
    with log, child:
        try:
            base_url = _started(child, wanted, path, log)
            try:
                yield Endpoint(base_url=base_url, key=key, model=alias)
            except NetworkError as error:
                if not _dying(child):
                    raise
                raise LocalModelError(
                    f"the local model's server ended unexpectedly ({_ending(child, log)})", path=path
                ) from error
        finally:
            child.kill()


def _start(path: Path) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """Start the child; returns it and the file that it logs to."""
    import subprocess
    import tempfile

    try:
        log = tempfile.TemporaryFile()  # noqa: SIM115 - serve closes it
        child = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("_child.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            bufsize=0,  # so that nothing is left to be flushed into a closed pipe
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},
            creationflags=_NEW_GROUP_NO_WINDOW if sys.platform == "win32" else 0,
        )
    except OSError as error:
        raise LocalModelError(
            f"the local model's process could not be started: {error.strerror or error}", path=path
        ) from error
    return child, log


def _started(child: subprocess.Popen[bytes], wanted: dict[str, object], path: Path, log: IO[bytes]) -> str:
    """Send the child its parameters and wait until it serves; returns the base URL."""
    import json
    from contextlib import suppress

    to_child, from_child = cast("IO[bytes]", child.stdin), cast("IO[bytes]", child.stdout)
    with suppress(BrokenPipeError):  # it has died already, see below
        to_child.write(json.dumps(wanted).encode() + b"\n")
    match json.loads(from_child.readline() or b"{}"):
        case {"url": str(url)}:
            return f"{url}/v1"
        case {"missing": str(words)}:
            raise LocalModelError(f"xllamacpp is installed and cannot be imported: {words}", path=path)
        case {"failed": str(words)}:
            lines = _log_lines(log)
            words = lines[0].partition("error loading model: ")[2] or lines[0] if lines else words
            if any("failed to load model" in line for line in lines):
                raise ModelFileError(f"llama.cpp cannot load {path}: {words}", path=path)
            raise LocalModelError(f"llama.cpp does not serve {path}: {words}", path=path)
    child.wait()
    raise LocalModelError(f"llama.cpp crashed while loading {path} ({_ending(child, log)})", path=path)


def _dying(child: subprocess.Popen[bytes]) -> bool:
    import subprocess

    try:
        child.wait(_DYING)
    except subprocess.TimeoutExpired:
        return False
    return True


def _ending(child: subprocess.Popen[bytes], log: IO[bytes]) -> str:
    """The exit status or signal of a process that has ended, and its last message."""
    import signal

    code = child.wait()
    ending = f"exit {code}"
    if code < 0:
        try:
            ending = signal.Signals(-code).name
        except ValueError:
            ending = f"signal {-code}"
    return ": ".join([ending, *_log_lines(log)[-1:]])


def _log_lines(log: IO[bytes]) -> list[str]:
    """llama.cpp's messages, without time and level; printable and short."""
    import re

    log.seek(0)
    text = log.read(_LONGEST_LOG).decode("utf-8", "replace")
    lines = (re.sub(r"^[\d.]+ [A-Z] ", "", line) for line in text.splitlines())
    clean = ("".join(c for c in line if c.isprintable()).strip()[:_LONGEST_QUOTE] for line in lines)
    return [line for line in clean if line]
