"""``telex doctor`` where a pipe stands in the place of a file: whatever it looks at, it ends, and names it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from running import Telex

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")

PROVIDER = '[providers.lab]\nbase_url = "https://a.example/v1"\nkey = "none"\n'


def found(telex: Telex, **env: str) -> dict[str, str]:
    """ "level: detail" by "family subject"."""
    ran = telex("doctor", "--json", env=env, timeout=20)
    assert ran.code in {0, 3}, ran.err
    rows = json.loads(ran.text)["findings"]
    return {f"{row['family']} {row['subject']}": f"{row['level']}: {row['detail']}" for row in rows}


def pipe(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    os.mkfifo(path, 0o600)
    return path


def test_a_pipe_for_the_settings_is_a_problem_for_doctor_and_for_all_others(telex: Telex) -> None:
    path = pipe(telex.settings)
    assert found(telex)["settings file"] == f"problem: {path} cannot be read: it is not a regular file"
    ran = telex("models", "list", timeout=20)
    assert (ran.code, ran.err) == (3, f"telex: {path} cannot be read: it is not a regular file\n")


@pytest.mark.parametrize(
    "name", ["data/history.db", "cache/completion/stamp", "cache/models/lab.json", "cache/keyring"]
)
def test_a_pipe_for_any_other_file_holds_nothing_up(telex: Telex, name: str) -> None:
    telex.configure(f"{PROVIDER}[providers.kept]\nbase_url = 'https://b.example/v1'\nkey = 'keyring'\n")
    pipe(telex.home / name)
    assert found(telex)["settings file"].startswith("ok: ")


@pytest.mark.parametrize("field", ["ca_bundle", "client_cert"])
def test_a_pipe_for_certificates_is_a_problem(telex: Telex, tmp_path: Path, field: str) -> None:
    path = pipe(tmp_path / "pipe")
    telex.configure(f'{PROVIDER}{field} = "{path}"\n')
    words = f"problem: the certificates in {path} cannot be used: it is not a regular file"
    assert found(telex)["trust lab"] == words
    assert found(telex, SSL_CERT_FILE=str(path))["trust store"] == words


def test_a_pipe_for_a_shells_script_is_none(telex: Telex, tmp_path: Path) -> None:
    pipe(tmp_path / "share" / "bash-completion" / "completions" / "telex")
    report = found(telex, XDG_DATA_DIRS=str(tmp_path / "share"), SHELL="/bin/bash")
    assert report["completion bash"] == "note: does not complete telex"
