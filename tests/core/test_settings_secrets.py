"""No secret is saved with the settings, and a key in the wrong place is refused without being repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from provider_core.settings import Paths, load

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-canary-0123456789abcdef"
LAB = '[providers.lab]\nbase_url = "http://127.0.0.1:1/v1"\n'


def cached(paths: Paths) -> str:
    return "".join(path.read_text() for path in paths.cache.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        (f'{LAB}key_env = "TELEX_LAB_KEY"\n', {"TELEX_LAB_KEY": KEY, "TELEX_MODEL": "lab/m"}),
        ("", {"TELEX_PROVIDERS": f'{{"lab": {{"base_url": "http://a", "key_command": "echo {KEY}"}}}}'}),
        ("", {"telex_mcp": f'{{"x": {{"command": ["x"], "env": {{"A": "{KEY}"}}}}}}'}),
        (f'[mcp.x]\ncommand = ["x"]\nenv = {{TOKEN = "{KEY}"}}\n', {}),
        (f'[mcp.x]\ncommand = ["x", "--token", "{KEY}"]\n', {}),
        (f'{LAB}proxy = "http://me:{KEY}@p.example:3128"\n', {}),
        (f'{LAB}api_key = "{KEY}"\n', {}),
        (f'{LAB}headers = {{X-Key = "{KEY}"}}\n', {}),
        (f"{LAB}# {KEY}\n", {"TELEX_MODEL": KEY}),
    ],
)
def test_no_secret_and_no_variable_is_in_the_cache(
    tmp_path: Path, text: str, variables: dict[str, str]
) -> None:
    paths = Paths.find({"TELEX_HOME": str(tmp_path)})
    paths.settings_file.parent.mkdir(parents=True, mode=0o700)
    paths.settings_file.write_text(text)
    first, second = load(paths, variables), load(paths, variables)
    assert KEY not in cached(paths)
    assert (first.model, list(first.providers), list(first.mcp)) == (
        second.model, list(second.providers), list(second.mcp)
    )  # fmt: skip
    assert first.model == variables.get("TELEX_MODEL")


@pytest.mark.parametrize(
    ("rows", "variables", "words"),
    [
        ('api_key = "{key}"', {}, ["providers.lab.api_key", "set-key", "key_env"]),
        ('apiKey = "{key}"', {}, ["providers.lab.apiKey", "set-key"]),
        ('token = "{key}"', {}, ["providers.lab.token", "set-key"]),
        ('key = "{key}"', {}, ["providers.lab.key", "telex providers set-key lab"]),
        ('key_env = "{key}"', {}, ["providers.lab.key_env"]),
        ('headers = {{X-Key = "{key}"}}', {}, ["providers.lab.headers", "env:NAME", "keyring:NAME"]),
        ('headers = {{Authorization = "Bearer {key}"}}', {}, ["providers.lab.headers"]),
        (
            "",
            {"TELEX_PROVIDERS": '{{"lab": {{"api_key": "{key}"}}}}'},
            ["TELEX_PROVIDERS.lab.api_key", "set-key"],
        ),
    ],
)
def test_a_key_in_the_settings_is_refused_with_its_place_and_not_repeated(
    tmp_path: Path, rows: str, variables: dict[str, str], words: list[str]
) -> None:
    paths = Paths.find({"TELEX_HOME": str(tmp_path)})
    paths.settings_file.parent.mkdir(parents=True, mode=0o700)
    paths.settings_file.write_text(LAB + rows.format(key=KEY))
    found = load(paths, {name: value.format(key=KEY) for name, value in variables.items()})
    message = found.problems["providers.lab"].message
    for each in words:
        assert each in message
    assert KEY not in message


@pytest.mark.parametrize(
    ("variable", "form"),
    [
        ("TELEX_PROVIDERS__LAB__BASE_URL", """TELEX_PROVIDERS='{"lab": {"base_url": …}}'"""),
        ("TELEX_MCP__FILES__COMMAND", """TELEX_MCP='{"files": {"command": …}}'"""),
        ("telex_providers__lab__key", """TELEX_PROVIDERS='{"lab": {"key": …}}'"""),
    ],
)
def test_a_variable_for_a_part_of_a_setting_names_the_right_form(
    tmp_path: Path, variable: str, form: str
) -> None:
    found = load(Paths.find({"TELEX_HOME": str(tmp_path)}), {variable: KEY})
    assert form in found.problems[variable].message
    assert KEY not in found.problems[variable].message


def test_other_variables_are_left_alone(tmp_path: Path) -> None:
    variables: dict[str, Any] = {"TELEX_LAB__KEY": KEY, "TELEX_WHATEVER": "{"}
    assert load(Paths.find({"TELEX_HOME": str(tmp_path)}), variables).problems == {}
