"""Prints the time from Tab to candidates with 5,000 models, beside file names and git in the same shell; asserts nothing.

Run as ``python tests/bench/completion.py``. Every candidate has 5,000 peers: models of ten providers, models of
one provider, files of one folder, branches of one repository. Times are medians in milliseconds, taken at the
pseudo-terminal from the Tab until the candidates are on the screen, and each ratio is to that shell's file names.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from shells import BASH_WITH_PACKAGE, FISH, ZSH, Shell

from provider_core.catalog import Catalog, write_snapshot
from provider_core.settings import Paths
from provider_core.types import Model, Provider
from telex.completion import FILES, script
from telex.main import root

ROUNDS = 15
MANY = 5_000
SHARE = MANY // 10
"""Models of each of the ten providers."""

ONE = {
    "telex, of ten providers": "telex chat -m prov7/model-0499",
    "telex, of one provider": "telex chat -m prov7/model-0499",
    "file names": "ls models/prov7-model-0499",
    "git branches": "git checkout prov7/model-0499",
}
"""What has one candidate, after typing this."""

LIST = {
    "telex, of ten providers": "telex chat -m prov7/model-0",
    "telex, of one provider": "telex chat -m prov7/model-0",
    "file names": "ls models/prov7-model-0",
    "git branches": "git checkout prov7/model-0",
}
"""What lists as many candidates as a provider has."""


def ids() -> list[str]:
    """Names of all models, with their provider in front."""
    return [f"prov{provider}/model-{number:04d}:free" for provider in range(10) for number in range(SHARE)]


def write_lists(home: Path, per_provider: int) -> None:
    """Write the snapshot as telex does."""
    providers = {
        f"prov{at}": Provider(
            name=f"prov{at}",
            base_url="http://127.0.0.1:9/v1",
            models=tuple(Model(id=f"model-{number:04d}:free", name=f"Model {number}") for number in numbers),
            models_declared=True,
        )
        for at, numbers in enumerate([range(per_provider)] * (MANY // per_provider))
    }
    if per_provider == MANY:
        providers = {"prov7": providers["prov0"].__class__(**{**fields(providers["prov0"]), "name": "prov7"})}
    paths = Paths.find({"TELEX_HOME": str(home)})
    assert write_snapshot(paths, Catalog.of(providers, paths.lists))
    assert len((paths.cache / "completion" / "models").read_text().splitlines()) == MANY
