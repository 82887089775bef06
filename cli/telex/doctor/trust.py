"""Whose certificates are believed, by all providers and by those with settings of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.errors import SettingsError
from telex.doctor.finding import note, ok, problem
from telex.humanize import plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.types import Network
    from telex.doctor.case import Case
    from telex.doctor.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    import ssl

    from provider_core.types import Network

    yield _store(
        case, "store", Network(), "Set SSL_CERT_FILE and SSL_CERT_DIR to files that are there, or unset them"
    )
    for provider in case.sound.values():
        network = provider.network
        if network.ca_bundle is None and network.client_cert is None:
            continue
        fields = [name for name in ("ca_bundle", "client_cert") if getattr(network, name) is not None]
        unset = " ".join(f"--unset {name.replace('_', '-')}" for name in fields)
        yield _store(case, provider.name, network, f"telex providers edit {provider.name} {unset}")
    yield ok("TLS", ssl.OPENSSL_VERSION)


def _store(case: Case, subject: str, network: Network, remedy: str) -> Finding:
    from provider_core.http import trust

    try:
        found = trust(network, case.environ)
    except SettingsError as error:
        return problem(subject, error.message, remedy)
    number = found.authorities
    count = f", {plural(number, 'authority', 'authorities')}" if number else ""
    shown = f"; shows {network.client_cert}" if network.client_cert else ""
    if not found.source and not found.authorities and _is_bare():
        detail = "the operating system trusts no certificate authority: https servers cannot be reached"
        return note(subject, detail, "Install the package ca-certificates, or set SSL_CERT_FILE")
    whose = found.source or "the operating system's"
    return ok(subject, f"{whose}{count}{shown}")


def _is_bare() -> bool:
    """Whether this is a Linux without the package that brings certificates; elsewhere they are no files."""
    import platform
    import ssl
    from pathlib import Path

    if platform.system() != "Linux":
        return False
    paths = ssl.get_default_verify_paths()
    folder = Path(paths.capath or "/nowhere")
    return not paths.cafile and not (folder.is_dir() and any(folder.iterdir()))
