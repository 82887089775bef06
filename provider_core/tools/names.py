"""Tools under names that every provider takes, and back to their toolboxes; what is called is not run here."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from provider_core.errors import UnknownToolError
from provider_core.redaction import close_matches, printable
from provider_core.tools.schemas import cleaned
from provider_core.types import Tool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from provider_core.events import Toolbox, ToolSpec
    from provider_core.types import ToolCall

__all__ = ["ToolNames"]

_LONGEST: Final = 64
_CHOICES: Final = ("auto", "required", "none")
_LISTED = 30
_LONGEST_CALLED: Final = 300

_SEPARATORS: Final = ("/", ".", ":", "::", "__")
"""What models write between the names of a server and its tool; only the last is in the names that they are given."""

_DECORATION: Final = re.compile(r"(?:functions?|tools?|default_api|mcp)(?:\.|/|::?|__)")
"""What models put before a name: OpenAI's and Kimi's ``functions.``, Gemini's ``default_api.``."""

_PARALLEL: Final = re.compile(r"\s*(?:functions\.)?multi_tool_use(?:\.|__?)parallel\s*")

_REST: Final = re.compile(r"\s*(?:<\|.*|:\d+|\(\))\Z", re.DOTALL)
"""What they put after it: Kimi's number of the call, and Harmony's tokens, as in ``read<|channel|>commentary``."""


class ToolNames:
    """The names by which a model knows the tools of one loop: a tool keeps its own for as long as that lasts.

    A name is of letters, digits, "_" and "-", at most 64, as OpenAI takes it, and begins with a letter or "_",
    as Gemini wants: cline/cline issue 7339.
    """

    def __init__(self) -> None:
        self._given: dict[tuple[int, str], str] = {}
        self._known: dict[str, tuple[Toolbox, ToolSpec]] = {}
        self._cleaned: dict[str, tuple[Tool, Tool]] = {}

    def offer(self, toolboxes: Sequence[Toolbox]) -> tuple[Tool, ...]:
        """The tools that there are now, as a request names and describes them."""
        self._known.clear()
        for at, toolbox in enumerate(toolboxes):
            for offered in toolbox.tools:
                name = self._given.get((at, offered.tool.name))
                if name is None:
                    name = self._given[at, offered.tool.name] = self._free(toolbox.name, offered.tool.name)
                self._known[name] = (toolbox, offered)
        return tuple(self._tool(name, offered.tool) for name, (_, offered) in self._known.items())

    def find(self, name: str) -> tuple[Toolbox, ToolSpec]:
        """The tool that a model calls by this name; raises ``UnknownToolError`` with near ones, or with all."""
        found = self._known.get(self.meant(name))
        if found is None:
            raise _unknown(name, self._known)
        return found

    def meant(self, name: str) -> str:
        """The name of the tool that is certainly meant: without decoration, or with other separators; else ``name``.

        A tool's own name means it where no other tool has it. Near names are never guessed.
        """
        if name in self._known or len(name) > _LONGEST_CALLED:
            return name
        spelled: dict[str, set[str]] = {}
        bare: dict[str, set[str]] = {}
        for known, (toolbox, offered) in self._known.items():
            spelled.setdefault(known, set()).add(known)
            bare.setdefault(offered.tool.name, set()).add(known)
            for separator in _SEPARATORS if toolbox.name else ():
                spelled.setdefault(f"{toolbox.name}{separator}{offered.tool.name}", set()).add(known)
        for form in _forms(name):
            for names in (spelled, bare):
                if found := names.get(form):
                    return found.pop() if len(found) == 1 else name
        return name

    def unfolded(self, call: ToolCall) -> list[ToolCall]:
        """The calls in a call of ``multi_tool_use.parallel``, which OpenAI's models make up; else ``[call]``.

        craft-ai-agents/craft-agents-oss issue 449.
        """
        if call.name in self._known or call.cut or not _PARALLEL.fullmatch(call.name):
            return [call]
        try:
            inner = json.loads(call.arguments, strict=False)["tool_uses"]
            found = [(each["recipient_name"], json.dumps(each.get("parameters") or {})) for each in inner]
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            return [call]
        if not found or not all(isinstance(name, str) and name for name, _ in found):
            return [call]
        return [
            replace(call, name=name, arguments=arguments, id=call.id if not number else "")
            for number, (name, arguments) in enumerate(found)
        ]

    def shown(self, name: str) -> str:
        """``toolbox/tool`` of the tool that this name means, as users know it; "" for none."""
        found = self._known.get(self.meant(name))
        return "/".join(filter(None, (found[0].name, found[1].tool.name))) if found else ""

    def choice(self, asked: str | None) -> str | None:
        """A tool choice as a request has it.

        A tool may be called by the name that the model knows, as ``toolbox/tool``, or by its own name where no
        other has it. Raises ``UnknownToolError``.
        """
        if asked is None or asked in _CHOICES or asked in self._known:
            return asked
        whole: dict[str, str] = {}
        bare: dict[str, list[str]] = {}
        for name, (toolbox, offered) in self._known.items():
            whole[f"{toolbox.name}/{offered.tool.name}"] = name
            bare.setdefault(offered.tool.name, []).append(name)
        if asked in whole:
            return whole[asked]
        if len(bare.get(asked, ())) == 1:
            return bare[asked][0]
        raise _unknown(asked, (" ".join(printable(name.lstrip("/"), _LONGEST).split()) for name in whole))

    def _tool(self, name: str, tool: Tool) -> Tool:
        earlier = self._cleaned.get(name)
        if earlier is None or earlier[0] != tool:
            earlier = tool, Tool(name=name, description=tool.description, schema=cleaned(tool.schema))
            self._cleaned[name] = earlier
        return earlier[1]

    def _free(self, toolbox: str, tool: str) -> str:
        wanted = _fit(f"{toolbox}__{tool}" if toolbox else tool)
        taken = set(self._given.values())
        name, number = wanted if len(wanted) <= _LONGEST else _marked(wanted, toolbox, tool), 0
        while name in taken:
            number += 1
            name = _marked(wanted, toolbox, tool, str(number))
        return name


def _forms(name: str) -> Iterator[str]:
    """A name as it was called, and with ever less around it."""
    yield name
    name = name.strip().strip("`'\"").strip()
    yield name
    while (shorter := _REST.sub("", name)) != name:
        name = shorter
        yield name
    while decoration := _DECORATION.match(name):
        name = name[decoration.end() :]
        yield name


def _fit(text: str) -> str:
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", text)
    return name if re.match(r"[a-zA-Z_]", name) else f"_{name}"


def _marked(name: str, *told_apart_by: str) -> str:
    from hashlib import sha256

    digest = sha256("\0".join(told_apart_by).encode("utf-8", "replace")).hexdigest()[:8]
    return f"{name[: _LONGEST - 9]}_{digest}"


def _unknown(name: str, names: Iterable[str]) -> UnknownToolError:
    known = tuple(names)
    shown = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…"
    if not known:
        return UnknownToolError(f"there is no tool {shown!r}, and no other", tool=shown)
    close = close_matches(shown, known)
    if close:
        which = f"near names: {', '.join(close)}"
    else:
        which = f"there are: {', '.join(known[:_LISTED])}{' …' if len(known) > _LISTED else ''}"
    return UnknownToolError(f"there is no tool {shown!r}; {which}", tool=shown, candidates=close)
