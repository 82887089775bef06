"""Files that a chat writes: ``-o FILE``, which is replaced only by a complete answer, and images of answers."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from telex.console import OutputError
from telex.exit_codes import Interrupts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.types import Image
    from telex.console import Console

_PREFIX = 40
"""Characters of the file's name in the name of its temporary file, which may not become too long."""
_OPENED = re.compile(r"/(?:dev|proc/self)/fd/(\d+)|/dev/std(out|err)")


@contextlib.contextmanager
def output_to(console: Console, name: str, *, private: bool = False) -> Iterator[None]:
    """Let stdout be the file ``name`` in the block; "-" is stdout itself.

    The file is replaced when the block ends without an exception. Otherwise it is unchanged, the output is in a file of
    its name with ".partial" after it, and a note says so. An open descriptor (/dev/stdout), a pipe or a device is
    written to directly. A ``private`` file can be read by its owner only. Raises ``click.UsageError`` for a file that
    cannot be written, and ``OutputError`` if replacing it fails in the end.
    """
    if name == "-":
        yield
        return
    file = None
    try:
        descriptor = _open_special(name)
        if descriptor is None:
            file = _ReplacedFile(name, private=private)
            descriptor = file.descriptor
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise click.UsageError(f"cannot write {name}: {reason}") from None
    stream = os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="")
    before, sys.stdout = sys.stdout, stream
    complete = False
    try:
        with console.away():
            yield
        complete = True
    finally:
        sys.stdout = before
        if file is not None:
            file.finish(console, stream, complete=complete)
        else:
            with contextlib.suppress(OSError):
                stream.close()


def _open_special(name: str) -> int | None:
    """A descriptor for an open descriptor's name, a pipe or a device; None for regular files."""
    if opened := _OPENED.fullmatch(name):
        # A copy shares the position in the file, so that earlier output is not overwritten.
        return os.dup(int(opened[1] or {"out": 1, "err": 2}[opened[2]]))
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116
    except FileNotFoundError:
        return None
    flags = os.O_WRONLY | getattr(os, "O_NOCTTY", 0)
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else os.open(name, flags)


class _ReplacedFile:
    """A file and the temporary file that will replace it. Links are followed once, now: later ones may be a trap."""

    def __init__(self, name: str, *, private: bool) -> None:
        path = Path(os.path.realpath(name))
        before = None
        with contextlib.suppress(FileNotFoundError):
            before = path.stat()
        problem = None
        if not name or name.endswith(os.sep) or (before is not None and stat.S_ISDIR(before.st_mode)):
            problem = "it is a folder"
        elif before is not None and not os.access(path, os.W_OK):
            problem = "it is write-protected"
        elif not path.parent.is_dir():
            problem = f"no folder {path.parent}"
        if problem is not None:
            raise click.UsageError(
                f"cannot write {name}: {problem}" if name else "the name of the output file is empty"
            )
        self._name = name
        self._path = path
        self._before = before
        self._in_place = (
            False  # overwrite the file, because a replacement would lose its other names or its owner
        )
        prefix = f".{path.name[:_PREFIX]}."
        try:
            self.descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=".new")
        except OSError as error:
            if before is None or error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            # The file can be written although its folder cannot.
            self._in_place = True
            self.descriptor, temporary = tempfile.mkstemp(prefix=prefix, suffix=".new")
        self._temporary = Path(temporary)
        if sys.platform != "win32" and not self._in_place:
            os.umask(mask := os.umask(0o077))
            mode = stat.S_IMODE(before.st_mode) if before is not None else 0o666 & ~mask
            os.fchmod(self.descriptor, mode & 0o600 if private else mode)
            if before is not None:
                with contextlib.suppress(OSError):
                    os.fchown(self.descriptor, -1, before.st_gid)
                ours = os.fstat(self.descriptor)
                same_owner = (ours.st_uid, ours.st_gid) == (before.st_uid, before.st_gid)
                self._in_place = before.st_nlink > 1 or not same_owner

    def finish(self, console: Console, stream: TextIO, *, complete: bool) -> None:
        """Replace the file with what was written if that is complete; else save it as FILE.partial."""
        failure = None
        try:
            try:
                stream.flush()
                if complete:
                    os.fsync(stream.fileno())
            finally:
                stream.close()
            if complete:
                self._replace()
        except OSError as error:
            failure = error
        if not complete or failure is not None:
            self._set_aside(console)
        self._temporary.unlink(missing_ok=True)
        if complete and failure is not None:
            raise OutputError(failure.strerror or str(failure))

    def _replace(self) -> None:
        try:
            is_same = self._before is not None and os.path.samestat(self._before, self._path.lstat())
        except OSError:
            is_same = False
        if not (self._in_place and is_same):
            try:
                self._temporary.replace(self._path)
            except OSError as error:
                if error.errno != errno.EBUSY or not is_same:  # busy: a file that is mounted there
                    raise
            else:
                return
        # If the machine stops meanwhile, the temporary file still has the whole answer.
        flags = os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(self._path, flags)
        with Interrupts() as interrupts, interrupts.held, os.fdopen(descriptor, "wb") as file:
            if self._before is None or not os.path.samestat(self._before, os.fstat(descriptor)):
                raise OSError(errno.ESTALE, "another file has taken its place")
            file.write(self._temporary.read_bytes())
            file.flush()
            os.ftruncate(descriptor, file.tell())
            os.fsync(descriptor)

    def _set_aside(self, console: Console) -> None:
        """Save incomplete output as FILE.partial, or in the folder of the temporary file if that is impossible."""
        with contextlib.suppress(OSError):
            if not self._temporary.stat().st_size:
                return
        partial = self._path.with_name(f"{self._path.name}.partial")
        try:
            self._temporary.replace(partial)
        except OSError:
            partial = self._temporary.with_name(f"{self._temporary.stem.removeprefix('.')}.partial")
            with contextlib.suppress(OSError):
                self._temporary.replace(partial)
        became = "is unchanged" if self._before is not None else "was not written"
        console.note(f"The incomplete output is in {partial}; {self._name} {became}.")


# --- images of answers -----------------------------------------------------------------------------------------

_IMAGE_ENDINGS = {"image/jpeg": ".jpg", "image/svg+xml": ".svg"}
_IMAGE_KINDS = ("png", "gif", "webp", "avif", "bmp")


def image_folder(name: str) -> Path:
    """Return the folder of ``--save-images``, made if it is not there; raise ``click.UsageError``."""
    found = Path(name)
    try:
        found.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(found, os.W_OK | os.X_OK):
            raise PermissionError(None, "it is write-protected")
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise click.UsageError(f"cannot write to {name} (--save-images): {words}") from None
    return found


def save_image(image: Image, into: Path) -> str:
    """Write the bytes of an image to a new file in ``into`` and return its path; raise OSError."""
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
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
        except OSError:
            path.unlink()
            raise
        return str(path)
