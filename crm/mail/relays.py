"""The relays of a business: entered by its owners, shared by its campaigns and service messages."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from ipaddress import ip_address
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from crm import customers, events
from crm.db import Db, ReadDb, Statements
from crm.errors import Invalid, Problem
from crm.events import Actor, Kind
from crm.ids import time_ordered
from crm.mail.pacing import RelayUse, cap_on
from crm.mail.session import LOOPBACK, Door, Limits, Opened
from crm.names import is_public
from crm.settings import Settings

sql = Statements("mail")

INSTALLATION = UUID(int=0)
_SECRET = "relay"  # noqa: S105  (names what is encrypted)
# Doubles every day: what receivers ask of an address that nobody has seen sending.
WARM_UP = (200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 102400)

Tls = Literal["none", "starttls", "implicit"]
_HOST = r"^([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|[0-9A-Fa-f:]+)$"
Host = Annotated[str, Meta(pattern=_HOST, max_length=253)]


class NewRelay(Struct, kw_only=True, forbid_unknown_fields=True):
    """What an owner enters; an empty password keeps the one there is."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    host: Host
    port: Annotated[int, Meta(ge=1, le=65535)] = 587
    tls: Tls = "starttls"
    username: Annotated[str, Meta(max_length=200)] = ""
    password: Annotated[str, Meta(max_length=500)] = ""
    hello: Annotated[str, Meta(max_length=253, pattern=r"^[A-Za-z0-9.-]*(?!\n)$")] = ""
    weight: Annotated[int, Meta(ge=0, le=100)] = 1
    connections: Annotated[int, Meta(ge=1, le=200)] = 10
    rate: Annotated[int, Meta(ge=0, le=100_000)] = 0
    daily_cap: Annotated[int, Meta(ge=0, le=2_000_000_000)] = 0
    warm_up: Annotated[list[Annotated[int, Meta(ge=1, le=2_000_000_000)]], Meta(max_length=90)] = []
    # From which addresses it hands mail on, where that is known: SPF and PTR are compared with it.
    sends_from: Annotated[list[str], Meta(max_length=20)] = []
    active: bool = True


class Relay(Struct, frozen=True, kw_only=True):
    """A relay as it is kept; `password` is read by `usable` only."""

    id: UUID
    name: str
    host: str
    port: int
    tls: str
    username: str
    sealed: bytes | None = None
    password: str | None = None
    hello: str = ""
    weight: int = 1
    connections: int = 10
    rate: int = 0
    daily_cap: int = 0
    warm_up: list[int] = []
    warm_up_on: date | None = None
    sends_from: list[str] = []
    active: bool = True
    trouble: str | None = None
    trouble_at: datetime | None = None
    # When it was entered, or last changed; none of that of the installation.
    changed_at: datetime | None = None
    # May it be on this machine or in a private network? That of the installation may.
    local: bool = True

    def __repr__(self) -> str:
        """Hide the password."""
        return f"Relay({self.host}:{self.port})"

    @property
    def counted(self) -> bool:
        """Whether it has a rate or a cap, so that workers share what it may take."""
        return bool(self.rate or self.daily_cap or self.warm_up)

    def cap(self, day: date) -> int:
        """The most it takes on a day; 0 is no cap."""
        return cap_on(day, self.daily_cap, self.warm_up, self.warm_up_on)

    def warming(self, day: date) -> int:
        """The number of this day in its plan, from 1; 0 when there is none or it is over."""
        if not self.warm_up or self.warm_up_on is None:
            return 0
        number = (day - self.warm_up_on).days + 1
        return number if 1 <= number <= len(self.warm_up) else 0


def checked(new: NewRelay) -> NewRelay:
    """Return a relay that mail may be given to, or refuse: TLS, unless it is this machine."""
    try:
        msgspec.convert(msgspec.structs.asdict(new), NewRelay)
    except msgspec.ValidationError as wrong:
        field = str(wrong).rpartition("$.")[2].rstrip("`").partition("[")[0]
        raise _unusable(field, "This is empty, out of bounds, or not written like one.") from None
    if new.tls == "none" and new.host not in LOOPBACK:
        sentence = (
            "Mail goes to another machine inside TLS only. Choose STARTTLS or implicit TLS; "
            "without, a relay must be at 127.0.0.1, ::1 or localhost."
        )
        raise _unusable("tls", sentence)
    return msgspec.structs.replace(new, sends_from=public(new.sends_from))


def public(addresses: Sequence[str]) -> list[str]:
    """Return addresses as DNS writes them; refuses what no receiver could see."""
    try:
        found = [str(ip_address(each)) for each in addresses if is_public(each)]
    except ValueError:
        found = []
    if len(found) < len(addresses):
        sentence = (
            "These are the public addresses from which the relay reaches receivers, such as "
            "192.0.2.7, with commas between them."
        )
        raise _unusable("sends_from", sentence)
    return list(dict.fromkeys(found))


def _unusable(field: str, sentence: str) -> Invalid:
    return Invalid(sentence, [Problem(field, sentence)])


async def add(db: Db, by: Actor, new: NewRelay, today: date) -> UUID:
    """Keep a relay, its password encrypted; mail goes through it from the next range on."""
    relay_id = time_ordered()
    await db.run(sql.add_relay, relay_id=relay_id, **_fields(db, checked(new), today))
    await events.record(db, by, Kind.relay_added, ref=relay_id, reason=new.name)
    return relay_id


async def change(db: Db, by: Actor, relay_id: UUID, new: NewRelay, today: date) -> None:
    """Replace what is known of a relay; a new warm-up plan begins today."""
    await db.one(sql.change_relay, UUID, relay_id=relay_id, **_fields(db, checked(new), today))
    await events.record(db, by, Kind.relay_changed, ref=relay_id, reason=new.name)


async def use(db: Db, by: Actor, relay_id: UUID, *, active: bool) -> None:
    """Let mail go by a relay from now on, or no more: what is under way by it ends."""
    name = await db.one(sql.use_relay, str, relay_id=relay_id, active=active)
    reason = f"{name}: {'on' if active else 'off'}"
    await events.record(db, by, Kind.relay_changed, ref=relay_id, reason=reason)


def _fields(db: Db, new: NewRelay, today: date) -> dict[str, object]:
    fields = msgspec.structs.asdict(new)
    secret = new.password.encode()
    fields["password"] = db.keys.encrypt(db.business_id, _SECRET, secret) if secret else None
    fields["warm_up_on"] = today if new.warm_up else None
    return fields


async def all_of(db: ReadDb) -> list[Relay]:
    """Return the relays of a business, the largest share first, without their passwords."""
    return await db.many(sql.relays, Relay)


def as_of(known: Sequence[Relay]) -> datetime | None:
    """Return up to when changes of relays were known; none where only the installation's is."""
    return max((each.changed_at for each in known if each.changed_at is not None), default=None)


async def usable(db: ReadDb, settings: Settings) -> list[Relay]:
    """Return the relays that mail goes to: the active ones; the installation's if there is none."""
    kept = await all_of(db)
    if not kept:
        return [of_installation(settings)]
    return [opened_up(db, relay, settings) for relay in kept if relay.active]


def opened_up(db: ReadDb, relay: Relay, settings: Settings) -> Relay:
    """Return a relay with its password, and the name to greet it with."""
    password = ""
    if relay.sealed is not None:
        password = db.keys.decrypt(db.business_id, _SECRET, relay.sealed).decode()
    hello = relay.hello or settings.smtp.hostname
    local = settings.smtp.local_relays
    return msgspec.structs.replace(relay, password=password, hello=hello, sealed=None, local=local)


def of_installation(settings: Settings) -> Relay:
    """Return the relay that `CRM_SMTP__*` names."""
    smtp = settings.smtp
    return Relay(
        id=INSTALLATION,
        name=smtp.host,
        host=smtp.host,
        port=smtp.port,
        tls=smtp.tls,
        username=smtp.username,
        password=smtp.password,
        hello=smtp.hostname,
        sends_from=smtp.addresses,
        connections=settings.sending.connections,
    )


async def note(db: Db, relay_id: UUID, trouble: str | None) -> None:
    """Keep why a relay cannot be reached, or that it can again."""
    if relay_id != INSTALLATION:
        await db.run(sql.note_trouble, relay_id=relay_id, trouble=trouble)


async def uses(db: ReadDb) -> dict[UUID, RelayUse]:
    """Return what relays with a rate or a cap have taken."""
    return {each.relay_id: each for each in await db.many(sql.relay_uses, RelayUse)}


async def limit_domain(
    db: Db, by: Actor, domain: str, rate: float | None, connections: int | None
) -> None:
    """Set how fast a domain may go at most; None for both leaves what was learned."""
    try:
        # As the domains of addresses are written, so that it is the one they are compared with.
        name = customers.parse(f"postmaster@{domain.strip().strip('@.')}").domain
    except customers.NotAnAddress:
        raise _unusable("domain", "A domain looks like example.com.") from None
    await db.run(
        sql.limit_domain, domain=name, limit_rate=rate, limit_connections=connections
    )  # fmt: skip
    await db.run(sql.forget_domain_paces, domains=[name])
    await events.record(db, by, Kind.domain_limited, reason=f"{name}: {rate or 'no'} a second")


class Found(Struct, frozen=True):
    """What a relay said when it was tried: nothing was sent."""

    tls: str
    signed_in: bool
    offers: Sequence[str]


async def tried(relay: Relay, *, tls: ssl.SSLContext | None = None, seconds: float = 15) -> Found:
    """Open a session, greet, TLS, sign in, and leave; Unreachable says where it ended."""
    opened: Opened = await Door(relay, Limits(open=seconds), relay.hello or "localhost", tls).open()
    found = opened.transport.get_extra_info("ssl_object")
    opened.transport.write(b"QUIT\r\n")
    opened.transport.close()
    version = "" if found is None else str(found.version())
    offers = opened.offers
    named = {
        "PIPELINING": offers.pipelining,
        "8BITMIME": offers.eightbit,
        "SMTPUTF8": offers.smtputf8,
        f"SIZE {offers.size or ''}".strip(): offers.size_known,
    }
    return Found(version, bool(relay.username), [name for name, there in named.items() if there])


def rest_after(failures: int) -> timedelta:
    """How long a relay that could not be reached so often in a row is left alone."""
    return timedelta(seconds=min(5 * 2 ** max(failures - 1, 0), 300))
