"""From events to a terminal or a pipe: one file an output format; nothing here asks a provider."""
