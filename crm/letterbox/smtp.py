"""The letterbox's SMTP server: RFC 5321 with PIPELINING, SIZE, 8BITMIME and SMTPUTF8."""

import asyncio
import re
from collections import deque

from crm.letterbox.log import Log

SIZE_LIMIT = 32 * 1024 * 1024
LINE_LIMIT = 2048
RECIPIENT_LIMIT = 100
CATCH_UP = 0.1  # seconds: a busy machine wakes us late, and the pace shall be met on average

_PATH = re.compile(r"(?:FROM|TO):\s*<([^<>]*)>\s*(.*)", re.IGNORECASE)
_MESSAGE_ID = re.compile(rb"^Message-ID:\s*(<[^<>\r\n]*>)", re.IGNORECASE | re.MULTILINE)
_OFFERS = (
    b"250-letterbox\r\n250-PIPELINING\r\n250-SIZE %d\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
    b"250 ENHANCEDSTATUSCODES\r\n" % SIZE_LIMIT
)


class Counter:
    """Where every connection's messages are accepted, one after the other, at the set pace."""

    def __init__(self, log: Log, pace: float | None = None) -> None:
        self.log = log
        self._pace = pace
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Connection] = deque()
        self._next = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._serving = False

    @property
    def pace(self) -> float | None:
        """Messages per second over all connections; None: as fast as they come."""
        return self._pace

    @pace.setter
    def pace(self, pace: float | None) -> None:
        self._pace = pace
        self._next = self._loop.time()
        self._serve()

    def wait(self, connection: "_Connection") -> None:
        """Accept this connection's message as soon as the pace allows."""
        self._waiting.append(connection)
        self._serve()

    def stop(self) -> None:
        """Accept nothing more."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _serve(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._serving:
            return
        self._serving = True
        self._serve_all()
        self._serving = False

    def _serve_all(self) -> None:
        while self._waiting:
            now = self._loop.time()
            if self._pace is not None:
                if self._next > now:
                    self._timer = self._loop.call_at(self._next, self._serve)
                    return
                # One slot per message; slots of an idle time are not saved up.
                self._next = max(self._next, now - CATCH_UP) + 1 / self._pace
            self._waiting.popleft().accept()


class _Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, counter: Counter, connections: "set[_Connection]") -> None:
        self._counter = counter
        self._connections = connections
        self._buffer = bytearray()
        self._scanned = 0
        self._replies: list[bytes] = []
        self._content = False  # reading one
        self._too_large = False
        self._message: bytes | None = None  # read whole, waits for the pace
        self._reading = False
        self._greeted = False
        self._utf8 = False
        self._sender: str | None = None
        self._recipients: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  (a stream server's is one)
        self._transport = transport
        self._connections.add(self)
        transport.write(b"220 letterbox ESMTP, nothing leaves this machine\r\n")

    def connection_lost(self, _exc: Exception | None) -> None:
        """What has not been accepted yet is not accepted any more."""
        self._connections.discard(self)
        self._message = None

    def data_received(self, data: bytes) -> None:
        """Commands, and contents."""
        self._buffer += data
        self._read()

    def cut(self) -> None:
        """End it now."""
        self._transport.abort()

    def accept(self) -> None:
        """The pace allows it: keep the message, then say so."""
        if self._message is None or self._transport.is_closing():
            return
        message, self._message = self._message, None
        head = message[: message.find(b"\r\n\r\n") + 2] if b"\r\n\r\n" in message else message
        found = _MESSAGE_ID.search(head)
        message_id = found[1].decode(errors="replace") if found else ""
        self._counter.log.append(message, message_id, self._recipients)
        self._end_transaction()
        self._say(b"250 2.0.0 Kept as %d" % self._counter.log.last)
        if not self._transport.is_reading():
            self._transport.resume_reading()
        self._read()

    def _read(self) -> None:
        if self._reading:
            return  # accepted at once: the loop below goes on
        self._reading = True
        while self._message is None and not self._transport.is_closing():
            if not (self._read_content() if self._content else self._read_command()):
                break
        if self._replies:
            self._transport.write(b"".join(self._replies))
            self._replies.clear()
        self._reading = False

    def _read_command(self) -> bool:
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > LINE_LIMIT:
                self._end(b"500 5.5.2 Line too long")
            return False
        line = bytes(self._buffer[:end]).rstrip(b"\r")
        del self._buffer[: end + 1]
        self._command(line)
        return True

    def _read_content(self) -> bool:
        """Look for the end of the content, reading each byte about once."""
        buffer = self._buffer
        if self._scanned == 0 and buffer.startswith(b".\r\n"):
            self._complete(b"", 3)
            return True
        at = buffer.find(b"\r\n.\r\n", max(0, self._scanned - 4))
        if at >= 0:
            self._complete(bytes(buffer[: at + 2]), at + 5)
            return True
        self._scanned = len(buffer)
        if self._scanned > SIZE_LIMIT:
            self._too_large = True
            del buffer[:-4]  # only the end is still of interest
            self._scanned = 4
        return False

    def _complete(self, content: bytes, length: int) -> None:
        del self._buffer[:length]
        self._content = False
        if self._too_large:
            self._end_transaction()
            self._say(b"552 5.3.4 Too large")
            return
        if content.startswith(b".") or b"\r\n." in content:  # unstuff, RFC 5321 §4.5.2
            content = (b"\r\n" + content).replace(b"\r\n.", b"\r\n")[2:]
        self._message = content
        self._counter.wait(self)
        if self._message is not None:
            # The next envelope may be here already; more than that need not pile up.
            self._transport.pause_reading()

    def _command(self, line: bytes) -> None:
        try:
            verb, _, rest = line.decode().partition(" ")
        except UnicodeDecodeError:
            self._say(b"500 5.5.2 Not UTF-8")
            return
        known = {
            "EHLO": self._ehlo, "HELO": self._ehlo, "MAIL": self._mail, "RCPT": self._rcpt,
            "DATA": self._data, "RSET": self._rset, "NOOP": self._noop, "QUIT": self._quit,
            "VRFY": self._vrfy,
        }.get(verb.upper())  # fmt: skip
        if known is None:
            self._say(b"500 5.5.2 Unknown command")
        else:
            known(verb, rest)

    def _ehlo(self, verb: str, _rest: str) -> None:
        self._greeted = True
        self._end_transaction()
        if verb.upper() == "EHLO":
            self._replies.append(_OFFERS)
        else:
            self._say(b"250 letterbox")

    def _mail(self, _verb: str, rest: str) -> None:
        found = _PATH.fullmatch(rest)
        if not self._greeted or self._sender is not None:
            self._say(b"503 5.5.1 EHLO first" if not self._greeted else b"503 5.5.1 Nested MAIL")
        elif found is None or not rest.upper().startswith("FROM:"):
            self._say(b"501 5.1.7 MAIL FROM:<address>")
        elif _declared_size(found[2]) > SIZE_LIMIT:
            self._say(b"552 5.3.4 Too large")
        else:
            self._utf8 = "SMTPUTF8" in found[2].upper().split()
            if found[1].isascii() or self._utf8:
                self._sender = found[1]
                self._say(b"250 2.1.0 Ok")
            else:
                self._say(b"550 5.6.7 SMTPUTF8 was not asked for")

    def _rcpt(self, _verb: str, rest: str) -> None:
        found = _PATH.fullmatch(rest)
        if self._sender is None:
            self._say(b"503 5.5.1 MAIL first")
        elif found is None or not rest.upper().startswith("TO:") or "@" not in found[1]:
            self._say(b"501 5.1.3 RCPT TO:<address>")
        elif not found[1].isascii() and not self._utf8:
            self._say(b"553 5.6.7 SMTPUTF8 was not asked for")
        elif len(self._recipients) >= RECIPIENT_LIMIT:
            self._say(b"452 4.5.3 Too many recipients")
        else:
            self._recipients.append(found[1])
            self._say(b"250 2.1.5 Ok")

    def _data(self, _verb: str, _rest: str) -> None:
        if not self._recipients:
            self._say(b"503 5.5.1 RCPT first")
            return
        self._content, self._too_large, self._scanned = True, False, 0
        self._say(b"354 End with <CRLF>.<CRLF>")

    def _rset(self, _verb: str, _rest: str) -> None:
        self._end_transaction()
        self._say(b"250 2.0.0 Ok")

    def _noop(self, _verb: str, _rest: str) -> None:
        self._say(b"250 2.0.0 Ok")

    def _vrfy(self, _verb: str, _rest: str) -> None:
        self._say(b"252 2.0.0 Everybody lives here")

    def _quit(self, _verb: str, _rest: str) -> None:
        self._end(b"221 2.0.0 Bye")

    def _end_transaction(self) -> None:
        self._sender = None
        self._recipients = []

    def _say(self, reply: bytes) -> None:
        self._replies.append(reply + b"\r\n")

    def _end(self, reply: bytes) -> None:
        self._say(reply)
        self._transport.write(b"".join(self._replies))
        self._replies.clear()
        self._transport.close()


class Server:
    """Listens on this machine only."""

    def __init__(self, counter: Counter) -> None:
        self.port = 0
        self._counter = counter
        self._connections: set[_Connection] = set()
        self._listener: asyncio.Server | None = None

    async def open(self, port: int = 0) -> None:
        """Begin to listen; port 0 takes a free one."""
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: _Connection(self._counter, self._connections), "127.0.0.1", port, backlog=1024
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._listener is None:
            return
        self._counter.stop()
        self._listener.close()
        for connection in tuple(self._connections):
            connection.cut()
        await self._listener.wait_closed()


def _declared_size(parameters: str) -> int:
    found = re.search(r"\bSIZE=(\d{1,20})\b", parameters, re.IGNORECASE)
    return int(found[1]) if found else 0
