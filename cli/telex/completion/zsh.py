"""The commands as functions for zsh's ``_arguments``; how names are read stands in ``body.zsh``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telex.completion.tree import Files, Folders, ModelsOf, Names, Words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.completion.tree import Argument, Command, Option, Value

__all__ = ["functions"]


def functions(root: Command) -> Iterator[str]:
    """The lines of one function for each command."""
    for command in root.walk():
        yield f"{_name(command)}() {{"
        yield from _group(command) if command.commands else _leaf(command)
        yield "}"
        yield ""


def _leaf(command: Command) -> Iterator[str]:
    yield "  local line state"
    yield "  local -A opt_args"
    # -s: short options may share a dash; -S: none comes after "--".
    yield "  _arguments -s -S : \\"
    specs = [spec for option in command.options for spec in _option(option)]
    specs += [_argument(argument) for argument in command.arguments]
    yield " \\\n".join(f"    {_quoted(spec)}" for spec in specs)


def _group(command: Command) -> Iterator[str]:
    yield "  local curcontext=$curcontext line state ret=1"
    yield "  local -A opt_args"
    yield "  local -a commands"
    yield "  commands=("
    for each in command.commands:
        yield f"    {_quoted(f'{each.words[-1]}:{each.help}')}"
    yield "  )"
    yield "  _arguments -C -S : \\"
    for option in command.options:
        for spec in _option(option):
            yield f"    {_quoted(spec)} \\"
    yield "    '*::command:->below' && ret=0"
    yield "  if [[ $state != below ]]; then"
    yield "    return ret"
    yield "  elif (( CURRENT == 1 )); then"
    yield "    _describe -t commands command commands && ret=0"
    yield "  else"
    yield "    curcontext=${curcontext%:*:*}:" + "-".join(command.words) + "-$words[1]:"
    yield "    case $words[1] in"
    for each in command.commands:
        yield f"      {each.words[-1]}) {_name(each)} && ret=0 ;;"
    yield "    esac"
    yield "  fi"
    yield "  return ret"


def _name(command: Command) -> str:
    return "_" + "__".join(command.words).replace("-", "_")


def _option(option: Option) -> Iterator[str]:
    """One spec for each spelling: "(-m --model)--model=[What it is.]:id:_telex_models"."""
    once = "*" if option.repeatable else f"({' '.join(option.names)})" if len(option.names) > 1 else ""
    for name in option.names:
        value = ""
        if option.takes_value:
            name += "=" if name.startswith("--") else "+"  # noqa: PLW2901
            value = f":{_escaped(option.label)}:{_action(option.value)}"
        yield f"{once}{name}[{_escaped(option.help)}]{value}"


def _argument(argument: Argument) -> str:
    return f"{'*' if argument.repeatable else ''}:{_escaped(argument.label)}:{_action(argument.value)}"


def _action(value: Value) -> str:
    """What completes a value; without the blank in front, ``_arguments`` would put words of its own before ours."""
    match value:
        case Files():
            return "_files"
        case Folders():
            return "_files -/"
        case Words(words=words):
            return f"({' '.join(words)})"
        case Names(list="models"):
            return " _telex_models"
        case Names(list=name):
            return f" _telex_names {name}"
        case ModelsOf(place=place):
            return f" _telex_models_of {place}"
        case None:
            return " "


def _escaped(text: str) -> str:
    for special in "\\[]:":
        text = text.replace(special, f"\\{special}")
    return text


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
