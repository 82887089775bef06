"""The models that an alias leads to, with the options of each: from the command line, templates, aliases and settings.

Imported only for a chat that has options from elsewhere than the command line, or several models to fall back to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from provider_core.chat import ChatPlan
from provider_core.chat.fallback import Fallback, Rests, context_of
from provider_core.errors import InvalidInputError
from provider_core.options import Layer, template_layer
from provider_core.resolve import Name, expand
from provider_core.structs import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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
    return (app.runtime.with_options(Name(name=str(target)), target, command_line(given, template)),)


def options_of_the_chat(found: Sequence[Candidate], *, continued: bool) -> dict[str, Any]:
    """The options of the whole chat, as the command line has them.

    A ``continued`` conversation keeps its system message unless the command line, a template or an alias has one.
    """
    chosen = first(found).options
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


def system_of_alias(found: Sequence[Candidate]) -> str | None:
    """The system message, if it is that of an alias."""
    chosen = first(found).options
    is_own = chosen.sources.get("system", "").startswith("alias ")
    return chosen.values["system"] if is_own else None


def check_several(found: Sequence[Candidate]) -> None:
    """Raise ``click.UsageError`` if one of several models is an alias with options for a single one."""
    values = first(found).options
    for name in ("template", "tools"):
        source = values.sources.get(name, "")
        if source.startswith("alias "):
            raise click.UsageError(
                f"the {source} has {name if name == 'tools' else 'a template'}, which works with one model only; "
                "use --model once"
            )


def first(found: Sequence[Candidate]) -> Candidate:
    """The first model that can be asked."""
    return next(each for each in found if each.target is not None)


def first_to_ask(app: App, found: Sequence[Candidate]) -> Target:
    """The model that will be asked first, to connect to its server."""
    targets = [each.target for each in found if each.target is not None]
    return Rests(app.runtime.paths.rests).first(targets) if len(targets) > 1 else targets[0]


def plan(
    app: App,
    found: Sequence[Candidate],
    chat_for: Callable[[Target, Mapping[str, Any]], ChatPlan],
    check: Callable[[ChatPlan], None],
) -> ChatPlan:
    """The chat with the first model that can be asked, and with the others as fallbacks.

    ``chat_for`` makes the chat with one model and its options; ``check`` raises ``InvalidInputError`` if the model
    cannot take it. Raises the error of the last model if none can be asked.
    """
    several = len(found) > 1
    chats: list[ChatPlan | Fallback] = []
    for each in found:
        if each.target is None:
            chats.append(Fallback(name=each.name, error=each.error))
            continue
        try:
            chat = chat_for(each.target, each.options.values)
            check(chat)
        except InvalidInputError as error:
            if not several or error.code not in ("no_vision", "no_audio", "no_pdf", "no_web_search"):
                raise
            chats.append(Fallback(name=str(each.target), error=error))
        else:
            chats.append(chat)
    chosen = next((each for each in chats if isinstance(each, ChatPlan)), None)
    if chosen is None:
        raise next(each.error for each in reversed(chats) if isinstance(each, Fallback) and each.error)
    if not several:
        return chosen
    at, fallbacks = chats.index(chosen), [_fallback(app, each) for each in chats]
    return replace(
        chosen,
        context=fallbacks[at].context,
        unusable=tuple(fallbacks[:at]),
        fallbacks=tuple(fallbacks[at + 1 :]),
    )


def _fallback(app: App, chat: ChatPlan | Fallback) -> Fallback:
    if isinstance(chat, Fallback):
        return chat
    return Fallback(
        name=str(chat.target),
        target=chat.target,
        request=replace(chat.request, messages=()),
        context=context_of(app.runtime, chat.target),
    )


def sources(
    app: App, given: Mapping[str, Any], template: Template | None, found: Sequence[Candidate], target: Target
) -> Mapping[str, str]:
    """Where each option of the request to ``target`` came from."""
    if not found:
        (only,) = candidate(app, given, template, target)
        return only.options.sources
    return next((each.options.sources for each in found if each.target == target), {})
