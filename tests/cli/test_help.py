"""Help: what every command must say of itself, how it is laid out, and what it says of an unknown topic."""

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
from telex.command import Command
from telex.exit_codes import ExitCode
from telex.help import TOPICS
from telex.help.pages import CommandLines, Definitions, Prose, Section, parse
from telex.help.pages import topic as page_of
from telex.main import COMMANDS, root

if TYPE_CHECKING:
    from running import Telex

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
    assert isinstance(command, Command)
    assert len(command.examples) >= 2
    assert any(re.search(r" \| ", example) for example in command.examples)
    if words != ("telex",):
        assert all(" ".join(words) in example for example in command.examples)


def test_telex_would_understand_every_example(each: Below) -> None:
    _, command = each
    assert isinstance(command, Command)
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


def test_every_command_names_its_exit_codes(
    each: Below, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    words, command = each
    text = Inside(tmp_path)(*words[1:], "--help").text
    if isinstance(command, click.Group):
        assert "Exit codes: see telex help exit-codes" in text
        return
    assert isinstance(command, Command)
    assert {ExitCode.OK, ExitCode.USAGE} <= set(command.exits)
    said = re.findall(r"^ +(\d+)  (.*)$", text.partition("Exit codes:")[2], re.MULTILINE)
    assert said == [(str(int(code)), code.meaning_among(command.exits)) for code in command.exits]
    assert ("the answer is cut" in text) == (words[1:] == ("chat",))


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_help_fits_the_terminal_and_is_never_wider_than_99_columns(
    each: Below, tmp_path: Path, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    ran = Inside(tmp_path)(*each[0][1:], "--help")
    assert ran.code == 0
    _, command = each
    assert isinstance(command, Command)
    # What cannot be broken stays whole: a quoted text, and an option with its value.
    quoted = [len(word) + 8 for example in command.examples for word in re.findall(WORD, example)]
    context = click.Context(command, **root.context_settings)
    options = [record for param in command.get_params(context) if (record := param.get_help_record(context))]
    longest = max(columns, *quoted, *(len(option) + 2 for option, _ in options))
    for line in ran.text.splitlines():
        assert len(line.rstrip()) <= min(longest, 99)


# --- topics --------------------------------------------------------------------------------------------------


def test_telex_help_is_the_help_of_telex(telex: Telex) -> None:
    asked, given = telex("help"), telex("--help")
    assert (asked.code, asked.err, asked.text) == (0, "", given.text)


def test_telex_help_with_a_command_is_its_help(each: Below, tmp_path: Path) -> None:
    words = each[0][1:]
    if words and words[0] in TOPICS and len(words) == 1:
        pytest.skip("a topic has this name, and says where the command's help is")
    telex = Inside(tmp_path)
    assert telex("help", *words) == telex(*words, "--help")


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_is_printed_with_its_examples(topic: str, tmp_path: Path) -> None:
    ran = Inside(tmp_path)("help", topic)
    assert (ran.code, ran.err) == (0, "")
    assert ran.text.startswith(TOPICS[topic])
    assert "Examples:\n" in ran.text
    assert f"  {topic} " in Inside(tmp_path)("--help").text


@pytest.mark.parametrize("topic", TOPICS)
def test_telex_would_understand_every_command_of_a_topic(topic: str) -> None:
    lines = [
        line
        for section in page_of(topic)
        for block in section.blocks
        if isinstance(block, CommandLines)
        for line in block.lines
    ]
    found = [words for line in lines for words in calls(line)]
    assert len(found) >= 2
    for words in found:
        check(words)


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_topic_fits_the_terminal(
    topic: str, columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = Inside(tmp_path)("help", topic).text
    longest = max(len(line) for line in text.splitlines())
    unbreakable = max(len(word) for line in text.splitlines() for word in re.findall(WORD, line))
    assert longest <= min(max(columns, unbreakable + 10), 99)


def test_a_topic_with_a_commands_name_leads_to_the_commands_help(tmp_path: Path) -> None:
    names = sorted(set(TOPICS) & set(COMMANDS))
    assert names
    for name in names:
        assert f"\nHelp for the command: telex {name} --help\n" in Inside(tmp_path)("help", name).text


def test_the_exit_codes_of_the_topic_are_those_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    text = Inside(tmp_path)("help", "exit-codes").text
    for code in ExitCode:
        assert re.search(rf"^{int(code)} +{re.escape(code.meaning)}$", text, re.MULTILINE)


def test_the_variables_of_keys_are_those_of_the_presets(tmp_path: Path) -> None:
    words = set(re.findall(r"\w+", Inside(tmp_path)("help", "keys").text))
    for preset in presets.all_presets():
        assert set(preset.key_env) <= words
        assert {name for part in preset.variables for name in part.env} <= words


def test_a_page_is_read_from_its_file() -> None:
    page = parse("Some\nwords.\n\n- A, B: one\n  two\n- C: x: y\n\n## Next\n\n    telex chat\n    telex\n")
    assert page == (
        Section(
            title="",
            blocks=(Prose(text="Some words."), Definitions(rows=(("A, B", "one two"), ("C", "x: y")))),
        ),
        Section(title="Next", blocks=(CommandLines(lines=("telex chat", "telex")),)),
    )
    with pytest.raises(KeyError):
        parse("{no such table}")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["models", "-h"], ["help", "keys"]], ids=" ".join
)
def test_a_full_disk_is_said_and_no_mistake_of_telex(telex: Telex, arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        ran = telex(*arguments, stdout=full)
    assert (ran.code, ran.err) == (1, "telex: the output cannot be written: No space left on device\n")


@pytest.mark.parametrize("arguments", [["--help"], ["help", "keys"]], ids=" ".join)
def test_a_reader_that_goes_away_ends_help_quietly(telex: Telex, arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ran = telex(*arguments, stdout=writing)
    os.close(writing)
    assert (ran.code, ran.err) == (ExitCode.CLOSED_PIPE, "")


# --- unknown topics -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (
            ["help", "envronment"],
            "'envronment' is neither a topic nor a command. Did you mean `telex help environment`?",
        ),
        (
            ["help", "models", "lst"],
            "'lst' is not a command of telex models. Did you mean `telex help models list`?",
        ),
        (["help", "chat", "x"], "telex chat has no commands. Its help: telex help chat"),
        (["help", "set-key"], "Did you mean `telex help providers set-key`?"),
        (["help", "models", "%"], "There are: list, show, "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_unknown_topic_is_an_error_with_near_names(tmp_path: Path, typed: list[str], said: str) -> None:
    ran = Inside(tmp_path)(*typed)
    assert (ran.code, ran.text) == (2, "")
    assert said in ran.err


# --- what it costs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["--version"]], ids=lambda words: " ".join(words) or "telex"
)
def test_help_of_telex_imports_no_command(arguments: list[str]) -> None:
    loaded = python(
        "import json, sys, io, contextlib\n"
        "from telex.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):\n"
        f"    main({arguments!r})\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    assert not [name for name in json.loads(loaded) if name.startswith("telex.commands")]


def test_no_command_that_runs_imports_how_help_is_laid_out(telex: Telex) -> None:
    loaded = python(
        "import json, sys, io, contextlib\n"
        "from telex.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    main(['models', 'list'])\n"
        "print(json.dumps(sorted(sys.modules)))",
        telex.env,
    )
    assert not [name for name in json.loads(loaded) if name.startswith("telex.help")]
