"""An interactive conversation at a terminal: ``telex chat`` without a prompt."""
