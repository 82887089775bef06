"""Which of a provider's values are secret, judged by the names they go by; masking them is not done here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provider_core.types import Provider

__all__ = ["is_secret_name", "known_secrets"]

_SECRET = re.compile(
    r"token|secret|passw|passphrase|(?<![a-z])pass(?![a-z])|pwd|cookie|session|credential|bearer|jwt"
    r"|auth(?!or(?!i))"  # an author is none, an authorization is one
    r"|(?<!mon|tur|don)key(?!word|board)"
    r"|(?<![a-z])sig(?:nature)?(?![a-z])",
    re.IGNORECASE,
)
"""A word too many hides something harmless; a word too few prints somebody's key."""


def is_secret_name(name: str) -> bool:
    """Whether a header or a query field of this name is likely to carry a secret."""
    return _SECRET.search(name) is not None


def known_secrets(provider: Provider, key: str | None) -> tuple[str, ...]:
    """What must not come back in anything the server says: the key, and headers that look like one."""
    named = (value for name, value in provider.headers.items() if is_secret_name(name))
    return tuple(secret for secret in (key, *provider.header_secrets, *named) if secret)
