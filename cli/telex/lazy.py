"""Groups whose commands are rows of a table: a command's module is imported when the command is run."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from telex.command import Group

if TYPE_CHECKING:
    from collections.abc import Mapping

    import click

__all__ = ["LazyGroup"]


class LazyGroup(Group):
    """``rows``: name -> ("module:attribute", one line of help). The line stands here so that help imports nothing."""

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

            ctx.fail(suggest.no_command(ctx, self, args))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, row[1]) for name, row in self.rows.items()])
