"""``--dry-run``: the request as it would be sent, as JSON; nothing is sent, and no key is looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provider_core.types import Request, Target
    from telex.context import App

__all__ = ["dry_run"]

_KEY = "[the key]"


def dry_run(app: App, target: Target, request: Request) -> None:
    """One object with method, url, headers and body. The address of an embedded model is chosen when it starts."""
    from provider_core import quirks

    provider = target.provider
    known = not provider.embedded
    headers = quirks.headers(provider, _KEY if provider.auth != "none" else None)
    shown = {name: _KEY if quirks.holds_secret(name) else value for name, value in headers.items()}
    app.console.json(
        {
            "method": "POST",
            "url": provider.url("/chat/completions") if known else None,
            "headers": {"content-type": "application/json", **shown},
            "body": app.client.body(provider, request),
        }
    )
