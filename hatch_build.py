"""Generate the man pages when a distribution is built: share/man in the wheel, man in the source distribution."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManPages(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the pages to the files of a build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        sys.path[:0] = [str(Path(self.root, "cli")), self.root]
        from telex import man

        self._pages = TemporaryDirectory()
        man.write(Path(self._pages.name))
        for page in Path(self._pages.name).glob("man?/*"):
            name = f"{page.parent.name}/{page.name}"
            if self.target_name == "wheel":
                build_data["shared_data"][str(page)] = f"share/man/{name}"
            else:
                build_data["force_include"][str(page)] = f"man/{name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self._pages.cleanup()
