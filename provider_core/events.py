"""What happens during a chat turn, as events, and what tools are made of.

``Event`` is the contract between ``ChatRun`` and everyone who shows, stores or counts what it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from provider_core import limits
from provider_core.structs import Struct, field
from provider_core.types import AnswerEvent, Message, Notice, TextPart

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from provider_core.answer import Answer
    from provider_core.errors import SchemaMismatchError, ToolError
    from provider_core.types import ImagePart, Json, Part, Request, Target, Tool, ToolCall

# --- what offers tools -------------------------------------------------------------------------------------


class ToolAnnotations(Struct):
    """What a tool says of itself. Nobody has checked it, and None is what it does not say."""

    read_only: bool | None = None
    destructive: bool | None = None
    idempotent: bool | None = None
    open_world: bool | None = None
    """Whether it reaches beyond what the user can see: the network, other people."""


class ToolSpec(Struct):
    """A tool as its toolbox has it: ``tool.name`` is the toolbox's own name for it, of any form."""

    tool: Tool
    title: str = ""
    annotations: ToolAnnotations = field(default_factory=ToolAnnotations)


class ToolLimits(Struct):
    """What one call may take."""

    seconds: float = 60.0
    size: int = limits.TOOL_RESULT
    """Bytes of UTF-8 of a result that the model is given; the middle of a longer one is left out."""


class ToolResult(Struct):
    """What a call brought. The model reads ``text``, and sees ``images`` where ``Request.reads_images`` says that it
    can; else it is told that there were some.
    """

    text: str = ""
    is_error: bool = False
    """The tool itself says that it failed, and ``text`` says why."""
    structured: Json = None
    """The same as JSON, where the tool gives that too; for the caller, not for the model."""
    images: tuple[ImagePart, ...] = ()


class Toolbox(Protocol):
    """A group of tools: a server's, or a program's own functions."""

    @property
    def name(self) -> str:
        """What users call it; a tool is known to them as ``name/tool``. "" for tools that stand alone."""

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        """What it offers now; read once before each request."""

    @property
    def limits(self) -> ToolLimits:
        """What each of its calls may take."""

    def run(self, name: str, arguments: Mapping[str, Json], *, stop: threading.Event) -> ToolResult:
        """Run the tool of this own name and wait for its result; raise ``ToolError`` where there is none.

        It is called in threads, for several calls at a time. ``stop`` is set when nobody waits any longer:
        its time is over, or the user has had enough; what is returned or raised after that goes nowhere.

        A toolbox with a true ``reports_progress`` is given ``report`` as well, a
        ``ReportProgress`` that any thread may call.
        """


ReportProgress: TypeAlias = "Callable[[float, float | None, str], None]"
"""Takes how far a call is, how far it will go if that is known, and a message or "". The caller bounds all three."""


# --- who approves ------------------------------------------------------------------------------------------


class PlannedCall(Struct):
    """A call that could run: its tool is there, and ``arguments`` fit the tool's schema."""

    toolbox: Toolbox
    spec: ToolSpec
    call: ToolCall
    """As the model made it, with the name it knows the tool by."""
    arguments: Mapping[str, Json]

    @property
    def name(self) -> str:
        """``toolbox/tool``, by which users know the tool."""
        return "/".join(filter(None, (self.toolbox.name, self.spec.tool.name)))


class Approve(Struct):
    """The call may run as it is."""


class ApproveWith(Struct):
    """The call may run with these arguments instead; the model is told so."""

    arguments: Mapping[str, Json]


class Refuse(Struct):
    """The call may not run; the model is told so, with the reason where there is one."""

    reason: str = ""


Decision: TypeAlias = Approve | ApproveWith | Refuse

Approval: TypeAlias = "Callable[[PlannedCall], Decision]"
"""Asked in the caller's own thread, one call at a time and in the model's order, before any call of the turn runs."""


# --- what happens ------------------------------------------------------------------------------------------


class Connecting(Struct):
    """The provider of ``target`` is being made ready: its key is looked up, or its model is loaded."""

    target: Target


class RequestStarted(Struct):
    """A request is about to be sent. The events of its answer follow, then ``AnswerEnded``.

    ``number`` counts the requests of the turn from 1. ``request.messages`` is the whole conversation so far;
    ``new_messages`` are those of it that no earlier request had.
    """

    number: int
    request: Request
    new_messages: tuple[Message, ...] = ()


class AnswerEnded(Struct):
    """The answer to ``request``, complete or not. ``new_messages`` are those of its ``RequestStarted``."""

    request: Request
    answer: Answer
    new_messages: tuple[Message, ...] = ()


class SchemaRetry(Struct):
    """The answer does not match the schema; the next request tells the model why."""

    error: SchemaMismatchError


class ChatEnded(Struct):
    """The last event of a turn. ``answer`` merges the answers to all of its requests."""

    answer: Answer


class ToolStarted(Struct):
    """An approved call runs from now on, with ``planned.arguments``."""

    planned: PlannedCall


class ToolProgress(Struct):
    """A call that runs reports how far it is: ``progress`` of ``total``, and a line of text, "" if there is none."""

    planned: PlannedCall
    progress: float
    total: float | None = None
    message: str = ""


class ToolEnded(Struct):
    """What became of a call; calls of one turn end in any order.

    ``result.text`` is what the model reads, but for a note of images. ``planned`` is None for a call that could not
    even be planned: no such tool, or arguments that do not fit. ``error`` is why there is no result of the tool's own.
    A call without a ``ToolStarted`` never ran.
    """

    call: ToolCall
    planned: PlannedCall | None
    result: ToolResult
    seconds: float = 0.0
    error: ToolError | None = None

    def message(self) -> Message:
        """The result as a later request holds it."""
        text, images = self.result.text, self.result.images
        parts: tuple[Part, ...] = (*([TextPart(text=text)] if text else []), *images)
        return Message(role="tool", content=parts if images else text, tool_call_id=self.call.id)


ToolEvent: TypeAlias = ToolStarted | ToolProgress | ToolEnded

Event: TypeAlias = (
    AnswerEvent | Notice | ToolEvent | Connecting | RequestStarted | AnswerEnded | SchemaRetry | ChatEnded
)
"""Everything that happens during a turn, in order: ``Connecting`` first, ``ChatEnded`` last."""
