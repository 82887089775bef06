"""What every command of telex is made of: help with examples and exit codes, and one way to say "did you mean"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import click

from telex.exits import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Command", "Group", "leave_with"]


def leave_with(ctx: click.Context, text: str) -> NoReturn:
    """Print what was asked for in the place of the command; a disk that is full is then an error as anywhere."""
    from telex.context import App

    app = ctx.find_object(App)
    if app is None:
        click.echo(text)
    else:
        app.console.out(f"{text}\n")
    ctx.exit()


def _help(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        leave_with(ctx, ctx.get_help())


class _Context(click.Context):
    def make_formatter(self) -> click.HelpFormatter:
        from telex.help.layout import formatter

        return formatter(self)


class _Documented(click.Command):
    """``examples`` are command lines that can be run as they stand, at least one of them with a pipe.

    ``exits`` are the codes that this command can end with beside those that every one can (0, 1, 2, 130, 141).
    ``otherwise`` is the advice for an option that is near to none; "{word}" in it is the option.
    """

    context_class = _Context

    def __init__(
        self,
        *args: Any,
        examples: Sequence[str] = (),
        exits: Sequence[ExitCode] = (),
        otherwise: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.exits = tuple(sorted({ExitCode.OK, ExitCode.USAGE, *exits} if exits else ()))
        self.otherwise = otherwise

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        option = super().get_help_option(ctx)
        if option is not None:
            option.callback = _help
        return option

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = tuple(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            word = next((each for each in given if each.startswith(error.option_name)), error.option_name)
            advice = self.advise(ctx, word.partition("=")[0], given)
            raise click.UsageError(f"there is no option {word!r}. {advice}".rstrip(), ctx) from None

    def advise(self, ctx: click.Context, word: str, given: Sequence[str]) -> str:
        """What may have been meant by the option ``word``, which this command has not, among the words ``given``."""
        from provider_core.wording import near

        names = [name for param in self.get_params(ctx) for name in (*param.opts, *param.secondary_opts)]
        # A blank makes it a sentence, and no misspelt name.
        options = [] if " " in word else [name for name in names if name.startswith("-")]
        found = near(word, options, most=1)
        return f"Did you mean {found[0]}?" if found else self.otherwise.format(word=word)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples and exit codes; then what click calls the epilog."""
        from telex.help.layout import write_examples, write_exits

        write_examples(formatter, self.examples)
        write_exits(formatter, self.exits)
        super().format_epilog(ctx, formatter)


class Command(_Documented):
    """A command that does something."""


class Group(_Documented, click.Group):
    """A command that has others below it; its help names them before its own options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        click.Command.format_options(self, ctx, formatter)

    def advise(self, ctx: click.Context, word: str, given: Sequence[str]) -> str:
        below = next((each for each in given if each in self.list_commands(ctx)), None)
        if below is not None:
            return f"Options of a command stand behind it: {ctx.command_path} {below} {word}"
        return super().advise(ctx, word, given)
