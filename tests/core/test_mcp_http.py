"""MCP over HTTP: whom secrets go to, what failures are called, and what a bad server costs; on real sockets."""

from __future__ import annotations

import gzip
import json
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from running import within
from scripted import Answer, Asked, Cut, Pause, Scripted
from scripted_proxy import HttpProxy, SocksProxy

from provider_core import __version__
from provider_core.errors import ToolError, ToolServerError
from provider_core.settings.mcp import McpServer
from provider_core.tools.mcp import FailedServer, McpServers, McpToolbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provider_core.events import ToolResult

SECRET = "canary-0123456789abcdef"
ENVIRON = {"LAB_TOKEN": SECRET}
SESSION = "session-1"

TOOL = {"name": "look", "inputSchema": {"type": "object"}}


def in_json(value: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(
        [json.dumps(value).encode()], status=status, headers={"content-type": "application/json", **headers}
    )


def result(asked: Asked, value: Any, **headers: str) -> Answer:
    return in_json({"jsonrpc": "2.0", "id": asked.body["id"], "result": value}, **headers)


def text(asked: Asked, words: str) -> Answer:
    return result(asked, {"content": [{"type": "text", "text": words}]})


def serving(call: Answer | Callable[[Asked], Answer] | None = None) -> Callable[[Asked], Answer]:
    """A server with one tool; ``call`` is how it answers to that."""

    def serve(asked: Asked) -> Answer:
        if asked.method == "GET":
            return Answer(status=405)
        if asked.method == "DELETE":
            return Answer(status=200)
        match asked.body["method"]:
            case "initialize":
                about = {
                    "protocolVersion": "2025-06-18",
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "web", "version": "2"},
                }
                return result(asked, about, **{"mcp-session-id": SESSION})
            case "tools/list":
                return result(asked, {"tools": [TOOL]})
            case "tools/call" if call is not None:
                return call(asked) if callable(call) else call
            case "tools/call":
                return text(asked, "seen")
        return Answer(status=202)

    return serve


def web(server: Scripted, **fields: Any) -> McpServer:
    fields = {"headers": {"Authorization": "Bearer env:LAB_TOKEN"}, "start_timeout": 20.0, **fields}
    return McpServer(name="web", url=server.url.replace("/v1", "/mcp"), **fields)


def run(box: McpToolbox) -> ToolResult:
    return box.run("look", {}, stop=threading.Event())


def failed(server: McpServer, environ: dict[str, str] | None = None) -> FailedServer:
    with McpServers([server], environ=ENVIRON if environ is None else environ) as started:
        (failure,) = started.failures
    assert SECRET not in str(failure)
    return failure


def refused(server: Scripted, call: Answer | Callable[[Asked], Answer], **fields: Any) -> ToolError:
    """The error of a call, after which the server goes on as if nothing had happened."""
    broken = [call]
    serve = serving(lambda asked: _now(broken.pop(), asked) if broken else text(asked, "seen"))
    server.will(serve)
    with McpServers([web(server, **fields)], environ=ENVIRON) as started:
        (box,) = started.toolboxes
        with pytest.raises(ToolError) as caught:
            run(box)
        assert run(box).text == "seen"
    assert SECRET not in caught.value.message
    return caught.value


def _now(answer: Answer | Callable[[Asked], Answer], asked: Asked) -> Answer:
    return answer(asked) if callable(answer) else answer


def test_a_server_over_http_is_a_toolbox(server: Scripted) -> None:
    server.will(serving())
    with McpServers([web(server)], environ=ENVIRON) as started:
        (box,) = started.toolboxes
        assert (box.name, box.about) == ("web", "web 2")
        assert list(box.steps) == ["handshake", "tools"]
        assert run(box).text == "seen"
    posts = [asked for asked in server.asked if asked.method == "POST"]
    assert [asked.body["method"] for asked in posts] == [
        "initialize", "notifications/initialized", "tools/list", "tools/call",
    ]  # fmt: skip
    assert {asked.path for asked in posts} == {"/mcp"}
    assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {SECRET}"}
    assert {asked.headers["accept-encoding"] for asked in server.asked} == {"identity"}
    assert {asked.headers["user-agent"] for asked in server.asked} == {f"telex/{__version__}"}
    assert server.asked[-1].method == "DELETE", "the session is ended"
    assert server.asked[-1].headers["mcp-session-id"] == SESSION


@pytest.mark.parametrize("status", [200, 400, 500])
def test_an_error_of_the_protocol_is_the_answer_to_a_call(server: Scripted, status: int) -> None:
    error = {"code": -32602, "message": "no such place"}
    server.will(
        serving(lambda asked: in_json({"jsonrpc": "2.0", "id": asked.body["id"], "error": error}, status))
    )
    with McpServers([web(server)], environ=ENVIRON) as started:
        answer = run(started.toolboxes[0])
    assert (answer.text, answer.is_error) == ("no such place", True)


def test_a_server_announces_other_tools(server: Scripted) -> None:
    announced, ended, lists = (
        threading.Event(),
        threading.Event(),
        [[TOOL], [TOOL, {**TOOL, "name": "touch"}]],
    )
    serve = serving()

    def changing(asked: Asked) -> Answer:
        if asked.method == "GET":
            message = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
            return Answer([Pause(announced), f"data: {json.dumps(message)}\n\n".encode(), Pause(ended)])
        lists_tools = asked.method == "POST" and asked.body["method"] == "tools/list"
        return result(asked, {"tools": lists.pop(0)}) if lists_tools else serve(asked)

    server.will(changing)
    with McpServers([web(server)], environ=ENVIRON) as started:
        (box,) = started.toolboxes
        assert [each.tool.name for each in box.tools] == ["look"]
        announced.set()
        assert within(20, lambda: [each.tool.name for each in box.tools] == ["look", "touch"])
        ended.set()


@pytest.mark.parametrize(
    ("end", "split"), [("\n", False), ("\r\n", False), ("\r", False), ("\n", True)], ids=repr
)
def test_events_are_read_with_any_line_end_and_over_several_lines(
    server: Scripted, end: str, split: bool
) -> None:
    def call(asked: Asked) -> Answer:
        content = {"content": [{"type": "text", "text": "late" if split else "half \ud83d"}]}
        message = json.dumps({"jsonrpc": "2.0", "id": asked.body["id"], "result": content})
        message = message.replace(", ", f",{end}data:") if split else message
        note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}
        frames = [f" {json.dumps(note)}", message]
        event = "".join(f"event: message{end}data:{frame}{end}{end}" for frame in frames).encode()
        return Answer([event[:40], Pause(0.05), event[40:]], headers={"content-type": "text/event-stream"})

    server.will(serving(call))
    with McpServers([web(server)], environ=ENVIRON) as started:
        assert run(started.toolboxes[0]).text == ("late" if split else "half ?")


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({}, 401, "the MCP server web requires credentials (HTTP 401)"),
        ({"Authorization": "Bearer env:LAB_TOKEN"}, 401, "refused the credentials (HTTP 401)"),
        ({"X-Key": "env:LAB_TOKEN"}, 403, "does not allow this (HTTP 403): not you, [redacted]"),
    ],
)
def test_refused_credentials_are_reported(
    server: Scripted, headers: dict[str, str], status: int, words: str
) -> None:
    server.will(
        lambda asked: in_json({"error": f"not you, {asked.headers.get('x-key', 'stranger')}"}, status)
    )
    failure = failed(web(server, headers=headers))
    assert failure.error is not None
    assert failure.error.code == "access"
    assert words in failure.error.message


def test_a_token_with_invalid_characters_is_an_error_and_not_shown() -> None:
    failure = failed(
        McpServer(name="web", url="http://127.0.0.1:9/mcp", headers={"A": "env:LAB_TOKEN"}),
        environ={"LAB_TOKEN": "one\r\nX-Two: 2"},
    )
    assert "characters that a header cannot carry" in failure.error.message
    assert "X-Two" not in failure.error.message


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_to_another_place_is_not_followed(server: Scripted, status: int) -> None:
    with Scripted() as other:
        other.will(serving())
        server.will(Answer(status=status, headers={"location": f"http://127.0.0.1:{other.port}/mcp"}))
        failure = failed(web(server))
        assert other.asked == []
    assert f"redirects to http://127.0.0.1:{other.port}/mcp" in failure.error.message


def test_a_redirect_within_the_server_is_followed(server: Scripted) -> None:
    serve = serving()
    server.will(
        lambda asked: (
            serve(asked) if asked.path.endswith("/") else Answer(status=307, headers={"location": "/mcp/"})
        )
    )
    with McpServers([web(server)], environ=ENVIRON) as started:
        assert run(started.toolboxes[0]).text == "seen"


def test_a_refused_connection_is_reported_in_the_systems_words() -> None:
    failure = failed(McpServer(name="web", url="http://127.0.0.1:9/mcp"))
    assert failure.error is not None
    assert failure.error.code == "connect"
    assert failure.error.message == (
        "the MCP server web cannot be reached at http://127.0.0.1:9: Connection refused"
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer([b"<html>"], headers={"content-type": "text/html"}), "not valid JSON-RPC: text/html"),
        (Answer([b"<html>"], status=500, headers={"content-type": "text/html"}), "answered with HTTP 500"),
        (Answer(status=404), "does not accept requests at this address (HTTP 404)"),
        (in_json({"error": "down for repair"}, 503), "answered with HTTP 503: down for repair"),
        (in_json({"hello": "there"}), "not valid JSON-RPC"),
        (in_json([]), "not valid JSON-RPC"),
        (in_json({"jsonrpc": "2.0", "id": 1, "result": "x"}), "not valid JSON-RPC"),
    ],
)
def test_answers_of_other_servers_are_reported(server: Scripted, answer: Answer, words: str) -> None:
    server.will(answer)
    assert words in failed(web(server)).error.message


@pytest.mark.parametrize("status", [404, 405])
def test_a_refusal_of_the_first_request_mentions_the_older_transport(server: Scripted, status: int) -> None:
    refusal = {"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": "Method not allowed."}}
    for answer in (Answer([b"Method Not Allowed"], status=status), in_json(refusal, status)):
        server.will(answer)
        message = failed(web(server)).error.message
        assert "older HTTP+SSE transport, which telex does not support" in message
        assert f"(HTTP {status})" in message


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (Answer([b"oops"], status=500), ToolServerError, "answered with HTTP 500"),
        (Answer(status=401), ToolServerError, "refused the credentials"),
        (Answer([Cut(reset=True)], headers={"content-type": "application/json"}), ToolServerError, "cannot be"),
        (Answer([b'{"jsonr', Cut()], headers={"content-type": "application/json"}), ToolServerError, "cannot be"),
        (Answer([b"data: {", Cut()]), ToolServerError, "stopped during a call"),
        (Answer([b": nothing\n\n"]), ToolServerError, "stopped during a call"),
        (Answer(status=202), ToolServerError, "202"),
        (Answer([b"x" * 1_000_000] * 18, headers={"content-type": "application/json"}), ToolServerError, "16 MiB"),
        (Answer([b"data: " + b"x" * 17_000_000 + b"\n\n"]), ToolServerError, "stopped during a call"),
        (
            Answer([gzip.compress(b"{}")], headers={"content-type": "application/json", "content-encoding": "gzip"}),
            ToolServerError,
            "sent a compressed answer",
        ),
    ],
    ids=["500", "401", "reset", "cut", "events cut", "no event", "202", "flood", "event flood", "gzip"],
)  # fmt: skip
def test_a_failed_call_is_an_error_and_the_session_continues(
    server: Scripted, call: Answer, kind: type[ToolError], words: str
) -> None:
    error = refused(server, call)
    assert isinstance(error, kind)
    assert words in error.message


def test_a_session_that_the_server_has_forgotten_is_replaced(server: Scripted) -> None:
    """As when it was started again, or nobody has called for an hour."""
    begun: list[str] = []
    serve = serving(lambda asked: text(asked, f"seen in {asked.headers['mcp-session-id']}"))

    def forgetful(asked: Asked) -> Answer:
        if b'"initialize"' in asked.raw:
            begun.append(f"s{len(begun) + 1}")
            answer = serve(asked)
            return in_json(json.loads(b"".join(answer.body)), **{"mcp-session-id": begun[-1]})
        if asked.headers.get("mcp-session-id") != begun[-1]:
            return Answer(status=404)
        return serve(asked)

    server.will(forgetful)
    with McpServers([web(server)], environ=ENVIRON) as started:
        (box,) = started.toolboxes
        assert run(box).text == "seen in s1"
        begun.append("restarted")
        seen: list[str] = []
        calls = [threading.Thread(target=lambda: seen.append(run(box).text)) for _ in range(4)]
        for call in calls:
            call.start()
        for call in calls:
            call.join(60)
        assert seen == ["seen in s3"] * 4
        assert begun == ["s1", "restarted", "s3"], "once for all of them"
        assert [offered.tool.name for offered in box.tools] == ["look"]


def test_a_server_that_forgets_every_session_is_tried_twice(server: Scripted) -> None:
    server.will(serving(Answer(status=404)))
    with McpServers([web(server)], environ=ENVIRON) as started:
        with pytest.raises(ToolServerError, match="has ended the session"):
            run(started.toolboxes[0])
        assert sum(b'"tools/call"' in asked.raw for asked in server.asked) == 2


def test_a_server_that_ignores_a_cancellation_is_not_waited_for(server: Scripted) -> None:
    silence = Answer([Pause(60)], head=b"")
    calls = [silence]
    serve = serving(lambda asked: calls.pop() if calls else text(asked, "seen"))
    server.will(lambda asked: silence if b"notifications/cancelled" in asked.raw else serve(asked))
    with McpServers([web(server, call_timeout=2)], environ=ENVIRON) as started:
        (box,) = started.toolboxes
        with pytest.raises(ToolError):
            run(box)
        assert run(box).text == "seen", "it has waited for the notice, and not for long"


def test_a_server_that_never_answers_times_out(server: Scripted) -> None:
    server.will(Answer([Pause(60)]))
    began = time.monotonic()
    failure = failed(web(server, start_timeout=1.0))
    assert failure.error is not None
    assert failure.error.code == "connect"
    assert "did not start within 1 s" in failure.error.message
    assert time.monotonic() - began < 30


def test_the_end_of_a_session_is_not_waited_for(server: Scripted) -> None:
    serve = serving()
    server.will(lambda asked: Answer([Pause(60)]) if asked.method == "DELETE" else serve(asked))
    with McpServers([web(server)], environ=ENVIRON):
        began = time.monotonic()
    assert time.monotonic() - began < 30


# --- the way there -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [HttpProxy, SocksProxy])
def test_requests_go_through_the_proxy_of_the_environment(
    server: Scripted, kind: type[HttpProxy | SocksProxy]
) -> None:
    server.will(serving())
    wanted = McpServer(name="web", url=f"http://tools.test:{server.port}/mcp")
    with kind({"tools.test": server.port}, auth=("me", "pass word")) as proxy:
        url = proxy.url.replace("://", "://me:pass%20word@")
        with McpServers([wanted], environ={"ALL_PROXY": url}) as started:
            assert started.failures == ()
            assert run(started.toolboxes[0]).text == "seen"
        assert set(proxy.asked) == {f"tools.test:{server.port}"}


def test_certificates_are_checked_by_the_environments_authorities(tmp_path: Path) -> None:
    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Scripted(tls=context) as secure:
        secure.will(serving())
        failure = failed(web(secure))
        assert failure.error is not None
        assert failure.error.code == "connect"
        assert "its certificate is not trusted" in failure.error.message
        assert secure.asked == []
        with McpServers([web(secure)], environ={**ENVIRON, "SSL_CERT_FILE": str(bundle)}) as started:
            assert run(started.toolboxes[0]).text == "seen"
