"""Values of headers and variables: references to secrets (``env:NAME``, ``keyring:NAME``), and what looks like one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Reference", "harmless", "in_the_open", "reference"]

_REFERENCE = re.compile(
    r"(?P<before>[A-Za-z][A-Za-z-]* )?(?P<kind>keyring|env):(?P<name>[A-Za-z0-9_][\w.-]{0,127})"
)
_TOKEN = re.compile(
    r"(?:sk|pk|rk|ghp|gho|ghs|ghu|github_pat|glpat|xox[abeprs]|hf|npm|pypi|dop_v1|AKIA|ASIA|AIza|ya29|eyJ)"
    r"[A-Za-z0-9_.=-]{12,}"
)
"""How the keys of some large services begin, in values whose names do not tell."""

_HARMLESS = re.compile(
    r"(?i:true|false|yes|no|on|off|none|null|auto|default|basic|bearer|oauth2?|jwt)?"
    r"|-?\d{1,6}(?:\.\d{1,6})?"
    r"|(?:~|\.{1,2})?/.*|[A-Za-z]:\\.*"
    r"|https?://[^\s@?]*"
)
"""Values that are no secret whatever they are called: switches, small numbers, paths, addresses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A value that names a secret: one in the keyring, or the value of an environment variable.

    ``before`` is the text before it, as in ``Bearer keyring:github``.
    """

    kind: Literal["keyring", "env"]
    name: str
    before: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @property
    def entry(self) -> str:
        """The name of its entry in the keyring, which no provider's name can be."""
        return f"secret:{self.name}"


def reference(value: str) -> Reference | None:
    """What ``keyring:NAME`` or ``env:VAR`` means, a word before it or none; None for a value that means itself."""
    found = _REFERENCE.fullmatch(value)
    if found is None:
        return None
    kind: Literal["keyring", "env"] = "keyring" if found["kind"] == "keyring" else "env"
    return Reference(kind=kind, name=found["name"], before=found["before"] or "")


def harmless(name: str, value: str) -> bool:
    """Whether the value of this variable or header is no secret, so that a file or a command line may hold it."""
    if reference(value) is not None:
        return True
    from provider_core.request import is_secret_name

    secret = _TOKEN.search(value) is not None or (is_secret_name(name) and not _HARMLESS.fullmatch(value))
    return not secret


def in_the_open(command: Sequence[str]) -> str | None:
    """Where a command holds what looks like a secret: "after --token", or "" for one by itself; None for nowhere."""
    flag = ""
    for word in command[1:]:
        value = word
        if word.startswith("-"):
            flag, equals, value = word.partition("=")
            if not equals:
                continue
        if not harmless(flag, value):
            return f"after {flag}" if flag else ""
        flag = ""
    return None
