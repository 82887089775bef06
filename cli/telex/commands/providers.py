"""``telex providers``: setting up the servers that telex talks to, and seeing what is set up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from telex.context import pass_app

if TYPE_CHECKING:
    from telex.context import App

__all__ = ["command"]


@click.group(name="providers")
def command() -> None:
    """Set up the servers that telex talks to."""


@command.command(epilog="Example: telex providers add lab --base-url http://127.0.0.1:8080/v1 --no-key")
@click.argument("name")
@click.option("--base-url", metavar="URL", help="Where the API is; the part before /chat/completions.")
@click.option(
    "--gguf",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A model file to run inside telex, with no server.",
)
@click.option("--key-env", metavar="VAR", help="The environment variable that holds the key.")
@click.option("--no-key", is_flag=True, help="The server needs no key.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="ID",
    help="A model of the provider; the first is its default.",
)
@click.option("--replace", is_flag=True, help="Overwrite a provider of this name.")
@pass_app
def add(
    app: App,
    *,
    name: str,
    base_url: str | None,
    gguf: Path | None,
    key_env: str | None,
    no_key: bool,
    models: tuple[str, ...],
    replace: bool,
) -> None:
    """Set up the provider NAME: a preset's name alone, or any name with --base-url or --gguf."""
    from provider_core import presets, settings

    preset = presets.get(name) if base_url is None and gguf is None else None
    if not settings.NAME.fullmatch(name):
        raise click.UsageError(f"{name!r} is no name: letters, digits and hyphens, at most 64")
    if name in settings.RESERVED:
        raise click.UsageError(f"the name {name} is taken by telex itself: choose another")
    if base_url is not None and gguf is not None:
        raise click.UsageError("--base-url and --gguf do not go together: a model file needs no address")
    if no_key and key_env:
        raise click.UsageError("--no-key and --key-env do not go together")
    if preset is None and base_url is None and gguf is None:
        raise click.UsageError(f"there is no preset called {name}: give --base-url URL or --gguf FILE")
    if gguf is not None:
        from provider_core import local

        gguf = gguf.absolute()
        local.check_gguf(gguf)
    fields: dict[str, Any] = {
        "preset": preset.id if preset else None,
        "base_url": base_url,
        "gguf": str(gguf) if gguf else None,
        "key": "none" if no_key or gguf else None,
        "key_env": key_env,
        "models": list(models) or ([gguf.stem] if gguf else None),
    }
    from provider_core.settings.edit import put_provider

    put_provider(app.paths.settings_file, name, fields, replace=replace)
    app.console.note(f'{name} is set up. Try: telex chat -m {name} "Hello"')


@command.command(name="list")
@pass_app
def list_(app: App) -> None:
    """List the providers that are set up."""
    for provider in app.settings.providers.values():
        where = str(provider.gguf) if provider.gguf else provider.base_url
        app.console.out(f"{provider.name}\t{where}\n")


@command.command()
@click.argument("name")
@pass_app
def remove(app: App, *, name: str) -> None:
    """Remove the provider NAME from the settings."""
    from provider_core.settings.edit import remove_provider

    remove_provider(app.paths.settings_file, name)
    app.console.note(f"{name} is removed.")
