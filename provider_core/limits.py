"""Bounds on what is read, held and waited for: no server, file or program may fill the memory or never end.

They are far beyond what is useful. What is tuned for speed or looks is not here. ``telex help limits`` is made from
the docstrings: the unit, what is counted, and on a line of its own what happens beyond.
"""

from __future__ import annotations

from typing import Final

# --- answers -----------------------------------------------------------------------------------------------

ANSWER: Final = 4_000_000
"""Characters: the text of an answer that the history saves, in every output format, and as many of its reasoning.
A note reports that the rest is not saved. An answer for --extract or --schema is broken off here, with an error."""

WHOLE_ANSWER: Final = 100_000_000
"""Characters: the text of an answer for --json or the library, and the reasoning of any answer.
The answer is broken off with an error; what has arrived is printed."""

BLANKS: Final = 1 << 14
"""Characters: blanks in a row in an answer, its reasoning or the arguments of a tool call.
The answer is broken off with an error: some models never stop sending them."""

FRAME: Final = 64 << 20
"""Bytes: one event or one line of a stream, or a reply in JSON.
The answer is broken off with an error."""

SIGNS_OF_LIFE: Final = 16 << 20
"""Bytes: comments, pings and empty events in a row, or a web page.
The answer is broken off with an error."""

BESIDE_TEXT: Final = 32 << 20
"""Bytes: tool calls, further choices, log probabilities and encrypted reasoning of one answer together.
The answer is broken off with an error."""

CALLS: Final = 1_000
"""Tool calls: in one answer.
The answer is broken off with an error, and no tool is run."""
