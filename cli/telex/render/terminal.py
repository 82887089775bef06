"""An answer as Markdown on a terminal while it arrives."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from telex.render.highlighting import prepare
from telex.render.markdown import MarkdownStream
from telex.render.screen import SuspendHandler
from telex.render.styles import Colour

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.console import Console
    from telex.render.styles import Look

_PULSE = 1 / 30
"""Seconds between two repaints of the pulse thread, which paints what came too fast to be painted at once."""


class LiveMarkdown:
    """Renders the text block by block; Ctrl-Z loses nothing."""

    def __init__(self, console: Console, *, look: Look) -> None:
        self._console = console
        if look.colour is not Colour.NONE:
            prepare(look)  # the request is on its way, and there is nothing else to do
        self._markdown = MarkdownStream(
            console.raw_out,
            width=console.width,
            height=console.height,
            look=look,
            live=console.out_is_terminal,
        )
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._pulse: threading.Thread | None = None
        self._broken: Exception | None = None
        self._suspend_handler = SuspendHandler(self._lock, self._markdown.suspend, self._markdown.resume)
        self._suspend_handler.catch()

    def write(self, text: str) -> None:
        with self._painting():
            self._markdown.resume()
            self._markdown.feed(text)
        if self._pulse is None and self._console.out_is_terminal:
            self._pulse = threading.Thread(target=self._beat, name="telex-paint", daemon=True)
            self._pulse.start()

    def make_room(self) -> None:
        """Take the live rows off the screen; more text brings them back."""
        if self._console.out_is_terminal and self._console.err_is_terminal:
            with self._painting():
                self._markdown.suspend()

    def pause(self) -> bool:
        self.close()
        return True

    def close(self) -> None:
        self._ended.set()
        if self._pulse is not None:
            self._pulse.join()
        with self._painting():
            self._markdown.close()
        self._suspend_handler.release()

    def _beat(self) -> None:
        while not self._ended.wait(_PULSE):
            try:
                with self._lock:
                    self._markdown.tick()
            except Exception as error:  # noqa: BLE001 - raised again in the thread that can end the command
                self._broken = error
                return

    @contextlib.contextmanager
    def _painting(self) -> Iterator[None]:
        if self._broken is not None:
            broken, self._broken = self._broken, None
            raise broken
        with self._lock:
            yield
        self._suspend_handler.due()
