"""What every command is given: the runtime and the console."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from provider_core.errors import CoreError
from provider_core.runtime import Runtime
from telex.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from provider_core.errors import SettingsError
    from provider_core.keys import KeyStore
    from provider_core.local import Progress
    from provider_core.types import Target, Transport
    from telex.exit_codes import ExitCode


class App:
    """One run of the program: its runtime (settings, keys, history, providers) and its console.

    Tests pass their own environment, console, key store or transport. ``arguments`` is the command line, for errors.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        console: Console | None = None,
        key_store: KeyStore | None = None,
        transport: Transport | None = None,
        arguments: tuple[str, ...] = (),
    ) -> None:
        self.runtime = Runtime(
            environ=environ,
            key_store=key_store,
            transport=transport,
            on_problem=self._warn,
            use_project=True,
            fetch_progress=self._fetch_progress,
        )
        self.console = console or Console(environ=self.runtime.environ)
        self.arguments = arguments
        self.unpriced: set[str] = set()
        """Models whose price was reported as unknown."""
        self._project_reported = False

    def advice(self, error: CoreError) -> tuple[ExitCode, str | None]:
        """The exit code for an error, and a hint; for a provider that is not set up, the hint adds it.

        No line of the hint suggests the command that has just run.
        """
        import shlex

        from telex.error_hints import code_and_hint

        provider = self.runtime.loaded_provider(error.provider)
        code, hint = code_and_hint(error, provider)
        if hint and provider is not None and provider.name not in self.runtime.settings.providers:
            for change in ("edit", "set-key"):
                hint = hint.replace(
                    f"telex providers {change} {provider.name}", f"telex providers add {provider.name}"
                )
        ran = shlex.join(["telex", *self.arguments])
        lines = [
            line
            for line in (hint or "").splitlines()
            if not ran.startswith(line[line.find(": telex ") + 2 :])
        ]
        return code, "\n".join(lines) or None

    def hint(self, error: BaseException) -> str | None:
        return self.advice(error)[1] if isinstance(error, CoreError) else None

    def target(self, name: str | None, *, ask: bool = True) -> Target:
        """As ``Runtime.target``; a note names the model if nothing is set up, and one the project's settings in force.

        Without a terminal, raises ``NoProviderError`` instead of choosing the embedded model by itself.
        """
        runtime = self.runtime
        if runtime.project is not None:
            self.report_project()
        target = runtime.target(name, ask=ask)
        provider = target.provider
        if name or runtime.settings.model is not None or provider.name not in runtime.catalog.not_set_up:
            return target
        if not provider.embedded:
            from provider_core import keys

            variable = keys.source(provider, runtime.environ).variable
            words = f"using {target} because {variable} is set."
        elif self.console.stdin_is_terminal() or self.console.err_is_terminal:
            words = (
                f"using {target}, a small embedded model that is often wrong.\n"
                "To set up a provider: telex providers add openai (telex providers presets lists others)"
            )
        else:
            from provider_core.errors import NoProviderError

            raise NoProviderError("no provider is set up")
        if not _is_quiet():
            self.console.note(f"No provider is set up; {words}")
        return target

    def close(self) -> None:
        """Close what the run opened; completion's file follows a change of the settings."""
        if self.runtime.is_used:
            from provider_core.catalog import snapshot_is_current

            if not snapshot_is_current(self.runtime.paths, self.runtime.environ):
                from telex import completion_cache

                completion_cache.refresh(self.runtime)
        self.runtime.close()

    def report_project(self) -> None:
        """Print once whether the project's settings are used. An untrusted file, which may be anybody's, is
        mentioned only on a terminal.
        """
        found = self.runtime.project
        if found is None or self._project_reported or _is_quiet():
            return
        self._project_reported = True
        note, see = self.console.note, "To see what it sets: telex trust --show\nTo use it: telex trust"
        match found.state:
            case "trusted":
                project = self.runtime.settings.project
                if project is not None and project.settings:
                    note(f"Using {found.path}: {'; '.join(project.settings)}.")
            case "changed":
                note(f"{found.path} has changed since you trusted it, so it is not used.\n{see}")
            case "ci":
                note(f"{found.path} is not used in CI. To use it: TELEX_TRUST_PROJECT=1")
            case "untrusted" if self.runtime.environ.get("TELEX_TRUST_PROJECT"):
                note(f"{found.path} is not used: TELEX_TRUST_PROJECT only has an effect in CI.\n{see}")
            case "untrusted" if self.console.err_is_terminal:
                note(f"{found.path} is not trusted, so it is not used.\n{see}")
            case "unusable" if self.console.err_is_terminal:
                note(f"Project settings are not used: {found.reason}")

    def _warn(self, entry: str, error: SettingsError) -> None:
        if not _is_quiet():
            where = f" in {error.path}" if error.path and str(error.path) not in error.message else ""
            self.console.note(f"Warning: {error.message} (ignoring {entry}{where})")

    def _fetch_progress(self) -> AbstractContextManager[Callable[[Progress], None]]:
        from telex.render.tables import fetch_progress

        return fetch_progress(self.console)


def _is_quiet() -> bool:
    """Whether the command was given ``--quiet``, or has ended: then settings are read for completion only."""
    context = click.get_current_context(silent=True)
    return context is None or bool(context.params.get("quiet"))


pass_app = click.make_pass_decorator(App)
