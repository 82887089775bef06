"""``python -m telex.completion completions`` writes the scripts of all shells into the folder."""

from __future__ import annotations

import sys
from pathlib import Path

from telex.completion import FILES, script
from telex.main import root

if len(sys.argv) != 2:
    sys.exit("usage: python -m telex.completion FOLDER")
for shell, name in FILES.items():
    Path(sys.argv[1], name).write_text(script(shell, root), "utf-8")
