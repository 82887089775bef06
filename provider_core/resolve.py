"""From the name that a user typed to a provider and a model of the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core import errors, limits, presets
from provider_core.catalog import can_list_models, normalize_id
from provider_core.structs import Struct
from provider_core.types import Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from provider_core.catalog import Catalog
    from provider_core.types import Alias, Provider

_SUGGESTIONS = 3
"""The number of similar names in an error."""


def resolve(name: str | None, catalog: Catalog) -> Target:
    """The model that ``name`` means in ``catalog``; None means the only usable provider.

    A name is, in this order: an alias, which here means its first target; ``provider/model``, split at the first "/" if
    the left side is a provider, whose model is taken as typed if it is not listed; a provider, which means its default
    model; a model that exactly one usable provider lists. Ids are found in any case, with or without a leading
    "models/" and a trailing ":latest"; the result has the listed spelling.

    Raises ``ModelError``, ``MissingKeyError`` if only a provider without its key has the model, and ``SettingsError``
    for an alias or a provider whose entry in the settings is not valid.
    """
    _raise_problem_of(name.strip() if name is not None else "", catalog)
    if name is None:
        return _without_name(catalog)
    typed = name.strip()
    last = typed
    if typed in catalog.aliases:
        last = expand(typed, catalog.aliases)[0].name
    if last.partition("/")[0].casefold() == "local" and "local" not in catalog.providers:
        raise errors.LocalModelError("the embedded model is not installed", code="not_installed")
    if not catalog.providers:
        _raise_problem_of_any_provider(catalog)
        raise errors.NoProviderError("no provider is set up")
    if last is not typed:
        _raise_problem_of(last, catalog)
    try:
        return _full_name(last, catalog)
    except errors.ModelError as error:
        if last is not typed:
            error.explain(f"the alias {typed} leads to it")
        raise


def _raise_problem_of(typed: str, catalog: Catalog) -> None:
    """Raise the error of the alias or provider in ``typed``, if its entry in the settings is not valid.

    If all of TELEX_PROVIDERS is not valid, that can be any provider but the embedded one.
    """
    left = f"providers.{typed.partition('/')[0]}".casefold()
    for entry, error in catalog.problems.items():
        if (
            entry.casefold() == left
            or (entry == "providers" and left != "providers.local")
            or ("/" not in typed and entry == f"aliases.{typed}")
        ):
            raise error


def _raise_problem_of_any_provider(catalog: Catalog) -> None:
    for entry, error in catalog.problems.items():
        if entry.partition(".")[0] == "providers":
            raise error


class ModelName(Struct):
    """A model as the user named it, and the aliases that led to it, the first one typed."""

    name: str
    aliases: tuple[str, ...] = ()


def expand(typed: str, aliases: Mapping[str, Alias]) -> tuple[ModelName, ...]:
    """The names that ``typed`` leads to, in the order in which to ask them: those of an alias's targets, else itself.

    Each name is there once. A full id is never an alias. Raises ``ModelError`` for aliases that refer to themselves.
    """
    found: dict[str, ModelName] = {}
    done: set[str] = set()

    def follow(name: str, before: tuple[str, ...]) -> None:
        if name in before:
            words = f"the alias {before[0]} refers to itself: {' -> '.join((*before, name))}"
            raise errors.ModelError(words, name=before[0], code="alias_loop")
        if len(before) > limits.ALIASES:
            words = f"the alias {before[0]} leads through more than {limits.ALIASES} others to a model"
            raise errors.ModelError(words, name=before[0], code="alias_loop")
        alias = aliases.get(name) if "/" not in name else None
        if alias is None:
            found.setdefault(name, ModelName(name=name, aliases=before))
        elif name not in done:
            for target in alias.targets:
                follow(target.strip(), (*before, name))
            done.add(name)

    follow(typed.strip(), ())
    return tuple(found.values())


def _full_name(typed: str, catalog: Catalog) -> Target:
    left, _, model = typed.partition("/")
    provider = catalog.providers.get(left)
    if provider is None:
        alike = [each for name, each in catalog.providers.items() if name.casefold() == left.casefold()]
        if len(alike) != 1:
            return _model_alone(typed, catalog)
        provider = alike[0]
    if not provider.enabled:
        raise errors.ModelError(
            f"the provider {provider.name} is disabled", provider=provider.name, code="disabled_provider"
        )
    if not model:
        return _default(provider, catalog)
    listing = catalog.listing(provider.name)
    for spelling in (model, typed):  # some ids begin with the name of their provider: "openrouter/auto"
        found = listing.find(spelling)
        if len(found) == 1:
            return Target(provider=provider, model=found[0].id)
    return Target(provider=provider, model=model)


def _model_alone(typed: str, catalog: Catalog) -> Target:
    owners = _owners(typed, catalog, [p for p in catalog.usable if p.name not in catalog.not_set_up])
    owners = owners or _owners(typed, catalog, catalog.usable)
    if len(owners) == 1:
        return owners[0]
    if owners:
        raise errors.ModelError(
            f"{len(owners)} models are called {typed}",
            name=typed,
            candidates=tuple(map(str, owners)),
            code="ambiguous_model",
        )
    providers = catalog.providers.values()
    without_key = [each for each in providers if each.enabled and each.name in catalog.without_key]
    if owners := _owners(typed, catalog, without_key):
        provider = owners[0].provider
        raise errors.MissingKeyError(
            f"{owners[0]} exists, but there is no API key for {provider.name}",
            provider=provider.name,
            key_env=provider.key_env,
        )
    if owners := _owners(typed, catalog, [each for each in providers if not each.enabled]):
        name = owners[0].provider.name
        raise errors.ModelError(
            f"{owners[0]} exists, but the provider {name} is disabled",
            provider=name,
            name=typed,
            code="disabled_provider",
        )
    candidates = near_ids(typed, catalog)
    name, slash, model = typed.partition("/")
    is_preset = presets.get(name) is not None
    if (slash and name) or is_preset:
        from provider_core.redaction import close_matches

        known = [] if is_preset else close_matches(name, catalog.providers)
        candidates = candidates or [f"{near}/{model or 'MODEL'}" for near in known]
        raise errors.UnknownProviderError(
            f"unknown provider: {name}",
            name=name.lower() if is_preset else name,
            candidates=tuple(candidates),
            preset=is_preset,
        )
    unlisted = [
        each.name
        for each in catalog.usable
        if can_list_models(each) and catalog.listing(each.name).fetched_at is None
    ]
    of = ", ".join(unlisted) if len(unlisted) <= _SUGGESTIONS else f"{len(unlisted)} providers"
    where = f" (the models of {of} are not known yet)" if unlisted else ""
    raise errors.ModelError(
        f"unknown model or alias: {typed or repr(typed)}{where}",
        name=typed,
        candidates=tuple(candidates),
        code="unknown_model",
    )


def _owners(typed: str, catalog: Catalog, providers: Iterable[Provider]) -> list[Target]:
    """The listed models with exactly this id, else those with another spelling of it."""
    exact: list[Target] = []
    alike: list[Target] = []
    for provider in providers:
        for model in catalog.listing(provider.name).find(typed):
            (exact if model.id == typed else alike).append(Target(provider=provider, model=model.id))
    return exact or alike


def _without_name(catalog: Catalog) -> Target:
    """The default of the only provider that can be asked.

    If none is set up, that is the only preset whose key is in the environment, else the embedded model.
    """
    own = [provider for name, provider in catalog.providers.items() if name not in catalog.not_set_up]
    if not own:
        _raise_problem_of_any_provider(catalog)
        own = [provider for provider in catalog.providers.values() if not provider.embedded]
        if len(own) > 1:
            raise errors.NoProviderError(
                "no provider is set up, and the environment has keys for several",
                candidates=tuple(provider.name for provider in own),
            )
        own = own or list(catalog.providers.values())
    if not own:
        raise errors.NoProviderError("no provider is set up")
    enabled = [provider for provider in own if provider.enabled]
    usable = [provider for provider in enabled if provider.name not in catalog.without_key]
    if len(chosen := usable or enabled) == 1:
        return _default(chosen[0], catalog)
    raise errors.NoModelError(
        "no default model is set",
        candidates=tuple(
            f"{provider.name}/{model}" if (model := catalog.listing(provider.name).default) else provider.name
            for provider in chosen
        ),
    )


def _default(provider: Provider, catalog: Catalog) -> Target:
    model = catalog.listing(provider.name).default
    if model is None:
        raise errors.NoModelError(
            f"{provider.name} has no default model, and none is listed for it", provider=provider.name
        )
    return Target(provider=provider, model=model)


def near_ids(typed: str, catalog: Catalog) -> list[str]:
    """Full ids that are similar: those with the same last part, then similar ones, then longer ones."""
    from provider_core.redaction import close_matches

    ids = [
        f"{p.name}/{m.id}" for p in catalog.usable for m in catalog.listing(p.name).models if m.kind == "chat"
    ]
    wanted = normalize_id(typed)
    # Compared with and without the provider: "gpt-5" is near "openai/gpt-5.6" only without it.
    by_model = {normalize_id(full.partition("/")[2]): full for full in reversed(ids)}
    last = wanted.rpartition("/")[2]
    found = [full for model, full in by_model.items() if model.rpartition("/")[2] == last]
    found += close_matches(typed, ids, most=_SUGGESTIONS)
    found += [by_model[hit] for hit in close_matches(wanted, by_model, most=_SUGGESTIONS)]
    found += [full for model, full in by_model.items() if len(wanted) > 2 and wanted in model]
    return list(dict.fromkeys(found))[:_SUGGESTIONS]
