"""The body and headers of a chat completion, as the preset requires, and with workarounds for refused fields."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from provider_core import __version__
from provider_core.errors import InvalidInputError
from provider_core.request._messages import wire_messages
from provider_core.structs import Struct, pattern, replace
from provider_core.types import Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from provider_core.types import Json, Provider, Quirks, Request, Tool, WebSearch

_TOKEN_LIMITS: Final = frozenset(
    ("maxtokens", "maxcompletiontokens", "maxoutputtokens", "maxnewtokens", "maxtokenstosample", "maxgenlen",
     "maxlength", "numpredict", "npredict")
)  # fmt: skip
"""Names of the limit on an answer's tokens, in lower case and without underscores."""


def build_body(provider: Provider, request: Request) -> dict[str, Json]:
    """The JSON body of a chat completion; its values are shared with the provider and the request.

    An unset field is absent; an explicit 0 is sent. ``request.params`` override everything, and a null among them
    removes its field. Raises ``InvalidInputError`` for a reasoning effort or a web search that the model does not have.
    """
    quirks = provider.quirks
    turns, format_ = request.messages, {}
    if request.schema is not None:
        format_ = _response_format(quirks, request.schema)
        if "response_format" not in request.params:
            turns = (*turns, *_schema_instructions(quirks, request.schema))
    fields: dict[str, Any] = {
        "model": request.model,
        "messages": wire_messages(
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
        fields |= _effort_fields(provider, request.model, request.reasoning_effort)
    if request.tools:
        optional = not quirks.tool_choice_while_thinking and _may_reason(provider, request, fields)
        fields |= _tool_fields(quirks, request.tools, request.tool_choice, optional=optional)
    if request.web:
        search = find_web_search(provider, request.model)
        fields |= search.fields
        if search.tools:
            fields["tools"] = [*fields.get("tools", ()), *map(dict, search.tools)]
    fields |= format_
    if request.prefill and quirks.prefill is not None:
        fields["messages"][-1] |= quirks.prefill.message
        fields |= quirks.prefill.fields
    fields |= request.params
    if not fields.get("stream") and "stream_options" not in request.params:
        fields.pop("stream_options", None)  # OpenAI and others refuse it without streaming
    return {name: value for name, value in fields.items() if value is not None}


def sets_token_limit(fields: Mapping[str, Json]) -> bool:
    """Whether fields of a body limit the tokens of the answer, also inside an object such as ``options``."""
    for name, value in fields.items():
        if isinstance(value, dict):
            if sets_token_limit(value):
                return True
        elif name.lower().replace("_", "") in _TOKEN_LIMITS and isinstance(value, int | float) and value > 0:
            return True
    return False


def build_headers(provider: Provider, key: str | None) -> dict[str, str]:
    """The headers of every request: telex's name, the provider's own, and the key."""
    fields = {"user-agent": f"telex/{__version__}"}
    fields |= {name.lower(): value for name, value in provider.headers.items() if value}
    # An empty "Bearer " is refused by servers that would have answered without a key.
    if key and provider.auth == "bearer":
        fields["authorization"] = f"Bearer {key}"
    elif key and provider.auth == "api-key":
        fields["api-key"] = key
    return fields


_SECRET: Final = pattern(
    r"token|secret|passw|passphrase|(?<![a-z])pass(?![a-z])|pwd|cookie|session|credential|bearer|jwt"
    r"|auth(?!or(?!i))"  # not author, but authorization
    r"|(?<!mon|tur|don)key(?!word|board)"
    r"|(?<![a-z])sig(?:nature)?(?![a-z])",
    re.IGNORECASE,
)
"""A word too many hides a harmless value; a word too few prints somebody's key."""


def is_secret_name(name: str) -> bool:
    """Whether a header or query field of this name is likely to carry a secret."""
    return _SECRET.search(name) is not None


def known_secrets(provider: Provider, key: str | None) -> tuple[str, ...]:
    """The values to redact in everything the server says: the key, and headers that look like secrets."""
    named = (value for name, value in provider.headers.items() if is_secret_name(name))
    return tuple(secret for secret in (key, *provider.header_secrets, *named) if secret)


# --- reasoning effort --------------------------------------------------------------------------------------


def _effort_fields(provider: Provider, model: str, level: str) -> Mapping[str, Json]:
    levels = _effort_levels(provider.quirks, model)
    if levels is None:
        return {"reasoning_effort": level}
    if level in levels:
        return levels[level]
    name = f"{provider.name}/{model}"
    if not levels:
        text = f"{name} does not support a reasoning effort ({level!r})"
    else:
        text = f"{name} has no reasoning effort {level!r}; it takes {', '.join(levels)}"
    raise InvalidInputError(text, provider=provider.name)


def _may_reason(provider: Provider, request: Request, fields: Mapping[str, Json]) -> bool:
    """False if ``fields`` or raw parameters turn reasoning off."""
    levels = _effort_levels(provider.quirks, request.model)
    off = {"reasoning_effort": "none"} if levels is None else levels.get("none")
    sent = {**fields, **request.params}
    return not off or any(sent.get(name) != value for name, value in off.items())


def _effort_levels(quirks: Quirks, model: str) -> Mapping[str, Mapping[str, Json]] | None:
    name = model.rsplit("/", 1)[-1].lower()
    for family in quirks.effort:
        if not family.models or any(fnmatchcase(name, pattern) for pattern in family.models):
            return family.levels
    return None


# --- web search --------------------------------------------------------------------------------------------


def find_web_search(provider: Provider, model: str) -> WebSearch:
    """How to turn on the provider's web search for ``model``; raises ``InvalidInputError`` if it has none."""
    name = model.rsplit("/", 1)[-1].lower()
    families = provider.quirks.web_search
    for family in families:
        if not family.models or any(fnmatchcase(name, pattern) for pattern in family.models):
            return family
    text = f"{provider.name}/{model} has no web search that telex can turn on"
    if families:
        patterns = ", ".join(pattern for family in families for pattern in family.models)
        text += f"; models of {provider.name} that have one: {patterns}"
    raise InvalidInputError(text, provider=provider.name, code="no_web_search")


def can_prefill(provider: Provider, model: str) -> bool:
    """Whether ``model`` can continue an assistant message."""
    how = provider.quirks.prefill
    if how is None:
        return False
    name = model.rsplit("/", 1)[-1].lower()
    return not how.models or any(fnmatchcase(name, pattern) for pattern in how.models)


# --- tools -------------------------------------------------------------------------------------------------


def _tool_fields(
    quirks: Quirks, tools: Sequence[Tool], choice: str | None, *, optional: bool
) -> dict[str, Json]:
    """``tools`` and ``tool_choice``; OpenAI refuses a choice without tools.

    With ``optional``, or if the provider accepts no demand for a call, the model decides. "none" is then obeyed by
    offering no tools.
    """
    optional = optional or quirks.tool_choice_required == "auto"
    if optional and choice == "none":
        return {}
    named = choice not in (None, "auto", "none", "required")
    if named and not optional and quirks.tool_choice_named == "word":
        tools, choice, named = [tool for tool in tools if tool.name == choice], "required", False
    fields: dict[str, Json] = {"tools": [_tool(tool) for tool in tools]}
    if choice is None or optional:
        return fields
    if named:
        fields["tool_choice"] = {"type": "function", "function": {"name": choice}}
    else:
        fields["tool_choice"] = quirks.tool_choice_required if choice == "required" else choice
    return fields


def _tool(tool: Tool) -> dict[str, Json]:
    function: dict[str, Json] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    # Several servers refuse a function without a schema, even one without parameters.
    function["parameters"] = dict(tool.schema) or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}


# --- JSON schema -------------------------------------------------------------------------------------------

_ABOUT: Final = frozenset({"$schema", "$comment"})
"""Keywords that do not restrict the value; Gemini refuses a request with the first."""

_NOT_STRICT: Final = frozenset(
    ("allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies",
     "patternProperties", "propertyNames", "unevaluatedProperties", "unevaluatedItems", "contains", "minContains",
     "maxContains", "minProperties", "maxProperties", "uniqueItems", "prefixItems", "additionalItems")
)  # fmt: skip
"""Keywords that OpenAI refuses together with ``strict``: platform.openai.com "Structured model outputs"."""


def _response_format(quirks: Quirks, schema: Mapping[str, Json]) -> dict[str, Json]:
    """``response_format`` as the provider supports it, if it does."""
    if quirks.json_schema == "none":
        return {}
    if quirks.json_schema == "json_object":
        return {"response_format": {"type": "json_object"}}
    strict = strict_form(schema) if quirks.json_schema == "json_schema" else None
    title = schema.get("title")
    # Servers accept letters, digits, "_" and "-", at most 64.
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", title)[:64].strip("_") if isinstance(title, str) else ""
    format_: dict[str, Json] = {"name": name or "answer"}
    if quirks.json_schema == "json_schema":
        format_["strict"] = strict is not None
    format_["schema"] = _bare(schema) if strict is None else strict
    return {"response_format": {"type": "json_schema", "json_schema": format_}}


def _schema_instructions(quirks: Quirks, schema: Mapping[str, Json]) -> tuple[Message, ...]:
    """The schema as a system message, if ``response_format`` does not carry it.

    It contains the word "json", without which DeepSeek and OpenAI refuse to answer with a JSON object.
    """
    if quirks.json_schema in ("json_schema", "loose_schema"):
        return ()
    text = (
        "Answer with JSON (application/json) and nothing else: no words around it, no code fence. "
        "It has to fit this JSON schema:\n\n"
    )
    return (Message(role="system", content=text + json.dumps(_bare(schema), ensure_ascii=False)),)


def strict_form(schema: Mapping[str, Json]) -> dict[str, Json] | None:
    """A copy for OpenAI's strict mode, which requires closed objects; None if the copy would mean something else.

    There is one if every property is required and further ones are not mentioned. If optional properties were
    required, the model would invent them. A value that fits the copy fits ``schema``.
    """
    if schema.get("type") != "object":
        return None
    try:
        return _strict(_bare(schema))
    except _NotStrictError:
        return None


class _NotStrictError(Exception):
    """A part of the schema does not work in strict mode."""


def _strict(node: Json) -> dict[str, Json]:
    typed = isinstance(node, dict) and any(key in node for key in ("type", "$ref", "anyOf", "enum", "const"))
    if not isinstance(node, dict) or not typed or not _NOT_STRICT.isdisjoint(node):
        raise _NotStrictError
    copy = dict(node)
    kinds = node["type"] if isinstance(node.get("type"), list) else [node.get("type")]
    if "object" in kinds or "properties" in node:
        properties = node.get("properties")
        if not isinstance(properties, dict) or node.get("additionalProperties", False) is not False:
            raise _NotStrictError
        if set(node.get("required", ())) != set(properties):
            raise _NotStrictError
        copy["additionalProperties"] = False
    for key in ("properties", "$defs", "definitions"):
        if isinstance(node.get(key), dict):
            copy[key] = {name: _strict(child) for name, child in node[key].items()}
    if "items" in node:
        copy["items"] = _strict(node["items"])
    if isinstance(node.get("anyOf"), list):
        copy["anyOf"] = [_strict(child) for child in node["anyOf"]]
    return copy


def _bare(schema: Mapping[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in schema.items() if key not in _ABOUT}


# --- workarounds -------------------------------------------------------------------------------------------


class Workaround(Struct):
    """A field of the body that is omitted, or sent under the name ``swapped_for``, or sent with ``value``.

    With ``beside``, only in a body that has the field of this name too. ``lasting`` is whether the server refuses the
    field in any request; only those workarounds are remembered.
    """

    field: str
    swapped_for: str | None = None
    value: Json = None
    beside: str = ""
    lasting: bool = True


SWAPS: Final = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
"""Two names for the same thing: if one is refused, the other is tried."""

# The first five are not fields of the body, but change how messages are sent.

SYSTEM: Final = Workaround(field="system", swapped_for="user")
"""Put the system message before the first user message."""

ROLES: Final = Workaround(field="roles", swapped_for="one")
"""Join neighbouring messages of one role."""

CALLS: Final = Workaround(field="calls", swapped_for="text")
"""Send tool calls of earlier turns as text in a request without tools."""

IMAGES: Final = Workaround(field="tool_images", swapped_for="user")
"""Send the images of tool results in a user message after the results."""

REASONING: Final = "reasoning_send_back"
"""Whether the reasoning of earlier answers is sent: swapped for "reasoning_content" or "never"."""

MESSAGE_FIELDS: Final = frozenset(("system", "roles", "calls", "tool_images", REASONING))
"""Fields that a user cannot set."""

STREAM: Final = "stream"
"""Swapped for "unstreamed" or "streamed"."""

CHOICE: Final = "tool_choice"
"""Swapped for a key of ``_CHOICES`` before it is omitted."""

FORMAT: Final = "response_format"
"""With a schema, swapped for one of ``FORMATS`` or ``UNSTREAMED``, and never omitted."""

FORMATS: Final = ("json_schema", "loose_schema", "json_object", "none")
"""Values of ``Quirks.json_schema``, strongest first; "loose_schema" is a schema without ``strict``."""

UNSTREAMED: Final = "unstreamed"
"""The same format without streaming, which some servers require: https://github.com/langchain-ai/langchain/issues/23629"""

_CHOICES: Final[Mapping[str, Mapping[str, Any]]] = {
    "text": {"tool_choice_named": "word"},
    "required": {"tool_choice_named": "word", "tool_choice_required": "required"},
    "any": {"tool_choice_named": "word", "tool_choice_required": "any"},
}
"""The quirks that each word stands for."""

_SWAPPED_FOR: Final[Mapping[str, tuple[str | None, ...]]] = {
    "system": ("user", "system"),
    "roles": ("one",),
    "calls": ("text",),
    "tool_images": ("user",),
    REASONING: ("reasoning_content", "never"),
    STREAM: ("unstreamed", "streamed"),
    CHOICE: (*_CHOICES, None),
    FORMAT: (*FORMATS, UNSTREAMED, None),
    **{one: (other, None) for one, other in SWAPS.items()},
}
"""The valid ``swapped_for`` of these fields; others have no other name."""

REQUIRED: Final = frozenset({"model", "messages", "stream", "tools"})
"""Without these it would be another request."""


def is_valid(workaround: Workaround) -> bool:
    """Whether there is such a workaround: a cache file may contain anything."""
    if workaround.field in REQUIRED and workaround.field != STREAM:
        return False
    return workaround.swapped_for in _SWAPPED_FOR.get(workaround.field, (None,))


def build_adapted_body(
    provider: Provider, request: Request, workarounds: Iterable[Workaround]
) -> tuple[dict[str, Json], tuple[Workaround, ...]]:
    """The request's body with these workarounds, in their order, and those that changed a field of it."""
    workarounds = tuple(workarounds)
    quirks = provider.quirks
    for each in workarounds:
        quirks, request = _adapted(quirks, request, each)
    body = build_body(provider if quirks is provider.quirks else replace(provider, quirks=quirks), request)
    effective = []
    for each in workarounds:
        field, other = each.field, each.swapped_for
        if field in MESSAGE_FIELDS or field == STREAM or (field in (FORMAT, CHOICE) and other is not None):
            continue
        if each.value is not None:
            if (each.beside and each.beside not in body) or body.get(field) == each.value:
                continue
            body[field] = each.value
        elif field in body:
            value = body.pop(field)
            if other is not None:
                body.setdefault(other, value)
        else:
            continue
        effective.append(each)
    return body, tuple(effective)


def _adapted(quirks: Quirks, request: Request, workaround: Workaround) -> tuple[Quirks, Request]:
    """The quirks and the request changed by a workaround of more than a field."""
    word: Any = workaround.swapped_for
    match workaround.field:
        case "system":
            quirks = replace(quirks, system_role=word)
        case "roles":
            quirks = replace(quirks, alternate_roles=True)
        case "calls":
            quirks = replace(quirks, earlier_calls="text")
        case "tool_images":
            quirks = replace(quirks, tool_images="user")
        case "reasoning_send_back":
            quirks = replace(quirks, reasoning_send_back=word)
        case "stream":
            quirks, request = (
                replace(quirks, always_stream=False),
                replace(request, stream=word == "streamed"),
            )
        case "tool_choice" if word is not None:
            quirks = replace(quirks, **_CHOICES[word])
        case "response_format" if request.schema is None:
            pass
        case "response_format" if word == UNSTREAMED:
            request = replace(request, stream=False)
        case "response_format" if word == FORMATS[0]:
            quirks = replace(quirks, json_schema=word)
        case "response_format":
            weaker: Any = max(quirks.json_schema, word or "none", key=FORMATS.index)
            quirks = replace(quirks, json_schema=weaker)
    return quirks, request
