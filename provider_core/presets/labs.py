"""Labs that serve their own models, Chinese ones with their international addresses, and Azure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from provider_core.presets.preset import (
    ANY_EFFORT,
    FIXED,
    GLM_WITH_SWITCH,
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

ADAPTIVE: Final = per_level(
    lambda level: {"thinking": {"type": "disabled" if level == "none" else "adaptive"}}
)

GLM: Final = Quirks(
    # docs.z.ai "Chat Completion": max_tokens only, tool_choice "auto" only, JSON without a schema. Usage
    # is always sent, as charmbracelet/fantasy recorded, and stream_options is not documented.
    stream_usage=False,
    tool_choice_required="auto",
    json_schema="json_object",
    effort=(
        # docs.bigmodel.cn "GLM-5.3": it always reasons.
        Effort(models=("glm-5.3*",), levels=reasoning_effort("low", "high", "max")),
        Effort(models=GLM_WITH_SWITCH, levels=THINKING_TYPE),
        ANY_EFFORT,
    ),
    # "Thinking Mode" requires the reasoning to be sent back with the results of its tool calls.
    reasoning_send_back="reasoning_content",
)


def _glm_with_search(engine: str) -> Quirks:
    """docs.z.ai and docs.bigmodel.cn, "Web search in chat". Each has its own search engines."""
    search = {"enable": True, "search_engine": engine, "search_result": True}
    return replace(GLM, web_search=(WebSearch(tools=({"type": "web_search", "web_search": search},)),))


KIMI: Final = Quirks(
    max_tokens_field="max_completion_tokens",  # platform.kimi.ai "Chat Completion"
    # Unknown levels are silently ignored, so the tables have only those of each model.
    # platform.kimi.ai: "Use thinking effort" for k3, "Chat Completion" for k2.
    effort=(
        Effort(models=("kimi-k3*",), levels=reasoning_effort("low", "high", "max")),
        Effort(models=("kimi-k2.7-code*", "kimi-k2-thinking*", "moonshot-v1*"), levels=FIXED),
        Effort(models=("kimi-k2*",), levels=THINKING_TYPE),
        ANY_EFFORT,
    ),
    # A turn that called tools is refused without its reasoning: charmbracelet/fantasy, kimi.
    reasoning_send_back="reasoning_content",
    # https://platform.kimi.ai/docs/guide/use-partial-mode-feature-of-kimi-api
    prefill=Prefill(message={"partial": True}),
    # While reasoning, which is the default, a required tool call is a 400: pydantic/pydantic-ai,
    # providers/moonshotai.py.
    tool_choice_while_thinking=False,
)

MINIMAX: Final = Quirks(
    # platform.minimax.io "OpenAI API": max_tokens is deprecated; tool_choice and response_format do not exist.
    max_tokens_field="max_completion_tokens",
    tool_choice_required="auto",
    json_schema="none",
    # M2 always reasons; M3 decides for itself, or does not reason: the same page.
    effort=(Effort(models=("minimax-m2*",), levels=FIXED), Effort(levels=ADAPTIVE)),
    # Reasoning comes as <think> in the content and must be sent back there: platform.minimax.io "OpenAI API".
    reasoning_send_back="think_tags",
)

# fmt: off
PRESETS: Final = (
    Preset(
        id="anthropic", name="Anthropic", base_url="https://api.anthropic.com/v1",
        also=("claude",), key_env=("ANTHROPIC_API_KEY",), keys_url="https://console.anthropic.com/settings/keys",
        docs_url="https://docs.claude.com/en/api/openai-sdk",
        # The native list needs another key header and a version, else 401. Chat takes a bearer token.
        # QwenLM/qwen-code issue 3799.
        models_query="limit=1000", models_key_header="x-api-key", models_headers={"anthropic-version": "2023-06-01"},
        quirks=Quirks(
            # reasoning_effort and response_format are silently ignored: docs.claude.com "OpenAI SDK compatibility".
            effort=(Effort(levels=FIXED),),
            json_schema="none",
        ),
    ),
    Preset(
        id="azure", name="Azure OpenAI", base_url="https://{resource}.openai.azure.com/openai/v1",
        other_base_urls=(
            ("https://{resource}.services.ai.azure.com/openai/v1", "Foundry resources"),
            ("https://{resource}.cognitiveservices.azure.com/openai/v1", "Cognitive Services resources"),
        ),
        also=("microsoft",), auth="api-key", key_env=("AZURE_OPENAI_API_KEY", "AZURE_API_KEY"),
        keys_url="https://ai.azure.com",
        docs_url="https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle",
        variables=(
            Variable(
                name="resource", prompt="Name of the Azure OpenAI resource", env=("AZURE_RESOURCE_NAME",)
            ),
        ),
        # /models lists the region's base models, but a request names a deployment, which only the user
        # knows: learn.microsoft.com, Azure OpenAI "API version lifecycle".
        models_path=None,
        quirks=Quirks(
            # As OpenAI; a Mistral deployment requires max_tokens and says so: BerriAI/litellm, llms/azure.
            max_tokens_field="max_completion_tokens",
            tool_images="user",
        ),
        batch_api=BatchApi(source="https://learn.microsoft.com/azure/foundry/reference/rest/batches-create-batch"),
    ),
    Preset(
        id="cohere", name="Cohere", base_url="https://api.cohere.ai/compatibility/v1",
        also=("command",), key_env=("COHERE_API_KEY", "CO_API_KEY"),
        docs_url="https://docs.cohere.com/docs/compatibility-api",
        # The compatible path lists nothing; the native list names models in "name".
        models_path="/../../v1/models", models_query="endpoint=chat&page_size=1000", models_id="name",
        quirks=Quirks(
            # stream_options is refused: Strands SDK documentation, "Cohere".
            stream_usage=False,
            # docs.cohere.com "Using Cohere models via the OpenAI SDK": only on or off.
            effort=(Effort(levels=reasoning_effort("none", "high")),),
        ),
    ),
    Preset(
        id="gemini", name="Google Gemini", base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        also=("google", "ai studio"), key_env=("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY"),
        keys_url="https://aistudio.google.com/apikey", docs_url="https://ai.google.dev/gemini-api/docs/openai",
        quirks=Quirks(
            # ai.google.dev "OpenAI compatibility"; the server refuses levels that a model lacks.
            effort=(Effort(levels=reasoning_effort("none", "minimal", "low", "medium", "high")),),
        ),
    ),
    Preset(
        id="inception", name="Inception (Mercury)", base_url="https://api.inceptionlabs.ai/v1",
        also=("mercury",), key_env=("INCEPTION_API_KEY",), docs_url="https://docs.inceptionlabs.ai",
        quirks=Quirks(
            # docs.inceptionlabs.ai "Create a chat completion": the lowest level is called instant.
            effort=(Effort(levels=reasoning_effort("instant", "low", "medium", "high")),),
        ),
    ),
    Preset(
        id="mistral", name="Mistral AI", base_url="https://api.mistral.ai/v1",
        other_base_urls=(("https://codestral.mistral.ai/v1", "Codestral, with keys of its own"),),
        also=("codestral", "magistral"), key_env=("MISTRAL_API_KEY",),
        keys_url="https://console.mistral.ai/api-keys", docs_url="https://docs.mistral.ai/api/",
        quirks=Quirks(
            # Older deployments refuse it, and usage is always in the last chunk: vercel/ai, packages/mistral.
            stream_usage=False,
            # docs.mistral.ai "Reasoning"; Magistral always reasons.
            effort=(
                Effort(models=("magistral*",), levels=FIXED),
                Effort(levels=reasoning_effort("none", "high")),
            ),
            # docs.mistral.ai API, "prefix" of an assistant message; vercel/ai, packages/mistral.
            prefill=Prefill(message={"prefix": True}),
            # Other ids are refused with code 3280: langchain-ai/langchain issue 24668.
            tool_call_ids="mistral9",
            tool_choice_required="any",  # the older of its two words: docs.mistral.ai API
            # A tool message can contain only text: LibreChat-AI/agents issue 344.
            tool_images="user",
        ),
    ),
    Preset(
        id="openai", name="OpenAI", base_url="https://api.openai.com/v1",
        also=("gpt", "chatgpt"), key_env=("OPENAI_API_KEY",), keys_url="https://platform.openai.com/api-keys",
        docs_url="https://platform.openai.com/docs/api-reference/chat",
        quirks=Quirks(
            # The o-series, gpt-5 and later refuse max_tokens: openai/openai-python, chat completion parameters.
            max_tokens_field="max_completion_tokens",
            # Older models refuse images in a tool message, and newer ones do not see them: openai/openai-openapi
            # issue 523.
            tool_images="user",
            # Models with vision, gpt-4o and later: developers.openai.com "File inputs".
            pdf=("gpt-4o", "gpt-4o-2*", "gpt-4o-mini", "gpt-4o-mini-2*", "gpt-4.1*", "gpt-[5-9]*", "o1", "o1-2*", "o3", "o3-2*", "o4-mini*"),
            # developers.openai.com "Web search": only these models in chat completions; they always search.
            web_search=(
                WebSearch(models=("*-search-api*", "*-search-preview*"), fields={"web_search_options": {}}),
            ),
        ),
        batch_api=BatchApi(source="https://developers.openai.com/api/reference/resources/batches/methods/create"),
    ),
    Preset(
        id="perplexity", name="Perplexity", base_url="https://api.perplexity.ai",
        also=("sonar",), key_env=("PERPLEXITY_API_KEY", "PERPLEXITYAI_API_KEY"),
        keys_url="https://www.perplexity.ai/account/api/keys",
        docs_url="https://docs.perplexity.ai/api-reference/chat-completions-post",
        models_path=None,  # answers 404
        quirks=Quirks(
            # Usage is always in every chunk: vercel/ai, packages/perplexity.
            stream_usage=False,
            # docs.perplexity.ai, "Sonar" API reference.
            effort=(Effort(levels=reasoning_effort("minimal", "low", "medium", "high")),),
            # Two messages of one role in a row are a 400: the same reference.
            alternate_roles=True,
            web_search=(WebSearch(),),  # every model searches, and has no switch: the same reference
        ),
    ),
    Preset(
        id="upstage", name="Upstage", base_url="https://api.upstage.ai/v1/solar",
        also=("solar",), key_env=("UPSTAGE_API_KEY",), docs_url="https://console.upstage.ai/docs",
    ),
    Preset(
        id="xai", name="xAI", base_url="https://api.x.ai/v1", also=("grok",), key_env=("XAI_API_KEY",),
        keys_url="https://console.x.ai", docs_url="https://docs.x.ai/docs/api-reference",
        # No web search: search_parameters is answered with 410 since its search moved to another API: vercel/ai issue
        # 15713.
    ),
    Preset(
        id="deepseek", name="DeepSeek", base_url="https://api.deepseek.com",
        other_base_urls=(
            ("https://api.deepseek.com/v1", "the same"),
            ("https://api.deepseek.com/beta", "prefix completion and strict tools"),
        ),
        key_env=("DEEPSEEK_API_KEY",),
        keys_url="https://platform.deepseek.com/api_keys", docs_url="https://api-docs.deepseek.com/",
        quirks=Quirks(
            # The server accepts every level and maps it to those it has: api-docs.deepseek.com "Thinking Mode".
            effort=(Effort(levels=THINKING_AND_EFFORT),),
            # Conversations with tools are refused without the reasoning of every answer: the same page.
            reasoning_send_back="reasoning_content",
            # https://api-docs.deepseek.com/guides/chat_prefix_completion
            prefill=Prefill(message={"prefix": True}, base_path="/beta"),
            # While reasoning, which is the default, a required tool call is a 400: deepseek-ai/DeepSeek-V3
            # issue 1376.
            tool_choice_while_thinking=False,
            json_schema="json_object",  # api-docs.deepseek.com "JSON Output"
        ),
    ),
    Preset(
        id="kimi", name="Kimi (Moonshot AI, international)", base_url="https://api.moonshot.ai/v1",
        other_base_urls=(("https://api.kimi.com/coding/v1", "coding plan, with keys of its own"),),
        also=("moonshot",), key_env=("MOONSHOT_API_KEY", "MOONSHOTAI_API_KEY", "KIMI_API_KEY"),
        keys_url="https://platform.kimi.ai/console/api-keys", docs_url="https://platform.kimi.ai/docs",
        regions=("kimi-cn",), quirks=KIMI,
        batch_api=BatchApi(source="https://platform.kimi.ai/docs/guide/use-batch-api", megabytes=100),
    ),
    Preset(
        id="kimi-cn", name="Kimi (Moonshot AI, China)", base_url="https://api.moonshot.cn/v1",
        also=("moonshot",), key_env=("MOONSHOT_CN_API_KEY", "MOONSHOT_API_KEY", "KIMI_API_KEY"),
        keys_url="https://platform.moonshot.cn/console/api-keys",
        docs_url="https://platform.moonshot.cn/docs", regions=("kimi",), quirks=KIMI,
        batch_api=BatchApi(source="https://platform.kimi.ai/docs/guide/use-batch-api", megabytes=100),
    ),
    Preset(
        id="minimax", name="MiniMax (international)", base_url="https://api.minimax.io/v1",
        key_env=("MINIMAX_API_KEY",),
        keys_url="https://platform.minimax.io/user-center/basic-information/interface-key",
        docs_url="https://platform.minimax.io/docs/api-reference/text-openai-api", regions=("minimax-cn",),
        quirks=MINIMAX,
    ),
    Preset(
        id="minimax-cn", name="MiniMax (China)", base_url="https://api.minimaxi.com/v1",
        other_base_urls=(("https://api.minimax.chat/v1", "the old address"),),
        also=("minimaxi",), key_env=("MINIMAX_CN_API_KEY", "MINIMAX_API_KEY"),
        keys_url="https://platform.minimaxi.com/user-center/basic-information/interface-key",
        docs_url="https://platform.minimaxi.com/docs", regions=("minimax",), quirks=MINIMAX,
    ),
    Preset(
        id="stepfun", name="StepFun", base_url="https://api.stepfun.com/v1",
        other_base_urls=(
            ("https://api.stepfun.ai/v1", "international"),
            ("https://api.stepfun.ai/step_plan/v1", "subscription plan"),
        ),
        also=("step",), key_env=("STEPFUN_API_KEY", "STEP_API_KEY"),
        keys_url="https://platform.stepfun.com/interface-key",
        docs_url="https://platform.stepfun.com/docs/api-reference/chat/chat-completion-create",
        quirks=Quirks(
            # platform.stepfun.com "Chat completion".
            effort=(Effort(levels=reasoning_effort("low", "medium", "high")),),
        ),
    ),
    Preset(
        id="xiaomi", name="Xiaomi MiMo", base_url="https://api.xiaomimimo.com/v1",
        also=("mimo",), key_env=("XIAOMI_MIMO_API_KEY", "XIAOMI_API_KEY", "MIMO_API_KEY"),
        docs_url="https://platform.xiaomimimo.com/",
        quirks=Quirks(
            # platform.xiaomimimo.com "OpenAI API"; anomalyco/models.dev, providers/xiaomi, for the reasoning.
            effort=(Effort(levels=THINKING_TYPE),),
            reasoning_send_back="reasoning_content",
            json_schema="json_object",  # docs.agno.com "Xiaomi MiMo"
            # platform.xiaomimimo.com "Web search": a plugin that has to be activated in the console.
            web_search=(WebSearch(models=("mimo-v2*",), tools=({"type": "web_search"},)),),
        ),
    ),
    Preset(
        id="zai", name="Z.ai (Zhipu, international)", base_url="https://api.z.ai/api/paas/v4",
        other_base_urls=(("https://api.z.ai/api/coding/paas/v4", "coding plan, with keys of its own"),),
        also=("glm", "z.ai"), key_env=("ZAI_API_KEY", "ZHIPU_API_KEY"),
        keys_url="https://z.ai/manage-apikey/apikey-list",
        docs_url="https://docs.z.ai/api-reference/introduction", regions=("zhipu",),
        quirks=_glm_with_search("search-prime"),
    ),
    Preset(
        id="zhipu", name="Zhipu BigModel (China)", base_url="https://open.bigmodel.cn/api/paas/v4",
        other_base_urls=(("https://open.bigmodel.cn/api/coding/paas/v4", "coding plan, with keys of its own"),),
        also=("glm", "bigmodel", "chatglm"), key_env=("ZHIPU_API_KEY", "ZHIPUAI_API_KEY", "BIGMODEL_API_KEY"),
        keys_url="https://bigmodel.cn/usercenter/proj-mgmt/apikeys",
        docs_url="https://docs.bigmodel.cn/cn/guide/develop/openai/introduction", regions=("zai",),
        quirks=_glm_with_search("search_std"),
        batch_api=BatchApi(
            source="https://docs.bigmodel.cn/cn/guide/tools/batch", megabytes=100, endpoint="/v4/chat/completions",
        ),
    ),
)

_KIMI_MODELS = (
    ("kimi-k3.1-pro", 1_048_576, 1_048_576, True, True, "", ("low", "high", "max")),
    ("kimi-k3", 1_048_576, 1_048_576, True, True, "", ("low", "high", "max")),
    ("kimi-k2.7-code", 262_144, 262_144, True, True, "", ()),
    ("kimi-k2.6", 262_144, 262_144, True, True, "", ()),
    ("kimi-k2.7-code-highspeed", 262_144, 32_768, True, True, "Kimi K2.7 Code High Speed", ()),
)

_MINIMAX_MODELS = (
    ("MiniMax-M3", 1_000_000, 512_000, True, True, "", ()),
    ("MiniMax-M2.7", 204_800, 131_072, True, True, "", ()),
    ("MiniMax-M2.7-highspeed", 204_800, 131_072, True, True, "", ()),
    ("MiniMax-M2.5", 204_800, 131_072, True, True, "", ()),
    ("MiniMax-M2.5-highspeed", 204_800, 131_072, True, True, "", ()),
    ("MiniMax-M2.1", 204_800, 131_072, True, True, "", ()),
)

MODELS: Final[ModelTable] = {
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
    "deepseek": (
        ("deepseek-v4-pro", 1_000_000, 393_216, True, True, "", ()),
        ("deepseek-v4-flash", 1_000_000, 393_216, True, True, "", ()),
        ("deepseek-flash", 1_000_000, 393_216, True, True, "", ()),
        ("deepseek-v4-flash-vision-exp", 1_000_000, 393_216, True, True, "", ()),
    ),
    "kimi": _KIMI_MODELS,
    "kimi-cn": _KIMI_MODELS,
    "minimax": _MINIMAX_MODELS,
    "minimax-cn": _MINIMAX_MODELS,
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
# fmt: on
