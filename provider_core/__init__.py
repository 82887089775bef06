"""Chat with any model behind an OpenAI-compatible API: in a cloud, behind a gateway, or on this machine.

::

    from provider_core import connect

    with connect("deepseek/deepseek-v4-flash") as model:
        print(model.ask("Why is the sky blue?").text)

This uses the settings and the keyring of telex. A program can also make a provider of its own, from the name of a
preset or an address::

    from provider_core import connect, provider

    lab = provider("lab", base_url="http://127.0.0.1:8080/v1", key="none")
    with connect(lab, "qwen3-8b") as model:
        for event in model.stream("Why is the sky blue?"):
            print(event)

``ask`` returns a complete answer or raises one of ``errors``; ``stream`` yields events as they happen, and the last
one, ``ChatEnded``, has the answer and its verdict. ``Client`` is the layer below: it takes a ``Provider``, a
``Request`` and a key, without settings or keyring. ``provider_core.testing`` has fakes of the network and the keyring.

Importing this package imports nothing else: each name is imported when it is first used.
"""

__version__ = "0.2.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from provider_core import errors
    from provider_core.batches import BatchLimits, BatchRun, Result, Row, batch
    from provider_core.chat import ChatPlan, ChatRun
    from provider_core.chat.conversation import ChatOptions, Connection, Conversation, connect, provider
    from provider_core.chat.fallback import Fallback, Rests
    from provider_core.client import Client
    from provider_core.events import (
        Answer,
        AnswerBuilder,
        AnswerEnded,
        AnswerPart,
        Approve,
        ApproveWith,
        Attempt,
        ChatEnded,
        Connecting,
        Continuing,
        Event,
        FellBack,
        PlannedCall,
        Refuse,
        RequestStarted,
        SchemaRetry,
        Toolbox,
        ToolEnded,
        ToolLimits,
        ToolProgress,
        ToolResult,
        ToolStarted,
    )
    from provider_core.http.transport import HttpTransport
    from provider_core.keys import KeyringStore, KeyStore, MemoryStore
    from provider_core.prices import Cost
    from provider_core.runtime import Runtime
    from provider_core.settings import Paths, Settings
    from provider_core.tools.functions import FunctionTools
    from provider_core.types import *

__all__ = [
    "Alias", "Answer", "AnswerBuilder", "AnswerEnded", "AnswerEvent", "AnswerPart", "Approve",
    "ApproveWith", "Attempt", "AudioPart", "BatchLimits", "BatchRun", "Call", "CallAsText", "ChatEnded",
    "ChatOptions", "ChatPlan", "ChatRun", "Choice", "Client", "Connecting", "Connection",
    "Continuation", "Continuing", "Conversation", "Cost", "Effort", "Event", "Fallback", "FellBack", "FieldDropped",
    "FieldIgnored", "FilePart", "Finished", "FunctionTools", "HttpTransport", "Idle", "Image",
    "ImagePart", "Json", "KeyStore", "KeyringStore", "MemoryStore", "Message", "Model",
    "Network", "Notice", "Part", "Paths", "PlannedCall", "Prefill", "Provider", "Quirks", "Reasoning",
    "Refuse", "Reply", "Request", "RequestStarted", "Rests", "Result", "Retrying", "Role",
    "Row", "Runtime", "SchemaRetry", "Sent", "Settings", "Source", "Sources", "Target", "Text",
    "TextPart", "Timing", "Tool", "ToolCall", "ToolEnded", "ToolLimits", "ToolProgress",
    "ToolResult", "ToolStarted", "Toolbox", "Transport", "Usage", "Verdict", "__version__",
    "batch", "connect", "errors", "provider",
]  # fmt: skip

_MODULES = {
    "batches": ("BatchLimits", "BatchRun", "Result", "Row", "batch"),
    "chat.conversation": ("ChatOptions", "Connection", "Conversation", "connect", "provider"),
    "chat.fallback": ("Fallback", "Rests"),
    "chat": ("ChatPlan", "ChatRun"),
    "client": ("Client",),
    "http.transport": ("HttpTransport",),
    "keys": ("KeyStore", "KeyringStore", "MemoryStore"),
    "prices": ("Cost",),
    "runtime": ("Runtime",),
    "settings": ("Paths", "Settings"),
    "tools.functions": ("FunctionTools",),
}
"""Where names are defined. All others are in ``types`` or ``events``."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    if name == "errors":
        return import_module("provider_core.errors")
    place = next((module for module, names in _MODULES.items() if name in names), "types")
    module = import_module(f"provider_core.{place}")
    if not hasattr(module, name):
        module = import_module("provider_core.events")
    globals()[name] = found = getattr(module, name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
