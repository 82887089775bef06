"""Whose certificates are trusted, and which one is shown: contexts for TLS; no connection is made here."""

from __future__ import annotations

import errno
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from provider_core import files
from provider_core.errors import SettingsError
from provider_core.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.types import Network

__all__ = ["Trust", "blind", "tls_context", "trust", "trusted_by"]


class Trust(Struct):
    """Whose certificates are believed: those in ``source``, a file or a folder; "" is the operating system's store.

    ``authorities`` is how many there are; None where that is not told.
    """

    source: str = ""
    authorities: int | None = None


def tls_context(network: Network, environ: Mapping[str, str], *, client_cert: bool = True) -> ssl.SSLContext:
    """The provider's own ``ca_bundle``, else SSL_CERT_FILE and SSL_CERT_DIR, else the operating system's store.

    Raises ``SettingsError`` for files that cannot be used.
    """
    made = _trusting(network.ca_bundle, environ)
    if client_cert and network.client_cert is not None:
        _show(made, files.expanded(network.client_cert))
    return made


def trust(network: Network, environ: Mapping[str, str]) -> Trust:
    """What ``context`` would believe, and that it can be had; no connection is made, and no pipe waited for.

    Raises ``SettingsError``.
    """
    file, _ = _places(network.ca_bundle, environ)
    for path in (files.expanded(each) for each in (file, network.client_cert) if each):
        if path.exists() and not path.is_file() and not path.is_dir():
            raise SettingsError(f"the certificates in {path} cannot be used: it is not a regular file")
    made = tls_context(network, environ)
    source = _source(network.ca_bundle, environ)
    # What OpenSSL reads from a folder it reads when it is needed, and a system's store it never shows.
    if not source:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.load_default_certs()
    counted = made.cert_store_stats()["x509_ca"]
    return Trust(source=source, authorities=counted or None)


def blind() -> ssl.SSLContext:
    """A context that trusts anyone, for looking at a certificate that was refused and for nothing else."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


def _trusting(bundle: Path | None, environ: Mapping[str, str]) -> ssl.SSLContext:
    file, folder = _places(bundle, environ)
    if file is None and folder is None:
        import truststore

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if file is None and folder is not None:
            _check_folders(folder)
        # Not ssl.create_default_context: on Python 3.13 and later it refuses the authorities of many companies
        # (VERIFY_X509_STRICT), and it fails where SSLKEYLOGFILE names a file that cannot be written.
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.load_verify_locations(cafile=file, capath=folder)
        return made
    except OSError as error:  # ssl.SSLError is one
        source = _source(bundle, environ)
        raise SettingsError(f"the trusted certificates in {source} cannot be used: {_why(error)}") from error


def _places(bundle: Path | None, environ: Mapping[str, str]) -> tuple[str | None, str | None]:
    """A file of certificates, and a folder or, as OpenSSL takes them, several; neither is the system's store."""
    if bundle is not None:
        bundle = files.expanded(bundle)
        return (None, str(bundle)) if bundle.is_dir() else (str(bundle), None)
    return environ.get("SSL_CERT_FILE") or None, environ.get("SSL_CERT_DIR") or None


def _check_folders(folders: str) -> None:
    """OpenSSL says nothing of a folder that is not there: it trusts nobody, and every server is to blame."""
    if not any(Path(folder).is_dir() for folder in folders.split(os.pathsep)):
        raise NotADirectoryError(errno.ENOTDIR, "there is no such folder")


def _source(bundle: Path | None, environ: Mapping[str, str]) -> str:
    if bundle is not None:
        return str(files.expanded(bundle))
    return " or ".join(part for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if (part := environ.get(name)))


def trusted_by(network: Network, environ: Mapping[str, str]) -> str:
    """The setting or variable that names the trusted certificates; "" for the operating system's."""
    if network.ca_bundle is not None:
        return "ca_bundle"
    return next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if environ.get(name)), "")


def _show(made: ssl.SSLContext, path: Path) -> None:
    def no_password() -> str:
        # Without this, OpenSSL would ask on the terminal and wait.
        raise SettingsError(f"the key in the client certificate {path} is encrypted, which is not supported")

    try:
        made.load_cert_chain(path, password=no_password)
    except OSError as error:
        raise SettingsError(
            f"the client certificate {path} cannot be used (it must hold certificate and key): {_why(error)}"
        ) from error


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        # OpenSSL's reason for text that is no PEM is an empty one.
        return (error.reason or "no PEM certificate in it").lower().replace("_", " ")
    return error.strerror or str(error)
