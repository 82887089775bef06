"""Reads what an error response says, in whatever shape: its words, codes and types, and how long to wait."""

from __future__ import annotations

import html
import json
import math
import re
from itertools import islice
from typing import TYPE_CHECKING

from provider_core.stream.framing import decode_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
_KEEPALIVE = re.compile(
    r"\W*(ping|pong|heart-?beat|keep[-_ ]?alive|alive|hello|connected|waiting|queued|(\w+ )?processing)\b.{0,40}"
    r"|\[[A-Z_ -]{1,40}\]|\W*",
    re.IGNORECASE | re.DOTALL,
)
"""What servers send to keep a connection open, and marks such as "[START]"."""
_JSON_START = re.compile(r"[{\[]")
_TAG = re.compile(r"<[^>]*>")
_FAILURE = re.compile(
    "err|fail|exception|invalid|denied|timeout|timed_out|limit|overload|unavailable", re.IGNORECASE
)


class ErrorPayload:
    """What an error says: its words, and every code and type in it, outermost first."""

    def __init__(self, words: str = "") -> None:
        self.words: str = words
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
        """What stands besides the words under a name of its own; it does not count for the classification."""
        self.vendor: str | None = None
        """The code of MiniMax's ``base_resp``, whose numbers mean other things elsewhere."""
        self.moderated: bool = False


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
    base = value.get("base_resp")
    if isinstance(base, dict) and not _is_fine(base.get("status_code")):
        return True
    if value.get("choices") or value.get("output") or value.get("candidates"):
        return False
    if value.get("success") is False or is_error(value.get("errors")) or is_error(value.get("detail")):
        return True
    if value.get("status") in ("error", "failed"):
        return True
    spoken = any(isinstance(value.get(key), str) and value[key] for key in _TEXT_KEYS)
    return spoken and (
        _http_status(value.get("status")) or any(_bad_code(value.get(key)) for key in _CODE_KEYS)
    )


def is_error(error: Json) -> bool:
    """Tell whether the value of an ``error`` key reports a failure: by words, a code, or a type."""
    if not isinstance(error, dict | list):
        return not _is_fine(error)
    said = read_payload(error)
    return not _is_fine(said.words) or any(not _is_fine(mark) for mark in said.marks)


def is_keepalive(words: str) -> bool:
    """Tell whether a frame of plain words only keeps the connection open, or marks a place in the stream."""
    return _KEEPALIVE.fullmatch(words.strip()) is not None and not _FAILURE.search(words)


def may_be_error(value: Json) -> bool:
    """Tell whether an object that does not report a failure may be one: it is not a chunk, and has words.

    With a type other than an error, it only keeps the connection open. What follows tells whether it was a failure.
    """
    if not isinstance(value, dict) or not {"choices", "usage"}.isdisjoint(value):
        return False
    kinds = [value[key] for key in ("type", "object", "event") if value.get(key)]
    if not all(isinstance(kind, str) and _FAILURE.search(kind) for kind in kinds):
        return False
    return any(isinstance(value.get(key), str) and value[key].strip() for key in _TEXT_KEYS)


def _http_status(value: Json) -> bool:
    return isinstance(value, int) and 400 <= value < 600


def _bad_code(code: Json) -> bool:
    return isinstance(code, str | int) and code is not True and not _is_fine(code)


def _is_fine(value: Json) -> bool:
    """Tell whether a code or a message means success, or nothing at all."""
    if value is None or value is False:
        return True
    return isinstance(value, str | int | float) and str(value).strip(" .!").lower() in _FINE


def read_payload(value: Json) -> ErrorPayload:
    """Read an error body, or the value of an error frame; ``words`` is "" if there are none."""
    found = ErrorPayload()
    found.words = _words(value, found, _DEPTH)
    return found


def page_title(markup: str) -> str:
    """Return the text of a page's title, else of its first heading, else ""."""
    lower = markup.lower()
    for tag in ("title", "h1"):
        start = lower.find(">", lower.find(f"<{tag}")) + 1
        end = lower.find(f"</{tag}", start)
        if f"<{tag}" in lower and start and end >= 0:
            return " ".join(html.unescape(_TAG.sub(" ", markup[start:end][:500])).split())
    return ""


def _words(value: Json, found: ErrorPayload, depth: int) -> str:
    if depth == 0:
        return ""
    match value:
        case str():
            return _unwrap(value, found, depth)
        case list():
            return "; ".join(_unique(_words(item, found, depth - 1) for item in value[:8]))
        case dict():
            return _words_of_object(value, found, depth)
        case _:
            return ""


def _words_of_object(value: dict[str, Json], found: ErrorPayload, depth: int) -> str:
    _note(value, found)
    inner = (value.get("error"), value.get("base_resp"), _listed(value.get("errors")))
    said = [text for item in inner if (text := _words(item, found, depth - 1))][:1]
    if not said or isinstance(value.get("error"), str):
        said += _own_words(value, found, depth)
    where = value.get("loc") or value.get("field")
    if isinstance(where, list):  # FastAPI: the path to the field that is wrong
        where = ".".join(str(part) for part in where[:8] if part != "body")
    if isinstance(where, str) and where and said:
        said[0] = f"{where}: {said[0]}"
    said += _upstream(value, found, depth)
    if not said and isinstance(value.get("code"), str) and not value["code"].isdigit():
        said.append(value["code"])
    if not said and isinstance(value.get("type"), str) and _FAILURE.search(value["type"]):
        said.append(value["type"])
    return ": ".join(_unique(said))


def _own_words(value: dict[str, Json], found: ErrorPayload, depth: int) -> list[str]:
    """Return the first text of an object, with the title before its detail."""
    for key in _TEXT_KEYS:
        if value.get(key) and (text := _words(value[key], found, depth - 1)):
            title_ = value.get("title")
            return [title_, text] if key == "detail" and isinstance(title_, str) else [text]
    return []


def _listed(errors: Json) -> Json:
    """Return ``errors`` as a list; it may be an object with a list for each field."""
    if not isinstance(errors, dict):
        return errors
    return [item for items in errors.values() for item in (items if isinstance(items, list) else [items])]


def _note(value: dict[str, Json], found: ErrorPayload) -> None:
    """Collect the codes, types and details of an object."""
    for key in _CODE_KEYS:
        code = value.get(key)
        if isinstance(code, float) and code.is_integer():
            code = int(code)
        if not _bad_code(code):
            continue
        code = str(code)[:200]
        found.marks.append(code.lower())
        if found.code is None:
            found.code = code
        if key == "status_code" and "status_msg" in value:
            found.vendor = code
        if found.status is None and re.fullmatch("[45][0-9][0-9]", code):
            found.status = int(code)
    for key in ("type", "status", "__type", "reason"):
        word = value.get(key)
        if found.status is None and _http_status(word):
            found.status = word
        if not isinstance(word, str) or not word or " " in word or word in ("error", "about:blank"):
            continue
        found.marks.append(word.lower()[:200])
        if found.type is None and key != "reason":
            found.type = word[:200]
    param = value.get("param")
    if found.param is None and isinstance(param, str) and param not in ("", "None", "null"):
        found.param = param[:200]
    found.details += _details(value)
    inner = value.get("innererror")
    if isinstance(inner, dict) and isinstance(inner.get("code"), str):  # Azure
        found.marks.append(inner["code"].lower())
        found.moderated = found.moderated or bool(inner.get("content_filter_result"))
    details = value.get("details")
    for detail in details[:16] if isinstance(details, list) else ():
        if isinstance(detail, dict) and isinstance(detail.get("reason"), str):
            found.marks.append(detail["reason"].lower())  # google.rpc.ErrorInfo
    if any(value.get(key) for key in ("contentFilter", "content_filter_result", "content_filter_results")):
        found.moderated = True


def _details(value: dict[str, Json]) -> Iterator[str]:
    """Yield what an error has besides its message: a call that could not be parsed (Groq), hints, violated rules."""
    for key in ("failed_generation", "hint", "suggestion", "details"):
        given = value.get(key)
        if key == "failed_generation" and isinstance(given, dict | list):
            given = json.dumps(given, ensure_ascii=False)
        if isinstance(given, dict):
            given = [given]
        if isinstance(given, str):
            given = [given]
        for detail in given[:_DETAILS] if isinstance(given, list) else ():
            if isinstance(detail, dict):
                violations = detail.get("fieldViolations")
                for each in (detail, *(violations[:_DETAILS] if isinstance(violations, list) else ())):
                    words = each.get("description") or each.get("message") if isinstance(each, dict) else None
                    if isinstance(words, str) and words.strip():
                        yield words
            elif isinstance(detail, str) and detail.strip():
                yield f"{key}: {detail}" if key == "failed_generation" else detail


def _upstream(value: dict[str, Json], found: ErrorPayload, depth: int) -> Iterator[str]:
    """Yield what a gateway quotes from the upstream server: OpenRouter's ``metadata.raw``."""
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        return
    if isinstance(metadata.get("error_type"), str):
        found.marks.append(metadata["error_type"].lower())
    if metadata.get("reasons") or metadata.get("flagged_input"):
        found.moderated = True
    name = metadata.get("provider_name")
    text = _words(metadata.get("raw"), found, depth - 1)
    if text:
        yield f"{name}: {text}" if isinstance(name, str) and name else text


def _unwrap(text: str, found: ErrorPayload, depth: int) -> str:
    """Return the words of a message, which may itself be a web page, or a JSON document after a gateway's prefix."""
    if text.lstrip().startswith("<") and (heading := page_title(text)):
        return heading
    for start in islice(_JSON_START.finditer(text), 8):
        if depth <= 1:
            break
        try:
            inner, end = decode_json(text, start.start())
        except (ValueError, RecursionError):
            continue
        if text[: start.start()].strip() and not _is_error_document(inner):
            continue
        if words := _words(inner, found, depth - 1):
            before, after = text[: start.start()].strip(), text[end:].strip()
            return " ".join(part for part in (before, words, after) if part)
    return text.strip()


def _is_error_document(value: Json) -> bool:
    """Tell an error document from JSON that a message merely quotes."""
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], dict) and _is_error_document(value[0])
    return isinstance(value, dict) and (
        any(value.get(key) for key in ("error", "errors", "detail", "base_resp"))
        or ("message" in value and not value.keys().isdisjoint(("code", "type", "status", "object")))
    )


def _unique(texts: Iterator[str] | list[str]) -> list[str]:
    """Drop empty and repeated texts, and those that an earlier one contains."""
    kept: list[str] = []
    for text in texts:
        if text and not any(text in earlier for earlier in kept):
            kept.append(text)
    return kept


# --- how long to wait ----------------------------------------------------------------------------------------

_PROSE = re.compile(r"\b(?:try|retry)(?: again)? (?:in|after) (?:about )?(\d[^\n,;)]{0,40})", re.IGNORECASE)
_SPAN = re.compile(
    r"(\d+(?:\.\d+)?) ?(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?|days?)(?![a-z])",
    re.IGNORECASE,
)
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
    if seconds is None and (hit := _PROSE.search(words)):
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
    if depth == 0:
        return None
    if isinstance(value, list):
        found = (_wait_in(item, depth - 1) for item in value[:32])
        return next((seconds for seconds in found if seconds is not None), None)
    if not isinstance(value, dict):
        return None
    for key, item in value.items():
        match key.lower().replace("-", "_"):
            case "retrydelay" | "retry_after" | "retryafter" | "retry_after_seconds":
                seconds = _duration(item)
            case "retry_after_ms":
                seconds = _duration(item)
                seconds = None if seconds is None else seconds / 1000
            case "error" | "details" | "metadata" | "headers":
                seconds = _wait_in(item, depth - 1)
            case _:
                continue
        if seconds is not None:
            return seconds
    return None


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
    for hit in _SPAN.finditer(text):
        if text[end : hit.start()].strip():
            break
        unit = hit[2].lower()
        factor = 0.001 if unit.startswith(("ms", "mil")) else _UNITS[unit[0]]
        total = (total or 0.0) + float(hit[1]) * factor
        end = hit.end()
    return total
