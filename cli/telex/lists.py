"""Where commands meet what is set up: a provider they are about to change, and the lists that a Tab completes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.errors import CoreError, ModelError

if TYPE_CHECKING:
    from provider_core.types import Model, Provider, Target
    from telex.context import App

__all__ = ["configured", "default_target", "follow", "save", "say_default"]


def configured(app: App, name: str) -> Provider:
    """As ``App.provider``, for one that the settings are about to change or show: not the model inside telex."""
    from provider_core.local import PROVIDER

    found = app.settings.providers.get(name)
    if found is None and name == PROVIDER.name:
        raise ModelError(f"{name} is the model inside telex: there is nothing to set up or change", name=name)
    return found or app.provider(name)


def default_target(app: App) -> Target | None:
    """The model that is used when none is named; None where there is none."""
    from provider_core.resolve import resolve

    try:
        return resolve(app.settings.model, app.catalog)
    except CoreError:
        return None


def save(app: App, provider: Provider, models: tuple[Model, ...]) -> None:
    """Save what the provider's server listed: the first chat need not ask for it again."""
    import time

    from provider_core.catalog import Kept, outdate_snapshot, write

    write(app.paths.lists, provider, Kept.of(models, time.time()))
    outdate_snapshot(app.paths)


def say_default(app: App, name: str) -> None:
    """Tell which model is used without -m, now that the provider ``name`` was added beside others."""
    app.reload()
    if len(app.settings.providers) < 2:
        return
    target = default_target(app)
    if target is None:
        app.console.note(f"No default model is set; without -m a chat needs one: telex models default {name}")
    elif target.provider.name != name:
        app.console.note(f"The default model is still {target}. To change it: telex models default {name}")


def follow(app: App) -> None:
    """Write the snapshot that shell completion reads anew, if the settings or the templates have changed since."""
    from provider_core.catalog import is_current, stamp, write_snapshot

    if is_current(app.paths):
        return
    made_from = stamp(app.paths)
    app.reload()  # the command may have changed what it had read
    try:
        from provider_core.templates import names

        there = names(app.paths.templates)
        servers = [*app.settings.mcp, *app.settings.wrong("mcp")]
        write_snapshot(app.paths, app.catalog, templates=there, servers=servers, made_from=made_from)
    except CoreError:
        return  # settings that do not load have been complained of, or will be
