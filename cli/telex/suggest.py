"""Advice for command lines that telex does not understand, and redaction of keys in them.

It is imported only after a mistake. What other programs call an option or a command is listed here, too.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import click

from provider_core.redaction import close_matches, redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CUTOFF = 0.7
"""Names that are less alike than this are not suggested."""

# --- keys on the command line ---------------------------------------------------------------------------------------

_KEY_OPTIONS = re.compile(
    r"-k|--?(?!max|secrets\b)(?:\w+[-_])?(?:api[-_]?)?(?:key|token|secret|password|passwd|bearer|auth|credentials?)s?(?:=.*)?",
    re.IGNORECASE | re.DOTALL,
)
"""Options of other programs that take a key as their value."""
_KEY = re.compile(
    r"\b(?:sk|pk|rk|csk|nvapi|pplx|glpat|fw|xai|gsk|hf|r8|ghp|gho|tgp_v1|github_pat)[-_][\w-]{3,}(?:\.[\w-]+)*"
    r"|\bAIza[\w-]{20,}|\bAKIA\w{12,}|\beyJ[\w-]{8,}(?:\.[\w-]+)*|\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{32,128}(?:\.\w+)?\b"
)
"""The form of providers' keys. Anything that may be one is redacted, so this matches more than ``values`` does."""


def without_keys(text: str, arguments: Sequence[str]) -> str:
    """Return ``text`` with everything redacted that is or may be a key among ``arguments``."""
    found = [match for word in arguments for match in _KEY.findall(word)]
    for at, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if _KEY_OPTIONS.fullmatch(name):
            found += [value] if equals else [each for each in arguments[at + 1 : at + 2] if each[:1] != "-"]
    return redact(text, found) if found else text


def _key_advice(ctx: click.Context) -> str:
    """How to pass a key to the command of ``ctx``."""
    options = {name for param in ctx.command.params for name in param.opts}
    if "--key-stdin" in options:
        how = "Leave it out to be prompted for it, or use --key-stdin or --key-env VAR."
    elif "telex mcp" in ctx.command_path:
        how = "Store it: telex mcp set-secret NAME\nThen use it: --env VARIABLE=keyring:NAME"
    else:
        how = _ADD.format(name="NAME")
    return f"do not pass a key as an argument: other programs and your shell history can see it\n{how}"


# --- options --------------------------------------------------------------------------------------------------------

_OTHER_NAMES: Mapping[str, str] = {
    "-C --continue-last --resume": "--continue",
    "--cid --session": "--conversation",
    "--no-cache --no-history --no-log -n": "--no-save",
    "--prompt": "--system",
    "--role": "--template --system",
    "-r": "--template --plain",
    "--no-md --raw": "--plain",
    "--format --output-format": "--json",
    "--code": "--extract",
    "-S": "--no-stream",
    "--debug": "--verbose",
    "--attach": "--file --image",
    "--attachment -a": "--image --file",
    "--temp": "--temperature",
    "--effort --think --no-think": "--reasoning-effort",
    "--provider": "--model",
    "--tool -T": "--tools",
    "--retry": "--retries",
    "--concurrency --parallel --workers": "--jobs",
    "--api-base --host --url": "--base-url",
    "--no-verify-ssl": "--ca-bundle",
    "--budget": "--max-cost",
    "--daily --group-by": "--by",
    "--days --today": "--since",
    "--force": "--yes --replace",
    "-y": "--yes",
}
"""Options of other programs -> the options of telex that do the same."""

_SENTENCES: Mapping[str, str] = {
    **dict.fromkeys(("--color", "--no-color"), "Colors are for terminals only. To turn them off: NO_COLOR=1"),
    **dict.fromkeys(("--execute", "--shell", "-e"), "Get a command for your shell: telex shell"),
    "--interactive": "Leave out the prompt for a conversation: telex chat",
    **dict.fromkeys(("--list-models", "--model-list"), "List the models: telex models list"),
    "--list-sessions": "List the conversations: telex history list",
    "--settings": "Where the settings are: telex doctor",
    **dict.fromkeys(("--top-p", "--topp"), "Set it as a field of the request: -p top_p=0.9"),
    "--seed": "Set it as a field of the request: -p seed=1",
    "--stop": "Set it as a field of the request: -p stop=END",
    "--n": "Set it as a field of the request: -p n=2",
    **dict.fromkeys(("--version", "-V"), "Show the version: telex --version"),
}
"""An option of other programs -> advice where telex has a command or a field; for commands that send a prompt."""


def usage_message(ctx: click.Context, error: click.UsageError, given: Sequence[str], otherwise: str) -> str:
    """The message for an error in the arguments ``given``, with advice and without keys."""
    match error:
        case click.NoSuchOption():
            if _KEY_OPTIONS.fullmatch(error.option_name):
                return _key_advice(ctx)
            word = next((each for each in given if each.startswith(error.option_name)), error.option_name)
            advice = _option_advice(ctx, word.partition("=")[0], given, otherwise)
            message = f"unknown option: {word}\n{advice}"
        case _ if "unexpected extra argument" in error.message and any(map(_KEY.fullmatch, given)):
            return _key_advice(ctx)
        case _:
            message = error.format_message().replace("valid integer range", "whole number")
            message = message.replace("valid float range", "number")
    return without_keys(message.rstrip(), given)


def _option_advice(ctx: click.Context, word: str, given: Sequence[str], otherwise: str) -> str:
    """Advice for the option ``word``, which the command does not have."""
    command = ctx.command
    if isinstance(command, click.Group):
        below = next((each for each in given if each in command.list_commands(ctx)), None)
        if below is not None:
            rest = shlex.join([each for each in given if each != below])
            return f"Put the options of a command after it: {ctx.command_path} {below} {rest}"
    if word == "--profile":
        return f"Put it before the command: telex --profile NAME {' '.join(ctx.command_path.split()[1:])}"
    names = [name for param in command.get_params(ctx) for name in (*param.opts, *param.secondary_opts)]
    options = [name for name in names if name.startswith("-")]
    if "--temperature" in options and word in _SENTENCES:
        return _SENTENCES[word]
    found = [] if " " in word else _similar_options(word, options)
    if found:
        return f"Did you mean {' or '.join(found)}?"
    if ctx.parent is None and isinstance(command, click.Group):
        chat = command.get_command(ctx, "chat")
        if chat is not None and any(word in (*param.opts, *param.secondary_opts) for param in chat.params):
            return f"It is an option of telex chat: {shlex.join(['telex', 'chat', *given])}"
    return otherwise.format(word=shlex.quote(word))


def _similar_options(word: str, options: Sequence[str]) -> list[str]:
    """Options that ``word`` may stand for: it is another program's name, a beginning, or misspelled."""
    known = [name for name in _meant(word, _OTHER_NAMES) if name in options]
    if known or not word.startswith("--"):
        return known or [name for name in options if name.lower() == word.lower()]
    wanted = word.replace("_", "-").lower()
    if wanted in options:
        return [wanted]
    longer = [name for name in options if name.startswith(wanted)]
    if len(wanted) > 3 and 1 <= len(longer) <= 3:
        return longer
    # The dashes would make any two options alike.
    names = [name[2:] for name in options]
    return [f"--{name}" for name in close_matches(wanted[2:], names, most=1, cutoff=_CUTOFF)]


def _meant(word: str, table: Mapping[str, str]) -> list[str]:
    """The words that a table has for ``word``, which is one of several in a key."""
    return next((meant.split() for words, meant in table.items() if word in words.split()), [])


# --- commands -------------------------------------------------------------------------------------------------------

_VERBS: Mapping[str, str] = {
    "cat describe get info inspect view": "show",
    "ls": "list",
    "find": "search discover",
    "grep": "search",
    "scan": "discover",
    "create new": "add edit",
    "init": "add",
    "change configure modify unset update write": "edit",
    "set": "edit default",
    "default use": "default",
    "move mv": "rename",
    "del delete rm uninstall": "remove",
    "clean clear purge reset wipe": "prune remove",
    "auth login": "set-key",
    "key": "set-key set-secret",
    "check ping verify": "test",
    "save": "export",
}
"""Verbs -> the commands that do them; those that the group has are suggested."""

_ADD = "Set up a provider: telex providers add {name}\nReplace its key: telex providers set-key {name}"
_SETTINGS = "Change a setting: telex config set KEY VALUE (telex config list shows them all)"
_ASK = "To ask a model: telex chat {rest}"
_PULL = (
    "telex downloads no models. Find the model servers on this machine: telex providers discover\n"
    "Use a model file: telex providers add NAME --gguf FILE"
)
_ROOT: Mapping[str, str] = {
    **dict.fromkeys(("login", "auth", "signin", "logout", "key", "keys", "apikey", "set-key"), _ADD),
    **dict.fromkeys(("init", "setup", "install", "connect"), "Set up a provider: telex providers add {name}"),
    **dict.fromkeys(("configure", "settings", "set", "get", "preferences"), _SETTINGS),
    **dict.fromkeys(("ask", "prompt", "query", "generate", "complete", "send", "q"), _ASK),
    **dict.fromkeys(("repl", "interactive", "start", "new"), "To start a conversation: telex chat"),
    **dict.fromkeys(("cmd", "command", "exec", "explain"), "Propose or explain a command: telex shell --help"),
    **dict.fromkeys(("pull", "download"), _PULL),
    **dict.fromkeys(("upgrade", "update", "self-update"), "Upgrade telex: {upgrade}"),
    **dict.fromkeys(
        ("log", "logs", "session", "sessions", "conversation", "conversations", "chats"),
        "List the conversations: telex history list",
    ),
    **dict.fromkeys(("serve", "server", "ps"), "Find the model servers on this machine: telex providers discover"),
    **dict.fromkeys(("status", "check", "diagnose", "info"), "Check the installation: telex doctor"),
    **dict.fromkeys(("tool", "tools", "plugins"), "List the servers of tools: telex mcp list"),
    **dict.fromkeys(("prompts", "roles", "role"), "List the saved prompts: telex templates list"),
    **dict.fromkeys(("cost", "stats", "spend", "tokens", "budget"), "Show tokens and costs: telex usage"),
    **dict.fromkeys(("price", "prices", "pricing"), "Show prices: telex models list --sort price"),
    **dict.fromkeys(("alias", "aliases", "fallback"), "Set and show aliases: telex models alias"),
    **dict.fromkeys(("eval", "evals"), "Check the answers to prompts: telex test --help"),
    "use": "Set the default model: telex models default {rest}",
    "version": "Show the version: telex --version",
}  # fmt: skip
"""A command of other programs -> advice."""


def unknown_command(
    ctx: click.Context, group: click.Group, arguments: Sequence[str], names: Sequence[str]
) -> str:
    """The message for ``arguments``, which begin with none of ``names``, the commands of ``group``; without keys."""
    if _KEY.fullmatch(arguments[0]):
        return _key_advice(ctx)
    message = f"unknown command: {arguments[0]}\n{_command_advice(ctx, group, arguments, names)}"
    return without_keys(message, arguments)


def _command_advice(
    ctx: click.Context, group: click.Group, arguments: Sequence[str], names: Sequence[str]
) -> str:
    name, rest = arguments[0].lower(), list(arguments[1:])
    is_root = ctx.parent is None
    if is_root and name in _ROOT:
        return _root_advice(ctx, name, rest)
    if is_root and name == "run":
        model = ["-m", rest[0]] if rest else []
        return f"To ask a model: {shlex.join(['telex', 'chat', *model, *rest[1:]])}"
    if is_root and not rest:
        from importlib.resources import files

        # Listed without an import of ``telex.help``, which imports this module.
        if f"{name}.md" in {page.name for page in files("telex").joinpath("help", "topics").iterdir()}:
            return f"{name} is a help topic: telex help {name}"
    verbs = _meant(name, _VERBS)
    meant = [verb for verb in verbs if verb in names]
    meant = meant or list(close_matches(name, names, most=1, cutoff=_CUTOFF))
    found = [shlex.join([*ctx.command_path.split(), each, *rest]) for each in meant]
    if is_root and not found:
        found = [f"telex {noun} {verb}" for noun, verb in subcommands(ctx, group, {name, *verbs})]
    if found:
        return f"Did you mean {' or '.join(f'`{each}`' for each in found)}?"
    return f"To ask a model: telex chat {shlex.join(arguments)}" if is_root else f"It has: {', '.join(names)}"


def _root_advice(ctx: click.Context, name: str, rest: Sequence[str]) -> str:
    from telex.app import App
    from telex.error_hints import upgrade_command

    app = ctx.find_object(App)
    names = [word for word in rest if not _meant(word, _VERBS)]  # keys set openai
    advice = _ROOT[name].format(
        name=shlex.quote(names[0]) if names and not _KEY.fullmatch(names[0]) else "NAME",
        rest=shlex.join(rest),
        settings=app.runtime.paths.settings_file if app is not None else "settings.toml",
        upgrade=upgrade_command(),
    )
    return advice.rstrip()


def subcommands(ctx: click.Context, group: click.Group, names: set[str]) -> list[tuple[str, str]]:
    """The commands of the groups below ``group`` that have one of these names."""
    groups = {name: group.get_command(ctx, name) for name in group.list_commands(ctx)}
    return [
        (noun, verb)
        for noun, command in groups.items()
        if isinstance(command, click.Group)
        for verb in command.list_commands(ctx)
        if verb in names
    ]
