"""A keyring for children that tests start, in the file that TEST_KEYRING names: PYTHON_KEYRING_BACKEND chooses it."""

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from keyring.backend import KeyringBackend

_T = TypeVar("_T")


class Keyring(KeyringBackend):
    """Several processes may use it at once, as they may a real one."""

    priority = 1  # type: ignore[assignment]

    def get_password(self, service: str, username: str) -> str | None:
        return self._changed(lambda kept: kept.get(f"{service}/{username}"))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._changed(lambda kept: kept.update({f"{service}/{username}": password}))

    def delete_password(self, service: str, username: str) -> None:
        self._changed(lambda kept: kept.pop(f"{service}/{username}"))

    def _changed(self, work: Callable[[dict[str, str]], _T]) -> _T:
        path = Path(os.environ["TEST_KEYRING"])
        with path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            kept = json.loads(file.read() or "{}")
            outcome = work(kept)
            file.truncate(0)
            file.write(json.dumps(kept))
        return outcome
