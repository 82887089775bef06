"""The models on the clouds of China, by provider, each one's default first; as of November 2026."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from provider_core.presets.lists.row import Table

__all__ = ["MODELS"]

# fmt: off
MODELS: Final[Table] = {
    "qwen": (
        ("qwen3.8-max", 991_808, 131_072, True, True, "", ()),
        ("qwen3.8-flash", 991_808, 131_072, True, True, "", ()),
        ("qwen3.7-plus", 991_808, 65_536, True, True, "", ()),
        ("qwen3.6-plus", 1_000_000, 64_000, True, True, "Qwen3.6-Plus", ()),
        ("qwen3.6-flash", 1_000_000, 64_000, True, True, "Qwen3.6-Flash", ()),
        ("qwen3-max", 258_048, 65_536, True, True, "", ()),
        ("qwen-flash", 997_952, 32_768, True, True, "", ()),
    ),
    "qwen-cn": (
        ("qwen3.8-max", 991_808, 131_072, True, True, "", ()),
        ("qwen3.8-flash", 991_808, 131_072, True, True, "", ()),
        ("qwen3.7-plus", 991_808, 65_536, True, True, "", ()),
        ("qwen3.6-plus", 1_000_000, 65_536, True, True, "Qwen3.6 Plus", ()),
        ("qwen3.5-flash", 1_000_000, 65_536, True, True, "Qwen3.5 Flash", ()),
        ("deepseek-v4-pro", 1_000_000, 384_000, True, True, "DeepSeek V4 Pro", ()),
    ),
    "qwen-us": (
        ("qwen3.8-max", 1_000_000, 65_536, True, True, "Qwen3.8-Max", ()),
        ("deepseek-v4-pro-us", 1_000_000, 384_000, True, True, "DeepSeek-V4-Pro", ("high", "xhigh")),
        ("deepseek-v4-flash-us", 1_000_000, 384_000, True, True, "DeepSeek-V4-Flash", ("high", "xhigh")),
        ("glm-5.2", 1_000_000, 128_000, True, True, "GLM 5.2", ("high", "xhigh")),
    ),
    "siliconflow": (
        ("deepseek-ai/deepseek-v4-pro", 1_000_000, 384_000, True, True, "DeepSeek V4 Pro", ()),
        ("deepseek-ai/deepseek-v4-flash", 1_000_000, 384_000, True, True, "DeepSeek V4 Flash", ()),
        ("moonshotai/Kimi-K2.6", 262_000, 262_000, True, True, "", ()),
        ("zai-org/GLM-5.1", 205_000, 205_000, True, True, "", ()),
    ),
    "siliconflow-cn": (
        ("Pro/moonshotai/Kimi-K2.6", 262_000, 262_000, True, True, "", ()),
        ("Pro/zai-org/GLM-5.1", 205_000, 205_000, True, True, "", ()),
        ("Pro/MiniMaxAI/MiniMax-M2.5", 192_000, 131_000, False, True, "", ()),
        ("Qwen/Qwen3.6-35B-A3B", 262_144, 65_536, True, True, "", ()),
        ("Qwen/Qwen3.5-397B-A17B", 262_144, 65_536, True, True, "", ()),
        ("Qwen/Qwen3.5-9B", 262_144, 65_536, True, True, "", ()),
    ),
    "tencent": (
        ("deepseek-v4-pro", 1_000_000, 384_000, True, True, "", ()),
        ("deepseek-v4.1-flash", 1_000_000, 384_000, True, True, "", ()),
        ("glm-5.3", 1_000_000, 128_000, True, True, "", ()),
        ("kimi-k3", 1_000_000, 1_000_000, True, True, "", ()),
        ("minimax-m3", 1_000_000, None, True, True, "", ()),
    ),
    "volcengine": (
        ("doubao-seed-2-1-pro-260915", 1_024_000, 256_000, True, True, "", ()),
        ("doubao-seed-2-1-lite-260915", 1_024_000, 256_000, True, True, "", ()),
        ("doubao-seed-2-0-pro-260215", 256_000, 128_000, True, True, "", ()),
        ("doubao-seed-2-0-mini-260215", 256_000, 128_000, True, True, "", ()),
        ("deepseek-v3-2-251201", 98_304, 32_768, True, True, "", ()),
        ("glm-4-7-251222", 204_800, 131_072, True, True, "", ()),
    ),
}
