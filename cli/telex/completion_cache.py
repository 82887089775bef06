"""The names of providers, models and the like in the cache folder, from which shells complete command lines."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.shell_completion import CompletionItem

    from provider_core.runtime import Runtime


def refresh(runtime: Runtime) -> None:
    """Rewrite the names. That is needed unless ``snapshot_is_current``."""
    from provider_core.catalog import snapshot_stamp, write_snapshot
    from provider_core.errors import CoreError
    from provider_core.templates import all_names

    made_from = snapshot_stamp(runtime.paths, runtime.environ)
    # The command may have changed what it had read, and names of a project would be offered everywhere.
    runtime.reload(own=True)
    try:
        write_snapshot(
            runtime.paths,
            runtime.catalog,
            templates=all_names(runtime.paths.templates),
            profiles=runtime.settings.profiles,
            **_settings(runtime),
            servers=[*runtime.settings.mcp, *runtime.settings.invalid_entries("mcp")],
            made_from=made_from,
        )
    except CoreError:
        return  # the command itself reports settings that cannot be read


def _settings(runtime: Runtime) -> dict[str, Any]:
    """The names of settings, and the values that some have, for ``write_snapshot``.

    They change only with the settings file, which has then just been checked by pydantic. Otherwise, importing that is
    not worth it, and what was written before stays.
    """
    exists = (runtime.paths.cache / "completion" / "settings").exists()
    if "pydantic" not in sys.modules and exists:
        return {}
    from provider_core.settings.values import all_names, all_values

    models = [*runtime.catalog.aliases, *runtime.catalog.providers]
    return {"settings": all_names(runtime.settings), "values": all_values(runtime.settings, models)}


def items(kind: str, incomplete: str, owner: str | None = None) -> list[CompletionItem]:
    """The cached names that begin with ``incomplete``, for click's own completion, which PowerShell uses.

    ``kind`` is as in ``options.Name``; with ``owner``, the names are those that belong to it: the ids of a provider's
    models, or the values of a setting.
    """
    from click.shell_completion import CompletionItem

    if owner is not None:
        start = f"{owner}/"
        found = [
            (line.removeprefix(start), about) for line, about in _names(f"{kind}s") if line.startswith(start)
        ]
    elif kind != "model":
        found = [*_names("aliases" if kind == "alias" else f"{kind}s")]
    elif "/" in incomplete:
        found = [*_names("models")]
    else:
        found = [*((f"{name}/", about) for name, about in _names("providers")), *_names("aliases")]
    return [CompletionItem(name, help=about) for name, about in found if name.startswith(incomplete)]


def _names(list_name: str) -> Iterator[tuple[str, str]]:
    """The names of one list, each with a short description; none if the list does not exist."""
    from provider_core.settings import Paths

    path = Paths.find(os.environ).cache / "completion" / f"{list_name}.tsv"
    try:
        lines = path.read_text("utf-8", "replace").split("\n")
    except OSError:
        return
    for line in lines:
        name, _, about = line.partition("\t")
        if name:
            yield name, about
