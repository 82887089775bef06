r"""Saved prompts: TOML files, or Markdown with a TOML header, with variables, a model and parameters.

``{{ name }}`` and ``{{ name | default }}`` are variables; ``\{{`` is two literal braces. A value is inserted as it is:
variables in it are not replaced, and nothing is run.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from provider_core import files, limits
from provider_core.errors import SettingsError, TemplateError, VariableError
from provider_core.redaction import close_matches
from provider_core.settings import file as settings_file
from provider_core.structs import Struct, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from provider_core.types import Json

SHIPPED: Final = Path(__file__).with_name("shipped_templates")
"""The folder of the templates that come with telex. A user's template of the same name replaces one."""

_SUFFIXES: Final = (".toml", ".md")
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_HEADER: Final = "+++"


class Template(Struct):
    """A saved prompt. ``schema`` is for ``structured.schema_from``; a relative path starts at the template's folder."""

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
    web: bool = False
    """Whether the provider searches the web."""
    extract: bool = False
    """Whether to print only the first fenced block of the answer."""
    params: Mapping[str, Json] = field(default_factory=dict)
    """Other fields of the request."""


# --- finding -------------------------------------------------------------------------------------------------


def names(folder: Path) -> dict[str, Path]:
    """The names of the folder's own templates, sorted, with their files."""
    try:
        found = [
            path
            for path in folder.iterdir()
            if path.suffix in _SUFFIXES and _NAME.fullmatch(path.stem) and path.is_file()
        ]
    except OSError:
        return {}
    return {path.stem: path for path in sorted(found)}


def all_names(folder: Path) -> dict[str, Path]:
    """The names that ``find`` finds: the folder's, sorted, and then those of ``SHIPPED`` that they do not replace."""
    own = names(folder)
    return own | {name: path for name, path in names(SHIPPED).items() if name not in own}


def find(folder: Path, name: str) -> Path:
    """The file of the template ``name``, which may have its suffix; a name with a slash is a path.

    A template that is not in the folder is one of ``SHIPPED``.
    Raises ``TemplateError``, with similar names, if there is none, and if there are two.
    """
    if "/" in name or "\\" in name:
        path = files.expand_user(name)
        if not os.path.isfile(path):  # noqa: PTH113 - before Python 3.14, Path raises for a name that is too long
            raise TemplateError(f"unknown template: {name}", code="unknown_template")
        return path
    bare = name.removesuffix(".toml").removesuffix(".md")
    if not _NAME.fullmatch(bare):
        raise TemplateError(
            f"{name!r} is not a valid name for a template: letters, digits, '.', '_' and '-', at most 64",
            code="unknown_template",
        )
    for possible in ([folder / f"{bare}{suffix}" for suffix in _SUFFIXES], [SHIPPED / f"{bare}.toml"]):
        found = [path for path in possible if path.is_file() and name in (bare, path.name)]
        if len(found) == 2:
            words = f"two templates are called {name}: {found[0]} and {found[1].name}. Remove or rename one"
            raise TemplateError(words, path=found[0])
        if found:
            return found[0]
    candidates = close_matches(bare, all_names(folder))
    raise TemplateError(
        f"unknown template: {name}", name=bare, candidates=candidates, code="unknown_template"
    )


# --- reading -------------------------------------------------------------------------------------------------


def load(folder: Path, name: str) -> Template:
    """Find and read the template ``name``; raises ``TemplateError``."""
    path = find(folder, name)
    try:
        with path.open("rb") as file:
            raw = file.read(limits.TEMPLATE + 1)
    except OSError as error:
        raise TemplateError(f"{path} cannot be read: {error.strerror}", path=path) from None
    if len(raw) > limits.TEMPLATE:
        raise TemplateError(f"{path} is larger than 1 MB", path=path)
    with _as_template_errors():
        text = settings_file.decode(raw, path)
    return parse(text, path)


def parse(text: str, path: Path) -> Template:
    """Read a template from the text of the file ``path``, whose suffix is the format.

    Raises ``TemplateError`` with path and line.
    """
    text = text.replace("\r\n", "\n")
    header, body = _split(text, path) if path.suffix == ".md" else (text, None)
    with _as_template_errors():
        table = settings_file.parse(header, path)
    for key, value in table.items():
        if key not in _FIELDS:
            close = close_matches(key, sorted(_FIELDS), most=1)
            hint = f"; did you mean {close[0]}?" if close else f". Fields: {', '.join(sorted(_FIELDS))}"
            wrong = f"unknown field {key!r}{hint}"
        elif body is not None and key == "prompt":
            wrong = "the prompt comes after the second +++; it is not a field"
        elif not _FIELDS[key][0](value):
            wrong = f"{key} must be {_FIELDS[key][1]}"
        else:
            continue
        word = f"(?:{re.escape(key)}|\"{re.escape(key)}\"|'{re.escape(key)}')"
        found = re.search(rf"^[ \t]*\[{{0,2}}[ \t]*{word}[ \t]*[=.\]]", header, re.MULTILINE)
        raise _invalid(wrong, path, _line(header, found.start() if found else -1))
    if body is not None:
        table["prompt"] = body
    for key in ("system", "prompt"):
        for mark in _MARK.finditer(table.get(key, "")):
            if (wrong_mark := _wrong_mark(mark)) is not None:
                raise _invalid(wrong_mark, path, _line(text, text.find(mark[0])))
        if key in table:
            table[key] = table[key].strip("\n")
    if not any(value != "" for key, value in table.items() if key != "description"):
        raise _invalid("it is empty: add a prompt, a system message or a model", path, None)
    return Template(name=path.stem, path=path, **table)


def _split(text: str, path: Path) -> tuple[str, str]:
    """Header and body. An empty line replaces the first mark, so that line numbers stay right."""
    lines = text.split("\n")
    if lines[0].rstrip() != _HEADER:
        return "", text
    for number, line in enumerate(lines[1:], start=1):
        if line.rstrip() == _HEADER:
            return "\n".join(["", *lines[1:number]]), "\n".join(lines[number + 1 :])
    raise _invalid("the TOML header is not closed; add a line with +++ after it", path, 1)


@contextlib.contextmanager
def _as_template_errors() -> Iterator[None]:
    try:
        yield
    except SettingsError as error:
        raise TemplateError(error.message, path=error.path, line=error.line) from None


def _invalid(what: str, path: Path, line: int | None) -> TemplateError:
    place = f"{path}, line {line}" if line is not None else str(path)
    return TemplateError(f"{place}: {what}", path=path, line=line)


def _line(text: str, position: int) -> int | None:
    return text.count("\n", 0, position) + 1 if position >= 0 else None


def _is_filled(value: Json) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_json_table(value: Json) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return isinstance(value, dict)


# A bool is an int, so that types are compared.
_TEXT: Final = (lambda value: isinstance(value, str), "text, in quotes")
_FILLED: Final = (_is_filled, "text, in quotes, and not empty")
_SWITCH: Final = (lambda value: isinstance(value, bool), "true or false")
_FIELDS: Final[Mapping[str, tuple[Callable[[Json], bool], str]]] = {
    "description": _TEXT,
    "model": _FILLED,
    "system": _TEXT,
    "prompt": _TEXT,
    "temperature": (
        lambda value: type(value) in (int, float) and math.isfinite(value) and value >= 0,
        "a number, 0 or greater",
    ),
    "max_tokens": (lambda value: type(value) is int and value > 0, "a whole number, 1 or greater"),
    "reasoning_effort": _FILLED,
    "schema": (
        lambda value: isinstance(value, dict) or _is_filled(value),
        "a file's name, the short form of a schema, or a table",
    ),
    "web": _SWITCH,
    "extract": _SWITCH,
    "params": (_is_json_table, "a table, as in [params], without dates, inf and nan"),
}
"""The check of each field, and what its value must be."""


# --- variables -----------------------------------------------------------------------------------------------

_MARK: Final = re.compile(r"\\\{\{|\{\{((?:(?!\}\}).)*)\}\}|\{\{")
_VARIABLE: Final = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_-]*)\s*(?:\|(.*))?")
_OWN: Final = {"stdin": "piped input", "prompt": "the words after the options"}
"""Variables that --var cannot set."""


class Filled(Struct):
    """The messages that a template makes; ``prompt`` includes piped input and the prompt from the command line."""

    system: str
    prompt: str


def variables(template: Template) -> dict[str, str | None]:
    """The template's variables in the order of their first use, each with its default."""
    found: dict[str, str | None] = {}
    for mark in (*_MARK.finditer(template.system), *_MARK.finditer(template.prompt)):
        if mark[1] is not None and (inside := _VARIABLE.fullmatch(mark[1])) and found.get(inside[1]) is None:
            found[inside[1]] = inside[2].strip() if inside[2] is not None else None
    return found


def fill(
    template: Template, *, stdin: str | None = None, typed: str = "", values: Mapping[str, str] | None = None
) -> Filled:
    """Insert piped input, the prompt from the command line and the values of variables.

    If the template does not use ``{{ stdin }}``, piped input is placed before its prompt; if it does not use
    ``{{ prompt }}``, the typed prompt is placed after it, separated by blank lines. Raises ``VariableError``.
    """
    wanted = variables(template)
    given = dict(values or {})
    for name in given:
        if name in _OWN:
            raise VariableError(f"--var {name}: this variable is {_OWN[name]}, so it cannot be set")
        if name not in wanted:
            own = ", ".join(each for each in wanted if each not in _OWN)
            hint = f"its variables are {own}" if own else "it has no variables to set"
            raise VariableError(f"the template {template.name} has no variable {name!r}: {hint}")
    piped = stdin if stdin is not None and stdin.strip() else None
    if piped is not None and "stdin" in wanted:
        given["stdin"] = piped
    if typed.strip() and "prompt" in wanted:
        given["prompt"] = typed
    return insert(
        template,
        given,
        before=None if "stdin" in wanted else piped,
        after=None if "prompt" in wanted else typed,
    )


def inline(text: str, name: str) -> Template:
    """A template whose prompt is ``text``; ``name`` says what it is in errors. Raises ``VariableError``."""
    for mark in _MARK.finditer(text):
        if (wrong := _wrong_mark(mark)) is not None:
            raise VariableError(f"{name}: {wrong}")
    return Template(name=name, path=Path(), prompt=text)


def insert(
    template: Template, values: Mapping[str, str], *, before: str | None = None, after: str | None = None
) -> Filled:
    """Insert ``values``, of which those that the template does not use are ignored.

    A variable without a value has its default. ``before`` and ``after`` are joined to the prompt by blank lines.
    Raises ``VariableError`` for variables that have neither.
    """
    wanted = variables(template)
    missing = [name for name, default in wanted.items() if default is None and name not in values]
    if missing:
        raise VariableError(f"the template {template.name} needs {_listed(missing)}", missing=tuple(missing))

    def value(mark: re.Match[str]) -> str:
        inside = _VARIABLE.fullmatch(mark[1]) if mark[1] is not None else None
        if inside is None:
            return "{{"
        if inside[1] in values:
            return values[inside[1]]
        return inside[2].strip() if inside[2] is not None else wanted.get(inside[1]) or ""

    parts = [before, _MARK.sub(value, template.prompt), after]
    return Filled(
        system=_MARK.sub(value, template.system),
        prompt="\n\n".join(part for part in parts if part is not None and part.strip()),
    )


def _wrong_mark(mark: re.Match[str]) -> str | None:
    if mark[0] == "\\{{" or (mark[1] is not None and _VARIABLE.fullmatch(mark[1])):
        return None
    if mark[1] is None:
        return r"missing }} after {{ on this line; for literal braces, write \{{"
    shown = mark[0] if len(mark[0]) <= 60 else f"{mark[0][:59]}…"
    return rf"{shown} is not a variable; for literal braces, write \{{{{"


def _listed(missing: list[str]) -> str:
    words = [
        {"stdin": "piped text", "prompt": "a prompt"}.get(name, f"a value for {name}") for name in missing
    ]
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
