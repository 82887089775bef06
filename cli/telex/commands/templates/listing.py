"""``telex templates list`` and ``show``: list and print templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from telex.app import pass_app
from telex.command import Command
from telex.exit_codes import ExitCode
from telex.options import Name

if TYPE_CHECKING:
    from provider_core.templates import Template
    from telex.app import App

__all__ = ["list_", "show"]

_HEADERS = ("NAME", "MODEL", "WHAT IT IS")


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

    In a pipe, each line has NAME, MODEL and WHAT IT IS, separated by tabs. Templates that cannot be used are listed
    too, and reported on stderr.
    """
    from provider_core.errors import TemplateError
    from provider_core.templates import load, names
    from telex.render import sheet

    folder = app.runtime.paths.templates
    objects: list[dict[str, Any]] = []
    rows: list[tuple[str, str, str]] = []
    for name, path in names(folder).items():
        try:
            template = load(folder, name)
        except TemplateError as error:
            app.console.note(error.message)
            objects.append({"name": name, "path": str(path), "error": error.message})
            rows.append((name, "", ""))
        else:
            objects.append(_as_json(template))
            rows.append((name, template.model or "", _words(template)))
    if as_json:
        app.console.json(objects)
        return
    sheet.rows(app.console, _HEADERS, rows)
    if not rows:
        app.console.note("There are no templates. To write one: telex templates edit NAME")


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
    from provider_core.templates import find, load

    if as_json:
        app.console.json(_as_json(load(app.runtime.paths.templates, name)))
        return
    path = find(app.runtime.paths.templates, name)
    try:
        text = path.read_text("utf-8", "replace")
    except OSError as error:
        from provider_core.errors import TemplateError

        raise TemplateError(f"{path} cannot be read: {error.strerror}", path=path) from None
    app.console.out(text if text.endswith("\n") else f"{text}\n")
    if app.console.err_is_terminal:
        app.console.note(str(path))


def _words(template: Template) -> str:
    """Its description, or else the beginning of its prompt."""
    words = template.description or template.prompt or template.system
    first = next((line.strip() for line in words.splitlines() if line.strip()), "")
    return first if len(first) <= 60 else f"{first[:59]}…"


def _as_json(template: Template) -> dict[str, Any]:
    from dataclasses import fields

    from provider_core.templates import variables

    values = {each.name: getattr(template, each.name) for each in fields(template)}
    return {**values, "path": str(template.path), "variables": variables(template)}
