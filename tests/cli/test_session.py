"""What a conversation at a terminal is made of: kept lines, completion, commands, a provider that stays reached."""

from __future__ import annotations

import contextlib
import json
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
from telex.repl.commands import ROWS, brief, command_in
from telex.repl.completion import Offers
from telex.repl.line_editor import typed_ahead
from telex.repl.recall import Recall
from telex.repl.session import RefusedError
from telex.repl.standing import ProviderSession
from telex.repl.window import breaks, risen


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "data" / "input-history"


def recall(path: Path | None, told: list[str] | None = None) -> Recall:
    return Recall(path, told=([] if told is None else told).append)


# --- lines that were typed -------------------------------------------------------------------------------------


def test_lines_come_back_in_their_order_with_their_line_feeds(kept: Path) -> None:
    for text in ("one", "two\nthree", "vier ✓ \u2028 \\n"):
        recall(kept).add(text)
    assert recall(kept).entries() == ["one", "two\nthree", "vier ✓ \u2028 \\n"]


@pytest.mark.parametrize("text", [" secret", "\tsecret", "", "  ", "x" * 30_000])
def test_some_lines_are_not_kept(kept: Path, text: str) -> None:
    recall(kept).add("one")
    recall(kept).add(text)
    assert recall(kept).entries() == ["one"]


def test_nothing_is_kept_where_nothing_is_to_be(tmp_path: Path) -> None:
    recall(None).add("one")
    assert recall(None).entries() == []
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_the_users_alone_whatever_the_umask(kept: Path) -> None:
    before = os.umask(0)
    try:
        recall(kept).add("one")
    finally:
        os.umask(before)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    kept.chmod(0o664)
    recall(kept).entries()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_eight_processes_at_once_lose_and_damage_nothing(kept: Path) -> None:
    code = (
        "import sys, pathlib; from telex.repl.recall import Recall\n"
        "recall = Recall(pathlib.Path(sys.argv[1]), told=sys.exit)\n"
        "for number in range(40): recall.add(f'{sys.argv[2]}:{number}:' + 'x' * 500)"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(kept), str(each)]) for each in range(8)]
    assert [process.wait(60) for process in running] == [0] * 8
    entries = recall(kept).entries()
    assert len(entries) == 320
    for each in range(8):
        mine = [entry.split(":")[1] for entry in entries if entry.startswith(f"{each}:")]
        assert mine == [str(number) for number in range(40)]


def test_what_a_full_disk_cut_short_costs_one_line(kept: Path) -> None:
    for text in ("one", "two"):
        recall(kept).add(text)
    kept.write_bytes(kept.read_bytes()[:-3])
    recall(kept).add("three")
    assert recall(kept).entries() == ["one", "three"]


def test_the_file_stays_small_and_keeps_the_last_lines(kept: Path) -> None:
    kept.parent.mkdir()
    lines = [json.dumps(f"{number}:" + "x" * 1000) for number in range(3000)]
    kept.write_text("\n".join(lines) + "\n")
    entries = recall(kept).entries()
    assert [entry.partition(":")[0] for entry in entries] == [str(number) for number in range(2000, 3000)]
    assert kept.stat().st_size < 1_100_000
    assert recall(kept).entries()[-1].startswith("2999:")


def test_what_keeps_lines_from_being_kept_is_said_once(kept: Path) -> None:
    kept.mkdir(parents=True)
    told: list[str] = []
    lines = recall(kept, told)
    lines.add("one")
    lines.add("two")
    assert told == [f"What you type is not saved in {kept}: Is a directory."]


def test_who_links_it_to_nowhere_keeps_nothing_and_hears_nothing(kept: Path) -> None:
    kept.parent.mkdir()
    kept.symlink_to("/dev/null")
    told: list[str] = []
    lines = recall(kept, told)
    lines.add("one")
    assert (lines.entries(), told) == ([], [])
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
def test_a_command_is_a_slash_and_letters_or_a_word_that_every_program_knows(
    text: str, found: tuple[str, str] | None
) -> None:
    assert command_in(text) == found


@pytest.mark.parametrize(
    ("name", "known"),
    [
        *((name, "/exit") for name in ("/q", "/bye", "/x")),
        *((name, "/new") for name in ("/clear", "/reset")),
        *((name, "/models") for name in ("/ls", "/list")),
        ("/h", "/help"),
        ("/attach", "/file"),
        ("/regenerate", "/retry"),
        ("/cost", "/usage"),
        ("/export", "/save"),
    ],
)
def test_commands_of_other_programs_work_under_their_names(
    name: str, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    rows = [replace(row, run=lambda *_, row=row: ran.append(row.names[0])) for row in ROWS]
    monkeypatch.setattr(commands, "ROWS", rows)
    commands.run(None, name, "")  # type: ignore[arg-type]
    assert ran == [known]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/set", "telex chat -c --temperature 0.5"),
        ("/history", "telex history list"),
        ("/resume", "telex chat --conversation ID"),
        ("/modle", "Did you mean /model"),
        ("/hlp", "Did you mean /help?"),
        ("/frobnicate", "List the commands: /help"),
    ],
)
def test_an_unknown_command_leads_somewhere(name: str, said: str) -> None:
    with pytest.raises(RefusedError) as caught:
        commands.run(None, name, "")  # type: ignore[arg-type]
    assert said in (caught.value.hint or "")
    assert f"To send it to the model, begin with two slashes: /{name}" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("keys", "left"),
    [
        ("one\ntwo", "one\rtwo"),
        ("\x1b[5~\x1b[A\x1b[Bhello", "hello"),
        ("he\x1b[3~llo\x1b[1;5D", "hello"),
        ("\x1bOPhello\x1bOA", "hello"),
        ("\x12\x10hello\x01\x0b\t", "hello"),
        ("\x1bbhello\x1bf", "hello"),
        ("hello\x1b[", "hello"),
        ("hello\x1b", "hello"),
        ("a\x1b\nb", "a\x1b\rb"),
        ("\x1b[200~a\nb\tc\x1b[201~", "\x1b[200~a\rb\tc\x1b[201~"),
        ("x\0", "x\x04"),
        ("gr\u00fc\u00dfe \u65e5\u672c", "gr\u00fc\u00dfe \u65e5\u672c"),
    ],
)
def test_of_what_is_typed_ahead_only_text_and_enter_are_read(keys: str, left: str) -> None:
    assert typed_ahead(keys) == left


def test_a_long_line_is_shown_by_its_beginning() -> None:
    assert brief("\n  one two three\nfour", 8) == "one two…"
    assert brief("") == "(no text)"


def offered(telex: Telex, typed: str) -> list[str]:
    return [found.shown for found in Offers(App(environ=telex.env), ROWS)(typed)]


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
        ("/", [name for row in ROWS for name in row.names]),
        ("/model ", ["fast", "lab/", "far/"]),
        ("/model la", ["lab/", "lab/vendor/large"]),
        ("/model f", ["fast", "far/"]),
        ("/model lab/", ["lab/m", "lab/vendor/large"]),
        ("/model VENDOR/", ["lab/vendor/large"]),
        ("/retry ", []),
        ("a /m", []),
        ("/model lab/\n/m", []),
    ],
)
def test_commands_and_models_are_completed_without_a_keyring(
    many: Telex, typed: str, names: list[str]
) -> None:
    assert [
        name for name in offered(many, typed) if name != "local/"
    ] == names  # an extra's, where it is there


def test_settings_that_do_not_load_offer_no_models(telex: Telex) -> None:
    telex.configure("[")
    assert offered(telex, "/model la") == []


def test_files_are_completed_as_a_shell_writes_them(telex: Telex, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    (folder / "one two").mkdir(parents=True)
    for name in ("a.txt", "it's.PNG", ".hidden", "one two/inner.gif"):
        (folder / name).touch()
    assert offered(telex, f"/file {folder}/") == ["a.txt", "it's.PNG", "one two/"]
    assert offered(telex, f"/file x.txt {folder}/.h") == [".hidden"]
    assert offered(telex, f"/image {folder}/") == ["it's.PNG", "one two/"]
    for typed in (f"{folder}/one\\ two/", f"'{folder}/one two/", f'"{folder}/one two/'):
        (found,) = Offers(App(environ=telex.env), ROWS)(f"/image {typed}")
        assert found.text == f"{folder}/one\\ two/inner.gif"
        assert found.replaces == len(typed)


# --- a window that becomes narrower ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "width", "column", "found"),
    [
        (62, 30, 2, True),
        (60, 30, 0, True),
        (62, 30, 29, False),
        (10, 30, 10, None),  # the same in both kinds of terminal
        (59, 30, 29, None),
        (62, 30, 7, None),  # an answer about something else
    ],
)
def test_the_cursors_column_tells_whether_rows_are_broken_or_cut(
    x: int, width: int, column: int, found: bool | None
) -> None:
    assert breaks(x, width, column) is found


@pytest.mark.parametrize(
    ("rows", "x", "more"), [([], 62, 2), ([65], 62, 4), ([65], 10, 2), ([0, 30, 31], 29, 1), ([], 30, 1)]
)
def test_a_line_whose_rows_are_broken_has_sunk(rows: list[int], x: int, more: int) -> None:
    assert risen(rows, x, 30) == more


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


def test_a_provider_stays_reached_until_another_one_is_asked() -> None:
    reaching = Reaching()
    with ProviderSession() as standing:
        for each in (target("a"), target("a", "other"), target("b"), target("b")):
            with standing.open_provider(each, reaching) as opened:
                assert (opened.provider.name, opened.key) == (each.provider.name, "sk-1")
        assert reaching.log == ["+a", "-a", "+b"]
    assert reaching.log == ["+a", "-a", "+b", "-b"]


def test_an_embedded_model_makes_room_for_another_one() -> None:
    reaching = Reaching()
    with ProviderSession() as standing:
        for model in ("one", "one", "two"):
            with standing.open_provider(target("local", model, embedded=True), reaching):
                pass
    assert reaching.log == ["+local", "-local", "+local", "-local"]


def test_an_error_lets_go_and_may_be_put_better() -> None:
    reaching = Reaching()
    with ProviderSession() as standing:
        with pytest.raises(LocalModelError, match="it died"), standing.open_provider(target("a"), reaching):
            raise ConnectError("nothing listens")
        with pytest.raises(CoreError, match="refused"), standing.open_provider(target("a"), reaching):
            raise CoreError("refused")
        with standing.open_provider(target("a"), reaching):
            pass
        assert reaching.log == ["+a", "-a", "+a", "-a", "+a"]


def test_ctrl_c_lets_go_of_nothing() -> None:
    reaching = Reaching()
    with ProviderSession() as standing:
        with pytest.raises(KeyboardInterrupt), standing.open_provider(target("a"), reaching):
            raise KeyboardInterrupt
        assert reaching.log == ["+a"]
