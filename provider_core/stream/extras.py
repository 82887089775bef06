"""The other parts of an answer: sources, images, token counts, fields to send back. And lenient JSON for all."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Final

from provider_core import limits
from provider_core.structs import replace
from provider_core.types import Image, Source, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from decimal import Decimal

    from provider_core.types import Json

# --- lenient JSON --------------------------------------------------------------------------------------------

_REASONING_TEXT = ("text", "thinking", "content", "summary", "reasoning", "reasoning_content")
_TEXT_DEPTH = 5


def _integer(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:  # more digits than the interpreter accepts
        return float(digits)


decode_json: Final[Callable[..., tuple[Json, int]]] = json.JSONDecoder(
    strict=False, parse_int=_integer
).raw_decode
"""Return the JSON value at a position of a text, and where it ends; raises ValueError and RecursionError."""


def dict_in(value: Json, key: str) -> dict[str, Json]:
    """Return the object under ``key`` of an object, {} if there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def list_in(value: Json, key: str) -> list[Json]:
    """Return the list under ``key`` of an object, [] if there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def str_in(value: Json, key: str) -> str:
    """Return the string under ``key`` of an object, "" if there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""


def nested_text(value: Json, depth: int = _TEXT_DEPTH) -> str:
    """Return the text in a value of reasoning; ``data`` and ``signature`` are not text."""
    if isinstance(value, str):
        return value
    if depth and isinstance(value, list):
        return "".join(nested_text(item, depth - 1) for item in value)
    if depth and isinstance(value, dict):
        texts = (nested_text(value[key], depth - 1) for key in _REASONING_TEXT if value.get(key))
        return next(filter(None, texts), "")
    return ""


# --- sources, images and log probabilities ----------------------------------------------------------------------

_NUMBERED: Final = frozenset(
    ("search_results", "web_search", "web_search_results", "search_info", "references", "context",
     "grounding_metadata", "groundingMetadata", "vertex_ai_grounding_metadata", "venice_parameters")
)  # fmt: skip
"""Lists whose order is the numbering in the text. Other objects may contain a source several times."""
_SOURCES: Final = _NUMBERED | {
    "citations", "annotations", "sources", "citation_metadata", "citationMetadata", "executed_tools",
    "provider_specific_fields",
}  # fmt: skip
KEYS: Final = _SOURCES | {"images", "image"}
"""Keys of a chunk, a choice, a delta or a message that contain sources or images."""
_NESTED: Final = (
    "url_citation", "web", "source", "document", "retrievedContext", "retrieved_context", "sources", "citations",
    "citationSources", "citation_sources", "search_results", "results", "groundingChunks", "grounding_chunks",
    "references", "annotations", "web_search_citations",
)  # fmt: skip
_URLS: Final = ("url", "uri", "link", "href", "source_url", "filepath")
_TITLES: Final = ("title", "name", "headline")
_NUMBERS: Final = ("index", "number", "citation_number", "refer", "ref")
_DEPTH: Final = 6
_LONGEST: Final = 4096
"""Characters of an address or a title that are read."""
_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"), (b"<svg", "image/svg+xml"),
)  # fmt: skip


class Extras:
    """The extras of one answer."""

    def __init__(self) -> None:
        self.images: list[Image] = []
        self.logprobs: dict[str, Json] = {}
        self._cited: dict[str, int] = {}  # the numbers of addresses in "citations", which count first
        self._found: dict[str, int] = {}  # those of all other lists
        self._titles: dict[str, str] = {}
        self._last: dict[str, Json] = {}
        self._seen: set[str] = set()
        self._characters = 0
        self.size: int = 0
        """About how many bytes the log probabilities take."""

    def take(self, place: dict[str, Json]) -> None:
        """Take the extras of a chunk, a choice, a delta or a message."""
        for key in place.keys() & KEYS:
            value = place[key]
            if not value or value == self._last.get(key):
                continue
            self._last[key] = value
            if key in ("images", "image"):
                self._add_images(value)
            else:
                self._add_sources(key, value)

    def take_content(self, blocks: list[Json]) -> None:
        """Take the images and sources among the blocks of a message's content."""
        for block in blocks:
            if not isinstance(block, dict):
                continue
            self.take(block)
            kind = str(block.get("type"))
            inline = not block.keys().isdisjoint(("inline_data", "inlineData", "image_url"))
            if "image" in kind or "inline" in kind or inline:
                self._add_images(block)
            elif "reference" in kind or "citation" in kind:
                self._add_sources("annotations", [block])

    def take_logprobs(self, value: Json) -> None:
        """Take the ``logprobs`` of a choice; their lists grow from chunk to chunk."""
        if not isinstance(value, dict):
            return
        self.size += 2 * len(repr(value))
        for key, item in value.items():
            earlier = self.logprobs.get(key)
            if isinstance(item, list) and isinstance(earlier, list):
                earlier += item
            elif item is not None or key not in self.logprobs:
                self.logprobs[key] = list(item) if isinstance(item, list) else item

    def sources(self) -> tuple[Source, ...]:
        """Return each source once, in the order of the server's numbers; those without a number come last."""
        numbers = dict(self._cited)
        for url, number in sorted(self._found.items(), key=lambda item: item[1]):
            if url not in numbers:
                numbers[url] = max(numbers.values()) + 1 if self._cited else number
        return tuple(
            Source(number=number, url=url, title=self._titles.get(url, ""))
            for url, number in sorted(numbers.items(), key=lambda item: item[1])
        )

    def _add_sources(self, key: str, value: Json) -> None:
        """Add the new ones of a list, which may repeat the earlier ones, by the server's number, or by their place."""
        found = list(_sources(value, _DEPTH))[: limits.SOURCES]
        numbers = self._cited if key == "citations" else self._found
        own = [number for number, _, _ in found]
        trusted = key not in ("annotations", "citations") and all(own) and len(set(own)) == len(own)
        addresses = isinstance(value, list) and all(isinstance(item, str) for item in value)
        for place, (number, url, title) in enumerate(found, 1):
            if title and len(self._titles) < limits.SOURCES:
                self._titles.setdefault(url, title)
            if url not in numbers and len(numbers) < limits.SOURCES:
                wanted = number if trusted else place if key in _NUMBERED or addresses else 0
                if not wanted or wanted in numbers.values():
                    wanted = max(numbers.values(), default=0) + 1
                numbers[url] = wanted

    def _add_images(self, value: Json) -> None:
        for url in _images(value, _DEPTH):
            if url in self._seen or len(self.images) >= limits.IMAGES:
                continue
            self._seen.add(url)
            image = _image(url)
            if self._characters + len(url) > limits.IMAGE_DATA:
                image = Image(url="", type=image.type, size=image.size, broken="too large")
            self._characters += len(image.url)
            self.images.append(image)


def _sources(value: Json, depth: int) -> Iterator[tuple[int, str, str]]:
    """Yield the number (0 if there is none), the address and the title of each source."""
    if depth == 0:
        return
    if isinstance(value, list):
        for item in value:
            yield from _sources(item, depth - 1)
    elif isinstance(value, str):
        if "://" in value[:32] or value.startswith("www."):
            yield 0, value.strip()[:_LONGEST], ""
    elif isinstance(value, dict):
        url = _first_text(value, _URLS)
        if url:
            yield _source_number(value), url, _first_text(value, _TITLES)
            return
        for key in _NESTED:
            if value.get(key):
                yield from _sources(value[key], depth - 1)
        if not isinstance(value.get("file"), dict):  # a file is the user's, which OpenRouter sends back
            for key in ("groundingMetadata", "grounding_metadata"):
                yield from _sources(dict_in(value, key), depth - 1)


def _first_text(value: dict[str, Json], keys: tuple[str, ...]) -> str:
    return next(filter(None, (str_in(value, key).strip() for key in keys)), "")[:_LONGEST]


def _source_number(value: dict[str, Json]) -> int:
    for key in _NUMBERS:
        number = value.get(key)
        if isinstance(number, str) and (digits := re.fullmatch(r"\D{0,8}(\d{1,6})\D?", number)):
            number = int(digits[1])
        if isinstance(number, int) and not isinstance(number, bool) and number > 0:
            return number
    return 0


def _images(value: Json, depth: int) -> Iterator[str]:
    """Yield the address or the ``data:`` URL of each image."""
    if depth == 0:
        return
    if isinstance(value, list):
        for item in value:
            yield from _images(item, depth - 1)
    elif isinstance(value, str):
        if value[:5].lower() == "data:" or value.startswith(("https://", "http://")):
            yield value
        elif len(value) > 32:
            yield f"data:;base64,{value}"
    elif isinstance(value, dict):
        types = (str_in(value, key) for key in ("mime_type", "mimeType", "media_type"))
        encoded = (str_in(value, key) for key in ("b64_json", "image_base64", "base64", "data", "result"))
        if data := next(filter(None, encoded), ""):
            declared = next(filter(None, types), "")
            yield data if data[:5].lower() == "data:" else f"data:{declared};base64,{data}"
            return
        for key in ("image_url", "inline_data", "inlineData", "source", "image", "url"):
            if value.get(key):
                yield from _images(value[key], depth - 1)
                return


def _image(url: str) -> Image:
    if url[:5].lower() != "data:":
        return Image(url=url[:_LONGEST])
    declared = url.partition(",")[0][5:].partition(";")[0].strip().lower()
    try:
        data = Image(url=url).data()
    except ValueError:
        return Image(url=url, type=declared, broken="not valid base64")
    if not data:
        return Image(url=url, type=declared, broken="empty")
    return Image(url=url, type=_media_type(data) or declared, size=len(data))


def _media_type(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return "image/avif"
    return next((kind for magic, kind in _MAGIC if data.lstrip().startswith(magic)), "")


# --- token counts --------------------------------------------------------------------------------------------

_INPUT = (
    "prompt_tokens", "input_tokens", "promptTokenCount", "prompt_eval_count", "inputTokens", "promptTokens",
)  # fmt: skip
_OUTPUT = ("completion_tokens", "output_tokens", "eval_count", "outputTokens", "completionTokens")
_TOTAL = ("total_tokens", "totalTokenCount", "totalTokens")
_CACHED = (
    "cached_tokens", "prompt_cache_hit_tokens", "num_cached_tokens", "cache_read_input_tokens",
    "cachedContentTokenCount",
)  # fmt: skip
_ANTHROPIC = frozenset(("cache_read_input_tokens", "cache_creation_input_tokens"))
_CACHE_WRITES = ("cache_creation_input_tokens", "cache_write_tokens", "cache_creation_tokens")
_REASONING_COUNTS = ("reasoning_tokens", "thoughtsTokenCount")
_INPUT_DETAILS = ("prompt_tokens_details", "prompt_token_details", "input_tokens_details")
_OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details", "completion_token_details")
_LONGEST_COST, _SMALLEST_COST = 40, 1e-20
_TICK: Final = -10
"""xAI's unit of costs, as a power of ten in US dollars: https://docs.x.ai/developers/cost-tracking"""


def read_usage(chunk: dict[str, Json], choice: Json = None) -> Usage | None:
    """Return the token counts of a chunk or a reply, or None if it has none."""
    groq = chunk.get("x_groq")
    own = chunk if "eval_count" in chunk or "prompt_eval_count" in chunk else {}
    places = (
        *(dict_in(each, "usage") for each in (chunk, choice, groq)),
        dict_in(chunk, "usageMetadata"),
        own,
    )
    found = next(filter(None, map(_read_counts, filter(None, places))), None)
    if found is not None and found.cost is not None:
        return found
    cost = _cost_beside_usage(chunk, choice)
    return found if cost is None else replace(found or Usage(), cost=cost)


def merge_usage(old: Usage | None, new: Usage | None) -> Usage | None:
    """Return the later value of each count: counts replace earlier ones, but a zero does not."""
    if old is None or new is None:
        return new or old
    later = ((name, getattr(old, name), getattr(new, name)) for name in Usage._fields)
    return Usage(
        **{name: before if before is not None and not after else after for name, before, after in later}
    )


def with_cost(usage: Usage | None, cost: str) -> Usage | None:
    """``usage`` with a cost from the head of the response, unless it has one; 0 there means that it is not known yet.

    https://docs.litellm.ai/docs/proxy/response_headers
    """
    if not cost or (usage is not None and usage.cost is not None) or not (amount := dollars(cost)):
        return usage
    return replace(usage or Usage(), cost=amount)


def _read_counts(usage: dict[str, Json]) -> Usage | None:
    prompt, output, total = (_first_count(keys, usage) for keys in (_INPUT, _OUTPUT, _TOTAL))
    inside, outside = (
        next(filter(None, (dict_in(usage, key) for key in keys)), {})
        for keys in (_INPUT_DETAILS, _OUTPUT_DETAILS)
    )
    cached, written = _first_count(_CACHED, inside, usage), _first_count(_CACHE_WRITES, inside, usage)
    reasoning = _first_count(_REASONING_COUNTS, outside, usage)
    if "candidatesTokenCount" in usage:  # Gemini's own names: reasoning is counted apart
        output = (_count(usage["candidatesTokenCount"]) or 0) + (reasoning or 0)
    if "prompt_tokens" not in usage and prompt is not None and _ANTHROPIC & usage.keys():
        # Anthropic's own names: tokens read from or written to the cache are counted apart.
        prompt += (cached or 0) + (written or 0)
    if total is not None and prompt is not None and output is not None:
        # xAI and Gemini leave reasoning out of the completion, and Mistral audio out of the prompt, but not out of the
        # total.
        output = max(output, total - prompt - (_count(inside.get("audio_tokens")) or 0))
    if cached is not None and prompt is not None:
        cached = min(cached, prompt)
    if written is not None and prompt is not None:
        written = min(written, prompt - (cached or 0))
    if reasoning is not None and output is not None:
        reasoning = min(reasoning, output)
    found = Usage(
        input=prompt,
        output=output,
        cached=cached,
        cache_write=written,
        reasoning=reasoning,
        cost=_cost(usage),
    )
    return None if found == Usage() else found


def _first_count(keys: tuple[str, ...], *places: dict[str, Json]) -> int | None:
    """Return the first count above zero, else a zero, else None: gateways send two sets of names."""
    counts = [count for place in places for key in keys if (count := _count(place.get(key))) is not None]
    return next(filter(None, counts), counts[0] if counts else None)


def _count(value: Json) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _number(value: Json) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and 0 <= number < 1e15 else None


def _cost(usage: dict[str, Json]) -> Decimal | None:
    """The cost of the request in US dollars, to the digit that the server sent.

    OpenRouter: https://openrouter.ai/docs/use-cases/usage-accounting. Perplexity has an object:
    https://docs.perplexity.ai/api-reference/chat-completions-post. DeepInfra: "estimated_cost".
    """
    cost = usage.get("cost")
    if isinstance(cost, dict):
        cost = cost.get("total_cost")
    amounts = map(dollars, (cost, usage.get("total_cost"), usage.get("estimated_cost")))
    found = next((amount for amount in amounts if amount is not None), None)
    if found is not None and usage.get("is_byok") is True:
        # With the user's own key at OpenRouter's provider, the cost is only OpenRouter's fee.
        upstream = dollars(dict_in(usage, "cost_details").get("upstream_inference_cost"))
        return found if upstream is None else found + upstream
    if found is None and (ticks := dollars(usage.get("cost_in_usd_ticks"))) is not None:
        return ticks.scaleb(_TICK)
    return found


def _cost_beside_usage(chunk: dict[str, Json], choice: Json) -> Decimal | None:
    """The cost that some gateways report elsewhere.

    Vercel: "provider_metadata" of a delta or message, https://vercel.com/docs/ai-gateway. NanoGPT:
    https://docs.nano-gpt.com/api-reference/endpoint/chat-completion.
    """
    if isinstance(own := chunk.get("x_nanogpt_pricing"), dict) and own.get("currency", "USD") == "USD":
        return dollars(own.get("cost", own.get("amount")))
    inside = (chunk, choice, *(dict_in(choice, key) for key in ("delta", "message")))
    for place in inside:
        if isinstance(place, dict) and "provider_metadata" in place:
            return dollars(dict_in(dict_in(place, "provider_metadata"), "gateway").get("cost"))
    return None


def dollars(value: Json) -> Decimal | None:
    """An amount to its last digit; None if it is not a number from 0."""
    number, text = _number(value), str(value).strip()
    if number is None:
        return None
    from decimal import Decimal

    # All digits of a long number, or of one with a small exponent, would fill the memory.
    return Decimal(text if len(text) <= _LONGEST_COST and number > _SMALLEST_COST else repr(number))


# --- fields to send back -------------------------------------------------------------------------------------

PIECE = 64
"""Bytes of memory that a piece takes besides its characters."""
_ITEMS = 64
"""How many items are compared with one piece: otherwise, a hostile stream would cost their square."""

SENT_BACK = frozenset(
    (
        "reasoning_details",  # openrouter.ai "Reasoning Tokens"
        "extra_content",  # ai.google.dev "Thought signatures"
        "thinking_blocks",  # docs.litellm.ai "Reasoning Content": Claude's, with their signatures
    )
)
_TEXTS = ("text", "summary", "thinking")
"""The keys of an item whose values come in pieces; all others come in one."""
_MERGED_DEPTH = 16


class PassthroughFields:
    """The fields of one answer's message that a later request sends back unchanged."""

    def __init__(self) -> None:
        self._details, self._blocks = _PiecedArray(), _PiecedArray()
        self._extra: dict[str, Json] = {}
        self._extra_size = 0

    @property
    def size(self) -> int:
        """About how many bytes they take."""
        return self._details.size + self._blocks.size + self._extra_size

    def add_delta(self, delta: dict[str, Json]) -> str:
        """Take what a delta adds; return the reasoning that is new in its ``reasoning_details``."""
        if SENT_BACK.isdisjoint(delta):
            return ""
        self._blocks.add(delta.get("thinking_blocks"))
        if extra := delta.get("extra_content"):
            self._extra_size += len(repr(extra))
            _merge(self._extra, {"extra_content": extra}, _MERGED_DEPTH)
        return self._details.add(delta.get("reasoning_details"))

    def add_message(self, message: dict[str, Json]) -> None:
        """Take what a message has: after deltas it repeats theirs, and after another message it may have more."""
        if not SENT_BACK.isdisjoint(message):
            self._details.replace(message.get("reasoning_details"))
            self._blocks.replace(message.get("thinking_blocks"))
            _merge(self._extra, {"extra_content": message.get("extra_content")}, _MERGED_DEPTH)

    def details(self) -> tuple[Json, ...]:
        """Return ``reasoning_details`` with joined pieces, in the order they began."""
        return tuple(item.joined() for item in self._details.items)

    def extra(self) -> dict[str, Json]:
        """Return the other fields."""
        blocks = [item.joined() for item in self._blocks.items]
        return {**self._extra, "thinking_blocks": blocks} if blocks else dict(self._extra)


class _PiecedArray:
    """An array whose items come in pieces: pieces of one item have the same type, index and id."""

    def __init__(self) -> None:
        self.items: list[_PiecedItem] = []
        self.size: int = 0
        self._data: set[str] = set()
        self._from_deltas = False

    def add(self, pieces: Json) -> str:
        """Take the pieces of a delta; return their new text."""
        new = []
        for piece in _dicts(pieces):
            self._from_deltas = True
            self.size += PIECE
            data = piece.get("data")
            if isinstance(data, str) and data:
                if data in self._data:
                    continue
                self._data.add(data)
            text, size = self._item_for(piece).add(piece)
            self.size += size
            new.append(text)
        return "".join(new)

    def replace(self, items: Json) -> None:
        if not self._from_deltas and (pieces := list(_dicts(items))):
            self.items = [_PiecedItem() for _ in pieces]
            for item, piece in zip(self.items, pieces, strict=True):
                item.add(piece)

    def _item_for(self, piece: dict[str, Json]) -> _PiecedItem:
        for item in self.items[: -_ITEMS - 1 : -1]:
            if item.continues_with(piece):
                return item
            if piece.get("index") is None:  # nothing but the order tells what it belongs to
                break
        self.items.append(_PiecedItem())
        return self.items[-1]


class _PiecedItem:
    """An item of such an array. The texts of MiniMax's each repeat all earlier ones; signed ones never do."""

    def __init__(self) -> None:
        self._fields: dict[str, Json] = {}
        self._texts: dict[str, list[str]] = {}
        self._repeats: bool | None = None  # None while its texts may repeat the earlier ones, or not

    def continues_with(self, piece: dict[str, Json]) -> bool:
        for key in ("type", "index", "id"):
            here, there = self._fields.get(key), piece.get(key)
            if here != there and None not in (here, there):
                return False
        # Nothing is added to what was signed: a piece with text is the next item, under an index that stays 0.
        sealed = any(self._fields.get(key) for key in ("signature", "data"))
        return not (sealed and any(piece.get(key) for key in (*_TEXTS, "data")))

    def add(self, piece: dict[str, Json]) -> tuple[str, int]:
        """Take a piece; return its new text, and about how many bytes it takes."""
        size, new = 0, ""
        own_format = str(piece.get("format") or "")
        if own_format not in ("", "unknown") and not own_format.startswith("MiniMax"):
            self._repeats = False
        for key, value in piece.items():
            if key in _TEXTS and isinstance(value, str):
                self._fields.setdefault(key, "")
                new += self._new_text(self._texts.setdefault(key, []), value)
            elif value not in (None, "") or key not in self._fields:
                self._fields[key] = value
                size += len(value) if isinstance(value, str) else 0
        return new, size + len(new)

    def _new_text(self, texts: list[str], piece: str) -> str:
        """Add a text, and return it without what it repeats."""
        if piece and self._repeats is not False and texts and texts[0].strip():
            earlier = texts[-1]
            if piece.startswith(earlier) and (self._repeats or len(piece) > len(earlier)):
                texts[:], self._repeats = [piece], True
                return piece[len(earlier) :]
            self._repeats = False
        if piece:
            texts.append(piece)
        return piece

    def joined(self) -> dict[str, Json]:
        return {**self._fields, **{key: "".join(texts) for key, texts in self._texts.items()}}


def _dicts(items: Json) -> Iterator[dict[str, Json]]:
    for item in items if isinstance(items, list) else (items,):
        if isinstance(item, dict) and item:
            yield item


def _merge(into: dict[str, Json], more: dict[str, Json], depth: int) -> None:
    """Add values, object by object; later values replace earlier ones of the same name."""
    for key, value in more.items():
        earlier = into.get(key)
        if isinstance(earlier, dict) and isinstance(value, dict) and depth:
            _merge(earlier, value, depth - 1)
        elif value is not None:
            into[key] = dict(value) if isinstance(value, dict) else value
