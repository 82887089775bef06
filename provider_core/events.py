"""What happens during a chat turn, as events; and the tools that take part in it.

``Event`` is the contract between ``ChatRun`` and everyone who shows, stores or counts what it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from provider_core import limits
from provider_core.structs import Struct, field
from provider_core.types import AnswerEvent, Message, Notice, TextPart

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from provider_core.answer import Answer
    from provider_core.errors import CoreError, SchemaMismatchError, ToolError
    from provider_core.types import ImagePart, Json, Part, Request, Target, Tool, ToolCall

# --- tools -------------------------------------------------------------------------------------------------


class ToolAnnotations(Struct):
    """What a tool says about itself, unverified. None: it does not say."""

    read_only: bool | None = None
    destructive: bool | None = None
    idempotent: bool | None = None
    open_world: bool | None = None
    """Whether it reaches beyond what the user can see: the network, other people."""


class ToolSpec(Struct):
    """A tool of a toolbox. ``tool.name`` is the toolbox's own name for it, which may contain any characters."""

    tool: Tool
    title: str = ""
    annotations: ToolAnnotations = field(default_factory=ToolAnnotations)


class ToolLimits(Struct):
    """The limits of one call."""

    seconds: float = 60.0
    size: int = limits.TOOL_RESULT
    """Bytes of the result, as UTF-8, that the model gets; the middle of a longer one is omitted."""


class ToolResult(Struct):
    """The result of a call.

    The model gets ``text``, and ``images`` if ``Request.reads_images``; else a note says that there were images.
    """

    text: str = ""
    is_error: bool = False
    """Whether the tool reports that it failed, for the reason in ``text``."""
    structured: Json = None
    """The result as JSON, if the tool returns that too; for the caller, not for the model."""
    images: tuple[ImagePart, ...] = ()


class Toolbox(Protocol):
    """A group of tools: those of a server, or a program's own functions."""

    @property
    def name(self) -> str:
        """The name that users know; "" for tools without a prefix. A tool is shown as ``name/tool``."""

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        """The current tools; read once before each request."""

    @property
    def limits(self) -> ToolLimits:
        """The limits of each call."""

    def run(self, name: str, arguments: Mapping[str, Json], *, stop: threading.Event) -> ToolResult:
        """Run the tool with this name and return its result. Raises ``ToolError`` if there is none.

        This is called in threads, for several calls at a time. ``stop`` is set when the time is over or the user has
        interrupted the turn; a later result is ignored.

        A toolbox with a true attribute ``reports_progress`` also gets the argument ``report``: a ``ReportProgress``
        that any thread may call.
        """


ReportProgress: TypeAlias = "Callable[[float, float | None, str], None]"
"""Takes the progress of a call, its total if that is known, and a message or "". The toolbox limits all three."""


# --- approval ----------------------------------------------------------------------------------------------


class PlannedCall(Struct):
    """A call that can run: the tool exists, and ``arguments`` match its schema."""

    toolbox: Toolbox
    spec: ToolSpec
    call: ToolCall
    """The model's call, with the tool's name as the model knows it."""
    arguments: Mapping[str, Json]

    @property
    def name(self) -> str:
        """``toolbox/tool``, as users know the tool."""
        return "/".join(filter(None, (self.toolbox.name, self.spec.tool.name)))


class Approve(Struct):
    """Run the call as it is."""


class ApproveWith(Struct):
    """Run the call with other arguments, and tell the model so."""

    arguments: Mapping[str, Json]


class Refuse(Struct):
    """Do not run the call, and tell the model so, with the reason if there is one."""

    reason: str = ""


Decision: TypeAlias = Approve | ApproveWith | Refuse

Approval: TypeAlias = "Callable[[PlannedCall], Decision]"
"""Called in the caller's thread, for each call in the model's order, before any call of the answer runs."""


# --- events ------------------------------------------------------------------------------------------------


class Connecting(Struct):
    """The provider of ``target`` is being opened: its key is looked up, or its model is loaded."""

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
    """The answer to ``request`` has ended, complete or not. ``new_messages`` are those of its ``RequestStarted``."""

    request: Request
    answer: Answer
    new_messages: tuple[Message, ...] = ()
    cause: Literal["", "tool loop", "schema retry", "continuation"] = ""
    """Why the request was sent after another one of the same turn; "" for the first."""
    goes_on: bool = False
    """Whether the answer was cut, and the next request continues it."""


class FellBack(Struct):
    """Another model, ``target``, is asked instead of one that cannot answer; nothing of an answer has arrived.

    ``name`` is ``provider/model``, or what the user called it. ``error`` is why it cannot answer; None if it rests
    after an earlier failure. ``rest`` is for how many seconds other models are asked first from now on. ``ended`` is
    its request, if one was sent: no ``AnswerEnded`` follows for that.
    """

    name: str
    target: Target
    error: CoreError | None = None
    rest: float = 0.0
    ended: AnswerEnded | None = None


class ToolStarted(Struct):
    """An approved call has started."""

    planned: PlannedCall


class ToolProgress(Struct):
    """A running call reports its progress, of ``total`` if that is known, and a line of text or ""."""

    planned: PlannedCall
    progress: float
    total: float | None = None
    message: str = ""


class ToolEnded(Struct):
    """A call has ended; calls of one answer end in any order. A call without a ``ToolStarted`` did not run.

    ``planned`` is None if the tool does not exist or the arguments do not match. ``result`` is what the model gets;
    ``error`` is why it is not the tool's own.
    """

    call: ToolCall
    planned: PlannedCall | None
    result: ToolResult
    seconds: float = 0.0
    error: ToolError | None = None

    def message(self) -> Message:
        """The tool message for the next request."""
        text, images = self.result.text, self.result.images
        parts: tuple[Part, ...] = (*([TextPart(text=text)] if text else []), *images)
        return Message(role="tool", content=parts if images else text, tool_call_id=self.call.id)


class SchemaRetry(Struct):
    """The answer does not match the schema; the next request tells the model why."""

    error: SchemaMismatchError


class Continuing(Struct):
    """The answer was cut, because of ``error`` or else by a token limit, and the next request asks for its rest.

    ``number`` counts the continuations of the answer from 1. ``how`` is as in ``Continuation``.
    """

    number: int
    how: Literal["prefix", "request"]
    error: CoreError | None = None


class ChatEnded(Struct):
    """The last event of a turn. ``answer`` merges the answers to all of its requests."""

    answer: Answer


ToolEvent: TypeAlias = ToolStarted | ToolProgress | ToolEnded

Event: TypeAlias = (
    AnswerEvent
    | Notice
    | ToolEvent
    | Connecting
    | RequestStarted
    | AnswerEnded
    | FellBack
    | SchemaRetry
    | Continuing
    | ChatEnded
)
"""Everything that happens during a turn, in order: ``Connecting`` first, ``ChatEnded`` last."""
