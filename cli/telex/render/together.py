"""Several answers at once: one show for each, and what they are together; the choice among the formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from telex.render.json import Json, failure_object
from telex.render.jsonl import JsonLines, Numbered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provider_core.types import Target
    from telex.app import App
    from telex.console import Console
    from telex.render.show import Show, View

__all__ = ["GAP", "LEAST", "Together", "together_for"]

LEAST, GAP = 38, 3
"""Cells of a column at least, and between two: 80 hold two. Without room, answers stand one below the other."""


class Together(Protocol):
    """The shows of several answers, in the order in which their models were named."""

    def begin(self, targets: Sequence[Target | None]) -> Sequence[Show]:
        """All are asked from now on; None is a name that led nowhere, whose show is told of that by ``failed``."""

    def tick(self) -> None:
        """Something has happened, or nothing for a moment: what is live may be painted."""

    def failed(self, error: BaseException, hint: str | None = None) -> None:
        """None of them could be asked; it takes the place of everything else."""

    def end(self) -> None:
        """Each has ended or failed."""


def together_for(app: App, view: View, names: Sequence[str], tell: Callable[[int], None]) -> Together:
    """How answers of the models with these ``names`` are shown together.

    ``tell`` is called once for each, by its index, when what there is to say of its end can be said on stderr.
    """
    console = app.console
    match view.format:
        case "json":
            return JsonArray(console, names, tell)
        case "jsonl":
            return TaggedLines(console, names, tell)
    if console.out_is_terminal and console.width() >= len(names) * (LEAST + GAP) - GAP:
        from telex.render.styles import look_for

        look = look_for(console, app.runtime.environ, view.code_theme)
        if look is not None:
            from telex.render.columns import Columns

            return Columns(console, view, names, tell, look=look)
    from telex.render.sections import Sections

    return Sections(app, view, names, tell)


class JsonArray:
    """One array of the objects of ``--json``, when the last answer has ended."""

    def __init__(self, console: Console, names: Sequence[str], tell: Callable[[int], None]) -> None:
        self._console = console
        self._names = names
        self._tell = tell
        self._shows: list[_Element] = []

    def begin(self, targets: Sequence[Target | None]) -> Sequence[Show]:
        for name, target in zip(self._names, targets, strict=True):
            self._shows.append(_Element(self._console, name))
            if target is not None:
                self._shows[-1].connecting(target)
        return self._shows

    def tick(self) -> None:
        pass

    def failed(self, error: BaseException, hint: str | None = None) -> None:
        for show in self._shows or self.begin([None] * len(self._names)):
            show.failed(error, hint)
        self._print()

    def end(self) -> None:
        self._print()
        for index in range(len(self._names)):
            self._tell(index)

    def _print(self) -> None:
        indent = 2 if self._console.out_is_terminal else None
        self._console.json([show.found for show in self._shows], indent=indent)


class _Element(Json):
    """The object of one model, kept until all are there."""

    def __init__(self, console: Console, name: str) -> None:
        super().__init__(console)
        self._name = name
        self.found: dict[str, Any] | None = None

    def failed(self, error: BaseException, hint: str | None = None) -> None:
        self.found = {**failure_object(error, hint), "model": self._name}

    def _print(self, found: dict[str, Any]) -> None:
        self.found = found


class TaggedLines:
    """The events of all as they come: one numbering, and on each line whose it is."""

    def __init__(self, console: Console, names: Sequence[str], tell: Callable[[int], None]) -> None:
        self._console = console
        self._names = names
        self._tell = tell

    def begin(self, targets: Sequence[Target | None]) -> Sequence[Show]:
        lines, shows = Numbered(self._console), []
        for index, (name, target) in enumerate(zip(self._names, targets, strict=True)):
            provider, model = (None, name) if target is None else (target.provider.name, target.model)
            tags = {"index": index, "provider": provider, "model": model}
            shows.append(JsonLines(self._console, lines=lines, tags=tags))
            if target is None:
                shows[-1].begin(provider, model)
            else:
                shows[-1].connecting(target)
        return shows

    def tick(self) -> None:
        pass

    def failed(self, error: BaseException, hint: str | None = None) -> None:
        for show in self.begin([None] * len(self._names)):
            show.failed(error, hint)

    def end(self) -> None:
        for index in range(len(self._names)):
            self._tell(index)
