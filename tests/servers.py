"""What scripted servers answer to those who check them: lists of models, chats, refusals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scripted import Answer, Asked, answer

if TYPE_CHECKING:
    from collections.abc import Callable

MODELS = {"object": "list", "data": [{"id": "m"}, {"id": "n"}]}
CHAT = answer("Hello", usage={"prompt_tokens": 9, "completion_tokens": 1})


def in_json(value: Any, status: int = 200) -> Answer:
    return Answer([json.dumps(value).encode()], status=status, headers={"content-type": "application/json"})


def refusal(status: int, message: str = "no", **more: Any) -> Answer:
    return in_json({"error": {"message": message, **more}}, status)


def by_path(models: Any = None, chat: Any = None) -> Callable[[Asked], Answer]:
    """A server with one answer for the list and one for chats; each may be a function of the request."""
    models = in_json(MODELS) if models is None else models
    chat = CHAT if chat is None else chat

    def serve(asked: Asked) -> Answer:
        chosen = models if "/models" in asked.path else chat
        chosen = chosen(asked) if callable(chosen) else chosen
        return chosen if isinstance(chosen, Answer) else Answer(chosen)

    return serve


def keyed(key: str) -> Callable[[Asked], Answer]:
    """A server that works for those who have the key, and lists its models for everyone."""
    works = by_path()

    def serve(asked: Asked) -> Answer:
        if asked.method == "POST" and asked.headers.get("authorization") != f"Bearer {key}":
            return refusal(401, f"Incorrect API key provided: {asked.headers.get('authorization')}")
        return works(asked)

    return serve
