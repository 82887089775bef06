"""The content of an error body, in any of the shapes that servers use; and whether a value in a stream is an error."""

from __future__ import annotations

import html
import json
import re
from itertools import islice
from typing import TYPE_CHECKING

from provider_core.stream.extras import decode_json, dict_in, list_in, str_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from provider_core.types import Json

# All patterns below are compiled when they are first used, not at every start.

_DEPTH = 6
"""Levels of wrapped errors that are read: gateways wrap at most twice, a hostile body without end."""

_MAX_DETAILS = 4
"""Details of one kind that are read."""

_TEXT_KEYS = (
    "message", "msg", "error_message", "error_msg", "errorMessage", "errorMsg", "status_msg", "error_description",
    "Message", "description", "reason", "detail", "title",
)  # fmt: skip
_CODE_KEYS = ("code", "error_code", "errorCode", "status_code", "statusCode", "http_code", "Code", "errcode")
_FINE = frozenset(
    ("", "0", "200", "ok", "success", "succeeded", "successful", "none", "null", "no error", "成功")
)
_KEEPALIVE_WORDS = (
    r"\W*(ping|pong|heart-?beat|keep[-_ ]?alive|alive|hello|connected|waiting|queued|(\w+ )?processing)\b.{0,40}"
    r"|\[[A-Z_ -]{1,40}\]|\W*"
)
"""Text that servers send to keep a connection open, and marks such as "[START]"."""
_FILTERED = ("contentFilter", "content_filter_result", "content_filter_results")
"""Fields of Zhipu and Azure with what their moderation found."""
_JSON_START = r"[{\[]"
_TAG = r"<[^>]*>"
_FAILURE = "err|fail|exception|invalid|denied|timeout|timed_out|limit|overload|unavailable"


class ErrorPayload:
    """The content of an error body, or of the value of an error frame; ``words`` is "" if it has none."""

    def __init__(self, value: Json = None) -> None:
        self.code: str | None = None
        """The outermost code, as sent; likewise ``type``."""
        self.type: str | None = None
        self.status: int | None = None
        """An HTTP status that the body names."""
        self.param: str | None = None
        """The field of the request that the outermost error blames, as OpenAI and others name it."""
        self.marks: list[str] = []
        """All codes, types and status words in lower case: what the error is classified by."""
        self.details: list[str] = []
        """Further texts under a name of their own, which do not count for the classification."""
        self.vendor: str | None = None
        """The code of MiniMax's ``base_resp``, whose numbers mean other things elsewhere."""
        self.moderated: bool = False
        self.words: str = self._words(value, _DEPTH)

    def _words(self, value: Json, depth: int) -> str:
        if depth and isinstance(value, str):
            return self._unwrapped(value, depth)
        if depth and isinstance(value, list):
            return "; ".join(_unique(self._words(item, depth - 1) for item in value[:8]))
        return self._words_of_object(value, depth) if depth and isinstance(value, dict) else ""

    def _words_of_object(self, value: dict[str, Json], depth: int) -> str:
        self._note(value)
        listed = value.get("errors")
        if isinstance(listed, dict):  # a list for each field
            listed = [
                each for items in listed.values() for each in (items if isinstance(items, list) else [items])
            ]
        inner = (value.get("error"), value.get("base_resp"), listed)
        said = [text for item in inner if (text := self._words(item, depth - 1))][:1]
        if not said or isinstance(value.get("error"), str):
            own = ((key, self._words(value[key], depth - 1)) for key in _TEXT_KEYS if value.get(key))
            key, text = next((each for each in own if each[1]), ("", ""))
            said += [str_in(value, "title"), text] if key == "detail" else [text]
        where = value.get("loc") or value.get("field")
        if isinstance(where, list):  # FastAPI: the path to the field that is wrong
            where = ".".join(str(part) for part in where[:8] if part != "body")
        said = [text for text in said if text]
        if isinstance(where, str) and where and said:
            said[0] = f"{where}: {said[0]}"
        # OpenRouter quotes the upstream server.
        metadata = dict_in(value, "metadata")
        if upstream := self._words(metadata.get("raw"), depth - 1):
            name = str_in(metadata, "provider_name")
            said.append(f"{name}: {upstream}" if name else upstream)
        if not said and not (code := str_in(value, "code")).isdigit():
            said.append(code)
        return ": ".join(_unique(said))

    def _note(self, value: dict[str, Json]) -> None:
        """Collect the codes, types and details of an object."""
        for key in _CODE_KEYS:
            code = value.get(key)
            if isinstance(code, float) and code.is_integer():
                code = int(code)
            if not _bad_code(code):
                continue
            code = str(code)[:200]
            self.marks.append(code.lower())
            self.code = self.code or code
            if key == "status_code" and "status_msg" in value:
                self.vendor = code
            if self.status is None and re.fullmatch("[45][0-9][0-9]", code):
                self.status = int(code)
        for key in ("type", "status", "__type", "reason"):
            word = value.get(key)
            if self.status is None and _http_status(word):
                self.status = word
            if isinstance(word, str) and " " not in word and word not in ("", "error", "about:blank"):
                self.marks.append(word.lower()[:200])
                if key != "reason":
                    self.type = self.type or word[:200]
        if (param := str_in(value, "param")) not in ("", "None", "null"):
            self.param = self.param or param[:200]
        self.details += _details(value)
        azure, metadata = dict_in(value, "innererror"), dict_in(value, "metadata")
        self.marks += (str_in(azure, "code").lower(), str_in(metadata, "error_type").lower())
        self.marks += (str_in(each, "reason").lower() for each in list_in(value, "details")[:16])  # Google
        self.moderated |= any(each.get(key) for each in (value, azure) for key in _FILTERED)
        self.moderated |= any(metadata.get(key) for key in ("reasons", "flagged_input"))  # OpenRouter

    def _unwrapped(self, text: str, depth: int) -> str:
        """Return the words of a message, which may be a web page, or a JSON document after a gateway's prefix."""
        if text.lstrip().startswith("<") and (heading := page_title(text)):
            return heading
        for start in islice(re.finditer(_JSON_START, text), 8 if depth > 1 else 0):
            before = text[: start.start()].strip()
            try:
                inner, end = decode_json(text, start.start())
            except (ValueError, RecursionError):
                continue
            if before and not _is_error_document(inner):
                continue
            if words := self._words(inner, depth - 1):
                return " ".join(filter(None, (before, words, text[end:].strip())))
        return text.strip()


def _details(value: dict[str, Json]) -> Iterator[str]:
    """Yield what an error has besides its message: hints, violated rules, a call that could not be parsed (Groq)."""
    if generated := value.get("failed_generation"):
        text = generated if isinstance(generated, str) else json.dumps(generated, ensure_ascii=False)
        yield f"failed_generation: {text}"
    for found in (value.get(key) for key in ("hint", "suggestion", "details")):
        for detail in found[:_MAX_DETAILS] if isinstance(found, list) else [found]:
            rules = [detail, *list_in(detail, "fieldViolations")[:_MAX_DETAILS]]
            texts = (str_in(each, "description") or str_in(each, "message") for each in rules)
            yield from filter(str.strip, [detail] if isinstance(detail, str) else texts)


def _is_error_document(value: Json) -> bool:
    """Tell an error document from JSON that a message merely quotes."""
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], dict) and _is_error_document(value[0])
    return isinstance(value, dict) and (
        any(value.get(key) for key in ("error", "errors", "detail", "base_resp"))
        or ("message" in value and not value.keys().isdisjoint(("code", "type", "status", "object")))
    )


def _unique(texts: Iterable[str]) -> list[str]:
    """Drop empty and repeated texts, and those that an earlier one contains."""
    kept: list[str] = []
    for text in texts:
        if text and not any(text in earlier for earlier in kept):
            kept.append(text)
    return kept


def page_title(markup: str) -> str:
    """Return the text of a page's title, else of its first heading, else ""."""
    lower = markup.lower()
    for tag in ("title", "h1"):
        start = lower.find(">", lower.find(f"<{tag}")) + 1
        end = lower.find(f"</{tag}", start)
        if f"<{tag}" in lower and start and end >= 0:
            return " ".join(html.unescape(re.sub(_TAG, " ", markup[start:end][:500])).split())
    return ""


def is_error_event(value: Json) -> bool:
    """Tell whether a JSON object inside a stream reports a failure."""
    if not isinstance(value, dict):
        return False
    if is_error(value.get("error")) or value.get("object") == "error" or value.get("type") == "error":
        return True
    if not _is_fine(dict_in(value, "base_resp").get("status_code")):
        return True
    if value.get("choices") or value.get("output") or value.get("candidates"):
        return False
    if value.get("success") is False or is_error(value.get("errors")) or is_error(value.get("detail")):
        return True
    if value.get("status") in ("error", "failed"):
        return True
    if not any(str_in(value, key) for key in _TEXT_KEYS):
        return False
    return _http_status(value.get("status")) or any(_bad_code(value.get(key)) for key in _CODE_KEYS)


def is_error(error: Json) -> bool:
    """Tell whether the value of an ``error`` key reports a failure: by words, a code, or a type."""
    if not isinstance(error, dict | list):
        return not _is_fine(error)
    said = ErrorPayload(error)
    return not _is_fine(said.words) or any(not _is_fine(mark) for mark in said.marks)


def is_keepalive(words: str) -> bool:
    """Tell whether a frame of plain words only keeps the connection open, or marks a place in the stream."""
    return re.fullmatch(
        _KEEPALIVE_WORDS, words.strip(), re.IGNORECASE | re.DOTALL
    ) is not None and not _names_failure(words)


def may_be_error(value: Json) -> bool:
    """Tell whether an object that does not report a failure may be one: it is not a chunk, and has words.

    With a type other than an error, it only keeps the connection open. What follows tells whether it was a failure.
    """
    if not isinstance(value, dict) or not {"choices", "usage"}.isdisjoint(value):
        return False
    kinds = [value[key] for key in ("type", "object", "event") if value.get(key)]
    if not all(isinstance(kind, str) and _names_failure(kind) for kind in kinds):
        return False
    return any(str_in(value, key).strip() for key in _TEXT_KEYS)


def _names_failure(words: str) -> bool:
    return re.search(_FAILURE, words, re.IGNORECASE) is not None


def _http_status(value: Json) -> bool:
    return isinstance(value, int) and 400 <= value < 600


def _bad_code(code: Json) -> bool:
    return isinstance(code, str | int) and code is not True and not _is_fine(code)


def _is_fine(value: Json) -> bool:
    """Tell whether a code or a message means success, or nothing at all."""
    if value is None or value is False:
        return True
    return isinstance(value, str | int | float) and str(value).strip(" .!").lower() in _FINE
