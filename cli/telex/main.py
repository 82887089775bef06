"""The root command and the one list of commands; each command's module is imported when it is run."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

import click

from provider_core import __version__
from telex import exits
from telex.context import App

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "chat": ("telex.commands.chat", "Send a prompt and stream the answer."),
    "models": ("telex.commands.models", "See what can be asked, and name it."),
    "providers": ("telex.commands.providers", "Set up the servers that telex talks to."),
}
"""Name -> (module, one line of help). The line stands here so that ``--help`` imports no command."""


class LazyGroup(click.Group):
    """A group whose commands are rows of a table: the attribute ``command`` of a module that is not imported yet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        row = COMMANDS.get(cmd_name)
        if row is None:
            return None
        command: click.Command = import_module(row[0]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, COMMANDS, n=1)
            advice = f"Did you mean `telex {near[0]}`?" if near else f'To ask a model: telex chat "{name} …"'
            ctx.fail(f"there is no command {name!r}. {advice}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, row[1]) for name, row in COMMANDS.items()])


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog='Example: git diff | telex chat "Write a commit message for this."',
)
@click.version_option(__version__, "-V", "--version", prog_name="telex", message="%(prog)s %(version)s")
def root() -> None:
    """One command for every model behind an OpenAI-compatible API: cloud, gateway, or a server on this machine."""


def main(arguments: Sequence[str], app: App | None = None) -> int:
    """Run one command line; returns the exit code and never raises."""
    app = app or App()
    with exits.reported(app) as outcome:
        try:
            root.main(args=list(arguments), prog_name="telex", obj=app, standalone_mode=False)
        finally:
            app.close()
    return outcome.code


def run() -> NoReturn:
    """The entry point of the installed command."""
    sys.exit(main(sys.argv[1:]))
