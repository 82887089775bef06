"""PDFs and recordings as attachments: text, pages, parts of a message, and files that would never end."""

from __future__ import annotations

import base64
import io
import os
import re
import sys
import tempfile
import time
import wave
from pathlib import Path
from typing import Any

import pytest
from pdf_files import pdf, words_of_page

from provider_core import limits
from provider_core.attachments import (
    TextFile,
    accepts_pdf,
    check_parts,
    combine,
    estimate_tokens,
    load,
    load_bytes,
    part_size,
)
from provider_core.errors import AttachmentError, InvalidInputError
from provider_core.presets import get
from provider_core.request import wire_part
from provider_core.types import AudioPart, FilePart, Message, Model, Part, Provider, Target

THREE = pdf(words_of_page("First page"), words_of_page("Second page"), words_of_page("Third page"))


def refused(data: bytes, **options: Any) -> AttachmentError:
    with pytest.raises(AttachmentError) as caught:
        load_bytes(data, "x.pdf", **options)
    return caught.value


def target(preset: str, model: str) -> Target:
    found = get(preset)
    assert found is not None
    return Target(provider=Provider(name=preset, quirks=found.quirks), model=model)


# --- text and pages ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "text", "title"),
    [
        ("", "[page 1]\nFirst page\n\n[page 2]\nSecond page\n\n[page 3]\nThird page\n", "x.pdf"),
        (":2", "[page 2]\nSecond page\n", "x.pdf, page 2"),
        (":2-3", "[page 2]\nSecond page\n\n[page 3]\nThird page\n", "x.pdf, pages 2-3"),
        (":3-", "[page 3]\nThird page\n", "x.pdf, pages 3-"),
    ],
)
def test_pdf_becomes_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, text: str, title: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.pdf").write_bytes(THREE)
    found = load(f"x.pdf{suffix}")
    assert isinstance(found, TextFile)
    assert (found.text, found.title, found.size) == (text, title, len(THREE))
    assert found.as_block() == f"{title}:\n```\n{text}```"


def test_pdf_is_a_file_for_models_that_accept_it(tmp_path: Path) -> None:
    (tmp_path / "x.pdf").write_bytes(THREE)
    found = load(tmp_path / "x.pdf", pdf_as_file=True)
    assert isinstance(found, FilePart)
    assert (found.name, base64.b64decode(found.url.partition(",")[2])) == (f"{tmp_path}/x.pdf", THREE)
    assert wire_part(found) == {"type": "file", "file": {"filename": found.name, "file_data": found.url}}
    assert found.url.startswith("data:application/pdf;base64,")
    cut = load(f"{tmp_path}/x.pdf:2-3", pdf_as_file=True)
    assert isinstance(cut, FilePart)
    text = load_bytes(base64.b64decode(cut.url.partition(",")[2]), "cut")
    assert isinstance(text, TextFile)
    assert re.findall(r"\w+ page\n", text.text) == ["Second page\n", "Third page\n"]
    assert estimate_tokens([Message(role="user", content=(found,))]) == 4504
    assert estimate_tokens([Message(role="user", content=(cut,))]) == 3004


@pytest.mark.parametrize(
    ("preset", "model", "accepted"),
    [
        ("openai", "gpt-4o", True), ("openai", "gpt-4o-audio-preview", False),
        ("openrouter", "openai/gpt-6-luna", True), ("openrouter", "deepseek/deepseek-chat", False),
        ("anthropic", "claude-opus-5", False),
    ],
)  # fmt: skip
def test_models_that_accept_pdfs_are_known_by_preset_and_name(
    preset: str, model: str, accepted: bool
) -> None:
    assert accepts_pdf(target(preset, model)) == accepted


def test_parts_that_a_model_cannot_read_are_refused() -> None:
    file, audio = FilePart(name="x", url="data:,"), AudioPart(data="", format="wav")
    check_parts(target("openai", "gpt-4o"), None, [file, audio])
    for part, model, code in ((file, None, "no_pdf"), (audio, Model(id="m", audio=False), "no_audio")):
        parts: list[Part] = [part]
        with pytest.raises(InvalidInputError) as caught:
            check_parts(target("groq", "m"), model, parts)
        assert caught.value.code == code


# --- hostile PDFs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (pdf(b"BT (x) Tj ET " * 20_000_000), "it unfolds to too much data"),
        (pdf(bytes(1_000_000_000), compressed=2), "it unfolds to too much data"),
        (pdf(words_of_page("x"), kids=b"2 0 R"), "it is damaged (PdfReadError)"),
        (b"%PDF-1.7", "it is damaged"),
        (b"%PDF-1.7\n" + os.urandom(100_000), "it is damaged"),
        (THREE[:-200], "it is damaged"),
    ],
    ids=["bomb", "double", "loop", "empty", "random", "cut"],
)
def test_broken_or_unfolding_pdf_is_an_error(data: bytes, why: str) -> None:
    assert refused(data).message.startswith(f"x.pdf cannot be used: {why}")


def test_pdf_that_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EXTRACT_TIME", 2.0)
    data = pdf(b"BT /F1 1 Tf " + b"(xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx) Tj " * 900_000 + b"ET")
    started = time.monotonic()
    assert refused(data).message == "x.pdf cannot be used: reading it takes more than 2 seconds"
    assert time.monotonic() - started < 30


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit memory so")
def test_pdf_that_needs_too_much_memory_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EXTRACT_MEMORY", 100 << 20)
    error = refused(pdf(b"BT /F1 1 Tf " + b"(xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx) Tj " * 900_000 + b"ET"))
    assert error.message == "x.pdf cannot be used: reading it takes more than 100 MB of memory"


def test_text_of_a_pdf_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EXTRACTED", 100)
    assert "its text has more than 0 MB" in refused(pdf(words_of_page("word " * 50))).message


@pytest.mark.parametrize("size", [3, 100_000])
def test_text_of_a_pdf_that_fills_the_disk_is_an_error(size: int) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))  # of each file, as a full disk
    try:
        assert (
            "the process that reads it failed; check that the disk"
            in refused(pdf(words_of_page("x" * size))).message
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_system_without_a_folder_for_temporary_files_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    assert refused(THREE).message == "x.pdf cannot be read: No such file or directory"


def test_too_large_pdf_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "x.pdf"
    path.write_bytes(THREE)
    os.truncate(path, 60_000_000)
    with pytest.raises(AttachmentError, match="too large: a PDF may have at most 50 MB"):
        load(path)


def test_scanned_pages_and_passwords_and_missing_pages_are_named() -> None:
    from pypdf import PdfReader, PdfWriter

    assert refused(pdf(b"")).message.startswith("x.pdf has no text: its pages are images")
    for password, words_ in (("secret", "it is protected by a password"), ("", "")):
        writer, file = PdfWriter(PdfReader(io.BytesIO(THREE))), io.BytesIO()
        writer.encrypt(password, owner_password="owner", algorithm="AES-256")
        writer.write(file)
        if words_:
            assert words_ in refused(file.getvalue()).message
        else:
            assert "First page" in getattr(load_bytes(file.getvalue(), "x"), "text", "")


def test_page_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.pdf").write_bytes(THREE)
    with pytest.raises(AttachmentError, match="it has 3 pages, so there is no page 4"):
        load(f"{tmp_path}/x.pdf:4-5")


def test_process_that_reads_a_pdf_gets_no_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "pypdf.py").write_text(
        "import os\nraise ValueError if 'OPENAI_API_KEY' in os.environ else ImportError\n"
    )
    error = refused(THREE)
    assert (error.code, error.message) == (
        "no_pypdf", "x.pdf cannot be read, because the package pypdf is not installed",
    )  # fmt: skip


# --- recordings ----------------------------------------------------------------------------------------------


def recording(seconds: float) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(int(16_000 * seconds)))
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "format_"),
    [
        (recording(1), "wav"), (b"ID3\x04\0...", "mp3"), (b"\xff\xfb\x90...", "mp3"), (b"fLaC\0", "flac"),
        (b"OggS\0\x02", "ogg"), (b"\0\0\0\x20ftypM4A ", "m4a"), (b"FORM\0\0\0\0AIFF", "aiff"), (b"\xff\xf1P", "aac"),
    ],
)  # fmt: skip
def test_recording_is_known_by_its_content(tmp_path: Path, data: bytes, format_: str) -> None:
    (tmp_path / "sound").write_bytes(data)
    found = load(tmp_path / "sound")
    assert isinstance(found, AudioPart)
    assert (found.format, base64.b64decode(found.data), part_size(found)) == (format_, data, len(data))
    encoded = {"data": found.data, "format": format_}
    assert wire_part(found) == {"type": "input_audio", "input_audio": encoded}
    assert combine("What?", [], [found]) == (found, *combine("What?", [], [found])[1:])


def test_tokens_of_a_recording_follow_its_duration() -> None:
    found = load_bytes(recording(10), "x")
    assert isinstance(found, AudioPart)
    assert 320 <= estimate_tokens([Message(role="user", content=(found,))]) <= 330
