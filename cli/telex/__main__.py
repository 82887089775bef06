"""The entry point of ``telex`` and ``python -m telex``."""

from __future__ import annotations

import gc
import os
import sys

# Type checkers need only the name. Importing typing takes as long as half of Python's own start, and until run() is
# called, Ctrl-C prints a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def run() -> NoReturn:
    """Run the command line of this process, and exit."""
    if sys.getfilesystemencoding() != "utf-8" and not sys.flags.utf8_mode and sys.executable:
        # Arguments, variables, file names and streams are UTF-8 whatever the locale. Python has decoded some of them
        # before any code of telex runs, so it has to start again.
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606
    # Imported modules are never garbage, and searching them takes a seventh of the time of a short answer.
    gc.set_threshold(100_000)
    try:
        _import_click()
        from telex.main import main

        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        os._exit(130)  # nothing is open or printed yet
    gc.freeze()  # skip the search at exit
    sys.exit(code)


class _Later(type(sys)):  # type: ignore[misc]
    """Stands in for a module, which is imported when anything is used that was not set here."""

    __name__: str

    def __getattr__(self, name: str) -> object:
        from importlib import import_module

        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(import_module(self.__name__), name)


def _import_click() -> None:
    """Import click without inspect and uuid, which take a sixth of its time, for the little that it uses of them.

    Nothing here converts to ``click.UUID``, the type.
    """
    used: dict[str, dict[str, object]] = {
        "inspect": {"cleandoc": _cleandoc, "isfunction": lambda value: isinstance(value, type(_cleandoc))},
        "uuid": {"UUID": object},
    }
    stand_ins = {name: _Later(name) for name in used if name not in sys.modules}
    for name, module in stand_ins.items():
        module.__dict__.update(used[name])
    sys.modules |= stand_ins
    try:
        import click  # noqa: F401
    finally:
        for name in stand_ins:
            del sys.modules[name]


def _cleandoc(text: str) -> str:
    """As ``inspect.cleandoc``."""
    first, *rest = text.expandtabs().split("\n")
    indents = [len(line) - len(line.lstrip()) for line in rest if line.strip()]
    rest = [line[min(indents, default=0) :] for line in rest]
    return "\n".join([first.lstrip(), *rest]).strip("\n")


if __name__ == "__main__":
    run()
