"""Estimates of tokens, and whether a model is likely to accept the messages."""

from __future__ import annotations

import base64
import fnmatch
import math
import re
from typing import TYPE_CHECKING, Final

from provider_core.errors import InvalidInputError
from provider_core.types import AudioPart, FilePart, ImagePart, TextPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from provider_core.types import Message, Model, Part, Target

# --- whether the model can take it ---------------------------------------------------------------------------

_BYTES: Final = 4
"""Bytes of UTF-8 per token. For prose, code and JSON in nine languages, o200k_base of OpenAI and DeepSeek's tokenizer
count three quarters to one and a half times as many tokens (August 2026); older ones count twice as many for non-Latin
text."""
_IMAGE: Final = 1000
"""Tokens of an image of about a megapixel: 765 at OpenAI, 1,032 at Google, 1,400 at Anthropic."""
_AUDIO_RATE: Final = 16_000
"""Bytes of a compressed recording for one second, at 128 kbit/s."""
_AUDIO_SECOND: Final = 32
"""Tokens of a second: 32 at Google, 10 at OpenAI."""
_PAGE: Final = 1500
"""Tokens of a page of a PDF, which some models read as text and as an image."""
_PAGE_BYTES: Final = 50_000
"""Bytes of a page, if the pages cannot be counted because their list is compressed."""
_MESSAGE: Final = 4
"""Tokens that separate a message from others."""


def accepts_pdf(target: Target) -> bool:
    """Whether the model is known to accept PDFs as they are."""
    name = target.model.rpartition("/")[2].lower()
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in target.provider.quirks.pdf)


def check_parts(target: Target, model: Model | None, parts: Iterable[Part]) -> None:
    """Raise ``InvalidInputError`` if the model is known not to accept one of the parts."""
    for part in parts:
        if isinstance(part, ImagePart) and model is not None and model.vision is False:
            what, code = "images", "no_vision"
        elif isinstance(part, AudioPart) and model is not None and model.audio is False:
            what, code = "recordings", "no_audio"
        elif isinstance(part, FilePart) and not accepts_pdf(target):
            what, code = "PDFs as they are", "no_pdf"
        else:
            continue
        raise InvalidInputError(f"{target} cannot read {what}", provider=target.provider.name, code=code)


def check_window(
    target: Target, model: Model | None, messages: Sequence[Message], max_tokens: int | None = None
) -> str | None:
    """A warning if the prompt and ``max_tokens`` of answer are likely to exceed the model's context window."""
    if model is None or not model.context:
        return None
    prompt = estimate_tokens(messages)
    if prompt + (max_tokens or 0) <= model.context:
        return None
    answer = f", and up to {max_tokens:,} are requested for the answer" if max_tokens else ""
    return (
        f"The prompt is about {rounded(prompt):,} tokens{answer}; {target} takes {model.context:,} in all. "
        "It is sent completely, and may be refused. (The count is an estimate.)"
    )


def estimate_tokens(messages: Iterable[Message]) -> int:
    """The approximate number of tokens: one for 4 bytes of UTF-8, and those of ``part_tokens``."""
    total = 0.0
    for message in messages:
        total += _MESSAGE
        content = (TextPart(text=message.content),) if isinstance(message.content, str) else message.content
        total += sum(
            _tokens(part.text) if isinstance(part, TextPart) else part_tokens(part) for part in content
        )
        total += _tokens(message.reasoning)
        total += sum(_tokens(call.name + call.arguments) for call in message.tool_calls)
    return math.ceil(total)


def rounded(count: int) -> int:
    """An estimate with two significant digits."""
    step: int = 10 ** max(len(str(count)) - 2, 0)
    return round(count / step) * step


def text_tokens(text: str) -> int:
    """The approximate number of tokens of a text."""
    return math.ceil(_tokens(text))


def part_tokens(part: Part) -> int:
    """The approximate number of tokens: 1,000 for an image of any size, and about 1,500 for a page of a PDF."""
    match part:
        case TextPart(text=text):
            return text_tokens(text)
        case AudioPart(data=data, format=format_):
            rate = _AUDIO_RATE
            if format_ == "wav":  # its header has the bytes of a second
                rate = int.from_bytes(base64.b64decode(data[:48])[28:32], "little") or rate
            return math.ceil(part_size(part) / rate * _AUDIO_SECOND)
        case FilePart(url=url):
            pages = len(re.findall(rb"/Type\s*/Page\b", base64.b64decode(url.partition(",")[2])))
            return (pages or math.ceil(part_size(part) / _PAGE_BYTES)) * _PAGE
        case _:
            return _IMAGE


def part_size(part: Part) -> int:
    """The bytes of a part before they were encoded; 0 for an image that the provider fetches."""
    match part:
        case TextPart(text=text):
            return len(text.encode("utf-8", "replace"))
        case AudioPart(data=data):
            pass
        case _:
            data = part.url.partition(";base64,")[2]
    return len(data) * 3 // 4 - data.count("=", -2)


def _tokens(text: str) -> float:
    return len(text.encode("utf-8", "replace")) / _BYTES
