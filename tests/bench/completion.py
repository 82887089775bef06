"""Prints the time from Tab to candidates with 5,000 models, beside file names and git in that shell; asserts nothing.

Run as ``python tests/bench/completion.py``. Everything is one of 5,000: models of ten providers or of one, files of
a folder, branches of a repository. Times are medians in milliseconds, from the Tab until the candidates are on
the pseudo-terminal; what is behind them is their ratio to the same shell's file names and to its git.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from shells import BASH_WITH_PACKAGE, FISH, ZSH, Kind, Shell

from provider_core.catalog import Catalog, cached_listings, write_snapshot
from provider_core.settings import Paths
from provider_core.types import Model, Provider
from telex.completion import find, put, script
from telex.main import root

ROUNDS = 15
MANY = 5_000
LISTED = 500

TYPED = {
    "telex, ten providers": "telex chat -m prov7/model-0",
    "telex, one provider": "telex chat -m prov7/model-0",
    "file names": "ls files/prov7-model-0",
    "git branches": "git checkout prov7/model-0",
}
LAST = str(LISTED - 1)
"""Typed behind these, it leaves one candidate; without it there are as many as are listed."""


def models(count: int) -> list[str]:
    """The ids of a provider: those that will be listed, and others."""
    return [f"{'model' if at < LISTED else 'other'}-{at:04d}:free" for at in range(count)]


def write_lists(home: Path, providers: list[str]) -> None:
    """Write the names down as telex does."""
    paths = Paths.find({"TELEX_HOME": str(home)})
    each = tuple(Model(id=id_, name=f"{id_.title()} of many") for id_ in models(MANY // len(providers)))
    known = {name: Provider(name=name, base_url="http://127.0.0.1:9/v1", models=each) for name in providers}
    assert write_snapshot(paths, Catalog(known, load=cached_listings(paths.lists)))
    assert len((paths.cache / "completion" / "models").read_text().splitlines()) == MANY


def make_work(folder: Path, providers: list[str]) -> None:
    """A folder of as many files, and a repository of as many branches, called as the models are."""
    names = [
        f"{name}/{id_.partition(':')[0]}" for name in providers for id_ in models(MANY // len(providers))
    ]
    (folder / "files").mkdir()
    for name in names:
        (folder / "files" / name.replace("/", "-")).touch()
    git = ("git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@example.org")
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    new = "".join(f"create refs/heads/{name} HEAD\n" for name in names)
    subprocess.run([*git, "update-ref", "--stdin"], input=new.encode(), check=True)
    subprocess.run([*git, "pack-refs", "--all"], check=True)


def measure(shell: Shell, line: str, *, listing: bool) -> float:
    """The median of the milliseconds from Tab to the candidate, or to all that are listed at once."""
    taken = []
    for _ in range(ROUNDS):
        shell.fresh()
        shell.type(line)
        shell.wait_until(lambda text: line in text, "echo")
        if listing and shell.kind.family == "bash":
            shell.type("\t")  # a first one rings the bell
            shell.settle(0.3)
        done = (b"more rows" if shell.kind.family == "fish" else LAST.encode()) if listing else b"ree"
        if line.startswith(("ls", "git")) and not listing:
            done = b" "
        shell.settle(0.05)
        shell.raw = b""
        began = time.perf_counter()
        shell.type("\t")
        while done not in shell.raw:
            assert shell.read(10), f"nothing after {line!r}:\n{shell.text}"
        taken.append((time.perf_counter() - began) * 1000)
        shell.settle(0.1)
    return statistics.median(taken)


def install(kind: Kind, home: Path) -> None:
    """Put the script where the shell looks."""
    (home / "site-functions").mkdir(exist_ok=True)
    places = {"zsh": home / "site-functions" / "_telex"}
    path = places.get(kind.family) or find(kind.family, {"HOME": str(home)}).path
    put(path, script(kind.family, root))


def main() -> None:
    """Measure in each shell that is there."""
    ten, one = [f"prov{at}" for at in range(10)], ["prov7"]
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch, "work")
        work.mkdir()
        make_work(work, ten)
        for kind in (BASH_WITH_PACKAGE, ZSH, FISH):
            if kind.missing:
                print(f"{kind.name}: {kind.missing}")
                continue
            took: dict[tuple[str, bool], float] = {}
            for providers, names in ((ten, [*TYPED][:1] + [*TYPED][2:]), (one, [*TYPED][1:2])):
                home = Path(scratch, kind.family, str(len(providers)))
                home.mkdir(parents=True)
                write_lists(home, providers)
                install(kind, home)
                env = {"PATH": os.environ["PATH"], "TELEX_HOME": str(home), "LANG": "C.UTF-8"}
                with Shell(kind, home=home, env=env, cwd=work) as shell:
                    for name in names:
                        took[name, False] = measure(shell, TYPED[name] + LAST, listing=False)
                        took[name, True] = measure(shell, TYPED[name], listing=True)
            report(kind, took)


def report(kind: Kind, took: dict[tuple[str, bool], float]) -> None:
    """Print a table of one shell."""
    program = subprocess.run([kind.program, "--version"], capture_output=True, text=True, check=True)
    version = re.search(r"[\d.]+\d", program.stdout)
    print(f"\n{kind.program} {version[0] if version else ''}".ljust(26), f"one of {MANY}".rjust(24), end="")
    print(f"{LISTED} of {MANY}".rjust(26))
    for name in TYPED:
        print(f"  {name:24}", end="")
        for listing in (False, True):
            value = took[name, listing]
            ratios = [value / took[other, listing] for other in ("file names", "git branches")]
            print(f"{value:10.1f}  ({ratios[0]:4.1f}, {ratios[1]:4.1f})", end="")
        print()


if __name__ == "__main__":
    main()
