"""What every command is given: the console, the environment, and makers of dear things that run on demand."""

from __future__ import annotations

import contextlib
from functools import cached_property
from typing import TYPE_CHECKING

import click

from provider_core.runtime import Runtime
from telex.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from provider_core.client import Client
    from provider_core.errors import CoreError
    from provider_core.history import History
    from provider_core.keys import KeyStore
    from provider_core.settings import Settings
    from provider_core.types import Provider, Target, Transport
    from telex.exit_codes import ExitCode
    from telex.repl.standing import Standing

__all__ = ["App", "pass_app"]


class App(Runtime):
    """One run of the program: what is set up, and the console that it is told at.

    Tests hand in their own environment, console, key store or client.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        console: Console | None = None,
        key_store: KeyStore | None = None,
        client: Client | None = None,
        transport: Transport | None = None,
    ) -> None:
        super().__init__(environ=environ, key_store=key_store, client=client, transport=transport)
        self.console = console or Console(environ=self.environ)
        self.standing: Standing | None = None
        """What keeps a provider reached from one question to the next, for as long as a conversation goes on."""
        self._warned: set[str] = set()
        self.arguments: tuple[str, ...] = ()
        """The command line, for errors: a key in it is not repeated."""
        self.quiet = False
        """Whether only answers and errors are wanted."""
        self.save_images: Path | None = None
        """The folder that images of answers are written to."""
        self.leaves_no_trace = False
        """Set by a command that looks and changes nothing, not even what completion reads."""

    @cached_property
    def settings(self) -> Settings:
        """As ``Runtime.settings``; warns once of each entry that is left out."""
        found = super().settings
        for entry, error in found.problems.items():
            if entry not in self._warned and not self.quiet:
                where = f" in {error.path}" if error.path and str(error.path) not in error.message else ""
                self.console.note(f"Warning: {error.message} (ignoring {entry}{where})")
            self._warned.add(entry)
        return found

    @cached_property
    def history(self) -> History:
        """The conversations of this user; the database is opened when it is first used."""
        from provider_core.history import History

        return History(self.paths.history)

    @contextlib.contextmanager
    def open_provider(
        self, target: Target, *, key: str | None = None
    ) -> Iterator[tuple[Provider, str | None]]:
        """As ``Runtime.open_provider``, or what it gave the last time where that still stands."""
        way = super().open_provider(target, key=key)
        if self.standing is not None and key is None:
            way = self.standing.open_provider(target, super().open_provider)
        with way as reached:
            yield reached

    def known(self, name: str | None) -> Provider | None:
        """The provider of this name as far as the settings were read already; reads nothing.

        One that is not set up is a preset whose key is in the environment.
        """
        settings, catalog = self.__dict__.get("settings"), self.__dict__.get("catalog")
        if settings is None or not name:
            return None
        found: Provider | None = settings.providers.get(name)
        if found is None and catalog is not None and name in catalog.not_set_up:
            found = catalog.providers.get(name)
        return found

    def advice(self, error: CoreError) -> tuple[ExitCode, str | None]:
        """The exit code for an error and what to do about it; what is not set up is added where it would be changed."""
        from telex.exit_codes import code_and_hint

        provider = self.known(error.provider)
        code, hint = code_and_hint(error, provider)
        if hint and provider is not None and provider.name not in self.settings.providers:
            for change in ("edit", "set-key"):
                hint = hint.replace(
                    f"telex providers {change} {provider.name}", f"telex providers add {provider.name}"
                )
        return code, hint

    def target(self, name: str | None, *, ask: bool = True) -> Target:
        """As ``Runtime.target``; a note names the model if nothing is set up.

        Without a terminal the embedded model has to be named: raises ``NoProviderError`` where it was not.
        """
        target = super().target(name, ask=ask)
        provider = target.provider
        if name or self.settings.model is not None or provider.name not in self.catalog.not_set_up:
            return target
        if not provider.embedded:
            from provider_core import keys

            variable = keys.source(provider, self.environ).variable
            words = f"{target} answers, because {variable} is set."
        elif self.console.stdin_is_terminal() or self.console.err_is_terminal:
            words = (
                f"{target} answers, a small demo model on this machine that is often wrong.\n"
                "To set up another: telex providers add openai (telex providers presets lists others)"
            )
        else:
            from provider_core.errors import NoProviderError

            raise NoProviderError("no provider is set up")
        if not self.quiet:
            self.console.note(f"No provider is set up: {words}")
        return target

    def default_model(self) -> Path:
        """As ``Runtime.default_model``; the fetching is shown."""
        from provider_core import local
        from telex.render.progress import fetch_progress

        with fetch_progress(self.console) as on_progress:
            return local.ensure_default_model(self.paths.models, on_progress)

    def close(self) -> None:
        """Let go of what the run opened; what completion reads follows a change of the settings."""
        if "paths" in self.__dict__ and not self.leaves_no_trace:
            from telex import lists

            self.quiet = True  # settings that are read for completion alone are no reason to warn
            lists.follow(self)
        if "history" in self.__dict__:
            self.history.close()
        super().close()


pass_app = click.make_pass_decorator(App)
