"""MCP servers as toolboxes, with real processes: what they are given and answer, and how badly they may behave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mcp_server import DOT
from running import alive, within

from provider_core.errors import KeyStoreError, ToolError, ToolSecretError, ToolServerError
from provider_core.keys import MemoryStore
from provider_core.settings.mcp import McpServer
from provider_core.tools.mcp import FailedServer, McpServers, McpToolbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.events import ToolResult

SERVER = Path(__file__).parents[1] / "mcp_server.py"
STARTED_WITHIN = 60.0


def server(*flaws: str, name: str = "lab", **fields: Any) -> McpServer:
    command = (sys.executable, "-I", "-S", str(SERVER), *flaws)
    return McpServer(name=name, **{"command": command, "start_timeout": STARTED_WITHIN, **fields})


def run(box: McpToolbox, tool: str, /, **arguments: Any) -> ToolResult:
    return box.run(tool, arguments, stop=threading.Event())


def names(box: McpToolbox) -> list[str]:
    return [offered.tool.name for offered in box.tools]


def failed(*servers: McpServer, **options: Any) -> FailedServer:
    with McpServers(servers, **options) as started:
        assert started.toolboxes == ()
        (failure,) = started.failures
        return failure


@pytest.fixture(scope="module")
def lab() -> Iterator[McpToolbox]:
    """A server for tests that leave it as it was."""
    with McpServers([server()]) as started:
        yield started.toolboxes[0]


# --- what works --------------------------------------------------------------------------------------------


def test_a_server_is_a_toolbox_with_its_tools_its_limits_and_its_steps() -> None:
    seen = []
    wanted = server(call_timeout=7.0, max_result=5000, allow=("read_*",))
    with McpServers([wanted], on_step=lambda each, step, _: seen.append((each.name, step))) as started:
        (box,) = started.toolboxes
        assert started.failures == ()
        assert (box.name, box.about, box.protocol) == ("lab", "tests 1", "2025-06-18")
        assert (box.limits.seconds, box.limits.size, box.server.allow) == (70.0, 5000, ("read_*",))
        assert "echo" in names(box)
        assert "cancelled" in names(box), "the list comes in pages"
        by_name = {offered.tool.name: offered for offered in box.tools}
        assert by_name["echo"].annotations.read_only is True
        assert by_name["die"].annotations.read_only is False
        assert by_name["echo"].annotations.destructive is None
        assert by_name["echo"].title == "Echo"
        assert by_name["echo"].tool.description == "What it was given."
        assert by_name["echo"].tool.schema["properties"] == {"n": {"type": "number"}}
        assert list(box.steps) == ["start", "handshake", "tools"]
        assert all(seconds >= 0 for seconds in box.steps.values())
        assert json.loads(run(box, "echo", n=1, text="ü\n").text) == {"n": 1, "text": "ü\n"}
    assert seen == [("lab", "start"), ("lab", "handshake"), ("lab", "tools")]


def test_servers_start_together_and_fail_alone() -> None:
    wanted = [
        server(name="one"),
        server("dies", name="two"),
        server(name="three", command=("there-is-no-such-command",)),
        server(name="four"),
        McpServer(name="five", url="http://127.0.0.1:9/mcp"),
    ]
    with McpServers(wanted) as started:
        assert [box.name for box in started.toolboxes] == ["one", "four"]
        assert [failure.server.name for failure in started.failures] == ["two", "three", "five"]
        for box in started.toolboxes:
            assert run(box, "echo", n=2).text == '{"n": 2}'


def test_every_kind_of_content_is_read(lab: McpToolbox) -> None:
    mixed = run(lab, "mixed")
    assert mixed.text.splitlines() == [
        "first", "[audio, audio/wav, 300 bytes: left out]", "[resource a.txt: file:///tmp/a.txt (a note)]",
        "[resource file:///tmp/b.txt]", "inside b",
        "[resource file:///tmp/c.bin, application/zip, 3 bytes: left out]", "last",
    ]  # fmt: skip
    (image,) = mixed.images
    assert image.url.startswith("data:image/png;base64,iVBOR")
    structured = run(lab, "structured")
    assert (structured.text, structured.structured) == ('{"degrees": 21.5}', {"degrees": 21.5})
    for tool, words in (("fails", "no such file"), ("refuses", "n must be even")):
        result = run(lab, tool)
        assert (result.text, result.is_error) == (words, True)


TEXT = {"type": "text", "text": "3 rows"}
RESULTS: list[tuple[object, str]] = [
    ({"content": [TEXT], "structuredContent": {"n": 3}}, '3 rows\n[structured content]\n{"n": 3}'),
    ({"content": [{"type": "text", "text": '{ "n":3 }'}], "structuredContent": {"n": 3}}, '{ "n":3 }'),
    ({"content": [TEXT, {"type": "text", "text": '{"n":3}'}], "structuredContent": {"n": 3}}, '3 rows\n{"n":3}'),
    ({"content": [{"type": "text", "text": "5"}], "structuredContent": {"result": 5}}, "5"),
    ({"content": [TEXT, TEXT], "structuredContent": {"result": ["3 rows"] * 2}}, "3 rows\n3 rows"),
    ({"content": [TEXT], "structuredContent": {"content": "3 rows"}}, "3 rows"),
    ({"content": [{"type": "text", "text": "5"}], "structuredContent": {"sum": 5}},
     '5\n[structured content]\n{"sum": 5}'),
    ({"content": [], "structuredContent": [1, 2]}, "[1, 2]"),
    ({"structuredContent": {"n": 3}}, '{"n": 3}'),
    ({"content": None, "structuredContent": {"n": 3}}, '{"n": 3}'),
    ({"toolResult": "old"}, "old"),
    ({"content": "bare text"}, "bare text"),
    ({"content": TEXT}, "3 rows"),
    ({"content": [TEXT, {"type": "hologram", "data": "x"}]},
     "3 rows\n[content of an unknown kind, hologram: left out]"),
    ({"content": [TEXT, {"type": "\x1b[2J" + "x" * 500}]}, "3 rows\n[content of an unknown kind, xxx"),
    ({"content": [TEXT, {"type": "image", "data": 5}]}, "3 rows\n[image: left out, it is incomplete]"),
    ({"content": [TEXT, 5]}, "3 rows\n[content of an unknown kind, without a name: left out]"),
    ({"content": [{"type": "image", "data": "PHN2Zz4=", "mimeType": "image/svg+xml"}]},
     "[image, image/svg+xml, 5 bytes: left out, models do not read this format]"),
    ({"content": [TEXT], "isError": "no", "_meta": {"a": 1}}, "3 rows"),
    ({}, ""),
]  # fmt: skip


def test_an_invalid_result_is_read_as_far_as_possible(lab: McpToolbox) -> None:
    for sent, text in RESULTS:
        found = run(lab, "nonsense", **{"as": sent})
        assert found.text == text or (text.endswith("xxx") and found.text.startswith(text)), sent
        assert len(found.text) < 200
        assert not found.is_error
    dot = {"type": "image", "data": DOT, "mimeType": "image/jpeg"}
    embedded = {"type": "resource", "resource": {"uri": "a:b", "blob": DOT, "mimeType": "image/png"}}
    found = run(lab, "nonsense", **{"as": {"content": [embedded, *[dot] * 12], "isError": True}})
    assert {image.url for image in found.images} == {f"data:image/png;base64,{DOT}"}
    assert len(found.images) == 10
    assert (found.text, found.is_error) == ("[3 more images: left out, 10 is the most]", True)
    for image in (
        {"data": DOT, "mimeType": "IMAGE/PNG"},
        {"data": DOT},
        {"data": DOT.rstrip("="), "mimeType": "image/png"},
        {"data": f"data:image/png;base64,{DOT}", "mimeType": "image/png"},
    ):
        found = run(lab, "nonsense", **{"as": {"content": [{"type": "image", **image}]}})
        assert [each.url for each in found.images] == [f"data:image/png;base64,{DOT}"]


def test_an_invalid_description_of_one_tool_does_not_affect_the_others() -> None:
    with McpServers([server("ragged")]) as started:
        assert started.failures == ()
        (box,) = started.toolboxes
        echo, bare, structured, deep = box.tools
        assert (deep.tool.name, deep.tool.description) == ("deep", "half ?")
        assert (echo.tool.schema, echo.title, echo.annotations.read_only) == (
            {"type": "object"},
            "Echo",
            None,
        )
        assert (bare.tool.schema, bare.tool.description) == ({"type": "object"}, "")
        assert structured.tool.schema == {
            "type": "object",
            "properties": {"n": {}, "m": {}, "k": {"not": {}}},
            "required": ["n"],
        }
        assert run(box, "echo", n=1).text == '{"n": 1}'
        assert run(box, "structured").structured == {"degrees": 21.5}, "a result is no less for its schema"


def test_secrets_are_redacted_in_descriptions_of_tools() -> None:
    wanted = server("telling", env={"TOKEN": "env:MINE"})
    with McpServers([wanted], environ={**os.environ, "MINE": "hunter22-hunter22"}) as started:
        ((offered,),) = (box.tools for box in started.toolboxes)
        assert offered.title == "[redacted]"
        assert offered.tool.description == "With [redacted]."
        assert offered.tool.schema["properties"] == {"n": {"default": "[redacted]"}}


def test_arguments_that_are_not_valid_json_fail_their_call_alone(lab: McpToolbox) -> None:
    with pytest.raises(ToolServerError, match="the MCP server lab cannot be sent this"):
        run(lab, "echo", text="\ud800")
    assert run(lab, "echo", n=3).text == '{"n": 3}'


@pytest.mark.parametrize(("flaw", "protocol", "tools"), [
    ("modern", "2026-07-28", 20), ("toolless", "2025-06-18", 0), ("circle", "2025-06-18", 7)
])  # fmt: skip
def test_servers_of_the_newest_protocol_without_tools_and_with_endless_lists_work(
    flaw: str, protocol: str, tools: int
) -> None:
    with McpServers([server(flaw)]) as started:
        (box,) = started.toolboxes
        assert (box.protocol, len(names(box))) == (protocol, tools)


def test_new_tools_are_offered_after_the_server_announced_them() -> None:
    with McpServers([server()]) as started:
        (box,) = started.toolboxes
        assert "new" not in names(box)
        assert run(box, "learn").text == "learnt"
        assert "new" in names(box)
        assert run(box, "new").text == "is there"


def test_requests_of_the_server_are_declined_and_its_call_continues(lab: McpToolbox) -> None:
    answers = json.loads(run(lab, "ask").text)

    assert [answer["id"] for answer in answers] == ["s0", "s1", "s2", "s3"]
    assert all("error" in answer and "result" not in answer for answer in answers)


# --- what it is given --------------------------------------------------------------------------------------


def test_a_server_gets_a_minimal_environment_and_what_is_configured() -> None:
    """The environment is the one that the process really has, as the process itself says."""
    passed_on = {
        "PATH": os.environ["PATH"], "HOME": "/home/someone", "USER": "someone", "LANG": "C.UTF-8", "LC_TIME": "C",
        "TERM": "dumb", "TMPDIR": "/tmp", "SHELL": "/bin/sh", "TZ": "UTC", "http_proxy": "http://proxy.invalid:3128",
        "SSL_CERT_FILE": "/etc/ca.pem", "REQUESTS_CA_BUNDLE": "/etc/ca.pem",
    }  # fmt: skip
    withheld = {
        "LC_SECRET": "smuggled by ssh", "OPENAI_API_KEY": "sk-key", "LAB_KEY": "sk-lab", "TELEX_HOME": "/somewhere",
        "TELEX_MODEL": "lab/m", "GITHUB_TOKEN": "ghp-token", "SSH_AUTH_SOCK": "/run/agent",
        "AWS_SECRET_ACCESS_KEY": "aws", "LD_PRELOAD": "", "BASH_FUNC_x%%": "() { :; }",
        "HTTPS_PROXY": "http://me:secret@proxy.invalid:3128", "ALL_PROXY": "socks5://sk-0123456789abcdef",
        "NO_PROXY": "localhost,.corp", "no_proxy": "localhost,.corp", "NODE_EXTRA_CA_CERTS": "/etc/ca.pem",
        # excluded, and variables with the same values
        "LOGNAME": "sk-key-in-a-usual-name", "CURL_CA_BUNDLE": "sk-key-in-a-usual-name",
        "OTHER_KEY": "sk-lab-0123456789", "SSL_CERT_DIR": "/sk-lab-0123456789",
    }  # fmt: skip
    own = {"NODE_EXTRA_CA_CERTS": "/own.pem", "no_proxy": "own", "MODE": "fast"}
    wanted = server(env={"TOKEN": "env:LAB_KEY", "OTHER": "keyring:other", **own})
    store = MemoryStore(**{"secret:other": "other", "other": "a provider's key"})
    environ = passed_on | withheld
    with McpServers([wanted], environ=environ, store=store, excluded_env={"LOGNAME", "OTHER_KEY"}) as started:
        about = json.loads(run(started.toolboxes[0], "about").text)
    assert about["env"] == {**passed_on, **own, "TOKEN": "sk-lab", "OTHER": "other"}
    assert about["argv"] == [str(SERVER)], "no value is in the arguments"


def test_a_proxy_with_a_password_is_passed_on_if_the_settings_say_so() -> None:
    environ = {"PATH": os.environ["PATH"], "https_proxy": "http://me:secret-of-mine@proxy.invalid:3128"}
    wanted = server(env={"HTTPS_PROXY": "env:https_proxy"})
    with McpServers([wanted], environ=environ) as started:
        text = run(started.toolboxes[0], "about").text
    assert "secret-of-mine" not in text, "what the server says of it is masked"
    assert {name for name in json.loads(text)["env"] if "PROXY" in name.upper()} == {"HTTPS_PROXY"}


@pytest.mark.parametrize(
    ("written", "place"), [("env:ABSENT", "is not set"), ("keyring:absent", "is not in the keyring")]
)
def test_a_server_whose_secret_is_missing_does_not_start(tmp_path: Path, written: str, place: str) -> None:
    trace = tmp_path / "started"
    wanted = server(command=("touch", str(trace)), env={"TOKEN": written})
    failure = failed(wanted, environ={"ABSENT": "", "PATH": os.environ["PATH"]}, store=MemoryStore())
    assert isinstance(failure.error, ToolSecretError)
    assert failure.error.message == f"the MCP server lab needs {written} for TOKEN, and it {place}"
    assert (failure.error.wanted_for, failure.error.source) == ("TOKEN", written)
    assert failure.steps == {}
    assert not trace.exists()


class Locked(MemoryStore):
    """A keyring that does not work, and counts how often that was found out."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def get(self, name: str) -> str | None:
        self.asked += 1
        raise KeyStoreError("the keyring is locked")


def test_a_broken_keyring_is_used_once_and_its_servers_do_not_start() -> None:
    store = Locked()
    wanted = [server(name=name, env={"TOKEN": f"keyring:{name}"}) for name in ("one", "two")]
    with McpServers([*wanted, server(name="three")], store=store) as started:
        assert [box.name for box in started.toolboxes] == ["three"]
        assert all("the keyring is locked" in failure.error.message for failure in started.failures)
    assert store.asked == 1


def test_a_server_cannot_repeat_its_secret_in_errors_or_results() -> None:
    environ = {"PATH": os.environ["PATH"], "MINE": "hunter22-hunter22"}
    with McpServers([server(env={"TOKEN": "env:MINE"})], environ=environ) as started:
        (box,) = started.toolboxes
        assert json.loads(run(box, "about").text)["env"]["TOKEN"] == "[redacted]"
        assert "hunter22" not in str(run(box, "echo", text="it is hunter22-hunter22"))
        with pytest.raises(ToolServerError, match=r"the disk is full \(token \[redacted\]\)"):
            run(box, "die")


# --- how badly it may behave -------------------------------------------------------------------------------


def test_a_server_that_cannot_be_started_says_why(tmp_path: Path) -> None:
    script = tmp_path / "not-executable"
    script.write_text("")
    for command, cwd, words in [
        (("no-such-command-1",), None, "command not found: no-such-command-1"),
        ((str(script),), None, "Permission denied"),
        ((sys.executable,), tmp_path / "absent", "which is not a folder"),
        (("with\0null",), None, "null byte"),
    ]:
        failure = failed(server(command=command, cwd=cwd))
        assert words in failure.error.message
        assert failure.steps == {}


@pytest.mark.parametrize(
    ("flaw", "words"),
    [
        ("dies", "stopped while starting (exit 1): ModuleNotFoundError: No module named 'tools'"),
        ("refuses", "returned an error: no licence"),
        ("malformed", "sent an answer that is not valid"),
        ("silent", "did not start within 1 s"),
        ("listless", "did not start within 1 s"),
        (
            "talks",
            "did not start within 1 s: it printed 'I am no server of tools.' to stdout, which is reserved",
        ),
    ],
)
def test_a_server_that_does_not_start_properly_says_why(flaw: str, words: str) -> None:
    slow = words.startswith("did not start")
    began = time.monotonic()
    failure = failed(server(flaw, **({"start_timeout": 1.0} if slow else {})))
    assert failure.error.message.startswith(f"the MCP server lab {words}")
    assert (failure.error.code == "connect") is slow
    assert "start" in failure.steps
    assert not slow or time.monotonic() - began < 30


@pytest.mark.parametrize("flaw", ["banner", "shouts"])
def test_text_on_stdout_and_stderr_does_no_harm(flaw: str) -> None:
    with McpServers([server(flaw)]) as started:
        assert run(started.toolboxes[0], "echo", n=3).text == '{"n": 3}'


def test_the_last_lines_of_stderr_are_reported() -> None:
    failure = failed(server("shouts", "refuses"))
    assert failure.stderr.endswith("noise\nnoise")
    assert len(failure.stderr) < 10_000


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ("die", "stopped during a call (exit 3): Error: the disk is full (token )"),
        ("killed", "stopped during a call (SIGKILL)"),
    ],
)
def test_a_server_that_dies_in_a_call_is_reported_and_the_others_go_on(tool: str, words: str) -> None:
    with McpServers([server(), server(name="other")]) as started:
        box, other = started.toolboxes
        run(box, "spawn")  # a process that holds its pipes open
        with pytest.raises(ToolServerError) as caught:
            run(box, tool)
        assert caught.value.message == f"the MCP server lab {words}"
        assert within(60, lambda: box.failure is not None)
        assert box.tools == (), "what cannot be called is not offered"
        with pytest.raises(ToolServerError, match=r"the MCP server lab (stopped|ended)"):
            run(box, "echo")
        assert run(other, "echo", n=1).text == '{"n": 1}'


def test_a_call_that_times_out_is_cancelled_at_the_server() -> None:
    with McpServers([server(call_timeout=2)]) as started:
        (box,) = started.toolboxes
        with pytest.raises(ToolError) as caught:
            run(box, "wait", n=-1)
        assert (caught.value.message, caught.value.seconds) == ("lab/wait did not end within 2 s", 2)
        assert len(json.loads(run(box, "cancelled").text)) == 1, "its late answer was dropped, and it goes on"


def test_a_stopped_call_ends_at_once_and_is_cancelled_at_the_server() -> None:
    with McpServers([server()]) as started:
        (box,) = started.toolboxes
        stop = threading.Event()
        threading.Timer(0.3, stop.set).start()
        with pytest.raises(ToolServerError, match="lab/wait was cancelled"):
            box.run("wait", {"n": -1}, stop=stop)
        assert len(json.loads(run(box, "cancelled").text)) == 1


def test_a_message_that_is_too_long_fails_its_call_alone(lab: McpToolbox) -> None:
    assert len(run(lab, "flood", n=2_000_000).text) == 2_000_000
    with pytest.raises(ToolServerError, match=r"sent a message of 20 MiB, and 16 MiB is the most"):
        run(lab, "flood", n=20 << 20)
    assert run(lab, "echo", n=4).text == '{"n": 4}'


@pytest.mark.parametrize(("tool", "n"), [("chatter", 5000), ("garbage", 0), ("shout", 8_000_000)])
def test_notifications_garbage_and_stderr_do_not_delay_an_answer(lab: McpToolbox, tool: str, n: int) -> None:
    assert run(lab, tool, n=n).text == "done"


def test_progress_restarts_the_timeout_within_a_total() -> None:
    told: list[tuple[float, float | None, str]] = []
    with McpServers([server(call_timeout=1.5), server(name="short", call_timeout=0.5)]) as started:

        def progress(n: int, pause: float, box: McpToolbox = started.toolboxes[0]) -> str:
            arguments = {"n": n, "pause": pause}
            return box.run(
                "progress", arguments, stop=threading.Event(), report=lambda *words: told.append(words)
            ).text

        assert progress(4, 0.5) == "done"
        assert told == [(step, 4.0, f"step {step} false: line") for step in range(4)]
        told.clear()
        assert progress(3000, 0) == "done"
        assert 1 <= len(told) < 1000, "a flood is thinned out"
        began = time.monotonic()
        with pytest.raises(ToolError, match=r"did not end within 5 s, the limit for calls that report"):
            progress(1000, 0.05, started.toolboxes[1])
        assert 4.5 < time.monotonic() - began < 30
        with pytest.raises(ToolError, match=r"reported no progress for 1\.5 s"):
            progress(1, 60)


@pytest.mark.parametrize("nonsense", ["just text", [1]])
def test_an_answer_that_is_not_a_result_is_an_error(lab: McpToolbox, nonsense: object) -> None:
    began = time.monotonic()
    with pytest.raises(ToolServerError, match="sent an answer that is not valid"):
        run(lab, "nonsense", **{"as": nonsense})
    assert time.monotonic() - began < 30
    assert run(lab, "echo").text == "{}"


# --- the end -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flaw", ["stays", "deaf", ""])
def test_the_end_of_the_block_ends_every_process_that_was_started(flaw: str) -> None:
    with McpServers([server(*filter(None, [flaw]))]) as started:
        (box,) = started.toolboxes
        pids = [json.loads(run(box, "about").text)["pid"], int(run(box, "spawn").text)]
        assert all(map(alive, pids))
        began = time.monotonic()
    assert time.monotonic() - began < 30
    assert not any(map(alive, pids))
    with pytest.raises(ToolServerError, match="the MCP server lab"):
        run(box, "echo")
    assert box.tools == ()


def test_the_end_leaves_no_process_and_no_thread() -> None:
    threads, pids = set(threading.enumerate()), []

    def work() -> None:
        with McpServers([server(name=f"s{number}") for number in range(3)]) as started:
            assert set(threading.enumerate()) > threads
            pids.extend(json.loads(run(box, "about").text)["pid"] for box in started.toolboxes)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert len(pids) == 3
    assert not any(map(alive, pids))
    assert "telex-mcp" not in {thread.name for thread in threading.enumerate() if thread not in threads}


def test_nothing_is_written_to_stderr() -> None:
    """Neither the SDK's log nor asyncio's warnings may reach stderr."""
    wanted = [
        server("banner"),
        server("dies", name="two"),
        McpServer(name="web", url="http://127.0.0.1:9/mcp"),
    ]
    code = (
        "import threading\n"
        "from provider_core.settings.mcp import McpServer\n"
        "from provider_core.tools.mcp import McpServers\n"
        "from pathlib import PosixPath\n"
        f"with McpServers({wanted!r}) as started:\n"
        "    box = started.toolboxes[0]\n"
        "    for tool in ('garbage', 'chatter', 'nonsense', 'die'):\n"
        "        try: print(box.run(tool, {'n': 3}, stop=threading.Event()).text)\n"
        "        except Exception as error: print(type(error).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["done", "done", "ToolServerError", "ToolServerError"]
