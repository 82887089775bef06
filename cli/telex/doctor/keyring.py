"""The operating system's keyring: which one, whether it answers in time, and whether the stored keys are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.errors import KeyStoreError
from telex.doctor.finding import note, ok, problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.types import Provider
    from telex.doctor.case import Case
    from telex.doctor.finding import Finding

_NOBODY = "telex-doctor"
"""A name that no key is under: reading it shows that the keyring answers."""


def check(case: Case) -> Iterator[Finding]:
    from provider_core.keys import KeyringStore, source

    store = case.key_store
    used = [each for each in case.sound.values() if each.enabled and each.key_stored]
    try:
        backend = store.backend() if isinstance(store, KeyringStore) else type(store).__name__
        store.get(_NOBODY)
    except KeyStoreError as error:
        # Where the environment has all the keys there are, nobody needs a keyring.
        wanting = [each for each in used if source(each, case.environ).kind == "keyring"]
        yield _silent(error, wanting, known=case.is_readable)
        return
    yield ok("backend", f"{backend} answers")
    for provider in used:
        yield _stored(provider, there=store.get(provider.name) is not None)


def _silent(error: KeyStoreError, wanting: list[Provider], *, known: bool) -> Finding:
    from telex.advice import other_source

    if not wanting:
        remedy = "Keys from variables and commands need none: telex help keys"
        unneeded = "; no provider needs it" if known else ""
        return note("backend", f"{error.message}{unneeded}", remedy)
    names = ", ".join(each.name for each in wanting)
    return problem("backend", f"{error.message}: no key for {names}", other_source(error, wanting[0]))


def _stored(provider: Provider, *, there: bool) -> Finding:
    if there:
        return ok(provider.name, "its key is there")
    detail = "its key is not there, though the settings say so"
    return problem(provider.name, detail, f"telex providers set-key {provider.name}")
