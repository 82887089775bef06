"""Checks of what telex runs on: versions, folders, certificates, shells, and the terminal."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from provider_core.errors import SettingsError
from telex.commands.doctor import note, ok, problem
from telex.humanize import plural

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from provider_core.types import Network
    from telex.commands.doctor import DoctorContext, Finding

_EXTRAS = {
    "local": ("xllamacpp", "the embedded model and model files"),
    "mcp": ("mcp", "tools of MCP servers"),
    "prices": ("genai_prices", "what answers cost, at about 50 providers"),
    "dask": ("distributed", "batches on a Dask cluster"),
    "pdf": ("pypdf", "the text of PDFs"),
    "web": ("html_to_markdown", "web pages as Markdown"),
}
"""Extra -> the package that it installs, and what it is for."""


def versions(_: DoctorContext) -> Iterator[Finding]:
    """telex, Python, the packages that telex needs, and its extras."""
    import platform
    from importlib import metadata

    from provider_core import __version__
    from telex import __file__ as place
    from telex.error_hints import install_command

    yield ok("telex", f"{__version__}, in {Path(place).parents[1]}")
    system = f"{platform.system()} {platform.machine()}".strip()
    yield ok("Python", f"{platform.python_version()} ({sys.executable or 'embedded'}) on {system}")
    try:
        required = [each for each in metadata.requires("telex") or [] if "extra ==" not in each]
        names = [re.split(r"[^\w.-]", each)[0] for each in required]
        yield ok("packages", ", ".join(f"{name} {metadata.version(name)}" for name in names))
    except metadata.PackageNotFoundError as error:
        detail = f"unknown, because {error.name} is not installed as a package"
        yield note("packages", detail, install_command(str(error.name)))
    for extra, (package, purpose) in _EXTRAS.items():
        if is_importable(package):
            yield ok(f"extra {extra}", f"{package} {metadata.version(package)}")
        else:
            detail = f"not installed; it is for {purpose}"
            yield note(f"extra {extra}", detail, install_command(f"telex[{extra}]"))


def is_importable(package: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(package) is not None
    except ValueError:  # raised for a module that is disabled by None in sys.modules
        return False


# --- folders --------------------------------------------------------------------------------------------------------


def folders(context: DoctorContext) -> Iterator[Finding]:
    """Whether telex can write its folders and files, and other users can neither read nor change them."""
    paths = context.paths
    for subject, folder in (("settings", paths.config), ("data", paths.data), ("cache", paths.cache)):
        yield _examined(subject, folder, is_folder=True) or _missing_folder(subject, folder)
    for path in (paths.settings_file, paths.history):
        if finding := _examined(path.name, path, is_folder=False):
            yield finding


def _examined(subject: str, path: Path, *, is_folder: bool) -> Finding | None:
    """The owner and the mode of a file or folder; None if it does not exist."""
    quoted = shlex.quote(str(path))
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        remedy = f"ls -ld {shlex.quote(str(path.parent))} {quoted}"
        return problem(subject, f"{path} cannot be examined: {error.strerror}", remedy)
    kind, private, needed, access = ("file", "600", os.R_OK | os.W_OK, "read and written")
    if is_folder:
        kind, private, needed, access = ("folder", "700", os.W_OK | os.X_OK, "written")
    mode, remedy = f"{found.st_mode & 0o7777:04o}", f"chmod {private} {quoted}"
    if not (path.is_dir() if is_folder else path.is_file()):
        return problem(subject, f"{path} is not a {kind}", "Move it away; telex creates it when needed")
    if sys.platform != "win32" and os.geteuid() not in (0, found.st_uid):
        chown = f'sudo chown {"-R " if is_folder else ""}"$(id -un)" {quoted}'
        return problem(subject, f"{path} belongs to another user (uid {found.st_uid})", chown)
    if not _is_accessible(path, needed):
        return problem(subject, f"{path} cannot be {access} ({mode})", remedy)
    if sys.platform != "win32" and found.st_mode & 0o077:
        can = "change" if found.st_mode & 0o022 else "read"
        is_harmless = is_folder and can == "read"  # the files in it are private
        detail = f"other users of this machine can {can} {path} ({mode})"
        return note(subject, detail, remedy) if is_harmless else problem(subject, detail, remedy)
    return ok(subject, f"{path} ({mode})" if is_folder else f"{mode}, {plural(found.st_size, 'byte')}")


def _missing_folder(subject: str, folder: Path) -> Finding:
    parent = next((each for each in folder.parents if each.exists()), None)
    if parent is None or not parent.is_dir() or not _is_accessible(parent, os.W_OK | os.X_OK):
        detail = f"{folder} does not exist, and cannot be created in {parent or folder.anchor}"
        return problem(subject, detail, "Set TELEX_HOME to a folder of your own")
    return ok(subject, f"{folder} (created when needed)")


def _is_accessible(path: Path, access: int) -> bool:
    return os.access(path, access, effective_ids=os.access in os.supports_effective_ids)


# --- certificates ---------------------------------------------------------------------------------------------------


def certificates(context: DoctorContext) -> Iterator[Finding]:
    """Which certificates are trusted, by all providers and by those with settings of their own."""
    import ssl

    from provider_core.types import Network

    remedy = "Set SSL_CERT_FILE and SSL_CERT_DIR to an existing file and folder, or unset them"
    yield _trusted(context, "store", Network(), remedy)
    for provider in context.settings.providers.values():
        fields = [name for name in ("ca_bundle", "client_cert") if getattr(provider.network, name)]
        if fields:
            unset = " ".join(f"--unset {name.replace('_', '-')}" for name in fields)
            remedy = f"telex providers edit {provider.name} {unset}"
            yield _trusted(context, provider.name, provider.network, remedy)
    yield ok("TLS", ssl.OPENSSL_VERSION)


def _trusted(context: DoctorContext, subject: str, network: Network, remedy: str) -> Finding:
    import ssl

    from provider_core.http.connections import trust

    try:
        source, authorities = trust(network, context.environ)
    except SettingsError as error:
        return problem(subject, error.message, remedy)
    if not source and not authorities and sys.platform == "linux":  # other systems do not use files
        folder = Path(ssl.get_default_verify_paths().capath or "/nowhere")
        if not (folder.is_dir() and any(folder.iterdir())):
            detail = "the operating system trusts no certificate authority: https servers cannot be reached"
            return note(subject, detail, "Install the package ca-certificates, or set SSL_CERT_FILE")
    count = f", {plural(authorities, 'authority', 'authorities')}" if authorities else ""
    client = f"; client certificate {network.client_cert}" if network.client_cert else ""
    source = source or "the operating system's"
    return ok(subject, f"{source}{count}{client}")


# --- completion -----------------------------------------------------------------------------------------------------

_SHARED = {
    "bash": "bash-completion/completions/telex",
    "zsh": "zsh/site-functions/_telex",
    "fish": "fish/vendor_completions.d/telex.fish",
}
"""Where the wheel installs the scripts below share/; a shell reads them if it looks in that share/."""


def completion(context: DoctorContext) -> Iterator[Finding]:
    """Whether the installed shells complete telex, with the script of this version."""
    from telex.completion import find, script

    login = Path(context.environ.get("SHELL", "")).name
    data = (context.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(os.pathsep)
    folders = [Path(folder) for folder in dict.fromkeys(data) if folder.startswith("/")]
    found = False
    for shell, shared_path in _SHARED.items():
        if shell != login and not shutil.which(shell):
            continue
        place = find(shell, context.environ)
        paths = [path for path in (place.path, *(each / shared_path for each in folders)) if path.is_file()]
        install = f"telex completion {shell} --install"
        found = found or bool(paths) or shell == login
        if not paths and shell == login:
            yield note(shell, "completion is not installed", install)
        for path in paths:
            try:
                is_current = path.read_text("utf-8", "replace") == script(shell, context.root)
            except OSError as error:
                yield note(shell, f"{path} cannot be read: {error.strerror}", install)
                continue
            if not is_current:
                yield note(shell, f"{path} is for another version of telex", install)
            elif path == place.path and place.todo:
                yield note(shell, f"{path} is installed, but {shell} does not read it yet", place.todo)
            else:
                yield ok(shell, str(path))
    if not found:
        detail = f"no completion script is installed ({login or 'the login shell is unknown'})"
        yield note("none", detail, "telex completion --help")


# --- terminal -------------------------------------------------------------------------------------------------------


def terminal(context: DoctorContext) -> Iterator[Finding]:
    """What the three streams are, and what that means for colours, width and characters."""
    from telex.render.styles import is_theme

    console = context.console
    for name in ("stdin", "stdout", "stderr"):
        yield ok(name, _kind(getattr(sys, name)))
    if console.out_is_terminal or console.err_is_terminal:
        yield ok("size", f"{console.width()} columns, {console.height()} rows")
    yield _colour(context)
    used = sys.getfilesystemencoding()
    if used.replace("-", "").lower() == "utf8":
        yield ok("encoding", "UTF-8")
    else:
        yield note("encoding", f"input is read as {used}, and output is UTF-8", "export LANG=C.UTF-8")
    theme = context.settings.code_theme
    if theme and not is_theme(theme):
        remedy = "Set code_theme, or TELEX_CODE_THEME, to none, ansi_dark, ansi_light or the name of a Pygments style."
        yield problem("code theme", f"{theme!r} does not exist, so the default is used", remedy)


def _kind(stream: TextIO | None) -> str:
    import stat

    if stream is None or stream.closed:
        return "closed"
    if stream.isatty():
        return "a terminal"
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return "in memory"
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        return "a pipe"
    return "a file" if stat.S_ISREG(mode) else "a device"


def _colour(context: DoctorContext) -> Finding:
    from telex.render.styles import Colour, surface

    environ, is_terminal = context.environ, context.console.out_is_terminal
    names = ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TERM")
    reason = next((f"{name}={environ[name]}" for name in names if environ.get(name)), "TERM is not set")
    colour = surface(environ, is_terminal=is_terminal)
    if colour is None:
        reason = reason if is_terminal else "stdout is not a terminal"
        return ok("colour", f"none, and answers are not rendered ({reason})")
    words = {
        Colour.TRUE: "all colours",
        Colour.MANY: "256 colours",
        Colour.BASIC: "16 colours",
        Colour.MONO: "bold and italic only",
        Colour.NONE: "none",
    }
    return ok("colour", f"{words[colour]} ({reason})")
