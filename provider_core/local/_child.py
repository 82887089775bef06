"""The program that the local model runs in: one llama.cpp server on loopback, until standard input ends.

It is run as a file, by ``_server``, and imports nothing of this package. Its first line of input is
JSON: what to serve. Its one line of output is JSON: ``url``, or ``failed`` (llama.cpp's own words are
on standard error), or ``missing`` (xllamacpp cannot be imported).
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

_ERRORS_ONLY = 1


def main() -> None:
    # Ctrl-C is the parent's to answer: it may be about one answer, not about the model.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wanted = json.loads(sys.stdin.buffer.readline())
    _end_with_parent()
    line = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # whatever native code prints, it is not the answer

    def tell(**what: str) -> None:
        line.write(json.dumps(what) + "\n")
        line.flush()

    try:
        import xllamacpp

        server = xllamacpp.Server(_params(xllamacpp, wanted))
    except ImportError as error:
        tell(missing=str(error))
    except Exception as error:  # noqa: BLE001 - native code raises what it likes; the parent words it
        tell(failed=str(error))
    else:
        tell(url=server.listening_address)
        sys.stdin.buffer.read()
    # Taking a server down joins its threads, which can last as long as an answer does.
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
    params.cache_ram_mib = 0  # one conversation at a time: the slot itself is the cache
    return params


def _end_with_parent() -> None:
    """While a model loads, no Python runs here: let the system end this process when its input closes."""
    if sys.platform != "win32":
        import contextlib
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)


if __name__ == "__main__":
    main()
