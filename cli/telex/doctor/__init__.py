"""The checks of ``telex doctor``. They change nothing and contact no server.

A check is a function of a ``DoctorContext`` that yields findings. Whatever is wrong, a check ends: what it cannot find
out is a finding, too.
"""

from __future__ import annotations

from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING

from provider_core.structs import replace
from telex.doctor.context import problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from telex.doctor.context import DoctorContext, Finding

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

_WAITING = ("keyring", "completion")
"""The checks that wait for other processes. They run in threads, while the others are made."""


def examine(context: DoctorContext, families: Iterable[str] = tuple(CHECKS)) -> Iterator[Finding]:
    """The findings of the checks with these names, in their order, with known secrets redacted."""
    names = list(families)
    results: dict[str, list[Finding]] = {}

    def run(family: str) -> None:
        results[family] = list(_findings(context, family))

    threads = {name: Thread(target=run, args=(name,), daemon=True) for name in names if name in _WAITING}
    for thread in threads.values():
        thread.start()
    for name in names:
        if name in threads:
            threads[name].join()
            yield from results[name]
        else:
            yield from _findings(context, name)


def _findings(context: DoctorContext, family: str) -> Iterator[Finding]:
    from provider_core.errors import CoreError
    from telex.error_hints import code_and_hint
    from telex.exit_codes import internal_error

    clean = context.redacted
    try:
        for each in getattr(import_module(f"telex.doctor.{CHECKS[family]}"), family)(context):
            yield replace(
                each,
                family=family,
                subject=clean(each.subject),
                detail=clean(each.detail),
                remedy=clean(each.remedy),
            )
    except CoreError as error:
        hint = code_and_hint(error)[1] or "Change what it names (telex help environment)"
        yield replace(problem("everything", clean(error.message), clean(hint)), family=family)
    except Exception as error:  # noqa: BLE001 - a check that fails must not hide what the others find
        message, _, advice = internal_error(error).message.partition(". ")
        yield replace(problem("everything", message, advice), family=family)
