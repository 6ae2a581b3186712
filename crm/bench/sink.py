"""An SMTP server that takes everything and keeps nothing: `python -m crm.bench.sink PORT`.

For machines without Debian's postfix package, whose smtp-sink it stands in for.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

_GREETING = b"220 sink ESMTP\r\n"
_HELLO = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 0\r\n"
_OK = b"250 2.0.0 Ok\r\n"
_GO_ON = b"354 End data with <CR><LF>.<CR><LF>\r\n"
_BYE = b"221 2.0.0 Bye\r\n"
_UNKNOWN = b"500 5.5.2 Unknown\r\n"
_END = b"\r\n.\r\n"


class Sink(asyncio.Protocol):
    """One session; a content is passed over, never joined."""

    def __init__(self) -> None:
        """Begin outside of a content."""
        self._rest = b""
        self._content = False
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        # uvloop's transports are of no class that says so.
        self._transport = cast("asyncio.WriteTransport", transport)
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

    def _answer(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"DATA":
            self._content = True
            return _GO_ON
        answers = {b"EHLO": _HELLO, b"HELO": _OK, b"MAIL": _OK, b"RCPT": _OK, b"RSET": _OK}
        if verb == b"QUIT":
            return _BYE
        return answers.get(verb, _UNKNOWN)


async def serve(port: int) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", port, backlog=200)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
