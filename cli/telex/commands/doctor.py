"""``telex doctor``: check the installation, and print the findings as a report, as rows, or as JSON."""

from __future__ import annotations

import textwrap
from importlib import import_module
from typing import TYPE_CHECKING

import click

from telex.app import pass_app
from telex.console import visible
from telex.exit_codes import ExitCode, Stop
from telex.humanize import plural
from telex.main import Command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.app import App
    from telex.console import Console
    from telex.doctor import DoctorContext, Finding

CHECKS = {
    "versions": "machine",
    "folders": "machine",
    "settings": "setup",
    "providers": "setup",
    "keyring": "setup",
    "proxies": "setup",
    "certificates": "machine",
    "models": "setup",
    "history": "setup",
    "tools": "setup",
    "completion": "machine",
    "terminal": "machine",
}
"""Every check, in the order of the report: its name, and the module of ``telex.doctor`` that has it as a function."""

_COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}
_TWO_COLUMNS = 60
"""From this width on, all text is to the right of the levels."""


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
    from telex.doctor import DoctorContext

    console = app.console
    # The app's own runtime stays unused: it would refresh the file that completion reads.
    context = DoctorContext(app.runtime.separate(), console, ctx.find_root().command)
    found: list[Finding] = []
    for family in CHECKS:
        if families and family not in families:
            continue
        for finding in _findings(context, family):
            if not as_json and console.out_is_terminal:
                _print_report(console, finding, found[-1].family if found else "")
            elif not as_json:
                fields = (finding.level, family, finding.subject, finding.detail, finding.remedy)
                console.out("\t".join(" ".join(field.split()) for field in fields) + "\n")
            found.append(finding)
    levels = [finding.level for finding in found]
    problems, notes = levels.count("problem"), levels.count("note")
    if as_json:
        from provider_core import __version__

        names = ("family", "subject", "level", "detail")
        findings = [
            {**{name: getattr(each, name) for name in names}, "remedy": each.remedy or None} for each in found
        ]
        console.json({
            "telex": __version__, "passed": not problems, "problems": problems, "notes": notes, "findings": findings
        })  # fmt: skip
    counts = [plural(count, name) for count, name in ((problems, "problem"), (notes, "note")) if count]
    summary = " and ".join(counts) or "all is well"
    if not problems:
        console.note(summary)
        return
    # On a terminal, the details are in the report just above.
    console.error(
        summary,
        "\n".join(
            f"{each.family}: {each.subject}{'' if console.out_is_terminal else f': {each.detail}'}"
            for each in found
            if each.level == "problem"
        ),
    )
    raise Stop(ExitCode.SETTINGS)


def _findings(context: DoctorContext, family: str) -> Iterator[Finding]:
    """The findings of one check, with known secrets redacted. What it cannot find out is a finding, too."""
    from provider_core.errors import CoreError
    from provider_core.structs import replace
    from telex.doctor import problem
    from telex.error_hints import code_and_hint
    from telex.exit_codes import internal_error

    def clean(found: Finding) -> Finding:
        texts = {name: context.redacted(getattr(found, name)) for name in ("subject", "detail", "remedy")}
        return replace(found, family=family, **texts)

    try:
        check = getattr(import_module(f"telex.doctor.{CHECKS[family]}"), family)
        yield from map(clean, check(context))
    except CoreError as error:
        hint = code_and_hint(error)[1] or "Change what it names (telex help environment)"
        yield clean(problem("everything", error.message, hint))
    except Exception as error:  # noqa: BLE001 - a check that fails must not hide what the others find
        message, _, advice = internal_error(error).message.partition(". ")
        yield clean(problem("everything", message, advice))


def _print_report(console: Console, finding: Finding, last_family: str) -> None:
    """Print a finding on a terminal, below a heading if it is the first of its family."""
    if finding.family != last_family:
        bold, off = ("\x1b[1m", "\x1b[0m") if console.out_has_colour else ("", "")
        gap = "\n" if last_family else ""
        console.raw_out(f"{gap}{bold}{finding.family.capitalize()}{off}\n")
    width = console.width()
    indent = " " * (11 if width >= _TWO_COLUMNS else 4)

    def wrap(text: str, start: str) -> list[str]:
        return textwrap.wrap(
            text,
            max(width - 1, 20),
            initial_indent=start,
            subsequent_indent=indent,
            break_on_hyphens=False,
        )

    first, *lines = wrap(visible(f"{finding.subject}: {finding.detail}"), f"  {finding.level:<9}")
    if console.out_has_colour:
        first = first.replace(finding.level, console.painted(finding.level, _COLOURS[finding.level]), 1)
    for line in visible(finding.remedy).splitlines():
        # A remedy that begins in lower case is a command, which must remain in one line to be copied.
        lines += wrap(line, indent) if line[:1].isupper() else [f"{indent}{line.strip()}"]
    console.raw_out("".join(f"{line}\n" for line in (first, *lines)))
