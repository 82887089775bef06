"""Checks whether a provider works: its list of models, then one token of an answer, with the time of each step."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from provider_core.catalog import can_list_models, normalize_id
from provider_core.catalog.servers import fetch
from provider_core.client import Client
from provider_core.errors import (
    ApiKeyError,
    AuthenticationError,
    BadRequestError,
    CoreError,
    ModelNotFoundError,
    NetworkError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    ProviderError,
    QuotaError,
    RateLimitError,
)
from provider_core.redaction import redact
from provider_core.request import known_secrets
from provider_core.settings.validators import parse_reference
from provider_core.structs import Struct, replace
from provider_core.types import Finished, Message, Request, Text, Usage, Verdict
from provider_core.wire_log import LoggedReply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Self

    from provider_core.types import Call, Model, Provider, Reply, Transport

_TIMEOUT = 60.0
_ELSEWHERE_TIMEOUT = 5.0
_USUAL_PATHS = ("/v1", "/api/v1", "/openai/v1", "/v1beta/openai", "/compatible-mode/v1")
_KEY_ACCEPTED = (QuotaError, RateLimitError, ModelNotFoundError)
"""Errors that servers send only if the key is valid."""

_MOST_BYTES = 1 << 18

StepName: TypeAlias = Literal["reach", "models", "auth", "stream", "usage"]

STEPS: tuple[StepName, ...] = get_args(StepName)
"""The steps in order."""

Status: TypeAlias = Literal["ok", "absent", "skipped", "failed"]
"""The result of a step. "absent": the server does not have it, and a chat does not need it."""


class CheckStep(Struct):
    """One step of a check. ``seconds`` is its duration; ``error`` is why it failed."""

    name: StepName
    status: Status
    seconds: float | None = None
    detail: str = ""
    error: CoreError | None = None


class CheckReport(Struct):
    """The result of ``check``: every step once, in the order of ``STEPS``."""

    provider: str
    steps: tuple[CheckStep, ...]
    models: tuple[Model, ...] = ()
    """The models that the server lists, in its order."""
    model: str | None = None
    """The model that was asked."""
    unlisted: ProviderError | None = None
    """Why the server listed no models."""
    suggested_base: str | None = None
    """Another base URL of the same server at which the API answers."""

    @classmethod
    def unreached(cls, provider: str, error: CoreError) -> Self:
        """The report on a provider to which no request could be sent."""
        first = CheckStep(name="reach", status="failed", detail=error.message, error=error)
        return cls(
            provider=provider, steps=(first, *(CheckStep(name=name, status="skipped") for name in STEPS[1:]))
        )

    @property
    def passed(self) -> bool:
        """Whether the chat was answered."""
        return all(self[name].status in ("ok", "absent") for name in ("reach", "auth", "stream"))

    @property
    def error(self) -> CoreError | None:
        """The first error."""
        return next((step.error for step in self.steps if step.error is not None), None)

    def __getitem__(self, name: StepName) -> CheckStep:
        return next(step for step in self.steps if step.name == name)


def check(
    provider: Provider,
    *,
    key: str | None = None,
    missing: ApiKeyError | None = None,
    model: str | None = None,
    known: tuple[Model, ...] = (),
    timeout: float = _TIMEOUT,
    transport: Transport | None = None,
    environ: Mapping[str, str] | None = None,
    on_step: Callable[[CheckStep], None] | None = None,
) -> CheckReport:
    """Request the provider's models and one token of an answer. All errors are in the report.

    ``missing`` is why a necessary key is missing: then only the connection is checked. ``model`` is asked instead of
    the default; ``known`` are models that the provider listed before, in case it lists none now. Each wait is limited
    to ``timeout`` seconds, and nothing is retried. ``on_step`` gets each step when it is finished.
    """
    if missing is not None:
        # References to secrets were not resolved, and must not be sent.
        plain = {name: value for name, value in provider.headers.items() if parse_reference(value) is None}
        provider = replace(provider, headers=plain)
    provider = replace(provider, network=replace(provider.network.limited(timeout), retries=0))
    recorder = RecordingTransport(transport, environ)
    try:
        return _Check(provider, key, recorder, on_step, known).run(model, missing)
    finally:
        recorder.close()


@dataclass(slots=True)
class _Check:
    provider: Provider
    key: str | None
    recorder: RecordingTransport
    on_step: Callable[[CheckStep], None] | None
    known: tuple[Model, ...] = ()
    steps: dict[StepName, CheckStep] = field(default_factory=dict)
    models: tuple[Model, ...] = ()
    model: str | None = None
    unlisted: ProviderError | None = None

    def run(self, model: str | None, missing: ApiKeyError | None) -> CheckReport:
        refusal = self._list(with_key=missing is None)
        reached = all(step.status != "failed" for name, step in self.steps.items() if name != "models")
        if missing is not None:
            self._note("auth", "failed", error=missing)
        elif reached:
            self.model = model or _model_to_ask(self.provider, self.models or self.known)
            if self.model is not None:
                self._chat(self.model)
            elif refusal is not None:
                self._note("auth", "failed", error=refusal)
            else:
                self._note("auth", "skipped", detail="no model is known")
        for name in STEPS:
            if name not in self.steps:
                self._note(name, "skipped")
        has_list = not isinstance(self.unlisted, NotFoundError | ProtocolError)
        answered = self.steps["stream"].status in ("ok", "absent")
        return CheckReport(
            provider=self.provider.name,
            steps=tuple(self.steps[name] for name in STEPS),
            models=self.models,
            model=self.model,
            unlisted=self.unlisted,
            suggested_base=None if answered or has_list else self._other_base_url(),
        )

    def _list(self, *, with_key: bool) -> ProviderError | None:
        """Request the models. Returns the error if the server refused the key, or wants one."""
        if not can_list_models(self.provider):
            self._note("models", "absent", detail="lists none")
            return None
        began = time.monotonic()
        try:
            self.models = fetch(self.recorder, self.provider, self.key if with_key else None)
        except ProviderError as error:
            self._reached()
            if not with_key:
                self._note("models", "skipped")
                return None
            # Servers without a list answer with any error; the chat shows whether the key is valid.
            self.unlisted = error
            status = f" ({error.status})" if error.status and error.status >= 300 else ""
            refused = isinstance(error, AuthenticationError | PermissionDeniedError)
            absent = isinstance(error, NotFoundError | ProtocolError)
            self._note(
                "models",
                "absent" if absent else "failed",
                time.monotonic() - began,
                f"lists none{status}" if absent else f"{'refused' if refused else 'failed'}{status}",
            )
            return error if refused else None
        except CoreError as error:
            self._reached(error)
            return None
        self._reached()
        count = len(self.models)
        self._note("models", "ok", time.monotonic() - began, f"{count} model{'' if count == 1 else 's'}")
        return None

    def _other_base_url(self) -> str | None:
        """The first usual base URL of this server at which it lists models, or wants a key, which is not sent."""
        parts = urlsplit(self.provider.base_url)
        if self.provider.embedded or parts.query:
            return None
        path = parts.path.rstrip("/")
        root = f"{parts.scheme}://{parts.netloc}"
        network = self.provider.network.limited(_ELSEWHERE_TIMEOUT)
        tried = (f"{path}/v1", path.replace("/v1/v1", "/v1"), *_USUAL_PATHS)
        for base in dict.fromkeys(f"{root}{each}" for each in tried if each != path):
            there = replace(self.provider, base_url=base, preset=None, headers={}, network=network)
            try:
                fetch(self.recorder, there, seconds=_ELSEWHERE_TIMEOUT)
            except AuthenticationError:
                return base
            except NetworkError:
                return None
            except CoreError:
                continue
            return base
        return None

    def _chat(self, model: str) -> None:
        """Check key, stream and usage with one request."""
        try:
            try:
                self._ask(model, 1)
            except BadRequestError as error:
                if type(error) is not BadRequestError or "tokens" not in error.words:
                    raise
                self._ask(model, 16)  # some models refuse such a low limit
        except CoreError as error:
            self._refused(error)

    def _ask(self, model: str, tokens: int) -> None:
        request = Request(model=model, messages=(Message(role="user", content="Hi"),), max_tokens=tokens)
        usage: Usage | None = None
        finished: Finished | None = None
        first_text: float | None = None
        counted: float | None = None
        began = time.monotonic()
        for event in Client(self.recorder).chat(self.provider, request, key=self.key):
            match event:
                case Text() if first_text is None:
                    first_text = time.monotonic() - began
                case Usage():
                    usage, counted = event, time.monotonic() - began
                case Finished():
                    finished = event
        seen = self.recorder.calls[-1]
        self._reached()
        who = "no key is needed" if self.key is None else f"the key is accepted for {self.model}"
        self._note("auth", "ok", seen.head, who)
        seconds = seen.end - (seen.head or 0) if seen.end is not None else None
        if finished is None or finished.verdict in (Verdict.PARTIAL, Verdict.FAILED):
            error = finished.error if finished else None
            error = error or NetworkError("the stream ended early", provider=self.provider.name)
            self._note("stream", "failed", seconds, error=error)
        elif seen.is_one_piece:
            self._note("stream", "absent", seconds, "answers in one piece")
        else:
            detail = f"first text after {_milliseconds(first_text)}" if first_text is not None else ""
            self._note("stream", "ok", seconds, detail)
        if usage is None or (usage.input is None and usage.output is None):
            self._note("usage", "absent", detail="not reported")
        else:
            input_, output = ("?" if count is None else count for count in (usage.input, usage.output))
            self._note("usage", "ok", counted, f"{input_} in, {output} out")

    def _refused(self, error: CoreError) -> None:
        seen = self.recorder.calls[-1]
        seconds = seen.head or seen.end
        if isinstance(error, NetworkError) and seen.head is None and "reach" not in self.steps:
            self._reached(error)
            return
        self._reached()
        if isinstance(error, AuthenticationError | PermissionDeniedError | ApiKeyError):
            self._note("auth", "failed", seconds, error=error)
        else:
            self._note("auth", "ok" if isinstance(error, _KEY_ACCEPTED) else "skipped", seconds)
            self._note("stream", "failed", seconds, error=error)

    def _reached(self, error: CoreError | None = None) -> None:
        if "reach" in self.steps:
            return
        first = self.recorder.calls[0] if self.recorder.calls else None
        seconds = (first.connected or first.head or first.end) if first else None
        self._note("reach", "failed" if error else "ok", seconds, error=error)

    def _note(
        self,
        name: StepName,
        status: Status,
        seconds: float | None = None,
        detail: str = "",
        *,
        error: CoreError | None = None,
    ) -> None:
        shown = redact(detail or (error.message if error else ""), known_secrets(self.provider, self.key))
        step = CheckStep(name=name, status=status, seconds=seconds, detail=shown, error=error)
        self.steps[name] = step
        if self.on_step is not None:
            self.on_step(step)


def _model_to_ask(provider: Provider, listed: tuple[Model, ...]) -> str | None:
    """The provider's default if the server lists it, or another known model that is listed, or any that chats."""
    known = [*filter(None, [provider.default_model]), *(model.id for model in provider.models)]
    here = {normalize_id(model.id) for model in listed}
    if not here:
        return next(iter(known), None)
    for model in known:
        if normalize_id(model) in here:
            return model
    if provider.default_model or (known and provider.models_declared):
        return known[0]  # the user has named it, so it is used even if it is not listed
    chats = [model.id for model in listed if model.kind == "chat"]
    return next(iter(chats), listed[0].id)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.0f} s"


# --- recording -----------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class RecordedCall:
    """One call. The times are in seconds since it ``began``.

    ``connected`` is when the connection, with its encryption, was open, None if an open one was used; ``head`` and
    ``end`` are when headers and body were complete.
    """

    began: float
    connected: float | None = None
    head: float | None = None
    end: float | None = None
    content_type: str = ""
    body: bytearray = field(default_factory=bytearray)
    """The first 256 KiB."""

    @property
    def is_one_piece(self) -> bool:
        """Whether a chat was answered with one JSON object instead of a stream."""
        return "json" in self.content_type and not bytes(self.body[:64]).lstrip().startswith(b"data")

    def received(self, chunk: bytes) -> None:
        if len(self.body) < _MOST_BYTES:
            self.body += chunk

    def trace(self, event: str) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self.connected = time.monotonic() - self.began


class RecordingTransport:
    """Passes calls to ``inner``, by default its own HTTP connections, and records them in ``calls``."""

    def __init__(self, inner: Transport | None = None, environ: Mapping[str, str] | None = None) -> None:
        self._own: Transport | None = None
        if inner is None:
            from provider_core.http.transport import HttpTransport

            inner = self._own = HttpTransport(environ)
        self._inner = inner
        self.calls: list[RecordedCall] = []

    @contextlib.contextmanager
    def send(self, call: Call) -> Iterator[Reply]:
        recorded = RecordedCall(began=time.monotonic())
        self.calls.append(recorded)
        try:
            with self._inner.send(replace(call, trace=recorded.trace)) as reply:
                recorded.head = time.monotonic() - recorded.began
                recorded.content_type = reply.headers.get("content-type", "")
                yield LoggedReply(reply, recorded.received)
        finally:
            recorded.end = time.monotonic() - recorded.began

    def close(self) -> None:
        """Close its own connections."""
        if self._own is not None:
            self._own.close()
