"""One question from end to end: asked of a provider, shown and kept as it comes; how it ended, in an exit code."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from provider_core.answer import Gathering
from provider_core.errors import CoreError
from provider_core.types import Sent, Verdict
from telex.console import OutputError, ReaderGone
from telex.exits import ExitCode, Stop, code_and_hint
from telex.interrupts import Interrupts, Terminated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provider_core.answer import Answer
    from provider_core.types import Message, Notice, Request, Target
    from telex.context import App
    from telex.keeping import Keeping
    from telex.render.show import Show

__all__ = ["ask", "conclude", "hint"]


def ask(
    app: App,
    target: Target,
    request: Request,
    show: Show,
    *,
    keeping: Keeping | None = None,
    new: Sequence[Message] | None = None,
    watch: Callable[[str, str], None] | None = None,
) -> Answer:
    """Ask, show the answer, and keep it; ``new`` are the request's messages that no earlier turn had.

    ``watch`` is told what goes over the wire: see ``Client.chat``.

    Returns whatever came of it, once it has ended; raises what the core raises where nothing came, and what
    stopped it from outside. In every case the show has ended and the turn is kept before.
    """
    gathering = Gathering(target)
    interrupts = Interrupts()

    def notice(notice: Notice) -> None:
        gathering.notice(notice)
        show.notice(notice)
        if keeping is not None and isinstance(notice, Sent):
            with interrupts.held:
                keeping.sent(request.messages if new is None else new, target)

    def over(error: CoreError | None = None) -> Answer:
        gathering.take_back(show.unsaid)
        answer = gathering.answer(error)
        show.close()
        if keeping is not None:
            with interrupts.held:
                keeping.ended(answer)
        return answer

    with interrupts:
        try:
            show.connecting(target)
            with app.reach(target) as (provider, key):
                events = app.client.chat(provider, request, key=key, notify=notice, watch=watch)
                with contextlib.closing(events):
                    for event in events:
                        with interrupts.held:
                            gathering.event(event)
                            show.event(event)
        except CoreError as error:
            show.ended(over(error), hint(app, error))
            raise
        except (KeyboardInterrupt, Terminated):
            show.ended(over())
            raise
        except (ReaderGone, OutputError):
            over()
            raise
        except BaseException:
            show.close()
            raise
        answer = over()
        show.ended(answer, hint(app, answer.error))
    return answer


def hint(app: App, error: CoreError | None) -> str | None:
    """What to do about an error, as far as there is one."""
    return None if error is None else code_and_hint(error, app.known(error.provider))[1]


def conclude(app: App, answer: Answer) -> None:
    """Say on stderr what is to be said of the answer's end; raises ``Stop`` with its exit code unless that is 0."""
    console = app.console
    match answer.verdict:
        case Verdict.COMPLETE:
            if answer.tool_calls:
                names = ", ".join(dict.fromkeys(call.name or "?" for call in answer.tool_calls))
                console.note(f"The model asked for a tool ({names}), and this chat has none to run.")
            return
        case Verdict.LENGTH:
            what = "The answer ends at" if answer.text else "No answer came: thinking took all of"
            console.note(f"{what} the token limit (--max-tokens raises it).")
            return
        case _:
            pass
    code, hint = ExitCode.PROVIDER, None
    message = f"the answer is {answer.verdict.value}"
    if answer.error is not None:
        message = answer.error.message
        code, hint = code_and_hint(answer.error, app.known(answer.error.provider))
    if answer.verdict in (Verdict.PARTIAL, Verdict.FILTERED, Verdict.EMPTY):
        code = ExitCode.PROVIDER
    console.error(message, hint)
    raise Stop(code)
