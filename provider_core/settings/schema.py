"""What a settings file may hold: strict, because people write it; merging presets is not done here."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, InitSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as UnreadableVariable

from provider_core.errors import InvalidInputError, SettingsError
from provider_core.settings import mcp, validators

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic_settings import PydanticBaseSettingsSource

__all__ = [
    "File",
    "McpEntry",
    "ModelEntry",
    "ProviderEntry",
    "check",
    "not_a_setting",
    "validate",
    "variable_of",
]

Line = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[^\x00-\x1f\x7f]*$")]
Seconds = Annotated[float, Field(gt=0, le=86400)]
Tokens = Annotated[int, Field(gt=0, le=100_000_000)]


def _address(text: str) -> str:
    with _as_value_error():
        return validators.parse_base_url(text).url


def _provider_name(name: str) -> str:
    with _as_value_error():
        validators.validate_name(name)
    return name


def _alias_name(name: str) -> str:
    with _as_value_error():
        validators.validate_alias(name)
    return name


def _headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        with _as_value_error():
            validators.validate_header(name, value)
    return headers


def _variables(variables: dict[str, str]) -> dict[str, str]:
    for name, value in variables.items():
        with _as_value_error():
            validators.validate_variable(name, value)
    return variables


def _file_path(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("the path contains a null character")
    return path


FilePath = Annotated[Path, AfterValidator(_file_path)]


def _key_env(name: str) -> str:
    with _as_value_error():
        validators.validate_key_env(name)
    return name


def _proxy(url: str) -> str:
    with _as_value_error():
        validators.validate_proxy(url)
    return url


def _mcp_name(name: str) -> str:
    with _as_value_error():
        mcp.validate_name(name)
    return name


def _mcp_url(text: str) -> str:
    with _as_value_error():
        return mcp.validate_mcp_url(text)


def _mcp_env(values: dict[str, str]) -> dict[str, str]:
    for name, value in values.items():
        with _as_value_error():
            mcp.validate_value(name, value, header=False)
    return values


def _mcp_headers(values: dict[str, str]) -> dict[str, str]:
    for name, value in values.items():
        with _as_value_error():
            mcp.validate_value(name, value, header=True)
    return values


def _mcp_pattern(pattern: str) -> str:
    with _as_value_error():
        mcp.validate_pattern(pattern)
    return pattern


@contextlib.contextmanager
def _as_value_error() -> Iterator[None]:
    # pydantic gathers ValueErrors and lets every other exception through.
    try:
        yield
    except InvalidInputError as error:
        raise ValueError(error.message) from None


def _as_entry(value: object) -> object:
    """An id alone is a model of which nothing more is said."""
    return {"id": value} if isinstance(value, str) else value


class ModelEntry(BaseModel):
    """A model the user declared, with what they know of it."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    id: Line
    name: Line | None = None
    context: Tokens | None = None
    max_output: Tokens | None = None
    reasoning: bool | None = None
    tools: bool | None = None
    vision: bool | None = None


class ProviderEntry(BaseModel):
    """One ``[providers.NAME]`` table."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    preset: Line | None = None
    display_name: Annotated[Line, StringConstraints(max_length=128)] | None = None
    base_url: Annotated[str, AfterValidator(_address)] | None = None
    variables: Annotated[dict[str, Line], AfterValidator(_variables)] = {}
    key: Literal["keyring", "none"] | None = None
    """Where the key is kept: in the keyring, or nowhere because none is needed."""
    key_env: Annotated[Line, AfterValidator(_key_env)] | None = None
    key_command: Line | None = None
    headers: Annotated[dict[Line, Line], AfterValidator(_headers)] = {}
    models: list[Annotated[ModelEntry, BeforeValidator(_as_entry)]] = []
    default_model: Line | None = None
    enabled: bool = True
    gguf: FilePath | None = None
    ca_bundle: FilePath | None = None
    client_cert: FilePath | None = None
    proxy: Annotated[Line, AfterValidator(_proxy)] | None = None
    allow_http: bool = False
    """Whether secrets may travel over plain http to a host that is not in a private network."""
    connect_timeout: Seconds | None = None
    first_byte_timeout: Seconds | None = None
    idle_timeout: Seconds | None = None
    retries: Annotated[int, Field(ge=0, le=100)] | None = None
    retry_budget: Seconds | None = None


class McpEntry(BaseModel):
    """One ``[mcp.NAME]`` table: see ``McpServer``."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    command: (
        Annotated[list[Annotated[str, Field(max_length=8192)]], Field(min_length=1, max_length=512)] | None
    ) = None
    url: Annotated[str, AfterValidator(_mcp_url)] | None = None
    env: Annotated[dict[str, str], AfterValidator(_mcp_env)] = {}
    headers: Annotated[dict[Line, Line], AfterValidator(_mcp_headers)] = {}
    allow_http: bool = False
    cwd: FilePath | None = None
    enabled: bool = True
    start_timeout: Seconds | None = None
    call_timeout: Seconds | None = None
    max_result: Annotated[int, Field(ge=1000, le=10_000_000)] | None = None
    allow: list[Annotated[str, AfterValidator(_mcp_pattern)]] = []

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("it needs a command or a url, and not both")
        if self.command is not None and not self.command[0].strip():
            raise ValueError("its command is empty")
        if self.url is not None and (self.env or self.cwd):
            raise ValueError("env and cwd are for a command; a server with a url is given headers")
        if self.command is not None and self.headers:
            raise ValueError("headers are for a url; a server with a command is given env")
        return self


ENTRIES: dict[str, type[BaseModel]] = {"providers": ProviderEntry, "mcp": McpEntry}
"""What the tables of a group hold."""

McpName = Annotated[str, AfterValidator(_mcp_name)]
ProviderName = Annotated[str, AfterValidator(_provider_name)]
AliasName = Annotated[str, AfterValidator(_alias_name)]


class File(BaseSettings):
    """The whole file; every field may also come from ``TELEX_<FIELD>``."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix="TELEX_", extra="forbid", case_sensitive=False
    )

    model: Line | None = None
    aliases: dict[AliasName, Line] = {}
    """Short names for models, each for an id as ``-m`` takes it."""
    markdown: bool = True
    reasoning: Literal["show", "hide", "summary"] = "show"
    usage: Literal["auto", "none", "short", "full"] = "auto"
    history: bool = True
    code_theme: Line | None = None
    local_threads: Annotated[int, Field(gt=0, le=1024)] | None = None
    local_context: Tokens | None = None
    models_lifetime: Annotated[float, Field(gt=0)] | None = None
    mcp: dict[McpName, McpEntry] = {}
    providers: dict[ProviderName, ProviderEntry] = {}


def validate(data: dict[str, Any], environ: Mapping[str, str], path: Path) -> dict[str, Any]:
    """The file's content checked, with the environment on top: plain JSON values, without those that are unset.

    ``path`` is for messages. Raises ``SettingsError`` for the first thing that is wrong.
    """
    checked, problems = check(data, environ, path)
    for error in problems.values():
        raise error
    return checked


def check(
    data: Mapping[str, Any], environ: Mapping[str, str], path: Path
) -> tuple[dict[str, Any], dict[str, SettingsError]]:
    """As ``validate``, without the entries that are wrong, and what is wrong with each.

    An entry is one provider, MCP server or alias ("providers.lab"), or one setting ("usage").
    """
    data = {name: dict(value) if isinstance(value, dict) else value for name, value in data.items()}
    environ = {name.upper(): value for name, value in environ.items()}
    problems: dict[str, SettingsError] = {}
    for name in data.keys() - File.model_fields.keys():
        problems[name] = _unknown(name, path)
        del data[name]
    _unite_names(data, environ, problems, path)
    while True:
        try:
            return _layered(data, environ), problems
        except ValidationError as error:
            before = set(problems)
            for each in error.errors(include_url=False, include_input=False, include_context=False):
                place = _place(each["loc"])
                entry = place[:2] if place[0] in _TABLES else place[:1]
                if ".".join(entry) in before:  # not found by this name: pydantic replaces surrogates in it
                    entry = entry[:1]
                problems.setdefault(
                    ".".join(entry), _refused(place, each["type"], each["msg"], environ, path)
                )
                _drop(entry, data, environ)
        except UnreadableVariable as error:
            found = re.search(r'for field "(\w+)"', str(error))
            if found is None:
                raise SettingsError("a TELEX_ variable is not valid JSON") from None
            variable = f"TELEX_{found[1].upper()}"
            problems[found[1]] = SettingsError(f"{variable} is not valid JSON")
            del environ[variable]


_TABLES = ("aliases", "mcp", "providers")


def _unite_names(
    data: dict[str, Any], environ: dict[str, str], problems: dict[str, SettingsError], path: Path
) -> None:
    """Provider names are unique without regard to case: the file's first spelling is used, also for the variable."""
    tables = data.get("providers")
    spelled: dict[str, str] = {}
    for name in list(tables) if isinstance(tables, dict) else ():
        first = spelled.setdefault(name.casefold(), name)
        if first != name:
            words = f"providers.{name} is the same provider as providers.{first}: names are unique regardless of case"
            problems[f"providers.{name}"] = SettingsError(words, path=path)
            del data["providers"][name]
    try:
        given = json.loads(environ.get("TELEX_PROVIDERS", ""))
        united = {spelled.setdefault(name.casefold(), name): table for name, table in given.items()}
    except (ValueError, AttributeError, RecursionError):
        return
    environ["TELEX_PROVIDERS"] = json.dumps(united)


def _layered(data: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    class Layered(File):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: object, **__: object
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            environment = EnvSettingsSource(settings_cls)
            environment.env_vars = {
                name.lower(): value
                for name, value in environ.items()
                if value and name.upper().startswith("TELEX_")  # set and empty is unset
            }
            return (environment, InitSettingsSource(settings_cls, init_kwargs=data))

    return Layered().model_dump(mode="json", exclude_defaults=True)


def _drop(entry: list[str], data: dict[str, Any], environ: dict[str, str]) -> None:
    """Take the entry out of the file's values and out of the variable that holds it."""
    group, *names = entry
    variable = f"TELEX_{group.upper()}"
    if not names:
        data.pop(group, None)
        environ.pop(variable, None)
        return
    tables = data.get(group)
    if isinstance(tables, dict):
        tables.pop(names[0], None)
    if variable in environ:
        found = json.loads(environ[variable])
        found.pop(names[0], None)
        environ[variable] = json.dumps(found)


def _unknown(name: str, path: Path) -> SettingsError:
    if name.lower() in File.model_fields:
        return SettingsError(f"{name} is not a setting: write it in lower case, {name.lower()}", path=path)
    return not_a_setting(name, [name], path, File.model_fields)


def not_a_setting(place: str, fields: list[str], path: Path | None, known: Iterable[str]) -> SettingsError:
    """``place`` names the field for the user, ``fields`` are its table's name and so on; ``known`` could be meant."""
    from provider_core.redaction import close_matches
    from provider_core.request import is_secret_name

    if is_secret_name(fields[-1]):
        words = "keys are not stored in the settings. "
        match fields:
            case ["mcp", name, *_]:
                words += f"Use a header or env, and store its secret: telex mcp set-secret {name}"
            case _:
                name = fields[1] if len(fields) > 2 else "NAME"
                words += (
                    f"Store it in the keyring (telex providers set-key {name}), or name its variable: "
                    'key_env = "LAB_API_KEY"'
                )
        return SettingsError(f"{place} is not a setting: {words}", path=path)
    meant = close_matches(fields[-1], known, most=1, cutoff=0.7)
    hint = f"; did you mean {meant[0]}?" if meant else ""
    return SettingsError(f"{place} is not a setting{hint}", path=path)


def _place(location: tuple[int | str, ...]) -> list[str]:
    # pydantic names branches of a union, and that a key is meant, in the location; the user's file does not.
    parts = list(map(str, location))
    return parts[:2] + [
        part for part in parts[2:] if part != "[key]" and not part.startswith(("constrained-", "function-"))
    ]


def _refused(
    place: list[str], kind: str, words: str, environ: Mapping[str, str], path: Path
) -> SettingsError:
    variable = variable_of(place, environ)
    name = ".".join([variable, *place[1:]] if variable else place)
    where = None if variable else path
    if kind == "extra_forbidden":
        entry = ModelEntry if "models" in place[2:-1] else ENTRIES.get(place[0], File)
        return not_a_setting(name, place, where, entry.model_fields)
    if place[0] == "providers" and place[2:] == ["key"]:
        return SettingsError(
            f'{name} is "keyring" or "none", and never a key: store that with telex providers set-key {place[1]}',
            path=where,
        )
    words = _WORDS.get(kind) or words.removeprefix("Value error, ").replace("Input should be", "must be")
    words = re.sub(r"^(String|List|Dictionary) should", "must", words)
    return SettingsError(f"{name}: {words[:1].lower()}{words[1:]}", path=where)


_WORDS = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be a table",
    "int_parsing": "must be a whole number",
    "list_type": "must be a list",
    "model_type": "must be a table",
    "path_type": "must be a path",
    "string_pattern_mismatch": "must be one line without control characters",
    "string_too_short": "must not be empty",
    "string_type": "must be a string",
}
"""Types of errors of pydantic, in the words of a TOML file."""


def variable_of(place: list[str], environ: Mapping[str, str]) -> str | None:
    """The variable that has this place: what it holds counts before the file. None where the file has it."""
    name = f"TELEX_{place[0].upper()}"
    value = environ.get(name, "")
    if len(place) > 1:
        try:
            found = json.loads(value)
            for part in place[1:]:
                found = found[int(part) if isinstance(found, list) else part]
        except (ValueError, LookupError, TypeError):
            return None
    return name if value else None
