"""What an answer carries to be sent back: the reasoning array, signatures, the server's own keys."""

from __future__ import annotations

from typing import Any

import pytest
from wire import body, chunks, delta, message, read


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "reasoning.text", "text": words, "format": "anthropic-claude-v1", "index": 0, **more}


def details(*deltas: list[dict[str, Any]]) -> list[Any]:
    """What the decoder keeps of these arrays, each in a delta of its own, before a tool call."""
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    frames = [delta(reasoning_details=each) for each in deltas]
    kept = chunks(*frames, delta(tool_calls=[call]), delta(finish="tool_calls")).finished.reasoning_details
    for size in (1, 7):
        bytes_ = body(*frames, delta(tool_calls=[call]), delta(finish="tool_calls"))
        assert read(bytes_, size=size).finished.reasoning_details == kept
    return list(kept)


def test_an_answer_without_them_keeps_nothing() -> None:
    finished = chunks(delta("Hi"), delta(" there"), delta(finish="stop")).finished
    assert (finished.reasoning_details, finished.extra) == ((), {})


def test_pieces_of_one_part_are_joined_and_its_signature_is_kept() -> None:  # quirk 75
    assert details([text("Let me")], [text(" see.")], [text("", signature="c2ln")]) == [
        text("Let me see.", signature="c2ln")
    ]


def test_a_signature_may_come_without_words() -> None:  # quirk 76
    alone = {"type": "reasoning.text", "signature": "c2ln", "index": 0}
    assert details([text("Hm.", signature=None)], [alone]) == [text("Hm.", signature="c2ln")]
    assert details([alone]) == [alone]


def test_parts_of_different_indices_types_and_ids_stay_apart_and_in_order() -> None:
    summary = {"type": "reasoning.summary", "summary": "It thinks.", "index": 0, "id": "rs_1"}
    sealed = {"type": "reasoning.encrypted", "data": "AAAA", "index": 0, "id": "rs_1"}
    other = {"type": "reasoning.encrypted", "data": "BBBB", "index": 0, "id": "tool_2"}
    assert details([summary], [sealed, other], [text("x", index=1)], [text("y", index=2)]) == [
        summary,
        sealed,
        other,
        text("x", index=1),
        text("y", index=2),
    ]


def test_parts_in_turns_find_theirs_by_index() -> None:
    assert details([text("a"), text("x", index=1)], [text("b"), text("y", index=1)]) == [
        text("ab"),
        text("xy", index=1),
    ]


def test_words_behind_a_signature_are_the_next_part_under_the_same_index() -> None:
    first, second = text("One.", signature="c2ln"), text("Two.", signature="c2lh")
    assert details(
        [text("One.")], [text("", signature="c2ln")], [text("Two")], [text(".", signature="c2lh")]
    ) == [
        first,
        second,
    ]


def test_sealed_data_is_kept_whole_and_once() -> None:
    sealed = {"type": "reasoning.encrypted", "data": "AAAA", "index": 0}
    another = {"type": "reasoning.encrypted", "data": "BBBB", "index": 0}
    assert details([sealed], [sealed], [another]) == [sealed, another]


def test_pieces_without_an_index_go_to_the_last_part_of_their_type() -> None:
    bare = [{"type": "reasoning.text", "text": word} for word in ("Let", " me", " see.")]
    assert details(*([each] for each in bare)) == [{"type": "reasoning.text", "text": "Let me see."}]


MINIMAX = {"type": "reasoning.text", "id": "reasoning-text-1", "format": "MiniMax-response-v1", "index": 0}
STORY = "The user wants the time. I will call the clock and then say what it shows, in one line."


@pytest.mark.parametrize("steps", [2, 3, 5, 40])
def test_snapshots_that_repeat_all_earlier_words_are_not_doubled(steps: int) -> None:  # quirk 64
    cuts = [len(STORY) * step // steps for step in range(1, steps + 1)]
    snapshots = [[{**MINIMAX, "text": STORY[:cut]}] for cut in cuts]
    assert details(*snapshots) == [{**MINIMAX, "text": STORY}]
    assert details(*snapshots, snapshots[-1])[0]["text"] == STORY


@pytest.mark.parametrize(
    "pieces",
    [
        [" ", " the", " cat"],
        ["ha", "ha", "ha"],
        ["a", "ab", "abc", "x"],
        ["\n", "\n\n", "So"],
        [f"{number} " for number in range(30)],
    ],
)
def test_pieces_that_only_look_like_snapshots_are_added_up(pieces: list[str]) -> None:
    assert details(*([text(piece)] for piece in pieces)) == [text("".join(pieces))]


def test_a_message_that_repeats_the_array_of_the_deltas_adds_nothing() -> None:  # quirk 44
    whole = {"choices": [{"index": 0, "message": {"content": "Hi", "reasoning_details": [text("Hm.")]}}]}
    frames = [delta(reasoning_details=[text("Hm")]), delta("Hi", reasoning_details=[text(".")]), whole]
    assert chunks(*frames, delta(finish="stop")).finished.reasoning_details == (text("Hm."),)


def test_a_reply_that_is_no_stream_keeps_its_array_as_it_is() -> None:
    parts = [text("Hm.", signature="c2ln"), {"type": "reasoning.encrypted", "data": "AAAA", "index": 1}]
    reply = message("Hi", reasoning_details=parts)
    assert chunks(reply, done=False).finished.reasoning_details == tuple(parts)


@pytest.mark.parametrize("odd", [None, "text", 7, [None, "x"], [[text("no")]], {}])
def test_arrays_of_another_shape_are_nothing(odd: Any) -> None:
    finished = chunks(delta("Hi", reasoning_details=odd, extra_content=None), delta(finish="stop")).finished
    assert (finished.reasoning_details, finished.extra) == ((), {})


# --- the other keys of a message ---------------------------------------------------------------------------

SIGNED = {"google": {"thought_signature": "c2lnbmVk"}}


def test_a_messages_own_content_of_the_server_is_kept() -> None:  # quirk 97
    finished = chunks(message("Noon.", extra_content=SIGNED), done=False).finished
    assert finished.extra == {"extra_content": SIGNED}


def test_it_is_put_together_from_the_deltas_that_hold_it() -> None:
    frames = [delta("No", extra_content={"google": {"thought": True}}), delta("on.", extra_content=SIGNED)]
    finished = chunks(*frames, delta(finish="stop")).finished
    assert finished.extra == {"extra_content": {"google": {"thought": True, "thought_signature": "c2lnbmVk"}}}


def test_keys_that_nobody_wants_back_are_not_kept() -> None:
    extra = chunks(delta("Hi", obfuscation="x", annotations=[1], refusal=None), delta(finish="stop")).finished
    assert extra.extra == {}


def test_claudes_blocks_come_joined_from_a_litellm_proxy() -> None:  # quirk 74
    frames = [
        delta(
            reasoning_content="Let",
            thinking_blocks=[{"type": "thinking", "thinking": "Let", "signature": ""}],
        ),
        delta(
            reasoning_content=" me",
            thinking_blocks=[{"type": "thinking", "thinking": " me", "signature": ""}],
        ),
        delta(thinking_blocks=[{"type": "thinking", "thinking": "", "signature": "c2ln"}]),
        delta(thinking_blocks=[{"type": "redacted_thinking", "data": "AAAA"}]),
        delta("Noon."),
    ]
    result = chunks(*frames, delta(finish="stop"))
    assert result.thoughts == "Let me"
    assert result.finished.extra == {
        "thinking_blocks": [
            {"type": "thinking", "thinking": "Let me", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "AAAA"},
        ]
    }
