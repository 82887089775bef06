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
    from collections.abc import Iterable, Sequence
    from decimal import Decimal

    from provider_core.catalog import ModelListing
    from provider_core.catalog.servers import RefreshResult
    from provider_core.types import Model, Provider
    from telex.app import App
    from telex.render.models import PriceTable


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
    from telex.render import models as render

    named = [app.runtime.provider(name).name for name in names]
    chosen = [provider for provider in app.runtime.catalog.usable if not names or provider.name in named]
    results = _refresh(app, chosen) if refresh else ()
    wanted = [
        ability for ability, on in (("reasoning", reasoning), ("tools", tools), ("vision", vision)) if on
    ]
    listings = [app.runtime.catalog.listing(provider.name) for provider in chosen]
    shown = [(listing, _matching(listing, text, wanted, everything=everything)) for listing in listings]
    prices: PriceTable = {}
    if as_json or app.console.out_is_terminal or sort == "price" or max_price is not None:
        prices = _prices(app, shown)
    if max_price is not None:
        shown = [(listing, _up_to(max_price, listing, models, prices)) for listing, models in shown]
    if sort == "price":
        shown = _by_price(shown, prices)

    def note() -> None:
        if not listings:
            _note_no_provider(app, names)
            return
        filtered = bool(text or wanted) or max_price is not None
        _note_omissions(app, shown, filtered=filtered, refreshed=refresh)
        others = sum(model.kind != "chat" for listing in listings for model in listing.models)
        if (sort == "price" or max_price is not None) and app.console.err_is_terminal:
            _note_unpriced(app, prices)
        if others and app.console.err_is_terminal and not everything and not filtered:
            app.console.note(f"Hidden, because they do not chat: {others} (--all shows them).")

    # The pager clears the screen, so notes come before it.
    grouped = sort != "price"
    long = render.is_long(app.console, shown, grouped=grouped)
    paged = app.console.out_is_terminal and not as_json and long
    if paged:
        note()
    if as_json:
        render.as_json(app.console, shown, default_target(app), prices)
    elif app.console.out_is_terminal:
        render.table(app.console, shown, default_target(app), prices, grouped=grouped)
    else:
        render.lines(app.console, shown)
    if not paged:
        note()
    _stop_if_all_failed(results)


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
        searched = f"{prefix}{listing.provider.name}/{model.id} {model.name}".casefold() if wanted else ""
        return all(word in searched for word in wanted)

    return [model for model in listing.models if matches(model)]


# --- prices --------------------------------------------------------------------------------------------------


def _prices(app: App, shown: Sequence[tuple[ModelListing, Sequence[Model]]]) -> PriceTable:
    """The prices that are known of the models, by provider and id."""
    from provider_core.types import Target

    found = {
        (listing.provider.name, model.id): app.runtime.prices.price(
            Target(provider=listing.provider, model=model.id)
        )
        for listing, models in shown
        for model in models
    }
    return {key: price for key, price in found.items() if price is not None and price.price.is_complete}


def _up_to(
    most: float,
    listing: ModelListing,
    models: Iterable[Model],
    prices: PriceTable,
) -> list[Model]:
    """The models whose input and output cost no more than ``most`` dollars per million tokens."""
    from decimal import Decimal

    limit = Decimal(str(most))
    known = [(model, prices.get((listing.provider.name, model.id))) for model in models]
    return [
        model
        for model, found in known
        if found is not None and max(found.price.input or 0, found.price.output or 0) <= limit
    ]


def _by_price(
    shown: Sequence[tuple[ModelListing, Sequence[Model]]], prices: PriceTable
) -> list[tuple[ModelListing, list[Model]]]:
    """Each model by itself, the cheapest first; those of unknown price come last, in their order."""

    def key(item: tuple[ModelListing, list[Model]]) -> tuple[bool, Decimal | int]:
        found = prices.get((item[0].provider.name, item[1][0].id))
        return (True, 0) if found is None else (False, (found.price.input or 0) + (found.price.output or 0))

    return sorted(((listing, [model]) for listing, models in shown for model in models), key=key)


def _note_unpriced(app: App, prices: PriceTable) -> None:
    """Explain on stderr why no price is known."""
    if prices or not app.runtime.prices.lacks_library:
        return
    from telex.error_hints import install_command

    app.console.note(f"No price is known. To know more of them: {install_command('telex[prices]')}")


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
        words += f" Its list of {age(time.time() - result.cached_at)} ago stays."
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
    app: App, shown: Sequence[tuple[ModelListing, Sequence[Model]]], *, filtered: bool, refreshed: bool
) -> None:
    """Explain on stderr why the list is empty, what is omitted, and which lists are old."""
    from provider_core.catalog import can_list_models
    from telex.humanize import age

    note, catalog = app.console.note, app.runtime.catalog
    found = any(models for _, models in shown)
    if not found and filtered:
        note("No model matches.")
    omitted = [
        f"{name} ({'no key' if provider.enabled else 'disabled'})"
        for name, provider in catalog.providers.items()
        if not provider.enabled or name in catalog.without_key
    ]
    if omitted and app.console.err_is_terminal:
        note(f"Omitted: {', '.join(omitted)}.")
    asked = [] if refreshed else [listing for listing, _ in shown if can_list_models(listing.provider)]
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
        name = shown[0][0].provider.name if len(shown) == 1 else "PROVIDER"
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
    from telex.render import models as render

    found = app.runtime.candidates(id, ask=False)
    target = next(each.target for each in found if each.target is not None)
    listing = app.runtime.catalog.listing(target.provider.name)
    model = next((model for model in listing.models if model.id == target.model), None)
    aliases = [
        name
        for name, alias in app.runtime.catalog.aliases.items()
        if name != id and not {str(target), id}.isdisjoint(alias.targets)
    ]
    if as_json:
        render.card_as_json(
            app.console, found, listing, model, default_target(app), app.runtime.prices.price(target)
        )
    else:
        missing = (
            _how_to_set_key(target.provider)
            if target.provider.name in app.runtime.catalog.without_key
            else ""
        )
        render.card(
            app.console,
            found,
            listing,
            model,
            default=default_target(app),
            aliases=aliases,
            missing_key=missing,
            price=app.runtime.prices.price(target),
            lacks_library=app.runtime.prices.lacks_library,
            needs_terminal=app.runtime.settings.model is None
            and target.provider.embedded
            and target.provider.name in app.runtime.catalog.not_set_up,
        )
