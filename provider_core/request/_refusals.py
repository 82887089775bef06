"""Finds in an error which field of the body the server refuses.

A field is refused if the server does not accept it with any value. A value that is too large, or a level that the model
does not have, is not a refusal: omitting the field would hide the user's mistake.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from provider_core import errors
from provider_core.request._body import (
    CHOICE,
    FORMAT,
    FORMATS,
    REASONING,
    REQUIRED,
    STREAM,
    SWAPS,
    UNSTREAMED,
)
from provider_core.types import FieldDropped

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from provider_core.types import Json

# --- what servers say --------------------------------------------------------------------------------------

_CODES: Final = frozenset(
    ("unsupported_parameter", "unknown_parameter", "unrecognized_parameter", "unexpected_parameter",
     "extra_forbidden")
)  # fmt: skip
"""Error codes for a refused field; the words or the error's ``param`` name it."""

_COMMON: Final = frozenset({"input", "metadata", "n", "store", "user"})
"""Names that are common words: recognised only in quotes."""

_Q: Final = r"[\"'`\\\u2018-\u201d]{0,4}"
_NOUN: Final = r"(?:param\w*|arg\w*|fields?|keys?|names?|propert\w+|options?|attributes?|inputs?)(?:\(s\))?"
_LIST: Final = rf"\s*:?\s*[\[({{]{{0,3}}(?:{_Q}[\w.]+{_Q}\s*(?:,\s*(?:and\s+)?|\s+and\s+|\s+or\s+))*NAME"
_REST: Final = rf"(?:\s*(?:,|,?\s+(?:and|or))\s+{_Q}[\w.]+{_Q})*"
_SUBJECT: Final = rf"NAME(?:\s+{_NOUN})?{_REST}"
_TAKEN: Final = r"(?:supported|allowed|permitted|accepted|available|implemented|enabled)"
_NOT_TAKEN: Final = rf"(?:not\s+(?:yet\s+|currently\s+)?|no\s+longer\s+){_TAKEN}"
_UNKNOWN: Final = r"(?:unknown|unrecogni[sz]ed|unexpected|unsupported|extra|additional|forbidden)"
_RECEIVED: Final = r"(?:\s+(?:supplied|provided|given|passed|received|found))?(?:\s+in\s+the\s+\w+)?"
_EXTRA: Final = r"\bextra\s+(?:inputs?|fields?)\s+(?:are\s+)?not\s+(?:permitted|allowed)"
_DOES_NOT: Final = r"\bdoes(?:\s+not|n't)\s+(?:support|accept|allow)\s+"

_STRONG: Final = (
    rf"\b{_UNKNOWN}\s+(?:\w+\s+)?{_NOUN}{_RECEIVED}{_LIST}",
    rf"{_EXTRA}\W+fields?\W+NAME",
    rf"NAME.{{0,20}}?{_EXTRA}",
    rf"NAME(?:\s+{_NOUN})?\s+(?:(?:is|are)\s+)?(?:unsupported|unknown|unrecogni[sz]ed|not\s+recogni[sz]ed)",
    rf"NAME\s+is\s+not\s+a\s+valid\s+{_NOUN}",
    r"NAME\s+(?:must|should|has\s+to|needs?\s+to)\s+be\s+(?:omitted|removed|unset|left\s+out|absent)",
    r"NAME\s+(?:must|should|may)\s+not\s+be\s+(?:set|used|specified|sent|provided|passed|present|included)(?!\s+to\b)",
    r"\b(?:remove|omit|(?:do\s+not|don't)\s+(?:specify|set|send|use|pass|include))\s+(?:the\s+)?NAME",
    rf"\badditional\s+properties\s+are\s+not\s+allowed\W+{_LIST}{_REST}\s+(?:was|were)\s+unexpected",
    rf"{_DOES_NOT}(?:the\s+)?{_NOUN}{_LIST}",
    rf"\b{_NOUN}\s+(?:is\s+|are\s+)?{_NOT_TAKEN}[^:.\n]{{0,40}}:{_LIST}",
)
"""Patterns about the field itself; NAME stands for ``one_of`` the names that were sent."""

_WEAK: Final = (
    rf"{_SUBJECT}\s*[:,-]?\s*(?:(?:is|are)\s+)?(?:{_NOT_TAKEN}|unsupported|deprecated|forbidden|disallowed)",
    rf"{_SUBJECT}\s+(?:is|are)\s+only\s+{_TAKEN}\s+(?:when|if|with|for)",
    rf"{_SUBJECT}\s+can(?:\s?not|'t)\s+be\s+(?:set|used|specified|sent|provided|passed|changed|modified)",
    rf"{_SUBJECT}\s+does(?:\s+not|n't)\s+support\s+being\s+set",
    r"NAME\s+does(?:\s+not|n't)\s+support\b.*\bonly\s+the\s+default",
    r"\binvalid\s+NAME\W+only\s+\S+\s+is\s+(?:allowed|supported|accepted)",
    r"\bnot\s+allowed\s+to\s+(?:request|use|set|specify)\s+(?:the\s+)?NAME",
    rf"{_DOES_NOT}(?:the\s+)?NAME(?!\s*(?:=|value|of|above|below|\d))",
)
"""Patterns about the field, unless the words are about its value as well."""

_CURE: Final = (
    r"(?P<value>\"\w+\"|'\w+'|`\w+`|true|false|none|(?<==)[a-z]+|\d+(?:\.\d+)?)"
    r"(?!\s*(?:,|\.\d|or\b|and\b|-|\u2013|\||%|[<>])|\w)"
)
_SET: Final = (
    rf"\bset(?:ting)?\s+(?:the\s+)?NAME(?:\s+{_NOUN})?\s*(?:=|:|\bto\b|\bas\b)\s*{_CURE}",
    rf"\buse\s+NAME\s*[=:]\s*{_CURE}",
    rf"NAME(?:\s+{_NOUN})?\s+(?:must|should|has\s+to|needs?\s+to)\s+be\s+(?:set\s+to\s+|equal\s+to\s+)?{_CURE}",
    rf"NAME\s*=?\s*{_CURE}\s+is\s+required",
    rf"NAME\s+other\s+than\s+{_CURE}",
    rf"\bonly\s+NAME\s*=\s*{_CURE}",
    rf"\b(?:only\b.{{0,60}}?\b(?:when|if|with)|unless)\s+NAME\s*(?:=+|:|is(?:\s+set\s+to)?)\s*{_CURE}",
    rf"\b(?:requires?|needs?|expects?)\s+NAME\s*(?:=+|:|to\s+be(?:\s+set\s+to)?)\s*{_CURE}",
)
"""Patterns for the one value with which the server would accept the field."""

_ABOUT_VALUE: Final = re.compile(
    r"\b(?:must|should|needs?\s+to|ha[sv]e?\s+to)\s+be\b|\btoo\s+(?:large|high|big|small|low|long|short|many)\b"
    r"|\b(?:greater|larger|less|smaller|higher|lower|more|fewer)\s+than\b|\bat\s+(?:most|least)\b|\bbetween\b"
    r"|\brange\b|\bexceeds?\b|\b(?:max|min)imum\b|\b(?:supported|valid|allowed|accepted|possible)\s+values\b"
    r"|(?<!only )\bone\s+of\b|[<>]=\s*\d|\s[<>]\s+\d",
    re.IGNORECASE,
)

_EXCLUSIVE: Final = re.compile(
    r"\bcan(?:not|'t)\s+(?:both|specify\s+both|use\s+both|set\s+both)\b|\bmutually\s+exclusive\b"
    r"|\bonly\s+one\s+of\b",
    re.IGNORECASE,
)
"""Two fields are refused together."""

_COMBINED: Final = re.compile(
    r"\b(?:when|while|if|unless|both|together|combin\w+|exclusive|only\s+one|mode)\b"
    r"|\bwith\s+(?!this\b|that\b|the\s+(?:\w+\s+)?model\b)",
    re.IGNORECASE,
)
"""The field is refused in combination with something else, and may be accepted without it."""

_NO_STREAM: Final = re.compile(
    rf"\bverified\s+to\s+stream\b|(?<!non-)\bstream(?:ing|ed)?{_Q}(?!\s+options)(?:\s+\w+){{0,3}}\s+(?:is|are)\s+(?:currently\s+)?{_NOT_TAKEN}"
    rf"|\bdoes(?:\s+not|n't)\s+(?:currently\s+)?support\s+(?:the\s+)?{_Q}stream(?:ing|ed)?\b(?!\s+options)"
    r"|\bcan(?:\s?not|'t)\s+(?:be\s+)?stream(?:ed)?\b|(?<!non-)\bstreaming\s+(?:is\s+)?(?:disabled|unsupported|unavailable)"
    rf"|{_Q}stream{_Q}\s+does(?:\s+not|n't)\s+support\s+true|(?<!non-)\bstream{_Q}\s*[=:]\s*true\s+(?:is\s+)?(?:{_NOT_TAKEN}|unsupported|invalid)"
    rf"|\b(?:streaming|stream{_Q})\s+(?:{_NOUN}\s+)?(?:must|should|has\s+to|needs?\s+to)\s+be\s+(?:set\s+to\s+)?(?:false|disabled|off)"
    rf"|\bset\s+{_Q}stream{_Q}\s*(?:=|to)\s*false|\bonly\s+supports?\s+non-?stream|\b(?:unsupported|unknown)\s+\w+:?\s+{_Q}stream{_Q}(?!\w)",
    re.IGNORECASE,
)

_ONLY_STREAM: Final = re.compile(
    rf"\bonly\s+(?:supports?|allows?)\s+stream|\bnon-?stream\w*(?:\s+\w+)?\s+(?:is|are)\s+{_NOT_TAKEN}|\bmust\s+be\s+streamed\b"
    rf"|\b(?:streaming|stream{_Q})\s+(?:{_NOUN}\s+)?(?:must|should|has\s+to|needs?\s+to)\s+be\s+(?:set\s+to\s+)?(?:true|enabled|on)"
    rf"|\bset\s+{_Q}stream{_Q}\s*(?:=|to)\s*true|\b(?:requires?|have)\s+{_Q}stream{_Q}\s*=\s*true|\bstreaming\s+is\s+required|\brequires?\s+{_Q}stream(?:ing)?\b"
    rf"|\bdoes(?:\s+not|n't)\s+support\s+non-?stream",
    re.IGNORECASE,
)

_REASONING_MISSING: Final = re.compile(
    rf"\breasoning_content\b{_Q}.{{0,80}}?\b(?:must|has\s+to|should|needs?\s+to|required|missing)\b(?!\s+not)"
    rf"|\bmissing\b.{{0,40}}\breasoning_content\b",
    re.IGNORECASE,
)
"""The server requires the reasoning of earlier answers: https://github.com/MoonshotAI/kimi-cli/issues/2141"""

_REASONING_REFUSED: Final = re.compile(
    r"\bunsupported\b|\bunknown\b|\bunexpected\b|\bunrecogni|\bextra\s+(?:inputs?|fields?)\b|\b(?:must|should|do|can)(?:\s?not|n't)\b"
    rf"|{_NOT_TAKEN}|\bforbidden\b|\badditional\s+propert",
    re.IGNORECASE,
)

_NO_SYSTEM: Final = re.compile(
    rf"\b(?:unknown\s+variant|invalid\s+(?:role|value)|unsupported\s+role|unexpected\s+role|received|got)\W+(?:system|developer)\b"
    rf"|\b(?:system|developer){_Q}\s+is\s+not\s+(?:one\s+of|a\s+valid)|\bunexpected\s+message\s+role\b"
    rf"|\bsystem\s+(?:role|message|prompt|instruction)s?\s+(?:is\s+|are\s+)?not\s+{_TAKEN}"
    r"|\bdoes(?:\s+not|n't)\s+support\s+(?:the\s+)?[\"'`]?(?:system|developer)\b"
    r"|\bdeveloper\s+instructions?\s+(?:is|are)\s+not\s+enabled"
    r"|\bonly\s+user\b.{0,20}\bassistant\b.{0,20}\broles?\s+(?:is|are)\s+supported",
    re.IGNORECASE,
)

_ALTERNATE: Final = re.compile(
    r"\broles\s+must\s+alternate\b|\bshould\s+alternate\s+with\b|\bmust\s+alternate\s+between\b"
    r"|\b(?:successive|consecutive)\s+(?:user|assistant)\b",
    re.IGNORECASE,
)

_TOOLS_FIRST: Final = re.compile(
    r"\bmust\s+define\s+[\"'`]?tools\b|\btoolConfig\s+field\s+must\s+be\s+defined\b|\btools=\W{0,2}\s+param",
    re.IGNORECASE,
)
"""Calls of earlier turns are refused in a request without tools:
https://github.com/anthropics/anthropic-sdk-python/issues/494, https://github.com/langgenius/dify/issues/17545
"""

_MESSAGES: Final = re.compile(
    r"\b(?:image|content|messages?|roles?|tool\s+results?)(?:\b|(?=[_\d]))|\binvalid\s+(?:json|input|request)\b"
    r"|\b(?:valid|expected?(?:\s+an?)?|must\s+be(?:\s+an?)?|type)\s+(?:string|str|text)\b|\bunmarshal\b|\bconcatenate\s+str\b",
    re.IGNORECASE,
)
"""May be about the content of a message: servers say in very different words that a tool's result must be text.

OpenAI names the roles, Groq and pydantic the type, LM Studio says "Invalid 'messages'", ds4 "invalid JSON request".
"""

_FORMAT: Final = re.compile(
    r"\bresponse[_ ]?formats?\b|\bstructured[_ ]outputs?\b|\bjson[_ ](?:schemas?|object|mode)\b|\bgrammars?\b",
    re.IGNORECASE,
)
"""About the format of the answer: there is always a weaker one to try."""

_SCHEMA_AT_HAND: Final = re.compile(
    r"\binvalid\s+(?:json[_ ])?schema\b|\bschema\s+(?:is\s+)?(?:invalid|conversion|too)|\bgrammar|\bcontext=\("
    r"|\badditionalProperties\b|\bwith(?:out)?\s+(?:tool|function)|\b(?:tools?|function\s+calling)\b",
    re.IGNORECASE,
)
"""Refused for this schema, or together with tools: the next request may have a format."""


def one_of(names: Collection[str]) -> str:
    """A pattern for any of the names as a whole word, the longest first, alone or at the head of a path.

    It does not match within a path, or ``messages[0].reasoning`` would name the field ``reasoning``, and not a name
    elsewhere, as in ``"seed" at 'tools[0]'``.
    """
    spelled: list[str] = []
    for name in sorted(names, key=len, reverse=True):
        camel = re.sub(r"_(\w)", lambda letter: letter[1].upper(), name)  # xAI writes presencePenalty
        spaced = name.replace("_", " ")  # and others "parallel tool calls"
        forms = "|".join(re.escape(form) for form in dict.fromkeys((name, camel, spaced)))
        spelled.append(rf"(?<=[\"'`])(?:{forms})(?=[\"'`])" if name in _COMMON else forms)
    head = r"(?:(?:body|parameters?|params?|request)\.|[#$]?/)?"
    tail = rf"(?:[.\[][\w.\[\]]*)?(?!\w)(?!{_Q}\s+at\s+{_Q}(?:messages|tools|contents)){_Q}"
    return rf"(?<![\w.$/\]\-]){_Q}{head}(?P<name>{'|'.join(spelled)}){tail}"


# --- what that means for a body ----------------------------------------------------------------------------


def _workaround(field: str, swapped_for: str | None = None, *, lasting: bool = True) -> FieldDropped:
    return FieldDropped(field=field, swapped_for=swapped_for, lasting=lasting)


_SYSTEM: Final = _workaround("system", "user")
_ROLES: Final = _workaround("roles", "one")
_CALLS: Final = _workaround("calls", "text")
_IMAGES: Final = _workaround("tool_images", "user")

_REASONING_FIELDS: Final = (
    "reasoning_effort", "reasoning", "thinking", "enable_thinking", "chat_template_kwargs", "chat_template_args",
)  # fmt: skip
"""Fields that may be meant by "does not support reasoning", the likeliest first."""

_SETTABLE: Final = ("reasoning_effort", "enable_thinking")
"""Fields that a server may require a value for though they were not sent."""

_UNSETTABLE: Final = REQUIRED | {"max_tokens", "max_completion_tokens", "response_format"}
"""Fields whose value the user chose, or that have workarounds of their own."""


def may_refuse(error: errors.ProviderError) -> bool:
    """Whether errors of this class may be about a field: a 4xx about the request itself, a 500 or a 501."""
    if isinstance(error, errors.ContextOverflowError | errors.ContentPolicyError | errors.ModelNotFoundError):
        return False
    if isinstance(error, errors.ServerError):
        return error.status in (500, 501)
    return isinstance(error, errors.BadRequestError | errors.NotFoundError | errors.PermissionDeniedError)


def refused_field(
    error: errors.ProviderError, body: Mapping[str, Json], *, before: Collection[str] = ()
) -> FieldDropped | None:
    """A workaround for this error, if it names a field of ``body``, a required value, or a rule about roles.

    ``before`` are the fields that were changed already.
    """
    if not may_refuse(error):
        return None
    words = _flat(error.words)
    for each in (*_roles(words, body), *_reasoning(error, words, body), *_stream(error, words, body)):
        if each.field not in before:
            return each
    if (required := _required_value(words, body, before)) is not None:
        return required
    found = _named_field(error, words, [name for name in body if name not in REQUIRED and name not in before])
    if found is None:
        results = [each for each in _messages(body) if each.get("role") == "tool"]
        images = any(isinstance(each.get("content"), list) for each in results)
        possible = images and _IMAGES.field not in before and not isinstance(error, errors.NotFoundError)
        return _IMAGES if possible and _MESSAGES.search(f"{words} {error.param or ''}") else None
    field, lasting = found
    other = SWAPS.get(field)
    swap = other if other is not None and other not in body and other not in before else None
    return _workaround(field, swap, lasting=lasting)


def refused_format(error: errors.ProviderError, body: Mapping[str, Json]) -> list[FieldDropped]:
    """Weaker formats to try if the error is about ``response_format`` in ``body``, the strongest first."""
    param = _param(error)
    if not may_refuse(error) or FORMAT not in body or param in REQUIRED - {"stream"}:
        return []
    words = _flat(error.words)
    named = _FORMAT.search(words)
    if named is None and param != FORMAT:
        return []
    if named is not None and "response" not in named[0].lower() and _mentions_tools(words):
        return []  # the schema of a tool
    format_ = body[FORMAT]
    now = format_.get("type") if isinstance(format_, dict) else None
    steps = list(FORMATS[FORMATS.index(now) + 1 :]) if now in FORMATS else []
    schema = format_.get("json_schema") if isinstance(format_, dict) else None
    strict = isinstance(schema, dict) and "strict" in schema
    if "loose_schema" in steps and not (strict and re.search(r"\bstrict\b", words, re.IGNORECASE)):
        steps.remove("loose_schema")
    accepted = _accepted(words, ("json_schema", "json_object", "text"))
    if steps and accepted and now not in accepted:
        steps = [step for step in FORMATS if step != now and (step in accepted or step == "none")]
    if re.search(r"\bstream", words, re.IGNORECASE):
        steps.insert(0, UNSTREAMED)
    lasting = _SCHEMA_AT_HAND.search(words) is None
    return [_workaround(FORMAT, step, lasting=lasting) for step in steps]


def refused_choice(error: errors.ProviderError, body: Mapping[str, Json]) -> list[FieldDropped]:
    """Weaker demands to try if the error is about ``tool_choice`` in ``body``, the strongest first."""
    if CHOICE not in body or not (may_refuse(error) or isinstance(error, errors.ModelNotFoundError)):
        return []
    words = re.split(r"\bexpected\s+one\s+of\b(?=.*`)", _flat(error.words), maxsplit=1)[0]
    named = re.search(one_of([CHOICE]), words, re.IGNORECASE)
    option = re.search(r"\brequires\s+--", words)  # of vLLM's command line
    if option or (named is None and _param(error) != CHOICE):
        return []
    choice, steps = body[CHOICE], list[str]()
    accepted = _accepted(words, ("required", "any"))
    if re.search(r"\bthink|\breasoning", words, re.IGNORECASE):
        pass  # then no form of a demand is accepted
    elif isinstance(choice, dict):
        steps = ["any"] if accepted == ["any"] else ["text"]
    elif choice in ("required", "any"):
        steps = [word for word in accepted if word != choice]
    lasting = _is_lasting(words, named.start() if named else 0)
    return [_workaround(CHOICE, step, lasting=lasting) for step in (*steps, None)]


_ACCEPTED: Final = re.compile(
    r"(?:should|must|can(?: only)?|has\s+to)\s+be|\bexpected\b|\b(?:supported|allowed|valid|accepted|possible)"
    r"(?:\s+\w+)?\s+(?:values?|types?)\b|\bonly\s+supports?\b|\bone\s+of\b|\bsupports?\s+only\b",
    re.IGNORECASE,
)
"""Acceptable values follow these words."""


def _accepted(words: str, values: Collection[str]) -> list[str]:
    found = _ACCEPTED.search(words)
    rest = words[found.end() :] if found else ""
    return [value for value in values if re.search(rf"\b{value}\b", rest)]


def _param(error: errors.ProviderError) -> str:
    """The field of the body that the error names in its ``param``."""
    return re.split(r"[.\[]", error.param or "", maxsplit=1)[0]


def _mentions_tools(words: str) -> bool:
    return re.search(r"\btools?\b", words, re.IGNORECASE) is not None


def _required_value(words: str, body: Mapping[str, Json], before: Collection[str]) -> FieldDropped | None:
    """A field that must have another value, if the words say which one."""
    beside = "tools" if "tools" in body and _mentions_tools(words) else ""
    names = [name for name in dict.fromkeys((*body, *_SETTABLE)) if name not in (*before, *_UNSETTABLE)]
    for pattern in _SET:
        if hit := re.search(pattern.replace("NAME", one_of(names), 1), words, re.IGNORECASE):
            text = hit["value"].strip("\"'`")
            value = json.loads(text.lower()) if re.fullmatch(r"(?i:true|false)|\d+(?:\.\d+)?", text) else text
            lasting = bool(beside) or (_is_lasting(words, hit.start("name")) and "stream" not in words)
            return FieldDropped(field=_as_sent(hit, names), value=value, beside=beside, lasting=lasting)
    field = "reasoning_effort"
    if beside and field not in before and re.search(rf"\btools\s+with\s+{field}\b.{{0,40}}\bnot\b", words):
        # Not omitted: some models have a default level.
        return FieldDropped(field=field, value="none", beside=beside, lasting=True)
    return None


def _stream(error: errors.ProviderError, words: str, body: Mapping[str, Json]) -> list[FieldDropped]:
    word = None
    if not body.get("stream"):
        word = "streamed" if _ONLY_STREAM.search(words) else None
    elif not _FORMAT.search(words) and (
        _NO_STREAM.search(words) or (_param(error) == STREAM and error.code in (*_CODES, "unsupported_value"))
    ):
        word = "unstreamed"
    beside_tools = "tools" in body and _mentions_tools(words)
    lasting = not beside_tools and (word == "streamed" or _is_lasting(words.replace("mode", ""), 0))
    return [_workaround(STREAM, word, lasting=lasting)] if word else []


def _messages(body: Mapping[str, Json]) -> list[dict[str, Json]]:
    messages = body.get("messages")
    return [each for each in messages if isinstance(each, dict)] if isinstance(messages, list) else []


def _reasoning(error: errors.ProviderError, words: str, body: Mapping[str, Json]) -> list[FieldDropped]:
    past = [message for message in _messages(body) if message.get("role") == "assistant"]
    if any("reasoning_content" not in message for message in past) and _REASONING_MISSING.search(words):
        return [_workaround(REASONING, "reasoning_content")]
    for key in ("reasoning_content", "reasoning_details", "reasoning"):
        named = re.search(rf"[.\"'`]{key}\b", f"{words} {error.param or ''}")
        if named and any(key in message for message in past) and _REASONING_REFUSED.search(words):
            return [_workaround(REASONING, "never")]
    return []


def _roles(words: str, body: Mapping[str, Json]) -> list[FieldDropped]:
    roles = [message.get("role") for message in _messages(body)]
    system = not {"system", "developer"}.isdisjoint(roles)
    if _ALTERNATE.search(words):
        # A template without a system role says the same of a system message as of two user messages in a row.
        neighbours = any(one == two != "tool" for one, two in pairwise(roles))
        return [_ROLES] * neighbours + [_SYSTEM] * system
    if "tool" in roles and "tools" not in body and _TOOLS_FIRST.search(words):
        return [_CALLS]
    if system and _NO_SYSTEM.search(words):
        return [_workaround("system", "system") if "developer" in roles else _SYSTEM]
    return []


def _named_field(error: errors.ProviderError, words: str, sent: Sequence[str]) -> tuple[str, bool] | None:
    """The refused field among those ``sent``, and whether it is refused in any request."""
    param = _param(error)
    if param in REQUIRED or not sent:
        return None
    if param in sent and not _mentions(words, [param]):
        words = f"{param}: {words}"
    if error.code in _CODES:
        hits = [param] if param in sent else _mentions(words, sent)
        if len(hits) == 1:
            return hits[0], _is_lasting(words, 0)
    if found := _find(_STRONG, words, sent):
        return found
    if _ABOUT_VALUE.search(words):
        return None
    if _EXCLUSIVE.search(words) and (hits := _mentions(words, sent)):
        return hits[-1], False
    if found := _find(_WEAK, words, sent):
        return found
    # A field may go by another name: by what it asks for, or by what receives it.
    if re.search(r"\bdoes(?:\s+not|n't)\s+support\s+(?:thinking|reasoning)\b", words, re.IGNORECASE):
        return next(((name, True) for name in _REASONING_FIELDS if name in sent), None)
    if "chat_template_kwargs" in sent and _find(_WEAK, words, ["chat_template"]):
        return "chat_template_kwargs", True
    return None


def _find(patterns: Sequence[str], words: str, names: Sequence[str]) -> tuple[str, bool] | None:
    name = one_of(names)
    for pattern in patterns:
        if hit := re.search(pattern.replace("NAME", name, 1), words, re.IGNORECASE):
            return _as_sent(hit, names), _is_lasting(words, hit.start("name"))
    return None


def _mentions(words: str, names: Sequence[str]) -> list[str]:
    hits = re.finditer(one_of(names), words, re.IGNORECASE)
    return list(dict.fromkeys(_as_sent(hit, names) for hit in hits))


def _as_sent(hit: re.Match[str], names: Sequence[str]) -> str:
    """The name among ``names`` that the server has spelled in its own way."""
    written = re.sub("[_ ]", "", hit["name"]).lower()
    return next(name for name in names if name.replace("_", "").lower() == written)


def _is_lasting(words: str, at: int) -> bool:
    """Whether the sentence at this place refuses the field in any request, and not in a combination."""
    start = max((end.end() for end in re.finditer(r"[.;\n]\s", words[:at])), default=0)
    end = re.compile(r"[.;\n](?:\s|$)").search(words, at)
    return _COMBINED.search(words[start : end.start() if end else len(words)]) is None


def _flat(words: str) -> str:
    """The words with one spelling of paths: ``('body', 'stop')`` and ``body -> stop`` become ``body.stop``."""

    def path(place: re.Match[str]) -> str:
        parts = (part.strip(" '\"") for part in place[1].split(","))
        return ".".join(["body", *filter(None, parts)])

    words = re.sub(r"[(\[]\s*['\"]body['\"]\s*,([^()\[\]]*)[)\]]", path, words)
    return re.sub(r"\n\s+", ": ", re.sub(r"(?<=\w)\s*->\s*(?=\w)", ".", words))
