"""README.md, docs/ and the other pages: generated blocks are current, and links and names exist.

``tests/real/test_readme.py`` runs the commands, and ``tests/core/test_library.py`` the Python.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import click
import documents
import pytest
from commands_tree import calls, check, commands

if TYPE_CHECKING:
    from running import Telex

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PAGES = (*map(str, documents.PAGES), "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")


def test_generated_files_are_current() -> None:
    assert sorted(map(str, documents.stale())) == [], "to generate them: python tests/documents.py"


def test_each_block_is_on_one_page() -> None:
    text = "".join((ROOT / page).read_text("utf-8") for page in documents.PAGES)
    assert sorted(block["name"] for block in documents.BLOCK.finditer(text)) == sorted(documents.BLOCKS)


def test_a_block_that_is_out_of_date_is_replaced() -> None:
    changed = README.replace("| `telex doctor` |", "| `telex nurse` |")
    assert changed != README
    assert documents.with_blocks(changed) == README


# --- links, names and examples ---------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """The headings, as links to them are written."""
    titles = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text)
    broken = [
        f"{path}#{anchor}"
        for path, anchor in links
        if not (target := (ROOT / page).parent / path if path else ROOT / page).exists()
        or (anchor and anchor not in anchors(target.read_text("utf-8")))
    ]
    assert broken == []


def test_every_path_that_is_named_is_there() -> None:
    for page in PAGES:
        named = re.findall(
            r"`((?:cli|provider_core|tests|completions|docs|\.ci|\.github)/[\w./-]+)`",
            (ROOT / page).read_text(),
        )
        assert [path for path in named if not (ROOT / path).exists() and "NAME" not in path] == []


def test_the_tour_names_what_its_files_define() -> None:
    tour = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = re.findall(r"`(\w+/[\w/]+\.py)`,\s+`([\w.]+)`|`(\w+)`\s+(?:in|of|\()\s*`(\w+/[\w/]+\.py)`", tour)
    assert len(named) > 20
    for one, its, other, of in named:
        text, names = (ROOT / (one or of)).read_text("utf-8"), (its or other).split(".")
        assert all(re.search(rf"^\s*(def |class )?{name}\b[ (:]", text, re.MULTILINE) for name in names), (
            names
        )


def test_every_command_line_can_be_understood() -> None:
    """In blocks of commands; the README's examples and those of ``--help`` are run, too."""
    lines = [
        (page, line)
        for page in PAGES
        for block in re.findall(
            r"^```sh\n(.*?)^```$", (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL
        )
        for line in re.sub(r"\\\n\s*", "", block).splitlines()
    ]
    assert len([line for _, line in lines if "telex" in line]) > 40
    wrong = []
    for page, line in lines:
        if line.startswith(("podman build ", "shiv ")):  # telex is the name of what they make
            continue
        for words in calls(line.replace("./telex", "telex")):
            try:
                check(words, more="xargs" in line)
            except click.UsageError as error:
                wrong.append(f"{page}: {line}: {error.format_message()}")
    assert wrong == []


def test_every_command_and_option_in_the_text_exists() -> None:
    known = {
        " ".join(words): {opt for each in command.params for opt in (*each.opts, *each.secondary_opts)}
        for words, command in commands()
    }
    wrong = []
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        for named in re.findall(r"`(telex [^`]*)`", text):
            words = named.split()
            name = " ".join(words[:1])
            while len(words) > 1 and f"{name} {words[1]}" in known:
                name = f"{name} {words.pop(1)}"
            options = {word for word in words if word.startswith("--")} - {"--help", "--version"}
            unknown = any(other.startswith(f"{name} ") for other in known) and re.match("[a-z]", words[-1])
            if options - known[name] or (len(words) > 1 and unknown):
                wrong.append(f"{page}: {named}")
    assert wrong == []


def test_every_extra_is_described_and_no_other_is_named() -> None:
    extras = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    )
    text = (ROOT / "docs" / "installation.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == extras
    installed = re.findall(
        r"`(\w+)`", text.partition("telex with the extras")[2].partition("settings or keys")[0]
    )
    assert f"ARG EXTRAS={','.join(installed)}\n" in (ROOT / "Containerfile").read_text("utf-8")
    for path in (*map(ROOT.joinpath, PAGES), *ROOT.glob("cli/telex/help/topics/*.md")):
        named = re.findall(r"\bextra\s+`(\w+)`|\bthe extra\s+(\w+)", path.read_text("utf-8"))
        assert {a or b for a, b in named} <= extras, path.name


def test_the_threat_model_names_tests_that_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "threat-model.md").read_text("utf-8")))
    assert len(named) > 20
    there = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert {name for name in named if f"def {name}(" not in there} == set()


def test_ci_runs_the_readmes_second_command() -> None:
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(commands) == 2
    assert commands[1] in (ROOT / ".ci" / "run").read_text().replace("install -q -e", "install -e")


def test_the_settings_that_are_shown_can_be_used(telex: Telex) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    shown, project = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    telex.configure(shown)
    ran = telex("models", "alias")
    assert (ran.code, ran.err) == (0, "")
    assert "groq/openai/gpt-oss-120b" in ran.text
    assert "uvx mcp-server-time" in telex("mcp", "list").text
    assert "lab/qwen3-8b" in telex("--profile", "work", "config", "get", "model").text
    (telex.home / ".telex.toml").write_text(project)
    (telex.home / "prompts").mkdir()
    assert telex("trust", str(telex.home)).code == 0
