"""A Dask cluster on loopback: a scheduler and workers, each a process with a home and a key of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Self

import pytest
from running import provider_table, within

if TYPE_CHECKING:
    from pathlib import Path

distributed = pytest.importorskip("distributed")

KEY = "sk-canary-of-the-worker"


def written(path: Path) -> bool:
    """Whether the file is there and whole: it is created before it is written."""
    try:
        return bool(json.loads(path.read_text()))
    except (OSError, ValueError):
        return False


class Cluster:
    """A scheduler; its workers know the provider ``lab`` at ``url``, and have its key."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        settings = folder / "home" / "config" / "settings.toml"
        settings.parent.mkdir(parents=True, mode=0o700)
        settings.write_text(provider_table("lab", url, key=None, key_env="LAB_API_KEY"))
        self.workers: list[subprocess.Popen[bytes]] = []
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        place = self.folder / "scheduler.json"
        arguments = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(place))
        self.start("dask_scheduler", *arguments)
        try:
            assert within(60, lambda: written(place))
            self.address: str = json.loads(place.read_text())["address"]
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self, module: str, *arguments: str, **env: str) -> subprocess.Popen[bytes]:
        # The worker's own environment: it has the key, and the test has not.
        with (self.folder / f"{module}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{module}", *arguments],
                cwd=self.folder,
                env={**os.environ, "TELEX_HOME": str(self.folder / "home"), "LAB_API_KEY": KEY, **env},
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def add_worker(self, **env: str) -> subprocess.Popen[bytes]:
        """A worker process with one thread, once the scheduler knows it."""
        arguments = ("--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard")
        process = self.start("dask_worker", self.address, *arguments, "--death-timeout", "30", **env)
        self.workers.append(process)
        with distributed.Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(len(self.workers), timeout=60)
        return process

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(60)
