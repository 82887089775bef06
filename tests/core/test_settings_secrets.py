"""No secret is saved with the settings, and a key in the wrong place is refused without being repeated."""

from __future__ import annotations

import os
import tempfile
import warnings
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from provider_core.errors import SettingsError
from provider_core.runtime import Runtime
from provider_core.settings import Paths, load

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    ("variable", "entry", "form"),
    [
        ("TELEX_PROVIDERS__LAB__API_KEY", "providers.lab", "keys are not stored in the settings"),
        ("TELEX_ALIASES__FAST", "TELEX_ALIASES__FAST", """TELEX_ALIASES='{"fast": "VALUE"}'"""),
        ("TELEX_MODEL__X", "TELEX_MODEL__X", "TELEX_MODEL takes one value"),
        (
            "TELEX_PROVIDERS__LAB__BASE_URL",
            "providers.lab",
            """TELEX_PROVIDERS='{"lab": {"base_url": "VALUE"}}'""",
        ),
        ("TELEX_MCP__FILES__COMMAND", "mcp.files", """TELEX_MCP='{"files": {"command": "VALUE"}}'"""),
        ("telex_providers__lab__key", "providers.lab", """TELEX_PROVIDERS='{"lab": {"key": "VALUE"}}'"""),
    ],
)
def test_a_variable_for_a_part_of_a_setting_names_the_right_form(
    tmp_path: Path, variable: str, entry: str, form: str
) -> None:
    found = load(home(tmp_path), {variable: KEY})
    assert form in found.problems[entry].message
    assert KEY not in found.problems[entry].message
    assert ("lab" in found.providers) is (
        entry != "providers.lab"
    )  # it may not be used as if nothing was said


@pytest.mark.parametrize("value", ["{lab}", '["lab"]', '"lab"'])
def test_no_provider_is_used_where_all_of_the_variable_is_wrong(tmp_path: Path, value: str) -> None:
    setup = Runtime(environ={"TELEX_HOME": str(tmp_path), "TELEX_PROVIDERS": value})
    home(tmp_path)
    for name in (None, "lab", "lab/m", "m"):
        with pytest.raises(SettingsError, match="TELEX_PROVIDERS"):
            setup.target(name)


def test_other_variables_are_left_alone(tmp_path: Path) -> None:
    variables: dict[str, Any] = {"TELEX_LAB__KEY": KEY, "TELEX_WHATEVER": "{"}
    assert load(Paths.find({"TELEX_HOME": str(tmp_path)}), variables).problems == {}


def home(folder: Path) -> Paths:
    paths = Paths.find({"TELEX_HOME": str(folder)})
    paths.settings_file.parent.mkdir(parents=True, mode=0o700)
    paths.settings_file.write_text(LAB)
    paths.settings_file.chmod(0o600)
    return paths


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_settings_that_every_user_can_change_are_refused_with_the_fix(tmp_path: Path) -> None:
    paths = home(tmp_path)
    for place, mode in ((paths.settings_file, 0o602), (paths.config, 0o703)):
        before = place.stat().st_mode
        place.chmod(mode)
        with pytest.raises(SettingsError, match=f"chmod o-w {place}"):
            load(paths, {})
        place.chmod(before)
    assert "lab" in load(paths, {}).providers
    paths.settings_file.chmod(0o664)  # what editors leave under umask 002
    assert "lab" in load(paths, {}).providers
    assert paths.settings_file.stat().st_mode & 0o777 == 0o600


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can enter, as pytest's own cannot be."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_settings_of_another_user_are_refused_and_those_of_root_are_not(open_folder: Path, what: str) -> None:
    paths = home(open_folder)
    place = paths.settings_file if what == "file" else paths.config
    os.chown(place, 12345, 12345)
    with pytest.raises(SettingsError, match=r"belongs to another user \(uid 12345\).*chown"):
        load(paths, {})
    os.chown(place, 0, 0)
    # As a user whom the files do not belong to: what root set up is used, what a third user did is not.
    paths.config.chmod(0o755)
    paths.settings_file.chmod(0o644)
    assert as_user(12345, paths) == "lab"
    os.chown(place, 23456, 23456)
    assert as_user(12345, paths) == "SettingsError"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_a_cache_that_another_user_made_is_not_used(tmp_path: Path) -> None:
    paths = home(tmp_path)
    load(paths, {})
    (place,) = (paths.cache / "settings").iterdir()
    content = place.read_bytes().partition(b"\n")[2].replace(b"127.0.0.1:1", b"127.0.0.2:2")
    place.write_bytes(blake2b(content, digest_size=32).hexdigest().encode() + b"\n" + content)
    assert load(paths, {}).providers["lab"].base_url == "http://127.0.0.2:2/v1"  # as good as telex's own
    os.chown(place, 12345, 12345)
    assert load(paths, {}).providers["lab"].base_url == "http://127.0.0.1:1/v1"


def as_user(uid: int, paths: Paths) -> str:
    """What another user's process loads: the providers' names, or the error's class."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of other tests take no part in this
        child = os.fork()
    if child == 0:  # pragma: no cover - another process
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            said = ",".join(load(paths, {}).providers)
        except BaseException as error:  # noqa: BLE001 - told to the parent
            said = type(error).__name__
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        said = file.read()
    os.waitpid(child, 0)
    return said
