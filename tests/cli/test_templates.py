"""``telex templates``: list, show, remove, and edit in the user's editor."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import sys
from pathlib import Path

import pytest
from inprocess import Inside
from running import COMMAND, Telex
from scripted import Scripted, answer

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the editors here are shell scripts")


@pytest.fixture
def inside(tmp_path: Path) -> Inside:
    return Inside(tmp_path / "home")


def put(telex: Inside | Telex, name: str, text: str) -> Path:
    folder = (telex.paths.config if isinstance(telex, Inside) else telex.home / "config") / "templates"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def editor(tmp_path: Path, script: str) -> str:
    """An editor that does to the file, which is "$1", what the shell's ``script`` says."""
    path = tmp_path / "an editor"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return f"'{path}'"


# --- list, show, remove --------------------------------------------------------------------------------------


SHIPPED = ("commit", "explain", "review", "summary", "translate")


def test_templates_are_listed_with_source_model_and_description(inside: Inside) -> None:
    ran = inside("templates", "list")
    assert ran.code == 0
    assert [line.split("\t")[::3] for line in ran.text.splitlines()] == [
        [name, "shipped"] for name in SHIPPED
    ]
    put(inside, "review.toml", "model = 'a/b'\ndescription = 'Reviews.'\nprompt = 'x'")
    put(inside, "brief.md", "\n\nSum this up:\n{{ stdin }}")
    put(inside, "notes.txt", "no template")
    lines = inside("templates", "list").text.splitlines()
    assert lines[:2] == ["brief\t\tSum this up:\tyours", "review\ta/b\tReviews.\tyours"]
    assert [line.split("\t")[0] for line in lines[2:]] == [name for name in SHIPPED if name != "review"]


def test_invalid_template_is_listed_with_its_error(inside: Inside) -> None:
    path = put(inside, "bad.toml", "prompt = 1")
    put(inside, "good.md", "Hello {{ name | you }}")
    ran = inside("templates", "list", "--json")
    assert ran.code == 0
    assert f"{path}, line 1: prompt must be text" in ran.err
    bad, good, *shipped = json.loads(ran.text)
    assert (bad["name"], bad["error"]) == ("bad", f"{path}, line 1: prompt must be text, in quotes")
    assert (good["name"], good["prompt"], good["variables"], good["shipped"]) == (
        "good",
        "Hello {{ name | you }}",
        {"name": "you"},
        False,
    )
    assert [(each["name"], each["shipped"]) for each in shipped] == [(name, True) for name in SHIPPED]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_template_is_filled_and_sent(inside: Inside, server: Scripted, name: str) -> None:
    server.will(answer("Done."))
    inside.provider("fake", server.url)
    arguments = ("--var", "to=Klingon") if name == "translate" else ()
    ran = inside("chat", "--no-save", "--template", name, *arguments, "a hint", stdin=b"the material")
    assert (ran.code, ran.out) == (0, b"Done.\n")
    system, user = server.asked[0].body["messages"]
    assert user["content"] == "the material\n\na hint"
    assert "{{" not in system["content"]
    assert ("Klingon" in system["content"]) == (name == "translate")
    ran = inside("chat", "--template", name)
    assert (ran.code, len(server.asked)) == (2, 1)
    assert ran.err.startswith(f"telex: the template {name} needs text\n  Pipe it in, ")


def test_own_template_replaces_a_shipped_one_until_it_is_removed(inside: Inside, tmp_path: Path) -> None:
    shipped = inside("templates", "show", "commit").text
    assert "git diff --staged" in shipped
    unchanged = inside("templates", "edit", "commit", env={"EDITOR": "true"})
    assert unchanged.err == "Nothing was written.\n"
    env = {"EDITOR": editor(tmp_path, """echo 'prompt = "mine"' > "$1" """)}
    assert inside("templates", "edit", "commit", env=env).code == 0
    path = inside.paths.templates / "commit.toml"
    assert path.read_text() == 'prompt = "mine"\n'
    assert inside("templates", "show", "commit").text == 'prompt = "mine"\n'
    assert inside("templates", "remove", "commit", "--yes").code == 0
    assert inside("templates", "show", "commit").text == shipped

    refused = inside("templates", "remove", "commit", "--yes")
    assert refused.code == 2
    assert "comes with telex and cannot be removed" in refused.err
    assert inside("templates", "edit", "commit", "--markdown", env={"EDITOR": "true"}).code == 2
    put(inside, "commit.md", "prompt = 1")
    put(inside, "commit.toml", "prompt = 1")
    assert "two templates are called commit" in inside("templates", "show", "commit").err


def test_remove_needs_yes_and_removes_only_templates(inside: Inside, tmp_path: Path) -> None:
    path = put(inside, "a.md", "x")
    refused = inside("templates", "remove", "a", stdin=b"y\n")
    assert (refused.code, path.exists()) == (2, True)
    assert "use --yes" in refused.err
    assert inside("templates", "remove", str(path), "--yes").code == 0
    assert not path.exists()
    (tmp_path / "thesis.md").write_text("x")
    assert inside("templates", "remove", str(tmp_path / "thesis.md"), "--yes").code == 2
    assert (tmp_path / "thesis.md").exists()


# --- edit ----------------------------------------------------------------------------------------------------


def test_new_template_starts_with_all_fields_in_comments(inside: Inside, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    env = {"EDITOR": editor(tmp_path, f'cat "$1" > {seen}; echo "prompt = \'Hi {{{{ name }}}}\'" > "$1"')}
    ran = inside("templates", "edit", "greet", env=env)
    path = inside.paths.templates / "greet.toml"
    assert (ran.code, ran.err) == (0, f"Saved as {path}. To use it: telex chat --template greet\n")
    assert path.read_text() == "prompt = 'Hi {{ name }}'\n"
    assert "# model = " in seen.read_text()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("arguments", "suffix"), [(["g"], "toml"), (["g.md"], "md"), (["g", "--markdown"], "md")]
)
def test_uncommented_new_template_is_valid(
    inside: Inside, tmp_path: Path, arguments: list[str], suffix: str
) -> None:
    shown = tmp_path / "begun"
    script = f'cat "$1" > {shown}; cp {tmp_path}/filled "$1"'
    inside("templates", "edit", *arguments, env={"EDITOR": editor(tmp_path, f'cat "$1" > {shown}')})
    begun = re.sub(r"^# (?=[a-z_]+ = )", "", shown.read_text(), flags=re.MULTILINE)
    filled = begun.replace("prompt = '''\n", "prompt = '''\nSay {{ what }}\n") + (
        "Say {{ what }}" if suffix == "md" else ""
    )
    (tmp_path / "filled").write_text(filled)
    ran = inside("templates", "edit", *arguments, env={"EDITOR": editor(tmp_path, script)})
    assert ran.code == 0, ran.err
    read = json.loads(inside("templates", "show", "g", "--json").text)
    assert read["path"].endswith(f"g.{suffix}")
    assert (read["prompt"].strip(), read["variables"]) == ("Say {{ what }}", {"what": None})
    assert (read["temperature"], read["params"], read["extract"]) == (0.2, {"top_p": 0.9}, True)


@pytest.mark.parametrize("script", ["true", ': > "$1"', 'rm "$1"'])
def test_unchanged_new_template_is_not_saved(inside: Inside, tmp_path: Path, script: str) -> None:
    ran = inside("templates", "edit", "a", env={"VISUAL": editor(tmp_path, script), "EDITOR": "false"})
    assert ran.code == 0
    assert "Nothing was written." in ran.err
    assert list((inside.paths.templates).iterdir()) == []


def test_invalid_edit_is_reported_and_saved(inside: Inside, tmp_path: Path) -> None:
    env = {"EDITOR": editor(tmp_path, """printf 'prompt = "x"\\nmodle = "y"\\n' > "$1" """)}
    ran = inside("templates", "edit", "a", env=env)
    path = inside.paths.templates / "a.toml"
    assert ran.code == 3
    assert ran.err == f"telex: {path}, line 2: unknown field 'modle'; did you mean model?\n"
    assert "modle" in path.read_text()
    assert inside("templates", "edit", "a", env={"EDITOR": "true"}).code == 3


def test_failing_and_missing_editors_are_errors(inside: Inside, tmp_path: Path) -> None:
    env = {"EDITOR": editor(tmp_path, """echo 'prompt = "x"' > "$1"; exit 7""")}
    ran = inside("templates", "edit", "a", env=env)
    assert ran.code == 1
    assert "exited with code 7" in ran.err
    assert (inside.paths.templates / "a.toml").read_text() == 'prompt = "x"\n'
    assert inside("templates", "edit", "b", env={"EDITOR": "false"}).code == 1
    assert not (inside.paths.templates / "b.toml").exists()
    ran = inside("templates", "edit", "b", env={"EDITOR": "/nowhere/ed -w"})
    assert ran.code == 1
    assert "cannot be started: No such file or directory" in ran.err
    ran = inside("templates", "edit", "b")
    assert ran.code == 2
    assert "Set VISUAL or EDITOR." in ran.err
    path = inside.paths.templates / "a.toml"
    ran = inside("templates", "edit", "a.md", env={"EDITOR": "true"})
    assert (ran.code, ran.err) == (2, f"telex: there is a template a already: {path}\n")
    assert inside("templates", "edit", "../a", env={"EDITOR": "true"}).code == 3


def test_ctrl_c_reaches_only_the_editor(telex: Telex, tmp_path: Path) -> None:
    caught = """echo 'prompt = "caught"' > "$1"; exit 0"""
    (tmp_path / "on-int").write_text(caught)
    script = f"trap '. {tmp_path}/on-int' INT; echo up; while :; do sleep 0.05; done"
    process = telex.start(
        "templates", "edit", "a", env={"EDITOR": editor(tmp_path, script)}, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert (telex.home / "config" / "templates" / "a.toml").read_text() == 'prompt = "caught"\n'


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_invalid_edit_can_be_repeated_on_a_terminal(telex: Telex, tmp_path: Path) -> None:
    from terminal import Pty

    script = """if grep -q modle "$1"; then echo 'model = "m"' > "$1"; else echo 'modle = "m"' > "$1"; fi"""
    env = telex.env | {"EDITOR": editor(tmp_path, script)}
    with Pty([str(COMMAND), "templates", "edit", "a"], env=env) as terminal:
        terminal.wait_for("Edit it again?")
        terminal.type("\r")
        terminal.wait_for("Saved as")
    assert (telex.home / "config" / "templates" / "a.toml").read_text() == 'model = "m"\n'


# --- completion ----------------------------------------------------------------------------------------------


def test_completion_follows_the_folder(inside: Inside) -> None:
    names = inside.paths.cache / "completion" / "templates"
    path = put(inside, "a.toml", "prompt = 'x'")
    inside("providers", "list")
    shipped = "".join(f"{name}\n" for name in SHIPPED)
    assert names.read_text() == f"a\n{shipped}"
    put(inside, "b.md", "x")
    inside("models", "list")
    assert names.read_text() == f"a\nb\n{shipped}"
    path.unlink()
    inside("providers", "list")
    assert names.read_text() == f"b\n{shipped}"
