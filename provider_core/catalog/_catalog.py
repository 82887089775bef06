"""All providers' models together, each list read when it is first needed; no typed name is given a meaning here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from provider_core import presets
from provider_core.catalog import _cache
from provider_core.catalog._merge import listing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path
    from typing import Self

    from provider_core.catalog._merge import ModelListing
    from provider_core.errors import SettingsError
    from provider_core.types import Provider, Target

__all__ = ["LIFETIME", "Catalog", "can_list_models"]

LIFETIME = 86_400.0
"""Seconds that a server's list is taken for current."""


def can_list_models(provider: Provider) -> bool:
    """Whether the provider has a server that can be asked for its models."""
    preset = presets.get(provider.preset) if provider.preset else None
    return not provider.embedded and (preset is None or preset.models_path is not None)


class Catalog:
    """What can be named: providers, their models, and aliases for either.

    ``load`` gives a provider's listing and is called once at most for each. ``without_key`` are the names of
    those that need a key and have no source of one; they keep their lists, and are not usable. ``problems`` are
    the entries of the settings that cannot be used, as ``Settings.problems``.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        *,
        load: Callable[[Provider], ModelListing],
        aliases: Mapping[str, str] | None = None,
        problems: Mapping[str, SettingsError] | None = None,
        without_key: Collection[str] = (),
        not_set_up: Collection[str] = (),
    ) -> None:
        self.providers = providers
        self.aliases: Mapping[str, str] = aliases or {}
        self.problems: Mapping[str, SettingsError] = problems or {}
        self.without_key: frozenset[str] = frozenset(without_key)
        self.not_set_up: frozenset[str] = frozenset(not_set_up)
        """The embedded model, and presets whose key is in the environment."""
        self._load = load
        self._listings: dict[str, ModelListing] = {}

    @classmethod
    def of(
        cls,
        providers: Mapping[str, Provider],
        folder: Path,
        *,
        aliases: Mapping[str, str] | None = None,
        problems: Mapping[str, SettingsError] | None = None,
        without_key: Collection[str] = (),
        not_set_up: Collection[str] = (),
        unsaved: Mapping[str, _cache.CachedModelList] | None = None,
        lifetime: float = LIFETIME,
        now: Callable[[], float] = time.time,
    ) -> Self:
        """The catalogue over the lists in ``folder``, and over those that could not be saved there, by provider."""

        def load(provider: Provider) -> ModelListing:
            listed = (unsaved or {}).get(provider.name) or _cache.read_cached(folder, provider)
            return listing(provider, listed, lasts_until=now() - lifetime)

        return cls(
            providers,
            load=load,
            aliases=aliases,
            problems=problems,
            without_key=without_key,
            not_set_up=not_set_up,
        )

    def reads_images(self, target: Target) -> bool:
        """Whether the model is known to read images."""
        return any(model.vision for model in self.listing(target.provider.name).find(target.model)[:1])

    @property
    def usable(self) -> tuple[Provider, ...]:
        """The providers that can be asked now: enabled, and with a key or no need of one."""
        return tuple(
            provider
            for provider in self.providers.values()
            if provider.enabled and provider.name not in self.without_key
        )

    def listing(self, name: str) -> ModelListing:
        """What the provider ``name`` serves; raises ``KeyError`` where there is none of that name."""
        found = self._listings.get(name)
        if found is None:
            found = self._listings[name] = self._load(self.providers[name])
        return found
