"""Shell completion: the scripts for bash, zsh and fish, generated from the commands, and their installation.

Each script is the file ``body.SHELL`` with the table of commands filled in; the folder ``completions`` has the scripts
that are shipped. When Tab is pressed, they run only builtins of the shell; names are read from the files of
``completion_cache``.
"""

from __future__ import annotations

import os
import re
import subprocess
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provider_core import files
from provider_core.errors import FileError, SettingsError
from provider_core.structs import Struct
from telex.main import Group
from telex.options import Name
from telex.setting_options import Unset

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FILES = {"bash": "telex.bash", "zsh": "_telex", "fish": "telex.fish"}
"""Shell -> the name of its script in the folder ``completions``."""

_MAX_HELP = 200
"""Characters of a line of help; longer than every line, so that none is shortened."""


class ParameterSpec(Struct):
    """An option in all its spellings, or an argument, which has none.

    ``value`` says what completes the value, in words that the scripts understand: ``any``, ``files``, ``folders``,
    ``one WORD...``, ``name LIST`` (a list of cached names), or ``of LIST N``: those names of a list that begin with
    argument N, counted from 0, and a slash, without it. It is "" for an option without a value.
    """

    names: tuple[str, ...] = ()
    help: str = ""
    value: str
    label: str
    repeatable: bool


class CommandSpec(Struct):
    """A command and all its subcommands; ``words`` are what the user types, beginning with ``telex``."""

    words: tuple[str, ...]
    help: str
    options: tuple[ParameterSpec, ...]
    arguments: tuple[ParameterSpec, ...]
    commands: tuple[CommandSpec, ...]

    def walk(self) -> Iterator[CommandSpec]:
        """The command itself, and every command below it."""
        yield self
        for command in self.commands:
            yield from command.walk()


def script(shell: str, root: click.Command) -> str:
    """The script that completes ``root`` in "bash", "zsh" or "fish"; raises ``ValueError`` for another shell."""
    tables = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    if shell not in tables:
        raise ValueError(f"there is no script for {shell}")
    body = resources.files("telex.completion").joinpath(f"body.{shell}").read_text("utf-8")
    before, _, after = body.partition("#: table\n")
    return before + "".join(f"{line}\n" for line in tables[shell](read(root))) + after


# --- what the scripts need to know of the commands ------------------------------------------------------------------


def read(root: click.Command) -> CommandSpec:
    """The tree of visible commands; raises ``ValueError`` for parameters that the scripts cannot complete."""
    return _command(root, ("telex",), root.get_short_help_str(_MAX_HELP), None)


def _command(
    command: click.Command, words: tuple[str, ...], about: str, parent: click.Context | None
) -> CommandSpec:
    context = click.Context(command, parent, words[-1], **command.context_settings)
    params = [param for param in command.get_params(context) if not getattr(param, "hidden", False)]
    arguments = [param for param in params if isinstance(param, click.Argument)]
    below = command.below(context) if isinstance(command, Group) else ()
    return CommandSpec(
        words=words,
        help=about,
        options=tuple(_option(param, arguments) for param in params if isinstance(param, click.Option)),
        arguments=tuple(
            ParameterSpec(value=_value(each, arguments), label=_label(each), repeatable=each.nargs == -1)
            for each in arguments
        ),
        commands=tuple(_command(each, (*words, name), line, context) for name, each, line in below),
    )


def _option(option: click.Option, arguments: list[click.Argument]) -> ParameterSpec:
    # Short names first: before 8.5, click took the names of its help option from a set, in any order.
    names = (*sorted(option.opts, key=len), *option.secondary_opts)
    takes_value = not (option.is_flag or option.count)
    if takes_value and option.nargs != 1:
        raise ValueError(f"{names[0]} takes {option.nargs} values; the scripts can complete only one")
    return ParameterSpec(
        names=names,
        help=" ".join((option.help or "").split()),
        value=_value(option, arguments) if takes_value else "",
        label=_label(option),
        repeatable=option.multiple or option.count,
    )


def _label(param: click.Parameter) -> str:
    return (param.metavar or param.name or "").strip("[].").lower()


def _value(param: click.Parameter, arguments: list[click.Argument]) -> str:
    match param.type:
        case Name(of=str(other), completes=kind):
            return f"of {kind}s {[argument.name for argument in arguments].index(other)}"
        case Name(completes=kind):
            return f"name {'aliases' if kind == 'alias' else f'{kind}s'}"
        case click.Choice(choices=choices):
            return " ".join(("one", *map(_word, choices)))
        case Unset(rows=rows):
            return " ".join(("one", *rows))
        case click.Path(file_okay=False):
            return "folders"
        case click.Path() | click.File():
            return "files"
        case _:
            return "any"


def _word(choice: object) -> str:
    word = str(getattr(choice, "name", choice))  # for an enum, click offers the names of its members
    if not re.fullmatch(r"[\w.+:@/=-]+", word):
        raise ValueError(f"the choice {word!r} would need quotes in the scripts")
    return word


# --- bash and fish: a table of commands; the rest is in body.bash and body.fish ------------------------------------


def _bash(root: CommandSpec) -> Iterator[str]:
    """The branches of a ``case``, one for each command."""
    for command in root.walk():
        yield f"    '{' '.join(command.words)}')"
        for name, words in (
            ("commands", [each.words[-1] for each in command.commands]),
            ("options", [f"'{_spec(each)}'" for each in command.options]),
            ("arguments", [f"'{_spec(each)}'" for each in command.arguments]),
        ):
            if words:
                yield f"        {name}=({' '.join(words)})"
        yield "        ;;"


def _fish(root: CommandSpec) -> Iterator[str]:
    """The branches of a ``switch``, one for each command, with descriptions."""
    for command in root.walk():
        yield f"        case {_fish_quoted(' '.join(command.words))}"
        for name, rows in (
            ("commands", [f"{each.words[-1]}\t{each.help}" for each in command.commands]),
            ("options", [f"{_spec(each)}\t{each.help}" for each in command.options]),
            ("arguments", [_spec(each) for each in command.arguments]),
        ):
            if rows:
                yield f"            set {name} " + " ".join(_fish_quoted(row) for row in rows)


def _spec(parameter: ParameterSpec) -> str:
    """A parameter in one line, such as "-m,--model name models" or "*-v,--verbose"; a star if it may be repeated."""
    return ("*" if parameter.repeatable else "") + " ".join(
        filter(None, (",".join(parameter.names), parameter.value))
    )


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


# --- zsh: a function for each command, which calls _arguments -------------------------------------------------------


def _zsh(root: CommandSpec) -> Iterator[str]:
    for command in root.walk():
        yield f"{_function(command)}() {{"
        if command.commands and command.arguments:
            yield from _zsh_verbs(command)
        yield from (
            _zsh_group(command) if command.commands and not command.arguments else _zsh_command(command)
        )
        yield "}"
        yield ""


def _zsh_command(command: CommandSpec) -> Iterator[str]:
    yield "  local line state"
    yield "  local -A opt_args"
    # -s: short options may be combined; -S: no options after "--".
    yield "  _arguments -s -S : \\"
    specs = [spec for parameter in (*command.options, *command.arguments) for spec in _zsh_specs(parameter)]
    yield " \\\n".join(f"    {_zsh_quoted(spec)}" for spec in specs)


def _zsh_verbs(command: CommandSpec) -> Iterator[str]:
    """The beginning of the function of a command that has commands, too."""
    yield "  if (( CURRENT == 2 )); then"
    yield "    local -a commands"
    yield "    commands=("
    for each in command.commands:
        yield f"      {_zsh_quoted(f'{each.words[-1]}:{each.help}')}"
    yield "    )"
    yield "    _describe -t commands command commands"
    yield "  else"
    yield "    case $words[2] in"
    for each in command.commands:
        yield f"      {each.words[-1]}) shift words; (( CURRENT-- )); {_function(each)}; return ;;"
    yield "    esac"
    yield "  fi"


def _zsh_group(command: CommandSpec) -> Iterator[str]:
    yield "  local curcontext=$curcontext line state ret=1"
    yield "  local -A opt_args"
    yield "  local -a commands"
    yield "  commands=("
    for each in command.commands:
        yield f"    {_zsh_quoted(f'{each.words[-1]}:{each.help}')}"
    yield "  )"
    if len(command.words) == 1:
        yield "  _telex_add_plugins"
    yield "  _arguments -C -S : \\"
    for option in command.options:
        for spec in _zsh_specs(option):
            yield f"    {_zsh_quoted(spec)} \\"
    yield "    '*::command:->below' && ret=0"
    yield "  if [[ $state != below ]]; then"
    yield "    return ret"
    yield "  elif (( CURRENT == 1 )); then"
    yield "    _describe -t commands command commands && ret=0"
    yield "  else"
    yield "    curcontext=${curcontext%:*:*}:" + "-".join(command.words) + "-$words[1]:"
    yield "    case $words[1] in"
    for each in command.commands:
        yield f"      {each.words[-1]}) {_function(each)} && ret=0 ;;"
    if len(command.words) == 1:
        # A plugin takes anything; it has no help in the list.
        yield "      *) (( $commands[(Ie)$words[1]] )) && _files && ret=0 ;;"
    yield "    esac"
    yield "  fi"
    yield "  return ret"


def _function(command: CommandSpec) -> str:
    return "_" + "__".join(command.words).replace("-", "_")


def _zsh_specs(parameter: ParameterSpec) -> Iterator[str]:
    """A spec for each spelling, such as "(-m --model)--model=[Model to use.]:id: _telex_models"."""
    value = f":{_zsh_escaped(parameter.label)}:{_zsh_action(parameter.value)}" if parameter.value else ""
    star = "*" if parameter.repeatable else ""
    if not parameter.names:
        yield f"{star}{value}"
    once = star or (f"({' '.join(parameter.names)})" if len(parameter.names) > 1 else "")
    for name in parameter.names:
        sign = ("=" if name.startswith("--") else "+") if value else ""
        yield f"{once}{name}{sign}[{_zsh_escaped(parameter.help)}]{value}"


def _zsh_action(value: str) -> str:
    # With a leading blank, _arguments runs the function as it is, without words of its own before the arguments.
    kind, _, rest = value.partition(" ")
    match kind:
        case "files":
            return "_files"
        case "folders":
            return "_files -/"
        case "one":
            return f"({rest})"
        case "name":
            return " _telex_models" if rest == "models" else f" _telex_names {rest}"
        case "of":
            return f" _telex_names_of {rest}"
        case _:
            return " "


def _zsh_escaped(text: str) -> str:
    return re.sub(r"[\\\[\]:]", r"\\\g<0>", text)


def _zsh_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# --- installation: where the shell looks for scripts, without changing the user's own startup files ------------------


class ScriptPlace(Struct):
    """Where the script belongs, and what the user must do so that the shell reads it ("" for nothing)."""

    path: Path
    todo: str = ""


PREFIXES = ("/usr", "/usr/local", "/opt/homebrew", "/opt/local")
"""Where packages are installed."""
_MARKER = "telex-output"
_TIMEOUT = 5.0
"""Seconds that a shell's startup files may take."""


def find(shell: str, environ: Mapping[str, str], *, prefixes: Sequence[str] = PREFIXES) -> ScriptPlace:
    """The place of this shell's script in the user's home folder; bash and zsh are run to find out.

    Raises ``SettingsError`` if there is no home folder.
    """
    try:
        home = Path(environ.get("HOME") or Path.home())
    except RuntimeError:
        raise SettingsError("there is no home folder for a shell's settings: set HOME") from None
    match shell:
        case "bash":
            return _bash_place(home, environ, prefixes)
        case "zsh":
            return _zsh_place(home, environ)
        case _:
            config = _folder(environ, "XDG_CONFIG_HOME", home / ".config")
            return ScriptPlace(path=config / "fish" / "completions" / FILES["fish"])


def put(path: Path, text: str) -> str:
    """Write the script atomically, and return what was done; raises ``FileError``."""
    target = path.resolve()  # replace the file that a symbolic link points to, not the link
    try:
        before = target.read_text("utf-8", "replace")
    except OSError:
        before = None
    if before == text:
        return f"{path} is up to date."
    try:
        files.make_folder(target.parent)
    except OSError as error:
        raise FileError(f"{path} cannot be written", path=path, reason=error.strerror or "") from error
    files.replace(target, text.encode(), mode=0o644)
    return f"Wrote {path}." if before is None else f"Replaced {path}, which had other contents."


def _bash_place(home: Path, environ: Mapping[str, str], prefixes: Sequence[str]) -> ScriptPlace:
    own = environ.get("BASH_COMPLETION_USER_DIR", "").partition(":")[0]
    data = _folder(environ, "XDG_DATA_HOME", home / ".local" / "share")
    path = (Path(own) if own else data / "bash-completion") / "completions" / "telex"
    if _output("bash", environ, "declare -F _comp_load _completion_loader __load_completion"):
        return ScriptPlace(path=path)
    loaders = [Path(prefix) / "share/bash-completion/bash_completion" for prefix in prefixes]
    loader = next((each for each in loaders if each.exists()), None)
    if loader is not None:
        todo = f"Bash reads it with the package bash-completion, which is not loaded. Add to ~/.bashrc: . {loader}"
    else:
        todo = (
            f"The package bash-completion was not found. Without it, add to ~/.bashrc: . {_short(path, home)}"
        )
    return ScriptPlace(path=path, todo=todo)


def _zsh_place(home: Path, environ: Mapping[str, str]) -> ScriptPlace:
    output = _output("zsh", environ, "print -r -- ${+functions[compdef]}; print -rl -- $fpath")
    completes, folders = output[:1] == ["1"], [Path(line) for line in output[1:] if line]
    folder = next(
        (
            each
            for each in folders
            if each.name == "site-functions" and each.is_relative_to(home) and os.access(each, os.W_OK)
        ),
        home / ".zfunc",
    )
    try:
        settings = Path(environ.get("ZDOTDIR") or home, ".zshrc").read_text("utf-8", "replace")
    except OSError:
        settings = ""
    todo = []
    if folder not in folders and (output or folder.name not in settings):
        todo.append(f"fpath=({_short(folder, home)} $fpath)")
    if not completes and (output or "compinit" not in settings):
        todo.append("autoload -Uz compinit && compinit")
    where = "before the line with compinit" if completes else "at the end"
    return ScriptPlace(
        path=folder / FILES["zsh"], todo=f"Add to ~/.zshrc, {where}:\n  " + "\n  ".join(todo) if todo else ""
    )


def _output(shell: str, environ: Mapping[str, str], command: str) -> list[str]:
    """The lines that ``command`` prints in a new interactive shell; none if the shell cannot be run in time."""
    try:
        ran = subprocess.run(
            [shell, "-i", "-c", f"echo; echo {_MARKER}; {command}"],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT,
            start_new_session=True,  # or the interactive shell would take over the terminal
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return ran.stdout.decode(errors="surrogateescape").partition(f"{_MARKER}\n")[2].splitlines()


def _folder(environ: Mapping[str, str], variable: str, otherwise: Path) -> Path:
    given = environ.get(variable, "")
    return Path(given) if given.startswith("/") else otherwise


def _short(path: Path, home: Path) -> str:
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
