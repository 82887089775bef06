"""The names of tools: as providers accept them, as models write them, and in calls that were sent as text."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from typing import TYPE_CHECKING, Final

from provider_core.errors import UnknownToolError
from provider_core.redaction import close_matches, printable
from provider_core.tools.schemas import clean_schema
from provider_core.types import Tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from provider_core.events import Toolbox, ToolSpec
    from provider_core.types import Json

_LONGEST: Final = 64
_LONGEST_CALLED: Final = 300
_LISTED = 30

_SEPARATORS: Final = ("/", ".", ":", "::", "__")
"""Separators that models write between the names of a toolbox and its tool, although names have "__"."""

_PREFIX: Final = re.compile(r"(?:functions?|tools?|default_api|mcp)(?:\.|/|::?|__)")
"""Text that models put before a name: OpenAI's and Kimi's ``functions.``, Gemini's ``default_api.``."""

_SUFFIX: Final = re.compile(r"\s*(?:<\|.*|:\d+|\(\))\Z", re.DOTALL)
"""Text that they put after it: Kimi's number of the call, and Harmony's tokens, as in ``read<|channel|>commentary``."""


class ToolNames:
    """The names by which a model knows the tools of a turn. A tool keeps its name for the whole turn.

    A name consists of letters, digits, "_" and "-", at most 64, as OpenAI requires, and begins with a letter or "_",
    as Gemini requires: cline/cline issue 7339.
    """

    def __init__(self) -> None:
        self._names: dict[tuple[int, str], str] = {}
        self._offered: dict[str, tuple[Toolbox, ToolSpec]] = {}
        self._cleaned: dict[str, tuple[Tool, Tool]] = {}

    def offer(self, toolboxes: Sequence[Toolbox]) -> tuple[Tool, ...]:
        """The current tools of the toolboxes, with the names and schemas that a request sends."""
        self._offered.clear()
        for number, toolbox in enumerate(toolboxes):
            for spec in toolbox.tools:
                key = number, spec.tool.name
                if key not in self._names:
                    self._names[key] = self._free_name(toolbox.name, spec.tool.name)
                self._offered[self._names[key]] = toolbox, spec
        return tuple(self._cleaned_tool(name, spec.tool) for name, (_, spec) in self._offered.items())

    def find(self, name: str) -> tuple[Toolbox, ToolSpec]:
        """The tool that a model calls by this name. Raises ``UnknownToolError`` with similar names, or with all."""
        known = self.resolve(name)
        if known not in self._offered:
            raise _unknown(name, tuple(self._offered))
        return self._offered[known]

    def resolve(self, name: str) -> str:
        """The offered name that ``name`` certainly means: without what models add, or with other separators.

        A tool's own name is enough where no other tool has it. Anything else is returned unchanged; similar names are
        never guessed.
        """
        if name in self._offered or len(name) > _LONGEST_CALLED:
            return name
        full: dict[str, set[str]] = {}
        bare: dict[str, set[str]] = {}
        for known, (toolbox, spec) in self._offered.items():
            full.setdefault(known, set()).add(known)
            bare.setdefault(spec.tool.name, set()).add(known)
            for separator in _SEPARATORS if toolbox.name else ():
                full.setdefault(f"{toolbox.name}{separator}{spec.tool.name}", set()).add(known)
        for form in _stripped_forms(name):
            if found := full.get(form) or bare.get(form):
                return found.pop() if len(found) == 1 else name
        return name

    def display_name(self, name: str) -> str:
        """``toolbox/tool``, as users know the tool that a model calls ``name``; "" if there is none."""
        found = self._offered.get(self.resolve(name))
        return _display_name(*found) if found else ""

    def choice(self, choice: str | None) -> str | None:
        """A tool choice as a request sends it.

        A tool may be named as the model knows it, as ``toolbox/tool``, or by its own name if no other tool has it.
        Raises ``UnknownToolError``.
        """
        if choice in (None, "auto", "required", "none"):
            return choice
        name = self.resolve(choice)
        if name not in self._offered:
            names = (_display_name(*found) for found in self._offered.values())
            raise _unknown(choice, tuple(" ".join(printable(name, _LONGEST).split()) for name in names))
        return name

    def _cleaned_tool(self, name: str, tool: Tool) -> Tool:
        original, cleaned = self._cleaned.get(name, (None, tool))
        if original != tool:
            cleaned = Tool(name=name, description=tool.description, schema=clean_schema(tool.schema))
            self._cleaned[name] = tool, cleaned
        return cleaned

    def _free_name(self, toolbox: str, tool: str) -> str:
        wanted = re.sub(r"[^a-zA-Z0-9_-]", "_", f"{toolbox}__{tool}" if toolbox else tool)
        if not re.match(r"[a-zA-Z_]", wanted):
            wanted = f"_{wanted}"
        taken = set(self._names.values())
        name, number = wanted if len(wanted) <= _LONGEST else _with_digest(wanted, toolbox, tool), 0
        while name in taken:
            number += 1
            name = _with_digest(wanted, toolbox, tool, str(number))
        return name


def _stripped_forms(name: str) -> Iterator[str]:
    """The name as the model wrote it, and with less and less around it."""
    yield name
    name = name.strip().strip("`'\"").strip()
    yield name
    while (shorter := _SUFFIX.sub("", name)) != name:
        name = shorter
        yield name
    while prefix := _PREFIX.match(name):
        name = name[prefix.end() :]
        yield name


def _with_digest(name: str, *parts: str) -> str:
    from hashlib import sha256

    digest = sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:8]
    return f"{name[: _LONGEST - 9]}_{digest}"


def _display_name(toolbox: Toolbox, spec: ToolSpec) -> str:
    return "/".join(filter(None, (toolbox.name, spec.tool.name)))


def _unknown(name: str, known: tuple[str, ...]) -> UnknownToolError:
    shown = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…"
    close = close_matches(shown, known)
    if not known:
        which = "no tools are offered"
    elif close:
        which = f"similar names: {', '.join(close)}"
    else:
        which = f"available: {', '.join(known[:_LISTED])}{' …' if len(known) > _LISTED else ''}"
    return UnknownToolError(f"unknown tool: {shown!r}; {which}", tool=shown, candidates=close)


# --- calls that were sent as text --------------------------------------------------------------------------

_SEARCHED: Final = 200_000
"""The number of characters of an answer that are searched, half of them at its end."""

_MARK: Final = re.compile(
    r"<\|?(?:\w{1,20}:)?(?:longcat_)?tool_calls?(?:_section)?(?:_begin|_start)?\|?>"  # Qwen, Kimi, GLM, LFM
    r"|<\|?(?:\w{1,20}:)?(?:start_)?function_calls?\|?>|<\|DSML\|"  # Gemma, Granite, DeepSeek
    r"|<function=|<function name=|<invoke name=|<\|python_tag\|>|<\|action_start\|>|<\|plugin\|>"  # Llama, InternLM
    r"|\[TOOL_CALLS?\]|\[TOOL_REQUEST\]|\bfunctools\[|✿FUNCTION✿|```tool_(?:code|call)\b"  # Mistral, LM Studio, Phi
    r"|<\|channel\|>\s*commentary\s+to=|(?:^|\s)to=functions[.\s]"  # Harmony
)
"""The beginning of a call in the formats that models are trained on, and that servers should have parsed."""

_ASCII_MARKS: Final = {"\uff5c": "|", "\u2581": "_"}
"""The special letters of DeepSeek's marks."""

_WORD: Final = re.compile(r"[\w.:/-]{1,200}")
_VALUE: Final = re.compile(r"^[ \t]*(?=[\[{])", re.MULTILINE)
_MAX_VALUES: Final = 50
_PYTHON: Final = re.compile(r"\[?\s*(?P<name>[A-Za-z_][\w.]{0,200})\(.*\)\s*\]?", re.DOTALL)
_NAME_KEYS: Final = ("name", "function", "tool", "tool_name", "action")
_ARGUMENT_KEYS: Final = {
    "arguments",
    "parameters",
    "args",
    "tool_input",
    "input",
    "tool_args",
    "action_input",
}


def call_in_text(text: str, names: ToolNames) -> str | None:
    """The tool that a text seems to call, as ``toolbox/tool``; "" if that is unknown; None if it calls none.

    After the mark of a format, the first word that is a tool's name tells the tool. A text without a mark counts as a
    call only if a line of it begins JSON that calls an offered tool, or if all of it is a call in Python.
    """
    if len(text) > _SEARCHED:
        text = f"{text[: _SEARCHED // 2]}\n{text[-_SEARCHED // 2 :]}"
    text = text.strip()
    for letter, ascii_letter in _ASCII_MARKS.items():
        text = text.replace(letter, ascii_letter)
    mark = _MARK.search(text)
    words = _WORD.findall(text, mark.start(), mark.start() + 2000) if mark else []
    called = (word.removeprefix("call:").removesuffix(".call") for word in words)
    found = map(names.display_name, itertools.chain(called, _names_in_code(text)))
    return next(filter(None, found), "" if mark else None)


def _names_in_code(text: str) -> Iterator[str]:
    """The names in calls that are JSON or Python."""
    decoder = json.JSONDecoder(strict=False)
    for begin in itertools.islice(_VALUE.finditer(text), _MAX_VALUES):
        with contextlib.suppress(ValueError, RecursionError):
            yield from _names_in_json(decoder.raw_decode(text, begin.end())[0])
    if call := _PYTHON.fullmatch(text):
        yield call["name"]


def _names_in_json(value: Json) -> Iterator[str]:
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, dict):
            name = next((each[key] for key in _NAME_KEYS if key in each), None)
            if isinstance(name, str) and not _ARGUMENT_KEYS.isdisjoint(each):
                yield name
            for key in ("tool_calls", "function_call", "function"):
                yield from _names_in_json(each.get(key))
