"""The doctor's findings as a report for a terminal, as rows for a pipe, and as JSON; nothing is judged here."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from telex.console import visible
from telex.humanize import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from telex.console import Console
    from telex.doctor.context import Finding

_COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}
_BOLD, _RESET = "\x1b[1m", "\x1b[0m"
_NARROW = 60
_LEVEL = 9
"""Columns that the level takes, with its gap."""


def report(console: Console, findings: Iterable[Finding]) -> list[Finding]:
    """Each finding as soon as it is there, under the heading of its family; returns them all."""
    shown: list[Finding] = []
    family = ""
    for finding in findings:
        shown.append(finding)
        if finding.family != family:
            console.raw_out("\n" if family else "")
            family = finding.family
            heading = family.capitalize()
            console.raw_out(f"{_BOLD}{heading}{_RESET}\n" if console.out_has_colour else f"{heading}\n")
        for line in _lines(finding, console):
            console.raw_out(f"{line}\n")
    return shown


def rows(console: Console, findings: Iterable[Finding]) -> list[Finding]:
    """LEVEL, FAMILY, SUBJECT, DETAIL and REMEDY, with tabs between; returns the findings."""
    shown: list[Finding] = []
    for each in findings:
        shown.append(each)
        fields = (each.level, each.family, each.subject, each.detail, each.remedy)
        console.out("\t".join(" ".join(field.split()) for field in fields) + "\n")
    return shown


def as_json(console: Console, findings: Sequence[Finding]) -> None:
    """One object; ``passed`` is whether there is no problem."""
    from provider_core import __version__

    levels = [each.level for each in findings]
    report = {
        "telex": __version__,
        "passed": "problem" not in levels,
        "problems": levels.count("problem"),
        "notes": levels.count("note"),
        "findings": [
            {
                "family": each.family,
                "subject": each.subject,
                "level": each.level,
                "detail": each.detail,
                "remedy": each.remedy or None,
            }
            for each in findings
        ],
    }
    console.json(report)


def summary(findings: Sequence[Finding]) -> str:
    """How many problems and notes there are."""
    levels = [each.level for each in findings]
    counts = {noun: levels.count(noun) for noun in ("problem", "note")}
    return " and ".join(plural(count, noun) for noun, count in counts.items() if count) or "all is well"


def _lines(finding: Finding, console: Console) -> Iterator[str]:
    width = console.width()
    indent = " " * (2 + _LEVEL if width >= _NARROW else 4)
    head = f"  {finding.level:<{_LEVEL}}" if width >= _NARROW else f"  {finding.level}: "
    words = visible(f"{finding.subject}: {finding.detail}")
    first, *rest = textwrap.wrap(
        words, max(width - 1, 20), initial_indent=head, subsequent_indent=indent, break_on_hyphens=False
    )
    if console.out_has_colour:
        at = first.index(finding.level)
        end = at + len(finding.level)
        first = f"{first[:at]}{console.painted(finding.level, _COLOURS[finding.level])}{first[end:]}"
    yield first
    yield from rest
    for line in visible(finding.remedy).splitlines():
        if line[:1].isupper():
            yield from textwrap.wrap(
                line,
                max(width - 1, 20),
                initial_indent=indent,
                subsequent_indent=indent,
                break_on_hyphens=False,
            )
        else:  # a command line, to be copied as it stands
            yield f"{indent}{line.strip()}"
