"""Finds the listed models, and the way to the next page, in a reply of any known shape; no model is read here."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from provider_core.types import Json

__all__ = ["entries", "next_page"]

_LISTS = ("data", "models", "result", "results", "items", "model_list", "list")
"""Where the models are: OpenAI's "data" first, because llama.cpp sends Ollama's "models" beside it."""


def entries(value: Json) -> list[Json] | None:
    """The entries of a listing, each a dict or an id; None for JSON that is no listing at all."""
    match value:
        case list():
            return [item for item in value if isinstance(item, dict | str)]
        case dict():
            return _of_object(value, depth=2)
        case _:
            return None


def _of_object(value: dict[str, Json], depth: int) -> list[Json] | None:
    present = [key for key in _LISTS if key in value]
    for key in present:
        found = value[key]
        if isinstance(found, list):
            return entries(found)
        if isinstance(found, str) and found and key == "result":  # KoboldCpp's own API names the one it runs
            return [found]
        if isinstance(found, dict) and found and depth:
            inner = _of_object(found, depth - 1)
            if inner is not None:
                return inner
            if all(isinstance(item, dict) for item in found.values()):
                return [{"id": name, **item} for name, item in found.items()]
    if present and all(value[key] in (None, {}) for key in present):
        return []  # Ollama says null when it has none
    if value.get("object") == "list":
        return []
    if value.get("object") == "model" and isinstance(value.get("id"), str):
        return [value]
    return None


def next_page(value: Json, last: str) -> dict[str, str] | None:
    """The query fields that ask for the next page, None where there is none; ``last`` is this page's last id."""
    if not isinstance(value, dict):
        return None
    for key, field in (("nextPageToken", "pageToken"), ("next_page_token", "page_token")):
        token = value.get(key)
        if isinstance(token, str) and token:
            return {field: token}
    if value.get("has_more") is True:
        last_id = value.get("last_id")
        if isinstance(last_id, str) and last_id:
            return {"after_id": last_id}
        return {"after": last} if last else None
    following = value.get("next")
    if isinstance(following, str) and following:
        # Only its query: the host and the path that get the key stay what the settings say.
        return dict(parse_qsl(_query(following))) or None
    return _counted(value.get("result_info"))


def _query(url: str) -> str:
    try:
        return urlsplit(url).query
    except ValueError:
        return ""


def _counted(info: Json) -> dict[str, str] | None:
    """Cloudflare counts: https://developers.cloudflare.com/fundamentals/api/how-to/make-api-calls/."""
    if not isinstance(info, dict):
        return None
    match info.get("page"), info.get("per_page"), info.get("total_count"):
        case int(page), int(size), int(total) if page > 0 and page * size < total:
            return {"page": str(page + 1)}
    return None
