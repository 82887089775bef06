"""What each command imports: start-up is what people feel, and imports are what it is made of."""

from __future__ import annotations

import json

import pytest
from running import python

HEAVY = {
    "httpx",
    "httpcore",
    "keyring",
    "pydantic",
    "pydantic_settings",
    "rich.markdown",
    "xllamacpp",
    "tomlkit",
    "ssl",
}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["chat", "--help"], ["providers", "--help"], ["--version"]]
)
def test_help_imports_nothing_that_only_a_request_needs(arguments: list[str]) -> None:
    loaded = python(
        "import json, sys, io, contextlib\n"
        "from telex.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        f"    assert main({arguments!r}) == 0\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    assert not HEAVY & set(json.loads(loaded))
