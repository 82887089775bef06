"""The models that the labs and clouds of China are known to serve, first the default; as of November 2026, by provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from provider_core.presets.lists.row import Table

__all__ = ["MODELS"]

MODELS: Final[Table] = {
    "deepseek": (
        ("deepseek-v4-pro", 1_000_000, 393_216, True, True, "", ()),
        ("deepseek-v4-flash", 1_000_000, 393_216, True, True, "", ()),
        ("deepseek-flash", 1_000_000, 393_216, True, True, "", ()),
        ("deepseek-v4-flash-vision-exp", 1_000_000, 393_216, True, True, "", ()),
    ),
    "kimi": (
        ("kimi-k3.1-pro", 1_048_576, 1_048_576, True, True, "", ("low", "high", "max")),
        ("kimi-k3", 1_048_576, 1_048_576, True, True, "", ("low", "high", "max")),
        ("kimi-k2.7-code", 262_144, 262_144, True, True, "", ()),
        ("kimi-k2.6", 262_144, 262_144, True, True, "", ()),
        ("kimi-k2.7-code-highspeed", 262_144, 32_768, True, True, "Kimi K2.7 Code High Speed", ()),
    ),
    "kimi-cn": (
        ("kimi-k3.1-pro", 1_048_576, 1_048_576, True, True, "", ("low", "high", "max")),
        ("kimi-k3", 1_048_576, 1_048_576, True, True, "", ("low", "high", "max")),
        ("kimi-k2.7-code", 262_144, 262_144, True, True, "", ()),
        ("kimi-k2.6", 262_144, 262_144, True, True, "", ()),
        ("kimi-k2.7-code-highspeed", 262_144, 32_768, True, True, "Kimi K2.7 Code High Speed", ()),
    ),
    "minimax": (
        ("MiniMax-M3", 1_000_000, 512_000, True, True, "", ()),
        ("MiniMax-M2.7", 200_000, 128_000, True, True, "", ()),
        ("MiniMax-M2.7-highspeed", 200_000, 128_000, True, True, "", ()),
        ("MiniMax-M2.5", 200_000, 128_000, True, True, "", ()),
        ("MiniMax-M2.5-highspeed", 200_000, 128_000, True, True, "", ()),
        ("MiniMax-M2.1", 200_000, 128_000, True, True, "", ()),
    ),
    "minimax-cn": (
        ("MiniMax-M3", 1_000_000, 512_000, True, True, "", ()),
        ("MiniMax-M2.7", 204_800, 131_072, True, True, "", ()),
        ("MiniMax-M2.7-highspeed", 204_800, 131_072, True, True, "", ()),
        ("MiniMax-M2.5", 204_800, 131_072, True, True, "", ()),
        ("MiniMax-M2.5-highspeed", 204_800, 131_072, True, True, "", ()),
        ("MiniMax-M2.1", 204_800, 131_072, True, True, "", ()),
    ),
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
    "stepfun": (
        ("step-3.5-flash-2603", 256_000, 256_000, True, True, "Step 3.5 Flash 2603", ()),
        ("step-3.5-flash", 256_000, 256_000, True, True, "Step 3.5 Flash", ()),
        ("step-2-16k", 16_384, 8_192, True, True, "Step 2 (16K)", ()),
        ("step-1-32k", 32_768, 32_768, True, True, "Step 1 (32K)", ()),
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
    "xiaomi": (
        ("mimo-v2.6-pro", 1_048_576, 131_072, True, True, "", ()),
        ("mimo-v2.6-flash", 1_048_576, 131_072, True, True, "", ()),
        ("mimo-v2.5-pro", 1_048_576, 131_072, True, True, "MiMo-V2.5-Pro", ()),
        ("mimo-v2.5", 1_048_576, 131_072, True, True, "MiMo-V2.5", ()),
    ),
    "zai": (
        ("glm-5.3", 1_000_000, 128_000, True, True, "", ()),
        ("glm-5.3-flash", 1_048_576, 128_000, True, True, "", ()),
        ("glm-5.2", 1_000_000, 128_000, True, True, "", ()),
        ("glm-5.1", 200_000, 128_000, True, True, "", ()),
        ("glm-4.7", 200_000, 128_000, True, True, "", ()),
        ("glm-4.7-flash", 200_000, 128_000, True, True, "", ()),
    ),
    "zhipu": (
        ("glm-5.3", 1_000_000, 131_072, True, True, "GLM-5.3", ("low", "high", "xhigh")),
        ("glm-5.1", 204_800, 65_536, True, True, "GLM-5.1", ()),
        ("glm-5-turbo", 200_000, 128_000, True, True, "GLM-5-Turbo", ()),
        ("glm-4.7", 204_800, 98_000, True, True, "GLM-4.7", ()),
        ("glm-4.7-flash", 200_000, 65_550, True, True, "GLM-4.7 Flash", ()),
        ("glm-4.6v", 131_072, 65_536, True, True, "GLM-4.6V", ()),
    ),
}
