"""The header of a GGUF file, read only as far as it tells whether the file is whole; no tensor is touched.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import stat
import struct
from typing import TYPE_CHECKING

from provider_core.errors import ModelFileError
from provider_core.structs import Struct

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Header", "check_gguf", "read_header"]

_FIRST_READ = 1 << 20
_LONGEST_HEADER = 256 << 20
"""The largest vocabularies make headers of some 20 MB; a longer one is garbage with the right magic."""

_MAGIC = b"GGUF"
_READABLE_VERSIONS = (2, 3)

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")

_STRING, _ARRAY = 8, 9
_SCALAR_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_UNSIGNED = {0: struct.Struct("<B"), 2: struct.Struct("<H"), 4: _U32, 10: _U64}
_DEEPEST_ARRAY = 4
_MOST_DIMENSIONS = 8

_TENSOR_TYPES = {
    # number: (weights in a block, bytes of a block), from ggml-common.h; what is missing is not measured.
    0: (1, 4),  # F32
    1: (1, 2),  # F16
    2: (32, 18),  # Q4_0
    3: (32, 20),  # Q4_1
    6: (32, 22),  # Q5_0
    7: (32, 24),  # Q5_1
    8: (32, 34),  # Q8_0
    10: (256, 84),  # Q2_K
    11: (256, 110),  # Q3_K
    12: (256, 144),  # Q4_K
    13: (256, 176),  # Q5_K
    14: (256, 210),  # Q6_K
    15: (256, 292),  # Q8_K
    16: (256, 66),  # IQ2_XXS
    17: (256, 74),  # IQ2_XS
    18: (256, 98),  # IQ3_XXS
    19: (256, 50),  # IQ1_S
    20: (32, 18),  # IQ4_NL
    21: (256, 110),  # IQ3_S
    22: (256, 82),  # IQ2_S
    23: (256, 136),  # IQ4_XS
    24: (1, 1),  # I8
    25: (1, 2),  # I16
    26: (1, 4),  # I32
    27: (1, 8),  # I64
    28: (1, 8),  # F64
    29: (256, 56),  # IQ1_M
    30: (1, 2),  # BF16
    34: (256, 54),  # TQ1_0
    35: (256, 66),  # TQ2_0
    39: (32, 17),  # MXFP4
    40: (64, 36),  # NVFP4
    41: (128, 18),  # Q1_0
    42: (64, 18),  # Q2_0
}


class Header(Struct):
    """What a GGUF header says. ``context`` is the trained window in tokens, ``end`` where the last tensor
    that can be measured ends, in bytes from the file's start; None where the header does not tell.
    """

    context: int | None
    end: int | None


class _ShortError(Exception):
    """The bytes at hand end before ``needed``, an offset in the file."""

    def __init__(self, needed: int) -> None:
        super().__init__(needed)
        self.needed = needed


class _DamagedError(Exception):
    """No header goes on like this; the message completes "its header ..."."""


class _Cursor:
    """A place in the header's bytes; every step forward either succeeds or says what is lacking."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position: int = 0

    def number(self, kind: struct.Struct) -> int:
        end = self.position + kind.size
        if end > len(self.data):
            raise _ShortError(end)
        value: int = kind.unpack_from(self.data, self.position)[0]
        self.position = end
        return value

    def text(self) -> bytes:
        length = self.number(_U64)
        end = self.position + length
        if end > len(self.data):
            raise _ShortError(end)
        value = self.data[self.position : end]
        self.position = end
        return value

    def skip_texts(self, count: int) -> None:
        # Vocabularies come as hundreds of thousands of strings: one loop without a call into this class.
        data, position, length_at = self.data, self.position, _U64.unpack_from
        try:
            for _ in range(count):
                position += 8 + length_at(data, position)[0]
        except (struct.error, OverflowError):
            raise _ShortError(position + 8) from None
        self.position = position

    def skip_value(self, kind: int, depth: int = 0) -> None:
        if kind in _SCALAR_SIZES:
            self.position += _SCALAR_SIZES[kind]
        elif kind == _STRING:
            self.skip_texts(1)
        elif kind == _ARRAY and depth < _DEEPEST_ARRAY:
            item, count = self.number(_U32), self.number(_U64)
            if item in _SCALAR_SIZES:
                self.position += count * _SCALAR_SIZES[item]
            elif item == _STRING:
                self.skip_texts(count)
            else:
                for _ in range(count):
                    self.skip_value(item, depth + 1)
        else:
            raise _DamagedError("holds a value of no known type")


def check_gguf(path: Path) -> None:
    """Raise ``ModelFileError`` unless this is a readable GGUF file as long as its own header says.

    Only the header is read. A tensor of an unknown type is not measured: llama.cpp will judge it.
    """
    read_header(path)


def read_header(path: Path) -> Header:
    """The header of a whole GGUF file; ``ModelFileError`` for anything else."""
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise ModelFileError(f"{path} is a folder, no model file", path=path)
        if not stat.S_ISREG(found.st_mode):
            raise ModelFileError(f"{path} is not a regular file", path=path)
        header = _read(path, found.st_size)
    except FileNotFoundError:
        raise ModelFileError(f"there is no model file {path}", path=path) from None
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}", path=path) from error
    except ValueError:
        raise ModelFileError("the path of the model file holds a NUL character", path=path) from None
    except _DamagedError as error:
        raise ModelFileError(f"{path} is not a usable GGUF file: its header {error}", path=path) from None
    if header.end is not None and found.st_size < header.end:
        raise ModelFileError(f"{path} is truncated: {found.st_size} of {header.end} bytes", path=path)
    return header


def _read(path: Path, size: int) -> Header:
    wanted = _FIRST_READ
    with path.open("rb") as file:
        data = file.read(wanted)
        if data[:4] != _MAGIC:
            raise ModelFileError(f"{path} is not a GGUF file", path=path)
        while True:
            try:
                return _parse(data)
            except _ShortError as short:
                if short.needed > size:
                    raise ModelFileError(
                        f"{path} is truncated or damaged: its header ends beyond its {size} bytes", path=path
                    ) from None
                wanted = min(size, max(short.needed, 4 * wanted))
            if wanted > _LONGEST_HEADER:
                raise _DamagedError("does not end")
            more = file.read(wanted - len(data))
            if not more:
                raise ModelFileError(f"{path} shrank while it was read", path=path)
            data += more


def _parse(data: bytes) -> Header:
    cursor = _Cursor(data)
    cursor.position = len(_MAGIC)
    version = cursor.number(_U32)
    if version not in _READABLE_VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        if swapped in _READABLE_VERSIONS:
            raise _DamagedError("is written for big-endian processors")
        raise _DamagedError(f"has version {version}, and llama.cpp reads 2 and 3")
    tensors, entries = cursor.number(_U64), cursor.number(_U64)

    context, alignment = None, 32
    for _ in range(entries):
        key, kind = cursor.text(), cursor.number(_U32)
        if kind in _UNSIGNED and key.endswith(b".context_length"):
            context = cursor.number(_UNSIGNED[kind])
        elif kind in _UNSIGNED and key == b"general.alignment":
            alignment = cursor.number(_UNSIGNED[kind])
        else:
            cursor.skip_value(kind)
    if alignment <= 0:
        raise _DamagedError("aligns its tensors to nothing")

    ends: list[int] = []
    for _ in range(tensors):
        end = _tensor_end(cursor)
        if end is not None:
            ends.append(end)
    if cursor.position > len(data):
        raise _ShortError(cursor.position)
    start = -(-cursor.position // alignment) * alignment
    return Header(context=context or None, end=start + max(ends) if ends else None)


def _tensor_end(cursor: _Cursor) -> int | None:
    """Where the next tensor's data ends, counted from the first tensor's start."""
    cursor.skip_texts(1)
    dimensions = cursor.number(_U32)
    if dimensions > _MOST_DIMENSIONS:
        raise _DamagedError(f"has a tensor of {dimensions} dimensions")
    row = cursor.number(_U64) if dimensions else 1
    rows = 1
    for _ in range(1, dimensions):
        rows *= cursor.number(_U64)
    kind, offset = cursor.number(_U32), cursor.number(_U64)
    if kind not in _TENSOR_TYPES:
        return None
    weights, size = _TENSOR_TYPES[kind]
    return offset + row // weights * size * rows
