"""Whom HTTPS trusts, which certificate it shows, and what is said when either does not do; the CA is made here."""

from __future__ import annotations

import datetime
import os
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from calls import KEY, at, call, fetch
from scripted import Scripted
from scripted_proxy import HttpProxy, Proxy, SocksProxy

from provider_core.errors import ConnectError, SettingsError, TLSError
from provider_core.http.connections import tls_context, trust
from provider_core.http.transport import HttpTransport
from provider_core.types import Network

if TYPE_CHECKING:
    from collections.abc import Iterator


class Authority:
    """A CA of the test's own, with the files that people would have of it."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA(organization_name="Telex Test CA")
        self.bundle = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(str(self.bundle))
        self.client = folder / "client.pem"
        self.ca.issue_cert("someone@api.test").private_key_and_cert_chain_pem.write_to_path(str(self.client))

    def server(self, *names: str, demand: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*names).configure_cert(context)
        if demand:
            self.ca.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def secure(authority: Authority) -> Iterator[Scripted]:
    with Scripted(tls=authority.server("127.0.0.1", "api.test")) as server:
        server.will([b"hello"])
        yield server


def ask(url: str, environ: dict[str, str] | None = None, **options: Any) -> tuple[int, bytes]:
    with HttpTransport(environ or {}, lookup=at("127.0.0.1")) as transport:
        return fetch(call(url, **options), transport)


def test_trusted_certificates_come_from_the_provider_or_the_environment(
    secure: Scripted, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path).bundle
    folder = tmp_path / "hashed"
    folder.mkdir()
    hashed = ["openssl", "x509", "-hash", "-noout", "-in", authority.bundle]
    name = subprocess.run(hashed, capture_output=True, text=True, check=True).stdout.strip()
    (folder / f"{name}.0").write_bytes(authority.bundle.read_bytes())
    for bundle, environ in (
        (authority.bundle, {}),
        (folder, {}),
        (authority.bundle, {"SSL_CERT_FILE": str(other)}),
        (None, {"SSL_CERT_FILE": str(authority.bundle)}),
        (None, {"SSL_CERT_DIR": str(folder)}),
        (None, {"SSL_CERT_DIR": f"/nowhere:{folder}"}),
        (None, {"SSL_CERT_FILE": str(authority.bundle), "SSL_CERT_DIR": "/nowhere"}),
    ):
        assert ask(secure.url, environ, ca_bundle=bundle) == (200, b"hello")
    with pytest.raises(TLSError):
        ask(secure.url, {"SSL_CERT_FILE": str(authority.bundle)}, ca_bundle=other)


def test_an_authority_without_key_identifiers_is_trusted(authority: Authority) -> None:
    """As TLS-inspecting proxies make them: Python 3.13 refuses them by default."""
    for network, environ in (
        (Network(ca_bundle=authority.bundle), {}),
        (Network(), {"SSL_CERT_FILE": str(authority.bundle)}),
    ):
        assert not tls_context(network, environ).verify_flags & ssl.VERIFY_X509_STRICT


def test_an_expired_certificate_is_refused(authority: Authority) -> None:
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.ca.issue_cert("127.0.0.1", not_after=past).configure_cert(context)
    with Scripted(tls=context) as server, pytest.raises(TLSError, match="expired") as caught:
        ask(server.url, ca_bundle=authority.bundle)
    assert caught.value.cause == "dates"


def test_a_key_log_that_cannot_be_written_is_ignored(
    secure: Scripted, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", "/nowhere/keys.log")
    assert ask(secure.url, ca_bundle=authority.bundle) == (200, b"hello")
    assert trust(Network(), {})[0] == ""


@pytest.mark.parametrize("environ", [{}, {"SSL_CERT_FILE": "", "SSL_CERT_DIR": ""}])
def test_a_certificate_that_the_system_does_not_know_is_refused(
    secure: Scripted, environ: dict[str, str]
) -> None:
    with pytest.raises(TLSError) as caught:
        ask(secure.url, environ)
    where = f"https://127.0.0.1:{secure.port}"
    assert caught.value.message.startswith(f"the certificate of {where} is not trusted: ")
    assert "issuer" in caught.value.message
    assert (caught.value.url, caught.value.provider, caught.value.transient) == (where, "prov", False)
    assert secure.asked == []


def test_a_certificate_for_another_name_is_refused(authority: Authority) -> None:
    with Scripted(tls=authority.server("other.test")) as server, pytest.raises(TLSError) as caught:
        ask(f"https://api.test:{server.port}/v1", ca_bundle=authority.bundle)
    assert "not valid for 'api.test'" in caught.value.message
    assert (caught.value.cause, caught.value.trusted) == ("name", "ca_bundle")
    assert server.asked == []


def test_the_certificate_is_checked_for_the_name_and_not_the_address(
    secure: Scripted, authority: Authority
) -> None:
    assert ask(f"https://api.test:{secure.port}/v1", ca_bundle=authority.bundle) == (200, b"hello")


def test_an_old_protocol_is_refused(authority: Authority) -> None:
    context = authority.server("127.0.0.1")
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with Scripted(tls=context) as server, pytest.raises(TLSError, match="the TLS handshake with"):
        ask(server.url, ca_bundle=authority.bundle)


def hang_up(listener: socket.socket, last_words: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(last_words)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def test_plain_http_at_an_https_address_is_recognised(listener: socket.socket) -> None:
    threading.Thread(target=hang_up, args=(listener, b"HTTP/1.1 400 Bad Request\r\n\r\n")).start()
    where = f"https://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(TLSError) as caught:
        ask(f"{where}/v1")
    assert caught.value.message == f"{where} does not use https"
    assert (caught.value.cause, caught.value.trusted) == ("plain", "")


def test_a_connection_closed_during_the_handshake_may_be_retried(listener: socket.socket) -> None:
    threading.Thread(target=hang_up, args=(listener, b"")).start()
    with pytest.raises(ConnectError) as caught:
        ask(f"https://127.0.0.1:{listener.getsockname()[1]}/v1")
    assert not isinstance(caught.value, TLSError)
    assert caught.value.transient


# --- the client's own certificate --------------------------------------------------------------------------


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def demanding(authority: Authority, request: pytest.FixtureRequest) -> Iterator[Scripted]:
    context = authority.server("127.0.0.1", demand=True)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[request.param]
    with Scripted(tls=context) as server:
        server.will([b"hello"])
        yield server


def test_a_client_certificate_is_shown(demanding: Scripted, authority: Authority) -> None:
    network = {"ca_bundle": authority.bundle, "client_cert": authority.client}
    assert ask(demanding.url, **network) == (200, b"hello")


def test_a_missing_client_certificate_is_reported(demanding: Scripted, authority: Authority) -> None:
    with pytest.raises(TLSError) as caught:
        ask(demanding.url, ca_bundle=authority.bundle)
    assert "requires a client certificate" in caught.value.message
    assert caught.value.cause == "client"


def test_files_that_cannot_be_used_are_named(authority: Authority, tmp_path: Path) -> None:
    junk, missing = tmp_path / "junk.pem", tmp_path / "missing.pem"
    junk.write_text("no certificate")
    folders = f"{missing}:/nowhere"
    for network, environ, words in (
        ({"ca_bundle": missing}, {}, f"trusted certificates in {missing} cannot be used: No such file"),
        ({"ca_bundle": junk}, {}, f"trusted certificates in {junk} cannot be used: no "),
        ({}, {"SSL_CERT_FILE": str(missing)}, f"trusted certificates in {missing} cannot be used: No such"),
        (
            {},
            {"SSL_CERT_DIR": folders},
            f"trusted certificates in {folders} cannot be used: there is no such folder",
        ),
        ({"client_cert": missing}, {}, f"client certificate {missing} cannot be used"),
        ({"client_cert": junk}, {}, f"client certificate {junk} cannot be used"),
        ({"client_cert": authority.bundle}, {}, f"client certificate {authority.bundle} cannot be used"),
    ):
        with pytest.raises(SettingsError) as caught:
            ask("https://api.test/v1", environ, **network)
        assert caught.value.message.startswith(f"the {words}")


def test_an_encrypted_key_is_refused_without_a_prompt(authority: Authority, tmp_path: Path) -> None:
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "pkey", "-aes256", "-passout", "pass:secret", "-in", authority.client, "-out", locked],
        capture_output=True,
        check=True,
    )
    certificates = authority.client.read_bytes()
    locked.write_bytes(locked.read_bytes() + certificates[certificates.index(b"-----BEGIN CERT") :])
    with pytest.raises(SettingsError, match="is encrypted, which is not supported"):
        ask("https://api.test/v1", client_cert=locked)


# --- what would be trusted, without a connection -----------------------------------------------------------


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trust") / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    trustme.CA().cert_pem.write_to_path(str(path), append=True)
    return path


def test_the_certificates_in_force_are_counted(bundle: Path) -> None:
    for network, environ in (
        (Network(ca_bundle=bundle), {"SSL_CERT_FILE": "/nowhere"}),
        (Network(), {"SSL_CERT_FILE": str(bundle)}),
    ):
        assert trust(network, environ) == (str(bundle), 2)
    system = ssl.create_default_context().cert_store_stats()["x509_ca"]
    assert trust(Network(), {}) == ("", system)


def test_trust_does_not_wait_for_a_named_pipe(bundle: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for network, environ in (
        (Network(ca_bundle=pipe), {}),
        (Network(ca_bundle=bundle, client_cert=pipe), {}),
        (Network(), {"SSL_CERT_FILE": str(pipe)}),
    ):
        with pytest.raises(SettingsError, match="pipe cannot be used: it is not a regular file"):
            trust(network, environ)


# --- through proxies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [HttpProxy, SocksProxy])
def test_https_goes_through_a_tunnel(kind: type[Proxy], secure: Scripted, authority: Authority) -> None:
    with kind({"api.test": secure.port}, auth=("me", "word")) as proxy:
        environ = {"https_proxy": proxy.url.replace("://", "://me:word@"), "NO_PROXY": "other.test"}
        with HttpTransport(environ) as transport:
            for _ in range(2):
                wanted = call("https://api.test/v1", ca_bundle=authority.bundle)
                assert fetch(wanted, transport) == (200, b"hello")
        assert proxy.asked == ["api.test:443"]
        assert KEY.encode() not in b"".join(proxy.heads)
    assert "proxy-authorization" not in secure.asked[0].headers


@pytest.mark.parametrize("target", ["http", "https"])
def test_a_proxy_may_use_tls(target: str, authority: Authority) -> None:
    tls = authority.server("api.test") if target == "https" else None
    with (
        Scripted(tls=tls) as server,
        HttpProxy({"api.test": server.port}, tls=authority.server("127.0.0.1")) as proxy,
    ):
        server.will([b"hello", b"x" * 300_000])
        environ = {"all_proxy": proxy.url}
        status, body = ask(
            f"{target}://api.test/v1", environ, ca_bundle=authority.bundle, body=b"y" * 300_000
        )
        assert (status, len(body), len(server.asked[0].raw)) == (200, 300_005, 300_000)


def test_a_tls_proxy_with_an_untrusted_certificate_is_refused(authority: Authority) -> None:
    with HttpProxy({}, tls=authority.server("127.0.0.1")) as proxy, pytest.raises(TLSError):
        ask("http://api.test/v1", {"all_proxy": proxy.url})


def test_a_certificate_is_checked_behind_a_proxy_too(secure: Scripted) -> None:
    with (
        HttpProxy({"api.test": secure.port}) as proxy,
        pytest.raises(TLSError, match="is not trusted"),
    ):
        ask("https://api.test/v1", {"https_proxy": proxy.url})
    assert secure.asked == []


def test_the_client_certificate_is_not_sent_to_the_proxy(authority: Authority) -> None:
    with Scripted() as server:
        server.will([b"hello"])
        with HttpProxy({"api.test": server.port}, tls=authority.server("127.0.0.1", demand=True)) as proxy:
            network = {"ca_bundle": authority.bundle, "client_cert": authority.client}
            with pytest.raises(ConnectError):
                ask("http://api.test/v1", {"all_proxy": proxy.url}, **network)
    assert server.asked == []
