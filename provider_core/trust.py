"""Trusting a project's settings, and the templates that come with them.

``settings.project`` says what a project may do, and against whom its rules protect.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from provider_core import files, templates
from provider_core.errors import SettingsError, TemplateError
from provider_core.settings import file, project
from provider_core.structs import replace

if TYPE_CHECKING:
    from pathlib import Path

    from provider_core.settings import Settings
    from provider_core.settings.project import Project
    from provider_core.templates import Template


def trust(path: Path, records: Path) -> Project:
    """Trust the project's file at ``path`` and its templates as they are now.

    ``records`` is ``Paths.trust``. Raises ``SettingsError`` if the file or one of the templates cannot be used.
    """
    raw = project.read(path)
    found = project.of_values(project.parse(file.decode(raw, path), path), path)
    digests = {}
    for each in template_files(found).values():
        content = project.read_inside(each, path.parent)
        _parse(content, each, path)
        digests[each.name] = file.digest(content)
    project.record(records, path, {"digest": file.digest(raw), "templates": digests})
    return found


def forget(path: Path, records: Path) -> bool:
    """Trust the file no longer; False if it was not trusted."""
    known = str(path) in project.known(records)
    if known:
        project.record(records, path, None)
    return known


def template_files(found: Project) -> dict[str, Path]:
    """The names of the project's templates, sorted, with their files."""
    return templates.names(found.templates) if found.templates is not None else {}


def template(settings: Settings, name: str) -> Template | None:
    """The template ``name`` of the project in force, with its trusted content; None if it has none of this name.

    Raises ``SettingsError`` if its file has changed since, or may not be used.
    """
    found = settings.project
    if found is None:
        return None
    named = template_files(found)
    bare = name.removeprefix(f"{found.templates}{os.sep}")  # as aliases of the project have it
    path = named.get(bare) or next((each for each in named.values() if each.name == bare), None)
    if path is None:
        if bare == name:
            return None
        raise TemplateError(f"unknown template: {name}", name=bare, code="unknown_template")
    raw = project.read_inside(path, found.path.parent)
    if found.trusted_templates is not None and found.trusted_templates.get(path.name) != file.digest(raw):
        words = f"{path} was added or changed after you trusted the project"
        raise SettingsError(words, path=path, code="untrusted")
    parsed = _parse(raw, path, found.path)
    is_own = project.destinations(settings.own_providers, settings.aliases)
    if parsed.model and not is_own(parsed.model):
        words = f"the model in {path} is {parsed.model}, {project.NOT_YOURS}"
        raise SettingsError(words, path=path, code="not_set_up")
    return parsed


def _parse(raw: bytes, path: Path, own: Path) -> Template:
    """The template in ``raw``; raises ``SettingsError`` if a project may not have it.

    A schema in a file is read here, where the file is known to be in the project ``own``.
    """
    found = templates.parse(file.decode(raw, path), path)
    for name in found.params:
        project.check_param(f"params.{name}", name, path)
    if found.web:
        raise SettingsError(f"{path}: a project may not have the provider search the web", path=path)
    if isinstance(found.schema, str):
        schema = path.parent / files.expand_user(found.schema.strip())
        if os.path.lexists(schema):
            text = project.read_inside(schema, own.parent)
            try:
                return replace(found, schema=dict(json.loads(text)))
            except (ValueError, TypeError, RecursionError):
                raise SettingsError(f"{schema} is not a JSON schema", path=schema) from None
    return found
