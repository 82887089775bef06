"""The commands of an interactive conversation about its prompts and answers, such as /continue and /fork."""

from __future__ import annotations

import itertools
import os
import re
from typing import TYPE_CHECKING

from telex.repl.session import CommandError, first_line, split_words
from telex.repl.terminal import print_prompt

if TYPE_CHECKING:
    from telex.repl.session import Session


def continue_(session: Session, _: str) -> None:
    session.continue_answer()


def copy(session: Session, argument: str) -> None:
    """Copy an answer: the last one, that of prompt N, or the first code block of the last one."""
    from telex.clipboard import copy as copy_text

    if argument in ("", "code"):
        text = next((each.answer for each in reversed(session.exchanges) if each.answer), "")
        if not text:
            raise CommandError("there is no answer to copy yet")
    elif argument.isdecimal():
        number = int(argument)
        if not 1 <= number <= len(session.exchanges):
            raise CommandError(
                f"there is no prompt {argument}", "To list the prompts with their numbers: /usage"
            )
        text = session.exchanges[number - 1].answer
        if not text:
            raise CommandError(f"prompt {argument} has no answer to copy")
    else:
        raise CommandError(
            "/copy takes the number of a prompt, or code", "To list the prompts with their numbers: /usage"
        )
    if argument == "code":
        from telex.render.extract import first_block

        block = first_block(text)
        if block is None:
            raise CommandError("the last answer has no code block", "To copy all of it: /copy")
        text = block
    session.app.console.note(copy_text(session.app.console, text))


def fork(session: Session, _: str) -> None:
    original = session.fork()
    session.app.console.note(f"Continuing in a copy. The original is unchanged: /load {original}")


def load(session: Session, argument: str) -> None:
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


def compact(session: Session, _: str) -> None:
    """Replace the older prompts by a summary, and report what was dropped."""
    from telex.humanize import number, plural

    console = session.app.console
    done = session.compact()
    if done is None:
        console.note("Nothing was replaced.")
        return
    tokens = f"about {number(done.before)} tokens before, {number(done.after)} now"
    if not done.prompts:
        console.note(f"The summary is not shorter, so nothing was replaced: {tokens}.")
        return
    attached = f", with {plural(done.attachments, 'attachment')}" if done.attachments else ""
    console.note(f"Replaced {plural(done.prompts, 'prompt')} and the answers{attached}: {tokens}.")
    console.note("The last prompt is unchanged. The history has the full text, and telex chat -c sends it.")


def template(session: Session, argument: str) -> None:
    """Send the prompt of a template, with its system message; the rest of the line is its prompt or its variables."""
    from provider_core import templates
    from telex.chat.input import template_values

    words = split_words(argument)
    if not words:
        folder = session.app.runtime.paths.templates
        session.app.console.note(f"Templates: {', '.join(sorted(templates.all_names(folder)))}")
        return
    found = session.app.runtime.template(words[0])
    variables = list(itertools.takewhile(re.compile(r"[A-Za-z_]\w*=").match, words[1:]))
    typed = " ".join(words[1 + len(variables) :])
    filled = templates.fill(found, typed=typed, values=template_values(variables))
    if filled.system:
        session.system = filled.system
    if not (filled.prompt.strip() or session.attached.attachments):
        session.app.console.note("The system message of the template applies from the next prompt.")
        return
    print_prompt(session.app.console, filled.prompt)
    session.send(filled.prompt)
