"""``telex help environment`` names every variable that the code reads, and none that it does not."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest

from provider_core import presets
from provider_core.settings.schema import File
from telex.help.pages import Definitions, topic

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")

OF_LIBRARIES = {"COLUMNS", "DBUS_SESSION_BUS_ADDRESS", "LINES", "TMPDIR"}
"""Named, and read by Python or a library in telex's place."""

NOT_FOR_USERS = {"GGML_NO_BACKTRACE", "LV", "PYTHONSAFEPATH", "TEMP", "TMP"}
"""Set by telex for programs that it starts."""

NOT_VARIABLES = {"NAME", "RESERVED", "TELEX_PROBLEMS"}
"""Other words in capitals, in lists of the files that look up variables."""

PASSED_ON = ROOT / "provider_core" / "tools" / "mcp" / "_environment.py"
"""Lists the variables that tool servers get, which telex itself does not read."""


def said() -> dict[str, str]:
    """Variable -> what the page says of it."""
    return {
        name: words
        for section in topic("environment")
        for block in section.blocks
        if isinstance(block, Definitions)
        for names, words in block.rows
        for name in names.split(", ")
    }


def is_environment(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.strip("_") == "environ"


def lookups(tree: ast.AST) -> Iterator[ast.expr]:
    """What is looked up in an environment: by key, by a method, or by a function that is handed it."""
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=where, slice=key) if is_environment(where):
                yield key
            case ast.Compare(left=key, ops=[ast.In() | ast.NotIn()], comparators=[where]) if is_environment(
                where
            ):
                yield key
            case ast.Call(func=ast.Attribute(value=where), args=[key, *_]) if is_environment(where):
                yield key
            case ast.Call(func=ast.Attribute(attr="getenv" | "_get"), args=[key, *_]):
                yield key
            case ast.Call(args=[where, *arguments]) if is_environment(where):
                yield from arguments


def read_in(tree: ast.AST) -> Iterator[str]:
    """The names that are looked up; where a name is not written there, those in the lists of the file."""
    keys = list(lookups(tree))
    yield from (key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str))
    if any(isinstance(key, ast.Name) for key in keys):
        headers = {
            element
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and "HEADERS" in ast.unparse(node.targets[0])
            for element in ast.walk(node)
        }
        for node in ast.walk(tree):
            listed = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else ()
            for each in listed:
                if (
                    each not in headers
                    and isinstance(each, ast.Constant)
                    and VARIABLE.fullmatch(str(each.value))
                ):
                    yield str(each.value)


def read_by_the_code() -> set[str]:
    found: set[str] = set()
    for folder in ("cli/telex", "provider_core"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path != PASSED_ON:
                found |= {name.upper() for name in read_in(ast.parse(path.read_text("utf-8")))}
    return {name for name in found if VARIABLE.fullmatch(name)}


def test_every_variable_that_the_code_reads_is_named() -> None:
    read = read_by_the_code()
    assert {"TELEX_HOME", "NO_COLOR", "NO_PROXY", "SSL_CERT_FILE", "XDG_CACHE_HOME", "ZDOTDIR"} <= read
    assert read - NOT_FOR_USERS - NOT_VARIABLES <= set(said())


def test_every_variable_that_is_named_is_read() -> None:
    settings = {f"TELEX_{name.upper()}" for name in File.model_fields}
    # The proxy's variables are looked up as "{scheme}_proxy".
    spelt_otherwise = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}
    assert set(said()) <= read_by_the_code() | settings | spelt_otherwise | OF_LIBRARIES


@pytest.mark.parametrize("name", File.model_fields)
def test_a_settings_variable_names_what_it_may_be(name: str) -> None:
    words = said()[f"TELEX_{name.upper()}"]
    assert words
    for choice in get_args(File.model_fields[name].annotation):
        if isinstance(choice, str):
            assert choice in words


def test_variables_of_keys_are_left_to_their_own_topic() -> None:
    keys = {name for preset in presets.all_presets() for name in preset.key_env}
    assert not keys & set(said())


@pytest.mark.parametrize(
    "code",
    [
        "environ['SOME_NAME']",
        "os.environ.get('SOME_NAME', '')",
        "self._environ.get('some_name')",
        "'SOME_NAME' in app.environ",
        "os.getenv('SOME_NAME')",
        "_folder(environ, 'SOME_NAME', home)",
        "for name in ('SOME_NAME',): environ.get(name)",
    ],
)
def test_a_variable_is_found_however_it_is_read(code: str) -> None:
    assert [name.upper() for name in read_in(ast.parse(code))] == ["SOME_NAME"]
