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
from telex import error_hints
from telex.console import OutputClosed, OutputError
from telex.signals import Terminated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from provider_core.answer import Answer
    from provider_core.types import Provider
    from telex.app import App

__all__ = [
    "ASKING",
    "ExitCode",
    "Outcome",
    "Stop",
    "answer_code",
    "code_and_hint",
    "internal_error",
    "reported",
    "traceback_place",
]


class ExitCode(IntEnum):
    """What the exit code says; the README's table is made from this."""

    OK = 0, "success"
    OTHER = 1, "any other error"
    USAGE = 2, "invalid command line"
    SETTINGS = 3, "invalid settings, or unknown provider, model, template or conversation"
    KEY = 4, "the key is missing or refused, or no provider is set up"
    LIMIT = 5, "rate limit, quota or budget exceeded"
    PROVIDER = 6, "provider error; or the answer is cut, empty, filtered or does not match its schema"
    NETWORK = 7, "network error or timeout"
    TOOL = 8, "a tool was refused, or the limit of tool turns was reached"
    INTERRUPTED = 130, "interrupted with Ctrl-C"
    CLOSED_PIPE = 141, "the reader of the output closed it, as head does"

    meaning: str

    def meaning_among(self, codes: Sequence[ExitCode]) -> str:
        """What it means for a command that can end with ``codes``: only a chat has an answer."""
        return self.meaning if ExitCode.TOOL in codes else self.meaning.partition(";")[0]

    def __new__(cls, value: int, meaning: str = "") -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


ASKING = (ExitCode.SETTINGS, ExitCode.KEY, ExitCode.LIMIT, ExitCode.PROVIDER, ExitCode.NETWORK)
"""What a command that asks a provider's server can end with, for its help."""


class Stop(Exception):  # noqa: N818 - no error: the command has said what there is to say
    """End the command with this exit code; everything has been said."""

    def __init__(self, code: ExitCode) -> None:
        super().__init__(code)
        self.code = code


@dataclass(slots=True)
class Outcome:
    """The exit code, once the command has ended."""

    code: int = ExitCode.OK


_TABLE: dict[type[errors.CoreError], tuple[ExitCode, str | Callable[..., str | None] | None]] = {
    errors.CoreError: (ExitCode.OTHER, None),
    errors.InvalidInputError: (ExitCode.USAGE, None),
    errors.AttachmentError: (ExitCode.USAGE, error_hints.attach),
    errors.NoVisionError: (ExitCode.USAGE, "See which models read images: telex models list --vision"),
    errors.SchemaError: (ExitCode.USAGE, None),
    errors.VariableError: (ExitCode.USAGE, error_hints.give_variables),
    errors.SettingsError: (ExitCode.SETTINGS, error_hints.which_file),
    errors.TemplateError: (ExitCode.SETTINGS, None),
    errors.UnknownTemplateError: (ExitCode.SETTINGS, error_hints.which_template),
    errors.FileError: (ExitCode.OTHER, None),
    errors.ModelError: (ExitCode.SETTINGS, None),
    errors.UnknownModelError: (ExitCode.SETTINGS, error_hints.did_you_mean),
    errors.AmbiguousModelError: (ExitCode.SETTINGS, error_hints.say_which),
    errors.UnknownProviderError: (ExitCode.SETTINGS, error_hints.set_up),
    errors.DisabledProviderError: (ExitCode.SETTINGS, error_hints.enable),
    errors.NoModelError: (ExitCode.SETTINGS, error_hints.choose_model),
    errors.NoProviderError: (ExitCode.KEY, error_hints.first_steps),
    errors.ApiKeyError: (ExitCode.KEY, None),
    errors.MissingKeyError: (ExitCode.KEY, error_hints.give_key),
    errors.InvalidKeyError: (ExitCode.KEY, None),
    errors.KeyDestinationError: (ExitCode.KEY, error_hints.confirm_key),
    errors.KeyStoreError: (ExitCode.KEY, error_hints.other_source),
    errors.KeyCommandError: (ExitCode.KEY, "Run the command yourself to see why."),
    errors.ProviderError: (ExitCode.PROVIDER, None),
    errors.AuthenticationError: (ExitCode.KEY, error_hints.right_key),
    errors.PermissionDeniedError: (ExitCode.KEY, None),
    errors.RateLimitError: (ExitCode.LIMIT, error_hints.wait),
    errors.QuotaError: (ExitCode.LIMIT, error_hints.credit),
    errors.BadRequestError: (ExitCode.PROVIDER, error_hints.use_https),
    errors.ContextOverflowError: (ExitCode.PROVIDER, error_hints.SHORTEN),
    errors.ContentPolicyError: (ExitCode.PROVIDER, None),
    errors.NotFoundError: (ExitCode.PROVIDER, error_hints.check_address),
    errors.ModelNotFoundError: (ExitCode.SETTINGS, error_hints.get_model),
    errors.WrongEndpointError: (ExitCode.SETTINGS, error_hints.chat_model),
    errors.ServerError: (ExitCode.PROVIDER, None),
    errors.OverloadedError: (ExitCode.PROVIDER, "Try again later."),
    errors.TokenLimitError: (ExitCode.PROVIDER, error_hints.raise_limit),
    errors.ProtocolError: (ExitCode.PROVIDER, error_hints.no_completion),
    errors.NetworkError: (ExitCode.NETWORK, None),
    errors.ConnectError: (ExitCode.NETWORK, error_hints.connect),
    errors.TLSError: (ExitCode.NETWORK, error_hints.secure),
    errors.DeadlineError: (ExitCode.NETWORK, error_hints.wait_longer),
    errors.ConnectionLostError: (ExitCode.NETWORK, error_hints.try_https),
    errors.LocalModelError: (ExitCode.OTHER, error_hints.other_folder),
    errors.LocalExtraMissingError: (ExitCode.SETTINGS, error_hints.add_local),
    errors.ModelFileError: (ExitCode.SETTINGS, error_hints.wrong_file),
    errors.ModelFetchError: (
        ExitCode.NETWORK,
        (
            "Use a provider instead: telex providers add openai\n"
            "Or a GGUF file of your own: telex providers add NAME --gguf FILE"
        ),
    ),
    errors.ToolError: (ExitCode.TOOL, None),
    errors.UnknownToolError: (ExitCode.USAGE, None),
    errors.ToolArgumentsError: (ExitCode.TOOL, None),
    errors.ToolRefusedError: (ExitCode.TOOL, None),
    errors.NotAllowedError: (ExitCode.TOOL, error_hints.allow),
    errors.ToolTimeoutError: (ExitCode.TOOL, None),
    errors.ToolServerError: (ExitCode.PROVIDER, None),
    errors.ToolAccessError: (ExitCode.KEY, error_hints.tool_access),
    errors.ToolConnectError: (ExitCode.NETWORK, error_hints.tool_connect),
    errors.ToolSecretError: (ExitCode.KEY, error_hints.tool_secret),
    errors.ToolSessionError: (ExitCode.PROVIDER, None),
    errors.ToolsExtraMissingError: (ExitCode.SETTINGS, error_hints.add_mcp),
    errors.UnknownToolServerError: (ExitCode.SETTINGS, error_hints.which_server),
    errors.HistoryError: (ExitCode.OTHER, None),
    errors.BusyHistoryError: (ExitCode.OTHER, "End what has it open, or try again."),
    errors.CorruptHistoryError: (ExitCode.OTHER, error_hints.move_away),
    errors.NewerHistoryError: (ExitCode.OTHER, error_hints.upgrade_or_move_away),
    errors.UnknownConversationError: (ExitCode.SETTINGS, error_hints.which_conversation),
    errors.AmbiguousConversationError: (ExitCode.SETTINGS, error_hints.which_conversation),
    errors.SchemaMismatchError: (
        ExitCode.PROVIDER,
        "Try again, simplify the schema, or use a larger model; --retries-schema N allows more retries.",
    ),
    errors.LoopLimitError: (ExitCode.TOOL, "Allow more requests: --max-turns N"),
}


def code_and_hint(error: errors.CoreError, provider: Provider | None = None) -> tuple[ExitCode, str | None]:
    """The exit code for an error and what to do about it, by the nearest class that has a row."""
    code, hint = next(_TABLE[kind] for kind in type(error).__mro__ if kind in _TABLE)
    return code, hint(error, provider) if callable(hint) else hint


def answer_code(answer: Answer) -> ExitCode:
    """The exit code for an answer: one that began and is not whole is the provider's failure, whatever cut it."""
    from provider_core.types import Verdict

    match answer.verdict:
        case Verdict.COMPLETE | Verdict.LENGTH:
            # A whole answer may come at the end of a loop that failed. One that a token limit cut has an error unless
            # the user set the limit and text came.
            return code_and_hint(answer.error)[0] if answer.error is not None else ExitCode.OK
        case Verdict.INTERRUPTED:
            return ExitCode.INTERRUPTED
        case Verdict.FAILED if answer.error is not None:
            return code_and_hint(answer.error)[0]
        case _:
            return ExitCode.PROVIDER


@contextlib.contextmanager
def reported(app: App) -> Iterator[Outcome]:
    """Turn whatever ends a command into an exit code and a sentence; nothing passes through."""
    console, outcome = app.console, Outcome()
    try:
        try:
            yield outcome
            console.flush()
        except click.exceptions.Exit as error:
            outcome.code = error.exit_code
            console.flush()
        except click.exceptions.NoArgsIsHelpError as error:
            console.out(f"{error.format_message()}\n")
        except click.ClickException as error:
            outcome.code = ExitCode.USAGE if isinstance(error, click.UsageError) else error.exit_code
            _usage(app, error)
        except Stop as stop:
            outcome.code = stop.code
            console.flush()
        except errors.CoreError as error:
            outcome.code, hint = app.advice(error)
            if isinstance(error, errors.FileError) and _is_argument(app, error.path):
                outcome.code = ExitCode.USAGE
            _report(app, error.message, hint)
        except OSError as error:
            if error.filename is None:
                raise
            # A file whose name is too long, or in a folder that may not be entered.
            outcome.code = ExitCode.USAGE if _is_argument(app, error.filename) else ExitCode.OTHER
            _report(app, f"{error.filename}: {error.strerror}", None)
        except (KeyboardInterrupt, click.Abort):
            outcome.code = ExitCode.INTERRUPTED
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second one ends whatever still runs
            console.note("Interrupted.")
    except OutputClosed:
        outcome.code = ExitCode.CLOSED_PIPE
    except Terminated as terminated:
        # What there was to keep is kept: now it ends as whoever sent the signal expects.
        signal.signal(terminated.number, signal.SIG_DFL)
        os.kill(os.getpid(), terminated.number)
    except SystemExit as error:  # click's own end of a completion (0), and at a closed pipe under --help (1)
        if error.code != 0:
            outcome.code = ExitCode.CLOSED_PIPE if error.code == 1 else ExitCode.OTHER
            console.abandon_stdout()
    except OutputError as error:
        outcome.code = ExitCode.OTHER
        console.error(f"the output cannot be written: {error}")
    except KeyboardInterrupt:
        outcome.code = ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - a traceback would be no help, and may hold a key
        outcome.code = ExitCode.OTHER
        console.error(internal_error(error).message)


def _is_argument(app: App, path: object) -> bool:
    """Whether the user named the file on the command line."""
    return any(str(path) in argument for argument in app.arguments)


def internal_error(error: BaseException) -> errors.CoreError:
    """What to report of an exception that nothing expects: its type and place, and no value, which may be a key."""
    place = traceback_place(error)
    return errors.CoreError(f"internal error in {place} ({type(error).__name__}). Please report it.")


def traceback_place(error: BaseException) -> str:
    """The innermost place of the traceback, as "file.py:line"; values are left out, one may be a key."""
    import traceback

    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename.replace(os.sep, '/').rpartition('/')[2]}:{last.lineno}"


def _usage(app: App, error: click.ClickException) -> None:
    """Print what is wrong, which is the message's first line, and below it what to do."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    message, _, advice = error.format_message().partition("\n")
    see = f"See: {context.command_path} --help" if context else ""
    _report(app, message, "\n".join(filter(None, (advice, see))))


def _report(app: App, message: str, hint: str | None) -> None:
    """Print an error; a key that was typed as an argument is not repeated in it."""
    from telex import suggest

    hint = suggest.without_keys(hint, app.arguments) if hint else None
    app.console.error(suggest.without_keys(message, app.arguments), hint)
