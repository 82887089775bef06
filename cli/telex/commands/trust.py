"""``telex trust``: review a project's own settings, and allow telex to use them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provider_core.errors import SettingsError
from telex.app import pass_app
from telex.exit_codes import ExitCode
from telex.main import Command

if TYPE_CHECKING:
    from provider_core.settings.project import Project
    from telex.app import App


@click.command(
    cls=Command,
    name="trust",
    examples=("telex trust --show", "telex trust", "telex trust --list | xargs -n 1 telex trust --remove"),
    exits=(ExitCode.SETTINGS,),
)
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--show", is_flag=True, help="Print the file and what it sets, and do not trust it.")
@click.option("--remove", is_flag=True, help="Stop trusting the file.")
@click.option("--list", "list_", is_flag=True, help="List the files that you trust.")
@pass_app
def command(app: App, *, path: Path | None, show: bool, remove: bool, list_: bool) -> None:
    """Use the settings in a project's file .telex.toml.

    PATH is the file or its folder, by default the file of the project that you are in: in the working directory, or
    above it up to the root of the repository. It can set the default model, aliases, templates, a system message and
    parameters, for everybody who works on the project. telex uses it only after you trust it, and ignores it again
    when its content changes. See telex help settings.
    """
    from provider_core import trust
    from provider_core.settings import project

    wanted = {"--show": show, "--remove": remove, "--list": list_, "PATH": list_ and path is not None}
    given = [name for name, value in wanted.items() if value]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} cannot be used together")
    records = app.runtime.paths.trust
    if list_:
        known = project.known(records)
        app.console.out("".join(f"{each}\n" for each in known))
        if not known:
            app.console.note("You trust no project's file.")
        return
    found = _file(app, path)
    if remove:
        forgotten = trust.forget(found, records)
        app.console.note(f"{found} is no longer trusted." if forgotten else f"{found} was not trusted.")
    elif show:
        _show(app, found)
    else:
        trusted = trust.trust(found, records)
        sets = "; ".join(trusted.settings) or "nothing"
        app.console.note(f"Trusted {found}. It sets: {sets}.")
        _note_replaced(app, trusted)
        app.console.note("To undo this: telex trust --remove")
        if project.is_ci(app.runtime.environ):
            app.console.note(f"In CI, it is used only with {project.VARIABLE}=1.")


def _file(app: App, path: Path | None) -> Path:
    """The project's file; raises ``UsageError`` if there is none."""
    from provider_core.settings import find_project

    if path is None:
        found = find_project(app.runtime.environ)
        if found is None:
            raise click.UsageError("no .telex.toml here or above, up to the root of the repository")
        return found
    # As the working directory is spelled: without links in the folders.
    folder = path if path.is_dir() else path.parent
    name = ".telex.toml" if path.is_dir() else path.name
    if name != ".telex.toml":
        raise click.UsageError(f"{path} is not a .telex.toml")
    return folder.resolve() / name


def _show(app: App, path: Path) -> None:
    """Print the file; raises ``SettingsError`` if it could not be trusted."""
    from provider_core import trust
    from provider_core.redaction import printable
    from provider_core.settings import file, project

    text = file.decode(project.read(path), path)
    app.console.out(f"{printable(text).rstrip()}\n")
    found = project.of_values(project.parse(text, path), path)
    templates = [str(each) for each in trust.template_files(found).values()]
    app.console.note(f"{path} sets: {'; '.join(found.settings) or 'nothing'}.")
    _note_replaced(app, found)
    if templates:
        app.console.note(f"Its templates: {', '.join(templates)}")


def _note_replaced(app: App, found: Project) -> None:
    """Print which aliases of the user mean something else in this project."""
    from provider_core.settings import file

    with contextlib.suppress(SettingsError):  # every other command reports it
        own = file.read(app.runtime.paths.settings_file).get("aliases", {})
        replaced = [name for name in found.aliases if isinstance(own, dict) and name in own]
        if replaced:
            app.console.note(f"In this project, it replaces aliases of yours: {', '.join(replaced)}.")
