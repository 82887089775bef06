"""The first fenced block of an answer: CommonMark's own examples, and what models write."""

from __future__ import annotations

import html
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from telex.render.extract import first_block

EXAMPLES = [
    example
    for example in json.loads(Path(__file__).with_name("test_markdown_commonmark.json").read_text())[
        "examples"
    ]
    if re.search("```|~~~", example["markdown"])
]
INDENTED = 134
"""The example whose marks stand in code that is indented: no fence, and so no fenced block."""


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example["example"]))
def test_the_first_block_is_that_of_commonmark(example: dict[str, Any]) -> None:
    codes = re.findall(r"<pre><code[^>]*>(.*?)</code></pre>", example["html"], re.DOTALL)
    wanted = html.unescape(codes[0]) if codes and example["example"] != INDENTED else None
    assert first_block(example["markdown"]) == wanted


@pytest.mark.parametrize(
    ("answer", "block"),
    [
        ("Here:\n\n```python\nprint(1)\n```\n\nand\n\n```\ntwo\n```\n", "print(1)\n"),
        ("```Makefile\nall:\n\tgo  build\tx\n```", "all:\n\tgo  build\tx\n"),
        ("1. First:\n\n   ```sh\n   make\n     test\n   ```\n2. Then", "make\n  test\n"),
        ("- a\n  - b\n\n    ~~~\n    \tx\n    ~~~", "\tx\n"), ("1. a\n   ```sh\n\tmake\n   ```", " make\n"),
        ("> ```\n> quoted\n> ```", "quoted\n"), (">  ```\n>", "\n"),
        ("````md\n```sh\nls\n```\n````", "```sh\nls\n```\n"), ("   ```\n     two in\n   ```", "  two in\n"),
        ("```\ncut off", "cut off\n"), ("```json\n{}\n", "{}\n"), ("```\n```\n\n```\nx\n```", ""),
        ("```\r\na\r\nb\r\n```\r\n", "a\nb\n"),
        ("```\nform\x0cfeed\u2028line\x1c\n```", "form\x0cfeed\u2028line\x1c\n"),
        ("inline ```code``` only", None), ("    ```\n    indented\n", None), ("no block at all", None),
        ("", None),
    ],
)  # fmt: skip
def test_the_block_is_unchanged(answer: str, block: str | None) -> None:
    assert first_block(answer) == block


def test_a_long_answer_takes_little_time() -> None:
    code = "x = 'y'\t# z\n" * 50_000
    started = time.perf_counter()
    words = "some words\n" * 50_000
    assert first_block(f"{words}\n```\n{code}```\n{code}") == code
    assert time.perf_counter() - started < 30


FENCE = "```"
README = f"# moons\n\n{FENCE}sh\npip install moons\n{FENCE}\n"
README += f"\nThen:\n\n{FENCE}python\nimport moons\n{FENCE}\n\nThat is all.\n"


@pytest.mark.parametrize(
    ("answer", "block"),
    [
        (f"Here:\n\n{FENCE}markdown\n{README}{FENCE}\n\nShall I go on?\n", README),
        (f"Here:\n\n{FENCE}markdown\n{README}{FENCE}\n\n{FENCE}sh\nls\n{FENCE}\n", README),
        (f"- a\n  {FENCE}md\n  {FENCE}sh\n  ls\n  {FENCE}\n  b\n  {FENCE}\n", "```sh\nls\n```\nb\n"),
        (f"> {FENCE}md\n> {FENCE}sh\n> ls\n> {FENCE}\n> {FENCE}\n", "```sh\nls\n```\n"),
        ("~~~md\n~~~sh\nls\n~~~\nb\n~~~\n", "~~~sh\nls\n~~~\nb\n"),
        (f"````md\n{FENCE}sh\nls\n{FENCE}\n````\n", "```sh\nls\n```\n"),
        (f"{FENCE}md\n~~~sh\nls\n~~~\n{FENCE}\n", "~~~sh\nls\n~~~\n"),
        (f"{FENCE}md\n````sh\nls\n{FENCE}\n````\n{FENCE}\n", "````sh\nls\n```\n````\n"),
        # Not closed, or inner blocks without an info string: the specification's reading.
        (f"{FENCE}python\nx\n\nAnd:\n{FENCE}sh\nls\n{FENCE}\nDone.\n", "x\n\nAnd:\n```sh\nls\n"),
        (f"{FENCE}markdown\n# a\n{FENCE}\nls\n{FENCE}\nb\n{FENCE}\n", "# a\n"),
        (f"{FENCE}markdown\n# a\n{FENCE}sh\nls\n", "# a\n```sh\nls\n"),
        (f"{FENCE}python\nx\n{FENCE}\n\n{FENCE}\ny\n{FENCE}\n", "x\n"),
        (f"{FENCE}sh\nx\n{FENCE}\n\n{FENCE}sh\ny\n{FENCE}\n", "x\n"),
    ],
)  # fmt: skip
def test_blocks_within_a_block_belong_to_it(answer: str, block: str) -> None:
    assert first_block(answer) == block
