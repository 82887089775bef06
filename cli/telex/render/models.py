"""Lists of models as lines, tables and JSON, and the card of one model."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, TypeAlias

from telex.console import visible
from telex.humanize import plural, short_number, shown
from telex.render import tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from decimal import Decimal

    from rich.text import Text

    from provider_core.catalog import ModelListing
    from provider_core.catalog.servers import RefreshResult
    from provider_core.options import Candidate, Options
    from provider_core.prices import ModelPrice, Price
    from provider_core.types import Model, Target
    from telex.console import Console

PriceTable: TypeAlias = "Mapping[tuple[str, str], ModelPrice]"
"""What models charge, by the name of the provider and the id of the model."""


def lines(console: Console, shown: Sequence[tuple[ModelListing, Sequence[Model]]]) -> None:
    """Print ``provider/model`` for each, one a line."""
    text = "".join(f"{listing.provider.name}/{model.id}\n" for listing, models in shown for model in models)
    if text:
        console.out(text)


def as_json(
    console: Console,
    shown: Sequence[tuple[ModelListing, Sequence[Model]]],
    default: Target | None,
    prices: PriceTable,
) -> None:
    """Print one list of objects; ``default`` is the model that is used without -m."""
    rows = [
        _fields(listing, model, default, prices.get((listing.provider.name, model.id)))
        for listing, models in shown
        for model in models
    ]
    console.json(rows)


def card_as_json(
    console: Console,
    found: Sequence[Candidate],
    listing: ModelListing,
    model: Model | None,
    default: Target | None,
    price: ModelPrice | None,
) -> None:
    """Print the object of one model, the first of ``found`` that can be asked. Of a model that is not in a list, only
    the name is known.
    """
    from provider_core.types import Model

    target, options = _first(found)
    fields = _fields(listing, model or Model(id=target.model), default, price)
    if model is None:
        fields["source"] = None
    fields["options"] = {
        place: {"value": _value(options, place), "source": source}
        for place, source in options.sources.items()
    }
    fields["targets"] = [str(each.target or each.name) for each in found]
    console.json(fields)


def _first(found: Sequence[Candidate]) -> tuple[Target, Options]:
    return next((each.target, each.options) for each in found if each.target is not None)


def _value(options: Options, place: str) -> Any:
    """The value of an option; secrets in headers are masked."""
    table, _, name = place.partition(".")
    if table == "headers":
        from telex.render.providers import setting_text

        return setting_text("headers", {name: options.values[table][name]}).partition(": ")[2]
    return options.values[table][name] if name else options.values[table]


def _fields(
    listing: ModelListing, model: Model, default: Target | None, price: ModelPrice | None
) -> dict[str, Any]:
    context, max_output, guessed = _limits(model)
    return {
        "id": f"{listing.provider.name}/{model.id}",
        "provider": listing.provider.name,
        "model": model.id,
        "name": model.name or None,
        "kind": model.kind,
        "context": context,
        "context_estimated": "context" in guessed,
        "max_output": max_output,
        "max_output_estimated": "max_output" in guessed,
        "reasoning": model.reasoning,
        "reasoning_levels": list(model.reasoning_levels),
        "tools": model.tools,
        "vision": model.vision,
        "price": None if price is None else _price_object(price.price),
        "price_source": None if price is None else price.source,
        "source": "user" if model.id in listing.declared else listing.source,
        "default": model.id == listing.default,
        "global_default": _is(listing, model, default),
    }


def _limits(model: Model) -> tuple[int | None, int | None, frozenset[str]]:
    """The context window, the longest answer, and which of the two are estimated."""
    if model.context is not None and model.max_output is not None and not model.context_is_maximum:
        return model.context, model.max_output, frozenset()
    from provider_core.presets import estimate_limits

    context, max_output = estimate_limits(model.id)
    guessed = set()
    if model.context_is_maximum if model.context is not None else context is not None:
        guessed.add("context")
    if model.max_output is None and max_output is not None:
        guessed.add("max_output")
    return model.context or context, model.max_output or max_output, frozenset(guessed)


def _price_object(price: Price) -> dict[str, Any]:
    """Amounts in US dollars per million tokens; "request" is for each request."""

    def numbers(amounts: Mapping[str, Decimal | None]) -> dict[str, Any]:
        return {name: None if number is None else float(number) for name, number in amounts.items()}

    found = numbers(price.amounts)
    found["above"] = [{"tokens": tokens, **numbers(tier.amounts)} for tokens, tier in price.above]
    found["batch"] = None if price.batch is None else _price_object(price.batch)
    return found


def table(
    console: Console,
    shown: Sequence[tuple[ModelListing, Sequence[Model]]],
    default: Target | None,
    prices: PriceTable,
    *,
    grouped: bool = True,
) -> None:
    """Print a table for each provider, or if not ``grouped`` one for all models."""
    groups = [(listing, models) for listing, models in shown if models]
    if groups:
        drawn = _drawn(console, groups, default, prices, grouped=grouped)
        tables.paged(console, drawn, long=is_long(console, shown, grouped=grouped))


def is_long(
    console: Console, shown: Sequence[tuple[ModelListing, Sequence[Model]]], *, grouped: bool = True
) -> bool:
    """Whether the table is longer than the screen, and goes through the pager."""
    rows = sum(len(models) + 2 * grouped for _, models in shown if models)
    return rows + 2 * (not grouped) >= console.height()


def _drawn(
    console: Console,
    groups: Sequence[tuple[ModelListing, Sequence[Model]]],
    default: Target | None,
    prices: PriceTable,
    *,
    grouped: bool,
) -> Iterator[str]:
    """Yield the table of each provider, or one of all."""
    from rich.cells import cell_len
    from rich.text import Text

    longest = max(
        cell_len(f"{listing.provider.name}/{model.id}") for listing, models in groups for model in models
    )
    priced = any(price.source != "local" for price in prices.values())
    # A narrow terminal has no room for all numbers.
    with_output = not priced or console.width() >= _WIDE
    room = console.width() - (45 + 13 * priced if with_output else 49)
    number = {"width": 7, "justify": "right", "no_wrap": True}
    columns: tuple[dict[str, Any], ...] = (
        {"width": min(longest, max(room, 24))},
        number,
        *([number] if with_output else []),
        *([{**number, "width": 11}] if priced else []),
        {},
    )
    headings = ["context", *(["output"] if with_output else []), *(["$/M in/out"] if priced else [])]

    def row(listing: ModelListing, model: Model) -> list[str | Text]:
        context, max_output, guessed = _limits(model)
        cells: list[str | Text] = [
            f"{listing.provider.name}/{model.id}",
            _shortened(context, guess="context" in guessed),
        ]
        if with_output:
            cells.append(_shortened(max_output, guess="max_output" in guessed))
        if priced:
            cells.append(_short_price(prices.get((listing.provider.name, model.id))))
        return [*cells, _dim(visible(", ".join(_words(listing, model, default))))]

    gap = ""
    rows: list[list[str | Text]] = []
    for position, (listing, models) in enumerate(groups):
        if grouped or not position:
            title = visible(listing.provider.display_name or listing.provider.name) if grouped else "Model"
            rows.append([Text.assemble((title, "bold")), *map(_dim, headings)])
        rows += [row(listing, model) for model in models]
        if grouped or position == len(groups) - 1:
            yield gap + tables.render(console, tables.table(("",) * len(columns), rows, columns))
            gap, rows = "\n", []


_WIDE = 100
"""Columns of a terminal that shows all numbers of a list with prices."""


def _short_price(found: ModelPrice | None) -> str:
    """The prices of input and output, per million tokens; "" if they are unknown."""
    if found is None or found.price.input is None or found.price.output is None:
        return ""
    if not (found.price.input or found.price.output):
        return "free"
    return f"{_exact(found.price.input)}/{_exact(found.price.output)}"


def _exact(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def _price_words(price: Price) -> str:
    """The amounts of a price, such as "$0.27 in, $1.1 out, $0.07 cached"."""
    names = {"input": "in", "output": "out", "cached": "cached", "cache_write": "cache writes"}
    words = [
        f"${_exact(number)} {names.get(name, name)}"
        for name, number in price.amounts.items()
        if number is not None and name != "request"
    ]
    return ", ".join(words)


_ORIGINS = {
    "settings": "your settings",
    "list": "its server's list",
    "genai-prices": "genai-prices",
    "preset": "telex's own table of November 2026",
}


def _prices(found: ModelPrice | None, *, lacks_library: bool) -> Iterator[tuple[str, str]]:
    """The lines of a card about the price."""
    if found is None:
        from telex.error_hints import install_command

        hint = f" ({install_command('telex[prices]')} knows more prices)" if lacks_library else ""
        yield "price", f"unknown{hint}"
        return
    price = found.price
    if found.source == "local" or (price.is_complete and not (price.input or price.output or price.request)):
        yield "price", "free"
        return
    yield "price", f"{_price_words(price)} per million tokens"
    if price.request:
        yield "", f"${_exact(price.request)} for each request"
    for tokens, tier in price.above:
        yield "", f"above {short_number(tokens)} tokens of input: {_price_words(tier)}"
    if price.batch is not None:
        yield "", f"in a batch: {_price_words(price.batch)}"
    yield "price from", _ORIGINS[found.source]


def _dim(text: str) -> Text:
    from rich.text import Text

    return Text.assemble((text, "dim"))  # a style of the whole cell would colour its padding too


def _shortened(tokens: int | None, *, guess: bool) -> str:
    return "" if tokens is None else f"{'~' if guess else ''}{short_number(tokens)}"


def _is(listing: ModelListing, model: Model, target: Target | None) -> bool:
    return target is not None and (target.provider.name, target.model) == (listing.provider.name, model.id)


def _words(listing: ModelListing, model: Model, default: Target | None) -> list[str]:
    words = [name for name in ("reasoning", "tools", "vision") if getattr(model, name)]
    if model.kind != "chat":
        words.insert(0, model.kind)
    if model.id == listing.default:
        words.insert(0, f"-m {listing.provider.name}")
    if _is(listing, model, default):
        words.insert(0, "default")
    return words


def card(
    console: Console,
    found: Sequence[Candidate],
    listing: ModelListing,
    model: Model | None,
    *,
    default: Target | None = None,
    aliases: Sequence[str] = (),
    missing_key: str = "",
    price: ModelPrice | None = None,
    lacks_library: bool = False,
    needs_terminal: bool = False,
) -> None:
    """Print what is known about the first of ``found`` that can be asked, a line for each fact.

    ``missing_key`` is how to set up its provider's key.

    ``lacks_library`` means that ``genai-prices`` is not installed, and ``needs_terminal`` that the model is the default
    on a terminal only.
    """
    from provider_core.types import Model

    target, options = _first(found)
    known = model or Model(id=target.model)
    context, max_output, guessed = _limits(known)
    origin = {"server": "its server's list", "preset": "the preset's list", "none": "nothing"}[listing.source]
    if model is None:
        origin = "no list; the name is sent unchanged"
    elif model.id in listing.declared:
        origin = "your settings"
    used = f"used without -m{' on a terminal' if needs_terminal else ''}"
    facts = (
        ("name", known.name),
        ("provider", _provider(listing)),
        ("known from", origin),
        ("kind", known.kind if known.kind != "chat" else ""),
        ("context", _tokens(context, guess="context" in guessed)),
        ("longest answer", _tokens(max_output, guess="max_output" in guessed)),
        ("reasoning", _yes_no(known.reasoning, ", ".join(known.reasoning_levels))),
        ("tools", _yes_no(known.tools)),
        ("vision", _yes_no(known.vision)),
        *_prices(price, lacks_library=lacks_library),
        ("aliases", ", ".join(aliases)),
        ("targets", ", ".join(str(each.target or each.name) for each in found) if len(found) > 1 else ""),
        ("default", used if _is(listing, known, default) else ""),
        ("key", f"none: {missing_key}" if missing_key else ""),
        *(
            (place.removeprefix("params."), f"{shown(_value(options, place))} ({source})")
            for place, source in options.sources.items()
        ),
    )
    text = "".join(f"  {name:<15}{value}\n" for name, value in facts if value)
    console.out(f"{target}\n{text}")


def _provider(listing: ModelListing) -> str:
    provider = listing.provider
    where = str(provider.gguf) if provider.gguf else provider.base_url
    name = provider.display_name if provider.display_name != provider.name else ""
    return ", ".join(part for part in (name, where) if part)


def _tokens(count: int | None, *, guess: bool) -> str:
    if count is None:
        return ""
    return f"~{short_number(count)} tokens, as other providers have it" if guess else f"{count:,} tokens"


def _yes_no(answer: bool | None, more: str = "") -> str:
    if answer is None:
        return ""
    return f"yes ({more})" if answer and more else "yes" if answer else "no"


@contextlib.contextmanager
def asking(console: Console, count: int) -> Iterator[Callable[[RefreshResult], None]]:
    """Yield a callback for each server that has answered; on a terminal a line on stderr counts them."""
    done = 0

    def progress(_: RefreshResult) -> None:
        nonlocal done
        done += 1

    def line() -> Text:
        return tables.cell(f"Asking {plural(count, 'server')} for their models: {done} done …", "dim")

    with tables.live(console, line):
        yield progress
