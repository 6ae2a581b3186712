"""Sessions with relays that offer more, offer less, or are not what they should be."""

import asyncio
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trustme

from crm.mail.pipeline import Conversation, Offers
from crm.mail.wire import Limits, Parcel, Unreachable, open_lanes, send_one
from tests.mail.test_wire import PATIENT, QUICK, Book, Here, delivered, to
from tests.smtpd import OFFERS, Fault, smtpd

DSN = (*OFFERS, "DSN")
SHORT = Limits(open=0.3, mail=0.3, rcpt=0.3, data=0.3, block=0.3, dot=0.3, quit=0.3,
               first_pause=0.001, longest_pause=0.01)  # fmt: skip
YES = {"MAIL": "250 Ok", "RCPT": "250 Ok", "DATA": "354 Go on"}


def certified(name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for a name, and a client's that believes its issuer."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(name).configure_cert(server)
    authority.configure_trust(client)
    return server, client


def commands(server_commands: list[tuple[int, str]], verb: str) -> list[str]:
    return [command for _, command in server_commands if command.startswith(verb)]


async def test_reports_are_asked_for_where_they_are_offered() -> None:
    parcel = Parcel(1, "n@x.example", "a+b=c@x.example", b"x\r\n", envelope_id="c 1+2")
    async with smtpd(offers=DSN) as server:
        assert (await send_one(Here(server.port), parcel, limits=PATIENT)).kind == "sent"
    assert commands(server.commands, "MAIL") == [
        "MAIL FROM:<n@x.example> SIZE=3 RET=HDRS ENVID=c+201+2B2"
    ]
    assert commands(server.commands, "RCPT") == [
        "RCPT TO:<a+b=c@x.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a+2Bb+3Dc@x.example"
    ]


async def test_an_international_address_is_cited_in_ascii() -> None:
    parcel = Parcel(1, "n@x.example", "nø+\U0001f35e@x.example", b"x\r\n")
    async with smtpd(offers=DSN) as server:
        assert (await send_one(Here(server.port), parcel, limits=PATIENT)).kind == "sent"
    assert commands(server.commands, "RCPT")[0].endswith(
        r" ORCPT=utf-8;n\x{F8}\x{2B}\x{1F35E}@x.example"
    )


async def test_no_command_grows_beyond_what_every_server_reads() -> None:
    address = "+" * 64 + "@" + "d" * 170 + ".example"
    parcel = Parcel(1, "n@x.example", address, b"x\r\n", envelope_id="=" * 50)
    async with smtpd(offers=DSN) as server:
        assert (await send_one(Here(server.port), parcel, limits=PATIENT)).kind == "sent"
    assert all(len(command) <= 510 for _, command in server.commands)
    assert commands(server.commands, "RCPT")[0].endswith("> NOTIFY=FAILURE,DELAY")
    assert commands(server.commands, "MAIL")[0].endswith(" RET=HDRS")


@pytest.mark.parametrize("content", [b"a\n.\nMAIL", b"a\r.\rMAIL", b"a\nb", b"a\r\n.\nb"])
async def test_a_lone_line_end_is_never_sent(content: bytes) -> None:
    async with smtpd() as server:
        result = await send_one(Here(server.port), to("a", content), limits=PATIENT)
    assert (result.kind, result.reason) == ("failed", "bad_content")
    assert commands(server.commands, "MAIL") == []


async def test_offers_are_those_made_inside_tls() -> None:
    served, believing = certified("127.0.0.1")
    parcel = Parcel(1, "n@x.example", "a@x.example", b"x\r\n")
    async with smtpd(tls=served, offers_in_tls=["SIZE 50"]) as server:
        relay = Here(server.port, tls="starttls")
        assert (await send_one(relay, parcel, limits=PATIENT, tls=believing)).kind == "sent"
        large = to("a", b"x" * 99)
        refused = await send_one(relay, large, limits=PATIENT, tls=believing)
    verbs = [command.split(" ")[0] for _, command in server.commands]
    assert verbs[:4] == ["EHLO", "STARTTLS", "EHLO", "MAIL"]
    assert commands(server.commands, "RCPT") == ["RCPT TO:<a@x.example>"]
    assert refused.reason == "too_large"


async def test_a_session_inside_tls_takes_more_after_a_rest() -> None:
    """However large the mail before it was: what has left the process holds nothing up."""
    served, believing = certified("127.0.0.1")
    book = Book()
    async with smtpd(tls=served) as server:
        relay = Here(server.port, tls="starttls")
        lanes = await open_lanes(relay, 1, limits=PATIENT, hello="me", tls=believing)
        lanes.deliver(book, book.outcome, book.given_back)
        try:
            for number, lines in enumerate((1, 300, 2, 2000, 1, 1, 9000, 1)):
                await asyncio.wait_for(lanes.settled(), 10)
                book.waiting.append(to(f"n{number}", b"A line of a letter.\r\n" * lines))
                lanes.nudge()
            await asyncio.wait_for(lanes.settled(), 10)
        finally:
            await lanes.close(grace=0)
    assert list(book.kinds().values()) == ["sent"] * 8
    assert server.connections == 1


@pytest.mark.parametrize("name", ["other.example", "127.0.0.1"])
async def test_a_wrong_certificate_is_no_session(name: str) -> None:
    """Of another name, or of an issuer that nobody here believes."""
    served, believing = certified(name)
    context = believing if name != "127.0.0.1" else ssl.create_default_context()
    async with smtpd(tls=served) as server:
        relay = Here(server.port, tls="starttls")
        result = await send_one(relay, to("a"), limits=PATIENT, tls=context)
    assert (result.kind, result.reason, result.whose) == ("later", "certificate_wrong", "ours")
    assert result.text
    assert commands(server.commands, "MAIL") == []


async def test_tls_that_is_not_offered_is_no_session() -> None:
    async with smtpd() as server:
        result = await send_one(Here(server.port, tls="starttls"), to("a"), limits=PATIENT)
    assert (result.kind, result.reason) == ("later", "tls_not_offered")
    assert commands(server.commands, "MAIL") == []


@pytest.mark.parametrize("step", ["greeting", "ehlo"])
async def test_a_relay_that_stalls_before_a_session_is_no_answer(step: str) -> None:
    async with smtpd() as server:
        server.fails(step, Fault(until=asyncio.Event()))
        with pytest.raises(Unreachable) as refused:
            await open_lanes(Here(server.port), 1, limits=SHORT)
    assert refused.value.trouble.reason == "no_answer"


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[int]:
    """A relay that greets like any other and then follows a script; its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            writer.write(b"220 here\r\n")
            await reader.readline()
            writer.write(b"250-here\r\n250 PIPELINING\r\n")
            await script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listener.wait_closed()


def saying(data: bytes, *, every: float = 0) -> Script:
    """Answer an envelope with these bytes, at once or one by one, then only listen."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"DATA\r\n")
        for at in range(len(data)) if every else ():
            writer.write(data[at : at + 1])
            await asyncio.sleep(every)
        if not every:
            writer.write(data)
        await reader.read()

    return script


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"250 Ok\r\n250 Ok\r\n354 Go\r\n250 Kept\r\n", "uncertain"),  # a yes before the content
        (b"250 Ok\r\n250 Ok\r\n354 Go\r\n25", "uncertain"),
        (b"250 Ok\r\n250 Ok\r\n250 Ok\r\n354 Go\r\n", "later"),  # one reply too many
        (b"250-Ok\r\n251 Ok\r\n", "later"),  # lines of different codes
        (b"250 Ok\r\n250 Ok\r\n354", "later"),  # half a line, then nothing
        (b"2" * 40_000, "later"),  # a line without an end
        (b"250-x\r\n" * 40_000, "later"),  # a reply without an end
        (b"\xff\xfe\x00\r\n", "later"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "later"),
    ],
)
async def test_a_relay_that_does_not_speak_smtp_ends_in_an_outcome(data: bytes, kind: str) -> None:
    async with scripted(saying(data)) as port:
        result = await send_one(Here(port), to("a"), limits=SHORT)
    assert result.kind == kind


async def test_a_reply_that_drips_is_waited_for_only_so_long() -> None:
    async with scripted(saying(b"250-" + b"x" * 500, every=0.05)) as port:
        async with asyncio.timeout(10):
            result = await send_one(Here(port), to("a"), limits=SHORT)
    assert (result.kind, result.reason) == ("later", "connection_lost")


@pytest.mark.parametrize("line", [b"250-\r\n", b"250-x\r\n", b"250-" + b"x" * 400 + b"\r\n"])
def test_a_reply_without_end_ends(line: bytes) -> None:
    """Also where its lines say nothing; and what it takes meanwhile is bounded."""

    class Nobody:
        def take(self) -> None:
            return None

    talk = Conversation(Offers(pipelining=True), lambda _: None, Nobody())  # type: ignore[arg-type]
    chunk = line * (60_000 // len(line))
    tracemalloc.start()
    try:
        for _ in range(20):
            talk.receive(chunk)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert talk.over
    assert most < 3_000_000


async def test_a_reply_cut_into_packets_is_one_reply() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"DATA\r\n")
        for octet in b"250 Ok\r\n250-Ok\r\n250 Ok\r\n354 Go\r\n":
            writer.write(bytes([octet]))
            await writer.drain()
            await asyncio.sleep(0)
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 Kept\r\n")
        await reader.read()

    async with scripted(script) as port:
        assert (await send_one(Here(port), to("a"), limits=QUICK)).kind == "sent"


@pytest.mark.parametrize("ends", ["reset", "half"])
async def test_a_connection_that_breaks_in_the_content_is_no_delivery(ends: str) -> None:
    """Reset, or closed by the relay, which could still read: the rest does not follow."""
    large = b"Subject: x\r\n\r\n" + (b"x" * 70 + b"\r\n") * 400_000
    rest = b""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal rest
        await reader.readuntil(b"DATA\r\n")
        writer.write(b"250 Ok\r\n250 Ok\r\n354 Go\r\n")
        await reader.readexactly(1000)
        if ends == "reset":
            writer.transport.abort()
            return
        writer.write_eof()
        rest = (await reader.read())[-5:]

    async with scripted(script) as port:
        result = await send_one(Here(port), to("a", large), limits=SHORT)
    assert (result.kind, result.reason) == ("later", "connection_lost")
    assert rest != b"\r\n.\r\n"


async def test_a_421_in_the_middle_of_a_group_costs_only_its_own() -> None:
    async with smtpd() as server:
        server.fails("rcpt", Fault(), "421 4.3.2 Closing")
        await delivered(server, book := Book(to("a"), to("b"), to("c")))
    assert book.kinds() == {"a": "sent", "b": "later", "c": "sent"}
    assert sorted(server.accepted()) == ["a@example.com", "c@example.com"]
