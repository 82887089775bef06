"""``telex test``: which cases are found, how they are run and judged, what is saved, and how the run ends."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from inprocess import Inside
from scripted import Answer, Asked, Cut, Pause, Scripted, answer, delta, sse
from terminal import Terminal, on_terminal

from provider_core.history import History
from telex.app import App
from telex.main import main

if TYPE_CHECKING:
    from pathlib import Path

FIELDS = ("status", "file", "name", "model", "seconds", "cost", "reasons")
COST = {"prompt_tokens": 10, "completion_tokens": 5, "cost": 0.25}


class Brain:
    """Answers by the prompt and the model; as a judge, it confirms the statement "polite"."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.verdict: Any = None

    def __call__(self, asked: Asked) -> Answer:
        prompt = asked.body["messages"][-1]["content"]
        if prompt.startswith('{"prompt"'):
            statement = json.loads(prompt)["statement"]
            verdict = {"reason": "so it is", "holds": statement == "polite"}
            return Answer(answer(self.verdict or json.dumps(verdict), usage=COST))
        found = self.answers.get(
            f"{asked.body['model']}: {prompt}", self.answers.get(prompt, f"echo {prompt}")
        )
        return found if isinstance(found, Answer) else Answer(answer(found, usage=COST))


@pytest.fixture
def brain(server: Scripted) -> Brain:
    found = Brain()
    server.will(found)
    return found


@pytest.fixture
def lab(tmp_path: Path, server: Scripted, brain: Brain) -> Inside:
    telex = Inside(tmp_path / "home")
    telex.provider("lab", server.url, models=["a", "b"], default_model="a", retries=0)
    return telex


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "prompts"
    found.mkdir()
    return found


def toml(folder: Path, text: str, name: str = "cases.toml") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def results(ran: Any) -> list[tuple[str, str, str]]:
    rows = [dict(zip(FIELDS, line.split("\t"), strict=True)) for line in ran.text.splitlines()]
    return [(row["status"], row["name"], row["reasons"]) for row in rows]


# --- cases ---------------------------------------------------------------------------------------------------


def test_a_folder_has_cases_in_toml_and_jsonl_and_templates(lab: Inside, folder: Path, brain: Brain) -> None:
    (folder / "classify.toml").write_text('system = "Be brief."\nprompt = "Classify: {{ text }}"\n')
    toml(
        folder,
        """
        template = "classify"
        [expect]
        contains = "echo"
        [[cases]]
        name = "a bug"
        vars = { text = "broken" }
        expect = { regex = "bro.en$" }
        [[cases]]
        template = "../prompts/classify.toml"
        vars = { text = 5 }
        expect = { equals = "echo Classify: 5" }
        """,
    )
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "other.jsonl").write_text("not a case\n")
    (folder / "more.jsonl").write_text(
        '{"name": "hi", "prompt": "Say {{ word }}", "vars": {"word": "hi"}, "expect": {"contains": ["hi"]}}\n\n'
        '{"prompt": "Sum\u2028up.", "stdin": "A text.", "expect": {"equals": "echo A text.\\n\\nSum\u2028up."}}\n'
    )
    ran = lab("test", str(folder))
    assert (ran.code, ran.err) == (0, "4 passed ($1.00).\n")
    assert results(ran) == [("passed", name, "") for name in ("a bug", "case 2", "hi", "line 3")]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[[cases]]\nprompt = 'x'\nexpect = { equal = 'y' }", "case 1 expect.equal: is not a field"),
        ("[[cases]]\nprompt = 'x'\nexpect = { regex = '(' }", "is not a valid regular expression"),
        (
            "[[cases]]\nprompt = 'x'\nexpect.paths = { 'a b' = 1 }",
            "'a b' is not a valid path".replace("'", ""),
        ),
        ("[[cases]]\nprompt = 'x'\nexpect.schema = 'a.json'", "a.json"),
        ("[[cases]]\nprompt = 'x'\nexpect.max_cost = 0", "case 1 expect.max_cost: must be greater than 0"),
        (
            "[[cases]]\nprompt = 'x'\nexpect.judge = 'polite'",
            "a model has to judge the answer, and none is named",
        ),
        ("[[cases]]\nprompt = 'x'\nvars.y = [1]", "case 1 vars.y: must be a text, a number, true or false"),
        ("[[cases]]\nprompt = 'x'\nexpect.equals = 5", "case 1 expect.equals: must be a text"),
        ("[[cases]]\nprompt = 'x'\nexpect = 'y'", "case 1 expect: must be a table of names and values"),
        ("[[cases]]\nname = 'n'", "n: it has no prompt"),
        ("[[cases]]\nprompt = '{{ x }}'", "case 1: no value for x (see vars)"),
        ("[[cases]]\nprompt = 'a'\nvars = { x = 1 }", "case 1: the prompt has no variable 'x'"),
        ("[[cases]]\nprompt = '{{ x'", "missing }} after {{"),
        ("[[cases]]\ntemplate = 'nope'", "unknown template: nope"),
        (
            "[[cases]]\nname = 'n'\nprompt = 'a'\n[[cases]]\nname = 'n'\nprompt = 'b'",
            "two cases are called 'n'",
        ),
        ("cases = []", "cases: list should have at least 1 item"),
        ("[[cases]]\nprompt = ", "cases.toml: "),
        (f"x = {'9' * 5000}", "cases.toml: "),
        (f"x = {'[' * 3000}", "nested too deeply"),
        ("prompt = 'only a template'", "cases.toml: cases: is missing"),
    ],
)
def test_a_mistake_in_a_file_is_named_and_nothing_is_sent(
    lab: Inside, folder: Path, server: Scripted, text: str, error: str
) -> None:
    ran = lab("test", toml(folder, text))
    assert (ran.code, ran.text, server.asked) == (2, "", [])
    assert error.casefold() in ran.err.casefold()


@pytest.mark.parametrize("line", ["[]", "{", '{"prompt": 5}', '{"prompt": "x", "cases": []}'])
def test_a_line_that_is_not_a_case_is_named(lab: Inside, folder: Path, line: str) -> None:
    (folder / "x.jsonl").write_text(f'{{"prompt": "fine"}}\n{line}\n')
    ran = lab("test", str(folder))
    assert ran.code == 2
    assert "line 2" in ran.err


def test_paths_without_cases_are_usage_errors(lab: Inside, folder: Path) -> None:
    assert "has no test cases" in lab("test", str(folder)).err
    assert lab("test", str(folder / "missing.toml")).code == 2
    assert lab("test").code == 2
    toml(folder, "[[cases]]\nname = 'One'\nprompt = 'x'\n[[cases]]\nname = 'two'\nprompt = 'y'\n")
    assert results(lab("test", str(folder), "--only", "ONE")) == [("passed", "One", "")]
    assert "--only" in lab("test", str(folder), "--only", "three").err
    (folder / "empty.jsonl").touch()
    assert "empty.jsonl has no test cases" in lab("test", str(folder / "empty.jsonl")).err


# --- runs ----------------------------------------------------------------------------------------------------


def test_failures_and_errors_exit_9_and_are_explained(lab: Inside, folder: Path, brain: Brain) -> None:
    brain.answers = {
        "cut": Answer([*sse(delta("Half")), Cut()]),
        "bad": Answer([b'{"error": {"message": "no such field"}}'], status=400),
        "json": '{"label": "wish"}',
    }
    path = toml(
        folder,
        """
        cases = [
            { prompt = "good", expect = { contains = "good" } },
            { prompt = "text", expect = { contains = ["a", "b"], max_cost = 0.1 } },
            { prompt = "cut" },
            { prompt = "bad" },
            { prompt = "json", schema = "label bug|wish", expect = { paths = { ".label" = "bug" } } },
            { prompt = "other", schema = "label bug|wish" },
        ]
        """,
    )
    ran = lab("test", path)
    assert ran.code == 9
    assert ran.err.startswith("1 passed, 3 failed, 2 errors")
    found = results(ran)
    assert [status for status, *_ in found] == ["passed", "failed", "error", "error", "failed", "failed"]
    assert found[1][2] == 'does not contain "a"; does not contain "b"; cost $0.25, more than $0.1'
    assert "no such field" in found[3][2]
    assert found[4][2] == 'has "wish" at .label, not "bug"'
    assert "is not valid JSON" in found[5][2]


def test_several_models_are_compared(lab: Inside, folder: Path, brain: Brain, server: Scripted) -> None:
    brain.answers = {"b: x": "wrong"}
    path = toml(folder, "models = ['lab/a']\n[[cases]]\nprompt = 'x'\nexpect.contains = 'echo'\n")
    ran = lab("test", path, "-m", "lab/a", "-m", "lab/b")
    assert ran.code == 9
    assert ran.err.splitlines() == [
        "lab/a: 1 passed ($0.25).",
        "lab/b: 0 passed, 1 failed ($0.25).",
        "1 passed, 1 failed ($0.5).",
    ]
    assert lab("test", path, "-q").text == ""
    assert sorted(asked.body["model"] for asked in server.asked) == ["a", "b"]


def test_a_template_that_extracts_is_checked_by_its_code_block(
    lab: Inside, folder: Path, brain: Brain
) -> None:
    brain.answers = {"x": "Here:\n```sh\nls -l\n```\nThat is it."}
    toml(folder, "prompt = '{{ prompt }}'\nextract = true\n", "command.toml")
    path = toml(folder, "[[cases]]\ntemplate = 'command'\nprompt = 'x'\nexpect.equals = 'ls -l'\n")
    assert lab("test", path).code == 0


def test_max_seconds_is_checked(lab: Inside, folder: Path, brain: Brain) -> None:
    brain.answers = {"slow": Answer([Pause(0.3), *answer("x")])}
    path = toml(folder, "[[cases]]\nprompt = 'slow'\nexpect.max_seconds = 0.2\n")
    ran = lab("test", path)
    assert ran.code == 9
    assert "more than 0.2 s" in ran.text


def test_request_has_the_fields_of_case_file_and_template(
    lab: Inside, folder: Path, server: Scripted
) -> None:
    saved = lab.paths.templates
    saved.mkdir(parents=True)
    (saved / "saved.toml").write_text(
        'prompt = "{{ prompt }}!"\ntemperature = 0.5\nmax_tokens = 9\nmodel = "lab/b"\n'
    )
    path = toml(
        folder,
        "temperature = 0.1\n[params]\ntop_p = 0.9\n"
        "[[cases]]\ntemplate = 'saved'\nprompt = 'Hi'\nsystem = 'Be brief.'\nparams = { seed = 1 }\n",
    )
    assert lab("test", path).code == 0
    body = server.asked[0].body
    assert (body["temperature"], body["max_tokens"], body["top_p"], body["seed"]) == (0.1, 9, 0.9, 1)
    assert body["model"] == "b"
    assert [message["content"] for message in body["messages"]] == ["Be brief.", "Hi!"]


# --- saved answers -------------------------------------------------------------------------------------------


def test_answers_are_saved_by_content_until_fresh(
    lab: Inside, folder: Path, server: Scripted, brain: Brain
) -> None:
    path = toml(folder, "[[cases]]\nprompt = 'x'\nexpect.max_cost = 0.3\n[[cases]]\nprompt = 'y'\n")
    assert lab("test", path).code == 0
    assert len(server.asked) == 2
    brain.answers = {"x": "new"}
    ran = lab("test", path)
    assert (ran.code, ran.err, len(server.asked)) == (0, "2 passed (2 saved answers).\n", 2)
    toml(
        folder, "[[cases]]\nprompt = 'x'\nexpect.equals = 'new'\n[[cases]]\nprompt = 'y'\ntemperature = 0.0\n"
    )
    ran = lab("test", path)
    assert (ran.code, len(server.asked)) == (9, 3)
    assert lab("test", path, "--fresh").code == 0
    assert len(server.asked) == 5
    assert lab("test", path).code == 0
    assert len(server.asked) == 5
    files = list((lab.paths.cache / "tests").iterdir())
    assert {oct(each.stat().st_mode & 0o777) for each in files} == {"0o600"}


def test_incomplete_answers_and_damaged_files_are_not_used(
    lab: Inside, folder: Path, server: Scripted, brain: Brain
) -> None:
    path = toml(folder, "[[cases]]\nprompt = 'x'\n")
    brain.answers = {"x": Answer([*sse(delta("Half")), Cut()])}
    assert lab("test", path).code == 9
    brain.answers = {}
    assert lab("test", path).code == 0
    (saved,) = (lab.paths.cache / "tests").iterdir()
    for content in ("{", "[]", '{"text": "x"}', '{"text": 5, "cost": null, "seconds": 1}'):
        saved.write_text(content)
        before = len(server.asked)
        assert lab("test", path).code == 0
        assert len(server.asked) == before + 1


# --- judges --------------------------------------------------------------------------------------------------


def test_a_model_judges_answers_that_pass_the_other_checks(
    lab: Inside, folder: Path, server: Scripted
) -> None:
    path = toml(
        folder,
        """
        judge = "lab/b"
        [[cases]]
        prompt = "x"
        expect.judge = "polite"
        [[cases]]
        prompt = "y"
        expect.judge = ["polite", "rude"]
        [[cases]]
        prompt = "z"
        expect = { contains = "never", judge = "polite" }
        """,
    )
    ran = lab("test", path)
    assert ran.code == 9
    assert results(ran) == [
        ("passed", "case 1", ""),
        ("failed", "case 2", "is not judged so: rude (so it is)"),
        ("failed", "case 3", 'does not contain "never"'),
    ]
    assert ran.err == "1 passed, 2 failed ($1.50).\n"
    assert [asked.body["model"] for asked in server.asked].count("b") == 3
    before = len(server.asked)
    assert lab("test", path).code == 9
    assert len(server.asked) == before
    assert lab("test", path, "--judge", "lab/a").code == 9
    assert [asked.body["model"] for asked in server.asked[before:]] == ["a"] * 3


def test_a_judge_that_answers_nonsense_is_an_error(lab: Inside, folder: Path, brain: Brain) -> None:
    brain.verdict = "It is fine."
    path = toml(folder, "judge = 'lab/b'\n[[cases]]\nprompt = 'x'\nexpect.judge = 'polite'\n")
    ran = lab("test", path)
    assert ran.code == 9
    assert results(ran)[0][0] == "error"
    assert "lab/b did not judge: " in ran.text


# --- the end -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [40, 80])
def test_terminal_shows_marks_reasons_and_progress(
    lab: Inside, folder: Path, brain: Brain, columns: int
) -> None:
    brain.answers = {"y": Answer([Pause(0.4), *answer("\x1b[31my")])}
    path = toml(
        folder,
        """
        [[cases]]
        name = "a \\u001b[31m"
        prompt = "x"
        [[cases]]
        prompt = "y"
        expect.equals = "z"
        """,
    )
    with on_terminal(columns, TERM="xterm-256color") as (stream, console):
        app = App(environ={**lab.env, **console.environ}, console=console)
        assert main(["test", path, "-m", "lab/a"], app) == 9
    written = stream.getvalue()
    assert "1 of 2 done, 1 request in flight"[: columns - 1] in written
    assert "\x1b[31m" not in written
    terminal = Terminal(columns)
    terminal.feed(written)
    rows = [row for row in terminal.text() if not row.startswith("/")]
    assert any(row.startswith("  ✓ a ␛[31m") for row in rows)
    assert any(row.startswith("  ✗ case 2") for row in rows)
    assert any(row.startswith("      The answer: ") for row in rows)
    assert rows[-1] == "1 passed, 1 failed ($0.25)."
    assert not any("in flight" in row for row in rows)


def test_a_refused_key_ends_the_run_with_its_exit_code(lab: Inside, folder: Path, brain: Brain) -> None:
    brain.answers = {"x": Answer([b'{"error": {"message": "bad key"}}'], status=401)}
    path = toml(folder, "[[cases]]\nprompt = 'x'\n")
    ran = lab("test", path, "--json")
    assert (ran.code, json.loads(ran.text)[0]["status"]) == (4, "not_run")


def test_max_cost_and_budget_end_the_run_with_exit_5(lab: Inside, folder: Path, server: Scripted) -> None:
    path = toml(folder, "".join(f"[[cases]]\nprompt = '{number}'\n" for number in range(8)))
    ran = lab("test", path, "-j", "1", "--max-cost", "0.6")
    assert ran.code == 5
    assert "--max-cost" in ran.err
    assert len(server.asked) == 3
    assert [status for status, *_ in results(ran)] == ["passed"] * 3 + ["not run"] * 5
    ran = lab("test", path, "-j", "1", env={"TELEX_BUDGET": '{"day": 0.5}'})
    assert (ran.code, len(server.asked)) == (5, 3)
    assert [status for status, *_ in results(ran)] == ["passed"] * 3 + ["not run"] * 5
    assert "the budget for today is spent" in ran.err


def test_requests_are_counted_in_the_ledger(lab: Inside, folder: Path) -> None:
    path = toml(folder, "judge = 'lab/b'\n[[cases]]\nprompt = 'x'\nexpect.judge = 'polite'\n")
    lab("test", path)
    lab("test", path)
    with History(lab.paths.history) as history:
        (total,) = history.ledger.totals("command")
        assert (total.key, total.requests, total.cost) == ("test", 2, Decimal("0.5"))
        assert history.conversations() == ()


def test_junit_has_a_suite_for_each_file_and_model(
    lab: Inside, folder: Path, tmp_path: Path, brain: Brain
) -> None:
    brain.answers = {"x": "\x1b[31m<red> & \ud83d"}
    path = toml(
        folder, "[[cases]]\nname = 'a <b>'\nprompt = 'x'\nexpect.equals = 'y'\n[[cases]]\nprompt = 'z'\n"
    )
    report = tmp_path / "report.xml"
    assert lab("test", path, "-m", "lab/a", "-m", "lab/b", "--junit", str(report)).code == 9
    root = ElementTree.parse(report).getroot()
    assert (root.tag, root.get("tests"), root.get("failures"), root.get("errors")) == (
        "testsuites",
        "4",
        "2",
        "0",
    )
    suites = root.findall("testsuite")
    assert [suite.get("name") for suite in suites] == [f"{path} (lab/a)", f"{path} (lab/b)"]
    case = suites[0].findall("testcase")[0]
    assert case.get("name") == "a <b>"
    failure = case.find("failure")
    assert failure is not None
    assert "<red> &" in str(failure.text)
    assert lab("test", path, "--junit", str(tmp_path / "no" / "report.xml")).code == 2
