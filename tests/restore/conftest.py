"""A business whose database is copied, goes on, and is put back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest
from msgspec import Struct

from crm import campaigns, consent, customers, ledger, mail, privacy, restore
from crm.businesses import Business
from crm.campaigns import actions, filling
from crm.consent import Method
from crm.customers import Customer
from crm.db import Database, Db, open_database
from crm.events import Actor
from crm.journal import Journal, Keeper, Watch
from crm.journal import jobs as journal_jobs
from crm.mail import Letter, LetterKind, Scope, Why
from tests import make
from tests.conftest import KEYS, Cluster
from tests.journal.conftest import opened
from tests.privacy.search import Mark, Places, search

SYSTEM = Actor.system()
READERS = 60
LEFT = 25
MARKED = "Marked-Nora.Lindqvist@Example.com"


class Story(Struct, kw_only=True):
    """What there was at the backup, and what happened after it."""

    cluster: Cluster
    journal: Journal
    business: Business
    nora: Customer
    purpose_id: UUID
    readers: list[UUID]
    # By what they were doing at the backup.
    sending: UUID
    starting: UUID
    scheduled: UUID
    draft: UUID
    paused: UUID
    # What was withdrawn, and who came after the backup.
    left: list[UUID]
    newcomer: bytes
    silenced: bytes


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal of the test's own."""
    return Journal(tmp_path / "journal")


def name_of(cluster: Cluster) -> str:
    """Return the name of a database."""
    return urlsplit(cluster.app_url).path[1:]


async def execute(cluster: Cluster, statement: str) -> None:
    """Run a statement as the superuser."""
    conn = await asyncpg.connect(cluster.superuser_url)
    await conn.execute(statement)
    await conn.close()


@pytest.fixture
async def story(own_cluster: Cluster, journal: Journal) -> AsyncIterator[Story]:
    """Live, make a backup, go on living, and put the backup back."""
    async with opened(own_cluster, journal) as database:
        told = await _before(database, own_cluster, journal)
    async with backed_up(own_cluster) as told.cluster:
        async with opened(own_cluster, journal) as database:
            await _after(database, told)
        yield told


@asynccontextmanager
async def backed_up(cluster: Cluster) -> AsyncIterator[Cluster]:
    """Copy a database that nobody is connected to, as it is now, until the block ends."""
    name = f"{name_of(cluster)}_backup"
    copy = f"CREATE DATABASE {name} TEMPLATE {name_of(cluster)} OWNER crm_owner"
    await execute(cluster.named("postgres"), copy)
    try:
        yield cluster.named(name)
    finally:
        await execute(cluster.named("postgres"), f"DROP DATABASE {name} WITH (FORCE)")


@asynccontextmanager
async def restored(told: Story) -> AsyncIterator[tuple[Database, Watch]]:
    """Open the database that was put back, as a process of the service does."""
    async with put_back(told.cluster, told.journal) as both:
        yield both


@asynccontextmanager
async def put_back(cluster: Cluster, journal: Journal) -> AsyncIterator[tuple[Database, Watch]]:
    """Open a database beside a journal, as a process of the service does, and look at both."""
    keeper = Keeper(journal)
    async with open_database(cluster.app_url, KEYS, size=4, keep=keeper) as database:
        watch = ledger.journal_watch(database, keeper)
        await watch.look()
        yield database, watch


async def replayed(cluster: Cluster, keeper: Keeper, business_id: UUID) -> restore.Restored:
    """Do what `crm restore` does for a business."""
    async with open_database(cluster.app_url, KEYS, size=2) as database:
        return await restore.restore(database, keeper, business_id)


async def places_of(cluster: Cluster, journal: Journal, redis_url: str, word: str) -> set[str]:
    """Name every place in which a word stands: tables, Redis, files of the journal."""
    places = Places(cluster.superuser_url, redis_url, (make.place_of(journal),))
    return {each.place for each in await search(places, [Mark(word, word.encode())])}


async def begun(db: Db, purpose_id: UUID, *, sends: bool) -> UUID:
    """Start a campaign and write its deliveries."""
    campaign = await make.campaign(db, purpose_id)
    await campaigns.start(db, SYSTEM, campaign.id)
    if sends:
        while await filling.fill_piece(db, campaign.id, 20):
            pass
        await db.run(
            actions.sql.move_campaign,
            campaign_id=campaign.id,
            state="sending",
            from_states=["starting"],
            approved_by=None,
            scheduled_at=None,
            local_at=None,
        )
    return campaign.id


async def _before(database: Database, cluster: Cluster, journal: Journal) -> Story:
    business = await make.business(database)
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        notice = await make.notice(db, purpose.id)
        readers = await make.audience(db, notice, READERS)
        nora = await make.customer(db, address=MARKED, name="Marked Nora")
        await mail.post_letter(db, letter(db))
        sending = await begun(db, purpose.id, sends=True)
        paused = await begun(db, purpose.id, sends=True)
        await campaigns.pause(db, SYSTEM, paused)
        starting = await begun(db, purpose.id, sends=False)
        await filling.fill_piece(db, starting, 20)
        scheduled = await make.campaign(db, purpose.id)
        at = db.now.replace(year=db.now.year + 1)
        await campaigns.schedule(db, SYSTEM, scheduled.id, at, despite_gaps=True)
        draft = await make.campaign(db, purpose.id, subject="News")
    await ledger.seal(database, business.id, journal, most=1000)
    return Story(
        cluster=cluster,
        journal=journal,
        business=business,
        nora=nora,
        purpose_id=purpose.id,
        readers=readers,
        sending=sending,
        starting=starting,
        scheduled=scheduled.id,
        draft=draft.id,
        paused=paused,
        left=readers[:LEFT],
        newcomer=b"",
        silenced=KEYS.address_hash(business.id, "silenced@example.com"),
    )


def letter(db: Db) -> Letter:
    """Write a letter that waits."""
    address = "waits@example.com"
    return Letter(
        kind=LetterKind.confirmation,
        address=address,
        address_hash=KEYS.address_hash(db.business_id, address),
        subject="Please confirm",
        text="Please confirm.",
        html="",
        locale="en",
    )


async def _after(database: Database, told: Story) -> None:
    business_id = told.business.id
    for customer_id in told.left:
        async with database.write(business_id) as db:
            by = Actor.customer(customer_id)
            await consent.withdraw(db, by, customer_id, told.purpose_id, method=Method.one_click)
    async with database.write(business_id) as db:
        await privacy.erase(db, SYSTEM, told.nora.id)
        await mail.suppress(db, SYSTEM, told.silenced, Scope.all, Why.bounced)
        await customers.restrict(db, SYSTEM, told.readers[LEFT])
        # Whom the backup does not know at all.
        late = await make.customer(db, address="late@example.com")
        notice = (await consent.current_notices(db, "en"))[told.purpose_id]
        word = await make.own_word(db, late.id)
        await consent.give(db, Actor.customer(late.id), late.id, notice.question, word)
    async with database.write(business_id) as db:
        by = Actor.customer(late.id)
        await consent.withdraw(db, by, late.id, told.purpose_id, method=Method.portal)
        await campaigns.start(db, SYSTEM, told.draft, despite_gaps=True)
        await campaigns.resume(db, SYSTEM, told.paused)
    told.newcomer = KEYS.address_hash(business_id, "late@example.com")
    await journal_jobs.beat({"database": database})
    await ledger.seal(database, business_id, told.journal, most=1000)
