"""The values that a probe gives; nothing is asked here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from provider_core.errors import CoreError
    from provider_core.types import Model

__all__ = ["Answer", "Card", "Group", "Report", "Status", "Step", "StepName", "Trait"]

StepName: TypeAlias = Literal["reach", "models", "auth", "stream", "usage"]

Status: TypeAlias = Literal["ok", "absent", "skipped", "failed"]
"""What became of a step. "absent" is what a server does not offer and a chat can do without; "skipped" is
what could not be found out."""

Answer: TypeAlias = Literal["yes", "no", "unknown"]

Group: TypeAlias = Literal["answers", "fields"]
"""Traits are of the answers a model gives, or of the optional fields of a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that was tried. ``seconds`` is what it took; ``error`` says why it failed."""

    name: StepName
    status: Status
    seconds: float | None = None
    detail: str = ""
    error: CoreError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a check found out: its steps in the order of ``StepName``, each there once."""

    provider: str
    steps: tuple[Step, ...]
    models: tuple[Model, ...] = ()
    """What the server lists, in its order; empty where it lists nothing."""
    model: str | None = None
    """The model that was asked."""

    @property
    def passed(self) -> bool:
        """Whether a chat was had: reached, let in and answered; the rest a chat can do without."""
        return all(self[name].status in ("ok", "absent") for name in ("reach", "auth", "stream"))

    @property
    def error(self) -> CoreError | None:
        """The first failure."""
        return next((step.error for step in self.steps if step.error is not None), None)

    def __getitem__(self, name: StepName) -> Step:
        """The step of this name."""
        return next(step for step in self.steps if step.name == name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trait:
    """One thing that a server can do or not."""

    name: str
    group: Group
    answer: Answer
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What one model of one provider was seen to do."""

    provider: str
    model: str
    traits: tuple[Trait, ...]
