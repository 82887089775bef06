"""From the options of ``telex chat`` to a request, and from its answer to an exit code."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from provider_core.errors import CoreError
from telex.ask import conclude, hint
from telex.commands.chat.making import check_fit, dialogue_for, format_of, question_of, view_of
from telex.commands.chat.prompt import read_prompt
from telex.options import require_utf8, with_network
from telex.render.renderer import ChatFailed, StatusLine, render_failure, renderer_for
from telex.signals import Interrupts, Terminated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from provider_core.answer import Answer
    from provider_core.history import SavedConversation
    from provider_core.templates import Template
    from provider_core.types import Json
    from telex.app import App
    from telex.render.renderer import Renderer
    from telex.tools import ToolServers

__all__ = ["Options", "run"]

_LONG_AGO = 3600
"""Age in seconds of a conversation that ``-c`` names before it continues it."""
_AT_ONCE = 5
"""Seconds within which the conversations of several ``-m`` start."""


class Options:
    """The command line of ``telex chat``, with an attribute for each option.

    Not a dataclass, because creating one of this size takes a millisecond at start-up.
    """

    prompt: tuple[str, ...]
    template: str | None
    variables: tuple[str, ...]
    files: tuple[str, ...]
    images: tuple[str, ...]
    models: tuple[str, ...]
    system: str | None
    go_on: bool
    conversation: str | None
    no_save: bool
    stream: bool
    max_tokens: int | None
    temperature: float | None
    params: Sequence[tuple[str, Json]]
    reasoning_effort: str | None
    reasoning: str | None
    markdown: bool | None
    as_json: bool
    as_jsonl: bool
    extract: bool
    schema: str | None
    retries_schema: int
    tools: tuple[str, ...]
    allow: tuple[str, ...]
    tool_choice: str | None
    max_turns: int
    output: str | None
    save_images: str | None
    dry_run: bool
    verbose: int
    usage: bool
    quiet: bool
    no_stdin: bool
    connect_timeout: float | None
    timeout: float | None
    retries: int | None

    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)


def run(app: App, options: Options) -> None:
    """Send the request. Raises ``Stop`` and errors of the core."""
    _check_format(options)
    with _told(app, options):
        _check(options)
    app.quiet = options.quiet
    if options.save_images is not None:
        with _told(app, options):
            from telex.render.extras import folder

            app.save_images = folder(options.save_images)
    if _is_conversation(app, options):
        _converse(app, options)
        return
    with Interrupts(), contextlib.ExitStack() as stack:
        if options.output is not None:
            from telex.chat.output_file import output_to

            with _told(app, options):
                stack.enter_context(output_to(app.console, options.output))
        if len(options.models) > 1:
            from telex.commands.chat.several import ask_several

            ask_several(app, options)
            return
        toolset = _toolset(app, options)
        answer = _answer(app, options, *_begun(app, options), stack, toolset)
        if answer is not None:
            conclude(app, answer)


def _is_conversation(app: App, options: Options) -> bool:
    """Whether there is no prompt yet, and a terminal to type one on."""
    given = options.prompt or options.no_stdin or "-" in (*options.files, *options.images)
    shaped = options.as_json or options.as_jsonl or options.extract or options.schema
    apart = options.output or options.dry_run or len(options.models) > 1
    console = app.console
    if given or shaped or apart or not (console.out_is_terminal and console.stdin_is_terminal()):
        return False
    if options.template is None:
        return True
    from telex.commands.chat.templating import is_asked_later

    return is_asked_later(app, options)


def _converse(app: App, options: Options) -> None:
    from telex.repl import run as converse
    from telex.repl.hush import EchoSuppressor

    template = system = None
    if options.template is not None:
        from telex.commands.chat.templating import applied, system_of

        template = applied(app, options)
        system = system_of(template, options)
    if options.system is not None:
        system = require_utf8(options.system, "the system message")
    earlier = _earlier(app, options)
    dialogue = dialogue_for(app, options, template, earlier=earlier)
    with contextlib.ExitStack() as stack:
        if (toolset := _toolset(app, options)) is not None:
            with EchoSuppressor(app):
                dialogue.toolset = stack.enter_context(toolset)
        converse(
            app,
            dialogue,
            view=view_of(app, options),
            system=system,
            earlier=earlier,
            attached=read_prompt(app.console, (), files=options.files, images=options.images, enough=True),
            watch=lambda show: _watch(show, options.verbose),
            network=lambda target: with_network(target, vars(options)),
            quiet=options.quiet,
        )


def _begun(app: App, options: Options) -> tuple[Renderer, Template | None]:
    """The renderer, and the template, which may affect it."""
    with _told(app, options):
        template = None
        if options.template is not None:
            from telex.commands.chat.templating import applied

            template = applied(app, options)
        explain = partial(hint, app)
        return renderer_for(app.console, view_of(app, options), explain=explain), template


@contextlib.contextmanager
def _told(app: App, options: Options) -> Iterator[None]:
    """Report an early error in the output of ``--json`` and ``--jsonl`` too."""
    try:
        yield
    except (CoreError, click.UsageError, KeyboardInterrupt, Terminated) as stopped:
        _hide_keys(app, stopped)
        render_failure(
            app.console, format_of(options), stopped, hint=hint(app, stopped), models=options.models
        )
        raise


def _hide_keys(app: App, error: BaseException) -> None:
    """Remove a key that was typed as an argument from the error."""
    if isinstance(error, CoreError):
        from telex import suggest

        error.message = suggest.without_keys(error.message, app.arguments)


def _toolset(app: App, options: Options) -> ToolServers | None:
    """The servers of ``--tools``, not started yet."""
    if not options.tools:
        return None
    from telex.tools import ToolServers

    return ToolServers(
        app, options.tools, choice=options.tool_choice, max_turns=options.max_turns, allow=options.allow
    )


def _answer(
    app: App,
    options: Options,
    show: Renderer,
    template: Template | None,
    stack: contextlib.ExitStack,
    toolset: ToolServers | None,
) -> Answer | None:
    """The answer, or None for a dry run. Failures are also reported in ``--json`` and ``--jsonl``."""
    try:
        with Interrupts():
            # The model comes first: nobody should have to wait for stdin to hear that it is unknown.
            earlier = _earlier(app, options)
            if earlier is not None and options.go_on and not options.quiet:
                _say_what_is_continued(app, earlier)
            dialogue = dialogue_for(app, options, template, earlier=earlier)
            question = question_of(app, options, template)
            content, system = question.content, question.system
            if dialogue.recorder is not None:
                dialogue.recorder.title = question.title
            check_fit(app, dialogue.target, question.prompt, dialogue.next(content, system=system))
            if options.dry_run:
                from telex.render.dry import dry_run

                request = dialogue.next(content, system=system)
                if toolset is not None:
                    request = stack.enter_context(toolset).first_request(request)
                dry_run(app, dialogue.target, request)
                return None
            if toolset is not None:
                dialogue.toolset = stack.enter_context(toolset)
    except (CoreError, click.UsageError) as error:
        _hide_keys(app, error)
        show.handle(ChatFailed(error=error))
        raise
    except (KeyboardInterrupt, Terminated) as stopped:
        show.handle(ChatFailed(error=stopped))
        raise
    watch = _watch(show, options.verbose)
    if dialogue.request.schema is not None:
        from telex.structured import ask_for_json

        return ask_for_json(
            dialogue,
            content,
            show,
            schema=dialogue.request.schema,
            retries=options.retries_schema,
            system=system,
            watch=watch,
        )
    return dialogue.ask(content, show, system=system, watch=watch)


def _check_format(options: Options) -> None:
    formats = {"--json": options.as_json, "--jsonl": options.as_jsonl, "--extract": options.extract}
    given = [name for name, wanted in formats.items() if wanted]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)}: take one of them")


def _check(options: Options) -> None:
    """Reject options that contradict each other or lack another one."""
    if options.schema and options.extract:
        raise click.UsageError("--schema and --extract: the answer to a schema is all JSON, without a block")
    if options.variables and options.template is None:
        raise click.UsageError("--var is for the variables of a --template")
    if not options.tools and (options.allow or options.tool_choice):
        raise click.UsageError("--allow and --tool-choice are for the tools of --tools")
    if options.params:
        from provider_core.request import sets_token_limit

        limits = [f"-p {name}" for name, value in options.params if sets_token_limit({name: value})]
        given = ["--max-tokens", *limits] if options.max_tokens is not None else limits
        if limits and len(set(given)) > 1:
            raise click.UsageError(f"{' and '.join(given)} set the same limit: use one of them")
    if options.go_on and options.conversation:
        raise click.UsageError("--continue and --conversation: take one of them")


def _earlier(app: App, options: Options) -> SavedConversation | None:
    """The conversation to continue."""
    if not (options.go_on or options.conversation):
        return None
    earlier = (
        app.runtime.history.find(options.conversation)
        if options.conversation
        else app.runtime.history.latest()
    )
    if earlier is None:
        raise click.UsageError("there is no conversation to continue")
    return earlier


def _say_what_is_continued(app: App, earlier: SavedConversation) -> None:
    """Print a note if the conversation is not obvious: it is old, unanswered, or one of several models."""
    last = app.runtime.history.turns(earlier.id)[-1]
    others = [each for each in app.runtime.history.conversations(8) if each.id != earlier.id]
    named = f"“{earlier.title}” ({earlier.id})"
    if not last.answered and any(message.role == "user" for message in last.messages):
        again = "is sent along" if last.resend else "is not sent again, since the server refused it"
        app.console.note(f"Continuing {named}. Its last question was not answered and {again}.")
    elif any(each.title == earlier.title and abs(each.begun - earlier.begun) < _AT_ONCE for each in others):
        app.console.note(f"Continuing {named} with the answer of {earlier.model}.")
    elif (unused := time.time() - earlier.updated) > _LONG_AGO:
        from telex.humanize import age

        app.console.note(f"Continuing {named}, last used {age(unused)} ago.")


def _watch(show: Renderer, verbose: int) -> Callable[[str, str], None] | None:
    """Log to stderr; the response is included only with ``-vv``."""
    if not verbose:
        return None

    def tell(mark: str, words: str) -> None:
        if mark != "<<" or verbose > 1:
            show.handle(StatusLine(text=f"{mark[:1]} {words}"))

    return tell
