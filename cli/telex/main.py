"""The root command and the one list of commands; each command's module is imported when it is run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from provider_core import __version__
from telex import exit_codes
from telex.app import App
from telex.command import leave_with
from telex.lazy import LazyGroup

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "chat": ("telex.commands.chat:command", "Send a prompt and stream the answer."),
    "models": ("telex.commands.models:command", "List models, set aliases and the default model."),
    "providers": ("telex.commands.providers:command", "Set up the servers that telex talks to."),
    "mcp": ("telex.commands.mcp:command", "Set up MCP servers whose tools a model may call."),
    "history": ("telex.commands.history:command", "List, search and remove saved conversations."),
    "templates": ("telex.commands.templates:command", "Save and reuse prompts with variables."),
    "completion": ("telex.commands.completion:command", "Set up shell completion."),
    "doctor": ("telex.commands.doctor:command", "Check the installation and suggest fixes."),
    "help": ("telex.commands.help:command", "Show help for a topic or a command."),
}
"""Name -> ("module:attribute", one line of help): see ``lazy``."""


class _Root(LazyGroup):
    """The group whose help names the topics, too."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from telex.help import TOPICS

        with formatter.section("Topics (telex help TOPIC)"):
            formatter.write_dl(list(TOPICS.items()))
        super().format_epilog(ctx, formatter)


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        leave_with(ctx, f"telex {__version__}")


@click.command(
    cls=_Root,
    rows=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    examples=("telex providers add deepseek", 'git diff | telex chat "Write a commit message for this."'),
)
@click.option(
    "-V",
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
def root() -> None:
    """One command for every model behind an OpenAI-compatible API: cloud, gateway, or a server on this machine."""


def main(arguments: Sequence[str], app: App | None = None) -> int:
    """Run one command line; returns the exit code and never raises."""
    app = app or App(arguments=tuple(arguments))
    with exit_codes.reported(app) as outcome:
        try:
            root.main(args=list(arguments), prog_name="telex", obj=app, standalone_mode=False)
        finally:
            app.close()
    return outcome.code
