"""How vendors take a reasoning effort: tables from a level to fields of the request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from provider_core.types import Effort

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from provider_core.types import Json

LEVELS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""The levels that several vendors have, from least to most."""


def per_level(write: Callable[[str], dict[str, Json]], *levels: str) -> dict[str, dict[str, Json]]:
    """The result of ``write`` for each of ``levels``, by default all of ``LEVELS``."""
    return {level: write(level) for level in levels or LEVELS}


def reasoning_effort(*levels: str) -> dict[str, dict[str, Json]]:
    """The field ``reasoning_effort``, with only these levels."""
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
ENABLE_THINKING: Final = per_level(lambda level: {"enable_thinking": level != "none"})
TEMPLATE_SWITCH: Final = per_level(
    lambda level: {"chat_template_kwargs": {"enable_thinking": level != "none"}}
)
THINKING_TYPE: Final = per_level(_thinking)

THINKING_AND_EFFORT: Final = per_level(_thinking_and_effort)

TEMPLATE_ARGUMENTS: Final = per_level(_template)
"""For servers that pass these to the model's chat template: those of Qwen and GLM read ``enable_thinking``, those of
DeepSeek and Kimi ``thinking``, and some also a level. Templates ignore what they do not know."""

FIXED: Final[Mapping[str, Mapping[str, Json]]] = {}
"""No field changes how the model reasons."""

GLM_WITH_SWITCH: Final = ("glm-4*", "glm-5", "glm-5-*", "glm-5v*", "glm-5.1*")
"""GLM models that have only on and off; levels came with 5.2: docs.z.ai "Thinking Mode"."""

ANY_EFFORT: Final = Effort()
"""Any level is sent as ``reasoning_effort``: for models of which nothing else is known."""
