"""The errors: the tree that is drawn is the tree that there is, and each has its row in the exit table."""

import re

import pytest

from provider_core import errors
from telex import exit_codes


def drawn() -> dict[str, str | None]:
    """Each class of the drawing in the module's docstring -> the one it hangs from."""
    parents: dict[str, str | None] = {}
    branch: list[str] = []
    for line in (errors.__doc__ or "").partition("::\n")[2].splitlines():
        found = re.match(r"^    ((?:[│ ]   )*(?:[├└]── )?)(\w+)", line)
        if line.startswith("A message"):
            break
        if found is None:
            assert not line.strip(), line
            continue
        depth = len(found[1]) // 4
        del branch[depth:]
        parents[found[2]] = branch[-1] if branch else None
        branch.append(found[2])
    return parents


def classes(root: type = errors.CoreError) -> list[type[errors.CoreError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in classes(child))]


def public() -> list[type[errors.CoreError]]:
    return [kind for kind in classes() if kind.__module__ == errors.__name__]


def test_the_drawing_is_the_tree():
    there_are = {
        kind.__name__: None if kind is errors.CoreError else kind.__bases__[0].__name__ for kind in public()
    }
    assert drawn() == there_are


def test_every_error_of_the_core_stands_in_the_tree():
    strays = {kind for kind in classes() if not kind.__name__.startswith("_")} - set(public())
    assert {kind for kind in strays if kind.__module__.startswith("provider_core")} == set()
    assert sorted(errors.__all__) == sorted(kind.__name__ for kind in public())
    assert list(errors.__all__) == sorted(errors.__all__)


@pytest.mark.parametrize("kind", public(), ids=lambda kind: kind.__name__)
def test_each_has_a_row_of_its_own_in_the_exit_table_and_a_sentence_of_what_it_is(kind):
    assert kind in exit_codes._TABLE
    assert kind.__doc__
