"""Clouds that serve models of several makers, Chinese ones with their other regions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from provider_core.presets.preset import (
    ANY_EFFORT,
    ENABLE_THINKING,
    FIXED,
    GLM_WITH_SWITCH,
    TEMPLATE_SWITCH,
    THINKING_AND_EFFORT,
    THINKING_TYPE,
    BatchApi,
    Preset,
    Variable,
    per_level,
    reasoning_effort,
)
from provider_core.structs import replace
from provider_core.types import Effort, Prefill, Quirks, WebSearch

if TYPE_CHECKING:
    from provider_core.presets.preset import ModelTable
    from provider_core.types import Json

BASETEN: Final = per_level(lambda level: {"chat_template_args": {"enable_thinking": level != "none"}})

GROQ_QWEN: Final = per_level(lambda level: {"reasoning_effort": "none" if level == "none" else "default"})

TOGETHER: Final[dict[str, dict[str, Json]]] = {
    "none": {"reasoning": {"enabled": False}},
    **reasoning_effort("low", "medium", "high", "max"),
}

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
        id="baseten", name="Baseten", base_url="https://inference.baseten.co/v1",
        key_env=("BASETEN_API_KEY",), docs_url="https://docs.baseten.co/inference/model-apis/overview",
        quirks=Quirks(
            # docs.baseten.co "Reasoning": a template argument switches these; the others have levels.
            effort=(Effort(models=("kimi-k2*", *GLM_WITH_SWITCH), levels=BASETEN), ANY_EFFORT),
        ),
    ),
    Preset(
        id="cerebras", name="Cerebras", base_url="https://api.cerebras.ai/v1", key_env=("CEREBRAS_API_KEY",),
        keys_url="https://cloud.cerebras.ai/platform", docs_url="https://inference-docs.cerebras.ai/",
        batch_api=BatchApi(source="https://inference-docs.cerebras.ai/capabilities/batch"),
    ),
    Preset(
        id="chutes", name="Chutes", base_url="https://llm.chutes.ai/v1",
        # Prices: charmbracelet/catwalk, cmd/chutes.
        price_fields=("pricing.prompt", "pricing.completion", "pricing.input_cache_read", ""),
        key_env=("CHUTES_API_KEY",), docs_url="https://chutes.ai/docs",
    ),
    Preset(
        id="cloudflare", name="Cloudflare Workers AI",
        base_url="https://api.cloudflare.com/client/v4/accounts/{account_id}/ai/v1",
        also=("workers ai",), key_env=("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_KEY"),
        keys_url="https://dash.cloudflare.com/profile/api-tokens",
        docs_url="https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility/",
        variables=(
            Variable(name="account_id", prompt="Cloudflare account id", env=("CLOUDFLARE_ACCOUNT_ID",)),
        ),
        # GET /models answers 405; in the catalog the name of a model ("@cf/...") is in "name", and "id" is a UUID.
        models_path="/../models/search", models_query="task=Text+Generation&per_page=100", models_id="name",
        quirks=Quirks(
            # The server's default of 256 tokens cuts nearly every answer: lobehub/lobe-chat issue 7450.
            default_max_tokens=8192,
        ),
    ),
    Preset(
        id="deepinfra", name="DeepInfra", base_url="https://api.deepinfra.com/v1/openai",
        # Prices: deepinfra.com/docs/openai_api.
        price_fields=(
            "metadata.pricing.input_tokens", "metadata.pricing.output_tokens",
            "metadata.pricing.cache_read_tokens", "",
        ),
        key_env=("DEEPINFRA_API_KEY", "DEEPINFRA_TOKEN"),
        keys_url="https://deepinfra.com/dash/api_keys", docs_url="https://deepinfra.com/docs/openai_api",
        quirks=Quirks(
            # docs.deepinfra.com "Reasoning".
            effort=(Effort(levels=reasoning_effort("none", "low", "medium", "high", "xhigh")),),
            reasoning_send_back="reasoning_content",  # anomalyco/models.dev, providers/deepinfra
        ),
        batch_api=BatchApi(source="https://docs.deepinfra.com/batch/introduction"),
    ),
    Preset(
        id="fireworks", name="Fireworks AI", base_url="https://api.fireworks.ai/inference/v1",
        also=("fireworks ai",), key_env=("FIREWORKS_API_KEY",),
        keys_url="https://app.fireworks.ai/settings/users/api-keys",
        docs_url="https://docs.fireworks.ai/tools-sdks/openai-compatibility",
        quirks=Quirks(
            # A whole answer of more than 4096 tokens is refused without streaming: BerriAI/litellm issue 14180.
            always_stream=True,
            reasoning_send_back="reasoning_content",  # anomalyco/models.dev, providers/fireworks-ai
        ),
    ),
    Preset(
        id="friendli", name="Friendli", base_url="https://api.friendli.ai/serverless/v1",
        key_env=("FRIENDLI_TOKEN",), docs_url="https://friendli.ai/docs",
        quirks=Quirks(
            # friendli.ai "Reasoning"; GLM-5.2 has levels: anomalyco/models.dev, providers/friendli.
            effort=(Effort(models=("glm-5.2*",)), Effort(levels=TEMPLATE_SWITCH)),
            reasoning_send_back="reasoning_content",  # the same list
        ),
    ),
    Preset(
        id="groq", name="Groq", base_url="https://api.groq.com/openai/v1", key_env=("GROQ_API_KEY",),
        keys_url="https://console.groq.com/keys", docs_url="https://console.groq.com/docs/api-reference",
        quirks=Quirks(
            # console.groq.com "Reasoning": Qwen has only "none" and "default".
            effort=(
                Effort(models=("gpt-oss*",), levels=reasoning_effort("low", "medium", "high")),
                Effort(models=("qwen*",), levels=GROQ_QWEN),
                ANY_EFFORT,
            ),
            # console.groq.com "Built-in tools": Compound searches by itself, gpt-oss by a tool.
            web_search=(
                WebSearch(models=("compound*",)),
                WebSearch(models=("gpt-oss*",), tools=({"type": "browser_search"},)),
            ),
        ),
        batch_api=BatchApi(source="https://console.groq.com/docs/batch", megabytes=100),
    ),
    Preset(
        id="hyperbolic", name="Hyperbolic", base_url="https://api.hyperbolic.xyz/v1", key_env=("HYPERBOLIC_API_KEY",),
        keys_url="https://app.hyperbolic.ai/settings/api-keys",
        docs_url="https://docs.hyperbolic.xyz/docs/inference-api",
    ),
    Preset(
        id="nebius", name="Nebius Token Factory", base_url="https://api.tokenfactory.nebius.com/v1",
        other_base_urls=(("https://api.studio.nebius.com/v1", "the old address"),), key_env=("NEBIUS_API_KEY",),
        keys_url="https://tokenfactory.nebius.com/?modals=create-api-key",
        docs_url="https://docs.tokenfactory.nebius.com/",
        models_query="verbose=true",  # includes the context window
        batch_api=BatchApi(
            source="https://docs.tokenfactory.nebius.com/ai-models-inference/batch-inference",
            requests=5_000_000, megabytes=10_000,
        ),
    ),
    Preset(
        id="novita", name="Novita AI", base_url="https://api.novita.ai/openai",
        # Prices: novita.ai/docs/api-reference/model-apis-llm-list-models: in 0.0001 dollars.
        price_fields=(
            "input_token_price_per_m", "output_token_price_per_m",
            "pricing.input_cache_read.price_per_m", "",
        ),
        price_unit=-4,
        other_base_urls=(
            ("https://api.novita.ai/v3/openai", "an older path"),
            ("https://api.novita.ai/openai/v1", "the same"),
        ),
        key_env=("NOVITA_API_KEY",), keys_url="https://novita.ai/settings/key-management",
        docs_url="https://novita.ai/docs/guides/llm-api",
        quirks=Quirks(
            # novita.ai "Create chat completion": these have the switch.
            effort=(
                Effort(models=("glm-4.5*", "deepseek-v3.1*", "deepseek-v3.2*"), levels=ENABLE_THINKING),
                ANY_EFFORT,
            ),
            reasoning_send_back="reasoning_content",  # anomalyco/models.dev, providers/novita-ai
        ),
    ),
    Preset(
        id="nvidia", name="NVIDIA NIM", base_url="https://integrate.api.nvidia.com/v1",
        also=("nim",), key_env=("NVIDIA_API_KEY", "NVIDIA_NIM_API_KEY"),
        keys_url="https://build.nvidia.com/settings/api-keys",
        docs_url="https://docs.api.nvidia.com/nim/reference/llm-apis",
        quirks=Quirks(
            # Each model has its own schema: docs.api.nvidia.com NIM; anomalyco/models.dev, providers/nvidia.
            effort=(
                Effort(models=("deepseek-v4*", "gpt-oss*", "kimi*", "mistral*", "step*")),
                Effort(levels=TEMPLATE_SWITCH),
            ),
        ),
    ),
    Preset(
        id="ollama-cloud", name="Ollama Cloud", base_url="https://ollama.com/v1",
        also=("ollama",), key_env=("OLLAMA_API_KEY",), docs_url="https://docs.ollama.com/cloud",
        quirks=Quirks(reasoning_send_back="reasoning"),  # ollama/ollama, openai/openai.go
    ),
    Preset(
        id="ovhcloud", name="OVHcloud AI Endpoints", base_url="https://oai.endpoints.kepler.ai.cloud.ovh.net/v1",
        also=("ovh",), key_required=False, key_env=("OVHCLOUD_API_KEY", "OVH_AI_ENDPOINTS_ACCESS_TOKEN"),
        docs_url="https://endpoints.ai.cloud.ovh.net/",
    ),
    Preset(
        id="sambanova", name="SambaNova Cloud", base_url="https://api.sambanova.ai/v1",
        key_env=("SAMBANOVA_API_KEY",),
        keys_url="https://cloud.sambanova.ai/apis", docs_url="https://docs.sambanova.ai/",
    ),
    Preset(
        id="scaleway", name="Scaleway", base_url="https://api.scaleway.ai/v1",
        key_env=("SCW_SECRET_KEY", "SCALEWAY_API_KEY"), docs_url="https://www.scaleway.com/en/docs/generative-apis/",
        quirks=Quirks(tool_images="user"),  # its Mistral models: LibreChat-AI/agents issue 344
    ),
    Preset(
        id="together", name="Together AI", base_url="https://api.together.xyz/v1",
        # Prices: docs.together.ai/reference/models-1.
        price_fields=("pricing.input", "pricing.output", "", ""),
        other_base_urls=(("https://api.together.ai/v1", "the same"),),
        also=("togetherai",), key_env=("TOGETHER_API_KEY", "TOGETHER_AI_API_KEY"),
        keys_url="https://api.together.ai/settings/api-keys",
        docs_url="https://docs.together.ai/docs/openai-api-compatibility",
        quirks=Quirks(
            # docs.together.ai "Reasoning": one field switches it off, another has the level.
            effort=(Effort(levels=TOGETHER),),
        ),
    ),
    Preset(
        id="venice", name="Venice", base_url="https://api.venice.ai/api/v1",
        # Prices: docs.venice.ai "List models".
        price_fields=("model_spec.pricing.input.usd", "model_spec.pricing.output.usd", "", ""),
        key_env=("VENICE_API_KEY",), docs_url="https://docs.venice.ai",
        # docs.venice.ai "Chat completions", venice_parameters.
        quirks=Quirks(
            web_search=(
                WebSearch(
                    fields={
                        "venice_parameters": {
                            "enable_web_search": "on", "enable_web_citations": True,
                            "include_search_results_in_stream": True,
                        }
                    }
                ),
            ),
        ),
    ),
    Preset(
        id="wandb", name="W&B Inference", base_url="https://api.inference.wandb.ai/v1",
        also=("weights & biases",), key_env=("WANDB_API_KEY",), docs_url="https://docs.wandb.ai/inference/",
        quirks=Quirks(
            # docs.wandb.ai "Reasoning": these always reason, the others have a switch.
            effort=(
                Effort(models=("gpt-oss*",)),
                Effort(models=("minimax-m2*", "kimi-k2*", "*-thinking*"), levels=FIXED),
                Effort(levels=TEMPLATE_SWITCH),
            ),
        ),
    ),
    Preset(
        id="modelscope", name="ModelScope", base_url="https://api-inference.modelscope.cn/v1",
        key_env=("MODELSCOPE_API_KEY",), docs_url="https://modelscope.cn/docs/model-service/API-Inference/intro",
        quirks=Quirks(
            # Hybrid Qwen models reason only in streams: modelscope.cn "API-Inference".
            always_stream=True,
            effort=(Effort(levels=ENABLE_THINKING),),
        ),
    ),
    Preset(
        id="qianfan", name="Baidu Qianfan", base_url="https://qianfan.baidubce.com/v2",
        also=("baidu", "ernie"), key_env=("QIANFAN_API_KEY",), docs_url="https://cloud.baidu.com/doc/qianfan-api/",
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
        key_env=("SILICONFLOW_API_KEY",), keys_url="https://cloud.siliconflow.com/account/ak",
        docs_url="https://docs.siliconflow.com/en/api-reference/chat-completions/chat-completions",
        regions=("siliconflow-cn",), models_query="sub_type=chat", quirks=SILICONFLOW,
    ),
    Preset(
        id="siliconflow-cn", name="SiliconFlow (China)", base_url="https://api.siliconflow.cn/v1",
        key_env=("SILICONFLOW_CN_API_KEY", "SILICONFLOW_API_KEY"), keys_url="https://cloud.siliconflow.cn/account/ak",
        docs_url="https://docs.siliconflow.cn/cn/api-reference/chat-completions/chat-completions",
        regions=("siliconflow",), models_query="sub_type=chat", quirks=SILICONFLOW,
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
