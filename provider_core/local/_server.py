"""llama.cpp's own HTTP server for one model file, on loopback behind a random key, for the life of a block.

The server runs in a child process. In this one, loading and closing would hold the interpreter's lock
(Ctrl-C dead, no progress drawn, up to 30 s at the end), and a file that makes native code abort would take
the command with it.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from provider_core.errors import LocalModelError, ModelFileError, NetworkError
from provider_core.local._cores import free_cores
from provider_core.local._gguf import read_header
from provider_core.structs import Struct, field

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from provider_core.local._gguf import Header

__all__ = ["Endpoint", "installed", "serve"]

_USUAL_CONTEXT = 8192
_SURELY_FITS = 1 << 30
"""Bytes of a model that any machine's graphics memory holds; fitting a larger one in takes a second look."""

_LAST_BREATH = 0.2
"""Seconds between a dying server's connections closing and its process being gone."""

_NEW_GROUP_NO_WINDOW = 0x08000200  # of CreateProcess
_LONGEST_LOG = 1 << 16
_LONGEST_QUOTE = 300


class Endpoint(Struct):
    """Where the local model answers, with what key, and the name it goes by there."""

    base_url: str
    key: str = field(repr=False)
    model: str


def installed() -> bool:
    """Whether the extra that carries llama.cpp is there; it is not imported."""
    import importlib.util

    return importlib.util.find_spec("xllamacpp") is not None


def window(header: Header) -> int:
    """The context window in tokens that a model gets by default: its own, at most 8192."""
    return min(header.context or _USUAL_CONTEXT, _USUAL_CONTEXT)


@contextmanager
def serve(
    path: Path, *, alias: str, context: int | None = None, threads: int | None = None
) -> Iterator[Endpoint]:
    """Serve the GGUF file at ``path`` while the block runs; it is loaded when the block begins.

    ``context`` is the window in tokens: by default the model's own, at most 8192. ``threads``: by
    default as many cores as seem free. Ctrl-C ends the loading at once, and so does closing whatever is
    being generated. The server ends with this process, however that ends.

    Raises ``LocalModelError`` if llama.cpp is not installed, does not start, or died so that the block ended in a
    ``NetworkError``; ``ModelFileError`` for a file that is not a model or that llama.cpp refuses.
    """
    import secrets

    if not installed():
        raise LocalModelError(
            "a local model needs the package xllamacpp, which is not installed", code="not_installed"
        )
    header = read_header(path)
    key = secrets.token_urlsafe(32)
    wanted = {
        "path": _utf8(path),
        "alias": alias,
        "key": key,
        "context": context or window(header),
        "threads": threads or free_cores(),
        "fit": path.stat().st_size > _SURELY_FITS,
    }
    with _temporary_file(path) as log, _start(path, log) as child:
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


def _utf8(path: Path) -> str:
    name = str(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ModelFileError("llama.cpp opens no file whose path is not UTF-8", path=path) from None
    return name


def _temporary_file(path: Path) -> IO[bytes]:
    import tempfile

    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise LocalModelError(
            f"no temporary file can be made: {error.strerror or error}", path=path
        ) from error


def _start(path: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    import subprocess

    try:
        return subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("_child.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            bufsize=0,  # nothing is left to be flushed into a pipe that nobody reads any more
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},
            creationflags=_NEW_GROUP_NO_WINDOW if sys.platform == "win32" else 0,
        )
    except OSError as error:
        raise LocalModelError(
            f"the local model's process did not start: {error.strerror or error}", path=path
        ) from error


def _started(child: subprocess.Popen[bytes], wanted: dict[str, object], path: Path, log: IO[bytes]) -> str:
    """Say what is wanted and wait until it is served; the base URL."""
    import json
    from contextlib import suppress

    to_child, from_child = cast("IO[bytes]", child.stdin), cast("IO[bytes]", child.stdout)
    with suppress(BrokenPipeError):  # it died already; why is told below
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
    raise LocalModelError(f"llama.cpp broke down while loading {path} ({_ending(child, log)})", path=path)


def _dying(child: subprocess.Popen[bytes]) -> bool:
    import subprocess

    try:
        child.wait(_LAST_BREATH)
    except subprocess.TimeoutExpired:
        return False
    return True


def _ending(child: subprocess.Popen[bytes], log: IO[bytes]) -> str:
    """How a child that is gone went, and its last words."""
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
    """What llama.cpp said, without its clock and level; printable and short."""
    import re

    log.seek(0)
    text = log.read(_LONGEST_LOG).decode("utf-8", "replace")
    lines = (re.sub(r"^[\d.]+ [A-Z] ", "", line) for line in text.splitlines())
    clean = ("".join(c for c in line if c.isprintable()).strip()[:_LONGEST_QUOTE] for line in lines)
    return [line for line in clean if line]
