"""Prints how long the decoder takes for a stream, beside json.loads of the same payloads alone; asserts nothing.

Run as ``python tests/bench/decode.py``. The frames are OpenAI's: about 200 bytes, four characters of text each.
With httpx-sse installed, its decoder runs over the same bytes and adds up the same text, for comparison.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from provider_core.stream import Decoder
from provider_core.types import Text

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNKS = 100_000
READ = 64 * 1024
ROUNDS = 5
TOKENS = ("The ", "quic", "k br", "own ", "fox ", "über", " \\n\\n", "jump")


def payloads(*, padded: bool = False) -> list[str]:
    """Return the JSON of the chunks; ``padded`` with a field that differs in each, as OpenAI sends one."""
    made = []
    for number in range(CHUNKS):
        padding = f',"obfuscation":"{"x" * (number % 9)}"' if padded else ""
        made.append(
            '{"id":"chatcmpl-CzQ4sVJvTz8n7Jm2iV0aQvY1bXw3e","object":"chat.completion.chunk","created":1790000000,'
            '"model":"gpt-5-mini-2026-08-07","system_fingerprint":null,"choices":[{"index":0,"delta":{"content":"'
            + TOKENS[number % len(TOKENS)]
            + '"},"finish_reason":null}]'
            + padding
            + "}"
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


def with_httpx_sse(reads: list[bytes]) -> int:
    """Do the same with httpx-sse: its line splitting and its event decoder, then json.loads."""
    from httpx_sse._decoders import SSEDecoder, SSELineDecoder

    lines, events, parts = SSELineDecoder(), SSEDecoder(), []
    for data in reads:
        for line in lines.decode(data.decode()):
            event = events.decode(line)
            if event is not None and event.data != "[DONE]":
                delta = json.loads(event.data)["choices"][0].get("delta", {})
                parts.append(delta.get("content") or "")
    return len("".join(parts))


def best(run: Callable[[], int]) -> tuple[float, int]:
    """Return the shortest time of some rounds, in seconds, and what the run returned."""
    times, result = [], 0
    for _ in range(ROUNDS):
        start = time.perf_counter()
        result = run()
        times.append(time.perf_counter() - start)
    return min(times), result


def report(name: str, seconds: float, base: float) -> None:
    print(f"{name:<38} {seconds * 1e3:8.1f} ms  {seconds / CHUNKS * 1e6:6.2f} us/chunk  {seconds / base:5.2f} x json.loads")


def main() -> None:
    for padded in (False, True):
        chunks = payloads(padded=padded)
        frames = [f"data: {chunk}\n\n".encode() for chunk in chunks] + [b"data: [DONE]\n\n"]
        body = b"".join(frames)
        reads = [body[at : at + READ] for at in range(0, len(body), READ)]
        print(f"{CHUNKS} chunks, {len(body) // CHUNKS} bytes each, " + ("one field varies" if padded else "only the text varies"))
        base, expected = best(lambda: loads(chunks))
        report("json.loads alone", base, base)
        for name, pieces in (("decoder, reads of 64 KiB", reads), ("decoder, one chunk per read", frames)):
            seconds, got = best(lambda: decode(pieces))
            if got != expected:
                sys.exit(f"{name}: {got} characters instead of {expected}")
            report(name, seconds, base)
        try:
            report("httpx-sse, reads of 64 KiB", best(lambda: with_httpx_sse(reads))[0], base)
        except ImportError:
            print("httpx-sse is not installed")


if __name__ == "__main__":
    main()
