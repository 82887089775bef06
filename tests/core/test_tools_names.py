"""The names of tools: as providers accept them, and as models write them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toolboxes import Box, say

from provider_core.errors import UnknownToolError
from provider_core.tools.names import ToolNames

TAKEN = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}")


def box(name: str, *tools: str, **schemas: Any) -> Box:
    return Box(name, schemas=schemas, **{tool: say(tool) for tool in tools})


def offered(*boxes: Box) -> list[str]:
    return [tool.name for tool in ToolNames().offer(boxes)]


@pytest.mark.parametrize(
    ("toolbox", "tool", "name"),
    [
        ("fs", "read_file", "fs__read_file"), ("", "clock", "clock"),
        ("my server", "get/thing.v2", "my_server__get_thing_v2"), ("7zip", "list", "_7zip__list"),
        ("-x", "y", "_-x__y"), ("Git-Hub", "list-issues", "Git-Hub__list-issues"), ("文件", "read", "____read"),
        ("s" * 60, "ab", "s" * 60 + "__ab"),
    ],
)  # fmt: skip
def test_a_name_has_only_characters_that_providers_accept(toolbox: str, tool: str, name: str) -> None:
    assert offered(box(toolbox, tool)) == [name]
    assert TAKEN.fullmatch(name)


def test_a_long_name_is_cut_and_gets_a_digest() -> None:
    one, two = offered(box("server", "x" * 80, "x" * 80 + "y"))
    assert one != two
    for name in (one, two):
        assert TAKEN.fullmatch(name)
        assert name.startswith("server__xxx")
        assert len(name) == 64
    assert offered(box("server", "x" * 80)) == [one], "the mark is the same in the next process"


def test_tools_with_the_same_name_get_different_ones() -> None:
    boxes = (box("a", "b.c", "b_c", "b/c"), box("a", "b.c"), box("a__b", "c"), box("", "a__b_c"))
    names = ToolNames()
    made = [tool.name for tool in names.offer(boxes)]
    assert len(set(made)) == 6
    assert all(TAKEN.fullmatch(name) for name in made)
    back = [(names.find(name)[0], names.find(name)[1].tool.name) for name in made]
    assert back == [(b, offered.tool.name) for b in boxes for offered in b.tools]


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(st.text(max_size=80), st.lists(st.text(max_size=80), unique=True, max_size=4)), max_size=4
    )
)
def test_every_name_is_valid_and_leads_back_to_its_tool(given: list[tuple[str, list[str]]]) -> None:
    boxes = [box(toolbox, *tools) for toolbox, tools in given]
    names = ToolNames()
    made = [tool.name for tool in names.offer(boxes)]
    assert len(set(made)) == sum(len(tools) for _, tools in given)
    assert all(TAKEN.fullmatch(name) for name in made)
    back = [(names.find(name)[0], names.find(name)[1].tool.name) for name in made]
    assert back == [(b, offered.tool.name) for b in boxes for offered in b.tools]


def test_a_tool_keeps_its_name_when_others_come_and_go() -> None:
    names, first, second = ToolNames(), box("a", "b.c"), box("a", "x")
    (before,) = names.offer([first])
    first.tools = (*box("a", "b_c").tools, *first.tools)
    after = {tool.description: tool.name for tool in names.offer([first, second])}
    assert after["b.c of a"] == before.name
    first.tools = ()
    assert [tool.name for tool in names.offer([first, second])] == ["a__x"]
    with pytest.raises(UnknownToolError):
        names.find(before.name)


def test_a_changed_schema_is_offered() -> None:
    names, tools = ToolNames(), box("a", "b")
    assert names.offer([tools])[0].schema["properties"] == {}
    tools.tools = box("a", "b", b={"type": "object", "properties": {"n": {"type": "integer"}}}).tools
    assert names.offer([tools])[0].schema["properties"] == {"n": {"type": "integer"}}


def known() -> ToolNames:
    names = ToolNames()
    names.offer([box("fs", "read", "list"), box("web", "list")])
    return names


def test_a_choice_is_a_word_or_any_name_of_one_tool() -> None:
    for word in (None, "auto", "required", "none"):
        assert known().choice(word) == word
    for name in ("fs__read", "fs/read", "read"):
        assert known().choice(name) == "fs__read"
    with pytest.raises(UnknownToolError, match=r"fs/list.*web/list"):
        known().choice("list")


def test_an_unknown_name_is_shortened() -> None:
    with pytest.raises(UnknownToolError) as raised:
        ToolNames().find("x" * 10_000)
    assert len(raised.value.message) < 150
    with pytest.raises(UnknownToolError, match=f"'{'x' * 64}'"):
        ToolNames().find("x" * 64)


DECORATED = """functions.fs__read functions.fs__read:0 functions.fs.read:12 function.fs__read default_api.fs__read
default_api:fs__read default_api.read tools.fs__read tool/fs/read mcp__fs__read fs.read fs/read fs:read fs::read read
`fs__read` fs__read() fs__read:0 fs__read<|channel|>commentary functions.read<|constrain|>json"""


@pytest.mark.parametrize("called", [*DECORATED.split(), " fs__read\n"])
def test_a_name_with_additions_means_its_tool(called: str) -> None:
    assert known().resolve(called) == "fs__read"
    assert known().find(called)[1].tool.name == "read"


NEAR = ["list", "functions.list", "fs__raed", "fs_read", "FS__READ", "other.read", "fs__read2", "", ":0"]


@pytest.mark.parametrize("called", NEAR)
def test_a_similar_name_means_no_tool(called: str) -> None:
    assert known().resolve(called) == called
    with pytest.raises(UnknownToolError):
        known().find(called)


def test_a_tools_own_name_is_not_taken_for_an_addition() -> None:
    names = ToolNames()
    names.offer([box("functions", "read"), box("fs", "read", "functions.write", "write")])
    assert names.find("functions.read")[0].name == "functions"
    assert names.find("functions.write")[1].tool.name == "functions.write"
    assert names.find("functions.fs.write")[1].tool.name == "write"
    assert names.resolve("read") == "read"
    clash = ToolNames()
    clash.offer([box("a", "b.c"), box("a.b", "c")])
    assert clash.resolve("a.b.c") == "a.b.c", "it may be either"
