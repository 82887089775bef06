"""Attachments on the command line: how each is reported, PDFs and recordings by model, and the clipboard."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pdf_files
import pytest
from inprocess import Inside
from scripted import Answer, Pause, Scripted, answer, delta, sse

from telex.humanize import size

if TYPE_CHECKING:
    from running import Telex

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
WAV = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data" + bytes(16_000)
CLIPBOARD = '#!/bin/sh\ncase "$*" in *-out*) cat {0};; *) cat > {0};; esac\n'


@pytest.fixture
def pdf() -> bytes:
    """A PDF with the text "Hello" on two pages."""
    return pdf_files.pdf(*[pdf_files.words_of_page("Hello")] * 2)


@pytest.fixture
def lab(telex: Telex, server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """Runs in this process, in a folder of its own. The provider "lab" is unknown, and "open" like OpenAI."""
    server.will(answer("Yes.\n\n```py\nx = 1\n```"))
    telex.provider("lab", server.url, models=["m", "n"])
    telex.provider("open", server.url, models=["gpt-4o"], preset="openai")
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    inside = Inside(telex.home)
    inside.env["TELEX_MODEL"] = "lab/m"
    return inside


@pytest.fixture
def clipboard(lab: Inside, tmp_path: Path) -> Path:
    """The file that stands for the clipboard of an X11 session."""
    folder, file = tmp_path / "programs", tmp_path / "clipboard"
    folder.mkdir()
    (folder / "xclip").write_text(CLIPBOARD.format(file))
    (folder / "xclip").chmod(0o755)
    lab.env |= {"PATH": f"{folder}:{os.environ['PATH']}", "DISPLAY": ":9"}
    return file


def content(server: Scripted, message: int = -1) -> Any:
    return server.asked[-1].body["messages"][message]["content"]


# --- reports -------------------------------------------------------------------------------------------------


def test_each_attachment_is_reported_with_its_size_and_tokens(
    lab: Inside, server: Scripted, pdf: bytes
) -> None:
    Path("src/in").mkdir(parents=True)
    Path("src/in/a.py").write_text("x = 1\n" * 300)
    Path("src/b.png").write_bytes(PNG)
    Path("src/link").symlink_to("/etc/passwd")
    Path("src/.env").write_text("KEY")
    Path("x.pdf").write_bytes(pdf)
    Path("a.wav").write_bytes(WAV)
    options = ["-f", "src", "-f", "src/**/*.py", "-f", "src/in/a.py:2-3", "-f", "x.pdf:1", "-f", "a.wav"]
    ran = lab("chat", *options, "Why?")
    assert ran.code == 0
    assert ran.err.replace("Reading x.pdf:1.\n", "") == (  # a note that only a busy machine needs
        "Attached: src (1 file, 1.8 kB, ~460 tokens; skipped: 1 binary, 1 hidden or ignored, 1 linked)\n"
        "Attached: src/**/*.py (1 file, 1.8 kB, ~460 tokens)\n"
        "Attached: src/in/a.py, lines 2-3 (12 bytes, ~3 tokens)\n"
        f"Attached: x.pdf, page 1 ({size(len(pdf))}, ~4 tokens)\n"
        "Attached: a.wav (recording, 16.0 kB, ~33 tokens)\n"
    )
    audio, text = content(server)
    assert audio["input_audio"] == {"data": base64.b64encode(WAV).decode(), "format": "wav"}
    order = ["src/in/a.py:", "src/in/a.py, lines 2-3:", "x.pdf, page 1:\n```\n[page 1]\nHello\n```", "Why?"]
    assert [text["text"].index(each) for each in order] == sorted(text["text"].index(each) for each in order)
    assert lab("chat", "-q", *options, "Why?").err == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_of_a_folder_that_cannot_be_read_are_named(lab: Inside) -> None:
    Path("src").mkdir()
    Path("src/a").write_text("a")
    for number in range(7):
        Path(f"src/{number}").touch(mode=0)
    ran = lab("chat", "-f", "src", "Why?")
    assert ran.err.splitlines()[0] == "Attached: src (1 file, 1 byte, ~4 tokens; skipped: 7 unreadable)"
    assert ran.err.splitlines()[1] == "Not attached: src/0 (Permission denied)"
    assert ran.err.splitlines()[6:] == ["Not attached: 2 more that cannot be read"]


def test_files_that_are_too_large_together_send_nothing(lab: Inside, server: Scripted) -> None:
    for name in ("one", "two"):
        Path(name).mkdir()
        Path(name, "a.txt").write_text("x" * 600)
    ran = lab("chat", "--attach-limit", "1kB", "-f", "one", "-f", "two", "Why?")
    assert (ran.code, server.asked) == (2, [])
    assert "two is too large: 0.6 kB in 1 text file, names included" in ran.err
    assert "--attach-limit 10MB" in ran.err
    assert lab("chat", "--attach-limit", "2kB", "-f", "one", "-f", "two", "Why?").code == 0


@pytest.mark.parametrize("value", ["0", "-1", "1TB", "big", "1e9"])
def test_attach_limit_is_a_size(lab: Inside, value: str) -> None:
    ran = lab("chat", "--attach-limit", value, "Why?")
    assert ran.code == 2
    assert "is not a size, such as 500kB or 10MB" in ran.err


def test_a_page_that_cannot_be_fetched_sends_nothing(lab: Inside, server: Scripted) -> None:
    ran = lab("chat", "-f", "http://127.0.0.1:1/", "Why?")
    assert (ran.code, server.asked) == (7, [])
    ran = lab("chat", "--json", "-f", "http://me:s3cr3t@example.com/", "Why?")
    assert (ran.code, server.asked) == (2, [])
    assert json.loads(ran.out)["error"]["exit_code"] == 2
    assert "s3cr3t" not in ran.err + ran.out.decode()


@pytest.mark.parametrize(("option", "notes"), [("--no-save", 1), ("-q", 0)])
def test_a_note_says_what_takes_long(lab: Inside, server: Scripted, option: str, notes: int) -> None:
    url = f"{server.url}/slow"
    plain = {"content-type": "text/plain"}
    server.will(Answer([Pause(1.5), b"late"], headers=plain), Answer(answer("Yes.")))
    ran = lab("chat", option, "-f", url, "Why?")
    assert (ran.code, content(server)) == (0, f"{url}:\n```\nlate\n```\n\nWhy?")
    assert ran.err.count(f"Reading {url}.\n") == notes


# --- PDFs and recordings by model ----------------------------------------------------------------------------


def test_pdf_is_a_file_for_a_model_that_accepts_it_and_text_for_others(
    lab: Inside, server: Scripted, pdf: bytes
) -> None:
    Path("x.pdf").write_bytes(pdf)
    ran = lab("chat", "-m", "open/gpt-4o", "-f", "x.pdf", "Why?")
    assert f"Attached: x.pdf (PDF, {size(len(pdf))}, ~3,000 tokens)" in ran.err
    url = f"data:application/pdf;base64,{base64.b64encode(pdf).decode()}"
    file = {"type": "file", "file": {"filename": "x.pdf", "file_data": url}}
    assert content(server) == [file, {"type": "text", "text": "Why?"}]
    lab("chat", "-c", "And now?")
    assert content(server, -3)[0] == file, "it is saved"
    ran = lab("history", "export", "--all")
    assert "[x.pdf, application/pdf, 1 kB]" in ran.out.decode()
    ran = lab("chat", "-c", "-m", "lab/m", "And now?")
    assert (ran.code, len(server.asked)) == (2, 2)
    assert "lab/m cannot read PDFs as they are (the conversation has some)" in ran.err
    for options in (["-f", "x.pdf"], ["-f", "-"], []):
        lab(
            "chat",
            "-m",
            "open/gpt-4o",
            "-m",
            "lab/m",
            *options,
            "Why?",
            stdin=b"" if "x.pdf" in options else pdf,
        )
        assert "[page 2]\nHello\n" in content(server)


# --- the clipboard -------------------------------------------------------------------------------------------


def test_copy_copies_a_complete_answer(lab: Inside, server: Scripted, clipboard: Path) -> None:
    ran = lab("chat", "--copy", "Hi")
    assert (ran.code, ran.err) == (0, "Copied to the clipboard (xclip).\n")
    assert clipboard.read_text() == "Yes.\n\n```py\nx = 1\n```"
    assert lab("chat", "--copy", "-x", "-q", "Hi").err == ""
    assert clipboard.read_text() == "x = 1\n"
    server.will(Answer(sse(delta(content="Half"))))
    ran = lab("chat", "--copy", "Hi")
    assert (ran.code, clipboard.read_text()) == (6, "x = 1\n")


def test_copy_that_fails_is_an_error_after_the_answer(lab: Inside) -> None:
    ran = lab("chat", "--copy", "Hi", env={"DISPLAY": ""})
    assert (ran.code, ran.out[:4]) == (1, b"Yes.")
    assert ran.err == "telex: the clipboard cannot be written: there is no graphical session\n"
    ran = lab("chat", "--copy", "-m", "lab/m", "-m", "lab/n", "Hi")
    assert "--copy works with one model only" in ran.err


@pytest.mark.parametrize(
    ("data", "sent"),
    [
        (b"some text", "clipboard:\n```\nsome text\n```\n\nHi"),
        (PNG, [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"}},
               {"type": "text", "text": "Hi"}]),
    ],
)  # fmt: skip
def test_paste_attaches_the_clipboard(
    lab: Inside, server: Scripted, clipboard: Path, data: bytes, sent: object
) -> None:
    clipboard.write_bytes(data)
    ran = lab("chat", "--paste", "Hi")
    assert (ran.code, content(server)) == (0, sent)
    assert ran.err.startswith("Attached: clipboard (")
