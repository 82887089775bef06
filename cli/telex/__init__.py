"""The command line of telex: it knows terminals, and leaves every request to ``provider_core``."""
