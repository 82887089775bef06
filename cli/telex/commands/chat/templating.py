"""``--template``: what it says where the command line says nothing, and the prompt it makes of what was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from telex.options import require_utf8

if TYPE_CHECKING:
    from provider_core.templates import Template
    from provider_core.types import Json, Part
    from telex.app import App
    from telex.commands.chat.asking import Options
    from telex.commands.chat.prompt import Prompt

__all__ = ["applied", "filled", "is_asked_later", "system_of"]


def applied(app: App, options: Options) -> Template:
    """The template that was named; its fields become the options that were not given.

    Raises what ``templates.load`` raises.
    """
    from provider_core import templates

    template = templates.load(app.runtime.paths.templates, options.template or "")
    if template.model and not options.models:
        options.models = (template.model,)
    if options.temperature is None:
        options.temperature = template.temperature
    if options.max_tokens is None:
        options.max_tokens = template.max_tokens
    if options.reasoning_effort is None:
        options.reasoning_effort = template.reasoning_effort
    if template.schema is not None and options.schema is None:
        options.markdown = False  # JSON is not laid out
    told = options.as_json or options.as_jsonl or options.schema
    if template.schema is not None:  # an answer to a schema is all JSON, without a block
        if options.extract and options.schema is None:
            raise click.UsageError(f"--extract: the template {template.name} asks for a schema")
        told = True
    options.extract = options.extract or (template.extract and not told)
    own: list[tuple[str, Json]] = list(template.params.items())
    options.params = (*own, *options.params)
    return template


def is_asked_later(app: App, options: Options) -> bool:
    """Whether the template says who answers, and leaves it to a conversation what is asked."""
    from provider_core import templates

    template = templates.load(app.runtime.paths.templates, options.template or "")
    return not template.prompt and template.schema is None and not template.extract


def filled(template: Template, options: Options, prompt: Prompt) -> tuple[str | tuple[Part, ...], str | None]:
    """The content of the message, and the system message; raises ``click.UsageError`` where there is nothing to say."""
    from provider_core import templates

    made = templates.fill(template, stdin=prompt.piped, typed=prompt.typed, values=_values(options))
    if not (made.prompt.strip() or prompt.files or prompt.images):
        raise click.UsageError(f"the template {template.name} has no prompt of its own: type one behind it")
    return prompt.content(made.prompt), made.system or None


def system_of(template: Template, options: Options) -> str | None:
    """The system message of a conversation; what would go into its prompt is not there yet."""
    from provider_core import templates

    return templates.fill(template, values=_values(options)).system or None


def _values(options: Options) -> dict[str, str]:
    values = {}
    for each in options.variables:
        name, equals, value = require_utf8(each, "--var").partition("=")
        if not equals:
            raise click.UsageError(f"--var {each}: give it as NAME=VALUE")
        values[name.strip()] = value
    return values
