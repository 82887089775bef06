"""Labs outside China that serve their own models, and Azure, by id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from provider_core.presets.preset import FIXED, BatchApi, Preset, Variable, reasoning_effort
from provider_core.types import Effort, Prefill, Quirks, WebSearch

if TYPE_CHECKING:
    from provider_core.presets.preset import ModelTable

# fmt: off
PRESETS: Final = (
    Preset(
        id="anthropic", name="Anthropic", base_url="https://api.anthropic.com/v1",
        also=("claude",), key_env=("ANTHROPIC_API_KEY",),
        keys_url="https://console.anthropic.com/settings/keys",
        docs_url="https://docs.claude.com/en/api/openai-sdk",
        # The native list needs another key header and a version, else 401. Chat takes a bearer token.
        # QwenLM/qwen-code issue 3799.
        models_query="limit=1000", models_key_header="x-api-key",
        models_headers={"anthropic-version": "2023-06-01"},
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
        also=("microsoft",),
        auth="api-key", key_env=("AZURE_OPENAI_API_KEY", "AZURE_API_KEY"),
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
        also=("google", "ai studio"),
        key_env=("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY"),
        keys_url="https://aistudio.google.com/apikey",
        docs_url="https://ai.google.dev/gemini-api/docs/openai",
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
        also=("gpt", "chatgpt"), key_env=("OPENAI_API_KEY",),
        keys_url="https://platform.openai.com/api-keys",
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
        id="xai", name="xAI", base_url="https://api.x.ai/v1",
        also=("grok",), key_env=("XAI_API_KEY",),
        keys_url="https://console.x.ai", docs_url="https://docs.x.ai/docs/api-reference",
        # No web search: search_parameters is answered with 410 since its search moved to another API: vercel/ai issue
        # 15713.
    ),
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
}
# fmt: on
