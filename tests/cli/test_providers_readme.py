"""The README's script for CI is run as it is written; facts about providers in README.md and docs/ are checked."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from running import COMMAND, Telex
from servers import keyed

from provider_core import presets
from telex.commands.providers import COMMANDS

if TYPE_CHECKING:
    from scripted import Scripted

KEY = "sk-canary-0123456789abcdef"
ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PROVIDERS = (ROOT / "docs" / "providers.md").read_text("utf-8")


def script() -> str:
    found = re.search(r"<!-- ci script: run by a test -->\n```sh\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found[1]


def run(folder: Path, server: Scripted, key: str | None) -> subprocess.CompletedProcess[str]:
    env = {
        **Telex(folder / "unused").env,
        "HOME": str(folder),
        "LAB_URL": server.url,
        "TMPDIR": str(folder),
        "PATH": f"{COMMAND.parent}:/usr/bin:/bin",
    }
    del env["TELEX_HOME"]
    if key is not None:
        env["LAB_API_KEY"] = key
    return subprocess.run(
        ["bash", "-c", script()],
        cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_ci_script_of_the_readme_runs_twice(tmp_path: Path, server: Scripted) -> None:
    server.will(keyed(KEY))
    (tmp_path / "CHANGELOG.md").write_text("The sky is blue now.\n")
    for _ in range(2):
        done = run(tmp_path, server, KEY)
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
        assert (tmp_path / "summary.txt").read_text() == "Hello\n"
    assert server.asked[-1].body["messages"][-1]["content"].startswith("The sky is blue now.\n")
    (found,) = json.loads((tmp_path / "provider.json").read_text())
    shown = re.search(r"```json\n(.*?)```", PROVIDERS, re.DOTALL)
    assert shown is not None
    (documented,) = json.loads(shown[1])
    assert shape(found) == shape(documented)
    assert [
        path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()
    ] == []


@pytest.mark.parametrize(("key", "code"), [("a-wrong-key", 4), (None, 4)])
def test_ci_script_ends_without_a_valid_key(
    tmp_path: Path, server: Scripted, key: str | None, code: int
) -> None:
    server.will(keyed(KEY))
    (tmp_path / "CHANGELOG.md").touch()
    done = run(tmp_path, server, key)
    assert done.returncode == code
    assert not (tmp_path / "provider.json").exists()
    assert list(tmp_path.rglob("settings.toml")) == []


def shape(value: object) -> object:
    """The names of the fields, and which of their values are texts, numbers or nothing."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return type(value).__name__ if not isinstance(value, float | int) else "number"


def test_numbers_and_commands_in_the_docs_are_right() -> None:
    for text in (README, PROVIDERS):
        assert f"{len(presets.all_presets())} presets" in text
    named = set(re.findall(r"telex providers ([a-z-]+)", PROVIDERS)) | set(
        re.findall(r"`([a-z-]+)`", PROVIDERS)
    )
    assert set(COMMANDS) <= named
