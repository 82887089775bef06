"""Collects what comes with an answer besides its text: sources, images and log probabilities."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from provider_core import limits
from provider_core.stream.fields import dict_in, str_in
from provider_core.types import Image, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.types import Json

_NUMBERED: Final = frozenset(
    ("search_results", "web_search", "web_search_results", "search_info", "references", "context",
     "grounding_metadata", "groundingMetadata", "vertex_ai_grounding_metadata")
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
    "references", "annotations",
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
        self._lists: dict[str, list[tuple[int, str]]] = {}  # number and address, by the list's key
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
        numbers: dict[str, int] = {}
        for found in sorted(self._lists, key=lambda key: key != "citations"):
            more = [(number, url) for number, url in self._lists[found] if url not in numbers]
            if numbers:  # only the numbers of one list count
                last = max(numbers.values())
                more = [
                    (last + position, url)
                    for position, url in enumerate(dict.fromkeys(url for _, url in more), 1)
                ]
            for number, url in more:
                numbers.setdefault(url, number)
        return tuple(
            Source(number=number, url=url, title=self._titles.get(url, ""))
            for url, number in sorted(numbers.items(), key=lambda item: item[1])
        )

    def _add_sources(self, key: str, value: Json) -> None:
        found = list(_sources(value, _DEPTH))[: limits.SOURCES]
        for _, url, title in found:
            if title and not self._titles.get(url) and len(self._titles) < limits.SOURCES:
                self._titles[url] = title
        held = self._lists.setdefault(key, [])
        urls, known = [url for _, url, _ in found], [url for _, url in held]
        if urls[: len(known)] == known:  # the server repeats the list so far in each chunk
            held.clear()
        elif set(urls) <= set(known):
            return
        own = [number for number, _, _ in found]
        trusted = key not in ("annotations", "citations") and all(own) and len(set(own)) == len(own)
        addresses = isinstance(value, list) and all(isinstance(item, str) for item in value)
        by_place = key in _NUMBERED or addresses
        seen = {url for _, url in held}
        for number, url, _ in found:
            if len(held) < limits.SOURCES and (by_place or url not in seen):
                seen.add(url)
                held.append((number if trusted else len(held) + 1, url))

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
        url = _text(value, _URLS)
        if url:
            yield _number(value), url, _text(value, _TITLES)
            return
        for key in _NESTED:
            if value.get(key):
                yield from _sources(value[key], depth - 1)
        if not isinstance(value.get("file"), dict):  # a file is the user's, which OpenRouter sends back
            for key in ("groundingMetadata", "grounding_metadata"):
                yield from _sources(dict_in(value, key), depth - 1)


def _text(value: dict[str, Json], keys: tuple[str, ...]) -> str:
    return next(filter(None, (str_in(value, key).strip() for key in keys)), "")[:_LONGEST]


def _number(value: dict[str, Json]) -> int:
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
