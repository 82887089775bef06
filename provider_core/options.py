"""The options of a chat, merged from everything that sets some: the command line, templates, aliases, settings.

There is one order of precedence, for all options alike. Each value keeps its source, for ``telex models show`` and
``telex chat --dry-run``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from provider_core.request import sets_token_limit
from provider_core.structs import Struct, field, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from provider_core.errors import CoreError
    from provider_core.resolve import ModelName
    from provider_core.settings import Settings
    from provider_core.templates import Template
    from provider_core.types import Json, Target

_TABLES: Final = ("params", "headers")
"""Options that are tables: each of their fields is an option of its own."""

_EFFORT_FIELDS: Final = frozenset(
    ("reasoning_effort", "reasoning", "thinking", "enable_thinking", "think", "chat_template_kwargs")
)
"""Fields of a body that set how much a model reasons; presets have the one that each server takes."""


class Layer(Struct):
    """Options from one source. Those that are None are not set."""

    source: str
    """For people, such as "alias poet"."""
    values: Mapping[str, Json]


class MergedOptions(Struct):
    """Merged options. ``params`` and ``headers`` are tables; a missing option is set nowhere."""

    values: Mapping[str, Json] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    """Where each value came from; "params.top_k" is the name of a field of a table."""


class Candidate(Struct):
    """A model that a chat may ask, with the options for it; or why it cannot be asked."""

    name: str
    """As the user named it."""
    target: Target | None = None
    """With the headers, timeouts and retries of the options."""
    options: MergedOptions = MergedOptions()
    error: CoreError | None = None


def merge(layers: Iterable[Layer]) -> MergedOptions:
    """Take each option from the first of ``layers``, the strongest first, that sets it.

    A field of the request body is the same option as the one that telex sends in it: ``temperature`` overrides
    ``params.temperature`` of a weaker layer, and the other way round. Patterns of tools that run without approval
    belong to the tools of their layer: those of a weaker layer do not apply to other tools.
    """
    values: dict[str, Json] = {}
    sources: dict[str, str] = {}
    taken: set[str] = set()
    for layer in layers:
        own = set()
        for place, value in _places(layer.values):
            option = _option(place, value)
            if option in taken or (option == "allow" and "tools" in taken):
                continue
            own.add(option)
            sources[place] = layer.source
            _put(values, place, value)
        taken |= own
    return MergedOptions(values=values, sources=sources)


def _places(values: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    """Each option that is set, and each field of a table, with its name ("temperature", "params.top_k")."""
    for name, value in values.items():
        if name in _TABLES:
            yield from ((f"{name}.{key}", each) for key, each in value.items())
        elif value is not None and value != () and value != []:
            yield name, value


def _option(place: str, value: Json) -> str:
    """The name of the option that is set; that of a field of the body if there is one for it."""
    table, _, name = place.partition(".")
    if table == "headers":
        return place.lower()
    if table != "params":
        return place
    if name in _EFFORT_FIELDS:
        return "reasoning_effort"
    if sets_token_limit({name: value if value is not None else 1}):
        return "max_tokens"
    return name if name in ("temperature", "stream") else place


def layers_of(
    name: ModelName,
    target: Target,
    settings: Settings,
    given: Sequence[Layer],
    *,
    load_template: Callable[[str], Template],
) -> list[Layer]:
    """All layers of options for a model: those that are ``given``, of its aliases, and of the settings.

    Raises what ``load_template`` raises if the template of an alias cannot be used.
    """
    layers = [*given]
    has_template = any(layer.values.get("template") for layer in given)
    for alias in name.aliases:
        values = settings.aliases[alias].options
        layers.append(Layer(source=f"alias {alias}", values=values))
        if "template" in values and not has_template:
            has_template = True
            layers.append(template_layer(load_template(values["template"])))
    if settings.project is not None:
        layers.append(Layer(source="project", values=settings.project.options))
    provider = target.provider
    return [
        *layers,
        Layer(source=f"model {target}", values=provider.model_options.get(target.model, {})),
        Layer(source=f"provider {provider.name}", values=provider.options),
        *_layers_of_settings(settings),
    ]


def _layers_of_settings(settings: Settings) -> tuple[Layer, Layer]:
    """The options that are settings by themselves: those of variables, and the others. No option is in both."""
    made: dict[bool, dict[str, Json]] = {True: {}, False: {}}
    for place, value in _places(settings.chat_options):
        _put(made[settings.sources.get(place) == "variable"], place, value)
    return Layer(source="variable", values=made[True]), Layer(source="settings", values=made[False])


def _put(values: dict[str, Json], place: str, value: Json) -> None:
    table, _, name = place.partition(".")
    if name:
        values.setdefault(table, {})[name] = value
    else:
        values[place] = value


def template_layer(template: Template) -> Layer:
    """The options in a template. Its system message may have variables."""
    return Layer(
        source=f"template {template.name}",
        values={
            "system": template.system or None,
            "temperature": template.temperature,
            "max_tokens": template.max_tokens,
            "reasoning_effort": template.reasoning_effort,
            "web": template.web or None,
            "params": template.params,
        },
    )


def configured(target: Target, options: MergedOptions) -> Target:
    """The target with the headers, timeouts and retries of the options."""
    provider = target.provider
    if headers := options.values.get("headers"):
        names = {name.lower() for name in headers}
        kept = {name: value for name, value in provider.headers.items() if name.lower() not in names}
        provider = replace(provider, headers={**kept, **headers})
    network = provider.network.with_limits(options.values)
    if network is not provider.network:
        provider = replace(provider, network=network)
    return target if provider is target.provider else replace(target, provider=provider)
