"""What is attached to a prompt: text as fenced blocks, images by their content, and what is refused in which words."""

from __future__ import annotations

import base64
import codecs
import os
import socket
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_core import limits
from provider_core.attachments import (
    TextFile,
    check_vision,
    combine,
    image,
    image_of,
    sniff,
    text_file,
    text_of,
)
from provider_core.errors import AttachmentError, InvalidInputError
from provider_core.types import ImagePart, Model, Provider, Target, TextPart
from telex.render.extract import first_block

TARGET = Target(provider=Provider(name="lab"), model="m")


def png(width: int = 1, height: int = 1) -> bytes:
    """A whole PNG image, of one grey."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(b"".join(b"\0" + b"\x80" * width for _ in range(height)))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffd9")
GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
WEBP = b"RIFF\x1a\0\0\0WEBPVP8L\r\0\0\0/\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0"
IMAGES = {"image/png": png(), "image/jpeg": JPEG, "image/gif": GIF, "image/webp": WEBP}


def refused(source: object, by: object = text_file) -> AttachmentError:
    with pytest.raises(AttachmentError) as caught:
        by(source)  # type: ignore[operator]
    return caught.value


# --- text ----------------------------------------------------------------------------------------------------


def test_a_text_file_is_its_name_and_its_text_between_fences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("src").mkdir()
    Path("src/hello.py").write_bytes(b"print('gr\xc3\xbc\xc3\x9fe')\n")
    found = text_file("src/hello.py")
    assert (found.name, found.text, found.size) == ("src/hello.py", "print('grüße')\n", 17)
    assert found.as_block() == "src/hello.py:\n```python\nprint('grüße')\n```"


@pytest.mark.parametrize(
    ("name", "word"),
    [("a.rs", "rust"), ("A.PY", "python"), ("Dockerfile", "dockerfile"), ("deep/Makefile", "makefile"),
     ("a.txt", ""), ("a.unheard", ""), ("py", ""), (".bashrc", ""), ("x.tar.yaml", "yaml")],
)  # fmt: skip
def test_the_fence_names_the_language_where_the_name_tells_it(name: str, word: str) -> None:
    assert TextFile(name=name, text="x", size=1).as_block() == f"{name}:\n```{word}\nx\n```"


@given(st.text(alphabet="`~ab\n ", max_size=60))
def test_no_text_can_close_its_own_fence(text: str) -> None:

    block = TextFile(name="x", text=text, size=0).as_block()
    assert first_block(block)[0] == (text if text.endswith("\n") or not text else f"{text}\n")


@pytest.mark.parametrize(
    "raw",
    [
        "grüße\r\n".encode("utf-8-sig"),
        codecs.BOM_UTF16_LE + "grüße\r\n".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "grüße\r\n".encode("utf-16-be"),
        codecs.BOM_UTF32_LE + "grüße\r\n".encode("utf-32-le"),
        codecs.BOM_UTF32_BE + "grüße\r\n".encode("utf-32-be"),
    ],
    ids=["UTF-8", "UTF-16LE", "UTF-16BE", "UTF-32LE", "UTF-32BE"],
)
def test_a_byte_order_mark_says_how_to_read_and_is_no_text(raw: bytes) -> None:
    assert text_of(raw, "x").text == "grüße\r\n"


def test_colour_codes_and_empty_files_are_text(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"\x1b[31mred\x1b[0m\x0c\n")
    assert text_file(tmp_path / "log").text == "\x1b[31mred\x1b[0m\x0c\n"
    (tmp_path / "empty").touch()
    assert text_file(tmp_path / "empty").as_block() == f"{tmp_path}/empty:\n```\n```"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("grüße".encode("latin-1"), "byte 3 of 5 is 0xfc, which is not valid UTF-8"),
        (b"one\0two", "byte 4 of 7 is 0x00, which text does not contain"),
        (
            codecs.BOM_UTF16_LE + "a\0b".encode("utf-16-le"),
            "byte 5 of 8 is 0x00, which text does not contain",
        ),
        (codecs.BOM_UTF16_LE + b"a\0\x00\xd8", "byte 5 of 6 is 0x00"),
        (png(), "it looks like a PNG image (byte 1 of 67 is 0x89, which is not valid UTF-8)"),
        (b"%PDF-1.7\nall of it ASCII", "it looks like a PDF document"),
        (b"PK\x03\x04\x14\0\0\0\x08\0\xff", "it looks like a ZIP archive or an Office document"),
        (b"SQLite format 3\0\x10", "it looks like an SQLite database"),
    ],
)
def test_what_is_no_text_is_refused_with_the_reason_and_the_place(raw: bytes, words: str) -> None:
    with pytest.raises(AttachmentError) as caught:
        text_of(raw, "notes")
    assert caught.value.message.startswith("notes is not a text file: ")
    assert words in caught.value.message


def test_an_image_that_was_taken_for_text_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "shot.txt"
    path.write_bytes(png())
    error = refused(path)
    assert (error.name, error.looks_like, error.image) == (str(path), "a PNG image", True)
    assert not refused("/bin/sh").image


def test_folders_missing_files_and_closed_ones_are_refused_by_name(tmp_path: Path) -> None:
    assert refused(tmp_path).message == f"{tmp_path} is a folder: name the files in it"
    assert refused("").message == "the name of a text file is empty"
    assert (
        refused(tmp_path / "no\x1b[31m").message == f"{tmp_path}/no cannot be read: No such file or directory"
    )
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        assert "cannot be read" in refused(tmp_path / "s").message


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").touch(mode=0)
    assert "Permission denied" in refused(tmp_path / "x").message


def test_the_home_folder_may_be_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x").write_text("mine")
    assert text_file("~/x").text == "mine"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such devices")
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom"])
def test_what_has_no_end_is_left_at_the_limit_which_is_told(device: str) -> None:
    assert (
        refused(device).message == f"{device} holds more than 10 MB, and a text file may have 10 MB at most"
    )


def test_a_file_that_is_too_large_is_not_read_and_its_size_is_told(tmp_path: Path) -> None:
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(52_400_000_000)
    assert "holds 52400 MB" in refused(path).message
    with path.open("wb") as file:
        file.truncate(limits.TEXT_FILE + 1)
    assert refused(path).message == f"{path} holds 10,000,001 bytes, and a text file may have 10 MB at most"
    with pytest.raises(AttachmentError, match="stdin holds 12 MB"):
        text_of(b"x" * 12_000_000, "stdin")


@pytest.mark.skipif(os.name != "posix", reason="there are no such pipes")
def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def write() -> None:
        with pipe.open("wb") as file:
            for piece in (b"one ", b"two\n"):
                file.write(piece)
                file.flush()

    writer = threading.Thread(target=write)
    writer.start()
    assert text_file(pipe).text == "one two\n"
    writer.join()


def test_a_shell_hands_in_what_a_command_prints() -> None:
    code = "import sys; from provider_core.attachments import text_file; print(text_file(sys.argv[1]).text)"
    line = f"{sys.executable} -c '{code}' <(seq 3)"
    ran = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert ran.stdout == "1\n2\n3\n\n"


# --- images --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media", IMAGES)
def test_an_image_is_sent_as_its_content_says_whatever_its_name(media: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.txt"
    path.write_bytes(IMAGES[media])
    head, _, payload = image(path).url.partition(";base64,")
    assert head == f"data:{media}"
    assert base64.b64decode(payload, validate=True) == IMAGES[media]
    assert image(f"file://{path}") == image(path) == image_of(IMAGES[media], "x")
    assert sniff(IMAGES[media]) == media


@pytest.mark.parametrize(
    ("raw", "looks"),
    [
        (b"BM\x3a\0\0\0\0\0\0\0\x36", "it looks like a BMP image"),
        (b"II*\0\x08\0\0\0", "it looks like a TIFF image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "it looks like an HEIC image"),
        (b"\0\0\0\x1cftypavif", "it looks like an AVIF image"),
        (b'<?xml version="1.0"?>\n<!-- a --><svg xmlns="x">', "it looks like an SVG image"),
        (b"%PDF-1.4", "it looks like a PDF document"),
        (b"BMW makes cars", "it is text"),
        (b"", "it is empty"),
    ],
)
def test_what_models_do_not_take_is_refused_with_what_they_do(raw: bytes, looks: str) -> None:
    with pytest.raises(AttachmentError) as caught:
        image_of(raw, "x")
    assert caught.value.message == f"x is not an image that models read (PNG, JPEG, GIF or WebP): {looks}"
    assert sniff(raw) is None


def test_an_image_has_a_limit_which_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    with path.open("wb") as file:
        file.write(png())
        file.truncate(31_200_000)
    assert refused(path, image).message == f"{path} holds 31.2 MB, and an image may have 20 MB at most"
    with pytest.raises(AttachmentError, match=r"holds 20\.1 MB"):
        image_of(png() + bytes(20_100_000), "stdin")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.png",
        "HTTPS://example.com/a.png?sig=1%2F2",
        "http://127.0.0.1:9/a",
        "http://localhost/a",
        "http://[::1]:8/a",
    ],
)
def test_an_address_is_sent_as_it_is(url: str) -> None:
    assert image(url) == ImagePart(url=url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.com/a.png?sig=s3cr3t", "http://example.com/a.png is not https"),
        ("http://127.0.0.1.example.com/a", "is not https"),
        ("https://me:s3cr3t@example.com/a", "the image at example.com holds a user name or a password"),
        ("ftp://example.com/a", "not ftp"),
        ("https:///a.png", "names no host"),
        ("https://exa mple.com/a", "names no host"),
        ("https://example.com/\x1b[31m", "what no URL may"),
        ("data:image/png,abc", "does not hold base64"),
        ("data:image/png;base64,aGVs!bG8=", "is not base64"),
        ("data:image/png;base64,aGVsbG8=", "is not an image that models read"),
    ],
)
def test_addresses_that_would_fail_or_leak_are_refused(url: str, words: str) -> None:
    error = refused(url, image)
    assert words in error.message
    assert "s3cr3t" not in error.message


def test_a_data_url_is_taken_by_its_content_too() -> None:
    payload = base64.b64encode(JPEG).decode()
    assert image(f"data:image/png;base64,{payload[:8]}%0A{payload[8:]}") == image_of(JPEG, "x")


# --- together ------------------------------------------------------------------------------------------------


def test_files_stand_before_the_prompt_and_images_before_the_text() -> None:
    files = [TextFile(name="a", text="1", size=1), TextFile(name="b.c", text="2\n", size=2)]
    text = "a:\n```\n1\n```\n\nb.c:\n```c\n2\n```\n\nCompare."
    one, two = ImagePart(url="https://h/1"), ImagePart(url="https://h/2")
    assert combine("Hi") == "Hi"
    assert combine("Compare.", files) == text
    assert combine("Compare.", files, [two, one]) == (two, one, TextPart(text=text))
    assert combine("", [], [one]) == (one,)


def test_images_for_a_model_that_reads_none_are_refused_and_others_are_not() -> None:
    with pytest.raises(InvalidInputError, match="lab/m is known to read no images"):
        check_vision(TARGET, Model(id="m", vision=False))
    check_vision(TARGET, Model(id="m", vision=True))
    check_vision(TARGET, Model(id="m"))
    check_vision(TARGET, None)
