"""The secrets that a server is given, looked up when it starts; what is missing is an error and never left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.errors import KeyDestinationError, KeyStoreError, ToolSecretError
from provider_core.keys import check_destination, unseal
from provider_core.settings.validators import parse_reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.keys import Destination, KeyStore
    from provider_core.settings.mcp import McpServer
    from provider_core.settings.validators import SecretReference

__all__ = ["Given", "Secrets"]


class Given:
    """The values a server is given, secrets in their places. ``secrets`` are what must not come back in its words."""

    __slots__ = ("secrets", "values")

    def __init__(self, values: Mapping[str, str], secrets: tuple[str, ...]) -> None:
        self.values = values
        self.secrets = secrets


class Secrets:
    """Looks secrets up in the environment and the keyring. A keyring that failed once is not asked again."""

    def __init__(self, environ: Mapping[str, str], store: KeyStore | None) -> None:
        self._environ = environ
        self._store = store
        self._broken: KeyStoreError | None = None

    def give(self, server: McpServer) -> Given:
        """The values of the server's variables or headers; raises ``ToolSecretError``."""
        values: dict[str, str] = {}
        secrets: list[str] = []
        for name, written in {**server.env, **server.headers}.items():
            wanted = parse_reference(written)
            if wanted is None:
                values[name] = written
                continue
            secret, confirmed = self._find(wanted, server.name, name)
            if name in server.headers:
                secret = _fit_for_header(secret, wanted, server.name, name)
                self._check(server, name, wanted, confirmed)
            secrets.append(secret)
            values[name] = wanted.before + secret
        return Given(values, tuple(secrets))

    def _check(
        self, server: McpServer, name: str, wanted: SecretReference, confirmed: tuple[Destination, ...] | None
    ) -> None:
        """A header's secret goes to no other address than the one that it was stored for, and not unencrypted."""
        what = f"{wanted} for the header {name} of the MCP server {server.name}"
        try:
            check_destination(what, server.url, server.network, environ=self._environ, confirmed=confirmed)
        except KeyDestinationError as error:
            raise ToolSecretError(
                error.message,
                server=server.name,
                wanted_for=name,
                source="http" if error.unencrypted else str(wanted),
            ) from None

    def _find(
        self, wanted: SecretReference, server: str, name: str
    ) -> tuple[str, tuple[Destination, ...] | None]:
        secret, confirmed = self._environ.get(wanted.name), None
        if wanted.kind == "keyring":
            secret, confirmed = unseal(self._stored(wanted, server, name) or "")
        if not secret:
            place = "is not set" if wanted.kind == "env" else "is not in the keyring"
            raise ToolSecretError(
                f"the MCP server {server} needs {wanted} for {name}, and it {place}",
                server=server,
                wanted_for=name,
                source=str(wanted),
            )
        return secret, confirmed

    def _stored(self, wanted: SecretReference, server: str, name: str) -> str | None:
        broken = self._broken
        if self._store is None:
            broken = KeyStoreError("no keyring is available", state="missing")
        if broken is None and self._store is not None:
            try:
                return self._store.get(wanted.entry)
            except KeyStoreError as error:
                broken = self._broken = error
        raise ToolSecretError(
            f"the MCP server {server} needs {wanted} for {name}: {broken}", server=server, wanted_for=name
        )


def _fit_for_header(secret: str, wanted: SecretReference, server: str, name: str) -> str:
    bare = secret.strip()
    if not bare or not all(" " <= character <= "~" for character in bare):
        raise ToolSecretError(
            f"the MCP server {server} cannot be given {wanted} for {name}: "
            "it contains characters that a header cannot carry",
            server=server,
            wanted_for=name,
        )
    return bare
