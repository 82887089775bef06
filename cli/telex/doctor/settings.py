"""The settings: whether the file is in order, and where each value in force comes from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from provider_core.errors import SettingsError
from telex.doctor.finding import note, ok, problem
from telex.humanize import plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.doctor.case import Case, Value
    from telex.doctor.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    yield _file(case)
    for value in case.values:
        if value.origin or value.error:
            yield _value(case, value)
    yield _defaults([value for value in case.values if not value.origin and not value.error])
    yield _aliases(case)
    yield from _strangers(case)


def _file(case: Case) -> Finding:
    path = case.paths.settings_file
    try:
        data = case.data
    except SettingsError as error:
        return problem("file", error.message, f"Fix it: {path}")
    if not case.text:
        return ok("file", f"{path} (not created yet: defaults are used)")
    lines = case.text.count("\n") + (not case.text.endswith("\n"))
    count = len(data.get("providers", ())) if isinstance(data.get("providers", {}), dict) else 0
    return ok("file", f"{path}, {lines} lines, {plural(count, 'provider')}")


def _value(case: Case, value: Value) -> Finding:
    path = case.paths.settings_file
    where = f"{path.name}, {value.origin}" if value.origin.startswith("line ") else value.origin
    if value.error:
        remedy = f"Change {value.origin}" if value.origin.startswith("TELEX_") else f"Fix it: {path}"
        words = value.error
        for start in (f"{value.name}: ", f"{value.name} ", f"TELEX_{value.name.upper()}: "):
            words = words.removeprefix(start)
        return problem(value.name, f"{words} ({where or path.name})", remedy)
    below = case.line(value.name) if value.origin.startswith("TELEX_") else ""
    over = f", over {path.name}{below}" if below else ""
    return ok(value.name, f"{_shown(value.value)} ({where}{over})")


def _defaults(values: list[Value]) -> Finding:
    """Those that nobody set, on one line."""
    known = ", ".join(f"{each.name} {_shown(each.value)}" for each in values if each.value is not None)
    unset = ", ".join(each.name for each in values if each.value is None)
    return ok("defaults", "; not set: ".join(part for part in (known or "none", unset) if part))


def _shown(value: Any) -> str:
    match value:
        case str():
            return value
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return json.dumps(value, ensure_ascii=False)


def _aliases(case: Case) -> Finding:
    try:
        aliases = case.aliases
    except SettingsError as error:
        return problem(
            "aliases", error.message.removeprefix("aliases: "), f"Fix it: {case.paths.settings_file}"
        )
    if not aliases:
        return ok("aliases", "none")
    words = ", ".join(f"{name} for {target}" for name, target in aliases.items())
    return ok("aliases", f"{words} ({case.paths.settings_file.name}{case.line('aliases')})")


def _strangers(case: Case) -> Iterator[Finding]:
    """Variables that look like settings and are none: a mistyped one is passed over in silence otherwise."""
    from provider_core.redaction import close_matches
    from provider_core.settings.schema import File

    known = {"TELEX_HOME", *(f"TELEX_{name.upper()}" for name in File.model_fields)}
    for name in case.variables.keys() - known:
        meant = close_matches(name, known, most=1, cutoff=0.8)
        hint = f"Did you mean {meant[0]}?" if meant else "See: telex help environment"
        yield note(name, "is set, and no setting: it changes nothing", hint)
