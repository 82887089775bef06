"""The examples of commands and topics, run as they are written."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands_tree import commands
from reader import ADDRESS, reading

from telex.help import TOPICS, topic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reader import Reader

EXAMPLES = [
    *((words[1:], line) for words, command in commands() for line in getattr(command, "examples", ())),
    *(
        (("help", name), "\n".join(block))
        for name in TOPICS
        for block in topic(name)["Examples"]
        if isinstance(block, list)
    ),
]
"""The words of the command or topic, and the line; the lines of a topic run together."""

ASKS = {
    "telex history remove k3f9a2bq",
    "telex mcp set-secret github",
    "telex providers set-key openai",
    "telex providers set-secret gateway --for https://llm.example.com/v1",
}
"""Examples that prompt, and fail without a terminal."""

SETTINGS = """
[[providers.lab.models]]
id = "qwen3-8b"
[[providers.lab.models]]
id = "old-m"
[providers.old]
preset = "ollama"
enabled = false
[aliases]
quick = "lab/m"
[mcp.time]
command = ["uvx", "mcp-server-time"]
[mcp.github]
command = ["uvx", "mcp-server-time"]
[mcp.old]
command = ["uvx", "mcp-server-time"]
enabled = false
"""

NOTHING_YET = {("providers", "add"), ("providers", "import"), ("help", "keys"), ("help", "scripts")}
"""Commands and topics whose examples begin without a provider."""

NO_MORE_YET = {("models", "add"), ("mcp", "add"), ("help", "tools")}
"""Commands and topics whose examples begin with providers only."""

DASK = "telex batch rows.jsonl -m lab -o out.jsonl --via dask --scheduler tcp://host:8786"
"""An example that needs a cluster: tests/core/test_batch_dask.py has one."""

WEATHER = Path(__file__).parents[1] / "mcp_weather_server.py"


@pytest.fixture
def reader(tmp_path: Path, model_path: Path) -> Iterator[Reader]:
    with reading(tmp_path, model_path) as reader:
        work, programs = reader.work, reader.home / "bin"
        for path, text in {
            work
            / ".vscode"
            / "mcp.json": '{"servers": {"clock": {"command": "uvx", "args": ["mcp-server-time"]}}}',
            work / "README.md": "It is all about the sky.",
            work / ".telex.toml": 'system = "Be brief."\n',
            work / "models" / "qwen3-8b.gguf": "",
            work / "providers.toml": '[providers.deepseek]\npreset = "deepseek"\n',
            programs / "fzf": "#!/bin/sh\nhead -n 1\n",
            programs / "npx": f'#!/bin/sh\nexec "{sys.executable}" "{WEATHER}"\n',
        }.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
        elsewhere = reader.home / "elsewhere" / "config"  # where the reader's ssh leads
        elsewhere.mkdir(parents=True)
        (elsewhere / "settings.toml").write_text(
            f'[providers.far]\nbase_url = "{reader.url}"\nkey = "none"\n'
        )
        yield reader


def prepared(reader: Reader, words: tuple[str, ...], line: str) -> str:
    """Prepare what the example needs, and return it with real addresses and ids."""
    if words in NOTHING_YET or line == "telex providers add deepseek":
        reader.telex.configure("")
    else:
        reader.knows("" if words in NO_MORE_YET or line.startswith("telex mcp add") else SETTINGS)
    templates = reader.telex.settings.parent / "templates"
    templates.mkdir(exist_ok=True)
    for name in ("review.md", "old-review.md"):
        (templates / name).write_text("Review this. {{ stdin | - }}")
    if "export providers.toml" in line:
        (reader.work / "providers.toml").unlink()
    if words[:1] == ("batch",):
        for path in reader.work.glob("out.jsonl*"):
            path.unlink()
    if words in (("batch", "status"), ("batch", "cancel")):
        reader.batches.stays = "in_progress"
        reader.runs("! telex batch rows.jsonl -m openai -o out.jsonl --via provider --deadline 1s")
        line = line.replace("batch_abc123", [*reader.batches.batches][-1])
    if words[:1] == ("history",) or "telex chat -c" in line:
        reader.runs("telex chat -m lab 'sunset Rayleigh canary: connection refused' > /dev/null")
        listed = reader.telex("history", "list", "-n", "1", env=reader.env).text
        line = line.replace("k3f9a2bq", listed.partition("\t")[0])
    for shown, here in (
        (ADDRESS, reader.url),
        ("http://proxy.example.com:3128", reader.env["HTTPS_PROXY"]),
        ("/etc/ssl/lab.pem", reader.env["SSL_CERT_FILE"]),
    ):
        line = line.replace(shown, here)
    return line


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
@pytest.mark.timeout(1800)
def test_every_example_does_what_it_says(reader: Reader) -> None:
    wrong = []
    for words, line in EXAMPLES:
        if "Invoke-Expression" in line or line == DASK:  # the first is PowerShell's
            continue
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", prepared(reader, words, line)],
            cwd=reader.work, env=reader.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        asks = (
            ran.returncode == 2 and re.search(r"no terminal to|without confirmation", ran.stderr) is not None
        )
        if (line in ASKS) is not asks or (ran.returncode and not asks):
            wrong.append(f"{line}\n{ran.returncode}: {ran.stderr[-600:]}")
    assert not wrong, "\n\n".join(wrong)


def test_the_examples_were_found() -> None:
    assert len(EXAMPLES) > 80
    assert {line for _, line in EXAMPLES} >= {*ASKS, DASK}
