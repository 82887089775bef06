"""Every error that the core raises, as one tree below ``CoreError``.

The annotations of a class are the keyword arguments of its constructor, after the message.

A message is one sentence that names who failed at what. It never contains a key: code that quotes a server redacts
its words first. The hint of what to do next is made by the caller, from the error's fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, dataclass_transform

if TYPE_CHECKING:
    from decimal import Decimal
    from pathlib import Path


def _positional(*, kw_only: bool) -> Any:
    """Mark the one positional argument for type checkers."""


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(_positional,))
class _ErrorType(type):
    """Makes type checkers read the annotations of an error as the arguments of its constructor."""


class CoreError(Exception, metaclass=_ErrorType):
    """Base of all errors of the core.

    ``message`` is one sentence; its final full stop may be missing. ``provider`` is the provider's name as the user
    wrote it, None if the error concerns none. ``code`` tells apart the cases of a class; of a ``ProviderError``, it
    is the server's own.
    """

    message: str = _positional(kw_only=False)
    provider: str | None = None
    code: str | None = None

    if not TYPE_CHECKING:

        def __init__(self, message, **fields):
            super().__init__(message)
            self.message = message
            vars(self).update(fields)

    def explain(self, words: str) -> None:
        """Append in parentheses what led to the error, such as an alias or a default."""
        self.message = f"{self.message} ({words})"
        self.args: tuple[Any, ...] = (self.message,)


class InvalidInputError(CoreError):
    """An argument of the caller cannot be used; the message says which and why.

    Codes: "no_vision", "no_audio" and "no_pdf" (images, recordings or PDFs for a model that is known not to read any),
    "no_web_search" (the provider cannot search the web), "no_batch_api" (the provider has none in OpenAI's form),
    "other_provider" (a job of an earlier run is at a provider that this batch does not use), "no_dask" (the package
    distributed is missing), "worker_version" (a worker of a cluster has another release of telex, or none).
    """


class AttachmentError(InvalidInputError):
    """A file or an image that cannot be attached.

    Codes: "too_much" (more than the limit), "timeout" (it took too long to read), "no_pypdf" and "no_web" (a
    package that is needed for it is missing), "no_text" (a document without text).
    """

    name: str = ""
    """The file as the user named it."""
    looks_like: str = ""
    """A description of its content ("a PNG image"), "" if unknown."""
    image: bool = False
    """Whether it can be attached as an image."""


class SchemaError(InvalidInputError):
    """A JSON schema that cannot be used."""

    place: str = ""
    """Where in the schema, as a JSON path ("$.properties.age"); "" for all of it."""


class VariableError(InvalidInputError):
    """Variables of a template that have no value (``missing``), or that the template does not have."""

    missing: tuple[str, ...] = ()


class SettingsError(CoreError):
    """The settings cannot be used. ``path`` and ``line`` (from 1) say where, if known.

    Codes: "unknown_profile" (``candidates`` are similar names); of a project's file, "not_set_up" (it names a provider
    that is not the user's) and "untrusted" (a template that was not trusted).
    """

    path: Path | None = None
    line: int | None = None
    candidates: tuple[str, ...] = ()


class TemplateError(SettingsError):
    """A template cannot be used.

    Code "unknown_template": there is no template ``name``; ``candidates`` are similar names.
    """

    name: str = ""


class FileError(CoreError):
    """The file or folder at ``path`` cannot be read or written; ``reason`` is the system's message."""

    path: Path
    reason: str

    def __init__(self, message: str, *, path: Path, reason: str = "") -> None:
        super().__init__(f"{message}: {reason}" if reason else message)
        self.path = path
        self.reason = reason


class ModelError(CoreError):
    """A model name that leads nowhere.

    Codes: "unknown_model" (``candidates`` are similar names), "ambiguous_model" (several providers have it;
    ``candidates`` are the full ids), "disabled_provider", "not_in_profile" (the profile in force does not
    list the provider), "unknown_alias", "alias_loop".
    """

    name: str = ""
    candidates: tuple[str, ...] = ()


class UnknownProviderError(ModelError):
    """No provider of this name is set up; ``preset`` tells whether there is a preset of this name."""

    preset: bool = False


class NoModelError(ModelError):
    """No model was named, there is no default, and several providers could be meant."""


class NoProviderError(ModelError):
    """No provider is set up, and the embedded model is not installed."""


class ApiKeyError(CoreError):
    """The provider's API key. The error never contains any part of it."""


class MissingKeyError(ApiKeyError):
    """No source has a key."""

    key_env: tuple[str, ...] = ()
    """The environment variables that were read."""
    secret: str = ""
    """``env:NAME`` or ``keyring:NAME`` if that secret is missing, and not the key."""


class InvalidKeyError(ApiKeyError):
    """The key is empty or contains characters that no HTTP header can carry."""


class KeyDestinationError(ApiKeyError):
    """The key, or a secret header, may not be sent to the provider's address; nothing was sent."""

    destination: str
    """The address that it would have been sent to."""
    unencrypted: bool = False
    """Whether it would have been sent over plain http. If not, it belongs to another address, and the user has not
    confirmed this one."""
    secret: str = ""
    """``env:NAME`` or ``keyring:NAME`` of a header's secret."""


class KeyStoreError(ApiKeyError):
    """The keyring, or another store of keys, failed; the message quotes its own words.

    Code "key_command": the key command failed. Its stderr was passed through.
    """

    state: Literal["missing", "locked", ""] = ""
    """"missing" if there is no usable keyring, "locked" if it may be waiting to be unlocked."""


class ProviderError(CoreError):
    """The server answered with an error, in a body or inside a stream. ``code`` is the server's own."""

    status: int | None = None
    """The HTTP status, or None if the failure came inside a stream that had begun with 200."""
    type: str | None = None
    param: str | None = None
    """The field of the request that the server blames."""
    words: str = ""
    """The server's own message: redacted, printable, at most about 2 kB."""
    retry_after: float | None = None
    """Seconds that the server asks to wait."""
    should_retry: bool | None = None
    """The server's ``x-should-retry``, None if it sent none."""


class AuthenticationError(ProviderError):
    """The key was refused, or is missing (401)."""

    sign_in: str = ""
    """The address at which the server asks to sign in, or ""."""
    key_source: str = ""
    """Where the key came from ("environment variable NAME", "key command", "keyring"), "" if none was sent."""

    def set_key_source(self, source: str) -> None:
        """Set ``key_source``; without a key, the message says that one is required."""
        self.key_source = source
        if not source:
            self.message: str = self.message.replace("refused the key", "requires an API key", 1)


class PermissionDeniedError(ProviderError):
    """The key is valid, but does not permit the request (403)."""


class RateLimitError(ProviderError):
    """Too many requests (429); waiting helps."""


class QuotaError(ProviderError):
    """No credit or quota left (402, and 429 of some servers); waiting does not help."""


class BadRequestError(ProviderError):
    """The server refuses this request as it is (400, 422 and other 4xx)."""


class ContextOverflowError(BadRequestError):
    """The prompt does not fit into the model's context window."""


class ContentPolicyError(BadRequestError):
    """The server's content policy refuses the prompt or the answer."""


class NotFoundError(ProviderError):
    """The server has nothing at this path (404, 405, 410): most likely a wrong base URL."""

    suggested_base: str | None = None
    """The base URL that a redirect points to, if any."""


class ModelNotFoundError(NotFoundError):
    """The server does not have this model, or does not have it for this key."""

    model: str = ""


class WrongEndpointError(ModelNotFoundError):
    """The model exists, but not at chat completions: an embedding model, or one for another endpoint."""


class ServerError(ProviderError):
    """The server failed: 5xx, or a failure announced inside a stream."""


class OverloadedError(ServerError):
    """The server is overloaded, or still loading its model (503, 529)."""


class TokenLimitError(ProviderError):
    """The answer was cut at a token limit that the caller did not set, or before any text came."""


class ProtocolError(ProviderError):
    """The response is not a chat completion: HTML, plain text, JSON of another kind, or nothing.

    Codes: "not_http", "empty_body", "empty_stream" (only keep-alives), "empty_answer" (no text), "too_much",
    "too_much_text" and "too_much_reasoning" (more than ``limits`` allow).
    """


class NetworkError(CoreError):
    """No response, or only a part of it, arrived. ``url`` has no credentials and no query."""

    url: str = ""


class ConnectError(NetworkError):
    """No connection could be made: name resolution, route, refused connection, or the proxy."""

    transient: bool = True
    """Whether the same call may succeed a moment later."""
    proxy: str = ""
    """The setting or variable that names the proxy, if the proxy failed."""
    login: bool = False
    """Whether the proxy requires a user and password."""


class TLSError(ConnectError):
    """The server's certificate was not accepted, or the handshake failed."""

    cause: str = ""
    """"issuer" (unknown or self-signed), "name" (the certificate is for other hosts), "dates", "client" (the server
    requires a client certificate), "plain" (the server does not speak TLS), or ""."""
    trusted: str = ""
    """The setting or variable that names the trusted certificates, "" for the operating system's."""
    other_bundle: tuple[str, str] = ("", "")
    """A variable with which other programs find certificates, and the file; telex does not read it."""


class DeadlineError(NetworkError):
    """A time limit of ``seconds`` was exceeded. ``phase`` is "connect", "first byte", "idle" or "total"."""

    phase: str
    seconds: float


class ConnectionLostError(NetworkError):
    """The connection broke before the body was complete. ``received`` counts the body's bytes that arrived."""

    received: int = 0


class LocalModelError(CoreError):
    """The embedded model, which runs in a process of its own. ``path`` is its file, if there is one.

    Codes: "not_installed" (the package xllamacpp is missing), "fetch" (the embedded model could not be downloaded).
    """

    path: Path | None = None


class ModelFileError(LocalModelError):
    """The model file is missing, truncated, not a GGUF file, or has the wrong checksum."""


class ToolError(CoreError):
    """A tool call that gave no result; the message is what the model receives instead.

    Code "timeout": the tool did not end within ``seconds``. It was cancelled, but may have done its work.
    """

    server: str = ""
    """The server's name as the user knows it, "" if unknown."""
    tool: str = ""
    seconds: float | None = None


class UnknownToolError(ToolError):
    """No tool of this name is offered; ``candidates`` are similar names."""

    candidates: tuple[str, ...] = ()


class ToolArgumentsError(ToolError):
    """The arguments are not a JSON object, or do not fit the tool's schema; the tool did not run."""


class ToolRefusedError(ToolError):
    """The call was not approved; ``reason`` is the user's, and may be empty.

    Code "not_allowed": the tools ``names`` are not allowed by name, and there was no terminal to prompt on.
    """

    reason: str = ""
    names: tuple[str, ...] = ()


class ToolServerError(ToolError):
    """An MCP server did not start, broke off, or sent something that is not a result.

    Codes: "access" (401 or 403: other credentials are needed), "connect" (not reachable, or did not start in time),
    "session" (the server has forgotten the session and did nothing; a new one may work), "not_installed" (the package
    mcp is missing).
    """


class ToolSecretError(ToolServerError):
    """A secret that the server needs is missing."""

    wanted_for: str = ""
    """The variable or header that needs it."""
    source: str = ""
    """"keyring:NAME" or "env:VAR"; "http" if it would be sent unencrypted."""


class UnknownToolServerError(ToolServerError):
    """No MCP server of this name is set up; ``candidates`` are similar names."""

    candidates: tuple[str, ...] = ()


class HistoryError(CoreError):
    """The history cannot be used. ``path`` is its file, None if the file is not at fault.

    Codes: "busy" (another program has locked it for too long), "corrupt" (damaged, or another program's file),
    "newer" (written by a newer release of telex).
    """

    path: Path | None = None


class UnknownConversationError(HistoryError):
    """No conversation matches ``name``, or with the code "ambiguous", several do.

    ``candidates`` are the similar or matching ones, each an id and a title.
    """

    name: str = ""
    candidates: tuple[tuple[str, str], ...] = ()


class SchemaMismatchError(CoreError):
    """The answer does not fit the requested schema."""

    place: str = ""
    """The first mismatch as a JSON path into the answer ("$.people[2].age"), "" if the answer is not valid JSON."""
    details: tuple[str, ...] = ()
    """At most five mismatches, each "path: reason"."""


class BudgetError(CoreError):
    """A request was not sent, because a limit on costs is reached or would be exceeded.

    Codes: "max_cost" (the limit of this chat), "day", "month" (the budget in the settings).
    """

    limit: Decimal
    """US dollars."""
    spent: Decimal
    """US dollars, without the request."""


class LoopLimitError(CoreError):
    """The model still called tools in the last of its ``turns``; those calls did not run."""

    turns: int
