"""Text files as parts of a prompt: read, decoded or refused, and fenced; how they stand beside it is not said here."""

from __future__ import annotations

import codecs
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from provider_core import limits
from provider_core.attachments._kinds import kind
from provider_core.attachments._reading import check_size, label, read
from provider_core.errors import AttachmentError
from provider_core.structs import Struct

if TYPE_CHECKING:
    import os

__all__ = ["TextFile", "text_file", "text_of"]

_WHAT: Final = "a text file"

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16's, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

_LANGUAGES: Final = {
    "bas": "basic", "bash": "bash", "bat": "batch", "c": "c", "cc": "cpp", "cfg": "ini", "clj": "clojure",
    "conf": "ini", "cpp": "cpp", "cs": "csharp", "css": "css", "csv": "csv", "cxx": "cpp", "dart": "dart",
    "diff": "diff", "ex": "elixir", "exs": "elixir", "erl": "erlang", "f90": "fortran", "fish": "fish",
    "fs": "fsharp", "go": "go", "gradle": "groovy", "graphql": "graphql", "groovy": "groovy", "h": "c",
    "hcl": "hcl", "hpp": "cpp", "hs": "haskell", "htm": "html", "html": "html", "ini": "ini", "ipynb": "json",
    "java": "java", "jl": "julia", "js": "javascript", "json": "json", "jsonl": "json", "jsx": "jsx",
    "kt": "kotlin", "kts": "kotlin", "less": "less", "lisp": "lisp", "lua": "lua", "m": "objectivec",
    "markdown": "markdown", "md": "markdown", "mjs": "javascript", "ml": "ocaml", "nix": "nix",
    "patch": "diff", "php": "php", "pl": "perl", "pm": "perl", "proto": "protobuf", "ps1": "powershell",
    "py": "python", "pyi": "python", "r": "r", "rb": "ruby", "rs": "rust", "rst": "rst", "sass": "sass",
    "scala": "scala", "scss": "scss", "sh": "bash", "sql": "sql", "svelte": "svelte", "svg": "xml",
    "swift": "swift", "tex": "latex", "tf": "hcl", "toml": "toml", "ts": "typescript", "tsv": "tsv",
    "tsx": "tsx", "vb": "vb", "vim": "vim", "vue": "vue", "xml": "xml", "yaml": "yaml", "yml": "yaml",
    "zig": "zig", "zsh": "zsh",
}  # fmt: skip
_NAMES: Final = {"dockerfile": "dockerfile", "makefile": "makefile", "cmakelists.txt": "cmake"}


class TextFile(Struct):
    """A text and where it is from. ``name`` is the path as it was given; ``size`` counts the file's bytes."""

    name: str
    text: str
    size: int

    def as_block(self) -> str:
        """The name, and the text between fences that are longer than any run of backticks in it."""
        longest = max((len(run) for run in re.findall("`+", self.text)), default=0)
        fence = "`" * max(3, longest + 1)
        end = "" if self.text.endswith("\n") or not self.text else "\n"
        return f"{self.name}:\n{fence}{language(self.name)}\n{self.text}{end}{fence}"


def text_file(path: str | os.PathLike[str]) -> TextFile:
    """The text that ``path`` holds: UTF-8, its byte order mark taken off, or UTF-16 or UTF-32 with one.

    A pipe is read to its end. Raises ``AttachmentError`` for what cannot be read, is not text, or is larger
    than ``limits.TEXT_FILE``.
    """
    return text_of(read(path, limit=limits.TEXT_FILE, what=_WHAT), label(path))


def text_of(data: bytes, name: str) -> TextFile:
    """As ``text_file``, for bytes that were read elsewhere; ``name`` is what they are called."""
    check_size(data, name, limit=limits.TEXT_FILE, what=_WHAT)
    mark, encoding = next(((m, e) for m, e in _BOMS if data.startswith(m)), (b"", "utf-8"))
    found = kind(data)
    if found is not None and found.name == "a PDF document":  # one may be ASCII throughout
        raise AttachmentError(
            f"{name} is not a text file: it looks like {found.name}", name=name, looks_like=found.name
        )
    try:
        text = data[len(mark) :].decode(encoding)
        at = text.find("\0")
        if at < 0:
            return TextFile(name=name, text=text, size=len(data))
        at, byte = len(mark) + len(text[:at].encode(encoding)), 0
    except UnicodeDecodeError as error:
        at = len(mark) + error.start
        byte = data[at]
    looks = f"it looks like {found.name} (" if found is not None else ""
    raise AttachmentError(
        f"{name} is not a text file: {looks}byte {at + 1:,} of {len(data):,} is 0x{byte:02x}"
        + (", which text does not contain" if byte == 0 else f", which is not valid {encoding[:6].upper()}")
        + (")" if looks else ""),
        name=name,
        looks_like=found.name if found is not None else "",
        image=found is not None and bool(found.media),
    )


def language(name: str) -> str:
    """The word behind an opening fence for a file of this name; "" where none is sure."""
    last = PurePath(name).name.lower()
    return _NAMES.get(last) or _LANGUAGES.get(last.rpartition(".")[2] if "." in last else "", "")
