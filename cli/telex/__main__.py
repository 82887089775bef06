"""``python -m telex``."""

from telex.main import run

run()
