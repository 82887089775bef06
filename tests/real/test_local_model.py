"""llama.cpp's server with the real model: what it answers, how it starts, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest
from running import alive, ending, idle, within

from provider_core.errors import ConnectionLostError, LocalModelError
from provider_core.local import _child
from provider_core.local.server import Endpoint, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

SERVE = """
import sys
from pathlib import Path
from provider_core.local.server import serve
print("begun", flush=True)
with serve(Path(sys.argv[1]), alias="smollm2", threads=1) as endpoint:
    print(endpoint.base_url, flush=True)
    sys.stdin.read()
"""


def post(endpoint: Endpoint, *, key: str | None = None, **fields: object) -> httpx.Response:
    body = {
        "model": endpoint.model,
        "messages": [{"role": "user", "content": "Name three colours."}],
        **fields,
    }
    url, headers = f"{endpoint.base_url}/chat/completions", {"Authorization": f"Bearer {key or endpoint.key}"}
    return httpx.post(url, json=body, headers=headers, timeout=60)


def status(endpoint: Endpoint, key: str | None = None) -> int:
    return post(endpoint, key=key, max_tokens=1).status_code


def window(endpoint: Endpoint) -> int:
    url, headers = endpoint.base_url.replace("/v1", "/props"), {"Authorization": f"Bearer {endpoint.key}"}
    found: int = httpx.get(url, headers=headers).json()["default_generation_settings"]["n_ctx"]
    return found


def listens(base_url: str) -> bool:
    url = urlsplit(base_url)
    try:
        socket.create_connection((url.hostname or "", url.port or 0), 1).close()
    except OSError:
        return False
    return True


def server_of(pid: int) -> int:
    """The process id of the server that the process ``pid`` started, once it runs its own program."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                if b"_child.py" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
        time.sleep(0.001)
    raise AssertionError("it starts no server")


def python(source: str, *arguments: object) -> subprocess.Popen[str]:
    return ending(
        subprocess.Popen(
            [sys.executable, "-c", source, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
    )


@pytest.fixture
def served(model_path: Path) -> Iterator[Endpoint]:
    with serve(model_path, alias="smollm2", threads=1) as endpoint:
        yield endpoint


# --- answers -------------------------------------------------------------------------------------------------


def test_model_streams_an_answer(served):
    response = post(served, stream=True, max_tokens=24, temperature=0)
    assert response.status_code == 200
    lines = response.text.splitlines()
    events = [line[6:] for line in lines if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])
    assert any(colour in text.lower() for colour in ("red", "blue", "green", "yellow"))
    assert {chunk["model"] for chunk in chunks} == {"smollm2"}


@linux
def test_server_is_on_loopback_and_its_key_is_secret(served):
    assert urlsplit(served.base_url).hostname == "127.0.0.1"
    assert status(served, "guessed") == 401
    command = Path(f"/proc/{server_of(os.getpid())}/cmdline").read_bytes().decode()
    assert served.key not in command
    assert served.key not in repr(served)


def test_second_server_has_its_own_key_port_and_window(served, model_path):
    found = []

    def work() -> None:
        with serve(model_path, alias="two", context=512, threads=1) as two:
            found.extend([two.key, two.base_url, status(two), status(two, served.key), window(two)])

    thread = threading.Thread(target=work)  # not only the main thread can serve
    thread.start()
    thread.join()
    key, base_url, *others = found
    assert others == [200, 401, 512]
    assert key != served.key
    assert base_url != served.base_url
    assert window(served) == 8192


@linux
def test_ctrl_c_on_the_terminal_does_not_end_the_server(served):
    os.kill(server_of(os.getpid()), signal.SIGINT)
    assert status(served) == 200


# --- the end -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", ["gone", "listening"])
def test_closing_in_the_middle_of_an_answer_is_quick(model_path, client):
    with serve(model_path, alias="smollm2", threads=1) as endpoint:
        stream = contextlib.ExitStack()
        body = {"messages": [{"role": "user", "content": "Hi"}], "stream": True, "max_tokens": 4000}
        headers = {"Authorization": f"Bearer {endpoint.key}"}
        response = stream.enter_context(
            httpx.stream("POST", f"{endpoint.base_url}/chat/completions", json=body, headers=headers)
        )
        assert next(response.iter_raw(200))
        if client == "gone":
            stream.close()
        began = time.monotonic()
    assert time.monotonic() - began < 30
    assert not listens(endpoint.base_url)
    stream.close()


@linux
def test_ctrl_c_interrupts_loading(model_path):
    process = python(SERVE, model_path)
    server = server_of(process.pid)
    os.kill(server, signal.SIGSTOP)  # a model that never finishes loading
    assert within(60, lambda: idle(process.pid))  # subprocess.Popen has returned
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 30
    assert out == "begun\n"
    assert err.splitlines()[-1] == "KeyboardInterrupt"
    assert within(60, lambda: not alive(server))


@linux
@pytest.mark.parametrize("moment", ["loading", "serving"])
def test_server_ends_with_a_killed_process(model_path, moment):
    process = python(SERVE, model_path)
    assert process.stdout is not None
    server = server_of(process.pid)
    if moment == "serving":
        assert process.stdout.readline() == "begun\n"
        assert process.stdout.readline().startswith("http://127.0.0.1:")
    process.kill()
    assert within(60, lambda: not alive(server))
    process.communicate()


@linux
def test_server_of_a_process_that_was_killed_at_once_ends(model_path):
    asks = {"path": str(model_path), "alias": "a", "key": "k", "context": 512, "threads": 1, "fit": False}
    process = ending(
        subprocess.Popen(
            [sys.executable, "-P", _child.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.close()
    process.stdin.write(json.dumps(asks).encode() + b"\n")
    process.stdin.close()
    assert process.wait(60) == 0


@linux
def test_dead_server_is_reported_as_the_cause_of_a_lost_connection(model_path):
    def lose() -> None:
        with serve(model_path, alias="smollm2", threads=1):
            os.kill(server_of(os.getpid()), signal.SIGSEGV)
            raise ConnectionLostError("the connection broke")

    with pytest.raises(LocalModelError, match=r"ended unexpectedly \(SIGSEGV\)") as caught:
        lose()
    assert isinstance(caught.value.__cause__, ConnectionLostError)
    with pytest.raises(ConnectionLostError), serve(model_path, alias="smollm2", threads=1):
        raise ConnectionLostError("the connection to a living server broke")


@linux
def test_crash_while_loading_is_an_error(model_path):
    def crash(parent: int = os.getpid()) -> None:
        os.kill(server_of(parent), signal.SIGABRT)

    killer = threading.Thread(target=crash)
    killer.start()
    with (
        pytest.raises(LocalModelError, match=r"crashed while loading .*\(SIGABRT"),
        serve(model_path, alias="smollm2", threads=1),
    ):
        pass
    killer.join()


# --- output and unusable files -------------------------------------------------------------------------------


def test_native_code_prints_nothing(model_path):
    process = python(SERVE, model_path)
    assert process.stdout is not None
    lines = [process.stdout.readline(), process.stdout.readline()]
    url = lines[1].strip()
    assert url.startswith("http://127.0.0.1:")
    assert httpx.post(f"{url}/chat/completions", content="{}").status_code == 401
    out, err = process.communicate("")
    assert (out, err, process.returncode) == ("", "", 0)


def strange(folder: Path) -> Path:
    """A valid GGUF file of an unknown architecture."""

    def text(value: bytes) -> bytes:
        return struct.pack("<Q", len(value)) + value

    path = folder / "strange.gguf"
    entry = text(b"general.architecture") + struct.pack("<I", 8) + text(b"telegraph")
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + entry)
    return path


def damaged(folder: Path, content: bytes) -> Path:
    """The model with a number of layers at which native code aborts."""
    path = folder / "damaged.gguf"
    at = content.index(b"llama.block_count") + len(b"llama.block_count") + 4
    path.write_bytes(content[:at] + struct.pack("<I", 60_000) + content[at + 4 :])
    return path


def test_unusable_files_are_reported_in_llama_cpps_words_alone(model_path, tmp_path):
    content = model_path.read_bytes()
    shorter = tmp_path / "shorter.gguf"
    shorter.write_bytes(content[:-1000])
    for path, reason in (
        (
            strange(tmp_path),
            r"ModelFileError: llama\.cpp cannot load .*: unknown model architecture: 'telegraph'",
        ),
        (shorter, r"ModelFileError: llama\.cpp cannot load .*shorter\.gguf: .*(corrupted|incomplete)"),
        (damaged(tmp_path, content), r"(LocalModelError|ModelFileError): "),
    ):
        body = textwrap.indent(SERVE, " ")
        source = f"try:{body}except Exception as error: print(type(error).__name__, error, sep=': ')"
        out, err = python(source, path).communicate(timeout=60)
        begun, _, error = out.partition("\n")
        assert (begun, err) == ("begun", "")
        assert re.match(reason, error), error


@linux
def test_import_is_cheap_and_threads_are_the_cores_of_this_process():
    source = """
import os, sys
import provider_core.local
heavy = {"xllamacpp", "subprocess", "hashlib", "zipfile", "tempfile", "shutil", "json", "secrets", "ssl"}
print(sorted(heavy & set(sys.modules)), provider_core.local.installed())
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from provider_core.local.server import _cores
print(_cores())
"""
    assert python(source).communicate(timeout=60) == ("[] True\n1\n", "")
