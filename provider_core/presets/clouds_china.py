"""The clouds of China that serve models of several makers, with their other regions; a row each, by id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from provider_core.presets.effort import (
    ANY,
    ENABLE_THINKING,
    FIXED,
    GLM_SWITCHED,
    THINKING_AND_EFFORT,
    THINKING_TYPE,
    field,
    table,
)
from provider_core.presets.row import Preset
from provider_core.types import Effort, Quirks

if TYPE_CHECKING:
    from provider_core.types import Json

__all__ = ["PRESETS"]

SWITCH_AND_EFFORT: Final[dict[str, dict[str, Json]]] = {
    "none": {"enable_thinking": False},
    **table(lambda level: {"enable_thinking": True, "reasoning_effort": level}, "high", "xhigh", "max"),
}

DOUBAO: Final[dict[str, dict[str, Json]]] = {
    "none": {"thinking": {"type": "disabled"}},
    **field("minimal", "low", "medium", "high"),
}

QWEN: Final = Quirks(
    # Open Qwen3 models refuse to think in an answer that is not streamed: Model Studio "Deep thinking", which
    # names the switch too, and levels for DeepSeek V4 only; charmbracelet/catwalk has them for GLM-5.2.
    always_stream=True,
    effort=(
        Effort(models=("deepseek-v4*", "glm-5.2*"), levels=SWITCH_AND_EFFORT),
        Effort(levels=ENABLE_THINKING),
    ),
    # A demand for tools is a 400 while the model thinks, which most do by default: QwenLM/qwen-code issue 7659.
    tool_choice_while_thinking=False,
    # For the DeepSeek, GLM and Kimi models there; Qwen's own ignore it: anomalyco/models.dev,
    # providers/alibaba-cn.
    reasoning_send_back="reasoning_content",
)

SILICONFLOW: Final = Quirks(
    # docs.siliconflow.cn "Chat completions": levels are for these only.
    effort=(Effort(models=("deepseek-v4*", "glm-5.2*")), Effort(levels=ENABLE_THINKING)),
    reasoning_send_back="reasoning_content",  # anomalyco/models.dev, providers/siliconflow
)

PRESETS: Final = (
    Preset(
        id="modelscope",
        name="ModelScope",
        kind="cloud",
        base_url="https://api-inference.modelscope.cn/v1",
        key_env=("MODELSCOPE_API_KEY",),
        docs_url="https://modelscope.cn/docs/model-service/API-Inference/intro",
        quirks=Quirks(
            # Hybrid Qwen models think in streams only: modelscope.cn "API-Inference".
            always_stream=True,
            effort=(Effort(levels=ENABLE_THINKING),),
        ),
    ),
    Preset(
        id="qianfan",
        name="Baidu Qianfan",
        kind="cloud",
        base_url="https://qianfan.baidubce.com/v2",
        also=("baidu", "ernie"),
        key_env=("QIANFAN_API_KEY",),
        docs_url="https://cloud.baidu.com/doc/qianfan-api/",
        quirks=Quirks(
            # cloud.baidu.com "深度思考": each maker's own switch.
            effort=(
                Effort(models=("deepseek*", "kimi*", "glm*"), levels=THINKING_TYPE),
                Effort(models=("qwen*", "ernie*"), levels=ENABLE_THINKING),
                ANY,
            ),
        ),
    ),
    Preset(
        id="qwen",
        name="Qwen (Alibaba Model Studio, international)",
        kind="cloud",
        base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        other_base_urls=(
            ("https://coding-intl.dashscope.aliyuncs.com/v1", "coding plan, with keys of its own"),
            ("https://cn-hongkong.dashscope.aliyuncs.com/compatible-mode/v1", "Hong Kong"),
        ),
        also=("alibaba", "dashscope", "tongyi"),
        key_env=("DASHSCOPE_API_KEY", "QWENCLOUD_API_KEY", "ALIBABA_API_KEY", "QWEN_API_KEY"),
        keys_url="https://modelstudio.console.alibabacloud.com/?tab=dashboard#/api-key",
        docs_url="https://www.alibabacloud.com/help/en/model-studio/compatibility-of-openai-with-dashscope",
        regions=("qwen-cn", "qwen-us"),
        quirks=QWEN,
    ),
    Preset(
        id="qwen-cn",
        name="Qwen (Alibaba Bailian, China)",
        kind="cloud",
        base_url="https://dashscope.aliyuncs.com/compatible-mode/v1",
        other_base_urls=(("https://coding.dashscope.aliyuncs.com/v1", "coding plan, with keys of its own"),),
        also=("alibaba", "dashscope", "bailian", "tongyi"),
        key_env=("DASHSCOPE_API_KEY", "QWEN_AI_PLATFORM_API_KEY", "QWEN_API_KEY"),
        keys_url="https://bailian.console.aliyun.com/?tab=model#/api-key",
        docs_url="https://help.aliyun.com/zh/model-studio/compatibility-of-openai-with-dashscope",
        regions=("qwen", "qwen-us"),
        quirks=QWEN,
    ),
    Preset(
        id="qwen-us",
        name="Qwen (Alibaba Model Studio, US)",
        kind="cloud",
        base_url="https://dashscope-us.aliyuncs.com/compatible-mode/v1",
        also=("alibaba", "dashscope"),
        key_env=("ALIBABA_US_API_KEY", "DASHSCOPE_API_KEY"),
        keys_url="https://modelstudio.console.alibabacloud.com/?tab=dashboard#/api-key",
        docs_url="https://www.alibabacloud.com/help/en/model-studio/regions/",
        regions=("qwen", "qwen-cn"),
        quirks=QWEN,
    ),
    Preset(
        id="siliconflow",
        name="SiliconFlow (international)",
        kind="cloud",
        base_url="https://api.siliconflow.com/v1",
        key_env=("SILICONFLOW_API_KEY",),
        keys_url="https://cloud.siliconflow.com/account/ak",
        docs_url="https://docs.siliconflow.com/en/api-reference/chat-completions/chat-completions",
        regions=("siliconflow-cn",),
        models_query="sub_type=chat",
        quirks=SILICONFLOW,
    ),
    Preset(
        id="siliconflow-cn",
        name="SiliconFlow (China)",
        kind="cloud",
        base_url="https://api.siliconflow.cn/v1",
        key_env=("SILICONFLOW_CN_API_KEY", "SILICONFLOW_API_KEY"),
        keys_url="https://cloud.siliconflow.cn/account/ak",
        docs_url="https://docs.siliconflow.cn/cn/api-reference/chat-completions/chat-completions",
        regions=("siliconflow",),
        models_query="sub_type=chat",
        quirks=SILICONFLOW,
    ),
    Preset(
        id="tencent",
        name="Tencent TokenHub",
        kind="cloud",
        base_url="https://tokenhub-intl.tencentcloudmaas.com/v1",
        other_base_urls=(
            ("https://tokenhub.tencentmaas.com/v1", "China"),
            ("https://api.hunyuan.cloud.tencent.com/v1", "the older Hunyuan service"),
        ),
        also=("hunyuan",),
        key_env=("TENCENT_API_KEY", "HUNYUAN_API_KEY"),
        docs_url="https://cloud.tencent.com/document/product/1729",
        quirks=Quirks(
            # cloud.tencent.com "深度思考" (1823/131208): MiniMax M2 cannot be switched, levels are not for all.
            effort=(
                Effort(models=("minimax-m2*",), levels=FIXED),
                Effort(models=("hy3*", "deepseek-v4*"), levels=THINKING_AND_EFFORT),
                Effort(models=("hunyuan*", "deepseek*", "kimi-k2*", *GLM_SWITCHED), levels=THINKING_TYPE),
                ANY,
            ),
        ),
    ),
    Preset(
        id="volcengine",
        name="Volcengine Ark",
        kind="cloud",
        base_url="https://ark.cn-beijing.volces.com/api/v3",
        other_base_urls=(
            ("https://ark.ap-southeast.bytepluses.com/api/v3", "BytePlus, international"),
            ("https://ark.cn-beijing.volces.com/api/coding/v3", "coding plan, with keys of its own"),
        ),
        also=("doubao", "ark", "bytedance"),
        key_env=("ARK_API_KEY", "VOLCENGINE_API_KEY"),
        keys_url="https://console.volcengine.com/ark/region:ark+cn-beijing/apiKey",
        docs_url="https://www.volcengine.com/docs/82379/1298454",
        quirks=Quirks(
            # BerriAI/litellm, llms/volcengine: Doubao has levels beside the switch, the other makers' models
            # the switch.
            effort=(Effort(models=("doubao*",), levels=DOUBAO), Effort(levels=THINKING_TYPE)),
        ),
    ),
)
