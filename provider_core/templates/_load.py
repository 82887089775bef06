"""Templates from their files: TOML, or Markdown with TOML at its head; what they hold is checked, field by field."""

from __future__ import annotations

import math
import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from provider_core import files, limits
from provider_core.errors import TemplateError
from provider_core.redaction import close_matches
from provider_core.structs import Struct, field
from provider_core.templates._places import wrong_place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from provider_core.types import Json

__all__ = ["SUFFIXES", "Template", "find", "load", "names", "parse"]

SUFFIXES: Final = (".toml", ".md")
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_FRONT: Final = "+++"


class Template(Struct):
    """A prompt that is kept. What is None or empty was not said.

    ``schema`` is what ``structured.schema_from`` takes, a relative path of it starting from ``path``'s folder.
    """

    name: str
    path: Path
    description: str = ""
    model: str | None = None
    system: str = ""
    prompt: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    reasoning_effort: str | None = None
    schema: str | Mapping[str, Json] | None = None
    extract: bool = False
    """Whether only the first fenced block of the answer is wanted."""
    params: Mapping[str, Json] = field(default_factory=dict)
    """Further fields of the request's body."""


def names(folder: Path) -> dict[str, Path]:
    """The templates of the folder by name, in order; none where there is no folder. Reads no file."""
    try:
        found = [
            path
            for path in folder.iterdir()
            if path.suffix in SUFFIXES and _NAME.fullmatch(path.stem) and path.is_file()
        ]
    except OSError:
        return {}
    return {path.stem: path for path in sorted(found)}


def find(folder: Path, name: str) -> Path:
    """The file of the template ``name``; a name with a slash in it, or a file's ending, is a path of its own.

    Raises ``TemplateError``: with similar names if there is none, or if there are two files.
    """
    if "/" in name or "\\" in name:
        path = files.expanded(name)
        if not path.is_file():
            raise TemplateError(f"there is no template {name}", code="unknown_template")
        return path
    bare = name.removesuffix(".toml").removesuffix(".md")
    if not _NAME.fullmatch(bare):
        raise TemplateError(
            f"{name!r} is not a valid name for a template: letters, digits, '.', '_' and '-', at most 64",
            code="unknown_template",
        )
    possible = [folder / f"{bare}{suffix}" for suffix in SUFFIXES]
    there = [path for path in possible if path.is_file() and (bare == name or path.name == name)]
    if len(there) == 1:
        return there[0]
    if there:
        raise TemplateError(
            f"two templates are called {name}: {there[0]} and {there[1].name} in the same folder. Remove one",
            path=there[0],
        )
    candidates = close_matches(bare, names(folder))
    raise TemplateError(
        f"there is no template called {name}", name=bare, candidates=candidates, code="unknown_template"
    )


def load(folder: Path, name: str) -> Template:
    """The template ``name``, checked; see ``find`` and ``parse`` for what they raise."""
    path = find(folder, name)
    try:
        with path.open("rb") as file:
            raw = file.read(limits.TEMPLATE + 1)
    except OSError as error:
        raise TemplateError(f"{path} cannot be read: {error.strerror}", path=path) from None
    if len(raw) > limits.TEMPLATE:
        raise TemplateError(f"{path} is larger than 1 MB", path=path)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise TemplateError(f"{path}, line {line}: it is not UTF-8", path=path, line=line) from None
    return parse(text, path)


def parse(text: str, path: Path) -> Template:
    """The template in ``text``, which is the file ``path``'s; its suffix says how to read it.

    Raises ``TemplateError`` with path and line.
    """
    text = text.replace("\r\n", "\n")
    head, body = _split(text, path) if path.suffix == ".md" else (text, None)
    table = _toml(head, path)
    known = {each.name for each in fields(Template)} - {"name", "path"}
    for key, value in table.items():
        if key not in known:
            raise _wrong(
                f"there is no field {key!r} in a template{_near(key, known)}", path, _line_of(key, head)
            )
        if body is not None and key == "prompt":
            raise _wrong(
                "the prompt comes after the second +++; it is not a field", path, _line_of(key, head)
            )
        if (words := _CHECKS[key](value)) is not None:
            raise _wrong(f"{key} {words}", path, _line_of(key, head))
    if body is not None:
        table["prompt"] = body
    for key in ("system", "prompt"):
        found = wrong_place(table.get(key, ""))
        if found is not None:
            raise _wrong(found[1], path, _line_of_place(found[0], text))
    for key in ("system", "prompt"):
        if key in table:
            table[key] = table[key].strip("\n")
    template = Template(name=path.stem, path=path, **table)
    if not any(value != "" for key, value in table.items() if key != "description"):
        raise _wrong("it says nothing: give it a prompt, a system prompt or a model", path, None)
    return template


def _split(text: str, path: Path) -> tuple[str, str]:
    """Head and body. The head begins with an empty line for its mark, so that its lines keep their numbers."""
    lines = text.split("\n")
    if lines[0].rstrip() != _FRONT:
        return "", text
    for number, line in enumerate(lines[1:], start=1):
        if line.rstrip() == _FRONT:
            return "\n".join(["", *lines[1:number]]), "\n".join(lines[number + 1 :])
    raise _wrong("the head that begins with +++ is not ended by another +++", path, 1)


def _toml(text: str, path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        words = str(error)
        found = re.search(r"\s*\(at line (\d+), column \d+\)", words)
        line = int(found[1]) if found else text.rstrip().count("\n") + 1
        reason = words.replace(found[0], "") if found else words.replace(" (at end of document)", "")
        raise _wrong(reason[:1].lower() + reason[1:], path, line) from None
    except RecursionError:
        raise _wrong("its values are nested too deeply", path, None) from None


def _wrong(words: str, path: Path, line: int | None) -> TemplateError:
    place = f"{path}, line {line}" if line is not None else str(path)
    return TemplateError(f"{place}: {words}", path=path, line=line)


def _near(key: str, known: set[str]) -> str:
    found = close_matches(key, sorted(known), most=1)
    return f": did you mean {found[0]}?" if found else f". There are {', '.join(sorted(known))}"


def _line_of(key: str, text: str) -> int | None:
    """The line of a field at the top of the file, or of its table."""
    word = re.escape(key)
    found = re.search(
        rf"^[ \t]*\[{{0,2}}[ \t]*(?:{word}|\"{word}\"|'{word}')[ \t]*[=.\]]", text, re.MULTILINE
    )
    return text.count("\n", 0, found.start()) + 1 if found else None


def _line_of_place(written: str, text: str) -> int | None:
    """Where a place is written so; in a quoted string it may be written otherwise."""
    at = text.find(written)
    return text.count("\n", 0, at) + 1 if at >= 0 else None


def _is_text(value: Json) -> str | None:
    return None if isinstance(value, str) else "has to be text, in quotes"


def _is_name(value: Json) -> str | None:
    return None if isinstance(value, str) and value.strip() else "has to be text, in quotes, and not empty"


def _is_flag(value: Json) -> str | None:
    return None if isinstance(value, bool) else "has to be true or false"


def _is_temperature(value: Json) -> str | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return None if number and math.isfinite(value) and value >= 0 else "has to be a number from 0 on"


def _is_count(value: Json) -> str | None:
    number = isinstance(value, int) and not isinstance(value, bool)
    return None if number and value > 0 else "has to be a whole number from 1 on"


def _is_schema(value: Json) -> str | None:
    fits = isinstance(value, dict) or (isinstance(value, str) and value.strip())
    return None if fits else "has to be a file's name, the short form of a schema, or a table"


def _is_table(value: Json) -> str | None:
    if not isinstance(value, dict):
        return "has to be a table, as in [params]"
    import json

    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return "holds what JSON cannot: a date, inf or nan"
    return None


_CHECKS: Final[Mapping[str, Callable[[Json], str | None]]] = {
    "description": _is_text,
    "model": _is_name,
    "system": _is_text,
    "prompt": _is_text,
    "temperature": _is_temperature,
    "max_tokens": _is_count,
    "reasoning_effort": _is_name,
    "schema": _is_schema,
    "extract": _is_flag,
    "params": _is_table,
}
