"""The process that turns a PDF or a web page into text: stdin is the file, stdout the result.

It runs as a script, and imports nothing of telex. Its exit codes are 0 for a result, 3 if the library is
missing, and 4 if stdout says in words why there is none; any other means that it ran out of memory or crashed.
"""

from __future__ import annotations

import contextlib
import io
import sys


def _limit_memory(size: int, seconds: int) -> None:
    if sys.platform == "win32":  # it has no such limits
        return
    import resource

    with contextlib.suppress(ValueError, OSError):  # macOS has not all of them
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class _UnusableError(Exception):
    """Why there is no result."""


def _pdf(data: bytes, first: int, last: int | None, most: int) -> bytes:
    """The text of the pages, each after a line with its number, so that an answer can refer to it."""
    texts, size = [], 0
    for number, page in _pages(data, first, last):
        text = page.extract_text().strip()  # type: ignore[attr-defined]
        size += len(text)
        if size > most:
            raise _UnusableError(f"its text has more than {most // 1_000_000} MB")
        if text:
            texts.append(f"[page {number}]\n{text}\n")
    return "\n".join(texts).encode("utf-8", "replace")


def _cut(data: bytes, first: int, last: int | None, _: int) -> bytes:
    """A PDF of these pages."""
    from pypdf import PdfWriter

    writer, result = PdfWriter(), io.BytesIO()
    for _number, page in _pages(data, first, last):
        writer.add_page(page)  # type: ignore[arg-type]
    writer.write(result)
    return result.getvalue()


def _pages(data: bytes, first: int, last: int | None) -> list[tuple[int, object]]:
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        raise _UnusableError("it is protected by a password")
    count = len(reader.pages)
    if first > count:
        raise _UnusableError(f"it has {count} pages, so there is no page {first}")
    return [(number, reader.pages[number - 1]) for number in range(first, min(last or count, count) + 1)]


def _html(data: bytes, url: str) -> bytes:
    from html_to_markdown import ConversionOptions, PreprocessingOptions, convert

    options = ConversionOptions(
        extract_metadata=False,
        preprocessing=PreprocessingOptions(enabled=True, remove_navigation=True, remove_forms=False),
        exclude_selectors=["svg"],
        inline_data_media="drop_element",
        base_url=url,
        bullets="-",
    )
    return (convert(data.decode(), options).content or "").encode("utf-8", "replace")


def main(task: str, *arguments: str) -> int:
    memory, seconds, most = (int(each) for each in arguments[-3:])
    _limit_memory(memory, seconds)
    data = sys.stdin.buffer.read()
    try:
        if task == "html":
            result = _html(data, arguments[0])
        else:
            last = None if arguments[1] == "None" else int(arguments[1])
            result = {"pdf": _pdf, "cut": _cut}[task](data, int(arguments[0]), last, most)
    except ImportError:
        return 3
    except MemoryError:
        return 5
    except _UnusableError as problem:
        sys.stdout.buffer.write(str(problem).encode())
        return 4
    except Exception as error:  # noqa: BLE001 - the libraries raise whatever a broken file leads them to
        kind = type(error).__name__
        why = "it unfolds to too much data" if kind == "LimitReachedError" else f"it is damaged ({kind})"
        sys.stdout.buffer.write(why.encode())
        return 4
    sys.stdout.buffer.write(result)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
