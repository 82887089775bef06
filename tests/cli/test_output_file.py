"""``-o FILE``: the complete answer or the file as it was, and no request if the file cannot be written."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from inprocess import Inside
from running import COMMAND, QUOTED, took, within
from scripted import DONE, Answer, Cut, Pause, Scripted, answer, delta, sse
from terminal import Pty

if TYPE_CHECKING:
    from running import Telex

ANSWER, OLDER = b"The sky is blue.\n", b"older\n"
CUT: list[Any] = [*sse(delta("half")), Cut()]
REFUSED = Answer([b'{"error":{"message":"no"}}'], status=401)
ROOT = os.name == "posix" and os.geteuid() == 0


@pytest.fixture
def process(telex: Telex, server: Scripted) -> Telex:
    telex.provider("lab", server.url)
    server.will(answer("The sky", " is blue."))
    return telex


@pytest.fixture
def lab(process: Telex) -> Inside:
    return Inside(process.home)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A file that does not exist, in an empty folder."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "answer.txt"


def partial_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.partial")


def names(out: Path) -> list[str]:
    return sorted(path.name for path in out.parent.iterdir())


def bash(process: Telex, script: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["bash", "-c", script], env=process.env, stdin=subprocess.DEVNULL,
                          capture_output=True, check=False, timeout=60, **options)  # fmt: skip


# --- the answer or the file as it was --------------------------------------------------------------------------


def test_the_file_has_what_stdout_would_have_had(lab: Inside, process: Telex, out: Path) -> None:
    out.write_bytes(OLDER)
    out.chmod(0o640)
    ran = lab("chat", "-o", str(out), "hi")
    assert (ran.code, ran.out, ran.err) == (0, b"", "")
    assert (out.read_bytes(), stat.S_IMODE(out.stat().st_mode)) == (ANSWER, 0o640)
    longest = out.with_name("ü" * 127)
    assert lab("chat", "-o", str(longest), "hi").code == 0
    assert (longest.read_bytes(), len(names(out))) == (ANSWER, 2)
    assert process("chat", "-o", "other.txt", "hi", cwd=out.parent).code == 0
    assert out.with_name("other.txt").read_bytes() == ANSWER
    ran = process("chat", "-o", "-", "hi", cwd=out.parent)
    assert (ran.code, ran.out, len(names(out))) == (0, ANSWER, 3)


@pytest.mark.parametrize("before", [OLDER, None])
@pytest.mark.parametrize(
    ("body", "code", "kept"),
    [
        (CUT, 6, b"half\n"),
        (answer("so far", finish="content_filter"), 6, b"so far\n"),
        (answer(), 6, None),
        (REFUSED, 4, None),
    ],
)
def test_an_incomplete_answer_goes_to_a_partial_file(
    lab: Inside, server: Scripted, out: Path, body: Any, code: int, kept: bytes | None, before: bytes | None
) -> None:
    if before is not None:
        out.write_bytes(before)
    server.will(body)
    ran = lab("chat", "-o", str(out), "--retries", "0", "hi")
    assert (ran.code, ran.out) == (code, b"")
    assert (out.read_bytes() if out.exists() else None) == before
    partial = partial_of(out)
    assert (partial.read_bytes() if partial.exists() else None) == kept
    assert (f"The incomplete output is in {partial}; {out} " in ran.err) == (kept is not None)
    if kept is not None:
        assert ("is unchanged." if before else "was not written.") in ran.err
    assert set(names(out)) <= {out.name, partial.name}


def test_the_json_of_a_failure_goes_to_a_partial_file(lab: Inside, server: Scripted, out: Path) -> None:
    out.write_bytes(OLDER)
    server.will(REFUSED)
    assert lab("chat", "--json", "-o", str(out), "hi").code == 4
    assert json.loads(partial_of(out).read_bytes())["verdict"] == "failed"
    assert lab("chat", "--jsonl", "-o", str(out), "-m", "nowhere", "hi").code == 3
    assert json.loads(partial_of(out).read_text().splitlines()[-1])["type"] == "end"
    assert out.read_bytes() == OLDER
    assert lab("chat", "--dry-run", "-o", str(out), "hi").code == 0
    assert json.loads(out.read_bytes())["method"] == "POST"


def test_a_partial_file_gets_another_name_if_its_own_is_taken(
    lab: Inside, server: Scripted, out: Path
) -> None:
    partial_of(out).mkdir()
    server.will(CUT)
    ran = lab("chat", "-o", str(out), "hi")
    (kept,) = set(names(out)) - {"answer.txt.partial"}
    assert (ran.code, kept[:11], kept[-8:]) == (6, "answer.txt.", ".partial")
    assert f"is in {out.with_name(kept)}; " in ran.err
    assert out.with_name(kept).read_bytes() == b"half\n"


@pytest.mark.parametrize(("number", "form"), [(signal.SIGINT, ()), (signal.SIGTERM, ("--json",))])
def test_a_signal_leaves_the_old_file_and_a_partial_one(
    process: Telex, server: Scripted, out: Path, number: signal.Signals, form: tuple[str, ...]
) -> None:
    out.write_bytes(OLDER)
    server.will([*sse(delta("half")), Pause(60), DONE])
    running = process.start("chat", "-o", str(out), *form, "hi")
    assert within(60, lambda: took(running, server))
    assert out.read_bytes() == OLDER
    running.send_signal(number)
    running.communicate(timeout=60)
    assert running.returncode == (130 if number is signal.SIGINT else -number)
    assert (out.read_bytes(), names(out)) == (OLDER, ["answer.txt", "answer.txt.partial"])
    partial = partial_of(out).read_bytes()
    found = json.loads(partial) if form else {"verdict": "interrupted", "text": partial.decode()[:-1]}
    assert (found["verdict"], found["text"]) == ("interrupted", "half")


def test_a_signal_before_the_request_leaves_no_file(process: Telex, server: Scripted, out: Path) -> None:
    server.will([Pause(60)])
    for tenths in range(12):
        running = process.start("chat", "-o", str(out), "hi")
        time.sleep(0.06 + 0.02 * tenths)
        running.terminate()
        running.communicate(timeout=60)
        assert (running.returncode, names(out)) == (-signal.SIGTERM, [])


def test_a_disk_that_fills_up_leaves_the_old_file(process: Telex, server: Scripted, out: Path) -> None:
    """A limit on the size of files stands in for the disk: the write fails in the same way."""
    out.write_bytes(OLDER)
    server.will(answer("x" * 200_000))
    for form in ("--plain", "--json"):
        done = bash(process, f"ulimit -f 64; exec {QUOTED} chat {form} --no-save -o {out} hi")
        assert done.returncode == 1
        assert b"the output cannot be written: File too large" in done.stderr
        assert (out.read_bytes(), names(out)) == (OLDER, ["answer.txt", "answer.txt.partial"])
        assert 0 < partial_of(out).stat().st_size <= 65536


# --- files that cannot be written ------------------------------------------------------------------------------


def test_nothing_is_asked_if_the_file_cannot_be_written(
    lab: Inside, server: Scripted, tmp_path: Path
) -> None:
    folder, loop, file = tmp_path / "folder", tmp_path / "loop", tmp_path / "file"
    folder.mkdir()
    file.touch()
    loop.symlink_to(loop)
    for path, words in (
        (folder, "it is a folder"),
        (Path("/nowhere/at/all.txt"), "no folder /nowhere/at"),
        (file / "below", "Not a directory"),
        (loop, "cannot write"),
        (tmp_path / ("x" * 300), "too long"),
        (Path("/dev/fd/999"), "Bad file descriptor"),
        (Path("/proc/version"), "cannot write" if ROOT else "it is write-protected"),
    ):
        ran = lab("chat", "-o", str(path), "hi")
        assert (ran.code, ran.out) == (2, b""), path
        assert f"cannot write {path}: " in ran.err
        assert words in ran.err
    assert server.asked == []


@pytest.mark.skipif(ROOT, reason="root may write everywhere")
def test_a_write_protected_file_or_folder_is_left_alone(lab: Inside, server: Scripted, out: Path) -> None:
    out.write_bytes(OLDER)
    out.chmod(0o444)
    assert "write-protected" in lab("chat", "-o", str(out), "hi").err
    out.parent.chmod(0o555)
    try:
        ran = lab("chat", "-o", str(out.with_name("new")), "hi")
    finally:
        out.parent.chmod(0o755)
    assert (ran.code, server.asked) == (2, [])
    assert "Permission denied" in ran.err


# --- kinds of files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("umask", "mode"), [("022", 0o644), ("077", 0o600)])
def test_a_new_file_has_the_mode_that_the_umask_gives(
    process: Telex, out: Path, umask: str, mode: int
) -> None:
    assert bash(process, f"umask {umask}; exec {QUOTED} chat -o {out} hi").returncode == 0
    assert stat.S_IMODE(out.stat().st_mode) == mode


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_one_and_its_file_is_written(
    lab: Inside, server: Scripted, out: Path, exists: bool
) -> None:
    target = out.parent / "real" / "file"
    target.parent.mkdir()
    if exists:
        target.write_bytes(OLDER)
    out.symlink_to(Path("real") / "file")
    assert lab("chat", "-o", str(out), "hi").code == 0
    assert (out.is_symlink(), target.read_bytes()) == (True, ANSWER)
    server.will(CUT)
    assert lab("chat", "-o", str(out), "hi").code == 6
    assert (target.read_bytes(), partial_of(target).read_bytes()) == (ANSWER, b"half\n")


def test_all_hard_links_of_a_file_show_the_answer(lab: Inside, server: Scripted, out: Path) -> None:
    out.write_bytes(b"older, and longer than the answer is\n")
    second = out.with_name("second")
    second.hardlink_to(out)
    assert lab("chat", "-o", str(out), "hi").code == 0
    assert out.read_bytes() == second.read_bytes() == ANSWER
    assert out.samefile(second)
    server.will(CUT)
    assert lab("chat", "-o", str(out), "hi").code == 6
    assert out.read_bytes() == second.read_bytes() == ANSWER


@pytest.mark.skipif(not ROOT, reason="gives a file to another user")
@pytest.mark.parametrize("sticky", [0o1777, 0o755])
def test_another_users_file_keeps_its_owner(lab: Inside, out: Path, sticky: int) -> None:
    out.write_bytes(OLDER)
    os.chown(out, 12345, 12345)
    out.parent.chmod(sticky)
    assert lab("chat", "-o", str(out), "hi").code == 0
    assert (out.read_bytes(), out.stat().st_uid, out.stat().st_gid) == (ANSWER, 12345, 12345)


@pytest.mark.parametrize("end", [DONE, Cut()])
@pytest.mark.parametrize("linked", ["answer.txt", "answer.txt.partial"])
def test_a_link_that_appears_later_is_not_followed(
    process: Telex, server: Scripted, out: Path, end: Any, linked: str
) -> None:
    victim = out.with_name("victim")
    victim.write_bytes(b"precious\n")
    continues = threading.Event()
    rest = [*sse(delta(finish="stop")), DONE] if end is DONE else [end]
    server.will([*sse(delta("new")), Pause(continues), *rest])
    running = process.start("chat", "-o", str(out), "hi")
    assert within(60, lambda: bool(server.asked))
    out.with_name(linked).symlink_to(victim)
    continues.set()
    running.communicate(timeout=60)
    written = out if end is DONE else partial_of(out)
    assert (victim.read_bytes(), written.is_symlink()) == (b"precious\n", False)
    assert written.read_bytes() == b"new\n"


def test_devices_pipes_and_process_substitution_work(process: Telex, out: Path) -> None:
    for device, code in (("/dev/null", 0), ("/dev/full", 1)):
        ran = process("chat", "-o", device, "hi")
        assert (ran.code, "No space left" in ran.err) == (code, code == 1)
        assert stat.S_ISCHR(Path(device).stat().st_mode)
    os.mkfifo(out)
    running = process.start("chat", "-o", str(out), "hi")
    assert out.read_bytes() == ANSWER
    running.communicate(timeout=60)
    assert (running.returncode, stat.S_ISFIFO(out.stat().st_mode)) == (0, True)
    upper = out.with_name("upper")
    bash(process, f"{QUOTED} chat -o >(tr a-z A-Z > {upper}) hi")
    assert within(60, lambda: upper.exists() and upper.read_bytes() == b"THE SKY IS BLUE.\n")


@pytest.mark.parametrize(
    ("name", "redirection"),
    [("/dev/stdout", ">"), ("/dev/fd/1", ">>"), ("/dev/fd/3", "3>&1 >"), ("/proc/self/fd/1", ">>")],
)  # fmt: skip
def test_an_open_descriptor_is_written_to_and_not_replaced(
    process: Telex, out: Path, name: str, redirection: str
) -> None:
    third = "3>&1" if "3" in name else ""
    script = f"{{ echo before; {QUOTED} chat -o {name} hi {third}; echo after; }}"
    ran = bash(process, f"{script} {redirection.removeprefix('3>&1 ')} {out}", cwd=out.parent)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert out.read_bytes() == b"before\nThe sky is blue.\nafter\n"
    assert names(out) == ["answer.txt"]


def test_a_file_gets_unrendered_markdown(process: Telex, server: Scripted, out: Path) -> None:
    server.will(answer("**bold**\x1b[2J"))
    with Pty([str(COMMAND), "chat", "-o", str(out), "hi"], env=process.env) as terminal:
        assert terminal.wait() == 0
    assert out.read_bytes() == b"**bold**\x1b[2J\n"
