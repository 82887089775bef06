"""Tests what a provider does by asking it: whether it works, what a model can do, and which local servers run."""

from provider_core.probe._check import STEPS, CheckReport, CheckStep, StepName, check
from provider_core.probe._discover import LocalServer, discover
from provider_core.probe._explore import CapabilityCard, Trait, explore

__all__ = [
    "STEPS",
    "CapabilityCard",
    "CheckReport",
    "CheckStep",
    "LocalServer",
    "StepName",
    "Trait",
    "check",
    "discover",
    "explore",
]
