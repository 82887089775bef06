"""Markdown is read as the CommonMark specification says: each of its examples gives the HTML that it prescribes."""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from telex.render.markdown._events import (
    Blank,
    Code,
    CodeEnd,
    CodeLine,
    Definition,
    Enter,
    Heading,
    Item,
    Leave,
    Listing,
    Paragraph,
    Quote,
    Rule,
    Table,
    TableEnd,
    TableRow,
)
from telex.render.markdown._inline import parse
from telex.render.markdown._reader import Reader
from telex.render.markdown._tokens import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from telex.render.markdown._events import Block
    from telex.render.markdown._links import Target

EXAMPLES = json.loads((Path(__file__).parent / "test_markdown_commonmark.json").read_text("utf-8"))[
    "examples"
]


class Html:
    """Turns blocks into the HTML of the specification's examples."""

    def __init__(self, references: Mapping[str, Target]) -> None:
        self.references = references
        self.stack: list[dict] = [{"kind": None, "children": []}]
        self.blank = False

    def read(self, blocks: Iterable[Block]) -> None:
        for block in blocks:
            self.block(block)

    def block(self, block: Block) -> None:
        match block:
            case Blank():
                self.blank = True
                return
            case Leave():
                # An empty line behind a quote's mark is inside of it.
                self.blank = self.stack.pop()["kind"] != "quote" and self.blank
                return
            case CodeLine(text):
                self.stack[-1]["children"][-1]["lines"].append(text)
                return
            case CodeEnd() | TableEnd():
                return
            case TableRow(cells):
                self.stack[-1]["children"][-1]["rows"].append(cells)
                return
        parent = self.stack[-1]
        if self.blank and parent["children"]:
            if parent["kind"] == "item":
                self.stack[-2]["loose"] = True
            elif parent["kind"] == "list":
                parent["loose"] = True
        self.blank = False
        match block:
            case Enter(Quote()):
                node = {"kind": "quote", "children": []}
            case Enter(Listing(_, start)):
                node = {"kind": "list", "children": [], "start": start, "loose": False}
            case Enter(Item()):
                node = {"kind": "item", "children": []}
            case Code(info, html):
                node = {"kind": "html" if html else "code", "info": info, "lines": []}
            case Paragraph(text):
                node = {"kind": "p", "text": text}
            case Heading(level, text):
                node = {"kind": f"h{level}", "text": text}
            case Rule():
                node = {"kind": "hr"}
            case Definition():
                node = {"kind": "definition"}
            case Table(header, _):
                node = {"kind": "table", "header": header, "rows": []}
        parent["children"].append(node)
        if isinstance(block, Enter):
            self.stack.append(node)

    def html(self) -> str:
        return "".join(self.node(child) for child in self.stack[0]["children"])

    def node(self, node: dict, *, tight: bool = False) -> str:
        match node["kind"]:
            case "quote":
                return f"<blockquote>\n{self.inside(node)}</blockquote>\n"
            case "list":
                tag = "ul" if node["start"] is None else "ol"
                start = f' start="{node["start"]}"' if node["start"] not in {None, 1} else ""
                items = "".join(
                    f"<li>{self.inside(item, tight=not node['loose'])}</li>\n" for item in node["children"]
                )
                return f"<{tag}{start}>\n{items}</{tag}>\n"
            case "html":
                return "".join(f"{line}\n" for line in node["lines"])
            case "code":
                info = parse_info(node["info"])
                lines = "".join(f"{line}\n" for line in node["lines"])
                return f"<pre><code{info}>{escape(lines)}</code></pre>\n"
            case "hr":
                return "<hr />\n"
            case "definition":
                return ""
            case "p" if tight:
                return self.inline(node["text"])
            case kind:
                return f"<{kind}>{self.inline(node['text'])}</{kind}>\n"

    def inside(self, node: dict, *, tight: bool = False) -> str:
        if node["kind"] != "item":
            return "".join(self.node(child) for child in node["children"])
        out = ""
        for child in node["children"]:
            if child["kind"] == "definition":
                continue
            text = self.node(child, tight=tight)
            is_bare = tight and child["kind"] == "p"
            if (out or not is_bare) and not out.endswith("\n"):
                out += "\n"
            out += text
        return out

    def inline(self, text: str) -> str:
        out = []
        for kind, value, target in parse(text, self.references).tokens:
            match kind:
                case Kind.TEXT:
                    out.append(escape(value))
                case Kind.CODE:
                    out.append(f"<code>{escape(value)}</code>")
                case Kind.HTML:
                    out.append(value)
                case Kind.HARD:
                    out.append("<br />\n")
                case Kind.SOFT:
                    out.append("\n")
                case Kind.OPEN if target is not None:
                    title = f' title="{escape(target.title)}"' if target.title else ""
                    out.append(f'<a href="{address(target.url)}"{title}>')
                case Kind.OPEN | Kind.CLOSE:
                    out.append(f"<{'/' if kind is Kind.CLOSE else ''}{value}>")
                case Kind.IMAGE:
                    title = f' title="{escape(target.title)}"' if target.title else ""
                    out.append(f'<img src="{address(target.url)}" alt="{escape(value)}"{title} />')
        return "".join(out)


def address(url: str) -> str:
    return escape(quote(url, safe="!#$%&'()*+,-./:;=?@_~"))


def parse_info(info: str | None) -> str:
    from telex.render.markdown._links import unescape

    words = unescape(info or "").split()
    return f' class="language-{escape(words[0])}"' if words else ""


def to_html(markdown: str) -> str:
    """A whole text as HTML, its link definitions known from the start."""
    first, second = Reader(), Reader()
    for line in markdown.split("\n"):
        first.line(line)
    first.end()
    second.references = first.references
    html = Html(first.references)
    for line in markdown.removesuffix("\n").split("\n"):
        html.read(second.line(line))
    html.read(second.end())
    return html.html()


def comparable(html: str) -> str:
    """Tabs are columns on a terminal, and a quotation mark is the same however it is written."""
    html = html.expandtabs(4).replace("&quot;", '"').replace("&#x27;", "'")
    return re.sub(r"[ ]+", " ", re.sub(r"\s+(?=\n)", "", html)).rstrip()


DIFFERENT = {
    # A line feed in disguise would break the layout of a table: it becomes a space.
    39: "<p>foo  bar</p>",
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example['example']}")
def test_an_example_of_the_specification_gives_its_html(example: dict) -> None:
    expected = DIFFERENT.get(example["example"], example["html"])
    assert comparable(to_html(example["markdown"])) == comparable(expected)
