"""Commands that other people write: a program ``telex-NAME`` on PATH is ``telex NAME``, as with git and gh.

Nothing of a plugin is imported. PATH is searched only for a name that is not one of telex's own commands, and where the
commands are listed. Folders of PATH that are not absolute are skipped, because a file in the working directory, such as
a repository's, is not a command.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from provider_core.structs import pattern
from telex.exit_codes import Stop

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from telex.app import App

_PREFIX = "telex-"
_NAME = pattern(r"[a-z0-9][a-z0-9_-]{0,63}")


def find(name: str, environ: Mapping[str, str]) -> str | None:
    """The path of the program of the plugin ``name``; None if there is none."""
    if not _NAME.fullmatch(name):
        return None
    import shutil

    found = (shutil.which(f"{folder}/{_PREFIX}{name}") for folder in _folders(environ))
    return next(filter(None, found), None)


def names(environ: Mapping[str, str]) -> dict[str, str]:
    """The names of all plugins, sorted, with the paths of their programs."""
    found: dict[str, str] = {}
    for folder in _folders(environ):
        try:
            files = os.listdir(folder)  # noqa: PTH208 - names are enough for thousands of programs
        except OSError:
            continue
        for file in files:
            if file.startswith(_PREFIX):
                import shutil

                name = os.path.splitext(file)[0] if os.name == "nt" else file  # noqa: PTH122
                name = name.removeprefix(_PREFIX)
                path = shutil.which(f"{folder}/{_PREFIX}{name}")
                if path is not None and _NAME.fullmatch(name):
                    found.setdefault(name, path)
    return dict(sorted(found.items()))


def _folders(environ: Mapping[str, str]) -> Iterator[str]:
    for folder in dict.fromkeys(environ.get("PATH", "").split(os.pathsep)):
        if os.path.isabs(folder):  # noqa: PTH117
            yield folder


class Plugin(click.Command):
    """Runs the program at ``path`` with all arguments as they are."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name, help=f"Run {path}.", add_help_option=False)
        self.path = path

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.args = list(args)
        return []

    def invoke(self, ctx: click.Context) -> NoReturn:
        run(ctx.obj, self.path, ctx.args)

    def get_help(self, ctx: click.Context) -> str:
        """Run the program's own help, for ``telex help NAME``."""
        run(ctx.obj, self.path, ["--help"])


def run(app: App, path: str, arguments: list[str]) -> NoReturn:
    """Run the program in place of telex: its exit code and its signals are those of the command.

    It gets the variables of telex, with ``TELEX_BIN``, the path of the telex that runs it, and ``TELEX_PROFILE``, if
    ``--profile`` was given. Raises ``ClickException`` if it cannot be started.
    """
    environ = dict(app.runtime.environ)
    if app.runtime.profile is not None:
        environ["TELEX_PROFILE"] = app.runtime.profile
    if own := _own_path():
        environ["TELEX_BIN"] = own
    app.console.flush()
    try:
        if sys.platform == "win32":
            import subprocess

            raise Stop(subprocess.run([path, *arguments], env=environ, check=False).returncode)
        # Python ignores it, and a program that is started in its place would, too.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execve(path, [path, *arguments], environ)  # noqa: S606
    except OSError as error:
        raise click.ClickException(f"{path} cannot be run: {error.strerror}") from None


def _own_path() -> str:
    """The path of the command telex that runs; "" if there is none, as for ``python -m telex`` from the sources."""
    import shutil

    beside = f"{os.path.dirname(sys.executable)}/telex"  # noqa: PTH120
    for name in (sys.argv[0], beside):
        if os.path.basename(name).startswith("telex") and (found := shutil.which(name)) is not None:  # noqa: PTH119
            return os.path.abspath(found)  # noqa: PTH100
    return ""
