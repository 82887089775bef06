"""The line editor of an interactive conversation. Only this module imports prompt_toolkit."""

from __future__ import annotations

import contextlib
import re
import select
import signal
import sys
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.completion import Completer, Completion
from prompt_toolkit.cursor_shapes import DynamicCursorShapeConfig, ModalCursorShapeConfig
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER, EditingMode
from prompt_toolkit.filters import emacs_mode, has_focus
from prompt_toolkit.history import FileHistory, InMemoryHistory
from prompt_toolkit.input import create_input
from prompt_toolkit.input.typeahead import store_typeahead
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.output import create_output
from prompt_toolkit.styles import Style

from provider_core import files
from provider_core.errors import FileError
from telex.exit_codes import Terminated
from telex.repl.commands import Completion as Found
from telex.repl.terminal import CONTINUED, HOW_TO_LEAVE, PROMPT, print_prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from prompt_toolkit.application import Application
    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.key_binding import KeyPressEvent
    from prompt_toolkit.output import Output

    from telex.console import Console

_MENU_ROWS = 7
"""Rows of the completion menu on most screens; in a longer list each row shows its number."""
_HISTORY_ENTRIES = 1000
_HISTORY_ENTRY = 20_000
"""Characters of the longest prompt that is saved. Longer ones are mostly pasted logs."""

_STYLE = {"prompt": "bold", "place": "fg:ansibrightblack"}


class LineEditor:
    """Reads prompts of any number of lines; Enter sends them.

    ``history`` is the file of earlier prompts, None saves none. ``complete`` gives the completions of the text before
    the cursor. ``edit`` opens the text in the user's editor and returns it, or None if that failed. ``uses_vi`` says
    before each prompt whether keys are those of vi. ``modules`` are imported while the user types the first one.
    """

    def __init__(
        self,
        console: Console,
        *,
        history: Path | None,
        complete: Callable[[str], Iterable[Found]],
        edit: Callable[[str], str | None],
        uses_vi: Callable[[], bool] = lambda: False,
        modules: Iterable[str] = (),
    ) -> None:
        self._console = console
        self._modules = tuple(modules)
        self._edit = edit
        self._uses_vi = uses_vi
        self._editing = False
        self._interrupts = 0
        """How often Ctrl-C came on an empty line in a row."""
        if sys.platform == "win32":
            self._input = create_input()
        else:
            self._input = _Keyboard(sys.stdin)
        self._session: PromptSession[str] = PromptSession(
            [("class:prompt", PROMPT)],
            multiline=True,
            prompt_continuation=CONTINUED,
            complete_while_typing=False,
            completer=_Completer(complete),
            history=InMemoryHistory() if history is None else InputHistory(history, report=console.note),
            key_bindings=self._keys(),
            enable_suspend=True,
            # A sent prompt is printed again as text: that wraps, and may be longer than the screen.
            erase_when_done=True,
            style=Style([*_STYLE.items()] if console.out_has_colour else []),
            input=self._input,
            output=_output(),
            cursor=DynamicCursorShapeConfig(lambda: ModalCursorShapeConfig() if uses_vi() else None),
        )
        self._session.app.ttimeoutlen = 0.05

    def read(self) -> str:
        """A prompt. Raises ``EOFError`` when the user leaves, and ``Terminated``."""
        self._interrupts = 0
        if sys.platform != "win32" and isinstance(self._input, _Keyboard):
            self._input.read_ahead(self._console)
        self._session.editing_mode = EditingMode.VI if self._uses_vi() else EditingMode.EMACS
        if self._modules:
            modules, self._modules = self._modules, ()
            threading.Thread(target=lambda: [*map(import_module, modules)], daemon=True).start()
        app = self._session.app
        text = self._session.prompt(pre_run=lambda: _end_at_signals(app), set_exception_handler=False)
        if text.strip():
            print_prompt(self._console, text)
        return text

    def choose(self, choices: Sequence[str], *, current: str, typed: str = "") -> str | None:
        """Let the user choose from a list, filtered by what they type; None if they do not. Raises ``Terminated``.

        A choice is shown if it contains all words that are typed, in any case; the ``current`` one is the first.
        """
        ordered = sorted(choices, key=lambda each: each != current)

        def matching(text: str) -> list[Found]:
            words = text.casefold().split()
            return [
                Found(text=each, replaces=len(text), words="current" if each == current else "")
                for each in ordered
                if all(word in each.casefold() for word in words)
            ]

        keys = KeyBindings()

        @keys.add("enter")
        def accept(event: KeyPressEvent) -> None:
            text = event.current_buffer.text
            event.app.exit(
                result=text if text in choices else next((each.text for each in matching(text)), "")
            )

        for name in ("escape", "c-c", "c-d", "c-g", "<sigint>"):
            keys.add(name, eager=True)(lambda event: event.app.exit(result=""))
        session: PromptSession[str] = PromptSession(
            "Model: ",
            completer=_Completer(matching),
            complete_while_typing=True,
            key_bindings=keys,
            rprompt=[("class:place", "type to filter · Enter switches · Esc cancels")],
            erase_when_done=True,
            style=Style([*_STYLE.items()] if self._console.out_has_colour else []),
            input=self._input,
            output=self._session.app.output,
        )
        session.app.ttimeoutlen = 0.05

        def begin() -> None:
            _end_at_signals(session.app)
            session.default_buffer.start_completion()

        return session.prompt(default=typed, pre_run=begin, set_exception_handler=False) or None

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()
        in_prompt = has_focus(DEFAULT_BUFFER)
        keys.add("enter", filter=in_prompt)(self._enter)
        # In vi mode, Escape is a key of its own.
        for combination, where in ((("escape", "enter"), in_prompt & emacs_mode), (("c-j",), in_prompt)):
            keys.add(*combination, filter=where)(lambda event: event.current_buffer.insert_text("\n"))
        keys.add("c-c", filter=in_prompt)(self._interrupt)
        keys.add("<sigint>")(self._interrupt)
        for combination in (("c-g",), ("c-x", "c-e")):
            keys.add(*combination, filter=in_prompt)(self._open_editor)
        return keys

    def _enter(self, event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        before = buffer.document.text_before_cursor
        if buffer.complete_state is not None and buffer.complete_state.current_completion is not None:
            buffer.complete_state = None  # accept the selected completion
        elif before.endswith("\\") and not before.endswith("\\\\") and buffer.document.is_cursor_at_the_end:
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    def _interrupt(self, event: KeyPressEvent) -> None:
        if self._editing:  # the Ctrl-C is for the editor
            return
        buffer = event.app.layout.get_buffer_by_name(DEFAULT_BUFFER)
        if buffer is None or buffer.text:
            self._interrupts = 0
            if buffer is not None:
                event.app.clipboard.set_text(buffer.text)  # Ctrl-Y restores it
                buffer.reset()
            event.app.layout.focus(DEFAULT_BUFFER)
            return
        self._interrupts += 1
        if self._interrupts == 2:
            run_in_terminal(lambda: self._console.note(HOW_TO_LEAVE))

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


def _end_at_signals(app: Application[Any]) -> None:
    """Let signals, and errors in callbacks, end ``app`` with the terminal in order."""
    loop = app.loop
    if loop is None:
        return
    loop.set_exception_handler(lambda _, context: _end(app, context.get("exception")))
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, _end, app, Terminated(number))


def _end(app: Application[Any], reason: BaseException | None) -> None:
    if reason is not None and app.is_running and not app.is_done:
        app.exit(exception=reason)


class InputHistory(FileHistory):
    """Earlier prompts, in a private file that several sessions may write at a time.

    As in shells, text that begins with a space is not saved. ``report`` is called with the first error; after that
    nothing is saved.
    """

    def __init__(self, path: Path, *, report: Callable[[str], None]) -> None:
        super().__init__(path)
        self._path = path
        self._report = report
        self._works = True

    def load_history_strings(self) -> Iterable[str]:
        """The last entries, newest first."""
        if not self._path.is_file():  # a link to /dev/null turns the history off
            return []
        try:
            files.make_private(self._path)
            return list(super().load_history_strings())[:_HISTORY_ENTRIES]
        except OSError as error:
            self._fail(error.strerror or str(error))
            return []

    def store_string(self, string: str) -> None:
        if not self._works or not string.strip() or string[0].isspace() or len(string) > _HISTORY_ENTRY:
            return
        try:
            files.private_folder(self._path.parent)
            with files.locked(self._path):
                self._path.touch(files.PRIVATE)
                super().store_string(string)
        except FileError as error:
            self._fail(error.reason)
        except OSError as error:
            self._fail(error.strerror or str(error))

    def _fail(self, reason: str) -> None:
        self._works = False
        self._report(f"Your input cannot be saved in {self._path}: {reason}.")


class _Completer(Completer):
    def __init__(self, complete: Callable[[str], Iterable[Found]]) -> None:
        self._complete = complete

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        every = list(self._complete(document.text_before_cursor))
        for number, found in enumerate(every, 1):
            place = f"{number} of {len(every)}" if len(every) > _MENU_ROWS else ""
            yield Completion(
                found.text,
                start_position=-found.replaces,
                display=found.text.strip(),
                display_meta="  ".join(filter(None, (found.words, place))),
            )


# --- the terminal ------------------------------------------------------------------------------------------


def _output() -> Output:
    output = create_output(sys.stdout)
    # Asking for the cursor's position leaves marks on terminals that do not answer.
    if hasattr(output, "enable_cpr"):
        output.enable_cpr = False
    return output


_KEPT_KEYS = re.compile(
    r"(\x1b\[200~.*?\x1b\[201~|\x1b\r)"  # a paste, Alt-Enter
    r"|\x1b\[[0-?]*[ -/]*(?:[@-~]|$)|\x1bO.?|\x1b.?|[\x01-\x03\x05-\x0c\x0e-\x1f\x7f]",
    re.DOTALL,
)


def typed_ahead(data: str) -> str:
    """Input from before there was a prompt, as keys for the prompt: text, pastes, Enter and Ctrl-D.

    The terminal's line mode has turned Enter into a line feed and Ctrl-D into a null. Keys that move the cursor, edit
    or recall are dropped: there was no line that they could have been meant for.
    """
    data = data.replace("\n", "\r").replace("\0", "\x04")
    return _KEPT_KEYS.sub(lambda found: found[1] or "", data)


if sys.platform != "win32":
    from prompt_toolkit.input.vt100 import Vt100Input

    class _Keyboard(Vt100Input):
        """The keyboard, with the input from before the prompt was there to read it."""

        _has_more = False

        def read_ahead(self, console: Console) -> None:
            """Take what was typed already, and find out whether there is more."""
            if console.typed_ahead:
                self.vt100_parser.feed(typed_ahead(console.typed_ahead.decode("utf-8", "replace")))
                store_typeahead(self, self.flush_keys())
                console.typed_ahead = b""
            with self.raw_mode():
                self._has_more = bool(select.select([self.fileno()], [], [], 0)[0])

        def read_keys(self) -> list[Any]:
            data = self.stdin_reader.read()
            if self._has_more:
                self._has_more = False
                while select.select([self.fileno()], [], [], 0)[0] and (more := self.stdin_reader.read()):
                    data += more
                data = typed_ahead(data)
            self.vt100_parser.feed(data)
            found, self._buffer = self._buffer, []
            return found
