"""On which line of the settings file a value stands, however the file is written."""

from __future__ import annotations

import pytest

from provider_core.settings.file import line_of

TEXT = '''# model = "not this"
model = "lab/m"

note = """
usage = "nor this"
[providers.fake]
"""
usage = "short"

[aliases]
fast = "lab/m"

[providers.lab]  # lab
base_url = "http://a/v1"
models = [
  "m",
  "n",
]

[providers."box"]
base_url = "http://b/v1"
headers = { base_url = "x" }
'''


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (["model"], 2),
        (["usage"], 8),
        (["aliases"], 10),
        (["aliases", "fast"], 11),
        (["providers", "lab"], 13),
        (["providers", "lab", "base_url"], 14),
        (["providers", "lab", "models"], 15),
        (["providers", "box"], 20),
        (["providers", "box", "base_url"], 21),
        (["providers", "fake"], None),
        (["nothing"], None),
        (["model", "below"], None),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, list) else "",
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_the_line_of_a_value_is_found(keys: list[str], line: int | None, newline: str) -> None:
    assert line_of(TEXT.replace("\n", newline), keys) == line


def test_a_file_that_is_no_toml_has_the_lines_before_the_mistake() -> None:
    assert line_of('model = "a"\nusage = = 3\n', ["model"]) == 1
    assert line_of('usage = = 3\nmodel = "a"\n', ["model"]) is None
