"""Names, addresses, headers and variables by their rules; and that no change damages a file, however it is written."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provider_core.errors import InvalidInputError, SettingsError
from provider_core.settings import Paths, edit, load, preview, validators
from provider_core.types import Provider

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provider_core.errors import CoreError

T = TypeVar("T")


def attempt(work: Callable[[], T]) -> tuple[CoreError | None, T | None]:
    """What ``work`` raised, and what it gave."""
    try:
        return None, work()
    except (InvalidInputError, SettingsError) as error:
        return error, None


# --- addresses ---------------------------------------------------------------------------------------------

pieces = st.sampled_from(
    ["http", "https", "HTTPS", "://", ":", "/", "//", "host", "LOCALHOST", "127.0.0.1", "[::1]", "[", "@", "#", "?",
     "a=b", "key=x", "&", "v1", "/chat/completions", "/models", ".", "..", "%20", " ", "\t", "\n", "ü", "\\", "{x}",
     ":80", ":0", ":99999", "é", "\x00"]
)  # fmt: skip


@given(st.one_of(st.text(max_size=60), st.lists(pieces, max_size=8).map("".join)))
def test_any_text_is_an_address_or_a_clean_error(text: str) -> None:
    refused, found = attempt(lambda: validators.parse_base_url(text))
    if found is None:
        assert "base URL" in str(refused)
        return
    assert re.fullmatch(r"https?://[^/?#@\s]+[^#\s]*", found.url)
    assert validators.parse_base_url(found.url).url.rstrip("/") == found.url.rstrip("/")
    url = Provider(name="x", base_url=found.url).url("/chat/completions")
    assert "//" not in url.partition("://")[2].partition("?")[0] or "//" in text.partition("://")[2]
    validators.is_private_host(found.url)


@pytest.mark.parametrize(
    ("pasted", "url", "dropped"),
    [
        (" https://api.x.com/v1/ ", "https://api.x.com/v1", ("/",)),
        ("https://api.x.com/v1/chat/completions/", "https://api.x.com/v1", ("/", "/chat/completions")),
        ("https://api.x.com/models", "https://api.x.com", ("/models",)),
        ("http://h/", "http://h", ()),
        ("https://{Res}.Azure.com/openai/v1", "https://{Res}.azure.com/openai/v1", ()),
        ("https://h/deployments/a?api-version=7", "https://h/deployments/a?api-version=7", ()),
        ("https://h/v1/models?api-version=7", "https://h/v1?api-version=7", ("/models",)),
    ],
)
def test_a_pasted_address_becomes_a_base(pasted: str, url: str, dropped: tuple[str, ...]) -> None:
    assert validators.parse_base_url(pasted) == validators.BaseUrl(url=url, dropped=dropped)


@pytest.mark.parametrize(
    ("proxy", "shown"),
    [
        ("http://me:pw@proxy:3128", "http://proxy:3128"),
        ("me:pw@proxy:3128", "proxy:3128"),
        ("socks5://proxy", "socks5://proxy"),
        ("none", "none"),
        ("http://me:p/w@x#1@proxy:3128", "http://proxy:3128"),
        ("http://me:p://w@proxy:3128", "http://proxy:3128"),
    ],
)
def test_a_proxy_is_shown_without_its_password(proxy: str, shown: str) -> None:
    assert validators.without_credentials(proxy) == shown


@pytest.mark.parametrize(
    ("host", "near"),
    [
        ("localhost", True), ("a.localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("[::1]", True),
        ("0.0.0.0", True), ("10.0.0.1", True), ("172.16.0.1", True), ("172.32.0.1", False), ("192.168.1.1", True),
        ("169.254.1.1", True), ("[fd00::1]", True), ("[fe80::1]", True), ("[::ffff:10.0.0.1]", True),
        ("192.0.2.1", False), ("198.18.0.1", False), ("198.51.100.1", False), ("203.0.113.1", False),
        ("240.0.0.1", False), ("100.64.0.1", False), ("192.0.0.1", False), ("[2001:db8::1]", False),
        ("[::ffff:8.8.8.8]", False), ("8.8.8.8", False), ("lab", False),
    ],
)  # fmt: skip
def test_only_this_machine_and_private_networks_are_near(host: str, near: bool) -> None:
    assert validators.is_private_host(f"http://{host}:8080/v1") is near


# --- what stands in the file by hand -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "place", "words"),
    [
        ("providers.local", "providers.local: ", "taken by telex itself"),
        ("providers.all", "providers.all: ", "taken by telex itself"),
        ("providers.-x", "providers.-x: ", "not a valid name for a provider"),
        ("aliases", "aliases.a b: ", "not a valid name for an alias"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused_with_its_place(
    paths: Paths, table: str, place: str, words: str
) -> None:
    fields = "'a b' = 'x'" if table == "aliases" else "base_url = 'https://x'"
    paths.settings_file.write_text(f"[{table}]\n{fields}\n")
    (error,) = load(paths, {}).problems.values()
    assert error.message.startswith(place)
    assert words in error.message
    assert error.path == paths.settings_file


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    found = Paths.find({"TELEX_HOME": str(tmp_path)})
    found.config.mkdir(parents=True)
    return found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("base_url = 'https://me:hunter22@host/v1'", "a password"),
        ("base_url = 'https://host/v1#x'", "fragment"),
        ("base_url = 'https://host'\nheaders = {Authorization = 'hunter22'}", "Authorization"),
        ("base_url = 'https://host'\nheaders = {X-A = 'é'}", "X-A"),
        ("preset = 'cloudflare'\nvariables = {account_id = '../..'}", "account_id"),
        ("base_url = 'https://host'\nkey_env = 'sk-hunter22'", "must be the name of an environment variable"),
        (f"base_url = 'https://host'\nkey_env = 'gsk_{'hunter22' * 4}'", "and never the key itself"),
        ("preset = 'cloudflare'", "its address needs variables.account_id"),
    ],
)
def test_the_rules_hold_for_what_was_written_by_hand(paths: Paths, text: str, words: str) -> None:
    paths.settings_file.write_text(f"[providers.x]\n{text}\n")
    (error,) = load(paths, {}).problems.values()
    assert "providers.x" in str(error)
    assert words in str(error)
    assert "hunter22" not in str(error)


def test_a_variable_that_is_no_json_is_named(paths: Paths) -> None:
    (error,) = load(paths, {"TELEX_PROVIDERS": "nonsense"}).problems.values()
    assert error.message == "TELEX_PROVIDERS is not valid JSON"
    for value, words in (
        ('{"lab": {"speed": 1}}', "TELEX_PROVIDERS.lab.speed is not a setting"),
        ('{"lab": {"base_url": "x"}}', "TELEX_PROVIDERS.lab.base_url: the base URL must begin"),
        ('{"lab": {"models": ["a", {"id": ""}]}}', "TELEX_PROVIDERS.lab.models.1.id: "),
        ('{"all": {}}', "TELEX_PROVIDERS.all: the name all is taken"),
        ("[]", "TELEX_PROVIDERS: "),
    ):
        (error,) = load(paths, {"TELEX_PROVIDERS": value}).problems.values()
        assert error.message.startswith(words)
        assert error.path is None, "it does not stand in the file"
    paths.settings_file.write_text("[providers.lab]\nspeed = 1\n")
    (error,) = load(
        paths, {"TELEX_PROVIDERS": '{"lab": {"base_url": "http://127.0.0.1:1"}}'}
    ).problems.values()
    assert error.message.startswith("providers.lab.speed is not a setting")
    assert error.path == paths.settings_file
    paths.settings_file.unlink()
    found = load(paths, {"TELEX_PROVIDERS": '{"lab": {"base_url": "http://127.0.0.1:1", "key": "none"}}'})
    assert found.providers["lab"].auth == "none"


def test_a_preview_is_what_a_start_will_make_of_it(paths: Paths) -> None:
    fields = {"preset": "deepseek", "display_name": None, "key_env": "MINE"}
    seen = preview("mine", fields, paths)
    edit.put(paths.settings_file, {"mine": fields})
    assert load(paths, {}).providers["mine"] == seen


# --- changes to a file of any style ------------------------------------------------------------------------

HEADS = (
    '# top\nmodel = "lab/m" # default\n',
    "local_threads = 2 # cores\n",
    'providers.five.base_url = "http://g" # dotted\n',
    'providers = {six = {base_url = "http://s"}} # in line\n',
)
MODEL = '[[providers.four.models]]\nid = "x" # mx\n[[providers.four.models]]\nid = "y"\n'
TABLES = (
    '[aliases] # names\nfast = "lab" # quick\n# after aliases\n\n',
    '[providers.lab] # cellar\nbase_url = "http://127.0.0.1:1" # one\n# inner\nkey_env = "A"\n\n# before the next\n',
    '[providers.two]\npreset = "deepseek"\nheaders = {X-A = "1"} # two\n',
    '[providers."three"]\nbase_url = "http://h"\n[providers.three.headers] # sub\nX-B = "2"\n',
    f'[providers.four]\nbase_url = "http://f"\n{MODEL}',
    "[providers]\n# bare\n",
)
CHANGES = ["put", "replace", "update", "rename", "remove"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(data=st.data())
def test_a_change_does_what_it_means_and_loses_no_comment_of_others(
    paths: Paths, data: st.DataObject
) -> None:
    heads = [head for head in HEADS if data.draw(st.booleans())]
    text = "".join([*heads, *data.draw(st.lists(st.sampled_from(TABLES), unique=True))])
    try:
        before = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    path = paths.settings_file
    path.write_text(text)
    providers: dict[str, Any] = before.get("providers", {})
    change = data.draw(st.sampled_from(CHANGES if providers else ["put"]))
    name = data.draw(st.sampled_from(list(providers))) if change != "put" else "new"
    new = {"base_url": "http://n", "models": ["a", {"id": "b"}]}
    match change:
        case "put" | "replace":
            refused, _ = attempt(lambda: edit.put(path, {name: new}, replace=change == "replace"))
            providers[name] = new
        case "update":
            fields = {"display_name": "X", "key_env": None}
            refused, _ = attempt(lambda: edit.update_provider(path, name, fields))
            providers[name] = {k: v for k, v in {**providers[name], **fields}.items() if v is not None}
        case "rename":
            refused, _ = attempt(lambda: edit.rename_provider(path, name, "renamed"))
            providers["renamed"] = providers.pop(name)
        case _:
            refused, _ = attempt(lambda: edit.remove(path, name))
            del providers[name]
    after = path.read_text()
    if refused is not None:
        assert "edit it by hand" in str(refused)
        assert after == text
        assert "dotted" in text or "in line" in text  # only such styles may be left to who wrote them
        return
    assert tomllib.loads(after).get("providers", {}) == providers
    own = own_comments(name) if change in ("replace", "remove") else set()
    assert {comment for comment in re.findall(r"# \w+", text) if comment not in after} <= own


def own_comments(name: str) -> set[str]:
    """The comments that stand within the provider's own table."""
    return {
        "lab": {"# cellar", "# one", "# inner"},
        "two": {"# two"},
        "three": {"# sub"},
        "four": {"# mx"},
        "five": {"# dotted"},
        "six": {"# in"},
    }.get(name, set())
