"""``telex chat``: from prompt, stdin and options to one request, its events to a renderer, its end to an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from telex.context import pass_app
from telex.options import BodyField, Name, Number, network_options, readable, with_network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provider_core.types import Json
    from telex.ask import View
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
@click.option(
    "-m",
    "--model",
    type=Name("model"),
    metavar="ID",
    help="provider/model, a provider, or a model that only one has.",
)
@click.option("-s", "--system", metavar="TEXT", help="The system message.")
@click.option(
    "--stream/--no-stream", default=True, help="Show the answer as it comes (default) or when it is whole."
)
@click.option("--max-tokens", type=click.IntRange(min=1), metavar="N", help="The longest answer, in tokens.")
@click.option("-t", "--temperature", type=Number(min=0), metavar="T", help="Randomness; sent only if given.")
@click.option(
    "-p",
    "--param",
    "params",
    type=BodyField(),
    multiple=True,
    help="Any further field of the request's body.",
)
@click.option("--reasoning-effort", metavar="LEVEL", help="How hard to think: none, low, medium, high, …")
@click.option(
    "--reasoning", type=click.Choice(["show", "hide", "summary"]), help="What of the thinking is shown."
)
@click.option("--markdown/--plain", default=None, help="Lay the answer out, or show it as it was written.")
@click.option("-u", "--usage", is_flag=True, help="Say in full how many tokens it took, and how long.")
@click.option("-q", "--quiet", is_flag=True, help="Only the answer, and errors.")
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
    reasoning: str | None,
    markdown: bool | None,
    usage: bool,
    quiet: bool,
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
    from telex.ask import ask

    turns = [Message(role="user", content=text)]
    if system:
        turns.insert(0, Message(role="system", content=readable(system, "the system message")))
    request = Request(
        model=target.model,
        messages=tuple(turns),
        stream=stream,
        max_tokens=max_tokens,
        temperature=temperature,
        reasoning_effort=reasoning_effort,
        params=dict(params),
    )
    ask(app, target, request, _view(app, markdown=markdown, reasoning=reasoning, usage=usage, quiet=quiet))


def _view(app: App, *, markdown: bool | None, reasoning: str | None, usage: bool, quiet: bool) -> View:
    """How the answer is shown: what was asked for, else the settings, else what suits the streams."""
    settings = app.settings
    wanted = "full" if usage else "none" if quiet else settings.usage
    if wanted == "auto":
        wanted = "short" if app.console.out_is_terminal and app.console.err_is_terminal else "none"
    from telex.ask import View

    return View(
        markdown=settings.markdown if markdown is None else markdown,
        markdown_anywhere=markdown is True,
        reasoning=reasoning or ("hide" if quiet else settings.reasoning),
        usage=wanted,
        code_theme=settings.code_theme,
    )


def read_prompt(console: Console, words: Sequence[str], *, no_stdin: bool) -> str:
    """The prompt: stdin, a blank line, the words of the command line, as far as each is there."""
    # Within a sentence a dash is a dash: only at its ends it stands for stdin.
    forced = "-" in (*words[:1], *words[-1:])
    if forced and no_stdin:
        raise click.UsageError('"-" reads stdin and --no-stdin does not: take one of them')
    if forced:
        words = words[1:] if words[0] == "-" else words[:-1]
    typed = readable(" ".join(words), "the prompt")
    piped = None
    if not no_stdin:
        piped = console.read_stdin(wait=forced or not (typed.strip() or console.stdin_is_terminal()))
    if piped and not piped.strip() and typed.strip():
        piped = None  # an empty line from a script's stdin is no text to talk about
    parts = [part for part in (piped, typed) if part]
    text = "\n\n".join(parts)
    if not text.strip():
        raise click.UsageError(
            'there is no prompt: give one, as in telex chat "Why is the sky blue?", or pipe one in'
        )
    return text
