"""``telex help environment`` names every variable that the code reads, and only those."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from provider_core import presets
from provider_core.settings.schema import File
from telex.help import rows, topic

ROOT = Path(__file__).parents[2]
SETTINGS = {f"TELEX_{name.upper()}" for name in File.model_fields}
READ_BY_LIBRARIES = {"COLUMNS", "DBUS_SESSION_BUS_ADDRESS", "LINES", "TMPDIR"}
SET_FOR_CHILDREN = {"LC_CTYPE", "LD_LIBRARY_PATH", "PYTHONPATH", "GGML_NO_BACKTRACE", "LV", "PYTHONSAFEPATH"}
NOT_VARIABLES = re.compile(
    r"(O|TCP)_\w+|USER_AGENT|PRESET_BY_OWNER|DEFAULT_MODEL|TELEX_PROBLEMS|LAB_API_KEY|PRETTY_NAME"
)
PASSED_ON = '"NIX_SSL_CERT_FILE"'
"""One of the variables that MCP servers get and telex does not read; the module with their list is left out."""


def source() -> str:
    paths = [path for folder in ("cli/telex", "provider_core") for path in (ROOT / folder).rglob("*.py")]
    texts = [path.read_text("utf-8") for path in paths if "presets" not in path.parts]
    return "\n".join(text for text in texts if PASSED_ON not in text)


def described() -> dict[str, str]:
    """Variable -> its description on the page."""
    return {
        name: text
        for blocks in topic("environment").values()
        for names, text in rows(blocks).items()
        for name in names.split(", ")
    }


def test_every_variable_that_the_code_reads_is_described() -> None:
    text = source()
    read = set(re.findall(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"', text))
    read |= set(re.findall(r'(?:environ|getenv)[^\n"]*"([A-Z0-9]+)"', text))
    read |= set(re.findall(r'"([A-Z0-9]+)" (?:not )?in [\w.]*environ', text))
    assert {"TELEX_HOME", "NO_COLOR", "SSL_CERT_FILE", "XDG_CACHE_HOME", "ZDOTDIR", "PATH"} <= read
    assert {name for name in read if not NOT_VARIABLES.fullmatch(name)} - SET_FOR_CHILDREN <= set(described())


def test_every_variable_that_is_described_is_read() -> None:
    words = set(re.findall(r"\w+", source().upper()))  # the variables of proxies are in lower case
    assert set(described()) - words - SETTINGS - READ_BY_LIBRARIES <= {
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
    }
    assert set(described()) >= SETTINGS


@pytest.mark.parametrize("name", File.model_fields)
def test_the_description_of_a_setting_names_its_choices(name: str) -> None:
    text = described()[f"TELEX_{name.upper()}"]
    for choice in get_args(File.model_fields[name].annotation):
        if isinstance(choice, str):
            assert choice in text


def test_the_variables_of_keys_are_in_a_topic_of_their_own() -> None:
    keys = {name for preset in presets.all_presets() for name in preset.key_env}
    assert not keys & set(described())
