"""The plan of each row: its columns are inserted into the prompt, and some of them set the request.

The columns ``messages``, ``system``, ``model``, ``temperature``, ``max_tokens``, ``reasoning_effort`` and ``params``
override the options of the batch for their row. A column that the prompt uses as a variable is text, and sets nothing.
A value is inserted as it is: variables in it are not replaced, and nothing is run.
"""

from __future__ import annotations

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
    used: frozenset[str] = frozenset()
    """The variables of all three, see ``planner``."""

    def model(self, row: Row) -> str | None:
        """The name of the model that the row itself asks for."""
        if "model" in self.used or not (name := row.columns.get("model")):
            return None
        if not isinstance(name, str):
            raise InvalidInputError("the column model is not a text")
        return name

    def plan(self, row: Row, target: Target, request: Request | None = None) -> ChatPlan:
        """The chat of a row; ``request`` has the options for this model, if they differ from the usual ones.

        Raises ``InvalidInputError`` for a row that cannot be sent.
        """
        request = request or self.request
        own = {name: value for name in SETTINGS if (value := self._setting(row, name)) not in (None, "")}
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
            fields["params"] = {**request.params, **_object(own["params"])}
        return ChatPlan(
            target=target,
            request=replace(request, **fields),
            new_messages=new,
            schema_retries=self.schema_retries,
            max_turns=self.max_turns,
        )

    def _setting(self, row: Row, name: str) -> Json:
        return None if name in self.used else row.columns.get(name)

    def _columns(self, row: Row) -> Mapping[str, Json]:
        """The columns, also by the names that variables can have: ``First_Name`` is the column "First Name"."""
        columns = row.columns
        others = [name for name in self.used if name not in columns]
        if not others or not columns:
            return columns
        names = {as_variable(name): name for name in reversed([*columns])}
        return {**columns, **{other: columns[names[other]] for other in others if other in names}}

    def _filled(self, row: Row, *, is_optional: bool) -> tuple[str, str]:
        """The system message, and the prompt. The prompt is empty only if the row has messages."""
        columns = self._columns(row)
        text = row.text
        if text is None:
            found = columns.get("prompt") if columns.get("prompt") not in (None, "") else columns.get("text")
            text = None if found is None or found == "" else _as_text(found)
        given = {name: _as_text(columns[name]) for name in self.used if columns.get(name) not in (None, "")}
        if text is not None:
            given |= {name: text for name in TEXT if name in self.used and name not in given}
        uses_row = text is not None and any(name in TEXT for name in self.used)
        if row.text is None:
            uses_row = uses_row or any(name in columns for name in self.used)
        before = None if uses_row else text
        if not (uses_row or before is not None or is_optional or self._lacks(given)):
            names = ", ".join(printable(name, 40) for name in columns) or "none"
            raise InvalidInputError(
                "the row has no text: the prompt uses none of its columns, and there is no column prompt "
                f"(columns: {names})",
                code="no_text",
            )
        given = {**self.values, **given}
        try:
            typed = ""
            if self.prompt is not None:
                typed = templates.insert(self.prompt, self._with_empty(given, self.prompt, columns)).prompt
            if self.template is None:
                prompt = "\n\n".join(part for part in (before, typed) if part is not None and part.strip())
                system = ""
            else:
                wanted = templates.variables(self.template)
                given = self._with_empty(given, self.template, columns)
                if "prompt" in wanted and self.prompt is not None:
                    given["prompt"] = typed
                after = typed if "prompt" not in wanted else None
                filled = templates.insert(self.template, given, before=before, after=after)
                prompt, system = filled.prompt, filled.system
            if self.system is not None:
                system = templates.insert(self.system, self._with_empty(given, self.system, columns)).prompt
        except VariableError as error:
            missing = " and ".join(error.missing)
            raise InvalidInputError(f"the row has no column {missing}", code="no_column") from None
        if not prompt.strip() and not is_optional:
            raise InvalidInputError("the prompt of the row is empty", code="no_text")
        return system, prompt

    def _lacks(self, given: Mapping[str, str]) -> bool:
        """Whether a variable has no value."""
        parts = (each for each in (self.prompt, self.system, self.template) if each is not None)
        return any(
            default is None and name not in given and name not in self.values
            for each in parts
            for name, default in templates.variables(each).items()
        )

    def _with_empty(
        self, given: Mapping[str, str], template: Template, columns: Mapping[str, Json]
    ) -> dict[str, str]:
        """``given``, with "" for columns that the row has without a value, unless the variable has a default."""
        empty = {
            name: ""
            for name, default in templates.variables(template).items()
            if default is None and name not in given and name in columns
        }
        return {**given, **empty}


def planner(**fields: Any) -> RowPlanner:
    """A ``RowPlanner``. Raises ``VariableError`` for a value of a variable that no part of the prompt has."""
    parts = [fields.get(name) for name in ("prompt", "system", "template")]
    used = frozenset(name for part in parts if part is not None for name in templates.variables(part))
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


def _object(value: Json) -> Mapping[str, Json]:
    if isinstance(value, str):  # in CSV
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, dict):
        raise InvalidInputError("the column params is not a JSON object")
    for name, column in (("messages", "messages"), ("model", "model"), ("stream", "")):
        if name in value:
            use = f"; use the column {column}" if column else ""
            raise InvalidInputError(f"the column params cannot set {name}{use}")
    return value


def _messages(value: Json) -> tuple[Message, ...]:
    """OpenAI's form: objects with ``role`` and ``content``, a text or parts of type "text" and "image_url"."""
    if isinstance(value, str):  # in CSV
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
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
