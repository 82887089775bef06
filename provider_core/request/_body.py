"""Where a provider's wire differs from OpenAI's: what a request's body and headers are, by the provider's row.

The body holds what was asked for and nothing else. Sending it is not done here, nor is anything about what
a server refuses once it has been asked: that is ``repair``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.request._effort import effort, thinks
from provider_core.request._messages import messages
from provider_core.request._tools import tools

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.types import Json, Provider, Request

_TOKEN_LIMITS = frozenset(
    ("maxtokens", "maxcompletiontokens", "maxoutputtokens", "maxnewtokens", "maxtokenstosample", "maxgenlen",
     "maxlength", "numpredict", "npredict")
)  # fmt: skip
"""Names of the limit on an answer's tokens, in lower case and without underscores."""


def build_body(provider: Provider, request: Request) -> dict[str, Json]:
    """The JSON body of a chat completion; its values are shared with the row and the request.

    Unset means absent, an explicit 0 is sent. ``request.params`` win over everything, and a null among them
    takes its field out. Raises ``InvalidInputError`` for a reasoning effort that cannot be asked for.
    """
    quirks = provider.quirks
    turns, format_ = request.messages, {}
    if request.schema is not None:
        from provider_core.request import _format

        format_ = _format.fields(quirks, request.schema)
        if "response_format" not in request.params:
            turns = (*turns, *_format.instructions(quirks, request.schema))
    fields: dict[str, Json] = {
        "model": request.model,
        "messages": messages(
            provider, turns, tools=bool(request.tools), images=request.reads_images, model=request.model
        ),
        "stream": request.stream or quirks.always_stream,
    }
    if quirks.stream_usage:
        fields["stream_options"] = {"include_usage": True}
    max_tokens = request.max_tokens if request.max_tokens is not None else quirks.default_max_tokens
    if max_tokens is not None and not sets_token_limit(request.params):
        fields[quirks.max_tokens_field] = max_tokens
    if request.temperature is not None:
        fields["temperature"] = request.temperature
    if request.reasoning_effort is not None:
        fields |= effort(provider, request.model, request.reasoning_effort)
    if request.tools:
        free = not quirks.tool_choice_while_thinking and thinks(provider, request, fields)
        fields |= tools(quirks, request.tools, request.tool_choice, free=free)
    fields |= format_
    fields |= request.params
    if not fields.get("stream") and "stream_options" not in request.params:
        fields.pop("stream_options", None)  # a 400 at OpenAI and others where nothing streams
    return {name: value for name, value in fields.items() if value is not None}


def sets_token_limit(fields: Mapping[str, Json]) -> bool:
    """Tell whether fields of a body limit the tokens of the answer, also inside an object such as ``options``."""
    for name, value in fields.items():
        if isinstance(value, dict):
            if sets_token_limit(value):
                return True
        elif name.lower().replace("_", "") in _TOKEN_LIMITS and isinstance(value, int | float) and value > 0:
            return True
    return False


def build_headers(provider: Provider, key: str | None) -> dict[str, str]:
    """The headers of a request that are the provider's business, the key among them."""
    fields = {name.lower(): value for name, value in provider.headers.items() if value}
    # An empty "Bearer " is refused by servers that would have answered without any key.
    if key and provider.auth == "bearer":
        fields["authorization"] = f"Bearer {key}"
    elif key and provider.auth == "api-key":
        fields["api-key"] = key
    return fields
