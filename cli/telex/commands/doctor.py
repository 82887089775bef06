"""``telex doctor``: check the installation, and print the findings as a report, as rows, or as JSON."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import click

from telex.app import pass_app
from telex.console import visible
from telex.doctor import CHECKS
from telex.exit_codes import ExitCode, Stop
from telex.humanize import plural
from telex.main import Command

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from telex.app import App
    from telex.console import Console
    from telex.doctor.context import Finding

_COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}
_BOLD, _RESET = "\x1b[1m", "\x1b[0m"
_TWO_COLUMNS = 60
"""From this width on, the levels have a column of their own."""


@click.command(
    cls=Command,
    name="doctor",
    examples=(
        "telex doctor",
        "telex doctor keyring proxies",
        "telex doctor --json | jq -r '.findings[] | select(.level == \"problem\").remedy'",
    ),
    exits=(ExitCode.SETTINGS,),
    meanings={ExitCode.SETTINGS: "a problem was found"},
)
@click.argument("families", metavar="[FAMILY]...", type=click.Choice(tuple(CHECKS)), nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.pass_context
@pass_app
def command(app: App, ctx: click.Context, *, families: tuple[str, ...], as_json: bool) -> None:
    """Check the installation and suggest fixes.

    The families of checks are versions, folders, settings, providers, keyring, proxies, certificates, models, history,
    tools, completion and terminal. Checks all of them, or only the families that you name. Each finding is ok, a note,
    or a problem with a fix. telex doctor changes nothing, contacts no server (see telex providers test), and shows no
    key. In a pipe, each line has LEVEL, FAMILY, SUBJECT, DETAIL and REMEDY,
    separated by tabs.
    """
    from telex.doctor import examine
    from telex.doctor.context import DoctorContext

    console = app.console
    wanted = [family for family in CHECKS if family in families or not families]
    # The app's own runtime stays unused: it would refresh the file that completion reads.
    findings = examine(DoctorContext(app.runtime.separate(), console, ctx.find_root().command), wanted)
    if as_json:
        found = list(findings)
        _print_json(console, found)
    else:
        found = (
            _print_report(console, findings) if console.out_is_terminal else _print_rows(console, findings)
        )
    problems = [finding for finding in found if finding.level == "problem"]
    if problems:
        # On a terminal, the details are in the report just above.
        details = not console.out_is_terminal
        lines = [f"{each.family}: {each.subject}{f': {each.detail}' if details else ''}" for each in problems]
        console.error(_summary(found), "\n".join(lines))
        raise Stop(ExitCode.SETTINGS)
    console.note(_summary(found))


def _print_json(console: Console, findings: Sequence[Finding]) -> None:
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


def _print_rows(console: Console, findings: Iterable[Finding]) -> list[Finding]:
    """Print LEVEL, FAMILY, SUBJECT, DETAIL and REMEDY, separated by tabs; returns the findings."""
    shown: list[Finding] = []
    for each in findings:
        shown.append(each)
        fields = (each.level, each.family, each.subject, each.detail, each.remedy)
        console.out("\t".join(" ".join(field.split()) for field in fields) + "\n")
    return shown


def _print_report(console: Console, findings: Iterable[Finding]) -> list[Finding]:
    """Print each finding as soon as it is made, under a heading for each family; returns the findings."""
    shown: list[Finding] = []
    for finding in findings:
        if not shown or shown[-1].family != finding.family:
            heading = finding.family.capitalize()
            heading = f"{_BOLD}{heading}{_RESET}" if console.out_has_colour else heading
            console.raw_out(f"\n{heading}\n" if shown else f"{heading}\n")
        shown.append(finding)
        for line in _lines(finding, console):
            console.raw_out(f"{line}\n")
    return shown


def _lines(finding: Finding, console: Console) -> Iterator[str]:
    width = console.width()
    level, indent = f"{finding.level:<9}", " " * 11
    if width < _TWO_COLUMNS:
        level, indent = f"{finding.level}: ", " " * 4

    def wrap(text: str, start: str) -> list[str]:
        return textwrap.wrap(
            text,
            max(width - 1, 20),
            initial_indent=start,
            subsequent_indent=indent,
            break_on_hyphens=False,
        )

    first, *rest = wrap(visible(f"{finding.subject}: {finding.detail}"), f"  {level}")
    if console.out_has_colour:
        first = first.replace(finding.level, console.painted(finding.level, _COLOURS[finding.level]), 1)
    yield first
    yield from rest
    for line in visible(finding.remedy).splitlines():
        # A remedy that begins in lower case is a command, which must remain in one line to be copied.
        yield from wrap(line, indent) if line[:1].isupper() else [f"{indent}{line.strip()}"]


def _summary(findings: Sequence[Finding]) -> str:
    """How many problems and notes there are."""
    levels = [each.level for each in findings]
    counts = {name: levels.count(name) for name in ("problem", "note")}
    return " and ".join(plural(count, name) for name, count in counts.items() if count) or "all is well"
