"""Which files pass as whole GGUF files, after https://github.com/ggml-org/ggml/blob/master/docs/gguf.md."""

from __future__ import annotations

import contextlib
import os
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_core.errors import ModelFileError
from provider_core.local import check_gguf
from provider_core.local._gguf import read_header

U8, U32, F32, TEXT, ARRAY, U64 = 0, 4, 6, 8, 9, 10
TYPE_F32, TYPE_Q4_1, TYPE_OF_TOMORROW = 0, 3, 99


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def entry(key: bytes, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def tensor(name: bytes, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + dimensions + struct.pack("<IQ", kind, offset)


def gguf(
    entries: tuple[bytes, ...] = (),
    tensors: tuple[bytes, ...] = (),
    data: int = 0,
    alignment: int = 32,
    version: int = 3,
) -> bytes:
    """A GGUF file with ``data`` bytes of tensor data."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(entries))
    head += b"".join(entries) + b"".join(tensors)
    return head + bytes(-len(head) % alignment) + bytes(data)


def saved(folder: Path, content: bytes) -> Path:
    path = folder / "model.gguf"
    path.write_bytes(content)
    return path


WHOLE = gguf(
    entries=(
        entry(b"general.architecture", TEXT, text(b"llama")),
        entry(b"llama.context_length", U32, struct.pack("<I", 4096)),
        entry(
            b"tokenizer.ggml.tokens",
            ARRAY,
            struct.pack("<IQ", TEXT, 3) + text(b"a") + text(b"") + text(b"ccc"),
        ),
        entry(b"tokenizer.ggml.scores", ARRAY, struct.pack("<IQ3f", F32, 3, 1, 2, 3)),
        entry(b"nested", ARRAY, struct.pack("<IQ", ARRAY, 1) + struct.pack("<IQ", U8, 2) + b"ab"),
    ),
    tensors=(tensor(b"output", (64, 10), TYPE_Q4_1, 0), tensor(b"norm", (64,), TYPE_F32, 416)),
    data=416 + 256,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("gguf")


# --- whole files -------------------------------------------------------------------------------------------


def test_a_whole_file_passes_and_tells_its_window(folder):
    header = read_header(saved(folder, WHOLE))
    assert header.context == 4096
    assert header.end == len(WHOLE)


def test_a_file_ends_where_its_last_tensor_ends(folder):
    # 20 bytes for 32 weights of Q4_1, and 4 for one of F32, worked out by hand.
    assert len(WHOLE) % 32 == 0
    assert read_header(saved(folder, WHOLE)).end == len(WHOLE) - (416 + 256) + max(
        64 * 10 // 32 * 20, 416 + 64 * 4
    )


def test_a_longer_file_passes(folder):
    check_gguf(saved(folder, WHOLE + b"more"))


def test_the_file_sets_its_own_alignment(folder):
    entries = (entry(b"general.alignment", U32, struct.pack("<I", 4096)),)
    content = gguf(entries, (tensor(b"t", (8,), TYPE_F32, 0),), data=32, alignment=4096)
    assert read_header(saved(folder, content)).end == 4096 + 32


def test_a_tensor_of_an_unknown_type_is_left_to_llama_cpp(folder):
    tensors = (tensor(b"t", (1 << 40,), TYPE_OF_TOMORROW, 0),)
    assert read_header(saved(folder, gguf(tensors=tensors))).end is None


def test_a_window_of_64_bits_is_read_too(folder):
    entries = (entry(b"x.context_length", U64, struct.pack("<Q", 1 << 20)),)
    assert read_header(saved(folder, gguf(entries))).context == 1 << 20


def test_a_header_larger_than_the_first_read_is_read_whole(folder):
    words = b"".join(text(b"word%07d" % number) for number in range(200_000))
    entries = (
        entry(b"tokenizer.ggml.tokens", ARRAY, struct.pack("<IQ", TEXT, 200_000) + words),
        entry(b"x.context_length", U32, struct.pack("<I", 77)),
    )
    path = saved(folder, gguf(entries))
    assert path.stat().st_size > 3 << 20
    began = time.perf_counter()
    assert read_header(path).context == 77
    assert time.perf_counter() - began < 5


# --- other files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [1, 256, 600])
def test_a_truncated_file_is_told_by_its_lengths(folder, lost):
    path = saved(folder, WHOLE[:-lost])
    with pytest.raises(
        ModelFileError, match=rf"is truncated: {len(WHOLE) - lost} of {len(WHOLE)} bytes$"
    ) as caught:
        check_gguf(path)
    assert caught.value.path == path


@pytest.mark.parametrize("content", [b"", b"GGU", b"hello, I am no model", b"ggml" + WHOLE[4:]])
def test_a_file_without_the_magic_is_no_gguf_file(folder, content):
    with pytest.raises(ModelFileError, match=r"is not a GGUF file$"):
        check_gguf(saved(folder, content))


def test_the_first_version_is_refused_by_its_number(folder):
    with pytest.raises(ModelFileError, match="has version 1, and llama.cpp reads 2 and 3"):  # noqa: RUF043
        check_gguf(saved(folder, gguf(version=1)))


def test_a_file_for_big_endian_processors_is_called_that(folder):
    with pytest.raises(ModelFileError, match="big-endian"):
        check_gguf(saved(folder, b"GGUF" + struct.pack(">IQQ", 3, 0, 0)))


def test_a_missing_file_a_folder_and_a_device_are_told_apart(folder):
    with pytest.raises(ModelFileError, match="there is no model file"):
        check_gguf(folder / "missing.gguf")
    with pytest.raises(ModelFileError, match="is a folder"):
        check_gguf(folder)
    with pytest.raises(ModelFileError, match="is not a regular file"):
        check_gguf(Path(os.devnull))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_refused_and_not_waited_for(folder):
    os.mkfifo(folder / "pipe")
    with pytest.raises(ModelFileError, match="is not a regular file"):
        check_gguf(folder / "pipe")


@pytest.mark.parametrize("name", ["with\0nul", "x" * 5000])
def test_a_path_that_no_file_can_have_is_a_model_file_error(folder, name):
    with pytest.raises(ModelFileError):
        check_gguf(folder / name)


@pytest.mark.parametrize(
    "content",
    [
        b"GGUF" + struct.pack("<IQQ", 3, 1 << 63, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 0, (1 << 64) - 1),
        gguf((text(b"k") + struct.pack("<I", TEXT) + struct.pack("<Q", (1 << 64) - 1),)),
        gguf((entry(b"k", ARRAY, struct.pack("<IQ", TEXT, (1 << 64) - 1)),)),
        gguf((entry(b"k", ARRAY, struct.pack("<IQ", U64, (1 << 64) - 1)),)),
        gguf((entry(b"k", ARRAY, struct.pack("<IQ", ARRAY, 2) * 20),)),
        gguf((entry(b"general.alignment", U32, bytes(4)),), (tensor(b"t", (1,), TYPE_F32, 0),), 64),
        gguf((entry(b"k", 13, b""),)),
        gguf(tensors=(tensor(b"t", (1,) * 9, TYPE_F32, 0),)),
        gguf(tensors=(tensor(b"t", (1 << 63,) * 4, TYPE_F32, (1 << 64) - 1),)),
    ],
)
def test_absurd_numbers_are_refused_at_once(folder, content):
    path = saved(folder, content)
    began = time.perf_counter()
    with pytest.raises(ModelFileError):
        check_gguf(path)
    assert time.perf_counter() - began < 5


@given(st.binary(max_size=200))
def test_garbage_behind_the_magic_raises_nothing_else(folder, garbage):
    path = saved(folder, b"GGUF\x03\0\0\0" + garbage)
    with contextlib.suppress(ModelFileError):
        check_gguf(path)


@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=8))
def test_a_damaged_header_raises_nothing_else(folder, place, damage):
    path = saved(folder, WHOLE[:place] + damage + WHOLE[place + len(damage) :])
    with contextlib.suppress(ModelFileError):
        check_gguf(path)


@given(st.integers(0, len(WHOLE) - 1))
def test_no_part_of_a_file_passes(folder, length):
    with pytest.raises(ModelFileError):
        check_gguf(saved(folder, WHOLE[:length]))
