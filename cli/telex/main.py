"""The root command and the one list of commands; each command's module is imported when it is run."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from provider_core import __version__, errors
from telex.app import App
from telex.command import LazyGroup, leave_with
from telex.console import OutputClosed, OutputError
from telex.exit_codes import ExitCode, Stop, internal_error
from telex.signals import Terminated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COMMANDS = {
    "chat": ("telex.commands.chat:command", "Send a prompt and stream the answer."),
    "models": ("telex.commands.models:command", "List models, set aliases and the default model."),
    "providers": ("telex.commands.providers:command", "Set up the servers that telex talks to."),
    "mcp": ("telex.commands.mcp:command", "Set up MCP servers whose tools a model may call."),
    "history": ("telex.commands.history:command", "List, search and remove saved conversations."),
    "templates": ("telex.commands.templates:command", "Save and reuse prompts with variables."),
    "completion": ("telex.commands.completion:command", "Set up shell completion."),
    "doctor": ("telex.commands.doctor:command", "Check the installation and suggest fixes."),
    "help": ("telex.commands.help:command", "Show help for a topic or a command."),
}
"""Name -> ("module:attribute", one line of help): see ``lazy``."""


class _Root(LazyGroup):
    """The group whose help names the topics, too."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from telex.help import TOPICS

        with formatter.section("Topics (telex help TOPIC)"):
            formatter.write_dl(list(TOPICS.items()))
        super().format_epilog(ctx, formatter)


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        leave_with(ctx, f"telex {__version__}")


@click.command(
    cls=_Root,
    rows=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    examples=("telex providers add deepseek", 'git diff | telex chat "Write a commit message for this."'),
)
@click.option(
    "-V",
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
def root() -> None:
    """One command for every model behind an OpenAI-compatible API: cloud, gateway, or a server on this machine."""


@dataclass(slots=True)
class Outcome:
    """The exit code, once the command has ended."""

    code: int = ExitCode.OK


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


def main(arguments: Sequence[str], app: App | None = None) -> int:
    """Run one command line; returns the exit code and never raises."""
    app = app or App(arguments=tuple(arguments))
    with reported(app) as outcome:
        try:
            root.main(args=list(arguments), prog_name="telex", obj=app, standalone_mode=False)
        finally:
            app.close()
    return outcome.code
