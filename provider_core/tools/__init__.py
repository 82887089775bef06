"""Tools that a model may call: Python functions, MCP servers, and the loop that runs the calls of a turn."""
