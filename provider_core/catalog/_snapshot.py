"""Plain lists of names for shell completion, rewritten whole when they change; completing is not done here.

``<cache>/completion/`` holds ``providers``, ``models`` (``provider/model``), ``aliases``, ``presets``, ``servers`` and
``templates``: UTF-8, one name a line, in the order they are shown. Beside each stands a file of the same name and
``.tsv`` with a tab and a few words after each name.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from provider_core import files, presets
from provider_core.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from provider_core.catalog._catalog import Catalog
    from provider_core.settings import Paths
    from provider_core.types import Model

__all__ = ["invalidate_snapshot", "snapshot_is_current", "snapshot_stamp", "write_snapshot"]

_STAMP = "stamp"
"""Which settings file the lists were made from, and which folder of templates: times of change, and a size."""


def snapshot_is_current(paths: Paths, environ: Mapping[str, str]) -> bool:
    """Whether the lists were made from the settings file and variables as they are now; two small reads."""
    try:
        return files.content(_folder(paths) / _STAMP).decode() == snapshot_stamp(paths, environ)
    except (OSError, ValueError):
        return False


def invalidate_snapshot(paths: Paths) -> None:
    """Make the lists due to be written anew: a server's list has changed."""
    with contextlib.suppress(OSError):
        (_folder(paths) / _STAMP).unlink(missing_ok=True)


def write_snapshot(
    paths: Paths,
    catalog: Catalog,
    *,
    templates: Iterable[str] = (),
    servers: Iterable[str] = (),
    made_from: str = "",
) -> bool:
    """Write the lists; tells whether that was possible. ``made_from`` is ``stamp`` of before the settings were read.

    Disabled providers keep their names and lose their models; models that do not chat are left out.
    """
    lists: dict[str, Mapping[str, str]] = {
        "providers": {
            **{name: provider.display_name for name, provider in catalog.providers.items()},
            **{
                entry.removeprefix("providers."): "not usable"
                for entry in catalog.problems
                if entry.startswith("providers.")
            },
        },
        "models": _models(catalog),
        "aliases": catalog.aliases,
        "presets": {preset.id: preset.name for preset in presets.all_presets()},
        "templates": dict.fromkeys(templates, ""),
        "servers": dict.fromkeys(servers, ""),
    }
    folder = _folder(paths)
    try:
        files.private_folder(folder.parent)
        files.private_folder(folder)
        for name, words in lists.items():
            _put(folder / name, words)
            _put(folder / f"{name}.tsv", (f"{key}\t{_line(text)}" for key, text in words.items()))
        _put(folder / _STAMP, [made_from], end="")
    except FileError:
        return False
    return True


def snapshot_stamp(paths: Paths, environ: Mapping[str, str]) -> str:
    """What tells one state of the settings, of the variables that may hold keys, and of the templates from another."""
    from provider_core.settings import key_variables

    try:
        found = paths.settings_file.stat()
        settings = f"{found.st_mtime_ns} {found.st_size}"
    except OSError:
        settings = "none"
    settings = " ".join([settings, *sorted(key_variables(environ))])
    try:
        return f"{settings} {paths.templates.stat().st_mtime_ns}"
    except OSError:
        return settings


def _folder(paths: Paths) -> Path:
    return paths.cache / "completion"


def _models(catalog: Catalog) -> dict[str, str]:
    return {
        f"{name}/{model.id}": model.name or _abilities(model)
        for name, provider in catalog.providers.items()
        if provider.enabled
        for model in catalog.listing(name).models
        if model.kind == "chat"
    }


def _abilities(model: Model) -> str:
    return ", ".join(ability for ability in ("reasoning", "tools", "vision") if getattr(model, ability))


def _put(path: Path, lines: Iterable[str], end: str = "\n") -> None:
    """Write only what differs: most changes touch one of the lists."""
    content = "".join(f"{line}{end}" for line in lines).encode("utf-8", "replace")
    try:
        if files.content(path) == content:
            return
    except OSError:
        pass
    files.replace(path, content)


def _line(text: str) -> str:
    return " ".join(text.split())
