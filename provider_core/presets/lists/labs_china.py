"""The models of the labs of China, by provider, each one's default first; as of November 2026."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from provider_core.presets.lists.row import Table

__all__ = ["MODELS"]

# fmt: off
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
    "stepfun": (
        ("step-3.5-flash-2603", 256_000, 256_000, True, True, "Step 3.5 Flash 2603", ()),
        ("step-3.5-flash", 256_000, 256_000, True, True, "Step 3.5 Flash", ()),
        ("step-2-16k", 16_384, 8_192, True, True, "Step 2 (16K)", ()),
        ("step-1-32k", 32_768, 32_768, True, True, "Step 1 (32K)", ()),
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
        ("glm-5.3", 1_000_000, 131_072, True, True, "GLM-5.3", ("low", "high", "max")),
        ("glm-5.1", 204_800, 65_536, True, True, "GLM-5.1", ()),
        ("glm-5-turbo", 200_000, 128_000, True, True, "GLM-5-Turbo", ()),
        ("glm-4.7", 204_800, 98_000, True, True, "GLM-4.7", ()),
        ("glm-4.7-flash", 200_000, 65_550, True, True, "GLM-4.7 Flash", ()),
        ("glm-4.6v", 131_072, 65_536, True, True, "GLM-4.6V", ()),
    ),
}
