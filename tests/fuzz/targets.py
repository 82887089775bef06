"""The fuzz targets: each takes any bytes, and raises nothing but what the function under test documents.

``TARGETS`` is the table. To add one, write a function that suppresses the documented errors, asserts what always holds,
and list it with a few small valid inputs (``seeds``), and words of its language that these lack.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import io
import json
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, NoReturn
from unittest import mock

import click
from commands_tree import commands
from inprocess import Inside
from running import Ran
from scripted import DONE, Answer, Scripted, answer, delta, sse

from provider_core import errors
from provider_core.batches import FORMATS, Result, Row, RowReader, planner
from provider_core.catalog import _parse
from provider_core.keys import MemoryStore
from provider_core.presets import all_presets
from provider_core.presets import user as user_presets
from provider_core.prices import Price
from provider_core.request import RequestAdapter
from provider_core.settings import Paths, load, project, validators
from provider_core.settings import file as settings_text
from provider_core.settings import mcp_import as other_clients
from provider_core.settings import values as setting_values
from provider_core.stream.failures import ErrorReader
from provider_core.structured import matching_json, retry_message, schema_from, short_form
from provider_core.templates import fill, inline, parse, variables
from provider_core.types import Message, Provider, Request, Usage
from provider_core.types import Target as ModelOf
from telex.batch.output import ResultLayout
from telex.commands.shell.dangers import hidden_characters, marks, revealed
from telex.error_hints import code_and_hint
from telex.exit_codes import ExitCode
from telex.render.json import error_object
from telex.render.live import MarkdownStream, render
from telex.render.styles import Colour, Look

LARGEST = 4096
"""Bytes of an input."""
SECRET = "sk-0123456789abcdef"
LAB = Provider(name="lab", base_url="http://127.0.0.1:9/v1")
ODD = (
    "\ue000", "\x1b]0;x\x07", "\x1b[2J", "\x00", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u200b", "\u202e", "\ufeff",
    "漢字", "é", "👩‍👩‍👧", "\U000e0041", "x" * 300, " " * 50, "\t", "\n", "\n\n",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, -(2**64), 10**400, 0.5, 1e308, float("nan"), float("inf"), "", " ", "0",
    "x", "null", "\ud800", "#", "#/", "nan", *ODD, [], {}, [[]], [{}], [None], {"": {}}, {"type": "object"}, {"a": None},
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    more: tuple[bytes, ...] = ()
    """Words that the seeds do not have."""
    slow: bool = False
    """Whether one run takes milliseconds."""

    @functools.cached_property
    def words(self) -> tuple[bytes, ...]:
        """The words of the language: those of the seeds, of JSON and TOML, and ``more``."""
        found = (word for seed in self.seeds for word in re.findall(rb"\w+|\s+|\S", seed))
        return (*dict.fromkeys((*found, *_WORDS)), *self.more, *self.more)


def mutated(random: Random, target: Target) -> bytes:
    """A seed with a few changes: to its bytes, to its words, or to its values where it is JSON."""
    data = random.choice(target.seeds)
    for _ in range(random.randint(1, 6)):
        data = _changed(random, data, target)[:LARGEST]
    return data


def _changed(random: Random, data: bytes, target: Target) -> bytes:
    if data[:1] in (b"{", b"[") and random.random() < 0.7:
        with contextlib.suppress(ValueError, RecursionError):
            return json.dumps(_other_value(random, json.loads(data))).encode()
    at = random.randint(0, len(data))
    end = min(len(data), at + random.choice((0, 0, 1, 2, 8, 64)))
    match random.randint(0, 5):
        case 5:
            lines, at = data.split(b"\n"), random.randint(0, data.count(b"\n"))
            lines[at : at + random.randint(0, 1)] = [random.choice(target.words).strip(b"\n")]
            return b"\n".join(lines)
        case 0:
            new = random.choice(ODD).encode()
        case 1:
            new = bytes(random.randint(0, 255) for _ in range(random.randint(0, 4)))
        case 2:
            new = data[at:end] * random.choice((2, 3, 50))
        case _:
            new = b"".join(random.choice(target.words) for _ in range(random.randint(1, 4)))
            new *= random.choice((1, 1, 1, 40))
    return data[:at] + new + data[end:]


def _other_value(random: Random, value: Any) -> Any:
    """``value`` with one of the values in it replaced, removed, wrapped or put in twice."""
    if not isinstance(value, dict | list) or not value or random.random() < 0.2:
        changed = [[value], {random.choice(("$ref", "type", "x")): value}, [value, value]]
        return random.choice([*changed, *(random.choice(VALUES) for _ in changed)])
    key = random.choice(list(value) if isinstance(value, dict) else range(len(value)))
    made: Any = value.copy()
    if random.random() < 0.1:
        del made[key]
    elif isinstance(made, dict) and random.random() < 0.1:
        made[random.choice(("", "$ref", "$id", "id", "type", "\ud800", "x" * 300))] = made.pop(key)
    else:
        made[key] = _other_value(random, made[key])
    return made


def choices(data: bytes) -> Random:
    """What else a run needs, decided by its input."""
    return Random(zlib.crc32(data))


@functools.cache
def folder() -> Path:
    """A folder that is removed at the end."""
    made = Path(tempfile.mkdtemp(prefix="telex-fuzz-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def json_of(data: bytes) -> Any:
    """The JSON in ``data``, or None."""
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(data)
    return None


def pieces(data: bytes | str, random: Random) -> list[Any]:
    cuts = sorted(random.randint(0, len(data)) for _ in range(random.randint(0, 12)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


# --- from files and pages ------------------------------------------------------------------------------------------


def attachment(data: bytes) -> None:
    """A file, a page with its media type, a .gitignore, and a pattern."""
    from provider_core.attachments import load, load_bytes
    from provider_core.attachments._pages import _content
    from provider_core.errors import AttachmentError

    head, _, body = data.partition(b"\n")
    if not body.startswith(b"%PDF-") and b"html" not in head:  # each would start a process
        with contextlib.suppress(AttachmentError):
            assert load_bytes(body, text_of(head))
        with contextlib.suppress(AttachmentError):
            assert _content(body, text_of(head), name="x", url="http://h/", pdf_as_file=False)
    place = folder() / "attached"
    place.mkdir(exist_ok=True)
    place.joinpath(".gitignore").write_bytes(body)
    for name in ("a", "b.txt", "sub"):
        place.joinpath(name).write_text("text")
    with contextlib.suppress(AttachmentError):
        assert load(place).name
    inner = text_of(head).replace("..", ".").replace("\0", "")
    with contextlib.suppress(AttachmentError):
        assert load(f"{place}/{inner}").name  # type: ignore[union-attr]


# --- from servers ------------------------------------------------------------------------------------------------


def error_body(data: bytes) -> None:
    """Any body of an error is one of the core's errors, has advice, and shows no key."""
    random = choices(data)
    status = random.choice((400, 401, 402, 403, 404, 409, 413, 422, 429, 498, 500, 501, 503, 529, 999))
    error = ErrorReader("lab", (SECRET,)).from_response(status, data, {"retry-after": text_of(data[:20])})
    code_and_hint(error, LAB)
    json.dumps(error_object(error), ensure_ascii=False).encode()
    assert SECRET not in error.message
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", error.message), error.message
    request = Request(
        model="m",
        messages=(Message(role="system", content="x"), Message(role="user", content="x")),
        max_tokens=5,
        reasoning_effort="low",
        params={"top_p": 1, "seed": 3},
    )
    adapter = RequestAdapter(LAB, request)
    for _ in range(20):
        if not adapter.refused(error):
            break
    else:
        raise AssertionError("a request was repaired without end")


def model_list(data: bytes) -> None:
    """Any list of a server is read as models, or as none."""
    value = json_of(data)
    for preset in (None, choices(data).choice(all_presets())):
        found = _parse.parse_models(_parse.list_entries(value) or (), preset)
        json.dumps([[model.id, model.price] for model in found], ensure_ascii=False).encode()
        for model in found:
            cost = Price.read(model.price or {}).cost(Usage(input=10**14, output=10**14, cached=5))
            assert cost is None or (cost >= 0 and len(f"{cost:f}") < 100)
    _parse.next_page(value, "last")


def server(data: bytes) -> None:
    """A command ends with one of its exit codes, one sentence, and the answer or JSON alone on stdout."""
    random = choices(data)
    inside, lab = _inside(), _lab()
    chat = ("chat", "-m", "lab/m", "--timeout", "5", "--retries", "0", "--no-stdin", "--no-save")
    line = random.choice(
        [
            *((*chat, *more, "hi") for more in _CHAT),
            ("models", "list", "lab", "--refresh"),
            ("models", "list", "lab", "--refresh", "--json"),
            ("providers", "test", "lab"),
            ("providers", "test", "lab", "--json"),
        ]
    )
    if data.startswith(b"HTTP/"):
        head, separator, body = data.partition(b"\r\n\r\n")
        lab.will(Answer([body], head=head + separator))
    else:
        status = random.choice((200, 200, 200, 201, 204, 302, 400, 401, 404, 429, 500, 503))
        kind = random.choice(("text/event-stream", "application/json", "text/html; charset=utf-16", ""))
        lab.will(Answer(pieces(data, random), status=status, headers={"content-type": kind}))
    inside.configure(f'[providers.lab]\nbase_url = "{lab.url}"\nkey = "none"\n')
    said = _run(inside, *line).err
    assert "-vv" in line or not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", said), said


_CHAT: tuple[tuple[str, ...], ...] = (
    (), ("--json",), ("--jsonl",), ("--no-stream",), ("--no-stream", "--json"), ("-x",), ("--schema", "name, age int"),
    ("--reasoning", "summary"), ("-vv",), ("-u", "--reasoning", "show"), ("-q",), ("-o", "out.txt"),
    ("-m", "lab/n"), ("-m", "lab/n", "--jsonl"),
)  # fmt: skip


@functools.cache
def _inside() -> Inside:
    place = folder()
    (place / "work").mkdir()
    (place / "work/file.txt").write_text("text")
    (place / "work/loop").symlink_to("loop")
    inside = Inside(place / "home")
    closed = "http://127.0.0.1:9"
    inside.env |= {"HOME": str(place), "SHELL": "/bin/sh", "EDITOR": "true", "PIP_RETRIES": "0"}
    inside.env |= dict.fromkeys(
        ("HTTPS_PROXY", "HTTP_PROXY", "PIP_INDEX_URL", "UV_DEFAULT_INDEX"), f"{closed}/"
    )
    return inside


@functools.cache
def _lab() -> Scripted:
    lab = Scripted()
    atexit.register(lab.__exit__)
    return lab


def _run(inside: Inside, *arguments: str, stdin: bytes = b"") -> Ran:
    """Run one command line, and check that it ends as documented."""
    before = Path.cwd()
    os.chdir(folder() / "work")
    try:
        with mock.patch.dict(os.environ, inside.env):
            ran = inside(*arguments, stdin=stdin)
    finally:
        os.chdir(before)
    what = f"{arguments} exits {ran.code}: {ran.err[-1500:]}"
    assert ran.code in set(ExitCode), what
    assert "internal error in " not in ran.err, what
    assert b"internal error in " not in ran.out, what
    assert "Traceback" not in ran.err, what
    if not {"--help", "-h"} & {*arguments}:
        if "--json" in arguments and ran.out:
            json.loads(ran.out)
        for line in ran.out.decode().split("\n")[:-1] if "--jsonl" in arguments else ():
            json.loads(line)
    return ran


# --- output ------------------------------------------------------------------------------------------------------


def markdown(data: bytes) -> None:
    """A terminal shows the same however the text arrived, and no control characters."""
    text, random = text_of(data), choices(data)
    width = random.choice((1, 2, 5, 20, 60, 80, 200))
    look = Look(colour=random.choice((Colour.NONE, Colour.BASIC)))
    whole = render(text, width, look=look)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", re.sub(r"\x1b\[[\d;]*m", "", whole))
    parts = pieces(text, random)
    rows: list[str] = []
    for live in (False, True):
        rows.clear()
        shown = MarkdownStream(
            rows.append, width=lambda: width, height=lambda: 24, look=look, live=live, frames=1e9
        )
        for part in parts:
            shown.feed(part)
        shown.close()
        # Blocks inside a hundred others are shown as they were written, with what has not been printed by then.
        assert live or "".join(rows) == whole or _DEEP.search(text)


_DEEP = re.compile(r"(?:(?:[-+*>]|[0-9]+[.)])[ \t]*){30}")


# --- from users --------------------------------------------------------------------------------------------------


def settings_file(data: bytes) -> None:
    """A wrong entry is reported; only invalid TOML is an error."""
    paths = Paths.find({"TELEX_HOME": str(folder() / "settings")})
    paths.config.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths.settings_file.write_bytes(data)
    _load(paths, {})
    _load(paths, {})  # from the snapshot


def settings_variables(data: bytes) -> None:
    """As in ``settings_file``, for variables: NAME=VALUE in each line."""
    paths = Paths.find({"TELEX_HOME": str(folder() / "variables")})
    lines = data.replace(b"\x00", b"").decode("utf-8", "surrogateescape").split("\n")
    named = (line.partition("=")[::2] for line in lines)
    _load(paths, {f"TELEX_{name}": value for name, value in named})


def settings_of_a_project(data: bytes) -> None:
    """A project's file is refused as a whole, or it holds nothing that reaches another place."""
    path = folder() / "project" / ".telex.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    with contextlib.suppress(errors.SettingsError):
        values = project.parse(project_text(path), path)
        assert values.keys() <= {*project.OPTIONS, "model", "aliases", "templates", "allow"}
        assert values.get("params", {}).keys() <= project.PARAMS
        found = project.of_values(values, path)
        if found.templates is not None:
            assert Path(os.path.realpath(found.templates)).is_relative_to(os.path.realpath(path.parent))


def project_text(path: Path) -> str:
    return settings_text.decode(project.read(path), path)


def setting_by_name(data: bytes) -> None:
    """NAME and VALUE in two lines, as for telex config set: refused, or a place in the schema."""
    name, _, value = text_of(data).partition("\n")
    with contextlib.suppress(errors.SettingsError, errors.InvalidInputError):
        place = setting_values.locate(name, {})
        json.dumps(setting_values.parse(place, (value,)), default=str)
        if not any("'" in key or "\\" in key for key in place.keys):
            assert setting_values.locate(str(place), {}).keys == place.keys


def preset_file(data: bytes) -> None:
    """A file in presets.d is a preset that obeys the rules, or it is reported."""
    where = folder() / "presets.d"
    where.mkdir(exist_ok=True, mode=0o700)
    (where / "acme.toml").write_bytes(data)
    user_presets._read.clear()
    (found,) = user_presets.read(where, {}).values()
    if not isinstance(found, errors.SettingsError):
        user_presets.check(found)


def _load(paths: Paths, environ: dict[str, str]) -> None:
    with contextlib.suppress(errors.SettingsError):
        found = load(paths, environ)
        for problem in found.problems.values():
            code_and_hint(problem)
        for provider in found.providers.values():
            validators.origin(provider.base_url)
            validators.is_private_host(provider.base_url)


def schema(data: bytes) -> None:
    """A schema is refused, or it judges any answer."""
    with contextlib.suppress(errors.SchemaError):
        found = schema_from(text_of(data), folder=folder())
        for reply in ('{"name": "x", "age": 1}', "[1]", "x", "```json\n{}\n```", text_of(data)):
            try:
                matching_json(reply, found)
            except errors.SchemaMismatchError as error:
                retry_message(error, found)


def schema_short(data: bytes) -> None:
    """The short form is refused, or a schema that is valid."""
    with contextlib.suppress(errors.SchemaError):
        schema_from(short_form(text_of(data)))


def template(data: bytes) -> None:
    """A template is refused with its line, or can be filled."""
    for suffix in (".toml", ".md"):
        with contextlib.suppress(errors.TemplateError, errors.VariableError):
            found = parse(text_of(data), Path(f"x{suffix}"))
            own = {name: "v" for name in variables(found) if name not in ("stdin", "prompt")}
            fill(found, stdin="s", typed="t", values=own)


def case_file(data: bytes) -> None:
    """A file of test cases is refused with the place of the mistake, or its cases can be checked."""
    from provider_core.structured import failures
    from telex.commands.test.cases import read_cases

    def no_template(name: str) -> NoReturn:
        raise errors.TemplateError(f"unknown template: {name}")

    with tempfile.TemporaryDirectory() as folder:
        for name in ("x.toml", "x.jsonl"):
            path = Path(folder, name)
            path.write_bytes(data)
            with contextlib.suppress(click.UsageError):
                for case in read_cases(path, no_template):
                    for answer in ("", '{"a": [{"b": 1}]}'):
                        assert all(each.isprintable() for each in failures(case.expected, answer))


def batch_rows(data: bytes) -> None:
    """Whatever the input, each row has a result, which each format writes so that it is known again."""
    for input_format in (None, *FORMATS):
        rows: list[Row] = []
        with contextlib.suppress(errors.InvalidInputError):
            rows.extend(RowReader(io.BufferedReader(io.BytesIO(data)), input_format))  # type: ignore[arg-type]
        for row in rows:
            with contextlib.suppress(errors.InvalidInputError):
                _PLANNER.model(row)
                _PLANNER.plan(row, ModelOf(provider=LAB, model="m"))
        error = errors.CoreError("no answer")
        for output_format in ("jsonl", "csv", "tsv"):
            layout = ResultLayout(output_format, _PLANNER.row_hash, safe=output_format != "jsonl")
            lines = [layout.line(Result(row=row, error=row.error or error)) for row in rows]
            whole = io.BytesIO(layout.header + b"".join(lines))
            found = list(layout.entries(io.BufferedReader(whole)))  # type: ignore[arg-type]
            known = [(row.key.encode("utf-8", "replace").decode(), _PLANNER.row_hash(row)) for row in rows]
            assert [(entry.key, entry.row_hash) for entry in found] == known
            assert [entry.length for entry in found] == [len(line) for line in lines]


def proposed_command(data: bytes) -> None:
    """A command can be shown as it is, or its hidden characters are known; and it is checked in little time."""
    command = text_of(data)
    shown = revealed(command)
    assert not hidden_characters(shown)
    assert (shown == command) == (not hidden_characters(command))
    assert all(each.isprintable() for each in shown.replace("\n", "").replace("\t", ""))
    assert len(set(marks(command))) == len(marks(command))


def providers_import(data: bytes) -> None:
    """A file of providers is refused, or imported."""
    inside = _inside()
    inside.configure("")
    _run(inside, "providers", "import", "-", stdin=data)
    _run(inside, "providers", "list", "--json")


def mcp_import(data: bytes) -> None:
    """Another client's file is refused as a whole, or server by server."""
    with contextlib.suppress(errors.InvalidInputError):
        other_clients.read(text_of(data))
    inside = _inside()
    inside.configure("")
    _run(inside, "mcp", "import", "-", "--secrets", "keyring", stdin=data)
    _run(inside, "mcp", "list", "--json")


# --- the command line --------------------------------------------------------------------------------------------


def command_line(data: bytes) -> None:
    """Any arguments, one per line."""
    inside, lab = _inside(), _lab()
    inside.store = MemoryStore()
    lab.will(answer("Hello."))
    inside.configure(
        f'model = "lab/m"\n[providers.lab]\nbase_url = "{lab.url}"\nkey = "none"\nmodels = ["m"]\n'
    )
    text = data.replace(b"\x00", b"").decode("utf-8", "surrogateescape")  # as the system passes arguments
    words = text.replace("URL", lab.url).split("\n")
    _run(inside, *words, stdin=b"piped text\n")


_LINES = (
    "chat hi", "chat -m lab/m --json hi", "chat --jsonl -s x --temperature 0.5 --max-tokens 3 hi", "chat -x -q hi",
    "chat -f file.txt --no-stream hi", "chat -i file.txt hi", "chat --schema name hi", "chat --template t --var a=b hi",
    "chat -p top_p=1 --param x=[1] hi", "chat -o out.txt hi", "chat -c hi", "chat --conversation x hi", "chat --dry-run hi",
    "chat --tools x --allow x/* --max-turns 2 hi", "chat --timeout 3 --retries 0 hi", "chat --save-images d hi",
    "chat -m lab/m -m lab/n hi", "models", "models list lab --refresh --json", "models show lab/m", "models default lab/m",
    "models alias add fast lab/m", "models add lab x --context 5", "models alias list", "providers list --json",
    "providers add two --base-url URL --no-key --no-verify", "providers add three URL --key-env X_KEY --no-verify",
    "providers edit lab --header a=b --proxy URL", "providers show lab --json", "providers rename lab new",
    "providers remove lab --yes", "providers test lab", "providers export -", "providers import file.txt",
    "providers presets openai", "providers discover", "providers set-key lab --key-stdin", "mcp list --json",
    "mcp add x --env A=b -- true y", "mcp add y --url URL --header a=b", "mcp remove x --yes", "mcp import file.txt",
    "mcp test x", "mcp set-secret x.y --key-stdin", "history list --json", "history show", "history search a b",
    "history export --all --format jsonl", "history rename x y", "history remove x --yes", "usage --since 30d --by model", "usage --csv --provider x", "test x.toml -m lab/m", "history prune --older-than 3d --yes",
    "templates list", "templates show x", "templates add x --prompt y", "templates remove x --yes", "completion bash",
    "doctor --json", "doctor", "help keys", "help chat", "--version", "chat --help", "nonsense", "",
)  # fmt: skip
_HOSTILE = (
    b"\xff", b"\xed\xa0\x80", b"x" * 300, b"/" + b"y" * 300, b"loop/x", b"file.txt/x", b".", b"..", b"/", b"//",
    b"", b" ", b"-", b"--", b"-1", b"0", b"nan", b"inf", b"-inf", b"1e400", b"1e999999", b"9" * 5000, b"99999999999999999999",
    b"1d", b"99999999999d", b"=", b"a=", b"=b", b"a=b", b"{", b"[", b"[[[[", b"{}", b"null", b"*", b"lab/", b"/m", b"lab/m",
    b"lab", b"URL", b"http://", b"http://[", b"http://[::1]:99999/", b"http://x:y/", b"http://p\xc3\xb6xy:1", b"http://xn--/",
    b"http://a@b:c@d/", b"socks5://" + b"z" * 300 + b":1", b"file:///x", b"\xe2\x80\xae", b"\x1b[2J", b"~", b"~nobody/x",
    b"$X", b"%s", b"{x}", b"keyring:x", b"env:X", b"env:", b"Authorization=x", b"\xc2\xa0", b"a,b,,", b"x int int", b"?",
)  # fmt: skip
_OPTIONS = tuple(
    f"\n{name}\n".encode()
    for name in sorted({name for _, each in commands() for param in each.params for name in param.opts})
    if name.startswith("-")
)


# --- the table ---------------------------------------------------------------------------------------------------


def _bytes(*values: Any) -> tuple[bytes, ...]:
    """Text as UTF-8, and anything else as JSON."""
    return tuple((value if isinstance(value, str) else json.dumps(value)).encode() for value in values)


_CALL = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
_COMPLETION = {
    "id": "c", "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi.",
    "reasoning_content": "hm", "tool_calls": [_CALL]}, "finish_reason": "stop", "logprobs": {"content": []}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 1}},
}  # fmt: skip
_STREAMS = (
    b"".join(answer("Hello, ", "world.", usage={"prompt_tokens": 1, "completion_tokens": 2})),
    b"".join([*sse(delta("<think>a</think>b"), delta(tool_calls=[_CALL]), delta(finish="tool_calls")), DONE]),
    b"".join(sse(delta("a", annotations=[{"type": "url_citation", "url_citation": {"url": "http://x", "title": "t"}}]),
                 delta("b", images=[{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]),
                 {"error": {"message": "overloaded", "code": 529}})),
    b"event: error\ndata: {\"error\": \"x\"}\n\n",
)  # fmt: skip
_ERRORS = _bytes(
    {"error": {"message": f"key {SECRET} is wrong", "type": "invalid_request_error", "param": "top_p", "code": "x"}},
    {"detail": [{"loc": ["body", "seed"], "msg": "extra fields not permitted", "type": "extra_forbidden"}]},
    {"error": {"message": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", "code": None}},
    {"error": {"metadata": {"raw": '{"error": {"message": "x"}}'}, "message": "Provider returned error"}},
    "<html><title>502</title></html>", 'data: {"error": {"message": "x"}}\n\n', "plain words",
    {"errors": ["a", {"message": "b"}], "status": 1}, [{"error": {"code": 429, "details": [{"retryDelay": "3s"}]}}],
)  # fmt: skip
_MODELS = _bytes(
    {"object": "list", "data": [{"id": "m", "context_length": 5, "capabilities": {"vision": True}}], "has_more": True},
    {"models": [{"name": "m", "details": {"family": "x"}, "supportedGenerationMethods": ["generateContent"]}]},
    {"result": {"data": ["a", "b"]}, "result_info": {"page": 1, "per_page": 1, "total_count": 3}},
    {"data": [{"model_name": "m", "model_info": {"max_input_tokens": "5"}, "architecture": {"input_modalities": ["text"]},
               "supported_parameters": ["tools"], "top_provider": {"context_length": 1e3}}], "next": "http://x?a=b"},
    {"data": [{"id": "m", "pricing": {"prompt": "0.000001", "completion": "1e-7", "request": "-1", "input_tiers": [{}]},
               "providers": [{"pricing": {"input": 0.5, "output": 1}}]}]},
)  # fmt: skip
_WORDS = _bytes(
    "{", "}", "[", "]", "[[", ",", ":", ".", "#", "\n", '"', "'", '"""', "=", "null", "true", "1", "-", "99999", "1e999",
    "NaN", "nan", "inf", "1e400", "2020-01-01", "12:00:00", "\\", "\\ud800", "\\u0000", "http://", "https://[", "~x/", "%41",
)  # fmt: skip
_SSE_WORDS = (
    b"data: ", b"\n\n", b"\r\n", b"event: error\n", b"[DONE]", b": ping\n", b"<think>", b"</think>", b"```",
    *(f'"{name}":'.encode() for name in ("choices", "delta", "message", "error", "usage", "text", "reasoning", "images")),
)  # fmt: skip
_MARKDOWN_WORDS = _bytes(
    "# ", "> ", ">", "- ", "-", "1. ", "1) ", "* ", "+ ", "    ", "  ", "\n", "\n\n", "```", "```py\n", "~~~", "````md\n",
    "|", "| a | b |\n", "|---|:-:|\n", "---", "===", "***", "**", "__", "*", "_", "~~", "`", "``", "[", "](", ")", "]: ",
    "[a]: http://x \"t\"\n", "[a]", "[^1]", "![", "<", ">", "<br>", "<!--", "-->", "<div>", "&amp;", "&#0;", "&#xd800;",
    "\\", "\\(", "\\)", "\\[", "\\]", "$", "$$", "$$\n", "C:\\x y\\", "http://a_b_c", "<http://x>", "- [ ] ", "[x] ", "\\|",
    "word ", "漢字。", "\t", "\r\n", "\r", "+++",
)  # fmt: skip
_MARKDOWN = _bytes(
    "# Title\n\nText **bold** `code` [link](http://x \"t\") and $x_1$.\n\n- a\n  1. b\n     > c\n\n| a | b |\n|---|---|\n"
    "| 1 | 2 | 3 |\n\n```python\nx = 1\n```\n\n[r]: http://x\n\n[r] \\(x\\)\n",
    "> - > 1. x\n>   ```\n>   y\n\n\\[\na = b\n- c\n\\]\n\n***\n", "word " * 300, "- a\n" * 40, "| a |\n|---|\n" + "| b |\n" * 40,
    "````md\n```py\nx\n```\n````\n", "\ue000# not a title\n", "漢字" * 400, "a\\\nb  \nc <br> d\n===\n", "",
)  # fmt: skip
_SETTINGS = _bytes(
    'model = "lab/m"\nusage = "short"\nhistory = true\nlocal_threads = 3\n[aliases]\nfast = "lab/m"\n'
    '[providers.lab]\nbase_url = "http://127.0.0.1:9/v1"\nkey = "none"\nkey_command = "x y"\nmodels = ["m", {id = "n", '
    'context = 5}]\nheaders = {X-A = "b", X-Key = "env:B"}\nproxy = "http://u:p@h:1"\nfirst_byte_timeout = 3\n',
    '[providers.a]\npreset = "azure"\nvariables = {resource = "x"}\n[providers.b]\ngguf = "~/x.gguf"\n',
    '[mcp.files]\ncommand = ["x", "y"]\nenv = {A = "keyring:B"}\nallow = ["r_*"]\ncwd = "~"\n[mcp.web]\nurl = "https://x/mcp"\n'
    'headers = {Authorization = "Bearer env:X"}\ncall_timeout = 3.5\n',
)  # fmt: skip
_SETTING_WORDS = _bytes(
    "providers", "mcp", "aliases", "model", "proxy", "ca_bundle", "gguf", "env:", "keyring:", "allow"
)
_VARIABLES = _bytes(
    'PROVIDERS={"lab": {"base_url": "http://127.0.0.1:9/v1", "models": ["m"]}}\nMODEL=lab/m\nHISTORY=0',
    'MCP={"x": {"command": ["y"], "env": {"A": "b"}}}\nALIASES={"fast": "lab/m"}\nUSAGE=full\nREASONING=hide',
    "MARKDOWN=false\nLOCAL_THREADS=4\nMODELS_LIFETIME=5.5\nCODE_THEME=x\nproviders=[]\nPROVIDERS__LAB__KEY=x",
)  # fmt: skip
_SCHEMAS = _bytes(
    {"type": "object", "properties": {"name": {"type": "string"}, "age": {"$ref": "#/$defs/n"}}, "required": ["name"],
     "$defs": {"n": {"type": "integer", "minimum": 1}}},
    {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "array", "items": {"enum": [1, "a"]}}}},
    {"$schema": "http://json-schema.org/draft-04/schema#", "id": "http://x/y", "anyOf": [{"type": "string", "pattern": "a+"},
     {"patternProperties": {"^x": {}}, "additionalProperties": False}], "definitions": {"a": {"$ref": "#"}}},
    {"type": ["object", "null"], "properties": {"a": {"oneOf": [{"const": 1}, {"type": "array"}]}}, "if": {}, "then": False,
     "dependentSchemas": {"a": {"not": {}}}, "unevaluatedProperties": {"$dynamicRef": "#x"}, "$id": "x", "format": "regex"},
)  # fmt: skip
_SCHEMA_WORDS = _bytes(
    '"pattern":', '"$anchor":', '"$dynamicRef":', '"multipleOf":', '"#"', '"#/x"', '"http://x"', '"urn:x"', '"((a+)+)+$"', '"("',
)  # fmt: skip
_SHORT = _bytes("name, age int, tags list", "[a str?: words, b low|high]", "a: b\nc list[list[int]]?: d")
_IMPORTS = _bytes(
    {"mcpServers": {"files": {"command": "npx", "args": ["-y", "x"], "env": {"A": "${env:B}", "T": SECRET}, "timeout": 5}}},
    {"servers": {"web": {"type": "http", "url": "https://x/mcp", "headers": {"Authorization": "Bearer ${input:t}"}}}},
    {"context_servers": {"z": {"command": {"path": "x", "args": [], "env": {}}, "enabled": False}}},
    {"mcp": {"o": {"type": "local", "command": ["a", "b"], "environment": {"A": 1}, "alwaysAllow": ["x"]}}},
    {"mcpServers": [{"name": "c", "url": "https://x/sse", "requestOptions": {"headers": {}}}]},
    '// c\n{"mcpServers": {"x": {"url": "http://127.0.0.1:9/mcp",}, /* d */ },}',
)  # fmt: skip
_HTTP = tuple(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + each for each in _STREAMS[:2])
_HTTP_WORDS = (
    *_SSE_WORDS, b"HTTP/1.1 ", b"200", b"999", b"\r\n", b"\r\n\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Content-Encoding: gzip\r\n", b"Location: http://[\r\n", b"Retry-After: 1e9\r\n", b"Content-Type: \xff\r\n",
    b"Set-Cookie: a=b\r\n", b"ffffffffffffffff\r\n",
)  # fmt: skip
_PLANNER = planner(
    prompt=inline("{{ a }} {{ b_c | d }}", "the prompt"), request=Request(model="", messages=())
)
_ROWS = _bytes(
    'id,a,b c\n1,"x\ny",=1\n"-2",é,\n', "id\ta\n=1\tx\n", "one\ntwo\n",
    '{"id": 1, "a": "x", "max_tokens": 5, "params": {"top_p": 1}}\n"text"\n{"a": [1], "messages": [{"role": "user"}]}\n',
)  # fmt: skip
_COMMANDS = tuple("\n".join(line.split(" ")).encode() for line in _LINES)

TARGETS = {
    "attachment": Target(
        attachment,
        _bytes("text/plain; charset=utf-16\n*.log\n!keep.log\n/build/\n**/x/**\n", "*.{txt,md}\n*a*b*c\n[!a-z]\\ \n\\#x\n",
               "**/[ab]*:1-3\nRIFF0000WAVEfmt 0000"),
        _bytes("?", "charset=", "text/plain", ":1-", "ID3\x03\0", "<svg"),
    ),
    "error-body": Target(error_body, _ERRORS, (SECRET.encode(), b"not supported", b"'seed'", b"unknown")),
    "model-list": Target(model_list, _MODELS),
    "server": Target(server, (*_HTTP, *_STREAMS, *_bytes(_COMPLETION), *_ERRORS, *_MODELS), _HTTP_WORDS, slow=True),
    "markdown": Target(markdown, _MARKDOWN, _MARKDOWN_WORDS, slow=True),
    "settings-file": Target(settings_file, _SETTINGS, _SETTING_WORDS, slow=True),
    "settings-variables": Target(settings_variables, _VARIABLES, (*_SETTING_WORDS, b"TELEX_", b"=\n"), slow=True),
    "settings-project": Target(
        settings_of_a_project,
        _bytes('model = "fast"\nsystem = "x"\ntemplates = "p"\nallow = ["a/*"]\n[params]\ntop_p = 0.9\n',
               '[aliases]\nfast = ["lab/m"]\n[aliases.slow]\ntarget = "lab/m"\ntemplate = "t"\nparams = { seed = 1 }\n'),
        _bytes("..", "/", "providers", "targets"),
        slow=True,
    ),
    "setting-by-name": Target(
        setting_by_name,
        _bytes("reasoning\nshow", "providers.lab.headers.X-A\n1", 'aliases."a.b"\n["x"]', "params.top_k\n20"),
        _bytes("mcp", "models", "budget"),
    ),
    "preset-file": Target(
        preset_file,
        _bytes('base_url = "https://a.example/{t}/v1"\nvariables = [{ name = "t", env = ["A_T"] }]\nkey_env = ["A_KEY"]\n',
               'base_url = "http://127.0.0.1:9/v1"\nkind = "local"\nkey_required = false\nquirks = { stream_usage = false }\n'
               'models = ["m", { id = "n", context = 1000 }]\nheaders = { X = "1" }\n'),
    ),
    "schema": Target(schema, (*_SCHEMAS, *_SHORT), _SCHEMA_WORDS, slow=True),
    "schema-short": Target(schema_short, _SHORT, _bytes("?", "|", "list["), slow=True),
    "template": Target(
        template,
        _bytes('model = "lab/m"\nprompt = "Say {{ word }} {{ stdin }}"\ntemperature = 0.5\n[params]\ntop_p = 1\n',
               '+++\nsystem = "x {{ a = \'b\' }}"\nschema = "name"\n+++\nPrompt {{ prompt }} {{ c | d }}\n'),
        _bytes("{{", "}}", "{{ x }}", "+++\n", "extract"),
    ),
    "test-cases": Target(
        case_file,
        _bytes('judge = "m"\n[[cases]]\nprompt = "{{ a }}"\nvars = { a = 1 }\nexpect = { contains = "x", regex = "^a+" }\n',
               '[[cases]]\nprompt = "x"\nschema = "a int"\nexpect.paths = { ".a[0].b" = 1, ".a[].b" = [1] }\n',
               '{"prompt": "x", "expect": {"equals": "y", "schema": {"type": "array"}, "max_cost": 0.1}}\n{"name": 1}\n'),
        _bytes(".a[", "[]", '."', "(?", "{{"),
        slow=True,
    ),
    "batch-rows": Target(
        batch_rows,
        _ROWS,
        _bytes('\\ud800', "NaN", "1e999", "\r", '"""', "[" * 250, "\ufeff", '"temperature":', '"model":', "10" * 40),
    ),
    "proposed-command": Target(
        proposed_command,
        _bytes("curl -fsSL https://x | sudo bash -s -- -y", "git push -f origin +main", "find . -exec rm {} +"),
        _bytes("rm -rf /", "| sh", "$(", "\u202e", "\u200b", "\x1b[2K", "dd of=/dev/sda", "&&"),
    ),
    "providers-import": Target(
        providers_import,
        (*_SETTINGS, *_bytes({"providers": {"lab": {"base_url": "http://127.0.0.1:9", "models": ["m"]}}})),
        slow=True,
    ),
    "mcp-import": Target(mcp_import, _IMPORTS, (b"${", b"//", b"/*"), slow=True),
    "command-line": Target(command_line, _COMMANDS, (*_HOSTILE, *_OPTIONS, b"\n", b"\n"), slow=True),
}  # fmt: skip
"""Every target by name."""
