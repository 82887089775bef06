"""What the protocol's SDK costs whom: nothing where no tools are asked for, and its server framework nobody."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from running import Telex, python

SERVER = Path(__file__).parents[1] / "mcp_server.py"
SDK = {"anyio", "httpx2", "mcp", "mcp_types", "opentelemetry", "pydantic", "starlette", "uvicorn"}

RUN = """
import json, sys
from telex.main import main
code = main({arguments!r})
print()
print(json.dumps([code, sorted({{name.partition(".")[0] for name in sys.modules}}), sorted(sys.modules)]))
"""


def imported(telex: Telex, *arguments: str) -> tuple[int, set[str], set[str]]:
    """The exit code, and the packages and modules that are there at the end."""
    python(
        RUN.format(arguments=arguments), telex.env
    )  # settings are checked the first time, which takes pydantic
    code, packages, modules = json.loads(python(RUN.format(arguments=arguments), telex.env).splitlines()[-1])
    return code, set(packages), set(modules)


@pytest.fixture
def lab(telex: Telex) -> Telex:
    telex.configure(f"[mcp.lab]\ncommand = {json.dumps([sys.executable, '-I', '-S', str(SERVER)])}\n")
    return telex


@pytest.mark.parametrize(
    "arguments", [["mcp", "list"], ["mcp", "--help"], ["mcp", "add", "--help"]], ids=" ".join
)
def test_commands_that_start_no_server_do_not_import_the_sdk(lab: Telex, arguments: list[str]) -> None:
    code, packages, modules = imported(lab, *arguments)
    assert code == 0
    assert packages & SDK == set()
    assert "asyncio" not in modules


def test_the_package_does_not_import_the_sdk() -> None:
    found = python("import sys, provider_core.tools.mcp; print(*sys.modules)").split()
    assert {name.partition(".")[0] for name in found} & SDK == set()


def test_starting_a_server_imports_only_the_client_of_the_sdk(lab: Telex) -> None:
    code, packages, modules = imported(lab, "mcp", "tools", "lab")
    assert code == 0
    assert "mcp.client.session" in modules
    assert packages & {"starlette", "uvicorn", "httpx2", "httpx"} == set()
    assert not any(name.startswith("mcp.server") for name in modules)


def test_a_library_that_uses_the_sdk_itself_finds_all_of_it() -> None:
    """Whichever of the two is imported first."""
    ours = "from provider_core.tools.mcp import _content"
    theirs = "import mcp, mcp.client.session, mcp.client.stdio; from mcp import Client, ClientSession"
    same = (
        "print(mcp.ClientSession is _content.ClientSession is mcp.client.session.ClientSession, "
        "mcp.client.stdio.stdio_client is mcp.stdio_client, 'Client' in dir(mcp), hasattr(mcp, 'nothing'))"
    )
    for order in ((ours, theirs), (theirs, ours)):
        assert python("\n".join([*order, same])).split() == ["True", "True", "True", "False"]


def test_without_the_extra_the_error_says_what_to_install(lab: Telex) -> None:
    lab.env["TELEX_TEST_WITHOUT"] = "mcp"
    for command in ("test", "tools"):
        ran = lab("mcp", command, "lab")
        assert ran.code == 3
        said, advice = ran.err.splitlines()
        assert said == "telex: support for MCP servers is not installed (package mcp)"
        assert advice.startswith("  Install it: ")
        assert advice.endswith("'telex[mcp]'")
    assert lab("mcp", "list").code == 0
