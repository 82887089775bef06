"""``--dry-run``: requests as they would be sent, as JSON; nothing is sent, and no key is looked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from provider_core.types import Notice, Request, Target
    from telex.app import App

__all__ = ["dry_run", "request_object"]

_KEY = "[the key]"
_SECRET = "[redacted]"  # noqa: S105 - what stands in its place


def dry_run(app: App, target: Target, request: Request) -> None:
    """Print one object; see ``request_object``."""
    app.console.json(request_object(app, target, request))


def request_object(app: App, target: Target, request: Request) -> dict[str, Any]:
    """Method, url, headers and body. The address of an embedded model is not known before it starts: null.

    What is asked for and not in the body is reported on stderr.
    """
    from provider_core import keys
    from provider_core.redaction import redact
    from provider_core.request import is_secret_name, known_secrets
    from provider_core.settings.validators import parse_reference
    from provider_core.types import FieldDropped
    from telex.render.messages import status_line

    provider = target.provider
    if provider.embedded:
        provider = replace(provider, auth="bearer")
    keyed = provider.embedded or keys.source(provider, app.runtime.environ).kind != "none"

    def note(notice: Notice) -> None:
        if isinstance(notice, FieldDropped):
            app.console.note(status_line(notice, target))

    body = app.runtime.client.body(provider, request, notify=note)
    headers = app.runtime.client.headers(provider, body, _KEY if keyed else None)
    secrets = known_secrets(provider, None)
    own = {
        name.lower()
        for name, value in provider.headers.items()
        if is_secret_name(name) or parse_reference(value) is not None
    }
    return {
        "method": "POST",
        "url": None if provider.embedded else provider.url("/chat/completions"),
        "headers": {
            name: _SECRET if name in own and _KEY not in value else redact(value, secrets)
            for name, value in headers.items()
        },
        "body": body,
    }
