"""One chat turn: its requests, the tool calls between them, and the check of its JSON.

The command line, the interactive conversation and the library all run their turns here.
"""

from __future__ import annotations

from contextlib import closing, nullcontext, suppress
from typing import TYPE_CHECKING, Literal

from provider_core import limits
from provider_core.errors import (
    CoreError,
    InvalidInputError,
    LoopLimitError,
    ProviderError,
    SchemaError,
    SchemaMismatchError,
)
from provider_core.events import (
    AnswerBuilder,
    AnswerEnded,
    ChatEnded,
    Connecting,
    Continuing,
    RequestStarted,
    SchemaRetry,
    join_parts,
    last_parts,
    merge_answers,
)
from provider_core.structs import Struct, replace
from provider_core.types import FieldDropped, Finished, Image, Message, Sent, Text, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from contextlib import AbstractContextManager
    from decimal import Decimal

    from provider_core.chat.continuation import Rest
    from provider_core.chat.fallback import Fallback, FallbackChain, Rests
    from provider_core.client import OpenProvider
    from provider_core.events import Answer, Approval, Event, Spill, Toolbox
    from provider_core.prices import Pricing
    from provider_core.tools import ToolLoop
    from provider_core.types import AnswerEvent, Notice, Request, Target


class ChatPlan(Struct):
    """The model and the request of one turn, and its limits."""

    target: Target
    request: Request
    """With all messages, earlier turns included."""
    new_messages: tuple[Message, ...]
    """Those of ``request.messages`` that belong to no earlier turn."""
    schema_retries: int | None = None
    """How many times to retry if the answer does not match ``request.schema``. None: the answer is not checked."""
    max_turns: int = 10
    """The number of requests after which the model has to stop calling tools."""
    max_cost: Decimal | None = None
    """US dollars. No request is sent if the turn has cost so much, or would with the request's input."""
    spent: Decimal | None = None
    """US dollars that count against ``max_cost``, because earlier turns have cost them."""
    continuations: int = 0
    """How many times an answer is continued that a token limit or a broken stream has cut."""
    continues: bool = False
    """Whether this turn continues the last message of ``request``, an answer that was cut; it has no new messages."""
    context: int | None = None
    """The context window of ``target`` in tokens, if it is known."""
    unusable: tuple[Fallback, ...] = ()
    """Models that the user prefers to ``target``, but that cannot be asked."""
    fallbacks: tuple[Fallback, ...] = ()
    """Models to ask, in this order, if ``target`` fails before anything of an answer arrives."""


class ChatRun:
    """A chat turn while it happens. Iterate for its events; closing the iterator closes the connection.

    ``open_provider`` opens the provider for the whole turn. ``toolboxes`` replace ``request.tools``, and ``approve``
    decides on each call. If the model still calls tools after ``plan.max_turns`` requests, ``on_limit`` is called with
    their number, and returns how many more are allowed.

    Events that happen while the iteration is blocked (those of ``Notice``) go to ``notify``. ``log`` is called with
    each line of the wire log, see ``Client.chat``; ``save_image`` with each image whose bytes were received, which it
    returns with its file. ``price`` is called with each answer that has a usage, and returns its cost (``Prices``);
    without it, only a cost that the server reports is known. ``check_budget`` is called before each request, and may
    raise ``BudgetError``. ``rests`` remembers which models have failed, if the plan has several. ``hold`` is entered
    before an event is added to the answer, and left when the caller has handled the event: if it delays signals, the
    answer has exactly what the caller has seen.

    With ``spill``, a long text is not gathered in memory, as ``AnswerBuilder`` explains. That is for callers that need
    no text of a turn which is one request without a schema.

    If a model fails before anything of its answer arrived, and the plan has fallbacks, ``FellBack`` is yielded, and
    the same request is sent to the next model with that model's own options. Earlier answers of the turn, with their
    tool calls, are then part of the conversation; other providers get none of their reasoning.

    If an answer is cut after some text, and ``plan.continuations`` allow it, ``Continuing`` is yielded, and the next
    request continues it: the texts of both make one answer, and what the second repeats is removed. The answer is
    complete only if its last part is.

    Text is yielded as it arrives, with two exceptions. In a turn with tools, blank text at the beginning of an answer
    waits for something visible. Text that has to match a schema is yielded in one piece, after the check.

    The iteration raises what ``Client.chat`` raises, ``BudgetError``, ``LoopLimitError``, and ``UnknownToolError`` for
    a ``request.tool_choice`` that no tool has. After an error, or if you stop early, ``end`` returns the last events.
    """

    def __init__(
        self,
        plan: ChatPlan,
        open_provider: Callable[[Target], AbstractContextManager[OpenProvider]],
        *,
        toolboxes: Sequence[Toolbox] = (),
        approve: Approval | None = None,
        on_limit: Callable[[int], int] | None = None,
        notify: Callable[[Notice], None] | None = None,
        log: Callable[[str, str], None] | None = None,
        save_image: Callable[[Image], Image] | None = None,
        price: Pricing | None = None,
        check_budget: Callable[[], None] | None = None,
        rests: Rests | None = None,
        spill: Spill | None = None,
        hold: AbstractContextManager[object] = nullcontext(),  # noqa: B008 - it has no state
    ) -> None:
        if plan.max_turns < 1:
            raise InvalidInputError(f"max_turns must be at least 1, not {plan.max_turns}")
        self.plan = plan
        self.target: Target = plan.target
        """The model that is asked now."""
        self.notify = notify
        self.log = log
        self.answers: list[Answer] = []
        """The answers that have ended, one for each request."""
        new = {id(message) for message in plan.new_messages}
        self.messages: tuple[Message, ...] = tuple(
            message for message in plan.request.messages if id(message) not in new
        )
        """The conversation with the answers that have ended. Without an answer, the turn is not part of it."""
        self._open_provider = open_provider
        self._toolboxes = toolboxes
        self._approve = approve
        self._on_limit = on_limit
        self._save_image = save_image
        self._price = price
        self._check_budget = check_budget
        self._hold = hold
        self._request = plan.request
        self._new_messages = plan.new_messages
        self._cause: Literal["", "tool loop", "schema retry", "continuation"] = ""
        self._rest: Rest | None = None  # while the answer of the current request continues another one
        self._base: tuple[Message, ...] = ()  # the messages that the continued answer answers
        self._before: Message | None = None  # its text so far
        self._continued = 0
        self._prefills = True
        self._builder = AnswerBuilder(
            plan.target, limit=plan.request.max_characters or limits.ANSWER, spill=spill
        )
        self._answering = True  # until the answer of the current request is in self.answers
        self._received = False  # whether anything of that answer has arrived
        self._rests = rests
        self._chain: FallbackChain | None = None
        self._tools: ToolLoop | None = None
        self._dropped: set[tuple[str, str | None]] = set()
        self._retries = plan.schema_retries
        self._mismatch: SchemaMismatchError | None = None
        self._checked: tuple[str, CoreError | None] | None = None  # the final text, and why it does not match
        self._final: Answer | None = None  # the answer of ChatEnded
        self._events = self._run()

    def __iter__(self) -> Iterator[Event]:
        return self._events

    @property
    def answer(self) -> Answer:
        """The answers to all requests so far, merged. Before ``ChatEnded`` it is "interrupted"."""
        if self._final is not None:
            return self._final
        return replace(self._merged(), verdict=Verdict.INTERRUPTED, error=None)

    def end(self, error: CoreError | None = None, *, unwritten: int = 0) -> tuple[Event, ...]:
        """End the turn early, because of ``error`` or because the user stopped it; return the last events.

        ``unwritten`` is the number of characters at the end of the text that could not be shown: they do not count.
        Returns nothing if the iteration came to its own end.
        """
        with suppress(ValueError):  # it runs in another thread, which cannot be closed from here
            self._events.close()
        if self._final is not None:
            return ()
        events: list[Event] = []
        had_text = self._checked is not None
        if not self._answering and self._tools is not None and (results := self._tools.results()):
            self._continue(results)  # what the calls did is done: the next turn has to know
        if self._answering:
            self._builder.take_back(unwritten)
            if self._rest is not None and (text := self._rest.close()):  # it was held back at the seam
                self._builder.add(Text(text=text))
                if self.plan.schema_retries is None:
                    events.append(Text(text=text))
            events.append(self._take(self._priced(self._builder.answer(error))))
        unfinished = self.answers[-1].verdict is Verdict.INTERRUPTED or self._continues(self.answers[-1])
        answer = self._merged()
        if error is None and unfinished:
            answer = replace(answer, verdict=Verdict.INTERRUPTED, error=None)
        elif error is not None and answer.error is None:
            answer = replace(answer, error=error)
        self._final = answer
        if self.plan.schema_retries is not None and answer.text and not had_text:
            events.insert(0, Text(text=answer.text))
        return (*events, ChatEnded(answer=answer))

    def _run(self) -> Generator[Event, None, None]:
        plan = self.plan
        if plan.fallbacks or plan.unusable:
            for event in self._prepare_fallbacks():
                yield event
        yield Connecting(target=self.target)
        if self._toolboxes:
            from provider_core.tools import ToolLoop

            self._tools = ToolLoop(self._toolboxes, self._approve, plan.request.tool_choice, self._notified)
        tools = self._tools
        most, number = plan.max_turns, 1
        if plan.continues:
            yield self._prepare_rest(plan.request.messages[:-1], plan.request.messages[-1])
        limits_costs = self._check_budget is not None or plan.max_cost is not None
        while True:
            try:
                with self._open_provider(self.target) as opened:
                    while True:
                        if tools is not None:
                            self._request = tools.offer(self._request)
                        if limits_costs:
                            self._check_costs(self._request)
                        yield RequestStarted(
                            number=number, request=self._request, new_messages=self._new_messages
                        )
                        try:
                            yield from self._ask(opened)
                        except ProviderError as error:
                            if not self._is_prefix_refused(error):
                                raise
                            number += 1
                            continue
                        answer = self.answers[-1]
                        if self._goes_on(answer):
                            number, most = number + 1, most + 1
                            messages = self._conversation(answer)
                            yield self._prepare_rest(messages[:-1], messages[-1], answer)
                            continue
                        if not self._continues(answer):
                            break
                        if self._mismatch is None and tools is not None:
                            if number >= most:
                                most = number + self._more(number)
                            if limits_costs:
                                self._check_costs(None)  # results that cannot be sent are of no use
                            for event in tools.run(answer.tool_calls):
                                with self._hold:
                                    yield event
                            self._continue(tools.results())
                        elif self._mismatch is not None:
                            from provider_core.structured import retry_message

                            yield SchemaRetry(error=self._mismatch)
                            words = retry_message(self._mismatch, plan.request.schema or {})
                            self._mismatch, most = None, number + plan.max_turns
                            self._continue((Message(role="user", content=words),))
                        number += 1
                break
            except CoreError as error:
                fell_back = self._fall_back(error)
                if not fell_back:
                    raise
            for event in fell_back:
                yield event
            yield Connecting(target=self.target)
        if self._chain is not None:
            self._chain.succeeded()
        with self._hold:
            self._final = self._merged()
            yield ChatEnded(answer=self._final)

    def _prepare_fallbacks(self) -> Sequence[Event]:
        from provider_core.chat.fallback import Fallback, FallbackChain

        plan = self.plan
        preferred = Fallback(
            name=str(plan.target), target=plan.target, request=plan.request, context=plan.context
        )
        self._chain = FallbackChain(preferred, plan.fallbacks, plan.unusable, self._rests)
        events = self._chain.begin()
        if self._chain.current is not preferred:
            self._use(self._chain.current)
        return events

    def _fall_back(self, error: CoreError) -> Sequence[Event]:
        """Prepare the request to the next model; returns the events that report that, none if there is no next one."""
        if self._chain is None or self._received or not self._answering or self._rest is not None:
            return ()
        from provider_core.chat.fallback import may_fall_back

        if not may_fall_back(error):
            return ()
        ended = AnswerEnded(
            request=self._request,
            answer=self._builder.answer(error),
            new_messages=self._new_messages,
            cause=self._cause,
        )
        events = self._chain.next(error, ended)
        if events:
            self._use(self._chain.current)
        return events

    def _use(self, model: Fallback) -> None:
        """Ask this model from now on, with its own options."""
        before, own = self._request, model.request
        if model.target is None or own is None:
            return
        self.target = model.target
        self._dropped.clear()  # what this model does not support is reported, too
        self._request = replace(
            own,
            messages=before.messages,
            tools=before.tools,
            tool_choice=before.tool_choice,
            schema=before.schema,
            max_characters=before.max_characters,
        )
        self._builder = AnswerBuilder(model.target, limit=before.max_characters or limits.ANSWER)

    def _ask(self, opened: OpenProvider) -> Iterator[Event]:
        """The events of one request's answer."""
        tools, request, rest = self._tools, self._request, self._rest
        self._received = False
        hold, add = self._hold, self._builder.add
        holds_text = self.plan.schema_retries is not None
        blank: str | None = None if tools is None or rest is not None else ""
        stream = opened.client.chat(
            opened.provider,
            request,
            key=opened.key,
            notify=self._notified,
            log=self.log,
            has_fallback=self._chain is not None and self._chain.has_more,
        )
        events: Iterator[AnswerEvent] = stream if tools is None else tools.events(stream)
        if rest is not None:
            events = rest.events(events)
        with closing(stream):
            for event in events:
                self._received = True
                with hold:
                    if isinstance(event, Text):
                        add(event)
                        if holds_text:
                            continue
                        if blank is None:
                            yield event
                        elif (blank := blank + event.text).strip():
                            yield Text(text=blank)
                            blank = None
                    elif isinstance(event, Image) and event.size is not None and self._save_image is not None:
                        image = self._save_image(event)
                        add(image)
                        yield image
                    else:
                        add(event)
                        if isinstance(event, Finished):
                            yield from self._finished(self._builder.answer())
                        yield event
        answer = self._priced(self._builder.answer())
        with hold:
            yield self._take(answer)

    def _finished(self, answer: Answer) -> Iterator[Text]:
        """Check a finished answer. Yields the text that was held back, if no other request follows."""
        tools = self._tools
        if tools is not None:
            tools.check(answer)
        if self.plan.schema_retries is None or self._continues(answer):
            return
        if self._rest is not None:
            answer = self._rest.finished(answer)
        if self._goes_on(answer):
            return
        if self._before is not None and self._rest is not None:
            answer = replace(answer, text=f"{self._before.content}{answer.text}")
        self._check(answer)
        if self._checked is not None and self._checked[0]:
            yield Text(text=self._checked[0])

    def _check(self, answer: Answer) -> None:
        """Check the text against the schema, and decide whether to retry."""
        from provider_core.structured import matching_json

        self._checked = answer.text, answer.error
        if answer.verdict not in (Verdict.COMPLETE, Verdict.LENGTH):
            return
        refusal = answer.error or (self._tools and self._tools.refusal())
        try:
            self._checked = matching_json(answer.text, self.plan.request.schema or {}), answer.error
        except SchemaError as error:  # only an answer shows that the schema cannot be used
            self._checked = answer.text, error
        except SchemaMismatchError as error:
            error.provider = self.target.provider.name
            if answer.verdict is Verdict.LENGTH:
                error.explain("the token limit has cut it")
                self._checked = answer.text, error
            elif refusal is not None or not self._retries:
                self._checked = answer.text, refusal or error
            else:
                self._retries -= 1
                self._mismatch, self._checked = error, None

    def _continues(self, answer: Answer) -> bool:
        """Whether another request follows this answer: its calls are to be run, or it does not match the schema."""
        calls_tools = self._tools is not None and bool(answer.tool_calls)
        return self._mismatch is not None or (calls_tools and answer.verdict is Verdict.COMPLETE)

    def _goes_on(self, answer: Answer) -> bool:
        """Whether the next request continues this answer, which was cut."""
        if self._continued >= self.plan.continuations or answer.verdict is Verdict.COMPLETE:
            return False
        from provider_core.chat.continuation import may_continue

        return may_continue(answer)

    def _prepare_rest(
        self, base: tuple[Message, ...], before: Message, answer: Answer | None = None
    ) -> Continuing:
        """Prepare the request for the rest of a cut answer to ``base``, of which ``before`` is there."""
        self._base, self._before = base, before
        self._continued += answer is not None
        self._ask_for_rest()
        how = self._rest.how if self._rest is not None else "request"
        return Continuing(
            number=self._continued or 1, how=how, error=None if answer is None else answer.error
        )

    def _ask_for_rest(self) -> None:
        from provider_core.chat.continuation import Rest
        from provider_core.request import can_prefill

        if self._before is None:
            return
        request = replace(self._request, messages=self._base, max_characters=self.plan.request.max_characters)
        prefix = self._prefills and can_prefill(self.target.provider, self.target.model)
        self._rest = Rest(request, self.target, self._before, prefix=prefix)
        self._request, self._new_messages, self._cause = self._rest.request, (), "continuation"
        self._builder = AnswerBuilder(self.target, limit=self._request.max_characters or limits.ANSWER)
        self._answering = True

    def _is_prefix_refused(self, error: ProviderError) -> bool:
        """Whether the server refuses the beginning of an answer; then the next request asks for the rest."""
        if self._rest is None or self._rest.how != "prefix" or self._received:
            return False
        from provider_core.chat.continuation import is_refusal

        if not is_refusal(error):
            return False
        self._prefills = False
        self._ask_for_rest()
        return True

    def _conversation(self, answer: Answer) -> tuple[Message, ...]:
        """The messages of the last request with its answer; a continued one is one message."""
        if self._rest is None or self._before is None:
            return (*self._request.messages, answer.message())
        return (*self._base, join_parts(self._before, answer.message()))

    def _more(self, number: int) -> int:
        more = self._on_limit(number) if self._on_limit is not None else 0
        if more > 0:
            return more
        times = "1 turn" if number == 1 else f"{number} turns"
        message = f"{self.target} still calls tools after {times}"
        raise LoopLimitError(message, provider=self.target.provider.name, turns=number)

    def _continue(self, new: Sequence[Message]) -> None:
        """Prepare the request that follows the last answer, with ``new`` messages."""
        request, answer, most = self._request, self.answers[-1], self.plan.request.max_characters
        if answer.tool_calls and most is not None:
            most = max(1, (request.max_characters or most) - len(answer.text))
        self._new_messages = tuple(new)
        self._cause = "tool loop" if new[0].role == "tool" else "schema retry"
        messages = (*self._conversation(answer), *new)
        if self._rest is not None:
            request = replace(request, prefill=False, schema=self.plan.request.schema)
            self._rest = self._before = None
        self._continued = 0
        self._request = replace(request, messages=messages, max_characters=most)
        self._builder = AnswerBuilder(self.target, limit=most or limits.ANSWER)
        self._answering = True

    def _check_costs(self, request: Request | None) -> None:
        """Raise ``BudgetError`` if no request may follow, or not this one."""
        if self._check_budget is not None:
            self._check_budget()
        if self.plan.max_cost is not None:
            from provider_core.budget import check_max_cost

            check_max_cost(
                self.plan.max_cost,
                self.target,
                request,
                self.answers,
                spent=self.plan.spent,
                price=self._price,
            )

    def _priced(self, answer: Answer) -> Answer:
        usage = answer.usage
        if usage is None or (self._price is None and usage.cost is None):
            return answer
        from provider_core.prices import reported_cost

        return replace(answer, cost=(self._price or reported_cost)(answer.target, usage))

    def _take(self, answer: Answer) -> AnswerEnded:
        self._answering = False
        if self._rest is not None:
            answer = self._rest.finished(answer)
        self.answers.append(answer)
        messages = self._request.messages
        if answer.text or answer.verdict is Verdict.COMPLETE:
            self.messages = self._conversation(answer)
        elif self._rest is not None:
            pass
        elif messages[-1].role == "tool":  # the results of tools are part of the conversation
            self.messages = messages
        return AnswerEnded(
            request=self._request,
            answer=answer,
            new_messages=self._new_messages,
            cause=self._cause,
            goes_on=self._goes_on(answer),
        )

    def _merged(self) -> Answer:
        answers = list(self.answers)
        if self._answering:
            answer = self._builder.answer()
            answers.append(answer if self._rest is None else self._rest.finished(answer))
        answer = merge_answers(answers)
        if self._continued and answer.verdict is Verdict.LENGTH and answer.error is None:
            from provider_core.chat.continuation import still_cut

            answer = replace(answer, error=still_cut(answer, self._continued))
        if self._checked is not None:
            text, error = self._checked
            verdict = Verdict.FAILED if error is not None and error is not answer.error else answer.verdict
            answer = replace(answer, text=text, verdict=verdict, error=error)
        elif self.plan.schema_retries is not None:
            answer = replace(answer, text=merge_answers(last_parts(answers)).text)
        if answer.error is None and self._tools is not None and not self._answering:
            answer = replace(answer, error=self._tools.refusal())
        if self._chain is not None and self._chain.failed:
            answer = replace(answer, attempts=tuple(self._chain.failed))
        return answer

    def _notified(self, notice: Notice) -> None:
        match notice:
            case Sent():
                self._builder.sent()
            case FieldDropped(field=name, swapped_for=other):
                # Each request of the turn is changed alike: report it once.
                if (name, other) in self._dropped:
                    return
                self._dropped.add((name, other))
        if self._tools is not None:
            self._tools.notice(notice)
        if self.notify is not None:
            self.notify(notice)
