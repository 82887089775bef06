"""A reader of the documents, who runs what they show as it is written, by a shell, against servers on this machine.

https goes through a proxy that leads every host to one scripted server, whose certificates are trusted here; what a
reader has and a test machine has not (pass, ssh, uvx, a model file) is put in its place.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import ssl
import subprocess
from typing import TYPE_CHECKING, Any

import trustme
from batch_api import BatchApi
from pdf_files import pdf, words_of_page
from running import COMMAND, Telex
from scripted import Answer, Asked, Scripted, answer, delta, sse
from scripted_proxy import HttpProxy
from servers import in_json

from provider_core.local import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "sk-canary-0123456789abcdef"
ADDRESS = "http://127.0.0.1:8080/v1"
HOSTS = ("example.com", "llm.example.com", "api.deepseek.com", "api.groq.com", "api.openai.com")

FILES = {
    "CHANGELOG.md": "The sky is blue now.\n",
    "a.py": "# a line\n" * 40,
    "config.yaml": "timeout: 10\n",
    "data.csv": "year,sales\n2025,4\n2026,5\n",
    "dog.schema.json": '{"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}',
    "docs/network.md": "The timeout is in src.\n",
    "fetch.py": "import time\n",
    "notes.txt": "The sky was blue.\n",
    "prompts/classify.toml": '[[cases]]\nprompt = "Why is the sky blue?"\nmax_tokens = 5\n',
    "report.md": "Sales have doubled.\n",
    "rows.jsonl": '{"text": "Why is the sky blue?", "body": "The sky is blue."}\n',
    "src/a.py": "timeout = 10\n",
    "tickets.csv": "id,body\n1,It crashes.\n2,Please add a dark mode.\n",
}

PROGRAMS = {
    "make": "echo 'fetch.c:5: error: no such file'",
    "pass": f"echo {KEY}",
    "ssh": 'shift; TELEX_HOME="$HOME/elsewhere" exec "$@"',
    "xclip": 'case "$*" in *-out) echo "Teh sky is blue.";; *) cat > "$HOME/clipboard";; esac',
    "uvx": f'program=$1; shift; exec "{COMMAND.parent}/$program" "$@"',
}

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)

SETTINGS = """\
model = "lab"
[providers.lab]
base_url = "{url}"
key_env = "LAB_API_KEY"
[providers.lmstudio]
preset = "lmstudio"
base_url = "{url}"
[providers.deepseek]
preset = "deepseek"
[providers.groq]
preset = "groq"
[providers.openai]
preset = "openai"
"""


def serve(asked: Asked) -> Answer:
    """An answer to everything: lists, calls of the tools that are offered, JSON as it is asked for, else words."""
    if asked.path == "/post":
        return Answer([b"<p>The sky is blue.</p>"], headers={"content-type": "text/html"})
    if asked.method == "GET":
        return in_json({"data": [{"id": "m"}, {"id": "openai/gpt-oss-120b"}, {"id": "deepseek-v4-flash"}]})
    body = asked.body
    if "tools" in body and body["messages"][-1]["role"] != "tool":
        names = [tool["function"]["name"] for tool in body["tools"]]
        calls = [
            {"index": number, "id": f"c{number}", "function": {"name": name, "arguments": arguments}}
            for number, (name, arguments) in enumerate(_calls(names))
        ]
        if calls:
            return Answer([*sse(delta(tool_calls=calls), delta(finish="tool_calls"))])
    if "response_format" in body:
        asked_for = body["response_format"].get("json_schema", {})
        return Answer(answer(_fitting(asked_for.get("schema", {"type": "object", "properties": {}}))))
    usage = {"prompt_tokens": 9, "completion_tokens": 8}
    return Answer(answer("It scatters.\n", "\n```python\nprint('blue')\n```\n", usage=usage))


def _calls(names: list[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        if name.endswith("git_diff_unstaged"):
            yield name, '{"repo_path": "."}'
        if name.endswith("get_current_time"):
            yield name, '{"timezone": "UTC"}'


def _fitting(schema: Any) -> str:
    def fitting(schema: Any) -> Any:
        match schema:
            case {"enum": [first, *_]}:
                return first
            case {"type": "object", "properties": properties}:
                return {name: fitting(each) for name, each in properties.items()}
            case {"type": "array"}:
                return [fitting(schema.get("items", {}))]
            case {"type": "integer"}:
                return 4
            case _:
                return "Rex"

    return json.dumps(fitting(schema))


class Everywhere(dict[str, int]):
    """All hosts, at one port."""

    def __contains__(self, _: object) -> bool:
        return True

    def __missing__(self, _: str) -> int:
        return next(iter(self.values()))


class Reader:
    """Someone who types what is shown to them, in a folder with the things it speaks of."""

    def __init__(self, home: Path, model: Path, url: str, proxy: str, certificates: Path) -> None:
        self.home = home
        self.work = home / "work"
        self.url = url
        self.batches = BatchApi()
        programs = home / "bin"
        for folder in (self.work, programs, home / "models", home / ".cursor"):
            folder.mkdir()
        for name, text in FILES.items():
            (self.work / name).parent.mkdir(exist_ok=True)
            (self.work / name).write_text(text)
        pages = map(words_of_page, ("First page", "Second page", "Third page"))
        (self.work / "paper.pdf").write_bytes(pdf(*pages))
        (self.work / "shot.png").write_bytes(PIXEL)
        for name, line in PROGRAMS.items():
            (programs / name).write_text(f"#!/bin/sh\n{line}\n")
            (programs / name).chmod(0o755)
        (home / "models" / "qwen3-coder.gguf").symlink_to(model)
        (home / ".cursor" / "mcp.json").write_text(
            '{"mcpServers": {"clock": {"command": "uvx", "args": ["mcp-server-time"]}}}'
        )
        self.telex = Telex(home)
        models = self.telex.home / "data" / "models"
        models.mkdir(parents=True, mode=0o700)
        os.link(model, models / DEFAULT_MODEL.file)
        self.env = {
            **self.telex.env,
            "PATH": f"{programs}:{COMMAND.parent}:{os.environ['PATH']}",
            "PYTHON_KEYRING_BACKEND": "keyring_in_a_file.Keyring",
            "TEST_KEYRING": str(home / "keyring"),
            "TELEX_LOCAL_THREADS": "1",
            "HTTPS_PROXY": proxy,
            "SSL_CERT_FILE": str(certificates),
            "SHELL": "/bin/bash",
            "EDITOR": "true",
            "DISPLAY": ":0",
            "LAB_URL": url,
            **dict.fromkeys(("LAB_API_KEY", "DEEPSEEK_API_KEY", "GROQ_API_KEY", "OPENAI_API_KEY"), KEY),
        }
        commit = "git -c user.name=n -c user.email=e commit -q -a -m"
        self.runs(f"git init -q -b main && git add . && {commit} 'All of it'")
        self.runs(f"git switch -q -c feature && echo 'import sys' >> fetch.py && {commit} 'A part of it'")
        self.runs("echo 'import random' >> fetch.py && echo 'Costs, too.' >> report.md && git add report.md")

    def knows(self, more: str = "") -> None:
        """Has the usual providers set up, and what else there is in the settings."""
        self.telex.configure(SETTINGS.format(url=self.url) + more)

    def runs(self, text: str) -> None:
        done = subprocess.run(
            ["bash", "-xeuo", "pipefail", "-c", text.replace(ADDRESS, self.url)],
            cwd=self.work, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"the last of these did not end well:\n{done.stderr}"
        assert KEY not in done.stdout + done.stderr


@contextlib.contextmanager
def reading(folder: Path, model: Path) -> Iterator[Reader]:
    """A reader with a home below ``folder``, and the servers."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*HOSTS).configure_cert(context)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    home = folder / "home"
    home.mkdir()
    with (
        Scripted() as plain,
        Scripted(tls=context) as secure,
        HttpProxy(Everywhere(all=secure.port)) as proxy,
    ):
        reader = Reader(home, model, plain.url, proxy.url, folder / "ca.pem")

        def serve_all(asked: Asked) -> Answer:
            of_batches = re.match(r"/v1/(files|batches)\b", asked.path)
            return reader.batches(asked) if of_batches else serve(asked)

        for server in (plain, secure):
            server.will(serve_all)
        yield reader
