"""The room where files become part of a prompt: text as a fenced block, images as parts; nothing is ever cut.

What is asked of a terminal, stdin and options is the caller's; what the server makes of a part is its own.
"""

from provider_core.attachments._combine import check_vision, combine
from provider_core.attachments._images import image, image_of
from provider_core.attachments._kinds import sniff
from provider_core.attachments._texts import TextFile, text_file, text_of
from provider_core.attachments._window import check_window, estimate_tokens

__all__ = [
    "TextFile",
    "check_vision",
    "check_window",
    "combine",
    "estimate_tokens",
    "image",
    "image_of",
    "sniff",
    "text_file",
    "text_of",
]
