"""The user's own files: modes, atomic replacement, locks, and what is refused."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from provider_core import files
from provider_core.errors import FileError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o277, 0o777], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_a_file_is_private_whatever_the_umask(tmp_path, umask):
    files.replace(tmp_path / "a", b"x")
    assert mode(tmp_path / "a") == 0o600
    files.replace(tmp_path / "b", b"x", mode=0o644)
    assert mode(tmp_path / "b") == 0o644


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o777], ids=oct)
def test_new_folders_are_private_and_existing_ones_unchanged(tmp_path, mask):
    tmp_path.chmod(0o1777)  # as /tmp: others use it
    before = os.umask(mask)
    try:
        for folder in (tmp_path, tmp_path / "one" / "two"):
            files.private_folder(folder)
    finally:
        os.umask(before)
    assert [mode(tmp_path), mode(tmp_path / "one"), mode(tmp_path / "one" / "two")] == [0o1777, 0o700, 0o700]


def test_a_lock_can_be_taken_again_whatever_the_umask(tmp_path, umask):
    for _ in range(2):
        with files.locked(tmp_path / "a"):
            assert mode(tmp_path / ".a.lock") & 0o700 == 0o600


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give folders away")
def test_the_folder_of_another_user_is_refused(tmp_path):
    os.chown(tmp_path, 65534, -1)
    with pytest.raises(FileError, match="it belongs to another user"):
        files.private_folder(tmp_path)
    files.private_folder(tmp_path / "own")


def test_an_open_file_is_tightened(tmp_path):
    file = tmp_path / "file"
    file.touch(0o644)
    files.make_private(file)
    assert mode(file) == 0o600


@pytest.mark.skipif(sys.platform == "win32", reason="modes")
def test_the_rights_of_a_device_are_not_changed(tmp_path):
    os.mkfifo(tmp_path / "device")
    (tmp_path / "device").chmod(0o666)
    (tmp_path / "link").symlink_to("device")
    files.make_private(tmp_path / "link")
    assert stat.S_IMODE((tmp_path / "device").stat().st_mode) == 0o666


def test_a_link_is_followed_and_stays_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    link, target = tmp_path / "link", tmp_path / "elsewhere" / "target"
    link.symlink_to(target)
    files.replace(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_reader_never_sees_a_part_of_a_file(tmp_path):
    path = tmp_path / "file"
    contents = {bytes([letter]) * 200_000 for letter in b"abc"}
    files.replace(path, b"a" * 200_000)
    done = threading.Event()

    def write() -> None:
        for _ in range(10):
            for content in contents:
                files.replace(path, content)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        seen.add(path.read_bytes())
    writer.join()
    assert seen <= contents
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda place: files.replace(place / "x", b"x"), "{0}/x cannot be written: Not a directory"),
        (lambda place: files.private_folder(place / "x"), "the folder {0}/x cannot be made: Not a directory"),
        (lambda place: files.locked(place / "x").__enter__(), "{0}/x cannot be changed: Not a directory"),
    ],
    ids=["written", "made", "locked"],
)
def test_an_error_has_the_path_and_the_systems_words(tmp_path, act, said):
    place = tmp_path / "file"
    place.touch()
    with pytest.raises(FileError) as caught:
        act(place)
    assert caught.value.message == said.format(place)
    assert (caught.value.path, caught.value.reason) == (place / "x", "Not a directory")


def test_a_loop_of_links_is_replaced_by_the_file(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    files.replace(tmp_path / "a", b"x")
    assert (tmp_path / "a").read_bytes() == b"x"


def test_a_full_disk_leaves_the_file_unchanged_and_nothing_next_to_it(tmp_path):
    path = tmp_path / "file"
    files.replace(path, b"old")
    limited = (
        "import pathlib, resource, signal, sys\n"
        "from provider_core import files\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "try:\n"
        "    files.replace(pathlib.Path(sys.argv[1]), b'x' * 100)\n"
        "except files.FileError as error:\n"
        "    print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", limited, str(path)], capture_output=True, text=True, check=True
    ).stdout
    assert said == f"{path} cannot be written: File too large\n"
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


def test_leftovers_of_a_killed_writer_are_removed_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    for name in (".file.abc.new", ".file.lock", ".other.abc.new", "file"):
        (tmp_path / name).touch()
    files.remove_leftovers(path)
    assert {found.name for found in tmp_path.iterdir()} == {".file.lock", ".other.abc.new", "file"}


HOLD = """
import pathlib, sys
from provider_core import files
with files.locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock on ``tmp_path/file``."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "file")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_another_process_is_waited_for_and_the_caller_called_meanwhile(tmp_path, holder):
    waited = []

    def waiting() -> None:
        waited.append(1)
        holder.stdin.close()

    with files.locked(tmp_path / "file", waiting=waiting):
        assert waited
        assert mode(tmp_path / ".file.lock") == 0o600


def test_the_lock_of_a_killed_process_is_free(tmp_path, holder):
    holder.kill()
    with files.locked(tmp_path / "file"):
        pass


def test_an_exception_of_the_caller_ends_the_waiting(tmp_path, holder):
    class EnoughError(Exception):
        pass

    def waiting() -> None:
        raise EnoughError

    with pytest.raises(EnoughError), files.locked(tmp_path / "file", waiting=waiting):
        pytest.fail("the lock is held by another process")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_only_regular_files_are_read_and_no_pipe_is_waited_for(tmp_path):
    (tmp_path / "file").write_bytes(b"x\r\n" * 100_000)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    assert files.read_bytes(tmp_path / "file") == b"x\r\n" * 100_000
    before = len(list(Path("/dev/fd").iterdir()))
    for name in ("pipe", "link", "/dev/zero"):
        with pytest.raises(OSError, match="it is not a regular file"):
            files.read_bytes(tmp_path / name)
    with pytest.raises(IsADirectoryError):
        files.read_bytes(tmp_path)
    with pytest.raises(FileNotFoundError):
        files.read_bytes(tmp_path / "gone")
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_text_is_read_without_a_byte_order_mark(tmp_path):
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbfGr\xc3\xbc\xc3\x9fe")
    assert files.read_text(tmp_path / "file") == "Grüße"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff", "it is not UTF-8"),
        (b"x" * 2_000_001, "it is larger than 2 MB"),
        (None, "No such file or directory"),
    ],
)
def test_text_that_cannot_be_read_is_an_error(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    with pytest.raises(FileError, match="file cannot be read: ") as caught:
        files.read_text(tmp_path / "file", limit=2_000_000)
    assert caught.value.reason == reason
