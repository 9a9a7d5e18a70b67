"""One request, as a visitor sends it: over TCP or a unix socket, over TLS, behind a proxy."""

import http.client
import socket
import ssl
from typing import NamedTuple

from memfis.check.configuration import Listen

TIMEOUT = 30.0
"""Seconds that a connection, and each part of an answer, may take."""

_PROXY = b"PROXY TCP4 127.0.0.1 127.0.0.1 1024 80\r\n"
"""What a listener with `proxy_protocol` is told first (PROXY protocol, version 1)."""


class Answer(NamedTuple):
    """What is compared of one."""

    status: int
    body: bytes
    location: str
    served_by: str
    """HIT, FALLBACK, or empty where the site has no such header."""
    validated: bool
    """It has an ETag or a Last-Modified."""


def ask(
    place: str, host: str, target: str, header: str = "", listen: Listen | None = None
) -> Answer:
    """Return the answer at `place`, `HOST:PORT` or `unix:PATH`, for the `Host:` `host`.

    `header` tells HIT from FALLBACK; `listen` says how it is spoken there. Raises OSError, and
    HTTPException for what is no HTTP.
    """
    connection = http.client.HTTPConnection("localhost")
    connection.sock = _connected(place)
    try:
        if listen and "proxy_protocol" in listen.parameters:
            connection.sock.sendall(_PROXY)
        if listen and listen.tls:
            connection.sock = _over_tls(connection.sock, host)
        connection.request("GET", target, headers={"Host": host, "User-Agent": "memfis-check"})
        response = connection.getresponse()
        return Answer(
            response.status,
            response.read(),
            response.getheader("Location", ""),
            response.getheader(header, "") if header else "",
            bool(response.getheader("ETag") or response.getheader("Last-Modified")),
        )
    finally:
        connection.close()


def said(error: Exception) -> str:
    """Return why a request has no answer, in the system's words."""
    strerror = getattr(error, "strerror", None)
    return str(strerror or error or type(error).__name__)


def has_ipv6() -> bool:
    """Whether this host can be asked at an IPv6 address: it may be switched off in the kernel."""
    try:
        with socket.socket(socket.AF_INET6) as tried:
            tried.bind(("::1", 0))
    except OSError:
        return False
    return True


def _connected(place: str) -> socket.socket:
    if not place.startswith("unix:"):
        host, _, port = place.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), TIMEOUT)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(TIMEOUT)
    try:
        connection.connect(place.removeprefix("unix:"))
    except OSError:
        connection.close()
        raise
    return connection


def _over_tls(connection: socket.socket, host: str) -> socket.socket:
    """Speak TLS. Whether the certificate is right is for visitors' browsers to say."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection, server_hostname=host.rpartition(":")[0] or host)
