"""Tab in real shells on a pseudo-terminal: what is typed, what is offered, and which words telex would be given."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from running import COMMAND, Telex
from shells import BASH, BASH_WITH_PACKAGE, FISH, ZSH, ZSH_EARLY, ZSH_EVAL, Kind, Shell

from telex.completion import FILES, read, script
from telex.main import Command, Group, root
from telex.options import Name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KINDS = (BASH, BASH_WITH_PACKAGE, ZSH, FISH)
"""Also every bash whose path stands in TELEX_TEST_BASHES, with blanks between."""

OTHER_BASHES = tuple(
    Kind(f"bash {path}", path, BASH.rc) for path in os.environ.get("TELEX_TEST_BASHES", "").split()
)

ODD = {
    "and": "and&b|c;d", "bang": "bang!x", "brackets": "brackets[1]{a,b}(c)", "back": "back\\slash",
    "dollar": "dollar $(touch PWNED) ${HOME}", "hash": "hash #x", "it": "it's", "quoted": 'quoted "x"',
    "star": "star*?", "tick": "tick `touch PWNED`", "two": "two words", "@cf": "@cf/meta/llama-3:8b",
    "~": "~home", "\u00fcm": "\u00fcmlaut",
}  # fmt: skip
"""A beginning -> an id that a server may list, though no shell likes to read it."""

SETTINGS = f"""
model = "openai/gpt-5"
[aliases]
fast = "openai/gpt-5-mini"
smart = "openrouter/openai/gpt-5"
[providers.openai]
base_url = "http://127.0.0.1:9/v1"
key = "none"
models = ["gpt-5", "gpt-5-mini", "gpt-4.1"]
[providers.openrouter]
base_url = "http://127.0.0.1:9/v1"
key = "none"
models = ["deepseek/deepseek-r1:free", "deepseek/deepseek-r1:nitro", "openai/gpt-5"]
[providers.lab]
base_url = "http://127.0.0.1:9/v1"
key = "none"
models = ["qwen3:8b"]
[providers.bare]
base_url = "http://127.0.0.1:9/v1"
key = "none"
[providers.odd]
base_url = "http://127.0.0.1:9/v1"
key = "none"
models = {json.dumps(list(ODD.values()))}
"""


@pytest.fixture(scope="module")
def telex(tmp_path_factory: pytest.TempPathFactory) -> Telex:
    """A telex that is set up, has written down its names, and has put its scripts where the shells look."""
    telex = Telex(tmp_path_factory.mktemp("home"))
    telex.configure(SETTINGS)
    (telex.home / "site-functions").mkdir()
    (telex.home / ".zshenv").write_text("fpath=(~/site-functions)\n")
    for shell in FILES:
        ran = telex("completion", shell, "--install")
        assert ran.code == 0, ran.err
    assert (telex.home / "cache" / "completion" / "models").exists()
    return telex


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the shells stand: a file, and a folder with a space in its name."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "notes.txt").touch()
    (folder / "my dir").mkdir()
    (folder / "my dir" / "model file.gguf").touch()
    return folder


@pytest.fixture(scope="module")
def start(telex: Telex, work: Path) -> Iterator[Callable[..., Shell]]:
    """Start a shell; it ends with the module's tests."""
    started: list[Shell] = []

    def start(kind: Kind, around: tuple[str, ...] = (), **env: str | None) -> Shell:
        if kind.missing:
            pytest.skip(kind.missing)
        merged = {**telex.env, "TELEX_COMMAND": str(COMMAND), **env}
        shell = Shell(
            kind,
            home=telex.home,
            env={name: value for name, value in merged.items() if value is not None},
            cwd=work,
            around=around,
        )
        started.append(shell)
        return shell

    yield start
    for shell in started:
        shell.__exit__()


@pytest.fixture(scope="module", params=[*KINDS, *OTHER_BASHES], ids=lambda kind: kind.name)
def shell(request: pytest.FixtureRequest, start: Callable[..., Shell]) -> Shell:
    return start(request.param)


COMMANDS = read(root)


def test_each_command_is_offered_below_its_own(shell: Shell) -> None:
    for command in COMMANDS.walk():
        if command.commands:
            shell.offers(f"{' '.join(command.words)} ", *(each.words[-1] for each in command.commands))


def test_each_option_of_each_command_is_offered(shell: Shell) -> None:
    for command in COMMANDS.walk():
        names = [name for option in command.options for name in option.names if name.startswith("--")]
        shell.offers(f"{' '.join(command.words)} --", *names)


SAMPLES = {
    "files": ("no", "notes.txt"),
    "name providers": ("openr", "openrouter"),
    "name presets": ("lmst", "lmstudio"),
    "name aliases": ("smar", "smart"),
    "name models": ("openai/gpt-4", "openai/gpt-4.1"),
}
"""What a value may be -> what is typed of it, and what it becomes."""


def test_each_option_and_argument_completes_what_its_value_may_be(shell: Shell) -> None:
    seen = set()
    for command in COMMANDS.walk():
        line = " ".join(command.words)
        for option in command.options:
            if option.value.startswith("one "):
                shell.offers(f"{line} {option.names[-1]} ", *option.value.split()[1:])
            elif option.value in SAMPLES:
                typed, whole = SAMPLES[option.value]
                assert shell.words(f"{line} {option.names[-1]} {typed}\t")[-1] == whole
            seen.add(option.value)
        for place, argument in enumerate(command.arguments):
            if place:
                line += " x"
            match argument.value:
                case value if value.startswith("one "):
                    shell.offers(f"{line} ", *value.split()[1:])
                case "of models 0":
                    typed = f"{' '.join(command.words)} openrouter deepseek/deepseek-r1:f\t"
                    assert shell.words(typed)[-2:] == ["openrouter", "deepseek/deepseek-r1:free"]
                case value if value in SAMPLES:
                    typed, whole = SAMPLES[value]
                    assert shell.words(f"{line} {typed}\t")[-1] == whole
            seen.add(argument.value)
    assert seen >= set(SAMPLES)


def test_settings_and_their_values_are_completed(shell: Shell) -> None:
    assert shell.words("telex config set usag\tsho\t") == ["config", "set", "usage", "short"]
    assert shell.words("telex config set model smar\t") == ["config", "set", "model", "smart"]
    assert shell.words("telex config get providers.lab.base_url\t")[-1] == "providers.lab.base_url"
    shell.offers("telex config set usage ", "auto", "none", "short", "full")


def test_plugins_are_completed_but_not_those_of_the_working_directory(
    start: Callable[..., Shell], work: Path, tmp_path: Path
) -> None:
    for folder, name in ((tmp_path, "deploy"), (work, "hostile")):
        (folder / f"telex-{name}").write_text("#!/bin/sh\n")
        (folder / f"telex-{name}").chmod(0o755)
    (tmp_path / "telex-data").write_text("not a program\n")
    for kind in KINDS:
        if kind.missing:
            continue
        shell = start(kind, PATH=f"{tmp_path}::.:{os.environ['PATH']}")
        text = shell.offers("telex ", "deploy", "chat")
        assert "hostile" not in text
        assert "data" not in text.replace("database", "")
        assert shell.words("telex deploy no\t") == ["deploy", "notes.txt"]


def test_candidates_have_descriptions(shell: Shell) -> None:
    if shell.kind.family == "bash":
        pytest.skip("bash shows no descriptions")
    shell.offers("telex ", *(each.help for each in COMMANDS.commands))
    shell.offers("telex chat --", "Set the system message.")


def test_providers_and_aliases_are_offered_before_the_models_of_a_provider(shell: Shell) -> None:
    text = shell.offers("telex chat -m ", "openai/", "openrouter/", "lab/", "fast", "smart")
    assert "deepseek" not in text
    text = shell.offers("telex chat -m openai/gpt-", "gpt-4.1", "gpt-5-mini")
    assert "nitro" not in text


NITRO = "openrouter/deepseek/deepseek-r1:nitro"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("chat -m openr\tdeepseek/deepseek-r1:f\t hi", ["chat", "-m", "openrouter/deepseek/deepseek-r1:free", "hi"]),
        ("chat -m openrouter/deepseek/deepseek-r1:n\t", ["chat", "-m", NITRO]),
        ("chat --model openrouter/deepseek/deep\tn\t", ["chat", "--model", NITRO]),
        ("chat --model=openrouter/deepseek/deep\tn\t", ["chat", f"--model={NITRO}"]),
        ("chat -mopenrouter/deepseek/deepseek-r1:n\t", ["chat", f"-m{NITRO}"]),
        ("chat -m qwe\t", ["chat", "-m", "qwen3:8b"]),
        ("providers add x --gguf my\tmo\t --no-key",
         ["providers", "add", "x", "--gguf", "my dir/model file.gguf", "--no-key"]),
        ("providers add x --gguf=no\t", ["providers", "add", "x", "--gguf=notes.txt"]),
        ("chat 'a -- b' \"-m c\" -s x\\ y --no-stdin -m openai/gpt-4\t d",
         ["chat", "a -- b", "-m c", "-s", "x y", "--no-stdin", "-m", "openai/gpt-4.1", "d"]),
        ("chat > /dev/null -m openai/gpt-4\t\x15telex chat x", ["chat", "x"]),
        # The cursor is inside of the line.
        ("chat -m openai/gpt-4 hello" + "\x02" * 6 + "\t", ["chat", "-m", "openai/gpt-4.1", "hello"]),
    ],
)  # fmt: skip
def test_a_completed_line_has_the_right_words(shell: Shell, keys: str, words: list[str]) -> None:
    assert shell.words(f"telex {keys}") == words


def test_a_provider_without_known_models_is_completed(shell: Shell) -> None:
    assert shell.words("telex chat -m bar\t hi")[2].rstrip("/") == "bare"


@pytest.mark.parametrize("quote", ["", '"', "'"])
@pytest.mark.parametrize("beginning", ODD)
def test_special_characters_in_an_id_are_quoted_and_nothing_is_run(
    shell: Shell, work: Path, beginning: str, quote: str
) -> None:
    typed = beginning.replace("~", "\\~") if not quote else beginning
    assert shell.words(f"telex chat -m {quote}odd/{typed}\t") == ["chat", "-m", f"odd/{ODD[beginning]}"]
    assert not (work / "PWNED").exists()


def test_files_are_completed_after_a_redirection(shell: Shell) -> None:
    shell.fresh()
    shell.type("telex chat hi 2>no\t")
    shell.wait_until(lambda text: "2>notes.txt" in text, "file")
    shell.fresh()
    shell.type("telex chat hi < my\t")
    shell.wait_until(lambda text: "< my\\ dir/" in text, "folder")


def test_an_option_is_offered_once(shell: Shell) -> None:
    typed = "telex chat -s x --no-stream -p a=1 -m fast --"
    text = shell.offers(typed, "--param", "--model", "--max-turns").replace(typed, "")
    assert not re.search(r"--system\b|--stream\b|--no-stream\b", text)


def test_neither_a_prompt_nor_words_after_two_dashes_are_completed(shell: Shell) -> None:
    if shell.kind.program.endswith("3.2"):
        pytest.skip(
            "bash 3.2 cannot be asked for files now and then: it offers them where nothing else is known"
        )
    shell.offers_nothing("telex chat hello ")
    shell.offers_nothing("telex chat -- --m")
    shell.offers_nothing("telex chat -s ")
    shell.offers_nothing("telex nosuch ")
    shell.offers_nothing("telex providers list x ")


@pytest.mark.parametrize("kind", [ZSH_EVAL, ZSH_EARLY], ids=lambda kind: kind.name)
def test_zsh_also_loads_the_script_with_eval(start: Callable[..., Shell], kind: Kind) -> None:
    shell = start(kind)
    assert shell.words("telex ch\t-m openai/gpt-4\t") == ["chat", "-m", "openai/gpt-4.1"]


@pytest.mark.parametrize("kind", [BASH, ZSH, FISH], ids=lambda kind: kind.name)
@pytest.mark.parametrize("snapshot", ["missing", "folders", "noise", "unreadable"])
def test_damaged_names_are_ignored_silently(
    start: Callable[..., Shell], tmp_path: Path, kind: Kind, snapshot: str
) -> None:
    lists = tmp_path / "cache" / "completion"
    if snapshot == "unreadable" and os.geteuid() == 0:
        pytest.skip("root reads every file")
    lists.mkdir(parents=True)
    names = [f"{name}{end}" for name in ("providers", "models", "aliases", "presets") for end in ("", ".tsv")]
    for path in (lists / name for name in names if snapshot != "missing"):
        if snapshot == "folders":
            path.mkdir()
        else:
            path.write_bytes(bytes(range(256)) * 20 if snapshot == "noise" else b"lab\tLab\n")
            path.chmod(0o600 if snapshot == "noise" else 0)
    shell = start(kind, TELEX_HOME=str(tmp_path))
    shell.offers_nothing("telex chat -m la")
    assert shell.words("telex providers rem\tla\t") == ["providers", "remove", "la"]


CALL = re.compile(r"\d+ +(clone3?|v?fork|execve|socket|connect)\(")


@pytest.mark.parametrize("kind", [BASH, ZSH, FISH], ids=lambda kind: kind.name)
def test_a_tab_starts_no_process_and_opens_no_socket(
    start: Callable[..., Shell], tmp_path: Path, kind: Kind
) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    log = tmp_path / "calls"
    trace = "trace=clone,clone3,fork,vfork,execve,socket,connect"
    around = ("strace", "-f", "--seccomp-bpf", "-qq", "-o", str(log), "-e", trace)
    probe = subprocess.run([*around, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"strace may not trace here: {probe.stderr.strip()}")
    shell = start(kind, around)
    shell.words("telex ch\t-m openai/gpt-4\t")  # the script itself is loaded once

    def calls() -> list[str]:
        # Threads are no processes; fish has some.
        return [
            line for line in log.read_text().splitlines() if CALL.match(line) and "CLONE_THREAD" not in line
        ]

    assert any("execve" in line for line in calls())
    for line, seen in (
        ("telex ch", "telex chat"),
        ("telex chat -m ", "openrouter/"),
        ("telex chat -m openrouter/deepseek/deepseek-r1:f", ":free"),
        ("telex chat -m qwe", "qwen3:8b"),
        ("telex providers show la", "lab"),
        ("telex chat --m", "--model"),
        ("telex providers add x --gguf no", "notes.txt"),
    ):
        shell.fresh()
        shell.type(line)
        shell.wait_until(lambda text, line=line: line.rstrip() in text, "echo")  # type: ignore[misc]
        before = calls()
        shell.type("\t\t" if kind.family == "bash" else "\t")
        shell.wait_until(lambda text, seen=seen: seen in text, seen)  # type: ignore[misc]
        assert calls() == before
    shell.fresh()
    shell.type("/bin/true\r")
    deadline = time.monotonic() + 60
    while calls() == before:  # and a process would have been seen
        assert time.monotonic() < deadline
        time.sleep(0.02)


def homes(tmp_path: Path) -> dict[str, dict[str, str | None]]:
    return {
        "TELEX_HOME": {"TELEX_HOME": str(tmp_path / "a")},
        "TELEX_HOME with ~": {"TELEX_HOME": "~/b", "HOME": str(tmp_path)},
        "XDG": {"TELEX_HOME": None, "XDG_CACHE_HOME": str(tmp_path / "c"), "HOME": str(tmp_path)},
        "relative XDG": {"TELEX_HOME": None, "XDG_CACHE_HOME": "d", "HOME": str(tmp_path)},
        "none": {"TELEX_HOME": None, "XDG_CACHE_HOME": None, "HOME": str(tmp_path)},
        "empty": {"TELEX_HOME": "", "XDG_CACHE_HOME": "", "HOME": str(tmp_path)},
        "macOS": {"TELEX_HOME": None, "XDG_CACHE_HOME": None, "HOME": str(tmp_path)},
    }


SAY_MACS_CACHE = "from platformdirs.macos import MacOS; print(MacOS('telex').user_cache_dir)"
SAY_CACHE = "import os; from provider_core.settings import Paths; print(Paths.find(os.environ).cache)"

ASK = {
    "bash": "source {script}; COMP_LINE='telex providers show '; COMP_POINT=21; _telex; echo \"${{COMPREPLY[@]}}\"",
    "zsh": "compdef() {{ : }}; source {script}; _telex_read providers; print ${{lines%%$'\\t'*}}",
    "fish": "source {script}; complete -C 'telex providers show ' | string replace -r '\\t.*' ''",
}


@pytest.mark.parametrize("shell", FILES)
@pytest.mark.parametrize("case", homes(Path("/")))
def test_the_lists_are_found_where_telex_writes_them(shell: str, case: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    env = {**os.environ, **homes(tmp_path)[case]}
    env = {name: value for name, value in env.items() if value is not None}
    where = subprocess.run(
        [sys.executable, "-c", SAY_MACS_CACHE if case == "macOS" else SAY_CACHE],
        env=env, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    lists = Path(where) / "completion"
    assert lists.is_relative_to(tmp_path)
    lists.mkdir(parents=True)
    (lists / "providers").write_text("found\n")
    (lists / "providers.tsv").write_text("found\tFound\n")
    (tmp_path / "script").write_text(script(shell, root))
    on_mac = "OSTYPE=darwin23; " if case == "macOS" and shell != "fish" else ""
    flags = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["-N"]}[shell]
    asked = subprocess.run(
        [shell, *flags, "-c", on_mac + ASK[shell].format(script=tmp_path / "script")],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (asked.stdout.strip(), asked.stderr) == ("found", "")


@click.command(cls=Group, rows={"resume": (f"{__name__}:resume", "Go on with a conversation.")})
@click.help_option("-h", "--help")
def other() -> None:
    """Stands for commands to come."""


@click.command(cls=Command)
@click.argument("conversation", type=Name("conversation"))
@click.option("-s", "--server", type=Name("server"), multiple=True)
@click.option("-v", "--verbose", count=True)
@click.option("-q", "--quiet", is_flag=True)
@click.option("--into", type=click.Path(file_okay=False))
@click.help_option("-h", "--help")
def resume(**_: object) -> None:
    """Go on with a conversation."""


@pytest.mark.parametrize("kind", [BASH, ZSH, FISH], ids=lambda kind: kind.name)
def test_new_commands_need_only_lists_of_names(
    start: Callable[..., Shell], telex: Telex, tmp_path: Path, kind: Kind
) -> None:
    lists = tmp_path / "cache" / "completion"
    lists.mkdir(parents=True)
    for name, lines in {"conversations": ["birds", "trees and moss"], "servers": ["git", "web"]}.items():
        (lists / name).write_text("".join(f"{line}\n" for line in lines))
        (lists / f"{name}.tsv").write_text("".join(f"{line}\tabout {line}\n" for line in lines))
    path = tmp_path / "script"
    path.write_text(script(kind.family, other))
    shell = start(kind, TELEX_HOME=str(tmp_path))
    shell.words("telex ch\t")  # the one that is in place is loaded before it is replaced
    shell.run(f"source {path}")
    assert shell.words("telex resume tre\t") == ["resume", "trees and moss"]
    assert " ".join(shell.words("telex resume -s gi\t -s we\t -vqsg\t")) == "resume -s git -s web -vqsgit"
    assert shell.words("telex resume --into my\t")[-1].rstrip("/") == "my dir"
    text = shell.offers("telex resume -v -q -", "--verbose", "--server")
    assert "--quiet" not in text
