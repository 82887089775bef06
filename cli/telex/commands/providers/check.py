"""``telex providers test``: every provider is checked in a thread of its own, and the exit code sums it up."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from telex.context import pass_app
from telex.exits import ExitCode, Stop, code_and_hint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provider_core.errors import ApiKeyError, CoreError
    from provider_core.probe import Card, Report, Step, Trait
    from provider_core.types import Provider
    from telex.context import App

__all__ = ["command"]


@click.command(name="test", epilog="Example: telex providers test --all --json")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All providers that are not switched off.")
@click.option("--model", metavar="ID", help="The model to ask, instead of the default one.")
@click.option("--deep", is_flag=True, help="Find out what the model can do, by about a dozen short requests.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=60.0, show_default=True,
              metavar="SECONDS", help="The longest wait for a server.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One list of objects.")
@pass_app
def command(
    app: App,
    *,
    names: tuple[str, ...],
    every: bool,
    model: str | None,
    deep: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Check that providers answer, step by step.

    reach (name, connection, TLS), models, auth and stream (one token of a chat), usage. In a pipe each line
    has NAME, passed or failed, the five steps with their times, and the model that was asked, with tabs
    between. The exit code is 0 only when all passed.
    """
    from telex.render import probe as render

    providers = _wanted(app, names, every=every)
    if model and len(providers) > 1:
        raise click.UsageError("--model is for one provider")
    with render.live(app.console, [provider.name for provider in providers]) as told:
        results = _all(app, providers, model, deep=deep, timeout=timeout, told=told)
    reports = [result.report for result in results]
    found = [result.card for result in results if result.card is not None]
    if as_json:
        objects = [
            {**render.as_json(each.report), **({"card": render.card_as_json(each.card)} if each.card else {})}
            for each in results
        ]
        app.console.out(json.dumps(objects, ensure_ascii=False, indent=2) + "\n")
    else:
        render.report(app.console, reports)
        render.cards(app.console, found)
    _conclude(app, providers, results)


def _wanted(app: App, names: Sequence[str], *, every: bool) -> list[Provider]:
    from provider_core.errors import NoProviderError
    from telex.commands.providers import verify

    if names and every:
        raise click.UsageError("name providers or give --all, not both")
    configured = app.settings.providers
    if names:
        known = app.providers
        return [
            known[name] if name in known else verify.configured(app, name) for name in dict.fromkeys(names)
        ]
    if not configured:
        raise NoProviderError("no provider is set up")
    if not every and len(configured) > 1:
        raise click.UsageError(f"say which to test, or --all: {', '.join(configured)}")
    enabled = [provider for provider in configured.values() if provider.enabled]
    return enabled or list(configured.values())


class _Result:
    """What came of one provider."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.card: Card | None = None
        self.error: CoreError | None = report.error


def _all(
    app: App,
    providers: Sequence[Provider],
    model: str | None,
    *,
    deep: bool,
    timeout: float,
    told: Callable[[str, Step | Trait], None],
) -> list[_Result]:
    """Check all at once. Keys come first and one by one: commands and keyrings may ask a person."""
    from provider_core.errors import KeyCommandError, KeyStoreError

    results: queue.SimpleQueue[tuple[int, _Result | BaseException]] = queue.SimpleQueue()

    def work(at: int, provider: Provider, key: str | None, missing: ApiKeyError | None) -> None:
        try:
            results.put((at, _one(app, provider, key, missing, model, deep=deep, timeout=timeout, told=told)))
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            results.put((at, error))

    broken: ApiKeyError | None = None
    with contextlib.ExitStack() as running:
        for at, provider in enumerate(providers):
            reached, key, missing = _reached(app, provider, running, broken)
            if isinstance(missing, KeyStoreError) and not isinstance(missing, KeyCommandError):
                broken = missing  # it failed after seconds, and would for each
            # Daemons: Ctrl-C must not wait for a server that is silent.
            threading.Thread(target=work, args=(at, reached, key, missing), daemon=True).start()
        done: dict[int, _Result] = {}
        while len(done) < len(providers):
            at, result = results.get()
            if isinstance(result, BaseException):
                raise result
            done[at] = result
    return [done[at] for at in sorted(done)]


def _reached(
    app: App, provider: Provider, running: contextlib.ExitStack, broken: ApiKeyError | None
) -> tuple[Provider, str | None, ApiKeyError | None]:
    """The provider with its key, or why there is none; a model file is served until ``running`` is closed."""
    from provider_core.errors import ApiKeyError
    from provider_core.keys import source
    from provider_core.types import Target

    if broken is not None and source(provider, app.environ).kind == "keyring":
        return provider, None, broken
    model = provider.default_model or next((m.id for m in provider.models), provider.name)
    try:
        reached, key = running.enter_context(app.reach(Target(provider=provider, model=model)))
    except ApiKeyError as error:
        return provider, None, error
    return reached, key, None


def _one(
    app: App,
    provider: Provider,
    key: str | None,
    missing: ApiKeyError | None,
    model: str | None,
    *,
    deep: bool,
    timeout: float,
    told: Callable[[str, Step | Trait], None],
) -> _Result:
    from provider_core import probe
    from provider_core.errors import CoreError
    from provider_core.repair import Memory

    result = _Result(
        probe.check(
            provider,
            key=key,
            missing=missing,
            model=model,
            timeout=timeout,
            environ=app.environ,
            on_step=lambda step: told(provider.name, step),
        )
    )
    if deep and result.report.passed and result.report.model:
        try:
            result.card = probe.explore(
                replace(provider, network=replace(provider.network, retries=1)),
                result.report.model,
                key=key,
                memory=Memory(app.paths.cache / "refused-fields.json"),
                timeout=timeout,
                environ=app.environ,
                on_trait=lambda trait: told(provider.name, trait),
            )
        except CoreError as error:
            result.error = error
    return result


def _conclude(app: App, providers: Sequence[Provider], results: Sequence[_Result]) -> None:
    """Say what failed and why; stop with its exit code, or with 1 where the failures differ."""
    codes: list[ExitCode] = []
    for provider, result in zip(providers, results, strict=True):
        if result.error is not None:
            code, hint = code_and_hint(result.error, provider)
            app.console.error(result.error.message, hint)
            codes.append(code)
        elif not result.report.passed:
            app.console.error(
                f"{provider.name} could not be asked: no model of it is known",
                f"Name one: telex providers test {provider.name} --model ID",
            )
            codes.append(ExitCode.SETTINGS)
    if codes:
        raise Stop(codes[0] if len(set(codes)) == 1 else ExitCode.OTHER)
