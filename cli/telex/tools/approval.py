"""Who may run what: the settings' and the command line's patterns, and else the person at the terminal."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import click

from provider_core.tools import Approve, ApproveWith, Refuse
from telex.render import calls

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provider_core.tools import Decision, PlannedCall
    from telex.context import App
    from telex.tools.running import Toolset
    from telex.tools.terminal import Questions

__all__ = ["Approver", "allowed"]

_KEYS = "[y]es, [n]o, [a]lways for this tool, [e]dit, [v]iew all"


def allowed(call: PlannedCall, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns names the call's tool: ``server/tool``, or the tool's own name of any server."""
    own = call.offered.tool.name
    return any(fnmatchcase(call.name if "/" in pattern else own, pattern) for pattern in patterns)


class Approver:
    """Decides on calls; what nobody could be asked about is noted in the toolset.

    ``pause`` clears the screen of what is drawn over, so that a question can be read.
    """

    def __init__(
        self, app: App, questions: Questions, toolset: Toolset, *, pause: Callable[[], None]
    ) -> None:
        self._app = app
        self._questions = questions
        self._toolset = toolset
        self._pause = pause

    def __call__(self, call: PlannedCall) -> Decision:
        own = getattr(getattr(call.toolbox, "server", None), "allow", ())
        # The settings' patterns are the server's own: another one's tool of the same name is not meant.
        if (
            call.name in self._toolset.always
            or allowed(call, self._toolset.allow)
            or any(fnmatchcase(call.offered.tool.name, pattern) for pattern in own)
        ):
            return Approve()
        if not self._questions.there:
            self._toolset.missed.append(call.name)
            return Refuse(reason="nobody is there to be asked, and it is not allowed by name")
        self._pause()
        return self._asked(call)

    def _asked(self, call: PlannedCall) -> Decision:
        console = self._app.console
        console.err(f"The model wants to run {calls.planned(call)}\n")
        while True:
            answer = self._questions.ask(f"Run it? {_KEYS}: ")
            match answer[:1].lower():
                case "y":
                    return Approve()
                case "a":
                    self._toolset.always.add(call.name)
                    return Approve()
                case "v":
                    console.err(f"{calls.planned(call, whole=True)}\n")
                case "e":
                    changed = self._edited(call)
                    if changed is not None:
                        return changed
                case "n":
                    return Refuse(reason=self._questions.ask("Why not, for the model (Enter: no reason): "))
                case "":
                    return Refuse()

    def _edited(self, call: PlannedCall) -> Decision | None:
        """The call with the arguments as the editor left them; None where they are no JSON object."""
        from telex.editor import edit_text

        try:
            text = edit_text(self._app, json.dumps(dict(call.arguments), ensure_ascii=False, indent=2))
            found = json.loads(text)
        except click.ClickException as error:
            self._app.console.error(error.format_message())
            return None
        except (ValueError, RecursionError) as error:
            self._app.console.error(f"that is no JSON, and nothing is run: {error}")
            return None
        if not isinstance(found, dict):
            self._app.console.error("arguments are a JSON object, and nothing is run")
            return None
        return ApproveWith(arguments=found) if found != dict(call.arguments) else Approve()
