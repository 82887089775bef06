"""Changes to what the settings say of models: declared ones, aliases, the default; providers are ``edit``'s."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from provider_core.errors import SettingsError
from provider_core.settings import edit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from provider_core.types import Json

__all__ = ["declare_model", "forget_model", "set_alias", "set_default"]


def declare_model(path: Path, provider: str, model: str, fields: Mapping[str, Json], *, new: bool) -> None:
    """Declare ``model``, or with ``new`` false change the fields given; those that are None are removed.

    Raises ``SettingsError`` when the provider is not set up, or with ``new`` the model is declared already.
    """

    def changed(models: list[Any]) -> list[Any]:
        at = _index(models, model)
        if at is not None and new:
            raise SettingsError(f"{provider}/{model} is already declared", path=path)
        before: dict[str, Json] = {}
        if at is not None:
            before = dict(models[at]) if isinstance(models[at], dict) else {"id": model}
        after = {"id": model, **before, **fields}
        entry = {key: value for key, value in after.items() if value is not None}
        written: Any = model if len(entry) == 1 else entry
        return [*models, written] if at is None else [*models[:at], written, *models[at + 1 :]]

    _change_models(path, provider, changed)


def forget_model(path: Path, provider: str, model: str) -> None:
    """Remove what the settings say of ``model``; raises ``SettingsError`` when that is nothing."""

    def changed(models: list[Any]) -> list[Any]:
        at = _index(models, model)
        if at is None:
            raise SettingsError(f"{provider}/{model} is not declared in the settings", path=path)
        return [*models[:at], *models[at + 1 :]]

    _change_models(path, provider, changed)


def set_alias(path: Path, name: str, target: str | None) -> None:
    """Let the alias ``name`` mean ``target``, or remove it; raises ``SettingsError`` when there is none to remove."""

    def change(data: dict[str, Any]) -> None:
        if target is not None:
            edit.tables_of(data, "aliases", path)[name] = target
            return
        if name not in edit.tables_of(data, "aliases", path):
            raise SettingsError(f"there is no alias {name}", path=path)
        del data["aliases"][name]
        if not data["aliases"]:
            del data["aliases"]

    def proposals(text: str) -> Iterator[str]:
        import tomlkit

        document = cast("Any", tomlkit.parse(text))
        if target is not None:
            document.setdefault("aliases", tomlkit.table())
            document["aliases"][name] = target
        elif len(document["aliases"]) > 1:
            del document["aliases"][name]
        else:
            del document["aliases"]
        yield tomlkit.dumps(document)

    edit.apply(path, change, proposals)


def set_default(path: Path, model: str | None) -> None:
    """Make ``model`` the default, or have none."""

    def change(data: dict[str, Any]) -> None:
        data.pop("model", None)
        if model is not None:
            data["model"] = model

    def proposals(text: str) -> Iterator[str]:
        import tomlkit

        document = cast("Any", tomlkit.parse(text))
        if model is not None:
            document["model"] = model
        else:
            document.pop("model", None)
        yield tomlkit.dumps(document)
        if model is not None:
            yield f"{tomlkit.dumps({'model': model})}\n{text}"

    edit.apply(path, change, proposals)


def _change_models(path: Path, provider: str, changed: Callable[[list[Any]], list[Any]]) -> None:
    before: list[Any] = []
    after: list[Any] = []

    def change(data: dict[str, Any]) -> None:
        table = data.get("providers", {}).get(provider)
        if table is None:
            raise SettingsError(f"no provider called {provider} is set up", path=path)
        before[:] = table.get("models", [])
        after[:] = changed(before)
        if after:
            table["models"] = after
        else:
            del table["models"]

    def proposals(text: str) -> Iterator[str]:
        import tomlkit

        document = cast("Any", tomlkit.parse(text))
        array = document["providers"][provider].get("models")
        if after and isinstance(array, tomlkit.items.Array):
            _edit_array(array, before, after)
            yield tomlkit.dumps(document)
        document = cast("Any", tomlkit.parse(text))
        table = document["providers"][provider]
        table.pop("models", None)
        if after:
            table["models"] = edit.inline(after)
        yield tomlkit.dumps(document)

    edit.apply(path, change, proposals)


def _edit_array(array: Any, before: list[Any], after: list[Any]) -> None:
    """Change the one element that differs, so that comments beside the others stay."""
    if len(after) > len(before):
        array.append(edit.inline(after[-1]))
        return
    at = next((i for i, (old, new) in enumerate(zip(before, after, strict=False)) if old != new), len(after))
    if len(after) == len(before):
        if at < len(after):
            array[at] = edit.inline(after[at])
    else:
        del array[at]


def _index(models: list[Any], model: str) -> int | None:
    ids = [entry.get("id") if isinstance(entry, dict) else entry for entry in models]
    return ids.index(model) if model in ids else None
