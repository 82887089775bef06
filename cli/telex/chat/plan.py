"""The plan of a chat: the prompt, the models it is sent to, and how their answers are shown and saved.

Here, options, template, settings and the conversation to continue are put together. Nothing later reads the options.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from provider_core import limits
from provider_core.chat import ChatPlan
from provider_core.errors import CoreError, InvalidInputError, ModelError
from provider_core.events import append_messages
from provider_core.options import Candidate, MergedOptions
from provider_core.types import Message, Request, TextPart
from telex.chat import HistoryRecorder, ModelPlan, Plan
from telex.chat.input import Attaching, fill_template, read_prompt, report_attachments
from telex.options import require_utf8, with_network
from telex.render import RenderOptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from provider_core.history import SavedConversation
    from provider_core.templates import Template
    from provider_core.types import Json, Part, Target
    from telex.app import App
    from telex.chat import Options
    from telex.chat.input import Prompt

_LONG_AGO = 3600
"""Age in seconds from which the note of ``-c`` says how old the conversation is."""
_TOGETHER = 5
"""Seconds within which the conversations of one command with several models begin."""
_SMALLEST_WINDOW = 1000
"""Tokens that every model can read."""
_OWN_FIELDS = {"messages": "use the argument PROMPT", "model": "use --model"}
"""A field of the request that telex sets -> how to set it, as -p cannot."""


def check(options: Options) -> None:
    """Raise ``click.UsageError`` for options that contradict each other or lack another one."""
    for name, text in (("--conversation", options.conversation), ("--schema", options.schema)):
        if text is not None and not text.strip():
            raise click.UsageError(f"{name} is empty")
    if options.schema and options.extract:
        raise click.UsageError("--schema and --extract cannot be used together")
    if options.go_on and options.conversation:
        raise click.UsageError("--continue and --conversation cannot be used together")
    for name, _ in options.params:
        if instead := _OWN_FIELDS.get(name):
            raise click.UsageError(f"-p {name}: telex sets this field; {instead}")
    if options.params:
        from provider_core.request import sets_token_limit

        limits = [f"-p {name}" for name, value in options.params if sets_token_limit({name: value})]
        given = ["--max-tokens", *limits] if options.max_tokens is not None else limits
        if limits and len(set(given)) > 1:
            raise click.UsageError(f"{' and '.join(given)} set the same limit: use one of them")


def find_template(app: App, options: Options) -> Template | None:
    """The template of the command line, else that of the alias. It may set the model, and how the answer is shown."""
    name = options.template
    if name is None:
        continues = options.go_on or options.conversation is not None
        typed = options.models[0] if options.models else None if continues else app.runtime.settings.model
        aliases = app.runtime.settings.aliases
        has_templates = any("template" in alias.options for alias in aliases.values())
        if has_templates and typed is not None and len(options.models) < 2:
            from telex.chat.candidates import template_of_alias

            name = template_of_alias(app, typed)
    if name is None:
        return None
    template = app.runtime.template(name)
    if options.template is not None and template.model and not options.models:
        options.models = (template.model,)
    if template.schema is None:
        chosen = options.as_json or options.as_jsonl or options.schema
        options.extract = options.extract or (template.extract and not chosen)
    elif options.schema is None:
        if options.extract:
            raise click.UsageError(f"--extract: the template {template.name} asks for a schema")
        options.markdown = False
    return template


def is_interactive(app: App, options: Options, template: Template | None) -> bool:
    """Whether there is no prompt yet, and a terminal to type one on."""
    given = options.prompt or options.no_stdin or options.copy or "-" in (*options.files, *options.images)
    formatted = options.as_json or options.as_jsonl or options.extract or options.schema
    one_off = options.output or options.dry_run or len(options.models) > 1
    if given or formatted or one_off or not (app.console.out_is_terminal and app.console.stdin_is_terminal()):
        return False
    return template is None or not (template.prompt or template.schema is not None or template.extract)


def make_plan(app: App, options: Options, template: Template | None, *, interactive: bool = False) -> Plan:
    """Find models and conversation, then read the prompt: an unknown model is reported before stdin has ended.

    In an ``interactive`` chat there is no prompt yet. Raises ``click.UsageError`` and errors of the core.
    """
    settings, several = app.runtime.settings, len(options.models) > 1
    has_budget = bool(settings.budget or "budget" in settings.problems)
    if has_budget:
        _ = app.runtime.budget  # an invalid one is reported before stdin is read
    save_images = None
    if options.save_images is not None:
        from telex.chat.output_file import image_folder

        save_images = image_folder(options.save_images)
    schema = _schema(options, template) if options.schema or template is not None else None
    if several:
        _check_several(options, schema)
    earlier = _find_conversation(app, options, quiet=interactive or options.quiet)
    found = _find_models(app, options, template, earlier)
    if not (several or interactive or options.dry_run):
        targets = [each.target for each in found[0] if each.target is not None]
        if len(targets) > 1:
            from provider_core.chat.fallback import Rests

            targets = [Rests(app.runtime.paths.rests).first(targets)]
        app.runtime.connect_ahead(targets[0])
    prompt = read_prompt(
        app.console,
        () if interactive else options.prompt,
        attaching=lambda: Attaching.to(
            app,
            [one.target for each in found for one in each if one.target is not None],
            limit=options.attach_limit,
            quiet=options.quiet,
        ),
        no_stdin=interactive or options.no_stdin,
        files=options.files,
        images=options.images,
        pasted=options.paste,
        template=template,
        may_be_empty=interactive,
        quiet=options.quiet,
    )
    content, system = prompt.content(), None
    if template is not None:
        filled = fill_template(template, options.variables, prompt, may_be_empty=interactive)
        content, system = prompt.content(filled.prompt), filled.system or None
    if options.system is not None:
        system = require_utf8(options.system, "the system message")
    if (prompt.files or prompt.parts) and not (interactive or options.quiet):
        report_attachments(app.console, prompt)
    messages = app.runtime.history.messages(earlier.id) if earlier is not None else ()
    models = []
    for name, each in zip(options.models if several else [""], found, strict=True):
        shown = _without_keys(app, name) if several else ""
        chosen = next((one for one in each if one.target is not None), None)
        if chosen is None:
            models.append(ModelPlan(name=shown, error=each[-1].error))
            continue
        own_system = None
        if several and chosen.options.sources:
            from telex.chat.candidates import options_of_the_chat

            own_system = options_of_the_chat(each, continued=False).get("system")
        new = () if interactive else new_messages(content, own_system or system)
        asked = append_messages(messages, new)
        chat = error = None
        try:
            chat = _plan_chat(app, options, each, asked, new, schema, prompt=None if interactive else prompt)
        except CoreError as unfit:
            if not several:
                raise
            error = unfit
        recorder = _recorder(app, options, template, chosen, earlier, title=prompt.typed)
        models.append(ModelPlan(name=shown, chat=chat, recorder=recorder, error=error, candidates=each))
    return Plan(
        models=tuple(models),
        prompt=prompt,
        system=system,
        earlier=earlier,
        render=render_options(app, options),
        options=options,
        template=template,
        limits_costs=has_budget
        or any(each.chat is not None and each.chat.max_cost is not None for each in models),
        save_images=save_images,
    )


def _find_conversation(app: App, options: Options, *, quiet: bool) -> SavedConversation | None:
    """The conversation to continue, if there is to be one. Raises ``click.UsageError`` if none is saved."""
    if not options.go_on and options.conversation is None:
        return None
    history = app.runtime.history
    earlier = history.latest() if options.conversation is None else history.find(options.conversation)
    if earlier is None:
        raise click.UsageError("no conversation to continue")
    if options.go_on and not quiet:
        _note_continued(app, earlier)
    return earlier


def _find_models(
    app: App, options: Options, template: Template | None, earlier: SavedConversation | None
) -> list[tuple[Candidate, ...]]:
    """The models that each ``--model`` leads to. Options of a single alias for the whole chat go to ``options``."""
    several = len(options.models) > 1
    found = [_find(app, options, template, name, earlier) for name in options.models or (None,)]
    for each in found:
        alone = each[0] if len(each) == 1 and not several else None
        if alone is not None and alone.target is not None and alone.options.values.get("web"):
            check_web_search(app, alone.target)  # before stdin is read
        if any(one.options.sources for one in each):
            from telex.chat import candidates

            if several:
                candidates.check_several(each)
            else:
                vars(options).update(candidates.options_of_the_chat(each, continued=earlier is not None))
    for name, wanted in (("--allow", options.allow), ("--tool-choice", options.tool_choice)):
        if wanted and not options.tools:
            raise click.UsageError(f"{name} requires --tools")
    return found


def _recorder(
    app: App,
    options: Options,
    template: Template | None,
    model: Candidate,
    earlier: SavedConversation | None,
    *,
    title: str,
) -> HistoryRecorder | None:
    """The recorder of the chat with a model; None if the chat is neither saved nor counted."""
    settings, values, name = app.runtime.settings, model.options.values, template.name if template else None
    saves = settings.history and not options.no_save
    if not (saves or settings.ledger):
        return None
    fields = {each: values.get(each) for each in ("max_tokens", "temperature", "reasoning_effort")}
    return HistoryRecorder(
        app.runtime,
        conversation=earlier.id if earlier is not None and saves else None,
        saves=saves,
        title=title or name or "",
        params={each: value for each, value in fields.items() if value is not None}
        | dict(values.get("params", ())),
        template=name,
    )


def new_messages(content: str | tuple[Part, ...], system: str | None) -> tuple[Message, ...]:
    """The messages of a new turn."""
    first = (Message(role="system", content=system),) if system is not None else ()
    return (*first, Message(role="user", content=content))


def check_fit(app: App, chat: ChatPlan, prompt: Prompt) -> None:
    """Warn if the prompt may be too long for the model; raises ``InvalidInputError`` for parts that it cannot read."""
    target, request = chat.target, chat.request
    parts = [
        part
        for message in request.messages
        # A model that reads no images is only informed that there were some in the results of tools.
        if message.role == "user" and not isinstance(message.content, str)
        for part in message.content
        if not isinstance(part, TextPart)
    ]
    # Tokens are counted only if there may be too many; each has at least a byte.
    length = sum(len(message.content) for message in request.messages) * 4 + (request.max_tokens or 0)
    if length < _SMALLEST_WINDOW and not parts:
        return
    model = next(iter(app.runtime.catalog.listing(target.provider.name).find(target.model)), None)
    if parts:
        from provider_core.attachments import check_parts

        try:
            check_parts(target, model, parts)
        except InvalidInputError as error:
            if not prompt.parts:
                error.explain("the conversation has some")
            raise
    if model is not None and model.context and (length > model.context or parts):
        from provider_core.attachments import check_window

        warning = check_window(target, model, request.messages, request.max_tokens)
        if warning is not None:
            app.console.note(warning)


def _check_several(options: Options, schema: object) -> None:
    for name, given in (
        ("--extract", options.extract),
        ("--schema", schema is not None),
        ("--tools", options.tools),
        ("--copy", options.copy),
        ("--continue", options.go_on),
        ("--conversation", options.conversation),
    ):
        if given:
            raise click.UsageError(f"{name} works with one model only; use --model once")


def _schema(options: Options, template: Template | None) -> Mapping[str, Json] | None:
    source: str | Mapping[str, Json] | None = options.schema
    folder = None
    if source is None and template is not None and template.schema is not None:
        source, folder = template.schema, template.path.parent
    if source is None:
        return None
    from provider_core.structured import schema_from

    return schema_from(source, folder=folder)


def _note_continued(app: App, earlier: SavedConversation) -> None:
    """Print which conversation ``-c`` continues if that is not obvious: it is old, unanswered, or one of several."""
    history, console = app.runtime.history, app.console
    last = history.turns(earlier.id)[-1]
    others = [each for each in history.conversations(8) if each.id != earlier.id]
    named = f"“{earlier.title}” ({earlier.id})"
    if not last.answered and any(message.role == "user" for message in last.messages):
        again = "is sent again" if last.resend else "is not sent again, since the server refused it"
        console.note(f"Continuing {named}. Its last prompt got no answer and {again}.")
    elif any(each.title == earlier.title and abs(each.begun - earlier.begun) < _TOGETHER for each in others):
        console.note(f"Continuing {named} with {earlier.model}.")
    elif (seconds := time.time() - earlier.updated) > _LONG_AGO:
        from telex.humanize import age

        console.note(f"Continuing {named}, last used {age(seconds)} ago.")


def _find(
    app: App, options: Options, template: Template | None, name: str | None, earlier: SavedConversation | None
) -> tuple[Candidate, ...]:
    """The model, or the models of an alias, with their options; or for one of several the error that it has none.

    The options of most models are those of the command line; then nothing is merged, and they have no sources.
    """
    settings = app.runtime.settings
    wanted = name or (earlier.model if earlier else None)
    typed = wanted or settings.model
    try:
        alias = settings.aliases.get(typed.strip()) if typed is not None else None
        # One that is only another name for a model needs nothing more.
        if alias is not None and (alias.options or alias.targets[1:] or alias.targets[0] in settings.aliases):
            from telex.chat.candidates import candidates

            return candidates(app, vars(options), template, wanted)
        target = app.target(wanted, ask=not options.dry_run)
    except CoreError as error:
        if len(options.models) > 1:
            error.message = _without_keys(app, error.message)
            return (Candidate(name=name or "", error=error),)
        if isinstance(error, ModelError) and earlier is not None and name is None:
            error.explain("the conversation's last model; use -m to choose another")
        raise
    provider = target.provider
    own_options = provider.options or provider.model_options or settings.project or settings.chat_options
    if own_options or options.template is not None or options.dry_run:
        from telex.chat.candidates import candidate

        return candidate(app, vars(options), template, target)
    if (options.connect_timeout, options.timeout, options.retries) != (None, None, None):
        target = with_network(target, vars(options))
    return (Candidate(name=str(target), target=target, options=MergedOptions(values=vars(options))),)


def _plan_chat(
    app: App,
    options: Options,
    found: Sequence[Candidate],
    messages: tuple[Message, ...],
    new: tuple[Message, ...],
    schema: Mapping[str, Json] | None,
    *,
    prompt: Prompt | None,
) -> ChatPlan:
    """The chat with the first model that can be asked, and with the others as fallbacks.

    ``prompt`` has to fit: raises ``InvalidInputError`` if a model cannot read it.
    """
    if len(found) > 1:
        from provider_core.chat.conversation import with_fallbacks

        return with_fallbacks(
            app.runtime,
            found,
            lambda each: _plan_chat(app, options, (each,), messages, new, schema, prompt=prompt),
        )
    (only,) = found
    if only.target is None:
        raise only.error or AssertionError
    target, get = only.target, only.options.values.get
    may_have_results = bool(options.tools or options.go_on or options.conversation)
    # The number of characters that have to be held in memory.
    held = limits.WHOLE_ANSWER if options.as_json else None
    if schema is not None or options.extract:
        held = limits.ANSWER
    if get("max_cost") is not None:
        from decimal import Decimal
    if get("web"):
        check_web_search(app, target)
    chat = ChatPlan(
        target=target,
        request=Request(
            model=target.model,
            messages=messages,
            stream=get("stream") is not False,
            max_tokens=get("max_tokens"),
            temperature=get("temperature"),
            reasoning_effort=get("reasoning_effort"),
            web=bool(get("web")),
            tool_choice=options.tool_choice,
            max_characters=held,
            schema=schema,
            reads_images=may_have_results
            and reads_images(app, target, messages, has_tools=bool(options.tools)),
            params=dict(get("params", ())),
        ),
        new_messages=new,
        schema_retries=options.schema_retries if schema is not None else None,
        max_turns=options.max_turns,
        continuations=limits.CONTINUATIONS if options.whole else 0,
        max_cost=None if (limit := get("max_cost")) is None else Decimal(str(limit)),
    )
    if prompt is not None:
        check_fit(app, chat, prompt)
    return chat


def with_model(app: App, plan: Plan, chat: ChatPlan, name: str | None) -> tuple[ChatPlan, str | None]:
    """The chat with another model, its options and fallbacks; and the system message of an alias."""
    found = _find(app, plan.options, plan.template, name, None)
    made = _plan_chat(app, plan.options, found, chat.request.messages, (), None, prompt=None)
    chosen = next(each.options for each in found if each.target is not None)
    of_alias = chosen.sources.get("system", "").startswith("alias ")
    return made, chosen.values["system"] if of_alias else None


def check_web_search(app: App, target: Target) -> None:
    """Raise ``InvalidInputError``, with providers that can, if telex cannot make this one search the web."""
    from provider_core.request import find_web_search

    try:
        find_web_search(target.provider, target.model)
    except InvalidInputError as error:
        able = [
            provider.name
            for provider in app.runtime.catalog.usable
            if provider.quirks.web_search and provider.name != target.provider.name
        ]
        if able:
            error.message += f". Providers that are set up and have one: {', '.join(able)}"
        raise


def _without_keys(app: App, text: str) -> str:
    """The text without a key that was typed as an argument."""
    from telex import suggest

    return suggest.without_keys(text, app.arguments)


def reads_images(app: App, target: Target, messages: Sequence[Message], *, has_tools: bool) -> bool:
    """Whether the model is known to read images; looked up only if there may be images in results of tools."""
    needed = has_tools or any(message.role == "tool" for message in messages)
    return needed and app.runtime.catalog.reads_images(target)


def render_options(app: App, options: Options) -> RenderOptions:
    """How to show the answer: from the options, else from the settings, else as the streams suggest."""
    settings, console = app.runtime.settings, app.console
    usage = "full" if options.usage else "none" if options.quiet else settings.usage
    if usage == "auto":
        usage = "short" if console.out_is_terminal and console.err_is_terminal else "none"
    return RenderOptions(
        format=options.format,
        markdown=(settings.markdown if options.markdown is None else options.markdown) and not options.schema,
        markdown_anywhere=options.markdown is True and not options.schema,
        reasoning=options.reasoning or ("hide" if options.quiet else settings.reasoning),
        usage=usage,
        quiet=options.quiet,
        shows_cost=usage != "none" or options.as_json or options.as_jsonl,
        code_theme=settings.code_theme,
    )
