"""``-o FILE``: what would have gone to stdout goes to a file, which is replaced only when the command succeeds."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

import click

from provider_core.structs import Struct
from telex.console import OutputError
from telex.signals import Interrupts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.types import Image
    from telex.console import Console

_OF_NAME = 40
"""Characters of the file's name that its temporary file has too; with more of them it may be too long."""

_MOST_LINKS = 40
"""Links in a row that are followed, as the kernel does."""


class _Target(Struct):
    """The file that will be replaced, found once: a link that somebody puts in its place later is not followed."""

    name: str
    """As the user gave it, for messages."""
    path: Path
    before: os.stat_result | None
    temporary: Path
    in_place: bool
    """Whether the file is overwritten: replacing it would cut its other names off, or change its owner."""

    def is_unchanged(self) -> bool:
        """Whether the path still is the very file that it was."""
        try:
            return self.before is not None and os.path.samestat(self.before, self.path.lstat())
        except OSError:
            return False


@contextlib.contextmanager
def output_to(console: Console, name: str, *, private: bool = False) -> Iterator[None]:
    """Let stdout be the file ``name`` in the block; "-" is stdout itself.

    The file is replaced when the block ends without an exception. Otherwise it is unchanged, what was written is
    in a file of its name with ".partial" after it, and a note says so. An open descriptor (/dev/stdout), a pipe or
    a device is written to directly. A ``private`` file can be read by its owner alone. Raises ``click.UsageError``
    at once for a file that cannot be written, and ``OutputError`` if replacing it fails in the end.
    """
    if name == "-":
        yield
        return
    stream, target = _opened(name, private=private)
    before, sys.stdout = sys.stdout, stream
    complete = False
    try:
        with console.away():
            yield
        complete = True
    finally:
        sys.stdout = before
        if target is None:
            with contextlib.suppress(OSError):
                stream.close()
        else:
            _finish(console, stream, target, complete=complete)


def _opened(name: str, *, private: bool) -> tuple[TextIO, _Target | None]:
    """The stream to write to, and the file that its content is for; None where the stream writes to it directly."""
    try:
        descriptor = _open_special(name)
        if descriptor is not None:
            return _text(descriptor), None
        return _open_temporary(name, private=private)
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL in the name
        _refused(name, f"it cannot be written: {getattr(error, 'strerror', None) or error}")


def _open_special(name: str) -> int | None:
    """A descriptor for what is not a regular file, or is open in this process already; else None."""
    flags = os.O_WRONLY | getattr(os, "O_NOCTTY", 0)
    followed = name
    for _ in range(_MOST_LINKS):
        folder, last = os.path.split(os.path.abspath(followed))  # noqa: PTH100 - Path keeps ".."
        folder = os.path.realpath(folder)
        followed = os.path.join(folder, last)  # noqa: PTH118
        owner = re.fullmatch(r"/dev/fd|/proc/(\d+)(?:/task/\d+)?/fd", folder)
        if owner and last.isdecimal():
            if owner[1] not in (None, str(os.getpid())):
                return os.open(followed, flags | os.O_APPEND)
            # A copy shares the position in the file: what is there already is not overwritten.
            copy = os.dup(int(last))
            if _is_read_only(copy):
                os.close(copy)
                raise OSError(errno.EBADF, "it is open for reading only")
            return copy
        if not os.path.islink(followed):  # noqa: PTH114
            break
        followed = os.path.join(folder, os.readlink(followed))  # noqa: PTH115, PTH118
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116
    except FileNotFoundError:
        return None
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else os.open(name, flags)


def _is_read_only(descriptor: int) -> bool:
    if sys.platform == "win32":
        return False
    import fcntl

    return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY


def _open_temporary(name: str, *, private: bool) -> tuple[TextIO, _Target]:
    path = Path(os.path.realpath(name))
    try:
        before = path.stat()
    except FileNotFoundError:
        before = None
    if not name or name.endswith(os.sep) or (before is not None and stat.S_ISDIR(before.st_mode)):
        _refused(name, "it is a folder" if name else "the name is empty")
    if before is not None and not os.access(path, os.W_OK):
        _refused(name, "it is write-protected")
    if not path.parent.is_dir():
        _refused(name, f"there is no folder {path.parent}")
    in_place = False
    prefix = f".{path.name[:_OF_NAME]}."
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=".new")
    except OSError as error:
        if before is None or error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        # The file can be written although its folder cannot.
        in_place = True
        handle, temporary = tempfile.mkstemp(prefix=prefix, suffix=".new")
    if os.name == "posix" and not in_place:
        mode = stat.S_IMODE(before.st_mode) if before is not None else 0o666 & ~_umask()
        os.fchmod(handle, mode & 0o600 if private else mode)
        if before is not None:
            with contextlib.suppress(OSError):
                os.fchown(handle, -1, before.st_gid)
            ours = os.fstat(handle)
            same_owner = (ours.st_uid, ours.st_gid) == (before.st_uid, before.st_gid)
            in_place = before.st_nlink > 1 or not same_owner
    target = _Target(name=name, path=path, before=before, temporary=Path(temporary), in_place=in_place)
    return _text(handle), target


def _text(handle: int) -> TextIO:
    return os.fdopen(handle, "w", encoding="utf-8", errors="replace", newline="")


def _refused(name: str, why: str) -> NoReturn:
    raise click.UsageError(f"-o {name}: {why}") from None


def _finish(console: Console, stream: TextIO, target: _Target, *, complete: bool) -> None:
    """Put what was written in the file's place if it is complete, else beside it."""
    failure = None
    try:
        try:
            stream.flush()
            if complete:
                os.fsync(stream.fileno())
        finally:
            stream.close()
        if complete:
            _place(target)
    except OSError as error:
        failure = error
    if not complete or failure is not None:
        _set_aside(console, target)
    target.temporary.unlink(missing_ok=True)
    if complete and failure is not None:
        raise OutputError(failure.strerror or str(failure))


def _place(target: _Target) -> None:
    if not (target.in_place and target.is_unchanged()):
        try:
            target.temporary.replace(target.path)
        except OSError as error:
            if error.errno != errno.EBUSY or not target.is_unchanged():  # busy: a file that is mounted there
                raise
        else:
            return
    # Should the machine stop meanwhile, the temporary file still has the whole answer.
    handle = os.open(target.path, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    with Interrupts() as interrupts, interrupts.held, os.fdopen(handle, "wb") as file:
        if target.before is None or not os.path.samestat(target.before, os.fstat(handle)):
            raise OSError(errno.ESTALE, "another file has taken its place")
        file.write(target.temporary.read_bytes())
        file.flush()
        os.ftruncate(handle, file.tell())
        os.fsync(handle)


def _set_aside(console: Console, target: _Target) -> None:
    """Name the file that has what came; where there can be no FILE.partial, that is the temporary one, renamed."""
    with contextlib.suppress(OSError):
        if not target.temporary.stat().st_size:
            return
    kept = target.path.with_name(f"{target.path.name}.partial")
    try:
        target.temporary.replace(kept)
    except OSError:
        kept = target.temporary.with_name(f"{target.temporary.stem.removeprefix('.')}.partial")
        with contextlib.suppress(OSError):
            target.temporary.replace(kept)
    became = "is unchanged" if target.before is not None else "was not written"
    console.note(f"The incomplete output is in {kept}; {target.name} {became}.")


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


# --- images of answers -----------------------------------------------------------------------------------------

_IMAGE_ENDINGS = {"image/jpeg": ".jpg", "image/svg+xml": ".svg"}
_IMAGE_KINDS = ("png", "gif", "webp", "avif", "bmp")


def image_folder(name: str) -> Path:
    """Return the folder of ``--save-images``, made if it is not there; raise ``click.UsageError``."""
    import click

    found = Path(name)
    try:
        found.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(found, os.W_OK | os.X_OK):
            raise PermissionError(None, "it is write-protected")
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise click.UsageError(f"--save-images {name}: the folder cannot be used: {words}") from None
    return found


def save_image(image: Image, into: Path) -> str:
    """Write an image to a new file in ``into``, as it came, and return its path; raise OSError."""
    kind = image.type.removeprefix("image/")
    ending = _IMAGE_ENDINGS.get(image.type) or (f".{kind}" if kind in _IMAGE_KINDS else ".bin")
    data = image.data()
    number = 0
    while True:
        number += 1
        path = into / f"image-{number}{ending}"
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        except FileExistsError:
            continue
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        return str(path)
