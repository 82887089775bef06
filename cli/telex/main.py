"""The classes of commands, the root command, and how the end of a command becomes an exit code and a message."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import click

from provider_core import __version__, errors
from provider_core.structs import pattern
from telex.app import App
from telex.console import OutputClosed, OutputError
from telex.exit_codes import ExitCode, Stop, Terminated, internal_error
from telex.options import Name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

# --- the classes of commands -------------------------------------------------------------------------------


def exit_with(ctx: click.Context, text: str) -> NoReturn:
    """Print ``text`` instead of running the command. Errors of writing are reported as for any other output."""
    app = ctx.find_object(App)
    if app is None:
        click.echo(text)
    else:
        app.console.out(f"{text}\n")
    ctx.exit()


def _help(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        exit_with(ctx, ctx.get_help())


class _Context(click.Context):
    @property
    def command_path(self) -> str:
        # Click adds the arguments of a command that has commands, too.
        name = self.info_name or ""
        return name if self.parent is None else f"{self.parent.command_path} {name}"

    def make_formatter(self) -> click.HelpFormatter:
        from telex.help import formatter

        return formatter(self)


class Command(click.Command):
    """A command whose help has examples and exit codes, and whose usage errors say what was probably meant.

    ``examples`` are command lines that work as they are; at least one of them is a pipe. ``exits`` are the exit codes
    of the command besides 0 and 2, and besides 1, 130 and 141, which every command can return; ``meanings`` are those
    that differ from the usual ones. ``otherwise`` is the
    advice for an unknown option that resembles no other; "{word}" in it is replaced by the option.
    """

    context_class = _Context

    def __init__(
        self,
        *args: Any,
        examples: Sequence[str] = (),
        exits: Sequence[ExitCode] = (),
        meanings: Mapping[ExitCode, str] | None = None,
        otherwise: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.exits = tuple(sorted({ExitCode.OK, ExitCode.USAGE, *exits} if exits else ()))
        self.meanings = {code: code.meaning_among(self.exits) for code in self.exits} | dict(meanings or {})
        self.otherwise = otherwise

    def make_parser(self, ctx: click.Context) -> Any:
        parser = super().make_parser(ctx)
        # Click looks for every option among the long ones first, and compares one that is not there with all of them.
        parser._long_opt = {**parser._short_opt, **parser._long_opt}
        return parser

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        option = super().get_help_option(ctx)
        if option is not None:
            option.callback = _help
        return option

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = tuple(args)
        try:
            return super().parse_args(ctx, args)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            from telex import suggest

            raise click.UsageError(suggest.usage_message(ctx, error, given, self.otherwise), ctx) from None

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from telex.help import write_examples, write_exits

        write_examples(formatter, self.examples)
        write_exits(formatter, self.meanings)
        super().format_epilog(ctx, formatter)


class Group(Command, click.Group):
    """A group whose commands are imported when they are run.

    ``rows`` maps a name to "module:attribute" and one line of help, so that the help of the group imports nothing.
    """

    def __init__(self, *args: Any, rows: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rows = rows

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.rows)

    def known_names(self, ctx: click.Context) -> list[str]:
        """The commands that somebody may have meant."""
        return list(self.rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        row = self.rows.get(cmd_name)
        if row is None:
            return None
        module, _, attribute = row[0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def below(self, ctx: click.Context) -> Iterator[tuple[str, Command, str]]:
        """Each command of the group with its name and its line of help."""
        for name, (_, line) in self.rows.items():
            command = self.get_command(ctx, name)
            if isinstance(command, Command):
                yield name, command, line

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self.rows and not name.startswith("-"):
            from telex import suggest

            ctx.fail(suggest.unknown_command(ctx, self, args, self.known_names(ctx)))
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        click.Command.format_options(self, ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, row[1]) for name, row in self.rows.items()])


class CommandWithVerbs(Group):
    """A command that is a group, too: its first word may name one of ``rows``, which is run instead.

    A file of such a name has to be written as ./NAME.
    """

    allow_interspersed_args = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, invoke_without_command=True, **kwargs)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return click.Command.collect_usage_pieces(self, ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] in self.rows:
            ctx.args = args
            return args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        if not ctx.args:
            return click.Command.invoke(self, ctx)
        name, command, args = self.resolve_command(ctx, ctx.args)
        if command is None:  # resolve_command has raised an error
            return None
        with command.make_context(name, args, parent=ctx) as below:
            return command.invoke(below)


# --- plugins -----------------------------------------------------------------------------------------------
# A program ``telex-NAME`` on PATH is ``telex NAME``, as with git and gh. PATH is searched only for a name that is not
# one of telex's own commands, and where the commands are listed. Folders of PATH that are not absolute are skipped: a
# file in the working directory, such as a repository's, is not a command.

_PREFIX = "telex-"
_NAME = pattern(r"[a-z0-9][a-z0-9_-]{0,63}")


def find_plugin(name: str, environ: Mapping[str, str]) -> str | None:
    """The path of the program of the plugin ``name``; None if there is none."""
    if not _NAME.fullmatch(name):
        return None
    import shutil

    found = (shutil.which(f"{folder}/{_PREFIX}{name}") for folder in _folders(environ))
    return next(filter(None, found), None)


def plugins(environ: Mapping[str, str]) -> dict[str, str]:
    """The names of all plugins, sorted, with the paths of their programs."""
    found: dict[str, str] = {}
    for folder in _folders(environ):
        try:
            files = os.listdir(folder)  # noqa: PTH208 - names are enough for thousands of programs
        except OSError:
            continue
        for file in files:
            if file.startswith(_PREFIX):
                import shutil

                name = os.path.splitext(file)[0] if os.name == "nt" else file  # noqa: PTH122
                name = name.removeprefix(_PREFIX)
                path = shutil.which(f"{folder}/{_PREFIX}{name}")
                if path is not None and _NAME.fullmatch(name):
                    found.setdefault(name, path)
    return dict(sorted(found.items()))


def _folders(environ: Mapping[str, str]) -> Iterator[str]:
    for folder in dict.fromkeys(environ.get("PATH", "").split(os.pathsep)):
        if os.path.isabs(folder):  # noqa: PTH117
            yield folder


class Plugin(click.Command):
    """Runs the program at ``path`` with all arguments as they are."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name, help=f"Run {path}.", add_help_option=False)
        self.path = path

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.args = list(args)
        return []

    def invoke(self, ctx: click.Context) -> NoReturn:
        _run(ctx.obj, self.path, ctx.args)

    def get_help(self, ctx: click.Context) -> str:
        """Run the program's own help, for ``telex help NAME``."""
        _run(ctx.obj, self.path, ["--help"])


def _run(app: App, path: str, arguments: list[str]) -> NoReturn:
    """Run the program in place of telex: its exit code and its signals are those of the command.

    It gets the variables of telex, with ``TELEX_BIN``, the path of the telex that runs it, and ``TELEX_PROFILE``, if
    ``--profile`` was given. Raises ``ClickException`` if it cannot be started.
    """
    environ = dict(app.runtime.environ)
    if app.runtime.profile is not None:
        environ["TELEX_PROFILE"] = app.runtime.profile
    if own := _own_path():
        environ["TELEX_BIN"] = own
    app.console.flush()
    try:
        if sys.platform == "win32":
            import subprocess

            raise Stop(subprocess.run([path, *arguments], env=environ, check=False).returncode)
        # Python ignores it, and a program that is started in its place would, too.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execve(path, [path, *arguments], environ)  # noqa: S606
    except OSError as error:
        raise click.ClickException(f"{path} cannot be run: {error.strerror}") from None


def _own_path() -> str:
    """The path of the command telex that runs; "" if there is none, as for ``python -m telex`` from the sources."""
    import shutil

    beside = f"{os.path.dirname(sys.executable)}/telex"  # noqa: PTH120
    for name in (sys.argv[0], beside):
        if os.path.basename(name).startswith("telex") and (found := shutil.which(name)) is not None:  # noqa: PTH119
            return os.path.abspath(found)  # noqa: PTH100
    return ""


# --- the root command --------------------------------------------------------------------------------------

COMMANDS = {
    "chat": ("telex.commands.chat:command", "Send a prompt and stream the answer."),
    "batch": ("telex.commands.batch:command", "Send a prompt for each row of a file."),
    "models": ("telex.commands.models:command", "List models, set aliases and the default model."),
    "providers": ("telex.commands.providers:command", "Set up providers (the APIs that telex sends prompts to)."),
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
}  # fmt: skip
"""Name -> "module:attribute" and one line of help, as ``Group`` takes them."""


class _Root(Group):
    """The group whose help lists the topics and the plugins, too."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        app = ctx.find_object(App)
        if own is not None or app is None:
            return own
        path = find_plugin(cmd_name, app.runtime.environ)
        return None if path is None else Plugin(cmd_name, path)

    def known_names(self, ctx: click.Context) -> list[str]:
        app = ctx.find_object(App)
        return [*self.rows, *(plugins(app.runtime.environ) if app is not None else ())]

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
        found = [each for each in plugins(app.runtime.environ).items() if each[0] not in self.rows]
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
