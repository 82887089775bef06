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
    "GLM_SWITCHED",
    "LEVELS",
    "TEMPLATE",
    "TEMPLATE_SWITCH",
    "THINKING_AND_EFFORT",
    "THINKING_TYPE",
    "field",
    "table",
]

LEVELS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Every level that several vendors have a word for, from least to most."""


def table(write: Callable[[str], dict[str, Json]], *levels: str) -> dict[str, dict[str, Json]]:
    """What ``write`` gives for each of these levels, or for each of ``LEVELS``."""
    return {level: write(level) for level in levels or LEVELS}


def field(*levels: str) -> dict[str, dict[str, Json]]:
    """``reasoning_effort``, at these levels only."""
    return {level: {"reasoning_effort": level} for level in levels}


def _thinking(level: str) -> dict[str, Json]:
    return {"thinking": {"type": "disabled" if level == "none" else "enabled"}}


def _thinking_and_effort(level: str) -> dict[str, Json]:
    return _thinking(level) if level == "none" else {**_thinking(level), "reasoning_effort": level}


def _template(level: str) -> dict[str, Json]:
    if level == "none":
        return {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}}
    return {"chat_template_kwargs": {"enable_thinking": True, "thinking": True, "reasoning_effort": level}}


# A switch has two states: "none" is off, and every other level is on.
ENABLE_THINKING: Final = table(lambda level: {"enable_thinking": level != "none"})
TEMPLATE_SWITCH: Final = table(lambda level: {"chat_template_kwargs": {"enable_thinking": level != "none"}})
THINKING_TYPE: Final = table(_thinking)

THINKING_AND_EFFORT: Final = table(_thinking_and_effort)

TEMPLATE: Final = table(_template)
"""For servers that hand these to the model's own chat template: Qwen's and GLM's read ``enable_thinking``,
DeepSeek's and Kimi's ``thinking``, some read a level too, and none minds what it does not read."""

FIXED: Final[Mapping[str, Mapping[str, Json]]] = {}
"""The model thinks as it does, and no field changes that."""

GLM_SWITCHED: Final = ("glm-4*", "glm-5", "glm-5-*", "glm-5v*", "glm-5.1*")
"""The GLM models that know on and off only; levels came with 5.2: docs.z.ai "Thinking Mode"."""

ANY: Final = Effort()
"""Whatever is asked for goes as ``reasoning_effort``: the entry for models of which nothing else is known."""
