"""The time that 24 KB of hostile code take in every language of Pygments.

    python tests/bench/lexers.py [WIDTH]

Each text is one unit repeated in lines of WIDTH characters (400). Prints what takes more than 0.3 s of CPU time, and
exits with 1 if there is any. It takes about half an hour; ``tests/cli/test_highlighting.py`` has the worst of them.
"""

from __future__ import annotations

import sys
import time
import warnings

from pygments.lexers import get_all_lexers

from telex.render.live import Colour, Look, render

SIZE = 24_000
UNITS = (
    "x y ", "<!--", "(", "([{<", '"', "'", "\\", " ", "a", "1", '\\"', "`", "<a ", "#", "-", "${", "a=", "/*", "a.",
    "a:", "\t", "_", "a,", "&&", "@", "%{", "/", "f(x, ",
)  # fmt: skip


def main(width: int = 400) -> int:
    warnings.simplefilter("ignore")
    slow = 0
    look = Look(colour=Colour.MANY)
    for language in sorted(names[0] for _, names, _, _ in get_all_lexers() if names):
        render(f"```{language}\n1\n```", 80, look=look)  # building a lexer's tables is not measured
        for unit in UNITS:
            line = (unit * width)[:width]
            begun = time.process_time()
            render(f"```{language}\n" + f"{line}\n" * (SIZE // width) + "```", 80, look=look)
            if (seconds := time.process_time() - begun) > 0.3:
                slow += 1
                print(f"{language} {unit!r} {seconds:.2f} s", flush=True)
    return min(slow, 1)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
