"""Loaded by every child that tests start: a connection beyond this machine ends the child with status 97."""

import os
import sys


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else ""
    elif event == "socket.getaddrinfo":
        host = arguments[0]
        if str(host).endswith((".invalid", ".test")):
            return
    else:
        return
    text = host.decode() if isinstance(host, bytes) else str(host or "")
    if text and not text.startswith(("127.", "::1", "localhost", "0.0.0.0")):
        os.write(2, f"a test tried to reach {text}\n".encode())
        os._exit(97)


# Packages that this child shall not find, as if an extra had not been installed.
hidden = os.environ.get("TELEX_TEST_WITHOUT", "").split()
if hidden:
    from importlib.machinery import PathFinder

    find_spec = PathFinder.find_spec
    PathFinder.find_spec = lambda name, *more: None if name in hidden else find_spec(name, *more)  # type: ignore[assignment, method-assign]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]

if not os.environ.get("TELEX_TEST_MAY_FETCH"):
    sys.addaudithook(_refuse)
