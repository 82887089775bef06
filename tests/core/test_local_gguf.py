"""What is read of a GGUF file: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_core.errors import ModelFileError
from provider_core.local import default_context, read_gguf

U8, U32, F32, TEXT, ARRAY, U64 = 0, 4, 6, 8, 9, 10


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def entry(key: bytes, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def gguf(*entries: bytes) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries)) + b"".join(entries)


CONTEXT = entry(b"llama.context_length", U32, struct.pack("<I", 4096))
OTHERS = (
    entry(b"general.architecture", TEXT, text(b"llama")),
    entry(b"tokens", ARRAY, struct.pack("<IQ", TEXT, 3) + text(b"a") + text(b"") + text(b"ccc")),
    entry(b"scores", ARRAY, struct.pack("<IQ3f", F32, 3, 1, 2, 3)),
    entry(b"flag", U8, b"\1"),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gguf") / "model.gguf"


@pytest.mark.parametrize(
    ("content", "context"),
    [
        (gguf(*OTHERS, CONTEXT), 4096),
        (gguf(entry(b"x.context_length", U64, struct.pack("<Q", 1 << 20))), 1 << 20),
        (gguf(*OTHERS), None),
        (gguf(entry(b"x.context_length", U32, bytes(4))), None),
        (gguf(entry(b"x.rope.original_context_length", U32, struct.pack("<I", 1)), CONTEXT), 4096),
        (gguf(entry(b"x.context_length", F32, struct.pack("<f", 1))), None),
        (gguf(CONTEXT)[:-1], None),
    ],
)
def test_context_window_is_read_if_the_header_has_one(
    path: Path, content: bytes, context: int | None
) -> None:
    path.write_bytes(content)
    assert read_gguf(path) == context


def test_default_window_is_the_models_own_up_to_8192() -> None:
    assert [default_context(trained) for trained in (None, 512, 131_072)] == [8192, 512, 8192]


@pytest.mark.parametrize("content", [b"", b"GGU", b"ggml" + gguf(CONTEXT)[4:]])
def test_file_without_the_magic_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="is not a GGUF file"):
        read_gguf(path)


def test_other_paths_are_refused_with_the_reason(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, words in (
        (tmp_path / "missing.gguf", "there is no model file"),
        (tmp_path, "is a folder"),
        (Path(os.devnull), "is not a regular file"),
        (tmp_path / "pipe", "is not a regular file"),
        (tmp_path / "with\0nul", "contains a NUL"),
        (tmp_path / ("x" * 5000), "cannot be read: File name too long"),
    ):
        with pytest.raises(ModelFileError, match=words):
            read_gguf(path)


@given(st.binary(max_size=200), st.integers(4, 300))
def test_damaged_header_raises_nothing(path: Path, damage: bytes, place: int) -> None:
    whole = gguf(*OTHERS, CONTEXT)
    path.write_bytes(whole[:place] + damage + whole[place + len(damage) :])
    read_gguf(path)
