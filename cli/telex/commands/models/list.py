"""``telex models list`` and ``show``: print models from the catalog; only ``--refresh`` connects to servers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from telex.app import pass_app
from telex.exit_codes import ASKING, ExitCode, Stop
from telex.main import Command
from telex.options import Name, Number
from telex.provider_commands import default_target

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from provider_core.catalog import ModelListing
    from provider_core.catalog.servers import RefreshResult
    from provider_core.prices import ModelPrice
    from provider_core.types import Model, Provider
    from telex.app import App
    from telex.render.models import ListedModel


@click.command(
    cls=Command,
    name="list",
    examples=(
        "telex models list --tools qwen",
        "telex models list --max-price 1 --sort price | head",
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
    help="List only the models of this provider. Repeatable.",
)
@click.option("--reasoning", is_flag=True, help="List only models that are known to reason.")
@click.option("--tools", is_flag=True, help="List only models that are known to call tools.")
@click.option("--vision", is_flag=True, help="List only models that are known to read images.")
@click.option(
    "--all", "everything", is_flag=True, help="Include models that do not chat: embeddings, speech, images."
)
@click.option(
    "--max-price",
    type=Number(0, 1_000_000),
    metavar="USD",
    help="List only models whose input and output cost no more than this, in dollars per million tokens.",
)
@click.option(
    "--sort",
    type=click.Choice(("name", "price")),
    default="name",
    show_default=True,
    help="Sort by name, or by price of input and output together, the cheapest first.",
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
    max_price: float | None,
    sort: str,
    refresh: bool,
    as_json: bool,
) -> None:
    """List the models of all enabled providers that have a key or need none.

    TEXT limits the list to models whose name contains every word. Each model is printed as provider/model. With
    --refresh, telex asks the servers for their lists and saves them; otherwise, it prints the saved lists.
    """
    from decimal import Decimal

    from telex.render import models as render

    named = [app.runtime.provider(name).name for name in names]
    chosen = [provider for provider in app.runtime.catalog.usable if not names or provider.name in named]
    results = _refresh(app, chosen) if refresh else ()
    listings = [app.runtime.catalog.listing(provider.name) for provider in chosen]
    by_price = sort == "price" or max_price is not None
    detailed = as_json or app.console.out_is_terminal
    default = default_target(app) if detailed else None
    wanted = [name for name, on in (("reasoning", reasoning), ("tools", tools), ("vision", vision)) if on]
    rows = [
        render.ListedModel(
            listing, model, _price(app, listing, model) if detailed or by_price else None, default
        )
        for listing in listings
        for model in listing.models
        if (everything or model.kind == "chat")
        and all(getattr(model, ability) for ability in wanted)
        and (not text or _has_words(listing, model, text))
    ]
    unpriced = by_price and not any(row.price for row in rows)
    if max_price is not None:
        limit = Decimal(str(max_price))
        rows = [
            row
            for row in rows
            if row.price and max(row.price.price.input or 0, row.price.price.output or 0) <= limit
        ]
    grouped = sort != "price"
    if not grouped:
        rows.sort(key=_by_price)

    def note() -> None:
        if not listings:
            _note_no_provider(app, names)
            return
        filtered = bool(text or wanted) or max_price is not None
        _note_omissions(app, listings, found=bool(rows), filtered=filtered, refreshed=refresh)
        if not app.console.err_is_terminal:
            return
        if unpriced and app.runtime.prices.lacks_library:
            from telex.error_hints import install_command

            app.console.note(f"No price is known. To know more of them: {install_command('telex[prices]')}")
        others = sum(model.kind != "chat" for listing in listings for model in listing.models)
        if others and not everything and not filtered:
            app.console.note(f"Hidden, because they do not chat: {others} (--all shows them).")

    # The pager clears the screen, so notes come before it.
    paged = app.console.out_is_terminal and not as_json and render.is_long(app.console, rows, grouped=grouped)
    if paged:
        note()
    if as_json:
        app.console.json([row.as_json() for row in rows])
    elif app.console.out_is_terminal:
        render.table(app.console, rows, grouped=grouped)
    elif rows:
        app.console.out("".join(f"{row.id}\n" for row in rows))
    if not paged:
        note()
    _stop_if_all_failed(results)


def _has_words(listing: ModelListing, model: Model, words: Sequence[str]) -> bool:
    provider = listing.provider
    searched = f"{provider.name} {provider.display_name} {provider.name}/{model.id} {model.name}".casefold()
    return all(word.casefold() in searched for word in words)


def _price(app: App, listing: ModelListing, model: Model) -> ModelPrice | None:
    """The prices of the model, if all of them are known."""
    from provider_core.types import Target

    found = app.runtime.prices.price(Target(provider=listing.provider, model=model.id))
    return found if found is not None and found.price.is_complete else None


def _by_price(row: ListedModel) -> tuple[bool, Decimal | int]:
    """Sort key: the cheapest first; models of unknown price come last, in their order."""
    found = row.price
    return (True, 0) if found is None else (False, (found.price.input or 0) + (found.price.output or 0))


def _refresh(app: App, chosen: Sequence[Provider]) -> tuple[RefreshResult, ...]:
    from provider_core.catalog import can_list_models
    from telex.render import models as render

    asked = [provider for provider in chosen if can_list_models(provider)]
    if not asked:
        return ()
    with render.asking(app.console, len(asked)) as progress:
        results = app.runtime.refresh(asked, on_done=progress)
    for result in results:
        _report(app, result)
    return results


def _report(app: App, result: RefreshResult) -> None:
    from provider_core.errors import KeyDestinationError
    from telex.error_hints import code_and_hint
    from telex.humanize import age

    name = result.provider.name
    if result.error is None:
        if result.unsaved is not None:
            app.console.note(f"{name}: its list of models could not be saved.")
        return
    words = f"{name}: {result.error.message.rstrip('.')}."
    if isinstance(result.error, KeyDestinationError):
        words += f"\n{code_and_hint(result.error, result.provider)[1]}"
    if result.cached_at is not None:
        words += f" Its list of {age(time.time() - result.cached_at)} ago is unchanged."
    app.console.note(words)


def _stop_if_all_failed(results: Sequence[RefreshResult]) -> None:
    """Stop if no list could be fetched and none is saved: with the errors' exit code, or 1 if they differ.

    A refused key stops even if a list is saved.
    """
    from provider_core.errors import AuthenticationError
    from telex.error_hints import code_and_hint

    errors = [
        each.error
        for each in results
        if each.error is not None and (each.cached_at is None or isinstance(each.error, AuthenticationError))
    ]
    if errors and len(errors) == len(results):
        codes = {code_and_hint(error)[0] for error in errors}
        raise Stop(codes.pop() if len(codes) == 1 else ExitCode.OTHER)


def _note_omissions(
    app: App, listings: Sequence[ModelListing], *, found: bool, filtered: bool, refreshed: bool
) -> None:
    """Explain on stderr why the list is empty, what is omitted, and which lists are old."""
    from provider_core.catalog import can_list_models
    from telex.humanize import age

    note, catalog = app.console.note, app.runtime.catalog
    if not found and filtered:
        note("No model matches.")
    omitted = [
        f"{name} ({'no key' if provider.enabled else 'disabled'})"
        for name, provider in catalog.providers.items()
        if not provider.enabled or name in catalog.without_key
    ]
    if omitted and app.console.err_is_terminal:
        note(f"Omitted: {', '.join(omitted)}.")
    asked = [] if refreshed else [listing for listing in listings if can_list_models(listing.provider)]
    never = [listing.provider.name for listing in asked if listing.fetched_at is None]
    old = [
        f"{listing.provider.name} ({age(time.time() - listing.fetched_at)})"
        for listing in asked
        if listing.fetched_at is not None and listing.stale
    ]
    parts = [f"Not fetched yet: {_some(never)}"] if never else []
    if old:
        parts.append(f"Fetched long ago: {_some(old)}")
    if parts:
        note(f"{'. '.join(parts)}. To ask the servers: telex models list --refresh")
    elif not found and not filtered:
        name = listings[0].provider.name if len(listings) == 1 else "PROVIDER"
        note(f"No model is known. To declare one: telex models add {name} ID")


def _note_no_provider(app: App, names: Sequence[str]) -> None:
    from provider_core.errors import NoProviderError
    from telex.error_hints import code_and_hint

    catalog, note = app.runtime.catalog, app.console.note
    if not catalog.providers:
        _, steps = code_and_hint(NoProviderError("no provider is set up"))
        note(f"No provider is set up.\n{steps}")
        return
    note("No provider can be used now.")
    for name, provider in catalog.providers.items():
        if names and name not in names:
            continue
        if not provider.enabled:
            note(f"{name} is disabled: telex providers edit {name} --enable")
        else:
            note(f"{name} has no key: {_how_to_set_key(provider)}")


def _how_to_set_key(provider: Provider) -> str:
    variables = " or ".join(provider.key_env[:2])
    return f"{f'set {variables}, or ' if variables else ''}telex providers set-key {provider.name}"


def _some(names: Sequence[str], most: int = 5) -> str:
    more = len(names) - most
    return ", ".join(names) if more < 1 else f"{', '.join(names[:most])} and {more} more"


@click.command(
    cls=Command,
    examples=(
        "telex models show groq/openai/gpt-oss-120b",
        "telex models show groq/openai/gpt-oss-120b --json | jq .context",
    ),
    exits=(ExitCode.SETTINGS, ExitCode.KEY),
)
@click.argument("id", metavar="ID", type=Name("model"))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@pass_app
def show(app: App, *, id: str, as_json: bool) -> None:  # noqa: A002 - the option's name
    """Show what telex knows about a model, and the options of its chats with the source of each.

    ID is as in telex chat -m: an alias, PROVIDER/MODEL, a provider, or a model name that only one provider has.
    """
    from provider_core.types import Model
    from telex.error_hints import install_command
    from telex.render import models as render

    runtime = app.runtime
    found = runtime.candidates(id, ask=False)
    target, options = next((each.target, each.options) for each in found if each.target is not None)
    listing = runtime.catalog.listing(target.provider.name)
    model = next((model for model in listing.models if model.id == target.model), None)
    row = render.ListedModel(
        listing,
        model or Model(id=target.model),
        runtime.prices.price(target),
        default_target(app),
        model is not None,
    )
    targets = [str(each.target or each.name) for each in found]
    if as_json:
        app.console.json({**row.as_json(), "options": render.options_as_json(options), "targets": targets})
        return
    aliases = [
        name
        for name, alias in runtime.catalog.aliases.items()
        if name != id and not {str(target), id}.isdisjoint(alias.targets)
    ]
    missing_key = target.provider.name in runtime.catalog.without_key
    only_on_terminal = (
        runtime.settings.model is None
        and target.provider.embedded
        and target.provider.name in runtime.catalog.not_set_up
    )
    render.card(
        app.console,
        row,
        options,
        {
            "aliases": ", ".join(aliases),
            "targets": ", ".join(targets) if len(targets) > 1 else "",
            "default": f"used without -m{' on a terminal' if only_on_terminal else ''}"
            if row.is_default
            else "",
            "key": f"none: {_how_to_set_key(target.provider)}" if missing_key else "",
        },
        more_prices=install_command("telex[prices]") if runtime.prices.lacks_library else "",
    )
