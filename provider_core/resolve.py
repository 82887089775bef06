"""From the name a person typed to a provider and a model: pure functions over the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core import presets
from provider_core.catalog import normalize_id
from provider_core.errors import (
    LocalModelError,
    MissingKeyError,
    ModelError,
    NoModelError,
    NoProviderError,
    UnknownProviderError,
)
from provider_core.types import Target

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provider_core.catalog import Catalog
    from provider_core.types import Provider

__all__ = ["near_ids", "resolve"]

_NEAR = 3
"""How many names an error offers."""


def resolve(name: str | None, catalog: Catalog) -> Target:
    """What ``name`` means in ``catalog``; None means the only usable provider there is.

    In this order: an alias; ``provider/model``, split at the first "/" when the left side is a provider, whose
    model is taken as typed when it is not listed; a provider, which means its default model; a model that
    exactly one usable provider lists. A model's id is found in any case, with or without "models/" in front
    and ":latest" behind, and the listed spelling is the answer.

    Raises ``ModelError``, ``MissingKeyError`` when only a provider without its key has the model, and
    ``SettingsError`` for an alias or a provider that is set up wrongly.
    """
    _refuse_wrong(name.strip() if name is not None else "", catalog)
    if name is None:
        return _only(catalog)
    typed = name.strip()
    chain = _aliased(typed, catalog)
    if chain[-1].partition("/")[0].casefold() == "local" and "local" not in catalog.providers:
        raise LocalModelError(
            "the extra local, which the embedded model needs, is not installed", code="not_installed"
        )
    if not catalog.providers:
        _refuse_if_all_wrong(catalog)
        raise NoProviderError("no provider is set up")
    if len(chain) > 1:
        _refuse_wrong(chain[-1], catalog)
    try:
        return _resolved(chain[-1], catalog)
    except ModelError as error:
        if len(chain) > 1:
            error.explain(f"the alias {typed} leads to it")
        raise


def _refuse_wrong(typed: str, catalog: Catalog) -> None:
    """Raise what is wrong with the alias or the provider in ``typed``: another one must not be asked instead.

    Where all of TELEX_PROVIDERS is wrong, that may be any provider but the embedded one.
    """
    left = f"providers.{typed.partition('/')[0]}".casefold()
    for entry, error in catalog.problems.items():
        if (
            entry.casefold() == left
            or (entry == "providers" and left != "providers.local")
            or ("/" not in typed and entry == f"aliases.{typed}")
        ):
            raise error


def _refuse_if_all_wrong(catalog: Catalog) -> None:
    """Raise what is wrong with the only providers there are, and which nobody has named."""
    for entry, error in catalog.problems.items():
        if entry.partition(".")[0] == "providers":
            raise error


def _aliased(typed: str, catalog: Catalog) -> list[str]:
    """The name and what its alias leads to, step by step."""
    chain = [typed]
    # A full id means what it says, whatever aliases there are.
    while "/" not in chain[-1] and (following := catalog.aliases.get(chain[-1])) is not None:
        if following.strip() in chain:
            raise ModelError(f"the alias {typed} leads back to itself", name=typed)
        chain.append(following.strip())
    return chain


def _resolved(typed: str, catalog: Catalog) -> Target:
    left, _, right = typed.partition("/")
    provider = _provider(left, catalog)
    if provider is not None and right:
        return _of(_enabled(provider), right, typed, catalog)
    if provider is not None:
        return _default(_enabled(provider), catalog)
    return _bare(typed, left, catalog)


def _provider(typed: str, catalog: Catalog) -> Provider | None:
    exact = catalog.providers.get(typed)
    if exact is not None:
        return exact
    folded = [provider for name, provider in catalog.providers.items() if name.casefold() == typed.casefold()]
    return folded[0] if len(folded) == 1 else None


def _of(provider: Provider, model: str, typed: str, catalog: Catalog) -> Target:
    """A provider's model. Some ids begin with their provider's name ("openrouter/auto"): the whole counts too."""
    listing = catalog.listing(provider.name)
    for spelling in (model, typed):
        found = listing.find(spelling)
        if len(found) == 1:
            return Target(provider=provider, model=found[0].id)
    return Target(provider=provider, model=model)


def _bare(typed: str, left: str, catalog: Catalog) -> Target:
    owners = _owners(typed, catalog, [p for p in catalog.usable if p.name not in catalog.not_set_up])
    owners = owners or _owners(typed, catalog, catalog.usable)
    if len(owners) == 1:
        return owners[0]
    if owners:
        raise ModelError(
            f"{len(owners)} models are called {typed}",
            name=typed,
            candidates=tuple(map(str, owners)),
            code="ambiguous_model",
        )
    keyless = [p for p in catalog.providers.values() if p.enabled and p.name in catalog.without_key]
    if lost := _owners(typed, catalog, keyless):
        provider = lost[0].provider
        raise MissingKeyError(
            f"{lost[0]} is there, and there is no API key for {provider.name}",
            provider=provider.name,
            key_env=provider.key_env,
        )
    if off := _owners(typed, catalog, [p for p in catalog.providers.values() if not p.enabled]):
        raise ModelError(
            f"{off[0]} is there, and the provider {off[0].provider.name} is disabled",
            provider=off[0].provider.name,
            name=typed,
            code="disabled_provider",
        )
    if presets.get(left.lower()) is not None:
        raise UnknownProviderError(
            f"the provider {left} is not set up",
            name=left.lower(),
            candidates=tuple(near_ids(typed, catalog)),
            preset=True,
        )
    raise ModelError(
        f"no provider that is set up has a model called {typed}",
        name=typed,
        candidates=tuple(near_ids(typed, catalog)),
        code="unknown_model",
    )


def _owners(typed: str, catalog: Catalog, providers: Iterable[Provider]) -> list[Target]:
    """Who lists the model: those with the very id, else those with another spelling of it."""
    exact: list[Target] = []
    alike: list[Target] = []
    for provider in providers:
        for model in catalog.listing(provider.name).find(typed):
            (exact if model.id == typed else alike).append(Target(provider=provider, model=model.id))
    return exact or alike


def _only(catalog: Catalog) -> Target:
    """Without any name: the one provider that can be asked.

    Where none is set up, that is the one preset whose key is in the environment, else the embedded model.
    """
    own = [provider for name, provider in catalog.providers.items() if name not in catalog.not_set_up]
    if not own:
        _refuse_if_all_wrong(catalog)
        own = [provider for provider in catalog.providers.values() if not provider.embedded]
        if len(own) > 1:
            raise NoProviderError(
                "no provider is set up, and the environment has keys for several",
                candidates=tuple(provider.name for provider in own),
            )
        own = own or list(catalog.providers.values())
    if not own:
        raise NoProviderError("no provider is set up")
    enabled = [provider for provider in own if provider.enabled]
    usable = [provider for provider in enabled if provider.name not in catalog.without_key]
    if len(chosen := usable or enabled) == 1:
        return _default(chosen[0], catalog)
    raise NoModelError(
        "no model was named, and there is no default",
        candidates=tuple(
            f"{provider.name}/{model}" if (model := catalog.listing(provider.name).default) else provider.name
            for provider in chosen
        ),
    )


def _enabled(provider: Provider) -> Provider:
    if not provider.enabled:
        raise ModelError(
            f"the provider {provider.name} is disabled", provider=provider.name, code="disabled_provider"
        )
    return provider


def _default(provider: Provider, catalog: Catalog) -> Target:
    model = catalog.listing(provider.name).default
    if model is None:
        raise NoModelError(
            f"{provider.name} has no default model, and none is listed for it", provider=provider.name
        )
    return Target(provider=provider, model=model)


def near_ids(typed: str, catalog: Catalog) -> list[str]:
    """Full ids that may have been meant: the same last part, then alike, then longer ones with it inside."""
    from provider_core.redaction import close_matches

    ids = [
        f"{p.name}/{m.id}" for p in catalog.usable for m in catalog.listing(p.name).models if m.kind == "chat"
    ]
    wanted = normalize_id(typed)
    # Compared with and without the provider: "gpt-5" is near "openai/gpt-5.6" only without it.
    by_tail = {normalize_id(full.partition("/")[2]): full for full in reversed(ids)}
    last = wanted.rpartition("/")[2]
    found = [full for tail, full in by_tail.items() if tail.rpartition("/")[2] == last]
    found += close_matches(typed, ids, most=_NEAR)
    found += [by_tail[hit] for hit in close_matches(wanted, by_tail, most=_NEAR)]
    found += [full for tail, full in by_tail.items() if len(wanted) > 2 and wanted in tail]
    return list(dict.fromkeys(found))[:_NEAR]
