"""Reads the models out of a server's reply, in all shapes and with all field names that servers use."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from provider_core.redaction import printable
from provider_core.types import Model

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from provider_core.presets import Preset
    from provider_core.types import Json, ModelKind

# --- the reply: its entries, and the next page ---------------------------------------------------------------

_LISTS = ("data", "models", "result", "results", "items", "model_list", "list")
"""Fields that hold the models: OpenAI's "data" first, because llama.cpp also sends Ollama's "models"."""


def list_entries(value: Json) -> list[Json] | None:
    """The entries of a reply, each a dict or an id; None if the reply is not a list of models."""
    if isinstance(value, list):
        return [item for item in value if isinstance(item, dict | str)]
    return _entries_of_object(value, depth=2) if isinstance(value, dict) else None


def _entries_of_object(value: dict[str, Json], depth: int) -> list[Json] | None:
    present = [key for key in _LISTS if key in value]
    for key in present:
        found = value[key]
        if isinstance(found, list):
            return list_entries(found)
        if isinstance(found, str) and found and key == "result":
            return [found]  # KoboldCpp's own API: the model that it runs
        if isinstance(found, dict) and found and depth:
            inner = _entries_of_object(found, depth - 1)
            if inner is not None:
                return inner
            if all(isinstance(item, dict) for item in found.values()):
                return [{"id": name, **item} for name, item in found.items()]
    if present and all(value[key] in (None, {}) for key in present):
        return []  # Ollama sends null if it has no models
    if value.get("object") == "list":
        return []
    if value.get("object") == "model" and isinstance(value.get("id"), str):
        return [value]
    return None


def next_page(value: Json, last_id: str) -> dict[str, str] | None:
    """The query fields for the next page, None on the last page. ``last_id`` is the last id on this page."""
    if not isinstance(value, dict):
        return None
    for key, name in (("nextPageToken", "pageToken"), ("next_page_token", "page_token")):
        token = value.get(key)
        if isinstance(token, str) and token:
            return {name: token}
    if value.get("has_more") is True:
        after = value.get("last_id")
        if isinstance(after, str) and after:
            return {"after_id": after}
        return {"after": last_id} if last_id else None
    # Cloudflare: https://developers.cloudflare.com/fundamentals/api/how-to/make-api-calls/
    match value.get("result_info"):
        case {"page": int(page), "per_page": int(size), "total_count": int(total)} if 0 < page * size < total:
            return {"page": str(page + 1)}
    return None


# --- one model -----------------------------------------------------------------------------------------------

_MAX_NAME, _MAX_ID = 128, 512
_NOT_IN_ONE_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_IDS = ("id", "model", "key", "name", "model_name", "slug")
_NAMES = ("display_name", "displayName", "name", "title")

CONTEXT = (
    "loaded_context_length",  # LM Studio: the present window comes before the largest possible one
    "context_length",  # OpenRouter, Together, Chutes and others
    "top_provider.context_length",  # OpenRouter
    "context_window",  # Groq, Vercel
    "context_size",  # Novita
    "max_model_len",  # vLLM, SGLang
    "max_context_length",  # Mistral
    "meta.n_ctx",  # llama.cpp: the window that it serves; n_ctx_train is the largest possible one
    "limits.max_input_tokens",  # GitHub Models
    "capabilities.limits.max_context_window_tokens",
    "model_spec.availableContextTokens",  # Venice
    "inputTokenLimit",
    "max_input_tokens",
    "model_info.max_input_tokens",
    "true_max_context_length",
    "providers[].context_length",  # Hugging Face
    "properties[property_id=context_window].value",  # Cloudflare
)
"""Paths of the context window, in order, with servers that use them; see ``find``."""

OUTPUT = (
    "max_completion_tokens",  # Groq, Baseten
    "max_output_tokens",  # Novita
    "max_output_length",  # Chutes
    "top_provider.max_completion_tokens",  # OpenRouter
    "limits.max_output_tokens",  # GitHub Models
    "capabilities.limits.max_output_tokens",
    "outputTokenLimit",
    "model_info.max_output_tokens",
)
"""Paths of the longest answer."""


def parse_models(entries: Iterable[Json], preset: Preset | None) -> tuple[Model, ...]:
    """The models of ``entries`` in their order, without duplicates and entries without a valid id."""
    found: dict[str, Model] = {}
    for entry in entries:
        model = _parse_model({"id": entry} if isinstance(entry, str) else entry, preset)
        if model is not None:
            found.setdefault(model.id, model)
    return tuple(found.values())


def _parse_model(entry: Json, preset: Preset | None) -> Model | None:
    # Volcengine, Groq and Mistral also list models that they have withdrawn.
    if not isinstance(entry, dict) or (
        entry.get("status") == "Shutdown" or entry.get("active") is False or entry.get("archived") is True
    ):
        return None
    id_ = _first_text(entry, (preset.models_id, *_IDS) if preset else _IDS)
    # An id is one line that a settings file, a request and a terminal can hold.
    if not id_ or len(id_) > _MAX_ID or _NOT_IN_ONE_LINE.search(id_):
        return None
    name = " ".join(printable(_first_text(entry, _NAMES)[:1024]).split())
    claimed, denied = _claims(entry)
    inputs = _words_at(entry, _INPUTS)
    # A list of parameters is complete, so what is not in it is not supported. Other lists are not complete.
    has_parameters = bool(_words_at(entry, ("supported_parameters",)))
    sees = bool(inputs & {"image", "images"}) or _letters(entry.get("type")) == "vlm"
    return Model(
        id=id_,
        name="" if name == id_ else name[:_MAX_NAME],
        context=tokens(entry, CONTEXT),
        max_output=tokens(entry, (preset.output_field,) if preset and preset.output_field else OUTPUT),
        reasoning=_ability("reasoning", claimed, denied, False if has_parameters else None),
        tools=_ability("tools", claimed, denied, False if has_parameters else None),
        vision=sees or _ability("vision", claimed, denied, False if inputs else None),
        audio="audio" in inputs if inputs else None,
        kind=_kind(entry, id_, denied),
        price=_price(entry, preset),
    )


def _first_text(entry: dict[str, Json], keys: Iterable[str]) -> str:
    texts = (entry.get(key) for key in keys)
    return next((text.strip() for text in texts if isinstance(text, str) and text.strip()), "")


# --- abilities -----------------------------------------------------------------------------------------------

_ABILITIES = {
    "tools": """tools tooluse toolcalling toolcall toolcalls functioncalling functioncall functions supportstools
        supportstoolcalls supportstoolcalling supportsfunctioncalling trainedfortooluse""",
    "reasoning": "reasoning thinking supportsreasoning supportsthinking includereasoning reasoningeffort",
    "vision": """vision imageinput imageunderstanding supportsvision supportsimagein supportsimageinput supportsimages
        multimodal""",
}
"""Words for abilities, reduced to letters and digits."""

_CLAIMS = (
    "supported_parameters", "capabilities", "supported_features", "features", "tags", "metadata.tags",
    "model_spec.capabilities", "capabilities.supports", "model_info",
)  # fmt: skip
_INPUTS = (
    "architecture.input_modalities", "input_modalities", "supported_input_modalities", "modalities.input"
)  # fmt: skip
_OUTPUTS = ("architecture.output_modalities", "output_modalities", "supported_output_modalities")


def _claims(entry: dict[str, Json]) -> tuple[set[str], set[str]]:
    """The words for abilities that the entry claims, in lists or as flags that are true, and denies by false flags."""
    flags = [{k: v for k, v in entry.items() if k.startswith(("supports_", "trained_for_", "vision"))}]
    flags += [value for path in _CLAIMS for value in find(entry, path) if isinstance(value, dict)]
    claimed, denied = _words_at(entry, _CLAIMS), set[str]()
    for name, value in (item for each in flags for item in each.items()):
        supported = value.get("supported") if isinstance(value, dict) else value  # Anthropic nests
        if isinstance(supported, bool):
            (claimed if supported else denied).add(_letters(name))
    return claimed, denied


def _ability(name: str, claimed: set[str], denied: set[str], default: bool | None) -> bool | None:
    words = _ABILITIES[name].split()
    return True if not claimed.isdisjoint(words) else default if denied.isdisjoint(words) else False


# --- what a model is for -------------------------------------------------------------------------------------


def _by_word(words: dict[ModelKind, str]) -> dict[str, ModelKind]:
    return {word: kind for kind, text in words.items() for word in text.split()}


_KINDS = _by_word(
    {
        "chat": "chat llm vlm language text textgeneration texttotext chatcompletion chatcompletions",
        "completion": "completion completions code base",
        "embedding": "embedding embeddings embed textembedding textembeddings",
        "rerank": "rerank reranker reranking rank",
        "speech": """audio speech tts stt asr transcribe transcription texttospeech speechtotext voice realtime
            automaticspeechrecognition audiospeech audiotranscription audiospeeches audiotranscriptions
            audiotranslations""",
        "image": """image images imagegeneration texttoimage imagetoimage video videogeneration texttovideo
            imagetovideo imageedit upscale inpaint imagesgenerations imagesedits videos""",
        "moderation": "moderation moderations guard classify textclassification",
        "other": "ocr translation objectdetection imageclassification music 3d",
    }
)
"""The words by which servers say what a model is for, reduced to letters and digits."""

_KIND_FIELDS = (
    "type", "model_type", "task.name", "task", "sub_type", "mode", "model_info.mode", "pipeline_tag"
)  # fmt: skip
_PATHS = ("endpoints", "supported_endpoints")
_OTHER_PATHS = frozenset(("responses", "messages", "batch", "batches", "assistants", "interactions"))
"""Endpoints of OpenAI's and Anthropic's APIs that telex does not use."""

_IN_ID = re.compile(
    r"(?P<embedding>embed|all-minilm|all-mpnet|sentence-transformers|sentence-t5|paraphrase-multilingual|multi-qa-)"
    r"|(?P<rerank>rerank|cross-encoder|ms-marco)"
    r"|(?P<speech>whisper|transcri|text-to-speech|speech-to-text|kokoro|cosyvoice|parakeet|orpheus|wav2vec|speecht5"
    r"|musicgen)"
    r"|(?P<image>dall-e|stable-diffusion|sdxl|gpt-image|chatgpt-image|seedream|seedance|cogview|cogvideo|imagen-"
    r"|flux[.-]|text-to-image|text-to-video|recraft|ideogram|hidream|qwen-image|z-image|grok-imagine)"
    r"|(?P<moderation>moderation|llama-?guard|shieldgemma|safeguard|nemoguard|guardian)"
)
_WHOLE_WORDS = _by_word(
    {
        "embedding": "bge gte e5 minilm mpnet labse gritlm splade siglip voyage",
        "rerank": "colbert jinacolbert",
        "speech": "tts xtts stt asr speech realtime voice piper bark",
        "image": "image images veo sora kling t2v i2v t2i video flux",
        "moderation": "guard",
        "completion": "babbage davinci",
        "other": "ocr",
    }
)
"""Words that are too short to be searched for inside other words of an id."""


def kind_of_id(id_: str) -> ModelKind:
    """Guess from its id what a model is for; "chat" if the id says nothing."""
    name = id_.lower()
    hit = _IN_ID.search(name)
    if hit is not None and hit.lastgroup is not None:
        return _KINDS[hit.lastgroup]
    words = _NOT_LETTERS.split(name.rpartition("/")[2])
    return next((_WHOLE_WORDS[word] for word in words if word in _WHOLE_WORDS), "chat")


def _kind(entry: dict[str, Json], id_: str, denied: set[str]) -> ModelKind:
    paths = {word.removeprefix("v1") for word in _words_at(entry, _PATHS)}
    if paths & {"chat", "chatcompletions"}:
        return "chat"
    if paths & _OTHER_PATHS:
        return "completion" if "completions" in paths else "other"
    kinds = {_KINDS[word] for word in paths if word in _KINDS}
    if len(kinds) == 1:
        return kinds.pop()
    for value in (value for path in _KIND_FIELDS for value in find(entry, path)):
        if (word := _letters(value)) in _KINDS:
            return _KINDS[word]
    served = _words_at(entry, (*_PATHS, "capabilities", "supported_tasks"))
    if served & {"chat", "chatcompletions", "v1chatcompletions"}:
        return "chat"
    kinds = {_KINDS[word] for word in served if word in _KINDS and word != "completion"}
    if len(kinds) == 1:
        return kinds.pop()
    outputs = _words_at(entry, _OUTPUTS)
    if outputs and "text" not in outputs:
        return next((_KINDS[word] for word in sorted(outputs) if word in _KINDS), "other")
    guessed = kind_of_id(id_)
    if guessed == "chat" and denied & {"completionchat", "supportschat"}:  # Mistral, Fireworks
        return "other"
    return guessed


# --- prices --------------------------------------------------------------------------------------------------

_PRICES = ("input", "output", "cached", "cache_write")
_USUAL_FIELDS = (
    "pricing.prompt",
    "pricing.completion",
    "pricing.input_cache_read",
    "pricing.input_cache_write",
)
"""OpenRouter's, in US dollars per token, as text: https://openrouter.ai/docs/api-reference/list-available-models"""


def _price(entry: dict[str, Json], preset: Preset | None) -> dict[str, Json] | None:
    """The prices in the entry, as ``Model.price``; None if they are not known, or vary."""
    fields, unit = _USUAL_FIELDS, 6
    if preset is not None and preset.price_fields is not None:
        fields, unit = preset.price_fields, preset.price_unit
    elif not isinstance(pricing := entry.get("pricing"), dict) or not isinstance(pricing.get("prompt"), str):
        return None  # numbers are in other units
    if any(len(tiers) > 1 for tiers in find(entry, "pricing.input_tiers") if isinstance(tiers, list)):
        return None  # Vercel's price depends on the length of the prompt
    amounts = {name: _amount(entry, path, unit) for name, path in zip(_PRICES, fields, strict=True) if path}
    if amounts.get("input") is None or amounts.get("output") is None:
        return None
    if fields is _USUAL_FIELDS:  # 0 is for reasoning that is charged as other output
        amounts["request"] = _amount(entry, "pricing.request", 0) or None
        amounts["reasoning"] = _amount(entry, "pricing.internal_reasoning", unit) or None
    return {name: f"{amount.normalize():f}" for name, amount in amounts.items() if amount is not None}


def _amount(entry: dict[str, Json], path: str, unit: int) -> Decimal | None:
    """The price at ``path``; None if there is none, or if it varies: OpenRouter says so with -1."""
    from provider_core.prices import MOST, amount

    found = {amount(value) for value in find(entry, path)}
    value = found.pop() if len(found) == 1 else None
    scaled = None if value is None else value.scaleb(unit)
    return scaled if scaled is not None and scaled <= MOST else None


# --- paths and values ----------------------------------------------------------------------------------------

_STEP = re.compile(r"([^.\[\]]+)((?:\[[^\]]*\])?)(?:\.|$)")
_NOT_LETTERS = re.compile(r"[^a-z0-9]+")
_FEWEST_TOKENS, _MOST_TOKENS = 256, 20_000_000
"""Counts outside this range are placeholders such as 0, -1 and 1e9."""


def find(entry: Json, path: str) -> list[Json]:
    """All values at ``path``: ``a.b`` is a nested field, ``a[]`` each item, ``a[key=value]`` the items that match."""
    values = [entry]
    for name, selector in _steps(path):
        values = [value[name] for value in values if isinstance(value, dict) and name in value]
        if selector:
            key, equals, wanted = selector[1:-1].partition("=")
            items = [item for value in values if isinstance(value, list) for item in value]
            values = [i for i in items if not equals or (isinstance(i, dict) and i.get(key) == wanted)]
    return values


def tokens(entry: Json, paths: Iterable[str]) -> int | None:
    """The token count at the first path that has one; the largest if there are several."""
    for path in paths:
        found = [count for value in find(entry, path) if (count := _token_count(value)) is not None]
        if found:
            return max(found)
    return None


@cache
def _steps(path: str) -> tuple[tuple[str, str], ...]:
    return tuple((found[1], found[2]) for found in _STEP.finditer(path))


def _token_count(value: Json) -> int | None:
    """Servers send counts as integers, floats and text."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 16:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if _FEWEST_TOKENS <= value <= _MOST_TOKENS else None


def _words_at(entry: Json, paths: Iterable[str]) -> set[str]:
    """The strings in the lists at ``paths``, reduced to letters and digits."""
    lists = [value for path in paths for value in find(entry, path) if isinstance(value, list)]
    return {_letters(item) for items in lists for item in items if isinstance(item, str)}


def _letters(word: Json) -> str:
    return _NOT_LETTERS.sub("", word.lower()) if isinstance(word, str) else ""
