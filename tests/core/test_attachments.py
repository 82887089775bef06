"""Attachments: text in fenced blocks, images by their content, errors, and estimates of the tokens."""

from __future__ import annotations

import base64
import codecs
import os
import socket
import struct
import sys
import threading
import time
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_core.attachments import (
    TextFile,
    check_parts,
    check_window,
    combine,
    estimate_tokens,
    image,
    image_of,
    sniff,
    text_file,
    text_of,
)
from provider_core.errors import AttachmentError, InvalidInputError
from provider_core.types import ImagePart, Message, Model, Provider, Target, TextPart, ToolCall
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


def test_text_file_is_its_name_and_its_text_between_fences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("src").mkdir()
    Path("src/hello.py").write_bytes(b"print('gr\xc3\xbc\xc3\x9fe')\n")
    found = text_file("src/hello.py")
    assert (found.name, found.text, found.size) == ("src/hello.py", "print('grüße')\n", 17)
    assert found.as_block() == "src/hello.py:\n```py\nprint('grüße')\n```"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert text_file("~/src/hello.py").text == found.text


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("a.rs", "rs"), ("A.PY", "py"), ("a.txt", ""), ("py", ""), (".bashrc", ""), ("x.tar.yaml", "yaml"),
        ("a.`b", ""),
    ],
)  # fmt: skip
def test_fence_names_the_language(name: str, language: str) -> None:
    assert TextFile(name=name, text="x", size=1).as_block() == f"{name}:\n```{language}\nx\n```"


@given(st.text(alphabet="`~ab\n ", max_size=60))
def test_no_text_can_close_its_own_fence(text: str) -> None:
    block = TextFile(name="x", text=text, size=0).as_block()
    assert first_block(block) == (text if text.endswith("\n") or not text else f"{text}\n")


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"), (b"", "utf-8"),
    ],
)  # fmt: skip
def test_byte_order_mark_selects_the_encoding_and_is_removed(mark: bytes, encoding: str) -> None:
    text = "grüße \x1b[31mred\x0c\r\n"
    assert text_of(mark + text.encode(encoding), "x").text == text
    assert text_of(mark, "x").text == ""


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("grüße".encode("latin-1"), "byte 3 of 5 is not valid UTF-8"),
        (b"one\0two", "it contains NUL characters"),
        (codecs.BOM_UTF16_LE + b"a\0\x00\xd8", "byte 5 of 6 is not valid UTF-16"),
        (png(), "it looks like a PNG image"),
        (b"%PDF-1.7\nall of it ASCII", "it looks like a PDF document"),
        (b"PK\x03\x04\x14\0\0\0\x08\0\xff", "it looks like a ZIP archive or an Office document"),
    ],
)
def test_binary_file_is_refused_with_type_and_position(raw: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_bytes(raw)
    error = refused(path)
    assert error.message.startswith(f"{path} is not a text file: ")
    assert words in error.message
    assert error.name == str(path)
    assert error.image == ("PNG" in words)


def test_unreadable_paths_are_refused_by_name(tmp_path: Path) -> None:
    assert refused(tmp_path).message == f"{tmp_path} is a folder, not a file"
    assert refused("").message == "the name of a file is empty"
    assert (
        refused(tmp_path / "no\x1b[31m").message
        == f"{tmp_path}/no\\x1b[31m cannot be read: No such file or directory"
    )
    assert "not ftp" in refused("ftp://me:s3cr3t@example.com/a").message
    assert "s3cr3t" not in refused("ftp://me:s3cr3t@example.com/a").message
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        assert "cannot be read" in refused(tmp_path / "s").message


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_file_without_permission_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").touch(mode=0)
    assert "Permission denied" in refused(tmp_path / "x").message


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such device")
def test_endless_device_is_read_up_to_the_limit() -> None:
    assert refused("/dev/zero").message == "/dev/zero is too large: a text file may have at most 10 MB"


def test_too_large_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.touch()
    for by, words in (
        (text_file, "a text file may have at most 10"),
        (image, "an image may have at most 20"),
    ):
        os.truncate(path, 52_400_000_000)
        assert f"big is too large: {words} MB" in refused(path, by).message
    with pytest.raises(AttachmentError, match="stdin is too large: a text file"):
        text_of(b"x" * 12_000_000, "stdin")


@pytest.mark.skipif(os.name != "posix", reason="there are no such pipes")
def test_pipe_is_read_to_its_end(tmp_path: Path) -> None:
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


# --- images --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media", IMAGES)
def test_image_has_the_type_of_its_content(media: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.txt"
    path.write_bytes(IMAGES[media])
    encoded = base64.b64encode(IMAGES[media]).decode()
    assert image(path).url == f"data:{media};base64,{encoded}"
    assert image(f"file://{path}") == image(path) == image_of(IMAGES[media], "x")
    assert image(f"data:image/other;base64,{encoded[:8]}%0A{encoded[8:]}") == image(path)
    assert sniff(IMAGES[media]) == media


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0", "it looks like an HEIC image"),
        (b"\0\0\0\x1cftypavif", "it looks like an AVIF image"),
        (b'<?xml version="1.0"?>\n<!-- a --><svg xmlns="x">', "it looks like an SVG image"),
        (b"%PDF-1.4", "it looks like a PDF document"),
        (b"BMW makes cars", "it is text"),
        (b"", "it is empty"),
    ],
)
def test_other_content_is_not_an_image(raw: bytes, why: str) -> None:
    with pytest.raises(AttachmentError) as caught:
        image_of(raw, "x")
    assert caught.value.message == f"x is not a PNG, JPEG, GIF or WebP image: {why}"
    assert sniff(raw) is None


@pytest.mark.parametrize(
    "url",
    ["HTTPS://example.com/a.png?sig=1%2F2", "http://127.0.0.1:9/a", "http://localhost/a", "http://[::1]:8/a"],
)
def test_address_is_sent_unchanged(url: str) -> None:
    assert image(url) == ImagePart(url=url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.com/a.png?sig=s3cr3t", "http://example.com/a.png is not https"),
        ("http://127.0.0.1.example.com/a", "is not https"),
        ("https://me:s3cr3t@example.com/a", "the image at example.com contains a user name or password"),
        ("ftp://example.com/a", "not ftp"),
        ("https:///a.png", "is not a valid URL"),
        ("https://exa mple.com/a", "is not a valid URL"),
        ("https://example.com/\x1b[31m", "is not a valid URL"),
        ("data:image/png,abc", "does not contain valid base64"),
        ("data:image/png;base64,aGVs!bG8=", "does not contain valid base64"),
        ("data:image/png;base64,aGVsbG8=", "is not a PNG, JPEG, GIF or WebP image"),
    ],
)
def test_address_that_would_fail_or_leak_a_password_is_refused(url: str, words: str) -> None:
    error = refused(url, image)
    assert words in error.message
    assert "s3cr3t" not in error.message


# --- the message and the model -------------------------------------------------------------------------------


def test_files_come_before_the_prompt_and_images_before_the_text() -> None:
    files = [TextFile(name="a", text="1", size=1), TextFile(name="b.c", text="2\n", size=2)]
    text = "a:\n```\n1\n```\n\nb.c:\n```c\n2\n```\n\nCompare."
    one, two = ImagePart(url="https://h/1"), ImagePart(url="https://h/2")
    assert combine("Hi") == "Hi"
    assert combine("Compare.", files) == text
    assert combine("Compare.", files, [two, one]) == (two, one, TextPart(text=text))
    assert combine("", [], [one]) == (one,)


def test_only_a_model_that_is_known_to_read_no_images_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="lab/m cannot read images"):
        check_parts(TARGET, Model(id="m", vision=False), [ImagePart(url="https://h/1")])
    for model in (Model(id="m", vision=True), Model(id="m"), None):
        check_parts(TARGET, model, [ImagePart(url="https://h/1")])
    check_parts(TARGET, Model(id="m", vision=False), [TextPart(text="x")])


def prompt(text: str) -> list[Message]:
    return [Message(role="user", content=text)]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("abcd" * 100, 100), ("一二三" * 100, 225), ("каша " * 10, 22.5), ("\ud800", 0.25)],
)
def test_tokens_are_estimated_by_bytes(text: str, tokens: float) -> None:
    assert estimate_tokens(prompt(text)) == -int(-(tokens + 4) // 1)


def test_images_tool_calls_reasoning_and_messages_have_tokens() -> None:
    picture = Message(role="user", content=(ImagePart(url="data:" + "x" * 99_999), TextPart(text="abcd")))
    call = ToolCall(id="1", name="ab", arguments="{}")
    called = Message(role="assistant", reasoning="abcd", tool_calls=(call,))
    assert estimate_tokens([picture]) == 1005
    assert estimate_tokens([picture, called]) == 1005 + 6
    started = time.perf_counter()
    estimate_tokens(prompt("naïve 一 text, " * 700_000))
    assert time.perf_counter() - started < 30


def test_prompt_that_exceeds_a_known_window_is_reported_with_the_numbers() -> None:
    model = Model(id="m", context=8192)
    assert check_window(TARGET, model, prompt("word " * 9000)) == (
        "The prompt is about 11,000 tokens; lab/m takes 8,192 in all. It is sent completely, and may be refused. "
        "(The count is an estimate.)"
    )
    long = check_window(TARGET, model, prompt("word " * 6000), 1000) or ""
    assert "about 7,500 tokens, and up to 1,000 are requested for the answer; lab/m takes 8,192" in long
    assert check_window(TARGET, model, prompt("word " * 6000)) is None
    assert check_window(TARGET, Model(id="m"), prompt("word " * 9000)) is None
    assert check_window(TARGET, None, prompt("word " * 9000)) is None
