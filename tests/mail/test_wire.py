"""The client on the wire, against a server that records and fails on request."""

import asyncio
import json
import random
from collections import Counter, deque
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from msgspec import Struct

from crm.mail.outcome import Outcome
from crm.mail.wire import Limits, Parcel, Unreachable, open_lanes, send_by, send_one
from tests.smtpd import OFFERS, Fault, Smtpd, smtpd

QUICK = Limits(dot=0.3, mail=0.3, rcpt=0.3, data=0.3, block=0.3, quit=0.3, first_pause=0.001,
               longest_pause=0.01)  # fmt: skip
PATIENT = Limits(first_pause=0.001, longest_pause=0.01, quit=0.3)
WITHOUT_PIPELINING = OFFERS[1:]
CONTENT = b"Subject: Rye\r\n\r\nHello\r\n..dot\r\n"


class Here(Struct, frozen=True):
    port: int
    host: str = "127.0.0.1"
    username: str = ""
    password: str = ""
    tls: str = "none"
    local: bool = True


def to(name: str, content: bytes = CONTENT) -> Parcel:
    return Parcel(name, "news@example.org", f"{name}@example.com", content)


class Book:
    """A feed that remembers how every parcel ended, and offers again what was given back."""

    def __init__(self, *parcels: Parcel, again: bool = True) -> None:
        self.waiting = deque(parcels)
        self.taken: Counter[object] = Counter()
        self.back: Counter[object] = Counter()
        self.outcomes: dict[object, list[Outcome]] = {}
        self.handed: set[object] = set()
        self.again = again

    def take(self) -> Parcel | None:
        if not self.waiting:
            return None
        parcel = self.waiting.popleft()
        self.taken[parcel.key] += 1
        return parcel

    def outcome(self, parcel: Parcel, result: Outcome) -> None:
        self.outcomes.setdefault(parcel.key, []).append(result)

    def given_back(self, parcel: Parcel) -> None:
        self.back[parcel.key] += 1
        if self.again:
            self.waiting.append(parcel)

    def hand(self, parcel: Parcel) -> None:
        self.handed.add(parcel.key)

    def kinds(self) -> dict[object, str]:
        return {key: found[0].kind.value for key, found in self.outcomes.items()}


async def delivered(
    server: Smtpd, book: Book, connections: int = 1, limits: Limits = PATIENT
) -> None:
    """As a job would: until all is settled, beginning anew when the relay was out of reach."""
    settled = False
    while not settled:
        with suppress(Unreachable):
            lanes = await open_lanes(Here(server.port), connections, limits=limits, hello="me")
            lanes.deliver(book, book.outcome, book.given_back, book.hand)
            try:
                await lanes.settled()
                settled = True
            finally:
                await lanes.close()


async def test_content_and_next_envelope_travel_together() -> None:
    released = asyncio.Event()
    async with smtpd() as server:
        server.fails("dot", Fault(until=released))
        book = Book(to("a"), to("b"))
        lanes = await open_lanes(Here(server.port), 1, limits=PATIENT)
        lanes.deliver(book, book.outcome, book.given_back, book.hand)
        await server.until_heard(".")
        assert (lanes.in_flight, lanes.unanswered) == (2, 1)
        assert book.taken == {"a": 1, "b": 1}  # before anything about a was answered
        assert book.handed == {"a"}
        released.set()
        await lanes.settled()
        await lanes.close()
    assert book.kinds() == {"a": "sent", "b": "sent"}
    verbs = [command.split(" ")[0] for _, command in server.commands]
    assert verbs == ["EHLO", *["MAIL", "RCPT", "DATA", "."] * 2, "QUIT"]
    assert [message.content for message in server.messages] == [
        b"Subject: Rye\r\n\r\nHello\r\n.dot\r\n"
    ] * 2


async def test_without_pipelining_one_command_waits_for_the_other() -> None:
    async with smtpd(offers=WITHOUT_PIPELINING) as server:
        server.fails_for("b@example.com", "rcpt", "550 5.1.1 No such user")
        book = Book(to("a"), to("b"), to("c"))
        await delivered(server, book)
    assert book.kinds() == {"a": "sent", "b": "failed", "c": "sent"}
    verbs = [command.split(" ")[0] for _, command in server.commands]
    assert verbs.count("RSET") == 1
    assert verbs.count("DATA") == 2


@pytest.mark.parametrize("offers", [OFFERS, WITHOUT_PIPELINING])
@pytest.mark.parametrize(
    ("step", "fault", "kind"),
    [
        ("mail", "451 4.3.0 Later", "later"),
        ("mail", "550 5.7.1 No", "failed"),
        ("rcpt", "550 5.1.1 No such user", "failed"),
        ("rcpt", "450-4.2.0 Grey\r\n450 4.2.0 listed", "later"),
        ("rcpt", "421 4.7.0 Bye", "later"),
        ("data", "451 4.3.0 Later", "later"),
        ("data", "554 5.5.1 No", "failed"),
        ("data", "250 What", "later"),
        ("data", "Hello", "later"),
        ("dot", "554 5.7.1 Spam", "failed"),
        ("dot", "452 4.3.1 Full", "later"),
        ("dot", "421 4.3.0 Closing", "later"),
        ("dot", "huh", "uncertain"),
        ("dot", Fault(drop=True), "uncertain"),
        ("dot", Fault(drop=True, accept=True), "uncertain"),
        ("mail", "421 4.3.2 Closing", "sent"),
        ("mail", Fault(drop=True), "sent"),
        ("rcpt", Fault(drop=True), "sent"),
        ("data", Fault(drop=True), "sent"),
    ],
)
async def test_each_fault_ends_in_its_outcome(
    offers: tuple[str, ...], step: str, fault: Fault | str, kind: str
) -> None:
    async with smtpd(offers=offers) as server:
        server.fails(step, fault)
        book = Book(to("a"), to("b"))
        await delivered(server, book)
    assert book.kinds() == {"a": kind, "b": "sent"}
    assert all(len(found) == 1 for found in book.outcomes.values())


@pytest.mark.parametrize(
    ("step", "kind"),
    [("mail", "later"), ("rcpt", "later"), ("data", "later"), ("dot", "uncertain")],
)
async def test_silence_is_uncertain_only_after_the_dot(step: str, kind: str) -> None:
    never = asyncio.Event()
    async with smtpd() as server:
        server.fails(step, *[Fault(until=never)] * 3)
        book = Book(to("a"))
        await delivered(server, book, limits=QUICK)
    assert book.kinds() == {"a": kind}


async def test_a_drop_in_the_middle_of_a_large_content_is_no_delivery() -> None:
    large = b"Subject: x\r\n\r\n" + (b"x" * 70 + b"\r\n") * 200_000
    async with smtpd(offers=("PIPELINING",)) as server:
        server.fails("dot", Fault(drop=True, after=100))
        book = Book(to("a", large), to("b"))
        await delivered(server, book)
    assert book.kinds() == {"a": "later", "b": "sent"}
    assert server.accepted() == ["b@example.com"]


async def test_a_large_content_arrives_whole() -> None:
    large = b"Subject: x\r\n\r\n" + (b"x" * 70 + b"\r\n") * 50_000
    async with smtpd(offers=("PIPELINING",)) as server:
        await delivered(server, book := Book(to("a", large), to("b"), to("c", large)))
    assert set(book.kinds().values()) == {"sent"}
    assert server.messages[0].content == large


async def test_refused_but_told_to_go_on_sends_a_lone_dot() -> None:
    async with smtpd() as server:
        server.fails_for("a@example.com", "rcpt", "550 5.1.1 No such user")
        server.fails_for("a@example.com", "data", "354 Go on all the same")
        await delivered(server, book := Book(to("a"), to("b")))
    assert book.kinds() == {"a": "failed", "b": "sent"}
    assert book.handed == {"b"}
    assert server.accepted() == ["b@example.com"]


@pytest.mark.parametrize(
    ("parcel", "offers", "reason"),
    [
        (Parcel(1, "n@x.example", "no ra@x.example", CONTENT), OFFERS, "bad_address"),
        (Parcel(1, "n@x.example", "a@x>\r\nRSET", CONTENT), OFFERS, "bad_address"),
        (Parcel(1, "n@x.example", "nøra@x.example", CONTENT), ("PIPELINING",), "needs_smtputf8"),
        (Parcel(1, "n@x.example", "a@x.example", "ø\r\n".encode()), ("SIZE",), "needs_8bitmime"),
        (Parcel(1, "n@x.example", "a@x.example", b"x" * 99), ("SIZE 50",), "too_large"),
        (Parcel(1, "n@x.example", "a@x.example", b"a\r\n.\r\nMAIL"), OFFERS, "bad_content"),
    ],
)
async def test_what_this_relay_cannot_take_is_refused_here(
    parcel: Parcel, offers: tuple[str, ...], reason: str
) -> None:
    async with smtpd(offers=offers) as server:
        result = await send_one(Here(server.port), parcel, limits=PATIENT)
    assert (result.kind, result.reason) == ("failed", reason)
    assert not any(command.startswith(("MAIL", "RSET")) for _, command in server.commands)


async def test_utf8_addresses_are_asked_for() -> None:
    async with smtpd() as server:
        result = await send_one(
            Here(server.port), Parcel(1, "n@x.example", "nøra@x.example", "ø\r\n".encode())
        )
    assert result.kind == "sent"
    mail = next(command for _, command in server.commands if command.startswith("MAIL"))
    assert mail == "MAIL FROM:<n@x.example> SIZE=4 BODY=8BITMIME SMTPUTF8"


async def test_no_relay_is_unreachable() -> None:
    async with smtpd() as server:
        port = server.port
    with pytest.raises(Unreachable) as refused:
        await open_lanes(Here(port), 3, limits=PATIENT)
    assert refused.value.trouble.reason == "cannot_connect"
    result = await send_one(Here(port), to("a"), limits=PATIENT)
    assert (result.kind, result.reason) == ("later", "cannot_connect")


async def test_a_greeting_that_refuses_is_unreachable() -> None:
    async with smtpd() as server:
        server.fails("greeting", "554 5.3.2 Not today nora@example.com")
        result = await send_one(Here(server.port), to("a"), limits=PATIENT)
    assert (result.kind, result.reason, result.code) == ("later", "relay_refuses", 554)
    assert "@" not in result.text


async def test_a_password_never_travels_in_clear() -> None:
    relay = Here(1, host="192.0.2.1", username="u", password="p")
    assert relay.tls == "none"
    async with smtpd() as server:
        relay = Here(server.port, host="127.0.0.1", username="u", password="p", tls="starttls")
        result = await send_one(relay, to("a"), limits=PATIENT)
    assert result.kind == "later"
    assert not any(command.startswith("AUTH") for _, command in server.commands)


async def test_a_parcel_that_ends_every_session_does_not_turn_for_ever() -> None:
    async with smtpd() as server:
        server.fails_for("a@example.com", "rcpt", Fault(drop=True))
        await delivered(server, book := Book(to("a"), to("b"), to("c")), connections=2)
    assert book.kinds() == {"a": "later", "b": "sent", "c": "sent"}


@pytest.mark.parametrize("connections", [1, 2])
async def test_nothing_is_settled_while_what_came_back_is_to_be_tried_again(
    connections: int,
) -> None:
    """Every lane has heard that there is nothing more, and then a session ends under the last."""
    async with smtpd() as server:
        server.fails("rcpt", Fault(drop=True))
        book = Book(to("a"))
        lanes = await open_lanes(Here(server.port), connections, limits=PATIENT)
        lanes.deliver(book, book.outcome, book.given_back)
        await lanes.settled()
        await lanes.close()
    assert book.kinds() == {"a": "sent"}


async def test_more_work_after_a_pause_is_taken_by_a_nudge() -> None:
    async with smtpd() as server:
        book = Book()
        lanes = await open_lanes(Here(server.port), 2, limits=PATIENT)
        lanes.deliver(book, book.outcome, book.given_back)
        await lanes.settled()
        book.waiting.append(to("a"))
        lanes.nudge()
        await lanes.settled()
        await lanes.close()
    assert book.kinds() == {"a": "sent"}


async def test_closing_cuts_off_what_is_not_answered_in_time() -> None:
    async with smtpd() as server:
        server.fails("dot", Fault(until=asyncio.Event()))
        book = Book(to("a"), to("b"), again=False)
        lanes = await open_lanes(Here(server.port), 1, limits=PATIENT)
        lanes.deliver(book, book.outcome, book.given_back)
        await server.until_heard(".")
        await lanes.close(grace=0)
    assert book.kinds() == {"a": "uncertain"}
    assert book.back == {"b": 1}


FAULTS: list[tuple[str, Fault | str]] = [
    ("greeting", "421 4.3.2 Busy"),
    ("greeting", Fault(drop=True)),
    ("ehlo", Fault(drop=True)),
    *[(step, fault) for step in ("mail", "rcpt", "data") for fault in (
        "451 4.3.0 Later", "550 5.1.1 No", "421 4.3.2 Bye", "nonsense", Fault(drop=True),
        "450-4.1.1 two\r\n450 4.1.1 lines",
    )],
    *[("dot", fault) for fault in (
        "451 4.3.0 Later", "554 5.7.1 No", "421 4.3.2 Bye", "nonsense", Fault(drop=True),
        Fault(drop=True, accept=True), Fault(drop=True, after=3),
    )],
]  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("offers", [OFFERS, WITHOUT_PIPELINING])
async def test_no_parcel_is_lost_or_doubled(
    seed: int, offers: tuple[str, ...], tmp_path: Path
) -> None:
    chance = random.Random(seed)
    log = tmp_path / "log.jsonl"
    names: list[object] = [f"p{number}" for number in range(150)]
    async with smtpd(offers=offers, log=log) as server:
        for step, fault in chance.choices(FAULTS, k=40):
            usual: list[Fault | str] = [Fault()] * chance.randrange(6)
            server.fails(step, *usual, fault)
        book = Book(*(to(str(name)) for name in names))
        await delivered(server, book, connections=4)
    accepted = [
        name.removesuffix("@example.com")
        for line in log.read_text().splitlines()
        for name in json.loads(line)["recipients"]
    ]
    kinds = book.kinds()
    assert set(kinds) == set(names)
    assert all(len(found) == 1 for found in book.outcomes.values())
    assert all(book.taken[name] == 1 + book.back[name] for name in names)
    assert len(accepted) == len(set(accepted))
    sent = {name for name in names if kinds[name] == "sent"}
    uncertain = {name for name in names if kinds[name] == "uncertain"}
    assert sent <= set(accepted) <= sent | uncertain
    assert sent | uncertain <= book.handed


@pytest.mark.parametrize("others", [True, False])
async def test_a_relay_that_goes_while_a_message_is_begun_holds_nobody_up(*, others: bool) -> None:
    """It greets, closes and is away: the next relay has it, or it is `later`; begun once."""
    begun = 0
    async with smtpd() as other, AsyncExitStack() as stack:
        gone = await stack.enter_async_context(smtpd())

        async def begin() -> None:
            nonlocal begun
            begun += 1
            await stack.aclose()
            # The lane hears of it before the message is in the feed.
            await asyncio.sleep(0.1)

        relays = [(Here(gone.port), "here"), (Here(other.port), "here")]
        limits = Limits(open=1, first_pause=0.001, quit=0.3)
        async with asyncio.timeout(20):
            result = await send_by(relays[: 1 + others], to("a"), limits=limits, begin=begin)
    assert result.kind == ("sent" if others else "later")
    assert (begun, other.accepted()) == (1, ["a@example.com"] if others else [])


@pytest.mark.parametrize(
    ("step", "kind"),
    [("greeting", "later"), ("mail", "later"), ("data", "later"), ("dot", "uncertain")],
)
async def test_what_is_not_over_in_time_is_cut_off(step: str, kind: str) -> None:
    """Uncertain only where the content had left, whatever a single answer may take."""
    async with smtpd() as server:
        held = asyncio.Event()
        server.fails(step, Fault(until=held))
        by = [(Here(server.port), "here")]
        async with asyncio.timeout(20):
            result = await send_by(by, to("a"), limits=PATIENT, within=0.3)
        held.set()
    assert result.kind == kind


async def test_a_relay_that_does_not_greet_leaves_no_time_for_the_next() -> None:
    """Both together have the time of one."""
    async with smtpd() as silent, smtpd() as other:
        held = asyncio.Event()
        silent.fails("greeting", Fault(until=held))
        relays = [(Here(silent.port), "here"), (Here(other.port), "here")]
        async with asyncio.timeout(20):
            result = await send_by(relays, to("a"), limits=PATIENT, within=0.3)
        held.set()
    assert (result.kind, result.reason, other.accepted()) == ("later", "no_answer", [])
