"""The scripts that complete telex in bash, zsh and fish, made from the Click tree; no command line is completed here.

At a Tab the shell runs nothing but its own builtins: commands and options are in the script, and names are in
the plain lists that ``provider_core.catalog`` keeps in the cache folder. ``python -m telex.completion FOLDER``
writes the scripts that are checked in.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

__all__ = ["FILES", "script"]

FILES = {"bash": "telex.bash", "zsh": "_telex", "fish": "telex.fish"}
"""Shell -> the script's name in the folder ``completions``."""


def script(shell: str, root: click.Command) -> str:
    """The script that completes ``root`` and all below it in "bash", "zsh" or "fish"."""
    from telex.completion import bash, fish, tree, zsh

    commands = tree.read(root)
    match shell:
        case "bash":
            marker, lines = "#: table", bash.table(commands)
        case "zsh":
            marker, lines = "#: commands", zsh.functions(commands)
        case "fish":
            marker, lines = "#: table", fish.table(commands)
        case _:
            raise ValueError(f"there is no script for {shell}")
    body = files("telex.completion").joinpath(f"body.{shell}").read_text("utf-8")
    before, _, after = body.partition(f"{marker}\n")
    return before + "".join(f"{line}\n" for line in lines) + after
