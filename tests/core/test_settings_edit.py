"""Changes to the settings file and to keys: nothing is lost, and settings and key change together or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from listings import paths as paths_of

from provider_core import provider_store
from provider_core.errors import KeyStoreError, SettingsError
from provider_core.keys import MemoryStore
from provider_core.settings import Paths, edit, load
from provider_core.settings.edit import (
    declare_model,
    entries,
    forget_model,
    set_alias,
    set_value,
    unset_value,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

URL = {"base_url": "http://127.0.0.1:1"}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    found = Paths.find({"TELEX_HOME": str(tmp_path)})
    found.config.mkdir(parents=True)
    return found


@pytest.fixture
def path(paths: Paths) -> Path:
    return paths.settings_file


# --- files of any style ------------------------------------------------------------------------------------

HEADS = (
    '# top\nmodel = "lab/m" # default\n',
    "local_threads = 2 # cores\n",
    'providers.five.base_url = "http://g" # dotted\n',
    'providers = {six = {base_url = "http://s"}} # in line\n',
)
MODEL = '[[providers.four.models]]\nid = "x" # mx\n[[providers.four.models]]\nid = "y"\n'
TABLES = (
    '[aliases] # names\nfast = "lab" # quick\n# after aliases\n\n',
    '[providers.lab] # cellar\nbase_url = "http://127.0.0.1:1" # one\n# inner\nkey_env = "A"\n\n# before the next\n',
    '[providers.two]\npreset = "deepseek"\nheaders = {X-A = "1"} # two\n',
    '[providers."three"]\nbase_url = "http://h"\n[providers.three.headers] # sub\nX-B = "2"\n',
    f'[providers.four]\nbase_url = "http://f"\n{MODEL}',
    "[providers]\n# bare\n",
)
OWN_COMMENTS = {"lab": "# cellar # one # inner", "two": "# two", "three": "# sub", "four": "# mx", "five": "# dotted",
                "six": "# in"}  # fmt: skip


@settings(max_examples=150)
@given(data=st.data())
def test_change_does_what_it_means_and_keeps_the_comments_of_others(path: Path, data: st.DataObject) -> None:
    heads = [head for head in HEADS if data.draw(st.booleans())]
    text = "".join([*heads, *data.draw(st.lists(st.sampled_from(TABLES), unique=True))])
    try:
        providers: dict[str, Any] = tomllib.loads(text).get("providers", {})
    except tomllib.TOMLDecodeError:
        return
    path.write_text(text)
    changes = ["put", "replace", "update", "rename", "remove"] if providers else ["put"]
    change = data.draw(st.sampled_from(changes))
    name = data.draw(st.sampled_from(list(providers))) if change != "put" else "new"
    new = {"base_url": "http://n", "models": ["a", {"id": "b"}]}
    fields = {"display_name": "X", "key_env": None}
    refused = ""
    try:
        match change:
            case "put" | "replace":
                providers[name] = new
                edit.put(path, {name: new}, replace=change == "replace")
            case "update":
                providers[name] = {k: v for k, v in {**providers[name], **fields}.items() if v is not None}
                edit.update_provider(path, name, fields)
            case "rename":
                providers["renamed"] = providers.pop(name)
                edit.rename_provider(path, name, "renamed")
            case _:
                del providers[name]
                edit.remove(path, name)
    except SettingsError as error:
        refused = error.message
    if refused:
        assert "edit it by hand" in refused
        assert path.read_text() == text
        assert "dotted" in text or "in line" in text  # only these styles may be refused
        return
    after = path.read_text()
    assert tomllib.loads(after).get("providers", {}) == providers
    own = OWN_COMMENTS.get(name, "") if change in ("replace", "remove") else ""
    assert [each for each in re.findall(r"# \w+", text) if each not in after and each not in own] == []


SHAPES = {
    "table": '# t\n[providers.lab]\nbase_url = "http://h"\nmodels = ["a", {id = "b", context = 9}] # m\n\n# end\n',
    "lines": '[providers.lab]\nbase_url = "http://h"\nmodels = [\n    "a", # first\n'
    '    {id = "b", context = 9}, # second\n]\n',
    "inline": 'providers = {lab = {base_url = "http://h", models = ["a", {id = "b", context = 9}]}} # i\n',
    "dotted": 'providers.lab.base_url = "http://h"\nproviders.lab.models = ["a", {id = "b", context = 9}]\n',
    "tables": '[providers.lab]\nbase_url = "http://h"\n[[providers.lab.models]]\nid = "a"\n[[providers.lab.models]]\n'
    'id = "b"\ncontext = 9\n# end\n',
    "split": '[providers]\n[providers.lab]\nmodels = ["a", {id = "b", context = 9}]\nbase_url = "http://h"\n'
    '[aliases]\nx = "lab/a"\n',
}


@pytest.fixture(params=SHAPES, ids=list(SHAPES))
def file(request: pytest.FixtureRequest, path: Path) -> Path:
    path.write_text(SHAPES[request.param])
    return path


def declared(path: Path) -> list[Any]:
    models = tomllib.loads(path.read_text())["providers"]["lab"].get("models", [])
    return [entry if isinstance(entry, dict) else {"id": entry} for entry in models]


def test_models_are_declared_changed_and_forgotten(file: Path, paths: Paths) -> None:
    declare_model(file, "lab", "c", {"context": 7, "tools": None}, new=True)
    assert declared(file) == [{"id": "a"}, {"id": "b", "context": 9}, {"id": "c", "context": 7}]
    declare_model(file, "lab", "a", {"vision": True}, new=False)
    declare_model(file, "lab", "b", {"context": None}, new=False)
    assert declared(file) == [{"id": "a", "vision": True}, {"id": "b"}, {"id": "c", "context": 7}]
    for model in ("b", "c", "a"):
        forget_model(file, "lab", model)
    assert declared(file) == []
    declare_model(file, "lab", "again", {}, new=True)
    assert declared(file) == [{"id": "again"}]
    assert load(paths, {}).providers["lab"].base_url == "http://h"


def test_aliases_and_the_default_are_set_and_removed(file: Path, paths: Paths) -> None:
    comments = file.read_text().split().count("#")
    set_value(file, ("model",), "lab/a")
    set_alias(file, "fast", ["lab/b"])
    set_alias(file, "fast", ["lab"])
    found = load(paths, {})
    assert (found.model, str(found.aliases["fast"])) == ("lab/a", "lab")
    unset_value(file, ("model",))
    edit.remove(file, "fast", "aliases")
    found = load(paths, {})
    assert (found.model, "fast" in found.aliases) == (None, False)
    assert file.read_text().split().count("#") == comments


def test_table_goes_with_its_last_entry(path: Path) -> None:
    path.write_text('model = "x"\n\n[aliases]\nfast = "lab/m"\n')
    edit.remove(path, "fast", "aliases")
    assert path.read_text().strip() == 'model = "x"'


def test_comment_beside_another_model_stays(path: Path) -> None:
    path.write_text(SHAPES["lines"])
    declare_model(path, "lab", "b", {"tools": True}, new=False)
    declare_model(path, "lab", "c", {}, new=True)
    forget_model(path, "lab", "c")
    assert '"a", # first' in path.read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: declare_model(p, "lab", "a", {}, new=True), "lab/a is already in the settings"),
        (lambda p: declare_model(p, "nobody", "a", {}, new=True), "unknown provider: nobody"),
        (lambda p: declare_model(p, "lab", "c", {"context": -1}, new=True), "context: must be greater than 0"),
        (lambda p: forget_model(p, "lab", "c"), "lab/c is not in the settings"),
        (lambda p: edit.remove(p, "gone", "aliases"), "unknown alias: gone"),
        (lambda p: set_alias(p, "a/b", ["lab/a"]), "aliases"),
        (lambda p: set_value(p, ("model",), "x" * 600), "model"),
        (lambda p: edit.put(p, {"lab": URL}), "lab is already set up"),
        (lambda p: edit.put(p, {"new": URL, "worse": {"base_url": "no address"}}), "worse"),
        (lambda p: edit.rename_provider(p, "lab", "lab"), "already set up"),
        (lambda p: edit.put(p, {"new": {"env": {"A": "b"}}}, "mcp"), "it needs either a command or a url"),
        (lambda p: edit.remove(p, "files", "mcp"), "unknown MCP server: files"),
    ],
)  # fmt: skip
def test_refused_change_leaves_the_file(file: Path, change: Any, words: str) -> None:
    before = file.read_bytes()
    with pytest.raises(SettingsError, match=words):
        change(file)
    assert file.read_bytes() == before


line = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=20)


@given(model=line, name=line, alias=st.text(st.sampled_from("ab.\"'\\#=[]é"), min_size=1, max_size=8))
def test_any_name_can_be_written_and_read_again(
    tmp_path_factory: pytest.TempPathFactory, model: str, name: str, alias: str
) -> None:
    where = paths_of(tmp_path_factory.mktemp("home"))
    where.config.mkdir()
    where.settings_file.write_text(SHAPES["split"])
    declare_model(where.settings_file, "lab", model, {"name": name}, new=model not in ("a", "b"))
    set_alias(where.settings_file, alias, [f"lab/{model}"])
    set_value(where.settings_file, ("model",), alias)
    found = load(where, {})
    assert (model, name) in [(m.id, m.name) for m in found.providers["lab"].models]
    assert (str(found.aliases[alias]), found.model) == (f"lab/{model}", alias)


MCP = """# mine
model = "lab/m" # the usual

[mcp.files] # the local ones
command = ["a", "b"] # do not touch
env = {X = "1"}

# about lab
[providers.lab]
base_url = "http://127.0.0.1:1/v1"
"""


def test_mcp_server_is_added_replaced_and_removed(path: Path, paths: Paths) -> None:
    path.write_text(MCP)
    edit.put(path, {"lab": {"command": ["c"], "env": {"A": "keyring:a"}, "url": None}}, "mcp")
    assert set(MCP.splitlines()) <= set(path.read_text().splitlines())
    assert load(paths, {}).mcp["lab"].env == {"A": "keyring:a"}
    edit.put(path, {"files": {"command": ["c"]}}, "mcp", replace=True)
    assert (load(paths, {}).mcp["files"].command, load(paths, {}).mcp["files"].env) == (("c",), {})
    edit.remove(path, "files", "mcp")
    edit.remove(path, "lab", "mcp")
    text = path.read_text()
    assert "mcp" not in text
    assert "# about lab\n[providers.lab]" in text
    assert "lab" in load(paths, {}).providers


# --- the file ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "before",
    [
        b"usage = 'full'\r\n\r\n# mine\r\n",
        b"usage = 'full'\r\nmarkdown = true\r\nhistory = true\n",
        b"\xef\xbb\xbfusage = 'full'\r\n",
        b"\xef\xbb\xbfusage = 'full'\n",
        b"usage = 'full'",
        b"usage = 'full'\r\nmarkdown = true",
        b'code_theme = """a\\\r\nb"""\r\n',
        b"",
    ],
)
def test_line_ends_and_byte_order_mark_stay(path: Path, paths: Paths, before: bytes) -> None:
    path.write_bytes(before)
    changes: tuple[Callable[[], object], ...] = (
        lambda: set_alias(path, "fast", ["lab/m"]),
        lambda: edit.put(path, {"lab": URL}),
        lambda: edit.update_provider(path, "lab", {"headers": {"X-A": "b"}}),
        lambda: edit.rename_provider(path, "lab", "lib"),
    )
    for change in changes:
        change()
        raw = path.read_bytes()
        assert raw.startswith(b"\xef\xbb\xbf") == before.startswith(b"\xef\xbb\xbf")
        assert raw.count(b"\r\n") == (raw.count(b"\n") if b"\r\n" in before else 0)
    found = load(paths, {})
    assert (found.problems, str(found.aliases["fast"]), list(found.providers)) == ({}, "lib/m", ["lib"])
    edit.remove(path, "lib")
    edit.remove(path, "fast", "aliases")
    assert path.read_bytes().count(b"\n") >= before.count(b"\n")


def test_first_value_comes_after_the_comments_about_the_file(path: Path) -> None:
    path.write_text("# mine\n\n# about lab\n[providers.lab]\nbase_url = 'http://h'\n")
    set_value(path, ("model",), "lab")
    assert path.read_text().startswith('# mine\n\nmodel = "lab"\n\n# about lab\n[providers.lab]\n')


def test_change_of_nothing_leaves_every_byte(path: Path) -> None:
    mixed = b"usage = 'full'\n[aliases]\nfast = \"lab/m\"\r\n"
    path.write_bytes(mixed)
    set_alias(path, "fast", ["lab/m"])
    assert path.read_bytes() == mixed


def test_new_table_comes_last_and_leaves_no_trace_when_removed(path: Path, paths: Paths) -> None:
    text = "# mine\nmodel = \"lab/x\" # fast\n\n[providers.lab] # cellar\nbase_url = 'http://h' # 8 GB\n"
    path.write_text(text)
    edit.put(path, {"new": {**URL, "key_env": None}})
    assert path.read_text().startswith(text)
    assert set(load(paths, {}).providers) == {"lab", "new"}
    edit.remove(path, "new")
    assert path.read_text().strip() == text.strip()


@pytest.mark.parametrize("name", ["lab", "mcp"])
def test_new_provider_is_one_table_and_its_own_tables_are_inline(path: Path, name: str) -> None:
    edit.put(path, {name: {**URL, "headers": {"A": "b"}}})
    assert path.read_text() == f'[providers.{name}]\nbase_url = "http://127.0.0.1:1"\nheaders = {{A = "b"}}\n'


def test_file_is_private_a_link_stays_and_nothing_is_left_beside_it(paths: Paths, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "telex.toml"
    real.parent.mkdir()
    real.write_text("")
    shutil.rmtree(paths.config)
    before = os.umask(0)
    try:
        edit.put(paths.settings_file, {"lab": URL})
        assert paths.settings_file.stat().st_mode & 0o777 == 0o600
        assert paths.config.stat().st_mode & 0o777 == 0o700
        assert {each.name for each in paths.config.iterdir()} == {"settings.toml", ".settings.toml.lock"}
        paths.settings_file.unlink()
        paths.settings_file.symlink_to(real)
        edit.put(paths.settings_file, {"lab": URL})
    finally:
        os.umask(before)
    assert paths.settings_file.is_symlink()
    assert "lab" in real.read_text()


def test_change_beside_an_invalid_entry_is_made(path: Path, paths: Paths) -> None:
    path.write_text("future = 1\n\n[providers.x]\nbase_url = 5\n")
    edit.put(path, {"new": URL})
    assert list(load(paths, {}).providers) == ["new"]
    edit.remove(path, "x")
    assert path.read_text().startswith("future = 1\n")


@pytest.mark.parametrize(
    "text", ["providers = 5\n", "[providers]\nlab = 5\n", "aliases = 5\n", "[Providers.lab]\n"]
)
def test_change_of_what_is_not_a_table_is_an_error(path: Path, paths: Paths, text: str) -> None:
    path.write_text(text)
    for change in (
        lambda: edit.put(path, {"lab": URL}),
        lambda: edit.update_provider(path, "lab", {"retries": 1}),
        lambda: edit.rename_provider(path, "lab", "new"),
        lambda: set_alias(path, "fast", ["lab/m"]),
    ):
        with contextlib.suppress(SettingsError):
            change()
    load(paths, {})


def test_edit_by_hand_during_a_change_is_kept(path: Path, paths: Paths) -> None:
    path.write_text("usage = 'full'\n")

    @contextlib.contextmanager
    def slow_keyring(name: str) -> Iterator[None]:
        path.write_text(
            f"{path.read_text()}\n[providers.{name}] # by hand\nbase_url = 'http://127.0.0.1:1'\n"
        )
        yield

    edit.put(path, {"lab": URL}, around=slow_keyring("a"))
    edit.update_provider(path, "lab", {"retries": 1}, around=slow_keyring("b"))
    edit.rename_provider(path, "lab", "lib", around=slow_keyring("c"))
    assert sorted(load(paths, {}).providers) == ["a", "b", "c", "lib"]
    assert load(paths, {}).providers["lib"].network.retries == 1
    edit.remove(path, "lib", around=slow_keyring("d"))
    assert sorted(load(paths, {}).providers) == ["a", "b", "c", "d"]
    assert path.read_text().count("# by hand") == 4


@pytest.mark.parametrize("text", ["[providers.lab]\nbase_url = 'http://127.0.0.1:1'\n", "not TOML"])
def test_edit_by_hand_that_forbids_the_change_undoes_it(path: Path, text: str) -> None:
    path.write_text("usage = 'full'\n")
    undone: list[str] = []

    @contextlib.contextmanager
    def slow_keyring() -> Iterator[None]:
        path.write_text(text)
        try:
            yield
        except SettingsError as error:
            undone.append(error.message)
            raise

    with pytest.raises(SettingsError):
        edit.put(path, {"lab": {"base_url": "http://127.0.0.1:2"}}, around=slow_keyring())
    assert path.read_text() == text
    assert len(undone) == 1


# --- settings and key together -----------------------------------------------------------------------------


class Faulty(MemoryStore):
    """A store that runs ``fault`` once, before or after a call."""

    def __init__(self, call: str, fault: Callable[[], None], *, after: bool = False, **known: str) -> None:
        super().__init__(**known)
        self.call, self.fault, self.after = call, fault, after

    def _do(self, call: str, work: Callable[[], Any]) -> Any:
        fault, self.fault = (self.fault, lambda: None) if call == self.call else (lambda: None, self.fault)
        if not self.after:
            fault()
        result = work()
        if self.after:
            fault()
        return result

    def get(self, name: str) -> str | None:
        found: str | None = self._do("get", lambda: super(Faulty, self).get(name))
        return found

    def set(self, name: str, key: str) -> None:
        self._do("set", lambda: super(Faulty, self).set(name, key))

    def delete(self, name: str) -> None:
        self._do("delete", lambda: super(Faulty, self).delete(name))


def locked() -> None:
    raise KeyStoreError("the keyring is locked")


def ctrl_c() -> None:
    raise KeyboardInterrupt


FAULTS = (KeyStoreError, KeyboardInterrupt, SettingsError)


def test_store_is_not_touched_without_need(path: Path) -> None:
    provider_store.add(path, Faulty("get", locked), "lab", {**URL, "key_env": "LAB"})
    assert entries(path)["lab"] == {**URL, "key_env": "LAB"}
    for fields in ({"base_url": "nonsense"}, URL):  # invalid, and a name that is taken
        with pytest.raises(SettingsError):
            provider_store.add(path, Faulty("set", locked), "lab", fields, key="secret")
    provider_store.add(path, MemoryStore(), "two", URL, key="secret")
    provider_store.remove(path, Faulty("get", locked), "two", keep_key=True)
    assert list(entries(path)) == ["lab"]


@pytest.mark.parametrize("fault", [locked, ctrl_c])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("former", [None, "first"])
def test_key_that_cannot_be_stored_changes_nothing(
    path: Path, fault: Any, after: bool, former: str | None
) -> None:
    store = Faulty("set", fault, after=after)
    if former is not None:
        provider_store.add(path, MemoryStore(), "lab", URL, key=former)
        store = Faulty("set", fault, after=after, lab=former)
    before = path.read_bytes() if path.exists() else b""
    with pytest.raises(FAULTS):
        provider_store.add(path, store, "lab", {**URL, "retries": 1}, key="second", replace=True)
    assert (path.read_bytes() if path.exists() else b"", store.get("lab")) == (before, former)
    if former is not None:
        with pytest.raises(FAULTS):
            provider_store.set_key(
                path, store := Faulty("set", fault, after=after, lab=former), "lab", {}, key="second"
            )
        assert store.get("lab") == former


@pytest.mark.parametrize("change", ["add", "remove"])
def test_settings_that_cannot_be_written_restore_the_key(path: Path, change: str) -> None:
    def folder_becomes_a_file() -> None:
        shutil.rmtree(path.parent)
        path.parent.write_text("")

    if change == "add":
        store = Faulty("set", folder_becomes_a_file, after=True)
        with pytest.raises(SettingsError):
            provider_store.add(path, store, "lab", URL, key="secret")
        assert store.get("lab") is None
    else:
        provider_store.add(path, MemoryStore(), "lab", URL, key="secret")
        store = Faulty("delete", folder_becomes_a_file, after=True, lab="secret")
        with pytest.raises(SettingsError):
            provider_store.remove(path, store, "lab")
        assert store.get("lab") == "secret"


def test_ctrl_c_after_the_file_was_replaced_keeps_both(path: Path) -> None:
    def replaced() -> None:  # as the change will have done when Ctrl-C comes
        path.write_text('[providers.lab]\nbase_url = "http://127.0.0.1:1"\nkey = "keyring"\n')
        raise KeyboardInterrupt

    store = Faulty("set", replaced, after=True)
    with pytest.raises(KeyboardInterrupt):
        provider_store.add(path, store, "lab", URL, key="secret")
    assert (entries(path)["lab"]["key"], store.get("lab")) == ("keyring", "secret")


def test_rename_takes_along_the_key_and_what_names_the_provider(path: Path) -> None:
    store = MemoryStore()
    profiles = '[profiles.day]\nmodel = "a/b"\nproviders = ["Lab"]\n[profiles.night]\nmodel = "a/b"\n'
    aliases = '[aliases]\nfast = "lab"\nother = "laboratory/m"\n'
    path.write_text(f'model = "lab/m" # mine\n{aliases}{profiles}')
    provider_store.add(path, store, "lab", URL, key="secret")
    assert provider_store.rename(path, store, "lab", "work") == ("model", "aliases.fast", "profiles.day")
    assert (set(entries(path)), store.get("lab"), store.get("work")) == ({"work"}, None, "secret")
    for words in (
        'model = "work/m" # mine',
        'fast = "work"',
        'other = "laboratory/m"',
        'providers = ["work"]',
    ):
        assert words in path.read_text()


def test_rename_that_fails(path: Path) -> None:
    provider_store.add(path, MemoryStore(), "lab", URL, key="secret")
    provider_store.add(path, MemoryStore(), "work", URL)
    store = Faulty("delete", locked, lab="secret")
    with pytest.raises(SettingsError, match="already set up"):
        provider_store.rename(path, store, "lab", "work")
    assert (store.get("lab"), store.get("work")) == ("secret", None)
    with pytest.raises(KeyStoreError, match="lab is now new, but its key is also left under the old name"):
        provider_store.rename(path, store, "lab", "new")
    assert store.get("new") == "secret"
