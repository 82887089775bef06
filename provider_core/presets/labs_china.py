"""The labs and clouds of China, with their international addresses; a row each, by id."""

from __future__ import annotations

from typing import Final

from provider_core.presets.effort import (
    ANY,
    ENABLE_THINKING,
    FIXED,
    LEVELS,
    THINKING_AND_EFFORT,
    THINKING_TYPE,
    field,
)
from provider_core.presets.row import Preset
from provider_core.types import Effort, Quirks

__all__ = ["PRESETS"]

ADAPTIVE: Final = {
    level: {"thinking": {"type": "disabled" if level == "none" else "adaptive"}} for level in LEVELS
}

DOUBAO: Final = {
    "none": {"thinking": {"type": "disabled"}},
    **field("minimal", "low", "medium", "high"),
}

GLM: Final = Quirks(
    # GLM knows neither stream_options, nor a demand for tools, nor schemas, and usage comes unasked:
    # docs.z.ai "Chat Completion"; agentscope-ai/agentscope-java, compat/glm.
    stream_usage=False,
    tool_choice_required="auto",
    json_schema="json_object",
    effort=(
        # Thinks always, at three levels: docs.z.ai "GLM-5.3".
        Effort(models=("glm-5.3",), levels=field("low", "high", "max")),
        Effort(models=("glm-5.2",), levels=THINKING_AND_EFFORT),
        # Levels are a matter of 5.2 and later; before it there is the switch: docs.z.ai "Thinking Mode".
        Effort(models=("glm-5-", "glm-5.0", "glm-5.1", "glm-4"), levels=THINKING_TYPE),
        ANY,
    ),
    # "Thinking Mode" wants thoughts kept with the tool results that follow them.
    reasoning_send_back="reasoning_content",
)

KIMI: Final = Quirks(
    max_tokens_field="max_completion_tokens",  # platform.kimi.ai "Chat completion": max_tokens is deprecated
    # Unknown levels are ignored in silence, so each family's table is whole: platform.kimi.ai "Use thinking
    # effort" for k3, "Use Kimi K2 thinking model" for k2.
    effort=(
        Effort(models=("kimi-k3",), levels=field("low", "high", "max")),
        Effort(models=("kimi-k2.7-code", "kimi-k2-thinking", "moonshot-v1"), levels=FIXED),
        Effort(models=("kimi-k2",), levels=THINKING_TYPE),
        ANY,
    ),
    # A thinking turn that called tools is refused without its thoughts: charmbracelet/fantasy, kimi.
    reasoning_send_back="reasoning_content",
    # While it thinks, which it does by default, a demand for tools is a 400: platform.kimi.ai "Tool use".
    tool_choice_required="auto",
)

MINIMAX: Final = Quirks(
    # max_tokens is deprecated; neither tool_choice nor response_format is documented:
    # platform.minimax.io "OpenAI API"; agentscope-ai/agentscope-java, compat/minimax.
    max_tokens_field="max_completion_tokens",
    tool_choice_required="auto",
    json_schema="none",
    # M2 thinks whatever is asked for; M3 decides for itself, or not at all.
    effort=(Effort(models=("minimax-m2",), levels=FIXED), Effort(levels=ADAPTIVE)),
    # Thoughts come as <think> in the content, and the same page wants them back there.
    reasoning_send_back="think_tags",
)

QWEN: Final = Quirks(
    # Open models refuse to think in an answer that is not streamed: alibabacloud.com Model Studio
    # "Deep thinking", which also names the switch.
    always_stream=True,
    effort=(Effort(levels=ENABLE_THINKING),),
)

PRESETS: Final = (
    Preset(
        id="deepseek",
        name="DeepSeek",
        kind="cloud",
        base_url="https://api.deepseek.com",
        other_base_urls=(
            ("https://api.deepseek.com/v1", "the same"),
            ("https://api.deepseek.com/beta", "prefix completion and strict tools"),
        ),
        key_env=("DEEPSEEK_API_KEY",),
        keys_url="https://platform.deepseek.com/api_keys",
        docs_url="https://api-docs.deepseek.com/",
        quirks=Quirks(
            # Any level is taken and mapped to low, high or max by the server: api-docs.deepseek.com "Thinking Mode".
            effort=(Effort(levels=THINKING_AND_EFFORT),),
            # A turn that called tools is refused without its thoughts: the same page.
            reasoning_send_back="reasoning_content",
            # response_format knows text and json_object: api-docs.deepseek.com "JSON Output".
            json_schema="json_object",
        ),
    ),
    Preset(
        id="kimi",
        name="Kimi (Moonshot AI, international)",
        kind="cloud",
        base_url="https://api.moonshot.ai/v1",
        other_base_urls=(("https://api.kimi.com/coding/v1", "coding plan, with keys of its own"),),
        also=("moonshot",),
        key_env=("MOONSHOT_API_KEY", "MOONSHOTAI_API_KEY", "KIMI_API_KEY"),
        keys_url="https://platform.kimi.ai/console/api-keys",
        docs_url="https://platform.kimi.ai/docs",
        regions=("kimi-cn",),
        context_fields=("context_length",),
        quirks=KIMI,
    ),
    Preset(
        id="kimi-cn",
        name="Kimi (Moonshot AI, China)",
        kind="cloud",
        base_url="https://api.moonshot.cn/v1",
        also=("moonshot",),
        key_env=("MOONSHOT_CN_API_KEY", "MOONSHOT_API_KEY", "KIMI_API_KEY"),
        keys_url="https://platform.moonshot.cn/console/api-keys",
        docs_url="https://platform.moonshot.cn/docs",
        regions=("kimi",),
        context_fields=("context_length",),
        quirks=KIMI,
    ),
    Preset(
        id="minimax",
        name="MiniMax (international)",
        kind="cloud",
        base_url="https://api.minimax.io/v1",
        key_env=("MINIMAX_API_KEY",),
        keys_url="https://platform.minimax.io/user-center/basic-information/interface-key",
        docs_url="https://platform.minimax.io/docs/api-reference/text-openai-api",
        regions=("minimax-cn",),
        quirks=MINIMAX,
    ),
    Preset(
        id="minimax-cn",
        name="MiniMax (China)",
        kind="cloud",
        base_url="https://api.minimaxi.com/v1",
        other_base_urls=(("https://api.minimax.chat/v1", "the old address"),),
        also=("minimaxi",),
        key_env=("MINIMAX_CN_API_KEY", "MINIMAX_API_KEY"),
        keys_url="https://platform.minimaxi.com/user-center/basic-information/interface-key",
        docs_url="https://platform.minimaxi.com/docs",
        regions=("minimax",),
        quirks=MINIMAX,
    ),
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
        quirks=Quirks(
            effort=(Effort(levels=ENABLE_THINKING),),  # docs.siliconflow.com "Chat completions"
        ),
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
        quirks=Quirks(
            effort=(Effort(levels=ENABLE_THINKING),),  # docs.siliconflow.cn "Chat completions"
        ),
    ),
    Preset(
        id="stepfun",
        name="StepFun",
        kind="cloud",
        base_url="https://api.stepfun.com/v1",
        other_base_urls=(
            ("https://api.stepfun.ai/v1", "international"),
            ("https://api.stepfun.ai/step_plan/v1", "subscription plan"),
        ),
        also=("step",),
        key_env=("STEPFUN_API_KEY", "STEP_API_KEY"),
        keys_url="https://platform.stepfun.com/interface-key",
        docs_url="https://platform.stepfun.com/docs/api-reference/chat/chat-completion-create",
    ),
    Preset(
        id="tencent",
        name="Tencent TokenHub",
        kind="cloud",
        base_url="https://tokenhub-intl.tencentcloudmaas.com/v1",
        other_base_urls=(("https://api.hunyuan.cloud.tencent.com/v1", "the older Hunyuan service"),),
        also=("hunyuan",),
        key_env=("TENCENT_API_KEY", "HUNYUAN_API_KEY"),
        docs_url="https://cloud.tencent.com/document/product/1729",
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
            # Doubao takes levels since seed-1.6, and the switch to think not at all; the others know the switch only:
            # volcengine.com Ark "Deep thinking", BerriAI/litellm llms/volcengine.
            effort=(Effort(models=("doubao",), levels=DOUBAO), Effort(levels=THINKING_TYPE)),
        ),
    ),
    Preset(
        id="xiaomi",
        name="Xiaomi MiMo",
        kind="cloud",
        base_url="https://api.xiaomimimo.com/v1",
        also=("mimo",),
        key_env=("XIAOMI_MIMO_API_KEY", "XIAOMI_API_KEY", "MIMO_API_KEY"),
        docs_url="https://platform.xiaomimimo.com/",
        quirks=Quirks(
            # agno-agi/agno, libs/agno/agno/models/xiaomi.
            effort=(Effort(levels=THINKING_TYPE),),
            json_schema="json_object",
        ),
    ),
    Preset(
        id="zai",
        name="Z.ai (Zhipu, international)",
        kind="cloud",
        base_url="https://api.z.ai/api/paas/v4",
        other_base_urls=(("https://api.z.ai/api/coding/paas/v4", "coding plan, with keys of its own"),),
        also=("glm", "z.ai"),
        key_env=("ZAI_API_KEY", "ZHIPU_API_KEY"),
        keys_url="https://z.ai/manage-apikey/apikey-list",
        docs_url="https://docs.z.ai/api-reference/introduction",
        regions=("zhipu",),
        quirks=GLM,
    ),
    Preset(
        id="zhipu",
        name="Zhipu BigModel (China)",
        kind="cloud",
        base_url="https://open.bigmodel.cn/api/paas/v4",
        other_base_urls=(
            ("https://open.bigmodel.cn/api/coding/paas/v4", "coding plan, with keys of its own"),
        ),
        also=("glm", "bigmodel", "chatglm"),
        key_env=("ZHIPU_API_KEY", "ZHIPUAI_API_KEY", "BIGMODEL_API_KEY"),
        keys_url="https://bigmodel.cn/usercenter/proj-mgmt/apikeys",
        docs_url="https://docs.bigmodel.cn/cn/guide/develop/openai/introduction",
        regions=("zai",),
        quirks=GLM,
    ),
)
