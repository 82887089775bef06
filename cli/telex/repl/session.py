"""The state of an interactive conversation: its prompts, what they cost, and how to repeat or undo them."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol, Self

from provider_core.errors import (
    ContentPolicyError,
    ContextOverflowError,
    CoreError,
    NetworkError,
    ProviderError,
    ToolRefusedError,
)
from provider_core.events import AnswerEnded, ChatEnded, ToolEnded, ToolStarted, append_messages
from provider_core.history import SavedConversation, SavedTurn
from provider_core.structs import Struct, replace
from provider_core.types import Message, Sent, TextPart, Verdict
from telex.chat.input import Attaching, Prompt, attach
from telex.chat.plan import check_fit, new_messages, reads_images, render_options, with_model
from telex.chat.run import Turn, outcome_of
from telex.exit_codes import ExitCode, Interrupts
from telex.render import Paused
from telex.render.text import renderer_for
from telex.repl.terminal import EchoSuppressor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from decimal import Decimal

    from provider_core.chat import ChatPlan
    from provider_core.client import OpenProvider
    from provider_core.events import Event
    from provider_core.types import Part, Target
    from telex.app import App
    from telex.chat import HistoryRecorder, Plan
    from telex.chat.tools import ToolServers
    from telex.render import CommandEvent, RenderOptions


_SUMMARISE = (
    "Summarise our conversation so far, for yourself: it will replace these messages. Keep facts, numbers, names, file "
    "names, code that is still needed, decisions with their reasons, what I asked for, and what is still open. Leave "
    "out what is settled and no longer needed. Write nothing but the summary, in the language of the conversation."
)
_SUMMARY = "This is a summary of our conversation so far. It replaces the older messages."
_UNDERSTOOD = "I will continue from this summary."


_COMMANDS = {
    "--image": "/image", "--file": "/file", "--max-tokens": "/set max_tokens", "--tools": "/tools on NAME",
    "lower --reasoning-effort": "use /set reasoning_effort low", "--no-stream": "/set stream false",
}  # fmt: skip
"""Options of ``telex chat`` in hints -> the commands of a conversation that do the same."""


class CommandError(Exception):
    """A command line that is not valid; ``hint`` says how to fix that."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Reader(Protocol):
    """Reads what the user types."""

    def read(self) -> str:
        """A prompt or command; raises ``EOFError`` when the user leaves."""

    def choose(self, choices: Sequence[str], *, current: str, typed: str = "") -> str | None:
        """Let the user choose, from those that contain all words of ``typed``; None if they do not."""


class Exchange(Struct):
    """A prompt with the requests that were made for it and their answers."""

    prompt: Prompt
    resend: bool = True
    """Whether the prompt, if it has no answer, is sent along with the next one."""
    saved: tuple[int, ...] = ()
    """The ids of its turns in the history."""
    turns: tuple[SavedTurn, ...] = ()

    @property
    def answer(self) -> str:
        """The text of the last answer; "" if there is none."""
        messages = append_messages((), (turn.answer for turn in self.turns if turn.answer is not None))
        contents = [message.content for message in messages if isinstance(message.content, str)]
        return next((content for content in reversed(contents) if content), "")


class Session:
    """An interactive conversation. ``messages`` are those of the answered prompts in ``exchanges``.

    ``unanswered`` is a later prompt without an answer. ``attached`` goes with the next prompt. ``system`` is the system
    message from the next prompt on, "" for none. ``withdrawn`` is what answers cost that were removed.
    """

    def __init__(self, app: App, plan: Plan, chat: ChatPlan, stack: contextlib.ExitStack) -> None:
        """``stack`` is left at the end: it holds what the conversation has opened. Starts the servers of tools."""
        earlier = plan.earlier
        self.app = app
        self.recorder = plan.models[0].recorder
        self.tools: ToolServers | None = None
        self.messages = chat.request.messages
        self.exchanges = saved_exchanges(app.runtime.history.turns(earlier.id)) if earlier is not None else []
        self.unanswered: Exchange | None = None
        self.withdrawn: list[SavedTurn] = []
        self.summaries: list[SavedTurn] = []
        """The requests for summaries."""
        self.compacted = 0
        """How many of ``exchanges`` a summary stands for in ``messages``."""
        self.attached = plan.prompt
        self.system = _system(self.messages) if plan.system is None else plan.system
        self.saved_to: str | None = None
        self.reader: Reader | None = None
        """The reader of prompts, once there is one."""
        self.changed: dict[str, str] = {}
        """The settings that were changed for this conversation, with their values as texts."""
        self._plan = plan
        self._chat = chat
        names = plan.options.models
        self._name = names[0] if names else earlier.model if earlier is not None else None
        """The name that the user gave for the model, such as an alias; None for the default."""
        self.given = {**vars(plan.options), "model": self._name, "system": self.system}
        """The options, and what they led to, before ``/set`` changed any."""
        self.environ = app.runtime.environ
        """The variables before ``/set`` changed any."""
        self._spent: Decimal | None = None
        self._stack = stack
        self._provider = stack.enter_context(ProviderSession(app.runtime.open_provider))
        if plan.options.tools:
            self.turn_on(*plan.options.tools)

    @property
    def target(self) -> Target:
        return self._chat.target

    @property
    def last(self) -> Exchange | None:
        """The prompt that was sent last."""
        return self.unanswered or (self.exchanges[-1] if self.exchanges else None)

    def send(self, text: str) -> None:
        """Send a prompt with the attachments, after an earlier one that has no answer."""
        last = self.unanswered
        if last is not None and last.resend:
            same_attachments = self.attached == replace(last.prompt, typed="")
            if same_attachments and text == last.prompt.typed:
                self.retry()
                return
            self.attached = Prompt() if same_attachments else self.attached
            question = Message(role="user", content=last.prompt.content())
            self.messages = append_messages(self.messages, (question,))
            self.exchanges.append(last)
            self.unanswered = None
        prompt, self.attached = replace(self.attached, typed=text), Prompt()
        self._send(prompt)

    def attach(self, files: Sequence[str] = (), images: Sequence[str] = ()) -> None:
        """Attach files and images to the next prompt, as ``telex chat`` does."""
        limit = self._plan.options.attach_limit
        attaching = Attaching.to(self.app, [self.target], limit=limit, quiet=False)
        self.attached = attach(self.attached, files, images, attaching=attaching)

    def retry(self, text: str | None = None) -> None:
        """Send the last prompt again, or ``text`` in its place. The new answer replaces the old one, if there is one.

        Raises ``CommandError`` if there is no prompt yet.
        """
        last = self.last
        if last is None:
            raise CommandError("no prompt to retry")
        self._require_full("retried")
        messages, was_answered = self.messages, last is not self.unanswered
        prompt = last.prompt
        if was_answered:
            self.exchanges.pop()
            self.messages = _before_last_prompt(messages)
        else:
            prompt, self.attached = replace(self.attached, typed=prompt.typed), Prompt()
        if self._send(prompt if text is None else replace(prompt, typed=text)):
            self._withdraw(last)
        elif was_answered:
            self.exchanges.append(last)
            self.messages = messages
            if self.unanswered is not None:  # the history has the same question already
                self._withdraw(self.unanswered)
            self.unanswered, self.attached = None, Prompt()
            self.app.console.note("The previous answer is unchanged.")

    def undo(self) -> Exchange:
        """Remove the last prompt and its answer; raises ``CommandError`` if there is none."""
        last = self.last
        if last is None:
            raise CommandError("nothing to undo")
        self._require_full("removed")
        if last is self.unanswered:
            self.unanswered = None
            self.attached = Prompt()
        else:
            self.exchanges.pop()
            self.messages = _before_last_prompt(self.messages)
        self._withdraw(last)
        return last

    def new(self) -> None:
        """Start another conversation; model, system message and attachments stay."""
        self.messages = ()
        if self.recorder is not None:
            self.recorder.conversation = None
        self.exchanges.clear()
        self.withdrawn.clear()
        self.summaries.clear()
        self.compacted = 0
        self.unanswered = None

    def change_model(self, name: str | None) -> str | None:
        """Use the model ``name`` from now on, with the options of its alias; raises as ``App.target`` does.

        Returns a warning if the provider's models are known and this is not one of them.
        """
        self._chat, system = with_model(self.app, self._plan, self._chat, name)
        self._name = name
        target = self.target
        self.system = self.system if system is None else system
        catalog = self.app.runtime.catalog
        listing = catalog.listing(target.provider.name)
        if not listing.models or listing.find(target.model):
            return None
        from provider_core.resolve import near_ids

        near = " or ".join(near_ids(str(target), catalog))
        unknown = f"{target.model} is not in the known list of {target.provider.name}'s models."
        return f"{unknown}\nDid you mean {near}?" if near else unknown

    @property
    def fallbacks(self) -> tuple[str, ...]:
        """The models that are asked if ``target`` fails."""
        return tuple(each.name for each in self._chat.fallbacks)

    def turn_on(self, *servers: str) -> None:
        """Offer the tools of MCP servers from now on; raises as ``ToolServers`` does."""
        options = self._plan.options
        with EchoSuppressor(self.app):
            if self.tools is None:
                from telex.chat.tools import ToolServers

                self.tools = self._stack.enter_context(
                    ToolServers(self.app, servers, allow=options.allow, of_alias=options.allow_of_alias)
                )
            else:
                self.tools.turn_on(*servers)

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of the command line, as they are now."""
        return vars(self._plan.options)

    def change_options(self, **options: Any) -> None:
        """Use other options, as those of the command line, from the next prompt on; raises as ``change_model``."""
        given = vars(self._plan.options)
        before = dict(given)
        given.update(options)
        try:
            self._chat, _ = with_model(self.app, self._plan, self._chat, self._name)
            render = render_options(self.app, self._plan.options)
        except BaseException:
            given.update(before)
            raise
        limits_costs = bool(self.app.runtime.settings.budget) or self._chat.max_cost is not None
        self._plan = replace(self._plan, render=render, limits_costs=limits_costs)

    def transcript(self) -> tuple[SavedConversation, list[SavedTurn]]:
        """The conversation as the history has it, also if it is not saved."""
        turns = [turn for exchange in self.exchanges for turn in exchange.turns]
        if self.recorder is not None and self.recorder.conversation is not None:
            with contextlib.suppress(CoreError):
                return self.app.runtime.history.find(self.recorder.conversation), turns
        title, at = first_line(self.exchanges[0].prompt.text), turns[0].at if turns else time.time()
        count, model = len(self.exchanges), str(self.target)
        unsaved = SavedConversation(
            id="not saved", title=title, begun=at, updated=at, turns=count, model=model
        )
        return unsaved, turns

    def continue_answer(self) -> None:
        """Continue the last answer, if it was cut; raises ``CommandError`` if it was not."""
        last = self.last
        turn = last.turns[-1] if last is not None and last.turns else None
        if last is None or turn is None or last is self.unanswered or not self.messages:
            raise CommandError("there is no answer to continue", "To send the last prompt again: /retry")
        if turn.verdict is Verdict.COMPLETE:
            raise CommandError("the last answer is complete", "To have more: ask for it")
        self._require_full("continued")
        before = self.messages[-1]
        if before.role != "assistant" or before.tool_calls or not before.content:
            raise CommandError("the last answer has no text to continue", "To send the prompt again: /retry")
        chat = replace(self._chat_with(self.messages, ()), continues=True)
        done, messages = self._run(chat, Prompt(), recorder=self.recorder, tools=self.tools)
        self.messages = self.messages if messages is None else messages
        # What was requested counts, also if nothing came.
        self.exchanges[-1] = replace(last, saved=(*last.saved, *done.saved), turns=(*last.turns, *done.turns))

    def compact(self) -> None:
        """Replace all prompts before the last one by a summary that the model writes, and report what was dropped.

        The history has the full text. Nothing is replaced if the summary is incomplete or not shorter. Raises
        ``CommandError`` if there is nothing to summarise.
        """
        from provider_core.budget import input_tokens
        from telex.chat import HistoryRecorder
        from telex.humanize import number, plural

        console = self.app.console
        first = _before_last_prompt(self.messages)
        older = [message for message in first if message.role != "system"]
        if not older or len(self.exchanges) - self.compacted < 2:
            raise CommandError(
                "there is nothing to summarise yet", "The last prompt and its answer are never replaced."
            )
        ask = Message(role="user", content=_SUMMARISE)
        # Without tools: a summary needs none, and with one it would not be a single answer.
        chat = self._chat_with((*first, ask), (ask,))
        recorder = self.recorder and HistoryRecorder(self.app.runtime, saves=False)
        done, _ = self._run(chat, Prompt(), recorder=recorder, tools=None)
        self.summaries += done.turns
        turn = done.turns[-1] if done.turns else None
        if turn is None or turn.verdict is not Verdict.COMPLETE or turn.answer is None:
            console.note("Nothing was replaced.")
            return
        system = (message for message in self.messages[:1] if message.role == "system")
        summary = (
            Message(role="user", content=f"{_SUMMARY}\n\n{turn.answer.content}"),
            Message(role="assistant", content=_UNDERSTOOD),
        )
        messages = (*system, *summary, *self.messages[len(first) :])
        before = input_tokens(replace(chat.request, messages=self.messages))
        after = input_tokens(replace(chat.request, messages=messages))
        tokens = f"about {number(before)} tokens before, {number(after)} now"
        if after >= before:
            console.note(f"The summary is not shorter, so nothing was replaced: {tokens}.")
            return
        prompts, self.compacted = len(self.exchanges) - 1 - self.compacted, len(self.exchanges) - 1
        self.messages = messages
        parts = [
            part for message in older if not isinstance(message.content, str) for part in message.content
        ]
        attached = sum(not isinstance(part, TextPart) for part in parts)
        files = f", with {plural(attached, 'attachment')}" if attached else ""
        console.note(f"Replaced {plural(prompts, 'prompt')} and the answers{files}: {tokens}.")
        console.note(
            "The last prompt is unchanged. The history has the full text, and telex chat -c sends it."
        )

    def _require_full(self, what: str) -> None:
        """Raise ``CommandError`` if the last prompt is part of a summary."""
        if self.unanswered is None and self.compacted and len(self.exchanges) <= self.compacted:
            raise CommandError(f"the last prompt is part of a summary, and cannot be {what}")

    def fork(self) -> str:
        """Continue in a copy of the conversation; returns the original's id. Raises ``CommandError``."""
        recorder = self.recorder
        if recorder is None or not recorder.saves or recorder.conversation is None or self.last is None:
            raise CommandError("this conversation is not saved, so there is nothing to copy")
        original = recorder.conversation
        recorder.conversation, turns = self.app.runtime.history.fork(original)
        copies = dict(turns)

        def copied(exchange: Exchange) -> Exchange:
            return replace(exchange, saved=tuple(copies[turn] for turn in exchange.saved if turn in copies))

        self.exchanges = [copied(each) for each in self.exchanges]
        self.unanswered = None if self.unanswered is None else copied(self.unanswered)
        return original

    def load(self, name: str) -> SavedConversation:
        """Continue another saved conversation, with the current model. Raises ``UnknownConversationError``."""
        history = self.app.runtime.history
        found = history.find(name)
        self.new()
        self.messages = history.messages(found.id)
        self.exchanges = saved_exchanges(history.turns(found.id))
        self.system = _system(self.messages)
        if self.recorder is not None and self.recorder.saves:
            self.recorder.conversation = found.id
        return found

    def _send(self, prompt: Prompt) -> bool:
        """Send the prompt, and report how it ended. Returns whether anything of an answer came."""
        system = None if self.system == _system(self.messages) else self.system
        new = new_messages(prompt.content(), system)
        chat = self._chat_with(append_messages(self.messages, new), new)
        exchange, messages = self._run(chat, prompt, recorder=self.recorder, tools=self.tools)
        if messages is not None:
            self.messages = messages
            self.unanswered = None
            self.exchanges.append(exchange)
            if exchange.answer and exchange.turns[-1].verdict in (Verdict.LENGTH, Verdict.PARTIAL):
                self.app.console.note("To continue the answer: /continue")
        else:
            self.unanswered = exchange
            self.attached = replace(prompt, typed="")
            self.app.console.note("To retry: /retry")
        return messages is not None

    def _run(
        self, chat: ChatPlan, prompt: Prompt, *, recorder: HistoryRecorder | None, tools: ToolServers | None
    ) -> tuple[Exchange, tuple[Message, ...] | None]:
        """Run a turn, and report how it ended; returns also the conversation after it, None if no answer came."""
        console = self.app.console
        saved_before = len(recorder.turns) if recorder is not None else 0
        if recorder is not None:
            recorder.title = prompt.text  # without attached files
        renderer = _SessionRenderer(self.app, self._plan.render)
        turn = Turn(
            self.app,
            self._plan,
            chat,
            renderer,
            recorder=recorder,
            tools=tools,
            open_provider=self._provider.open,
        )
        resend = True
        with renderer.echo, Interrupts() as interrupts:
            try:
                check_fit(self.app, chat, prompt)
                answer = turn.run(interrupts)
                if isinstance(answer.error, ToolRefusedError) and answer.error.code != "not_allowed":
                    answer = replace(answer, error=None)  # the user has just refused the call
                code, sentence, hint = outcome_of(self.app, answer, had_tools=tools is not None)
                if code is not ExitCode.OK:
                    console.error(with_commands(sentence), with_commands(hint or ""))
                elif sentence:
                    console.note(with_commands(sentence))
            except CoreError as error:
                was_sent = isinstance(error, ProviderError | NetworkError)
                resend = was_sent and not isinstance(error, ContextOverflowError | ContentPolicyError)
                console.error(error.message, with_commands(self.app.hint(error) or ""))
            except KeyboardInterrupt:
                console.note("Interrupted.")
        for each in renderer.turns:
            if each.cost is not None:
                self._spent = each.cost.amount + (self._spent or 0)
        saved = tuple(recorder.turns[saved_before:]) if recorder is not None else ()
        turns = tuple(renderer.turns)
        return Exchange(prompt=prompt, resend=resend, saved=saved, turns=turns), turn.messages

    def _chat_with(self, messages: tuple[Message, ...], new: tuple[Message, ...]) -> ChatPlan:
        request = replace(
            self._chat.request,
            model=self.target.model,
            messages=messages,
            reads_images=reads_images(self.app, self.target, messages, has_tools=self.tools is not None),
        )
        return replace(self._chat, target=self.target, request=request, new_messages=new, spent=self._spent)

    def _withdraw(self, exchange: Exchange) -> None:
        """Remove the exchange from the history; what it used remains counted."""
        self.withdrawn += exchange.turns
        try:
            for turn in reversed(exchange.saved):
                self.app.runtime.history.drop_turn(turn)
        except CoreError as error:
            self.app.console.note(f"The removed prompt is still in the history: {error.message}.")


class ProviderSession:
    """Keeps the provider of the last prompt open: its key is looked up once, and an embedded model stays loaded.

    After an error it is closed: the key may be changed by then, and the model's process may have died.
    """

    def __init__(self, open_provider: Callable[[Target], AbstractContextManager[OpenProvider]]) -> None:
        self._open_provider = open_provider
        self._stack = contextlib.ExitStack()
        self._opened: tuple[object, OpenProvider] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close(None)

    @contextlib.contextmanager
    def open(self, target: Target) -> Iterator[OpenProvider]:
        wanted = (target.provider, target.model if target.provider.embedded else None)
        if self._opened is None or self._opened[0] != wanted:
            self._close(None)
            self._opened = wanted, self._stack.enter_context(self._open_provider(target))
        try:
            yield self._opened[1]
        except CoreError as error:
            self._close(error)
            raise

    def _close(self, error: CoreError | None) -> None:
        """Leave the context of the provider, with the error if there is one: it may raise a better one."""
        self._opened = None
        stack, self._stack = self._stack, contextlib.ExitStack()
        if error is None:
            stack.close()
        else:
            stack.__exit__(type(error), error, error.__traceback__)


class _SessionRenderer:
    """Shows an answer, and collects the turns; meanwhile the terminal does not echo what is typed."""

    def __init__(self, app: App, options: RenderOptions) -> None:
        self._inner = renderer_for(app.console, options)
        self.echo = EchoSuppressor(app)
        self.turns: list[SavedTurn] = []

    def handle(self, event: Event | CommandEvent) -> None:
        match event:
            case Sent():
                self.echo.begin()
            case Paused() | ChatEnded():
                self.echo.end()  # the answer to a question has to be visible
            case AnswerEnded(answer=answer, new_messages=new):
                self.turns.append(
                    SavedTurn(
                        id=0,
                        conversation="",
                        at=time.time(),
                        provider=answer.target.provider.name,
                        model=answer.target.model,
                        messages=new,
                        answer=answer.message() if answer.text or answer.tool_calls else None,
                        verdict=answer.verdict,
                        error=answer.error.message if answer.error is not None else None,
                        usage=answer.usage,
                        cost=answer.cost,
                    )
                )
        self._inner.handle(event)
        if isinstance(event, ToolStarted | ToolEnded):
            self.echo.begin()


def with_commands(words: str) -> str:
    """The words of an error or a hint, with commands in place of options."""
    for option, command in _COMMANDS.items():
        words = words.replace(option, command)
    return words


def split_words(argument: str) -> list[str]:
    """The words of a line, as a shell reads them."""
    import shlex

    try:
        if sys.platform == "win32":  # backslashes are part of paths, and the quotes are left
            return [word.strip("\"'") for word in shlex.split(argument, posix=False)]
        return shlex.split(argument)
    except ValueError:  # a quote is not closed
        return [argument]


def first_line(text: str, limit: int = 60) -> str:
    """The first line of ``text``, cut to ``limit`` characters."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "(no text)")
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


def saved_exchanges(turns: Sequence[SavedTurn]) -> list[Exchange]:
    """The prompts of an earlier conversation that its next request contains.

    Turns with the results of tools, and retries of the same prompt, belong to the exchange before them.
    """
    found: list[Exchange] = []
    was_answered = True
    for turn in turns:
        if not (turn.answered or turn.resend):
            continue
        prompts = [_prompt(message.content) for message in turn.messages if message.role == "user"]
        is_retry = bool(prompts and found) and not was_answered and found[-1].prompt == prompts[-1]
        was_answered = turn.answered
        if prompts and not is_retry:
            found.append(Exchange(prompt=prompts[-1], saved=(turn.id,), turns=(turn,)))
        elif found:
            last = found[-1]
            found[-1] = replace(last, saved=(*last.saved, turn.id), turns=(*last.turns, turn))
    return found


def _prompt(content: str | tuple[Part, ...]) -> Prompt:
    if isinstance(content, str):
        return Prompt(typed=content)
    texts = [part.text for part in content if isinstance(part, TextPart)]
    parts = tuple(("", part) for part in content if not isinstance(part, TextPart))
    return Prompt(typed="\n\n".join(texts), parts=parts)


def _system(messages: Sequence[Message]) -> str:
    first = messages[0] if messages else None
    return first.content if first and first.role == "system" and isinstance(first.content, str) else ""


def _before_last_prompt(messages: Sequence[Message]) -> tuple[Message, ...]:
    last = max((at for at, message in enumerate(messages) if message.role == "user"), default=0)
    return tuple(messages[:last])
