"""Proxies: which one is taken, what goes through it, and what is said when it does not work.

Loopback never goes through a proxy, so the servers here have names that only the proxies know.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from calls import KEY, call, fetch
from running import python
from scripted import Scripted
from scripted_proxy import HttpProxy, Proxy, SocksProxy

from provider_core.errors import ConnectError, DeadlineError, SettingsError
from provider_core.http import find_proxy
from provider_core.http.transport import HttpTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

ENV = {"https_proxy": "http://proxy.test:3128"}


def chosen(url: str, configured: str | None = None, **environ: str) -> str | None:
    proxy, _ = find_proxy(url, environ, configured)
    return None if proxy is None else str(proxy)


# --- the choice --------------------------------------------------------------------------------------------


P, Q = "http://p.test:1", "http://q.test:1"


@pytest.mark.parametrize(
    ("environ", "url", "proxy", "source"),
    [
        ({}, "https://api.test", None, ""),
        ({"https_proxy": P}, "https://api.test/v1", P, "https_proxy"),
        ({"HTTPS_PROXY": P}, "https://api.test/v1", P, "HTTPS_PROXY"),
        ({"https_proxy": P, "HTTPS_PROXY": Q}, "https://api.test", P, "https_proxy"),
        ({"https_proxy": P}, "http://api.test", None, ""),
        ({"http_proxy": P}, "http://api.test", P, "http_proxy"),
        ({"ALL_PROXY": P}, "https://api.test", P, "ALL_PROXY"),
        ({"https_proxy": P, "all_proxy": Q}, "https://api.test", P, "https_proxy"),
        ({"https_proxy": "", "all_proxy": Q}, "https://api.test", None, "https_proxy"),
        ({"https_proxy": P, "NO_PROXY": "a.example, api.test"}, "https://api.test", None, "NO_PROXY"),
        ({"https_proxy": P, "no_proxy": "*"}, "https://api.test", None, "no_proxy"),
        ({"https_proxy": "p.test:3128"}, "https://api.test", "http://p.test:3128", "https_proxy"),
        ({"https_proxy": f" {P}/ "}, "https://api.test", P, "https_proxy"),
        ({"https_proxy": "HTTPS://p.test"}, "https://api.test", "https://p.test:443", "https_proxy"),
        ({"ALL_PROXY": "socks://p.test:1"}, "https://api.test", "socks5://p.test:1", "ALL_PROXY"),
        ({"ALL_PROXY": "socks5h://p.test"}, "https://api.test", "socks5://p.test:1080", "ALL_PROXY"),
        ({"ALL_PROXY": "socks5://[fd00::1]:9"}, "https://api.test", "socks5://[fd00::1]:9", "ALL_PROXY"),
        ({"HTTP_PROXY": P, "REQUEST_METHOD": "GET"}, "http://api.test", None, ""),
        ({"http_proxy": P, "REQUEST_METHOD": "GET"}, "http://api.test", P, "http_proxy"),
        ({"ALL_PROXY": P}, "http://127.0.0.1:8080/v1", None, "loopback"),
        ({"ALL_PROXY": "http://pröxy.test:3128"}, "https://api.test", "http://xn--prxy-6qa.test:3128", "ALL_PROXY"),
    ],
)  # fmt: skip
def test_the_environment_names_the_proxy(
    environ: dict[str, str], url: str, proxy: str | None, source: str
) -> None:
    found, why = find_proxy(url, environ)
    assert (found and str(found), why) == (proxy, source)


MAC = f"""
import os, sys, urllib.request
sys.platform = "darwin"
urllib.request.getproxies = lambda: {{"https": "{P}"}}
urllib.request.proxy_bypass = lambda host: host == "intra.test"
from provider_core.http import find_proxy
for url, environ in (
    ("https://api.test", os.environ), ("https://intra.test", os.environ), ("http://api.test", os.environ),
    ("https://127.0.0.1", os.environ), ("https://api.test", {{}}), ("https://api.test", {{"all_proxy": "{Q}"}}),
):
    print(*find_proxy(url, environ), sep=", ")
"""


def test_macos_has_proxies_in_its_network_settings() -> None:
    assert python(MAC, {}).splitlines() == [
        f"{P}, the system's proxy",
        "None, ",
        "None, ",
        "None, loopback",
        "None, ",
        f"{Q}, all_proxy",
    ]


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST", "localhost.", "api.localhost", "127.0.0.1", "127.8.9.1", "127.1", "[::1]",
     "[::ffff:127.0.0.1]", "0.0.0.0"],
)  # fmt: skip
def test_loopback_never_goes_through_a_proxy(host: str) -> None:
    for url in (f"http://{host}:8080/v1", f"https://{host}/v1"):
        assert (
            chosen(url, "http://p.test:1", http_proxy="http://p.test:1", all_proxy="http://p.test:1") is None
        )


@pytest.mark.parametrize(
    "host", ["192.168.1.5", "10.0.0.1", "localhost.example.test", "127.example.test", "[fd00::1]"]
)
def test_other_machines_are_not_loopback(host: str) -> None:
    assert chosen(f"http://{host}/v1", http_proxy="http://p.test:1") == "http://p.test:1"


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("*", "https://api.test", True), ("api.test", "https://api.test", True),
        ("API.Test", "https://api.test", True), ("api.test", "https://API.TEST./v1", True),
        ("test", "https://api.test", True), (".test", "https://api.test", True), ("*.test", "https://api.test", True),
        (".api.test", "https://api.test", True), ("pi.test", "https://api.test", False),
        ("api.test.example", "https://api.test", False), ("other.test, api.test", "https://api.test", True),
        ("other.test api.test", "https://api.test", True), (",, ,", "https://api.test", False),
        ("api.test:443", "https://api.test", True), ("api.test:443", "https://api.test:8443", False),
        ("api.test:8443", "https://api.test:8443", True), ("api.test:x", "https://api.test", False),
        ("10.0.0.0/8", "https://10.1.2.3", True), ("10.0.0.0/8", "https://11.1.2.3", False),
        ("10.0.0.0/8", "https://api.test", False), ("10.1.2.3", "https://10.1.2.3", True),
        ("fd00::/8", "https://[fd00::1]", True), ("fd00::1", "https://[fd00::1]", True),
        ("[fd00::1]", "https://[fd00::1]", True), ("[fd00::1]:443", "https://[fd00::1]", True),
        ("[fd00::1]:80", "https://[fd00::1]", False), ("/", "https://api.test", False),
        (".", "https://api.test", False), ("", "https://api.test", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_no_proxy_lists_hosts_to_connect_to_directly(
    name: str, no_proxy: str, url: str, direct: bool
) -> None:
    assert (chosen(url, **ENV, **{name: no_proxy}) is None) is direct


@pytest.mark.parametrize(
    ("configured", "proxy", "source"),
    [
        ("socks5://me:pw@own.test:1", "socks5://own.test:1", "the provider's proxy"),
        ("none", "None", "the provider's proxy"),
        (" ", "http://proxy.test:3128", "https_proxy"),
    ],
)
def test_the_proxy_of_the_provider_overrides_the_environment(
    configured: str, proxy: str, source: str
) -> None:
    environ = {**ENV, "no_proxy": "*"} if configured.strip() else ENV
    found, why = find_proxy("https://api.test", environ, configured)
    assert (str(found), why) == (proxy, source)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("socks4://user:hunter2@p.test:1", "ALL_PROXY has an unsupported type of proxy (socks4://);"),
        ("hunter2 ://p.test", "ALL_PROXY has an unsupported type of proxy; use http, https or socks5"),
        ("http://user:hunter2@", "ALL_PROXY is not a valid address of a proxy, such as http://host:port"),
        ("http://p.test:hunter2", "ALL_PROXY is not a valid address of a proxy, such as http://host:port"),
        ("http://[p.test", "ALL_PROXY is not a valid address of a proxy"),
        ("http://p.test:0", "ALL_PROXY is not a valid address of a proxy"),
        (f"socks5://{'p' * 300}:1", "ALL_PROXY is not a valid address of a proxy"),
        (f"http://{'p' * 64}.test:1", "ALL_PROXY is not a valid address of a proxy"),
        (f"socks5://user:{'hunter2' * 40}@p.test", "ALL_PROXY contains a user name or password that is too long"),
        *(
            (
                value,
                "ALL_PROXY contains a user name or password with a special character: percent-encode it",
            )
            for value in (
                "http://user:hunter@hunter2#1@p.test:1",
                "user:hunter2#1@p.test:1",
                "http://user:12#hunter2@p.test:1",
                "socks5://user:hunter2/1@p.test:1",
                "https://user:hunter2?@p.test:1",
                "http://user:[hunter2@p.test:1",
                "http://user:a\\hunter2@p.test:1",
                "http://us er:hunter2@p.test:1",
            )
        ),
    ],
)  # fmt: skip
def test_an_invalid_proxy_is_explained_and_not_shown(value: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        chosen("https://api.test", ALL_PROXY=value)
    assert caught.value.message.startswith(message)
    assert "hunter2" not in caught.value.message


def test_a_proxy_as_text_contains_no_password() -> None:
    proxy, _ = find_proxy("https://api.test", {"all_proxy": "http://user:hunter2@p.test:1"})
    assert proxy is not None
    assert proxy.auth == ("user", "hunter2")
    assert "hunter2" not in f"{proxy} {proxy!r}"


# --- through them ------------------------------------------------------------------------------------------


def no_lookup(host: str, port: int) -> list[Any]:
    assert host == "127.0.0.1", f"{host} is for the proxy to look up"
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]


def through(environ: dict[str, str], url: str, **network: Any) -> tuple[int, bytes]:
    with HttpTransport(environ, lookup=no_lookup) as transport:
        return fetch(call(url, **network), transport)


@pytest.fixture
def answering(server: Scripted) -> Iterator[Scripted]:
    server.will([b"hello"])
    return server


@pytest.mark.parametrize("kind", [HttpProxy, SocksProxy])
def test_plain_http_goes_through_the_proxy_with_its_user_and_password(
    kind: type[Proxy], answering: Scripted
) -> None:
    with kind({"api.test": answering.port}, auth=("me", "p@ss word")) as proxy:
        url = proxy.url.replace("://", "://me:p%40ss%20word@")
        assert through({"http_proxy": url}, "http://api.test/v1/chat") == (200, b"hello")
        assert through({}, "http://api.test:81/v1", proxy=url) == (200, b"hello")
        assert proxy.asked == ["api.test:80", "api.test:81"]
    assert [asked.path for asked in answering.asked] == ["/v1/chat", "/v1"]
    assert answering.asked[0].headers["host"] == "api.test"


def test_connections_through_one_proxy_are_not_reused_for_another(answering: Scripted) -> None:
    hosts = {"api.test": answering.port}
    with (
        HttpProxy(hosts) as first,
        HttpProxy(hosts) as second,
        HttpTransport({}, lookup=no_lookup) as transport,
    ):
        for proxy in (first, second, first):
            assert fetch(call("http://api.test/v1", proxy=proxy.url), transport) == (200, b"hello")
        assert (len(first.asked), len(second.asked)) == (1, 1)


def test_a_server_on_this_machine_is_connected_to_directly(answering: Scripted) -> None:
    environ = {"http_proxy": "http://127.0.0.1:1", "all_proxy": "socks5://127.0.0.1:1"}
    assert through(environ, answering.url) == (200, b"hello")


# --- and not through them ----------------------------------------------------------------------------------


def failing(proxy: Proxy, url: str = "https://api.test/v1", user: str = "", **network: Any) -> ConnectError:
    address = proxy.url.replace("://", f"://{user}:hunter2@") if user else proxy.url
    with pytest.raises(ConnectError) as caught:
        through({"all_proxy": address}, url, **network)
    assert caught.value.provider == "prov"
    assert caught.value.url.startswith(url.removesuffix("/v1"))
    assert "hunter2" not in caught.value.message
    assert KEY not in caught.value.message
    return caught.value


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_is_not_running_is_named_and_not_the_server(scheme: str) -> None:
    with pytest.raises(ConnectError) as caught:
        through({"all_proxy": f"{scheme}://me:hunter2@127.0.0.1:1"}, "https://api.test/v1")
    assert caught.value.message == (
        f"cannot connect to the proxy {scheme}://127.0.0.1:1 (for https://api.test): connection refused"
    )
    assert not caught.value.transient


def test_a_proxy_whose_name_is_unknown_is_named() -> None:
    def nothing(host: str, port: int) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "?")

    environ = {"all_proxy": "http://proxy.test:1"}
    with HttpTransport(environ, lookup=nothing) as transport, pytest.raises(ConnectError) as caught:
        fetch(call("https://api.test/v1"), transport)
    assert caught.value.message == "unknown host: proxy.test of the proxy"


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(("user", "which"), [("", "a"), ("me", "another")])
@pytest.mark.parametrize("kind", [HttpProxy, SocksProxy])
def test_a_proxy_that_demands_a_password_is_named_and_not_retried(
    kind: type[Proxy], user: str, which: str, scheme: str
) -> None:
    with kind({}, auth=("me", "right")) as proxy:
        error = failing(proxy, user=user, url=f"{scheme}://api.test/v1")
        assert error.message.startswith(
            f"the proxy {proxy.url} (for {scheme}://api.test) requires {which} user name and password ("
        )
        assert not error.transient
        assert (error.login, error.proxy) == (True, "all_proxy")


CLOSED = "cannot connect to {}: it closed the connection"


@pytest.mark.parametrize(
    ("kind", "says", "message", "transient"),
    [
        (HttpProxy, b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", "{} refused: 403 Forbidden", False),
        (HttpProxy, b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n", "{} refused: 502 Bad Gateway", True),
        (HttpProxy, b"\x05\x00\r\n\r\n", "{} is not an HTTP proxy", False),
        (HttpProxy, b"", CLOSED, True),
        (SocksProxy, None, "{} refused: Proxy Server could not connect: Host unreachable", True),
        (SocksProxy, b"HTTP/1.1 400 Bad Request\r\n\r\n", "{} is not a SOCKS5 proxy", False),
        (SocksProxy, b"\x05", "{} is not a SOCKS5 proxy", False),
        (SocksProxy, b"", CLOSED, True),
    ],
)  # fmt: skip
def test_a_proxy_that_makes_no_connection_is_named_with_the_reason(
    kind: type[Proxy], says: bytes | None, message: str, transient: bool
) -> None:
    with kind({}, says=says) as proxy:
        error = failing(proxy)
        first_hop = f"the proxy {proxy.url} (for https://api.test)"
        assert (error.message.removesuffix("."), error.transient) == (message.format(first_hop), transient)
        assert KEY.encode() not in b"".join(proxy.heads)
        assert all(head.startswith(b"CONNECT api.test:443 HTTP/1.1\r\n") for head in proxy.heads)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_never_answers_ends_in_the_connect_timeout(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environ = {"all_proxy": f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"}
        with pytest.raises(DeadlineError) as caught:
            through(environ, "https://api.test/v1", connect_timeout=0.3, first_byte_timeout=30)
    assert caught.value.phase == "connect"
    assert caught.value.message == (
        f"no connection to https://api.test through the proxy {environ['all_proxy']} within 0.3 s"
    )
