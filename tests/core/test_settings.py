"""The settings file: what is accepted, what is said of what is not, and what survives a change."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import pytest

from provider_core.errors import SettingsError
from provider_core.settings import Paths, load
from provider_core.settings.edit import put, remove, rename_provider, set_alias, update_provider

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.find({"TELEX_HOME": str(tmp_path)})


def write(paths: Paths, text: str | bytes) -> None:
    paths.config.mkdir(parents=True, exist_ok=True)
    paths.settings_file.write_bytes(text.encode() if isinstance(text, str) else text)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"XDG_CONFIG_HOME": "/elsewhere/settings", "XDG_DATA_HOME": "/data", "XDG_CACHE_HOME": "/caches/"},
        {"XDG_CONFIG_HOME": "relative", "XDG_DATA_HOME": "~/data", "XDG_CACHE_HOME": ""},
        {"HOME": "/"},
    ],
)
def test_the_folders_are_those_that_platformdirs_names(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/someone", **variables}.items():
        monkeypatch.setenv(name, value)
    found = Paths.find({name: value for name, value in os.environ.items() if name != "TELEX_HOME"})
    assert found.config == platformdirs.user_config_path("telex")
    assert found.data == platformdirs.user_data_path("telex")
    assert found.cache == platformdirs.user_cache_path("telex")


def test_no_file_means_no_providers(paths: Paths) -> None:
    settings = load(paths, {})
    assert settings.providers == {}
    assert settings.model is None
    assert not paths.settings_file.exists()


def test_a_preset_fills_in_what_is_not_written(paths: Paths) -> None:
    write(paths, '[providers.deepseek]\npreset = "deepseek"\n')
    provider = load(paths, {}).providers["deepseek"]
    assert provider.base_url == "https://api.deepseek.com"
    assert provider.key_env == ("DEEPSEEK_API_KEY",)
    assert provider.key_required
    assert provider.models


def test_what_is_written_wins_over_the_preset(paths: Paths) -> None:
    write(
        paths,
        """
        [providers.mine]
        preset = "deepseek"
        base_url = "http://127.0.0.1:9/v1/"
        key_env = "MINE"
        display_name = "Mine"
        models = ["a", {id = "b", context = 4096}]
        first_byte_timeout = 3
        """,
    )
    provider = load(paths, {}).providers["mine"]
    assert provider.base_url == "http://127.0.0.1:9/v1"
    assert provider.key_env == ("MINE",)
    assert provider.display_name == "Mine"
    assert [m.id for m in provider.models] == ["a", "b"]
    assert provider.models[1].context == 4096
    assert provider.network.first_byte_timeout == 3


def test_how_a_provider_is_reached_is_written_field_by_field_over_its_preset(paths: Paths) -> None:
    write(
        paths,
        """
        [providers.here]
        preset = "ollama"
        retries = 0
        retry_budget = 10
        idle_timeout = 7
        proxy = "none"
        ca_bundle = "/etc/company.pem"
        """,
    )
    network = load(paths, {}).providers["here"].network
    assert (network.retries, network.retry_budget, network.idle_timeout) == (0, 10, 7)
    assert (network.proxy, network.ca_bundle) == ("none", Path("/etc/company.pem"))
    assert (network.connect_timeout, network.first_byte_timeout) == (5, 1800)


def test_the_environment_wins_over_the_file(paths: Paths) -> None:
    write(paths, 'model = "from/file"\n')
    assert load(paths, {}).model == "from/file"
    assert load(paths, {"TELEX_MODEL": "from/environment"}).model == "from/environment"
    assert load(paths, {"TELEX_MODEL": ""}).model == "from/file"


def test_variables_of_the_address_are_filled_in(paths: Paths) -> None:
    write(paths, '[providers.cf]\npreset = "cloudflare"\nvariables = {account_id = "abc"}\n')
    assert "/accounts/abc/" in load(paths, {}).providers["cf"].base_url


@pytest.mark.parametrize(
    ("text", "entry", "words"),
    [
        ("[providers.x]\nbase_url = 'ftp://host'", "providers.x", "providers.x.base_url"),
        ("[providers.x]\nbase_url = 5", "providers.x", "providers.x.base_url"),
        ("[providers.x]\nbase_uri = 'http://host'", "providers.x", "providers.x.base_uri is not a setting"),
        ("[providers.x]\nenabled = 'maybe'\nbase_url = 'http://host'", "providers.x", "providers.x.enabled"),
        ("[providers.x]\nretries = 1000\nbase_url = 'http://host'", "providers.x", "providers.x.retries"),
        ("[providers.x]\nbaseurl = 'http://host'", "providers.x", "not a setting; did you mean base_url?"),
        ("[providers.x]\ntoken = 'abc'", "providers.x", "telex providers set-key x"),
        ("[mcp.x]\ncommand = ['a']\ntoken = 'abc'", "mcp.x", "telex mcp set-secret x"),
        ("[mcp.x]\ncommand = 7", "mcp.x", "mcp.x.command: must be a list"),
        ("[mcp]\nx = 7", "mcp.x", "mcp.x: must be a table"),
        ("markdown = 7", "markdown", "markdown: must be true or false"),
        (
            "[providers.x]\nca_bundle = 5\nbase_url = 'http://host'",
            "providers.x",
            "ca_bundle: must be a path",
        ),
        (
            "[providers.x]\nproxy = 'ftp://p'\nbase_url = 'http://host'",
            "providers.x",
            "it names a kind of proxy",
        ),
        (
            "[providers.x]\nca_bundle = \"a\\u0000b\"\nbase_url = 'http://host'",
            "providers.x",
            "providers.x.ca_bundle: the path contains a null character",
        ),
        ("[providers.function-x]\nretries = 1000", "providers.function-x", "providers.function-x.retries"),
        ("[providers.x]\n", "providers.x", "neither a preset"),
        ("[providers.x]\npreset = 'no-such-thing'", "providers.x", "no preset called 'no-such-thing'"),
        ("[providers]\nx = 5", "providers.x", "providers.x: "),
        ("[providers.'a b']\nbase_url = 'http://host'", "providers.a b", "providers"),
        ("[mcp.x]\ncommand = 7", "mcp.x", "mcp.x.command"),
        ("[mcp.x]\ncommand = ['a']\nspeed = 7", "mcp.x", "mcp.x.speed is not a setting"),
        ("mcp = []", "mcp", "mcp: "),
        ("[aliases]\nx = 5", "aliases.x", "aliases.x: "),
        ("aliases = 5", "aliases", "aliases: "),
        ("modell = 'x'", "modell", "modell is not a setting"),
        ("[future]\na = 1", "future", "future is not a setting"),
        ("[Providers.x]\nbase_url = 'http://host'", "Providers", "write it in lower case, providers"),
        ("MODEL = 'x'", "MODEL", "write it in lower case, model"),
        ("local_threads = 0", "local_threads", "local_threads"),
        ("model = ''", "model", "model: "),
    ],
)
def test_an_entry_that_is_wrong_is_named_and_costs_only_itself(
    paths: Paths, text: str, entry: str, words: str
) -> None:
    is_table = text.startswith("[")
    good = "usage = 'full'\n{}\n{}\n".format(*(("", text) if is_table else (text, "")))
    if "providers" not in entry:
        good += "[providers.good]\nbase_url = 'http://127.0.0.1:1'\n"
    write(paths, good)
    for _ in range(2):  # checked, and as it was remembered
        settings = load(paths, {})
        assert settings.usage == "full"
        assert list(settings.providers) == ([] if "providers" in entry else ["good"])
        assert [*settings.problems] == [entry]
        assert settings.problems[entry].path == paths.settings_file
        with pytest.raises(SettingsError, match=words):
            settings.require(*entry.split("."))


def test_every_wrong_entry_is_reported(paths: Paths) -> None:
    write(
        paths,
        "usage = 5\n[providers.x]\nbase_url = 5\nretries = 'x'\n[mcp.y]\n[aliases]\n'a b' = 'c'\nd = 'e'\n",
    )
    settings = load(paths, {"TELEX_REASONING": "loud"})
    assert sorted(settings.problems) == ["aliases.a b", "mcp.y", "providers.x", "reasoning", "usage"]
    assert settings.aliases == {"d": "e"}


def test_a_variable_that_is_wrong_is_named_and_costs_only_itself(paths: Paths) -> None:
    write(paths, "[providers.good]\nbase_url = 'http://127.0.0.1:1'\n")
    settings = load(paths, {"TELEX_LOCAL_THREADS": "many"})
    assert list(settings.providers) == ["good"]
    with pytest.raises(SettingsError, match="TELEX_LOCAL_THREADS"):
        settings.require("local_threads")


@pytest.mark.parametrize(("variable", "table"), [("MCP", {"command": ["x"]}), ("PROVIDERS", {})])
def test_half_a_character_in_a_name_is_reported(
    paths: Paths, variable: str, table: dict[str, object]
) -> None:
    problems = load(paths, {f"TELEX_{variable}": json.dumps({"x\ud800": table})}).problems
    assert "is not a valid name" in str(problems[variable.lower()])


def test_nothing_is_saved_where_the_setting_of_the_history_is_wrong(paths: Paths) -> None:
    write(paths, "history = 'never'\n")
    assert load(paths, {}).history is False


def test_no_value_of_the_file_is_repeated_in_an_error(paths: Paths) -> None:
    write(paths, "[providers.x]\nbase_url = 'http://host'\napi_key = 'sk-secret-pasted-here'")
    assert "sk-secret" not in str(load(paths, {}).problems)


def test_a_change_is_made_beside_a_wrong_entry_and_makes_none(paths: Paths) -> None:
    write(paths, "future = 1\n\n[providers.x]\nbase_url = 5\n")
    put(paths.settings_file, {"new": {"base_url": "http://127.0.0.1:1"}})
    assert list(load(paths, {}).providers) == ["new"]
    with pytest.raises(SettingsError, match=r"providers\.worse\.base_url"):
        put(paths.settings_file, {"worse": {"base_url": 5}})
    remove(paths.settings_file, "x")
    assert paths.settings_file.read_text().startswith("future = 1\n")


@pytest.mark.parametrize(
    "text", ["providers = 5\n", "[providers]\nlab = 5\n", "aliases = 5\n", "[Providers.lab]\n"]
)
def test_a_change_of_what_is_not_a_table_is_an_error(paths: Paths, text: str) -> None:
    write(paths, text)
    for change in (
        lambda: put(paths.settings_file, {"lab": {"base_url": "http://127.0.0.1:1"}}),
        lambda: update_provider(paths.settings_file, "lab", {"retries": 1}),
        lambda: rename_provider(paths.settings_file, "lab", "new"),
        lambda: set_alias(paths.settings_file, "fast", "lab/m"),
    ):
        with contextlib.suppress(SettingsError):
            change()
    load(paths, {})


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b'model = "a"\n[providers\n', 2),
        (b'model = "a"\n\xff\n', 2),
        (b"a = 1\na = 2\n", 2),
        (b"a = 1\nb = [\n", 2),
        (b"a = " + b"[" * 5000, 0),
    ],
)
def test_a_file_that_does_not_parse_is_reported_with_its_line_and_never_overwritten(
    paths: Paths, content: bytes, line: int
) -> None:
    write(paths, content)
    with pytest.raises(SettingsError) as caught:
        load(paths, {})
    assert caught.value.line == (line or None)
    assert f"settings.toml, line {line}" in str(caught.value) or not line
    with pytest.raises(SettingsError):
        put(paths.settings_file, {"new": {"base_url": "http://127.0.0.1:1"}})
    assert paths.settings_file.read_bytes() == content


def test_comments_and_order_survive_a_change(paths: Paths) -> None:
    text = (
        "# mine\n"
        'model = "lab/x" # the fast one\n\n'
        "[providers.lab] # in the cellar\n"
        'base_url = "http://127.0.0.1:1" # 8 GB\n'
    )
    write(paths, text)
    put(paths.settings_file, {"new": {"base_url": "http://127.0.0.1:2", "key_env": None}})
    after = paths.settings_file.read_text()
    assert after.startswith(text)
    assert set(load(paths, {}).providers) == {"lab", "new"}
    remove(paths.settings_file, "new")
    assert paths.settings_file.read_text().strip() == text.strip()


def test_a_taken_name_is_an_error_unless_it_shall_be_replaced(paths: Paths) -> None:
    put(paths.settings_file, {"lab": {"base_url": "http://127.0.0.1:1"}})
    with pytest.raises(SettingsError, match="already set up"):
        put(paths.settings_file, {"lab": {"base_url": "http://127.0.0.1:2"}})
    put(paths.settings_file, {"lab": {"base_url": "http://127.0.0.1:2"}}, replace=True)
    assert load(paths, {}).providers["lab"].base_url == "http://127.0.0.1:2"


def test_what_would_not_be_accepted_is_not_written(paths: Paths) -> None:
    put(paths.settings_file, {"lab": {"base_url": "http://127.0.0.1:1"}})
    before = paths.settings_file.read_bytes()
    with pytest.raises(SettingsError):
        put(paths.settings_file, {"worse": {"base_url": "no address"}})
    assert paths.settings_file.read_bytes() == before


def test_the_file_and_its_folder_are_for_their_owner_alone_whatever_the_umask(paths: Paths) -> None:
    before = os.umask(0)
    try:
        put(paths.settings_file, {"lab": {"base_url": "http://127.0.0.1:1"}})
    finally:
        os.umask(before)
    assert paths.settings_file.stat().st_mode & 0o777 == 0o600
    assert paths.config.stat().st_mode & 0o777 == 0o700


def test_a_loose_file_is_tightened_when_it_is_read(paths: Paths) -> None:
    write(paths, 'model = "a/b"\n')
    paths.settings_file.chmod(0o644)
    load(paths, {})
    assert paths.settings_file.stat().st_mode & 0o777 == 0o600


def test_nothing_is_left_beside_the_file(paths: Paths) -> None:
    put(paths.settings_file, {"lab": {"base_url": "http://127.0.0.1:1"}})
    assert {p.name for p in paths.config.iterdir()} == {"settings.toml", ".settings.toml.lock"}


def test_a_link_stays_a_link(paths: Paths, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "telex.toml"
    real.parent.mkdir()
    real.write_text("")
    paths.config.mkdir(parents=True)
    paths.settings_file.symlink_to(real)
    put(paths.settings_file, {"lab": {"base_url": "http://127.0.0.1:1"}})
    assert paths.settings_file.is_symlink()
    assert "lab" in real.read_text()


def test_settings_that_were_checked_once_are_not_checked_again(paths: Paths) -> None:
    write(
        paths,
        "model = 'a/b'\n[providers.x]\nbase_url = 'http://127.0.0.1:1'\nmodels = [{id = 'm', context = 9}]\n",
    )
    first = load(paths, {})
    code = (
        "import sys; from pathlib import Path; from provider_core.settings import Paths, load;"
        "s = load(Paths.find({'TELEX_HOME': sys.argv[1]}), {});"
        "print(s.model, s.providers['x'].models[0].context, 'pydantic' in sys.modules)"
    )
    again = subprocess.run(
        [sys.executable, "-c", code, str(paths.config.parent)], capture_output=True, check=True
    )
    assert again.stdout.split() == [b"a/b", b"9", b"False"]
    assert load(paths, {}) == first


def test_a_change_of_file_or_environment_is_always_seen(paths: Paths) -> None:
    write(paths, "model = 'a/b'\n")
    before = paths.settings_file.stat()
    assert load(paths, {}).model == "a/b"
    write(paths, "model = 'c/d'\n")
    os.utime(paths.settings_file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert load(paths, {}).model == "c/d"
    assert load(paths, {"TELEX_MODEL": "e/f"}).model == "e/f"
    assert load(paths, {}).model == "c/d"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'{"made_from": 1}', b"\xff", b'{"checked": {"model": "x/y"}}']
)
def test_a_damaged_snapshot_is_no_harm(paths: Paths, content: bytes) -> None:
    write(paths, "model = 'a/b'\n")
    load(paths, {})
    (snapshot,) = (paths.cache / "settings").iterdir()
    assert snapshot.stat().st_mode & 0o777 == 0o600
    snapshot.write_bytes(content)
    assert load(paths, {}).model == "a/b"


def test_a_snapshot_that_somebody_has_changed_is_made_again(paths: Paths) -> None:
    write(paths, "model = 'a/b'\n")
    load(paths, {})
    (snapshot,) = (paths.cache / "settings").iterdir()
    whole = snapshot.read_bytes()
    snapshot.write_bytes(whole.replace(b"a/b", b"c/d"))
    assert load(paths, {}).model == "a/b"
    assert snapshot.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_no_harm(paths: Paths) -> None:
    write(paths, "model = 'a/b'\n")
    paths.cache.parent.mkdir(exist_ok=True, parents=True)
    paths.cache.write_text("a file where the folder should be")
    assert load(paths, {}).model == "a/b"


def test_a_server_nearby_is_given_time_to_load_its_model(paths: Paths) -> None:
    write(
        paths,
        "[providers.near]\nbase_url = 'http://127.0.0.1:1'\n[providers.far]\nbase_url = 'https://host.test/v1'\n",
    )
    near, far = load(paths, {}).providers.values()
    assert near.network.first_byte_timeout > far.network.first_byte_timeout


def test_variables_in_turn_are_checked_once_each_and_few_are_kept(paths: Paths) -> None:
    write(paths, "model = 'a/b'\n")
    for number in range(20):
        assert load(paths, {"TELEX_MODEL": f"x/{number}"}).model == f"x/{number}"
    kept = sorted((paths.cache / "settings").iterdir())
    assert len(kept) == 8
    before = [file.stat().st_mtime_ns for file in kept]
    for number in range(19, 11, -1):
        assert load(paths, {"TELEX_MODEL": f"x/{number}"}).model == f"x/{number}"
    assert [file.stat().st_mtime_ns for file in kept] == before


@pytest.mark.parametrize(
    "before",
    [
        b"usage = 'full'\r\n\r\n# mine\r\n",
        b"usage = 'full'\r\nmarkdown = true\r\nhistory = true\n",
        b"\xef\xbb\xbfusage = 'full'\r\n",
        b"\xef\xbb\xbfusage = 'full'\n",
        b"usage = 'full'",
        b"usage = 'full'\r\nmarkdown = true",
        b'code_theme = """a\\\r\nb"""\r\n',
        b"",
    ],
)
def test_a_change_keeps_the_line_ends_and_the_byte_order_mark(paths: Paths, before: bytes) -> None:
    write(paths, before)
    path = paths.settings_file
    set_alias(path, "fast", "lab/m")
    put(path, {"lab": {"base_url": "http://127.0.0.1:1"}})
    update_provider(path, "lab", {"headers": {"X-A": "b"}})
    rename_provider(path, "lab", "lib")
    raw = path.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf") == before.startswith(b"\xef\xbb\xbf")
    assert raw.count(b"\r\n") == (raw.count(b"\n") if b"\r\n" in before else 0)
    settings = load(paths, {})
    assert (settings.problems, settings.aliases, list(settings.providers)) == ({}, {"fast": "lib/m"}, ["lib"])
    remove(path, "lib")
    set_alias(path, "fast", None)
    assert path.read_bytes().count(b"\n") >= before.count(b"\n")


def test_a_change_of_nothing_leaves_every_byte(paths: Paths) -> None:
    mixed = b"usage = 'full'\n[aliases]\nfast = \"lab/m\"\r\n"
    write(paths, mixed)
    set_alias(paths.settings_file, "fast", "lab/m")
    assert paths.settings_file.read_bytes() == mixed


def test_an_edit_by_hand_in_the_midst_of_a_change_is_kept(paths: Paths) -> None:
    path = paths.settings_file
    write(paths, "usage = 'full'\n")

    @contextlib.contextmanager
    def slow_keyring(name: str) -> Iterator[None]:
        write(paths, f"{path.read_text()}\n[providers.{name}] # by hand\nbase_url = 'http://127.0.0.1:1'\n")
        yield

    put(path, {"lab": {"base_url": "http://127.0.0.1:2"}}, around=slow_keyring("a"))
    update_provider(path, "lab", {"retries": 1}, around=slow_keyring("b"))
    rename_provider(path, "lab", "lib", around=slow_keyring("c"))
    assert sorted(load(paths, {}).providers) == ["a", "b", "c", "lib"]
    assert load(paths, {}).providers["lib"].network.retries == 1
    remove(path, "lib", around=slow_keyring("d"))
    assert sorted(load(paths, {}).providers) == ["a", "b", "c", "d"]
    assert path.read_text().count("# by hand") == 4


def test_an_edit_by_hand_that_forbids_the_change_is_kept_and_the_change_undone(paths: Paths) -> None:
    write(paths, "usage = 'full'\n")
    left: list[str] = []

    @contextlib.contextmanager
    def slow_keyring(text: str) -> Iterator[None]:
        write(paths, text)
        try:
            yield
        except SettingsError as error:
            left.append(error.message)
            raise

    for text in ("[providers.lab]\nbase_url = 'http://127.0.0.1:1'\n", "not TOML"):
        with pytest.raises(SettingsError):
            put(paths.settings_file, {"lab": {"base_url": "http://127.0.0.1:2"}}, around=slow_keyring(text))
        assert paths.settings_file.read_text() == text
        write(paths, "usage = 'full'\n")
    assert len(left) == 2
