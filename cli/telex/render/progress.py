"""A progress bar on stderr for the one long fetch there is: the default model of the embedded server."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from provider_core.local import Progress
    from telex.console import Console

__all__ = ["fetch_progress"]

_PHASES = {
    "wait": "Waiting for another telex",
    "fetch": "Fetching the model",
    "unpack": "Unpacking the model",
    "verify": "Checking the model",
}


@contextlib.contextmanager
def fetch_progress(console: Console) -> Iterator[Callable[[Progress], None]]:
    """A callback that draws a bar on a terminal, and says one line per phase anywhere else.

    Nothing is shown, and Rich is not imported, until the callback is called for the first time.
    """
    bar = _Bar() if console.err_is_terminal else None
    told: set[str] = set()

    def report(progress: Progress) -> None:
        if bar is not None:
            bar.show(progress)
        elif progress.phase not in told:
            told.add(progress.phase)
            size = f" ({progress.total / 1e6:.0f} MB)" if progress.phase == "fetch" else ""
            console.note(f"{_PHASES[progress.phase]}{size} …")

    try:
        yield report
    finally:
        if bar is not None:
            bar.close()


class _Bar:
    def __init__(self) -> None:
        self._stop: Callable[[], None] | None = None

    def show(self, progress: Progress) -> None:
        if self._stop is None:
            self._start()
        self._update(progress)

    def _start(self) -> None:
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TimeRemainingColumn(compact=True),
            console=RichConsole(stderr=True),
            transient=True,
        )
        bar.start()
        task = bar.add_task("", total=None)

        def update(progress: Progress) -> None:
            bar.update(
                task,
                description=_PHASES[progress.phase],
                completed=progress.done,
                total=progress.total or None,
            )

        self._update = update
        self._stop = bar.stop

    def close(self) -> None:
        if self._stop is not None:
            self._stop()
