"""Prints one table of how long telex takes, beside what the same work takes others; asserts nothing.

Run as ``python tests/bench/startup.py [ROUNDS]``. Whole processes over loopback, each the best of many in a random
order, so that the machine's moods hit all kinds alike; the ratios hold where the milliseconds do not. BENCH_PEERS may
name the Python of an environment with ``llm`` and ``openai``; a key is read from a Secret Service where a session bus
is there (``dbus-run-session``, gnome-keyring). The decoder alone is in ``decode.py``, the layout of Markdown in
``markdown.py``.
"""

from __future__ import annotations

import fcntl
import os
import pty
import random
import shutil
import struct
import subprocess
import sys
import sysconfig
import tempfile
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripted import DONE, Answer, Asked, Pause, Scripted, answer, delta, sse

ROUNDS = 15
TELEX = str(Path(sysconfig.get_path("scripts")) / "telex")
PEERS = os.environ.get("BENCH_PEERS", "")
CHUNKS = 100_000
LONG = 100_000_000
THINKS = 0.15
"""Seconds that the server takes to its first byte where it is said to think."""

HTTPX = """
import json, sys, httpx
body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
key = {"authorization": "Bearer sk-bench"}
with httpx.stream("POST", sys.argv[1] + "/chat/completions", json=body, headers=key, timeout=60) as reply:
    for line in reply.iter_lines():
        if line.startswith("data: ") and line != "data: [DONE]":
            sys.stdout.write(json.loads(line[6:])["choices"][0]["delta"].get("content") or "")
            sys.stdout.flush()
print()
"""
LEAN = f"import sys\nsys.modules['httpx._main'] = None\n{HTTPX}"
"""The same without httpx's own command line, which it imports wherever click and rich are installed."""

OPENAI = """
import sys
from openai import OpenAI
stream = OpenAI(base_url=sys.argv[1], api_key="sk-bench").chat.completions.create(
    model="m", messages=[{"role": "user", "content": "hi"}], stream=True)
for chunk in stream:
    sys.stdout.write(chunk.choices[0].delta.content or "")
    sys.stdout.flush()
print()
"""


@dataclass
class Run:
    """One kind of process, and the best of its figures so far, in seconds from its start."""

    command: list[str]
    env: dict[str, str]
    asks: bool = False
    terminal: bool = False
    total: float = float("inf")
    sent: float = float("inf")
    """To the request's arrival."""
    shown: float = float("inf")
    """From the first byte of the answer's body, as it was sent, to the first byte printed."""
    memory: int = sys.maxsize
    """The most that was resident, in KiB."""


@dataclass
class Table:
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def show(self) -> None:
        rows = [(self.title, *self.columns), *self.rows]
        widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
        for number, row in enumerate(rows):
            cells = [
                cell.ljust(w) if n == 0 else cell.rjust(w)
                for n, (cell, w) in enumerate(zip(row, widths, strict=True))
            ]
            print(f"| {' | '.join(cells)} |")
            if number == 0:
                print(
                    "|"
                    + "|".join("-" * (w + 1) + ("-" if n == 0 else ":") for n, w in enumerate(widths))
                    + "|"
                )
        print()


class Server:
    """Sends one stream to whoever asks, and knows when it was asked and when the body began."""

    def __init__(
        self, scripted: Scripted, frames: list[bytes], *, before: int = 0, thinks: float = 0.0
    ) -> None:
        """``before`` is how often the first frame is sent once more, ahead of all."""
        self.asked = self.begun = 0.0
        self._thinks = thinks
        # Each frame is a chunk of the chunked coding, and many go in one write: the server must not be the brake.
        coded = [b"%x\r\n%s\r\n" % (len(frame), frame) for frame in frames]
        self._before = [coded[0] * 100] * (before // 100)
        self._body = b"".join(coded) + b"0\r\n\r\n"
        scripted.will(self._answer)

    def _answer(self, asked: Asked) -> Answer:
        self.asked = time.perf_counter()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        return Answer(head=head, body=self._pieces(), chunked=False)

    def _pieces(self) -> Iterator[bytes | Pause]:
        if self._thinks:
            yield Pause(self._thinks)
        self.begun = time.perf_counter()
        yield from self._before
        yield self._body


def once(run: Run, server: Server | None = None) -> None:
    """Run the process once, read all that it prints, and keep its best figures."""
    if run.terminal:
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    else:
        leader, follower = os.pipe()
    start = time.perf_counter()
    process = subprocess.Popen(
        run.command, env=run.env, stdin=subprocess.DEVNULL, stdout=follower,
        stderr=follower if run.terminal else subprocess.DEVNULL,
    )  # fmt: skip
    os.close(follower)
    first = 0.0
    while True:
        try:
            data = os.read(leader, 1 << 20)
        except OSError:  # a terminal whose last user has gone
            break
        if not data:
            break
        first = first or time.perf_counter()
    os.close(leader)
    _, status, used = os.wait4(process.pid, 0)
    taken = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{run.command} ended with {process.returncode}")
    run.total = min(run.total, taken)
    run.memory = min(run.memory, used.ru_maxrss)
    if server is not None and run.asks:
        run.sent = min(run.sent, server.asked - start)
        run.shown = min(run.shown, first - server.begun)


def race(runs: dict[str, Run], rounds: int, server: Server | None = None) -> None:
    order = list(runs.values())
    for run in order:
        once(run, server)  # fills the system's caches, and telex's own
        run.total = run.sent = run.shown = float("inf")
    for _ in range(rounds):
        random.shuffle(order)
        for run in order:
            once(run, server)


def ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}" if seconds < 1 else f"{seconds * 1e3:.0f}"


def times(value: float, base: float) -> str:
    return f"{value / base:.2f}"


def home(folder: Path, url: str) -> dict[str, str]:
    """An environment with one provider, its list of models and its key in a variable, and nothing inherited."""
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "LAB_KEY": "sk-bench"}
    env |= {
        "TELEX_HOME": str(folder / "telex"),
        "TERM": "xterm-256color",
        "LLM_USER_PATH": str(folder / "llm"),
    }
    settings = folder / "telex" / "config" / "settings.toml"
    settings.parent.mkdir(parents=True, mode=0o700)
    provider = f'base_url = "{url}"\nmodels = ["m"]\n'
    settings.write_text(
        f'model = "lab/m"\n[providers.lab]\n{provider}key_env = "LAB_KEY"\n[providers.stored]\n{provider}'
    )
    settings.chmod(0o600)
    (folder / "llm").mkdir()
    (folder / "llm" / "extra-openai-models.yaml").write_text(
        f"- model_id: bench\n  model_name: m\n  api_base: {url}\n  api_key_name: bench\n"
    )
    (folder / "llm" / "keys.json").write_text('{"bench": "sk-bench"}')
    return env


def without_network(env: dict[str, str], rounds: int) -> None:
    python = sys.executable
    runs = {
        "`python -c pass`": Run([python, "-c", "pass"], env),
        '`python -c "import click"`': Run([python, "-c", "import click"], env),
        "`telex --version`": Run([TELEX, "--version"], env),
        "`telex --help`": Run([TELEX, "--help"], env),
        "`telex chat --help`": Run([TELEX, "chat", "--help"], env),
        "`telex providers list`": Run([TELEX, "providers", "list"], env),
        "`telex models list`": Run([TELEX, "models", "list"], env),
    }
    if llm := peer("llm"):
        runs["`llm --version`"] = Run([llm, "--version"], env)
    race(runs, rounds)
    bare, click = list(runs.values())[:2]
    table = Table("a command", ("ms", "x python", "x click"))
    for name, run in runs.items():
        table.rows.append((name, ms(run.total), times(run.total, bare.total), times(run.total, click.total)))
    table.show()


def peer(name: str) -> str | None:
    path = Path(PEERS).parent / name
    return str(path) if PEERS and path.exists() else None


def askers(env: dict[str, str], url: str) -> dict[str, Run]:
    """Every way to ask that is at hand."""
    python = sys.executable
    body = '{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}'
    header = ["-H", "authorization: Bearer sk-bench", "-H", "content-type: application/json"]
    runs = {
        "shortest httpx script": Run([python, "-c", HTTPX, url], env, asks=True),
        "the same, httpx without its command line": Run([python, "-c", LEAN, url], env, asks=True),
        "`telex chat`": Run([TELEX, "chat", "hi"], env, asks=True),
    }
    if session := os.environ.get("DBUS_SESSION_BUS_ADDRESS"):
        with_bus = env | {"DBUS_SESSION_BUS_ADDRESS": session}
        store = [TELEX, "providers", "set-key", "stored", "--key-stdin"]
        stored = subprocess.run(store, env=with_bus, input=b"sk-bench\n", check=False, capture_output=True)
        command = [TELEX, "chat", "-m", "stored", "hi"]
        if stored.returncode == 0:
            runs["`telex chat`, key in the Secret Service"] = Run(command, with_bus, asks=True)
    if curl := shutil.which("curl"):
        command = [curl, "-sN", "--json", body, *header, f"{url}/chat/completions"]
        runs["`curl -N`"] = Run(command, env, asks=True)
    if (
        PEERS
        and subprocess.run([PEERS, "-c", "import openai"], check=False, stderr=subprocess.DEVNULL).returncode
        == 0
    ):
        runs["shortest `openai` script"] = Run([PEERS, "-c", OPENAI, url], env, asks=True)
    if llm := peer("llm"):
        runs["`llm`"] = Run([llm, "-m", "bench", "-n", "hi"], env, asks=True)
    return runs


def one_prompt(env: dict[str, str], scripted: Scripted, rounds: int) -> None:
    for kind, thinks in (("that answers at once", 0.0), (f"that thinks for {THINKS * 1e3:.0f} ms", THINKS)):
        server = Server(scripted, answer("Hello", ", ", "world"), thinks=thinks)
        runs = askers(env, scripted.url)
        race(runs, rounds, server)
        base = runs["shortest httpx script"].total
        columns = ("start to request", "first byte in to first out", "whole", "x httpx")
        table = Table(f"one prompt in a pipe, a server {kind} (ms)", columns)
        for name, run in runs.items():
            table.rows.append((name, ms(run.sent), ms(run.shown), ms(run.total), times(run.total, base)))
        table.show()


def long_answers(env: dict[str, str], scripted: Scripted) -> None:
    words = ("The", "quick", "**brown**", "fox", "jumps", "over", "the", "`lazy`", "dog,", "and", "rests.")
    texts = [f"{words[n % len(words)]} " + ("\n\n" if n % 100 == 99 else "") for n in range(CHUNKS)]
    server = Server(scripted, answer(*texts))
    python = sys.executable
    runs = {
        "httpx script": Run([python, "-c", LEAN, scripted.url], env, asks=True),
        "`telex chat`, pipe": Run([TELEX, "chat", "hi"], env, asks=True),
        "`telex chat --plain`, terminal": Run(
            [TELEX, "chat", "--plain", "hi"], env, asks=True, terminal=True
        ),
        "`telex chat`, terminal, laid out": Run([TELEX, "chat", "hi"], env, asks=True, terminal=True),
    }
    race(runs, 2, server)
    base = runs["httpx script"].total
    table = Table(f"{CHUNKS:,} chunks", ("ms", "us a chunk", "x httpx"))
    for name, run in runs.items():
        table.rows.append((name, ms(run.total), f"{run.total / CHUNKS * 1e6:.1f}", times(run.total, base)))
    table.show()


def memory(env: dict[str, str], scripted: Scripted) -> None:
    """Comes first: a child's figure begins with what its parent has used."""
    columns = ("1 KB answer", f"{LONG // 1_000_000} MB answer", "x")
    table = Table("resident memory, in a pipe (MiB)", columns)
    frames = [*sse(delta("x" * 999 + "\n"), delta(finish="stop")), DONE]
    for name, command in (
        ("httpx script", [sys.executable, "-c", LEAN, scripted.url]),
        ("`telex chat`", [TELEX, "chat", "hi"]),
    ):
        short, long = Run(command, env), Run(command, env)
        once(Run(command, env), Server(scripted, frames))  # the first run of telex checks the settings
        once(short, Server(scripted, frames))
        once(long, Server(scripted, frames, before=LONG // 1000))
        cells = (f"{run.memory / 1024:.1f}" for run in (short, long))
        table.rows.append((name, *cells, times(long.memory, short.memory)))
    table.show()


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as folder, Scripted() as scripted:
        env = home(Path(folder), scripted.url)
        memory(env, scripted)
        without_network(env, rounds)
        one_prompt(env, scripted, rounds)
        long_answers(env, scripted)


if __name__ == "__main__":
    main()
