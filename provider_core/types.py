"""The values that pass between the rooms of the core, and between the core and whoever uses it.

Only data stands here: frozen, slotted, keyword-only. Nothing reads the wire, a file or a terminal.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from provider_core.structs import Struct, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from provider_core.errors import CoreError

__all__ = [
    "AnswerEvent",
    "Auth",
    "Call",
    "CallAsText",
    "Choice",
    "Effort",
    "FieldDropped",
    "FieldIgnored",
    "Finished",
    "Idle",
    "Image",
    "ImagePart",
    "Json",
    "Message",
    "Model",
    "ModelKind",
    "Network",
    "Notice",
    "Part",
    "Provider",
    "Quirks",
    "Reasoning",
    "Reply",
    "Request",
    "Retrying",
    "Role",
    "Sent",
    "Source",
    "Sources",
    "Target",
    "Text",
    "TextPart",
    "Timing",
    "Tool",
    "ToolCall",
    "Transport",
    "Usage",
    "Verdict",
]

Json: TypeAlias = Any
"""A value as ``json.loads`` gives it. It is read leniently: every use checks the type it needs."""

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
Auth: TypeAlias = Literal["bearer", "api-key", "none"]
"""How a key travels: ``Authorization: Bearer``, Azure's ``api-key`` header, or not at all."""

ModelKind: TypeAlias = Literal[
    "chat", "completion", "embedding", "rerank", "speech", "image", "moderation", "other"
]
"""What a model is for. Only "chat" is sure to take chat completions; "image" is video too."""


# --- what is asked -----------------------------------------------------------------------------------------


class TextPart(Struct):
    """A piece of text in a message that also holds something else."""

    text: str


class ImagePart(Struct):
    """An image: an https address, or a ``data:`` URL in base64, which is what local servers take."""

    url: str


Part: TypeAlias = TextPart | ImagePart


class Message(Struct):
    """One turn of a conversation."""

    role: Role
    content: str | tuple[Part, ...] = ""
    tool_calls: tuple[ToolCall, ...] = ()
    """Of an assistant: the calls it made, as they were received."""
    tool_call_id: str = ""
    """Of a tool: the id of the call that this is the result of. Its ``content`` may hold images."""
    reasoning: str = ""
    """The reasoning of an assistant message. It is sent only to providers that want it back."""
    reasoning_details: tuple[Json, ...] = ()
    """The same thoughts as the server's own array, in its order: signed or sealed ones have no other form."""
    extra: Mapping[str, Json] = field(default_factory=dict)
    """Of an assistant: the server's own keys of the message (signatures), to be sent back unchanged."""
    provider: str = ""
    """Of an assistant: the name of the provider that wrote it, as far as it is known. Another one is sent
    neither its thoughts nor its extras."""
    sources: tuple[Source, ...] = ()
    """Of an assistant: what its answer rests on. Like ``images``, it is stored and never sent."""
    images: tuple[Image, ...] = ()


class Tool(Struct):
    """A function that the model may call; ``schema`` is the JSON schema of its arguments."""

    name: str
    description: str = ""
    schema: Mapping[str, Json] = field(default_factory=dict)


class Request(Struct):
    """One chat completion to ask for. What is None or empty is absent from the body; 0 is sent."""

    model: str
    messages: tuple[Message, ...]
    stream: bool = True
    max_tokens: int | None = None
    temperature: float | None = None
    reasoning_effort: str | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    """One of "auto", "required" and "none", or the name of the tool that has to be called."""
    max_characters: int | None = None
    """Characters of text after which the answer is broken off with an error, for callers that hold all of it."""
    schema: Mapping[str, Json] | None = None
    """The JSON schema that the answer has to fit. It is asked for as the provider's row lets it be; whether the
    answer does is for whoever asks to check (``structured.check``)."""
    reads_images: bool = False
    """Whether the model is known to read images. If so, the images in tool results are sent; else a line of text says
    that there were some."""
    params: Mapping[str, Json] = field(default_factory=dict)
    """Further fields of the body, as the user gave them; they win over everything above, and None takes a
    field out."""


# --- who is asked ------------------------------------------------------------------------------------------


class Effort(Struct):
    """How one family of models is told to think more, less, or not at all."""

    models: tuple[str, ...] = ()
    """Shell patterns (``kimi-k3*``) for what follows the last slash of a model id, both in lower case.
    Empty for every model."""
    levels: Mapping[str, Mapping[str, Json]] | None = None
    """The fields of the body for each level that can be asked for; an empty table means that none can.
    None: any level is sent as typed in ``reasoning_effort``, and the server is the judge of it."""


class Quirks(Struct):
    """How a provider's wire differs from OpenAI's; the defaults are what most servers take.

    Each field is read in one place of ``quirks`` or ``stream``. A row of the presets sets what a source
    bears out and leaves the rest alone.
    """

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    stream_usage: bool = True
    """Whether ``stream_options.include_usage`` is sent with streams."""
    default_max_tokens: int | None = None
    """Sent when the user sets none, because the server's own default cuts answers short."""
    always_stream: bool = False
    """Whether a whole answer is had by streaming too: some requests are refused otherwise."""
    effort: tuple[Effort, ...] = (Effort(),)
    """How a reasoning effort is asked for; the first entry that has the model counts, and the last has every
    model. One form is sent and never two: servers that know both refuse them together."""
    reasoning_send_back: Literal[
        "never", "reasoning_content", "reasoning", "reasoning_details", "think_tags"
    ] = "never"
    """The message field that takes the reasoning of an assistant message that called tools; "think_tags" puts
    it before the content, between ``<think>`` tags. In a conversation with tools, offered or called,
    "reasoning_content" goes along with every assistant message. Without tools no reasoning is sent."""
    tool_call_ids: Literal["any", "mistral9"] = "any"
    """The ids of tool calls as history may carry them; "mistral9" is nine letters or digits."""
    tool_choice_required: Literal["required", "any", "auto"] = "required"
    """The word that demands a tool call; "auto" where none does, so that the field is left out."""
    tool_choice_while_thinking: bool = True
    """Whether a tool call can be demanded of a model that thinks. If not, the field is left out unless the
    request turns thinking off, as the reasoning effort "none" does."""
    tool_choice_named: Literal["object", "word"] = "object"
    """How one tool is demanded: by an object with its name, or by ``tool_choice_required`` while it is the only
    tool that is offered."""
    system_role: Literal["system", "developer", "user"] = "system"
    """The role of a system prompt; "user" puts its text before the first user message."""
    alternate_roles: bool = False
    """Whether neighbouring messages of one role are merged, because the server refuses them."""
    earlier_calls: Literal["calls", "text"] = "calls"
    """How tool calls of earlier turns go along with a request that offers no tools."""
    tool_images: Literal["tool", "user"] = "tool"
    """The role of the message that holds the images of tool results: "tool" is the result itself, "user" a message
    after all results of the turn."""
    json_schema: Literal["json_schema", "loose_schema", "json_object", "none"] = "json_schema"
    """The strongest ``response_format`` that is kept; "none" where the field is refused or ignored."""


class Network(Struct):
    """How a provider is reached. Times are seconds."""

    connect_timeout: float = 10.0
    first_byte_timeout: float = 600.0
    """From the request sent to the first byte of the answer's body: loading and thinking happen here."""
    idle_timeout: float = 120.0
    """Between two reads once the answer has begun; comments count as activity."""
    retries: int = 2
    """How often at most a request that failed before any text is sent again."""
    retry_budget: float = 120.0
    """From the first attempt's start to the start of the last retry; a server that asks for more is not waited for."""
    ca_bundle: Path | None = None
    """A file or folder that is trusted instead of the operating system's store."""
    client_cert: Path | None = None
    """A PEM file that holds a certificate and its key."""
    proxy: str | None = None
    """A proxy's URL that wins over the environment, or "none" for going straight."""
    allow_http: bool = False
    """Whether secrets may be sent unencrypted to a host that is not in a private network."""


class Model(Struct):
    """A model as a catalogue lists it. Token counts are None where no source gives them."""

    id: str
    name: str = ""
    context: int | None = None
    context_is_maximum: bool = False
    """Whether ``context`` is what the model could have: its server may give it less once it is loaded."""
    max_output: int | None = None
    reasoning: bool | None = None
    tools: bool | None = None
    vision: bool | None = None
    reasoning_levels: tuple[str, ...] = ()
    """The efforts that a source lists for the model; empty where none does."""
    kind: ModelKind = "chat"


class Provider(Struct):
    """One configured server: where it is, how its key is found, what it lists, how its wire differs.

    ``base_url`` has no trailing slash; a query in it is kept behind every path. A provider with ``gguf``
    has no address of its own: it is one while its model runs beside the command.
    """

    name: str
    display_name: str = ""
    base_url: str = ""
    preset: str | None = None
    auth: Auth = "bearer"
    key_required: bool = True
    key_stored: bool = False
    """Whether the key was put into the keyring when the provider was set up."""
    key_env: tuple[str, ...] = ()
    key_env_for: str = ""
    """The origin that the variables in ``key_env`` are for, where that is not this provider's: it is a preset that
    names them, and the settings name another address. They are then not used. "" where they are."""
    key_command: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Values may be references to secrets (``env:NAME``, ``keyring:NAME``), see ``keys.resolve``."""
    key_source: str = ""
    """Where the key that is sent comes from, in words, once it has been found."""
    header_secrets: tuple[str, ...] = field(default=(), repr=False)
    """The secrets in ``headers``, once the references are resolved: they are redacted everywhere."""
    models: tuple[Model, ...] = ()
    models_declared: bool = True
    """Whether ``models`` are the user's own; else they are what is known without asking the server."""
    default_model: str | None = None
    enabled: bool = True
    gguf: Path | None = None
    embedded: bool = False
    """Whether the model runs beside the command, in a process of its own, for as long as the command lives."""
    network: Network = field(default_factory=Network)
    quirks: Quirks = field(default_factory=Quirks)

    def url(self, path: str) -> str:
        """The address of ``path`` ("/chat/completions") at this provider; a query of the base comes last."""
        base, mark, query = self.base_url.partition("?")
        return f"{base.rstrip('/')}{path}{mark}{query}"


class Target(Struct):
    """What a model name resolved to."""

    provider: Provider
    model: str

    def __str__(self) -> str:
        """``provider/model``, as it is always printed."""
        return f"{self.provider.name}/{self.model}"


# --- what comes back ---------------------------------------------------------------------------------------


class Text(Struct):
    """A piece of the answer, exactly as the model wrote it."""

    text: str


class Reasoning(Struct):
    """A piece of what the model thought before or between its answer."""

    text: str


class ToolCall(Struct):
    """One tool call, sent once its parts are complete.

    ``arguments`` is the JSON text as received ("{}" when the server sent none); it may be malformed, which
    is for the one who would run it to say. ``extra`` holds the provider's own keys (thought signatures),
    to be sent back unchanged.
    """

    id: str
    name: str
    arguments: str
    extra: Mapping[str, Json] = field(default_factory=dict)
    cut: bool = False
    """Whether its arguments were cut off where the answer ended. Such a call is never run."""


class Source(Struct):
    """A page or a document that the answer rests on. ``number`` is the one in the text, as in "[1]"."""

    number: int
    url: str
    title: str = ""


class Sources(Struct):
    """All sources of an answer, each once, by number; sent near the end."""

    sources: tuple[Source, ...]


class Image(Struct):
    """An image in an answer: a ``data:`` URL in base64, or an address, which is not fetched.

    ``type`` is its media type, as its first bytes show it, else as the server names it; ``size`` is in bytes.
    ``broken`` says why there is no image to be had, "" if there is one. ``file`` is where it was saved.
    """

    url: str
    type: str = ""
    size: int | None = None
    broken: str = ""
    file: str = ""

    def data(self) -> bytes:
        """Return the bytes of a ``data:`` URL; raise ValueError if it is not valid base64."""
        import base64
        import binascii

        head, _, payload = self.url.partition(",")
        if not head.lower().endswith(";base64"):
            raise ValueError("not base64")
        text = "".join(payload.split()).replace("-", "+").replace("_", "/").rstrip("=")
        try:
            return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except binascii.Error as error:
            raise ValueError(str(error)) from None


class Choice(Struct):
    """A further answer to the same request (``n`` greater than 1)."""

    index: int
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str | None = None
    logprobs: Mapping[str, Json] | None = None


class Usage(Struct):
    """Token counts of the whole request. None means that the server did not say.

    ``input`` includes ``cached``; ``output`` includes ``reasoning``. ``cost`` is in US dollars, only when
    the server itself names it.
    """

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    reasoning: int | None = None
    cost: float | None = None


class Verdict(Enum):
    """What became of an answer; exit code and the line on stderr follow from it."""

    COMPLETE = "complete"
    LENGTH = "length"
    """A token limit ended it. Without an error, it is the caller's own limit, and text came."""
    PARTIAL = "partial"
    """Cut: the stream ended without saying that it was done."""
    FILTERED = "filtered"
    EMPTY = "empty"
    FAILED = "failed"
    """The server announced a failure after the answer had begun, or no answer came at all."""
    INTERRUPTED = "interrupted"
    """Whoever asked has stopped it."""


class Finished(Struct):
    """The last event of every answer.

    ``reason`` is the finish reason in OpenAI's words ("stop", "length", "tool_calls", "content_filter",
    "error") or None; ``raw_reason`` is what the server sent. ``error`` says why the answer is not whole: for every
    verdict but "complete", and for "length" unless the caller set the limit and text came.
    ``model`` is the server's name for what answered, for display only. ``reasoning_details`` and ``extra``
    are what ``Message`` takes under these names.
    """

    verdict: Verdict
    reason: str | None = None
    raw_reason: str | None = None
    error: CoreError | None = None
    model: str = ""
    reasoning_details: tuple[Json, ...] = ()
    extra: Mapping[str, Json] = field(default_factory=dict)
    choices: tuple[Choice, ...] = ()
    """The answers besides this one."""
    logprobs: Mapping[str, Json] | None = None
    """The log probabilities of the tokens, in the server's own form."""


AnswerEvent: TypeAlias = Text | Reasoning | ToolCall | Sources | Image | Usage | Finished
"""The contract between the core and whoever shows an answer: any number of events, ``Finished`` last."""


class Timing(Struct):
    """Seconds since the request was sent; None for what did not happen."""

    first_byte: float | None = None
    first_text: float | None = None
    total: float | None = None


# --- what is told on the way -------------------------------------------------------------------------------


class Sent(Struct):
    """The request is with the server: what is waited for now is its answer."""


class Idle(Struct):
    """Nothing has come for a moment: what else there is to do delays nothing now. Not every transport says so."""


class Retrying(Struct):
    """The request failed before any text and is sent again after ``seconds``."""

    error: CoreError
    seconds: float
    attempt: int
    """The number of the attempt to come: 2 for the first retry."""


class FieldDropped(Struct):
    """The server does not accept a field of the body; it is left out, renamed or sent with another value.

    ``field`` is the wire's name. ``value`` is what it is sent with instead, ``swapped_for`` the field that takes
    its place. Some forms have words of their own in ``swapped_for``: for "stream" "unstreamed" or "streamed";
    for "tool_choice" "text", "any" or "required"; for "response_format" "unstreamed" (the whole answer at once),
    "json_schema", "loose_schema", "json_object" or "none", the last two with the schema in the prompt.

    Four more names are about messages: "system", the system prompt's role, swapped for "user" or "system";
    "roles", neighbouring messages of one role, joined; "calls", tool calls of earlier turns, sent as "text";
    "reasoning_send_back", the reasoning of earlier answers, sent as "reasoning_content" or "never".

    ``asked`` is the field of ``Request`` by which the user asked for it ("params" for a raw field), empty
    if nobody did. ``beside`` names the field with which alone it is refused. ``remembered`` means that an
    earlier request was refused; ``words`` are the server's, if it has just refused it. With neither, the
    provider is known not to accept it. ``lasting`` means that later requests are changed in the same way.
    """

    field: str
    swapped_for: str | None = None
    value: Json = None
    beside: str = ""
    words: str = ""
    asked: str = ""
    remembered: bool = False
    lasting: bool = False


class FieldIgnored(Struct):
    """The server accepted ``field`` and did not do what ``value`` asks for."""

    field: str
    value: str


class CallAsText(Struct):
    """The answer seems to be a tool call that the server did not recognize and sent as text; it is not run.

    ``tool`` is the tool that seems to be called, as ``toolbox/tool``; "" if it cannot be told.
    """

    tool: str = ""


Notice: TypeAlias = Sent | Idle | Retrying | FieldDropped | FieldIgnored | CallAsText
"""What the core says while it works, to a callback: it is no part of the answer."""


# --- the seam to the network -------------------------------------------------------------------------------


class Call(Struct):
    """One HTTP request. ``provider`` is for error messages only."""

    method: Literal["GET", "POST"]
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = b""
    network: Network = field(default_factory=Network)
    provider: str | None = None
    trace: Callable[[str], None] | None = field(default=None, repr=False, compare=False)
    """Told of the connection's steps by httpcore's names, such as "connection.start_tls.complete"; before them of a
    proxy as "proxy http://host:port", without user and password; and of "idle", once, when nothing of the answer has
    come for a moment."""


class Reply(Protocol):
    """An HTTP answer whose body is still to come.

    It may have a method ``limit_idle(seconds)`` as well: from then on a pause of so many seconds is the end of the body
    and no error. ``limit_idle(None)`` undoes that.
    """

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case."""

    def chunks(self) -> Iterator[bytes]:
        """The body as it arrives, decompressed; raises ``NetworkError`` when it breaks off."""


class Transport(Protocol):
    """What carries a call; tests and users may bring their own."""

    def send(self, call: Call) -> AbstractContextManager[Reply]:
        """Send the call and wait for the head of the answer; leaving the context closes the connection."""

    def close(self) -> None:
        """Let go of connections that are kept for reuse."""
