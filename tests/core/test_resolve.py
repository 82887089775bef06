"""What a typed name means: cases over a small catalog, and properties over any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from provider_core.catalog import CachedModelList, Catalog, listing
from provider_core.errors import (
    LocalModelError,
    MissingKeyError,
    ModelError,
    NoModelError,
    NoProviderError,
    SettingsError,
    UnknownProviderError,
)
from provider_core.resolve import expand, resolve
from provider_core.types import Alias, Model, Provider

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def provider(name: str, *models: str, **fields: object) -> Provider:
    return Provider(
        name=name, base_url="http://127.0.0.1:1", models=tuple(Model(id=m) for m in models), **fields
    )  # type: ignore[arg-type]


def catalog(
    providers: Iterable[Provider],
    *,
    served: Mapping[str, tuple[Model, ...]] | None = None,
    aliases: Mapping[str, str] | None = None,
    without_key: Iterable[str] = (),
) -> Catalog:
    """A catalogue in memory; ``served`` is what the servers listed, by provider."""

    def load(of: Provider):  # type: ignore[no-untyped-def]
        models = (served or {}).get(of.name)
        return listing(of, CachedModelList(fetched_at=0, models=models) if models is not None else None)

    return Catalog(
        {p.name: p for p in providers},
        load=load,
        aliases={name: Alias(targets=(to,)) for name, to in (aliases or {}).items()},
        without_key=frozenset(without_key),
        not_set_up=["local"],
    )


def ids(*names: str) -> tuple[Model, ...]:
    return tuple(Model(id=name) for name in names)


HERE = catalog(
    (
        provider("lab", "tiny", "shared", default_model="tiny"),
        provider("work", "big", "shared", "org/model:free"),
        provider("bare"),
        provider("off", "hidden", "off/line", enabled=False),
        provider("lost", "mine-alone", "shared", "lent", key_env=("LOST_KEY",)),
        provider("gemini", preset="gemini", models_declared=False),
        provider("ollama", preset="ollama", models_declared=False),
        provider("groq", preset="groq", models_declared=False),
        provider("openrouter", preset="openrouter", models_declared=False),
        provider("files", models_declared=False),
        provider("spellings", models_declared=False),
        provider("embeds", models_declared=False),
        provider("chosen", "listed", default_model="not-listed"),
    ),
    served={
        "gemini": ids("models/gemini-3.8-flash", "models/gemini-embedding-001"),
        "ollama": ids("llama3.2:latest", "qwen3:8b", "hf.co/bartowski/Tiny-GGUF:Q4_K_M"),
        "groq": ids("groq/compound", "openai/gpt-oss-120b", "whisper-large-v3"),
        "openrouter": ids("openrouter/auto", "openai/gpt-oss-120b", "z-ai/glm-5.1", "lent"),
        "files": ids("/models/a.gguf", "models/7B/ggml-model.gguf"),
        "spellings": ids("Twin", "twin", "Only-One", "@cf/meta/llama", "accounts/a/models/b", "Ünïcode"),
        "embeds": (Model(id="nomic-embed", kind="embedding"), Model(id="chatty")),
    },
    aliases={
        "fast": "groq/openai/gpt-oss-120b",
        "quick": "fast",
        "here": "lab",
        "bare-alias": "big",
        "round": "about",
        "about": "round",
        "self": "self",
        "gone": "nowhere/at-all",
        "stale": "off/hidden",
        "work": "lab/tiny",
        "spaced": " work/big ",
        "a/b": "lab/tiny",
        "keyless": "mine-alone",
    },
    without_key=["lost"],
)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        # A full id.
        ("lab/tiny", "lab/tiny"), ("lab/never-heard-of", "lab/never-heard-of"),
        ("work/org/model:free", "work/org/model:free"), ("bare/anything/at:all", "bare/anything/at:all"),
        ("bare/@cf/meta/llama", "bare/@cf/meta/llama"), ("work/lab/tiny", "work/lab/tiny"),
        ("lab/ tiny", "lab/ tiny"), ("  lab/tiny\n", "lab/tiny"), ("lost/mine-alone", "lost/mine-alone"),
        ("lost/whatever", "lost/whatever"), ("groq/whisper-large-v3", "groq/whisper-large-v3"),
        ("files//models/a.gguf", "files//models/a.gguf"),
        ("spellings/@cf/meta/llama", "spellings/@cf/meta/llama"),
        ("spellings/accounts/a/models/b", "spellings/accounts/a/models/b"),
        ("ollama/hf.co/bartowski/Tiny-GGUF:Q4_K_M", "ollama/hf.co/bartowski/Tiny-GGUF:Q4_K_M"),
        # A full id in another spelling: the listed one is the answer.
        ("LAB/tiny", "lab/tiny"), ("Lab/TINY", "lab/tiny"),
        ("gemini/gemini-3.8-flash", "gemini/models/gemini-3.8-flash"),
        ("gemini/models/gemini-3.8-flash", "gemini/models/gemini-3.8-flash"),
        ("gemini/Gemini-3.8-Flash", "gemini/models/gemini-3.8-flash"),
        ("gemini/models/not-listed", "gemini/models/not-listed"),
        ("ollama/llama3.2", "ollama/llama3.2:latest"), ("ollama/qwen3:8b", "ollama/qwen3:8b"),
        ("ollama/qwen3", "ollama/qwen3"), ("work/models/big", "work/big"),
        ("files/7b/GGML-model.gguf", "files/models/7B/ggml-model.gguf"),
        ("spellings/ÜNÏCODE", "spellings/Ünïcode"),
        # Two listed spellings: each means itself, a third is taken as typed.
        ("spellings/Twin", "spellings/Twin"), ("spellings/twin", "spellings/twin"),
        ("spellings/TWIN", "spellings/TWIN"),
        # Ids that begin with their provider's own name.
        ("groq/compound", "groq/groq/compound"), ("groq/groq/compound", "groq/groq/compound"),
        ("openrouter/auto", "openrouter/openrouter/auto"),
        ("openrouter/openrouter/auto", "openrouter/openrouter/auto"),
        ("openrouter/z-ai/glm-5.1", "openrouter/z-ai/glm-5.1"),
        # A model alone.
        ("tiny", "lab/tiny"), ("big", "work/big"), ("BIG", "work/big"), ("org/model:free", "work/org/model:free"),
        ("z-ai/glm-5.1", "openrouter/z-ai/glm-5.1"),
        ("gemini-3.8-flash", "gemini/models/gemini-3.8-flash"),
        ("models/gemini-3.8-flash", "gemini/models/gemini-3.8-flash"),
        ("models/tiny", "lab/tiny"), ("llama3.2", "ollama/llama3.2:latest"),
        ("llama3.2:latest", "ollama/llama3.2:latest"), ("/models/a.gguf", "files//models/a.gguf"),
        ("only-one", "spellings/Only-One"), ("Twin", "spellings/Twin"),
        ("lent", "openrouter/lent"),  # the other one has no key
        ("nomic-embed", "embeds/nomic-embed"),
        # A provider alone.
        ("lab", "lab/tiny"), ("LAB", "lab/tiny"), ("lab/", "lab/tiny"), ("gemini", "gemini/models/gemini-3.8-flash"),
        ("ollama", "ollama/llama3.2:latest"), ("embeds", "embeds/chatty"), ("chosen", "chosen/not-listed"),
        ("lost", "lost/mine-alone"),
        # An alias.
        ("fast", "groq/openai/gpt-oss-120b"), ("quick", "groq/openai/gpt-oss-120b"), ("here", "lab/tiny"),
        ("bare-alias", "work/big"), ("spaced", "work/big"), ("work", "lab/tiny"), ("work/big", "work/big"),
    ],
)  # fmt: skip
def test_a_name_leads_to_its_provider_and_model(typed: str, expected: str) -> None:
    assert str(resolve(typed, HERE)) == expected


@pytest.mark.parametrize(
    ("typed", "error", "words"),
    [
        ("shared", ModelError, "2 models are called shared"), ("openai/gpt-oss-120b", ModelError, "2 models"),
        ("TWIN", ModelError, "2 models"),
        ("nothing-like-it", ModelError, r"nothing-like-it \(the models of 4 providers are not known yet\)"),
        ("a/b", ModelError, "unknown provider: a$"), ("", ModelError, "unknown model or alias: ''"),
        ("labb/x", UnknownProviderError, "unknown provider: labb$"),
        ("/", ModelError, "unknown model or alias: /"), ("fast/", ModelError, "unknown provider: fast$"),
        ("deepseek/deepseek-v4-flash", UnknownProviderError, "unknown provider: deepseek$"),
        ("deepseek", UnknownProviderError, "unknown provider: deepseek$"),
        ("DeepSeek/x", UnknownProviderError, "unknown provider: DeepSeek$"),
        ("off/hidden", ModelError, "off is disabled"), ("off", ModelError, "off is disabled"),
        ("hidden", ModelError, "off/hidden exists, but the provider off is disabled"),
        ("stale", ModelError, r"disabled \(the alias stale leads to it\)"),
        ("mine-alone", MissingKeyError, "no API key for lost"),
        ("keyless", MissingKeyError, "no API key for lost"), ("bare", NoModelError, "bare has no default model"),
        ("bare/", NoModelError, "bare has no default model"),
        ("round", ModelError, "the alias round refers to itself: round -> about -> round$"),
        ("self", ModelError, "refers to itself: self -> self$"),
        ("gone", ModelError, r"unknown provider: nowhere \(the alias gone leads to it\)"),
        (None, NoModelError, "no default model is set"),
        ("local", LocalModelError, "the embedded model is not installed"),
    ],
)  # fmt: skip
def test_a_name_that_leads_nowhere_says_why(typed: str | None, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        resolve(typed, HERE)


def test_a_model_without_its_key_names_the_variables_that_would_hold_it() -> None:
    with pytest.raises(MissingKeyError) as caught:
        resolve("mine-alone", HERE)
    assert caught.value.provider == "lost"
    assert caught.value.key_env == ("LOST_KEY",)


@pytest.mark.parametrize(
    ("typed", "candidates"),
    [
        ("shared", "lab/shared work/shared"),
        ("tinny", "lab/tiny spellings/Twin"),
        ("glm-5.1", "openrouter/z-ai/glm-5.1"),
        ("glm-5.2", "openrouter/z-ai/glm-5.1"),
        ("gemini-3.8", "gemini/models/gemini-3.8-flash"),
        ("gorq/openai/gpt-oss-120b", "groq/openai/gpt-oss-120b openrouter/openai/gpt-oss-120b"),
        ("orkw/anything", "work/anything"),
        ("orkw/", "work/big"),
        ("wen3", "ollama/qwen3:8b"),
        ("LLAMA3", "ollama/llama3.2:latest"),
        ("qwen", "ollama/qwen3:8b"),
        ("azure", ""),  # a preset is meant
        ("hiden", ""),  # the similar one is disabled
        ("mine-alonee", ""),  # and this one has no key
    ],
)
def test_an_error_lists_the_models_that_may_be_meant(typed: str, candidates: str) -> None:
    with pytest.raises(ModelError) as caught:
        resolve(typed, HERE)
    assert " ".join(caught.value.candidates) == candidates
    assert not isinstance(caught.value, UnknownProviderError) or caught.value.preset is (
        typed in ("qwen", "azure")
    )


LOCAL = provider("local", "small", embedded=True, models_declared=False)
OFF = provider("off", "x", enabled=False)
ONE, TWO, BARE = provider("one", "a"), provider("two", "b"), provider("none")
CASES = [provider("Lab", "Model"), provider("lab", "model")]


@pytest.mark.parametrize(
    ("typed", "providers", "without_key", "expected"),
    [
        (None, [provider("lab", "tiny"), OFF], [], "lab/tiny"),
        (None, [ONE, TWO], ["one"], "two/b"), (None, [ONE], ["one"], "one/a"), (None, [LOCAL], [], "local/small"),
        (None, [LOCAL, ONE], [], "one/a"), ("small", [LOCAL, ONE], [], "local/small"),
        ("model", CASES, [], "lab/model"), ("Model", CASES, [], "Lab/Model"), ("Lab", CASES, [], "Lab/Model"),
        ("lab", CASES, [], "lab/model"),
        ("MODEL", CASES, [], (ModelError, ("Lab/Model", "lab/model"))),
        (None, [ONE, TWO, BARE], [], (NoModelError, ("one/a", "two/b", "none"))),
        ("lab/tiny", [], [], (NoProviderError, ())),
    ],
)  # fmt: skip
def test_few_providers_need_few_names(
    typed: str | None, providers: list[Provider], without_key: list[str], expected: Any
) -> None:
    try:
        found: Any = str(resolve(typed, catalog(providers, without_key=without_key)))
    except ModelError as error:
        found = (type(error), error.candidates)
    assert found == expected


@pytest.mark.parametrize(
    ("entry", "typed", "needs_it"),
    [
        ("providers.Bad", "bad/m", True), ("providers.Bad", "BAD", True), ("providers.Bad", "lab/tiny", False),
        ("aliases.x", "x", True), ("aliases.x", "x/y", False), ("aliases.x", "lab/x", False),
        ("providers", "lab/tiny", True), ("providers", "local/small", False), ("model", "lab/tiny", False),
    ],
)  # fmt: skip
def test_an_invalid_entry_is_an_error_for_the_names_that_need_it(
    entry: str, typed: str, needs_it: bool
) -> None:
    providers = {"lab": provider("lab", "tiny"), "local": LOCAL}
    problem = SettingsError("invalid")
    found = Catalog(providers, load=lambda of: listing(of, None), problems={entry: problem})
    outcome = None
    try:
        resolve(typed, found)
    except (SettingsError, ModelError) as error:
        outcome = error
    assert (outcome is problem) is needs_it


@pytest.mark.parametrize(("keys", "chosen"), [("one", "one/a"), ("one two", None), ("", "local/small")])
def test_without_a_provider_the_only_key_of_the_environment_decides(keys: str, chosen: str | None) -> None:
    providers = {each.name: each for each in (LOCAL, ONE, TWO) if each.name in ("local", *keys.split())}
    found = Catalog(providers, load=lambda of: listing(of, None), not_set_up=["local", "one", "two"])
    if chosen is not None:
        assert str(resolve(None, found)) == chosen
        return
    with pytest.raises(NoProviderError, match="keys for several") as caught:
        resolve(None, found)
    assert caught.value.candidates == ("one", "two")


def test_a_full_id_reads_one_list_and_no_other() -> None:
    read: list[str] = []

    def load(of: Provider):  # type: ignore[no-untyped-def]
        read.append(of.name)
        return listing(of, None)

    many = Catalog({name: provider(name, "m") for name in ("a", "b", "c")}, load=load)
    resolve("b/m", many)
    assert read == ["b"]


# --- over any catalogue ------------------------------------------------------------------------------------

names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,6}[A-Za-z0-9])?", fullmatch=True)
model_ids = st.text(
    st.sampled_from("abAB01/:-._@ é中") | st.characters(exclude_categories=["C", "Z"]),
    min_size=1,
    max_size=12,
).filter(lambda text: text.strip() == text)


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    made: list[Provider] = []
    served: dict[str, tuple[Model, ...]] = {}
    for name in draw(st.lists(names, unique=True, min_size=1, max_size=4)):
        own = tuple(Model(id=i) for i in draw(st.lists(model_ids, unique=True, max_size=3)))
        made.append(Provider(name=name, models=own, enabled=draw(st.booleans())))
        if draw(st.booleans()):
            served[name] = tuple(Model(id=i) for i in draw(st.lists(model_ids, unique=True, max_size=4)))
    aliases = draw(st.dictionaries(names | model_ids, names | model_ids, max_size=3))
    lacking = draw(st.sets(st.sampled_from([p.name for p in made])))
    return catalog(made, served=served, aliases=aliases, without_key=lacking)


@given(catalogs())
def test_a_listed_id_resolves_to_itself(found: Catalog) -> None:
    for usable in found.usable:
        for model in found.listing(usable.name).models:
            full = f"{usable.name}/{model.id}"
            assert str(resolve(full, found)) == full


@given(catalogs(), st.data())
def test_adding_a_provider_never_changes_what_a_full_id_means(found: Catalog, data: st.DataObject) -> None:
    new = data.draw(names)
    assume(new not in found.providers)
    added = Provider(name=new, models=tuple(Model(id=i) for i in data.draw(st.lists(model_ids, max_size=3))))
    more = Catalog(
        {**found.providers, new: added},
        load=lambda of: listing(of, None) if of.name == new else found.listing(of.name),
        aliases=found.aliases,
        without_key=found.without_key,
    )
    known = data.draw(st.sampled_from(sorted(found.providers)))
    listed = [model.id for model in found.listing(known).models]
    model = data.draw(st.sampled_from(listed) | model_ids if listed else model_ids)
    assert _outcome(f"{known}/{model}", more) == _outcome(f"{known}/{model}", found)


@given(catalogs(), st.none() | names | model_ids | st.text(max_size=20))
def test_any_name_gives_a_target_or_one_clean_error(found: Catalog, typed: str | None) -> None:
    outcome = _outcome(typed, found)
    assert outcome == _outcome(typed, found)
    if "/" in outcome and not outcome.startswith("!"):
        assert outcome.partition("/")[0] in found.providers


def _outcome(typed: str | None, found: Catalog) -> str:
    try:
        return str(resolve(typed, found))
    except (ModelError, MissingKeyError) as error:
        return f"!{type(error).__name__} {error.message}"


def test_the_targets_of_an_alias_are_expanded_in_order_and_once() -> None:
    doubled = {f"a{n}": Alias(targets=(f"a{n + 1}", f"a{n + 1}", "lab/x")) for n in range(60)}
    aliases = {**doubled, "a60": Alias(targets=("lab/m", " work/big "))}
    found = expand("a0", aliases)
    assert [name.name for name in found] == ["lab/m", "work/big", "lab/x"]
    assert found[0].aliases == tuple(f"a{n}" for n in range(61))
    with pytest.raises(ModelError, match="a0 refers to itself: a0 -> a1 -> a0"):
        expand("a0", {"a0": Alias(targets=("lab/m", "a1")), "a1": Alias(targets=("a0",))})
    chain = {f"a{n}": Alias(targets=(f"a{n + 1}",)) for n in range(5000)}
    with pytest.raises(ModelError, match="the alias a0 leads through more than 100 others"):
        expand("a0", chain)
