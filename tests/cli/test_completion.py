"""``telex completion``: current scripts, printed whole, and put where each shell looks; nothing else is touched."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.shell_completion import get_completion_class
from running import python

from telex.completion import FILES
from telex.completion.install import find
from telex.completion.scripts import read, script
from telex.main import root

if TYPE_CHECKING:
    from running import Telex

ROOT = Path(__file__).parents[2]


@pytest.fixture
def telex(telex: Telex) -> Telex:
    """One whose home has a folder of its own that zsh looks in."""
    (telex.home / "site-functions").mkdir(parents=True)
    (telex.home / ".zshenv").write_text("fpath=(~/site-functions)\n")
    return telex


@pytest.mark.parametrize(("shell", "name"), FILES.items())
def test_the_scripts_in_the_repository_are_those_of_the_commands(shell: str, name: str) -> None:
    current = (ROOT / "completions" / name).read_text("utf-8") == script(shell, root)
    assert current, "the commands have changed; to make the scripts anew: python tests/documents.py"


@pytest.mark.parametrize("shell", FILES)
def test_the_script_is_printed_and_nothing_else(telex: Telex, shell: str) -> None:
    telex.configure("this is no TOML")
    ran = telex("completion", shell)
    assert (ran.code, ran.text, ran.err) == (0, script(shell, root), "")
    ran = telex("completion", env={"SHELL": f"/usr/local/bin/{shell}"})
    assert (ran.code, ran.text, ran.err) == (0, script(shell, root), "")
    assert not (telex.home / "cache").exists()


@pytest.mark.parametrize("shell", FILES)
def test_the_shell_itself_finds_no_mistake_in_its_script(tmp_path: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    path = tmp_path / "script"
    path.write_text(script(shell, root))
    subprocess.run([shell, "-n", str(path)], check=True, capture_output=True)


@pytest.mark.parametrize("login", ["", "/bin/tcsh"])
def test_without_a_shell_it_asks_which(telex: Telex, login: str) -> None:
    ran = telex("completion", env={"SHELL": login})
    assert ran.code == 2
    assert "bash, zsh, fish, powershell" in ran.err


PLACES = {
    "bash": ".local/share/bash-completion/completions/telex",
    "zsh": "site-functions/_telex",
    "fish": ".config/fish/completions/telex.fish",
}


@pytest.mark.parametrize("shell", FILES)
def test_installing_says_where_and_is_the_same_the_second_time(telex: Telex, shell: str) -> None:
    if shell == "zsh" and shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    path = telex.home / PLACES[shell]
    first = telex("completion", shell, "--install")
    assert (first.code, first.text) == (0, "")
    assert first.err.startswith(f"Wrote {path}.\n")
    assert path.read_text("utf-8") == script(shell, root)
    assert path.stat().st_mode & 0o777 == 0o644
    before = path.stat()
    second = telex("completion", shell, "--install")
    assert second.code == 0
    assert second.err.startswith(f"{path} is up to date.\n")
    assert path.stat() == before
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def test_installing_replaces_an_older_script_and_keeps_a_link(telex: Telex) -> None:
    path, kept = telex.home / PLACES["fish"], telex.home / "dotfiles.fish"
    kept.write_text("# older\n")
    path.parent.mkdir(parents=True)
    path.symlink_to(kept)
    ran = telex("completion", "fish", "--install")
    assert ran.err.startswith(f"Replaced {path}, ")
    assert path.is_symlink()
    assert kept.read_text("utf-8") == script("fish", root)


def test_installing_writes_the_names_down_too(telex: Telex) -> None:
    telex.provider("lab", "http://127.0.0.1:9/v1", models=["m:1"])
    assert telex("completion", "fish", "--install").code == 0
    lists = telex.home / "cache" / "completion"
    assert "lab/m:1" in (lists / "models").read_text().splitlines()
    assert "deepseek" in (lists / "presets").read_text().splitlines()


def test_a_place_that_cannot_be_written_is_named(telex: Telex) -> None:
    (telex.home / ".config").write_text("a file where a folder should be")
    ran = telex("completion", "fish", "--install")
    assert ran.code == 1
    assert str(telex.home / PLACES["fish"]) in ran.err
    assert "telex completion fish" in ran.err


def test_the_variables_that_move_folders_count(tmp_path: Path) -> None:
    env = {"HOME": "/h", "XDG_DATA_HOME": "/d", "XDG_CONFIG_HOME": "/c"}
    assert find("bash", env).path == Path("/d/bash-completion/completions/telex")
    assert find("fish", env).path == Path("/c/fish/completions/telex.fish")
    env["BASH_COMPLETION_USER_DIR"] = "/b:/e"
    assert find("bash", env).path == Path("/b/completions/telex")


def test_bash_is_asked_whether_it_loads_bash_completion(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    prefixes = [str(tmp_path / "usr")]
    place = find("bash", env, prefixes=prefixes)
    assert "~/.bashrc: . ~/.local/share/bash-completion/completions/telex" in place.todo
    package = tmp_path / "usr/share/bash-completion/bash_completion"
    package.parent.mkdir(parents=True)
    package.write_text("_comp_load() { :; }\n")
    assert find("bash", env, prefixes=prefixes).todo.endswith(f"Add to ~/.bashrc: . {package}")
    (tmp_path / ".bashrc").write_text(f"echo noise\n. {package}\n")
    assert find("bash", env, prefixes=prefixes).todo == ""


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_where_zsh_has_no_folder_of_the_users_the_lines_for_zshrc_are_said_and_not_written(
    tmp_path: Path,
) -> None:
    elsewhere = tmp_path / "system" / "site-functions"
    elsewhere.mkdir(parents=True)
    home = tmp_path / "home"
    home.mkdir()
    (home / ".zshenv").write_text(f"fpath=({elsewhere} $fpath)\n")
    env = {"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    place = find("zsh", env)
    assert place.path == home / ".zfunc" / "_telex"
    assert place.todo.splitlines()[1:] == ["  fpath=(~/.zfunc $fpath)", "  autoload -Uz compinit && compinit"]
    assert not (home / ".zshrc").exists()
    rc = home / ".zshrc"
    rc.write_text("autoload -Uz compinit && compinit -u\n")
    assert find("zsh", env).todo == (
        "Add to ~/.zshrc, before the line with compinit:\n  fpath=(~/.zfunc $fpath)"
    )
    rc.write_text("# compinit is for later\nfpath+=~/.zfunc\n")
    assert find("zsh", env).todo == "Add to ~/.zshrc, at the end:\n  autoload -Uz compinit && compinit"
    rc.write_text("fpath+=~/.zfunc\nautoload -Uz compinit && compinit -u\n")
    assert find("zsh", env).todo == ""
    own = home / "site-functions"
    own.mkdir()
    rc.write_text("fpath=(~/site-functions $fpath)\n")
    place = find("zsh", env)
    assert (place.path, place.todo.splitlines()[1:]) == (
        own / "_telex",
        ["  autoload -Uz compinit && compinit"],
    )


def powershell(telex: Telex, line: str, at: int) -> list[str]:
    """What the program says to PowerShell's script: a type, a value and a few words for each candidate."""
    env = {"_TELEX_COMPLETE": "powershell_complete", "COMP_WORDS": line, "COMP_CWORD": str(at)}
    ran = telex(env=env)
    assert (ran.code, ran.err) == (0, "")
    return ran.text.splitlines()[1::3]


def test_powershell_is_served_by_clicks_own_way(telex: Telex) -> None:
    if get_completion_class("powershell") is None:
        pytest.skip("this click knows no PowerShell")
    assert "Register-ArgumentCompleter" in telex("completion", "powershell").text
    telex.configure('[aliases]\nfast = "lab/m:1"\n')
    telex.provider("lab", "http://127.0.0.1:9/v1", models=["m:1", "n"])
    telex("completion", "fish", "--install")
    assert powershell(telex, "telex comp", 1) == ["completion"]
    assert {"lab/", "fast"} <= set(powershell(telex, "telex chat -m ", 3))
    assert powershell(telex, "telex chat -m lab/m", 3) == ["lab/m:1"]
    assert powershell(telex, "telex models edit lab n", 4) == ["n"]
    assert powershell(telex, "telex providers add deepse", 3) == ["deepseek"]
    refused = telex("completion", "powershell", "--install")
    assert refused.code == 2
    assert "$PROFILE" in refused.err


def test_no_other_command_loads_the_generator() -> None:
    loaded = python(
        "import json, sys, io, contextlib\n"
        "from telex.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    assert main(['chat', '--help']) == 0\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    assert not [name for name in json.loads(loaded) if name.startswith("telex.completion")]


def test_what_no_script_could_say_is_refused_when_the_scripts_are_made() -> None:
    two = click.Command("x", params=[click.Option(["--pair"], nargs=2)])
    with pytest.raises(ValueError, match="--pair takes 2 values"):
        read(two)
    quoted = click.Command("x", params=[click.Option(["--how"], type=click.Choice(["a b"]))])
    with pytest.raises(ValueError, match="'a b' would need quotes"):
        read(quoted)
    with pytest.raises(ValueError, match="no script for tcsh"):
        script("tcsh", root)


def test_what_is_hidden_is_not_in_the_scripts() -> None:
    group = click.Group("x", commands=[click.Command("secret", hidden=True), click.Command("open")])
    group.params.append(click.Option(["--secret"], hidden=True))
    found = read(group)
    assert [command.words[-1] for command in found.commands] == ["open"]
    assert [option.names for option in found.options] == [("--help",)]
