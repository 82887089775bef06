"""Plugins: a program ``telex-NAME`` on PATH is ``telex NAME``. They replace the process, so each test has one."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from running import Telex

ECHO = """\
#!/usr/bin/env python3
import json, os, sys
print(json.dumps([sys.argv[1:], {k: v for k, v in os.environ.items() if k.startswith("TELEX_")}, sys.stdin.read()]))
sys.exit(77)
"""


def program(folder: Path, name: str, text: str = ECHO) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"telex-{name}"
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def bin_folder(telex: Telex, tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    telex.env["PATH"] = f"{folder}:{telex.env['PATH']}"
    telex.configure('[profiles.work]\nmodel = "x"\n')
    return folder


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["a b", "--", "-x", "--profile", "y", ""], ["-V"]], ids=str
)
def test_plugin_gets_arguments_stdin_and_variables_and_its_exit_code_is_telexs(
    telex: Telex, bin_folder: Path, arguments: list[str]
) -> None:
    program(bin_folder, "echo")
    ran = telex("--profile", "work", "echo", *arguments, stdin=b"piped")
    assert ran.code == 77
    given, variables, stdin = json.loads(ran.text)
    assert (given, stdin) == (arguments, "piped")
    assert variables["TELEX_PROFILE"] == "work"
    assert variables["TELEX_HOME"] == str(telex.home)
    version = subprocess.run(
        [variables["TELEX_BIN"], "--version"], capture_output=True, env=telex.env, check=True
    )
    assert version.stdout.startswith(b"telex ")
    assert ran.err == ""


def test_plugins_are_listed_and_explained_and_suggested(telex: Telex, bin_folder: Path) -> None:
    path = program(bin_folder, "deploy")
    program(bin_folder, "chat", "#!/bin/sh\necho mine\n")
    program(bin_folder, "Bad Name")
    (bin_folder / "telex-data").write_text("not a program")
    text = telex("--help").text
    plugins = text.partition("Plugins:")[2].partition("Options:")[0].split()
    assert (plugins[0], "".join(plugins[1:])) == ("deploy", str(path))
    assert json.loads(telex("help", "deploy").text)[0] == ["--help"]
    assert "Did you mean `telex deploy`?" in telex("deplyo").err
    assert "Send PROMPT" in telex("chat", "--help").text, "names of telex's own commands win"
    assert telex("data").code == 2


@pytest.mark.parametrize("entry", ["", ".", "bin", "./"])
def test_no_plugin_runs_from_the_working_directory(telex: Telex, tmp_path: Path, entry: str) -> None:
    work = tmp_path / "work"
    work.mkdir()
    program(work, "hostile", "#!/bin/sh\ntouch PWNED\n")
    program(work / "bin", "hostile", "#!/bin/sh\ntouch PWNED\n")
    telex.env["PATH"] = f"{entry}:{telex.env['PATH']}:{entry}"
    ran = telex("hostile", cwd=work)
    assert ran.code == 2
    assert "unknown command: hostile" in ran.err
    assert "hostile" not in telex("--help", cwd=work).text
    assert list(tmp_path.rglob("PWNED")) == []


def test_program_that_cannot_run_is_an_error(telex: Telex, bin_folder: Path) -> None:
    path = program(bin_folder, "broken", "garbage")
    ran = telex("broken")
    assert ran.code == 1
    assert ran.err == f"telex: {path} cannot be run: Exec format error\n"


def test_signals_reach_the_plugin(telex: Telex, bin_folder: Path) -> None:
    program(bin_folder, "wait", "#!/bin/sh\necho ready\nexec sleep 60\n")
    with telex.start("wait") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
    assert process.returncode == -signal.SIGINT
    program(bin_folder, "much", "#!/bin/sh\nexec yes\n")
    with telex.start("much") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"y\n"
        process.stdout.close()
    assert process.returncode == -signal.SIGPIPE
