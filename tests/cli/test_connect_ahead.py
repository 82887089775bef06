"""The connection of a chat is opened as soon as the address is known, before the key, the prompt and the imports."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme
from inprocess import Inside
from running import idle, within
from scripted import answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from running import Telex

REPLY = b"".join(answer("Hello"))
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(REPLY)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(60)
        yield listening


def url(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


def request_on(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"}"):
        part = connection.recv(65536)
        assert part, data
        data += part
    return data


def is_left_alone(listener: socket.socket) -> bool:
    listener.settimeout(0.05)
    try:
        connection, _ = listener.accept()
    except TimeoutError:
        return True
    connection.close()
    return False


def test_the_connection_is_open_before_stdin_ends_and_takes_the_request(
    telex: Telex, listener: socket.socket
) -> None:
    telex.provider("lab", url(listener))
    with telex.start("chat", "--timeout", "60", "hi", stdin=subprocess.PIPE) as process:
        connection, _ = listener.accept()
        with connection:
            assert process.stdin is not None
            process.stdin.write(b"piped")
            process.stdin.close()
            assert b"piped" in request_on(connection)
            connection.sendall(HEAD + REPLY)
            assert process.stdout is not None
            assert process.stdout.read() == b"Hello\n"
    assert process.returncode == 0
    assert is_left_alone(listener)


def test_a_key_command_runs_while_the_connection_is_made(telex: Telex, listener: socket.socket) -> None:
    ready = telex.home / "accepted"
    command = f"sh -c 'while [ ! -e {ready} ]; do sleep 0.01; done; echo sk-1'"
    telex.provider("lab", url(listener), key=None, key_command=command)
    with telex.start("chat", "--timeout", "60", "hi") as process:
        connection, _ = listener.accept()
        with connection:
            ready.touch()
            assert b"Bearer sk-1" in request_on(connection)
            connection.sendall(HEAD + REPLY)
        assert process.wait(60) == 0
    assert is_left_alone(listener)


@pytest.mark.parametrize(
    ("arguments", "fields", "code"),
    [
        (("-m", "lab"), {}, 2),  # there is no prompt
        (("-m", "lab", "-f", "/nowhere/notes.txt", "hi"), {}, 2),
        (("-m", "lab", "hi"), {"key": None, "key_command": "false"}, 4),
    ],
    ids=["no prompt", "no such file", "no key"],
)
def test_a_command_that_ends_early_closes_its_connection(
    tmp_path: Path, listener: socket.socket, arguments: tuple[str, ...], fields: dict[str, object], code: int
) -> None:
    telex = Inside(tmp_path)
    telex.provider("lab", url(listener), **fields)
    assert telex("chat", *arguments).code == code
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(60)
        assert connection.recv(1) == b""


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        (("chat", "-m", "lab", "--dry-run", "hi"), {}),
        (("chat", "-m", "lab", "-m", "nobody/m", "--dry-run", "hi"), {}),
        (("chat", "-m", "nobody/m", "hi"), {}),
        (("chat", "-m", "lab", "hi"), {"key": None, "key_env": "LAB_KEY"}),  # it is not set
        (("chat", "--help"), {}),
        (("models", "list"), {}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_command_that_sends_nothing_opens_no_connection(
    tmp_path: Path, listener: socket.socket, arguments: tuple[str, ...], fields: dict[str, object]
) -> None:
    telex = Inside(tmp_path)
    telex.provider("lab", url(listener), **fields)
    telex(*arguments)
    assert is_left_alone(listener)


def connecting(pid: int) -> bool:
    """Whether the process has a socket."""
    try:
        return any(str(each.readlink()).startswith("socket:") for each in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # it was closed meanwhile
        return False


def test_ctrl_c_does_not_wait_for_a_host_that_accepts_no_connection(telex: Telex, deaf: int) -> None:
    telex.provider("lab", f"http://127.0.0.1:{deaf}/v1", connect_timeout=60)
    with telex.start("chat", "hi") as process:
        assert within(60, lambda: connecting(process.pid) and idle(process.pid))
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert time.monotonic() - began < 30
    assert (process.returncode, out) == (130, b"")
    assert b"Interrupted." in err
    assert b"Traceback" not in err


def test_a_command_may_end_while_the_certificates_are_loaded(
    telex: Telex, listener: socket.socket, tmp_path: Path
) -> None:
    """The thread is inside OpenSSL for long here; a process that ended at that moment crashed in one case of ten."""
    bundle = tmp_path / "authorities.pem"
    bundle.write_bytes(trustme.CA().cert_pem.bytes() * 2000)
    telex.provider("lab", url(listener).replace("http", "https"), ca_bundle=str(bundle))
    assert {telex("chat", "-f", "/nowhere/notes.txt", "hi").code for _ in range(8)} == {2}
