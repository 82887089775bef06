"""The smallest tool server that the protocol's own SDK makes: it knows what the weather is."""

from mcp.server import MCPServer

server = MCPServer("weather")


@server.tool()
def weather(city: str) -> str:
    """Say what the weather in a city is."""
    return f"It is raining in {city}."


server.run()
