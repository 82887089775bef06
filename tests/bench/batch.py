"""Prints what ``telex batch`` takes for many rows, beside a script with httpx; asserts nothing.

Run as ``python tests/bench/batch.py [ROWS] [ROUNDS]``. The server is another process on loopback, which answers at
once. Each row of the table is a whole process with 64 requests in flight, start included, that reads a JSONL file and
writes another; figures are medians. Then the largest memory of ``telex batch`` for 1,000 rows up to 100 times ROWS.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

from row_server import RowServer
from running import COMMAND, provider_table

SCRIPT = """
import asyncio, json, sys
import httpx

async def main(url):
    rows, out = open(sys.argv[1]), open(sys.argv[2], "w")
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    async with httpx.AsyncClient(limits=limits, timeout=60) as client:
        async def work():
            for line in rows:
                row = json.loads(line)
                messages = [{"role": "user", "content": f"Summarise: {row['body']}"}]
                body, text, finish = {"model": "m", "messages": messages, "stream": True}, [], None
                async with client.stream("POST", f"{url}/chat/completions", json=body) as reply:
                    reply.raise_for_status()
                    async for line in reply.aiter_lines():
                        if line.startswith("data: ") and line != "data: [DONE]":
                            for choice in json.loads(line[6:])["choices"]:
                                text.append(choice["delta"].get("content") or "")
                                finish = choice["finish_reason"] or finish
                out.write(json.dumps({"id": row["id"], "text": "".join(text), "finish": finish}) + "\\n")
        await asyncio.gather(*(work() for _ in range(64)))

asyncio.run(main(sys.argv[3]))
"""


class Cost(NamedTuple):
    seconds: float
    cpu: float
    memory: float
    """Megabytes."""


def measure(command: list[str], env: dict[str, str]) -> Cost:
    began = time.perf_counter()
    process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command[:3]} failed: {status}")
    return Cost(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def write_rows(path: Path, count: int) -> None:
    with path.open("w") as file:
        file.writelines(json.dumps({"id": number, "body": f"row {number}"}) + "\n" for number in range(count))


def main(count: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as name, RowServer() as server:
        folder = Path(name)
        env = {**os.environ, "TELEX_HOME": name}
        (folder / "config").mkdir()
        (folder / "config" / "settings.toml").write_text(provider_table("lab", server.url))
        rows, out = folder / "rows.jsonl", folder / "out.jsonl"
        write_rows(rows, count)
        script = folder / "script.py"
        script.write_text(SCRIPT)
        telex = [
            str(COMMAND),
            "batch",
            str(rows),
            "-m",
            "lab",
            "Summarise: {{ body }}",
            "-o",
            str(out),
            "--fresh",
        ]
        commands = {
            "httpx": [sys.executable, str(script), str(rows), str(out), server.url],
            "telex -j 64": [*telex, "-j", "64"],
            "telex": telex,
        }
        found: dict[str, list[Cost]] = {each: [] for each in commands}
        for _ in range(rounds):
            for each in random.sample(list(commands), len(commands)):
                (folder / "out.jsonl.state").unlink(missing_ok=True)
                out.unlink(missing_ok=True)
                found[each].append(measure(commands[each], env))
        print(f"{count:,} rows, {rounds} rounds")
        for each, costs in found.items():
            seconds, cpu, memory = (statistics.median(values) for values in zip(*costs, strict=True))
            print(
                f"{each:26} {count / seconds:7.0f} rows/s {1000 * cpu / count:7.3f} ms CPU/row {memory:6.0f} MB"
            )
        size = 1_000
        while size <= 100 * count:
            write_rows(rows, size)
            (folder / "out.jsonl.state").unlink(missing_ok=True)
            out.unlink(missing_ok=True)  # it may be that of the script
            cost = measure(commands["telex -j 64"], env)
            print(f"memory for {size:9,} rows: {cost.memory:5.1f} MB, {cost.seconds:.0f} s")
            size *= 10


if __name__ == "__main__":
    main(*(int(each) for each in (*sys.argv[1:], "10000", "5")[:2]))
