"""The proxies that are set, and which way a request to each provider would take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.errors import SettingsError
from telex.doctor.finding import ok, problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.types import Provider
    from telex.doctor.case import Case
    from telex.doctor.finding import Finding

_VARIABLES = ("https_proxy", "http_proxy", "all_proxy", "no_proxy")


def check(case: Case) -> Iterator[Finding]:
    from provider_core.settings.validators import without_credentials

    spellings = (name for each in _VARIABLES for name in (each, each.upper()))
    named = [(name, case.environ[name]) for name in spellings if case.environ.get(name)]
    if not named:
        yield ok("variables", "none is set")
    for name, value in named:
        yield ok(name, value if name.lower() == "no_proxy" else without_credentials(value))
    for provider in case.sound.values():
        if provider.enabled and not provider.embedded:
            yield _way(case, provider)


def _way(case: Case, provider: Provider) -> Finding:
    from provider_core.http import Proxies

    try:
        proxy, reason = Proxies(case.environ).explain(provider.base_url, provider.network.proxy)
    except SettingsError as error:
        return problem(provider.name, error.message, "See: telex help proxies")
    if proxy is None:
        words = {"loopback": "straight: it is this machine", "": "straight"}
        return ok(provider.name, words.get(reason, f"straight ({reason})"))
    return ok(provider.name, f"through {proxy} ({reason})")
