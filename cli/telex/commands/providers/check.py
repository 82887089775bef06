"""``telex providers test``: check each provider in its own thread; the exit code summarizes the results."""

from __future__ import annotations

import queue
import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import click

from telex.app import pass_app
from telex.command import Command
from telex.error_hints import code_and_hint
from telex.exit_codes import ASKING, ExitCode, Stop
from telex.options import Name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provider_core.errors import ApiKeyError, CoreError
    from provider_core.probe import Card, Report, Step, Trait
    from provider_core.types import Provider
    from telex.app import App

__all__ = ["command"]


@click.command(
    cls=Command,
    name="test",
    examples=(
        "telex providers test deepseek --deep",
        "telex providers test --all --json | jq -r '.[] | select(.passed | not).provider'",
    ),
    exits=ASKING,
)
@click.argument("names", metavar="[NAME]...", nargs=-1, type=Name("provider"))
@click.option("--all", "every", is_flag=True, help="Test all providers that are enabled.")
@click.option("--model", metavar="ID", help="Ask this model instead of the default one.")
@click.option("--deep", is_flag=True, help="Test what the model can do, with about a dozen short requests.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=60.0, show_default=True,
              metavar="SECONDS", help="Give up on a server after this many seconds.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
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

    The steps are reach (name, connection, TLS), models, auth and stream (one token of a chat), and usage. In a
    pipe, each line has NAME, passed or failed, the five steps with their times, and the model, separated by tabs.
    The exit code is 0 only if every step passed.
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
        app.console.json(objects)
    else:
        render.report(app.console, reports)
        render.cards(app.console, found)
    _conclude(app, providers, results)


def _wanted(app: App, names: Sequence[str], *, every: bool) -> list[Provider]:
    from provider_core.errors import NoProviderError

    if names and every:
        raise click.UsageError("name providers or give --all, not both")
    configured = app.runtime.settings.providers
    if names:
        return [app.runtime.provider(name) for name in dict.fromkeys(names)]
    if not configured:
        raise NoProviderError("no provider is set up")
    if not every and len(configured) > 1:
        raise click.UsageError(f"say which to test, or --all: {', '.join(configured)}")
    enabled = [provider for provider in configured.values() if provider.enabled]
    return enabled or list(configured.values())


class _Result:
    """The result for one provider."""

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
    """Check all at once, after looking up the keys one by one, because commands and keyrings may prompt."""
    from provider_core.errors import ApiKeyError
    from provider_core.keys import resolve_each

    credentials = resolve_each(providers, environ=app.runtime.environ, store=app.runtime.key_store)
    results: queue.SimpleQueue[tuple[int, _Result | BaseException]] = queue.SimpleQueue()
    turns = threading.Lock()

    def check(provider: Provider) -> _Result:
        found = credentials[provider.name]
        ask = partial(_one, app, model=model, deep=deep, timeout=timeout, told=told)
        if isinstance(found, ApiKeyError):
            return ask(provider, None, found)
        if not provider.embedded:
            return ask(found.provider, found.value, None)
        with turns:  # each holds a model in memory while it is asked
            return _embedded(app, provider, model, ask)

    def work(at: int, provider: Provider) -> None:
        try:
            results.put((at, check(provider)))
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            results.put((at, error))

    for at, provider in enumerate(providers):
        # Daemons: Ctrl-C must not wait for a server that is silent.
        threading.Thread(target=work, args=(at, provider), daemon=True).start()
    done: dict[int, _Result] = {}
    while len(done) < len(providers):
        at, result = results.get()
        if isinstance(result, BaseException):
            raise result
        done[at] = result
    return [done[at] for at in sorted(done)]


def _embedded(app: App, provider: Provider, model: str | None, ask: Callable[..., _Result]) -> _Result:
    """The result for a model file, which runs only during the check."""
    from provider_core.errors import LocalModelError
    from provider_core.probe import Report
    from provider_core.types import Target

    # The file is served under whatever name it is asked by.
    name = model or provider.default_model or next((m.id for m in provider.models), provider.name)
    try:
        with app.open_provider(Target(provider=provider, model=name)) as opened:
            return ask(opened.provider, opened.key, None, model=name)
    except LocalModelError as error:
        return _Result(Report.unreached(provider.name, error))


def _one(
    app: App,
    provider: Provider,
    key: str | None,
    missing: ApiKeyError | None,
    *,
    model: str | None,
    deep: bool,
    timeout: float,
    told: Callable[[str, Step | Trait], None],
) -> _Result:
    from provider_core import probe
    from provider_core.errors import CoreError
    from provider_core.request import UnsupportedFieldCache

    result = _Result(
        probe.check(
            provider,
            key=key,
            missing=missing,
            model=model,
            known=() if provider.embedded else app.runtime.catalog.listing(provider.name).models,
            timeout=timeout,
            environ=app.runtime.environ,
            on_step=lambda step: told(provider.name, step),
        )
    )
    if deep and result.report.passed and result.report.model:
        try:
            result.card = probe.explore(
                replace(provider, network=replace(provider.network, retries=1)),
                result.report.model,
                key=key,
                memory=UnsupportedFieldCache(app.runtime.paths.refusals),
                timeout=timeout,
                environ=app.runtime.environ,
                on_trait=lambda trait: told(provider.name, trait),
            )
        except CoreError as error:
            result.error = error
    return result


def _conclude(app: App, providers: Sequence[Provider], results: Sequence[_Result]) -> None:
    """Report failures, and stop with their exit code, or with 1 if they differ."""
    from provider_core.errors import NotFoundError, ProtocolError
    from telex.commands.providers import verify

    codes: list[ExitCode] = []
    for provider, result in zip(providers, results, strict=True):
        if result.error is not None:
            code, hint = code_and_hint(result.error, provider)
            app.console.error(result.error.message, verify.suggestion(app, result.report) or hint)
            codes.append(code)
        elif not result.report.passed:
            why = result.report.unlisted
            hint = f"Check the address: telex providers edit {provider.name} --base-url URL"
            words = f" ({why.message})" if why is not None else ""
            name = f"Name one: telex providers test {provider.name} --model ID"
            suggested = verify.suggestion(app, result.report)
            app.console.error(
                f"{provider.name} could not be asked: no model of it is known{words}",
                suggested or (f"{name}\n{hint}" if isinstance(why, NotFoundError) else name),
            )
            if suggested:
                codes.append(ExitCode.PROVIDER)
            elif why is None or isinstance(why, NotFoundError | ProtocolError):
                codes.append(ExitCode.SETTINGS)
            else:
                codes.append(code_and_hint(why, provider)[0])
    if codes:
        raise Stop(codes[0] if len(set(codes)) == 1 else ExitCode.OTHER)
