"""What formats for programs say on stderr while they are silent on stdout: retries and refused fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.types import CallAsText, FieldDropped, FieldIgnored, Retrying
from telex.render.words import changed, retrying

if TYPE_CHECKING:
    from provider_core.events import ToolEvent
    from provider_core.types import Notice, Target
    from telex.console import Console

__all__ = ["Asides"]


class Asides:
    """The part of a ``Show`` that such formats share."""

    unsaid = 0

    def __init__(self, console: Console) -> None:
        self.console = console
        self.target: Target | None = None

    def connecting(self, target: Target) -> None:
        self.target = target

    def notice(self, notice: Notice) -> None:
        match notice:
            case Retrying():
                self.aside(retrying(notice))
            case FieldDropped() | FieldIgnored() | CallAsText() if self.target is not None:
                self.aside(changed(self.target, notice))

    def aside(self, line: str) -> None:
        self.console.note(line)

    def tool(self, event: ToolEvent) -> None:
        pass

    def pause(self) -> None:
        pass

    def close(self) -> None:
        pass
