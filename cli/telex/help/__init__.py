"""The list of help topics. The page of each is a file in ``topics``; ``layout`` renders it."""

from __future__ import annotations

__all__ = ["TOPICS"]

TOPICS = {
    "conversations": "Interactive conversations, and the history.",
    "environment": "Environment variables that telex reads.",
    "exit-codes": "Exit codes and their meaning.",
    "files": "Files and images in a prompt.",
    "formatting": "Output on a terminal, in a pipe, and as JSON.",
    "keys": "Where API keys come from, and where they are sent.",
    "limits": "How long or large an answer, a file or anything else may be.",
    "models": "How to name a model, and which one is the default.",
    "proxies": "Proxies and trusted certificates.",
    "scripts": "telex in scripts, cron and CI.",
    "tools": "Tools that a model may call (MCP).",
}
"""Topic -> one line of help."""
