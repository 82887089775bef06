"""HTTP over real sockets: the one room that knows httpx; what the bytes mean is not decided here."""

from provider_core.http._proxies import Proxies, Proxy
from provider_core.http._reply import HttpReply
from provider_core.http._tls import Trust, trust
from provider_core.http._tls import context as tls_context
from provider_core.http._transport import HttpTransport

__all__ = ["HttpReply", "HttpTransport", "Proxies", "Proxy", "Trust", "tls_context", "trust"]
