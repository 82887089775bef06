"""The entry point, of ``telex`` and ``python -m telex``: from here on Ctrl-C ends quietly, imports included."""

from __future__ import annotations

import gc
import os
import sys

# The name is enough for a type checker; to import typing takes as long as half of Python's own start, and Ctrl-C
# would be a traceback while it lasts.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def run() -> NoReturn:
    """Run the command line of this process, and end it."""
    if sys.getfilesystemencoding() != "utf-8" and not sys.flags.utf8_mode and sys.executable:
        # Arguments, the environment, file names and streams are UTF-8 in every locale: Python reads them before
        # any code of ours runs, so it has to start again.
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606
    # What is imported lives to the end, and looking through it for garbage takes a seventh of a short answer's
    # time. A long run is still collected, only less often.
    gc.set_threshold(100_000)
    try:
        from telex.main import main

        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        # Before anything could be said or opened there is nothing to leave in order.
        os._exit(130)
    gc.freeze()  # the interpreter's last search finds nothing to look through
    sys.exit(code)


if __name__ == "__main__":
    run()
