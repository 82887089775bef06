"""Who may run what: the settings' and the command line's patterns, and else the person at the terminal."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import click

from provider_core.errors import ToolRefusedError
from provider_core.events import Approve, ApproveWith, Refuse
from provider_core.tools.arguments import mismatch
from telex.console import as_json
from telex.render import calls

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provider_core.events import Decision, PlannedCall, ToolSpec
    from telex.app import App
    from telex.tools.terminal import TerminalPrompt

__all__ = ["ApprovalPolicy", "Approver", "allowed"]

_KEYS = "[y]es, [n]o, [a]lways for this tool, [e]dit, [v]iew all"
_EXPLAINED = """\
y  run the tool
n  refuse; text after the n is sent to the model
a  run the tool, and do not ask again for it
e  edit the arguments in your editor
v  show the arguments in full
"""


def allowed(server: str, tool: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns names the tool: ``server/tool``, or the tool's own name of any server."""
    return any(fnmatchcase(f"{server}/{tool}" if "/" in pattern else tool, pattern) for pattern in patterns)


class ApprovalPolicy:
    """What is approved of without asking: by ``--allow``, by the settings of a server, by "always"."""

    def __init__(self, allow: Sequence[str] = ()) -> None:
        self._allow = tuple(allow)
        self._always: dict[tuple[str, str], ToolSpec] = {}

    def covers(self, call: PlannedCall) -> bool:
        server, tool = call.toolbox.name, call.spec.tool.name
        # The settings' patterns are the server's own: another one's tool of the same name is not meant.
        own = getattr(call.toolbox, "server", None)
        return (
            self._always.get((server, tool)) == call.spec
            or allowed(server, tool, self._allow)
            or (own is not None and own.allows(tool))
        )

    def always(self, call: PlannedCall) -> None:
        """Approve from now on of the tool as it is: what calls itself so and is another is asked about."""
        self._always[call.toolbox.name, call.spec.tool.name] = call.spec

    def outdated(self, call: PlannedCall) -> bool:
        """Whether another tool of this name was approved of."""
        return self._always.get((call.toolbox.name, call.spec.tool.name), call.spec) != call.spec


class Approver:
    """Decides on calls; raises ``ToolRefusedError`` where nobody can be asked.

    ``pause`` clears the screen of what is drawn over, so that a question can be read.
    """

    def __init__(
        self, app: App, questions: TerminalPrompt, standing: ApprovalPolicy, *, pause: Callable[[], None]
    ) -> None:
        self._app = app
        self._questions = questions
        self._standing = standing
        self._pause = pause
        self.refused: list[str] = []
        """The tools of calls that somebody has refused."""

    def __call__(self, call: PlannedCall) -> Decision:
        if self._standing.covers(call):
            return Approve()
        if not self._questions.there:
            name = call.name
            raise ToolRefusedError(
                f"{name} did not run: it is not allowed by name, and there is no terminal to ask on",
                names=(name,),
                code="not_allowed",
            )
        self._pause()
        if self._standing.outdated(call):
            self._app.console.err(calls.changed(call))
        decision = _Question(self._app, self._questions, self._standing, call).decided()
        if isinstance(decision, Refuse):
            self.refused.append(call.name)
        return decision


class _Question:
    """One call that is asked about; the arguments may change on the way."""

    def __init__(
        self, app: App, questions: TerminalPrompt, standing: ApprovalPolicy, call: PlannedCall
    ) -> None:
        self._app = app
        self._console = app.console
        self._questions = questions
        self._standing = standing
        self._call = call
        self._draft: str | None = None
        """What was left in the editor and could not be used."""
        self._arguments = dict(call.arguments)

    def decided(self) -> Decision:
        self._show()
        while True:
            typed = self._questions.ask(self._words())
            if typed is None:
                return Refuse()
            word, _, rest = typed.partition(" ")
            # Whole words: a sentence that begins with an "a" is no consent to everything.
            match word.lower().rstrip(":,."), rest.strip():
                case "y" | "yes", "":
                    return self._approved()
                case "a" | "always", "":
                    self._standing.always(self._call)
                    return self._approved()
                case "n" | "no", reason:
                    return Refuse(reason=reason or self._reason())
                case "e" | "edit", "":
                    self._edit()
                case "v" | "view", "":
                    self._show(whole=True)
                case _:
                    self._console.err(_EXPLAINED)

    def _words(self) -> str:
        words = f"Run it? {_KEYS}: "
        return words if len(words) < self._console.width() else "Run it? y, n, a, e, v (? explains): "

    def _reason(self) -> str:
        return self._questions.ask("Reason to give the model (Enter for none): ") or ""

    def _approved(self) -> Decision:
        if self._arguments == dict(self._call.arguments):
            return Approve()
        return ApproveWith(arguments=self._arguments)

    def _show(self, *, whole: bool = False) -> None:
        from dataclasses import replace

        call = replace(self._call, arguments=self._arguments)
        self._console.err(calls.planned(call, width=self._console.width(), whole=whole))

    def _edit(self) -> None:
        """Let the arguments be changed, and show them: whoever only looked has not said yes."""
        from telex.editor import edit_text

        text = self._draft or as_json(self._arguments, indent=2).rstrip("\n")
        try:
            text = edit_text(self._app, text, suffix=".json", terminal=self._questions.terminal)
        except click.ClickException as error:
            self._console.error(error.format_message())
            return
        why = self._taken(text)
        self._draft = text if why else None
        if why:
            self._console.error(why, "Edit them again (e) to fix them.")
        else:
            self._show()

    def _taken(self, text: str) -> str:
        """Take what the editor left; why that cannot be, or ""."""
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            return f"that is not valid JSON: {error}"
        if not isinstance(found, dict):
            return "arguments are a JSON object"
        if why := mismatch(found, self._call.spec.tool.schema):
            return f"that does not match the tool's schema: {why}"
        self._arguments = found
        return ""
