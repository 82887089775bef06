"""Help: what every command of the whole tree must say of itself, how it is laid out, and what a wrong word is told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click
import pytest
from commands_tree import Below, calls, check, commands
from inprocess import Inside

from telex.command import Command, Group
from telex.exits import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

TREE = tuple(commands())
WORD = r"""(?:"[^"]*"|'[^']*'|\.|[^\s"'])+"""


def named(below: Below) -> str:
    return " ".join(below[0])


@pytest.fixture(params=TREE, ids=named)
def each(request: pytest.FixtureRequest) -> Below:
    """Every command in turn."""
    below: Below = request.param
    return below


# --- what every command says ---------------------------------------------------------------------------------


def test_every_command_says_in_one_line_what_it_does(each: Below) -> None:
    _, command = each
    line, _, more = (command.help or "").partition("\n")
    assert line.endswith((".", ":"))
    assert line[0].isupper()
    assert len(line) <= 110
    assert more == "" or more.startswith("\n"), "the line stands alone, what else there is to say below it"


def test_every_command_has_two_examples_and_one_is_a_pipe(each: Below) -> None:
    words, command = each
    assert isinstance(command, Command | Group)
    assert len(command.examples) >= 2
    assert any(re.search(r" \| ", example) for example in command.examples)
    if words != ("telex",):
        assert all(" ".join(words) in example for example in command.examples)


def test_telex_would_understand_every_example(each: Below) -> None:
    _, command = each
    assert isinstance(command, Command | Group)
    for example in command.examples:
        found = calls(example)
        assert found
        for words in found:
            check(words, more="xargs" in example)


@pytest.mark.parametrize(
    "wrong",
    [
        ["chatt"],
        ["models", "lst"],
        ["chat", "--modle", "x"],
        ["models", "list", "-P"],
        ["models", "show"],
        ["models", "show", "a", "b"],
        ["chat", "--max-tokens", "many"],
        ["completion", "tcsh"],
    ],
    ids=" ".join,
)
def test_an_example_that_telex_would_not_understand_is_noticed(wrong: list[str]) -> None:
    with pytest.raises(click.UsageError):
        check(wrong)


def test_calls_are_found_in_pipes_substitutions_and_behind_xargs() -> None:
    line = """a | telex chat "b | c" <in >out && x $(telex models list | fzf) ; y | xargs -n 1 telex models show # e"""
    assert calls(line) == [["models", "list"], ["chat", "b | c"], ["models", "show"]]


def test_every_command_names_its_exit_codes(each: Below, tmp_path: Path) -> None:
    words, command = each
    text = Inside(tmp_path)(*words[1:], "--help").text
    if isinstance(command, click.Group):
        assert "Exit codes: see telex help exit-codes" in text
        return
    assert isinstance(command, Command)
    assert {ExitCode.OK, ExitCode.USAGE} <= set(command.exits)
    said = re.findall(r"^ +(\d+)  (.*)$", text.partition("Exit codes:")[2], re.MULTILINE)
    assert said == [(str(int(code)), code.meaning) for code in command.exits]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_help_fits_the_terminal_and_is_never_wider_than_99_columns(
    each: Below, tmp_path: Path, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    ran = Inside(tmp_path)(*each[0][1:], "--help")
    assert ran.code == 0
    _, command = each
    assert isinstance(command, Command | Group)
    # What cannot be broken stays whole: a quoted text, and an option with its value.
    quoted = [len(word) + 8 for example in command.examples for word in re.findall(WORD, example)]
    context = click.Context(command)
    options = [record for param in command.get_params(context) if (record := param.get_help_record(context))]
    longest = max(columns, *quoted, *(len(option) + 2 for option, _ in options))
    for line in ran.text.splitlines():
        assert len(line.rstrip()) <= min(longest, 99)
