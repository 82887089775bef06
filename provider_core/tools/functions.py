"""Plain Python functions as tools: schemas from signatures, results as text; who may call them is not decided here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from provider_core.errors import InvalidInputError, ToolArgumentsError, ToolError, UnknownToolError
from provider_core.events import ToolLimits, ToolResult, ToolSpec
from provider_core.structs import Struct
from provider_core.types import Tool

if TYPE_CHECKING:
    import inspect
    import threading
    from collections.abc import Callable, Iterable, Mapping

    from pydantic import BaseModel

    from provider_core.types import Json

__all__ = ["FunctionTools"]


class FunctionTools:
    """A toolbox of functions, under their own names or those of a mapping.

    A parameter's type becomes its schema, and ``Annotated[int, Field(description=...)]`` describes it too; the
    docstring describes the tool. Arguments arrive as the types they are declared as: dates, enums, models. A
    parameter called ``stop`` of the type ``threading.Event`` is none of the model's: it is set when nobody waits
    for the result any longer. What a function returns becomes text as it is, or as JSON; what it raises goes back
    to the model as an error. Functions are called in threads, several at a time.

    Raises ``InvalidInputError`` for a function that no tool call can reach: a coroutine, ``*args``, ``**kwargs``,
    or a type that has no schema.
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
        self._functions = {called: _read(called, function) for called, function in named}
        self.tools: tuple[ToolSpec, ...] = tuple(function.spec for function in self._functions.values())

    def run(self, name: str, arguments: Mapping[str, Json], *, stop: threading.Event) -> ToolResult:
        """Call the function with these arguments, once they are of its types."""
        function = self._functions.get(name)
        if function is None:
            raise UnknownToolError(
                f"there is no function {name!r}", tool=name, candidates=tuple(self._functions)
            )
        return function.run(self.name, arguments, stop)


class _Function(Struct):
    call: Callable[..., Any]
    signature: inspect.Signature
    model: type[BaseModel]
    """Its fields have the parameters' names as aliases: a model's own attributes are in nobody's way then."""
    takes_stop: bool
    spec: ToolSpec

    def run(self, server: str, arguments: Mapping[str, Json], stop: threading.Event) -> ToolResult:
        from pydantic import ValidationError

        tool = self.spec.tool.name
        try:
            read = self.model.model_validate(dict(arguments))
        except ValidationError as error:
            words = "; ".join(_place(each) for each in error.errors(include_url=False, include_input=False))
            message = f"the arguments for {tool} cannot be used, and it did not run: {words}"
            raise ToolArgumentsError(message, server=server, tool=tool) from None
        given = {self.model.model_fields[name].alias: getattr(read, name) for name in read.model_fields_set}
        if self.takes_stop:
            given["stop"] = stop
        bound = self.signature.bind_partial()
        bound.arguments.update({name: given[name] for name in self.signature.parameters if name in given})
        try:
            return _result(self.call(*bound.args, **bound.kwargs))
        except ToolError:
            raise
        except Exception as error:
            words = f"{tool} failed: {type(error).__name__}: {error}".rstrip(": ")
            raise ToolError(words, server=server, tool=tool) from error


def _read(name: str, function: Callable[..., Any]) -> _Function:
    import inspect
    import threading

    if inspect.iscoroutinefunction(function):
        raise InvalidInputError(f"{name} is a coroutine function; a tool here is a plain one")
    try:
        signature = inspect.signature(function, eval_str=True)
    except (ValueError, TypeError, NameError) as error:
        raise InvalidInputError(f"{name} has no signature that can be read: {error}") from error
    parameters = dict(signature.parameters)
    takes_stop = "stop" in parameters and parameters["stop"].annotation is threading.Event
    if takes_stop:
        del parameters["stop"]
    model = _model(name, parameters.values())
    tool = Tool(name=name, description=inspect.getdoc(function) or "", schema=_schema(name, model))
    offered = ToolSpec(tool=tool)
    return _Function(call=function, signature=signature, model=model, takes_stop=takes_stop, spec=offered)


def _model(name: str, parameters: Iterable[inspect.Parameter]) -> type[BaseModel]:
    from pydantic import ConfigDict, Field, create_model
    from pydantic.errors import PydanticSchemaGenerationError

    fields: dict[str, Any] = {}
    for number, parameter in enumerate(parameters):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise InvalidInputError(f"{name} takes {parameter}, which has no schema")
        kind = Any if parameter.annotation is parameter.empty else parameter.annotation
        about: dict[str, Any] = {"alias": parameter.name}
        if parameter.default is None or isinstance(parameter.default, str | int | float):
            about["default"] = parameter.default
        elif parameter.default is not parameter.empty:
            about["default_factory"] = object  # never read, and none that a schema could show
        fields[f"field_{number}"] = (kind, Field(**about))
    try:
        made: type[BaseModel] = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
    except PydanticSchemaGenerationError as error:
        raise _no_schema(name, error) from error
    return made


def _schema(name: str, model: type[BaseModel]) -> dict[str, Any]:
    from pydantic.errors import PydanticUserError

    try:
        schema = model.model_json_schema()
    except PydanticUserError as error:
        raise _no_schema(name, error) from error
    schema.pop("title", None)
    schema.setdefault("properties", {})
    for described in schema["properties"].values():
        described.pop("title", None)
    return schema


def _no_schema(name: str, error: Exception) -> InvalidInputError:
    why = str(error).partition("\n")[0]
    return InvalidInputError(f"{name} has a parameter without a schema: {why}")


def _place(error: Mapping[str, Any]) -> str:
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
