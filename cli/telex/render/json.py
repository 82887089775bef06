"""An answer as JSON: one object when it has ended, whatever has become of it; the keys are a contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provider_core.errors import CoreError
from provider_core.types import Verdict
from telex.error_hints import answer_code, code_and_hint
from telex.exit_codes import ExitCode
from telex.render.asides import Asides

if TYPE_CHECKING:
    from provider_core.answer import Answer
    from provider_core.events import ToolEvent
    from provider_core.types import AnswerEvent, ToolCall

__all__ = ["Json", "answer_object", "call_object", "error_object", "failure_object"]


def call_object(call: ToolCall) -> dict[str, Any]:
    """``arguments`` is JSON text, as the model wrote it; ``cut`` is there only if they were cut off."""
    found = {"id": call.id, "name": call.name, "arguments": call.arguments}
    return {**found, "cut": True} if call.cut else found


def error_object(
    error: Exception, hint: str | None = None, *, exit_code: ExitCode | None = None
) -> dict[str, Any]:
    """``type`` is the class of the error, and ``code`` its case; of a ``ProviderError``, ``status`` and ``code`` are
    the server's.

    ``exit_code`` is the error's own unless it is given.
    """
    if exit_code is None:
        exit_code = code_and_hint(error)[0] if isinstance(error, CoreError) else ExitCode.USAGE
    return {
        "type": type(error).__name__,
        "message": getattr(error, "message", str(error)),
        "hint": hint,
        "status": getattr(error, "status", None),
        "code": getattr(error, "code", None),
        "exit_code": int(exit_code),
    }


def failure_object(error: BaseException, hint: str | None = None) -> dict[str, Any]:
    """As ``answer_object``, where nothing could be asked; what is no ``Exception`` has interrupted it."""
    return {
        "provider": getattr(error, "provider", None),
        "model": None,
        "text": "",
        "reasoning": "",
        "tool_calls": [],
        "sources": [],
        "images": [],
        "choices": [],
        "logprobs": None,
        "finish": None,
        "raw_finish": None,
        "verdict": (Verdict.FAILED if isinstance(error, Exception) else Verdict.INTERRUPTED).value,
        "usage": None,
        "timing": {"first_byte": None, "first_text": None, "total": None},
        "error": error_object(error, hint) if isinstance(error, Exception) else None,
    }


def answer_object(answer: Answer, hint: str | None = None) -> dict[str, Any]:
    """Everything about an answer; null where nothing is known. Times are seconds since the request was sent."""
    usage, timing = answer.usage, answer.timing
    return {
        "provider": answer.target.provider.name,
        "model": answer.target.model,
        "text": answer.text,
        "reasoning": answer.reasoning,
        "tool_calls": [call_object(call) for call in answer.tool_calls],
        **_extras(answer),
        "finish": answer.finish,
        "raw_finish": answer.raw_finish,
        "verdict": answer.verdict.value,
        "usage": usage
        and {
            "input": usage.input,
            "output": usage.output,
            "cached": usage.cached,
            "reasoning": usage.reasoning,
            "cost": usage.cost,
        },
        "timing": {
            "first_byte": _rounded(timing.first_byte),
            "first_text": _rounded(timing.first_text),
            "total": _rounded(timing.total),
        },
        "error": answer.error and error_object(answer.error, hint, exit_code=answer_code(answer)),
    }


def _extras(answer: Answer) -> dict[str, Any]:
    if not (answer.sources or answer.images or answer.choices or answer.logprobs):
        return {"sources": [], "images": [], "choices": [], "logprobs": None}
    from telex.render import extras

    return {
        "sources": extras.source_objects(answer.sources),
        "images": [extras.image_object(image) for image in answer.images],
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
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)


class Json(Asides):
    """A ``Show``: nothing until the end, then one object."""

    def event(self, event: AnswerEvent) -> None:
        pass

    def tool(self, event: ToolEvent) -> None:
        from provider_core.events import ToolEnded
        from telex.render import calls

        # The object holds what was called, and not what came of it.
        if isinstance(event, ToolEnded) and (event.error is not None or event.result.is_error):
            self.aside(calls.ended(event))

    def ended(self, answer: Answer, hint: str | None = None) -> None:
        self._print(answer_object(answer, hint))

    def failed(self, error: BaseException, hint: str | None = None) -> None:
        self._print(failure_object(error, hint))

    def _print(self, found: dict[str, Any]) -> None:
        self.console.json(found, indent=2 if self.console.out_is_terminal else None)
