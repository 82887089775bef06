"""The models that an alias leads to, with the options of each: from the command line, templates, aliases and settings.

Imported only for a chat that has options from elsewhere than the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from provider_core.options import Layer, template_layer
from provider_core.resolve import ModelName, expand

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from provider_core.options import Candidate
    from provider_core.templates import Template
    from provider_core.types import Target
    from telex.app import App

_OPTIONS = (
    "system", "template", "temperature", "max_tokens", "reasoning_effort", "stream", "web", "tools", "allow",
    "connect_timeout", "timeout", "retries", "max_cost",
)  # fmt: skip
"""The options of ``telex chat`` that other layers may set too, besides ``params``."""

_OF_THE_CHAT = ("system", "tools", "allow", "max_cost")
"""Options of a whole chat: those of the first model that can be asked count for all of them."""


def template_of_alias(app: App, typed: str) -> str | None:
    """The template of the alias ``typed``, if it is one and has one."""
    settings = app.runtime.settings
    if typed.strip() not in settings.aliases:
        return None
    found = (settings.aliases[name].options for name in expand(typed, settings.aliases)[0].aliases)
    return next((values["template"] for values in found if "template" in values), None)


def command_line(given: Mapping[str, Any], template: Template | None) -> list[Layer]:
    """The options of the command line, and those of the template that it names."""
    values = {name: given.get(name) for name in _OPTIONS}
    layers = [Layer(source="command line", values={**values, "params": dict(given["params"])})]
    if given["template"] is not None and template is not None:
        layers.append(template_layer(template))
    return layers


def candidates(
    app: App, given: Mapping[str, Any], template: Template | None, name: str | None
) -> tuple[Candidate, ...]:
    """The models that the alias ``name`` leads to; None is the default model."""
    app.report_project()
    return app.runtime.candidates(name, command_line(given, template), ask=not given["dry_run"])


def candidate(
    app: App, given: Mapping[str, Any], template: Template | None, target: Target
) -> tuple[Candidate]:
    """The model with the options for it."""
    return (app.runtime.with_options(ModelName(name=str(target)), target, command_line(given, template)),)


def options_of_the_chat(found: Sequence[Candidate], *, continued: bool) -> dict[str, Any]:
    """The options of the whole chat, as the command line has them.

    A ``continued`` conversation keeps its system message unless the command line, a template or an alias has one.
    """
    chosen = next(each.options for each in found if each.target is not None)
    options: dict[str, Any] = {}
    for name in _OF_THE_CHAT:
        value = chosen.values.get(name)
        if value is None:
            continue
        source = chosen.sources[name].partition(" ")[0]
        if name == "system" and (source == "template" or (continued and source not in ("command", "alias"))):
            continue  # that of a template is filled in with its variables
        options[name] = tuple(value) if isinstance(value, list) else value
    options["allow_of_alias"] = chosen.sources.get("allow", "").startswith("alias ")
    return options


def check_several(found: Sequence[Candidate]) -> None:
    """Raise ``click.UsageError`` if one of several models is an alias with options for a single one."""
    values = next(each.options for each in found if each.target is not None)
    for name in ("template", "tools"):
        source = values.sources.get(name, "")
        if source.startswith("alias "):
            raise click.UsageError(
                f"the {source} has {name if name == 'tools' else 'a template'}, which works with one model only; "
                "use --model once"
            )
