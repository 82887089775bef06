"""A key is sent only to the address that it was stored for, from the home that stored it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from inprocess import Inside
from memory_keyring import Backend
from scripted import Scripted
from servers import by_path, keyed

from provider_core import keys
from provider_core.errors import KeyDestinationError
from provider_core.keys import KeyringStore, MemoryStore
from provider_core.types import Network, Provider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

KEY = "sk-canary-0123456789abcdef"
OTHER = "sk-second-9876543210fedcba"


@pytest.fixture
def shared(keyring_in_use: Callable[[Backend], None]) -> Backend:
    """The one keyring of a user with several homes."""
    keyring_in_use(backend := Backend())
    return backend


@pytest.fixture
def other() -> Iterator[Scripted]:
    with Scripted() as scripted:
        scripted.will(by_path())
        yield scripted


def home(folder: Path) -> Inside:
    return Inside(folder, KeyringStore(home=folder / "config"))


def stored(telex: Inside, url: str, key: str = KEY, name: str = "lab") -> Inside:
    ran = telex("providers", "add", name, "--base-url", url, "--key-stdin", "--no-verify", "--model", "m",
                stdin=key.encode())  # fmt: skip
    assert ran.code == 0, ran.err
    return telex


def sent(server: Scripted) -> list[str | None]:
    return [asked.headers.get("authorization") for asked in server.asked]


def asks(telex: Inside, *arguments: str, env: Mapping[str, str] | None = None) -> Any:
    return telex("chat", "--no-stdin", "-m", "lab/m", *arguments, "hi", env=env)


# --- homes -------------------------------------------------------------------------------------------------


def test_key_of_another_home_is_not_used(
    shared: Backend, tmp_path: Path, server: Scripted, other: Scripted
) -> None:
    stored(home(tmp_path / "a"), server.url)
    second = home(tmp_path / "b")
    second.configure(f'[providers.lab]\nbase_url = "{other.url}"\nkey = "keyring"\nmodels = ["m"]\n')
    for arguments in (["chat", "--no-stdin", "-m", "lab/m", "hi"], ["models", "list", "--refresh"]):
        ran = second(*arguments)
        assert (ran.code, "there is no API key for lab" in ran.err) == (4, True), ran.err
    assert sent(other) == []


def test_homes_have_keys_of_their_own(shared: Backend, tmp_path: Path, server: Scripted) -> None:
    server.will(by_path())
    first = stored(home(tmp_path / "a"), server.url)
    second = stored(home(tmp_path / "b"), server.url, OTHER)
    for telex in (first, second):
        assert asks(telex).code == 0
    assert sent(server) == [f"Bearer {KEY}", f"Bearer {OTHER}"]
    assert second("providers", "remove", "lab", "--yes").code == 0
    assert asks(first).code == 0
    assert first("providers", "remove", "lab", "--yes").code == 0
    assert shared.kept == {}


def test_copied_home_has_no_keys_but_a_link_has(shared: Backend, tmp_path: Path, server: Scripted) -> None:
    server.will(by_path())
    stored(home(tmp_path / "a"), server.url)
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    assert asks(home(tmp_path / "copy")).code == 4
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert asks(home(tmp_path / "link")).code == 0
    shutil.rmtree(tmp_path / "a")
    stale = home(tmp_path / "a")  # another home at the same path
    stale.configure(f'[providers.lab]\nbase_url = "{server.url}"\nkey = "keyring"\nmodels = ["m"]\n')
    assert asks(stale).code == 4
    assert sent(server) == [f"Bearer {KEY}"]


# --- destinations ------------------------------------------------------------------------------------------


def test_new_address_is_refused_until_it_is_confirmed(
    tmp_path: Path, server: Scripted, other: Scripted
) -> None:
    server.will(keyed(KEY))
    telex = stored(Inside(tmp_path / "home"), server.url)
    moved = f'{{"lab": {{"base_url": "{other.url}"}}}}'
    ran = asks(telex, env={"TELEX_PROVIDERS": moved})
    assert ran.code == 4
    telex.configure(telex.settings.read_text().replace(server.url, other.url))
    for arguments in (
        ["chat", "--no-stdin", "-m", "lab/m", "hi"],
        ["chat", "--no-stdin", "-m", "lab/m", "-m", "lab/n", "hi"],
        ["providers", "test", "lab"],
        ["models", "list", "--refresh"],
    ):
        ran = telex(*arguments)
        assert ran.code == 4
        assert f"127.0.0.1:{server.port}" in ran.err
        assert f"127.0.0.1:{other.port}" in ran.err
        assert "telex providers edit lab --trust" in ran.err
    assert set(sent(other)) <= {None}
    assert telex("providers", "edit", "lab", "--trust").code == 0
    assert asks(telex).code == 0
    assert sent(other)[-1] == f"Bearer {KEY}"


def test_new_proxy_does_not_confirm_a_new_address(tmp_path: Path, server: Scripted, other: Scripted) -> None:
    telex = stored(Inside(tmp_path / "home"), server.url)
    telex.store.set("secret:gw", keys.seal_for(Provider(name="lab", base_url=server.url), OTHER))
    telex.configure(
        telex.settings.read_text().replace(server.url, other.url) + 'headers = {X-Gw = "keyring:gw"}\n'
    )
    before = telex.settings.read_text()
    for arguments in (["--proxy", "http://127.0.0.1:1"], ["--ca-bundle", str(tmp_path)]):
        ran = telex("providers", "edit", "lab", *arguments)
        assert ran.code == 2
        assert f"127.0.0.1:{server.port}" in ran.err
        assert f"127.0.0.1:{other.port}" in ran.err
    assert telex.settings.read_text() == before
    assert asks(telex).code == 4
    assert other.asked == []


def test_hints_for_a_provider_of_a_variable_work(tmp_path: Path, server: Scripted, other: Scripted) -> None:
    server.will(by_path())
    telex = stored(Inside(tmp_path / "home"), server.url)
    for command in (["edit", "lab", "--trust"], ["set-key", "lab", "--key-stdin"]):
        env = {"TELEX_PROVIDERS": f'{{"LAB": {{"base_url": "{other.url}"}}}}'}
        assert asks(telex, env=env).code == 4
        ran = telex("providers", *command, env=env, stdin=KEY.encode())
        assert ran.code == 0, ran.err
        assert asks(telex, env=env).code == 0
        assert sent(other)[-1] == f"Bearer {KEY}"
        assert asks(telex).code == 4
        assert telex("providers", "edit", "lab", "--trust").code == 0
    # One that only the variable sets up.
    env = {"TELEX_PROVIDERS": f'{{"gw": {{"base_url": "{server.url}", "key": "keyring", "models": ["m"]}}}}'}
    assert telex("chat", "--no-stdin", "-m", "gw/m", "hi", env=env).code == 4
    assert telex("providers", "set-key", "gw", "--key-stdin", env=env, stdin=OTHER.encode()).code == 0
    assert telex("chat", "--no-stdin", "-m", "gw/m", "hi", env=env).code == 0
    assert sent(server)[-1] == f"Bearer {OTHER}"
    env = {"TELEX_PROVIDERS": env["TELEX_PROVIDERS"].replace(server.url, other.url)}
    assert "telex providers edit gw --trust" in telex("chat", "--no-stdin", "-m", "gw/m", "hi", env=env).err
    assert telex("providers", "edit", "gw", "--trust", env=env).code == 0
    assert telex("chat", "--no-stdin", "-m", "gw/m", "hi", env=env).code == 0
    assert "gw" not in telex.settings.read_text()


def test_variable_overrides_a_stored_key_of_another_address(
    tmp_path: Path, server: Scripted, other: Scripted
) -> None:
    telex = stored(Inside(tmp_path / "home"), server.url)
    ran = telex("providers", "edit", "lab", "--base-url", other.url, "--key-env", "LAB_API_KEY")
    assert ran.code == 0, ran.err
    assert asks(telex, env={"LAB_API_KEY": OTHER}).code == 0
    assert asks(telex).code == 4  # the stored key is still for the old address
    assert sent(other) == [f"Bearer {OTHER}"]


LAB = Provider(name="lab", base_url="https://a.example/v1", key_stored=True)


@pytest.mark.parametrize(
    ("url", "network", "same"),
    [
        ("https://a.example/v2", {}, True),
        ("https://A.EXAMPLE:443/v1", {}, True),
        ("https://a.example./v1", {}, True),
        ("https://a.example/v1", {"proxy": "none"}, True),
        ("https://a.example:8443/v1", {}, False),
        ("http://a.example/v1", {"allow_http": True}, False),
        ("https://a.example.evil/v1", {}, False),
        ("https://a.example/v1", {"proxy": "http://p.example:3128"}, False),
        ("https://a.example/v1", {"ca_bundle": "/tmp/ca.pem"}, False),
    ],
)
def test_stored_key_is_for_an_origin_proxy_and_ca_bundle(
    url: str, network: dict[str, Any], same: bool
) -> None:
    store = MemoryStore(lab=keys.seal_for(LAB, KEY))
    now = replace(LAB, base_url=url, network=Network(**network))
    if same:
        found = keys.find(now, environ={}, store=store)
        assert found is not None
        assert found.value == KEY
        return
    with pytest.raises(KeyDestinationError) as caught:
        keys.find(now, environ={}, store=store)
    assert "https://a.example" in caught.value.message
    assert KEY not in caught.value.message


# --- a preset's own variables ------------------------------------------------------------------------------


def test_variable_of_a_preset_goes_only_to_its_hosts(tmp_path: Path, server: Scripted) -> None:
    server.will(by_path())
    telex = Inside(tmp_path / "home")
    telex.configure(f'[providers.lab]\npreset = "openai"\nbase_url = "{server.url}"\nmodels = ["m"]\n')
    env = {"OPENAI_API_KEY": KEY}
    ran = asks(telex, env=env)
    assert ran.code == 4
    for words in ("OPENAI_API_KEY", "https://api.openai.com", f"127.0.0.1:{server.port}", "--trust"):
        assert words in ran.err
    assert sent(server) == []
    assert telex("providers", "edit", "lab", "--trust", env=env).code == 0
    assert asks(telex, env=env).code == 0
    assert sent(server) == [f"Bearer {KEY}"]


@pytest.mark.parametrize("preset", ["openai", "azure", "cloudflare", "lmstudio"])
def test_address_of_a_preset_needs_no_confirmation(preset: str) -> None:
    from provider_core import provider

    fields: dict[str, Any] = {"azure": {"resource": "me"}, "cloudflare": {"account_id": "0a"}}
    variables = {"variables": fields[preset]} if preset in fields else {}
    assert provider(preset, **variables).key_env_for == ""


# --- plain http --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "environ", "network", "allowed"),
    [
        ("http://llm.example.com/v1", {}, {}, False),
        ("http://llm.example.com/v1", {}, {"allow_http": True}, True),
        ("http://llm.example.com/v1", {"http_proxy": "http://127.0.0.1:3128"}, {}, False),
        ("http://192.168.1.5/v1", {}, {}, True),
        ("http://192.168.1.5/v1", {"http_proxy": "http://127.0.0.1:3128"}, {}, False),
        ("http://192.168.1.5/v1", {"http_proxy": "http://127.0.0.1:3128"}, {"proxy": "none"}, True),
        ("http://192.168.1.5/v1", {"all_proxy": "socks5://localhost:1080"}, {}, False),
        ("http://192.168.1.5/v1", {"http_proxy": "http://p.example:1", "no_proxy": "192.168.0.0/16"}, {}, True),
        ("http://192.168.1.5/v1", {}, {"proxy": "socks5://10.0.0.1"}, False),
        ("http://localhost./v1", {"http_proxy": "http://proxy.example:3128"}, {}, True),
        ("https://llm.example.com/v1", {"https_proxy": "http://proxy.example:3128"}, {}, True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("source", ["variable", "command", "keyring", "caller", "header"])
def test_no_secret_is_sent_unencrypted_beyond_private_networks(
    url: str, environ: dict[str, str], network: dict[str, Any], allowed: bool, source: str
) -> None:
    provider = replace(LAB, base_url=url, network=Network(**network), key_stored=source == "keyring")
    store = MemoryStore(lab=keys.seal_for(provider, KEY))
    given: dict[str, Any] = {}
    match source:
        case "variable":
            provider, environ = replace(provider, key_env=("K",)), {**environ, "K": KEY}
        case "command":
            provider = replace(provider, key_command=f"echo {KEY}")
        case "caller":
            given = {"key": KEY}
        case "header":
            provider = replace(provider, auth="none", headers={"X-Key": "env:K"})
            environ = {**environ, "K": KEY}
    if allowed:
        found = keys.resolve(provider, environ=environ, store=store, **given)
        assert KEY in (found.value, *found.provider.header_secrets)
        return
    with pytest.raises(KeyDestinationError) as caught:
        keys.resolve(provider, environ=environ, store=store, **given)
    assert caught.value.unencrypted
    assert KEY not in caught.value.message


# --- headers -----------------------------------------------------------------------------------------------


def gateway(telex: Inside, url: str, *headers: str) -> Any:
    return telex("providers", "add", "lab", "--base-url", url, "--no-key", "--model", "m", *headers)


@pytest.mark.parametrize(
    "header",
    ["X-Gw-Key: abc123secret", "Cookie=abc123secret", "X-Team=sk-abc123secret456789"],
)
def test_plain_secret_in_a_header_is_refused(tmp_path: Path, header: str) -> None:
    telex = Inside(tmp_path / "home")
    ran = gateway(telex, "http://127.0.0.1:1/v1", "--header", header)
    assert ran.code == 2
    assert "env:NAME" in ran.err
    assert "keyring:NAME" in ran.err
    assert "abc123secret" not in ran.err
    assert not telex.settings.exists()
    name, _, value = header.replace(": ", "=").partition("=")
    telex.configure(f'[providers.lab]\nbase_url = "http://127.0.0.1:1"\nheaders = {{{name} = "{value}"}}\n')
    for environ in ({}, {"TELEX_PROVIDERS": f'{{"lab": {{"headers": {{"{name}": "{value}"}}}}}}'}):
        ran = telex("providers", "show", "lab", env=environ)
        assert ran.code == 3
        assert "providers.lab" in ran.err or "TELEX_PROVIDERS" in ran.err
        assert "abc123secret" not in ran.err


@pytest.mark.parametrize("name", ["X-Gw-Key", "X-Team"])
@pytest.mark.parametrize("before", ["", "Bearer "])
def test_header_with_a_secret_from_a_variable(
    tmp_path: Path, server: Scripted, name: str, before: str
) -> None:
    server.will(by_path())
    telex = Inside(tmp_path / "home")
    env = {"GW_SECRET": KEY}
    telex.configure(
        f'[providers.lab]\nbase_url = "{server.url}"\nkey = "none"\nmodels = ["m"]\n'
        f'headers = {{{name} = "{before}env:GW_SECRET"}}\n'
    )
    said = []
    for arguments in (["-v"], ["--json"], ["--dry-run"], ["-m", "lab/n"]):
        ran = asks(telex, *arguments, env=env)
        assert ran.code == 0, ran.err
        said.append(ran.text + ran.err)
    assert {asked.headers[name.lower()] for asked in server.asked} == {before + KEY}
    assert KEY not in "".join(said)
    count = len(server.asked)
    ran = asks(telex)
    assert ran.code == 4
    assert "GW_SECRET" in ran.err
    assert len(server.asked) == count


def test_header_with_a_secret_from_the_keyring(tmp_path: Path, server: Scripted, other: Scripted) -> None:
    server.will(by_path())
    telex = Inside(tmp_path / "home")
    ran = gateway(telex, server.url, "--header", "X-Gw-Key=keyring:gw")
    assert ran.code == 4
    assert "telex providers set-secret gw" in ran.err
    ran = telex("providers", "set-secret", "gw", "--stdin", "--for", server.url, stdin=KEY.encode())
    assert ran.code == 0, ran.err
    assert gateway(telex, server.url, "--header", "X-Gw-Key=keyring:gw").code == 0
    assert asks(telex).code == 0
    assert server.asked[-1].headers["x-gw-key"] == KEY
    telex.configure(telex.settings.read_text().replace(server.url, other.url))
    ran = asks(telex)
    assert ran.code == 4
    assert f"127.0.0.1:{server.port}" in ran.err
    assert "telex providers set-secret gw" in ran.err
    assert "set-key" not in ran.err
    assert other.asked == []
    assert telex("providers", "edit", "lab", "--trust").code == 0
    assert asks(telex).code == 0
    telex.configure(
        telex.settings.read_text().replace(other.url, server.url.replace("127.0.0.1", "localhost"))
    )
    assert telex("providers", "set-secret", "gw", "--stdin", stdin=KEY.encode()).code == 0
    assert asks(telex).code == 0


# --- a refused key -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "env", "said", "unsaid"),
    [
        ('key_env = "LAB_API_KEY"', {"LAB_API_KEY": OTHER}, "environment variable LAB_API_KEY", "set-key"),
        (f'key_command = "echo {OTHER}"', {}, "key command", "set-key"),
        ('key = "keyring"', {}, "telex providers set-key lab", "variable"),
        ('key = "keyring"\nkey_env = "LAB_API_KEY"', {"LAB_API_KEY": OTHER}, "LAB_API_KEY", "set-key"),
        ('key = "none"', {}, "Store one: telex providers set-key lab", "LAB_API_KEY"),
        ('key = "none"\nheaders = {X-Key = "env:GW"}', {"GW": OTHER}, "X-Key (env:GW)", OTHER),
    ],
)
def test_error_of_a_refused_key_names_its_source(
    tmp_path: Path, server: Scripted, fields: str, env: dict[str, str], said: str, unsaid: str
) -> None:
    server.will(keyed(KEY))
    telex = Inside(tmp_path / "home", MemoryStore(lab=OTHER))
    telex.configure(f'[providers.lab]\nbase_url = "{server.url}"\nmodels = ["m"]\n{fields}\n')
    for arguments in ([], ["--json"], ["--no-stream"]):
        ran = asks(telex, *arguments, env=env)
        assert (ran.code, said in ran.err, unsaid in ran.err) == (4, True, False), ran.err
        assert OTHER not in ran.err + ran.text
