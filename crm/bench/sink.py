"""An SMTP server that takes everything and keeps nothing: `python -m crm.bench.sink PORT [PEM]`.

For machines without Debian's postfix package, whose smtp-sink it stands in for; and for TLS, which
it offers where it is given a certificate with its key.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import cast

import uvloop

_GREETING = b"220 sink ESMTP\r\n"
_HELLO = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n%b250 SIZE 0\r\n"
_STARTTLS = b"250-STARTTLS\r\n"
_OK = b"250 2.0.0 Ok\r\n"
_GO_ON = b"354 End data with <CR><LF>.<CR><LF>\r\n"
_READY = b"220 2.0.0 Ready\r\n"
_BYE = b"221 2.0.0 Bye\r\n"
_UNKNOWN = b"500 5.5.2 Unknown\r\n"
_END = b"\r\n.\r\n"


class Sink(asyncio.Protocol):
    """One session; a content is passed over, never joined."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """Begin outside of a content."""
        self._rest = b""
        self._content = False
        self._tls = tls
        self._shaking_hands: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        # uvloop's transports are of no class that says so.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(_GREETING)

    def data_received(self, data: bytes) -> None:
        """Answer every whole line; of a content look for its end only."""
        rest, answers = self._rest + data, []
        while rest:
            if self._content:
                end = rest.find(_END)
                if end < 0:
                    rest = rest[-len(_END) + 1 :]  # the mark of its end may be cut in two
                    break
                rest, self._content = rest[end + len(_END) :], False
                answers.append(_OK)
                continue
            line, found, after = rest.partition(b"\r\n")
            if not found:
                break
            answers.append(self._answer(line))
            # The end of an empty content has no line before it.
            rest = b"\r\n" + after if self._content else after
        self._rest = rest
        if answers and self._transport is not None:
            self._transport.write(b"".join(answers))

    async def _shake_hands(self, transport: asyncio.Transport, tls: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        self._tls = None
        self._transport = await loop.start_tls(transport, self, tls, server_side=True)

    def _answer(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"STAR" and self._tls is not None and self._transport is not None:
            hands = self._shake_hands(self._transport, self._tls)
            self._shaking_hands = asyncio.create_task(hands)
            return _READY
        if verb == b"DATA":
            self._content = True
            return _GO_ON
        hello = _HELLO % (_STARTTLS if self._tls else b"")
        answers = {b"EHLO": hello, b"HELO": _OK, b"MAIL": _OK, b"RCPT": _OK, b"RSET": _OK}
        if verb == b"QUIT":
            return _BYE
        return answers.get(verb, _UNKNOWN)


async def serve(port: int, certificate: str = "") -> None:
    """Serve until killed."""
    tls = None
    if certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Sink(tls), "127.0.0.1", port, backlog=200)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), *sys.argv[2:]))
