"""What servers have refused, in one file of the cache folder; it serves speed alone, and never fails a request."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Final

from provider_core import files
from provider_core.errors import FileError
from provider_core.request._workarounds import Workaround, is_known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from provider_core.types import Json, Provider

__all__ = ["UnsupportedFieldCache"]

_VERSION: Final = 2
_KEPT: Final = 30 * 24 * 3600
"""Seconds after which a refusal is forgotten, so that a server that has learnt is noticed."""


class UnsupportedFieldCache:
    """The refusals of each model of each provider, at the address where they were made.

    A file that is not there, not readable or not writable is no memory. Two processes that learn at once
    keep what the last one wrote: what is lost is learnt again.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now

    def known(self, provider: Provider, model: str) -> tuple[Workaround, ...]:
        """The repairs that this model needs, in the order in which they apply."""
        models = {} if provider.embedded else self._read()
        if not models:
            return ()
        fields = self._fresh(models.get(_name(provider, model)), _server(provider))
        repairs = (
            Workaround(field=field, swapped_for=swap, value=value, beside=beside)
            for field, (swap, value, beside, _) in fields.items()
        )
        return tuple(repair for repair in repairs if is_known(repair))

    def learn(self, provider: Provider, model: str, repairs: Iterable[Workaround]) -> bool:
        """Keep those repairs that last; return whether any was kept.

        The embedded model is never spoken of: its address is new each time.
        """
        lasting = [repair for repair in repairs if repair.lasting]
        if provider.embedded or not lasting:
            return False
        models = {
            name: {"server": entry["server"], "fields": fields}
            for name, entry in self._read().items()
            if isinstance(entry, dict) and (fields := self._fresh(entry, entry.get("server")))
        }
        name, server = _name(provider, model), _server(provider)
        fields = self._fresh(models.get(name), server)
        for repair in lasting:
            fields.pop(repair.field, None)  # the newest comes last: a later swap may undo an earlier one
            fields[repair.field] = (repair.swapped_for, repair.value, repair.beside, int(self._now()))
        models[name] = {"server": server, "fields": fields}
        content = json.dumps({"version": _VERSION, "models": models}, indent=1).encode()
        with contextlib.suppress(FileError, OSError):
            files.private_folder(self._path.parent)
            files.replace(self._path, content)
            return True
        return False

    def _read(self) -> dict[str, Json]:
        try:
            content = json.loads(files.content(self._path))
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(content, dict) or content.get("version") != _VERSION:
            return {}
        models = content.get("models")
        return models if isinstance(models, dict) else {}

    def _fresh(self, entry: Json, server: Json) -> dict[str, tuple[str | None, Json, str, int]]:
        """The fields of an entry that were refused by this server and not too long ago."""
        fields = entry.get("fields") if isinstance(entry, dict) and entry.get("server") == server else None
        if not isinstance(fields, dict) or not isinstance(server, str):
            return {}
        fresh: dict[str, tuple[str | None, Json, str, int]] = {}
        for field, value in fields.items():
            match value:
                case [
                    str() | None as swap,
                    str() | int() | float() | None as cure,
                    str() as beside,
                    int() as then,
                ] if -_KEPT < then - int(self._now()) < _KEPT:
                    fresh[field] = (swap, cure, beside, then)
                case _:
                    pass
        return fresh


def _name(provider: Provider, model: str) -> str:
    return f"{provider.name}/{model}"


def _server(provider: Provider) -> str:
    # A checksum: an address may hold things that do not belong into a cache.
    import zlib

    return f"{zlib.crc32(provider.base_url.encode()):08x}"
