"""Calls that a model wrote as text: recognized to be reported, and never run."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.tools.names import ToolNames
    from provider_core.types import Json

__all__ = ["leaked_call"]

_LONGEST: Final = 200_000
"""Characters of an answer that are searched: its beginning and its end."""

_MARK: Final = re.compile(
    r"<\|?(?:\w{1,20}:)?(?:longcat_)?tool_calls?(?:_section)?(?:_begin|_start)?\|?>"  # Qwen, Kimi, GLM, LFM
    r"|<\|?(?:\w{1,20}:)?(?:start_)?function_calls?\|?>|<\|DSML\|"  # Gemma, Granite, DeepSeek
    r"|<function=|<function name=|<invoke name=|<\|python_tag\|>|<\|action_start\|>|<\|plugin\|>"  # Llama, InternLM
    r"|\[TOOL_CALLS?\]|\[TOOL_REQUEST\]|\bfunctools\[|✿FUNCTION✿|```tool_(?:code|call)\b"  # Mistral, LM Studio, Phi
    r"|<\|channel\|>\s*commentary\s+to=|(?:^|\s)to=functions[.\s]"  # Harmony
)
"""What begins a call in the formats that models are trained on, and servers should have parsed."""

_WRITTEN_OUT: Final = {"\uff5c": "|", "\u2581": "_"}
"""Letters of DeepSeek's marks, as those of others have them."""

_BARE: Final = r"(?:functions?\s)?(?P<{}>[\w.:/-]{{1,200}})"
_NAME: Final = re.compile(
    r"""["']?(?:name|function|tool)["']?\s*[:=]\s*["'](?P<quoted>[^"'\n]{1,200})["']"""
    rf"|<function={_BARE.format('tag')}>|to={_BARE.format('to')}|_sep\|>{_BARE.format('sep')}"
    rf"|(?:{_MARK.pattern})\s*\[?{_BARE.format('bare')}(?=\s*[<\[{{(\n]|\s*$)"
)
_FENCED: Final = re.compile(
    r"^ {0,3}```(?:json|python|tool\w*)?[ \t]*\n(.*?)^ {0,3}```", re.DOTALL | re.MULTILINE
)
_VALUE: Final = re.compile(r"^[ \t]*(?=[\[{])", re.MULTILINE)
_MOST_VALUES: Final = 50
_PYTHON: Final = re.compile(r"\[?\s*(?:print\()?(?P<name>[A-Za-z_][\w.]{0,200})\(.*\)\s*\]?", re.DOTALL)


def leaked_call(text: str, names: ToolNames) -> str | None:
    """The tool that a text seems to call, "" if it cannot be told which; None for a text that calls none.

    A text without a mark of some format is a call only if a line of it begins JSON, or all of it or a block of it is
    code, that names a tool which was offered.
    """
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]}\n{text[-_LONGEST // 2 :]}"
    text = text.strip()
    for letter, other in _WRITTEN_OUT.items():
        text = text.replace(letter, other)
    found: Iterator[str] = iter(())
    mark = _MARK.search(text)
    if mark:
        hits = _NAME.finditer(text, mark.start(), mark.start() + 2000)
        called = (next(filter(None, hit.groups())) for hit in hits)
        found = (names.shown(name.removeprefix("call:").removesuffix(".call")) for name in called)
    seen = itertools.chain(found, map(names.shown, _called(text)))
    return next(filter(None, seen), "" if mark else None)


def _called(text: str) -> Iterator[str]:
    """The names in calls as JSON, or as Python writes them."""
    decoder = json.JSONDecoder(strict=False)
    for begin in itertools.islice(_VALUE.finditer(text), _MOST_VALUES):
        with contextlib.suppress(ValueError, RecursionError):
            yield from _of_json(decoder.raw_decode(text, begin.end())[0])
    for part in (text, *(block[1].strip() for block in _FENCED.finditer(text))):
        if call := _PYTHON.fullmatch(part):
            yield call["name"]


def _of_json(value: Json) -> Iterator[str]:
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, dict):
            continue
        if isinstance(each.get("tool_calls"), list):
            yield from _of_json(each["tool_calls"])
            continue
        inner = each.get("function_call", each.get("function"))
        call = inner if isinstance(inner, dict) else each
        name = next(
            (call[key] for key in ("name", "function", "tool", "tool_name", "action") if key in call), None
        )
        if isinstance(name, str) and any(
            key in call
            for key in ("arguments", "parameters", "args", "tool_input", "input", "tool_args", "action_input")
        ):
            yield name
