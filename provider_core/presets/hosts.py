"""Clouds that serve open models of other makers; a row each, by id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from provider_core.presets.effort import (
    ANY,
    ENABLE_THINKING,
    FIXED,
    GLM_SWITCHED,
    TEMPLATE_SWITCH,
    field,
    table,
)
from provider_core.presets.row import Preset, Variable
from provider_core.types import Effort, Quirks

if TYPE_CHECKING:
    from provider_core.types import Json

__all__ = ["PRESETS"]

BASETEN: Final = table(lambda level: {"chat_template_args": {"enable_thinking": level != "none"}})

QWEN: Final = table(lambda level: {"reasoning_effort": "none" if level == "none" else "default"})

TOGETHER: Final[dict[str, dict[str, Json]]] = {
    "none": {"reasoning": {"enabled": False}},
    **field("low", "medium", "high", "max"),
}

PRESETS: Final = (
    Preset(
        id="baseten",
        name="Baseten",
        kind="cloud",
        base_url="https://inference.baseten.co/v1",
        key_env=("BASETEN_API_KEY",),
        docs_url="https://docs.baseten.co/inference/model-apis/overview",
        context_fields=("context_length",),
        output_fields=("max_completion_tokens",),
        quirks=Quirks(
            # docs.baseten.co "Reasoning": these are switched by an argument of their template, the others
            # have levels.
            effort=(Effort(models=("kimi-k2*", *GLM_SWITCHED), levels=BASETEN), ANY),
        ),
    ),
    Preset(
        id="cerebras",
        name="Cerebras",
        kind="cloud",
        base_url="https://api.cerebras.ai/v1",
        key_env=("CEREBRAS_API_KEY",),
        keys_url="https://cloud.cerebras.ai/platform",
        docs_url="https://inference-docs.cerebras.ai/",
    ),
    Preset(
        id="chutes",
        name="Chutes",
        kind="cloud",
        base_url="https://llm.chutes.ai/v1",
        key_env=("CHUTES_API_KEY",),
        docs_url="https://chutes.ai/docs",
        context_fields=("context_length", "max_model_len"),
        output_fields=("max_output_length",),
    ),
    Preset(
        id="cloudflare",
        name="Cloudflare Workers AI",
        kind="cloud",
        base_url="https://api.cloudflare.com/client/v4/accounts/{account_id}/ai/v1",
        also=("workers ai",),
        key_env=("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_KEY"),
        keys_url="https://dash.cloudflare.com/profile/api-tokens",
        docs_url="https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility/",
        variables=(
            Variable(name="account_id", prompt="Cloudflare account id", env=("CLOUDFLARE_ACCOUNT_ID",)),
        ),
        # GET /models answers 405; the catalogue next to it calls a model "@cf/..." in "name", "id" is a UUID.
        models_path="/../models/search",
        models_query="task=Text+Generation&per_page=100",
        models_id="name",
        context_fields=("properties[property_id=context_window].value",),
        quirks=Quirks(
            # The server's own default is 256 tokens, which cuts nearly every answer: lobehub/lobe-chat issue
            # 7450.
            default_max_tokens=8192,
        ),
    ),
    Preset(
        id="deepinfra",
        name="DeepInfra",
        kind="cloud",
        base_url="https://api.deepinfra.com/v1/openai",
        key_env=("DEEPINFRA_API_KEY", "DEEPINFRA_TOKEN"),
        keys_url="https://deepinfra.com/dash/api_keys",
        docs_url="https://deepinfra.com/docs/openai_api",
        quirks=Quirks(
            # docs.deepinfra.com "Reasoning".
            effort=(Effort(levels=field("none", "low", "medium", "high", "xhigh")),),
            reasoning_send_back="reasoning_content",  # anomalyco/models.dev, providers/deepinfra
        ),
    ),
    Preset(
        id="fireworks",
        name="Fireworks AI",
        kind="cloud",
        base_url="https://api.fireworks.ai/inference/v1",
        also=("fireworks ai",),
        key_env=("FIREWORKS_API_KEY",),
        keys_url="https://app.fireworks.ai/settings/users/api-keys",
        docs_url="https://docs.fireworks.ai/tools-sdks/openai-compatibility",
        context_fields=("context_length",),
        quirks=Quirks(
            # A whole answer of more than 4096 tokens is refused without streaming: BerriAI/litellm issue
            # 14180.
            always_stream=True,
            reasoning_send_back="reasoning_content",  # anomalyco/models.dev, providers/fireworks-ai
        ),
    ),
    Preset(
        id="friendli",
        name="Friendli",
        kind="cloud",
        base_url="https://api.friendli.ai/serverless/v1",
        key_env=("FRIENDLI_TOKEN",),
        docs_url="https://friendli.ai/docs",
        quirks=Quirks(
            # friendli.ai "Reasoning"; GLM-5.2 has levels: anomalyco/models.dev, providers/friendli.
            effort=(Effort(models=("glm-5.2*",)), Effort(levels=TEMPLATE_SWITCH)),
            reasoning_send_back="reasoning_content",  # the same list
        ),
    ),
    Preset(
        id="groq",
        name="Groq",
        kind="cloud",
        base_url="https://api.groq.com/openai/v1",
        key_env=("GROQ_API_KEY",),
        keys_url="https://console.groq.com/keys",
        docs_url="https://console.groq.com/docs/api-reference",
        context_fields=("context_window",),
        output_fields=("max_completion_tokens",),
        quirks=Quirks(
            # console.groq.com "Reasoning": Qwen knows none and default, so that every level is the latter.
            effort=(
                Effort(models=("gpt-oss*",), levels=field("low", "medium", "high")),
                Effort(models=("qwen*",), levels=QWEN),
                ANY,
            ),
        ),
    ),
    Preset(
        id="hyperbolic",
        name="Hyperbolic",
        kind="cloud",
        base_url="https://api.hyperbolic.xyz/v1",
        key_env=("HYPERBOLIC_API_KEY",),
        keys_url="https://app.hyperbolic.ai/settings/api-keys",
        docs_url="https://docs.hyperbolic.xyz/docs/inference-api",
        context_fields=("context_length",),
    ),
    Preset(
        id="nebius",
        name="Nebius Token Factory",
        kind="cloud",
        base_url="https://api.tokenfactory.nebius.com/v1",
        other_base_urls=(("https://api.studio.nebius.com/v1", "the old address"),),
        key_env=("NEBIUS_API_KEY",),
        keys_url="https://tokenfactory.nebius.com/?modals=create-api-key",
        docs_url="https://docs.tokenfactory.nebius.com/",
        models_query="verbose=true",  # brings the context window
        context_fields=("context_length",),
    ),
    Preset(
        id="novita",
        name="Novita AI",
        kind="cloud",
        base_url="https://api.novita.ai/openai",
        other_base_urls=(
            ("https://api.novita.ai/v3/openai", "an older path"),
            ("https://api.novita.ai/openai/v1", "the same"),
        ),
        key_env=("NOVITA_API_KEY",),
        keys_url="https://novita.ai/settings/key-management",
        docs_url="https://novita.ai/docs/guides/llm-api",
        context_fields=("context_size",),
        output_fields=("max_output_tokens",),
        quirks=Quirks(
            # novita.ai "Create chat completion" names these for the switch.
            effort=(
                Effort(models=("glm-4.5*", "deepseek-v3.1*", "deepseek-v3.2*"), levels=ENABLE_THINKING),
                ANY,
            ),
            reasoning_send_back="reasoning_content",  # anomalyco/models.dev, providers/novita-ai
        ),
    ),
    Preset(
        id="nvidia",
        name="NVIDIA NIM",
        kind="cloud",
        base_url="https://integrate.api.nvidia.com/v1",
        also=("nim",),
        key_env=("NVIDIA_API_KEY", "NVIDIA_NIM_API_KEY"),
        keys_url="https://build.nvidia.com/settings/api-keys",
        docs_url="https://docs.api.nvidia.com/nim/reference/llm-apis",
        quirks=Quirks(
            # Each model has a schema of its own: docs.api.nvidia.com NIM; anomalyco/models.dev,
            # providers/nvidia.
            effort=(
                Effort(models=("deepseek-v4*", "gpt-oss*", "kimi*", "mistral*", "step*")),
                Effort(levels=TEMPLATE_SWITCH),
            ),
        ),
    ),
    Preset(
        id="ollama-cloud",
        name="Ollama Cloud",
        kind="cloud",
        base_url="https://ollama.com/v1",
        also=("ollama",),
        key_env=("OLLAMA_API_KEY",),
        docs_url="https://docs.ollama.com/cloud",
        quirks=Quirks(reasoning_send_back="reasoning"),  # ollama/ollama, openai/openai.go
    ),
    Preset(
        id="ovhcloud",
        name="OVHcloud AI Endpoints",
        kind="cloud",
        base_url="https://oai.endpoints.kepler.ai.cloud.ovh.net/v1",
        also=("ovh",),
        key_required=False,
        key_env=("OVHCLOUD_API_KEY", "OVH_AI_ENDPOINTS_ACCESS_TOKEN"),
        docs_url="https://endpoints.ai.cloud.ovh.net/",
    ),
    Preset(
        id="sambanova",
        name="SambaNova Cloud",
        kind="cloud",
        base_url="https://api.sambanova.ai/v1",
        key_env=("SAMBANOVA_API_KEY",),
        keys_url="https://cloud.sambanova.ai/apis",
        docs_url="https://docs.sambanova.ai/",
    ),
    Preset(
        id="scaleway",
        name="Scaleway",
        kind="cloud",
        base_url="https://api.scaleway.ai/v1",
        key_env=("SCW_SECRET_KEY", "SCALEWAY_API_KEY"),
        docs_url="https://www.scaleway.com/en/docs/generative-apis/",
        quirks=Quirks(tool_images="user"),  # its Mistral models: LibreChat-AI/agents issue 344
    ),
    Preset(
        id="together",
        name="Together AI",
        kind="cloud",
        base_url="https://api.together.xyz/v1",
        other_base_urls=(("https://api.together.ai/v1", "the same"),),
        also=("togetherai",),
        key_env=("TOGETHER_API_KEY", "TOGETHER_AI_API_KEY"),
        keys_url="https://api.together.ai/settings/api-keys",
        docs_url="https://docs.together.ai/docs/openai-api-compatibility",
        context_fields=("context_length",),
        quirks=Quirks(
            # docs.together.ai "Reasoning": off by one field, more or less by another.
            effort=(Effort(levels=TOGETHER),),
        ),
    ),
    Preset(
        id="venice",
        name="Venice",
        kind="cloud",
        base_url="https://api.venice.ai/api/v1",
        key_env=("VENICE_API_KEY",),
        docs_url="https://docs.venice.ai",
        context_fields=("model_spec.availableContextTokens",),
    ),
    Preset(
        id="wandb",
        name="W&B Inference",
        kind="cloud",
        base_url="https://api.inference.wandb.ai/v1",
        also=("weights & biases",),
        key_env=("WANDB_API_KEY",),
        docs_url="https://docs.wandb.ai/inference/",
        quirks=Quirks(
            # docs.wandb.ai "Reasoning": these always think, the others have a switch.
            effort=(
                Effort(models=("gpt-oss*",)),
                Effort(models=("minimax-m2*", "kimi-k2*", "*-thinking*"), levels=FIXED),
                Effort(levels=TEMPLATE_SWITCH),
            ),
        ),
    ),
)
