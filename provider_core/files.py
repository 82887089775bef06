"""Files that are the user's own: private folders, writing in one step, and a lock; what is in them is not read here.

Modes are 0600 and 0700 whatever the umask says; where the system knows no modes, they are left alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from provider_core import limits
from provider_core.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "clear_leftovers",
    "content",
    "expanded",
    "locked",
    "make_folder",
    "make_private",
    "private_folder",
    "replace",
    "sync_folder",
    "text",
]

PRIVATE = 0o600

_POLL = 0.1


def private_folder(path: Path) -> None:
    """Make the folder, and each above it that is missing, for its owner alone; tighten it where it is open.

    Raises ``FileError``.
    """
    try:
        make_folder(path)
        if os.name == "posix" and path.stat().st_mode & 0o077:
            path.chmod(0o700)
    except OSError as error:
        raise _failed(f"the folder {path} cannot be made", path, error) from error


def expanded(path: str | Path) -> Path:
    """``path`` with the home folder for a ~ in front; that of a user whom nobody knows stays as it is written."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path's own raises RuntimeError there


def content(path: Path, *, of_anybody: bool = False) -> bytes:
    """All that is in the file. Raises ``OSError``, also for a pipe or a device, which might never come to an end, and
    for more than ``limits.OWN_FILE`` bytes.

    A file of another user than root is refused, too, unless ``of_anybody``: in a shared folder, it could stand in for
    a cache that telex made.
    """
    # Without waiting: to open a pipe for reading would wait for somebody who writes.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        found = os.fstat(handle)
        kind = stat.S_IFMT(found.st_mode)
        if os.name == "posix" and not of_anybody and found.st_uid not in (os.geteuid(), 0):
            raise OSError(errno.EPERM, "it belongs to another user", str(path))
        if kind not in (stat.S_IFREG, stat.S_IFDIR):  # a folder has an error of its own
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        with open(handle, "rb", closefd=False) as file:
            data = file.read(limits.OWN_FILE + 1)
        if len(data) > limits.OWN_FILE:
            raise OSError(errno.EFBIG, f"it is larger than {limits.OWN_FILE >> 20} MiB", str(path))
        return data
    finally:
        os.close(handle)


def text(path: str | Path, *, limit: int = limits.TEXT_FILE) -> str:
    """The UTF-8 text of a file or a pipe, without a byte order mark. Raises ``FileError``, also for more than ``limit``
    bytes: a device may have no end.
    """
    what, place = f"{path} cannot be read", expanded(path)
    try:
        with place.open("rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise FileError(what, path=place, reason=f"it is larger than {limit // 1_000_000} MB")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise _failed(what, place, error) from error
    except UnicodeDecodeError:
        raise FileError(what, path=place, reason="it is not UTF-8") from None


def make_private(path: Path) -> None:
    """Take group's and others' rights from the file, as far as it is ours to change."""
    if os.name == "posix":
        with contextlib.suppress(OSError):
            if path.stat().st_mode & 0o077:
                path.chmod(PRIVATE)


def replace(path: Path, content: bytes, *, mode: int = PRIVATE) -> None:
    """Put ``content`` in the file's place in one step, and on the disk; a link that the user made stays one.

    Whoever reads at that moment has the old content or the new, never a part. Raises ``FileError``; the file
    is then as it was.
    """
    import tempfile

    try:
        target = Path(os.path.realpath(path))  # resolve() has errors of its own kind for a loop of links
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".new")
        try:
            with os.fdopen(handle, "wb") as file:
                if os.name == "posix":
                    os.fchmod(file.fileno(), mode)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, target)  # noqa: PTH105 - a Path for one call
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)  # noqa: PTH108
            raise
    except OSError as error:
        raise _failed(f"{path} cannot be written", path, error) from error
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Put on the disk which files the folder holds, where the system can."""
    if os.name == "posix":
        with contextlib.suppress(OSError):  # not every file system syncs folders
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def clear_leftovers(path: Path) -> None:
    """Remove what processes that were killed in ``replace`` have left. Only under the lock: nobody is writing then."""
    target = Path(os.path.realpath(path))
    for leftover in target.parent.glob(f".{target.name}.*.new"):
        with contextlib.suppress(OSError):
            leftover.unlink()


@contextlib.contextmanager
def locked(path: Path, *, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock on ``path``, waiting for it; the system gives it back however the process ends.

    ``waiting`` is called every tenth of a second while another holds it, and may end that by raising. Raises
    ``FileError`` when the lock's own file cannot be made.
    """
    # A file of its own: the other one is replaced, and a lock on it would go with the old one.
    lock = path.with_name(f".{path.name}.lock")
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, PRIVATE)
    except OSError as error:
        raise _failed(f"{path} cannot be changed", path, error) from error
    if os.name == "posix" and not os.fstat(handle).st_mode & stat.S_IWUSR:
        os.fchmod(handle, PRIVATE)  # whatever the umask took away
    try:
        while not _taken(handle, wait=waiting is None):
            if waiting is not None:
                waiting()
            time.sleep(_POLL)
        yield
    finally:
        os.close(handle)


def _taken(handle: int, *, wait: bool) -> bool:
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (
        OSError
    ):  # a file system without locks: files are whole all the same, one of two changes may be lost
        return True
    return True


def _failed(what: str, path: Path, error: OSError) -> FileError:
    return FileError(what, path=path, reason=error.strerror or str(error))


def make_folder(folder: Path) -> None:
    """Make the folder and those above it that are missing, for their owner alone. Raises ``OSError``.

    Each by itself: the mode that ``mkdir(parents=True)`` takes is the last one's alone.
    """
    if not folder.is_dir():
        if folder.parent != folder:
            make_folder(folder.parent)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            if os.name == "posix":
                folder.chmod(0o700)  # whatever the umask took away
