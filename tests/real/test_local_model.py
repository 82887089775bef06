"""llama.cpp's own server with the real model: what it answers, and how it begins and ends."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from provider_core.errors import ConnectionLostError, LocalModelError, ModelFileError
from provider_core.local import Endpoint, check_gguf, serve

ROOT = Path(__file__).parents[2]
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

SERVE = """
import sys
from pathlib import Path
from provider_core.local import serve
print("begun", flush=True)
with serve(Path(sys.argv[1]), alias="smollm2", threads=1) as endpoint:
    print(endpoint.base_url, flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def asked(endpoint: Endpoint, method: str, path: str, body: object = None, key: str | None = None):
    url = urlsplit(endpoint.base_url)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=60)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key or endpoint.key}"}
    with contextlib.closing(connection):
        connection.request(method, path, json.dumps(body) if body else None, headers)
        with connection.getresponse() as response:
            yield response


def chat(endpoint: Endpoint, *, key: str | None = None, **fields: object):
    body = {
        "model": endpoint.model,
        "messages": [{"role": "user", "content": "Name three colours."}],
        **fields,
    }
    return asked(endpoint, "POST", "/v1/chat/completions", body, key)


def status(endpoint: Endpoint, key: str | None = None) -> int:
    with chat(endpoint, key=key, max_tokens=1) as response:
        return response.status


def window(endpoint: Endpoint) -> int:
    with asked(endpoint, "GET", "/props") as response:
        return json.loads(response.read())["default_generation_settings"]["n_ctx"]


def listens(base_url: str) -> bool:
    url = urlsplit(base_url)
    try:
        socket.create_connection((url.hostname or "", url.port or 0), 1).close()
    except OSError:
        return False
    return True


def server_of(pid: int) -> int:
    """The process id of the server that the process ``pid`` started, once it runs its own program."""
    while True:
        with contextlib.suppress(OSError):
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                if b"_child.py" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
        time.sleep(0.001)


def gone(pid: int, *, within: float) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if "State:\tZ" not in Path(f"/proc/{pid}/status").read_text():
                time.sleep(0.01)
                continue
        return True
    return False


def python(source: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", source, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


# --- answering ---------------------------------------------------------------------------------------------


def test_it_streams_an_answer_to_who_has_the_key(model_path):
    with (
        serve(model_path, alias="smollm2", threads=1) as endpoint,
        chat(endpoint, stream=True, max_tokens=24, temperature=0) as response,
    ):
        assert response.status == 200
        lines = response.read().decode().splitlines()
    events = [line[6:] for line in lines if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])
    assert any(colour in text.lower() for colour in ("red", "blue", "green", "yellow"))
    assert {chunk["model"] for chunk in chunks} == {"smollm2"}


def test_a_wrong_key_is_refused(model_path):
    with serve(model_path, alias="smollm2", threads=1) as endpoint:
        assert status(endpoint, "guessed") == 401


def test_each_server_has_a_key_and_a_port_of_its_own(model_path):
    with (
        serve(model_path, alias="one", threads=1) as one,
        serve(model_path, alias="two", threads=1) as two,
    ):
        assert one.key != two.key
        assert one.base_url != two.base_url
        assert status(two, one.key) == 401
        assert status(two) == 200


def test_the_window_is_the_models_own_unless_one_is_asked_for(model_path):
    with serve(model_path, alias="smollm2", threads=1) as endpoint:
        assert window(endpoint) == 8192
    with serve(model_path, alias="smollm2", context=512, threads=1) as endpoint:
        assert window(endpoint) == 512


def test_it_is_served_on_loopback_alone(model_path):
    with serve(model_path, alias="smollm2", threads=1) as endpoint:
        assert urlsplit(endpoint.base_url).hostname == "127.0.0.1"


@linux
def test_the_key_is_in_no_command_line_and_in_no_repr(model_path):
    with serve(model_path, alias="smollm2", threads=1) as endpoint:
        command = Path(f"/proc/{server_of(os.getpid())}/cmdline").read_bytes().decode()
        assert endpoint.key not in command
        assert endpoint.key not in repr(endpoint)


def test_it_can_be_served_from_another_thread(model_path):
    found = []

    def work() -> None:
        with serve(model_path, alias="smollm2", threads=1) as endpoint:
            found.append(status(endpoint))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [200]


# --- ending ------------------------------------------------------------------------------------------------


def test_the_port_is_closed_after_the_block(model_path):
    with serve(model_path, alias="smollm2", threads=1) as endpoint:
        assert listens(endpoint.base_url)
    assert not listens(endpoint.base_url)


def test_the_port_is_closed_after_an_error_in_the_block_which_passes_through(model_path):
    with pytest.raises(ZeroDivisionError), serve(model_path, alias="smollm2", threads=1) as endpoint:
        1 / 0  # noqa: B018
    assert not listens(endpoint.base_url)


@pytest.mark.parametrize("client", ["gone", "listening"])
def test_closing_is_quick_in_the_middle_of_an_answer(model_path, client):
    with serve(model_path, alias="smollm2", threads=1) as endpoint:
        stream = contextlib.ExitStack()
        response = stream.enter_context(chat(endpoint, stream=True, max_tokens=4000))
        assert response.read(200)
        if client == "gone":
            stream.close()
        began = time.monotonic()
    assert time.monotonic() - began < 3
    assert not listens(endpoint.base_url)
    stream.close()


@linux
def test_ctrl_c_while_the_model_loads_ends_it_at_once(model_path):
    process = python(SERVE, model_path)
    server = server_of(process.pid)
    os.kill(server, signal.SIGSTOP)  # a model that takes for ever
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert time.monotonic() - began < 4
    assert out == "begun\n"
    assert err.splitlines()[-1] == "KeyboardInterrupt"
    assert gone(server, within=1)


@linux
def test_ctrl_c_on_the_terminal_is_not_the_servers_business(model_path):
    with serve(model_path, alias="smollm2", threads=1) as endpoint:
        os.kill(server_of(os.getpid()), signal.SIGINT)
        assert status(endpoint) == 200


@linux
@pytest.mark.parametrize("moment", ["loading", "serving"])
def test_the_server_does_not_outlive_a_killed_process(model_path, moment):
    process = python(SERVE, model_path)
    assert process.stdout is not None
    server = server_of(process.pid)
    if moment == "serving":
        assert process.stdout.readline() == "begun\n"
        assert process.stdout.readline().startswith("http://127.0.0.1:")
    process.kill()
    assert gone(server, within=2)
    process.communicate()


@linux
def test_a_server_that_died_is_the_reason_for_a_lost_connection(model_path):
    def lose() -> None:
        with serve(model_path, alias="smollm2", threads=1):
            os.kill(server_of(os.getpid()), signal.SIGSEGV)
            raise ConnectionLostError("the connection broke")

    with pytest.raises(LocalModelError, match=r"ended unexpectedly \(SIGSEGV\)") as caught:
        lose()
    assert isinstance(caught.value.__cause__, ConnectionLostError)


def test_a_lost_connection_to_a_living_server_stays_what_it_is(model_path):
    with (
        pytest.raises(ConnectionLostError),
        serve(model_path, alias="smollm2", threads=1),
    ):
        raise ConnectionLostError("the connection broke")


@linux
def test_native_code_that_crashes_on_a_file_is_an_error_and_not_the_end(model_path):
    def crash(parent: int = os.getpid()) -> None:
        os.kill(server_of(parent), signal.SIGABRT)

    killer = threading.Thread(target=crash)
    killer.start()
    with (
        pytest.raises(LocalModelError, match=r"broke down while loading .*\(SIGABRT"),
        serve(model_path, alias="smollm2", threads=1),
    ):
        pass
    killer.join()


# --- what is not shown, not there, not usable --------------------------------------------------------------


def test_nothing_native_is_printed_when_all_is_well(model_path):
    process = python(SERVE, model_path)
    assert process.stdout is not None
    lines = [process.stdout.readline(), process.stdout.readline()]
    host, _, port = lines[1].strip().removesuffix("/v1").rpartition(":")
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)) as connection:
        connection.request("POST", "/v1/chat/completions", "{}")
        assert connection.getresponse().status == 401
    out, err = process.communicate("")
    assert (host, out, err, process.returncode) == ("http://127.0.0.1", "", "", 0)


def strange(folder: Path) -> Path:
    """A whole GGUF file of an architecture that nobody has."""

    def text(value: bytes) -> bytes:
        return struct.pack("<Q", len(value)) + value

    path = folder / "strange.gguf"
    entry = text(b"general.architecture") + struct.pack("<I", 8) + text(b"telegraph")
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + entry)
    return path


def test_llama_cpps_reason_for_refusing_a_file_is_quoted(tmp_path):
    with (
        pytest.raises(
            ModelFileError, match=r"llama\.cpp cannot load .*: unknown model architecture: 'telegraph'"
        ),
        serve(strange(tmp_path), alias="strange"),
    ):
        pass


def test_the_models_header_says_how_long_the_file_is_to_the_byte(model_path, tmp_path):
    check_gguf(model_path)
    shorter = tmp_path / "shorter.gguf"
    shutil.copy(model_path, shorter)
    size = model_path.stat().st_size
    os.truncate(shorter, size - 1)
    with pytest.raises(ModelFileError, match=f"is truncated: {size - 1} of {size} bytes"):
        check_gguf(shorter)


def test_a_refused_file_prints_nothing_native(tmp_path):
    assert refused(strange(tmp_path)) == ("ModelFileError", "")


def test_a_file_that_native_code_aborts_on_prints_nothing_native(model_path, tmp_path):
    path = tmp_path / "damaged.gguf"
    content = bytearray(model_path.read_bytes())
    number = content.index(b"llama.block_count") + len(b"llama.block_count") + 4
    content[number : number + 4] = struct.pack("<I", 60_000)
    path.write_bytes(content)
    error, printed = refused(path)
    assert error in {"LocalModelError", "ModelFileError"}
    assert printed == ""


def refused(path: Path) -> tuple[str, str]:
    """The class of the error that serving the file ends in, and all that is printed on the way."""
    source = f"try:{textwrap.indent(SERVE, ' ')}except Exception as error: print(type(error).__name__)"
    out, err = python(source, path).communicate(timeout=30)
    begun, _, error = out.partition("\n")
    assert begun == "begun"
    return error.strip(), err


def test_a_path_that_llama_cpp_cannot_open_is_refused_before_it_tries(tmp_path):
    path = tmp_path / "\udcff.gguf"
    try:
        strange(tmp_path).rename(path)
    except (OSError, UnicodeError):
        pytest.skip("this file system has no such names")
    with pytest.raises(ModelFileError, match="UTF-8"), serve(path, alias="strange"):
        pass


def test_without_the_extra_the_error_names_the_package(tmp_path):
    source = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from provider_core.errors import (LocalModelError)
from provider_core.local import installed, serve
assert not installed()
try:
    with serve(Path("x.gguf"), alias="x"):
        pass
except LocalModelError as error:
    print(error)
"""
    command = [sys.executable, "-I", "-S", "-c", source, str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    expected = "a local model needs the package xllamacpp, which is not installed\n"
    assert (done.stdout, done.stderr) == (expected, "")


def test_importing_the_room_is_cheap():
    source = """
import sys
import provider_core.local
dear = {"xllamacpp", "subprocess", "hashlib", "zipfile", "tempfile", "shutil", "json", "secrets", "ssl"}
print(sorted(dear & set(sys.modules)), provider_core.local.installed())
"""
    process = python(source)
    assert process.communicate(timeout=30) == ("[] True\n", "")


@linux
def test_a_process_held_to_one_processor_computes_with_one_thread():
    source = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from provider_core.local._cores import free_cores
print(free_cores())
"""
    process = python(source)
    assert process.communicate(timeout=30) == ("1\n", "")
