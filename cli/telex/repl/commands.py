"""What is typed behind a slash: a row for each command, and the function that does it."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from provider_core.structs import Struct
from telex.options import require_utf8
from telex.repl.session import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from telex.repl.session import Session, Spent

__all__ = ["ROWS", "Row", "brief", "command_in", "run"]

_NOTHING = "-"
"""The argument that takes away what there is."""


class Row(Struct):
    """A command: its names, the usual one first, its argument, a line of help, and what it does.

    ``takes`` is what a Tab completes: "model", "file" or "image".
    """

    names: tuple[str, ...]
    argument: str = ""
    words: str
    run: Callable[[Session, str], None]
    takes: str = ""


_WORDS = {
    **dict.fromkeys(
        ("exit", "quit", "bye", "exit()", "quit()", ":q", ":q!", ":wq", ":quit", ":exit"), "/exit"
    ),
    **dict.fromkeys(("help", "?", "/?", ":help", ":h"), "/help"),
}
"""Whole lines that are a command without a slash, as in every such program."""

_SAME = {
    **dict.fromkeys(("/q", "/bye", "/x", "/close", "/leave", "/end"), "/exit"),
    **dict.fromkeys(("/h", "/commands"), "/help"),
    **dict.fromkeys(("/clear", "/reset", "/restart"), "/new"),
    **dict.fromkeys(("/use", "/switch", "/load"), "/model"),
    **dict.fromkeys(("/list", "/ls"), "/models"),
    **dict.fromkeys(("/tool", "/mcp"), "/tools"),
    **dict.fromkeys(("/attach", "/add", "/read", "/f"), "/file"),
    **dict.fromkeys(("/img", "/picture", "/i"), "/image"),
    **dict.fromkeys(("/regenerate", "/regen", "/again", "/redo"), "/retry"),
    **dict.fromkeys(("/tokens", "/cost", "/stats"), "/usage"),
    **dict.fromkeys(("/write", "/export"), "/save"),
    **dict.fromkeys(("/prompt", "/role"), "/system"),
    **dict.fromkeys(("/editor", "/e"), "/edit"),
}
"""What other programs call a command, and its name here."""

_OPTIONS = "Options are given when the conversation starts, such as: telex chat -c --temperature 0.5"
_ELSEWHERE = {
    **dict.fromkeys(("/set", "/config", "/settings", "/temperature", "/temp", "/param", "/options"), _OPTIONS),
    **dict.fromkeys(("/history", "/sessions", "/log", "/chats"), "In another terminal: telex history list"),
    **dict.fromkeys(("/continue", "/resume", "/session"), "To resume a conversation: telex chat --conversation ID"),
    **dict.fromkeys(("/provider", "/providers", "/login", "/key"), "In another terminal: telex providers list"),
    "/show": "Show the model: /model. Show the system message: /system. Show the tokens: /usage",
    "/template": "Start a conversation with one: telex chat --template NAME",
    "/copy": "Write the conversation to a file: /save FILE",
}  # fmt: skip
"""Commands of other programs that have no counterpart here, and where they lead."""


def command_in(text: str) -> tuple[str, str] | None:
    """The command that ``text`` is, and its argument; None for a prompt, which may begin with a slash as well."""
    if (word := _WORDS.get(text.strip().lower())) is not None:
        return word, ""
    found = re.fullmatch(r"(/[A-Za-z]+)(?:\s+(.*?))?\s*", text, re.DOTALL)
    return (found[1].lower(), found[2] or "") if found else None


def run(session: Session, name: str, argument: str) -> None:
    """Do it. Raises ``RefusedError``, ``click.ClickException``, the core's errors, and ``EOFError`` to leave."""
    known = _SAME.get(name, name)
    for row in ROWS:
        if known in row.names:
            if argument and not row.argument:
                raise RefusedError(
                    f"{name} takes no argument", f"To send it to the model: /{name} {argument}"
                )
            row.run(session, argument)
            return
    from provider_core.redaction import close_matches

    names = [each[1:] for row in ROWS for each in row.names]
    meant = [f"/{each}" for each in close_matches(name[1:], names, most=2, cutoff=0.7)]
    found = _ELSEWHERE.get(name) or (
        f"Did you mean {' or '.join(meant)}?" if meant else "List the commands: /help"
    )
    lines = [found, f"To send it to the model, begin with two slashes: /{name}"]
    raise RefusedError(f"there is no command {name}", "\n".join(lines))


# --- what is asked, and of whom ----------------------------------------------------------------------------


def _model(session: Session, argument: str) -> None:
    if argument:
        warning = session.change_model(argument)
        session.app.console.note(f"{session.dialogue.target} answers from now on.")
        if warning is not None:
            session.app.console.note(f"Warning: {warning}")
    else:
        session.app.console.note(f"{session.dialogue.target} answers. To change that: /model ID")


def _models(session: Session, argument: str) -> None:
    """The known models, or those with the words in them; no server is asked."""
    catalog, console, words = session.app.runtime.catalog, session.app.console, argument.casefold().split()
    every = [
        f"{provider.name}/{model.id}"
        for provider in catalog.usable
        for model in catalog.listing(provider.name).models
        if model.kind == "chat"
    ]
    own = session.dialogue.target.provider.name
    if not catalog.listing(own).models:
        console.note(f"No models of {own} are known. Ask it: telex models list --provider {own} --refresh")
    found = [each for each in every if all(word in each.casefold() for word in words)]
    for each in found[:_MOST]:
        console.note(f"{'*' if each == str(session.dialogue.target) else ' '} {each}")
    if len(found) > _MOST:
        console.note(f"and {len(found) - _MOST} more; to search them: /models WORD")
    if not found:
        what = f"no known model matches {argument}" if every else "no models are known"
        raise RefusedError(what, "Ask the servers: telex models list --refresh")


_MOST = 20
"""Models that are shown at once."""


def _tools(session: Session, _: str) -> None:
    boxes = session.dialogue.toolset.toolboxes if session.dialogue.toolset is not None else ()
    for box in boxes:
        names = ", ".join(offered.tool.name for offered in box.tools)
        session.app.console.note(f"{box.name}: {names or 'no tools'}")
    if not boxes:
        session.app.console.note(
            "This conversation has no tools. Start one with tools: telex chat --tools NAME"
        )


def _say_system(session: Session, argument: str) -> None:
    console = session.app.console
    if argument == _NOTHING:
        session.system = ""
        console.note("There is no system message any more.")
    elif argument:
        session.system = require_utf8(argument, "the system message")
        console.note("The system message is in force from the next prompt on.")
    elif session.system:
        console.out(f"{session.system}\n")
    else:
        console.note("There is no system message. To set one: /system TEXT")


def _file(session: Session, argument: str) -> None:
    _attach(session, argument, images=False)


def _image(session: Session, argument: str) -> None:
    _attach(session, argument, images=True)


def _attach(session: Session, argument: str, *, images: bool) -> None:
    from telex.commands.chat.prompt import attached

    console = session.app.console
    if argument == _NOTHING:
        session.attached = replace(session.attached, files=(), images=(), sizes=())
    elif argument:
        names = _paths(argument)
        files, pictures = ((), names) if images else (names, ())
        session.attached = attached(files, pictures, to=session.attached)
    sizes = ", ".join(session.attached.sizes)
    console.note(f"Attached to the next prompt: {sizes}" if sizes else "Nothing is attached.")


def _paths(argument: str) -> list[str]:
    """The paths in what was typed, as a shell takes them; a name with blanks in it need not be quoted."""
    import glob
    import shlex

    whole = os.path.expanduser(argument)  # noqa: PTH111 - an address stays one
    if os.path.exists(whole):  # noqa: PTH110
        return [whole]
    try:
        words = shlex.split(argument, posix=os.name == "posix")
    except ValueError:
        words = [argument]
    found: list[str] = []
    for word in words:
        word = os.path.expanduser(word)  # noqa: PTH111, PLW2901
        matches = sorted(glob.glob(word)) if not os.path.exists(word) else []  # noqa: PTH110, PTH207
        found += matches or [word]
    return found


# --- ways back ---------------------------------------------------------------------------------------------


def _retry(session: Session, _: str) -> None:
    session.ask_again()


def _edit(session: Session, _: str) -> None:
    from telex.editor import edit_text
    from telex.repl.plain import written

    last = session.last
    before = last.prompt.text if last is not None else ""
    text = edit_text(session.app, before)
    if not text.strip() or (last is not None and text == before):
        what = "empty" if not text.strip() else "unchanged"
        session.app.console.note(f"The prompt is {what}, so it is not sent.")
        return
    written(session.app.console, text)
    if last is None:
        session.ask(text)
    else:
        session.ask_again(text)


def _undo(session: Session, _: str) -> None:
    gone = session.undo()
    session.app.console.note(f"Taken back: {brief(gone.prompt.text)}")


def _new(session: Session, _: str) -> None:
    session.new()
    stays = " The system message stays." if session.system else ""
    session.app.console.note(f"A new conversation.{stays}")


# --- what there is -----------------------------------------------------------------------------------------


def _save(session: Session, argument: str) -> None:
    from provider_core import files
    from telex.render.transcript import markdown
    from telex.repl.transcript import as_conversation, as_turns

    if not argument:
        raise RefusedError("/save takes the name of a file", "For example: /save notes.md")
    if not session.dialogue.messages:
        raise RefusedError("there is nothing to save yet")
    name = _file_name(argument)
    path = Path(name).absolute()
    if os.path.lexists(path) and str(path) != session.saved_to:  # a link to nothing may be somebody's trap
        raise RefusedError(f"{name} already exists", "Use another name, or remove it first.")
    text = markdown(as_conversation(session), as_turns(session))
    files.replace(path, text.encode("utf-8", "replace"))
    session.saved_to = str(path)
    session.app.console.note(f"The conversation is in {name}.")


def _file_name(argument: str) -> str:
    """The one file name in ``argument``, quoted as for a shell where it has spaces."""
    import shlex

    try:
        words = shlex.split(argument, posix=os.name == "posix")
    except ValueError:
        words = [argument]
    if len(words) != 1:
        raise RefusedError(
            "/save takes one file name", f"If the name has spaces: /save {shlex.quote(argument)}"
        )
    return os.path.expanduser(words[0])  # noqa: PTH111 - "" stays ""


def _usage(session: Session, _: str) -> None:
    from telex.render import sheet

    rows = [(str(number), said.spent) for number, said in enumerate(session.said, 1)]
    if session.withdrawn:
        rows.append(("taken back", tuple(session.withdrawn)))
    if not rows:
        session.app.console.note("Nothing was asked yet.")
        return
    every = tuple(spent for _, some in rows for spent in some)
    if len(rows) > 1:
        rows.append(("together", every))
    costs = any(spent.usage is not None and spent.usage.cost is not None for spent in every)
    sheet.rows(
        session.app.console,
        ("turn", "in", "out", *(("cost",) if costs else ()), "model"),
        [_usage_row(name, some, costs=costs) for name, some in rows],
    )


def _usage_row(name: str, some: Sequence[Spent], *, costs: bool) -> tuple[str, ...]:
    from telex.humanize import dollars, number

    def total(field: str) -> str:
        known = [getattr(spent.usage, field) for spent in some if spent.usage is not None]
        numbers = [value for value in known if value is not None]
        if not numbers:
            return "?"
        if field == "cost":
            return dollars(sum(numbers))
        return number(sum(numbers)) + ("+" if len(numbers) < len(some) else "")

    models = list(dict.fromkeys(spent.model for spent in some))
    shown = models[0] if len(models) == 1 else f"{len(models)} models"
    return (name, total("input"), total("output"), *((total("cost"),) if costs else ()), shown)


def _help(session: Session, _: str) -> None:
    from telex.render import sheet

    rows = [(f"{row.names[0]} {row.argument}".rstrip(), row.words) for row in ROWS]
    sheet.rows(session.app.console, ("", ""), [*rows, *_KEYS])


def _exit(_: Session, __: str) -> None:
    raise EOFError


def brief(text: str, limit: int = 60) -> str:
    """The first line of ``text``, cut to ``limit`` characters."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "(no text)")
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


ROWS: tuple[Row, ...] = (
    Row(names=("/model",), argument="[ID]", words="Switch to another model.", run=_model, takes="model"),
    Row(names=("/models",), argument="[WORD]", words="List the known models.", run=_models),
    Row(names=("/system",), argument="[TEXT]", words='Set the system message; "-" removes it.', run=_say_system),
    Row(names=("/file",), argument="PATH …", words='Attach text files; "-" removes all.', run=_file, takes="file"),
    Row(names=("/image",), argument="PATH|URL …", words="Attach images.", run=_image, takes="image"),
    Row(names=("/retry",), words="Send the last prompt again.", run=_retry),
    Row(names=("/edit",), words="Edit the last prompt in your editor, and send it.", run=_edit),
    Row(names=("/undo",), words="Remove the last prompt and its answer.", run=_undo),
    Row(names=("/save",), argument="FILE", words="Write the conversation to a Markdown file.", run=_save, takes="file"),
    Row(names=("/usage",), words="Show the tokens used.", run=_usage),
    Row(names=("/tools",), words="List the tools of this conversation.", run=_tools),
    Row(names=("/new",), words="Start a new conversation.", run=_new),
    Row(names=("/help",), words="Show this help.", run=_help),
    Row(names=("/exit", "/quit"), words="Leave.", run=_exit),
)  # fmt: skip

_KEYS = (
    ("Enter", "Send. To send a line that begins with /word: //word"),
    ("Alt-Enter, Ctrl-J", "Start a new line; so does Enter after a backslash."),
    ("Ctrl-G", "Edit the prompt in your editor."),
    ("Ctrl-C", "Clear the prompt (Ctrl-Y restores it); stop an answer."),
    ("Ctrl-D", "Leave; so do exit and quit."),
)
