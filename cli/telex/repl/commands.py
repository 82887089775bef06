"""The commands of an interactive conversation, such as /model: a row and a function for each, and their completion."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from provider_core.errors import CoreError
from provider_core.structs import Struct, replace
from telex.chat.input import report_unreadable
from telex.options import require_utf8
from telex.repl import options, turns
from telex.repl.session import CommandError, first_line, split_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from provider_core.history import SavedTurn
    from telex.app import App
    from telex.repl.session import Session

_REMOVE = "-"
"""The argument that removes a system message or attachments."""
_CONVERSATIONS_SHOWN = 50
"""The most recently used conversations, which Tab completes."""
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp")


class SlashCommand(Struct):
    """A command: its names, the usual one first, its argument, a line of help, and its function."""

    names: tuple[str, ...]
    argument: str
    words: str
    run: Callable[[Session, str], None]
    takes: str
    """What Tab completes: the name of a kind of words; "load" is a conversation or a file."""
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
        if name in (*command.names, *command.synonyms):
            if argument and not command.argument:
                hint = f"To send it to the model: /{name} {argument}"
                raise CommandError(f"{name} takes no argument", hint)
            command.run(session, argument)
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
    more = "".join(f", or else {name}" for name in session.fallbacks)
    console.note(f"Model: {session.target}{more}")
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


# --- attachments -------------------------------------------------------------------------------------------


def _file(session: Session, argument: str) -> None:
    _attach(session, argument, images=False)


def _image(session: Session, argument: str) -> None:
    _attach(session, argument, images=True)


def _attach(session: Session, argument: str, *, images: bool) -> None:
    if argument == _REMOVE:
        session.attached = replace(session.attached, files=(), parts=())
    elif argument and images:
        session.attach(images=_paths(argument))
    elif argument:
        session.attach(_names(argument))
    attached = ", ".join(session.attached.attachments)
    session.app.console.note(
        f"Attached to the next prompt: {attached}" if attached else "Nothing is attached."
    )
    report_unreadable(session.app.console, session.attached)


def _names(argument: str) -> list[str]:
    """The files, folders, patterns and addresses in a line; the name of one file with spaces need not be quoted."""
    whole = os.path.expanduser(argument)  # noqa: PTH111 - an address stays as it is
    return [whole] if os.path.exists(whole) else [*map(os.path.expanduser, split_words(argument))]  # noqa: PTH110


def _paths(argument: str) -> list[str]:
    """The paths in a line, as a shell reads them and its patterns."""
    import glob

    whole = os.path.expanduser(argument)  # noqa: PTH111 - an address stays as it is
    if os.path.exists(whole):  # noqa: PTH110
        return [whole]
    found: list[str] = []
    for word in map(os.path.expanduser, split_words(argument)):
        matches = sorted(glob.glob(word)) if not os.path.exists(word) else []  # noqa: PTH110, PTH207
        found += matches or [word]
    return found


# --- earlier prompts ---------------------------------------------------------------------------------------


def _retry(session: Session, _: str) -> None:
    session.retry()


def _edit(session: Session, _: str) -> None:
    from telex.editor import edit_text
    from telex.repl.terminal import print_prompt

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


def _undo(session: Session, _: str) -> None:
    session.app.console.note(f"Removed: {first_line(session.undo().prompt.text)}")


def _new(session: Session, _: str) -> None:
    session.new()
    stays = " The system message is unchanged." if session.system else ""
    session.app.console.note(f"New conversation started.{stays}")


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


def _usage(session: Session, _: str) -> None:
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


def _help(session: Session, _: str) -> None:
    from telex.render import tables

    commands = [(f"{each.names[0]} {each.argument}".rstrip(), each.words) for each in SLASH_COMMANDS]
    tables.rows(session.app.console, ("", ""), [*commands, *KEYS])


def _exit(_: Session, __: str) -> None:
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
        ("/template", "[NAME …]", "Send a template, with VAR=VALUE and a prompt.", turns.template, "template", ""),
        ("/file", "PATH …", 'Attach files; "-" removes all attachments.', _file, "file", "/attach /add /read /f"),
        ("/image", "PATH|URL …", 'Attach images; "-" removes all attachments.', _image, "image", "/img /picture /i"),
        ("/retry", "", "Send the last prompt again.", _retry, "", "/regenerate /regen /again /redo"),
        ("/continue", "", "Continue the last answer, if it was cut.", turns.continue_, "", "/cont /more"),
        ("/edit", "", "Edit the last prompt in your editor, and send it.", _edit, "", "/editor /e"),
        ("/undo", "", "Remove the last prompt and its answer.", _undo, "", ""),
        ("/copy", "[N|code]", "Copy the last answer, that of prompt N, or a code block.", turns.copy, "", "/yank"),
        ("/save", "FILE", "Write the conversation to a Markdown file.", _save, "file", "/write /export"),
        ("/load", "ID|FILE", "Continue another conversation, or attach a file.", turns.load, "load", "/resume /open"),
        ("/fork", "", "Continue in a copy; the original stays as it is.", turns.fork, "", "/branch"),
        ("/compact", "", "Replace older prompts by a summary.", turns.compact, "", "/summarize /summarise"),
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
    ("Escape", 'With editing = "vi": the keys of vi.'),
)
"""The keys of the line editor, with what they do."""


# --- completion --------------------------------------------------------------------------------------------


class Candidate(Struct):
    """A completion: ``text`` replaces the last ``replaces`` characters; ``shown`` and ``words`` are for the menu."""

    text: str
    replaces: int
    shown: str
    words: str = ""


def complete(app: App, text: str) -> Iterator[Candidate]:
    """The completions of the text before the cursor: commands, models and files. Opens no socket and no keyring."""
    if not text.startswith("/") or "\n" in text:
        return
    name, space, argument = text.partition(" ")
    if not space:
        for command in SLASH_COMMANDS:
            for each in command.names:
                if each.startswith(name):
                    more = " " if command.argument else ""
                    yield Candidate(text=each + more, replaces=len(name), shown=each, words=command.words)
        return
    takes = next((command.takes for command in SLASH_COMMANDS if name in command.names), "")
    if takes == "model":
        with contextlib.suppress(CoreError):  # the settings do not load
            yield from _complete_model(app, argument)
    elif takes == "template":
        with contextlib.suppress(CoreError):
            yield from _complete_template(app, argument)
    elif takes in ("tools", "set"):
        with contextlib.suppress(CoreError):
            found = (
                options.complete_tools(app, argument) if takes == "tools" else options.complete_set(argument)
            )
            typed = argument.rpartition(" ")[2]
            for each in found:
                if each.startswith(typed):
                    yield Candidate(text=each, replaces=len(typed), shown=each.strip())
    elif takes == "load":
        with contextlib.suppress(CoreError):
            yield from _complete_conversation(app, argument)
        yield from _complete_file(argument, ("",))
    elif takes:
        yield from _complete_file(argument, _IMAGE_SUFFIXES if takes == "image" else ("",))


def _complete_model(app: App, typed: str) -> Iterator[Candidate]:
    """Aliases, providers, and model ids: all of a provider after its name, else those that begin as typed."""
    catalog = app.runtime.catalog
    wanted = typed.casefold()
    no_provider = "/" not in typed
    if no_provider:
        for name in (*catalog.aliases, *(f"{provider.name}/" for provider in catalog.usable)):
            if name.casefold().startswith(wanted):
                words = catalog.aliases.get(name, "")
                yield Candidate(text=name, replaces=len(typed), shown=name, words=str(words))
        if not typed:
            return
    for provider in catalog.usable:
        for model in catalog.listing(provider.name).models:
            full = f"{provider.name}/{model.id}"
            starts = (model.id, model.id.rpartition("/")[2] if no_provider else full)
            if model.kind == "chat" and any(each.casefold().startswith(wanted) for each in starts):
                yield Candidate(text=full, replaces=len(typed), shown=full)


def _complete_template(app: App, argument: str) -> Iterator[Candidate]:
    """Names of templates, and then the variables of the template."""
    from provider_core import templates

    name, space, rest = argument.partition(" ")
    if not space:
        for each in templates.all_names(app.runtime.paths.templates):
            if each.startswith(name):
                yield Candidate(text=f"{each} ", replaces=len(name), shown=each)
        return
    word = rest.rpartition(" ")[2]
    for each, default in templates.variables(app.runtime.template(name)).items():
        if each not in ("prompt", "stdin") and each.startswith(word):
            yield Candidate(text=f"{each}=", replaces=len(word), shown=each, words=default or "")


def _complete_conversation(app: App, argument: str) -> Iterator[Candidate]:
    typed = argument.lstrip()
    for each in app.runtime.history.conversations(_CONVERSATIONS_SHOWN):
        if each.id.startswith(typed):
            title = first_line(each.title, 40)
            yield Candidate(text=each.id, replaces=len(typed), shown=each.id, words=title)


def _complete_file(argument: str, suffixes: tuple[str, ...]) -> Iterator[Candidate]:
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
            yield Candidate(text=name, replaces=len(start), shown=name)
        if shown:
            return
