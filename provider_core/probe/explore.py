"""Finds out what a model can do, with about a dozen short requests.

A server that ignores a field looks like one that supports it: "yes" means that the field was accepted, and for JSON and
tools that the answer has them. Fields that were refused are remembered, as in chats.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from provider_core.client import Client
from provider_core.errors import BadRequestError, CoreError
from provider_core.probe import RecordingTransport
from provider_core.redaction import printable, redact
from provider_core.request import known_secrets
from provider_core.structs import Struct, replace
from provider_core.types import FieldDropped, Finished, Message, Request, Text, Tool, ToolCall, Usage, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from provider_core.errors import ProviderError
    from provider_core.request import UnsupportedFieldCache
    from provider_core.types import Json, Notice, Provider, Transport

Support: TypeAlias = Literal["yes", "accepted", "no", "unknown"]
"""Whether the server supports it. "accepted": it was not refused, but whether it has an effect is unknown."""

Group: TypeAlias = Literal["answers", "fields"]
"""Traits of answers, and optional fields of a request."""


class Trait(Struct):
    """One thing that a model or its server can do, or not."""

    name: str
    group: Group
    answer: Support
    detail: str = ""


class CapabilityCard(Struct):
    """The traits of one model of one provider."""

    provider: str
    model: str
    traits: tuple[Trait, ...]


_TIMEOUT = 120.0
_SHORT, _LONG = 24, 300
"""Tokens of an answer: enough to see a stream, and enough for a reasoning model to get to its JSON."""

_SCHEMA: dict[str, Json] = {
    "name": "answer",
    "schema": {
        "type": "object",
        "properties": {"colour": {"type": "string"}},
        "required": ["colour"],
        "additionalProperties": False,
    },
    "strict": True,
}
_TOOL = Tool(
    name="get_weather",
    description="Returns the weather in a city.",
    schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
_OPTIONAL: dict[str, Json] = {
    "temperature": 0.5,
    "top_p": 0.9,
    "stop": ["\n\n\n\n"],
    "seed": 1,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.1,
    "logprobs": True,
    "reasoning_effort": "low",
    "user": "telex",
}
"""Fields that users set, each with a harmless value."""

_REASONING = re.compile(
    r'"(reasoning_content|reasoning_details|reasoning|thinking)"\s*:\s*(?!null\b|""|\[\s*\])'
)


def explore(
    provider: Provider,
    model: str,
    *,
    key: str | None = None,
    cache: UnsupportedFieldCache | None = None,
    timeout: float = _TIMEOUT,
    transport: Transport | None = None,
    environ: Mapping[str, str] | None = None,
    on_trait: Callable[[Trait], None] | None = None,
) -> CapabilityCard:
    """The capability card of ``model``, from about a dozen requests of few tokens.

    Raises ``CoreError`` if not even a plain chat is answered. Each wait is limited to ``timeout`` seconds. ``on_trait``
    gets each trait when it is known.
    """
    provider = replace(provider, network=provider.network.limited(timeout))
    recorder = RecordingTransport(transport, environ)
    try:
        explorer = _Explorer(provider, model, key, recorder, Client(recorder, cache=cache), on_trait)
        explorer.run()
    finally:
        recorder.close()
    return CapabilityCard(provider=provider.name, model=model, traits=tuple(explorer.traits))


@dataclass(slots=True, kw_only=True)
class _Outcome:
    """The result of one request."""

    text: str = ""
    calls: set[str] = field(default_factory=set)
    """The names of the tools that were called."""
    usage: bool = False
    cut: bool = False
    """Whether the token limit ended the answer."""
    dropped: dict[str, str] = field(default_factory=dict)
    """Refused fields, each with the field that was sent instead, or ""."""
    refused: ProviderError | None = None
    """The error if the server refused the whole request."""
    unknown: CoreError | None = None
    """Any other error, which says nothing about what the server supports."""


@dataclass(slots=True)
class _Explorer:
    provider: Provider
    model: str
    key: str | None
    recorder: RecordingTransport
    client: Client
    on_trait: Callable[[Trait], None] | None
    traits: list[Trait] = field(default_factory=list)
    group: Group = "answers"

    def run(self) -> None:
        plain = self._ask("Count from one to ten, in words.", tokens=_SHORT)
        if (failure := plain.refused or plain.unknown) is not None:
            raise failure
        self._judge(
            "streaming",
            plain,
            works=not self.recorder.calls[-1].is_one_piece,
            otherwise="answers in one piece",
        )
        self._judge("usage", plain, works=plain.usage, otherwise="not reported in streams")
        outcome = self._ask("Hi", system="Answer in one word.", tokens=_SHORT)
        if "system" in outcome.dropped:
            self._note("system message", "no", "goes before the first message instead")
        else:
            self._judge("system message", outcome, yes="accepted")
        outcome = self._ask(
            'Answer with a JSON object that has the one key "colour".',
            params={"response_format": {"type": "json_object"}},
        )
        self._judge("JSON object", outcome, "response_format", works=_is_object(outcome))
        outcome = self._ask(
            "What colour is the sky? Answer in JSON.",
            params={"response_format": {"type": "json_schema", "json_schema": _SCHEMA}},
        )
        value = _parsed(outcome.text)
        fits = list(value) == ["colour"] if isinstance(value, dict) else _is_object(outcome)
        self._judge("JSON schema", outcome, "response_format", works=fits)
        outcome = self._ask("What is the weather in Paris? Use the tool.", tools=(_TOOL,))
        called = _TOOL.name in outcome.calls
        self._judge("tools", outcome, "tools", works=called, otherwise="accepted, but not called")
        self._reasoning()
        self.group = "fields"
        for name in plain.dropped:
            self._judge(name, plain, name)
        self._optional_fields()

    def _reasoning(self) -> None:
        """Search all answers so far for reasoning."""
        bodies = [bytes(seen.body).decode("utf-8", "replace") for seen in self.recorder.calls]
        fields = dict.fromkeys(hit[1] for body in bodies for hit in _REASONING.finditer(body))
        if fields:
            self._note("reasoning", "yes", f"in {', '.join(fields)}")
        elif any("<think" in body or "\\u003cthink" in body for body in bodies):
            self._note("reasoning", "yes", "between <think> tags in the text")
        else:
            self._note("reasoning", "no", "none was seen")

    def _optional_fields(self) -> None:
        """Send all optional fields at once, and one by one only if that is refused."""
        together = self._ask("Hi", tokens=1, params=_OPTIONAL)
        all_accepted = not (together.dropped or together.refused or together.unknown)
        for name, value in _OPTIONAL.items():
            if all_accepted or name in together.dropped:
                self._judge(name, together, name, yes="accepted")
            else:
                self._judge(name, self._ask("Hi", tokens=1, params={name: value}), name, yes="accepted")

    def _ask(
        self,
        prompt: str,
        *,
        tokens: int = _LONG,
        system: str = "",
        tools: tuple[Tool, ...] = (),
        params: Mapping[str, Json] | None = None,
    ) -> _Outcome:
        turns = [Message(role="user", content=prompt)]
        if system:
            turns.insert(0, Message(role="system", content=system))
        outcome = _Outcome()

        def notify(notice: Notice) -> None:
            if isinstance(notice, FieldDropped):
                outcome.dropped[notice.field] = notice.swapped_for or ""

        request = Request(
            model=self.model, messages=tuple(turns), max_tokens=tokens, tools=tools, params=params or {}
        )
        try:
            for event in self.client.chat(self.provider, request, key=self.key, notify=notify):
                match event:
                    case Text(text=text):
                        outcome.text += text
                    case ToolCall():
                        outcome.calls.add(event.name)
                    case Usage():
                        outcome.usage = True
                    case Finished(error=error, verdict=verdict):
                        outcome.unknown, outcome.cut = error, verdict is Verdict.LENGTH
        except BadRequestError as error:
            outcome.refused = error
        except CoreError as error:
            outcome.unknown = error
        return outcome

    def _judge(
        self,
        name: str,
        outcome: _Outcome,
        field_name: str = "",
        *,
        works: bool = True,
        yes: Support = "yes",
        otherwise: str = "accepted, but without effect",
    ) -> None:
        if field_name in outcome.dropped or outcome.refused is not None:
            instead = outcome.dropped.get(field_name)
            words = " ".join(outcome.refused.words.split()) if outcome.refused is not None else ""
            refused = f"refused: {words}" if words else "refused"
            self._note(name, "no", f"{instead} is sent instead" if instead else refused)
        elif outcome.unknown is not None:
            self._note(name, "unknown", outcome.unknown.message)
        else:
            self._note(name, yes if works else "no", "" if works else otherwise)

    def _note(self, name: str, answer: Support, detail: str = "") -> None:
        shown = printable(redact(detail, known_secrets(self.provider, self.key)), 120)
        trait = Trait(name=name, group=self.group, answer=answer, detail=shown)
        self.traits.append(trait)
        if self.on_trait is not None:
            self.on_trait(trait)


def _is_object(outcome: _Outcome) -> bool:
    """Whether the answer is a JSON object, or the start of one if it was cut."""
    value = _parsed(outcome.text)
    return isinstance(value, dict) or (
        value is None and outcome.cut and outcome.text.lstrip().startswith("{")
    )


def _parsed(text: str) -> Json:
    """The JSON of an answer, which some servers put in a fenced block."""
    bare = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    try:
        return json.loads(bare)
    except ValueError:
        return None
