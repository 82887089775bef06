"""Validators for names, addresses, headers and variables; references to secrets (``env:NAME``, ``keyring:NAME``)."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl, urlsplit

from provider_core.errors import InvalidInputError, SettingsError
from provider_core.structs import Struct, pattern

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAME = pattern(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?")
"""A provider's name."""

ALIAS = pattern(r"(?!-)[^\s/\x00-\x1f\x7f]{1,64}")
"""An alias of a model: nothing that looks like an option or a PROVIDER/MODEL."""

RESERVED = frozenset({"local", "all", "none", "default"})
"""Names that mean something else on the command line; ``local`` is the embedded model."""

LONGEST_URL = 512
_PASTED_ENDS = ("/chat/completions", "/models")
_HEADER_NAME = pattern(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, 5.6.2
_OWN_HEADERS = frozenset({"authorization", "host", "content-length", "transfer-encoding"})
_NEAR = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/32", "::/128",  # requests to it reach this machine
        "127.0.0.0/8", "::1/128",
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7",  # RFC 1918, RFC 4193
        "169.254.0.0/16", "fe80::/10",
    )
)  # fmt: skip
"""This machine and private networks. 100.64.0.0/10 is missing because customers of a carrier share it."""

_VARIABLE = pattern(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VARIABLE_NAME = pattern(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY_FIELD = pattern(r"(?i)api_?-?key|authorization|password|secret|(?<!max_)(?:^|_)token$")
_LIKE_A_KEY = 32
"""The length of the shortest keys with small letters, which no name of a variable has."""


class BaseUrl(Struct):
    """A base URL, and the parts of the pasted text that do not belong to one."""

    url: str
    dropped: tuple[str, ...] = ()


def validate_name(name: str, of: str = "a provider", reserved: frozenset[str] = RESERVED) -> None:
    """Raise ``InvalidInputError`` for an invalid name of ``of``."""
    if not NAME.fullmatch(name):
        raise InvalidInputError(
            f"{name!r} is not a valid name for {of}: letters, digits and hyphens, at most 64, no hyphen at either end"
        )
    if name.casefold() in reserved:
        raise InvalidInputError(f"the name {name!r} is reserved; choose another name")


def validate_display_name(name: str) -> None:
    """Raise ``InvalidInputError`` for a name that is too long for lists."""
    if len(name) > 128:
        raise InvalidInputError("it is longer than 128 characters")


def validate_alias(name: str) -> None:
    """Raise ``InvalidInputError`` for an invalid alias."""
    if not ALIAS.fullmatch(name):
        raise InvalidInputError(
            f"{name!r} is not a valid name for an alias: no spaces, no slash, no leading hyphen, at most 64 characters"
        )


def validate_params(params: Mapping[str, Any]) -> None:
    """Raise ``InvalidInputError`` for fields of a request body that telex sets itself, or that are not JSON."""
    import json

    for name, value in params.items():
        if name in ("model", "messages"):
            raise InvalidInputError(f"telex sets the field {name!r} itself")
        if _KEY_FIELD.search(name):
            raise InvalidInputError(f"keys are not stored in the settings, and {name!r} looks like one")
        try:
            text = json.dumps({name: value}, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            raise InvalidInputError(f"{name} is not a JSON value: dates, inf and nan are not") from None
        if _has_null(json.loads(text)):
            raise InvalidInputError(
                f"{name} is null, which the settings file cannot store; unset the field instead"
            )


def _has_null(value: Any) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is None or any(map(_has_null, parts))


def parse_base_url(text: str) -> BaseUrl:
    """The base URL in ``text``, which may have placeholders like ``{account_id}`` and a query.

    Raises ``InvalidInputError``. Like all errors of this module, it does not repeat a value that may hold a secret.
    """
    head, path, query = _parts(text.strip(), "the base URL")
    dropped: list[str] = []
    bare = path.rstrip("/")
    if len(path) > max(len(bare), 1):  # browsers write an empty path as one slash
        dropped.append("/")
    end = next((end for end in _PASTED_ENDS if bare.endswith(end)), None)
    if end is not None:
        bare = bare.removesuffix(end).rstrip("/")
        dropped.append(end)
    return BaseUrl(url=f"{head}{bare}{query}", dropped=tuple(dropped))


def parse_url(text: str, what: str = "the URL") -> str:
    """The address in ``text`` with its path unchanged; raises ``InvalidInputError`` that names it ``what``."""
    return "".join(_parts(text.strip(), what))


def _parts(url: str, what: str) -> tuple[str, str, str]:
    """Scheme with host, path, and query with its question mark."""
    if len(url) > LONGEST_URL:
        raise InvalidInputError(f"{what} is longer than {LONGEST_URL} characters")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidInputError(
            f"{what} contains characters that a URL cannot have: spaces, or letters beyond ASCII"
        )
    scheme, colon, rest = url.partition("://")
    if not colon or scheme.lower() not in ("http", "https"):
        raise InvalidInputError(f"{what} must begin with http:// or https://")
    end = found.start() if (found := re.search(r"[/?#]", rest)) else len(rest)
    host, path = rest[:end], rest[end:]
    if "@" in host:
        raise InvalidInputError(f"{what} must not contain a user name or a password")
    if "#" in path:
        raise InvalidInputError(f"{what} contains a fragment (#...), which is never sent to a server")
    try:
        parts = urlsplit(f"{scheme}://{host}")
        valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or "\\" in host:
        raise InvalidInputError(f"{what} has no host, or an invalid port")
    path, mark, query = path.partition("?")
    from provider_core.request import is_secret_name

    for name, value in parse_qsl(query):
        if value and is_secret_name(name):
            raise InvalidInputError(f"{what} must not contain a key in its query ({name})")
    # These two are case-insensitive, and are compared elsewhere.
    host = re.sub(r"\{[^}]*\}|[A-Z]+", lambda hit: hit[0] if hit[0][0] == "{" else hit[0].lower(), host)
    return f"{scheme.lower()}://{host}", path, f"{mark}{query}"


def is_private_host(url: str) -> bool:
    """Whether the host is this machine or an address in a private network.

    Names other than localhost are not: what they resolve to is the network's choice.
    """
    host = (urlsplit(url).hostname or "").lower().removesuffix(".")
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return f".{host}".endswith(".localhost")
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return any((mapped or found) in network for network in _NEAR)


def origin(url: str) -> str:
    """Scheme, host and port in one spelling, without the scheme's default port."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    with contextlib.suppress(ValueError):
        host = ipaddress.ip_address(host).compressed
    if not host.isascii():
        with contextlib.suppress(UnicodeError):
            host = host.encode("idna").decode("ascii")
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    port = f":{parts.port}" if parts.port not in (None, usual) else ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def parse_header(text: str) -> tuple[str, str]:
    """Name and value of ``NAME=VALUE``, or of ``NAME: VALUE`` as in curl; raises ``InvalidInputError``."""
    found = re.match(r"([^=:]+)[=:](.*)", text, re.DOTALL)
    if found is None:
        raise InvalidInputError("a header must be NAME: VALUE")
    name, value = found[1].strip(), found[2].strip()
    validate_header(name, value)
    return name, value


def validate_header(name: str, value: str) -> None:
    """Raise ``InvalidInputError`` for an invalid header, or one with a secret as its value."""
    if not _HEADER_NAME.fullmatch(name):
        raise InvalidInputError(f"{name!r} is not a valid header name")
    if name.lower() in _OWN_HEADERS:
        raise InvalidInputError(f"the header {name} is set by telex itself")
    if not value or not all(" " <= character <= "~" for character in value):
        raise InvalidInputError(f"the value of the header {name} is empty or has invalid characters")
    if not is_harmless(name, value):
        raise InvalidInputError(
            f"the value of the header {name} looks like a secret. Name its source instead: env:NAME for an "
            "environment variable, or keyring:NAME for the keyring"
        )


def validate_variable(name: str, value: str) -> None:
    """Raise ``InvalidInputError`` for a part of an address that could change its host or path."""
    if not _VARIABLE.fullmatch(value):
        raise InvalidInputError(f"{name} may contain only letters, digits, dots, hyphens and underscores")


def validate_key_env(name: str) -> None:
    """Raise ``InvalidInputError`` for a name that is invalid, or probably the key itself."""
    if not _VARIABLE_NAME.fullmatch(name) or (len(name) >= _LIKE_A_KEY and not name.isupper()):
        raise InvalidInputError(
            "key_env must be the name of an environment variable, such as LAB_API_KEY, and never the key itself"
        )


def validate_proxy(url: str) -> None:
    """Raise ``InvalidInputError`` if ``url`` is neither the address of a proxy nor "none"."""
    from provider_core.http import find_proxy

    try:
        if not url.strip():
            raise SettingsError("it is empty")
        if ":" not in url and url.strip().lower() != "none":
            raise SettingsError("it is not a URL, such as http://proxy.example.com:3128")
        find_proxy("https://api.invalid", {}, url)
    except SettingsError as error:
        raise InvalidInputError(error.message.replace("the provider's proxy", "it", 1)) from None


def without_credentials(url: str) -> str:
    """The address of a proxy without user name and password."""
    scheme, mark, rest = url.partition("://") if "://" in url else ("", "", url)
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


_REFERENCE = pattern(
    r"(?P<before>[A-Za-z][A-Za-z-]* )?(?P<kind>keyring|env):(?P<name>[A-Za-z0-9_][\w.-]{0,127})"
)
_TOKEN = pattern(
    r"(?:sk|pk|rk|ghp|gho|ghs|ghu|github_pat|glpat|xox[abeprs]|hf|npm|pypi|dop_v1|AKIA|ASIA|AIza|ya29|eyJ)"
    r"[A-Za-z0-9_.=-]{12,}"
)
"""The keys of some large services, for values whose names do not give them away."""

_HARMLESS = pattern(
    r"(?i:true|false|yes|no|on|off|none|null|auto|default|basic|bearer|oauth2?|jwt)?"
    r"|-?\d{1,6}(?:\.\d{1,6})?"
    r"|(?:~|\.{1,2})?/.*|[A-Za-z]:\\.*"
    r"|https?://[^\s@?]*"
)
"""Values that are never secrets: switches, small numbers, paths, addresses."""


class SecretReference(Struct):
    """A value that names a secret in the keyring, or an environment variable that holds one."""

    kind: Literal["keyring", "env"]
    name: str
    before: str = ""
    """The text before it, such as "Bearer "."""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @property
    def entry(self) -> str:
        """The name of its entry in the keyring, which is not a valid name of a provider."""
        return f"secret:{self.name}"


def parse_reference(value: str) -> SecretReference | None:
    """The reference in ``keyring:NAME`` or ``env:VAR``, which may follow a word; None for any other value."""
    found = _REFERENCE.fullmatch(value)
    fields: dict[str, Any] = found.groupdict("") if found is not None else {}
    return SecretReference(**fields) if fields else None


def is_harmless(name: str, value: str) -> bool:
    """Whether a file or a command line may contain this value of a variable or header, because it is not secret."""
    from provider_core.request import is_secret_name

    harmless = _TOKEN.search(value) is None and (not is_secret_name(name) or bool(_HARMLESS.fullmatch(value)))
    return harmless or parse_reference(value) is not None


def find_secret(command: Sequence[str]) -> str | None:
    """The place of what looks like a secret in a command: "after --token", "" for an argument alone, or None."""
    flag = ""
    for word in command[1:]:
        value = word
        if word.startswith("-"):
            flag, equals, value = word.partition("=")
            if not equals:
                continue
        if not is_harmless(flag, value):
            return f"after {flag}" if flag else ""
        flag = ""
    return None
