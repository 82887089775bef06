"""Options for settings of providers, models and aliases, made from the rows of ``provider_fields``; ``--unset``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from provider_core.settings.provider_fields import LONGEST_WAIT, MOST_PER_MINUTE, MOST_RETRIES
from telex.options import BodyField, ExistingPath, Name, Number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from click.shell_completion import CompletionItem

    from provider_core.settings.provider_fields import ProviderField

_Command = TypeVar("_Command", bound="Callable[..., object]")


def add_options(rows: Iterable[ProviderField], command: _Command) -> _Command:
    """Add an option for each row, with the row's name. Without the option, its value is None, or empty."""
    for row in reversed(tuple(rows)):
        how: dict[str, Any] = {"metavar": row.metavar}
        match row.type:
            case "switch":
                how = {"is_flag": True} if row.default is False else {"default": None}
            case "path":
                how["type"] = ExistingPath(dir_okay=row.name != "gguf")
            case "seconds":
                how["type"] = Number(min=0, min_open=True, max=LONGEST_WAIT)
            case "number":
                how["type"] = Number(min=0)
            case "dollars":
                how["type"] = Number(min=0, max=1_000_000)
            case "count":
                how["type"] = click.IntRange(0, MOST_RETRIES)
            case "tokens":
                how["type"] = click.IntRange(1, 100_000_000)
            case "params":
                how |= {"type": BodyField(), "multiple": True}
            case "rate":
                how["type"] = click.IntRange(1, MOST_PER_MINUTE)
            case "pairs" | "models" | "names" | "addresses":
                how["multiple"] = True
        if row.completes:
            how["type"] = Name(row.completes, of="name" if row.completes == "model" else None)
        names = [f"--{row.flag}", row.name, *filter(None, (row.short,))]
        command = click.option(*names, help=row.help, **how)(command)
    return command


def unset_option(unset: Unset, about: str, command: _Command) -> _Command:
    """Add ``--unset FIELD``, whose values ``changed_fields`` and ``removed_fields`` read."""
    return click.option("--unset", type=unset, multiple=True, metavar="FIELD", help=f"{about} Repeatable.")(
        command
    )


def changed_fields(
    rows: Sequence[ProviderField],
    options: Mapping[str, Any],
    entry: Mapping[str, Any],
    unset: Iterable[str] = (),
) -> dict[str, Any]:
    """The settings that the options set, and that ``--unset`` removes (None); raises ``click.UsageError``."""
    require_apart(rows, options, unset)
    given = given_fields(rows, options, entry)
    require_valid(rows, given)
    return {**given, **removed_fields({**entry, **given}, unset)}


def given_fields(
    rows: Iterable[ProviderField], options: Mapping[str, Any], entry: Mapping[str, Any]
) -> dict[str, Any]:
    """The settings that the options set, as they are written; ``entry`` is the present table.

    Fields of a table (headers, params, parts of an address) are added to those of ``entry``. Raises
    ``click.UsageError``.
    """
    from provider_core.settings.validators import parse_header

    fields: dict[str, Any] = {}
    for row in rows:
        value = options.get(row.name)
        if value in (None, ()) or (value is False and row.default is False):
            continue
        match row.type:
            case "path":
                value = str(value.absolute())
            case "models" | "addresses":
                value = list(value)
            case "names":
                separator = "\n" if row.name == "allow" else ","
                value = [name.strip() for each in value for name in each.split(separator) if name.strip()]
            case "params":
                value = {**_table(entry, row.name), **dict(value)}
            case "pairs":
                parse = parse_header if row.name == "headers" else _assignment
                value = {**_table(entry, row.name), **dict(map(parse, value))}
        fields[row.name] = value
    return fields


def _table(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = entry.get(name)
    return found if isinstance(found, dict) else {}


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"{text!r} is not PART=VALUE, such as account_id=0123abcd")
    return name.strip(), value.strip()


def require_valid(rows: Iterable[ProviderField], fields: Mapping[str, Any]) -> None:
    """Raise ``click.UsageError`` for the first field whose value is not valid, naming its option."""
    from provider_core.errors import InvalidInputError

    for row in rows:
        value = fields.get(row.name)
        if value is None:
            continue
        try:
            if row.type == "text" and not (0 < len(value) <= 512 and value.isprintable()):
                raise InvalidInputError("must be one line of 1 to 512 characters")
            if row.type == "lines" and not value.strip():
                raise InvalidInputError("is empty")
            if row.validator is not None and row.type == "params":
                row.validator(value)
            elif row.validator is not None and row.type == "pairs":
                for name, each in value.items():
                    row.validator(name, each)
        except InvalidInputError as error:
            colon = ":" if row.type in ("params", "pairs") else ""
            raise click.UsageError(f"--{row.flag.partition('/')[0]}{colon} {error.message}") from None


class Unset(click.ParamType[str]):
    """The name of a setting as an option or in the file, or of one part of it; converts to the name in the file."""

    name = "FIELD"

    def __init__(self, rows: Iterable[ProviderField]) -> None:
        self.rows = {row.flag.partition("/")[0]: row for row in rows}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        name, dot, part = str(value).partition(".")
        row = next((row for flag, row in self.rows.items() if name in (flag, row.name)), None)
        if row is None or (dot and not (part and row.type in ("pairs", "params"))):
            parts = [
                f"{flag}.{'PART' if flag == 'set' else 'NAME'}"
                for flag, row in self.rows.items()
                if row.type in ("pairs", "params")
            ]
            known = ", ".join((*self.rows, *parts[:-1]))
            self.fail(f"{value!r} is not one of {known}{f' or {parts[-1]}' if parts else ''}", param, ctx)
        return f"{row.name}{dot}{part}"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names of the options, for click's own completion."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(flag) for flag in self.rows if flag.startswith(incomplete)]


def require_apart(rows: Iterable[ProviderField], options: Mapping[str, Any], unset: Iterable[str]) -> None:
    """Raise ``click.UsageError`` if an option sets what ``--unset`` removes."""
    unset = set(unset)
    for row in rows:
        value = options.get(row.name)
        is_given = value not in (None, ()) and not (value is False and row.default is False)
        if row.name in unset and is_given:
            flag = row.flag.partition("/")[0]
            raise click.UsageError(f"--{flag} and --unset {flag} cannot be used together")


def removed_fields(entry: Mapping[str, Any], unset: Iterable[str]) -> dict[str, Any]:
    """The settings that ``--unset`` removes (None), or that lose a part; raises ``UsageError`` for a missing part."""
    removed: dict[str, Any] = {}
    for each in unset:
        name, dot, part = each.partition(".")
        if not dot:
            removed[name] = None
            continue
        parts = removed.get(name) or _table(entry, name)
        gone = {
            known for known in parts if known == part or (name == "headers" and known.lower() == part.lower())
        }
        if not gone:
            there = f". Set are: {', '.join(parts)}" if parts else ""
            raise click.UsageError(f"--unset {each}: this setting is not set{there}")
        removed[name] = {known: value for known, value in parts.items() if known not in gone} or None
    return removed
