"""What a server really does, found out by asking it: reach, models, key, stream, usage, and how far it goes.

Nothing is set up or stored here, and nothing is shown: a probe gives values, and whoever asked for it acts.
"""

from provider_core.probe._check import check
from provider_core.probe._deep import explore
from provider_core.probe._discover import Found, discover
from provider_core.probe._report import STEPS, Card, Report, Step, StepName, Trait

__all__ = ["STEPS", "Card", "Found", "Report", "Step", "StepName", "Trait", "check", "discover", "explore"]
