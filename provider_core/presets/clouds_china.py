"""Chinese clouds that serve models of several makers, and their other regions, by id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from provider_core.presets.preset import (
    ANY_EFFORT,
    ENABLE_THINKING,
    FIXED,
    GLM_WITH_SWITCH,
    THINKING_AND_EFFORT,
    THINKING_TYPE,
    BatchApi,
    Preset,
    per_level,
    reasoning_effort,
)
from provider_core.structs import replace
from provider_core.types import Effort, Prefill, Quirks, WebSearch

if TYPE_CHECKING:
    from provider_core.presets.preset import ModelTable
    from provider_core.types import Json

SWITCH_AND_EFFORT: Final[dict[str, dict[str, Json]]] = {
    "none": {"enable_thinking": False},
    **per_level(lambda level: {"enable_thinking": True, "reasoning_effort": level}, "high", "xhigh", "max"),
}

DOUBAO: Final[dict[str, dict[str, Json]]] = {
    "none": {"thinking": {"type": "disabled"}},
    **reasoning_effort("minimal", "low", "medium", "high"),
}

QWEN: Final = Quirks(
    # Open Qwen3 models reason only in streamed answers: Model Studio "Deep thinking", which also
    # documents the switch, and levels for DeepSeek V4 only; charmbracelet/catwalk has levels for GLM-5.2.
    always_stream=True,
    effort=(
        Effort(models=("deepseek-v4*", "glm-5.2*"), levels=SWITCH_AND_EFFORT),
        Effort(levels=ENABLE_THINKING),
    ),
    # While reasoning, which most models do by default, a required tool call is a 400: QwenLM/qwen-code issue 7659.
    tool_choice_while_thinking=False,
    # For the DeepSeek, GLM and Kimi models; Qwen's own ignore it: anomalyco/models.dev, providers/alibaba-cn.
    reasoning_send_back="reasoning_content",
)

# https://www.alibabacloud.com/help/en/model-studio/partial-mode, which has no list for the US region.
_QWEN_PREFILL = Prefill(message={"partial": True}, models=("qwen*",))

_QWEN_WITH_SEARCH = replace(
    QWEN,
    prefill=_QWEN_PREFILL,
    # Model Studio "Web search", which is not in the US region. Only its native API returns the sources.
    web_search=(WebSearch(models=("qwen*", "qwq*", "deepseek*"), fields={"enable_search": True}),),
)

SILICONFLOW: Final = Quirks(
    # docs.siliconflow.cn "Chat completions": only these have levels.
    effort=(Effort(models=("deepseek-v4*", "glm-5.2*")), Effort(levels=ENABLE_THINKING)),
    reasoning_send_back="reasoning_content",  # anomalyco/models.dev, providers/siliconflow
)

# fmt: off
PRESETS: Final = (
    Preset(
        id="modelscope", name="ModelScope", base_url="https://api-inference.modelscope.cn/v1",
        key_env=("MODELSCOPE_API_KEY",),
        docs_url="https://modelscope.cn/docs/model-service/API-Inference/intro",
        quirks=Quirks(
            # Hybrid Qwen models reason only in streams: modelscope.cn "API-Inference".
            always_stream=True,
            effort=(Effort(levels=ENABLE_THINKING),),
        ),
    ),
    Preset(
        id="qianfan", name="Baidu Qianfan", base_url="https://qianfan.baidubce.com/v2",
        also=("baidu", "ernie"), key_env=("QIANFAN_API_KEY",),
        docs_url="https://cloud.baidu.com/doc/qianfan-api/",
        quirks=Quirks(
            # cloud.baidu.com "深度思考": each maker has its own switch.
            effort=(
                Effort(models=("deepseek*", "kimi*", "glm*"), levels=THINKING_TYPE),
                Effort(models=("qwen*", "ernie*"), levels=ENABLE_THINKING),
                ANY_EFFORT,
            ),
            # cloud.baidu.com, "web_search" of the chat API v2; lobehub/lobe-chat sends the same.
            web_search=(WebSearch(fields={"web_search": {"enable": True, "enable_citation": True}}),),
        ),
    ),
    Preset(
        id="qwen", name="Qwen (Alibaba Model Studio, international)",
        base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        other_base_urls=(
            ("https://coding-intl.dashscope.aliyuncs.com/v1", "coding plan, with keys of its own"),
            ("https://cn-hongkong.dashscope.aliyuncs.com/compatible-mode/v1", "Hong Kong"),
        ),
        also=("alibaba", "dashscope", "tongyi"),
        key_env=("DASHSCOPE_API_KEY", "QWENCLOUD_API_KEY", "ALIBABA_API_KEY", "QWEN_API_KEY"),
        keys_url="https://modelstudio.console.alibabacloud.com/?tab=dashboard#/api-key",
        docs_url="https://www.alibabacloud.com/help/en/model-studio/compatibility-of-openai-with-dashscope",
        regions=("qwen-cn", "qwen-us"), quirks=_QWEN_WITH_SEARCH,
        batch_api=BatchApi(
            source="https://help.aliyun.com/en/model-studio/batch-interfaces-compatible-with-openai/",
            megabytes=500,
        ),
    ),
    Preset(
        id="qwen-cn", name="Qwen (Alibaba Bailian, China)",
        base_url="https://dashscope.aliyuncs.com/compatible-mode/v1",
        other_base_urls=(("https://coding.dashscope.aliyuncs.com/v1", "coding plan, with keys of its own"),),
        also=("alibaba", "dashscope", "bailian", "tongyi"),
        key_env=("DASHSCOPE_API_KEY", "QWEN_AI_PLATFORM_API_KEY", "QWEN_API_KEY"),
        keys_url="https://bailian.console.aliyun.com/?tab=model#/api-key",
        docs_url="https://help.aliyun.com/zh/model-studio/compatibility-of-openai-with-dashscope",
        regions=("qwen", "qwen-us"), quirks=_QWEN_WITH_SEARCH,
        batch_api=BatchApi(
            source="https://help.aliyun.com/zh/model-studio/batch-interfaces-compatible-with-openai", megabytes=500,
        ),
    ),
    Preset(
        id="qwen-us", name="Qwen (Alibaba Model Studio, US)",
        base_url="https://dashscope-us.aliyuncs.com/compatible-mode/v1",
        also=("alibaba", "dashscope"), key_env=("ALIBABA_US_API_KEY", "DASHSCOPE_API_KEY"),
        keys_url="https://modelstudio.console.alibabacloud.com/?tab=dashboard#/api-key",
        docs_url="https://www.alibabacloud.com/help/en/model-studio/regions/", regions=("qwen", "qwen-cn"),
        quirks=QWEN,
    ),
    Preset(
        id="siliconflow", name="SiliconFlow (international)", base_url="https://api.siliconflow.com/v1",
        key_env=("SILICONFLOW_API_KEY",),
        keys_url="https://cloud.siliconflow.com/account/ak",
        docs_url="https://docs.siliconflow.com/en/api-reference/chat-completions/chat-completions",
        regions=("siliconflow-cn",),
        models_query="sub_type=chat", quirks=SILICONFLOW,
    ),
    Preset(
        id="siliconflow-cn", name="SiliconFlow (China)", base_url="https://api.siliconflow.cn/v1",
        key_env=("SILICONFLOW_CN_API_KEY", "SILICONFLOW_API_KEY"),
        keys_url="https://cloud.siliconflow.cn/account/ak",
        docs_url="https://docs.siliconflow.cn/cn/api-reference/chat-completions/chat-completions",
        regions=("siliconflow",),
        models_query="sub_type=chat", quirks=SILICONFLOW,
    ),
    Preset(
        id="tencent", name="Tencent TokenHub", base_url="https://tokenhub-intl.tencentcloudmaas.com/v1",
        other_base_urls=(
            ("https://tokenhub.tencentmaas.com/v1", "China"),
            ("https://api.hunyuan.cloud.tencent.com/v1", "the older Hunyuan service"),
        ),
        also=("hunyuan",), key_env=("TENCENT_API_KEY", "HUNYUAN_API_KEY"),
        docs_url="https://cloud.tencent.com/document/product/1729",
        quirks=Quirks(
            # cloud.tencent.com "深度思考" (1823/131208): MiniMax M2 has no switch, and not all have levels.
            effort=(
                Effort(models=("minimax-m2*",), levels=FIXED),
                Effort(models=("hy3*", "deepseek-v4*"), levels=THINKING_AND_EFFORT),
                Effort(models=("hunyuan*", "deepseek*", "kimi-k2*", *GLM_WITH_SWITCH), levels=THINKING_TYPE),
                ANY_EFFORT,
            ),
        ),
    ),
    Preset(
        id="volcengine", name="Volcengine Ark", base_url="https://ark.cn-beijing.volces.com/api/v3",
        other_base_urls=(
            ("https://ark.ap-southeast.bytepluses.com/api/v3", "BytePlus, international"),
            ("https://ark.cn-beijing.volces.com/api/coding/v3", "coding plan, with keys of its own"),
        ),
        also=("doubao", "ark", "bytedance"), key_env=("ARK_API_KEY", "VOLCENGINE_API_KEY"),
        keys_url="https://console.volcengine.com/ark/region:ark+cn-beijing/apiKey",
        docs_url="https://www.volcengine.com/docs/82379/1298454",
        quirks=Quirks(
            # BerriAI/litellm, llms/volcengine: Doubao has levels and a switch, other models only the switch.
            effort=(Effort(models=("doubao*",), levels=DOUBAO), Effort(levels=THINKING_TYPE)),
        ),
    ),
)

MODELS: Final[ModelTable] = {
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
# fmt: on
