"""What every command is given: the runtime and the console."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from provider_core.runtime import Runtime
from telex.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from provider_core.client import Client, OpenProvider
    from provider_core.errors import CoreError, SettingsError
    from provider_core.keys import KeyStore
    from provider_core.local import Progress
    from provider_core.types import Target, Transport
    from telex.exit_codes import ExitCode
    from telex.repl.standing import ProviderSession

__all__ = ["App", "pass_app"]


class App:
    """One run of the program: its runtime (settings, keys, history, providers) and its console.

    Tests pass their own environment, console, key store or client. ``arguments`` is the command line, for errors: a key
    in it is not repeated.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        console: Console | None = None,
        key_store: KeyStore | None = None,
        client: Client | None = None,
        transport: Transport | None = None,
        arguments: tuple[str, ...] = (),
    ) -> None:
        self.runtime = Runtime(
            environ=environ,
            key_store=key_store,
            client=client,
            transport=transport,
            on_problem=self._warn,
            fetch_progress=self._fetch_progress,
        )
        self.console = console or Console(environ=self.runtime.environ)
        self.arguments = arguments
        self.standing: ProviderSession | None = None
        """Keeps a provider open between the prompts of a conversation."""
        self.quiet = False
        """Whether only answers and errors are printed."""
        self.save_images: Path | None = None
        """The folder that images of answers are written to."""
        self.read_only = False
        """Whether the command changes no file, not even the one that completion reads."""

    @contextlib.contextmanager
    def open_provider(self, target: Target, *, key: str | None = None) -> Iterator[OpenProvider]:
        """As ``Runtime.open_provider``; during a conversation, the provider that is still open."""
        opened = self.runtime.open_provider(target, key=key)
        if self.standing is not None and key is None:
            opened = self.standing.open_provider(target, self.runtime.open_provider)
        with opened as provider:
            yield provider

    def advice(self, error: CoreError) -> tuple[ExitCode, str | None]:
        """The exit code for an error, and a hint; for a provider that is not set up, the hint adds it."""
        from telex.error_hints import code_and_hint

        provider = self.runtime.loaded_provider(error.provider)
        code, hint = code_and_hint(error, provider)
        if hint and provider is not None and provider.name not in self.runtime.settings.providers:
            for change in ("edit", "set-key"):
                hint = hint.replace(
                    f"telex providers {change} {provider.name}", f"telex providers add {provider.name}"
                )
        return code, hint

    def target(self, name: str | None, *, ask: bool = True) -> Target:
        """As ``Runtime.target``; a note names the model if nothing is set up.

        Without a terminal, raises ``NoProviderError`` instead of choosing the embedded model by itself.
        """
        runtime = self.runtime
        target = runtime.target(name, ask=ask)
        provider = target.provider
        if name or runtime.settings.model is not None or provider.name not in runtime.catalog.not_set_up:
            return target
        if not provider.embedded:
            from provider_core import keys

            variable = keys.source(provider, runtime.environ).variable
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

    def close(self) -> None:
        """Close what the run opened; completion's file follows a change of the settings."""
        if self.runtime.is_used and not self.read_only:
            from telex import completion_cache

            self.quiet = True  # settings that are read for completion alone are no reason to warn
            completion_cache.refresh(self.runtime)
        self.runtime.close()

    def _warn(self, entry: str, error: SettingsError) -> None:
        if not self.quiet:
            where = f" in {error.path}" if error.path and str(error.path) not in error.message else ""
            self.console.note(f"Warning: {error.message} (ignoring {entry}{where})")

    def _fetch_progress(self) -> AbstractContextManager[Callable[[Progress], None]]:
        from telex.render.progress import fetch_progress

        return fetch_progress(self.console)


pass_app = click.make_pass_decorator(App)
