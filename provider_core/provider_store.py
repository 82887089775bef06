"""Changes to a provider's settings and key together: both, or neither.

The key is changed first and the settings file last, under the file's lock. If anything fails before the file is
replaced, the key is restored.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from provider_core import presets
from provider_core.errors import KeyStoreError, SettingsError
from provider_core.keys import Destination
from provider_core.settings import edit, validators
from provider_core.structs import replace as changed_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from provider_core.keys import KeyStore
    from provider_core.types import Provider


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

    The stored key of a provider that is replaced is deleted. Raises ``SettingsError`` and ``KeyStoreError``.
    """
    written = edit.without_none({**fields, **({} if key is None else {"key": "keyring"})})
    edit.put(path, {name: written}, replace=replace, around=_key_change(path, store, name, key, written))


def set_key(path: Path, store: KeyStore, name: str, fields: Mapping[str, Any], *, key: str | None) -> None:
    """Change the source of the provider's key, and store ``key`` (see ``keys.seal_for``) if there is one.

    ``fields`` are the changed settings, with ``key``, ``key_env`` or ``key_command`` among them. A stored key stays
    if a variable or a command takes precedence over it; it is deleted if the provider needs none.
    """
    before = edit.entries(path).get(name, {})
    changes = key_fields(before, {**fields, **({} if key is None else {"key": "keyring"})})
    stays = key is None and changes["key"] == "keyring"
    around = None if stays else _key_change(path, store, name, key, edit.without_none({**before, **changes}))
    edit.update_provider(path, name, changes, around=around)


def key_fields(before: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """``fields``, and what happens to the other sources of the key that the provider had ``before``."""
    stored = before.get("key") == "keyring" and "key" not in fields
    return {"key": "keyring" if stored else None, "key_env": None, "key_command": None, **fields}


def update(path: Path, store: KeyStore, name: str, changes: Mapping[str, Any], key: str | None) -> None:
    """Change the provider's settings, and with ``key`` (see ``keys.seal_for``) where its stored key may be sent."""
    written = edit.without_none({**edit.entries(path).get(name, {}), **changes})
    around = None if key is None else _key_change(path, store, name, key, written)
    edit.update_provider(path, name, changes, around=around)


def remove(path: Path, store: KeyStore, name: str, *, keep_key: bool = False) -> None:
    """Remove the provider and its key."""
    try:
        edit.remove(path, name, around=None if keep_key else _key_change(path, store, name, None, None))
    except KeyStoreError as error:
        message = f"{name} was not removed, and its key is unchanged: {error.message}"
        raise KeyStoreError(message, provider=name, state=error.state) from error


def rename(path: Path, store: KeyStore, old: str, new: str) -> tuple[str, ...]:
    """Rename the provider, its key and the settings that name it; returns these settings.

    Raises ``KeyStoreError`` if only the key under the old name could not be deleted.
    """
    entry = edit.entries(path).get(old, {})
    stored = entry.get("key") == "keyring"
    key = store.get(old) if stored else None
    moved = edit.rename_provider(path, old, new, around=_key_change(path, store, new, key, entry))
    if stored:
        try:
            store.delete(old)
        except KeyStoreError as error:
            message = f"{old} is now {new}, but its key is also left under the old name: {error.message}"
            raise KeyStoreError(message, provider=new) from error
    return moved


@contextlib.contextmanager
def _key_change(
    path: Path, store: KeyStore, name: str, key: str | None, written: Mapping[str, Any] | None
) -> Iterator[None]:
    """Store ``key``, or with None delete the stored one; undone if the block raises.

    ``written`` is the provider's table after the change, or None if it is removed. It shows whether the settings were
    replaced before the exception, as Ctrl-C may come in the last moment.
    """
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
        if before == written or _entry(path, name) != written:
            _undo(lambda: store.delete(name) if former is None else store.set(name, former))
        raise


def _entry(path: Path, name: str) -> dict[str, Any] | None:
    with contextlib.suppress(SettingsError):
        if path.is_file():
            return edit.entries(path).get(name)
    return {}  # no change has left an absent or unreadable file


def _undo(undo: Callable[[], None]) -> None:
    """Undo even if Ctrl-C comes again. A store that fails now has failed before, and has not changed."""
    with contextlib.suppress(KeyStoreError):
        try:
            undo()
        except KeyboardInterrupt:
            undo()


# --- where keys go -----------------------------------------------------------------------------------------------


def find_redirection(provider: Provider, before: Provider | None, known: Collection[Provider]) -> str:
    """Why ``provider`` would send a key to another place than now, as a sentence, or "".

    ``before`` is the provider of this name with a stored key, which ``provider`` replaces. ``known`` are all providers
    of the settings: the key in a variable belongs to those that name it, and to the presets that do.
    """
    name, here = provider.name, Destination.of(provider.base_url, provider.network)
    if before is not None:
        there = Destination.of(before.base_url, before.network)
        changes = {
            "address": here.origin != there.origin,
            "proxy": here.proxy != there.proxy,
            "CA bundle": here.ca_bundle != there.ca_bundle,
            "client certificate": before.network.client_cert != provider.network.client_cert,
            "headers": dict(before.headers) != dict(provider.headers),
            "preset": before.preset != provider.preset,
            "key": provider.auth == "none",
        }
        if changed := [what for what, differs in changes.items() if differs]:
            to = f": {here}" if here != there else ""
            return (
                f"the stored key of {name} is for {there}, and its {' and '.join(changed)} would change{to}"
            )
    for variable in _sent_variables(provider):
        users = [each for each in known if variable in _sent_variables(each)]
        owners = [preset for preset in presets.all_presets() if variable in preset.key_env]
        places = [Destination.of(each.base_url, each.network) for each in users]
        places += [changed_copy(here, ca_bundle="") for preset in owners if preset.serves(provider.base_url)]
        if (users or owners) and all(map(here.adds_to, places)):
            owner = users[0].name if users else owners[0].name
            return f"{name} would send the key in {variable}, which is for {owner}, to {here}"
    return ""


def _sent_variables(provider: Provider) -> tuple[str, ...]:
    """The environment variables whose values are sent to the provider: as its key, and in its headers."""
    headers = filter(None, map(validators.parse_reference, provider.headers.values()))
    return (*provider.key_env[:1], *(found.name for found in headers if found.kind == "env"))
