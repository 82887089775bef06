"""Lines of a conversation, read and edited: the one place that knows prompt_toolkit, and a plain one beside it.

What a line means is not known here.
"""

from __future__ import annotations

import contextlib
import re
import select
import signal
import sys
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.completion import Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.history import History
from prompt_toolkit.input import create_input
from prompt_toolkit.input.typeahead import store_typeahead
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.output import create_output
from prompt_toolkit.styles import Style

from telex.repl.plain import CONTINUED, LEAVE, PROMPT, written
from telex.repl.window import Window
from telex.signals import Terminated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.input import Input
    from prompt_toolkit.key_binding import KeyPressEvent
    from prompt_toolkit.output import Output

    from telex.console import Console
    from telex.repl.completion import Candidate
    from telex.repl.recall import Recall

__all__ = ["LineEditor", "typed_ahead"]


_MENU = 7
"""Rows that the completion menu has on most screens; of a longer list each row tells its number."""


class LineEditor:
    """Prompts of any number of lines: Enter sends them.

    ``offers`` gives what may stand where the text ends; ``edit`` opens the user's editor, None where that failed.
    """

    def __init__(
        self,
        console: Console,
        *,
        recall: Recall,
        offers: Callable[[str], Iterable[Candidate]],
        edit: Callable[[str], str | None],
    ) -> None:
        self._console = console
        self._edit = edit
        self._editing = False
        self._empty = 0
        """How often Ctrl-C has come on an empty line, one after the other."""
        self._input = _input()
        self._window = Window()
        self._session: PromptSession[str] = PromptSession(
            [("class:prompt", PROMPT)],
            multiline=True,
            prompt_continuation=CONTINUED,
            complete_while_typing=False,
            completer=_Offers(offers),
            history=_Past(recall),
            key_bindings=self._keys(),
            enable_suspend=True,
            # What was sent is written as text: it wraps as text does, and is not cut to the screen's height.
            erase_when_done=True,
            style=Style([("prompt", "bold" if console.out_has_colour else "")]),
            input=self._input,
            output=_output(),
        )

    def read(self) -> str:
        """What was sent. Raises ``EOFError`` when the user leaves, and ``Terminated``."""
        self._empty = 0
        if isinstance(self._input, _Keys):
            self._input.look_behind(self._console)
        text = self._session.prompt(pre_run=self._listen, set_exception_handler=False)
        if text.strip():
            written(self._console, text)
        return text

    # --- keys ----------------------------------------------------------------------------------------------

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()
        here = has_focus(DEFAULT_BUFFER)
        keys.add("enter", filter=here)(self._enter)
        keys.add("escape", "enter", filter=here)(_new_line)
        keys.add("c-j", filter=here)(_new_line)
        keys.add("c-c", filter=here)(self._interrupt)
        keys.add("<sigint>")(self._interrupt)
        keys.add("c-g", filter=here)(self._open_editor)
        keys.add("c-x", "c-e", filter=here)(self._open_editor)
        keys.add("<cursor-position-response>")(self._window.told)
        return keys

    def _enter(self, event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        before = buffer.document.text_before_cursor
        if buffer.complete_state is not None and buffer.complete_state.current_completion is not None:
            buffer.complete_state = None  # it takes what is marked in the menu
        elif before.endswith("\\") and not before.endswith("\\\\") and buffer.document.is_cursor_at_the_end:
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    def _interrupt(self, event: KeyPressEvent) -> None:
        if self._editing:  # it is the editor's
            return
        buffer = event.app.layout.get_buffer_by_name(DEFAULT_BUFFER)
        if buffer is None or buffer.text:
            self._empty = 0
            if buffer is not None:
                event.app.clipboard.set_text(buffer.text)  # Ctrl-Y brings it back
                buffer.reset()
            event.app.layout.focus(DEFAULT_BUFFER)
            return
        self._empty += 1
        if self._empty == 2:
            run_in_terminal(lambda: self._console.note(LEAVE))

    def _open_editor(self, event: KeyPressEvent) -> None:
        buffer = event.current_buffer

        async def edit() -> None:
            self._editing = True
            try:
                text = await run_in_terminal(lambda: self._edit(buffer.text), in_executor=True)
            finally:
                self._editing = False
            if text is not None:
                buffer.document = Document(text, len(text))

        event.app.create_background_task(edit())

    # --- what else may come --------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Let signals, and mistakes in what runs here, end the reading with the terminal in order."""
        loop = self._session.app.loop
        if loop is None:
            return
        self._window.follow(self._session.app)
        loop.set_exception_handler(lambda _, context: self._end(context.get("exception")))
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                with contextlib.suppress(NotImplementedError):
                    loop.add_signal_handler(number, self._end, Terminated(number))

    def _end(self, reason: BaseException | None) -> None:
        app = self._session.app
        if reason is not None and app.is_running and not app.is_done:
            app.exit(exception=reason)


_TYPED = re.compile(
    r"(\x1b\[200~.*?\x1b\[201~|\x1b\r)"  # a paste, Alt-Enter
    r"|\x1b\[[0-?]*[ -/]*(?:[@-~]|$)|\x1bO.?|\x1b.?|[\x01-\x03\x05-\x0c\x0e-\x1f\x7f]",
    re.DOTALL,
)


def typed_ahead(data: str) -> str:
    """What was typed while no prompt was there, as keys for the prompt: text, pastes, Enter and Ctrl-D.

    The terminal's line mode has turned Enter into a line feed and Ctrl-D into a null. Keys that move, recall or
    edit were meant for no line and are dropped: they would mix an old prompt with the new one.
    """
    data = data.replace("\n", "\r").replace("\0", "\x04")
    return _TYPED.sub(lambda hit: hit[1] or "", data)


def _new_line(event: KeyPressEvent) -> None:
    event.current_buffer.insert_text("\n")


class _Offers(Completer):
    def __init__(self, offers: Callable[[str], Iterable[Candidate]]) -> None:
        self._offers = offers

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        every = list(self._offers(document.text_before_cursor))
        for number, found in enumerate(every, 1):
            place = f"{number} of {len(every)}" if len(every) > _MENU else ""
            yield Completion(
                found.text,
                start_position=-found.replaces,
                display=found.shown,
                display_meta="  ".join(filter(None, (found.words, place))),
            )


class _Past(History):
    def __init__(self, recall: Recall) -> None:
        super().__init__()
        self._recall = recall

    def load_history_strings(self) -> Iterable[str]:
        return reversed(self._recall.entries())

    def store_string(self, string: str) -> None:
        self._recall.add(string)


def _output() -> Output:
    output = create_output(sys.stdout)
    # Where the cursor is need not be known, and asking for it leaves marks on terminals that do not answer.
    if hasattr(output, "enable_cpr"):
        output.enable_cpr = False
    return output


if sys.platform == "win32":

    class _Keys:
        """Windows hands out keys one by one."""

        def look_behind(self, console: Console) -> None: ...

    def _input() -> Input:
        return create_input()

else:
    from prompt_toolkit.input.vt100 import Vt100Input

    class _Keys(Vt100Input):
        """The keyboard, and what was typed before the prompt was there to read it."""

        _behind = False

        def look_behind(self, console: Console) -> None:
            """Take what was typed already, and find out whether there is more."""
            if console.typed_ahead:
                self.vt100_parser.feed(typed_ahead(console.typed_ahead.decode("utf-8", "replace")))
                store_typeahead(self, self.flush_keys())
                console.typed_ahead = b""
            with self.raw_mode():
                self._behind = bool(select.select([self.fileno()], [], [], 0)[0])

        def read_keys(self) -> list[Any]:
            data = self.stdin_reader.read()
            if self._behind:
                self._behind = False
                while select.select([self.fileno()], [], [], 0)[0] and (more := self.stdin_reader.read()):
                    data += more
                data = typed_ahead(data)
            self.vt100_parser.feed(data)
            found, self._buffer = self._buffer, []
            return found

    def _input() -> Input:
        return _Keys(sys.stdin)
