"""The user's own files: private folders, atomic replacement, and a lock.

Modes are 0600 and 0700 whatever the umask is; on systems without modes they are not set.
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

PRIVATE = 0o600

_POLL = 0.1


def expand_user(path: str | Path) -> Path:
    """Return ``path`` with the home folder for a leading ~; ``~name`` of an unknown user stays unchanged."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path's own raises RuntimeError there


def read_bytes(path: Path, *, of_anybody: bool = False) -> bytes:
    """Return the content of a regular file.

    Raises ``OSError``, also for a pipe or a device, which may never end, and for more than ``limits.OWN_FILE`` bytes.
    A file of another user than root is refused as well, unless ``of_anybody``: in a shared folder, it could replace a
    cache that telex made.
    """
    # Without O_NONBLOCK, opening a pipe would wait for a writer.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        found = os.fstat(handle)
        if sys.platform != "win32" and not of_anybody and found.st_uid not in (os.geteuid(), 0):
            raise OSError(errno.EPERM, "it belongs to another user", str(path))
        if stat.S_IFMT(found.st_mode) not in (stat.S_IFREG, stat.S_IFDIR):  # reading a folder fails by itself
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        with open(handle, "rb", closefd=False) as file:
            data = file.read(limits.OWN_FILE + 1)
        if len(data) > limits.OWN_FILE:
            raise OSError(errno.EFBIG, f"it is larger than {limits.OWN_FILE >> 20} MiB", str(path))
        return data
    finally:
        os.close(handle)


def read_text(path: str | Path, *, limit: int = limits.TEXT_FILE) -> str:
    """Return the UTF-8 text of a file or a pipe, without a byte order mark.

    Raises ``FileError``, also for more than ``limit`` bytes: a device may have no end.
    """
    what, place = f"{path} cannot be read", expand_user(path)
    try:
        with place.open("rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise FileError(what, path=place, reason=f"it is larger than {limit // 1_000_000} MB")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise _file_error(what, place, error) from error
    except UnicodeDecodeError:
        raise FileError(what, path=place, reason="it is not UTF-8") from None


def private_folder(path: Path) -> None:
    """Create the folder and its missing parents for the owner alone. Raises ``FileError``.

    The mode of an existing folder is left to its owner: others may use it too, as /tmp or a folder that they share.
    Each file in it is private by itself. But the folder of another user than root is refused, who could replace them.
    """
    try:
        make_folder(path)
        if is_of_another_user(path):
            raise OSError(errno.EPERM, "it belongs to another user", str(path))
    except OSError as error:
        raise _file_error(f"the folder {path} cannot be made", path, error) from error


def make_folder(folder: Path) -> None:
    """Create the folder and its missing parents for the owner alone. Raises ``OSError``.

    ``mkdir(parents=True)`` would set the mode of the last one only.
    """
    if not folder.is_dir():
        if folder.parent != folder:
            make_folder(folder.parent)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            if sys.platform != "win32":
                folder.chmod(0o700)  # in spite of the umask


def is_of_another_user(path: Path) -> bool:
    """Whether the file or folder belongs to neither this user nor root. Raises ``OSError``."""
    return sys.platform != "win32" and path.stat().st_uid not in (os.geteuid(), 0)


def make_private(path: Path) -> None:
    """Take the rights of group and others from a regular file, if possible; root's link may lead to /dev/null."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            mode = path.stat().st_mode
            if stat.S_ISREG(mode) and mode & 0o077:
                path.chmod(PRIVATE)


def replace(path: Path, content: bytes, *, mode: int = PRIVATE) -> None:
    """Replace the file's content atomically and durably; a symbolic link stays one.

    Others read the old content or the new, never a part. Raises ``FileError``; the file is then unchanged.
    """
    import tempfile

    try:
        target = Path(os.path.realpath(path))  # resolve() raises other errors for a loop of links
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".new")
        try:
            with os.fdopen(handle, "wb") as file:
                if sys.platform != "win32":
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
        raise _file_error(f"{path} cannot be written", path, error) from error
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Write the folder's entries to the disk, if the file system can."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of processes that were killed in ``replace``. Hold the lock while calling this."""
    target = Path(os.path.realpath(path))
    for leftover in target.parent.glob(f".{target.name}.*.new"):
        with contextlib.suppress(OSError):
            leftover.unlink()


@contextlib.contextmanager
def locked(path: Path, *, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock on ``path``, waiting for it; the system releases it however the process ends.

    ``waiting`` is called every tenth of a second while another process holds the lock, and may raise to give up.
    Raises ``FileError`` if the lock file cannot be created.
    """
    # A file of its own: ``path`` is replaced, and a lock on it would be lost with the old file.
    lock = path.with_name(f".{path.name}.lock")
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, PRIVATE)
    except OSError as error:
        raise _file_error(f"{path} cannot be changed", path, error) from error
    if sys.platform != "win32" and not os.fstat(handle).st_mode & stat.S_IWUSR:
        os.fchmod(handle, PRIVATE)  # in spite of the umask
    try:
        while not try_lock(handle, wait=waiting is None):
            if waiting is not None:
                waiting()
            time.sleep(_POLL)
        yield
    finally:
        os.close(handle)


def try_lock(handle: int, *, wait: bool = False) -> bool:
    """Lock an open file until it is closed; False if another process has locked it, unless ``wait``."""
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
    except OSError:
        pass  # a file system without locks: files stay complete, but one of two simultaneous changes may be lost
    return True


def _file_error(what: str, path: Path, error: OSError) -> FileError:
    return FileError(what, path=path, reason=error.strerror or str(error))
