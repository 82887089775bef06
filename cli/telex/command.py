"""The classes of all commands: help with examples and exit codes, suggestions, and groups that import lazily."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import click

from telex.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def exit_with(ctx: click.Context, text: str) -> NoReturn:
    """Print ``text`` instead of running the command. Errors of writing are reported as for any other output."""
    from telex.app import App

    app = ctx.find_object(App)
    if app is None:
        click.echo(text)
    else:
        app.console.out(f"{text}\n")
    ctx.exit()


def _help(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        exit_with(ctx, ctx.get_help())


class _Context(click.Context):
    @property
    def command_path(self) -> str:
        # Click adds the arguments of a command that has commands, too.
        name = self.info_name or ""
        return name if self.parent is None else f"{self.parent.command_path} {name}"

    def make_formatter(self) -> click.HelpFormatter:
        from telex.help import formatter

        return formatter(self)


class Command(click.Command):
    """A command whose help has examples and exit codes, and whose usage errors say what was probably meant.

    ``examples`` are command lines that work as they are; at least one of them is a pipe. ``exits`` are the exit codes
    of the command besides 0 and 2, and besides 1, 130 and 141, which every command can return; ``meanings`` are those
    that differ from the usual ones. ``otherwise`` is the
    advice for an unknown option that resembles no other; "{word}" in it is replaced by the option.
    """

    context_class = _Context

    def __init__(
        self,
        *args: Any,
        examples: Sequence[str] = (),
        exits: Sequence[ExitCode] = (),
        meanings: Mapping[ExitCode, str] | None = None,
        otherwise: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.exits = tuple(sorted({ExitCode.OK, ExitCode.USAGE, *exits} if exits else ()))
        self.meanings = {code: code.meaning_among(self.exits) for code in self.exits} | dict(meanings or {})
        self.otherwise = otherwise

    def make_parser(self, ctx: click.Context) -> Any:
        parser = super().make_parser(ctx)
        # Click looks for every option among the long ones first, and compares one that is not there with all of them.
        parser._long_opt = {**parser._short_opt, **parser._long_opt}
        return parser

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        option = super().get_help_option(ctx)
        if option is not None:
            option.callback = _help
        return option

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = tuple(args)
        try:
            return super().parse_args(ctx, args)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            from telex import suggest

            raise click.UsageError(suggest.usage_message(ctx, error, given, self.otherwise), ctx) from None

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from telex.help import write_examples, write_exits

        write_examples(formatter, self.examples)
        write_exits(formatter, self.meanings)
        super().format_epilog(ctx, formatter)


class Group(Command, click.Group):
    """A group whose commands are imported when they are run.

    ``rows`` maps a name to "module:attribute" and one line of help, so that the help of the group imports nothing.
    """

    def __init__(self, *args: Any, rows: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rows = rows

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        row = self.rows.get(cmd_name)
        if row is None:
            return None
        module, _, attribute = row[0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self.rows and not name.startswith("-"):
            from telex import suggest

            ctx.fail(suggest.unknown_command(ctx, self, args))
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        click.Command.format_options(self, ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, row[1]) for name, row in self.rows.items()])


class CommandWithVerbs(Group):
    """A command that is a group, too: its first word may name one of ``rows``, which is run instead.

    A file of such a name has to be written as ./NAME.
    """

    allow_interspersed_args = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, invoke_without_command=True, **kwargs)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return click.Command.collect_usage_pieces(self, ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] in self.rows:
            ctx.args = args
            return args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        if not ctx.args:
            return click.Command.invoke(self, ctx)
        name, command, args = self.resolve_command(ctx, ctx.args)
        if command is None:  # resolve_command has raised an error
            return None
        with command.make_context(name, args, parent=ctx) as below:
            return command.invoke(below)
