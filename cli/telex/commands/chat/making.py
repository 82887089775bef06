"""Turn the options of ``telex chat`` into a prompt, its conversation, and the way to show the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core import limits
from provider_core.errors import InvalidInputError, ModelError
from provider_core.structs import Struct
from provider_core.types import ImagePart, Request
from telex.commands.chat.prompt import read_prompt
from telex.dialogue import Dialogue
from telex.options import require_utf8, with_network
from telex.render.renderer import RenderOptions

if TYPE_CHECKING:
    from provider_core.history import SavedConversation
    from provider_core.templates import Template
    from provider_core.types import Part, Target
    from telex.app import App
    from telex.commands.chat.asking import Options
    from telex.commands.chat.prompt import Prompt
    from telex.render.renderer import Format

__all__ = ["Question", "check_fit", "dialogue_for", "format_of", "question_of", "view_of"]


class Question(Struct):
    """One message to send, and its system message; ``title`` is the title of the conversation."""

    prompt: Prompt
    content: str | tuple[Part, ...]
    system: str | None
    title: str


def question_of(app: App, options: Options, template: Template | None) -> Question:
    """Read the whole prompt; raises ``click.UsageError`` and errors of the core."""
    prompt = read_prompt(
        app.console,
        options.prompt,
        no_stdin=options.no_stdin,
        files=options.files,
        images=options.images,
        enough=template is not None and bool(template.prompt),
        quiet=options.quiet,
    )
    content, system = prompt.content(), None
    if template is not None:
        from telex.commands.chat.templating import filled

        content, system = filled(template, options, prompt)
    if options.system is not None:
        system = require_utf8(options.system, "the system message")
    if prompt.sizes and not options.quiet:
        app.console.note(f"Attached: {', '.join(prompt.sizes)}")
    title = prompt.typed or (template.name if template is not None else "")
    return Question(prompt=prompt, content=content, system=system, title=title)


def dialogue_for(
    app: App,
    options: Options,
    template: Template | None = None,
    *,
    earlier: SavedConversation | None,
    title: str = "",
    model: str | None = None,
) -> Dialogue:
    """The conversation of this turn, ``earlier`` or a new one, with ``model`` or the named one."""
    named = model or (options.models[0] if options.models else None)
    try:
        target = app.target(named or (earlier.model if earlier else None), ask=not options.dry_run)
    except ModelError as error:
        if earlier is not None and named is None:
            error.explain("it was the conversation's last; -m names another")
        raise
    target = with_network(target, vars(options))
    recorder = None
    if app.runtime.settings.history and not options.no_save:
        from telex.chat.history_recorder import HistoryRecorder

        recorder = HistoryRecorder(app, conversation=earlier.id if earlier else None)
        recorder.title = title
        asked = {name: getattr(options, name) for name in ("max_tokens", "temperature", "reasoning_effort")}
        recorder.params = {name: value for name, value in asked.items() if value is not None} | dict(
            options.params
        )
    return Dialogue(
        app,
        target,
        _request(options, target, template),
        recorder=recorder,
        messages=app.runtime.history.messages(earlier.id) if earlier else (),
    )


def _held(options: Options, *, has_schema: bool) -> int | None:
    """How many characters of the answer have to be held, at most; None where it is passed on as it comes."""
    if has_schema or options.extract:
        return limits.ANSWER
    return limits.WHOLE_ANSWER if options.as_json else None


def _request(options: Options, target: Target, template: Template | None) -> Request:
    schema = None
    if options.schema is not None or (template is not None and template.schema is not None):
        from provider_core.structured import schema_from

        if options.schema is not None:
            schema = schema_from(options.schema)
        elif template is not None and template.schema is not None:
            schema = schema_from(template.schema, folder=template.path.parent)
    return Request(
        model=target.model,
        max_characters=_held(options, has_schema=schema is not None),
        messages=(),
        stream=options.stream,
        max_tokens=options.max_tokens,
        temperature=options.temperature,
        reasoning_effort=options.reasoning_effort,
        params=dict(options.params),
        schema=schema,
    )


def check_fit(app: App, target: Target, prompt: Prompt, request: Request) -> None:
    """Warn if the prompt may be too long for the model; raises ``InvalidInputError`` for images that it cannot read."""
    model = next(iter(app.runtime.catalog.listing(target.provider.name).find(target.model)), None)
    with_images = any(
        isinstance(part, ImagePart)
        for message in request.messages
        # Of images in results of tools, a model that reads none is only told.
        if message.role == "user" and not isinstance(message.content, str)
        for part in message.content
    )
    if with_images:
        from provider_core.attachments import check_vision

        try:
            check_vision(target, model)
        except InvalidInputError as error:
            if not prompt.images:
                error.explain("the conversation has some")
            raise
    # A token is a byte at least: only what may be too long is counted.
    length = sum(len(message.content) for message in request.messages) * 4 + (request.max_tokens or 0)
    if model is not None and model.context and (length > model.context or with_images):
        from provider_core.attachments import check_window

        warning = check_window(target, model, request.messages, request.max_tokens)
        if warning is not None:
            app.console.note(warning)


def format_of(options: Options) -> Format:
    """The format of the options, without the settings."""
    if options.as_json or options.as_jsonl:
        return "json" if options.as_json else "jsonl"
    return "extract" if options.extract else "text"


def view_of(app: App, options: Options) -> RenderOptions:
    """How to show the answer: from the options, or else the settings, or else the streams."""
    settings, console = app.runtime.settings, app.console
    wanted = "full" if options.usage else "none" if options.quiet else settings.usage
    if wanted == "auto":
        wanted = "short" if console.out_is_terminal and console.err_is_terminal else "none"
    return RenderOptions(
        format=format_of(options),
        markdown=(settings.markdown if options.markdown is None else options.markdown) and not options.schema,
        markdown_anywhere=options.markdown is True and not options.schema,
        reasoning=options.reasoning or ("hide" if options.quiet else settings.reasoning),
        usage=wanted,
        quiet=options.quiet,
        code_theme=settings.code_theme,
    )
