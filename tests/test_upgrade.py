"""A database in use since before consent was sealed is brought to this version, losing nothing."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import asyncpg
import pytest
from msgspec import Struct, json

from crm import consent, ledger, staff
from crm.consent import Method, Status
from crm.consent.model import digest
from crm.consent.record import commitment
from crm.db import Database, open_database
from crm.events import Actor
from crm.ids import time_ordered
from crm.journal import Journal
from crm.migrate import migrate, migrations
from tests import make
from tests.conftest import KEYS, Cluster
from tests.consent.counting import astray, rows
from tests.consent.test_verify import verdict

# The last migration before entries were sealed.
BEFORE = 11
AT = datetime(2025, 3, 4, 9, 30, tzinfo=UTC)
TEXT, LABEL = "Yes, send me The Corner Letter by e-mail.", "Send it to me"


T = TypeVar("T")


class Held(Struct):
    """What the old installation holds: who said yes, who left, who is gone, and a mail to each."""

    business_id: UUID = UUID(int=1)
    purpose: UUID = UUID(int=2)
    notice: UUID = UUID(int=3)
    campaign: UUID = UUID(int=4)
    nora: UUID = UUID(int=5)
    tom: UUID = UUID(int=6)
    ida: UUID = UUID(int=7)
    events: dict[str, UUID] = {}


async def insert(conn: asyncpg.Connection, table: str, **values: Any) -> None:
    names, marks = ", ".join(values), ", ".join(f"${n + 1}" for n in range(len(values)))
    await conn.execute(f"INSERT INTO crm.{table} ({names}) VALUES ({marks})", *values.values())  # noqa: S608


async def decide(
    conn: asyncpg.Connection, held: Held, customer: UUID, status: str, method: str, **more: Any
) -> UUID:
    """Append an event as version 1 was written."""
    event_id = time_ordered()
    yes = status == "given"
    own = method == "double_opt_in"
    said = {
        "actor": str(customer) if own else "",
        "actor_kind": "customer" if own else "system",
        "at": "2025-03-04T09:30:00.000000Z",
        "business": str(held.business_id),
        "customer": str(customer),
        "event": str(event_id),
        "evidence": more,
        "method": method,
        "notice": str(held.notice) if yes else "",
        "purpose": str(held.purpose),
        "recorded_at": "2025-03-04T09:30:00.000000Z",
        "status": status,
        "version": 1,
    }
    salt, canonical = hashlib.sha256(event_id.bytes).digest(), json.encode(said)
    of = {"business_id": held.business_id, "event_id": event_id}
    await insert(conn, "consent_event", **of, commitment=commitment(salt, canonical))
    about = {
        "customer_id": customer,
        "purpose_id": held.purpose,
        "notice_id": held.notice if yes else None,
        "status": status,
        "method": method,
        "at": AT,
    }
    await insert(
        conn,
        "consent_record",
        **of,
        **about,
        actor_kind=said["actor_kind"],
        actor_id=customer if own else None,
        recorded_at=AT,
        evidence=json.encode(more).decode(),
        salt=salt,
        canonical=canonical,
    )
    await conn.execute(
        "DELETE FROM crm.consent WHERE business_id = $1 AND customer_id = $2",
        held.business_id,
        customer,
    )
    await insert(conn, "consent", **of, **about)
    return event_id


async def fill(conn: asyncpg.Connection) -> Held:
    """Live a little: three say yes, all are mailed, one leaves, one is erased."""
    held = Held()
    await founded(conn, held)
    await asked(conn, held)
    elsewhere = {"kind": "former_double_opt_in"}
    held.events["nora"] = await decide(conn, held, held.nora, "given", "double_opt_in")
    held.events["tom"] = await decide(conn, held, held.tom, "given", "import", **elsewhere)
    held.events["ida"] = await decide(conn, held, held.ida, "given", "import", **elsewhere)
    await mailed(conn, held)
    held.events["left"] = await decide(conn, held, held.tom, "withdrawn", "one_click")
    await erased(conn, held)
    return held


async def founded(conn: asyncpg.Connection, held: Held) -> None:
    """A business with three customers."""
    of = {"business_id": held.business_id}
    await insert(
        conn,
        "business",
        **of,
        name="Corner Bakery",
        legal_name="Corner Bakery Ltd",
        sender_name="Corner Bakery",
        sender_address="letter@corner-bakery.example",
        privacy_contact="privacy@corner-bakery.example",
        locale="en",
        origin="http://corner-bakery.example",
        created_at=AT,
        changed_at=AT,
    )
    for number, customer in enumerate((held.nora, held.tom, held.ida)):
        address = f"reader-{number}@example.com"
        await insert(
            conn,
            "customer",
            **of,
            customer_id=customer,
            address=address,
            folded=address,
            address_hash=KEYS.address_hash(held.business_id, address),
            source="import",
            created_at=AT,
            changed_at=AT,
        )

    key = {"name": "Shop", "secret_hash": bytes(32), "reason": "to tell", "created_at": AT}
    for number, scopes in enumerate((["webhooks:write"], ["webhooks:read"])):
        await insert(conn, "api_key", **of, **key, key_id=UUID(int=number), scopes=scopes)


async def asked(conn: asyncpg.Connection, held: Held) -> None:
    """A purpose, and the text that asks for it."""
    of = {"business_id": held.business_id}
    await insert(
        conn,
        "purpose",
        **of,
        purpose_id=held.purpose,
        code=1,
        slug="a",
        name='"A" letter',
        channel="email",
        created_at=AT,
    )
    sha256 = hashlib.sha256(f"{TEXT}\n{LABEL}".encode()).digest()
    await insert(
        conn,
        "notice",
        **of,
        notice_id=held.notice,
        purpose_id=held.purpose,
        version=1,
        locale="en",
        text=TEXT,
        control_label=LABEL,
        sha256=sha256,
        accepts=["former_double_opt_in"],
        published_at=AT,
    )


async def erased(conn: asyncpg.Connection, held: Held) -> None:
    """Ida asked to be forgotten."""
    await conn.execute(
        """UPDATE crm.customer SET address = NULL, folded = NULL, address_hash = NULL,
           erased_at = $2 WHERE customer_id = $1""",
        held.ida,
        AT,
    )
    async with conn.transaction():
        await conn.execute(f"SELECT crm.begin_business('{held.business_id}')")
        await conn.execute("SELECT crm.erase_consent($1, $2)", held.business_id, held.ida)


async def mailed(conn: asyncpg.Connection, held: Held) -> None:
    """A newsletter went to all three."""
    of = {"business_id": held.business_id, "campaign_id": held.campaign}
    times = dict.fromkeys(("created_at", "changed_at", "started_at", "ended_at"), AT)
    await insert(
        conn, "campaign", **of, purpose_id=held.purpose, format="markdown", state="done", **times
    )
    for name in ("nora", "tom", "ida"):
        await insert(
            conn,
            "delivery",
            **of,
            customer_id=getattr(held, name),
            state="sent",
            event_id=held.events[name],
            notice_id=held.notice,
            done_at=AT,
        )


@asynccontextmanager
async def upgraded(
    cluster: Cluster, before: int, fill: Callable[[asyncpg.Connection], Awaitable[T]]
) -> AsyncIterator[tuple[Cluster, T]]:
    """A database as a version before left it, and then brought to this one."""
    name = f"upgrade_{uuid4().hex[:12]}"
    top = await asyncpg.connect(cluster.superuser_url)
    await top.execute(f"CREATE DATABASE {name} OWNER crm_owner")
    here = cluster.named(name)
    owner = await asyncpg.connect(here.owner_url)
    for one in migrations()[:before]:
        for statement in one.statements:
            await owner.execute(statement)
    await owner.execute(
        """CREATE TABLE public.crm_migration (number integer PRIMARY KEY, name text NOT NULL,
           sha256 bytea NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"""
    )
    for one in migrations()[:before]:
        await owner.execute(
            "INSERT INTO public.crm_migration (number, name, sha256) VALUES ($1, $2, $3)",
            one.number,
            one.name,
            one.sha256,
        )
    await owner.close()
    root = await asyncpg.connect(here.superuser_url)
    filled = await fill(root)
    await root.close()
    applied = await migrate(here.owner_url)
    assert len(applied) == len(migrations()) - before
    yield here, filled
    await top.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await top.close()


@pytest.fixture
async def held(cluster: Cluster) -> AsyncIterator[tuple[Cluster, Held]]:
    """What an installation from before consent was sealed holds, brought to this version."""
    async with upgraded(cluster, BEFORE, fill) as found:
        yield found


@pytest.fixture
async def opened(held: tuple[Cluster, Held]) -> AsyncIterator[tuple[Database, Held]]:
    """The new version, serving what the old one held."""
    here, filled = held
    async with open_database(here.app_url, KEYS, size=4) as database:
        yield database, filled


async def test_every_decision_is_still_told(opened: tuple[Database, Held]) -> None:
    database, held = opened
    async with database.read(held.business_id) as db:
        (nora,) = await consent.history(db, held.nora)
        left, came = await consent.history(db, held.tom)
        state = await consent.state(db, held.nora, held.purpose)
        (purpose,) = await consent.purposes(db)
        version = await consent.version(db, held.purpose, 1)
        notice = await consent.notice(db, held.notice)
        assert await consent.history(db, held.ida) == []
    assert (nora.status, nora.method, nora.purpose_version) == (
        Status.given,
        Method.double_opt_in,
        1,
    )
    assert (came.evidence, came.notice_id) == ({"kind": "former_double_opt_in"}, held.notice)
    assert (left.status, left.notice_id) == (Status.withdrawn, None)
    assert state is not None
    assert (state.event_id, state.ends_at) == (held.events["nora"], None)
    assert (purpose.name, purpose.version, purpose.basis) == ('"A" letter', 1, "consent")
    assert version.entered.wording["en"].name == '"A" letter'
    assert digest(notice.text, "", notice.control_label) == notice.sha256


async def test_a_standing_yes_allows_and_a_no_stands(opened: tuple[Database, Held]) -> None:
    database, held = opened
    async with database.write(held.business_id) as db:
        assert (await consent.check(db, held.nora, held.purpose)).authorises
        assert (await consent.check(db, held.tom, held.purpose)).reason == "withdrawn"
        notice = await consent.notice(db, held.notice)
        with pytest.raises(consent.OptOutStands):
            await consent.give(db, Actor.system(), held.tom, notice.question, make.ELSEWHERE)
        word = await make.own_word(db, held.tom)
        again = await consent.give(db, Actor.customer(held.tom), held.tom, notice.question, word)
        assert again.supersedes == held.events["left"]
        renewed = await consent.give(
            db,
            Actor.customer(held.nora),
            held.nora,
            notice.question,
            await make.own_word(db, held.nora),
        )
    assert (again.status, renewed.status) == (Status.given, Status.renewed)


async def test_what_was_there_is_tallied(opened: tuple[Database, Held]) -> None:
    database, held = opened
    async with database.read(held.business_id) as db:
        assert await astray(db) == []
        assert await rows(db) == 2  # one yes, one no


async def test_a_key_keeps_what_it_could_do(opened: tuple[Database, Held]) -> None:
    """Who could manage every endpoint still can, and nobody else."""
    database, held = opened
    async with database.read(held.business_id) as db:
        scopes = [set(key.scopes) for key in await staff.api_keys(db)]

    assert {"webhooks:write", "webhooks:manage"} in scopes
    assert {"webhooks:read"} in scopes


async def test_what_was_decided_before_is_sealed_too(
    opened: tuple[Database, Held], tmp_path: Path
) -> None:
    """Of the erased customer too: only the commitment is known, and proves nothing about her."""
    database, held = opened
    journal = Journal(tmp_path)
    assert await ledger.seal(database, held.business_id, journal, most=100) == 4
    async with database.read(held.business_id) as db:
        places = await ledger.positions(db, list(held.events.values()))
    assert sorted(places.values()) == [0, 1, 2, 3]


async def test_a_decision_from_before_has_a_receipt(
    opened: tuple[Database, Held], tmp_path: Path
) -> None:
    """With the first seal there is a key; that the words were these is not sealed, and is said."""
    database, held = opened
    async with database.read(held.business_id) as db:
        with pytest.raises(consent.NoReceiptKey):
            await consent.bundle(db, held.nora, held.events["nora"])
    await ledger.seal(database, held.business_id, Journal(tmp_path), most=100)
    for who, what in ((held.nora, "nora"), (held.tom, "left")):
        async with database.read(held.business_id) as db:
            bundle = await consent.bundle(db, who, held.events[what])
        assert verdict([consent.packed(bundle)]) == ""
        told = consent.verify([consent.packed(bundle)])
        assert [name for name, _ in told.open] == ["record.text"]


async def test_every_mail_still_cites_what_allowed_it(
    held: tuple[Cluster, Held],
) -> None:
    here, filled = held
    conn = await asyncpg.connect(here.superuser_url)
    rows = await conn.fetch(
        """SELECT d.customer_id, e.warrants FROM crm.delivery d
           JOIN crm.consent_event e USING (business_id, event_id)"""
    )
    assert {row["customer_id"]: row["warrants"] for row in rows} == dict.fromkeys(
        (filled.nora, filled.tom, filled.ida), filled.notice
    )
    left = await conn.fetchval(
        "SELECT warrants FROM crm.consent_event WHERE event_id = $1", filled.events["left"]
    )
    assert left.int == 0
    ways = await conn.fetch("SELECT customer_id, way FROM crm.mailbox_proof")
    assert [tuple(row) for row in ways] == [(filled.nora, "before")]
    await conn.close()
