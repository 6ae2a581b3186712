"""An SMTP server that records what it hears, in its own log too, and fails on request."""

import asyncio
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

OFFERS = ("PIPELINING", "SIZE 1000000", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")
STEPS = ("greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "dot", "quit")
ORDINARY = {
    "greeting": "220 here ESMTP",
    "starttls": "220 2.0.0 Go on",
    "auth": "235 2.7.0 Welcome",
    "mail": "250 2.1.0 Ok",
    "rcpt": "250 2.1.5 Ok",
    "data": "354 Go on",
    "dot": "250 2.0.0 Kept",
    "quit": "221 2.0.0 Bye",
}


@dataclass
class Fault:
    """What happens at one step instead of the ordinary answer.

    `reply` is sent as it is (lines parted by CRLF); `drop` closes the connection, at `dot` before
    the message counts as accepted, or after it if `accept`; `until` holds the answer back;
    `after` at `dot` reads only so many bytes of the content.
    """

    reply: str = ""
    drop: bool = False
    accept: bool = False
    until: asyncio.Event | None = None
    after: int | None = None

    @property
    def accepts(self) -> bool:
        """Whether a content counts as accepted in spite of it."""
        return self.accept or (not self.drop and self.reply[:1] in ("", "2"))


@dataclass
class Message:
    """One message accepted."""

    sender: str
    recipients: list[str]
    content: bytes
    connection: int


@dataclass
class Smtpd:
    """The server's memory and its script."""

    offers: Iterable[str] = OFFERS
    log: Path | None = None
    port: int = 0
    # Where there is a certificate, STARTTLS is offered; EHLO then says `offers_in_tls`.
    tls: ssl.SSLContext | None = None
    offers_in_tls: Iterable[str] | None = None
    commands: list[tuple[int, str]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0
    _script: dict[str, deque[Fault]] = field(default_factory=dict)
    _about: dict[tuple[str, str], Fault] = field(default_factory=dict)

    def fails(self, step: str, *faults: Fault | str) -> None:
        """Use these faults, one each time this step is reached, then answer as usual."""
        found = [Fault(reply=fault) if isinstance(fault, str) else fault for fault in faults]
        self._script.setdefault(step, deque()).extend(found)

    def fails_for(self, recipient: str, step: str, fault: Fault | str) -> None:
        """Use this fault whenever this step (`rcpt`, `data` or `dot`) concerns this recipient."""
        self._about[recipient, step] = Fault(reply=fault) if isinstance(fault, str) else fault

    def accepted(self) -> list[str]:
        """Every recipient of every message accepted, in order."""
        return [recipient for message in self.messages for recipient in message.recipients]

    async def until_heard(self, command: str, times: int = 1) -> None:
        """Wait until a command beginning like this has been heard so often; `.` is a content."""
        while sum(heard.startswith(command) for _, heard in self.commands) < times:
            self.heard.clear()
            await self.heard.wait()

    def fault(self, step: str, recipients: list[str]) -> Fault | None:
        """The fault of this moment, if any."""
        for recipient in recipients:
            if (recipient, step) in self._about:
                return self._about[recipient, step]
        waiting = self._script.get(step)
        return waiting.popleft() if waiting else None

    def accept(self, message: Message) -> None:
        """Keep it, first in the log."""
        if self.log is not None:
            with self.log.open("a") as lines:
                lines.write(json.dumps({"recipients": message.recipients}) + "\n")
        self.messages.append(message)

    def note(self, connection: int, command: str) -> None:
        """Remember a command."""
        self.commands.append((connection, command))
        self.heard.set()


class _Gone(Exception):
    """This connection is over."""


class _Client:
    """One connection, answered step by step."""

    def __init__(
        self, server: Smtpd, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        server.connections += 1
        self.number = server.connections
        self.server = server
        self.reader = reader
        self.writer = writer
        self.sender: str | None = None
        self.recipients: list[str] = []
        self.named = ""
        self.secure = False

    async def serve(self) -> None:
        """Until the client or a fault ends it."""
        await self.answer("greeting")
        while line := await self.reader.readline():
            command = line.decode().rstrip("\r\n")
            self.server.note(self.number, command)
            await self.obey(command.partition(" ")[0].upper(), command)

    async def obey(self, verb: str, command: str) -> None:
        """Answer one command, in the order that RFC 5321 demands."""
        if verb == "EHLO":
            await self.answer("ehlo", self.offers())
        elif verb == "MAIL" and self.sender is None:
            if await self.answer("mail"):
                self.sender, self.recipients = _path(command), []
        elif verb == "RCPT" and self.sender is not None:
            self.named = _path(command)
            if await self.answer("rcpt", about=[self.named]):
                self.recipients.append(self.named)
        elif verb == "DATA" and (self.recipients or ("data" in self.scripted())):
            if await self.answer("data", about=self.recipients or [self.named]):
                await self.content()
        else:
            await self.obey_always(verb)

    async def obey_always(self, verb: str) -> None:
        """Answer what needs no order, and refuse the rest."""
        if verb == "STARTTLS":
            await self.go_dark()
        elif verb == "AUTH":
            await self.answer("auth")
        elif verb == "QUIT":
            await self.answer("quit")
            raise _Gone
        elif verb == "RSET":
            self.sender, self.recipients = None, []
            await self.say("250 2.0.0 Ok")
        else:
            await self.say("503 5.5.1 Bad sequence of commands")

    async def go_dark(self) -> None:
        """Begin TLS, where there is a certificate for it."""
        if self.server.tls is None or self.secure:
            await self.say("503 5.5.1 Not offered")
            return
        if not await self.answer("starttls"):
            return
        await self.writer.start_tls(self.server.tls)
        self.secure = True

    def offers(self) -> str:
        """What is announced now."""
        made = self.server.offers
        if self.secure and self.server.offers_in_tls is not None:
            made = self.server.offers_in_tls
        starttls = ["STARTTLS"] if self.server.tls is not None and not self.secure else []
        *lines, last = ["here", *made, *starttls]
        return "".join(f"250-{line}\r\n" for line in lines) + f"250 {last}"

    def scripted(self) -> set[str]:
        """Steps with a fault about the recipient named last."""
        about = self.server._about  # noqa: SLF001  (one thing in two classes)
        return {step for (recipient, step) in about if recipient == self.named}

    async def content(self) -> None:
        """Read a content and decide about it."""
        fault = self.server.fault("dot", self.recipients or [self.named])
        if fault is not None and fault.after is not None:
            await self.reader.readexactly(fault.after)
            await self.fail(fault)
            return
        lines: list[bytes] = []
        while (line := await self.reader.readline()) != b".\r\n":
            if not line:
                raise _Gone
            lines.append(line.removeprefix(b"."))
        self.server.note(self.number, ".")
        message = Message(self.sender or "", self.recipients, b"".join(lines), self.number)
        self.sender, self.recipients = None, []
        if message.recipients and (fault is None or fault.accepts):
            self.server.accept(message)
        if fault is None:
            await self.say(ORDINARY["dot"] if message.recipients else "554 5.5.1 Nobody")
        else:
            await self.fail(fault, ORDINARY["dot"])

    async def answer(self, step: str, usual: str = "", about: Iterable[str] = ()) -> bool:
        """The ordinary reply or the scripted fault; True if the client may take it for a yes."""
        reply = usual or ORDINARY[step]
        fault = self.server.fault(step, list(about))
        if fault is None:
            await self.say(reply)
            return True
        return await self.fail(fault, reply)

    async def fail(self, fault: Fault, usual: str = "") -> bool:
        """Do what the script says."""
        if fault.until is not None:
            await fault.until.wait()
        if fault.drop:
            raise _Gone
        said = fault.reply or usual
        await self.say(said)
        if said.startswith("421"):
            raise _Gone
        return said[:1] in "23"

    async def say(self, reply: str) -> None:
        """Send it."""
        self.writer.write(reply.encode() + b"\r\n")
        await self.writer.drain()


def _path(command: str) -> str:
    return command[command.find("<") + 1 : command.find(">")]


@asynccontextmanager
async def smtpd(
    *,
    offers: Iterable[str] = OFFERS,
    log: Path | None = None,
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    offers_in_tls: Iterable[str] | None = None,
) -> AsyncIterator[Smtpd]:
    """A server on this machine for the time of the block."""
    server = Smtpd(offers=offers, log=log, tls=tls, offers_in_tls=offers_in_tls)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Client(server, reader, writer)
        with suppress(_Gone, ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            await client.serve()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        # Not by the task itself: one that is cancelled before it begins closes nothing.
        task.add_done_callback(lambda _: writer.close())

    listener = await asyncio.start_server(begin, "127.0.0.1", port, limit=4 * 1024 * 1024)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listener.wait_closed()
