"""Options and parameter types that several commands share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from provider_core.types import Json

__all__ = ["BodyField"]


class BodyField(click.ParamType[tuple[str, Any]]):
    """``KEY=JSON``: a field of the request's body. A value that is no JSON is taken as a string."""

    name = "KEY=JSON"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, Json]:
        """The key and its value."""
        if isinstance(value, tuple):
            return value
        key, equals, text = str(value).partition("=")
        if not equals or not key.strip():
            self.fail(f"{value!r} is not KEY=JSON, for example top_p=0.9 or stop='[\"\\\\n\"]'", param, ctx)
        try:
            return key.strip(), json.loads(text)
        except ValueError:
            if text[:1] in '{["':
                self.fail(f"the value of {key} is not JSON: {text!r}", param, ctx)
            return key.strip(), text
