"""The one import of the protocol's SDK, without the server framework it carries; nothing is done with it here."""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

__all__ = ["ClientSession", "MCPError", "SessionMessage", "mcp_types"]


class _Hollow(ModuleType):
    """A package that runs its ``__init__`` when somebody asks for what only that can give; its modules are not that."""

    def __getattr__(self, name: str) -> Any:
        spec = self.__spec__
        if (name.startswith("__") and name != "__all__") or spec is None or spec.loader is None:
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        spec.loader.exec_module(self)
        return getattr(self, name)


def _hollow(name: str) -> None:
    spec = find_spec(name) if name not in sys.modules else None
    if spec is not None:
        package = sys.modules[name] = module_from_spec(spec)
        package.__class__ = _Hollow
        parent, _, own = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], own, package)


# Both import everything there is, and a quarter of the half second that this takes is a framework for those who
# write servers.
_hollow("mcp")
_hollow("mcp.client")

import mcp_types  # noqa: E402
from mcp.client.session import ClientSession  # noqa: E402
from mcp.shared.exceptions import MCPError  # noqa: E402
from mcp.shared.message import SessionMessage  # noqa: E402
