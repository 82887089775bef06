"""``telex providers add``: one line sets a provider up, is checked, and leaves nothing behind when it fails."""

from __future__ import annotations

import json
import socket
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

KEY = "sk-canary-0123456789abcdef"


@pytest.fixture
def telex(tmp_path: Path) -> Inside:
    return Inside(tmp_path / "home")


@pytest.fixture
def lab(server: Scripted) -> Scripted:
    """A server that wants KEY."""
    server.will(keyed(KEY))
    return server


def listed(telex: Inside) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(telex("providers", "list", "--json").out)
    return found


# --- where the key comes from ------------------------------------------------------------------------------


def test_a_key_from_stdin_is_checked_and_kept_in_the_keyring_alone(telex: Inside, lab: Scripted) -> None:
    ran = telex("providers", "add", "lab", "--base-url", lab.url, "--key-stdin", stdin=f" {KEY}\n".encode())
    assert ran.code == 0, ran.err
    assert telex.stored("lab") == KEY
    assert entries(telex.settings)["lab"] == {"base_url": lab.url, "key": "keyring"}
    assert lab.asked[-1].headers["authorization"] == f"Bearer {KEY}"
    assert ran.out == b""
    assert "lab is set up." in ran.err
    assert "2 models" in ran.err
    assert "The key is in the keyring." in ran.err
    assert "telex chat -m lab" in ran.err


def test_what_add_promises_to_work_works(telex: Inside, lab: Scripted) -> None:
    telex("providers", "add", "lab", "--base-url", lab.url, "--key-stdin", stdin=KEY.encode())
    asked = len(lab.asked)
    ran = telex("chat", "--no-stdin", "-m", "lab", "Hello")
    assert (ran.code, ran.out) == (0, b"Hello\n"), ran.err
    assert len(lab.asked) == asked + 1  # the list that add saw is known


def test_a_key_from_a_variable_is_named_and_never_kept(telex: Inside, lab: Scripted) -> None:
    ran = telex(
        "providers", "add", "lab", "--base-url", lab.url, "--key-env", "LAB_KEY", env={"LAB_KEY": KEY}
    )
    assert ran.code == 0, ran.err
    assert entries(telex.settings)["lab"]["key_env"] == "LAB_KEY"
    assert telex.stored("lab") is None
    assert "environment variable LAB_KEY" in ran.err


def test_a_key_from_a_command_is_fetched_by_it(telex: Inside, lab: Scripted) -> None:
    ran = telex("providers", "add", "lab", "--base-url", lab.url, "--key-command", f"echo {KEY}")
    assert ran.code == 0, ran.err
    assert telex("chat", "--no-stdin", "-m", "lab", "hi").out == b"Hello\n"


def test_a_server_that_needs_no_key_gets_none(telex: Inside, server: Scripted) -> None:
    server.will(by_path())
    ran = telex("providers", "add", "lab", "--base-url", server.url, "--no-key")
    assert ran.code == 0, ran.err
    assert all("authorization" not in asked.headers for asked in server.asked)
    assert "no key needed" in ran.err


def test_a_presets_variable_that_is_set_is_used_without_asking(telex: Inside, lab: Scripted) -> None:
    ran = telex(
        "providers", "add", "mine", "--preset", "deepseek", "--base-url", lab.url, "--model", "m",
        env={"DEEPSEEK_API_KEY": KEY},
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "environment variable DEEPSEEK_API_KEY" in ran.err
    assert telex.stored("mine") is None
    ran = telex("providers", "list", env={"DEEPSEEK_API_KEY": KEY})
    assert ran.text.split("\t")[2] == "DEEPSEEK_API_KEY"
    assert telex("providers", "list").text.split("\t")[2] == "DEEPSEEK_API_KEY (not set)"


def test_a_kept_key_that_the_environment_outdoes_is_said(telex: Inside) -> None:
    ran = telex(
        "providers", "add", "deepseek", "--no-verify", "--key-stdin",
        stdin=KEY.encode(), env={"DEEPSEEK_API_KEY": "another"},
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "DEEPSEEK_API_KEY is set, and takes precedence over the keyring." in ran.err


def test_with_no_terminal_what_would_be_asked_is_a_usage_error_that_names_the_flags(
    telex: Inside, lab: Scripted
) -> None:
    ran = telex("providers", "add", "lab", "--base-url", lab.url)
    assert ran.code == 2
    for flag in ("--key-stdin", "--key-env", "--key-command", "--no-key"):
        assert flag in ran.err
    ran = telex("providers", "add", "deepseek")
    assert ran.code == 2
    assert "DEEPSEEK_API_KEY" in ran.err
    assert lab.asked == []


def test_a_key_in_the_place_of_a_variables_name_is_neither_kept_nor_repeated(
    telex: Inside, lab: Scripted
) -> None:
    for key in ("sk-live-0123456789", "gsk_0123456789abcdef"):
        ran = telex("providers", "add", "lab", "--base-url", lab.url, "--key-env", key)
        assert ran.code == 2
        assert key not in ran.err
    assert not telex.settings.exists()


@pytest.mark.parametrize(
    ("stdin", "words"),
    [(b"", "empty"), (b"one\ntwo\n", "more than one line"), ("é".encode(), "no HTTP header")],
)
def test_what_is_no_key_is_refused(telex: Inside, lab: Scripted, stdin: bytes, words: str) -> None:
    ran = telex("providers", "add", "lab", "--base-url", lab.url, "--key-stdin", stdin=stdin)
    assert ran.code == 4
    assert words in ran.err
    assert not telex.settings.exists()


def test_two_sources_of_a_key_contradict_each_other(telex: Inside) -> None:
    ran = telex("providers", "add", "lab", "--base-url", "http://127.0.0.1:1", "--no-key", "--key-env", "A")
    assert ran.code == 2
    assert "--key-env and --no-key do not go together" in ran.err


# --- what fails leaves nothing -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (refusal(401, "bad key"), 4, "bad key"),
        (refusal(403, "not for you"), 4, "not for you"),
        (refusal(402, "no credit"), 5, "no credit"),
        (refusal(500, "broken"), 6, "broken"),
        (refusal(404, "The model m does not exist"), 3, "does not exist"),
        (Answer([b"<html>hi</html>"], headers={"content-type": "text/html"}), 6, "web page"),
    ],
)
def test_a_check_that_fails_saves_nothing_and_has_its_errors_exit_code(
    telex: Inside, server: Scripted, answer: Answer, code: int, words: str
) -> None:
    server.will(by_path(chat=answer))
    ran = telex("providers", "add", "lab", "--base-url", server.url, "--key-stdin", stdin=KEY.encode())
    assert ran.code == code
    assert words in ran.err
    assert "--no-verify" in ran.err
    assert entries(telex.settings) == {}
    assert telex.stored("lab") is None


def test_nobody_there_is_a_network_error(telex: Inside) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        ran = telex("providers", "add", "lab", "--base-url", url, "--no-key")
    assert ran.code == 7
    assert "refused" in ran.err
    assert not telex.settings.exists()


def test_no_verify_saves_without_asking(telex: Inside, server: Scripted) -> None:
    ran = telex("providers", "add", "lab", "--base-url", server.url, "--key-env", "LAB_KEY", "--no-verify")
    assert ran.code == 0, ran.err
    assert server.asked == []
    assert "LAB_KEY. It is not set now." in ran.err


def test_a_variable_that_is_not_set_cannot_be_checked(telex: Inside, lab: Scripted) -> None:
    ran = telex("providers", "add", "lab", "--base-url", lab.url, "--key-env", "LAB_KEY")
    assert ran.code == 4
    assert "--no-verify" in ran.err
    assert not telex.settings.exists()


def test_a_keyring_that_does_not_work_says_the_ways_out_and_saves_nothing(
    tmp_path: Path, lab: Scripted
) -> None:
    locked = FakeKeyStore(broken="the keyring is locked: Failed to unlock the collection!")
    telex = Inside(tmp_path / "home", locked)
    ran = telex("providers", "add", "lab", "--base-url", lab.url, "--key-stdin", stdin=KEY.encode())
    assert ran.code == 4
    assert "Failed to unlock the collection!" in ran.err
    assert "--key-env" in ran.err
    assert "--key-command" in ran.err
    assert entries(telex.settings) == {}


def test_a_settings_file_that_does_not_parse_is_reported_before_anything_else(
    telex: Inside, lab: Scripted
) -> None:
    telex.configure('model = "a"\n[providers\n')
    before = telex.settings.read_bytes()
    ran = telex("providers", "add", "lab", "--base-url", lab.url, "--key-stdin", stdin=KEY.encode())
    assert ran.code == 3
    assert "settings.toml, line 2" in ran.err
    assert telex.settings.read_bytes() == before
    assert telex.stored("lab") is None
    assert lab.asked == []


def test_a_server_with_no_model_to_ask_is_saved_and_it_is_said(telex: Inside, server: Scripted) -> None:
    server.will(by_path(models=in_json({"object": "list", "data": None})))
    ran = telex("providers", "add", "lab", "--base-url", server.url, "--no-key")
    assert ran.code == 0, ran.err
    assert "No model is known yet" in ran.err


@pytest.mark.parametrize("path", ["", "/v2"])
def test_a_wrong_address_where_no_model_can_be_asked_is_not_set_up(
    telex: Inside, server: Scripted, path: str
) -> None:
    server.will(refusal(404))
    url = server.url.removesuffix("/v1") + path
    ran = telex("providers", "add", "lab", "--base-url", url, "--no-key")
    assert ran.code == 3
    assert not telex.settings.exists()
    assert "could not be asked" in ran.err
    assert "--base-url URL" in ran.err
    assert "providers edit" not in ran.err  # there is nothing to edit
    assert "name a model: --model ID" in ran.err
    assert "--no-verify" in ran.err
    assert "It answers" not in ran.err
    assert telex("providers", "add", "lab", "--base-url", url, "--no-key", "--no-verify").code == 0
    again = telex("providers", "test", "lab")
    assert again.code == 3
    assert "providers edit lab --base-url URL" in again.err


def test_a_server_without_a_list_is_set_up_by_a_model_that_answers(telex: Inside, server: Scripted) -> None:
    server.will(by_path(models=refusal(404)))
    ran = telex("providers", "add", "lab", "--base-url", server.url, "--no-key", "--model", "m")
    assert ran.code == 0, ran.err
    assert "no list of models" in ran.err


# --- names, addresses, headers -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a b", "-a", "a-", "ä", "a/b", "a" * 65, "local", "all", "none", "default"])
def test_what_is_no_name_is_refused(telex: Inside, name: str) -> None:
    ran = telex("providers", "add", "--base-url", "http://127.0.0.1:1", "--no-key", "--no-verify", "--", name)
    assert ran.code == 2
    assert not telex.settings.exists()


@pytest.mark.parametrize("name", ["a", "A1", "my-lab", "9", "a" * 64])
def test_letters_digits_and_hyphens_make_a_name(telex: Inside, name: str) -> None:
    ran = telex("providers", "add", name, "--base-url", "http://127.0.0.1:1", "--no-key", "--no-verify")
    assert ran.code == 0, ran.err
    assert set(entries(telex.settings)) == {name}


@pytest.mark.parametrize(
    ("pasted", "kept", "said"),
    [
        ("http://127.0.0.1:1/v1/", "http://127.0.0.1:1/v1", "/ at the end"),
        ("http://127.0.0.1:1/v1/chat/completions", "http://127.0.0.1:1/v1", "/chat/completions at the end"),
        ("http://127.0.0.1:1/v1/models", "http://127.0.0.1:1/v1", "/models at the end"),
        ("HTTP://LOCALHOST:1/V1?api-version=1", "http://localhost:1/V1?api-version=1", ""),
    ],
)
def test_a_pasted_address_is_made_a_base_url_and_it_is_said(
    telex: Inside, pasted: str, kept: str, said: str
) -> None:
    ran = telex("providers", "add", "lab", "--base-url", pasted, "--no-key", "--no-verify")
    assert ran.code == 0, ran.err
    assert entries(telex.settings)["lab"]["base_url"] == kept
    assert said in ran.err
    assert ("is dropped" in ran.err) == bool(said)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host", "host:80", "https://", "https://user:hunter22@host/v1", "https://host/#x", "https://ho st",
        "https://host:99999", f"https://host/{'a' * 512}", "https://host/v1?api_key=hunter22",
    ],
)  # fmt: skip
def test_what_is_no_base_url_is_refused_and_no_password_repeated(telex: Inside, url: str) -> None:
    ran = telex("providers", "add", "lab", "--base-url", url, "--no-key", "--no-verify")
    assert ran.code == 2
    assert "base URL" in ran.err
    assert "hunter22" not in ran.err
    assert not telex.settings.exists()


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("http://example.com/v1", False), ("http://8.8.8.8/v1", False), ("http://lab.internal/v1", False),
        ("http://localhost/v1", True), ("http://127.0.0.1/v1", True), ("http://[::1]/v1", True),
        ("http://10.1.2.3/v1", True), ("http://192.168.0.9:8000/v1", True), ("https://example.com/v1", True),
    ],
)  # fmt: skip
def test_a_key_goes_over_plain_http_to_near_hosts_only(telex: Inside, url: str, fine: bool) -> None:
    arguments = ("providers", "add", "lab", "--base-url", url, "--key-env", "LAB_KEY", "--no-verify")
    ran = telex(*arguments)
    assert (ran.code == 0) == fine, ran.err
    if not fine:
        assert ran.code == 2
        assert telex(*arguments, "--allow-http").code == 0
        assert telex("providers", "add", "open", "--base-url", url, "--no-key", "--no-verify").code == 0


def test_headers_are_sent_and_telexs_own_cannot_be_set(telex: Inside, server: Scripted) -> None:
    server.will(by_path())
    ran = telex(
        "providers", "add", "lab", "--base-url", server.url, "--no-key", "--header", "X-Team=a=b",
        "--header", "X-Title: The lab",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert server.asked[-1].headers["x-team"] == "a=b"
    assert server.asked[-1].headers["x-title"] == "The lab"
    for name in ("Authorization", "host", "Content-Length", "transfer-encoding"):
        ran = telex(
            "providers", "add", "two", "--base-url", server.url, "--no-key", "--header", f"{name}=secretvalue"
        )
        assert ran.code == 2
        assert "secretvalue" not in ran.err


def test_models_and_names_are_kept_in_order(telex: Inside, server: Scripted) -> None:
    ran = telex(
        "providers", "add", "lab", "--base-url", server.url, "--no-key", "--no-verify",
        "--display-name", "The lab", "--model", "a/b", "--model", "c",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    entry = entries(telex.settings)["lab"]
    assert entry["models"] == ["a/b", "c"]
    assert entry["display_name"] == "The lab"
    assert listed(telex)[0]["default_model"] == "a/b"
    long = telex(
        "providers",
        "add",
        "two",
        "--base-url",
        server.url,
        "--no-key",
        "--no-verify",
        "--display-name",
        "x" * 129,
    )
    assert long.code == 2
    assert "--display-name" in long.err


# --- presets -----------------------------------------------------------------------------------------------


def test_a_presets_name_with_an_address_keeps_what_is_known_of_the_preset(
    telex: Inside, server: Scripted
) -> None:
    server.will(by_path())
    ran = telex("providers", "add", "deepseek", "--base-url", server.url, env={"DEEPSEEK_API_KEY": KEY})
    assert ran.code == 0, ran.err
    assert "deepseek is a preset: everything but the address comes from DeepSeek." in ran.err
    assert entries(telex.settings)["deepseek"] == {
        "preset": "deepseek",
        "base_url": server.url,
        "key_env": "DEEPSEEK_API_KEY",
    }
    assert server.asked[-1].headers["authorization"] == f"Bearer {KEY}"
    telex("providers", "add", "mine", "--base-url", server.url, "--no-key")
    assert "preset" not in entries(telex.settings)["mine"]


def test_an_unknown_preset_names_near_ones(telex: Inside) -> None:
    ran = telex("providers", "add", "depseek")
    assert ran.code == 2
    assert "deepseek" in ran.err
    assert "--base-url" in ran.err


def test_a_templated_address_takes_its_parts_from_options_or_the_environment(telex: Inside) -> None:
    arguments = ("providers", "add", "cloudflare", "--key-env", "CF", "--no-verify")
    ran = telex(*arguments)
    assert ran.code == 2
    assert "--set account_id=" in ran.err
    assert "CLOUDFLARE_ACCOUNT_ID" in ran.err
    assert telex(*arguments, "--set", "account_id=abc/../evil").code == 2
    assert telex(*arguments, "--set", "nonsense=abc").code == 2
    assert telex(*arguments, "--set", "account_id=0123abc").code == 0
    assert "/accounts/0123abc/ai" in listed(telex)[0]["base_url"]
    ran = telex(*arguments, "--replace", env={"CLOUDFLARE_ACCOUNT_ID": "fromenv"})
    assert ran.code == 0
    assert "CLOUDFLARE_ACCOUNT_ID" in ran.err
    assert "/accounts/fromenv/ai" in listed(telex)[0]["base_url"]


# --- again -------------------------------------------------------------------------------------------------


def test_a_taken_name_is_an_error_and_replace_makes_it_idempotent(telex: Inside, lab: Scripted) -> None:
    arguments = ("providers", "add", "lab", "--base-url", lab.url, "--key-stdin")
    assert telex(*arguments, stdin=KEY.encode()).code == 0
    ran = telex(*arguments, stdin=KEY.encode())
    assert ran.code == 3
    assert "--replace" in ran.err
    before = telex.settings.read_bytes()
    assert telex(*arguments, "--replace", stdin=KEY.encode()).code == 0
    assert telex.settings.read_bytes() == before
    assert telex.stored("lab") == KEY


def test_a_replacement_that_fails_leaves_the_former_one_whole(telex: Inside, lab: Scripted) -> None:
    arguments = ("providers", "add", "lab", "--base-url", lab.url, "--key-stdin")
    telex(*arguments, stdin=KEY.encode())
    before = telex.settings.read_bytes()
    assert telex(*arguments, "--replace", stdin=b"wrong-key").code == 4
    assert telex.settings.read_bytes() == before
    assert telex.stored("lab") == KEY


def test_the_address_at_which_the_api_answers_is_proposed(telex: Inside, server: Scripted) -> None:
    root = server.url.removesuffix("/v1")
    server.will(
        lambda asked: by_path()(asked) if asked.path.startswith("/api/v1/") else refusal(404, "not here")
    )
    add = ("providers", "add", "lab", "--base-url", f"{root}/api", "--no-key")
    for more in ((), ("--model", "m")):
        ran = telex(*add, *more)
        assert (ran.code, f"--base-url {root}/api/v1\n" in ran.err) == (6, True), ran.err
    assert not telex.settings.exists() or "lab" not in telex.settings.read_text()
    assert telex(*add, "--no-verify", "--model", "m").code == 0
    ran = telex("providers", "test", "lab")
    assert (ran.code, f"telex providers edit lab --base-url {root}/api/v1" in ran.err) == (6, True)
    ran = telex("chat", "--no-stdin", "-m", "lab/m", "hi")
    assert (ran.code, "telex providers test lab" in ran.err) == (6, True)


def header_only(path: Path) -> Path:
    """A GGUF file with a whole header and no model: llama.cpp cannot load it."""

    def text(value: bytes) -> bytes:
        return struct.pack("<Q", len(value)) + value

    architecture = text(b"general.architecture") + struct.pack("<I", 8) + text(b"llama")
    context = text(b"llama.context_length") + struct.pack("<II", 4, 4096)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + architecture + context)
    return path


def test_a_model_file_that_cannot_be_loaded_is_not_set_up(telex: Inside, tmp_path: Path) -> None:
    add = ("providers", "add", "file", "--gguf", str(header_only(tmp_path / "odd.gguf")))
    ran = telex(*add)
    assert (ran.code, "odd.gguf" in ran.err, "Nothing was saved" in ran.err) == (3, True, True), ran.err
    assert not telex.settings.exists()
    ran = telex(*add, "--no-verify", "--model", "mine")
    assert (ran.code, "was not loaded" in ran.err) == (0, True)
    assert entries(telex.settings)["file"]["models"] == [{"id": "mine", "context": 4096}]
    assert json.loads(telex("models", "show", "file/mine", "--json").text)["context"] == 4096
