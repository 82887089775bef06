"""The library's entry points: from the name of a model, or a provider of one's own, to answers and conversations.

::

    from provider_core import connect

    with connect("deepseek/deepseek-v4-flash") as model:
        print(model.ask("Why is the sky blue?").text)
"""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, cast

from provider_core import limits
from provider_core.chat import ChatPlan, ChatRun
from provider_core.chat.fallback import Fallback, Rests, context_of, may_fall_back
from provider_core.errors import (
    CoreError,
    InvalidInputError,
    NoProviderError,
    SettingsError,
    ToolRefusedError,
)
from provider_core.events import append_messages
from provider_core.options import Layer, merge
from provider_core.resolve import ModelName
from provider_core.runtime import Runtime
from provider_core.settings import REQUEST_OPTIONS
from provider_core.types import (
    AudioPart,
    FilePart,
    Image,
    ImagePart,
    Message,
    Provider,
    Request,
    Source,
    Target,
    TextPart,
    ToolCall,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import TypeAlias, Unpack

    from provider_core.client import OpenProvider
    from provider_core.events import Answer, Approval, Event, Toolbox
    from provider_core.options import Candidate
    from provider_core.prices import Pricing
    from provider_core.types import Json, Notice, Part

    Prompt: TypeAlias = str | Message | Sequence[Part | Message]
    """The user's next message: text, or parts of it; or any messages. Parts and messages cannot be mixed."""


class ProviderFields(TypedDict, total=False):
    """The keys of a ``[providers.NAME]`` table of the settings."""

    preset: str
    display_name: str
    base_url: str
    base_urls: Sequence[str]
    variables: Mapping[str, str]
    key: Literal["keyring", "none"]
    key_env: str
    key_command: str
    headers: Mapping[str, str]
    models: Sequence[str | Mapping[str, Any]]
    default_model: str
    enabled: bool
    gguf: str | Path
    ca_bundle: str | Path
    client_cert: str | Path
    proxy: str
    allow_http: bool
    connect_timeout: float
    first_byte_timeout: float
    idle_timeout: float
    retries: int
    retry_budget: float
    rpm: int
    tpm: int
    temperature: float
    max_tokens: int
    reasoning_effort: str
    stream: bool
    web: bool
    params: Mapping[str, Json]


class ChatOptions(TypedDict, total=False):
    """The options of a turn. Defaults are those of ``Request``."""

    system: str
    """The system message; it replaces an earlier one."""
    max_tokens: int | None
    max_characters: int | None
    """The largest text of an answer, in characters; a longer one ends with an error. The default is 100 million."""
    temperature: float | None
    reasoning_effort: str | None
    schema: Mapping[str, Json] | None
    web: bool
    """Whether the provider searches the web; raises ``InvalidInputError`` if telex knows no way to ask for that."""
    params: Mapping[str, Json]
    tools: Iterable[Toolbox | Callable[..., Any]]
    """Python functions, and toolboxes with many tools, that the model may call."""
    tool_choice: str | None
    approve: Approval
    """Decides on each call. Without it, functions are called and the tools of other toolboxes refused."""
    max_turns: int
    """The number of requests after which the model has to stop calling tools: 10."""


_REQUEST_OPTIONS = frozenset(field.name for field in fields(Request)) - {"tools"}


def provider(name: str, **fields: Unpack[ProviderFields]) -> Provider:
    """The provider that ``telex providers add NAME`` would add; nothing is saved.

    ``name`` is that of a preset, unless the fields give a ``preset``, a ``base_url`` or a ``gguf`` file; the fields
    are those of the settings. Raises ``SettingsError``.

    >>> provider("deepseek").base_url
    'https://api.deepseek.com'
    >>> provider("lab", base_url="http://127.0.0.1:8080/v1", key="none").url("/models")
    'http://127.0.0.1:8080/v1/models'
    """
    from provider_core.settings import Paths, preview

    table: dict[str, Any] = dict(fields)
    if not table.keys() & {"preset", "base_url", "gguf"}:
        table["preset"] = name
    try:
        made = preview(name, table, Paths.find({}))
    except SettingsError as error:
        error.path = None  # no file has a part in it
        raise
    return replace(made, key_env_for="")  # the program itself names the address


def connect(
    to: str | Provider | None = None,
    model: str | None = None,
    /,
    *,
    key: str | None = None,
    runtime: Runtime | None = None,
    notify: Callable[[Notice], None] | None = None,
    costs: bool = False,
) -> Connection:
    """Connect to a model; close the connection when it is no longer needed.

    ``to`` is a model's name as for ``telex chat -m`` ("deepseek/deepseek-v4-flash", the name of a provider, an alias),
    resolved with this user's settings. None is the default model, but the embedded one only if the settings name it.
    ``to`` can also be a provider of the program's own; ``model`` is then one of its models. The default is the
    provider's default model, else the first one that its server lists.

    ``key`` takes precedence over the provider's own sources of keys: environment, key command, keyring. ``runtime``
    replaces everything that is read from this machine. ``notify`` is called with each ``Notice``: retries, for example,
    and fields that the server refused. With ``costs``, ``Answer.cost`` is also known if only the model's price is: the
    first answer then waits for the import of ``genai-prices``, if that is installed.

    An alias brings its options, but for its template and its tools; options of a question override them. If it has
    several targets, the next one is asked where one fails before anything of its answer has arrived (``FellBack``).
    ``key`` is only for the provider of the first.

    Raises ``ModelError``, ``SettingsError`` and ``ApiKeyError``. An embedded model is started here, and stopped by
    ``Connection.close``; ``LocalModelError`` is raised if that fails.
    """
    stack = ExitStack()
    try:
        if runtime is None:
            runtime = Runtime()
            stack.callback(runtime.close)
        if isinstance(to, Provider):
            runtime = runtime.only(to)
            if to.gguf is not None and not to.models:
                model = model or to.name  # a file is served under whatever name it is asked by
            target = Target(provider=to, model=model) if model else runtime.target(to.name)
            found: tuple[Candidate, ...] = (runtime.with_options(ModelName(name=str(target)), target),)
        else:
            name = "/".join(filter(None, (to, model)))
            found = runtime.candidates(name or None)
            target = _usable(found)[0]
            if not name and target.provider.embedded and runtime.settings.model is None:
                # A program that names no model does not want a small one that has to be downloaded.
                raise NoProviderError(
                    'no provider is set up; to use the small embedded model: connect("local")'
                )
        price = runtime.price if costs else None
        return Connection(runtime, found, stack, key=key, notify=notify, price=price)
    except BaseException:
        stack.close()
        raise


class Connection:
    """A model that can be asked, by several threads at a time, until ``close``. ``connect`` makes one."""

    def __init__(
        self,
        runtime: Runtime,
        candidates: Sequence[Candidate],
        stack: ExitStack,
        *,
        key: str | None = None,
        notify: Callable[[Notice], None] | None = None,
        price: Pricing | None = None,
    ) -> None:
        self.target: Target = _usable(candidates)[0]
        self._runtime = runtime
        self._candidates = candidates
        self._stack = stack
        self._notify = notify
        self._price = price
        first = next(each for each in candidates if each.target is not None)
        self.system: str = first.options.values.get("system", "")
        """The system message of the alias or the settings, for conversations without one of their own."""
        self._lock = threading.Lock()
        self._opened: dict[str, OpenProvider] = {}
        own = self.target.provider.name

        # A function, because the key must not be an attribute that somebody prints.
        def open_provider(target: Target) -> AbstractContextManager[OpenProvider]:
            return runtime.open_provider(target, key=key if target.provider.name == own else None)

        self._open_provider = open_provider
        try:
            self._open(self.target)
        except CoreError as error:
            if len(_usable(candidates)) == 1 or not may_fall_back(error):
                raise

    def _open(self, target: Target) -> AbstractContextManager[OpenProvider]:
        """The provider of one of the targets, which stays open until ``close``."""
        with self._lock:
            name = str(target)
            if name not in self._opened:
                self._opened[name] = self._stack.enter_context(self._open_provider(target))
            return nullcontext(self._opened[name])

    def _plan(
        self, messages: tuple[Message, ...], new: tuple[Message, ...], given: Mapping[str, Any], **more: Any
    ) -> ChatPlan:
        """The turn with the first target and its fallbacks. ``given`` are fields of ``Request``."""

        def chat_with(candidate: Candidate) -> ChatPlan:
            target, values = candidate.target, candidate.options.values
            if target is None:
                raise candidate.error or AssertionError
            fields = dict(given)
            if values:
                own = {name: given[name] for name in REQUEST_OPTIONS if name in given}
                layers = (Layer(source="program", values=own), Layer(source="settings", values=values))
                merged = merge(layers).values
                fields |= {name: merged[name] for name in REQUEST_OPTIONS if name in merged}
            fields.setdefault("reads_images", self._runtime.catalog.reads_images(target))
            request = Request(model=target.model, messages=messages, **fields)
            return ChatPlan(target=target, request=request, new_messages=new, **more)

        return with_fallbacks(self._runtime, self._candidates, chat_with)

    def conversation(
        self, messages: Iterable[Message | Mapping[str, Json]] = (), *, system: str = ""
    ) -> Conversation:
        """A conversation that continues ``messages``, which can be those of ``Conversation.stored``.

        Raises ``InvalidInputError`` for a mapping that is not a stored message.
        """
        first = (Message(role="system", content=system),) if system else ()
        return Conversation(self, (*first, *messages))

    def ask(self, prompt: Prompt, **options: Unpack[ChatOptions]) -> Answer:
        """The complete answer to one prompt; see ``Conversation.ask``."""
        return self.conversation().ask(prompt, **options)

    def stream(self, prompt: Prompt, **options: Unpack[ChatOptions]) -> Generator[Event, None, None]:
        """The events of one turn, ``ChatEnded`` last; see ``Conversation.stream``."""
        return self.conversation().stream(prompt, **options)

    def ask_json(
        self,
        prompt: Prompt,
        schema: Mapping[str, Json],
        /,
        *,
        retries: int = 1,
        **options: Unpack[ChatOptions],
    ) -> Json:
        """The answer as JSON that matches ``schema``; see ``Conversation.ask_json``."""
        return self.conversation().ask_json(prompt, schema, retries=retries, **options)

    def close(self) -> None:
        """Close the network connections, and stop an embedded model."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Conversation:
    """A conversation: each turn is asked with all ``messages`` before it.

    ``messages`` may be read and set between turns. A conversation belongs to one thread.
    """

    def __init__(self, connection: Connection, messages: Iterable[Message | Mapping[str, Json]] = ()) -> None:
        self._connection = connection
        self.messages: tuple[Message, ...] = tuple(
            each if isinstance(each, Message) else _restored(each) for each in messages
        )

    def stored(self) -> list[dict[str, Json]]:
        """``messages`` for ``json.dumps``; ``Connection.conversation`` continues from them."""
        return [_stored(message) for message in self.messages]

    def ask(self, prompt: Prompt, **options: Unpack[ChatOptions]) -> Answer:
        """The complete answer. Everything else is an exception, and the turn is then not part of ``messages``.

        With ``tools``, it is the answer to the last request: the one that calls no more tools.

        Raises what ``Client.chat`` raises, the answer's own ``error`` if it was cut, filtered or empty, and
        ``LoopLimitError`` if the model does not stop calling tools.
        """
        run = self._run(prompt, options)
        for _ in run:
            pass
        answer = run.answers[-1]
        if answer.error is not None:
            raise answer.error
        self.messages = run.messages
        return answer

    def stream(self, prompt: Prompt, **options: Unpack[ChatOptions]) -> Generator[Event, None, None]:
        """The events as they happen. The last one, ``ChatEnded``, has the whole answer and its verdict.

        What was received is part of ``messages``, even if the iterator is closed early. Raises what ``Client.chat``
        raises.
        """
        run = self._run(prompt, options)
        before = run.messages
        try:
            yield from run
        except CoreError as error:
            run.end(error)
            raise
        finally:
            run.end()
            if run.messages is not before:
                self.messages = run.messages

    def ask_json(
        self,
        prompt: Prompt,
        schema: Mapping[str, Json],
        /,
        *,
        retries: int = 1,
        **options: Unpack[ChatOptions],
    ) -> Json:
        """The answer as a JSON value that matches ``schema``; retried, with the reason, if it does not.

        Raises ``SchemaError`` for a schema that cannot be used, before any request; ``SchemaMismatchError`` after the
        last of ``retries``; and everything that ``ask`` raises.
        """
        from provider_core.structured import schema_from

        options["schema"] = schema_from(schema)
        run = self._run(prompt, options, schema_retries=retries)
        for _ in run:
            pass
        answer = run.answer
        if answer.error is not None and not (
            answer.verdict is Verdict.COMPLETE and isinstance(answer.error, ToolRefusedError)
        ):
            raise answer.error
        self.messages = run.messages
        return json.loads(answer.text)

    def _run(self, prompt: Prompt, options: ChatOptions, *, schema_retries: int | None = None) -> ChatRun:
        if unknown := options.keys() - ChatOptions.__annotations__:
            raise TypeError(f"there is no option {min(unknown)!r} for asking")
        connection = self._connection
        new = _messages(prompt)
        system = options.get("system") or ""
        if not system and all(message.role != "system" for message in self.messages):
            system = connection.system
        if system:
            new = (Message(role="system", content=system), *new)
        given: Any = {name: value for name, value in options.items() if name in _REQUEST_OPTIONS}
        given.setdefault("max_characters", limits.WHOLE_ANSWER)
        plan = connection._plan(
            append_messages(self.messages, new),
            new,
            given,
            schema_retries=schema_retries,
            max_turns=options.get("max_turns", 10),
        )
        return ChatRun(
            plan,
            connection._open,
            toolboxes=_toolboxes(options.get("tools", ())),
            approve=options.get("approve"),
            notify=connection._notify,
            price=connection._price,
            rests=Rests(connection._runtime.paths.rests) if plan.fallbacks else None,
        )


def with_fallbacks(
    runtime: Runtime, found: Sequence[Candidate], chat_with: Callable[[Candidate], ChatPlan]
) -> ChatPlan:
    """The chat with the first model that can be asked, and with the others as fallbacks.

    ``chat_with`` makes the chat with one model, and raises the error of one that cannot be asked, or
    ``InvalidInputError`` for one that cannot read all of the prompt. Raises the last error if none can be asked.
    """
    if len(found) == 1:
        return chat_with(found[0])
    chats: list[ChatPlan] = []
    models: list[Fallback] = []
    for each in found:
        try:
            chat = chat_with(each)
        except CoreError as error:
            unfit = ("no_vision", "no_audio", "no_pdf", "no_web_search")
            if isinstance(error, InvalidInputError) and error.code not in unfit and each.target is not None:
                raise
            models.append(Fallback(name=str(each.target or each.name), error=error))
            continue
        chats.append(chat)
        request, context = replace(chat.request, messages=()), context_of(runtime, chat.target)
        models.append(Fallback(name=str(chat.target), target=chat.target, request=request, context=context))
    if not chats:
        raise models[-1].error or AssertionError
    at = next(at for at, each in enumerate(models) if each.target is not None)
    return replace(
        chats[0], context=models[at].context, unusable=tuple(models[:at]), fallbacks=tuple(models[at + 1 :])
    )


def _usable(candidates: Sequence[Candidate]) -> list[Target]:
    return [each.target for each in candidates if each.target is not None]


def _messages(prompt: Prompt) -> tuple[Message, ...]:
    match prompt:
        case Message():
            return (prompt,)
        case str():
            return (Message(role="user", content=prompt),)
        case _ if all(isinstance(each, Message) for each in prompt):
            return cast("tuple[Message, ...]", tuple(prompt))
        case _ if all(isinstance(each, TextPart | ImagePart | FilePart | AudioPart) for each in prompt):
            return (Message(role="user", content=cast("tuple[Part, ...]", tuple(prompt))),)
        case _:
            raise TypeError(f"a prompt is text, parts or messages, not {type(prompt).__name__}")


def _stored(message: Message) -> dict[str, Json]:
    """The fields that are not empty, and always the role and the content."""
    return {name: value for name, value in asdict(message).items() if value or name in ("role", "content")}


_PARTS: Mapping[frozenset[str], type[Part]] = {
    frozenset(kind._fields): kind for kind in (TextPart, ImagePart, FilePart, AudioPart)
}


def _restored(stored: Mapping[str, Json]) -> Message:
    try:
        given = dict(stored)
        if not isinstance(given["content"], str):
            given["content"] = tuple(_PARTS[frozenset(part)](**part) for part in given["content"])
        given["reasoning_details"] = tuple(given.get("reasoning_details", ()))
        for name, kind in (("tool_calls", ToolCall), ("sources", Source), ("images", Image)):
            given[name] = tuple(kind(**value) for value in given.get(name, ()))
        return Message(**given)
    except (TypeError, LookupError, ValueError) as error:
        raise InvalidInputError(f"not a stored message: {error}") from None


def _toolboxes(tools: Iterable[Toolbox | Callable[..., Any]]) -> list[Toolbox]:
    """The toolboxes, and one more that holds the functions."""
    functions: list[Callable[..., Any]] = []
    boxes: list[Toolbox] = []
    for tool in tools:
        if callable(tool):
            functions.append(tool)
        else:
            boxes.append(tool)
    if functions:
        from provider_core.tools.functions import FunctionTools

        boxes.append(FunctionTools(functions))
    return boxes
