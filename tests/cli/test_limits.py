"""How much memory long answers take, measured in children: 64 MB in each output format."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from scripted import DONE, Answer, Scripted, delta, sse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from running import Telex

MIB = 1 << 20
SIZE = 64
CHILD = """
import sys
from telex.main import main
code = main(sys.argv[1:])
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")), file=sys.stderr)
sys.exit(code)
"""


def long_answer(text: str, begin: str = "") -> Answer:
    """An answer of 64 MiB."""

    def pieces() -> Iterator[bytes]:
        yield from sse(delta(begin + "Hello\n"))
        (piece,) = sse(delta(text * ((16 << 10) // len(text.encode()))))
        for _ in range(SIZE):
            yield piece * 64
        yield from (*sse(delta(finish="stop")), DONE)

    return Answer(pieces())


@pytest.mark.skipif(sys.platform != "linux", reason="/proc has the peak")
@pytest.mark.parametrize(
    ("options", "text", "most", "code"),
    [
        ((), "All is well. ", 38, 0),
        (("--jsonl",), "All is well. ", 80, 0),
        (("--json",), "Всё хорошо. ", 60 + 3 * SIZE, 0),
        (("-x",), "print(1)\n", 220, 6),
        (("--schema", "name"), "All is well. ", 100, 6),
    ],
    ids=["plain", "jsonl", "json", "extract", "schema"],
)
def test_a_long_answer_takes_little_memory(
    telex: Telex, server: Scripted, tmp_path: Path, options: tuple[str, ...], text: str, most: int, code: int
) -> None:
    telex.provider("lab", server.url)
    telex("models", "list")  # checking settings that are new takes 15 MiB more, once
    server.will(long_answer(text, begin="```\n"))
    with (tmp_path / "out").open("wb") as out:
        ran = subprocess.run(
            [sys.executable, "-c", CHILD, "chat", "-m", "lab/m", *options, "hi"],
            env=telex.env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    *said, peak = ran.stderr.decode().splitlines()
    assert ran.returncode == code, said
    assert int(peak) >> 10 < most
    if code:
        assert "telex: lab sent more than 4,000,000 characters of text" in said
    else:
        assert "Only the beginning of the answer is saved" in said[0]
    if options == ("--json",):
        assert len(json.loads((tmp_path / "out").read_bytes())["text"].encode()) > 63 * MIB
    elif not code:
        assert (tmp_path / "out").stat().st_size > 63 * MIB
