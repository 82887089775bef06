"""Limits on the size and duration of input, so that no server, file or program can fill the memory or never end.

They are far above what is useful. ``telex help limits`` is generated from the docstrings: the unit, what is counted,
and what happens above the limit.
"""

from __future__ import annotations

from typing import Final

# --- answers -----------------------------------------------------------------------------------------------

ANSWER: Final = 4_000_000
"""Characters: the text of an answer in the history, and its reasoning; also an answer with --extract or --schema.
The history does not save the rest, and a note says so. With --extract or --schema, telex stops with an error."""

WHOLE_ANSWER: Final = 100_000_000
"""Characters: the text of an answer with --json or in the Python library; the reasoning of any answer. telex stops
the answer with an error, and prints the part that has arrived."""

BLANKS: Final = 1 << 14
"""Characters: consecutive blanks in an answer, its reasoning or the arguments of a tool call. telex stops the answer
with an error, because some models never stop sending blanks."""

FRAME: Final = 64 << 20
"""Bytes: one event or one line of a stream, or a reply in JSON. telex stops the answer with an error."""

KEEPALIVES: Final = 16 << 20
"""Bytes: consecutive comments, pings and empty events, or a web page sent instead of an answer. telex stops the
answer with an error."""

BESIDES_TEXT: Final = 32 << 20
"""Bytes: tool calls, further choices, log probabilities and encrypted reasoning of one answer, together. telex stops
the answer with an error."""

CONTINUATIONS: Final = 10
"""Requests: for the rest of one answer with --whole. telex stops, and the answer is incomplete."""

CALLS: Final = 1_000
"""Tool calls: in one answer. telex stops the answer with an error, and runs no tool."""

IMAGES: Final = 64
"""Images: in one answer. The rest is omitted."""

IMAGE_DATA: Final = 64 << 20
"""Bytes: base64 of all images of one answer. An image that does not fit is reported as too large."""

SOURCES: Final = 1_000
"""Sources: in each list of one answer. The rest is omitted."""

ERROR_BODY: Final = 1 << 20
"""Bytes: the body of an error response. The rest is omitted."""

# --- input -------------------------------------------------------------------------------------------------

STDIN: Final = 100_000_000
"""Bytes: stdin. More is an error, and nothing is sent."""

TEXT_FILE: Final = 10_000_000
"""Bytes: a text file for --file, or a file to import. More is an error."""

IMAGE_FILE: Final = 20_000_000
"""Bytes: an image for --image. More is an error."""

AUDIO_FILE: Final = 25_000_000
"""Bytes: a recording for --file. More is an error."""

PDF_FILE: Final = 50_000_000
"""Bytes: a PDF for --file. More is an error."""

ATTACHED: Final = 2_000_000
"""Bytes: the text files of all folders and patterns for --file together, unless --attach-limit says otherwise. More
is an error with the numbers, and nothing is sent."""

FOLDER_ENTRIES: Final = 200_000
"""Files and folders: in a folder for --file, except in ignored folders. More is an error, and nothing is sent."""

PAGE: Final = 10_000_000
"""Bytes: a web page for --file. More is an error."""

PAGE_TIME: Final = 60.0
"""Seconds: the duration of fetching a web page for --file, with all redirects. More is an error."""

REDIRECTS: Final = 10
"""Redirects: of a web page for --file. More is an error."""

EXTRACTED: Final = 10_000_000
"""Bytes: the text of a PDF or of a web page. More is an error."""

EXTRACT_TIME: Final = 60.0
"""Seconds: the duration of extracting the text of a PDF or of a web page. More is an error."""

EXTRACT_MEMORY: Final = 2 << 30
"""Bytes: the memory for extracting the text of a PDF or of a web page. More is an error."""

TEMPLATE: Final = 1_000_000
"""Bytes: a template, a schema for --schema, or a .gitignore. More is an error."""

ALIASES: Final = 100
"""Aliases: that lead to each other, from the one that was named to a model. telex reports the alias, and sends
nothing."""

BATCH_ROW: Final = 10_000_000
"""Bytes: one row of the input of telex batch. The row is reported as an error, and the others are sent."""

OWN_FILE: Final = 64 << 20
"""Bytes: the settings file, or a file of the cache. A larger settings file is an error; a larger file of the cache
is ignored and rebuilt."""

KEY: Final = 64 << 10
"""Bytes: the output of a key command. telex stops the command with an error."""

KEY_COMMAND: Final = 30.0
"""Seconds: the duration of a key command, which may ask for a fingerprint or a passphrase. telex stops the command
with an error."""

# --- lists of models, and tools ----------------------------------------------------------------------------

MODELS: Final = 20_000
"""Models: in the list of one server. The rest is omitted."""

MODEL_PAGES: Final = 20
"""Pages: of the list of models of one server. The rest is omitted."""

MODEL_LIST: Final = 64 << 20
"""Bytes: one page of the list of models. More is an error, and the saved list is used."""

MODEL_LIST_TIME: Final = 60.0
"""Seconds: the duration of a request for the list of models of one server. More is an error, and the saved list is
used."""

TOOLS: Final = 1_000
"""Tools: of one MCP server. The rest is omitted."""

TOOL_PAGES: Final = 100
"""Pages: of the list of tools of one MCP server. The rest is omitted."""

TOOL_MESSAGE: Final = 16 << 20
"""Bytes: one message of an MCP server. The call fails, and the model receives the reason."""

TOOL_RESULT: Final = 100_000
"""Bytes: the result of one tool call, unless the server's settings say otherwise. The middle is removed, with a note
to the model."""

TOOL_IMAGES: Final = 10
"""Images: in the result of one tool call. The rest is omitted, with a note to the model."""
