"""The front door: from a model's name, or a provider of one's own, to something that can be asked.

::

    from provider_core import connect

    with connect("deepseek/deepseek-v4-flash") as model:
        print(model.ask("Why is the sky blue?").text)
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict

from provider_core.conversation import Conversation, OpenModel
from provider_core.errors import NoProviderError, SettingsError
from provider_core.runtime import Runtime
from provider_core.types import Message, Provider, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import Unpack

    from provider_core.answer import Answer
    from provider_core.conversation import Options, Prompt
    from provider_core.tools import AgentEvent
    from provider_core.types import Json, Notice

__all__ = ["Connection", "Fields", "connect", "provider"]


class Fields(TypedDict, total=False):
    """The keys of a ``[providers.NAME]`` table of the settings."""

    preset: str
    display_name: str
    base_url: str
    variables: Mapping[str, str]
    key: Literal["keyring", "none"]
    key_env: str
    key_command: str
    headers: Mapping[str, str]
    models: Sequence[str | Mapping[str, Any]]
    default_model: str
    enabled: bool
    gguf: str | Path
    ca_bundle: str | Path
    client_cert: str | Path
    proxy: str
    allow_http: bool
    connect_timeout: float
    first_byte_timeout: float
    idle_timeout: float
    retries: int
    retry_budget: float


def provider(name: str, **fields: Unpack[Fields]) -> Provider:
    """The provider that ``telex providers add NAME`` would set up, without setting anything up.

    ``name`` is a preset's, unless the fields give a ``preset``, a ``base_url`` or a ``gguf`` file; the fields
    are those of the settings. Raises ``SettingsError``.

    >>> provider("deepseek").base_url
    'https://api.deepseek.com'
    >>> provider("lab", base_url="http://127.0.0.1:8080/v1", key="none").url("/models")
    'http://127.0.0.1:8080/v1/models'
    """
    from provider_core.settings import Paths, preview

    table: dict[str, Any] = dict(fields)
    if not table.keys() & {"preset", "base_url", "gguf"}:
        table["preset"] = name
    try:
        made = preview(name, table, Paths.find({}))
    except SettingsError as error:
        error.path = None  # no file has a part in it
        raise
    return replace(made, key_env_for="")  # the program itself names the address


def connect(
    to: str | Provider | None = None,
    model: str | None = None,
    /,
    *,
    key: str | None = None,
    runtime: Runtime | None = None,
    notify: Callable[[Notice], None] | None = None,
) -> Connection:
    """A model that can be asked until the connection is closed.

    ``to`` is what ``telex chat -m`` takes ("deepseek/deepseek-v4-flash", a provider's name, an alias), resolved
    with this user's settings; None is the default model, but not the embedded one unless the settings name it.
    Or it is a provider of the program's own, of which ``model`` is asked, else its default, else the first that
    its server lists.

    ``key`` counts before the provider's own sources of one: environment, key command, keyring. ``runtime`` stands
    for all that is read from this machine. ``notify`` is told of retries and of fields that a server refused.

    Raises ``ModelError``, ``SettingsError`` and ``ApiKeyError``; ``LocalModelError`` where the model is one that
    runs beside the program, as long as the connection is open.
    """
    stack = ExitStack()
    try:
        if runtime is None:
            runtime = Runtime()
            stack.callback(runtime.close)
        if isinstance(to, Provider):
            runtime = runtime.only(to)
            if to.gguf is not None and not to.models:
                model = model or to.name  # a file is served under whatever name it is asked by
            target = Target(provider=to, model=model) if model else runtime.target(to.name)
        else:
            name = "/".join(filter(None, (to, model)))
            target = runtime.target(name or None)
            if not name and target.provider.embedded and runtime.settings.model is None:
                # A program that names no model does not want a small one that has to be downloaded.
                raise NoProviderError(
                    'no provider is set up; to use the small embedded model: connect("local")'
                )
        opened = stack.enter_context(runtime.open_provider(target, key=key))
        reached = OpenModel(
            target=target,
            client=opened.client,
            provider=opened.provider,
            key=opened.key,
            notify=notify,
            reads_images=runtime.catalog.reads_images(target),
        )
        return Connection(reached, stack)
    except BaseException:
        stack.close()
        raise


class Connection:
    """One model, until ``close``; several threads may ask it at a time. See ``connect``."""

    def __init__(self, reached: OpenModel, stack: ExitStack) -> None:
        self._reached = reached
        self._stack = stack

    @property
    def target(self) -> Target:
        """Which model of which provider is asked."""
        return self._reached.target

    def conversation(
        self, messages: Iterable[Message | Mapping[str, Json]] = (), *, system: str = ""
    ) -> Conversation:
        """A conversation that goes on from ``messages``, also from those of ``Conversation.stored``.

        Raises ``InvalidInputError`` for what was never stored there.
        """
        first = (Message(role="system", content=system),) if system else ()
        return Conversation(self._reached, (*first, *messages))

    def ask(self, prompt: Prompt, **options: Unpack[Options]) -> Answer:
        """The whole answer, or an exception: see ``Conversation.ask``."""
        return self.conversation().ask(prompt, **options)

    def stream(self, prompt: Prompt, **options: Unpack[Options]) -> Generator[AgentEvent, None, None]:
        """The events as they come, ``Finished`` last: see ``Conversation.stream``."""
        return self.conversation().stream(prompt, **options)

    def ask_json(
        self, prompt: Prompt, schema: Mapping[str, Json], /, *, retries: int = 1, **options: Unpack[Options]
    ) -> Json:
        """The answer as JSON that fits ``schema``: see ``Conversation.ask_json``."""
        return self.conversation().ask_json(prompt, schema, retries=retries, **options)

    def close(self) -> None:
        """Close what is kept open for it, and end a model that runs beside the program."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
