"""``telex templates edit`` and ``remove``: edit a template in the user's editor, or remove it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from telex.app import pass_app
from telex.command import Command
from telex.editor import edit_file
from telex.exit_codes import ExitCode, Stop
from telex.options import Name
from telex.prompts import can_prompt, confirm_removal

if TYPE_CHECKING:
    from pathlib import Path

    from telex.app import App

__all__ = ["edit", "remove"]

_FIELDS = """\
# A saved prompt. To use it: telex chat --template NAME
# Lines that begin with "#" are ignored. Remove the "#" to use a line.

# description = "a short description for lists"
# model = "provider/model"
# system = "the system message"
# temperature = 0.2
# max_tokens = 1000
# reasoning_effort = "low"
# schema = "name, age int, tags list"
# extract = true               # print only the first code block
# params = { top_p = 0.9 }     # other fields of the request
"""

_PLACES = r"""
# {{ stdin }} is the piped input, and {{ prompt }} the prompt on the command line. --var name=VALUE sets
# {{ name }}; {{ name | text }} has a default. Write \{{ for two literal braces.
"""

_TOML = f"{_FIELDS}{_PLACES}prompt = '''\n'''\n"
_MARKDOWN = f"+++\n{_FIELDS}{_PLACES}+++\n\n"


@click.command(
    cls=Command,
    examples=(
        "telex templates edit review",
        "cat brief.md | EDITOR=tee telex templates edit brief.md",
    ),
    exits=(ExitCode.SETTINGS,),
)
@click.argument("name", type=Name("template"))
@click.option(
    "--markdown", is_flag=True, help="Start a new template as Markdown: the prompt below a TOML header."
)
@pass_app
def edit(app: App, *, name: str, markdown: bool) -> None:
    """Open a template in your editor, or create one.

    The editor is $VISUAL, or else $EDITOR. The file is saved even if it has mistakes; they are reported.
    """
    from provider_core.files import private_folder, replace

    path, begun = _path(app, name, markdown=markdown)
    if begun is not None:
        private_folder(path.parent)
        replace(path, begun.encode())
    try:
        _edited(app, path, begun)
    finally:
        unwritten = _is_unwritten(path, begun)
        if unwritten:
            path.unlink(missing_ok=True)
    if unwritten:
        app.console.note(f"Nothing was written: there is no template {path.stem}.")
    elif not path.exists():
        app.console.note(f"The template {path.stem} no longer exists.")
    else:
        app.console.note(f"Saved as {path}. To use it: telex chat --template {path.stem}")


def _path(app: App, name: str, *, markdown: bool) -> tuple[Path, str | None]:
    """The template's file, and the initial text of a new one."""
    from provider_core.errors import InvalidInputError, TemplateError
    from provider_core.templates import find, names

    folder = app.runtime.paths.templates
    try:
        return find(folder, name), None
    except TemplateError as error:
        if not error.name:
            raise
        bare = error.name
    if bare in names(folder):
        raise InvalidInputError(f"there is a template {bare} already: {names(folder)[bare]}")
    if markdown or name.endswith(".md"):
        return folder / f"{bare}.md", _MARKDOWN.replace("NAME", bare, 1)
    return folder / f"{bare}.toml", _TOML.replace("NAME", bare, 1)


def _is_unwritten(path: Path, begun: str | None) -> bool:
    """Whether a new file was left unchanged."""
    return begun is not None and _text(path) in (begun.encode(), b"", None)


def _edited(app: App, path: Path, begun: str | None) -> None:
    """Let the user edit the file until it is valid, or they decline."""
    from provider_core.errors import TemplateError
    from provider_core.templates import load

    while True:
        edit_file(app, path)
        if _is_unwritten(path, begun) or _text(path) is None:
            return
        try:
            load(path.parent, str(path))
        except TemplateError as error:
            if not can_prompt(app.console):
                raise
            app.console.error(error.message)
            if not click.confirm("Edit it again?", default=True, err=True):
                app.console.note("It is left as you wrote it, and cannot be used so.")
                raise Stop(ExitCode.SETTINGS) from None
        else:
            return


def _text(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


@click.command(
    cls=Command,
    examples=(
        "telex templates remove review --yes",
        "telex templates list | cut -f 1 | grep ^old- | xargs -n 1 telex templates remove --yes",
    ),
    exits=(ExitCode.SETTINGS,),
)
@click.argument("name", type=Name("template"))
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@pass_app
def remove(app: App, *, name: str, yes: bool) -> None:
    """Remove a template's file.

    Asks for confirmation on a terminal; otherwise --yes is required.
    """
    from provider_core.errors import TemplateError
    from provider_core.templates import find

    path = find(app.runtime.paths.templates, name)
    if path.parent != app.runtime.paths.templates:
        raise click.UsageError(
            f"{name} is not one of the templates in {app.runtime.paths.templates}; use rm to remove it"
        )
    if not yes:
        confirm_removal(app.console, str(path))
    try:
        path.unlink()
    except OSError as error:
        raise TemplateError(f"{path} cannot be removed: {error.strerror}", path=path) from None
    app.console.note(f"{path} is removed.")
