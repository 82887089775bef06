"""``telex models list`` and ``show``: filter and render the catalog; only ``--refresh`` asks servers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from telex.app import pass_app
from telex.command import Command
from telex.exit_codes import ASKING, ExitCode
from telex.options import Name
from telex.provider_commands import default_target

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from provider_core.catalog import Catalog, ModelListing, RefreshResult
    from provider_core.types import Model, Provider
    from telex.app import App

__all__ = ["list_", "show"]


@click.command(
    cls=Command,
    name="list",
    examples=(
        "telex models list --tools qwen",
        "telex models list --json --refresh | jq -r '.[].id'",
    ),
    exits=ASKING,
)
@click.argument("text", nargs=-1)
@click.option(
    "-P",
    "--provider",
    "names",
    type=Name("provider"),
    multiple=True,
    metavar="NAME",
    help="List only the models of this provider.",
)
@click.option("--reasoning", is_flag=True, help="List only models that are known to reason.")
@click.option("--tools", is_flag=True, help="List only models that are known to call tools.")
@click.option("--vision", is_flag=True, help="List only models that are known to read images.")
@click.option(
    "--all", "everything", is_flag=True, help="Include models that do not chat: embeddings, speech, images."
)
@click.option("--refresh", is_flag=True, help="Ask the servers for their current lists first.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@pass_app
def list_(
    app: App,
    *,
    text: tuple[str, ...],
    names: tuple[str, ...],
    reasoning: bool,
    tools: bool,
    vision: bool,
    everything: bool,
    refresh: bool,
    as_json: bool,
) -> None:
    """List the models that can be used now, as provider/model.

    Lists only models that contain every word of TEXT. Providers that are disabled, or that need a key and have
    none, are omitted. Servers are asked only with --refresh; their lists are then saved.
    """
    chosen = _chosen(app, names)
    outcomes = _refresh(app, chosen) if refresh else ()
    wanted = [
        ability for ability, on in (("reasoning", reasoning), ("tools", tools), ("vision", vision)) if on
    ]
    listings = [app.runtime.catalog.listing(provider.name) for provider in chosen]
    shown = [(listing, _matching(listing, text, wanted, everything=everything)) for listing in listings]
    from telex.render import models as render

    def report() -> None:
        if not listings:
            _say_why_none(app, names)
            return
        filtered = bool(text or wanted)
        _say(app, listings, found=any(models for _, models in shown), filtered=filtered, refreshed=refresh)
        if app.console.err_is_terminal and not everything and not filtered:
            _say_hidden(app, listings)

    early = False
    if as_json:
        render.as_json(app.console, shown, default_target(app))
    elif app.console.out_is_terminal:
        # Notes after the pager has closed would stand alone on the screen.
        early = render.is_long(app.console, shown)
        if early:
            report()
        render.table(app.console, shown, default_target(app))
    else:
        render.lines(app.console, shown)
    if not early:
        report()
    _stop_where_all_failed(outcomes)


def _chosen(app: App, names: Sequence[str]) -> list[Provider]:
    """The usable providers, or those that were named."""
    wanted = [app.runtime.provider(name).name for name in names]
    return [provider for provider in app.runtime.catalog.usable if not names or provider.name in wanted]


def _matching(
    listing: ModelListing, words: Iterable[str], abilities: Iterable[str], *, everything: bool
) -> list[Model]:
    wanted = [word.casefold() for word in words]
    prefix = f"{listing.provider.name} {listing.provider.display_name} "

    def matches(model: Model) -> bool:
        if not everything and model.kind != "chat":
            return False
        if not all(getattr(model, ability) for ability in abilities):
            return False
        if not wanted:
            return True
        haystack = f"{prefix}{listing.provider.name}/{model.id} {model.name}".casefold()
        return all(word in haystack for word in wanted)

    return [model for model in listing.models if matches(model)]


def _refresh(app: App, chosen: Sequence[Provider]) -> tuple[RefreshResult, ...]:
    from provider_core.catalog import can_list_models
    from telex.render import models as render

    asked = [provider for provider in chosen if can_list_models(provider)]
    if not asked:
        return ()
    with render.asking(app.console, len(asked)) as progress:
        outcomes = app.runtime.refresh(asked, on_done=progress)
    for outcome in outcomes:
        if words := _failure(outcome):
            app.console.note(words)
    return outcomes


def _stop_where_all_failed(outcomes: Sequence[RefreshResult]) -> None:
    """Stop if no list could be fetched and none is saved: with the errors' exit code, or 1 if they differ.

    A refused key stops even if a list is saved.
    """
    from provider_core.errors import AuthenticationError
    from telex.error_hints import code_and_hint
    from telex.exit_codes import ExitCode, Stop

    errors = [
        each.error
        for each in outcomes
        # A key that is refused has to be put right, whatever was listed before.
        if each.error is not None and (each.cached_at is None or isinstance(each.error, AuthenticationError))
    ]
    if not errors or len(errors) < len(outcomes):
        return
    codes = {code_and_hint(error)[0] for error in errors}
    raise Stop(codes.pop() if len(codes) == 1 else ExitCode.OTHER)


def _failure(outcome: RefreshResult) -> str | None:
    from provider_core.errors import KeyDestinationError
    from telex.error_hints import code_and_hint
    from telex.humanize import age

    name = outcome.provider.name
    if outcome.error is None:
        return None if outcome.unsaved is None else f"{name}: its list of models could not be saved."
    words = f"{name}: {outcome.error.message.rstrip('.')}."
    if isinstance(outcome.error, KeyDestinationError):
        words += f"\n{code_and_hint(outcome.error, outcome.provider)[1]}"
    if outcome.cached_at is not None:
        return f"{words} Its list of {age(time.time() - outcome.cached_at)} ago stays."
    return words


def _say(app: App, listings: Sequence[ModelListing], *, found: bool, filtered: bool, refreshed: bool) -> None:
    """Notes on stderr: why the list is empty, what is omitted, and which lists are old."""
    note = app.console.note
    if not found and filtered:
        note("No model matches.")
    if app.console.err_is_terminal and (left_out := _left_out(app.runtime.catalog)):
        note(f"Left out: {left_out}.")
    old = "" if refreshed else _outdated(listings)
    if old:
        note(f"{old}. To ask the servers: telex models list --refresh")
    elif not found and not filtered:
        name = listings[0].provider.name if len(listings) == 1 else "PROVIDER"
        note(f"No model is known. To declare one: telex models add {name} ID")


def _say_hidden(app: App, listings: Sequence[ModelListing]) -> None:
    hidden = sum(model.kind != "chat" for listing in listings for model in listing.models)
    if hidden:
        app.console.note(f"Hidden, because they do not chat: {hidden} (--all shows them).")


def _say_why_none(app: App, names: Sequence[str]) -> None:
    from provider_core.errors import NoProviderError
    from telex.error_hints import code_and_hint

    catalog, note = app.runtime.catalog, app.console.note
    if not catalog.providers:
        _, steps = code_and_hint(NoProviderError("no provider is set up"))
        note(f"No provider is set up.\n{steps}")
        return
    note("No provider can be asked now.")
    for name, provider in catalog.providers.items():
        if names and name not in names:
            continue
        if not provider.enabled:
            note(f"{name} is disabled: telex providers edit {name} --enable")
        else:
            note(f"{name} has no key: {_no_key(provider)}")


def _no_key(provider: Provider) -> str:
    variables = " or ".join(provider.key_env[:2])
    return f"{f'set {variables}, or ' if variables else ''}telex providers set-key {provider.name}"


def _left_out(catalog: Catalog) -> str:
    parts = []
    for name, provider in catalog.providers.items():
        if not provider.enabled:
            parts.append(f"{name} (disabled)")
        elif name in catalog.without_key:
            parts.append(f"{name} (no key)")
    return ", ".join(parts)


def _outdated(listings: Iterable[ModelListing]) -> str:
    """Which lists were never fetched, and which are out of date."""
    from provider_core.catalog import can_list_models
    from telex.humanize import age

    asked = [listing for listing in listings if can_list_models(listing.provider)]
    never = [listing.provider.name for listing in asked if listing.fetched_at is None]
    old = [
        f"{listing.provider.name} ({age(time.time() - listing.fetched_at)})"
        for listing in asked
        if listing.fetched_at is not None and listing.stale
    ]
    parts = [f"Not fetched yet: {_some(never)}"] if never else []
    if old:
        parts.append(f"Fetched long ago: {_some(old)}")
    return ". ".join(parts)


def _some(names: Sequence[str], most: int = 5) -> str:
    more = len(names) - most
    return ", ".join(names) if more < 1 else f"{', '.join(names[:most])} and {more} more"


@click.command(
    cls=Command,
    examples=(
        "telex models show groq/openai/gpt-oss-120b",
        "telex models show groq/openai/gpt-oss-120b --json | jq .context",
    ),
    exits=(
        ExitCode.SETTINGS,
        ExitCode.KEY,
    ),
)
@click.argument("id", metavar="ID", type=Name("model"))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@pass_app
def show(app: App, *, id: str, as_json: bool) -> None:  # noqa: A002 - the option's name
    """Show what telex knows about the model that -m ID means."""
    from provider_core.resolve import resolve
    from telex.render import models as render

    target = resolve(id, app.runtime.catalog)
    listing = app.runtime.catalog.listing(target.provider.name)
    model = next((model for model in listing.models if model.id == target.model), None)
    aliases = [
        name for name, to in app.runtime.catalog.aliases.items() if to in (str(target), id) and name != id
    ]
    if as_json:
        render.card_as_json(app.console, target, listing, model, default_target(app))
    else:
        missing = _no_key(target.provider) if target.provider.name in app.runtime.catalog.without_key else ""
        render.card(
            app.console,
            target,
            listing,
            model,
            default=default_target(app),
            aliases=aliases,
            missing_key=missing,
        )
