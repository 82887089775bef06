"""Runs a planned chat: its events go to the history and to the renderer, its outcome becomes the exit code."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

import click

from provider_core.chat import ChatRun
from provider_core.errors import CoreError
from provider_core.events import AnswerEnded, ChatEnded
from provider_core.types import Sent, Verdict
from telex.chat import report_limits
from telex.chat.plan import check, find_template, is_interactive, make_plan
from telex.console import OutputClosed, OutputError
from telex.exit_codes import ExitCode, Interrupts, Stop, Terminated, internal_error
from telex.render import ChatFailed, Paused, StatusLine
from telex.render.text import renderer_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import Any, TypeAlias

    from provider_core.chat import ChatPlan
    from provider_core.client import OpenProvider
    from provider_core.events import Answer, Event
    from provider_core.options import Candidate
    from provider_core.types import Image, Message, Provider, Request, Target
    from telex.app import App
    from telex.chat import HistoryRecorder, Options, Plan
    from telex.chat.tools import ToolServers
    from telex.render import CommandEvent, Renderer

    OpensProvider: TypeAlias = Callable[[Target], AbstractContextManager[OpenProvider]]


def run(app: App, options: Options) -> Plan | None:
    """Run ``telex chat``. Raises ``Stop`` with the exit code of an answer, and errors of the core.

    Without a prompt, returns the plan of an interactive conversation.
    """
    formats = {"--json": options.as_json, "--jsonl": options.as_jsonl, "--extract": options.extract}
    given = [name for name, chosen in formats.items() if chosen]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} cannot be used together")
    tools = template = None
    with Interrupts() as interrupts, contextlib.ExitStack() as stack:
        try:
            check(options)
            if options.template is not None or app.runtime.settings.aliases:
                template = find_template(app, options)
            if options.variables and template is None:
                raise click.UsageError("--var requires --template")
            if is_interactive(app, options, template):
                return make_plan(app, options, template, interactive=True)
            if options.output is not None:
                from telex.chat.output_file import output_to

                stack.enter_context(output_to(app.console, options.output))
            plan = make_plan(app, options, template)
            if plan.options.tools:
                from telex.chat.tools import ToolServers

                tools = stack.enter_context(
                    ToolServers(
                        app,
                        plan.options.tools,
                        allow=plan.options.allow,
                        of_alias=plan.options.allow_of_alias,
                    )
                )
            if plan.options.dry_run:
                _dry_run(app, plan, tools)
                return None
            model = plan.models[0]
            open_provider = _with_keys(app, plan) if len(plan.models) > 1 else None
        except (CoreError, click.ClickException, KeyboardInterrupt, Terminated) as error:
            _render_failure(app, options, error)
            raise
        if open_provider is not None:
            _ask_several(app, plan, open_provider, interrupts)
        elif model.chat is not None:
            renderer = renderer_for(app.console, plan.render, explain=app.hint)
            turn = Turn(app, plan, model.chat, renderer, recorder=model.recorder, tools=tools)
            # In a pipe, an answer often only has to be printed and saved.
            turn.keeps_text = (
                app.console.out_is_terminal
                or plan.render.format != "text"
                or plan.render.markdown_anywhere
                or plan.options.copy
                or tools is not None
                or model.chat.schema_retries is not None
                or model.chat.continues
                or bool(model.chat.continuations or model.chat.fallbacks or model.chat.unusable)
            )
            answer = turn.run(interrupts)
            report_outcome(app, answer, had_tools=tools is not None)
            if plan.options.copy:
                _copy(app, plan, answer)
    return None


def _copy(app: App, plan: Plan, answer: Answer) -> None:
    """Copy the text that was printed for the answer; raises ``ClipboardError``."""
    from telex.clipboard import copy

    text = answer.text
    if plan.render.format == "extract":
        from telex.render.extract import first_block

        text = first_block(text) or text
    if not text:
        app.console.note("The answer has no text to copy.")
        return
    sentence = copy(app.console, text)
    if not plan.options.quiet:
        app.console.note(sentence)


class Turn:
    """One chat turn with one model. ``messages`` is the conversation after it; None if no answer came."""

    def __init__(
        self,
        app: App,
        plan: Plan,
        chat: ChatPlan,
        renderer: Renderer,
        *,
        recorder: HistoryRecorder | None = None,
        tools: ToolServers | None = None,
        open_provider: OpensProvider | None = None,
    ) -> None:
        self._app = app
        self._plan = plan
        self._chat = chat
        self._renderer = renderer
        self._recorder = recorder
        self._tools = tools
        self._open_provider = open_provider or app.runtime.open_provider
        self.messages: tuple[Message, ...] | None = None
        self.keeps_text = True
        """Whether the whole text of a long answer is needed in memory, for something besides the history."""
        if recorder is not None:
            recorder.report = partial(_report, renderer.handle)

    def run(self, interrupts: Interrupts) -> Answer:
        """Run the turn to its end; the answer is saved. Raises errors of the core, and what stops it from outside."""
        held, recorder, render = interrupts.held, self._recorder, self._renderer.handle
        chat_run: ChatRun
        with contextlib.ExitStack() as stack:
            options: Any = {}
            if not self.keeps_text:
                options["spill"] = _drop_piece if recorder is None else recorder.save_piece
            if self._plan.limits_costs and not self._plan.options.quiet:
                report = partial(_report, render)
                report_limits(self._app, [self._chat.target], self._chat.max_cost, report)
            if self._tools is not None:
                from telex.chat.tools import Approver, TerminalPrompt

                prompt = stack.enter_context(TerminalPrompt(self._app.console))
                approver = Approver(self._app, prompt, self._tools.policy, pause=lambda: render(Paused()))
                options |= {
                    "toolboxes": self._tools.toolboxes,
                    "approve": approver.approve,
                    "on_limit": lambda turns: approver.more_turns(chat_run.target, turns),
                }

            def notify(event: Event) -> None:
                with held:
                    _handle(event, recorder, render)
                if type(event) is Sent:
                    _prepare_price(self._app, self._plan, chat_run.target)

            chat_run = _chat_run(
                self._app,
                self._plan,
                self._chat,
                self._open_provider,
                render,
                notify=notify,
                hold=held,
                **options,
            )
            before = chat_run.messages
            try:
                for event in chat_run:
                    _handle(event, recorder, render)
            except BaseException as error:
                with held:
                    events = chat_run.end(_failure(error), unwritten=self._app.console.unwritten)
                for event in events:
                    _handle_last(event, recorder, render, held)
                raise
            finally:
                self.messages = chat_run.messages if chat_run.messages is not before else None
            return chat_run.answer


def _drop_piece(at: int, text: str) -> None:
    """Save no piece of a long answer."""


def _handle(event: Event, recorder: HistoryRecorder | None, render: Callable[[Event], None]) -> None:
    """Show an event, and save it; the end of an answer is saved first, because showing it may fail."""
    if recorder is None:
        render(event)
    elif type(event) is AnswerEnded:
        recorder.handle(event)
        render(event)
    else:
        render(event)
        recorder.handle(event)


def _prepare_price(app: App, plan: Plan, target: Target) -> None:
    """While the server works, begin to import what the price of its answer needs, if that is used."""
    if plan.render.shows_cost or plan.limits_costs:
        app.runtime.prices.prepare(target)


def _chat_run(
    app: App,
    plan: Plan,
    chat: ChatPlan,
    open_provider: OpensProvider,
    handle: Callable[[CommandEvent], None],
    *,
    name: str = "",
    **options: Any,
) -> ChatRun:
    """A run whose log and problems with images are status lines; ``name`` is the model's among several."""

    def log(mark: str, words: str) -> None:
        if mark != "<<" or plan.options.verbose > 1:
            handle(StatusLine(text=f"{mark[:1]} {name and f'{name}: '}{words}"))

    def save_image(image: Image) -> Image:
        from provider_core.structs import replace
        from telex.chat.output_file import save_image as save

        folder = plan.save_images
        try:
            return image if folder is None else replace(image, file=save(image, folder))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            handle(StatusLine(text=f"An image cannot be saved in {folder}: {reason}"))
            return image

    if chat.fallbacks:
        from provider_core.chat.fallback import Rests

        options["rests"] = Rests(app.runtime.paths.rests)
    budget = app.runtime.budget if plan.limits_costs else None
    return ChatRun(
        chat,
        open_provider,
        log=log if plan.options.verbose else None,
        save_image=save_image if plan.save_images is not None else None,
        price=app.runtime.price if plan.render.shows_cost or plan.limits_costs else None,
        check_budget=budget.check if budget is not None else None,
        **options,
    )


def _report(handle: Callable[[CommandEvent], None], text: str) -> None:
    handle(StatusLine(text=text))


def _handle_last(
    event: Event | ChatFailed,
    recorder: HistoryRecorder | None,
    render: Callable[[Any], None],
    held: AbstractContextManager[None],
) -> None:
    """Save and show what is left of a turn that something has stopped; neither prevents the other."""
    handlers: list[Callable[[Any], None]] = [render] if recorder is None else [recorder.handle, render]
    for handle in handlers:
        with contextlib.suppress(KeyboardInterrupt, Terminated, OutputClosed, OutputError), held:
            handle(event)


def _failure(error: BaseException) -> CoreError | None:
    """The error of a turn that an exception has ended; None if it was stopped from outside."""
    if isinstance(error, KeyboardInterrupt | Terminated | OutputClosed | OutputError):
        return None
    return error if isinstance(error, CoreError) else internal_error(error)


# --- several models ----------------------------------------------------------------------------------------


def _ask_several(app: App, plan: Plan, open_provider: OpensProvider, interrupts: Interrupts) -> None:
    """Ask all models at once; raises ``Stop`` with the worst exit code."""
    from provider_core.chat.parallel import ParallelRuns
    from telex.render.sections import multi_renderer_for

    console, models, held = app.console, plan.models, interrupts.held
    outcomes: list[Answer | CoreError | None] = [model.error for model in models]
    targets = [
        next((each.target for each in model.candidates if each.target is not None), model.name)
        for model in models
    ]
    renderer = multi_renderer_for(console, plan.render, targets, explain=app.hint)

    def show(index: int, event: Event | CommandEvent) -> None:
        if isinstance(event, ChatEnded):
            outcomes[index] = event.answer
        renderer.handle(index, event)

    runs: dict[int, ChatRun] = {}
    for index, model in enumerate(models):
        render = partial(show, index)
        if model.chat is None:
            _handle_last(ChatFailed(error=model.error or AssertionError()), None, render, held)
            continue
        if model.recorder is not None:
            model.recorder.report = partial(_report, render)
        if plan.limits_costs and not plan.options.quiet:
            report_limits(app, [model.chat.target], model.chat.max_cost, partial(_report, render))
        runs[index] = _chat_run(app, plan, model.chat, open_provider, render, name=str(model.chat.target))
    parallel, indexes = ParallelRuns([*runs.values()], as_error=internal_error), [*runs]
    items = iter(parallel)
    try:
        while True:
            with held:  # waiting for the next event takes 0.1 s at most
                item = next(items, False)
                if item is False:
                    break
                if isinstance(item, tuple):
                    index = indexes[item[0]]
                    _handle(item[1], models[index].recorder, partial(show, index))
                    if type(item[1]) is Sent:
                        _prepare_price(app, plan, runs[index].plan.target)
                renderer.tick()
    except BaseException as error:
        for position, event in parallel.stop(_failure(error), unwritten=console.unwritten):
            index = indexes[position]
            _handle_last(event, models[index].recorder, partial(show, index), held)
        raise
    finally:
        codes = [_report_one(app, model.name, each) for model, each in zip(models, outcomes, strict=True)]
    worst = min((code for code in codes if code), default=ExitCode.OK)
    if worst is not ExitCode.OK:
        raise Stop(worst)


def _report_one(app: App, name: str, outcome: Answer | CoreError | None) -> ExitCode:
    """Report how one of several answers ended; returns its exit code."""
    if isinstance(outcome, CoreError):
        (code, hint), sentence = app.advice(outcome), outcome.message
    elif outcome is None or outcome.verdict is Verdict.INTERRUPTED:
        return ExitCode.OK
    else:
        code, sentence, hint = outcome_of(app, outcome)
        name = str(outcome.target)
    if code is not ExitCode.OK:
        app.console.error(f"{name}: {sentence}", hint)
    elif sentence:
        app.console.note(f"{name}: {sentence}")
    return code


def _with_keys(app: App, plan: Plan) -> OpensProvider:
    """Look up all keys, one by one, because commands and keyrings may prompt; and fetch the embedded model."""
    from provider_core.client import OpenProvider
    from provider_core.keys import resolve_each

    runtime = app.runtime
    targets = [
        target
        for model in plan.models
        if model.chat is not None
        for target in (model.chat.target, *(each.target for each in model.chat.fallbacks))
        if target is not None
    ]
    found: list[tuple[Provider, Any]] = []
    for provider in (target.provider for target in targets):
        if all(provider != known for known, _ in found):
            credentials: Any = resolve_each([provider], environ=runtime.environ, store=runtime.key_store)[
                provider.name
            ]
            if provider.embedded and provider.gguf is None:
                try:
                    runtime.default_model()
                except CoreError as error:
                    error.provider = provider.name
                    credentials = error
            found.append((provider, credentials))
    client = runtime.client  # made in this thread, for all

    @contextlib.contextmanager
    def open_provider(target: Target) -> Iterator[OpenProvider]:
        credentials = next(each for provider, each in found if provider == target.provider)
        if isinstance(credentials, CoreError):
            raise credentials
        if target.provider.embedded:
            with runtime.open_provider(target) as opened:
                yield opened
        else:
            yield OpenProvider(client=client, provider=credentials.provider, key=credentials.value)

    return open_provider


# --- the outcome -------------------------------------------------------------------------------------------


def report_outcome(app: App, answer: Answer, *, had_tools: bool = False) -> None:
    """Report on stderr how the answer ended; raises ``Stop`` with its exit code unless that is 0."""
    code, sentence, hint = outcome_of(app, answer, had_tools=had_tools)
    if code is not ExitCode.OK:
        app.console.error(sentence, hint)
        raise Stop(code)
    if sentence:
        app.console.note(sentence)


def outcome_of(app: App, answer: Answer, *, had_tools: bool = False) -> tuple[ExitCode, str, str | None]:
    """The exit code of an answer, a sentence about its end ("" if there is nothing to report), and a hint."""
    if answer.error is not None or answer.verdict is not Verdict.COMPLETE:
        from telex.error_hints import answer_code

        code = answer_code(answer)
        if answer.error is not None:
            return code, answer.error.message, app.hint(answer.error)
        if answer.verdict is Verdict.LENGTH:
            return code, "The answer was cut off at the token limit; --max-tokens N raises it.", None
        return code, f"the answer is {answer.verdict.value}", None
    note = ""
    if answer.tool_calls and not had_tools:
        names = ", ".join(dict.fromkeys(call.name or "?" for call in answer.tool_calls))
        note = f"The model called a tool ({names}), but this chat has no tools. Offer tools with --tools."
    if answer.raw_finish:
        from provider_core.stream import standard_reason

        if standard_reason(answer.raw_finish) is None:
            note = f"Unknown finish reason: {answer.raw_finish}; treated as complete."
    return ExitCode.OK, note, None


def _render_failure(app: App, options: Options, error: BaseException) -> None:
    """Report an error that comes before the first request in the output of ``--json`` and ``--jsonl`` too."""
    if options.format not in ("json", "jsonl"):
        return
    from telex import suggest
    from telex.render.json import render_failure

    if isinstance(error, CoreError):
        error.message = suggest.without_keys(error.message, app.arguments)
    names = [suggest.without_keys(name, app.arguments) for name in options.models]
    render_failure(app.console, options.format, error, hint=app.hint(error), models=names)


def _dry_run(app: App, plan: Plan, tools: ToolServers | None) -> None:
    """Print the request, or a list of the requests to several models; the first one that fails ends it."""
    from provider_core.budget import input_tokens
    from provider_core.structs import replace
    from provider_core.tools import ToolLoop
    from provider_core.types import Usage
    from telex.render.json import request_object

    def described(candidates: Sequence[Candidate], target: Target, request: Request) -> dict[str, Any]:
        """A request with the source of each of its options, and what it is estimated to cost at most.

        Without a token limit, that is the cost of its input alone.
        """
        if tools is not None:
            request = ToolLoop(tools.toolboxes, None, request.tool_choice, lambda _: None).offer(request)
        tokens, most = input_tokens(request), request.max_tokens
        cost = app.runtime.prices.cost(target, Usage(input=tokens, output=most or 0), estimate=True)
        estimate = {
            "input_tokens": tokens,
            "output_tokens_at_most": most,
            "cost": None if cost is None else float(cost.amount),
            "cost_source": None if cost is None else cost.source,
        }
        sources = next((dict(each.options.sources) for each in candidates if each.target == target), {})
        shown = request_object(app.runtime, app.console, target, request)
        return {**shown, "estimate": estimate, "sources": sources}

    found = []
    for model in plan.models:
        if model.chat is None:
            raise model.error or AssertionError
        messages = model.chat.request.messages
        shown = described(model.candidates, model.chat.target, model.chat.request)
        if model.chat.fallbacks:
            shown["fallbacks"] = [
                described(model.candidates, each.target, replace(each.request, messages=messages))
                if each.target is not None and each.request is not None
                else {"model": each.name, "error": each.error and each.error.message}
                for each in (*model.chat.unusable, *model.chat.fallbacks)
            ]
        found.append(shown)
    app.console.json(found[0] if len(plan.models) == 1 else found)
