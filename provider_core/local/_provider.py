"""The embedded model as a provider like any other: its name, and the one model that it lists."""

from __future__ import annotations

from provider_core.local._model import DEFAULT_MODEL
from provider_core.presets.effort import TEMPLATE_ARGUMENTS
from provider_core.types import Effort, Model, Provider, Quirks

__all__ = ["PROVIDER"]

PROVIDER = Provider(
    name="local",
    display_name="On this machine",
    key_required=False,
    embedded=True,
    models=(Model(id=DEFAULT_MODEL.id, context=8192, reasoning=False, tools=False, vision=False),),
    models_declared=False,
    # A model of this size often does not find an end: a minute of it is enough.
    quirks=Quirks(effort=(Effort(levels=TEMPLATE_ARGUMENTS),), default_max_tokens=4096),
)
"""It has an address only while ``serve`` runs."""
