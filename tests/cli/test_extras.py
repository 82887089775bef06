"""Sources, images and further choices of an answer, in every format and in the history."""

from __future__ import annotations

import base64
import json
import stat
from typing import TYPE_CHECKING, Any

import pytest
from inprocess import Inside
from scripted import DONE, Answer, delta, sse

if TYPE_CHECKING:
    from pathlib import Path

    from scripted import Scripted

BYTES = b"\x89PNG\r\n\x1a\n0000"
URL = f"data:image/png;base64,{base64.b64encode(BYTES).decode()}"
EVIL = "Tit\x1b[31mle\nSources:\u202e"
SOURCES = {
    "citations": ["https://a.test/", "https://b.test/"],
    "search_results": [{"url": "https://b.test/", "title": EVIL}],
}
TEXT = delta("As said[1][2].", finish="stop")
STOP = delta(finish="stop")


@pytest.fixture
def lab(tmp_path: Path, server: Scripted) -> Inside:
    telex = Inside(tmp_path / "home")
    telex.configure(f'[providers.lab]\nbase_url = "{server.url}"\nkey = "none"\n')
    return telex


def chat(telex: Inside, *options: str) -> Any:
    return telex("chat", "-m", "lab/m", "--no-stdin", *options, "hi")


def test_sources_are_listed_on_stderr_with_the_numbers_of_the_text(lab: Inside, server: Scripted) -> None:
    server.will(sse({**TEXT, **SOURCES}, DONE))
    ran = chat(lab)
    assert (ran.code, ran.out) == (0, b"As said[1][2].\n")
    lines = ran.err.splitlines()
    assert lines[:2] == ["Sources:", "[1] https://a.test/"]
    assert lines[2].startswith("[2] Tit")
    assert len(lines) == 3
    assert "\x1b" not in ran.err
    assert "\u202e" not in ran.err
    assert chat(lab, "-q").err == ""


def test_sources_are_in_json_and_jsonl_and_in_the_history(lab: Inside, server: Scripted) -> None:
    server.will(sse({**TEXT, **SOURCES}, DONE))
    found = [{"url": "https://a.test/", "title": None}, {"url": "https://b.test/", "title": EVIL}]
    assert json.loads(chat(lab, "--json").out)["sources"] == found
    events = [json.loads(line) for line in chat(lab, "--jsonl").out.splitlines()]
    assert [event["sources"] for event in events if event["type"] == "sources"] == [found]
    shown = json.loads(lab("history", "show", "--json").out)
    assert shown["transcript"][-1]["sources"] == found
    assert b"[1] https://a.test/" in lab("history", "show").out


def test_web_search_is_requested_and_its_sources_are_listed(lab: Inside, server: Scripted) -> None:
    lab.provider("router", server.url, preset="openrouter")
    cited = {"type": "url_citation", "url_citation": {"url": "https://a.test/", "title": "A"}}
    server.will(sse(delta("They did.", annotations=[cited]), STOP, DONE))
    for arguments in (("--web",), ("--template", "news")):
        (lab.paths.templates).mkdir(parents=True, exist_ok=True)
        (lab.paths.templates / "news.toml").write_text("web = true")
        ran = lab("chat", "-m", "router/m", *arguments, "Who won?")
        assert (ran.code, ran.out) == (0, b"They did.\n")
        assert ran.err == "Sources:\n[1] A: https://a.test/\n"
        assert server.asked[-1].body["plugins"] == [{"id": "web"}]
    assert lab("chat", "-m", "router/m", "Who won?").code == 0
    assert "plugins" not in server.asked[-1].body


def test_web_search_is_refused_before_stdin_is_read_with_providers_that_have_one(
    lab: Inside, server: Scripted
) -> None:
    lab.provider("router", server.url, preset="openrouter")
    lab.configure(f'[aliases]\nplain = "lab/m"\n{lab.settings.read_text()}')
    for name in ("lab/m", "plain"):
        ran = lab("chat", "--web", "-m", name, stdin=b"\xff")
        assert ran.code == 2
        assert ran.err.startswith(
            "telex: lab/m has no web search that telex can turn on. Providers that are set up and have one: router\n"
        )
    assert server.asked == []


def test_web_search_of_an_alias_skips_models_without_one(lab: Inside, server: Scripted) -> None:
    lab.provider("router", server.url, preset="openrouter")
    aliases = '[aliases.news]\ntargets = ["lab/m", "router/m"]\nweb = true\n'
    lab.configure(f"{aliases}\n{lab.settings.read_text()}")
    server.will(sse(delta("They did."), STOP, DONE))
    ran = lab("chat", "-m", "news", "Who won?")
    assert (ran.code, ran.out) == (0, b"They did.\n"), ran.err
    assert [asked.body["plugins"] for asked in server.asked] == [[{"id": "web"}]]


def test_web_search_that_the_server_refuses_is_an_error(lab: Inside, server: Scripted) -> None:
    lab.provider("router", server.url, preset="openrouter")
    refusal = b'{"error": {"message": "Unknown parameter: plugins", "param": "plugins"}}'
    server.will(Answer([refusal], 400, {"content-type": "application/json"}))
    ran = lab("chat", "--web", "-m", "router/m", "Who won?")
    assert ran.code == 6
    assert "Unknown parameter: plugins" in ran.err
    assert len(server.asked) == 1


def test_an_image_without_text_is_reported_and_saved(lab: Inside, server: Scripted, tmp_path: Path) -> None:
    server.will(sse(delta("", images=[{"type": "image_url", "image_url": {"url": URL}}]), STOP, DONE))
    ran = chat(lab)
    assert (ran.code, ran.out) == (0, b"")
    assert "1 image:\n- PNG, 12 bytes" in ran.err
    folder = tmp_path / "a" / "images"
    folder.parent.mkdir()
    (tmp_path / "outside").write_text("mine")
    folder.mkdir()
    (folder / "image-1.png").symlink_to(tmp_path / "outside")
    for name in ("image-2.png", "image-3.png"):
        found = json.loads(chat(lab, "--save-images", str(folder), "--json").out)
        path = folder / name
        assert found["images"] == [
            {"media_type": "image/png", "bytes": 12, "url": URL, "file": str(path), "error": None}
        ]
        assert path.read_bytes() == BYTES
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (tmp_path / "outside").read_text() == "mine"
    assert f"saved to {folder}" in chat(lab, "--save-images", str(folder)).err
    shown = json.loads(lab("history", "show", "--json").out)["transcript"][-1]
    assert shown["images"][0]["url"] == URL
    kept = tmp_path / "kept"
    assert b"1 image:" in lab("history", "show", "--save-images", str(kept)).out
    assert [file.read_bytes() for file in kept.iterdir()] == [BYTES]


def test_a_folder_that_cannot_be_used_is_an_error_before_the_request(
    lab: Inside, server: Scripted, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    ran = chat(lab, "--save-images", str(tmp_path / "file"))
    assert (ran.code, server.asked) == (2, [])
    assert ran.err.startswith(f"telex: cannot write to {tmp_path}/file (--save-images): File exists\n")


def test_an_image_that_fills_the_disk_leaves_no_file(lab: Inside, server: Scripted, tmp_path: Path) -> None:
    server.will(sse(delta("", images=[{"type": "image_url", "image_url": {"url": URL}}]), STOP, DONE))
    chat(lab)
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))  # of each file, as a full disk
    try:
        ran = lab("history", "show", "--save-images", str(tmp_path / "images"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert ran.code == 1
    assert list((tmp_path / "images").iterdir()) == []


def test_links_and_broken_images_are_reported(lab: Inside, server: Scripted) -> None:
    images = ["https://x.test/\x1b[31ma.png", {"image_url": {"url": "data:image/png;base64,!!!!"}}]
    server.will(sse(delta("Here.", images=images), STOP, DONE))
    ran = chat(lab)
    assert (ran.code, ran.out) == (0, b"Here.\n")
    assert "2 images:" in ran.err
    assert "not downloaded: https://x.test/" in ran.err
    assert "cannot be read: not valid base64" in ran.err
    assert "\x1b" not in ran.err


def test_further_choices_and_log_probabilities_are_in_json_and_otherwise_noted(
    lab: Inside, server: Scripted
) -> None:
    def choice(index: int) -> Any:
        probs = {"content": [{"token": "x", "logprob": -0.5}]}
        made = {
            "index": index,
            "delta": {"content": f"answer {index}"},
            "finish_reason": "stop",
            "logprobs": probs,
        }
        return {"choices": [made]}

    server.will(sse(choice(0), choice(1), choice(2), DONE))
    found = json.loads(chat(lab, "-p", "n=3", "--json").out)
    assert (found["text"], [other["text"] for other in found["choices"]]) == (
        "answer 0",
        ["answer 1", "answer 2"],
    )
    assert (
        found["logprobs"] == found["choices"][0]["logprobs"] == {"content": [{"token": "x", "logprob": -0.5}]}
    )
    ran = chat(lab, "-p", "n=3")
    assert ran.out == b"answer 0\n"
    assert "2 more answers" in ran.err
    end = json.loads(chat(lab, "-p", "n=3", "--jsonl").out.splitlines()[-1])
    assert (len(end["choices"]), end["logprobs"]) == (2, found["logprobs"])


def test_a_broken_image_without_text_exits_6(lab: Inside, server: Scripted) -> None:
    server.will(sse(delta("", images=["data:image/png;base64,!!!!"]), STOP, DONE))
    ran = chat(lab)
    assert ran.code == 6
    assert "cannot be read" in ran.err
