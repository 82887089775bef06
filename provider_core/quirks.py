"""Where a provider's wire differs from OpenAI's: one function a difference, with the field of its row.

What a request's body and headers are is decided here; sending them is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provider_core.types import Json, Provider, Request

__all__ = ["body", "headers"]


def body(provider: Provider, request: Request) -> dict[str, Json]:
    """The JSON body of a chat completion: what was asked for and nothing else.

    Unset means absent, an explicit 0 is sent; ``request.params`` win over everything.
    """
    quirks = provider.quirks
    fields: dict[str, Json] = {
        "model": request.model,
        "messages": [{"role": turn.role, "content": turn.content} for turn in request.messages],
        "stream": request.stream,
    }
    if request.stream and quirks.stream_usage:
        fields["stream_options"] = {"include_usage": True}
    max_tokens = request.max_tokens if request.max_tokens is not None else quirks.default_max_tokens
    if max_tokens is not None:
        fields[quirks.max_tokens_field] = max_tokens
    if request.temperature is not None:
        fields["temperature"] = request.temperature
    fields.update(request.params)
    return fields


def headers(provider: Provider, key: str | None) -> dict[str, str]:
    """The headers of a request that are the provider's business, the key among them."""
    fields = {name.lower(): value for name, value in provider.headers.items() if value}
    # An empty "Bearer " is refused by servers that would have answered without any key.
    if key and provider.auth == "bearer":
        fields["authorization"] = f"Bearer {key}"
    elif key and provider.auth == "api-key":
        fields["api-key"] = key
    return fields
