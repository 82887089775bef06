"""Answers in a file each: ``--output-dir``. No name leads out of the folder, whatever the input is called."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

import click

from telex.console import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable


JOURNAL: Final = ".telex-batch.jsonl"
"""The file in the folder that has the results without their answers."""


class OutputFolder:
    """A folder with one file for each input file, which has the name of that file.

    A relative name keeps its folders below this one; of any other, only the last part is used. ``suffix`` replaces that
    of the input, "" keeps it. ``names`` are all inputs: raises ``click.UsageError`` if two would have the same output,
    or if an output is one of the inputs.
    """

    def __init__(self, folder: str, names: Iterable[str], *, suffix: str = "") -> None:
        self.path = Path(folder)
        self.journal = self.path / JOURNAL
        self._suffix = suffix
        self._real = os.path.realpath(self.path)
        taken: dict[str, str] = {}
        inputs = {os.path.realpath(name) for name in names}
        for name in names:
            target = str(self.target(name))
            folded = target.casefold()  # one file where case is ignored
            if folded in taken:
                both = f"{taken[folded]} and {name}"
                raise click.UsageError(f"{both} would both be written to {target}\nUse one folder for each.")
            taken[folded] = name
            if os.path.realpath(target) in inputs:
                raise click.UsageError(
                    f"{target} is an input, and would be overwritten\nUse another --output-dir."
                )

    def create(self) -> None:
        """Make the folder. Raises ``click.UsageError``."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise click.UsageError(f"cannot write to {self.path}: {error.strerror}") from None

    def target(self, name: str) -> Path:
        """Where the answer about the input file ``name`` is written."""
        path = PurePath(name)
        parts = [part for part in path.parts if part != "."]
        if path.is_absolute() or ".." in parts or path.drive:
            parts = [path.name]
        if not parts or parts[-1] in ("", ".", ".."):
            raise click.UsageError(f"{name!r} is not the name of a file")
        last = parts[-1]
        if self._suffix:
            last = f"{PurePath(last).stem}{self._suffix}"
        if last.startswith(".telex-batch."):
            raise click.UsageError(
                f"{name}: the output folder uses names that begin with .telex-batch itself"
            )
        return self.path.joinpath(*parts[:-1], last)

    def write(self, name: str, text: str) -> None:
        """Replace the file for the input ``name``. Raises ``OutputError``, also if a link leads out of the folder."""
        target = self.target(name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            # A link in the folder may have been made since.
            parent = os.path.realpath(target.parent)
            if parent != self._real and not parent.startswith(self._real.rstrip(os.sep) + os.sep):
                raise OutputError(f"{target} is outside {self.path}, because a folder is a link")
            handle, temporary = tempfile.mkstemp(dir=parent, prefix=".telex-batch.", suffix=".new")
            try:
                with os.fdopen(handle, "wb") as file:
                    if sys.platform != "win32":
                        os.umask(mask := os.umask(0o077))
                        os.fchmod(file.fileno(), 0o666 & ~mask)
                    file.write(text.encode("utf-8", "replace"))
                    if not text.endswith("\n"):
                        file.write(b"\n")
                os.replace(temporary, Path(parent, target.name))  # noqa: PTH105 - replaces a link, does not follow it
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)  # noqa: PTH108
                raise
        except OSError as error:
            raise OutputError(f"{target}: {error.strerror or error}") from None
