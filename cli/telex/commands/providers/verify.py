"""Check whether a key may be sent to a provider, and whether the provider works."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NoReturn

import click

from provider_core.errors import NotFoundError
from telex.error_hints import code_and_hint
from telex.exit_codes import ExitCode, Stop
from telex.humanize import plural

if TYPE_CHECKING:
    from provider_core.probe import Report
    from provider_core.types import Provider
    from telex.app import App

__all__ = ["allowed", "passed", "suggestion", "summary"]

_NOTHING_SAVED = "Nothing was saved. To save without asking the server: --no-verify"


def allowed(app: App, provider: Provider, key: str | None) -> None:
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
        raise click.UsageError(f"{error.message}: use https, or --allow-http") from None


def passed(app: App, provider: Provider, key: str | None, *, again: bool = False) -> Report | None:
    """Check the provider with the new ``key``, or with the key of its own source; None for a model file.

    On a failure, reports why and stops with the error's exit code. ``again`` means that the user can type another
    key if this one is refused.
    """
    from provider_core import keys, probe
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
        _could_not_be_asked(app, provider, report)
    is_known = provider.name in app.runtime.settings.providers
    code, hint = code_and_hint(error, provider if is_known or isinstance(error, NetworkError) else None)
    lines = [line for line in (suggestion(app, report),) if line]
    secret_missing = isinstance(error, MissingKeyError) and error.secret
    if (isinstance(error, NetworkError | KeyStoreError | KeyDestinationError) or secret_missing) and hint:
        lines.append(hint if is_known else _while_adding(app, provider, hint))
    elif isinstance(error, MissingKeyError):
        lines.append(
            f"Set {error.key_env[0]}, or give the key in another way: --key-stdin or --key-command CMD"
            if error.key_env
            else "Give the key: --key-stdin, --key-env VAR or --key-command CMD"
        )
    if isinstance(error, AuthenticationError) and key is None:
        lines.append("The server wants a key: --key-stdin, --key-env VAR or --key-command CMD")
    elif isinstance(error, AuthenticationError) and (regions := _regions(provider)):
        lines.append(f"Keys are per region: is it one of {' or '.join(regions)}?")
    if not (again and code is ExitCode.KEY):
        lines.append(_NOTHING_SAVED)
    app.console.error(error.message, "\n".join(lines))
    raise Stop(code)


def _while_adding(app: App, provider: Provider, hint: str) -> str:
    """The hint for a provider that is not set up yet: the typed command with another option."""
    return hint.replace(f"telex providers edit {provider.name}", shlex.join(["telex", *app.arguments]))


def _could_not_be_asked(app: App, provider: Provider, report: Report) -> NoReturn:
    """Stop because nothing answered: there is no list, and no model to chat with."""
    why = report.unlisted
    words = f" ({why.message})" if why is not None else ""
    if report.suggested_base and why is not None:
        app.console.error(why.message, f"{suggestion(app, report)}\n{_NOTHING_SAVED}")
        raise Stop(ExitCode.PROVIDER)
    edit = f"telex providers edit {provider.name}"
    is_new = provider.name not in app.runtime.settings.providers
    lines = [f"If it is right, name a model: {'' if is_new else f'{edit} '}--model ID"]
    if isinstance(why, NotFoundError):
        lines.insert(0, f"Check the address: {'' if is_new else f'{edit} '}--base-url URL")
    app.console.error(
        f"{provider.name} could not be asked: no model of it is known, and it lists none{words}",
        "\n".join([*lines, _NOTHING_SAVED]),
    )
    raise Stop(ExitCode.SETTINGS)


def suggestion(app: App, report: Report) -> str | None:
    """A hint with the address at which the server answers, if the provider's own is wrong."""
    base = report.suggested_base
    if base is None:
        return None
    is_new = report.provider not in app.runtime.settings.providers
    option = f"--base-url {base}"
    command = option if is_new else f"telex providers edit {report.provider} {option}"
    return f"The API answers at {base}: {command}"


def summary(report: Report) -> str:
    """One line about the result of a check: what works, and what is missing."""
    count = len(report.models)
    none = "no model yet" if report["models"].status == "ok" else "no list of models"
    parts = [plural(count, "model") if count else none]
    if report["auth"].status == "ok":
        parts.append(report["auth"].detail or "the key is accepted")
    if report["stream"].status == "absent":
        parts.append("answers come in one piece")
    if report["usage"].status == "absent":
        parts.append("no token counts")
    return f"It answers: {', '.join(parts)}."


def _regions(provider: Provider) -> tuple[str, ...]:
    from provider_core import presets

    preset = presets.get(provider.preset) if provider.preset else None
    return preset.regions if preset else ()
