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

    from provider_core.client import Client
    from provider_core.keys import Key, KeyStore
    from provider_core.settings import Paths, Settings
    from provider_core.types import Provider, Target

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
    ) -> None:
        self.environ = os.environ if environ is None else environ
        self.console = console or Console(environ=self.environ)
        self._key_store = key_store
        self._client = client

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

        return self._key_store or KeyringStore()

    @cached_property
    def client(self) -> Client:
        from provider_core.client import Client

        return self._client or Client()

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
        """What ``-m name`` means, else the default, else the only provider, else the embedded model."""
        from provider_core import local
        from provider_core.resolve import resolve

        name = name or self.settings.model
        if name is not None:
            return resolve(name, self.providers)
        configured = self.settings.providers
        if not configured and local.installed():
            target = resolve("local", self.providers)
            self.console.note(f"No provider is set up: {target} answers, on this machine.")
            return target
        return resolve(None, configured)

    def key(self, provider: Provider) -> Key | None:
        """The provider's key, or None where none is needed."""
        from provider_core import keys

        return keys.find(provider, environ=self.environ, store=self.key_store)

    @contextlib.contextmanager
    def reach(self, target: Target) -> Iterator[tuple[Provider, str | None]]:
        """The provider as it can be asked now, with its key: an embedded model runs until the context ends."""
        provider = target.provider
        if not provider.embedded:
            key = self.key(provider)
            yield provider, key.value if key else None
            return
        from provider_core import local

        path = provider.gguf or self._default_model()
        with local.serve(
            path,
            alias=target.model,
            context=self.settings.local_context,
            threads=self.settings.local_threads,
        ) as endpoint:
            yield replace(provider, base_url=endpoint.base_url, auth="bearer"), endpoint.key

    def _default_model(self) -> Path:
        from provider_core import local
        from telex.render.progress import fetch_progress

        with fetch_progress(self.console) as on_progress:
            return local.ensure_default_model(self.paths.models, on_progress)

    def close(self) -> None:
        """Let go of what the run opened."""
        if "client" in self.__dict__:
            self.client.close()


pass_app = click.make_pass_decorator(App)
