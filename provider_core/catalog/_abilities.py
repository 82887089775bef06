"""What a listed model is for and what it can do, from the server's own words, else from its id's; no limits here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provider_core.catalog._fields import find
from provider_core.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.types import Json, ModelKind

__all__ = ["Abilities", "kind_of_id", "read"]


class Abilities(Struct):
    """None where the server does not say."""

    reasoning: bool | None = None
    tools: bool | None = None
    vision: bool | None = None
    kind: ModelKind = "chat"


_KINDS: dict[str, ModelKind] = {
    **dict.fromkeys(
        ("chat", "llm", "vlm", "language", "text", "textgeneration", "texttotext", "chatcompletion", "chatcompletions"),
        "chat",
    ),
    **dict.fromkeys(("completion", "completions", "code", "base"), "completion"),
    **dict.fromkeys(("embedding", "embeddings", "embed", "textembedding", "textembeddings"), "embedding"),
    **dict.fromkeys(("rerank", "reranker", "reranking", "rank"), "rerank"),
    **dict.fromkeys(
        ("audio", "speech", "tts", "stt", "asr", "transcribe", "transcription", "texttospeech", "speechtotext",
         "automaticspeechrecognition", "audiospeech", "audiotranscription", "voice"),
        "speech",
    ),
    **dict.fromkeys(
        ("image", "images", "imagegeneration", "texttoimage", "imagetoimage", "video", "videogeneration",
         "texttovideo", "imagetovideo", "imageedit", "upscale", "inpaint"),
        "image",
    ),
    **dict.fromkeys(("imagesgenerations", "imagesedits", "videos"), "image"),
    **dict.fromkeys(("audiospeeches", "audiotranscriptions", "audiotranslations", "realtime"), "speech"),
    **dict.fromkeys(("moderation", "moderations", "guard", "classify", "textclassification"), "moderation"),
    **dict.fromkeys(("ocr", "translation", "objectdetection", "imageclassification", "music", "3d"), "other"),
}  # fmt: skip
"""Words by which servers say what a model is for, letters and digits alone."""

_KIND_FIELDS = (
    "type",
    "model_type",
    "task.name",
    "task",
    "sub_type",
    "mode",
    "model_info.mode",
    "pipeline_tag",
)
_PATHS = ("endpoints", "supported_endpoints")
_OTHER_PATHS = frozenset(("responses", "messages", "batch", "batches", "assistants", "interactions"))
"""Endpoints of OpenAI's and Anthropic's APIs that telex does not speak."""
_ENDPOINTS = ("endpoints", "supported_endpoints", "capabilities", "supported_tasks")
_OUTPUTS = ("architecture.output_modalities", "output_modalities", "supported_output_modalities")
_INPUTS = (
    "architecture.input_modalities",
    "input_modalities",
    "supported_input_modalities",
    "modalities.input",
)

_SAFE = re.compile(
    r"(?P<embedding>embed|all-minilm|all-mpnet|sentence-transformers|sentence-t5|paraphrase-multilingual|multi-qa-)"
    r"|(?P<rerank>rerank|cross-encoder|ms-marco)"
    r"|(?P<speech>whisper|transcri|text-to-speech|speech-to-text|kokoro|cosyvoice|parakeet|orpheus|wav2vec|speecht5"
    r"|musicgen)"
    r"|(?P<image>dall-e|stable-diffusion|sdxl|gpt-image|chatgpt-image|seedream|seedance|cogview|cogvideo|imagen-"
    r"|flux[.-]|text-to-image|text-to-video|recraft|ideogram|hidream|qwen-image|z-image|grok-imagine)"
    r"|(?P<moderation>moderation|llama-?guard|shieldgemma|safeguard|nemoguard|guardian)"
)
_WORDS: dict[str, ModelKind] = {
    **dict.fromkeys(
        ("bge", "gte", "e5", "minilm", "mpnet", "labse", "gritlm", "splade", "siglip", "voyage"), "embedding"
    ),
    **dict.fromkeys(("colbert", "jinacolbert"), "rerank"),
    **dict.fromkeys(("tts", "xtts", "stt", "asr", "speech", "realtime", "voice", "piper", "bark"), "speech"),
    **dict.fromkeys(
        ("image", "images", "veo", "sora", "kling", "t2v", "i2v", "t2i", "video", "flux"), "image"
    ),
    **dict.fromkeys(("guard",), "moderation"),
    **dict.fromkeys(("babbage", "davinci"), "completion"),
    **dict.fromkeys(("ocr",), "other"),
}
"""Words too short to be looked for inside of others."""

_PLAIN = re.compile(r"[^a-z0-9]+")
_TOOLS = frozenset(
    ("tools", "tooluse", "toolcalling", "toolcall", "toolcalls", "functioncalling", "functioncall", "functions",
     "supportstools", "supportstoolcalls", "supportsfunctioncalling", "trainedfortooluse", "supportstoolcalling")
)  # fmt: skip
_REASONING = frozenset(
    ("reasoning", "thinking", "supportsreasoning", "supportsthinking", "includereasoning", "reasoningeffort")
)
_VISION = frozenset(
    ("vision", "imageinput", "imageunderstanding", "supportsvision", "supportsimagein", "supportsimageinput",
     "supportsimages", "multimodal")
)  # fmt: skip
_SAID = (
    "supported_parameters", "capabilities", "supported_features", "features", "tags", "metadata.tags",
    "model_spec.capabilities", "capabilities.supports", "model_info",
)  # fmt: skip


def read(entry: dict[str, Json], id_: str) -> Abilities:
    """What ``entry`` says of itself; ``id_`` decides where it does not say what it is for."""
    words, denied = _words(entry)
    inputs = {_plain(word) for path in _INPUTS for value in find(entry, path) for word in _texts(value)}
    offered = {_plain(word) for value in find(entry, "supported_parameters") for word in _texts(value)}
    return Abilities(
        # A list of parameters is a whole one: what is not in it is refused. Other lists are not.
        reasoning=_told(words, denied, _REASONING, absent=False if offered else None),
        tools=_told(words, denied, _TOOLS, absent=False if offered else None),
        vision=True
        if inputs & {"image", "images"} or _plain(entry.get("type")) == "vlm"
        else _told(words, denied, _VISION, absent=False if inputs else None),
        kind=_kind(entry, id_, denied),
    )


def kind_of_id(id_: str) -> ModelKind:
    """What a model's id says it is for; "chat" where it says nothing."""
    name = id_.lower()
    hit = _SAFE.search(name)
    if hit is not None and hit.lastgroup is not None:
        return _KINDS[hit.lastgroup]
    for word in _PLAIN.split(name.rpartition("/")[2]):
        kind = _WORDS.get(word)
        if kind is not None:
            return kind
    return "chat"


def _kind(entry: dict[str, Json], id_: str, denied: set[str]) -> ModelKind:
    paths = {
        _plain(word).removeprefix("v1")
        for path in _PATHS
        for value in find(entry, path)
        for word in _texts(value)
    }
    if paths & {"chat", "chatcompletions"}:
        return "chat"
    if paths & _OTHER_PATHS:
        return "completion" if "completions" in paths else "other"
    kinds = {_KINDS[word] for word in paths if word in _KINDS}
    if len(kinds) == 1:
        return kinds.pop()
    for path in _KIND_FIELDS:
        for value in find(entry, path):
            kind = _KINDS.get(_plain(value))
            if kind is not None:
                return kind
    served = {_plain(word) for path in _ENDPOINTS for value in find(entry, path) for word in _texts(value)}
    if served & {"chat", "chatcompletions", "v1chatcompletions"}:
        return "chat"
    named = {_KINDS[word] for word in served if word in _KINDS and word != "completion"}
    if len(named) == 1:
        return named.pop()
    outputs = {_plain(word) for path in _OUTPUTS for value in find(entry, path) for word in _texts(value)}
    if outputs and "text" not in outputs:
        return next((_KINDS[word] for word in sorted(outputs) if word in _KINDS), "other")
    guessed = kind_of_id(id_)
    if guessed == "chat" and denied & {"completionchat", "supportschat"}:  # Mistral, Fireworks
        return "other"
    return guessed


def _words(entry: dict[str, Json]) -> tuple[set[str], set[str]]:
    """What the entry claims, and what it denies: lists claim, flags do either."""
    claimed: set[str] = set()
    denied: set[str] = set()
    for path in _SAID:
        for value in find(entry, path):
            claimed.update(_plain(word) for word in _texts(value))
            if isinstance(value, dict):
                _flags(value, claimed, denied)
    _flags(
        {k: v for k, v in entry.items() if k.startswith(("supports_", "trained_for_", "vision"))},
        claimed,
        denied,
    )
    return claimed, denied


def _flags(flags: dict[str, Json], claimed: set[str], denied: set[str]) -> None:
    for name, value in flags.items():
        answer = value.get("supported") if isinstance(value, dict) else value  # Anthropic nests
        if answer is True:
            claimed.add(_plain(name))
        elif answer is False:
            denied.add(_plain(name))


def _told(claimed: set[str], denied: set[str], names: frozenset[str], *, absent: bool | None) -> bool | None:
    if claimed & names:
        return True
    return False if denied & names else absent


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, str))


def _plain(word: Json) -> str:
    return _PLAIN.sub("", word.lower()) if isinstance(word, str) else ""
