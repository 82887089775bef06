"""One line of the report; what it is about is known to the check that made it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from provider_core.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

__all__ = ["Finding", "Level", "note", "ok", "problem", "unknown"]

Level: TypeAlias = Literal["ok", "note", "problem"]
"""As it should be; worth knowing; in the way of something that is set up."""


class Finding(Struct):
    """``remedy`` is what to do about it, in one line or a few; "" where nothing needs to be done."""

    level: Level
    subject: str
    detail: str
    remedy: str = ""
    family: str = ""

    def of(self, family: str, cleaned: Callable[[str], str]) -> Self:
        """The finding as a part of ``family``, its words put through ``cleaned``."""
        return replace(
            self,
            family=family,
            subject=cleaned(self.subject),
            detail=cleaned(self.detail),
            remedy=cleaned(self.remedy),
        )


def ok(subject: str, detail: str) -> Finding:
    return Finding(level="ok", subject=subject, detail=detail)


def note(subject: str, detail: str, remedy: str = "") -> Finding:
    return Finding(level="note", subject=subject, detail=detail, remedy=remedy)


def unknown() -> Finding:
    """What there is to say of anything that stands in a file that cannot be read; the file itself has its problem."""
    return note("everything", "not known: the settings file cannot be read (see settings)")


def problem(subject: str, detail: str, remedy: str = "") -> Finding:
    return Finding(level="problem", subject=subject, detail=detail, remedy=remedy)
