"""The forms in which vendors take a reasoning effort, as tables from a level to fields of the body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from provider_core.types import Effort

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from provider_core.types import Json

__all__ = [
    "ANY",
    "ENABLE_THINKING",
    "FIXED",
    "LEVELS",
    "REASONING_OBJECT",
    "TEMPLATE",
    "THINKING_AND_EFFORT",
    "THINKING_TYPE",
    "field",
    "table",
]

LEVELS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Every level that a vendor is known to have a word for, from least to most."""

Levels = dict[str, dict[str, "Json"]]


def table(write: Callable[[str], dict[str, Json]], *levels: str) -> Levels:
    """The table that ``write`` gives for these levels, or for all of ``LEVELS``."""
    return {level: write(level) for level in levels or LEVELS}


def field(*levels: str) -> Levels:
    """``reasoning_effort``, at these levels only."""
    return {level: {"reasoning_effort": level} for level in levels}


def _thinking(level: str) -> dict[str, Json]:
    return {"thinking": {"type": "disabled" if level == "none" else "enabled"}}


def _thinking_and_effort(level: str) -> dict[str, Json]:
    return _thinking(level) if level == "none" else {**_thinking(level), "reasoning_effort": level}


def _template(level: str) -> dict[str, Json]:
    on = level != "none"
    # Qwen's and GLM's templates read the first name, DeepSeek's and Kimi's the second; a template leaves
    # alone what it does not read: vLLM "Reasoning Outputs", SGLang "Separate Reasoning".
    return {"chat_template_kwargs": {"enable_thinking": on, "thinking": on}}


# A switch knows two states only: "none" is off, every other level is on.
ENABLE_THINKING: Final = table(lambda level: {"enable_thinking": level != "none"})
THINKING_TYPE: Final = table(_thinking)
TEMPLATE: Final = table(_template)

THINKING_AND_EFFORT: Final = table(_thinking_and_effort)
REASONING_OBJECT: Final = table(lambda level: {"reasoning": {"effort": level}})

FIXED: Final[Mapping[str, Mapping[str, Json]]] = {}
"""The model thinks as it does, and no field changes that."""

ANY: Final = Effort()
"""Whatever is asked for goes as ``reasoning_effort``; the entry for models that no other one has."""
