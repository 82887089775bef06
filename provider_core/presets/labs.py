"""The labs outside China that serve models of their own, and Azure; a row each, by id."""

from __future__ import annotations

from typing import Final

from provider_core.presets.effort import FIXED, field
from provider_core.presets.row import Preset, Variable
from provider_core.types import Effort, Quirks

__all__ = ["PRESETS"]

PRESETS: Final = (
    Preset(
        id="anthropic",
        name="Anthropic",
        kind="cloud",
        base_url="https://api.anthropic.com/v1",
        also=("claude",),
        key_env=("ANTHROPIC_API_KEY",),
        keys_url="https://console.anthropic.com/settings/keys",
        docs_url="https://docs.claude.com/en/api/openai-sdk",
        # The native list: another key header and a version, or 401. Chat takes the key as a bearer.
        # QwenLM/qwen-code issue 3799.
        models_query="limit=1000",
        models_key_header="x-api-key",
        models_headers={"anthropic-version": "2023-06-01"},
        quirks=Quirks(
            # reasoning_effort and response_format are ignored in silence: docs.claude.com "OpenAI SDK
            # compatibility".
            effort=(Effort(levels=FIXED),),
            json_schema="none",
        ),
    ),
    Preset(
        id="azure",
        name="Azure OpenAI",
        kind="cloud",
        base_url="https://{resource}.openai.azure.com/openai/v1",
        other_base_urls=(
            ("https://{resource}.services.ai.azure.com/openai/v1", "Foundry resources"),
            ("https://{resource}.cognitiveservices.azure.com/openai/v1", "Cognitive Services resources"),
        ),
        also=("microsoft",),
        auth="api-key",
        key_env=("AZURE_OPENAI_API_KEY", "AZURE_API_KEY"),
        keys_url="https://ai.azure.com",
        docs_url="https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle",
        variables=(
            Variable(
                name="resource", prompt="Name of the Azure OpenAI resource", env=("AZURE_RESOURCE_NAME",)
            ),
        ),
        # The list at /models is of the region's base models; a request names a deployment, which only its
        # owner knows: learn.microsoft.com, Azure OpenAI "API version lifecycle".
        models_path=None,
        quirks=Quirks(
            # As OpenAI; a Mistral deployment wants max_tokens and says so: BerriAI/litellm, llms/azure.
            max_tokens_field="max_completion_tokens",
            tool_images="user",
        ),
    ),
    Preset(
        id="cohere",
        name="Cohere",
        kind="cloud",
        base_url="https://api.cohere.ai/compatibility/v1",
        also=("command",),
        key_env=("COHERE_API_KEY", "CO_API_KEY"),
        docs_url="https://docs.cohere.com/docs/compatibility-api",
        # The compatible path lists nothing; the native list names models in "name".
        models_path="/../../v1/models",
        models_query="endpoint=chat&page_size=1000",
        models_id="name",
        context_fields=("context_length",),
        quirks=Quirks(
            # stream_options is refused: Strands SDK documentation, "Cohere".
            stream_usage=False,
            # docs.cohere.com "Using Cohere models via the OpenAI SDK": on or off.
            effort=(Effort(levels=field("none", "high")),),
        ),
    ),
    Preset(
        id="gemini",
        name="Google Gemini",
        kind="cloud",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        also=("google", "ai studio"),
        key_env=("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY"),
        keys_url="https://aistudio.google.com/apikey",
        docs_url="https://ai.google.dev/gemini-api/docs/openai",
        quirks=Quirks(
            # ai.google.dev "OpenAI compatibility"; a level that one model lacks is the server's to refuse.
            effort=(Effort(levels=field("none", "minimal", "low", "medium", "high")),),
        ),
    ),
    Preset(
        id="inception",
        name="Inception (Mercury)",
        kind="cloud",
        base_url="https://api.inceptionlabs.ai/v1",
        also=("mercury",),
        key_env=("INCEPTION_API_KEY",),
        docs_url="https://docs.inceptionlabs.ai",
        quirks=Quirks(
            # docs.inceptionlabs.ai "Create a chat completion": its least is called instant.
            effort=(Effort(levels=field("instant", "low", "medium", "high")),),
        ),
    ),
    Preset(
        id="mistral",
        name="Mistral AI",
        kind="cloud",
        base_url="https://api.mistral.ai/v1",
        other_base_urls=(("https://codestral.mistral.ai/v1", "Codestral, with keys of its own"),),
        also=("codestral", "magistral"),
        key_env=("MISTRAL_API_KEY",),
        keys_url="https://console.mistral.ai/api-keys",
        docs_url="https://docs.mistral.ai/api/",
        context_fields=("max_context_length",),
        quirks=Quirks(
            # Refused by older deployments, and usage is in the last chunk unasked: vercel/ai,
            # packages/mistral.
            stream_usage=False,
            # docs.mistral.ai "Reasoning"; Magistral always thinks.
            effort=(Effort(models=("magistral*",), levels=FIXED), Effort(levels=field("none", "high"))),
            # Other ids are refused with code 3280: langchain-ai/langchain issue 24668.
            tool_call_ids="mistral9",
            tool_choice_required="any",  # the older of the two words that it takes: docs.mistral.ai API
            # A tool's message holds text only: LibreChat-AI/agents issue 344.
            tool_images="user",
        ),
    ),
    Preset(
        id="openai",
        name="OpenAI",
        kind="cloud",
        base_url="https://api.openai.com/v1",
        also=("gpt", "chatgpt"),
        key_env=("OPENAI_API_KEY",),
        keys_url="https://platform.openai.com/api-keys",
        docs_url="https://platform.openai.com/docs/api-reference/chat",
        quirks=Quirks(
            # The o-series, gpt-5 and later refuse max_tokens: openai/openai-python, chat completion
            # parameters.
            max_tokens_field="max_completion_tokens",
            # Older models refuse images in a tool's message, and newer ones do not see them: openai/openai-openapi
            # issue 523.
            tool_images="user",
        ),
    ),
    Preset(
        id="perplexity",
        name="Perplexity",
        kind="cloud",
        base_url="https://api.perplexity.ai",
        also=("sonar",),
        key_env=("PERPLEXITY_API_KEY", "PERPLEXITYAI_API_KEY"),
        keys_url="https://www.perplexity.ai/account/api/keys",
        docs_url="https://docs.perplexity.ai/api-reference/chat-completions-post",
        models_path=None,  # answers 404
        quirks=Quirks(
            # Usage is on every chunk unasked: vercel/ai, packages/perplexity.
            stream_usage=False,
            # docs.perplexity.ai, "Sonar" API reference.
            effort=(Effort(levels=field("minimal", "low", "medium", "high")),),
            # Two messages of one role in a row are a 400: the same reference.
            alternate_roles=True,
        ),
    ),
    Preset(
        id="upstage",
        name="Upstage",
        kind="cloud",
        base_url="https://api.upstage.ai/v1/solar",
        also=("solar",),
        key_env=("UPSTAGE_API_KEY",),
        docs_url="https://console.upstage.ai/docs",
    ),
    Preset(
        id="xai",
        name="xAI",
        kind="cloud",
        base_url="https://api.x.ai/v1",
        also=("grok",),
        key_env=("XAI_API_KEY",),
        keys_url="https://console.x.ai",
        docs_url="https://docs.x.ai/docs/api-reference",
    ),
)
