"""Options and types of parameters that several commands share."""

from __future__ import annotations

import errno
import math
import os
import re
from typing import TYPE_CHECKING, Any, TypeVar

import click

from provider_core.structs import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    from click.shell_completion import CompletionItem

    from provider_core.types import Json, Target

_Command = TypeVar("_Command", bound="Callable[..., object]")


class BodyField(click.ParamType[tuple[str, Any]]):
    """``KEY=VALUE``: a field of the request's body. The value is JSON, or else a string."""

    name = "KEY=VALUE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Json]:
        if isinstance(value, tuple):
            return value
        key, equals, text = str(value).partition("=")
        if not equals or not key.strip():
            self.fail(f"{value!r} is not KEY=VALUE, for example top_p=0.9 or stop='[\"\\\\n\"]'", param, ctx)
        import json

        try:
            found = json.loads(text)
            json.dumps(found, allow_nan=False)
        except (ValueError, RecursionError):
            # A text that begins like JSON or a number is a mistake; any other text is a string.
            if text[:1] in '{["-' or text[:1].isdigit() or text in ("NaN", "Infinity"):
                shown = text if len(text) < 60 else f"{text[:60]}…"
                self.fail(f"the value of {key} is not valid JSON: {shown!r}", param, ctx)
            found = text
        return key.strip(), found


class Number(click.FloatRange):
    """A finite number in a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


class Dollars(click.ParamType["Decimal"]):
    """A positive amount of US dollars."""

    name = "USD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        from provider_core.prices import amount

        if not (found := amount(value)):
            self.fail(f"{value!r} is not a positive amount of US dollars, such as 0.50", param, ctx)
        return found


def max_cost_option(help_text: str) -> Callable[[_Command], _Command]:
    """The option ``--max-cost``."""
    return click.option("--max-cost", type=Dollars(), metavar="USD", help=help_text)


class Size(click.ParamType[int]):
    """A number of bytes, such as "500kB" or "10MB"; a unit is a power of 1000."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)\s*([kmg]?)b?", value.strip().lower())
        if found is None or not float(found[1]):
            self.fail(f"{value!r} is not a size, such as 500kB or 10MB", param, ctx)
        return int(float(found[1]) * {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}[found[2]])


_AGE_UNITS = {"h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}


def age_seconds(text: str) -> float | None:
    """The seconds of an age such as ``30d``; None if it is not valid."""
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)\s*([hdwy])", text.strip().lower(), re.ASCII)
    return None if found is None else float(found[1]) * _AGE_UNITS[found[2]]


class Age(click.ParamType[float]):
    """An age such as ``30d``, in seconds."""

    name = "AGE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        seconds = age_seconds(str(value))
        if seconds is None:
            self.fail(
                f"{value!r} is not a valid age. Use hours, days, weeks or years, such as 12h, 30d, 8w or 1y.",
                param,
                ctx,
            )
        return seconds


class ExistingPath(click.Path):
    """A path that exists; unlike click's, its error says why the path cannot be used."""

    def __init__(self, **given: Any) -> None:
        from pathlib import Path

        super().__init__(exists=True, path_type=Path, **given)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            os.stat(value)  # noqa: PTH116 - a str or a Path
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                self.fail(f"{value} cannot be used: {error.strerror}", param, ctx)
        return super().convert(value, param, ctx)


class Name(click.ParamType[str]):
    """A name that shells can complete: a "provider", "preset", "alias", "template" and so on.

    "model" is anything that ``-m`` accepts; with ``of``, it is the id of a model of the provider that is named by the
    argument ``of`` of the same command.
    """

    name = "text"

    def __init__(self, completes: str, *, of: str | None = None) -> None:
        self.completes = completes
        self.of = of

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; that of a provider in the spelling of the settings, because case is ignored."""
        if not str(value).strip() and self.completes != "profile":  # no profile, whatever TELEX_PROFILE says
            self.fail("it is empty", param, ctx)
        if self.completes != "provider" or ctx is None or ctx.resilient_parsing or ctx.obj is None:
            return str(value)
        from telex import provider_commands

        return provider_commands.find_provider_name(ctx.obj, str(value)) or str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Values for click's own completion, which PowerShell uses."""
        from telex import completion_cache

        return completion_cache.items(
            self.completes, incomplete, ctx.params.get(self.of) if self.of else None
        )


def profile_option(command: _Command) -> _Command:
    """Add ``--profile`` to a command, where people look for it; before the command, it is an option of ``telex``."""
    return click.option(
        "--profile",
        type=Name("profile"),
        metavar="NAME",
        help="Use a profile, as telex --profile NAME does.",
        expose_value=False,
        callback=_use_profile,
    )(command)


def _use_profile(ctx: click.Context, _: click.Parameter, name: str | None) -> None:
    if name is not None:
        ctx.obj.runtime.profile = name


def require_utf8(text: str, what: str) -> str:
    """Return ``text`` of the command line; raises ``UsageError`` if its bytes were not valid UTF-8."""
    # Python represents such bytes by lone surrogates.
    if text.isascii() or not any("\udc80" <= character <= "\udcff" for character in text):
        return text
    raise click.UsageError(f"{what} is not UTF-8 text. Convert it first, for example with iconv.")


def network_options(command: _Command) -> _Command:
    """Add ``--connect-timeout``, ``--timeout`` and ``--retries``; ``with_network`` applies them."""
    seconds: dict[str, Any] = {"type": Number(min=0, min_open=True), "metavar": "SECONDS"}
    for option in (
        click.option(
            "--retries",
            type=click.IntRange(0, 100),
            metavar="N",
            help="Times to retry a request that fails before any text arrives. [default: 2]",
        ),
        click.option(
            "--timeout",
            **seconds,
            help="Give up when the server sends nothing for this many seconds. [default: 600 for the first byte, "
            "then 120]",
        ),
        click.option(
            "--connect-timeout",
            **seconds,
            help="Give up when no connection is made within this many seconds. [default: 10]",
        ),
    ):
        command = option(command)
    return command


system_option = click.option("-s", "--system", metavar="TEXT", help="Set the system message.")
template_option = click.option(
    "--template",
    type=Name("template"),
    metavar="NAME",
    help="Use a saved prompt (see telex templates). Options given here override it.",
)
variables_option = click.option(
    "--var", "variables", multiple=True, metavar="NAME=VALUE", help="Set a template variable."
)
max_tokens_option = click.option(
    "--max-tokens", type=click.IntRange(min=1), metavar="N", help="Limit the answer to N tokens."
)
temperature_option = click.option(
    "-t",
    "--temperature",
    type=Number(min=0),
    metavar="T",
    help="Set the sampling temperature; sent only if given.",
)
params_option = click.option(
    "-p",
    "--param",
    "params",
    type=BodyField(),
    multiple=True,
    help="Set a field of the request body. VALUE is JSON, or else a string. Repeatable.",
)
jobs_option = click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Maximum number of requests in flight for each model. [default: adapts to the server, up to 64]",
)
effort_option = click.option(
    "--reasoning-effort", metavar="LEVEL", help="How much the model reasons: none, low, medium, high, …"
)
schema_option = click.option(
    "--schema",
    metavar="FILE|JSON|FIELDS",
    help='Request JSON that matches a schema: a file, JSON, or fields such as "name, age int".',
)
schema_retries_option = click.option(
    "--schema-retries",
    type=click.IntRange(0, 10),
    default=1,
    show_default=True,
    metavar="N",
    help="Retries when the answer does not match the schema.",
)


def with_network(target: Target, given: Mapping[str, Any]) -> Target:
    """The target with the timeouts and retries of the command line."""
    network = target.provider.network.with_limits(given)
    if network is target.provider.network:
        return target
    return replace(target, provider=replace(target.provider, network=network))
