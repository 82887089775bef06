"""The room where a request is changed that its server refuses by the name of a field: once, told, and remembered.

What the body is before that belongs to ``quirks``; sending, and sending again after failures, to ``client``.
"""

from provider_core.repair._memory import Memory
from provider_core.repair._negotiation import Negotiation
from provider_core.repair._repairs import Repair

__all__ = ["Memory", "Negotiation", "Repair"]
