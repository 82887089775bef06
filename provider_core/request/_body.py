"""The headers of a request, and the body of a chat completion: its fields and messages, as the provider requires."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from provider_core import __version__
from provider_core.errors import InvalidInputError
from provider_core.structs import pattern, replace
from provider_core.types import AudioPart, FilePart, ImagePart, Message, TextPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from provider_core.types import Json, Part, Provider, Quirks, Request, Tool, ToolCall, WebSearch

_TOKEN_LIMITS: Final = frozenset(
    ("maxtokens", "maxcompletiontokens", "maxoutputtokens", "maxnewtokens", "maxtokenstosample", "maxgenlen",
     "maxlength", "numpredict", "npredict")
)  # fmt: skip
"""Names of the limit on an answer's tokens, in lower case and without underscores."""

SWAPS: Final = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
"""Two names for the same thing: if one is refused, the other is tried."""

REQUIRED: Final = frozenset({"model", "messages", "stream", "tools"})
"""Without these it would be another request."""

# Fields with workarounds of their own: ``FieldDropped`` has the words that they are swapped for.
STREAM: Final = "stream"
CHOICE: Final = "tool_choice"
FORMAT: Final = "response_format"
REASONING: Final = "reasoning_send_back"

FORMATS: Final = ("json_schema", "loose_schema", "json_object", "none")
"""Values of ``Quirks.json_schema``, strongest first; "loose_schema" is a schema without ``strict``."""

UNSTREAMED: Final = "unstreamed"
"""The same format without streaming, which some servers require: https://github.com/langchain-ai/langchain/issues/23629"""


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


# --- what families of models take --------------------------------------------------------------------------


def _effort_fields(provider: Provider, model: str, level: str) -> Mapping[str, Json]:
    levels = _effort_levels(provider.quirks, model)
    if levels is None:
        return {"reasoning_effort": level}
    if level in levels:
        return levels[level]
    text = f"has no reasoning effort {level!r}; it takes {', '.join(levels)}"
    text = text if levels else f"does not support a reasoning effort ({level!r})"
    raise InvalidInputError(f"{provider.name}/{model} {text}", provider=provider.name)


def _may_reason(provider: Provider, request: Request, fields: Mapping[str, Json]) -> bool:
    """False if ``fields`` or raw parameters turn reasoning off."""
    levels = _effort_levels(provider.quirks, request.model)
    off = {"reasoning_effort": "none"} if levels is None else levels.get("none")
    sent = {**fields, **request.params}
    return not off or any(sent.get(name) != value for name, value in off.items())


def _effort_levels(quirks: Quirks, model: str) -> Mapping[str, Mapping[str, Json]] | None:
    return next((family.levels for family in quirks.effort if _is_one_of(model, family.models)), None)


def _is_one_of(model: str, patterns: Sequence[str]) -> bool:
    """Whether the part of the id after the last slash matches one of the patterns, if there are any."""
    name = model.rsplit("/", 1)[-1].lower()
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def find_web_search(provider: Provider, model: str) -> WebSearch:
    """How to turn on the provider's web search for ``model``; raises ``InvalidInputError`` if it has none."""
    families = provider.quirks.web_search
    for family in families:
        if _is_one_of(model, family.models):
            return family
    text = f"{provider.name}/{model} has no web search that telex can turn on"
    if families:
        patterns = ", ".join(pattern for family in families for pattern in family.models)
        text += f"; models of {provider.name} that have one: {patterns}"
    raise InvalidInputError(text, provider=provider.name, code="no_web_search")


def can_prefill(provider: Provider, model: str) -> bool:
    """Whether ``model`` can continue an assistant message."""
    how = provider.quirks.prefill
    return how is not None and _is_one_of(model, how.models)


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


# --- messages ----------------------------------------------------------------------------------------------

_NO_RESULT = "There is no result: the call was not run, or not to its end."
_NO_ANSWER = "(No answer: it was broken off.)"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def wire_messages(
    provider: Provider, turns: Sequence[Message], *, tools: bool, images: bool, model: str
) -> list[dict[str, Json]]:
    """The ``messages`` of a body that offers ``tools``, for a model that reads ``images``.

    There is one system message, and it comes first; no assistant message is empty; each tool call has a result, and
    each result its call; an answer separates a result from the next user message; and reasoning and extra fields come
    only from turns that this provider wrote.
    """
    quirks = provider.quirks
    rest = [
        replace(turn, tool_calls=tuple(call for call in turn.tool_calls if not call.cut))
        if turn.tool_calls
        else turn
        for turn in turns
        if turn.role != "system"
    ]
    rest = [turn for turn in rest if not _is_empty(turn)]
    rest = [_own(provider, turn) for turn in _with_answers(_with_results(rest), _NO_ANSWER)]
    as_text = not tools and quirks.earlier_calls == "text"
    if not images:
        note = "[The result has images as well, which cannot be shown to you.]"
        rest = [_with_note(turn, note) if _has_images(turn) else turn for turn in rest]
    elif as_text or quirks.tool_images == "user":
        rest = list(_images_after_results(rest))
        # By their names: these models run on servers of every provider.
        if any(part in model.lower() for part in ("stral", "mixtral")):
            rest = list(_with_answers(rest, "I will look at the images."))
    else:
        # A server that reads only text would find an empty result.
        only = TextPart(text="[The result has only images.]")
        rest = [
            turn
            if not _has_images(turn) or _text(turn.content)
            else replace(turn, content=(only, *turn.content))
            for turn in rest
        ]
    if as_text:
        rest = list(_calls_as_text(rest))
    system = "\n\n".join(filter(None, (_text(turn.content) for turn in turns if turn.role == "system")))
    if system and quirks.system_role == "user":
        rest = _before_first_user(system, rest)
    elif system:
        rest.insert(0, Message(role="system", content=system))
    if quirks.alternate_roles:
        rest = _merge_neighbours(rest)
    reasoning = quirks.reasoning_send_back == "reasoning_content" and (
        tools or any(turn.tool_calls for turn in rest)
    )
    return [_message(quirks, turn, reasoning=reasoning) for turn in rest]


def _is_empty(turn: Message) -> bool:
    """Whether this is what a failed or empty answer leaves: several servers refuse it, and blanks too."""
    if turn.role != "assistant" or turn.tool_calls:
        return False
    return not (turn.content.strip() if isinstance(turn.content, str) else turn.content)


def _with_results(turns: Iterable[Message]) -> Iterator[Message]:
    """Pair calls with results: OpenAI and others refuse one without the other."""
    waiting: list[str] = []

    def missing() -> Iterator[Message]:
        for id_ in waiting:
            yield Message(role="tool", tool_call_id=id_, content=_NO_RESULT)
        waiting.clear()

    for turn in turns:
        if turn.role == "tool":
            if turn.tool_call_id in waiting:
                waiting.remove(turn.tool_call_id)
                yield turn
            continue
        if not turn.tool_calls:
            yield from missing()
        waiting += (call.id for call in turn.tool_calls)
        yield turn
    yield from missing()


def _with_answers(turns: Iterable[Message], answer: str) -> Iterator[Message]:
    """Put an answer between a result and a user message, as after an interrupt.

    Mistral's models refuse one right after the other: https://github.com/yetone/avante.nvim/issues/2562,
    https://github.com/LibreChat-AI/agents/issues/344
    """
    last = ""
    for turn in turns:
        if (last, turn.role) == ("tool", "user"):
            yield Message(role="assistant", content=answer)
        yield turn
        last = turn.role


def _images_after_results(turns: Iterable[Message]) -> Iterator[Message]:
    """Move the images of results into a user message after all results of a turn."""
    calls: dict[str, str] = {}
    images: list[Part] = []

    def moved() -> Iterator[Message]:
        if images:
            yield Message(role="user", content=tuple(images))
            images.clear()

    for turn in turns:
        if turn.role != "tool":
            yield from moved()
            calls |= {call.id: call.name for call in turn.tool_calls}
            yield turn
        elif _has_images(turn):
            name = calls.get(turn.tool_call_id, "the tool")
            images += [TextPart(text=f"Images in the result of {name}:"), *_images(turn)]
            yield _with_note(turn, "[Its images are in the message after the results.]")
        else:
            yield turn
    yield from moved()


def _with_note(turn: Message, note: str) -> Message:
    """The result with ``note`` instead of its images."""
    return replace(turn, content=f"{_text(turn.content)}\n{note}".lstrip("\n"))


def _has_images(turn: Message) -> bool:
    """Whether it is a tool's result with images."""
    return turn.role == "tool" and bool(_images(turn))


def _images(turn: Message) -> list[ImagePart]:
    return [part for part in turn.content if isinstance(part, ImagePart)]


def _calls_as_text(turns: Iterable[Message]) -> Iterator[Message]:
    """Calls and results as the user's text: if the assistant had written it, a model would start to imitate it."""
    calls: dict[str, ToolCall] = {}
    for turn in turns:
        if turn.role == "tool" and turn.tool_call_id in calls:
            call = calls[turn.tool_call_id]
            words = f"[The tool {call.name} was called with {call.arguments} and brought:]"
            yield Message(role="user", content=f"{words}\n{_text(turn.content)}")
            continue
        calls |= {call.id: call for call in turn.tool_calls}
        if turn.content or not turn.tool_calls:
            yield replace(turn, tool_calls=(), reasoning="", reasoning_details=(), extra={})


def _own(provider: Provider, turn: Message) -> Message:
    """Remove reasoning and extra fields of another provider: only that one accepts its signatures."""
    if turn.role != "assistant" or turn.provider in ("", provider.name):
        return turn
    calls = tuple(replace(call, extra={}) for call in turn.tool_calls)
    return replace(turn, reasoning="", reasoning_details=(), extra={}, tool_calls=calls)


def _before_first_user(text: str, turns: list[Message]) -> list[Message]:
    for at, turn in enumerate(turns):
        if turn.role == "user":
            merged = replace(turn, content=_joined(text, turn.content))
            return [*turns[:at], merged, *turns[at + 1 :]]
    return [Message(role="user", content=text), *turns]


def _merge_neighbours(turns: Iterable[Message]) -> list[Message]:
    merged: list[Message] = []
    for turn in turns:
        last = merged[-1] if merged else None
        if last and last.role == turn.role != "tool" and not last.tool_calls:
            merged[-1] = replace(turn, content=_joined(last.content, turn.content))
        else:
            merged.append(turn)
    return merged


def _joined(first: str | tuple[Part, ...], second: str | tuple[Part, ...]) -> str | tuple[Part, ...]:
    if not first or not second:
        return first or second
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    return (*_parts(first), *_parts(second))


def _parts(content: str | tuple[Part, ...]) -> tuple[Part, ...]:
    return (TextPart(text=content),) if isinstance(content, str) else content


# --- the fields of a message -------------------------------------------------------------------------------


def _message(quirks: Quirks, turn: Message, *, reasoning: bool) -> dict[str, Json]:
    fields: dict[str, Json] = {"role": turn.role, "content": _content(turn.content)}
    if turn.role == "system" and quirks.system_role == "developer":
        fields["role"] = "developer"
    elif turn.role == "tool":
        fields["tool_call_id"] = _call_id(quirks, turn.tool_call_id)
    elif turn.role == "assistant" and (reasoning or turn.tool_calls):
        fields |= _reasoning(quirks, turn)
        if turn.tool_calls:
            # Null if empty: Bedrock, and gateways to it, refuse an empty text. https://github.com/vercel/ai/pull/14950
            fields["content"] = fields["content"] or None
            fields["tool_calls"] = [_call(quirks, call) for call in turn.tool_calls]
            fields = {**turn.extra, **fields}
    return fields


def _content(content: str | tuple[Part, ...]) -> Json:
    """A plain text if there is nothing else: old and small servers accept no other form."""
    if isinstance(content, str) or all(isinstance(part, TextPart) for part in content):
        return _text(content)
    return [wire_part(part) for part in content]


def wire_part(part: Part) -> dict[str, Json]:
    """A part of a message in the form of OpenAI's API."""
    match part:
        case TextPart(text=text):
            return {"type": "text", "text": text}
        case ImagePart(url=url):
            return {"type": "image_url", "image_url": {"url": url}}
        case FilePart(name=name, url=url):
            return {"type": "file", "file": {"filename": name, "file_data": url}}
        case AudioPart(data=data, format=format_):
            return {"type": "input_audio", "input_audio": {"data": data, "format": format_}}


def _text(content: str | tuple[Part, ...]) -> str:
    if isinstance(content, str):
        return content
    return "\n\n".join(part.text for part in content if isinstance(part, TextPart))


def _reasoning(quirks: Quirks, turn: Message) -> dict[str, Json]:
    match quirks.reasoning_send_back:
        case "reasoning_content":
            # Even if it is empty, and for answers without calls: DeepSeek and Kimi refuse a conversation with tools if
            # one assistant message lacks the field. https://github.com/MoonshotAI/kimi-cli/issues/2141
            return {"reasoning_content": turn.reasoning}
        case "reasoning_details" if turn.reasoning_details:
            return {"reasoning_details": list(turn.reasoning_details)}
        case "reasoning" | "reasoning_details" if turn.reasoning:
            # Reasoning that arrived as text goes back as text: openrouter.ai "Reasoning Tokens".
            return {"reasoning": turn.reasoning}
        case "think_tags" if turn.reasoning:
            return {"content": _content(_joined(f"<think>\n{turn.reasoning}\n</think>", turn.content))}
        case _:
            return {}


def _call(quirks: Quirks, call: ToolCall) -> dict[str, Json]:
    # A model may have made the name up; OpenAI restricts its characters.
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", call.name)[:64]
    return {
        **call.extra,
        "id": _call_id(quirks, call.id),
        "type": "function",
        "function": {"name": name, "arguments": _arguments(call.arguments)},
    }


def _arguments(text: str) -> str:
    """The arguments, or an empty object for a model's invalid JSON, which servers refuse when it comes back.

    Ollama does (openai/openai.go), and the templates of vLLM and llama.cpp parse it too.
    """
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return "{}"
    if not isinstance(value, dict):
        return "{}"
    # Most parsers refuse an unescaped line end within a string.
    return text if text.isprintable() else json.dumps(value)


def _call_id(quirks: Quirks, id_: str) -> str:
    """The id as the provider accepts it; the same one in the call and in its result."""
    if quirks.tool_call_ids == "any" or (len(id_) == 9 and id_.isascii() and id_.isalnum()):
        return id_
    from hashlib import sha256

    number = int.from_bytes(sha256(id_.encode("utf-8", "replace")).digest()[:8])
    return "".join(_DIGITS[number // 62**place % 62] for place in range(9))
