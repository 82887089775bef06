"""Puts together what user, server and preset say of a provider's models; nothing is read or asked here."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from provider_core import presets
from provider_core.structs import Struct
from provider_core.types import Model

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from provider_core.catalog._cache import CachedModelList
    from provider_core.types import Provider

__all__ = ["ModelListing", "listing", "normalize_id"]


class ModelListing(Struct):
    """What one provider is known to serve, its default model first.

    ``declared`` are the ids that the user named; the others are from ``source``. ``default_is_first`` tells that
    the default is nobody's choice, only the first that the server listed. ``fetched_at`` is when the server was
    asked, in seconds since 1970; ``stale`` whether that is longer ago than a list lasts.
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
        """The models that ``typed`` can mean: the one of this very id, else those of the same form."""
        exact = [model for model in self.models if model.id == typed]
        return tuple(
            exact or [model for model in self.models if normalize_id(model.id) == normalize_id(typed)]
        )


def normalize_id(id_: str) -> str:
    """What all spellings of a model's id have in common: not case, Gemini's "models/" or Ollama's ":latest"."""
    return id_.casefold().removeprefix("models/").removesuffix(":latest")


def listing(
    provider: Provider, kept: CachedModelList | None, *, lasts_until: float | None = None
) -> ModelListing:
    """The provider's models: the user's, then its server's, and the preset's where the server gave none.

    A field of a model comes from the first of the three that knows it. ``lasts_until`` is compared with
    ``kept.fetched_at``: an older list is stale.
    """
    declared = provider.models if provider.models_declared else ()
    facts = () if provider.models_declared else provider.models
    if not facts and provider.preset:
        facts = presets.models(provider.preset)
    if not facts and provider.gguf is not None:
        facts = (Model(id=provider.gguf.stem),)
    # A list that the server gave is whole: what only the preset knows is most likely gone.
    served = kept.models if kept is not None and kept.models else facts
    own, rest = _merged(declared, served, facts) if declared or facts else ([], list(served))
    chosen = _chosen(provider, own, rest, facts)
    default = chosen or (kept.first if kept is not None else None) or _first(rest)
    models = [*own, *rest]
    models.sort(key=lambda model: model.id != default)
    return ModelListing(
        provider=provider,
        models=tuple(models),
        default=default,
        default_is_first=default is not None and chosen is None,
        declared=frozenset(model.id for model in own),
        source="server" if kept is not None and kept.models else "preset" if facts else "none",
        fetched_at=kept.fetched_at if kept is not None else None,
        stale=kept is not None and lasts_until is not None and kept.fetched_at < lasts_until,
    )


def _merged(
    declared: Sequence[Model], served: Sequence[Model], facts: Sequence[Model]
) -> tuple[list[Model], list[Model]]:
    """The declared models and the others, each with what the sources below it know."""
    known = {_key(model.id): model for model in facts}
    server = {_key(model.id): model for model in served}
    own = [_over(_over(model, server.get(_key(model.id))), known.get(_key(model.id))) for model in declared]
    taken = {_key(model.id) for model in own}
    rest = [_over(model, known.get(_key(model.id))) for model in served if _key(model.id) not in taken]
    return own, rest


def _chosen(
    provider: Provider, own: Sequence[Model], rest: Sequence[Model], facts: Iterable[Model]
) -> str | None:
    """The model that the provider's name alone means by someone's choice: the user's, then the preset's."""
    if provider.default_model:
        return provider.default_model
    if own:
        return own[0].id
    by_key = {_key(model.id): model.id for model in rest}
    return next((by_key[_key(fact.id)] for fact in facts if _key(fact.id) in by_key), None)


def _first(models: Sequence[Model]) -> str | None:
    """The first that chats; else the first there is."""
    return next((model.id for model in models if model.kind == "chat"), models[0].id if models else None)


def _over(model: Model, below: Model | None) -> Model:
    """``model``, and where it knows nothing, ``below``."""
    if below is None or below is model:
        return model
    return replace(
        model,
        name=model.name or below.name,
        context=model.context if model.context is not None else below.context,
        context_is_maximum=(model if model.context is not None else below).context_is_maximum,
        max_output=model.max_output if model.max_output is not None else below.max_output,
        reasoning=model.reasoning if model.reasoning is not None else below.reasoning,
        tools=model.tools if model.tools is not None else below.tools,
        vision=model.vision if model.vision is not None else below.vision,
        reasoning_levels=model.reasoning_levels or below.reasoning_levels,
    )


def _key(id_: str) -> str:
    return id_.removeprefix("models/")
