"""Providers, presets and the results of ``telex providers test``, as tables, cards and JSON."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from telex.humanize import elapsed
from telex.render import tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.text import Text

    from provider_core.keys import KeySource
    from provider_core.presets import Preset
    from provider_core.probe import CheckReport, CheckStep, StepName
    from provider_core.probe.explore import CapabilityCard, Trait
    from provider_core.types import Provider
    from telex.console import Console

HEADERS = ("NAME", "ADDRESS", "KEY", "STATE", "DEFAULT MODEL")
DISPLAY_NAME = "DISPLAY NAME"
"""The header of one more cell, for the providers that have a display name of their own."""

PRESET_HEADERS = ("PRESET", "NAME", "KIND", "KEY", "ADDRESS")

MASK = "(not shown)"


def place(provider: Provider) -> str:
    return str(provider.gguf) if provider.gguf else provider.base_url


def key_words(source: KeySource, ending: str | None = None) -> str:
    """The source of a key in words; ``ending`` is what may be shown of it, "" where none was found."""
    match source.kind:
        case "variable" if not source.variable:
            words = "missing"
        case "variable":
            words = source.variable if source.ready else f"{source.variable} (not set)"
        case "command":
            words = "key command"
        case "keyring":
            words = "keyring"
        case _:
            words = "none needed"
    if ending is None:
        return words
    return f"{words} {ending}" if ending else f"{words} (not there)"


def row(
    provider: Provider,
    source: KeySource,
    ending: str | None = None,
    *,
    default: str = "",
    set_up: bool = True,
) -> tuple[str, ...]:
    """The cells of ``HEADERS``; ``default`` is the model that the provider's name alone means.

    A preset that can be used because its key is in the environment is not ``set_up``.
    """
    return (
        provider.name,
        place(provider),
        key_words(source, ending),
        _state(provider, set_up=set_up),
        default,
        *_own_name(provider),
    )


def _state(provider: Provider, *, set_up: bool) -> str:
    if not set_up:
        return "environment"
    return "on" if provider.enabled else "off"


def _own_name(provider: Provider) -> tuple[str, ...]:
    """The display name that the user has given it."""
    from provider_core import presets

    preset = presets.of(provider)
    usual = (provider.name, preset.name if preset else "")
    return () if provider.display_name in usual else (provider.display_name,)


def as_json(
    provider: Provider,
    source: KeySource,
    ending: str | None = None,
    *,
    default: str = "",
    set_up: bool = True,
) -> dict[str, Any]:
    key: dict[str, Any] = {
        "source": source.kind,
        "variable": source.variable or None,
        "ready": source.ready,
    }
    if ending is not None:
        key["found"] = bool(ending)
        key["ending"] = ending.removeprefix("…") or None
    return {
        "name": provider.name,
        "display_name": provider.display_name,
        "preset": provider.preset,
        "base_url": provider.base_url or None,
        "gguf": str(provider.gguf) if provider.gguf else None,
        "enabled": provider.enabled,
        "set_up": set_up,
        "key": key,
        "default_model": default or None,
        "models_declared": [model.id for model in provider.models] if provider.models_declared else [],
        "headers": sorted(provider.headers),
    }


def card(
    provider: Provider,
    source: KeySource,
    references: tuple[str, ...],
    written: dict[str, Any],
    *,
    default: str,
    set_up: bool,
) -> list[tuple[str, str]]:
    """The settings of one provider. ``written`` is its table in the settings file, ``default`` its default model."""
    from provider_core.settings.provider_fields import PROVIDER_FIELDS

    network = provider.network
    values = {
        **written,
        "key_command": provider.key_command,
        "models": [model.id for model in provider.models] if provider.models_declared else [],
        "headers": dict(sorted(provider.headers.items())),
        "proxy": network.proxy,
        "ca_bundle": network.ca_bundle,
        "client_cert": network.client_cert,
    }
    above = ("preset", "base_url", "gguf", "display_name", "key", "key_env", "default_model", "enabled")
    return [
        ("name", provider.name),
        ("display name", provider.display_name),
        ("preset", provider.preset or ""),
        ("address", place(provider)),
        ("state", _state(provider, set_up=set_up)),
        ("key", key_words(source)),
        ("default model", default),
        *(
            (row.name.replace("_", " "), setting_text(row.name, values[row.name]))
            for row in PROVIDER_FIELDS
            if row.name not in above and values.get(row.name) not in (None, "")
        ),
        ("used by", ", ".join(map(_reference, references))),
    ]


def _reference(setting: str) -> str:
    return "default model" if setting == "model" else setting.replace("aliases.", "alias ")


def setting_text(name: str, value: Any) -> str:
    """The value of a provider's setting, without secrets."""
    from provider_core.request import is_secret_name
    from provider_core.settings.validators import parse_reference, without_credentials

    match value:
        case dict() if name == "headers":
            shown = {
                header: MASK if is_secret_name(header) and parse_reference(text) is None else text
                for header, text in value.items()
            }
            return ", ".join(f"{header}: {text}" for header, text in shown.items())
        case dict():
            return ", ".join(f"{key}={each}" for key, each in value.items())
        case list():
            return ", ".join(str(each["id"]) if isinstance(each, dict) else str(each) for each in value)
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
    return without_credentials(value) if name == "proxy" else str(value)


def preset_row(preset: Preset) -> tuple[str, ...]:
    key = next(iter(preset.key_env), "")
    return (
        preset.id,
        preset.name,
        preset.kind,
        key if preset.key_required else key or "none needed",
        preset.base_url,
    )


def preset_as_json(preset: Preset) -> dict[str, Any]:
    return {
        "id": preset.id,
        "name": preset.name,
        "kind": preset.kind,
        "base_url": preset.base_url,
        "variables": [variable.name for variable in preset.variables],
        "key_required": preset.key_required,
        "key_env": list(preset.key_env),
        "keys_url": preset.keys_url or None,
        "docs_url": preset.docs_url or None,
        "regions": list(preset.regions),
    }


_SIGNS = {"ok": "✓", "absent": "-", "skipped": "·", "failed": "✗"}
_COLOURS = {"ok": "green", "absent": "yellow", "skipped": "dim", "failed": "red"}
_STEPS: tuple[StepName, ...] = ("reach", "models", "auth", "stream", "usage")


@contextlib.contextmanager
def live(console: Console, names: Sequence[str]) -> Iterator[Callable[[str, CheckStep | Trait], None]]:
    """Yield a callback for each step, for any thread; on a terminal a table on stderr shows the steps meanwhile."""
    with tables.live_steps(console, "PROVIDER", _STEPS, names, _mark) as report_step:
        yield lambda name, step: report_step(name, step.name if step.name in _STEPS else "", step)


def _mark(step: CheckStep | Trait | None) -> Text:
    from provider_core.probe.explore import Trait

    if step is None:
        return tables.cell("…", "dim")
    if isinstance(step, Trait):
        return tables.cell(f"{step.name} …")
    time = "" if step.seconds is None else f" {elapsed(step.seconds)}"
    return tables.cell(f"{_SIGNS[step.status]}{time}", _COLOURS[step.status])


def report(console: Console, reports: Sequence[CheckReport]) -> None:
    """Print a table on a terminal; elsewhere a line for each report, as ``telex providers test --help`` describes."""
    if not console.out_is_terminal:
        console.out("".join("\t".join(_line(each)) + "\n" for each in reports))
        return
    lines: list[list[str | Text]] = [
        [tables.cell(each.provider, "bold"), *(_mark(each[name]) for name in _STEPS), elapsed(_total(each))]
        for each in reports
    ]
    headers = ("PROVIDER", *(name.upper() for name in _STEPS), "TIME")
    console.raw_out(tables.render(console, tables.table(headers, lines)))


def _line(each: CheckReport) -> list[str]:
    cells = [each.provider, "passed" if each.passed else "failed"]
    for name in _STEPS:
        step = each[name]
        cells.append(
            f"{step.status} {step.seconds * 1000:.0f} ms" if step.seconds is not None else step.status
        )
    return [*cells, each.model or ""]


def _total(each: CheckReport) -> float:
    """Seconds of all steps; "usage" is seen in the stream."""
    return sum(each[name].seconds or 0 for name in _STEPS if name != "usage")


def report_as_json(each: CheckReport) -> dict[str, Any]:
    """The object of one report. Times are seconds."""
    return {
        "provider": each.provider,
        "passed": each.passed,
        "model": each.model,
        "models": len(each.models),
        "steps": {
            step.name: {
                "status": step.status,
                "seconds": None if step.seconds is None else round(step.seconds, 4),
                "detail": step.detail or None,
                "error": type(step.error).__name__ if step.error else None,
            }
            for step in each.steps
        },
    }


def cards(console: Console, found: Sequence[CapabilityCard]) -> None:
    """Print each model's traits: a card on a terminal, elsewhere a line for each trait, separated by tabs."""
    for card in found:
        title = f"{card.provider}/{card.model}"
        if not console.out_is_terminal:
            console.out(
                "".join(
                    "\t".join((title, trait.name, trait.answer, trait.detail)) + "\n" for trait in card.traits
                )
            )
            continue
        from rich.panel import Panel

        lines: list[list[str | Text]] = [
            [_answer(trait), trait.name, tables.cell(trait.detail, "dim")]
            for group in ("answers", "fields")
            for trait in card.traits
            if trait.group == group
        ]
        panel = Panel(
            tables.table(("", "", ""), lines),
            title=tables.cell(title, "bold"),
            title_align="left",
            expand=False,
        )
        console.raw_out(tables.render(console, panel))


def _answer(trait: Trait) -> Text:
    sign, style = {
        "yes": ("✓", "green"),
        "accepted": ("~", "green"),
        "no": ("✗", "red"),
        "unknown": ("?", "yellow"),
    }[trait.answer]
    return tables.cell(sign, style)


def card_as_json(card: CapabilityCard) -> dict[str, Any]:
    return {
        "provider": card.provider,
        "model": card.model,
        "traits": {
            trait.name: {"group": trait.group, "answer": trait.answer, "detail": trait.detail or None}
            for trait in card.traits
        },
    }
