"""Providers and presets as rows, cards and JSON; nothing is looked up here, and no key is ever seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from provider_core.keys import KeySource
    from provider_core.presets import Preset
    from provider_core.types import Provider

__all__ = [
    "DISPLAY_NAME",
    "HEADERS",
    "PRESET_HEADERS",
    "as_json",
    "card",
    "key_words",
    "place",
    "preset_as_json",
    "preset_row",
    "row",
    "setting_text",
]

HEADERS = ("NAME", "ADDRESS", "KEY", "STATE", "DEFAULT MODEL")
DISPLAY_NAME = "DISPLAY NAME"
"""The header of one more cell, for the providers that have a display name of their own."""

PRESET_HEADERS = ("PRESET", "NAME", "KIND", "KEY", "ADDRESS")

MASK = "(not shown)"


def place(provider: Provider) -> str:
    """Where the provider is: its address, or its file."""
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
    """The cells of ``HEADERS``; ``default`` is the model that its name alone means, by its list of models.

    A preset that can be used because its key is in the environment is not ``set_up``.
    """
    return (
        provider.name,
        place(provider),
        key_words(source, ending),
        _state(provider, set_up=set_up),
        default or _default(provider),
        *_own_name(provider),
    )


def _state(provider: Provider, *, set_up: bool) -> str:
    if not set_up:
        return "environment"
    return "on" if provider.enabled else "off"


def _own_name(provider: Provider) -> tuple[str, ...]:
    """The display name that the user has given it."""
    from provider_core import presets

    preset = presets.get(provider.preset) if provider.preset else None
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
    """The object of one provider."""
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
        "default_model": default or _default(provider) or None,
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
        ("pointed at by", ", ".join(references)),
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
    """The cells of ``PRESET_HEADERS``."""
    key = next(iter(preset.key_env), "")
    return (
        preset.id,
        preset.name,
        preset.kind,
        key if preset.key_required else key or "none needed",
        preset.base_url,
    )


def preset_as_json(preset: Preset) -> dict[str, Any]:
    """The object of one preset."""
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


def _default(provider: Provider) -> str:
    return provider.default_model or next((model.id for model in provider.models), "")
