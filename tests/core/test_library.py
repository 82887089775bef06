"""The public library: names, connections, answers, conversations and tools."""

from __future__ import annotations

import ast
import gc
import inspect
import json
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from running import python
from scripted import Answer, Scripted, answer, delta, sse

import provider_core
from provider_core import (
    Approve,
    FunctionTools,
    HttpTransport,
    ImagePart,
    Message,
    Provider,
    Refuse,
    Runtime,
    Settings,
    Text,
    TextPart,
    ToolEnded,
    Verdict,
    connect,
    errors,
    provider,
    testing,
)
from provider_core.chat import conversation
from provider_core.settings.schema import ProviderEntry
from provider_core.testing import FakeKeyStore, FakeTransport, cut, refuses, says

if TYPE_CHECKING:
    from provider_core import Connection, ToolResult

KEY = "sk-canary-0123456789abcdef"
ROOT = Path(__file__).parents[2]
LAB = Provider(name="lab", base_url="http://lab.test/v1", auth="none")


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"TELEX_HOME": str(tmp_path), "HOME": str(tmp_path)}


@pytest.fixture
def network() -> FakeTransport:
    return FakeTransport("Hello")


@pytest.fixture
def here(home: dict[str, str], network: FakeTransport) -> Runtime:
    return Runtime(environ=home, transport=network, key_store=FakeKeyStore())


@pytest.fixture
def model(here: Runtime) -> Connection:
    return connect(LAB, "m", runtime=here)


def configure(home: dict[str, str], text: str) -> None:
    folder = Path(home["TELEX_HOME"]) / "config"
    folder.mkdir()
    (folder / "settings.toml").write_text(text)


def said(network: FakeTransport) -> list[str]:
    """Who said what in the last request: "user: Hello"."""
    return [f"{turn['role']}: {turn.get('content')}" for turn in network.bodies[-1]["messages"]]


# --- the names ---------------------------------------------------------------------------------------------


def test_importing_the_package_imports_nothing_else() -> None:
    code = """
import sys
before = set(sys.modules)
import provider_core
print(*sorted(set(sys.modules) - before))
"""
    assert python(code).split() == ["provider_core"]


def test_every_name_is_there_and_they_are_sorted() -> None:
    assert provider_core.__all__ == sorted(provider_core.__all__)
    for name in provider_core.__all__:
        assert getattr(provider_core, name) is not None
    assert set(provider_core.__all__) <= set(dir(provider_core))


def test_a_type_checker_sees_the_same_names() -> None:
    tree = ast.parse(inspect.getsource(provider_core))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    types = provider_core.types.__all__
    assert "*" in seen
    assert (seen | {"__version__", *types}) - {"*"} >= set(provider_core.__all__)
    assert seen - {"*"} <= set(provider_core.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'provider_core' has no attribute 'conect'"):
        provider_core.conect  # type: ignore[attr-defined]  # noqa: B018


def test_every_public_class_and_function_has_a_docstring() -> None:
    for name in provider_core.__all__:
        value = getattr(provider_core, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, name


PROGRAM = """
from typing import Unpack, assert_never

import provider_core as core
from provider_core import Answer, Text, Verdict, connect, errors, provider


def told(notice: core.Notice) -> None:
    match notice:
        case core.Sent() | core.Idle() | core.Retrying() | core.FieldDropped() | core.FieldIgnored():
            pass
        case core.CallAsText():
            pass
        case _:
            assert_never(notice)


def shown(event: core.Event) -> None:
    match event:
        case core.Connecting() | core.AnswerEnded() | core.SchemaRetry() | core.ChatEnded():
            pass
        case core.FellBack() | core.Continuing():
            pass
        case core.Sent() | core.Idle() | core.Retrying() | core.FieldDropped() | core.FieldIgnored():
            pass
        case core.CallAsText():
            pass
        case core.Text() | core.Reasoning() | core.ToolCall() | core.Usage() | core.Finished():
            pass
        case core.Sources() | core.Image():
            pass
        case core.RequestStarted() | core.ToolStarted() | core.ToolProgress() | core.ToolEnded():
            pass
        case _:
            assert_never(event)


def ask(model: core.Connection, role: core.Role, **options: Unpack[core.ChatOptions]) -> str:
    seen = model.ask([core.TextPart(text="What?"), core.ImagePart(url="https://example.com/a.png")], **options)
    return seen.text + model.ask([core.Message(role=role, content="Why?")]).text


lab = provider("lab", base_url="http://127.0.0.1:8080/v1", key="none", retries=0)
try:
    with connect(lab, "m") as model:
        answer: Answer = model.ask("Hello?", temperature=0, system="Be brief.")
        words: str = answer.text
        for event in model.stream("Hello?", tools=[len]):
            match event:
                case Text(text=text):
                    words += text
        whole: bool = answer.verdict is Verdict.COMPLETE
except errors.RateLimitError as error:
    seconds: float | None = error.retry_after
"""

MISTAKES = """
from provider_core import connect, provider

provider("lab", base_ulr="http://127.0.0.1:8080/v1")
with connect("m") as model:
    model.ask("Hello?", temprature=0)
    model.ask("Hello?").txt
"""


def test_a_program_that_uses_it_is_type_checked(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "mistakes.py").write_text(MISTAKES)
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "program.py", "mistakes.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False, env={"MYPYPATH": str(ROOT)},
    )  # fmt: skip
    told = re.findall(r"^(\w+\.py):(\d+): error", checked.stdout, re.MULTILINE)
    assert told == [("mistakes.py", "4"), ("mistakes.py", "6"), ("mistakes.py", "7")], checked.stdout


# --- the examples ------------------------------------------------------------------------------------------


def indented(text: str) -> list[str]:
    """The code of a docstring: what stands indented below "::"."""
    blocks = re.findall(r"::\n\n((?:    .*\n|\n)+)", inspect.cleandoc(text) + "\n")
    return [inspect.cleandoc(block) for block in blocks]


EXAMPLES = [
    *(code for module in (provider_core, conversation, testing) for code in indented(module.__doc__ or "")),
    *(
        code
        for page in ("README.md", "docs/library.md")
        for code in re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    ),
]


def echo(asked: Any) -> Answer:
    """An answer to whatever is asked: a call of the tool that is offered, JSON where a schema is, else words."""
    body = asked.body
    if body.get("tools") and body["messages"][-1]["role"] != "tool":
        tool = body["tools"][0]["function"]
        arguments = dict.fromkeys(tool["parameters"]["properties"], "Oslo")
        call = {"index": 0, "id": "c", "function": {"name": tool["name"], "arguments": repr(arguments)}}
        call["function"]["arguments"] = call["function"]["arguments"].replace("'", '"')
        return Answer([*sse(delta(tool_calls=[call]), delta(finish="tool_calls"))])
    if "response_format" in body:
        return Answer(answer('{"name": "red", "age": 1}'))
    return Answer(answer("Because."))


@pytest.mark.parametrize("code", EXAMPLES, ids=lambda code: code.splitlines()[-1].strip()[:40])
def test_the_examples_run_as_they_are_written(code: str, home: dict[str, str], server: Scripted) -> None:
    server.will(echo)
    configure(
        home,
        f'[providers.deepseek]\npreset = "deepseek"\nbase_url = "{server.url}"\nkey_env = "DEEPSEEK_API_KEY"\n',
    )
    code = code.replace("http://127.0.0.1:8080/v1", server.url)
    python(code, {**home, "DEEPSEEK_API_KEY": KEY, "PYTHONWARNINGS": "error"})


def test_the_examples_in_doctests_are_true() -> None:
    import doctest

    for module in (conversation,):
        failed, tried = doctest.testmod(module)
        assert (failed, bool(tried)) == (0, True)


# --- connecting --------------------------------------------------------------------------------------------

SETTINGS = """
model = "fast"
[aliases]
fast = "one/a"
[providers.one]
base_url = "https://one.test/v1"
key = "keyring"
models = ["a"]
[providers.two]
base_url = "http://two.test/v1"
key = "none"
models = ["b", "c"]
"""


@pytest.mark.parametrize(
    ("name", "target", "key"),
    [
        (None, "one/a", KEY),
        ("fast", "one/a", KEY),
        ("one/new", "one/new", KEY),
        ("two", "two/b", None),
        ("c", "two/c", None),
        (("two", "c"), "two/c", None),
        ("nope", errors.ModelError, None),
        ("deepseek/x", errors.UnknownProviderError, None),
    ],
)
def test_a_name_means_what_it_means_to_telex(
    home: dict[str, str], here: Runtime, network: FakeTransport, name: Any, target: Any, key: str | None
) -> None:
    configure(home, SETTINGS)
    here.key_store.set("one", KEY)
    names = name if isinstance(name, tuple) else (name,)
    if not isinstance(target, str):
        with pytest.raises(target):
            connect(*names, runtime=here)
        return
    with connect(*names, runtime=here) as model:
        model.ask("Hello?")
        assert str(model.target) == target
    assert network.calls[0].headers.get("authorization") == (f"Bearer {key}" if key else None)


def test_without_a_provider_the_embedded_model_has_to_be_named(here: Runtime) -> None:
    with pytest.raises(errors.NoProviderError, match="no provider is set up"):
        connect(runtime=here)


@pytest.mark.parametrize("key", [None, f" {KEY}\n"])
def test_a_given_key_overrides_the_environment_and_the_keyring(
    home: dict[str, str], network: FakeTransport, key: str | None
) -> None:
    store = FakeKeyStore(broken="the keyring is locked")
    environ = {**home, "GROQ_API_KEY": "other" if key else KEY}
    here = Runtime(environ=environ, transport=network, key_store=store)
    with connect(
        provider("groq", **({"key": "keyring"} if key else {})), "x", key=key, runtime=here
    ) as model:
        model.ask("Hello?")
        assert KEY not in repr(model) + repr(vars(model))
    assert network.calls[0].url == "https://api.groq.com/openai/v1/chat/completions"
    assert network.calls[0].headers["authorization"] == f"Bearer {KEY}"
    assert store.asked == []


@pytest.mark.parametrize(
    ("key", "kind"),
    [(None, errors.MissingKeyError), ("", errors.InvalidKeyError), ("ключ", errors.InvalidKeyError)],
)
def test_a_key_that_cannot_be_used_is_an_error_before_anything_is_sent(
    here: Runtime, network: FakeTransport, key: str | None, kind: type[errors.CoreError]
) -> None:
    with pytest.raises(kind) as caught:
        connect(provider("groq"), "x", key=key, runtime=here)
    assert caught.value.provider == "groq"
    assert network.calls == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "unknown preset: lab"),
        ({"base_url": "lab"}, r"providers\.lab\.base_url: the base URL must begin with http"),
        ({"base_url": "http://x/v1", "bse": 1}, r"providers\.lab\.bse is not a setting"),
    ],
)
def test_an_invalid_provider_is_reported_with_the_field_and_without_a_file(
    fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(errors.SettingsError, match=words) as caught:
        provider("lab", **fields)
    assert caught.value.path is None


def test_a_provider_takes_the_fields_of_the_settings() -> None:
    assert set(conversation.ProviderFields.__annotations__) == set(ProviderEntry.model_fields)


def test_closing_a_connection_closes_only_what_it_opened(
    home: dict[str, str],
    here: Runtime,
    network: FakeTransport,
    server: Scripted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connect(LAB, "m", runtime=here).close()
    assert not network.closed
    server.will(answer("Hello"))
    for name, value in home.items():
        monkeypatch.setenv(name, value)
    with connect(provider("lab", base_url=server.url, key="none"), "m") as model:
        assert [model.ask("Hello?").text for _ in range(2)] == ["Hello"] * 2
    assert server.connections == 1


def test_costs_are_known_by_the_price_only_on_request(here: Runtime, network: FakeTransport) -> None:
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 1_000_000}
    network.will(says("Hello", usage=usage))
    openai = provider("openai", key="none")
    assert connect(openai, "gpt-4o-mini", runtime=here).ask("Hello?").cost is None
    found = connect(openai, "gpt-4o-mini", runtime=here, costs=True).ask("Hello?").cost
    assert found is not None
    assert (found.amount, found.source) == (Decimal("0.75"), "genai-prices")


def test_threads_may_share_a_connection(model: Connection, network: FakeTransport) -> None:
    network.will(lambda call: says(json.loads(call.body)["messages"][0]["content"])(call))
    with ThreadPoolExecutor(10) as pool:
        prompts = [f"number {number:02d}" for number in range(10)]
        assert [found.text for found in pool.map(model.ask, prompts)] == prompts


def test_a_connection_that_is_dropped_without_close_leaves_no_socket(
    home: dict[str, str], server: Scripted
) -> None:
    def transports() -> int:
        gc.collect()
        return sum(isinstance(each, HttpTransport) for each in gc.get_objects())

    before = transports()
    server.will(answer("Hello"))
    lab = provider("lab", base_url=server.url, key="none")
    for _ in range(30):
        assert connect(lab, "m", runtime=Runtime(environ=home)).ask("Hello?").text == "Hello"
    assert transports() == before


# --- asking ------------------------------------------------------------------------------------------------


def test_an_answer_has_everything_that_was_received(model: Connection, network: FakeTransport) -> None:
    network.will(says("Hel", "lo", reasoning="Hm.", usage={"prompt_tokens": 3, "completion_tokens": 2}))
    found = model.ask("Hello?", temperature=0, max_tokens=9, params={"seed": 1})
    assert (found.text, found.reasoning, found.verdict) == ("Hello", "Hm.", Verdict.COMPLETE)
    assert found.usage is not None
    assert (found.usage.input, found.usage.output, str(found.target)) == (3, 2, "lab/m")
    assert found.timing.total is not None
    body = network.bodies[0]
    assert (body["model"], body["temperature"], body["max_tokens"], body["seed"]) == ("m", 0, 9, 1)


@pytest.mark.parametrize(
    "prompt",
    [
        "Hi",
        Message(role="user", content="Hi"),
        (TextPart(text="Hi"),),
        [Message(role="user", content="1"), Message(role="user", content="Hi")],
    ],
    ids=["text", "message", "parts", "messages"],
)
def test_a_prompt_is_text_parts_or_messages(model: Connection, network: FakeTransport, prompt: Any) -> None:
    model.ask(prompt, system="Be brief.")
    assert said(network)[0] == "system: Be brief."
    assert said(network)[-1] == "user: Hi"


@pytest.mark.parametrize(
    ("prompt", "options", "words"),
    [
        (b"Hello?", {}, "a prompt is text, parts or messages"),
        (["Hello?"], {}, "a prompt is text, parts or messages"),
        ([1], {}, "a prompt is text, parts or messages"),
        ("Hello?", {"temprature": 0}, "'temprature'"),
    ],
)
def test_a_prompt_or_an_option_that_does_not_exist_is_a_type_error(
    model: Connection, network: FakeTransport, prompt: Any, options: Any, words: str
) -> None:
    with pytest.raises(TypeError, match=words):
        model.ask(prompt, **options)
    assert network.calls == []


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (says("Hel", cut), errors.ConnectionLostError),
        (says("", finish="content_filter"), errors.CoreError),
        (says(""), errors.CoreError),
        (refuses(401, "no"), errors.AuthenticationError),
    ],
    ids=["cut", "filtered", "empty", "refused"],
)
def test_an_incomplete_answer_is_an_exception_and_its_turn_forgotten(
    model: Connection, network: FakeTransport, step: Any, kind: type[Exception]
) -> None:
    network.will(step, "Hello")
    talk = model.conversation()
    with pytest.raises(kind):
        talk.ask("1?")
    assert talk.messages == ()
    talk.ask("2?")
    assert said(network) == ["user: 2?"]


def test_an_answer_at_a_token_limit_is_complete_only_if_the_caller_set_it(
    model: Connection, network: FakeTransport
) -> None:
    network.will(says("Hel", finish="length"))
    for options in ({}, {"params": {"max_tokens": None}}):
        with pytest.raises(errors.TokenLimitError):
            model.ask("Hello?", **options)
    names = ("max_completion_tokens", "max_output_tokens", "n_predict", "maxTokens")
    limits: list[Any] = [{name: 9} for name in names] + [{"options": {"num_predict": 9}}]
    assert model.ask("Hello?", max_tokens=9).verdict is Verdict.LENGTH
    for limit in limits:
        assert model.ask("Hello?", params=limit).verdict is Verdict.LENGTH


def test_closing_a_stream_closes_its_connection(model: Connection, network: FakeTransport) -> None:
    events = model.stream("Hello?")
    assert next(event for event in events if isinstance(event, Text)) == Text(text="Hello")
    assert network.open == 1
    events.close()
    assert network.open == 0


SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


def test_json_is_asked_for_again_with_the_reason(model: Connection, network: FakeTransport) -> None:
    network.will('{"age": "four"}', '{"age": 4}')
    assert model.ask_json("How old?", SCHEMA) == {"age": 4}
    assert network.bodies[0]["response_format"]["json_schema"]["schema"]["required"] == ["age"]
    assert said(network)[:2] == ["user: How old?", 'assistant: {"age": "four"}']
    assert "'four' is not of type 'integer'" in said(network)[2]


# --- conversations -----------------------------------------------------------------------------------------


def test_a_conversation_sends_its_earlier_turns(model: Connection, network: FakeTransport) -> None:
    network.will("one", "two")
    talk = model.conversation(system="Be brief.")
    talk.ask("1?")
    assert talk.ask("2?").text == "two"
    assert said(network) == ["system: Be brief.", "user: 1?", "assistant: one", "user: 2?"]
    model.conversation(talk.messages).ask("3?", system="Be long.")
    assert said(network)[0] == "system: Be long."
    assert said(network)[-2:] == ["assistant: two", "user: 3?"]
    model.ask("3?")
    assert said(network) == ["user: 3?"]


def test_a_conversation_can_be_stored_as_json(model: Connection, network: FakeTransport) -> None:
    network.will(says(calls=[("temperature", {"city": "Oslo"})], reasoning="Oslo, then."), "Cold.", "Yes.")
    talk = model.conversation(system="Be brief.")
    talk.ask(
        [TextPart(text="Is it cold here?"), ImagePart(url="https://example.com/a.png")], tools=[temperature]
    )
    stored = json.dumps(talk.stored())
    again = model.conversation(json.loads(stored))
    assert again.messages == talk.messages
    assert len(again.messages) == 5
    assert again.ask("Really?").text == "Yes."
    assert network.bodies[-1]["messages"][:2] == network.bodies[0]["messages"]
    assert [set(turn) for turn in json.loads(stored)][:2] == [{"role", "content"}, {"role", "content"}]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"role": "user"},
        {"role": "user", "content": [1]},
        {"role": "user", "content": "x", "tool": 1},
        {1: 2},
    ],
)
def test_a_mapping_that_is_not_a_stored_message_is_refused(model: Connection, wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidInputError, match="not a stored message"):
        model.conversation([wrong])


@pytest.mark.parametrize("end", ["closed", "cut"])
def test_a_stream_that_ends_early_is_part_of_the_conversation(
    model: Connection, network: FakeTransport, end: str
) -> None:
    network.will(says("Hel", *([cut] if end == "cut" else ["lo"])), "Hello")
    talk = model.conversation()
    events = talk.stream("1?")
    next(event for event in events if isinstance(event, Text))
    if end == "closed":
        events.close()
    else:
        *_, last = events
        assert isinstance(last, provider_core.ChatEnded)
        assert last.answer.verdict is Verdict.PARTIAL
    talk.ask("2?")
    assert said(network) == ["user: 1?", "assistant: Hel", "user: 2?"]


def test_a_stream_without_an_answer_is_not(model: Connection, network: FakeTransport) -> None:
    network.will(refuses(401, "no"))
    talk = model.conversation(system="Be brief.")
    with pytest.raises(errors.AuthenticationError):
        list(talk.stream("1?", system="Be long."))
    assert talk.messages == (Message(role="system", content="Be brief."),)


# --- tools -------------------------------------------------------------------------------------------------


def temperature(city: str) -> float:
    """The temperature there now, in °C."""
    return {"Oslo": -3.5}[city]


CALL = says("Let me see. ", calls=[("temperature", {"city": "Oslo"})])


def test_functions_are_called_and_the_answer_is_the_last_one(
    model: Connection, network: FakeTransport
) -> None:
    network.will(CALL, "It is cold.", "Very.")
    talk = model.conversation()
    assert talk.ask("In Oslo?", tools=[temperature]).text == "It is cold."
    offered = network.bodies[0]["tools"][0]["function"]
    assert (offered["name"], offered["description"]) == ("temperature", "The temperature there now, in °C.")
    assert said(network)[1:] == ["assistant: Let me see. ", "tool: -3.5"]
    talk.ask("How cold?")
    assert said(network)[2:] == ["tool: -3.5", "assistant: It is cold.", "user: How cold?"]


class Elsewhere:
    """A toolbox whose tools are not this program's own functions."""

    def __init__(self) -> None:
        self._inner = FunctionTools([temperature])
        self.name, self.tools, self.limits = "elsewhere", self._inner.tools, self._inner.limits

    def run(self, name: str, arguments: Any, *, stop: threading.Event) -> ToolResult:
        return self._inner.run(name, arguments, stop=stop)


@pytest.mark.parametrize(
    ("tool", "approve", "text"),
    [
        (temperature, None, "-3.5"),
        (temperature, Refuse(reason="not now"), "the user refused: not now"),
        (Elsewhere(), None, "the user refused: there is no one to approve it"),
        (Elsewhere(), Approve(), "-3.5"),
    ],
)
def test_functions_run_without_approval_and_other_tools_do_not(
    model: Connection, network: FakeTransport, tool: Any, approve: Any, text: str
) -> None:
    name = "temperature" if tool is temperature else "elsewhere__temperature"
    network.will(says(calls=[(name, {"city": "Oslo"})]), "Done.")
    options: Any = {} if approve is None else {"approve": lambda call: approve}
    (ended,) = (e for e in model.stream("In Oslo?", tools=[tool], **options) if isinstance(e, ToolEnded))
    assert ended.result.text == text
    network.will(says(calls=[(name, {"city": "Oslo"})]), "Done.")
    assert model.ask("In Oslo?", tools=[tool], **options).text == "Done."


def test_a_stream_that_was_left_between_calls_can_be_continued(
    model: Connection, network: FakeTransport
) -> None:
    network.will(CALL, "It is cold.", "Never mind.")
    talk = model.conversation()
    events = talk.stream("In Oslo?", tools=[temperature])
    next(event for event in events if isinstance(event, provider_core.ToolCall))
    events.close()
    talk.ask("Go on.")
    sent = network.bodies[-1]["messages"]
    called = {call["id"] for turn in sent for call in turn.get("tool_calls", ())}
    assert called == {turn["tool_call_id"] for turn in sent if turn["role"] == "tool"}
    assert said(network)[-1] == "user: Go on."


# --- aliases -----------------------------------------------------------------------------------------------


def test_an_alias_brings_its_options_and_the_next_target_answers(tmp_path: Path) -> None:
    one = provider("one", base_url="http://127.0.0.1:1/v1", key="none", retries=0)
    two = provider("two", base_url="http://127.0.0.1:2/v1", key="none", temperature=0.2, params={"top_k": 20})
    fast = provider_core.Alias(targets=("one/m", "two/m"), options={"system": "Be brief.", "max_tokens": 9})
    network = FakeTransport(refuses(503, "busy"), says("Hello"), says("Again"))
    here = Runtime(
        environ={"TELEX_HOME": str(tmp_path)},
        settings=Settings(providers={"one": one, "two": two}, aliases={"fast": fast}),
        transport=network,
        key_store=FakeKeyStore(),
    )
    with connect("fast", runtime=here) as model:
        talk = model.conversation()
        events = list(talk.stream("Hello?", max_tokens=5))
        assert [event.name for event in events if isinstance(event, provider_core.FellBack)] == ["one/m"]
        assert talk.ask("And?").text == "Again"  # the first one rests
    failed, answered, again = network.bodies
    assert [failed["max_tokens"], answered["max_tokens"], again["max_tokens"]] == [5, 5, 9]
    assert [body.get("temperature") for body in network.bodies] == [None, 0.2, 0.2]
    assert ("top_k" in failed, answered["top_k"]) == (False, 20)
    assert [message["role"] for message in again["messages"]] == ["system", "user", "assistant", "user"]
    assert [call.url.rpartition("/v1")[0][-1] for call in network.calls] == ["1", "2", "2"]


def test_a_given_key_goes_to_no_other_provider(tmp_path: Path) -> None:
    one, two = (provider(name, base_url=f"http://127.0.0.1:{at}/v1") for at, name in ((1, "one"), (2, "two")))
    here = Runtime(
        environ={"TELEX_HOME": str(tmp_path)},
        settings=Settings(
            providers={"one": one, "two": two},
            aliases={"fast": provider_core.Alias(targets=("one/m", "one/n", "two/m"))},
        ),
        transport=(network := FakeTransport(refuses(503, "busy"), refuses(503, "busy"))),
        key_store=FakeKeyStore(),
    )
    with connect("fast", key=KEY, runtime=here) as model, pytest.raises(errors.MissingKeyError):
        model.ask("Hello?")
    assert [call.headers.get("authorization") for call in network.calls] == [f"Bearer {KEY}"] * 2
