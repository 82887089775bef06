"""``-o FILE``: what would have gone to stdout, in a file that is the whole answer or what it was before."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from telex.console import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.console import Console

__all__ = ["Saving", "saved_to"]


class Saving:
    """Whether the file is to be replaced; ``whole`` says that it is, anything else leaves the old one."""

    def __init__(self) -> None:
        self.whole = False


@contextlib.contextmanager
def saved_to(console: Console, name: str) -> Iterator[Saving]:
    """Let stdout be the file ``name`` in the block.

    Raises ``click.UsageError`` before anything is asked when the file cannot be written. What is not whole
    goes to a file of its name with ".partial" behind it, and stderr says so.
    """
    path = Path(name)
    saving = Saving()
    with _opened(path) as (stream, temporary):
        before, sys.stdout = sys.stdout, stream
        try:
            with console.away():
                yield saving
        finally:
            sys.stdout = before
            with contextlib.suppress(OSError):
                stream.close()
            if temporary is not None:
                _placed(console, temporary, path, saving)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[TextIO, Path | None]]:
    """The stream to write to, and the temporary file that it is; a device or pipe is written to as it is."""
    try:
        target = path.resolve()
        mode = target.stat().st_mode if target.exists() else None
        if mode is not None and stat.S_ISDIR(mode):
            raise click.UsageError(f"-o {path}: it is a folder")
        if mode is not None and not stat.S_ISREG(mode):
            yield path.open("w", encoding="utf-8", errors="replace", newline=""), None
            return
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".new")
    except OSError as error:
        raise click.UsageError(f"-o {path}: it cannot be written: {error.strerror}") from error
    temporary = Path(name)
    try:
        if os.name == "posix":
            os.fchmod(handle, stat.S_IMODE(mode) if mode is not None else 0o666 & ~_umask())
        yield os.fdopen(handle, "w", encoding="utf-8", errors="replace", newline=""), temporary
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _placed(console: Console, temporary: Path, path: Path, saving: Saving) -> None:
    target = path.resolve()
    try:
        if saving.whole:
            _to_disk(temporary)
            temporary.replace(target)
        elif temporary.stat().st_size:
            partial = target.with_name(f"{target.name}.partial")
            temporary.replace(partial)
            kept = f"{path} is as it was" if target.exists() else f"there is no {path}"
            console.note(f"What there is of the answer is in {partial}; {kept}.")
    except OSError as error:
        raise OutputError(error.strerror or str(error)) from error


def _to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
