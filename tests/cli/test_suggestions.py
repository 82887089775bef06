"""A command line that telex does not understand: what it proposes instead, and that no key is repeated."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click
import pytest
from commands_tree import calls, check, commands
from inprocess import Inside

from telex import suggest
from telex.main import COMMANDS, CommandWithVerbs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def commands_in(text: str) -> Iterator[list[str]]:
    """The telex commands that an error suggests."""
    for line in re.findall(rf"telex (?:{'|'.join(COMMANDS)})\b[^`\n,]*", text.replace("` or `", "`\n")):
        yield from calls(re.sub(r"Did you mean|`", "", line))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("caht hi", "Did you mean `telex chat hi`?"), ("models lst", "Did you mean `telex models list`?"),
        ("ls", "`telex models list` or `telex providers list`"),
        ("auth openai", "telex providers set-key openai"),
        ("keys set openai", "telex providers set-key openai"),
        ("cost", "telex usage"), ("prices", "telex models list --sort price"), ("set model x", "telex config set"),
        ("run llama3 why?", "telex chat -m llama3 'why?'"), ("run", "To ask a model: telex chat\n"),
        ("ask hello", "telex chat hello"), ("upgrade", "--upgrade"),
        ("limits", "limits is a help topic: telex help limits"),
        ("rm", "`telex providers remove`"),
        ("Why? -m lab", "To ask a model: telex chat 'Why?' -m lab"),
        ("providers rm x --yes", "Did you mean `telex providers remove x --yes`?"),
        ("providers create x", "Did you mean `telex providers add x` or `telex providers edit x`?"),
        ("history clear", "Did you mean `telex history prune` or `telex history remove`?"),
        ("mcp key x", "Did you mean `telex mcp set-secret x`?"),
        ("providers frobnicate", "It has: add, list, show, "),
    ],
)  # fmt: skip
def test_an_unknown_command_is_an_error_with_the_command_to_type(
    tmp_path: Path, typed: str, said: str
) -> None:
    ran = Inside(tmp_path)(*typed.split())
    assert (ran.code, ran.text) == (2, "")
    assert ran.err.startswith("telex: unknown command: ")
    assert said in ran.err
    for words in commands_in(ran.err):
        check(words, more=True)


def test_every_suggestion_for_another_programs_command_exists(tmp_path: Path) -> None:
    telex = Inside(tmp_path)
    groups = [
        words[1:]
        for words, command in commands()
        if isinstance(command, click.Group) and not isinstance(command, CommandWithVerbs)
    ]
    for words in (
        *((word,) for word in suggest._ROOT),
        *((*group, verb) for group in groups for verb in " ".join(suggest._VERBS).split()),
    ):
        err = telex(*words).err
        for found in commands_in(err):
            check(found, more=True)


def test_every_option_of_another_program_leads_to_an_option_of_telex() -> None:
    known = {
        name
        for _, each in commands()
        for param in each.params
        for name in (*param.opts, *param.secondary_opts)
    }
    assert {name for names in suggest._OTHER_NAMES.values() for name in names.split()} <= known


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["why is the sky blue"], "telex chat 'why is the sky blue'\n"),
        (["chat", "-40 degrees"], "telex chat -- '-40 degrees'\n"),
    ],
)
def test_a_prompt_in_an_unexpected_place_is_quoted_for_the_shell(
    tmp_path: Path, typed: list[str], said: str
) -> None:
    assert said in Inside(tmp_path)(*typed).err


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("chat --temp 0", "Did you mean --temperature?"),
        ("batch rows.csv --workers 4", "Did you mean --jobs?"),
        ("usage --today", "Did you mean --since?"), ("chat --modle lab", "Did you mean --model?"),
        ("chat --max_tokens=5 hi", "Did you mean --max-tokens?"),
        ("chat --max 5 hi", "Did you mean --max-tokens or --max-turns or --max-cost?"),
        ("chat --MODEL x", "Did you mean --model?"),
        ("chat --stream=false", "Option '--stream' does not take a value."),
        ("chat --no-log", "Did you mean --no-save?"), ("chat -a x.png", "Did you mean --image or --file?"),
        ("chat --list-models", "telex models list"), ("chat --timeout x", "'x' is not a number."),
        ("chat --retries 1.5", "'1.5' is not a whole number."),
        ("-m lab hi", "It is an option of telex chat: telex chat -m lab hi\n"),
        ("models list --tols=x", "unknown option: --tols=x\n  Did you mean --tools?"),
        ("models edit a b --no-tols", "Did you mean --no-tools?"),
        ("models list -H", "Did you mean -h?"),
        ("providers export -o x", "unknown option: -o\n  Use the argument FILE"),
        ("models list -%", "unknown option: -%\n  See: telex models list --help\n"),
        ("chat --list", 'put "--" before the prompt: telex chat -- --list'),
        ("--model lab chat hi", "Put the options of a command after it: telex chat --model lab hi"),
    ],
)  # fmt: skip
def test_an_unknown_option_is_an_error_with_the_option_to_type(tmp_path: Path, typed: str, said: str) -> None:
    ran = Inside(tmp_path)(*typed.split())
    assert (ran.code, ran.text) == (2, "")
    assert said in ran.err


KEY = "sk-proj-4fQ81kLmZ0"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (f"providers add lab --key {KEY}", "--key-stdin or --key-env VAR"),
        (f"providers add lab --api-key={KEY}", "--key-stdin or --key-env VAR"),
        ("providers add lab --token abcDEF123", "--key-stdin or --key-env VAR"),
        (f"providers add lab {KEY}", "--key-stdin or --key-env VAR"),
        (f"providers edit lab --api_key {KEY}", "do not pass a key as an argument"),
        (f"chat --openai-api-key {KEY} hi", "telex providers set-key NAME"),
        (f"chat --temp {KEY}", "--temperature"), (f"chat --temperature {KEY}", "[redacted]"),
        (f"chat -m {KEY} hi", "[redacted]"), (f"chat -m {KEY} -m lab --jsonl hi", "[redacted]"),
        (f"providers add lab -k {KEY}", "--key-stdin or --key-env VAR"),
        (f"--key {KEY} chat hi", "telex providers set-key NAME"),
        (f"{KEY}", "do not pass a key as an argument"), (f"login {KEY}", "telex providers set-key NAME"),
        (f"set-key openai {KEY}", "telex providers set-key openai"),
        (f"providers {KEY}", "do not pass a key as an argument"),
        (f"providers add {KEY}", "[redacted]"),
        (f"mcp add lab --token {KEY}", "telex mcp set-secret NAME"),
        ("--temperature 1 --token=abcDEF123 hi", "telex chat --temperature 1 --token=[redacted] hi"),
        ("--temperature 1 --token abcDEF123 hi", "telex chat --temperature 1 --token [redacted] hi"),
    ],
)  # fmt: skip
def test_a_key_on_the_command_line_is_not_repeated(tmp_path: Path, typed: str, said: str) -> None:
    ran = Inside(tmp_path)(*typed.split())
    assert ran.code in (2, 3)
    assert said in ran.err
    for secret in (KEY, "abcDEF123"):
        assert secret not in ran.err + ran.text


def test_telex_alone_prints_its_help_on_stdout(tmp_path: Path) -> None:
    telex = Inside(tmp_path)
    for words in ([], ["providers"], ["history"]):
        ran = telex(*words)
        assert (ran.code, ran.err) == (0, "")
        assert ran.text == telex(*words, "--help").text
