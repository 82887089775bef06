"""``telex models``: what is listed, when servers are asked, and how models are named, declared and shown."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from inprocess import Inside
from listings import as_html, as_json, listing
from scripted import Answer, Scripted, answer

from provider_core import catalog
from provider_core.catalog import CachedModelList
from provider_core.settings import load
from provider_core.types import Model

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-canary-0123456789abcdef"
LAB = '[providers.lab]\nbase_url = "http://127.0.0.1:9/v1"\nkey = "none"\n'
THREE = f"""
model = "lab/b"
{LAB}display_name = "The Lab"
models = ["b", {{id = "a", context = 5000, tools = true}}]

[providers.groq]
preset = "groq"

[providers.off]
base_url = "http://127.0.0.1:9/v1"
key = "none"
enabled = false
models = ["x"]
"""


@pytest.fixture
def telex(tmp_path: Path) -> Inside:
    return Inside(tmp_path / "home")


def configure(telex: Inside, *names: str, url: str = "http://127.0.0.1:9", more: str = "") -> None:
    text = "".join(f'[providers.{name}]\nbase_url = "{url}"\nkey = "none"\n' for name in names)
    telex.configure(text + more)


def cache(telex: Inside, name: str, *models: Model | str, age: float = 0) -> None:
    """Cache a list as if the server had sent it ``age`` seconds ago."""
    provider = load(telex.paths, telex.env).providers[name]
    made = tuple(m if isinstance(m, Model) else Model(id=m) for m in models)
    assert catalog.write_cached(telex.paths.lists, provider, CachedModelList.of(made, time.time() - age))


def listed(telex: Inside, *arguments: str, **options: Any) -> list[str]:
    """The lines of ``models list``, without the embedded model."""
    ran = telex("models", "list", *arguments, **options)
    assert ran.code == 0, ran.err
    return [line for line in ran.text.splitlines() if not line.startswith("local/")]


def rows(telex: Inside, *arguments: str) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in json.loads(telex("models", "list", "--json", *arguments).out)}


def chat(telex: Inside, *arguments: str, **options: Any) -> Any:
    return telex("chat", "--no-stdin", *arguments, "hi", **options)


def models_then_answer(models: Answer) -> Any:
    return lambda asked: models if asked.path.endswith("/models") else Answer(answer("ok"))


# --- list ----------------------------------------------------------------------------------------------------


def test_enabled_providers_with_a_key_are_listed(telex: Inside) -> None:
    telex.configure(THREE)
    assert listed(telex) == ["lab/b", "lab/a"]
    found = listed(telex, env={"GROQ_API_KEY": KEY})
    assert found[:2] == ["lab/b", "lab/a"]
    assert "groq/openai/gpt-oss-120b" in found
    assert not [name for name in found if name.startswith("off/")]


def test_json_has_all_that_is_known_and_marks_estimates(telex: Inside) -> None:
    telex.configure(THREE)
    cache(telex, "lab", Model(id="a", context=9999, vision=True), "m-10", "m-9",
          Model(id="step-1-32k", name="The X", max_output=2048, reasoning=False))  # fmt: skip
    assert listed(telex) == ["lab/b", "lab/a", "lab/m-9", "lab/m-10", "lab/step-1-32k"]
    found = rows(telex)
    assert found["lab/step-1-32k"] == {
        "id": "lab/step-1-32k", "provider": "lab", "model": "step-1-32k", "name": "The X", "kind": "chat",
        "context": 32768, "context_estimated": True, "max_output": 2048, "max_output_estimated": False,
        "reasoning": False, "reasoning_levels": [], "tools": None, "vision": None, "price": None,
        "price_source": None, "source": "server", "default": False, "global_default": False,
    }  # fmt: skip
    assert (found["lab/b"]["default"], found["lab/b"]["context"]) == (True, None)
    assert [found["lab/a"][key] for key in ("context", "vision", "tools", "source")] == [
        5000,
        True,
        True,
        "user",
    ]


def test_models_that_do_not_chat_are_hidden_but_can_be_named(telex: Inside, server: Scripted) -> None:
    configure(telex, "lab", url=server.url)
    cache(telex, "lab", "chatty", Model(id="embedder", kind="embedding"), Model(id="tts", kind="speech"))
    assert listed(telex) == ["lab/chatty"]
    assert listed(telex, "--all") == ["lab/chatty", "lab/embedder", "lab/tts"]
    assert rows(telex, "--all")["lab/tts"]["kind"] == "speech"
    server.will(answer("yes"))
    assert chat(telex, "-m", "embedder").out == b"yes\n"
    suggested = chat(telex, "-m", "embeddr").err.partition("\n")[2]
    assert "embedder" not in suggested
    configure(telex, "lab", more='models = ["my-embed-chat"]\n')
    assert listed(telex) == ["lab/my-embed-chat"]  # a declared model is never hidden


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-P", "lab"], ["lab/Qwen3-8b", "lab/llama"]),
        (["--provider", "work", "-P", "lab"], ["lab/Qwen3-8b", "lab/llama", "work/qwen3:30b"]),
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
    configure(telex, "lab", "work", more='display_name = "The House"\n')
    animal = Model(id="llama", name="A large Animal", vision=True)
    cache(telex, "lab", Model(id="Qwen3-8b", tools=True), animal)
    cache(telex, "work", Model(id="qwen3:30b", tools=True, reasoning=True, vision=False))
    ran = telex("models", "list", *arguments)
    assert (ran.code, ran.text.split()) == (0, expected)
    assert ran.err.startswith("No model matches.\n") == (not expected)
    assert len(json.loads(telex("models", "list", "--json", *arguments).out)) == len(expected)


def test_unusable_and_unknown_providers_are_explained(telex: Inside) -> None:
    telex.configure(THREE)
    ran = telex("models", "list", "-P", "groq", "-P", "off")
    assert (ran.code, ran.out) == (0, b"")
    assert "groq has no key: set GROQ_API_KEY, or telex providers set-key groq" in ran.err
    assert "off is disabled: telex providers edit off --enable" in ran.err
    assert telex("models", "list", "-P", "groq", "--json").out == b"[]\n"
    ran = telex("models", "list", "-P", "lap")
    assert ran.code == 3
    assert "unknown provider: lap" in ran.err
    assert "Did you mean lab?" in ran.err


def test_lists_that_are_old_or_were_never_fetched_are_named(telex: Inside) -> None:
    configure(telex, "new", "old", "never")
    cache(telex, "new", "a")
    cache(telex, "old", "b", age=3 * 86_400 + 5)
    ran = telex("models", "list")
    assert {"new/a", "old/b"} <= set(ran.text.split())
    note = "Not fetched yet: never. Fetched long ago: old (3 days)."
    assert ran.err == f"{note} To ask the servers: telex models list --refresh\n"
    assert "old (3 days)" not in telex("models", "list", env={"TELEX_MODELS_LIFETIME": "999999"}).err


# --- list --refresh ------------------------------------------------------------------------------------------


def test_servers_are_asked_only_with_refresh_and_only_those_named(telex: Inside, server: Scripted) -> None:
    server.will(listing("a"))
    with Scripted() as other:
        configure(
            telex, "lab", url=server.url, more=f'[providers.other]\nbase_url = "{other.url}"\nkey = "none"\n'
        )
        assert listed(telex) == []
        assert server.connections == 0
        assert listed(telex, "--refresh", "-P", "lab") == ["lab/a"]
        assert listed(telex) == ["lab/a"]
        assert (len(server.asked), other.connections) == (1, 0)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (as_json({"error": {"message": "gone fishing"}}, 500), "gone fishing"),
        (as_json({"detail": "Not Found"}, 404), "404"),
        (as_html("<html><title>Jan</title></html>"), "a web page"),
        (as_json({"error": {"message": "bad key"}}, 401), "requires an API key"),
    ],
    ids=["500", "404", "html", "401"],
)
def test_failed_refresh_keeps_the_old_list_and_reports_it(
    telex: Inside, server: Scripted, reply: Answer, words: str
) -> None:
    configure(telex, "lab", url=server.url)
    cache(telex, "lab", "old-one", age=7200)
    server.will(reply)
    ran = telex("models", "list", "--refresh", "-P", "lab")
    assert (ran.code, ran.out) == (4 if words == "requires an API key" else 0, b"lab/old-one\n")
    assert words in ran.err
    assert "Its list of 2 hours ago is unchanged." in ran.err


@pytest.mark.parametrize(
    ("statuses", "code"), [((500,), 6), ((401,), 4), ((500, 500), 6), ((500, 401), 1), ((500, 200), 0)]
)
def test_refresh_without_any_list_exits_with_the_errors_code(
    telex: Inside, server: Scripted, statuses: tuple[int, ...], code: int
) -> None:
    server.will(lambda asked: as_json({"data": []}, statuses[int(asked.path.split("/")[2])]))
    text = '[providers.p{0}]\nbase_url = "{1}/{0}"\nkey = "none"\nmodels = ["m"]\n'
    telex.configure("".join(text.format(at, server.url) for at in range(len(statuses))))
    ran = telex("models", "list", "--refresh")
    assert ran.code == code, ran.err
    assert "p0/m" in ran.text
    cache(telex, "p0", "old")
    assert telex("models", "list", "--refresh").code == (4 if statuses == (401,) else 0)


@pytest.mark.parametrize("status", [200, 404, 405, 501])
def test_server_without_a_list_has_no_models(telex: Inside, server: Scripted, status: int) -> None:
    configure(telex, "lab", url=server.url)
    server.will(as_json({"object": "list", "data": None}, status))
    for arguments in (["--refresh"], []):
        ran = telex("models", "list", *arguments, "-P", "lab")
        assert (ran.code, ran.out) == (0, b"")
        assert ran.err == "No model is known. To declare one: telex models add lab ID\n"


# --- naming a model ------------------------------------------------------------------------------------------


def test_provider_alone_means_the_first_model_of_a_current_list(telex: Inside, server: Scripted) -> None:
    configure(telex, "lab", url=server.url, more='[aliases]\nfast = "lab/old"\n')
    server.will(models_then_answer(listing("first", "second")))
    for typed, requests in ((["-m", "lab"], 2), (["-m", "lab"], 1)):
        server.asked.clear()
        assert chat(telex, *typed).out == b"ok\n"
        assert (len(server.asked), server.asked[-1].body["model"]) == (requests, "first")
    cache(telex, "lab", "old", age=2 * 86_400)
    for typed, requests in ((["-m", "lab/old"], 1), (["-m", "old"], 1), (["-m", "fast"], 1), ([], 2)):
        server.asked.clear()
        assert chat(telex, *typed).code == 0
        assert len(server.asked) == requests
    assert server.asked[-1].body["model"] == "first"
    cache(telex, "lab", "old", age=2 * 86_400)
    server.will(models_then_answer(as_json({}, 500)))
    assert chat(telex, "-m", "lab").code == 0
    assert server.asked[-1].body["model"] == "old"


@pytest.mark.parametrize(
    ("reply", "code", "words"),
    [
        (as_json({"detail": "Not Found"}, 404), 3, "lab has no default model, and none is listed for it\n"),
        (as_html("<html>"), 3, "a web page"),
        (as_json({"data": []}), 3, "lab has no default model"),
        (as_json({"error": {"message": "no read"}}, 403), 3, "no read"),
        (as_json({"error": {"message": "wrong"}}, 401), 4, "requires an API key"),
    ],
    ids=["404", "html", "empty", "403", "401"],
)
def test_provider_alone_without_a_list_needs_a_model(
    telex: Inside, server: Scripted, reply: Answer, code: int, words: str
) -> None:
    configure(telex, "lab", url=server.url)
    server.will(models_then_answer(reply))
    ran = chat(telex, "-m", "lab")
    assert ran.code == code
    assert words in ran.err
    advice = "Name one: telex chat -m lab/MODEL, or for always: telex providers edit lab"
    assert (advice in ran.err) == (code == 3)
    assert chat(telex, "-m", "lab/any").out == b"ok\n"


def test_unusable_default_names_its_source(telex: Inside) -> None:
    telex.configure(f'model = "gone/x"\n{LAB}')
    ran = chat(telex)
    assert ran.code == 3
    assert "(the default model, gone/x, is from the settings)" in ran.err
    ran = chat(telex, env={"TELEX_MODEL": "there/y"})
    assert "(the default model, there/y, is from TELEX_MODEL)" in ran.err
    assert "default model" not in chat(telex, "-m", "gone/z").err
    ran = chat(telex, "-m", "lab")
    assert ran.code == 7
    assert "Is the server running at http" in ran.err


# --- add, edit, remove ---------------------------------------------------------------------------------------


def declared(telex: Inside) -> tuple[Model, ...]:
    provider = load(telex.paths, {}).providers["lab"]
    return provider.models if provider.models_declared else ()


def test_declared_facts_override_the_servers(telex: Inside) -> None:
    telex.configure(LAB)
    cache(telex, "lab", Model(id="org/new:1", context=999), Model(id="a", context=999, tools=True))
    ran = telex("models", "add", "lab", "org/new:1", "--name", "New", "--context", "4096", "--max-output", "512",
                "--reasoning", "--tools", "--no-vision")  # fmt: skip
    assert ran.code == 0, ran.err
    assert 'Try: telex chat -m lab/org/new:1 "Hello"' in ran.err
    row = rows(telex)["lab/org/new:1"]
    assert [row[key] for key in ("name", "context", "max_output", "source")] == ["New", 4096, 512, "user"]
    assert (row["reasoning"], row["tools"], row["vision"]) == (True, True, False)
    assert telex("models", "edit", "lab", "a", "--context", "4096").code == 0
    row = rows(telex)["lab/a"]
    assert (row["context"], row["tools"], row["source"]) == (4096, True, "user")


# --- alias, default, show ------------------------------------------------------------------------------------


def test_alias_is_set_shown_used_and_removed(telex: Inside, server: Scripted) -> None:
    configure(telex, "lab", url=server.url)
    cache(telex, "lab", "org/a:1")
    server.will(answer("ok"))
    assert telex("models", "alias", "fast", "lab/org/a:1").err == "fast means lab/org/a:1.\n"
    assert chat(telex, "-m", "fast").code == 0
    assert server.asked[-1].body["model"] == "org/a:1"
    assert chat(telex, env={"TELEX_MODEL": "fast"}).code == 0
    assert telex("models", "alias").text == "fast\tlab/org/a:1\n"
    assert telex("models", "alias", "fast").text == "lab/org/a:1\n"
    assert telex("models", "alias", "fast", "lab/other").err == "fast means lab/other (it was lab/org/a:1).\n"
    assert telex("models", "alias", "quick", "fast").err == "quick means fast.\n"
    loop = telex("models", "alias", "fast", "quick")
    assert loop.code == 3
    assert "the alias fast refers to itself: fast -> quick -> fast" in loop.err
    for name in ("quick", "fast"):
        assert telex("models", "alias", "--remove", name).code == 0
    assert telex("models", "alias").out == b""
    assert "aliases" not in telex.settings.read_text()
    assert chat(telex, "-m", "fast").code == 3


def test_saved_name_of_a_model_gets_its_provider(telex: Inside) -> None:
    telex.configure(f"# mine\n\n{LAB}")
    cache(telex, "lab", "m")
    for name, saved in (("M", "lab/m"), ("lab", "lab"), ("lab/b", "lab/b")):
        telex("models", "alias", "fast", name)
        telex("models", "default", name)
        settings = load(telex.paths, {})
        assert (str(settings.aliases["fast"]), settings.model) == (saved, saved)
    telex("models", "default", "fast")
    assert load(telex.paths, {}).model == "fast"
    assert telex.settings.read_text().startswith("# mine\n")


@pytest.mark.parametrize("command", ["edit", "add"])
def test_change_of_one_model_does_not_make_it_the_default(telex: Inside, command: str) -> None:
    configure(telex, "lab")
    cache(telex, "lab", "a", "b")
    for model in ("b", "a"):
        assert telex("models", command, f"lab/{model}", "--price-in", "1").code == 0
        assert telex("models", "default").text == "lab/a\n"
    configure(telex, "lab")
    assert telex("models", command, "lab/a", "--price-in", "1").code == 0
    assert telex("models", "show", "lab").text.startswith("lab/a\n")
    assert "default_model" not in telex.settings.read_text()


def test_default_is_shown_as_the_model_that_it_means(telex: Inside) -> None:
    telex.configure(f'{LAB}models = ["a", "b"]\n')
    assert telex("models", "default").text == "lab/a\n"  # the only provider
    assert telex("models", "default", "lab/b").err == "The default model is lab/b.\n"
    assert telex("models", "default").text == "lab/b\n"
    assert telex("models", "default", env={"TELEX_MODEL": "a"}).text == "lab/a\n"
    note = telex("models", "default", "lab/a", env={"TELEX_MODEL": "b"}).err
    assert "TELEX_MODEL is set to b, which overrides it." in note
    assert telex("models", "default", "--unset").code == 0
    assert load(telex.paths, {}).model is None


def test_show_has_what_is_known_and_marks_estimates(telex: Inside) -> None:
    telex.configure(f'{THREE}\n[aliases]\nfast = "lab/a"\n')
    text = telex("models", "show", "fast").text
    assert text.splitlines()[0] == "lab/a"
    for fact in ("The Lab, http://127.0.0.1:9/v1", "your settings", "5,000 tokens", "tools          yes"):
        assert fact in text
    assert json.loads(telex("models", "show", "a", "--json").out)["context"] == 5000
    text = telex("models", "show", "lab/step-1-32k").text
    assert "~32.8k tokens, as other providers have it" in text
    assert "no list; the name is sent unchanged" in text
    shown = json.loads(telex("models", "show", "lab/step-1-32k", "--json").out)
    assert (shown["context_estimated"], shown["source"]) == (True, None)
    ran = telex("models", "show", "groq")
    assert ran.code == 0
    assert "none: set GROQ_API_KEY, or telex providers set-key groq" in ran.text
    assert "reasoning      yes" in ran.text


# --- files ---------------------------------------------------------------------------------------------------


def test_cache_that_cannot_be_written_is_one_warning(telex: Inside, server: Scripted) -> None:
    configure(telex, "lab", url=server.url)
    telex.paths.cache.parent.mkdir(parents=True, exist_ok=True)
    telex.paths.cache.write_text("a file where the folder should be")
    server.will(listing("a"))
    ran = telex("models", "list", "--refresh", "-P", "lab")
    assert (ran.code, ran.text) == (0, "lab/a\n")
    assert ran.err.count("could not be saved") == 1
    server.will(listing("a"), answer("Hello"))
    ran = telex("chat", "--no-save", "-m", "lab", "hi")
    assert (ran.code, ran.text, ran.err) == (0, "Hello\n", "")


@pytest.mark.parametrize("below", ["a-file", "/proc/nowhere"])
def test_home_that_cannot_be_created_is_one_warning(
    telex: Inside, server: Scripted, tmp_path: Path, below: str
) -> None:
    (tmp_path / "a-file").touch()
    env = {
        "TELEX_HOME": str(tmp_path / below / "home"),
        "TELEX_PROVIDERS": json.dumps({"t": {"base_url": server.url, "key": "none"}}),
    }
    server.will(listing("a"), answer("Hello"))
    ran = telex("chat", "-m", "t", "hi", env=env)
    assert (ran.code, ran.text, ran.err.count("\n")) == (0, "Hello\n", 1)
    server.will(listing("a"))
    ran = telex("models", "list", "--refresh", "-P", "t", env=env)
    assert (ran.code, ran.text) == (0, "t/a\n")
