"""The room of conversations at a terminal: ``telex chat`` without a prompt. Nothing of it is imported for one prompt.

``loop`` reads and hands on, ``session`` is what a conversation knows and can, ``commands`` are what is typed behind
a slash, ``line`` edits lines. How an answer is had, shown and kept is not done here.
"""

from telex.repl.loop import run

__all__ = ["run"]
