"""One SMTP session: aiosmtplib opens it, `pipeline` drives it over the transport it opened."""

import asyncio
import ssl
from contextlib import suppress
from typing import Protocol, cast

import aiosmtplib
from msgspec import Struct

from crm import names
from crm.mail import outcome
from crm.mail.outcome import Outcome, Step, Whose
from crm.mail.pipeline import Conversation, Offers, Parcel
from crm.names import NamePrivate, NameSilent, NameUnknown

_FOR_GOOD = 500
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Relay(Protocol):
    """What is known about the relay; `settings.smtp` fits."""

    @property
    def host(self) -> str:
        """Name or address of the relay."""

    @property
    def port(self) -> int:
        """TCP port."""

    @property
    def username(self) -> str | None:
        """Empty: do not sign in."""

    @property
    def password(self) -> str | None:
        """Only ever sent inside TLS, or to this machine itself."""

    @property
    def tls(self) -> str:
        """`none` (this machine), `starttls`, `implicit`, or `trusted`: no TLS, by the operator."""

    @property
    def local(self) -> bool:
        """May it be on this machine or in a private network."""


class Limits(Struct, frozen=True):
    """Seconds to wait for each answer: the least that RFC 5321 §4.5.3.2 asks of a client.

    `patience` is the most for any of them.
    """

    open: float = 300
    mail: float = 300
    rcpt: float = 300
    data: float = 120
    block: float = 180
    dot: float = 600
    quit: float = 5
    first_pause: float = 0.5
    longest_pause: float = 60
    patience: float = 600

    def of(self, step: Step) -> float:
        """How long the reply to this step may take."""
        match step:
            case Step.content | Step.discard:
                limit = self.dot
            case Step.rcpt:
                limit = self.rcpt
            case Step.data:
                limit = self.data
            case Step.quit:
                limit = self.quit
            case _:
                limit = self.mail
        return min(limit, self.patience)


class Unreachable(Exception):
    """No session could be opened: back off as a whole, nothing was tried for any parcel."""

    def __init__(self, trouble: Outcome) -> None:
        super().__init__(trouble.reason)
        self.trouble = trouble


class Owner(Protocol):
    """Who gives a session its parcels and hears what becomes of them."""

    def take(self) -> Parcel | None:
        """The next parcel, or None when there is none now."""

    def handed(self, parcel: Parcel) -> None:
        """Its content is about to be written."""

    def outcome(self, parcel: Parcel, result: Outcome) -> None:
        """It is over for this parcel."""

    def given_back(self, parcel: Parcel, *, suspect: bool) -> None:
        """Not written; suspect: the session ended while an answer to this very parcel was due."""


class Opened(Struct, frozen=True):
    """A transport ready to be taken over, and what its server offers."""

    transport: asyncio.Transport
    offers: Offers


class Door(Struct, frozen=True):
    """How to get a session with the relay: connect, greet, TLS, sign in."""

    relay: Relay
    limits: Limits
    hello: str
    tls: ssl.SSLContext | None

    async def open(self) -> Opened:
        """An open session, its transport ready to be taken over."""
        self._check_allowed()
        context = self.tls
        if context is None and self.relay.tls == "implicit":
            context = await asyncio.to_thread(ssl.create_default_context)
        try:
            sock = await names.connected(
                self.relay.host, self.relay.port, self.limits.open, local=self.relay.local
            )
        except OSError as error:
            raise Unreachable(_trouble(error)) from None
        # From here on the transport closes the socket: closed twice, its number may be another's.
        smtp = aiosmtplib.SMTP(
            hostname=self.relay.host, port=None, sock=sock, local_hostname=self.hello,
            use_tls=self.relay.tls == "implicit", start_tls=self.relay.tls == "starttls",
            tls_context=context, timeout=self.limits.open,
        )  # fmt: skip
        try:
            await self._greet(smtp)
        except asyncio.CancelledError:
            smtp.close()
            raise
        except (aiosmtplib.SMTPException, OSError, ssl.SSLError, ValueError) as error:
            smtp.close()
            raise Unreachable(_trouble(error)) from None
        if smtp.transport is None:
            raise Unreachable(outcome.unreachable("connection_lost"))
        return Opened(cast(asyncio.Transport, smtp.transport), _offers(smtp))

    def _check_allowed(self) -> None:
        if self.relay.host in LOOPBACK:
            return
        if self.relay.tls == "none":
            raise Unreachable(outcome.unreachable("tls_missing", Whose.ours))
        if self.relay.tls == "trusted" and self.relay.username:
            raise Unreachable(outcome.unreachable("sign_in_without_tls", Whose.ours))

    async def _greet(self, smtp: aiosmtplib.SMTP) -> None:
        await smtp.connect()
        if smtp.is_ehlo_or_helo_needed:
            try:
                await smtp.ehlo()
            except aiosmtplib.SMTPHeloError:
                await smtp.helo()
        if self.relay.username:
            await smtp.login(self.relay.username, self.relay.password or "")


def _offers(smtp: aiosmtplib.SMTP) -> Offers:
    size = smtp.esmtp_extensions.get("size", "").strip()
    return Offers(
        pipelining=smtp.supports_extension("pipelining"),
        eightbit=smtp.supports_extension("8bitmime"),
        smtputf8=smtp.supports_extension("smtputf8"),
        size_known=smtp.supports_extension("size"),
        size=int(size) if size.isascii() and size.isdecimal() else 0,
        dsn=smtp.supports_extension("dsn"),
    )


def _trouble(error: Exception) -> Outcome:
    """Why no session could be opened, in one word."""
    if isinstance(error, aiosmtplib.SMTPAuthenticationError) and error.code >= _FOR_GOOD:
        return outcome.unreachable("sign_in_refused", Whose.ours, error.code, error.message)
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return outcome.unreachable("relay_refuses", Whose.relay, error.code, error.message)
    if (tls := _tls_trouble(error)) is not None:
        return tls
    if "AUTH extension is not supported" in str(error):
        return outcome.unreachable("sign_in_not_offered", Whose.ours)
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return outcome.unreachable(reason)
    return outcome.unreachable("no_session", text=str(error))


def _tls_trouble(error: Exception) -> Outcome | None:
    """What is wrong with the relay's TLS, if that is what is wrong."""
    wrong = error if isinstance(error, ssl.SSLError) else error.__cause__
    if isinstance(wrong, ssl.SSLCertVerificationError):
        return outcome.unreachable("certificate_wrong", Whose.ours, text=wrong.verify_message)
    if isinstance(wrong, ssl.SSLError):
        return outcome.unreachable("tls_failed", Whose.ours)
    if "STARTTLS extension not supported" in str(error):
        return outcome.unreachable("tls_not_offered", Whose.ours)
    return None


_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (aiosmtplib.SMTPTimeoutError, "no_answer"),
    (NameSilent, "name_no_answer"),
    (NameUnknown, "name_not_found"),
    (NamePrivate, "name_private"),
    (TimeoutError, "no_answer"),
    (aiosmtplib.SMTPServerDisconnected, "connection_lost"),
    (aiosmtplib.SMTPConnectError, "cannot_connect"),
    (OSError, "cannot_connect"),
)


class Session(asyncio.Protocol):
    """One session's transport, with a deadline for whatever is awaited on it."""

    def __init__(self, owner: Owner, opened: Opened, limits: Limits) -> None:
        self.gone = asyncio.Event()
        self.served = False
        self.idle_at_end = False
        self.talk = Conversation(opened.offers, self._write, self)
        self._owner = owner
        self._limits = limits
        self._transport = opened.transport
        self._loop = asyncio.get_running_loop()
        self._due = 0.0
        self._watch: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Take the transport over from aiosmtplib, whose protocol cannot read replies of groups."""
        # "Writable" now means: everything written has left this process. Inside TLS asyncio counts
        # an empty buffer as full where the limit is zero, and would let nothing more through.
        inside = self._transport.get_extra_info("sslcontext") is not None
        self._transport.set_write_buffer_limits(high=int(inside))
        self._transport.set_protocol(self)
        if self._transport.is_closing():
            self.connection_lost(None)
            return
        self.talk.fill()

    async def leave(self) -> None:
        """QUIT if nothing is in flight, and wait a moment for the answer; then cut."""
        if not self.talk.over and not self.talk.in_flight:
            self.talk.quit()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.quit):
                    await self.gone.wait()
        self.cut()

    def cut(self) -> None:
        """End it now; a content without an answer becomes uncertain."""
        self.talk.end()
        self._finish()

    def data_received(self, data: bytes) -> None:
        """Replies; part of one buys no time, or a server could drip for ever."""
        before = self.talk.replies
        idle = not self.talk.in_flight
        self.talk.receive(data)
        if self.talk.replies != before:
            self._extend()
        if self.talk.over:
            self.idle_at_end = self.served and idle
            self._finish()

    def eof_received(self) -> None:
        """The server closed: nothing more will be answered, so nothing more is written."""
        self.connection_lost(None)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Settle what was in flight."""
        if not self.talk.over:
            self.idle_at_end = self.served and not self.talk.in_flight
            self.talk.end()
        self._finish()

    def pause_writing(self) -> None:
        """Something written is still here."""
        self.talk.writable = False

    def resume_writing(self) -> None:
        """All of it has gone."""
        self._extend()
        self.talk.writable = True
        self.talk.fill()

    # What the conversation tells ----------------------------------------------------------------

    def take(self) -> Parcel | None:
        """The owner's next parcel."""
        return self._owner.take()

    def handed(self, parcel: Parcel) -> None:
        """Pass it on."""
        self._owner.handed(parcel)

    def outcome(self, parcel: Parcel, result: Outcome) -> None:
        """Pass it on."""
        self.served = True
        self._owner.outcome(parcel, result)

    def given_back(self, parcel: Parcel) -> None:
        """Pass it on; it is suspect if the session ended when only it was waiting for an answer."""
        asked = self.talk.waiting_for in (Step.mail, Step.rcpt, Step.data)
        self._owner.given_back(parcel, suspect=asked)

    def _write(self, data: bytes) -> None:
        self._transport.write(data)
        self._extend()

    def _finish(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if not self._transport.is_closing():
            # Not close(): that would first send what is still buffered, a final dot perhaps.
            self._transport.abort()
        self.gone.set()

    def _extend(self) -> None:
        """Something moved: the wait for the next answer begins anew."""
        step = self.talk.waiting_for
        if step is None:
            self._due = 0.0
            return
        limits = self._limits
        limit = min(limits.block, limits.patience) if self.talk.writing else limits.of(step)
        self._due = self._loop.time() + limit
        if self._watch is None or self._watch.when() > self._due:
            self._rearm()

    def _rearm(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._watch = self._loop.call_at(self._due, self._check)

    def _check(self) -> None:
        self._watch = None
        if self._due == 0.0:
            return
        if self._loop.time() < self._due:
            self._rearm()
            return
        self.talk.end(timeout=True)
        self._finish()
