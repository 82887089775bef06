"""Where commands meet what is set up: a provider they are about to change, and the lists that a Tab completes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from provider_core.errors import CoreError, ModelError, UnknownProviderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provider_core.types import Model, Provider, Target
    from telex.app import App

__all__ = [
    "configured",
    "default_target",
    "in_the_file",
    "listed",
    "references",
    "save",
    "say_default",
    "spelled",
    "warn_references",
]


def spelled(app: App, name: str) -> str | None:
    """The name as the settings spell it, in any case, also where the provider is unusable; None if there is none."""
    known = (*app.runtime.settings.providers, *app.runtime.settings.invalid_entries("providers"))
    if name in known:
        return name
    return next((each for each in known if each.casefold() == name.casefold()), None)


def configured(app: App, name: str) -> Provider:
    """As ``App.provider``, for one that the settings are about to change or show: not the model inside telex."""
    from provider_core.local import PROVIDER

    if name == PROVIDER.name and name not in app.runtime.settings.providers:
        raise ModelError(f"{name} is the model inside telex: there is nothing to set up or change", name=name)
    found = app.runtime.provider(name)
    if found.name not in app.runtime.settings.providers:
        raise UnknownProviderError(f"the provider {name} is not set up", name=name, preset=True)
    return found


def in_the_file(app: App, name: str) -> None:
    """Raise ``UsageError`` for a provider that only TELEX_PROVIDERS has: a command cannot change that."""
    from provider_core.settings import edit

    if name not in edit.entries(app.runtime.paths.settings_file) and name in app.runtime.settings.providers:
        raise click.UsageError(f"{name} is set up by TELEX_PROVIDERS: change it there")


def default_target(app: App) -> Target | None:
    """The model that is used when none is named; None where there is none."""
    from provider_core.resolve import resolve

    try:
        return resolve(app.runtime.settings.model, app.runtime.catalog)
    except CoreError:
        return None


def save(app: App, provider: Provider, models: tuple[Model, ...]) -> None:
    """Save what the provider's server listed: the first chat need not ask for it again."""
    import time

    from provider_core.catalog import CachedModelList, invalidate_snapshot, write_cached

    write_cached(app.runtime.paths.lists, provider, CachedModelList.of(models, time.time()))
    invalidate_snapshot(app.runtime.paths)


def say_default(app: App, name: str) -> None:
    """Tell which model is used without -m, now that the provider ``name`` was added beside others."""
    app.runtime.reload()
    if len(app.runtime.settings.providers) < 2:
        return
    target = default_target(app)
    if target is None:
        app.console.note(f"No default model is set; without -m a chat needs one: telex models default {name}")
    elif target.provider.name != name:
        app.console.note(f"The default model is still {target}. To change it: telex models default {name}")


def references(app: App, provider: str, model: str = "") -> list[str]:
    """What names the provider, or a model of it: the default model, aliases and templates."""
    from provider_core.settings import edit, file
    from provider_core.templates import load, names

    found = list(edit.references(file.read(app.runtime.paths.settings_file), provider, model))
    for name in names(app.runtime.paths.templates):
        try:
            wanted = load(app.runtime.paths.templates, name).model
        except CoreError:
            continue
        if edit.points_at(wanted, provider, model):
            found.append(f"the template {name}")
    return found


def warn_references(app: App, provider: str, model: str = "", *, then: str) -> None:
    """Name what points at a provider or a model that cannot be used any more."""
    found = references(app, provider, model)
    if found:
        verb = "uses" if len(found) == 1 else "use"
        app.console.note(
            f"Warning: {listed(found)} {verb} {(model and f'{provider}/{model}') or provider}, {then}."
        )


def listed(references: Sequence[str]) -> str:
    """What ``references`` of the settings are called: "the default model and the alias fast"."""
    words = [
        "the default model" if each == "model" else each.replace("aliases.", "the alias ")
        for each in references
    ]
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
