"""What is said to who asks: the list of topics, each a file of its own; ``layout`` knows how a page is laid out."""

from __future__ import annotations

__all__ = ["TOPICS"]

TOPICS = {
    "environment": "Environment variables that telex reads.",
    "exit-codes": "Exit codes, and what each of them says.",
    "formatting": "What an answer looks like: on a terminal, in a pipe, as JSON.",
    "keys": "Where API keys come from, and where they never go.",
    "models": "How models are named, and which one is meant.",
    "proxies": "Proxies and trusted certificates.",
    "scripts": "telex in scripts, cron and CI.",
    "tools": "Tools that a model may call.",
}
"""Topic -> one line; its page is the file of its name in the folder ``topics``."""
