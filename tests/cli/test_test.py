"""``telex test``: which cases are found, how they are run and judged, what is saved, and how the run ends."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
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
    from running import Ran

FIELDS = ("status", "file", "name", "model", "seconds", "cost", "reasons")
COST = {"prompt_tokens": 10, "completion_tokens": 5, "cost": 0.25}


class Lab(Inside):
    """telex with a provider whose models answer by the prompt, and whose judge confirms the statement "polite"."""

    def __init__(self, home: Path, server: Scripted) -> None:
        super().__init__(home)
        self.asked = server.asked
        self.answers: dict[str, Any] = {}
        self.verdict = ""
        self.provider("lab", server.url, models=["a", "b"], default_model="a", retries=0)
        server.will(self._answer)

    def _answer(self, asked: Asked) -> Answer:
        model, prompt = asked.body["model"], asked.body["messages"][-1]["content"]
        if prompt.startswith('{"prompt"'):
            verdict = {"reason": "so it is", "holds": json.loads(prompt)["statement"] == "polite"}
            return Answer(answer(self.verdict or json.dumps(verdict), usage=COST))
        found = self.answers.get(f"{model}: {prompt}", self.answers.get(prompt, f"echo {prompt}"))
        return found if isinstance(found, Answer) else Answer(answer(found, usage=COST))

    def test(self, cases: str = "", *arguments: str, **how: Any) -> Ran:
        """Run a file of cases, or the one that is there already."""
        if cases:
            Path("cases.toml").write_text(cases)
        return self("test", "cases.toml", *arguments, **how)


@pytest.fixture
def lab(tmp_path: Path, server: Scripted, monkeypatch: pytest.MonkeyPatch) -> Lab:
    folder = tmp_path / "prompts"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Lab(tmp_path / "home", server)


def results(ran: Ran) -> list[tuple[str, str, str]]:
    rows = [dict(zip(FIELDS, line.split("\t"), strict=True)) for line in ran.text.splitlines()]
    return [(row["status"], row["name"], row["reasons"]) for row in rows]


def case(text: str) -> str:
    return f"[[cases]]\n{text}\n"


# --- cases ---------------------------------------------------------------------------------------------------


def test_a_folder_has_cases_in_toml_and_jsonl_and_templates(lab: Lab) -> None:
    Path("classify.toml").write_text('system = "Be brief."\nprompt = "Classify: {{ text }}"\n')
    Path("cases.toml").write_text(
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
        """
    )
    Path(".hidden").mkdir()
    Path(".hidden/other.jsonl").write_text("not a case\n")
    Path("more.jsonl").write_text(
        '{"name": "hi", "prompt": "Say {{ word }}", "vars": {"word": "hi"}, "expect": {"contains": ["hi"]}}\n\n'
        '{"prompt": "Sum\u2028up.", "stdin": "A text.", "expect": {"equals": "echo A text.\\n\\nSum\u2028up."}}\n'
    )
    ran = lab("test", ".")
    assert (ran.code, ran.err) == (0, "4 passed ($1.00).\n")
    assert results(ran) == [("passed", name, "") for name in ("a bug", "case 2", "hi", "line 3")]


MISTAKES = [
    (case("prompt = 'x'\nexpect = { equal = 'y' }"), "case 1 expect.equal: is not a field"),
    (case("prompt = 'x'\nexpect = { regex = '(' }"), "is not a valid regular expression"),
    (case("prompt = 'x'\nexpect.paths = { 'a b' = 1 }"), "a b is not a valid path"),
    (case("prompt = 'x'\nexpect.schema = 'a.json'"), "a.json"),
    (case("prompt = 'x'\nexpect.max_cost = 0"), "case 1 expect.max_cost: must be greater than 0"),
    (case("prompt = 'x'\nmax_tokens = 0"), "case 1 max_tokens: must be greater than or equal to 1"),
    (case("prompt = 'x'\nexpect.judge = 'polite'"), "a model has to judge the answer, and none is named"),
    (case("prompt = 'x'\nvars.y = [1]"), "case 1 vars.y: must be a text, a number, true or false"),
    (case("prompt = 'x'\nexpect.equals = 5"), "case 1 expect.equals: must be a text"),
    (case("prompt = 'x'\nexpect = 'y'"), "case 1 expect: must be a table of names and values"),
    (case("name = 'n'"), "n: it has no prompt"),
    (case("prompt = '{{ x }}'"), "case 1: no value for x (see vars)"),
    (case("prompt = 'a'\nvars = { x = 1 }"), "case 1: the prompt has no variable 'x'"),
    (case("prompt = '{{ x'"), "missing }} after {{"),
    (case("template = 'nope'"), "unknown template: nope"),
    (case("name = 'n'\nprompt = 'a'") + case("name = 'n'\nprompt = 'b'"), "two cases are called 'n'"),
    ("cases = []", "cases: list should have at least 1 item"),
    (case("prompt = "), "cases.toml: "),
    (f"x = {'9' * 5000}", "cases.toml: "),
    ("params = { a = 2026-05-31 }\n" + case("prompt = 'a'"), "params: must be JSON, without dates"),
    (case("prompt = 'a'\nparams = { a = [nan] }"), "case 1 params: must be JSON, without dates"),
    (f"x = {'[' * 3000}", "nested too deeply"),
    ("prompt = 'only a template'", "cases.toml: cases: is missing"),
]


@pytest.mark.parametrize(("text", "error"), MISTAKES)
def test_a_mistake_in_a_file_is_named_and_nothing_is_sent(lab: Lab, text: str, error: str) -> None:
    ran = lab.test(text)
    assert (ran.code, ran.text, lab.asked) == (2, "", [])
    assert error.casefold() in ran.err.casefold()


@pytest.mark.parametrize("line", ["[]", "{", '{"prompt": 5}', '{"prompt": "x", "cases": []}'])
def test_a_line_that_is_not_a_case_is_named(lab: Lab, line: str) -> None:
    Path("x.jsonl").write_text(f'{{"prompt": "fine"}}\n{line}\n')
    ran = lab("test", ".")
    assert (ran.code, "line 2" in ran.err) == (2, True)


def test_paths_without_cases_are_usage_errors(lab: Lab) -> None:
    assert "has no test cases" in lab("test", ".").err
    assert lab("test", "missing.toml").code == 2
    assert lab("test").code == 2
    ran = lab.test(case("name = 'One'\nprompt = 'x'") + case("name = 'two'\nprompt = 'y'"), "--only", "ONE")
    assert results(ran) == [("passed", "One", "")]
    assert "--only" in lab.test("", "--only", "three").err
    Path("empty.jsonl").touch()
    assert "empty.jsonl has no test cases" in lab("test", "empty.jsonl").err


# --- runs ----------------------------------------------------------------------------------------------------


def test_failures_and_errors_exit_9_and_are_explained(lab: Lab) -> None:
    lab.answers = {
        "cut": Answer([*sse(delta("Half")), Cut()]),
        "bad": Answer([b'{"error": {"message": "no such field"}}'], status=400),
        "json": '{"label": "wish"}',
    }
    ran = lab.test(
        """
        cases = [
            { prompt = "good", expect = { contains = "good" } },
            { prompt = "text", expect = { contains = ["a", "b"], max_cost = 0.1 } },
            { prompt = "cut" },
            { prompt = "bad" },
            { prompt = "json", schema = "label bug|wish", expect = { paths = { ".label" = "bug" } } },
            { prompt = "other", schema = "label bug|wish" },
        ]
        """
    )
    assert ran.code == 9
    assert ran.err.startswith("1 passed, 3 failed, 2 errors")
    found = results(ran)
    assert [status for status, *_ in found] == ["passed", "failed", "error", "error", "failed", "failed"]
    assert found[1][2] == 'does not contain "a"; does not contain "b"; cost $0.25, more than $0.1'
    assert "no such field" in found[3][2]
    assert found[4][2] == 'has "wish" at .label, not "bug"'
    assert "is not valid JSON" in found[5][2]


def test_several_models_are_compared(lab: Lab) -> None:
    lab.answers = {"b: x": "wrong"}
    cases = "models = ['lab/a']\n" + case("prompt = 'x'\nexpect.contains = 'echo'")
    ran = lab.test(cases, "-m", "lab/a", "-m", "lab/b")
    assert ran.code == 9
    assert ran.err.splitlines() == [
        "lab/a: 1 passed ($0.25).",
        "lab/b: 0 passed, 1 failed ($0.25).",
        "1 passed, 1 failed ($0.5).",
    ]
    assert lab.test("", "-q").text == ""
    assert sorted(asked.body["model"] for asked in lab.asked) == ["a", "b"]


def test_a_template_that_extracts_is_checked_by_its_code_block(lab: Lab) -> None:
    lab.answers = {"x": "Here:\n```sh\nls -l\n```\nThat is it."}
    Path("command.toml").write_text("prompt = '{{ prompt }}'\nextract = true\n")
    assert lab.test(case("template = 'command'\nprompt = 'x'\nexpect.equals = 'ls -l'")).code == 0


def test_max_seconds_is_checked(lab: Lab) -> None:
    lab.answers = {"slow": Answer([Pause(0.3), *answer("x")])}
    ran = lab.test(case("prompt = 'slow'\nexpect.max_seconds = 0.2"))
    assert (ran.code, "more than 0.2 s" in ran.text) == (9, True)


def test_request_has_the_fields_of_case_file_and_template(lab: Lab) -> None:
    lab.paths.templates.mkdir(parents=True)
    (lab.paths.templates / "saved.toml").write_text(
        'prompt = "{{ prompt }}!"\ntemperature = 0.5\nmax_tokens = 9\nmodel = "lab/b"\n'
    )
    cases = case("template = 'saved'\nprompt = 'Hi'\nsystem = 'Be brief.'\nparams = { seed = 1 }")
    assert lab.test(f"temperature = 0.1\n[params]\ntop_p = 0.9\n{cases}").code == 0
    body = lab.asked[0].body
    assert (body["temperature"], body["max_tokens"], body["top_p"], body["seed"]) == (0.1, 9, 0.9, 1)
    assert body["model"] == "b"
    assert [message["content"] for message in body["messages"]] == ["Be brief.", "Hi!"]


# --- saved answers -------------------------------------------------------------------------------------------


def test_answers_are_saved_by_content_until_fresh(lab: Lab) -> None:
    assert lab.test(case("prompt = 'x'\nexpect.max_cost = 0.3") + case("prompt = 'y'")).code == 0
    assert len(lab.asked) == 2
    lab.answers = {"x": "new"}
    ran = lab.test()
    assert (ran.code, ran.err, len(lab.asked)) == (0, "2 passed (2 saved answers).\n", 2)
    changed = case("prompt = 'x'\nexpect.equals = 'new'") + case("prompt = 'y'\ntemperature = 0.0")
    assert (lab.test(changed).code, len(lab.asked)) == (9, 3)
    assert (lab.test("", "--fresh").code, len(lab.asked)) == (0, 5)
    assert (lab.test().code, len(lab.asked)) == (0, 5)
    files = list((lab.paths.cache / "tests").iterdir())
    assert {oct(each.stat().st_mode & 0o777) for each in files} == {"0o600"}


def test_incomplete_answers_and_damaged_files_are_not_used(lab: Lab) -> None:
    lab.answers = {"x": Answer([*sse(delta("Half")), Cut()])}
    assert lab.test(case("prompt = 'x'")).code == 9
    lab.answers = {}
    assert lab.test().code == 0
    (saved,) = (lab.paths.cache / "tests").iterdir()
    odd = [("5", "null", "1"), ('"x"', '"1E+999999999"', "1"), ('"x"', '"NaN"', "1"), ('"x"', "null", "NaN")]
    forged = [f'{{"text": {text}, "cost": {cost}, "seconds": {seconds}}}' for text, cost, seconds in odd]
    for content in ("{", "[]", "[" * 200_000, '{"text": "x"}', *forged):
        saved.write_text(content)
        before = len(lab.asked)
        assert (lab.test().code, len(lab.asked)) == (0, before + 1)


# --- judges --------------------------------------------------------------------------------------------------


def test_a_model_judges_answers_that_pass_the_other_checks(lab: Lab) -> None:
    ran = lab.test(
        "judge = 'lab/b'\n"
        + case("prompt = 'x'\nexpect.judge = 'polite'")
        + case("prompt = 'y'\nexpect.judge = ['polite', 'rude']")
        + case("prompt = 'z'\nexpect = { contains = 'never', judge = 'polite' }")
    )
    assert (ran.code, ran.err) == (9, "1 passed, 2 failed ($1.50).\n")
    assert results(ran) == [
        ("passed", "case 1", ""),
        ("failed", "case 2", "is not judged so: rude (so it is)"),
        ("failed", "case 3", 'does not contain "never"'),
    ]
    assert [asked.body["model"] for asked in lab.asked].count("b") == 3
    before = len(lab.asked)
    assert (lab.test().code, len(lab.asked)) == (9, before)
    assert lab.test("", "--judge", "lab/a").code == 9
    assert [asked.body["model"] for asked in lab.asked[before:]] == ["a"] * 3


def test_a_judge_that_answers_nonsense_is_an_error(lab: Lab) -> None:
    lab.verdict = "It is fine."
    ran = lab.test("judge = 'lab/b'\n" + case("prompt = 'x'\nexpect.judge = ['polite', 'rude']"))
    assert (ran.code, results(ran)[0][0], "lab/b did not judge: " in ran.text) == (9, "error", True)
    assert len(lab.asked) == 1 + 2 * 2, "each question is asked once more"


# --- the end -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [40, 80])
def test_terminal_shows_marks_reasons_and_progress(lab: Lab, columns: int) -> None:
    lab.answers = {"y": Answer([Pause(1), *answer("\x1b[31my")])}
    cases = case('name = "a \\u001b[31m"\nprompt = "x"') + case("prompt = 'y'\nexpect.equals = 'z'")
    path = Path.cwd() / "cases.toml"
    path.write_text(cases)
    with on_terminal(columns, TERM="xterm-256color") as (stream, console):
        app = App(environ={**lab.env, **console.environ}, console=console)
        assert main(["test", str(path), "-m", "lab/a"], app) == 9
    written = stream.getvalue()
    assert "1 of 2 done, 1 request in flight"[: columns - 1] in written
    assert "\x1b[31m" not in written
    terminal = Terminal(columns)
    terminal.feed(written)
    rows = [row for row in terminal.text() if not row.startswith("/")]
    for start in ("  ✓ a ␛[31m", "  ✗ case 2", "      The answer: "):
        assert sum(row.startswith(start) for row in rows) == 1
    assert not any("lab/a" in row for row in rows), "it is the only model"
    assert rows[-1] == "1 passed, 1 failed ($0.25)."
    assert not any("in flight" in row for row in rows)


def test_a_refused_key_ends_the_run_with_its_exit_code(lab: Lab) -> None:
    lab.answers = {"x": Answer([b'{"error": {"message": "bad key"}}'], status=401)}
    ran = lab.test(case("prompt = 'x'"), "--json")
    assert (ran.code, json.loads(ran.text)[0]["status"]) == (4, "not_run")


def test_max_cost_and_budget_end_the_run_with_exit_5(lab: Lab) -> None:
    cases = "".join(case(f"prompt = '{number}'") for number in range(8))
    statuses = ["passed"] * 3 + ["not run"] * 5
    ran = lab.test(cases, "-j", "1", "--max-cost", "0.6")
    assert (ran.code, "--max-cost" in ran.err, len(lab.asked)) == (5, True, 3)
    assert [status for status, *_ in results(ran)] == statuses
    ran = lab.test("", "-j", "1", env={"TELEX_BUDGET": '{"day": 0.5}'})
    assert (ran.code, "the budget for today is spent" in ran.err, len(lab.asked)) == (5, True, 3)
    assert [status for status, *_ in results(ran)] == statuses


def test_max_cost_includes_the_judges(lab: Lab) -> None:
    cases = "judge = 'lab/b'\n" + case("prompt = 'x'\nexpect.judge = ['polite', 'kind', 'rude']")
    ran = lab.test(cases, "-j", "1", "--max-cost", "0.5")
    assert (ran.code, len(lab.asked), results(ran)[0][0]) == (5, 2, "not run")


def test_requests_are_counted_in_the_ledger(lab: Lab) -> None:
    for _ in range(2):
        lab.test("judge = 'lab/b'\n" + case("prompt = 'x'\nexpect.judge = 'polite'"))
    with History(lab.paths.history) as history:
        (total,) = history.ledger.totals("command")
        assert (total.key, total.requests, total.cost) == ("test", 2, Decimal("0.5"))
        assert history.conversations() == ()


def test_junit_has_a_suite_for_each_file_and_model(lab: Lab) -> None:
    lab.answers = {"x": "\x1b[31m<red> & \ud83d"}
    cases = case("name = 'a <b>'\nprompt = 'x'\nexpect.equals = 'y'") + case("prompt = 'z'")
    assert lab.test(cases, "-m", "lab/a", "-m", "lab/b", "--junit", "report.xml").code == 9
    assert Path("report.xml").read_text().startswith("<?xml")
    root = ElementTree.parse("report.xml").getroot()
    assert root.tag == "testsuites"
    assert [root.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["4", "2", "0", "0"]
    suites = root.findall("testsuite")
    assert [suite.get("name") for suite in suites] == ["cases.toml (lab/a)", "cases.toml (lab/b)"]
    found = suites[0].findall("testcase")[0]
    assert found.get("name") == "a <b>"
    failure = found.find("failure")
    assert failure is not None
    assert "<red> &" in str(failure.text)
    assert lab.test("", "--junit", "no/report.xml").code == 2
