"""The listener: LMTP (RFC 2033) or SMTP on loopback, behind the mail server that faces the world.

A 250 is said when the transaction has committed, and a 4xx when it could not, so that the server
in front keeps the mail: nothing is lost, and what comes twice has its effect once.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session, syntax

from crm import above, ledger
from crm.connections import is_broken
from crm.db import BROKEN, Database, open_database
from crm.inbound.hearing import Nobodys, Readings, TooMany, hear_mail
from crm.inbound.model import Via
from crm.journal import Keeper, Watch, journal_of, watched_by
from crm.log import configure, logger
from crm.return_path import parted
from crm.settings import Inbound, Settings

_log = logger(__name__)

_TAKEN = "250 2.6.0 Heard"
_LATER = "451 4.3.0 Not now, please try again"
_ELSEWHERE = "550 5.7.1 This is no address of ours"
_NOBODY = "550 5.1.1 There is nobody of this name"
_ONE = "452 4.5.3 One recipient at a time"
_FULL = b"421 4.3.2 Too many connections, please try again\r\n"
_RECIPIENTS = 100
_IDLE = 60.0
# Letters have longer lines than SMTP allows; a relay in front has let them pass.
_LINE = 200_000


class Ear:
    """Answers recipients and contents; knows no state of the session."""

    def __init__(self, database: Database, readings: Readings, watch: Watch | None = None) -> None:
        """Hear for every business that has a return domain, but while the database is behind."""
        self._database = database
        self._readings = readings
        self._watch = watch

    async def handle_RCPT(  # noqa: N802  (named by aiosmtpd)
        self, server: _Line, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take recipients of known return domains only: this relays nothing."""
        del session
        if len(envelope.rcpt_tos) >= (_RECIPIENTS if server.lmtp else 1):
            return _ONE
        try:
            known = await above.businesses_of_return_domain(self._database, parted(address)[2])
        except BROKEN:
            return _LATER
        if not known:
            return _ELSEWHERE
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(  # noqa: N802  (named by aiosmtpd)
        self, server: _Line, session: Session, envelope: Envelope
    ) -> str:
        """Hear the content for each recipient; LMTP answers each of them (RFC 2033 §4.2)."""
        del session, server
        content = envelope.content
        raw = content if isinstance(content, bytes) else (content or "").encode()
        return "\r\n".join([await self._heard(each, raw) for each in envelope.rcpt_tos])

    async def _heard(self, recipient: str, raw: bytes) -> str:
        try:
            if self._watch is not None and await self._watch.stops():
                return _LATER
            domain = parted(recipient)[2]
            known = await above.businesses_of_return_domain(self._database, domain)
            await hear_mail(
                self._database, known, recipient, raw, Via.listener, readings=self._readings
            )
        except Nobodys:
            return _NOBODY
        except TooMany:
            _log.error("too_many_readings", size=len(raw))
            return _LATER
        except Exception as wrong:  # noqa: BLE001  (the server in front keeps it until it is heard)
            _note(wrong)
            return _LATER
        return _TAKEN


def _note(wrong: Exception) -> None:
    """Log where it comes from, unless PostgreSQL is away: this mail fails again, and is for us."""
    if is_broken(wrong):
        _log.warning("not_heard", error=type(wrong).__name__)
    else:
        _log.exception("not_heard")


class _Line(SMTP):
    """One connection, counted; beyond the most there may be, one is told to come back."""

    line_length_limit = _LINE

    def __init__(self, ear: Ear, settings: Inbound, lines: set[_Line]) -> None:
        self.lmtp = settings.protocol == "lmtp"
        self._lines = lines
        self._most = settings.connections
        self._refused = False
        super().__init__(
            ear,
            data_size_limit=settings.max_bytes,
            enable_SMTPUTF8=True,
            hostname="firsthand.invalid",
            ident="Firsthand",
            timeout=_IDLE,
            loop=asyncio.get_running_loop(),
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  (a stream server's is one)
        if len(self._lines) >= self._most:
            self._refused = True
            transport.write(_FULL)
            transport.close()
            return
        self._lines.add(self)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if not self._refused:
            super().data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._refused else super().eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._refused:
            self._lines.discard(self)
            super().connection_lost(error)

    async def push(self, status: Any) -> None:
        """Say of a content that is refused whole once for each recipient (RFC 2033 §4.2)."""
        if self.lmtp and status in _REFUSED_WHOLE and self.envelope is not None:
            status = "\r\n".join([_REFUSED_WHOLE[status]] * len(self.envelope.rcpt_tos))
        await super().push(status)

    @syntax("LHLO hostname")
    async def smtp_LHLO(self, arg: str) -> None:  # noqa: N802  (named by aiosmtpd)
        """Greet as LMTP does (RFC 2033 §4.1)."""
        if self.lmtp:
            await super().smtp_EHLO(arg)
        else:
            await self.push("500 5.5.1 This is SMTP")

    async def smtp_EHLO(self, arg: str) -> None:  # noqa: N802
        """Greet as SMTP does; LMTP must not (RFC 2033 §4.1)."""
        if self.lmtp:
            await self.push("500 5.5.1 This is LMTP")
        else:
            await super().smtp_EHLO(arg)

    async def smtp_HELO(self, arg: str) -> None:  # noqa: N802
        """Greet as old SMTP does; LMTP must not."""
        if self.lmtp:
            await self.push("500 5.5.1 This is LMTP")
        else:
            await super().smtp_HELO(arg)


# What aiosmtpd says of a content that it did not keep.
_REFUSED_WHOLE = {
    "552 Error: Too much mail data": "552 5.3.4 This is larger than we take",
    "500 Line too long (see RFC5321 4.5.3.1.6)": "550 5.6.0 A line of it is too long",
}


@asynccontextmanager
async def listening(
    database: Database, settings: Inbound, watch: Watch | None = None
) -> AsyncIterator[int]:
    """Listen until the block ends; yields the port."""
    # Each line waits for one mail: only those that nobody waits for any more make it too many.
    ear = Ear(database, Readings(settings.connections), watch)
    lines: set[_Line] = set()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Line(ear, settings, lines), settings.host, settings.port
    )
    try:
        port: int = server.sockets[0].getsockname()[1]
        yield port
    finally:
        server.close()
        for each in tuple(lines):
            if isinstance(each.transport, asyncio.Transport):
                each.transport.abort()


async def listen(settings: Settings) -> None:
    """Listen until stopped; what was not answered the server in front keeps."""
    configure(settings.log_level)
    stopping = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopping.set)
    keeper = Keeper(journal_of(settings))
    async with (
        open_database(settings.database_url, settings.keys(), keep=keeper) as database,
        watched_by(ledger.journal_watch(database, keeper)) as watch,
        listening(database, settings.inbound, watch),
    ):
        await stopping.wait()
