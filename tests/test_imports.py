"""No module imports itself through others, even inside a function or for types, and no two classes share a name."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]


def modules() -> dict[str, Path]:
    """Every module of the two packages, by its dotted name."""
    found = {}
    for root, package in ((ROOT / "cli", "telex"), (ROOT, "provider_core")):
        for path in (root / package).rglob("*.py"):
            name = ".".join(path.relative_to(root).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def imports(path: Path, known: set[str]) -> set[str]:
    """The modules among ``known`` that the file imports anywhere in its text."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names if names <= known else {*names, node.module or ""}
    return found & known


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """A shortest cycle through each module that is in one; each cycle once."""
    found: dict[frozenset[str], list[str]] = {}
    for start in sorted(graph):
        paths = [[start]]
        seen: set[str] = set()
        while paths:
            path = paths.pop(0)
            following = graph[path[-1]]
            if start in following:
                found.setdefault(frozenset(path), [*path, start])
                break
            paths += [[*path, each] for each in sorted(following - seen)]
            seen |= following
    return list(found.values())


def test_no_module_imports_itself_through_others() -> None:
    paths = modules()
    del paths["provider_core"]  # it imports by name, when a name is first used
    graph = {name: imports(path, set(paths)) - {name} for name, path in paths.items()}
    found = cycles(graph)
    assert not found, "\n".join(" -> ".join(cycle) for cycle in found)


def test_a_cycle_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": set()}
    assert cycles(graph) == [["a", "b", "c", "a"]]


def test_each_class_has_a_name_of_its_own() -> None:
    names = Counter(
        node.name
        for path in modules().values()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    assert {name: count for name, count in names.items() if count > 1} == {}
