"""Services that forward to other providers, and servers on the user's machine; each by id."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from provider_core.presets.preset import (
    FIXED,
    LEVELS,
    TEMPLATE_ARGUMENTS,
    BatchApi,
    Preset,
    per_level,
    reasoning_effort,
)
from provider_core.types import Effort, Prefill, Quirks, WebSearch

if TYPE_CHECKING:
    from provider_core.presets.preset import ModelTable

_gateway = partial(Preset, kind="gateway")

_server = partial(Preset, kind="local", key_required=False)

# fmt: off
PRESETS: Final = (
    _gateway(
        id="aihubmix", name="AIHubMix", base_url="https://aihubmix.com/v1",
        # Prices: charmbracelet/catwalk, cmd/aihubmix.
        price_fields=("pricing.input", "pricing.output", "pricing.cache_read", "pricing.cache_write"),
        key_env=("AIHUBMIX_API_KEY",), docs_url="https://docs.aihubmix.com",
    ),
    _gateway(
        id="github-models", name="GitHub Models", base_url="https://models.github.ai/inference",
        other_base_urls=(
            ("https://models.github.ai/orgs/{org}/inference", "billed to an organisation"),
            ("https://models.inference.ai.azure.com", "the old address"),
        ),
        also=("github",), key_env=("GITHUB_MODELS_TOKEN", "GITHUB_TOKEN", "GH_TOKEN"),
        keys_url="https://github.com/settings/tokens", docs_url="https://docs.github.com/en/rest/models",
        models_path="/../catalog/models",  # the inference path lists nothing
        quirks=Quirks(tool_images="user"),  # as Azure OpenAI, which serves it
    ),
    _gateway(
        id="huggingface", name="Hugging Face", base_url="https://router.huggingface.co/v1",
        # Prices: huggingface.co/docs/inference-providers/hub-api; unless its providers differ.
        price_fields=("providers[].pricing.input", "providers[].pricing.output", "", ""),
        also=("hf",), key_env=("HF_TOKEN", "HUGGINGFACE_API_KEY"), keys_url="https://huggingface.co/settings/tokens",
        docs_url="https://huggingface.co/docs/inference-providers",
    ),
    _gateway(
        id="litellm", name="LiteLLM proxy", base_url="http://127.0.0.1:4000/v1",
        also=("lite llm",), key_required=False, key_env=("LITELLM_API_KEY", "LITELLM_MASTER_KEY"),
        docs_url="https://docs.litellm.ai/docs/simple_proxy",
        batch_api=BatchApi(source="https://docs.litellm.ai/docs/batches"),
        # docs.litellm.ai "Web search": the proxy translates it, and refuses it for models without a search.
        quirks=Quirks(web_search=(WebSearch(fields={"web_search_options": {}}),)),
    ),
    _gateway(
        id="opencode-zen", name="OpenCode Zen", base_url="https://opencode.ai/zen/v1",
        also=("opencode",), key_env=("OPENCODE_API_KEY",), docs_url="https://opencode.ai/docs/zen",
        quirks=Quirks(reasoning_send_back="reasoning_content"),  # anomalyco/models.dev, providers/opencode
    ),
    _gateway(
        id="openrouter", name="OpenRouter", base_url="https://openrouter.ai/api/v1", key_env=("OPENROUTER_API_KEY",),
        keys_url="https://openrouter.ai/settings/keys", docs_url="https://openrouter.ai/docs/api-reference/overview",
        quirks=Quirks(
            # openrouter.ai "Reasoning Tokens".
            effort=(Effort(levels=per_level(lambda level: {"reasoning": {"effort": level}})),),
            # Claude, Gemini and OpenAI need signed and encrypted reasoning back unchanged: the same page.
            reasoning_send_back="reasoning_details",
            # Models that read files themselves get a PDF unchanged: openrouter.ai "PDF Inputs". For others it would
            # be converted by a service that may cost extra.
            pdf=("claude-*", "gemini-*", "gpt-4o", "gpt-4o-2*", "gpt-4o-mini", "gpt-4.1*", "gpt-[5-9]*"),
            # openrouter.ai "Web search" works with every model. Its successor, the tool openrouter:web_search, needs one
            # that calls tools.
            web_search=(WebSearch(fields={"plugins": [{"id": "web"}]}),),
        ),
    ),
    _gateway(
        id="poe", name="Poe", base_url="https://api.poe.com/v1", key_env=("POE_API_KEY",),
        docs_url="https://creator.poe.com/docs/external-applications/openai-compatible-api",
    ),
    _gateway(
        id="routerlab", name="RouterLab", base_url="https://api.routerlab.ch/v1",
        key_env=("ROUTERLAB_API_KEY",), docs_url="https://routerlab.ch",
    ),
    _gateway(
        id="vercel", name="Vercel AI Gateway", base_url="https://ai-gateway.vercel.sh/v1",
        # Prices: vercel.com/docs/ai-gateway/models-and-providers.
        price_fields=("pricing.input", "pricing.output", "pricing.input_cache_read", "pricing.input_cache_write"),
        price_unit=6, also=("ai gateway",),
        key_env=("AI_GATEWAY_API_KEY", "VERCEL_AI_GATEWAY_API_KEY", "VERCEL_OIDC_TOKEN"),
        keys_url="https://vercel.com/dashboard/ai-gateway/api-keys",
        docs_url="https://vercel.com/docs/ai-gateway/openai-compat", output_field="max_tokens",
        quirks=Quirks(
            # vercel.com AI Gateway, "Reasoning" for OpenAI chat completions: levels end at xhigh.
            effort=(Effort(levels=per_level(lambda level: {"reasoning": {"effort": level}}, *LEVELS[:-1])),),
            reasoning_send_back="reasoning_details",  # the same page
        ),
    ),
    _server(
        id="jan", name="Jan", base_url="http://127.0.0.1:1337/v1",
        key_required=True, key_env=("JAN_API_KEY",), docs_url="https://jan.ai/docs/desktop/api-server",
    ),
    _server(
        id="koboldcpp", name="KoboldCpp", base_url="http://127.0.0.1:5001/v1",
        also=("kobold",), key_env=("KOBOLDCPP_API_KEY",), docs_url="https://github.com/LostRuins/koboldcpp/wiki",
    ),
    _server(
        id="lemonade", name="Lemonade Server", base_url="http://127.0.0.1:13305/v1",
        other_base_urls=(
            ("http://127.0.0.1:13305/api/v1", "the same"),
            ("http://127.0.0.1:8000/api/v1", "before the port moved"),
        ),
        also=("amd",), key_env=("LEMONADE_API_KEY",), docs_url="https://lemonade-server.ai/docs/",
    ),
    _server(
        id="llamacpp", name="llama.cpp server", base_url="http://127.0.0.1:8080/v1",
        other_base_urls=(("http://127.0.0.1:9931/v1", "the newer default port"),),  # ggml-org/llama.cpp PR 26508
        also=("llama.cpp", "llama-server", "llama-cpp"), key_env=("LLAMA_API_KEY",),
        docs_url="https://github.com/ggml-org/llama.cpp/tree/master/tools/server", details="llamacpp",
        quirks=Quirks(
            effort=(Effort(levels=TEMPLATE_ARGUMENTS),),  # tools/server/README.md, chat_template_kwargs
            reasoning_send_back="reasoning_content",  # common/chat.cpp passes it to the chat template
            prefill=Prefill(),  # tools/server/README.md, --prefill-assistant, which is the default
        ),
    ),
    _server(
        id="llamafile", name="llamafile", base_url="http://127.0.0.1:8080/v1",
        docs_url="https://github.com/Mozilla-Ocho/llamafile",
    ),
    _server(
        id="lmstudio", name="LM Studio", base_url="http://127.0.0.1:1234/v1",
        also=("lm studio", "lm-studio"), key_env=("LMSTUDIO_API_KEY", "LM_API_TOKEN"),
        docs_url="https://lmstudio.ai/docs/developer/openai-compat", details="lmstudio",
        # An object as tool_choice is a 400: lmstudio-ai/lmstudio-bug-tracker issue 670. So are images in a tool
        # message: QwenLM/qwen-code issue 3616.
        quirks=Quirks(tool_choice_named="word", tool_images="user"),
    ),
    _server(
        id="localai", name="LocalAI", base_url="http://127.0.0.1:8080/v1",
        key_env=("LOCALAI_API_KEY",), docs_url="https://localai.io/features/openai-functions/",
    ),
    _server(
        id="ollama", name="Ollama", base_url="http://127.0.0.1:11434/v1",
        docs_url="https://docs.ollama.com/api/openai-compatibility", details="ollama",
        quirks=Quirks(reasoning_send_back="reasoning"),  # ollama/ollama, openai/openai.go
    ),
    _server(
        id="sglang", name="SGLang", base_url="http://127.0.0.1:30000/v1",
        key_env=("SGLANG_API_KEY",), docs_url="https://docs.sglang.ai/basic_usage/openai_api.html",
        quirks=Quirks(
            # docs.sglang.ai "Separate Reasoning": the chat template decides, except for gpt-oss.
            effort=(
                Effort(models=("gpt-oss*",), levels=reasoning_effort("low", "medium", "high")),
                Effort(levels=TEMPLATE_ARGUMENTS),
            ),
            reasoning_send_back="reasoning_content",  # for the chat template: entrypoints/openai/protocol.py
        ),
    ),
    _server(
        id="textgen-webui", name="text-generation-webui", base_url="http://127.0.0.1:5000/v1",
        also=("oobabooga", "text generation webui"), key_env=("OPENEDAI_API_KEY",),
        docs_url="https://github.com/oobabooga/text-generation-webui/wiki/12-%E2%80%90-OpenAI-API",
    ),
    _server(
        id="transformers", name="transformers serve", base_url="http://127.0.0.1:8000/v1", also=("huggingface",),
        docs_url="https://huggingface.co/docs/transformers/serving",
        quirks=Quirks(
            # Each of these fields is a 422, and usage is always sent: src/transformers/cli/serving.
            stream_usage=False,
            effort=(Effort(levels=FIXED),),
            tool_choice_required="auto",
            json_schema="none",
        ),
    ),
    _server(
        id="vllm", name="vLLM", base_url="http://127.0.0.1:8000/v1", key_env=("VLLM_API_KEY",),
        docs_url="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
        quirks=Quirks(
            # docs.vllm.ai "Reasoning Outputs": the chat template decides, except for gpt-oss.
            effort=(
                Effort(models=("gpt-oss*",), levels=reasoning_effort("low", "medium", "high")),
                Effort(levels=TEMPLATE_ARGUMENTS),
            ),
            # docs.vllm.ai "OpenAI-Compatible Server", extra parameters of the Chat API.
            prefill=Prefill(fields={"continue_final_message": True, "add_generation_prompt": False}),
            # It reads only this one of the two names: vllm/entrypoints/chat_utils.py.
            reasoning_send_back="reasoning",
        ),
    ),
)

MODELS: Final[ModelTable] = {
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
# fmt: on
