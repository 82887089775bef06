"""``telex providers test``, and the checks of a provider before it is saved: may it get the key, does it answer."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import click

from provider_core.errors import NotFoundError
from provider_core.structs import replace
from telex.app import pass_app
from telex.commands.providers.arguments import ATTEMPTS, prompt_key
from telex.error_hints import code_and_hint
from telex.exit_codes import ASKING, ExitCode, Stop
from telex.humanize import plural
from telex.main import Command
from telex.options import Name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provider_core.errors import ApiKeyError, CoreError
    from provider_core.keys import Credentials
    from provider_core.probe import CheckReport, CheckStep
    from provider_core.probe.explore import CapabilityCard, Trait
    from provider_core.types import Provider
    from telex.app import App
    from telex.commands.providers.arguments import KeyChoice

_CHECK_URL = "Check --base-url URL: it is the part before /chat/completions, often ending in /v1"
_NOTHING_SAVED = "Nothing was saved. To save without asking the server: --no-verify"


def require_encryption(app: App, provider: Provider, key: str | None) -> None:
    """Raise ``UsageError`` if a key or a secret header would be sent unencrypted beyond private networks."""
    from provider_core.errors import KeyDestinationError
    from provider_core.keys import check_destination, source
    from provider_core.settings.validators import parse_reference

    secret = any(map(parse_reference, provider.headers.values()))
    if not (key is not None or secret or source(provider, app.runtime.environ).kind != "none"):
        return
    try:
        check_destination("the key", provider.base_url, provider.network, environ=app.runtime.environ)
    except KeyDestinationError as error:
        raise click.UsageError(f"{error.message}\nUse https, or --allow-http.") from None


def verify(app: App, provider: Provider, key: str | None, *, can_retry: bool = False) -> CheckReport | None:
    """Check the provider with the new ``key``, or with the key of its own source; None for a model file.

    On a failure, reports why and stops with the error's exit code. ``can_retry`` means that the user can type
    another key if this one is refused.
    """
    from provider_core import keys, presets, probe
    from provider_core.errors import (
        ApiKeyError,
        AuthenticationError,
        KeyDestinationError,
        KeyStoreError,
        MissingKeyError,
        NetworkError,
    )

    if provider.embedded:
        return None
    app.console.note(f"Asking {provider.base_url} …")
    missing: ApiKeyError | None = None
    try:
        found = keys.resolve(provider, environ=app.runtime.environ, store=app.runtime.key_store, key=key)
        provider, key = found.provider, found.value
    except ApiKeyError as failure:
        missing = failure
    report = probe.check(provider, key=key, missing=missing, environ=app.runtime.environ)
    error = report.error
    if error is None and (report.passed or report["models"].status == "ok"):
        return report
    if error is None:
        raise Stop(_report_unasked(app, provider, report, "--model ID", _NOTHING_SAVED))
    is_known = provider.name in app.runtime.settings.providers
    code, hint = code_and_hint(error, provider if is_known or isinstance(error, NetworkError) else None)
    lines = [suggestion(app, report)]
    match error:
        case MissingKeyError(secret="", key_env=[variable, *_]):
            lines.append(f"Set {variable}, or use --key-stdin or --key-command CMD")
        case MissingKeyError(secret="") | AuthenticationError() if key is None:
            lines.append("Use --key-stdin, --key-env VAR or --key-command CMD")
        case AuthenticationError():
            if (preset := presets.of(provider)) is not None and preset.regions:
                lines.append(f"Keys are per region: is it one of {' or '.join(preset.regions)}?")
        case KeyStoreError() if keys.source(provider, app.runtime.environ).kind == "none":
            lines.append('Take the secret of the header from a variable instead: --header "NAME: env:VAR"')
        case NetworkError() | KeyStoreError() | KeyDestinationError() | MissingKeyError() if hint:
            lines.append(hint if is_known else hint.replace(f"telex providers edit {provider.name}", "use"))
        case NotFoundError() if type(error) is NotFoundError and not is_known and not report.suggested_base:
            lines.append(_CHECK_URL)
    if not (can_retry and code is ExitCode.KEY):
        lines.append(_NOTHING_SAVED)
    app.console.error(error.message, "\n".join(filter(None, lines)))
    raise Stop(code)


def checked_key(
    app: App, provider: Provider, choice: KeyChoice, *, no_verify: bool
) -> tuple[CheckReport | None, KeyChoice, str | None]:
    """Check that the key of ``choice`` may be sent, and unless ``no_verify`` that the provider accepts it.

    A typed key that is refused can be typed again. Returns the choice with the key that was accepted, and the key as it
    is stored. Raises ``UsageError``, or ``Stop`` as ``verify`` does.
    """
    from provider_core.keys import seal_for

    require_encryption(app, provider, choice.key)
    report = None
    for left in reversed(range(0 if no_verify else ATTEMPTS)):
        can_retry = choice.typed and left > 0
        try:
            report = verify(app, provider, choice.key, can_retry=can_retry)
            break
        except Stop as stop:
            if stop.code is not ExitCode.KEY or not can_retry:
                raise
        choice = replace(choice, key=prompt_key(provider, optional=False))
    return report, choice, seal_for(provider, choice.key) if choice.key is not None else None


def _report_unasked(
    app: App, provider: Provider, report: CheckReport, model_option: str, last: str = ""
) -> ExitCode:
    """Report that there is neither a list nor a model to ask; returns the exit code.

    ``model_option`` names a model, as a whole command or as an option of the typed one.
    """
    from provider_core.errors import ProtocolError

    why, suggested = report.unlisted, suggestion(app, report)
    is_new = provider.name not in app.runtime.settings.providers
    lines = [suggested or f"Name a model: {model_option}"]
    if isinstance(why, NotFoundError) and not suggested:
        change = f"Change the address: telex providers edit {provider.name} --base-url URL"
        lines.insert(0, _CHECK_URL if is_new else change)
    reason = f" ({why.message})" if why is not None else ""
    if isinstance(why, NotFoundError):
        words = f"no API found at {provider.base_url}{reason}"
    else:
        words = f"{provider.name} lists no models{reason}, so there is none to test"
    app.console.error(words, "\n".join(filter(None, (*lines, last))))
    if suggested:
        return ExitCode.PROVIDER
    if why is None or isinstance(why, NotFoundError | ProtocolError):
        return ExitCode.SETTINGS
    return code_and_hint(why, provider)[0]


def suggestion(app: App, report: CheckReport) -> str | None:
    """A hint with the address at which the server answers, if the provider's own is wrong."""
    base = report.suggested_base
    if base is None:
        return None
    is_new = report.provider not in app.runtime.settings.providers
    option = f"--base-url {base}"
    command = option if is_new else f"telex providers edit {report.provider} {option}"
    return f"The API answers at {base}: {command}"


def summary(report: CheckReport) -> str:
    """One line about the result of a check: what works, and what is missing."""
    models = f"lists {plural(len(report.models), 'model')}" if report.models else "lists no models"
    lines = [f"The server responds and {models}."]
    if (auth := report["auth"]).status == "ok" and auth.detail:
        lines.append(f"{auth.detail[:1].upper()}{auth.detail[1:]}.")
    if report["stream"].status == "absent":
        lines.append("Answers arrive in one piece.")
    if report["usage"].status == "absent":
        lines.append("The server reports no token counts.")
    return " ".join(lines)


# --- test ------------------------------------------------------------------------------------------------


@click.command(
    cls=Command,
    examples=(
        "telex providers test deepseek --deep",
        "telex providers test --all --json | jq -r '.[] | select(.passed | not).provider'",
    ),
    exits=ASKING,
)
@click.argument("names", metavar="[NAME]...", nargs=-1, type=Name("provider"))
@click.option("--all", "every", is_flag=True, help="Test all enabled providers.")
@click.option("--model", metavar="ID", help="Ask this model instead of the default one.")
@click.option(
    "--deep", is_flag=True, help="Also test which features the model supports (about a dozen short requests)."
)
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=60, show_default=True,
              metavar="SECONDS", help="Give up on a server after this many seconds.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
@pass_app
def test(
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

    Without NAME, tests the only provider; if there are several, name them or use --all. There are five steps: reach
    (DNS, connection, TLS), models, auth, stream (one token) and usage. In a pipe, each line has NAME, passed or failed,
    the five steps with their times, and the model, separated by tabs. The exit code is 0 only if every step passed.
    """
    from provider_core.catalog.servers import at_once
    from provider_core.keys import resolve_each
    from telex.render import providers as render

    providers = _wanted(app, names, every=every)
    if model and len(providers) > 1:
        raise click.UsageError("--model is for one provider")
    # Keys are looked up one by one, because commands and keyrings may prompt.
    credentials = resolve_each(providers, environ=app.runtime.environ, store=app.runtime.key_store)
    one_file = threading.Lock()
    results: dict[int, _Result] = {}
    with render.live(app.console, [provider.name for provider in providers]) as on_step:
        test_one = partial(_test_one, app, on_step, one_file, model=model, deep=deep, timeout=timeout)
        for at, result in at_once([partial(test_one, each, credentials[each.name]) for each in providers]):
            if isinstance(result, BaseException):
                raise result
            results[at] = result
    found = [results[at] for at in range(len(providers))]
    if as_json:
        app.console.json(
            [
                {**render.report_as_json(report), **({"card": render.card_as_json(card)} if card else {})}
                for report, card, _ in found
            ]
        )
    else:
        render.report(app.console, [report for report, _, _ in found])
        render.cards(app.console, [card for _, card, _ in found if card is not None])
    _report_failures(app, providers, found)


def _wanted(app: App, names: Sequence[str], *, every: bool) -> list[Provider]:
    from provider_core.errors import NoProviderError

    if names and every:
        raise click.UsageError("NAME and --all cannot be used together")
    configured = app.runtime.settings.providers
    if names:
        return [app.runtime.provider(name) for name in dict.fromkeys(names)]
    if not configured:
        raise NoProviderError("no provider is set up")
    if not every and len(configured) > 1:
        raise click.UsageError(
            f"several providers are set up: {', '.join(configured)}\nName the ones to test, or use --all."
        )
    enabled = [provider for provider in configured.values() if provider.enabled]
    return enabled or list(configured.values())


_Result: TypeAlias = "tuple[CheckReport, CapabilityCard | None, CoreError | None]"
"""The report on one provider, the card of its model, and the first error."""


def _test_one(
    app: App,
    on_step: Callable[[str, CheckStep | Trait], None],
    one_file: threading.Lock,
    provider: Provider,
    found: Credentials | ApiKeyError,
    *,
    model: str | None,
    deep: bool,
    timeout: float,
) -> _Result:
    """Test a provider with its key, or report why there is none. ``one_file`` is held while a model file is loaded."""
    from provider_core import probe
    from provider_core.errors import ApiKeyError, CoreError, LocalModelError
    from provider_core.probe.explore import explore
    from provider_core.request import UnsupportedFieldCache
    from provider_core.types import Target

    name, environ = provider.name, app.runtime.environ
    known = () if provider.embedded else app.runtime.catalog.listing(name).models
    key: str | None = None
    with ExitStack() as stack:
        if provider.embedded:
            # llama.cpp serves the file under any name.
            model = model or provider.default_model or next((m.id for m in provider.models), name)
            try:
                stack.enter_context(one_file)
                opened = stack.enter_context(
                    app.runtime.open_provider(Target(provider=provider, model=model))
                )
            except LocalModelError as error:
                return probe.CheckReport.unreached(name, error), None, error
            provider, key = opened.provider, opened.key
        elif not isinstance(found, ApiKeyError):
            provider, key = found.provider, found.value
        report = probe.check(
            provider,
            key=key,
            missing=found if isinstance(found, ApiKeyError) else None,
            model=model,
            known=known,
            timeout=timeout,
            environ=environ,
            on_step=lambda step: on_step(name, step),
        )
        if not (deep and report.passed and report.model):
            return report, None, report.error
        try:
            card = explore(
                replace(provider, network=replace(provider.network, retries=1)),
                report.model,
                key=key,
                cache=UnsupportedFieldCache(app.runtime.paths.refusals),
                timeout=timeout,
                environ=environ,
                on_trait=lambda trait: on_step(name, trait),
            )
        except CoreError as error:
            return report, None, error
        return report, card, report.error


def _report_failures(app: App, providers: Sequence[Provider], results: Sequence[_Result]) -> None:
    """Report failures, and stop with their exit code, or with 1 if they differ."""
    codes: list[ExitCode] = []
    for provider, (report, _, error) in zip(providers, results, strict=True):
        if error is not None:
            code, hint = app.advice(error)
            app.console.error(error.message, suggestion(app, report) or hint)
            codes.append(code)
        elif not report.passed:
            command = f"telex providers test {provider.name} --model ID"
            codes.append(_report_unasked(app, provider, report, command))
    if codes:
        raise Stop(codes[0] if len(set(codes)) == 1 else ExitCode.OTHER)
