"""The models of the labs outside China, by provider, each one's default first; as of November 2026."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from provider_core.presets.lists.row import Table

__all__ = ["MODELS"]

# fmt: off
MODELS: Final[Table] = {
    "anthropic": (
        ("claude-opus-5-5", 1_000_000, 128_000, True, True, "", ()),
        ("claude-sonnet-5-5", 1_000_000, 128_000, True, True, "", ()),
        ("claude-opus-5", 1_000_000, 128_000, True, True, "", ()),
        ("claude-sonnet-5", 1_000_000, 128_000, True, True, "", ()),
        ("claude-haiku-4-5", 200_000, 64_000, True, True, "", ()),
        ("claude-sonnet-4-6", 1_000_000, 128_000, True, True, "", ()),
    ),
    "gemini": (
        ("gemini-3.8-flash", 1_048_576, 65_536, True, True, "", ()),
        ("gemini-3.7-flash", 1_048_576, 65_536, True, True, "", ()),
        ("gemini-3.5-flash-lite", 1_048_576, 65_536, True, True, "", ()),
        ("gemini-3.1-pro-preview", 1_048_576, 65_536, True, True, "", ()),
        ("gemini-2.5-pro", 1_048_576, 65_536, True, True, "", ()),
        ("gemini-2.5-flash", 1_048_576, 65_536, True, True, "", ()),
    ),
    "inception": (
        ("mercury-2", 128_000, 50_000, True, True, "Mercury 2", ()),
        ("mercury-edit-2", 128_000, 8_192, True, False, "Mercury Edit 2", ()),
    ),
    "mistral": (
        ("mistral-medium-latest", 262_144, 262_144, True, True, "", ("none", "high")),
        ("mistral-small-latest", 262_144, 262_144, True, True, "", ("none", "high")),
        ("mistral-large-latest", 262_144, 262_144, None, True, "", ()),
        ("devstral-latest", 256_000, 256_000, True, True, "", ("none", "high")),
        ("magistral-medium-latest", 262_144, 262_144, True, True, "", ()),
        ("codestral-latest", 128_000, 128_000, None, True, "", ()),
        ("ministral-8b-latest", 262_144, 262_144, None, True, "", ()),
    ),
    "openai": (
        ("gpt-6.1-sol", 922_000, 128_000, True, True, "", ()),
        ("gpt-6-sol", 922_000, 128_000, True, True, "", ()),
        ("gpt-6-luna", 922_000, 128_000, True, True, "", ()),
        ("gpt-5.6-sol", 922_000, 128_000, True, True, "", ()),
        ("gpt-5.6-luna", 922_000, 128_000, True, True, "", ()),
        ("gpt-5.4-mini", 272_000, 128_000, True, True, "", ()),
        ("gpt-4.1", 1_047_576, 32_768, None, True, "", ()),
    ),
    "perplexity": (
        ("sonar-pro", 200_000, 8_192, False, False, "Sonar Pro", ()),
        ("sonar", 128_000, 4_096, False, False, "Sonar", ()),
        ("sonar-reasoning-pro", 128_000, 4_096, True, False, "Sonar Reasoning Pro", ()),
        ("sonar-deep-research", 128_000, 32_768, True, False, "Perplexity Sonar Deep Research", ()),
    ),
    "upstage": (
        ("solar-pro3", 131_072, 8_192, True, True, "", ()),
        ("solar-pro2", 65_536, 8_192, True, True, "", ()),
        ("solar-mini", 32_768, 4_096, False, True, "", ()),
    ),
    "xai": (
        ("grok-4.7", 500_000, 500_000, True, True, "", ()),
        ("grok-4.6", 500_000, 500_000, True, True, "", ()),
        ("grok-4.5", 500_000, 500_000, True, True, "", ()),
        ("grok-4.3", 1_000_000, 1_000_000, True, True, "", ()),
        ("grok-4.20-reasoning", 1_000_000, 1_000_000, True, True, "", ()),
        ("grok-4.20-non-reasoning", 1_000_000, 1_000_000, None, True, "", ()),
        ("grok-build-0.1", 256_000, 256_000, True, True, "", ()),
    ),
}
