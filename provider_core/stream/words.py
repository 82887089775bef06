"""Digs a server's own words and codes out of an error of any shape; what kind of error it is is not decided here."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from provider_core.stream.lenient import scan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.types import Json

__all__ = ["Complaint", "announces_failure", "complaint", "may_complain", "parse", "title"]

_DEPTH = 6
"""How deep wrapped errors are followed: gateways wrap twice at most, a hostile body wraps for ever."""

_DETAILS = 4
"""Details of one kind that are shown."""

_TEXT_KEYS = (
    "message", "msg", "error_message", "error_msg", "errorMessage", "errorMsg", "status_msg", "error_description",
    "Message", "description", "reason", "detail", "title",
)  # fmt: skip
_CODE_KEYS = ("code", "error_code", "errorCode", "status_code", "statusCode", "http_code", "Code", "errcode")
_FINE = frozenset(
    ("", "0", "200", "ok", "success", "succeeded", "successful", "none", "null", "no error", "成功")
)
_SIGN_OF_LIFE = re.compile(
    r"\W*(ping|pong|heart-?beat|keep[-_ ]?alive|alive|hello|connected|waiting|queued|(\w+ )?processing)\b.{0,40}"
    r"|\[[A-Z_ -]{1,40}\]|\W*",
    re.IGNORECASE | re.DOTALL,
)
"""What servers send so that a connection stays open, and marks such as "[START]"."""
_JSON_START = re.compile(r"[{\[]")
_TAG = re.compile(r"<[^>]*>")
_FAILURES = re.compile(
    "err|fail|exception|invalid|denied|timeout|timed_out|limit|overload|unavailable", re.IGNORECASE
)


@dataclass(slots=True, kw_only=True)
class Complaint:
    """What an error said: its words, and every code and type met on the way in, outermost first.

    ``status`` is an HTTP status that the body names; ``code`` and ``type`` are the outermost ones as sent.
    """

    words: str = ""
    code: str | None = None
    type: str | None = None
    status: int | None = None
    param: str | None = None
    """The field of the request that the outermost error blames, as OpenAI and others name it."""
    marks: list[str] = field(default_factory=list)
    """All codes, types and status words, lower-case; the tables of the classification look here only."""
    details: list[str] = field(default_factory=list)
    """What stands beside the words, under a name of its own: they say nothing of what kind of error it is."""
    vendor: str | None = None
    """The code of MiniMax's ``base_resp``, whose numbers mean other things elsewhere."""
    moderated: bool = False


def parse(text: str) -> Json:
    """Parse a JSON document leniently; raise ValueError for everything that is none, whatever it is."""
    try:
        value, end = scan(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if text[end:].strip():
        raise ValueError("more than one document")
    return value


def announces_failure(value: Json) -> bool:
    """Tell whether a JSON object inside a stream says that something went wrong."""
    if not isinstance(value, dict):
        return False
    if is_failure(value.get("error")) or value.get("object") == "error" or value.get("type") == "error":
        return True
    base = value.get("base_resp")
    if isinstance(base, dict) and not _is_fine(base.get("status_code")):
        return True
    if value.get("choices") or value.get("output") or value.get("candidates"):
        return False
    if value.get("success") is False or is_failure(value.get("errors")) or is_failure(value.get("detail")):
        return True
    if value.get("status") in ("error", "failed"):
        return True
    spoken = any(isinstance(value.get(key), str) and value[key] for key in _TEXT_KEYS)
    return spoken and (
        _http_status(value.get("status")) or any(_bad_code(value.get(key)) for key in _CODE_KEYS)
    )


def is_failure(error: Json) -> bool:
    """Tell whether the value of an ``error`` key says that something failed: by words, by a code, or by a type."""
    if not isinstance(error, dict | list):
        return not _is_fine(error)
    said = complaint(error)
    return not _is_fine(said.words) or any(not _is_fine(mark) for mark in said.marks)


def is_sign_of_life(words: str) -> bool:
    """Tell whether a frame of plain words only keeps the connection open, or marks a place in the stream."""
    return _SIGN_OF_LIFE.fullmatch(words.strip()) is not None and not _FAILURES.search(words)


def may_complain(value: Json) -> bool:
    """Tell whether an object that announces nothing may be a failure all the same: it is no chunk and has words.

    What names another type than an error is a sign of life. Whether it was a failure shows in what follows it.
    """
    if not isinstance(value, dict) or not {"choices", "usage"}.isdisjoint(value):
        return False
    kinds = [value[key] for key in ("type", "object", "event") if value.get(key)]
    if not all(isinstance(kind, str) and _FAILURES.search(kind) for kind in kinds):
        return False
    return any(isinstance(value.get(key), str) and value[key].strip() for key in _TEXT_KEYS)


def _http_status(value: Json) -> bool:
    return isinstance(value, int) and 400 <= value < 600


def _bad_code(code: Json) -> bool:
    return isinstance(code, str | int) and code is not True and not _is_fine(code)


def _is_fine(value: Json) -> bool:
    """Tell whether a code or a message says that nothing failed, or nothing at all."""
    if value is None or value is False:
        return True
    return isinstance(value, str | int | float) and str(value).strip(" .!").lower() in _FINE


def complaint(value: Json) -> Complaint:
    """Read an error body, or the value of an error frame, of any shape; ``words`` is "" where none are found."""
    found = Complaint()
    found.words = _read(value, found, _DEPTH)
    return found


def title(markup: str) -> str:
    """Return the text of a page's title, else of its first heading, else ""."""
    lower = markup.lower()
    for tag in ("title", "h1"):
        start = lower.find(">", lower.find(f"<{tag}")) + 1
        end = lower.find(f"</{tag}", start)
        if f"<{tag}" in lower and start and end >= 0:
            return " ".join(html.unescape(_TAG.sub(" ", markup[start:end][:500])).split())
    return ""


def _read(value: Json, found: Complaint, depth: int) -> str:
    if depth == 0:
        return ""
    match value:
        case str():
            return _unwrap(value, found, depth)
        case list():
            return "; ".join(_unique(_read(item, found, depth - 1) for item in value[:8]))
        case dict():
            return _read_object(value, found, depth)
        case _:
            return ""


def _read_object(value: dict[str, Json], found: Complaint, depth: int) -> str:
    _note(value, found)
    inner = (value.get("error"), value.get("base_resp"), _listed(value.get("errors")))
    said = [text for item in inner if (text := _read(item, found, depth - 1))][:1]
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
    if not said and isinstance(value.get("type"), str) and _FAILURES.search(value["type"]):
        said.append(value["type"])
    return ": ".join(_unique(said))


def _own_words(value: dict[str, Json], found: Complaint, depth: int) -> list[str]:
    """Return the first text of an object; a title goes before its detail."""
    for key in _TEXT_KEYS:
        if value.get(key) and (text := _read(value[key], found, depth - 1)):
            title_ = value.get("title")
            return [title_, text] if key == "detail" and isinstance(title_, str) else [text]
    return []


def _listed(errors: Json) -> Json:
    """Return ``errors`` as a list, also where it is an object of lists by field."""
    if not isinstance(errors, dict):
        return errors
    return [item for items in errors.values() for item in (items if isinstance(items, list) else [items])]


def _note(value: dict[str, Json], found: Complaint) -> None:
    """Collect what an object says about its kind besides its words."""
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
    """Yield what an error holds beside its message: a call that could not be read (Groq), hints, broken rules."""
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


def _upstream(value: dict[str, Json], found: Complaint, depth: int) -> Iterator[str]:
    """Yield what a gateway quotes of the server behind it: OpenRouter's ``metadata.raw``."""
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        return
    if isinstance(metadata.get("error_type"), str):
        found.marks.append(metadata["error_type"].lower())
    if metadata.get("reasons") or metadata.get("flagged_input"):
        found.moderated = True
    name = metadata.get("provider_name")
    text = _read(metadata.get("raw"), found, depth - 1)
    if text:
        yield f"{name}: {text}" if isinstance(name, str) and name else text


def _unwrap(text: str, found: Complaint, depth: int) -> str:
    """Return the words of a message, which may itself be a web page, or a JSON document after a gateway's prefix."""
    if text.lstrip().startswith("<") and (heading := title(text)):
        return heading
    for start in islice(_JSON_START.finditer(text), 8):
        if depth <= 1:
            break
        try:
            inner, end = scan(text, start.start())
        except (ValueError, RecursionError):
            continue
        if text[: start.start()].strip() and not _is_error(inner):
            continue
        if words := _read(inner, found, depth - 1):
            before, after = text[: start.start()].strip(), text[end:].strip()
            return " ".join(part for part in (before, words, after) if part)
    return text.strip()


def _is_error(value: Json) -> bool:
    """Tell an error document from JSON that a message merely quotes."""
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], dict) and _is_error(value[0])
    return isinstance(value, dict) and (
        any(value.get(key) for key in ("error", "errors", "detail", "base_resp"))
        or ("message" in value and not value.keys().isdisjoint(("code", "type", "status", "object")))
    )


def _unique(texts: Iterator[str] | list[str]) -> list[str]:
    """Drop blanks and repetitions, also of a text that an earlier one already holds."""
    kept: list[str] = []
    for text in texts:
        if text and not any(text in earlier for earlier in kept):
            kept.append(text)
    return kept
