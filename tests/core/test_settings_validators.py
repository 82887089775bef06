"""Names, addresses, proxies, headers and references to secrets: what is accepted, and what an error says."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_core.errors import InvalidInputError
from provider_core.settings import validators
from provider_core.types import Provider

SECRET = "0123456789abcdefABCDEF"

pieces = st.sampled_from(
    ["http", "https", "HTTPS", "://", ":", "/", "//", "host", "LOCALHOST", "127.0.0.1", "[::1]", "[", "@", "#", "?",
     "a=b", "key=x", "&", "v1", "/chat/completions", "/models", ".", "..", "%20", " ", "\t", "\n", "ü", "\\", "{x}",
     ":80", ":0", ":99999", "é", "\x00"]
)  # fmt: skip


@given(st.one_of(st.text(max_size=60), st.lists(pieces, max_size=8).map("".join)))
def test_any_text_is_a_base_url_or_an_error(text: str) -> None:
    refused = ""
    try:
        found = validators.parse_base_url(text)
    except InvalidInputError as error:
        refused = error.message
    if refused:
        assert "base URL" in refused
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
def test_pasted_address_becomes_a_base_url(pasted: str, url: str, dropped: tuple[str, ...]) -> None:
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
def test_proxy_is_shown_without_its_password(proxy: str, shown: str) -> None:
    assert validators.without_credentials(proxy) == shown


PRIVATE = """localhost a.localhost 127.0.0.1 127.9.9.9 [::1] 0.0.0.0 10.0.0.1 172.16.0.1 192.168.1.1 169.254.1.1
    [fd00::1] [fe80::1] [::ffff:10.0.0.1]"""
PUBLIC = """172.32.0.1 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 240.0.0.1 100.64.0.1 192.0.0.1 8.8.8.8 lab
    [2001:db8::1] [::ffff:8.8.8.8]"""


@pytest.mark.parametrize(("private", "hosts"), [(True, PRIVATE), (False, PUBLIC)])
def test_only_this_machine_and_private_networks_are_private(private: bool, hosts: str) -> None:
    for host in hosts.split():
        assert validators.is_private_host(f"http://{host}:8080/v1") is private, host


@pytest.mark.parametrize(
    ("written", "kind", "name", "before"),
    [
        ("keyring:github", "keyring", "github", ""),
        ("env:GITHUB_TOKEN", "env", "GITHUB_TOKEN", ""),
        ("Bearer keyring:git-hub.2", "keyring", "git-hub.2", "Bearer "),
        ("token env:T", "env", "T", "token "),
    ],
)
def test_reference_names_a_secret(written: str, kind: str, name: str, before: str) -> None:
    found = validators.parse_reference(written)
    assert found is not None
    assert (found.kind, found.name, found.before) == (kind, name, before)


@pytest.mark.parametrize(
    "written",
    ["", "keyring:", "env: A", "key:a", "http://env:8080", "a b env:C", "env:A/B", "Keyring:a", "env:A\n"],
)
def test_other_values_are_not_references(written: str) -> None:
    assert validators.parse_reference(written) is None


def test_a_single_word_is_not_a_proxy() -> None:
    for accepted in ("none", "proxy:3128", "http://proxy"):
        validators.validate_proxy(accepted)
    with pytest.raises(InvalidInputError, match=r"it is not a URL, such as http://proxy\.example"):
        validators.validate_proxy("zork")


@pytest.mark.parametrize(
    ("harmless", "values"),
    [
        (True, ["MODE=fast", "API_KEY=keyring:a", "KEY_FILE=/home/me/key.pem", "KEY_FILE=~/key.pem", "USE_AUTH=true",
                "AUTH=oauth", "TOKEN_LIMIT=4096", "AUTH_URL=https://login.example/x", "PASSWORD=",
                "DATABASE=skating", "X-Max-Tokens=100", "X-Auth-Mode=bearer", "X-Author=Jane"]),
        (False, ["API_KEY=0123456789abcdef", "GITHUB_TOKEN=x", "AUTH_URL=https://me:pw@login.example/x",
                 "AUTH_URL=https://login.example/x?key=1", "ANY=ghp_0123456789abcdefABCDEF",
                 "ANY=prefix sk-proj-0123456789abcdef", "X-Pass=a", "Proxy-Authorization=Basic a"]),
    ],
)  # fmt: skip
def test_secrets_are_recognized_by_name_and_form(harmless: bool, values: list[str]) -> None:
    for each in values:
        name, _, value = each.partition("=")
        assert validators.is_harmless(name, value) is harmless, each


@pytest.mark.parametrize(
    ("command", "place"),
    [
        ("npx -y server --port 80", None),
        (f"x --token {SECRET}", "after --token"),
        (f"x --token={SECRET}", "after --token"),
        (f"x --token= --mode {SECRET}", None),
        ("x --token keyring:lab", None),
        (f"x --verbose ghp_{SECRET}", "after --verbose"),
        (f"x ghp_{SECRET}", ""),
        (f"x --token env:A ghp_{SECRET}", ""),
        (f"ghp_{SECRET}", None),
    ],
)
def test_secret_in_a_command_is_found_with_its_place(command: str, place: str | None) -> None:
    assert validators.find_secret(command.split()) == place


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Api.X.com:443/v1", "https://api.x.com"),
        ("http://h:80", "http://h"),
        ("http://h:443/v1", "http://h:443"),
        ("https://h.:8443/v1?a=b", "https://h:8443"),
        ("http://[0:0::1]:8080/v1", "http://[::1]:8080"),
        ("https://bücher.example/v1", "https://xn--bcher-kva.example"),
    ],
)
def test_origin_has_one_spelling(url: str, origin: str) -> None:
    assert validators.origin(url) == origin
