"""The tree of errors: complete, and each class with a row in the table of exit codes."""

import copy
import re
from pathlib import Path

from provider_core import errors
from telex import error_hints


def classes(root: type = errors.CoreError) -> list[type[errors.CoreError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in classes(child))]


PUBLIC = [kind for kind in classes() if kind.__module__ == errors.__name__]


def test_every_error_of_the_core_is_in_errors():
    strays = [
        kind for kind in classes() if kind not in PUBLIC and kind.__module__.startswith("provider_core")
    ]
    assert [kind for kind in strays if not kind.__name__.startswith("_")] == []


def test_every_code_with_a_hint_is_documented():
    hints = Path(error_hints.__file__).read_text()
    found = re.findall(r'case e\.(\w+)\(code=((?:"\w+"(?: \| )?)+)', hints)
    assert len(found) > 20
    for kind, codes in found:
        for code in codes.split(" | "):
            assert code in getattr(errors, kind).__doc__, (kind, code)


def test_an_error_can_be_copied_with_its_fields():
    error = errors.DeadlineError("too slow", provider="lab", phase="idle", seconds=2)
    assert vars(copy.copy(error)) == vars(error)
    assert error.code is None
