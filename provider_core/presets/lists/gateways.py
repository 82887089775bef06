"""The models behind gateways, by provider, each one's default first; as of November 2026."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from provider_core.presets.lists.row import Table

__all__ = ["MODELS"]

# fmt: off
MODELS: Final[Table] = {
    "github-models": (
        ("openai/gpt-4.1", 128_000, 16_384, False, True, "GPT-4.1", ()),
        ("openai/gpt-4.1-mini", 128_000, 16_384, False, True, "GPT-4.1-mini", ()),
        ("deepseek/deepseek-v3-0324", 128_000, 8_192, True, True, "DeepSeek-V3-0324", ()),
        ("deepseek/deepseek-r1-0528", 65_536, 8_192, True, True, "DeepSeek-R1-0528", ()),
        ("mistral-ai/mistral-medium-2505", 128_000, 32_768, True, True, "Mistral Medium 3 (25.05)", ()),
        ("meta/llama-4-maverick-17b-128e-instruct-fp8", 128_000, 8_192, True, True, "Llama 4 Maverick 17B 128E Instruct FP8", ()),
    ),
    "huggingface": (
        ("deepseek-ai/DeepSeek-V4-Pro", 1_048_576, 393_216, True, True, "DeepSeek V4 Pro", ()),
        ("moonshotai/Kimi-K2.6", 262_144, 262_144, True, True, "Kimi-K2.6", ()),
        ("zai-org/GLM-5.1", 202_752, 131_072, True, True, "GLM-5.1", ()),
        ("MiniMaxAI/MiniMax-M2.7", 204_800, 131_072, True, True, "MiniMax-M2.7", ()),
        ("Qwen/Qwen3.5-397B-A17B", 262_144, 32_768, True, True, "Qwen3.5-397B-A17B", ()),
        ("openai/gpt-oss-120b:cerebras", 131_072, 8_192, False, True, "openai/gpt-oss-120b (cerebras)", ()),
    ),
    "openrouter": (
        ("deepseek/deepseek-v4-pro", 1_048_576, 196_608, True, True, "DeepSeek: DeepSeek V4 Pro 0423", ("low", "medium", "high")),
        ("deepseek/deepseek-v4-flash", 1_048_576, 196_608, True, True, "DeepSeek: DeepSeek V4 Flash 0423", ("low", "medium", "high")),
        ("anthropic/claude-opus-5", 1_000_000, 64_000, True, True, "Claude Opus 5", ("low", "medium", "high")),
        ("anthropic/claude-haiku-4.5", 200_000, 32_000, True, True, "Anthropic: Claude Haiku 4.5", ("low", "medium", "high")),
        ("moonshotai/kimi-k3", 1_048_576, 131_072, True, True, "MoonshotAI: Kimi K3", ("low", "medium", "high")),
        ("z-ai/glm-5.2", 1_048_576, 65_536, True, True, "Z.ai: GLM 5.2", ("low", "medium", "high")),
        ("google/gemini-3.5-flash", 1_048_576, 32_768, True, True, "Google: Gemini 3.5 Flash", ("low", "medium", "high")),
        ("openai/gpt-5.5", 1_050_000, 64_000, True, True, "OpenAI: GPT-5.5", ("low", "medium", "high")),
    ),
    "vercel": (
        ("anthropic/claude-opus-5", 1_000_000, 128_000, True, True, "Claude Opus 5", ("none", "minimal", "low", "medium", "high", "xhigh")),
        ("anthropic/claude-haiku-4.5", 200_000, 64_000, True, True, "Claude Haiku 4.5", ("none", "minimal", "low", "medium", "high", "xhigh")),
        ("deepseek/deepseek-v4-pro", 1_000_000, 384_000, True, True, "DeepSeek V4 Pro", ()),
        ("deepseek/deepseek-v4-flash", 1_000_000, 384_000, True, True, "DeepSeek V4 Flash", ()),
        ("openai/gpt-5.5", 1_000_000, 128_000, True, True, "GPT 5.5", ()),
        ("google/gemini-3.1-flash-lite", 1_000_000, 65_000, True, True, "Gemini 3.1 Flash Lite", ()),
        ("xai/grok-4.3", 1_000_000, 1_000_000, True, True, "Grok 4.3", ()),
    ),
}
