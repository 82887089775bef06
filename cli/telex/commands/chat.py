"""``telex chat``: from prompt, stdin and options to one request, its events to a renderer, its end to an exit code."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from telex.context import pass_app
from telex.exits import ExitCode, Stop, code_and_hint
from telex.options import BodyField, network_options, with_network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provider_core.types import FieldDropped, Finished, Json, Notice, Request, Target
    from telex.console import Console
    from telex.context import App

__all__ = ["command"]


class ChatCommand(click.Command):
    """Knows that a word with a dash at its front may have been meant as the prompt."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            word = next((a for a in args if a.startswith(error.option_name)), error.option_name)
            advice = 'If it belongs to the prompt, put "--" before the prompt'
            raise click.UsageError(
                f'there is no option {word!r}. {advice}: telex chat -- "{word}"', ctx
            ) from None


@click.command(cls=ChatCommand, epilog='Example: cat report.txt | telex chat -m groq "Summarise this."')
@click.argument("prompt", nargs=-1)
@click.option("-m", "--model", metavar="ID", help="provider/model, a provider, or a model that only one has.")
@click.option("-s", "--system", metavar="TEXT", help="The system message.")
@click.option(
    "--stream/--no-stream", default=True, help="Show the answer as it comes (default) or when it is whole."
)
@click.option("--max-tokens", type=click.IntRange(min=1), metavar="N", help="The longest answer, in tokens.")
@click.option(
    "-t", "--temperature", type=click.FloatRange(min=0), metavar="T", help="Randomness; sent only if given."
)
@click.option(
    "-p",
    "--param",
    "params",
    type=BodyField(),
    multiple=True,
    help="Any further field of the request's body.",
)
@click.option("--reasoning-effort", metavar="LEVEL", help="How hard to think: none, low, medium, high, …")
@click.option("--no-stdin", is_flag=True, help="Do not read stdin.")
@network_options
@pass_app
def command(
    app: App,
    /,
    *,
    prompt: tuple[str, ...],
    model: str | None,
    system: str | None,
    stream: bool,
    max_tokens: int | None,
    temperature: float | None,
    params: Sequence[tuple[str, Json]],
    reasoning_effort: str | None,
    no_stdin: bool,
    **network: float | None,
) -> None:
    """Send PROMPT and stream the answer to stdout.

    What comes on stdin stands before the prompt, with a blank line between. A PROMPT of "-" reads stdin to
    its end however long that takes.
    """
    text = read_prompt(app.console, prompt, no_stdin=no_stdin)
    target = with_network(app.target(model), network)
    from provider_core.types import Message, Request

    turns = [Message(role="user", content=text)]
    if system:
        turns.insert(0, Message(role="system", content=system))
    chat(
        app,
        target,
        Request(
            model=target.model,
            messages=tuple(turns),
            stream=stream,
            max_tokens=max_tokens,
            temperature=temperature,
            reasoning_effort=reasoning_effort,
            params=dict(params),
        ),
    )


def read_prompt(console: Console, words: Sequence[str], *, no_stdin: bool) -> str:
    """The prompt: stdin, a blank line, the words of the command line, as far as each is there."""
    forced = "-" in words
    if forced and no_stdin:
        raise click.UsageError('"-" reads stdin and --no-stdin does not: take one of them')
    typed = " ".join(word for word in words if word != "-")
    piped = None if no_stdin else console.read_stdin(wait=forced or not typed.strip())
    if piped and not piped.strip() and typed.strip():
        piped = None  # an empty line from a script's stdin is no text to talk about
    parts = [part for part in (piped, typed) if part]
    text = "\n\n".join(parts)
    if not text.strip():
        raise click.UsageError(
            'there is no prompt: give one, as in telex chat "Why is the sky blue?", or pipe one in'
        )
    return text


def chat(app: App, target: Target, request: Request) -> None:
    """Ask, show, and end with the exit code that the answer deserves."""
    from provider_core.types import Finished
    from telex.render.plain import Plain

    renderer = Plain(app.console)
    finished: Finished | None = None
    with app.reach(target) as (provider, key):
        tell = partial(say, app.console, target)
        events: Any = app.client.chat(provider, request, key=key, notify=tell)
        try:
            with contextlib.closing(events):
                for event in events:
                    renderer.event(event)
                    if isinstance(event, Finished):
                        finished = event
        finally:
            renderer.close()
    if finished is not None:
        conclude(app, finished, answered=renderer.has_text)


def say(console: Console, target: Target, notice: Notice) -> None:
    """One line on stderr for what the core did on its way."""
    from provider_core.types import FieldDropped, Retrying

    match notice:
        case Retrying(error=error, seconds=seconds, attempt=attempt):
            console.note(f"{error.message}; attempt {attempt} in {seconds:.1f} s")
        case FieldDropped():
            console.note(_dropped(target, notice))


def _dropped(target: Target, notice: FieldDropped) -> str:
    match notice.field, notice.swapped_for:
        case "system", "user":
            change = "takes no system message: it stands before the prompt"
        case "roles", _:
            change = "wants roles to take turns: neighbouring messages are joined"
        case field, None:
            change = f"does not take {field}: it is left out"
        case field, other:
            change = f"does not take {field}: it is sent as {other}"
    when = ", as it was before" if notice.remembered else ", now and from now on" if notice.lasting else ""
    return f"{target} {change}{when}."


def conclude(app: App, finished: Finished, *, answered: bool) -> None:
    """Say on stderr what is to be said of the answer's end, and stop with its exit code."""
    from provider_core.types import Verdict

    console = app.console
    match finished.verdict:
        case Verdict.COMPLETE:
            return
        case Verdict.LENGTH:
            what = "The answer ends at" if answered else "No answer came: thinking took all of"
            console.note(f"{what} the token limit (--max-tokens raises it).")
            return
        case _:
            pass
    code, hint = ExitCode.PROVIDER, None
    message = f"the answer is {finished.verdict.value}"
    if finished.error is not None:
        message = finished.error.message
        code, hint = code_and_hint(finished.error, app.known(finished.error.provider))
    if finished.verdict in (Verdict.PARTIAL, Verdict.FILTERED, Verdict.EMPTY):
        code = ExitCode.PROVIDER
    console.error(message, hint)
    raise Stop(code)
