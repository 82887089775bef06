"""Scripted proxies on loopback ports: HTTP with CONNECT, and SOCKS5; names are known to them alone."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import struct
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

OK = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Proxy:
    """Takes connections, and leads those it allows to ``hosts``: name to a port of this machine."""

    scheme = ""

    def __init__(
        self,
        hosts: Mapping[str, int],
        *,
        auth: tuple[str, str] | None = None,
        says: bytes | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.asked: list[str] = []
        """The ``host:port`` of each request, as the client named it."""
        self.heads: list[bytes] = []
        self._hosts = hosts
        self._auth = auth
        self._says = says
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"{self.scheme}{'s' if tls else ''}://{self.address}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._socket, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
            self._open.append(client)
            server = self.greet(client)
        except (OSError, IndexError, struct.error):
            client.close()
            return
        if server is None:
            client.close()
            return
        self._open.append(server)
        back = threading.Thread(target=_carry, args=(server, client), daemon=True)
        back.start()
        _carry(client, server)
        back.join()
        client.close()
        server.close()

    def greet(self, client: socket.socket) -> socket.socket | None:
        raise NotImplementedError

    def lead(self, host: str, port: str | int) -> socket.socket | None:
        self.asked.append(f"{host}:{port}")
        return socket.create_connection(("127.0.0.1", self._hosts[host])) if host in self._hosts else None


class HttpProxy(Proxy):
    scheme = "http"

    def greet(self, client: socket.socket) -> socket.socket | None:
        head = b""
        while b"\r\n\r\n" not in head:
            part = client.recv(65536)
            if not part:
                return None
            head += part
        self.heads.append(head)
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        if self._auth is not None:
            token = base64.b64encode(":".join(self._auth).encode())
            if b"proxy-authorization: basic " + token.lower() not in head.lower():
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
                return None
        if self._says is not None:
            client.sendall(self._says)
            return None
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            server = self.lead(host, port)
            client.sendall(OK if server else b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
            return server
        host, _, rest = target.removeprefix("http://").partition("/")
        name, _, number = host.partition(":")
        server = self.lead(name, number or "80")
        if server is not None:
            server.sendall(head.replace(target.encode(), b"/" + rest.encode(), 1))
        return server


class SocksProxy(Proxy):
    """RFC 1928, and RFC 1929 for the password."""

    scheme = "socks5"

    def greet(self, client: socket.socket) -> socket.socket | None:
        if self._says is not None:
            client.recv(65536)
            client.sendall(self._says)
            return None
        _, count = client.recv(2)
        offered = client.recv(count)
        wanted = 2 if self._auth else 0
        if wanted not in offered:
            client.sendall(b"\x05\xff")
            return None
        client.sendall(bytes((5, wanted)))
        if self._auth is not None:
            client.recv(1)
            user = client.recv(client.recv(1)[0]).decode()
            password = client.recv(client.recv(1)[0]).decode()
            right = (user, password) == self._auth
            client.sendall(b"\x01\x00" if right else b"\x01\x01")
            if not right:
                return None
        _, _, _, kind = client.recv(4)
        host = socket.inet_ntoa(client.recv(4)) if kind == 1 else client.recv(client.recv(1)[0]).decode()
        server = self.lead(host, struct.unpack(">H", client.recv(2))[0])
        client.sendall(bytes((5, 0 if server else 4, 0, 1, 0, 0, 0, 0, 0, 0)))
        return server


def _carry(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
