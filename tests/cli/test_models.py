"""``telex models``: what is listed and what is left out, what is asked of servers and when, how models are named."""

from __future__ import annotations

import json
import os
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from inprocess import Inside
from listings import as_html, as_json, listing
from scripted import Answer, Scripted, answer

from provider_core import catalog
from provider_core.catalog import CachedModelList
from provider_core.settings import load
from provider_core.testing import FakeKeyStore
from provider_core.types import Model

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-canary-0123456789abcdef"


@pytest.fixture
def telex(tmp_path: Path) -> Inside:
    return Inside(tmp_path / "home")


def keep(telex: Inside, name: str, *models: Model | str, age: float = 0) -> None:
    """Put a list into the cache as if the server had given it ``age`` seconds ago."""
    provider = load(telex.paths, telex.env).providers[name]
    made = tuple(m if isinstance(m, Model) else Model(id=m) for m in models)
    assert catalog.write_cached(telex.paths.lists, provider, CachedModelList.of(made, time.time() - age))


def listed(telex: Inside, *arguments: str, **options: Any) -> list[str]:
    """The lines of ``models list``, without the built-in model's."""
    ran = telex("models", "list", *arguments, **options)
    assert ran.code == 0, ran.err
    return [line for line in ran.text.splitlines() if not line.startswith("local/")]


def rows(telex: Inside, *arguments: str, **options: Any) -> dict[str, dict[str, Any]]:
    ran = telex("models", "list", "--json", *arguments, **options)
    assert ran.code == 0, ran.err
    return {row["id"]: row for row in json.loads(ran.out)}


THREE = """
model = "lab/b"

[providers.lab]
display_name = "The Lab"
base_url = "http://127.0.0.1:9/v1"
key = "none"
models = ["b", {id = "a", context = 5000, tools = true}]

[providers.groq]
preset = "groq"

[providers.off]
base_url = "http://127.0.0.1:9/v1"
key = "none"
enabled = false
models = ["x"]
"""


# --- what is listed ----------------------------------------------------------------------------------------


def test_a_model_a_line_in_groups(telex: Inside) -> None:
    telex.configure(THREE)
    assert listed(telex) == ["lab/b", "lab/a"]


def test_a_provider_counts_once_its_key_is_there(telex: Inside) -> None:
    telex.configure(THREE)
    found = listed(telex, env={"GROQ_API_KEY": KEY})
    assert found[:2] == ["lab/b", "lab/a"]
    assert "groq/openai/gpt-oss-120b" in found
    assert not [name for name in found if name.startswith("off/")]


@pytest.mark.parametrize("line", ['key = "keyring"', 'key_command = "cat /nowhere"', 'key_env = "HERS"'])
def test_every_source_of_a_key_counts_without_being_asked(telex: Inside, line: str) -> None:
    telex.store = store = FakeKeyStore()
    telex.configure(f'[providers.lab]\nbase_url = "http://127.0.0.1:9"\nmodels = ["a"]\n{line}\n')
    assert listed(telex, env={"HERS": KEY}) == ["lab/a"]
    assert store.asked == []


def test_the_servers_list_is_shown_after_what_was_declared(telex: Inside) -> None:
    telex.configure(THREE)
    keep(telex, "lab", Model(id="a", context=9999, vision=True), "m-10", "m-9")
    assert listed(telex) == ["lab/b", "lab/a", "lab/m-9", "lab/m-10"]
    row = rows(telex)["lab/a"]
    assert (row["context"], row["vision"], row["tools"], row["source"]) == (5000, True, True, "user")


def test_json_tells_all_that_is_known(telex: Inside) -> None:
    telex.configure(THREE)
    keep(telex, "lab", Model(id="x-32k", name="The X", max_output=2048, reasoning=False))
    assert rows(telex)["lab/x-32k"] == {
        "id": "lab/x-32k",
        "provider": "lab",
        "model": "x-32k",
        "name": "The X",
        "kind": "chat",
        "context": 32768,
        "context_estimated": True,
        "max_output": 2048,
        "max_output_estimated": False,
        "reasoning": False,
        "reasoning_levels": [],
        "tools": None,
        "vision": None,
        "source": "server",
        "default": False,
        "global_default": False,
    }
    assert rows(telex)["lab/b"]["default"] is True
    assert rows(telex)["lab/b"]["context"] is None


def test_an_estimate_is_nowhere_but_in_what_is_shown(telex: Inside, server: Scripted) -> None:
    """A prompt far beyond the guessed window is sent whole, and no limit is put into the body."""
    telex.configure(f'[providers.lab]\nbase_url = "{server.url}"\nkey = "none"\nmodels = ["tiny-4k"]\n')
    assert rows(telex)["lab/tiny-4k"]["context_estimated"]
    server.will(answer("x"))
    prompt = "word " * 20_000
    assert telex("chat", "-m", "lab/tiny-4k", "--no-stdin", prompt).code == 0
    assert server.asked[0].body["messages"][0]["content"] == prompt
    assert "max_tokens" not in server.asked[0].body


def test_what_does_not_chat_is_hidden_softly(telex: Inside, server: Scripted) -> None:
    telex.configure(f'[providers.lab]\nbase_url = "{server.url}"\nkey = "none"\n')
    keep(telex, "lab", "chatty", Model(id="embedder", kind="embedding"), Model(id="tts", kind="speech"))
    assert listed(telex) == ["lab/chatty"]
    assert listed(telex, "--all") == ["lab/chatty", "lab/embedder", "lab/tts"]
    assert rows(telex, "--all")["lab/tts"]["kind"] == "speech"
    server.will(answer("yes"))
    assert telex("chat", "-m", "embedder", "--no-stdin", "hi").out == b"yes\n"
    assert server.asked[0].body["model"] == "embedder"


def test_a_declared_model_is_never_hidden(telex: Inside) -> None:
    telex.configure(
        '[providers.lab]\nbase_url = "http://127.0.0.1:9"\nkey = "none"\nmodels = ["my-embed-chat"]\n'
    )
    assert listed(telex) == ["lab/my-embed-chat"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-P", "lab"], ["lab/Qwen3-8b", "lab/llama"]),
        (["--provider", "work", "-P", "lab"], ["lab/Qwen3-8b", "lab/llama", "work/qwen3:30b"]),
        (["qwen"], ["lab/Qwen3-8b", "work/qwen3:30b"]),
        (["QWEN", "30"], ["work/qwen3:30b"]),
        (["lab/q"], ["lab/Qwen3-8b"]),
        (["large", "animal"], ["lab/llama"]),
        (["house"], ["work/qwen3:30b"]),
        (["--tools"], ["lab/Qwen3-8b", "work/qwen3:30b"]),
        (["--tools", "--reasoning"], ["work/qwen3:30b"]),
        (["--vision"], ["lab/llama"]),
        (["--vision", "--tools"], []),
    ],
)
def test_filters_by_provider_text_and_ability(
    telex: Inside, arguments: list[str], expected: list[str]
) -> None:
    telex.configure(
        '[providers.lab]\nbase_url = "http://127.0.0.1:9"\nkey = "none"\n'
        '[providers.work]\nbase_url = "http://127.0.0.1:8"\nkey = "none"\ndisplay_name = "The House"\n'
    )
    keep(
        telex, "lab", Model(id="Qwen3-8b", tools=True), Model(id="llama", name="A large Animal", vision=True)
    )
    keep(telex, "work", Model(id="qwen3:30b", tools=True, reasoning=True, vision=False))
    assert listed(telex, *arguments) == expected


def test_nothing_that_matches_is_said_and_no_error(telex: Inside) -> None:
    telex.configure(THREE)
    ran = telex("models", "list", "no-such-thing")
    assert (ran.code, ran.out) == (0, b"")
    assert ran.err.startswith("No model matches.\n")
    assert json.loads(telex("models", "list", "no-such-thing", "--json").out) == []


def test_a_provider_that_is_not_set_up_is_an_error_with_a_near_one(telex: Inside) -> None:
    telex.configure(THREE)
    ran = telex("models", "list", "-P", "lap")
    assert ran.code == 3
    assert "no provider called lap is set up" in ran.err
    assert "Did you mean lab?" in ran.err


def test_no_provider_that_can_be_asked_says_what_each_one_lacks(telex: Inside) -> None:
    telex.configure(THREE)
    ran = telex("models", "list", "-P", "groq", "-P", "off")
    assert (ran.code, ran.out) == (0, b"")
    assert "groq has no key: set GROQ_API_KEY, or telex providers set-key groq" in ran.err
    assert "off is disabled: telex providers edit off --enable" in ran.err
    assert telex("models", "list", "-P", "groq", "--json").out == b"[]\n"


def test_lists_that_are_old_or_were_never_fetched_are_named(telex: Inside) -> None:
    telex.configure(
        "".join(
            f'[providers.{n}]\nbase_url = "http://127.0.0.1:9"\nkey = "none"\n'
            for n in ("new", "old", "never")
        )
    )
    keep(telex, "new", "a")
    keep(telex, "old", "b", age=3 * 86_400 + 5)
    ran = telex("models", "list")
    assert "new/a" in ran.text
    assert "old/b" in ran.text
    assert ran.err == (
        "Not fetched yet: never. Fetched long ago: old (3 days). To ask the servers: telex models list --refresh\n"
    )


def test_how_long_a_list_lasts_can_be_set(telex: Inside) -> None:
    telex.configure('models_lifetime = 60\n[providers.lab]\nbase_url = "http://127.0.0.1:9"\nkey = "none"\n')
    keep(telex, "lab", "a", age=61)
    assert "Fetched long ago: lab (1 minute)" in telex("models", "list").err
    assert telex("models", "list", env={"TELEX_MODELS_LIFETIME": "3600"}).err == ""


# --- asking the servers ------------------------------------------------------------------------------------


def labs(telex: Inside, **servers: Scripted) -> None:
    telex.configure(
        "".join(f'[providers.{n}]\nbase_url = "{s.url}"\nkey = "none"\n' for n, s in servers.items())
    )


def test_listing_asks_no_server_unless_told_to(telex: Inside, server: Scripted) -> None:
    server.will(listing("a"))
    labs(telex, lab=server)
    assert listed(telex) == []
    assert server.connections == 0
    assert listed(telex, "--refresh") == ["lab/a"]
    assert len(server.asked) == 1
    assert listed(telex) == ["lab/a"]
    assert len(server.asked) == 1


def test_a_refresh_can_be_of_one_provider(telex: Inside, server: Scripted) -> None:
    with Scripted() as other:
        server.will(listing("a"))
        other.will(listing("b"))
        labs(telex, lab=server, other=other)
        assert listed(telex, "--refresh", "-P", "lab") == ["lab/a"]
        assert other.connections == 0


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (as_json({"error": {"message": "gone fishing"}}, 500), "gone fishing"),
        (as_json({"detail": "Not Found"}, 404), "404"),
        (as_json({"detail": "no"}, 405), "405"),
        (as_html("<html><title>Jan</title></html>"), "a web page"),
        (as_json({"error": {"message": "bad key"}}, 401), "refused the key"),
        (Answer([b"garbage"]), "not valid JSON"),
    ],
    ids=["500", "404", "405", "html", "401", "garbage"],
)
def test_a_refresh_that_fails_keeps_the_old_list_and_says_so(
    telex: Inside, server: Scripted, reply: Answer, words: str
) -> None:
    labs(telex, lab=server)
    keep(telex, "lab", "old-one", age=7200)
    server.will(reply)
    ran = telex("models", "list", "--refresh", "-P", "lab")
    assert (ran.code, ran.out) == (4 if words == "refused the key" else 0, b"lab/old-one\n")
    assert words in ran.err
    assert "Its list of 2 hours ago stays." in ran.err
    assert listed(telex) == ["lab/old-one"]


@pytest.mark.parametrize(
    ("statuses", "code"), [((500,), 6), ((401,), 4), ((500, 500), 6), ((500, 401), 1), ((500, 200), 0)]
)
def test_a_refresh_that_leaves_no_list_at_all_has_its_errors_exit_code(
    telex: Inside, server: Scripted, statuses: tuple[int, ...], code: int
) -> None:
    server.will(lambda asked: as_json({"data": []}, statuses[int(asked.path.split("/")[2])]))
    telex.configure(
        "".join(
            f'[providers.p{at}]\nbase_url = "{server.url}/{at}"\nkey = "none"\nmodels = ["m"]\n'
            for at in range(len(statuses))
        )
    )
    ran = telex("models", "list", "--refresh")
    assert ran.code == code, ran.err
    assert "p0/m" in ran.text
    keep(telex, "p0", "old")
    assert telex("models", "list", "--refresh").code == (4 if statuses == (401,) else 0)


def test_an_empty_list_of_the_server_is_a_list(telex: Inside, server: Scripted) -> None:
    labs(telex, lab=server)
    keep(telex, "lab", "old-one")
    server.will(as_json({"object": "list", "data": None}))
    ran = telex("models", "list", "--refresh", "-P", "lab")
    assert (ran.code, ran.out) == (0, b"")
    assert "No model is known. To declare one: telex models add lab ID" in ran.err


def test_a_provider_without_a_list_is_not_asked(telex: Inside) -> None:
    telex.configure(
        '[providers.perplexity]\npreset = "perplexity"\nbase_url = "http://127.0.0.1:9"\n'
        'key_env = "PERPLEXITY_API_KEY"\n'
    )
    ran = telex("models", "list", "--refresh", "-P", "perplexity", env={"PERPLEXITY_API_KEY": KEY})
    assert ran.code == 0
    assert "perplexity/sonar" in ran.text
    assert ran.err == ""


def test_the_keyring_is_asked_once_a_provider_and_a_broken_one_once_in_all(
    telex: Inside, server: Scripted
) -> None:
    server.will(listing("a"))
    names = ("one", "two", "three")
    telex.configure("".join(f'[providers.{n}]\nbase_url = "{server.url}"\nkey = "keyring"\n' for n in names))
    telex.store = store = FakeKeyStore(**dict.fromkeys(names, KEY))
    assert listed(telex, "--refresh") == ["one/a", "two/a", "three/a"]
    assert sorted(store.asked) == sorted(("get", name) for name in names)
    assert all(asked.headers["authorization"] == f"Bearer {KEY}" for asked in server.asked)
    telex.store = store = FakeKeyStore(broken="the keyring did not answer within 3 s")
    ran = telex("models", "list", "--refresh")
    assert ran.code == 0
    assert store.asked == [("get", "one")]
    assert ran.err.count("the keyring did not answer") == 3


def test_neither_key_nor_what_a_server_makes_of_it_is_written_down(telex: Inside, server: Scripted) -> None:
    telex.configure(f'[providers.lab]\nbase_url = "{server.url}"\nkey_env = "LAB_KEY"\n')
    server.will(as_json({"data": [{"id": f"for-{KEY}", "name": KEY}, {"id": "ok"}]}))
    ran = telex("models", "list", "--refresh", "--json", env={"LAB_KEY": KEY})
    assert KEY not in ran.text + ran.err
    for path in (telex.paths.cache).rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes()


def test_names_from_a_server_cannot_command_a_terminal_or_break_lines(
    telex: Inside, server: Scripted
) -> None:
    labs(telex, lab=server)
    server.will(
        as_json(
            {
                "data": [
                    {"id": "a\x1b]0;owned\x07"},
                    {"id": "b\nlab/fake"},
                    {"id": "c", "name": "\x1b[2J\u202eC"},
                ]
            }
        )
    )
    assert listed(telex, "--refresh") == ["lab/c"]
    assert rows(telex)["lab/c"]["name"] == "C"


# --- naming ------------------------------------------------------------------------------------------------


def test_what_is_listed_can_be_named(telex: Inside, server: Scripted) -> None:
    labs(telex, lab=server)
    keep(telex, "lab", "models/x", "org/y:free", "Z", "/m.gguf", "l:latest")
    server.will(answer("ok"))
    names = listed(telex)
    assert len(names) == 5
    for name in names:
        assert telex("chat", "-m", name, "--no-stdin", "hi").code == 0
        assert f"lab/{server.asked[-1].body['model']}" == name


def test_a_provider_alone_whose_server_was_never_asked_is_asked_by_chat(
    telex: Inside, server: Scripted
) -> None:
    labs(telex, lab=server)
    server.will(
        lambda asked: listing("first", "second") if asked.path == "/v1/models" else Answer(answer("ok"))
    )
    assert telex("chat", "-m", "lab", "--no-stdin", "hi").out == b"ok\n"
    assert [asked.path for asked in server.asked] == ["/v1/models", "/v1/chat/completions"]
    assert server.asked[1].body["model"] == "first"
    assert telex("chat", "-m", "lab", "--no-stdin", "hi").out == b"ok\n"
    assert [asked.path for asked in server.asked[2:]] == ["/v1/chat/completions"]


def test_a_provider_alone_does_not_rely_on_a_list_that_is_too_old(telex: Inside, server: Scripted) -> None:
    labs(telex, lab=server)
    keep(telex, "lab", "unloaded-since", age=2 * 86_400)
    server.will(lambda asked: listing("loaded") if asked.path == "/v1/models" else Answer(answer("ok")))
    for typed in (["-m", "lab"], []):
        assert telex("chat", *typed, "--no-stdin", "hi").code == 0
        assert server.asked[-1].body["model"] == "loaded"
    assert [asked.path for asked in server.asked].count("/v1/models") == 1


def test_an_old_list_does_when_the_server_gives_no_new_one(telex: Inside, server: Scripted) -> None:
    labs(telex, lab=server)
    keep(telex, "lab", "old-one", age=2 * 86_400)
    server.will(lambda a: as_json({}, 500) if a.path == "/v1/models" else Answer(answer("ok")))
    assert telex("chat", "-m", "lab", "--no-stdin", "hi").code == 0
    assert server.asked[-1].body["model"] == "old-one"


@pytest.mark.parametrize("typed", ["lab/old-one", "old-one", "fast"])
def test_a_model_that_is_named_needs_no_new_list(telex: Inside, server: Scripted, typed: str) -> None:
    labs(telex, lab=server)
    with telex.settings.open("a") as settings:
        settings.write('[aliases]\nfast = "lab/old-one"\n')
    keep(telex, "lab", "old-one", age=2 * 86_400)
    server.will(answer("ok"))
    assert telex("chat", "-m", typed, "--no-stdin", "hi").code == 0
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("reply", "code", "words"),
    [
        (
            as_json({"detail": "Not Found"}, 404),
            3,
            "lab has no default model, and none is listed for it\n",
        ),
        (as_html("<html>"), 3, "a web page"),
        (as_json({"data": []}), 3, "lab has no default model"),
        (as_json({"error": {"message": "no read"}}, 403), 3, "no read"),
        (as_json({"error": {"message": "wrong"}}, 401), 4, "refused the key"),
    ],
    ids=["404", "html", "empty", "403", "401"],
)
def test_a_provider_alone_without_a_list_wants_a_name(
    telex: Inside, server: Scripted, reply: Answer, code: int, words: str
) -> None:
    labs(telex, lab=server)
    server.will(reply)
    ran = telex("chat", "-m", "lab", "--no-stdin", "hi")
    assert ran.code == code
    assert words in ran.err
    if code == 3:
        assert "Name one: telex chat -m lab/MODEL, or for always: telex providers edit lab" in ran.err


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_server_without_a_list_has_an_empty_one(telex: Inside, server: Scripted, status: int) -> None:
    labs(telex, lab=server)
    server.will(as_json({"detail": "Not Found"}, status))
    ran = telex("models", "list", "--refresh", "-P", "lab")
    assert (ran.code, ran.text) == (0, "")
    ran = telex("models", "list", "-P", "lab")
    assert (ran.code, ran.text) == (0, "")
    assert "Not fetched" not in ran.err
    assert "telex models add lab ID" in ran.err


def test_a_server_that_is_down_is_a_network_error(telex: Inside) -> None:
    telex.configure('[providers.lab]\nbase_url = "http://127.0.0.1:9/v1"\nkey = "none"\n')
    ran = telex("chat", "-m", "lab", "--no-stdin", "hi")
    assert ran.code == 7
    assert "Is the server running?" in ran.err


def test_a_list_that_may_not_be_read_does_not_keep_a_named_model_from_chatting(
    telex: Inside, server: Scripted
) -> None:
    labs(telex, lab=server)
    server.will(
        lambda asked: as_json({"error": "no"}, 401) if asked.path == "/v1/models" else Answer(answer("ok"))
    )
    assert telex("chat", "-m", "lab/any", "--no-stdin", "hi").out == b"ok\n"


@pytest.mark.parametrize("typed", ["groq/openai/gpt-oss-120b", "openai/gpt-oss-120b", "groq", "fast"])
def test_a_model_whose_provider_lost_its_key_says_how_to_give_one(telex: Inside, typed: str) -> None:
    telex.configure('[providers.groq]\npreset = "groq"\n[aliases]\nfast = "groq"\n')
    ran = telex("chat", "-m", typed, "--no-stdin", "hi")
    assert ran.code == 4
    assert "there is no API key for groq" in ran.err
    assert "Set GROQ_API_KEY, or store one: telex providers set-key groq" in ran.err


def test_a_default_that_leads_nowhere_says_where_it_is_from(telex: Inside) -> None:
    telex.configure('model = "gone/x"\n[providers.lab]\nbase_url = "http://127.0.0.1:9"\nkey = "none"\n')
    ran = telex("chat", "--no-stdin", "hi")
    assert ran.code == 3
    assert "(the default model, gone/x, is from the settings)" in ran.err
    ran = telex("chat", "--no-stdin", "hi", env={"TELEX_MODEL": "there/y"})
    assert "(the default model, there/y, is from TELEX_MODEL)" in ran.err
    assert "default model" not in telex("chat", "-m", "gone/z", "--no-stdin", "hi").err


def test_a_disabled_provider_says_how_to_enable_it(telex: Inside) -> None:
    telex.configure(THREE)
    for typed in ("off", "off/x", "x"):
        ran = telex("chat", "-m", typed, "--no-stdin", "hi")
        assert ran.code == 3
        assert "telex providers edit off --enable" in ran.err


@pytest.mark.parametrize(
    ("typed", "advice"),
    [
        ("lab/qwen3", None),
        ("qwen3-8", "Did you mean lab/qwen3-8b?"),
        ("openai/qwen3-8b", "Set it up: telex providers add openai\n  Or did you mean lab/qwen3-8b?"),
        ("zzz", "See what there is: telex models list"),
        ("q", "See what there is: telex models list"),
    ],
)
def test_a_name_that_is_nearly_right_is_put_right(
    telex: Inside, server: Scripted, typed: str, advice: str | None
) -> None:
    labs(telex, lab=server)
    keep(telex, "lab", "qwen3-8b")
    server.will(answer("ok"))
    ran = telex("chat", "-m", typed, "--no-stdin", "hi")
    assert ran.code == (3 if advice else 0)
    assert (advice or "") in ran.err


# --- declaring ---------------------------------------------------------------------------------------------

LAB = '[providers.lab]\nbase_url = "http://127.0.0.1:9/v1"\nkey = "none"\n'


def declared(telex: Inside) -> tuple[Model, ...]:
    provider = load(telex.paths, {}).providers["lab"]
    return provider.models if provider.models_declared else ()


def test_a_declared_model_is_listed_with_what_was_said_of_it(telex: Inside) -> None:
    telex.configure(LAB)
    ran = telex("models", "add", "lab", "org/new:1", "--name", "New", "--context", "4096", "--max-output", "512",
                "--reasoning", "--tools", "--no-vision")  # fmt: skip
    assert ran.code == 0, ran.err
    assert 'Try: telex chat -m lab/org/new:1 "Hello"' in ran.err
    row = rows(telex)["lab/org/new:1"]
    assert (row["name"], row["context"], row["max_output"], row["context_estimated"]) == (
        "New",
        4096,
        512,
        False,
    )
    assert (row["reasoning"], row["tools"], row["vision"], row["source"]) == (True, True, False, "user")


def test_declaring_keeps_comments_and_what_stands_around(telex: Inside) -> None:
    telex.configure(
        f'# top\n{LAB}# here\nmodels = [\n  "a", # first\n  "b",\n]\n'
        "\n# about work\n[providers.work]\npreset = 'groq'\n"
    )
    for arguments in (
        ("add", "lab", "c", "--context", "4096"),
        ("edit", "lab", "b", "--tools"),
        ("edit", "lab", "c", "--context", "8192", "--no-reasoning"),
        ("add", "lab", "d"),
        ("remove", "lab", "d"),
    ):
        assert telex("models", *arguments).code == 0
    assert declared(telex) == (
        Model(id="a"),
        Model(id="b", tools=True),
        Model(id="c", context=8192, reasoning=False),
    )
    text = telex.settings.read_text()
    for comment in ("# top", "# here", "# first", "\n# about work\n[providers.work]"):
        assert comment in text


def test_what_was_said_can_be_unsaid(telex: Inside) -> None:
    telex.configure(LAB)
    telex("models", "add", "lab", "a", "--context", "4096", "--tools")
    assert telex("models", "edit", "lab", "a", "--unset", "tools", "--unset", "context").code == 0
    assert declared(telex) == (Model(id="a"),)
    assert telex("models", "remove", "lab", "a").code == 0
    assert declared(telex) == ()
    assert "models" not in telex.settings.read_text()


def test_a_model_that_its_server_lists_can_be_put_right(telex: Inside) -> None:
    telex.configure(LAB)
    keep(telex, "lab", Model(id="a", context=999, tools=True))
    assert telex("models", "edit", "lab", "a", "--context", "4096").code == 0
    row = rows(telex)["lab/a"]
    assert (row["context"], row["tools"], row["source"]) == (4096, True, "user")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("add", "lab", "a"), 3, "lab/a is already declared"),
        (("add", "nobody", "a"), 3, "no provider called nobody"),
        (("add", "lap", "a"), 3, "Did you mean lab?"),
        (("add", "deepseek", "a"), 3, "Set it up: telex providers add deepseek"),
        (("add", "local", "a"), 3, "local is the model inside telex"),
        (("add", "lab", ""), 2, "is not a valid model id"),
        (("add", "lab", " a"), 2, "is not a valid model id"),
        (("add", "lab", "a\nb"), 2, "is not a valid model id"),
        (("add", "lab", "x" * 600), 2, "is not a valid model id"),
        (("add", "lab", "b", "--context", "99999999999999999999"), 2, "--context"),
        (("add", "lab", "b", "--max-output", "100000001"), 2, "--max-output"),
        (("add", "lab", "b", "--name", "two\nlines"), 2, "--name takes one line"),
        (("add", "lab", "b", "--context", "0"), 2, "--context"),
        (("edit", "lab", "b", "--tools"), 2, "To declare it: telex models add lab b"),
        (("edit", "lab", "a"), 2, "nothing to change"),
        (("edit", "lab", "a", "--tools", "--unset", "tools"), 2, "both given and unset"),
        (("edit", "nobody", "a", "--tools"), 3, "no provider called nobody"),
        (("remove", "lab", "b"), 3, "lab/b is not declared"),
        (("remove", "nobody", "b"), 3, "no provider called nobody"),
    ],
)
def test_what_cannot_be_declared_changes_nothing(
    telex: Inside, arguments: tuple[str, ...], code: int, words: str
) -> None:
    telex.configure(f'{LAB}models = ["a"]\n')
    before = telex.settings.read_bytes()
    ran = telex("models", *arguments)
    assert ran.code == code
    assert words in ran.err
    assert telex.settings.read_bytes() == before


# --- aliases and the default -------------------------------------------------------------------------------


def test_an_alias_is_a_name_wherever_a_model_is_named(telex: Inside, server: Scripted) -> None:
    labs(telex, lab=server)
    keep(telex, "lab", "org/a:1")
    server.will(answer("ok"))
    assert telex("models", "alias", "fast", "lab/org/a:1").err == "fast means lab/org/a:1.\n"
    assert telex("chat", "-m", "fast", "--no-stdin", "hi").code == 0
    assert server.asked[-1].body["model"] == "org/a:1"
    assert telex("chat", "--no-stdin", "hi", env={"TELEX_MODEL": "fast"}).code == 0
    assert telex("models", "alias").text == "fast\tlab/org/a:1\n"
    assert telex("models", "alias", "fast").text == "lab/org/a:1\n"
    assert telex("models", "alias", "fast", "lab/other").err == "fast means lab/other (it was lab/org/a:1).\n"
    assert telex("models", "alias", "--remove", "fast").code == 0
    assert telex("models", "alias").out == b""
    assert "aliases" not in telex.settings.read_text()
    assert telex("chat", "-m", "fast", "--no-stdin", "hi").code == 3


def test_a_models_name_alone_is_pinned_to_the_provider_it_means_now(telex: Inside, server: Scripted) -> None:
    labs(telex, lab=server)
    keep(telex, "lab", "m")
    telex("models", "alias", "fast", "m")
    telex("models", "default", "M")
    assert telex("models", "alias", "fast").text == "lab/m\n"
    assert load(telex.paths, {}).model == "lab/m"


def test_a_provider_and_an_alias_stay_what_was_typed(telex: Inside) -> None:
    telex.configure(LAB)
    telex("models", "alias", "here", "lab")
    telex("models", "default", "here")
    settings = load(telex.paths, {})
    assert (settings.aliases, settings.model) == ({"here": "lab"}, "here")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("a/b", "lab/m"), 2, "not a valid name for an alias"),
        (("a b", "lab/m"), 2, "not a valid name for an alias"),
        (("lab", "lab/m"), 2, "the name of a provider"),
        (("LAB", "lab/m"), 2, "the name of a provider"),
        (("local", "lab/m"), 2, "the name of a provider"),
        (("x", "x"), 2, "would mean itself"),
        (("x", "nobody/m"), 3, "no provider"),
        (("--remove", "x"), 3, "there is no alias x"),
        (("x",), 2, "there is no alias x"),
        (("--remove",), 2, "--remove"),
    ],
)
def test_an_alias_that_could_mislead_is_refused(
    telex: Inside, arguments: tuple[str, ...], code: int, words: str
) -> None:
    telex.configure(LAB)
    ran = telex("models", "alias", *arguments)
    assert ran.code == code
    assert words in ran.err
    assert telex.settings.read_text() == LAB


def test_the_default_is_shown_as_what_it_means(telex: Inside) -> None:
    telex.configure(f'{LAB}models = ["a", "b"]\n')
    assert telex("models", "default").text == "lab/a\n"  # the only provider
    assert telex("models", "default", "lab/b").err == "The default model is lab/b.\n"
    assert telex("models", "default").text == "lab/b\n"
    assert telex("models", "default", env={"TELEX_MODEL": "a"}).text == "lab/a\n"
    said = telex("models", "default", "lab/a", env={"TELEX_MODEL": "b"}).err
    assert "TELEX_MODEL is set to b, which overrides it." in said
    assert telex("models", "default", "--unset").code == 0
    assert load(telex.paths, {}).model is None
    assert telex("models", "default", "nobody/x").code == 3
    assert telex("models", "default", "lab/a", "--unset").code == 2


def test_the_default_goes_before_all_tables(telex: Inside) -> None:
    telex.configure(f"# mine\n\n{LAB}")
    telex("models", "default", "lab/b")
    assert load(telex.paths, {}).model == "lab/b"
    assert telex.settings.read_text().startswith("# mine\n")


# --- show --------------------------------------------------------------------------------------------------


def test_show_tells_what_a_name_means_and_what_is_known(telex: Inside) -> None:
    telex.configure(f'{THREE}\n[aliases]\nfast = "lab/a"\n')
    text = telex("models", "show", "fast").text
    assert text.splitlines()[0] == "lab/a"
    for fact in ("The Lab, http://127.0.0.1:9/v1", "your settings", "5,000 tokens", "tools          yes"):
        assert fact in text
    assert json.loads(telex("models", "show", "a", "--json").out)["context"] == 5000


def test_show_marks_what_is_only_estimated(telex: Inside) -> None:
    telex.configure(THREE)
    assert "~32.8k tokens, estimated from the name" in telex("models", "show", "lab/x-32k").text
    assert "no list: it is sent as typed" in telex("models", "show", "lab/x-32k").text
    shown = json.loads(telex("models", "show", "lab/x-32k", "--json").out)
    assert (shown["context_estimated"], shown["source"]) == (True, None)


def test_show_says_that_a_key_is_missing_and_opens_no_keyring(telex: Inside) -> None:
    telex.configure(THREE)
    ran = telex("models", "show", "groq")
    assert ran.code == 0
    assert "none: set GROQ_API_KEY, or telex providers set-key groq" in ran.text
    assert "reasoning      yes" in ran.text


# --- what completion reads ---------------------------------------------------------------------------------


def snapshot(telex: Inside, name: str) -> list[str]:
    return (telex.paths.cache / "completion" / name).read_text().splitlines()


def test_the_snapshot_follows_settings_catalogue_and_edits_by_hand(telex: Inside, server: Scripted) -> None:
    labs(telex, lab=server)
    telex("models", "list")
    assert "lab" in snapshot(telex, "providers")
    assert not [line for line in snapshot(telex, "models") if line.startswith("lab/")]
    server.will(listing("a", "text-embedding-x"))
    telex("models", "list", "--refresh", "-P", "lab")
    assert [line for line in snapshot(telex, "models") if line.startswith("lab/")] == ["lab/a"]
    telex("models", "add", "lab", "b")
    assert "lab/b" in snapshot(telex, "models")
    telex("models", "alias", "fast", "lab/b")
    assert snapshot(telex, "aliases") == ["fast"]
    telex("providers", "add", "file", "--base-url", server.url, "--no-key", "--no-verify")
    assert "file" in snapshot(telex, "providers")
    with telex.settings.open("a") as settings:
        settings.write('[providers.hand]\nbase_url = "http://127.0.0.1:9"\nkey = "none"\nmodels = ["h"]\n')
    telex("models", "default", "lab/b")
    assert "hand/h" in snapshot(telex, "models")
    server.will(answer("ok"))
    telex.settings.write_text(telex.settings.read_text().replace("[providers.hand]", "[providers.again]"))
    telex("chat", "-m", "lab/b", "--no-stdin", "hi")
    assert "again/h" in snapshot(telex, "models")
    assert "hand/h" not in snapshot(telex, "models")


def test_a_cache_that_cannot_be_written_breaks_nothing(telex: Inside, server: Scripted) -> None:
    labs(telex, lab=server)
    telex.paths.cache.parent.mkdir(parents=True, exist_ok=True)
    telex.paths.cache.write_text("a file where the folder should be")
    server.will(listing("a"))
    ran = telex("models", "list", "--refresh", "-P", "lab")
    assert ran.code == 0
    assert ran.text == "lab/a\n"
    assert ran.err.count("could not be saved") == 1
    server.will(listing("a"), answer("Hello"))
    ran = telex("chat", "--no-save", "-m", "lab", "hi")
    assert (ran.code, ran.text, ran.err) == (0, "Hello\n", "")


@pytest.mark.parametrize("below", ["a-file", "/proc/nowhere"])
def test_a_home_that_cannot_be_made_is_one_warning(
    telex: Inside, server: Scripted, tmp_path: Path, below: str
) -> None:
    (tmp_path / "a-file").write_text("")
    env = {
        "TELEX_HOME": str(tmp_path / below / "home"),
        "TELEX_PROVIDERS": json.dumps({"t": {"base_url": server.url, "key": "none"}}),
    }
    server.will(listing("a"), answer("Hello"))
    ran = telex("chat", "-m", "t", "hi", env=env)
    assert (ran.code, ran.text) == (0, "Hello\n")
    assert ran.err.count("\n") == 1
    server.will(listing("a"))
    ran = telex("models", "list", "--refresh", "-P", "t", env=env)
    assert (ran.code, ran.text) == (0, "t/a\n")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_settings_that_may_not_be_read_are_one_warning_and_nothing_is_saved(
    telex: Inside, server: Scripted
) -> None:
    labs(telex, lab=server)
    telex.settings.chmod(0)
    server.will(answer("Hello"))
    env = {"TELEX_PROVIDERS": json.dumps({"t": {"base_url": server.url, "key": "none"}})}
    ran = telex("chat", "-m", "t/a", "hi", env=env)
    assert (ran.code, ran.text) == (0, "Hello\n")
    assert ran.err.count("\n") == 1
    assert not telex.paths.history.exists()
    telex.settings.chmod(0o600)


def test_only_models_that_chat_are_proposed(telex: Inside, server: Scripted) -> None:
    labs(telex, lab=server)
    server.will(listing("all-mpnet-base-v2", "qwen3-8b", "whisper-large"))
    assert telex("models", "list", "--refresh", "-P", "lab").text == "lab/qwen3-8b\n"
    for typed in ("all-mpnet-base-v1", "mpnet", "whisper-largo"):
        assert "mpnet" not in (ran := telex("chat", "-m", typed, "hi")).err.partition("\n")[2]
        assert (ran.code, "lab/whisper" in ran.err) == (3, False)
    assert "lab/qwen3-8b" in telex("chat", "-m", "qwen-8b", "hi").err


@pytest.mark.parametrize("when", ["1e400", "-1e30", "99999999999999999", "NaN", '"soon"'])
def test_a_list_of_an_impossible_time_is_not_believed(telex: Inside, server: Scripted, when: str) -> None:
    labs(telex, lab=server)
    keep(telex, "lab", "old")
    path = telex.paths.lists / "lab.json"
    path.write_text(re.sub(r'"fetched_at":[^,]*', f'"fetched_at":{when}', path.read_text()))
    assert "Not fetched yet: lab" in telex("models", "list", "-P", "lab").err
    server.will(listing("new"))
    assert telex("models", "list", "-P", "lab", "--refresh").text == "lab/new\n"
