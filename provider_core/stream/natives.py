"""Brings chunks in servers' own dialects into OpenAI's shape, as gateways let them through; nothing is judged here.

Read in passing, not spoken: the native answers of Ollama, Gemini, Cloudflare and DashScope.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provider_core.types import Json

__all__ = ["translate"]


def translate(value: dict[str, Json]) -> dict[str, Json]:
    """Return ``value`` in the shape of a chat completion, or unchanged when it has that shape or none known."""
    if (blocked := _blocked(value)) is not None:
        return {**value, "choices": [{"delta": {}, "finish_reason": blocked}]}
    if "choices" in value and value["choices"] is not None:
        return value
    for key in ("data", "result", "response"):  # gateways that wrap a reply once more
        inner = value.get(key)
        if isinstance(inner, dict) and ("choices" in inner or "response" in inner):
            return translate({**inner, "wrapped": True}) if "choices" not in inner else inner
    if isinstance(value.get("candidates"), list):
        return {**value, "model": value.get("modelVersion"), "choices": _gemini(value["candidates"])}
    output = value.get("output")
    if isinstance(output, dict) and isinstance(output.get("choices"), list):
        return {**value, "search_info": output.get("search_info"), "choices": output["choices"]}
    if isinstance(output, dict) and isinstance(output.get("text"), str):
        choice = {"message": {"content": output["text"]}, "finish_reason": output.get("finish_reason")}
        return {**value, "choices": [choice]}
    if isinstance(value.get("message"), dict) and "done" in value:
        return {**value, "choices": [_ollama(value, value["message"])]}
    if isinstance(value.get("response"), str):
        body = {
            "content": value["response"],
            "thinking": value.get("thinking"),
            "tool_calls": value.get("tool_calls"),
        }
        return {**value, "choices": [_ollama(value, body)]}
    return value


def _ollama(value: dict[str, Json], body: dict[str, Json]) -> dict[str, Json]:
    """Read ``message`` and ``done`` of Ollama; Cloudflare's ``response`` has neither an end nor a reason."""
    done = bool(value.get("done"))
    carrier = "message" if done or value.get("wrapped") else "delta"
    return {carrier: body, "finish_reason": (value.get("done_reason") or "stop") if done else None}


def _blocked(value: dict[str, Json]) -> str | None:
    """Return why Gemini refused the prompt, in which case there are no candidates."""
    feedback = value.get("promptFeedback") or value.get("prompt_feedback")
    if not isinstance(feedback, dict) or value.get("choices") or value.get("candidates"):
        return None
    reason = feedback.get("blockReason") or feedback.get("block_reason")
    if not isinstance(reason, str):
        return None
    return f"BLOCK_REASON_{reason}" if reason.upper() == "OTHER" else reason


def _gemini(candidates: list[Json]) -> list[Json]:
    choices: list[Json] = []
    for candidate in candidates:
        if not isinstance(candidate, dict):
            continue
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        parts = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
        calls = [part["functionCall"] for part in parts if isinstance(part.get("functionCall"), dict)]
        delta = {
            "content": parts,
            "tool_calls": [
                {"id": call.get("id"), "function": {**call, "arguments": call.get("args")}} for call in calls
            ],
        }
        reason = candidate.get("finishReason")
        more = {key: candidate[key] for key in ("groundingMetadata", "citationMetadata") if key in candidate}
        choices.append({"index": candidate.get("index"), "delta": delta, "finish_reason": reason, **more})
    return choices
