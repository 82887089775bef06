"""Services in front of other providers, among them one that runs on the user's own machine; by id."""

from __future__ import annotations

from typing import Final

from provider_core.presets.effort import LEVELS, table
from provider_core.presets.row import LOOPBACK, Preset
from provider_core.types import Effort, Quirks

__all__ = ["PRESETS"]

PRESETS: Final = (
    Preset(
        id="aihubmix",
        name="AIHubMix",
        kind="gateway",
        base_url="https://aihubmix.com/v1",
        key_env=("AIHUBMIX_API_KEY",),
        docs_url="https://docs.aihubmix.com",
        context_fields=("context_length",),
    ),
    Preset(
        id="github-models",
        name="GitHub Models",
        kind="gateway",
        base_url="https://models.github.ai/inference",
        other_base_urls=(
            ("https://models.github.ai/orgs/{org}/inference", "billed to an organisation"),
            ("https://models.inference.ai.azure.com", "the old address"),
        ),
        also=("github",),
        key_env=("GITHUB_MODELS_TOKEN", "GITHUB_TOKEN", "GH_TOKEN"),
        keys_url="https://github.com/settings/tokens",
        docs_url="https://docs.github.com/en/rest/models",
        models_path="/../catalog/models",  # the inference path lists nothing
        context_fields=("limits.max_input_tokens",),
        output_fields=("limits.max_output_tokens",),
        quirks=Quirks(tool_images="user"),  # as Azure OpenAI, which serves it
    ),
    Preset(
        id="huggingface",
        name="Hugging Face",
        kind="gateway",
        base_url="https://router.huggingface.co/v1",
        also=("hf",),
        key_env=("HF_TOKEN", "HUGGINGFACE_API_KEY"),
        keys_url="https://huggingface.co/settings/tokens",
        docs_url="https://huggingface.co/docs/inference-providers",
        context_fields=("providers[].context_length",),
    ),
    Preset(
        id="litellm",
        name="LiteLLM proxy",
        kind="gateway",
        base_url="http://127.0.0.1:4000/v1",
        also=("lite llm",),
        key_required=False,
        key_env=("LITELLM_API_KEY", "LITELLM_MASTER_KEY"),
        docs_url="https://docs.litellm.ai/docs/simple_proxy",
        ports=(4000,),
        network=LOOPBACK,
    ),
    Preset(
        id="opencode-zen",
        name="OpenCode Zen",
        kind="gateway",
        base_url="https://opencode.ai/zen/v1",
        also=("opencode",),
        key_env=("OPENCODE_API_KEY",),
        docs_url="https://opencode.ai/docs/zen",
        quirks=Quirks(
            reasoning_send_back="reasoning_content",  # anomalyco/models.dev, providers/opencode
        ),
    ),
    Preset(
        id="openrouter",
        name="OpenRouter",
        kind="gateway",
        base_url="https://openrouter.ai/api/v1",
        key_env=("OPENROUTER_API_KEY",),
        keys_url="https://openrouter.ai/settings/keys",
        docs_url="https://openrouter.ai/docs/api-reference/overview",
        context_fields=("context_length", "top_provider.context_length"),
        output_fields=("top_provider.max_completion_tokens",),
        quirks=Quirks(
            # openrouter.ai "Reasoning Tokens".
            effort=(Effort(levels=table(lambda level: {"reasoning": {"effort": level}})),),
            # Signed and sealed thoughts go back as they came, or Claude, Gemini and OpenAI lose them: the
            # same page.
            reasoning_send_back="reasoning_details",
        ),
    ),
    Preset(
        id="poe",
        name="Poe",
        kind="gateway",
        base_url="https://api.poe.com/v1",
        key_env=("POE_API_KEY",),
        docs_url="https://creator.poe.com/docs/external-applications/openai-compatible-api",
    ),
    Preset(
        id="routerlab",
        name="RouterLab",
        kind="gateway",
        base_url="https://api.routerlab.ch/v1",
        key_env=("ROUTERLAB_API_KEY",),
        docs_url="https://routerlab.ch",
    ),
    Preset(
        id="vercel",
        name="Vercel AI Gateway",
        kind="gateway",
        base_url="https://ai-gateway.vercel.sh/v1",
        also=("ai gateway",),
        key_env=("AI_GATEWAY_API_KEY", "VERCEL_AI_GATEWAY_API_KEY", "VERCEL_OIDC_TOKEN"),
        keys_url="https://vercel.com/dashboard/ai-gateway/api-keys",
        docs_url="https://vercel.com/docs/ai-gateway/openai-compat",
        context_fields=("context_window",),
        output_fields=("max_tokens",),
        quirks=Quirks(
            # vercel.com AI Gateway, "Reasoning" for OpenAI chat completions: levels end at xhigh.
            effort=(Effort(levels=table(lambda level: {"reasoning": {"effort": level}}, *LEVELS[:-1])),),
            reasoning_send_back="reasoning_details",  # the same page
        ),
    ),
)
