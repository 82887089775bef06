"""``telex doctor``: each check finds what is wrong and says how to fix it, changes nothing, and shows no secret."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme
from commands_tree import calls, check
from inprocess import Inside

from provider_core.catalog import CachedModelList, write_cached
from provider_core.errors import KeyStoreError
from provider_core.history import History
from provider_core.keys import Destination, MemoryStore, seal
from provider_core.settings import load
from provider_core.types import Message, Model, Network, Provider, Target
from telex.commands.doctor import CHECKS
from telex.completion import find, put, script
from telex.main import root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from running import Telex

SETTINGS = """
model = "lab/m"
aliases = {fast = "lab/m"}
[providers]
lab = {base_url = "https://llm.example.com/v1", key_env = "LAB_API_KEY", models = ["m"]}
box = {base_url = "http://127.0.0.1:8080/v1", key = "none", models = ["n"]}
"""
STORED = '[providers.kept]\nbase_url = "https://a.example/v1"\nkey = "keyring"\n'


@dataclass(frozen=True)
class Report:
    """The findings of one run, by family and subject."""

    code: int
    text: str
    findings: dict[str, dict[str, str | None]]

    def __getitem__(self, place: str) -> str:
        found = self.findings[place]
        return f"{found['level']}: {found['detail']}"

    def remedy(self, place: str) -> str:
        return self.findings[place]["remedy"] or ""

    def problems(self) -> list[str]:
        return [place for place, found in self.findings.items() if found["level"] == "problem"]


class Doctor:
    """``doctor("settings")`` examines a home folder that the test has prepared."""

    def __init__(self, home: Path) -> None:
        self.inside = Inside(home)
        self.inside.env |= {"HOME": str(home), "LAB_API_KEY": "sk-lab-0123456789"}
        self.env, self.paths = self.inside.env, self.inside.paths

    def configure(self, text: str = SETTINGS) -> None:
        self.inside.configure(text)
        self.paths.settings_file.chmod(0o600)

    def __call__(self, *families: str) -> Report:
        ran = self.inside("doctor", "--json", *families)
        report = json.loads(ran.text)
        assert report["passed"] is (report["problems"] == 0) is (ran.code == 0)
        assert ran.code in {0, 3}
        found = {f"{each['family']} {each['subject']}": each for each in report["findings"]}
        assert len(found) == len(report["findings"]), "each subject is reported once"
        for each in found.values():
            assert each["level"] == "ok" or each["remedy"] or "see settings" in each["detail"]
            for line in (each["remedy"] or "").splitlines():
                for words in calls(line[line.index("telex ") :]) if line.startswith("telex ") else ():
                    check(words)  # every command that is suggested exists
        return Report(ran.code, ran.text, found)


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    doctor = Doctor(tmp_path / "home")
    doctor.configure()
    return doctor


# --- the report -----------------------------------------------------------------------------------------------------


def test_a_home_in_order_has_no_problem_and_is_not_changed(doctor: Doctor) -> None:
    def state() -> dict[str, tuple[int, int]]:
        found = sorted(doctor.paths.config.parent.rglob("*"))
        return {str(path): (path.stat().st_mode, path.stat().st_mtime_ns) for path in found}

    before = state()
    report = doctor()
    assert (report.code, report.problems()) == (0, [])
    assert list(dict.fromkeys(each["family"] for each in report.findings.values())) == list(CHECKS)
    doctor.paths.settings_file.chmod(0o644)
    before = state()
    assert doctor().problems() == ["folders settings.toml"]
    assert state() == before


def test_a_new_home_has_no_problem_and_is_not_created(tmp_path: Path) -> None:
    report = Doctor(tmp_path / "new")()
    assert report.problems() == []
    assert report["providers none"] == "note: no provider is set up"
    assert not (tmp_path / "new").exists()


def test_only_the_named_checks_run_in_the_order_of_the_report(doctor: Doctor) -> None:
    report = doctor("proxies", "settings")
    assert list(dict.fromkeys(place.split()[0] for place in report.findings)) == ["settings", "proxies"]
    ran = doctor.inside("doctor", "weather")
    assert ran.code == 2
    assert "'versions'" in ran.err


def test_in_a_pipe_each_finding_is_a_row_and_stderr_names_the_problems(doctor: Doctor) -> None:
    doctor.configure("usage = 'loud'")
    ran = doctor.inside("doctor", "settings")
    rows = [line.split("\t") for line in ran.text.splitlines()]
    assert (ran.code, {len(row) for row in rows}) == (3, {5})
    message = "must be 'auto', 'none', 'short' or 'full'"
    assert ["problem", "settings", "usage", message, f"Edit {doctor.paths.settings_file}, line 1"] in rows
    assert ran.err == f"telex: 1 problem\n  settings: usage: {message}\n"


def test_without_a_home_folder_the_other_checks_still_report(doctor: Doctor) -> None:
    doctor.env["TELEX_HOME"] = "~no-such-user/telex"
    report = doctor()
    message = "problem: TELEX_HOME is ~no-such-user/telex, and there is no such home folder"
    assert report["folders everything"] == report["keyring everything"] == message
    assert report["versions telex"].startswith("ok: ")
    assert report["terminal encoding"].startswith("ok: ")
    assert "internal error" not in report.text


# --- secrets --------------------------------------------------------------------------------------------------------

CANARY = "canary-0123456789abcdef"
SECRETS = f"""
[providers]
header = {{base_url = "https://a.example/v1", headers = {{X-Api-Key = "{CANARY}"}}, models = ["m"]}}
proxy = {{base_url = "https://a.example/v1", proxy = "http://me:{CANARY}@p.example:1"}}
scheme = {{base_url = "https://a.example/v1", proxy = "gopher://me:{CANARY}@p.example:1"}}
query = {{base_url = "https://a.example/v1?api_key={CANARY}"}}
user = {{base_url = "https://me:{CANARY}@a.example/v1"}}
key = {{base_url = "https://a.example/v1", key = "{CANARY}"}}
command = {{base_url = "https://a.example/v1", key_command = "nosuchprogram --token {CANARY}"}}
variable = {{base_url = "https://a.example/v1", key_env = "{CANARY}"}}
[mcp]
env = {{command = ["nosuchprogram", "--token", "{CANARY}"], env = {{TOKEN = "{CANARY}"}}}}
url = {{url = "https://a.example/mcp?token={CANARY}"}}
"""


def test_no_secret_of_the_settings_is_shown(doctor: Doctor) -> None:
    doctor.configure(SECRETS)
    for arguments in ([], ["--json"]):
        ran = doctor.inside("doctor", *arguments)
        assert CANARY not in ran.text + ran.err
        for name in ("header", "scheme", "command", "env"):
            assert name in ran.text


@pytest.mark.parametrize(
    "variables",
    ["LAB_API_KEY OPENAI_API_KEY", "HTTPS_PROXY https_proxy ALL_PROXY", "GITHUB_TOKEN MY_SECRET GH"],
)
def test_no_secret_of_the_environment_is_shown(doctor: Doctor, variables: str) -> None:
    """The secrets are parts of addresses by mistake; GH is a secret because a header refers to it."""
    names = variables.split()
    settings = '[mcp.x]\nurl = "https://a.example/mcp"\nheaders = {X-A = "env:GH"}\n[providers]\n'
    for at, name in enumerate(names):
        canary = f"{CANARY}{at}"
        doctor.env[name] = f"http://me:{canary}@10.0.0.1:3128" if "proxy" in name.lower() else canary
        settings += f'p{at} = {{base_url = "https://{canary}.example/v1", key = "none"}}\n'
    doctor.configure(settings)
    ran = doctor.inside("doctor")
    assert CANARY not in ran.text + ran.err
    assert ran.text.count("https://[redacted]") >= len(names)


# --- settings, providers, proxies, models and tools: what is found in which settings ----------------------------------

FINDINGS = {
    "a mistyped variable": """
model = "lab/m"
$ TELEX_USAGE=short
$ TELEX_MODLE=x
settings file => ok: */settings.toml, 0 providers
settings TELEX_MODLE => note: is set but has no effect* => Did you mean TELEX_MODEL?
""",
    "every mistake": """
usage = "loud"
colour = true
markdown = "perhaps"
[providers.bad]
base_url = "ftp://x"
[providers.worse]
preset = "no such"
[providers.odd]
base_url = "https://a.example/v1"
speed = 3
[mcp.bad]
speed = 3
[providers.fine]
base_url = "https://a.example/v1"
key = "none"
$ TELEX_HISTORY=perhaps
settings usage => problem: must be 'auto', * => Edit */settings.toml, line 1
settings colour => problem: is not a setting => Edit */settings.toml, line 2
settings markdown => problem: must be true or false
settings history => problem: must be true or false => Change TELEX_HISTORY
providers bad => problem: base_url: the base URL must begin with * => Edit */settings.toml, line 4
providers worse => problem: unknown preset: no such
providers odd => problem: speed is not a setting
providers fine => ok: *
tools bad => problem: speed is not a setting
""",
    "wrong kinds": """
providers = 5
mcp = [1]
aliases = "x"
model = 3
settings model => problem: must be a string
settings aliases => problem: must be a table
providers everything => problem: providers: must be a table
tools everything => problem: mcp: must be a table
""",
    "wrong entries": """
[providers]
lab = 3
"a b" = {}
[mcp]
x = 4
providers lab => problem: *
providers a b => problem: *
tools x => problem: *
""",
    "wrong variables": """
$ TELEX_MCP={"x": {"speed": 1}}
$ TELEX_PROVIDERS={bad
providers everything => problem: TELEX_PROVIDERS is not valid JSON => Change TELEX_PROVIDERS
tools x => problem: speed is not a setting => Change TELEX_MCP
""",
    "keys": f"""
{SETTINGS}kept = {{base_url = "https://kept.example/v1?team=red", key = "keyring"}}
both = {{base_url = "https://both.example/v1", key = "keyring", key_env = "LAB_API_KEY"}}
asked = {{base_url = "https://asked.example/v1", key_command = "touch RAN"}}
piped = {{base_url = "https://piped.example/v1", key_command = "nosuchprogram | tail -1"}}
gone = {{base_url = "https://gone.example/v1", key_command = "nosuchprogram x"}}
far = {{base_url = "http://far.example/v1", key_env = "LAB_API_KEY"}}
wanting = {{preset = "groq"}}
file = {{gguf = "/nowhere/m.gguf"}}
off = {{base_url = "https://off.example/v1", enabled = false}}
providers lab => ok: https://llm.example.com/v1, key: LAB_API_KEY
providers box => ok: http://127.0.0.1:8080/v1, key: none needed
providers kept => ok: https://kept.example/v1, key: keyring
providers both => ok: *, key: LAB_API_KEY, which takes precedence over the one in the keyring
providers asked => ok: https://asked.example/v1, key: key command
providers piped => ok: https://piped.example/v1, key: key command
providers gone => problem: *program nosuchprogram is not found => Install it, or use another command*
providers far => note: *sent unencrypted => *--base-url https://far.example/v1
providers wanting => note: https://api.groq.com/openai/v1, key: GROQ_API_KEY (not set) => Set GROQ_API_KEY, or *
providers file => problem: *
providers off => ok: https://off.example/v1, disabled
""",
    "proxies": f"""
{SETTINGS}own = {{base_url = "https://own.example/v1", proxy = "socks5://u:pw-abcdefg@p.example"}}
direct = {{base_url = "https://direct.example/v1", proxy = "none"}}
far = {{base_url = "https://a.far.example/v1"}}
plain = {{base_url = "http://plain.example/v1"}}
$ HTTPS_PROXY=http://me:pw-0123456@10.0.0.1:3128
$ NO_PROXY=far.example
proxies HTTPS_PROXY => ok: http://10.0.0.1:3128
proxies NO_PROXY => ok: far.example
proxies lab => ok: through http://10.0.0.1:3128 (HTTPS_PROXY)
proxies box => ok: direct (this machine)
proxies own => ok: through socks5://p.example:1080 (the provider's proxy)
proxies direct => ok: direct (the provider's proxy)
proxies far => ok: direct (NO_PROXY)
proxies plain => ok: direct
""",
    "models": f"""
{SETTINGS.replace('fast = "lab/m"', 'fast = "gone/m"')}
models default => ok: lab/m
models alias fast => note: * => telex models alias fast --remove
models lists => note: never fetched for lab, box
""",
    "an alias as the default": f"""
{SETTINGS.replace('model = "lab/m"', 'model = "fast"')}
models default => ok: lab/m
""",
    "no such default": f"""
{SETTINGS.replace('model = "lab/m"', 'model = "nowhere/m"')}
models default => problem: *
""",
    "a default without a key": """
model = "wanting"
[providers.wanting]
preset = "groq"
models default => problem: wanting/*has no key => telex providers set-key wanting
""",
    "tools": """
[mcp.here]
command = ["touch", "RAN"]
[mcp.gone]
command = ["nosuchprogram"]
[mcp.far]
url = "https://a.example/mcp"
headers = {X-Key = "env:NOT_SET"}
[mcp.off]
command = ["nosuchprogram"]
enabled = false
[mcp.lost]
command = ["touch"]
cwd = "~no-such-user/x"
tools here => ok: runs touch
tools gone => problem: program nosuchprogram not found
tools far => problem: X-Key needs the variable NOT_SET, which is not set
tools off => ok: disabled
tools lost => problem: its working folder *does not exist => Edit */settings.toml, line 13
""",
}
"""Settings, variables, and what is found: "CHECK SUBJECT => LEVEL: DETAIL => REMEDY", where * is any text."""


@pytest.mark.parametrize("name", FINDINGS)
def test_findings_in_settings(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = FINDINGS[name].splitlines()
    expected = {line.split(" => ")[0]: line.split(" => ")[1:] for line in lines if " => " in line}
    doctor.env |= dict(line[2:].split("=", 1) for line in lines if line.startswith("$ "))
    doctor.configure("\n".join(line for line in lines[1:] if " => " not in line and line[:2] != "$ "))
    report = doctor(*dict.fromkeys(place.split()[0] for place in expected))
    for place, (finding, *remedy) in expected.items():
        assert fnmatchcase(report[place], finding), report[place]
        assert fnmatchcase(report.remedy(place), *remedy or "*"), report.remedy(place)
    wrong = [place for place, (finding, *_) in expected.items() if finding.startswith("problem")]
    assert sorted(report.problems()) == sorted(wrong)
    assert not (tmp_path / "RAN").exists()


def test_a_disabled_provider_needs_no_proxy(doctor: Doctor) -> None:
    doctor.configure(f'{SETTINGS}off = {{base_url = "https://off.example/v1", enabled = false}}\n')
    assert set(doctor("proxies").findings) == {"proxies variables", "proxies lab", "proxies box"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'model = "x', "*line 1: *"),
        (b"a = 1\n\nb = = 2\n", "*line 3: *"),
        (b"a = '\xff'", "*line 1: it is not UTF-8"),
        (b"x = " + b"[" * 20_000, "*nested too deeply*"),
        (b"x = " + b"9" * 5_000, "*a number in it has too many digits"),
        (None, "*cannot be read: Is a directory"),
    ],
    ids=["cut", "no value", "not UTF-8", "deep", "long", "folder"],
)
def test_a_file_that_cannot_be_read_is_one_problem_with_its_line(
    doctor: Doctor, text: bytes | None, message: str
) -> None:
    doctor.paths.settings_file.unlink()
    if text is None:
        doctor.paths.settings_file.mkdir()
    else:
        doctor.paths.settings_file.write_bytes(text)
        doctor.paths.settings_file.chmod(0o600)
    report = doctor()
    assert {"settings file"} <= set(report.problems()) <= {"settings file", "folders settings.toml"}
    assert fnmatchcase(report["settings file"], f"problem: {message}")
    for family in ("providers", "models", "tools"):
        assert report[f"{family} everything"].startswith("note: unknown")


# --- versions and folders -------------------------------------------------------------------------------------------


def test_versions_name_telex_python_and_every_dependency(doctor: Doctor) -> None:
    from importlib.metadata import version

    from provider_core import __version__

    report = doctor("versions")
    assert report["versions telex"].startswith(f"ok: {__version__}, in ")
    assert report["versions Python"].startswith("ok: 3.")
    for name in ("click", "httpx", "keyring", "prompt-toolkit", "pydantic", "rich"):
        assert f"{name} {version(name)}" in report["versions packages"]


def test_a_missing_extra_is_a_note_with_the_command_that_installs_it(telex: Telex) -> None:
    ran = telex("doctor", "versions", env={"TELEX_TEST_WITHOUT": "xllamacpp mcp"})
    assert ran.code == 0
    rows = [line.split("\t") for line in ran.text.splitlines() if line.startswith("note")]
    assert [(row[2], row[4].rpartition(" ")[2]) for row in rows] == [
        ("extra local", "'telex[local]'"),
        ("extra mcp", "'telex[mcp]'"),
    ]


@pytest.mark.parametrize(
    ("name", "mode", "finding"),
    [
        ("config/settings.toml", 0o644, "problem: other users of this machine can read *"),
        ("config/settings.toml", 0o660, "problem: other users of this machine can change *"),
        ("data/history.db", 0o604, "problem: other users of this machine can read *"),
        ("config", 0o755, "note: other users of this machine can read *"),
        ("config", 0o777, "problem: other users of this machine can change *"),
        ("config", 0o700, "ok: *"),
    ],
)
def test_what_other_users_can_read_or_change_is_found(
    doctor: Doctor, name: str, mode: int, finding: str
) -> None:
    path = doctor.paths.config.parent / name
    path.parent.mkdir(exist_ok=True, mode=0o700)
    path.touch()
    path.chmod(mode)
    place = f"folders {'settings' if name == 'config' else path.name}"
    report = doctor("folders")
    assert fnmatchcase(report[place], finding)
    assert f"{mode:04o}" in report[place]
    assert path.stat().st_mode & 0o777 == mode


def test_a_remedy_can_be_pasted_whatever_the_name_of_the_folder(tmp_path: Path) -> None:
    doctor = Doctor(tmp_path / "it's $HOME")
    doctor.configure()
    doctor.paths.config.chmod(0o777)
    subprocess.run(["sh", "-c", doctor("folders").remedy("folders settings")], check=True)
    assert doctor("folders")["folders settings"].startswith("ok: ")


def test_a_file_in_place_of_a_folder_is_a_problem(doctor: Doctor, tmp_path: Path) -> None:
    doctor.paths.data.write_text("")
    report = doctor("folders", "history", "models")
    assert report["folders data"] == f"problem: {doctor.paths.data} is not a folder"
    report = Doctor(doctor.paths.data / "telex")("folders")
    assert fnmatchcase(report["folders settings"], "problem: *cannot be created*")
    assert report.remedy("folders settings") == "Set TELEX_HOME to a folder of your own"


@pytest.fixture
def visitor() -> Iterator[Doctor]:
    """A home that everyone may enter, examined by a user who is not root."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        doctor = Doctor(Path(place) / "home")
        doctor.configure()
        doctor.paths.config.parent.chmod(0o755)  # whatever the umask is
        doctor("folders")  # imports everything: another user may not read the virtual environment
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(65534)
        try:
            yield doctor
        finally:
            if is_root:
                os.seteuid(0)
            for path in Path(place).rglob("*"):
                path.chmod(0o700)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can act as two users")
def test_files_of_another_user_are_problems(visitor: Doctor) -> None:
    hidden = visitor("folders")["folders settings.toml"]
    assert hidden.endswith("settings.toml cannot be examined: Permission denied")
    os.seteuid(0)
    visitor.paths.config.chmod(0o755)
    os.seteuid(65534)
    report = visitor("folders")
    assert report["folders settings"].endswith("/config belongs to another user (uid 0)")
    assert report.remedy("folders settings").startswith('sudo chown -R "$(id -un)"')
    assert report["folders settings.toml"].endswith("settings.toml belongs to another user (uid 0)")
    assert "cannot be created" in report["folders data"]


def test_what_cannot_be_written_is_a_problem(visitor: Doctor) -> None:
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


# --- the keyring ----------------------------------------------------------------------------------------------------


class Dead(MemoryStore):
    """A keyring that does not answer."""

    asked = 0

    def get(self, name: str) -> str | None:
        self.asked += 1
        raise KeyStoreError("the keyring did not answer within 3 s; it may be waiting to be unlocked")


@pytest.mark.parametrize(
    ("settings", "subject", "entry", "what", "remedy"),
    [
        (STORED, "kept", "kept", "key", "telex providers set-key kept"),
        (
            '[mcp.x]\nurl = "https://a.example/mcp"\nheaders = {X-Key = "Bearer keyring:github"}\n',
            "keyring:github",
            "secret:github",
            "secret",
            "telex mcp set-secret github",
        ),
    ],
    ids=["key", "secret"],
)
def test_what_the_keyring_should_have_is_looked_up(
    doctor: Doctor, settings: str, subject: str, entry: str, what: str, remedy: str
) -> None:
    doctor.configure(settings)
    report = doctor("keyring")
    assert (
        report[f"keyring {subject}"]
        == f"problem: its {what} is not in the keyring, though the settings say so"
    )
    assert report.remedy(f"keyring {subject}") == remedy
    doctor.inside.store.set(entry, CANARY)
    report = doctor("keyring")
    assert report[f"keyring {subject}"] == f"ok: its {what} is stored"
    assert CANARY not in report.text
    doctor.inside.store = Dead()
    report = doctor("keyring")
    assert report.problems() == ["keyring backend"]
    missing = "no key for kept" if what == "key" else f"no {subject}"
    assert report["keyring backend"].endswith(f"to be unlocked: {missing}")


def test_a_key_that_was_stored_for_another_address_is_a_problem(doctor: Doctor) -> None:
    doctor.configure(STORED)
    there = Destination.of("https://b.example/v1", Network())
    doctor.inside.store.set("kept", seal(CANARY, [there]))
    report = doctor("keyring")
    words = "problem: its key was stored for https://b.example, and may not be sent to https://a.example"
    assert report["keyring kept"] == words
    assert "telex providers edit kept --trust" in report.remedy("keyring kept")
    assert CANARY not in report.text


def test_a_dead_keyring_is_asked_once(doctor: Doctor) -> None:
    doctor.inside.store = dead = Dead()
    doctor.configure(STORED + STORED.replace("kept", "other"))
    report = doctor("keyring")
    assert report["keyring backend"].endswith("no key for kept, no key for other")
    assert "telex providers set-key kept --key-env VAR" in report.remedy("keyring backend")
    assert dead.asked == 1


@pytest.mark.parametrize(
    "settings", [SETTINGS, f'{STORED}key_env = "LAB_API_KEY"\n'], ids=["not used", "overridden"]
)
def test_a_dead_keyring_that_is_not_needed_is_a_note(doctor: Doctor, settings: str) -> None:
    doctor.inside.store = Dead()
    doctor.configure(settings)
    report = doctor("keyring")
    assert report.code == 0
    assert report["keyring backend"].endswith("; no key or secret needs it")


def test_the_keyring_of_the_system_is_named(telex: Telex) -> None:
    assert telex("doctor", "keyring").text.startswith(
        "note\tkeyring\tbackend\tno usable keyring on this machine"
    )
    env = {"PYTHON_KEYRING_BACKEND": "keyring_in_a_file.Keyring", "TEST_KEYRING": str(telex.home / "keys")}
    telex.home.mkdir(exist_ok=True)
    ran = telex("doctor", "keyring", env=env)
    assert ran.text == "ok\tkeyring\tbackend\tkeyring_in_a_file.Keyring works\t\n"


# --- certificates, model lists, the history, and completion ---------------------------------------------------------


def test_certificates_are_named_and_a_bundle_that_cannot_be_used_is_a_problem(
    doctor: Doctor, tmp_path: Path
) -> None:
    bundle = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(bundle))
    doctor.configure(
        SETTINGS.replace("lab = {", f'lab = {{ca_bundle = "{bundle}", ').replace(
            "box = {", 'box = {ca_bundle = "/nowhere", '
        )
    )
    report = doctor("certificates")
    assert report["certificates lab"] == f"ok: {bundle}, 1 authority"
    assert "/nowhere cannot be used" in report["certificates box"]
    assert report.remedy("certificates box") == "telex providers edit box --unset ca-bundle"
    assert report["certificates store"].startswith(("ok: the operating system's", "note: "))
    doctor.env["SSL_CERT_FILE"] = "/nowhere"
    assert doctor("certificates")["certificates store"].startswith(
        "problem: the trusted certificates in /nowhere"
    )


def test_model_lists_are_shown_with_their_age(doctor: Doctor) -> None:
    settings = load(doctor.paths, doctor.env)
    for name, days in (("lab", 0.01), ("box", 3)):
        models = CachedModelList.of([Model(id="m"), Model(id="n")], time.time() - days * 86400)
        write_cached(doctor.paths.lists, settings.providers[name], models)
    report = doctor("models")
    assert report["models lab"] == "ok: 2 models, listed 14 minutes ago"
    assert report["models box"] == "note: 2 models, listed 3 days ago"
    assert report.remedy("models box") == "telex models list --refresh --provider box"


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100] + b"\xa5" * 20_000)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("ruin", [damaged, folder])
def test_the_history_is_counted_and_its_damage_is_found(doctor: Doctor, ruin: Callable[[Path], None]) -> None:
    assert doctor("history")["history file"].endswith("(not created yet)")
    target = Target(provider=Provider(name="lab", base_url="http://127.0.0.1:1/v1"), model="m")
    with History(doctor.paths.history) as history:
        for number in range(3):
            history.begin([Message(role="user", content=f"{number}")], target)
    assert doctor("history")["history file"].startswith("ok: 3 conversations, ")
    ruin(doctor.paths.history)
    assert doctor("history").problems() == ["history file"]


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_the_script_of_the_login_shell_is_current_outdated_or_missing(doctor: Doctor, shell: str) -> None:
    doctor.env |= {"SHELL": f"/bin/{shell}", "XDG_DATA_DIRS": "/nowhere"}
    place, subject = find(shell, doctor.env), f"completion {shell}"
    report = doctor("completion")
    assert report[subject] == "note: completion is not installed"
    assert report.remedy(subject) == f"telex completion {shell} --install"
    put(place.path, "# outdated\n")
    assert doctor("completion")[subject] == f"note: {place.path} is for another version of telex"
    put(place.path, script(shell, root))
    report = doctor("completion")
    assert str(place.path) in report[subject]
    assert "another" not in report[subject]


def test_a_script_for_all_users_is_found(doctor: Doctor, tmp_path: Path) -> None:
    doctor.env |= {"SHELL": "/usr/bin/fish", "XDG_DATA_DIRS": str(tmp_path / "share")}
    path = tmp_path / "share" / "fish" / "vendor_completions.d" / "telex.fish"
    path.parent.mkdir(parents=True)
    path.write_text(script("fish", root))
    assert doctor("completion")["completion fish"] == f"ok: {path}"


# --- named pipes in place of files ----------------------------------------------------------------------------------


def pipe(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    os.mkfifo(path, 0o600)
    return path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_place_of_any_file_does_not_block(doctor: Doctor, tmp_path: Path) -> None:
    doctor.configure(SETTINGS + STORED)
    for name in ("data/history.db", "cache/completion/stamp", "cache/models/lab.json", "cache/keyring"):
        pipe(doctor.paths.config.parent / name)
    doctor.env |= {"XDG_DATA_DIRS": str(tmp_path / "share"), "SHELL": "/bin/bash"}
    pipe(tmp_path / "share" / "bash-completion" / "completions" / "telex")
    report = doctor()
    assert report["settings file"].startswith("ok: ")
    assert report["completion bash"] == "note: completion is not installed"
    path = pipe(tmp_path / "pipe")
    for field in ("ca_bundle", "client_cert"):
        doctor.configure(f'[providers.lab]\nbase_url = "https://a.example/v1"\n{field} = "{path}"\n')
        message = f"problem: the certificates in {path} cannot be used: it is not a regular file"
        assert doctor("certificates")["certificates lab"] == message
    doctor.env["SSL_CERT_FILE"] = str(path)
    assert doctor("certificates")["certificates store"] == message
    path = pipe(doctor.paths.settings_file)
    assert doctor()["settings file"] == f"problem: {path} cannot be read: it is not a regular file"
    ran = doctor.inside("models", "list")
    assert (ran.code, ran.err) == (3, f"telex: {path} cannot be read: it is not a regular file\n")
