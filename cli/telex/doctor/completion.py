"""Whether the shells complete telex, and with the script of this telex."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from telex.doctor.finding import note, ok

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.doctor.case import Case
    from telex.doctor.finding import Finding

_SHIPPED = {
    "bash": "bash-completion/completions/telex",
    "zsh": "zsh/site-functions/_telex",
    "fish": "fish/vendor_completions.d/telex.fish",
}
"""Where the wheel puts the scripts below share/, which shells read where that is the system's."""


def check(case: Case) -> Iterator[Finding]:
    from telex.completion import FILES

    login = Path(case.environ.get("SHELL", "")).name
    found = False
    for shell in FILES:
        if shell == login or shutil.which(shell):
            for finding in _shell(case, shell, wanted=shell == login):
                found = True
                yield finding
    if not found:
        named = login or "no login shell is known"
        yield note("none", f"no script for a shell ({named})", "telex completion --help")


def _shell(case: Case, shell: str, *, wanted: bool) -> Iterator[Finding]:
    from telex.completion.install import find
    from telex.completion.scripts import script
    from telex.main import root

    place = find(shell, case.environ)
    present = [path for path in (place.path, *_shared(case, shell)) if path.is_file()]
    install = f"telex completion {shell} --install"
    if not present:
        if wanted:
            yield note(shell, "does not complete telex", install)
        return
    text = script(shell, root)
    for path in present:
        try:
            current = path.read_text("utf-8", "replace") == text
        except OSError as error:
            yield note(shell, f"{path} cannot be read: {error.strerror}", install)
            continue
        if not current:
            yield note(shell, f"{path} is of another telex", install)
        elif path == place.path and place.todo:
            yield note(shell, f"{path} is there, and not read yet", place.todo)
        else:
            yield ok(shell, str(path))


def _shared(case: Case, shell: str) -> Iterator[Path]:
    """Where installers put the script, as far as the shell looks there."""
    folders = case.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    for folder in dict.fromkeys(folders.split(os.pathsep)):
        if folder.startswith("/"):
            yield Path(folder) / _SHIPPED[shell]
