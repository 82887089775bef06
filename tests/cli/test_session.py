"""The parts of an interactive conversation: earlier prompts, completion, commands, the open provider."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from running import Telex

from provider_core.client import Client, OpenProvider
from provider_core.errors import ConnectError, CoreError, LocalModelError
from provider_core.testing import FakeTransport
from provider_core.types import Provider, Target
from telex.app import App
from telex.repl import commands
from telex.repl.commands import SLASH_COMMANDS, command_in, complete
from telex.repl.line_editor import InputHistory, typed_ahead
from telex.repl.session import CommandError, ProviderSession


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "input-history"


def history(path: Path, reported: list[str] | None = None) -> InputHistory:
    return InputHistory(path, report=([] if reported is None else reported).append)


def saved(path: Path) -> list[str]:
    """The saved prompts, oldest first."""
    return [*history(path).load_history_strings()][::-1]


# --- earlier prompts -------------------------------------------------------------------------------------------


def test_prompts_are_saved_in_order_with_their_line_feeds(file: Path) -> None:
    for text in ("one", "two\nthree", "vier ✓ \u2028 \\n"):
        history(file).append_string(text)
    assert saved(file) == ["one", "two\nthree", "vier ✓ \u2028 \\n"]


@pytest.mark.parametrize("text", [" secret", "\tsecret", "", "  ", "x" * 30_000])
def test_some_prompts_are_not_saved(file: Path, text: str) -> None:
    history(file).append_string("one")
    history(file).append_string(text)
    assert saved(file) == ["one"]


def test_the_file_is_private_whatever_the_umask(file: Path) -> None:
    before = os.umask(0)
    try:
        history(file).append_string("one")
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    file.chmod(0o664)
    saved(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_several_processes_lose_and_damage_nothing(file: Path) -> None:
    code = (
        "import sys, pathlib; from telex.repl.line_editor import InputHistory\n"
        "history = InputHistory(pathlib.Path(sys.argv[1]), report=sys.exit)\n"
        "for number in range(40): history.append_string(f'{sys.argv[2]}:{number}:' + 'x' * 500)"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(file), str(each)]) for each in range(4)]
    assert [process.wait(60) for process in running] == [0] * 4
    entries = saved(file)
    assert len(entries) == 160
    for each in range(4):
        mine = [entry.split(":")[1] for entry in entries if entry.startswith(f"{each}:")]
        assert mine == [str(number) for number in range(40)]


def test_a_prompt_that_a_full_disk_cut_short_costs_no_other(file: Path) -> None:
    for text in ("one", "two"):
        history(file).append_string(text)
    file.write_bytes(file.read_bytes()[:-3])
    history(file).append_string("three")
    assert saved(file)[::2] == ["one", "three"]


def test_an_error_of_saving_is_reported_once(file: Path) -> None:
    file.mkdir(parents=True)
    reported: list[str] = []
    prompts = history(file, reported)
    prompts.append_string("one")
    prompts.append_string("two")
    assert reported == [f"Your input cannot be saved in {file}: Is a directory."]


def test_a_link_to_dev_null_turns_it_off(file: Path) -> None:
    file.parent.mkdir()
    file.symlink_to("/dev/null")
    reported: list[str] = []
    history(file, reported).append_string("one")
    assert (saved(file), reported) == ([], [])
    assert stat.S_IMODE(Path("/dev/null").stat().st_mode) == 0o666


# --- commands, and what completes them -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/help", ("/help", "")),
        ("/MODEL  lab/m ", ("/model", "lab/m")),
        ("/system Be\nkind.", ("/system", "Be\nkind.")),
        ("//help", None),
        ("/etc/passwd", None),
        ("/* a comment */", None),
        (" /help", None),
        *((word, ("/exit", "")) for word in ("exit", "Quit", " bye ", ":q", "exit()")),
        *((word, ("/help", "")) for word in ("help", "?", "/?", ":help")),
        ("exit codes of curl?", None),
        ("help me", None),
        ("quit smoking", None),
        ("?!", None),
        ("exit\nhelp", None),
    ],
)
def test_what_is_a_command(text: str, found: tuple[str, str] | None) -> None:
    assert command_in(text) == found


@pytest.mark.parametrize(("name", "known"), [("/bye", "/exit"), ("/clear", "/new")])
def test_synonyms_of_commands(name: str, known: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    rows = [replace(row, run=lambda *_, row=row: ran.append(row.names[0])) for row in SLASH_COMMANDS]
    monkeypatch.setattr(commands, "SLASH_COMMANDS", rows)
    commands.run_command(None, name, "")  # type: ignore[arg-type]
    assert ran == [known]


@pytest.mark.parametrize(
    ("name", "said"), [("/modle", "Did you mean /model"), ("/frobnicate", "List the commands: /help")]
)
def test_an_unknown_command_gets_a_hint(name: str, said: str) -> None:
    with pytest.raises(CommandError) as caught:
        commands.run_command(None, name, "")  # type: ignore[arg-type]
    assert said in (caught.value.hint or "")
    assert f"To send it to the model, begin with two slashes: /{name}" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("keys", "left"),
    [
        ("one\ntwo", "one\rtwo"),
        ("\x1b[5~\x1b[A\x1b[Bhello", "hello"),
        ("he\x1b[3~llo\x1b[1;5D", "hello"),
        ("\x12\x10hello\x01\x0b\t", "hello"),
        ("hello\x1b", "hello"),
        ("a\x1b\nb", "a\x1b\rb"),
        ("\x1b[200~a\nb\tc\x1b[201~", "\x1b[200~a\rb\tc\x1b[201~"),
        ("x\0", "x\x04"),
        ("gr\u00fc\u00dfe \u65e5\u672c", "gr\u00fc\u00dfe \u65e5\u672c"),
    ],
)
def test_only_text_and_enter_are_read_of_input_before_the_prompt(keys: str, left: str) -> None:
    assert typed_ahead(keys) == left


def offered(telex: Telex, typed: str) -> list[str]:
    return [found.text.strip() for found in complete(App(environ=telex.env), typed)]


@pytest.fixture
def many(telex: Telex) -> Telex:
    telex.provider("lab", "http://127.0.0.1:9/v1", models=["m", "vendor/large"])
    telex.provider("far", "http://127.0.0.1:9/v1", models=["m"], key="keyring")
    telex.settings.write_text(f'[aliases]\nfast = "lab/m"\n{telex.settings.read_text()}')
    return telex


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("/m", ["/model", "/models"]),
        ("/", [name for row in SLASH_COMMANDS for name in row.names]),
        ("/model ", ["fast", "lab/", "far/"]),
        ("/model la", ["lab/", "lab/vendor/large"]),
        ("/model lab/", ["lab/m", "lab/vendor/large"]),
        ("/model VENDOR/", ["lab/vendor/large"]),
        ("/retry ", []),
        ("/model lab/\n/m", []),
    ],
)
def test_completion_of_commands_and_models(many: Telex, typed: str, names: list[str]) -> None:
    found = offered(many, typed)
    assert [name for name in found if name != "local/"] == names  # an extra's, where it is there


def test_files_are_completed(telex: Telex, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    (folder / "one two").mkdir(parents=True)
    for name in ("a.txt", "it's.PNG", ".hidden", "one two/inner.gif"):
        (folder / name).touch()
    assert offered(telex, f"/file {folder}/") == ["a.txt", "it's.PNG", "one two/"]
    assert offered(telex, f"/file x.txt {folder}/.h") == [".hidden"]
    assert offered(telex, f"/image {folder}/") == ["it's.PNG", "one two/"]
    (found,) = complete(App(environ=telex.env), f"/image {folder}/one two/inn")
    assert (found.text, found.replaces) == ("inner.gif", 3)


# --- a provider that stays reached -----------------------------------------------------------------------------


class Reaching:
    """Counts how often a provider is reached and let go of; a network error means that its process has died."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.client = Client(FakeTransport())

    @contextlib.contextmanager
    def __call__(self, target: Target) -> Iterator[OpenProvider]:
        self.log.append(f"+{target.provider.name}")
        try:
            yield OpenProvider(client=self.client, provider=target.provider, key="sk-1")
        except ConnectError as error:
            raise LocalModelError("it died") from error
        finally:
            self.log.append(f"-{target.provider.name}")


def target(name: str, model: str = "m", *, embedded: bool = False) -> Target:
    return Target(provider=Provider(name=name, embedded=embedded), model=model)


def test_a_provider_stays_open_until_another_one_is_used() -> None:
    reaching = Reaching()
    with ProviderSession(reaching) as session:
        for each in (target("a"), target("a", "other"), target("b"), target("b")):
            with session.open(each) as opened:
                assert (opened.provider.name, opened.key) == (each.provider.name, "sk-1")
        assert reaching.log == ["+a", "-a", "+b"]
    assert reaching.log == ["+a", "-a", "+b", "-b"]


def test_an_error_closes_the_provider_and_may_become_a_better_one() -> None:
    reaching = Reaching()
    with ProviderSession(reaching) as session:
        with pytest.raises(LocalModelError, match="it died"), session.open(target("a")):
            raise ConnectError("connection refused")
        with pytest.raises(CoreError, match="refused"), session.open(target("a")):
            raise CoreError("refused")
        with session.open(target("a")):
            pass
        assert reaching.log == ["+a", "-a", "+a", "-a", "+a"]


def test_ctrl_c_leaves_the_provider_open() -> None:
    reaching = Reaching()
    with ProviderSession(reaching) as session:
        with pytest.raises(KeyboardInterrupt), session.open(target("a")):
            raise KeyboardInterrupt
        assert reaching.log == ["+a"]
