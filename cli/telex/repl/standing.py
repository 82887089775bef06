"""A provider that stays reached from one question to the next; how it is reached is the setup's."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Self

from provider_core.errors import CoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from provider_core.client import OpenProvider
    from provider_core.types import Target

__all__ = ["ProviderSession"]


class ProviderSession:
    """Holds on to what was reached last: its key is asked for once, and a model of ours goes on running.

    An error lets go of it: the key may have been changed since, and the model's process may have died.
    """

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._held: tuple[object, OpenProvider] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go(None)

    @contextlib.contextmanager
    def open_provider(
        self, target: Target, direct: Callable[[Target], AbstractContextManager[OpenProvider]]
    ) -> Iterator[OpenProvider]:
        """As ``direct``, which is asked when the target is another one than before."""
        wanted = (target.provider, target.model if target.provider.embedded else None)
        if self._held is None or self._held[0] != wanted:
            self._let_go(None)
            self._held = wanted, self._stack.enter_context(direct(target))
        try:
            yield self._held[1]
        except CoreError as error:
            self._let_go(error)
            raise

    def _let_go(self, error: CoreError | None) -> None:
        """Leave the context that was held, by the error where there is one: it may put it better."""
        self._held = None
        stack, self._stack = self._stack, contextlib.ExitStack()
        if error is None:
            stack.close()
        else:
            stack.__exit__(type(error), error, error.__traceback__)
