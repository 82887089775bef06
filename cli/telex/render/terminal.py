"""An answer on a terminal: Markdown on stdout while it arrives, thoughts between its blocks, nothing lost to Ctrl-Z."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from provider_core.types import Reasoning, Text
from telex.render.highlighting import prepare
from telex.render.markdown import MarkdownStream
from telex.render.stops import Stops
from telex.render.styles import Colour

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.types import AnswerEvent
    from telex.console import Console
    from telex.render.styles import Look
    from telex.render.thoughts import Thoughts

__all__ = ["Terminal"]

_PULSE = 1 / 30
"""Seconds between looks at what was held back: text that comes in a burst is painted when the burst ends."""


class Terminal:
    """Shows events; a thread of its own paints what came too fast to be painted at once."""

    def __init__(self, console: Console, thoughts: Thoughts, *, look: Look) -> None:
        self._console = console
        self._thoughts = thoughts
        self.unsaid = 0
        """Nothing: what was taken is painted when the answer is closed."""
        if look.colour is not Colour.NONE:
            prepare(look)  # the request is on its way, and nothing else is to be done
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
        self._shared = console.out_is_terminal and console.err_is_terminal
        self._broken: Exception | None = None
        self._stops = Stops(self._lock, self._markdown.suspend, self._markdown.resume)
        self._stops.catch()

    def event(self, event: AnswerEvent) -> None:
        """Show one event."""
        match event:
            case Text(text=text):
                if self._thoughts.active:
                    self._thoughts.end()
                with self._painting():
                    self._markdown.resume()
                    self._markdown.feed(text)
                self._start_pulse()
            case Reasoning(text=text):
                if not self._thoughts.active and self._thoughts.mode != "hide":
                    self.make_room()
                self._thoughts.add(text)
            case _:
                pass

    def make_room(self) -> None:
        """Take what is live off the screen, where stderr has a line to show there; more text brings it back."""
        if self._shared:
            with self._painting():
                self._markdown.suspend()

    def pause(self) -> bool:
        """Leave what there is on the screen for good; whether it is done with."""
        self.close()
        return True

    def close(self) -> None:
        """Leave the answer on the screen for good, and the cursor below it."""
        self._ended.set()
        if self._pulse is not None:
            self._pulse.join()
        self._thoughts.end()
        with self._painting():
            self._markdown.close()
        self._stops.release()

    def _start_pulse(self) -> None:
        if self._pulse is None and self._console.out_is_terminal:
            self._pulse = threading.Thread(target=self._beat, name="telex-paint", daemon=True)
            self._pulse.start()

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
        self._stops.due()
