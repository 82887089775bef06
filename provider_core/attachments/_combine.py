"""A prompt and what is attached to it as one message's content; neither is read from anywhere here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.errors import InvalidInputError
from provider_core.types import TextPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provider_core.attachments._texts import TextFile
    from provider_core.types import ImagePart, Model, Part, Target

__all__ = ["check_vision", "combine"]


def combine(
    prompt: str, files: Sequence[TextFile] = (), images: Sequence[ImagePart] = ()
) -> str | tuple[Part, ...]:
    """The content of a user's message: the files in their order, a blank line between, and the prompt last.

    Images stand before the text, as Anthropic and Google advise; without one it is plain text.
    """
    text = "\n\n".join([*(file.as_block() for file in files), *([prompt] if prompt else [])])
    if not images:
        return text
    return (*images, *([TextPart(text=text)] if text else []))


def check_vision(target: Target, model: Model | None) -> None:
    """Raise ``InvalidInputError`` where the model is known to read no images; a model that nothing is known of may."""
    if model is not None and model.vision is False:
        raise InvalidInputError(
            f"{target} is known to read no images", provider=target.provider.name, code="no_vision"
        )
