"""``python -m telex.man cli/man`` writes all pages into the folder, and removes those of commands that are gone."""

from __future__ import annotations

import sys
from pathlib import Path

from telex.main import root
from telex.man import pages

if len(sys.argv) != 2:
    sys.exit("usage: python -m telex.man FOLDER")
folder = Path(sys.argv[1])
made = pages(root)
for old in folder.glob("man?/telex*"):
    if old.relative_to(folder).as_posix() not in made:
        old.unlink()
for name, text in made.items():
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, "utf-8")
