"""The man pages: tools find no mistake in them, and they say what the help of the commands says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from commands_tree import commands

from telex.help import TOPICS
from telex.main import Command, root
from telex.man import Page, pages


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All pages, as the build writes them."""
    folder = tmp_path_factory.mktemp("man")
    subprocess.run([sys.executable, "-m", "telex.man", str(folder)], check=True)
    return folder


def rendered(*pages: Path) -> str:
    """The pages as man shows them in 100 columns, without bold and italics."""
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    command = ["groff", "-man", "-ww", "-Tutf8", "-P-cbou", "-rLL=100n", *map(str, pages)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    return ran.stdout


def test_mandoc_finds_no_mistake(folder: Path) -> None:
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed")
    command = ["mandoc", "-T", "lint", *map(str, folder.glob("man?/*"))]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    # Without a date, the same commands give the same page.
    assert [line for line in lines if "missing date" not in line] == []


def test_every_command_has_a_page_with_its_help(folder: Path) -> None:
    for words, command in commands():
        name = "-".join(words)
        page = " ".join(rendered(folder / f"man1/{name}.1").split())
        assert isinstance(command, Command)
        context = click.Context(command, **root.context_settings)
        params = [param for param in command.get_params(context) if isinstance(param, click.Option)]
        expected = [
            f"{name} - ",
            *(command.help or "").split("\n\n"),
            *command.examples,
            *(f"{int(code)} {meaning}" for code, meaning in command.meanings.items()),
            *(" ".join(record) for param in params if (record := param.get_help_record(context))),
        ]
        assert [text for text in expected if " ".join(text.split()) not in page] == []


def test_every_topic_has_a_page(folder: Path) -> None:
    for topic, line in TOPICS.items():
        page = rendered(folder / f"man7/telex-{topic}.7")
        assert f"telex-{topic} - {line.rstrip('.')}" in page
        assert "EXAMPLES" in page


def test_every_reference_leads_to_a_page() -> None:
    made = pages(root)
    for source in made.values():
        for page, section in re.findall(r"\\fB(telex[a-z-]*)\\fR\((\d)\)", source.replace("\\-", "-")):
            assert f"man{section}/{page}.{section}" in made


def test_what_roff_would_interpret_is_printed_unchanged(tmp_path: Path) -> None:
    text = r""".so /etc/passwd \fBbold 'quoted' "twice" -o ~ ^ ` … 40 °C"""
    page = Page("x", 1, "One line.")
    page.section("Description")
    page.text(text)
    page.lines([text, "'tis"])
    (tmp_path / "x.1").write_text(page.source(), "ascii")
    shown = rendered(tmp_path / "x.1")
    assert shown.count(text) == 2
    assert "'tis" in shown
