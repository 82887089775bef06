"""What is said to who asks: the list of topics, each a file of its own; ``layout`` knows how a page is laid out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from telex.help.page import Section

__all__ = ["TOPICS", "read"]

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
"""Topic -> one line; its page is made by ``page()`` of the module of its name."""


def read(topic: str) -> tuple[Section, ...]:
    """The sections of a topic's page; raises ``KeyError`` for what is none."""
    from importlib import import_module

    if topic not in TOPICS:
        raise KeyError(topic)
    sections: tuple[Section, ...] = import_module(f"telex.help.{topic.replace('-', '_')}").page()
    return sections
