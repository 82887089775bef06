"""Paths that cannot be used, for every option and argument that takes a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from inprocess import Inside

if TYPE_CHECKING:
    from pathlib import Path

ADD = ("providers", "add", "x", "--base-url", "http://127.0.0.1:9/v1", "--no-key", "--no-verify")


@pytest.mark.parametrize(
    "arguments",
    [
        ("chat", "hi", "-f"), ("chat", "hi", "-i"), ("chat", "hi", "-o"), ("chat", "hi", "--template"),
        ("chat", "hi", "--schema"), ("templates", "show"), ("providers", "import"), ("providers", "export"),
        ("providers", "add", "x", "--gguf"), ("providers", "edit", "lab", "--ca-bundle"), (*ADD, "--ca-bundle"),
        (*ADD, "--client-cert"), ("mcp", "import"), ("mcp", "add", "x", "--cwd"),
    ],
    ids=" ".join,
)  # fmt: skip
@pytest.mark.parametrize("kind", ["too long", "not in a folder"])
def test_unusable_path_is_one_line_of_error(tmp_path: Path, arguments: tuple[str, ...], kind: str) -> None:
    home = Inside(tmp_path / "home")
    home.configure('[providers.lab]\nbase_url = "http://127.0.0.1:9/v1"\nkey = "none"\nmodels = ["m"]\n')
    (tmp_path / "file").touch()
    path = str(tmp_path / ("a" * 300)) if kind == "too long" else str(tmp_path / "file" / "below")
    ran = home(*arguments, path)
    assert ran.code == (3 if "template" in "".join(arguments) else 2), ran.err
    assert path in ran.err
    assert "internal" not in ran.err
    assert "telex itself" not in ran.err


@pytest.mark.parametrize("command", [("providers", "import"), ("mcp", "import"), ("chat", "hi", "-f")])
def test_endless_device_is_an_error(tmp_path: Path, command: tuple[str, ...]) -> None:
    home = Inside(tmp_path / "home")
    home.configure('[providers.lab]\nbase_url = "http://127.0.0.1:9/v1"\nkey = "none"\nmodels = ["m"]\n')
    ran = home(*command, "/dev/zero")
    assert ran.code == 2
    assert "10 MB" in ran.err
