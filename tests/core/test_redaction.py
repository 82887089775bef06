"""Text from outside is shown without secrets and without control characters."""

from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote

import pytest

from provider_core.redaction import close_matches, printable, redact, unhidden
from provider_core.stream.failures import ErrorReader

KEY = "sk-proj-Ab3/dE+f6hI9kL=mN0pQ"


@pytest.mark.parametrize(
    "echo",
    [KEY, f"Bearer {KEY}", f"{KEY}{KEY}", json.dumps({"key": KEY}), json.dumps({"key": KEY}).replace("/", "\\/"),
     quote(KEY, safe=""), quote(KEY, safe="").lower(), quote(KEY), KEY[:-4], KEY[4:], f"{KEY[:20]}...",
     f"key={KEY[3:16]}"],
)  # fmt: skip
def test_a_key_is_redacted_however_it_is_echoed(echo: str) -> None:
    shown = redact(f"Incorrect key: {echo} given", (KEY,))
    assert shown.startswith("Incorrect key: ")
    assert shown.endswith(" given")
    assert "[redacted]" in shown
    for at in range(len(KEY) - 11):
        assert KEY[at : at + 12] not in shown


@pytest.mark.parametrize("before", ["", "k", "me", "Bearer ", "user:"])
@pytest.mark.parametrize("behind", ["", "\n", "&x", "}}}"])
def test_a_key_is_redacted_in_base64_and_hex(before: str, behind: str) -> None:
    data = f"{before}{KEY}{behind}".encode()
    for echo in (
        base64.b64encode(data).decode(),
        base64.urlsafe_b64encode(data).decode().rstrip("="),
        data.hex(),
        data.hex().upper(),
    ):
        shown = redact(f"got {echo} here", (KEY,))
        # The letters next to the mask may depend on the adjacent bytes.
        assert len(shown) - len("got [redacted] here") <= 2 * (len(before) + len(behind)) + 4
        assert shown.startswith("got ")
        assert shown.endswith(" here")


def test_of_an_encoded_key_no_letter_is_left_that_the_key_alone_decides() -> None:
    for before in ("", "k", "me"):
        data = f"{before}{KEY}".encode()
        echo = base64.b64encode(data).decode().rstrip("=")
        first, last = -(-len(before) * 8 // 6), len(data) * 8 // 6
        assert redact(echo, (KEY,)) == f"{echo[:first]}[redacted]{echo[last:]}"


@pytest.mark.parametrize(("length", "size"), [(40, 12), (24, 12), (20, 10), (16, 8), (12, 8), (9, 8)])
def test_a_piece_of_half_a_key_is_redacted_but_at_least_8_and_at_most_12_characters(length, size):
    key = "0123456789abcdefghijklmnopqrstuvwxyzABCD"[:length]
    for at in range(length - size + 1):
        for words in ("is", "was"):  # at places with even and odd numbers
            assert redact(f"it {words} {key[at : at + size]}, so", (key,)) == f"it {words} [redacted], so"
    assert redact(f"it is {key[: size - 1]}, so", (key,)) == f"it is {key[: size - 1]}, so"


def test_two_pieces_of_a_key_are_redacted_and_the_words_between_them_stay() -> None:
    assert redact(f"{KEY[:13]} and {KEY[:14]}.", (KEY,)) == "[redacted] and [redacted]."


@pytest.mark.parametrize(
    "masked", ["sk-proj-****mN0pQ", "sk-...N0pQ", "sk-p*********************pQ", "sk-proj-Ab3...0pQ"]
)
def test_a_servers_own_mask_stays(masked: str) -> None:
    assert redact(f"Incorrect key: {masked}", (KEY,)) == f"Incorrect key: {masked}"


def test_several_secrets_are_redacted_the_longest_first() -> None:
    assert redact("abcdefgh12 and abcdefgh", ("abcdefgh", "abcdefgh12")) == "[redacted] and [redacted]"


@pytest.mark.parametrize("secret", ["", " ", "x", "no", "key"])
def test_short_placeholders_are_not_redacted(secret: str) -> None:
    assert redact("no key, no next text", (secret,)) == "no key, no next text"
    assert redact("no next text", ("next",)) == "no [redacted] text"


def test_a_key_with_control_characters_inside_is_redacted() -> None:
    for hidden in (KEY[:9] + "\x1b[0m" + KEY[9:], "\u200b".join(KEY), KEY[:9] + "\x00" + KEY[9:]):
        for data in (
            hidden.encode(),
            json.dumps({"error": {"message": hidden, "code": hidden, "type": hidden}}).encode(),
        ):
            error = ErrorReader("acme", (KEY,)).from_response(401, data)
            for text in (error.message, error.words, error.code or "", error.type or ""):
                assert KEY not in text
                assert KEY[9:] not in text


def test_a_key_where_the_text_is_cut_is_redacted() -> None:
    for pad in range(1970, 2001):
        error = ErrorReader("acme", (KEY,)).from_response(400, b"x" * pad + KEY.encode())
        assert KEY[:12] not in error.words


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain text\twith\ntabs", "plain text\twith\ntabs"), ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"), ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$r\x1b\\x\x1b_y\x1b\\", "x"), ("\x9b31mred\x9d0;t\x9c", "red"),
        ("a\x00\x07\x08\x0b\x7f\x85\x9fb", "ab"), ("a\u202eb\u2066c\u200fd\u061ce", "abcde"),
        ("a\u200bb\u2064c\U000e0041d\xade\u3164f", "abcdef"), ("a\r\nb\rc", "a\nbc"),
        ("\x1b]0;never closed", "]0;never closed"), ("a\ud800b", "a\ufffdb"), ("Grüße 世界 🙂", "Grüße 世界 🙂"),
    ],
)  # fmt: skip
def test_control_sequences_are_removed(raw: str, shown: str) -> None:
    assert printable(raw) == shown


def test_long_text_is_cut_to_the_limit() -> None:
    assert printable("x" * 10, 10) == "x" * 10
    assert printable("x" * 11, 10) == "x" * 9 + "…"
    assert len(printable("x" * 9999)) == 2000


def test_hostile_text_takes_linear_time() -> None:
    pieces = ("\x1b]", "\x1b[", "\x9d", "sk-proj-", '{"error":', "{", "<title", "try again in 1")
    for text in (*(piece * 200_000 for piece in pieces), "<title>" + "<" * 300_000 + "</title>"):
        start = time.perf_counter()
        error = ErrorReader("acme", (KEY,)).from_response(400, text.encode())
        assert len(error.words) <= 2000
        assert time.perf_counter() - start < 30


@pytest.mark.parametrize(
    ("word", "names", "meant"),
    [
        ("opnai", ("openai", "openrouter", "azure"), ("openai",)),
        ("OPENAI", ("OpenAI", "openrouter"), ("OpenAI",)),
        ("--MODEL", ("--models", "--model"), ("--model", "--models")),
        ("zzz", ("openai",), ()), ("", ("openai",), ()), ("same", ("Same", "SAME"), ("Same",)),
    ],
)  # fmt: skip
def test_similar_names_are_found(word, names, meant):
    assert close_matches(word, names) == meant


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("a\u200bb\u2060c\ufeffd\xade", "a?b?c?d?e"),
        ("a\u2028b\u2029c\u202ed", "a?b?c?d"),
        ("x\U000e0041\U000e0042", "x??"),
        ("a\u200cb\u200dc", "a?b?c"),
        ("\u3164\u115f", "??"),
        ("😀\ufe01\ufe02\ufe03", "😀\ufe01??"),
        ("a\U000e0101", "a?"),
        ("\U0001f3f4\U000e0041" + "\U000e0042" * 20, "\U0001f3f4" + "?" * 21),
        # Joiners and selectors that belong to an emoji or a letter stay.
        *(
            (text, text)
            for text in (
                "❤️ 1️⃣ 👁️‍🗨️ 👩‍👩‍👧 🏴‍☠️",
                "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
                "می‌خواهم",
                "नमस्‍ते",
                "葛\U000e0100",
                "Grüße 世界",
            )
        ),
    ],
)
def test_characters_that_hide_text_are_made_visible(raw: str, shown: str) -> None:
    assert unhidden(raw) == shown.replace("?", "\ufffd")
