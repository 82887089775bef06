"""The plan of each row: its columns are inserted into the prompt, and some of them set the request.

The columns ``messages``, ``system``, ``model``, ``temperature``, ``max_tokens``, ``reasoning_effort`` and ``params``
override the options of the batch for their row. A column that the prompt uses as a variable is text, and sets nothing.
A value is inserted as it is: variables in it are not replaced, and nothing is run.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, Final

from provider_core import templates
from provider_core.chat import ChatPlan
from provider_core.errors import InvalidInputError, VariableError
from provider_core.events import append_messages
from provider_core.redaction import printable
from provider_core.structs import Struct, field, replace
from provider_core.types import ImagePart, Message, TextPart

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.batches.rows import Row
    from provider_core.templates import Template
    from provider_core.types import Json, Part, Request, Target

SETTINGS: Final = (
    "messages", "system", "model", "temperature", "max_tokens", "reasoning_effort", "params",
)  # fmt: skip
"""Columns that set a part of the request."""

TEXT: Final = ("prompt", "text", "stdin")
"""Variables for the text of a row that is not an object. In an object, ``prompt`` or else ``text`` is its text."""

_OWN: Final = frozenset((*SETTINGS, *TEXT))
_encoded: Final = json.JSONEncoder(sort_keys=True, default=str).encode
_ROLES: Final = ("system", "developer", "user", "assistant")


class RowPlanner(Struct):
    """Turns a row into a ``ChatPlan``. ``prompt``, ``system`` and ``template`` are filled with its columns.

    ``prompt`` is what was typed for all rows, and the variable ``prompt`` of ``template``. If none of the three uses a
    column, the row's text is placed before the prompt. ``values`` are variables that are the same for all rows.
    """

    prompt: Template | None = None
    system: Template | None = None
    template: Template | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    request: Request
    """The options of all requests; its model and messages are replaced."""
    schema_retries: int | None = None
    max_turns: int = 10
    used: Mapping[str, str | None] = field(default_factory=dict)
    """The variables of all three and their defaults, see ``planner``."""

    def model(self, row: Row) -> str | None:
        """The name of the model that the row itself asks for."""
        if "model" in self.used or not (name := row.columns.get("model")):
            return None
        if not isinstance(name, str):
            raise InvalidInputError("the column model is not a text")
        return name

    def row_hash(self, row: Row) -> str:
        """A hash of what the request of a row depends on: another one means that the row was edited."""
        own = {
            name: value
            for name, value in row.columns.items()
            if name in _OWN or name in self.used or as_variable(name) in self.used
        }
        return hashlib.blake2b(_encoded([row.text, own]).encode(), digest_size=4).hexdigest()

    def plan(self, row: Row, target: Target, request: Request | None = None) -> ChatPlan:
        """The chat of a row; ``request`` has the options for this model, if they differ from the usual ones.

        Raises ``InvalidInputError`` for a row that cannot be sent.
        """
        request = request or self.request
        own = {
            name: value
            for name in SETTINGS
            if name not in self.used and (value := row.columns.get(name)) not in (None, "")
        }
        messages = _messages(own["messages"]) if "messages" in own else ()
        system, prompt = self._filled(row, is_optional=bool(messages))
        if "system" in own:
            system = _text(own["system"], "system")
        new = (*messages, Message(role="user", content=prompt)) if prompt.strip() else messages
        if system:
            new = (Message(role="system", content=system), *new)
        new = append_messages((), new)
        fields: dict[str, Any] = {"model": target.model, "messages": new}
        if "temperature" in own:
            fields["temperature"] = _number(own["temperature"], "temperature")
        if "max_tokens" in own:
            fields["max_tokens"] = _count(own["max_tokens"])
        if "reasoning_effort" in own:
            fields["reasoning_effort"] = _text(own["reasoning_effort"], "reasoning_effort")
        if "params" in own:
            fields["params"] = {**request.params, **_params(own["params"])}
        return ChatPlan(
            target=target,
            request=replace(request, **fields),
            new_messages=new,
            schema_retries=self.schema_retries,
            max_turns=self.max_turns,
        )

    def _filled(self, row: Row, *, is_optional: bool) -> tuple[str, str]:
        """The system message, and the prompt. The prompt is empty only if the row has messages."""
        # Columns are also known by the names that variables can have: First_Name is "First Name".
        columns = {
            **{as_variable(name): row.columns[name] for name in reversed([*row.columns])},
            **row.columns,
        }
        filled = {name: _as_text(value) for name, value in columns.items() if value not in (None, "")}
        text = row.text if row.text is not None else filled.get("prompt", filled.get("text"))
        own = {name: filled[name] for name in self.used if name in filled}
        if text is not None:
            own = {**{name: text for name in TEXT if name in self.used}, **own}
        # A column without a value is "", unless the variable has a default.
        empty = {name: "" for name, default in self.used.items() if default is None and name in columns}
        given = {**empty, **self.values, **own}
        uses_row = (text is not None and any(name in TEXT for name in self.used)) or (
            row.text is None and any(name in columns for name in self.used)
        )
        before = None if uses_row else text
        lacks = any(default is None and name not in given for name, default in self.used.items())
        if not (uses_row or before is not None or is_optional or lacks):
            names = ", ".join(printable(name, 40) for name in row.columns) or "none"
            raise InvalidInputError(
                "the row has no text: the prompt uses none of its columns, and there is no column prompt "
                f"(columns: {names})",
                code="no_text",
            )
        try:
            typed = "" if self.prompt is None else templates.insert(self.prompt, given).prompt
            if self.template is None:
                prompt = "\n\n".join(part for part in (before, typed) if part is not None and part.strip())
                system = ""
            else:
                takes_prompt = "prompt" in templates.variables(self.template)
                if takes_prompt and self.prompt is not None:
                    given["prompt"] = typed
                after = None if takes_prompt else typed
                inserted = templates.insert(self.template, given, before=before, after=after)
                prompt, system = inserted.prompt, inserted.system
            if self.system is not None:
                system = templates.insert(self.system, given).prompt
        except VariableError as error:
            missing = " and ".join(error.missing)
            raise InvalidInputError(f"the row has no column {missing}", code="no_column") from None
        if not prompt.strip() and not is_optional:
            raise InvalidInputError("the prompt of the row is empty", code="no_text")
        return system, prompt


def planner(**fields: Any) -> RowPlanner:
    """A ``RowPlanner``. Raises ``VariableError`` for a value of a variable that no part of the prompt has."""
    parts = [fields.get(name) for name in ("prompt", "system", "template")]
    used: dict[str, str | None] = {}
    for part in filter(None, parts):
        used |= {
            name: default and used.get(name, default) for name, default in templates.variables(part).items()
        }
    for name in fields.get("values", ()):
        if name not in used:
            names = ", ".join(sorted(used)) or "there are none"
            raise VariableError(f"the prompt has no variable {name!r} (its variables: {names})")
    return RowPlanner(**fields, used=used)


def as_variable(name: str) -> str:
    """The variable that means a column: other characters than ASCII letters, digits, _ and - become _."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


def _as_text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(value: Json, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidInputError(f"the column {name} is not a text")
    return value


def _number(value: Json, name: str) -> float:
    try:
        if isinstance(value, bool) or not 0 <= (number := float(value)) < float("inf"):
            raise ValueError
    except (TypeError, ValueError):
        raise InvalidInputError(f"the column {name} is not a number: {printable(str(value), 40)}") from None
    return number


def _count(value: Json) -> int:
    try:
        if isinstance(value, bool | float) or (count := int(value)) < 1:
            raise ValueError
    except (TypeError, ValueError):
        text = printable(str(value), 40)
        raise InvalidInputError(f"the column max_tokens is not a whole number from 1: {text}") from None
    return count


def _parsed(value: Json) -> Json:
    """The value, which in CSV is JSON."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return None


def _params(value: Json) -> Mapping[str, Json]:
    value = _parsed(value)
    if not isinstance(value, dict):
        raise InvalidInputError("the column params is not a JSON object")
    for name in ("messages", "model", "stream"):
        if name in value:
            raise InvalidInputError(f"the column params cannot set {name}")
    return value


def _messages(value: Json) -> tuple[Message, ...]:
    """OpenAI's form: objects with ``role`` and ``content``, a text or parts of type "text" and "image_url"."""
    value = _parsed(value)
    if not isinstance(value, list) or not value:
        raise InvalidInputError("the column messages is not a list of messages")
    return tuple(_message(each, number) for number, each in enumerate(value, start=1))


def _message(value: Json, number: int) -> Message:
    role = value.get("role") if isinstance(value, dict) else None
    if role not in _ROLES:
        raise InvalidInputError(
            f"message {number} of the column messages needs a role: system, user or assistant"
        )
    content = value.get("content")
    if isinstance(content, list):
        content = tuple(_part(part, number) for part in content)
    elif not isinstance(content, str):
        raise InvalidInputError(f"message {number} of the column messages has no text in content")
    return Message(role="system" if role == "developer" else role, content=content)


def _part(value: Json, number: int) -> Part:
    match value:
        case {"type": "text", "text": str(text)}:
            return TextPart(text=text)
        case {"type": "image_url", "image_url": {"url": str(url)} | str(url)}:
            return ImagePart(url=url)
        case _:
            raise InvalidInputError(f"message {number} of the column messages has a part of an unknown type")
