"""``telex doctor``: check the installation, without changing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from telex.app import pass_app
from telex.command import Command
from telex.doctor import CHECKS
from telex.exit_codes import ExitCode, Stop

if TYPE_CHECKING:
    from telex.app import App


@click.command(
    cls=Command,
    name="doctor",
    examples=(
        "telex doctor",
        "telex doctor keyring proxies",
        "telex doctor --json | jq -r '.findings[] | select(.level == \"problem\").remedy'",
    ),
    exits=(ExitCode.SETTINGS,),
)
@click.argument("families", metavar="[FAMILY]...", type=click.Choice(tuple(CHECKS)), nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.pass_context
@pass_app
def command(app: App, ctx: click.Context, *, families: tuple[str, ...], as_json: bool) -> None:
    """Check the installation and suggest fixes.

    Checks versions, folders, settings and their sources, providers and their keys, the keyring, proxies,
    certificates, models, history, tools, completion, and the terminal; or only the families that are named. Each
    finding is ok, a note, or a problem with a fix; if there is a problem, the exit code is 3. Nothing is changed, no
    server is contacted (see telex providers test), and no key is shown. In a pipe, each line has LEVEL, FAMILY,
    SUBJECT, DETAIL and REMEDY, separated by tabs.
    """
    from telex.doctor import examine
    from telex.doctor.context import DoctorContext
    from telex.render import doctor as render

    app.read_only = True
    wanted = [family for family in CHECKS if family in families or not families]
    findings = examine(DoctorContext(app.runtime, app.console, ctx.find_root().command), wanted)
    if as_json:
        found = list(findings)
        render.as_json(app.console, found)
    elif app.console.out_is_terminal:
        found = render.report(app.console, findings)
    else:
        found = render.rows(app.console, findings)
    problems = [finding for finding in found if finding.level == "problem"]
    if problems:
        # On a terminal, the details are in the report just above.
        details = not app.console.out_is_terminal
        lines = [f"{each.family}: {each.subject}{f': {each.detail}' if details else ''}" for each in problems]
        app.console.error(render.summary(found), "\n".join(lines))
        raise Stop(ExitCode.SETTINGS)
    app.console.note(render.summary(found))
