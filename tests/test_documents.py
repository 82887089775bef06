"""README.md, docs/ and the other pages: generated blocks are current, and links and names exist.

``tests/real/test_readme.py`` runs the commands, and ``tests/core/test_library.py`` the Python.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import documents
import pytest

if TYPE_CHECKING:
    from running import Telex

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PAGES = (*map(str, documents.pages()), "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")


def test_generated_files_are_current() -> None:
    assert sorted(map(str, documents.stale())) == [], "to generate them: python tests/documents.py"


def test_each_block_is_on_one_page() -> None:
    text = "".join((ROOT / page).read_text("utf-8") for page in documents.pages())
    assert sorted(block["name"] for block in documents.BLOCK.finditer(text)) == sorted(documents.BLOCKS)


def test_a_block_that_is_out_of_date_is_replaced() -> None:
    changed = README.replace("| `telex doctor` |", "| `telex nurse` |")
    assert changed != README
    assert documents.with_blocks(changed) == README


def test_stale_files_are_written(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "x.md"
    page.parent.mkdir(parents=True)
    page.write_text("<!-- exit codes: generated -->\n<!-- end -->\n")
    (tmp_path / "README.md").touch()
    documents.make(tmp_path)
    assert "| 5 | rate limit, quota or budget exceeded |" in page.read_text()
    assert (tmp_path / "completions/_telex").read_bytes() == (ROOT / "completions/_telex").read_bytes()


# --- links, names and examples ---------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """The headings, as links to them are written."""
    titles = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_links_were_found() -> None:
    assert "install" in anchors(README)
    assert "](CONTRIBUTING.md)" in README


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
