"""The clipboard: which program or terminal gets the text, and what is reported if none does."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from terminal import Pty, on_terminal

from telex import clipboard
from telex.clipboard import ClipboardError, copy, paste
from telex.console import Console

TEXT = "grüße \x1b[31m\n" * 3
OSC_52 = f"\x1b]52;c;{base64.b64encode(TEXT.encode()).decode()}\a"
SENT = "Sent to the clipboard of the terminal, if it supports OSC 52."
X11, WAYLAND, SSH = {"DISPLAY": ":9"}, {"WAYLAND_DISPLAY": "w"}, {"SSH_CONNECTION": "a 1 b 2"}


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder of programs that share one clipboard, the file "clip", and a few basic ones."""
    for name in ("cat", "sleep", "sh"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    return tmp_path


def program(folder: Path, name: str, script: str = "") -> None:
    """A stand-in for xclip or wl-copy; like them, it leaves a process behind that keeps stdout and stderr open."""
    path = folder / name
    paste_or_copy = (
        f'case "$*" in *out*|*no-newline*) cat {folder}/clip;; *) cat > {folder}/clip; sleep 60 & ;; esac'
    )
    path.write_text(f"#!/bin/sh\n{script or paste_or_copy}\n")
    path.chmod(0o755)


@contextlib.contextmanager
def no_terminal(folder: Path, **env: str):
    yield Console(environ={"PATH": str(folder), **env})


@pytest.mark.parametrize(
    ("installed", "env", "way"),
    [
        ("xclip xsel wl-copy", X11, "xclip"), ("xsel", X11, "xsel"), ("xclip wl-copy", X11 | WAYLAND, "wl-copy"),
        ("xclip wl-copy", {}, ""), ("xclip", X11 | SSH, ""), ("xclip tmux", X11 | SSH | {"TMUX": "/s,1,0"}, "tmux"),
        ("clip.exe", {"WSL_DISTRO_NAME": "Debian"}, "clip.exe"), ("", X11, ""),
    ],
)  # fmt: skip
def test_program_comes_first_here_and_the_terminal_over_ssh(
    programs: Path, installed: str, env: dict[str, str], way: str
) -> None:
    for name in installed.split():
        program(programs, name)
    with on_terminal(PATH=str(programs), **env) as (screen, console):
        started = time.monotonic()
        assert copy(console, TEXT) == (f"Copied to the clipboard ({way})." if way else SENT)
        assert time.monotonic() - started < 30, "it waited for the process that keeps the clipboard"
    assert screen.getvalue() == ("" if way else OSC_52)
    if not screen.getvalue():
        encoding = "utf-16" if way == "clip.exe" else "utf-8"
        assert (programs / "clip").read_bytes().decode(encoding) == TEXT


def test_over_ssh_without_a_terminal_a_program_is_used(programs: Path) -> None:
    program(programs, "xclip")
    with no_terminal(programs, **SSH, **X11) as console:
        assert copy(console, TEXT) == "Copied to the clipboard (xclip)."


def test_program_that_fails_is_followed_by_the_next(programs: Path) -> None:
    program(programs, "wl-copy", "echo no compositor >&2; exit 1")
    program(programs, "xclip", "exit 3")
    with on_terminal(PATH=str(programs), **X11, **WAYLAND) as (_, console):
        assert copy(console, TEXT) == SENT
    with no_terminal(programs, **X11, **WAYLAND) as console, pytest.raises(ClipboardError) as caught:
        copy(console, TEXT)
    assert caught.value.message == (
        "the clipboard cannot be written: wl-copy: no compositor; xclip exited with code 3"
    )


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({}, "there is no graphical session"),
        (X11, "no program for it is installed\nInstall xclip."),
        (WAYLAND, "no program for it is installed\nInstall wl-clipboard."),
        (X11 | {"TERM": "dumb"}, "no program for it is installed\nInstall xclip."),
    ],
)
def test_missing_program_is_named(programs: Path, env: dict[str, str], words: str) -> None:
    with no_terminal(programs, **env) as console:
        for by, what in ((lambda: copy(console, TEXT), "written"), (lambda: paste(console), "read")):
            with pytest.raises(ClipboardError) as caught:
                by()
            assert caught.value.message == f"the clipboard cannot be {what}: {words}"
            assert caught.value.exit_code == 1


def test_program_that_hangs_is_stopped(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(programs, "xclip", "exec sleep 60")
    monkeypatch.setattr(clipboard, "_SECONDS", 0.3)
    with no_terminal(programs, **X11) as console, pytest.raises(ClipboardError, match="did not end"):
        paste(console)


def test_system_without_a_folder_for_temporary_files_is_an_error(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(programs, "xclip")
    monkeypatch.setattr(tempfile, "tempdir", str(programs / "missing"))
    with no_terminal(programs, **X11) as console:
        for act in (lambda: copy(console, TEXT), lambda: paste(console)):
            with pytest.raises(ClipboardError, match="xclip cannot be started: No such file"):
                act()


def test_too_long_text_is_not_sent_to_the_terminal(programs: Path) -> None:
    with (
        on_terminal(PATH=str(programs)) as (screen, console),
        pytest.raises(ClipboardError, match="too long for"),
    ):
        copy(console, "x" * 800_000)
    assert screen.getvalue() == ""


def test_in_tmux_the_sequence_is_passed_through(programs: Path) -> None:
    with on_terminal(PATH=str(programs), TMUX="/s,1,0") as (screen, console):
        assert copy(console, TEXT) == SENT
    assert screen.getvalue() == "\x1bPtmux;\x1b" + OSC_52 + "\x1b\\"


def test_paste_returns_the_bytes_of_the_clipboard(programs: Path) -> None:
    program(programs, "wl-paste")
    (programs / "clip").write_bytes(b"\x89PNG\r\n\x1a\n\xff")
    with on_terminal(PATH=str(programs), **WAYLAND, **SSH) as (screen, console):
        assert paste(console) == b"\x89PNG\r\n\x1a\n\xff"
    assert screen.getvalue() == "", "the terminal was asked"
    with no_terminal(programs, **SSH) as console, pytest.raises(ClipboardError, match="remote machine"):
        paste(console)


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_tmux_passes_the_text_on_to_its_terminal(tmp_path: Path) -> None:
    script = tmp_path / "copy.py"
    script.write_text(
        "import os\nfrom telex.clipboard import copy\nfrom telex.console import Console\n"
        f"print(copy(Console(environ=os.environ), {TEXT!r}), flush=True)\ninput()\n"
    )
    tmux = ["tmux", "-L", f"telex-{os.getpid()}", "-f", "/dev/null"]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", **SSH}
    with Pty([*tmux, "new", f"{sys.executable} {script}"], env=env) as terminal:
        try:
            terminal.wait_for(r"\(tmux\)")
            while OSC_52[6:-1].encode() not in terminal.raw:
                assert terminal.read(60), terminal.raw
        finally:
            subprocess.run([*tmux, "kill-server"], env=env, check=False)
