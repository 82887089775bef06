"""From the name a person typed to a provider and a model: pure functions, no file, socket or keyring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core import presets
from provider_core.errors import (
    AmbiguousModelError,
    ModelError,
    NoModelError,
    NoProviderError,
    UnknownModelError,
    UnknownProviderError,
)
from provider_core.types import Target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.types import Provider

__all__ = ["resolve"]


def resolve(name: str | None, providers: Mapping[str, Provider]) -> Target:
    """What ``name`` means among ``providers`` (by name).

    ``provider/model`` is split at the first "/" when the left side is a provider; a model a provider does
    not list is taken as typed. A provider's name alone means its default, else its first listed model. Any
    other name is a model id, which exactly one provider must list. None means the only provider there is.
    """
    if not providers:
        raise NoProviderError("no provider is set up")
    if name is None:
        enabled = [provider for provider in providers.values() if provider.enabled]
        if len(enabled) == 1:
            return _default(enabled[0])
        raise NoModelError(
            "no model was named, and there is no default",
            candidates=[str(t) for t in map(_first, enabled) if t],
        )
    left, _, right = name.partition("/")
    known = providers.get(left)
    if known is not None and right:
        return Target(provider=_enabled(known), model=right)
    if known is not None:
        return _default(_enabled(known))
    owners = [p for p in providers.values() if p.enabled and any(m.id == name for m in p.models)]
    if len(owners) == 1:
        return Target(provider=owners[0], model=name)
    if owners:
        ids = [f"{provider.name}/{name}" for provider in owners]
        raise AmbiguousModelError(
            f"{len(ids)} providers have a model called {name}", name=name, candidates=ids
        )
    if presets.get(left) is not None:
        raise UnknownProviderError(f"the provider {left} is not set up", name=left, preset=True)
    raise UnknownModelError(
        f"no provider that is set up has a model called {name}", name=name, candidates=_near(name, providers)
    )


def _enabled(provider: Provider) -> Provider:
    if not provider.enabled:
        raise ModelError(f"the provider {provider.name} is disabled", provider=provider.name)
    return provider


def _first(provider: Provider) -> Target | None:
    model = provider.default_model or next((m.id for m in provider.models), None)
    return Target(provider=provider, model=model) if model else None


def _default(provider: Provider) -> Target:
    target = _first(provider)
    if target is None:
        raise NoModelError(
            f"{provider.name} has no default model, and none is listed for it", provider=provider.name
        )
    return target


def _near(name: str, providers: Mapping[str, Provider]) -> list[str]:
    import difflib

    ids = [f"{p.name}/{m.id}" for p in providers.values() if p.enabled for m in p.models]
    # Compared with and without the provider: "gpt-5" is near "openai/gpt-5.6" only without it.
    by_tail = {full.partition("/")[2].lower(): full for full in reversed(ids)}
    by_full = {full.lower(): full for full in ids}
    typed = name.lower()
    found = difflib.get_close_matches(typed, by_full, n=3) + difflib.get_close_matches(typed, by_tail, n=3)
    found += [tail for tail in by_tail if typed in tail][:3]
    return list(dict.fromkeys(by_full.get(hit) or by_tail[hit] for hit in found))[:3]
