"""Help: what every command and topic must say, how it is laid out, and advice for an unknown topic."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from commands_tree import Below, calls, check, commands
from inprocess import Inside
from running import python

from provider_core import presets
from telex.exit_codes import ExitCode
from telex.help import TOPICS, parse
from telex.help import topic as page_of
from telex.main import Command, CommandWithVerbs, root

if TYPE_CHECKING:
    from running import Telex

TREE = tuple(commands())
WORD = r"""(?:"[^"]*"|'[^']*'|\.|[^\s"'])+"""


@pytest.fixture(params=TREE, ids=lambda below: " ".join(below[0]))
def each(request: pytest.FixtureRequest) -> Below:
    """Every command in turn."""
    below: Below = request.param
    return below


@pytest.fixture
def telex_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    monkeypatch.setenv("COLUMNS", "100")
    return Inside(tmp_path)


# --- commands -------------------------------------------------------------------------------------------------------


def test_every_command_has_one_line_of_help_examples_and_exit_codes(each: Below, telex_in: Inside) -> None:
    words, command = each
    assert isinstance(command, Command)
    line, _, more = (command.help or "").partition("\n")
    assert re.fullmatch(r"[A-Z].{,108}[.:]", line)
    assert more == "" or more.startswith("\n"), "a blank line separates the first line from the rest"

    assert len(command.examples) >= 2
    assert any(" | " in example for example in command.examples)
    for example in command.examples:
        assert words == ("telex",) or " ".join(words) in example
        assert calls(example)
        for found in calls(example):
            check(found, more="xargs" in example)

    text = telex_in(*words[1:], "--help").text
    if isinstance(command, click.Group) and not isinstance(command, CommandWithVerbs):
        assert "Exit codes: see telex help exit-codes" in text
    else:
        assert {ExitCode.OK, ExitCode.USAGE} <= set(command.exits)
        shown = re.findall(r"^ +(\d+)  (.*)$", text.partition("Exit codes:")[2], re.MULTILINE)
        assert shown == [(str(int(code)), meaning) for code, meaning in sorted(command.meanings.items())]
        assert ("the answer is incomplete" in text) == (words[1:] == ("chat",))


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_help_fits_the_terminal_and_is_never_wider_than_99_columns(
    each: Below, telex_in: Inside, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    words, command = each
    assert isinstance(command, Command)
    # Quoted text, and an option with its value, are never broken.
    quoted = [len(word) + 8 for example in command.examples for word in re.findall(WORD, example)]
    context = click.Context(command, **root.context_settings)
    options = [record for param in command.get_params(context) if (record := param.get_help_record(context))]
    longest = max(columns, *quoted, *(len(option) + 2 for option, _ in options))
    for line in telex_in(*words[1:], "--help").text.splitlines():
        assert len(line.rstrip()) <= min(longest, 99)


@pytest.mark.parametrize(
    "wrong", ["chatt", "models lst", "chat --modle x", "models list -P", "models show a b", "completion tcsh"]
)
def test_the_check_of_examples_notices_what_telex_would_not_understand(wrong: str) -> None:
    with pytest.raises(click.UsageError):
        check(wrong.split())


def test_calls_are_found_in_pipes_substitutions_and_after_xargs() -> None:
    line = """a | telex chat "b | c" <in >out && x $(telex models list | fzf) ; y | xargs -n 1 telex models show # e"""
    assert calls(line) == [["models", "list"], ["chat", "b | c"], ["models", "show"]]


# --- topics ---------------------------------------------------------------------------------------------------------


def test_telex_help_with_a_command_is_its_help(each: Below, telex_in: Inside) -> None:
    words = each[0][1:]
    if words[:1] and words[0] in TOPICS and len(words) == 1:
        assert f"\nHelp for the command: telex {words[0]} --help\n" in telex_in("help", *words).text
    else:
        assert telex_in("help", *words) == telex_in(*words, "--help")


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_is_printed_with_examples_that_telex_understands(topic: str, telex_in: Inside) -> None:
    ran = telex_in("help", topic)
    assert (ran.code, ran.err) == (0, "")
    assert ran.text.startswith(TOPICS[topic])
    assert "Examples:\n" in ran.text
    assert f"  {topic} " in telex_in("--help").text
    blocks = [block for blocks in page_of(topic).values() for block in blocks if isinstance(block, list)]
    found = [words for block in blocks for line in block for words in calls(line)]
    assert len(found) >= 2
    for words in found:
        check(words)


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_topic_fits_the_terminal(
    topic: str, columns: int, telex_in: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = telex_in("help", topic).text.splitlines()
    unbreakable = max(len(word) for line in lines for word in re.findall(WORD, line))
    assert max(map(len, lines)) <= min(max(columns, unbreakable + 10), 99)


def test_generated_rows_are_those_of_the_code(telex_in: Inside) -> None:
    text = telex_in("help", "exit-codes").text
    for code in ExitCode:
        assert re.search(rf"^{int(code)} +{re.escape(code.meaning)}$", text, re.MULTILINE)
    words = set(re.findall(r"\w+", telex_in("help", "keys").text))
    for preset in presets.all_presets():
        assert {*preset.key_env, *(name for part in preset.variables for name in part.env)} <= words


def test_a_page_is_parsed_from_its_file() -> None:
    page = parse("Some\nwords.\n\n- A, B: one\n  two\n- C: x: y\n\n## Next\n\n    telex chat\n    telex\n")
    assert page == {
        "": ["Some words.", (("A, B", "one two"), ("C", "x: y"))],
        "Next": [["telex chat", "telex"]],
    }
    with pytest.raises(KeyError):
        parse("{no such table}")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("fallback", "'fallback' is not a command or topic\n  Did you mean `telex help models`"),
        ("envronment", "'envronment' is not a command or topic\n  Did you mean `telex help environment`?"),
        ("models lst", "'lst' is not a command of telex models\n  Did you mean `telex help models list`?"),
        ("%", "\n  Commands: chat, batch, models, "),
        ("%", "\n  Topics: conversations, "),
        ("chat x", "telex chat has no commands. Its help: telex help chat"),
        ("set-key", "Did you mean `telex help providers set-key`?"),
        ("models %", "Commands: list, show, "),
    ],
)
def test_an_unknown_topic_is_an_error_with_near_names(telex_in: Inside, typed: str, said: str) -> None:
    ran = telex_in("help", *typed.split())
    assert (ran.code, ran.text) == (2, "")
    assert said in ran.err


# --- output and imports ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", ["--help", "--version", "help keys"])
def test_a_full_disk_is_an_error(telex: Telex, arguments: str) -> None:
    with Path("/dev/full").open("wb") as full:
        ran = telex(*arguments.split(), stdout=full)
    assert (ran.code, ran.err) == (1, "telex: the output cannot be written: No space left on device\n")


@pytest.mark.parametrize("arguments", ["--help", "help keys"])
def test_a_reader_that_closes_the_pipe_ends_help_quietly(telex: Telex, arguments: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ran = telex(*arguments.split(), stdout=writing)
    os.close(writing)
    assert (ran.code, ran.err) == (ExitCode.CLOSED_PIPE, "")


@pytest.mark.parametrize(
    ("arguments", "unneeded"),
    [
        ("", ["telex.commands"]),
        ("--help", ["telex.commands", "telex.completion"]),
        ("--version", ["telex.commands", "telex.help"]),
        ("chat --help", ["telex.completion"]),
        ("models list", ["telex.help", "telex.completion."]),
    ],
)
def test_a_command_imports_neither_others_nor_help_that_is_not_shown(
    telex: Telex, arguments: str, unneeded: list[str]
) -> None:
    loaded = python(
        "import json, sys, io, contextlib\n"
        "from telex.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):\n"
        f"    main({arguments.split()!r})\n"
        "print(json.dumps(sorted(sys.modules)))",
        telex.env,
    )
    assert [name for name in json.loads(loaded) if name.startswith(tuple(unneeded))] == []
