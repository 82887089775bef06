"""Reads one listed model, whatever its server calls things; asking for the list is not done here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.catalog import _abilities, _fields
from provider_core.catalog._ids import is_id
from provider_core.redaction import printable
from provider_core.types import Model

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provider_core.presets import Preset
    from provider_core.types import Json

__all__ = ["models"]

_LONGEST_NAME = 128
_IDS = ("id", "model", "key", "name", "model_name", "slug")
_NAMES = ("display_name", "displayName", "name", "title")

CONTEXT = (
    "loaded_context_length",  # LM Studio: what it has now comes before what it could have
    "context_length",
    "top_provider.context_length",
    "context_window",
    "context_size",
    "max_model_len",
    "max_context_length",
    "meta.n_ctx",  # llama.cpp; its n_ctx_train is what the model could have, not what the server gives it
    "limits.max_input_tokens",
    "capabilities.limits.max_context_window_tokens",
    "model_spec.availableContextTokens",
    "inputTokenLimit",
    "max_input_tokens",
    "model_info.max_input_tokens",
    "true_max_context_length",
    "providers[].context_length",
    "properties[property_id=context_window].value",
)
"""Where servers put the context window; a preset's own fields come before these."""

OUTPUT = (
    "max_completion_tokens",
    "max_output_tokens",
    "max_output_length",
    "top_provider.max_completion_tokens",
    "limits.max_output_tokens",
    "capabilities.limits.max_output_tokens",
    "outputTokenLimit",
    "model_info.max_output_tokens",
)
"""The same for the longest answer."""


def models(entries: Iterable[Json], preset: Preset | None) -> tuple[Model, ...]:
    """The models of a listing, in its order; what has no id, or was listed before, is left out."""
    found: dict[str, Model] = {}
    for entry in entries:
        model = _model(entry, preset)
        if model is not None:
            found.setdefault(model.id, model)
    return tuple(found.values())


def _model(entry: Json, preset: Preset | None) -> Model | None:
    if isinstance(entry, str):
        entry = {"id": entry}
    if not isinstance(entry, dict) or _is_gone(entry):
        return None
    fields = (preset.models_id, *_IDS) if preset else _IDS
    id_ = next(
        (text.strip() for key in fields if isinstance(text := entry.get(key), str) and text.strip()), ""
    )
    if not is_id(id_):
        return None
    seen = _abilities.read(entry, id_)
    return Model(
        id=id_,
        name=_name(entry, id_),
        context=_fields.tokens(entry, (*(preset.context_fields if preset else ()), *CONTEXT)),
        max_output=_fields.tokens(entry, (*(preset.output_fields if preset else ()), *OUTPUT)),
        reasoning=seen.reasoning,
        tools=seen.tools,
        vision=seen.vision,
        kind=seen.kind,
    )


def _is_gone(entry: dict[str, Json]) -> bool:
    """Whether the server itself says that the model answers no more: Volcengine, Groq, Mistral."""
    return entry.get("status") == "Shutdown" or entry.get("active") is False or entry.get("archived") is True


def _name(entry: dict[str, Json], id_: str) -> str:
    for key in _NAMES:
        text = entry.get(key)
        if isinstance(text, str) and text.strip():
            name = " ".join(printable(text[:1024]).split())
            return "" if name == id_ else name[:_LONGEST_NAME]
    return ""
