"""The version, in its one place, and the name by which servers see it."""

__all__ = ["USER_AGENT", "__version__"]

__version__ = "0.2.0"
USER_AGENT = f"telex/{__version__}"
