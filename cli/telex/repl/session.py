"""A conversation at a terminal: what was asked in it, what stands ready, and the ways on and back.

How lines are read and what they mean is not known here; an answer is had and kept by ``Dialogue``.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from provider_core.answer import append_messages
from provider_core.errors import (
    ContentPolicyError,
    ContextOverflowError,
    CoreError,
    NetworkError,
    ProviderError,
    ToolRefusedError,
)
from provider_core.events import ChatEnded, ToolEnded, ToolProgress, ToolStarted
from provider_core.structs import Struct
from provider_core.types import ImagePart, Message, Sent, TextPart
from telex.ask import conclude, hint
from telex.commands.chat.making import check_fit
from telex.commands.chat.prompt import Prompt
from telex.exit_codes import Stop
from telex.render.renderer import Paused
from telex.render.text import TextRenderer
from telex.repl.hush import EchoSuppressor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provider_core.events import Event
    from provider_core.history import SavedConversation, SavedTurn
    from provider_core.types import Part, Target, Usage, Verdict
    from telex.app import App
    from telex.dialogue import Dialogue
    from telex.render.renderer import CommandEvent, Renderer, RenderOptions

__all__ = ["Exchange", "RefusedError", "Session", "Spent", "exchanges"]


class RefusedError(Exception):
    """A command that cannot be done as it was typed; ``hint`` says what can."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Spent(Struct):
    """What one answer took, and how it ended, in words where that is an error; ``model`` is ``provider/model``."""

    model: str
    usage: Usage | None
    verdict: Verdict | None = None
    error: str | None = None


class Exchange(Struct):
    """A prompt and what came of it. ``turns`` are its ids in the history.

    ``resend`` tells of one without an answer that it goes along with the next.
    """

    prompt: Prompt
    resend: bool = True
    turns: tuple[int, ...] = ()
    spent: tuple[Spent, ...] = ()


class Session:
    """``said`` are the prompts that were answered, in the dialogue's order; ``unanswered`` is a later one that was not.

    ``attached`` goes with the next prompt, and ``system`` is in force from it on; "" is none. ``withdrawn`` is
    what was spent on answers that were taken back.
    """

    def __init__(
        self,
        app: App,
        dialogue: Dialogue,
        *,
        view: RenderOptions,
        system: str | None = None,
        earlier: SavedConversation | None = None,
        attached: Prompt | None = None,
        watch: Callable[[Renderer], Callable[[str, str], None] | None] = lambda _: None,
        network: Callable[[Target], Target] = lambda target: target,
    ) -> None:
        self.app = app
        self.dialogue = dialogue
        self.said = exchanges(app.runtime.history.turns(earlier.id)) if earlier is not None else []
        self.unanswered: Exchange | None = None
        self.withdrawn: list[Spent] = []
        self.attached = attached or Prompt()
        self.system = _system(dialogue.messages) if system is None else system
        self.begun = earlier.begun if earlier is not None else time.time()
        self.saved_to: str | None = None
        self._view = view
        self._watch = watch
        self._network = network

    @property
    def last(self) -> Exchange | None:
        """The prompt that was sent last."""
        return self.unanswered or (self.said[-1] if self.said else None)

    def ask(self, text: str) -> None:
        """One more prompt, with what is attached; one before it that was not answered goes along."""
        last = self.unanswered
        if last is not None and last.resend:
            own = self.attached == replace(last.prompt, typed="")
            if own and text == last.prompt.typed:
                self.ask_again()
                return
            self.attached = Prompt() if own else self.attached
            question = Message(role="user", content=last.prompt.content())
            self.dialogue.messages = append_messages(self.dialogue.messages, (question,))
            self.said.append(last)
            self.unanswered = None
        prompt, self.attached = replace(self.attached, typed=text), Prompt()
        self._ask(prompt)

    def ask_again(self, text: str | None = None) -> None:
        """The last prompt once more, or with ``text`` for its own; the answer takes the place of the one before.

        Where none comes, the one before stays. Raises ``RefusedError`` where nothing was asked yet.
        """
        last = self.last
        if last is None:
            raise RefusedError("nothing was asked yet")
        messages, answered_before = self.dialogue.messages, last is not self.unanswered
        prompt = last.prompt
        if answered_before:
            self.said.pop()
            self.dialogue.messages = _before_last(messages)
        else:
            prompt, self.attached = replace(self.attached, typed=prompt.typed), Prompt()
        if self._ask(prompt if text is None else replace(prompt, typed=text)):
            self._withdraw(last)
        elif answered_before:
            self.said.append(last)
            self.dialogue.messages = messages
            if self.unanswered is not None:  # the same question again is not worth saving
                self._withdraw(self.unanswered)
            self.unanswered, self.attached = None, Prompt()
            self.app.console.note("The answer before it stays.")

    def undo(self) -> Exchange:
        """Take back the last prompt and its answer; raises ``RefusedError`` where there is none."""
        last = self.last
        if last is None:
            raise RefusedError("there is nothing to take back")
        if last is self.unanswered:
            self.unanswered = None
            self.attached = Prompt()
        else:
            self.said.pop()
            self.dialogue.messages = _before_last(self.dialogue.messages)
        self._withdraw(last)
        return last

    def new(self) -> None:
        """Begin another conversation; the model, the system message and what is attached stay."""
        self.dialogue.messages = ()
        if self.dialogue.recorder is not None:
            self.dialogue.recorder.conversation = None
        self.begun = time.time()
        self.said.clear()
        self.withdrawn.clear()
        self.unanswered = None

    def change_model(self, name: str) -> str | None:
        """Ask the model ``name`` from now on; raises as ``App.target`` does.

        Returns a warning if the provider's models are known and this one is not among them.
        """
        target = self.dialogue.target = self._network(self.app.target(name))
        listing = self.app.runtime.catalog.listing(target.provider.name)
        if not listing.models or listing.find(target.model):
            return None
        from provider_core.resolve import near_ids

        near = " or ".join(near_ids(str(target), self.app.runtime.catalog))
        known = f"{target.model} is not in the known list of {target.provider.name}'s models."
        return f"{known}\nDid you mean {near}?" if near else known

    def _ask(self, prompt: Prompt) -> bool:
        """Ask, show and keep; whether an answer came, or some of one. What went wrong is said."""
        dialogue, console = self.dialogue, self.app.console
        kept = dialogue.recorder.kept if dialogue.recorder is not None else []
        first, before = len(kept), dialogue.messages
        if dialogue.recorder is not None:
            dialogue.recorder.title = prompt.text  # what was typed, not the file that is before it
        shown = _Shown(self.app, self._view)
        shown.hush.begin()
        content = prompt.content()
        system = None if self.system == _system(before) else self.system
        resend = True
        try:
            check_fit(self.app, dialogue.target, prompt, dialogue.next(content, system=system))
            answer = dialogue.ask(content, shown, system=system, watch=self._watch(shown))
            if type(answer.error) is ToolRefusedError:  # the user has just said so; nothing went wrong
                answer = replace(answer, error=None)
            conclude(self.app, answer)
        except Stop:
            pass
        except CoreError as error:
            sent = isinstance(error, ProviderError | NetworkError)
            resend = sent and not isinstance(error, ContextOverflowError | ContentPolicyError)
            console.error(error.message, hint(self.app, error))
        except KeyboardInterrupt:
            console.note("Interrupted.")
        finally:
            shown.hush.end()
        answered = dialogue.messages is not before
        exchange = Exchange(prompt=prompt, turns=tuple(kept[first:]), spent=tuple(shown.spent))
        if answered:
            self.unanswered = None
            self.said.append(exchange)
        else:
            self.unanswered = replace(exchange, resend=resend)
            self.attached = replace(prompt, typed="")
            console.note("To ask it again: /retry")
        return answered

    def _withdraw(self, exchange: Exchange) -> None:
        """Let the history forget the exchange; what it took was spent all the same."""
        self.withdrawn += exchange.spent
        if self.dialogue.recorder is None:
            return
        try:
            for turn in reversed(exchange.turns):
                self.app.runtime.history.drop_turn(turn)
        except CoreError as error:
            self.app.console.note(f"It is still in the history: {error.message}.")


class _Shown(TextRenderer):
    """Shows answers and notes what they took; meanwhile the terminal does not show what is typed."""

    def __init__(self, app: App, view: RenderOptions) -> None:
        super().__init__(app.console, view)
        self.hush = EchoSuppressor(app)
        self.spent: list[Spent] = []

    def handle(self, event: Event | CommandEvent) -> None:
        match event:
            case Sent():
                self.hush.begin()
            case Paused():
                self.hush.end()  # a question may follow, and its answer has to be seen
            case ChatEnded(answer=answer):
                self.hush.end()
                error = answer.error.message if answer.error is not None else None
                self.spent.append(
                    Spent(model=str(answer.target), usage=answer.usage, verdict=answer.verdict, error=error)
                )
        super().handle(event)
        if isinstance(event, ToolStarted | ToolProgress | ToolEnded):
            self.hush.begin()


def exchanges(turns: Sequence[SavedTurn]) -> list[Exchange]:
    """The prompts of an earlier conversation as the next request holds them; tool turns belong to the one before."""
    found: list[Exchange] = []
    answered = True
    for turn in turns:
        if not (turn.answered or turn.resend):
            continue
        model = f"{turn.provider}/{turn.model}"
        spent = Spent(model=model, usage=turn.usage, verdict=turn.verdict, error=turn.error)
        asked = [message.content for message in turn.messages if message.role == "user"]
        again = bool(asked and found) and not answered and found[-1].prompt == _prompt(asked[-1])
        answered = turn.answered
        if asked and not again:
            found.append(Exchange(prompt=_prompt(asked[-1]), turns=(turn.id,), spent=(spent,)))
        elif found:
            last = found[-1]
            found[-1] = replace(last, turns=(*last.turns, turn.id), spent=(*last.spent, spent))
    return found


def _prompt(content: str | tuple[Part, ...]) -> Prompt:
    if isinstance(content, str):
        return Prompt(typed=content)
    texts = [part.text for part in content if isinstance(part, TextPart)]
    return Prompt(
        typed="\n\n".join(texts), images=tuple(part for part in content if isinstance(part, ImagePart))
    )


def _system(messages: Sequence[Message]) -> str:
    for message in messages[:1]:
        if message.role == "system" and isinstance(message.content, str):
            return message.content
    return ""


def _before_last(messages: Sequence[Message]) -> tuple[Message, ...]:
    """What was there before the last thing that the user said."""
    last = max((at for at, message in enumerate(messages) if message.role == "user"), default=0)
    return tuple(messages[:last])
