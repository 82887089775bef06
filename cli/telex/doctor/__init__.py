"""What `telex doctor` looks at: THE list of families, each a file of its own; how it is shown is decided elsewhere.

A check looks and changes nothing, reaches no server, and says what to do about what it finds. Whatever its
subject is like, it ends: what it cannot find out is a finding, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telex.doctor.finding import problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from telex.doctor.case import Case
    from telex.doctor.finding import Finding

__all__ = ["FAMILIES", "examine"]

FAMILIES = (
    "versions",
    "folders",
    "settings",
    "providers",
    "keyring",
    "proxies",
    "trust",
    "models",
    "history",
    "tools",
    "completion",
    "terminal",
)
"""Each is a module beside this one with ``check(case)``, which yields findings; the order is the report's."""


def examine(case: Case, families: Iterable[str] = FAMILIES) -> Iterator[Finding]:
    """All findings, family by family, without any secret that the case knows of."""
    for family in families:
        yield from _found(case, family)


def _found(case: Case, family: str) -> Iterator[Finding]:
    from importlib import import_module

    from provider_core.errors import CoreError
    from telex.error_hints import code_and_hint
    from telex.exit_codes import traceback_place

    def same(text: str) -> str:
        return text

    try:
        for finding in import_module(f"telex.doctor.{family}").check(case):
            yield finding.of(family, case.without_secrets)
    except CoreError as error:
        hint = code_and_hint(error)[1] or "Change what it names (telex help environment)"
        yield problem("everything", error.message, hint).of(family, case.without_secrets)
    except Exception as error:  # noqa: BLE001 - one check that fails must not hide what the others find
        words = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        words = f"internal error in {traceback_place(error)} ({words})"
        yield problem("everything", words, "Please report it.").of(family, same)
