"""The program that runs a local model: a llama.cpp server on loopback, until standard input ends.

``server`` runs it as a file, so it imports nothing of this package. It reads one line of JSON, which says what to
serve, and writes one: ``url``, or ``failed`` (with llama.cpp's messages on standard error), or ``missing`` if xllamacpp
cannot be imported.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

_ERRORS_ONLY = 1


def main() -> None:
    # The parent handles Ctrl-C, which may only stop one answer.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wanted = json.loads(sys.stdin.buffer.readline())
    _end_with_parent()
    line = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # output of native code must not get among ours

    def report(**what: str) -> None:
        line.write(json.dumps(what) + "\n")
        line.flush()

    try:
        import xllamacpp

        server = xllamacpp.Server(_params(xllamacpp, wanted))
    except ImportError as error:
        report(missing=str(error))
    except Exception as error:  # noqa: BLE001 - native code raises anything
        report(failed=str(error))
    else:
        report(url=server.listening_address)
        sys.stdin.buffer.read()
        # Shutting the server down would wait for its threads, as long as an answer takes.
        os._exit(0)


def _params(xllamacpp: Any, wanted: dict[str, Any]) -> Any:
    params = xllamacpp.CommonParams()
    params.verbosity = _ERRORS_ONLY
    params.model.path = wanted["path"]
    params.model_alias = {wanted["alias"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [wanted["key"]]
    params.n_parallel = 1
    params.n_ctx = wanted["context"]
    if wanted["threads"] is not None:
        params.cpuparams.n_threads = wanted["threads"]
    params.fit_params = wanted["fit"]
    params.use_jinja = True
    params.warmup = False
    params.ui = False
    params.endpoint_slots = False
    params.cors_origins = ""
    params.cache_ram_mib = 0  # the only slot is the cache
    return params


def _end_with_parent() -> None:
    """Let the system end this process when its input closes, also while a model loads and no Python code runs."""
    if sys.platform != "win32":
        import contextlib
        import fcntl
        import select

        with contextlib.suppress(OSError):
            fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
            if select.select([0], [], [], 0)[0]:  # it closed before
                os._exit(0)


if __name__ == "__main__":
    main()
