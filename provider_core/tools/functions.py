"""Python functions as tools: schemas from signatures, and results as text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from provider_core.errors import InvalidInputError, ToolArgumentsError, ToolError, UnknownToolError
from provider_core.events import ToolLimits, ToolResult, ToolSpec
from provider_core.types import Tool

if TYPE_CHECKING:
    import inspect
    import threading
    from collections.abc import Callable, Iterable, Mapping

    from pydantic import BaseModel

    from provider_core.types import Json


class FunctionTools:
    """A toolbox of functions, with their own names or those of a mapping.

    The type of a parameter becomes its schema, which ``Annotated[int, Field(description=...)]`` can describe; the
    docstring describes the tool. Arguments arrive with their declared types: dates, enums, models. A parameter
    ``stop: threading.Event`` is not part of the schema; it is set when the result is no longer waited for. A returned
    value becomes text, as it is or as JSON; an exception becomes an error for the model. Functions are called in
    threads, several at a time.

    Raises ``InvalidInputError`` for a function that a tool call cannot reach: a coroutine, ``*args``, ``**kwargs``, or
    a type without a schema.
    """

    def __init__(
        self,
        functions: Mapping[str, Callable[..., Any]] | Iterable[Callable[..., Any]],
        *,
        name: str = "",
        limits: ToolLimits | None = None,
    ) -> None:
        from collections.abc import Mapping

        named = functions.items() if isinstance(functions, Mapping) else ((f.__name__, f) for f in functions)
        self.name = name
        self.limits: ToolLimits = limits or ToolLimits()
        self._functions = {tool: _Function(tool, function) for tool, function in named}
        self.tools: tuple[ToolSpec, ...] = tuple(function.spec for function in self._functions.values())

    def run(self, name: str, arguments: Mapping[str, Json], *, stop: threading.Event) -> ToolResult:
        """Convert the arguments to the declared types and call the function."""
        function = self._functions.get(name)
        if function is None:
            raise UnknownToolError(
                f"there is no function {name!r}", tool=name, candidates=tuple(self._functions)
            )
        return function.run(self.name, arguments, stop)


class _Function:
    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        import inspect
        import threading

        if inspect.iscoroutinefunction(function):
            raise InvalidInputError(f"{name} is a coroutine function; a tool is a plain one")
        try:
            self._signature = inspect.signature(function, eval_str=True)
        except (ValueError, TypeError, NameError) as error:
            raise InvalidInputError(f"{name} has no signature that can be read: {error}") from error
        self._call = function
        parameters = dict(self._signature.parameters)
        self._takes_stop = "stop" in parameters and parameters["stop"].annotation is threading.Event
        if self._takes_stop:
            del parameters["stop"]
        self._model, schema = _model_of(name, parameters.values())
        tool = Tool(name=name, description=inspect.getdoc(function) or "", schema=schema)
        self.spec: ToolSpec = ToolSpec(tool=tool)

    def run(self, server: str, arguments: Mapping[str, Json], stop: threading.Event) -> ToolResult:
        from pydantic import ValidationError

        tool = self.spec.tool.name
        try:
            converted = self._model.model_validate(dict(arguments))
        except ValidationError as error:
            words = "; ".join(map(_at_place, error.errors()))
            message = f"the arguments for {tool} cannot be used, and it did not run: {words}"
            raise ToolArgumentsError(message, server=server, tool=tool) from None
        values = {
            self._model.model_fields[name].alias: getattr(converted, name)
            for name in converted.model_fields_set
        }
        if self._takes_stop:
            values["stop"] = stop
        bound = self._signature.bind_partial()
        bound.arguments.update({name: values[name] for name in self._signature.parameters if name in values})
        try:
            return _result(self._call(*bound.args, **bound.kwargs))
        except ToolError:
            raise
        except Exception as error:
            words = f"{tool} failed: {type(error).__name__}: {error}".rstrip(": ")
            raise ToolError(words, server=server, tool=tool) from error


def _model_of(name: str, parameters: Iterable[inspect.Parameter]) -> tuple[type[BaseModel], dict[str, Any]]:
    """A model of the parameters, and its schema.

    The parameters' names are aliases of its fields, so that they cannot collide with a model's own attributes.
    """
    from pydantic import ConfigDict, Field, create_model
    from pydantic.errors import PydanticUserError

    fields: dict[str, Any] = {}
    for number, parameter in enumerate(parameters):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise InvalidInputError(f"{name} takes {parameter}, which has no schema")
        kind = Any if parameter.annotation is parameter.empty else parameter.annotation
        options: dict[str, Any] = {"alias": parameter.name}
        if parameter.default is None or isinstance(parameter.default, str | int | float):
            options["default"] = parameter.default
        elif parameter.default is not parameter.empty:
            options["default_factory"] = object  # never used, and not part of the schema
        fields[f"field_{number}"] = (kind, Field(**options))
    try:
        model: type[BaseModel] = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
        schema = model.model_json_schema()
    except PydanticUserError as error:
        why = str(error).partition("\n")[0]
        raise InvalidInputError(f"{name} has a parameter without a schema: {why}") from error
    schema.pop("title", None)
    for described in schema.setdefault("properties", {}).values():
        described.pop("title", None)
    return model, schema


def _at_place(error: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in error["loc"])
    return f"{place}: {error['msg']}" if place else str(error["msg"])


def _result(value: object) -> ToolResult:
    if isinstance(value, ToolResult):
        return value
    if value is None or isinstance(value, str):
        return ToolResult(text=value or "")
    from pydantic_core import to_jsonable_python

    plain = to_jsonable_python(value, fallback=str)
    return ToolResult(text=json.dumps(plain, ensure_ascii=False), structured=plain)
