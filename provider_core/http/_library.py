"""The one import of httpx, without the command line it carries; nothing is done with it here."""

import sys

# httpx.__init__ imports httpx's own command line, and with it click, rich and pygments: half of its 100 ms.
# A None in sys.modules makes that import fail, which httpx provides for; it is put right again at once.
_COMMAND_LINE = "httpx._main"
_put = sys.modules.setdefault(_COMMAND_LINE, None) is None  # type: ignore[arg-type]
try:
    import httpx
finally:
    if _put:
        del sys.modules[_COMMAND_LINE]

__all__ = ["httpx"]
