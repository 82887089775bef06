"""Prints how long ``telex models list`` takes with 60 providers and 5,000 models, and with none; asserts nothing.

Run as ``python tests/bench/models.py``. Whole processes of the installed command, each the best of many in a random
order, so that the machine's moods hit all kinds alike. "Printing" is what a Python that writes the same lines takes
over one that writes none.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

from provider_core.catalog import CachedModelList, write_cached
from provider_core.types import Model, Provider

PROVIDERS, MODELS, ROUNDS = 60, 5_000, 21
COMMAND = str(Path(sysconfig.get_path("scripts")) / "telex")


def home(folder: Path, providers: int, models: int) -> dict[str, str]:
    """Make a home with so many providers and kept models; returns the environment that leads to it."""
    (folder / "config").mkdir(parents=True, mode=0o700)
    lists = folder / "cache" / "models"
    lists.parent.mkdir(mode=0o700)
    text = ""
    for number in range(providers):
        name, url = f"lab{number}", f"http://127.0.0.1:{9000 + number}/v1"
        text += f'[providers.{name}]\nbase_url = "{url}"\nkey = "{"keyring" if number % 2 else "none"}"\n'
        listed = [
            Model(id=f"org-{number}/model-{n}:free", name=f"Model {n}", context=131072, tools=n % 2 == 0)
            for n in range(number, models, providers)
        ]
        write_cached(lists, Provider(name=name, base_url=url), CachedModelList.of(listed, time.time()))
    (folder / "config" / "settings.toml").write_text(text)
    (folder / "config" / "settings.toml").chmod(0o600)
    return os.environ | {"TELEX_HOME": str(folder), "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}


def seconds(arguments: list[str], env: dict[str, str]) -> tuple[float, int]:
    """Run the process once; returns its time and how many lines it wrote."""
    start = time.perf_counter()
    done = subprocess.run(arguments, env=env, capture_output=True, check=True, stdin=subprocess.DEVNULL)
    return time.perf_counter() - start, done.stdout.count(b"\n")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        kinds = {
            "python -c pass": ([sys.executable, "-c", "pass"], dict(os.environ)),
            f"python, printing {MODELS} lines": (
                [
                    sys.executable,
                    "-c",
                    f"print('\\n'.join('lab12/org-12/model-123:free' for _ in range({MODELS})))",
                ],
                dict(os.environ),
            ),
            "models list, nothing set up": (
                [COMMAND, "models", "list", "-P", "local"],
                home(Path(folder) / "none", 0, 0),
            ),
            f"models list, {PROVIDERS} providers, {MODELS} models": (
                [COMMAND, "models", "list"],
                home(Path(folder) / "many", PROVIDERS, MODELS),
            ),
            "the same, --json": ([COMMAND, "models", "list", "--json"], {}),
        }
        kinds["the same, --json"] = (kinds["the same, --json"][0], list(kinds.values())[3][1])
        times: dict[str, list[float]] = {name: [] for name in kinds}
        lines: dict[str, int] = {}
        order = list(kinds.items())
        for round_ in range(ROUNDS + 1):
            random.shuffle(order)
            for name, (arguments, env) in order:
                taken, lines[name] = seconds(arguments, env)
                if round_:  # the first writes the snapshot and fills the caches of the system
                    times[name].append(taken)
    best = {name: min(taken) for name, taken in times.items()}
    for name, shortest in best.items():
        print(f"{name:<48} {shortest * 1e3:7.1f} ms  {lines[name]:6} lines")
    bare, printing, empty, full, _ = best.values()
    print(f"full / (empty + printing) = {full / (empty + printing - bare):.2f}")


if __name__ == "__main__":
    main()
