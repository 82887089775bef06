"""Answers as JSON. The keys are a contract.

``--json`` prints one object when the answer has ended, or an array of them. ``--jsonl`` prints an object for each
event, numbered; the last one is always printed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import click

from provider_core.errors import CoreError
from provider_core.events import (
    Answer,
    ChatEnded,
    Connecting,
    Continuing,
    FellBack,
    RequestStarted,
    SchemaRetry,
    ToolEnded,
    ToolProgress,
    ToolStarted,
)
from provider_core.types import (
    CallAsText,
    FieldDropped,
    FieldIgnored,
    Image,
    Provider,
    Reasoning,
    Retrying,
    Sources,
    Target,
    Text,
    ToolCall,
    Verdict,
)
from telex.console import as_json
from telex.error_hints import answer_code, code_and_hint
from telex.exit_codes import ExitCode
from telex.render import ChatFailed, MultiRenderer, StatusLine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from provider_core.events import AnswerPart, Event
    from provider_core.prices import Cost
    from provider_core.runtime import Runtime
    from provider_core.types import Notice, Request, Source, Timing, Usage
    from telex.console import Console
    from telex.render import CommandEvent, Explain, Format

Kind: TypeAlias = Literal[
    "start", "request", "retry", "fallback", "continuation", "field_dropped", "field_ignored", "call_as_text", "text",
    "reasoning", "tool_call", "sources", "image", "tool_start", "tool_progress", "tool_result", "end",
]  # fmt: skip
"""The types of lines of ``--jsonl``; "request" is a further request of the same turn."""

_IN_EARLIER_LINES = frozenset(("text", "reasoning", "tool_calls", "sources", "images"))


# --- objects -------------------------------------------------------------------------------------------------


def call_object(call: ToolCall) -> dict[str, Any]:
    """``arguments`` is JSON text as the model wrote it; ``cut`` is present only if they were cut off."""
    found = {"id": call.id, "name": call.name, "arguments": call.arguments}
    return {**found, "cut": True} if call.cut else found


def source_objects(sources: Sequence[Source]) -> list[dict[str, Any]]:
    """``number`` is present only if it is not the position in the list."""
    return [
        {"url": source.url, "title": source.title or None}
        | ({} if source.number == at else {"number": source.number})
        for at, source in enumerate(sources, 1)
    ]


def image_object(image: Image) -> dict[str, Any]:
    """``url`` is an address or a ``data:`` URL with the image itself; ``file`` is where it was saved."""
    return {
        "media_type": image.type or None,
        "bytes": image.size,
        "url": image.url or None,
        "file": image.file or None,
        "error": image.broken or None,
    }


_NOWHERE: Final = Target(provider=Provider(name="", base_url=""), model="")


def error_object(
    error: Exception, hint: str | None = None, *, exit_code: ExitCode | None = None
) -> dict[str, Any]:
    """``type`` is the class of the error, and ``code`` its case; of a ``ProviderError``, ``status`` and ``code`` are
    the server's.

    ``exit_code`` replaces the error's own.
    """
    if exit_code is None:
        # click's exceptions have their own.
        known = code_and_hint(error)[0] if isinstance(error, CoreError) else getattr(error, "exit_code", None)
        exit_code = ExitCode.USAGE if known is None else known
    return {
        "type": type(error).__name__,
        "message": getattr(error, "message", str(error)),
        "hint": hint,
        "status": getattr(error, "status", None),
        "code": getattr(error, "code", None),
        "exit_code": int(exit_code),
    }


def failure_object(error: BaseException, hint: str | None = None) -> dict[str, Any]:
    """The object of a turn without a request; an ``error`` that is not an ``Exception`` interrupted it."""
    failed = isinstance(error, Exception)
    nothing = Answer(target=_NOWHERE, verdict=Verdict.FAILED if failed else Verdict.INTERRUPTED)
    provider = {"provider": getattr(error, "provider", None), "model": None}
    problem = error_object(error, hint) if isinstance(error, Exception) else None
    return answer_object(nothing) | provider | {"attempts": [], "error": problem}


def answer_object(answer: Answer, hint: str | None = None) -> dict[str, Any]:
    """Everything about an answer; null where nothing is known. Times are seconds since the request was sent."""
    return {
        "provider": answer.target.provider.name,
        "model": answer.target.model,
        "text": answer.text,
        "reasoning": answer.reasoning,
        "tool_calls": [call_object(call) for call in answer.tool_calls],
        "sources": source_objects(answer.sources),
        "images": [image_object(image) for image in answer.images],
        "choices": [
            {
                "index": choice.index,
                "text": choice.text,
                "reasoning": choice.reasoning,
                "tool_calls": [call_object(call) for call in choice.tool_calls],
                "finish": choice.finish,
                "logprobs": choice.logprobs,
            }
            for choice in answer.choices
        ],
        "logprobs": answer.logprobs,
        "finish": answer.finish,
        "raw_finish": answer.raw_finish,
        "verdict": answer.verdict.value,
        "parts": [part_object(part) for part in answer.parts],
        "usage": usage_object(answer.usage, answer.cost),
        "timing": timing_object(answer.timing),
        "attempts": [
            *({"model": each.name, "error": error_object(each.error)} for each in answer.attempts),
            {"model": str(answer.target), "error": answer.error and error_object(answer.error)},
        ],
        "error": answer.error and error_object(answer.error, hint, exit_code=answer_code(answer)),
    }


def part_object(part: AnswerPart) -> dict[str, Any]:
    """A part of an answer that was continued; the last three are null for the first one."""
    ended = {"characters": part.characters, "finish": part.finish, "verdict": part.verdict.value}
    return ended | {name: getattr(part.continuation, name, None) for name in ("how", "seam", "removed")}


def usage_object(usage: Usage | None, cost: Cost | None) -> dict[str, Any] | None:
    """Token counts, and the cost in US dollars with its source; null where they are unknown."""
    if usage is None:
        return None
    names = ("input", "output", "cached", "cache_write", "reasoning")
    return {
        **{name: getattr(usage, name) for name in names},
        "cost": None if cost is None else float(cost.amount),
        "cost_source": None if cost is None else cost.source,
        "cost_is_partial": cost is not None and cost.partial,
    }


def timing_object(timing: Timing) -> dict[str, Any]:
    return {name: rounded(getattr(timing, name)) for name in ("first_byte", "first_text", "total")}


def rounded(seconds: float | None) -> float | None:
    """Seconds to a tenth of a millisecond."""
    return None if seconds is None else round(seconds, 4)


def _result_object(event: ToolEnded) -> dict[str, Any]:
    result = event.result
    found = {
        "id": event.call.id,
        "tool": event.planned.name if event.planned else event.call.name,
        "ok": event.error is None and not result.is_error,
        "text": result.text,
    }
    if result.images:
        found["images"] = [image.url for image in result.images]
    error = event.error and {"type": type(event.error).__name__, "message": event.error.message}
    return {**found, "seconds": rounded(event.seconds), "error": error}


_KEY: Final = "[the key]"
_SECRET: Final = "[redacted]"  # noqa: S105 - a placeholder


def request_object(runtime: Runtime, console: Console, target: Target, request: Request) -> dict[str, Any]:
    """A request for ``--dry-run``: its method, url, headers and body. The url of an embedded model is null.

    Fields that the server does not accept are reported on stderr.
    """
    from dataclasses import replace

    from provider_core import keys
    from provider_core.redaction import redact
    from provider_core.request import is_secret_name, known_secrets
    from provider_core.settings.validators import parse_reference
    from provider_core.types import FieldDropped
    from telex.render.messages import status_line

    provider = target.provider
    if provider.embedded:
        provider = replace(provider, auth="bearer")
    keyed = provider.embedded or keys.source(provider, runtime.environ).kind != "none"

    def note(notice: Notice) -> None:
        if isinstance(notice, FieldDropped):
            console.note(status_line(notice, target))

    body = runtime.client.body(provider, request, notify=note)
    headers = runtime.client.headers(provider, body, _KEY if keyed else None)
    secrets = known_secrets(provider, None)
    own = {
        name.lower()
        for name, value in provider.headers.items()
        if is_secret_name(name) or parse_reference(value) is not None
    }
    return {
        "method": "POST",
        "url": None if provider.embedded else provider.url("/chat/completions"),
        "headers": {
            name: _SECRET if name in own and _KEY not in value else redact(value, secrets)
            for name, value in headers.items()
        },
        "body": body,
    }


# --- renderers -----------------------------------------------------------------------------------------------


_STATUS = Retrying | FellBack | FieldDropped | FieldIgnored | CallAsText | SchemaRetry | Continuing
"""Events that are lines of stderr."""


class _JsonOutput:
    """The common part of the renderers: hints, and status lines on stderr while stdout is silent."""

    def __init__(self, console: Console, explain: Explain) -> None:
        self._console = console
        self._explain = explain
        self._target: Target | None = None

    def _object(self, event: ChatEnded | ChatFailed) -> dict[str, Any]:
        if isinstance(event, ChatEnded):
            error = event.answer.error
            return answer_object(event.answer, self._explain(error) if error is not None else None)
        hint = self._explain(event.error) if isinstance(event.error, Exception) else None
        return failure_object(event.error, hint)

    def _note(self, event: Event | CommandEvent) -> None:
        match event:
            case Connecting(target=target):
                self._target = target
            case StatusLine(text=text):
                self._console.note(text)
            case _ if isinstance(event, _STATUS):
                from telex.render.messages import status_line

                self._console.note(status_line(event, self._target))


class JsonRenderer(_JsonOutput):
    """Prints one object at the end."""

    def handle(self, event: Event | CommandEvent) -> None:
        if isinstance(event, ChatEnded | ChatFailed):
            self._console.json(self._object(event), indent=2 if self._console.out_is_terminal else None)
        elif isinstance(event, ToolEnded):
            if event.error is not None or event.result.is_error:  # the object has only the calls
                from telex.render import messages

                self._console.note(messages.ended_call(event))
        else:
            self._note(event)


class _Lines:
    """Numbers the lines on stdout, and completes a line that a signal has cut before it writes the next one."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._number = 0

    def write(self, kind: Kind, fields: Mapping[str, Any]) -> None:
        if rest := self._console.rest:
            self._console.out(rest)
        self._number += 1
        self._console.out(as_json({"n": self._number, "type": kind, **fields}))


class JsonLinesRenderer(_JsonOutput):
    """Prints an object for each event. ``tags`` are fields of each line that tell several models apart."""

    def __init__(
        self,
        console: Console,
        explain: Explain,
        *,
        lines: _Lines | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(console, explain)
        self._lines = lines or _Lines(console)
        self._tags = tags or {}
        self._started = False

    def handle(self, event: Event | CommandEvent) -> None:
        self._note(event)
        match event:
            case Text(text=text):
                self._write("text", text=text)
            case Reasoning(text=text):
                self._write("reasoning", text=text)
            case ToolCall():
                self._write("tool_call", **call_object(event))
            case Sources(sources=sources):
                self._write("sources", sources=source_objects(sources))
            case Image():
                self._write("image", **image_object(event))
            case Connecting(target=target) if not self._started:
                self.start(target.provider.name, target.model)
            case RequestStarted(number=number) if number > 1 and self._target is not None:
                self.start(self._target.provider.name, self._target.model)
            case Retrying(error=error, seconds=seconds, attempt=attempt):
                self._write("retry", attempt=attempt, seconds=round(seconds, 3), error=error_object(error))
            case FellBack(name=name, error=failure, target=target, rest=rest):
                if not self._started:
                    provider, _, model = name.partition("/")
                    self.start(provider, model or None)
                other = {"provider": target.provider.name, "model": target.model}
                self._target = target
                self._tags = {name: other.get(name, value) for name, value in self._tags.items()}
                problem = failure and error_object(failure)
                self._write("fallback", **other, failed=name, error=problem, rest=round(rest, 3))
            case FieldDropped(field=field, swapped_for=other, value=value):
                self._write("field_dropped", field=field, swapped_for=other, value=value)
            case Continuing(number=number, how=how, error=failure):
                problem = failure and error_object(failure)
                self._write("continuation", number=number, how=how, error=problem)
            case FieldIgnored(field=field, value=value):
                self._write("field_ignored", field=field, value=value)
            case CallAsText(tool=tool):
                self._write("call_as_text", tool=tool)
            case ToolStarted(planned=planned):
                self._write(
                    "tool_start", id=planned.call.id, tool=planned.name, arguments=dict(planned.arguments)
                )
            case ToolProgress(planned=planned, progress=progress, total=total, message=message):
                fields = {"progress": progress, "total": total, "message": message}
                self._write("tool_progress", id=planned.call.id, tool=planned.name, **fields)
            case ToolEnded():
                self._write("tool_result", **_result_object(event))
            case ChatEnded() | ChatFailed():
                found = self._object(event)
                if not self._started:
                    self.start(found["provider"], found["model"])
                self._write("end", **{key: found[key] for key in found if key not in _IN_EARLIER_LINES})

    def start(self, provider: str | None, model: str | None) -> None:
        """Write the first line; from the second time on, that another request follows."""
        kind: Kind = "request" if self._started else "start"
        self._started = True
        self._write(kind, provider=provider, model=model)

    def _write(self, kind: Kind, **fields: Any) -> None:
        self._lines.write(kind, {**self._tags, **fields, **self._tags})


class MultiJsonRenderer(_JsonOutput, MultiRenderer):
    """Prints one array of the objects of ``--json`` when the last answer has ended."""

    def __init__(self, console: Console, targets: Sequence[Target | str], explain: Explain) -> None:
        super().__init__(console, explain)
        self._targets = targets
        self._objects: list[dict[str, Any]] = [{} for _ in targets]

    def handle(self, index: int, event: Event | CommandEvent) -> None:
        if not isinstance(event, ChatEnded | ChatFailed):
            target = self._targets[index]
            self._target = None if isinstance(target, str) else target
            self._note(event)
            return
        found = self._object(event)
        if isinstance(event, ChatFailed):
            found |= _named(self._targets[index], found["provider"])
        self._objects[index] = found
        if all(self._objects):
            self._console.json(self._objects, indent=2 if self._console.out_is_terminal else None)


class MultiJsonLinesRenderer(MultiRenderer):
    """Prints the events of all models as they arrive, with one numbering."""

    def __init__(self, console: Console, targets: Sequence[Target | str], explain: Explain) -> None:
        lines = _Lines(console)
        self._tags = [{"index": index, **_named(target)} for index, target in enumerate(targets)]
        self._renderers = [JsonLinesRenderer(console, explain, lines=lines, tags=tags) for tags in self._tags]
        self._started = False

    def handle(self, index: int, event: Event | CommandEvent) -> None:
        if not self._started:
            self._started = True
            for renderer, tags in zip(self._renderers, self._tags, strict=True):
                renderer.start(tags["provider"], tags["model"])
        self._renderers[index].handle(event)


def _named(target: Target | str, provider: str | None = None) -> dict[str, Any]:
    if isinstance(target, str):
        return {"provider": provider, "model": target}
    return {"provider": target.provider.name, "model": target.model}


def render_failure(
    console: Console,
    output_format: Format,
    error: BaseException,
    *,
    hint: str | None = None,
    models: Sequence[str] = (),
) -> None:
    """Print an error that precedes all requests in the output of ``--json`` and ``--jsonl``.

    ``models`` are the names of the models if there are several.
    """
    if isinstance(error, click.ClickException):
        message, _, advice = error.format_message().partition("\n")
        error, hint = type(error)(message), hint or advice or None
    event, whole = ChatFailed(error=error), output_format == "json"
    if len(models) < 2:
        (JsonRenderer if whole else JsonLinesRenderer)(console, lambda _: hint).handle(event)
        return
    renderer = (MultiJsonRenderer if whole else MultiJsonLinesRenderer)(console, models, lambda _: hint)
    for index in range(len(models)):
        renderer.handle(index, event)
