"""Every error the core raises, as one tree; nothing is decided or worded for a terminal here.

::

    CoreError
    ├── InvalidInputError            what the caller passed cannot be sent
    │   ├── AttachmentError          a file or an image that cannot be attached
    │   ├── NoVisionError            images, for a model that is known to read none
    │   ├── SchemaError              a JSON schema that cannot be used
    │   └── VariableError            a template's variables that were not given, or are not its own
    ├── SettingsError                the settings file, or a value in it or in the environment
    │   └── TemplateError            a template's file
    │       └── UnknownTemplateError
    ├── FileError                    another file or folder of the user's that cannot be written
    ├── ModelError                   a model name that leads nowhere
    │   ├── UnknownModelError
    │   ├── AmbiguousModelError
    │   ├── UnknownProviderError
    │   ├── DisabledProviderError
    │   ├── NoModelError             several providers, and none chosen
    │   └── NoProviderError          nothing is set up
    ├── ApiKeyError                  the provider's API key
    │   ├── MissingKeyError
    │   ├── InvalidKeyError          a key that no HTTP header can carry
    │   ├── KeyDestinationError      the key may not be sent to this address
    │   └── KeyStoreError            the keyring, or another store, does not work
    │       └── KeyCommandError      the key command did not give one
    ├── ProviderError                the server answered, and not with an answer
    │   ├── AuthenticationError      401
    │   ├── PermissionDeniedError    403
    │   ├── RateLimitError           429
    │   ├── QuotaError               402, and 429 that waiting does not cure
    │   ├── BadRequestError          400, 422 and other 4xx
    │   │   ├── ContextOverflowError
    │   │   └── ContentPolicyError
    │   ├── NotFoundError            404, 405, 410: no such path
    │   │   └── ModelNotFoundError
    │   │       └── WrongEndpointError
    │   ├── ServerError              5xx, and failures announced inside a stream
    │   │   └── OverloadedError      503, 529
    │   ├── TokenLimitError          cut off at a token limit that the caller did not set
    │   └── ProtocolError            bytes that are no chat completion
    ├── NetworkError                 no answer, or no whole answer, arrived
    │   ├── ConnectError             name, route, refusal, proxy
    │   │   └── TLSError
    │   ├── DeadlineError            connect, first byte, idle, or the total budget
    │   └── ConnectionLostError      broken off after the answer began
    ├── LocalModelError              the model that runs beside the command
    │   ├── LocalExtraMissingError
    │   ├── ModelFileError           truncated, no GGUF, of the wrong sum, not there
    │   └── ModelFetchError          the default model could not be fetched
    ├── ToolError                    a tool that a model called, or the server that offers it
    │   ├── UnknownToolError         no tool of this name is offered
    │   ├── ToolArgumentsError       no JSON object, or not what the tool's schema asks for
    │   ├── ToolRefusedError         the call was not approved
    │   │   └── NotAllowedError      nobody could be asked
    │   ├── ToolTimeoutError         no result in the time there was
    │   └── ToolServerError          does not start, breaks off, or talks nonsense
    │       ├── ToolAccessError      401, 403: the server wants other credentials
    │       ├── ToolConnectError     no connection, or no answer in time
    │       ├── ToolSecretError      a secret that it is to be given is not there
    │       ├── ToolSessionError     it knows nothing of the session any more
    │       ├── ToolsExtraMissingError
    │       └── UnknownToolServerError
    ├── HistoryError                 the file of past conversations, or one of them
    │   ├── BusyHistoryError         another program holds it
    │   ├── CorruptHistoryError      damaged, or no history at all
    │   ├── NewerHistoryError        written by a newer release
    │   ├── UnknownConversationError
    │   └── AmbiguousConversationError
    ├── SchemaMismatchError          an answer that does not fit the schema it was asked to fit
    └── LoopLimitError               the model still calls tools at its last allowed turn

A message is one sentence that names who and what. It holds no key: whoever makes a message out of a
server's words redacts them first. What to do next is said by the caller, from the error's fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = [
    "AmbiguousConversationError",
    "AmbiguousModelError",
    "ApiKeyError",
    "AttachmentError",
    "AuthenticationError",
    "BadRequestError",
    "BusyHistoryError",
    "ConnectError",
    "ConnectionLostError",
    "ContentPolicyError",
    "ContextOverflowError",
    "CoreError",
    "CorruptHistoryError",
    "DeadlineError",
    "DisabledProviderError",
    "FileError",
    "HistoryError",
    "InvalidInputError",
    "InvalidKeyError",
    "KeyCommandError",
    "KeyDestinationError",
    "KeyStoreError",
    "LocalExtraMissingError",
    "LocalModelError",
    "LoopLimitError",
    "MissingKeyError",
    "ModelError",
    "ModelFetchError",
    "ModelFileError",
    "ModelNotFoundError",
    "NetworkError",
    "NewerHistoryError",
    "NoModelError",
    "NoProviderError",
    "NoVisionError",
    "NotAllowedError",
    "NotFoundError",
    "OverloadedError",
    "PermissionDeniedError",
    "ProtocolError",
    "ProviderError",
    "QuotaError",
    "RateLimitError",
    "SchemaError",
    "SchemaMismatchError",
    "ServerError",
    "SettingsError",
    "TLSError",
    "TemplateError",
    "TokenLimitError",
    "ToolAccessError",
    "ToolArgumentsError",
    "ToolConnectError",
    "ToolError",
    "ToolRefusedError",
    "ToolSecretError",
    "ToolServerError",
    "ToolSessionError",
    "ToolTimeoutError",
    "ToolsExtraMissingError",
    "UnknownConversationError",
    "UnknownModelError",
    "UnknownProviderError",
    "UnknownTemplateError",
    "UnknownToolError",
    "UnknownToolServerError",
    "VariableError",
    "WrongEndpointError",
]


class CoreError(Exception):
    """Base of all errors of the core.

    ``message`` is one sentence without a final full stop being required; ``provider`` is the provider's
    name as the user wrote it, or None where none is concerned.
    """

    def __init__(self, message: str, *, provider: str | None = None) -> None:
        super().__init__(message)
        self.message: str = message
        self.provider: str | None = provider

    def explain(self, words: str) -> None:
        """Add in brackets what led to the error: an alias, a default."""
        self.message = f"{self.message} ({words})"
        self.args: tuple[Any, ...] = (self.message,)


class InvalidInputError(CoreError):
    """The caller's own argument cannot be used; the sentence says which and why."""


class AttachmentError(InvalidInputError):
    """A file or an image that cannot be attached. ``name`` is what it was called.

    ``looks_like`` says what its content looks like ("a PNG image"), "" where nobody knows; ``image`` that it
    is an image which can be attached as one.
    """

    def __init__(self, message: str, *, name: str = "", looks_like: str = "", image: bool = False) -> None:
        super().__init__(message)
        self.name = name
        self.looks_like = looks_like
        self.image = image


class NoVisionError(InvalidInputError):
    """Images for a model that is known to read none."""


class SchemaError(InvalidInputError):
    """The JSON schema cannot be used. ``place`` is where in it, as a JSON path ("$.properties.age"); "" for all."""

    def __init__(self, message: str, *, place: str = "") -> None:
        super().__init__(message)
        self.place = place


class VariableError(InvalidInputError):
    """Variables of a template that have no value, or that it does not have; ``missing`` are the former."""

    def __init__(self, message: str, *, missing: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.missing: tuple[str, ...] = tuple(missing)


class SettingsError(CoreError):
    """The settings cannot be used. ``path`` and ``line`` (from 1) say where, as far as known."""

    def __init__(self, message: str, *, path: Path | None = None, line: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.line = line


class TemplateError(SettingsError):
    """A template's file cannot be used; ``path`` and ``line`` say where, as far as known."""


class UnknownTemplateError(TemplateError):
    """There is no template of this name; ``candidates`` are near misses."""

    def __init__(self, message: str, *, name: str = "", candidates: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.candidates: tuple[str, ...] = tuple(candidates)


class FileError(CoreError):
    """The file or the folder at ``path`` cannot be made or written; ``reason`` is why, in the system's words."""

    def __init__(self, message: str, *, path: Path, reason: str = "") -> None:
        super().__init__(f"{message}: {reason}" if reason else message)
        self.path = path
        self.reason = reason


class ModelError(CoreError):
    """A model name that leads nowhere; ``candidates`` are names that would lead somewhere."""

    def __init__(
        self, message: str, *, provider: str | None = None, name: str = "", candidates: Sequence[str] = ()
    ) -> None:
        super().__init__(message, provider=provider)
        self.name = name
        self.candidates: tuple[str, ...] = tuple(candidates)


class UnknownModelError(ModelError):
    """No usable provider has a model of this name; ``candidates`` are near misses."""


class AmbiguousModelError(ModelError):
    """Several usable providers have a model of this name; ``candidates`` are the full ids."""


class UnknownProviderError(ModelError):
    """No provider of this name is set up; ``preset`` tells whether a preset has it."""

    def __init__(
        self, message: str, *, name: str = "", candidates: Sequence[str] = (), preset: bool = False
    ) -> None:
        super().__init__(message, name=name, candidates=candidates)
        self.preset = preset


class DisabledProviderError(ModelError):
    """The provider that was meant is set up and switched off."""


class NoModelError(ModelError):
    """No model was named, there is no default, and several providers could be meant."""


class NoProviderError(ModelError):
    """No provider is set up, and the embedded model is not installed either."""


class ApiKeyError(CoreError):
    """The provider's API key; never holds any part of it."""


class MissingKeyError(ApiKeyError):
    """No source has a key. ``key_env`` are the environment variables that were looked at.

    ``secret`` is ``env:NAME`` or ``keyring:NAME`` where it is not the key that is missing, but that secret.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        key_env: Sequence[str] = (),
        secret: str = "",
    ) -> None:
        super().__init__(message, provider=provider)
        self.key_env: tuple[str, ...] = tuple(key_env)
        self.secret = secret


class InvalidKeyError(ApiKeyError):
    """The key is empty or holds characters that no HTTP header can carry."""


class KeyDestinationError(ApiKeyError):
    """The key, or a secret header, may not be sent to the provider's address; nothing was sent.

    ``destination`` is where it would have gone. ``unencrypted`` tells that it would have travelled over plain
    http; otherwise it belongs to another address, and the user has not confirmed this one. ``unknown`` tells
    that it is another home's, which cannot be confirmed from here. ``secret`` is ``env:NAME`` or ``keyring:NAME``
    for a header's.
    """

    secret = ""

    def __init__(
        self, message: str, *, destination: str, unencrypted: bool = False, unknown: bool = False
    ) -> None:
        super().__init__(message)
        self.destination = destination
        self.unencrypted = unencrypted
        self.unknown = unknown


class KeyStoreError(ApiKeyError):
    """The keyring, or another store of keys, does not work; the message quotes its own words.

    ``state`` is "missing" where there is no keyring to use, "locked" where it may be waiting to be unlocked, or "".
    """

    def __init__(
        self, message: str, *, provider: str | None = None, state: Literal["missing", "locked", ""] = ""
    ) -> None:
        super().__init__(message, provider=provider)
        self.state = state


class KeyCommandError(KeyStoreError):
    """The key command failed; what it says on stderr has gone there."""


class ProviderError(CoreError):
    """The server answered with an error, in a body or inside a stream.

    ``status`` is the HTTP status, or None when the failure came inside a stream that had begun with 200.
    ``code`` and ``type`` are the server's own, as strings; ``param`` is the field of the request that it
    blames, where it names one apart. ``retry_after`` is in seconds, when the server named a time. ``words``
    is the server's own message alone (redacted, printable, at most about 2 kB). ``should_retry`` is what the
    server says of another attempt (``x-should-retry``), None where it says nothing.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        status: int | None = None,
        code: str | None = None,
        type: str | None = None,  # noqa: A002 - the wire's own name
        param: str | None = None,
        words: str = "",
        retry_after: float | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(message, provider=provider)
        self.status = status
        self.code = code
        self.type = type
        self.param = param
        self.words = words
        self.retry_after = retry_after
        self.should_retry = should_retry


class AuthenticationError(ProviderError):
    """The key was refused, or is missing. ``sign_in`` is the address at which the server asks to sign in, or "".

    ``key_source`` is where the key came from ("environment variable NAME", "key command", "keyring"), "" where none
    was sent.
    """

    sign_in: str = ""
    key_source: str = ""


class PermissionDeniedError(ProviderError):
    """The key is known, and what was asked is not allowed with it."""


class RateLimitError(ProviderError):
    """Too many requests; waiting cures it."""


class QuotaError(ProviderError):
    """No credit or no quota left; waiting does not cure it."""


class BadRequestError(ProviderError):
    """The server refuses this request as it is."""


class ContextOverflowError(BadRequestError):
    """The prompt does not fit into the model's context window."""


class ContentPolicyError(BadRequestError):
    """The server's content policy refuses the prompt."""


class NotFoundError(ProviderError):
    """Nothing is served at this path: most likely a wrong base URL.

    ``suggested_base`` is the base URL that a redirect points to, None where there is none to tell.
    """

    suggested_base: str | None = None


class ModelNotFoundError(NotFoundError):
    """The server does not have this model, or does not have it for this key."""

    model: str = ""


class WrongEndpointError(ModelNotFoundError):
    """The model exists, but not at chat completions: an embedding model, or one for another endpoint."""


class ServerError(ProviderError):
    """The server failed."""


class OverloadedError(ServerError):
    """The server is up and busy, or still loading its model."""


class TokenLimitError(ProviderError):
    """The answer was cut off at a token limit that the caller did not set, or before any text came."""


class ProtocolError(ProviderError):
    """What came back is no chat completion: HTML, plain text, JSON of another kind, or nothing."""


class NetworkError(CoreError):
    """No answer, or no whole answer, arrived. ``url`` is where to, without credentials or query."""

    def __init__(self, message: str, *, provider: str | None = None, url: str = "") -> None:
        super().__init__(message, provider=provider)
        self.url = url


class ConnectError(NetworkError):
    """No connection could be made: name, route, refusal, or the proxy.

    ``transient`` tells whether the same call may succeed a moment later. ``proxy`` is the setting or variable
    that names the proxy, where a proxy failed; ``login`` whether it demands a user and password.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        url: str = "",
        transient: bool = True,
        proxy: str = "",
        login: bool = False,
    ) -> None:
        super().__init__(message, provider=provider, url=url)
        self.transient = transient
        self.proxy = proxy
        self.login = login


class TLSError(ConnectError):
    """The server's certificate, or the handshake, was not accepted.

    ``cause`` is "issuer" (unknown or self-signed), "name" (the certificate is for other hosts), "dates", "client"
    (the server requires a client certificate), "plain" (the server does not speak TLS), or "". ``trusted`` is the
    setting or variable that names the trusted certificates, "" for the operating system's.
    """

    cause: str = ""
    trusted: str = ""
    other_bundle: tuple[str, str] = ("", "")
    """A variable of other programs that names certificates, and the file: telex does not read it."""


class DeadlineError(NetworkError):
    """A wait ran out. ``phase`` is "connect", "first byte", "idle" or "total"; ``seconds`` its limit."""

    def __init__(
        self, message: str, *, provider: str | None = None, url: str = "", phase: str, seconds: float
    ) -> None:
        super().__init__(message, provider=provider, url=url)
        self.phase = phase
        self.seconds = seconds


class ConnectionLostError(NetworkError):
    """The connection broke before the body was whole. ``received`` counts the body's bytes that arrived."""

    def __init__(
        self, message: str, *, provider: str | None = None, url: str = "", received: int = 0
    ) -> None:
        super().__init__(message, provider=provider, url=url)
        self.received = received


class LocalModelError(CoreError):
    """The model that runs beside the command, in a process of its own. ``path`` is its file, as far as there is one."""

    def __init__(self, message: str, *, provider: str | None = None, path: Path | None = None) -> None:
        super().__init__(message, provider=provider)
        self.path = path


class LocalExtraMissingError(LocalModelError):
    """The package that carries llama.cpp is not installed."""


class ModelFileError(LocalModelError):
    """The model file cannot be used: not there, truncated, no GGUF, or of the wrong sum."""


class ModelFetchError(LocalModelError):
    """The default model could not be fetched; the message quotes the installer's own words."""


class ToolError(CoreError):
    """A tool call that brought no result. ``server`` and ``tool`` are names as the user knows them, "" where unknown.

    In the loop it is what the model is told, and no end: the call's result is this sentence.
    """

    def __init__(self, message: str, *, server: str = "", tool: str = "") -> None:
        super().__init__(message)
        self.server = server
        self.tool = tool


class UnknownToolError(ToolError):
    """No tool of this name is offered; ``candidates`` are near names."""

    def __init__(self, message: str, *, tool: str = "", candidates: Sequence[str] = ()) -> None:
        super().__init__(message, tool=tool)
        self.candidates: tuple[str, ...] = tuple(candidates)


class ToolArgumentsError(ToolError):
    """The arguments are no JSON object, or do not fit the tool's schema; the tool did not run."""


class ToolRefusedError(ToolError):
    """Whoever was asked did not approve of the call; ``reason`` is theirs, and may be empty."""

    def __init__(self, message: str, *, server: str = "", tool: str = "", reason: str = "") -> None:
        super().__init__(message, server=server, tool=tool)
        self.reason = reason


class NotAllowedError(ToolRefusedError):
    """Calls were refused because they are not allowed by name, and nobody could be asked; ``names`` are the tools'."""

    def __init__(self, message: str, *, names: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.names: tuple[str, ...] = tuple(names)


class ToolTimeoutError(ToolError):
    """The tool did not end within ``seconds``; it was told to stop, and may have done its work all the same."""

    def __init__(self, message: str, *, server: str = "", tool: str = "", seconds: float) -> None:
        super().__init__(message, server=server, tool=tool)
        self.seconds = seconds


class ToolServerError(ToolError):
    """A tool server did not start, broke off, or answered with something that is no result."""


class HistoryError(CoreError):
    """The history cannot be used. ``path`` is its file, None where the file is in order."""

    def __init__(self, message: str, *, path: Path | None = None) -> None:
        super().__init__(message)
        self.path = path


class BusyHistoryError(HistoryError):
    """Another program has held the history for longer than is waited for."""


class CorruptHistoryError(HistoryError):
    """The file is damaged, or is another program's; it is left as it is."""


class NewerHistoryError(HistoryError):
    """The file is of a newer release, which this one cannot read."""


class UnknownConversationError(HistoryError):
    """No conversation is called so; ``candidates`` are near misses, each an id and a title."""

    def __init__(self, message: str, *, name: str = "", candidates: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.candidates: tuple[tuple[str, str], ...] = tuple(candidates)


class AmbiguousConversationError(HistoryError):
    """Several conversations could be meant; ``candidates`` are all of them, each an id and a title."""

    def __init__(self, message: str, *, name: str = "", candidates: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.candidates: tuple[tuple[str, str], ...] = tuple(candidates)


class SchemaMismatchError(CoreError):
    """The answer is not what the schema asks for.

    ``place`` is where it fails first, as a JSON path into the answer ("$.people[2].age"), "" where it is no
    JSON at all. ``details`` are the failures, each "place: words", at most the first five.
    """

    def __init__(self, message: str, *, place: str = "", details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.place = place
        self.details: tuple[str, ...] = tuple(details)


class ToolAccessError(ToolServerError):
    """The server answered 401 or 403: it wants credentials, or others than it was given."""


class ToolConnectError(ToolServerError):
    """The server could not be reached, or had not answered when its time for starting was over."""


class ToolSecretError(ToolServerError):
    """A secret that the server is to be given is not there. ``wanted_for`` is the variable or header it is for.

    ``source`` is where it was looked for: "keyring:NAME" or "env:VAR"; "http" where it would travel unencrypted.
    """

    def __init__(self, message: str, *, server: str = "", wanted_for: str = "", source: str = "") -> None:
        super().__init__(message, server=server)
        self.wanted_for = wanted_for
        self.source = source


class ToolSessionError(ToolServerError):
    """The server knows nothing of the session any more, and has not done what was asked in it: begin another."""


class ToolsExtraMissingError(ToolServerError):
    """The package that speaks the Model Context Protocol is not installed."""


class UnknownToolServerError(ToolServerError):
    """No server of this name is set up; ``candidates`` are near names."""

    def __init__(self, message: str, *, server: str = "", candidates: Sequence[str] = ()) -> None:
        super().__init__(message, server=server)
        self.candidates: tuple[str, ...] = tuple(candidates)


class LoopLimitError(CoreError):
    """The model still called tools in the last of the ``turns`` it was allowed; those calls did not run."""

    def __init__(self, message: str, *, provider: str | None = None, turns: int) -> None:
        super().__init__(message, provider=provider)
        self.turns = turns
