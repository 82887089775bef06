"""The entry point, of ``telex`` and ``python -m telex``: from here on Ctrl-C ends quietly, imports included."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def run() -> NoReturn:
    """Run the command line of this process, and end it."""
    try:
        from telex.main import run_process

        code = run_process()
    except KeyboardInterrupt:
        # Before anything could be said or opened there is nothing to leave in order.
        os._exit(130)
    sys.exit(code)


if __name__ == "__main__":
    run()
