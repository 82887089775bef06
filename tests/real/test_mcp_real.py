"""Real tool servers, in Python and in Node, over stdin and over HTTP: what others have written, as it is installed.

The Python ones come with the ``dev`` extra. Those in Node are put into the virtual environment by ``.ci/run``.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from provider_core.settings.mcp import McpServer
from provider_core.tools.mcp import McpServers, McpToolbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from provider_core.events import ToolResult

NODE = Path(sys.prefix) / "node_modules" / ".bin"


def node(name: str) -> str:
    """The installed command; without it a test is skipped, but for where all must run."""
    path = NODE / name
    if not path.exists() or shutil.which("node") is None:
        words = f"{name} is not installed: see the line with npm in .ci/run"
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
    return str(path)


def run(box: McpToolbox, tool: str, /, **arguments: Any) -> ToolResult:
    return box.run(tool, arguments, stop=threading.Event())


def names(box: McpToolbox) -> set[str]:
    return {offered.tool.name for offered in box.tools}


def free_port() -> int:
    """One that no other test gets from the system meanwhile: those begin at 32768."""
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Served:
    """A server over HTTP, in a process of its own on a loopback port."""

    def __init__(self, command: Sequence[str], **env: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/mcp"
        self._process = subprocess.Popen(
            [*command],
            env={"PATH": os.environ["PATH"], "PORT": str(self.port), **env},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        self.close()
        pytest.fail(f"{command[0]} does not listen")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


# --- in Python ---------------------------------------------------------------------------------------------


HTTP_IN_PYTHON = """
import os
from mcp.server.mcpserver import MCPServer

server = MCPServer("adder")

@server.tool()
def add(a: int, b: int) -> int:
    "The sum."
    return a + b

server.run("streamable-http", port=int(os.environ["PORT"]), json_response=bool(os.environ.get("JSON")))
"""


@pytest.mark.parametrize("json_response", ["", "1"], ids=["events", "json"])
def test_the_sdks_own_server_works_over_http(json_response: str) -> None:
    served = Served([sys.executable, "-c", HTTP_IN_PYTHON], JSON=json_response)
    try:
        with McpServers([McpServer(name="adder", url=served.url)]) as started:
            (box,) = started.toolboxes
            added = run(box, "add", a=2, b=3)
            assert (added.text, added.structured) == ("5", {"result": 5})
            assert run(box, "add", a="two").is_error
    finally:
        served.close()


# --- in Node -----------------------------------------------------------------------------------------------


def test_the_file_server_reads_and_writes_in_its_folder_only(tmp_path: Path) -> None:
    home = tmp_path / "may"
    home.mkdir()
    (home / "ü.txt").write_text("grün\n")
    server = McpServer(name="files", command=(node("mcp-server-filesystem"), str(home)))
    with McpServers([server]) as started:
        (box,) = started.toolboxes
        assert {"read_text_file", "write_file", "list_directory"} <= names(box)
        assert run(box, "read_text_file", path=str(home / "ü.txt")).text == "grün\n"
        assert not run(box, "write_file", path=str(home / "new.txt"), content="1\n").is_error
        assert (home / "new.txt").read_text() == "1\n"
        outside = run(box, "read_text_file", path="/etc/passwd")
        assert outside.is_error
        assert "root:" not in outside.text


@pytest.fixture(params=["stdio", "http"])
def everything(request: pytest.FixtureRequest) -> Iterator[McpServer]:
    """The protocol's own test server, which does a bit of everything."""
    command = node("mcp-server-everything")
    if request.param == "stdio":
        yield McpServer(name="everything", command=(command,), call_timeout=20.0)
        return
    served = Served([command, "streamableHttp"])
    yield McpServer(name="everything", url=served.url, call_timeout=20.0)
    served.close()


def test_the_everything_server_works(everything: McpServer) -> None:
    with McpServers([everything]) as started:
        assert started.failures == ()
        (box,) = started.toolboxes
        assert box.about.startswith("mcp-servers/everything ")
        assert run(box, "echo", message="¡hola!").text == "Echo: ¡hola!"
        assert "12" in run(box, "get-sum", a=5, b=7).text
        image = run(box, "get-tiny-image")
        assert image.images[0].url.startswith("data:image/png;base64,")
        links = run(box, "get-resource-links", count=2)
        assert links.text.count("demo://resource/") == 2
        inside = run(box, "get-resource-reference", resourceType="Text", resourceId=1)
        assert "This is a plaintext resource" in inside.text
        structured = run(box, "get-structured-content", location="Chicago")
        assert set(structured.structured) == {"temperature", "conditions", "humidity"}
        assert json.loads(structured.text) == structured.structured
        wrong = run(box, "echo")
        assert wrong.is_error
        assert "message" in wrong.text
        slow = run(box, "trigger-long-running-operation", duration=1, steps=5)
        assert "completed" in slow.text
