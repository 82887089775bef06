"""Tests providers by asking them: whether one works, step by step, and which local servers run.

``explore`` finds out what a model can do.
"""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from provider_core import presets
from provider_core.catalog import can_list_models, normalize_id
from provider_core.catalog.servers import PRESET_BY_OWNER, at_once, fetch
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
from provider_core.types import Finished, Message, Network, Provider, Request, Text, Usage, Verdict
from provider_core.wire_log import LoggedReply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Self

    from provider_core.types import Call, Model, Reply, Transport

# --- does a provider work ------------------------------------------------------------------------------------

_TIMEOUT: Final = 60.0
_ELSEWHERE_TIMEOUT: Final = 5.0
_USUAL_PATHS = ("/v1", "/api/v1", "/openai/v1", "/v1beta/openai", "/compatible-mode/v1")
_KEY_ACCEPTED = (QuotaError, RateLimitError, ModelNotFoundError)
"""Errors that servers send only if the key is valid."""
_REFUSED = (AuthenticationError, PermissionDeniedError)
_NO_LIST = (NotFoundError, ProtocolError)

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
        self._list(with_key=missing is None)
        reached = all(step.status != "failed" for name, step in self.steps.items() if name != "models")
        if missing is not None:
            self._note("auth", "failed", error=missing)
        elif reached:
            self.model = model or _model_to_ask(self.provider, self.models or self.known)
            if self.model is not None:
                self._chat(self.model)
            elif isinstance(self.unlisted, _REFUSED):
                self._note("auth", "failed", error=self.unlisted)
            else:
                self._note("auth", "skipped", detail="no model is known")
        for name in STEPS:
            if name not in self.steps:
                self._note(name, "skipped")
        answered = self.steps["stream"].status in ("ok", "absent")
        misplaced = not answered and isinstance(self.unlisted, _NO_LIST)
        return CheckReport(
            provider=self.provider.name,
            steps=tuple(self.steps[name] for name in STEPS),
            models=self.models,
            model=self.model,
            unlisted=self.unlisted,
            suggested_base=self._other_base_url() if misplaced else None,
        )

    def _list(self, *, with_key: bool) -> None:
        if not can_list_models(self.provider):
            self._note("models", "absent", detail="lists none")
            return
        began = time.monotonic()
        try:
            self.models = fetch(self.recorder, self.provider, self.key if with_key else None)
        except ProviderError as error:
            self._reached()
            if with_key:
                # Servers without a list answer with any error; the chat shows whether the key is valid.
                self.unlisted = error
                status: Status = "absent" if isinstance(error, _NO_LIST) else "failed"
                # Its words would deny that there is an API at this address.
                detail = "lists none" if isinstance(error, NotFoundError) else error.message
                self._note("models", status, time.monotonic() - began, detail)
        except CoreError as error:
            self._reached(error)
        else:
            self._reached()
            count = len(self.models)
            self._note("models", "ok", time.monotonic() - began, f"{count} model{'' if count == 1 else 's'}")

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
        for tokens in (1, 16):  # some models refuse such a low limit as 1
            try:
                self._ask(model, tokens)
            except CoreError as error:
                if tokens == 1 and type(error) is BadRequestError and "tokens" in error.words:
                    continue
                self._refused(error)
            return

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
            detail = f"first text after {first_text * 1000:.0f} ms" if first_text is not None else ""
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
        if isinstance(error, (*_REFUSED, ApiKeyError)):
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


# --- recording -----------------------------------------------------------------------------------------------

_MOST_BYTES: Final = 1 << 18


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
        self.inner = inner
        self.calls: list[RecordedCall] = []

    @contextlib.contextmanager
    def send(self, call: Call) -> Iterator[Reply]:
        recorded = RecordedCall(began=time.monotonic())
        self.calls.append(recorded)
        try:
            with self.inner.send(replace(call, trace=recorded.trace)) as reply:
                recorded.head = time.monotonic() - recorded.began
                recorded.content_type = reply.headers.get("content-type", "")
                yield LoggedReply(reply, recorded.received)
        finally:
            recorded.end = time.monotonic() - recorded.began

    def close(self) -> None:
        """Close its own connections."""
        if self._own is not None:
            self._own.close()


# --- local servers -------------------------------------------------------------------------------------------

_WAITS: Final = 3
"""A request waits up to three times: for the connection, for the first byte, and for the rest."""


class LocalServer(Struct):
    """A server that answers. ``preset`` is known if the server or its port shows it."""

    base_url: str
    preset: str | None = None
    models: tuple[Model, ...] = ()
    needs_key: bool = False


def discover(
    ports: Iterable[int] = (), *, timeout: float = 1.0, transport: Transport | None = None
) -> tuple[LocalServer, ...]:
    """The servers that answer at ``ports`` of this machine, by default the ports of all presets, sorted by port.

    All are asked for their models at the same time, without a key. ``timeout`` limits each wait, in seconds; the whole
    takes at most three times as long.
    """
    addresses = _addresses(tuple(ports))
    recorder = RecordingTransport(transport)
    tasks = [partial(_look, address, timeout, recorder.inner) for address in addresses]
    try:
        found = dict(at_once(tasks, timeout * _WAITS))
    finally:
        recorder.close()
    # Of a server that answers at several paths, the first in ``addresses`` is used.
    servers: dict[int, LocalServer] = {}
    for number, address in enumerate(addresses):
        server = found.get(number)
        if isinstance(server, LocalServer):
            servers.setdefault(urlsplit(address).port or 0, server)
    return tuple(servers[port] for port in sorted(servers))


def _addresses(ports: tuple[int, ...]) -> tuple[str, ...]:
    """The addresses to try: each port with /v1, then with the paths of the presets."""
    local = [preset for preset in presets.all_presets() if preset.ports]
    wanted = ports or tuple(dict.fromkeys(port for preset in local for port in preset.ports))
    usual = [f"http://127.0.0.1:{port}/v1" for port in wanted]
    others = [
        f"http://127.0.0.1:{port}{urlsplit(address).path}"
        for preset in local
        for address in preset.base_urls
        for port in wanted
        if ports or port in preset.ports
    ]
    return tuple(dict.fromkeys((*usual, *others)))


def _look(base_url: str, timeout: float, transport: Transport) -> LocalServer | None:
    network = Network(
        connect_timeout=timeout, first_byte_timeout=timeout, idle_timeout=timeout, retries=0, proxy="none"
    )
    watch = RecordingTransport(transport)
    try:
        models = fetch(watch, Provider(name="it", base_url=base_url, network=network))
    except (AuthenticationError, PermissionDeniedError):
        return LocalServer(base_url=base_url, preset=_by_port(base_url), needs_key=True)
    except CoreError:
        return None
    body = bytes(watch.calls[0].body)
    if not models and not body.lstrip().startswith(b"{"):
        return None  # something else that speaks JSON
    owners = (owner.decode() for owner in re.findall(rb'"owned_by"\s*:\s*"([a-z_]+)"', body))
    by_owner = next((PRESET_BY_OWNER[owner] for owner in owners if owner in PRESET_BY_OWNER), None)
    return LocalServer(base_url=base_url, preset=by_owner or _by_port(base_url), models=models)


def _by_port(base_url: str) -> str | None:
    """The preset that uses the port, if there is only one."""
    port = urlsplit(base_url).port
    users = [preset.id for preset in presets.all_presets() if port in preset.ports]
    return users[0] if len(users) == 1 else None
