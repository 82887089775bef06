"""Groups whose commands are rows of a table: a command's module is imported when the command is run."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from telex.command import Group

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import click

__all__ = ["LazyGroup"]


class LazyGroup(Group):
    """``rows``: name -> ("module:attribute", one line of help). The line stands here so that help imports nothing.

    ``no_command`` is the advice for a word that is near to no command; "{name}" in it is the word.
    """

    def __init__(
        self, *args: Any, rows: Mapping[str, tuple[str, str]], no_command: str = "", **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.rows = rows
        self.no_command = no_command

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
            from provider_core.wording import near

            meant = list(self._below(ctx, name)) or [
                f"{ctx.command_path} {found}" for found in near(name, self.rows, most=1)
            ]
            advice = (
                f"Did you mean {' or '.join(f'`{each}`' for each in meant)}?"
                if meant
                else self.no_command.format(name=name)
            )
            ctx.fail(f"there is no command {name!r}. {advice}".rstrip())
        return super().resolve_command(ctx, args)

    def _below(self, ctx: click.Context, name: str) -> Iterator[str]:
        """Where the groups below have a command of this name."""
        for row in self.rows:
            command = self.get_command(ctx, row)
            if isinstance(command, LazyGroup) and name in command.rows:
                yield f"{ctx.command_path} {row} {name}"

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, row[1]) for name, row in self.rows.items()])
