"""Functions of several commands about providers: find one, name what refers to it, and note the default."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from provider_core.errors import CoreError, ModelError, UnknownProviderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provider_core.types import Model, Provider, Target
    from telex.app import App


def find_provider_name(app: App, name: str) -> str | None:
    """The spelling of a provider's name in the settings, where case is ignored; None if there is no such provider.

    A provider with invalid settings is found, too.
    """
    known = (*app.runtime.settings.providers, *app.runtime.settings.invalid_entries("providers"))
    if name in known:
        return name
    return next((each for each in known if each.casefold() == name.casefold()), None)


def configured_provider(app: App, name: str) -> Provider:
    """As ``Runtime.provider``, but raises ``ModelError`` for providers that are not in the settings."""
    from provider_core.local import PROVIDER

    if name == PROVIDER.name and name not in app.runtime.settings.providers:
        raise ModelError(f"{name} is built in; it has no provider settings", name=name)
    found = app.runtime.provider(name)
    if found.name not in app.runtime.settings.providers:
        raise UnknownProviderError(f"unknown provider: {name}", name=name, preset=True)
    return found


def require_in_file(app: App, name: str) -> None:
    """Raise ``UsageError`` for a provider that is set up by TELEX_PROVIDERS, which no command can change."""
    from provider_core.settings import edit

    if name not in edit.entries(app.runtime.paths.settings_file) and name in app.runtime.settings.providers:
        raise click.UsageError(f"{name} is set up by TELEX_PROVIDERS: change it there")


def default_target(app: App) -> Target | None:
    """The model that is used without -m; None if there is none."""
    from provider_core.resolve import resolve

    try:
        return resolve(app.runtime.settings.model, app.runtime.catalog)
    except CoreError:
        return None


def save_model_list(app: App, provider: Provider, models: tuple[Model, ...]) -> None:
    """Cache the models that the provider's server listed, so that the first chat does not request them again."""
    from provider_core.catalog import CachedModelList, invalidate_snapshot, write_cached

    write_cached(app.runtime.paths.lists, provider, CachedModelList.of(models, time.time()))
    invalidate_snapshot(app.runtime.paths)


def note_default(app: App, name: str) -> None:
    """Print which model is the default, after a provider was added that is not the only one."""
    app.runtime.reload()
    if len(app.runtime.settings.providers) < 2:
        return
    target = default_target(app)
    if target is None:
        app.console.note(f"To use {name} without -m: telex models default {name}")
    elif target.provider.name != name:
        app.console.note(f"The default model is still {target}. To change it: telex models default {name}")


def warn_references(app: App, provider: str, model: str = "", *, then: str) -> None:
    """Warn if the default model, an alias or a template names a provider or model that becomes unusable.

    ``then`` completes the sentence: "which is disabled now".
    """
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
    if found:
        verb = "uses" if len(found) == 1 else "use"
        what = f"{provider}/{model}" if model else provider
        app.console.note(f"Warning: {describe_references(found)} {verb} {what}, {then}.")


def describe_references(references: Sequence[str]) -> str:
    """Names of settings in words, such as "the default model and the alias fast"."""
    words = [
        "the default model"
        if each == "model"
        else each.replace("aliases.", "the alias ").replace("profiles.", "the profile ")
        for each in references
    ]
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
