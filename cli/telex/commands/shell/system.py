"""The user's shell, and the description of shell, system and tools in a request, without anything private."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from provider_core.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

SHELLS: Final = (
    "bash", "zsh", "fish", "sh", "dash", "ash", "ksh", "mksh", "tcsh", "csh", "nu", "elvish", "xonsh", "pwsh",
    "powershell", "cmd",
)  # fmt: skip
"""The shells that telex knows by name."""

_COMMAND_FLAGS: Final = {"cmd": ("/d", "/c"), "pwsh": ("-Command",), "powershell": ("-Command",)}
"""How shells other than those of Unix are given a command."""

_TOOLS: Final = (
    "apt", "apk", "brew", "dnf", "pacman", "zypper", "nix", "winget",
    "awk", "gawk", "sed", "perl", "python3", "ruby", "node", "uv", "cargo", "go",
    "rg", "fd", "fdfind", "fzf", "bat", "jq", "yq", "parallel",
    "curl", "wget", "rsync", "ssh", "nc", "openssl", "dig", "ss", "ip", "lsof",
    "git", "gh", "docker", "podman", "kubectl", "systemctl", "journalctl", "launchctl", "tmux",
    "tar", "zip", "unzip", "zstd", "xz", "7z", "ffmpeg", "magick", "convert", "sqlite3", "psql",
    "pbcopy", "xclip", "wl-copy",
)  # fmt: skip
"""Programs whose presence changes which command is best, and says little about the person."""


class ShellProgram(Struct):
    """A shell, by the name that it is known by, and its program."""

    name: str
    path: str

    def command_line(self, command: str) -> list[str]:
        """The arguments that run ``command`` in this shell."""
        return [self.path, *_COMMAND_FLAGS.get(self.name, ("-c",)), command]


def find_shell(environ: Mapping[str, str], wanted: str | None = None) -> ShellProgram:
    """The shell ``wanted``, else the one that telex was started from, else $SHELL.

    Raises ``click.UsageError`` if ``wanted`` is not installed.
    """
    if wanted is not None:
        path = shutil.which(wanted)
        if path is None:
            raise click.UsageError(f"the shell {wanted} is not installed")
        return ShellProgram(name=wanted, path=path)
    if (parent := _parent_shell()) is not None:
        return parent
    path = environ.get("SHELL", "").strip() or ""
    if path and shutil.which(path):
        return ShellProgram(name=_name(path), path=path)
    if sys.platform == "win32":
        path = shutil.which("pwsh") or shutil.which("powershell") or environ.get("COMSPEC") or "cmd.exe"
        return ShellProgram(name=_name(path), path=path)
    return ShellProgram(name="sh", path="/bin/sh")


def _parent_shell() -> ShellProgram | None:
    """The parent process, if it is an interactive shell. Only such a shell gives each command a process group."""
    if sys.platform == "win32":
        return None
    try:
        parent = os.getppid()
        if os.getpgid(parent) == os.getpgrp():
            return None  # a script
        path = str(Path(f"/proc/{parent}/exe").readlink()) if sys.platform == "linux" else _program_of(parent)
    except OSError:
        return None
    name = _name(path)
    if name not in SHELLS or not os.access(path, os.X_OK):
        return None
    return ShellProgram(name=name, path=path)


def _program_of(process: int) -> str:
    """The program of a process, from ps, which says "-zsh" for a login shell."""
    found = subprocess.run(
        ["ps", "-o", "comm=", "-p", str(process)], capture_output=True, text=True, timeout=2, check=False
    )
    return shutil.which(found.stdout.strip().removeprefix("-")) or ""


def _name(path: str) -> str:
    name = re.split(r"[/\\]", path)[-1].lower().removesuffix(".exe")
    # Debian's alternatives and Homebrew's versions: bash5, ksh93.
    return name if name in SHELLS else re.sub(r"[\d.-]+$", "", name) or name


def description(shell: ShellProgram) -> str:
    """The shell with its version, the system, and the tools that are installed.

    No name of a person, machine or folder, and nothing else of the environment.
    """
    found = [tool for tool in _TOOLS if shutil.which(tool)]
    tools = f"Installed tools: {', '.join(found)}." if found else "Installed tools: unknown."
    return f"Shell: {shell.name} {_version(shell)}".rstrip() + f"\nSystem: {_system()}\n{tools}"


def _version(shell: ShellProgram) -> str:
    """The shell's version, or "" for one that does not say it, as dash and cmd do not."""
    if shell.name not in ("bash", "zsh", "fish", "ksh", "mksh", "nu", "elvish", "xonsh", "pwsh"):
        return ""
    try:
        ran = subprocess.run(
            [shell.path, "--version"], capture_output=True, timeout=2, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    found = re.search(rb"\d+\.\d+(?:\.\d+)*", ran.stdout + ran.stderr)
    return found[0].decode() if found else ""


def _system() -> str:
    name = platform.system() or sys.platform
    release = ""
    if name == "Linux":
        try:
            release = platform.freedesktop_os_release().get("PRETTY_NAME", "")
        except OSError:
            release = "busybox" if Path("/bin/busybox").exists() else ""
    elif name == "Darwin":
        name, release = "macOS", f"{platform.mac_ver()[0]}, with the BSD versions of the usual tools"
    elif name == "Windows":
        release = platform.release()
    words = ", ".join(filter(None, (release, platform.machine())))
    return f"{name} ({words})" if words else name
