"""``telex config edit`` and ``path``: the settings file as a whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from telex.app import pass_app
from telex.exit_codes import ExitCode, Stop
from telex.main import Command

if TYPE_CHECKING:
    from telex.app import App

_NEW = b"""\
# The settings of telex: see telex help settings. Lines that begin with "#" are ignored.
# Keys do not belong here: store them with telex providers set-key.

# model = "PROVIDER/MODEL"
# reasoning = "summary"

# [aliases]
# fast = "PROVIDER/MODEL"
"""


@click.command(
    cls=Command,
    examples=("telex config path", "telex config path | xargs ls -l"),
    exits=(ExitCode.SETTINGS,),
)
@pass_app
def path(app: App) -> None:
    """Print the path of the settings file, which may not exist yet."""
    app.console.out(f"{app.runtime.paths.settings_file}\n")


@click.command(
    cls=Command,
    examples=(
        "telex config edit",
        'EDITOR="sed -i s/qwen3-8b/qwen3-14b/" telex config edit && telex config list | grep qwen3',
    ),
    exits=(ExitCode.SETTINGS,),
)
@pass_app
def edit(app: App) -> None:
    """Edit the settings file in your editor.

    The editor is $VISUAL, or else $EDITOR, and works on a copy, which is checked when you leave it. If it has mistakes,
    they are reported, and on a terminal you can edit it again; the settings do not change until it has none. A copy
    that is not used is saved, and its path is printed.
    """
    from provider_core.files import private_folder
    from provider_core.settings import file

    settings_file = app.runtime.paths.settings_file
    if settings_file.exists():
        file.text(settings_file)  # refuses a file that others can change
    before = file.content(settings_file)
    private_folder(settings_file.parent)
    copy = _copy(settings_file, before or _NEW)
    saved = False
    try:
        saved = _edit_until_valid(app, copy, before)
    finally:
        edited = copy.read_bytes() if copy.exists() else b""
        if saved or edited in (b"", before or _NEW):
            copy.unlink(missing_ok=True)
        else:
            app.console.note(f"The settings are unchanged. Your edit is in {copy}")
    app.console.note(f"Saved {settings_file}." if saved else "Nothing was changed.")


def _copy(settings_file: Path, content: bytes) -> Path:
    """A private copy in the folder of the settings file."""
    import tempfile

    from provider_core.errors import FileError

    try:
        handle, name = tempfile.mkstemp(prefix="settings-edit-", suffix=".toml", dir=settings_file.parent)
        with os.fdopen(handle, "wb") as made:
            made.write(content)
    except OSError as error:
        raise FileError(
            "the settings cannot be copied", path=settings_file, reason=error.strerror or ""
        ) from error
    return Path(name)


def _edit_until_valid(app: App, copy: Path, before: bytes) -> bool:
    """Run the editor, and save what it leaves; False if that is what there was before. Raises ``Stop``."""
    from provider_core.settings import edit as settings_edit
    from provider_core.settings import file, values
    from telex.editor import edit_file

    settings_file = app.runtime.paths.settings_file
    while True:
        edit_file(app, copy, is_copy=True)
        edited = file.content(copy)
        if edited in (before, before or _NEW):
            return False
        found = values.problems(edited, before, copy)
        if not found:
            settings_edit.replace_text(settings_file, before, edited)
            return True
        for error in found:
            app.console.error(error.message)
        if not app.console.can_prompt() or not click.confirm("Edit it again?", default=True, err=True):
            raise Stop(ExitCode.SETTINGS)
