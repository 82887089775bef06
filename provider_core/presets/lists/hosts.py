"""The models on clouds that serve open models, by provider, each one's default first; as of November 2026."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from provider_core.presets.lists.row import Table

__all__ = ["MODELS"]

# fmt: off
MODELS: Final[Table] = {
    "baseten": (
        ("deepseek-ai/DeepSeek-V4-Pro", 1_048_576, 262_144, True, True, "DeepSeek V4 Pro", ("none", "minimal", "low", "medium", "high", "xhigh", "max")),
        ("zai-org/GLM-5.2", 1_048_576, 32_768, True, True, "GLM 5.2", ("none", "high", "max")),
        ("moonshotai/Kimi-K3", 1_048_576, 262_144, True, True, "Kimi K3", ("low", "high", "max")),
        ("moonshotai/Kimi-K2.7-Code", 262_000, 32_768, True, True, "Kimi K2.7 Code", ()),
        ("openai/gpt-oss-120b", 128_072, 128_072, True, True, "OpenAI GPT 120B", ("none", "minimal", "low", "medium", "high", "xhigh", "max")),
        ("nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B", 202_800, 202_800, True, True, "Nemotron Ultra", ("low", "medium", "high")),
    ),
    "cerebras": (
        ("gpt-oss-120b", 131_072, 32_768, True, True, "", ()),
        ("gemma-4-31b", 131_072, 40_960, True, True, "", ()),
        ("qwen-3.8-27b", 65_536, 32_768, True, True, "", ()),
        ("zai-glm-4.7", 131_072, 40_000, False, True, "Z.AI GLM-4.7", ()),
    ),
    "chutes": (
        ("moonshotai/Kimi-K2.6-TEE", 262_144, 65_535, True, True, "Kimi K2.6 TEE", ()),
        ("zai-org/GLM-5.1-TEE", 202_752, 65_535, True, True, "GLM 5.1 TEE", ()),
        ("Qwen/Qwen3.5-397B-A17B-TEE", 262_144, 65_536, True, True, "Qwen3.5 397B A17B TEE", ()),
        ("MiniMaxAI/MiniMax-M2.5-TEE", 196_608, 65_536, True, True, "MiniMax M2.5 TEE", ()),
        ("Qwen/Qwen3.6-27B-TEE", 262_144, 65_536, True, True, "Qwen3.6 27B TEE", ()),
    ),
    "cloudflare": (
        ("@cf/moonshotai/kimi-k2.6", 262_144, 256_000, True, True, "Kimi K2.6", ()),
        ("@cf/openai/gpt-oss-120b", 128_000, 16_384, True, True, "GPT OSS 120B", ()),
        ("@cf/openai/gpt-oss-20b", 128_000, 16_384, True, True, "GPT OSS 20B", ()),
        ("@cf/zai-org/glm-4.7-flash", 131_072, 131_072, True, True, "GLM-4.7-Flash", ()),
        ("@cf/nvidia/nemotron-3-120b-a12b", 256_000, 256_000, True, True, "Nemotron 3 Super 120B", ()),
        ("@cf/meta/llama-4-scout-17b-16e-instruct", 131_000, 16_384, False, True, "Llama 4 Scout 17B 16E Instruct", ()),
    ),
    "deepinfra": (
        ("deepseek-ai/DeepSeek-V4-Pro-0813", 1_048_576, 1_048_576, None, True, "", ()),
        ("deepseek-ai/DeepSeek-V4.1-Flash", 1_048_576, 131_072, True, True, "", ()),
        ("moonshotai/Kimi-K2.7-Code", 262_144, 262_144, True, True, "", ()),
        ("zai-org/GLM-5.2", 1_048_576, 1_048_576, True, True, "", ()),
        ("MiniMaxAI/MiniMax-M2.5", 204_800, 131_072, True, True, "MiniMax M2.5", ()),
        ("Qwen/Qwen3.5-397B-A17B", 262_144, 81_920, True, True, "Qwen 3.5 397B A17B", ()),
    ),
    "fireworks": (
        ("accounts/fireworks/models/deepseek-v4p1-flash", 1_048_576, 393_216, True, True, "", ()),
        ("accounts/fireworks/models/kimi-k3", 1_048_576, 131_072, True, True, "", ("low", "high", "max")),
        ("accounts/fireworks/models/minimax-m3", 512_000, 512_000, True, True, "", ()),
        ("accounts/fireworks/models/qwen3p7-plus", 262_144, 65_536, True, True, "", ()),
        ("accounts/fireworks/models/deepseek-v4-pro", 1_048_576, 384_000, True, True, "DeepSeek V4 Pro", ("none", "high", "xhigh")),
        ("accounts/fireworks/models/gpt-oss-120b", 131_072, 32_768, True, True, "gpt-oss-120b", ("low", "medium", "high")),
    ),
    "groq": (
        ("openai/gpt-oss-120b", 131_072, 65_536, True, True, "", ()),
        ("openai/gpt-oss-20b", 131_072, 65_536, True, True, "", ()),
        ("qwen/qwen3.8-27b", 131_072, 16_384, True, True, "", ()),
        ("groq/compound", 131_072, 8_192, True, True, "Compound", ()),
        ("groq/compound-mini", 131_072, 8_192, True, True, "Compound Mini", ()),
        ("llama-3.3-70b-versatile", 131_072, 32_768, False, True, "Llama 3.3 70B Versatile", ()),
    ),
    "hyperbolic": (
        ("deepseek-ai/DeepSeek-R1-0528", 131_072, 131_072, None, True, "", ()),
        ("deepseek-ai/DeepSeek-V3-0324", 32_768, 32_768, None, True, "", ()),
        ("moonshotai/Kimi-K2-Instruct", 131_072, 131_072, None, True, "", ()),
        ("Qwen/Qwen3-235B-A22B", 131_072, 131_072, None, True, "", ()),
        ("meta-llama/Llama-3.3-70B-Instruct", 131_072, 131_072, None, True, "", ()),
        ("Qwen/Qwen2.5-Coder-32B-Instruct", 32_768, 32_768, None, True, "", ()),
    ),
    "nebius": (
        ("deepseek-ai/DeepSeek-V4-Pro", 1_048_576, 1_048_576, True, True, "", ()),
        ("deepseek-ai/DeepSeek-V4.1-Flash", 1_048_000, 384_000, True, True, "", ()),
        ("moonshotai/Kimi-K3", 1_024_000, 1_024_000, True, True, "", ()),
        ("MiniMaxAI/MiniMax-M3", 1_048_576, 1_048_576, True, True, "", ()),
        ("nvidia/nemotron-3-super-120b-a12b", 256_000, 32_768, True, True, "Nemotron-3-Super-120B-A12B", ()),
        ("NousResearch/Hermes-4-405B", 128_000, 8_192, True, True, "Hermes-4-405B", ()),
    ),
    "novita": (
        ("deepseek/deepseek-v4-pro", 1_048_576, 393_216, True, True, "DeepSeek V4 Pro", ()),
        ("deepseek/deepseek-v4-flash", 1_048_576, 393_216, True, True, "DeepSeek V4 Flash", ()),
        ("moonshotai/kimi-k2.6", 262_144, 262_144, True, True, "Kimi K2.6", ()),
        ("zai-org/glm-5.1", 204_800, 131_072, True, True, "GLM-5.1", ()),
        ("minimax/minimax-m2.7", 204_800, 131_072, True, True, "MiniMax M2.7", ()),
        ("qwen/qwen3.5-397b-a17b", 262_144, 64_000, True, True, "Qwen3.5-397B-A17B", ()),
    ),
    "nvidia": (
        ("deepseek-ai/deepseek-v4-pro", 1_048_576, 393_216, True, True, "DeepSeek V4 Pro", ()),
        ("deepseek-ai/deepseek-v4-flash", 1_048_576, 393_216, True, True, "DeepSeek V4 Flash", ()),
        ("moonshotai/kimi-k2.6", 262_144, 262_144, True, True, "Kimi K2.6", ()),
        ("z-ai/glm-5.1", 131_072, 131_072, True, True, "GLM-5.1", ()),
        ("nvidia/nemotron-3-super-120b-a12b", 262_144, 262_144, True, True, "Nemotron 3 Super", ()),
        ("minimaxai/minimax-m2.7", 204_800, 131_072, True, True, "MiniMax-M2.7", ()),
        ("google/gemma-4-31b-it", 256_000, 16_384, True, True, "Gemma-4-31B-IT", ()),
    ),
    "ollama-cloud": (
        ("deepseek-v4-pro", 1_048_576, 1_048_576, True, True, "", ()),
        ("deepseek-v4-flash", 1_048_576, 1_048_576, True, True, "", ()),
        ("kimi-k2.6", 262_144, 262_144, True, True, "", ()),
        ("glm-5.1", 202_752, 131_072, True, True, "", ()),
        ("minimax-m2.7", 196_608, 196_608, True, True, "", ()),
        ("gemma4:31b", 262_144, 262_144, True, True, "", ()),
    ),
    "sambanova": (
        ("MiniMax-M2.7", 196_608, 131_072, True, True, "", ()),
        ("DeepSeek-V3.2", 32_768, 32_768, None, True, "", ()),
        ("DeepSeek-V3.1", 131_072, 131_072, True, True, "", ()),
        ("gpt-oss-120b", 131_072, 131_072, True, True, "", ()),
        ("gemma-4-31B-it", 131_072, 131_072, None, None, "", ()),
        ("Meta-Llama-3.3-70B-Instruct", 131_072, 131_072, None, True, "", ()),
    ),
    "scaleway": (
        ("qwen3.6-35b-a3b", 128_000, 16_384, True, True, "Qwen 3.6 35B A3B", ()),
        ("qwen3.5-397b-a17b", 256_000, 16_384, True, True, "Qwen 3.5 397B A17B", ()),
        ("gpt-oss-120b", 128_000, 32_768, True, True, "GPT OSS 120B", ()),
        ("mistral-medium-3.5-128b", 256_000, 16_384, True, True, "Mistral Medium 3.5 128B", ()),
        ("gemma-4-26b-a4b-it", 256_000, 16_384, True, True, "Gemma 4 26B A4B IT", ()),
        ("devstral-2-123b-instruct-2512", 256_000, 16_384, None, True, "Devstral 2 123B Instruct 2512", ()),
    ),
    "together": (
        ("deepseek-ai/DeepSeek-V4-Pro-0813", 1_048_576, 1_048_576, None, True, "", ()),
        ("deepseek-ai/DeepSeek-V4.1-Flash", 1_048_576, 1_048_576, None, True, "", ()),
        ("moonshotai/Kimi-K3", 1_048_576, 1_048_576, True, True, "", ("low", "high", "max")),
        ("zai-org/GLM-5.3", 1_048_575, 128_000, True, True, "", ()),
        ("Qwen/Qwen3.7-Max", 1_000_000, 1_000_000, None, None, "", ()),
        ("openai/gpt-oss-120b", 131_072, 131_072, True, True, "", ()),
    ),
    "venice": (
        ("claude-fable-5", 1_000_000, 128_000, True, True, "Claude Fable 5", ("low", "medium", "high")),
        ("claude-opus-5", 1_000_000, 128_000, True, True, "Claude Opus 5", ()),
        ("claude-sonnet-5", 1_000_000, 64_000, True, True, "Claude Sonnet 5", ()),
        ("deepseek-v3.2", 160_000, 32_768, True, True, "DeepSeek V3.2", ("low", "medium", "high")),
        ("deepseek-v4-pro", 1_000_000, 32_768, True, True, "DeepSeek V4 Pro", ()),
        ("kimi-k2-6", 256_000, 65_536, True, True, "Kimi K2.6", ()),
    ),
}
