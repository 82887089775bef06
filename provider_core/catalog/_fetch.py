"""Asks a server for its models, page by page; keeping the answer is not done here."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit, urlunsplit

from provider_core import limits, presets
from provider_core._version import USER_AGENT
from provider_core.catalog import _native, _reading, _shapes
from provider_core.errors import AuthenticationError, DeadlineError, ProtocolError
from provider_core.redaction import redact
from provider_core.request import build_headers, known_secrets
from provider_core.stream import failure
from provider_core.types import Call

if TYPE_CHECKING:
    from provider_core.presets import Preset
    from provider_core.types import Json, Model, Provider, Transport

__all__ = ["fetch"]

_WAIT = 30.0
"""Seconds a server may stay silent: a list needs no model to be loaded and nothing to be thought about."""


def fetch(
    transport: Transport,
    provider: Provider,
    key: str | None = None,
    *,
    seconds: float = limits.MODEL_LIST_TIME,
) -> tuple[Model, ...]:
    """The models that the provider's server lists, in its order, with what it says of them.

    A provider that has no list to ask for (a model file, a preset without one) gives none and is not asked.
    Raises ``ProviderError`` when the server refuses or answers with something else, ``NetworkError`` when no
    answer arrives, within ``seconds`` for the whole.
    """
    preset = presets.get(provider.preset) if provider.preset else None
    path = preset.models_path if preset else "/models"
    if provider.embedded or path is None:
        return ()
    asker = Asker(transport, provider, preset, key, time.monotonic() + seconds)
    query = preset.models_query if preset else ""
    entries: list[Json] = []
    found: tuple[Model, ...] = ()
    for _ in range(limits.MODEL_PAGES):
        value = asker.ask(path, query)
        entries += _entries(value, provider)
        before, found = len(found), _reading.models(entries, preset)
        more = _shapes.next_page(value, found[-1].id if found else "")
        if more is None or len(found) == before or len(found) >= limits.MODELS:
            break
        query = "&".join(part for part in (preset.models_query if preset else "", urlencode(more)) if part)
    details = preset.details if preset else _native.recognized(entries)
    return _native.told(asker, details, found[: limits.MODELS])


class Asker:
    """Asks one provider's server for JSON, with its key and within one deadline."""

    def __init__(
        self,
        transport: Transport,
        provider: Provider,
        preset: Preset | None,
        key: str | None,
        deadline: float,
    ) -> None:
        self._transport = transport
        self._provider = provider
        self._preset = preset
        self._key = key
        self._deadline = deadline
        self._secrets = known_secrets(provider, key)

    def ask(self, path: str, query: str = "", body: Json = None) -> Json:
        """The JSON under ``path``, by GET, or by POST with ``body``; raises as ``fetch`` does."""
        provider = self._provider
        secrets = self._secrets
        left = self._left()
        network = provider.network
        call = Call(
            method="GET" if body is None else "POST",
            url=address(provider, path, query),
            headers=self._headers(body is not None),
            body=b"" if body is None else json.dumps(body).encode(),
            network=replace(
                network,
                connect_timeout=min(network.connect_timeout, left),
                first_byte_timeout=min(network.first_byte_timeout, _WAIT, left),
                idle_timeout=min(network.idle_timeout, _WAIT, left),
            ),
            provider=provider.name,
        )
        with self._transport.send(call) as reply:
            status, headers, raw = reply.status, reply.headers, b""
            parts: list[bytes] = []
            size = 0
            for chunk in reply.chunks():
                parts.append(chunk)
                size += len(chunk)
                if size > limits.MODEL_LIST:
                    raise ProtocolError(
                        f"{provider.name} sent more than {limits.MODEL_LIST >> 20} MB as its list of models",
                        provider=provider.name,
                        status=status,
                    )
                self._left()
            raw = b"".join(parts)
        if not 200 <= status < 300:
            error = failure(status, raw, headers, provider=provider.name, secrets=secrets)
            if isinstance(error, AuthenticationError):
                error.key_source = provider.key_source
            raise error
        return self._parsed(status, raw, secrets)

    def _headers(self, posts: bool) -> dict[str, str]:
        preset, key = self._preset, self._key
        headers = {
            "accept": "application/json",
            "user-agent": USER_AGENT,
            **({"content-type": "application/json"} if posts else {}),
            **build_headers(self._provider, key),
        }
        if preset is not None:
            headers.update({name.lower(): value for name, value in preset.models_headers.items()})
            if key and preset.models_key_header:
                headers.pop("authorization", None)
                headers[preset.models_key_header.lower()] = key
        return headers

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise DeadlineError(
                f"{self._provider.name} did not send its list of models in time",
                provider=self._provider.name,
                url=self._provider.base_url.partition("?")[0],
                phase="total",
                seconds=limits.MODEL_LIST_TIME,
            )
        return left

    def _parsed(self, status: int, raw: bytes, secrets: tuple[str, ...]) -> Json:
        text = raw.decode("utf-8", "replace").lstrip("\ufeff").strip()
        # What a server echoes must not reach the cache.
        text = redact(text, secrets) if any(secret in text for secret in secrets) else text
        try:
            return json.loads(text, strict=False)
        except (ValueError, RecursionError):
            pass
        name = self._provider.name
        if text.startswith("<"):
            words = f"{name} sent a web page instead of a list of models ({status})"
        elif not text:
            words = f"{name} sent an empty body instead of a list of models ({status})"
        else:
            words = f"{name} sent something that is not valid JSON instead of a list of models ({status})"
        raise ProtocolError(words, provider=name, status=status)


def address(provider: Provider, path: str, query: str) -> str:
    """The URL of ``path`` at the provider: ``/..`` climbs within the host, ``query`` goes before the base's own."""
    scheme, host, joined, base_query, _ = urlsplit(provider.url(path))
    parts: list[str] = []
    for part in joined.split("/")[1:]:
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
    return urlunsplit((scheme, host, "/" + "/".join(parts), "&".join(filter(None, (query, base_query))), ""))


def _entries(value: Json, provider: Provider) -> list[Json]:
    found = _shapes.entries(value)
    if found is not None:
        return found
    if isinstance(value, dict) and (value.get("error") or value.get("errors")):
        body = json.dumps(value).encode()
        raise failure(None, body, {}, provider=provider.name)
    raise ProtocolError(f"{provider.name} sent JSON that is not a list of models", provider=provider.name)
