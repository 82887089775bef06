"""The commands of README.md and docs/, run in order; a comment above a block says if it is not run."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import documents
import pytest
from reader import reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reader import Reader

ROOT = Path(__file__).parents[2]
PAGES = [path for path in documents.PAGES if "```sh" in (ROOT / path).read_text("utf-8")]


@dataclass(frozen=True)
class Block:
    """A fenced block, with its section and the comment above it."""

    section: str
    language: str
    text: str
    comment: str


def blocks(page: Path) -> Iterator[Block]:
    section = ""
    pattern = r"^## ([^\n]+)$|(?:^<!-- ([^>]*) -->\n)?^```(\w+)\n(.*?)^```$"
    for found in re.finditer(pattern, (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL):
        if found[1]:
            section = found[1]
        else:
            yield Block(section=section, language=found[3], text=found[4], comment=found[2] or "")


@pytest.fixture
def reader(tmp_path: Path, model_path: Path) -> Iterator[Reader]:
    with reading(tmp_path, model_path) as reader:
        yield reader


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_command_runs_as_it_is_written(page: Path, reader: Reader) -> None:
    section, ran = "", 0
    for block in blocks(page):
        if block.language == "markdown":
            (reader.work / "review-template.md").write_text(block.text)
            reader.env["EDITOR"] = "cp review-template.md"
    for block in blocks(page):
        if block.language != "sh" or block.comment.startswith("not run"):
            continue
        if block.comment.startswith("nothing is set up"):
            reader.telex.configure("")
        elif block.section != section:
            reader.knows()
        section = block.section
        reader.runs(block.text)
        ran += 1
    assert ran or page.name in {"benchmarks.md", "installation.md"}
