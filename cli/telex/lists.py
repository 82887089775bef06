"""Where settings, keys and transport meet the catalogue; what is shown of it is the business of commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.errors import (
    ApiKeyError,
    AuthenticationError,
    CoreError,
    ModelError,
    NetworkError,
    NoModelError,
    ProviderError,
    UnknownProviderError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provider_core.catalog import Catalog, Refreshed
    from provider_core.types import Provider, Target
    from telex.context import App

__all__ = ["ask_for", "catalog", "configured", "follow", "is_worn", "provider", "refresh", "renew"]


def catalog(app: App) -> Catalog:
    """The catalogue over the app's settings and the lists that are kept."""
    from provider_core import keys
    from provider_core.catalog import LIFETIME, Catalog

    providers = app.providers
    return Catalog.of(
        providers,
        app.paths.lists,
        aliases=app.settings.aliases,
        without_key=[
            provider.name
            for provider in providers.values()
            if not provider.embedded and not keys.source(provider, app.environ).ready
        ],
        lifetime=app.settings.models_lifetime or LIFETIME,
    )


def provider(app: App, name: str) -> Provider:
    """The provider of this name; raises ``UnknownProviderError`` with those it may have meant."""
    found = app.providers.get(name)
    if found is not None:
        return found
    from provider_core import presets
    from provider_core.wording import near

    raise UnknownProviderError(
        f"no provider called {name} is set up",
        name=name,
        candidates=near(name, app.providers),
        preset=presets.get(name) is not None,
    )


def configured(app: App, name: str) -> Provider:
    """As ``provider``, for one that the settings are about to change or show: not the model inside telex."""
    from provider_core.local import PROVIDER

    found = app.settings.providers.get(name)
    if found is None and name == PROVIDER.name:
        raise ModelError(f"{name} is the model inside telex: there is nothing to set up or change", name=name)
    return found or provider(app, name)


def ask_for(app: App, missing: NoModelError) -> None:
    """Ask the server of a provider of which no model is known; raises what keeps it from naming one."""
    from provider_core.catalog import has_list

    provider = app.providers[missing.provider or ""]
    if not has_list(provider):
        raise missing
    (outcome,) = refresh(app, [provider])
    match outcome.error:
        case None:
            return
        case ApiKeyError() | NetworkError() | AuthenticationError() as error:
            raise error
        case error:
            raise NoModelError(f"{missing.message}: {error.message}", provider=provider.name) from None


def is_worn(app: App, target: Target, typed: str | None) -> bool:
    """Whether ``typed`` names no model, and the one it means was the first of a list that is too old to rely on."""
    listing = app.catalog.listing(target.provider.name)
    alone = typed is None or typed.strip().rstrip("/").casefold() == target.provider.name.casefold()
    return alone and listing.stale and listing.default_is_first


def renew(app: App, provider: Provider) -> None:
    """Ask for a list that is too old; raises what would keep a chat from reaching the server, and nothing else."""
    (outcome,) = refresh(app, [provider])
    match outcome.error:
        case ApiKeyError() | NetworkError() as error:
            raise error
        case ProviderError() | None:
            return


def refresh(
    app: App, wanted: Sequence[Provider], on_done: Callable[[Refreshed], None] = lambda _: None
) -> tuple[Refreshed, ...]:
    """Ask the providers' servers for their models, all at once, and keep the lists; see ``catalog.refresh``.

    A provider whose key cannot be had is not asked: its outcome holds the ``ApiKeyError``.
    """
    from provider_core.catalog import outdate_snapshot
    from provider_core.catalog import refresh as ask

    keys, outcomes = _keys(app, wanted)
    for outcome in outcomes.values():
        on_done(outcome)
    asked = [(provider, keys[provider.name]) for provider in wanted if provider.name in keys]
    if asked:
        for outcome in ask(app.transport, app.paths.lists, asked, on_done=on_done):
            outcomes[outcome.provider.name] = outcome
        app.__dict__.pop("catalog", None)
        outdate_snapshot(app.paths)
    return tuple(outcomes[provider.name] for provider in wanted)


def follow(app: App) -> None:
    """Write the snapshot that shell completion reads anew, if the settings file has changed since."""
    from provider_core.catalog import is_current, stamp, write_snapshot

    if is_current(app.paths):
        return
    made_from = stamp(app.paths)
    for name in ("settings", "catalog"):
        app.__dict__.pop(name, None)  # the command may have changed what it had read
    try:
        write_snapshot(app.paths, app.catalog, made_from=made_from)
    except CoreError:
        return  # settings that do not load have been complained of, or will be


def _keys(app: App, wanted: Sequence[Provider]) -> tuple[dict[str, str | None], dict[str, Refreshed]]:
    """The key of each provider, and the outcomes of those whose key cannot be had."""
    from provider_core import keys
    from provider_core.catalog import Refreshed, read

    found: dict[str, str | None] = {}
    refused: dict[str, Refreshed] = {}
    outcomes = keys.find_each(wanted, environ=app.environ, store=app.key_store)
    for provider in wanted:
        key = outcomes[provider.name]
        if isinstance(key, ApiKeyError):
            kept = read(app.paths.lists, provider)
            refused[provider.name] = Refreshed(
                provider=provider, error=key, kept_from=kept.fetched_at if kept else None
            )
        else:
            found[provider.name] = key.value if key else None
    return found, refused
