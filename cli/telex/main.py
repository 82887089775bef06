"""The root command, the list of commands, and how the end of a command becomes an exit code and an error message."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import click

from provider_core import __version__, errors
from telex.app import App
from telex.command import Group, exit_with
from telex.console import OutputClosed, OutputError
from telex.exit_codes import ExitCode, Stop, internal_error
from telex.options import Name
from telex.signals import Terminated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COMMANDS = {
    "chat": ("telex.commands.chat:command", "Send a prompt and stream the answer."),
    "batch": ("telex.commands.batch:command", "Send a prompt for each row of a file."),
    "models": ("telex.commands.models:command", "List models, set aliases and the default model."),
    "providers": (
        "telex.commands.providers:command",
        "Set up providers (the APIs that telex sends prompts to).",
    ),
    "mcp": ("telex.commands.mcp:command", "Set up MCP servers whose tools a model may call."),
    "history": ("telex.commands.history:command", "List, search and remove saved conversations."),
    "test": ("telex.commands.test:command", "Check the answers to prompts and templates."),
    "usage": ("telex.commands.usage:command", "Show the tokens and the cost of past requests."),
    "templates": ("telex.commands.templates:command", "Save and reuse prompts with variables."),
    "config": ("telex.commands.config:command", "Read and change the settings."),
    "trust": ("telex.commands.trust:command", "Use the settings in a project's .telex.toml."),
    "shell": ("telex.commands.shell:command", "Propose a command for your shell, and explain commands."),
    "completion": ("telex.commands.completion:command", "Set up shell completion."),
    "doctor": ("telex.commands.doctor:command", "Check the installation and suggest fixes."),
    "help": ("telex.commands.help:command", "Show help for a topic or a command."),
}
"""Name -> "module:attribute" and one line of help, as ``command.Group`` takes them."""


class _Root(Group):
    """The group whose help lists the topics and the plugins, too."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        app = ctx.find_object(App)
        if own is not None or app is None:
            return own
        from telex import plugins

        path = plugins.find(cmd_name, app.runtime.environ)
        return None if path is None else plugins.Plugin(cmd_name, path)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.rows and (plugin := self.get_command(ctx, args[0])) is not None:
            return args[0], plugin, args[1:]
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_commands(ctx, formatter)
        app = ctx.find_object(App)
        if app is None:
            return
        from telex import plugins

        found = [each for each in plugins.names(app.runtime.environ).items() if each[0] not in self.rows]
        if found:
            with formatter.section("Plugins"):
                formatter.write_dl(found)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from telex.help import TOPICS

        with formatter.section("Topics (telex help TOPIC)"):
            formatter.write_dl(list(TOPICS.items()))
        super().format_epilog(ctx, formatter)


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        exit_with(ctx, f"telex {__version__}")


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
@click.option(
    "--profile",
    type=Name("profile"),
    metavar="NAME",
    help="Use a profile of the settings: its default model, providers and budget.",
)
@click.pass_obj
def root(app: App, *, profile: str | None) -> None:
    """One command for every model behind an OpenAI-compatible API: cloud, gateway, or a server on this machine."""
    if profile is not None:
        app.runtime.profile = profile


def main(arguments: Sequence[str], app: App | None = None) -> int:
    """Run one command line and return its exit code; raises nothing."""
    app = app or App(arguments=tuple(arguments))

    def run() -> None:
        try:
            root.main(args=list(arguments), prog_name="telex", obj=app, standalone_mode=False)
        finally:
            app.close()

    return reported(app, run)


def reported(app: App, run: Callable[[], object]) -> int:
    """Call ``run``, print an error message for whatever it raises, and return the exit code."""
    console = app.console
    try:
        try:
            run()
            console.flush()
        except click.exceptions.Exit as error:
            console.flush()
            return error.exit_code
        except click.exceptions.NoArgsIsHelpError as error:
            console.out(f"{error.format_message()}\n")
        except click.ClickException as error:
            usage = error if isinstance(error, click.UsageError) else None
            message, _, hint = error.format_message().partition("\n")
            see = f"See: {usage.ctx.command_path} --help" if usage and usage.ctx else ""
            _report(app, message, "\n".join(filter(None, (hint, see))))
            return ExitCode.USAGE if usage else error.exit_code
        except Stop as stop:
            console.flush()
            return stop.code
        except errors.CoreError as error:
            code, advice = app.advice(error)
            _report(app, error.message, advice)
            is_argument = isinstance(error, errors.FileError) and _is_argument(app, error.path)
            return ExitCode.USAGE if is_argument else code
        except OSError as error:
            if error.filename is None:
                raise
            # For example a name that is too long, or a folder that may not be entered.
            _report(app, f"{error.filename}: {error.strerror}", None)
            return ExitCode.USAGE if _is_argument(app, error.filename) else ExitCode.OTHER
        except (KeyboardInterrupt, click.Abort):
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends whatever still runs
            console.note("Interrupted.")
            return ExitCode.INTERRUPTED
        return ExitCode.OK
    except OutputClosed:
        return ExitCode.CLOSED_PIPE
    except Terminated as terminated:
        # Partial answers are saved by now; end in the way that the sender of the signal expects.
        signal.signal(terminated.number, signal.SIG_DFL)
        os.kill(os.getpid(), terminated.number)
        return ExitCode.OTHER  # only where signals do not end a process
    except SystemExit as error:
        # Click exits so after completion (0), and when the reader of --help has closed the pipe (1).
        if error.code == 0:
            return ExitCode.OK
        console.abandon_stdout()
        return ExitCode.CLOSED_PIPE if error.code == 1 else ExitCode.OTHER
    except OutputError as error:
        console.error(f"the output cannot be written: {error}")
        return ExitCode.OTHER
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - a traceback could contain a key
        console.error(internal_error(error).message)
        return ExitCode.OTHER


def _is_argument(app: App, path: object) -> bool:
    """Whether the user named the file on the command line."""
    return any(str(path) in argument for argument in app.arguments)


def _report(app: App, message: str, hint: str | None) -> None:
    """Print an error, without keys that were typed as arguments."""
    from telex.suggest import without_keys

    app.console.error(
        without_keys(message, app.arguments), without_keys(hint, app.arguments) if hint else None
    )
