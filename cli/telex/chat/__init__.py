"""A chat from the options of the command line to its exit code: what all parts of it share.

``plan`` makes a ``Plan`` of the ``Options``, and ``run`` runs it.
"""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import TYPE_CHECKING

from provider_core.errors import HistoryError
from provider_core.structs import Struct
from provider_core.types import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from decimal import Decimal
    from pathlib import Path

    from provider_core.chat import ChatPlan
    from provider_core.errors import CoreError
    from provider_core.history import SavedConversation
    from provider_core.options import Candidate
    from provider_core.templates import Template
    from provider_core.types import Json, Target
    from telex.app import App
    from telex.chat.history_recorder import HistoryRecorder
    from telex.chat.input import Prompt
    from telex.render import Format, RenderOptions


class Options(SimpleNamespace):
    """The command line of ``telex chat``, an attribute for each option, with the values of a template filled in."""

    prompt: tuple[str, ...]
    template: str | None
    variables: tuple[str, ...]
    files: tuple[str, ...]
    images: tuple[str, ...]
    attach_limit: int
    paste: bool
    copy: bool
    models: tuple[str, ...]
    system: str | None
    go_on: bool
    conversation: str | None
    no_save: bool
    stream: bool | None
    max_tokens: int | None
    temperature: float | None
    params: Sequence[tuple[str, Json]]
    reasoning_effort: str | None
    reasoning: str | None
    markdown: bool | None
    as_json: bool
    as_jsonl: bool
    extract: bool
    web: bool | None
    schema: str | None
    schema_retries: int
    tools: tuple[str, ...]
    allow: tuple[str, ...]
    allow_of_alias: bool = False
    """Whether ``allow`` is not from the command line."""
    tool_choice: str | None
    max_turns: int
    max_cost: Decimal | None
    whole: bool
    output: str | None
    save_images: str | None
    dry_run: bool
    verbose: int
    usage: bool
    quiet: bool
    no_stdin: bool
    connect_timeout: float | None
    timeout: float | None
    retries: int | None

    @property
    def format(self) -> Format:
        if self.as_json or self.as_jsonl:
            return "json" if self.as_json else "jsonl"
        return "extract" if self.extract else "text"


class ModelPlan(Struct):
    """The request to one model, or the error that prevents it. ``name`` is what the user called it."""

    name: str
    chat: ChatPlan | None = None
    recorder: HistoryRecorder | None = None
    """None: the chat is neither saved nor counted."""
    error: CoreError | None = None
    candidates: tuple[Candidate, ...] = ()
    """All models that the name leads to. Their options have sources if some are not from the command line."""


class Plan(Struct):
    """A chat with one model, or the same prompt for several."""

    models: tuple[ModelPlan, ...]
    prompt: Prompt
    """In an interactive conversation, the attachments of the first prompt."""
    system: str | None
    """A system message for the next turn; None: that of the conversation."""
    earlier: SavedConversation | None
    """The conversation that is continued."""
    render: RenderOptions
    options: Options
    """The command line, with the options that a template and an alias have for the whole chat."""
    template: Template | None
    limits_costs: bool
    """Whether there is a budget, or a limit for this chat."""
    save_images: Path | None


# --- the limits on what requests may cost: --max-cost, and the budget of the settings -------------------------


def report_limits(
    app: App, targets: Iterable[Target], max_cost: Decimal | None, report: Callable[[str], None]
) -> None:
    """Report what is to be known before the first request: see ``report_budget``; and prices that are unknown."""
    report_budget(app, report)
    named = {str(target): target for target in targets} if max_cost is not None else {}
    for name, target in named.items():
        if name not in app.unpriced and app.runtime.prices(target, Usage(input=1, output=1)) is None:
            app.unpriced.add(name)  # a conversation reports it once
            report(f"The price of {target} is unknown: --max-cost counts only what the server reports.")


def report_budget(app: App, report: Callable[[str], None]) -> None:
    """Report, once, that a budget is nearly spent, and that it does not include unknown costs."""
    budget = app.runtime.budget
    if budget is not None:
        with contextlib.suppress(HistoryError):  # the check before the request raises it again
            for sentence in budget.warnings():
                report(sentence)
