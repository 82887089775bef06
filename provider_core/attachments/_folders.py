"""All text files of a folder, or those that a pattern such as ``docs/**/*.md`` matches.

As in ripgrep, hidden files and those that .gitignore excludes are skipped, binary files too, and no link is followed:
it may lead out of the folder, or back into it.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import stat
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from provider_core import files, limits
from provider_core.attachments._content import TextFile, kind_of, label, text_of
from provider_core.attachments._estimate import rounded
from provider_core.errors import AttachmentError
from provider_core.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_HEAD: Final = 8192
"""Bytes in which a NUL shows that a file is binary, as in git."""
_FENCES: Final = 10
"""Bytes of a block besides the name and the text."""
_FLAGS: Final = (
    os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
)
"""A file may become a link or a pipe after it was listed."""
_BRACES: Final = re.compile(r"\{([^{}]*,[^{}]*)\}")
_MAGIC: Final = re.compile(rf"[*?\[]|{_BRACES.pattern}")
_MOST_ALTERNATIVES: Final = 100


class TextFolder(Struct):
    """The text files of a folder or a pattern, in the order of their paths; ``name`` is as the user gave it."""

    name: str
    files: tuple[TextFile, ...]
    binary: int = 0
    links: int = 0
    special: int = 0
    """Pipes, sockets and devices."""
    excluded: int = 0
    """Hidden files and folders, and those that .gitignore excludes; what is in such folders is not counted."""
    unreadable: tuple[str, ...] = ()
    """Names with reasons."""

    @property
    def size(self) -> int:
        """Bytes of the files together."""
        return sum(file.size for file in self.files)

    def as_block(self) -> str:
        """The blocks of the files, separated by blank lines."""
        return "\n\n".join(file.as_block() for file in self.files)


def is_pattern(text: str) -> bool:
    """Whether ``text`` has ``*``, ``?``, ``[`` or alternatives in braces."""
    return _MAGIC.search(text) is not None


def read_folder(path: Path, name: str, *, limit: int = limits.ATTACHED) -> TextFolder:
    """The text files in ``path`` and the folders in it.

    Raises ``AttachmentError`` if there are none, if they have more than ``limit`` bytes together (code "too_much"), or
    if a .gitignore cannot be applied because pathspec is missing (code "no_pathspec").
    """
    shown = "" if name in (".", "./") else name if name.endswith("/") else f"{name}/"
    return _read([(path, shown, None)], name, "text files", limit)


def read_pattern(text: str, *, limit: int = limits.ATTACHED) -> TextFolder:
    """As ``read_folder``, for the files that the pattern matches.

    ``**`` matches any number of folders, and ``{a,b}`` either text. A wildcard does not match a dot at the beginning of
    a name.
    """
    roots = []
    for each in _alternatives(text):
        expanded = str(files.expand_user(Path(each))) if each.startswith("~") else each
        parts = expanded.replace(os.sep, "/").split("/")
        fixed = next((at for at, part in enumerate(parts) if _MAGIC.search(part)), len(parts) - 1)
        before = "/".join(parts[:fixed]) + "/" if fixed else ""
        roots.append((Path(before or "."), before, tuple(part for part in parts[fixed:] if part)))
    return _read(roots, text, "files that match it", limit)


def _alternatives(text: str) -> list[str]:
    """The patterns that a pattern with ``{a,b}`` stands for; braces in braces count, too."""
    pending, found = [text], list[str]()
    while pending:
        each = pending.pop()
        braces = _BRACES.search(each)
        if braces is None:
            found.append(each)
        else:
            before, after = each[: braces.start()], each[braces.end() :]
            pending += (f"{before}{part}{after}" for part in reversed(braces[1].split(",")))
        if len(pending) + len(found) > _MOST_ALTERNATIVES:
            raise AttachmentError(
                f"{label(text)} has more than {_MOST_ALTERNATIVES} alternatives", name=label(text)
            )
    return found


# --- reading -------------------------------------------------------------------------------------------------


class _Counts:
    def __init__(self) -> None:
        self.entries: int = 0
        self.binary: int = 0
        self.links: int = 0
        self.special: int = 0
        self.excluded: int = 0
        self.unreadable: list[str] = []


def _read(
    roots: Sequence[tuple[Path, str, tuple[str, ...] | None]], name: str, what: str, limit: int
) -> TextFolder:
    """Read the files of the roots: each is a folder, the text before its files' names, and the rest of a pattern."""
    name = label(name)
    counts, seen, found = _Counts(), set[Path](), list[TextFile]()
    number = size = 0
    for root, before, pattern in roots:
        for path, relative in _walk(root, before, pattern, counts, name):
            if path in seen:
                continue
            seen.add(path)
            file = _read_file(path, label(f"{before}{relative}"), limit - size, counts)
            if file is not None:
                number, size = number + 1, size + file.size + len(file.name) + _FENCES
                found.append(file)
                if size > limit:
                    found.clear()  # only the numbers matter now
    if size > limit:
        raise AttachmentError(
            f"{name} is too large: {number:,} text files, which have {_shown(size)} with their names "
            f"(about {rounded(size // 4):,} tokens); at most {_shown(limit)} of folders and patterns are attached",
            name=name,
            code="too_much",
        )
    if not found:
        skipped = {
            "binary": counts.binary,
            "link": counts.links,
            "special": counts.special,
            "hidden or ignored": counts.excluded,
            "unreadable": len(counts.unreadable),
        }
        why = ", ".join(f"{count:,} {word}" for word, count in skipped.items() if count)
        raise AttachmentError(f"{name} has no {what}" + (f" (skipped: {why})" if why else ""), name=name)
    return TextFolder(
        name=name,
        files=tuple(found),
        binary=counts.binary,
        links=counts.links,
        special=counts.special,
        excluded=counts.excluded,
        unreadable=tuple(counts.unreadable),
    )


def _shown(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"


def _read_file(path: Path, name: str, room: int, counts: _Counts) -> TextFile | None:
    """A text file, without its text if it has more than ``room`` bytes; None if it is skipped."""
    try:
        with open(os.open(path, _FLAGS), "rb") as file:  # noqa: PTH123 - with flags of its own
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                counts.special += 1
                return None
            data = file.read(_HEAD)
            if b"\0" not in data and kind_of(data) is None:
                if status.st_size > room:
                    return TextFile(name=name, text="", size=status.st_size)
                while len(data) <= room and (piece := file.read(1 << 16)):  # more than its size if it grows
                    data += piece
                if len(data) > room:
                    return TextFile(name=name, text="", size=len(data))
        return text_of(data, name)
    except AttachmentError:
        counts.binary += 1
    except OSError as error:
        if error.errno == errno.ELOOP:
            counts.links += 1
        else:
            counts.unreadable.append(f"{name} ({error.strerror})")
    return None


# --- walking -------------------------------------------------------------------------------------------------


def _walk(
    root: Path, before: str, pattern: tuple[str, ...] | None, counts: _Counts, name: str
) -> Iterator[tuple[Path, str]]:
    """The files below ``root`` in the order of their names, with their paths from there; counts what is skipped."""
    rules = _IgnoreRules(root)
    step = _matcher(pattern) if pattern is not None else None
    pending: list[tuple[Path, str, frozenset[int], _IgnoreRules | None]] = [
        (root, "", frozenset((0,)), rules)
    ]
    while pending:
        path, relative, states, inner = pending.pop()
        if inner is None:
            yield path, relative
            continue
        try:
            with os.scandir(path) as entries:
                listed = sorted(entries, key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            if path == root and pattern is None:
                raise AttachmentError(f"{name} cannot be read: {error.strerror}", name=name) from None
            if path != root or error.errno not in (errno.ENOENT, errno.ENOTDIR):
                counts.unreadable.append(f"{label(f'{before}{relative}') or name} ({error.strerror})")
            continue
        counts.entries += len(listed)
        if counts.entries > limits.FOLDER_ENTRIES:
            raise AttachmentError(
                f"{name} has more than {limits.FOLDER_ENTRIES:,} files and folders", name=name
            )
        inner = inner.with_folder(path, any(entry.name == ".gitignore" for entry in listed))
        for entry in listed:
            is_folder = entry.is_dir(follow_symlinks=False)
            after, matches = states, True
            if step is not None:
                after, matches = step(states, entry.name)
                if not (after if is_folder else matches):
                    continue
            if (step is None and entry.name.startswith(".")) or inner.excludes(
                entry.path, is_folder=is_folder
            ):
                counts.excluded += 1
            elif entry.is_symlink():
                counts.links += 1
            elif is_folder:
                pending.append((Path(entry.path), f"{relative}{entry.name}/", after, inner))
            elif not entry.is_file(follow_symlinks=False):
                counts.special += 1
            else:
                pending.append((Path(entry.path), f"{relative}{entry.name}", after, None))


def _matcher(pattern: tuple[str, ...]) -> Callable[[frozenset[int], str], tuple[frozenset[int], bool]]:
    """A function from the places in the pattern before a name to those after it, and whether the pattern can end."""
    tests = [re.compile(fnmatch.translate(part)).match for part in pattern]

    def open_ended(states: Iterable[int]) -> frozenset[int]:
        """``**`` matches no folder, too."""
        found = set(states)
        for at, part in enumerate(pattern):
            if at in found and part == "**":
                found.add(at + 1)
        return frozenset(found)

    def step(states: frozenset[int], name: str) -> tuple[frozenset[int], bool]:
        after = set[int]()
        hidden = name.startswith(".")
        for at in open_ended(states):
            if at == len(pattern) or (hidden and not pattern[at].startswith(".")):
                continue
            if pattern[at] == "**":
                after.add(at)
            elif tests[at](name):
                after.add(at + 1)
        ended = len(pattern) in open_ended(after)
        return frozenset(after - {len(pattern)}), ended

    return step


# --- .gitignore ----------------------------------------------------------------------------------------------


_Patterns: TypeAlias = tuple[tuple[re.Pattern[str], bool], ...]
"""The patterns of a .gitignore, the last one first, and whether they exclude what they match or include it again."""


class _IgnoreRules:
    """The .gitignore files for the entries of a folder, the innermost first; see gitignore(5).

    Those above the root apply, up to the top of a git repository or, outside of one, the current folder, unless they
    exclude the root itself: the user has named it.
    """

    def __init__(self, root: Path) -> None:
        self._specs: tuple[tuple[str, _Patterns], ...] = ()
        root = Path(os.path.abspath(root))  # noqa: PTH100 - resolve() would follow links
        above = [root, *root.parents]
        here = Path.cwd()
        top = next((at for at, folder in enumerate(above) if os.path.lexists(folder / ".git")), -1)
        in_repository = top >= 0
        if not in_repository:
            top = above.index(here) if here in above else 0
        for folder in reversed(above[1 : top + 1]):
            self._specs = self.with_folder(folder, folder.joinpath(".gitignore").exists())._specs
        if in_repository:
            exclude = _ignore_spec(above[top] / ".git" / "info" / "exclude")
            self._specs += ((str(above[top]), exclude),) if exclude is not None else ()
        self._specs = tuple(each for each in self._specs if not _verdict(each, str(root), is_folder=True))

    def with_folder(self, folder: Path, has_rules: bool) -> _IgnoreRules:
        """The rules for the entries of ``folder``."""
        spec = _ignore_spec(folder / ".gitignore") if has_rules else None
        if spec is None:
            return self
        found = object.__new__(_IgnoreRules)
        found._specs = ((os.path.abspath(folder), spec), *self._specs)  # noqa: PTH100
        return found

    def excludes(self, path: str, *, is_folder: bool) -> bool:
        if not self._specs:
            return False
        path = os.path.abspath(path)  # noqa: PTH100
        verdicts = (_verdict(each, path, is_folder=is_folder) for each in self._specs)
        return bool(next((verdict for verdict in verdicts if verdict is not None), False))


def _verdict(rules: tuple[str, _Patterns], path: str, *, is_folder: bool) -> bool | None:
    """Whether the rules of a folder exclude the path in it, or include it again; None if none of them matches."""
    folder, patterns = rules
    relative = path[len(folder) :].replace(os.sep, "/").lstrip("/") + ("/" if is_folder else "")
    return next((excludes for regex, excludes in patterns if _matches(regex, relative)), None)


def _matches(regex: re.Pattern[str], path: str) -> bool:
    """Whether a regular expression of pathspec matches the path itself, and not only a folder above it.

    What is above has been decided before. pathspec's own verdict for a path gives folders and files different weights.
    """
    found = regex.search(path)
    if found is None:
        return False
    if "ps_d" in regex.groupindex and found["ps_d"]:  # it ends at a slash
        return bool(found.end() == len(path) or regex.fullmatch(path) or regex.search(path, len(path) - 1))
    return not (path.endswith("/") and found.end() == len(path))  # "folder/**" does not match the folder


def _ignore_spec(path: Path) -> _Patterns | None:
    """The patterns in a file, None if there are none; raises ``AttachmentError`` if pathspec is not installed."""
    try:
        with open(os.open(path, _FLAGS), "rb") as file:  # noqa: PTH123
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            text = file.read(limits.TEMPLATE).decode("utf-8", "replace")
    except OSError:
        return None
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        return None
    try:
        from pathspec import GitIgnoreSpec
    except ImportError:
        raise AttachmentError(
            f"{label(str(path))} cannot be applied, because the package pathspec is not installed",
            name=label(str(path)),
            code="no_pathspec",
        ) from None
    found: list[tuple[re.Pattern[str], bool]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # a set such as "[[a]" is fine
        for line in lines:
            try:
                patterns = GitIgnoreSpec.from_lines([line]).patterns
                found += (
                    (_without_backtracking(each.regex.pattern), each.include)
                    for each in patterns
                    if each.regex is not None and each.include is not None
                )
            except (ValueError, re.error):  # git ignores such a line as well
                continue
    return tuple(reversed(found))


_STARS: Final = re.compile(r"(?:\[\^/\]\*){2,}")
_STAR: Final = re.compile(r"\[\^/\]\*((?:(?!\[\^/\]\*)(?:\[\^/\]|[^/]))+?)(?=\[\^/\]\*)")
"""In a regular expression of pathspec, a ``*`` of .gitignore, and what follows it up to the next one."""


def _without_backtracking(source: str) -> re.Pattern[str]:
    """The regular expression, so that ``*a*a*a*b`` takes no exponential time on "aaaa…".

    The first place where the text after a ``*`` matches is as good as any later one, as in ``fnmatch``.
    """
    return re.compile(_STAR.sub(r"(?>[^/]*?\1)", _STARS.sub("[^/]*", source)))
