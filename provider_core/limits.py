"""Limits on the size and duration of input, so that no server, file or program can fill the memory or never end.

They are far above what is useful. ``telex help limits`` is generated from the docstrings: the unit, what is counted,
and on a line of its own, what happens above the limit.
"""

from __future__ import annotations

from typing import Final

# --- answers -----------------------------------------------------------------------------------------------

ANSWER: Final = 4_000_000
"""Characters: the text of an answer that the history saves, in every output format; likewise its reasoning.
A note reports that the rest is not saved. An answer for --extract or --schema is broken off here, with an error."""

WHOLE_ANSWER: Final = 100_000_000
"""Characters: the text of an answer for --json or the library, and the reasoning of any answer.
The answer is broken off with an error; the part that has arrived is printed."""

BLANKS: Final = 1 << 14
"""Characters: blanks in a row in an answer, its reasoning or the arguments of a tool call.
The answer is broken off with an error: some models never stop sending them."""

FRAME: Final = 64 << 20
"""Bytes: one event or one line of a stream, or a reply in JSON.
The answer is broken off with an error."""

KEEPALIVES: Final = 16 << 20
"""Bytes: comments, pings and empty events in a row, or a web page.
The answer is broken off with an error."""

BESIDES_TEXT: Final = 32 << 20
"""Bytes: tool calls, further choices, log probabilities and encrypted reasoning of one answer, together.
The answer is broken off with an error."""

CALLS: Final = 1_000
"""Tool calls: in one answer.
The answer is broken off with an error, and no tool is run."""

IMAGES: Final = 64
"""Images: in one answer.
The rest is omitted."""

IMAGE_DATA: Final = 64 << 20
"""Bytes: base64 of all images of one answer.
An image that does not fit is reported as too large."""

SOURCES: Final = 1_000
"""Sources: in each list of one answer.
The rest is omitted."""

ERROR_BODY: Final = 1 << 20
"""Bytes: the body of an error response.
The rest is not read."""

# --- input -------------------------------------------------------------------------------------------------

STDIN: Final = 100_000_000
"""Bytes: stdin.
More is an error, and nothing is sent."""

TEXT_FILE: Final = 10_000_000
"""Bytes: a file for --file, --system and the like, or a file to import.
More is an error."""

IMAGE_FILE: Final = 20_000_000
"""Bytes: an image for --image.
More is an error."""

TEMPLATE: Final = 1_000_000
"""Bytes: a template, or a schema for --schema.
More is an error."""

OWN_FILE: Final = 64 << 20
"""Bytes: the settings file, or a file of the cache.
Larger settings are an error; a larger cache is ignored and rebuilt."""

KEY: Final = 64 << 10
"""Bytes: what a key command prints.
The command is stopped, with an error."""

KEY_COMMAND: Final = 30.0
"""Seconds: the time that a key command may take; it may ask for a fingerprint or a passphrase.
The command is stopped, with an error."""

# --- lists of models, and tools ----------------------------------------------------------------------------

MODELS: Final = 20_000
"""Models: in the list of one server.
The rest is omitted."""

MODEL_PAGES: Final = 20
"""Pages: of the list of models of one server.
The rest is omitted."""

MODEL_LIST: Final = 64 << 20
"""Bytes: one page of the list of models.
More is an error; the cached list is used."""

MODEL_LIST_TIME: Final = 60.0
"""Seconds: the time that the list of models of one server may take.
After that it is an error; the cached list is used."""

TOOLS: Final = 1_000
"""Tools: of one MCP server.
The rest is omitted."""

TOOL_PAGES: Final = 100
"""Pages: of the list of tools of one MCP server.
The rest is omitted."""

TOOL_MESSAGE: Final = 16 << 20
"""Bytes: one message of an MCP server.
The call fails, and the model receives the reason."""

TOOL_RESULT: Final = 100_000
"""Bytes: the result of one tool call, unless the server's settings say otherwise.
The middle is omitted, with a note to the model."""

TOOL_IMAGES: Final = 10
"""Images: in the result of one tool call.
The rest is omitted, with a note to the model."""
