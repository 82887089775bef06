"""``telex doctor``: check the installation, and print the findings as a report, as rows, or as JSON."""

from __future__ import annotations

import re
import textwrap
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import click

from provider_core.errors import SettingsError
from provider_core.structs import Struct, replace
from telex.app import pass_app
from telex.console import visible
from telex.exit_codes import ExitCode, Stop
from telex.humanize import plural
from telex.main import Command

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provider_core.catalog import Catalog
    from provider_core.keys import KeyStore
    from provider_core.runtime import Runtime
    from provider_core.settings import Paths, Settings
    from telex.app import App
    from telex.console import Console

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
"""Every check, in the order of the report: its name, and the module of this package that has it as a function."""

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
    parts = ["family", "subject"] if console.out_is_terminal else ["family", "subject", "detail"]
    lines = [": ".join(getattr(each, part) for part in parts) for each in found if each.level == "problem"]
    console.error(summary, "\n".join(lines))
    raise Stop(ExitCode.SETTINGS)


def _findings(context: DoctorContext, family: str) -> Iterator[Finding]:
    """The findings of one check, with known secrets redacted. A failure to find something out is a finding, too."""
    from provider_core.errors import CoreError
    from telex.error_hints import code_and_hint
    from telex.exit_codes import internal_error

    def clean(found: Finding) -> Finding:
        texts = {name: context.redacted(getattr(found, name)) for name in ("subject", "detail", "remedy")}
        return replace(found, family=family, **texts)

    try:
        check = getattr(import_module(f"{__name__}.{CHECKS[family]}"), family)
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


# --- what the checks have in common --------------------------------------------------------------------------

Level: TypeAlias = Literal["ok", "note", "problem"]
"""A problem keeps something that is set up from working; a note is worth knowing."""


class Finding(Struct):
    """One line of the report. ``remedy`` says how to fix it; "" if there is nothing to do."""

    level: Level
    subject: str
    detail: str
    remedy: str = ""
    family: str = ""
    """The name of the check."""


def ok(subject: str, detail: str) -> Finding:
    return Finding(level="ok", subject=subject, detail=detail)


def note(subject: str, detail: str, remedy: str = "") -> Finding:
    return Finding(level="note", subject=subject, detail=detail, remedy=remedy)


def problem(subject: str, detail: str, remedy: str = "") -> Finding:
    return Finding(level="problem", subject=subject, detail=detail, remedy=remedy)


class DoctorContext:
    """The settings as a command would load them, without tightening modes or writing caches.

    ``root`` is the command telex. Properties raise ``SettingsError`` if there is no home folder.
    """

    def __init__(self, runtime: Runtime, console: Console, root: click.Command) -> None:
        self.runtime = runtime
        self.environ: Mapping[str, str] = runtime.environ
        self.console = console
        self.root = root

    @property
    def paths(self) -> Paths:
        return self.runtime.paths

    @property
    def key_store(self) -> KeyStore:
        _ = self.paths  # the keyring's name is remembered in the cache folder
        return self.runtime.key_store

    @cached_property
    def file(self) -> tuple[str, SettingsError | None]:
        """The settings file, and why it cannot be read or parsed; "" if that is so, or if there is none."""
        from provider_core.settings import file

        path = self.paths.settings_file
        try:
            text = file.decode(file.content(path), path)
            file.parse(text, path)
        except SettingsError as error:
            return "", error
        return text, None

    @property
    def settings(self) -> Settings:
        """The settings in force; those of the environment alone if the file cannot be read."""
        return self._loaded[0]

    @property
    def profile_error(self) -> SettingsError | None:
        """Why the profile cannot be used, which ``settings`` are without."""
        return self._loaded[1]

    @cached_property
    def _loaded(self) -> tuple[Settings, SettingsError | None]:
        from provider_core import settings

        project = self.runtime.project
        trusted = project if project is not None and project.state == "trusted" else None

        def load(profile: str | None) -> Settings:
            return settings.load(
                self.paths, self.environ, profile=profile, project=trusted, text=self.file[0]
            )

        try:
            return load(self.runtime.profile), None
        except SettingsError as error:
            return load(""), error

    @cached_property
    def catalog(self) -> Catalog:
        """The models that can be named now."""
        from provider_core.runtime import Runtime

        return Runtime(environ=self.environ, settings=self.settings, key_store=self.key_store).catalog

    def place(self, *keys: str) -> str:
        """The path of the settings file, and the line of this table or value, if it is there."""
        from provider_core.settings.file import line_of

        found = line_of(self.file[0], keys)
        return f"{self.paths.settings_file}{f', line {found}' if found else ''}"

    def invalid(self, group: str) -> Iterator[Finding]:
        """A problem for each invalid entry of a group of tables, or for the whole group."""
        for entry in self.settings.problems:
            if entry == group:
                yield self.invalid_entry(entry, subject="everything")
            elif entry.startswith(f"{group}."):
                yield self.invalid_entry(entry, subject=entry.removeprefix(f"{group}."))

    def invalid_entry(self, entry: str, *, subject: str) -> Finding:
        """The problem of an entry of ``Settings.problems``, such as "usage" or "providers.lab"."""
        error, project = self.settings.problems[entry], self.runtime.project
        keys = entry.split(".", 1)
        variable = entry if entry.startswith("TELEX_") else f"TELEX_{keys[0].upper()}"
        remedy = f"Change {variable}" if error.path is None else f"Edit {self.place(*keys)}"
        if project is not None and self.settings.sources.get(entry) == "project":
            remedy = f"Edit {project.path}"
        if subject == "everything":
            return problem(subject, error.message, remedy)
        pattern = rf"(TELEX_)?{re.escape(entry)}(: |\.| )"
        return problem(subject, re.sub(pattern, "", error.message, count=1, flags=re.IGNORECASE), remedy)

    def redacted(self, text: str) -> str:
        """``text`` without repeated blanks, control characters, and secrets of the environment and the settings."""
        from provider_core.redaction import printable, redact

        lines = [" ".join(line.split()) for line in redact(text, self._secrets).splitlines()]
        return printable("\n".join(lines))

    @cached_property
    def _secrets(self) -> tuple[str, ...]:
        from provider_core import presets
        from provider_core.settings import file

        keys = {name for preset in presets.all_presets() for name in preset.key_env}
        tables: Mapping[str, Any] = {}
        try:
            keys |= {name for each in self.settings.providers.values() for name in each.key_env}
            # As they are written: invalid ones may hold secrets, too.
            tables = file.parse(self.file[0], self.paths.settings_file)
        except SettingsError:  # there is no home folder
            pass
        found = [*self._secrets_in(tables, "", "")]
        for name, value in self.environ.items():
            words = name.upper().split("_")
            if name in keys or {"KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD"} & set(words):
                found.append(value)
            elif words[-1] == "PROXY":
                found += _credentials(value)
        return tuple(dict.fromkeys(filter(None, found)))

    def _secrets_in(self, value: Any, name: str, table: str) -> Iterator[str]:
        """The secrets of a setting: in headers and variables that sound secret, and in addresses."""
        from provider_core.request import is_secret_name
        from provider_core.settings.validators import parse_reference

        if isinstance(value, dict):
            for key, each in value.items():
                yield from self._secrets_in(each, key, name)
        elif isinstance(value, str) and "://" in value:
            yield from _credentials(value)
        elif isinstance(value, str) and table in ("headers", "env"):
            found = parse_reference(value)
            if found is not None and found.kind == "env":
                yield self.environ.get(found.name, "")
            elif found is None and is_secret_name(name):
                yield value


def _credentials(url: str) -> Iterator[str]:
    """The password in an address, and the secrets of its query, as written and decoded."""
    from urllib.parse import unquote

    from provider_core.request import is_secret_name

    address, _, query = url.partition("?")
    user, at, _ = address.rpartition("@")
    found = [user.rpartition("://")[2].partition(":")[2]] if at else []
    parts = (part.partition("=") for part in query.split("&"))
    found += [value for name, _, value in parts if is_secret_name(name)]
    for each in found:
        yield each
        yield unquote(each)
