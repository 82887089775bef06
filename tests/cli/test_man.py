"""The man pages: those in the repository are current, tools find no mistake in them, and man shows what help says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from commands_tree import Below, commands

from telex.command import Command, Group
from telex.help import TOPICS
from telex.main import root
from telex.man import pages, roff

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "cli" / "man"
TREE = tuple(commands())
PAGES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("man?/*"))


def shown(name: str) -> str:
    """The page as man lays it out for 100 columns, without bold and italics."""
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    ran = subprocess.run(
        ["groff", "-man", "-Tutf8", "-P-cbou", "-rLL=100n", str(FOLDER / name)],
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout


@pytest.fixture(params=TREE, ids=lambda below: " ".join(below[0]))
def each(request: pytest.FixtureRequest) -> Below:
    below: Below = request.param
    return below


def test_the_pages_in_the_repository_are_those_of_the_commands() -> None:
    made = pages(root)
    assert made.keys() == set(PAGES), "to make the pages anew: python -m telex.man cli/man"
    changed = [name for name, text in made.items() if (FOLDER / name).read_text("utf-8") != text]
    assert changed == [], "the commands have changed; to make the pages anew: python -m telex.man cli/man"


def test_one_command_writes_all_pages_and_removes_those_of_commands_that_are_gone(tmp_path: Path) -> None:
    (tmp_path / "man1").mkdir()
    (tmp_path / "man1" / "telex-gone.1").write_text("")
    (tmp_path / "man1" / "other.1").write_text("")
    subprocess.run([sys.executable, "-m", "telex.man", str(tmp_path)], check=True)
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("man?/*")}
    assert written == {*pages(root), "man1/other.1"}


@pytest.mark.parametrize("tool", ["groff", "mandoc"])
def test_the_tools_find_no_mistake_in_any_page(tool: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    lint = {"groff": ["groff", "-man", "-ww", "-z", "-Tutf8"], "mandoc": ["mandoc", "-T", "lint"]}[tool]
    ran = subprocess.run(
        [*lint, *(str(FOLDER / name) for name in PAGES)], capture_output=True, text=True, check=False
    )
    said = (ran.stdout + ran.stderr).splitlines()
    # The pages have no date on purpose: the same commands give the same page.
    assert [line for line in said if "missing date" not in line] == []


def test_every_command_has_a_page_that_says_what_its_help_says(each: Below) -> None:
    words, command = each
    page = " ".join(shown(f"man1/{'-'.join(words)}.1").split())
    assert isinstance(command, Command | Group)
    assert f"{'-'.join(words)} - " in page
    for paragraph in (command.help or "").split("\n\n"):
        assert " ".join(paragraph.split()) in page
    for example in command.examples:
        assert " ".join(example.split()) in page
    for code in command.exits:
        assert f"{int(code)} {code.meaning_among(command.exits)}" in page
    context = click.Context(command)
    for param in command.get_params(context):
        if isinstance(param, click.Option) and (record := param.get_help_record(context)):
            assert " ".join(" ".join(record).split()) in page


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_has_a_page(topic: str) -> None:
    page = shown(f"man7/telex-{topic}.7")
    assert f"telex-{topic} - {TOPICS[topic].rstrip('.')}" in page
    assert "EXAMPLES" in page


def test_every_page_that_is_referred_to_is_there() -> None:
    for name in PAGES:
        source = (FOLDER / name).read_text("utf-8").replace("\\-", "-")
        for page, section in re.findall(r"\\fB(telex[a-z-]*)\\fR\((\d)\)", source):
            assert f"man{section}/{page}.{section}" in PAGES


def test_man_itself_finds_the_pages_below_share_man() -> None:
    if shutil.which("man") is None:
        pytest.skip("man is not installed")
    ran = subprocess.run(
        ["man", "-M", str(FOLDER), "-w", "telex-models-list"], capture_output=True, text=True, check=False
    )
    assert ran.stdout.strip() == str(FOLDER / "man1" / "telex-models-list.1")


def test_what_roff_would_take_for_its_own_is_escaped(tmp_path: Path) -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    page = roff.Writer("x", 1, "1", "One line.")
    text = r""".so /etc/passwd \fBbold 'quoted' "twice" -o ~ ^ ` … 40 °C"""
    page.section("Description")
    page.text(text)
    page.lines([text, "'tis"])
    (tmp_path / "x.1").write_text(page.value(), "ascii")
    ran = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-P-cbou", str(tmp_path / "x.1")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stderr == ""
    assert ran.stdout.count(text) == 2
    assert "'tis" in ran.stdout
