"""The values that the modules and the users of the core share: requests, providers, events, notices."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from provider_core.structs import Struct, field, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from decimal import Decimal
    from pathlib import Path

    from provider_core.errors import CoreError

__all__ = [
    "Alias", "AnswerEvent", "AudioPart", "Auth", "Body", "Call", "CallAsText", "Choice", "Continuation", "Effort",
    "FieldDropped", "FieldIgnored", "FilePart", "Finished", "Idle", "Image", "ImagePart", "Json", "Message",
    "Model", "ModelKind", "Network", "Notice", "Part", "Prefill", "Provider", "Quirks", "Reasoning", "Reply",
    "Request", "Retrying", "Role", "Sent", "Source", "Sources", "Target", "Text", "TextPart", "Timing", "Tool",
    "ToolCall", "Transport", "Usage", "Verdict",
]  # fmt: skip

Json: TypeAlias = Any
"""A value that ``json.loads`` returned. It is read leniently: every use checks the type that it needs."""

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
Auth: TypeAlias = Literal["bearer", "api-key", "none"]
"""How a key is sent: in ``Authorization: Bearer``, in Azure's ``api-key`` header, or not at all."""

ModelKind: TypeAlias = Literal[
    "chat", "completion", "embedding", "rerank", "speech", "image", "moderation", "other"
]
"""The purpose of a model. Only "chat" is certain to support chat completions; "image" includes video."""


# --- requests ------------------------------------------------------------------------------------------------


class TextPart(Struct):
    """Text in a message that has other parts, too."""

    text: str


class ImagePart(Struct):
    """An image: an https address, or a ``data:`` URL in base64, which is what local servers accept."""

    url: str


class FilePart(Struct):
    """A PDF as a ``data:`` URL in base64, for the models that ``Quirks.pdf`` names."""

    name: str
    url: str


class AudioPart(Struct):
    """A recording: ``data`` in base64, and its ``format``, such as "wav" or "mp3"."""

    data: str
    format: str


Part: TypeAlias = TextPart | ImagePart | FilePart | AudioPart


class Message(Struct):
    """One message of a conversation."""

    role: Role
    content: str | tuple[Part, ...] = ""
    tool_calls: tuple[ToolCall, ...] = ()
    """Of an assistant: the calls it made, as received."""
    tool_call_id: str = ""
    """Of a tool: the id of the call that this is the result of. Its ``content`` may contain images."""
    reasoning: str = ""
    """Of an assistant: its reasoning. Only providers that need it receive it."""
    reasoning_details: tuple[Json, ...] = ()
    """The same reasoning as the server's own array, in its order: signed or encrypted reasoning has no other form."""
    extra: Mapping[str, Json] = field(default_factory=dict)
    """Of an assistant: the server's own keys of the message (signatures), which are sent back unchanged."""
    provider: str = ""
    """Of an assistant: the name of the provider that wrote it, if known. Others receive neither its reasoning nor
    ``extra``."""
    sources: tuple[Source, ...] = ()
    """Of an assistant: the sources of its answer. Like ``images``, they are stored and never sent."""
    images: tuple[Image, ...] = ()
    continues: bool = False
    """Of an assistant: whether it continues the text of the message before, which was cut."""


class Tool(Struct):
    """A function that the model may call; ``schema`` is the JSON schema of its arguments."""

    name: str
    description: str = ""
    schema: Mapping[str, Json] = field(default_factory=dict)


class Request(Struct):
    """A chat completion to request. Fields that are None or empty are absent from the body; 0 is sent."""

    model: str
    messages: tuple[Message, ...]
    stream: bool = True
    max_tokens: int | None = None
    temperature: float | None = None
    reasoning_effort: str | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    """"auto", "required", "none", or the name of the tool that must be called."""
    max_characters: int | None = None
    """Characters of text after which the answer is broken off with an error, for callers that hold all of it."""
    schema: Mapping[str, Json] | None = None
    """The JSON schema of the answer. It is requested in the form that the provider supports; the caller checks the
    answer (``structured.check``)."""
    reads_images: bool = False
    """Whether the model is known to read images. If not, a line of text replaces the images in tool results."""
    web: bool = False
    """Whether the provider is to search the web for the answer, by its own search."""
    prefill: bool = False
    """Whether the last message, an assistant's, is the beginning of the answer. Requires ``Quirks.prefill``."""
    params: Mapping[str, Json] = field(default_factory=dict)
    """Further fields of the body. They override everything above, and None removes a field."""


# --- providers -----------------------------------------------------------------------------------------------


class Effort(Struct):
    """How a reasoning effort is requested from one family of models."""

    models: tuple[str, ...] = ()
    """Shell patterns (``kimi-k3*``) for the part of a model id after the last slash, both in lower case. Empty for
    every model."""
    levels: Mapping[str, Mapping[str, Json]] | None = None
    """The fields of the body for each level that can be requested; an empty table means that none can. None: any level
    is sent as typed in ``reasoning_effort``, and the server decides."""


class WebSearch(Struct):
    """How the provider's own web search is turned on for one family of models.

    Nothing is sent if there are neither ``fields`` nor ``tools``: such models search by themselves.
    """

    models: tuple[str, ...] = ()
    """As in ``Effort``."""
    fields: Mapping[str, Json] = field(default_factory=dict)
    """Fields of the body."""
    tools: tuple[Mapping[str, Json], ...] = ()
    """Entries of the body's ``tools``, which the provider runs itself."""


class Prefill(Struct):
    """How the model is made to continue the last message, an assistant's, instead of answering it."""

    message: Mapping[str, Json] = field(default_factory=dict)
    """Fields of that message."""
    fields: Mapping[str, Json] = field(default_factory=dict)
    """Fields of the body."""
    base_path: str | None = None
    """The path of the base URL for such requests, if it is another one."""
    models: tuple[str, ...] = ()
    """As in ``Effort``."""


class Quirks(Struct):
    """How a provider's API differs from OpenAI's. The defaults are what most servers accept.

    Each field is used in one place. A preset sets only fields that a source proves.
    """

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    stream_usage: bool = True
    """Whether ``stream_options.include_usage`` is sent with streams."""
    default_max_tokens: int | None = None
    """Sent if the user sets none, because the server's default cuts answers short."""
    always_stream: bool = False
    """Whether to stream even if the answer is wanted at once, because some requests are refused otherwise."""
    effort: tuple[Effort, ...] = (Effort(),)
    """How a reasoning effort is requested: the first entry that matches the model; the last one matches every model.
    Only one form is sent: servers that know both refuse them together."""
    reasoning_send_back: Literal[
        "never", "reasoning_content", "reasoning", "reasoning_details", "think_tags"
    ] = "never"
    """The message field for the reasoning of an assistant message that called tools; "think_tags" puts it before the
    content, between ``<think>`` tags. "reasoning_content" is sent with every assistant message of a conversation that
    offers or calls tools. Without tools, no reasoning is sent."""
    tool_call_ids: Literal["any", "mistral9"] = "any"
    """The format of tool call ids in earlier messages; "mistral9" is nine letters or digits."""
    tool_choice_required: Literal["required", "any", "auto"] = "required"
    """The word that demands a tool call; "auto" if there is none, so that the field is omitted."""
    tool_choice_while_thinking: bool = True
    """Whether a reasoning model accepts the demand for a tool call. If not, the field is omitted unless the request
    turns reasoning off, with the reasoning effort "none"."""
    tool_choice_named: Literal["object", "word"] = "object"
    """How one tool is demanded: with an object that names it, or with ``tool_choice_required`` if there is only one."""
    system_role: Literal["system", "developer", "user"] = "system"
    """The role of a system message; "user" puts its text before the first user message."""
    alternate_roles: bool = False
    """Whether adjacent messages of one role are merged, because the server refuses them."""
    earlier_calls: Literal["calls", "text"] = "calls"
    """How tool calls of earlier turns are sent with a request that offers no tools."""
    tool_images: Literal["tool", "user"] = "tool"
    """The role of the message with the images of tool results: "tool" is the result itself, "user" a message after all
    results of the turn."""
    pdf: tuple[str, ...] = ()
    """The models that accept PDFs as they are, as shell patterns like those of ``Effort``. Others get their text."""
    json_schema: Literal["json_schema", "loose_schema", "json_object", "none"] = "json_schema"
    """The strongest ``response_format`` that works; "none" if the field is refused or ignored."""
    web_search: tuple[WebSearch, ...] = ()
    """How a web search is requested: the first entry that matches the model. Models that none matches have none."""
    prefill: Prefill | None = None
    """How an answer is continued from its beginning. None: there is no such way, so that its rest is asked for."""


class Network(Struct):
    """How to connect to a provider. Times are seconds."""

    connect_timeout: float = 10.0
    first_byte_timeout: float = 600.0
    """From the sent request to the first byte of the response body, while the server loads a model and reasons."""
    idle_timeout: float = 120.0
    """Between two reads of the response body; comments count as activity."""
    retries: int = 2
    """Maximum number of retries of a request that failed before any text."""
    retry_budget: float = 120.0
    """From the start of the first attempt to the start of the last retry; longer waits that a server asks for are
    refused."""
    ca_bundle: Path | None = None
    """A file or folder of certificates that are trusted instead of the operating system's."""
    client_cert: Path | None = None
    """A PEM file with a certificate and its key."""
    proxy: str | None = None
    """A proxy's URL that overrides the environment, or "none" for a direct connection."""
    allow_http: bool = False
    """Whether secrets may be sent unencrypted to a host outside private networks."""

    def with_limits(self, given: Mapping[str, Any]) -> Network:
        """The same with the ``connect_timeout``, ``timeout`` and ``retries`` of ``given`` that are not None.

        ``timeout`` is for the first byte of the answer, and for each pause after it.
        """
        fields = {"first_byte_timeout": "timeout", "idle_timeout": "timeout"}
        fields |= {"connect_timeout": "connect_timeout", "retries": "retries"}
        changed = {name: given[option] for name, option in fields.items() if given.get(option) is not None}
        return replace(self, **changed) if changed else self

    def limited(self, seconds: float) -> Network:
        """The same with each wait limited to ``seconds``."""
        waits = ("connect_timeout", "first_byte_timeout", "idle_timeout")
        return replace(self, **{name: min(getattr(self, name), seconds) for name in waits})


class Model(Struct):
    """A model in a catalog. Token counts are None if unknown."""

    id: str
    name: str = ""
    context: int | None = None
    context_is_maximum: bool = False
    """Whether ``context`` is the maximum of the model: its server may load it with less."""
    max_output: int | None = None
    reasoning: bool | None = None
    tools: bool | None = None
    vision: bool | None = None
    audio: bool | None = None
    """Whether it accepts recordings."""
    reasoning_levels: tuple[str, ...] = ()
    """The reasoning efforts that the model is known to support; empty if unknown."""
    price: Mapping[str, Json] | None = None
    """The prices of the model, in US dollars per million tokens: amounts as decimal text, by the names of the fields of
    ``provider_core.prices.Price``, which reads it; "source" is "settings" if the user set some of them. Only what the
    settings and the server's list have."""
    kind: ModelKind = "chat"


class Provider(Struct):
    """One configured server: its address, the source of its key, its models and its quirks.

    ``base_url`` has no trailing slash; a query in it is appended to every path. A provider with ``gguf`` has an address
    only while its model runs.
    """

    name: str
    display_name: str = ""
    base_url: str = ""
    preset: str | None = None
    presets: Path | None = None
    """The folder of the user's own presets, if ``preset`` is one of them."""
    auth: Auth = "bearer"
    key_required: bool = True
    key_stored: bool = False
    """Whether the key was stored in the keyring when the provider was set up."""
    key_env: tuple[str, ...] = ()
    key_env_for: str = ""
    """The origin that the variables in ``key_env`` belong to if it is not this provider's, in which case they are
    ignored: a preset names the variables, and the settings name another address."""
    key_command: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Values may be references to secrets (``env:NAME``, ``keyring:NAME``)."""
    key_source: str = ""
    """Where the key came from, in words, once it was found."""
    header_secrets: tuple[str, ...] = field(default=(), repr=False)
    """The secrets in ``headers``, once the references are resolved: they are redacted everywhere."""
    models: tuple[Model, ...] = ()
    models_declared: bool = True
    """Whether the user declared ``models``; else they are those known without asking the server."""
    default_model: str | None = None
    enabled: bool = True
    gguf: Path | None = None
    embedded: bool = False
    """Whether the model runs in a child process, for as long as the command runs."""
    network: Network = Network()
    quirks: Quirks = Quirks()
    base_urls: tuple[str, ...] = ()
    """Further addresses of the same models, which share the rows of a batch."""
    rpm: int | None = None
    """Requests per minute that a batch may send."""
    tpm: int | None = None
    """Tokens per minute, of prompts and answers."""
    options: Mapping[str, Json] = field(default_factory=dict)
    """Options of its requests from the settings: "temperature", "params" and so on."""
    model_options: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """The same for single models, by id; with "headers" and timeouts, too."""

    def url(self, path: str) -> str:
        """Return the address of ``path`` ("/chat/completions") at this provider, with the query of the base URL."""
        base, mark, query = self.base_url.partition("?")
        return f"{base.rstrip('/')}{path}{mark}{query}"

    def chat_url(self, *, prefill: bool = False) -> str:
        """Return the address of chat completions, and of those that continue the last message with ``prefill``."""
        how = self.quirks.prefill
        if not prefill or how is None or how.base_path is None:
            return self.url("/chat/completions")
        base, mark, query = self.base_url.partition("?")
        scheme, _, rest = base.partition("://")
        return f"{scheme}://{rest.partition('/')[0]}{how.base_path}/chat/completions{mark}{query}"


class Target(Struct):
    """The provider and the model that a model name resolved to."""

    provider: Provider
    model: str

    def __str__(self) -> str:
        """Return ``provider/model``."""
        return f"{self.provider.name}/{self.model}"


class Alias(Struct):
    """A short name for models, and the options of their chats ("system", "temperature", "params" and so on)."""

    targets: tuple[str, ...]
    """The models as users name them, the preferred one first; they may be aliases."""
    options: Mapping[str, Json] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the targets in order, with a comma between them."""
        return ", ".join(self.targets)


# --- answers -------------------------------------------------------------------------------------------------


class Text(Struct):
    """A piece of the answer, exactly as the model wrote it."""

    text: str


class Reasoning(Struct):
    """A piece of the model's reasoning, before or within its answer."""

    text: str


class ToolCall(Struct):
    """One tool call, complete or cut.

    ``arguments`` is the JSON text as received ("{}" if the server sent none); it may be malformed. ``extra`` has the
    provider's own keys (thought signatures), which are sent back unchanged.
    """

    id: str
    name: str
    arguments: str
    extra: Mapping[str, Json] = field(default_factory=dict)
    cut: bool = False
    """Whether the answer ended within its arguments. Such a call is never run."""


class Source(Struct):
    """A page or a document that the answer cites. ``number`` is the one in the text, as in "[1]"."""

    number: int
    url: str
    title: str = ""


class Sources(Struct):
    """All sources of an answer, each once, by number; sent near the end."""

    sources: tuple[Source, ...]


class Image(Struct):
    """An image in an answer: a ``data:`` URL in base64, or an address, which is not fetched.

    ``type`` is its media type, detected from its first bytes or else as the server names it; ``size`` is in bytes.
    ``broken`` says why the image is unusable, "" if it is usable. ``file`` is where it was saved.
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
    """Token counts of the whole request; None if the server sent none.

    ``input`` includes ``cached`` and ``cache_write``, the tokens that were read from the server's cache and written to
    it; ``output`` includes ``reasoning``. ``cost`` is what the server says that the request cost, in US dollars.
    """

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    cost: Decimal | None = None


class Verdict(Enum):
    """Whether an answer is complete; the exit code and the line on stderr follow from it."""

    COMPLETE = "complete"
    LENGTH = "length"
    """A token limit ended it. Without an error, it is the caller's own limit, and there is text."""
    PARTIAL = "partial"
    """The stream ended without saying that it was done."""
    FILTERED = "filtered"
    EMPTY = "empty"
    FAILED = "failed"
    """The server reported a failure after the answer had begun, or no answer came at all."""
    INTERRUPTED = "interrupted"
    """The caller stopped it."""


class Finished(Struct):
    """The last event of every answer.

    ``reason`` is the finish reason in OpenAI's words ("stop", "length", "tool_calls", "content_filter", "error") or
    None; ``raw_reason`` is what the server sent. ``error`` says why the answer is incomplete: for every verdict but
    "complete", and for "length" unless the caller set the limit and there is text. ``model`` is the server's name for
    the model, for display only. ``reasoning_details`` and ``extra`` are those of ``Message``.
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
"""The events of one answer: any number of them, ``Finished`` last."""


class Continuation(Struct):
    """How a part of an answer continues the part before, which was cut.

    ``how`` is "prefix" if the model wrote on after the text so far, "request" if it was asked for the rest. ``seam`` is
    "exact" after a prefix; "overlap" if the end of the part before was repeated, and removed; "unverified" if not, so
    that the place cannot be checked; "restart" if the model began the answer again, so that all was removed.
    """

    how: Literal["prefix", "request"]
    seam: Literal["exact", "overlap", "unverified", "restart"]
    removed: int = 0
    """The number of characters that were removed from the beginning of the part."""


class Timing(Struct):
    """Seconds since the request was sent; None for what did not happen."""

    first_byte: float | None = None
    first_text: float | None = None
    total: float | None = None


# --- notices -------------------------------------------------------------------------------------------------


class Sent(Struct):
    """The request was sent; the server works on the answer."""


class Idle(Struct):
    """Nothing has arrived for a moment, so other work would delay nothing now. Not every transport reports this."""


class Retrying(Struct):
    """The request failed before any text, and is sent again after ``seconds``."""

    error: CoreError
    seconds: float
    attempt: int
    """The number of the next attempt: 2 for the first retry."""


class FieldDropped(Struct):
    """The server does not accept a field of the body; it is omitted, renamed or sent with another value.

    ``field`` is the name in the body. ``value`` is the value that is sent instead, ``swapped_for`` the field that
    replaces it. Some fields have their own words for ``swapped_for``: "stream" has "unstreamed" or "streamed";
    "tool_choice" has "text", "any" or "required"; "response_format" has "unstreamed" (the whole answer at once),
    "json_schema", "loose_schema", "json_object" or "none", the last two with the schema in the prompt.

    Four more names are about messages: "system", the system message's role, swapped for "user" or "system"; "roles",
    adjacent messages of one role, merged; "calls", tool calls of earlier turns, sent as "text"; "reasoning_send_back",
    the reasoning of earlier answers, sent as "reasoning_content" or "never".
    """

    field: str
    swapped_for: str | None = None
    value: Json = None
    beside: str = ""
    """The field together with which it is refused, "" if it is refused by itself."""
    words: str = ""
    """The server's words, if it has just refused the field."""
    asked: str = ""
    """The field of ``Request`` with which the user asked for it ("params" for a raw field), "" if the user did not."""
    remembered: bool = False
    """Whether an earlier request was refused. Without this and ``words``, the provider is known not to accept it."""
    lasting: bool = False
    """Whether later requests are changed in the same way."""


class FieldIgnored(Struct):
    """The server accepted ``field``, but did not do what ``value`` asks for."""

    field: str
    value: str


class CallAsText(Struct):
    """The answer seems to be a tool call that the server did not recognise and sent as text; it is not run.

    ``tool`` is the tool that seems to be called, as ``toolbox/tool``; "" if unknown.
    """

    tool: str = ""


Notice: TypeAlias = Sent | Idle | Retrying | FieldDropped | FieldIgnored | CallAsText
"""Reports of the core to a callback while it works, apart from the answer."""


# --- the transport -------------------------------------------------------------------------------------------


class Body(Protocol):
    """A body that is read piece by piece while it is sent, such as a file; it may be sent again."""

    def __len__(self) -> int:
        """The number of bytes."""

    def __iter__(self) -> Iterator[bytes]: ...


class Call(Struct):
    """One HTTP request. ``provider`` is for error messages only."""

    method: Literal["GET", "POST"]
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = b""
    upload: Body | None = field(default=None, repr=False)
    """Sent instead of ``body``."""
    network: Network = Network()
    provider: str | None = None
    trace: Callable[[str], None] | None = field(default=None, repr=False, compare=False)
    """Called with the steps of the connection: httpcore's names, such as "connection.start_tls.complete"; before them
    "proxy http://host:port", without user and password; and once "idle", when nothing of the answer has arrived for a
    moment."""


class Reply(Protocol):
    """An HTTP response whose body is still to come."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case."""

    def chunks(self) -> Iterator[bytes]:
        """The body as it arrives, decompressed; raises ``NetworkError`` when it breaks off."""

    def limit_idle(self, seconds: float | None) -> None:
        """From now on, a pause of so many seconds ends the body without an error; None undoes that."""


class Transport(Protocol):
    """Sends requests; tests and library users may bring their own."""

    def send(self, call: Call) -> AbstractContextManager[Reply]:
        """Send the call and wait for the response headers; leaving the context closes the connection."""

    def close(self) -> None:
        """Close the connections that are held for reuse."""
