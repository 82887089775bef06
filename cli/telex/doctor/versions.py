"""telex, Python, and what telex is built on: installed, and new enough."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from telex import installing
from telex.doctor.finding import note, ok, problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.doctor.case import Case
    from telex.doctor.finding import Finding

EXTRAS = {
    "local": ("xllamacpp", "models that run inside telex"),
    "mcp": ("mcp", "tools of MCP servers"),
}
"""Extra -> the package that shows whether it is there, and what it is for."""


def check(_: Case) -> Iterator[Finding]:
    import platform

    from provider_core import __version__
    from telex import __file__ as place

    yield ok("telex", f"{__version__}, in {place.rpartition('telex')[0].rstrip('/')}")
    system = f"{platform.system()} {platform.machine()}".strip()
    yield ok("Python", f"{platform.python_version()} ({sys.executable or 'embedded'}) on {system}")
    yield from _dependencies()
    yield from _extras()


def _dependencies() -> Iterator[Finding]:
    from importlib import metadata

    try:
        wanted = metadata.requires("telex") or []
    except metadata.PackageNotFoundError:
        yield note("packages", "telex runs from its source and is not installed: what it needs is not known")
        return
    found, wrong = [], []
    for requirement in wanted:
        if "extra ==" in requirement:
            continue
        name, bounds = _parted(requirement)
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(problem(name, "is not installed", installing.command(f"{name}{bounds}")))
            continue
        if _within(version, bounds):
            found.append(f"{name} {version}")
        else:
            detail = f"{version} is installed, and telex needs {bounds}"
            wrong.append(problem(name, detail, installing.command(f"{name}{bounds}")))
    yield ok("packages", ", ".join(found))
    yield from wrong


def _extras() -> Iterator[Finding]:
    from importlib import metadata
    from importlib.util import find_spec

    for extra, (package, use) in EXTRAS.items():
        try:
            there = find_spec(package) is not None
        except ValueError:  # what Python says of a module that was switched off
            there = False
        if not there:
            remedy = installing.command(f"telex[{extra}]")
            yield note(f"extra {extra}", f"not installed; it is for {use}", remedy)
            continue
        try:
            yield ok(f"extra {extra}", f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            yield ok(f"extra {extra}", f"{package} of unknown version")


def _parted(requirement: str) -> tuple[str, str]:
    """The name and the bounds of "httpx<1,>=0.28"; what follows a semicolon is a condition."""
    found = re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*\(?([^;)]*)", requirement)
    return (found[1], found[2].strip()) if found else (requirement, "")


def _within(version: str, bounds: str) -> bool:
    """Whether a release is within ">=1.0,<2"; a bound of another kind is not judged."""
    have = _numbers(version)
    for bound in filter(None, (each.strip() for each in bounds.split(","))):
        sign, number = re.fullmatch(r"(>=|<)?(.*)", bound).groups()  # type: ignore[union-attr]
        limit = _numbers(number)
        if (sign == ">=" and have < limit) or (sign == "<" and have >= limit):
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    """The release's numbers, without zeros at the end: 2.0 is 2."""
    found = re.match(r"\d+(?:\.\d+)*", version.strip())
    numbers = [int(part) for part in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
