"""``python -m tests.fuzz TARGET [--seconds N]``: fuzz one target with seeds that are mutated at random.

An input that fails is written to a file, and the run ends with status 1; one that does not end stops the run, and is in
the temporary folder as TARGET-last.bin.
"""

from __future__ import annotations

import argparse
import faulthandler
import sys
import tempfile
import time
import traceback
from pathlib import Path
from random import Random

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "guard")]

import sitecustomize  # noqa: E402, F401 - ends the process at a connection beyond this machine

SLOWEST = 10.0
"""Seconds after which one input has taken too long."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", help="a name of TARGETS in tests/fuzz/targets.py")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    from fuzz.targets import TARGETS, mutated

    name, random, target, runs = given.target, Random(given.seed), TARGETS[given.target], 0
    failures: dict[object, bytes] = {}
    last = Path(tempfile.gettempdir(), f"{name}-last.bin")
    until = time.monotonic() + given.seconds
    while time.monotonic() < until:
        data = mutated(random, target)
        runs += 1
        last.write_bytes(data)
        faulthandler.dump_traceback_later(5 * SLOWEST, exit=True)
        begun = time.monotonic()
        try:
            target.run(data)
            if (taken := time.monotonic() - begun) > SLOWEST:
                raise TimeoutError(f"it took {taken:.1f} s")
        except Exception as error:  # noqa: BLE001 - each is a finding
            place = traceback.extract_tb(error.__traceback__)[-1]
            if failures.setdefault((type(error), place.filename, place.lineno), data) is data:
                file = Path(tempfile.mkstemp(prefix=f"{name}-", suffix=".bin")[1])
                file.write_bytes(data)
                traceback.print_exc()
                print(f"{name} fails for {file}")
    print(f"{name}: {runs} runs, {len(failures)} failures, --seed {given.seed}")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
