"""The listener answers each recipient, and says 250 when what the mail does has committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from smtplib import LMTP
from threading import Event
from uuid import uuid4

import aiosmtplib
import asyncpg
import pytest
from structlog.testing import capture_logs

from crm import consent, customers, mail
from crm.businesses import Business
from crm.consent import Status
from crm.db import Database
from crm.inbound.listener import listening
from crm.inbound.model import Arrival, arrived
from crm.settings import Inbound
from tests.inbound.letters import Sent, dsn, letter, sent

Answers = tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]]


@asynccontextmanager
async def _listener(database: Database, **changes: int | str) -> AsyncIterator[int]:
    async with listening(database, Inbound(**changes)) as port:  # type: ignore[arg-type]
        yield port


def _told(port: int, recipients: Sequence[str], raw: bytes) -> Answers:
    """Speak LMTP as a mail server does: every recipient, then every answer."""
    with closing(LMTP("127.0.0.1", port, timeout=20)) as line:
        line.ehlo()
        line.mail("")
        asked = [line.rcpt(each) for each in recipients]
        taken = [each for each in asked if each[0] == 250]
        if not taken:
            return asked, []
        first = line.data(raw)
        return asked, [first, *(line.getreply() for _ in taken[1:])]


async def _said(port: int, recipients: Sequence[str], raw: bytes) -> Answers:
    # A thread of its own: those of the loop are left to what the listener does.
    with ThreadPoolExecutor(1) as own:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(own, _told, port, recipients, raw)


def _domain() -> str:
    return f"back-{uuid4().hex[:8]}.corner-bakery.example"


async def _withdrawn(database: Database, known: Sent, number: int = 0) -> bool:
    reader = await known.reader(database, number)
    async with database.read(known.business.id) as db:
        (state,) = await consent.states(db, reader.id)
    return state.status is Status.withdrawn


async def test_leaving_has_happened_when_250_is_said(
    database: Database, business: Business
) -> None:
    """By LMTP, for each recipient by itself; another domain is no matter of ours."""
    known = await sent(database, business, _domain())
    leaves = [known.leave(number) for number in range(2)]
    async with _listener(database) as port:
        asked, answers = await _said(
            port, [leaves[0], "x@elsewhere.example", leaves[1]], b"Subject: \r\n\r\n\r\n"
        )
        assert [code for code, _ in asked] == [250, 550, 250]
        assert [code for code, _ in answers] == [250, 250]
        assert await _withdrawn(database, known, 0)
        assert await _withdrawn(database, known, 1)
        assert not await _withdrawn(database, known, 2)


async def test_several_at_once(database: Database, business: Business) -> None:
    """Twelve lines bring the same bounce; it has its effect once, and each is answered."""
    known = await sent(database, business, _domain())
    sender = known.messages[0].sender
    async with _listener(database) as port:
        found = await asyncio.gather(*(_said(port, [sender], dsn("5.1.1")) for _ in range(12)))
    assert [answers[0][0] for _, answers in found] == [250] * 12
    assert await known.kinds(database) == {"hard": 1}


async def test_nothing_is_lost_while_the_database_is_away(
    database: Database, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server in front is told to try again, at RCPT and after the content."""
    known = await sent(database, business, _domain())
    address, raw = known.leave(), b"Subject: \r\n\r\n\r\n"
    async with _listener(database) as port:
        with closing(LMTP(timeout=20)) as line:

            def until_data() -> None:
                line.connect("127.0.0.1", port)
                line.ehlo()
                line.mail("")
                assert line.rcpt(address)[0] == 250

            await asyncio.to_thread(until_data)
            with monkeypatch.context() as away:
                away.setattr(database, "attempt", _away)
                assert (await asyncio.to_thread(line.data, raw))[0] == 451
            with monkeypatch.context() as away:
                away.setattr("crm.above.businesses_of_return_domain", _away)
                asked, _ = await _said(port, [address], raw)
                assert asked[0][0] == 451
        assert not await _withdrawn(database, known)
        _, answers = await _said(port, [address], raw)
        assert answers[0][0] == 250
    assert await _withdrawn(database, known)


@pytest.mark.parametrize(
    ("error", "level"),
    [(asyncpg.AdminShutdownError, "warning"), (asyncpg.UniqueViolationError, "error")],
)
async def test_what_cannot_be_heard_stays_with_the_server_in_front(
    database: Database,
    business: Business,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
    level: str,
) -> None:
    """One that PostgreSQL refuses keeps none behind it from being heard, and is an error."""
    known = await sent(database, business, _domain())

    async def refuses(*_: object, **__: object) -> None:
        raise error("no")

    async with _listener(database) as port:
        with monkeypatch.context() as refused, capture_logs() as logs:
            refused.setattr("crm.inbound.hearing.hear_arrival", refuses)
            _, first = await _said(port, [known.messages[1].sender], dsn("5.1.1"))
        _, behind = await _said(port, [known.messages[0].sender], dsn("5.1.1"))
    assert (first[0][0], behind[0][0]) == (451, 250)
    assert [each["log_level"] for each in logs if each["event"] == "not_heard"] == [level]
    assert await known.kinds(database) == {"hard": 1}


@contextmanager
def _stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Within the block a mail called Odd is given up; yields to whom one began to be read."""
    released = Event()
    begun: list[str] = []

    def reads(recipient: str, raw: bytes) -> Arrival:
        if b"Odd" in raw:
            begun.append(recipient)
            released.wait(60)
        return arrived(recipient, raw)

    monkeypatch.setattr("crm.inbound.hearing.arrived", reads)
    monkeypatch.setattr("crm.inbound.hearing._PATIENCE", 0.01)
    try:
        yield begun
    finally:
        released.set()


async def test_a_mail_that_takes_too_long_to_read_is_taken_and_counted(
    database: Database, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take as long again; the next one is heard meanwhile."""
    known = await sent(database, business, _domain())
    async with _listener(database) as port:
        with _stuck(monkeypatch):
            _, odd = await _said(port, [known.messages[0].sender], b"Subject: Odd\r\n\r\n")
            monkeypatch.setattr("crm.inbound.hearing._PATIENCE", 60.0)
            _, next_one = await _said(port, [known.messages[1].sender], dsn("5.1.1"))
    assert (odd[0][0], next_one[0][0]) == (250, 250)
    assert await known.kinds(database) == {"unreadable": 1, "hard": 1}


async def test_who_leaves_has_left_however_long_her_mail_takes_to_read(
    database: Database, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is the wish, and proves whose; what the mail says does not matter."""
    known = await sent(database, business, _domain())
    async with _listener(database) as port:
        with _stuck(monkeypatch):
            _, answers = await _said(port, [known.leave()], b"Subject: Odd\r\n\r\n")
    assert answers[0][0] == 250
    assert await _withdrawn(database, known)
    assert not await _withdrawn(database, known, 1)
    assert await known.kinds(database) == {"unsubscribe": 1}


async def test_no_more_mails_are_read_at_once_than_there_may_be_lines(
    database: Database, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was given up counts until its thread ends; the server in front keeps the others."""
    known = await sent(database, business, _domain())
    sender, odd = known.messages[0].sender, b"Subject: Odd\r\n\r\n"

    async def answered(raw: bytes) -> int:
        _, answers = await _said(port, [sender], raw)
        return answers[0][0]

    async with _listener(database, connections=2) as port:
        with _stuck(monkeypatch) as begun, capture_logs() as logs:
            # One that is given up before its thread has begun leaves none behind.
            while await answered(odd) == 250:
                continue
            assert len(begun) == 2
            assert await answered(dsn("5.1.1")) == 451
        monkeypatch.setattr("crm.inbound.hearing._PATIENCE", 60.0)
        while await answered(dsn("5.1.1")) == 451:
            continue
    full = [each for each in logs if each["event"] == "too_many_readings"]
    assert [each["log_level"] for each in full] == ["error", "error"]
    assert (await known.kinds(database))["hard"] == 1


async def _away(*_: object, **__: object) -> None:
    raise ConnectionRefusedError


async def test_too_large_and_too_long(database: Database, business: Business) -> None:
    """Refused for each recipient, and the line goes on."""
    known = await sent(database, business, _domain())
    leaves = [known.leave(number) for number in range(2)]
    async with _listener(database, max_bytes=100_000) as port:
        _, answers = await _said(port, leaves, b"Subject: \r\n\r\n" + b"x" * 70 + b"\r\n" * 60_000)
        assert [code for code, _ in answers] == [552, 552]
        _, answers = await _said(port, leaves[:1], b"Subject: \r\n\r\n" + b"y" * 90_000 + b"\r\n")
        assert answers[0][0] == 250


async def test_more_lines_than_there_may_be(database: Database) -> None:
    """One too many is told to come back, and a line that ends makes room."""
    async with _listener(database, connections=1) as port:
        first = await asyncio.to_thread(LMTP, "127.0.0.1", port, timeout=20)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert (await reader.readline()).startswith(b"421")
        writer.close()
        await asyncio.to_thread(first.quit)
        await asyncio.to_thread(lambda: LMTP("127.0.0.1", port, timeout=20).quit())


async def test_it_speaks_what_was_chosen(database: Database, business: Business) -> None:
    """LMTP refuses EHLO (RFC 2033 §4.1); SMTP takes one recipient after the other."""
    known = await sent(database, business, _domain())
    async with _listener(database) as port:
        line = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False)
        await line.connect()
        assert (await line.execute_command(b"EHLO", b"x"))[0] == 500
        line.close()
    async with _listener(database, protocol="smtp") as port:
        line = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False)
        await line.connect()
        leaves = [known.leave(number) for number in range(2)]
        refused, _ = await line.sendmail("", leaves, b"Subject: \r\n\r\n")
        assert refused[leaves[1]].code == 452
        await line.quit()
    assert await _withdrawn(database, known)


async def test_a_domain_that_two_businesses_share(
    database: Database, business: Business, other_business: Business
) -> None:
    """The token says whose it is; without one nobody is there."""
    domain = _domain()
    known, theirs = [await sent(database, each, domain) for each in (business, other_business)]
    async with _listener(database) as port:
        _, answers = await _said(
            port, [theirs.leave(), f"letter@{domain}"], letter("a@b.example", "")
        )
    assert [code for code, _ in answers] == [250, 550]
    assert await _withdrawn(database, theirs)
    assert not await _withdrawn(database, known)


@pytest.mark.parametrize(
    "said",
    [b"RCPT TO:<\xff\xfe@x.example>", b"RCPT TO:<>", b"\0" * 100, b"MAIL FROM:<" + b"a" * 500],
)
async def test_garbage_is_refused(database: Database, said: bytes) -> None:
    """With an answer, and the line goes on or is closed; nothing breaks."""
    async with _listener(database) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readline()
        writer.write(b"LHLO x\r\n")
        while not (await reader.readline()).startswith(b"250 "):
            pass
        writer.write(b"MAIL FROM:<>\r\n")
        await reader.readline()
        writer.write(said + b"\r\n")
        assert (await reader.readline())[:1] in {b"4", b"5"}
        writer.close()


async def test_a_letter_finds_its_customer(database: Database, business: Business) -> None:
    """A reply to any name at the domain is kept with who wrote it."""
    known = await sent(database, business, _domain())
    raw = letter(known.messages[0].recipients[0], "Thank you!")
    domain = known.messages[0].sender.rpartition("@")[2]
    async with _listener(database) as port:
        _, answers = await _said(port, [f"letter@{domain}"], raw)
    reader = await known.reader(database)
    async with database.read(business.id) as db:
        (kept,) = await customers.interactions(db, reader.id)
        assert await mail.suppressed(db, known.hashed(database)) is None
    assert (answers[0][0], kept.detail) == (250, "Thank you!")
