"""A real llama.cpp server whose small model calls tools: it has no template for them, and is shown three calls.

As soon as it begins one, llama.cpp's grammar of the offered tools takes over.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEMPLATE = r"""
{%- if tools %}
{{- '<|im_start|>system\nYou may call these functions:\n<tools>' }}
{%- for tool in tools %}{{- '\n' }}{{- tool | tojson }}{%- endfor %}
{{- '\n</tools><|im_end|>\n' }}
{%- if messages[-1].role == 'user' %}
{%- for city in ('Rome', 'Paris', 'Lima') %}
{{- '<|im_start|>user\nWeather in ' + city + '?<|im_end|>\n<|im_start|>assistant\n<tool_call>\n' }}
{{- '{"name": "' + tools[0].function.name + '", "arguments": {"city": "' + city + '"}}\n</tool_call><|im_end|>\n' }}
{%- endfor %}
{%- endif %}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'tool' %}
{{- '<|im_start|>user\n<tool_response>\n' + message.content + '\n</tool_response><|im_end|>\n' }}
{%- else %}
{{- '<|im_start|>' + message.role + '\n' }}
{%- if thinking_shown %}{{- message.reasoning_content }}{%- endif %}
{%- if message.content %}{{- message.content }}{%- endif %}
{%- for tool_call in message.tool_calls or [] %}
{{- '<tool_call>\n{"name": "' + tool_call.function.name + '", "arguments": ' }}
{{- tool_call.function.arguments | tojson }}
{{- '}\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}
"""

SERVE = """
import json, os, sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.chat_template = json.loads(sys.stdin.readline())
params.verbosity, params.warmup, params.ui, params.use_jinja = 1, False, False, True
params.hostnames, params.port, params.n_parallel, params.n_ctx = ["127.0.0.1"], 0, 1, 2048
params.cpuparams.n_threads = 1
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
os._exit(0)
"""


@contextlib.contextmanager
def serving(model: Path) -> Iterator[str]:
    """The address of the server, for as long as the block runs."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps([str(model), TEMPLATE]) + "\n")
        child.stdin.flush()
        lines = (line.strip() for line in child.stdout)
        yield next(line for line in lines if line.startswith("http://"))
        child.stdin.close()
