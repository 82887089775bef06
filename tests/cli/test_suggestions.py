"""A command line that telex does not understand: what it proposes instead, and that no key is repeated."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from commands_tree import calls, check
from inprocess import Inside

from telex.main import COMMANDS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("modells", "Did you mean `telex models`?"),
        ("caht hi", "Did you mean `telex chat hi`?"),
        ("models lst", "Did you mean `telex models list`?"),
        ("list", "`telex models list` or `telex providers list`"),
        ("ls", "`telex models list` or `telex providers list`"),
        ("login", "telex providers add NAME\n  Replace its key: telex providers set-key NAME"),
        ("auth openai", "telex providers set-key openai"),
        ("config", "The settings are in "),
        ("set model x", "config/settings.toml"),
        ("version", "telex --version"),
        ("run llama3", "telex chat -m llama3"),
        ("run llama3 why?", "telex chat -m llama3 'why?'"),
        ("run", "To ask a model: telex chat\n"),
        ("serve", "telex providers discover"),
        ("pull llama3", "telex providers discover"),
        ("keys", "telex providers set-key NAME"),
        ("init", "telex providers add NAME"),
        ("setup groq", "telex providers add groq"),
        ("ask hello", "telex chat hello"),
        ("repl", "telex chat"),
        ("upgrade", "--upgrade"),
        ("update", "--upgrade"),
        ("logs", "telex history list"),
        ("rm", "`telex providers remove`"),
        ("Why? -m lab", "To ask a model: telex chat 'Why?' -m lab"),
        ("providers delete x", "Did you mean `telex providers remove x`?"),
        ("providers rm x --yes", "Did you mean `telex providers remove x --yes`?"),
        ("providers create x", "Did you mean `telex providers add x` or `telex providers edit x`?"),
        ("providers login x", "Did you mean `telex providers set-key x`?"),
        ("providers info x", "Did you mean `telex providers show x`?"),
        ("providers check", "Did you mean `telex providers test`?"),
        ("models ls", "Did you mean `telex models list`?"),
        ("models use x", "Did you mean `telex models default x`?"),
        ("history clear", "Did you mean `telex history prune` or `telex history remove`?"),
        ("history del x", "Did you mean `telex history remove x`?"),
        ("history view x", "Did you mean `telex history show x`?"),
        ("history find x", "Did you mean `telex history search x`?"),
        ("templates new x", "Did you mean `telex templates edit x`?"),
        ("mcp new", "Did you mean `telex mcp add`?"),
        ("mcp key x", "Did you mean `telex mcp set-secret x`?"),
        ("providers frobnicate", "It has: add, list, show, "),
    ],
)
def test_an_unknown_command_is_an_error_with_the_command_to_type(
    tmp_path: Path, typed: str, said: str
) -> None:
    ran = Inside(tmp_path)(*typed.split())
    assert (ran.code, ran.text) == (2, "")
    assert ran.err.startswith("telex: there is no command ")
    assert said in ran.err
    assert "\u2026" not in ran.err
    for line in re.findall(rf"telex (?:{'|'.join(COMMANDS)})\b[^`\n,]*", ran.err.replace("` or `", "`\n")):
        for words in calls(re.sub(r"Did you mean|`", "", line)):
            check(words, more=True)


def test_a_sentence_without_a_command_is_quoted_for_the_shell(tmp_path: Path) -> None:
    assert "telex chat 'why is the sky blue'\n" in Inside(tmp_path)("why is the sky blue").err


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("chat --temp 0", "Did you mean --temperature?"),
        ("chat --sys x", "Did you mean --system?"),
        ("chat --modle lab", "Did you mean --model?"),
        ("chat --max_tokens=5 hi", "Did you mean --max-tokens?"),
        ("chat --max 5 hi", "Did you mean --max-tokens or --max-turns?"),
        ("chat --MODEL x", "Did you mean --model?"),
        ("chat --straem", "Did you mean --stream?"),
        ("chat --stream=false", "--stream takes no value\n  Did you mean --no-stream?"),
        ("chat --json=true", "--json takes no value\n  Use it alone: --json"),
        ("chat --usage=false", "--usage takes no value\n  Leave it out."),
        ("chat --no-log", "Did you mean --no-save?"),
        ("chat -n", "Did you mean --no-save?"),
        ("chat -S", "Did you mean --no-stream?"),
        ("chat -a x.png", "Did you mean --image or --file?"),
        ("chat --role x", "Did you mean --template or --system?"),
        ("chat --session x", "Did you mean --conversation?"),
        ("chat --provider x", "Did you mean --model?"),
        ("chat --execute", "telex never runs what a model wrote"),
        ("chat --list-models", "telex models list"),
        ("chat --top-p 1", "-p top_p=0.9"),
        ("chat --model-list", "telex models list"),
        ("chat --version", "Show the version: telex --version"),
        ("chat --no-think", "Did you mean --reasoning-effort?"),
        ("chat --format json", "Did you mean --json?"),
        ("chat --retry 3", "Did you mean --retries?"),
        ("chat --no-color", "To turn them off: NO_COLOR=1"),
        ("chat --debug", "Did you mean --verbose?"),
        ("chat --timeout x", "'x' is not a number."),
        ("chat --retries 1.5", "'1.5' is not a whole number."),
        ("-m lab hi", "It is an option of telex chat: telex chat -m lab hi\n"),
        ("--json hi", "telex chat --json hi\n"),
        ("providers add lab --url http://x", "Did you mean --base-url?"),
        ("providers remove lab --force", "Did you mean --yes?"),
        ("models list --tols", "Did you mean --tools?"),
        ("models list --tols=x", "there is no option '--tols=x'\n  Did you mean --tools?"),
        ("models edit a b --no-tols", "Did you mean --no-tools?"),
        ("models list -H", "Did you mean -h?"),
        ("models list -%", "there is no option '-%'\n  See: telex models list --help\n"),
        ("chat --list", 'put "--" before the prompt: telex chat -- --list'),
        ("--model lab chat hi", "Put the options of a command after it: telex chat --model lab hi"),
        ("--verion", "Did you mean --version?"),
    ],
)
def test_an_unknown_option_is_an_error_with_the_option_to_type(tmp_path: Path, typed: str, said: str) -> None:
    ran = Inside(tmp_path)(*typed.split())
    assert ran.text == ""
    assert said in ran.err
    assert ran.code == 2
    assert "--quiet" not in ran.err


def test_a_prompt_that_looks_like_an_option_is_quoted_for_the_shell(tmp_path: Path) -> None:
    assert "telex chat -- '-40 degrees'\n" in Inside(tmp_path)("chat", "-40 degrees").err


KEY = "sk-proj-4fQ81kLmZ0"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (f"providers add lab --key {KEY}", "--key-stdin or --key-env VAR"),
        (f"providers add lab --api-key={KEY}", "--key-stdin or --key-env VAR"),
        ("providers add lab --token abcDEF123", "--key-stdin or --key-env VAR"),
        (f"providers add lab {KEY}", "--key-stdin or --key-env VAR"),
        (f"providers set-key lab {KEY}", "--key-stdin or --key-env VAR"),
        (f"providers edit lab --api_key {KEY}", "a key is not passed as an argument"),
        (f"chat --openai-api-key {KEY} hi", "telex providers set-key NAME"),
        (f"chat --key={KEY} hi", "telex providers set-key NAME"),
        (f"chat --api-key {KEY} --json hi", "telex providers set-key NAME"),
        (f"chat --temp {KEY}", "--temperature"),
        (f"chat --temperature {KEY}", "[redacted]"),
        (f"chat -m {KEY} hi", "[redacted]"),
        (f"chat -m {KEY} --json hi", "[redacted]"),
        (f"chat -m {KEY} -m lab hi", "[redacted]"),
        (f"chat -m {KEY} -m lab --json hi", "[redacted]"),
        (f"chat -m {KEY} -m lab --jsonl hi", "[redacted]"),
        (f"providers add lab -k {KEY}", "--key-stdin or --key-env VAR"),
        (f"--key {KEY} chat hi", "telex providers set-key NAME"),
        (f"{KEY}", "a key is not passed as an argument"),
        (f"login {KEY}", "telex providers set-key NAME"),
        (f"set-key openai {KEY}", "telex providers set-key openai"),
        (f"providers {KEY}", "a key is not passed as an argument"),
        (f"providers add {KEY}", "[redacted]"),
        (f"mcp add lab --token {KEY}", "telex mcp set-secret NAME"),
    ],
)
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
