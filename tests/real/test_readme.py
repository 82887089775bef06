"""The README's commands, run from top to bottom as they are written; a block that is not run says so above it."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from reader import reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reader import Reader

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


@dataclass(frozen=True)
class Block:
    """What stands between two fences, with the section it is in."""

    section: str
    language: str
    text: str
    comment: str

    def __str__(self) -> str:
        return f"{self.section}: {self.text.strip().splitlines()[0][:50]}"


def blocks() -> Iterator[Block]:
    section = ""
    pattern = r"^## ([^\n]+)$|(?:^<!-- ([^>]*) -->\n)?^```(\w+)\n(.*?)^```$"
    for found in re.finditer(pattern, README, re.MULTILINE | re.DOTALL):
        if found[1]:
            section = found[1]
        else:
            yield Block(section=section, language=found[3], text=found[4], comment=found[2] or "")


SHELL = [block for block in blocks() if block.language == "sh" and not block.comment.startswith("not run")]


def opens(reader: Reader, section: str) -> None:
    """Nothing is set up yet where providers are added; what they were called there is not known later."""
    if section == "Providers and keys":
        reader.telex.configure("")
    elif section in ("Ten lines to copy", "Models"):
        reader.knows()


@pytest.fixture
def reader(tmp_path: Path, model_path: Path) -> Iterator[Reader]:
    with reading(tmp_path, model_path) as reader:
        (template,) = [block.text for block in blocks() if block.language == "markdown"]
        (reader.work / "review-template.md").write_text(template)
        yield reader


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
@pytest.mark.timeout(600)
def test_every_command_runs_as_it_is_written(reader: Reader) -> None:
    section = ""
    for block in SHELL:
        if block.section != section:
            section = block.section
            opens(reader, section)
        reader.runs(block.text)


def test_the_blocks_were_found() -> None:
    assert len(SHELL) > 12
    assert {"Asking", "Scripts", "Providers and keys", "Tools"} <= {block.section for block in SHELL}
