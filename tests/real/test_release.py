"""The release: built, installed by pip, pipx and uv with the oldest and the newest dependencies, upgraded, removed.

Everything is taken from the package index that the installers are set up for; ``-m "not release"`` leaves it out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from installed import (
    ROOT,
    VERSIONS,
    Distributions,
    Environment,
    Visitor,
    done,
    imports_cleanly,
    interpreter,
    newest,
    uv,
)

from telex.main import root
from telex.man import pages

if TYPE_CHECKING:
    from scripted import Scripted

pytestmark = [pytest.mark.release, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    return Distributions.build(ROOT, tmp_path_factory.mktemp("dist"))


def kept() -> set[str]:
    """The files of the repository, committed or not."""
    if not (ROOT / ".git").exists():
        pytest.skip("this folder is not a clone")
    listed = done("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    return {name for name in listed.splitlines() if (ROOT / name).exists()}


def test_the_source_distribution_holds_the_repository_and_the_man_pages(built: Distributions) -> None:
    with tarfile.open(built.source) as archive:
        held = {member.name.partition("/")[2] for member in archive if member.isfile()}
    assert held == {*kept(), "PKG-INFO", *(f"man/{page}" for page in pages(root))}


def test_the_wheel_holds_both_packages_scripts_and_man_pages(built: Distributions) -> None:
    release = "-".join(built.wheel.name.split("-")[:2])
    wanted = {
        name.removeprefix("cli/") for name in kept() if name.startswith(("cli/telex/", "provider_core/"))
    }
    wanted |= {
        f"{release}.data/data/share/{name}"
        for name in (
            *(f"man/{page}" for page in pages(root)),
            "bash-completion/completions/telex",
            "zsh/site-functions/_telex",
            "fish/vendor_completions.d/telex.fish",
        )
    }
    with zipfile.ZipFile(built.wheel) as archive:
        held = set(archive.namelist())
        metadata = archive.read(f"{release}.dist-info/METADATA").decode()
    assert {name for name in held if ".dist-info/" not in name} == wanted
    assert f"{release}.dist-info/licenses/LICENSE" in held
    assert {"telex/py.typed", "provider_core/py.typed", "telex/help/topics/keys.md"} <= held
    assert "\nRequires-Python: >=3.11\n" in metadata
    assert {f"\nProvides-Extra: {extra}\n" in metadata for extra in ("local", "mcp", "dev")} == {True}


@pytest.mark.parametrize("resolution", ["lowest-direct", "highest"], ids=["oldest", "newest"])
@pytest.mark.parametrize("version", VERSIONS)
def test_it_works_with_the_oldest_and_the_newest_dependencies(
    built: Distributions, tmp_path: Path, server: Scripted, version: str, resolution: str
) -> None:
    environment = Environment.make(tmp_path / "env", version)
    extras = ("mcp",) if version == newest() else ()
    dependencies = ("-r", ROOT / "pyproject.toml", *(f"--extra={extra}" for extra in extras))
    environment.install("--resolution", resolution, built.wheel, *dependencies)
    uv("pip", "check", "--python", environment.python)
    assert imports_cleanly(environment.python, *extras)
    visitor = Visitor(environment.telex, tmp_path / "home", server)
    visitor.starts()
    visitor.looks_around(environment.python)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_extras_can_be_had(built: Distributions, tmp_path: Path, version: str) -> None:
    environment = Environment.make(tmp_path / "env", version)
    environment.install("--dry-run", "--only-binary", ":all:", f"telex[local,mcp] @ file://{built.wheel}")


@pytest.mark.parametrize("what", ["wheel", "source"])
def test_pip_installs_it_and_removes_it_without_a_trace(
    built: Distributions, tmp_path: Path, server: Scripted, what: str
) -> None:
    environment, home = Environment(tmp_path / "env"), tmp_path / "home"
    done(interpreter(newest()), "-m", "venv", environment.prefix)
    pip = (environment.python, "-m", "pip", "--quiet", "--disable-pip-version-check")
    before = environment.files()
    done(*pip, "install", getattr(built, what))
    done(*pip, "check")
    Visitor(environment.telex, home, server).starts()
    if what == "wheel":
        assert adds_mcp(environment.telex)
    own = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    done(*pip, "uninstall", "--yes", "telex")
    assert environment.files() == before
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == own
    assert {path.name for path in own} >= {"settings.toml", "history.db"}


def adds_mcp(telex: Path, **env: str) -> bool:
    """Whether the command that telex suggests for the missing extra installs it."""

    def finding() -> dict[str, str]:
        report = json.loads(done(telex, "doctor", "--json", "versions", **env))
        (found,) = (each for each in report["findings"] if each["subject"] == "extra mcp")
        return found

    assert finding()["level"] == "note"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done("sh", "-c", finding()["remedy"], PATH=path, **env)
    return finding()["level"] == "ok"


def test_pipx_installs_the_command_and_its_pages(
    built: Distributions, tmp_path: Path, server: Scripted
) -> None:
    places = {"PIPX_HOME": "pipx", "PIPX_BIN_DIR": "bin", "PIPX_MAN_DIR": "man"}
    env = {name: str(tmp_path / place) for name, place in places.items()}
    pipx = (sys.executable, "-m", "pipx")
    done(*pipx, "install", "--python", interpreter(newest()), built.wheel, **env)
    Visitor(tmp_path / "bin/telex", tmp_path / "home", server).starts()
    assert (tmp_path / "man/man1/telex.1").exists()
    assert adds_mcp(tmp_path / "bin/telex", **env)
    done(*pipx, "uninstall", "telex", **env)
    left = [path for place in ("bin", "man", "pipx/venvs") for path in (tmp_path / place).rglob("telex*")]
    assert left == []


def test_uv_installs_the_command(built: Distributions, tmp_path: Path, server: Scripted) -> None:
    env = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    uv("tool", "install", "--python", interpreter(newest()), built.wheel, **env)
    Visitor(tmp_path / "bin/telex", tmp_path / "home", server).starts()
    assert adds_mcp(tmp_path / "bin/telex", **env)
    uv("tool", "uninstall", "telex", **env)
    assert [path for path in tmp_path.rglob("*telex*") if tmp_path / "home" not in path.parents] == []


# --- where shells and man look -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared(built: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Installed under a prefix, as under /usr/local, or under ~/.local by pip's --user."""
    environment = Environment.make(tmp_path_factory.mktemp("shared"), newest())
    environment.install(built.wheel)
    return environment


SCRIPTS = {
    "bash": """
. /usr/share/bash-completion/bash_completion
_comp_load telex 2>/dev/null || __load_completion telex
complete -p telex
""",
    "zsh": """
fpath=($PREFIX/share/zsh/site-functions $fpath)
autoload -Uz compinit
compinit -D
print $_comps[telex]
""",
    "fish": "complete -C 'telex provid'",
}


@pytest.mark.parametrize(
    ("program", "told"),
    [("bash", "telex"), ("zsh", "_telex"), ("fish", "providers"), ("man", "/share/man/man1/telex.1")],
)
def test_scripts_and_pages_are_installed_where_shells_and_man_look(
    shared: Environment, tmp_path: Path, program: str, told: str
) -> None:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not on this machine")
    env = {
        "HOME": str(tmp_path),
        "PREFIX": str(shared.prefix),
        "PATH": f"{shared.prefix}/bin:{os.environ['PATH']}",
        "XDG_DATA_DIRS": f"{shared.prefix}/share:/usr/local/share:/usr/share",
    }
    command = [path, "-w", "telex"] if program == "man" else [path, "-c", SCRIPTS[program]]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert told in ran.stdout, ran.stderr


# --- from one release to the next --------------------------------------------------------------------------


def test_an_upgrade_keeps_settings_and_history(
    built: Distributions, tmp_path: Path, server: Scripted
) -> None:
    """There is no earlier release, so this one is upgraded to the same code with a later version."""
    environment = Environment.make(tmp_path / "env", newest())
    environment.install(built.wheel)
    visitor = Visitor(environment.telex, tmp_path / "home", server)
    visitor.starts()

    def told() -> list[str]:
        show = (
            ("providers", "show", "lab", "--json"),
            ("history", "list", "--json"),
            ("history", "show", "--json"),
        )
        return [visitor.runs("models", "list"), *(visitor.runs(*arguments) for arguments in show)]

    before, settings = told(), visitor.telex.settings.read_bytes()
    environment.install("--upgrade", _next(built, tmp_path).wheel)
    assert visitor.runs("--version") == "telex 999.0.0\n"
    assert told() == before
    assert visitor.runs("chat", "-m", "lab", "--continue", "Still there?") == "Hello\n"
    assert [turn["content"] for turn in server.asked[-1].body["messages"]] == [
        "Hello?",
        "Hello",
        "Still there?",
    ]
    assert visitor.telex.settings.read_bytes() == settings


def _next(built: Distributions, folder: Path) -> Distributions:
    """The same code with a later version."""
    with tarfile.open(built.source) as archive:
        archive.extractall(folder / "next", filter="data")
    (tree,) = (folder / "next").iterdir()
    version = tree / "provider_core" / "_version.py"
    old = built.wheel.name.split("-")[1]
    version.write_text(version.read_text().replace(f'"{old}"', '"999.0.0"'))
    return Distributions.build(tree, folder / "dist")
