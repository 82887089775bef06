"""The commands of an interactive conversation about its tools and settings: /tools and /set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from telex.repl.session import CommandError, split_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provider_core.settings.tree import Place
    from provider_core.tools.mcp import McpToolbox
    from telex.app import App
    from telex.repl.session import Session

_OF_THE_CHAT = ("model", "system", "temperature", "max_tokens", "reasoning_effort", "stream", "params")
"""Settings that are options of ``telex chat``, too: here, they override aliases and models as options do."""
_SHOWN = ("markdown", "reasoning", "usage", "code_theme")
"""Settings about the screen, which options of ``telex chat`` of the same name override."""
_OTHERS = ("editing", "history", "budget.day", "budget.month")

SETTINGS = (*_OF_THE_CHAT, *_SHOWN, *_OTHERS)
"""The settings that have an effect within a conversation."""

_SAVE = "--save"
_REMOVE = "-"


# --- /tools ------------------------------------------------------------------------------------------------


def tools(session: Session, argument: str) -> None:
    """List the servers with their tools, or turn one on or off."""
    words = split_words(argument)
    match words:
        case []:
            _list_tools(session)
        case ["on", *names] if names:
            session.turn_on(*names)
            _list_tools(session)
        case ["off", *names] if names:
            on = [box.name for box in _toolboxes(session)]
            for name in on if names == ["all"] else names:
                if name not in on:
                    raise CommandError(f"{name} is not on", f"On: {', '.join(on)}" if on else None)
                if session.tools is not None:
                    session.tools.turn_off(name)
            _list_tools(session)
        case _:
            raise CommandError(
                "/tools takes on or off, and the name of an MCP server", "To list them: /tools"
            )


def _toolboxes(session: Session) -> Sequence[McpToolbox]:
    return session.tools.toolboxes if session.tools is not None else ()


def _list_tools(session: Session) -> None:
    from provider_core.events import PlannedCall
    from provider_core.types import ToolCall

    console, known = session.app.console, session.app.runtime.settings.mcp
    boxes = {box.name: box for box in _toolboxes(session)}
    marked = False
    for name in sorted({*boxes, *known}):
        if name not in boxes:
            console.note(f"off  {name}")
            continue
        if (failure := boxes[name].failure) is not None:
            console.note(f"off  {name}: {failure.message}")
            continue
        shown = []
        for offered in boxes[name].tools:
            call = ToolCall(id="", name=offered.tool.name, arguments="{}")
            planned = PlannedCall(toolbox=boxes[name], spec=offered, call=call, arguments={})
            allowed = session.tools is not None and session.tools.policy.allows(planned)
            marked = marked or allowed
            shown.append(f"{offered.tool.name}{'*' if allowed else ''}")
        console.note(f"on   {name}: {', '.join(shown) or 'no tools'}")
    if marked:
        console.note("* runs without asking for approval")
    if not boxes and not known:
        console.note("No MCP server is set up. To add one: telex mcp add")
    elif all(box.failure is not None for box in boxes.values()):
        console.note("To turn one on: /tools on NAME")


def complete_tools(app: App, argument: str) -> Sequence[str]:
    """The words after those of ``argument`` before its last one."""
    return [*app.runtime.settings.mcp] if " " in argument else ["on ", "off "]


# --- /set --------------------------------------------------------------------------------------------------


def set_(session: Session, argument: str) -> None:
    """List the settings, show one, change it for this conversation, and with ``--save`` in the file, too."""
    name, _, rest = argument.partition(" ")
    if saves := name == _SAVE:
        name, _, rest = rest.strip().partition(" ")
    values = split_words(rest)
    if saves and not values:
        raise CommandError(f"/set {_SAVE} takes a setting and a value")
    if not name:
        _list_settings(session, SETTINGS)
        return
    if name not in SETTINGS:
        raise _unknown(name)
    if not values:
        _list_settings(session, (name,))
        return
    if values == [_REMOVE]:
        if saves:
            raise CommandError("/set cannot remove a setting from the file", f"Use telex config unset {name}")
        _apply(session, name, None)
        session.changed.pop(name, None)
        _list_settings(session, (name,))
        return
    place, value = _checked(session, name, values)
    _apply(session, name, value)
    from provider_core.settings.values import as_text

    session.changed[name] = as_text(value)
    console = session.app.console
    if saves:
        from provider_core.settings import edit

        path = session.app.runtime.paths.settings_file
        edit.set_value(path, place.keys, value)
        console.note(f"{name} is now {as_text(value)}, here and in {path}.")
    else:
        console.note(f"{name} is now {as_text(value)} in this conversation.")


def _unknown(name: str) -> CommandError:
    from provider_core.redaction import close_matches

    hint = (
        f"Settings that can: {', '.join(SETTINGS)}\nTo change the settings file: telex config set KEY VALUE"
    )
    for similar in close_matches(name, SETTINGS, most=1, cutoff=0.7):
        hint = f"Did you mean {similar}?"
    return CommandError(f"{name} cannot be set in a conversation", hint)


def _checked(session: Session, name: str, words: Sequence[str]) -> tuple[Place, Any]:
    """The setting and its new value; raises ``SettingsError`` and ``InvalidInputError``."""
    from provider_core.settings import schema
    from provider_core.settings.values import locate, parse, value_at

    path = session.app.runtime.paths.settings_file
    place = locate(name, {})
    value = parse(place, [" ".join(words)] if set(place.kinds) == {"text"} else words)
    table: Any = value
    for key in reversed(place.keys):
        table = {key: table}
    checked, problems = schema.check(table, {}, path)
    for problem in problems.values():
        raise CommandError(problem.message.removeprefix(f"{path}: "))
    found = value_at(checked, place.keys)
    return place, value if found is None else found  # ``checked`` has no value that is the default


def _apply(session: Session, name: str, value: Any) -> None:
    """Use the value from the next prompt on; None is that of the options, else that of the settings."""
    runtime, given = session.app.runtime, session.given
    if name == "model":
        if warning := session.change_model(value or given["model"]):
            session.app.console.note(f"Warning: {warning}")
    elif name == "system":
        session.system = given["system"] if value is None else value
    elif name in _OF_THE_CHAT:
        new = tuple(value.items()) if isinstance(value, dict) else value
        session.change_options(**{name: given[name] if value is None else new})
    else:
        from provider_core.settings.values import as_text

        variable = f"TELEX_{name.upper().replace('.', '__')}"
        before = runtime.environ
        without = {each: text for each, text in before.items() if each != variable}
        # A variable is the strongest layer of the settings.
        new = session.environ.get(variable) if value is None else as_text(value)
        runtime.environ = without if new is None else without | {variable: new}
        runtime.reload()
        option = given.get(name) if value is None else False if name == "usage" else None
        try:
            session.change_options(**({name: option} if name in ("markdown", "reasoning", "usage") else {}))
        except BaseException:
            runtime.environ = before
            runtime.reload()
            raise
        if name == "history" and session.recorder is not None:
            session.recorder.saves = runtime.settings.history


def _list_settings(session: Session, names: Sequence[str]) -> None:
    from provider_core.settings.values import as_text
    from telex.render import tables

    settings, given = session.app.runtime.settings, dict(session.options)
    given["usage"] = "full" if given["usage"] else None
    rows = []
    for name in names:
        group, _, field = name.partition(".")
        value = settings.budget.get(field) if field else getattr(settings, group)
        source = ""
        if name in session.changed:
            value, source = session.changed[name], "this conversation"
        elif name in (*_OF_THE_CHAT, *_SHOWN) and given.get(name) not in (None, ()):
            value, source = dict(given[name]) if name == "params" else given[name], "option"
        if name in ("model", "system"):
            value = str(session.target) if name == "model" else session.system or None
        rows.append((name, as_text(value), source))
    tables.rows(session.app.console, ("SETTING", "VALUE", "SOURCE"), rows)


def complete_set(_: App, argument: str) -> Sequence[str]:
    """The settings, and then the values of one that has few."""
    name, space, _values = argument.partition(" ")
    if not space:
        return [f"{each} " for each in SETTINGS]
    from provider_core.settings.values import locate

    return locate(name, {}).choices if name in SETTINGS else ()
