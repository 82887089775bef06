"""Without a home folder, or with a path in the home of an unknown user, there is an error that says so."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from running import Telex

NOBODY = "~no-such-user/x"


@pytest.mark.parametrize(
    "arguments", [["models", "list"], ["chat", "hi"], ["providers", "list"]], ids=" ".join
)
def test_home_of_an_unknown_user_is_an_error(telex: Telex, arguments: list[str]) -> None:
    ran = telex(*arguments, env={"TELEX_HOME": NOBODY})
    assert (ran.code, ran.err) == (3, f"telex: TELEX_HOME is {NOBODY}, and there is no such home folder\n")


NO_HOME = "there is no home folder: set HOME, or TELEX_HOME for telex alone"
NO_SHELLS_HOME = "there is no home folder for a shell's settings: set HOME"


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root can become somebody without a name"
)
@pytest.mark.parametrize(
    ("arguments", "unset", "said"),
    [
        ("models list", {"HOME", "TELEX_HOME"}, NO_HOME),
        ("doctor", {"HOME", "TELEX_HOME"}, NO_HOME),
        ("doctor", {"HOME"}, NO_SHELLS_HOME),
        ("completion bash --install", {"HOME"}, NO_SHELLS_HOME),
    ],
)
def test_without_a_home_folder_the_error_says_what_to_set(
    telex: Telex, arguments: str, unset: set[str], said: str
) -> None:
    # As whom it acts stays, since tests may run from where nobody else can read.
    start = "import os; os.setresuid(54321, 0, 0); from telex.main import main"
    code = f"{start}; print(main({arguments.split()!r}))"
    env = {name: value for name, value in telex.env.items() if name not in unset}
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "3"
    assert said in ran.stderr
    assert "internal error" not in ran.stderr
    assert "internal error" not in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["chat", "--schema", NOBODY, "hi"], 2), (["chat", "--template", NOBODY, "hi"], 3),
        (["chat", "-f", NOBODY, "hi"], 2), (["mcp", "import", NOBODY], 2), (["chat", "-m", "lab", "hi"], 3),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)  # fmt: skip
def test_path_in_the_home_of_an_unknown_user_is_an_error(
    telex: Telex, arguments: list[str], code: int
) -> None:
    telex.provider("lab", "https://127.0.0.1:9/v1", ca_bundle=NOBODY)
    ran = telex(*arguments)
    assert ran.code == code
    assert NOBODY in ran.err
