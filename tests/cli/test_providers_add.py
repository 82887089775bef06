"""``telex providers add`` and ``discover``: a provider is checked and set up, and a failure leaves nothing behind."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import pytest
from inprocess import Inside
from scripted import Answer, Scripted
from servers import by_path, in_json, keyed, refusal

from provider_core.settings.edit import entries
from provider_core.testing import FakeKeyStore

if TYPE_CHECKING:
    from pathlib import Path

    from running import Ran

KEY = "sk-canary-0123456789abcdef"
URL = "http://127.0.0.1:1/v1"


@pytest.fixture
def telex(tmp_path: Path) -> Inside:
    return Inside(tmp_path / "home")


@pytest.fixture
def lab(server: Scripted) -> Scripted:
    """A server that wants KEY."""
    server.will(keyed(KEY))
    return server


def add(telex: Inside, url: str, *more: str, name: str = "lab", **how: Any) -> Ran:
    return telex("providers", "add", name, "--base-url", url, *more, **how)


def unverified(telex: Inside, *more: str, name: str = "lab", url: str = URL) -> Ran:
    return add(telex, url, "--no-key", "--no-verify", *more, name=name)


def listed(telex: Inside) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(telex("providers", "list", "--json").out)
    return found


# --- the source of the key ---------------------------------------------------------------------------------


def test_key_from_stdin_is_checked_and_stored_in_the_keyring(telex: Inside, lab: Scripted) -> None:
    ran = add(telex, lab.url, "--key-stdin", stdin=f" {KEY}\n".encode())
    assert ran.code == 0, ran.err
    assert telex.stored("lab") == KEY
    assert entries(telex.settings)["lab"] == {"base_url": lab.url, "key": "keyring"}
    assert lab.asked[-1].headers["authorization"] == f"Bearer {KEY}"
    assert ran.out == b""
    for words in ("lab is set up.", "2 models", "The key is in the keyring.", "telex chat -m lab"):
        assert words in ran.err
    asked = len(lab.asked)
    ran = telex("chat", "--no-stdin", "-m", "lab", "Hello")
    assert (ran.code, ran.out) == (0, b"Hello\n"), ran.err
    assert len(lab.asked) == asked + 1, "the list that add saw is known"


def test_key_from_a_variable_or_a_command_is_not_stored(telex: Inside, lab: Scripted) -> None:
    ran = add(telex, lab.url, "--key-env", "LAB_KEY", env={"LAB_KEY": KEY})
    assert ran.code == 0, ran.err
    assert entries(telex.settings)["lab"]["key_env"] == "LAB_KEY"
    assert "environment variable LAB_KEY" in ran.err
    ran = add(telex, lab.url, "--key-command", f"echo {KEY}", name="two")
    assert ran.code == 0, ran.err
    assert telex("chat", "--no-stdin", "-m", "two", "hi").out == b"Hello\n"
    assert (telex.stored("lab"), telex.stored("two")) == (None, None)


def test_server_without_keys_gets_none(telex: Inside, server: Scripted) -> None:
    server.will(by_path())
    ran = add(telex, server.url, "--no-key")
    assert ran.code == 0, ran.err
    assert all("authorization" not in asked.headers for asked in server.asked)
    assert ran.err.splitlines()[2] == "The server responds and lists 2 models. No key is needed."


def test_variable_of_a_preset_is_used_without_asking(telex: Inside, lab: Scripted) -> None:
    env = {"DEEPSEEK_API_KEY": KEY}
    ran = add(telex, lab.url, "--preset", "deepseek", "--model", "m", name="mine", env=env)
    assert ran.code == 0, ran.err
    assert "environment variable DEEPSEEK_API_KEY" in ran.err
    assert telex.stored("mine") is None
    assert telex("providers", "list", env=env).text.split("\t")[2] == "DEEPSEEK_API_KEY"
    assert telex("providers", "list").text.split("\t")[2] == "DEEPSEEK_API_KEY (not set)"
    ran = telex("providers", "add", "deepseek", "--no-verify", "--key-stdin", stdin=KEY.encode(), env=env)
    assert "DEEPSEEK_API_KEY is set, and takes precedence over the keyring." in ran.err


def test_without_a_terminal_the_error_names_the_options(telex: Inside, lab: Scripted) -> None:
    ran = add(telex, lab.url)
    assert ran.code == 2
    for flag in ("--key-stdin", "--key-env", "--key-command", "--no-key"):
        assert flag in ran.err
    ran = telex("providers", "add", "deepseek")
    assert (ran.code, "DEEPSEEK_API_KEY" in ran.err, lab.asked) == (2, True, [])


@pytest.mark.parametrize(
    ("more", "stdin", "code", "words"),
    [
        (["--key-env", "sk-live-0123456789"], b"", 2, "never the key itself"),
        (["--key-env", "gsk_0123456789abcdef"], b"", 2, "never the key itself"),
        (["--key-stdin"], b"", 4, "empty"),
        (["--key-stdin"], b"one\ntwo\n", 4, "more than one line"),
        (["--key-stdin"], "é".encode(), 4, "cannot be in an API key"),
        (["--no-key", "--key-env", "A"], b"", 2, "--key-env and --no-key cannot be used together"),
        (["--key-env", "LAB_KEY"], b"", 4, "--no-verify"),
    ],
)
def test_invalid_key_is_refused_and_not_repeated(
    telex: Inside, lab: Scripted, more: list[str], stdin: bytes, code: int, words: str
) -> None:
    ran = add(telex, lab.url, *more, stdin=stdin)
    assert (ran.code, words in ran.err, "0123456789" in ran.err) == (code, True, False), ran.err
    assert not telex.settings.exists()


# --- failures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (refusal(401, "bad key"), 4, "bad key"),
        (refusal(500, "broken"), 6, "broken"),
        (refusal(404, "The model m does not exist"), 3, "does not exist"),
        (Answer([b"<html>hi</html>"], headers={"content-type": "text/html"}), 6, "web page"),
    ],
)
def test_check_that_fails_saves_nothing_and_exits_with_the_code_of_its_error(
    telex: Inside, server: Scripted, answer: Answer, code: int, words: str
) -> None:
    server.will(by_path(chat=answer))
    ran = add(telex, server.url, "--key-stdin", stdin=KEY.encode())
    assert (ran.code, words in ran.err, "--no-verify" in ran.err) == (code, True, True)
    assert (entries(telex.settings), telex.stored("lab")) == ({}, None)


def test_no_verify_saves_without_asking(telex: Inside, server: Scripted) -> None:
    ran = add(telex, server.url, "--key-env", "LAB_KEY", "--no-verify")
    assert (ran.code, server.asked, "LAB_KEY. It is not set now." in ran.err) == (0, [], True)


def test_keyring_that_fails_suggests_other_sources(tmp_path: Path, lab: Scripted) -> None:
    telex = Inside(tmp_path / "home", FakeKeyStore(broken="the keyring is locked: Failed to unlock!"))
    ran = add(telex, lab.url, "--key-stdin", stdin=KEY.encode())
    assert ran.code == 4
    for words in ("Failed to unlock!", "--key-env", "--key-command"):
        assert words in ran.err
    assert entries(telex.settings) == {}


def test_settings_that_do_not_parse_are_reported_first(telex: Inside, lab: Scripted) -> None:
    telex.configure('model = "a"\n[providers\n')
    before = telex.settings.read_bytes()
    ran = add(telex, lab.url, "--key-stdin", stdin=KEY.encode())
    assert (ran.code, "settings.toml, line 2" in ran.err) == (3, True)
    assert (telex.settings.read_bytes(), telex.stored("lab"), lab.asked) == (before, None, [])


def test_server_without_models_or_without_a_list(telex: Inside, server: Scripted) -> None:
    server.will(by_path(models=in_json({"object": "list", "data": None})))
    ran = add(telex, server.url, "--no-key")
    assert (ran.code, "No model is known yet" in ran.err) == (0, True)
    server.will(by_path(models=refusal(404)))
    ran = add(telex, server.url, "--no-key", "--model", "m", name="two")
    assert (ran.code, "lists no models" in ran.err) == (0, True)


@pytest.mark.parametrize(
    ("answer", "code", "hinted"),
    [(refusal(404, "no", code="not_found"), 6, True), (refusal(404, "The model m does not exist"), 3, False)],
)
def test_base_url_is_doubted_only_if_nothing_is_there(
    telex: Inside, server: Scripted, answer: Answer, code: int, hinted: bool
) -> None:
    server.will(by_path(chat=answer))
    ran = add(telex, server.url, "--no-key")
    assert (ran.code, "Check --base-url URL" in ran.err) == (code, hinted), ran.err


@pytest.mark.parametrize("path", ["", "/v2"])
def test_wrong_address_is_not_set_up(telex: Inside, server: Scripted, path: str) -> None:
    server.will(refusal(404))
    url = server.url.removesuffix("/v1") + path
    ran = add(telex, url, "--no-key")
    assert (ran.code, telex.settings.exists()) == (3, False)
    for words in ("no API found at", "--base-url URL", "Name a model: --model ID", "--no-verify"):
        assert words in ran.err
    assert "providers edit" not in ran.err, "there is nothing to edit"
    assert unverified(telex, url=url).code == 0
    again = telex("providers", "test", "lab")
    assert (again.code, "providers edit lab --base-url URL" in again.err) == (3, True)


def test_address_at_which_the_api_answers_is_proposed(telex: Inside, server: Scripted) -> None:
    root = server.url.removesuffix("/v1")
    server.will(
        lambda asked: by_path()(asked) if asked.path.startswith("/api/v1/") else refusal(404, "not here")
    )
    for more in ((), ("--model", "m")):
        ran = add(telex, f"{root}/api", "--no-key", *more)
        assert (ran.code, f"--base-url {root}/api/v1\n" in ran.err) == (6, True), ran.err
    assert entries(telex.settings) == {}
    assert unverified(telex, "--model", "m", url=f"{root}/api").code == 0
    ran = telex("providers", "test", "lab")
    assert (ran.code, f"telex providers edit lab --base-url {root}/api/v1" in ran.err) == (6, True)
    ran = telex("chat", "--no-stdin", "-m", "lab/m", "hi")
    assert (ran.code, "telex providers test lab" in ran.err) == (6, True)


# --- names, addresses, headers, models ---------------------------------------------------------------------


def test_only_valid_names_of_providers_are_saved(telex: Inside) -> None:
    for name in ("a b", "-a", "a-", "ä", "a/b", "a" * 65, "local", "ALL", "none", "default"):
        ran = telex("providers", "add", "--base-url", URL, "--no-key", "--no-verify", "--", name)
        assert ran.code == 2, name
    assert not telex.settings.exists()
    names = ["a", "A1", "my-lab", "9", "a" * 64]
    assert [unverified(telex, name=name).code for name in names] == [0] * 5
    assert set(entries(telex.settings)) == set(names)


@pytest.mark.parametrize(
    ("pasted", "saved", "dropped"),
    [
        (f"{URL}/chat/completions", URL, "/chat/completions at the end is dropped"),
        ("HTTP://LOCALHOST:1/V1?api-version=1", "http://localhost:1/V1?api-version=1", ""),
        ("https://host/v1?api_key=hunter22", "", "the base URL must not contain a key"),
    ],
)
def test_a_pasted_address_is_saved_without_its_endpoint_or_refused(
    telex: Inside, pasted: str, saved: str, dropped: str
) -> None:
    ran = unverified(telex, url=pasted)
    assert (ran.code, dropped in ran.err, "hunter22" in ran.err) == (0 if saved else 2, True, False)
    assert entries(telex.settings).get("lab", {}).get("base_url", "") == saved


def test_key_over_plain_http_needs_permission(telex: Inside) -> None:
    far = ("http://example.com/v1", "--key-env", "LAB_KEY", "--no-verify")
    assert (add(telex, *far).code, add(telex, *far, "--allow-http").code) == (2, 0)


def test_headers_are_sent_and_telexs_own_cannot_be_set(telex: Inside, server: Scripted) -> None:
    server.will(by_path())
    ran = add(telex, server.url, "--no-key", "--header", "X-Team=a=b", "--header", "X-Title: The lab")
    assert ran.code == 0, ran.err
    sent = server.asked[-1].headers
    assert (sent["x-team"], sent["x-title"]) == ("a=b", "The lab")
    for name in ("Authorization", "host", "Content-Length", "transfer-encoding"):
        ran = add(telex, server.url, "--no-key", "--header", f"{name}=secretvalue", name="two")
        assert (ran.code, "secretvalue" in ran.err) == (2, False)


def test_preset_with_an_address(telex: Inside, server: Scripted) -> None:
    server.will(by_path())
    ran = add(telex, server.url, name="deepseek", env={"DEEPSEEK_API_KEY": KEY})
    assert ran.code == 0, ran.err
    assert "deepseek is a preset: everything but the address comes from DeepSeek." in ran.err
    found = {"preset": "deepseek", "base_url": server.url, "key_env": "DEEPSEEK_API_KEY"}
    assert entries(telex.settings)["deepseek"] == found
    assert server.asked[-1].headers["authorization"] == f"Bearer {KEY}"
    ran = telex("providers", "add", "depseek")
    assert (ran.code, "deepseek" in ran.err, "--base-url" in ran.err) == (2, True, True)


def test_parts_of_an_address_come_from_options_or_the_environment(telex: Inside) -> None:
    arguments = ("providers", "add", "cloudflare", "--key-env", "CF", "--no-verify", "--replace")
    ran = telex(*arguments)
    assert (ran.code, "--set account_id=" in ran.err, "CLOUDFLARE_ACCOUNT_ID" in ran.err) == (2, True, True)
    for wrong in ("account_id=abc/../evil", "nonsense=abc", "abc"):
        assert telex(*arguments, "--set", wrong).code == 2
    assert telex(*arguments, "--set", "account_id=0123abc").code == 0
    assert "/accounts/0123abc/ai" in listed(telex)[0]["base_url"]
    ran = telex(*arguments, env={"CLOUDFLARE_ACCOUNT_ID": "fromenv"})
    assert (ran.code, "CLOUDFLARE_ACCOUNT_ID" in ran.err) == (0, True)
    assert "/accounts/fromenv/ai" in listed(telex)[0]["base_url"]


def test_taken_name_needs_replace_which_is_idempotent(telex: Inside, lab: Scripted) -> None:
    assert add(telex, lab.url, "--key-stdin", stdin=KEY.encode()).code == 0
    ran = add(telex, lab.url, "--key-stdin", stdin=KEY.encode())
    assert (ran.code, "--replace" in ran.err) == (3, True)
    before = telex.settings.read_bytes()
    assert add(telex, lab.url, "--key-stdin", "--replace", stdin=KEY.encode()).code == 0
    assert add(telex, lab.url, "--key-stdin", "--replace", stdin=b"wrong-key").code == 4
    assert (telex.settings.read_bytes(), telex.stored("lab")) == (before, KEY)
    assert unverified(telex, "--replace").code == 0
    assert telex.stored("lab") is None


def gguf_header(path: Path, context: int = 4096) -> Path:
    """A GGUF file with a whole header and no model: llama.cpp cannot load it."""

    def text(value: bytes) -> bytes:
        return struct.pack("<Q", len(value)) + value

    architecture = text(b"general.architecture") + struct.pack("<I", 8) + text(b"llama")
    length = text(b"llama.context_length") + struct.pack("<II", 4, context)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + architecture + length)
    return path


def test_model_file_is_loaded_once(telex: Inside, tmp_path: Path) -> None:
    arguments = ("providers", "add", "file", "--gguf", str(gguf_header(tmp_path / "odd.gguf")))
    ran = telex(*arguments)
    assert (ran.code, "odd.gguf" in ran.err, "Nothing was saved" in ran.err) == (3, True, True), ran.err
    assert not telex.settings.exists()
    ran = telex(*arguments, "--no-verify", "--model", "mine")
    assert (ran.code, "was not loaded" in ran.err) == (0, True)
    assert entries(telex.settings)["file"]["models"] == [{"id": "mine", "context": 4096}]
    assert json.loads(telex("models", "show", "file/mine", "--json").text)["context"] == 4096
    (tmp_path / "text.gguf").write_text("text")
    ran = telex("providers", "edit", "file", "--gguf", str(tmp_path / "text.gguf"))
    assert (ran.code, "is not a GGUF file" in ran.err) == (3, True)
    ran = telex("providers", "edit", "file", "--gguf", str(gguf_header(tmp_path / "new.gguf", 8192)))
    assert (ran.code, "To check it: telex providers test file" in ran.err) == (0, True), ran.err
    assert entries(telex.settings)["file"]["models"] == [{"id": "new", "context": 8192}]


# --- discover ----------------------------------------------------------------------------------------------


def owned(owner: str) -> object:
    return by_path(models=in_json({"object": "list", "data": [{"id": "m", "owned_by": owner}]}))


def discover(telex: Inside, server: Scripted, *more: str) -> Ran:
    ran = telex("providers", "discover", "--port", str(server.port), *more)
    assert ran.code == 0, ran.err
    return ran


def test_server_is_found_and_set_up_with_add(telex: Inside, server: Scripted) -> None:
    server.will(owned("llamacpp"))
    ran = discover(telex, server)
    assert (ran.text, "discover --add" in ran.err) == (f"llamacpp\t{server.url}\t1\t\n", True)
    assert not telex.settings.exists()
    for _ in range(2):
        assert discover(telex, server, "--add").text == f"llamacpp\t{server.url}\t1\tllamacpp\n"
        assert entries(telex.settings) == {"llamacpp": {"preset": "llamacpp", "base_url": server.url}}
    assert telex("models", "list", "-P", "llamacpp").text == "llamacpp/m\n"
    assert telex("chat", "--no-stdin", "-m", "m", "hi").out == b"Hello\n"


@pytest.mark.parametrize(
    "taken", ['[providers.llamacpp]\nbase_url = "http://127.0.0.1:1"\n', '[aliases]\nllamacpp = "x/y"\n']
)
def test_found_server_gets_an_unused_name(telex: Inside, server: Scripted, taken: str) -> None:
    telex.configure(taken)
    server.will(owned("llamacpp"))
    discover(telex, server, "--add")
    assert f"llamacpp-{server.port}" in entries(telex.settings)


def test_found_server_of_unknown_kind_is_set_up_by_its_address(telex: Inside, server: Scripted) -> None:
    server.will(owned("somebody"))
    discover(telex, server, "--add")
    assert entries(telex.settings) == {"server": {"base_url": server.url, "key": "none"}}


def test_known_server_is_named(telex: Inside, server: Scripted) -> None:
    server.will(owned("llamacpp"))
    telex.configure(f'[providers.mine]\nbase_url = "http://localhost:{server.port}/v1"\nkey = "none"\n')
    found = {
        "preset": "llamacpp",
        "base_url": server.url,
        "models": ["m"],
        "needs_key": False,
        "set_up_as": "mine",
    }
    assert json.loads(discover(telex, server, "--json").out) == [found]


def test_server_that_wants_a_key_is_not_set_up(telex: Inside, server: Scripted) -> None:
    server.will(refusal(401))
    assert "wants a key" in discover(telex, server, "--add").text
    assert not telex.settings.exists()
    command = f"telex providers add server --base-url {server.url} --key-stdin\n"
    assert command in discover(telex, server).err


def test_finding_no_server_is_not_an_error(telex: Inside, server: Scripted) -> None:
    server.will(refusal(404))
    ran = discover(telex, server)
    assert (ran.out, "No model server found" in ran.err) == (b"", True)
    assert discover(telex, server, "--json").out == b"[]\n"


def test_default_model_is_reported_once_there_are_several_providers(telex: Inside, server: Scripted) -> None:
    server.will(by_path())
    assert "default" not in add(telex, server.url, "--no-key", name="one").err
    assert telex("chat", "--no-stdin", "hi").code == 0
    ran = add(telex, server.url, "--no-key", name="two")
    assert "To use two without -m: telex models default two" in ran.err
    ran = telex("chat", "--no-stdin", "hi")
    assert (ran.code, "telex chat -m one/m, or set the default: telex models default one/m" in ran.err) == (
        3,
        True,
    )
    telex("models", "default", "one")
    ran = add(telex, server.url, "--no-key", name="three")
    assert "The default model is still one/m. To change it: telex models default three" in ran.err


def test_rename_to_a_name_in_use_says_how_to_free_it(telex: Inside) -> None:
    unverified(telex, name="one")
    unverified(telex, name="two")
    ran = telex("providers", "rename", "one", "two")
    assert ran.code == 3
    assert (
        "two is already set up\n  Choose another name, or remove it first: telex providers remove two"
        in ran.err
    )


def test_header_secret_without_a_keyring_can_come_from_a_variable(telex: Inside, lab: Scripted) -> None:
    telex.store = FakeKeyStore(broken="no usable keyring on this machine")
    ran = add(telex, lab.url, "--no-key", "--header", "X: keyring:gw")
    assert ran.code == 4
    assert 'Take the secret of the header from a variable instead: --header "NAME: env:VAR"' in ran.err
    assert "--key-env" not in ran.err


# --- the user's own presets ----------------------------------------------------------------------------------


def test_a_preset_of_the_users_own_is_set_up_and_used_as_any_other(telex: Inside, lab: Scripted) -> None:
    folder = telex.paths.presets
    folder.mkdir(parents=True)
    preset = f'name = "Acme"\nkind = "local"\nbase_url = "{lab.url}"\nkey_env = ["ACME_API_KEY"]\nmodels = ["large"]\n'
    (folder / "acme.toml").write_text(preset)
    (folder / "bad.toml").write_text("base_url = 5\n")
    env = {"ACME_API_KEY": KEY}
    ran = telex("chat", "-m", "acme", "hi", env=env)
    assert ran.code == 0, ran.err
    assert lab.asked[-1].body["model"] == "large"
    assert lab.asked[-1].headers["authorization"] == f"Bearer {KEY}"
    assert "bad" not in ran.err, "nothing needs it"
    ran = telex("providers", "presets", "acme")
    assert ran.text == f"acme\tAcme\tlocal\tACME_API_KEY\t{lab.url}\n"
    assert f"{folder / 'bad.toml'}: base_url must be text" in ran.err
    assert telex("providers", "add", "acme", "--no-verify", env=env).code == 0
    assert "acme" in (telex.paths.cache / "completion" / "presets").read_text().split()
    assert "large" in telex("models", "list", "-P", "acme", env=env).text
    ran = telex("providers", "add", "bad")
    assert ran.code == 3
    assert "base_url must be text" in ran.err
    (folder / "acme.toml").write_text("nonsense")
    ran = telex("chat", "-m", "acme", "hi", env=env)
    assert ran.code == 3
    assert str(folder / "acme.toml") in ran.err
