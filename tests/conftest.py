"""What every test shares: nothing reaches beyond this machine, and each run of telex has a home of its own."""

from __future__ import annotations

import os
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from running import Telex, end_processes
from scripted import Scripted
from worlds import FakeWorld, RealWorld

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from keyring.backend import KeyringBackend
    from worlds import World

    from provider_core.http.transport import HttpTransport

# The same examples each time, however slow the machine is; --hypothesis-profile=default tries others.
settings.register_profile("telex", deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
settings.load_profile("telex")

# Neither settings, keys nor the terminal of whoever runs the tests; TELEX_TEST_... is for them.
for variable in list(os.environ):
    if (
        variable in ("COLUMNS", "LINES")
        or variable.endswith("_API_KEY")
        or (variable.startswith("TELEX_") and not variable.startswith("TELEX_TEST_"))
    ):
        del os.environ[variable]

LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0", "/")  # "/" is a Unix socket's path


class BeyondLoopback(BaseException):
    """No Exception: a test's own except clause must not swallow it."""


def _guard(address: object) -> None:
    host = address[0] if isinstance(address, tuple) else address
    text = host.decode() if isinstance(host, bytes) else str(host)
    if text and not text.startswith((*LOOPBACK, "\0")):
        raise BeyondLoopback(f"a test tried to reach {text}")


@pytest.fixture(autouse=True, scope="session")
def _usual_signals() -> None:
    """Under nohup or in the background signals are ignored, and commands that are started would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGHUP", "SIGTERM", "SIGTSTP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Iterator[None]:
    real_connect, real_connect_ex, real_lookup = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.getaddrinfo,
    )

    def connect(self: socket.socket, address: object) -> None:
        _guard(address)
        return real_connect(self, address)

    def connect_ex(self: socket.socket, address: object) -> int:
        _guard(address)
        return real_connect_ex(self, address)

    def lookup(host: object, *args: object, **kwargs: object) -> object:
        # Reserved names never leave the resolver's own library, and tests may ask for them.
        if host is not None and not str(host).endswith((".invalid", ".test")):
            _guard((host,))
        return real_lookup(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        patch.setattr(socket.socket, "connect_ex", connect_ex)
        patch.setattr(socket, "getaddrinfo", lookup)
        yield


@pytest.fixture(autouse=True)
def _no_process_outlives_its_test() -> Iterator[None]:
    yield
    end_processes()


@pytest.fixture
def server() -> Iterator[Scripted]:
    """A scripted server on a loopback port."""
    with Scripted() as scripted:
        yield scripted


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port whose queue of connections is full: the kernel drops every further attempt, as a firewall does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(4):
            each = socket.socket()
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
            waiting.append(each)
        time.sleep(0.05)
        yield listener.getsockname()[1]
        for each in waiting:
            each.close()


@pytest.fixture
def transport() -> Iterator[HttpTransport]:
    """Real HTTP, without what the environment says of proxies."""
    from provider_core.http.transport import HttpTransport

    with HttpTransport({}) as made:
        yield made


@pytest.fixture(params=["fake", "real"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A transport and its server: a fake one, then one with sockets."""
    if request.param == "fake":
        yield FakeWorld()
        return
    from provider_core.http.transport import HttpTransport

    with Scripted() as server, HttpTransport({}) as transport:
        yield RealWorld(server, transport)


@pytest.fixture
def telex(tmp_path: Path) -> Telex:
    """The installed command in a home of its own, with no key and no proxy in its environment."""
    return Telex(tmp_path / "home")


@pytest.fixture
def keyring_in_use() -> Iterator[Callable[[KeyringBackend], None]]:
    """Puts a backend in the place of the one that the keyring package has chosen."""
    import keyring

    before = keyring.get_keyring()
    yield keyring.set_keyring
    keyring.set_keyring(before)
