"""Loading the settings: the file, the environment and presets; what is wrong is reported, and no secret is repeated."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import warnings
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
import pytest
from running import python

from provider_core.errors import SettingsError, UnknownToolServerError
from provider_core.runtime import Runtime
from provider_core.settings import REQUEST_OPTIONS, Paths, Settings, edit, from_environment, load, preview
from provider_core.settings.file import line_of
from provider_core.settings.mcp import McpServer, secret_references
from provider_core.settings.provider_fields import PROVIDER_FIELDS, REQUEST_FIELDS
from provider_core.tools.mcp._process import server_environment
from provider_core.types import Alias

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "sk-canary-0123456789abcdef"
LAB = '[providers.lab]\nbase_url = "http://127.0.0.1:1/v1"\n'


def home(folder: Path, text: str | bytes = "") -> Paths:
    paths = Paths.find({"TELEX_HOME": str(folder)})
    paths.config.mkdir(parents=True, mode=0o700, exist_ok=True)
    paths.settings_file.write_bytes(text.encode() if isinstance(text, str) else text)
    paths.settings_file.chmod(0o600)
    return paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return home(tmp_path)


# --- folders and lines -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"XDG_CONFIG_HOME": "/elsewhere/settings", "XDG_DATA_HOME": "/data", "XDG_CACHE_HOME": "/caches/"},
        {"XDG_CONFIG_HOME": "relative", "XDG_DATA_HOME": "~/data", "XDG_CACHE_HOME": ""},
        {"HOME": "/"},
    ],
)
def test_folders_are_those_of_platformdirs(
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


LINES = '''# model = "not this"
model = "lab/m"
system = """
usage = "nor this"
[providers.fake]
"""
usage = "short"
[providers.lab]  # lab
models = [
  "m",
]
[providers."box"]
headers = { base_url = "x" }
base_url = "http://b/v1"
'''


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_the_line_of_a_setting_is_found(newline: str) -> None:
    for name, line in {
        "model": 2, "usage": 7, "providers.lab": 8, "providers.lab.models": 9, "providers.box": 12,
        "providers.box.base_url": 14, "providers.fake": None, "nothing": None, "model.below": None,
    }.items():  # fmt: skip
        assert line_of(LINES.replace("\n", newline), name.split(".")) == line, name
    assert line_of('model = "a"\nusage = = 3\n', ["model"]) == 1
    assert line_of('usage = = 3\nmodel = "a"\n', ["model"]) is None


# --- providers ---------------------------------------------------------------------------------------------


def test_no_file_means_defaults(tmp_path: Path) -> None:
    paths = Paths.find({"TELEX_HOME": str(tmp_path)})
    assert load(paths, {}) == Settings()
    assert not paths.settings_file.exists()


def test_settings_override_the_preset_field_by_field(tmp_path: Path) -> None:
    text = """
        [providers.here]
        preset = "ollama"
        base_url = "http://127.0.0.1:9/v1/"
        key_env = "MINE"
        display_name = "Mine"
        models = ["a", {id = "b", context = 4096}]
        retries = 0
        retry_budget = 10
        idle_timeout = 7
        proxy = "none"
        ca_bundle = "/etc/company.pem"
        [providers.cf]
        preset = "cloudflare"
        variables = {account_id = "abc"}
        [providers.near]
        base_url = 'http://127.0.0.1:1'
        [providers.far]
        base_url = 'https://host.test/v1'
        """
    here, cf, near, far = load(home(tmp_path, text), {}).providers.values()
    assert (here.base_url, here.key_env, here.display_name) == ("http://127.0.0.1:9/v1", ("MINE",), "Mine")
    assert [(model.id, model.context) for model in here.models] == [("a", None), ("b", 4096)]
    network = here.network
    assert (network.retries, network.retry_budget, network.idle_timeout) == (0, 10, 7)
    assert (network.proxy, network.ca_bundle) == ("none", Path("/etc/company.pem"))
    assert (network.connect_timeout, network.first_byte_timeout) == (5, 1800)
    assert "/accounts/abc/" in cf.base_url
    assert near.network.first_byte_timeout > far.network.first_byte_timeout, "it may have to load its model"


def test_every_row_of_a_provider_is_a_setting(tmp_path: Path) -> None:
    values = {
        "text": "lab", "path": "/a", "seconds": 5.0, "count": 1, "switch": False, "choice": "none",
        "pairs": {"A": "b"}, "models": [{"id": "m", "price_in": 0}], "rate": 60, "addresses": ["http://127.0.0.1:2/v1"],
        "number": 0.5, "tokens": 5, "params": {"top_k": 1},
    }  # fmt: skip
    special = {
        "display_name": "x" * 128,
        "preset": "deepseek",
        "base_url": "http://127.0.0.1:1",
        "key_env": "LAB",
        "proxy": "none",
    }
    fields = {row.name: special.get(row.name, values[row.type]) for row in PROVIDER_FIELDS}
    provider = preview("lab", fields, Paths.find({"TELEX_HOME": str(tmp_path)}))
    assert (provider.display_name, provider.headers["A"], provider.enabled) == ("x" * 128, "b", False)
    assert (provider.rpm, provider.base_urls) == (60, ("http://127.0.0.1:2/v1",))
    assert [(each.id, each.price) for each in provider.models] == [
        ("m", {"input": "0", "source": "settings"})
    ]
    assert provider.options == {row.name: values[row.type] for row in REQUEST_FIELDS} | {
        "reasoning_effort": "lab"
    }
    assert tuple(provider.options) == REQUEST_OPTIONS


def test_presets_are_usable_with_their_variables_unless_a_provider_has_the_key(tmp_path: Path) -> None:
    paths = home(tmp_path, f'{LAB}key_env = "GROQ_API_KEY"\n')
    environ = {"GROQ_API_KEY": KEY, "DEEPSEEK_API_KEY": KEY, "AZURE_API_KEY": KEY, "XAI_API_KEY": " "}
    found = load(paths, {})
    assert list(from_environment(found, environ, paths)) == ["deepseek"], "azure needs its resource"
    azure = from_environment(found, {**environ, "AZURE_RESOURCE_NAME": "me"}, paths)["azure"]
    assert azure.base_url == "https://me.openai.azure.com/openai/v1"
    assert from_environment(found, {}, paths) == {}


def test_the_first_of_several_addresses_is_the_usual_one(paths: Paths) -> None:
    fleet = preview("fleet", {"base_urls": ["http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"]}, paths)
    assert (fleet.base_url, fleet.base_urls) == ("http://127.0.0.1:1/v1", ("http://127.0.0.1:2/v1",))


def test_preview_is_what_a_start_loads(paths: Paths) -> None:
    fields = {"preset": "deepseek", "display_name": None, "key_env": "MINE"}
    seen = preview("mine", fields, paths)
    edit.put(paths.settings_file, {"mine": fields})
    assert load(paths, {}).providers["mine"] == seen


# --- invalid entries ---------------------------------------------------------------------------------------

HOST = "base_url = 'https://host'\n"
INVALID = [
    ("[providers.x]\nbase_url = 'ftp://host'", "providers.x.base_url: the base URL must begin"),
    ("[providers.x]\nbase_url = 5", "providers.x.base_url: must be a string"),
    (f"[providers.x]\nbase_uri = 5\n{HOST}", "providers.x.base_uri is not a setting; did you mean base_url?"),
    (f"[providers.x]\nenabled = 'maybe'\n{HOST}", "providers.x.enabled: must be true or false"),
    (f"[providers.x]\nretries = 1000\n{HOST}", "providers.x.retries: must be less than or equal to 100"),
    (f"[providers.x]\nca_bundle = 5\n{HOST}", "providers.x.ca_bundle: must be a path"),
    (f'[providers.x]\nca_bundle = "a\\u0000b"\n{HOST}', "the path contains a null character"),
    (f"[providers.x]\nproxy = 'ftp://p'\n{HOST}", "it has an unsupported type of proxy"),
    ("[providers.x]\nbase_url = 'https://me:hunter22@host/v1'", "must not contain a user name or a password"),
    ("[providers.x]\nbase_url = 'https://host/v1#x'", "contains a fragment"),
    (f"[providers.x]\n{HOST}headers = {{Authorization = 'hunter22'}}", "the header Authorization"),
    (f"[providers.x]\n{HOST}headers = {{X-A = 'é'}}", "the header X-A"),
    ("[providers.x]\npreset = 'cloudflare'\nvariables = {account_id = '../..'}", "account_id may contain only"),
    (f"[providers.x]\n{HOST}key_env = 'sk-hunter22'", "must be the name of an environment variable"),
    (f"[providers.x]\n{HOST}key_env = 'gsk_{'hunter22' * 4}'", "and never the key itself"),
    ("[providers.x]\npreset = 'cloudflare'", "its address needs variables.account_id"),
    ("[providers.x]\n", "providers.x: needs preset, base_url or gguf"),
    ("[providers.x]\npreset = 'no-such-thing'", "unknown preset: no-such-thing"),
    (f"[providers.function-x]\nretries = 1000\n{HOST}", "providers.function-x.retries"),
    ("[providers]\nx = 5", "providers.x: must be a table"),
    (f"[providers.'a b']\n{HOST}", "'a b' is not a valid name for a provider"),
    (f"[providers.-x]\n{HOST}", "not a valid name for a provider"),
    (f"[providers.local]\n{HOST}", "is reserved"),
    ("[mcp.x]\ncommand = 7", "mcp.x.command: must be a list"),
    ("[mcp]\nx = 7", "mcp.x: must be a table"),
    ("[mcp.x]\ncommand = ['a']\nspeed = 7", "mcp.x.speed is not a setting"),
    ("[mcp.x]\n", "it needs either a command or a url"),
    ("[mcp.x]\ncommand = ['a']\nurl = 'http://a/'", "either a command or a url"),
    ("[mcp.x]\ncommand = []", "mcp.x.command: must not be empty"),
    ("[mcp.x]\ncommand = [' ']", "its command is empty"),
    ("[mcp.x]\nurl = 'ftp://a/'", "the URL must begin with http"),
    ("[mcp.x]\nurl = 'http://me:hunter22@a/'", "the URL must not contain a user name or a password"),
    ("[mcp.x]\nurl = 'http://a/?api_key=k'", "the URL must not contain a key in its query"),
    ("[mcp.x]\nurl = 'http://a/'\nenv = {A = 'b'}", "need a command"),
    ("[mcp.x]\nurl = 'http://a/'\ncwd = '/'", "need a command"),
    ("[mcp.x]\ncommand = ['a']\nheaders = {A = 'b'}", "headers need a url"),
    ("[mcp.x]\nurl = 'http://a/'\nheaders = {Authorization = 'Bearer hunter22'}", "must be a reference"),
    ("[mcp.x]\nurl = 'http://a/'\nheaders = {Host = 'b'}", "set by telex itself"),
    ("[mcp.x]\nurl = 'http://a/'\nheaders = {'A B' = 'b'}", "not a valid header name"),
    ("[mcp.x]\ncommand = ['a']\nenv = {'A-B' = 'b'}", "not a valid name of an environment variable"),
    ("[mcp.x]\ncommand = ['a']\nenv = {A = 1}", "must be a string"),
    ("[mcp.x]\ncommand = ['a']\nstart_timeout = 0", "greater than 0"),
    ("[mcp.x]\ncommand = ['a']\ncall_timeout = 'soon'", "call_timeout: must be a number"),
    (f"[providers.x]\nmodels = [{{ id = 'm', price_in = 'dear' }}]\n{HOST}", "price_in: must be a number"),
    (f"[providers.x]\nrpm = 1.5\n{HOST}", "providers.x.rpm: must be a whole number"),
    ("[mcp.x]\ncommand = ['a']\nmax_result = 10", "greater than or equal to 1000"),
    ("[mcp.x]\ncommand = ['a']\nallow = ['two words']", "not a valid pattern"),
    *((f"[mcp.'{name}']\ncommand = ['a']", "for an MCP server") for name in ("a b", "a_b", "-a", "a.b", "x" * 65)),
    *((f"[mcp.'{name}']\ncommand = ['a']", "is reserved") for name in ("all", "none")),
    ("mcp = []", "mcp: must be a table"),
    ("[aliases]\nx = 5", "aliases.x: must be a model, a list of models, or a table"),
    ("[aliases]\n'a b' = 'x'", "not a valid name for an alias"),
    ("aliases = 5", "aliases: must be a table"),
    ("modell = 'x'", "modell is not a setting; did you mean model?"),
    ("[future]\na = 1", "future is not a setting"),
    ("[Providers.x]\nbase_url = 'http://host'", "did you mean providers?"),
    ("MODEL = 'x'", "did you mean model?"),
    ("markdown = 7", "markdown: must be true or false"),
    ("local_threads = 0", "local_threads: must be greater than 0"),
    ("model = ''", "model: must not be empty"),
]  # fmt: skip


def test_unknown_settings_are_reported_in_the_order_of_the_file(tmp_path: Path) -> None:
    names = ["zeta", "alpha", "mike", "bravo"]
    found = load(home(tmp_path, "".join(f"{name} = 1\n" for name in names)), {})
    assert list(found.problems) == names


@pytest.mark.parametrize(("text", "words"), INVALID)
def test_invalid_entry_is_reported_and_the_others_are_used(tmp_path: Path, text: str, words: str) -> None:
    is_table = text.startswith("[")
    good = "usage = 'full'\n{}\n{}\n".format(*(("", text) if is_table else (text, "")))
    if "[providers]" not in text:
        good += "[providers.good]\nbase_url = 'http://127.0.0.1:1'\n"
    paths = home(tmp_path, good)
    for _ in range(2):  # checked, and from the snapshot
        found = load(paths, {})
        assert found.usage == "full"
        assert list(found.providers) == (["good"] if "[providers]" not in text else [])
        ((entry, error),) = found.problems.items()
        assert words in error.message
        assert entry in error.message
        assert error.path == paths.settings_file
        assert "hunter22" not in str(error)
        with pytest.raises(SettingsError):
            found.require(*entry.split(".", 1))


def test_every_invalid_entry_is_reported(tmp_path: Path) -> None:
    text = "usage = 5\n[providers.x]\nbase_url = 5\nretries = 'x'\n[mcp.y]\n[aliases]\n'a b' = 'c'\nd = 'e'\n"
    found = load(home(tmp_path, text), {"TELEX_REASONING": "loud"})
    assert sorted(found.problems) == ["aliases.a b", "mcp.y", "providers.x", "reasoning", "usage"]
    assert found.aliases == {"d": Alias(targets=("e",))}


def test_nothing_is_saved_if_the_history_setting_is_invalid(tmp_path: Path) -> None:
    assert load(home(tmp_path, "history = 'never'\n"), {}).history is False


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b'model = "a"\n[providers\n', 2),
        (b'model = "a"\n\xff\n', 2),
        (b"\n\xff\n", 2),
        (b"a = 1\na = 2\n", 2),
        (b"a = 1\nb = [\n", 2),
        (b"a = " + b"[" * 5000, 0),
    ],
)
def test_file_that_does_not_parse_is_an_error_with_its_line_and_never_overwritten(
    tmp_path: Path, content: bytes, line: int
) -> None:
    paths = home(tmp_path, content)
    with pytest.raises(SettingsError) as caught:
        load(paths, {})
    assert caught.value.line == (line or None)
    assert f"settings.toml, line {line}" in str(caught.value) or not line
    with pytest.raises(SettingsError):
        edit.put(paths.settings_file, {"new": {"base_url": "http://127.0.0.1:1"}})
    assert paths.settings_file.read_bytes() == content


# --- the environment ---------------------------------------------------------------------------------------


def test_environment_overrides_the_file_table_by_table(tmp_path: Path) -> None:
    paths = home(tmp_path, f'model = "from/file"\n{LAB}retries = 1\n')
    assert load(paths, {}).model == "from/file"
    assert load(paths, {"TELEX_MODEL": "from/environment"}).model == "from/environment"
    assert load(paths, {"TELEX_MODEL": ""}).model == "from/file"
    found = load(paths, {"TELEX_PROVIDERS": '{"lab": {"base_url": "http://127.0.0.1:2", "key": "none"}}'})
    lab = found.providers["lab"]
    assert (lab.base_url, lab.auth, lab.network.retries) == ("http://127.0.0.1:2", "none", 1)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PROVIDERS", "nonsense", "TELEX_PROVIDERS is not valid JSON"),
        ("PROVIDERS", '{"lab": {"speed": 1}}', "TELEX_PROVIDERS.lab.speed is not a setting"),
        ("PROVIDERS__LAB", '{"speed": 1}', "TELEX_PROVIDERS__LAB.speed is not a setting"),
        ("PROVIDERS", '{"lab": {"base_url": "x"}}', "TELEX_PROVIDERS.lab.base_url: the base URL must begin"),
        ("PROVIDERS", '{"lab": {"models": ["a", {"id": ""}]}}', "TELEX_PROVIDERS.lab.models.1.id: "),
        ("PROVIDERS", '{"all": {}}', "TELEX_PROVIDERS.all: the name 'all' is reserved"),
        ("PROVIDERS", "[]", "TELEX_PROVIDERS: must be a table"),
        ("LOCAL_THREADS", "many", "TELEX_LOCAL_THREADS: must be a whole number"),
        ("ALIASES__NEW__SYSTEM", "x", "aliases.new.targets: is required"),
        ("MCP", '{"x\\ud800": {"command": ["x"]}}', "is not a valid name"),
        ("PROVIDERS", '{"x\\ud800": {}}', "is not a valid name"),
    ],
)
def test_invalid_variable_is_named(tmp_path: Path, variable: str, value: str, message: str) -> None:
    found = load(
        home(tmp_path, "[providers.good]\nbase_url = 'http://127.0.0.1:1'\n"), {f"TELEX_{variable}": value}
    )
    assert message in " / ".join(error.message for error in found.problems.values())
    if "ud800" not in value:
        assert {error.path for error in found.problems.values()} == {None}
        assert ("good" in found.providers) is (value != "[]")


def test_schema_alone_reads_the_variables_of_its_process() -> None:
    variables = {
        "TELEX_PROVIDERS__LAB__RETRIES": "7",
        "TELEX_ALIASES": '{"fast": "lab/m"}',
        "TELEX_MODEL": "",
    }
    code = (
        "from provider_core.settings.schema import File; print(File().model_dump_json(exclude_defaults=True))"
    )
    found = json.loads(python(code, {**os.environ, **variables}))
    assert found == {"providers": {"lab": {"retries": 7}}, "aliases": {"fast": {"targets": ["lab/m"]}}}


def test_problem_in_the_file_is_not_blamed_on_the_variable(tmp_path: Path) -> None:
    paths = home(tmp_path, "[providers.lab]\nspeed = 1\n")
    variables = {"TELEX_PROVIDERS": '{"lab": {"base_url": "http://127.0.0.1:1"}}'}
    (error,) = load(paths, variables).problems.values()
    assert error.message.startswith("providers.lab.speed is not a setting")
    assert error.path == paths.settings_file


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("providers = 5\n", {}),
        ("", {"TELEX_PROVIDERS": "5"}),
        ("providers = [1]\n", {"TELEX_PROVIDERS": "[2]"}),
    ],
)
def test_nested_variable_adds_to_a_group_that_is_not_a_table(
    tmp_path: Path, text: str, variables: dict[str, str]
) -> None:
    nested = {"TELEX_PROVIDERS__LAB__BASE_URL": LAB_URL, "TELEX_PROVIDERS__BAD__RETRIES": "x"}
    found = load(home(tmp_path, text), {**variables, **nested})
    assert [each.base_url for each in found.providers.values()] == [LAB_URL]
    assert "TELEX_PROVIDERS__BAD__RETRIES: must be a whole number" in found.problems["providers.bad"].message


LAB_URL = "http://127.0.0.1:9/v9"


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("TELEX_PROVIDERS__LAB__BASE_URL", LAB_URL, "base_url", LAB_URL),
        ("telex_providers__Lab__base_url", LAB_URL, "base_url", LAB_URL),
        ("TELEX_PROVIDERS__LAB__ENABLED", "false", "enabled", False),
        ("TELEX_PROVIDERS__LAB__HEADERS", '{"X-Team": "a"}', "headers", {"X-Team": "a"}),
        ("TELEX_PROVIDERS__LAB", f'{{"base_url": "{LAB_URL}"}}', "base_url", LAB_URL),
        ("TELEX_PROVIDERS__LAB__DISPLAY_NAME", "5", "display_name", "5"),
    ],
)
def test_nested_variable_sets_one_field(
    tmp_path: Path, variable: str, value: str, field: str, expected: object
) -> None:
    found = load(home(tmp_path, LAB), {variable: value})
    assert found.problems == {}
    assert getattr(found.providers["lab"], field) == expected
    assert found.sources["providers.lab"] == "variable"
    assert not (tmp_path / "cache").exists(), "the values of variables are not written to the disk"


def test_nested_variables_name_tables_with_hyphens_and_new_ones(tmp_path: Path) -> None:
    text = '[providers.My-Lab]\nbase_url = "http://127.0.0.1:1/v1"\n[aliases]\na_b = "x"\n'
    variables = {
        "TELEX_PROVIDERS__MY_LAB__RETRIES": "7",
        "TELEX_PROVIDERS__NEW_LAB__BASE_URL": LAB_URL,
        "TELEX_ALIASES__A_B": "y",
        "TELEX_ALIASES__FAST": "My-Lab/m",
        "TELEX_MCP__FILES__COMMAND": '["mcp-files"]',
        "TELEX_PROVIDERS": '{"my-lab": {"retries": 3, "idle_timeout": 4}}',
    }
    found = load(home(tmp_path, text), variables)
    assert found.problems == {}
    assert set(found.providers) == {"My-Lab", "new-lab"}
    assert (found.providers["My-Lab"].network.retries, found.providers["My-Lab"].network.idle_timeout) == (
        7,
        4,
    )
    assert {name: str(alias) for name, alias in found.aliases.items()} == {"a_b": "y", "fast": "My-Lab/m"}
    assert found.mcp["files"].command == ("mcp-files",)


@pytest.mark.parametrize(
    ("variable", "entry", "message"),
    [
        ("TELEX_MODEL__X", "TELEX_MODEL__X", "TELEX_MODEL takes one value"),
        ("TELEX_PARAMS", "params", "TELEX_PARAMS is not valid JSON"),
        ("TELEX_BUDGET__DAYS", "budget", "did you mean TELEX_BUDGET__DAY?"),
        ("TELEX_LAB__KEY", "TELEX_LAB__KEY", "TELEX_LAB__KEY is not a setting"),
        ("TELEX_MODELS__KEY", "TELEX_MODELS__KEY", "TELEX_MODELS__KEY is not a setting"),
        ("TELEX_PROVIDERS__LAB__BASEURL", "providers.lab", "did you mean TELEX_PROVIDERS__LAB__BASE_URL?"),
        ("TELEX_PROVIDERS__LAB__API_KEY", "providers.lab", "telex providers set-key lab"),
        ("telex_providers__lab__key", "providers.lab", "never a key"),
        ("TELEX_PROVIDERS__LAB__HEADERS__X_TEAM", "providers.lab", "TELEX_PROVIDERS__LAB__HEADERS='{"),
        ("TELEX_PROVIDERS__LAB__MODELS", "providers.lab", """write TELEX_PROVIDERS__LAB__MODELS='["VALUE"]'"""),
        ("TELEX_PROVIDERS__LAB", "providers.lab", "write TELEX_PROVIDERS__LAB__FIELD=VALUE, or "),
        ("TELEX_PROVIDER__LAB__KEY", "TELEX_PROVIDER__LAB__KEY", "did you mean TELEX_PROVIDERS__LAB__KEY?"),
        ("TELEX_PROVIDERS__LAB__RETRIES", "providers.lab", "TELEX_PROVIDERS__LAB__RETRIES: must be a whole number"),
        ("TELEX_MCP__FILES__COMMAND", "mcp.files", "TELEX_MCP__FILES__COMMAND is not valid JSON; write"),
    ],
)  # fmt: skip
def test_nested_variable_that_cannot_be_used_is_an_error(
    tmp_path: Path, variable: str, entry: str, message: str
) -> None:
    found = load(home(tmp_path, LAB), {variable: KEY})
    assert message in found.problems[entry].message
    assert KEY not in found.problems[entry].message
    assert ("lab" in found.providers) is (entry != "providers.lab"), "it must not be used without the change"


@pytest.mark.parametrize("value", ["{lab}", '["lab"]', '"lab"'])
def test_no_provider_is_used_if_the_whole_variable_is_invalid(tmp_path: Path, value: str) -> None:
    home(tmp_path, LAB)
    runtime = Runtime(environ={"TELEX_HOME": str(tmp_path), "TELEX_PROVIDERS": value})
    for name in (None, "lab", "lab/m", "m"):
        with pytest.raises(SettingsError, match="TELEX_PROVIDERS"):
            runtime.target(name)


def test_other_variables_are_ignored(paths: Paths) -> None:
    assert load(paths, {"TELEX_LAB_KEY": KEY, "TELEX_WHATEVER": "{", "OTHER__X": "1"}).problems == {}


# --- secrets -----------------------------------------------------------------------------------------------


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
def test_cache_contains_no_secret_and_no_variable(
    tmp_path: Path, text: str, variables: dict[str, str]
) -> None:
    paths = home(tmp_path, text)
    first, second = load(paths, variables), load(paths, variables)
    assert KEY not in "".join(path.read_text() for path in paths.cache.rglob("*") if path.is_file())
    assert (first.model, [*first.providers], [*first.mcp]) == (
        second.model,
        [*second.providers],
        [*second.mcp],
    )
    assert first.model == variables.get("TELEX_MODEL")


@pytest.mark.parametrize(
    ("text", "variables", "words"),
    [
        (f'{LAB}api_key = "{KEY}"', {}, "providers.lab.api_key: set-key key_env"),
        (f'{LAB}apiKey = "{KEY}"', {}, "providers.lab.apiKey: set-key"),
        (f'{LAB}token = "{KEY}"', {}, "providers.lab.token: set-key"),
        (f'{LAB}key = "{KEY}"', {}, "providers.lab.key: set-key"),
        (f'{LAB}key_env = "{KEY}"', {}, "providers.lab.key_env: never"),
        (f'{LAB}headers = {{X-Key = "{KEY}"}}', {}, "providers.lab.headers: env:NAME keyring:NAME"),
        (f'{LAB}headers = {{Authorization = "Bearer {KEY}"}}', {}, "providers.lab.headers: Authorization"),
        (LAB, {"TELEX_PROVIDERS": f'{{"lab": {{"api_key": "{KEY}"}}}}'}, "TELEX_PROVIDERS.lab.api_key: set-key"),
        (f'[mcp.x]\ncommand = ["a"]\ntoken = "{KEY}"', {}, "mcp.x.token: set-secret"),
    ],
)  # fmt: skip
def test_key_in_the_settings_is_refused_and_not_repeated(
    tmp_path: Path, text: str, variables: dict[str, str], words: str
) -> None:
    (error,) = load(home(tmp_path, text), variables).problems.values()
    for word in words.replace(": ", " ").split():
        assert word in error.message
    assert KEY not in error.message


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_settings_that_every_user_can_change_are_refused(tmp_path: Path) -> None:
    paths = home(tmp_path, LAB)
    for place, mode in ((paths.settings_file, 0o602), (paths.config, 0o703)):
        before = place.stat().st_mode
        place.chmod(mode)
        with pytest.raises(SettingsError, match=f"chmod o-w {place}"):
            load(paths, {})
        place.chmod(before)
    paths.settings_file.chmod(0o664)  # what editors leave under umask 002
    assert "lab" in load(paths, {}).providers
    assert paths.settings_file.stat().st_mode & 0o777 == 0o600


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away"
)


@as_root
@pytest.mark.parametrize("what", ["file", "folder"])
def test_settings_of_another_user_are_refused_but_not_those_of_root(open_folder: Path, what: str) -> None:
    paths = home(open_folder, LAB)
    place = paths.settings_file if what == "file" else paths.config
    os.chown(place, 12345, 12345)
    with pytest.raises(SettingsError, match=r"belongs to another user \(uid 12345\).*chown"):
        load(paths, {})
    os.chown(place, 0, 0)
    paths.config.chmod(0o755)
    paths.settings_file.chmod(0o644)
    assert load_as_user(12345, paths) == "lab"
    os.chown(place, 23456, 23456)
    assert load_as_user(12345, paths) == "SettingsError"


@as_root
def test_cache_of_another_user_is_not_used(tmp_path: Path) -> None:
    paths = home(tmp_path, LAB)
    load(paths, {})
    (place,) = (paths.cache / "settings").iterdir()
    content = place.read_bytes().partition(b"\n")[2].replace(b"127.0.0.1:1", b"127.0.0.2:2")
    place.write_bytes(blake2b(content, digest_size=32).hexdigest().encode() + b"\n" + content)
    assert load(paths, {}).providers["lab"].base_url == "http://127.0.0.2:2/v1"
    os.chown(place, 12345, 12345)
    assert load(paths, {}).providers["lab"].base_url == "http://127.0.0.1:1/v1"


def load_as_user(uid: int, paths: Paths) -> str:
    """The providers' names that another user's process loads, or the error's class."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of other tests take no part in this
        child = os.fork()
    if child == 0:  # pragma: no cover - another process
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            result = ",".join(load(paths, {}).providers)
        except BaseException as error:  # noqa: BLE001 - passed to the parent
            result = type(error).__name__
        os.write(write, result.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        result = file.read()
    os.waitpid(child, 0)
    return result


def test_schema_reads_variables_over_the_file_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    from provider_core.settings.schema import File

    monkeypatch.setenv("TELEX_ALIASES", '{"fast": "b/b"}')
    monkeypatch.setenv("TELEX_USAGE", "")
    found = File(file={"aliases": {"fast": "a/a", "big": "a/b"}, "usage": "none"})  # type: ignore[call-arg]
    targets = {name: alias.targets for name, alias in found.aliases.items()}  # type: ignore[attr-defined]
    assert (targets, found.usage) == ({"fast": ["b/b"], "big": ["a/b"]}, "none")


# --- snapshots ---------------------------------------------------------------------------------------------


def test_settings_are_checked_once(tmp_path: Path) -> None:
    paths = home(tmp_path, f"model = 'a/b'\n{LAB}models = [{{id = 'm', context = 9}}]\n")
    first = load(paths, {})
    code = (
        "import sys; from pathlib import Path; from provider_core.settings import Paths, load;"
        "s = load(Paths.find({'TELEX_HOME': sys.argv[1]}), {});"
        "print(s.model, s.providers['lab'].models[0].context, 'pydantic' in sys.modules)"
    )
    again = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, check=True)
    assert again.stdout.split() == [b"a/b", b"9", b"False"]
    assert load(paths, {}) == first


def test_change_of_file_or_environment_is_seen(tmp_path: Path) -> None:
    paths = home(tmp_path, "model = 'a/b'\n")
    before = paths.settings_file.stat()
    assert load(paths, {}).model == "a/b"
    paths.settings_file.write_text("model = 'c/d'\n")
    os.utime(paths.settings_file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert load(paths, {}).model == "c/d"
    assert load(paths, {"TELEX_MODEL": "e/f"}).model == "e/f"
    assert load(paths, {}).model == "c/d"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'{"made_from": 1}', b"\xff", b'{"checked": {"model": "x/y"}}', None]
)
def test_damaged_snapshot_is_replaced(tmp_path: Path, content: bytes | None) -> None:
    paths = home(tmp_path, "model = 'a/b'\n")
    load(paths, {})
    (snapshot,) = (paths.cache / "settings").iterdir()
    assert snapshot.stat().st_mode & 0o777 == 0o600
    whole = snapshot.read_bytes()
    snapshot.write_bytes(whole.replace(b"a/b", b"c/d") if content is None else content)
    assert load(paths, {}).model == "a/b"
    assert snapshot.read_bytes() == whole


def test_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    paths = home(tmp_path, "model = 'a/b'\n")
    paths.cache.write_text("a file where the folder should be")
    assert load(paths, {}).model == "a/b"


def test_few_snapshots_are_kept(tmp_path: Path) -> None:
    paths = home(tmp_path, "model = 'a/b'\n")
    for number in range(20):
        assert load(paths, {"TELEX_MODEL": f"x/{number}"}).model == f"x/{number}"
    kept = sorted((paths.cache / "settings").iterdir())
    before = [file.stat().st_mtime_ns for file in kept]
    assert len(kept) == 8
    for number in range(19, 11, -1):
        assert load(paths, {"TELEX_MODEL": f"x/{number}"}).model == f"x/{number}"
    assert [file.stat().st_mtime_ns for file in kept] == before


# --- MCP servers -------------------------------------------------------------------------------------------


def test_mcp_tables_are_servers(tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "env": {"TOKEN": "keyring:files", "MODE": "fast"}, "enabled": False, "start_timeout": 5.0, "call_timeout": 2.5,
        "max_result": 2000,
    }  # fmt: skip
    command, allow = ["npx", "-y", "a-server", "/srv"], ["read_*", "list"]
    web = {
        "url": "HTTPS://Tools.Example/mcp/?v=1",
        "headers": {"Authorization": "Bearer env:W", "X-Team": "a"},
    }
    tables = {"files": {**fields, "command": command, "allow": allow, "cwd": "~/work"}, "web": web}
    found = load(home(tmp_path), {"TELEX_MCP": json.dumps(tables)}).mcp
    assert found["files"] == McpServer(
        name="files", command=tuple(command), allow=tuple(allow), cwd=Path("~/work").expanduser(), **fields
    )
    assert found["web"] == McpServer(
        name="web", url="https://tools.example/mcp/?v=1", headers=web["headers"]
    ), "its path is unchanged"
    assert [found[name].place for name in found] == ["npx -y a-server /srv", "https://tools.example/mcp/?v=1"]
    assert {name: str(each) for name, each in secret_references(found["web"]).items()} == {
        "Authorization": "env:W"
    }
    assert secret_references(found["files"])["TOKEN"].entry == "secret:files"


def test_unknown_server_is_an_error_with_candidates() -> None:
    known = Settings(mcp={"github": McpServer(name="github", command=("a",))})
    assert known.mcp_server("github") is known.mcp["github"]
    with pytest.raises(UnknownToolServerError) as caught:
        known.mcp_server("githib")
    assert (caught.value.candidates, caught.value.server) == (("github",), "githib")


def test_environment_of_a_server() -> None:
    assert server_environment({}, {}) == {"PATH": os.defpath}
    environ = {"PATH": "/bin", "USER": "key", "HOME": "() { evil; }", "LANG": "C"}
    assert server_environment(environ, {}, excluded_env={"USER"}) == {"PATH": "/bin", "LANG": "C"}
    environ |= {"A_KEY": "12345678", "HOME": "/home/12345678", "TZ": "1234567"}
    assert server_environment(environ, {}, excluded_env={"USER", "A_KEY"}) == {
        "PATH": "/bin", "LANG": "C", "TZ": "1234567",
    }, "nor what contains a key"  # fmt: skip
