"""Templates: their files, errors with line numbers, names, and variables."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_core.errors import TemplateError, VariableError
from provider_core.templates import Filled, Template, fill, find, inline, load, names, parse, variables

TOML = Path("t.toml")
MARKDOWN = Path("t.md")


def prompt(text: str, system: str = "") -> Template:
    return Template(name="t", path=TOML, prompt=text, system=system)


def wrong(text: str, path: Path = TOML) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        parse(text, path)
    return caught.value


# --- files ---------------------------------------------------------------------------------------------------

WHOLE = """
description = "Reviews a diff."
model = "groq/llama"
system = "You are {{ tone | kind }}."
temperature = 0
max_tokens = 500
reasoning_effort = "low"
extract = true
schema = "verdict, notes list"
prompt = '''
Review this:
{{ stdin }}
'''

[params]
top_p = 0.9
"""


def test_toml_template_has_prompts_model_and_parameters() -> None:
    assert parse(WHOLE, TOML) == Template(
        name="t",
        path=TOML,
        description="Reviews a diff.",
        model="groq/llama",
        system="You are {{ tone | kind }}.",
        temperature=0,
        max_tokens=500,
        reasoning_effort="low",
        extract=True,
        schema="verdict, notes list",
        prompt="Review this:\n{{ stdin }}",
        params={"top_p": 0.9},
    )


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_markdown_template_has_its_prompt_below_the_header(end: str) -> None:
    text = end.join(["+++", 'model = "a/b"', "schema = {type = 'object'}", "+++", "", "# Do", "", "it", ""])
    found = parse(text, MARKDOWN)
    assert (found.model, found.schema, found.prompt) == ("a/b", {"type": "object"}, "# Do\n\nit")
    assert parse(f"Just{end}this", MARKDOWN).prompt == "Just\nthis"
    assert parse("temperature = 0", TOML).temperature == 0


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('\nmodle = "x"', 2, "unknown field 'modle'; did you mean model?"),
        ('zzz = "x"', 1, "unknown field 'zzz'. Fields: description, extract"),
        ("prompt = 3", 1, "prompt must be text"),
        ('prompt = "x"\nmodel = ""', 2, "model must be text, in quotes, and not empty"),
        ('prompt = "x"\ntemperature = -1', 2, "temperature must be a number, 0 or greater"),
        ('prompt = "x"\ntemperature = nan', 2, "temperature must be"),
        ('prompt = "x"\ntemperature = true', 2, "temperature must be"),
        ('prompt = "x"\nmax_tokens = 0', 2, "max_tokens must be a whole number"),
        ('prompt = "x"\nextract = 1', 2, "extract must be true or false"),
        ('prompt = "x"\nschema = 1', 2, "schema must be"),
        (
            'prompt = "x"\n\n[params]\na = 1979-05-27',
            3,
            "params must be a table, as in [params], without dates",
        ),
        ('prompt = "x"\nparams = 1', 2, "params must be a table"),
        ('prompt = "x', 1, "Unterminated string"),
        ('prompt = "x"\nprompt = "y"', 2, "Cannot overwrite a value"),
        ("prompt = '''\none\n{{ a.b }}\n'''", 3, "{{ a.b }} is not a variable"),
        ("prompt = '''\none {{ two\n}}'''", 2, "missing }} after {{"),
        ("prompt = 'x'\nsystem = '{{ 1 }}'", 2, "{{ 1 }} is not a variable"),
    ],
)
def test_invalid_toml_template_is_reported_with_its_line(text: str, line: int, words: str) -> None:
    error = wrong(text)
    assert (error.path, error.line) == (TOML, line)
    assert error.message.startswith(f"t.toml, line {line}: ")
    assert words in error.message


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("+++\nmodel = 'a'\n\ntext", 1, "the TOML header is not closed"),
        ("+++\n\nmodel = 7\n+++\ntext", 3, "model must be text"),
        ("+++\nprompt = 'x'\n+++\ntext", 2, "the prompt comes after"),
        ("+++\nmodel = 'x'\n+++\n\none\n{{ two three }}", 6, "{{ two three }} is not a variable"),
    ],
)
def test_invalid_markdown_template_is_reported_with_its_line(text: str, line: int, words: str) -> None:
    error = wrong(text, MARKDOWN)
    assert error.line == line
    assert words in error.message


@pytest.mark.parametrize("text", ["", "# nothing", 'description = "x"', 'prompt = ""\nsystem = ""'])
def test_template_without_any_effect_is_invalid(text: str) -> None:
    assert "it is empty" in wrong(text).message
    assert "it is empty" in wrong("+++\n+++\n\n", MARKDOWN).message


# --- names ---------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("review.toml", "brief.md", "notes.txt", ".hidden.toml", "a b.md", "v1.2.toml"):
        (tmp_path / name).write_text('prompt = "x"')
    (tmp_path / "sub.md").mkdir()
    return tmp_path


def test_templates_are_found_by_name_with_or_without_suffix(folder: Path) -> None:
    assert list(names(folder)) == ["brief", "review", "v1.2"]
    assert find(folder, "review") == find(folder, "review.toml") == folder / "review.toml"
    assert find(folder, "v1.2") == folder / "v1.2.toml"
    assert load(folder, "brief").prompt == 'prompt = "x"'
    assert names(folder / "nowhere") == {}


def test_path_of_a_template_needs_no_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert load(Path("/nowhere"), "./review.toml").prompt == "x"
    with pytest.raises(TemplateError, match=r"unknown template: \./reviews\.toml"):
        load(folder, "./reviews.toml")


@pytest.mark.parametrize(("typed", "near"), [("reviw", ("review",)), ("zzz", ()), ("REVIEW", ("review",))])
def test_unknown_name_has_similar_names_as_candidates(
    folder: Path, typed: str, near: tuple[str, ...]
) -> None:
    with pytest.raises(TemplateError) as caught:
        find(folder, typed)
    assert (caught.value.name, caught.value.candidates) == (typed, near)


@pytest.mark.parametrize("typed", ["", "..", "-x", "a b", "x" * 65, ".toml", "a\x1b"])
def test_invalid_name_is_refused(folder: Path, typed: str) -> None:
    with pytest.raises(TemplateError, match="is not a valid name for a template"):
        find(folder, typed)


def test_two_files_of_one_name_are_an_error(folder: Path) -> None:
    (folder / "review.md").write_text("x")
    with pytest.raises(TemplateError, match="two templates are called review"):
        find(folder, "review")
    assert find(folder, "review.md") == folder / "review.md"


def test_file_that_is_not_utf8_or_too_large_is_an_error(folder: Path) -> None:
    path = folder / "bad.toml"
    path.write_bytes(b'prompt = """\n\xff"""')
    with pytest.raises(TemplateError, match=r"bad\.toml, line 2: it is not UTF-8"):
        load(folder, "bad")
    path.write_bytes(b"\xef\xbb\xbfprompt = 'x'")
    assert load(folder, "bad").prompt == "x"
    path.write_bytes(b"#" * 1_000_001)
    with pytest.raises(TemplateError, match="larger than 1 MB"):
        load(folder, "bad")


# --- filling -------------------------------------------------------------------------------------------------


def test_values_and_defaults_replace_variables() -> None:
    template = prompt("To {{ lang }}: {{stdin}} ({{  how | plainly  }}, {{ lang }})", "Be {{ tone | kind }}.")
    assert variables(template) == {"tone": "kind", "lang": None, "stdin": None, "how": "plainly"}
    filled = fill(template, stdin="Hallo\n", values={"lang": "English", "tone": ""})
    assert filled == Filled(system="Be .", prompt="To English: Hallo\n (plainly, English)")


@given(st.text(max_size=40), st.text(max_size=40))
def test_variables_in_values_are_not_replaced(first: str, second: str) -> None:
    values = {"a": f"{{{{ b }}}}{first}", "b": second}
    assert fill(prompt("{{ a }}|{{ b }}"), values=values).prompt == f"{{{{ b }}}}{first}|{second}"
    piped = f"\\1 \\g<0> {{{{ a }}}} {first}"
    assert fill(prompt("< {{ stdin }} >"), stdin=piped).prompt == f"< {piped} >"


def test_escaped_braces_stay() -> None:
    template = parse(r"""prompt = '{ a } \{{ x.y }} \{{ {{ a }}}'""", TOML)
    assert fill(template, values={"a": "1"}).prompt == "{ a } {{ x.y }} {{ 1}"


@pytest.mark.parametrize(
    ("text", "stdin", "typed", "whole"),
    [
        ("Sum up.", "text", "", "text\n\nSum up."),
        ("Sum up.", None, "In French.", "Sum up.\n\nIn French."),
        ("Sum up {{ stdin }}", "text", "In French.", "Sum up text\n\nIn French."),
        ("{{ prompt }}, please: {{ stdin }}", "text", "Sum up", "Sum up, please: text"),
        ("{{ prompt | Sum up }}: {{ stdin | nothing }}", "\n", " ", "Sum up: nothing"),
        ("", "text", "Sum up", "text\n\nSum up"),
        ("Hi", "", "", "Hi"),
    ],
)
def test_stdin_and_typed_prompt_replace_their_variables_or_surround_the_prompt(
    text: str, stdin: str | None, typed: str, whole: str
) -> None:
    assert fill(prompt(text), stdin=stdin, typed=typed).prompt == whole


@pytest.mark.parametrize(
    ("text", "missing", "words"),
    [
        ("{{ lang }}", ["lang"], "the template t needs a value for lang"),
        ("{{ stdin }}", ["stdin"], "needs piped text"),
        ("{{ b }}{{ prompt }}{{ a }}", ["b", "prompt", "a"], "a value for b, a prompt and a value for a"),
        ("{{ a | x }} {{ b }}", ["b"], "a value for b"),
    ],
)
def test_missing_values_are_listed(text: str, missing: list[str], words: str) -> None:
    with pytest.raises(VariableError) as caught:
        fill(prompt(text))
    assert list(caught.value.missing) == missing
    assert words in caught.value.message


def test_inline_template_is_a_prompt_or_an_error_that_names_it() -> None:
    assert fill(inline("Hi {{ name }}", "--prompt"), values={"name": "you"}).prompt == "Hi you"
    with pytest.raises(VariableError, match=r"--prompt: missing }} after \{\{"):
        inline("Hi {{ name", "--prompt")


def test_default_applies_to_all_uses_of_a_variable() -> None:
    assert fill(prompt("{{ a }} {{ a | x }} {{ a | y }}")).prompt == "x x y"


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ("lnag", "the template t has no variable 'lnag': its variables are lang"),
        ("stdin", "--var stdin: this variable is piped input, so it cannot be set"),
        ("prompt", "--var prompt: this variable is the words after the options, so it cannot be set"),
    ],
)
def test_value_for_an_unknown_or_reserved_variable_is_refused(given_: str, words: str) -> None:
    with pytest.raises(VariableError, match=words):
        fill(prompt("{{ lang | x }} {{ stdin | y }}"), values={given_: "1"})
    with pytest.raises(VariableError, match="it has no variables to set"):
        fill(prompt("x"), values={"a": "1"})
