"""The documents: what is made from code is current, links lead somewhere, and what they show is what there is.

That the README's commands run is in ``tests/real/test_readme.py``, its Python in ``tests/core/test_library.py``.
"""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

import documents
import pytest

from telex.render import jsonl

if TYPE_CHECKING:
    from running import Telex

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")


def test_what_is_made_from_code_is_current() -> None:
    assert sorted(map(str, documents.stale())) == [], "to make it anew: python tests/documents.py"


def test_the_readme_has_every_block_that_can_be_made() -> None:
    assert sorted(block["name"] for block in documents.BLOCK.finditer(README)) == sorted(documents.BLOCKS)


def test_a_block_that_is_not_current_is_made_anew() -> None:
    changed = re.sub(r"^\| 5 \|.*\n", "", README, flags=re.MULTILINE)
    assert changed != README
    assert documents.readme(changed) == README


def test_what_is_stale_is_made_anew_and_what_is_gone_removed(tmp_path: Path) -> None:
    readme, gone = tmp_path / "README.md", tmp_path / "cli" / "man" / "man1" / "telex-gone.1"
    gone.parent.mkdir(parents=True)
    gone.write_text("")
    readme.write_text("<!-- exit codes: generated -->\n<!-- end -->\n")
    documents.make(tmp_path)
    assert not gone.exists()
    assert "| 5 | rate limit, quota or budget exceeded |" in readme.read_text()
    for path in ("completions/_telex", "cli/man/man1/telex-chat.1", "cli/man/man7/telex-keys.7"):
        assert (tmp_path / path).read_bytes() == (ROOT / path).read_bytes()


# --- what can be followed and copied -------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """The headings, as links name them on the pages that are shown."""
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
        if not (ROOT / (path or page)).exists()
        or (anchor and anchor not in anchors((ROOT / (path or page)).read_text("utf-8")))
    ]
    assert broken == []


def test_every_path_that_is_named_is_there() -> None:
    for page in ("README.md", "CONTRIBUTING.md"):
        named = re.findall(
            r"`((?:cli|provider_core|tests|completions|\.ci|\.github)/[\w./-]+)`", (ROOT / page).read_text()
        )
        assert [path for path in named if not (ROOT / path).exists() and "NAME" not in path] == []


def test_ci_runs_the_readmes_second_command() -> None:
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(commands) == 2
    assert commands[1] in (ROOT / ".ci" / "run").read_text().replace("install -q -e", "install -e")


def test_the_settings_that_are_shown_can_be_used(telex: Telex) -> None:
    (shown,) = re.findall(r"^```toml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    telex.configure(shown)
    ran = telex("models", "alias")
    assert (ran.code, ran.err) == (0, "")
    assert "groq/openai/gpt-oss-120b" in ran.text
    assert "uvx mcp-server-time" in telex("mcp", "list").text


def test_the_kinds_of_jsonl_objects_are_all_named() -> None:
    tree = list(ast.walk(ast.parse(inspect.getsource(jsonl))))
    calls = [node for node in tree if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    said: list[ast.AST] = [call.args[0] for call in calls if ast.unparse(call.func) == "self._say"]
    chosen = [node for node in tree if isinstance(node, ast.IfExp)]
    kinds = {
        each.value
        for each in (*said, *(part for choice in chosen for part in (choice.body, choice.orelse)))
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    }
    (paragraph,) = re.findall(r"^`--jsonl` is one object.*?\n\n", README, re.MULTILINE | re.DOTALL)
    assert {"start", "request", "text", "end"} <= kinds
    assert kinds <= set(re.findall(r"`(\w+)`", paragraph))
