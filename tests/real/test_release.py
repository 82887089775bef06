"""The release: built, installed by pip, pipx and uv with the oldest and the newest dependencies, upgraded, removed.

Everything is taken from the package index that the installers are set up for; ``-m "not release"`` leaves it out.
"""

from __future__ import annotations

import json
import os
import re
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

pytestmark = [pytest.mark.release, pytest.mark.timeout(1800)]


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
    assert {
        f"\nProvides-Extra: {extra}\n" in metadata
        for extra in ("local", "mcp", "prices", "dask", "pdf", "web", "all", "dev")
    } == {True}


def test_another_folder_umask_and_time_zone_give_the_same_bytes(built: Distributions, tmp_path: Path) -> None:
    for name in kept():
        copy = tmp_path / "tree" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy)  # the modes, and not the times
    script = 'umask 077; exec "$0" -m build --no-isolation --outdir "$1" "$2"'
    env = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C"}
    done("sh", "-c", script, sys.executable, tmp_path / "dist", tmp_path / "tree", **env)
    for path in (built.source, built.wheel):
        assert (tmp_path / "dist" / path.name).read_bytes() == path.read_bytes()


def test_the_description_is_the_readme_without_what_needs_the_repository(built: Distributions) -> None:
    done(sys.executable, "-m", "twine", "check", "--strict", built.source, built.wheel)
    with zipfile.ZipFile(built.wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode()
    shown = render(metadata.partition("\n\n")[2])
    whole = render((ROOT / "README.md").read_text("utf-8"))
    assert re.findall(r'(?:href|src)="(?!https?:|#)[^"]*"', shown) == []
    for tag in ("<pre", "<h2", "<td", "<li"):
        assert shown.count(tag) == whole.count(tag) > 3
    for version in VERSIONS:
        assert f"\nClassifier: Programming Language :: Python :: {version}\n" in metadata


def render(text: str) -> str:
    """The HTML that a package index makes of a description."""
    from readme_renderer import markdown

    html = markdown.render(text)
    assert html is not None
    return html


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


def test_it_runs_from_a_single_file(built: Distributions, tmp_path: Path, server: Scripted) -> None:
    (command,) = re.findall(
        r"^shiv .+$", (ROOT / "docs" / "installation.md").read_text("utf-8"), re.MULTILINE
    )
    assert "'.[mcp]'" in command
    command = command.replace("'.[mcp]'", f"'telex[mcp] @ file://{built.wheel}'")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done("sh", "-c", command, cwd=tmp_path, PATH=path)
    visitor = Visitor(tmp_path / "telex", tmp_path / "home", server)
    visitor.telex.env |= {"SHIV_ROOT": str(tmp_path / "unpacked"), "PATH": path}
    visitor.starts()
    report = json.loads(visitor.runs("doctor", "--json", "versions"))
    assert {each["subject"]: each["level"] for each in report["findings"]}["extra mcp"] == "ok"


# --- the image ---------------------------------------------------------------------------------------------


def test_the_images_steps_work_with_the_files_that_they_get(
    built: Distributions, tmp_path: Path, server: Scripted
) -> None:
    """Its build step, in this machine's folders instead of the image's."""
    for name in kept():
        if is_in_context(name):
            (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / "src" / name)
    text = (ROOT / "Containerfile").read_text("utf-8")
    (run,) = re.findall(r"^RUN (.*?[^\\])\n", text, re.MULTILINE | re.DOTALL)
    (extras,) = re.findall(r"^ARG EXTRAS=(.*)$", text, re.MULTILINE)
    run = run.replace("/opt/telex", str(tmp_path / "opt")).replace("/data", str(tmp_path / "home"))
    run = run.replace("python3", str(interpreter(newest()))).replace("-o 10001 -g 10001 ", "")
    done("sh", "-ec", run, cwd=tmp_path / "src", EXTRAS=extras)
    Visitor(tmp_path / "opt/bin/telex", tmp_path / "home", server).starts()
    assert not (tmp_path / "opt/bin/pip").exists()


def is_in_context(name: str) -> bool:
    """Whether .dockerignore lets the file through: it names the folders and files that are not ignored."""
    rules = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert rules[:2] == [rules[0], "*"]
    return any(name == rule[1:] or name.startswith(f"{rule[1:]}/") for rule in rules if rule.startswith("!"))


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
        show = ("models list", "providers show lab --json", "history list --json", "history show --json")
        return [visitor.runs(*line.split()) for line in show]

    before, settings = told(), visitor.telex.settings.read_bytes()
    environment.install("--upgrade", _next(built, tmp_path).wheel)
    assert visitor.runs("--version") == "telex 999.0.0\n"
    assert told() == before
    assert visitor.runs("chat", "-m", "lab", "--continue", "Still there?") == "Hello\n"
    said = [turn["content"] for turn in server.asked[-1].body["messages"]]
    assert said == ["Hello?", "Hello", "Still there?"]
    assert visitor.telex.settings.read_bytes() == settings


def _next(built: Distributions, folder: Path) -> Distributions:
    """The same code with a later version."""
    with tarfile.open(built.source) as archive:
        archive.extractall(folder / "next", filter="data")
    (tree,) = (folder / "next").iterdir()
    version = tree / "provider_core" / "__init__.py"
    old = built.wheel.name.split("-")[1]
    version.write_text(version.read_text().replace(f'"{old}"', '"999.0.0"'))
    return Distributions.build(tree, folder / "dist")
