"""Running ``telex`` inside the test's own process: quick, with a home, an environment and a key store of its own."""

from __future__ import annotations

import contextlib
import io
import sys
from typing import TYPE_CHECKING

from running import Ran, provider_table

from provider_core.keys import KeyStore, MemoryStore, unseal
from provider_core.settings import Paths
from telex.app import App
from telex.main import main

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Inside:
    """``telex("providers", "list")``; ``store`` and ``env`` are what the runs share."""

    def __init__(self, home: Path, store: KeyStore | None = None) -> None:
        self.home = home
        self.env = {"TELEX_HOME": str(home)}
        self.store = store or MemoryStore()
        self.paths = Paths.find(self.env)

    @property
    def settings(self) -> Path:
        return self.paths.settings_file

    def stored(self, name: str) -> str | None:
        """The secret in the key store's entry."""
        text = self.store.get(name)
        return None if text is None else unseal(text)[0]

    def configure(self, text: str) -> None:
        self.settings.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.settings.write_text(text)

    def provider(self, name: str, url: str, **fields: object) -> None:
        """Add a provider without a key, by hand, as people do."""
        before = self.settings.read_text() if self.settings.exists() else ""
        self.configure(before + provider_table(name, url, **fields))

    def __call__(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Ran:
        out, err = _stream(), _stream()
        before = sys.stdin
        sys.stdin = io.TextIOWrapper(io.BytesIO(stdin))
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                app = App(
                    environ={**self.env, **(env or {})}, key_store=self.store, arguments=tuple(arguments)
                )
                code = main(arguments, app)
        finally:
            sys.stdin = before
        return Ran(code, out.buffer.getvalue(), err.buffer.getvalue().decode())  # type: ignore[attr-defined]


def _stream() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
