"""Reads what an error response says, in whatever shape: its words, codes and types, and how long to wait."""

from __future__ import annotations

import html
import json
import math
import re
from itertools import islice
from typing import TYPE_CHECKING

from provider_core.stream.fields import decode_json, dict_in, list_in, str_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from provider_core.types import Json

_DEPTH = 6
"""Levels of wrapped errors that are read: gateways wrap at most twice, a hostile body without end."""

_DETAILS = 4
"""Details of one kind that are read."""

_TEXT_KEYS = (
    "message", "msg", "error_message", "error_msg", "errorMessage", "errorMsg", "status_msg", "error_description",
    "Message", "description", "reason", "detail", "title",
)  # fmt: skip
_CODE_KEYS = ("code", "error_code", "errorCode", "status_code", "statusCode", "http_code", "Code", "errcode")
_FINE = frozenset(
    ("", "0", "200", "ok", "success", "succeeded", "successful", "none", "null", "no error", "成功")
)
_KEEPALIVE = (
    r"\W*(ping|pong|heart-?beat|keep[-_ ]?alive|alive|hello|connected|waiting|queued|(\w+ )?processing)\b.{0,40}"
    r"|\[[A-Z_ -]{1,40}\]|\W*"
)
"""What servers send to keep a connection open, and marks such as "[START]"."""
_JSON_START = r"[{\[]"
_TAG = r"<[^>]*>"
_FAILURE = "err|fail|exception|invalid|denied|timeout|timed_out|limit|overload|unavailable"


class ErrorPayload:
    """What an error body, or the value of an error frame, says; ``words`` is "" if it has none."""

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
        if not any(said) and _names_failure(kind := str_in(value, "type")):
            said.append(kind)
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
        verdicts = ("contentFilter", "content_filter_result", "content_filter_results")
        if (
            any(value.get(key) for key in verdicts)
            or (str_in(azure, "code") and azure.get("content_filter_result"))
            or any(metadata.get(key) for key in ("reasons", "flagged_input"))
        ):
            self.moderated = True

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
    generated = value.get("failed_generation")
    if isinstance(generated, dict | list):
        generated = json.dumps(generated, ensure_ascii=False)
    if isinstance(generated, str) and generated.strip():
        yield f"failed_generation: {generated}"
    for key in ("hint", "suggestion", "details"):
        found = value.get(key)
        for detail in found[:_DETAILS] if isinstance(found, list) else (found,):
            if isinstance(detail, str):
                texts = [detail]
            else:
                rules = (detail, *list_in(detail, "fieldViolations")[:_DETAILS])
                texts = [str_in(each, "description") or str_in(each, "message") for each in rules]
            yield from (text for text in texts if text.strip())


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


def parse_json(text: str) -> Json:
    """Parse a JSON document leniently; raise ValueError if it is not valid."""
    try:
        value, end = decode_json(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if text[end:].strip():
        raise ValueError("more than one document")
    return value


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
        _KEEPALIVE, words.strip(), re.IGNORECASE | re.DOTALL
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


# --- how long to wait ----------------------------------------------------------------------------------------

_PROSE = r"\b(?:try|retry)(?: again)? (?:in|after) (?:about )?(\d[^\n,;)]{0,40})"
_SPAN = r"(\d+(?:\.\d+)?) ?(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?|days?)(?![a-z])"
_WAIT_KEYS = {
    "retrydelay": 1,
    "retry_after": 1,
    "retryafter": 1,
    "retry_after_seconds": 1,
    "retry_after_ms": 1000,
}
"""Fields in lower case, and how many of their unit are a second."""
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def retry_after(headers: Mapping[str, str], words: str = "", value: Json = None) -> float | None:
    """Return the seconds that the server asks to wait before another attempt, or None.

    Read in this order: ``retry-after-ms``, ``retry-after`` (seconds or an HTTP date), the JSON ``value`` of the
    body (Google's ``RetryInfo.retryDelay`` and fields called ``retry_after``), the prose of ``words``.
    Header names are in lower case. The result is not negative, and may be very large.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    header = headers.get("retry-after", "").strip()
    seconds = _number(header)
    if seconds is None and header:
        seconds = _until(header, headers.get("date", ""))
    if seconds is None:
        seconds = _wait_in(value, _DEPTH)
    if seconds is None and (hit := re.search(_PROSE, words, re.IGNORECASE)):
        seconds = _span(hit[1])
    return seconds


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _until(date: str, now: str) -> float | None:
    """Return the seconds to an HTTP date, by the server's own clock if it sent its time."""
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    moments = []
    for text in (date, now):
        try:
            moment = parsedate_to_datetime(text)
        except (TypeError, ValueError, OverflowError):
            if text is date:
                return None
            moment = datetime.now(UTC)
        moments.append(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return max(0.0, (moments[0] - moments[1]).total_seconds())


def _wait_in(value: Json, depth: int) -> float | None:
    """Return the first wait in a body."""
    waits: Iterator[float | None]
    if depth and isinstance(value, list):
        waits = (_wait_in(item, depth - 1) for item in value[:32])
    elif depth and isinstance(value, dict):
        waits = (_wait_at(key.lower().replace("-", "_"), item, depth - 1) for key, item in value.items())
    else:
        return None
    return next((wait for wait in waits if wait is not None), None)


def _wait_at(key: str, value: Json, depth: int) -> float | None:
    if key in ("error", "details", "metadata", "headers"):
        return _wait_in(value, depth)
    seconds = _duration(value) if key in _WAIT_KEYS else None
    return seconds / _WAIT_KEYS[key] if seconds is not None else None


def _duration(value: Json) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _number(str(value)) if abs(value) < 1e9 else None
    if not isinstance(value, str):
        return None
    seconds = _number(value)
    return _span(value) if seconds is None else seconds


def _span(text: str) -> float | None:
    """Read "17s", "6m0s", "2m59.56s", "230ms", "20 seconds"; nothing but blanks may separate the parts."""
    total: float | None = None
    end = 0
    for hit in re.finditer(_SPAN, text, re.IGNORECASE):
        if text[end : hit.start()].strip():
            break
        unit = hit[2].lower()
        factor = 0.001 if unit.startswith(("ms", "mil")) else _UNITS[unit[0]]
        total = (total or 0.0) + float(hit[1]) * factor
        end = hit.end()
    return total
