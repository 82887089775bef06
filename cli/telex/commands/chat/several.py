"""Several ``-m``: from the options to a request for each model, and from the answers to an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from provider_core.errors import ApiKeyError, CoreError
from provider_core.keys import resolve_each
from telex.ask import hint
from telex.commands.chat.making import check_fit, dialogue_for, format_of, question_of, view_of
from telex.exit_codes import ExitCode, Stop
from telex.render.renderer import render_failure
from telex.several import Asked, Several
from telex.signals import Interrupts, Terminated

if TYPE_CHECKING:
    from provider_core.templates import Template
    from telex.app import App
    from telex.commands.chat.asking import Options
    from telex.commands.chat.making import Question

__all__ = ["ask_several"]


def ask_several(app: App, options: Options) -> None:
    """Ask each model. Raises ``Stop`` with the worst exit code, and errors that concern all models."""
    several, template = _begun(app, options)
    try:
        with Interrupts():
            _check(options, template)
            question = question_of(app, options, template)
            asked = [_asked(app, options, template, question, name) for name in options.models]
            if options.dry_run:
                _dry_run(app, asked)
                return
            asked = _with_keys(app, asked)
    except (CoreError, click.UsageError, KeyboardInterrupt, Terminated) as stopped:
        render_failure(
            app.console, format_of(options), stopped, hint=hint(app, stopped), models=_shown(app, options)
        )
        raise
    code = several.ask(asked, verbose=options.verbose)
    if code is not ExitCode.OK:
        raise Stop(code)


def _begun(app: App, options: Options) -> tuple[Several, Template | None]:
    try:
        template = None
        if options.template is not None:
            from telex.commands.chat.templating import applied

            template = applied(app, options)
        return Several(app, view_of(app, options), _shown(app, options)), template
    except CoreError as error:
        render_failure(
            app.console, format_of(options), error, hint=hint(app, error), models=_shown(app, options)
        )
        raise


def _shown(app: App, options: Options) -> list[str]:
    """The names of the models for the screen: a key that was typed in the place of one is not repeated."""
    from telex import suggest

    return [suggest.without_keys(name, app.arguments) for name in options.models]


def _check(options: Options, template: Template | None) -> None:
    """Reject options that make sense only for one model."""
    schema = options.schema or (template is not None and template.schema is not None)
    for name, given in (
        ("--extract", options.extract),
        ("--schema", schema),
        ("--tools", options.tools),
        ("--continue", options.go_on),
        ("--conversation", options.conversation),
    ):
        if given:
            raise click.UsageError(f"{name} is for one model: give --model once")


def _asked(app: App, options: Options, template: Template | None, question: Question, name: str) -> Asked:
    """The request for this model. A failure does not affect the others."""
    target = request = None
    try:
        dialogue = dialogue_for(app, options, template, earlier=None, title=question.title, model=name)
        request = dialogue.next(question.content, system=question.system)
        target = dialogue.target
        check_fit(app, target, question.prompt, request)
    except CoreError as error:
        from telex import suggest

        error.message = suggest.without_keys(error.message, app.arguments)
        return Asked(target=target, request=request, error=error)
    return Asked(target=target, request=request, recorder=dialogue.recorder, new=request.messages)


def _dry_run(app: App, asked: list[Asked]) -> None:
    """Print a list of the requests; the first one that fails ends it."""
    from telex.render.dry import request_object

    found = []
    for each in asked:
        if each.error is not None:
            raise each.error
        if each.target is not None and each.request is not None:
            found.append(request_object(app, each.target, each.request))
    app.console.json(found)


def _with_keys(app: App, asked: list[Asked]) -> list[Asked]:
    """Each request with its key. Keys are looked up one by one, because commands and keyrings may prompt."""
    from dataclasses import replace

    providers = {
        each.target.provider.name: each.target.provider for each in asked if each.target and not each.error
    }
    found = resolve_each(providers.values(), environ=app.runtime.environ, store=app.runtime.key_store)
    ready = []
    for each in asked:
        if each.target is None or each.error is not None:
            ready.append(each)
            continue
        provider = each.target.provider
        credentials = found[provider.name]
        error: CoreError | None = None
        if isinstance(credentials, ApiKeyError):
            ready.append(replace(each, error=credentials))
            continue
        if provider.embedded and provider.gguf is None:
            # Fetched before anything is shown: it takes long, and says how far it is.
            try:
                app.runtime.default_model()
            except CoreError as failure:
                failure.provider = provider.name
                error = failure
        ready.append(replace(each, credentials=credentials, error=error))
    return ready
