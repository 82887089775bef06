"""Lists of models as lines, tables and JSON, and the card of one model."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from telex.console import visible
from telex.humanize import plural, short_number
from telex.render import tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.text import Text

    from provider_core.catalog import ModelListing, RefreshResult
    from provider_core.types import Model, Target
    from telex.console import Console


def lines(console: Console, shown: Sequence[tuple[ModelListing, Sequence[Model]]]) -> None:
    """Print ``provider/model`` for each, one a line."""
    text = "".join(f"{listing.provider.name}/{model.id}\n" for listing, models in shown for model in models)
    if text:
        console.out(text)


def as_json(
    console: Console, shown: Sequence[tuple[ModelListing, Sequence[Model]]], default: Target | None
) -> None:
    """Print one list of objects; ``default`` is the model that is used without -m."""
    rows = [_fields(listing, model, default) for listing, models in shown for model in models]
    console.json(rows)


def card_as_json(
    console: Console, target: Target, listing: ModelListing, model: Model | None, default: Target | None
) -> None:
    """Print the object of one model. Of a model that is not in a list, only the name is known."""
    from provider_core.types import Model

    fields = _fields(listing, model or Model(id=target.model), default)
    if model is None:
        fields["source"] = None
    console.json(fields)


def _fields(listing: ModelListing, model: Model, default: Target | None) -> dict[str, Any]:
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


def table(
    console: Console, shown: Sequence[tuple[ModelListing, Sequence[Model]]], default: Target | None
) -> None:
    """Print a table for each provider."""
    groups = [(listing, models) for listing, models in shown if models]
    if groups:
        tables.paged(console, _drawn(console, groups, default), long=is_long(console, shown))


def is_long(console: Console, shown: Sequence[tuple[ModelListing, Sequence[Model]]]) -> bool:
    """Whether the table is longer than the screen, and goes through the pager."""
    return sum(len(models) + 2 for _, models in shown if models) >= console.height()


def _drawn(
    console: Console, groups: Sequence[tuple[ModelListing, Sequence[Model]]], default: Target | None
) -> Iterator[str]:
    """Yield the table of each provider."""
    from rich.cells import cell_len
    from rich.text import Text

    longest = max(
        cell_len(f"{listing.provider.name}/{model.id}") for listing, models in groups for model in models
    )
    number = {"width": 7, "justify": "right", "no_wrap": True}
    columns: tuple[dict[str, Any], ...] = (
        {"width": min(longest, max(console.width() - 45, 24))},
        number,
        number,
        {},
    )
    gap = ""
    for listing, models in groups:
        title = visible(listing.provider.display_name or listing.provider.name)
        rows: list[list[str | Text]] = [[Text.assemble((title, "bold")), _dim("context"), _dim("output")]]
        for model in models:
            context, max_output, guessed = _limits(model)
            rows.append(
                [
                    f"{listing.provider.name}/{model.id}",
                    _shortened(context, guess="context" in guessed),
                    _shortened(max_output, guess="max_output" in guessed),
                    _dim(visible(", ".join(_words(listing, model, default)))),
                ]
            )
        yield gap + tables.render(console, tables.table(("",) * len(columns), rows, columns))
        gap = "\n"


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
    target: Target,
    listing: ModelListing,
    model: Model | None,
    *,
    default: Target | None = None,
    aliases: Sequence[str] = (),
    missing_key: str = "",
    needs_terminal: bool = False,
) -> None:
    """Print what is known about a model, a line for each fact; ``missing_key`` is how to set up its provider's key.

    ``needs_terminal`` means that the model is the default on a terminal only.
    """
    from provider_core.types import Model

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
        ("aliases", ", ".join(aliases)),
        ("default", used if _is(listing, known, default) else ""),
        ("key", f"none: {missing_key}" if missing_key else ""),
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
