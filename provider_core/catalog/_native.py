"""Asks local servers by their own APIs for what their OpenAI list leaves out; what fails here is left out too."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from provider_core.catalog import _reading
from provider_core.catalog._fields import tokens
from provider_core.errors import CoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provider_core.types import Json, Model

__all__ = ["PRESET_BY_OWNER", "recognized", "told"]

MODELS = 64
SECONDS = 5.0
"""How many models are asked after one by one, and for how long; the rest stays as listed."""

_NUM_CTX = re.compile(r"^num_ctx\s+(\d+)\s*$", re.MULTILINE)


PRESET_BY_OWNER: Final = {
    "koboldcpp": "koboldcpp",
    "lemonade": "lemonade",
    "library": "ollama",
    "llamacpp": "llamacpp",
    "organization_owner": "lmstudio",
    "sglang": "sglang",
    "vllm": "vllm",
}
"""What servers write into ``owned_by`` of the models they list -> the preset. vllm-project/vllm,
entrypoints/openai; sgl-project/sglang, srt/entrypoints/openai; ggml-org/llama.cpp, tools/server; LostRuins/
koboldcpp; lemonade-sdk/lemonade, docs; for Ollama and LM Studio recorded answers, there being no better sign."""


class Asker(Protocol):
    """What asks the server for JSON, and raises ``CoreError``."""

    def ask(self, path: str, query: str = "", body: Json = None) -> Json: ...


def recognized(entries: Sequence[Json]) -> str | None:
    """Which server's own API can be asked, by how it lists its models; None for any other server."""
    first = next((entry for entry in entries if isinstance(entry, dict)), {})
    meta = first.get("meta")
    if isinstance(meta, dict) and "n_ctx_train" in meta:
        return "llamacpp"
    owner = first.get("owned_by")
    return PRESET_BY_OWNER.get(owner) if isinstance(owner, str) else None


def told(asker: Asker, details: str | None, models: tuple[Model, ...]) -> tuple[Model, ...]:
    """``models`` with what the server's own API, ``details``, adds."""
    try:
        match details if models else None:
            case "llamacpp":
                return _llamacpp(asker, models)
            case "lmstudio":
                return _lmstudio(asker, models)
            case "ollama":
                return _ollama(asker, models)
            case _:
                return models
    except CoreError:
        return models


def _llamacpp(asker: Asker, models: tuple[Model, ...]) -> tuple[Model, ...]:
    """What a slot really has: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md, /props."""
    if len(models) != 1:
        return models  # a router's /props is about the router
    props = asker.ask("/../props")
    if not isinstance(props, dict):
        return models
    modalities, caps = props.get("modalities"), props.get("chat_template_caps")
    vision = modalities.get("vision") if isinstance(modalities, dict) else None
    tools = caps.get("supports_tools") if isinstance(caps, dict) else None
    model = models[0]
    return (
        replace(
            model,
            context=tokens(props, ("default_generation_settings.n_ctx",)) or model.context,
            vision=vision if isinstance(vision, bool) else model.vision,
            tools=tools if isinstance(tools, bool) else model.tools,
        ),
    )


def _lmstudio(asker: Asker, models: tuple[Model, ...]) -> tuple[Model, ...]:
    """https://lmstudio.ai/docs/developer/rest/endpoints: kinds, windows, and which are in memory; those go first."""
    value = asker.ask("/../api/v0/models")
    entries = value.get("data") if isinstance(value, dict) else None
    if not isinstance(entries, list):
        return models
    known = {model.id: model for model in _reading.models(entries, None)}
    loaded = {e["id"] for e in entries if isinstance(e, dict) and e.get("state") == "loaded" and "id" in e}
    filled = [
        _filled(model, known.get(model.id)) for model in sorted(models, key=lambda m: m.id not in loaded)
    ]
    return tuple(
        replace(model, context_is_maximum=model.context is not None and model.id not in loaded)
        for model in filled
    )


def _ollama(asker: Asker, models: Sequence[Model]) -> tuple[Model, ...]:
    """https://docs.ollama.com/api/show: one question a model, so a bounded number of them."""
    until = time.monotonic() + SECONDS
    running = _running(asker)
    told: list[Model] = []
    for number, model in enumerate(models):
        if number >= MODELS or time.monotonic() > until:
            return (*told, *models[number:])
        try:
            shown = _shown(model, asker.ask("/../api/show", body={"model": model.id}))
            if given := running.get(model.id):
                shown = replace(shown, context=given, context_is_maximum=False)
            told.append(shown)
        except CoreError:
            return (*told, *models[number:])
    return tuple(told)


def _running(asker: Asker) -> dict[str, int]:
    """The window of each model in memory (https://docs.ollama.com/api/ps), which is often smaller than its own."""
    try:
        value = asker.ask("/../api/ps")
    except CoreError:
        return {}
    entries = value.get("models") if isinstance(value, dict) else None
    found = (
        {model.id: model.context for model in _reading.models(entries or (), None)}
        if isinstance(entries, list)
        else {}
    )
    return {id_: context for id_, context in found.items() if context}


def _shown(model: Model, value: Json) -> Model:
    if not isinstance(value, dict):
        return model
    seen = _reading.models([{"id": model.id, "capabilities": value.get("capabilities")}], None)
    info, parameters = value.get("model_info"), value.get("parameters")
    architecture = info.get("general.architecture") if isinstance(info, dict) else None
    # The window that the model file asks for is the one it gets; else what the model could have.
    asked = _NUM_CTX.search(parameters) if isinstance(parameters, str) else None
    context = tokens({"n": asked[1]}, ("n",)) if asked else None
    maximum = None
    if context is None and isinstance(info, dict) and isinstance(architecture, str):
        maximum = tokens({"n": info.get(f"{architecture}.context_length")}, ("n",))
    shown = _filled(model, seen[0] if seen else None)
    return replace(shown, context=context or maximum or model.context, context_is_maximum=maximum is not None)


def _filled(model: Model, more: Model | None) -> Model:
    """``model`` with what ``more`` knows; its id and its name stay."""
    if more is None:
        return model
    return replace(
        model,
        context=more.context or model.context,
        max_output=more.max_output or model.max_output,
        reasoning=more.reasoning if more.reasoning is not None else model.reasoning,
        tools=more.tools if more.tools is not None else model.tools,
        vision=more.vision if more.vision is not None else model.vision,
        kind=more.kind,
    )
