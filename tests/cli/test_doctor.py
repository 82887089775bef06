"""``telex doctor``: each family finds what is wrong and says what to do; it changes nothing and shows no secret."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme
from commands_tree import calls, check
from inprocess import Inside

from provider_core.catalog import CachedModelList, write_cached
from provider_core.errors import KeyStoreError
from provider_core.history import History
from provider_core.keys import MemoryStore
from provider_core.settings import load
from provider_core.types import Message, Model, Provider, Target
from telex.completion.scripts import script
from telex.doctor import CHECKS
from telex.main import root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from running import Telex

SETTINGS = """
model = "lab/m"

[aliases]
fast = "lab/m"

[providers.lab]
base_url = "https://llm.example.com/v1"
key_env = "LAB_API_KEY"
models = ["m"]

[providers.box]
base_url = "http://127.0.0.1:8080/v1"
key = "none"
models = ["n"]
"""


@dataclass(frozen=True)
class Report:
    """What one run found, by family and subject."""

    code: int
    err: str
    findings: dict[tuple[str, str], dict[str, str | None]]

    def __getitem__(self, place: str) -> str:
        """ "level: detail" of "family subject"."""
        family, _, subject = place.partition(" ")
        found = self.findings[family, subject]
        return f"{found['level']}: {found['detail']}"

    def remedy(self, place: str) -> str:
        family, _, subject = place.partition(" ")
        return self.findings[family, subject]["remedy"] or ""

    def problems(self) -> list[str]:
        return [" ".join(place) for place, found in self.findings.items() if found["level"] == "problem"]


class Doctor:
    """``doctor("settings")`` examines a home that the test has made ill."""

    def __init__(self, home: Path) -> None:
        self.inside = Inside(home)
        self.inside.env |= {"HOME": str(home), "LAB_API_KEY": "sk-lab-0123456789"}
        self.env = self.inside.env
        self.paths = self.inside.paths

    def configure(self, text: str = SETTINGS) -> None:
        self.inside.configure(text)
        self.paths.settings_file.chmod(0o600)

    def __call__(self, *families: str) -> Report:
        ran = self.inside("doctor", "--json", *families)
        report = json.loads(ran.text)
        assert report["passed"] is (report["problems"] == 0) is (ran.code == 0)
        assert ran.code in {0, 3}
        found = {(each["family"], each["subject"]): each for each in report["findings"]}
        assert len(found) == len(report["findings"]), "each subject stands once in its family"
        for each in found.values():
            assert (
                each["level"] == "ok"
                or each["family"] == "tools"
                or each["remedy"]
                or "see settings" in each["detail"]
            )
            for line in (each["remedy"] or "").splitlines():
                # Whatever it advises to type can be typed.
                for words in calls(line[line.index("telex ") :]) if line.startswith("telex ") else ():
                    check(words)
        return Report(ran.code, ran.err, found)


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    doctor = Doctor(tmp_path / "home")
    doctor.configure()
    return doctor


# --- the report ----------------------------------------------------------------------------------------------


def test_a_sound_home_has_no_problem(doctor: Doctor) -> None:
    report = doctor()
    assert report.problems() == []
    assert report.code == 0
    assert {family for family, _ in report.findings} == set(CHECKS)


def test_a_home_where_nothing_was_set_up_has_no_problem(tmp_path: Path) -> None:
    report = Doctor(tmp_path / "new")()
    assert report.problems() == []
    assert report["providers none"] == "note: no provider is set up"
    assert not (tmp_path / "new").exists()


def test_only_the_families_that_are_named_are_looked_at_in_the_reports_order(doctor: Doctor) -> None:
    report = doctor("proxies", "settings")
    assert list(dict.fromkeys(family for family, _ in report.findings)) == ["settings", "proxies"]


def test_an_unknown_family_is_a_wrong_command_line(doctor: Doctor) -> None:
    ran = doctor.inside("doctor", "weather")
    assert ran.code == 2
    assert "'versions'" in ran.err


def test_in_a_pipe_each_finding_is_a_row_and_problems_are_named_on_stderr(doctor: Doctor) -> None:
    doctor.configure("usage = 'loud'")
    ran = doctor.inside("doctor", "settings")
    assert ran.code == 3
    rows = [line.split("\t") for line in ran.text.splitlines()]
    assert {len(row) for row in rows} == {5}
    path = doctor.paths.settings_file
    (usage,) = [row for row in rows if row[2] == "usage"]
    assert usage[:2] == ["problem", "settings"]
    assert usage[3:] == [
        "must be 'auto', 'none', 'short' or 'full'",
        f"Fix it: {path}, line 1",
    ]
    assert ran.err.splitlines()[0] == "telex: 1 problem"
    assert ran.err.splitlines()[1].startswith("  settings: usage: must be")


def test_nothing_is_changed_by_looking(doctor: Doctor) -> None:
    doctor.paths.settings_file.chmod(0o644)

    def state() -> dict[str, tuple[int, int]]:
        found = sorted(doctor.paths.config.parent.rglob("*"))
        return {str(path): (path.stat().st_mode, path.stat().st_mtime_ns) for path in found}

    before = state()
    doctor()
    assert state() == before


def test_one_check_that_fails_hides_nothing_of_the_others(doctor: Doctor) -> None:
    doctor.env["TELEX_HOME"] = "~no-such-user/telex"
    report = doctor()
    assert report["folders everything"] == (
        "problem: TELEX_HOME is ~no-such-user/telex, and there is no such home folder"
    )
    assert report["versions telex"].startswith("ok: ")
    assert report["terminal encoding"].startswith("ok: ")
    assert not any("internal error" in str(found["detail"]) for found in report.findings.values())


# --- secrets -------------------------------------------------------------------------------------------------

CANARY = "canary-0123456789abcdef"


@pytest.mark.parametrize(
    "settings",
    [
        f'[providers.lab]\nbase_url = "https://a.example/v1"\nheaders = {{X-Api-Key = "{CANARY}"}}\nmodels = ["m"]\n',
        f'[providers.lab]\nbase_url = "https://a.example/v1"\nproxy = "http://me:{CANARY}@p.example:1"\n',
        f'[providers.lab]\nbase_url = "https://a.example/v1"\nproxy = "gopher://me:{CANARY}@p.example:1"\n',
        f'[providers.lab]\nbase_url = "https://a.example/v1?api_key={CANARY}"\n',
        f'[providers.lab]\nbase_url = "https://me:{CANARY}@a.example/v1"\n',
        f'[providers.lab]\nbase_url = "https://a.example/v1"\nkey = "{CANARY}"\n',
        f'[providers.lab]\nbase_url = "https://a.example/v1"\nkey_command = "nosuchprogram --token {CANARY}"\n',
        f'[mcp.x]\ncommand = ["nosuchprogram", "--token", "{CANARY}"]\nenv = {{TOKEN = "{CANARY}"}}\n',
        f'[mcp.x]\nurl = "https://a.example/mcp?token={CANARY}"\n',
        f'[providers.lab]\nbase_url = "https://a.example/v1"\nkey_env = "{CANARY}"\n',
        f'model = "lab/{CANARY}',
        f"{CANARY.replace('-', '_')} = = 1",
    ],
)
def test_no_secret_of_the_settings_is_shown(doctor: Doctor, settings: str) -> None:
    doctor.configure(settings)
    for arguments in ([], ["--json"]):
        ran = doctor.inside("doctor", *arguments)
        if not settings.startswith(("model", CANARY.replace("-", "_"))):
            assert CANARY not in ran.text + ran.err
        assert ran.code in {0, 3}


@pytest.mark.parametrize(
    "variable",
    ["LAB_API_KEY", "OPENAI_API_KEY", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "GITHUB_TOKEN", "MY_SECRET"],
)
def test_no_secret_of_the_environment_is_shown(doctor: Doctor, variable: str) -> None:
    proxy = variable.upper().endswith("PROXY")
    doctor.env[variable] = f"http://me:{CANARY}@10.0.0.1:3128" if proxy else CANARY
    # As if it had got into an address by mistake: what is known to be secret is blotted out wherever it stands.
    doctor.configure(
        SETTINGS + f'\n[providers.odd]\nbase_url = "https://{CANARY}.example/v1"\nkey = "none"\n'
    )
    ran = doctor.inside("doctor")
    assert CANARY not in ran.text + ran.err
    assert "[redacted].example" in ran.text


def test_a_variable_that_a_server_is_given_is_a_secret_whatever_it_is_called(doctor: Doctor) -> None:
    doctor.env["GH"] = CANARY
    odd = f'[providers.odd]\nbase_url = "https://{CANARY}.example/v1"\nkey = "none"\n'
    doctor.configure(odd + '[mcp.x]\nurl = "https://a.example/mcp"\nheaders = {X-A = "env:GH"}\n')
    assert CANARY not in doctor.inside("doctor").text


def test_keys_are_read_and_never_shown(doctor: Doctor) -> None:
    doctor.inside.store = MemoryStore(kept=CANARY)
    doctor.configure('[providers.kept]\nbase_url = "https://a.example/v1"\nkey = "keyring"\n')
    ran = doctor.inside("doctor")
    assert "its key is stored" in ran.text
    assert CANARY not in ran.text + ran.err


# --- versions ------------------------------------------------------------------------------------------------


def test_versions_name_telex_python_and_every_direct_dependency(doctor: Doctor) -> None:
    from importlib.metadata import version

    from provider_core import __version__

    report = doctor("versions")
    assert report["versions telex"].startswith(f"ok: {__version__}, in ")
    assert report["versions Python"].startswith("ok: 3.")
    for name in ("click", "httpx", "keyring", "pydantic", "rich"):
        assert f"{name} {version(name)}" in report["versions packages"]


@pytest.mark.parametrize(
    ("version", "bounds", "expected"),
    [
        ("0.28.1", ">=0.28,<1", True),
        ("1.0", "<1,>=0.28", False),
        ("1", "<1.0.0", False),
        ("0.27.9", ">=0.28,<1", False),
        ("2026.10.11549", ">=2026.10", True),
        ("8.4.0rc1", ">=8.4", True),
        ("8.10", ">=8.4", True),
        ("3", "", True),
        ("3", "!=3", True),
    ],
)
def test_a_dependency_is_judged_by_the_numbers_of_its_release(
    version: str, bounds: str, expected: bool
) -> None:
    from telex.doctor.machine import within

    assert within(version, bounds) is expected


def test_an_extra_that_is_not_there_is_a_note_with_the_command_that_brings_it(telex: Telex) -> None:
    ran = telex("doctor", "versions", env={"TELEX_TEST_WITHOUT": "xllamacpp mcp"})
    assert ran.code == 0
    rows = [line.split("\t") for line in ran.text.splitlines() if line.startswith("note")]
    assert [(row[2], row[4].rpartition(" ")[2]) for row in rows] == [
        ("extra local", "'telex[local]'"),
        ("extra mcp", "'telex[mcp]'"),
    ]


# --- folders -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "may"), [(0o644, "read"), (0o660, "change"), (0o604, "read")])
def test_a_file_that_is_open_to_others_is_a_problem(doctor: Doctor, mode: int, may: str) -> None:
    path = doctor.paths.settings_file
    path.chmod(mode)
    report = doctor("folders")
    assert (
        report["folders settings.toml"]
        == f"problem: other users of this machine can {may} {path} ({mode:04o})"
    )
    assert report.remedy("folders settings.toml") == f"chmod 600 {path}"
    assert path.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize(("mode", "level"), [(0o755, "note"), (0o777, "problem"), (0o700, "ok")])
def test_a_folder_that_others_may_see_is_a_note_and_one_they_may_write_a_problem(
    doctor: Doctor, mode: int, level: str
) -> None:
    doctor.paths.config.chmod(mode)
    report = doctor("folders")
    assert report["folders settings"].startswith(f"{level}: ")
    assert f"{mode:04o}" in report["folders settings"]


def test_a_remedy_can_be_pasted_whatever_the_folder_is_called(tmp_path: Path) -> None:
    doctor = Doctor(tmp_path / "it's $HOME")
    doctor.configure()
    doctor.paths.config.chmod(0o777)
    remedy = doctor("folders").remedy("folders settings")
    subprocess.run(["sh", "-c", remedy], check=True)
    assert doctor("folders")["folders settings"].startswith("ok: ")


def test_a_history_that_is_open_to_others_is_a_problem(doctor: Doctor) -> None:
    converse(doctor)
    doctor.paths.history.chmod(0o644)
    assert doctor("folders")["folders history.db"].startswith("problem: other users of this machine can read")


def test_a_file_in_the_place_of_a_folder_is_a_problem(doctor: Doctor) -> None:
    doctor.paths.data.write_text("")
    report = doctor("folders", "history", "models")
    assert report["folders data"] == f"problem: {doctor.paths.data} is not a folder"


def test_a_home_that_cannot_be_made_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    report = Doctor(tmp_path / "file" / "telex")("folders")
    assert report["folders settings"].startswith("problem: ")
    assert "cannot be created" in report["folders settings"]
    assert report.remedy("folders settings") == "Set TELEX_HOME to a folder of your own"


@pytest.fixture
def visitor() -> Iterator[Doctor]:
    """A home in a place that everyone may enter, examined by a user who is not root."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        doctor = Doctor(Path(place) / "home")
        doctor.configure()
        doctor("folders")  # all that it takes is imported: another user may not read the virtual environment
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield doctor
        finally:
            if root:
                os.seteuid(0)
            for path in Path(place).rglob("*"):
                path.chmod(0o700)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can act as two users")
def test_files_of_another_user_are_a_problem(visitor: Doctor) -> None:
    hidden = visitor("folders")["folders settings.toml"]
    assert hidden.endswith("settings.toml cannot be examined: Permission denied")
    os.seteuid(0)
    visitor.paths.config.chmod(0o755)
    os.seteuid(65534)
    report = visitor("folders")
    assert report["folders settings"].endswith("/config belongs to root")
    assert report.remedy("folders settings").startswith('sudo chown -R "$(id -un)"')
    assert report["folders settings.toml"].endswith("settings.toml belongs to root")
    assert "cannot be created" in report["folders data"]


def test_a_folder_and_a_file_that_cannot_be_written_are_problems(visitor: Doctor) -> None:
    config, file = visitor.paths.config, visitor.paths.settings_file
    if os.geteuid() == 65534:
        os.seteuid(0)
        for path in (config, file):
            os.chown(path, 65534, -1)
        os.seteuid(65534)
    file.chmod(0o400)
    assert visitor("folders")["folders settings.toml"].endswith("cannot be read and written (0400)")
    config.chmod(0o500)
    report = visitor("folders")
    assert report["folders settings"] == f"problem: {config} cannot be written (0500)"
    assert report.remedy("folders settings") == f"chmod 700 {config}"


# --- settings ------------------------------------------------------------------------------------------------


def test_each_value_says_where_it_comes_from(doctor: Doctor) -> None:
    doctor.configure('model = "lab/m"\nusage = "full"\n' + SETTINGS.partition('"lab/m"\n')[2])
    doctor.env |= {"TELEX_USAGE": "short", "TELEX_REASONING": "hide"}
    report = doctor("settings")
    assert report["settings model"] == "ok: lab/m (settings.toml, line 1)"
    assert report["settings usage"] == "ok: short (TELEX_USAGE, overrides settings.toml, line 2)"
    assert report["settings reasoning"] == "ok: hide (TELEX_REASONING)"
    assert "markdown true" in report["settings defaults"]
    assert "not set: code_theme" in report["settings defaults"]
    assert report["settings aliases"] == "ok: fast for lab/m (settings.toml, line 4)"
    assert "2 providers" in report["settings file"]


def test_what_it_says_is_in_force_is_what_telex_loads(doctor: Doctor) -> None:
    doctor.env |= {"TELEX_USAGE": "short", "TELEX_MODELS_LIFETIME": "60"}
    settings = load(doctor.paths, doctor.env)
    report = doctor("settings")
    assert report["settings usage"].startswith(f"ok: {settings.usage} ")
    assert settings.models_lifetime == 60
    assert report["settings models_lifetime"].startswith("ok: 60 ")


def test_every_mistake_of_the_file_is_found_not_only_the_first(doctor: Doctor) -> None:
    doctor.configure(
        'usage = "loud"\ncolour = true\nmarkdown = "perhaps"\n[providers.bad]\nbase_url = "ftp://x"\n'
        '[providers.worse]\npreset = "no such"\n'
        '[providers.odd]\nbase_url = "https://a.example/v1"\nspeed = 3\n'
        + SETTINGS.partition("\n[providers.lab]")[1]
        + SETTINGS.partition("[providers.lab]")[2]
    )
    report = doctor("settings", "providers", "tools")
    assert set(report.problems()) == {
        "settings usage",
        "settings markdown",
        "settings colour",
        "providers bad",
        "providers worse",
        "providers odd",
    }
    assert report["settings colour"] == "problem: is not a setting"
    assert report.remedy("settings colour").endswith("settings.toml, line 2")
    assert report["providers bad"] == "problem: base_url: the base URL must begin with http:// or https://"
    assert report.remedy("providers bad").endswith("settings.toml, line 4")
    assert report["providers odd"] == "problem: speed is not a setting"
    assert report["providers lab"].startswith("ok: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'model = "x', "line 1: "),
        (b"a = 1\n\nb = = 2\n", "line 3: "),
        (b"a = '\xff'", "line 1: it is not UTF-8"),
        (b"x = " + b"[" * 20_000, "nested too deeply"),
    ],
    ids=["cut", "no value", "no UTF-8", "deep"],
)
def test_a_file_that_is_no_toml_is_one_problem_with_its_line(doctor: Doctor, text: bytes, said: str) -> None:
    doctor.paths.settings_file.write_bytes(text)
    report = doctor()
    assert report.problems() == ["settings file"]
    assert said in report["settings file"]
    for family in ("providers", "models", "tools"):
        assert report[f"{family} everything"].startswith("note: not known")


def test_a_file_that_cannot_be_read_is_a_problem(doctor: Doctor) -> None:
    doctor.paths.settings_file.unlink()
    doctor.paths.settings_file.mkdir()
    report = doctor()
    assert "cannot be read: Is a directory" in report["settings file"]
    assert report["folders settings.toml"].endswith("is not a file")


def test_values_of_the_wrong_kind_are_problems_and_no_crash(doctor: Doctor) -> None:
    doctor.configure('providers = 5\nmcp = [1]\naliases = "x"\nmodel = 3\n')
    assert set(doctor().problems()) == {
        "settings model", "settings aliases", "providers everything", "tools everything",
    }  # fmt: skip
    doctor.configure('[providers]\nlab = 3\n"a b" = {}\n[mcp]\nx = 4\n')
    assert set(doctor().problems()) == {"providers lab", "providers a b", "tools x"}


def test_a_variable_that_is_refused_is_named(doctor: Doctor) -> None:
    doctor.env |= {"TELEX_MCP": '{"x": {"speed": 1}}', "TELEX_MARKDOWN": "perhaps", "TELEX_PROVIDERS": "{bad"}
    report = doctor("settings", "providers", "tools")
    assert report["settings markdown"] == "problem: must be true or false"
    assert report.remedy("settings markdown") == "Change TELEX_MARKDOWN"
    assert report["providers everything"] == "problem: TELEX_PROVIDERS is not valid JSON"
    assert report["tools x"] == "problem: speed is not a setting"
    assert report.remedy("tools x") == "Change TELEX_MCP"


def test_a_mistyped_variable_is_a_note(doctor: Doctor) -> None:
    doctor.env["TELEX_MODLE"] = "x"
    report = doctor("settings")
    assert report["settings TELEX_MODLE"].startswith("note: is set, but is not a setting")
    assert report.remedy("settings TELEX_MODLE") == "Did you mean TELEX_MODEL?"


# --- providers and keys --------------------------------------------------------------------------------------


def test_each_provider_has_its_address_and_the_source_of_its_key(doctor: Doctor) -> None:
    doctor.configure(
        SETTINGS
        + """
[providers.kept]
base_url = "https://kept.example/v1?team=red"
key = "keyring"
[providers.both]
base_url = "https://both.example/v1"
key = "keyring"
key_env = "LAB_API_KEY"
[providers.asked]
base_url = "https://asked.example/v1"
key_command = "echo key"
[providers.piped]
base_url = "https://piped.example/v1"
key_command = "nosuchprogram | tail -1"
[providers.wanting]
preset = "groq"
[providers.off]
base_url = "https://off.example/v1"
enabled = false
"""
    )
    report = doctor("providers")
    assert {subject: report[f"providers {subject}"] for _, subject in report.findings} == {
        "lab": "ok: https://llm.example.com/v1, key from LAB_API_KEY",
        "box": "ok: http://127.0.0.1:8080/v1, no key",
        "kept": "ok: https://kept.example/v1, key from the keyring",
        "both": "ok: https://both.example/v1, key from LAB_API_KEY, which takes precedence over the one in the keyring",
        "asked": "ok: https://asked.example/v1, key from a command",
        "piped": "ok: https://piped.example/v1, key from a command",
        "wanting": "note: https://api.groq.com/openai/v1, no key: it cannot be used",
        "off": "ok: https://off.example/v1, disabled",
    }
    assert (
        report.remedy("providers wanting")
        == "Set GROQ_API_KEY, or store one: telex providers set-key wanting"
    )


def test_a_key_command_is_looked_for_and_not_run(doctor: Doctor, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    doctor.configure(f'[providers.a]\nbase_url = "https://a.example/v1"\nkey_command = "touch {ran}"\n'
                     '[providers.b]\nbase_url = "https://b.example/v1"\nkey_command = "nosuchprogram x"\n')  # fmt: skip
    report = doctor()
    assert report["providers a"].startswith("ok: ")
    assert report["providers b"].endswith("program nosuchprogram not found")
    assert not ran.exists()


def test_a_key_over_plain_http_to_a_strange_host_is_a_note(doctor: Doctor) -> None:
    doctor.configure('[providers.far]\nbase_url = "http://far.example/v1"\nkey_env = "LAB_API_KEY"\n')
    report = doctor("providers")
    assert report["providers far"].endswith("sent unencrypted")
    assert report.remedy("providers far").endswith("--base-url https://far.example/v1")


def test_a_model_file_that_is_gone_or_damaged_is_a_problem(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_text("no model")
    doctor.configure(
        f'[providers.gone]\ngguf = "/nowhere/m.gguf"\n[providers.bad]\ngguf = "{tmp_path}/bad.gguf"\n'
    )
    assert doctor("providers").problems() == ["providers gone", "providers bad"]


# --- the keyring ---------------------------------------------------------------------------------------------

KEPT = '[providers.kept]\nbase_url = "https://a.example/v1"\nkey = "keyring"\n'


class Dead(MemoryStore):
    """A keyring that does not answer; counts how often it was asked."""

    asked = 0

    def get(self, name: str) -> str | None:
        self.asked += 1
        raise KeyStoreError("the keyring did not answer within 3 s; it may be waiting to be unlocked")


def test_a_stored_key_is_looked_for(doctor: Doctor) -> None:
    doctor.configure(KEPT)
    report = doctor("keyring")
    assert report["keyring kept"] == "problem: its key is not in the keyring, though the settings say so"
    assert report.remedy("keyring kept") == "telex providers set-key kept"
    doctor.inside.store.set("kept", "sk-0123456789")
    assert doctor("keyring")["keyring kept"] == "ok: its key is stored"


def test_a_servers_secret_is_looked_for(doctor: Doctor) -> None:
    doctor.configure('[mcp.x]\nurl = "https://a.example/mcp"\nheaders = {X-Key = "Bearer keyring:github"}\n')
    report = doctor("keyring")
    assert report["keyring keyring:github"].startswith("problem: its secret is not in the keyring")
    assert report.remedy("keyring keyring:github") == "telex mcp set-secret github"
    doctor.inside.store.set("secret:github", "sk-0123456789")
    assert doctor("keyring")["keyring keyring:github"] == "ok: its secret is stored"
    doctor.inside.store = Dead()
    assert doctor("keyring")["keyring backend"].endswith("to be unlocked: no keyring:github")


def test_a_dead_keyring_is_a_problem_for_those_who_need_it_and_is_asked_once(doctor: Doctor) -> None:
    doctor.inside.store = dead = Dead()
    doctor.configure(KEPT + KEPT.replace("kept", "other"))
    report = doctor("keyring")
    assert report.problems() == ["keyring backend"]
    assert report["keyring backend"].endswith("to be unlocked: no key for kept, no key for other")
    assert "telex providers set-key kept --key-env VAR" in report.remedy("keyring backend")
    assert dead.asked == 1


@pytest.mark.parametrize(
    "settings", [SETTINGS, KEPT + 'key_env = "LAB_API_KEY"\n'], ids=["not stored", "set, too"]
)
def test_a_dead_keyring_that_nobody_needs_is_a_note(doctor: Doctor, settings: str) -> None:
    doctor.inside.store = Dead()
    doctor.configure(settings)
    report = doctor("keyring")
    assert report.code == 0
    assert report["keyring backend"].endswith("; nothing needs it")


def test_the_systems_keyring_is_named(telex: Telex) -> None:
    telex.env |= {
        "PYTHON_KEYRING_BACKEND": "keyring_in_a_file.Keyring",
        "TEST_KEYRING": str(telex.home / "keys"),
    }
    telex.home.mkdir()
    ran = telex("doctor", "keyring")
    assert ran.text == "ok\tkeyring\tbackend\tkeyring_in_a_file.Keyring answers\t\n"


def test_a_machine_without_a_keyring_is_a_note(telex: Telex) -> None:
    ran = telex("doctor", "keyring")
    assert ran.code == 0
    assert ran.text.startswith("note\tkeyring\tbackend\tthere is no keyring on this machine")


# --- proxies and trust ---------------------------------------------------------------------------------------


def test_proxies_say_which_way_each_provider_is_reached(doctor: Doctor) -> None:
    doctor.env |= {"HTTPS_PROXY": "http://me:pw-0123456@10.0.0.1:3128", "NO_PROXY": "far.example"}
    doctor.configure(
        SETTINGS
        + '[providers.own]\nbase_url = "https://own.example/v1"\nproxy = "socks5://u:pw-abcdefg@p.example"\n'
        '[providers.strange]\nbase_url = "https://x.example/v1"\n'
        '[providers.straight]\nbase_url = "https://straight.example/v1"\nproxy = "none"\n'
        '[providers.far]\nbase_url = "https://a.far.example/v1"\n'
        '[providers.plain]\nbase_url = "http://plain.example/v1"\n'
    )
    report = doctor("proxies")
    assert {subject: report[f"proxies {subject}"] for _, subject in report.findings} == {
        "HTTPS_PROXY": "ok: http://10.0.0.1:3128",
        "NO_PROXY": "ok: far.example",
        "lab": "ok: through http://10.0.0.1:3128 (HTTPS_PROXY)",
        "box": "ok: direct (this machine)",
        "own": "ok: through socks5://p.example:1080 (the provider's proxy)",
        "strange": "ok: through http://10.0.0.1:3128 (HTTPS_PROXY)",
        "straight": "ok: direct (the provider's proxy)",
        "far": "ok: direct (NO_PROXY)",
        "plain": "ok: direct",
    }


def test_trust_names_the_store_and_what_cannot_be_used(doctor: Doctor, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(bundle))
    doctor.configure(
        SETTINGS.replace(
            "[providers.box]", f'ca_bundle = "{bundle}"\n[providers.box]\nca_bundle = "/nowhere"'
        )
    )
    report = doctor("trust")
    assert report["trust lab"] == f"ok: {bundle}, 1 authority"
    assert "/nowhere cannot be used" in report["trust box"]
    assert report.remedy("trust box") == "telex providers edit box --unset ca-bundle"
    assert report["trust store"].startswith(("ok: the operating system's", "note: "))
    doctor.env["SSL_CERT_FILE"] = "/nowhere"
    assert doctor("trust")["trust store"].startswith("problem: the trusted certificates in /nowhere")


# --- models and history --------------------------------------------------------------------------------------


def test_lists_say_how_old_they_are(doctor: Doctor) -> None:
    settings = load(doctor.paths, doctor.env)
    lab, box = settings.providers["lab"], settings.providers["box"]
    write_cached(doctor.paths.lists, lab, CachedModelList.of([Model(id="m")], time.time() - 600))
    report = doctor("models")
    assert report["models lab"] == "ok: 1 model, listed 10 minutes ago"
    assert report["models lists"] == "note: never fetched for box"
    write_cached(
        doctor.paths.lists, box, CachedModelList.of([Model(id="n"), Model(id="o")], time.time() - 3 * 86400)
    )
    report = doctor("models")
    assert report["models box"].startswith("note: 2 models, listed 3 days ago")
    assert report.remedy("models box") == "telex models list --refresh --provider box"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("lab/m", "ok: lab/m"),
        ("fast", "ok: lab/m"),
        ("nowhere/m", "problem: "),
        ("wanting", "problem: wanting/"),
    ],
)
def test_the_default_model_has_to_lead_somewhere(doctor: Doctor, model: str, said: str) -> None:
    doctor.configure(
        SETTINGS.replace('model = "lab/m"', f'model = "{model}"') + '[providers.wanting]\npreset = "groq"\n'
    )
    assert doctor("models")["models default"].startswith(said)


def test_an_alias_that_leads_nowhere_is_a_note(doctor: Doctor) -> None:
    doctor.configure(SETTINGS.replace('fast = "lab/m"', 'fast = "gone/m"'))
    report = doctor("models")
    assert report["models alias fast"].startswith("note: ")
    assert report.remedy("models alias fast") == "telex models alias fast --remove"


def converse(doctor: Doctor) -> None:
    provider = Provider(name="lab", display_name="Lab", base_url="http://127.0.0.1:1/v1")
    with History(doctor.paths.history) as history:
        for number in range(3):
            history.begin([Message(role="user", content=f"{number}")], Target(provider=provider, model="m"))


def test_a_history_is_counted_and_checked(doctor: Doctor) -> None:
    assert doctor("history")["history file"].endswith("(not created yet)")
    converse(doctor)
    assert doctor("history")["history file"].startswith("ok: 3 conversations, ")


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100] + b"\xa5" * 20_000)


def of_another_program(path: Path) -> None:
    path.unlink()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE x (y)")
    other.close()


def no_file(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("ruin", [damaged, of_another_program, no_file])
def test_a_history_that_cannot_be_used_is_a_problem(doctor: Doctor, ruin: Callable[[Path], None]) -> None:
    converse(doctor)
    ruin(doctor.paths.history)
    assert doctor("history").problems() == ["history file"]


# --- tools, completion, terminal -----------------------------------------------------------------------------


def test_servers_of_tools_are_looked_for_and_not_started(doctor: Doctor, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    doctor.configure(
        f'[mcp.here]\ncommand = ["touch", "{ran}"]\n[mcp.gone]\ncommand = ["nosuchprogram"]\n'
        '[mcp.far]\nurl = "https://a.example/mcp"\nheaders = {X-Key = "env:NOT_SET"}\n'
        '[mcp.off]\ncommand = ["nosuchprogram"]\nenabled = false\n[mcp.bad]\nspeed = 3\n'
        '[mcp.lost]\ncommand = ["touch"]\ncwd = "~no-such-user/x"\n'
    )
    report = doctor("tools")
    assert report["tools here"] == "ok: runs touch"
    assert report["tools gone"] == "problem: program nosuchprogram not found"
    assert report["tools far"] == "problem: X-Key needs the variable NOT_SET, which is not set"
    assert report["tools off"] == "ok: disabled"
    assert report["tools lost"] == "problem: its working folder ~no-such-user/x does not exist"
    assert report.remedy("tools lost").endswith("settings.toml, line 15")
    assert report["tools bad"].startswith("problem: ")
    assert not ran.exists()


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_completion_of_the_login_shell_is_there_stale_or_missing(doctor: Doctor, shell: str) -> None:
    from telex.completion.install import find, put

    doctor.env["SHELL"] = f"/bin/{shell}"
    doctor.env["XDG_DATA_DIRS"] = "/nowhere"
    report = doctor("completion")
    assert report[f"completion {shell}"] == "note: does not complete telex"
    assert report.remedy(f"completion {shell}") == f"telex completion {shell} --install"
    place = find(shell, doctor.env)
    put(place.path, "# of long ago\n")
    assert (
        doctor("completion")[f"completion {shell}"] == f"note: {place.path} is for another version of telex"
    )
    put(place.path, script(shell, root))
    assert str(place.path) in doctor("completion")[f"completion {shell}"]
    assert "another" not in doctor("completion")[f"completion {shell}"]


def test_a_script_that_was_installed_for_all_users_counts(doctor: Doctor, tmp_path: Path) -> None:
    doctor.env |= {"SHELL": "/usr/bin/fish", "XDG_DATA_DIRS": str(tmp_path / "share")}
    path = tmp_path / "share" / "fish" / "vendor_completions.d" / "telex.fish"
    path.parent.mkdir(parents=True)
    path.write_text(script("fish", root))
    assert doctor("completion")["completion fish"] == f"ok: {path}"
