"""What is set up on this machine, and how a model of it is reached; nothing is said to a person here, nor asked."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from provider_core.errors import (
    ApiKeyError,
    AuthenticationError,
    ModelError,
    NetworkError,
    NoModelError,
    ProviderError,
    UnknownProviderError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from provider_core.catalog import CachedModelList, Catalog, RefreshResult
    from provider_core.client import Client, OpenProvider
    from provider_core.errors import SettingsError
    from provider_core.history import History
    from provider_core.keys import KeyStore
    from provider_core.local import Progress
    from provider_core.settings import Paths, Settings
    from provider_core.types import Provider, Target, Transport

__all__ = ["Runtime"]


class Runtime:
    """Settings, keys, lists and transport, each made when it is first needed.

    Arguments replace what would be made: ``environ`` the process's environment, ``settings`` the user's settings file,
    ``key_store`` the keyring, ``transport`` HTTP. ``on_problem`` is called once for each entry of the settings that is
    ignored, with its name and the error. ``fetch_progress`` gives the callback that is told of the bytes received while
    the embedded model is downloaded.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        settings: Settings | None = None,
        key_store: KeyStore | None = None,
        client: Client | None = None,
        transport: Transport | None = None,
        on_problem: Callable[[str, SettingsError], None] | None = None,
        fetch_progress: Callable[[], AbstractContextManager[Callable[[Progress], None]]] | None = None,
    ) -> None:
        self.environ: Mapping[str, str] = os.environ if environ is None else environ
        self._settings = settings
        self._key_store = key_store
        self._client = client
        self._transport = transport
        self._unsaved: dict[str, CachedModelList] = {}
        self._on_problem = on_problem
        self._reported: set[str] = set()
        self._fetch_progress = fetch_progress

    @cached_property
    def paths(self) -> Paths:
        from provider_core.settings import Paths

        return Paths.find(self.environ)

    @cached_property
    def settings(self) -> Settings:
        """Raises ``SettingsError``."""
        from provider_core.settings import load

        found = self._settings or load(self.paths, self.environ)
        for entry, error in found.problems.items():
            if entry not in self._reported and self._on_problem is not None:
                self._on_problem(entry, error)
            self._reported.add(entry)
        return found

    @cached_property
    def key_store(self) -> KeyStore:
        from provider_core.keys import KeyringStore

        return self._key_store or KeyringStore(memory=self.paths.cache / "keyring", home=self.paths.config)

    @cached_property
    def client(self) -> Client:
        from provider_core.client import Client
        from provider_core.request import UnsupportedFieldCache

        return self._client or Client(self.transport, memory=UnsupportedFieldCache(self.paths.refusals))

    @cached_property
    def transport(self) -> Transport:
        """What every request goes through."""
        from provider_core.http import HttpTransport

        return self._transport or HttpTransport(self.environ)

    @cached_property
    def history(self) -> History:
        """The saved conversations of this user; the database is opened at the first use."""
        from provider_core.history import History

        return History(self.paths.history)

    @property
    def providers(self) -> Mapping[str, Provider]:
        """The providers that are set up, presets whose key is in the environment, and the embedded one if installed."""
        from provider_core import local
        from provider_core.settings import from_environment

        found = {**self.settings.providers, **from_environment(self.settings, self.environ, self.paths)}
        if local.installed():
            found["local"] = local.PROVIDER
        return found

    @cached_property
    def catalog(self) -> Catalog:
        """What can be named now. Opens no socket, and no keyring: a key that was stored counts as there."""
        from provider_core import keys
        from provider_core.catalog import LIFETIME, Catalog, cached_listings

        providers = self.providers
        lifetime = self.settings.models_lifetime or LIFETIME
        return Catalog(
            providers,
            load=cached_listings(self.paths.lists, unsaved=self._unsaved, lifetime=lifetime),
            aliases=self.settings.aliases,
            problems=self.settings.problems,
            not_set_up=providers.keys() - self.settings.providers.keys(),
            without_key=[
                provider.name
                for provider in providers.values()
                if not provider.embedded and not keys.source(provider, self.environ).ready
            ],
        )

    def provider(self, name: str) -> Provider:
        """The provider of this name; raises ``UnknownProviderError`` with those it may have meant."""
        providers = self.providers
        found = providers.get(name) or next(
            (each for known, each in providers.items() if known.casefold() == name.casefold()), None
        )
        if found is not None:
            return found
        self.settings.require("providers", name)
        from provider_core import presets
        from provider_core.redaction import close_matches

        raise UnknownProviderError(
            f"no provider called {name} is set up",
            name=name,
            candidates=close_matches(name, self.providers),
            preset=presets.get(name) is not None,
        )

    def loaded_provider(self, name: str | None) -> Provider | None:
        """The provider of this name if the settings were read already; reads nothing itself.

        One that is not set up is a preset whose key is in the environment.
        """
        settings, catalog = self.__dict__.get("settings"), self.__dict__.get("catalog")
        if settings is None or not name:
            return None
        found: Provider | None = settings.providers.get(name)
        if found is None and catalog is not None and name in catalog.not_set_up:
            found = catalog.providers.get(name)
        return found

    @property
    def is_used(self) -> bool:
        """Whether anything on disk was looked for."""
        return "paths" in self.__dict__

    def target(self, name: str | None, *, ask: bool = True) -> Target:
        """What ``name`` means, else the default, else the only provider, else the embedded model.

        Raises ``ModelError``; and, because a provider alone may need its server to be asked what it serves,
        everything that asking raises. Without ``ask`` no server is.
        """
        from provider_core.resolve import resolve

        if not name:
            self.settings.require("model")
        wanted = name or self.settings.model
        try:
            try:
                target = resolve(wanted, self.catalog)
            except NoModelError as error:
                if error.provider is None or not ask:
                    raise
                self._ask_for(error)
                target = resolve(wanted, self.catalog)
            if ask and self._is_stale(target, wanted):
                self._refresh_stale(target.provider)
                target = resolve(wanted, self.catalog)
        except ModelError as error:
            if not name and wanted is not None:
                origin = "TELEX_MODEL" if self.environ.get("TELEX_MODEL") else "the settings"
                error.explain(f"the default model, {wanted}, is from {origin}")
            raise
        return target

    @contextlib.contextmanager
    def open_provider(self, target: Target, *, key: str | None = None) -> Iterator[OpenProvider]:
        """The provider as it can be asked now, with its key: an embedded model runs until the context ends.

        A ``key`` that is given counts before every source that the provider has.
        """
        from provider_core.client import OpenProvider

        provider = target.provider
        if not provider.embedded:
            from provider_core import keys

            found = keys.resolve(provider, environ=self.environ, store=self.key_store, key=key)
            yield OpenProvider(client=self.client, provider=found.provider, key=found.value)
            return
        from provider_core import local
        from provider_core.errors import LocalModelError

        try:
            path = provider.gguf or self.default_model()
            with local.serve(
                path,
                alias=target.model,
                context=self.settings.local_context,
                threads=self.settings.local_threads,
            ) as endpoint:
                provider = replace(provider, base_url=endpoint.base_url, auth="bearer")
                yield OpenProvider(client=self.client, provider=provider, key=endpoint.key)
        except LocalModelError as error:
            error.provider = target.provider.name
            raise

    def default_model(self) -> Path:
        """The embedded model's file, fetched when it is not there yet; raises ``LocalModelError``."""
        from provider_core import local

        if self._fetch_progress is None:
            return local.ensure_default_model(self.paths.models)
        with self._fetch_progress() as on_progress:
            return local.ensure_default_model(self.paths.models, on_progress)

    def refresh(
        self, wanted: Sequence[Provider], on_done: Callable[[RefreshResult], None] = lambda _: None
    ) -> tuple[RefreshResult, ...]:
        """Ask the providers' servers for their models, all at once, and keep the lists; see ``catalog.refresh``.

        A provider whose key cannot be had is not asked: its outcome holds the ``ApiKeyError``.
        """
        from provider_core.catalog import invalidate_snapshot, refresh

        asked, outcomes = self._with_keys(wanted)
        for outcome in outcomes.values():
            on_done(outcome)
        if asked:
            for outcome in refresh(self.transport, self.paths.lists, asked, on_done=on_done):
                outcomes[outcome.provider.name] = outcome
                if outcome.unsaved is not None:
                    self._unsaved[outcome.provider.name] = outcome.unsaved
            self.__dict__.pop("catalog", None)
            invalidate_snapshot(self.paths)
        return tuple(outcomes[provider.name] for provider in wanted)

    def reload(self) -> None:
        """Read settings and lists anew when they are next needed: somebody has changed them."""
        for name in ("settings", "catalog"):
            self.__dict__.pop(name, None)

    def only(self, provider: Provider) -> Runtime:
        """The same, with ``provider`` in the place of all that are set up; nobody has chosen a model of it."""
        from provider_core.settings import Settings

        return Runtime(
            environ=self.environ,
            settings=Settings(providers={provider.name: provider}),
            key_store=self.key_store,
            client=self.client,
            transport=self.transport,
        )

    def close(self) -> None:
        """Close the history and the kept connections, unless they are those of a transport that was handed in."""
        if "history" in self.__dict__:
            self.history.close()
        if "transport" in self.__dict__ and self._transport is None:
            self.transport.close()

    def _ask_for(self, missing: NoModelError) -> None:
        """Ask the server of a provider of which no model is known; raises what keeps it from naming one."""
        from provider_core.catalog import can_list_models

        provider = self.providers[missing.provider or ""]
        if not can_list_models(provider):
            raise missing
        (outcome,) = self.refresh([provider])
        match outcome.error:
            case None:
                return
            case ApiKeyError() | NetworkError() | AuthenticationError() as error:
                raise error
            case error:
                raise NoModelError(f"{missing.message}: {error.message}", provider=provider.name) from None

    def _is_stale(self, target: Target, typed: str | None) -> bool:
        """Whether ``typed`` names no model, and the one it means was the first of a list too old to rely on."""
        listing = self.catalog.listing(target.provider.name)
        alone = typed is None or typed.strip().rstrip("/").casefold() == target.provider.name.casefold()
        return alone and listing.stale and listing.default_is_first

    def _refresh_stale(self, provider: Provider) -> None:
        """Ask for a list that is too old; raises what would keep a chat from reaching the server, and nothing else."""
        (outcome,) = self.refresh([provider])
        match outcome.error:
            case ApiKeyError() | NetworkError() as error:
                raise error
            case ProviderError() | None:
                return

    def _with_keys(
        self, wanted: Sequence[Provider]
    ) -> tuple[list[tuple[Provider, str | None]], dict[str, RefreshResult]]:
        """The providers that can be asked, with their keys, and the outcomes of those whose key cannot be had."""
        from provider_core import keys
        from provider_core.catalog import RefreshResult, read_cached

        ready: list[tuple[Provider, str | None]] = []
        refused: dict[str, RefreshResult] = {}
        found = keys.resolve_each(wanted, environ=self.environ, store=self.key_store)
        for provider in wanted:
            each = found[provider.name]
            if isinstance(each, ApiKeyError):
                kept = read_cached(self.paths.lists, provider)
                refused[provider.name] = RefreshResult(
                    provider=provider, error=each, cached_at=kept.fetched_at if kept else None
                )
            else:
                ready.append((each.provider, each.value))
        return ready, refused
