"""The commands of an interactive conversation, such as /model: a row and a function for each, and their completion."""

from __future__ import annotations

import contextlib
import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from provider_core.errors import CoreError
from provider_core.structs import Struct, replace
from telex.chat.input import report_unreadable
from telex.options import require_utf8
from telex.repl import options
from telex.repl.session import CommandError, Session, first_line, split_words
from telex.repl.terminal import print_prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from provider_core.history import SavedTurn
    from telex.app import App

_REMOVE = "-"
"""The argument that removes a system message or attachments."""
_CONVERSATIONS_SHOWN = 50
"""The most recently used conversations, which Tab completes."""
_VARIABLE = re.compile(r"""\s*([A-Za-z_]\w*=(?:"[^"]*"|'[^']*'|[^\s"'])*)(?:\s+|$)""")
"""A variable of a template, before the prompt, which is text and may have quotes of its own."""
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp")


class SlashCommand(Struct):
    """A command: its names, the usual one first, its argument, a line of help, and its function."""

    names: tuple[str, ...]
    argument: str
    words: str
    run: Callable[..., None]
    """Called with the session, and with the argument of a command that takes one."""
    takes: str
    """The kind of words that Tab completes; "load" is a conversation or a file."""
    synonyms: tuple[str, ...]
    """Names in other programs, which are not shown."""


_WHOLE_LINES = {
    **dict.fromkeys(
        ("exit", "quit", "bye", "exit()", "quit()", ":q", ":q!", ":wq", ":quit", ":exit"), "/exit"
    ),
    **dict.fromkeys(("help", "?", "/?", ":help", ":h"), "/help"),
}
"""Lines that are a command without a slash, as in other programs."""


def command_in(text: str) -> tuple[str, str] | None:
    """The name and the argument of the command in ``text``; None for a prompt, which may begin with a slash too."""
    if (word := _WHOLE_LINES.get(text.strip().lower())) is not None:
        return word, ""
    found = re.fullmatch(r"(/[A-Za-z]+)(?:\s+(.*?))?\s*", text, re.DOTALL)
    return (found[1].lower(), found[2] or "") if found else None


def run_command(session: Session, name: str, argument: str) -> None:
    """Run a command. Raises ``CommandError``, click's and the core's errors, and ``EOFError`` to leave."""
    for command in SLASH_COMMANDS:
        if name not in (*command.names, *command.synonyms):
            continue
        if command.argument:
            command.run(session, argument)
        elif argument:
            raise CommandError(f"{name} takes no argument", f"To send it to the model: /{name} {argument}")
        else:
            command.run(session)
        return
    from provider_core.redaction import close_matches

    names = [each[1:] for command in SLASH_COMMANDS for each in command.names]
    similar = [f"/{each}" for each in close_matches(name[1:], names, most=2, cutoff=0.7)]
    hint = f"Did you mean {' or '.join(similar)}?" if similar else "List the commands: /help"
    raise CommandError(
        f"unknown command: {name}", f"{hint}\nTo send it to the model, begin with two slashes: /{name}"
    )


# --- models, tools, system message -------------------------------------------------------------------------


def _model(session: Session, argument: str) -> None:
    console = session.app.console
    if not argument:
        console.note(f"Model: {session.target}. To switch: /model ID")
        return
    listed = getattr(session.reader, "listed", ())
    if argument.isdecimal() and 1 <= int(argument) <= len(listed):
        argument = listed[int(argument) - 1]
    warning = session.change_model(argument)
    console.note(f"Model: {', or else '.join((str(session.target), *session.fallbacks))}")
    if warning is not None:
        console.note(f"Warning: {warning}")


def _models(session: Session, argument: str) -> None:
    """Choose from the known models, filtered by the words of the argument. Sends no request."""
    catalog, console, words = session.app.runtime.catalog, session.app.console, argument.casefold().split()
    known = [
        f"{provider.name}/{model.id}"
        for provider in catalog.usable
        for model in catalog.listing(provider.name).models
        if model.kind == "chat"
    ]
    own = session.target.provider.name
    if not catalog.listing(own).models:
        console.note(f"No models of {own} are known. Ask it: telex models list --provider {own} --refresh")
    found = [each for each in known if all(word in each.casefold() for word in words)]
    if found and session.reader is not None:
        chosen = session.reader.choose(known, current=str(session.target), typed=argument)
        if chosen is not None:
            _model(session, chosen)
    if not found:
        what = f"no known model matches {argument}" if known else "no models are known"
        raise CommandError(what, "Ask the servers: telex models list --refresh")


def _system(session: Session, argument: str) -> None:
    console = session.app.console
    if argument == _REMOVE:
        session.system = ""
        console.note("System message removed.")
    elif argument:
        session.system = require_utf8(argument, "the system message")
        console.note("The system message applies from the next prompt.")
    elif session.system:
        console.out(f"{session.system}\n")
    else:
        console.note("There is no system message. To set one: /system TEXT")


def _template(session: Session, argument: str) -> None:
    """Send the prompt of a template, with its system message; the rest of the line is its prompt or its variables."""
    from provider_core import templates
    from telex.chat.input import template_values

    name, _, typed = argument.partition(" ")
    if not name:
        folder = session.app.runtime.paths.templates
        session.app.console.note(f"Templates: {', '.join(sorted(templates.all_names(folder)))}")
        return
    found = session.app.runtime.template(name)
    variables = []
    while variable := _VARIABLE.match(typed):
        variables += split_words(variable[1])
        typed = typed[variable.end() :]
    filled = templates.fill(found, typed=typed.strip(), values=template_values(variables))
    if filled.system:
        session.system = filled.system
    if not (filled.prompt.strip() or session.attached.attachments):
        session.app.console.note("The system message of the template applies from the next prompt.")
        return
    print_prompt(session.app.console, filled.prompt)
    session.send(filled.prompt)


# --- attachments -------------------------------------------------------------------------------------------


def _attach(session: Session, argument: str, *, images: bool) -> None:
    if argument == _REMOVE:
        session.attached = replace(session.attached, files=(), parts=())
    elif argument and images:
        import glob

        session.attach(
            images=[path for name in _names(argument) for path in sorted(glob.glob(name)) or [name]]  # noqa: PTH207
        )
    elif argument:
        session.attach(_names(argument))
    attached = ", ".join(session.attached.attachments)
    session.app.console.note(
        f"Attached to the next prompt: {attached}" if attached else "Nothing is attached."
    )
    report_unreadable(session.app.console, session.attached)


_file = partial(_attach, images=False)
_image = partial(_attach, images=True)


def _names(argument: str) -> list[str]:
    """The files, folders, patterns and addresses in a line; the name of one file with spaces need not be quoted."""
    whole = os.path.expanduser(argument)  # noqa: PTH111 - an address stays as it is
    return [whole] if os.path.exists(whole) else [*map(os.path.expanduser, split_words(argument))]  # noqa: PTH110


# --- earlier prompts ---------------------------------------------------------------------------------------


def _edit(session: Session) -> None:
    from telex.editor import edit_text

    last = session.last
    before = last.prompt.text if last is not None else ""
    text = edit_text(session.app, before)
    if not text.strip() or (last is not None and text == before):
        what = "empty" if not text.strip() else "unchanged"
        session.app.console.note(f"The prompt is {what}, and was not sent.")
        return
    print_prompt(session.app.console, text)
    if last is None:
        session.send(text)
    else:
        session.retry(text)


def _undo(session: Session) -> None:
    session.app.console.note(f"Removed: {first_line(session.undo().prompt.text)}")


def _new(session: Session) -> None:
    session.new()
    stays = " The system message is unchanged." if session.system else ""
    session.app.console.note(f"New conversation started.{stays}")


def _copy(session: Session, argument: str) -> None:
    """Copy an answer: the last one, that of prompt N, or the first code block of the last one."""
    from telex.clipboard import copy
    from telex.render.extract import first_block

    to_list = "To list the prompts with their numbers: /usage"
    if argument.isdecimal():
        chosen = session.exchanges[int(argument) - 1 : int(argument)] if int(argument) else []
        if not chosen:
            raise CommandError(f"there is no prompt {argument}", to_list)
    elif argument in ("", "code"):
        chosen = [each for each in session.exchanges if each.answer][-1:]
    else:
        raise CommandError("/copy takes the number of a prompt, or code", to_list)
    text = chosen[0].answer if chosen else ""
    if not text:
        raise CommandError("there is no answer to copy yet")
    if argument == "code":
        text = first_block(text) or ""
        if not text:
            raise CommandError("the last answer has no code block", "To copy all of it: /copy")
    session.app.console.note(copy(session.app.console, text))


def _fork(session: Session) -> None:
    original = session.fork()
    session.app.console.note(f"Continuing in a copy. The original is unchanged: /load {original}")


def _load(session: Session, argument: str) -> None:
    """Continue another conversation, or attach a file."""
    if not argument:
        raise CommandError(
            "/load takes a conversation or a file", "To list the conversations: telex history list"
        )
    if os.path.exists(os.path.expanduser(argument)):  # noqa: PTH110, PTH111
        session.attach([os.path.expanduser(argument)])  # noqa: PTH111
        session.app.console.note(f"Attached to the next prompt: {', '.join(session.attached.attachments)}")
        return
    from telex.humanize import plural

    found = session.load(argument)
    prompts = plural(len(session.exchanges), "prompt")
    session.app.console.note(
        f"Continuing “{found.title}” ({found.id}): {prompts}. The model is {session.target}."
    )
    if session.exchanges:
        session.app.console.note(f"Last prompt: {first_line(session.exchanges[-1].prompt.text)}")


def _save(session: Session, argument: str) -> None:
    from provider_core import files
    from telex.render.history import markdown

    if not argument:
        raise CommandError("/save takes the name of a file", "For example: /save notes.md")
    if not session.messages:
        raise CommandError("there is nothing to save yet")
    words = split_words(argument)
    if len(words) != 1:
        import shlex

        hint = f"If the name has spaces: /save {shlex.quote(argument)}"
        raise CommandError("/save takes one file name", hint)
    name = os.path.expanduser(words[0])  # noqa: PTH111 - "" stays ""
    path = Path(name).absolute()
    if os.path.lexists(path) and str(path) != session.saved_to:  # a dangling link may be a trap
        raise CommandError(f"{name} already exists", "Use another name, or remove it first.")
    files.replace(path, markdown(*session.transcript()).encode("utf-8", "replace"))
    session.saved_to = str(path)
    session.app.console.note(f"The conversation is in {name}.")


# --- usage, help, exit -------------------------------------------------------------------------------------


def _usage(session: Session) -> None:
    from telex.render import tables

    rows = [(str(number), exchange.turns) for number, exchange in enumerate(session.exchanges, 1)]
    if session.withdrawn:
        rows.append(("taken back", tuple(session.withdrawn)))
    if session.summaries:
        rows.append(("/compact", tuple(session.summaries)))
    if not rows:
        session.app.console.note("No tokens used yet.")
        return
    total = tuple(turn for _, some in rows for turn in some)
    if len(rows) > 1:
        rows.append(("together", total))
    costs = any(turn.cost is not None for turn in total)
    headers = ("turn", "in", "out", *(("cost",) if costs else ()), "model")
    tables.rows(session.app.console, headers, [_usage_row(name, some, costs=costs) for name, some in rows])


def _usage_row(name: str, some: Sequence[SavedTurn], *, costs: bool) -> tuple[str, ...]:
    from provider_core.prices import add_costs
    from telex.humanize import dollars, number

    def tokens(field: str) -> str:
        values = [getattr(turn.usage, field) for turn in some if turn.usage is not None]
        counts = [value for value in values if value is not None]
        return f"{number(sum(counts))}{'+' * (len(counts) < len(some))}" if counts else "?"

    total = add_costs(turn.cost for turn in some)
    cost = (dollars(total.amount) + "+" * total.partial if total else "?",) if costs else ()
    models = {f"{turn.provider}/{turn.model}" for turn in some}
    shown = models.pop() if len(models) == 1 else f"{len(models)} models"
    return (name, tokens("input"), tokens("output"), *cost, shown)


def _help(session: Session) -> None:
    from telex.render import tables

    commands = [(f"{each.names[0]} {each.argument}".rstrip(), each.words) for each in SLASH_COMMANDS]
    tables.rows(session.app.console, ("", ""), [*commands, *KEYS])


def _exit(_: Session) -> None:
    raise EOFError


SLASH_COMMANDS: tuple[SlashCommand, ...] = tuple(
    SlashCommand(
        names=tuple(names.split()), argument=argument, words=words, run=run, takes=takes,
        synonyms=tuple(synonyms.split()),
    )
    for names, argument, words, run, takes, synonyms in (
        ("/model", "[ID]", "Switch to another model.", _model, "model", "/use /switch"),
        ("/models", "[WORD]", "Choose from the known models.", _models, "", "/list /ls"),
        ("/system", "[TEXT]", 'Set the system message; "-" removes it.', _system, "", "/prompt /role"),
        ("/template", "[NAME …]", "Send a template, with VAR=VALUE and a prompt.", _template, "template", ""),
        ("/file", "PATH …", 'Attach files; "-" removes all attachments.', _file, "file", "/attach /add /read /f"),
        ("/image", "PATH|URL …", 'Attach images; "-" removes all attachments.', _image, "image", "/img /picture /i"),
        ("/retry", "", "Send the last prompt again.", Session.retry, "", "/regenerate /regen /again /redo"),
        ("/continue", "", "Continue the last answer, if it was cut.", Session.continue_answer, "", "/cont /more"),
        ("/edit", "", "Edit the last prompt in your editor, and send it.", _edit, "", "/editor /e"),
        ("/undo", "", "Remove the last prompt and its answer.", _undo, "", ""),
        ("/copy", "[N|code]", "Copy the last answer, that of prompt N, or a code block.", _copy, "", "/yank"),
        ("/save", "FILE", "Write the conversation to a Markdown file.", _save, "file", "/write /export"),
        ("/load", "ID|FILE", "Continue another conversation, or attach a file.", _load, "load", "/resume /open"),
        ("/fork", "", "Continue in a copy; the original is unchanged.", _fork, "", "/branch"),
        ("/compact", "", "Replace older prompts by a summary.", Session.compact, "", "/summarize /summarise"),
        ("/usage", "", "Show the tokens used.", _usage, "", "/tokens /cost /stats"),
        ("/tools", "[on|off NAME]", "List tools, or switch those of a server.", options.tools, "tools", "/tool /mcp"),
        ("/set", "[KEY VALUE]", "List settings, or change one for now.", options.set_, "set", "/config /settings"),
        ("/new", "", "Start a new conversation.", _new, "", "/clear /reset /restart"),
        ("/help", "", "Show this help.", _help, "", "/h /commands"),
        ("/exit /quit", "", "Leave.", _exit, "", "/q /bye /x /close /leave /end"),
    )
)  # fmt: skip

KEYS = (
    ("Enter", "Send the prompt. Type // to start it with a slash."),
    ("Alt-Enter, Ctrl-J", "Start a new line; so does a backslash and Enter."),
    ("Ctrl-G", "Edit the prompt in your editor (VISUAL or EDITOR)."),
    ("Ctrl-C", "Clear the prompt (Ctrl-Y restores it); stop an answer."),
    ("Ctrl-D", "Leave; so do the words exit and quit."),
    ("Tab", "Complete commands, models and files."),
    ("Escape", 'With editing = "vi": start a command of vi.'),
)
"""The keys of the line editor, with what they do."""


# --- completion --------------------------------------------------------------------------------------------


class Completion(Struct):
    """A completion: ``text`` replaces the last ``replaces`` characters; ``words`` are for the menu."""

    text: str
    replaces: int
    words: str = ""


def complete(app: App, text: str) -> Iterator[Completion]:
    """The completions of the text before the cursor: commands, models and files. Opens no socket and no keyring."""
    if not text.startswith("/") or "\n" in text:
        return
    name, space, argument = text.partition(" ")
    if not space:
        for command in SLASH_COMMANDS:
            for each in command.names:
                if each.startswith(name):
                    shown = each + (" " if command.argument else "")
                    yield Completion(text=shown, replaces=len(name), words=command.words)
        return
    takes = next((command.takes for command in SLASH_COMMANDS if name in command.names), "")
    typed = argument.rpartition(" ")[2]
    with contextlib.suppress(CoreError):  # the settings do not load
        match takes:
            case "model":
                yield from _complete_model(app, argument)
            case "template":
                yield from _complete_template(app, argument)
            case "tools" | "set":
                complete_words = options.complete_tools if takes == "tools" else options.complete_set
                for each in complete_words(app, argument):
                    if each.startswith(typed):
                        yield Completion(text=each, replaces=len(typed))
            case "load":
                for saved in app.runtime.history.conversations(_CONVERSATIONS_SHOWN):
                    if saved.id.startswith(argument):
                        title = first_line(saved.title, 40)
                        yield Completion(text=saved.id, replaces=len(argument), words=title)
    if takes in ("file", "image", "load"):
        yield from _complete_file(argument, _IMAGE_SUFFIXES if takes == "image" else ("",))


def _complete_model(app: App, typed: str) -> Iterator[Completion]:
    """Aliases, providers, and model ids: all of a provider after its name, else those that begin as typed."""
    catalog = app.runtime.catalog
    wanted = typed.casefold()
    no_provider = "/" not in typed
    if no_provider:
        for name in (*catalog.aliases, *(f"{provider.name}/" for provider in catalog.usable)):
            if name.casefold().startswith(wanted):
                words = catalog.aliases.get(name, "")
                yield Completion(text=name, replaces=len(typed), words=str(words))
        if not typed:
            return
    for provider in catalog.usable:
        for model in catalog.listing(provider.name).models:
            full = f"{provider.name}/{model.id}"
            starts = (model.id, model.id.rpartition("/")[2] if no_provider else full)
            if model.kind == "chat" and any(each.casefold().startswith(wanted) for each in starts):
                yield Completion(text=full, replaces=len(typed))


def _complete_template(app: App, argument: str) -> Iterator[Completion]:
    """Names of templates, and then the variables of the template."""
    from provider_core import templates

    name, space, rest = argument.partition(" ")
    if not space:
        for each in templates.all_names(app.runtime.paths.templates):
            if each.startswith(name):
                yield Completion(text=f"{each} ", replaces=len(name))
        return
    word = rest.rpartition(" ")[2]
    for each, default in templates.variables(app.runtime.template(name)).items():
        if each not in ("prompt", "stdin") and each.startswith(word):
            yield Completion(text=f"{each}=", replaces=len(word), words=default or "")


def _complete_file(argument: str, suffixes: tuple[str, ...]) -> Iterator[Completion]:
    """Files with one of the suffixes, and folders: of the whole argument, or else of its last word."""
    for word in (argument, argument.rpartition(" ")[2]):
        folder, slash, start = word.rpartition("/")
        try:
            with os.scandir(os.path.expanduser(folder + slash) or ".") as entries:  # noqa: PTH111 - "" stays ""
                found = sorted((entry.name, entry.is_dir()) for entry in entries)
        except OSError:
            continue
        shown = [
            f"{name}/" if is_folder else name
            for name, is_folder in found
            if name.startswith(start)
            and (start.startswith(".") or not name.startswith("."))
            and (is_folder or name.lower().endswith(suffixes))
        ]
        for name in shown:
            yield Completion(text=name, replaces=len(start))
        if shown:
            return
