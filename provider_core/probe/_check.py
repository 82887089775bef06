"""Whether a provider works: its list of models, then one token of a chat, each step with its time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from provider_core.catalog import can_list_models, fetch, normalize_id
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
from provider_core.probe._report import STEPS, Report, Step
from provider_core.probe._watch import Watch
from provider_core.redaction import redact
from provider_core.request import known_secrets
from provider_core.settings.validators import parse_reference
from provider_core.types import Finished, Message, Request, Text, Usage, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from provider_core.probe._report import Status, StepName
    from provider_core.probe._watch import Seen
    from provider_core.types import Model, Provider, Transport

__all__ = ["check"]

_TIMEOUT = 60.0
_LOOK = 5.0
"""Seconds for looking at one other address."""

_USUAL_PATHS = ("/v1", "/api/v1", "/openai/v1", "/v1beta/openai", "/compatible-mode/v1")
_LET_IN = (QuotaError, RateLimitError, ModelNotFoundError)
"""Refusals that a server gives only to those it knows."""


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
    on_step: Callable[[Step], None] | None = None,
) -> Report:
    """Ask the provider for its models and for one token of a chat. Failures are in the report; none is raised.

    ``missing`` is why there is no key where one is needed: only the reach is tried then. ``model`` is asked
    instead of the provider's default; ``known`` are models that it listed before, for where it lists
    none now. Each wait is cut to ``timeout`` seconds, and nothing is retried.
    ``on_step`` is called for each step as it is known. Several threads may check at once.
    """
    network = provider.network
    if missing is not None:
        # A reference to a secret is no header to be sent.
        plain = {name: value for name, value in provider.headers.items() if parse_reference(value) is None}
        provider = replace(provider, headers=plain)
    provider = replace(
        provider,
        network=replace(
            network,
            connect_timeout=min(network.connect_timeout, timeout),
            first_byte_timeout=min(network.first_byte_timeout, timeout),
            idle_timeout=min(network.idle_timeout, timeout),
            retries=0,
        ),
    )
    watch = Watch(transport, environ)
    try:
        return _Check(provider, key, watch, on_step, known).run(model, missing)
    finally:
        watch.close()


@dataclass(slots=True)
class _Check:
    provider: Provider
    key: str | None
    watch: Watch
    on_step: Callable[[Step], None] | None
    known: tuple[Model, ...] = ()
    steps: list[Step] = field(default_factory=list)
    models: tuple[Model, ...] = ()
    model: str | None = None
    unlisted: ProviderError | None = None
    suggested_base: str | None = None

    def run(self, model: str | None, missing: ApiKeyError | None) -> Report:
        refusal = self._list(with_key=missing is None)
        if missing is not None:
            self._note("auth", "failed", error=missing)
        elif not self._failed():
            self.model = model or _chat_model(self.provider, self.models or self.known)
            if self.model is not None:
                self._chat(self.model)
            elif refusal is not None:
                self._note("auth", "failed", error=refusal)
            else:
                self._note("auth", "skipped", detail="no model is known to ask")
        for name in STEPS:
            if all(step.name != name for step in self.steps):
                self._note(name, "skipped")
        chatted = any(step.name == "stream" and step.status in ("ok", "absent") for step in self.steps)
        if not chatted and isinstance(self.unlisted, NotFoundError | ProtocolError):
            self.suggested_base = self._elsewhere()
        ordered = sorted(self.steps, key=lambda step: STEPS.index(step.name))
        return Report(
            provider=self.provider.name,
            steps=tuple(ordered),
            models=self.models,
            model=self.model,
            unlisted=self.unlisted,
            suggested_base=self.suggested_base,
        )

    def _list(self, *, with_key: bool) -> ProviderError | None:
        """Reach the server by asking for its models; the refusal, when it wants a key or another."""
        if not can_list_models(self.provider):
            self._note("models", "absent", detail="lists none")
            return None
        began = time.monotonic()
        try:
            self.models = fetch(self.watch, self.provider, self.key if with_key else None)
        except NetworkError as error:
            self._reached(error)
            return None
        except ProviderError as error:
            self._reached()
            if not with_key:
                self._note("models", "skipped")
                return None
            # Servers without a list say so in every way there is; a chat shows whether the key is right.
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

    def _elsewhere(self) -> str | None:
        """The base URL at one of the usual places of this server that lists models, or wants a key for it.

        The key is not sent: where it belongs is not known yet.
        """
        parts = urlsplit(self.provider.base_url)
        if self.provider.embedded or parts.query:
            return None
        path = parts.path.rstrip("/")
        root = f"{parts.scheme}://{parts.netloc}"
        network = self.provider.network
        quick = replace(
            network,
            connect_timeout=min(network.connect_timeout, _LOOK),
            first_byte_timeout=min(network.first_byte_timeout, _LOOK),
            idle_timeout=min(network.idle_timeout, _LOOK),
        )
        tried = (f"{path}/v1", path.replace("/v1/v1", "/v1"), *_USUAL_PATHS)
        for base in dict.fromkeys(f"{root}{each}" for each in tried if each != path):
            there = replace(self.provider, base_url=base, preset=None, headers={}, network=quick)
            try:
                fetch(self.watch, there, seconds=_LOOK)
            except AuthenticationError:
                return base
            except NetworkError:
                return None
            except CoreError:
                continue
            return base
        return None

    def _chat(self, model: str) -> None:
        """One token of a chat: the key, the stream and the usage in one request."""
        try:
            try:
                self._ask(model, 1)
            except BadRequestError as error:
                if type(error) is not BadRequestError or "tokens" not in error.words:
                    raise
                self._ask(model, 16)  # some models refuse so short an answer
        except CoreError as error:
            self._refused(error)

    def _ask(self, model: str, tokens: int) -> None:
        request = Request(model=model, messages=(Message(role="user", content="Hi"),), max_tokens=tokens)
        usage: Usage | None = None
        finished: Finished | None = None
        first_text: float | None = None
        counted: float | None = None
        began = time.monotonic()
        for event in Client(self.watch).chat(self.provider, request, key=self.key):
            match event:
                case Text() if first_text is None:
                    first_text = time.monotonic() - began
                case Usage():
                    usage, counted = event, time.monotonic() - began
                case Finished():
                    finished = event
        seen = self.watch.calls[-1]
        self._reached()
        self._note("auth", "ok", seen.head, self._who())
        self._streamed(seen, finished, first_text)
        if usage is None or (usage.input is None and usage.output is None):
            self._note("usage", "absent", detail="not reported")
        else:
            self._note("usage", "ok", counted, f"{_count(usage.input)} in, {_count(usage.output)} out")

    def _streamed(self, seen: Seen, finished: Finished | None, first_text: float | None) -> None:
        seconds = seen.end - (seen.head or 0) if seen.end is not None else None
        if finished is None or finished.verdict in (Verdict.PARTIAL, Verdict.FAILED):
            error = finished.error if finished else None
            self._note(
                "stream",
                "failed",
                seconds,
                error=error or NetworkError("the stream ended early", provider=self.provider.name),
            )
        elif "json" in seen.content_type and not bytes(seen.body[:64]).lstrip().startswith(b"data"):
            self._note("stream", "absent", seconds, "answers in one piece")
        else:
            detail = f"first text after {_milliseconds(first_text)}" if first_text is not None else ""
            self._note("stream", "ok", seconds, detail)

    def _refused(self, error: CoreError) -> None:
        seen = self.watch.calls[-1]
        seconds = seen.head or seen.end
        if isinstance(error, NetworkError) and seen.head is None and not self._has("reach"):
            self._reached(error)
            return
        self._reached()
        if isinstance(error, AuthenticationError | PermissionDeniedError | ApiKeyError):
            self._note("auth", "failed", seconds, error=error)
        else:
            self._note("auth", "ok" if isinstance(error, _LET_IN) else "skipped", seconds)
            self._note("stream", "failed", seconds, error=error)

    def _reached(self, error: CoreError | None = None) -> None:
        if self._has("reach"):
            return
        first = self.watch.calls[0] if self.watch.calls else None
        steps = first.steps if first else {}
        detail = ", ".join(f"{name} {_milliseconds(seconds)}" for name, seconds in steps.items())
        seconds = sum(steps.values()) if steps else (first.head or first.end if first else None)
        self._note("reach", "failed" if error else "ok", seconds, detail, error=error)

    def _who(self) -> str:
        if self.key is None:
            return "no key needed"
        return f"the key is accepted for {self.model}"

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
        step = Step(name=name, status=status, seconds=seconds, detail=shown, error=error)
        self.steps.append(step)
        if self.on_step is not None:
            self.on_step(step)

    def _has(self, name: StepName) -> bool:
        return any(step.name == name for step in self.steps)

    def _failed(self) -> bool:
        return any(step.status == "failed" for step in self.steps if step.name != "models")


def _chat_model(provider: Provider, listed: tuple[Model, ...]) -> str | None:
    """The model to try a chat with: the provider's default, as far as the server lists it, else one it lists."""
    known = [*filter(None, [provider.default_model]), *(model.id for model in provider.models)]
    here = {normalize_id(model.id) for model in listed}
    if not here:
        return next(iter(known), None)
    for model in known:
        if normalize_id(model) in here:
            return model
    if provider.default_model or (known and provider.models_declared):
        return known[0]  # what a person has named is theirs, listed or not
    chats = [model.id for model in listed if model.kind == "chat"]
    return next(iter(chats), listed[0].id)


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else str(tokens)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.0f} s"
