"""What can be named: the default, the short names, how old the servers' lists are, and the embedded model's file."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from provider_core.errors import ModelError, NoModelError
from telex.doctor.finding import note, ok, problem, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.doctor.case import Case
    from telex.doctor.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    if case.is_readable:
        yield _default(case)
        yield from _aliases(case)
        yield from _lists(case)
    else:
        yield unknown()
    yield _snapshot(case)
    yield from _embedded(case)


def _default(case: Case) -> Finding:
    from provider_core.resolve import resolve
    from telex.error_hints import code_and_hint

    wanted = case.setting("model")
    try:
        target = resolve(wanted, case.catalog)
    except NoModelError as error:
        if error.provider is not None:  # its server will be asked what it has
            return ok("default", f"{error.provider}, and what its server lists first")
        return note(
            "default", error.message, code_and_hint(error)[1] or "Choose one: telex models default ID"
        )
    except ModelError as error:
        level = problem if wanted else note
        return level("default", error.message, code_and_hint(error)[1] or "")
    if target.provider.name in case.catalog.without_key:
        remedy = f"telex providers set-key {target.provider.name}"
        return problem("default", f"{target}, and {target.provider.name} has no key", remedy)
    return ok("default", str(target))


def _aliases(case: Case) -> Iterator[Finding]:
    from provider_core.resolve import resolve

    for name, meaning in case.catalog.aliases.items():
        try:
            resolve(meaning, case.catalog)
        except NoModelError:
            continue  # its server will be asked
        except ModelError as error:
            yield note(f"alias {name}", error.message, f"telex models alias {name} --remove")


def _lists(case: Case) -> Iterator[Finding]:
    """The servers' lists of those providers that can be asked now."""
    from provider_core.catalog import can_list_models
    from telex.humanize import age, plural

    never = []
    for provider in case.catalog.usable:
        if not can_list_models(provider):
            continue
        listing = case.catalog.listing(provider.name)
        if listing.fetched_at is None:
            never.append(provider.name)
            continue
        count = len(listing.models)
        words = f"{plural(count, 'model')}, listed {age(time.time() - listing.fetched_at)} ago"
        refresh = f"telex models list --refresh --provider {provider.name}"
        yield note(provider.name, words, refresh) if listing.stale else ok(provider.name, words)
    if never:
        words = f"never asked for their models: {', '.join(never)}"
        yield note("lists", words, "telex models list --refresh")


def _snapshot(case: Case) -> Finding:
    from provider_core.catalog import snapshot_is_current
    from telex.humanize import age

    stamp = case.paths.cache / "completion" / "stamp"
    try:
        written = age(time.time() - stamp.stat().st_mtime)
    except OSError:
        return ok("names for completion", "not written yet: the next command does that")
    current = snapshot_is_current(case.paths, case.environ)
    return ok(
        "names for completion",
        f"written {written} ago"
        if current
        else f"older than the settings ({written}): the next command renews them",
    )


def _embedded(case: Case) -> Iterator[Finding]:
    from provider_core import local

    if not local.installed():
        return
    model = local.DEFAULT_MODEL
    path = case.paths.models / model.file
    try:
        size = path.stat().st_size
    except OSError:
        words = f"{model.download_size >> 20} MiB to fetch when it is first asked"
        yield ok("embedded model", f"{model.id} ({model.licence}), {words}")
        return
    if size != model.size:
        import shlex

        yield problem("embedded model", f"{path} is not whole", f"Remove it: rm {shlex.quote(str(path))}")
        return
    yield ok("embedded model", f"{model.id} ({model.licence}), {path}")
