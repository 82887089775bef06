"""``telex completion``: the scripts, and their installation where each shell looks."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.shell_completion import get_completion_class
from inprocess import Inside

from telex.completion import FILES, find, read, script
from telex.main import root

if TYPE_CHECKING:
    from running import Telex

PLACES = {
    "bash": ".local/share/bash-completion/completions/telex",
    "zsh": "site-functions/_telex",
    "fish": ".config/fish/completions/telex.fish",
}


@pytest.fixture
def inside(tmp_path: Path) -> Inside:
    """A telex whose home folder has a folder that zsh looks in."""
    inside = Inside(tmp_path / "telex")
    inside.env |= {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    (tmp_path / "site-functions").mkdir()
    (tmp_path / ".zshenv").write_text("fpath=(~/site-functions)\n")
    return inside


@pytest.mark.parametrize("shell", FILES)
def test_the_script_is_printed_and_nothing_else(inside: Inside, tmp_path: Path, shell: str) -> None:
    inside.configure("this is not TOML")
    for ran in (inside("completion", shell), inside("completion", env={"SHELL": f"/usr/local/bin/{shell}"})):
        assert (ran.code, ran.text, ran.err) == (0, script(shell, root), "")
    assert not inside.paths.cache.exists()
    if shutil.which(shell):
        (tmp_path / "script").write_text(script(shell, root))
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True, capture_output=True)


@pytest.mark.parametrize("login", ["", "/bin/tcsh"])
def test_without_a_known_shell_it_is_a_usage_error(inside: Inside, login: str) -> None:
    ran = inside("completion", env={"SHELL": login})
    assert ran.code == 2
    assert "bash, zsh, fish, powershell" in ran.err


@pytest.mark.parametrize("shell", FILES)
def test_the_script_is_installed_once(inside: Inside, tmp_path: Path, shell: str) -> None:
    if shell == "zsh" and shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    path = tmp_path / PLACES[shell]
    first = inside("completion", shell, "--install")
    assert (first.code, first.text) == (0, "")
    assert first.err.startswith(f"Wrote {path}.\n")
    assert path.read_text("utf-8") == script(shell, root)
    before = path.stat()
    assert before.st_mode & 0o777 == 0o644
    assert inside("completion", shell, "--install").err.startswith(f"{path} is up to date.\n")
    assert path.stat() == before
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def test_an_older_script_is_replaced_and_a_link_stays_a_link(inside: Inside, tmp_path: Path) -> None:
    path, linked = tmp_path / PLACES["fish"], tmp_path / "dotfiles.fish"
    linked.write_text("# older\n")
    path.parent.mkdir(parents=True)
    path.symlink_to(linked)
    assert inside("completion", "fish", "--install").err.startswith(f"Replaced {path}, ")
    assert path.is_symlink()
    assert linked.read_text("utf-8") == script("fish", root)


def test_installing_writes_the_names_too(inside: Inside) -> None:
    inside.configure('[providers.lab]\nbase_url = "http://127.0.0.1:9/v1"\nkey = "none"\nmodels = ["m:1"]\n')
    assert inside("completion", "fish", "--install").code == 0
    lists = inside.paths.cache / "completion"
    assert "lab/m:1" in (lists / "models").read_text().splitlines()
    assert "deepseek" in (lists / "presets").read_text().splitlines()


def test_a_place_that_cannot_be_written_is_named(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / ".config").write_text("a file in place of a folder")
    ran = inside("completion", "fish", "--install")
    assert ran.code == 1
    assert str(tmp_path / PLACES["fish"]) in ran.err
    assert "telex completion fish" in ran.err


def test_variables_move_the_folders() -> None:
    env = {"HOME": "/h", "XDG_DATA_HOME": "/d", "XDG_CONFIG_HOME": "/c"}
    assert find("bash", env).path == Path("/d/bash-completion/completions/telex")
    assert find("fish", env).path == Path("/c/fish/completions/telex.fish")
    env["BASH_COMPLETION_USER_DIR"] = "/b:/e"
    assert find("bash", env).path == Path("/b/completions/telex")


def test_bash_is_asked_whether_it_loads_bash_completion(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
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
@pytest.mark.parametrize(
    ("rc", "folder", "todo"),
    [
        (None, ".zfunc", "at the end:\n  fpath=(~/.zfunc $fpath)\n  autoload -Uz compinit && compinit"),
        ("autoload -Uz compinit && compinit -u", ".zfunc", "before the line with compinit:\n  fpath=(~/.zfunc $fpath)"),
        ("# compinit is for later\nfpath+=~/.zfunc", ".zfunc", "at the end:\n  autoload -Uz compinit && compinit"),
        ("fpath+=~/.zfunc\nautoload -Uz compinit && compinit -u", ".zfunc", ""),
        ("fpath=(~/site-functions $fpath)", "site-functions", "at the end:\n  autoload -Uz compinit && compinit"),
    ],
)  # fmt: skip
def test_missing_lines_of_zshrc_are_printed_and_not_written(
    tmp_path: Path, rc: str | None, folder: str, todo: str
) -> None:
    elsewhere = tmp_path / "system" / "site-functions"
    elsewhere.mkdir(parents=True)
    home = tmp_path / "home"
    (home / "site-functions").mkdir(parents=True)
    (home / ".zshenv").write_text(f"fpath=({elsewhere} $fpath)\n")
    if rc is not None:
        (home / ".zshrc").write_text(f"{rc}\n")
    place = find("zsh", {"HOME": str(home), "PATH": os.environ["PATH"]})
    assert place.path == home / folder / "_telex"
    assert place.todo == (f"Add to ~/.zshrc, {todo}" if todo else "")
    assert (home / ".zshrc").exists() is (rc is not None)


def test_powershell_completes_through_click(telex: Telex) -> None:
    if get_completion_class("powershell") is None:
        pytest.skip("this click does not support PowerShell")
    assert "Register-ArgumentCompleter" in telex("completion", "powershell").text
    refused = telex("completion", "powershell", "--install")
    assert refused.code == 2
    assert "$PROFILE" in refused.err
    telex.configure('[aliases]\nfast = "lab/m:1"\n')
    telex.provider("lab", "http://127.0.0.1:9/v1", models=["m:1", "n"])
    telex("completion", "fish", "--install")
    for line, at, expected in (
        ("telex comp", 1, {"completion"}),
        ("telex chat -m ", 3, {"lab/", "fast"}),
        ("telex chat -m lab/m", 3, {"lab/m:1"}),
        ("telex models edit lab n", 4, {"n"}),
        ("telex providers add deepse", 3, {"deepseek"}),
    ):
        env = {"_TELEX_COMPLETE": "powershell_complete", "COMP_WORDS": line, "COMP_CWORD": str(at)}
        ran = telex(env=env)
        assert (ran.code, ran.err) == (0, "")
        assert expected <= set(ran.text.splitlines()[1::3])  # type, value and description of each candidate


def test_what_the_scripts_cannot_complete_is_an_error() -> None:
    two = click.Command("x", params=[click.Option(["--pair"], nargs=2)])
    with pytest.raises(ValueError, match="--pair takes 2 values"):
        read(two)
    quoted = click.Command("x", params=[click.Option(["--how"], type=click.Choice(["a b"]))])
    with pytest.raises(ValueError, match="'a b' would need quotes"):
        read(quoted)
    with pytest.raises(ValueError, match="no script for tcsh"):
        script("tcsh", root)


def test_hidden_options_are_not_in_the_scripts() -> None:
    found = read(click.Command("x", params=[click.Option(["--secret"], hidden=True)]))
    assert [option.names for option in found.options] == [("--help",)]
