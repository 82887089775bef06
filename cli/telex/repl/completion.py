"""What a Tab may put where a line of a conversation ends: commands, models, files. No socket, no keyring."""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING

from provider_core.errors import CoreError
from provider_core.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from telex.app import App
    from telex.repl.commands import Row

__all__ = ["Candidate", "Offers"]

_IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp")


class Candidate(Struct):
    """``text`` takes the place of the last ``replaces`` characters; ``shown`` and ``words`` stand in the menu."""

    text: str
    replaces: int
    shown: str
    words: str = ""


class Offers:
    """Called with the text before the cursor; ``rows`` are the commands."""

    def __init__(self, app: App, rows: Iterable[Row]) -> None:
        self._app = app
        self._rows = tuple(rows)

    def __call__(self, text: str) -> Iterator[Candidate]:
        if not text.startswith("/") or "\n" in text:
            return
        name, blank, argument = text.partition(" ")
        if not blank:
            for row in self._rows:
                for each in row.names:
                    if each.startswith(name):
                        more = " " if row.argument else ""
                        yield Candidate(text=each + more, replaces=len(name), shown=each, words=row.words)
            return
        takes = next((row.takes for row in self._rows if name in row.names), None)
        with contextlib.suppress(CoreError):  # settings that do not load offer nothing
            match takes:
                case "model":
                    yield from self._models(argument)
                case "file":
                    yield from _files(argument, lambda _: True)
                case "image":
                    yield from _files(argument, lambda path: path.lower().endswith(_IMAGES))

    def _models(self, typed: str) -> Iterator[Candidate]:
        """Aliases, providers, and whole ids: all of a provider's once its name is there, else those of that model."""
        catalog = self._app.runtime.catalog
        wanted = typed.casefold()
        bare = "/" not in typed
        if bare:
            for name in (*catalog.aliases, *(f"{provider.name}/" for provider in catalog.usable)):
                if name.casefold().startswith(wanted):
                    words = catalog.aliases.get(name, "")
                    yield Candidate(text=name, replaces=len(typed), shown=name, words=words)
            if not typed:
                return
        for provider in catalog.usable:
            for model in catalog.listing(provider.name).models:
                full = f"{provider.name}/{model.id}"
                starts = (model.id, model.id.rpartition("/")[2] if bare else full)
                if model.kind == "chat" and any(each.casefold().startswith(wanted) for each in starts):
                    yield Candidate(text=full, replaces=len(typed), shown=full)


def _files(argument: str, fits: Callable[[str], bool]) -> Iterator[Candidate]:
    """The files and folders that the last word of ``argument`` may become, written as a shell would have them."""
    raw, word = _last_word(argument)
    folder, _, start = word.rpartition("/")
    before = f"{folder}/" if "/" in word else ""
    try:
        with os.scandir(os.path.expanduser(before) or ".") as entries:  # noqa: PTH111 - "" stays ""
            found = sorted((entry.name, entry.is_dir()) for entry in entries)
    except OSError:
        return
    for name, is_folder in found:
        hidden = name.startswith(".") and not start.startswith(".")
        if not name.startswith(start) or hidden or not (is_folder or fits(name)):
            continue
        shown = f"{name}/" if is_folder else name
        text = re.sub(r"([\s\"'\\])", r"\\\1", before + shown)
        yield Candidate(text=text, replaces=len(raw), shown=shown)


def _last_word(argument: str) -> tuple[str, str]:
    """The last word as it was typed, and what it means: backslashes and quotes are the shell's."""
    start, quote, word = 0, "", ""
    at = 0
    while at < len(argument):
        character = argument[at]
        if character == "\\" and quote != "'" and at + 1 < len(argument):
            at += 1
            word += argument[at]
        elif character in "\"'" and quote in ("", character):
            quote = "" if quote else character
        elif character.isspace() and not quote:
            start, word = at + 1, ""
        else:
            word += character
        at += 1
    return argument[start:], word
