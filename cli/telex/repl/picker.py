"""A list on the terminal to choose from: type to filter it, move with the arrow keys, Enter takes the choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.application import Application, get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.bindings.emacs import load_emacs_bindings
from prompt_toolkit.key_binding.key_bindings import merge_key_bindings
from prompt_toolkit.layout import BufferControl, FormattedTextControl, HSplit, Layout, Window
from prompt_toolkit.layout.processors import BeforeInput
from prompt_toolkit.styles import Style

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.input import Input
    from prompt_toolkit.key_binding import KeyPressEvent
    from prompt_toolkit.output import Output

_ROWS = 10
"""Most rows of the list."""
_OTHER_ROWS = 3
"""Rows for the filter, the line below the list, and the cursor's own line after it."""


class Picker:
    """Returns the chosen one of ``choices``, or None. ``typed`` is the filter to begin with.

    A choice is shown if it contains all words of the filter, in any case. ``current`` is marked, and chosen first.
    ``application`` is what runs, for signals that have to end it.
    """

    def __init__(
        self,
        choices: Sequence[str],
        *,
        current: str,
        typed: str,
        input: Input,  # noqa: A002
        output: Output,
    ) -> None:
        self._choices = choices
        self._current = current
        self._found: Sequence[str] = choices
        self._at = choices.index(current) if current in choices else 0
        self._buffer = Buffer(multiline=False, on_text_changed=lambda _: self._filter())
        self._buffer.document = Document(typed, len(typed))
        self.application: Application[str | None] = Application(
            layout=Layout(
                HSplit(
                    [
                        Window(
                            BufferControl(self._buffer, input_processors=[BeforeInput("Model: ")]), height=1
                        ),
                        Window(FormattedTextControl(self._rows), height=self._height),
                        Window(FormattedTextControl(self._footer), height=1),
                    ]
                )
            ),
            key_bindings=merge_key_bindings([load_emacs_bindings(), self._keys()]),
            style=Style([("chosen", "reverse"), ("footer", "fg:ansibrightblack")]),
            erase_when_done=True,
            input=input,
            output=output,
        )
        self.application.ttimeoutlen = 0.05

    def run(self, pre_run: Callable[[], None] | None = None) -> str | None:
        """Let the user choose; None if they do not."""
        return self.application.run(pre_run=pre_run, set_exception_handler=False)

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        def move(by: Callable[[], int]) -> Callable[[KeyPressEvent], None]:
            def moved(_: KeyPressEvent) -> None:
                self._at = max(0, min(len(self._found) - 1, self._at + by()))

            return moved

        for names, by in (
            (("up", "c-p", "s-tab"), lambda: -1),
            (("down", "c-n", "tab"), lambda: 1),
            (("pageup",), lambda: -self._height()),
            (("pagedown",), self._height),
            (("c-home",), lambda: -len(self._choices)),
            (("c-end",), lambda: len(self._choices)),
        ):
            for name in names:
                keys.add(name)(move(by))
        keys.add("enter")(lambda event: event.app.exit(result=self._chosen()))
        for name in ("c-c", "c-d", "c-g", "<sigint>"):
            keys.add(name)(lambda event: event.app.exit(result=None))
        keys.add("escape", eager=True)(lambda event: event.app.exit(result=None))
        return keys

    def _filter(self) -> None:
        words = self._buffer.text.casefold().split()
        self._found = [each for each in self._choices if all(word in each.casefold() for word in words)]
        self._at = self._found.index(self._current) if not words and self._current in self._found else 0

    def _chosen(self) -> str | None:
        return self._found[self._at] if self._found else None

    def _height(self) -> int:
        return max(1, min(_ROWS, len(self._choices), get_app().output.get_size().rows - _OTHER_ROWS))

    def _rows(self) -> StyleAndTextTuples:
        height = self._height()
        first = max(0, min(self._at - height // 2, len(self._found) - height))
        rows: StyleAndTextTuples = []
        for at, each in enumerate(self._found[first : first + height], first):
            mark = "*" if each == self._current else " "
            rows.append(("class:chosen" if at == self._at else "", f"{mark} {each}"))
            rows.append(("", "\n"))
        return rows[:-1] if rows else [("", "No model matches. Backspace removes letters.")]

    def _footer(self) -> StyleAndTextTuples:
        place = f"{self._at + 1} of {len(self._found)}" if self._found else "0"
        return [("class:footer", f"{place} · type to filter · Enter switches · Esc cancels")]
