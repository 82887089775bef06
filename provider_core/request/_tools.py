"""Tools as the body offers them, and the choice among them; calls and results are messages and not here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provider_core.types import Json, Quirks, Tool

__all__ = ["tools"]


def tools(
    quirks: Quirks, offered: Sequence[Tool], choice: str | None, *, free: bool = False
) -> dict[str, Json]:
    """The fields ``tools`` and ``tool_choice``, as far as they are needed.

    A choice without tools is refused by OpenAI, so that it goes with them. With ``free``, and where a row says
    that no demand is taken, the model decides; only "none" is obeyed there too, by offering nothing.
    """
    free = free or quirks.tool_choice_required == "auto"
    if not offered or (free and choice == "none"):
        return {}
    named = choice not in (None, "auto", "none", "required")
    if named and not free and quirks.tool_choice_named == "word":
        offered, choice = [tool for tool in offered if tool.name == choice], "required"
    fields: dict[str, Json] = {"tools": [_tool(tool) for tool in offered]}
    if choice is None or free:
        return fields
    match choice:
        case "auto" | "none":
            fields["tool_choice"] = choice
        case "required":
            fields["tool_choice"] = quirks.tool_choice_required
        case _:
            fields["tool_choice"] = {"type": "function", "function": {"name": choice}}
    return fields


def _tool(tool: Tool) -> dict[str, Json]:
    function: dict[str, Json] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    # Without arguments, too: several servers refuse a function that has no schema.
    function["parameters"] = dict(tool.schema) or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}
