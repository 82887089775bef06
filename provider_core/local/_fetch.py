"""The default model's file: found or fetched once, verified by its sum, and put in place whole or not at all."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from provider_core import files
from provider_core.errors import FileError, LocalModelError, ModelFileError
from provider_core.local._installer import deliver
from provider_core.local._model import DEFAULT_MODEL, Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO

    Report = Callable[[Progress], None]

__all__ = ["ensure_default_model"]

_CHUNK = 1 << 20
_WORKSPACE = ".fetching-"
_WAITING = Progress(phase="wait", done=0, total=DEFAULT_MODEL.download_size)


def ensure_default_model(models_dir: Path, on_progress: Callable[[Progress], None] | None = None) -> Path:
    """The default model's file, verified; fetched into ``models_dir`` when it is not there yet.

    A file that was verified before is hashed again only after it changed. A file of another content is
    an error (``ModelFileError``) and stays as it is. While one process fetches, others wait for it.
    ``on_progress`` is called in this thread; what it raises ends the fetching, which leaves nothing
    behind. Raises ``LocalModelError`` if the file cannot be downloaded, or stored in ``models_dir`` (the error's
    ``path``).
    """
    report = on_progress or (lambda _: None)
    target = models_dir / DEFAULT_MODEL.file
    try:
        if target.exists():
            return _verified(target, models_dir, report)
        packaged = _packaged()
        if packaged is not None:
            with suppress(ModelFileError):
                return _verified(packaged, models_dir, report)
        files.private_folder(models_dir)
        with files.locked(target, waiting=lambda: report(_WAITING)):
            if target.exists():
                return _verified(target, models_dir, report)
            _fetch(models_dir, target, report)
    except (FileError, OSError) as error:
        reason = error.reason if isinstance(error, FileError) else error.strerror or str(error)
        raise LocalModelError(
            f"the default model cannot be stored in {models_dir}: {reason}", path=models_dir
        ) from error
    return target


def _packaged() -> Path | None:
    """The file of an installed package that carries it, found without importing the package."""
    import importlib.util

    spec = importlib.util.find_spec(DEFAULT_MODEL.module)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / DEFAULT_MODEL.file
        if path.is_file():
            return path
    return None


def _fetch(models_dir: Path, target: Path, report: Report) -> None:
    _make_room(models_dir)
    with _workspace(models_dir) as folder:
        last = 0

        def on_bytes(count: int) -> None:
            nonlocal last
            last = max(last, min(count, DEFAULT_MODEL.download_size))
            report(Progress(phase="fetch", done=last, total=DEFAULT_MODEL.download_size))

        on_bytes(0)
        delivery = deliver(f"{DEFAULT_MODEL.package}=={DEFAULT_MODEL.version}", folder, on_bytes)
        on_bytes(DEFAULT_MODEL.download_size)
        model = folder / "model"
        found = _unpack(delivery, model, report)
        if found != DEFAULT_MODEL.sha256:
            raise LocalModelError(
                f"the downloaded file is not the default model: its sum is {found}, not {DEFAULT_MODEL.sha256}",
                code="fetch",
            )
        model.replace(target)
        files.sync_folder(models_dir)
    _write_stamp(target, models_dir)


def _make_room(models_dir: Path) -> None:
    import shutil

    needed = 2 * DEFAULT_MODEL.size
    free = shutil.disk_usage(models_dir).free
    if free < needed:
        raise LocalModelError(
            f"the default model needs {needed // 10**6} MB in {models_dir}, and {free // 10**6} MB are free",
            path=models_dir,
        )


def _unpack(delivery: Path, model: Path, report: Report) -> str:
    """Write the wheel's model to the file ``model``, synced; return its sum. A file of another size is refused."""
    member = f"{DEFAULT_MODEL.module}/{DEFAULT_MODEL.file}"
    if (unpacked := delivery / member).is_file():
        with unpacked.open("rb") as source:
            return _copy(source, unpacked.stat().st_size, model, report)
    import zipfile
    import zlib

    try:
        wheel = next(iter(delivery.glob("*.whl")))
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source:
            return _copy(source, archive.getinfo(member).file_size, model, report)
    except StopIteration:
        raise LocalModelError("the installer ended well and delivered no wheel", code="fetch") from None
    except (KeyError, NotImplementedError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise LocalModelError(
            f"the wheel {wheel.name} holds no readable {DEFAULT_MODEL.file}", code="fetch"
        ) from error


def _copy(source: IO[bytes], size: int, model: Path, report: Report) -> str:
    import hashlib

    if size != DEFAULT_MODEL.size:
        raise LocalModelError(
            f"the downloaded file is not the default model: it has {size} bytes, not {DEFAULT_MODEL.size}",
            code="fetch",
        )
    digest, done = hashlib.sha256(), 0
    descriptor = os.open(model, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(descriptor, "wb") as output:
        while done < size and (chunk := source.read(_CHUNK)):
            digest.update(chunk)
            output.write(chunk)
            done += len(chunk)
            report(Progress(phase="unpack", done=done, total=size))
        output.flush()
        os.fsync(output.fileno())
    return digest.hexdigest()


# --- verifying once ----------------------------------------------------------------------------------------


def _verified(path: Path, models_dir: Path, report: Report) -> Path:
    found = path.stat()
    if found.st_size != DEFAULT_MODEL.size:
        raise ModelFileError(
            f"{path} is not the default model (it has {found.st_size} bytes, not {DEFAULT_MODEL.size}); "
            "delete it, and telex downloads the model again",
            path=path,
        )
    if _stamp(found) == _read_stamp(models_dir):
        return path
    digest = _digest(path, report)
    if digest != DEFAULT_MODEL.sha256:
        raise ModelFileError(
            f"{path} is not the default model (its sum is {digest}, not {DEFAULT_MODEL.sha256}); "
            "delete it, and telex downloads the model again",
            path=path,
        )
    with suppress(FileError, OSError):  # a folder that cannot be written to costs time at each start, no more
        files.private_folder(models_dir)
        _write_stamp(path, models_dir)
    return path


def _digest(path: Path, report: Report) -> str:
    import hashlib

    digest, done = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                done += len(chunk)
                report(Progress(phase="verify", done=done, total=DEFAULT_MODEL.size))
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}", path=path) from error
    return digest.hexdigest()


def _stamp(found: os.stat_result) -> str:
    """What changes whenever the file's content does, and the sum it was found to have."""
    return f"{DEFAULT_MODEL.sha256} {found.st_size} {found.st_mtime_ns} {found.st_dev} {found.st_ino}\n"


def _stamp_path(models_dir: Path) -> Path:
    return models_dir / f"{DEFAULT_MODEL.file}.verified"


def _read_stamp(models_dir: Path) -> str:
    try:
        return _stamp_path(models_dir).read_text("ascii")
    except (OSError, ValueError):
        return ""


def _write_stamp(path: Path, models_dir: Path) -> None:
    files.replace(_stamp_path(models_dir), _stamp(path.stat()).encode("ascii"))


# --- the folder it is fetched into -------------------------------------------------------------------------


@contextmanager
def _workspace(models_dir: Path) -> Iterator[Path]:
    """A fresh folder, gone at the end; those of killed processes go first. Only under the lock."""
    import shutil
    import tempfile

    for stale in models_dir.glob(f"{_WORKSPACE}*"):
        shutil.rmtree(stale, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_WORKSPACE, dir=models_dir))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
