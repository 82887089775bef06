"""``telex chat --tools`` in scripts: which tools are offered and may run, what is printed, saved and left running."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from running import Telex, alive, within
from scripted import DONE, Answer, Asked, Cut, Pause, Scripted, answer, delta, sse
from toolboxes import call, calling
from toolchat import Desk, lab, odd, results, roles, running

if TYPE_CHECKING:
    from pathlib import Path

ANY = ("--allow", "lab/*")
ECHO = calling(call("lab__echo", {"n": 1}), text="Let me see.")
DONE_NOW = answer("It is done.")
BOTH = "Let me see.\nIt is done.\n"
USAGE = {"prompt_tokens": 10, "completion_tokens": 5}


@pytest.fixture
def desk(telex: Telex, server: Scripted) -> Desk:
    """A provider called p, and a tool server called lab."""
    server.will(ECHO, DONE_NOW)
    telex.provider("p", server.url)
    lab(telex)
    return Desk(telex)


@pytest.fixture(autouse=True)
def _nothing_is_left_running(tmp_path: Path) -> Any:
    yield
    assert within(60, lambda: running(tmp_path / "home") == [])


def last_results(server: Scripted) -> list[str]:
    return results(server.asked[-1])


def offered(asked: Asked) -> list[str]:
    return [tool["function"]["name"] for tool in asked.body["tools"]]


# --- what is allowed ---------------------------------------------------------------------------------------


def test_a_project_narrows_what_an_alias_allows(
    desk: Desk, server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    act = 'target = "p/m"\ntools = ["lab"]\nallow = ["lab/*"]\n'
    desk.configure(f"{desk.settings.read_text()}[aliases.act]\n{act}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".telex.toml").write_text('allow = ["lab/other"]\n')
    assert desk("chat", "-m", "act", "x").code == 0
    server.will(ECHO, DONE_NOW)
    assert desk("trust").code == 0
    ran = desk("chat", "-m", "act", "x")
    assert (ran.code, "did not run" in ran.err) == (8, True), ran.err
    assert desk("chat", "-m", "act", "--allow", "lab/echo", "x").code == 0, "the command line is the user's"


def test_a_call_runs_and_its_result_is_sent(desk: Desk, server: Scripted) -> None:
    ran = desk("chat", "--tools", "lab", "--allow", "lab/echo", "What is one?")
    assert (ran.code, ran.text) == (0, BOTH)
    assert "lab__echo" in offered(server.asked[0])
    assert last_results(server) == ['{"n": 1}']
    assert ran.err.startswith("lab/echo (1): 8 bytes in ")


def test_a_call_that_is_not_allowed_does_not_run_and_exits_8(desk: Desk, server: Scripted) -> None:
    # The server claims that it only reads, which is not verified.
    server.will(calling(call("lab__echo", {"n": 1}), call("lab__about", {}, id="b", index=1)), DONE_NOW)
    ran = desk("chat", "--tools", "lab", "--allow", "lab/wait", "hi")
    assert (ran.code, ran.text) == (8, "It is done.\n")
    why = "did not run: --allow does not match it, and there is no terminal to ask for approval"
    assert last_results(server) == [f"lab/echo {why}", f"lab/about {why}"]
    assert ran.err.splitlines() == [
        "lab/echo (1): refused",
        "lab/about: refused",
        "telex: no terminal to ask for approval of lab/echo, lab/about; they did not run",
        "  To allow them: --allow lab/echo --allow lab/about",
    ]


def test_the_settings_of_a_server_allow_only_its_own_tools(desk: Desk, server: Scripted) -> None:
    lab(desk, "trusted", allow=["ec*"])
    server.will(calling(call("lab__echo"), call("trusted__echo", id="b", index=1)), DONE_NOW)
    ran = desk("chat", "--tools", "lab", "--tools", "trusted", "hi")
    assert ran.code == 8
    refused, brought = last_results(server)
    assert "did not run" in refused
    assert brought == "{}"
    assert "--allow lab/echo" in ran.err


def test_a_pattern_that_matches_no_tool_is_reported(desk: Desk) -> None:
    ran = desk("chat", "--tools", "lab", "--allow", "lab/ecco", "--allow", "lab/*", "-q", "hi")
    assert (ran.code, ran.err) == (0, "--allow lab/ecco matches no tool.\n")


def test_the_hint_for_a_strange_name_can_be_pasted(desk: Desk, server: Scripted) -> None:
    odd(desk, "drop\x1b[2J all\n*")
    server.will(lambda asked: Answer(calling(call(offered(asked)[0]))), DONE_NOW)
    ran = desk("chat", "--tools", "odd", "hi")
    assert ran.code == 8
    (hint,) = [line for line in ran.err.splitlines() if "--allow" in line]
    assert hint == "  To allow it: --allow 'odd/drop??2J all??'"
    server.will(lambda asked: Answer(calling(call(offered(asked)[0]))), DONE_NOW)
    assert desk("chat", "--tools", "odd", "--allow", "odd/drop??2J all??", "hi").code == 0


def test_an_alias_offers_tools_and_allows_only_those(desk: Desk, server: Scripted) -> None:
    made = desk("models", "alias", "agent", "p/m", "--tools", "lab", "--allow", "lab/echo")
    assert made.err == "agent means p/m (tools=lab, allow=lab/echo).\n"
    assert desk("chat", "-m", "agent", "hi").text == BOTH
    lab(desk, "other")
    server.will(calling(call("other__echo", {"n": 1})), DONE_NOW)
    made = desk("models", "alias", "agent", "--allow", "*")
    ran = desk("chat", "-m", "agent", "--tools", "other", "hi")
    assert (ran.code, "did not run" in last_results(server)[0]) == (8, True), (
        "* is for the tools of the alias"
    )
    server.will(calling(call("lab__echo", {"n": 1})), DONE_NOW)
    assert desk("chat", "-m", "agent", "--allow", "lab/wait", "hi").code == 8, (
        "--allow replaces that of the alias"
    )


# --- which servers -----------------------------------------------------------------------------------------


def test_all_means_every_enabled_server(desk: Desk, server: Scripted) -> None:
    lab(desk, "off", enabled=False)
    lab(desk, "more")
    for names, started in (("all", {"lab", "more"}), ("all, off", {"lab", "more", "off"})):
        server.will(answer("Hi."))
        assert desk("chat", "--tools", names, "hi").code == 0
        assert {name.partition("__")[0] for name in offered(server.asked[-1])} == started


@pytest.mark.parametrize(
    ("servers", "names", "code", "lines"),
    [
        (1, "lap", 3, ["telex: unknown MCP server: lap", "  Did you mean lab?"]),
        (1, "lab,q", 3, ["telex: unknown MCP server: q", "  See: telex mcp list"]),
        (1, " , ", 2, ["telex: --tools is empty; name MCP servers, or use all"]),
        (0, "all", 3, ["telex: no MCP server is set up", "  See: telex mcp list"]),
        (-1, "all", 3, ["telex: all MCP servers are disabled"]),
    ],
)
def test_a_name_without_a_server_is_an_error(
    telex: Telex, server: Scripted, servers: int, names: str, code: int, lines: list[str]
) -> None:
    telex.provider("p", server.url)
    if servers:
        lab(telex, enabled=servers > 0)
    ran = Desk(telex)("chat", "--tools", names, "hi")
    assert (ran.code, ran.out, server.asked) == (code, b"", [])
    assert ran.err.splitlines()[: len(lines)] == lines


def test_servers_that_do_not_start_are_reported_and_the_others_used(desk: Desk) -> None:
    lab(desk, "dead", "dies")
    lab(desk, "lost", env={"TOKEN": "env:NOT_THERE"})
    ran = desk("chat", "-q", "--tools", "dead,lab,lost", *ANY, "hi")
    assert (ran.code, ran.text) == (0, BOTH)
    dead, lost, hint = ran.err.splitlines()
    assert "ModuleNotFoundError" in dead
    assert "NOT_THERE" in lost
    assert dead.endswith("; continuing without it.")
    assert lost.endswith("; continuing without it.")
    assert hint == "  Set NOT_THERE in the environment that telex runs in."


def test_if_no_server_starts_nothing_is_sent(telex: Telex, server: Scripted) -> None:
    telex.provider("p", server.url)
    lab(telex, "one", "silent", start_timeout=0.5)
    lab(telex, "two", "dies")
    ran = Desk(telex)("chat", "--tools", "all", "hi")
    assert (ran.code, ran.out, server.asked) == (7, b"", [])
    assert "MCP server two" in ran.err.splitlines()[0]
    assert "MCP server one" in ran.err.splitlines()[1]


# --- what is printed ---------------------------------------------------------------------------------------


def test_json_is_one_object_of_all_answers(desk: Desk, server: Scripted) -> None:
    first = [*sse(delta("One."), delta(tool_calls=[call("lab__echo", {"n": 1})]), delta(finish="tool_calls")),
             *sse({"choices": [], "usage": USAGE}), DONE]  # fmt: skip
    server.will(first, calling(call("lab__fails", id="b")), answer("Two.", usage=USAGE))
    ran = desk("chat", "--json", "--tools", "lab", *ANY, "hi")
    assert (ran.code, ran.out.count(b"\n")) == (0, 1)
    found = json.loads(ran.out)
    assert found["text"] == "One.\nTwo."
    assert [each["name"] for each in found["tool_calls"]] == ["lab__echo", "lab__fails"]
    assert (found["usage"]["input"], found["usage"]["output"]) == (20, 10)
    assert (found["verdict"], found["error"]) == ("complete", None)
    assert ran.err.startswith("lab/fails: failed in "), "the object has no key for the result"


def test_jsonl_has_a_line_for_each_request_call_and_progress(desk: Desk, server: Scripted) -> None:
    calls = [call("lab__progress", {"n": 1}), call("lab__nope", id="b", index=1)]
    server.will(calling(*calls, text="One."), answer("Two."))
    ran = desk("chat", "--jsonl", "--tools", "lab", *ANY, "hi")
    found = [json.loads(line) for line in ran.text.splitlines()]
    assert [each["type"] for each in found] == [
        "start", "text", "tool_call", "tool_call", "tool_result", "tool_start", "tool_progress", "tool_result",
        "request", "text", "end",
    ]  # fmt: skip
    unknown, started, progress, brought = found[4:8]
    assert (unknown["id"], unknown["ok"], unknown["error"]["type"]) == ("b", False, "UnknownToolError")
    assert (started["tool"], started["arguments"]) == ("lab/progress", {"n": 1})
    assert (progress["id"], progress["tool"]) == ("call_a", "lab/progress")
    assert (progress["progress"], progress["total"]) == (0, 1)
    assert (brought["id"], brought["tool"], brought["ok"], brought["error"]) == (
        "call_a", "lab/progress", True, None,
    )  # fmt: skip
    assert found[-1]["verdict"] == "complete"


def test_blank_lines_before_a_tool_call_are_not_printed(desk: Desk, server: Scripted) -> None:
    frames = sse(delta("\n"), delta("\n"), delta(tool_calls=[call("lab__echo")]), delta(finish="tool_calls"))
    server.will([*frames, DONE], answer("\n It", " is."))
    assert desk("chat", "--tools", "lab", *ANY, "hi").text == "\n It is.\n"


def test_an_answer_with_tools_matches_a_schema(desk: Desk, server: Scripted) -> None:
    server.will(ECHO, answer('{"x": "no"}'), answer('{"x": 1}'))
    ran = desk("chat", "--json", "--schema", "x int", "--tools", "lab", *ANY, "hi")
    found = json.loads(ran.out)
    assert (ran.code, found["text"], len(found["tool_calls"])) == (0, '{"x": 1}', 1)
    assert roles(server.asked[-1]) == ["user", "assistant", "tool", "assistant", "user"]
    server.will(ECHO, answer("I cannot say."))
    ran = desk("chat", "--schema", "x int", "--tools", "lab", "hi")
    assert (ran.code, len(server.asked)) == (8, 2), "the refused call is the reason"
    assert "--allow lab/echo" in ran.err


def test_an_output_file_gets_the_texts_of_all_answers_or_stays_unchanged(
    desk: Desk, server: Scripted
) -> None:
    path = desk.home / "answer.txt"
    assert desk("chat", "-o", str(path), "--tools", "lab", *ANY, "hi").code == 0
    assert path.read_text() == BOTH
    server.will(ECHO)
    assert desk("chat", "-o", str(path), "--max-turns", "1", "--tools", "lab", *ANY, "hi").code == 8
    assert path.read_text() == BOTH
    assert path.with_name("answer.txt.partial").read_text() == "Let me see.\n"


def test_quiet_omits_the_lines_about_calls_but_no_error(desk: Desk, server: Scripted) -> None:
    assert desk("chat", "-q", "--tools", "lab", *ANY, "hi").err == ""
    server.will(ECHO, DONE_NOW)
    assert desk("chat", "-q", "--tools", "lab", "hi").err.startswith("telex: no terminal to ask")


def test_a_dry_run_prints_the_tools_of_the_request(desk: Desk, server: Scripted) -> None:
    ran = desk("chat", "--dry-run", "--tools", "lab", "--tool-choice", "echo", "hi")
    body = json.loads(ran.out)["body"]
    assert "lab__echo" in {tool["function"]["name"] for tool in body["tools"]}
    assert body["tool_choice"] == {"type": "function", "function": {"name": "lab__echo"}}
    assert (server.asked, running(desk.home)) == ([], [])


# --- which tool, and how often -----------------------------------------------------------------------------


def test_a_choice_that_cannot_be_made_is_a_usage_error(desk: Desk, server: Scripted) -> None:
    ran = desk("chat", "--tools", "lab", "--tool-choice", "nope", "hi")
    assert (ran.code, server.asked) == (2, [])
    assert ran.err.startswith("telex: unknown tool: 'nope'")
    assert desk("chat", "--tool-choice", "auto", "hi").code == 2
    ran = desk("chat", "-m", "p/m", "-m", "p/n", "--tools", "lab", "hi")
    assert (ran.code, server.asked) == (2, [])
    assert "--tools works with one model only" in ran.err


def test_a_choice_that_the_server_does_not_make_is_reported(desk: Desk, server: Scripted) -> None:
    desk.provider("glm", server.url, preset="zai", key="none")
    server.will(answer("Hi."))
    for more in ((), ("--dry-run",)):
        ran = desk("chat", "-m", "glm/m", "--tools", "lab", "--tool-choice", "required", *more, "hi")
        assert (ran.code, '"tool_choice"' in ran.text) == (0, False)
        assert ran.err == "glm/m does not accept this tool_choice; the model decides.\n"
    ran = desk("chat", "-m", "p/m", "--tools", "lab", "--tool-choice", "required", "hi")
    assert ran.err == "p/m ignored tool_choice: no tool was called, although one was required.\n"


def test_at_the_limit_of_turns_a_script_exits_8_and_can_continue(desk: Desk, server: Scripted) -> None:
    server.will(*(calling(call("lab__echo", id=f"c{at}"), text=f"Turn {at}.") for at in range(9)))
    ran = desk("chat", "--max-turns", "2", "--tools", "lab", *ANY, "hi")
    assert (ran.code, ran.text) == (8, "Turn 0.\nTurn 1.\n")
    assert ran.err.splitlines()[-2:] == ["telex: p/m still calls tools after 2 turns", "  Raise --max-turns."]
    server.will(answer("Fine."))
    assert desk("chat", "-c", "--tools", "lab", "Go on.").text == "Fine.\n"
    assert roles(server.asked[0]) == ["user", "assistant", "tool", "assistant", "tool", "assistant", "user"]
    brought, missing = results(server.asked[0])
    assert brought == "{}"
    assert missing.startswith("There is no result")


# --- later turns -------------------------------------------------------------------------------------------


def test_results_are_saved_if_no_answer_follows(desk: Desk, server: Scripted) -> None:
    server.will(ECHO, Answer(status=401, body=[b"{}"]))
    ran = desk("chat", "--tools", "lab", *ANY, "hi")
    assert (ran.code, ran.text) == (4, "Let me see.\n")
    server.will(answer("Fine."))
    assert desk("chat", "-c", "Go on.").code == 0
    assert results(server.asked[0]) == ['{"n": 1}']


# --- bad servers, bad models -------------------------------------------------------------------------------


def test_calls_of_an_answer_that_was_not_received_whole_never_run(desk: Desk, server: Scripted) -> None:
    half = sse(delta("Let me see."), delta(tool_calls=[call("lab__spawn")]))
    server.will([*half, Cut()])
    ran = desk("chat", "--tools", "lab", *ANY, "hi")
    assert (ran.code, ran.text) == (6, "Let me see.\n")
    assert len(server.asked) == 1
    assert "a call of lab/spawn was not run" in ran.err


# --- ends that come from outside ---------------------------------------------------------------------------


def spawned(process: subprocess.Popen[bytes]) -> int:
    """The number of the process that a tool has started, once its call has ended."""
    assert process.stdout is not None
    for line in process.stdout:
        found = json.loads(line)
        if found["type"] == "tool_result":
            return int(found["text"])
    raise AssertionError("it ended before")


TWO_CALLS = calling(call("lab__spawn"), call("lab__wait", {"n": 30}, id="b", index=1), text="Two at once.")


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGHUP", -1), ("SIGKILL", -9)], ids=str)
def test_a_signal_ends_the_servers_and_all_that_they_started(
    desk: Desk, server: Scripted, number: str, code: int
) -> None:
    server.will(TWO_CALLS)
    lab(desk, "two")
    # One after the other: the helper serves one call at a time, and waits in the second.
    process = desk.start("chat", "--jsonl", "--tools", "lab,two", *ANY, "hi")
    with process:
        child = spawned(process)
        assert alive(child)
        process.send_signal(getattr(signal, number))
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == code
    assert within(60, lambda: running(desk.home) == [] and not alive(child))
    if number != "SIGKILL":
        end = json.loads(rest.splitlines()[-1])
        assert (end["type"], end["verdict"]) == ("end", "interrupted")


def test_results_that_arrived_before_an_interrupt_are_saved(desk: Desk, server: Scripted) -> None:
    server.will(TWO_CALLS)
    with desk.start("chat", "--jsonl", "--tools", "lab", *ANY, "hi") as process:
        child = spawned(process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    server.will(answer("Fine."))
    assert desk("chat", "-c", "Go on.").code == 0
    assert roles(server.asked[0]) == ["user", "assistant", "tool", "tool", "assistant", "user"]
    brought, missing = results(server.asked[0])
    assert brought == str(child)
    assert missing.startswith("There is no result")


def test_no_server_outlives_a_reader_that_closes_the_pipe(desk: Desk, server: Scripted) -> None:
    server.will(
        calling(call("lab__spawn"), text="One."), [*sse(delta("Two.")), Pause(0.3), *answer("Three.")]
    )
    with desk.start("chat", "--tools", "lab", *ANY, "hi") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"One.\n"
        process.stdout.close()
        assert process.wait(60) == 141
    child = int(results(server.asked[1])[0])
    assert within(60, lambda: running(desk.home) == [] and not alive(child))


# --- images in results --------------------------------------------------------------------------------------


def test_images_in_results_are_saved_and_go_to_models_that_read_them(desk: Desk, server: Scripted) -> None:
    desk("models", "add", "p", "seeing", "--vision")
    desk("models", "add", "p", "blind", "--no-vision")
    server.will(calling(call("lab__mixed", {})), DONE_NOW)
    ran = desk("chat", "-m", "p/seeing", "--tools", "lab", "--allow", "mixed", "--jsonl", "Look.")
    (told,) = [event for event in map(json.loads, ran.text.splitlines()) if event["type"] == "tool_result"]
    (url,) = told["images"]
    for model, sees in (("seeing", True), ("blind", False)):
        server.will(answer("Red."))
        assert desk("chat", "-c", "-m", f"p/{model}", "What colour?").code == 0
        sent = json.dumps(server.asked[-1].body)
        assert (url in sent, "which cannot be shown to you" in sent) == (sees, not sees)


def test_a_call_written_as_text_is_shown_with_a_note(desk: Desk, server: Scripted) -> None:
    leaked = '<tool_call>\n{"name": "lab__echo", "arguments": {}}\n</tool_call>'
    for arguments, note in ((("--tools", "lab", "--jsonl"), True), ((), False)):
        server.will(answer(leaked))
        ran = desk("chat", *arguments, "hi")
        assert ("The model wrote a call of lab/echo as plain text;" in ran.err) is note
        assert ("call_as_text" in ran.text) is note
    server.will(answer(leaked))
    both, _ = desk.start("chat", "--tools", "lab", "hi", stderr=subprocess.STDOUT).communicate(timeout=60)
    assert f"{leaked}\nThe model wrote" in both.decode(), "the note begins a line of its own"
