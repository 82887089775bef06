"""A keyring in memory, for the keyring package."""

from __future__ import annotations

import time

from keyring.backend import KeyringBackend


class Backend(KeyringBackend):
    """Its every call can be made to wait, fail or forget."""

    priority = 1  # type: ignore[assignment]

    def __init__(self, *, waits: float = 0, error: Exception | None = None, forgets: bool = False) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.waits, self.error, self.forgets = waits, error, forgets

    def get_password(self, service: str, username: str) -> str | None:
        self._pass()
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._pass()
        if not self.forgets:
            self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._pass()
        del self.kept[service, username]

    def _pass(self) -> None:
        time.sleep(self.waits)
        if self.error:
            raise self.error
