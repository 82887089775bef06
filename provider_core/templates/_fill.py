"""A template with what is put into it: stdin, the words of the command line, variables; nothing is read here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from provider_core.errors import VariableError
from provider_core.structs import Struct
from provider_core.templates._places import places, put_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.templates._load import Template

__all__ = ["OWN", "Filled", "fill", "variables"]

OWN: Final = ("stdin", "prompt")
"""Variables that nobody names a value for: piped input, and what is typed as the prompt."""


class Filled(Struct):
    """What is sent of a template. ``prompt`` is the whole of it, stdin and the typed words included."""

    system: str
    prompt: str


def variables(template: Template) -> dict[str, str | None]:
    """The template's variables in the order in which they come first, each with its default."""
    found = places(template.system)
    for name, default in places(template.prompt).items():
        if found.get(name) is None:
            found[name] = default
    return found


def fill(
    template: Template, *, stdin: str | None = None, typed: str = "", values: Mapping[str, str] | None = None
) -> Filled:
    """Put into the template what belongs there, once: what is put in is not looked at again.

    Where ``{{ stdin }}`` is not used, stdin stands before the prompt, and where ``{{ prompt }}`` is not used,
    what was typed stands behind it, a blank line between: as without a template. Raises ``VariableError``.
    """
    wanted = variables(template)
    given = dict(values or {})
    _check_known(template, wanted, given)
    piped = stdin if stdin is not None and stdin.strip() else None
    if piped is not None and "stdin" in wanted:
        given["stdin"] = piped
    if typed.strip() and "prompt" in wanted:
        given["prompt"] = typed
    missing = [name for name, default in wanted.items() if default is None and name not in given]
    if missing:
        raise VariableError(f"the template {template.name} needs {_listed(missing)}", missing=tuple(missing))
    parts = [
        piped if "stdin" not in wanted else None,
        put_in(template.prompt, given, wanted),
        typed if "prompt" not in wanted else None,
    ]
    return Filled(
        system=put_in(template.system, given, wanted),
        prompt="\n\n".join(part for part in parts if part is not None and part.strip()),
    )


def _check_known(template: Template, wanted: Mapping[str, str | None], given: Mapping[str, str]) -> None:
    for name in given:
        if name in OWN:
            what = "piped input" if name == "stdin" else "the words after the options"
            raise VariableError(f"{name} is {what}, and no variable to set")
        if name not in wanted:
            own = [each for each in wanted if each not in OWN]
            has = f"it has {', '.join(own)}" if own else "it has none to set"
            raise VariableError(f"the template {template.name} has no variable {name!r}: {has}")


def _listed(names: list[str]) -> str:
    words = [
        {"stdin": "text on stdin", "prompt": "a prompt"}.get(name, f"a value for {name}") for name in names
    ]
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
