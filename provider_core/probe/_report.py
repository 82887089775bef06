"""The values that a probe gives; nothing is asked here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from provider_core.structs import Struct

if TYPE_CHECKING:
    from typing import Self

    from provider_core.errors import CoreError, ProviderError
    from provider_core.types import Model

__all__ = ["STEPS", "Answer", "Card", "Group", "Report", "Status", "Step", "StepName", "Trait"]

StepName: TypeAlias = Literal["reach", "models", "auth", "stream", "usage"]

STEPS: tuple[StepName, ...] = get_args(StepName)
"""In the order in which they are tried and shown."""

Status: TypeAlias = Literal["ok", "absent", "skipped", "failed"]
"""What became of a step. "absent" is what a server does not offer and a chat can do without; "skipped" is
what could not be found out."""

Answer: TypeAlias = Literal["yes", "accepted", "no", "unknown"]
"""Whether the server does it. "accepted" means that the request was not refused: whether it was obeyed is unknown."""

Group: TypeAlias = Literal["answers", "fields"]
"""Traits are of the answers a model gives, or of the optional fields of a request."""


class Step(Struct):
    """One thing that was tried. ``seconds`` is what it took; ``error`` says why it failed."""

    name: StepName
    status: Status
    seconds: float | None = None
    detail: str = ""
    error: CoreError | None = None


class Report(Struct):
    """What a check found out: its steps in the order of ``StepName``, each there once."""

    provider: str
    steps: tuple[Step, ...]
    models: tuple[Model, ...] = ()
    """What the server lists, in its order; empty where it lists nothing."""
    model: str | None = None
    """The model that was asked."""
    unlisted: ProviderError | None = None
    """Why the server lists no models, where it was asked for them."""
    suggested_base: str | None = None
    """Another base URL of the same server, where the API answers and this one does not."""

    @classmethod
    def unreached(cls, provider: str, error: CoreError) -> Self:
        """The report on a provider that could not even be asked."""
        first = Step(name="reach", status="failed", detail=error.message, error=error)
        return cls(provider=provider, steps=(first, *(Step(name=n, status="skipped") for n in STEPS[1:])))

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


class Trait(Struct):
    """One thing that a server can do or not."""

    name: str
    group: Group
    answer: Answer
    detail: str = ""


class Card(Struct):
    """What one model of one provider was seen to do."""

    provider: str
    model: str
    traits: tuple[Trait, ...]
