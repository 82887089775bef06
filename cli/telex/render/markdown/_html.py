"""Which lines begin a block of HTML or a formula, and which end it."""

from __future__ import annotations

import re

from telex.render.markdown._cut import LONG
from telex.render.markdown._inline import TAG

__all__ = ["BLANK", "FORMULA_ENDS", "formula_end", "html_end"]

BLANK = re.compile(r"(?!)")
"""The end of a block that only an empty line ends: matches nothing within a line."""

FORMULA_ENDS = {"$$": re.compile(r"\$\$"), "\\[": re.compile(r"\\\]")}

_NAMES = (
    "address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|details|dialog|dir|"
    "div|dl|dt|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hr|html|iframe|"
    "legend|li|link|main|menu|menuitem|nav|noframes|ol|optgroup|option|p|param|search|section|summary|table|"
    "tbody|td|tfoot|th|thead|title|tr|track|ul"
)
_KINDS = (
    *(
        (re.compile(start, re.IGNORECASE), re.compile(end, re.IGNORECASE))
        for start, end in (
            (r"<(?:script|pre|style|textarea)(?=[\s>]|$)", r"</(?:script|pre|style|textarea)>"),
            (r"<!--", r"-->"),
            (r"<\?", r"\?>"),
            (r"<!\[CDATA\[", r"\]\]>"),
            (r"<![A-Z]", r">"),
        )
    ),
    (re.compile(rf"</?(?:{_NAMES})(?=[\s>]|/>|$)", re.IGNORECASE), BLANK),
)
_LONE = re.compile(rf"(?:{TAG})[ ]*$")


def formula_end(line: str) -> re.Pattern[str] | None:
    """What ends the formula that ``line`` begins and does not end; a line of one may look like a list or a heading."""
    end = FORMULA_ENDS.get(line[:2])
    if end is None or end.search(line, 2) or (line[0] == "\\" and "]" in line):
        return None  # "\[x]" is an escaped bracket
    if line[2:].strip() and not re.search(r"[\\^_={}]", line[2:]):
        return None
    return end


def html_end(line: str, *, interrupts: bool) -> re.Pattern[str] | None:
    """What ends the HTML block that ``line``, without its indent, begins; None if it begins none.

    A tag of any other name begins one only when it stands alone, and does not interrupt a paragraph.
    """
    for start, end in _KINDS:
        if start.match(line):
            return end
    lone = not interrupts and len(line) <= LONG and _LONE.match(line) and not line.lower().startswith("<br")
    return BLANK if lone else None
