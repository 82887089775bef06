"""Sentences about an answer that several formats say: of fields left out, and of how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provider_core.types import FieldDropped, Target

__all__ = ["dropped"]


def dropped(target: Target, notice: FieldDropped) -> str:
    """What has become of a field that the server refuses."""
    match notice.field, notice.swapped_for:
        case "system", "user":
            change = "takes no system message: it stands before the prompt"
        case "roles", _:
            change = "wants roles to take turns: neighbouring messages are joined"
        case "calls", _:
            change = "takes no earlier calls of tools without the tools: they go along as text"
        case "response_format", "unstreamed":
            change = "does not stream what it holds to a schema: the answer comes as a whole"
        case "response_format", "json_object":
            change = "takes no schema: it is asked for JSON, and the schema stands in the prompt"
        case "response_format", "none":
            change = "takes no response_format: the schema stands in the prompt"
        case field, None:
            change = f"does not take {field}: it is left out"
        case field, other:
            change = f"does not take {field}: it is sent as {other}"
    when = ", as it was before" if notice.remembered else ", now and from now on" if notice.lasting else ""
    return f"{target} {change}{when}."
