"""The cases of ``telex test``: read from TOML and JSONL files, and checked strictly, because people write them."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import click
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from provider_core import files, limits, templates
from provider_core.errors import CoreError, InvalidInputError, VariableError
from provider_core.structs import Struct
from provider_core.structured import Expectations, parse_path, schema_from
from provider_core.types import Message, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provider_core.types import Json

_MOST_SHOWN: Final = 5
"""Mistakes in one file that an error names."""


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is not a valid regular expression: {error}") from None
    return value


def _path(value: str) -> str:
    try:
        parse_path(value)
    except InvalidInputError as error:
        raise ValueError(error.message) from None
    return value


def _json(value: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError("must be JSON, without dates, inf and nan") from None
    return value


def _value(value: object) -> object:
    if not isinstance(value, str | int | float | bool):
        raise ValueError("must be a text, a number, true or false")  # noqa: TRY004 - for pydantic
    return value


Texts = Annotated[list[Annotated[str, Field(min_length=1)]], BeforeValidator(_listed)]
Schema = str | dict[str, Any] | None
Limit = Field(None, gt=0, allow_inf_nan=False)


class _Strict(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", populate_by_name=True)


class Expect(_Strict):
    """``expect``: see ``Expectations``."""

    contains: Texts = []
    not_contains: Texts = []
    regex: Annotated[list[Annotated[str, AfterValidator(_pattern)]], BeforeValidator(_listed)] = []
    equals: str | None = None
    json_schema: Schema = Field(None, alias="schema")
    paths: dict[Annotated[str, AfterValidator(_path)], Any] = {}
    judge: Texts = []
    max_cost: Decimal | None = Limit
    max_seconds: float | None = Limit


class Defaults(_Strict):
    """Fields of a case, which a file may also set for all of its cases."""

    template: str | None = None
    prompt: str | None = None
    system: str | None = None
    stdin: str | None = None
    variables: dict[str, Annotated[Any, AfterValidator(_value)]] = Field({}, alias="vars")
    json_schema: Schema = Field(None, alias="schema")
    temperature: float | None = Field(None, ge=0, allow_inf_nan=False)
    max_tokens: int | None = Field(None, ge=1)
    reasoning_effort: str | None = None
    params: Annotated[dict[str, Any], AfterValidator(_json)] = {}
    expect: Expect = Field(default_factory=lambda: Expect.model_validate({}))


class CaseEntry(Defaults):
    """One of ``[[cases]]``, or one line of JSONL."""

    name: str | None = None


class CaseFile(Defaults):
    """A TOML file. Its own fields are defaults for its cases, except for ``models`` and ``judge``."""

    models: Annotated[list[str], BeforeValidator(_listed)] = []
    judge: str | None = None
    cases: Annotated[list[CaseEntry], Field(min_length=1)]


class Case(Struct):
    """A case that can be run, with the defaults of its file filled in."""

    file: str
    name: str
    request: Request
    """Its model is still to be set."""
    template: str | None
    extract: bool
    """Whether the checks are for the first code block of the answer, as the template asks for."""
    expected: Expectations
    models: tuple[str, ...]
    """The models that the file names, or the template."""
    judge: str | None


def find_files(paths: Sequence[str]) -> list[Path]:
    """The files that are named, and those in folders that are not hidden: JSONL files, and TOML files with cases.

    Raises ``click.UsageError`` if there is none.
    """
    found: dict[Path, None] = {}
    for name in paths:
        path = Path(name)
        if not path.is_dir():
            found[path] = None
            continue
        inside = sorted(
            each
            for each in path.rglob("*")
            if each.suffix in (".toml", ".jsonl", ".ndjson")
            and not any(part.startswith(".") for part in each.relative_to(path).parts)
        )
        chosen = [each for each in inside if each.is_file() and (each.suffix != ".toml" or _has_cases(each))]
        if not chosen:
            raise click.UsageError(
                f"{name} has no test cases\nThey are in .jsonl files, or in .toml files under [[cases]]."
            )
        found |= dict.fromkeys(chosen)
    return list(found)


def _has_cases(path: Path) -> bool:
    """Whether a TOML file has cases; the others in a folder may be templates."""
    return re.search(r"^\s*(\[\[\s*cases\s*\]\]|cases\s*=)", _text(path), re.MULTILINE) is not None


def _text(path: Path) -> str:
    try:
        return files.read_text(path, limit=limits.TEXT_FILE)
    except CoreError as error:
        raise click.UsageError(error.message) from None


def read_cases(path: Path, find_template: Callable[[str], templates.Template]) -> list[Case]:
    """The cases of a file. Raises ``click.UsageError`` with the place of each mistake."""
    text, places = _text(path), list[str]()
    try:
        if path.suffix == ".toml":
            import tomllib

            found = tomllib.loads(text)
        else:
            found = {"cases": []}
            for number, line in enumerate(text.split("\n"), start=1):
                if line.strip():
                    places.append(f"line {number}")
                    found["cases"].append(json.loads(line))
            if not places:
                return []
        file = CaseFile.model_validate(found)
    except ValidationError as error:
        raise _invalid(path, error, places) from None
    except ValueError as error:  # also for a number with thousands of digits
        words = f"{places[-1]} is not valid JSON" if places else error
        raise click.UsageError(f"{path}: {words}") from None
    except RecursionError:
        raise click.UsageError(f"{path}: its values are nested too deeply") from None
    made: dict[str, Case] = {}
    for number, entry in enumerate(file.cases):
        name = entry.name or (places[number] if places else f"case {number + 1}")
        if name in made:
            raise click.UsageError(f"{path}: two cases are called {name!r}")
        try:
            made[name] = _case(path, file, entry, name, find_template)
        except CoreError as error:
            raise click.UsageError(f"{path}: {name}: {error.message}") from None
    return list(made.values())


_WORDS: Final = {
    "extra_forbidden": "is not a field",
    "missing": "is missing",
    "string_type": "must be a text",
    "list_type": "must be a list",
    "dict_type": "must be a table of names and values",
    "model_type": "must be a table of names and values",
}


def _invalid(path: Path, error: ValidationError, places: Sequence[str]) -> click.UsageError:
    lines = []
    for each in error.errors(include_url=False, include_input=False, include_context=False)[:_MOST_SHOWN]:
        place, names = "", each["loc"]
        if names[:1] == ("cases",) and len(names) > 1:
            place, names = f"case {int(names[1]) + 1}", names[2:]
            place = places[int(each["loc"][1])] if places else place
        # pydantic adds the branches of unions, and "[key]", which are not in the file.
        name = ".".join(
            str(name) for name in names if not str(name).startswith(("[key]", "function-", "list["))
        )
        words = each["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        lines.append(f"{path}: {' '.join(filter(None, (place, name)))}: {_WORDS.get(each['type'], words)}")
    return click.UsageError("\n".join(dict.fromkeys(lines)))


def _case(
    path: Path, file: CaseFile, entry: CaseEntry, name: str, find: Callable[[str], templates.Template]
) -> Case:
    """Fill in the file's defaults and the template, and insert the variables."""

    def given(name: str) -> Any:
        return getattr(entry if name in entry.model_fields_set else file, name)

    named = given("template")
    template = _template(path, named, find) if named else None
    prompt, system = given("prompt") or "", given("system") or ""
    parts = [templates.inline(prompt, "the prompt"), templates.inline(system, "the system message")]
    known = {each for part in (template or parts[0], parts[1]) for each in templates.variables(part)}
    for each in entry.variables:
        if each not in known:
            raise InvalidInputError(f"the prompt has no variable {each!r}")
    variables = file.variables | entry.variables
    values = {each: _as_text(value) for each, value in variables.items() if each in known}
    try:
        system = templates.insert(parts[1], values).prompt
        if template is not None:
            own = {each: value for each, value in values.items() if each in templates.variables(template)}
            filled = templates.fill(template, stdin=given("stdin"), typed=prompt, values=own)
            prompt, system = filled.prompt, system or filled.system
        else:
            prompt = templates.insert(parts[0], values, before=given("stdin")).prompt
    except VariableError as error:
        if not error.missing:
            raise
        raise InvalidInputError(f"no value for {' and '.join(error.missing)} (see vars)") from None
    if not prompt.strip():
        raise InvalidInputError("it has no prompt")
    schema = given("json_schema")
    folder = path.parent
    if schema is None and template is not None and template.schema is not None:
        schema, folder = template.schema, template.path.parent
    fields = {
        each: value
        for each in ("temperature", "max_tokens", "reasoning_effort")
        if (value := given(each)) is not None or (template and (value := getattr(template, each)) is not None)
    }
    said = [Message(role="system", content=system)] if system else []
    request = Request(
        model="",
        messages=(*said, Message(role="user", content=prompt)),
        max_characters=limits.ANSWER,
        schema=None if schema is None else schema_from(schema, folder=folder),
        params={**(template.params if template else {}), **file.params, **entry.params},
        **fields,
    )
    return Case(
        file=str(path),
        name=name,
        request=request,
        template=template.name if template is not None else None,
        extract=template is not None and template.extract,
        expected=_expectations(file.expect, entry.expect, path.parent),
        models=tuple(file.models) or ((template.model,) if template and template.model else ()),
        judge=file.judge,
    )


def _template(path: Path, name: str, find: Callable[[str], templates.Template]) -> templates.Template:
    """A template in the folder of the cases, or a saved one."""
    if "/" not in name and "\\" not in name:
        own = templates.names(path.parent)
        return templates.load(path.parent, name) if name in own else find(name)
    return templates.load(path.parent, str(path.parent / name))


def _expectations(common: Expect, own: Expect, folder: Path) -> Expectations:
    """Those of the file and of the case together; the case overrides single values."""
    both: dict[str, Any] = {}
    for name in Expect.model_fields:
        match getattr(common, name), getattr(own, name):
            case list() as first, second:
                both[name] = (*first, *second)
            case first, None:
                both[name] = first
            case first, second:
                both[name] = {**first, **second} if name == "paths" else second
    if (schema := both.pop("json_schema")) is not None:
        schema = schema_from(schema, folder=folder)
    return Expectations(**both, schema=schema)


def _as_text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value)
