"""The way of a conversation at a terminal from its first line to its last: read, hand on, say what went wrong."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Protocol

import click

from provider_core.errors import AttachmentError, CoreError
from telex.ask import hint
from telex.options import require_utf8
from telex.render.background import learn_background
from telex.repl import commands
from telex.repl.plain import PlainReader, is_plain
from telex.repl.recall import Recall
from telex.repl.session import RefusedError, Session
from telex.repl.standing import ProviderSession

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider_core.history import SavedConversation
    from provider_core.types import Target
    from telex.app import App
    from telex.commands.chat.prompt import Prompt
    from telex.dialogue import Dialogue
    from telex.render.renderer import Renderer, RenderOptions

__all__ = ["run"]

_SHOWN = 2
"""How many of the last exchanges are shown of a conversation that is gone on with."""
_LINES = 3


class Reader(Protocol):
    def read(self) -> str:
        """One prompt or command; raises ``EOFError`` when the user leaves."""


def run(
    app: App,
    dialogue: Dialogue,
    *,
    view: RenderOptions,
    system: str | None = None,
    earlier: SavedConversation | None = None,
    attached: Prompt | None = None,
    watch: Callable[[Renderer], Callable[[str, str], None] | None] = lambda _: None,
    network: Callable[[Target], Target] = lambda target: target,
    quiet: bool = False,
) -> None:
    """Hold the conversation until the user leaves.

    ``earlier`` is the conversation that ``dialogue`` continues, ``attached`` goes with the first prompt; ``watch``
    gives what listens to the wire beside a show, and ``network`` puts the command line's timeouts into a target.
    """
    session = Session(
        app,
        dialogue,
        view=view,
        system=system,
        earlier=earlier,
        attached=attached,
        watch=watch,
        network=network,
    )
    learn_background(app.console, app.runtime.environ)
    if not quiet:
        _greet(session, earlier)
    reader = _reader(session)
    with ProviderSession() as standing:
        app.standing = standing
        goes_on = True
        while goes_on:
            with contextlib.suppress(KeyboardInterrupt):  # one that comes between two steps
                goes_on = _step(session, reader)
    if not quiet:
        _part(session)


def _reader(session: Session) -> Reader:
    app = session.app
    if is_plain(app.runtime.environ):
        return PlainReader(app.console)
    from telex.repl.completion import Offers
    from telex.repl.line_editor import LineEditor

    # What is not kept in the history is not kept beside it.
    path = app.runtime.paths.data / "input-history" if session.dialogue.recorder is not None else None
    return LineEditor(
        app.console,
        recall=Recall(path, told=app.console.note),
        offers=Offers(app, commands.ROWS),
        edit=lambda text: _edited(app, text),
    )


def _step(session: Session, reader: Reader) -> bool:
    """Read once and do what it says; whether the conversation goes on."""
    console = session.app.console
    try:
        text = reader.read()
        if not text.strip():
            return True
        _do(session, require_utf8(text, "the prompt"))
    except EOFError:
        return False
    except KeyboardInterrupt:
        console.note("Interrupted.")
    except RefusedError as error:
        console.error(error.message, error.hint)
    except click.ClickException as error:
        console.error(error.format_message())
    except CoreError as error:
        advice = hint(session.app, error)
        if advice is not None and isinstance(error, AttachmentError):
            advice = advice.replace("--image", "/image").replace("--file", "/file")
        console.error(error.message, advice)
    console.out("\n")
    return True


def _do(session: Session, text: str) -> None:
    command = commands.command_in(text)
    if command is not None:
        commands.run(session, *command)
    else:
        session.ask(text[1:] if text.startswith("//") else text)


def _edited(app: App, text: str) -> str | None:
    from telex.editor import edit_text

    try:
        return edit_text(app, text)
    except click.ClickException as error:
        app.console.error(error.format_message())
        return None


def _greet(session: Session, earlier: SavedConversation | None) -> None:
    """Who answers and how to get help, in one line; and which conversation continues."""
    console = session.app.console
    line = f"{session.dialogue.target} · /help lists the commands · Ctrl-D leaves"
    console.note(line if len(line) < console.width() else f"{session.dialogue.target} · /help")
    if earlier is not None:
        from telex.humanize import age, plural

        prompts = plural(len(session.said), "prompt")
        unused = age(max(0.0, time.time() - earlier.updated))
        console.note(f"Continuing “{earlier.title}” ({earlier.id}): {prompts}, the last one {unused} ago.")
        _remind(session)
    if session.attached.sizes:
        console.note(f"Attached to the first prompt: {', '.join(session.attached.sizes)}")
    console.out("\n")


def _remind(session: Session) -> None:
    """The last of what was said, in a few lines."""
    console = session.app.console
    spoken = [message for message in session.dialogue.messages if message.role in ("user", "assistant")]
    for message in spoken[-2 * _SHOWN :]:
        content = message.content
        text = content if isinstance(content, str) else "".join(getattr(part, "text", "") for part in content)
        lines = [line for line in text.splitlines() if line.strip()]
        if message.role == "user":
            console.note(f"  > {commands.brief(text, console.width() - 5)}")
            continue
        for line in lines[:_LINES]:
            console.note(f"  {commands.brief(line, console.width() - 3)}")
        if len(lines) > _LINES:
            console.note("  …")


def _part(session: Session) -> None:
    recorder = session.dialogue.recorder
    if recorder is not None and recorder.conversation is not None and session.said:
        session.app.console.note(f"To continue: telex chat --conversation {recorder.conversation}")
