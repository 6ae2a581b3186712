"""The only HTTP that goes out: to public addresses, in a short time, and hearing little.

The name of an endpoint is asked for once for each connection; what was looked at is what is
connected to, so that no name server leads into a private network afterwards. Redirects lead
nowhere, proxies of the environment are not asked.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from time import monotonic
from typing import Any

import httpcore2

from crm import names
from crm.names import NamePrivate, NameSilent, NameUnknown
from crm.webhooks.model import Answer, redirected

# The specification proposes 15 to 30 seconds for the whole of it.
SECONDS = 20.0
_CONNECT = 10.0
# An acknowledgement has less than a hundred bytes.
_HEARD = 4096
_AGENT = b"Firsthand-Webhooks/1"
_LONGEST_RETRY = 86_400

_TROUBLES: tuple[tuple[type[Exception], str], ...] = (
    (NamePrivate, "name_private"),
    (NameSilent, "name_silent"),
    (NameUnknown, "name_unknown"),
    (ssl.SSLError, "no_tls"),
    (TimeoutError, "too_slow"),
    (httpcore2.TimeoutException, "too_slow"),
    (httpcore2.ConnectError, "no_connection"),
    (httpcore2.ProtocolError, "no_http"),
    (httpcore2.NetworkError, "cut_off"),
    (OSError, "no_connection"),
)


class Door(httpcore2.AsyncNetworkBackend):
    """Connects to where a name leads, if it may lead there."""

    def __init__(self, *, local: bool) -> None:
        """Lead also to this machine and into private networks, where `local`."""
        self._local = local
        self._tcp = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  (the interface has it)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first place that answers, of those that were looked at."""
        seconds = timeout or _CONNECT
        found = await names.allowed(host, port, seconds, local=self._local)
        trouble: Exception = NameUnknown()
        for *_, address in found:
            try:
                return await self._tcp.connect_tcp(
                    str(address[0]), port, seconds, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as no:
                trouble = no
        raise trouble

    async def sleep(self, seconds: float) -> None:
        """Wait as the pool wants it."""
        await asyncio.sleep(seconds)


class Way:
    """Connections to one endpoint, for one round of posts."""

    def __init__(self, pool: httpcore2.AsyncConnectionPool) -> None:
        """Prefer `way`."""
        self._pool = pool

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one post; whatever happens is an answer, and none takes longer than SECONDS."""
        begun = monotonic()
        try:
            async with asyncio.timeout(SECONDS):
                answer = await self._exchange(url, headers, body)
        except Exception as no:
            trouble = _trouble(no)
            if trouble is None:
                raise
            answer = Answer(trouble=trouble)
        millis = round((monotonic() - begun) * 1000)
        return Answer(
            status=answer.status,
            trouble=answer.trouble,
            retry_after=answer.retry_after,
            body=answer.body,
            millis=millis,
        )

    async def _exchange(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        sent = [(name.encode(), value.encode()) for name, value in headers.items()]
        sent += [
            (b"content-type", b"application/json"),
            (b"accept-encoding", b"identity"),
            (b"user-agent", _AGENT),
        ]
        waits = {"connect": _CONNECT, "read": SECONDS, "write": SECONDS, "pool": SECONDS}
        extensions = {"timeout": waits}
        async with self._pool.stream(
            "POST", url, headers=sent, content=body, extensions=extensions
        ) as response:
            heard = b""
            async for piece in response.aiter_stream():
                heard += piece
                if len(heard) >= _HEARD:
                    break
            return Answer(
                status=response.status,
                trouble="redirect" if redirected(response.status) else "",
                retry_after=_retry_after(response.headers),
                body=heard[:_HEARD],
            )


@asynccontextmanager
async def way(*, local: bool, connections: int, tls: ssl.SSLContext) -> AsyncIterator[Way]:
    """Open connections as they are needed, and close them at the end."""
    async with httpcore2.AsyncConnectionPool(
        ssl_context=tls,
        max_connections=connections,
        max_keepalive_connections=connections,
        keepalive_expiry=5,
        network_backend=Door(local=local),
    ) as pool:
        yield Way(pool)


def _trouble(no: Exception) -> str | None:
    """Say in a word what stood in the way; what the other side said may quote anything."""
    cause: BaseException | None = no
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return "no_tls"
        cause = cause.__cause__ or cause.__context__
    return next((word for kind, word in _TROUBLES if isinstance(no, kind)), None)


def _retry_after(headers: Iterable[tuple[bytes, bytes]]) -> timedelta | None:
    """Read Retry-After in seconds (RFC 9110 §10.2.3); a date needs their clock."""
    for name, value in headers:
        if name.lower() == b"retry-after" and value.isdigit() and len(value) < 9:  # noqa: PLR2004
            return timedelta(seconds=min(int(value), _LONGEST_RETRY))
    return None
