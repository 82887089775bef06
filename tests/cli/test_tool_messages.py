"""Calls as they are shown: nothing in them begins a line, commands a terminal or hides; and what is approved of."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from rich.cells import cell_len
from toolboxes import Box, say

from provider_core.errors import ToolArgumentsError, ToolError, ToolRefusedError, UnknownToolError
from provider_core.events import (
    PlannedCall,
    ToolAnnotations,
    ToolEnded,
    ToolLimits,
    ToolProgress,
    ToolResult,
    ToolSpec,
)
from provider_core.types import Tool, ToolCall
from telex.chat.tools import ApprovalPolicy, matches
from telex.console import visible
from telex.render import messages

CALL = ToolCall(id="a", name="box__run", arguments="{}")


def planned(
    arguments: dict[str, Any] | None = None, *, tool: str = "run", title: str = "", **more: Any
) -> PlannedCall:
    hints = more.pop("hints", ToolAnnotations())
    offered = ToolSpec(tool=Tool(name=tool, **more), title=title, annotations=hints)
    return PlannedCall(toolbox=Box("box", run=say("")), spec=offered, call=CALL, arguments=arguments or {})


def shown(
    arguments: dict[str, Any] | None = None, *, width: int = 80, whole: bool = False, **more: Any
) -> list[str]:
    text = messages.planned_call(planned(arguments, **more), width=width, whole=whole)
    assert text.endswith("\n")
    return text[:-1].split("\n")


# --- before it runs ----------------------------------------------------------------------------------------


def test_a_planned_call_has_name_claims_and_arguments() -> None:
    hints = ToolAnnotations(read_only=False, destructive=True, open_world=True)
    assert shown({"path": "/tmp/a b", "n": 2, "deep": {"a": [1, None]}}, title="Run it", hints=hints) == [
        "The model wants to run box/run",
        "  The server claims (not verified): Run it; destructive, reaches the outside",
        '  path: "/tmp/a b"',
        "  n: 2",
        '  deep: {"a": [1, null]}',
    ]
    assert shown() == ["The model wants to run box/run", "  (no arguments)"]
    assert shown(hints=ToolAnnotations(read_only=True))[1] == "  The server claims (not verified): reads only"


def test_lines_and_long_values_are_below_the_name() -> None:
    assert shown({"script": "set -e\n\trm x\n", "json": {"key": "value " * 3}}, width=30) == [
        "The model wants to run box/ru",
        "  n",
        "  script:",
        "  │ set -e",
        "  │     rm x",
        "  │ ",
        "  json:",
        "  │ {",
        '  │   "key": "value value val',
        '  │ ue "',
        "  │ }",
    ]


HOSTILE = {
    "escape": "\x1b[2J\x1b]0;title\x07",
    "return": "safe\rRun it? y",
    "lines": "a\nRun it? [y]es: y",
    "separators": "a\u2028b\u2029c\x85d\x0be\x0cf",
    "bidi": "\u202egpj.exe\u2066\u200f",
    "hidden": "a\u200bb\u00adc\ufeffd\U000e0041",
    "c1": "\x9b2J",
    "half": "\ud83d",
    "wide": "漢字" * 60,
    "marks": "e" + "\u0301" * 200,
    "spaces": "a" + " " * 200 + "Run it? y",
}


@pytest.mark.parametrize("width", [80, 40, 20])
@pytest.mark.parametrize("name", HOSTILE)
def test_untrusted_text_begins_no_row_and_is_visible(name: str, width: int) -> None:
    evil = HOSTILE[name]
    rows = shown({evil: evil, "deep": [evil]}, width=width, tool=evil, title=evil, whole=True)
    first, *more = rows
    assert first.startswith("The model wants to ")
    assert all(row.startswith("  ") for row in more)
    for row in rows:
        assert cell_len(row) < width
        assert visible(row) == row
        assert row.isprintable()
        assert not any(unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") for letter in row)


def test_invisible_characters_are_escaped() -> None:
    assert shown({"path": "a\x1b[2J\u202eb"})[1] == '  path: "a\\u001b[2J\\u202eb"'
    assert shown({"text": "a\x1b\nb\u200b"})[2:] == ["  │ a\\x1b", "  │ b\\u200b"]
    assert shown({"x": "a\u3164\u034f\U000e0101\ufe00b"})[1] == '  x: "a\\u3164\\u034f\\U000e0101\\ufe00b"'
    assert shown({"x": "ไม้ ❤\ufe0f हिन्दी"})[1] == '  x: "ไม้ ❤\ufe0f हिन्दी"', (
        "marks that are seen are none of these"
    )
    assert shown(tool="r\nm\u202e")[0] == "The model wants to run box/r m\\u202e"


def test_a_long_value_is_shortened_unless_whole() -> None:
    text = "\n".join(f"line {number}" for number in range(200))
    rows = shown({"text": text, "after": 1})
    assert rows[2:5] == ["  │ line 0", "  │ line 1", "  │ line 2"]
    assert rows[10] == "  … 1.7 kB in all, 200 lines; v shows all …"
    assert rows[11:] == ["  │ line 197", "  │ line 198", "  │ line 199", "  after: 1"]
    assert len(shown({"text": text}, whole=True)) == 202


def test_the_end_of_a_long_line_is_shown() -> None:
    rows = shown({"command": "echo " + "x" * 100_000 + "; rm -rf ~"}, width=40)
    assert len(rows) < 20
    assert rows[-1].endswith('; rm -rf ~"')
    assert "  … 100.0 kB in all; v shows all …" in rows


def test_many_arguments_and_long_names_are_counted() -> None:
    many = {f"a{number}": number for number in range(50)}
    assert shown(many)[-1] == "  … and 38 more arguments"
    assert len(shown(many, whole=True)) == 51
    rows = shown(tool="x" * 10_000)
    assert rows[-2].endswith("… [10,004 characters]")
    assert len(rows) == 3


# --- while it runs, and after ------------------------------------------------------------------------------


def test_a_spinner_names_the_tools_that_run() -> None:
    assert messages.running_tools(["a/b", "a/c", "a/b"]) == "running a/b (2 times), a/c"
    assert messages.running_tools(["a/\x1b[2J\nb"]) == "running a/\\x1b[2J b"


def test_a_spinner_shows_progress() -> None:
    assert (
        messages.tool_progress(ToolProgress(planned=planned(), progress=3, total=8, message="step\n3"))
        == "step 3 (3/8)"
    )
    assert messages.tool_progress(ToolProgress(planned=planned(), progress=0.5)) == "0.5"


def ended(
    text: str = "", arguments: dict[str, Any] | None = None, *, error: ToolError | None = None, **more: Any
) -> str:
    result = ToolResult(text=text, is_error=more.pop("is_error", False))
    call = planned(arguments) if more.pop("planned", True) else None
    line = messages.ended_call(ToolEnded(call=CALL, planned=call, result=result, seconds=1.26, error=error))
    assert "\n" not in line
    assert visible(line) == line
    return line


def test_the_result_of_a_call_is_one_line() -> None:
    assert ended("four") == "box/run: 4 bytes in 1.3 s"
    assert ended("x" * 5000, {"a": "b\nc", "n": 1}) == "box/run (b c, 1): 5.0 kB in 1.3 s"
    assert ended("x", {"a": "y" * 100}) == f"box/run ({'y' * 39}…): 1 byte in 1.3 s"
    assert ended("Error: no\x1b[2J\nfile", is_error=True) == "box/run: failed in 1.3 s: no\\x1b[2J file"
    assert ended(error=ToolRefusedError("the user refused")) == "box/run: refused"
    assert ended(error=ToolError("box/run did not\nend")) == "box/run: did not end"
    assert ended(error=ToolError("the server is gone")) == "box/run: the server is gone"
    unknown = UnknownToolError("there is no tool 'box__run'; there are many")
    assert ended(error=unknown, planned=False) == "box__run: unknown tool"
    bad = ToolArgumentsError("the arguments for box/run cannot be used", server="box", tool="run")
    assert ended(error=bad, planned=False) == "box/run: the arguments for box/run cannot be used"


def test_a_result_over_its_limit_is_reported_as_cut() -> None:
    box = Box("box", limits=ToolLimits(size=10), run=say(""))
    call = PlannedCall(toolbox=box, spec=box.tools[0], call=CALL, arguments={})
    event = ToolEnded(call=CALL, planned=call, result=ToolResult(text="x" * 99), seconds=0.0)
    assert messages.ended_call(event) == "box/run: cut to 99 bytes in 0.0 s"


# --- what is approved of -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("files/read", ["files/read"], ["files/read_all", "other/read", "files/Read"]),
        ("files/read_*", ["files/read_all", "files/read_"], ["files/read", "other/read_all"]),
        ("files/*", ["files/read", "files/a/b"], ["files2/read", "a-files/read"]),
        ("read", ["files/read", "other/read"], ["files/reads", "read/files"]),
        ("*", ["files/read", "files/a/b"], []),
        ("*/read", ["files/read"], ["files/write"]),
    ],
)
def test_patterns_match_server_and_tool_or_the_tool_alone(
    pattern: str, yes: list[str], no: list[str]
) -> None:
    def fits(name: str) -> bool:
        server, _, tool = name.partition("/")
        return matches(server, tool, [pattern])

    assert [name for name in yes if not fits(name)] == []
    assert [name for name in no if fits(name)] == []


def test_always_allows_only_the_unchanged_tool() -> None:
    policy = ApprovalPolicy()
    call = planned({"a": 1}, description="Reads.")
    assert not policy.allows(call)
    policy.always(call)
    assert policy.allows(planned({"a": 2}, description="Reads."))
    assert not policy.allows(planned(tool="other", description="Reads."))
    for changed in (
        planned(description="Writes."),
        planned(description="Reads.", title="T"),
        planned(description="Reads.", schema={"type": "object"}),
        planned(description="Reads.", hints=ToolAnnotations(destructive=True)),
    ):
        assert not policy.allows(changed)
        assert policy.has_changed(changed)
    assert not policy.has_changed(call)
    assert not policy.has_changed(planned(tool="other"))
