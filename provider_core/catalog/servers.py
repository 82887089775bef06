"""Asks servers for their models: the list, page by page, and details from the own APIs of local servers."""

from __future__ import annotations

import json
import re
import threading
import time
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlencode, urlsplit, urlunsplit

from provider_core import limits, presets
from provider_core.catalog import CachedModelList, fill, read_cached, write_cached
from provider_core.catalog._parse import list_entries, next_page, parse_models, tokens
from provider_core.errors import (
    AuthenticationError,
    CoreError,
    DeadlineError,
    NotFoundError,
    ProtocolError,
    ServerError,
)
from provider_core.redaction import redact
from provider_core.request import build_headers, known_secrets
from provider_core.stream.failures import ErrorReader
from provider_core.structs import Struct, replace
from provider_core.types import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from provider_core.presets import Preset
    from provider_core.types import Json, Model, Provider, Transport

_T = TypeVar("_T")

_SILENCE = 30.0
"""Seconds for which a server may send nothing: a list needs no model to be loaded."""

_GRACE = 2.0
"""Seconds after a server's deadline until ``refresh`` stops waiting for its thread."""

_MAX_DETAILS = 64
_DETAILS_TIME = 5.0
"""Ollama is asked about each of at most so many models, for so many seconds."""

_NUM_CTX = re.compile(r"^num_ctx\s+(\d+)\s*$", re.MULTILINE)

PRESET_BY_OWNER: Final = {
    "koboldcpp": "koboldcpp",
    "lemonade": "lemonade",
    "library": "ollama",
    "llamacpp": "llamacpp",
    "organization_owner": "lmstudio",
    "sglang": "sglang",
    "vllm": "vllm",
}
"""Values of ``owned_by`` in servers' lists, and the preset of each. Sources: vllm-project/vllm, entrypoints/openai;
sgl-project/sglang, srt/entrypoints/openai; ggml-org/llama.cpp, tools/server; LostRuins/koboldcpp;
lemonade-sdk/lemonade, docs; recorded answers of Ollama and LM Studio."""


# --- one server ----------------------------------------------------------------------------------------------


def fetch(
    transport: Transport,
    provider: Provider,
    key: str | None = None,
    *,
    seconds: float = limits.MODEL_LIST_TIME,
) -> tuple[Model, ...]:
    """The models that the provider's server lists, in its order; empty if the provider has no list.

    Raises ``ProviderError`` if the server refuses or sends something else, and ``NetworkError`` if it cannot be reached
    or does not answer within ``seconds``.
    """
    preset = presets.of(provider)
    path = preset.models_path if preset else "/models"
    if provider.embedded or path is None:
        return ()
    server = _Server(transport, provider, preset, key, seconds)
    query = first_query = preset.models_query if preset else ""
    entries: list[Json] = []
    found: tuple[Model, ...] = ()
    for _ in range(limits.MODEL_PAGES):
        value = server.ask(path, query)
        entries += _entries(value, provider)
        before, found = len(found), parse_models(entries, preset)
        more = next_page(value, found[-1].id if found else "")
        if more is None or len(found) == before or len(found) >= limits.MODELS:
            break
        query = "&".join(filter(None, (first_query, urlencode(more))))
    details = preset.details if preset else _own_api(entries)
    return _add_details(server, details, found[: limits.MODELS])


def _entries(value: Json, provider: Provider) -> list[Json]:
    found = list_entries(value)
    if found is not None:
        return found
    if isinstance(value, dict) and (value.get("error") or value.get("errors")):
        raise ErrorReader(provider.name).from_response(None, json.dumps(value).encode(), {})
    raise ProtocolError(f"{provider.name} sent JSON that is not a list of models", provider=provider.name)


class _Server:
    """Requests JSON from a provider's server, all within ``seconds``. The methods raise as ``fetch`` does."""

    def __init__(
        self, transport: Transport, provider: Provider, preset: Preset | None, key: str | None, seconds: float
    ) -> None:
        self._transport = transport
        self._provider = provider
        self._secrets = known_secrets(provider, key)
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._headers = {"accept": "application/json", **build_headers(provider, key)}
        if preset is not None:
            self._headers.update({name.lower(): value for name, value in preset.models_headers.items()})
            if key and preset.models_key_header:
                self._headers.pop("authorization", None)
                self._headers[preset.models_key_header.lower()] = key

    def ask(self, path: str, query: str = "", body: Json = None) -> Json:
        """GET ``path``, or POST ``body`` to it."""
        provider = self._provider
        call = Call(
            method="GET" if body is None else "POST",
            url=_address(provider, path, query),
            headers=self._headers if body is None else {**self._headers, "content-type": "application/json"},
            body=b"" if body is None else json.dumps(body).encode(),
            network=provider.network.limited(min(_SILENCE, self._time_left())),
            provider=provider.name,
        )
        received = bytearray()
        with self._transport.send(call) as reply:
            for chunk in reply.chunks():
                received += chunk
                if len(received) > limits.MODEL_LIST:
                    words = (
                        f"{provider.name} sent more than {limits.MODEL_LIST >> 20} MB as its list of models"
                    )
                    raise ProtocolError(words, provider=provider.name, status=reply.status)
                self._time_left()
        if not 200 <= reply.status < 300:
            reader = ErrorReader(provider.name, self._secrets)
            error = reader.from_response(reply.status, bytes(received), reply.headers)
            if isinstance(error, AuthenticationError):
                error.set_key_source(provider.key_source)
            raise error
        return self._decode(reply.status, received)

    def _time_left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise _too_late(self._provider, self._seconds)
        return left

    def _decode(self, status: int, received: bytearray) -> Json:
        text = received.decode("utf-8-sig", "replace").strip()
        # A key that the server echoes must not get into the cache.
        text = redact(text, self._secrets) if any(secret in text for secret in self._secrets) else text
        try:
            return json.loads(text, strict=False)
        except (ValueError, RecursionError):
            name = self._provider.name
            what = "a web page" if text.startswith("<") else "something that is not valid JSON"
            words = f"{name} sent {what} instead of a list of models ({status})"
            raise ProtocolError(words, provider=name, status=status) from None


def _too_late(provider: Provider, seconds: float) -> DeadlineError:
    return DeadlineError(
        f"{provider.name} did not send its list of models in time",
        provider=provider.name,
        url=provider.base_url.partition("?")[0],
        phase="total",
        seconds=seconds,
    )


def _address(provider: Provider, path: str, query: str) -> str:
    """The URL of ``path``, in which ``/..`` is the folder above; ``query`` comes before that of the base URL."""
    scheme, host, joined, base_query, _ = urlsplit(provider.url(path))
    parts: list[str] = []
    for part in joined.split("/")[1:]:
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
    return urlunsplit((scheme, host, "/" + "/".join(parts), "&".join(filter(None, (query, base_query))), ""))


# --- details from local servers ------------------------------------------------------------------------------


def _own_api(entries: Sequence[Json]) -> str | None:
    """The local server whose list this is, by its marks."""
    first = next((entry for entry in entries if isinstance(entry, dict)), {})
    meta = first.get("meta")
    if isinstance(meta, dict) and "n_ctx_train" in meta:
        return "llamacpp"
    owner = first.get("owned_by")
    return PRESET_BY_OWNER.get(owner) if isinstance(owner, str) else None


def _add_details(server: _Server, details: str | None, models: tuple[Model, ...]) -> tuple[Model, ...]:
    try:
        # With several models, llama.cpp's server is a router, and /props is about that.
        if details == "llamacpp" and len(models) == 1:
            return (_add_llamacpp_details(server, models[0]),)
        if details == "lmstudio" and models:
            return _add_lmstudio_details(server, models)
        if details == "ollama" and models:
            return _add_ollama_details(server, models)
    except CoreError:
        pass
    return models


def _add_llamacpp_details(server: _Server, model: Model) -> Model:
    """Source: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md, /props."""
    props = server.ask("/../props")
    if not isinstance(props, dict):
        return model
    modalities, caps = props.get("modalities"), props.get("chat_template_caps")
    vision = modalities.get("vision") if isinstance(modalities, dict) else None
    tools = caps.get("supports_tools") if isinstance(caps, dict) else None
    return replace(
        model,
        context=tokens(props, ("default_generation_settings.n_ctx",)) or model.context,
        vision=vision if isinstance(vision, bool) else model.vision,
        tools=tools if isinstance(tools, bool) else model.tools,
    )


def _add_lmstudio_details(server: _Server, models: tuple[Model, ...]) -> tuple[Model, ...]:
    """Loaded models first. Source: https://lmstudio.ai/docs/developer/rest/endpoints."""
    value = server.ask("/../api/v0/models")
    entries = value.get("data") if isinstance(value, dict) else None
    if not isinstance(entries, list):
        return models
    known = {model.id: model for model in parse_models(entries, None)}
    loaded = {e["id"] for e in entries if isinstance(e, dict) and e.get("state") == "loaded" and "id" in e}
    found = [_update(model, known.get(model.id)) for model in models]
    return tuple(
        replace(model, context_is_maximum=model.context is not None and model.id not in loaded)
        for model in sorted(found, key=lambda model: model.id not in loaded)
    )


def _add_ollama_details(server: _Server, models: tuple[Model, ...]) -> tuple[Model, ...]:
    """Source: https://docs.ollama.com/api/show, which is one request for each model."""
    until = time.monotonic() + _DETAILS_TIME
    running: dict[str, int | None] = {}
    with suppress(CoreError):
        # The window of a loaded model is often smaller than the model's own: https://docs.ollama.com/api/ps
        loaded = server.ask("/../api/ps")
        entries = loaded.get("models") if isinstance(loaded, dict) else None
        models_loaded = parse_models(entries, None) if isinstance(entries, list) else ()
        running = {model.id: model.context for model in models_loaded}
    done: list[Model] = []
    with suppress(CoreError):
        for model in models[:_MAX_DETAILS]:
            if time.monotonic() > until:
                break
            shown = _update_from_ollama(model, server.ask("/../api/show", body={"model": model.id}))
            if context := running.get(model.id):
                shown = replace(shown, context=context, context_is_maximum=False)
            done.append(shown)
    return (*done, *models[len(done) :])


def _update_from_ollama(model: Model, value: Json) -> Model:
    if not isinstance(value, dict):
        return model
    shown = parse_models([{"id": model.id, "capabilities": value.get("capabilities")}], None)
    info, parameters = value.get("model_info"), value.get("parameters")
    architecture = info.get("general.architecture") if isinstance(info, dict) else None
    # The parameter of the model file is the window in use; the model's own window is the largest possible one.
    parameter = _NUM_CTX.search(parameters) if isinstance(parameters, str) else None
    context = tokens({"n": parameter[1]}, ("n",)) if parameter else None
    maximum = None
    if context is None and isinstance(info, dict) and isinstance(architecture, str):
        maximum = tokens({"n": info.get(f"{architecture}.context_length")}, ("n",))
    return replace(
        _update(model, shown[0] if shown else None),
        context=context or maximum or model.context,
        context_is_maximum=maximum is not None,
    )


def _update(model: Model, details: Model | None) -> Model:
    """``model`` with the values that ``details`` has, except for the name."""
    return model if details is None else replace(fill(details, model), name=model.name)


# --- several servers -----------------------------------------------------------------------------------------


def at_once(
    tasks: Sequence[Callable[[], _T]], seconds: float | None = None
) -> Iterator[tuple[int, _T | BaseException]]:
    """Run each task in a thread, and yield its number with its result or exception as soon as it ends.

    After ``seconds``, the tasks that are still running are abandoned. Ctrl-C does not wait for them, either.
    """
    ended: SimpleQueue[tuple[int, _T | BaseException]] = SimpleQueue()

    def run(number: int, task: Callable[[], _T]) -> None:
        try:
            ended.put((number, task()))
        except BaseException as error:  # noqa: BLE001 - for the caller, in whose thread it belongs
            ended.put((number, error))

    for number, task in enumerate(tasks):
        threading.Thread(target=run, args=(number, task), name="telex-task", daemon=True).start()
    until = None if seconds is None else time.monotonic() + seconds
    for _ in tasks:
        try:
            yield ended.get(timeout=None if until is None else max(until - time.monotonic(), 0.001))
        except Empty:
            return


class RefreshResult(Struct):
    """The outcome for one provider: how many ``models`` it has, or the ``error``.

    After an error the cached list stays; ``cached_at`` is when that was fetched, in seconds since 1970. ``unsaved`` is
    the new list if it could not be saved.
    """

    provider: Provider
    models: int = 0
    error: CoreError | None = None
    cached_at: float | None = None
    unsaved: CachedModelList | None = None


def refresh(
    transport: Transport,
    folder: Path,
    wanted: Sequence[tuple[Provider, str | None]],
    *,
    seconds: float = limits.MODEL_LIST_TIME,
    on_done: Callable[[RefreshResult], None] = lambda _: None,
) -> tuple[RefreshResult, ...]:
    """Ask each provider with its key, all at the same time, and cache the lists in ``folder``.

    The results are in the order of ``wanted``; ``on_done`` gets each as soon as it is there, in the caller's thread.
    Every error is in the results.
    """
    results: dict[int, RefreshResult] = {}

    def store(number: int, answer: tuple[Model, ...] | BaseException) -> None:
        results[number] = _store(folder, wanted[number][0], answer)
        on_done(results[number])

    tasks = [partial(fetch, transport, provider, key, seconds=seconds) for provider, key in wanted]
    for number, answer in at_once(tasks, seconds + _GRACE):
        store(number, answer)
    for number, (provider, _) in enumerate(wanted):
        if number not in results:
            store(number, _too_late(provider, seconds))
    return tuple(results[number] for number in range(len(wanted)))


def _store(folder: Path, provider: Provider, answer: tuple[Model, ...] | BaseException) -> RefreshResult:
    if isinstance(answer, BaseException):
        if isinstance(answer, CoreError):
            error = answer
        else:
            words = f"{provider.name}'s list of models could not be read: {type(answer).__name__}"
            error = CoreError(words, provider=provider.name)
        cached = read_cached(folder, provider)
        absent = isinstance(error, NotFoundError) or (isinstance(error, ServerError) and error.status == 501)
        if not absent or (cached is not None and cached.models):
            cached_at = cached.fetched_at if cached is not None else None
            return RefreshResult(provider=provider, error=error, cached_at=cached_at)
        answer = ()  # the server has no list
    listed = CachedModelList.of(answer, time.time())
    saved = write_cached(folder, provider, listed)
    return RefreshResult(provider=provider, models=len(answer), unsaved=None if saved else listed)
