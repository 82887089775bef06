"""Commands of a conversation about its settings and tools: /set, /tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from conversing import Dialogue
from scripted import Scripted, answer
from toolboxes import call, calling
from toolchat import lab, odd, results

from provider_core.history import History
from telex.app import App
from telex.repl.commands import complete

if TYPE_CHECKING:
    from pathlib import Path

    from running import Telex


@pytest.fixture
def talk(telex: Telex, server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dialogue:
    telex.provider("lab", server.url, models=["m", "m2"], retries=0)
    telex.configure(
        f'model = "lab/m"\n[aliases.fast]\ntarget = "lab/m"\ntemperature = 0.9\n{telex.settings.read_text()}'
    )
    server.will(answer("**Blue.**"))
    monkeypatch.chdir(tmp_path)
    return Dialogue(telex)


def body(server: Scripted) -> dict[str, Any]:
    found: dict[str, Any] = server.asked[-1].body
    return found


# --- /set --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("/set temperature 0.5", "temperature", 0.5),
        ("/set max_tokens 7", "max_tokens", 7),
        ("/set reasoning_effort low", "reasoning_effort", "low"),
        ("/set stream false", "stream", False),
        ("/set params '{\"top_k\": 3}'", "top_k", 3),
        ("/set model lab/m2", "model", "m2"),
    ],
)
def test_setting_applies_at_once(
    talk: Dialogue, telex: Telex, server: Scripted, line: str, field: str, value: object
) -> None:
    before = telex.settings.read_text()
    talk("-m", "fast", lines=[line, "Which?"])
    assert body(server)[field] == value
    assert telex.settings.read_text() == before


def test_a_setting_overrides_an_alias_until_it_is_removed(talk: Dialogue, server: Scripted) -> None:
    talk("-m", "fast", lines=["/set temperature 0.5", "Which?", "/set temperature -", "Which now?"])
    assert [asked.body["temperature"] for asked in server.asked] == [0.5, 0.9]


def test_an_option_applies_again_when_the_change_is_removed(talk: Dialogue, server: Scripted) -> None:
    lines = ["/set temperature 0.5", "/set system Rhyme.", "/set model lab/m2", "Which?"]
    talk(
        "-t",
        "0.25",
        "-s",
        "Sing.",
        "-m",
        "lab/m",
        lines=[*lines, "/set temperature -", "/set system -", "/set model -", "Which now?"],
    )
    assert [asked.body["temperature"] for asked in server.asked] == [0.5, 0.25]
    assert [asked.body["model"] for asked in server.asked] == ["m2", "m"]
    assert [asked.body["messages"][0]["content"] for asked in server.asked] == ["Rhyme.", "Sing."]


def test_settings_of_the_screen_override_options(talk: Dialogue, server: Scripted) -> None:
    rows = talk("--usage", lines=["Which?", "/set usage none", "And now?"])
    assert sum(" · " in row for row in rows[1:]) == 1
    rows = talk(lines=["/set system It's late: be brief.", "Which?", "/set reasoning hide", "/set reasoning"])
    assert body(server)["messages"][0] == {"role": "system", "content": "It's late: be brief."}
    assert any(row.split() == ["reasoning", "hide", "this", "conversation"] for row in rows)


def test_a_variable_applies_again_when_the_change_is_removed(telex: Telex, talk: Dialogue) -> None:
    telex.env |= {"TELEX_USAGE": "full"}
    rows = Dialogue(telex)(lines=["/set usage none", "/set usage", "/set usage -"])
    assert [row.split() for row in rows if row.startswith("usage  ")] == [
        ["usage", "none", "this", "conversation"],
        ["usage", "full"],
    ]


def test_settings_are_listed_with_what_overrides_them(talk: Dialogue) -> None:
    rows = talk("-t", "0", "-p", "top_k=3", "--plain", "-u", lines=["/set max_tokens 7", "/set"])
    assert [row.split(maxsplit=1) for row in rows[4:-1]] == [
        ["SETTING", "VALUE         SOURCE"], ["model", "lab/m"], ["system"], ["temperature", "0.0           option"],
        ["max_tokens", "7             this conversation"], ["reasoning_effort"], ["stream"],
        ["params", '{"top_k": 3}  option'], ["markdown", "false         option"], ["reasoning", "show"],
        ["usage", "full          option"], ["code_theme"], ["editing", "emacs"], ["history", "true"], ["budget.day"],
        ["budget.month"],
    ]  # fmt: skip


def test_the_file_is_changed_only_if_asked(talk: Dialogue, telex: Telex) -> None:
    rows = talk(lines=["/set --save usage full"])
    assert 'usage = "full"' in telex.settings.read_text()
    assert any(row.startswith("usage is now full, here and in") for row in rows)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("/set tempreature 1", "telex: tempreature cannot be set in a conversation"),
        ("/set providers.lab.timeout 1", "telex: providers.lab.timeout cannot be set in a conversation"),
        ("/set temperature warm", "telex: temperature: must be a number"),
        ("/set usage all", "telex: usage: must be 'auto', 'none', 'short' or 'full'"),
        ("/set --save", "telex: /set --save takes a setting and a value"),
        ("/set --save usage", "telex: /set --save takes a setting and a value"),
        ("/set budget.day -1", "telex: budget.day"),
    ],
)
def test_an_invalid_set_is_an_error_and_changes_nothing(
    talk: Dialogue, telex: Telex, server: Scripted, line: str, error: str
) -> None:
    before = telex.settings.read_text()
    rows = talk(lines=[line, "Which?"])
    assert any(row.startswith(error) for row in rows), rows
    assert "temperature" not in body(server)
    assert telex.settings.read_text() == before


def test_a_budget_holds_from_then_on(talk: Dialogue, telex: Telex, server: Scripted) -> None:
    server.will(answer("Blue.", usage={"prompt_tokens": 9, "completion_tokens": 9, "cost": 5}))
    rows = talk(lines=["Which?", "/set budget.day 1", "And now?"])
    assert len(server.asked) == 1
    assert any("budget" in row for row in rows if row.startswith("telex: "))


def test_max_cost_is_for_the_whole_conversation(talk: Dialogue, server: Scripted) -> None:
    server.will(answer("Blue.", usage={"prompt_tokens": 9, "completion_tokens": 9, "cost": 0.4}))
    rows = talk("--max-cost", "1", lines=["One?", "Two?", "Three?", "Four?"])
    assert len(server.asked) == 3
    assert "  Raise --max-cost to allow more." in rows


def test_a_conversation_that_is_not_saved_stays_unsaved(talk: Dialogue) -> None:
    talk("--no-save", lines=["/set usage full", "Which?"])
    with History(talk.paths.history) as history:
        assert not history.conversations()


def test_tab_completes_settings_and_servers(telex: Telex, talk: Dialogue) -> None:
    telex.configure(f'{telex.settings.read_text()}[mcp.clock]\ncommand = ["clock"]\n')
    app = App(environ=telex.env)
    assert [each.text for each in complete(app, "/set rea")] == ["reasoning_effort ", "reasoning "]
    assert [each.text for each in complete(app, "/set reasoning h")] == ["hide"]
    assert [each.text for each in complete(app, "/tools o")] == ["on ", "off "]
    assert [each.text for each in complete(app, "/tools on ")] == ["clock"]


# --- /tools ------------------------------------------------------------------------------------------------


def test_servers_are_listed_and_turned_on_and_off(talk: Dialogue, telex: Telex, server: Scripted) -> None:
    lab(telex, "one", '["ask", "echo"]', allow=["echo"])
    odd(telex, "learn")
    rows = talk(
        lines=[
            "/tools",
            "/tools on odd one",
            "/tools off one",
            "Who?",
            "/tools off all",
            "Who?",
            "/tools off odd",
        ]
    )
    screen = "\n".join(rows)
    assert "> /tools\noff  odd\noff  one\nTo turn one on: /tools on NAME\n" in screen
    on = "on   odd: learn\non   one: ask, echo*\n* runs without asking for approval\n"
    assert f"> /tools on odd one\n{on}> /tools off one\non   odd: learn\noff  one\n> Who?" in screen
    assert "> /tools off all\noff  odd\noff  one\nTo turn one on: /tools on NAME\n> Who?" in screen
    assert "> /tools off odd\ntelex: odd is not on\n" in screen
    assert [len(asked.body.get("tools", ())) for asked in server.asked] == [1, 0]


def test_a_server_that_has_ended_is_started_again(talk: Dialogue, telex: Telex, server: Scripted) -> None:
    lab(telex, "one", allow=["*"])
    server.will(
        calling(call("one__die")), answer("Oh."), calling(call("one__echo", {"a": 1})), answer("Now.")
    )
    rows = talk("--tools", "one", lines=["Do it.", "/tools", "/tools on one", "Again."])
    assert any(row.startswith("off  one: the MCP server one ended (exit 3)") for row in rows)
    assert '"a": 1' in results(server.asked[-1])[-1]
