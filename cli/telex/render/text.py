"""An answer for people as it arrives: text on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Protocol

from provider_core.events import (
    AnswerEnded,
    ChatEnded,
    Connecting,
    Continuing,
    FellBack,
    RequestStarted,
    SchemaRetry,
    ToolEnded,
    ToolProgress,
    ToolStarted,
)
from provider_core.types import (
    CallAsText,
    FieldDropped,
    FieldIgnored,
    Idle,
    Reasoning,
    Retrying,
    Sent,
    Text,
    Verdict,
)
from telex.console import visible
from telex.render import ChatFailed, Paused, StatusLine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from provider_core.events import Answer, Event
    from provider_core.types import Target
    from telex.console import Console
    from telex.render import CommandEvent, Explain, Renderer, RenderOptions
    from telex.wrapping import Flow

    _Status: TypeAlias = (
        Retrying | FellBack | FieldDropped | FieldIgnored | CallAsText | SchemaRetry | Continuing
    )

SPINNER_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
SPINNER_PERIOD = 0.1
"""Seconds between two frames of a spinner."""
_SPINNER_DELAY = 0.3
"""Seconds without a spinner: most answers start earlier."""
_LABEL_DELAY = 3.0
"""Seconds until a spinner says what it is waiting for."""
_CHARACTERS_PER_TOKEN = 4


def renderer_for(console: Console, options: RenderOptions, *, explain: Explain = lambda _: None) -> Renderer:
    """The renderer for ``options``. ``explain`` gives the hints that JSON contains."""
    if options.format == "json" or options.format == "jsonl":
        from telex.render.json import JsonLinesRenderer, JsonRenderer

        return (JsonRenderer if options.format == "json" else JsonLinesRenderer)(console, explain)
    return TextRenderer(console, options)


class TextRenderer:
    """``title`` names the answer in notes where there are several; ``clock`` times the reasoning."""

    def __init__(
        self,
        console: Console,
        options: RenderOptions,
        *,
        title: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._options = options
        self._title = title
        self._reasoning = ReasoningRenderer(console, options.reasoning, clock=clock)
        self._text: AnswerText | None = None
        self._spinner: Spinner | None = None
        self._target: Target | None = None
        self._running: list[str] = []
        """The names of the tools that run; the first of them since ``_running_since``."""
        self._running_since = 0.0

    def handle(self, event: Event | CommandEvent) -> None:
        match event:
            case Text(text=text):
                if self._spinner is not None and self._spinner.running:
                    self._spinner.stop()
                if self._reasoning.active:
                    self._reasoning.end()
                self._text = self._text or self._open_text()
                self._text.write(text)
            case Reasoning(text=text):
                self._add_reasoning(text)
            case Connecting(target=target):
                self._target = target
                self._wait_for(f"connecting to {target.provider.name}")
            case RequestStarted(number=number) if number > 1 and self._target is not None:
                self._wait_for(f"connecting to {self._target.provider.name}")
            case Sent():
                self._wait_for(f"waiting for {self._target.provider.name if self._target else 'the answer'}")
            case Idle():
                # The server is working: a good time to import what rendering its answer takes.
                self._text = self._text or self._open_text(ask=True)
            case Retrying() | FellBack() | FieldDropped() | FieldIgnored() | CallAsText() | SchemaRetry():
                self._add_status(event)
            case ToolStarted() | ToolProgress() | ToolEnded():
                self._show_tool(event)
            case AnswerEnded(goes_on=True):
                self._reasoning.end()
            case Continuing():
                # On a terminal a note would break the text; the end of the answer has one.
                if not (self._console.out_is_terminal or self._options.quiet):
                    self._add_status(event)
                self._wait_for("waiting for the rest of the answer")
            case AnswerEnded() | Paused():
                self._pause()
            case StatusLine(text=line):
                self._note(line)
            case ChatEnded(answer=answer):
                self._close()
                self._end(answer)
            case ChatFailed():
                self._close()

    # --- while it is waited for ------------------------------------------------------------------------------

    def _wait_for(self, label: str) -> None:
        """Say what telex is waiting for, if it takes long."""
        if self._spinner is None and self._console.err_can_move:
            self._spinner = Spinner(self._console)
        if self._spinner is not None:
            self._spinner.label, self._spinner.until = label, None

    def _add_status(self, event: _Status) -> None:
        from telex.render.messages import status_line

        if isinstance(event, FieldIgnored | CallAsText):
            self._pause()  # it is about the answer, which has ended
        self._note(status_line(event, self._target))
        if isinstance(event, Retrying) and self._spinner is not None:
            self._spinner.label, self._spinner.until = "retry", time.monotonic() + event.seconds

    def _show_tool(self, event: ToolStarted | ToolProgress | ToolEnded) -> None:
        from telex.render import messages

        if isinstance(event, ToolProgress):
            if self._spinner is not None and self._running:
                self._spinner.label = (
                    f"{messages.running_tools(self._running)}: {messages.tool_progress(event)}"
                )
            return
        self._pause()
        if isinstance(event, ToolStarted):
            self._running_since = self._running_since if self._running else time.monotonic()
            self._running.append(event.planned.name)
        else:
            if event.planned is not None and event.planned.name in self._running:
                self._running.remove(event.planned.name)
            if not self._options.quiet:
                self._note(messages.ended_call(event))
        self._wait_for(
            messages.running_tools(self._running) if self._running else "asking for the available tools"
        )
        if self._spinner is not None and self._running:
            self._spinner.since, self._spinner.label_delay = self._running_since, 0.0

    # --- the answer ------------------------------------------------------------------------------------------

    def _add_reasoning(self, text: str) -> None:
        if self._options.reasoning == "show":
            if self._spinner is not None:
                self._spinner.stop()
        else:
            self._wait_for("thinking")
        if not self._reasoning.active and self._options.reasoning != "hide" and self._text is not None:
            self._text.make_room()
        self._reasoning.add(text)

    def _open_text(self, *, ask: bool = False) -> AnswerText:
        """Where the text goes. With ``ask`` there is time to ask the terminal for its background."""
        options, console = self._options, self._console
        if options.format == "extract":
            from telex.render.extract import FirstBlock

            return FirstBlock(console)
        if options.markdown and (console.out_is_terminal or options.markdown_anywhere):
            from telex.render.live import LiveMarkdown
            from telex.render.styles import Colour, Look, look_for

            look = look_for(console, options.code_theme, ask=ask)
            if look is None and not console.out_is_terminal:
                look = Look(colour=Colour.NONE)
            if look is not None:
                return LiveMarkdown(console, look=look)
        return PlainText(console)

    def _note(self, line: str) -> None:
        """Print a line on stderr, without disturbing the spinner or live text."""
        if self._reasoning.mode == "show":
            self._reasoning.end()
        if self._text is not None:
            self._text.make_room()
        with self._spinner.hidden() if self._spinner is not None else contextlib.nullcontext():
            self._console.note(line)

    def _pause(self) -> None:
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None
        self._reasoning.end()
        if self._text is not None and self._text.pause():
            self._text = None

    def _close(self) -> None:
        if self._spinner is not None:
            self._spinner.stop()
        self._reasoning.end()
        if self._text is not None:
            self._text.close()

    def _end(self, answer: Answer) -> None:
        options, note = self._options, self._console.note
        attachments = answer.sources or answer.images or answer.choices or answer.logprobs
        if not (attachments or answer.parts or options.usage != "none"):
            return
        from telex.render import messages

        interrupted = answer.verdict is Verdict.INTERRUPTED
        if not options.quiet:
            for line in messages.attachment_lines(answer, self._title):
                note(line)
            if answer.parts and not interrupted:
                note(messages.continued_line(answer))
        complete = answer.finish or answer.verdict is Verdict.COMPLETE
        if options.usage != "none" and complete and not interrupted:
            note(messages.usage_line(answer, full=options.usage == "full"))


class AnswerText(Protocol):
    """Shows the text of an answer on stdout."""

    def write(self, text: str) -> None:
        """Take a piece of the text."""

    def make_room(self) -> None:
        """A line on stderr follows; more text may follow that. On a terminal both share the screen."""

    def pause(self) -> bool:
        """Something else follows, such as tool calls. Return whether the text so far is finished and shown."""

    def close(self) -> None:
        """The answer has ended, or was cut."""


class PlainText:
    """Writes the text unchanged, with one newline after it; on a terminal, control characters become visible."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._line_open = False

    def write(self, text: str) -> None:
        self._line_open = True
        self._console.answer(text)

    def make_room(self) -> None:
        if self._console.out_is_terminal:
            self.close()

    def pause(self) -> bool:
        self.close()
        return True

    def close(self) -> None:
        if self._line_open:
            self._line_open = False
            self._console.out("\n")


class ReasoningRenderer:
    """Shows reasoning on stderr while it arrives ("show"), as one line ("summary"), or not at all ("hide")."""

    def __init__(self, console: Console, mode: str, *, clock: Callable[[], float]) -> None:
        self._console = console
        self.mode = mode
        self._clock = clock
        self._since = 0.0
        self._characters = 0
        self._line_open = False
        self._flow: Flow | None = None
        self.active = False
        """Whether reasoning has come, and nothing else since."""

    def add(self, text: str) -> None:
        if not self.active:
            self.active = True
            self._since = self._clock()
            self._characters = 0
            if self.mode == "show" and self._console.err_is_terminal:
                self._console.note("Thinking:")
        self._characters += len(text)
        if self.mode == "show":
            self._line_open = not text.endswith("\n")
            if self._console.err_is_terminal:
                from telex.wrapping import Flow

                self._flow = self._flow or Flow()
                text = self._flow.add(visible(text), self._console.width())
            self._console.err(text, dim=True)

    def end(self) -> None:
        """End the line, as something else follows, or print the summary."""
        if not self.active:
            return
        self.active = False
        if self._flow is not None:
            self._console.err(self._flow.end(self._console.width()), dim=True)
        if self.mode == "show":
            # On a terminal there is an empty line between reasoning and answer.
            blank = "\n" if self._console.err_is_terminal else ""
            self._console.err(("\n" if self._line_open else "") + blank)
        elif self.mode == "summary":
            self._console.note(reasoning_summary(self._clock() - self._since, self._characters))


def reasoning_summary(seconds: float, characters: int) -> str:
    """How long a model reasoned, and about how much."""
    return f"Thought for {seconds:.1f} s, about {estimated_tokens(characters)} tokens."


def estimated_tokens(characters: int) -> int:
    return max(1, round(characters / _CHARACTERS_PER_TOKEN))


class Spinner:
    """Draws on a terminal's stderr from its own thread while nothing has come; elsewhere it does nothing.

    ``label`` is what is waited for, and may change, ``since`` when that began, and ``until`` when a wait of known
    length ends, by the monotonic clock.
    """

    def __init__(self, console: Console, label: str = "") -> None:
        self.label = label
        self.since = time.monotonic()
        self.until: float | None = None
        self.label_delay = _LABEL_DELAY
        self.running = console.err_can_move
        self._console = console
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._drawn = False
        if self.running:
            self._thread = threading.Thread(target=self._draw, name="telex-spinner", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop drawing, and erase the line."""
        if self.running:
            self.running = False
            self._ended.set()
            self._thread.join()
            self._erase()

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """Erase the line while another one is printed; the spinner continues below that."""
        with self._lock:
            self._erase()
            yield

    def _erase(self) -> None:
        if self._drawn:
            self._drawn = False
            self._console.raw_err("\r\x1b[K")

    def _draw(self) -> None:
        frame, delay = 0, _SPINNER_DELAY
        while not self._ended.wait(delay):
            delay = SPINNER_PERIOD
            with self._lock:
                line = f"{SPINNER_FRAMES[frame % len(SPINNER_FRAMES)]} {self._words()}"
                # Narrower than the terminal: a line that wraps cannot be erased.
                line = line[: max(1, self._console.width() - 2)].rstrip()
                if self._console.err_has_colour:
                    line = self._console.painted(line, "grey")
                self._console.raw_err(f"\r{line}\x1b[K")
                self._drawn = True
            frame += 1

    def _words(self) -> str:
        now = time.monotonic()
        if self.until is not None and self.until > now:
            return f"{self.label} in {self.until - now:.0f} s"
        taken = now - self.since
        return f"{self.label}, {taken:.0f} s" if taken > self.label_delay else ""
