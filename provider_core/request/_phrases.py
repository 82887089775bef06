"""The sentences in which servers refuse a field, as patterns; which of them decides what is not said here.

In the tables ``NAME`` stands for the names that were sent, as ``one_of`` writes them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = [
    "ALTERNATE",
    "BOTH",
    "CODES",
    "COMPANY",
    "FORMAT",
    "FORMAT_ONCE",
    "MESSAGES",
    "NO_STREAM",
    "NO_SYSTEM",
    "ONLY_STREAM",
    "REASONING_MISSING",
    "REASONING_REFUSED",
    "SET",
    "STRONG",
    "TOOLS_FIRST",
    "VALUE",
    "WEAK",
    "one_of",
]

CODES: Final = frozenset(
    ("unsupported_parameter", "unknown_parameter", "unrecognized_parameter", "unexpected_parameter",
     "extra_forbidden")
)  # fmt: skip
"""Codes that say it all; the words, or the error's ``param``, have the name."""

_COMMON: Final = frozenset({"input", "metadata", "n", "store", "user"})
"""Names that are words of every sentence: they count in quotes only."""

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

STRONG: Final = (
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
"""Only the field itself can be meant."""

WEAK: Final = (
    rf"{_SUBJECT}\s*[:,-]?\s*(?:(?:is|are)\s+)?(?:{_NOT_TAKEN}|unsupported|deprecated|forbidden|disallowed)",
    rf"{_SUBJECT}\s+(?:is|are)\s+only\s+{_TAKEN}\s+(?:when|if|with|for)",
    rf"{_SUBJECT}\s+can(?:\s?not|'t)\s+be\s+(?:set|used|specified|sent|provided|passed|changed|modified)",
    rf"{_SUBJECT}\s+does(?:\s+not|n't)\s+support\s+being\s+set",
    r"NAME\s+does(?:\s+not|n't)\s+support\b.*\bonly\s+the\s+default",
    r"\binvalid\s+NAME\W+only\s+\S+\s+is\s+(?:allowed|supported|accepted)",
    r"\bnot\s+allowed\s+to\s+(?:request|use|set|specify)\s+(?:the\s+)?NAME",
    rf"{_DOES_NOT}(?:the\s+)?NAME(?!\s*(?:=|value|of|above|below|\d))",
)
"""The field is meant unless the words are about its value as well."""

_CURE: Final = (
    r"(?P<value>\"\w+\"|'\w+'|`\w+`|true|false|none|(?<==)[a-z]+|\d+(?:\.\d+)?)"
    r"(?!\s*(?:,|\.\d|or\b|and\b|-|\u2013|\||%|[<>])|\w)"
)
SET: Final = (
    rf"\bset(?:ting)?\s+(?:the\s+)?NAME(?:\s+{_NOUN})?\s*(?:=|:|\bto\b|\bas\b)\s*{_CURE}",
    rf"\buse\s+NAME\s*[=:]\s*{_CURE}",
    rf"NAME(?:\s+{_NOUN})?\s+(?:must|should|has\s+to|needs?\s+to)\s+be\s+(?:set\s+to\s+|equal\s+to\s+)?{_CURE}",
    rf"NAME\s*=?\s*{_CURE}\s+is\s+required",
    rf"NAME\s+other\s+than\s+{_CURE}",
    rf"\bonly\s+NAME\s*=\s*{_CURE}",
    rf"\b(?:only\b.{{0,60}}?\b(?:when|if|with)|unless)\s+NAME\s*(?:=+|:|is(?:\s+set\s+to)?)\s*{_CURE}",
    rf"\b(?:requires?|needs?|expects?)\s+NAME\s*(?:=+|:|to\s+be(?:\s+set\s+to)?)\s*{_CURE}",
)
"""The one value with which the server would accept the field."""

VALUE: Final = re.compile(
    r"\b(?:must|should|needs?\s+to|ha[sv]e?\s+to)\s+be\b|\btoo\s+(?:large|high|big|small|low|long|short|many)\b"
    r"|\b(?:greater|larger|less|smaller|higher|lower|more|fewer)\s+than\b|\bat\s+(?:most|least)\b|\bbetween\b"
    r"|\brange\b|\bexceeds?\b|\b(?:max|min)imum\b|\b(?:supported|valid|allowed|accepted|possible)\s+values\b"
    r"|(?<!only )\bone\s+of\b|[<>]=\s*\d|\s[<>]\s+\d",
    re.IGNORECASE,
)

BOTH: Final = re.compile(
    r"\bcan(?:not|'t)\s+(?:both|specify\s+both|use\s+both|set\s+both)\b|\bmutually\s+exclusive\b"
    r"|\bonly\s+one\s+of\b",
    re.IGNORECASE,
)
"""Two fields are refused together."""

COMPANY: Final = re.compile(
    r"\b(?:when|while|if|unless|both|together|combin\w+|exclusive|only\s+one|mode)\b"
    r"|\bwith\s+(?!this\b|that\b|the\s+(?:\w+\s+)?model\b)",
    re.IGNORECASE,
)
"""A field is refused beside something else, and may be taken without it."""

NO_STREAM: Final = re.compile(
    rf"\bverified\s+to\s+stream\b|(?<!non-)\bstream(?:ing|ed)?{_Q}(?!\s+options)(?:\s+\w+){{0,3}}\s+(?:is|are)\s+(?:currently\s+)?{_NOT_TAKEN}"
    rf"|\bdoes(?:\s+not|n't)\s+(?:currently\s+)?support\s+(?:the\s+)?{_Q}stream(?:ing|ed)?\b(?!\s+options)"
    r"|\bcan(?:\s?not|'t)\s+(?:be\s+)?stream(?:ed)?\b|(?<!non-)\bstreaming\s+(?:is\s+)?(?:disabled|unsupported|unavailable)"
    rf"|{_Q}stream{_Q}\s+does(?:\s+not|n't)\s+support\s+true|(?<!non-)\bstream{_Q}\s*[=:]\s*true\s+(?:is\s+)?(?:{_NOT_TAKEN}|unsupported|invalid)"
    rf"|\b(?:streaming|stream{_Q})\s+(?:{_NOUN}\s+)?(?:must|should|has\s+to|needs?\s+to)\s+be\s+(?:set\s+to\s+)?(?:false|disabled|off)"
    rf"|\bset\s+{_Q}stream{_Q}\s*(?:=|to)\s*false|\bonly\s+supports?\s+non-?stream|\b(?:unsupported|unknown)\s+\w+:?\s+{_Q}stream{_Q}(?!\w)",
    re.IGNORECASE,
)

ONLY_STREAM: Final = re.compile(
    rf"\bonly\s+(?:supports?|allows?)\s+stream|\bnon-?stream\w*(?:\s+\w+)?\s+(?:is|are)\s+{_NOT_TAKEN}|\bmust\s+be\s+streamed\b"
    rf"|\b(?:streaming|stream{_Q})\s+(?:{_NOUN}\s+)?(?:must|should|has\s+to|needs?\s+to)\s+be\s+(?:set\s+to\s+)?(?:true|enabled|on)"
    rf"|\bset\s+{_Q}stream{_Q}\s*(?:=|to)\s*true|\b(?:requires?|have)\s+{_Q}stream{_Q}\s*=\s*true|\bstreaming\s+is\s+required|\brequires?\s+{_Q}stream(?:ing)?\b"
    rf"|\bdoes(?:\s+not|n't)\s+support\s+non-?stream",
    re.IGNORECASE,
)

REASONING_MISSING: Final = re.compile(
    rf"\breasoning_content\b{_Q}.{{0,80}}?\b(?:must|has\s+to|should|needs?\s+to|required|missing)\b(?!\s+not)"
    rf"|\bmissing\b.{{0,40}}\breasoning_content\b",
    re.IGNORECASE,
)
"""A server that thinks wants the reasoning of earlier answers back: MoonshotAI/kimi-cli issue 2141."""

REASONING_REFUSED: Final = re.compile(
    r"\bunsupported\b|\bunknown\b|\bunexpected\b|\bunrecogni|\bextra\s+(?:inputs?|fields?)\b|\b(?:must|should|do|can)(?:\s?not|n't)\b"
    rf"|{_NOT_TAKEN}|\bforbidden\b|\badditional\s+propert",
    re.IGNORECASE,
)

NO_SYSTEM: Final = re.compile(
    rf"\b(?:unknown\s+variant|invalid\s+(?:role|value)|unsupported\s+role|unexpected\s+role|received|got)\W+(?:system|developer)\b"
    rf"|\b(?:system|developer){_Q}\s+is\s+not\s+(?:one\s+of|a\s+valid)|\bunexpected\s+message\s+role\b"
    rf"|\bsystem\s+(?:role|message|prompt|instruction)s?\s+(?:is\s+|are\s+)?not\s+{_TAKEN}"
    r"|\bdoes(?:\s+not|n't)\s+support\s+(?:the\s+)?[\"'`]?(?:system|developer)\b"
    r"|\bdeveloper\s+instructions?\s+(?:is|are)\s+not\s+enabled"
    r"|\bonly\s+user\b.{0,20}\bassistant\b.{0,20}\broles?\s+(?:is|are)\s+supported",
    re.IGNORECASE,
)

ALTERNATE: Final = re.compile(
    r"\broles\s+must\s+alternate\b|\bshould\s+alternate\s+with\b|\bmust\s+alternate\s+between\b"
    r"|\b(?:successive|consecutive)\s+(?:user|assistant)\b",
    re.IGNORECASE,
)

TOOLS_FIRST: Final = re.compile(
    r"\bmust\s+define\s+[\"'`]?tools\b|\btoolConfig\s+field\s+must\s+be\s+defined\b|\btools=\W{0,2}\s+param",
    re.IGNORECASE,
)
"""Calls of earlier turns are refused where no tools are offered: anthropic-sdk-python issue 494, dify issue 17545."""

MESSAGES: Final = re.compile(
    r"\b(?:image|content|messages?|roles?|tool\s+results?)(?:\b|(?=[_\d]))|\binvalid\s+(?:json|input|request)\b"
    r"|\b(?:valid|expected?(?:\s+an?)?|must\s+be(?:\s+an?)?|type)\s+(?:string|str|text)\b|\bunmarshal\b|\bconcatenate\s+str\b",
    re.IGNORECASE,
)
"""The content of a message may be meant: servers say in very different words that a tool's has to be text.

OpenAI names the roles, Groq and pydantic the type, LM Studio says "Invalid 'messages'", ds4 "invalid JSON request".
"""

FORMAT: Final = re.compile(
    r"\bresponse[_ ]?formats?\b|\bstructured[_ ]outputs?\b|\bjson[_ ](?:schemas?|object|mode)\b|\bgrammars?\b",
    re.IGNORECASE,
)
"""The format of the answer is meant, whatever is said of it: there is always a weaker one to try."""

FORMAT_ONCE: Final = re.compile(
    r"\binvalid\s+(?:json[_ ])?schema\b|\bschema\s+(?:is\s+)?(?:invalid|conversion|too)|\bgrammar|\bcontext=\("
    r"|\badditionalProperties\b|\bwith(?:out)?\s+(?:tool|function)|\b(?:tools?|function\s+calling)\b",
    re.IGNORECASE,
)
"""It is refused for the schema at hand, or beside tools: the next request may have it."""


def one_of(names: Collection[str]) -> str:
    """A pattern for any of the names as a whole word, the longest first, alone or at the head of a path.

    Not within a path, or ``messages[0].reasoning`` would name the field ``reasoning``; nor as the name of
    something that is said to be elsewhere: ``"seed" at 'tools[0]'``.
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
