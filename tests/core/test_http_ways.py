"""Which way a request would take, and why; whose certificates would be believed: told without a connection."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
import trustme

from provider_core.errors import SettingsError
from provider_core.http import Proxies, trust
from provider_core.types import Network

URL = "https://llm.example.com/v1"
PROXY = "http://10.0.0.1:3128"


@pytest.mark.parametrize(
    ("url", "environ", "configured", "way", "reason"),
    [
        (URL, {}, None, "None", ""),
        (URL, {"HTTPS_PROXY": PROXY}, None, PROXY, "HTTPS_PROXY"),
        (URL, {"HTTPS_PROXY": "http://no.example", "https_proxy": PROXY}, None, PROXY, "https_proxy"),
        (URL, {"HTTP_PROXY": PROXY}, None, "None", ""),
        (URL, {"ALL_PROXY": "socks5://10.0.0.1"}, None, "socks5://10.0.0.1:1080", "ALL_PROXY"),
        (URL, {"HTTPS_PROXY": PROXY, "NO_PROXY": "a.example, example.com"}, None, "None", "NO_PROXY"),
        (URL, {"HTTPS_PROXY": PROXY, "no_proxy": "*"}, None, "None", "no_proxy"),
        (URL, {"HTTPS_PROXY": "", "ALL_PROXY": PROXY}, None, "None", "HTTPS_PROXY"),
        (URL, {"HTTPS_PROXY": PROXY}, "none", "None", "the provider's proxy"),
        (URL, {}, "http://me:pw@10.0.0.2:1", "http://10.0.0.2:1", "the provider's proxy"),
        ("http://127.0.0.1:8080/v1", {"ALL_PROXY": PROXY}, "http://10.0.0.2:1", "None", "loopback"),
    ],
)
def test_the_way_and_what_decided_it(
    url: str, environ: dict[str, str], configured: str | None, way: str, reason: str
) -> None:
    proxies = Proxies(environ)
    proxy, why = proxies.explain(url, configured)
    assert (str(proxy), why) == (way, reason)
    assert proxies.choose(url, configured) == proxy


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trust") / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    trustme.CA().cert_pem.write_to_path(str(path), append=True)
    return path


def test_a_providers_own_certificates_are_counted(bundle: Path) -> None:
    found = trust(Network(ca_bundle=bundle), {"SSL_CERT_FILE": "/nowhere"})
    assert (found.source, found.authorities) == (str(bundle), 2)


def test_the_environments_certificates_are_counted(bundle: Path) -> None:
    found = trust(Network(), {"SSL_CERT_FILE": str(bundle)})
    assert (found.source, found.authorities) == (str(bundle), 2)


def test_the_operating_systems_store_has_no_path() -> None:
    found = trust(Network(), {})
    assert found.source == ""
    assert found.authorities == (ssl.create_default_context().cert_store_stats()["x509_ca"] or None)


def test_certificates_that_cannot_be_used_are_an_error(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="/nowhere cannot be used"):
        trust(Network(ca_bundle=Path("/nowhere")), {})
    with pytest.raises(SettingsError, match="client certificate"):
        trust(Network(ca_bundle=bundle, client_cert=bundle), {})


def test_no_pipe_is_waited_for(bundle: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for network in (Network(ca_bundle=pipe), Network(ca_bundle=bundle, client_cert=pipe)):
        with pytest.raises(SettingsError, match="pipe cannot be used: it is not a regular file"):
            trust(network, {})
    with pytest.raises(SettingsError, match="pipe cannot be used"):
        trust(Network(), {"SSL_CERT_FILE": str(pipe)})
