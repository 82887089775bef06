"""Lists of models as tables and JSON, and the card of one model."""

from __future__ import annotations

import contextlib
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from telex.console import visible
from telex.humanize import plural, short_number, shown
from telex.render import tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from decimal import Decimal

    from rich.text import Text

    from provider_core.catalog import ModelListing
    from provider_core.catalog.servers import RefreshResult
    from provider_core.options import MergedOptions
    from provider_core.prices import ModelPrice, Price
    from provider_core.types import Model, Target
    from telex.console import Console


class ListedModel(NamedTuple):
    """A model of a provider. ``default`` is the model that is used without -m."""

    listing: ModelListing
    model: Model
    price: ModelPrice | None
    default: Target | None
    is_known: bool = True
    """Whether a list or the settings have the model; else only its name is known."""

    @property
    def id(self) -> str:
        return f"{self.listing.provider.name}/{self.model.id}"

    @property
    def is_default(self) -> bool:
        return self.default is not None and str(self.default) == self.id

    @property
    def source(self) -> str:
        return "user" if self.model.id in self.listing.declared else self.listing.source

    def as_json(self) -> dict[str, Any]:
        """The row as an object of ``--json``."""
        model, price = self.model, self.price
        context, max_output, guessed = _limits(model)
        return {
            "id": self.id,
            "provider": self.listing.provider.name,
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
            "source": self.source if self.is_known else None,
            "default": model.id == self.listing.default,
            "global_default": self.is_default,
        }


def options_as_json(options: MergedOptions) -> dict[str, Any]:
    """Each option of a model's chats, with its source."""
    return {
        place: {"value": _value(options, place), "source": source}
        for place, source in options.sources.items()
    }


def _value(options: MergedOptions, place: str) -> Any:
    """The value of an option; secrets in headers are masked."""
    table, _, name = place.partition(".")
    if table == "headers":
        from telex.render.providers import setting_text

        return setting_text("headers", {name: options.values[table][name]}).partition(": ")[2]
    return options.values[table][name] if name else options.values[table]


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


_WIDE = 100
"""Columns of a terminal that shows all numbers of a list with prices."""


def is_long(console: Console, rows: Sequence[ListedModel], *, grouped: bool) -> bool:
    """Whether the table is longer than the screen, and goes through the pager."""
    groups = len({row.listing.provider.name for row in rows}) if grouped else 1
    return len(rows) + 2 * groups >= console.height()


def table(console: Console, rows: Sequence[ListedModel], *, grouped: bool) -> None:
    """Print a table for each provider, or if not ``grouped`` one for all models."""
    from rich.cells import cell_len
    from rich.text import Text

    if not rows:
        return
    priced = any(row.price is not None and row.price.source != "local" for row in rows)
    number: dict[str, Any] = {"width": 7, "justify": "right", "no_wrap": True}
    columns: list[tuple[str, dict[str, Any], Callable[[ListedModel], str | Text]]] = [
        ("context", number, lambda row: _limit(row.model, "context")),
        ("output", number, lambda row: _limit(row.model, "max_output")),
        ("$/M in/out", {**number, "width": 11}, lambda row: _short_price(row.price)),
        ("", {}, lambda row: _dim(visible(", ".join(_words(row))))),
    ]
    if not priced:
        del columns[2]
    elif console.width() < _WIDE:  # a narrow terminal has no room for all numbers
        del columns[1]
    room = console.width() - 32 - sum(options.get("width", 6) for _, options, _ in columns)
    first = {"width": min(max(cell_len(row.id) for row in rows), max(room, 24))}

    def drawn() -> Iterator[str]:
        gap = ""
        for _, group in groupby(rows, key=lambda row: row.listing.provider.name if grouped else ""):
            listed = list(group)
            provider = listed[0].listing.provider
            title = visible(provider.display_name or provider.name) if grouped else "Model"
            lines: list[list[str | Text]] = [
                [Text.assemble((title, "bold")), *(_dim(heading) for heading, _, _ in columns)]
            ]
            lines += [[row.id, *(cell(row) for _, _, cell in columns)] for row in listed]
            options = [first, *(options for _, options, _ in columns)]
            yield gap + tables.render(console, tables.table(("",) * len(options), lines, options))
            gap = "\n"

    tables.paged(console, drawn(), long=is_long(console, rows, grouped=grouped))


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


def _prices(found: ModelPrice | None, more_prices: str) -> Iterator[tuple[str, str]]:
    """The lines of a card about the price."""
    if found is None:
        yield "price", f"unknown ({more_prices} knows more prices)" if more_prices else "unknown"
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


def _limit(model: Model, which: Literal["context", "max_output"]) -> str:
    context, max_output, guessed = _limits(model)
    tokens = context if which == "context" else max_output
    return "" if tokens is None else f"{'~' if which in guessed else ''}{short_number(tokens)}"


def _words(row: ListedModel) -> list[str]:
    listing, model = row.listing, row.model
    words = ["default"] if row.is_default else []
    if model.id == listing.default:
        words.append(f"-m {listing.provider.name}")
    if model.kind != "chat":
        words.append(model.kind)
    return [*words, *(name for name in ("reasoning", "tools", "vision") if getattr(model, name))]


_SOURCES = {
    "user": "your settings",
    "server": "its server's list",
    "preset": "the preset's list",
    "none": "nothing",
}


def card(
    console: Console, row: ListedModel, options: MergedOptions, more: Mapping[str, str], *, more_prices: str
) -> None:
    """Print what is known about a model, a line for each fact that is not empty, and the options of its chats.

    ``more`` are further facts; ``more_prices`` is the command that installs more prices.
    """
    model, provider = row.model, row.listing.provider
    context, max_output, guessed = _limits(model)
    name = provider.display_name if provider.display_name != provider.name else ""
    facts = (
        ("name", model.name),
        ("provider", ", ".join(filter(None, (name, str(provider.gguf or provider.base_url))))),
        ("known from", _SOURCES[row.source] if row.is_known else "no list; the name is sent unchanged"),
        ("kind", model.kind if model.kind != "chat" else ""),
        ("context", _tokens(context, guess="context" in guessed)),
        ("longest answer", _tokens(max_output, guess="max_output" in guessed)),
        ("reasoning", _yes_no(model.reasoning, ", ".join(model.reasoning_levels))),
        ("tools", _yes_no(model.tools)),
        ("vision", _yes_no(model.vision)),
        *_prices(row.price, more_prices),
        *more.items(),
        *(
            (place.removeprefix("params."), f"{shown(_value(options, place))} ({source})")
            for place, source in options.sources.items()
        ),
    )
    known = [(label, value) for label, value in facts if value]
    width = 1 + max(14, *(len(label) for label, _ in known))
    text = "".join(f"  {label:<{width}}{value}\n" for label, value in known)
    console.out(f"{row.id}\n{text}")


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
