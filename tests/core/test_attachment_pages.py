"""Addresses as attachments: what a page becomes, the limits of fetching it, and which hosts are refused."""

from __future__ import annotations

import gzip
import itertools
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from scripted import Answer, Pause, Scripted

from provider_core import limits
from provider_core.attachments import load
from provider_core.attachments._pages import _is_public, _names_private
from provider_core.errors import AttachmentError, CoreError, NetworkError
from provider_core.types import AudioPart, FilePart

if TYPE_CHECKING:
    from collections.abc import Iterator

HTML = """<!doctype html><html><head><title>T</title><style>p {}</style><script>alert(1)</script></head><body>
<nav><a href="/">Home</a></nav><h1>Hi</h1><form><p>A <b>bold</b> <a href="sub/page">link</a></p></form>
<img src="data:image/png;base64,AAAA"><svg><text>drawn</text></svg><template>later</template></body></html>"""


class Web(Scripted):
    """A web server on loopback: ``pages`` has what each path answers."""

    def __init__(self) -> None:
        super().__init__()
        self.pages: dict[str, Answer] = {}
        self.will(lambda asked: self.pages[asked.path])

    def at(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def answer(self, path: str, body: str | bytes, media: str = "text/html", **headers: str) -> str:
        data = body if isinstance(body, bytes) else body.encode()
        self.pages[path] = Answer([data], headers={"content-type": media, **headers})
        return self.at(path)

    def redirect(self, path: str, to: str, status: int = 302) -> str:
        self.pages[path] = Answer(status=status, headers={"location": to})
        return self.at(path)

    def endless(self, path: str, *pieces: bytes | Pause) -> str:
        self.pages[path] = Answer(itertools.cycle(pieces), headers={"content-type": "text/plain"})
        return self.at(path)


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as server:
        yield server


def fetch(url: str, **options: Any) -> Any:
    return load(url, environ={}, **options)


def refused(url: str, **options: Any) -> CoreError:
    with pytest.raises((AttachmentError, NetworkError)) as caught:
        fetch(url, **options)
    return caught.value


def lookup(**hosts: str) -> Any:
    """A lookup that knows these hosts, with "_" for ".", and their addresses."""

    def find(host: str, port: int) -> list[Any]:
        found = hosts[host.replace(".", "_")].split()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    return find


# --- content -------------------------------------------------------------------------------------------------


def test_page_becomes_markdown_without_scripts_and_navigation(web: Web) -> None:
    url = web.answer("/post?a=1", HTML, "text/html; charset=utf-8")
    found = fetch(url)
    assert (found.name, found.size) == (url, len(HTML))
    assert found.text.strip() == f"# Hi\n\nA **bold** [link]({web.at('/sub/page')})"
    assert found.as_block().startswith(f"{url}:\n```markdown\n# Hi\n")


def test_request_has_no_cookies_credentials_or_referrer(web: Web) -> None:
    web.answer("/end", "text", "text/plain")
    web.redirect("/start", "/end", 301)
    fetch(web.at("/start#part"))
    assert [asked.path for asked in web.asked] == ["/start", "/end"]
    for asked in web.asked:
        assert set(asked.headers) == {"host", "accept", "accept-encoding", "user-agent"}


@pytest.mark.parametrize(
    ("media", "body", "text"),
    [
        ("text/plain; charset=latin-1", "grüße".encode("latin-1"), "grüße"),
        ("text/plain; charset=windows-1252", "“”".encode("cp1252"), "“”"),
        ("text/plain", "grüße".encode("latin-1"), "grüße"),
        ("text/plain", "\ufeffgrüße".encode("utf-16-le"), "grüße"),
        ("text/plain; charset=unicode_escape", b"\\u0041", "\\u0041"),
        ("text/plain; charset=punycode", b"a" * 50, "a" * 50),
        ("text/plain; charset=nonsense", "é".encode(), "é"),
        ("text/html", '<meta charset="shift_jis"><p>日本'.encode("shift_jis"), "日本"),
        ("text/html; charset=utf-8", b"<p>\xff</p>", "\ufffd"),
        ("application/json", b'{"a": 1}', '{"a": 1}'),
        ("application/octet-stream", b"plain", "plain"),
        ("text/markdown", b"# Title", "# Title"),
    ],
)
def test_text_is_decoded_as_browsers_do(web: Web, media: str, body: bytes, text: str) -> None:
    assert fetch(web.answer("/", body, media)).text.strip() == text


def test_pdf_and_recording_at_an_address_are_what_they_are(web: Web) -> None:
    pdf = fetch(web.answer("/a.pdf", b"%PDF-1.4\n...", "application/octet-stream"), pdf_as_file=True)
    assert isinstance(pdf, FilePart)
    assert isinstance(fetch(web.answer("/a", b"fLaC\0...", "audio/flac")), AudioPart)
    error = refused(web.answer("/b", b"\x89PNG\r\n\x1a\n\0", "image/png"))
    assert "is not a text file: it looks like a PNG image" in error.message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<script>load()</script>", "has no text; its content may need a browser"),
        ("", "has no text"),
        ("<div>" * 200_000, "has no text"),
        ("<a " * 200_000, "has no text"),
    ],
)
def test_page_without_text_is_an_error(web: Web, body: str, words: str) -> None:
    assert words in refused(web.answer("/", body)).message


# --- limits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [b"x" * 65536, b"\0" * 65536])
def test_page_that_never_ends_is_stopped_at_the_limit(web: Web, piece: bytes) -> None:
    assert "is too large: a page may have at most 10 MB" in refused(web.endless("/", piece)).message


def test_page_that_unfolds_is_stopped_at_the_limit(web: Web) -> None:
    bomb = gzip.compress(gzip.compress(bytes(200_000_000)))
    assert (
        "is not a text file"
        in refused(web.answer("/", bomb, "text/plain", **{"content-encoding": "gzip"})).message
    )
    bomb = gzip.compress(b"x" * 200_000_000)
    assert (
        "is too large" in refused(web.answer("/", bomb, "text/plain", **{"content-encoding": "gzip"})).message
    )


def test_slow_page_is_stopped_in_time(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PAGE_TIME", 1.0)
    started = time.monotonic()
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
    web.pages["/trailers"] = Answer(
        itertools.chain([b"0\r\n"], itertools.cycle((b"X: y\r\n", Pause(0.05)))), head=head
    )
    web.pages["/line"] = Answer(itertools.cycle((b"0", Pause(0.05))), head=head)
    web.pages["/silent"] = Answer([Pause(60)], head=b"")
    web.endless("/", b"x", Pause(0.05))
    for path in ("/", "/trailers", "/line", "/silent"):
        error = refused(web.at(path))
        assert "cannot be fetched: it takes more than 1 seconds" in error.message
        assert error.code == "timeout"
    assert time.monotonic() - started < 60


def test_redirects_are_limited(web: Web) -> None:
    error = refused(web.redirect("/", "/"))
    assert error.message.endswith("cannot be fetched: it has more than 10 redirects")
    assert len(web.asked) == 11


@pytest.mark.parametrize(
    ("status", "headers"), [(404, {"location": "/"}), (302, {}), (304, {"location": "/"})]
)
def test_error_of_the_server_is_an_error(web: Web, status: int, headers: dict[str, str]) -> None:
    web.pages["/"] = Answer(status=status, headers=headers)
    error = refused(web.at())
    assert isinstance(error, AttachmentError)
    assert (error.code, error.message) == (
        "status", f"{web.at()} cannot be fetched: the server answered with status {status}",
    )  # fmt: skip


# --- hosts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/latest/",
        "http://metadata.google.internal/", "http://2852039166/", "http://0xa9fea9fe/", "http://192.168.0.1/",
        "http://100.100.100.200/", "http://168.63.129.16/", "http://[::ffff:10.0.0.1]/", "http://router/",
    ],
)  # fmt: skip
def test_redirect_to_a_private_or_metadata_address_is_refused(web: Web, target: str) -> None:
    error = refused(web.redirect("/", target))
    assert error.code == "private"
    assert "it redirects to" in error.message
    assert len(web.asked) == 1


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://h/", "gopher://127.0.0.1/", "data:text/plain,x"]
)
def test_redirect_to_another_scheme_is_refused(web: Web, target: str) -> None:
    assert "it redirects to" in refused(web.redirect("/", target)).message


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("http://[::1/", "is not valid"),
        ("//a:99999/", "is not valid"),
        ("//u:s3cr3t@a/", "contains a user name"),
    ],
)
def test_redirect_to_an_address_that_is_not_valid_is_refused(web: Web, target: str, words: str) -> None:
    message = refused(web.redirect("/", target)).message
    assert f"cannot be fetched: an address that it redirects to {words}" in message
    assert "s3cr3t" not in message


@pytest.mark.parametrize("to", ["127.0.0.1", "localhost", "[::1]", "127.1", "0.0.0.0", "x.localhost"])
def test_redirect_to_loopback_is_refused_unless_a_loopback_address_was_typed(web: Web, to: str) -> None:
    secret = web.answer("/secret", "secret", "text/plain").replace("127.0.0.1", to)
    proxied = {"http_proxy": f"http://127.0.0.1:{web.port}"}
    web.redirect("http://example.com/", secret)
    with pytest.raises(AttachmentError) as caught:
        load("http://example.com/", environ=proxied)
    assert caught.value.code == "private"
    assert [asked.path for asked in web.asked] == ["http://example.com/"]
    if to in ("127.0.0.1", "localhost"):
        assert fetch(web.redirect("/", secret)).text == "secret"


@pytest.mark.parametrize("addresses", ["127.0.0.1", "10.1.2.3", "8.8.8.8 127.0.0.1", "169.254.169.254"])
def test_name_that_leads_to_a_private_address_is_refused(web: Web, addresses: str) -> None:
    web.answer("/", "secret", "text/plain")
    error = refused(web.at("/", "example.com"), lookup=lookup(example_com=addresses))
    assert (error.code, web.asked) == ("private", [])
    assert error.message.endswith("cannot be fetched: its host has a private address")


def test_name_is_looked_up_once_so_that_the_second_answer_of_a_server_changes_nothing(web: Web) -> None:
    answers = ["8.8.8.8", "127.0.0.1"]

    def rebinding(host: str, port: int) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers.pop(), port))]

    assert refused(web.at("/", "example.com"), lookup=rebinding).code == "private"
    assert (web.asked, answers) == ([], ["8.8.8.8"])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "nas.local", "nas"])
def test_typed_private_host_is_fetched(web: Web, host: str) -> None:
    web.answer("/", "mine", "text/plain")
    found = fetch(web.at("/", host), lookup=lambda _, port: lookup(x="127.0.0.1")("x", port))
    assert found.text == "mine"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("64:ff9b::808:808", True), ("2002:808:808::1", True),
        ("127.0.0.1", False), ("0.0.0.0", False), ("10.0.0.1", False), ("172.16.0.1", False), ("192.168.1.1", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("100.100.100.200", False), ("168.63.129.16", False),
        ("224.0.0.1", False), ("255.255.255.255", False), ("::1", False), ("::", False), ("fe80::1%eth0", False),
        ("fd00:ec2::254", False), ("::ffff:127.0.0.1", False), ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False),
        ("ff02::1", False), ("192.0.0.192", False),
    ],
)  # fmt: skip
def test_public_and_private_addresses_are_told_apart(address: str, public: bool) -> None:
    assert _is_public(address) == public
    assert _names_private(address) == (not public)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://me:s3cr3t@127.0.0.1/", "contains a user name or password"),
        ("https://127.0.0.1:99999/", "its address is not valid"),
        ("http:///path", "its address is not valid"),
        ("http://\uff11\uff16\uff19.254.169.254/", "its address is not valid"),
        ("http://a\x1b[31m/", "its address is not valid"),
    ],
)
def test_address_with_a_password_or_without_a_host_is_refused(url: str, words: str) -> None:
    error = refused(url)
    assert words in error.message
    assert "s3cr3t" not in error.message
    assert "\x1b" not in error.message
