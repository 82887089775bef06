"""The README's picture shows what telex prints: its commands are run again, and their screen compared with it."""

from __future__ import annotations

import re
import shutil
from html import unescape
from itertools import groupby
from pathlib import Path

import picture
import pytest


def drawn(svg: str) -> list[str]:
    """The words of a picture, row by row; how long it took is not the same twice."""
    runs = re.findall(r'<text x="[\d.]+" y="([\d.]+)"[^>]*>([^<]*)</text>', svg)
    rows = ["".join(text for _, text in row) for _, row in groupby(runs, key=lambda run: run[0])]
    return [re.sub(r"[\d.]+ s$", "… s", unescape(row)) for row in rows]


@pytest.fixture(scope="module")
def taken() -> str:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    return picture.svg(picture.taken(), picture.TITLE)


def test_the_picture_is_current(taken: str) -> None:
    assert drawn(picture.FILE.read_text("utf-8")) == drawn(taken), "to take it again: python tests/picture.py"


def test_nothing_of_the_machine_is_in_it(taken: str) -> None:
    for svg in (taken, picture.FILE.read_text("utf-8")):
        assert str(Path.home()) not in svg
        assert not re.search(r"/tmp|/home|127\.0\.0\.1", svg)
