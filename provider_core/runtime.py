"""Everything that one user has set up on this machine, made when it is first needed."""

from __future__ import annotations

import contextlib
import os
from functools import cache, cached_property
from typing import TYPE_CHECKING

from provider_core import errors
from provider_core.structs import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from decimal import Decimal
    from pathlib import Path

    from provider_core.budget import Budget
    from provider_core.catalog import CachedModelList, Catalog
    from provider_core.catalog.servers import RefreshResult
    from provider_core.client import Client, OpenProvider
    from provider_core.history import History, LedgerEntry
    from provider_core.http.connections import Preconnection
    from provider_core.keys import KeyStore
    from provider_core.local import Progress
    from provider_core.options import Candidate, Layer
    from provider_core.prices import Cost, Prices
    from provider_core.resolve import ModelName
    from provider_core.settings import Paths, Settings
    from provider_core.settings.project import Found
    from provider_core.templates import Template
    from provider_core.types import Json, Provider, Target, Transport, Usage


class Runtime:
    """The settings, keys, model lists, history and transport of one user.

    Arguments replace what would be made: ``environ`` the process's environment, ``settings`` the settings file,
    ``key_store`` the keyring, ``transport`` HTTP. ``on_problem`` is called once for each entry of the settings that is
    ignored, with its name and the error. ``profile`` is the name of a profile, by default that of ``TELEX_PROFILE``.
    With ``use_project``, the ``.telex.toml`` of the working directory's project is used if it is trusted.
    ``fetch_progress`` returns a context whose value is called with the progress of the embedded model's download.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        settings: Settings | None = None,
        key_store: KeyStore | None = None,
        transport: Transport | None = None,
        on_problem: Callable[[str, errors.SettingsError], None] | None = None,
        profile: str | None = None,
        use_project: bool = False,
        fetch_progress: Callable[[], AbstractContextManager[Callable[[Progress], None]]] | None = None,
    ) -> None:
        self.environ: Mapping[str, str] = os.environ if environ is None else environ
        self._settings = settings
        self._key_store = key_store
        self._transport = transport
        self._unsaved: dict[str, CachedModelList] = {}
        self._on_problem = on_problem
        self._reported: set[str] = set()
        self.profile = profile
        """It may be set until the settings are first needed."""
        self._use_project = use_project
        self._fetch_progress = fetch_progress
        self._ahead: Preconnection | None = None

    @cached_property
    def paths(self) -> Paths:
        from provider_core.settings import Paths

        return Paths.find(self.environ)

    @cached_property
    def settings(self) -> Settings:
        """Raises ``SettingsError``."""
        from provider_core.settings import load

        project = self.project
        found = self._settings or load(
            self.paths,
            self.environ,
            profile=self.profile,
            project=project if project is not None and project.state == "trusted" else None,
        )
        for entry, error in found.problems.items():
            # What a project shares with people who have not set up its providers is reported where it is used.
            own = error.code != "not_set_up"
            if own and entry not in self._reported and self._on_problem is not None:
                self._on_problem(entry, error)
            self._reported.add(entry)
        return found

    @cached_property
    def project(self) -> Found | None:
        """The working directory's ``.telex.toml``, and whether it is trusted; None if there is none."""
        from provider_core.settings import find_project

        path = find_project(self.environ) if self._use_project else None
        if path is None:
            return None
        from provider_core.settings import project

        return project.look(path, self.paths.trust, self.environ)

    @cached_property
    def key_store(self) -> KeyStore:
        from provider_core.keys import KeyringStore

        return self._key_store or KeyringStore(memory=self.paths.cache / "keyring", home=self.paths.config)

    @cached_property
    def client(self) -> Client:
        from provider_core.client import Client
        from provider_core.request import UnsupportedFieldCache

        return Client(self.transport, cache=UnsupportedFieldCache(self.paths.refusals))

    @cached_property
    def transport(self) -> Transport:
        from provider_core.http.transport import HttpTransport

        return self._transport or HttpTransport(self.environ, ahead=self._ahead)

    @cached_property
    def history(self) -> History:
        """The saved conversations. The database is opened when it is first used."""
        from provider_core.history import History

        return History(self.paths.history)

    @cached_property
    def prices(self) -> Prices:
        """The prices of models and the costs of answers."""
        from provider_core.prices import Prices

        def listed(provider: Provider, model: str) -> Mapping[str, Json] | None:
            known = provider.name in self.catalog.providers
            listing = self.catalog.listing(provider.name) if known else None
            models = listing.find(model) if listing is not None else provider.models
            return next((each.price for each in models if listing is not None or each.id == model), None)

        return Prices(listed, saved=self.paths.prices)

    def price(self, target: Target, usage: Usage) -> Cost | None:
        """The cost of an answer, for ``ChatRun(price=...)``: as ``prices``, which this imports when it is called."""
        return self.prices(target, usage)

    @cached_property
    def budget(self) -> Budget | None:
        """The limits on costs of a day and a month; None if none is set. Raises ``SettingsError``."""
        self.settings.require("budget")
        limits = self.settings.budget
        if not limits:
            return None
        if not self.settings.ledger:
            raise errors.SettingsError("a budget needs the ledger, which ledger = false turns off")
        from provider_core.budget import Budget

        return Budget(limits, lambda: self.history.ledger, fill_in_costs=self.fill_in_costs)

    def fill_in_costs(self, *, since: float = 0.0) -> int:
        """Store the costs of the ledger's requests whose price was not looked up yet; returns their number.

        The price is that of the request's time, in seconds since 1970, as is ``since``.
        """
        from provider_core import presets
        from provider_core.types import Provider, Target

        prices = self.prices

        @cache
        def providers() -> Mapping[str, Provider]:
            return self.providers  # the settings are read only if there is an entry without a cost

        def target(entry: LedgerEntry) -> Target:
            provider = providers().get(entry.provider)
            if provider is None or provider.preset != entry.preset:  # removed since
                preset = presets.get(entry.preset) if entry.preset else None
                url = preset.base_url if preset is not None else ""
                provider = Provider(name=entry.provider, preset=entry.preset, base_url=url)
            return Target(provider=provider, model=entry.model)

        def price(entry: LedgerEntry) -> tuple[Decimal, str] | None:
            cost = prices.cost(target(entry), entry.usage, at=entry.at, batch=entry.command == "batch api")
            return None if cost is None else (cost.amount, cost.source)

        return self.history.ledger.fill_in_costs(
            lambda entry: prices.price(target(entry)) is not None, price, since=since
        )

    @property
    def providers(self) -> Mapping[str, Provider]:
        """The providers in the settings, presets whose key is in the environment, and the embedded one if installed."""
        from provider_core import local
        from provider_core.settings import from_environment

        found = {**self.settings.providers, **from_environment(self.settings, self.environ, self.paths)}
        if local.installed():
            found["local"] = local.PROVIDER
        if self.settings.profile_providers is not None:
            for name, provider in found.items():
                if not self.settings.in_profile(name):
                    found[name] = replace(provider, enabled=False)
        return found

    @cached_property
    def catalog(self) -> Catalog:
        """All models that can be named now. This opens no socket and no keyring: stored keys are taken for granted."""
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
        """The provider with this name, in any case. Raises ``UnknownProviderError`` with similar names."""
        providers = self.providers
        found = providers.get(name) or next(
            (each for known, each in providers.items() if known.casefold() == name.casefold()), None
        )
        if found is not None:
            return found
        self.settings.require("providers", name)
        from provider_core import presets
        from provider_core.redaction import close_matches

        raise errors.UnknownProviderError(
            f"unknown provider: {name}",
            name=name,
            candidates=close_matches(name, self.providers),
            preset=presets.get(name, self.paths.presets) is not None,
        )

    def loaded_provider(self, name: str | None) -> Provider | None:
        """The provider with this name, also a preset whose key is in the environment; None before settings are read."""
        settings, catalog = self.__dict__.get("settings"), self.__dict__.get("catalog")
        if settings is None or not name:
            return None
        found: Provider | None = settings.providers.get(name)
        if found is None and catalog is not None and name in catalog.not_set_up:
            found = catalog.providers.get(name)
        return found

    @property
    def is_used(self) -> bool:
        """Whether any file was looked for."""
        return "paths" in self.__dict__

    def target(self, name: str | None, *, ask: bool = True) -> Target:
        """The model that ``name`` means; without a name, the default, the only provider, or the embedded model.

        Raises ``ModelError``. If a provider alone is named and its models are unknown or outdated, its server is asked,
        which raises what ``refresh`` finds; with ``ask`` False it is not.
        """
        from provider_core.resolve import resolve

        if self.settings.problems:
            self.settings.require(".telex.toml")
            if not name:
                self.settings.require("model")
        wanted = name or self.settings.model
        try:
            try:
                target = resolve(wanted, self.catalog)
            except errors.NoModelError as error:
                if error.provider is None or not ask:
                    raise
                self._list_models(error)
                return resolve(wanted, self.catalog)
            listing = self.catalog.listing(target.provider.name)
            alone = wanted is None or wanted.strip().rstrip("/").casefold() == target.provider.name.casefold()
            if ask and alone and listing.stale and listing.default_is_first:
                (outcome,) = self.refresh([target.provider])
                if isinstance(
                    outcome.error, errors.ApiKeyError | errors.NetworkError
                ):  # the chat would fail as well
                    raise outcome.error
                target = resolve(wanted, self.catalog)
        except errors.ModelError as error:
            if not name and wanted is not None:
                error.explain(f"the default model, {wanted}, is from {self.origin_of_model()}")
            profile = self.settings.profile
            if error.code == "disabled_provider" and not self.settings.in_profile(error.provider or ""):
                has = ", ".join(self.settings.profile_providers or ()) or "none"
                words = f"the provider {error.provider} is not in the profile {profile}, which has: {has}"
                raise errors.ModelError(words, provider=error.provider, code="not_in_profile") from None
            raise
        return target

    def origin_of_model(self) -> str:
        """Where the default model comes from, for people."""
        match self.settings.sources.get("model"):
            case "variable":
                return "TELEX_MODEL"
            case "profile":
                return f"the profile {self.settings.profile}"
            case "project" if self.project is not None:
                return str(self.project.path)
        return "the settings"

    def template(self, name: str) -> Template:
        """The template ``name``, the project's if it has one of this name.

        Raises ``TemplateError``, and ``SettingsError`` for a template that the project may not use.
        """
        from provider_core import templates

        found = None
        if self.project is not None and self.settings.project is not None:
            from provider_core import trust

            found = trust.template(self.settings, name)
        return found or templates.load(self.paths.templates, name)

    def candidates(
        self, name: str | None, given: Sequence[Layer] = (), *, ask: bool = True
    ) -> tuple[Candidate, ...]:
        """The models that ``name`` leads to, in the order in which to ask them, with the options of each chat.

        ``given`` are layers of options that override those of aliases and settings. Arguments and errors are those of
        ``target``; but of an alias with several targets, one that cannot be asked has its error, and only if none can
        be asked, the last error is raised. Of several, only servers up to the first usable one are asked for models.
        """
        from provider_core.options import Candidate
        from provider_core.resolve import ModelName, expand

        wanted = name or self.settings.model
        names = (ModelName(name=""),) if wanted is None else expand(wanted, self.settings.aliases)
        if len(names) == 1:  # errors explain where the typed name led to
            return (self.with_options(names[0], self.target(name, ask=ask), given),)
        found: list[Candidate] = []
        for each in names:
            try:
                # No other server delays the request to the first one.
                asks = ask and all(one.target is None for one in found)
                found.append(self.with_options(each, self.target(each.name, ask=asks), given))
            except errors.TemplateError:
                raise  # the alias's own mistake, and not a model's
            except errors.CoreError as error:
                found.append(Candidate(name=each.name, error=error))
        if all(each.target is None for each in found):
            raise found[-1].error or AssertionError
        return tuple(found)

    def with_options(self, name: ModelName, target: Target, given: Sequence[Layer] = ()) -> Candidate:
        """The candidate for a model that was found, with the options of all layers; ``given`` are the strongest."""
        from provider_core.options import Candidate, configured, layers_of, merge

        layers = layers_of(name, target, self.settings, given, load_template=self.template)
        options = merge(layers)
        return Candidate(name=name.name, target=configured(target, options), options=options)

    def connect_ahead(self, target: Target) -> None:
        """Begin to connect to the server of ``target``, which the next request will go to; waits for nothing."""
        provider = target.provider
        own = self._transport is None and "transport" not in self.__dict__
        if own and not provider.embedded and provider.name not in self.catalog.without_key:
            from provider_core.http.connections import preconnect

            self._ahead = preconnect(provider.base_url, provider.network, self.environ)

    @contextlib.contextmanager
    def open_provider(self, target: Target, *, key: str | None = None) -> Iterator[OpenProvider]:
        """The provider with its key; an embedded model runs until the context ends.

        ``key`` takes precedence over the provider's own sources. Raises ``ApiKeyError`` and ``LocalModelError``.
        """
        from provider_core.client import OpenProvider

        provider = target.provider
        if not provider.embedded:
            from provider_core import keys

            found = keys.resolve(provider, environ=self.environ, store=self.key_store, key=key)
            yield OpenProvider(client=self.client, provider=found.provider, key=found.value)
            return
        from provider_core.local.server import serve

        try:
            path = provider.gguf or self.default_model()
            with serve(
                path,
                alias=target.model,
                context=self.settings.local_context,
                threads=self.settings.local_threads,
            ) as endpoint:
                provider = replace(provider, base_url=endpoint.base_url, auth="bearer")
                yield OpenProvider(client=self.client, provider=provider, key=endpoint.key)
        except errors.LocalModelError as error:
            error.provider = target.provider.name
            raise

    def default_model(self) -> Path:
        """The embedded model's file, downloaded if necessary. Raises ``LocalModelError``."""
        from provider_core.local.server import ensure_default_model

        if self._fetch_progress is None:
            return ensure_default_model(self.paths.models)
        with self._fetch_progress() as on_progress:
            return ensure_default_model(self.paths.models, on_progress)

    def refresh(
        self, wanted: Sequence[Provider], on_done: Callable[[RefreshResult], None] = lambda _: None
    ) -> tuple[RefreshResult, ...]:
        """Ask the servers of the providers for their models, in parallel, and save the lists: see ``refresh``.

        If the key of a provider cannot be found, its result has the ``ApiKeyError``.
        """
        from provider_core import keys
        from provider_core.catalog import invalidate_snapshot, read_cached
        from provider_core.catalog.servers import RefreshResult, refresh

        found = keys.resolve_each(wanted, environ=self.environ, store=self.key_store)
        ready: list[tuple[Provider, str | None]] = []
        results: dict[str, RefreshResult] = {}
        for provider in wanted:
            credentials = found[provider.name]
            if isinstance(credentials, errors.ApiKeyError):
                cached = read_cached(self.paths.lists, provider)
                cached_at = cached.fetched_at if cached else None
                results[provider.name] = RefreshResult(
                    provider=provider, error=credentials, cached_at=cached_at
                )
                on_done(results[provider.name])
            else:
                ready.append((credentials.provider, credentials.value))
        if ready:
            for result in refresh(self.transport, self.paths.lists, ready, on_done=on_done):
                results[result.provider.name] = result
                if result.unsaved is not None:
                    self._unsaved[result.provider.name] = result.unsaved
            self._forget("catalog")
            invalidate_snapshot(self.paths)
        return tuple(results[provider.name] for provider in wanted)

    def reload(self, *, own: bool = False) -> None:
        """Read settings and model lists again when they are next needed; if ``own``, without profile and project."""
        if own:
            self.profile, self._use_project = "", False
        self._forget("settings", "catalog", "project")

    def separate(self) -> Runtime:
        """Another runtime for the same machine, so that this one counts as not used."""
        return Runtime(
            environ=self.environ,
            key_store=self._key_store,
            transport=self._transport,
            profile=self.profile,
            use_project=self._use_project,
        )

    def only(self, provider: Provider) -> Runtime:
        """A runtime with ``provider`` as its only one, and no default model."""
        from provider_core.settings import Settings

        return Runtime(
            environ=self.environ,
            settings=Settings(providers={provider.name: provider}),
            key_store=self.key_store,
            transport=self.transport,
        )

    def close(self) -> None:
        """Close the history, and the connections unless the transport was an argument."""
        if "history" in self.__dict__:
            self.history.close()
        if "prices" in self.__dict__:
            self.prices.close()
        if self._ahead is not None:
            self._ahead.close()
        if "transport" in self.__dict__ and self._transport is None:
            self.transport.close()

    def _forget(self, *names: str) -> None:
        """Make the values again when they are next needed, and the prices that depend on them."""
        if "prices" in self.__dict__:
            self.prices.close()
        for name in (*names, "prices"):
            self.__dict__.pop(name, None)

    def _list_models(self, missing: errors.NoModelError) -> None:
        """Ask the server of a provider without known models for them; raises why none can be chosen."""
        from provider_core.catalog import can_list_models

        provider = self.providers[missing.provider or ""]
        if not can_list_models(provider):
            raise missing
        (outcome,) = self.refresh([provider])
        match outcome.error:
            case None:
                return
            case errors.ApiKeyError() | errors.NetworkError() | errors.AuthenticationError() as error:
                raise error
            case error:
                raise errors.NoModelError(
                    f"{missing.message}: {error.message}", provider=provider.name
                ) from None
