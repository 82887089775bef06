"""A project's own settings: the file ``.telex.toml`` in the working directory or above it.

**The threat.** The file comes with a repository, so its author may be an attacker, and the user may not have looked at
it. What an attacker wants is a key, the text of prompts, files and conversations, or a command that runs. Therefore:

- Untrusted, the file does nothing. Its bytes are hashed and compared with what the user trusted; nothing parses them.
  ``telex trust`` stores the hash for the file's path. Each change of a byte has to be trusted again. The bytes that are
  used are the very bytes that were hashed, so it does not matter who writes to the file in the meantime. In CI, where
  a pull request may change the file, it is ignored unless ``TELEX_TRUST_PROJECT=1``; elsewhere that variable does
  nothing, since a shell that exports it would trust every repository.
- Trusted, the file still cannot add a destination or a program: it has no providers, addresses, keys, headers, commands
  or MCP servers, and is refused as a whole if it tries. Its models and aliases lead only to providers that are in the
  user's own settings; a key in the environment is not enough. Nor do they lead to an alias of the user's that has
  tools, since the project's system message would then steer them. An alias of the project cannot take the name of a
  provider or a preset, so ``-m openai`` is never something else.
- ``params`` are limited to sampling (``PARAMS``), because some servers fetch addresses or call remote tools that are
  named in other fields of a request.
- ``allow`` narrows: a tool that the settings let run without a question does so only if the project's patterns match,
  too. Patterns on the command line are the user's own, and are not narrowed.
- Templates are files in the project's folder, also after links are followed, and are used only with the content that
  was trusted. Their schemas have to be in the project as well. An alias of the project can name only these, and not the
  user's own.

A trusted system message can still try to talk a model into calling tools; that a call needs approval protects from it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from provider_core import files, limits
from provider_core.errors import FileError, SettingsError
from provider_core.settings import file
from provider_core.structs import Struct, field

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from provider_core.types import Alias, Json

State: TypeAlias = Literal["trusted", "untrusted", "changed", "ci", "unusable"]

VARIABLE: Final = "TELEX_TRUST_PROJECT"

PARAMS: Final = frozenset((
    "frequency_penalty", "min_p", "presence_penalty", "repetition_penalty", "seed", "stop", "top_k", "top_p",
    "verbosity",
))  # fmt: skip
"""The fields of a request's body that a project may set."""

OPTIONS: Final = ("system", "temperature", "max_tokens", "reasoning_effort", "params")
"""The settings of a project that are options of a chat."""


class Found(Struct):
    """A project's file, and whether it may be used."""

    path: Path
    state: State
    text: str = ""
    """Its content, if it is trusted."""
    reason: str = ""
    """Why it is unusable."""
    templates: Mapping[str, str] | None = None
    """The digests of the templates that were trusted, by file name; None if all may be used, as in CI."""


class Project(Struct):
    """The settings of a trusted project that are not merged with those of other layers."""

    path: Path
    options: Mapping[str, Json] = field(default_factory=dict)
    """Options of each chat: ``OPTIONS``."""
    allow: tuple[str, ...] | None = None
    """Only tools that match one of these patterns run without approval, of those that the settings allow."""
    templates: Path | None = None
    """The project's folder of templates."""
    trusted_templates: Mapping[str, str] | None = None
    """As ``Found.templates``."""
    aliases: tuple[str, ...] = ()
    """The names of its aliases, which replace those of the user."""
    settings: tuple[str, ...] = ()
    """The settings of the file, as "model lab/m" and "2 aliases", for people."""


# --- finding -------------------------------------------------------------------------------------------------


def look(path: Path, records: Path, environ: Mapping[str, str]) -> Found | None:
    """The project's file at ``path``, which ``settings.find_project`` found; None if it belongs to another project.

    ``records`` is ``Paths.trust``, the file of what is trusted.
    """
    if not _is_within_reach(path, environ):
        return None
    in_ci, wanted = is_ci(environ), environ.get(VARIABLE)
    if in_ci and wanted != "1":
        return Found(path=path, state="ci")
    try:
        raw = read(path)
        trusted = known(records).get(str(path))
        if in_ci:
            templates = None
        elif trusted is None or trusted["digest"] != file.digest(raw):
            return Found(path=path, state="untrusted" if trusted is None else "changed")
        else:
            templates = trusted.get("templates") or {}
        return Found(path=path, state="trusted", text=file.decode(raw, path), templates=templates)
    except SettingsError as error:
        return Found(path=path, state="unusable", reason=error.message)


def is_ci(environ: Mapping[str, str]) -> bool:
    """Whether this is a CI job: nearly all services set CI=true."""
    return environ.get("CI", "").lower() not in ("", "0", "false", "no")


def _is_within_reach(path: Path, environ: Mapping[str, str]) -> bool:
    """Whether no root of a repository is between the file and the working directory.

    A file above the working directory has to be in a repository or in the home folder: anybody may write one to /tmp.
    """
    here, top = Path.cwd(), path.parent
    between = [here, *here.parents]
    if here == top or any((folder / ".git").exists() for folder in between[: between.index(top)]):
        return here == top
    home = environ.get("HOME")
    in_home = bool(home) and top.is_relative_to(os.path.realpath(str(home)))
    return in_home or any((folder / ".git").exists() for folder in (top, *top.parents))


def read(path: Path) -> bytes:
    """The bytes of a project's file; raises ``SettingsError`` for links, other users' files and anything but files."""
    if path.is_symlink():
        raise SettingsError(
            f"{path} is a symbolic link; a project's settings must be a file of its own", path=path
        )
    try:
        if path.stat().st_size > limits.TEMPLATE:  # it is hashed at each start
            raise SettingsError(f"{path} is larger than {limits.TEMPLATE // 1_000_000} MB", path=path)
        return files.read_bytes(path)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}", path=path) from None


def read_inside(path: Path, folder: Path) -> bytes:
    """The bytes of a file that is in ``folder`` also after links are followed; raises ``SettingsError``."""
    try:
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(os.path.realpath(folder)):
            raise SettingsError(f"{path} leads outside the project {folder}", path=path)
        return files.read_bytes(real, of_anybody=True)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}", path=path) from None


# --- what is trusted -----------------------------------------------------------------------------------------


def known(path: Path) -> dict[str, dict[str, Any]]:
    """The trusted files by path: none if the record is damaged, or belongs to another user."""
    try:
        found = json.loads(files.read_bytes(path)).items()
        return {name: each for name, each in found if isinstance(each["digest"], str)}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def record(records: Path, path: Path, trusted: dict[str, Any] | None) -> None:
    """Save what is trusted of the project's file at ``path``: None for nothing. Raises ``SettingsError``."""
    try:
        files.private_folder(records.parent)
        with files.locked(records):
            found = known(records)
            found.pop(str(path), None)
            if trusted is not None:
                found[str(path)] = trusted
            files.replace(records, json.dumps(found, indent=1).encode())
    except FileError as error:
        raise SettingsError(error.message, path=error.path) from error


# --- content -------------------------------------------------------------------------------------------------


def parse(text: str, path: Path) -> dict[str, Any]:
    """The checked values of a project's file; raises ``SettingsError`` if anything in it is wrong or not allowed."""
    from provider_core.settings import schema

    values = schema.check_project(file.parse(text, path), path)
    for name in values.get("params", {}):
        check_param(f"params.{name}", name, path)
    from provider_core import presets

    for alias, value in values.get("aliases", {}).items():
        if presets.get(alias.lower()) is not None or alias.lower() == "local":
            raise SettingsError(f"{path}: aliases.{alias} is the name of a provider", path=path)
        fields = value if isinstance(value, dict) else {}
        for name in fields.get("params", {}):
            check_param(f"aliases.{alias}.params.{name}", name, path)
        template = fields.get("template", "")
        if "/" in template or "\\" in template:
            raise SettingsError(f"{path}: aliases.{alias}.template must be a name, not a path", path=path)
        if template and "templates" not in values:
            words = f"{path}: aliases.{alias}.template needs templates, the project's folder of templates"
            raise SettingsError(words, path=path)
    if "templates" in values:
        folder = path.parent / values["templates"]
        if not Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(path.parent)):
            raise SettingsError(f"{path}: templates leads outside the project", path=path)
    return values


def check_param(place: str, name: str, path: Path) -> None:
    if name not in PARAMS:
        allowed = ", ".join(sorted(PARAMS))
        raise SettingsError(f"{path}: a project may not set {place}; it may set {allowed}", path=path)


def of_values(
    values: Mapping[str, Any],
    path: Path,
    templates: Mapping[str, str] | None = None,
    *,
    without: Collection[str] = (),
) -> Project:
    """The project whose file has these checked values; its options are ``without`` some, such as "params.top_p"."""
    options = {name: values[name] for name in OPTIONS if name in values and name not in without}
    if "params" in options:
        fields = options["params"].items()
        options["params"] = {name: value for name, value in fields if f"params.{name}" not in without}
    return Project(
        path=path,
        options=options,
        allow=tuple(values["allow"]) if "allow" in values else None,
        templates=path.parent / values["templates"] if "templates" in values else None,
        trusted_templates=templates,
        aliases=tuple(values.get("aliases", ())),
        settings=tuple(_summary(values)),
    )


def _summary(values: Mapping[str, Any]) -> Iterable[str]:
    for name, value in values.items():
        match name:
            case "model" | "temperature" | "max_tokens" | "reasoning_effort":
                yield f"{name} {value}"
            case "aliases" | "params":
                yield f"{name} {', '.join(value)}"
            case _:
                yield "a system message" if name == "system" else name


NOT_YOURS: Final = "and that is not a provider of yours, nor an alias of yours without tools"
"""The end of the error for a model that a project may not name."""

_ACTING: Final = frozenset({"tools", "allow", "web"})
"""Options of an alias with which more happens than that a model is asked."""


def destinations(providers: Iterable[str], aliases: Mapping[str, Alias]) -> Callable[[str], bool]:
    """Whether a model that a project names leads to one of the user's own providers, and does no more than that.

    ``providers`` are those in the user's settings. The targets of an alias are checked by themselves.
    """
    own = {name.casefold() for name in (*providers, "local")}
    named_by: dict[str, list[str]] = {}
    for name, alias in aliases.items():
        for target in alias.targets:
            named_by.setdefault(target.strip(), []).append(name)
    acting: set[str] = set()
    found = [name for name, alias in aliases.items() if not _ACTING.isdisjoint(alias.options)]
    while found:  # each alias once: a project may have thousands
        name = found.pop()
        if name not in acting:
            acting.add(name)
            found += named_by.get(name, ())

    def is_own(target: str) -> bool:
        name = target.strip()
        if name in aliases:  # also if it is the name of a provider
            return name not in acting
        return name.partition("/")[0].casefold() in own

    return is_own
