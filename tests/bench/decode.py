"""Prints how long the decoder takes for a stream, beside json.loads of the same payloads alone; asserts nothing.

Run as ``python tests/bench/decode.py``. The frames are OpenAI's: about 200 bytes, four characters of text each.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from provider_core.stream import Decoder
from provider_core.types import Text

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNKS = 100_000
READ = 64 * 1024
ROUNDS = 5
TOKENS = ("The ", "quic", "k br", "own ", "fox ", "über", " \\n\\n", "jump")


def payloads(varying: str) -> list[str]:
    """Return the JSON of the chunks, in which ``varying`` differs besides the text: "", "obfuscation" or "id"."""
    made = []
    for number in range(CHUNKS):
        id_ = f"{number:08d}" if varying == "id" else "sVJvTz8n"
        padding = f',"obfuscation":"{"x" * (number % 9)}"' if varying == "obfuscation" else ""
        made.append(
            f'{{"id":"chatcmpl-{id_}","object":"chat.completion.chunk","created":1790000000,'
            '"model":"gpt-5-mini","system_fingerprint":null,"choices":[{"index":0,"delta":{"content":"'
            f'{TOKENS[number % len(TOKENS)]}"}},"finish_reason":null}}]{padding}}}'
        )
    return made


def loads(chunks: list[str]) -> int:
    """Parse each payload and add up the text: what no client can do without."""
    parts = [json.loads(chunk)["choices"][0]["delta"]["content"] for chunk in chunks]
    return len("".join(parts))


def decode(reads: list[bytes]) -> int:
    """Run the decoder as a client does, and add up the text."""
    decoder = Decoder()
    parts = []
    for data in reads:
        parts += [event.text for event in decoder.feed(data) if type(event) is Text]
    parts += [event.text for event in decoder.close() if type(event) is Text]
    return len("".join(parts))


def race(runs: dict[str, Callable[[], int]]) -> None:
    """Run all in turns, so that none has the machine's quiet minute to itself, and print each one's best time."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    results = {}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start = time.perf_counter()
            results[name] = run()
            times[name].append(time.perf_counter() - start)
    base = min(times["json.loads alone"])
    for name, seconds in times.items():
        best = min(seconds)
        each = best / CHUNKS * 1e6
        print(f"  {name:<32} {best * 1e3:7.1f} ms {each:6.2f} us a chunk {best / base:6.2f} x json.loads")
    if len(set(results.values())) > 1:
        sys.exit(f"the texts differ in length: {results}")


def main() -> None:
    for varying in ("", "obfuscation", "id"):
        chunks = payloads(varying)
        frames = [f"data: {chunk}\n\n".encode() for chunk in chunks] + [b"data: [DONE]\n\n"]
        body = b"".join(frames)
        reads = [body[at : at + READ] for at in range(0, len(body), READ)]
        runs = {
            "json.loads alone": partial(loads, chunks),
            "decoder, reads of 64 KiB": partial(decode, reads),
            "decoder, one chunk per read": partial(decode, frames),
        }
        also = f" and {varying}" if varying else ""
        print(f"{CHUNKS} chunks of {len(body) // CHUNKS} bytes that differ in text{also}")
        race(runs)


if __name__ == "__main__":
    main()
