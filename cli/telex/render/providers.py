"""Providers, presets and the results of ``telex providers test``, as tables, cards and JSON."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

from telex.humanize import elapsed
from telex.render import tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.text import Text

    from provider_core.keys import KeySource
    from provider_core.presets import Preset
    from provider_core.probe import CheckReport, CheckStep
    from provider_core.probe.explore import CapabilityCard, Trait
    from provider_core.types import Provider
    from telex.console import Console

HEADERS = ("NAME", "ADDRESS", "KEY", "STATE", "DEFAULT MODEL", "DISPLAY NAME")
"""The cells of a provider; the last one is absent if it has no display name of its own."""

PRESET_HEADERS = ("PRESET", "NAME", "KIND", "KEY", "ADDRESS")

MASK = "(not shown)"


def place(provider: Provider) -> str:
    return str(provider.gguf) if provider.gguf else provider.base_url


def key_words(source: KeySource) -> str:
    """The source of a key in words."""
    match source.kind:
        case "variable" if not source.variable:
            return "missing"
        case "variable":
            return source.variable if source.ready else f"{source.variable} (not set)"
        case "command":
            return "key command"
        case "keyring":
            return "keyring"
    return "none needed"


class ListedProvider(NamedTuple):
    """A provider, the source of its key, and the model that the provider's name alone means.

    A preset that can be used because its key is in the environment is not ``set_up``. ``ending`` is what may be shown
    of the key, "" if none was found, None if it was not looked up.
    """

    provider: Provider
    source: KeySource
    default: str
    set_up: bool
    ending: str | None = None

    @property
    def state(self) -> str:
        if not self.set_up:
            return "environment"
        return "on" if self.provider.enabled else "off"

    def row(self) -> tuple[str, ...]:
        """The cells of ``HEADERS``."""
        from provider_core import presets

        provider, preset = self.provider, presets.of(self.provider)
        key = key_words(self.source)
        if self.ending is not None:
            key = f"{key} {self.ending or '(not there)'}"
        cells = (provider.name, place(provider), key, self.state, self.default)
        usual = (provider.name, preset.name if preset else "")
        return cells if provider.display_name in usual else (*cells, provider.display_name)

    def as_json(self) -> dict[str, Any]:
        provider, source = self.provider, self.source
        key: dict[str, Any] = {
            "source": source.kind,
            "variable": source.variable or None,
            "ready": source.ready,
        }
        if self.ending is not None:
            key |= {"found": bool(self.ending), "ending": self.ending.removeprefix("…") or None}
        return {
            "name": provider.name,
            "display_name": provider.display_name,
            "preset": provider.preset,
            "base_url": provider.base_url or None,
            "gguf": str(provider.gguf) if provider.gguf else None,
            "enabled": provider.enabled,
            "set_up": self.set_up,
            "key": key,
            "default_model": self.default or None,
            "models_declared": [model.id for model in provider.models] if provider.models_declared else [],
            "headers": sorted(provider.headers),
        }

    def card(self, references: tuple[str, ...], written: dict[str, Any]) -> list[tuple[str, str]]:
        """The settings. ``written`` is the provider's table in the settings file."""
        from provider_core.settings.provider_fields import PROVIDER_FIELDS

        provider, network = self.provider, self.provider.network
        names = [
            "default model" if each == "model" else each.replace("aliases.", "alias ") for each in references
        ]
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
            ("state", self.state),
            ("key", key_words(self.source)),
            ("default model", self.default),
            *(
                (row.name.replace("_", " "), setting_text(row.name, values[row.name]))
                for row in PROVIDER_FIELDS
                if row.name not in above and values.get(row.name) not in (None, "")
            ),
            ("used by", ", ".join(names)),
        ]


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


@contextlib.contextmanager
def live(console: Console, names: Sequence[str]) -> Iterator[Callable[[str, CheckStep | Trait], None]]:
    """Yield a callback for each step, for any thread; on a terminal a table on stderr shows the steps meanwhile."""
    from provider_core.probe import STEPS

    with tables.live_steps(console, "PROVIDER", STEPS, names, _mark) as report_step:
        yield lambda name, step: report_step(name, step.name if step.name in STEPS else "", step)


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
        for each in reports:
            steps = (f"{step.status}{_milliseconds(step.seconds)}" for step in each.steps)
            result = "passed" if each.passed else "failed"
            console.out("\t".join((each.provider, result, *steps, each.model or "")) + "\n")
        return
    lines: list[list[str | Text]] = [
        [
            tables.cell(each.provider, "bold"),
            *map(_mark, each.steps),
            # Usage is seen in the stream.
            elapsed(sum(step.seconds or 0 for step in each.steps if step.name != "usage")),
        ]
        for each in reports
    ]
    headers = ("PROVIDER", *(step.name.upper() for step in reports[0].steps), "TIME")
    console.raw_out(tables.render(console, tables.table(headers, lines)))


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f" {seconds * 1000:.0f} ms"


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


_ANSWERS = {"yes": ("✓", "green"), "accepted": ("~", "green"), "no": ("✗", "red"), "unknown": ("?", "yellow")}


def cards(console: Console, found: Sequence[CapabilityCard]) -> None:
    """Print each model's traits: a card on a terminal, elsewhere a line for each trait, separated by tabs."""
    for card in found:
        title = f"{card.provider}/{card.model}"
        if not console.out_is_terminal:
            for trait in card.traits:
                console.out("\t".join((title, trait.name, trait.answer, trait.detail)) + "\n")
            continue
        from rich.panel import Panel

        lines: list[list[str | Text]] = [
            [tables.cell(*_ANSWERS[trait.answer]), trait.name, tables.cell(trait.detail, "dim")]
            for trait in card.traits
        ]
        heading = tables.cell(title, "bold")
        panel = Panel(tables.table(("", "", ""), lines), title=heading, title_align="left", expand=False)
        console.raw_out(tables.render(console, panel))


def card_as_json(card: CapabilityCard) -> dict[str, Any]:
    return {
        "provider": card.provider,
        "model": card.model,
        "traits": {
            trait.name: {"group": trait.group, "answer": trait.answer, "detail": trait.detail or None}
            for trait in card.traits
        },
    }
