"""Estimates a model's limits from its name. They are only shown: requests are neither limited nor cut by them.

The estimate is from the first of: a number in the name (``32k``), the same model in the list of any preset, and the
family. Windows of families are those of most hosts in https://github.com/charmbracelet/catwalk (August 2026), the
smaller one if hosts differ.
"""

from __future__ import annotations

import re
from functools import cache

_MARK = re.compile(r"(?<![a-z0-9.])(\d{1,4})k(?![a-z0-9])")
_MILLIONS = re.compile(r"(?<![a-z0-9.])([124]|10)m(?![a-z0-9])")
_SMALLEST_MARK = 4
"""Smaller numbers do not count tokens."""

_FAMILIES = tuple(
    (re.compile(pattern), context)
    for pattern, context in (
        (r"gpt-oss", 131_072),
        (r"gpt-5\.\d-chat", 128_000),
        (r"gpt-5\.[4-9](?!-(mini|nano))|gpt-[6-9]", 1_000_000),
        (r"gpt-5", 400_000),
        (r"gpt-4\.1", 1_047_576),
        (r"gpt-4(o|\.5|-turbo)|chatgpt-4o|gpt-audio", 128_000),
        (r"gpt-4", 8_192),
        (r"gpt-3\.5", 16_385),
        (r"o1-(mini|preview)", 128_000),
        (r"o[134](-|$)", 200_000),
        (r"claude-(fable|mythos|opus-[5-9]|sonnet-[5-9]|opus-4[.-][6-9]|sonnet-4[.-][6-9])", 1_000_000),
        (r"claude", 200_000),
        (r"gemini", 1_000_000),
        (r"gemma-?4", 256_000),
        (r"gemma-?3", 131_072),
        (r"gemma", 8_192),
        (r"grok-4\.[5-9]", 500_000),
        (r"grok-[45]", 256_000),
        (r"grok", 131_072),
        (r"(meta-)?llama-?4", 131_072),
        (r"(meta-)?llama-?3[.p-][123](?!\d)", 131_072),
        (r"(meta-)?llama-?3", 8_192),
        (r"(meta-)?llama-?2", 4_096),
        (r"codellama|code-llama", 16_384),
        (r"tinyllama", 2_048),
        (r"hermes-4", 131_072),
        (r"qwen-?3[.p-][5-9]", 262_144),
        (r"qwen-?3-(coder|next|max|vl)|qwen-?3.*-2507", 262_144),
        (r"qwen-?3", 40_960),
        (r"qwen-?2|qwq", 32_768),
        (r"mixtral-8x22b", 65_536),
        (r"mixtral|mistral-7b", 32_768),
        (r"devstral|ministral|mistral-large-(3|2512)|mistral-small-(4|2603)", 256_000),
        (r"mistral|codestral|magistral|pixtral", 128_000),
        (r"phi-4", 16_384),
        (r"phi-3\.5", 131_072),
        (r"deepseek-v[4-9]", 1_000_000),
        (r"deepseek", 128_000),
        (r"command-a", 256_000),
        (r"command", 128_000),
        (r"glm-5[.p-][2-9]", 1_000_000),
        (r"glm-(4[.p-][67]|5)", 200_000),
        (r"glm", 128_000),
        (r"kimi-k[3-9]", 1_000_000),
        (r"kimi", 131_072),
        (r"minimax-m[3-9]", 512_000),
        (r"minimax", 196_608),
        (r"mimo-v2[.p-][5-9]", 1_000_000),
        (r"nemotron-3", 262_144),
        (r"nemotron|granite-[34]|gpt-neo-x", 128_000),
        (r"nova-(lite|pro)", 300_000),
        (r"nova-micro", 128_000),
        (r"seed-|step-3", 256_000),
        (r"smollm3", 65_536),
        (r"smollm", 2_048),
    )
)
"""Patterns for the start of a name's last part, in order, and context windows in tokens."""


def estimate_limits(model: str) -> tuple[int | None, int | None]:
    """The estimated context window and longest answer in tokens; None if the name says nothing."""
    name = _last_part(model)
    context, output = _listed_by_presets().get(name, (None, None))
    marked = _marked(name)
    if marked is not None:
        return marked, output if output is None or output <= marked else None
    if context is None:
        context = next((tokens for pattern, tokens in _FAMILIES if pattern.match(name)), None)
    return context, output


def _marked(name: str) -> int | None:
    found = _MARK.search(name)
    if found is not None and int(found[1]) >= _SMALLEST_MARK:
        return int(found[1]) * 1024
    found = _MILLIONS.search(name)
    return int(found[1]) * 1_000_000 if found is not None else None


def _last_part(model: str) -> str:
    """The name without publisher and variant: "Qwen/Qwen3-8B:free" is "qwen3-8b"."""
    last = model.lower().rstrip("/").rpartition("/")[2]
    return last.partition(":")[0].removesuffix(".gguf").replace("_", "-")


@cache
def _listed_by_presets() -> dict[str, tuple[int | None, int | None]]:
    """The limits in the presets' lists by name, the smaller value if they differ."""
    from provider_core import presets

    found: dict[str, tuple[int | None, int | None]] = {}
    for rows in presets.all_models().values():
        for id_, context, output, *_ in rows:
            name = _last_part(id_)
            known = found.get(name, (None, None))
            found[name] = (_less(known[0], context), _less(known[1], output))
    return found


def _less(one: int | None, other: int | None) -> int | None:
    return min((number for number in (one, other) if number is not None), default=None)
