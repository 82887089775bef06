"""Python functions as tools: schemas, arguments and results."""

from __future__ import annotations

import datetime
import enum
import functools
import threading
import typing
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from provider_core.errors import InvalidInputError, ToolArgumentsError, ToolError, UnknownToolError
from provider_core.events import ToolLimits, ToolResult
from provider_core.tools.functions import FunctionTools

if TYPE_CHECKING:
    from collections.abc import Callable


class Place(BaseModel):
    city: str
    country: str = "NO"


class Unit(enum.Enum):
    C = "celsius"
    F = "fahrenheit"


def weather(
    place: Place,
    days: Annotated[int, Field(description="How many days from today.", ge=1, le=7)] = 1,
    *,
    unit: Unit = Unit.C,
    kind: Literal["rain", "wind"] | None = None,
) -> str:
    """Say what the weather will be.

    It is always rain.
    """
    return f"{place!r} {days} {unit} {kind}"


def run(function: Callable[..., Any] | FunctionTools, **arguments: Any) -> ToolResult:
    box = function if isinstance(function, FunctionTools) else FunctionTools({"it": function})
    return box.run(box.tools[0].tool.name, arguments, stop=threading.Event())


def schema(function: Callable[..., Any]) -> Any:
    return FunctionTools({"it": function}).tools[0].tool.schema


def test_a_tool_has_its_functions_name_docstring_and_parameters() -> None:
    (offered,) = FunctionTools([weather]).tools
    assert offered.tool.name == "weather"
    assert offered.tool.description == "Say what the weather will be.\n\nIt is always rain."
    made = offered.tool.schema
    assert made["type"] == "object"
    assert made["required"] == ["place"]
    assert made["additionalProperties"] is False
    days = {
        "type": "integer",
        "description": "How many days from today.",
        "minimum": 1,
        "maximum": 7,
        "default": 1,
    }
    assert made["properties"]["days"] == days
    assert list(made["properties"]) == ["place", "days", "unit", "kind"]
    assert made["properties"]["kind"]["anyOf"][0]["enum"] == ["rain", "wind"]


def test_names_may_be_given() -> None:
    box = FunctionTools({"forecast": weather, "now": weather}, name="met", limits=ToolLimits(seconds=5))
    assert [offered.tool.name for offered in box.tools] == ["forecast", "now"]
    assert (box.name, box.limits.seconds) == ("met", 5)


def test_arguments_arrive_with_their_declared_types() -> None:
    result = run(weather, place={"city": "Oslo"}, unit="fahrenheit", days="3")
    assert result.text == f"{Place(city='Oslo')!r} 3 {Unit.F} None"


def test_a_missing_argument_has_the_functions_own_default() -> None:
    token = object()

    def defaulted(a: Any = token, b: int | None = None) -> str:
        return f"{a is token} {b}"

    assert run(defaulted).text == "True None"
    assert "default" not in schema(defaulted)["properties"]["a"]


OSLO = {"place": {"city": "Oslo"}}


@pytest.mark.parametrize("arguments", [{}, {"place": {"city": 7}}, {**OSLO, "days": 8}, {**OSLO, "more": 1}])
def test_arguments_of_other_types_are_an_error_and_nothing_runs(arguments: dict[str, Any]) -> None:
    with pytest.raises(ToolArgumentsError, match="did not run"):
        run(weather, **arguments)


def test_parameters_may_have_any_name_and_be_positional() -> None:
    def odd(json: int, /, _private: int, schema: int, *, copy: int, class_: int = 0) -> str:
        return f"{json} {_private} {schema} {copy} {class_}"

    assert list(schema(odd)["properties"]) == ["json", "_private", "schema", "copy", "class_"]
    assert run(odd, json=1, _private=2, schema=3, copy=4).text == "1 2 3 4 0"


def test_a_function_without_parameters_or_docstring() -> None:
    def bare():  # type: ignore[no-untyped-def]
        return "x"

    (offered,) = FunctionTools([bare]).tools
    assert offered.tool.description == ""
    assert offered.tool.schema["properties"] == {}
    assert run(bare).text == "x"


def test_methods_and_callable_objects_are_functions() -> None:
    class Counter:
        def __init__(self) -> None:
            self.n = 0

        def add(self, n: int) -> int:
            self.n += n
            return self.n

        def __call__(self, n: int) -> str:
            return f"called with {n}"

    counter = Counter()
    assert run(counter.add, n=2).text == "2"
    assert run(counter, n=2).text == "called with 2"
    assert run(functools.partial(counter.add, 5)).text == "7"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is\n", "as it is\n"), (None, ""), (7, "7"), (True, "true"), ({"ö": [1, None]}, '{"ö": [1, null]}'),
        (Place(city="Oslo"), '{"city": "Oslo", "country": "NO"}'),
        ([Place(city="Oslo")], '[{"city": "Oslo", "country": "NO"}]'), (datetime.date(2026, 1, 2), '"2026-01-02"'),
        (threading, f'"{threading!r}"'),
    ],
)  # fmt: skip
def test_a_returned_value_becomes_text(value: Any, text: str) -> None:
    assert run(lambda: value).text == text


def test_an_exception_becomes_an_error_with_its_message() -> None:
    def fail() -> None:
        raise FileNotFoundError(2, "No such file", "a.txt")

    with pytest.raises(ToolError, match=r"it failed: FileNotFoundError: .*No such file.*a\.txt") as raised:
        run(fail)
    assert isinstance(raised.value.__cause__, FileNotFoundError)


def test_a_function_gets_the_stop_event() -> None:
    def patient(n: int, stop: threading.Event) -> str:
        return f"{n} {stop.is_set()}"

    assert list(schema(patient)["properties"]) == ["n"]
    stop = threading.Event()
    stop.set()
    box = FunctionTools([patient])
    assert box.run("patient", {"n": 1}, stop=stop).text == "1 True"
    with pytest.raises(ToolArgumentsError):
        box.run("patient", {"n": 1, "stop": True}, stop=stop)


def test_a_parameter_called_stop_of_another_type_is_an_argument() -> None:
    def range_(start: int, stop: int) -> str:
        return f"{start} {stop}"

    assert run(range_, start=1, stop=2).text == "1 2"


async def coroutine() -> None: ...
def starred(*args: int) -> None: ...
def keyed(**kwargs: int) -> None: ...
def unknown(lock: threading.Lock) -> None: ...
def called(back: typing.Callable[[int], int]) -> None: ...


@pytest.mark.parametrize("function", [coroutine, starred, keyed, unknown, called])
def test_a_function_that_a_call_cannot_reach_is_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(InvalidInputError, match=function.__name__):
        FunctionTools([function])


def test_an_unknown_function_is_an_error() -> None:
    with pytest.raises(UnknownToolError):
        FunctionTools([weather]).run("wether", {}, stop=threading.Event())
