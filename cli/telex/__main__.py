"""The entry point of ``telex`` and ``python -m telex``."""

from __future__ import annotations

import gc
import os
import sys

# Type checkers need only the name. Importing typing takes as long as half of Python's own start, and until run() is
# called, Ctrl-C prints a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def run() -> NoReturn:
    """Run the command line of this process, and exit."""
    if sys.getfilesystemencoding() != "utf-8" and not sys.flags.utf8_mode and sys.executable:
        # Arguments, variables, file names and streams are UTF-8 whatever the locale. Python has decoded some of them
        # before any code of telex runs, so it has to start again.
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606
    # Imported modules are never garbage, and searching them takes a seventh of the time of a short answer.
    gc.set_threshold(100_000)
    try:
        from telex.main import main

        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        os._exit(130)  # nothing is open or printed yet
    gc.freeze()  # skip the search at exit
    sys.exit(code)


if __name__ == "__main__":
    run()
