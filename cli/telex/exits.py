"""Exit codes, and the one table from an error to its code and its advice."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Self

import click

from provider_core import errors
from telex.console import ReaderGone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from telex.console import Console

__all__ = ["ExitCode", "Outcome", "Stop", "code_and_hint", "reported"]


class ExitCode(IntEnum):
    """What the exit code says; the README's table is made from this."""

    OK = 0, "the answer is complete"
    OTHER = 1, "anything else"
    USAGE = 2, "the command line is wrong"
    SETTINGS = 3, "the settings are wrong, or the model is unknown"
    KEY = 4, "the key is missing or refused, or no provider is set up"
    LIMIT = 5, "rate limit or quota"
    PROVIDER = 6, "the provider failed, or the answer is cut, empty or filtered"
    NETWORK = 7, "network or timeout"
    TOOL = 8, "a tool was refused, or the loop limit was reached"
    INTERRUPTED = 130, "Ctrl-C"
    CLOSED_PIPE = 141, "the reader of the output went away, as with head"

    meaning: str

    def __new__(cls, value: int, meaning: str = "") -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


class Stop(Exception):  # noqa: N818 - no error: the command has said what there is to say
    """End the command with this exit code; everything has been said."""

    def __init__(self, code: ExitCode) -> None:
        super().__init__(code)
        self.code = code


@dataclass(slots=True)
class Outcome:
    """The exit code, once the command has ended."""

    code: int = ExitCode.OK


def _near(error: errors.ModelError) -> str | None:
    return f"Did you mean {' or '.join(error.candidates)}?" if error.candidates else None


def _choose(error: errors.NoModelError) -> str | None:
    if error.provider:
        return f"Name one: -m {error.provider}/MODEL"
    return f"Name one with -m, for example {error.candidates[0]}" if error.candidates else None


def _give_key(error: errors.ProviderError | errors.MissingKeyError) -> str:
    step = f"telex providers add {error.provider} --replace"
    if isinstance(error, errors.MissingKeyError) and error.key_env:
        return f"Set {' or '.join(error.key_env[:2])}, or store one: {step}"
    return f"Store the right one: {step}"


_FIRST_STEPS = """\
Add one: telex providers add NAME --base-url URL
Or install a small model that needs no provider: pip install 'telex[local]'"""

_TABLE: dict[type[errors.CoreError], tuple[ExitCode, str | Callable[..., str | None] | None]] = {
    errors.InvalidInputError: (ExitCode.USAGE, None),
    errors.SettingsError: (ExitCode.SETTINGS, None),
    errors.ModelError: (ExitCode.SETTINGS, None),
    errors.UnknownModelError: (
        ExitCode.SETTINGS,
        lambda e: _near(e) or "See what is set up: telex providers list",
    ),
    errors.AmbiguousModelError: (ExitCode.SETTINGS, lambda e: f"Say which: {', '.join(e.candidates)}"),
    errors.UnknownProviderError: (
        ExitCode.SETTINGS,
        lambda e: f"Set it up: telex providers add {e.name}" if e.preset else _near(e),
    ),
    errors.NoModelError: (ExitCode.SETTINGS, _choose),
    errors.NoProviderError: (ExitCode.KEY, _FIRST_STEPS),
    errors.ApiKeyError: (ExitCode.KEY, None),
    errors.MissingKeyError: (ExitCode.KEY, _give_key),
    errors.InvalidKeyError: (ExitCode.KEY, None),
    errors.KeyStoreError: (
        ExitCode.KEY,
        "Give the key in an environment variable (--key-env) or by a command (--key-command).",
    ),
    errors.ProviderError: (ExitCode.PROVIDER, None),
    errors.AuthenticationError: (ExitCode.KEY, _give_key),
    errors.PermissionDeniedError: (ExitCode.KEY, None),
    errors.RateLimitError: (
        ExitCode.LIMIT,
        lambda e: f"Try again in {e.retry_after:g} s." if e.retry_after else "Try again later.",
    ),
    errors.QuotaError: (ExitCode.LIMIT, "Look at the account's credit with the provider."),
    errors.BadRequestError: (ExitCode.PROVIDER, None),
    errors.ContextOverflowError: (
        ExitCode.PROVIDER,
        "Shorten the prompt, or take a model with a larger context.",
    ),
    errors.ContentPolicyError: (ExitCode.PROVIDER, None),
    errors.NotFoundError: (ExitCode.PROVIDER, "Look at the provider's base URL; most end in /v1."),
    errors.ModelNotFoundError: (ExitCode.SETTINGS, None),
    errors.ServerError: (ExitCode.PROVIDER, None),
    errors.OverloadedError: (ExitCode.PROVIDER, "Try again later."),
    errors.ProtocolError: (ExitCode.PROVIDER, None),
    errors.NetworkError: (ExitCode.NETWORK, None),
    errors.ConnectError: (ExitCode.NETWORK, "Is the server running, and the address right?"),
    errors.TLSError: (
        ExitCode.NETWORK,
        "For a company's own certificates set SSL_CERT_FILE, or ca_bundle for the provider.",
    ),
    errors.DeadlineError: (ExitCode.NETWORK, None),
    errors.ConnectionLostError: (ExitCode.NETWORK, None),
    errors.LocalModelError: (ExitCode.OTHER, None),
    errors.LocalExtraMissingError: (ExitCode.SETTINGS, "Install it: pip install 'telex[local]'"),
    errors.ModelFileError: (
        ExitCode.SETTINGS,
        lambda e: f"Delete {e.path} and run again, or name another file." if e.path else None,
    ),
    errors.ModelFetchError: (
        ExitCode.NETWORK,
        "Run the command again, or use a GGUF file of your own: telex providers add NAME --gguf FILE",
    ),
    errors.CoreError: (ExitCode.OTHER, None),
}


def code_and_hint(error: errors.CoreError) -> tuple[ExitCode, str | None]:
    """The exit code for an error and what to do about it, by the nearest class that has a row."""
    for kind in type(error).__mro__:
        row = _TABLE.get(kind)
        if row is not None:
            code, hint = row
            return code, hint(error) if callable(hint) else hint
    raise AssertionError(type(error))  # CoreError itself has a row


@contextlib.contextmanager
def reported(console: Console) -> Iterator[Outcome]:
    """Turn whatever ends a command into an exit code and a sentence; nothing passes through."""
    outcome = Outcome()
    try:
        try:
            yield outcome
            console.flush()
        except click.exceptions.Exit as error:
            outcome.code = error.exit_code
            console.flush()
        except click.ClickException as error:
            outcome.code = ExitCode.USAGE if isinstance(error, click.UsageError) else error.exit_code
            _usage(console, error)
        except Stop as stop:
            outcome.code = stop.code
            console.flush()
        except errors.CoreError as error:
            outcome.code, hint = code_and_hint(error)
            console.error(error.message, hint)
        except (KeyboardInterrupt, click.Abort):
            outcome.code = ExitCode.INTERRUPTED
            console.note("Interrupted.")
    except ReaderGone:
        outcome.code = ExitCode.CLOSED_PIPE
    except SystemExit as error:  # click's own answer to a closed pipe under --help
        outcome.code = error.code if isinstance(error.code, int) else ExitCode.OTHER
        console.abandon_stdout()
    except OSError as error:
        outcome.code = ExitCode.OTHER
        console.abandon_stdout()
        console.error(f"the output cannot be written: {error.strerror or error}")
    except KeyboardInterrupt:
        outcome.code = ExitCode.INTERRUPTED


def _usage(console: Console, error: click.ClickException) -> None:
    context = error.ctx if isinstance(error, click.UsageError) else None
    help_line = f"See: {context.command_path} --help" if context else None
    console.error(error.format_message(), help_line)


def end_by(number: int) -> None:
    """End the process as the signal's default action does, so that the shell sees what happened."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
