"""A provider as a whole, its settings and its key: added, renamed and removed as one step, or not at all.

The keyring comes first and the settings file last, both under the file's lock: the file's replacement is
the moment at which a change has happened. What fails before it is undone.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from provider_core.errors import KeyStoreError, SettingsError
from provider_core.settings import edit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from provider_core.keys import KeyStore

__all__ = ["add", "key_fields", "remove", "rename", "set_key", "trust"]


def add(
    path: Path,
    store: KeyStore,
    name: str,
    fields: Mapping[str, Any],
    *,
    key: str | None = None,
    replace: bool = False,
) -> None:
    """Write ``[providers.NAME]`` into the settings at ``path``, and ``key`` (see ``keys.seal_for``) into the store.

    The store is touched only where there is a key to keep, or one of the same name to forget. Raises
    ``SettingsError`` and ``KeyStoreError``; neither settings nor key are then changed.
    """
    written = {field: value for field, value in fields.items() if value is not None}
    if key is not None:
        written["key"] = "keyring"
    change = _key_change(path, store, name, key, written)
    edit.put(path, {name: written}, replace=replace, around=change)


def set_key(path: Path, store: KeyStore, name: str, fields: Mapping[str, Any], *, key: str | None) -> None:
    """Change where the provider's key comes from, and store ``key`` (see ``keys.seal_for``) where there is one.

    ``fields`` are the changed settings, with ``key``, ``key_env`` or ``key_command`` among them. A stored key stays
    where a variable or a command takes precedence over it; it is deleted where the provider needs none.
    """
    changes = key_fields(
        edit.entries(path).get(name, {}), {**fields, **({} if key is None else {"key": "keyring"})}
    )
    before = edit.entries(path).get(name, {})
    written = {field: value for field, value in {**before, **changes}.items() if value is not None}
    edit.update_provider(
        path,
        name,
        changes,
        around=_key_change(path, store, name, key, written, stays=changes["key"] == "keyring"),
    )


def key_fields(before: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """``fields`` with what becomes of the other sources of the key that the provider had ``before``."""
    stored = before.get("key") == "keyring" and "key" not in fields
    return {"key": "keyring" if stored else None, "key_env": None, "key_command": None, **fields}


def trust(path: Path, store: KeyStore, name: str, changes: Mapping[str, Any], key: str) -> None:
    """Change the provider's settings, and in the same step where its stored key may be sent (see ``keys.seal_for``)."""
    written = {**edit.entries(path).get(name, {}), **changes}
    written = {field: value for field, value in written.items() if value is not None}
    edit.update_provider(path, name, changes, around=_key_change(path, store, name, key, written))


def remove(path: Path, store: KeyStore, name: str, *, keep_key: bool = False) -> None:
    """Remove the provider and its key. The error of a removal that fails says what is left."""
    change = None if keep_key else _key_change(path, store, name, None, None)
    try:
        edit.remove(path, name, around=change)
    except KeyStoreError as error:
        raise KeyStoreError(
            f"{name} is not removed, settings and key are left as they were: {error.message}",
            provider=name,
            state=error.state,
        ) from error


def rename(path: Path, store: KeyStore, old: str, new: str) -> tuple[str, ...]:
    """Give the provider, its key and all that points at it the name ``new``; returns what pointed at it.

    Raises ``KeyStoreError`` when all is done and only the key under the old name could not be deleted.
    """
    entry = edit.entries(path).get(old, {})
    stored = entry.get("key") == "keyring"
    key = store.get(old) if stored else None
    moved = edit.rename_provider(path, old, new, around=_key_change(path, store, new, key, entry))
    if stored:
        try:
            store.delete(old)
        except KeyStoreError as error:
            raise KeyStoreError(
                f"{old} is now {new}, but its key is also left under the old name: {error.message}",
                provider=new,
            ) from error
    return moved


@contextlib.contextmanager
def _key_change(
    path: Path,
    store: KeyStore,
    name: str,
    key: str | None,
    written: Mapping[str, Any] | None,
    *,
    stays: bool = False,
) -> Iterator[None]:
    """Store ``key``, or with None delete the stored one unless it ``stays``; undone when the block raises.

    ``written`` is the provider's table as it will be, or None where it will not be: it tells whether the
    settings were replaced before the exception came, as Ctrl-C may in the last moment.
    """
    if key is None and stays:
        yield
        return
    before = _entry(path, name)
    former = store.get(name) if before and before.get("key") == "keyring" else None
    if key is None and former is None:
        yield
        return
    try:
        if key is not None:
            store.set(name, key)
        else:
            store.delete(name)
        yield
    except BaseException as error:
        if isinstance(error, KeyStoreError) and error.provider is None:
            error.provider = name
        replaced = before != written and _entry(path, name) == written
        if not replaced:
            _insist(lambda: store.delete(name) if former is None else store.set(name, former))
        raise


def _entry(path: Path, name: str) -> dict[str, Any] | None:
    with contextlib.suppress(SettingsError):
        if path.is_file():
            return edit.entries(path).get(name)
    return {}  # absent or unreadable: certainly nothing that was written


def _insist(undo: Callable[[], None]) -> None:
    """Undo although Ctrl-C may come again; a store that does not work now has not changed before."""
    with contextlib.suppress(KeyStoreError):
        try:
            undo()
        except KeyboardInterrupt:
            undo()
