"""The distribution: what a wheel holds."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from telex import man
from telex.help import TOPICS
from telex.main import root

ROOT = Path(__file__).parent.parent


def test_the_wheel_holds_two_packages_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    (info,) = {name for name in top if name.endswith(".dist-info")}
    data = info.replace(".dist-info", ".data")
    assert top - {info, data} == {"telex", "provider_core"}
    assert {"telex/py.typed", "provider_core/py.typed"} <= set(names)
    # What the shells find by themselves where the wheel is installed for all users.
    assert {name for name in names if name.startswith(data)} == {
        *(f"{data}/data/share/man/{page}" for page in man.pages(root)),
        f"{data}/data/share/bash-completion/completions/telex",
        f"{data}/data/share/zsh/site-functions/_telex",
        f"{data}/data/share/fish/vendor_completions.d/telex.fish",
    }
    assert {f"telex/help/topics/{topic}.md" for topic in TOPICS} <= set(names)
    assert {f"telex/completion/body.{shell}" for shell in ("bash", "zsh", "fish")} <= set(names)
