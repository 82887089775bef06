"""The models of each provider: from settings, servers' lists and presets; the saved lists; names for shell completion.

A server's list is saved for a day in ``<cache>/models/PROVIDER.json``. Only ``provider_core.catalog.servers``
connects to a server.
"""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Literal

from provider_core import files, presets
from provider_core.errors import FileError
from provider_core.settings.validators import NAME
from provider_core.structs import Struct, pattern, replace
from provider_core.types import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path
    from typing import Any, Self

    from provider_core.errors import SettingsError
    from provider_core.settings import Paths
    from provider_core.types import Alias, Json, Provider, Target


# --- the saved list of a server -------------------------------------------------------------------------------

_TEXT, _COUNT, _FLAG, _TABLE = {str}, {int, type(None)}, {bool, type(None)}, {dict, type(None)}
_FIELDS: Mapping[str, Any] = {
    "id": _TEXT, "name": _TEXT, "context": _COUNT, "context_is_maximum": _FLAG, "max_output": _COUNT,
    "reasoning": _FLAG, "tools": _FLAG, "vision": _FLAG, "audio": _FLAG, "kind": _TEXT, "price": _TABLE,
}  # fmt: skip
"""The fields of a model that are stored, with their types. The file has a list for each, so that their names are
stored once."""

_MAX_CLOCK_SKEW = 86_400.0
"""Seconds that the time of a list may be in the future, as clocks are set back."""

_NUMBERS = pattern(r"(\d+)")


class CachedModelList(Struct):
    """The models that a server listed, in the order in which they are shown.

    ``fetched_at`` is in seconds since 1970. ``first`` is the id of the first chat model in the server's own order.
    """

    fetched_at: float
    models: tuple[Model, ...]
    first: str | None = None

    @classmethod
    def of(cls, models: Iterable[Model], fetched_at: float) -> Self:
        """Make a list from models in the server's order."""
        listed = tuple(models)
        chat = [model for model in listed if model.kind == "chat"]
        return cls(
            fetched_at=fetched_at,
            models=tuple(sorted(listed, key=_by_name_and_number)),
            first=next((model.id for model in (*chat, *listed)), None),
        )


def read_cached(folder: Path, provider: Provider) -> CachedModelList | None:
    """Read the provider's list; None if there is none, if it is from another address, or if it is damaged."""
    try:
        content = json.loads(files.read_bytes(folder / f"{provider.name}.json"))
        first, columns, fetched_at = content["first"], content["models"], content["fetched_at"]
        if (
            content["source"] != [provider.base_url, provider.preset or ""]
            or not 0 <= fetched_at <= time.time() + _MAX_CLOCK_SKEW
            or not isinstance(first, str | None)
            or any(set(map(type, columns[name])) - types for name, types in _FIELDS.items())
        ):
            return None
        rows = zip(*(columns[name] for name in _FIELDS), strict=True)
        models = tuple(Model(**dict(zip(_FIELDS, row, strict=True))) for row in rows)
        return CachedModelList(fetched_at=fetched_at, models=models, first=first)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def write_cached(folder: Path, provider: Provider, cached: CachedModelList) -> bool:
    """Save the provider's list; False if that failed."""
    content = {
        "source": [provider.base_url, provider.preset or ""],
        "fetched_at": cached.fetched_at,
        "first": cached.first,
        "models": {name: [getattr(model, name) for model in cached.models] for name in _FIELDS},
    }
    encoded = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return write_files(folder, {f"{provider.name}.json": encoded})


def delete_cached(folder: Path, name: str) -> None:
    """Delete the list of the provider ``name``, if there is one."""
    if NAME.fullmatch(name):  # any other name could be a path to another folder
        with contextlib.suppress(OSError):
            (folder / f"{name}.json").unlink()


def rename_cached(folder: Path, old: str, new: str) -> None:
    """Rename the list of the provider ``old``, if there is one."""
    if NAME.fullmatch(old) and NAME.fullmatch(new):
        with contextlib.suppress(OSError):
            (folder / f"{old}.json").replace(folder / f"{new}.json")


def _by_name_and_number(model: Model) -> tuple[tuple[bool, int, str], ...]:
    """Sort key: alphabetical, and numbers by value, so that "gpt-5" comes before "gpt-10"."""
    parts = _NUMBERS.split(model.id.lower())
    return tuple((part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts)


def write_files(folder: Path, contents: Mapping[str, bytes]) -> bool:
    """Write those files in ``folder`` whose content has changed."""
    try:
        files.private_folder(folder.parent)
        files.private_folder(folder)
        for name, content in contents.items():
            with contextlib.suppress(OSError):
                if files.read_bytes(folder / name) == content:
                    continue
            files.replace(folder / name, content)
    except FileError:
        return False
    return True


# --- the models of one provider, and of all -------------------------------------------------------------------

LIFETIME = 86_400.0
"""Seconds for which a server's list is current."""


class ModelListing(Struct):
    """The models of one provider, its default first.

    ``declared`` are the ids from the settings; the other models are from ``source``. ``default_is_first`` is true if
    neither settings nor preset name a default, so that it is the first model that the server listed. ``fetched_at``
    is when the server was asked, in seconds since 1970; ``stale`` is true if that is too long ago.
    """

    provider: Provider
    models: tuple[Model, ...] = ()
    default: str | None = None
    default_is_first: bool = False
    declared: frozenset[str] = frozenset()
    source: Literal["server", "preset", "none"] = "none"
    fetched_at: float | None = None
    stale: bool = False

    def find(self, typed: str) -> tuple[Model, ...]:
        """The models that ``typed`` can mean: the one with exactly this id, else those that differ only in spelling."""
        exact = [model for model in self.models if model.id == typed]
        wanted = normalize_id(typed)
        return tuple(exact or [model for model in self.models if normalize_id(model.id) == wanted])


def normalize_id(id_: str) -> str:
    """Reduce the spellings of a model's id to one: ignores case, Gemini's "models/" and Ollama's ":latest"."""
    return id_.casefold().removeprefix("models/").removesuffix(":latest")


def can_list_models(provider: Provider) -> bool:
    """Whether the provider has a server that can be asked for its models."""
    preset = presets.of(provider)
    return not provider.embedded and (preset is None or preset.models_path is not None)


def listing(
    provider: Provider, cached: CachedModelList | None, *, stale_before: float | None = None
) -> ModelListing:
    """Merge the provider's models: those in the settings, then its server's, or the preset's if the server has none.

    Each field of a model comes from the first of the three that knows it. A list from before ``stale_before`` (seconds
    since 1970) is stale.
    """
    declared = provider.models if provider.models_declared else ()
    facts = () if provider.models_declared else provider.models
    if not facts and provider.preset:
        facts = presets.models(provider.preset)
    if not facts and provider.gguf is not None:
        facts = (Model(id=provider.gguf.stem),)
    from_server = cached is not None and bool(cached.models)
    # A server's list is complete: a model that only the preset has was most likely withdrawn.
    others = list(cached.models if cached is not None and cached.models else facts)
    own: list[Model] = []
    if declared or facts:
        served = {_key(model.id): model for model in others}
        known = {_key(model.id): model for model in facts}
        for model in declared:
            key = _key(model.id)
            own.append(fill(fill(model, served.pop(key, None)), known.get(key)))
        others = [fill(model, known.get(key)) for key, model in served.items()]
    named = _default(provider, own, others, facts)
    first = next((model.id for model in (*(m for m in others if m.kind == "chat"), *others)), None)
    default = named or (cached.first if cached is not None else None) or first
    return ModelListing(
        provider=provider,
        models=tuple(sorted((*own, *others), key=lambda model: model.id != default)),
        default=default,
        default_is_first=named is None and default is not None,
        declared=frozenset(model.id for model in own),
        source="server" if from_server else "preset" if facts else "none",
        fetched_at=cached.fetched_at if cached is not None else None,
        stale=cached is not None and stale_before is not None and cached.fetched_at < stale_before,
    )


def _default(provider: Provider, own: list[Model], others: list[Model], facts: Iterable[Model]) -> str | None:
    """The default that the settings or the preset name."""
    if provider.default_model or own:
        return provider.default_model or own[0].id
    available = {_key(model.id): model.id for model in others} if facts else {}
    return next((available[_key(fact.id)] for fact in facts if _key(fact.id) in available), None)


_FILLED = ("name", "max_output", "reasoning", "tools", "vision", "audio", "reasoning_levels")


def fill(model: Model, other: Model | None) -> Model:
    """``model``, with ``other``'s values where it has none."""
    if other is None or other is model:
        return model
    values = {name: getattr(other, name) for name in _FILLED if getattr(model, name) in (None, "", ())}
    if model.context is None:
        values |= {"context": other.context, "context_is_maximum": other.context_is_maximum}
    return replace(model, **values, price=_filled_price(model.price, other.price))


def _filled_price(
    price: Mapping[str, Json] | None, other: Mapping[str, Json] | None
) -> Mapping[str, Json] | None:
    if not isinstance(price, dict) or not isinstance(other, dict):  # a saved list may be damaged
        return price if isinstance(price, dict) else other
    if "input" in price or "output" in price:  # the others' prices of long requests do not belong to these
        other = {name: value for name, value in other.items() if name != "above"}
    return {**other, **price}


def _key(id_: str) -> str:
    return id_.removeprefix("models/")


class Catalog:
    """Every name that a user can give: providers, their models, and aliases.

    ``load`` returns a provider's listing and is called at most once for each. ``problems`` are the unusable entries of
    the settings, as in ``Settings.problems``. ``without_key`` are the providers that need a key and have no source of
    one. ``not_set_up`` are those that are not in the settings: the embedded model, and presets whose key is in the
    environment.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        *,
        load: Callable[[Provider], ModelListing],
        aliases: Mapping[str, Alias] | None = None,
        problems: Mapping[str, SettingsError] | None = None,
        without_key: Collection[str] = (),
        not_set_up: Collection[str] = (),
    ) -> None:
        self.providers = providers
        self.aliases: Mapping[str, Alias] = aliases or {}
        self.problems: Mapping[str, SettingsError] = problems or {}
        self.without_key: frozenset[str] = frozenset(without_key)
        self.not_set_up: frozenset[str] = frozenset(not_set_up)
        self._load = load
        self._listings: dict[str, ModelListing] = {}

    @property
    def usable(self) -> tuple[Provider, ...]:
        """The providers that are enabled, and have a key or need none."""
        return tuple(
            provider
            for provider in self.providers.values()
            if provider.enabled and provider.name not in self.without_key
        )

    def listing(self, name: str) -> ModelListing:
        """The models of the provider ``name``; raises ``KeyError`` if there is no such provider."""
        if name not in self._listings:
            self._listings[name] = self._load(self.providers[name])
        return self._listings[name]

    def reads_images(self, target: Target) -> bool:
        """Whether the model is known to read images."""
        return any(model.vision for model in self.listing(target.provider.name).find(target.model)[:1])


def cached_listings(
    folder: Path,
    *,
    unsaved: Mapping[str, CachedModelList] | None = None,
    lifetime: float = LIFETIME,
    now: Callable[[], float] = time.time,
) -> Callable[[Provider], ModelListing]:
    """A ``load`` for ``Catalog``: the lists in ``folder``, or those in ``unsaved``; ``lifetime`` is in seconds."""

    def load(provider: Provider) -> ModelListing:
        cached = (unsaved or {}).get(provider.name) or read_cached(folder, provider)
        return listing(provider, cached, stale_before=now() - lifetime)

    return load


# --- names for shell completion ------------------------------------------------------------------------------

# <cache>/completion/ has the files providers, models (provider/model), aliases, presets, servers and templates: UTF-8,
# one name a line, in the order in which they are shown. A file of the same name with .tsv has a tab and a few words
# after each name.

_STAMP = "stamp"


def snapshot_is_current(paths: Paths, environ: Mapping[str, str]) -> bool:
    """Whether the names were written for the present settings file, variables and templates."""
    try:
        stamp = files.read_bytes(paths.cache / "completion" / _STAMP)
    except OSError:
        return False
    return stamp == snapshot_stamp(paths, environ).encode()


def invalidate_snapshot(paths: Paths) -> None:
    """Have the names written again: a server's list has changed."""
    with contextlib.suppress(OSError):
        (paths.cache / "completion" / _STAMP).unlink(missing_ok=True)


def write_snapshot(
    paths: Paths,
    catalog: Catalog,
    *,
    templates: Iterable[str] = (),
    servers: Iterable[str] = (),
    profiles: Iterable[str] = (),
    settings: Mapping[str, str] | None = None,
    values: Iterable[str] = (),
    made_from: str = "",
) -> bool:
    """Write the names; False if that failed. ``made_from`` is ``snapshot_stamp`` from before the settings were read.

    Of disabled providers the names are written without their models. Models that cannot chat are omitted. ``settings``
    are the names of settings, with a few words, and ``values`` what some of them may be, as NAME/VALUE; without
    ``settings``, both stay as they were written before.
    """
    broken = [
        entry.removeprefix("providers.") for entry in catalog.problems if entry.startswith("providers.")
    ]
    names: dict[str, Mapping[str, str]] = {
        "providers": {
            **{name: provider.display_name for name, provider in catalog.providers.items()},
            **dict.fromkeys(broken, "not usable"),
        },
        "models": {
            f"{name}/{model.id}": model.name or _abilities(model)
            for name, provider in catalog.providers.items()
            if provider.enabled
            for model in catalog.listing(name).models
            if model.kind == "chat"
        },
        "aliases": {name: str(alias) for name, alias in catalog.aliases.items()},
        "presets": {preset.id: preset.name for preset in presets.all_presets(paths.presets)},
        "templates": dict.fromkeys(templates, ""),
        "servers": dict.fromkeys(servers, ""),
        "profiles": dict.fromkeys(profiles, ""),
    }
    if settings is not None:
        names |= {"settings": settings, "values": dict.fromkeys(values, "")}
    contents = {_STAMP: made_from}
    for kind, words in names.items():
        contents[kind] = "".join(f"{name}\n" for name in words)
        contents[f"{kind}.tsv"] = "".join(
            f"{name}\t{' '.join(text.split())}\n" for name, text in words.items()
        )
    encoded = {name: text.encode("utf-8", "replace") for name, text in contents.items()}
    return write_files(paths.cache / "completion", encoded)


def snapshot_stamp(paths: Paths, environ: Mapping[str, str]) -> str:
    """Describe the state that the names are made from: the settings file, key variables, and the folders of
    templates and presets.
    """
    from provider_core.settings import key_variables

    try:
        found = paths.settings_file.stat()
        stamp = f"{found.st_mtime_ns} {found.st_size}"
    except OSError:
        stamp = "none"
    stamp = " ".join([stamp, *sorted(key_variables(environ))])
    for folder in (paths.templates, paths.presets):
        with contextlib.suppress(OSError):
            stamp = f"{stamp} {folder.stat().st_mtime_ns}"
    return stamp


def _abilities(model: Model) -> str:
    return ", ".join(ability for ability in ("reasoning", "tools", "vision") if getattr(model, ability))
