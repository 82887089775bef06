"""Whose certificates are trusted, and which one is shown: contexts for TLS; no connection is made here."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from provider_core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from provider_core.types import Network

__all__ = ["blind", "context"]


def context(network: Network, environ: Mapping[str, str], *, client_cert: bool = True) -> ssl.SSLContext:
    """The provider's own ``ca_bundle``, else SSL_CERT_FILE and SSL_CERT_DIR, else the operating system's store.

    Raises ``SettingsError`` for files that cannot be used.
    """
    made = _trusting(network.ca_bundle, environ)
    if client_cert and network.client_cert is not None:
        _show(made, network.client_cert.expanduser())
    return made


def blind() -> ssl.SSLContext:
    """A context that trusts anyone, for looking at a certificate that was refused and for nothing else."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


def _trusting(bundle: Path | None, environ: Mapping[str, str]) -> ssl.SSLContext:
    file, folder = environ.get("SSL_CERT_FILE") or None, environ.get("SSL_CERT_DIR") or None
    source = " or ".join(part for part in (file, folder) if part)
    if bundle is not None:
        bundle = bundle.expanduser()
        file, folder = (None, str(bundle)) if bundle.is_dir() else (str(bundle), None)
        source = str(bundle)
    if file is None and folder is None:
        import truststore

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return ssl.create_default_context(cafile=file, capath=folder)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(f"the trusted certificates in {source} cannot be used: {_why(error)}") from error


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
