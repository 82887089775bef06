"""All text files of a folder, or those that a pattern such as ``docs/**/*.md`` matches.

As in ripgrep, hidden files and those that .gitignore excludes are skipped, binary files too, and no link is followed:
it may lead out of the folder, or back into it.
"""

from __future__ import annotations

import codecs
import errno
import fnmatch
import os
import re
import stat
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from provider_core import files, limits
from provider_core.attachments._content import TextFile, check_size, kind_of, label, refusal, rounded, text_of
from provider_core.errors import AttachmentError
from provider_core.structs import Struct, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

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
    skipped: Mapping[str, int] = field(default_factory=dict)
    """How many were skipped as "binary", "linked", "special" (pipes, sockets, devices), "hidden or ignored" and
    "unreadable". A folder that is skipped counts as one, whatever it contains."""
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

    Raises ``AttachmentError`` if there are none, or if they have more than ``limit`` bytes together (code "too_much").
    """
    shown = "" if name in (".", "./") else name if name.endswith("/") else f"{name}/"
    return _read([(path, shown, ())], name, "has no text files", limit)


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
    return _read(roots, text, "matches no text files", limit)


def _alternatives(text: str) -> list[str]:
    """The patterns that a pattern with ``{a,b}`` stands for; braces in braces count, too."""
    pending, found = [text], list[str]()
    while pending:
        each = pending.pop()
        if (braces := _BRACES.search(each)) is None:
            found.append(each)
        else:
            before, after = each[: braces.start()], each[braces.end() :]
            pending += (f"{before}{part}{after}" for part in reversed(braces[1].split(",")))
        if len(pending) + len(found) > _MOST_ALTERNATIVES:
            raise refusal(label(text), f"has more than {_MOST_ALTERNATIVES} alternatives")
    return found


# --- reading -------------------------------------------------------------------------------------------------


class _Skipped:
    """The counts and names of what is skipped, by kind."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.unreadable: list[str] = []

    def add_unreadable(self, name: str, error: OSError) -> None:
        self.counts["unreadable"] += 1
        self.unreadable.append(f"{name} ({error.strerror})")


def _read(
    roots: Sequence[tuple[Path, str, tuple[str, ...]]], name: str, nothing: str, limit: int
) -> TextFolder:
    """Read the files of the roots: each is a folder, the text before its files' names, and the rest of a pattern.

    ``nothing`` follows ``name`` in the error if there are none.
    """
    name = label(name)
    skipped, seen, found = _Skipped(), set[Path](), list[TextFile]()
    number = size = 0
    for root, before, pattern in roots:
        for path, relative in _walk(root, before, pattern, skipped, name):
            if path in seen:
                continue
            seen.add(path)
            file = _read_file(path, label(f"{before}{relative}"), limit - size, skipped)
            if file is not None:
                number, size = number + 1, size + file.size + len(file.name) + _FENCES
                found.append(file)
                if size > limit:
                    found.clear()  # only the numbers matter now
    if size > limit:
        raise refusal(
            name,
            f"is too large: {_shown(size)} in {number:,} text file{'s'[: number != 1]}, names included (about "
            f"{rounded(size // 4):,} tokens); folders and patterns may have {_shown(limit)} together",
            code="too_much",
        )
    if not found:
        why = ", ".join(f"{count:,} {word}" for word, count in sorted(skipped.counts.items()))
        raise AttachmentError(f"{name} {nothing}" + (f" (skipped: {why})" if why else ""), name=name)
    counts = dict(sorted(skipped.counts.items()))
    return TextFolder(name=name, files=tuple(found), skipped=counts, unreadable=tuple(skipped.unreadable))


def _shown(size: int) -> str:
    return (
        f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB" if size >= 100 else f"{size} B"
    )


def _read_file(path: Path, name: str, room: int, skipped: _Skipped) -> TextFile | None:
    """A text file, without its text if it has more than ``room`` bytes; None if it is skipped."""
    try:
        with open(os.open(path, _FLAGS), "rb") as file:  # noqa: PTH123 - with flags of its own
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                skipped.counts["special"] += 1
                return None
            data = file.read(_HEAD) or b""  # None from a device or a file of /proc that has nothing yet
            if b"\0" not in data and not kind_of(data).name:
                if status.st_size > room:
                    return TextFile(name=name, text="", size=status.st_size)
                while len(data) <= room and (piece := file.read(1 << 16)):  # more than its size if it grows
                    data += piece
                if len(data) > room:
                    return TextFile(name=name, text="", size=len(data))
        return text_of(data, name)
    except AttachmentError:
        skipped.counts["binary"] += 1
    except OSError as error:
        if error.errno == errno.ELOOP:
            skipped.counts["linked"] += 1
        else:
            skipped.add_unreadable(name, error)
    return None


def _walk(
    root: Path, before: str, pattern: tuple[str, ...], skipped: _Skipped, name: str
) -> Iterator[tuple[Path, str]]:
    """The files below ``root`` in the order of their names, with their paths from there; counts what is skipped.

    Without a pattern, these are all files, and hidden ones are counted.
    """
    top = os.path.realpath(root)
    parts = tuple(_part(part, hidden=part.startswith(".")) for part in pattern or ("**", "*"))
    number = 0
    pending: list[tuple[str, str, set[int], tuple[_IgnoreRule, ...] | None]] = [
        (top, "", _open_ended(parts, (0,)), _rules_above(top))
    ]
    while pending:
        path, relative, states, rules = pending.pop()
        if rules is None:
            yield Path(path), relative
            continue
        try:
            with os.scandir(path) as entries:
                listed = sorted(entries, key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            if relative or (pattern and error.errno not in (errno.ENOENT, errno.ENOTDIR)):
                skipped.add_unreadable(label(f"{before}{relative}") or name, error)
            elif not pattern:
                raise refusal(name, f"cannot be read: {error.strerror}") from None
            continue
        number += len(listed)
        if number > limits.FOLDER_ENTRIES:
            raise refusal(name, f"has more than {limits.FOLDER_ENTRIES:,} files and folders")
        if any(entry.name in (".gitignore", ".git") for entry in listed):
            rules = (*_rules_in(path), *rules)
        for entry in listed:
            is_folder = entry.is_dir(follow_symlinks=False)
            after = _step(parts, states, entry.name)
            if not (after - {len(parts)} if is_folder else len(parts) in after):
                if not pattern:
                    skipped.counts["hidden or ignored"] += 1
            elif _is_excluded(rules, entry.path, is_folder=is_folder):
                skipped.counts["hidden or ignored"] += 1
            elif entry.is_symlink():
                skipped.counts["linked"] += 1
            elif is_folder:
                pending.append((entry.path, f"{relative}{entry.name}/", after, rules))
            elif not entry.is_file(follow_symlinks=False):
                skipped.counts["special"] += 1
            else:
                pending.append((entry.path, f"{relative}{entry.name}", after, None))


# --- patterns ------------------------------------------------------------------------------------------------

_Part: TypeAlias = tuple["Callable[[str], object]", bool]
"""The part of a pattern between two slashes: a test of a name, and whether any number of names may match (``**``)."""


def _part(text: str, *, hidden: bool) -> _Part:
    """``hidden``: whether wildcards match a name that begins with a dot."""
    regex = ".*" if text == "**" else fnmatch.translate(text)
    return re.compile(regex if hidden else rf"(?!\.){regex}", re.DOTALL).match, text == "**"


def _step(parts: Sequence[_Part], states: set[int], name: str) -> set[int]:
    """The states after a name. A state is how many parts have matched so far; if all have, the path matches."""
    after = (
        at if parts[at][1] else at + 1 for at in states if at < len(parts) and parts[at][0](name) is not None
    )
    return _open_ended(parts, after)


def _open_ended(parts: Sequence[_Part], states: Iterable[int]) -> set[int]:
    """``**`` matches no name, too."""
    found = set(states)
    for at, (_, repeats) in enumerate(parts):
        if repeats and at in found:
            found.add(at + 1)
    return found


# --- .gitignore ----------------------------------------------------------------------------------------------

_TOKEN: Final = re.compile(
    r"(?P<deep>(?<![^/])\*\*+(?:\\?/|\Z))|\*+|\[(?P<set>[!^]?+\]?+(?:\[:[^\]]*:\]|\\.|[^\\\]])*+)\]|\\(?P<quoted>.)|.",
    re.DOTALL,
)
_ITEM: Final = re.compile(r"\[:([^\]]*):\]|\\?(.)(?:-\\?(.))?", re.DOTALL)
"""The parts of a set such as ``[a-f_[:digit:]]``."""
_CLASSES: Final = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "digit": "0-9", "lower": "a-z", "upper": "A-Z", "xdigit": "0-9A-Fa-f",
    "blank": " \t", "space": " \t\n\r", "cntrl": r"\0-\x1f\x7f", "print": " -~", "graph": "!-~",
    "punct": r"!-/:-@\[-`{-~",
}  # fmt: skip
_NEVER: Final = "(?!)"


class _IgnoreRule(Struct):
    """One line of a .gitignore; see gitignore(5)."""

    matches: Callable[[str, int], object]
    """Takes a path, and where the part of it begins that has to match."""
    start: int | None
    """Where the path below the folder of the .gitignore begins; None: only the name has to match."""
    folders_only: bool
    excludes: bool


def _is_excluded(rules: Iterable[_IgnoreRule], path: str, *, is_folder: bool) -> bool:
    """Whether the first rule that matches the absolute path excludes it."""
    path = _in_bytes(path)
    name = path.rfind("/") + 1
    for rule in rules:
        start = name if rule.start is None else rule.start
        if (is_folder or not rule.folders_only) and rule.matches(path, start):
            return rule.excludes
    return False


def _in_bytes(path: str) -> str:
    """A path with one character for each byte: git matches bytes."""
    return os.fsencode(path).decode("latin-1").replace(os.sep, "/")


def _rules_above(root: str) -> tuple[_IgnoreRule, ...]:
    """The rules of the folders above the root, the innermost first.

    They apply up to the top of a git repository or, outside of one, the current folder, unless they exclude the root
    itself: the user has named it.
    """
    above = [Path(root), *Path(root).parents]
    here = Path.cwd().resolve()  # as the root: on Windows, it may be in a folder with another name
    top = next((at for at, folder in enumerate(above) if os.path.lexists(folder / ".git")), None)
    if top is None:
        top = above.index(here) if here in above else 0
    rules = tuple(rule for folder in above[1 : top + 1] for rule in _rules_in(str(folder)))
    if _is_excluded(rules, root, is_folder=True):
        rules = tuple(rule for rule in rules if not _is_excluded((rule,), root, is_folder=True))
    return rules


def _rules_in(folder: str) -> tuple[_IgnoreRule, ...]:
    """The rules of a folder's .gitignore and, at the top of a repository, of its info/exclude; the last first."""
    start = len(_in_bytes(folder).rstrip("/")) + 1
    lines = [*_lines_of(f"{folder}/.git/info/exclude"), *_lines_of(f"{folder}/.gitignore")]
    return tuple(_rule(line, start) for line in reversed(lines) if line and not line.startswith("#"))


def _lines_of(path: str) -> list[str]:
    try:
        with open(os.open(path, _FLAGS), "rb") as file:  # noqa: PTH123
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return []
            data = file.read(limits.TEMPLATE + 1)
    except OSError:  # as in git, also for a link
        return []
    check_size(len(data), label(path), limits.TEMPLATE, "a .gitignore")
    text = data.removeprefix(codecs.BOM_UTF8).decode("latin-1")
    return [line.removesuffix("\r") for line in text.split("\n")]


def _rule(line: str, start: int) -> _IgnoreRule:
    end = len(line.rstrip(" "))
    end += (end - len(line[:end].rstrip("\\"))) % 2  # a space after a backslash belongs to the pattern
    text = line[:end].removeprefix("!")
    pattern = text.removesuffix("/")
    # As in git, "**" may follow any text before the first wildcard.
    literal, rest = re.fullmatch(r"/?([^*?[\\]*)(.*)", pattern, re.DOTALL).groups()  # type: ignore[union-attr]
    return _IgnoreRule(
        matches=re.compile(rf"{re.escape(literal)}{_regex_of(rest)}\Z", re.DOTALL).match,
        start=start if "/" in pattern else None,
        folders_only=text.endswith("/"),
        excludes=not line.startswith("!"),
    )


def _regex_of(pattern: str) -> str:
    """A regular expression for a pattern, as in git's wildmatch.c."""
    folders, name = [""], [""]  # the texts between "**/", and those of a name between "*"
    for token in _TOKEN.finditer(pattern):
        if token["deep"]:
            folders.append("" if token[0].endswith("/") else "[^/]*")
        elif token[0].startswith("*"):
            name.append("")
        elif "/" in (token[0], token["quoted"]):
            folders[-1] += _joined(name, "[^/]*?") + "/"
            name = [""]
        elif token[0] == "?":
            name[-1] += "[^/]"
        elif token["set"]:
            name[-1] += _set_of(token["set"])
        else:
            name[-1] += _NEVER if token[0] in ("[", "\\") else re.escape(token["quoted"] or token[0])
    folders[-1] += _joined(name, "[^/]*?")
    return _joined(folders, "(?:[^/]*/)*?")


def _joined(texts: Sequence[str], between: str) -> str:
    """All but the last text match only where they first can: other places would take time, and change nothing."""
    first, *others = texts
    last = [between + others.pop()] if others else []
    return "".join([first, *(f"(?>{between}{text})" for text in others), *last])


def _set_of(text: str) -> str:
    items, is_negated = "", text[0] in "!^"
    for name, low, high in _ITEM.findall(text[is_negated:]):
        if not low and name not in _CLASSES:
            return _NEVER
        items += re.escape(low) + (f"-{re.escape(high)}" if high >= low else "") if low else _CLASSES[name]
    return f"(?!/)[{'^' if is_negated else ''}{items}]"
