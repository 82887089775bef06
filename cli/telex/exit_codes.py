"""Exit codes, and the exceptions that end a command with one of them."""

from __future__ import annotations

import os
from enum import IntEnum
from typing import TYPE_CHECKING, Self

from provider_core.errors import CoreError

if TYPE_CHECKING:
    from collections.abc import Sequence


class ExitCode(IntEnum):
    """The exit codes and their meanings; the tables of help and README are generated from them."""

    OK = 0, "success"
    OTHER = 1, "any other error"
    USAGE = 2, "invalid command line"
    SETTINGS = 3, "invalid settings, or unknown provider, model, template or conversation"
    KEY = 4, "the key is missing or refused, or no provider is set up"
    LIMIT = 5, "rate limit, quota or budget exceeded"
    PROVIDER = 6, "provider error; or the answer is incomplete, empty, filtered or does not match its schema"
    NETWORK = 7, "network error or timeout; in a chat, only before any text arrives"
    TOOL = 8, "a tool call was refused, or the request limit (--max-turns) was reached"
    TEST = 9, "a case of telex test did not pass"
    INTERRUPTED = 130, "interrupted with Ctrl-C"
    CLOSED_PIPE = 141, "stdout was closed early, for example by head"

    meaning: str

    def meaning_among(self, codes: Sequence[ExitCode]) -> str:
        """The meaning for a command that can return ``codes``; the part after ";" is for chats only."""
        return self.meaning if ExitCode.TOOL in codes else self.meaning.partition(";")[0]

    def __new__(cls, value: int, meaning: str = "") -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


ASKING = (ExitCode.SETTINGS, ExitCode.KEY, ExitCode.LIMIT, ExitCode.PROVIDER, ExitCode.NETWORK)
"""The exit codes of commands that send requests to a provider."""


class Stop(Exception):  # noqa: N818 - not an error by itself
    """End the command with this exit code, one of ``ExitCode`` or that of a program which ran in place of telex.

    What went wrong has been printed.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def internal_error(error: BaseException) -> CoreError:
    """The error to report for an unexpected exception: its type and place, not its message, which may hold a key."""
    import traceback

    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{last.filename.replace(os.sep, '/').rpartition('/')[2]}:{last.lineno}"
    return CoreError(f"internal error in {place} ({type(error).__name__}). Please report it.")
