"""Checks of what telex runs on: versions, folders, certificates, shells, and the terminal."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from provider_core.errors import SettingsError
from telex.doctor.context import note, ok, problem
from telex.humanize import plural

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from provider_core.types import Network
    from telex.doctor.context import DoctorContext, Finding

# --- versions -------------------------------------------------------------------------------------------------------

_EXTRAS = {
    "local": ("xllamacpp", "the embedded model and model files"),
    "mcp": ("mcp", "tools of MCP servers"),
    "prices": ("genai_prices", "what answers cost, at about 50 providers"),
    "dask": ("distributed", "batches on a Dask cluster"),
    "folders": ("pathspec", ".gitignore in folders that are attached"),
    "pdf": ("pypdf", "the text of PDFs"),
    "web": ("html_to_markdown", "web pages as Markdown"),
}
"""Extra -> the package that it installs, and what it is for."""


def versions(_: DoctorContext) -> Iterator[Finding]:
    """telex, Python, the packages that telex needs, and its extras."""
    import platform

    from provider_core import __version__
    from telex import __file__ as place

    yield ok("telex", f"{__version__}, in {Path(place).parents[1]}")
    system = f"{platform.system()} {platform.machine()}".strip()
    yield ok("Python", f"{platform.python_version()} ({sys.executable or 'embedded'}) on {system}")
    yield from _packages()
    for extra, (package, purpose) in _EXTRAS.items():
        yield _extra(extra, package, purpose)


def _packages() -> Iterator[Finding]:
    from importlib import metadata

    from telex.error_hints import install_command

    try:
        required = metadata.requires("telex") or []
    except metadata.PackageNotFoundError:
        yield note(
            "packages", "telex runs from its source and is not installed, so its requirements are unknown"
        )
        return
    found, wrong = [], []
    for requirement in required:
        parts = re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*\(?([^;)]*)", requirement)
        if parts is None or "extra ==" in requirement:
            continue
        name, bounds = parts[1], parts[2].strip()
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(problem(name, "is not installed", install_command(f"{name}{bounds}")))
            continue
        if within(version, bounds):
            found.append(f"{name} {version}")
        else:
            detail = f"{version} is installed, but telex needs {bounds}"
            wrong.append(problem(name, detail, install_command(f"{name}{bounds}")))
    yield ok("packages", ", ".join(found))
    yield from wrong


def within(version: str, bounds: str) -> bool:
    """Whether a release is within bounds such as ">=1.0,<2"; bounds with other signs are ignored."""
    for sign, bound in re.findall(r"(?:^|,)\s*(>=|<)([^,]+)", bounds):
        if (_release(version) >= _release(bound)) is (sign == "<"):
            return False
    return True


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a release without zeros at the end, so that 2.0 equals 2."""
    found = re.match(r"\d+(?:\.\d+)*", version.strip())
    return tuple(int(part) for part in re.sub(r"(\.0+)+$", "", found[0]).split(".")) if found else ()


def is_importable(package: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(package) is not None
    except ValueError:  # raised for a module that is disabled by None in sys.modules
        return False


def _extra(extra: str, package: str, purpose: str) -> Finding:
    from importlib import metadata

    from telex.error_hints import install_command

    if not is_importable(package):
        return note(
            f"extra {extra}", f"not installed; it is for {purpose}", install_command(f"telex[{extra}]")
        )
    return ok(f"extra {extra}", f"{package} {metadata.version(package)}")


# --- folders --------------------------------------------------------------------------------------------------------

_LOW_SPACE = 200 << 20
"""Bytes of free space that are not enough for a model."""


def folders(context: DoctorContext) -> Iterator[Finding]:
    """Whether telex can write its folders and files, and other users can neither read nor change them."""
    paths = context.paths
    for subject, folder in (("settings", paths.config), ("data", paths.data), ("cache", paths.cache)):
        yield _examined(subject, folder, is_folder=True) or _missing_folder(subject, folder)
    for path in (paths.settings_file, paths.history):
        if finding := _examined(path.name, path, is_folder=False):
            yield finding
    if existing := _existing_parent(paths.data / "any"):
        free = shutil.disk_usage(existing).free
        amount = f"{free / (1 << 30):,.1f} GiB" if free >= 1 << 30 else f"{free >> 20} MiB"
        detail = f"{amount} are free for data"
        yield (
            ok("space", detail)
            if free > _LOW_SPACE
            else note("space", detail, f"Free some space on {existing}")
        )


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
    kind, private, needed = (
        ("folder", "700", os.W_OK | os.X_OK) if is_folder else ("file", "600", os.R_OK | os.W_OK)
    )
    mode, remedy = f"{found.st_mode & 0o7777:04o}", f"chmod {private} {quoted}"
    if not (path.is_dir() if is_folder else path.is_file()):
        return problem(subject, f"{path} is not a {kind}", "Move it away; telex creates it when needed")
    if sys.platform != "win32" and os.geteuid() not in (0, found.st_uid):
        chown = f'sudo chown {"-R " if is_folder else ""}"$(id -un)" {quoted}'
        return problem(subject, f"{path} belongs to {_user(found.st_uid)}", chown)
    if not _is_accessible(path, needed):
        return problem(
            subject, f"{path} cannot be {'written' if is_folder else 'read and written'} ({mode})", remedy
        )
    if sys.platform != "win32" and found.st_mode & 0o077:
        others = (
            f"other users of this machine can {'change' if found.st_mode & 0o022 else 'read'} {path} ({mode})"
        )
        is_harmless = is_folder and not found.st_mode & 0o022  # the files in it are private
        return note(subject, others, remedy) if is_harmless else problem(subject, others, remedy)
    return ok(subject, f"{path} ({mode})" if is_folder else f"{mode}, {plural(found.st_size, 'byte')}")


def _missing_folder(subject: str, folder: Path) -> Finding:
    parent = _existing_parent(folder)
    if parent is None or not parent.is_dir() or not _is_accessible(parent, os.W_OK | os.X_OK):
        detail = f"{folder} does not exist, and cannot be created in {parent or folder.anchor}"
        return problem(subject, detail, "Set TELEX_HOME to a folder of your own")
    return ok(subject, f"{folder} (created when needed)")


def _existing_parent(path: Path) -> Path | None:
    return next((each for each in path.parents if each.exists()), None)


def _is_accessible(path: Path, access: int) -> bool:
    return os.access(path, access, effective_ids=os.access in os.supports_effective_ids)


def _user(number: int) -> str:
    if sys.platform != "win32":
        import pwd

        with contextlib.suppress(KeyError):
            return pwd.getpwuid(number).pw_name
    return f"user {number}"


# --- certificates ---------------------------------------------------------------------------------------------------


def certificates(context: DoctorContext) -> Iterator[Finding]:
    """Which certificates are trusted, by all providers and by those with settings of their own."""
    import ssl

    from provider_core.types import Network

    remedy = "Set SSL_CERT_FILE and SSL_CERT_DIR to an existing file and folder, or unset them"
    yield _trusted(context, "store", Network(), remedy)
    for provider in context.settings.providers.values():
        fields = [
            name for name in ("ca_bundle", "client_cert") if getattr(provider.network, name) is not None
        ]
        if fields:
            unset = " ".join(f"--unset {name.replace('_', '-')}" for name in fields)
            remedy = f"telex providers edit {provider.name} {unset}"
            yield _trusted(context, provider.name, provider.network, remedy)
    yield ok("TLS", ssl.OPENSSL_VERSION)


def _trusted(context: DoctorContext, subject: str, network: Network, remedy: str) -> Finding:
    from provider_core.http.connections import trust

    try:
        found = trust(network, context.environ)
    except SettingsError as error:
        return problem(subject, error.message, remedy)
    if not found.source and not found.authorities and _has_no_certificates():
        detail = "the operating system trusts no certificate authority: https servers cannot be reached"
        return note(subject, detail, "Install the package ca-certificates, or set SSL_CERT_FILE")
    count = f", {plural(found.authorities, 'authority', 'authorities')}" if found.authorities else ""
    client = f"; client certificate {network.client_cert}" if network.client_cert else ""
    source = found.source or "the operating system's"
    return ok(subject, f"{source}{count}{client}")


def _has_no_certificates() -> bool:
    """Whether this is Linux without the package that brings certificates; other systems do not use files."""
    import ssl

    paths = ssl.get_default_verify_paths()
    folder = Path(paths.capath or "/nowhere")
    return sys.platform == "linux" and not paths.cafile and not (folder.is_dir() and any(folder.iterdir()))


# --- completion -----------------------------------------------------------------------------------------------------

_SHARED = {
    "bash": "bash-completion/completions/telex",
    "zsh": "zsh/site-functions/_telex",
    "fish": "fish/vendor_completions.d/telex.fish",
}
"""Where the wheel installs the scripts below share/; a shell reads them if it looks in that share/."""


def completion(context: DoctorContext) -> Iterator[Finding]:
    """Whether the installed shells complete telex, with the script of this version."""
    login = Path(context.environ.get("SHELL", "")).name
    found = [
        finding
        for shell in _SHARED
        if shell == login or shutil.which(shell)
        for finding in _scripts(context, shell, is_login=shell == login)
    ]
    detail = f"no completion script is installed ({login or 'the login shell is unknown'})"
    yield from found or [note("none", detail, "telex completion --help")]


def _scripts(context: DoctorContext, shell: str, *, is_login: bool) -> Iterator[Finding]:
    from telex.completion.install import find
    from telex.completion.scripts import script

    place = find(shell, context.environ)
    shared = (context.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(os.pathsep)
    folders = [Path(folder) for folder in dict.fromkeys(shared) if folder.startswith("/")]
    installed = [
        path for path in (place.path, *(folder / _SHARED[shell] for folder in folders)) if path.is_file()
    ]
    install = f"telex completion {shell} --install"
    if not installed and is_login:
        yield note(shell, "completion is not installed", install)
    for path in installed:
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


# --- terminal -------------------------------------------------------------------------------------------------------


def terminal(context: DoctorContext) -> Iterator[Finding]:
    """What the three streams are, and what that means for colours, width and characters."""
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
    yield from _code_theme(context)


def _kind(stream: TextIO | None) -> str:
    import stat

    if stream is None or stream.closed:
        return "closed"
    try:
        if stream.isatty():
            return "a terminal"
        found = os.fstat(stream.fileno())
        if os.path.samestat(found, Path(os.devnull).stat()):
            return os.devnull
    except (OSError, ValueError, AttributeError):
        return "in memory"
    if stat.S_ISFIFO(found.st_mode) or stat.S_ISSOCK(found.st_mode):
        return "a pipe"
    return "a file" if stat.S_ISREG(found.st_mode) else "a device"


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


def _code_theme(context: DoctorContext) -> Iterator[Finding]:
    from telex.render.styles import is_theme

    theme = context.settings.code_theme
    if theme and is_theme(theme):
        yield ok("code theme", theme)
    elif theme:
        yield problem(
            "code theme",
            f"{theme!r} does not exist, so the default is used",
            "Set code_theme, or TELEX_CODE_THEME, to none, ansi_dark, ansi_light or the name of a Pygments style.",
        )
