"""The history's file: private, shared, crash-safe, erased where rows are removed, and checked by ``health``."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from running import ending, python

from provider_core.errors import HistoryError
from provider_core.events import Answer
from provider_core.history import History, LedgerEntry, health
from provider_core.history._database import APPLICATION, VERSION, Database
from provider_core.types import Message, Provider, Target, Timing, Usage, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LAB = Target(provider=Provider(name="lab"), model="m")

ASK = """
import os
import sys
import time
from pathlib import Path
from provider_core.events import Answer
from provider_core.errors import HistoryError
from provider_core.history import History, health
from provider_core.types import Message, Provider, Target, Verdict

LAB = Target(provider=Provider(name="lab"), model="m")
path = Path(sys.argv[1])

def said(history, question, text, conversation=None):
    begun = history.begin([Message(role="user", content=question)], LAB, conversation=conversation)
    print("begun", begun.turn, flush=True)
    history.end(begun.turn, Answer(target=LAB, verdict=Verdict.COMPLETE, text=text))
    print("ended", begun.turn, flush=True)
    return begun.conversation

def refused(what):
    try:
        what()
    except HistoryError as error:
        print(type(error).__name__, error.message)
    else:
        print("not refused")
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "history.db"


def said(history: History, question: str, text: str = "Yes.", conversation: str | None = None) -> str:
    begun = history.begin([Message(role="user", content=question)], LAB, conversation=conversation)
    history.end(begun.turn, Answer(target=LAB, verdict=Verdict.COMPLETE, text=text))
    return begun.conversation


def start(code: str, path: Path, *arguments: str, **options: object) -> subprocess.Popen[str]:
    script = ASK + textwrap.dedent(code)
    return ending(
        subprocess.Popen(  # type: ignore[call-overload]
            [sys.executable, "-c", script, str(path), *arguments],
            stdout=subprocess.PIPE,
            text=True,
            **options,
        )
    )


def run(code: str, path: Path, **options: object) -> list[str]:
    """The lines that the code prints."""
    with start(code, path, **options) as process:
        assert process.stdout
        return process.stdout.read().splitlines()


def files(path: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in path.parent.iterdir()}


@contextlib.contextmanager
def held(path: Path, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
    """Another program's transaction."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        other.execute(begin)
        other.execute("SELECT count(*) FROM turns").fetchone()
        yield other
    finally:
        other.close()


# --- permissions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", ["0o000", "0o022", "0o777"])
def test_files_and_folder_are_private_with_any_umask(path: Path, umask: str) -> None:
    code = f"""
        os.umask({umask})
        with History(path) as history:
            said(history, "a", "b")
            print([(each.name, oct(each.stat().st_mode & 0o777)) for each in sorted(path.parent.iterdir())])
    """
    line = run(code, path)[-1]
    assert line == str([("history.db", "0o600")])
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give files away")
def test_the_file_of_another_user_is_refused(path: Path) -> None:
    with History(path) as history:
        said(history, "a")
    os.chown(path, 65534, -1)
    with History(path) as history, pytest.raises(HistoryError, match="it belongs to another user"):
        said(history, "b")


def test_open_permissions_are_tightened(path: Path) -> None:
    with History(path) as first:
        said(first, "a")
        for each in path.parent.iterdir():
            each.chmod(0o644)
        with History(path) as second:
            second.latest()
            modes = {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes == {0o600}


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
@pytest.mark.parametrize("exists", [False, True])
def test_link_stays_a_link_to_a_private_file(path: Path, tmp_path: Path, exists: bool) -> None:
    path.parent.mkdir()
    target = tmp_path / "elsewhere.db"
    path.symlink_to(target)
    if exists:
        target.touch(mode=0o644)
        with History(path) as history:
            assert history.latest() is None  # an empty file is a history without conversations
    with History(path) as history:
        said(history, "a")
    assert path.is_symlink()
    assert target.stat().st_size > 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


# --- several at once -----------------------------------------------------------------------------------------


def test_eight_processes_at_once_lose_nothing(path: Path) -> None:
    code = """
        conversation = None
        sys.stdin.readline()
        with History(path, lock_timeout=60) as history:
            for number in range(50):
                name = f"{sys.argv[2]}-{number}"
                conversation = said(history, name, f"answer {name}", conversation)
    """
    processes = [start(code, path, str(number), stdin=subprocess.PIPE) for number in range(8)]
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=100)
        assert process.returncode == 0
    with History(path) as history:
        listed = history.conversations()
        assert [each.turns for each in listed] == [50] * 8
        for each in listed:
            turns = history.turns(each.id)
            name = each.title.removesuffix("-0")
            assert [turn.messages[0].content for turn in turns] == [f"{name}-{n}" for n in range(50)]
            assert [turn.answer.content for turn in turns if turn.answer] == [
                f"answer {name}-{n}" for n in range(50)
            ]


def test_killed_process_leaves_everything_that_it_had_saved(path: Path) -> None:
    code = """
        with History(path) as history:
            while True:
                said(history, "question " * 50, "answer " * 500)
    """
    begun, ended = set[int](), set[int]()
    chance = random.Random(1)
    for _ in range(8):
        with start(code, path) as process:
            assert process.stdout
            first = process.stdout.readline()
            time.sleep(chance.random() * 0.05)
            process.send_signal(signal.SIGKILL)
            for line in (first + process.stdout.read()).splitlines():
                word, _, turn = line.partition(" ")
                if turn:
                    (begun if word == "begun" else ended).add(int(turn))
    with History(path) as history:
        said(history, "and after")
        turns = [turn for each in history.conversations() for turn in history.turns(each.id)]
        assert begun
        assert begun <= {turn.id for turn in turns}
        assert ended <= {turn.id for turn in turns if turn.verdict is Verdict.COMPLETE and turn.answer}
        assert all(turn.messages for turn in turns)
    with contextlib.closing(sqlite3.connect(path)) as checked:
        assert checked.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_file_that_is_removed_while_open_is_created_again(path: Path) -> None:
    with History(path) as history:
        said(history, "lost")
        shutil.rmtree(path.parent)
        said(history, "kept")
        assert [each.title for each in history.conversations()] == ["kept"]
    assert path.exists()


# --- erasing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [3, 4])
def test_removed_text_is_in_no_file(path: Path, seed: int) -> None:
    """SQLite copies rows when it rebalances pages, so many turns are added, dropped, renamed and removed."""
    chance = random.Random(seed)

    def word(number: int) -> str:
        return f"canary{number:03d}z{chance.randrange(999)}"

    def words(number: int) -> str:
        return " ".join(word(number) for _ in range(chance.choice([1, 1, 2, 3, 10, 30, 100])))

    live: dict[int, str] = {}
    gone: set[int] = set()
    with History(path) as history:
        for _ in range(1500):
            dice, number = chance.random(), chance.randrange(60)
            if number in gone:
                continue
            if dice < 0.7:
                question = Message(role="user", content=words(number))
                begun = history.begin([question], LAB, conversation=live.get(number), title=word(number))
                live[number] = begun.conversation
                whole = Answer(
                    target=LAB, verdict=Verdict.COMPLETE, text=words(number), reasoning=words(number)
                )
                history.end(begun.turn, whole)
            elif number not in live:
                continue
            elif dice < 0.72:
                history.rename(live[number], word(number) + "v" * chance.randrange(90))
            elif dice < 0.92:
                turns = history.turns(live[number])
                history.drop_turn(turns[-1].id)
                if len(turns) == 1:
                    del live[number]
            elif number % 3:
                removed = history.remove([live.pop(number)])
                assert removed.conversations == 1
                gone.add(number)
        everything = b"".join(files(path).values())
    assert len(gone) > 20
    assert [number for number in gone if b"canary%03dz" % number in everything] == []
    assert [number for number in live if b"canary%03dz" % number not in everything] == []


def test_prevented_erasure_is_reported_and_done_later(path: Path) -> None:
    class Full(Database):
        def erase_deleted(self) -> None:
            raise HistoryError("the disk is full", path=path)

    with History(path) as history:
        conversation = said(history, "canary")
    history._database = Full(path)
    with pytest.raises(HistoryError, match="not overwritten yet: the disk is full"):
        history.remove([conversation])
    history.close()
    with History(path) as history:
        assert history.conversations() == ()
        assert history.remove([]).conversations == 0
    assert b"canary" not in b"".join(files(path).values())


# --- damaged files, and files of others ----------------------------------------------------------------------


def run_sql(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize(
    ("make", "code", "words"),
    [
        (lambda path: path.write_bytes(b"not a database at all, but a text"), "corrupt", "is damaged"),
        (lambda path: path.write_bytes(b"SQLite format 3\0" + b"\xff" * 4096), "corrupt", "is damaged"),
        (lambda path: run_sql(path, "CREATE TABLE conversations (a)"), "corrupt", "not telex's history"),
        (lambda path: run_sql(path, "PRAGMA user_version = 1"), "corrupt", "not telex's history"),
        (lambda path: run_sql(path, f"PRAGMA application_id = {APPLICATION}", f"PRAGMA user_version = {VERSION + 1}"),
         "newer", "newer telex"),
    ],
    ids=["text", "header", "other tables", "other version", "newer"],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_an_error_and_unchanged(
    path: Path, make: Callable[[Path], object], code: str, words: str
) -> None:
    path.parent.mkdir(mode=0o700)
    make(path)
    before = files(path)
    with History(path) as history:
        for use in (
            lambda: said(history, "q"),
            history.latest,
            lambda: history.prune(9e9),
            lambda: health(path),
        ):
            with pytest.raises(HistoryError, match=words) as caught:
                use()
            assert str(path) in caught.value.message
            assert (caught.value.path, caught.value.code) == (path, code)
    assert files(path) == before


def test_damaged_pages_are_found_when_they_are_read(path: Path) -> None:
    with History(path) as history:
        for number in range(50):
            said(history, f"question {number}", "answer " * 200)
    content = path.read_bytes()
    path.write_bytes(content[: 3 * 4096] + b"\xff" * (len(content) - 3 * 4096))
    with History(path) as history, pytest.raises(HistoryError):
        history.search(["nothing like it"])
    with pytest.raises(HistoryError, match="is damaged"):
        health(path)
    path.write_bytes(content[:-4096] + b"\xa5" * 4096)
    with pytest.raises(HistoryError, match="is damaged"):
        health(path)


def test_data_that_only_a_newer_release_knows_is_ignored(path: Path) -> None:
    with History(path) as history:
        said(history, "question", "answer")
    run_sql(
        path,
        """UPDATE turns SET verdict = 'mostly', usage = '{"input": 3, "new": 4}', timing = '{"new": 1}'""",
    )
    with History(path) as history:
        (conversation,) = history.conversations()
        (turn,) = history.turns(conversation.id)
    assert (conversation.verdict, turn.verdict, turn.usage, turn.timing) == (
        None,
        None,
        Usage(input=3),
        Timing(),
    )


@pytest.mark.parametrize(
    "forged",
    [
        "DROP TABLE pieces",
        "conversations SET title = x'ff'",
        "conversations SET begun = 1e300",
        "conversations SET begun = 'soon'",
        "turns SET at = -9e999",
        "turns SET at = 1e12",
        "turns SET model = x'ff'",
        "turns SET error = x'ff'",
        "turns SET params = '[1]'",
        """turns SET usage = '{"input": "many"}'""",
        """turns SET usage = '{"input": 1e3}'""",
        f"""turns SET usage = '{{"output": {2**63}}}'""",
        """turns SET usage = '{"cost": "much", "source": "server", "partial": false}'""",
        """turns SET usage = '{"cost": "NaN", "source": "server", "partial": false}'""",
        """turns SET usage = '{"cost": "1E+999999", "source": "server", "partial": false}'""",
        """turns SET usage = '{"cost": "1E-999999999", "source": "server", "partial": false}'""",
        """turns SET timing = '{"total": "long"}'""",
        """turns SET timing = '{"total": NaN}'""",
        "messages SET text = x'ff'",
        "messages SET more = '{'",
        "messages SET more = '[]'",
        """messages SET more = '""" + "[" * 200_000 + "'",
        """messages SET more = '{"x": 1}'""",
        """messages SET more = '{"reasoning": 1}'""",
        """messages SET more = '{"parts": [{"text": 1}]}'""",
        """messages SET more = '{"parts": [{"image": null}]}'""",
        """messages SET more = '{"tool_calls": [3]}'""",
        """messages SET more = '{"tool_calls": [{"id": "", "name": [], "arguments": ""}]}'""",
        """messages SET more = '{"sources": [{"number": 1, "url": 2}]}'""",
        """messages SET more = '{"images": [{"url": "data:", "size": "big"}]}'""",
        "requests SET at = 1e300",
        "requests SET model = x'ff'",
        "requests SET cost = 9e999",
        "requests SET cost = 1e300",
        "requests SET cost = -1",
        "requests SET input = 9e999",
    ],
)
def test_rows_that_telex_did_not_write_are_damage(path: Path, forged: str) -> None:
    with History(path) as history:
        said(history, "question", "answer")
        history.ledger.add([LedgerEntry(at=1, provider="lab", model="m", command="chat", verdict="complete")])
    run_sql(path, forged if forged.startswith("DROP") else "UPDATE " + forged)

    def read(history: History) -> list[object]:
        turns = [history.turns(each.id) for each in history.conversations()]
        return [turns, history.ledger.totals("day"), history.ledger.totals("model")]

    with History(path) as history, pytest.raises(HistoryError, match="is damaged") as caught:
        read(history)
    assert caught.value.code == "corrupt"


@pytest.mark.parametrize("name", [b"no \xff UTF-8", b"a?b#c%20d", "日本".encode()])
def test_health_changes_nothing(path: Path, name: bytes) -> None:
    assert health(path) is None
    path = path.with_name(os.fsdecode(name)) / "history.db"
    with History(path) as history:
        said(history, "question")
    before = files(path), path.stat().st_mtime_ns
    assert health(path) == (path.stat().st_size, 1)
    assert (files(path), path.stat().st_mtime_ns) == before
    with History(path) as history:
        said(history, "one more")
        assert health(path) == (path.stat().st_size, 2)  # while the file is in use


# --- locks, full disks and missing permissions ---------------------------------------------------------------


def test_lock_is_waited_for_and_reading_needs_none(path: Path) -> None:
    with History(path, lock_timeout=60) as history:
        said(history, "one")
        with held(path) as other:
            threading.Timer(0.2, lambda: other.execute("ROLLBACK")).start()
            said(history, "two")
    with History(path, lock_timeout=0.5) as history:
        with held(path):
            began = time.monotonic()
            with pytest.raises(HistoryError, match="locked by another program") as caught:
                said(history, "three")
            assert 0.5 <= time.monotonic() - began < 30
            assert caught.value.code == "busy"
            assert len(history.conversations()) == 2
        said(history, "three")
        assert len(history.conversations()) == 3


def test_ctrl_c_interrupts_waiting_for_a_lock(path: Path) -> None:
    with History(path) as history:
        said(history, "one")
    code = """
        with History(path, lock_timeout=60) as history:
            print("waiting", flush=True)
            said(history, "a", "b")
    """
    with held(path), start(code, path, stderr=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        time.sleep(0.3)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert time.monotonic() - began < 30
    with History(path) as history:
        assert len(history.conversations()) == 1


def test_full_disk_is_an_error_and_saved_turns_stay(path: Path) -> None:
    with History(path) as history:
        said(history, "before")
    code = """
        import resource
        history = History(path)
        history.latest()
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        refused(lambda: said(history, "large", "x" * 1_000_000))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        said(history, "after", "b")
        history.close()
    """
    assert run(code, path)[1].startswith(f"HistoryError the history {path} ")
    with History(path) as history:
        turns = [turn for each in reversed(history.conversations()) for turn in history.turns(each.id)]
        found = [(turn.messages[0].content, turn.answer is not None) for turn in turns]
    assert found == [("before", True), ("large", False), ("after", True)]


READ = """
    import sqlite3, unicodedata
    if os.geteuid() == 0:
        os.setuid(65534)  # root may do anything
    history = History(path)
    print(history.latest().title, len(history.messages(history.latest().id)), len(history.search(["was"])))
    refused(lambda: said(history, "a", "b"))
    refused(lambda: history.remove([history.latest().id]))
"""


@pytest.fixture
def public() -> Iterator[Path]:
    """A path in a folder that other users can enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "history.db"
        Path(folder).chmod(0o700)


def forbid_writing(path: Path) -> None:
    if os.geteuid() == 0:
        for each in (path.parent, *path.parent.iterdir()):
            os.chown(each, 65534, 65534)
    path.parent.chmod(0o500)


def test_history_can_be_read_where_nothing_can_be_written(public: Path) -> None:
    with History(public) as history:
        said(history, "It was so.")
    forbid_writing(public)
    first, *refusals = run(READ, public)
    assert first == "It was so. 2 1"
    assert all(words.startswith(f"HistoryError the history {public} cannot be used") for words in refusals)


def test_unusable_paths_are_errors(path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path.mkdir(parents=True)
    for unusable in (tmp_path / "file" / "history.db", path):
        with History(unusable) as history:
            for use in (lambda: said(history, "q"), history.latest):
                with pytest.raises(HistoryError, match="is a folder" if unusable == path else "cannot be"):
                    use()
    with pytest.raises(HistoryError, match="is a folder"):
        health(path)


def test_sqlite_is_imported_when_it_is_needed_and_may_be_missing() -> None:
    code = ASK.replace("sys.argv[1]", "'/nowhere/history.db'") + textwrap.dedent("""
        History(path).close()
        print("sqlite3" in sys.modules)
        sys.modules["sqlite3"] = None
        refused(lambda: said(History(path), "a", "b"))
    """)
    assert python(code).startswith("False\nHistoryError this Python has no SQLite")
