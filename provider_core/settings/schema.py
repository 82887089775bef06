"""The schema of the settings file, which is strict because people write the file. Presets are merged elsewhere."""

from __future__ import annotations

import contextlib
import json
import re
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from provider_core.errors import InvalidInputError, SettingsError
from provider_core.settings import mcp, tree, validators
from provider_core.settings.provider_fields import (
    ALIAS_FIELDS,
    LONGEST_WAIT,
    MODEL_FIELDS,
    MOST_PER_MINUTE,
    MOST_RETRIES,
    PROVIDER_FIELDS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pydantic.fields import FieldInfo

    from provider_core.settings.provider_fields import ProviderField


def _by(validator: Callable[..., Any], *, pairs: bool = False) -> AfterValidator:
    """``validator`` for pydantic, which collects ``ValueError`` and lets other exceptions through."""

    def validated(value: Any) -> Any:
        try:
            if not pairs:
                found = validator(value)
                return value if found is None else found
            for name, each in value.items():
                validator(name, each)
        except InvalidInputError as error:
            raise ValueError(error.message) from None
        return value

    return AfterValidator(validated)


def _validate_path(path: Path) -> None:
    if "\0" in str(path):
        raise InvalidInputError("the path contains a null character")


Line = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[^\x00-\x1f\x7f]*$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=100_000)]
Seconds = Annotated[float, Field(gt=0, le=LONGEST_WAIT)]
Temperature = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Tokens = Annotated[int, Field(gt=0, le=100_000_000)]
Limit = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Dollars = Annotated[Decimal, Field(ge=0, le=1_000_000)]
FilePath = Annotated[Path, _by(_validate_path)]


def _alias_entry(value: object) -> object:
    """A target, a list of targets, or a table: all as a table with ``targets``."""
    match value:
        case str():
            return {"targets": [value]}
        case list():
            return {"targets": value}
        case {"target": target, **rest} if "targets" not in rest:
            return {"targets": [target], **rest}
        case dict():
            return value
    raise ValueError("must be a model, a list of models, or a table")


_TYPES: dict[str, Any] = {
    "text": Line,
    "lines": Text,
    "path": FilePath,
    "seconds": Seconds,
    "number": Temperature,
    "count": Annotated[int, Field(ge=0, le=MOST_RETRIES)],
    "rate": Annotated[int, Field(ge=1, le=MOST_PER_MINUTE)],
    "tokens": Tokens,
    "dollars": Dollars,
    "switch": bool,
    "pairs": dict[Line, Line],
    "params": dict[Line, Any],
    "names": list[Line],
}


def _field(row: ProviderField) -> tuple[Any, Any]:
    """The type and the default of a setting."""
    if row.type == "addresses" and row.validator is not None:
        return list[Annotated[Line, _by(row.validator)]], []
    hint = Literal[row.choices] if row.choices else _TYPES[row.type]
    if row.validator is not None:
        hint = Annotated[hint, _by(row.validator, pairs=row.type == "pairs")]
    match row.type:
        case "pairs" | "params":
            return hint, {}
        case "models" | "names":
            return hint, []
        case "switch" if row.default is not None:
            return hint, row.default
    return hint | None, None


_STRICT = ConfigDict(extra="forbid")


def _fields(rows: Iterable[ProviderField]) -> dict[str, Any]:
    return {row.name: _field(row) for row in rows}


ModelEntry = create_model("ModelEntry", __config__=_STRICT, id=(Line, ...), **_fields(MODEL_FIELDS))
"""A model that the user declared, with what they know about it and the options of its requests."""
_by_id = BeforeValidator(lambda value: {"id": value} if isinstance(value, str) else value)
_TYPES["models"] = list[Annotated[ModelEntry, _by_id]]  # type: ignore[valid-type]

AliasEntry = create_model(
    "AliasEntry",
    __config__=_STRICT,
    targets=(Annotated[list[Line], Field(min_length=1, max_length=32)], ...),
    **_fields(ALIAS_FIELDS),
)
"""One alias: the models that it means, and the options of their chats."""

ProviderEntry = create_model("ProviderEntry", __config__=_STRICT, **_fields(PROVIDER_FIELDS))
"""One ``[providers.NAME]`` table."""


class McpEntry(BaseModel):
    """One ``[mcp.NAME]`` table: see ``McpServer``."""

    model_config: ClassVar[ConfigDict] = _STRICT

    command: (
        Annotated[list[Annotated[str, Field(max_length=8192)]], Field(min_length=1, max_length=512)] | None
    ) = None
    url: Annotated[str, _by(validators.parse_url)] | None = None
    env: Annotated[dict[str, str], _by(mcp.validate_variable, pairs=True)] = {}
    headers: Annotated[dict[Line, Line], _by(mcp.validate_header, pairs=True)] = {}
    allow_http: bool = False
    cwd: FilePath | None = None
    enabled: bool = True
    start_timeout: Seconds | None = None
    call_timeout: Seconds | None = None
    max_result: Annotated[int, Field(ge=1000, le=10_000_000)] | None = None
    allow: list[Annotated[str, _by(mcp.validate_pattern)]] = []

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("it needs either a command or a url")
        if self.command is not None and not self.command[0].strip():
            raise ValueError("its command is empty")
        if self.url is not None and (self.env or self.cwd):
            raise ValueError("env and cwd need a command; with a url, use headers")
        if self.command is not None and self.headers:
            raise ValueError("headers need a url; with a command, use env")
        return self


class BudgetEntry(BaseModel):
    """The ``[budget]`` table: limits in US dollars."""

    model_config: ClassVar[ConfigDict] = _STRICT

    day: Limit | None = None
    month: Limit | None = None


class ProfileEntry(BaseModel):
    """One ``[profiles.NAME]`` table: settings that ``--profile NAME`` puts in the place of the file's own."""

    model_config: ClassVar[ConfigDict] = _STRICT

    model: Line | None = None
    providers: list[Line] | None = None
    """The only providers that can be used; None for all."""
    budget: BudgetEntry = BudgetEntry()


ENTRIES: dict[str, type[BaseModel]] = {
    "aliases": AliasEntry,
    "providers": ProviderEntry,
    "mcp": McpEntry,
    "profiles": ProfileEntry,
}
"""The schema of a table of each group."""

AliasName = Annotated[str, _by(validators.validate_alias)]
McpName = Annotated[str, _by(mcp.validate_name)]
ProviderName = Annotated[str, _by(validators.validate_name)]
ProfileName = Annotated[str, _by(partial(validators.validate_name, of="a profile", reserved=frozenset()))]


class File(BaseSettings):
    """The whole file. Every field may also come from the variable ``TELEX_<FIELD>``; those of tables are JSON.

    ``File()`` reads the variables of this process. ``File(file=TABLES, variables=Variables(ENVIRON))`` has both from
    the caller.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix="TELEX_", env_nested_delimiter="__", env_ignore_empty=True, extra="forbid"
    )

    model: Line | None = None
    aliases: dict[AliasName, Annotated[AliasEntry, BeforeValidator(_alias_entry)]] = {}  # type: ignore[valid-type]
    """Short names for models, whose values are those of ``-m``; and the options of their chats."""
    system: Text | None = None
    temperature: Temperature | None = None
    max_tokens: Tokens | None = None
    reasoning_effort: Line | None = None
    stream: bool | None = None
    params: Annotated[dict[Line, Any], _by(validators.validate_params)] | None = None
    markdown: bool = True
    reasoning: Literal["show", "hide", "summary"] = "show"
    usage: Literal["auto", "none", "short", "full"] = "auto"
    history: bool = True
    ledger: bool = True
    editing: Literal["emacs", "vi"] = "emacs"
    budget: BudgetEntry = BudgetEntry()
    code_theme: Line | None = None
    local_threads: Annotated[int, Field(gt=0, le=1024)] | None = None
    local_context: Tokens | None = None
    models_lifetime: Annotated[float, Field(gt=0)] | None = None
    profiles: dict[ProfileName, ProfileEntry] = {}
    mcp: dict[McpName, McpEntry] = {}
    providers: dict[ProviderName, ProviderEntry] = {}  # type: ignore[valid-type]

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment overrides the settings file, table by table."""
        given = cast("InitSettingsSource", init_settings).init_kwargs
        return given.get("variables", env_settings), InitSettingsSource(settings_cls, given.get("file", {}))


_project_fields: dict[str, Any] = {
    "model": (Line | None, None),
    "aliases": (File.model_fields["aliases"].annotation, {}),
    "templates": (Line | None, None),
    "system": (Text | None, None),
    "temperature": (Annotated[float, Field(ge=0, le=100)] | None, None),
    "max_tokens": (Tokens | None, None),
    "reasoning_effort": (Line | None, None),
    "params": (Annotated[dict[Line, Any], _by(validators.validate_params)], {}),
    "allow": (list[Annotated[str, _by(mcp.validate_pattern)]] | None, None),
}
ProjectFile = create_model("ProjectFile", __config__=_STRICT, **_project_fields)
"""A project's ``.telex.toml``; see ``project`` for what it may not contain, and why."""

_PROJECT_ALIAS = frozenset((
    "target", "targets", "system", "template", "temperature", "max_tokens", "reasoning_effort", "stream", "params",
))  # fmt: skip
"""The fields of an alias that a project may set."""


class Variables(PydanticBaseSettingsSource):
    """The ``TELEX_`` variables of any mapping, as tables; an empty one is unset.

    ``TELEX_PROVIDERS__LAB__BASE_URL`` is the setting ``providers.lab.base_url``, and ``TELEX_PROVIDERS`` has JSON. A
    name in ``tables`` (the settings file) is found in any case and with hyphens for underscores, because names of
    variables have no hyphens. A variable for a part that is not a setting is an error, and one that cannot be read
    spoils its own entry only; pydantic's own source would ignore the one, and stop at the other.
    """

    def __init__(self, environ: Mapping[str, str], tables: Mapping[str, Any] | None = None) -> None:
        super().__init__(File)
        self.values: dict[str, Any] = {}
        self.problems: dict[str, SettingsError] = {}
        """The errors of variables that cannot be read, by the settings' names."""
        self._nested: dict[tuple[str, ...], str] = {}
        for name in sorted(environ, key=lambda name: "__" in name):  # whole tables first
            if environ[name] and ("__" in name or name.lower().removeprefix("telex_") in File.model_fields):
                self._add(name, environ[name], tables or {})

    def __call__(self) -> dict[str, Any]:
        return self.values

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self.values.get(field_name), field_name, False

    def name_of(self, place: Sequence[str]) -> str | None:
        """The name of this place with the variable that holds it; None if it is only in the file."""
        for length in range(len(place), 1, -1):
            variable = self._nested.get(tuple(place[:length]))
            if variable is not None:
                return ".".join([variable, *place[length:]])
        found: Any = self.values
        try:
            for part in place:
                found = found[int(part) if isinstance(found, list) else part]
        except (ValueError, LookupError, TypeError):
            return None
        return ".".join([f"TELEX_{place[0].upper()}", *place[1:]])

    def _add(self, variable: str, text: str, tables: Mapping[str, Any]) -> None:
        parts = variable.lower().removeprefix("telex_").split("__")
        group = parts[0]
        if group in ENTRIES and len(parts) > 1:
            parts[1] = self._spelling(group, parts[1], tables)
        is_part_of_no_table = len(parts) > 1 and group not in (*ENTRIES, "budget")
        entry = variable if is_part_of_no_table else ".".join(parts[:2]) if group in ENTRIES else group
        try:
            place = tree.locate(File, parts, joint="__")
        except tree.UnknownKeyError as error:
            self.problems[entry] = _unknown_variable(variable, error)
            return
        if place.keys[-2:-1] and place.keys[-2] in ("headers", "variables", "env"):
            form = variable[: variable.rindex("__")]
            words = f"{variable} cannot be read, because the names in this table are not those of variables"
            self.problems[entry] = SettingsError(f'{words}. Use JSON: {form}=\'{{"NAME": "VALUE"}}\'')
            return
        try:
            value = _value_of_variable(place, text)
        except (ValueError, RecursionError):
            form = f'{variable}__FIELD=VALUE, or {variable}=\'{{"FIELD": "VALUE"}}\''
            if "table" not in place.kinds:
                form = f"{variable}='[\"VALUE\"]'"
            hint = f"; write {form}" if len(parts) > 1 else ""
            self.problems[entry] = SettingsError(f"{variable} is not valid JSON{hint}")
            return
        holder = self.values
        for key in place.keys[:-1]:
            below = holder.get(key)
            holder[key] = holder = dict(below) if isinstance(below, dict) else {}
        holder[place.keys[-1]] = value
        if len(parts) > 1:
            self._nested[place.keys] = variable

    def _spelling(self, group: str, part: str, tables: Mapping[str, Any]) -> str:
        """The name of a table as it is written elsewhere, which the part of a variable's name means."""
        found = [each for each in (tables.get(group), self.values.get(group)) if isinstance(each, dict)]
        same = [name for table in found for name in table if name.casefold().replace("-", "_") == part]
        return same[0] if same else part if group == "aliases" else part.replace("_", "-")


def _unknown_variable(variable: str, error: tree.UnknownKeyError) -> SettingsError:
    if error.keys[0] not in File.model_fields:
        from provider_core.redaction import close_matches

        group, joint, rest = variable.removeprefix("TELEX_").partition("__")
        close = close_matches(group.lower(), (*ENTRIES, "budget", "params"), most=1)
        hint = f"; did you mean TELEX_{close[0].upper()}{joint}{rest}?" if close else ""
        return SettingsError(f"{variable} is not a setting{hint}")
    if error.keys[0] not in (*ENTRIES, "budget") and len(error.keys) == 2:
        return SettingsError(f"{variable} is not a setting. TELEX_{error.keys[0].upper()} takes one value")
    start = variable[: variable.rindex("__") + 2]
    known = [f"{start}{name.upper()}" for name in error.known]
    return not_a_setting(variable, [*error.keys[:-1], variable.upper()], None, known)


def _value_of_variable(place: tree.Place, text: str) -> Any:
    """The value in a variable's text; raises ``ValueError`` for a list or a table that is not JSON."""
    is_json = text.lstrip().startswith(("{", "["))
    if is_json and {"list", "table", "json"} & set(place.kinds):
        return json.loads(text)
    is_alias = place.keys[0] == "aliases" and len(place.keys) == 2  # a model is one, too
    if set(place.kinds) <= {"list", "table"} and not is_alias:
        return json.loads(text)
    if "json" in place.kinds:
        with contextlib.suppress(ValueError):
            return json.loads(text)
    return text


def check(
    data: Mapping[str, Any], environ: Mapping[str, str], path: Path
) -> tuple[dict[str, Any], dict[str, SettingsError]]:
    """The valid entries of the file, overridden by the environment, as JSON values; and the errors of the others.

    An entry is one provider, MCP server or alias ("providers.lab"), or one setting ("usage"). Unset fields are
    absent. ``path`` is for messages.
    """
    data = {name: dict(value) if isinstance(value, dict) else value for name, value in data.items()}
    variables = Variables(environ, data)
    overrides, problems = variables.values, variables.problems
    aliases = data.get("aliases")
    if isinstance(aliases, dict) and isinstance(overrides.get("aliases"), dict):
        for name, entry in overrides["aliases"].items():
            if name in aliases and isinstance(entry, dict):  # a variable for one field of it
                aliases[name] = _alias_entry(aliases[name])
    for name in problems:
        if "." in name:  # without the change, a request might go where the user does not want it
            _remove_entry(name.split(".", 1), data, overrides)
    for name in [name for name in data if name not in File.model_fields]:
        problems[name] = not_a_setting(name, [name], path, File.model_fields)
        del data[name]
    _unite_names(data, overrides, problems, path)
    while True:
        try:
            checked = File(file=data, variables=variables)  # type: ignore[call-arg]
            return checked.model_dump(mode="json", exclude_defaults=True), problems
        except ValidationError as error:
            before = set(problems)
            for each in error.errors(include_url=False, include_input=False, include_context=False):
                place = _place(each["loc"])
                entry = place[:2] if place[0] in ENTRIES else place[:1]
                if ".".join(entry) in before:  # not found by this name: pydantic replaces surrogates in it
                    entry = entry[:1]
                written = data.get(entry[0]) if entry[1:] else data
                in_file = path if isinstance(written, dict) and entry[-1] in written else None
                problem = _refused(place, each["type"], each["msg"], variables, in_file)
                problems.setdefault(".".join(entry), problem)
                _remove_entry(entry, data, overrides)


def check_project(data: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The values of a project's file, as JSON values; raises the first ``SettingsError``. Unset fields are absent."""
    own = "belongs in your own settings, and not in a project's"
    aliases = data.get("aliases")
    for alias, entry in aliases.items() if isinstance(aliases, dict) else ():
        for name in entry if isinstance(entry, dict) else ():
            if name not in _PROJECT_ALIAS:
                raise SettingsError(f"{path}: aliases.{alias}.{name} {own}", path=path)
    for name in data:
        if name not in ProjectFile.model_fields:
            known = ProjectFile.model_fields
            error = not_a_setting(name, [name], path, known)
            words = f"{name} {own}" if name in File.model_fields else error.message
            raise SettingsError(f"{path}: {words}", path=path)
    try:
        found: dict[str, Any] = ProjectFile(**data).model_dump(mode="json", exclude_defaults=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        problem = _refused(_place(first["loc"]), first["type"], first["msg"], Variables({}), path)
        raise SettingsError(f"{path}: {problem.message}", path=path) from None
    return found


def _remove_entry(entry: list[str], *layers: dict[str, Any]) -> None:
    for layer in layers:
        holder = layer.get(entry[0]) if entry[1:] else layer
        if isinstance(holder, dict):
            holder.pop(entry[-1], None)


def _unite_names(
    data: dict[str, Any], overrides: dict[str, Any], problems: dict[str, SettingsError], path: Path
) -> None:
    """Provider names are case-insensitive: the first spelling in the file is used, also for the variable."""
    spelled: dict[str, str] = {}
    tables = data.get("providers")
    for name in list(tables) if isinstance(tables, dict) else ():
        first = spelled.setdefault(name.casefold(), name)
        if first != name:
            words = f"providers.{name} is the same provider as providers.{first}: names are unique regardless of case"
            problems[f"providers.{name}"] = SettingsError(words, path=path)
            del data["providers"][name]
    if isinstance(overrides.get("providers"), dict):
        united: dict[str, Any] = {}
        for name, table in overrides["providers"].items():
            spelling = spelled.setdefault(name.casefold(), name)
            before = united.get(spelling)
            both = isinstance(before, dict) and isinstance(table, dict)
            united[spelling] = before | table if both else table
        overrides["providers"] = united


def not_a_setting(
    place: str, fields: list[str], path: Path | None, known: Iterable[str], *, above: str = ""
) -> SettingsError:
    """The error for an unknown field: ``place`` is its name for users, ``fields`` its path, ``known`` its siblings.

    ``above`` begins a name that is suggested.
    """
    from provider_core.redaction import close_matches
    from provider_core.request import is_secret_name

    if is_secret_name(fields[-1]):
        name = fields[1] if len(fields) > 2 else "NAME"
        store = (
            f"Use a header or env, and store its secret: telex mcp set-secret {name}"
            if fields[0] == "mcp"
            else f"Store it in the keyring (telex providers set-key {name}), or name its variable: "
            'key_env = "LAB_API_KEY"'
        )
        return SettingsError(
            f"{place} is not a setting: keys are not stored in the settings. {store}", path=path
        )
    meant = close_matches(fields[-1], known, most=1, cutoff=0.7)
    hint = f"; did you mean {above}{meant[0]}?" if meant else ""
    return SettingsError(f"{place} is not a setting{hint}", path=path)


def _place(location: tuple[int | str, ...]) -> list[str]:
    # pydantic adds the branches of unions, and "[key]", which are not in the file.
    parts = list(map(str, location))
    return parts[:2] + [
        part for part in parts[2:] if part != "[key]" and not part.startswith(("constrained-", "function-"))
    ]


def _refused(
    place: list[str], kind: str, words: str, variables: Variables, path: Path | None
) -> SettingsError:
    variable = variables.name_of(place)
    name, where = (variable, None) if variable else (".".join(place), path)
    if kind == "extra_forbidden":
        tables: dict[str, type[BaseModel]] = {**ENTRIES, "budget": BudgetEntry}
        entry = ModelEntry if "models" in place[2:-1] else tables.get(place[0], File)
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
    **dict.fromkeys(("bool_parsing", "bool_type"), "must be true or false"),
    **dict.fromkeys(("dict_type", "model_type"), "must be a table"),
    **dict.fromkeys(("decimal_parsing", "decimal_type", "float_parsing", "float_type"), "must be a number"),
    **dict.fromkeys(("int_from_float", "int_parsing", "int_type"), "must be a whole number"),
    **dict.fromkeys(("string_too_short", "too_short"), "must not be empty"),
    "list_type": "must be a list",
    "missing": "is required",
    "path_type": "must be a path",
    "string_pattern_mismatch": "must be one line without control characters",
    "string_type": "must be a string",
    "string_unicode": "must be text in UTF-8",
}
"""pydantic's types of errors, in terms of a TOML file."""
