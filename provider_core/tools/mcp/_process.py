"""A server's process: its pipes, its end together with everything that it has started, its variables and secrets.

The SDK's ``stdio_client`` is not used, because these guarantees need more than it offers: no message fills the memory
(it reads lines of any length); the end reaches the children of a server that has already exited, and also comes if
telex is killed (it does not tell the process's number); errors quote the exit status and stderr; no variable of
``excluded_env`` is passed on; and the process starts while the SDK is still being imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from provider_core.errors import KeyDestinationError, KeyStoreError, ToolSecretError
from provider_core.keys import check_destination, unseal
from provider_core.settings.validators import is_harmless, parse_reference

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from provider_core.keys import KeyStore
    from provider_core.settings.mcp import McpServer
    from provider_core.settings.validators import SecretReference

_GRACE = 1.0
"""Seconds for a server to exit: after its stdin is closed, and again after SIGTERM."""

_EXIT_CHECK = 0.5
"""Seconds without output after which to check whether the process has exited: a child of it may hold the pipe open."""

_STDERR = 8192
"""Bytes at the end of stderr that are stored."""

StepName: TypeAlias = Literal["start", "handshake", "tools"]
"""The steps of a server's start; over HTTP there is no process to start."""

_POLL = 0.01
_NEW_GROUP_NO_WINDOW = 0x08000200  # of CreateProcess


class Process:
    """A process in a group of its own. Only ``kill`` may be called outside the loop's thread."""

    def __init__(self, process: asyncio.subprocess.Process, watchdog: subprocess.Popen[bytes] | None) -> None:
        self._process = process
        self._watchdog = watchdog
        self.pid: int = process.pid
        self.closed: bool = False
        """Whether stdout has ended."""
        self._stderr = b""
        self._reader = asyncio.create_task(self._read_stderr())

    @classmethod
    async def start(
        cls, command: Sequence[str], env: Mapping[str, str], cwd: Path | None, *, max_line: int
    ) -> Process:
        """Start the command; raises ``OSError`` or ``ValueError`` if that fails. ``max_line`` is in bytes."""
        options: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            options = {"creationflags": _NEW_GROUP_NO_WINDOW}
        pipe = subprocess.PIPE
        started = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, env=dict(env), cwd=cwd, limit=max_line, **options
        )
        return cls(started, _start_watchdog(started.pid))

    async def read_line(self) -> bytes | int | None:
        """The next line of stdout, the size of one that was too long, or None at the end."""
        stdout, skipped = self._process.stdout, 0
        while stdout is not None and not self.closed:
            try:
                async with asyncio.timeout(_EXIT_CHECK):
                    line = await stdout.readuntil()
            except TimeoutError:
                if self._process.returncode is not None:
                    break
            except asyncio.IncompleteReadError:
                break
            except asyncio.LimitOverrunError as error:
                skipped += len(await stdout.readexactly(error.consumed))
            else:
                return skipped + len(line) if skipped else line
        self.closed = True
        return None

    def write(self, data: bytes) -> None:
        """Queue ``data`` for stdin. A server that does not read costs memory, but blocks nothing."""
        if (stdin := self._process.stdin) is not None and not stdin.is_closing():
            stdin.write(data)

    async def _read_stderr(self) -> None:
        stderr = self._process.stderr
        while stderr is not None and (data := await stderr.read(1 << 16)):
            self._stderr = (self._stderr + data)[-_STDERR:]

    @property
    def stderr(self) -> str:
        """The last lines that it wrote to stderr."""
        text = self._stderr.decode("utf-8", "replace")
        return text.partition("\n")[2] if len(self._stderr) >= _STDERR and "\n" in text else text

    @property
    def exit_status(self) -> str:
        """How it ended, such as "exit 1" or "SIGKILL"; "" while it runs."""
        code = self._process.returncode
        if code is None:
            return ""
        if code >= 0:
            return f"exit {code}"
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"

    async def wait(self, seconds: float) -> None:
        """Wait until the process itself has exited, at most ``seconds``."""
        # Process.wait would also wait until all pipes are closed.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._process.returncode is None:
                    await asyncio.sleep(_POLL)

    async def end(self, *, at_once: bool) -> None:
        """Close its stdin, which asks it to exit; later send its group SIGTERM (now if ``at_once``), then SIGKILL."""
        if (stdin := self._process.stdin) is not None:
            stdin.close()
        if at_once or not await self._all_exited(_GRACE):
            self._signal(signal.SIGTERM)
            if not await self._all_exited(_GRACE):
                self.kill()
                await self.wait(_GRACE)
        if self._watchdog is not None:  # which must not end a group that gets the number later
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._watchdog.communicate(b"\n", timeout=_GRACE)
        if stdin is not None and stdin.transport.get_write_buffer_size():
            stdin.transport.abort()  # what will not be read keeps the pipe open
        self._reader.cancel()
        # asyncio has no public way to do this: a process left behind may hold the pipes open.
        self._process._transport.close()  # type: ignore[attr-defined]
        self.closed = True
        await asyncio.sleep(0)  # pipes are closed by callbacks

    def kill(self) -> None:
        """End the whole group at once; may be called in any thread."""
        if sys.platform == "win32":
            self._signal(signal.SIGTERM)
        else:
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if sys.platform != "win32":
                os.killpg(self.pid, number)
            else:
                self._process.terminate()

    async def _all_exited(self, seconds: float) -> bool:
        """Whether the process and everything in its group exit within ``seconds``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._process.returncode is None or self._group_is_alive():
                    await asyncio.sleep(_POLL)
                return True
        return False

    def _group_is_alive(self) -> bool:
        try:
            if sys.platform != "win32":
                os.killpg(self.pid, 0)
                return True
        except (ProcessLookupError, PermissionError):  # PermissionError: a group of zombies on macOS
            pass
        return False


_WATCHDOG = 'read -r line || { kill -s TERM -- "-$1"; sleep 1; kill -s KILL -- "-$1"; }'


def _start_watchdog(group: int) -> subprocess.Popen[bytes] | None:
    """Start a shell that ends a process group if telex is killed, unless it gets a line; None without a POSIX shell.

    A server should exit when its stdin is closed, which the kernel does. Some do not, and their children seldom do. So
    the shell waits for a line or for the end of a pipe that only this process holds open.
    """
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            return subprocess.Popen(
                ["/bin/sh", "-c", _WATCHDOG, "sh", str(group)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": os.defpath},
                start_new_session=True,  # Ctrl-C on the terminal must not reach it
            )
    return None


# --- variables ---------------------------------------------------------------------------------------------

# LC_* by their full names: ssh passes LC_* on, so people carry secrets in LC_ names of their own.
_POSIX = frozenset(
    (
        "HOME", "LANG", "LANGUAGE", "LC_ADDRESS", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_IDENTIFICATION",
        "LC_MEASUREMENT", "LC_MESSAGES", "LC_MONETARY", "LC_NAME", "LC_NUMERIC", "LC_PAPER", "LC_TELEPHONE", "LC_TIME",
        "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER",
        "__CF_USER_TEXT_ENCODING",  # macOS: without it, Core Foundation opens a file of the user's for it
    )
)  # fmt: skip
_WINDOWS = frozenset(
    (
        "APPDATA", "COMSPEC", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATH", "PATHEXT", "PROGRAMDATA", "PROGRAMFILES",
        "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP", "USERNAME", "USERPROFILE", "WINDIR",
    )
)  # fmt: skip

# In upper case, since programs read both spellings of most.
_NETWORK = frozenset(
    (
        "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
        "NODE_USE_SYSTEM_CA", "NIX_SSL_CERT_FILE", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "PIP_CERT", "AWS_CA_BUNDLE",
        "CARGO_HTTP_CAINFO", "DENO_CERT", "DENO_TLS_CA_STORE", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "HTTPLIB2_CA_CERTS",
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "NPM_CONFIG_CAFILE", "PERL_LWP_SSL_CA_FILE", "WEBSOCKET_CLIENT_CA_BUNDLE",
        "NO_PROXY", "NPM_CONFIG_NOPROXY", "NPM_CONFIG_NO_PROXY", "GLOBAL_AGENT_NO_PROXY", "NODE_USE_ENV_PROXY",
    )
)  # fmt: skip
_PROXIES = frozenset(
    (
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY", "WS_PROXY", "WSS_PROXY", "SOCKS_PROXY", "PIP_PROXY",
        "NPM_CONFIG_PROXY", "NPM_CONFIG_HTTPS_PROXY", "NPM_CONFIG_HTTP_PROXY", "CARGO_HTTP_PROXY",
        "GLOBAL_AGENT_HTTP_PROXY", "GLOBAL_AGENT_HTTPS_PROXY",
    )
)  # fmt: skip

_MIN_SECRET = 8
"""Characters below which the value of an excluded variable is not searched for in others."""


def server_environment(
    environ: Mapping[str, str], own: Mapping[str, str], *, excluded_env: Collection[str] = ()
) -> dict[str, str]:
    """The variables that every program needs, those of certificates and proxies, and the server's ``own``.

    Variables of ``excluded_env`` are omitted, and so are variables that contain the value of one, and proxies with a
    password.
    """
    usual = _WINDOWS if sys.platform == "win32" else _POSIX
    secrets = [value for name in excluded_env if len(value := environ.get(name, "")) >= _MIN_SECRET]
    overridden = {name.upper() for name in own}  # a program may read the other spelling first

    def is_passed_on(name: str, value: str) -> bool:
        upper = name.upper()
        exported_function = value.startswith("()")  # of bash
        if name in excluded_env or exported_function or any(secret in value for secret in secrets):
            return False
        if upper in usual and (sys.platform == "win32" or name in usual):
            return True
        known = upper in _NETWORK or (upper in _PROXIES and "@" not in value)
        return known and upper not in overridden and is_harmless(name, value)

    inherited = {name: value for name, value in environ.items() if is_passed_on(name, value)}
    return {"PATH": os.defpath, **inherited, **own}


# --- secrets -----------------------------------------------------------------------------------------------


class ServerCredentials(NamedTuple):
    """The variables or headers of a server with their secrets; ``secrets`` are redacted in everything it says."""

    values: Mapping[str, str]
    secrets: tuple[str, ...]


class SecretResolver:
    """Looks up references to the environment and the keyring. A keyring that failed once is not used again."""

    def __init__(self, environ: Mapping[str, str], store: KeyStore | None) -> None:
        self._environ = environ
        self._store = store
        self._store_error: KeyStoreError | None = None

    def resolve(self, server: McpServer) -> ServerCredentials:
        """Raises ``ToolSecretError`` for a secret that is missing or may not be sent to the server."""
        values: dict[str, str] = {}
        secrets: list[str] = []
        for name, written in {**server.env, **server.headers}.items():
            reference = parse_reference(written)
            if reference is None:
                values[name] = written
            else:
                secrets.append(self._secret(server, name, reference))
                values[name] = reference.before + secrets[-1]
        return ServerCredentials(values, tuple(secrets))

    def _secret(self, server: McpServer, name: str, reference: SecretReference) -> str:
        def error(words: str, source: str = "") -> ToolSecretError:
            return ToolSecretError(words, server=server.name, wanted_for=name, source=source)

        needs = f"the MCP server {server.name} needs {reference} for {name}"
        secret, confirmed, place = self._environ.get(reference.name), None, "is not set"
        if reference.kind == "keyring":
            try:
                secret, confirmed = unseal(self._stored(reference.entry) or "")
            except KeyStoreError as failure:
                self._store_error = failure
                raise error(f"{needs}: {failure}") from None
            place = "is not in the keyring"
        if not secret:
            raise error(f"{needs}, and it {place}", str(reference))
        if name not in server.headers:
            return secret
        secret = secret.strip()
        if not secret or not all(" " <= character <= "~" for character in secret):
            raise error(f"{needs}, and it contains characters that a header cannot carry")
        # A header's secret is sent only to the address that it was stored for, and only encrypted.
        what = f"{reference} for the header {name} of the MCP server {server.name}"
        try:
            check_destination(what, server.url, server.network, environ=self._environ, confirmed=confirmed)
        except KeyDestinationError as failure:
            raise error(failure.message, "http" if failure.unencrypted else str(reference)) from None
        return secret

    def _stored(self, entry: str) -> str | None:
        if self._store_error is not None:
            raise self._store_error
        if self._store is None:
            raise KeyStoreError("no usable keyring on this machine", state="missing")
        return self._store.get(entry)
