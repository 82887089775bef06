"""An interactive conversation at a terminal, ``telex chat`` without a prompt.

Its loop: read a prompt or command, run it, report errors.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import click

from provider_core.errors import CoreError
from telex.chat.input import report_unreadable
from telex.exit_codes import Interrupts
from telex.options import require_utf8
from telex.render.styles import learn_background
from telex.repl.commands import command_in, complete, run_command
from telex.repl.session import CommandError, Session, first_line, with_commands
from telex.repl.terminal import EchoSuppressor, PlainReader, is_plain, prompt_sign

if TYPE_CHECKING:
    from provider_core.history import SavedConversation
    from telex.app import App
    from telex.chat import Plan
    from telex.repl.session import Reader

_EXCHANGES_SHOWN = 2
"""How many of the last prompts and answers are shown of a conversation that is continued."""
_LINES_SHOWN = 3
"""Lines of each of these answers."""
_LATER = ("provider_core.stream", "provider_core.client", "telex.render.live", "provider_core.http.transport")
"""Modules that the first answer needs, and the first prompt does not."""


def run_conversation(app: App, plan: Plan) -> None:
    """Talk with the user until they leave."""
    chat = plan.models[0].chat
    if chat is None:
        return
    with contextlib.ExitStack() as stack:
        session = Session(app, plan, chat, stack)
        learn_background(app.console, app.runtime.environ)
        if not plan.options.quiet:
            _greet(session, plan.earlier)
        reader = session.reader = _reader(session)
        continues = True
        while continues:
            with contextlib.suppress(KeyboardInterrupt):  # one that comes between two steps
                continues = _step(session, reader)
    conversation = session.recorder.conversation if session.recorder is not None else None
    if conversation is not None and session.exchanges and not plan.options.quiet:
        app.console.note(f"To continue: telex chat --conversation {conversation}")


def _reader(session: Session) -> Reader:
    app = session.app
    if is_plain(app.runtime.environ):
        return PlainReader(app.console)
    # Importing the editor takes longer than all that came before. The prompt is there meanwhile, and what is typed is
    # read afterwards.
    with Interrupts(), EchoSuppressor(app):
        app.console.raw_out(prompt_sign(app.console))
        try:
            from telex.repl.line_editor import LineEditor

            # A conversation that is not saved leaves no prompts in a file either.
            recorder = session.recorder
            saves = recorder is not None and recorder.saves
            path = app.runtime.paths.data / "input-history" if saves else None
            return LineEditor(
                app.console,
                history=path,
                complete=lambda text: complete(app, text),
                edit=lambda text: _edit(app, text),
                uses_vi=lambda: app.runtime.settings.editing == "vi",
                modules=_LATER,
            )
        finally:
            app.console.raw_out("\r")


def _step(session: Session, reader: Reader) -> bool:
    """Read and run one prompt or command; returns whether the conversation continues."""
    console = session.app.console
    try:
        text = require_utf8(reader.read(), "the prompt")
        if not text.strip():
            return True
        command = command_in(text)
        if command is not None:
            run_command(session, *command)
        else:
            session.send(text[1:] if text.startswith("//") else text)
    except EOFError:
        return False
    except KeyboardInterrupt:
        console.note("Interrupted.")
    except CommandError as error:
        console.error(error.message, error.hint)
    except click.ClickException as error:
        console.error(error.format_message())
    except CoreError as error:
        console.error(error.message, with_commands(session.app.hint(error) or ""))
    console.out("\n")
    return True


def _edit(app: App, text: str) -> str | None:
    from telex.editor import edit_text

    try:
        return edit_text(app, text)
    except click.ClickException as error:
        app.console.error(error.format_message())
        return None


def _greet(session: Session, earlier: SavedConversation | None) -> None:
    """Print which model answers, how to get help, and which conversation continues."""
    console = session.app.console
    line = f"{session.target} · /help lists the commands · Ctrl-D leaves"
    console.note(line if len(line) < console.width() else f"{session.target} · /help")
    if earlier is not None:
        from telex.humanize import age, plural

        prompts = plural(len(session.exchanges), "prompt")
        last = age(max(0.0, time.time() - earlier.updated))
        console.note(f"Continuing “{earlier.title}” ({earlier.id}): {prompts}, the last one {last} ago.")
        _show_last_exchanges(session)
    if attachments := session.attached.attachments:
        console.note(f"Attached to the first prompt: {', '.join(attachments)}")
        report_unreadable(console, session.attached)
    console.out("\n")


def _show_last_exchanges(session: Session) -> None:
    console = session.app.console
    spoken = [message for message in session.messages if message.role in ("user", "assistant")]
    for message in spoken[-2 * _EXCHANGES_SHOWN :]:
        content = message.content
        text = content if isinstance(content, str) else "".join(getattr(part, "text", "") for part in content)
        if message.role == "user":
            console.note(f"  > {first_line(text, console.width() - 5)}")
            continue
        lines = [line for line in text.splitlines() if line.strip()]
        for line in lines[:_LINES_SHOWN]:
            console.note(f"  {first_line(line, console.width() - 3)}")
        if len(lines) > _LINES_SHOWN:
            console.note("  …")
