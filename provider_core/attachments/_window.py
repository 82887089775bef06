"""Whether a prompt fits into a model's context window, as far as that can be told without the model's tokenizer."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from provider_core.types import TextPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from provider_core.types import Message, Model, Target

__all__ = ["check_window", "estimate_tokens"]

# Characters to a token. For prose, code and JSON in nine languages the estimate was 0.75 to 1.46 of what OpenAI's
# o200k_base and DeepSeek's tokenizer count (August 2026); older ones take up to twice as many beyond Latin letters.
_LATIN: Final = 4.0
_OTHER: Final = 2.5
"""Letters beyond ASCII: Cyrillic, Greek, Arabic, Indian scripts; accents."""
_CJK: Final = 1.5
_IMAGE: Final = 1000
"""Tokens of an image: what a picture of about a megapixel costs at OpenAI (765), Google (1,032), Anthropic (1,400)."""
_TURN: Final = 4
"""Tokens of a message's own marks."""

_IDEOGRAPHS: Final = re.compile(
    "[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]+"
)


def estimate_tokens(messages: Iterable[Message]) -> int:
    """About how many tokens the messages are, give or take a third.

    Four characters to a token, one and a half in Chinese, Japanese and Korean, two and a half in other letters
    beyond ASCII; 1,000 for an image, whatever its size; 4 for each message.
    """
    total = 0.0
    for message in messages:
        total += _TURN
        content = (TextPart(text=message.content),) if isinstance(message.content, str) else message.content
        for part in content:
            total += _of(part.text) if isinstance(part, TextPart) else _IMAGE
        total += _of(message.reasoning) + sum(_of(call.name + call.arguments) for call in message.tool_calls)
    return math.ceil(total)


def check_window(
    target: Target, model: Model | None, messages: Sequence[Message], max_tokens: int | None = None
) -> str | None:
    """A sentence with the numbers where the prompt, and the answer that was asked for, outgrow the model's window.

    None where they fit, or nobody knows the window. It is a warning: what is sent is never cut.
    """
    if model is None or not model.context:
        return None
    prompt = estimate_tokens(messages)
    if prompt + (max_tokens or 0) <= model.context:
        return None
    wanted = f"about {_rounded(prompt)} tokens"
    if max_tokens:
        wanted += f", and up to {max_tokens:,} more are asked for"
    return (
        f"The prompt is {wanted}; {target} takes {model.context:,} in all. "
        "It is sent whole, and may be refused. (The count is an estimate.)"
    )


def _of(text: str) -> float:
    if not text:
        return 0.0
    if text.isascii():
        return len(text) / _LATIN
    ascii_ = len(text.encode("ascii", "ignore"))
    ideographs = len(text) - len(_IDEOGRAPHS.sub("", text))
    return ascii_ / _LATIN + ideographs / _CJK + (len(text) - ascii_ - ideographs) / _OTHER


def _rounded(count: int) -> str:
    """Two digits that count: more would claim to be measured."""
    step = 10 ** max(len(str(count)) - 2, 0)
    return f"{round(count / step) * step:,}"
