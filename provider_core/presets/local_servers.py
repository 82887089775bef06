"""Servers on the user's machine, by id."""

from __future__ import annotations

from functools import partial
from typing import Final

from provider_core.presets.preset import FIXED, TEMPLATE_ARGUMENTS, Preset, reasoning_effort
from provider_core.types import Effort, Prefill, Quirks

_server = partial(Preset, kind="local", key_required=False)

# fmt: off
PRESETS: Final = (
    _server(
        id="jan", name="Jan", base_url="http://127.0.0.1:1337/v1",
        key_required=True, key_env=("JAN_API_KEY",), docs_url="https://jan.ai/docs/desktop/api-server",
    ),
    _server(
        id="koboldcpp", name="KoboldCpp", base_url="http://127.0.0.1:5001/v1",
        also=("kobold",), key_env=("KOBOLDCPP_API_KEY",),
        docs_url="https://github.com/LostRuins/koboldcpp/wiki",
    ),
    _server(
        id="lemonade", name="Lemonade Server", base_url="http://127.0.0.1:13305/v1",
        other_base_urls=(
            ("http://127.0.0.1:13305/api/v1", "the same"),
            ("http://127.0.0.1:8000/api/v1", "before the port moved"),
        ),
        also=("amd",), key_env=("LEMONADE_API_KEY",),
        docs_url="https://lemonade-server.ai/docs/",
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
        id="transformers", name="transformers serve", base_url="http://127.0.0.1:8000/v1",
        also=("huggingface",),
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
        id="vllm", name="vLLM", base_url="http://127.0.0.1:8000/v1",
        key_env=("VLLM_API_KEY",),
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
# fmt: on
