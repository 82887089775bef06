"""Stdin, stdout and stderr: terminals or not, reading input, writing answers and notes."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO, TypeAlias

import click

from provider_core import limits
from provider_core.structs import pattern

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PIECE = 1 << 20
"""Characters of a string in JSON that are written at once."""

NOTE_AFTER = 1.0
"""Seconds to wait for the end of stdin before a note says so: cron, CI and editors may leave it open for ever."""


class OutputClosed(Exception):  # noqa: N818 - as when head ends, this is not an error
    """The reader of stdout has closed it. Not BrokenPipeError, which click turns into exit code 1."""


class OutputError(Exception):
    """stdout cannot be written: a full disk, mostly. The message is the system's."""


class Console:
    """stdout carries the answer and nothing else; ``note`` and ``error`` go to stderr.

    A stream that the parent closed is None and swallows what is written to it.
    """

    def __init__(self, *, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self._abandoned = False
        self._last: tuple[str, list[int]] = ("", [])
        """The last text for stdout, unless all of it was written, and the number of bytes of each write."""
        self._answer = ""
        for stream in (sys.stdout, sys.stderr):
            # The answer is UTF-8 whatever the locale says; "C" in cron and CI would break on the first quote.
            if stream is not None and hasattr(stream, "reconfigure"):
                stream.reconfigure(
                    encoding="utf-8", errors="replace", newline="" if stream is sys.stdout else None
                )
        self.out_is_terminal = _isatty(sys.stdout)
        self.err_is_terminal = _isatty(sys.stderr)
        plain = environ.get("TERM") == "dumb" or bool(environ.get("NO_COLOR"))
        self.out_has_colour = self.out_is_terminal and not plain
        self.err_has_colour = self.err_is_terminal and not plain
        self.background: Background | None = None
        """How light the terminal is, if it has reported it."""
        self.typed_ahead = b""
        """Keys that were typed while the terminal was asked; a prompt reads them first."""
        self.err_can_move = self.err_is_terminal and environ.get("TERM") not in (None, "", "dumb")
        """Whether a line on stderr can be drawn over."""

    def width(self) -> int:
        """The terminal's columns, as they are now; COLUMNS can only make them fewer."""
        columns = self._size().columns
        if self.out_is_terminal:
            # Rows that are wider than the screen would wrap, and could not be painted over.
            with contextlib.suppress(OSError, ValueError, AttributeError):
                columns = min(columns, os.get_terminal_size(sys.stdout.fileno()).columns or columns)
        return columns

    def height(self) -> int:
        """The terminal's rows, as they are now; LINES overrides them."""
        return self._size().lines

    def _size(self) -> os.terminal_size:
        # Not shutil's function: it asks stdout alone, which may be a pipe, and importing shutil takes 5 ms.
        columns, lines = 80, 24
        for stream in (sys.stderr, sys.__stdout__):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                found = os.get_terminal_size(stream.fileno())  # type: ignore[union-attr]
                columns, lines = found.columns or columns, found.lines or lines
        return os.terminal_size((_from_variable("COLUMNS") or columns, _from_variable("LINES") or lines))

    def out(self, text: str) -> None:
        """Write to stdout and flush. On a terminal, control characters become visible."""
        self.raw_out(visible(text) if self.out_is_terminal else text)

    def answer(self, text: str) -> None:
        """Write a piece of an answer as ``out`` does. If that raises, ``unwritten`` says how much is missing."""
        self._answer, self._last = text, ("", [])
        self.out(text)
        self._answer = ""

    def raw_out(self, text: str) -> None:
        """Write telex's own text, which may contain escape sequences, to stdout."""
        if sys.stdout is None or self._abandoned:
            return
        taken: list[int] = []
        self._last = text, taken
        try:
            _write(sys.stdout, text, taken)
            self._last = "", taken
        except BrokenPipeError:
            self.abandon_stdout()
            raise OutputClosed from None
        except OSError as error:
            self.abandon_stdout()
            raise OutputError(error.strerror or str(error)) from error

    @property
    def unwritten(self) -> int:
        """How many characters at the end of the last piece of an answer did not reach stdout.

        On a terminal, where characters may be replaced, a piece counts as written if any of it was.
        """
        text, taken = self._last
        if self.out_is_terminal:
            return 0 if taken else len(self._answer)
        return len(self.rest) if text or taken else len(self._answer)

    @property
    def rest(self) -> str:
        """The unwritten end of the last text for stdout, after a signal."""
        text, taken = self._last
        if not text:
            return ""
        return text[len(text.encode("utf-8", "replace")[: sum(taken)].decode("utf-8", "ignore")) :]

    def json(self, value: object, *, indent: int | None = 2) -> None:
        """Write one JSON value to stdout; without ``indent`` it is one line."""
        for piece in json_pieces(value, indent=indent):
            self.out(piece)

    def err(self, text: str, *, dim: bool = False) -> None:
        """Write to stderr without a newline. A closed stderr is ignored."""
        if sys.stderr is None:
            return
        text = visible(text) if self.err_is_terminal else text
        if dim and self.err_has_colour:
            text = self.painted(text, "grey")
        self.raw_err(text)

    def raw_err(self, text: str) -> None:
        """Write telex's own text, which may contain escape sequences, to stderr."""
        if sys.stderr is not None:
            with contextlib.suppress(OSError, ValueError):
                _write(sys.stderr, text)

    def note(self, text: str) -> None:
        """Print a grey line on stderr, broken between words on a terminal."""
        self.err(self._broken(text), dim=True)
        self.err("\n")

    def error(self, message: str, hint: str | None = None) -> None:
        """Print an error on stderr, and the hint below it."""
        self.raw_err((self.painted("telex:", "red") if self.err_has_colour else "telex:") + " ")
        # The prefix counts when the line is broken.
        self.err(self._broken(f"telex: {message}")[len("telex: ") :] + "\n")
        for line in (hint or "").splitlines():
            self.err(self._broken(line, "  ") + "\n")

    def _broken(self, text: str, indent: str = "") -> str:
        """``text`` broken between words if stderr is a terminal that is too narrow for it."""
        width = self.width() if self.err_is_terminal else 0
        widest = 1 if text.isascii() else 2
        if not width or all(len(line) * widest + len(indent) <= width for line in text.split("\n")):
            return "\n".join(f"{indent}{line}" for line in text.split("\n"))
        from telex.wrapping import paragraph

        return paragraph(visible(text), width, indent)

    def colour(self, name: str) -> str:
        """The parameters of the escape sequence for a colour of ``COLOURS``; "" where there are too few."""
        if not many_colours(self.environ):
            return ""
        known = background_by_environment(self.environ) if self.background is None else self.background
        return f"38;5;{COLOURS[known][name]}"

    def painted(self, text: str, name: str) -> str:
        """``text`` in a colour of ``COLOURS``. The caller knows that the stream takes colours."""
        colour = self.colour(name)
        return f"\x1b[{colour}m{text}\x1b[m" if colour and text else text

    def flush(self) -> None:
        self.out("")

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """While ``sys.stdout`` is another file or terminal. Errors in writing to it do not abandon stdout."""
        before = (self.out_is_terminal, self.out_has_colour, self._abandoned)
        self.out_is_terminal = _isatty(sys.stdout)
        self.out_has_colour = self.out_has_colour and self.out_is_terminal
        self._abandoned = False
        try:
            yield
        finally:
            self.out_is_terminal, self.out_has_colour, self._abandoned = before

    def abandon_stdout(self) -> None:
        """Write nothing more, as the reader has gone; the interpreter's last flush must not fail."""
        self._abandoned = True
        with contextlib.suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)

    # --- input ---------------------------------------------------------------------------------------------

    def stdin_is_terminal(self) -> bool:
        return _isatty(sys.stdin)

    def can_prompt(self) -> bool:
        """Whether stdin and stderr are terminals: a question can be shown there, and an answer typed."""
        return self.stdin_is_terminal() and self.err_is_terminal

    def require_terminal(self, otherwise: str) -> None:
        """Raise ``click.UsageError`` with the message ``otherwise`` if there is no terminal to prompt on."""
        if not self.can_prompt():
            raise click.UsageError(otherwise)

    def confirm(self, question: str, *, otherwise: str, declined: str) -> None:
        """Ask for confirmation; raises ``Stop``, after the note ``declined``, if the answer is no.

        Without a terminal, raises ``click.UsageError`` with the message ``otherwise``.
        """
        self.require_terminal(otherwise)
        if not click.confirm(question, err=True):
            from telex.exit_codes import ExitCode, Stop

            self.note(declined)
            raise Stop(ExitCode.OTHER)

    def confirm_removal(self, what: str) -> None:
        """As ``confirm``, before ``what`` is removed."""
        self.confirm(
            f"Remove {what}?",
            otherwise=f"refusing to remove {what} without confirmation; use --yes",
            declined="Nothing was removed.",
        )

    def read_stdin(self) -> str | None:
        """All of stdin as text, a terminal's too; raises ``click.UsageError`` for bytes that are not UTF-8."""
        raw = self.read_stdin_bytes(named=True)
        return None if raw is None else stdin_text(raw)

    def read_stdin_bytes(self, *, named: bool = False, quiet: bool = False, skip: str = "") -> bytes | None:
        """All of stdin up to its end, however long that takes; None where it is closed.

        A terminal is read only if the user ``named`` stdin, and is None otherwise. After ``NOTE_AFTER`` seconds
        a note says what telex is waiting for, with ``skip``, how to avoid that, unless ``quiet``. Raises
        ``click.UsageError`` for more than ``limits.STDIN`` bytes.
        """
        terminal = self.stdin_is_terminal()
        if sys.stdin is None or (terminal and not named):
            return None
        note = None if terminal or quiet else " ".join(("Waiting for the end of stdin.", skip)).rstrip()
        try:
            descriptor = _descriptor(sys.stdin)
            most = limits.STDIN + 1
            raw = sys.stdin.buffer.read(most) if descriptor is None else self._read_all(descriptor, note)
        except OSError as error:
            if error.errno == errno.EBADF and not named:  # open for writing only: nohup does that
                return None
            raise click.UsageError(f"stdin cannot be read: {error.strerror}") from error
        if len(raw) > limits.STDIN:
            raise click.UsageError(
                f"stdin is larger than {limits.STDIN // 1_000_000} MB, the most that telex reads"
            )
        return raw

    def _read_all(self, descriptor: int, note: str | None) -> bytes:
        """Everything up to the end of the file, or a little over ``limits.STDIN``; the descriptor may not block."""
        parts: list[bytes] = []
        size = 0
        note_at = time.monotonic() + NOTE_AFTER
        while size <= limits.STDIN:
            if note and not _wait([descriptor], [], max(0.0, note_at - time.monotonic())):
                self.note(note)
                note = None
            try:
                part = os.read(descriptor, 1 << 20)
            except BlockingIOError:
                _wait([descriptor], [], None)
                continue
            if not part:
                break
            parts.append(part)
            size += len(part)
        return b"".join(parts)


def _from_variable(name: str) -> int:
    """A variable's positive number, or 0."""
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 6 else 0


def stdin_text(raw: bytes) -> str:
    """The bytes of stdin as text without a byte order mark; raises ``click.UsageError`` if they are not UTF-8."""
    try:
        return raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise click.UsageError(
            f"stdin is not UTF-8 text (byte {error.start + 1} of {len(raw)} is 0x{raw[error.start]:02x}). "
            "Convert it first, for example with iconv."
        ) from None


def _descriptor(stream: TextIO) -> int | None:
    """The stream's descriptor; None in memory, and on Windows, where select() takes only sockets."""
    try:
        return stream.fileno() if sys.platform != "win32" else None
    except (OSError, ValueError, AttributeError):
        return None


def _write(stream: TextIO, text: str, taken: list[int] | None = None) -> None:
    """Write all of ``text``. Another program may have made the pipe non-blocking: then wait.

    The number of bytes of each write is appended to ``taken``.
    """
    taken = [] if taken is None else taken
    descriptor = _descriptor(stream)
    if descriptor is None:
        stream.write(text)
        stream.flush()
        taken.append(len(text.encode("utf-8", "replace")))
        return
    stream.flush()  # earlier text comes first
    data: bytes | memoryview = text.encode("utf-8", "replace")
    while data:
        try:
            # In one call of C code: no signal's handler can raise between a write and the note of it.
            taken.extend(map(os.write, (descriptor,), (data,)))
        except BlockingIOError:
            _wait([], [descriptor], None)
        else:
            data = memoryview(data)[taken[-1] :] if taken[-1] < len(data) else b""


def _wait(readable: list[int], writable: list[int], seconds: float | None) -> bool:
    import select

    return any(select.select(readable, writable, [], seconds))


def _isatty(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def as_json(value: object, *, indent: int | None = None) -> str:
    """``value`` as JSON, and the line's end. Half a surrogate pair stays an escape: UTF-8 has no form for it.

    So do the characters that some readers end a line at, and JSON does not.
    """
    import json

    text = json.dumps(value, ensure_ascii=False, indent=indent)
    if not text.isascii():
        for character, escape in _LINE_ENDS.items():
            text = text.replace(character, escape)  # translate() takes a hundred times as long
        text = _HALVES.sub(lambda half: f"\\u{ord(half[0]):04x}", text)
    return f"{text}\n"


def json_pieces(value: object, *, indent: int | None = None) -> Iterator[str]:
    """``as_json`` in pieces, so that a long answer is not copied as a whole."""
    long: list[str] = []
    mark = f"\0{id(long)}"  # no server can guess it

    def marked(value: Any) -> Any:
        if isinstance(value, str) and len(value) > _PIECE:
            long.append(value)
            return mark
        if isinstance(value, dict):
            return {key: marked(each) for key, each in value.items()}
        return [marked(each) for each in value] if isinstance(value, list | tuple) else value

    first, *others = as_json(marked(value), indent=indent).split(as_json(mark)[:-1])
    yield first
    for text, after in zip(long, others, strict=True):
        yield '"'
        for start in range(0, len(text), _PIECE):
            yield as_json(text[start : start + _PIECE])[1:-2]
        yield f'"{after}'


def visible(text: str) -> str:
    """``text`` with control characters made visible or dropped; line feeds and tabs stay."""
    if text.isascii():
        # Nearly every piece is printable: one scan in C and no translation.
        return text if text.isprintable() else text.translate(_CONTROLS)
    from provider_core.redaction import unhidden

    return unhidden(text.translate(_CONTROLS))


_HALVES = pattern("[\ud800-\udfff]")

_LINE_ENDS = {"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}

_CONTROLS: dict[int, str | None] = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"},
    0x0D: None,  # a lone CR would overwrite the line, and CRLF needs only its LF
    0x7F: "\u2421",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
}


# --- colours -------------------------------------------------------------------------------------------------

Background: TypeAlias = Literal["", "dark", "light"]
"""How light a terminal is; "" is unknown."""

COLOURS: Final[dict[Background, dict[str, int]]] = {
    "": {"red": 167, "green": 65, "yellow": 136, "blue": 33, "magenta": 133, "cyan": 31, "grey": 244},
    "dark": {"red": 210, "green": 113, "yellow": 179, "blue": 75, "magenta": 176, "cyan": 80, "grey": 248},
    "light": {"red": 124, "green": 22, "yellow": 94, "blue": 25, "magenta": 90, "cyan": 24, "grey": 241},
}
"""Numbers 16 to 255 of the 256 colours, which colour schemes leave alone; terminals with 16 colours get none.

On a known background the contrast is at least 4.5 in the schemes that terminals come with, otherwise at least 3.
"""


def many_colours(environ: Mapping[str, str]) -> bool:
    """Whether a terminal has 256 colours or more; NO_COLOR is not asked."""
    term = environ.get("TERM", "").lower()
    return (
        environ.get("COLORTERM", "").lower() in {"truecolor", "24bit"}
        or environ.get("FORCE_COLOR") in {"2", "3"}
        or term.endswith(("256color", "-kitty", "-direct"))
        or term in {"xterm-ghostty", "alacritty", "foot", "wezterm"}
    )


def background_by_environment(environ: Mapping[str, str]) -> Background:
    """The background by COLORFGBG ("15;0"), which rxvt, Konsole and others set."""
    last = environ.get("COLORFGBG", "").rpartition(";")[2]
    if not last.isdecimal() or int(last) > 15:
        return ""
    return "light" if int(last) in (7, *range(9, 16)) else "dark"
