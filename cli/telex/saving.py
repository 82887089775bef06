"""``-o FILE``: what would have gone to stdout, in a file that is the whole answer or what it was before."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

import click

from telex.console import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.console import Console

__all__ = ["Saving", "saved_to"]

_OF_NAME = 40
"""Characters of the file's name that its temporary file has too; with more of them it may be too long."""


class Saving:
    """Whether the file is to be replaced; ``whole`` says that it is, anything else leaves the old one.

    What could not be written, or was ended from outside before there was anything, is never whole.
    """

    def __init__(self) -> None:
        self.whole = False


@contextlib.contextmanager
def saved_to(console: Console, name: str) -> Iterator[Saving]:
    """Let stdout be the file ``name`` in the block; "-" is stdout itself.

    Raises ``click.UsageError`` before anything is asked when the file cannot be written, and ``OutputError``
    when it cannot be in the end. What is not whole goes to a file of its name with ".partial" behind it, and
    stderr says so.
    """
    saving = Saving()
    if name == "-":
        yield saving
        return
    path = Path(name)
    stream, temporary = _opened(path)
    before, sys.stdout = sys.stdout, stream
    try:
        try:
            with console.away():
                yield saving
        except OutputError:
            saving.whole = False
            raise
        except BaseException:
            saving.whole = saving.whole and (temporary is None or temporary.stat().st_size > 0)
            raise
        finally:
            sys.stdout = before
            if temporary is None:
                with contextlib.suppress(OSError):
                    stream.close()
            else:
                _placed(console, stream, temporary, path, saving)
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _opened(path: Path) -> tuple[TextIO, Path | None]:
    """The stream to write to, and the temporary file that it is; a device or pipe is written to as it is."""
    try:
        mode = path.stat().st_mode if path.exists() else None
        if mode is not None and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            return _text(os.open(path, os.O_WRONLY | getattr(os, "O_NOCTTY", 0))), None
        if mode is not None and (stat.S_ISDIR(mode) or not os.access(path, os.W_OK)):
            _refused(path, "it is a folder" if stat.S_ISDIR(mode) else "it is write-protected")
        target = path.resolve()
        handle, name = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.name[:_OF_NAME]}.", suffix=".new"
        )
        if os.name == "posix":
            os.fchmod(handle, stat.S_IMODE(mode) if mode is not None else 0o666 & ~_umask())
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL in the name
        _refused(path, f"it cannot be written: {getattr(error, 'strerror', None) or error}")
    return _text(handle), Path(name)


def _text(handle: int) -> TextIO:
    return os.fdopen(handle, "w", encoding="utf-8", errors="replace", newline="")


def _refused(path: Path, why: str) -> NoReturn:
    raise click.UsageError(f"-o {path}: {why}") from None


def _placed(console: Console, stream: TextIO, temporary: Path, path: Path, saving: Saving) -> None:
    """Put what was written where it belongs: the file's place if it is whole, and beside it if not."""
    try:
        try:
            stream.flush()
            if saving.whole:
                os.fsync(stream.fileno())
        finally:
            stream.close()
        target = path.resolve()
        if saving.whole:
            temporary.replace(target)
        elif temporary.stat().st_size:
            partial = target.with_name(f"{target.name}.partial")
            temporary.replace(partial)
            kept = f"{path} is as it was" if target.exists() else f"there is no {path}"
            console.note(f"What there is of the answer is in {partial}; {kept}.")
    except OSError as error:
        raise OutputError(error.strerror or str(error)) from error


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
