"""What is said about each error: the exit code, the advice, and that every command it names exists."""

from __future__ import annotations

import ast
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import click
import documents
import pytest

from provider_core import errors
from provider_core import errors as e
from provider_core.types import Network, Provider
from telex.app import App
from telex.error_hints import code_and_hint, install_command, upgrade_command
from telex.exit_codes import ExitCode
from telex.main import COMMANDS, CommandWithVerbs, reported, root

ROOT = Path(__file__).parents[2]
LAB = Provider(name="lab", base_url="http://127.0.0.1:1/v1")
QWEN = Provider(name="q", preset="qwen", base_url="https://host.test/v1", key_env=("Q",))


CODES = {
    1: [e.FileError("x", path=Path("x")), e.LocalModelError("x"), e.HistoryError("x"),
        e.HistoryError("x", code="busy"), e.CoreError("x")],
    2: [e.InvalidInputError("x"), e.UnknownToolError("x"), e.AttachmentError("x", name="src", code="too_much"),
        e.AttachmentError("x", code="no_text"), e.AttachmentError("x", code="no_web"),
        e.InvalidInputError("x", code="no_audio"), e.InvalidInputError("x", code="no_pdf"),
        e.InvalidInputError("x", code="no_dask"), e.InvalidInputError("x", code="worker_version"),
        e.InvalidInputError("x", code="other_provider"), e.InvalidInputError("x", code="no_vision"),
        e.SchemaError("x"), e.VariableError("x")],
    3: [e.SettingsError("x")],
    4: [e.InvalidKeyError("x"), e.KeyStoreError("x"), e.KeyStoreError("x", state="missing"),
        e.ToolServerError("x", server="lab", code="access")],
    5: [e.QuotaError("x"), e.BudgetError("x", code="max_cost", limit=Decimal(1), spent=Decimal(1))],
    6: [e.BadRequestError("x"), e.BadRequestError("x", status=413), e.ContextOverflowError("x"),
        e.ContentPolicyError("x"), e.ServerError("x"), e.OverloadedError("x"), e.ProtocolError("x"),
        e.ProtocolError("x", code="empty_stream"), e.ToolServerError("x"),
        e.ToolServerError("x", server="lab", code="session"), e.SchemaMismatchError("x")],
    7: [e.TLSError("x"), e.TLSError("x", cause="name"), e.TLSError("x", cause="dates"),
        e.ConnectionLostError("x"), e.LocalModelError("x", code="fetch"),
        e.ToolServerError("x", server="lab", code="connect", seconds=9)],
    8: [e.ToolError("x"), e.ToolArgumentsError("x"), e.ToolRefusedError("x"),
        e.ToolError("x", seconds=60, code="timeout"), e.LoopLimitError("x", turns=10)],
}  # fmt: skip
"""Errors without a hint, or with one that depends on nothing."""
CASES = [
    (e.LocalModelError("x", code="not_installed"), None, 3, "telex[local]"),
    (e.ToolServerError("x", code="not_installed"), None, 3, "telex[mcp]"),
    (e.ModelError("x", candidates=["a/b"], code="unknown_model"), None, 3, "Did you mean a/b?"),
    (e.ModelError("x", code="unknown_model"), None, 3, "telex models list"),
    (e.ModelError("x", candidates=["a/m", "b/m"], code="ambiguous_model"), None, 3, "a/m, b/m"),
    (e.ModelError("x", provider="lab", code="disabled_provider"), None, 3, "telex providers edit lab --enable"),
    (e.UnknownProviderError("x", name="groq", preset=True), None, 3, "telex providers add groq"),
    (e.UnknownProviderError("x", name="zzz"), None, 3, "telex providers list"),
    (e.NoModelError("x", candidates=["a/b"]), None, 3, "a/b"),
    (e.NoModelError("x", provider="lab"), LAB, 3, "lab/MODEL"),
    (e.NoProviderError("x"), None, 4, "telex providers add openai"),
    (e.MissingKeyError("x", provider="q", key_env=["A", "B"]), QWEN, 4, "Set A or B"),
    (e.MissingKeyError("x", provider="q"), QWEN, 4, "telex providers set-key q"),
    (e.KeyDestinationError("x", destination="https://a"), LAB, 4, "telex providers edit lab --trust"),
    (e.KeyDestinationError("x", destination="http://a", unencrypted=True), LAB, 4,
     "telex providers edit lab --allow-http"),
    (e.MissingKeyError("x", secret="env:GW"), LAB, 4, "Set GW"),
    (e.MissingKeyError("x", secret="keyring:gw"), LAB, 4, "telex providers set-secret gw"),
    (e.InvalidKeyError("x"), QWEN, 4, "Enter it there again, on one line, as the provider shows it."),
    (e.KeyStoreError("x", provider="q"), QWEN, 4, "telex providers set-key q --key-env"),
    (e.KeyStoreError("x", provider="q"), None, 4, "telex providers add q --key-env"),
    (e.KeyStoreError("x", state="locked"), QWEN, 4, "Unlock the keyring"),
    (e.AuthenticationError("x", provider="q"), QWEN, 4, "Keys are per region"),
    (e.AuthenticationError("x"), replace(LAB, auth="none"), 4, "Store one: telex providers set-key lab"),
    (e.PermissionDeniedError("x"), LAB, 4, "use another model: telex models list --provider lab"),
    (e.RateLimitError("x", retry_after=40), LAB, 5, "in 40 s"),
    (e.RateLimitError("x", retry_after=7200), LAB, 5, "in 2 hours"),
    (e.RateLimitError("x"), LAB, 5, "--retries 5"),
    (e.QuotaError("x"), QWEN, 5, "credit and limits: https://modelstudio"),
    (e.QuotaError("x"), LAB, 5, "credit and limits at the provider"),
    (e.QuotaError("x", words="You can afford 3919."), LAB, 5, "--max-tokens 3919"),
    (e.QuotaError("x", words="or fewer max_tokens"), LAB, 5, "--max-tokens 500"),
    (e.NotFoundError("x"), LAB, 6, "telex providers edit lab --base-url"),
    (e.NotFoundError("x"), replace(LAB, base_url="http://h.test"), 6, "http://h.test/v1"),
    (e.NotFoundError("x", suggested_base="http://b/v2"), LAB, 6, "telex providers edit lab --base-url http://b/v2"),
    (e.NotFoundError("x"), replace(LAB, base_url="http://h.test/v1/v1"), 6, "twice"),
    (e.ModelNotFoundError("x"), replace(LAB, preset="ollama"), 3, "ollama pull MODEL"),
    (e.TLSError("x", cause="issuer", other_bundle=("REQUESTS_CA_BUNDLE", "/etc/my ca.pem")), LAB, 7,
     "telex providers edit lab --ca-bundle '/etc/my ca.pem'"),
    (e.ModelNotFoundError("x", model="llama9"), replace(LAB, preset="ollama"), 3, "ollama pull llama9\n"),
    (e.ModelNotFoundError("x"), LAB, 3, "telex models list --provider lab --refresh"),
    (e.WrongEndpointError("x"), LAB, 3, "telex models list --provider lab"),
    (e.TokenLimitError("x"), LAB, 6, "--max-tokens"),
    (e.TokenLimitError("x", code="model_context_window_exceeded"), LAB, 6, "larger context window"),
    (e.ProtocolError("x", status=200), replace(LAB, base_url="http://h.test"), 6, "http://h.test/v1"),
    (e.ProtocolError("x"), replace(LAB, base_url="http://h.test"), 6, None),
    (e.ProtocolError("x", status=200), LAB, 6, "Check the base URL: telex providers test lab"),
    (e.ProtocolError("x", status=200), replace(QWEN, base_url="https://h.test"), 6, None),
    (e.ConnectError("x", url="http://127.0.0.1:1"), LAB, 7, "Is the server running at http"),
    (e.ConnectError("x", url="http://h.test"), QWEN, 7, "Check the address"),
    (e.TLSError("x", cause="issuer"), QWEN, 7, "telex providers edit q --ca-bundle FILE\nOr set SSL_CERT_FILE"),
    (e.TLSError("x", cause="issuer", trusted="SSL_CERT_FILE"), QWEN, 7,
     "are set by SSL_CERT_FILE, and the issuer is not"),
    (e.TLSError("x", cause="client"), QWEN, 7, "telex providers edit q --client-cert FILE"),
    (e.TLSError("x", cause="client"), replace(QWEN, network=Network(client_cert=Path("c.pem"))), 7,
     "It refuses c.pem. Use another one: telex providers edit q --client-cert FILE"),
    (e.TLSError("x", cause="plain"), QWEN, 7, "telex providers edit q --base-url http://host.test/v1"),
    (e.BadRequestError("x", words="The plain HTTP request was sent to HTTPS port"), LAB, 6,
     "telex providers edit lab --base-url https://127.0.0.1:1/v1"),
    (e.ConnectionLostError("x", url="http://127.0.0.1:1"), LAB, 7,
     "telex providers edit lab --base-url https://127.0.0.1:1/v1"),
    (e.ProtocolError("x", code="not_http"), LAB, 6, "telex providers edit lab --base-url https://127.0.0.1:1/v1"),
    (e.ConnectError("x", proxy="HTTP_PROXY", login=True), LAB, 7, "Put them into HTTP_PROXY"),
    (e.ConnectError("x", proxy="ALL_PROXY"), LAB, 7, "Check that the proxy, set by ALL_PROXY, is right"),
    (e.DeadlineError("x", phase="connect", seconds=1), LAB, 7, "--connect-timeout"),
    (e.DeadlineError("x", phase="idle", seconds=1), LAB, 7, "--timeout"),
    (e.LocalModelError("x", path=Path("m.gguf")), None, 1, None),
    (e.LocalModelError("x", path=Path("/data/models")), None, 1, "set TELEX_HOME"),
    (e.ModelFileError("x", path=Path("m.gguf")), replace(LAB, gguf=Path("m.gguf")), 3,
     "telex providers edit lab --gguf"),
    (e.ModelFileError("x", path=Path("m.gguf")), None, 3, None),
    (e.ModelFileError("x", path=Path("/d/models/m.gguf")), None, 3, "rm /d/models/m.gguf"),
    (e.ToolServerError("x", server="lab", code="connect"), None, 7, "Is the server running?"),
    (e.ToolSecretError("x", source="env:A"), None, 4, "Set A"),
    (e.ToolSecretError("x", source="keyring:a"), None, 4, "telex mcp set-secret a"),
    (e.UnknownToolServerError("x"), None, 3, "telex mcp list"),
    (e.UnknownToolServerError("x", candidates=["time"]), None, 3, "mean time?"),
    (e.HistoryError("x", path=Path("/my data/h.db"), code="corrupt"), None, 1,
     "mv '/my data/h.db' '/my data/h.db.old'"),
    (e.HistoryError("x", path=Path("h.db"), code="newer"), None, 1, "Upgrade telex"),
    (e.UnknownConversationError("x"), None, 3, "telex history list"),
    (e.UnknownConversationError("x", candidates=[("k3f9a2bq", "Mend it"), ("b" * 8, "Mend me")], code="ambiguous"),
     None, 3, "k3f9a2bq  Mend it\nbbbbbbbb  Mend me"),
    (e.ToolRefusedError("x", names=["a/b", "a/c"], code="not_allowed"), None, 8, "--allow a/b --allow a/c"),
    (e.BudgetError("x", code="month", limit=Decimal(1), spent=Decimal(1)), LAB, 5, "TELEX_BUDGET__MONTH=2"),
    (e.AttachmentError("x", name="a.png", image=True), None, 2, "--image a.png"),
    (e.AttachmentError("x", name="a.svg", looks_like="an SVG image"), None, 2, "--file a.svg"),
    (e.AttachmentError("x", name="my shot", image=True), None, 2, "--image 'my shot'"),
    (e.AttachmentError("x", name="stdin", image=True), None, 2, "--image -"),
    (e.AttachmentError("x", name="*.py"), None, 2, None),
    (e.AttachmentError("x", name="http://h/a?b", code="private"), None, 2, "curl -sSfL 'http://h/a?b'"),
    (e.AttachmentError("x", name="http://h/a", code="status"), None, 2, None),
    (e.AttachmentError("x", name="http://h/a", code="timeout"), None, 7, None),
    (e.AttachmentError("x", code="no_pypdf"), None, 2, "'telex[pdf]'"),
    (e.InvalidInputError("x", code="no_batch_api"), None, 2, "Leave out --via provider, or use one of: azure, "),
    (e.AttachmentError("x", name="a.py"), None, 2, None),
    (e.VariableError("x", missing=["a", "b"]), None, 2, "--var a=VALUE --var b=VALUE"),
    (e.VariableError("x", missing=["stdin", "a"]), None, 2, "Add --var a=VALUE < FILE"),
    (e.VariableError("x", missing=["prompt"]), None, 2, "Add PROMPT"),
    (e.TemplateError("x", path=Path("t.toml"), line=3), None, 3, None),
    (e.TemplateError("x", name="t", candidates=["u"], code="unknown_template"), None, 3, "mean u?"),
    (e.TemplateError("x", name="t", code="unknown_template"), None, 3, "telex templates edit t"),
    (e.TemplateError("x", code="unknown_template"), None, 3, "telex templates list"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "error"), [(code, error) for code, found in CODES.items() for error in found]
)
def test_each_error_has_its_code(code: int, error: errors.CoreError) -> None:
    assert code_and_hint(error)[0] == code


@pytest.mark.parametrize(("error", "provider", "code", "hint"), CASES)
def test_each_error_has_its_code_and_its_advice(
    error: errors.CoreError, provider: Provider | None, code: int, hint: str | None
) -> None:
    found = code_and_hint(error, provider)
    assert found[0] == code
    assert (found[1] is None) if hint is None else (hint in (found[1] or ""))


@pytest.mark.parametrize("command", ["mcp test lab", "mcp list"])
def test_a_hint_does_not_suggest_the_command_that_has_just_run(tmp_path: Path, command: str) -> None:
    app = App(environ={"TELEX_HOME": str(tmp_path)}, arguments=tuple(command.split()))
    _, hint = app.advice(e.ToolServerError("x", server="lab", code="connect", seconds=9))
    assert hint is not None
    assert "start_timeout" in hint
    assert ("telex mcp test lab" in hint) == (command != "mcp test lab")


def test_an_unexpected_exception_is_reported_by_its_place_without_its_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run() -> None:
        raise LookupError("sk-secret")

    assert reported(App(environ={}), run) == ExitCode.OTHER
    assert re.fullmatch(
        r"telex: internal error in test_error_hints\.py:\d+ \(LookupError\)\. Please report it\.\n",
        capsys.readouterr().err,
    )


def test_every_class_of_error_is_in_the_table_above() -> None:
    classes = {
        each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, e.CoreError)
    }
    abstract = {errors.ModelError, errors.ApiKeyError, errors.ProviderError, errors.NetworkError}
    shown = {type(case[0]) for case in CASES} | {type(error) for found in CODES.values() for error in found}
    assert classes - shown <= abstract


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
        if isinstance(command, CommandWithVerbs) and words[0] not in command.rows:
            break
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


PLAIN = [(error, None) for found in CODES.values() for error in found]
HINTS = [hint for case in [*CASES, *PLAIN] if (hint := code_and_hint(case[0], case[1])[1])]


@pytest.mark.parametrize("text", [*HINTS, *((ROOT / page).read_text() for page in documents.PAGES)])
def test_every_command_that_is_named_exists(text: str) -> None:
    assert [found for line in commands(text) if (found := complaint(line))] == []


def test_a_command_that_does_not_exist_would_be_noticed() -> None:
    assert complaint("providers nonsense x")
    assert complaint("chat --nonsense")
    assert complaint("providers edit lab --base-url URL") is None


@pytest.mark.parametrize(
    ("mark", "install", "upgrade"),
    [
        ("pipx_metadata.json", "pipx runpip telex install 'telex[mcp]'", "pipx upgrade telex"),
        (
            "uv-receipt.toml",
            f"uv pip install --python {shlex.quote(sys.executable)} 'telex[mcp]'",
            "uv tool upgrade telex",
        ),
    ],
)
def test_extras_are_installed_with_the_program_that_installed_telex(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str, install: str, upgrade: str
) -> None:
    (tmp_path / "telex").mkdir()
    (tmp_path / "telex" / mark).touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "telex"))
    assert (install_command("telex[mcp]"), upgrade_command()) == (install, upgrade)
