"""How a package gets into the environment that this telex runs in; nothing is installed here."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

__all__ = ["command", "upgrade"]


def command(requirement: str) -> str:
    """The command line that installs ``requirement``, as "telex[mcp]" or "httpx>=0.28", beside this telex.

    ``pip`` alone is said only where that is this environment's: another one would install it for others.
    """
    quoted = shlex.quote(requirement)
    prefix, python = Path(sys.prefix), shlex.quote(sys.executable)
    if (prefix / "pipx_metadata.json").is_file():
        return f"pipx runpip {prefix.name} install {quoted}"
    if (prefix / "uv-receipt.toml").is_file() or not _has_pip():
        return f"uv pip install --python {python} {quoted}"
    pip = shutil.which("pip")
    if pip is not None and Path(pip).parent == Path(sys.executable).parent:
        return f"pip install {quoted}"
    return f"{python} -m pip install {quoted}"


def upgrade() -> str:
    """The command line that upgrades this telex."""
    prefix = Path(sys.prefix)
    if (prefix / "pipx_metadata.json").is_file():
        return f"pipx upgrade {prefix.name}"
    if (prefix / "uv-receipt.toml").is_file():
        return f"uv tool upgrade {prefix.name}"
    return command("telex").replace(" install ", " install --upgrade ")


def _has_pip() -> bool:
    from importlib.util import find_spec

    return find_spec("pip") is not None
