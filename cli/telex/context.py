"""What every command is given: the console, the environment, and makers of dear things that run on demand."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import click

from telex.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from provider_core.history import History

    from provider_core.catalog import Catalog
    from provider_core.client import Client
    from provider_core.keys import Key, KeyStore
    from provider_core.settings import Paths, Settings
    from provider_core.types import Provider, Target, Transport

__all__ = ["App", "pass_app"]


class App:
    """One run of the program. Tests hand in their own environment, console, key store or client."""

    def __init__(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        console: Console | None = None,
        key_store: KeyStore | None = None,
        client: Client | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.environ = os.environ if environ is None else environ
        self.console = console or Console(environ=self.environ)
        self._key_store = key_store
        self._client = client
        self._transport = transport

    @cached_property
    def paths(self) -> Paths:
        from provider_core.settings import Paths

        return Paths.find(self.environ)

    @cached_property
    def settings(self) -> Settings:
        from provider_core.settings import load

        return load(self.paths, self.environ)

    @cached_property
    def key_store(self) -> KeyStore:
        from provider_core.keys import KeyringStore

        return self._key_store or KeyringStore(memory=self.paths.cache / "keyring")

    @cached_property
    def client(self) -> Client:
        from provider_core.client import Client
        from provider_core.repair import Memory

        return self._client or Client(self.transport, memory=Memory(self.paths.refusals))

    @cached_property
    def transport(self) -> Transport:
        """What every request goes through."""
        from provider_core.http import HttpTransport

        return self._transport or HttpTransport(self.environ)

    @cached_property
    def history(self) -> History:
        """The conversations of this user; the database is opened when it is first used."""
        from provider_core.history import History

        return History(self.paths.history)

    @cached_property
    def catalog(self) -> Catalog:
        """What can be named now. Opens no socket, and no keyring: a key that was stored counts as there."""
        from telex.lists import catalog

        return catalog(self)

    @property
    def providers(self) -> Mapping[str, Provider]:
        """The providers that are set up, and the embedded one where it is installed."""
        from provider_core import local

        found = dict(self.settings.providers)
        if local.installed():
            found["local"] = local.PROVIDER
        return found

    def known(self, name: str | None) -> Provider | None:
        """The provider of this name as far as the settings were read already; reads nothing."""
        settings = self.__dict__.get("settings")
        return settings.providers.get(name) if settings is not None and name else None

    def target(self, name: str | None) -> Target:
        """What ``-m name`` means, else the default, else the only provider, else the embedded model.

        Raises ``ModelError``; and, because a provider alone may need its server to be asked what it serves,
        everything that asking raises.
        """
        from provider_core.errors import ModelError, NoModelError
        from provider_core.resolve import resolve
        from telex import lists

        wanted = name or self.settings.model
        try:
            try:
                target = resolve(wanted, self.catalog)
            except NoModelError as error:
                if error.provider is None:
                    raise
                lists.ask_for(self, error)
                target = resolve(wanted, self.catalog)
            if lists.is_worn(self, target, wanted):
                lists.renew(self, target.provider)
                target = resolve(wanted, self.catalog)
        except ModelError as error:
            if not name and wanted is not None:
                origin = "TELEX_MODEL" if self.environ.get("TELEX_MODEL") else "the settings"
                error.explain(f"the default model, {wanted}, is from {origin}")
            raise
        if wanted is None and target.provider.embedded and target.provider.gguf is None:
            self.console.note(f"No provider is set up: {target} answers, on this machine.")
        return target

    def key(self, provider: Provider) -> Key | None:
        """The provider's key, or None where none is needed."""
        from provider_core import keys
        from provider_core.errors import ApiKeyError

        try:
            return keys.find(provider, environ=self.environ, store=self.key_store)
        except ApiKeyError as error:
            error.provider = provider.name
            raise

    @contextlib.contextmanager
    def reach(self, target: Target) -> Iterator[tuple[Provider, str | None]]:
        """The provider as it can be asked now, with its key: an embedded model runs until the context ends."""
        provider = target.provider
        if not provider.embedded:
            key = self.key(provider)
            yield provider, key.value if key else None
            return
        from provider_core import local
        from provider_core.errors import LocalModelError

        try:
            path = provider.gguf or self._default_model()
            with local.serve(
                path,
                alias=target.model,
                context=self.settings.local_context,
                threads=self.settings.local_threads,
            ) as endpoint:
                yield replace(provider, base_url=endpoint.base_url, auth="bearer"), endpoint.key
        except LocalModelError as error:
            error.provider = provider.name
            raise

    def _default_model(self) -> Path:
        from provider_core import local
        from telex.render.progress import fetch_progress

        with fetch_progress(self.console) as on_progress:
            return local.ensure_default_model(self.paths.models, on_progress)

    def close(self) -> None:
        """Let go of what the run opened; what completion reads follows a change of the settings."""
        if "paths" in self.__dict__:
            from telex import lists

            lists.follow(self)
        if "history" in self.__dict__:
            self.history.close()
        if "transport" in self.__dict__:
            self.transport.close()


pass_app = click.make_pass_decorator(App)
