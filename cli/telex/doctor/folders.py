"""Where telex keeps things: whether it may write there, and whether anybody else may read or write."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from telex.doctor.finding import note, ok, problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import stat_result
    from pathlib import Path

    from telex.doctor.case import Case
    from telex.doctor.finding import Finding

_SCARCE = 200 << 20
"""Bytes of free space below which a model cannot be fetched, and little else goes well."""


def check(case: Case) -> Iterator[Finding]:
    paths = case.paths
    for subject, folder in (("settings", paths.config), ("data", paths.data), ("cache", paths.cache)):
        yield _folder(subject, folder)
    for path in (paths.settings_file, paths.history):
        found = _stat(path)
        if isinstance(found, OSError):
            yield _hidden(path.name, path, found)
        elif found is not None:
            yield _file(path, found)
    yield from _space(paths.data)


def _stat(path: Path) -> stat_result | OSError | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return error


def _folder(subject: str, folder: Path) -> Finding:
    found = _stat(folder)
    match found:
        case OSError():
            return _hidden(subject, folder, found)
        case None:
            return _not_made(subject, folder)
    if not folder.is_dir():
        return problem(
            subject, f"{folder} is not a folder", "Move it away: telex makes the folder when it needs it"
        )
    if foreign := _foreign(found):
        return problem(
            subject, f"{folder} belongs to {foreign}", f'sudo chown -R "$(id -un)" {_quoted(folder)}'
        )
    if not _may(folder, os.W_OK | os.X_OK):
        return problem(
            subject, f"{folder} cannot be written ({_mode(found)})", f"chmod 700 {_quoted(folder)}"
        )
    if os.name == "posix" and found.st_mode & 0o022:
        detail = f"others on this machine may change what is in {folder} ({_mode(found)})"
        return problem(subject, detail, f"chmod 700 {_quoted(folder)}")
    if os.name == "posix" and found.st_mode & 0o077:
        detail = f"others on this machine may see what files are in {folder} ({_mode(found)})"
        return note(subject, detail, f"chmod 700 {_quoted(folder)}")
    return ok(subject, f"{folder} ({_mode(found)})")


def _hidden(subject: str, path: Path, error: OSError) -> Finding:
    detail = f"{path} cannot be looked at: {error.strerror}"
    return problem(subject, detail, f"ls -ld {_quoted(path.parent)} {_quoted(path)}")


def _not_made(subject: str, folder: Path) -> Finding:
    above = next((each for each in folder.parents if each.exists()), None)
    if above is None or not above.is_dir() or not _may(above, os.W_OK | os.X_OK):
        detail = f"{folder} is not there, and cannot be made in {above or folder.anchor}"
        return problem(subject, detail, "Set TELEX_HOME to a folder of your own")
    return ok(subject, f"{folder} (made when it is needed)")


def _file(path: Path, found: stat_result) -> Finding:
    if not path.is_file():
        return problem(path.name, f"{path} is not a file", "Move it away")
    if foreign := _foreign(found):
        return problem(path.name, f"belongs to {foreign}", f'sudo chown "$(id -un)" {_quoted(path)}')
    if not _may(path, os.R_OK | os.W_OK):
        return problem(
            path.name, f"cannot be read and written ({_mode(found)})", f"chmod 600 {_quoted(path)}"
        )
    if os.name == "posix" and found.st_mode & 0o077:
        may = "change" if found.st_mode & 0o022 else "read"
        return problem(
            path.name, f"others on this machine may {may} it ({_mode(found)})", f"chmod 600 {_quoted(path)}"
        )
    return ok(path.name, f"{_mode(found)}, {found.st_size:,} bytes")


def _foreign(found: stat_result) -> str:
    """Whose it is, if it is not ours; root may use anything."""
    if os.name != "posix" or os.geteuid() in (0, found.st_uid):
        return ""
    import pwd

    try:
        return pwd.getpwuid(found.st_uid).pw_name
    except KeyError:
        return f"user {found.st_uid}"


def _may(path: Path, what: int) -> bool:
    """Whether this process may do it, as whom it acts now."""
    return os.access(path, what, effective_ids=os.access in os.supports_effective_ids)


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))


def _mode(found: stat_result) -> str:
    return f"{found.st_mode & 0o7777:04o}"


def _space(folder: Path) -> Iterator[Finding]:
    import shutil

    above = next((each for each in (folder, *folder.parents) if each.exists()), None)
    if above is None:
        return
    free = shutil.disk_usage(above).free
    words = (
        f"{free / (1 << 30):,.1f} GiB are free for data"
        if free >= 1 << 30
        else f"{free >> 20} MiB are free for data"
    )
    yield ok("space", words) if free > _SCARCE else note("space", words, f"Make room where {above} is")
