"""What is said about each error: the exit code, the advice, and that every command it names exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import documents
import pytest

from provider_core import errors
from provider_core.types import Network, Provider
from telex.app import App
from telex.error_hints import code_and_hint
from telex.exit_codes import ExitCode
from telex.main import COMMANDS, reported, root

ROOT = Path(__file__).parents[2]
LAB = Provider(name="lab", base_url="http://127.0.0.1:1/v1")
QWEN = Provider(name="q", preset="qwen", base_url="https://host.test/v1", key_env=("Q",))


def tls(cause: str, trusted: str = "") -> errors.TLSError:
    error = errors.TLSError("x")
    error.cause, error.trusted = cause, trusted
    return error


def other_bundle() -> errors.TLSError:
    error = tls("issuer")
    error.other_bundle = ("REQUESTS_CA_BUNDLE", "/etc/my ca.pem")
    return error


def missing(model: str) -> errors.ModelNotFoundError:
    error = errors.ModelNotFoundError("x")
    error.model = model
    return error


CASES = [
    (errors.InvalidInputError("x"), None, ExitCode.USAGE, None),
    (errors.SettingsError("x"), None, ExitCode.SETTINGS, None),
    (errors.FileError("x", path=Path("x")), None, ExitCode.OTHER, None),
    (
        errors.ModelError("x", candidates=["a/b"], code="unknown_model"),
        None,
        ExitCode.SETTINGS,
        "Did you mean a/b?",
    ),
    (errors.ModelError("x", code="unknown_model"), None, ExitCode.SETTINGS, "telex models list"),
    (
        errors.ModelError("x", candidates=["a/m", "b/m"], code="ambiguous_model"),
        None,
        ExitCode.SETTINGS,
        "a/m, b/m",
    ),
    (
        errors.UnknownProviderError("x", name="groq", preset=True),
        None,
        ExitCode.SETTINGS,
        "telex providers add groq",
    ),
    (errors.UnknownProviderError("x", name="zzz"), None, ExitCode.SETTINGS, "telex providers list"),
    (errors.NoModelError("x", candidates=["a/b"]), None, ExitCode.SETTINGS, "a/b"),
    (errors.NoModelError("x", provider="lab"), LAB, ExitCode.SETTINGS, "lab/MODEL"),
    (errors.NoProviderError("x"), None, ExitCode.KEY, "telex providers add openai"),
    (errors.MissingKeyError("x", provider="q", key_env=["A", "B"]), QWEN, ExitCode.KEY, "Set A or B"),
    (errors.MissingKeyError("x", provider="q"), QWEN, ExitCode.KEY, "telex providers set-key q"),
    (errors.InvalidKeyError("x"), QWEN, ExitCode.KEY, None),
    (
        errors.KeyDestinationError("x", destination="https://a"),
        LAB,
        ExitCode.KEY,
        "telex providers edit lab --trust",
    ),
    (
        errors.KeyDestinationError("x", destination="https://a", unknown=True),
        LAB,
        ExitCode.KEY,
        "telex providers set-key lab",
    ),
    (
        errors.KeyDestinationError("x", destination="http://a", unencrypted=True),
        LAB,
        ExitCode.KEY,
        "telex providers edit lab --allow-http",
    ),
    (errors.MissingKeyError("x", secret="env:GW"), LAB, ExitCode.KEY, "Set GW"),
    (errors.MissingKeyError("x", secret="keyring:gw"), LAB, ExitCode.KEY, "telex providers set-secret gw"),
    (errors.KeyStoreError("x", provider="q"), QWEN, ExitCode.KEY, "telex providers set-key q --key-env"),
    (errors.KeyStoreError("x", provider="q"), None, ExitCode.KEY, "telex providers add q --key-env"),
    (errors.KeyStoreError("x"), None, ExitCode.KEY, "telex providers add NAME --key-env"),
    (errors.KeyStoreError("x", state="locked"), QWEN, ExitCode.KEY, "Unlock the keyring"),
    (errors.KeyStoreError("x", state="missing"), QWEN, ExitCode.KEY, "Take the key from elsewhere: telex"),
    (errors.AuthenticationError("x", provider="q"), QWEN, ExitCode.KEY, "Keys are per region"),
    (errors.AuthenticationError("x"), replace(LAB, auth="none"), ExitCode.KEY, "set up without a key"),
    (errors.PermissionDeniedError("x"), LAB, ExitCode.KEY, None),
    (errors.RateLimitError("x", retry_after=40), LAB, ExitCode.LIMIT, "in 40 s"),
    (errors.RateLimitError("x", retry_after=7200), LAB, ExitCode.LIMIT, "in 2 hours"),
    (errors.RateLimitError("x"), LAB, ExitCode.LIMIT, "--retries"),
    (errors.QuotaError("x"), QWEN, ExitCode.LIMIT, "credit"),
    (errors.QuotaError("x"), None, ExitCode.LIMIT, "credit"),
    (errors.QuotaError("x", words="You can afford 3919."), LAB, ExitCode.LIMIT, "--max-tokens 3919"),
    (errors.QuotaError("x", words="or fewer max_tokens"), LAB, ExitCode.LIMIT, "--max-tokens 500"),
    (errors.BadRequestError("x"), LAB, ExitCode.PROVIDER, None),
    (errors.ContextOverflowError("x"), LAB, ExitCode.PROVIDER, "Shorten"),
    (errors.ContentPolicyError("x"), LAB, ExitCode.PROVIDER, None),
    (errors.NotFoundError("x"), LAB, ExitCode.PROVIDER, "telex providers edit lab --base-url"),
    (
        errors.NotFoundError("x"),
        replace(LAB, base_url="http://h.test"),
        ExitCode.PROVIDER,
        "http://h.test/v1",
    ),
    (errors.NotFoundError("x"), replace(LAB, base_url="http://h.test/v1/v1"), ExitCode.PROVIDER, "twice"),
    (errors.ModelNotFoundError("x"), replace(LAB, preset="ollama"), ExitCode.SETTINGS, "ollama pull MODEL"),
    (other_bundle(), LAB, ExitCode.NETWORK, "telex providers edit lab --ca-bundle '/etc/my ca.pem'"),
    (missing("llama9"), replace(LAB, preset="ollama"), ExitCode.SETTINGS, "ollama pull llama9\n"),
    (errors.ModelNotFoundError("x"), LAB, ExitCode.SETTINGS, "telex models list --provider lab --refresh"),
    (errors.WrongEndpointError("x"), LAB, ExitCode.SETTINGS, "telex models list --provider lab"),
    (errors.ServerError("x"), LAB, ExitCode.PROVIDER, None),
    (errors.OverloadedError("x"), LAB, ExitCode.PROVIDER, "later"),
    (errors.TokenLimitError("x"), LAB, ExitCode.PROVIDER, "--max-tokens"),
    (errors.ProtocolError("x"), LAB, ExitCode.PROVIDER, None),
    (errors.ProtocolError("x", code="empty_stream"), LAB, ExitCode.PROVIDER, "--no-stream"),
    (
        errors.TokenLimitError("x", code="model_context_window_exceeded"),
        LAB,
        ExitCode.PROVIDER,
        "larger context window",
    ),
    (
        errors.ProtocolError("x", status=200),
        replace(LAB, base_url="http://h.test"),
        ExitCode.PROVIDER,
        "http://h.test/v1",
    ),
    (errors.ProtocolError("x"), replace(LAB, base_url="http://h.test"), ExitCode.PROVIDER, None),
    (
        errors.ProtocolError("x", status=200),
        replace(QWEN, base_url="https://h.test"),
        ExitCode.PROVIDER,
        None,
    ),
    (errors.ConnectError("x", url="http://127.0.0.1:1"), LAB, ExitCode.NETWORK, "Is the server running?"),
    (errors.ConnectError("x", url="http://h.test"), QWEN, ExitCode.NETWORK, "address right"),
    (errors.TLSError("x"), QWEN, ExitCode.NETWORK, None),
    (tls("issuer"), QWEN, ExitCode.NETWORK, "telex providers edit q --ca-bundle FILE\nOr set SSL_CERT_FILE"),
    (
        tls("issuer", "SSL_CERT_FILE"),
        QWEN,
        ExitCode.NETWORK,
        "are set by SSL_CERT_FILE, and the issuer is not",
    ),
    (tls("client"), QWEN, ExitCode.NETWORK, "telex providers edit q --client-cert FILE"),
    (
        tls("client"),
        replace(QWEN, network=Network(client_cert=Path("c.pem"))),
        ExitCode.NETWORK,
        "It refuses c.pem. Use another one: telex providers edit q --client-cert FILE",
    ),
    (tls("name"), QWEN, ExitCode.NETWORK, "telex providers edit q --base-url URL"),
    (tls("dates"), QWEN, ExitCode.NETWORK, "Check the date of this machine"),
    (tls("plain"), QWEN, ExitCode.NETWORK, "telex providers edit q --base-url http://host.test/v1"),
    (
        errors.BadRequestError("x", words="The plain HTTP request was sent to HTTPS port"),
        LAB,
        ExitCode.PROVIDER,
        "telex providers edit lab --base-url https://127.0.0.1:1/v1",
    ),
    (
        errors.ConnectionLostError("x", url="http://127.0.0.1:1"),
        LAB,
        ExitCode.NETWORK,
        "telex providers edit lab --base-url https://127.0.0.1:1/v1",
    ),
    (
        errors.ProtocolError("x", code="not_http"),
        LAB,
        ExitCode.PROVIDER,
        "telex providers edit lab --base-url https://127.0.0.1:1/v1",
    ),
    (
        errors.ConnectError("x", proxy="HTTP_PROXY", login=True),
        LAB,
        ExitCode.NETWORK,
        "Put them into HTTP_PROXY",
    ),
    (errors.ConnectError("x", proxy="ALL_PROXY"), LAB, ExitCode.NETWORK, "The proxy is set by ALL_PROXY"),
    (errors.DeadlineError("x", phase="connect", seconds=1), LAB, ExitCode.NETWORK, "--connect-timeout"),
    (errors.DeadlineError("x", phase="idle", seconds=1), LAB, ExitCode.NETWORK, "--timeout"),
    (errors.ConnectionLostError("x"), LAB, ExitCode.NETWORK, None),
    (errors.LocalModelError("x"), None, ExitCode.OTHER, None),
    (errors.LocalModelError("x", path=Path("m.gguf")), None, ExitCode.OTHER, None),
    (errors.LocalModelError("x", path=Path("/data/models")), None, ExitCode.OTHER, "set TELEX_HOME"),
    (errors.LocalModelError("x", code="not_installed"), None, ExitCode.SETTINGS, "telex[local]"),
    (
        errors.ModelFileError("x", path=Path("m.gguf")),
        replace(LAB, gguf=Path("m.gguf")),
        ExitCode.SETTINGS,
        "telex providers edit lab --gguf",
    ),
    (errors.ModelFileError("x", path=Path("m.gguf")), None, ExitCode.SETTINGS, None),
    (errors.LocalModelError("x", code="fetch"), None, ExitCode.NETWORK, "--gguf FILE"),
    (errors.ToolError("x"), None, ExitCode.TOOL, None),
    (errors.UnknownToolError("x"), None, ExitCode.USAGE, None),
    (errors.ToolArgumentsError("x"), None, ExitCode.TOOL, None),
    (errors.ToolRefusedError("x"), None, ExitCode.TOOL, None),
    (errors.ToolError("x", seconds=60, code="timeout"), None, ExitCode.TOOL, None),
    (errors.ToolServerError("x"), None, ExitCode.PROVIDER, None),
    (
        errors.ToolServerError("x", server="lab", code="access"),
        None,
        ExitCode.KEY,
        "telex mcp add lab --help",
    ),
    (
        errors.ToolServerError("x", server="lab", code="connect"),
        None,
        ExitCode.NETWORK,
        "start_timeout in [mcp.lab]",
    ),
    (errors.ToolSecretError("x", source="env:A"), None, ExitCode.KEY, "Set A"),
    (errors.ToolSecretError("x", source="keyring:a"), None, ExitCode.KEY, "telex mcp set-secret a"),
    (errors.ToolServerError("x", server="lab", code="session"), None, ExitCode.PROVIDER, None),
    (errors.ToolServerError("x", code="not_installed"), None, ExitCode.SETTINGS, "telex[mcp]"),
    (errors.UnknownToolServerError("x"), None, ExitCode.SETTINGS, "telex mcp list"),
    (errors.UnknownToolServerError("x", candidates=["time"]), None, ExitCode.SETTINGS, "mean time?"),
    (errors.HistoryError("x"), None, ExitCode.OTHER, None),
    (errors.HistoryError("x", code="busy"), None, ExitCode.OTHER, "try again"),
    (
        errors.HistoryError("x", path=Path("/my data/h.db"), code="corrupt"),
        None,
        ExitCode.OTHER,
        "mv '/my data/h.db' '/my data/h.db.old'",
    ),
    (errors.HistoryError("x", path=Path("h.db"), code="newer"), None, ExitCode.OTHER, "Upgrade telex"),
    (errors.UnknownConversationError("x"), None, ExitCode.SETTINGS, "telex history list"),
    (
        errors.UnknownConversationError(
            "x", candidates=[("k3f9a2bq", "Mend it"), ("b" * 8, "Mend me")], code="ambiguous"
        ),
        None,
        ExitCode.SETTINGS,
        "k3f9a2bq  Mend it\nbbbbbbbb  Mend me",
    ),
    (
        errors.ToolRefusedError("x", names=["a/b", "a/c"], code="not_allowed"),
        None,
        ExitCode.TOOL,
        "--allow a/b --allow a/c",
    ),
    (errors.LoopLimitError("x", turns=10), LAB, ExitCode.TOOL, "--max-turns"),
    (errors.AttachmentError("x", name="a.png", image=True), None, ExitCode.USAGE, "--image a.png"),
    (
        errors.AttachmentError("x", name="a.svg", looks_like="an SVG image"),
        None,
        ExitCode.USAGE,
        "--file a.svg",
    ),
    (errors.AttachmentError("x", name="my shot", image=True), None, ExitCode.USAGE, "--image 'my shot'"),
    (errors.AttachmentError("x", name="stdin", image=True), None, ExitCode.USAGE, "--image -"),
    (errors.AttachmentError("x", name="*.py"), None, ExitCode.USAGE, "The shell expands patterns"),
    (errors.AttachmentError("x", name="a.py"), None, ExitCode.USAGE, None),
    (errors.InvalidInputError("x", code="no_vision"), None, ExitCode.USAGE, "telex models list --vision"),
    (errors.SchemaError("x"), None, ExitCode.USAGE, None),
    (errors.SchemaMismatchError("x"), None, ExitCode.PROVIDER, "--retries-schema"),
    (errors.VariableError("x", missing=["a", "b"]), None, ExitCode.USAGE, "--var a=VALUE --var b=VALUE"),
    (errors.VariableError("x", missing=["stdin"]), None, ExitCode.USAGE, "text on stdin"),
    (errors.VariableError("x", missing=["prompt"]), None, ExitCode.USAGE, "needs a prompt"),
    (errors.VariableError("x"), None, ExitCode.USAGE, None),
    (errors.TemplateError("x", path=Path("t.toml"), line=3), None, ExitCode.SETTINGS, None),
    (
        errors.TemplateError("x", name="t", candidates=["u"], code="unknown_template"),
        None,
        ExitCode.SETTINGS,
        "mean u?",
    ),
    (
        errors.TemplateError("x", name="t", code="unknown_template"),
        None,
        ExitCode.SETTINGS,
        "telex templates edit t",
    ),
    (errors.TemplateError("x", code="unknown_template"), None, ExitCode.SETTINGS, "telex templates list"),
    (errors.CoreError("x"), None, ExitCode.OTHER, None),
]


@pytest.mark.parametrize(("error", "provider", "code", "words"), CASES)
def test_each_error_has_its_code_and_its_advice(
    error: errors.CoreError, provider: Provider | None, code: ExitCode, words: str | None
) -> None:
    found, hint = code_and_hint(error, provider)
    assert found == code
    assert hint is None if words is None else hint is not None and words in hint


def test_an_unexpected_exception_is_reported_by_its_place_without_its_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = App(environ={})
    with reported(app) as outcome:
        raise LookupError("sk-secret")
    assert outcome.code == ExitCode.OTHER
    assert re.fullmatch(
        r"telex: internal error in test_error_hints\.py:\d+ \(LookupError\)\. Please report it\.\n",
        capsys.readouterr().err,
    )


def test_every_class_of_error_is_in_the_table_above() -> None:
    classes = {getattr(errors, name) for name in errors.__all__}
    abstract = {errors.ModelError, errors.ApiKeyError, errors.ProviderError, errors.NetworkError}
    assert classes - {type(case[0]) for case in CASES} <= abstract


def commands(text: str) -> list[str]:
    """The telex commands in a text, up to where prose or another command goes on."""
    return re.findall(rf"\btelex ((?:{'|'.join(COMMANDS)})\b[^\n`()|>#;,:]*)", text)


def complaint(line: str) -> str | None:
    """Why this is no command line of telex: a command or an option that does not exist."""
    context = click.Context(root)
    command: click.Command = root
    sentence = re.split(r"(?<=\w)\.(?:\s|$)", line)[0]
    words = [word.strip('."') for word in sentence.split()]
    while isinstance(command, click.Group) and words:
        inner = command.get_command(context, words.pop(0))
        if inner is None:
            return f"no such command: telex {line}"
        command = inner
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    known |= {"--help", "-h"}
    words = words[: words.index("--")] if "--" in words else words
    options = [word for word in words if re.fullmatch(r"-{1,2}[a-z][a-z-]*", word)]
    unknown = [option for option in options if option not in known]
    return f"no such option: {unknown} in telex {line}" if unknown else None


def strings(path: Path) -> Iterator[str]:
    """The texts in a module, docstrings too; what an f-string puts in is X."""
    tree = ast.parse(path.read_text())
    parts = {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(each.value) if isinstance(each, ast.Constant) else "X" for each in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.value


SOURCES = [
    path for folder in ("cli/telex", "provider_core") for path in sorted((ROOT / folder).rglob("*.py"))
]


def test_every_command_that_the_source_names_exists() -> None:
    """Hints, notes, errors and docstrings; a command that is put in by an f-string is checked by its hint above."""
    found = {
        str(path.relative_to(ROOT)): wrong
        for path in SOURCES
        for text in strings(path)
        for line in commands(text)
        if "X" not in line.split()[:2] and (wrong := complaint(line))
    }
    assert found == {}


HINTS = [hint for case in CASES if (hint := code_and_hint(case[0], case[1])[1])]


@pytest.mark.parametrize("text", [*HINTS, *((ROOT / page).read_text() for page in documents.pages())])
def test_every_command_that_is_named_exists(text: str) -> None:
    assert [found for line in commands(text) if (found := complaint(line))] == []


def test_a_command_that_does_not_exist_would_be_noticed() -> None:
    assert complaint("providers nonsense x")
    assert complaint("chat --nonsense")
    assert complaint("providers edit lab --base-url URL") is None
