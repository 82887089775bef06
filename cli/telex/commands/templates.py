"""``telex templates``: list, show, edit and remove saved prompts; ``telex chat --template`` uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from telex.app import pass_app
from telex.exit_codes import ExitCode, Stop
from telex.main import Command, Group
from telex.options import Name

if TYPE_CHECKING:
    from pathlib import Path

    from provider_core.templates import Template
    from telex.app import App

COMMANDS = {
    "list": (f"{__name__}:list_", "List the templates."),
    "show": (f"{__name__}:show", "Show one template."),
    "edit": (f"{__name__}:edit", "Write or change a template."),
    "remove": (f"{__name__}:remove", "Remove a template."),
}


@click.command(
    cls=Group,
    rows=COMMANDS,
    name="templates",
    examples=("telex templates edit review", "telex templates list | cut -f1"),
)
def command() -> None:
    """Save and reuse prompts with variables.

    Some templates come with telex: commit, review, explain, summary and translate.

    A template is a file with a prompt, and optionally a model, a system message and other settings; telex templates
    edit creates one and shows what it can contain. In its text, {{ stdin }} is the piped input, and {{ prompt }} the
    prompt on the command line. {{ name }} is a variable, set with telex chat --var name=VALUE; {{ name | text }} is one
    with a default.
    """


@click.command(
    cls=Command,
    name="list",
    examples=("telex templates list", "telex templates list --json | jq -r '.[].name'"),
    exits=(ExitCode.OK,),
)
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
@pass_app
def list_(app: App, *, as_json: bool) -> None:
    """List the templates with their descriptions.

    SOURCE is "yours", "shipped" for those that come with telex, or "project" for those of a trusted .telex.toml. One of
    yours replaces a shipped one of the same name, and one of the project replaces both. In a pipe, each line has NAME,
    MODEL, DESCRIPTION and SOURCE, separated by tabs. Templates that cannot be used are listed too, and reported on
    stderr.
    """
    from provider_core.errors import SettingsError
    from provider_core.templates import all_names
    from telex.render import tables

    of_project = _of_project(app)
    objects: list[dict[str, Any]] = []
    rows: list[tuple[str, str, str, str]] = []
    for name, path in (of_project | all_names(app.runtime.paths.templates) | of_project).items():
        model = summary = ""
        try:
            template = app.runtime.template(name)
        except SettingsError as error:
            app.console.note(error.message)
            shown = {"name": name, "path": str(path), "shipped": _is_shipped(path), "error": error.message}
        else:
            shown, model, summary = _as_json(template), template.model or "", _summary(template)
        objects.append(shown)
        source = "project" if name in of_project else "shipped" if _is_shipped(path) else "yours"
        rows.append((name, model, summary, source))
    if as_json:
        app.console.json(objects)
    else:
        tables.rows(app.console, ("NAME", "MODEL", "DESCRIPTION", "SOURCE"), rows)


@click.command(
    cls=Command,
    examples=("telex templates show review", "telex templates show review --json | jq .variables"),
    exits=(ExitCode.SETTINGS,),
)
@click.argument("name", type=Name("template"))
@click.option("--json", "as_json", is_flag=True, help="Print the parsed template as a JSON object.")
@pass_app
def show(app: App, *, name: str, as_json: bool) -> None:
    """Print the file of a template."""
    from provider_core.templates import find

    if as_json:
        app.console.json(_as_json(app.runtime.template(name)))
        return
    path = _of_project(app).get(name) or find(app.runtime.paths.templates, name)
    try:
        text = path.read_text("utf-8", "replace")
    except OSError as error:
        from provider_core.errors import TemplateError

        raise TemplateError(f"{path} cannot be read: {error.strerror}", path=path) from None
    app.console.out(text if text.endswith("\n") else f"{text}\n")
    if app.console.err_is_terminal:
        app.console.note(str(path))


def _of_project(app: App) -> dict[str, Path]:
    """The templates of the project in force, by name."""
    found = app.runtime.project
    if found is None or found.state != "trusted" or app.runtime.settings.project is None:
        return {}
    from provider_core import trust

    return trust.template_files(app.runtime.settings.project)


def _summary(template: Template) -> str:
    """The description, or else the start of the prompt."""
    words = template.description or template.prompt or template.system
    first = next((line.strip() for line in words.splitlines() if line.strip()), "")
    return first if len(first) <= 60 else f"{first[:59]}…"


def _as_json(template: Template) -> dict[str, Any]:
    from provider_core.templates import variables

    values = {name: getattr(template, name) for name in type(template)._fields}
    own = {
        "path": str(template.path),
        "shipped": _is_shipped(template.path),
        "variables": variables(template),
    }
    return values | own


def _is_shipped(path: Path) -> bool:
    from provider_core.templates import SHIPPED

    return path.parent == SHIPPED


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
# web = true                   # let the provider search the web
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
        "telex templates edit review && git diff | telex chat --template review",
    ),
    exits=(ExitCode.SETTINGS,),
)
@click.argument("name", type=Name("template"))
@click.option(
    "--markdown",
    is_flag=True,
    help="Create a new template as a Markdown file with a TOML header, instead of TOML.",
)
@pass_app
def edit(app: App, *, name: str, markdown: bool) -> None:
    """Open a template in your editor, or create one.

    The editor is $VISUAL, or else $EDITOR. The file is saved even if it has mistakes; they are reported. Editing a
    template that comes with telex creates your own copy, which replaces it; remove the copy to return to the original.
    """
    from provider_core.files import private_folder, replace

    path, initial = _file_to_edit(app, name, markdown=markdown)
    if initial is not None:
        private_folder(path.parent)
        replace(path, initial)
    try:
        _edit_until_valid(app, path, initial)
    finally:
        unwritten = initial is not None and _content(path) in (initial, b"", None)
        if unwritten:
            path.unlink(missing_ok=True)
    if unwritten:
        app.console.note("Nothing was written.")
    elif not path.exists():
        app.console.note(f"The template {path.stem} no longer exists.")
    else:
        app.console.note(f"Saved as {path}. To use it: telex chat --template {path.stem}")


def _file_to_edit(app: App, name: str, *, markdown: bool) -> tuple[Path, bytes | None]:
    """The template's file, and the initial content of a new one."""
    from provider_core.errors import InvalidInputError, TemplateError
    from provider_core.templates import find, names

    folder = app.runtime.paths.templates
    try:
        path = find(folder, name)
        if not _is_shipped(path):
            return path, None
        if not markdown:
            return folder / path.name, path.read_bytes()
        raise click.UsageError(
            f"the template {path.stem} comes with telex, as TOML\nLeave out --markdown to edit it."
        )
    except TemplateError as error:
        if not error.name:
            raise
        bare = error.name
    if bare in names(folder):
        raise InvalidInputError(f"there is a template {bare} already: {names(folder)[bare]}")
    suffix, text = (".md", _MARKDOWN) if markdown or name.endswith(".md") else (".toml", _TOML)
    return folder / f"{bare}{suffix}", text.replace("NAME", bare, 1).encode()


def _edit_until_valid(app: App, path: Path, initial: bytes | None) -> None:
    from provider_core.errors import TemplateError
    from provider_core.templates import load
    from telex.editor import edit_file

    while True:
        edit_file(app, path)
        if _content(path) in (initial, b"", None):
            return
        try:
            load(path.parent, str(path))
            return
        except TemplateError as error:
            if not app.console.can_prompt():
                raise
            app.console.error(error.message)
        if not click.confirm("Edit it again?", default=True, err=True):
            app.console.note("The file is saved with this mistake; it cannot be used yet.")
            raise Stop(ExitCode.SETTINGS)


def _content(path: Path) -> bytes | None:
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
    if _is_shipped(path):
        raise click.UsageError(
            f"the template {path.stem} comes with telex and cannot be removed\n"
            f"To replace it with your own: telex templates edit {path.stem}"
        )
    if path.parent != app.runtime.paths.templates:
        raise click.UsageError(
            f"{name} is not one of the templates in {app.runtime.paths.templates}; use rm to remove it"
        )
    if not yes:
        app.console.confirm_removal(str(path))
    try:
        path.unlink()
    except OSError as error:
        raise TemplateError(f"{path} cannot be removed: {error.strerror}", path=path) from None
    app.console.note(f"{path} is removed.")
