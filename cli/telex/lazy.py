"""Groups whose commands are rows of a table: a command's module is imported when the command is run."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LazyGroup"]


class LazyGroup(click.Group):
    """``rows``: name -> ("module:attribute", one line of help). The line stands here so that help imports nothing.

    ``otherwise`` is the advice for a word that is near to no command; "{name}" in it is the word.
    """

    def __init__(
        self, *args: Any, rows: Mapping[str, tuple[str, str]], otherwise: str = "", **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.rows = rows
        self.otherwise = otherwise

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
            import difflib

            near = difflib.get_close_matches(name, self.rows, n=1)
            advice = (
                f"Did you mean `{ctx.command_path} {near[0]}`?" if near else self.otherwise.format(name=name)
            )
            ctx.fail(f"there is no command {name!r}. {advice}".rstrip())
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, row[1]) for name, row in self.rows.items()])
