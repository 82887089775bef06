"""Names for click's own completion, from the lists that the scripts read; the scripts themselves need none of this."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from telex.options import Name

__all__ = ["offers"]


def offers(wanted: Name, typed: str, given: Mapping[str, Any]) -> list[CompletionItem]:
    """What may stand for ``typed``; ``given`` are the command's other parameters. A missing list offers nothing."""
    if wanted.of is not None:
        before = f"{given.get(wanted.of)}/"
        found = _items((line.removeprefix(before), words) for line, words in _list("models", before))
    elif wanted.completes != "model":
        found = _items(_list("aliases" if wanted.completes == "alias" else f"{wanted.completes}s"))
    elif "/" in typed:
        found = _items(_list("models"))
    else:
        found = [
            *_items((f"{name}/", words) for name, words in _list("providers")),
            *_items(_list("aliases")),
        ]
    return [item for item in found if item.value.startswith(typed)]


def _items(lines: Iterator[tuple[str, str]]) -> list[CompletionItem]:
    return [CompletionItem(name, help=words) for name, words in lines]


def _list(name: str, start: str = "") -> Iterator[tuple[str, str]]:
    """The names of a list that begin with ``start``, each with its few words."""
    from provider_core.settings import Paths

    path = Paths.find(os.environ).cache / "completion" / f"{name}.tsv"
    try:
        lines = path.read_text("utf-8", "replace").split("\n")
    except OSError:
        return
    for line in lines:
        word, _, words = line.partition("\t")
        if word and word.startswith(start):
            yield word, words
